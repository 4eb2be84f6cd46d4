#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The cost of a transaction: system calls, counted by strace, and memory, as the kernel reports it.

Agents are driven over loopback by agent.py, with the settings that `taut measure --dry-run` prints.
"""
import pathlib
import re
import tempfile
import time

import agent
import noise
from noise import timed
from tap import AGENT, LONG, Taut, check, check_between, check_equal, main, need_program, test

TRANSACTIONS = 5000
ONCE = 400  # calls of an endpoint that do not belong to a transaction: exec, set-up, frames, windows
CLOCKS = ("tsc", "kvm-clock", "hyperv_clocksource_tsc_page")  # read without a system call


def settings(**changes):
    with Taut() as taut:
        found = taut.run("measure", "tcp_rr", "--dry-run", "--json").wants(0).json["cells"][0]["settings"]["stock"]
    unknown = changes.keys() - found.keys()
    check(not unknown, f"no such settings: {unknown} among {sorted(found)}")
    return {**found, **changes}


def clock_needs_calls():
    return pathlib.Path("/sys/devices/system/clocksource/clocksource0/current_clocksource").read_text().strip() not in CLOCKS


def counted(**changes):
    """System calls of the client and of the server, and the client's record."""
    need_program("strace")
    with tempfile.TemporaryDirectory() as folder:
        files = [pathlib.Path(folder) / name for name in ("server", "client")]
        pair = agent.Pair(str(AGENT), settings(**changes),
                          prefix=[("strace", "-f", "-c", "-o", str(file)) for file in files])
        pair.go()
        record, _ = pair.records(60)
        pair.close()
        calls = []
        for file in files:
            rows = re.findall(r"^\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)(?:\s+\d+)?\s+(\w+)$", file.read_text(), re.M)
            calls.append({name: int(n) for n, name in rows if name != "total"})
        if clock_needs_calls():
            for one in calls:
                one.pop("clock_gettime", None)
    return calls[1], calls[0], record


def check_calls(calls, record, per_transaction, who):
    sent = record["sent"]
    check(sent >= TRANSACTIONS, f"{sent} transactions only")
    for name in per_transaction:
        check_between(calls.get(name, 0), sent if name != "clock_nanosleep" else 0, sent + ONCE, f"{who}: {name}")
    rest = {name: n for name, n in calls.items() if name not in per_transaction}
    check(sum(rest.values()) < ONCE, f"{who}: {sum(rest.values())} other calls for {sent} transactions: {rest}")


@test("a closed loop makes no system call but send and receive, at either end")
def _():
    for workload in ("tcp_rr", "udp_rr"):
        client, server, record = counted(workload=workload, transactions=TRANSACTIONS, warmup=0)
        check_calls(client, record, ("sendto", "recvfrom"), f"{workload} client")
        check_calls(server, record, ("sendto", "recvfrom"), f"{workload} server")


@test("an open loop makes one wait more")
def _():
    client, server, record = counted(workload="tcp_rr", pacing="open", rate=2500, transactions=TRANSACTIONS, warmup=0)
    check_calls(client, record, ("sendto", "recvfrom", "clock_nanosleep"), "client")
    check(client["clock_nanosleep"] <= record["sent"] + 100, f"{client['clock_nanosleep']} waits for {record['sent']}")
    check(client["clock_nanosleep"] > 100, f"{client['clock_nanosleep']} waits: was the loop paced at all?")
    check_calls(server, record, ("sendto", "recvfrom"), "server")


def faults_of(pid):
    """Minor page faults of a process with all its threads, and its resident KiB."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(fields[7]), int(re.search(r"^VmRSS:\s*(\d+)", status, re.M)[1])


@test("while it measures an endpoint touches no new memory")
@timed
def _():
    seconds = 60 if LONG else 6
    for changes in ({"workload": "tcp_rr"}, {"workload": "udp_rr", "pacing": "open", "rate": 5000}):
        pair = agent.Pair(str(AGENT), settings(duration=(seconds + 1) * 10**9, warmup=0, **changes))
        pair.go()
        time.sleep(0.5)
        pids = [pair.client.process.pid, pair.server.process.pid]
        before = [faults_of(pid) for pid in pids]
        time.sleep(seconds)
        after = [faults_of(pid) for pid in pids]
        record, _ = pair.records(30)
        pair.close()
        noise.check(record["transactions"] > 4000 * seconds, f"{record['transactions']} transactions only")
        for who, old, new in zip(("client", "server"), before, after):
            check_equal(new[1], old[1], f"{changes}: resident KiB of the {who}")
            check_between(new[0] - old[0], 0, 8, f"{changes}: page faults of the {who}")


main()
