#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""QEMU in the cache, and emulated hosts with NICs that it makes: one cable, virtual functions, an IOMMU.

QEMU is fetched for real; where none can be had, the tests that need it are skipped.  The trials of such hosts, on every
path, are in test_devices.py.
"""
import os
import subprocess

import emulated
from machines import Machines
from tap import LONG, check, check_equal, check_in, main, need_program, skip, test, wait_until

FETCH_S = 400
MODELS = {"igb": "0x10c9", "virtio": "0x1041"}

# The interface of a function of PCI; two of them as the ends of a cable.
PRELUDE = """
nic() { for n in /sys/bus/pci/devices/$1/net/* /sys/bus/pci/devices/$1/virtio*/net/*; do [ -e "$n" ] && echo ${n##*/}; done; }
group() { readlink /sys/bus/pci/devices/$1/iommu_group; }
FIRST=0000:01:00.0 SECOND=0000:02:00.0
ends() {
	ip netns add a; ip netns add b
	ip link set $1 netns a; ip link set $2 netns b
	ip -n a address add 10.9.0.1/24 dev $1; ip -n b address add 10.9.0.2/24 dev $2
	ip -n b link set $2 up; ip -n a link set $1 up
	for i in {1..60}; do ip netns exec a ping -c 1 -W 1 10.9.0.2 >/dev/null && break; done
	ip netns exec a ping -c 5 -i 0.2 -W 5 10.9.0.2
}
"""
LOOK = """
section devices; for d in $FIRST $SECOND; do echo $d $(</sys/bus/pci/devices/$d/device) $(</sys/class/net/$(nic $d)/address); done
section groups; echo $(group $FIRST) $(group $SECOND)
section functions; echo $(</sys/bus/pci/devices/$FIRST/sriov_totalvfs) $(</sys/bus/pci/devices/$SECOND/sriov_totalvfs)
"""
WHOLE = "section whole; ends $(nic $FIRST) $(nic $SECOND)\n"
# Namespaces that end give their NICs back a moment later.
BACK = """
ip netns delete a; ip netns delete b
for d in $FIRST $SECOND; do for i in {1..100}; do [ "$(nic $d)" ] && break; sleep 0.1; done; done
"""
# The NIC must be up; the function of an igb is given its address before its driver sees it.
FUNCTION = """
section function
ip link set $(nic $FIRST) up; ip link set $(nic $SECOND) up
for i in {1..100}; do [ "$(</sys/class/net/$(nic $FIRST)/carrier)" = 1 ] && break; sleep 0.1; done
echo 0 > /sys/bus/pci/devices/$FIRST/sriov_drivers_autoprobe
echo 1 > /sys/bus/pci/devices/$FIRST/sriov_numvfs
f=$(readlink /sys/bus/pci/devices/$FIRST/virtfn0); f=${f##*/}
ip link set $(nic $FIRST) vf 0 mac 52:54:00:74:61:81
echo 1 > /sys/bus/pci/devices/$FIRST/sriov_drivers_autoprobe
echo $f > /sys/bus/pci/drivers_probe
for i in {1..100}; do [ "$(nic $f)" ] && break; sleep 0.1; done
echo function $f $(</sys/class/net/$(nic $f)/address) $(group $f)
ends $(nic $f) $(nic $SECOND)
"""


def host(taut, model, *parts, **options):
    need_program("ip", "ping")
    return emulated.run(taut, emulated.script(PRELUDE, *parts), options=("--device", model), cpus=2, **options)


def passes(lines, what):
    check(any(" 0% packet loss" in line for line in lines), f"{what} passes nothing:\n" + "\n".join(lines))


def look(said, model):
    check_equal([line.split()[:2] for line in said["devices"]],
                [["0000:01:00.0", MODELS[model]], ["0000:02:00.0", MODELS[model]]], "the NICs")
    first, second = said["groups"][0].split()
    check(first != second, f"both NICs are in one IOMMU group: {first}")
    passes(said["whole"], "the cable between the two NICs")


def has_function(said):
    """It has the address that it was given, and an IOMMU group of its own."""
    made = [line.split() for line in said["function"] if line.startswith("function ")]
    check(made and len(made[0]) == 4, "no function:\n" + "\n".join(said["function"]))
    check_equal(made[0][2], "52:54:00:74:61:81", "its address")
    check(made[0][3] not in said["groups"][0].split(), f"its group is that of a NIC: {made[0]}, {said['groups']}")
    passes(said["function"], "the function")


# --- QEMU in the cache -------------------------------------------------------------------------------------------------


def in_cache(cache):
    folder = cache / "qemu"
    return sorted(p.name for p in folder.iterdir() if p.name != ".lock") if folder.exists() else []


@test("mistakes at lab fetch are exit 2, and an apt that fails leaves nothing in the cache")
def _():
    with Machines() as taut:
        cache = taut.own_cache(kernels=False)
        taut.run("lab", "fetch", "rt").wants(2, "fetch take")
        taut.run("lab", "fetch", "--device", "igb").wants(2, "fetch take")
        taut.run("lab", "shell", "--device", "e1000").wants(2, "'e1000'", "igb or virtio")
        folder = taut.folder / "bin"
        folder.mkdir()
        for name in ("apt-get", "apt-cache"):
            (folder / name).write_text("#!/bin/sh\necho 'E: Temporary failure'; exit 100\n")
            (folder / name).chmod(0o755)
        result = taut.run("lab", "fetch", environment={"PATH": f"{folder}:{os.environ['PATH']}"})
        check_equal(result.code, 1, f"the exit code of\n{result}")
        check_equal(in_cache(cache), [], "left in the cache")


@test("what a killed fetch of QEMU has left is cleaned, and a second fetch meanwhile is refused")
def _():
    with Machines() as taut:
        cache = taut.own_cache(kernels=False)
        folder = taut.folder / "bin"
        folder.mkdir()
        for name in ("apt-get", "apt-cache"):
            (folder / name).write_text(f"#!/bin/sh\ntouch {taut.folder}/begun; exec sleep 1000\n")
            (folder / name).chmod(0o755)
        running = taut.start("lab", "fetch", environment={"PATH": f"{folder}:{os.environ['PATH']}"})
        wait_until((taut.folder / "begun").exists, 20, "apt")
        taut.run("lab", "fetch").wants(1, "another taut", "wait for it")
        running.process.kill()
        running.wait(10)
        check(in_cache(cache), "a killed fetch leaves its folder")
        taut.run("lab", "clean").wants(0, ".fetch-")
        check_equal(in_cache(cache), [], "left in the cache")


@test("a plan says that QEMU would be fetched, and fetches none")
def _():
    with Machines() as taut:
        cache = taut.own_cache()
        plan = taut.run("measure", "tcp_rr", "--site", "lab", "--attachment", "device", "--device", "virtio", "--dry-run", "--json",
                        environment={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}).wants(0).json
        own = subprocess.run(["qemu-system-x86_64", "-device", "virtio-net-pci,help"], capture_output=True, text=True,
                             check=False).stdout
        check_equal(plan["qemu_fetched_first"], "sriov-pf" not in own, "fetched first")
        check_equal(plan["skipped"], [], "skipped")
        check_equal(in_cache(cache), [], "in the cache")


@test("on an emulated host a device is a model: exit 2 for anything else")
def _():
    with Machines() as taut:
        words = ("measure", "tcp_rr", "--site", "lab", "--attachment", "vf", "--dry-run")
        taut.run(*words, "--device", "eth0").wants(2, "'eth0'", "igb, virtio")
        taut.run(*words, "--device", "igb", "--client-device", "virtio").wants(2, "one model")
        taut.run(*words, "--device", "igb", "--clock", "exact").wants(2, "exact clock")


@test("a fetched QEMU is whole, depends on nothing of the machine's, and is not fetched twice")
def _():
    with Machines() as taut:
        cache = taut.own_cache(kernels=False)
        result = taut.run("lab", "fetch", seconds=FETCH_S)
        if result.code == 1 and ("lists of packages" in result.err or "this is not Debian" in result.err):
            skip(f"no packages can be fetched here: {result.err.strip()}", "qemu")
        result.wants(0, "QEMU ", str(cache))
        names = in_cache(cache)
        check_equal(len(names), 1, f"folders in the cache: {names}")
        folder = cache / "qemu" / names[0]
        listed = subprocess.run([folder / "lib" / "ld-linux-x86-64.so.2", "--library-path", folder / "lib", "--list",
                                 folder / "qemu-system-x86_64"], capture_output=True, text=True, check=True).stdout
        strangers = [line for line in listed.splitlines() if "/" in line and str(folder) not in line and "vdso" not in line
                     and "/lib64/ld-linux-x86-64.so.2 =>" not in line]
        check_equal(strangers, [], "libraries from elsewhere")
        before = (folder / "qemu-system-x86_64").stat()
        taut.run("lab", "fetch", seconds=FETCH_S).wants(0, names[0])
        after = (folder / "qemu-system-x86_64").stat()
        check_equal((after.st_ino, after.st_mtime_ns), (before.st_ino, before.st_mtime_ns), "the program after a second fetch")
        # A machine without a QEMU of its own uses it.
        listing = taut.run("measure", "tcp_rr", "--target", "vm", "--dry-run", environment={"PATH": "/nonexistent"})
        check("no qemu-system-x86_64" not in listing.out + listing.err, f"the one in the cache is not found\n{listing}")


# --- hosts -------------------------------------------------------------------------------------------------------------


@test("an igb host has two NICs on one cable, each in a group of its own, and a virtual function that passes traffic")
def _():
    with emulated.machine() as taut:
        said = host(taut, "igb", LOOK, WHOLE, BACK, FUNCTION)
        look(said, "igb")
        check_equal(said["functions"], ["7 7"], "virtual functions")
        has_function(said)


@test("a host that nobody asked to have NICs has none, and no IOMMU")
def _():
    with emulated.machine() as taut:
        said = emulated.run(taut, emulated.script("section found; for d in /sys/bus/pci/devices/*; do echo $(<$d/device); done",
                                                  "section groups; ls /sys/kernel/iommu_groups"), cpus=2)
        check(not set(MODELS.values()) & set(said["found"]), f"NICs: {said['found']}")
        check_equal(said["groups"], [], "IOMMU groups")


def lent_script(attachment):
    """A trial on the host itself, in which the node of the lent device is looked at."""
    return f"""
section trial
taut measure udp_rr --target vm --accel kvm --attachment {attachment} --device $FIRST --client-device $SECOND \\
	--duration 5s --warmup 100ms --timeout 30s > /tmp/said 2>&1 &
trial=$!
section node
while [ -e /proc/$trial ]; do
	for n in /dev/vfio/[0-9]*; do [ -e "$n" ] && for p in /proc/[0-9]*; do
		[ "$(<$p/comm)" ] && while read -r key value rest; do
			case $key in Uid:) uid=$value;; CapEff:) caps=$value;; esac
		done < $p/status
		[ "$uid" -ge 2140000000 ] && echo owner $(ls -ln $n | {{ read -r mode links owner rest; echo $owner; }}) qemu $uid $caps
	done; done 2>/dev/null
	sleep 0.2
