"""The job of spilled.py and network.py: two generated tables are joined into files, each number below `rows` once."""
import collections, os, pathlib

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
SABOT = os.environ.get("SABOT", str(ROOT / "build" / "sabot"))


def script(out, rows, rate, column, expression):
    """rows: a prime, so that each number below it is a k."""
    def table(name, more):
        return (f"CREATE TABLE {name} (id BIGINT, {more}) WITH ('connector' = 'datagen', 'rows-per-second' = '{rate}', "
                f"'fields.id.kind' = 'sequence', 'fields.id.start' = '1', 'fields.id.end' = '{rows}');\n")

    return (table("e", f"value_ AS {expression}") + table("f", f"k AS CAST(id * 7919 % {rows} AS BIGINT)") +
            f"CREATE TABLE o (id BIGINT, {column}) WITH ('connector' = 'filesystem', 'path' = '{out}', 'format' = 'csv');\n"
            "INSERT INTO o SELECT e.id, e.value_ FROM e JOIN f ON e.id = f.k;")


def wrong(folder, rows, value):
    """What is not so, where not each row is there once with value(id)."""
    lines = [line for path in (folder / "out").glob("[!.]*") for line in path.read_text().split("\n") if line]
    if collections.Counter(lines) == collections.Counter(f"{n},{value(n)}" for n in range(1, rows)):
        return ""
    return f"{len(lines)} rows, {len(set(lines))} of them different, instead of {rows - 1}"
