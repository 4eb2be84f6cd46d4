# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that a user names are written as he expects, whatever is there: a row for each kind of thing at the path.

Of an export all or nothing is there afterwards; a database is refused where it would be no file of the user's own."""
import os
import pathlib
import shutil
import stat
import subprocess
import threading

from runs import tiny
from tap import TAUT, Taut, check, check_equal, check_in, main, need_program, need_root, skip, test

EXPORTS = [("export", f"--{name}") for name in ("csv", "hlog", "json", "text")]
OLD = "what was there before\n"


def stored(taut):
    """What each export holds, by the path of stdout."""
    taut.run("run", tiny(taut, 1)).wants(0)
    return {verb: taut.run(*verb).wants(0).out for verb in EXPORTS}


def same(path, wanted, what):
    """Byte by byte: CSV has line ends of its own."""
    got = path if isinstance(path, str) else path.read_bytes().decode()
    at = next((i for i, (a, b) in enumerate(zip(got, wanted)) if a != b), min(len(got), len(wanted)))
    check(got == wanted, f"{what}: differs at {at}: got {got[at:at + 60]!r}, wanted {wanted[at:at + 60]!r}")


def full_device():
    """/dev/full, if it is the device: in some containers it is a plain file, or is not there."""
    try:
        made = os.stat("/dev/full")
    except OSError:
        skip("no /dev/full")
    if not stat.S_ISCHR(made.st_mode) or made.st_rdev != os.makedev(1, 7):
        skip("/dev/full is not the device")
    return "/dev/full"


def plain(folder, _wanted):
    path = folder / "plain"
    path.write_text(OLD)
    path.chmod(0o640)
    return path


def new(folder, _wanted):
    return folder / "new"


def link(folder, wanted):
    (folder / "link").symlink_to(plain(folder, wanted))
    return folder / "link"


def dangling(folder, _wanted):
    (folder / "link").symlink_to(folder / "behind")
    return folder / "link"


def hard_link(folder, wanted):
    os.link(plain(folder, wanted), folder / "second")
    return folder / "second"


def strangers(folder, _wanted):
    need_root()
    path = folder / "strangers"
    path.write_text(OLD)
    path.chmod(0o600)
    os.chown(path, 12345, 12345)
    return path


KINDS = [plain, new, link, dangling, hard_link, strangers]


@test("plain files, links and files of others get the whole export, and stay what they were")
def _():
    with Taut() as taut:
        for verb, wanted in stored(taut).items():
            for make in KINDS:
                folder = taut.folder / "out"
                folder.mkdir()
                path = make(folder, wanted)
                before = path.lstat() if os.path.lexists(path) else None
                taut.run(*verb, "-o", path).wants(0)
                what = f"{' '.join(verb)} to {make.__name__}"
                same(path, wanted, what)
                after = path.lstat()
                if before:
                    check_equal((after.st_mode, after.st_uid, after.st_gid, after.st_nlink),
                                (before.st_mode, before.st_uid, before.st_gid, before.st_nlink), f"{what}: mode, owner")
                left = {p.name for p in folder.iterdir()} - {path.name, "plain", "behind"}
                check_equal(left, set(), f"{what}: other files")
                shutil.rmtree(folder)


@test("a device and a FIFO are written to and stay; - is stdout")
def _():
    with Taut() as taut:
        null = os.stat("/dev/null")
        for verb, wanted in stored(taut).items():
            taut.run(*verb, "-o", "/dev/null").wants(0)
            check_equal((os.stat("/dev/null").st_rdev, os.stat("/dev/null").st_ino), (null.st_rdev, null.st_ino),
                        "/dev/null")
            fifo, got = taut.folder / "fifo", []
            os.mkfifo(fifo)
            reader = threading.Thread(target=lambda f=fifo, g=got: g.append(f.read_bytes().decode()), daemon=True)
            reader.start()
            taut.run(*verb, "-o", fifo).wants(0)
            reader.join(10)
            same("".join(got), wanted, f"{verb} through a FIFO")
            check(stat.S_ISFIFO(fifo.stat().st_mode), "the FIFO was replaced")
            fifo.unlink()
            same(taut.run(*verb, "-o", "-", cwd=taut.folder).wants(0).out, wanted, f"{verb} to -")
            check(not (taut.folder / "-").exists(), "a file named - was made")


@test("a full device is an error that names it: exit 1")
def _():
    full = full_device()
    with Taut() as taut:
        for verb in stored(taut):
            taut.run(*verb, "-o", full).wants(1, full, "No space left")
        full_device()


@test("stdout that is full is an error of every verb that says something: exit 1")
def _():
    full = full_device()
    with Taut() as taut:
        stored(taut)
        verbs = [("list", what) for what in ("runs", "experiments", "workloads", "settings", "profiles", "knobs", "features")]
        verbs += [("list", "--json"), ("report",), ("report", "--json"), ("compare", "1", "1"),
                  ("compare", "1", "1", "--json"), *EXPORTS, ("tune", "status"), ("run", "quick", "--dry-run"),
                  ("run", "quick", "--dry-run", "--json"), ("measure", "tcp_rr", "--dry-run"), ("kernel", "list"),
                  ("kernel", "list", "--json"), ("measure", "tcp_rr", "--transactions", "100"),
                  ("measure", "tcp_rr", "--transactions", "100", "--json"), ("--help",), ("--version",),
                  ("list", "--help")]
        for verb in verbs:
            with open(full, "w", encoding="utf-8") as out:
                result = taut.start(*verb, stdout=out).wait(30)
            check(result.code == 1 and "stdout" in result.err, f"wanted exit 1 and a word of stdout\n{result}")
        for verb in (("list", "settings"), ("--help",)):
            ends = os.pipe()
            os.close(ends[0])
            result = taut.start(*verb, stdout=ends[1]).wait(30)
            os.close(ends[1])
            check(result.code == 0 and not result.err, f"a reader that has gone is no error\n{result}")


