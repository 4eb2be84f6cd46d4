# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a target can be made is found out by trying.  A try that is cut off says nothing, and leaves nothing."""
import os
import signal
import time

import noise
import picture
from noise import timed
from runs import tiny
from tap import Taut, check, check_equal, main, need_root, test

CONTAINER = ("--target", "container", "--runtime", "oci")

# It puts a process into the container's cgroup that nothing ends, and then says nothing.
SILENT = """#!/usr/bin/env python3
import json, os, signal, sys, time
if "run" not in sys.argv:
    sys.exit(0)
bundle = sys.argv[sys.argv.index("--bundle") + 1]
group = json.load(open(bundle + "/config.json"))["linux"].get("cgroupsPath", "")
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if os.fork() == 0:
    os.setsid()
    for line in open("/proc/self/mountinfo"):
        fields = line.split()
        if fields[fields.index("-") + 1] in ("cgroup", "cgroup2") and group:
            try:
                os.makedirs(fields[4] + group, exist_ok=True)
                open(fields[4] + group + "/cgroup.procs", "w").write(str(os.getpid()))
            except OSError:
                pass
    for fd in range(3):
        os.close(fd)
time.sleep(60)
"""


def silent_runtime(taut):
    folder = taut.folder / "bin"
    folder.mkdir()
    for name in ("runc", "crun"):
        (folder / name).write_text(SILENT)
        (folder / name).chmod(0o755)
    return {"PATH": f"{folder}:{os.environ['PATH']}"}


@test("Ctrl-C at any moment of the probe is an interrupt: exit 130, and nothing is called impossible")
def _():
    before = picture.take()
    for ms in (5, 10, 20, 30, 50, 80, 120, 200):
        for verb in (("measure", "tcp_rr", *CONTAINER, "--duration", "5s"), ("run", "FILE", "--set", "target=container", "--set", "runtime=oci")):
            with Taut() as taut:
                arguments = [tiny(taut, 5) if a == "FILE" else a for a in verb]
                running = taut.start(*arguments)
                # Not before it hears: until then a signal ends it, and nothing has been done.
                while running.process.poll() is None and not hears(running.pid):
                    time.sleep(0.001)
                time.sleep(ms / 1000)
                os.kill(running.pid, signal.SIGINT)
                result = running.wait(20)
                check_equal(result.code, 130, f"exit code after {ms} ms\n{result}\n")
                check("cannot" not in result.err and "skipped" not in result.out, f"after {ms} ms\n{result}")
    check_equal(picture.settled(before), [], "differences of the machine")


def hears(pid):
    try:
        with open(f"/proc/{pid}/status", encoding="ascii") as status:
            caught = next(int(line.split()[1], 16) for line in status if line.startswith("SigCgt"))
    except (OSError, StopIteration):
        return False
    return bool(caught >> (signal.SIGINT - 1) & 1)


@test("a runtime that says nothing is given up like a trial, is not called incapable, and leaves nothing: exit 1")
@timed
def _():
    need_root()
    before = picture.take()
    with Taut() as taut:
        result = taut.run("measure", "tcp_rr", *CONTAINER, environment=silent_runtime(taut), seconds=45).wants(
            1, "cannot measure this now")
        check("cannot run here" not in result.err, f"called incapable\n{result}")
        noise.check(9 < result.seconds < 30, f"it took {result.seconds:.1f} s")
    check_equal(picture.settled(before), [], "differences of the machine")


main()
