#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""A tuned run that is killed, interrupted, or loses an endpoint: the machine is as it was, and no stored trial is lost.

The kill loop ends taut with SIGKILL at moments from a seeded generator, removes the leftovers with `taut tune revert`
and `taut lab clean`, and compares a picture of the machine with the one from before.
"""
import os
import random
import signal
import time

import picture
import runs
import tap
from tap import LONG, Taut, check, endpoint, need_root, test, wait_until

TUNED = """
name: killed
blocks: 50
noise: cpu
trial: { transactions: 3000, max_duration: 1s, duration: 50ms, warmup: 20ms }
cells:
  - { target: container, attachment: bridge, workload: [tcp_rr, tcp_stream] }
  - { target: native, workload: udp_rr }
arms:
  stock: {}
  tuned: { profile: low-latency }
"""
KILLS = 20 if LONG else 6
QUICK = ("--duration", "300ms", "--warmup", "20ms")


def same_machine(before, what):
    found = picture.settled(before)
    check(not found, f"{what}: the machine differs:\n" + "\n".join(found[:20]))


@test(f"kill -9 at {KILLS} random moments: revert and clean put everything back, no stored trial is lost")
def _():
    need_root()
    draw = random.Random(20261123)
    with Taut() as taut:
        spec = taut.write("killed.yaml", TUNED)
        taut.run("run", spec, "--blocks", "1", seconds=60).wants(0)  # makes what a first run leaves on purpose
        before = picture.take()
        stored = 0
        for number in range(KILLS):
            moment = draw.uniform(0.05, 3.0)
            running = taut.start("run", spec)
            time.sleep(moment)
            running.process.send_signal(signal.SIGKILL)
            running.process.wait()
            lines = running.text(0).count("verified")
            said = taut.run("tune", "status").wants(0)
            taut.run("tune", "revert").wants(0)
            taut.run("lab", "clean").wants(0)
            same_machine(before, f"kill {number + 1} after {moment:.3f} s (tune status: {said.out.strip()[:300]})")
            check(runs.database_is_sound(taut.folder / "runs.db"), "the database is damaged")
            if lines:
                kept = len(runs.trials(taut))
                check(kept >= lines, f"{lines} trials were reported, {kept} are stored")
                stored += kept
        check(stored > 0, "no kill came late enough for a stored trial")


@test("after a kill the next command says what is left over, and how to put it right")
def _():
    need_root()
    with Taut() as taut:
        spec = taut.write("killed.yaml", TUNED)
        before = picture.take()
        running = taut.start("run", spec)
        wait_until(lambda: list((taut.folder / "state").glob("journal-*.json")), 20, "a journal")
        running.process.send_signal(signal.SIGKILL)
        running.process.wait()
        taut.run("measure", "tcp_rr", *QUICK).wants(5, "taut clean")
        taut.run("run", spec, "--dry-run").wants(0, "would be refused: cannot measure", "taut clean", "block 1")
        plan = taut.run("measure", "tcp_rr", *QUICK, "--dry-run").wants(0).json
        check("taut clean" in plan["refused"] and plan["order"], f"a plan beside a refusal: {plan}")
        taut.run("tune", "revert").wants(0)
        taut.run("lab", "clean").wants(0)
        taut.run("tune", "status").wants(0, "no tuning")
        same_machine(before, "after revert and clean")


@test("Ctrl-C in the middle: exit 130, what was measured is kept, the machine is as before")
def _():
    need_root()
    with Taut() as taut:
        spec = taut.write("killed.yaml", TUNED)
        before = picture.take()
        running = taut.start("run", spec)
        wait_until(lambda: running.text(0).count("verified") >= 2, 30, "two trials")
        running.process.send_signal(signal.SIGINT)
        running.wait(20).wants(130)
        check(len(runs.trials(taut)) >= 2, "trials are lost")
        same_machine(before, "after Ctrl-C")


@test("an endpoint that is killed ends the trial at once: exit 1, which one and how")
def _():
    need_root()
    for name in ("taut-server", "taut-client"):
        with Taut() as taut:
            before = picture.take()
            running = taut.start("measure", "tcp_rr", "--profile", "low-latency", "--duration", "20s")
            pid = endpoint(running, name)
            time.sleep(0.5)  # tuned by then, and measuring
            os.kill(pid, signal.SIGKILL)
            result = running.wait(15).wants(1)
            check("endpoint" in result.out + result.err, f"which endpoint?\n{result}")
            same_machine(before, f"{name} killed")


tap.main()
