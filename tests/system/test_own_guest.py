#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Guests of the user's own: from a disk image, and as a domain that runs, by guest agent and by ssh.  The machines, the
guest agent and the ssh session are real; virsh is a program of the test that stands for libvirt.
"""
import contextlib
import hashlib
import os
import pathlib
import random
import signal
import stat
import subprocess
import sys
import tempfile
import time

import own_guest
from own_guest import BOOT_S, QUICK, World, prepared
from tap import TAUT, check, check_equal, main, test, wait_until

NAME = "taut-own"
NETNS = "taut-test-own"
HOST, GUEST = "10.99.87.1", "10.99.87.2"
MAC = "52:54:00:99:87:02"
PID_FILE = pathlib.Path(f"/run/libvirt/qemu/{NAME}.pid")

VIRSH = '''#!{python}
import json, os, socket, sys
words = [w for w in sys.argv[1:] if w != "-q"]
if words[0] == "-c":
    del words[:2]
verb, named = words[0], words[words.index("--domain") + 1] if "--domain" in words else None
def fail(text):
    print("error: " + text, file=sys.stderr)
    sys.exit(1)
if named not in (None, "{name}"):
    fail(f"failed to get domain '{{named}}'")
if verb == "list":
    print("{name}\\n" if "--all" in words or open("{folder}/domstate").read() == "running" else "")
elif verb == "domstate":
    print(open("{folder}/domstate").read())
elif verb == "version":
    print("Running hypervisor: QEMU 0.0.0")
elif verb == "dumpxml":
    print(open("{folder}/xml").read())
elif verb == "qemu-agent-command":
    with socket.socket(socket.AF_UNIX) as port:
        port.settimeout(float(words[words.index("--timeout") + 1]))
        port.connect("{folder}/agent")
        port.sendall(b'\\xff{{"execute": "guest-sync-delimited", "arguments": {{"id": 99}}}}\\n')
        stream = port.makefile("rb")
        try:
            while b'"return": 99' not in stream.readline():
                pass
            port.sendall(words[words.index("--cmd") + 1].encode() + b"\\n")
            print(stream.readline().decode(), end="")
        except TimeoutError:
            fail("Guest agent is not responding: QEMU guest agent is not connected")
'''
XML = """<domain><devices><channel type='unix'><source mode='bind' path='{folder}/control'/>
<target type='virtio' name='taut.control'/></channel></devices></domain>"""


def quiet(*command):
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)


class Domain:
    """A QEMU of the test's that looks like a domain of libvirt, in a network namespace with its tap."""

    def __init__(self, taut):
        self.taut = taut
        made, kernel = prepared()
        self.key, folder = made.key, taut.folder
        self.own_folder = not PID_FILE.parent.exists()
        quiet("ip", "netns", "del", NETNS)
        for words in (["netns", "add", NETNS], ["-n", NETNS, "link", "set", "lo", "up"],
                      ["-n", NETNS, "tuntap", "add", "own0", "mode", "tap"],
                      ["-n", NETNS, "addr", "add", f"{HOST}/24", "dev", "own0"], ["-n", NETNS, "link", "set", "own0", "up"]):
            own_guest.run("ip", *words)
        taut.write("domstate", "running")
        taut.write("xml", XML.format(folder=folder))
        taut.program("virsh", VIRSH.format(python=sys.executable, name=NAME, folder=folder))
        taut.program("ssh", f"#!/bin/sh\nexec /usr/bin/ssh -i {self.key} -o UserKnownHostsFile={folder}/known "
                            '-o StrictHostKeyChecking=accept-new "$@"\n')
        command = ["qemu-system-x86_64", "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none",
                   "-name", f"guest={NAME},debug-threads=on", "-machine", "q35", "-accel", "tcg,thread=multi", "-cpu", "max",
                   "-smp", "1", "-m", "256", "-serial", f"file:{folder}/console", "-kernel", kernel, "-initrd", str(made.initrd),
                   "-append", f"console=ttyS0 panic=-1 quiet own.address={GUEST}",
                   "-netdev", "tap,id=net,ifname=own0,script=no,downscript=no",
                   "-device", f"virtio-net-pci,netdev=net,mac={MAC},romfile=", "-device", "virtio-serial-pci",
                   "-chardev", f"socket,id=ga,path={folder}/agent,server=on,wait=off",
                   "-device", "virtserialport,chardev=ga,name=org.qemu.guest_agent.0",
                   "-chardev", f"socket,id=control,path={folder}/control,server=on,wait=off",
                   "-device", "virtserialport,chardev=control,name=taut.control"]
        self.log = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(["ip", "netns", "exec", NETNS, *command], stdin=subprocess.DEVNULL, stdout=self.log,
                                        stderr=self.log)
        PID_FILE.parent.mkdir(parents=True, exist_ok=True)
        PID_FILE.write_text(f"{self.process.pid}\n")
        console = folder / "console"
        wait_until(lambda: console.exists() and "own guest is up" in console.read_text(errors="replace"), BOOT_S, "the guest")

    def end(self):
        self.process.kill()
        self.process.wait()
        PID_FILE.unlink(missing_ok=True)
        for folder in (PID_FILE.parent, PID_FILE.parent.parent) if self.own_folder else ():
            with contextlib.suppress(OSError):
                folder.rmdir()
        quiet("ip", "netns", "del", NETNS)

    def start(self, *words, target=f"vm:{NAME}", **options):
        return self.taut.start("measure", "tcp_rr", "--target", target, *QUICK, *words,
                               command=[own_guest.find("ip"), "netns", "exec", NETNS, TAUT], **options)

    def measure(self, *words, **options):
        return self.start(*words, **options).wait(BOOT_S)

    def threads(self):
        """Name and number → CPUs, policy, priority."""
        found = {}
        for tid in map(int, os.listdir(f"/proc/{self.process.pid}/task")):
            with contextlib.suppress(OSError):
                name = pathlib.Path(f"/proc/{self.process.pid}/task/{tid}/comm").read_text().strip()
                found[tid, name] = (sorted(os.sched_getaffinity(tid)), os.sched_getscheduler(tid),
                                    os.sched_getparam(tid).sched_priority)
        return found

    def inside(self):
        """What a trial could leave in the guest."""
        return own_guest.run("ip", "netns", "exec", NETNS, self.taut.folder / "bin/ssh", f"root@{GUEST}",
                             "ls /tmp /var/lib; cat /proc/irq/default_smp_affinity /proc/sys/kernel/sched_rt_runtime_us; "
                             "ps w | grep '[t]aut-'; true")


