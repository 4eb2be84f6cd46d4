#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""udp_stream and ping count what a network does to them: losses, doubles and swaps of known number.

taut-relay stands between the ends of udp_stream and answers in the place of the kernel for ping (faults.py).  What
iperf3 and ping(8) say of the same faults stands beside it, and where their rule is another one, by how much.
"""
import json
import os
import re
import subprocess
import tempfile

import noise
from faults import relayed
from noise import timed
from tap import RELAY, Taut, check, check_equal, check_in, main, need_program, need_root, skip, test

PACED = ("--rate", "500", "--duration", "1s", "--warmup", "100ms", "--timeout", "500ms")
DUE = 550
KEYS = ("lost", "duplicates", "overtaken", "late")


def injected(sent, lose=0, again=0, swap=0):
    """What taut-relay does to so many: lost, doubled, swapped.  It never swaps the last, which nothing passes."""
    lost = doubled = swapped = 0
    waiting = False
    for number in range(1, sent + 1):
        if lose and number % lose == 0:
            lost += 1
            continue
        if swap and number % swap == 0 and not waiting:
            waiting = True
            continue
        doubled += bool(again and number % again == 0)
        swapped += waiting
        waiting = False
    return lost + waiting, doubled, swapped


def options(**every):
    names = {"lose": "--lose-every", "again": "--again-every", "swap": "--swap-every"}
    return [text for name, n in every.items() for text in (names[name], str(n))]


def measured(workload, *more, **every):
    """A trial in which the relay did that."""
    with Taut() as taut:
        result = taut.run("measure", workload, *PACED, *more, environment=relayed(taut, *options(**every)))
    noise.check(result.code == 0, f"exit code {result.code}\n{result}")
    return result


def told(workload, **every):
    return " ".join(measured(workload, **every).out.split())


FAULTS = [{}, {"lose": 20}, {"again": 40}, {"swap": 40}, {"lose": 20, "again": 30, "swap": 7}]


def check_counts(workload, every):
    document = measured(workload, "--json", **every).json
    sent = document["sent"]
    noise.check(sent == DUE, f"{sent} sent of {DUE}")
    lost, doubled, swapped = injected(sent, **every)
    # What is late is so because this machine, or the relay, stood still.
    noise.check_equal({key: document[key] for key in KEYS},
                      {"lost": lost, "duplicates": doubled, "overtaken": swapped, "late": 0}, f"{workload} with {every}")
    check_equal(document["reordered"], doubled + swapped, "the sum")
    return document


@test("udp_stream counts exactly what was lost, came twice and was overtaken")
@timed
def _():
    for every in FAULTS:
        document = check_counts("udp_stream", every)
        check_equal(document["received"] + document["lost"], document["sent"], "received and lost")
        check(document["jitter_ns"]["mean"] > 0, f"jitter: {document['jitter_ns']}")
    text = told("udp_stream", lose=20, again=30)
    lost, doubled, _ = injected(DUE, lose=20, again=30)
    check_in("(RFC 3550, smoothed)", text, "what people are told")
    noise.check(f"lost {lost} of {DUE} sent" in text and f"reordered {doubled} ({doubled} duplicate," in text, text)


@test("ping counts exactly what was lost, came twice and was overtaken")
@timed
def _():
    need_root()
    for every in FAULTS:
        document = check_counts("ping", every)
        check(document["sent"] - document["lost"] >= document["transactions"], "transactions are answered echoes")


def relay(kind, addresses, **every):
    """Lines of a script that start a relay and go on when it is ready; $! is the relay."""
    return (f"mkfifo $room/{kind}; {RELAY} {kind} {addresses} {' '.join(options(**every))} > $room/{kind} &"
            f" read -r _ < $room/{kind};")


def in_namespace(script, seconds=60):
    """Runs a script in a network namespace of its own whose kernel answers no echoes."""
    setup = "ip link set lo up && echo 1 > /proc/sys/net/ipv4/icmp_echo_ignore_all && "
    with tempfile.TemporaryDirectory() as room:
        done = subprocess.run(["unshare", "-n", "timeout", str(seconds), "sh", "-c", setup + script], capture_output=True,
                              text=True, check=False, timeout=seconds + 10, env={**os.environ, "room": room})
    if "Operation not permitted" in done.stderr:
        skip("cannot make a network namespace", "netns")
    return done


@test("ping(8) says the same of the same losses and doubles; it counts no order")
@timed
def _():
    need_root()
    need_program("ping", "ip", "unshare")
    every = {"lose": 20, "again": 30, "swap": 7}
    done = in_namespace(f"""
{relay("icmp", "127.0.0.1 0 127.0.0.1 0", **every)} relay=$!
ping -q -c {DUE} -i 0.002 -W 1 127.0.0.1; kill $relay""")
    found = re.search(r"(\d+) packets transmitted, (\d+) received,(?: \+(\d+) duplicates,)?", done.stdout)
    check(found, f"ping says:\n{done.stdout}{done.stderr}")
    sent, received, doubled = (int(n or 0) for n in found.groups())
    noise.check(sent == DUE, f"{sent} sent")
    document = check_counts("ping", every)
    check_equal((sent - received, doubled), (document["lost"], document["duplicates"]), "lost and doubled by ping(8)")


@test("iperf3 takes a datagram that comes twice for one that was not lost after all; udp_stream does not")
@timed
def _():
    need_root()
    need_program("iperf3", "ip", "unshare")
    every = {"lose": 20, "again": 30}
    done = in_namespace(f"""
iperf3 -s -1 -p 5301 > /dev/null & server=$!
until grep -q ':14B5 00000000.* 0A ' /proc/net/tcp /proc/net/tcp6; do sleep 0.05; done
{relay("tcp", "127.0.0.1 5302 127.0.0.1 5301")} tcp=$!
{relay("udp", "127.0.0.1 5302 127.0.0.1 5301", **every)} udp=$!
iperf3 -c 127.0.0.1 -p 5302 -u -l 1000 -b 4M -t 2 -J; kill $tcp $udp $server 2> /dev/null""")
    result = json.loads(done.stdout)
    check("error" not in result, f"iperf3 says: {result.get('error')}")
    udp = result["end"]["streams"][0]["udp"]
    # The first datagram that passes the relay is iperf3's own hello.
    lost, doubled, _ = injected(udp["packets"] + 1, **every)
    noise.check_equal(udp["lost_packets"], lost - doubled, "lost by iperf3")
    check_counts("udp_stream", every)


main()
