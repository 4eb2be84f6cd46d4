#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Realtime tasks in a guest with Linux 6.12, stock and realtime: the knobs that remove the throttle apply, hold and are
put back; and their effect is measured in instructions.

Kernels are those that `taut kernel list` knows; TAUT_KERNELS may name others ("stock=PATH,rt=PATH").
"""
import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile

import agent
from agent import HELLO, PLAN, READY, TUNE, TUNED, VERIFY, VERIFIED
from tap import AGENT, BUILD, Taut, check, check_between, check_equal, main, skip, test

BOOT_S = 120
FLAVOURS = ("stock", "rt")
# As a trial on the exact clock is booted: one instruction is one nanosecond.
EXACT = ("-accel", "tcg,thread=single", "-icount", "shift=0,sleep=off", "-rtc", "clock=vm,base=2024-01-01", "-smp", "1",
         "-seed", "1", "-m", "256", "-nodefaults", "-display", "none", "-serial", "stdio", "-no-reboot")


def kernels():
    """The newest 6.12 of each flavour: flavour → path."""
    if not shutil.which("qemu-system-x86_64"):
        skip("there is no QEMU", "qemu")
    found = dict(word.split("=", 1) for word in os.environ.get("TAUT_KERNELS", "").split(",") if "=" in word)
    if not found:
        with Taut() as taut:
            known = taut.run("kernel", "list", "--json").wants(0).json["kernels"]
        found = {k["flavour"]: k["path"] for k in reversed(known) if k["release"].startswith("6.12")}
    missing = [f for f in FLAVOURS if f not in found]
    if missing:
        skip(f"there is no kernel 6.12 here: {' and '.join(missing)} (try: taut kernel fetch 6.12)", "qemu")
    return {f: found[f] for f in FLAVOURS}


HOLD = ("effective", "unchanged", "skipped")


class Guest:
    def __init__(self, taut, kernel, cpus):
        self.settings = taut.run("measure", "tcp_rr", "--dry-run", "--json").wants(0).json["cells"][0]["settings"]["stock"]
        self.agent = agent.Agent("taut-server", str(AGENT), (str(BUILD / "tests/taut-guest"), kernel, str(cpus)),
                                 environment=taut.environment)
        self.agent.expect(HELLO, BOOT_S)
        self.agent.send(PLAN, {"server": True, "lock_memory": False, "address": "0.0.0.0", "token": "0123456789abcdef" * 2,
                               "ports": [0], **agent.job(self.settings)})
        self.agent.expect(READY, BOOT_S)

    def tune(self, stage):
        body = {"tuning": agent.tuning(self.settings, "low-latency")} if stage != "revert" else {}
        self.agent.send(TUNE, {**body, "stage": stage})
        return self.agent.expect(TUNED, BOOT_S)["knobs"]


def befores(knobs):
    """The values before, of all knobs whose object is not a number of tasks."""
    return {(k["id"], k["object"]): k["before"] for k in knobs if "tasks" not in k["object"]}


@test("in a guest with 6.12 the partition and the fair server's budget apply, hold, and go back")
def _():
    for flavour, kernel in kernels().items():
        with Taut() as taut:
            guest = Guest(taut, kernel, 2)
            first = guest.tune("host")
            both = guest.tune("live")
            states = {(k["id"], k["object"]): (k["before"], k["value"], k["status"]) for k in both}
            groups = {re.match(r"/sys/fs/cgroup/taut-[0-9]+-1(?=/)", k["object"]) for k in both} - {None}
            cgroup = groups.pop()[0] if groups else "none"
            for key, wanted in {
                    ("partition-cgroup2", cgroup + "/cpuset.cpus.partition"): ("member", "isolated", "effective"),
                    ("partition-cgroup2", cgroup + "/cpuset.cpus"): ("0-1", "1", "effective"),
                    ("sched-fair-server", "/sys/kernel/debug/sched/fair_server/cpu1/runtime"): ("50000000", "0", "effective"),
                    ("sched-rt-runtime", "/proc/sys/kernel/sched_rt_runtime_us"): ("950000", "-1", "effective")}.items():
                check_equal(states.get(key), wanted, f"{flavour}: {key}")
            ends = [k["value"] for k in both if k["id"] == "endpoint-sched" and k["status"] == "effective"]
            check(ends and set(ends) == {"fifo:50"}, f"{flavour}: the endpoint is {ends}")
            guest.agent.send(VERIFY, {})
            said = guest.agent.expect(VERIFIED, BOOT_S)
            check(said["all"], f"{flavour}: does not hold: {[k for k in said['knobs'] if k['status'] not in HOLD]}")
            check_equal(guest.tune("revert"), [], f"{flavour}: knobs in force after the revert")
            check_equal(befores(guest.tune("host")), befores(first), f"{flavour}: values after the revert")
            guest.agent.close()


def image(path):
    """An initramfs with nothing but taut-starve, which measures how long a realtime task loses its CPU."""
    program = (BUILD / "tests/taut-starve").read_bytes()
    data = b""
    for number, (name, mode, content) in enumerate(((b"dev", 0o40755, b""), (b"proc", 0o40755, b""), (b"sys", 0o40755, b""),
                                                    (b"init", 0o100755, program), (b"TRAILER!!!", 0, b""))):
        fields = (number, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name) + 1, 0)
        data += b"070701" + b"".join(b"%08x" % field for field in fields) + name + b"\0"
        data += b"\0" * (-len(data) % 4) + content
        data += b"\0" * (-len(data) % 4)
    path.write_bytes(data)


def starve(kernel, *words):
    with tempfile.TemporaryDirectory() as folder:
        initrd = pathlib.Path(folder) / "initrd"
        image(initrd)
        done = subprocess.run(["qemu-system-x86_64", *EXACT, "-kernel", kernel, "-initrd", initrd, "-append",
                               "console=ttyS0 quiet nokaslr panic=-1 -- " + " ".join(words)],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=BOOT_S, check=False)
    lines = [line for line in done.stdout.splitlines() if line.startswith('{"longest_ns"')]
    check(len(lines) == 1, f"the guest does not say it: {done.stdout[-1000:]} {done.stderr[-1000:]}")
    return json.loads(lines[0])


@test("a realtime task beside a busy normal one loses its CPU for 50 ms of a second on 6.12, and not when both are lifted")
def _():
    for flavour, kernel in kernels().items():
        found, lifted = starve(kernel, "3", "0"), starve(kernel, "3", "0", "lift")
        print(f"# {flavour}: longest {found['longest_ns']} ns as found, {lifted['longest_ns']} ns lifted")
        check_between(found["longest_ns"], 45e6, 60e6, f"{flavour}: the longest as found")
        check_between(found["long"], 2, 4, f"{flavour}: times in 3 s")
        check_between(lifted["longest_ns"], 0, 5e6, f"{flavour}: the longest when lifted")
        check_equal(lifted["long"], 0, f"{flavour}: times when lifted")


main()