@contextlib.contextmanager
def domain():
    with World() as taut:
        made = None
        try:
            made = Domain(taut)
            made.inside()  # the host key is known from here on
            yield made
        finally:
            if made:
                made.end()
            taut.run("tune", "revert")
            taut.run("lab", "clean")


def same_threads(before, after):
    changed = {k: (before[k], after[k]) for k in before.keys() & after.keys() if before[k] != after[k]}
    check_equal(changed, {}, "threads of the domain")


@test("a disk image is booted, measured in and never written")
def _():
    made, kernel = prepared()
    disk = made.disk(kernel)
    before = hashlib.sha256(disk.read_bytes()).digest()
    with World() as taut:
        got = taut.run("measure", "tcp_rr", "--target", "vm", "--disk", disk, *QUICK, "--json", seconds=2 * BOOT_S)
        trial = got.wants(0).json
        check_equal((trial["outcome"], trial["verified"]), ("done", True), "trial")
        check_equal(trial["settings"]["login"], "agent", "login")
        check(trial["guest"]["boot_ns"] > 0 and trial["guest"]["kernel"], f"guest {trial['guest']}")
        check_equal(taut.run("lab", "clean").wants(0).out.strip(), "nothing to clean", "what is left")
    check_equal(hashlib.sha256(disk.read_bytes()).digest() == before, True, "the disk is the same")


@test("a running domain is measured and tuned by guest agent and by ssh, and is as it was afterwards")
def _():
    with domain() as own:
        threads, inside = own.threads(), own.inside()
        for login in (["--login", f"ssh:root@{GUEST}"], []):
            for profile in ("stock", "low-latency"):
                got = own.measure(*login, "--profile", profile, "--yes", "--json").wants(0)
                trial = got.json
                what = f"{login} {profile}"
                check_equal((trial["outcome"], trial["verified"]), ("done", True), f"{what}: trial {trial['reason']}")
                check_equal(trial["settings"]["attachment"], "host", f"{what}: attachment")
                check_equal(trial["settings"]["path"], "virtio", f"{what}: path")
                check_equal((trial["guest"]["accel"], trial["guest"]["boot_ns"]), ("tcg", None), f"{what}: guest")
                placed = {k["id"] for k in trial["effective_knobs"] if k["where"] == "host" and k["status"] == "effective"}
                check_equal("vcpu-cpu" in placed, profile != "stock" and (os.cpu_count() or 1) > 1, f"{what}: vCPUs placed")
                same_threads(threads, own.threads())
                check_equal(own.inside(), inside, f"{what}: in the guest")
        check_equal(own.process.poll(), None, "the domain's end")


@test("a taut that is killed at any moment leaves a domain and its guest as they were")
def _():
    with domain() as own:
        threads, inside = own.threads(), own.inside()
        alive = 0
        for i in range(6):
            login = ["--login", f"ssh:root@{GUEST}"] if i % 2 else []
            running = own.start(*login, "--profile", "low-latency", "--yes", "--duration", "3s")
            time.sleep(random.uniform(0.1, 5))
            alive += running.process.poll() is None
            running.process.send_signal(signal.SIGKILL)
            running.wait(10)
            own.taut.run("tune", "revert")
            own.taut.run("lab", "clean").wants(0)
            wait_until(lambda: own.inside() == inside, 20, f"the guest to be as it was\n{inside}\nis\n{own.inside()}")
            same_threads(threads, own.threads())
            check_equal(own.process.poll(), None, "the domain's end")
        check(alive >= 3, f"only {alive} of 6 were at work when they were killed")


@test("what keeps a domain from being measured is said before anything is done")
def _():
    with domain() as own:
        own.measure(target="vm:nobody").wants(1, "no domain 'nobody'", f"vm:{NAME}")
        own.measure("--path", "vhost").wants(1, "is virtio, not vhost")
        own.measure("--login", f"ssh:nobody@{GUEST}").wants(1, "Permission denied")
        own.measure("--login", "ssh:root@10.99.87.77").wants(1, "cannot log in by ssh")
        own.taut.write("xml", "<domain/>")
        own.measure().wants(1, "no virtio channel taut.control", "login ssh:")
        own.taut.write("xml", XML.format(folder=own.taut.folder))
        own.taut.write("domstate", "paused")
        own.measure().wants(1, "it is paused")
        own.taut.write("domstate", "running")
        PID_FILE.write_text(f"{os.getpid()}\n")
        own.measure().wants(1, f"process {os.getpid()} is not domain '{NAME}'")
        (own.taut.folder / "bin/virsh").chmod(stat.S_IRUSR)
        own.measure(environment={"PATH": f"{own.taut.folder}/bin"}).wants(1, "no virsh on PATH")


if __name__ == "__main__":
    main()
