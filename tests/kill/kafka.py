"""Kafka -> keyed window, interval join, newest value per key -> Kafka (transactions) and files, killed again and again.

Input grows by a chunk of rows before every cycle, at an event time that only rises, so that what must come out is known
from the input alone. A cycle starts the job from its newest checkpoint at a random parallelism and ends it with SIGKILL:
at a random moment, or when it passes one of the points of src/base/env_points.def for the n-th time. The last run is left alone
until it has read everything; then another client reads what is committed.
"""
import collections, json, os, pathlib, re, signal, subprocess, time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BASE = 1_700_000_000  # seconds
KEYS = 7
ROWS = 400            # of a chunk
STEP_MS = 20          # of event time from row to row
JOIN_MS = 3000
POINTS = re.findall(r'^X\(\w+, "([^"]+)"\)', (ROOT / "src" / "base" / "env_points.def").read_text(), re.M)
# How often a point is passed in a run is not the same for all: the n of the n-th is drawn up to this.
PASSED = {"state-write": 30, "restore": 20, "sink-prepare": 20, "sink-prepared": 20, "sink-commit": 12, "file-commit": 6,
          "kafka-produce": 12, "kafka-sent": 12, "kafka-committed": 12, "manifest": 5, "manifest-written": 5,
          "sink-restore": 5, "sink-restored": 5}


