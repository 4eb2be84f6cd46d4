# SPDX-License-Identifier: GPL-3.0-or-later
"""Without root taut uses a user namespace, where the kernel allows one, and names the knobs that it cannot set.  What it
trusts, the state folder and the journals in it, nobody else may have written."""
import json
import os
import pathlib
import re
import shutil
import signal
import struct
import subprocess
import threading

from nobody import UsersTaut, becoming
from runs import tiny
from tap import (AGENT, BUILD, TAUT, Failed, Taut, check, check_equal, check_in, comm_of, is_below, main, need_oci,
                 need_program, need_root, oci_runtimes, skip, test, threads_of, wait_until)

AS_NOBODY = becoming()


def need_user_namespaces():
    if subprocess.run([*AS_NOBODY, "unshare", "--user", "--net", "true"], stderr=subprocess.DEVNULL).returncode:
        skip("this kernel forbids user namespaces without root", "userns")


@test("nobody can measure, in a user namespace")
def _():
    with UsersTaut() as taut:
        need_user_namespaces()
        for target in ((), ("--target", "container", "--runtime", "netns")):
            document = taut.run("measure", "tcp_rr", *target, "--duration", "200ms", "--json").wants(0).json
            check(document["transactions"] > 100, f"{document['transactions']} transactions")


@test("nobody can run an experiment: what cannot be tuned is skipped with the reason")
def _():
    with UsersTaut() as taut:
        need_user_namespaces()
        spec = taut.write("x.yaml", """
name: x
blocks: 2
trial: {transactions: 500, max_duration: 1s, warmup: 10ms}
cells: [{workload: tcp_rr}]
arms: {stock: {}, tuned: {profile: low-latency}}
""")
        document = taut.run("run", spec, "--json").wants(0).json
        check_equal(document["skipped"], [], "skipped")
        (cell,) = document["cells"]
        check_equal({a: arm["trials"] for a, arm in cell["arms"].items()}, {"stock": 2, "tuned": 2}, "trials")
        knobs = taut.run("measure", "tcp_rr", "--duration", "100ms", "--set", "profile=low-latency", "--json").json
        skipped = [k for k in knobs["effective_knobs"] if k["status"] == "skipped"]
        check(skipped, f"nothing is skipped: {knobs['effective_knobs']}")
        check(all(k["reason"] for k in skipped), f"a skipped knob without its reason: {skipped}")
        check((taut.folder / "xdg" / "taut" / "runs.db").exists(), "no database where XDG_STATE_HOME says")


@test("an OCI container that nobody may not make is skipped with the reason: exit 5")
def _():
    with UsersTaut() as taut:
        need_user_namespaces()
        result = taut.run("measure", "tcp_rr", "--target", "container", "--duration", "100ms")
        if result.code == 0:
            skip("this machine lets nobody make OCI containers")
        result.wants(5, "cannot measure this here")
        check(len(result.err.split("cannot measure this here:", 1)[1].strip()) > 10, f"no reason\n{result}")


@test("without user namespaces as well it is said what is missing: exit 5")
def _():
    with UsersTaut() as taut:
        # A user namespace in which no further one is allowed stands in for a kernel that forbids them.
        inside = 'echo 0 > /proc/sys/user/max_user_namespaces && exec setpriv --bounding-set -all --inh-caps -all "$@"'
        command = ["unshare", "--user", "--map-current-user", "--keep-caps", "sh", "-c", inside, "sh",
                   str(taut.folder / "taut")]
        need_user_namespaces()
        result = taut.run("measure", "tcp_rr", "--duration", "100ms", command=[*AS_NOBODY, *command])
        if "max_user_namespaces" in result.err:
            skip("max_user_namespaces cannot be set here")
        result.wants(5, "user namespace", "try: run as root")


def journal(command):
    """A journal of a dead taut that makes the reader run a command."""
    return json.dumps({
        "schema": "taut.journal/1", "boot": pathlib.Path("/proc/sys/kernel/random/boot_id").read_text().strip(),
        "pid": 999999999, "start": 1, "sequence": 1,
        "entries": [{"knob": "k", "executor": "command", "object": command, "before": command, "after": "true"}]})


