# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests that measure time, and what the machine does meanwhile.

A limit in milliseconds holds on a machine that has time for the test.  A test with @timed measures the machine's noise
before its body; its limits on time are checked by the functions of this module instead of those of
tap.py.  When such a limit is missed, the noise is measured again.  On a quiet machine the test has failed; on a busy
one it is skipped, and the skip says what was measured and what was missed.  A limit that is kept is judged in any case.

Noise is: how late short sleeps end, how long a spinning loop stands still, which share of a CPU it gets, and how much
CPU time others than the test and its children used while the body ran, so that a burst in its midst is seen as well.
"""
import ctypes
import functools
import os
import pathlib
import resource
import time

from tap import Failed, skip

SAMPLE_S = 0.15
LATE_MS = 5.0  # a sleep or a loop that is later than this is noise
SHARE = 0.9
OTHERS = 0.1  # CPUs


class Late(Failed):
    """A limit on time was missed."""


def check(condition, text):
    if not condition:
        raise Late(text)


def check_between(got, low, high, what):
    check(got is not None and low <= got <= high, f"{what}: got {got}, wanted {low} to {high}")


def check_equal(got, wanted, what):
    check(got == wanted, f"{what}: got {got!r}, wanted {wanted!r}")


def sleeps_ms():
    """By how much the latest of many sleeps of 1 ms came too late."""
    worst, end = 0, time.monotonic() + SAMPLE_S
    while time.monotonic() < end:
        begin = time.monotonic()
        time.sleep(0.001)
        worst = max(worst, time.monotonic() - begin - 0.001)
    return worst * 1000


def spins():
    """(longest gap in ms, share of a CPU) of a spinning loop."""
    worst, begin, used = 0, time.monotonic(), time.process_time()
    last = begin
    while last - begin < SAMPLE_S:
        now = time.monotonic()
        worst = max(worst, now - last)
        last = now
    return worst * 1000, (time.process_time() - used) / (last - begin)


def busy_s():
    """CPU time of all tasks since the machine has started, and what its host took from it."""
    user, nice, system, _, _, _, _, steal = map(int, pathlib.Path("/proc/stat").read_text().split()[1:9])
    return (user + nice + system + steal) / os.sysconf("SC_CLK_TCK")


def adopt(yes):
    """What outlives its parent becomes a child of this process, until the end of a test with @timed.  Nobody waits for
    it meanwhile, so this is not for daemons, which look whether a process that they have let go has ended."""
    set_child_subreaper = 36
    ctypes.CDLL(None).prctl(set_child_subreaper, int(yes), 0, 0, 0)


def reap():
    """Takes in what the programs of a test have left, so that its CPU time counts as that of the test."""
    for path in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            pid, _, rest = path.read_text().partition(" ")
            state, parent = rest[rest.rindex(")") + 1:].split()[:2]
            if (state, int(parent)) == ("Z", os.getpid()):
                os.waitpid(int(pid), os.WNOHANG)
        except (OSError, ValueError):
            continue


def own_s():
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


class Noise:
    """The noise from now on; sample() adds what it is at this moment."""

    def __init__(self):
        self.late_ms, self.gap_ms, self.share = 0, 0, 1
        self.begin, self.before = time.monotonic(), busy_s() - own_s()

    def sample(self):
        gap_ms, share = spins()
        self.late_ms, self.gap_ms = max(self.late_ms, sleeps_ms()), max(self.gap_ms, gap_ms)
        self.share = min(self.share, share)

    def reason(self):
        """What shows that the machine is or was busy; "" when it is quiet."""
        others = (busy_s() - own_s() - self.before) / max(time.monotonic() - self.begin, 1e-3)
        self.sample()
        said = [(self.late_ms > LATE_MS, f"a sleep of 1 ms ended up to {self.late_ms:.1f} ms late"),
                (self.gap_ms > LATE_MS, f"a loop stood still for up to {self.gap_ms:.1f} ms"),
                (self.share < SHARE, f"a loop got {100 * self.share:.0f} % of a CPU"),
                (others > OTHERS, f"others used {others:.2f} CPUs meanwhile")]
        return ", ".join(text for noisy, text in said if noisy)


def timed(function):
    @functools.wraps(function)
    def run():
        noise = Noise()
        noise.sample()
        try:
            function()
        except Late as late:
            reap()
            reason = noise.reason()
            if not reason:
                raise
            first, *rest = str(late).splitlines()
            for line in rest:
                print(f"# {line}")
            skip(f"the machine is too busy to judge: {reason}; {first}")
        finally:
            reap()
            adopt(False)
    run.timed = True
    return run
