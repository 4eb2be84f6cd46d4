# SPDX-License-Identifier: GPL-3.0-or-later
"""Every document that taut prints is as its schema in schemas/ says, and no key is unknown to it.

The documents are those of the databases in tests/data/archive and of dry runs; one trial of a second is measured.
"""
import copy
import json
import re
import shutil

from tap import SOURCE, Taut, check, check_equal, main, need_root, skip, test

SCHEMAS = SOURCE / "schemas"


def copied(taut, name):
    path = taut.folder / name
    shutil.copy(SOURCE / "tests" / "data" / "archive" / name, path)
    path.chmod(0o600)
    return str(path)


def schema_of(name):
    thing, number = name.split("/")
    return json.loads((SCHEMAS / f"{thing}-{number}.schema.json").read_text(encoding="utf-8"))


def mistakes(document, name):
    try:
        import jsonschema
    except ImportError:
        skip("python3-jsonschema is not installed")
    if not hasattr(jsonschema, "Draft202012Validator"):
        skip(f"jsonschema {jsonschema.__version__} does not know draft 2020-12")
    validator = jsonschema.Draft202012Validator(schema_of(name))
    return [f"{error.json_path}: {error.message[:200]}" for error in validator.iter_errors(document)]


def valid(document, name):
    check_equal(document.get("schema"), name, "the schema that the document names")
    found = mistakes(document, name)
    check(not found, f"{name}: {len(found)} mistakes, such as {found[:5]}")


@test("every document that the sources name has a schema")
def _():
    named = set()
    for path in (SOURCE / "src").glob("*/*.c"):
        named |= set(re.findall(r'"(taut\.[a-z]+/\d+)"', path.read_text(encoding="utf-8")))
    named.discard("taut.journal/1")  # a file of taut's own, which it alone reads
    kept = {path.name.removesuffix(".schema.json").replace("-", "/") for path in SCHEMAS.glob("*.json")}
    check_equal(kept, named, "schemas")


@test("schemas are schemas of draft 2020-12")
def _():
    try:
        from jsonschema import Draft202012Validator
    except ImportError:
        skip("python3-jsonschema is not installed")
    for path in SCHEMAS.glob("*.json"):
        Draft202012Validator.check_schema(json.loads(path.read_text(encoding="utf-8")))


@test("reports, comparisons and lists of stored runs are as their schemas say")
def _():
    with Taut() as taut:
        for name, runs in (("schema-1.db", 3), ("cut-off.db", 1)):
            path = copied(taut, name)
            for run in range(1, runs + 1):
                valid(taut.run("report", str(run), "--json", "--db", path).wants(0).json, "taut.run/1")
            valid(taut.run("list", "--json", "--db", path).wants(0).json, "taut.list/1")
        path = copied(taut, "schema-1.db")
        for pair in (("1", "2"), ("1", "3")):
            valid(taut.run("compare", *pair, "--json", "--db", path).wants(0).json, "taut.compare/1")


@test("plans of every experiment and of a trial are as their schema says")
def _():
    with Taut() as taut:
        commands = [("run", line.split()[0]) for line in taut.run("list", "experiments").wants(0).out.splitlines()]
        for command in [*commands, ("measure", "tcp_rr"), ("run", "quick", "--set", "profile=low-latency")]:
            done = taut.run(*command, "--dry-run", "--json")
            check(done.code in (0, 1, 5), str(done))
            if done.out:
                valid(done.json, "taut.plan/2")


@test("the list of kernels is as its schema says")
def _():
    with Taut() as taut:
        valid(taut.run("kernel", "list", "--json").wants(0).json, "taut.kernels/1")


@test("a trial is as its schema says")
def _():
    need_root()
    with Taut() as taut:
        for workload in ("tcp_rr", "udp_stream"):
            valid(taut.run("measure", workload, "--duration", "200ms", "--json").wants(0).json, "taut.trial/1")


@test("a key that a schema does not know is a mistake, in every part")
def _():
    with Taut() as taut:
        document = taut.run("report", "2", "--json", "--db", copied(taut, "schema-1.db")).wants(0).json
    arm = next(iter(document["cells"][0]["arms"]))
    for way in ((), ("run",), ("cells", 0), ("cells", 0, "arms", arm), ("cells", 0, "arms", arm, "latency_ns"), ("cells", 0, "effects", 0)):
        spoiled = copy.deepcopy(document)
        part = spoiled
        for step in way:
            part = part[step]
        part["unheard_of"] = 1
        check(any("unheard_of" in text for text in mistakes(spoiled, "taut.run/1")), f"an unknown key in {way} is no mistake")


main()
