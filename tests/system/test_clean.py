#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""After kill -9 `taut clean` alone puts everything right; what stays owed is named and is exit code 6."""
import json
import pathlib
import signal
import time

import picture
import tap
from tap import Taut, check, need_root, test, wait_until

TUNED = ("measure", "tcp_rr", "--target", "container", "--profile", "low-latency", "--duration", "20s")
STOCK = ("measure", "tcp_rr", "--target", "container", "--duration", "20s")


def journals(taut):
    return sorted((taut.folder / "state").glob("journal-*.json"))


def same_machine(before, what):
    found = picture.settled(before)
    check(not found, f"{what}: the machine differs:\n" + "\n".join(found[:20]))


def kill_in_trial(taut, options):
    """Both ends are there and, with a profile, everything is tuned."""
    running = taut.start(*options)
    tap.endpoint(running, "taut-server")
    if "--profile" in options:
        wait_until(lambda: journals(taut), 20, "a journal")
    time.sleep(0.7)
    running.process.send_signal(signal.SIGKILL)
    running.process.wait()


@test("kill -9 in the middle of a trial, tuned or not: taut clean and nothing else, and the machine is as before")
def _():
    need_root()
    for options in (TUNED, STOCK):
        with Taut() as taut:
            taut.run("measure", "tcp_rr", "--duration", "100ms").wants(0)  # what a first run leaves for good is there
            before = picture.take()
            kill_in_trial(taut, options)
            said = taut.run("measure", "tcp_rr", "--dry-run")
            check("left over" in said.err and "taut clean" in said.err, f"the next command does not say it: {said}")
            cleaned = taut.run("clean").wants(0, "removed")
            if options is TUNED:
                check("put back" in cleaned.out, f"what was put back?\n{cleaned}")
            same_machine(before, f"{options}: {cleaned.out}")
            check(not journals(taut), "a journal is still there")
            taut.run("clean").wants(0, "nothing to clean")


@test("taut clean: a journal that nobody can read and an entry that nobody knows are named and kept, exit 6; the rest goes")
def _():
    need_root()
    with Taut() as taut:
        taut.run("measure", "tcp_rr", "--duration", "100ms").wants(0)
        before = picture.take()
        kill_in_trial(taut, TUNED)
        real = journals(taut)
        strange = json.loads(real[0].read_text(encoding="utf-8"))
        strange["entries"] = [{"knob": "k", "executor": "of-a-newer-taut", "object": "/o", "before": "1", "after": "2"}]
        taut.write("state/journal-999999-1.json", json.dumps(strange), 0o600)
        taut.write("state/journal-999999-2.json", "", 0o600)
        result = taut.run("clean").wants(6)
        check("of-a-newer-taut" in result.err and "journal-999999-2.json" in result.err, f"not named: {result}")
        check([p.name for p in journals(taut)] == ["journal-999999-1.json", "journal-999999-2.json"],
              f"left are {journals(taut)}")
        kept = json.loads(pathlib.Path(journals(taut)[0]).read_text(encoding="utf-8"))
        entry = {key: value for key, value in kept["entries"][0].items() if value is not None}
        check([entry] == strange["entries"], f"the entry has changed: {kept}")
        same_machine(before, "but for what nobody knows")
        for number in ("1", "2"):
            taut.run("tune", "revert", "--forget", f"999999-{number}").wants(0, "gave up")
        taut.run("clean").wants(0, "nothing to clean")


tap.main()
