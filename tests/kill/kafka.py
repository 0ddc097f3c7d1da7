"""Kafka -> stateful operators -> Kafka (transactions) and files, killed again and again.

Input grows by a chunk of rows before every cycle, at an event time that only rises, so that what must come out is known
from the input alone. A cycle starts the job from its newest checkpoint at a random parallelism, with aligned or
unaligned barriers, and ends it with SIGKILL: at a random moment, or when it passes one of the points of
src/base/env_points.def for the n-th time; the point that was the end least often is the next one. After every ROUND cycles the
job is left alone until it has read everything; then another client reads what is committed, and the next round begins with a
new job.

Kinds of job: KINDS. Several run beside each other, each with an input of its own, on one broker.
"""
import collections, functools, heapq, json, os, pathlib, re, signal, subprocess, threading, time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BASE = 1_700_000_000  # seconds
KEYS = 7
ROWS = 400            # of a chunk
STEP_MS = 20          # of event time from row to row
JOIN_MS = 3000
ROUND = 50            # cycles of one job
TOP = 3
PROBLEMS_MAX = 3      # of a kind, then it is left alone
UNALIGNED = ", unaligned"
STOPS = 0.08          # of the cycles begin with a run that is stopped with a savepoint
SLOW = float(os.environ.get("SLOW", "1"))  # the machine is so much slower than a quiet one: all patience grows with it
PATIENCE = 15 * SLOW  # seconds until a run without a checkpoint is killed
POINTS = [point for point in re.findall(r'^X\(\w+, "([^"]+)"\)',
                                        (ROOT / "src" / "base" / "env_points.def").read_text(), re.M)
          if not point.startswith("postgres")]  # tests/postgres passes those
# How often a point is passed in a run is not the same for all: the n of the n-th is drawn up to this.
PASSED = {"state-write": 30, "restore": 20, "sink-prepare": 9, "sink-prepared": 9, "sink-commit": 6, "file-commit": 3,
          "kafka-produce": 5, "kafka-sent": 5, "kafka-committed": 5, "manifest": 3, "manifest-written": 3, "upload": 3,
          "sink-restore": 5, "sink-restored": 5}
HOP_S = 3             # of hopping and cumulating windows; their step is a second
GROUPS = 100          # of sessions: a row of each comes every 2 * GROUPS rows, and its sessions are two rows


class Tally:
    """How often each point was the end, of all jobs; written to a file after each kill, where one is wanted."""

    def __init__(self, path=None):
        self.lock, self.path, self.began = threading.Lock(), path, time.monotonic()
        self.points, self.kinds, self.restores, self.proven, self.stops = (collections.Counter() for _ in range(5))
        self.problems = []

    def next_point(self, rng, points):
        with self.lock:
            least = min(self.points[point] for point in points)
            return rng.choice([point for point in points if self.points[point] <= least + 1])

    def add(self, point, kind, restored, barriers=""):
        with self.lock:
            self.points[point] += 1
            self.kinds[kind + barriers] += 1
            self.restores[kind] += restored
            self.write()

    def kills(self, kind):
        with self.lock:
            return sum(n for name, n in self.kinds.items() if name in (kind, kind + UNALIGNED))

    def stopped(self, kind):
        """Not killed: stopped with a savepoint, from which the next run starts."""
        with self.lock:
            self.stops[kind] += 1
            self.write()

    def compared(self, kind, kills, problem):
        """The output of so many kills was read and compared."""
        with self.lock:
            self.proven[kind] += 0 if problem else kills
            if problem:
                self.problems.append(f"{kind}: {problem}")
            self.write()

    def text(self):
        def lines(title, counter):
            return f"{title}: " + ", ".join(f"{name} {n}" for name, n in sorted(counter.items())) + "\n"

        return (f"{sum(self.points.values())} kills in {time.monotonic() - self.began:.0f} s, output compared behind "
                f"{sum(self.proven.values())} of them, {len(self.problems)} problems\n" + lines("killed at", self.points) +
                lines("kinds", self.kinds) + lines("compared", self.proven) + lines("restores", self.restores) +
                lines("stopped with a savepoint", self.stops) +
                "".join(f"problem: {problem}\n" for problem in self.problems))

    def write(self):
        if self.path:
            self.path.write_text(self.text())


