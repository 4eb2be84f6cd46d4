#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Standard tools in the place of the ends: their figures beside those of taut's own engine, and what goes wrong with them."""
import base64
import json
import os
import pathlib
import signal
import struct
import time
import zlib

import noise
from machines import kernels
from noise import timed
from tap import Taut, check, check_equal, comm_of, endpoint, is_below, main, need_oci, need_program, need_root, test, wait_until

SOCKPERF = ("--tool", "sockperf", "--request", "14", "--reply", "14", "--duration", "1s", "--json")
RUN = """
name: tools
blocks: 2
trial: {{ duration: 1s, warmup: 200ms, request: 14, reply: 14, target: native }}
cells: [{{ workload: {workload} }}]
arms: {{ taut: {{}}, other: {{ tool: {tool} }} }}
"""

# A program of that name: what a real one is asked for, and figures of its kind.
NETSERVER = """#!/usr/bin/env python3
import socket, sys
at = sys.argv
s = socket.create_server((at[at.index("-L") + 1], int(at[at.index("-p") + 1])))
while True:
    s.accept()
"""
NETPERF = """#!/usr/bin/env python3
import sys, time
if sys.argv[1:] == ["-V"]:
    print("Netperf version 2.7.0")
    sys.exit(0)
at = sys.argv
assert at[at.index("-t") + 1] in ("TCP_RR", "UDP_RR") and "MIN_LATENCY" in at[at.index("-k") + 1]
time.sleep(float(at[at.index("-l") + 1]))
print("THROUGHPUT=50000.00\\nELAPSED_TIME=1.00\\nLOCAL_SEND_CALLS=50001\\nMIN_LATENCY=14\\nMEAN_LATENCY=18.25")
print("STDDEV_LATENCY=4.00\\nP50_LATENCY=17\\nP90_LATENCY=21\\nP99_LATENCY=33\\nMAX_LATENCY=2105")
"""
ECHO = """#!/usr/bin/env python3
import json, socket, sys, time
role, address, port, seconds = sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
if role == "server":
    peer, _ = socket.create_server((address, port)).accept()
    while data := peer.recv(64):
        peer.send(data)
    time.sleep(60)  # whoever serves is asked to end
s = socket.create_connection((address, port))
times, end = [], time.monotonic() + seconds
while time.monotonic() < end:
    begin = time.monotonic_ns()
    s.send(b"x")
    s.recv(1)
    times.append(time.monotonic_ns() - begin)
print(json.dumps({"duration_s": seconds, "latency_ns": times[-20000:], "lost": 0}))
"""


def programs(taut, **texts):
    """An environment in which these programs are found first."""
    folder = taut.folder / "bin"
    folder.mkdir(exist_ok=True)
    for name, text in texts.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    return {"PATH": f"{folder}:{os.environ['PATH']}"}


def below(pid, name):
    """Processes of that name below another one."""
    found = [int(p.name) for p in pathlib.Path("/proc").glob("[0-9]*")]
    return [p for p in found if comm_of(p) == name and is_below(p, pid)]


def arms(taut, workload, tool, environment=None):
    path = taut.write("tools.yaml", RUN.format(workload=workload, tool=tool))
    document = taut.run("run", path, "--json", seconds=120, environment=environment).wants(0).json
    check_equal(len(document["cells"]), 1, "cells")
    return document["cells"][0]


@test("sockperf in an arm of its own comes to the median of taut's engine")
@timed
def _():
    need_program("sockperf")
    with Taut() as taut:
        cell = arms(taut, "tcp_rr", "sockperf")
    own, other = cell["arms"]["taut"], cell["arms"]["other"]
    check_equal((own["usable"], other["usable"]), (2, 2), "usable trials")
    check_equal(other["settings"]["tool"], "sockperf", "the setting")
    check(other["transactions"] > 1000, f"{other['transactions']} transactions")
    ratio = other["latency_ns"]["median"] / own["latency_ns"]["median"]
    noise.check_between(ratio, 0.8, 1.25, f"medians {other['latency_ns']['median']} to {own['latency_ns']['median']}")


