#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Devices that the machine lends: they are measured over, and come back as they were, after kill -9 as well.

The machine is a network and mount namespace of its own, in which the two ends of a veth pair stand for two NICs on one
cable.  Real functions of PCI, whole and virtual, are in an emulated host; that needs a QEMU that has such devices.
TAUT_SEED repeats the moments of the kills, TAUT_DEVICE_KILLS says how many.
"""
import os
import random
import re
import signal
import subprocess
import sys
import time

import emulated
import machines
from machines import Machines
from tap import LONG, TAUT, Failed, Taut, check, check_equal, check_in, main, need_oci, need_program, need_root, \
    oci_runtimes, test, wait_until

SEED = int(os.environ.get("TAUT_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 30)
KILLS = int(os.environ.get("TAUT_DEVICE_KILLS", "40" if LONG else "6"))
QUICK = ("--duration", "300ms", "--warmup", "20ms")
CABLE = ("--device", "nic0", "--client-device", "nic1")
# A device with a MAC address, an MTU and offloads of the user's, and addresses of every kind.
MAKE = """
ip link set lo up
ip link add nic0 type veth peer name nic1
ip link set nic0 address 02:11:22:33:44:55 mtu 1400
ip link set nic1 mtu 1400
ip address add 10.9.0.1/24 broadcast 10.9.0.255 dev nic0
ip address add 10.9.0.7/24 dev nic0 label nic0:7
ip address add 10.7.0.1 peer 10.7.0.2 dev nic0
ip address add 10.6.0.1/24 dev nic0 scope link metric 77 noprefixroute
ip -6 address add fd00:9::1/64 dev nic0 nodad
ip -6 address add fd00:7::1/64 dev nic0 nodad metric 99
ip link set nic0 up
ip link set nic1 up
"""
FEATURES = """
import array, fcntl, socket, struct
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
def ask(link, request):
    data = array.array("B", request)
    fcntl.ioctl(s, 0x8946, struct.pack("16sP", link, data.buffer_info()[0]))
    return data.tobytes()
for link in (b"nic0", b"nic1"):
    print(link, ask(link, struct.pack("II", 0x3a, 2) + bytes(32)).hex())
