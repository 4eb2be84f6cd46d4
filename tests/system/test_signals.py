# SPDX-License-Identifier: GPL-3.0-or-later
"""Signals: none leaves the machine tuned, whoever started taut and whatever was ignored or blocked then.

What is tuned here is a file that the commands of the profile `command` make and remove."""
import os
import pathlib
import resource
import signal
import struct
import time

import agent
import noise
import picture
from faults import faulty
from noise import timed
from tap import Taut, check, check_equal, endpoint, main, test, wait_until

ENDING = ["HUP", "INT", "QUIT", "TERM", "XCPU", "ALRM", "USR1", "USR2", "VTALRM", "PROF", "IO", "PWR"]
CRASHES = ["ABRT", "SEGV", "BUS", "FPE", "ILL", "SYS"]


def number(name):
    return getattr(signal, "SIG" + name)


def tuned(taut, seconds=20, apply="true", **options):
    """A measurement that is under way on a machine where FOLDER/on is what has been tuned."""
    mark = taut.folder / "on"
    running = taut.start("measure", "tcp_rr", "--profile", "command", "--apply", f"{apply}; touch {mark}",
                         "--revert", f"rm {mark}", "--transactions", "0", "--duration", f"{seconds}s", "--yes", **options)
    endpoint(running, "taut-client")
    wait_until(mark.exists, 10, "tuning")
    return running, mark


def put_back(taut, mark, what):
    check(not mark.exists(), f"{what}: it is still tuned")
    check_equal(list((taut.folder / "state").glob("journal-*.json")), [], f"{what}: journals")


@test("every signal that ends a process stops the trial and puts the machine back: exit 130")
def _():
    before = picture.take()
    for name in ENDING:
        with Taut() as taut:
            running, mark = tuned(taut)
            os.kill(running.pid, number(name))
            running.wait(15).wants(130)
            put_back(taut, mark, name)
    check_equal(picture.settled(before), [], "differences of the machine")


@test("a crash puts the machine back, says so, and leaves nothing: exit 1")
def _():
    before = picture.take()
    for name in CRASHES:
        with Taut() as taut:
            running, mark = tuned(taut)
            os.kill(running.pid, number(name))
            running.wait(30).wants(1, "crash", f"{int(number(name))}", "put back")
            put_back(taut, mark, name)
    check_equal(picture.settled(before), [], "differences of the machine")


@test("without memory the machine is put back")
def _():
    before = picture.take()
    with Taut() as taut:
        running, mark = tuned(taut, 2)
        pages = int(pathlib.Path(f"/proc/{running.pid}/statm").read_text().split()[0])  # all that it has, and no more
        resource.prlimit(running.pid, resource.RLIMIT_AS, (pages * resource.getpagesize(), resource.RLIM_INFINITY))
        result = running.wait(30)
        check(result.code in (0, 1), f"it was neither a crash nor a trial that got by\n{result}")
        put_back(taut, mark, "memory")
    check_equal(picture.settled(before), [], "differences of the machine")


@test("a file that may not grow is an error of its write: exit 1, the machine is put back")
def _():
    with Taut() as taut:
        running, mark = tuned(taut, 1, preexec_fn=lambda: signal.signal(signal.SIGXFSZ, signal.SIG_DFL),
                              restore_signals=False)
        resource.prlimit(running.pid, resource.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY))
        result = running.wait(30)
        result.wants(1)  # what it has to say cannot be written either
        put_back(taut, mark, "file size")


@test("HUP and INT that were ignored, as by nohup and in the background, stay so")
def _():
    def ignore():
        for name in ("HUP", "INT", "QUIT"):
            signal.signal(number(name), signal.SIG_IGN)
    with Taut() as taut:
        running, mark = tuned(taut, 3, preexec_fn=ignore)
        for name in ("HUP", "INT", "QUIT"):
            os.kill(running.pid, number(name))
            os.kill(endpoint(running, "taut-client"), number(name))
        time.sleep(0.3)
        check(running.process.poll() is None and mark.exists(), "it has ended")
        running.wait(20).wants(0)
        put_back(taut, mark, "HUP")


@test("with SIGCHLD ignored children are still waited for")
def _():
    with Taut() as taut:
        result = taut.run("measure", "tcp_rr", "--transactions", "300",
                          preexec_fn=lambda: signal.signal(signal.SIGCHLD, signal.SIG_IGN)).wants(0)
        check("does not die" not in result.err and "No child" not in result.err, f"children\n{result}")


@test("signals that were blocked are heard, and what taut starts has none blocked or ignored")
def _():
    def block():
        signal.pthread_sigmask(signal.SIG_BLOCK, [number(n) for n in ("INT", "TERM", "CHLD", "HUP")])
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    with Taut() as taut:
        seen = taut.folder / "seen"
        running, mark = tuned(taut, 20, apply=f"grep Sig /proc/self/status > {seen}", preexec_fn=block)
        os.kill(running.pid, signal.SIGINT)
        running.wait(15).wants(130)
        put_back(taut, mark, "INT")
        masks = dict(line.split() for line in seen.read_text().splitlines())
        check_equal((int(masks["SigBlk:"], 16), int(masks["SigIgn:"], 16)), (0, 0), "blocked and ignored in a child")


@test("Ctrl-C in the middle of a frame is heard at once")
@timed
def _():
    with Taut() as taut:
        # The header of a frame, and then nothing more of it.
        start = struct.pack("<IB", 1000, agent.HELLO) + b"{"
        running = taut.start("measure", "tcp_rr", environment=faulty(taut, "taut-client", do="bytes", hex=start.hex()))
        time.sleep(1.5)
        begin = time.monotonic()
        os.kill(running.pid, signal.SIGINT)
        result = running.wait(15).wants(130)
        noise.check(time.monotonic() - begin < 3, f"heard after {time.monotonic() - begin:.1f} s\n{result}")


@test("closed standard descriptors: what is said lands in no other file")
def _():
    with Taut() as taut:
        lock = pathlib.Path("/run/taut.lock") if os.geteuid() == 0 else taut.folder / "state" / "lock"
        for closed in ((0, 1, 2), (1,), (2,)):
            def close(fds=closed):
                for fd in fds:
                    os.close(fd)
            running = taut.start("measure", "tcp_rr", "--transactions", "300", "-v", preexec_fn=close)
            check_equal(running.wait(30).code, 0, f"exit code without {closed}")
            text = lock.read_text()
            check(text.strip().isdigit(), f"the lock holds {text!r}")


main()
