"""Faults of the maps that hold state larger than memory: a job of the `sabot` command, as the sweep's own state is small."""
import os, shutil, subprocess

import joined
from joined import SABOT

ROWS = 100_003  # a prime: each number below it is a k
MEMORY = "20mb"
CRASHED = -9


def run(folder, fault=None):
    checkpoints = folder / "checkpoints"
    start = ["--from", checkpoints] if list(checkpoints.glob("chk-*/MANIFEST")) else []
    sql = joined.script(folder / "out", ROWS, 1_000_000_000, "name STRING",
                        "'the name of event number ' || CAST(id AS VARCHAR)")
    done = subprocess.run([SABOT, "run", "-e", sql, "--memory", MEMORY, "-p", "2", "--checkpoint-dir", checkpoints,
                           "--checkpoint-interval", "30ms", *start], capture_output=True, text=True, timeout=120,
                          env={**os.environ, **({"SABOT_FAULT_AT": fault} if fault else {})})
    return done.returncode, done.stderr


def wrong(folder):
    return joined.wrong(folder, ROWS, lambda n: f"the name of event number {n}")


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
