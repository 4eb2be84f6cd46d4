# SPDX-License-Identifier: GPL-3.0-or-later
"""Owners of extremes, as the program computes them: an end loses its CPU in a known way, several times in a real
trial, and the transactions that met it must get the right owner, or none where no counter can tell.

The machine may be busy with other things, so of each trial the majority counts.  The trials are closed loops: each
event hits one transaction.
"""
import contextlib
import os
import pathlib
import signal
import subprocess
import sys
import time

from tap import Taut, check, endpoint, main, need_program, need_root, skip, test

MS = 1_000_000
EVENTS = 6
PAUSE_S = 0.2
TRIAL = ("--duration", "3s", "--warmup", "100ms", "--transactions", "0", "--json")
HOG = """
import os, sys, time
os.sched_setaffinity(0, {int(sys.argv[1])})
os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(40))
for _ in range(int(sys.argv[2])):
    time.sleep(float(sys.argv[3]))
    end = time.monotonic() + float(sys.argv[4])
    while time.monotonic() < end:
        pass
"""


def owners(document, least_ns, most_ns=10_000 * MS):
    """The owners of the transactions that took so long."""
    return [w["during"]["owner"] for w in document["worst"] if least_ns <= w["service_ns"] <= most_ns]


def check_majority(found, wanted, document):
    hits = sum(owner in wanted for owner in found)
    check(found and 2 * hits > len(found),
          f"{hits} of {len(found)} are {' or '.join(wanted)}: {found}\n"
          f"{[(w['service_ns'], w['during']) for w in document['worst'][:8]]}")


def stop_often(pid):
    for _ in range(EVENTS):
        time.sleep(PAUSE_S)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
            time.sleep(0.08)
            os.kill(pid, signal.SIGCONT)


@test("an end that is stopped by a signal has no owner that a counter shows")
def _():
    need_root()
    for name in ("taut-server", "taut-client"):
        with Taut() as taut:
            running = taut.start("measure", "tcp_rr", "--sched", "fifo:10", *TRIAL)
            stop_often(endpoint(running, name))
            document = running.wait().wants(0).json
        found = owners(document, 75 * MS, 150 * MS)
        check(len(found) >= EVENTS // 2, f"{len(found)} transactions of 75 to 150 ms\n{document['worst'][:8]}")
        check_majority(found, ("unknown",), document)


@test("a realtime task on the CPU of an end makes it wait in the run queue")
def _():
    need_root()
    cpu = max(os.sched_getaffinity(0))
    with Taut() as taut:
        running = taut.start("measure", "tcp_rr", "--server-cpu", str(cpu), *TRIAL)
        endpoint(running, "taut-server")
        subprocess.run([sys.executable, "-c", HOG, str(cpu), str(EVENTS), str(PAUSE_S), "0.08"], check=True, timeout=30)
        document = running.wait().wants(0).json
    found = owners(document, 60 * MS)
    check(len(found) >= EVENTS // 2, f"{len(found)} transactions of 60 ms and more\n{document['worst'][:8]}")
    check_majority(found, ("run-queue wait",), document)


def quota_of(pid):
    """The file that limits the CPU time of the process's own cgroup, and what to write for 2 ms in 100 ms."""
    for line in pathlib.Path(f"/proc/{pid}/cgroup").read_text(encoding="ascii").splitlines():
        _, controllers, path = line.split(":", 2)
        if "taut-" not in path:
            continue
        for mount, file, text in (("/sys/fs/cgroup/cpu", "cpu.cfs_quota_us", "2000"),
                                  ("/sys/fs/cgroup/cpu,cpuacct", "cpu.cfs_quota_us", "2000"),
                                  ("/sys/fs/cgroup", "cpu.max", "2000 100000")):
            found = pathlib.Path(mount + path, file)
            if found.exists() and (file == "cpu.max" or "cpu" in controllers.split(",")):
                return found, text
    return None


def cpu_groups():
    """Has this machine cgroups that limit CPU time?"""
    unified = pathlib.Path("/sys/fs/cgroup/cgroup.controllers")
    return (unified.exists() and "cpu" in unified.read_text(encoding="ascii").split()) or \
        any(map(os.path.isdir, ("/sys/fs/cgroup/cpu", "/sys/fs/cgroup/cpu,cpuacct")))


@test("a quota of CPU time that is used up is the owner")
def _():
    need_root()
    need_program("runc")
    with Taut() as taut:
        running = taut.start("measure", "tcp_rr", "--target", "container", "--runtime", "oci", *TRIAL)
        quota = quota_of(endpoint(running, "taut-server"))
        if not quota:
            running.process.send_signal(signal.SIGINT)
            running.wait()
            check(not cpu_groups(), "the container has no cgroup of the cpu controller")
            skip("this machine has no cpu controller")
        quota[0].write_text(quota[1], encoding="ascii")
        document = running.wait().wants(0).json
    found = owners(document, 40 * MS)
    check(len(found) >= EVENTS // 2, f"{len(found)} transactions of 40 ms and more\n{document['worst'][:8]}")
    check_majority(found, ("cpu quota",), document)


main()
