# SPDX-License-Identifier: GPL-3.0-or-later
"""Databases that are full, damaged, newer, or of another user: nothing in them is lost."""
import hashlib
import pathlib
import re
import sqlite3

import picture
from runs import database_is_sound, tiny, trials
from tap import TAUT, Taut, check, check_equal, check_in, main, need_root, test


def digest(path):
    return hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()


def refused(taut, *texts):
    """Every verb that opens the database says so, exit 1, and leaves the file as it was."""
    path = taut.folder / "runs.db"
    before = digest(path)
    for verb in (("list",), ("report",), ("export", "--csv"), ("run", tiny(taut))):
        taut.run(*verb).wants(1, str(path), *texts)
    check_equal(digest(path), before, "digest of the file")


@test("a database of a newer taut is refused and left as it is")
def _():
    with Taut() as taut:
        taut.run("run", tiny(taut, 1)).wants(0)
        with sqlite3.connect(taut.folder / "runs.db") as db:
            version = db.execute("PRAGMA user_version").fetchone()[0]
            db.execute(f"PRAGMA user_version = {version + 1}")
        db.close()
        refused(taut, "newer taut", f"schema {version + 1}", "try:")


@test("a database of another program is refused and left as it is")
def _():
    with Taut() as taut:
        db = sqlite3.connect(taut.folder / "runs.db")
        db.execute("CREATE TABLE bookmarks (url TEXT)")
        db.commit()
        db.close()
        (taut.folder / "runs.db").chmod(0o600)
        refused(taut, "another program", "try: --db")


@test("a file that is no database is refused and left as it is")
def _():
    with Taut() as taut:
        (taut.folder / "runs.db").write_text("Dear diary, " * 1000)
        refused(taut, "not a database")


@test("a database in memory is refused, and no file has that name: exit 2")
def _():
    with Taut() as taut:
        before = sorted(taut.folder.iterdir())
        for verb in (("list",), ("report",), ("export", "--csv")):
            taut.run(*verb, "--db", ":memory:", cwd=taut.folder).wants(2, "':memory:'", "a database is a file")
        check_equal([p.name for p in taut.folder.iterdir() if p not in before], [], "files")


@test("a damaged database is an error that names it, never a crash")
def _():
    with Taut() as taut:
        taut.run("run", tiny(taut, 2)).wants(0)
        path = taut.folder / "runs.db"
        sound = path.read_bytes()
        size = int.from_bytes(sound[16:18], "big")
        seen = set()
        for page in range(1, len(sound) // size):
            path.write_bytes(sound[:page * size] + b"\xa5" * size + sound[(page + 1) * size:])
            result = taut.run("export", "--csv")
            check(result.code in (0, 1), f"page {page} overwritten: exit code {result.code}\n{result}")
            if result.code:
                check_in(str(path), result.err, f"page {page} overwritten: stderr")
                seen.add(page)
        check(seen, "no damaged page was found out")
        path.write_bytes(sound[:size * 2 + 100])  # cut off
        result = taut.run("report")
        check(result.code == 1 and str(path) in result.err, f"a file that was cut off\n{result}")


@test("root does not open a database of somebody else, or one that others can write: exit 5")
def _():
    need_root()
    with Taut() as taut:
        taut.run("run", tiny(taut, 1)).wants(0)
        path = taut.folder / "runs.db"
        path.chmod(0o666)
        taut.run("list").wants(5, str(path), "others may write", "try:")
        path.chmod(0o600)
        import os
        os.chown(path, 12345, 12345)
        taut.run("list").wants(5, str(path), "another user", "try:")


def on_small_disk(taut, script, *arguments, seconds=60):
    """taut in a mount namespace where FOLDER/small is a tmpfs; what is there afterwards is copied to
    FOLDER/kept."""
    small, kept = taut.folder / "small", taut.folder / "kept"
    small.mkdir(exist_ok=True)
    kept.mkdir(exist_ok=True)
    text = (f"mount -t tmpfs -o size=1500k,mode=0700 none {small} && {{ {script}; }}\n"
            f'"$@"; code=$?\ncp {small}/runs.db* {kept}/ 2>/dev/null\nexit $code')
    return taut.run(*arguments, seconds=seconds, command=["unshare", "--mount", "sh", "-c", text, "sh", TAUT])


@test("a disk that gets full ends the run: exit 1, a clear word, and every trial that was shown is stored")
def _():
    need_root()
    with Taut() as taut:
        before = picture.take()
        result = on_small_disk(taut, "true", "run", tiny(taut, 100), "--db", f"{taut.folder}/small/runs.db").wants(
            1, "small/runs.db", "full")
        shown = len(re.findall(r"^\[\s*\d+/400\]", result.out, re.M))
        check(3 < shown < 400, f"{shown} trials before the disk was full\n{result}")
        check_equal(picture.differences(before, picture.take()), [], "differences of the machine")
        taut.environment["TAUT_DB"] = str(taut.folder / "kept" / "runs.db")
        check_equal(len(trials(taut)), shown, "trials stored, against lines shown")
        check(database_is_sound(taut.environment["TAUT_DB"]), "the database is damaged")


@test("without room for the journal nothing is tuned: exit 1, the machine as before")
def _():
    need_root()
    with Taut() as taut:
        taut.environment["TAUT_STATE"] = f"{taut.folder}/small"
        before = picture.take()
        fill = f"echo 1 > {taut.folder}/small/lock; dd if=/dev/zero of={taut.folder}/small/ballast bs=4k 2>/dev/null || true"
        result = on_small_disk(taut, fill, "measure", "tcp_rr", "--duration", "100ms", "--set", "profile=low-latency")
        result.wants(1, "No space left")
        check_equal(picture.differences(before, picture.take()), [], "differences of the machine")


main()
