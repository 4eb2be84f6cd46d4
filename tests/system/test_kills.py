#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""kill -9 at random moments, of taut, its agents, QEMU, and of `tune revert` and `clean` themselves: before = after.

Most kills happen in one emulated host with cgroup v2, in which nothing else is at work; the others on this machine.  --long
makes a hundred of both.  Moments come from a seeded generator: TAUT_SEED repeats a run, TAUT_KILLS="LAB,NATIVE" sets how
many of each.
"""
import os
import random
import signal
import time

import emulated
import machines
import picture
from machines import GUEST, QUICK, Machines, kernels, same_machine
from tap import LONG, check, comm_of, main, need_root, skip, test

SEED = int(os.environ.get("TAUT_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 30)
LAB, NATIVE = map(int, os.environ.get("TAUT_KILLS", "80,20" if LONG else "5,1").split(","))
PROFILES = ("low-latency", "low-latency", "stock")
ROUND = r"""
start() { taut measure tcp_rr --target container --runtime $2 --profile $1 --duration 600ms > /said 2>&1 & pid=$!; }
now() { local t=${EPOCHREALTIME/./}; echo $((t / 1000)); }
part() { local ms=$(($1 * $2 / 1000)); sleep $((ms / 1000)).$(printf %03d $((ms % 1000))); }
found() { local f name; for f in /proc/[0-9]*; do { read -r name < $f/comm; } 2>/dev/null
	[ "$name" = $1 ] && echo ${f#/proc/} && return; done; }
tuned() { local n=0; until compgen -G "$STATE/journal-*" > /none || [ $((n++)) = 100 ]; do sleep 0.05; done; sleep 0.3; }
kill9() { kill -9 $1; wait $1; } 2>/dev/null
as_before() { local n=0; until [ "$before" = "$(picture)" ]; do [ $((n++)) = 30 ] && return 1; sleep 0.1; done; }
interrupted() { # VERB…: is killed, and done again
	taut "$@" > /killed 2>&1 & verb=$!; part $usual_undo $thousandth; kill9 $verb; }
round() { # NUMBER VICTIM THOUSANDTHS PROFILE RUNTIME
	local victim=$2 thousandth=$3
	before=$(picture)
	start $4 $5
	case $victim in
	taut) part ${usual[$5]} $thousandth; kill9 $pid;;
	taut-client|taut-server) part ${usual[$5]} $thousandth; agent=$(found $victim); [ "$agent" ] && kill -9 $agent; wait $pid
		as_before || { echo "round $*: differs before clean"; section "differs $1"; echo "$before"; section "from $1"; picture
			section rounds; };;
	revert) tuned; kill9 $pid; interrupted tune revert;;
	clean) tuned; kill9 $pid; interrupted clean;;
	esac
	taut clean > /cleaned 2>&1; code=$?
	as_before && [ $code = 0 ] && { grep -q "nothing to clean" /cleaned && left= || left=", after something had been left"
		echo "round $*: as before$left"; return; }
	echo "round $*: differs, clean gave $code: $(</cleaned)"
	section "differs $1"; echo "$before"; section "from $1"; picture; section rounds
}
STATE=/var/lib/taut
{ [ -x /usr/bin/runc ] || [ -x /usr/bin/crun ]; } && RUNTIME=oci || RUNTIME=netns
declare -A usual
section usual
for r in $RUNTIME $RUNTIME netns; do # the first trial tries what the machine can do, which takes longer
	begin=$(now); start low-latency $r; wait $pid; code=$?; usual[$r]=$(($(now) - begin))
	echo "a trial with $r takes ${usual[$r]} ms, exit $code"