def stamp(ms):
    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(BASE + ms // 1000)) + f".{ms % 1000:03d}"


def row(i):
    return {"id": i // 2, "side": "ab"[i % 2], "k": i * 31 % KEYS, "v": i * 7919 % 1000, "ts": stamp(i * STEP_MS)}


def expected(n):
    """What must come out of rows 0..n: the lines of each output."""
    windows, newest, joined = collections.Counter(), {}, collections.Counter()
    sums = collections.Counter()
    for i in range(n):
        at = (row(i)["k"], i * STEP_MS // 1000)
        windows[at] += 1
        sums[at] += row(i)["v"]
        newest[row(i)["k"]] = newest.get(row(i)["k"], 0) + 1
    for i in range(0, n - 1, 2):  # a and b of one id are neighbours, within the join's time
        joined[f"{i // 2},{row(i)['v']},{row(i + 1)['v']}"] += 1
    lines = collections.Counter()
    for (k, second), count in windows.items():
        lines[json.dumps({"k": k, "w": stamp(second * 1000)[:19], "n": count, "total": sums[k, second]})] += 1
    return lines, joined, newest


class Job:
    def __init__(self, folder, address, sabot, log):
        self.folder, self.address, self.sabot, self.log = folder, address, sabot, log
        self.name = f"kill{os.getpid()}"
        self.rows = 0
        self.checkpoints, self.files = folder / "kafka-checkpoints", folder / "kafka-out"

    def feed(self):
        lines = []
        for i in range(self.rows, self.rows + ROWS):
            value = row(i)
            lines.append(f"{value['id']}|{json.dumps(value)}")
        subprocess.run(["kcat", "-P", "-b", self.address, "-t", self.name + "-in", "-K", "|", "-X",
                        "topic.partitioner=murmur2_random"],
                       input="\n".join(lines) + "\n", text=True, check=True, timeout=60, stderr=subprocess.DEVNULL)
        self.rows += ROWS

    def script(self):
        servers = f"'properties.bootstrap.servers' = '{self.address}'"
        once = f"{servers}, 'sink.delivery-guarantee' = 'exactly-once'"
        script = self.folder / "kafka.sql"
        script.write_text(f"""
CREATE TABLE events (id BIGINT, side STRING, k INT, v BIGINT, ts TIMESTAMP(3),
    WATERMARK FOR ts AS ts - INTERVAL '1' SECOND)
WITH ('connector' = 'kafka', 'topic' = '{self.name}-in', {servers}, 'format' = 'json',
    'scan.startup.mode' = 'earliest-offset');
CREATE TABLE windows (k INT, w TIMESTAMP(3), n BIGINT, total BIGINT)
WITH ('connector' = 'kafka', 'topic' = '{self.name}-windows', {once}, 'format' = 'json',
    'sink.transactional-id-prefix' = '{self.name}-windows');
CREATE TABLE newest (k INT, n BIGINT, PRIMARY KEY (k) NOT ENFORCED)
WITH ('connector' = 'upsert-kafka', 'topic' = '{self.name}-newest', {once}, 'key.format' = 'json',
    'value.format' = 'json', 'sink.transactional-id-prefix' = '{self.name}-newest');
CREATE TABLE joined (id BIGINT, a BIGINT, b BIGINT)
WITH ('connector' = 'filesystem', 'path' = '{self.files}', 'format' = 'csv');
EXECUTE STATEMENT SET BEGIN
INSERT INTO windows SELECT k, window_start, COUNT(*), SUM(v)
    FROM TABLE(TUMBLE(TABLE events, DESCRIPTOR(ts), INTERVAL '1' SECOND)) GROUP BY k, window_start, window_end;
INSERT INTO joined SELECT a.id, a.v, b.v FROM events a, events b
    WHERE a.side = 'a' AND b.side = 'b' AND a.id = b.id
    AND a.ts BETWEEN b.ts - INTERVAL '{JOIN_MS // 1000}' SECOND AND b.ts + INTERVAL '{JOIN_MS // 1000}' SECOND;
INSERT INTO newest SELECT k, COUNT(*) FROM events GROUP BY k;
END;
""")
        return script

    def command(self, parallelism):
        given = [self.sabot, "run", str(self.script()), "--checkpoint-dir", str(self.checkpoints),
                 "--checkpoint-interval", "60ms", "--parallelism", str(parallelism)]
        if self.checkpoints.exists() and any(self.checkpoints.glob("chk-*/MANIFEST")):
            given += ["--from", str(self.checkpoints)]
        return given

    def run(self, parallelism, environment, seconds):
        """One run that is killed after so long at the latest; what it ended with: -9 where it died at a point."""
        process = subprocess.Popen(self.command(parallelism), stdout=self.log, stderr=self.log,
                                   env={**os.environ, **environment})
        try:
            return process.wait(timeout=seconds), False
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait(), True

    def read(self, topic):
        """(key, value) of what is committed, in the order of each partition."""
        out = subprocess.run(["kcat", "-C", "-b", self.address, "-t", f"{self.name}-{topic}", "-o", "beginning", "-e", "-q",
                              "-X", "isolation.level=read_committed", "-f", "%k\t%S\t%s\n"],
                             capture_output=True, text=True, check=True, timeout=120).stdout
        return [(key, None if size == "-1" else value) for key, size, value in
                (line.split("\t", 2) for line in out.splitlines())]

    def finish(self, parallelism):
        """Reads to the end; what is wrong with all that was committed, or nothing."""
        last = json.dumps({"id": -1, "side": "-", "k": -1, "v": 0, "ts": stamp(self.rows * STEP_MS + 3_600_000)})
        for partition in range(4):  # closes all windows
            subprocess.run(["kcat", "-P", "-b", self.address, "-t", self.name + "-in", "-p", str(partition)], input=last + "\n",
                           text=True, check=True, timeout=60, stderr=subprocess.DEVNULL)
        windows, joined, newest = expected(self.rows)
        process = subprocess.Popen(self.command(parallelism), stdout=self.log, stderr=self.log)
        end = time.monotonic() + 60
        while time.monotonic() < end and process.poll() is None and len(self.read("windows")) < len(windows):
            time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        if process.wait(timeout=60) != 0:
            self.log.flush()
            self.log.seek(0)
            return f"the last run failed: {self.log.read()[-800:]}"
        got = collections.Counter(value for _, value in self.read("windows"))
        got = collections.Counter({json.dumps(json.loads(value)): n for value, n in got.items()})
        problems = [difference("windows", got, windows)]
        files = collections.Counter()
        for path in self.files.glob("[!.]*"):
            files.update(path.read_text().split())
        problems.append(difference("joined", files, joined))
        table = {}
        for key, value in self.read("newest"):
            table[json.loads(key)["k"]] = json.loads(value)["n"] if value is not None else None
        table.pop(-1, None)  # of the rows that close the windows
        if table != newest:
            problems.append(f"newest is {table}, not {newest}")
        return "; ".join(problem for problem in problems if problem)


def difference(name, got, want):
    if got == want:
        return ""
    lost, doubled = want - got, got - want
    return (f"{name}: {sum(lost.values())} rows lost {list(lost)[:3]}, "
            f"{sum(doubled.values())} too many {list(doubled)[:3]}")


def cycles(folder, address, sabot, log, rng, count):
    """Kills the job so many times; (problem, kills per point, restores)."""
    job = Job(folder, address, sabot, log)
    killed = collections.Counter()
    restores = 0
    job.feed()
    for cycle in range(count):
        job.feed()
        point = rng.choice(POINTS) if cycle and rng.random() < 0.7 else None
        environment, seconds = {}, rng.uniform(0.1, 1.2)
        if point:
            environment, seconds = {"SABOT_KILL_AT": f"{point}:{rng.randint(1, PASSED[point])}"}, 2.0
        restores += job.checkpoints.exists() and any(job.checkpoints.glob("chk-*/MANIFEST"))
        code, late = job.run(rng.choice((1, 2, 2, 3)), environment, seconds)
        if code != -9:
            log.flush()
            log.seek(0)
            return f"cycle {cycle} ({environment}) ended with {code}: {log.read()[-1000:]}", killed, restores
        killed["random moment" if late else point] += 1
    return job.finish(2), killed, restores