@test("iperf3 in an arm of its own comes to the throughput of taut's engine")
@timed
def _():
    need_program("iperf3")
    with Taut() as taut:
        path = taut.write("tools.yaml", RUN.format(workload="tcp_stream", tool="iperf3").replace(
            "request: 14, reply: 14, ", ""))
        cell = taut.run("run", path, "--json", seconds=120).wants(0).json["cells"][0]
    own, other = cell["arms"]["taut"], cell["arms"]["other"]
    check_equal((own["usable"], other["usable"]), (2, 2), "usable trials")
    check(other["retransmits"] is not None, "retransmits are known")
    ratio = other["throughput_bps"]["median"] / own["throughput_bps"]["median"]
    noise.check_between(ratio, 0.5, 2.0, "ratio of throughputs")


@test("what a tool does not tell is null, and its arm is compared by what it tells")
def _():
    with Taut() as taut:
        found = programs(taut, netperf=NETPERF, netserver=NETSERVER)
        one = taut.run("measure", "tcp_rr", "--tool", "netperf", "--duration", "1s", "--json",
                       environment=found).wants(0).json
        check_equal(one["tool_version"], "netperf 2.7.0", "version")
        check_equal([one["latency_ns"][k] for k in ("median", "p99", "p99.9", "min", "iqr")],
                    [17000, 33000, None, 14000, None], "latencies")
        check_equal([one[k] for k in ("transactions", "sent", "lost", "timeouts", "retransmits", "worst")],
                    [50000, 50001, None, None, None, []], "counts")
        check_equal((one["verified"], one["cpu_ns"]["server"]), (True, None), "verified, CPU time")
        check_equal(one["cpu_per_transaction_ns"]["server"], None, "the CPU time of a transaction, which nobody told")
        cell = arms(taut, "tcp_rr", "netperf", found)
        other = cell["arms"]["other"]
        check_equal((other["usable"], other["latency_ns"]["median"], other["latency_ns"]["p99.9"]), (2, 17000, None), "arm")
        compared = {e["metric"]: e for e in cell["effects"]}
        check(compared["latency_median"]["ratio"] is not None, f"{compared['latency_median']}")
        check("latency_p99.9" not in compared or compared["latency_p99.9"]["ratio"] is None, "p99.9 is compared with nothing")
        rows = taut.run("export", "last", "--csv").wants(0).out.splitlines()
        column = rows[0].split(",").index("lost")
        check_equal({r.split(",")[column] for r in rows[1:] if ",netperf," in r}, {""}, "lost in CSV")
        said = " ".join(taut.run("report", "last").wants(0).out.split())
        check("retransmitted: not known of every arm" in said, said)


@test("a tool that is not installed is a reason to skip, with what to install")
def _():
    with Taut() as taut:
        empty = {"PATH": str(taut.folder)}
        taut.run("measure", "tcp_rr", "--tool", "netperf", environment=empty).wants(
            1, "cannot use tool netperf: it is not installed (try: apt install netperf)")
        path = taut.write("tools.yaml", RUN.format(workload="tcp_rr", tool="netperf"))
        document = taut.run("run", path, "--json", environment=empty).wants(1).json
        check_equal(len(document["skipped"]), 1, "skipped cells")
        check("apt install netperf" in document["skipped"][0]["reason"], document["skipped"][0]["reason"])


@test("what a tool cannot do is refused before anything starts")
def _():
    rows = (
        (("tcp_rr", "--tool", "sockperf"), "try: request 14, reply 14"),
        (("tcp_rr", "--tool", "sockperf", "--request", "14", "--reply", "20"), "its reply is its request"),
        (("tcp_stream", "--tool", "sockperf"), "cannot run tcp_stream with tool sockperf: it can do tcp_rr|udp_rr"),
        (("tcp_rr", "--tool", "iperf3"), "cannot run tcp_rr with tool iperf3"),
        (("tcp_rr", "--tool", "netperf", "--burst", "8"), "cannot use burst 8 with tool netperf: it cannot be told"),
        (("tcp_rr", "--tool", "sockperf", "--transactions", "100", "--request", "14", "--reply", "14"), "transactions 100"),
        (("tcp_rr", "--tool", "sockperf", "--size", "9", "--request", "14", "--reply", "14"), "cannot use size 9"),
        (("ping", "--tool", "ping", "--size", "8"), "there is a time stamp in them (try: size 16)"),
        (("tcp_rr", "--tool", "netprf"), "it is one of taut|netperf|"),
        (("tcp_rr", "--tool", "command"), "without tool_client"),
        (("tcp_rr", "--tool-client", "x"), "try: tool command"),
        (("tcp_rr", "--tool", "command", "--tool-client", "x", "--target", "vm"), "your program is not in it"),
        (("tcp_rr", "--tool", "command", "--tool-client", "x", "--site", "lab"), "your program is not there"),
        (("tcp_rr", "--tool", "command", "--tool-client", "x", "--tool-server", "y", "--target", "container"), "try: runtime netns"),
        (("tcp_rr", "--tool", "netperf", "--clock", "exact", "--site", "lab"), "exact clock"),
        (("tcp_rr", "--tool", "netperf", "--target", "vm", "--site", "lab"), "hold no tools"),
        (("tcp_rr", "--tool", "netperf", "--target", "vm:some"), "its program does not get into it"),
    )
    with Taut() as taut:
        for arguments, text in rows:
            taut.run("measure", *arguments).wants(2, text)


