"""Situations that a script alone does not make: damaged checkpoints and files, closed pipes, full disks, no permission.

A case gets a folder of its own, and says what is wrong as an AssertionError; Skip says why it can't be tried here.
"""
import os, pathlib, random, resource, signal, subprocess, sys, time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
SABOT = os.environ.get("SABOT", str(ROOT / "build" / "sabot"))
USAGE, SQL, DATA, IO, MEMORY, STATE = 2, 3, 5, 6, 7, 8
CASES = []


class Skip(Exception):
    pass


def case(f):
    CASES.append(f)
    return f


def sabot(*arguments, codes=(0,), words="", timeout=60, **options):
    options = dict({"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}, **options)
    done = subprocess.run([SABOT, *arguments], timeout=timeout, **options)
    text = (done.stderr or b"").decode(errors="replace")
    assert done.returncode in codes, f"exit {done.returncode}, expected {codes}: {text.strip()[-400:]}"
    assert done.returncode == 0 or options["stderr"] != subprocess.PIPE or text.strip(), "no message"
    assert words.lower() in text.lower(), f"no {words!r} in {text.strip()[-400:]!r}"
    return done.stdout


def files(path, format, columns="n BIGINT", name="t", more=""):
    return f"CREATE TABLE {name} ({columns}) WITH ('connector' = 'filesystem', 'path' = '{path}', 'format' = '{format}'{more});"


JOB = ("CREATE TABLE g (n BIGINT) WITH ('connector' = 'datagen', 'rows-per-second' = '2000', 'number-of-rows' = '{rows}', "
       "'fields.n.kind' = 'sequence', 'fields.n.start' = '1', 'fields.n.end' = '{rows}');"
       "CREATE TABLE o (k BIGINT, c BIGINT) WITH ('connector' = 'blackhole');"
       "INSERT INTO o SELECT MOD(n, 100) AS k, COUNT(*) AS c FROM g GROUP BY MOD(n, 100)")
made = {}


def checkpoints(folder):
    """A folder with complete checkpoints of JOB, a copy for each case."""
    if "from" not in made:
        made["from"] = str(folder / "first")
        sabot("run", "--checkpoint-dir", made["from"], "--checkpoint-interval", "200ms", "--timeout", "1500ms", "-e",
              JOB.format(rows=1000000), codes=(130,), words="not complete")
        made["from"] = subprocess.run(["cp", "-r", made["from"], folder.parent / "kept"], check=True) and str(folder.parent / "kept")
    target = folder / "checkpoints"
    subprocess.run(["cp", "-r", made["from"], target], check=True)
    newest = sorted(target.rglob("MANIFEST"), key=lambda p: int(p.parent.name.rsplit("-", 1)[1]))[-1].parent
    return newest


def start_from(path, codes, words):
    sabot("run", "--from", str(path), "--timeout", "1s", "-e", JOB.format(rows=1000000), codes=codes, words=words)


@case
def a_whole_checkpoint_is_taken(folder):
    start_from(checkpoints(folder), (130,), "not complete")  # it goes on, and its input has not ended when it is stopped


@case
def a_checkpoint_with_a_flipped_byte(folder):
    newest = checkpoints(folder)
    states = list(newest.glob("*.arrow"))
    assert states, f"no state in {newest}"
    path = max(states, key=lambda p: p.stat().st_size)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    start_from(newest, (IO, STATE), path.name)


@case
def a_checkpoint_without_one_of_its_files(folder):
    newest = checkpoints(folder)
    path = next(newest.glob("*.arrow"))
    path.unlink()
    start_from(newest, (IO, STATE), path.name)


@case
def a_checkpoint_with_a_cut_file(folder):
    newest = checkpoints(folder)
    path = next(newest.glob("*.arrow"))
    path.write_bytes(path.read_bytes()[:-9])
    start_from(newest, (IO, STATE), path.name)


@case
def a_manifest_that_is_damaged(folder):
    newest = checkpoints(folder)
    whole = (newest / "MANIFEST").read_bytes()
    for data in (b"", whole[:-1], whole[:len(whole) // 2], whole.replace(b'"rows": ', b'"rows": 9', 1), bytes(2000)):
        (newest / "MANIFEST").write_bytes(data)
        start_from(newest, (IO, STATE), "MANIFEST")


@case
def no_checkpoint_where_it_should_be(folder):
    start_from(folder / "nothing", (IO, STATE), "nothing")
    (folder / "empty").mkdir()
    start_from(folder / "empty", (IO, STATE), "empty")
    (folder / "file").write_text("no checkpoint")
    start_from(folder / "file", (IO, STATE), "file")


@case
def a_checkpoint_of_another_job(folder):
    sabot("run", "--from", str(checkpoints(folder)), "--timeout", "5s", "-e", "CREATE TABLE x (a INT) WITH ('connector' = "
          "'datagen', 'number-of-rows' = '5'); CREATE TABLE o (a INT) WITH ('connector' = 'blackhole'); INSERT INTO o SELECT "
          "a FROM x", codes=(STATE,), words="not in this job")


def table_files(folder):
    import pyarrow as pa, pyarrow.ipc, pyarrow.parquet
    table = pa.table({"n": pa.array(range(20000), pa.int64()), "s": [f"text {i % 97}" for i in range(20000)]})
    pa.parquet.write_table(table, folder / "whole.parquet", row_group_size=5000)
    with pa.ipc.new_file(folder / "whole.arrow", table.schema) as out:
        out.write_table(table, 5000)
    return {"parquet": (folder / "whole.parquet").read_bytes(), "arrow": (folder / "whole.arrow").read_bytes()}


@case
def files_that_end_early(folder):
    for format, data in table_files(folder).items():
        for size in (0, 1, 8, 12, len(data) // 4, len(data) // 2, len(data) - 9, len(data) - 1):
            path = folder / f"cut-{size}.{format}"
            path.write_bytes(data[:size])
            sabot("run", "-e", files(path, format, "n BIGINT, s STRING") + "SELECT SUM(n), MAX(s) FROM t",
                  codes=(DATA, IO), words=path.name)


@case
def files_with_flipped_bits(folder):
    seed = int(os.environ.get("SABOT_SEED", time.time_ns() % 1000000))
    chance = random.Random(seed)
    for format, data in table_files(folder).items():
        for i in range(25):
            damaged = bytearray(data)
            for _ in range(chance.randint(1, 3)):
                damaged[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
            path = folder / f"flipped.{format}"
            path.write_bytes(damaged)
            try:
                sabot("run", "--memory", "512mb", "-e", files(path, format, "n BIGINT, s STRING") + "SELECT SUM(n), MAX(s) "
                      "FROM t", codes=(0, DATA, IO, MEMORY))
            except AssertionError as problem:
                raise AssertionError(f"SABOT_SEED={seed}, {format} {i}: {problem}") from None


@case
def absurd_options_and_sizes(folder):
    for key, value in (("sabot.batch-rows", "0"), ("sabot.batch-rows", "-5"), ("sabot.batch-rows", "99999999999999999999"),
                       ("parallelism.default", "2000000000"), ("parallelism.default", "-1"),
                       ("execution.checkpointing.interval", "-1 s"), ("execution.checkpointing.interval", "1 fortnight"),
                       ("sabot.latency-target", "99999999999999999 d"), ("table.local-time-zone", "Mars/Olympus")):
        sabot("run", "--set", f"{key}={value}", "-e", "SELECT 1", codes=(USAGE, SQL), words=value.split()[0].lstrip("-"))
    for size in ("-1", "0x10", "1e999", "99999999999 tb", "", "5 bananas"):
        sabot("run", "--memory", size, "-e", "SELECT 1", codes=(USAGE,), words="--memory")
    for option in ("'number-of-rows' = '-1'", "'rows-per-second' = '99999999999999999999'", "'fields.n.min' = 'x'",
                   "'fields.n.kind' = 'sequence'"):
        sabot("run", "-e", f"CREATE TABLE t (n BIGINT) WITH ('connector' = 'datagen', {option}); SELECT n FROM t",
              codes=(SQL, DATA), words="'" if "sequence" not in option else "fields.n.")
    sabot("run", "-e", "SELECT " + "(" * 100000 + "1", codes=(SQL,), words="nested")
    sabot("run", "-e", "SELECT '" + "x" * 100000 + "' AS a WHERE 1 = 2")
    sabot("run", "--memory", "64mb", "-e", "SELECT REPEAT(s, 2000000000) FROM (VALUES ('x')) AS t (s)", codes=(DATA, MEMORY))


@case
def folders_where_files_are_expected(folder):
    (folder / "d").mkdir()
    sabot("run", str(folder / "d"), codes=(IO,), words="d")
    sabot("explain", str(folder / "d"), codes=(IO,))
    sabot("run", "--checkpoint-dir", "/dev/null", "-e", JOB.format(rows=100), codes=(IO, STATE), words="/dev/null")
    for format in ("json", "parquet", "arrow"):
        sabot("run", "-e", files(folder / "d", format) + "SELECT n FROM t")  # a folder without files is an empty table


@case
def kafka_that_does_not_answer(folder):
    table = ("CREATE TABLE k (a INT) WITH ('connector' = 'kafka', 'topic' = 't', 'format' = 'json', "
             "'properties.bootstrap.servers' = '127.0.0.1:1', 'scan.startup.mode' = 'earliest-offset'")
    start = time.monotonic()
    sabot("run", "--timeout", "50s", "-e", table + ", 'scan.bounded.mode' = 'latest-offset'); SELECT a FROM k", codes=(IO,),
          words="127.0.0.1:1", timeout=120)
    assert time.monotonic() - start < 70
    sabot("run", "--timeout", "50s", "-e", table + "); INSERT INTO k VALUES (1)", codes=(IO,), words="127.0.0.1:1", timeout=120)
    sabot("run", "-e", table.replace("127.0.0.1:1", "no port here") + "); SELECT a FROM k", codes=(IO, SQL, DATA), words="no port",
          timeout=120)


def as_nobody(folder):
    if os.geteuid() != 0:
        return {}
    folder.chmod(0o755)
    for parent in folder.parents:
        if not parent.stat().st_mode & 1:
            raise Skip(f"as root every file can be read, and {parent} keeps other users out")
    options = {"user": 65534, "group": 65534, "extra_groups": []}
    try:
        if subprocess.run([SABOT, "--version"], capture_output=True, **options).returncode != 0:
            raise Skip("as root every file can be read, and another user can't run the command")
    except PermissionError:
        raise Skip("as root every file can be read, and another user can't run the command") from None
    return options


@case
def no_permission(folder):
    options = as_nobody(folder)
    (folder / "secret.json").write_text('{"n": 1}\n')
    (folder / "secret.json").chmod(0)
    (folder / "locked").mkdir(mode=0o555)
    (folder / "closed").mkdir(mode=0)
    sabot("run", "-e", files(folder / "secret.json", "json") + "SELECT n FROM t", codes=(IO,), words="secret.json", **options)
    sabot("run", str(folder / "secret.json"), codes=(IO,), words="secret.json", **options)
    sabot("run", "-e", files(folder / "closed", "json") + "SELECT n FROM t", codes=(IO,), words="closed", **options)
    sabot("run", "-e", files(folder / "locked" / "o", "json") + "INSERT INTO t VALUES (1)", codes=(IO,), words="locked", **options)
    sabot("run", "--checkpoint-dir", str(folder / "locked" / "c"), "-e", JOB.format(rows=100), codes=(IO, STATE), words="locked",
          **options)


ROWS = ("CREATE TABLE g (n BIGINT, s STRING) WITH ('connector' = 'datagen', 'number-of-rows' = '300000', 'fields.n.kind' = "
        "'sequence', 'fields.n.start' = '1', 'fields.n.end' = '300000', 'fields.s.length' = '100');")


@case
def a_device_that_is_full(folder):
    for output in ("csv", "json", "table", "arrow"):
        with open("/dev/full", "wb") as full:
            sabot("run", "-o", output, "-e", ROWS + "SELECT n, s FROM g", codes=(IO,), words="no space", stdout=full)


def mounted(folder):
    try:
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "sabot-test", folder], capture_output=True)
    except FileNotFoundError:
        raise Skip("no mount command") from None
    if done.returncode != 0:
        raise Skip("a small file system can't be mounted here: " + done.stderr.decode().strip())


@case
def a_disk_that_is_full(folder):
    disk = folder / "disk"
    disk.mkdir()
    mounted(disk)
    try:
        for format in ("json", "csv", "parquet", "arrow"):
            sabot("run", "-e", ROWS + files(disk / format, format, "n BIGINT, s STRING", "o") + "INSERT INTO o SELECT n, s FROM g",
                  codes=(IO,), words="no space")
            assert not [p for p in (disk / format).rglob("part-*") if not p.name.startswith(".")], "a cut file is committed"
            subprocess.run(["rm", "-rf", disk / format], check=True)
        sabot("run", "--checkpoint-dir", str(disk / "c"), "--checkpoint-interval", "100ms", "-e", ROWS + files(disk / "o", "json",
              "n BIGINT, s STRING", "o") + "INSERT INTO o SELECT n, s FROM g", codes=(IO, STATE), words="no space")
    finally:
        subprocess.run(["umount", disk], check=True)


@case
def a_file_that_may_not_grow(folder):
    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100000, 100000))
    sabot("run", "-e", ROWS + files(folder / "o", "json", "n BIGINT, s STRING", "o") + "INSERT INTO o SELECT n, s FROM g",
          codes=(IO,), words="too large", preexec_fn=limit)


@case
def a_reader_that_goes_away(folder):
    for output in ("csv", "json", "table", "arrow"):
        run = subprocess.Popen([SABOT, "run", "-o", output, "-e", ROWS + "SELECT n, s FROM g"], stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE)
        run.stdout.read(10)
        run.stdout.close()
        err = run.stderr.read().decode()
        code = run.wait(timeout=30)
        assert code == IO and "pipe" in err.lower(), f"{output}: exit {code}: {err}"
    run = subprocess.Popen([SABOT, "run", "-e", ROWS + "CREATE TABLE p (n BIGINT) WITH ('connector' = 'print'); INSERT INTO p "
                            "SELECT n FROM g"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    run.stdout.read(10)
    run.stdout.close()
    err = run.stderr.read().decode()
    assert run.wait(timeout=30) == IO and "pipe" in err.lower(), f"print: {err}"


@case
def closed_standard_streams(folder):
    table = files("-", "json") + "SELECT n FROM t"
    script = f'exec "$@" {{}}'
    for closed, arguments, codes in (("<&-", ["run", "-"], (IO, SQL)), ("<&-", ["sql"], (0, IO)),
                                     ("<&-", ["run", "-e", table], (0, IO)), (">&-", ["run", "-e", "SELECT 1"], (IO,)),
                                     ("2>&-", ["run", "-e", "SELECT 1"], (0,)), ("2>&-", ["run", "-e", "SELEC"], (SQL,)),
                                     ("<&- >&- 2>&-", ["run", "-e", "SELECT 1"], (IO,))):
        done = subprocess.run(["bash", "-c", script.format(closed), "x", SABOT, *arguments], capture_output=True, timeout=60)
        assert done.returncode in codes, f"{closed} {arguments}: exit {done.returncode}: {done.stderr.decode()[-300:]}"


@case
def a_script_without_end_on_standard_input(folder):
    with open("/dev/zero", "rb") as zeros:
        sabot("run", "-", codes=(SQL, MEMORY), stdin=zeros)
    with open("/dev/urandom", "rb") as noise:
        sabot("run", "-", codes=(SQL, MEMORY), stdin=noise)
