# SPDX-License-Identifier: GPL-3.0-or-later
"""Mistakes at the command line and in experiment files: exit code, the message, and what to try."""
import os
import shutil

from faults import faulty
from tap import TAUT, Taut, check, check_equal, check_in, main, need_program, need_root, skip, test

MEASURE = ("measure", "tcp_rr")
MISTAKES = [  # arguments, what the message must hold
    (("mesure", "tcp_rr"), ["no verb 'mesure'", "taut measure"]),
    (("frobnicate",), ["no verb 'frobnicate'", "--help"]),
    ((), ["Usage: taut VERB"]),
    ((*MEASURE, "--frobnicate"), ["--frobnicate"]),
    ((*MEASURE, "--set", "transaktions=5"), ["'transaktions'", "no such setting", "try: transactions"]),
    (("run", "quick", "--set", "frob=1"), ["taut: cannot set 'frob'", "no such setting"]),
    (("run", "quick", "--set", "duration=1x"), ["taut: cannot set duration", "'1x'"]),
    ((*MEASURE, "--set", "nodelay"), ["--set 'nodelay'", "KEY=VALUE"]),
    (("measure",), ["argument is missing", "WORKLOAD"]),
    ((*MEASURE, "tcp_rr"), ["one argument too many"]),
    (("measure", "tcp_rx"), ["'tcp_rx'", "no such workload", "try: tcp_rr"]),
    ((*MEASURE, "--rate", "fast"), ["rate", "'fast'", "whole number"]),
    ((*MEASURE, "--rate", "-5"), ["rate", "'-5'"]),
    ((*MEASURE, "--duration", "3"), ["duration", "'3'"]),
    ((*MEASURE, "--duration", "9999d"), ["duration", "'9999d'"]),
    ((*MEASURE, "--duration", "0"), ["duration", "'0'", "between"]),
    ((*MEASURE, "--nodelay=perhaps"), ["nodelay", "'perhaps'", "yes or no"]),
    ((*MEASURE, "--client-cpu", "one"), ["client_cpu", "'one'", "CPU"]),
    ((*MEASURE, "--sched", "fifo:100"), ["sched", "'fifo:100'", "98"]),
    ((*MEASURE, "--target", "spaceship"), ["'spaceship'", "target"]),
    ((*MEASURE, "--target", "container", "--runtime", "rocket"), ["'rocket'", "runtime"]),
    ((*MEASURE, "--attachment", "glue"), ["'glue'", "attachment"]),
    ((*MEASURE, "--request", "0"), ["request", "'0'", "between 1 and"]),
    ((*MEASURE, "--request", "10G"), ["request", "'10G'", "between 1 and"]),
    (("measure", "tcp_rr", "--request", "0"), ["request", "'0'", "between 1 and"]),
    (("measure", "tcp_stream", "--size", "10G"), ["size", "'10G'", "between 0 and"]),
    (("measure", "tcp_stream", "--rate", "2000"), ["tcp_stream", "as fast as its receiver reads"]),
    ((*MEASURE, "--pacing", "open"), ["open loop without a rate"]),
    ((*MEASURE, "--pacing", "closed", "--rate", "100"), ["closed loop", "rate"]),
    ((*MEASURE, "--rate", "100", "--burst", "4"), ["burst 4", "open loop"]),
    (("measure", "udp_rr", "--request", "65508"), ["65508 bytes", "one datagram", "65507"]),
    (("measure", "udp_rr", "--burst", "65"), ["65 datagrams", "64"]),
    (("measure", "udp_rr", "--congestion", "cubic"), ["congestion", "only TCP has one"]),
    ((*MEASURE, "--flows", "65"), ["flows", "'65'"]),
    ((*MEASURE, "--mtu", "60"), ["MTU 60"]),
    ((*MEASURE, "--ipv6", "--mtu", "1000"), ["MTU 1000", "1280"]),
    ((*MEASURE, "--port", "65530", "--flows", "10"), ["port 65530", "65535"]),
    ((*MEASURE, "--client-cpu", "1000"), ["client", "CPU 1000", "CPUs of this machine"]),
    ((*MEASURE, "--set", "isolate=0-1000"), ["isolate", "0-1000"]),
    ((*MEASURE, "--set", "profile=fastest"), ["profile 'fastest'", "low-latency"]),
    ((*MEASURE, "--set", "profile=command"), ["apply", "revert"]),
    ((*MEASURE, "--set", "apply=true"), ["apply", "profile"]),
    (("run",), ["argument is missing"]),
    (("run", "quik"), ["'quik'", "try: taut run quick"]),
    (("run", "/nonexistent/x.yaml"), ["/nonexistent/x.yaml", "No such file"]),
    (("run", "/"), ["not a file"]),
    (("run", "quick", "--blocks", "0"), ["--blocks", "'0'", "1 to"]),
    (("run", "quick", "--seed", "x"), ["--seed", "'x'"]),
    (("run", "quick", "--device", "eth2,eth3"), ["--device with quick", "none of its cells wants devices"]),
    (("run", "quick", "--set", "noise=loud"), ["noise", "'loud'"]),
    (("tune", "frob"), ["'frob'", "status"]),
    (("lab", "frob"), ["'frob'", "clean"]),
    (("lab",), ["argument is missing: shell [KERNEL]|fetch|clean"]),
    (("lab", "shell", "--cpus", "9"), ["taut lab: ", "'9' CPUs", "1 to 8"]),
    (("lab", "shell", "--cpus", "0"), ["'0' CPUs", "1 to 8"]),
    (("lab", "clean", "--cpus", "2"), ["clean and fetch take no kernel"]),
    (("list", "frob"), ["'frob'", "runs"]),
    (("list", "knobs", "--json"), ["knobs", "--json is for runs"]),
    (("export",), ["format is missing", "--csv"]),
    (("compare", "1"), ["argument is missing"]),
]