"""
SWITCH_OFF = """
import array, fcntl, socket, struct
data = array.array("B", struct.pack("II", 0x1f, 0)) # ETHTOOL_STSO
fcntl.ioctl(socket.socket(socket.AF_INET, socket.SOCK_DGRAM), 0x8946, struct.pack("16sP", b"nic0", data.buffer_info()[0]))
"""


class Host:
    """A machine with two NICs: a network namespace, and a /run of its own."""

    def __init__(self):
        need_root()
        need_program("ip", "unshare", "nsenter")
        self.holder = subprocess.Popen(["unshare", "-n", "-m", "--propagation", "private", "sh", "-c",
                                        "mount -t tmpfs none /run && echo ready && exec sleep 1000"],
                                       stdout=subprocess.PIPE, text=True)
        check_equal(self.holder.stdout.readline(), "ready\n", "the namespaces of the test")
        self.taut = Taut()

    def __enter__(self):
        self.do(MAKE)
        self.enter(sys.executable, "-c", SWITCH_OFF)
        return self

    def __exit__(self, *_):
        self.measure_over()
        self.taut.__exit__()
        self.holder.kill()
        self.holder.wait()
        self.holder.stdout.close()

    def measure_over(self):
        """What is owed must be put back in these namespaces, before they end."""
        if list((self.taut.folder / "state").glob("journal-*.json")):
            self.run("clean")

    @property
    def within(self):
        return ["nsenter", "-t", str(self.holder.pid), "-n", "-m"]

    def enter(self, *command, check_it=True):
        return subprocess.run([*self.within, *command], capture_output=True, text=True, timeout=60, check=check_it).stdout

    def do(self, script):
        self.enter("sh", "-e", "-c", script)

    def start(self, *arguments, **options):
        return self.taut.start(*arguments, command=[*self.within, TAUT], **options)

    def run(self, *arguments, **options):
        return self.start(*arguments, **options).wait()

    def lend(self):
        """A trial that has both devices, and goes on until it is ended."""
        running = self.start("measure", "udp_rr", "--duration", "300s", "--attachment", "device", *CABLE)
        for device in ("nic0", "nic1"):
            wait_until(lambda: device not in self.enter("ip", "link"), 20, f"{device} to be taken")
        return running

    def measure(self, *arguments, workload="udp_rr", **options):
        return self.run("measure", workload, *QUICK, *arguments, **options)

    def picture(self):
        """Names, MAC addresses, MTU, up or down, addresses; features; routes; and what taut leaves in /run.  What the
        kernel does a moment later by itself is left out: carrier, and IPv6 addresses of the link."""
        links = re.sub(r"NO-CARRIER,|,LOWER_UP|,M-DOWN| state \w+| tentative| qdisc no\w+", "", self.enter("ip", "-details", "address"))
        links = re.sub(r"    inet6 fe80.*\n.*\n", "", links)
        routes = self.enter("sh", "-c", "ip route; ip -6 route | grep -v fe80", check_it=False).replace(" linkdown", "")
        left = self.enter("sh", "-c", "find /run -mindepth 1 ! -name taut.lock; grep /run/taut /proc/mounts", check_it=False)
        return links + self.enter(sys.executable, "-c", FEATURES) + routes + left

    def same(self, before, what):
        try:  # the kernel ends namespaces, with the macvlans in them, a moment later
            wait_until(lambda: self.picture() == before, 5, what)
        except Failed as why:
            raise Failed(f"{what}: the devices differ:\n{self.picture()}\nbefore:\n{before}") from why


@test("a device is lent to a native target and to a container, measured over, and comes back as it was")
def _():
    with Host() as host:
        before = host.picture()
        oci = [("container", "--runtime", "oci")] if oci_runtimes() else []
        for target in (("native",), ("container", "--runtime", "netns"), *oci):
            trial = host.measure("--target", *target, "--attachment", "device", *CABLE, "--json").wants(0).json
            check_equal(trial["settings"]["device"], "nic0", "the device in the record")
            mtu = [c["before"] for c in trial["conditions"] if c["what"] == "mtu" and c["object"] == "nic0"]
            check_equal(mtu, ["1400"], "the MTU of the device")
            host.same(before, " ".join(target))


@test("a device that is down is brought up for the trial, and down again")
def _():
    with Host() as host:
        host.do("ip link set nic1 down")
        before = host.picture()
        host.measure("--attachment", "device", *CABLE, "--mtu", "1300").wants(0)
        host.same(before, "a device that was down")


@test("after kill -9 at any moment `taut clean` brings devices back with name, addresses, MTU, features")
def _():
    moments = random.Random(SEED)
    print(f"# TAUT_SEED={SEED} TAUT_DEVICE_KILLS={KILLS}")
    with Host() as host:
        before = host.picture()
        begin = time.monotonic()
        host.measure("--attachment", "device", *CABLE).wants(0)
        usual = time.monotonic() - begin
        for number in range(KILLS):
            running = host.start("measure", "udp_rr", *QUICK, "--attachment", "device", *CABLE)
            after = moments.random() * usual
            time.sleep(after)
            running.process.send_signal(signal.SIGKILL)
            running.process.wait()
            host.run("clean").wants(0)
            host.same(before, f"kill {number} after {after * 1000:.0f} ms")


@test("what tuning sets of a device while it is lent is put back before it goes home, after kill -9 as well")
def _():
    tuned = ("--profile", "low-latency", "--attachment", "device", *CABLE)
    with Host() as host:
        sysfs = host.taut.folder / "sys"
        sysfs.mkdir()
        host.do(f"mount -t sysfs none {sysfs}")
        steering = f"{sysfs}/class/net/nic0/queues/rx-0/rps_cpus"
        host.do(f"echo 3 > {steering}")
        before, usual = host.picture(), host.enter("cat", steering)
        trial = host.measure(*tuned, "--json").wants(0).json
        set_there = [k["status"] for k in trial["effective_knobs"] if k["id"] == "link-rps" and k["before"] == usual.strip()]
        check_equal(set_there, ["effective"], "RPS of nic0 while it was lent")
        check_equal(host.enter("cat", steering), usual, "RPS of nic0 after the trial")
        running = host.start("measure", "udp_rr", "--duration", "20s", *tuned)
        journals = lambda: "".join(j.read_text() for j in (host.taut.folder / "state").glob("journal-*.json"))
        wait_until(lambda: "rps_cpus" in journals(), 30, "the live stage of tuning")
        time.sleep(0.5)
        running.process.send_signal(signal.SIGKILL)
        running.process.wait()
        host.run("clean").wants(0, "put back /sys/class/net/nic0/queues/rx-0/rps_cpus")
        host.same(before, "a device that was tuned")
        check_equal(host.enter("cat", steering), usual, "RPS of nic0 after kill -9")


@test("a device that is away under another name is found by its MAC address, and has its own name again")
def _():
    with Host() as host:
        before = host.picture()
        running = host.lend()
        running.process.send_signal(signal.SIGKILL)
        running.process.wait()
        held = host.enter("sh", "-c", "ls /run/taut/*/taut-server.netns").strip()
        host.do(f"nsenter --net={held} sh -c 'ip link set nic0 down && ip link set nic0 name dev9'")
        host.run("clean").wants(0, "put back name of nic0", "put back namespace of nic0")
        host.same(before, "a device that was renamed")


@test("a device whose name was taken meanwhile comes home under another one, exit 6; `taut clean` names it when it can")
def _():
    with Host() as host:
        before = host.picture()
        running = host.lend()
        host.do("ip link add nic0 type veth peer name strange")
        running.process.send_signal(signal.SIGINT)
        running.wait().wants(6, "cannot give back a device", "name of nic0")
        check_in("back-334455", host.enter("ip", "link"), "links of the machine")
        host.run("clean").wants(6, "could not put back name of nic0")
        host.do("ip link delete nic0")
        host.run("clean").wants(0, "put back name of nic0")
        host.same(before, "a device whose name was taken")


@test("what cannot be lent is refused before anything is touched, and a dry run borrows nothing")
def _():
    device, pair = ("--attachment", "device"), ("--attachment", "device", *CABLE)
    rows = (
        ("", ("--attachment", "device", "--device", "nic9", "--client-device", "nic1"), 1, "cannot find link nic9"),
        ("", (*device, "--device", "0000:99:00.0", "--client-device", "nic1"), 1, "there is no such PCI function"),
        ("", (*device, "--device", "nic0"), 2, "the device at the other end of the cable"),
        ("", (*device, "--device", "nic0", "--client-device", "nic0"), 1, "a cable has two"),
        ("", ("--attachment", "veth", "--device", "nic0"), 2, "it takes none"),
        ("", ("--attachment", "vf", *CABLE), 5, "it is no PCI function"),
        ("", (*pair, "--target", "vm", "--path", "vhost"), 2, "the machine has the device itself"),
        ("ip route add default via 10.9.0.2", pair, 5, "the default route leads over nic0"),
        ("ip route add 10.77.0.0/16 via 10.9.0.2", pair, 5, "a route to 10.77.0.0/16 leads over nic0"),
        ("ip link add br0 type bridge; ip link set nic1 master br0", pair, 5, "nic1 is a port of br0"),
        ("ip link add above link nic0 type macvlan", pair, 5, "above stands on it"),
        ("tc qdisc add dev nic0 root tbf rate 1gbit burst 100k latency 1ms", pair, 5, "its queueing discipline tbf"),
        ("ip link set nic0 down", ("--attachment", "macvlan", "--device", "nic0"), 5, "it is down"),
    )
    for script, words, code, text in rows:
        with Host() as host:
            if script:
                host.do(script)
            before = host.picture()
            host.measure(*words).wants(code, text)
            check_equal(host.picture(), before, text)
    with Host() as host:
        before = host.picture()
        login = {"SSH_CONNECTION": "10.9.0.2 50000 10.9.0.1 22"}
        host.measure(*pair, environment=login).wants(5, "your own login may be one")
        host.measure(*pair, "--dry-run").wants(0)
        check_equal(host.picture(), before, "refused and planned")
        check_equal(list((host.taut.folder / "state").glob("journal-*")), [], "journals")


@test("macvlans stand on a device of the machine, which stays where it is")
def _():
    with Host() as host:
        before = host.picture()
        for words in ((), ("--client-device", "nic1"), ("--target", "container", "--runtime", "netns", "--ipv6")):
            host.measure("--attachment", "macvlan", "--device", "nic0", *words).wants(0, "median")
            host.same(before, " ".join(words))


def inside_guest(trial):
    """What the server's guest tells of its NIC."""
    return {c["what"]: c["before"] for c in trial["conditions"] if c["object"].startswith("server ")}


