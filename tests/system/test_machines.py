#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Virtual machines, emulated hosts and the exact clock, with real QEMU; and their faults, which must give a clear
message, within a deadline and with bounded memory, and leave this machine as it was.
"""
import os
import pathlib
import re
import signal
import time

import machines
import noise
import picture
from machines import BOOT_S, GUEST, Machines, doctored, fake_qemu, faulty, images, kernels, same_machine
from noise import timed
from tap import LONG, TAUT, check, check_equal, check_in, main, need_program, test, wait_until

HEAP_KIB = 200 << 10  # of taut, whatever a guest says


def trial(result, code=0):
    """The document of `measure --json`."""
    return result.wants(code).json


# --- what works -----------------------------------------------------------------------------------


@test("a guest with the stock and with the realtime kernel is measured: who booted what, by which accelerator")
def _():
    found = kernels()
    with Machines() as taut:
        before = picture.take()
        # Others may have machines here, which tuning would disturb.
        cases = [("stock", "tcp_stream", ("--profile", "low-latency", "--yes")),
                 ("rt", "udp_rr", ("--queues", "2", "--vcpus", "2", "--ipv6", "--mtu", "1400"))]
        for flavour, workload, more in cases:
            done = trial(taut.measure(*GUEST, "--kernel", flavour, *more, "--json", workload=workload))
            check_equal((done["outcome"], done["guest"]["accel"]), ("done", "tcg"), "outcome and accelerator")
            check_equal(done["guest"]["kernel"], found[flavour]["release"], "guest kernel")
            check_equal(done["verified"], True, "verified")
            same_machine(before, f"{flavour} {more}")


@test("an emulated host carries out a container's trial, and one of a guest within by vhost-net and KVM")
def _():
    found = kernels()
    need_program("runc")
    with Machines() as taut:
        before = picture.take()
        done = trial(taut.measure("--site", "lab:stock", "--target", "container", "--profile", "low-latency", "--json"))
        check("host" in {k["where"] for k in done["effective_knobs"]}, "no knobs of the host within")
        check_equal((done["outcome"], done["host"]["kernel"]), ("done", found["stock"]["release"]), "host kernel")
        done = trial(taut.measure("--site", "lab:rt", "--target", "vm", "--path", "vhost", "--json", seconds=400))
        check_equal((done["outcome"], done["host"]["kernel"]), ("done", found["rt"]["release"]), "host kernel")
        check_equal((done["guest"]["kernel"], done["guest"]["accel"]), (found["stock"]["release"], "kvm"), "the guest within")
        same_machine(before, "after the emulated hosts")


def exact(taut, kernel):
    done = trial(taut.measure("--site", f"lab:{kernel}", "--clock", "exact", "--target", "container", "--json", seconds=400))
    for key in ("started", "duration_s"):
        done.pop(key, None)
    return done


def deviations(a, b, path=""):
    if isinstance(a, dict) and isinstance(b, dict):
        return [d for key in sorted(a.keys() | b.keys()) for d in deviations(a.get(key), b.get(key), f"{path}.{key}")]
    return [] if a == b else [f"{path}: {a!r} and {b!r}"]


@test("on the exact clock the same trial gives the same document, and another kernel another one")
def _():
    kernels()
    with Machines() as taut:
        before = picture.take()
        first, again, other = exact(taut, "stock"), exact(taut, "stock"), exact(taut, "rt")
        found = deviations(first, again)
        check(not found, "two runs differ:\n" + "\n".join(found[:20]))
        check(first["latency_ns"] != other["latency_ns"], f"both kernels: {first['latency_ns']}")
        same_machine(before, "after the exact clock")


# --- images ---------------------------------------------------------------------------------------

MAKES = {"guest": GUEST, "host0": ("--site", "lab:stock", "--target", "container"),
         "host1": ("--site", "lab:stock", "--target", "vm")}


def made(taut, ends):
    """Images as a QEMU that ends at once has them made."""
    cache = taut.own_cache()
    for arguments in MAKES.values():
        taut.measure(*arguments, "--json", environment=ends).wants(1, "I would rather not", "exit status 3")
    return images(cache)


@test("images made twice, in two caches, are the same byte for byte")
def _():
    kernels()
    with Machines() as one, Machines() as two:
        # The file becomes part of a host's image, at the same path.
        ends = fake_qemu(one, "echo 'qemu: I would rather not' >&2; exit 3")
        first, again = made(one, ends), made(two, ends)
        check_equal(sorted(first), sorted(again), "names of images")
        check_equal(sorted({name.split("-")[0] for name in first}), sorted(MAKES), "kinds of images")
        for name in first:
            check(first[name].read_bytes() == again[name].read_bytes(), f"{name} differs")


# --- bad input ------------------------------------------------------------------------------------


def needs(arguments, code, *texts, environment=None, taut=None):
    """One measure() that must print these texts, soon, and leave nothing behind."""
    with Machines() as own:
        before = picture.take()
        result = (taut or own).measure(*arguments, "--json", environment=environment).wants(code, *texts)
        same_machine(before, f"{arguments}")
        return result


@test("a kernel that is none is named, with what would be one")
def _():
    kernels()
    with Machines() as taut:
        plain = taut.write("vmlinuz", "no kernel at all\n" * 1000)
        needs((*GUEST, "--kernel", "frob"), 2, "'frob'", "try: stock, rt, cloud")
        needs((*GUEST, "--kernel", "/nonexistent/vmlinuz"), 2, "/nonexistent/vmlinuz", "No such file")
        needs((*GUEST, "--kernel", plain), 2, plain)
        needs(("--site", "lab:frob"), 2, "'frob'")
        needs((*GUEST, "--kernel", "1.2-rt"), 1, "'1.2-rt'")


@test("a kernel without virtio cannot be a guest, and one that lacks a module says which")
def _():
    kernels()
    with Machines() as taut:
        release = doctored(taut, lambda config, _: re.sub(r"^CONFIG_VIRTIO\w*=.*\n", "", config, flags=re.M))
        needs(GUEST, 1, release, "no virtio devices", taut=taut)

    def without_net(config, modules):
        for path in modules.rglob("virtio_net.ko*"):
            path.unlink()
        return config
    with Machines() as taut:
        release = doctored(taut, without_net)
        needs(GUEST, 1, "virtio_net", release, "a kernel with virtio", taut=taut)
        check_equal(images(taut.environment["TAUT_CACHE"]), {}, "images")


@test("a QEMU that is absent, too old, dumb, or without a device is said to be")
def _():
    kernels()
    with Machines() as taut:
        taut.own_cache()  # without a QEMU that was fetched
        path = taut.folder / "empty"
        path.mkdir()
        for arguments in (GUEST, ("--site", "lab:stock")):
            needs(arguments, 1, "no qemu-system-x86_64 on PATH", "apt-get install", environment={"PATH": str(path)}, taut=taut)
            needs(arguments, 1, "QEMU 5.2.0", "older than 6", environment=fake_qemu(taut, "exit 1", "5.2.0"), taut=taut)
        needs(GUEST, 1, "'", "when asked for its version", environment=fake_qemu(taut, "exit 1", "bla"), taut=taut)
        old = fake_qemu(taut, "exit 1")
        program = pathlib.Path(old["PATH"].split(":")[0]) / machines.QEMU
        program.write_text(program.read_text().replace("virtserialport", "frobport"))
        needs(GUEST, 1, "no device virtserialport", environment=old, taut=taut)


@test("what this machine has not got is said before anything is begun: KVM, vhost-net")
def _():
    kernels()
    with Machines() as taut:
        if not os.path.exists("/dev/vhost-net"):
            needs((*GUEST, "--path", "vhost"), 1, "no /dev/vhost-net", "modprobe vhost_net")
        works = taut.measure("--target", "vm", "--accel", "kvm")
        if works.code:
            works.wants(1, "KVM does not work here: ", "try: taut run vm, or no accel")
        if os.access("/dev/kvm", os.R_OK | os.W_OK):  # the reason is QEMU's, and not that its streams are closed
            taut.own_cache()
            environment = machines.fake_qemu(taut, "echo frobbed >&2; exit 7")
            taut.measure("--target", "vm", "--accel", "kvm", environment=environment).wants(
                1, "KVM does not work here: a guest started with it did not boot", "exit status 7", "frobbed")


@test("impossible machines are refused by QEMU's own words: too many vCPUs, a CPU that does not exist, too much memory")
def _():
    kernels()
    needs((*GUEST, "--cpu-model", "frob"), 1, "frob", "exit status 1")
    needs((*GUEST, "--memory", "900G", "--backing", "locked"), 1, "memory")


# --- guests that fail -----------------------------------------------------------------------------


def watched(taut, arguments, options, seconds):
    """A measure() during which the memory of taut is watched."""
    running = taut.start("measure", "tcp_rr", *machines.QUICK, *GUEST, "--json", *arguments, **options)
    most, end = 0, time.monotonic() + seconds
    while running.process.poll() is None and time.monotonic() < end:
        try:
            text = pathlib.Path(f"/proc/{running.pid}/status").read_text()
            most = max(most, int(re.search(r"VmHWM:\s+(\d+)", text)[1]))
        except (OSError, TypeError):
            pass
        time.sleep(0.1)
    result = running.wait(5)
    check(most < HEAP_KIB, f"taut took {most} KiB")
    return result


def fails(fault, *texts, console="", seconds=60):
    """The trial of a guest with this fault: failed, for this reason, with its console."""
    kernels()
    with Machines() as taut:
        taut.own_cache()  # in the usual cache, the image with the faulty agent would replace that of the real one
        arguments, options = faulty(fault)
        before = picture.take()
        result = watched(taut, arguments, options, seconds)
        done = trial(result, 1)
        check_equal(done["outcome"], "failed", "outcome")
        for text in texts:
            check_in(text, done["reason"], f"reason for {fault}")
        check_in(console, done["console"] or "", f"console for {fault}")
        check("\\u001b" not in result.out and "\x1b" not in result.out, f"escape codes\n{result}")
        same_machine(before, fault)


@test("a guest that panics: the line of its console that tells why, and the console with the trial")
def _():
    fails("panic", "Kernel panic - not syncing: sysrq triggered crash", console="Call Trace")


@test("a guest without enough memory, or without an init, says what its kernel said")
def _():
    kernels()
    with Machines() as taut:
        before = picture.take()
        done = trial(taut.measure(*GUEST, "--memory", "64M", "--json"), 1)
        check(re.search(r"Kernel panic|too little memory", done["reason"]), f"reason: {done['reason']}")
        done = trial(taut.measure(*GUEST, "--boot", "init=/x rdinit=/x", "--json"), 1)
        check_in("Kernel panic - not syncing", done["reason"], "reason without an init")
        check_in("Kernel panic", done["console"] or "", "console without an init")
        same_machine(before, "after the panics")


@test("a guest that floods its console costs neither memory nor time")
def _():
    fails("flood", "server endpoint", console="bla bla")


@test("a guest that lies on the control port: no frame, of another version")
def _():
    fails("garbage", "no frame")
    fails("version", "9.9.9")


@test("a verbose guest boots about as fast as a quiet one")
@timed
def _():
    kernels()
    with Machines() as taut:
        quiet = taut.measure(*GUEST, "--json").wants(0)
        verbose = taut.measure(*GUEST, "--boot", "ignore_loglevel", "--json").wants(0)
        check(len(verbose.json["console"]) > 8000, f"console: {verbose.json['console'][:500]}")
        noise.check(verbose.seconds < 3 * quiet.seconds + 5, f"{quiet.seconds:.1f} s quiet, {verbose.seconds:.1f} s verbose")


if LONG:
    @test("more lies: too large a frame, an error with escape codes, no end of frames, a frame without end, a good end")
    def _():
        fails("oversized", "no frame")
        fails("error", "red")
        fails("chatter", "frame 1 instead of")
        fails("endless", "control stream", seconds=BOOT_S)
        fails("leave", "I would rather not")

    @test("a guest that says nothing, and a QEMU that does nothing, are given up after a while")
    @timed
    def _():
        fails("silent", "it said nothing for 90 s", seconds=BOOT_S)
        with Machines() as taut:
            before = picture.take()
            done = taut.measure(*GUEST, environment=fake_qemu(taut, "exec sleep 1000")).wants(1, "it said nothing for 90 s")
            noise.check(done.seconds < BOOT_S, f"it took {done.seconds} s")
            same_machine(before, "a QEMU that sleeps")

    @test("a boot whose console goes on is waited for, until it is silent")
    def _():
        with Machines() as taut:
            before = picture.take()
            slow = "for i in 1 2 3; do sleep 40; echo part $i >&3; done; exec sleep 1000"
            done = taut.measure(*GUEST, environment=fake_qemu(taut, slow), seconds=2 * BOOT_S + 60)
            done.wants(1, "it said nothing for 90 s", "part 3")
            check(done.seconds >= 210, f"it was given up after {done.seconds} s")
            same_machine(before, "a boot that was given up")

    @test("64 virtual CPUs, emulated, work or are refused")
    def _():
        kernels()
        with Machines() as taut:
            before = picture.take()
            result = taut.measure(*GUEST, "--vcpus", "64", "--memory", "2G")
            check(result.code in (0, 1), str(result))
            same_machine(before, "after 64 vCPUs")


# --- no space, interrupts -------------------------------------------------------------------------


def in_namespace(script):
    """A shell script in a private mount namespace; "$@" is what to run in it."""
    return ["unshare", "-mpf", "--mount-proc", "--kill-child", "sh", "-c", script, "sh", TAUT]


@test("no space for an image, or for the copy that is booted: said, and nothing half made stays")
def _():
    kernels()
    need_program("unshare")
    with Machines() as taut:
        cache = taut.own_cache()
        target = (cache / "kernels").resolve()
        script = (f'mount -t tmpfs -o size=600k,mode=755 none {cache} && ln -s {target} {cache}/kernels && "$@"; code=$?; '
                  f'find {cache}/images -type f -exec echo left {{}} \\; >&2; exit $code')
        result = taut.measure(*GUEST, "--json", command=in_namespace(script)).wants(1, "No space left on device")
        check("left /" not in result.err, f"something is left\n{result}")
    with Machines() as taut:
        script = ('mount -t tmpfs -o size=600k,mode=755 none /run && "$@"; code=$?; '
                  'find /run -mindepth 1 ! -name taut.lock -exec echo left {} \\; >&2; exit $code')
        result = taut.measure(*GUEST, "--json", command=in_namespace(script))
        result.wants(1, "No space left on device", "/run/taut/")
        check("left /" not in result.err, f"something is left\n{result}")


@test("a shell on an emulated host: a script's output and exit status, and a host that ends first is an error")
def _():
    found = kernels()
    with Machines() as taut:
        before = picture.take()
        script = pathlib.Path(taut.write("script", "uname -r\ncat\ntaut kernel list | grep -c amd64\nexit 3\n"))
        with script.open() as file:
            result = taut.run("lab", "shell", "rt", stdin=file, seconds=200).wants(3)
        check_equal(result.out.split(), [found["rt"]["release"], "1"], "what the script said")
        check_equal(result.err, "", "what taut said")
        taut.run("lab", "shell", "stock", "--host-boot", "init=/x rdinit=/x", seconds=100).wants(1, "ended before its shell")
        same_machine(before, "after the shells")


@test("Ctrl-C while a machine boots: exit 130 at once, and the machine as before")
@timed
def _():
    kernels()
    for arguments in (GUEST, ("--site", "lab:stock"), ("--site", "lab:stock", "--clock", "exact")):
        with Machines() as taut:
            before = picture.take()
            running = taut.start("measure", "tcp_rr", *machines.QUICK, *arguments)
            wait_until(lambda r=running: machines.below(r, machines.QEMU[:15]), 60, "QEMU")
            time.sleep(1)
            begin = time.monotonic()
            running.process.send_signal(signal.SIGINT)
            running.wait(10).wants(130)
            noise.check(time.monotonic() - begin < 3, f"{arguments}: it took {time.monotonic() - begin:.1f} s")
            same_machine(before, f"{arguments} interrupted")


main()
