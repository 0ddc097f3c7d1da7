"""Checkpoints and files on a remote store: what the suites of S3 and of HDFS have in common. A suite gives a Place."""
import io
import json
import os
import random
import signal
import subprocess
import time

import pyarrow.parquet as parquet

SABOT = os.path.abspath(os.environ["SABOT"])
number = failed = 0


def check(good, what, note=""):
    global number, failed
    number += 1
    failed += not good
    print(f"{'ok' if good else 'not ok'} {number} - {what}" + (f"\n# {note}" if note and not good else ""), flush=True)


def summary():
    print(f"{number - failed} passed, {failed} failed, 0 skipped")
    return failed > 0


class Place:
    """A folder that jobs write to: its URL, and a look at it that does not go through our client."""

    def __init__(self, url):
        self.url = url

    def names(self, folder):
        """Names in a folder below; none where it is not there."""
        raise NotImplementedError

    def read(self, path):
        raise NotImplementedError


class Folder(Place):
    def names(self, folder):
        path = os.path.join(self.root, folder)
        return sorted(os.listdir(path)) if os.path.isdir(path) else []

    def read(self, path):
        with open(os.path.join(self.root, path), "rb") as file:
            return file.read()

    def __init__(self, url, root):
        super().__init__(url)
        self.root = root


def job(out, rows, rate=200_000, format="json"):
    path = os.path.join(os.environ["TMPDIR"], "job.sql")
    with open(path, "w", encoding="utf-8") as file:
        file.write(f"""
CREATE TABLE g (a BIGINT) WITH ('connector' = 'datagen', 'number-of-rows' = '{rows}', 'rows-per-second' = '{rate}',
  'fields.a.kind' = 'sequence', 'fields.a.start' = '1', 'fields.a.end' = '{rows}');
CREATE TABLE o (a BIGINT) WITH ('connector' = 'filesystem', 'path' = '{out}', 'format' = '{format}');
INSERT INTO o SELECT a FROM g;""")
    return path