@test("a virtual machine has a macvtap where a container has a macvlan")
def _():
    machines.kernels()
    with Machines() as taut:
        trial = taut.measure("--target", "vm", "--accel", "tcg", "--attachment", "macvlan", "--json").wants(0).json
        check_in("taut-tap", [c["object"] for c in trial["conditions"] if c["what"] == "mtu"], "the links of the trial")
        told = inside_guest(trial)
        check_equal((told.get("device_driver"), told.get("mtu"), told.get("queues")), ("virtio_net", "1500", "1 rx 1 tx"),
                    f"what the guest tells of its NIC, {told}")


@test("the experiment devices has emulated hosts with NICs in any case, and NICs of this machine where two are named")
def _():
    emulated_cells = {(target, attachment, workload, "lab:stock") for target in ("container", "vm")
                      for attachment in ("device", "vf") for workload in ("udp_rr", "tcp_rr")}
    own_cells = {(target, attachment, workload, "local") for target, attachment, workload, _ in emulated_cells}

    def cells(plan, which):
        baselines = [next(iter(cell["settings"].values())) for cell in plan[which]]
        return {(s["target"], s["attachment"], s["workload"], s["site"]) for s in baselines}

    need_oci()
    machines.kernels()
    with Machines() as taut, Host() as host:
        plan = taut.run("run", "devices", "--dry-run", "--json").wants(0).json
        check_equal(cells(plan, "cells"), emulated_cells, "the cells without NICs")
        check_equal(cells(plan, "skipped"), own_cells, "the cells without NICs that are skipped")
        for cell in plan["cells"]:
            arms = {name: (s["site"], s["profile"], s["share"]) for name, s in cell["settings"].items()}
            check_equal(arms, {"stock": ("lab:stock", "stock", "target"), "rt kernel only": ("lab:rt", "stock", "target"),
                               "tuning only": ("lab:stock", "low-latency", "target"),
                               "both": ("lab:rt", "low-latency", "target")}, f"the arms of {cell['cell']}")
        plan = host.run("run", "devices", "--device", "nic0,nic1", "--dry-run", "--json",
                        environment=taut.environment).wants(0).json
        own = cells(plan, "cells") & own_cells
        check_equal({cell[:2] for cell in own}, {("container", "device")}, "the cells with two NICs that have no functions")
        for cell in plan["skipped"]:
            check("no device of this machine is named" not in cell["reason"], f"{cell['cell']}: {cell['reason']}")


