# SPDX-License-Identifier: GPL-3.0-or-later
"""Kernels listed and fetched: for real into a cache of the test's own, from an apt that misbehaves, interrupted anywhere."""
import atexit
import functools
import os
import pathlib
import random
import shutil
import signal
import stat
import tempfile
import time

from tap import LONG, TAUT, Taut, check, check_equal, check_in, main, need_program, need_root, skip, test, wait_until

FETCH_S = 240  # a deadline, for slow networks


class Cache(Taut):
    """Taut with a cache of its own."""

    def __init__(self):
        super().__init__()
        self.cache = self.folder / "cache"
        self.environment["TAUT_CACHE"] = str(self.cache)

    def left(self):
        """The names in the cache besides the lock."""
        kernels = self.cache / "kernels"
        return sorted(p.name for p in kernels.iterdir() if p.name != ".lock") if kernels.exists() else []

    def whole(self):
        """Every kernel in the cache is listed, with its modules and its configuration."""
        listed = {k["release"]: k for k in self.run("kernel", "list", "--json").wants(0).json["kernels"]
                  if k["origin"] == "cache"}
        check_equal(sorted(listed), [n for n in self.left() if not n.startswith(".")], "kernels listed")
        for kernel in listed.values():
            check(kernel["modules"] and kernel["can"], f"not whole: {kernel}")
        return listed


def apt_here():
    need_program("apt-get")
    if "ID=debian" not in pathlib.Path("/etc/os-release").read_text().splitlines():
        skip("this is not Debian", "kernels")


@functools.cache
def fetched():
    """A cache with a cloud kernel, fetched for real once; or why there is none."""
    taut = Cache()
    atexit.register(taut.__exit__)
    result = taut.run("kernel", "fetch", "cloud", seconds=FETCH_S)
    return taut, result


def real():
    apt_here()
    taut, result = fetched()
    if result.code == 1 and "lists of packages" in result.err:
        skip(f"no packages can be fetched here: {result.err.strip()}", "kernels")
    result.wants(0, "-cloud-")
    return taut


# --- without a network ----------------------------------------------------------------------------


@test("mistakes in naming kernels are exit 2 and say what is right")
def _():
    with Cache() as taut:
        for arguments, texts in ((("kernel",), ["argument is missing", "list|fetch"]),
                                 (("kernel", "frob"), ["'frob'", "list or fetch"]),
                                 (("kernel", "list", "rt"), ["'rt'"]),
                                 (("kernel", "fetch", "frob"), ["'frob'", "try: stock, rt, cloud"]),
                                 (("kernel", "fetch", "rt", "6.1/x"), ["'6.1/x'"]),
                                 (("kernel", "fetch", "other"), ["'other'"]),
                                 (("kernel", "fetch", "-x"), ["'x'"])):
            result = taut.run(*arguments).wants(2, *texts)
            check_equal(result.out, "", "stdout")
        check_equal(taut.left(), [], "in the cache")


@test("a cache without kernels is no error, and says what to do")
def _():
    with Cache() as taut:
        result = taut.run("kernel", "list", "--json").wants(0).json
        check_equal(result["schema"], "taut.kernels/1", "schema")
        if not result["kernels"]:
            taut.run("kernel", "list").wants(0, "try: taut kernel fetch")


@test("a cache that others can write is refused: exit 5")
def _():
    with Cache() as taut:
        taut.cache.mkdir()
        taut.cache.chmod(0o777)
        for verb in (("list",), ("fetch", "rt")):
            taut.run("kernel", *verb).wants(5, str(taut.cache), "others can write", "TAUT_CACHE")


def codename():
    lines = pathlib.Path("/etc/os-release").read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line)["VERSION_CODENAME"].strip('"')


def fake_apt(taut, get="exit 0", cache="exit 0"):
    """Programs of apt's names before the real ones on PATH; $last is the last argument.  Unless an update fails
    they know Debian's lists, and the package of SHOW to be in one of them."""
    folder = taut.folder / "bin"
    folder.mkdir(exist_ok=True)
    lists = "".join(f"list\\tDebian\\t{codename()}{suffix}\\tmain\\thttp://m/\\tm{suffix}\\n" for suffix in ("", "-backports"))
    update_fails = "case" not in get and get != "exit 0"
    knows = "" if update_fails else f"case $* in *indextargets*) printf '{lists}'; exit 0;; esac\n"
    madison = "case $* in *madison*) echo 'linux-image-cloud-amd64 | 6.9.1-1 | m'; exit 0;; esac\n"
    for name, text in (("apt-get", knows + get), ("apt-cache", madison + cache)):
        path = folder / name
        path.write_text(f"#!/bin/sh\nfor last; do :; done\n{text}\n")
        path.chmod(0o755)
    return {"PATH": f"{folder}:{os.environ['PATH']}"}


SHOW = """printf 'Package: linux-image-cloud-amd64\\nVersion: 6.9.1-1\\nDepends: linux-image-6.9.1-cloud-amd64 (= 6.9.1-1)\\n\\n'"""


