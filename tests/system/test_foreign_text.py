# SPDX-License-Identifier: GPL-3.0-or-later
"""Texts that are not taut's own drive no terminal, whatever way they come."""
import json
import os
import pty
import re
import sqlite3
import subprocess
import unicodedata

from runs import tiny
from tap import TAUT, Taut, check, check_in, main, test

# Clears the screen, sets a title, rings, goes back, begins a line that looks like ours, colours by a C1 character, turns the
# direction of writing, and takes no room.
HOSTILE = "x\x1b[2J\x1b]0;title\x07\b\r\ntaut: forged\x9b31m\u202egnirts\u200b\x7f"
COLOURS = re.compile(r"\x1b\[[0-9]{1,2}m")


def is_clean(text, what, colours=False):
    if colours:
        text = COLOURS.sub("", text)
    for line in text.replace("\r\n", "\n").split("\n"):
        bad = [c for c in line if unicodedata.category(c) in ("Cc", "Cf", "Zl", "Zp") and c != "\t"]
        check(not bad, f"{what}: {bad} in {line!r}")
        check(not line.startswith("taut: forged"), f"{what}: a line of the text's own: {line!r}")


def hostile_database(taut):
    """A run, all texts of which somebody has changed."""
    taut.run("run", tiny(taut, 6)).wants(0)
    db = sqlite3.connect(taut.folder / "runs.db")
    db.execute("PRAGMA foreign_keys = OFF")
    for table, column in (("runs", "name"), ("cells", "name"), ("cells", "reason"), ("arms", "name"), ("trials", "arm")):
        db.execute(f"UPDATE {table} SET {column} = {column} || ?", (HOSTILE,))
    for table, column in (("environments", "document"), ("arms", "settings"), ("trials", "record")):
        for row, text in db.execute(f"SELECT rowid, {column} FROM {table}").fetchall():
            document = json.loads(text, object_hook=lambda o: {
                k: v + HOSTILE if isinstance(v, str) and k in ("kernel", "preempt", "hypervisor", "version", "boot", "reason", "owner",
                                                               "evidence", "congestion", "object", "value") else v
                for k, v in o.items()})
            db.execute(f"UPDATE {table} SET {column} = ? WHERE rowid = ?", (json.dumps(document), row))
    db.execute("INSERT INTO cells (run, name, skipped, reason, privilege) VALUES (1, ?, 1, ?, 0)", ("no" + HOSTILE, HOSTILE))
    db.commit()
    db.close()


def on_terminal(taut, *args):
    """What a terminal gets."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen([TAUT, *args, "--db", str(taut.folder / "runs.db")], stdin=subprocess.DEVNULL, stdout=theirs,
                               stderr=theirs, env={**os.environ, "TERM": "xterm", "NO_COLOR": ""})
    os.close(theirs)
    said = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:
            break
        if not part:
            break
        said += part
    os.close(ours)
    process.wait(60)
    return said.decode()


@test("a database of somebody else's drives no terminal: reports, lists, files")
def _():
    with Taut() as taut:
        hostile_database(taut)
        for args in (("list",), ("list", "--json"), ("report",), ("report", "--json"), ("export", "--csv"), ("export", "--hlog"),
                     ("compare", "1", "1")):
            result = taut.run(*args)
            check(result.code in (0, 1, 2, 4), f"{args}: exit code {result.code}\n{result}")
            check(result.out or result.err, f"{args}: nothing was said")
            is_clean(result.out + result.err, " ".join(args))
            if "--json" in args:
                json.loads(result.out)
        check_in("forged", taut.run("report").wants(0).out, "the report")
        taut.run("export", "--csv", "-o", str(taut.folder / "out.csv")).wants(0)
        is_clean((taut.folder / "out.csv").read_bytes().decode(), "the file")


@test("a terminal gets the colours of a report, and no sequence of a database")
def _():
    with Taut() as taut:
        hostile_database(taut)
        said = on_terminal(taut, "report")
        check(COLOURS.search(said), f"no colours: {said[:400]!r}")
        is_clean(said, "report on a terminal", colours=True)


@test("errors show no character that drives a terminal")
def _():
    with Taut() as taut:
        for args in (("report", HOSTILE), ("run", HOSTILE + ".yaml"), ("measure", HOSTILE), (HOSTILE,),
                     ("measure", "tcp_rr", "--target", HOSTILE), ("measure", "tcp_rr", "--boot", HOSTILE), ("kernel", HOSTILE)):
            result = taut.run(*args)
            check(result.code in (1, 2), f"{args}: exit code {result.code}")
            is_clean(result.out + result.err, repr(args))


@test("an experiment with an arm or a value that cannot be shown is refused where it stands")
def _():
    with Taut() as taut:
        head = "name: x\ncells: [{workload: tcp_rr}]\n"
        path = taut.write("arm.yaml", head + 'arms:\n  a: {}\n  "b\\e[2J": {}\n')
        taut.run("run", path).wants(2, "arm.yaml:5", "cannot be shown")
        path = taut.write("value.yaml", head + 'arms:\n  a: {}\n  b:\n    boot: "quiet\\n\\u202e"\n')
        taut.run("run", path).wants(2, "value.yaml:6", "cannot be shown")


main()
