#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""engine_keeper.py PID FOLDER [CGROUP ...]: ends the engine of a test, also of one that was killed.

The test starts it with one end of a stream as stdin and says "done" when it has ended the engine itself.  When the stream
ends without that, the engine (PID, the leader of its process group) gets SIGTERM, upon which Docker ends its containers;
what of its containers is then still in cgroups that were not there before (CGROUP) is killed.  These cgroups and the FOLDER of the
engine are removed."""
import glob
import os
import shutil
import signal
import sys
import time

LEFT = ("docker", "libpod_parent", "system.slice/docker")
END_S = 40


def cgroups():
    """Of any engine."""
    return {path for name in LEFT for path in glob.glob(f"/sys/fs/cgroup/{name}") + glob.glob(f"/sys/fs/cgroup/*/{name}")}


def remove(paths):
    """With the cgroups in them; one that is not empty stays."""
    for path in paths:
        for folder, _, _ in sorted(os.walk(path), reverse=True):
            try:
                os.rmdir(folder)
            except OSError:
                pass


def of_engine(pid, folder):
    """Has it mounts from the folder of this engine?  The cgroups may be shared with another one."""
    with open(f"/proc/{pid}/mountinfo", encoding="utf-8", errors="replace") as mounts:
        return os.path.basename(folder) in mounts.read()


def kill_all(paths, engine):
    """Every process of this engine in these cgroups."""
    for path in paths:
        for folder, _, _ in os.walk(path):
            try:
                with open(f"{folder}/cgroup.procs", encoding="ascii") as procs:
                    for pid in map(int, procs):
                        if of_engine(pid, engine):
                            os.kill(pid, signal.SIGKILL)
            except OSError:
                pass


def alive(pid):
    return os.path.exists(f"/proc/{pid}")


def main():
    pid, folder, before = int(sys.argv[1]), sys.argv[2], set(sys.argv[3:])
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    if sys.stdin.read():
        return
    for how in (signal.SIGTERM, signal.SIGKILL):
        end = time.monotonic() + END_S
        try:
            (os.kill if how == signal.SIGTERM else os.killpg)(pid, how)
        except ProcessLookupError:
            break
        while alive(pid) and time.monotonic() < end:
            time.sleep(0.1)
    end = time.monotonic() + END_S
    while cgroups() - before and time.monotonic() < end:
        kill_all(cgroups() - before, folder)
        remove(cgroups() - before)
        time.sleep(0.1)
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
