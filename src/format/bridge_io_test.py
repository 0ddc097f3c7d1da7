"""Files for bridge_io_test.c: `make DIR` writes them with pyarrow, `check DIR` compares what the bridge made of them."""
import datetime, decimal, os, random, sys
import pyarrow as pa, pyarrow.ipc as ipc, pyarrow.parquet as pq


def table(rows, plain):
    rnd = random.Random(7)
    maybe = lambda value: None if rnd.random() < 0.1 else value
    word = lambda: "".join(rnd.choice("abcdefghijklmnopqrstuvwxyzäß€😀") for _ in range(rnd.choice([0, 3, 12, 13, 40])))
    columns = {
        "i8": pa.array([maybe(rnd.randrange(-128, 128)) for _ in range(rows)], pa.int8()),
        "i32": pa.array([maybe(rnd.randrange(-2**31, 2**31)) for _ in range(rows)], pa.int32()),
        "i64": pa.array(range(rows), pa.int64()),
        "u16": pa.array([maybe(rnd.randrange(2**16)) for _ in range(rows)], pa.uint16()),
        "f64": pa.array([maybe(rnd.random() * 1e9) for _ in range(rows)], pa.float64()),
        "flag": pa.array([maybe(rnd.random() < 0.5) for _ in range(rows)], pa.bool_()),
        "text": pa.array([maybe(word()) for _ in range(rows)], pa.string()),
        "bytes": pa.array([maybe(rnd.randbytes(rnd.randrange(30))) for _ in range(rows)], pa.binary()),
        "dec": pa.array([maybe(decimal.Decimal(rnd.randrange(10**20)).scaleb(-3)) for _ in range(rows)], pa.decimal128(23, 3)),
        "day": pa.array([maybe(datetime.date(2015, 7, 14) + datetime.timedelta(rnd.randrange(999))) for _ in range(rows)]),
        "ts": pa.array([maybe(rnd.randrange(2**41)) for _ in range(rows)], pa.timestamp("ms")),
        "tsus": pa.array([maybe(rnd.randrange(2**50)) for _ in range(rows)], pa.timestamp("us", tz="UTC")),
        "list": pa.array([maybe([maybe(word()) for _ in range(rnd.randrange(4))]) for _ in range(rows)], pa.list_(pa.string())),
        "row": pa.array([maybe({"a": maybe(rnd.randrange(9)), "b": maybe(word())}) for _ in range(rows)],
                        pa.struct([("a", pa.int64()), ("b", pa.string())])),
        "map": pa.array([maybe([(word(), rnd.randrange(9))]) for _ in range(rows)], pa.map_(pa.string(), pa.int32())),
    }
    if not plain:
        columns["dict"] = pa.array([maybe(rnd.choice(["red", "green", "a colour with a long name"])) for _ in range(rows)],
                                   pa.string()).dictionary_encode()
        columns["large"] = pa.array([maybe(word()) for _ in range(rows)], pa.large_string())
    return pa.table(columns)


def make(folder):
    for rows, name in ((10000, "big"), (40, "small"), (0, "empty")):
        t = table(rows, False)
        pq.write_table(t, f"{folder}/{name}_zstd.parquet", compression="zstd", row_group_size=3000)
        with ipc.new_file(f"{folder}/{name}_zstd.arrow", t.schema, options=ipc.IpcWriteOptions(compression="zstd")) as w:
            w.write_table(t, max_chunksize=3000)
        with ipc.new_stream(f"{folder}/{name}_lz4.arrows", t.schema, options=ipc.IpcWriteOptions(compression="lz4")) as w:
            w.write_table(t, max_chunksize=3000)
    t = table(10000, False)
    for codec in ("none", "snappy", "lz4", "gzip"):
        pq.write_table(t, f"{folder}/big_{codec}.parquet", compression=codec, row_group_size=4096, use_dictionary=codec != "none",
                       data_page_version="2.0" if codec == "lz4" else "1.0")
    with ipc.new_file(f"{folder}/big_none.arrow", t.schema) as w:
        w.write_table(t, max_chunksize=1000)
    views = pa.table({"v": t["text"].cast(pa.string_view()), "i64": t["i64"]})
    with ipc.new_stream(f"{folder}/big_views.arrows", views.schema) as w:
        w.write_table(views, max_chunksize=1000)


def read(path, kind):
    if kind == "parquet":
        return pq.ParquetFile(path).read()
    with open(path, "rb") as f:
        reader = ipc.open_file(f) if kind == "arrow" else ipc.open_stream(f)
        return reader.read_all()


def check(folder):
    compared = 0
    for name in sorted(os.listdir(folder)):
        if ".from." not in name:
            continue
        made, original = name.split(".from.")
        got = read(f"{folder}/{name}", made.split(".")[1])
        want = read(f"{folder}/{original}", original.split(".")[1])
        assert got.column_names == want.column_names, (name, got.schema)
        for column in want.column_names:
            kind = str(got.schema.field(column).type)
            assert "view" not in kind, (name, column, kind)
            assert got[column].to_pylist() == want[column].to_pylist(), (name, column)
        got.validate(full=True)
        compared += 1
    assert compared == int(sys.argv[3]), f"{compared} files compared, {sys.argv[3]} expected"


{"make": make, "check": check}[sys.argv[1]](sys.argv[2])
