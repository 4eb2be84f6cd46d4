# SPDX-License-Identifier: GPL-3.0-or-later
"""The known answers: a fault of known size is put into a real measurement, and the figures must show it.

This program stops endpoints and measures for how long; taut-relay, between the real client and the real server
(faults.py), drops datagrams and delays replies.
"""
import os
import re
import signal
import time

import hdr
import noise
from faults import relayed
from noise import check_between, timed
from tap import Taut, check, check_equal, check_in, endpoint, main, test

MS = 1_000_000
STALL_S = 0.3
OPEN = ("--rate", "2000", "--duration", "3s", "--warmup", "200ms")
WHEN_S = 1.2  # after the endpoint has its threads: in the midst of the measured three seconds


def stall(running, name, wait_s=WHEN_S):
    """Stops an endpoint for STALL_S; returns how long it stood at the least, in ns."""
    pid = endpoint(running, name)
    time.sleep(wait_s)
    os.kill(pid, signal.SIGSTOP)
    begin = time.monotonic_ns()
    try:
        time.sleep(STALL_S)
    finally:
        stall_ns = time.monotonic_ns() - begin
        os.kill(pid, signal.SIGCONT)
    return stall_ns


def stalled(name, *arguments):
    with Taut() as taut:
        running = taut.start("measure", "tcp_rr", *arguments)
        stall_ns = stall(running, name)
        return stall_ns, running.wait(30).wants(0)