# --- emulated hosts with NICs ------------------------------------------------------------------------------------------

WAYS = (("native", "device"), ("native", "vf"), ("vm", "device"), ("vm", "vf"))
LENT = WAYS if LONG else WAYS[:2]
NICS = ("--device", "0000:01:00.0", "--client-device", "0000:02:00.0")
BORROW = r"""
one() { # FUNCTION: its driver, and all that is set
	local f=/sys/bus/pci/devices/$1
	echo "$1: driver $(readlink $f/driver), override $(<$f/driver_override), functions $(<$f/sriov_numvfs), probed $(<$f/sriov_drivers_autoprobe)"
}
devices() {
	one 0000:01:00.0; one 0000:02:00.0; ls /sys/bus/pci/devices; ls /sys/class/net
	ip -o -d link show nic0 | sed 's/NO-CARRIER,//; s/,LOWER_UP//; s/ state [A-Z]*//; s/ qdisc [a-z]*//; s/^[0-9]*//'
	ip -o address show nic0 | grep -v fe80 | sed 's/^[0-9]*//'; ls /run/taut
	ethtool -k nic0 | grep ': on'; ethtool -c nic0 | grep usecs:
} 2>/dev/null
carrier() { local n=0; until [ "$(cat /sys/class/net/nic0/carrier 2>/none)" = 1 ] || [ $((n++)) = 300 ]; do sleep 0.1; done; }
as_before() { local n=0; until [ "$before" = "$(devices)" ]; do [ $((n++)) = 50 ] && return 1; sleep 0.2; done; }
round() { # TARGET ATTACHMENT SECONDS
	carrier
	taut measure udp_rr --duration 20s --target $1 --attachment $2 NICS > /said 2>&1 & pid=$!
	sleep $3; kill -9 $pid; wait $pid; taken=$(devices)
	taut clean > /cleaned 2>&1; code=$?
	[ "$taken" = "$before" ] && when="before it was taken" || when="taken"
	as_before && [ $code = 0 ] && { echo "round $*: as before, $when"; return; }
	echo "round $*: differs, clean gave $code: $(</cleaned) $(</said)"
	section "differs $*"; echo "$before"; section "from $*"; devices; section rounds
} 2>/none
unplugged() { # while it is lent; after that it is back, with the settings of its driver
	carrier
	taut measure udp_rr --duration 20s --target native --attachment device NICS > /said 2>&1 & pid=$!
	until [ ! -e /sys/class/net/nic0 ] && [ ! -e /sys/class/net/nic1 ]; do sleep 0.1; done
	sleep 1; kill -9 $pid; wait $pid
	echo 1 > /sys/bus/pci/devices/0000:01:00.0/remove
	taut clean > /cleaned 2>&1; echo "clean gave $?"; grep "gone for now: addresses of nic0" /cleaned
	echo 1 > /sys/bus/pci/rescan
	taut clean > /cleaned 2>&1; echo "clean gave $?"; cat /cleaned
	as_before && echo "as before" || { cat /cleaned; section "differs unplugged"; echo "$before"; section "from unplugged"; devices; }
} 2>/none
: > /none
for f in 1 2; do ip link set $(ls /sys/bus/pci/devices/0000:0$f:00.0/net) name nic$((f - 1)); done
ip link set nic0 mtu 1400; ip link set nic0 up; ip link set nic1 up
ip address add 10.9.0.1/24 dev nic0
ethtool -K nic0 tso off gso off; ethtool -C nic0 rx-usecs 50
before=$(devices)
section before; echo "$before"
section rounds
""".replace("NICS", " ".join(NICS))


