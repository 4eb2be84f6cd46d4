# SPDX-License-Identifier: GPL-3.0-or-later
"""TAP, and the program under test.

A test is a function with @test("the behaviour it holds"); main() runs them in order and prints TAP.  A test
raises Failed (by check() and similar functions, which print both values) or calls skip().  TAUT_MUST holds words
("netns,oci"): a test that needs one of them may not be skipped.

Taut runs the program with a fresh state folder and database, which are removed afterwards.  All temporary files are in
one folder, which keeper.sh removes when this program ends, however it ends; what is in force by then is undone first.  Every run has a deadline; a
program that does not end by then is killed, and the test fails.  On a busy machine (noise.py) it has five times as long.
"""
import functools
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback

HERE = pathlib.Path(__file__).resolve().parent
SOURCE = HERE.parent.parent
BUILD = pathlib.Path(os.environ.get("BUILD", SOURCE / "build")).resolve()
TAUT = BUILD / "taut"
AGENT = BUILD / "taut-agent"
RELAY = BUILD / "tests" / "taut-relay"
LONG = "--long" in sys.argv
KINDS = {True: "--untimed", False: "--timed"}  # the option that leaves out tests that judge times, and all others
ONLY = [a for a in sys.argv[1:] if not a.startswith("-")]

_tests = []

