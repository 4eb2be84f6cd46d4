#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every workload for real: what it reports, with every setting that it shares with the others, and what it refuses."""
import os

from engines import Engine
from machines import BOOT_S, GUEST, Machines, kernels
from tap import TAUT, Taut, check, check_equal, check_in, main, need_root, skip, test

WORKLOADS = ("tcp_rr", "udp_rr", "tcp_crr", "tcp_stream", "tcp_maerts", "udp_stream", "ping")
STREAMS = ("tcp_stream", "tcp_maerts", "udp_stream")
SHORT = ("--duration", "200ms", "--warmup", "20ms", "--json")


def measured(*arguments, kind=Taut, **how):
    with kind() as taut:
        result = taut.run("measure", *arguments, *SHORT, **how)
    # On a busy machine so short a schedule is missed by one request.
    missed = result.code == 1 and result.json["flags"] == ["rate-missed"]
    return (result if missed else result.wants(0)).json


def conditions(document, what):
    return {c["object"]: c["before"] for c in document["conditions"] if c["what"] == what}


def check_moved(document, workload):
    check(document["verified"], f"{workload} is verified: {document['not_verified']}")
    if workload in STREAMS:
        check(document["throughput_bps"]["mean"] > 0 and document["latency_ns"] is None, f"figures of {workload}")
    else:
        check(document["latency_ns"]["mean"] > 0 and document["throughput_bps"]["mean"] is None, f"figures of {workload}")


@test("every workload goes over IPv6 and by another MTU, and both are verified")
def _():
    need_root()
    for workload in WORKLOADS:
        document = measured(workload, "--ipv6", "--mtu", "1400")
        check_moved(document, workload)
        check_equal(document["mtu"], 1400, f"MTU of {workload}")
        check_equal(set(conditions(document, "mtu").values()), {"1400"}, f"MTU of the links of {workload}")
        if workload != "ping":  # whose server has no socket
            check_equal(conditions(document, "ip_version"), {"client": "IPv6", "server": "IPv6"}, f"ends of {workload}")
        if workload == "udp_stream":
            check_equal(document["settings"]["size_bytes"], 1400 - 48, "a datagram that fits into one packet")


@test("every workload over TCP takes a congestion control, which is verified; the others refuse it")
def _():
    need_root()
    for workload in WORKLOADS:
        if workload.startswith("tcp"):
            document = measured(workload, "--congestion", "reno")
            check_moved(document, workload)
            check_equal(conditions(document, "congestion"), {"client": "reno", "server": "reno"}, f"ends of {workload}")
            continue
        with Taut() as taut:
            check_in("only TCP has one", taut.run("measure", workload, "--congestion", "reno").wants(2).err, workload)


@test("every workload runs on many flows, and requests in bursts where a connection holds more than one")
def _():
    need_root()
    for workload in WORKLOADS:
        document = measured(workload, "--flows", "4")
        check_moved(document, workload)
        check_equal(document["dead_flows"], 0, f"dead flows of {workload}")
    for workload in ("tcp_rr", "udp_rr", "ping"):
        check_moved(measured(workload, "--flows", "3", "--burst", "8"), workload)
    with Taut() as taut:
        check_in("a connection of its own", taut.run("measure", "tcp_crr", "--burst", "2").wants(2).err, "tcp_crr")


@test("what is asked of flows, addresses, links and TCP stands in the text as well")
def _():
    need_root()
    asked = ("tcp_rr", "--ipv6", "--mtu", "1400", "--congestion", "reno", "--flows", "3", "--burst", "4")
    with Taut() as taut:
        text = " ".join(taut.run("measure", *asked, *SHORT[:-1]).wants(0).out.split())
    for words in ("3 flows, 4 in flight on each, over IPv6,", " reno,", " MTU 1400,"):
        check_in(words, text, "what people are told")


@test("tcp_crr tells connecting from the first reply, in both loops")
def _():
    need_root()
    for more in ((), ("--rate", "200")):
        document = measured("tcp_crr", *more)
        connect, reply, whole = (document[key] for key in ("connect_ns", "first_reply_ns", "service_ns"))
        check(abs(connect["mean"] + reply["mean"] - whole["mean"]) < 1, f"parts of {whole['mean']}: {connect}, {reply}")
        check(0 < connect["min"] <= connect["median"] <= connect["max"], f"connect_ns: {connect}")
        check_equal(document["pacing"], "open" if more else "closed", "pacing")
    check_equal(measured("tcp_rr")["connect_ns"], None, "connect_ns of tcp_rr")


