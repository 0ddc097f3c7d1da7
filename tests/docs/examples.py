"""The examples of docs/guide are run, each page in a folder and a shell of its own, and what they print is compared with what
the page shows. `run --write` puts what was printed into the pages instead.

A page may hold blocks of two kinds. ```sql NAME is the file NAME. ```console is what a terminal shows: commands behind `$ `,
then what they print, errors too. In it `...` stands for anything, on a line of its own for any lines; times, random
names, and what a comment <!-- varies: REGEX --> matches are not compared. A command that ends in & is a job: the next one
waits until the job has taken two checkpoints. <!-- server: NAME ADDRESS --> starts a real server of tools/components; the
page calls it ADDRESS. Under <!-- settings: REGEX --> stands the table that `sabot settings --markdown` prints of them."""
import os
import pathlib
import re
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
SABOT = os.path.abspath(os.environ["SABOT"])
VARIES = (r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d+)?", r"(?<=part-)[0-9a-f]{16}", r"\b[0-9a-f]{10}\b")
JOB_SECONDS = 60
READY = "\x01"


def normal(text, varies):
    for pattern in varies:
        text = re.sub(pattern, "#", text)
    text = re.sub(r"-{2,}", "-", text)  # borders are as wide as what varies
    return [re.sub(r"\s+", " ", line).strip() for line in text.split("\n") if line.strip()]


def is_same(shown, printed, varies):
    """`...` is anything."""
    pattern = ""
    for line in normal(shown, varies):
        part = "(?:.*\n)*?" if line == "..." else ".*".join(re.escape(piece) for piece in line.split("...")) + "\n"
        pattern += part
    return re.fullmatch(pattern, "".join(line + "\n" for line in normal(printed, varies))) is not None


class Shell:
    """bash as a terminal has it, but that it is read by us."""

    def __init__(self, folder, environment):
        self.folder, self.environment, self.jobs = folder, environment, 0
        self.bash = subprocess.Popen(["bash", "--norc"], cwd=folder, env=environment, stdin=subprocess.PIPE,
                                     stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True)

    def sabot(self, *arguments):
        return subprocess.run([SABOT, *arguments], capture_output=True, text=True, env=self.environment,
                              cwd=self.folder).stdout

    def lines(self):
        return [line.split() for line in self.sabot("jobs").split("\n")[1:] if line.strip()]

    def wait_for_job(self, command, known):
        wanted = 2 if "--checkpoint-dir" in command else 0
        until = time.monotonic() + JOB_SECONDS
        while time.monotonic() < until:
            for words in self.lines():
                found = re.search(r" (\d+) +\d+ +(?:[\d.]+ \w+|-)  \S+$", " ".join(words[:-1]) + "  " + words[-1])
                if words[0] not in known and words[2] == "running" and found and int(found[1]) >= wanted:
                    return
            time.sleep(0.05)
        raise AssertionError(f"the job does not run: {command}")

    def run(self, command):
        is_job = command.rstrip().endswith("&")
        known = {words[0] for words in self.lines()} if is_job else ()
        self.bash.stdin.write(f"{{ {command}\n}} </dev/null\n{{ _code=$?; printf '\\n{READY}\\n'; (exit $_code); }}\n")
        self.bash.stdin.flush()
        printed = []
        while True:
            line = self.bash.stdout.readline()
            assert line, "the shell has ended"
            if line == READY + "\n":
                break
            printed.append(line)
        text = re.sub(r"^bash: line \d+: +\d+ (Killed|Terminated).*\n", "", "".join(printed), flags=re.M)
        if is_job:
            self.wait_for_job(command, known)
        return text.strip("\n")

    def close(self):
        os.killpg(self.bash.pid, 9)  # its jobs too: the session is its own
        self.bash.communicate()


class Server:
    def __init__(self, name, folder):
        self.program, self.folder = ROOT / "tools" / "components" / name / name, folder / f"server-{name}"
        self.address = self.call("start").splitlines()[-1]

    def call(self, command):
        return subprocess.run([self.program, command, self.folder], stdout=subprocess.PIPE, text=True, check=True,
                              timeout=180).stdout.strip()


class Page:
    """Runs one page; .problems, and .text as it should be."""

    def __init__(self, path):
        self.path, self.text, self.problems, self.commands = path, path.read_text(encoding="utf-8"), [], 0
        self.varies = list(VARIES) + re.findall(r"<!-- varies: (.*) -->", self.text)

    def run(self):
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            servers = {}
            try:
                for name, address in re.findall(r"<!-- server: (\w+) (\S+) -->", self.text):
                    servers[address] = Server(name, folder)
                self.blocks(folder, servers)
            finally:
                for server in servers.values():
                    server.call("stop")
        return self

    def blocks(self, folder, servers):
        work = folder / "work"
        (folder / "bin").mkdir()
        (folder / "bin" / "sabot").symlink_to(SABOT)
        work.mkdir()
        environment = {**os.environ, "SABOT_RUN_DIR": str(folder / "jobs"), "TMPDIR": str(folder), "PS1": "",
                       "PATH": f"{folder / 'bin'}:{os.environ['PATH']}", "SABOT_ROOT": str(ROOT)}
        shell = Shell(work, environment)

        def there(text):
            for address, server in servers.items():
                text = text.replace(address, server.address)
            return text

        def back(text):
            for address, server in servers.items():
                text = text.replace(server.address, address)
            return text.replace(str(work), "/srv/jobs")

        def block(found):
            kind, name, body = found[1], found[2].strip(), found[3]
            line = self.text[:found.start()].count("\n") + 1
            if kind == "sql" and name:
                (work / name).write_text(there(body), encoding="utf-8")
            elif kind == "console":
                return f"```console\n{self.console(shell, body, line, there, back)}```\n"
            else:
                self.problems.append(f"{self.path}:{line}: a block that is not run: ```{kind} {name}")
            return found[0]

        try:
            self.text = re.sub(r"^```(\w*)(.*)\n((?:(?!```).*\n)*?)```\n", block, self.text, flags=re.M)
        except (AssertionError, subprocess.TimeoutExpired) as problem:
            self.problems.append(f"{self.path}: {problem}")
        finally:
            shell.close()

    def console(self, shell, body, line, there, back):
        done = ""
        for found in re.finditer(r"^\$ ((?:.*\\\n)*.*)\n((?:(?!\$ ).*\n)*)", body, re.M):
            command, shown = found[1], found[2]
            printed = back(shell.run(there(command)))
            self.commands += 1
            same = is_same(shown, printed, self.varies)
            if not same:
                at = line + 1 + body[:found.start()].count("\n")
                self.problems.append(f"{self.path}:{at}: $ {command}\n  shown:\n{shown}\n  printed:\n{printed}")
            done += f"$ {command}\n" + (shown if same else printed + "\n" if printed else "")
        return done


SETTINGS = r"(<!-- settings: (.*) -->\n)((?:\|.*\n)*)"


def settings_table(pattern):
    rows = subprocess.run([SABOT, "settings", "--markdown"], capture_output=True, text=True).stdout.split("\n")
    return "\n".join(rows[:2] + [row for row in rows[2:] if re.match(f"\\| `({pattern})`", row)]) + "\n"


def settings_problems(path, text):
    for found in re.finditer(SETTINGS, text):
        if found[3] != settings_table(found[2]):
            yield f"{path}: the settings {found[2]} are not as `sabot settings` has them (tests/docs/run --write)"


def settings_written(text):
    return re.sub(SETTINGS, lambda found: found[1] + settings_table(found[2]), text)