@test("every mistake at the command line is exit 2, says what is wrong and what is right")
def _():
    wrong = []
    with Taut() as taut:
        for arguments, texts in MISTAKES:
            result = taut.run(*arguments, seconds=10)
            missing = [t for t in texts if t not in result.err]
            if result.code != 2 or missing or result.out or len(result.err) > 1500 and arguments:
                wrong.append(f"{result}\nwanted exit 2, nothing on stdout, and in stderr: {missing}")
        check(not wrong, "\n".join(wrong))


@test("the help of every verb fits into 80 columns, and -h is --help")
def _():
    with Taut() as taut:
        for verb in ("run", "measure", "report", "compare", "export", "list", "tune", "clean", "kernel", "lab"):
            text = taut.run(verb, "--help").wants(0).out
            check_equal([line for line in text.splitlines() if len(line) > 80], [], f"lines of taut {verb} --help")
            check_equal(taut.run(verb, "-h").wants(0).out, text, f"taut {verb} -h")


HEAD = "name: t\nblocks: 2\n"
CELLS = "cells: [{workload: tcp_rr}]\n"
ARMS = "arms: {stock: {}}\n"
FILES = [  # text, line, what the message must hold
    (HEAD + "blokcs: 3\n" + CELLS + ARMS, 3, ["'blokcs'", "try: blocks"]),
    (HEAD + "cells:\n  - {workload: tcp_rr, ratte: 5}\n" + ARMS, 4, ["'ratte'", "try: rate"]),
    (HEAD + CELLS + "arms:\n  stock: {}\n  b: {profil: stock}\n", 6, ["'profil'", "try: profile"]),
    (HEAD + "trial:\n  duration: 1s\n  warmup: soon\n" + CELLS + ARMS, 5, ["warmup", "'soon'"]),
    (HEAD + "blocks: 3\n" + CELLS + ARMS, 3, ["blocks", "twice"]),
    (HEAD + "cells:\n  - {workload: tcp_rr, rate: 5, rate: 6}\n" + ARMS, 4, ["rate", "twice"]),
    (HEAD + CELLS + "arms:\n  a: {}\n  a: {}\n", 6, ["a", "twice"]),
    (HEAD + "trial: {warmup: [1s, 2s]}\n" + CELLS + ARMS, 3, ["warmup", "single value"]),
    (HEAD + CELLS + "arms:\n  a: {profile: [stock, low-latency]}\n", 5, ["profile", "single value"]),
    (HEAD + "cells: [{workload: {a: b}}]\n" + ARMS, 3, ["workload", "single value"]),
    (HEAD + "cells: [{workload: []}]\n" + ARMS, 3, ["workload", "empty"]),
    (HEAD + CELLS + "arms: {}\n", 4, ["at least one arm"]),
    (HEAD + CELLS + "arms: [stock]\n", 4, ["arms"]),
    (HEAD + CELLS, 3, ["'arms' is missing"]),
    (HEAD + ARMS, 1, ["'cells' is missing"]),
    (CELLS + ARMS, 1, ["'name' is missing"]),
    (HEAD + "cells: []\n" + ARMS, 3, ["cells"]),
    (HEAD + "cells: tcp_rr\n" + ARMS, 3, ["cells"]),
    (HEAD + "cells:\n  - {workload: tcp_rr}\n  - {workload: tcp_rr}\n" + ARMS, 5, ["twice"]),
    (HEAD + "cells:\n  - {workload: tcp_stream, rate: 5}\n" + ARMS, 4, ["as fast as its receiver reads"]),
    (HEAD + "cells:\n  - {workload: udp_rr, request: 70000}\n" + ARMS, 4, ["one datagram"]),
    ("name: 5\n" + CELLS + ARMS, 1, ["name"]),
    ("name: a b\n" + CELLS + ARMS, 1, ["name"]),
    ("name: t\nblocks: many\n" + CELLS + ARMS, 2, ["blocks", "many"]),
    ("name: t\nblocks: 100000\n" + CELLS + ARMS, 2, ["blocks", "1000"]),
    ("name: t\nblocks: [1\ncells: {\n", 3, []),
    ("name: t\n\tblocks: 1\n", 2, []),
    ("- a\n- b\n", 1, ["experiment"]),
    ("", 1, []),
    ("name: \x01\n", 1, []),
    ("\xff\xfe", 1, []),
]