def on_small_disk(taut, script, *arguments):
    """taut in a mount namespace where FOLDER/small is a tmpfs that is full; `script` is run before, and what is
    there afterwards is listed on stderr."""
    small = taut.folder / "small"
    small.mkdir(exist_ok=True)
    text = (f"mount -t tmpfs -o size=16k none {small} && cd {small} && {{ {script}; }}\n"
            f'cat /dev/zero > ballast 2>/dev/null\n"$@"; code=$?\n'
            f'for f in *; do [ $f = ballast ] || {{ echo "there is $f:" >&2; cat $f >&2; }}; done; exit $code')
    return taut.run(*arguments, command=["unshare", "--mount", "sh", "-c", text, "sh", TAUT])


@test("on a full disk an export leaves what was there, and no half of a file: exit 1")
def _():
    need_root()
    with Taut() as taut:
        for verb in stored(taut):
            path = taut.folder / "small" / "out"
            result = on_small_disk(taut, "true", *verb, "-o", path).wants(1, str(path), "No space left")
            check("there is" not in result.err, f"something was left\n{result}")
            result = on_small_disk(taut, "echo before > out", *verb, "-o", path).wants(1, str(path), "No space left")
            check_in("there is out:\nbefore\n", result.err, "the file that was there")


@test("in a folder that cannot be written a file that can is written in place, and another is an error: exit 1")
def _():
    need_root()
    need_program("setpriv")
    with Taut() as taut:
        wants = stored(taut)
        os.chmod(taut.folder, 0o755)
        os.chown(taut.folder / "runs.db", 65534, 65534)
        nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", TAUT]
        for verb, wanted in wants.items():
            folder = taut.folder / "out"
            folder.mkdir()
            mine, others = plain(folder, wanted), strangers(folder, wanted)
            os.chown(mine, 65534, 65534)
            taut.run(*verb, "-o", mine, command=nobody).wants(0)
            same(mine, wanted, f"{verb} in place")
            for path in (others, folder / "none"):
                taut.run(*verb, "-o", path, command=nobody).wants(1, str(path), "Permission denied")
            taut.run(*verb, "-o", folder, command=nobody).wants(1, str(folder), "directory")
            taut.run(*verb, "-o", folder / "no" / "where", command=nobody).wants(1, "No such file")
            check_equal((others.read_text(), sorted(p.name for p in folder.iterdir())), (OLD, ["plain", "strangers"]),
                        "what was there")
            shutil.rmtree(folder)


@test("a database is a file of the user's own, or it is refused and left as it is")
def _():
    need_root()
    with Taut() as taut:
        def run(path, code, *texts):
            return taut.run("run", tiny(taut, 1), "--db", path, seconds=20, cwd=taut.folder).wants(code, *texts)

        run("/dev/null", 1, "not a regular file")
        check(stat.S_ISCHR(os.stat("/dev/null").st_mode), "/dev/null was replaced")
        fifo = taut.folder / "fifo"
        os.mkfifo(fifo)
        run(fifo, 1, "not a regular file")
        check(stat.S_ISFIFO(fifo.stat().st_mode), "the FIFO was replaced")
        (taut.folder / "link.db").symlink_to(taut.folder / "real.db")
        (taut.folder / "real.db").touch(0o600)
        run(taut.folder / "link.db", 0, "stored as run 1")
        check((taut.folder / "link.db").is_symlink() and (taut.folder / "real.db").stat().st_size > 0, "the link")
        run(strangers(taut.folder, ""), 5, "belongs to another user")
        check_equal((taut.folder / "strangers").read_text(), OLD, "the file of another user")
        for word in ("-", ":memory:"):
            run(word, 2, "a database is a file", f"--db ./{word}")
            check(not (taut.folder / word).exists(), f"a file named {word} was made")
        run(taut.folder, 1, "not a regular file")
        result = on_small_disk(taut, "true", "run", tiny(taut, 1), "--db", taut.folder / "small" / "x.db").wants(1)
        check_in("small/x.db", result.err, "the path")
        if subprocess.run(["unshare", "--mount", "true"], check=False).returncode == 0:
            readonly = f"mount --bind {taut.folder} {taut.folder} && mount -o remount,bind,ro {taut.folder} && exec \"$@\""
            spec = pathlib.Path(tiny(taut, 1))
            taut.run("run", spec, "--db", taut.folder / "x.db", environment={"TAUT_STATE": "/run/taut-test-state"},
                     command=["unshare", "--mount", "sh", "-c", "mount -t tmpfs none /run && " + readonly, "sh",
                              TAUT]).wants(1, "x.db", "Read-only file system")


main()