@test("a tool that dies, fails or prints rubbish fails its trial, which says what it said last")
def _():
    rows = (
        ("print('no such host', file=sys.stderr); sys.exit(3)", "netperf: exit status 3: no such host"),
        ("os.kill(os.getpid(), 9)", "netperf: killed by SIGKILL"),
        ("print('rubbish')", "cannot read what netperf printed: it does not say how long it ran"),
        ("print('THROUGHPUT=1e300\\nELAPSED_TIME=1e9')", "cannot read what netperf printed"),
        ("print('x' * (200 << 20))", "netperf: exit status"),
    )
    with Taut() as taut:
        for text, reason in rows:
            found = programs(taut, netserver=NETSERVER, netperf=f"#!/usr/bin/env python3\nimport os, sys\n{text}\n")
            document = taut.run("measure", "tcp_rr", "--tool", "netperf", "--duration", "100ms", "--json",
                                environment=found).wants(1).json
            check_equal(document["outcome"], "failed", "outcome")
            check(reason in document["reason"], f"{document['reason']}, wanted {reason}")
        found = programs(taut, netperf=NETPERF, netserver="#!/bin/sh\necho port in use >&2\nexit 1\n")
        document = taut.run("measure", "tcp_rr", "--tool", "netperf", "--json", environment=found).wants(1).json
        check("netperf: exit status 1: port in use" in document["reason"], document["reason"])


@test("a server whose tool is killed fails the trial")
def _():
    need_program("sockperf")
    with Taut() as taut:
        running = taut.start("measure", "tcp_rr", *SOCKPERF, "--duration", "60s")
        server = endpoint(running, "taut-server")
        serves = wait_until(lambda: below(server, "sockperf"), 10, "sockperf to serve")
        client = endpoint(running, "taut-client")
        wait_until(lambda: below(client, "sockperf"), 10, "sockperf to measure")
        os.kill(serves[0], signal.SIGKILL)
        document = running.wait().wants(1).json
    check_equal(document["outcome"], "failed", "outcome")


@test("nothing of a tool is left when taut is killed")
def _():
    need_program("sockperf")
    with Taut() as taut:
        running = taut.start("measure", "tcp_rr", *SOCKPERF, "--duration", "60s")
        ends = [endpoint(running, name) for name in ("taut-client", "taut-server")]
        tools = [pid for end in ends
                 for pid in wait_until(lambda end=end: below(end, "sockperf"), 10, "sockperf at both ends")]
        os.kill(running.process.pid, signal.SIGKILL)
        wait_until(lambda: not any(comm_of(pid) == "sockperf" for pid in tools), 10, "sockperf to end")
        taut.run("clean").wants(0)


@test("a tool is scheduled and placed as its end, and this is verified")
def _():
    need_program("sockperf")
    need_root()
    cpu = min(os.sched_getaffinity(0))
    with Taut() as taut:
        document = taut.run("measure", "udp_rr", *SOCKPERF, "--sched", "fifo:7", "--client-cpu", cpu).wants(0).json
    check_equal(document["verified"], True, f"verified: {document['not_verified']}")
    seen = {(c["object"], c["what"]): c["after"] for c in document["conditions"]}
    check_equal((seen["client", "sched"], seen["server", "sched"], seen["client", "cpus"]), ("fifo:7", "fifo:7", str(cpu)),
                "conditions")
    check(document["tool_version"].startswith("sockperf 3."), document["tool_version"])