@test("every mistake in an experiment file is exit 2 and is found at its line")
def _():
    wrong = []
    with Taut() as taut:
        for text, line, texts in FILES:
            path = taut.folder / "x.yaml"
            path.write_bytes(text.encode("latin-1"))
            result = taut.run("run", path, "--dry-run", seconds=10)
            missing = [t for t in [f"{path}:{line}:", *texts] if t not in result.err]
            if result.code != 2 or missing or result.out:
                wrong.append(f"--- the file:\n{text}\n{result}\nwanted exit 2 and: {missing}")
        check(not wrong, "\n".join(wrong))


@test("as root an experiment file of somebody else, or one that others can write, is refused: exit 5")
def _():
    need_root()
    with Taut() as taut:
        os.chmod(taut.folder, 0o755)
        path = taut.write("x.yaml", HEAD + CELLS + ARMS, 0o666)
        taut.run("run", path, "--dry-run").wants(5, path, "others can write it", "try: chmod go-w")
        os.chmod(path, 0o644)
        os.chown(path, 12345, 0)
        taut.run("run", path, "--dry-run").wants(5, path, "12345", "try: chown root")


@test("a port that is taken: exit 1, with the port and what to try")
def _():
    with Taut() as taut:
        taut.run(*MEASURE, "--duration", "50ms", "--port", "7000").wants(0)
        for workload in ("tcp_rr", "udp_rr"):
            taut.run("measure", workload, "--port", "7000", "--json",
                     environment=faulty(taut, "taut-server", do="occupy", port=7000)).wants(
                         1, "7000", "Address already in use", "another port")


