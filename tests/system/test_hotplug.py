#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""CPUs that go offline, and foreign writes, while an emulated host is tuned: all in one boot.

What belongs to a CPU that is away is named, kept and put back when the CPU is there again; what the kernel itself moved off
that CPU is put back as well; what somebody else wrote is left and named.
"""
import functools
import re

import emulated
from tap import LONG, check, check_in, main, test

KERNELS = ("stock", "rt") if LONG else ("stock",)
CPU = "/sys/devices/system/cpu/cpu"
# A trial is measuring when a thread of its client has used CPU time: all that is tuned is tuned by then.
TUNED = r"""
measuring() {
	local f client
	for f in /proc/[0-9]*/stat; do
		{ read -r -a stat < $f; } 2>/dev/null && [ "${stat[1]}" = "(taut-client)" ] || continue
		client=${f%/stat}
		for f in $client/task/*/stat; do
			{ read -r -a stat < $f; } 2>/dev/null && [ "${stat[0]}" != ${client#/proc/} ] &&
				[ $((stat[13] + stat[14])) -gt 5 ] && return 0
		done
	done
	return 1
}
tuned() { # SECONDS OPTIONS…
	local d=$1 n=0; shift
	taut measure tcp_rr --target container --runtime netns --profile low-latency --transactions 0 --duration $d "$@" \
		> /said 2>&1 &
	pid=$!
	until measuring || [ $((n++)) = 600 ]; do sleep 0.1; done
	read -r fair < /sys/kernel/debug/sched/fair_server/cpu3/runtime
	[ "$fair" = 0 ] || { section "never tuned"; head -n 100 /said; }
}
ended() { wait $pid; echo "exit $?"; head -n 1000 /said; }
killed() { kill -9 $pid; wait $pid 2>/dev/null; }
offline() { echo 0 > /sys/devices/system/cpu/cpu$1/online; }
online() { echo 1 > /sys/devices/system/cpu/cpu$1/online; }
say() { "$@" 2>&1; echo "exit $?"; }
theirs() { echo 4 > /proc/irq/$IRQ/smp_affinity; echo 1-2 > /proc/sys/kernel/watchdog_cpumask
	echo 7 > /sys/devices/virtual/workqueue/cpumask; echo 100 > /sys/devices/system/cpu/cpu2/power/pm_qos_resume_latency_us
	echo 5 > /proc/irq/default_smp_affinity
	for f in /sys/fs/cgroup/taut-*/cpuset.cpus; do echo 1-2 > $f; done; }
ours() { echo f > /proc/irq/$IRQ/smp_affinity; echo 0-3 > /proc/sys/kernel/watchdog_cpumask
	echo f > /sys/devices/virtual/workqueue/cpumask; echo 0 > /sys/devices/system/cpu/cpu2/power/pm_qos_resume_latency_us
	echo f > /proc/irq/default_smp_affinity; }
