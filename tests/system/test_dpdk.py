# SPDX-License-Identifier: GPL-3.0-or-later
"""The driver dpdk: ends that move packets past the kernel, on a link, through shared memory, out of a guest.

Without taut-agent-dpdk, which is built where libdpdk-dev is installed, only what is said then can be tested.
"""
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time

import agent
import noise
from machines import BOOT_S, Machines, kernels, need_nics
from noise import timed
from tap import AGENT, BUILD, LONG, TAUT, Failed, Taut, check, check_equal, check_in, comm_of, is_below, main, need_root, skip, \
    test, threads_of, wait_until

PROGRAM = BUILD / "taut-agent-dpdk"
# A busy machine may stop an end for long.
BRIEF = ("--duration", "300ms", "--warmup", "50ms", "--timeout", "5s")
SOCKET, LINK, MEMORY = None, "af_packet", "vhost"
# What the ends are where they share memory.
SHARING = {"vhost-user": {"client": MEMORY, "server": "virtio_user"}, "memif": {"client": "memif", "server": "memif"}}


def need_dpdk(cpus=2):
    need_root()
    if not PROGRAM.exists():
        skip("this build has no taut-agent-dpdk: libdpdk-dev is not installed", "dpdk")
    if os.cpu_count() < cpus:
        skip(f"ends that poll need {cpus} CPUs")


def whole(result):
    """The trial, which went well."""
    if not result.out:
        result.wants(0)
    trial = result.json
    check_equal((trial["outcome"], trial["reason"], trial["not_verified"]), ("done", None, None), "the trial")
    noise.check(result.code == 0, f"exit code {result.code}, flags {trial['flags']}")  # a schedule that is missed
    return trial


def measured(taut, *arguments, seconds=120):
    trial = whole(taut.run("measure", "udp_rr", *BRIEF, "--json", *arguments, seconds=seconds))
    check(trial["transactions"] > 10, f"only {trial['transactions']} transactions")
    check_equal((trial["lost"], trial["dead_flows"], trial["reordered"]), (0, 0, 0), "lost, dead flows, reordered")
    return trial


def ways(trial):
    return {end["role"]: end["driver_mode"] for end in trial["ends"]}


@test("each end of a link can be DPDK's, and the kernel at the other end is told nothing else")
def on_a_link():
    need_dpdk()
    with Taut() as taut:
        for driver, client, server in (("dpdk", LINK, LINK), ("dpdk:socket", LINK, SOCKET),
                                       ("socket:dpdk", SOCKET, LINK), ("dpdk:spin", LINK, SOCKET)):
            trial = measured(taut, "--driver", driver)
            check_equal(ways(trial), {"client": client, "server": server}, f"ways of driver {driver}")


@test("a bridge, a macvlan, an open loop, datagrams as large as a frame, many in flight, a port of the user's choice")
@timed
def settings():
    need_dpdk()
    with Taut() as taut:
        measured(taut, "--driver", "dpdk", "--attachment", "bridge", "--port", "4242")
        measured(taut, "--driver", "dpdk", "--attachment", "macvlan", "--target", "container", "--runtime", "netns")
        measured(taut, "--driver", "dpdk", "--rate", "500")
        measured(taut, "--driver", "dpdk", "--burst", "16", "--request", "1472", "--reply", "1472")
        measured(taut, "--driver", "dpdk", "--mtu", "3000", "--request", "2972", "--reply", "2972")


@test("two namespaces share memory, and there is no link between them")
def shared_memory():
    need_dpdk()
    with Taut() as taut:
        for attachment, sharing in SHARING.items():
            for target in (("native",), ("container", "--runtime", "netns")):
                trial = measured(taut, "--driver", "dpdk", "--attachment", attachment, "--target", *target)
                check_equal(ways(trial), sharing, f"ways over {attachment}")
                check_equal([c for c in trial["conditions"] if c["what"] == "mtu"], [], "MTUs of links")
            measured(taut, "--driver", "dpdk", "--attachment", attachment, "--port", "4242", "--burst", "16", "--mtu", "3000",
                     "--request", "2972", "--reply", "2972")


@test("the frames of a guest are taken out of its memory")
def guest():
    need_dpdk()
    kernels()
    with Machines() as taut:
        trial = measured(taut, "--driver", "dpdk:socket", "--target", "vm", "--accel", "tcg", "--attachment",
                         "vhost-user", seconds=BOOT_S + 60)
        check_equal(ways(trial), {"client": MEMORY, "server": SOCKET}, "ways")
        check_equal(trial["settings"]["path"], "vhost-user", "path")