@test("what apt says is wrong is in the message, and nothing is left")
def _():
    apt_here()
    download = "case $last in update) ;; *) %s;; esac"
    cases = [  # apt-get, apt-cache, word, exit code, texts
        ("echo 'E: Failed to fetch http://m Temporary failure'; exit 100", "exit 0", 1,
         ["lists of packages", "Temporary failure", "network"]),
        ("kill -SEGV $$", "exit 0", 1, ["SIGSEGV"]),
        ("exit 0", "echo 'E: No packages found'; exit 100", 1, ["'cloud'", "neither this release nor"]),
        ("exit 0", "echo 'E: broken'; exit 100", 1, ["look up", "broken"]),
        ("exit 0", "printf 'Version: ../../x\\nDepends: linux-image-../../x\\n\\n'", 1, ["neither this release nor"]),
        (download % "echo 'E: Write error - write (28: No space left on device)'; exit 100", SHOW, 1,
         ["linux-image-6.9.1-cloud-amd64", "No space left on device"]),
        (download % "exit 0", SHOW, 1, ["there is no package"]),
        (download % "echo rubbish > x.deb", SHOW, 1, ["x.deb"]),
        (download % "mkdir x.deb", SHOW, 1, ["x.deb"]),
        (download % "head -c 20000000 /dev/zero | tr '\\0' x", SHOW, 1, ["there is no package"]),
    ]
    with Cache() as taut:
        for get, cache, code, texts in cases:
            taut.run("kernel", "fetch", "cloud", environment=fake_apt(taut, get, cache)).wants(code, *texts)
            check_equal(taut.left(), [], f"left in the cache after {get}")


@test("Ctrl-C ends an apt that hangs, with all that it has started: exit 130")
def _():
    apt_here()
    with Cache() as taut:
        mark = taut.folder / "pids"
        temporary = taut.folder / "tmp"
        temporary.mkdir()
        environment = fake_apt(taut, f"trap '' INT TERM HUP\ntouch $TMPDIR/half\nsleep 1000 & echo $$ $! > {mark}\nwait; wait")
        running = taut.start("kernel", "fetch", "rt", environment={**environment, "TMPDIR": str(temporary)})
        pids = wait_until(lambda: mark.exists() and mark.read_text().split(), 20, "apt")
        running.process.send_signal(signal.SIGINT)
        running.wait(10).wants(130, "interrupted")
        check_equal(taut.left(), [], "left in the cache")
        check_equal(os.listdir(temporary), [], "left among the temporary files")
        wait_until(lambda: not any(os.path.exists(f"/proc/{p}") for p in pids), 10, "the end of apt's processes")


@test("one taut fetches at a time")
def _():
    apt_here()
    with Cache() as taut:
        mark = taut.folder / "begun"
        running = taut.start("kernel", "fetch", "rt", environment=fake_apt(taut, f"touch {mark}; exec sleep 1000"))
        wait_until(mark.exists, 20, "the first fetch")
        taut.run("kernel", "fetch", "rt").wants(1, "another taut", "wait for it")
        taut.run("kernel", "list").wants(0)
        running.process.send_signal(signal.SIGTERM)
        running.wait(10).wants(130)


@test("without apt a fetch says so")
def _():
    with Cache() as taut:
        (taut.folder / "bin").mkdir()
        result = taut.run("kernel", "fetch", environment={"PATH": str(taut.folder / "bin")})
        check(result.code == 1 and "cannot fetch from Debian" in result.err, str(result))
        check_equal(taut.left(), [], "left in the cache")


# --- for real -------------------------------------------------------------------------------------


@test("a kernel is fetched, listed and found, and not fetched twice")
def _():
    taut = real()
    kernels = taut.whole()
    check_equal(len(kernels), 1, "kernels")
    release, kernel = kernels.popitem()
    check_equal((kernel["flavour"], kernel["origin"]), ("cloud", "cache"), "flavour and origin")
    check(release.endswith("-cloud-amd64") and "Debian" in kernel["version"], f"names: {kernel}")
    check_in("virtio", kernel["can"], "abilities")
    before = os.stat(kernel["path"])
    check_equal(stat.S_IMODE(before.st_mode) & 0o022, 0, "write permission of others")
    taut.run("kernel", "list").wants(0, release, "cloud", "cache")
    again = taut.run("kernel", "fetch", release, "--json", seconds=FETCH_S).wants(0).json
    check_equal([k["path"] for k in again["kernels"]], [kernel["path"]], "fetched again")
    check_equal(os.stat(kernel["path"]).st_ino, before.st_ino, "the file")
    taut.run("kernel", "fetch", "1.2-cloud", seconds=FETCH_S).wants(1, "'1.2-cloud'", f"try: {release}")


@test("a kernel in the cache that is damaged is not listed, and fetched again")
def _():
    taut = real()
    release, kernel = taut.whole().popitem()
    os.truncate(kernel["path"], 100000)
    check_equal([k for k in taut.run("kernel", "list", "--json").json["kernels"] if k["origin"] == "cache"], [], "listed")
    taut.run("kernel", "fetch", "cloud", seconds=FETCH_S).wants(0, release)
    taut.whole()
    check_equal(taut.left(), [release], "in the cache")


