#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Drivers: how each end moves its packets, what is refused beforehand, and what a driver leaves: nothing.

xdp wants root and a kernel with AF_XDP; what cannot be tried here is skipped.
"""
import os
import pathlib
import shutil
import signal
import socket
import subprocess

from faults import faulty
from nobody import UsersTaut
from tap import Taut, check, check_between, check_equal, check_in, endpoint, main, need_program, need_root, skip, test, wait_until

AF_XDP = 44
TRIAL = ("--transactions", "2000", "--warmup", "50ms", "--json")
LONG_TRIAL = ("--transactions", "0", "--duration", "4s", "--warmup", "50ms", "--json")


def cpus(wanted):
    """So many CPUs of those that this process may use, as a list for taskset."""
    ours = sorted(os.sched_getaffinity(0))
    if len(ours) < wanted:
        skip(f"wants {wanted} CPUs")
    return ",".join(map(str, ours[:wanted]))


def on(count, *more):
    """A command of taut that may use so many CPUs."""
    from tap import TAUT
    need_program("taskset")
    return ["taskset", "-c", cpus(count), *more, TAUT]


def need_xdp():
    need_root()
    cpus(2)
    try:
        socket.socket(AF_XDP, socket.SOCK_RAW).close()
    except OSError as why:
        skip(f"this kernel has no AF_XDP: {why}", "xdp")


def condition(document, end, what):
    return next((c["before"] for c in document["conditions"] if (c["object"], c["what"]) == (end, what)), None)


def shown(namespace, *command):
    """What a program says in a network namespace, which is given as an fd or a PID."""
    path = f"/proc/self/fd/{namespace}" if namespace < 1000 else f"/proc/{namespace}/ns/net"
    done = subprocess.run(["nsenter", f"--net={path}", *command], capture_output=True, text=True, check=False,
                          pass_fds=[namespace] if namespace < 1000 else [])
    return done.stdout + done.stderr


def attached(namespace):
    return "xdp" in shown(namespace, "ip", "link")


def ticks(pid):
    """CPU time that a process has used: in its own code and in the kernel's, in which one that polls may spend nearly all."""
    return sum(map(int, pathlib.Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").split()[13:15]))


@test("each end has its own driver, and the record says which, how and at what cost")
def _():
    need_xdp()
    for word, client, server in (("socket:xdp", ("socket", None), ("xdp", "generic")),
                                 ("spin:socket", ("spin", None), ("socket", None)),
                                 ("xdp:spin", ("xdp", "generic"), ("spin", None))):
        with Taut() as taut:
            trial = taut.run("measure", "udp_rr", "--driver", word, *TRIAL).wants(0).json
        said = [(end["driver"], end["driver_mode"]) for end in trial["ends"]]
        check_equal(said, [client, server], word)
        check_equal((trial["transactions"], trial["lost"], trial["verified"]), (2000, 0, True), word)
        check_equal(trial["settings"]["driver"], word, "the setting")
        for end in ("client", "server"):
            check_between(trial["cpu_per_transaction_ns"][end], 100, 1e8, f"{word}: CPU time of the {end}")
        for end, (driver, _) in (("client", client), ("server", server)):
            wanted = "CAP_BPF CAP_NET_ADMIN CAP_NET_RAW" if driver == "xdp" else None
            check_equal(condition(trial, end, "capabilities"), wanted, f"{word}: capabilities of the {end}")


@test("a container may do what its driver needs, and nothing more")
def _():
    need_xdp()
    if not shutil.which("runc") and not shutil.which("crun"):
        skip("neither runc nor crun is installed", "oci")
    with Taut() as taut:
        running = taut.start("measure", "udp_rr", "--target", "container", "--driver", "xdp", *LONG_TRIAL)
        pid = endpoint(running, "taut-server")
        status = pathlib.Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
        held = {int(line.split()[1], 16) for line in status.splitlines() if line.startswith(("CapEff", "CapBnd"))}
        result = running.wait().wants(0)
        check_equal(result.json["ends"][1]["driver"], "xdp", "the server")
    check_equal(held, {1 << 39 | 1 << 12 | 1 << 13}, "capabilities of the server")


@test("with one CPU an end that polls is refused before anything starts: exit 2")
def _():
    for word, who in (("spin", "both ends"), ("socket:spin", "one end"), ("xdp", "both ends")):
        with Taut() as taut:
            result = taut.run("measure", "udp_rr", "--driver", word, command=on(1))
            result.wants(2, f"cannot use driver {word.split(':')[-1]} for {who}: it never sleeps")
            check_equal(list((taut.folder / "state").glob("*")), [], "the state folder")


@test("ends that poll on every CPU stay in the normal class, each on a CPU of its own, and the knobs say why")
def _():
    need_root()
    with Taut() as taut:
        trial = taut.run("measure", "udp_rr", "--driver", "spin", "--profile", "low-latency", "--yes", *TRIAL,
                         command=on(2)).wants(0).json
    check_equal([condition(trial, end, "sched") for end in ("client", "server")], ["other", "other"], "scheduling")
    places = [condition(trial, end, "cpus") for end in ("client", "server")]
    check(len(set(places)) == 2 and all(p.isdigit() for p in places), f"placed on {places}")
    reasons = {(k["id"], k["reason"]) for k in trial["effective_knobs"] if k["status"] == "skipped"}
    check_in("nothing else would run", str([r for i, r in reasons if i == "endpoint-sched"]), "endpoint-sched")
    for knob in ("partition-cgroup1", "partition-cgroup2", "partition-affinity"):
        check_in("take every CPU", str([r for i, r in reasons if i == knob]), knob)
    check_equal(trial["verified"], True, "verified")


@test("one end that polls has an isolated CPU for itself, and the other end is not there")
def _():
    need_root()
    for word, poller in (("spin:socket", "client"), ("socket:spin", "server")):
        with Taut() as taut:
            trial = taut.run("measure", "udp_rr", "--driver", word, "--profile", "low-latency", "--yes", *TRIAL,
                             command=on(2)).wants(0).json
        places = {end: condition(trial, end, "cpus") for end in ("client", "server")}
        check(places["client"] != places["server"], f"{word}: {places}")
        check_equal(places[poller], cpus(2).split(",")[1], f"{word}: the CPU of the {poller}")
        check_equal(trial["verified"], True, "verified")


@test("neither noise nor a realtime class beside ends that poll on every CPU: exit 2")
def _():
    for more, said in ((("--noise", "cpu"), "cannot make noise"), (("--sched", "fifo:10"), "cannot run ends under SCHED_FIFO")):
        with Taut() as taut:
            taut.run("measure", "udp_rr", "--driver", "spin", *more, command=on(2)).wants(2, said)


@test("without leave to load programs xdp is refused before anything is touched: exit 5")
def _():
    cpus(2)
    with UsersTaut() as taut:
        taut.run("measure", "udp_rr", "--driver", "xdp").wants(5, "cannot use driver xdp: it needs the capabilities",
                                                               "driver spin")
    need_program("setpriv")
    less = ["setpriv", "--bounding-set=-bpf,-sys_admin", "--inh-caps=-bpf,-sys_admin"]
    with Taut() as taut:
        result = taut.run("measure", "udp_rr", "--driver", "socket:xdp", command=on(2, *less))
        result.wants(5, "CAP_BPF")
        check_equal(list((taut.folder / "state").glob("journal*")), [], "journals")


@test("ping goes through the link while xdp is on it, and nothing is on it when an end is killed")
def _():
    need_xdp()
    need_program("ping", "nsenter", "ip")
    with Taut() as taut:
        running = taut.start("measure", "udp_rr", "--driver", "xdp", *LONG_TRIAL)
        server = endpoint(running, "taut-server")
        client = endpoint(running, "taut-client")
        here = os.open(f"/proc/{server}/ns/net", os.O_RDONLY)
        there = os.open(f"/proc/{client}/ns/net", os.O_RDONLY)
        try:
            wait_until(lambda: attached(here) and attached(there), 10, "programs on both links")
            words = shown(here, "ip", "-4", "-o", "addr", "show", "scope", "global").split()
            address = words[words.index("inet") + 1].split("/")[0]
            said = shown(there, "ping", "-c", "3", "-i", "0.1", "-W", "5", address)
            check_in("3 received", said, "ping")
            os.kill(server, signal.SIGKILL)
            wait_until(lambda: not attached(here), 10, "the program to go")
            running.wait().wants(1)
            check(not attached(there), f"left on the client's link:\n{shown(there, 'ip', 'link')}")
        finally:
            os.close(here)
            os.close(there)


@test("what does not fit into the rings of a server that stands still is counted as lost")
def _():
    need_xdp()
    with Taut() as taut:
        running = taut.start("measure", "udp_rr", "--driver", "xdp", "--rate", "5000", "--duration", "8s", "--transactions", "0",
                             "--timeout", "500ms", "--json")
        server = endpoint(running, "taut-server")
        here = os.open(f"/proc/{server}/ns/net", os.O_RDONLY)
        try:
            wait_until(lambda: attached(here), 10, "the program")
            wait_until(lambda: ticks(server) > 20, 20, "the server to poll")
            os.kill(server, signal.SIGSTOP)
            subprocess.run(["sleep", "0.6"], check=True)
            os.kill(server, signal.SIGCONT)
        finally:
            os.close(here)
        trial = running.wait().wants(0).json
    # 3000 requests in 0.6 s, of which its ring of 512 keeps the first; those are answered late, or in time.
    check_between(trial["lost"], 1500, 5000, "lost")
    check_between(trial["transactions"] + trial["lost"], 38000, 44000, "answered and lost")


@test("a server that cannot take its client is named, with its reason, and nobody waits for its answer")
def _():
    with Taut() as taut:
        result = taut.run("measure", "udp_rr", environment=faulty(taut, "taut-server", do="refuse", text="the link is taken"))
        result.wants(1, "server endpoint: the link is taken")
        check(result.seconds < 15, f"it took {result.seconds:.1f} s")


@test("bypass sets the drivers beside each other, with what they cost")
def _():
    need_xdp()
    with Taut() as taut:
        few = ("--set", "transactions=2000", "--set", "warmup=20ms", "--blocks", "2")
        check(os.sched_getaffinity(0) >= {0, 1} or skip("wants CPUs 0 and 1"), "")
        taut.run("run", "bypass", *few).wants(0, "cost ", "CPU time of a transaction, client + server: spin")
        report = taut.run("report", "last", "--json").wants(0).json
    arms = report["cells"][0]["arms"]
    check_equal([(name, arm["settings"]["driver"]) for name, arm in arms.items()],
                [("spin", "spin"), ("sockets", "socket"), ("xdp", "xdp")], "arms")
    check_equal(report["cells"][0]["driver"], None, "the cell's driver, which differs between its arms")
    for name, arm in arms.items():
        for end in ("client", "server"):
            check_between(arm["cpu_per_transaction_ns"][end], 100, 1e8, f"{name}: CPU time of the {end}")


main()
