#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Containers by Docker and Podman, in an engine of the test's own: every attachment, what is left after a kill, what is
refused before anything is touched, and containers that run already."""
import contextlib
import glob
import json
import signal
import subprocess

import tap
from engines import Engine
from nobody import UsersTaut
from tap import Taut, check, check_equal, check_in, need_root, test, wait_until

_running = {}


def engine(kind):
    """One for all tests; Docker's is the one that most of them want."""
    if kind not in _running:
        _running[kind] = Engine(kind)
    return _running[kind]


SHORT = ("--transactions", "500")  # not by time: on a busy machine nothing may come through for a while


def measure(taut, where, *options, runtime="docker", wants=0, length=SHORT, **more):
    result = taut.run("measure", "tcp_rr", "--target", "container", "--runtime", runtime, *length, *options,
                      "--json", command=where.inside(tap.TAUT), seconds=120, **more)
    if wants is None:
        return result
    reason = result.json.get("reason") if result.out.startswith("{") else ""
    check(result.code == wants, f"exit {result.code}, wanted {wants}: {reason} {result}")
    return result


def same(where, before, what):
    """Links and cgroups that are ending get a moment."""
    found = []

    def settled():
        after = where.picture()
        found[:] = [f"{key}: before {before[key]}, after {after[key]}" for key in before if before[key] != after[key]]
        return not found
    try:
        wait_until(settled, 5, "what was there before")
    except tap.Failed as why:
        raise tap.Failed(f"{what}: {why}: " + "\n".join(found)) from why


def in_trial(where):
    """The container of a trial: a server that only tries whether one can be made has no threads."""
    def look():
        for container in (c["Id"] for c in where.ask("GET", "/containers/json")):
            with contextlib.suppress(tap.Failed):  # it may be gone by now
                pid = where.pid(container)
                if tap.comm_of(pid) == "taut-server" and len(tap.threads_of(pid)) > 1:
                    return container
        return None
    return wait_until(look, 60, "a container whose server measures")


def every_attachment(kind):
    need_root()
    where = engine(kind)
    with Taut() as taut:
        measure(taut, where, "--attachment", "engine", runtime=kind)  # with its first container an engine makes its rules
        before = where.picture()
        for attachment in ("engine", "host", "bridge", "veth"):
            result = measure(taut, where, "--attachment", attachment, runtime=kind)
            check(result.json["transactions"] > 0 and result.json["verified"], f"{kind}/{attachment}: {result}")
            check_equal(result.err, "", f"what {kind}/{attachment} says besides")
            same(where, before, f"after {kind}/{attachment}")
            check_equal(list((taut.folder / "state").glob("engine-*")), [], "records in the state folder")
        measure(taut, where, "--attachment", "bridge", "--ipv6", runtime=kind)


@test("a container by Docker is measured over its default bridge, the host's network, and taut's own bridge and veth")
def _():
    every_attachment("docker")


@test("a container by Podman is measured in the same ways")
def _():
    every_attachment("podman")


@test("over the default bridge the packets of a trial go through Docker's DNAT rule, which goes with the trial")
def _():
    need_root()
    where = engine("docker")
    with Taut() as taut:
        running = taut.start("measure", "tcp_rr", "--target", "container", "--runtime", "docker", "--attachment", "engine",
                             "--duration", "60s", "--port", "23456", command=where.inside(tap.TAUT))
        rule = wait_until(lambda: [line for line in where.run("iptables-save", "-c", "-t", "nat").splitlines()
                                   if "DNAT" in line and "--dport 23456" in line and not line.startswith("[0:")], 60,
                          "a DNAT rule that has counted a packet")
        check_in("-d 198.18.87.", rule[0], "published at the host's end of the link and nowhere else")
        running.process.send_signal(signal.SIGINT)
        running.wait().wants(130)
        check("23456" not in where.run("iptables-save", "-t", "nat"), "the rule is still there")


@test("datagrams, several flows and a network of the user's own pass as well; the network stays the user's")
def _():
    need_root()
    where = engine("docker")
    with Taut() as taut:
        where.ask("POST", "/networks/create", {"Name": "own-net"})
        before = where.picture()
        try:
            for workload, flows in (("udp_rr", 3), ("tcp_rr", 4)):
                result = taut.run("measure", workload, "--target", "container", "--runtime", "docker", "--attachment",
                                  "engine:own-net", *SHORT, "--flows", flows, "--json",
                                  command=where.inside(tap.TAUT), seconds=120).wants(0)
                check(result.json["transactions"] > 0, f"{workload}: {result}")
            same(where, before, "after trials on a network of the user's")
        finally:
            where.call("DELETE", "/networks/own-net")