@test("a state folder that is another user's, or that others can write or replace, is refused: exit 5, nothing carried out")
def _():
    need_root()
    for fault in ("owner", "group", "world", "above"):
        with Taut() as taut:
            state = taut.folder / "above" / "state"
            state.mkdir(mode=0o700, parents=True)
            mark = taut.folder / "mark"
            (state / "journal-999999999-1.json").write_text(journal(f"touch {mark}"))
            os.chmod(state / "journal-999999999-1.json", 0o600)
            taut.environment["TAUT_STATE"] = str(state)
            if fault == "owner":
                os.chown(state, 65534, 65534)
            elif fault == "above":
                os.chown(state.parent, 65534, 65534)
            else:
                state.chmod(0o770 if fault == "group" else 0o707)
            for verb in (("tune", "revert"), ("report",), ("measure", "tcp_rr", "--duration", "100ms")):
                taut.environment.pop("TAUT_DB", None)
                taut.run(*verb).wants(5, "cannot use the state folder", "try: chown")
            check(not mark.exists(), f"{fault}: the journal was carried out")
            # The same journal is carried out where it can be trusted.
            os.chown(state, 0, 0)
            os.chown(state.parent, 0, 0)
            state.chmod(0o700)
            taut.run("tune", "revert").wants(0)
            check(mark.exists(), f"{fault}: the journal was not carried out in a folder of root")


@test("a sticky folder above the state folder, where everybody may write, is fine")
def _():
    need_root()
    with Taut() as taut:
        above = taut.folder / "above"
        above.mkdir()
        above.chmod(0o1777)
        taut.environment["TAUT_STATE"] = str(above / "state")
        taut.run("tune", "revert").wants(0)


@test("a journal that is exchanged all the time never makes taut run the command of another")
def _():
    need_root()
    with Taut() as taut:
        taut.run("tune", "revert").wants(0)
        state = pathlib.Path(taut.environment["TAUT_STATE"])
        path, mark = state / "journal-999999999-1.json", taut.folder / "mark"
        stop = threading.Event()

        def exchange():
            while not stop.is_set():
                for text, owner in ((journal("true"), 0), (journal(f"touch {mark}"), 65534)):
                    new = state / "new"
                    new.write_text(text)
                    os.chmod(new, 0o600)
                    os.chown(new, owner, owner)
                    os.rename(new, path)
        thread = threading.Thread(target=exchange)
        thread.start()
        try:
            codes = [taut.run("tune", "revert").code for _ in range(40)]
        finally:
            stop.set()
            thread.join()
            path.unlink(missing_ok=True)
        check(not mark.exists(), "the command of another user was run")
        check(set(codes) <= {0, 6}, f"exit codes {codes}")


@test("without HOME the state is in the home of the passwd entry, never in /tmp: who made .local there does not matter")
def _():
    with UsersTaut() as taut:
        for variable in ("HOME", "XDG_STATE_HOME"):
            taut.environment.pop(variable)
        passwd, shared = taut.folder / "passwd", taut.folder / "shared"
        home = shared / "home"
        (shared / ".local" / "state" / "taut").mkdir(parents=True)
        home.mkdir()
        inside = (f"cd {taut.folder} && mount --bind passwd /etc/passwd && mount --bind shared /tmp && "
                  f"exec {' '.join(AS_NOBODY)} ./taut tune revert")
        command = ["unshare", "--mount", "sh", "-c", inside]
        passwd.write_text("nobody:x:65534:65534::/tmp/home:/bin/sh\n")
        taut.run(command=command).wants(0)
        check((home / ".local" / "state" / "taut").is_dir(), f"no state folder in the home: {os.listdir(home)}")
        passwd.write_text("root:x:0:0::/root:/bin/sh\n")
        taut.run(command=command).wants(5, "HOME is not set", "try: TAUT_STATE=FOLDER")


@test("an endpoint in a container can change nothing of the machine, by runc and by crun")
def _():
    need_oci()
    prisoner = BUILD / "tests" / "taut-prisoner"
    tried = []
    for runtime in ("runc", "crun"):
        if not shutil.which(runtime):
            continue
        with Taut() as taut:
            tools = taut.folder / "bin"
            tools.mkdir()
            # Only this runtime is found: the other one by a name that fails.
            other = tools / {"runc": "crun", "crun": "runc"}[runtime]
            other.write_text("#!/bin/sh\necho none here >&2; exit 1\n")
            other.chmod(0o755)
            environment = {"TAUT_AGENT": str(prisoner), "TAUT_TEST_AGENT": str(AGENT),
                           "PATH": f"{tools}:{os.environ['PATH']}"}
            result = taut.run("measure", "tcp_rr", "--target", "container", "--duration", "100ms", environment=environment)
            said = re.search(rf"{runtime} cannot run here: .*?prisoner: ([^.]*)", result.err)
            if said:
                check_equal(said[1], "capabilities 0 of 0, no new ones 1, can:", runtime)
                tried.append(runtime)
    check_equal(tried, oci_runtimes(), "the runtimes in whose containers the prisoner was")


@test("a container trial that polls its sockets or chooses its congestion control has what it needs")
def _():
    need_oci()
    with Taut() as taut:
        for more in (("busy_poll=50",), ("congestion=reno",), ("profile=low-latency",)):
            result = taut.run("measure", "tcp_rr", "--target", "container", "--duration", "200ms", "--yes", "--json",
                              *[word for setting in more for word in ("--set", setting)])
            check(result.wants(0).json["transactions"] > 100, f"{more}: {result}")