def start(*arguments, command="run", **variables):
    return subprocess.Popen([SABOT, command, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, text=True, env=dict(os.environ, **variables))


def end(process, seconds=60):
    try:
        output = process.communicate(timeout=seconds)[0]
    except subprocess.TimeoutExpired:
        process.kill()
        return -1, process.communicate()[0]
    return process.returncode, output


def run(*arguments, **variables):
    return end(start(*arguments, **variables))


def complete(place, folder):
    """Checkpoints of a folder that have a manifest."""
    return [name for name in place.names(folder) if name != "lease" and "MANIFEST" in place.names(f"{folder}/{name}")]


def wait_for_checkpoint(place, folder, but=(), seconds=30):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if set(complete(place, folder)) - set(but):
            return True
        time.sleep(0.01)
    return False


def shared_needed(place, folder):
    """What the manifests of complete checkpoints name in `shared`; by checkpoint. One may go while it is read."""
    needed = {}
    for name in complete(place, folder):
        try:
            lines = place.read(f"{folder}/{name}/MANIFEST").decode().rstrip().split("\n")
        except OSError:
            continue
        files = json.loads("\n".join(lines[:-1]))["files"]
        needed[name] = {file["file"] for file in files if file.get("shared")}
    return needed


def shared_files(place, rows, keys=50_000):
    """Incremental checkpoints share files: one that a checkpoint names is never gone, one that none names goes."""
    folder = "shared-chk"
    sql = os.path.join(os.environ["TMPDIR"], "shared.sql")
    with open(sql, "w", encoding="utf-8") as file:
        file.write(f"""
CREATE TABLE g (a BIGINT, ts AS TO_TIMESTAMP_LTZ(a, 3), WATERMARK FOR ts AS ts) WITH ('connector' = 'datagen',
  'number-of-rows' = '{rows}', 'rows-per-second' = '150000', 'fields.a.kind' = 'sequence', 'fields.a.start' = '1',
  'fields.a.end' = '{rows}');
CREATE TABLE o (a BIGINT, n BIGINT) WITH ('connector' = 'filesystem', 'path' = '{place.url}/shared-out',
  'format' = 'json');
INSERT INTO o SELECT a % {keys}, COUNT(*) FROM TABLE(TUMBLE(TABLE g, DESCRIPTOR(ts), INTERVAL '1' DAY))
GROUP BY a % {keys}, window_start, window_end;""")
    options = ["--checkpoint-dir", f"{place.url}/{folder}", "--checkpoint-interval", "100ms", "-p", "2"]
    seen, missing, chains, kills, verified = set(), [], 0, 0, 0
    process = start(sql, *options)
    begun = time.monotonic()
    while process.poll() is None:
        before = shared_needed(place, folder)
        there = set(place.names(f"{folder}/shared"))
        still = set(complete(place, folder))
        for name in before.keys() & still:  # whole before and behind the look at `shared`
            missing += [(name, file) for file in before[name] - there]
        seen |= there
        names = list(before.values())
        chains += any(a & b for a in names for b in names if a is not b)
        if kills < 3 and time.monotonic() - begun > 1 and before:
            process.kill()
            end(process)
            kills += 1
            verified += run("verify", f"{place.url}/{folder}", command="checkpoints")[0] == 0
            begun = time.monotonic()
            process = start(sql, *options, "--from", f"{place.url}/{folder}")
        time.sleep(0.02)
    code, output = end(process)
    check(code == 0 and kills == 3 and verified == 3, "shared files: killed, whole, restored, and it ends", output)
    check(not missing and chains > 3, "shared files: what a checkpoint names is there", f"{missing} {chains}")
    needed, there = set().union(*shared_needed(place, folder).values()), set(place.names(f"{folder}/shared"))
    check(needed <= there and len(there - needed) <= len(needed) + 8 and len(seen) > 3 * len(there),
          "shared files: what none names goes", f"{len(seen)} seen, {sorted(there - needed)} are left, {needed} needed")
    got = [json.loads(line) for name in place.names("shared-out") if not name.startswith(".")
           for line in place.read(f"shared-out/{name}").splitlines()]
    check(sorted(row["a"] for row in got) == list(range(keys)) and {row["n"] for row in got} == {rows // keys},
          "shared files: each row is counted once", f"{len(got)} rows, {got[:3]}")


def rows_of(place, folder):
    """Sorted numbers of all files that a reader sees."""
    rows = []
    for name in place.names(folder):
        if name.startswith("."):
            continue
        data = place.read(f"{folder}/{name}")
        if name.endswith(".parquet"):
            rows += parquet.read_table(io.BytesIO(data))["a"].to_pylist()
        else:
            rows += [int(line[5:-1]) for line in data.splitlines()]
    return sorted(rows)


def is_whole(place, folder, rows):
    return rows_of(place, folder) == list(range(1, rows + 1))


def killed(place, format, rows, cycles, rate=200_000):
    """Kill -9 at random moments, and restore, until the input is over."""
    out, folder = f"out-{format}", f"chk-{format}"
    chance = random.Random(7)
    kills = 0
    options = ["--checkpoint-dir", f"{place.url}/{folder}", "--checkpoint-interval", "150ms"]
    while True:
        before = complete(place, folder)
        restore = ["--from", f"{place.url}/{folder}"] if before else []
        process = start(job(f"{place.url}/{out}", rows, rate, format), *options, *restore)
        if kills < cycles:
            wait_for_checkpoint(place, folder, before, 10)
            time.sleep(chance.random() * 0.4)
            if process.poll() is None:
                process.kill()
                kills += 1
                process.communicate()
                continue
        code, output = end(process)
        check(code == 0, f"{format}: the job ends after {kills} kills", output)
        break
    check(kills >= cycles / 3, f"{format}: it was killed several times", str(kills))
    check(is_whole(place, out, rows), f"{format}: each row once")
    check(not any(name.startswith(".") for name in place.names(out)), f"{format}: nothing hidden is left",
          str(place.names(out)))
    check(len(complete(place, folder)) <= 2, f"{format}: old checkpoints are removed", str(complete(place, folder)))
    epochs = [name for name in place.names(f"{folder}/lease") if name.endswith(".base")]
    check(len(epochs) == kills + 1, f"{format}: every start took an epoch", str(epochs))


def zombie(name, place, rows):
    """A process is stopped, another takes over and ends, the first goes on: it must neither complete nor commit."""
    out, checkpoints = f"{place.url}/z-out", f"{place.url}/z"
    options = ["--checkpoint-dir", checkpoints, "--checkpoint-interval", "150ms"]
    first = start(job(out, rows, rate=150_000), *options)
    wait_for_checkpoint(place, "z")
    time.sleep(0.2)
    first.send_signal(signal.SIGSTOP)
    code, output = run(job(out, rows, rate=400_000), "--from", checkpoints, *options)
    check(code == 0, f"{name}: the second process takes over and ends", output)
    check(is_whole(place, "z-out", rows), f"{name}: its output is whole")
    kept = sorted(complete(place, "z"))
    first.send_signal(signal.SIGCONT)
    code, output = end(first)
    # its lease, or a file of its own, hidden or of an unfinished checkpoint, which the second has removed
    gone = ("another process", ".inprogress", ".pending", "does not have any open files")
    check(code != 0 and any(text in output for text in gone),
          f"{name}: the first ends with an error", output)
    check(is_whole(place, "z-out", rows), f"{name}: and has published nothing more")
    check(set(kept) <= set(complete(place, "z")), f"{name}: and has removed no checkpoint of the second")


def race(place, rows, writers=8):
    """Processes take a lease on one new folder at once: an epoch each, and one that goes on."""
    script = job(f"{place.url}/race-out", rows, rate=100_000)
    processes = [start(script, "--checkpoint-dir", f"{place.url}/race", "--checkpoint-interval", "100ms")
                 for _ in range(writers)]
    ends = [end(process) for process in processes]
    names = place.names("race/lease")
    epochs = sorted(int(name) for name in names if "." not in name)
    check(epochs == list(range(1, writers + 1)), f"{writers} writers at once: each epoch is taken once", str(names))
    winners = [code for code, _ in ends if code == 0]
    told = ["another process" in output for code, output in ends if code != 0]
    check(len(winners) == 1 and all(told), "one of them goes on, the others are told so", str(ends))
    check(is_whole(place, "race-out", rows), "and only its rows are published")


def tools(place, **variables):
    """The command's tools, which have no job and no SET, find their way by the environment."""
    folder = f"{place.url}/chk-json"
    names = complete(place, "chk-json")
    code, output = run("list", folder, command="checkpoints", **variables)
    check(code == 0 and names and all(name in output for name in names), "sabot checkpoints list", output)
    code, output = run("verify", f"{folder}/{names[-1]}", command="checkpoints", **variables)
    check(code == 0, "sabot checkpoints verify", output)


def read_back(place, rows):
    sql = os.path.join(os.environ["TMPDIR"], "read.sql")
    for format in ("json", "parquet"):
        with open(sql, "w", encoding="utf-8") as file:
            file.write(f"""CREATE TABLE o (a BIGINT) WITH ('connector' = 'filesystem', 'format' = '{format}',
  'path' = '{place.url}/out-{format}');
SELECT count(*), count(DISTINCT a), min(a), max(a) FROM o;""")
        code, output = run(sql)
        check(code == 0 and f"{rows},{rows},1,{rows}" in output, f"{format}: the source reads it back", output)