done
wait $trial; echo code $?
section said; while read -r line; do echo "$line"; done < /tmp/said
section after; ls /dev/vfio; echo driver $(readlink /sys/bus/pci/devices/$FIRST/driver)
"""


if LONG:
    @test("a device that is lent to a machine belongs to its QEMU, which has no capability, and comes back")
    def _():
        with emulated.machine() as taut:
            said = host(taut, "igb", lent_script("device"), seconds=900)
            check_in("code 0", said["node"], "the trial: " + "\n".join(said["said"]))
            seen = {line for line in said["node"] if line.startswith("owner ")}
            held = [line.split() for line in seen if line.split()[1] == line.split()[3]]
            check(held, f"the node never belonged to QEMU: {seen}")
            check(all(int(line[4], 16) == 0 for line in held), f"capabilities of QEMU: {held}")
            check(any(line.endswith("/igb") for line in said["after"]), f"the driver afterwards: {said['after']}")
            check(not any(line.strip().isdigit() for line in said["after"]), f"nodes afterwards: {said['after']}")

    @test("a virtual function passes packets from the first trial on, also where its NIC starts anew slowly")
    def _():
        trial = ("taut measure udp_rr --target container --attachment vf --device $FIRST --client-device $SECOND "
                 "--duration 1s")
        with emulated.machine() as taut:
            said = host(taut, "igb", f"section trials; for i in 1 2; do {trial}; echo code $?; done",
                        f"for i in 1 2 3 4; do {trial} --profile low-latency; echo code $?; done",
                        kernel="rt", seconds=900)
            check_equal([line for line in said["trials"] if line.startswith("code ")], ["code 0"] * 6,
                        "\n".join(said["trials"]))

    @test("a virtio host has two NICs with a function each, which passes traffic")
    def _():
        with emulated.machine() as taut:
            said = host(taut, "virtio", LOOK, WHOLE, BACK, FUNCTION)
            look(said, "virtio")
            passes(said["function"], "the function")

main()
