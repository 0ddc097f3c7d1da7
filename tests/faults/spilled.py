"""Faults of the maps that hold state larger than memory: a job of the `sabot` command, as the sweep's own state is small."""
import os, pathlib, shutil, subprocess

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
SABOT = os.environ.get("SABOT", str(ROOT / "build" / "sabot"))
ROWS = 100_003  # a prime: each number below it is a k
MEMORY = "20mb"
CRASHED = -9


def script(folder):
    def table(name, column):
        return (f"CREATE TABLE {name} (id BIGINT, {column}) WITH ('connector' = 'datagen', 'rows-per-second' = '1000000000', "
                f"'fields.id.kind' = 'sequence', 'fields.id.start' = '1', 'fields.id.end' = '{ROWS}');\n")
    return (table("e", "name AS 'the name of event number ' || CAST(id AS VARCHAR)") +
            table("f", f"k AS CAST(id * 7919 % {ROWS} AS BIGINT)") +
            f"CREATE TABLE o (id BIGINT, name STRING) WITH ('connector' = 'filesystem', 'path' = '{folder}/out', 'format' = "
            "'csv');\nINSERT INTO o SELECT e.id, e.name FROM e JOIN f ON e.id = f.k;")


def run(folder, fault=None):
    checkpoints = folder / "checkpoints"
    start = ["--from", checkpoints] if list(checkpoints.glob("chk-*/MANIFEST")) else []
    done = subprocess.run([SABOT, "run", "-e", script(folder), "--memory", MEMORY, "-p", "2", "--checkpoint-dir", checkpoints,
                           "--checkpoint-interval", "30ms", *start], capture_output=True, text=True, timeout=120,
                          env={**os.environ, **({"SABOT_FAULT_AT": fault} if fault else {})})
    return done.returncode, done.stderr


def wrong(folder):
    """Each row once; or what is not so."""
    lines = [line for path in (folder / "out").glob("[!.]*") for line in path.read_text().split("\n") if line]
    if sorted(lines) == sorted(f"{n},the name of event number {n}" for n in range(1, ROWS)):
        return ""
    return f"{len(lines)} rows, {len(set(lines))} of them different, instead of {ROWS - 1}"


def point(folder, fault):
    """(what became of it, what is wrong)"""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    code, said = run(folder, fault)
    if code == 0:
        return "rode over", wrong(folder)
    if code == CRASHED and fault.endswith("crash"):
        what = "crashed"
    elif code > 0 and ("Input/output error" in said or "No space left" in said):
        what = "failed"
    else:
        return "died", f"exit code {code}: {said[-500:]}"
    code, said = run(folder)
    return what, f"the restart failed ({code}): {said[-500:]}" if code else wrong(folder)


def sweep(folder, long):
    """Lines (point, what became of it, what is wrong), as the sweep's own; some points, or all."""
    results, n = [], 1
    while n < 1000:
        what, problem = point(folder, f"map:{n}:crash")
        results.append((f"map:{n}:crash", what, problem))
        if what == "rode over":  # there are no more
            results.pop()
            break
        for kind in ("error", "full") if long or n % 16 == 1 else ():
            results.append((f"map:{n}:{kind}", *point(folder, f"map:{n}:{kind}")))
        n += 1 if long else 8
    if n < 10:
        results.append(("map", "died", f"only {n - 1} maps: the test does not test"))
    return results
