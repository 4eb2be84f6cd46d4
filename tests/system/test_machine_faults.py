#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""kill -9 of taut, of QEMU, of an agent, at random moments of trials with machines.

After taut has been killed, the next command names the leftovers, and `taut tune revert` and `taut lab clean` restore the
machine.  When QEMU or an agent is killed, taut names it and restores the machine by itself.  Moments come from a seeded
generator (TAUT_SEED), within the time that the same trial takes without a kill, except its end.
"""
import functools
import os
import random
import signal
import time

import machines
import picture
from machines import GUEST, QUICK, Machines, kernels, same_machine
from tap import LONG, check, comm_of, main, need_program, test

TRIALS = {
    "guest": (*GUEST, "--profile", "low-latency", "--yes"),  # others may have machines here
    "host": ("--site", "lab:stock", "--target", "container"),
    "exact": ("--site", "lab:stock", "--target", "container", "--clock", "exact"),
}
QEMU_COMM = machines.QEMU[:15]
# How often each trial is killed so: ten times each in all, with --long.
KILLS = {"taut": (4, 3, 3), "qemu": (4, 3, 3), "agent": (10, 0, 0)} if LONG else \
    {"taut": (1, 1, 1), "qemu": (1, 1, 1), "agent": (2, 0, 0)}
SEED = int(os.environ.get("TAUT_SEED", "20261125"))


@functools.cache
def usual_seconds(name):
    """How long this trial takes here; what it leaves for good (images) is there afterwards."""
    kernels()
    need_program("runc")
    with Machines() as taut:
        return taut.measure(*TRIALS[name], seconds=400).wants(0).seconds


def moments(what):
    """(trial, seconds from its start) for each kill."""
    draw = random.Random(f"{SEED} {what}")
    print(f"# TAUT_SEED={SEED}")
    for name, n in zip(TRIALS, KILLS[what]):
        for _ in range(n):
            yield name, draw.uniform(0, 0.85 * usual_seconds(name))


def begin(taut, name):
    return taut.start("measure", "tcp_rr", *QUICK, *TRIALS[name])


def killed_within(running, comm, seconds):
    """Kills the process of this name below taut, not before this moment of the trial; False when it came too late."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and running.process.poll() is None:
        time.sleep(0.01)
    while running.process.poll() is None:
        pid = machines.below(running, comm)
        if pid and comm_of(pid) == comm:
            os.kill(pid, signal.SIGKILL)
            return True
        time.sleep(0.005)
    return False


@test(f"kill -9 of taut, {sum(KILLS['taut'])} times: the next command says what is left over, revert and clean remove it")
def _():
    left = 0
    with Machines() as taut:
        for name, moment in moments("taut"):
            before = picture.take()
            running = begin(taut, name)
            time.sleep(moment)
            running.process.send_signal(signal.SIGKILL)
            running.process.wait()
            said = taut.run("measure", "tcp_rr", "--dry-run").wants(0)
            reverted = taut.run("tune", "revert").wants(0)
            cleaned = taut.run("lab", "clean").wants(0)
            what = f"{name}, taut killed after {moment:.3f} s"
            if "nothing to clean" not in cleaned.out:
                left += 1
                check("left over" in said.err and "taut clean" in said.err, f"{what}: {said}\n{cleaned}")
            if "nothing to revert" not in reverted.out:
                check("taut clean" in (said.json["refused"] or ""), f"{what}: {said}\n{reverted}")
            same_machine(before, f"{what} ({reverted.out.strip()}; {cleaned.out.strip()})")
            taut.run("lab", "clean").wants(0, "nothing to clean")
    check(left > 0, "no kill left anything")
    print(f"# {left} kills left something to clean")


def end_killed(what, comm, names):
    hit = 0
    with Machines() as taut:
        for name, moment in moments(what):
            before = picture.take()
            running = begin(taut, name)
            killed = killed_within(running, comm, moment)
            result = running.wait(60)
            # When the machine is about to be taken down, the trial does not fail.
            if killed and result.code != 0:
                hit += 1
                result.wants(1, "SIGKILL")
                text = result.out + result.err
                check(any(word in text for word in names), f"which of {names}?\n{result}")
            elif not killed:
                result.wants(0)
            same_machine(before, f"{name}, {comm} killed after {moment:.3f} s ({result.out.strip()[-300:]})")
    check(hit > 0, "no kill met its process")
    print(f"# {hit} of {sum(KILLS[what])} kills met their process in a trial")


@test(f"kill -9 of QEMU, {sum(KILLS['qemu'])} times: exit 1, it is said to be killed, and the machine is as before")
def _():
    end_killed("qemu", QEMU_COMM, ["QEMU"])


@test(f"kill -9 of an agent, {sum(KILLS['agent'])} times: exit 1, which one it was, and the machine is as before")
def _():
    end_killed("agent", "taut-client", ["taut-client", "client endpoint"])


main()
