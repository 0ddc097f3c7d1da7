"""Faults of the network: checkpoints and files on S3, a real server, through a proxy that cuts connections, delays, gives bytes
piecemeal and keeps answers back, by a seed. A job rides over that, or ends with an error; then a run without faults makes
the output whole. No row is lost, none comes twice, nothing hangs."""
import collections, os, pathlib, random, select, socket, struct, subprocess, threading, time
from concurrent.futures import ThreadPoolExecutor

import joined
from joined import ROOT, SABOT

SERVER = ROOT / "tools" / "components" / "s3" / "s3"
ROWS, RATE = 30_011, 60_000  # a prime: each number below it is a k
HANG = 90  # seconds
KINDS = ("cut request", "cut answer", "answers kept back", "delays", "small pieces")


class Proxy:
    """Forwards connections to the server; what goes wrong with the n-th is drawn from the seed."""

    def __init__(self, seed, upstream):
        rng = random.Random(seed)
        self.seed, self.upstream, self.n, self.done = seed, upstream, 0, collections.Counter()
        self.share = rng.choice((0.1, 0.3, 0.6, 0.9))
        self.kinds = rng.sample(KINDS, rng.randint(1, len(KINDS)))
        self.socket = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}"
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                client, _ = self.socket.accept()
            except OSError:
                return
            self.n += 1
            threading.Thread(target=self.forward, args=(client, random.Random(f"{self.seed} {self.n}")), daemon=True).start()

    def forward(self, client, rng):
        kind = rng.choice(self.kinds) if rng.random() < self.share else None
        after = rng.choice((rng.randint(0, 2_000), rng.randint(0, 60_000)))  # bytes until it begins
        with client, socket.create_connection(self.upstream) as server:
            passed = {client: 0, server: 0}
            while True:
                for source in select.select([client, server], [], [])[0]:
                    try:
                        data = source.recv(65536)
                        if not data:
                            return
                        if not self.give(kind, rng, after, passed, source, client, server, data):
                            return
                    except OSError:
                        return

    def give(self, kind, rng, after, passed, source, client, server, data):
        """Passes bytes on; False: the connection is over."""
        target = server if source is client else client
        passed[source] += len(data)
        if kind == "delays":
            time.sleep(rng.uniform(0, 0.1))
        elif kind == "small pieces":
            for at in range(0, min(len(data), 2000), 50):
                target.sendall(data[at:at + 50])
            data = data[2000:]
        elif kind == "answers kept back" and source is server and passed[source] > after:
            self.done[kind] += 1
            return True  # what it said is never heard; the client gives up at its time-out
        elif kind and kind == ("cut request" if source is client else "cut answer") and passed[source] > after:
            self.done[kind] += 1
            target.sendall(data[:len(data) - (passed[source] - after)] if passed[source] - after < len(data) else b"")
            if rng.random() < 0.5:  # with a reset, or as one that closes in order
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return False
        if kind in ("delays", "small pieces"):
            self.done[kind] += 1
        target.sendall(data)
        return True

    def close(self):
        self.socket.close()


def run(name, endpoint, restored, seed):
    sql = joined.script(f"s3://test/{name}/out", ROWS, RATE, "twice BIGINT", "id * 2")
    settings = ["--set", "store.timeout=1s", "--set", f"store.retries={seed % 3}"] if seed is not None else []
    process = subprocess.Popen([SABOT, "run", "-e", sql, "-p", "2", "--checkpoint-dir", f"s3://test/{name}/checkpoints",
                                "--checkpoint-interval", "50ms", *settings,
                                *(["--from", f"s3://test/{name}/checkpoints"] if restored else [])],
                               stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                               env={**os.environ, "AWS_ENDPOINT_URL": endpoint, "AWS_ACCESS_KEY_ID": "test",
                                    "AWS_SECRET_ACCESS_KEY": "testtest"})
    try:
        said = process.communicate(timeout=HANG)[1]
    except subprocess.TimeoutExpired:
        process.kill()
        return None, process.communicate()[1]
    return process.returncode, said


def wrong(folder):
    return joined.wrong(folder, ROWS, lambda n: 2 * n)


def seed_run(seed, url, data):
    """(what became of it, what is wrong, what the proxy did)"""
    host, port = url.removeprefix("http://").split(":")
    proxy, name = Proxy(seed, (host, int(port))), f"net-{seed}"
    folder = data / "test" / name
    code, said = run(name, proxy.url, False, seed)
    proxy.close()
    if code is None:
        return "hang", f"no end in {HANG} s: {said[-800:]}", proxy.done
    if code == 0:
        return "rode over", wrong(folder), proxy.done
    if code < 0 or "s3://" not in said and "checkpoint" not in said:
        return "died", f"exit code {code}: {said[-800:]}", proxy.done
    restored = any((folder / "checkpoints").glob("chk-*/MANIFEST"))
    code, said = run(name, url, restored, None)
    return "failed", f"the restart ended with {code}: {said[-800:]}" if code else wrong(folder), proxy.done


def sweep(folder, seeds):
    """Lines (point, what became of it, what is wrong), and how often the proxy did what."""
    url = subprocess.run([SERVER, "start", folder], capture_output=True, text=True, check=True).stdout.split()[-1]
    try:
        with ThreadPoolExecutor(6) as pool:
            found = list(pool.map(lambda seed: seed_run(seed, url, folder / "data"), seeds))
    finally:
        subprocess.run([SERVER, "stop", folder], check=False)
    done = sum((each[2] for each in found), collections.Counter())
    return [(f"network:{seed}", what, problem) for seed, (what, problem, _) in zip(seeds, found)], done