@test("a stream beside requests is an arm like any other, and its throughput a figure beside theirs")
def _():
    need_root()
    with Taut() as taut:
        spec = taut.write("beside.yaml", """
name: beside
blocks: 2
cells: [{workload: tcp_rr, duration: 200ms, warmup: 20ms}]
arms: {alone: {}, tcp: {beside: tcp_stream}, back: {beside: tcp_maerts}, udp: {beside: udp_stream}}
""")
        (cell,) = taut.run("run", spec, "--json").wants(0).json["cells"]
        for name, arm in cell["arms"].items():
            values = arm["trial_values"].get("beside_throughput")
            check_equal(arm["verified"], True, f"{name} is verified")
            check(values is None if name == "alone" else min(values) > 0, f"throughput beside {name}: {values}")
        check_in("beside udp_stream", " ".join(taut.run("report").wants(0).out.split()), "what people are told")
    document = measured("ping", "--rate", "100", "--beside", "udp_stream")
    beside = document["beside"]
    check_equal((beside["workload"], beside["received"] + beside["lost"]), ("udp_stream", beside["sent"]), "the stream beside")
    check(document["bytes"] == 0 and beside["bytes"] > 0, f"bytes: {document['bytes']}, {beside}")
    check_equal(measured("ping", "--rate", "100")["beside"], None, "no stream beside")


# Workloads that need something else of a target than a socket that answers.
OTHERS = (("tcp_crr",), ("ping",), ("ping", "--beside", "tcp_maerts"), ("udp_rr", "--beside", "tcp_stream"))
# Which leaves an emulated guest no time for anything else.
FLOOD = (("tcp_rr", "--beside", "udp_stream"),)


def others_reach(*target, others=OTHERS, **how):
    for arguments in others:
        document = measured(*arguments, *target, **how)
        check_moved(document, f"{arguments} in {target}")
        beside = document["beside"]
        check((beside["bytes"] > 0) if "--beside" in arguments else beside is None, f"beside {arguments} in {target}: {beside}")


@test("connections, echoes and a stream beside reach a container on a bridge")
def _():
    need_root()
    others_reach("--target", "container", "--runtime", "oci", "--attachment", "bridge", others=OTHERS + FLOOD)


@test("connections, echoes and a stream beside reach a container of Docker's")
def _():
    need_root()
    with Engine("docker") as engine:
        others_reach("--target", "container", "--runtime", "docker", others=OTHERS + FLOOD, command=engine.inside(TAUT),
                     seconds=120)


@test("connections, echoes and a stream beside reach a guest")
def _():
    kernels()
    others_reach(*GUEST, kind=Machines, seconds=BOOT_S + 60)
    check_moved(measured("tcp_rr", *GUEST, "--attachment", "macvlan", "--ipv6", kind=Machines, seconds=BOOT_S + 60), "tcp_rr")


@test("a tuned udp_stream arrives where both ends have one isolated CPU, and SCHED_FIFO is refused there")
def _():
    need_root()
    if os.cpu_count() < 2:
        skip("one of two CPUs is to be isolated")
    here = ("udp_stream", "--profile", "low-latency", "--yes", "--isolate", "1")
    document = measured(*here)
    check_moved(document, "udp_stream")
    check(document["received"] > document["lost"], f"{document['received']} of {document['sent']} datagrams came")
    check_equal(conditions(document, "sched"), {"client": "other", "server": "fifo:50"}, "how the ends are scheduled")
    with Taut() as taut:
        check_in("who takes them has the same CPU", taut.run("measure", *here, "--sched", "fifo:50").wants(2).err, "message")


@test("what makes no sense is refused, and says what would")
def _():
    rows = (
        (("udp_stream", "--size", "15"), "what they say of themselves needs 16"),
        (("udp_stream", "--size", "65508"), "at most 65507 fit"),
        (("tcp_stream", "--rate", "5"), "try: udp_stream"),
        (("ping", "--port", "5000"), "ICMP has no ports"),
        (("ping", "--size", "4", "--rate", "100000"), "size 8"),
        (("tcp_stream", "--beside", "udp_stream"), "beside requests only"),
        (("tcp_rr", "--beside", "udp_rr"), "it is no stream"),
        (("tcp_rr", "--beside", "udp_stream", "--driver", "spin"), "the stream would share its CPU"),
    )
    with Taut() as taut:
        for arguments, says in rows:
            check_in(says, taut.run("measure", *arguments).wants(2).err, " ".join(arguments))


main()
