#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Trials that share a target: one container or guest, fresh ends in each trial; and nothing left, however it ends."""
import json
import os
import signal
import sqlite3

import picture
from machines import Machines, kernels, same_machine
from tap import check, check_equal, endpoint, main, need_root, test, wait_until

CELLS = {
    "a container, three workloads": "{ target: container, workload: [tcp_rr, udp_rr, tcp_stream] }",
    "a guest, two workloads": "{ target: vm, accel: tcg, workload: [tcp_rr, tcp_stream] }",
}
SHARED = """
name: shared
blocks: {blocks}
share: target
trial: {{ transactions: 200, max_duration: 2s, duration: {duration}, warmup: 20ms }}
cells: [{cells}]
arms: {{ stock: {{}}, tuned: {{ profile: low-latency }} }}
"""


def experiment(taut, cells, blocks=1, duration="200ms"):
    return taut.write("shared.yaml", SHARED.format(blocks=blocks, duration=duration, cells=cells))


def records(taut):
    """The records of the trials of the last run in the order in which they were made, by (block, arm)."""
    found = {}
    with sqlite3.connect(f"file:{taut.folder}/runs.db?mode=ro", uri=True) as db:
        for block, arm, text in db.execute("SELECT block, arm, record FROM trials ORDER BY block, position"):
            found.setdefault((block, arm), []).append(json.loads(text))
    return found


def run(taut, *arguments, **options):
    return taut.run("run", *arguments, "--yes", seconds=400, **options)


def same_target(trials, machine):
    """Each is on the one target of its arm, with processes of its own; a guest is booted once."""
    check_equal([t["target_use"] for t in trials], list(range(1, len(trials) + 1)), "uses of the target")
    for end in (0, 1):
        pids = [t["ends"][end]["pid"] for t in trials]
        check(all(pids) and len(set(pids)) == len(pids), f"the {trials[0]['ends'][end]['role']} is not fresh: {pids}")
    boots = {t["guest"]["boot_id"] for t in trials}
    check(len(boots) == 1 and (bool(boots.pop()) == machine), f"boots of the guest: {[t['guest'] for t in trials]}")
    check_equal([t["guest"]["boot_ns"] > 0 for t in trials], [machine] + [False] * (len(trials) - 1), "a boot is told of")


for name, cells in CELLS.items():
    @test(f"{name}: all have figures, on one target in each arm and block, with fresh ends")
    def _(cells=cells):
        need_root()
        machine = "vm" in cells
        if machine:
            kernels()
        with Machines() as taut:
            file = experiment(taut, cells, blocks=1 if machine else 2)
            taut.run("measure", "tcp_rr", "--duration", "1s").wants(0)  # what a first run leaves for good is there
            before = picture.take()
            run(taut, file).wants(0)
            same_machine(before, name)
            found = records(taut)
            check_equal(len(found), 2 if machine else 4, "arms and blocks")
            guests = set()
            for place, trials in found.items():
                check(all(t["outcome"] == "done" and t["verified"] for t in trials),
                      f"{place}: {[(t['outcome'], t['reason'], t['verified']) for t in trials]}")
                check(all(max(e["transactions"] + e["bytes"] for e in (t["client"], t["server"])) > 0 for t in trials),
                      f"{place}: a trial has no figures")
                same_target(trials, machine)
                guests.add(trials[0]["guest"]["boot_id"])
            check_equal(len(guests), 2 if machine else 1, "guests, one for each arm")


@test("kill -9 between and within trials on a shared target: taut clean, as before, and --resume goes on with the block")
def _():
    need_root()
    with Machines() as taut:
        file = experiment(taut, CELLS["a container, three workloads"], blocks=2, duration="1s")
        words = ("--resume", "--set", "transactions=0")  # so that each of the three lasts
        taut.run("measure", "tcp_rr", "--duration", "1s").wants(0)
        for uses in (1, 2):
            before = picture.take()
            running = taut.start("run", file, "--yes", *words)
            wait_until(lambda: running.process.poll() is not None or running.text(0).count("tuned") >= uses, 60,
                       f"{uses} tuned trials")
            if uses == 2:
                endpoint(running, "taut-server")  # within the third
            check(running.process.poll() is None, f"it ended too soon:\n{running.text(0)}\n{running.text(1)}")
            running.process.send_signal(signal.SIGKILL)
            running.process.wait()
            taut.run("clean").wants(0, "put back", "removed")
            same_machine(before, f"killed after {uses} trials on the tuned target")
        done = run(taut, file, *words).wants(0)
        check("nothing to resume" not in done.err, f"it has not gone on: {done}")
        found = records(taut)
        check_equal(len(found), 4, "arms and blocks")
        for trials in found.values():
            same_target(trials, False)
        same_machine(before, "after the run")


@test("an agent that dies fails its trial; the trials after it have a new target, and nothing is left")
def _():
    need_root()
    with Machines() as taut:
        file = experiment(taut, CELLS["a container, three workloads"], duration="1500ms")
        before = picture.take()
        running = taut.start("run", file, "--yes", "--set", "transactions=0")
        os.kill(endpoint(running, "taut-server"), signal.SIGKILL)
        running.process.wait(120)
        found = records(taut)
        first = [trials for trials in found.values() if any(t["outcome"] == "failed" for t in trials)]
        check(len(first) == 1, f"no trial failed: {running.text(0)} {running.text(1)}")
        died = [t["outcome"] for t in first[0]].index("failed")
        check_equal([t["outcome"] for t in first[0]], ["done"] * died + ["failed"] + ["done"] * (2 - died), "outcomes")
        check_equal([t["target_use"] for t in first[0]], [*range(1, died + 2), *range(1, 3 - died)], "uses of the target")
        check("taut-server" in first[0][died]["reason"], first[0][died]["reason"])
        same_machine(before, "an agent was killed")


main()
