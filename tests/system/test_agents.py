#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Agents that end, send nothing, or send false records: taut exits with 1 within a deadline, names the end and the
reason, and leaves nothing behind.

faulty_agent.py is such an agent: the real one, whose frames are changed on their way.
"""
import os
import re
import signal
import time

import noise
import picture
from faults import faulty
from noise import timed
from runs import trials
from tap import Taut, check, check_equal, check_in, endpoint, main, test, wait_until

HELLO, READY, RECORD, ERROR = 1, 3, 6, 7
QUICK = ("--duration", "200ms", "--warmup", "20ms", "--timeout", "100ms")
BOTH = ("taut-server", "taut-client")
CLIENT, SERVER = ("taut-client",), ("taut-server",)


def record(**members):
    return {"do": "rewrite", "type": RECORD, "set": members}


INSTEAD = [  # which end, what it does, what the message must contain
    (BOTH, {"do": "exit", "code": 3}, ["exit status 3", "I would rather not"]),
    (BOTH, {"do": "bytes", "hex": "00" * 64}, ["no frame"]),
    (BOTH, {"do": "bytes", "hex": "ffffffff01"}, ["no frame"]),
    (SERVER, {"do": "bytes", "hex": "0300000001" + "5b5d"}, ["no JSON object"]),
    (CLIENT, {"do": "bytes", "hex": "0300000001" + "fffe"}, ["no JSON object"]),
    (SERVER, {"do": "frame", "type": RECORD, "body": {}}, ["frame 6 instead of 1"]),
    (CLIENT, {"do": "frame", "type": ERROR, "body": {"text": "\x1b[31mred\x07", "advice": 5}}, ["red"]),
    (SERVER, {"do": "frame", "type": ERROR, "body": {}}, ["does not say why"]),
    (BOTH, {"do": "frame", "type": HELLO, "body": {"version": "0.0.0"}}, ["version 0.0.0"]),
    (SERVER, {"do": "frame", "type": HELLO, "body": {"version": 7}}, ["version ?"]),
    (SERVER, {"do": "rewrite", "type": READY, "set": {"ports": []}}, ["which ports"]),
    (SERVER, {"do": "rewrite", "type": READY, "set": {"ports": [70000]}}, ["which ports"]),
    (SERVER, {"do": "rewrite", "type": READY, "set": {"ports": "all"}}, ["which ports"]),
    (SERVER, {"do": "rewrite", "type": READY, "set": {"ports": [1]}}, ["client endpoint", "refused"]),
]
LIES = [
    (BOTH, record(ended_ns=1), ["ended before it started"]),
    (BOTH, record(sent=-1), ["'sent'"]),
    (BOTH, record(lost="many"), ["'lost'"]),
    (BOTH, record(cpu_ns=1e30), ["'cpu_ns'"]),
    (BOTH, record(mistake="x" * 100000), ["'mistake'"]),
    (BOTH, record(surprise=1), ["'surprise'"]),
    (BOTH, {"do": "rewrite", "type": RECORD, "drop": ["worst"]}, ["'worst'"]),
    (BOTH, record(windows=[[1, 2]]), ["'windows'"]),
    (BOTH, record(windows=[[0] * 5] * 5000), ["'windows'"]),
    (CLIENT, record(window_length_ns=0), ["windows have no length"]),
    (BOTH, record(worst=[[0, 0, 0]] * 33), ["'worst'"]),
    (BOTH, record(service="AAAA"), ["'service'"]),
    (CLIENT, record(service="*"), ["'service'"]),
    (CLIENT, record(transactions=1 << 40), ["transactions"]),
    # A client with transactions but no latencies.
    (CLIENT, record(service=None), ["client endpoint"]),
    # More time than there was: two and a half centuries within 200 ms.
    (CLIENT, record(started_ns=0, ended_ns=1 << 62), ["client endpoint"]),
    (CLIENT, record(worst=[[1 << 62, 1 << 62, 1 << 62]]), ["client endpoint"]),
]


def try_all(table):
    wrong, slow = [], []
    before = picture.take()
    for roles, fault, texts in table:
        for role in roles:
            with Taut() as taut:
                result = taut.run("measure", "tcp_rr", *QUICK, environment=faulty(taut, role, **fault), seconds=30)
            said = result.out + result.err
            who = [] if "client endpoint" in texts else [role.removeprefix("taut-")]
            missing = [t for t in [*texts, *who] if t not in " ".join(said.split())]
            if result.code != 1 or missing or "\x1b" in said:
                wrong.append(f"{role}: {fault}\n{result!s}\nwanted exit 1, no escape codes, and: {missing}")
            if result.seconds > 10:
                slow.append(f"{role}: {fault}: {result.seconds:.1f} s, wanted 10 s")
    left = picture.settled(before)
    check(not wrong and not left, "\n".join(wrong + left))
    noise.check(not slow, "\n".join(slow))


@test("an agent that ends, talks garbage or is of another version is named, with the reason")
@timed
def _():
    try_all(INSTEAD)


@test("a record that cannot be true is refused, with the member that gives it away")
@timed
def _():
    try_all(LIES)


@test("an agent that says nothing, or talks on stderr without end, is given up after ten seconds")
@timed
def _():
    before = picture.take()
    for role, fault in (("taut-server", {"do": "silent"}), ("taut-client", {"do": "chatter"})):
        with Taut() as taut:
            result = taut.run("measure", "tcp_rr", *QUICK, environment=faulty(taut, role, **fault), seconds=25).wants(1)
            check_in("says nothing" if fault["do"] == "silent" else "bla", result.out + result.err, "the reason")
            check(result.seconds > 9, f"it took {result.seconds:.1f} s only")
            noise.check(result.seconds < 15, f"it took {result.seconds:.1f} s")
            check(len(result.err) < 2000, f"{len(result.err)} characters of an agent's chatter")
    check_equal(picture.settled(before), [], "differences of the machine")


@test("an endpoint that is killed ends the trial at once, and it is said which and by what")
def _():
    before = picture.take()
    for workload in ("tcp_rr", "udp_rr", "tcp_stream"):
        for role in BOTH:
            with Taut() as taut:
                running = taut.start("measure", workload, "--duration", "20s", "--timeout", "100ms")
                pid = endpoint(running, role)
                time.sleep(0.3)
                os.kill(pid, signal.SIGKILL)
                # Datagrams to a server that has ended: three timeouts, or a refusal at once.
                result = running.wait(10).wants(1)
            text = " ".join((result.out + result.err).split())
            check(role.removeprefix("taut-") + " endpoint" in text or "server closed" in text or "flow 0 is dead" in text,
                  f"{workload}: no word of the {role}\n{result}")
            if role == "taut-client" or workload == "tcp_rr":
                check_in("SIGKILL" if role == "taut-client" else "server", text, f"{workload}: how the {role} ended")
    check_equal(picture.settled(before), [], "differences of the machine")


@test("an endpoint that is killed between being ready and being told to go is named, and by what it was killed")
@timed
def _():
    try_all([(BOTH, {"do": "die", "type": READY, "after_ms": ms}, ["endpoint:", "SIGKILL"])
             for ms in (0, 0.3, 1, 2, 4, 8, 16)])


@test("an endpoint that is stopped for ever runs into the trial's deadline")
@timed
def _():
    before = picture.take()
    for role in BOTH:
        with Taut() as taut:
            running = taut.start("measure", "tcp_rr", "--duration", "1s", "--timeout", "100ms")
            pid = endpoint(running, role)
            os.kill(pid, signal.SIGSTOP)
            result = running.wait(20).wants(1)
            noise.check(result.seconds < 15, f"{role}: it took {result.seconds:.1f} s")
            check_in("endpoint", result.out + result.err, f"{role}: the reason")
    check_equal(picture.settled(before), [], "differences of the machine")


@test("in a run such a trial fails alone: the others are kept, and the report says what is left out")
def _():
    with Taut() as taut:
        spec = taut.write("x.yaml", """
name: x
blocks: 3
cells: [{workload: tcp_rr, duration: 400ms, warmup: 20ms}]
arms: {stock: {}, same: {}}
""")
        running = taut.start("run", spec)
        wait_until(lambda: running.text(0).count("verified") == 2, 20, "the first block")
        os.kill(endpoint(running, "taut-server"), signal.SIGKILL)
        result = running.wait(30).wants(0)
        check_equal(len(trials(taut)), 6, "stored trials")
        lines = re.findall(r"^\[\d/6\] .* failed: .*taut-server: killed by SIGKILL.*$", result.out, re.M)
        check_equal(len(lines), 1, f"lines of a failed trial in\n{result}\n")
        arms = taut.run("report", "--json").wants(0).json["cells"][0]["arms"].values()
        check_equal(sorted(arm["usable"] for arm in arms), [2, 3], "usable trials of the arms")
        (left_out,) = [item for arm in arms for item in arm["left_out"]]
        check(left_out["block"] >= 1 and "server" in left_out["reason"], f"left out: {left_out}")


main()
