# SPDX-License-Identifier: GPL-3.0-or-later
"""What earlier versions of taut have stored reads as it was.

tests/data/archive holds a database of each schema, made by the version that first had it (with other kernel
names and boot arguments than those of the machine it was made on), and what that version showed of it.  Keys
and figures must be as they were; sentences may differ, and keys may be added.  In cut-off.db such a version was
interrupted after 6 of the 12 trials of cut-off.yaml, in the second of three blocks.
"""
import csv
import json
import pathlib
import shutil
import sqlite3

from tap import SOURCE, Taut, check, check_equal, main, test

ARCHIVE = SOURCE / "tests" / "data" / "archive"
# Keys whose texts are sentences, which later versions may word otherwise.
SENTENCES = {"reason", "checks", "evidence", "text", "notes"}


def differences(old, new, where="$"):
    """Where `new` lacks something of `old`, or has another figure."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key, value in old.items():
            if key not in new:
                yield f"{where}.{key} is gone"
            elif key not in SENTENCES:
                yield from differences(value, new[key], f"{where}.{key}")
    elif isinstance(old, list) and isinstance(new, list):
        if len(old) != len(new):
            yield f"{where} has {len(new)} items, not {len(old)}"
        for i, (a, b) in enumerate(zip(old, new)):
            yield from differences(a, b, f"{where}[{i}]")
    elif type(old) is not type(new) and not (isinstance(old, (int, float)) and isinstance(new, (int, float))):
        yield f"{where} is {new!r}, not {old!r}"
    elif isinstance(old, float) or isinstance(new, float):
        if abs(old - new) > 1e-9 * max(abs(old), abs(new)):
            yield f"{where} is {new!r}, not {old!r}"
    elif old != new:
        yield f"{where} is {new!r}, not {old!r}"


def copied(taut, schema):
    path = taut.folder / "old.db"
    shutil.copy(ARCHIVE / f"schema-{schema}.db", path)
    path.chmod(0o600)
    return path


def same(taut, path, verb, golden):
    old = json.loads((ARCHIVE / golden).read_text(encoding="utf-8"))
    new = json.loads(taut.run(*verb, "--json", "--db", str(path)).wants(0).out)
    found = list(differences(old, new))
    check(not found, f"{' '.join(verb)}: {len(found)} differences, such as {found[:5]}")


@test("runs of schema 1 are reported with every key and figure")
def _():
    with Taut() as taut:
        path = copied(taut, 1)
        for run in ("1", "2", "3"):
            same(taut, path, ("report", run), f"report-{run}.json")


@test("runs of schema 1 are compared with every key and figure")
def _():
    with Taut() as taut:
        same(taut, copied(taut, 1), ("compare", "1", "2"), "compare-1-2.json")


@test("trials of schema 1 are exported with every column")
def _():
    with Taut() as taut:
        rows = taut.run("export", "2", "--csv", "--db", str(copied(taut, 1))).wants(0).out.splitlines()
        old = (ARCHIVE / "export-2.csv").read_text(encoding="utf-8").splitlines()
        check(len(rows) == len(old), f"{len(rows)} lines, not {len(old)}")
        names, before = rows[0].split(","), old[0].split(",")
        check(set(before) <= set(names), f"columns are gone: {set(before) - set(names)}")
        for a, b in zip(old[1:], rows[1:]):
            was, now = dict(zip(before, a.split(","))), dict(zip(names, b.split(",")))
            check(all(now[key] == was[key] for key in before), f"'{b}' is not '{a}'")


@test("of disorder, trials of schema 1 have the sum alone, and null for its kinds")
def _():
    with Taut() as taut:
        database = str(copied(taut, 1))
        run = taut.run("report", "2", "--json", "--db", database).wants(0).json
        kinds = {(type(arm["reordered"]), *(arm[key] for key in ("duplicates", "late", "overtaken")))
                 for cell in run["cells"] for arm in cell["arms"].values()}
        check_equal(kinds, {(int, None, None, None)}, "reordered, duplicates, late, overtaken")
        for row in csv.DictReader(taut.run("export", "2", "--csv", "--db", database).wants(0).out.splitlines()):
            check_equal((row["duplicates"], row["late"], row["overtaken"]), ("", "", ""), "columns")


def edit(path, change):
    """Applies change(record) to every stored record, change({"settings": …}) to every arm."""
    with sqlite3.connect(path) as db:
        for number, text in db.execute("SELECT id, record FROM trials").fetchall():
            record = json.loads(text)
            change(record)
            db.execute("UPDATE trials SET record = ? WHERE id = ?", (json.dumps(record), number))
        for number, text in db.execute("SELECT rowid, settings FROM arms").fetchall():
            arm = {"settings": json.loads(text)}
            change(arm)
            db.execute("UPDATE arms SET settings = ? WHERE rowid = ?", (json.dumps(arm["settings"]), number))
    db.close()


def parts(record):
    return [record[key] for key in ("settings", "host", "client", "server") if key in record] + record.get("during", [])


@test("owners that an older rule has named are marked as such, in text and JSON")
def _():
    with Taut() as taut:
        database = str(copied(taut, 1))
        text = " ".join(taut.run("report", "--db", database, "1").wants(0).out.split())
        check("run-queue wait (by an older rule)" in text and "unknown (by" not in text, text)
        run = taut.run("report", "--json", "--db", database, "1").wants(0).json
        owners = {(extreme["owner"], extreme["old_rule"]) for cell in run["cells"] for arm in cell["arms"].values()
                  for extreme in arm["extremes"]}
        check(owners == {("unknown", False), ("run-queue wait", True)}, f"owners {owners}")


@test("a member that is not known is left out, in every part of a record")
def _():
    def more(record):
        for part in parts(record) + [record]:
            part["altitude"] = 8848
            part["mood"] = {"calm": True}

    with Taut() as taut:
        path = copied(taut, 1)
        edit(path, more)
        same(taut, path, ("report", "2"), "report-2.json")


@test("a member that is missing has its default, in every part of a record")
def _():
    def less(record):
        for part, key in (("settings", "host_boot"), ("settings", "disk"), ("host", "program"), ("client", "busy_poll_us"),
                          ("server", "memory_locked")):
            record.get(part, {}).pop(key, None)
        for during in record.get("during", []):
            during.pop("throttled_ns")
        record.pop("guest", None)
        record.pop("console", None)

    with Taut() as taut:
        path = copied(taut, 1)
        edit(path, less)
        same(taut, path, ("report", "2"), "report-2.json")


@test("a value of another type is an error that names the trial")
def _():
    def wrong(record):
        if "client" in record:
            record["client"]["sent"] = "many"

    with Taut() as taut:
        path = copied(taut, 1)
        edit(path, wrong)
        taut.run("report", "2", "--db", str(path)).wants(1, "trial", "'sent'", str(path))


def cut_off(taut, boot=None):
    path = taut.folder / "old.db"
    shutil.copy(ARCHIVE / "cut-off.db", path)
    path.chmod(0o600)
    if boot:
        with sqlite3.connect(path) as db:
            db.execute("UPDATE runs SET boot_id = ?", (boot,))
        db.close()
    return path


def stored(path):
    """State and records by (block, cell, arm), of each run."""
    db = sqlite3.connect(path)
    runs = {number: [state, {}] for number, state in db.execute("SELECT id, state FROM runs")}
    for number, *trial, record in db.execute("SELECT run, block, cells.name, arm, record FROM trials "
                                             "JOIN cells ON cell = cells.id"):
        runs[number][1][tuple(trial)] = record
    db.close()
    return runs


def resumed(taut, path):
    experiment = taut.write("cut-off.yaml", (ARCHIVE / "cut-off.yaml").read_text(encoding="utf-8"))
    return taut.run("run", experiment, "--resume", "--db", str(path)).wants(0)


@test("a run that schema 1 began on this boot is gone on with after its last complete block")
def _():
    boot = pathlib.Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    with Taut() as taut:
        path = cut_off(taut, boot)
        (_, before), = stored(path).values()
        check_equal(len(before), 6, "trials before")
        done = resumed(taut, path)
        check("[ 5/12]" in done.out and "[ 4/12]" not in done.out, f"it does not begin with trial 5\n{done}")
        after = stored(path)
        check_equal(list(after), [1], "runs")
        state, records = after[1]
        check_equal((state, len(records)), ("done", 12), "state and trials")
        kept = [key for key, record in before.items() if key[0] == 0 and records[key] == record]
        check_equal(len(kept), 4, "trials of the first block that are as they were")


@test("a run that schema 1 began on another boot is left as it is, and why is said")
def _():
    with Taut() as taut:
        path = cut_off(taut)
        before = stored(path)[1]
        resumed(taut, path).wants(0, "nothing to resume (its last run began on another boot of the kernel)")
        after = stored(path)
        check_equal(after[1], before, "the old run")
        check_equal((after[2][0], len(after[2][1])), ("done", 12), "state and trials of the new run")


main()
