#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Machines on which something is read-only, hidden, shared or short: taut measures there, or says the first cause, and in
either case leaves nothing and touches nobody else.

Each world is made by unshare(1) around taut, with a /run of its own, so that what stays there can be seen and belongs to
nobody else.
"""
import contextlib
import os
import pathlib
import re
import shutil
import subprocess
import time

import picture
from nobody import UsersTaut
from tap import TAUT, Taut, check, check_equal, check_in, endpoint, main, need_root, skip, test

SHORT = ("measure", "tcp_rr", "--transactions", "300")
CONTAINER = ("--target", "container")
NETNS = (*CONTAINER, "--runtime", "netns")
TUNED = ("--profile", "low-latency", "--yes")
TOO_FEW = "Resource temporarily unavailable"
CGROUPS = pathlib.Path("/sys/fs/cgroup")


def world(make="", program=(TAUT,), options=(), become=()):
    """The command of a taut in a world of its own, which `make`, a line of shell, makes."""
    script = (f"mount -t tmpfs -o mode=755 none /run || exit 99; {make}\n"
              'test $? = 0 || { echo "this world cannot be made" >&2; exit 99; }\n'
              '"$@"; code=$?; ls -A /run/taut 2>/dev/null | sed "s/^/left in run: /" >&2; exit $code')
    return ["unshare", "--mount", *options, "sh", "-c", script, "sh", *map(str, become), *map(str, program)]


def measured(result):
    """It worked, and left nothing in /run/taut."""
    if result.code == 99:
        skip("this world cannot be made here: " + result.err.strip()[-200:])
    document = result.wants(0).json
    check(document["transactions"] >= 300, f"{document['transactions']} transactions\n{result}")
    check("left in run" not in result.err, f"a folder stays\n{result}")
    return document


def knobs_of(document, name):
    return [knob for knob in document["effective_knobs"] if knob["id"] == name]


@contextlib.contextmanager
def untouched():
    """All that taut may change on a machine is as before; its own folders in /tmp are part of it."""
    def folders():
        return sorted(path.name for path in pathlib.Path("/tmp").glob("taut-[0-9]*"))
    before, owned = picture.take(), folders()
    yield
    found = picture.settled(before)
    check(not found, "the machine differs:\n" + "\n".join(found[:20]))
    check_equal([name for name in folders() if name not in owned], [], "folders in /tmp")


@contextlib.contextmanager
def users(*numbers):
    """Tauts of several users; what a world has kept for the next boot is removed with them."""
    with contextlib.ExitStack() as stack:
        made = [stack.enter_context(UsersTaut(number)) for number in numbers]
        yield made
        for path in pathlib.Path("/tmp").glob("taut-[0-9]*"):
            if path.lstat().st_uid in numbers:
                shutil.rmtree(path)


def need_user_namespaces(taut):
    if subprocess.run([*taut.become, "unshare", "--user", "--net", "true"], stderr=subprocess.DEVNULL).returncode:
        skip("this kernel forbids user namespaces without root", "userns")


@contextlib.contextmanager
def cgroup(controller, **files):
    """The folder of a cgroup of that controller, with these values in its files."""
    need_root()
    top = CGROUPS / controller if (CGROUPS / controller).is_dir() else CGROUPS
    path = top / f"test-world-{os.getpid()}"
    try:
        path.mkdir()
    except OSError as why:
        skip(f"no cgroup can be made here: {why}")
    try:
        for name, value in files.items():
            file = path / f"{controller}.{name}"
            if not file.exists():
                skip(f"there is no {file.name} here")
            file.write_text(value)
        yield path
    finally:
        path.rmdir()


# --- read-only -----------------------------------------------------------------------------------

@test("where /sys/fs/cgroup is read-only everything is measured, without cgroups")
def _():
    need_root()
    make = "mount --rbind /sys/fs/cgroup /sys/fs/cgroup && mount -o remount,bind,ro /sys/fs/cgroup && " \
        "awk '$2 ~ \"^/sys/fs/cgroup/\" {print $2}' /proc/self/mounts | " \
        "while read -r m; do mount -o remount,bind,ro $m || exit 1; done"
    with untouched(), Taut() as taut:
        for target in ((), NETNS, CONTAINER):
            result = taut.run(*SHORT, *target, "--json", command=world(make))
            if target is CONTAINER and result.code == 1:  # no runtime goes on without them on every machine
                result.wants(1, "runc cannot run here", "read-only file system")
                check("left in run" not in result.err, f"a folder stays\n{result}")
            else:
                measured(result)


@test("where /proc/sys is read-only both families are measured, and it is said once")
def _():
    need_root()
    make = "mount --bind -o ro /proc/sys /proc/sys && mount -o remount,bind,ro /proc/sys"
    with untouched(), Taut() as taut:
        for options in ((), ("--ipv6",), (*NETNS, "--attachment", "bridge"), (*CONTAINER, *TUNED)):
            result = taut.run(*SHORT, *options, "--json", command=world(make))
            if options[-1:] == ("--yes",) and result.code == 5:
                continue
            measured(result)
            check_equal(result.err.count("accept_dad"), 1, f"{options}: notes\n{result}")


# --- others --------------------------------------------------------------------------------------

OWN_PIDS = ("--pid", "--fork", "--kill-child", "--mount-proc")


@test("a living taut in another PID namespace is neither left over nor cleaned away")
def _():
    need_root()
    with untouched(), Taut() as taut, Taut() as other:
        # Under a PID that nobody has outside.
        make = "echo 3999000 > /proc/sys/kernel/ns_last_pid"
        running = other.start("measure", "tcp_rr", *CONTAINER, "--duration", "4s", "--json", command=world(make, options=OWN_PIDS))
        endpoint(running, "taut-server")
        said = taut.run("measure", "tcp_rr", "--dry-run", command=world())
        check("taut-39990" not in said.err, f"it is called left over\n{said}")
        for verb in (("clean",), ("lab", "clean")):
            cleaned = taut.run(*verb, command=world()).wants(0)
            check("taut-39990" not in cleaned.out, f"it was cleaned away\n{cleaned}")
        measured(running.wait())


@test("who does not see a process takes it for alive: hidepid, root's trial and the user's own")
def _():
    with untouched(), users(65534) as (taut,), Taut() as roots:
        need_user_namespaces(taut)
        hidden = world("mount -t proc -o hidepid=2 proc /proc", become=taut.become, program=[taut.program])
        trial = roots.start("measure", "tcp_rr", *NETNS, "--duration", "3s", "--json", command=world())
        own = taut.start("measure", "tcp_rr", "--duration", "3s", "--json")
        time.sleep(1)
        said = taut.run("measure", "tcp_rr", "--dry-run", command=hidden)
        check("left over" not in said.err, f"who lives is left over\n{said}")
        # With another state folder, or the lock of the trial would be in the way.
        cleaned = taut.run("clean", command=hidden, environment={"TAUT_STATE": str(taut.folder / "other")}).wants(0)
        check("removed" not in cleaned.out, f"who lives was cleaned away\n{cleaned}")
        measured(own.wait())
        measured(trial.wait())


@test("a process in a PID namespace of its own keeps taut from tuning, and is named")
def _():
    need_root()
    with untouched(), Taut() as taut:
        make = "unshare --pid --fork --mount-proc sleep 60 & sleep 0.5"
        result = taut.run(*SHORT, "--profile", "low-latency", command=world(make, options=OWN_PIDS))
        result.wants(5, "(sleep) belongs to a container by its namespaces")


# --- CPUs ----------------------------------------------------------------------------------------

def check_allotment(taut, command, ours, other):
    refused = taut.run(*SHORT, "--client-cpu", other, command=command)
    refused.wants(2, f"cannot pin the client to CPU {other}", f"taut may use {ours}")
    measured(taut.run(*SHORT, "--client-cpu", ours, "--json", command=command))
    document = taut.run(*SHORT, "--profile", "low-latency", "--dry-run", "--json", command=command).wants(0).json
    (tuning,) = document["tuning"]
    reasons = {knob["id"]: knob["reason"] for knob in tuning["knobs"]}
    for name in ("partition-cgroup1", "partition-affinity"):
        check_in("taut may use only one CPU", reasons[name] or "", name)


def last_cpu():
    cpu = max(os.sched_getaffinity(0))
    return str(cpu), str(0 if cpu else 1)


@test("who was started on one CPU stays there: another one is refused, and nothing is isolated")
def _():
    need_root()
    if len(os.sched_getaffinity(0)) < 2:
        skip("there is only one CPU")
    ours, other = last_cpu()
    with untouched(), Taut() as taut:
        check_allotment(taut, world(program=["taskset", "-c", ours, TAUT]), ours, other)


@test("who was started in a cpuset stays there, with both ends")
def _():
    ours, other = last_cpu()
    mems = {} if not (CGROUPS / "cpuset").is_dir() else {"mems": "0"}
    with Taut() as taut, cgroup("cpuset", cpus=ours, **mems) as path:
        command = world(f"echo $$ > {path}/cgroup.procs")
        check_allotment(taut, command, ours, other)
        running = taut.start("measure", "tcp_rr", "--duration", "2s", "--json", command=command)
        for name in ("taut-server", "taut-client"):
            status = pathlib.Path(f"/proc/{endpoint(running, name)}/status").read_text()
            check_equal(re.search(r"Cpus_allowed_list:\s*(\S+)", status)[1], ours, f"the CPUs of {name}")
        measured(running.wait())


# --- short ---------------------------------------------------------------------------------------

@test("too few processes: the first cause is said, not the end of a dump")
def _():
    with untouched(), Taut() as taut:
        for limit, target in (("3", ()), ("5", ()), ("5", CONTAINER), ("8", CONTAINER)):
            with cgroup("pids", max=limit) as path:
                result = taut.run(*SHORT, *target, command=world(f"echo $$ > {path}/cgroup.procs"))
                if result.code == 99:  # the shell itself found no room
                    continue
                result.wants(1)
                check_in(TOO_FEW.lower(), result.err.lower() + result.out.lower(), f"pids.max {limit} {target}")
                check("0x0" not in result.err, f"a dump of registers\n{result}")
                check("left in run" not in result.err, f"a folder stays\n{result}")


@test("too few files: it is said before anything is made, and root stays root")
def _():
    need_root()
    with untouched(), Taut() as taut:
        for limit in ("8", "12", "20", "40"):
            for target in ((), CONTAINER):
                result = taut.run(*SHORT, *target, command=world(program=["prlimit", f"--nofile={limit}", TAUT]))
                result.wants(1, f"at most {limit} files may be open", "try: ulimit -n")
                check("left in run" not in result.err and "run as root" not in result.err, f"{result}")
        measured(taut.run(*SHORT, "--json", command=world(program=["prlimit", "--nofile=16:1024", TAUT])))


@test("a limit of namespaces is named by its sysctl; with the one that taut is in it measures")
def _():
    with untouched(), users(65534) as (taut,):
        need_user_namespaces(taut)
        inside = 'echo 0 > /proc/sys/user/%s && exec "$@"'
        for name in ("max_net_namespaces", "max_user_namespaces"):
            command = [*taut.become, "unshare", "-Ur", "sh", "-c", inside % name, "sh", taut.program]
            result = taut.run(*SHORT, "--json", command=command)
            if name == "max_net_namespaces":
                check_equal(result.code, 5, f"exit code\n{result}")
                check_in(f"/proc/sys/user/{name}", result.err.splitlines()[-1], "the last line")
            else:
                measured(result)


@test("where an end may lock no memory it measures without; the knob is skipped, in the plan too")
def _():
    with untouched(), users(65534) as (taut,):
        need_user_namespaces(taut)
        for limit, flows in ((64 << 10, "1"), (2 << 20, "8"), (8 << 20, "8")):
            command = ["prlimit", f"--memlock={limit}", *taut.become, taut.program]
            options = (*SHORT, *TUNED, "--set", f"flows={flows}", "--json")
            skipped = knobs_of(measured(taut.run(*options, command=command)), "endpoint-memory")
            check_equal([knob["status"] for knob in skipped], ["skipped"] * 2 if limit < 4 << 20 else
                        [knob["status"] for knob in skipped], f"limit {limit}")
            (plan,) = taut.run(*options, "--dry-run", command=command).wants(0).json["tuning"]
            said = [knob["reason"] for knob in plan["knobs"] if knob["id"] == "endpoint-memory"]
            wanted = [f"it may lock {limit} bytes of memory only (ulimit -l)"] if limit < 4 << 20 else []
            check_equal(said, wanted, f"dry run, limit {limit}")


# --- users ---------------------------------------------------------------------------------------

@test("in a nested user namespace taut measures and cleans, and each user has a folder of his own")
def _():
    with untouched(), users(65534, 65533) as tauts:
        need_user_namespaces(tauts[0])
        both = []
        for taut in tauts:
            command = [*taut.become, "unshare", "-Ur", taut.program]
            taut.run("clean", command=command).wants(0)
            both.append(taut.start("measure", "tcp_rr", "--duration", "2s", "--json", command=command))
        for running in both:
            measured(running.wait())


@test("a stranger's folder under the user's name in /tmp denies nothing; without a home the state is in the user's")
def _():
    with untouched(), users(65534) as (taut,):
        need_user_namespaces(taut)
        taken = pathlib.Path("/tmp/taut-65534")
        if taken.exists():
            skip(f"{taken} is there already")
        taken.mkdir()
        try:
            home = {"HOME": "/", "XDG_STATE_HOME": ""}
            measured(taut.run(*SHORT, "--json", environment=home))
            measured(taut.run(*SHORT, "--json"))
            result = taut.run("clean", environment=home).wants(0)
            check_in("/tmp/taut-65534-", result.err, "where the state is")
            check_equal(list(taken.iterdir()), [], "in the stranger's folder")
        finally:
            taken.rmdir()


main()