# Both ends by themselves, one on a NIC and one on a virtual function; with --long each beside a kernel.
NICS = [("vf", "dpdk", "e1000_igb", "e1000_igb_vf")]
MORE_NICS = [("device", "dpdk:socket", "e1000_igb", SOCKET), ("vf", "socket:dpdk", SOCKET, "e1000_igb_vf")]


@test("an end drives a NIC of an emulated host itself, and a virtual function")
def nics():
    need_dpdk()
    kernels()
    need_nics()
    with Machines() as taut:
        for attachment, driver, client, server in NICS + (MORE_NICS if LONG else []):
            trial = measured(taut, "--site", "lab:stock", "--device", "igb", "--attachment", attachment, "--driver", driver,
                             seconds=900)
            check_equal(ways(trial), {"client": client, "server": server}, f"ways of {driver} over {attachment}")


def busy_end(running, name):
    """The PID of an end of a trial that has its flow: DPDK has threads before."""
    def look():
        if running.process.poll() is not None:
            raise Failed(f"ended before it had a {name}\n{running.result(running.process.returncode)}")
        return next((int(pid) for pid in filter(str.isdigit, os.listdir("/proc"))
                     if comm_of(pid) == name and is_below(int(pid), running.pid)
                     and any(comm_of(tid) == "taut-flow" for tid in threads_of(pid))), 0)
    return wait_until(look, 20, name)


@test("a request that is not answered in time is counted as lost, and a server waits for the next one for ever")
@timed
def losses():
    need_dpdk()
    with Taut() as taut:
        for name, least in (("taut-server", 1), ("taut-client", 0)):
            running = taut.start("measure", "udp_rr", "--driver", "dpdk", "--json", "--duration", "3s",
                                 "--timeout", "400ms")
            end = busy_end(running, name)
            time.sleep(1)
            os.kill(end, signal.SIGSTOP)
            time.sleep(0.6)
            os.kill(end, signal.SIGCONT)
            trial = whole(running.wait())
            noise.check(trial["lost"] >= least and trial["dead_flows"] == 0,
                        f"{name} stopped: lost {trial['lost']}, dead flows {trial['dead_flows']}")


def below_run():
    return sorted(str(p) for folder in ("/run/taut", "/run/dpdk", "/var/run/dpdk", "/tmp/dpdk")
                  for p in pathlib.Path(folder).rglob("*"))


def left_by(pid):
    return [p for p in below_run() if f"/{pid}-" in p]


@test("a taut that is killed takes its ends along, and nothing of DPDK's is left")
def killed():
    need_dpdk()
    with Taut() as taut:
        for attachment in ("veth", *SHARING):
            before = set(below_run())
            running = taut.start("measure", "udp_rr", "--driver", "dpdk", "--attachment", attachment, "--duration", "60s")
            ends = [busy_end(running, name) for name in ("taut-client", "taut-server")]
            os.kill(running.pid, signal.SIGKILL)
            running.process.wait()
            wait_until(lambda: not any(comm_of(pid).startswith("taut-") for pid in ends), 10, "the end of both ends")
            taut.run("clean").wants(0)
            check_equal(left_by(running.pid), [], "files of the killed one")
            check_equal([p for p in below_run() if not p.startswith("/run/taut") and p not in before], [], "files of DPDK")


def agent_with(device, folder, program=PROGRAM):
    end = agent.Agent.__new__(agent.Agent)
    end.stream, theirs = socket.socketpair()
    end.process = subprocess.Popen(
        [program, "endpoint", "taut-client", device, "10.87.0.1"], pass_fds=(3,), stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, env={**os.environ, "RUNTIME_DIRECTORY": folder},
        preexec_fn=lambda: os.dup2(theirs.fileno(), 3))
    theirs.close()
    return end


@test("an end has its device before its first word, says nothing else, and ends with its stream")
def alone():
    need_dpdk(1)
    with tempfile.TemporaryDirectory() as folder:
        end = agent_with(f"net_vhost0,iface={folder}/socket", folder)
        end.expect(agent.HELLO)
        check(pathlib.Path(folder, "socket").is_socket(), "there is no socket")
        own = os.sched_getaffinity(0)
        for tid in os.listdir(f"/proc/{end.process.pid}/task"):
            check_equal(os.sched_getaffinity(int(tid)), own, f"CPUs of thread {tid}")
            check_equal(os.sched_getscheduler(int(tid)), os.SCHED_OTHER, f"class of thread {tid}")
        end.stream.close()
        check_equal(end.process.wait(20), 1, "exit status")
        check_equal(end.process.communicate(), ("", ""), "what it said")


