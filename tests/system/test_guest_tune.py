#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The guest's half of tuning, with this machine as the guest: an agent tunes it when told to, says whether all values
hold, and leaves the machine as it was, however the agent ends.
"""
import contextlib
import os
import pathlib
import signal

import agent
import picture
from agent import ERROR, GO, TUNE, TUNED, VERIFY, VERIFIED
from tap import AGENT, Taut, check, check_equal, check_in, main, need_root, skip, test


def settings(taut):
    plan = taut.run("measure", "tcp_rr", "--duration", "200ms", "--warmup", "20ms", "--dry-run", "--json")
    return plan.wants(0).json["cells"][0]["settings"]["stock"]


def need_two_cpus():
    need_root()
    if (os.cpu_count() or 1) < 2:
        skip("there is nothing to isolate on one CPU")


class Machine:
    """A pair of agents, the server's told to tune."""

    def __init__(self, taut, plain):
        self.settings = plain
        self.pair = agent.Pair(str(AGENT), self.settings, environment=taut.environment)
        self.server = self.pair.server

    def tune(self, stage, profile="low-latency"):
        self.server.send(TUNE, {"tuning": agent.tuning(self.settings, profile), "stage": stage})
        return self.server.expect(TUNED)["knobs"]

    def verify(self):
        self.server.send(VERIFY, {})
        return self.server.expect(VERIFIED)


@contextlib.contextmanager
def tuning():
    """Taut and plain settings; what is left in force at the end, by a test that failed, is put back."""
    with Taut() as taut:
        plain = settings(taut)
        try:
            yield taut, plain
        finally:
            taut.run("tune", "revert")


def threads(process):
    return [int(name) for name in os.listdir(f"/proc/{process.pid}/task")]


@test("an agent tunes its machine, finds what does not hold any more, and puts everything back at the end of the stream")
def _():
    need_two_cpus()
    with tuning() as (taut, plain):
        before = picture.take()
        machine = Machine(taut, plain)
        host = machine.tune("host")
        both = machine.tune("live")
        check(len(both) > len(host) > 0, f"{len(host)} knobs of the host, {len(both)} of both stages")
        effective = {k["id"] for k in both if k["status"] == "effective"}
        check({"endpoint-cpu", "endpoint-sched", "irq-affinity"} <= effective, f"effective are only {sorted(effective)}")
        check(any(i.startswith("partition-") for i in effective), f"no partition among {sorted(effective)}")
        policies = {os.sched_getscheduler(tid) for tid in threads(machine.server.process)}
        check_equal(policies, {os.SCHED_FIFO}, "policies of the server's threads")
        check_equal(machine.verify()["all"], True, "all holds before")
        machine.pair.go()
        _, record = machine.pair.records()
        check(record["transactions"] > 0, "nothing was served")
        check_equal(machine.verify()["all"], True, "all holds after the record")
        os.sched_setaffinity(threads(machine.server.process)[0], {0})
        said = machine.verify()
        check_equal(said["all"], False, "all holds after somebody moved the server")
        check_equal([k["id"] for k in said["knobs"] if k["status"] == "changed"], ["endpoint-cpu"], "what does not hold")
        machine.server.send(TUNE, {"stage": "revert"})
        check_equal(machine.server.expect(TUNED)["knobs"], [], "knobs in force after the revert")
        check_equal(picture.settled(before), [], "differences of the machine, with the agent still there")
        machine.pair.close()
        check_equal(picture.settled(before), [], "differences of the machine")


@test("an agent whose stream ends in the middle, or that is asked to end, puts everything back; one that is killed leaves "
      "it to the next")
def _():
    need_two_cpus()
    with tuning() as (taut, plain):
        before = picture.take()
        machine = Machine(taut, plain)
        machine.tune("host")
        machine.tune("live")
        machine.pair.go()
        machine.pair.close()
        check_equal(picture.settled(before), [], "differences after the stream was closed")

        machine = Machine(taut, plain)
        machine.tune("host")
        os.kill(machine.server.process.pid, signal.SIGTERM)
        check_equal(machine.server.process.wait(60), 128 + signal.SIGTERM, "exit code after SIGTERM")
        check_equal(picture.settled(before), [], "differences after SIGTERM, with the stream still there")
        machine.pair.close()

        machine = Machine(taut, plain)
        machine.tune("host")
        os.kill(machine.server.process.pid, signal.SIGKILL)
        machine.pair.close()
        check(picture.differences(before, picture.take()), "nothing had been changed")
        machine = Machine(taut, plain)
        machine.tune("live", profile="stock")
        machine.pair.close()
        check_equal(picture.settled(before), [], "differences after the next")
        check_equal(list(pathlib.Path(taut.environment["TAUT_STATE"]).glob("journal*")), [], "journals")


@test("a request that makes no sense is an error, said over the stream, and changes nothing")
def _():
    with tuning() as (taut, plain):
        before = picture.take()
        wanted = agent.tuning(plain, "stock")
        bodies = [({}, "what and when"), ({"tuning": wanted, "stage": "never"}, "what and when"),
                  ({"tuning": wanted, "stage": "host", "more": 1}, "what and when"),
                  ({"settings": plain, "stage": "host"}, "not as it must be"),
                  ({"tuning": {}, "stage": "host"}, "not as it must be"),
                  ({"tuning": {**wanted, "profile": "splendid"}, "stage": "host"}, "not as it must be"),
                  ({"tuning": {**wanted, "priority": 99}, "stage": "host"}, "priority")]
        for body, text in bodies:
            machine = Machine(taut, plain)
            machine.server.send(TUNE, body)
            check_in(text, machine.server.expect(ERROR)["text"], f"the error for {body.get('stage')}")
            check_equal(machine.server.process.wait(60), 1, "exit code")
            machine.pair.close()
        machine = Machine(taut, plain)
        machine.server.send(GO, {})
        machine.server.send(TUNE, {"tuning": wanted, "stage": "host"})
        check_in("makes no sense", machine.server.expect(ERROR)["text"], "the error for tuning while measuring")
        machine.pair.close()
        check_equal(picture.settled(before), [], "differences of the machine")


main()