# Whoever starts a test in the background may have these ignored or blocked, and a program keeps that.
for _number in (signal.SIGHUP, signal.SIGQUIT, signal.SIGTERM):
    signal.signal(_number, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.pthread_sigmask(signal.SIG_SETMASK, [])


def _kept_folder():
    """The keeper sees the end of this program at the end of its stdin, which no child inherits."""
    folder = tempfile.mkdtemp(prefix="taut-tests-")
    os.chmod(folder, 0o755)  # tests run programs as other users
    paths = os.memfd_create("kept")
    os.write(paths, f"+{folder}\n".encode())
    keeper = subprocess.Popen([HERE.parent / "keeper.sh", TAUT], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL, start_new_session=True, pass_fds=(3,),
                              preexec_fn=lambda: os.dup2(paths, 3))
    os.close(paths)
    return folder, keeper


tempfile.tempdir, _keeper = _kept_folder()


class Failed(Exception):
    pass


class Skipped(Exception):
    pass


def test(name):
    def add(function):
        _tests.append((name, function))
        return function
    return add


def skip(reason, needs=None):
    """`needs`: the word of TAUT_MUST that makes this skip a failure."""
    if needs and needs in os.environ.get("TAUT_MUST", "").split(","):
        raise Failed(f"may not be skipped here (TAUT_MUST has {needs}): {reason}")
    raise Skipped(reason)


def need_root():
    if os.geteuid() != 0:
        skip("needs root", "root")


def need_program(*names):
    for name in names:
        if not shutil.which(name):
            skip(f"{name} is not installed")


@functools.cache
def oci_runtimes():
    """Those of runc and crun that run a container here: tried, without taut."""
    return [name for name in ("runc", "crun") if shutil.which(name) and _runs_container(name)]


def _runs_container(name):
    with tempfile.TemporaryDirectory(prefix="taut-bundle-") as bundle:
        root = pathlib.Path(bundle, "rootfs")
        root.mkdir()
        shutil.copy(AGENT, root / "agent")
        subprocess.run([name, "spec"], cwd=bundle, check=True)
        file = pathlib.Path(bundle, "config.json")
        config = json.loads(file.read_text())
        config["process"].update(terminal=False, args=["/agent", "--version"])
        file.write_text(json.dumps(config))
        done = subprocess.run([name, "--root", f"{bundle}/state", "run", f"taut-tests-{os.getpid()}"], cwd=bundle,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=60)
    return done.returncode == 0 and done.stdout.startswith("taut-agent ")


def need_oci():
    need_root()
    if not oci_runtimes():
        skip("neither runc nor crun runs a container here", "oci")


def check(condition, text):
    if not condition:
        raise Failed(text)


def check_equal(got, wanted, what):
    check(got == wanted, f"{what}: got {got!r}, wanted {wanted!r}")


def check_between(got, low, high, what):
    check(got is not None and low <= got <= high, f"{what}: got {got}, wanted {low} to {high}")


def check_in(part, whole, what):
    check(part in whole, f"{what}: wanted {part!r} in:\n{whole}")


def main():
    chosen = [t for t in _tests if (not ONLY or any(word in t[0] for word in ONLY))
              and KINDS[hasattr(t[1], "timed")] not in sys.argv]
    failed = 0
    print(f"1..{len(chosen)}", flush=True)
    for number, (name, function) in enumerate(chosen, 1):
        begin = time.monotonic()
        try:
            function()
            line, detail = f"ok {number} - {name}", ""
        except Skipped as why:
            line, detail = f"ok {number} - {name} # SKIP {why}", ""
        except Failed as why:
            line, detail, failed = f"not ok {number} - {name}", str(why), failed + 1
        except Exception:  # a mistake of the test is a failure too
            line, detail, failed = f"not ok {number} - {name}", traceback.format_exc(), failed + 1
        print(line)
        for text in detail.splitlines():
            print(f"# {text}")
        print(f"# took {time.monotonic() - begin:.1f} s", flush=True)
    sys.exit(1 if failed else 0)


def deadlines(seconds):
    """The seconds to wait, and on a busy machine how much longer."""
    from noise import Noise
    noise = Noise()
    yield seconds
    reason = noise.reason()
    if reason:
        print(f"# {seconds} s were not enough, and the machine is busy: {reason}")
        yield 4 * seconds


def wait_until(condition, seconds, what):
    """Polls; returns what the condition returns once that is true."""
    for more in deadlines(seconds):
        end = time.monotonic() + more
        while time.monotonic() < end:
            found = condition()
            if found:
                return found
            time.sleep(0.005)
    raise Failed(f"waited {seconds} s for {what}")


class Result:
    def __init__(self, command, code, out, err, seconds):
        self.command, self.code, self.out, self.err, self.seconds = command, code, out, err, seconds

    def __str__(self):
        return (f"$ {' '.join(map(str, self.command))}\nexit {self.code} after {self.seconds:.1f} s\n"
                f"stdout: {self.out[-3000:]}\nstderr: {self.err[-3000:]}")

    def wants(self, code, *texts):
        """Exit code, and texts that stand in stdout or stderr."""
        check(self.code == code, f"exit code {self.code}, wanted {code}\n{self}")
        for text in texts:
            check(text in self.out + self.err, f"wanted {text!r}\n{self}")
        return self

    @property
    def json(self):
        try:
            return json.loads(self.out)  # exactly one document: anything behind it is an error
        except ValueError as why:
            raise Failed(f"stdout is no JSON document: {why}\n{self}") from why


class Running:
    def __init__(self, command, environment, **options):
        self.command, self.begin = command, time.monotonic()
        self.files = [tempfile.TemporaryFile("w+") for _ in range(2)]
        options.setdefault("stdout", self.files[0])
        options.setdefault("stderr", self.files[1])
        options.setdefault("stdin", subprocess.DEVNULL)
        self.process = subprocess.Popen(command, env=environment, **options)
        self.pid = self.process.pid

    def text(self, which):
        """The output so far."""
        return os.pread(self.files[which].fileno(), 1 << 24, 0).decode(errors="replace")

    def wait(self, seconds=60):
        for more in deadlines(seconds):
            try:
                return self.result(self.process.wait(more))
            except subprocess.TimeoutExpired:
                pass
        self.process.send_signal(signal.SIGINT)  # it restores the machine
        try:
            self.process.wait(75)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        raise Failed(f"did not end within {seconds} s\n{self.result(None)}")

    def result(self, code):
        return Result(self.command, code, self.text(0), self.text(1), time.monotonic() - self.begin)


class Taut:
    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="taut-test-"))
        # Kernels are fetched once, not by every test.
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith("TAUT_") or k == "TAUT_CACHE"}
        self.environment.update(TAUT_STATE=str(self.folder / "state"), TAUT_DB=str(self.folder / "runs.db"),
                                TERM="dumb")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        # A test that failed may have left the machine tuned, which could not be put back without the journal.
        if list((self.folder / "state").glob("journal-*.json")):
            print("# put back: " + self.run("tune", "revert").out.strip().replace("\n", "; "))
            self.run("lab", "clean")
        shutil.rmtree(self.folder, ignore_errors=True)

    def write(self, name, text, mode=0o644):
        path = self.folder / name
        path.write_text(text)
        path.chmod(mode)
        return str(path)

    def start(self, *arguments, environment=None, command=None, **options):
        return Running([*(command or [TAUT]), *map(str, arguments)], {**self.environment, **(environment or {})},
                       **options)

    def run(self, *arguments, seconds=60, **options):
        return self.start(*arguments, **options).wait(seconds)


def parent_of(pid):
    try:
        return int(pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])
    except (OSError, IndexError, ValueError):
        return 0


def is_below(pid, ancestor):
    while pid > 1:
        if pid == ancestor:
            return True
        pid = parent_of(pid)
    return False


def threads_of(pid):
    try:
        return [int(t) for t in os.listdir(f"/proc/{pid}/task")]
    except OSError:
        return []


def comm_of(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def endpoint(running, name):
    """The PID of taut-server or taut-client below `running`, once it has its threads: an endpoint that only
    tries whether a target can be made never has any."""
    def look():
        if running.process.poll() is not None:
            raise Failed(f"ended before it had a {name}\n{running.result(running.process.returncode)}")
        for pid in filter(str.isdigit, os.listdir("/proc")):
            if comm_of(pid) == name and len(threads_of(pid)) > 1 and is_below(int(pid), running.pid):
                return int(pid)
        return 0
    return wait_until(look, 20, name)