@test("a device that is none is named with the reason")
def bad_device():
    need_dpdk(1)
    with tempfile.TemporaryDirectory() as folder:
        for device, reason in (("net_af_packet0,iface=nolink", "No such device"),
                               (f"net_virtio_user0,path={folder}/none", "No such file"),
                               (f"net_memif0,role=client,socket-abstract=no,socket={folder}/none", "Failed to connect socket"),
                               ("net_nothing0", "net_nothing0")):
            end = agent_with(device, folder)
            check_equal(end.process.wait(20), 1, f"exit status with {device}")
            said = end.process.communicate()[1]
            check_in(f"cannot use device '{device}' by DPDK", said, "message")
            check_in(reason, said, "message")
            end.stream.close()


@test("the agent without DPDK has no devices")
def other_agent():
    end = agent_with("net_af_packet0,iface=lo", "/nonexistent", AGENT)
    check_equal(end.process.wait(20), 2, "exit status")
    check_in("cannot use device 'net_af_packet0,iface=lo': this program has no driver for it",
             end.process.communicate()[1], "message")
    end.stream.close()


@test("a build without DPDK says so, and what to install")
def not_built():
    need_root()
    with Taut() as taut:
        for program in (TAUT, AGENT):
            shutil.copy(program, taut.folder)
        for extra in ((), ("--dry-run",)):
            result = taut.run("measure", "udp_rr", "--driver", "dpdk", *extra, command=[taut.folder / "taut"])
            check(result.code != 0 or extra, f"it was measured\n{result}")
            check_in("this build has no taut-agent-dpdk (try: install libdpdk-dev and build taut again)",
                     result.out + result.err, "message")
        result = taut.run("measure", "udp_rr", "--driver", "dpdk", environment={"TAUT_AGENT_DPDK": "/nonexistent"})
        result.wants(1, "/nonexistent", "TAUT_AGENT_DPDK")


MISTAKES = [  # arguments, what the message must hold
    (("tcp_rr", "--driver", "dpdk"), ["driver dpdk", "workload tcp_rr", "udp_rr"]),
    (("udp_rr", "--driver", "dpdk", "--ipv6"), ["driver dpdk", "IPv6"]),
    (("udp_rr", "--driver", "dpdk", "--flows", "2"), ["driver dpdk", "2 flows"]),
    (("udp_rr", "--driver", "dpdk", "--reply", "1473"), ["driver dpdk", "1473 bytes"]),
    (("udp_rr", "--attachment", "vhost-user"), ["vhost-user", "driver socket", "try: driver dpdk)"]),
    (("udp_rr", "--attachment", "vhost-user", "--driver", "dpdk:spin"), ["vhost-user", "driver spin"]),
    (("udp_rr", "--attachment", "memif", "--driver", "xdp:dpdk"), ["memif", "driver xdp", "try: driver dpdk)"]),
    (("tcp_rr", "--attachment", "memif", "--driver", "dpdk"), ["driver dpdk", "workload tcp_rr"]),
    (("udp_rr", "--attachment", "memif", "--driver", "dpdk:socket", "--target", "vm"), ["memif", "target vm", "vhost-user"]),
    (("udp_rr", "--attachment", "memif", "--driver", "dpdk", "--target", "container"), ["memif", "runtime oci"]),
    (("udp_rr", "--attachment", "vhost-user", "--target", "vm"), ["vhost-user", "try: driver dpdk:socket)"]),
    (("udp_rr", "--attachment", "vhost-user", "--target", "vm", "--driver", "dpdk:socket", "--path", "vhost"),
     ["path vhost", "attachment vhost-user"]),
    (("udp_rr", "--target", "vm", "--path", "vhost-user"), ["path vhost-user", "attachment bridge"]),
    (("udp_rr", "--attachment", "vhost-user", "--target", "vm", "--driver", "dpdk:socket", "--vcpus", "2", "--queues", "2"),
     ["vhost-user", "2 queues"]),
    (("udp_rr", "--driver", "dpdk", "--target", "container"), ["runtime oci", "try: runtime netns"]),
    (("udp_rr", "--driver", "dpdk", "--target", "vm"), ["server's end", "try: driver dpdk:socket"]),
]


@test("what the driver cannot do is refused before anything is made")
def mistakes():
    need_root()
    if os.cpu_count() < 2:
        skip("ends that poll need 2 CPUs, which is said first")
    with Taut() as taut:
        for arguments, wanted in MISTAKES:
            result = taut.run("measure", *arguments, "--duration", "50ms")
            check(result.code != 0, f"exit status 0\n{result}")
            for text in wanted:
                check_in(text, result.err, " ".join(arguments))


main()