# One whose move is carried out at once, as those of virtio are.
for f in /proc/irq/2[4-9]/smp_affinity; do { echo f > $f; } 2>/dev/null && IRQ=${f#/proc/irq/} IRQ=${IRQ%/*}; done
"""
LINES = (
    "section before; picture",
    # A trial goes on to its end; then each verb that puts back, twice while the CPU is away.
    "tuned 6s; offline 3; section measure; ended; section revert; say taut tune revert; section clean; say taut clean",
    "online 3; section back; say taut tune revert; section 'after measure'; picture",
    # Killed; the CPU of the server is away.
    "tuned 60s; killed; offline 1; section killed; say taut clean; online 1; section 'killed back'; say taut clean",
    "section 'after killed'; picture",
    # The CPU to which all interrupts went: the kernel moves them on.
    "tuned 6s --isolate 0,2-3; offline 1; section housekeeping; ended; section interrupts; cat /proc/irq/$IRQ/smp_affinity",
    "online 1; section 'housekeeping back'; say taut tune revert; section 'after housekeeping'; picture",
    "tuned 60s --isolate 0,2-3; offline 1; killed; section 'housekeeping killed'; say taut clean; online 1",
    "section 'housekeeping killed back'; say taut clean; section 'after housekeeping killed'; picture",
    # What somebody else writes.
    "tuned 6s; theirs; section irq; echo $IRQ; section foreign; ended; ours; section 'after foreign'; picture",
    "tuned 60s; theirs; killed; section 'foreign killed'; say taut clean; ours; section 'after foreign killed'; picture",
    "section dmesg; dmesg",
)


@functools.cache
def said(kernel):
    with emulated.machine() as taut:
        return emulated.run(taut, emulated.script(TUNED, *LINES), kernel, seconds=900)


def text(kernel, section):
    return "\n".join(said(kernel)[section])


def expect(kernel, section, code, *texts):
    whole = text(kernel, section)
    check(f"exit {code}" in whole.splitlines(), f"{kernel}, {section}: wanted exit {code}:\n{whole}")
    for part in texts:
        check_in(part, whole, f"{kernel}, {section}")
    return whole


def same(kernel, section):
    emulated.same(said(kernel)["before"], said(kernel)[section], f"{kernel}, {section}")


@test("a CPU that goes offline while tuned is named by measure, tune revert and clean, and put back when it is there again")
def _():
    for kernel in KERNELS:
        for section in ("measure", "revert", "clean"):
            expect(kernel, section, 6, "CPU 3 is offline", f"{CPU}3/power/pm_qos_resume_latency_us")
        for section in ("revert", "clean"):
            expect(kernel, section, 6, "gone for now: /sys/kernel/debug/sched/fair_server/cpu3/runtime")
        expect(kernel, "back", 0, "put back /sys/kernel/debug/sched/fair_server/cpu3/runtime",
               f"put back {CPU}3/power/pm_qos_resume_latency_us")
        same(kernel, "after measure")
        expect(kernel, "killed", 6, f"gone for now: {CPU}1/power/pm_qos_resume_latency_us", "put back /proc/irq")
        expect(kernel, "killed back", 0, "put back /sys/kernel/debug/sched/fair_server/cpu1/runtime")
        same(kernel, "after killed")


@test("interrupts that the kernel moved off a housekeeping CPU are put back, and nobody else is said to have done it")
def _():
    for kernel in KERNELS:
        check(text(kernel, "interrupts") == "f", f"{kernel}: the interrupt is on {text(kernel, 'interrupts')}")
        for section in ("housekeeping", "housekeeping back", "housekeeping killed", "housekeeping killed back"):
            check("somebody else" not in text(kernel, section), f"{kernel}, {section}: {text(kernel, section)}")
        same(kernel, "after housekeeping")
        same(kernel, "after housekeeping killed")


@test("what somebody else writes while tuned is left and named, by the taut that tuned and by a later one")
def _():
    for kernel in KERNELS:
        irq = text(kernel, "irq")
        objects = {f"/proc/irq/{irq}/smp_affinity": "4", "/proc/sys/kernel/watchdog_cpumask": "1-2",
                   "/proc/irq/default_smp_affinity": "5", "/sys/devices/virtual/workqueue/cpumask": "7",
                   f"{CPU}2/power/pm_qos_resume_latency_us": "100"}
        for section, code in (("foreign", None), ("foreign killed", 0)):
            whole = text(kernel, section)
            for path, value in objects.items():
                check(re.search(f"left {path} as it is: '{value}' was set by somebody else", whole),
                      f"{kernel}, {section}: {path} is not named:\n{whole}")
            check(code is None or f"exit {code}" in whole, f"{kernel}, {section}: {whole}")
        check(re.search(r"left /sys/fs/cgroup/taut-\S*/cpuset.cpus as it is: '1-2'", text(kernel, "foreign killed")),
              f"{kernel}: the cgroup is not named:\n{text(kernel, 'foreign killed')}")
        same(kernel, "after foreign")
        same(kernel, "after foreign killed")


@test("the kernel comes to no harm")
def _():
    for kernel in KERNELS:
        bad = [line for line in said(kernel)["dmesg"]
               if "ommand line" not in line and re.search(r"Oops|BUG:|divide error|panic|general protection|soft lockup|rcu.*stall", line)]
        check(not bad, f"{kernel}: {bad}")


main()