@test("tuned: the server in its container is a realtime task on an isolated CPU, all that is read back is as asked")
def _():
    need_root()
    where = engine("docker")
    with Taut() as taut:
        record = measure(taut, where, "--attachment", "engine", "--profile", "low-latency", "--yes").json
        check(record["verified"], f"not verified: {json.dumps(record['effective_knobs'])[:3000]}")
        knobs = [k for k in record["effective_knobs"] if k["id"] == "endpoint-sched"]
        check(knobs and all(k["status"] == "effective" for k in knobs), f"scheduling: {knobs}")


@test("a CPU quota holds the container back, and the time that it was throttled is counted")
def _():
    need_root()
    where = engine("docker")
    with Taut() as taut:
        record = measure(taut, where, "--attachment", "engine", "--cpu-quota", "5", length=("--duration", "1500ms")).json
        causes = json.dumps(record["worst"])
        check_in("quota", causes, "owners of the slowest transactions")


def killed(kind):
    need_root()
    where = engine(kind)
    with Taut() as taut:
        measure(taut, where, "--attachment", "engine", runtime=kind)
        before = where.picture()
        for options in ((), ("--profile", "low-latency", "--yes")):
            running = taut.start("measure", "tcp_rr", "--target", "container", "--runtime", kind, "--attachment", "engine",
                                 "--duration", "30s", *options, command=where.inside(tap.TAUT))
            in_trial(where)
            tauts = [int(pid) for pid in filter(str.isdigit, tap.os.listdir("/proc"))
                     if tap.comm_of(pid) == "taut" and tap.is_below(int(pid), running.pid)] or [running.pid]
            for pid in tauts:
                tap.os.kill(pid, signal.SIGKILL)
            running.process.wait()
            said = taut.run("clean", command=where.inside(tap.TAUT), seconds=90).wants(0, "removed")
            same(where, before, f"{kind} {options} after taut clean, which said {said.out}")
            taut.run("clean", command=where.inside(tap.TAUT)).wants(0, "nothing to clean")


@test("kill -9 in the middle of a trial by Docker: after taut clean the engine, its rules and the cgroups are as before")
def _():
    killed("docker")


@test("kill -9 in the middle of a trial by Podman: the same")
def _():
    killed("podman")


@contextlib.contextmanager
def somebodys(where, name, **host):
    image = where.image()
    made = where.container(name, image, **host)
    try:
        yield made
    finally:
        where.call("DELETE", f"/containers/{made}?force=true")
        where.call("DELETE", f"/images/{image}?force=true")


@test("another's container and image stay, though they have the name that a dead taut would have given")
def _():
    need_root()
    where = engine("docker")
    name = "taut-999999-1-4026531836"
    with Taut() as taut:
        measure(taut, where, "--attachment", "engine")
        with somebodys(where, name):
            taut.write(f"state/engine-{name}", where.socket, 0o600)
            before = where.picture()
            taut.run("clean", command=where.inside(tap.TAUT)).wants(0)
            same(where, before, "after taut clean")
            check(not glob.glob(str(taut.folder / "state/engine-*")), "the record of a taut that is dead is still there")


@test("no socket, no engine at one, another host's, a network that is not there: said before anything is touched")
def _():
    need_root()
    where = engine("docker")
    listener = ["python3", "-c",
                "import socket, time; s = socket.create_server(('', 23999)); print('listens', flush=True); time.sleep(600)"]
    with Taut() as taut, subprocess.Popen(where.inside(*listener), stdout=subprocess.PIPE, text=True) as busy, \
            contextlib.ExitStack() as stack:
        stack.callback(busy.kill)  # it sleeps for longer than a check that fails should wait
        check_equal(busy.stdout.readline(), "listens\n", "what holds the port")
        before = where.picture()
        for options, environment, words in (
                (("--attachment", "engine:nowhere"), {}, ("engine:nowhere", "nowhere not found")),
                (("--attachment", "engine:../x"), {}, ("no network has such a name",)),
                (("--attachment", "engine", "--ipv6"), {}, ("IPv4",)),
                (("--attachment", "engine", "--mtu", "1400"), {}, ("mtu", "the engine's")),
                (("--attachment", "engine"), {"DOCKER_HOST": "unix:///run/nobody.sock"},
                 ("/run/nobody.sock", "start the engine")),
                (("--attachment", "engine"), {"DOCKER_HOST": "tcp://10.0.0.1:2375"}, ("DOCKER_HOST", "unix:///PATH")),
                (("--attachment", "engine", "--port", "23999"), {}, ("port 23999", "in use")),
                (("--attachment", "engine", "--driver", "xdp"), {}, ("xdp",)),
                (("--attachment", "engine", "--site", "lab", "--runtime", "podman"), {}, ("on an emulated host", "site local")),
                (("--attachment", "engine", "--runtime", "oci"), {}, ("runtime oci", "veth|bridge")),
                (("--cpu-quota", "50", "--runtime", "netns"), {}, ("cpu_quota",))):
            result = measure(taut, where, *options, environment=environment, wants=None)
            check(result.code in (1, 2) and all(w in result.out + result.err for w in words), f"wanted {words}: {result}")
            same(where, before, f"after {options}")
        echo = taut.run("measure", "ping", "--target", "container", "--runtime", "docker", "--attachment", "engine",
                        command=where.inside(tap.TAUT))
        check(echo.code in (1, 2) and "an echo has none" in echo.err, f"ping: {echo}")
        hidden = taut.run("measure", "tcp_rr", "--target", "container", "--runtime", "podman", "--attachment", "engine",
                          environment={"CONTAINER_HOST": ""}, command=where.inside(tap.TAUT))
        check(hidden.code == 1 and "cannot find Podman" in hidden.err, f"no Podman: {hidden}")


