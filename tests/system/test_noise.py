# SPDX-License-Identifier: GPL-3.0-or-later
"""The tests themselves: limits on time beside a busy machine."""
import contextlib
import os
import subprocess
import sys

import noise
from tap import Failed, Skipped, check, check_equal, check_in, main, test, wait_until


@contextlib.contextmanager
def replaced(module, **functions):
    was = {name: getattr(module, name) for name in functions}
    vars(module).update(functions)
    try:
        yield
    finally:
        vars(module).update(was)


@contextlib.contextmanager
def machine(late_ms=0.1, gap_ms=0.1, share=1.0, others_s=0.0, after=None):
    """A machine of this noise, and `after` the test's body perhaps of another."""
    now = {"late_ms": late_ms, "gap_ms": gap_ms, "share": share, "others_s": 0.0}
    later = {**now, "others_s": others_s, **(after or {})}
    with replaced(noise, sleeps_ms=lambda: now["late_ms"], spins=lambda: (now["gap_ms"], now["share"]),
                  busy_s=lambda: now["others_s"], own_s=lambda: 0.0):
        yield lambda: now.update(later)


def outcome(missed, turn=lambda: None):
    """How a test with this missed limit ends, and what it says."""
    @noise.timed
    def body():
        turn()
        missed()
    try:
        body()
    except (Failed, Skipped) as end:
        return type(end), str(end)
    return None, ""


def late():
    noise.check_between(30, 0, 20, "p99, ms")


def wrong():
    check_equal(2, 1, "losses")


@test("a limit on time that is missed is a failure on a quiet machine and not judged on a busy one, with the reason")
def _():
    with machine() as turn:
        check_equal(outcome(late, turn)[0], noise.Late, "a quiet machine")
        check_equal(outcome(lambda: noise.check_between(20, 0, 20, "p99, ms"), turn)[0], None, "a limit that is kept")
    rows = [({"late_ms": 9}, "a sleep of 1 ms ended up to 9.0 ms late"),
            ({"gap_ms": 12}, "a loop stood still for up to 12.0 ms"), ({"share": 0.5}, "a loop got 50 % of a CPU"),
            ({"others_s": 100}, "CPUs meanwhile"), ({"after": {"gap_ms": 8}}, "a loop stood still for up to 8.0 ms")]
    for row, text in rows:
        with machine(**row) as turn:
            kind, said = outcome(late, turn)
            check_equal(kind, Skipped, f"{row}: {said}")
            check_in(text, said, "the reason")
            check_in("p99, ms: got 30, wanted 0 to 20", said, "what was missed")
            check_equal(outcome(wrong)[0], Failed, f"{row}: what is no limit on time")


@test("spinning processes on every CPU are seen as noise, and TAUT_MUST does not make such a skip a failure")
def _():
    spinners = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(3 * os.cpu_count())]
    must, os.environ["TAUT_MUST"] = os.environ.get("TAUT_MUST"), "netns,oci,qemu,kernels,own,root"
    try:
        kind, said = outcome(late, lambda: noise.spins() and None)
    finally:
        del os.environ["TAUT_MUST"]
        if must is not None:
            os.environ["TAUT_MUST"] = must
        for spinner in spinners:
            spinner.kill()
            spinner.wait()
    check_equal(kind, Skipped, said)
    check_in("the machine is too busy to judge", said, "the reason")


@test("what a program of the test has left running when it was killed counts as the test's own")
def _():
    spin = "import os, time\nend = time.process_time() + 0.5\nwhile time.process_time() < end: pass"
    parent = f"import subprocess, sys\nsubprocess.Popen([sys.executable, '-c', {spin!r}])"
    noise.adopt(True)
    before = noise.own_s()
    subprocess.run([sys.executable, "-c", parent], check=True)  # it does not wait
    wait_until(lambda: noise.reap() or noise.own_s() - before > 0.5, 20, "the time of the grandchild")
    noise.adopt(False)


main()
