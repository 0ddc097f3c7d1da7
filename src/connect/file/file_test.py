"""Files for file_test.c: `make DIR` writes the same rows in every format and compression with pyarrow and the standard
library; `check DIR PATTERN` compares what Sabot wrote in other formats with them."""
import csv, datetime, decimal, glob, gzip, io, json, os, random, sys
import pyarrow as pa, pyarrow.ipc as ipc, pyarrow.parquet as pq

ROWS = 20000


def rows():
    rnd = random.Random(11)
    maybe = lambda value: None if rnd.random() < 0.1 else value
    words = ["x", "a longer text, with a comma", 'with "quotes"', "two\nlines", "äß€😀", "back\\slash", "tab\t."]
    for i in range(ROWS):
        yield {
            "id": i,
            "name": maybe(rnd.choice(words) + str(rnd.randrange(10**6))),
            "price": maybe(rnd.randrange(4, 40000) / 4),
            "flag": maybe(rnd.random() < 0.5),
            "ts": maybe(datetime.datetime(2015, 7, 14, 23, 59, 10) + datetime.timedelta(milliseconds=rnd.randrange(10**9))),
            "amount": maybe(decimal.Decimal(rnd.randrange(-10**12, 10**15)).scaleb(-3)),
            "r": maybe({"a": maybe(rnd.randrange(99)), "b": maybe(rnd.choice(words))}),
            "l": maybe([maybe(rnd.randrange(9)) for _ in range(rnd.randrange(4))]),
        }


def stamp(value):
    text = value.strftime("%Y-%m-%d %H:%M:%S")
    return text + (".%06d" % value.microsecond).rstrip("0") if value.microsecond else text


def line(row, columns):
    parts = []
    for key in columns:
        value = row[key]
        if isinstance(value, decimal.Decimal):
            text = f"{value:.3f}"
        elif isinstance(value, datetime.datetime):
            text = json.dumps(stamp(value))
        else:
            text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        parts.append(json.dumps(key) + ":" + text)
    return "{" + ",".join(parts) + "}\n"


FLAT = ["id", "name", "price", "flag", "ts", "amount"]
ALL = FLAT + ["r", "l"]
SCHEMA = pa.schema([("id", pa.int32()), ("name", pa.string()), ("price", pa.float64()), ("flag", pa.bool_()),
                    ("ts", pa.timestamp("us")), ("amount", pa.decimal128(20, 3)),
                    ("r", pa.struct([("zz", pa.int8()), ("b", pa.string()), ("a", pa.int16())])), ("l", pa.list_(pa.int32()))])


def make(folder):
    all_rows = list(rows())
    os.makedirs(folder)
    text = "".join(line(row, ALL) for row in all_rows)
    put = lambda name, data: open(f"{folder}/{name}", "wb").write(data)
    put("expected.all", text.encode())
    put("expected.flat", "".join(line(row, FLAT) for row in all_rows).encode())
    put("a.json", text.encode())
    put("crlf.json", b"\xef\xbb\xbf" + text.replace("}\n", "}\r\n\r\n").rstrip().encode())
    put("a.json.gz", gzip.compress(text[:1000000].encode()) + gzip.compress(text[1000000:].encode()))
    for codec, end in (("zstd", "zst"), ("lz4", "lz4")):
        with pa.CompressedOutputStream(f"{folder}/a.json.{end}", codec) as out:
            out.write(text.encode())
    for newline, name in (("\n", "a.csv"), ("\r\n", "crlf.csv")):
        out = io.StringIO(newline="")
        writer = csv.writer(out, lineterminator=newline)
        writer.writerow(FLAT)
        for row in all_rows:
            writer.writerow(["\\N" if row[k] is None else stamp(row[k]) if k == "ts" else str(row[k]).lower() if k == "flag"
                             else row[k] for k in FLAT])
        put(name, (("\ufeff" if name == "crlf.csv" else "") + out.getvalue()).encode())
    for row in all_rows:
        if row["r"]:
            row["r"]["zz"] = 1
    table = pa.Table.from_pylist(all_rows, SCHEMA).select(list(reversed(ALL)))
    pq.write_table(table, f"{folder}/a.parquet", row_group_size=3000)
    with ipc.new_file(f"{folder}/a.arrow", table.schema) as writer:
        writer.write_table(table, max_chunksize=3000)
    with ipc.new_stream(f"{folder}/stream.arrow", table.schema) as writer:
        writer.write_table(table, max_chunksize=3000)
    put("cut.json.gz", open(f"{folder}/a.json.gz", "rb").read()[:200000])
    put("cut.parquet", open(f"{folder}/a.parquet", "rb").read()[:-1000])
    put("cut.arrow", open(f"{folder}/a.arrow", "rb").read()[:-1000])
    put("empty.json", b"")
    put("empty.csv", b"")
    put("blank.json", b"\n\r\n  \n")
    put("bad.json", b'{"id":1}\nnonsense\n\xff\xfe\n{"id":2,"price":1e999}\n{"id":123456789012345678901234567890}\n{"id":3')


def check(folder, pattern):
    got = []
    for path in glob.glob(pattern):
        table = pq.ParquetFile(path).read() if path.endswith("parquet") else ipc.open_file(path).read_all()
        assert table.schema.field("name").type == pa.string(), table.schema
        got += table.to_pylist()
    got = sorted(line(row, ALL) for row in got)
    want = sorted(open(f"{folder}/expected.all").readlines())
    assert got == want, (len(got), len(want), next((g, w) for g, w in zip(got, want) if g != w))


{"make": make, "check": check}[sys.argv[1]](*sys.argv[2:])