@test("nobody is told that it takes root")
def _():
    where = engine("docker")
    with UsersTaut() as taut:
        result = taut.run("measure", "tcp_rr", "--target", "container", "--runtime", "docker", "--attachment", "engine",
                          command=where.inside(*taut.become, taut.program))
        check(result.code == 5 and "run as root" in result.err, f"as nobody: {result}")


@test("what a dead taut has in an engine that does not answer stays owed, and is named")
def _():
    need_root()
    where = engine("docker")
    with Taut() as taut:
        measure(taut, where)
        record = taut.write("state/engine-taut-999999-1-4026531836", "/run/nobody.sock", 0o600)
        result = taut.run("clean", command=where.inside(tap.TAUT))
        check(result.code == 1 and "stays" in result.out and "/run/nobody.sock" in result.out,
              f"wanted what stays: {result}")
        check(glob.glob(record), "the record has gone")


@test("a container that runs already is measured by name, by id and by PID, and nothing of it is changed")
def _():
    need_root()
    where = engine("docker")
    with Taut() as taut, somebodys(where, "web1") as made:
        pid = where.pid("web1")
        inspected, before = where.ask("GET", "/containers/web1/json"), where.picture()
        inside = ["nsenter", "-t", str(pid), "-n", "sh", "-c",
                  "ip addr; ip route; sysctl -a 2>/dev/null | grep ^net.ipv4.conf"]
        network = where.run(*inside)
        for target, environment in (("container:web1", {}), (f"container:{made}", {}), (f"pid:{pid}", {}),
                                    # without the engine, by what runc keeps
                                    (f"container:{made[:12]}", {"DOCKER_HOST": "unix:///run/nobody.sock"})):
            record = taut.run("measure", "tcp_rr", "--target", target, *SHORT, "--json",
                              environment=environment, command=where.inside(tap.TAUT)).wants(0).json
            check(record["transactions"] > 0, f"{target}: {record}")
            same(where, before, f"after {target}")
        check_equal(where.ask("GET", "/containers/web1/json"), inspected, "what Docker says of the container")
        check_equal(where.run(*inside), network, "the network of the container")


@test("no such container, one that has ended, one on the host's network, no such process: refused with the reason")
def _():
    need_root()
    where = engine("docker")
    with Taut() as taut, somebodys(where, "onhost", NetworkMode="host"):
        with somebodys(where, "ended") as ended:
            where.ask("POST", f"/containers/{ended}/kill")
            for target, words in (("container:nobody", "no engine and no runtime here knows it"),
                                  ("container:ended", "does not run"), ("container:onhost", "no wire to it"),
                                  ("pid:4194303", "no process"), ("pid:x", "PID"),
                                  ("container:a/b", "no container has such a name"),
                                  ("container:", "no container has such a name")):
                result = taut.run("measure", "tcp_rr", "--target", target, command=where.inside(tap.TAUT))
                check(result.code in (1, 2) and words in result.err, f"{target}: wanted {words!r}: {result}")


@test("an engine that ends in the middle of a trial: the trial fails with a reason, and taut goes on and ends")
def _():
    need_root()
    with Engine("docker") as where, Taut() as taut:
        running = taut.start("measure", "tcp_rr", "--target", "container", "--runtime", "docker", "--attachment", "engine",
                             "--duration", "20s", command=where.inside(tap.TAUT))
        where.call("POST", f"/containers/{in_trial(where)}/kill")
        result = running.wait(60)
        check(result.code == 1 and "taut-server (docker): killed by SIGKILL" in " ".join(result.out.split()),
              f"wanted the end of the server: {result}")
        check_equal(where.picture()["containers"], [], "containers")


if __name__ == "__main__":
    try:
        tap.main()
    finally:
        for one in _running.values():
            one.end()