@test("ping tells every reply, and what is lost of what it sent")
def _():
    need_program("ping")
    with Taut() as taut:
        document = taut.run("measure", "ping", "--tool", "ping", "--duration", "1s", "--json").wants(0).json
    check_equal(document["verified"], True, f"verified: {document['not_verified']}")
    check(document["transactions"] > 100, f"{document['transactions']} transactions in 1 s")
    check_equal((document["lost"], document["sent"]), (0, document["transactions"]), "lost, sent")
    check(document["latency_ns"]["median"] > 0, f"{document['latency_ns']}")


@test("iperf3 counts datagrams at the receiver, which makes no transactions of them")
@timed
def _():
    need_program("iperf3")
    with Taut() as taut:
        document = taut.run("measure", "udp_stream", "--tool", "iperf3", "--duration", "1s", "--rate", "1000", "--json").wants(0).json
    check_equal((document["transactions"], document["jitter_ns"]), (0, None), "transactions, jitter")
    check_equal(document["sent"], document["received"] + document["lost"], "sent")
    noise.check_between(document["received"], 500, 1400, "datagrams in 1 s")


@test("an open loop of sockperf has service times, and no response times")
@timed
def _():
    need_program("sockperf")
    with Taut() as taut:
        document = taut.run("measure", "udp_rr", *SOCKPERF, "--rate", "1000").wants(0).json
    noise.check_between(document["transactions"], 900, 1010, "transactions in 1 s")
    check(document["service_ns"]["median"] > 0, f"{document['service_ns']}")
    check_equal((document["response_ns"], document["lateness_ns"], document["worst"]), (None, None, []), "unknown")


@test("a container is served by the tool itself, which is carried into it")
def _():
    need_program("sockperf", "iperf3")
    need_oci()
    with Taut() as taut:
        for workload, tool in (("tcp_rr", SOCKPERF), ("tcp_stream", ("--tool", "iperf3", "--duration", "1s", "--json"))):
            document = taut.run("measure", workload, *tool, "--target", "container").wants(0).json
            check_equal((document["outcome"], document["verified"]), ("done", True), f"{workload}: {document['not_verified']}")


@test("a virtual machine is served by the tool itself, which is in its image")
def _():
    need_program("sockperf")
    kernels()
    with Taut() as taut:
        document = taut.run("measure", "tcp_rr", *SOCKPERF, "--target", "vm", seconds=240).wants(0).json
    check(document["transactions"] > 100, f"{document['transactions']} transactions")


@test("a command of the user's is measured by, and its server is ended")
def _():
    with Taut() as taut:
        echo = taut.write("echo.py", ECHO, 0o755)
        trial = ("measure", "tcp_rr", "--tool", "command", "--duration", "500ms", "--warmup", "0ms", "--json", "--tool-client",
                 f"exec {echo} client {{address}} {{port}} {{duration}}")
        document = taut.run(*trial, "--tool-server", f"exec {echo} server {{address}} {{port}} {{duration}}").wants(0).json
        check_equal((document["outcome"], document["verified"], document["lost"]), ("done", True, 0), "outcome")
        check(100 < document["transactions"] <= 20000, f"{document['transactions']} transactions")
        check_equal(document["sent"], None, "sent")
        alone = taut.run(*trial).wants(1).json
        check("ConnectionRefusedError" in alone["reason"] or "exit status 1" in alone["reason"], alone["reason"])


@test("a command may print a log of HdrHistogram")
def _():
    counts = b"".join(bytes([(n << 1) & 0x7f | 0x80, n >> 6]) for n in [80] * 100)  # 80 of each value from 0 to 99
    plain = struct.pack(">IIIIqqd", 0x1c849313, len(counts), 0, 3, 1, 3600000000000, 1.0) + counts
    packed = zlib.compress(plain)
    line = base64.b64encode(struct.pack(">II", 0x1c849314, len(packed)) + packed).decode()
    with Taut() as taut:
        log = taut.write("hdr.hlog", f"#[Histogram log format version 1.3]\n0.000,1.000,0.000,{line}\n")
        document = taut.run("measure", "tcp_rr", "--tool", "command", "--tool-client", f"sleep 0.5; cat {log}",
                            "--tool-output", "hlog", "--duration", "400ms", "--json").wants(0).json
    check_equal((document["transactions"], document["latency_ns"]["max"]), (8000, 99), "values")
    check(48 <= document["latency_ns"]["median"] <= 51, f"{document['latency_ns']}")


main()