def check_response(response, stall_ns):
    """The first request that met the stopped process was due up to 0.5 ms after it was stopped."""
    check_between(response["p99"], stall_ns - 40 * MS, stall_ns - 20 * MS, "response p99")
    # The first request that the stall meets may be due one period (0.5 ms) after it began.
    check_between(response["max"], stall_ns - MS // 2, stall_ns + 30 * MS, "response max")


@test("a server that stops for 300 ms is in the percentiles of an open loop")
@timed
def _():
    stall_ns, result = stalled("taut-server", *OPEN, "--json")
    document = result.json
    check_response(document["response_ns"], stall_ns)
    check_equal(document["lost"], 0, "lost")
    # A stall of S adds S²/2 of waiting in three seconds to the mean (the area of a triangle).
    check_between(document["response_ns"]["mean"], stall_ns ** 2 / 6e9, stall_ns ** 2 / 6e9 + 2 * MS, "response mean")


@test("the exported histogram of such a trial has p95 at S - 150 ms and p99 at S - 30 ms")
@timed
def _():
    with Taut() as taut:
        spec = taut.write("stall.yaml", """
name: stall
blocks: 1
cells: [{workload: tcp_rr, rate: 2000, duration: 3s, warmup: 200ms}]
arms: {stock: {}}
""")
        running = taut.start("run", spec)
        stall_ns = stall(running, "taut-server")
        running.wait(30).wants(0)
        found = hdr.read_log(taut.run("export", "--hlog").wants(0).out)
        check_equal(len(found), 1, "tags")
        (histogram,) = next(iter(found.values()))
        check_between(histogram.total, 5990, 6001, "values")
        check_between(histogram.quantile(0.95), stall_ns - 155 * MS, stall_ns - 135 * MS, "p95")
        check_between(histogram.quantile(0.99), stall_ns - 40 * MS, stall_ns - 20 * MS, "p99")
        # Three digits; and as in check_response(), half a period may be missing.
        check_between(histogram.quantile(1), (stall_ns - MS // 2) * 0.999, stall_ns * 1.001 + 30 * MS, "max")


@test("in a closed loop the stall is in max only, and the report says so")
@timed
def _():
    stall_ns, result = stalled("taut-server", "--duration", "3s", "--warmup", "200ms")
    largest = re.search(r"^\s*max\s+([\d.]+) (ms|s)$", result.out, re.M)
    check(largest, f"no line for max in ms\n{result}")
    largest_ns = float(largest[1]) * (MS if largest[2] == "ms" else 1000 * MS)
    # Three digits are shown.
    check_between(largest_ns, stall_ns * 0.995, stall_ns * 1.005 + 30 * MS, "max")
    check_in("a closed loop cannot show a stall in its percentiles", " ".join(result.out.split()), "the note")


@test("a client that stops for 300 ms is in response time and lateness, not in service time")
@timed
def _():
    stall_ns, result = stalled("taut-client", *OPEN, "--json")
    document = result.json
    check_response(document["response_ns"], stall_ns)
    check_between(document["lateness_ns"]["max"], stall_ns - 2 * MS, stall_ns + 30 * MS, "lateness max")
    check_between(document["lateness_ns"]["p99"], stall_ns - 40 * MS, stall_ns - 20 * MS, "lateness p99")
    # One reply may have been on its way; nothing else of the stall belongs to the network.
    check_between(document["service_ns"]["p99"], 0, 20 * MS, "service p99")


CLOSED_UDP = ("--duration", "3s", "--warmup", "0", "--timeout", "200ms", "--json")


def gap(document):
    """The longest stretch of windows in which nothing came, in ns."""
    longest = length = 0
    for window in document["windows"]:
        length = 0 if window["count"] else length + window["length_ns"]
        longest = max(longest, length)
    return longest


@test("one datagram that is dropped is one loss and one timeout, and the run goes on")
@timed
def _():
    with Taut() as taut:
        clean = taut.run("measure", "udp_rr", *CLOSED_UDP, environment=relayed(taut)).wants(0).json
        result = taut.run("measure", "udp_rr", *CLOSED_UDP, environment=relayed(taut, "--drop", "5000"))
        noise.check(result.code == 0, f"the flow is dead\n{result}")
        hit = result.json
        noise.check_equal(clean["lost"], 0, "lost in the clean run")
        noise.check(clean["transactions"] > 10000, f"the clean run has {clean['transactions']} transactions only")
        noise.check_equal((hit["lost"], hit["timeouts"], hit["dead_flows"]), (1, 1, 0), "lost, timeouts, dead flows")
        noise.check_equal(hit["sent"], hit["transactions"] + 1, "sent")
        windows = hit["windows"]
        check_between(gap(hit), 200 * MS - 2 * windows[0]["length_ns"], 240 * MS + windows[0]["length_ns"],
                      "time without a reply, ns")
        # What a run without the drop does is told from its own windows outside the gap: two runs of this
        # machine differ by more than the two per cent that are to be shown.
        counts = [w["count"] for w in windows if w["count"]]
        rate = sum(counts[1:-1]) / (len(counts) - 2) / windows[0]["length_ns"]
        check_between(hit["transactions"] / (rate * (3000 - 200) * MS), 0.98, 1.02,
                      "transactions against those of a clean run less the timeout")
        noise.check(max(w["at_ns"] for w in windows if w["count"]) > 2900 * MS, "nothing came in the last 100 ms")


@test("the loss is shown to people too")
@timed
def _():
    with Taut() as taut:
        result = taut.run("measure", "udp_rr", "--transactions", "6000", "--timeout", "100ms",
                          environment=relayed(taut, "--drop", "5000"))
        noise.check(result.code == 0, f"the flow is dead\n{result}")
        noise.check(re.search(r"losses\s+lost 1 of ", result.out), f"no loss is shown\n{result}")


@test("a flow that gets no more replies is dead by its deadline: exit 1")
@timed
def _():
    with Taut() as taut:
        result = taut.run("measure", "udp_rr", "--transactions", "1000000", "--max-duration", "20s", "--timeout",
                          "200ms", "--json", environment=relayed(taut, "--drop-from", "5000")).wants(1)
        document = result.json
        check_equal(document["dead_flows"], 1, "dead flows")
        check_between(document["lost"], 3, 4, "lost")
        noise.check(result.seconds < 10, f"it took {result.seconds:.1f} s to see a dead flow")
        text = taut.run("measure", "udp_rr", "--transactions", "1000000", "--max-duration", "20s", "--timeout", "200ms",
                        environment=relayed(taut, "--drop-from", "5000")).wants(1)
        check_in("flow 0 is dead: no reply for 600 ms", text.out, "what people are told")


# Slow enough for a busy machine; wide sequence numbers, so that a reply of any age is recognised.
PACED_UDP = ("measure", "udp_rr", "--rate", "500", "--duration", "2s", "--warmup", "100ms", "--timeout", "1s",
             "--request", "8", "--reply", "8")


def kept(result):
    """A schedule that was not kept is an error of taut's, but on a busy machine none of the test's subject."""
    noise.check(result.code == 0, f"exit code {result.code}\n{result}")
    return result


@test("a loss of five per cent is a loss, and no rate that was missed: exit 0")
@timed
def _():
    with Taut() as taut:
        lossy = relayed(taut, "--lose-every", "20")
        document = kept(taut.run(*PACED_UDP, "--json", environment=lossy)).json
        noise.check("rate-missed" not in document["flags"], f"flags: {document['flags']}")
        noise.check_equal((document["sent"], document["lost"], document["reordered"]), (1050, 52, 0), "sent, lost, reordered")
        # The last request may go out late.
        check_between(document["sent_per_s"], 490, 501, "sent_per_s")
        check_between(document["achieved_per_s"], 465, 477, "achieved_per_s")
        text = " ".join(kept(taut.run(*PACED_UDP, environment=lossy)).out.split())
        check(re.search(r"asked for 500 /s, sent (49\d|500) /s, answered 4[67]\d /s", text), f"rates in {text}")


@test("in a run such a cell is assessed, and its loss is primary")
@timed
def _():
    with Taut() as taut:
        spec = taut.write("lossy.yaml", """
name: lossy
blocks: 2
cells: [{workload: udp_rr, rate: 500, duration: 1s, warmup: 0, request: 8, reply: 8}]
arms: {stock: {}, same: {}}
""")
        result = kept(taut.run("run", spec, "--json", environment=relayed(taut, "--lose-every", "20")))
        (cell,) = result.json["cells"]
        noise.check("rate-missed" not in cell["flags"], f"flags: {cell['flags']}")
        (loss,) = [e for e in cell["effects"] if e["metric"] == "loss"]
        check(loss["primary"] and "rate" not in (loss["reason"] or ""), f"the effect on loss: {loss}")
        values = cell["arms"]["same"]["trial_values"]["loss"]
        noise.check_equal(values, [0.05, 0.05], "loss of the trials")
        check_in("loss", taut.run("report").wants(0).out, "what people are told")


@test("replies that come twice, late or behind a later one are counted as what they are")
@timed
def _():
    def counted(*options, timeout="1s"):
        paced = (*PACED_UDP, "--timeout", timeout)
        with Taut() as taut:
            document = kept(taut.run(*paced, "--json", environment=relayed(taut, *options))).json
            text = " ".join(kept(taut.run(*paced, environment=relayed(taut, *options))).out.split())
        check_equal(document["reordered"], document["duplicates"] + document["late"] + document["overtaken"],
                    f"{options}: the sum")
        return tuple(document[key] for key in ("duplicates", "late", "overtaken", "lost")), text

    # 1050 requests, of which every 40th is hit.
    found, text = counted("--twice-every", "40")
    noise.check_equal(found, (26, 0, 0, 0), "twice: duplicates, late, overtaken, lost")
    check_in("reordered 26 (26 duplicate, 0 late, 0 overtaken)", text, "what people are told")
    found, text = counted("--hold-every", "40", "--delay", "20ms")
    noise.check_equal(found, (0, 0, 26, 0), "held for 20 ms: duplicates, late, overtaken, lost")
    # Held for longer than the timeout they are lost.  Of the last 300 ms some may come after the end, and some before
    # anything has woken the client that would have given them up.
    (duplicates, late, overtaken, lost), _ = counted("--hold-every", "40", "--delay", "300ms", timeout="200ms")
    noise.check_equal((duplicates, overtaken + lost), (0, 26), "held for 300 ms: duplicates, overtaken and lost")
    check_between(lost, 20, 26, "held for 300 ms: lost")
    check_between(late, lost - 6, lost, "held for 300 ms: late")


@test("a delay of 5 ms for every 50th reply leaves p97 alone and is p99")
@timed
def _():
    with Taut() as taut:
        spec = taut.write("delay.yaml", """
name: delay
blocks: 1
cells: [{workload: tcp_rr, transactions: 12000, warmup: 100ms}]
arms: {stock: {}}
""")
        quantiles = []
        for environment in (relayed(taut), relayed(taut, "--delay-every", "50", "--delay", "5ms")):
            taut.run("run", spec, environment=environment).wants(0)
            (found,) = hdr.read_log(taut.run("export", "--hlog").wants(0).out).values()
            quantiles.append({q: found[0].quantile(q) for q in (0.5, 0.97, 0.99, 0.999)})
        base, late = quantiles
        check_between(late[0.97], base[0.5] / 3, base[0.999], "p97, ns")
        # The bins of the histogram are 0.8 % wide.
        check_between(late[0.99], 5 * MS * 0.992, (5 * MS + base[0.999]) * 1.008, "p99, ns")


@test("a rate that cannot be reached: exit 1, with what was asked and what came")
@timed
def _():
    arguments = ("measure", "tcp_rr", "--rate", "2000000", "--duration", "500ms")
    with Taut() as taut:
        document = taut.run(*arguments, "--json").wants(1).json
        check_equal(document["offered_per_s"], 2e6, "offered_per_s")
        check_between(document["achieved_per_s"], 1000, 0.98 * 2e6, "achieved_per_s")
        check_between(document["sent_per_s"], 1000, 0.98 * 2e6, "sent_per_s")
        check_in("rate-missed", document["flags"], "flags")
        for rate in ("2000000", "10000000"):  # late, and so late that nothing of the measured time goes out
            text = taut.run(*arguments, "--rate", rate).wants(1)
            said = re.search(r"asked for ([\d ]+) /s, sent ([\d ]+) /s", " ".join(text.out.split()))
            noise.check(said, f"asked and sent are not shown\n{text}")
            check_equal(said[1].replace(" ", ""), rate, "asked for")
            noise.check(int(said[2].replace(" ", "")) > 1000, f"sent {said[2]}")


@test("in a run such a rate is flagged, and its cell is not assessed")
def _():
    with Taut() as taut:
        spec = taut.write("fast.yaml", """
name: fast
blocks: 2
cells: [{workload: tcp_rr, rate: 10000000, duration: 200ms, warmup: 0}]
arms: {stock: {}, same: {}}
""")
        result = taut.run("run", spec, "--json", "--gate")
        check(result.code in (1, 4), f"exit code {result.code}, wanted 4\n{result}")
        (cell,) = result.json["cells"]
        check_in("rate-missed", cell["flags"], "flags of the cell")
        verdicts = {e["verdict"] for e in cell["effects"] if e["metric"].startswith("latency")}
        check_equal(verdicts, {"not_assessed"}, "verdicts")
        check_equal(result.code, 4, "exit code with --gate")


main()