@test("an emulated host lends a NIC and a virtual function, and what passes is measured")
def _():
    machines.kernels()
    machines.need_nics()
    with Machines() as taut:
        for target, attachment in LENT:
            result = taut.measure("--target", target, "--attachment", attachment, "--device", "igb", "--site", "lab:stock",
                                  "--json", workload="udp_rr", seconds=900)
            what = f"{target} over {attachment}"
            check(result.out, f"{what}: no record\n{result}")
            trial = result.json
            check_equal((trial["outcome"], trial["reason"]), ("done", None), what)
            check(trial["transactions"] > 0, f"{what}: no transaction\n{result}")
            kinds = {c["what"] for c in trial["conditions"]}
            told = {"device_driver", "line_rate_bps", "moderation", "offloads", "queues"}
            check(told <= kinds, f"{what}: conditions are {kinds}")
            inside = inside_guest(trial)
            check_equal(told | {"mtu"} <= set(inside), target == "vm", f"{what}: told from inside a guest are {inside}")
            check_equal(inside.get("device_driver"), {"device": "igb", "vf": "igbvf"}[attachment] if target == "vm" else None,
                        f"{what}: the driver in the guest")


@test("NICs and virtual functions of an emulated host come back after kill -9, with driver, name and addresses")
def _():
    need_program("ethtool")
    moments = random.Random(SEED)
    print(f"# TAUT_SEED={SEED}")
    rounds = [f"round {target} {attachment} {moments.uniform(0.5, 12 if target == 'native' else 60):.1f}"
              for target, attachment in LENT for _ in range(3 if LONG else 1)]
    with emulated.machine() as taut:
        said = emulated.run(taut, emulated.script(BORROW, *rounds, "section unplugged; unplugged"), options=("--device", "igb"), seconds=1200)
    told = said["rounds"]
    print("\n".join(f"# {line}" for line in said["unplugged"]))
    print("\n".join(f"# {line}" for line in [*said["before"], *told]))
    for name in [n for n in said if n.startswith("differs")]:
        emulated.same(said[name], said["from" + name[len("differs"):]], "\n".join(told))
    check_equal(len([line for line in told if ": as before" in line]), len(rounds), "rounds that were as before")
    check_equal([line for line in said["unplugged"] if line.startswith(("clean gave", "as before"))],
                ["clean gave 6", "clean gave 0", "as before"], "unplugged while it was lent:\n" + "\n".join(said["unplugged"]))
    check(any(line.endswith("before, taken") for line in told), "no device was ever taken:\n" + "\n".join(told))


if __name__ == "__main__":
    sys.exit(main())