def picture_of(*folders):
    return {p: os.lstat(p).st_mtime_ns for folder in folders for p in pathlib.Path(folder).rglob("*")
            if not p.is_dir() or "partial" not in p.name}


@test("nothing of the machine's apt is touched, and none of its hooks is run")
def _():
    real()
    with Cache() as taut:
        hook = taut.folder / "hook"
        conf = taut.write("apt.conf", "".join(f'APT::Update::{when} {{ "touch {hook}"; }};\n'
                                              for when in ("Pre-Invoke", "Post-Invoke", "Post-Invoke-Success")))
        before = picture_of("/etc/apt", "/var/lib/apt", "/var/cache/apt", "/var/lib/dpkg")
        result = taut.run("kernel", "fetch", "1.2-cloud", environment={"APT_CONFIG": conf}, seconds=FETCH_S)
        result.wants(1, "neither this release nor")
        check(not hook.exists(), "a hook was run")
        check_equal(picture_of("/etc/apt", "/var/lib/apt", "/var/cache/apt", "/var/lib/dpkg"), before, "apt's files")
        check_equal(taut.left(), [], "left in the cache")


@test("a kernel is fetched without root, into the user's own cache")
def _():
    need_root()
    need_program("setpriv")
    real()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        program = shutil.copy(TAUT, folder / "taut")
        os.chown(folder, 65534, 65534)
        with Taut() as taut:
            done = taut.run("kernel", "fetch", "cloud", "--json", seconds=FETCH_S,
                            environment={"HOME": name, "XDG_CACHE_HOME": ""},
                            command=["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", program])
        path = done.wants(0).json["kernels"][0]["path"]
        check(path.startswith(f"{name}/.cache/taut/kernels/"), f"path: {path}")


@test("a disk that is full is said to be, and nothing is left")
def _():
    need_root()
    need_program("unshare")
    real()
    # Too small for the lists of packages, for the package, for what is in it.
    for size in (8, 45, 70):
        with Cache() as taut:
            taut.cache.mkdir()
            script = (f'mount -t tmpfs -o size={size}m,mode=755 none "$TAUT_CACHE" && "$0" "$@"; code=$?; '
                      'find "$TAUT_CACHE/kernels" -mindepth 1 ! -name .lock -exec echo left {} \\; >&2; exit $code')
            result = taut.run("kernel", "fetch", "cloud", seconds=FETCH_S,
                              command=["unshare", "-mpf", "--mount-proc", "--kill-child", "sh", "-c", script, TAUT])
            result.wants(1, "cannot", "No space left on device")
            check("\nleft " not in result.err, f"something is left\n{result}")


def names_cache(pid, taut):
    try:
        return str(taut.cache).encode() in pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def stop_at(taut, seconds, number):
    """A fetch that gets the signal then; apt dies with it."""
    temporary = taut.folder / "tmp"
    temporary.mkdir(exist_ok=True)
    running = taut.start("kernel", "fetch", "cloud", environment={"TMPDIR": str(temporary)})
    time.sleep(seconds)
    running.process.send_signal(number)
    result = running.wait(30)
    wait_until(lambda: not any(names_cache(p, taut) for p in filter(str.isdigit, os.listdir("/proc"))), 10, "apt's end")
    check_equal(os.listdir(temporary), [], f"left among the temporary files after {seconds:.2f} s")
    return result


def moments(begin):
    """How long a fetch takes here, and moments in it."""
    seed = int(os.environ.get("TAUT_SEED", begin * 1000))
    print(f"# seed {seed}")
    chosen = random.Random(seed)
    _, result = fetched()
    return [chosen.uniform(0.02, result.seconds) for _ in range(15 if LONG else 4)]


@test("a fetch that is interrupted anywhere leaves nothing, or the whole kernel")
def _():
    real()
    with Cache() as taut:
        for seconds in moments(time.time()):
            result = stop_at(taut, seconds, signal.SIGINT)
            kernels = taut.whole()
            check(result.code == (0 if kernels else 130) or seconds < 0.1,
                  f"after {seconds:.2f} s: {sorted(kernels)}\n{result}")
            check_equal(taut.left(), sorted(kernels), f"left in the cache after {seconds:.2f} s")
            for release in kernels:
                shutil.rmtree(taut.cache / "kernels" / release)


@test("a fetch that is killed anywhere leaves no half kernel, and the next one works and cleans up")
def _():
    real()
    with Cache() as taut:
        for seconds in moments(time.time()):
            stop_at(taut, seconds, signal.SIGKILL)
            for release in taut.whole():
                shutil.rmtree(taut.cache / "kernels" / release)
        taut.run("kernel", "fetch", "cloud", seconds=FETCH_S).wants(0)
        check_equal(taut.left(), sorted(taut.whole()), "left in the cache")


main()
