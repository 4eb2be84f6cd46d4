# SPDX-License-Identifier: GPL-3.0-or-later
"""Who reads results writes nothing, and what is said to be stored is there."""
import hashlib
import os
import pathlib
import shutil
import signal
import sqlite3
import time

from runs import tiny
from tap import TAUT, Taut, check, check_equal, check_in, main, need_program, need_root, test, wait_until

READING = (("list",), ("report",), ("export", "--csv"), ("compare", "1", "1"))


def listing(folder):
    return sorted((p.name, p.stat().st_size, p.stat().st_mtime_ns) for p in pathlib.Path(folder).iterdir())


def state_of(path, run=1):
    db = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        return db.execute("SELECT state FROM runs WHERE id = ?", (run,)).fetchone()[0]
    except (sqlite3.OperationalError, TypeError):  # not yet
        return None
    finally:
        db.close()


@test("a database that is not there is said, and neither it nor a folder is made: exit 1")
def _():
    with Taut() as taut:
        for path in (taut.folder / "typed-wrong.db", taut.folder / "no" / "folder" / "x.db"):
            for verb in READING:
                taut.run(*verb, "--db", path, cwd=taut.folder).wants(1, "no database at", str(path), "try:")
        check_equal(listing(taut.folder), [], "what was made")
        # Where results go by themselves there may be none yet.
        del taut.environment["TAUT_DB"]
        taut.run("list").wants(0, "no runs yet")
        check_equal(listing(taut.folder), [], "what was made")


@test("reading changes no byte and makes no file, whatever the last writer left")
def _():
    with Taut() as taut:
        taut.run("run", tiny(taut, 1)).wants(0)
        place = taut.folder / "db"
        place.mkdir()
        shutil.move(taut.folder / "runs.db", place / "runs.db")
        path = str(place / "runs.db")
        for verb in READING:
            before = listing(place)
            taut.run(*verb, "--db", path).wants(0)
            check_equal(listing(place), before, f"{verb}: the folder")
        empty = place / "empty.db"
        empty.touch(0o600)
        taut.run("list", "--db", empty).wants(0, "no runs yet")
        check_equal(empty.stat().st_size, 0, "size of an empty file that was read")


@test("a file that its owner may write, in a folder where he may not, is read")
def _():
    need_root()
    need_program("setpriv")
    with Taut() as taut:
        os.chmod(taut.folder, 0o755)
        taut.run("run", tiny(taut, 1)).wants(0)
        place = taut.folder / "db"
        place.mkdir()
        shutil.move(taut.folder / "runs.db", place / "runs.db")
        os.chown(place / "runs.db", 65534, 65534)
        nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", TAUT]
        for mode in (0o644, 0o600, 0o444):
            os.chmod(place / "runs.db", mode)
            for verb in READING:
                taut.run(*verb, "--db", place / "runs.db", command=nobody).wants(0)
        check_equal([name for name, *_ in listing(place)], ["runs.db"], "files")


@test("a run is read while it goes on, and is running; when it was killed it is interrupted, and the file says so next time")
def _():
    with Taut() as taut:
        path = taut.folder / "runs.db"
        running = taut.start("run", tiny(taut, 50))
        wait_until(lambda: running.text(0).count("\n") > 3, 30, "trials")
        check_equal(taut.run("list", "--json").wants(0).json["runs"][0]["state"], "running", "state during the run")
        os.kill(running.pid, signal.SIGKILL)
        running.process.wait()
        check_equal(taut.run("list", "--json").wants(0).json["runs"][0]["state"], "interrupted", "state after the kill")
        check_equal(state_of(path), "running", "state in the file after reading")
        taut.run("clean")
        taut.run("run", tiny(taut, 1)).wants(0)
        check_equal(state_of(path), "interrupted", "state in the file after the next run")


@test("a database that is removed, moved or replaced during the run is not said to hold it: exit 1")
def _():
    def remove(path):
        path.unlink()

    def move(path):
        path.rename(path.with_name("other.db"))

    def replace(path):
        path.unlink()
        path.touch(0o600)

    for change in (remove, move, replace):
        with Taut() as taut:
            running = taut.start("run", tiny(taut, 4))
            wait_until(lambda r=running: r.text(0).count("\n") > 2, 30, "the first trial")
            change(taut.folder / "runs.db")
            result = running.wait(60).wants(1, "has been removed, moved or replaced", str(taut.folder / "runs.db"))
            check("stored as run" not in result.out, f"{change.__name__}: said to be stored\n{result}")


@test("a database that is locked is waited for; when it stays locked that is said: exit 1, and the run is not running")
def _():
    for seconds in (2, 60):
        with Taut() as taut:
            running = taut.start("run", tiny(taut, 1))
            wait_until(lambda r=running: r.text(0).count("\n") > 1, 30, "the first trial")
            lock = sqlite3.connect(taut.folder / "runs.db", isolation_level=None)
            lock.execute("BEGIN IMMEDIATE")
            end = time.monotonic() + seconds
            while running.process.poll() is None and time.monotonic() < end:
                time.sleep(0.1)
            lock.execute("ROLLBACK")
            lock.close()
            if seconds == 2:
                running.wait(30).wants(0, "stored as run 1")
            else:
                running.wait(30).wants(1, "another program is writing")
                check_equal(taut.run("list", "--json").wants(0).json["runs"][0]["state"], "interrupted", "state")


@test("damaged settings in a record are damage, not a mistake of usage: exit 1")
def _():
    with Taut() as taut:
        taut.run("run", tiny(taut, 1)).wants(0)
        db = sqlite3.connect(taut.folder / "runs.db")
        db.execute("UPDATE trials SET record = json_set(record, '$.settings.flows', 4000000000)")
        db.commit()
        db.close()
        taut.run("report").wants(1, "cannot read", "trial")
        db = sqlite3.connect(taut.folder / "runs.db")
        db.execute("UPDATE arms SET settings = json_set(settings, '$.flows', 4000000000)")
        db.commit()
        db.close()
        taut.run("report").wants(1, "cannot read")


@test("a stranger's link, and strangers' files beside a database, are refused; a link of one's own is followed")
def _():
    need_root()
    with Taut() as taut:
        taut.run("run", tiny(taut, 1)).wants(0)
        path, link = taut.folder / "runs.db", taut.folder / "link.db"
        link.symlink_to(path)
        taut.run("report", "--db", link).wants(0)
        taut.run("run", tiny(taut, 1), "--db", link).wants(0)
        check(link.is_symlink(), "the link was replaced")
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        os.lchown(link, 12345, 12345)
        for verb in (("report",), ("run", tiny(taut, 1))):
            taut.run(*verb, "--db", link).wants(5, str(link), "link of another user")
        for end in ("-wal", "-shm", "-journal"):
            beside = pathlib.Path(f"{path}{end}")
            for make in (lambda b=beside: (b.touch(), os.chown(b, 12345, 12345)),
                         lambda b=beside: b.symlink_to(taut.folder / "elsewhere"), lambda b=beside: os.mkfifo(b)):
                make()
                for verb in (("report",), ("run", tiny(taut, 1))):
                    taut.run(*verb).wants(5, str(beside))
                beside.unlink()
        check_equal(hashlib.sha256(path.read_bytes()).hexdigest(), digest, "digest of the file")
        check(not (taut.folder / "elsewhere").exists(), "a file was made behind a link")


main()