@test("without runc and crun a container is skipped with the reason: exit 1")
def _():
    need_root()
    hidden = [path for path in (shutil.which(name) for name in ("runc", "crun")) if path]
    hide = "".join(f"mount --bind /dev/null {path} && " for path in hidden) + 'exec "$@"'
    with Taut() as taut:
        command = ["unshare", "--mount", "sh", "-c", hide, "sh", TAUT]
        taut.run(*MEASURE, "--target", "container", command=command).wants(1, "runc", "crun", "try:")
        path = taut.write("x.yaml", HEAD + "cells: [{workload: tcp_rr, target: container}]\n" + ARMS)
        result = taut.run("run", path, "--json", command=command).wants(1)
        (skipped,) = result.json["skipped"]
        check_in("runc", skipped["reason"], "reason")
        check_equal(result.json["cells"], [], "cells")


@test("without stress-ng a cell with noise is skipped with the reason")
def _():
    with Taut() as taut:
        empty = taut.folder / "bin"
        empty.mkdir()
        if any(os.path.exists(f"{d}/stress-ng") for d in ("/usr/sbin", "/sbin")):
            skip("stress-ng is in /usr/sbin, where taut looks always")
        taut.run(*MEASURE, "--set", "noise=cpu", environment={"PATH": str(empty)}).wants(
            1, "stress-ng", "not on PATH", "apt-get install stress-ng")
        path = taut.write("x.yaml", HEAD + "cells: [{workload: tcp_rr, noise: cpu}]\n" + ARMS)
        result = taut.run("run", path, "--json", environment={"PATH": str(empty)}).wants(1)
        (skipped,) = result.json["skipped"]
        check_in("stress-ng", skipped["reason"], "reason")
        check_equal(result.json["cells"], [], "cells")


@test("a state folder that is none: another one is what to try, not its owner or mode")
def _():
    with Taut() as taut:
        result = taut.run("list", environment={"TAUT_STATE": str(taut.write("file", "")), "TAUT_DB": ""}).wants(
            1, "Not a directory", "try: another folder in TAUT_STATE")
        check("chown" not in result.err, f"chown in: {result.err}")


@test("a warning is said once, however often it holds")
def _():
    need_root()
    need_program("setpriv")
    with Taut() as taut:
        os.chmod(taut.folder, 0o755)
        state = taut.folder / "state"
        state.mkdir(exist_ok=True)
        os.chown(state, 65534, 65534)
        nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", TAUT]
        result = taut.run("run", "quick", "--dry-run", command=nobody, environment={
            "HOME": "", "XDG_CACHE_HOME": "", "TAUT_CACHE": "", "TAUT_DB": "", "TAUT_STATE": str(state)})
        check_equal(result.err.count("cannot name the cache"), 1, f"warnings in: {result.err}")


@test("an unknown run, an empty database: exit 1 with what to try")
def _():
    with Taut() as taut:
        for verb in (("report",), ("report", "17"), ("report", "nobody"), ("export", "--csv"), ("compare", "1", "2")):
            result = taut.run(*verb)
            check(result.code == 1 and "cannot" in result.err and not result.out, f"wanted exit 1 and why\n{result}")
        taut.run("list").wants(0)
        check_equal(taut.run("list", "--json").wants(0).json["schema"], "taut.list/1", "schema")


@test("--help and --version of every verb: exit 0, on stdout")
def _():
    with Taut() as taut:
        verbs = [(), ("run",), ("measure",), ("report",), ("compare",), ("export",), ("list",), ("tune",), ("lab",)]
        for verb in verbs:
            result = taut.run(*verb, "--help").wants(0)
            check("Usage: taut" in result.out and not result.err, f"help\n{result}")
        taut.run("--version").wants(0, "taut ")
        for what in ("experiments", "workloads", "settings", "profiles", "knobs", "features"):
            check(taut.run("list", what).wants(0).out.count("\n") >= 2, f"list {what} is empty")


@test("stdout that is full is an error: exit 1")
def _():
    if not os.path.exists("/dev/full") or os.stat("/dev/full").st_rdev != os.makedev(1, 7):
        skip("/dev/full is not the device that is always full")
    with Taut() as taut, open("/dev/full", "w") as full:
        for verb in (("list", "settings"), ("list", "--json"), ("--help",)):
            running = taut.start(*verb, stdout=full)
            result = running.wait(10)
            if verb == ("--help",):
                continue  # help is the C library's on some verbs
            result.wants(1, "stdout", "No space left")


main()