def boot_sector(size=1 << 20):
    """A disk whose only program halts."""
    code = b"\xfa\xf4\xeb\xfd"
    return code + bytes(510 - len(code)) + b"\x55\xaa" + bytes(size - 512)


def qcow2(backing, size=1 << 20, cluster=1 << 16):
    """An empty image over another file: header, refcounts and L1 table, a cluster each."""
    name = str(backing).encode()
    header = b"QFI\xfb" + struct.pack(">IQIIQIIQQIIQQQQII", 3, 512, len(name), 16, size, 0, 1, 3 * cluster, cluster, 1,
                                      0, 0, 0, 0, 0, 4, 104)
    first = header + bytes(512 - len(header)) + name
    return (first.ljust(cluster, b"\0") + struct.pack(">Q", 2 * cluster).ljust(cluster, b"\0")
            + struct.pack(">HHHH", 1, 1, 1, 1).ljust(cluster, b"\0") + bytes(cluster))


def need_machines():
    need_root()
    need_program("qemu-system-x86_64")
    if not os.access("/dev/net/tun", os.R_OK | os.W_OK):
        skip("there is no /dev/net/tun")


def boot(taut, disk, *more):
    return taut.start("measure", "tcp_rr", "--target", "vm", "--disk", disk, "--accel", "tcg", "--duration", "100ms",
                      "--yes", *more)


def rights_of_qemu(running):
    """What /proc/PID/status says of QEMU, once the guest has run."""
    def look():
        if running.process.poll() is not None:
            raise Failed(f"ended before QEMU ran\n{running.result(running.process.returncode)}")
        for pid in filter(str.isdigit, os.listdir("/proc")):
            if comm_of(pid).startswith("qemu-system") and len(threads_of(pid)) > 2 and is_below(int(pid), running.pid):
                return dict(line.split(":\t", 1) for line in
                            pathlib.Path(f"/proc/{pid}/status").read_text().splitlines() if ":\t" in line)
        return None
    return wait_until(look, 30, "QEMU")


def stop(running):
    running.process.send_signal(signal.SIGINT)
    running.wait(30)


@test("QEMU is a user of its own without capabilities, though the disk is readable by root alone")
def _():
    need_machines()
    with Taut() as taut:
        disk = pathlib.Path(taut.write("disk", "", 0o600))
        disk.write_bytes(boot_sector())
        for more, capabilities in (((), 0), (("--backing", "locked"), 1 << 14)):
            running = boot(taut, disk, *more)
            status = rights_of_qemu(running)
            stop(running)
            uids = set(map(int, status["Uid"].split()))
            check(len(uids) == 1 and min(uids) > 65535, f"{more}: users of QEMU {uids}")
            check_equal(status["Gid"].split() + status["Groups"].split(), [str(min(uids))] * 5, f"{more}: groups of QEMU")
            for kind in ("CapPrm", "CapEff", "CapBnd", "CapInh"):
                check_equal(int(status[kind], 16), capabilities, f"{more}: {kind} of QEMU")
            check_equal(status["NoNewPrivs"], "1", f"{more}: NoNewPrivs of QEMU")
        check_equal(disk.read_bytes() == boot_sector(), True, "the disk is the same")
        check_equal(taut.run("clean").wants(0).out.strip(), "nothing to clean", "what is left")


@test("an image that names a file of root's opens it no more than its owner could")
def _():
    need_machines()
    with Taut() as taut:
        taut.folder.chmod(0o755)
        secret, own = (pathlib.Path(taut.write(name, "", 0o600)) for name in ("secret", "own"))
        for path in (secret, own):
            path.write_bytes(boot_sector())
        disk = taut.folder / "disk"
        for backing in (secret, secret.name, f'json:{{"driver":"raw","file":{{"driver":"file","filename":"{secret}"}}}}'):
            disk.write_bytes(qcow2(backing))
            os.chown(disk, 65534, 65534)
            check_in("Permission denied", boot(taut, disk, "--json").wait(30).wants(1).json["reason"], f"over {backing}")
        disk.write_bytes(qcow2(own))
        os.chown(own, 65534, 65534)
        running = boot(taut, disk)
        status = rights_of_qemu(running)
        stop(running)
        check_equal(set(status["Uid"].split()), {"65534"}, "the user of QEMU is the owner")
        # What it names may be another's and name more, so nothing is opened as root for an image of root's.
        os.chown(disk, 0, 0)
        check_in("Permission denied", boot(taut, disk, "--json").wait(30).wants(1).json["reason"], "an image of root's")


main()