class Rounds:
    """How many kills a round of a kind has, until all kills are given out. Kinds share equally what is one round each; of
    more, half: the rest goes to those that are ready for it, so that the slow ones (on S3) are not left over at the end."""

    def __init__(self, cycles, kinds, most):
        equal = [cycles // len(kinds) + (i < cycles % len(kinds)) for i in range(len(kinds))]
        self.own = [n if n <= most else n // 2 for n in equal]
        self.most, self.common, self.lock = most, cycles - sum(self.own), threading.Lock()

    def of(self, number):
        """The rounds of the kind with this number, as it asks for them."""
        while count := self.take(number):
            yield count

    def take(self, number):
        with self.lock:
            count = min(self.most, self.own[number])
            if count:
                self.own[number] -= count
                return count
            count = min(self.most, self.common)
            self.common -= count
            return count


def stamp(ms):
    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(BASE + ms // 1000)) + f".{ms % 1000:03d}"


def row(i):
    return {"id": i // 2, "side": "ab"[i % 2], "k": i * 31 % KEYS, "v": i * 7919 % 1000 + i // 10, "ts": stamp(i * STEP_MS)}


def windows_expected(n, process=False):
    """What must come out of rows 0..n: the lines of the topic, of the files, and the upsert tables."""
    windows, sums, newest = collections.Counter(), collections.Counter(), collections.Counter()
    for i in range(n):
        at = (row(i)["k"], i * STEP_MS // 1000)
        windows[at] += 1
        sums[at] += row(i)["v"]
        newest[row(i)["k"],] += 1
    lines = collections.Counter(
        json.dumps({"k": k, "w": (BASE + second + 1) * 1000 if process else stamp(second * 1000)[:19], "n": count,
                    "total": sums[k, second]}) for (k, second), count in windows.items())
    files = collections.Counter()  # a and b of one id are neighbours, within the join's time
    for i in range(0, n - 1, 2):
        files[f"{i // 2},{row(i)['v']},{row(i + 1)['v']}"] += 1
    return lines, files, {"newest": newest}


def hop_expected(n):
    windows, sums, best = collections.Counter(), collections.Counter(), collections.defaultdict(lambda: (0, 0))
    for i in range(n):
        value, second = row(i), i * STEP_MS // 1000
        for start in range(second - HOP_S + 1, second + 1):
            windows[value["k"], start] += 1
            sums[value["k"], start] += value["v"]
        best[value["id"]] = tuple(map(max, best[value["id"]], (value["k"], value["v"])))
    lines = collections.Counter(json.dumps({"k": k, "w": stamp(start * 1000)[:19], "n": count, "total": sums[k, start]})
                                for (k, start), count in windows.items())
    newest = collections.Counter()
    for k, v in best.values():
        newest[k,] += v
    return lines, windows_expected(n)[1], {"newest": newest}


def cumulate_expected(n):
    windows, sums, joined, files = collections.Counter(), collections.Counter(), {}, collections.Counter()
    for i in range(n):
        value, second = row(i), i * STEP_MS // 1000
        begins = second - (BASE + second) % HOP_S
        for end in range(second + 1, begins + HOP_S + 1):
            windows[value["k"], end] += 1
            sums[value["k"], end] += value["v"]
        if i % 2 == 0:
            files[f"{value['id'] % GROUPS},{stamp(i * STEP_MS).rstrip('0').rstrip('.')},2"] += 1
            if value["k"] == 0:
                joined[value["id"],] = row(i + 1)["v"]
    lines = collections.Counter(json.dumps({"k": k, "w": stamp(end * 1000)[:19], "n": count, "total": sums[k, end]})
                                for (k, end), count in windows.items())
    return lines, files, {"newest": joined}


def rank_expected(n):
    lines, files, firsts, best = collections.Counter(), collections.Counter(), {}, collections.defaultdict(list)
    for i in range(n):
        value = row(i)
        if i % 2 == 0:
            files[f"{value['id']},{value['v']}"] += 1
            firsts[value["id"],] = value["v"]
        best[value["k"]].append((value["v"], value["id"], value["side"]))
        lines[json.dumps({"id": value["id"], "v": value["v"]})] += 1
    top = {(k, number + 1): v for k, rows in best.items() for number, (v, _, _) in enumerate(heapq.nlargest(TOP, rows))}
    return lines, files, {"newest": top, "firsts": firsts}


def job(before="", **outputs):
    """SQL of a job with a sink per output: name=(columns, query); tables get their options with str.format."""
    tables = "".join(f"CREATE TABLE {name} ({columns}) WITH ({{{name}}});\n" for name, (columns, _) in outputs.items())
    inserts = "".join(f"INSERT INTO {name} {query};\n" for name, (_, query) in outputs.items())
    return f"{before}{tables}EXECUTE STATEMENT SET BEGIN\n{inserts}END;\n"


def windows(function, end="window_start"):
    return ("k INT, w TIMESTAMP(3), n BIGINT, total BIGINT",
            f"SELECT k, {end}, COUNT(*), SUM(v) FROM TABLE({function}) GROUP BY k, window_start, window_end")


SECOND, SECONDS = "INTERVAL '1' SECOND", "INTERVAL '3' SECOND"
PAIRS = "SELECT a.id, a.v, b.v FROM events a, events b WHERE a.side = 'a' AND b.side = 'b' AND a.id = b.id"
BY_KEY = "k INT, n BIGINT, PRIMARY KEY (k) NOT ENFORCED"
IN_TIME = {
    "newest": (BY_KEY, "SELECT k, COUNT(*) FROM events GROUP BY k"),
    "files": ("id BIGINT, a BIGINT, b BIGINT", f"{PAIRS} AND a.ts BETWEEN b.ts - {SECONDS} AND b.ts + {SECONDS}")}
WINDOWS = job(lines=windows(f"TUMBLE(TABLE events, DESCRIPTOR(ts), {SECOND})"), **IN_TIME)
PROCESS = job("""CREATE FUNCTION windows_of AS 'windows_function' LANGUAGE C USING FILE '{library}';
CREATE VIEW priced AS SELECT k, v AS price, ts FROM events;
""", lines=("k INT, w BIGINT, n BIGINT, total BIGINT", """SELECT k, window_end, n, total
    FROM windows_of(input => TABLE priced PARTITION BY k, on_time => DESCRIPTOR(ts), size_ms => 1000)"""), **IN_TIME)
HOP = job(
    lines=windows(f"HOP(TABLE events, DESCRIPTOR(ts), {SECOND}, {SECONDS})"),
    files=("id BIGINT, a BIGINT, b BIGINT", PAIRS),
    newest=(BY_KEY, "SELECT k, SUM(v) FROM (SELECT id, MAX(k) AS k, MAX(v) AS v FROM events GROUP BY id) GROUP BY k"))
CUMULATE = job(
    "CREATE VIEW grouped AS SELECT id % 100 AS g, ts FROM events;\n",
    lines=windows(f"CUMULATE(TABLE events, DESCRIPTOR(ts), {SECOND}, {SECONDS})", "window_end"),
    files=("g BIGINT, w TIMESTAMP(3), n BIGINT", f"""SELECT g, window_start, COUNT(*)
    FROM TABLE(SESSION(TABLE grouped PARTITION BY g, DESCRIPTOR(ts), {SECOND})) GROUP BY g, window_start, window_end"""),
    newest=("id BIGINT, v BIGINT, PRIMARY KEY (id) NOT ENFORCED", """SELECT a.id, MAX(b.v)
    FROM (SELECT id FROM events WHERE side = 'a' AND k = 0) a
    LEFT JOIN (SELECT id, v FROM events WHERE side = 'b') b ON a.id = b.id GROUP BY a.id"""))
RANK = job(
    lines=("id BIGINT, v BIGINT", "SELECT id, v FROM events"),
    files=("id BIGINT, v BIGINT", "SELECT id, v FROM events WHERE side = 'a'"),
    firsts=("id BIGINT, v BIGINT, PRIMARY KEY (id) NOT ENFORCED", """SELECT id, v FROM (SELECT id, v,
    ROW_NUMBER() OVER (PARTITION BY id ORDER BY arrived) AS r FROM events) WHERE r = 1"""),
    newest=("k INT, r BIGINT, v BIGINT, PRIMARY KEY (k, r) NOT ENFORCED", """SELECT k, r, v FROM (SELECT k, v,
    ROW_NUMBER() OVER (PARTITION BY k ORDER BY v DESC, id DESC, side DESC) AS r FROM events) WHERE r <= 3"""))

JOBS = {"windows": (WINDOWS, windows_expected), "rank": (RANK, rank_expected), "hop": (HOP, hop_expected),
        "process": (PROCESS, functools.partial(windows_expected, process=True)),
        "cumulate": (CUMULATE, cumulate_expected)}
KINDS = (*JOBS, *(f"{job} on S3" for job in JOBS))


def manifests(checkpoints):
    return set(checkpoints.glob("chk-*/MANIFEST"))


def wait_for_manifest(process, checkpoints, before=None):
    """Until the process has completed a checkpoint, for as long as patience lasts."""
    before = manifests(checkpoints) if before is None else before
    end = time.monotonic() + PATIENCE
    while process.poll() is None and time.monotonic() < end and not manifests(checkpoints) - before:
        time.sleep(0.01)


def stop_with_savepoint(sabot, process, checkpoints, path):
    """The problem. A job that comes to its end by itself meanwhile has none, and no savepoint."""
    done = subprocess.run([sabot, "stop", str(checkpoints), "--savepoint", "--path", str(path)], capture_output=True,
                          text=True, timeout=60 * SLOW)
    if done.returncode:
        try:
            code = process.wait(timeout=SLOW)
        except subprocess.TimeoutExpired:
            process.kill()
            code = process.wait()
        return "" if code == 0 else f"stop ended with {done.returncode}: {done.stderr[-500:]}"
    code = process.wait(timeout=60 * SLOW)
    return f"a job that was stopped ended with {code}" if code else ""


class Job:
    def __init__(self, name, kind, folder, address, sabot, s3):
        self.name, self.folder, self.address, self.sabot = name, folder, address, sabot
        self.kind, self.rows, self.savepoint = kind.split()[0], 0, None
        on_s3 = "S3" in kind
        url, local = (f"s3://test/{name}", s3 / "data" / "test" / name) if on_s3 else (str(folder / name), folder / name)
        self.checkpoints, self.checkpoints_here = url + "/checkpoints", local / "checkpoints"
        self.files, self.files_here = url + "/out", local / "out"
        self.log, self.process = open(folder / f"{name}.log", "w+"), None
        self.input = subprocess.Popen(["kcat", "-P", "-b", address, "-t", name + "-in", "-K", "|", "-X",
                                       "topic.partitioner=murmur2_random", "-X", "linger.ms=1"],
                                      stdin=subprocess.PIPE, text=True, stderr=subprocess.DEVNULL)
        self.script = folder / f"{name}.sql"
        self.script.write_text(self.sql())

    def feed(self):
        lines = [f"{i // 2}|{json.dumps(row(i))}\n" for i in range(self.rows, self.rows + ROWS)]
        self.input.stdin.write("".join(lines))
        self.input.stdin.flush()
        if self.rows == 0:
            self.wait_for_topic()
        self.rows += ROWS

    def wait_for_topic(self):
        """The broker makes it for the producer, some time after its first message; a job needs it there."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            said = subprocess.run(["kcat", "-L", "-J", "-b", self.address, "-t", self.name + "-in"], capture_output=True,
                                  text=True, timeout=60 * SLOW).stdout
            if said and all(topic["partitions"] and "error" not in topic for topic in json.loads(said)["topics"]):
                return
            time.sleep(0.01)
        raise RuntimeError(f"topic {self.name}-in is not there after {PATIENCE} s")

    def sql(self):
        servers = (f"'properties.bootstrap.servers' = '{self.address}', "
                   f"'properties.default.api.timeout.ms' = '{30000 * SLOW:.0f}'")
        once = f"{servers}, 'sink.delivery-guarantee' = 'exactly-once'"
        tables = {
            "lines": f"'connector' = 'kafka', 'topic' = '{self.name}-lines', {once}, 'format' = 'json', "
                     f"'sink.transactional-id-prefix' = '{self.name}-lines'",
            **{name: f"'connector' = 'upsert-kafka', 'topic' = '{self.name}-{name}', {once}, 'key.format' = 'json', "
                     f"'value.format' = 'json', 'sink.transactional-id-prefix' = '{self.name}-{name}'"
               for name in ("newest", "firsts")},
            "files": f"'connector' = 'filesystem', 'path' = '{self.files}', 'format' = 'csv'"}
        return f"""
CREATE TABLE events (id BIGINT, side STRING, k INT, v BIGINT, ts TIMESTAMP(3), arrived AS PROCTIME(),
    WATERMARK FOR ts AS ts - INTERVAL '1' SECOND)
WITH ('connector' = 'kafka', 'topic' = '{self.name}-in', {servers}, 'format' = 'json',
    'scan.startup.mode' = 'earliest-offset');""" + JOBS[self.kind][0].format(library=self.folder / "functions.so", **tables)

    def restores(self):
        return self.checkpoints_here.exists() and any(self.checkpoints_here.glob("chk-*/MANIFEST"))

    def command(self, parallelism, *options):
        given = [self.sabot, "run", str(self.script), "--checkpoint-dir", self.checkpoints, "--checkpoint-interval", "40ms",
                 "--parallelism", str(parallelism), *options]
        if self.savepoint:  # of the stop before; its last checkpoint has the same rows, for those who come later
            given += ["--from", self.savepoint]
            self.savepoint = None
        elif self.restores():
            given += ["--from", self.checkpoints]
        return given

    def start(self, parallelism, options=(), environment=None):
        self.process = subprocess.Popen(self.command(parallelism, *options), stdout=self.log, stderr=self.log,
                                        env={**os.environ, **(environment or {})})
        return self.process

    def run(self, parallelism, options, environment, rng):
        """One run that is killed after some time at the latest; what it ended with: -9 where it died at a point."""
        before = manifests(self.checkpoints_here)
        process = self.start(parallelism, options, environment)
        if environment or rng.random() < 0.7:  # counted from its first checkpoint, however slow the machine is
            wait_for_manifest(process, self.checkpoints_here, before)
            end = time.monotonic() + (2 * SLOW if environment else rng.uniform(0, 0.3))
        else:
            end = time.monotonic() + rng.uniform(0.05, 0.5)
        try:
            return process.wait(timeout=max(0, end - time.monotonic())), False
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait(), True

    def stop(self, parallelism, options, number):
        """One run that is stopped with a savepoint; the problem."""
        process = self.start(parallelism, options)
        wait_for_manifest(process, self.checkpoints_here)
        path = self.checkpoints + f"-save{number}"
        problem = stop_with_savepoint(self.sabot, process, self.checkpoints, path)
        if problem:
            return f"{problem}; the job: {self.said()}"
        self.savepoint = path
        return ""

    def read(self, topic):
        """(key, value) of what is committed, in the order of each partition."""
        done = subprocess.run(["kcat", "-C", "-m", f"{60 * SLOW:.0f}", "-b", self.address, "-t", f"{self.name}-{topic}", "-o", "beginning", "-e", "-q",
                               "-X", "isolation.level=read_committed", "-f", "%k\t%S\t%s\n"],
                              capture_output=True, text=True, timeout=120 * SLOW)
        if done.returncode and "Unknown topic" not in done.stderr:  # it is made when the job first starts
            raise RuntimeError(f"kcat: {done.stderr}")
        return [(key, None if size == "-1" else value) for key, size, value in
                (line.split("\t", 2) for line in done.stdout.splitlines())]

    def close(self):
        self.input.kill()
        if self.process and self.process.poll() is None:  # the test failed meanwhile
            self.process.kill()
        self.log.close()

    def said(self):
        self.log.flush()
        self.log.seek(max(0, self.log.tell() - 1500))
        return self.log.read()

    def finish(self, parallelism):
        """Reads to the end; what is wrong with all that was committed, or nothing."""
        self.input.stdin.close()
        self.input.wait(timeout=60)
        last = json.dumps({"id": -1, "side": "-", "k": -1, "v": 0, "ts": stamp(self.rows * STEP_MS + 3_600_000)})
        for partition in range(4):  # closes all windows
            subprocess.run(["kcat", "-P", "-b", self.address, "-t", self.name + "-in", "-p", str(partition)], input=last + "\n",
                           text=True, check=True, timeout=60, stderr=subprocess.DEVNULL)
        lines, files, tables = JOBS[self.kind][1](self.rows)
        process = self.start(parallelism)
        end = time.monotonic() + 180 * SLOW
        while process.poll() is None and (read := len(self.read("lines"))) < sum(lines.values()):
            if time.monotonic() > end:
                process.kill()
                process.wait()
                return (f"only {read} of {sum(lines.values())} lines in {180 * SLOW:.0f} s: lost, or the machine is busy (SLOW=10 "
                        f"tells): {self.said()}")
            time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        if process.wait(timeout=120 * SLOW) != 0:
            return f"the last run failed: {self.said()}"
        got = collections.Counter()
        for _, value in self.read("lines"):
            value = json.loads(value)
            if value.get("id") != -1:
                got[json.dumps(value)] += 1
        problems = [difference("lines", got, lines)]
        got = collections.Counter()
        for path in self.files_here.glob("[!.]*"):
            got.update(path.read_text().splitlines())
        problems.append(difference("files", got, files))
        for topic, want in tables.items():
            table = {}
            for key, value in self.read(topic):
                table[tuple(json.loads(key).values())] = value and list(json.loads(value).values())[-1]
            got = {key: value for key, value in table.items() if key[0] != -1 and value is not None}
            problems.append(difference(topic, collections.Counter(got.items()), collections.Counter(want.items())))
        return "; ".join(problem for problem in problems if problem)


def difference(name, got, want):
    if got == want:
        return ""
    lost, doubled = want - got, got - want
    return (f"{name}: {sum(lost.values())} rows lost {list(lost)[:3]}, "
            f"{sum(doubled.values())} too many {list(doubled)[:3]}")


def library_make(folder):
    """The process function of the jobs, as a user would have it."""
    subprocess.run(["cc", "-std=c17", "-O1", "-shared", "-fPIC", f"-I{ROOT / 'include'}",
                    str(ROOT / "tests" / "process" / "functions.c"), "-o", str(folder / "functions.so")], check=True)


def options_of(rng, job, unaligned):
    """Parallelism and settings that a job may be restored with, whatever its checkpoint was made with."""
    options = ("--set", "execution.checkpointing.incremental=false") if rng.random() < 0.3 else ()
    if job.kind == "process" and rng.random() < 0.5:
        options += ("--set", "state.backend.type=rocksdb", "--set", "state.backend.rocksdb.cache.rows=16",
                    "--set", f"state.backend.rocksdb.localdir={job.folder / 'rocks'}")
    if unaligned:
        options += rng.choice(((), ("--unaligned",), ("--unaligned=5ms",)))
    return rng.choice((1, 2, 2, 3)), options


def one_round(job, rng, count, kind, tally):
    """Kills a job so many times; the problem. Half of the jobs have unaligned barriers at times."""
    unaligned = rng.random() < 0.5
    points = [point for point in POINTS if point != "upload" or job.checkpoints.startswith("s3:")]
    job.feed()
    for cycle in range(count):
        job.feed()
        point = tally.next_point(rng, points) if cycle and rng.random() < 0.85 else None
        environment = {"SABOT_KILL_AT": f"{point}:{rng.randint(1, rng.randint(1, PASSED[point]))}"} if point else {}
        restores = job.restores()
        if cycle and rng.random() < STOPS:
            problem = job.stop(*options_of(rng, job, unaligned), cycle)
            if problem:
                return f"cycle {cycle}: {problem}"
            tally.stopped(kind)
            job.feed()
        parallelism, options = options_of(rng, job, unaligned)
        code, late = job.run(parallelism, options, environment, rng)
        if code != -9:
            return f"cycle {cycle} ({environment}, {parallelism} {options}) ended with {code}: {job.said()}"
        tally.add("random moment" if late else point, kind, restores,
                  UNALIGNED if any("unaligned" in option for option in options) else "")
    return job.finish(2)


def cycles(folder, address, sabot, s3, rng, kind, number, rounds, tally):
    """Kills jobs of a kind in rounds; the problems: a round that fails does not end the others."""
    problems = []
    for turn, count in enumerate(rounds.of(number)):
        name = f"kill{os.getpid()}-{number}-{turn}"
        job = Job(name, kind, folder, address, sabot, s3)
        try:
            problem = one_round(job, rng, count, kind, tally)
        except Exception as error:  # of the test: it failed too
            problem = repr(error)
        job.close()
        tally.compared(kind, count, problem and f"{name}: {problem}")
        problems += [problem] if problem else []
        if len(problems) == PROBLEMS_MAX:
            break
    return "; ".join(problems)