done
start low-latency $RUNTIME; tuned; kill9 $pid; begin=$(now); taut clean > /cleaned 2>&1; usual_undo=$(($(now) - begin))
section rounds
"""


def draws(n, victims, what):
    """(victim, thousandths of the usual time, profile), a victim after the other."""
    draw = random.Random(f"{SEED} {what}")
    print(f"# TAUT_SEED={SEED} TAUT_KILLS={LAB},{NATIVE}")
    for i in range(n):
        victim = victims[i % len(victims)]
        yield victim, draw.randrange(0, 1000), "low-latency" if victim in ("revert", "clean") else draw.choice(PROFILES)


@test(f"{LAB} times kill -9 in an emulated host with cgroup v2: before = after")
def _():
    lines = [f"round {i} {victim} {moment} {profile} {'netns' if i % 3 else '$RUNTIME'}" for i, (victim, moment, profile)
             in enumerate(draws(LAB, ("taut", "revert", "clean", "taut-server", "taut-client"), "lab"))]
    with emulated.machine() as taut:
        said = emulated.run(taut, emulated.script(ROUND, *lines), seconds=200 + 60 * LAB)
    told = [line for name, part in said.items() if name.startswith("rounds") for line in part if line.startswith("round ")]
    print("\n".join(f"# {line}" for line in [*said["usual"], *told]))
    for number in (name.split()[1] for name in said if name.startswith("differs")):
        emulated.same(said[f"differs {number}"], said[f"from {number}"], "\n".join(told))
    check(all(line.endswith("exit 0") for line in said["usual"]), f"a trial without a kill fails: {said['usual']}")
    good = [line for line in told if ": as before" in line]
    owed = [line for line in told if " revert " in line and line.endswith("left")]
    check(owed, "after no revert that was killed was anything left:\n" + "\n".join(told))
    check(len(good) == LAB, f"{len(good)} of {LAB} rounds: {said.get('usual')}\n" + "\n".join(told))


TRIAL = ("measure", "tcp_rr", "--target", "container", "--duration", "600ms")
MACHINE = ("measure", "tcp_rr", *QUICK, *GUEST)


def others_at_work():
    """The skip of who is told so all the time, if it is true."""
    others = [pid for pid in filter(str.isdigit, os.listdir("/proc")) if comm_of(pid) == "taut"]
    check(others, "taut says that another is at work on this machine, and none is")
    skip("another taut is at work on this machine all the time")


def free(taut, *arguments, **options):
    """Waits while another taut is at work on this machine."""
    for _ in range(300):
        result = taut.run(*arguments, seconds=200, **options)
        if "is at work on this machine" not in result.err:
            return result
        time.sleep(1)
    others_at_work()


def begun(taut, arguments):
    """A trial that has got the machine for itself, after a picture of how it is before."""
    for _ in range(300):
        before = picture.take()
        running = taut.start(*arguments)
        time.sleep(0.05)
        if running.process.poll() is None or "is at work" not in running.text(1):
            return before, running
        time.sleep(1)
    others_at_work()


def kill(pid):
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def kill_part(taut, running, victim, moment):
    """Not before this moment; a victim that is not there by the end of the trial is not killed."""
    time.sleep(moment)
    if victim == "taut":
        kill(running.pid)
    elif victim in ("revert", "clean"):
        kill(running.pid)
        running.process.wait()
        undoing = taut.start(*(("tune", "revert") if victim == "revert" else ("clean",)))
        time.sleep(moment / 4)
        kill(undoing.pid)
        undoing.process.wait()
    else:
        while running.process.poll() is None:
            pid = machines.below(running, victim)
            if pid and comm_of(pid) == victim:
                kill(pid)
                break
            time.sleep(0.005)
    running.process.wait(200)


@test(f"{NATIVE} times kill -9 on this machine: before = after")
def _():
    need_root()
    victims = ("taut", "revert", "clean", "taut-server", "taut-client", machines.QEMU[:15])
    with Machines() as taut:
        usual = free(taut, *TRIAL).wants(0).seconds
        for victim, thousandth, profile in draws(NATIVE, victims, "native"):
            virtual = victim == machines.QEMU[:15]
            if virtual:
                kernels()
            moment = usual * thousandth / 1000
            before, running = begun(taut, (*(MACHINE if virtual else TRIAL), "--profile", profile, "--yes"))
            kill_part(taut, running, victim, moment)
            what = f"{victim} killed after {moment:.3f} s, {profile}"
            cleaned = free(taut, "clean").wants(0)
            same_machine(before, f"{what}: {cleaned.out.strip()}")
            print(f"# {what}: as before")


main()
