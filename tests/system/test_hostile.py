#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""An end that lies, floods or stalls fails its own trial, with the reason, and does nothing else.

One run has a block for each lie: the end is a real agent (faulty_agent.py), whose frames are changed on their way.
"""
import base64
import json
import sqlite3
import subprocess

import picture
from faults import faulty
from tap import Taut, check, check_equal, main, test

READY, RECORD, ERROR = 3, 6, 7
CLIENT, SERVER = "taut-client", "taut-server"
HUGE = 1 << 62
HOUR = 3600 * 10 ** 9
PORT = 7000
MEMORY_KIB = 150 * 1024

COUNTS = ("sent", "transactions", "bytes", "lost", "timeouts", "reordered", "duplicates", "late", "overtaken", "dead_flows",
          "retransmits", "cpu_ns", "switches_voluntary", "switches_involuntary", "busy_poll_us", "timer_slack_ns",
          "window_length_ns", "received", "jitter_ns", "jitter_mean_ns", "beside_sent", "beside_bytes", "beside_ns",
          "beside_received", "beside_lost")


def lie(role, says, **change):
    """`says`: what the reason must contain; None: the trial is right all the same."""
    return {"role": role, "do": "rewrite", "type": RECORD, **change}, says


def act(role, says, **what):
    return {"role": role, **what}, says


def varint(value):
    data = b""
    while value >= 0x80:
        data += bytes([value & 0x7f | 0x80])
        value >>= 7
    return data + bytes([value])


def bucket(value):
    top = value.bit_length() - 1
    return value if value < 128 else (top - 6) * 128 + (value >> (top - 7)) - 128


def histogram(values, **figures):
    """As taut encodes it, but with these figures."""
    squares = sum(v * v for v in values)
    truth = {"count": len(values), "sum": sum(values), "min": min(values), "max": max(values), **figures}
    data = b"\x01" + b"".join(varint(truth[key]) for key in ("count", "sum", "min", "max"))
    data += varint(squares & (1 << 64) - 1) + varint(squares >> 64)
    following = 0
    for place in sorted(set(map(bucket, values))):
        data += varint(place - following) + varint(sum(bucket(v) == place for v in values))
        following = place + 1
    return base64.b64encode(data).decode()


FIFTY = [1000 * i for i in range(1, 51)]
SLOW = [7000] * 49 + [10 ** 12]

TCP_RR = [
    lie(CLIENT, None), lie(SERVER, None),
    *(lie(CLIENT, str(HUGE) if key not in ("transactions", "window_length_ns") else "", set={key: HUGE})
      for key in COUNTS),
    *(lie(SERVER, str(HUGE), set={key: HUGE}) for key in ("sent", "bytes", "lost", "cpu_ns", "retransmits", "late")),
    lie(CLIENT, "'sent'", set={"sent": -1}),
    lie(CLIENT, "0 requests", set={"sent": 0}),
    lie(SERVER, "the server sent 0", set={"sent": 0, "transactions": 0}),
    lie(SERVER, "the client sent", add={"sent": 2000}),
    lie(CLIENT, "values for 0 transactions", set={"transactions": 0}),
    lie(CLIENT, "values for 51 transactions", add={"transactions": 1, "sent": 1}),
    lie(CLIENT, "'cpu_ns'", set={"cpu_ns": "NaN"}),
    lie(SERVER, "'cpu_ns'", set={"cpu_ns": 1.5}),
    lie(CLIENT, "'lost'", set={"lost": None}),
    lie(CLIENT, "'timeouts'", set={"timeouts": [1]}),
    lie(CLIENT, "'capped'", set={"capped": 1}),
    lie(CLIENT, "'capped'", set={"capped": "yes"}),
    lie(CLIENT, "'late' is missing", drop=["late"]),
    lie(SERVER, "'ended_ns' is missing", drop=["ended_ns"]),
    lie(CLIENT, "a stretch of 1 ns", stretch=1, set={"windows": [], "worst": []}),
    lie(CLIENT, "it ended at", stretch=HOUR),
    lie(CLIENT, "measured stretch", set={"started_ns": 0}),
    lie(CLIENT, "it began at", set={"started_ns": 1, "ended_ns": 2}),
    lie(SERVER, "it ended at", stretch=HOUR),
    lie(SERVER, "ended before it started", stretch=-1),
    lie(CLIENT, "contradict its buckets", set={"service": histogram(FIFTY, sum=5)}),
    lie(CLIENT, "contradict its buckets", set={"service": histogram(FIFTY, max=HUGE)}),
    lie(CLIENT, "do not add up", set={"service": histogram(FIFTY, count=51), "transactions": 51}),
    lie(CLIENT, "values for 50 transactions", set={"service": histogram(FIFTY + [5])}),
    lie(CLIENT, "that the histogram does not", set={"service": histogram([5] * 50), "windows": []}),
    lie(CLIENT, "'windows' hold a latency", set={"service": histogram([1] * 50), "worst": []}),
    lie(CLIENT, "a service time of", set={"service": histogram(SLOW), "windows": [], "worst": []}),
    lie(CLIENT, "has no room", stretch=10 ** 5,
        set={"service": histogram([10 ** 6] * 50), "windows": [], "worst": []}),
    lie(CLIENT, "among 'worst' after", set={"worst": [[HOUR, 0, 0]]}),
    lie(CLIENT, "'windows' hold more than", set={"windows": [[51, 0, 0, 0, 0]]}),
    lie(CLIENT, "'windows' hold more than the 0 bytes", set={"windows": [[0, 0, 0, 0, 1]]}),
    lie(CLIENT, "that is no count", set={"windows": [[-1, 0, 0, 0, 0]]}),
    lie(SERVER, "'windows'", set={"windows": [[0, 0, 0, 0, 0]]}),
    lie(SERVER, "the histogram has 50 values", set={"service": histogram(FIFTY)}),
    lie(SERVER, "'receiver' is true", set={"receiver": True}),
    lie(CLIENT, "'moon' is not known", set={"moon": 1}),
    lie(CLIENT, "I refuse", set={"mistake": "I refuse"}),
    # Ports that are not what was told, and what cannot be one.
    act(SERVER, "listens on port 7001, and was told 7000", do="rewrite", type=READY, set={"ports": [PORT + 1]}),
    act(SERVER, "on which ports", do="rewrite", type=READY, set={"ports": [PORT, PORT]}),
    act(SERVER, "on which ports", do="rewrite", type=READY, set={"ports": [HUGE]}),
    # A frame that would cost much more memory than its length, one that is too deep, and frames without end.
    act(CLIENT, "of more than 100000 values", do="instead", type=RECORD, head='{"a": [', part="{},", times=2796000),
    act(SERVER, "of more than 100000 values", do="instead", type=READY, head='{"a": ', part='[', times=90000),
    act(SERVER, "no JSON object", do="instead", type=RECORD, head='{"a": "', part='\\u0041', times=1390000),
    act(CLIENT, "frame 3 instead of 6", do="flood", type=READY),
    act(SERVER, "frame 3 instead of 6", do="flood", type=READY),
    # The run, and what its user is told to do, are not the end's to decide.
    act(SERVER, "I refuse (it advises: rm -rf /)", do="frame", type=ERROR,
        body={"text": "I refuse", "advice": "rm -rf /", "exit": 5}),
    act(CLIENT, "exit status 5", do="exit", code=5),
    # Nothing in place of a record, and half of one: each costs the trial's deadline.
    act(CLIENT, "did not finish in time", do="instead", type=RECORD, head="{", part="", times=0, cut=0),
    act(SERVER, "control stream", do="instead", type=RECORD, head='{"sent": 5', part=" ", times=100, cut=50),
    lie(CLIENT, None), lie(SERVER, None),
]
UDP_RR = [
    lie(CLIENT, None),
    lie(CLIENT, "'late' is 1, and can be 0", add={"late": 1, "reordered": 1}),
    lie(CLIENT, "'overtaken' is", set={"overtaken": 10 ** 6, "reordered": 10 ** 6}),
    lie(CLIENT, "'reordered' is 1, and not the sum", add={"reordered": 1}),
    lie(CLIENT, "'timeouts' is 1, and can be 0", add={"timeouts": 1}),
    lie(CLIENT, "'retransmits' is 1, and can be 0", set={"retransmits": 1}),
    lie(SERVER, "the server sent 49", set={"sent": 49, "transactions": 49}),
    lie(CLIENT, "", set={"sent": HUGE}),
]
TCP_STREAM = [
    lie(SERVER, None),
    lie(SERVER, str(HUGE), set={"bytes": HUGE, "windows": []}),
    lie(SERVER, "the sender wrote", add={"bytes": 6 * 10 ** 9}),
    lie(SERVER, "the job has 200000000 ns", stretch=10 ** 7),
    lie(SERVER, "", stretch=1),
    lie(CLIENT, "the sender wrote 1 times", set={"sent": 1}),
    lie(CLIENT, "'bytes'", set={"bytes": 1}),
    lie(SERVER, "'windows' hold more than", set={"bytes": 0}),
    lie(CLIENT, "'receiver' is true", set={"receiver": True}),
]

UDP_STREAM = [
    lie(CLIENT, None), lie(SERVER, None),
    *(lie(SERVER, str(HUGE), set={key: HUGE}) for key in ("received", "lost", "jitter_ns", "jitter_mean_ns")),
    lie(SERVER, "the receiver got", add={"received": 1}),
    lie(SERVER, "the receiver got", add={"lost": 1}),
    lie(CLIENT, "the sender sent", add={"sent": 1}),
    lie(SERVER, "'overtaken' is", set={"overtaken": 10 ** 6, "reordered": 10 ** 6}),
    lie(SERVER, "'reordered' is 1, and not the sum", add={"reordered": 1}),
    lie(CLIENT, "'received' is 1, and can be 0", set={"received": 1}),
    lie(CLIENT, "'jitter_ns' is 1, and can be 0", set={"jitter_ns": 1}),
    lie(SERVER, "'received' is missing", drop=["received"]),
]
TCP_CRR = [
    lie(CLIENT, None), lie(SERVER, None),
    lie(CLIENT, "'connect' is missing", set={"connect": None, "first_reply": None}),
    lie(CLIENT, "'first_reply' is missing", set={"first_reply": None}),
    lie(CLIENT, "the parts have 51 and 50 values", set={"connect": histogram(FIFTY + [5])}),
    lie(CLIENT, "first replies", set={"connect": histogram(FIFTY)}),
    lie(SERVER, "the parts have 50 and 50 values", set={"connect": histogram(FIFTY), "first_reply": histogram(FIFTY)}),
    lie(SERVER, "the server sent 0", set={"sent": 0, "transactions": 0}),
]
PING = [
    lie(CLIENT, None), lie(SERVER, None),
    lie(SERVER, "the server sent 0", set={"sent": 0, "transactions": 0}),
    lie(CLIENT, "'connect' is not to be expected", set={"connect": histogram(FIFTY), "first_reply": histogram(FIFTY)}),
    lie(CLIENT, "and can be", set={"lost": 10 ** 6}),
]
BESIDE = [
    lie(CLIENT, None), lie(SERVER, None),
    *(lie(SERVER, str(HUGE), set={key: HUGE}) for key in ("beside_bytes", "beside_ns", "beside_received", "beside_lost")),
    lie(CLIENT, str(HUGE), set={"beside_sent": HUGE}),
    lie(SERVER, "the receiver beside got", add={"beside_received": 1}),
    lie(CLIENT, "the sender", set={"beside_sent": 0}),
    lie(CLIENT, "'beside_ns' is 1, and can be 0", set={"beside_ns": 1}),
]


def records(taut):
    with sqlite3.connect(taut.folder / "runs.db") as db:
        found = db.execute("SELECT record FROM trials ORDER BY block").fetchall()
    db.close()
    return [json.loads(record) for record, in found]


def numbers(value):
    """All figures of a JSON document, but seeds."""
    if isinstance(value, dict):
        return [n for key, item in value.items() if key != "seed" for n in numbers(item)]
    if isinstance(value, list):
        return [n for item in value for n in numbers(item)]
    return [value] if isinstance(value, (int, float)) else [0]


def peak_kib(running):
    """The most memory that taut had; 0 when it has ended."""
    try:
        with open(f"/proc/{running.pid}/status", encoding="ascii") as status:
            return max([int(line.split()[1]) for line in status if line.startswith("VmHWM:")], default=0)
    except (FileNotFoundError, ProcessLookupError):
        return 0


def try_all(workload, acts, settings):
    before, most = picture.take(), 0
    with Taut() as taut:
        spec = taut.write("hostile.yaml", f"name: hostile\nblocks: {len(acts)}\narms: {{stock: {{}}}}\n"
                          f"cells: [{{workload: {workload}, warmup: 10ms, timeout: {'1s' if workload == 'udp_rr' else '100ms'}, {settings}}}]\n")
        # The first trial of a run only warms the machine up.
        script = [{"role": "", "do": ""}, *(what for what, _ in acts)]
        environment = faulty(taut, "", do="each", counter=str(taut.folder / "trial"), acts=script)
        running = taut.start("run", spec, environment=environment)
        while running.process.poll() is None:
            most = max(most, peak_kib(running))
            try:
                running.process.wait(0.05)
            except subprocess.TimeoutExpired:
                pass
        result = running.wait(1).wants(0)
        found = records(taut)
        largest = max(numbers(taut.run("report", "--json").wants(0).json))
    check_equal(len(found), len(acts), f"trials of\n{result}\n")
    wrong = []
    for (what, says), record in zip(acts, found):
        failed = record["outcome"] == "failed"
        if failed != (says is not None) or says and says not in record["reason"]:
            wrong.append(f"{what}: {record['outcome']}: {record['reason']!r}, wanted {says!r}")
    check(not wrong, "\n".join(wrong))
    check(largest < HUGE / 2, f"the report has a figure of {largest}")
    check_equal(picture.settled(before), [], "differences of the machine")
    return most


@test("an end of tcp_rr that lies in any figure, floods or stalls fails its own trial, and says in what")
def _():
    most = try_all("tcp_rr", TCP_RR, f"transactions: 50, max_duration: 2s, port: {PORT}")
    check(0 < most < MEMORY_KIB, f"taut had {most} KiB, wanted less than {MEMORY_KIB}")


@test("an end of udp_rr that lies about losses and disorder fails its own trial")
def _():
    try_all("udp_rr", UDP_RR, "transactions: 50, max_duration: 2s")


@test("an end of tcp_stream that received more than was sent, or than a link carries, fails its own trial")
def _():
    try_all("tcp_stream", TCP_STREAM, "duration: 200ms")


@test("an end of udp_stream that lies about loss, order and jitter fails its own trial")
def _():
    try_all("udp_stream", UDP_STREAM, "duration: 200ms, rate: 1000")


@test("an end of tcp_crr that lies about the parts of its connections fails its own trial")
def _():
    try_all("tcp_crr", TCP_CRR, "transactions: 50, max_duration: 2s")


@test("an end of ping that lies about echoes fails its own trial")
def _():
    try_all("ping", PING, "transactions: 50, max_duration: 2s")


@test("an end that lies about the stream beside its requests fails its own trial")
def _():
    try_all("tcp_rr", BESIDE, "transactions: 50, max_duration: 2s, beside: udp_stream")


main()
