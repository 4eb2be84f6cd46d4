# SPDX-License-Identifier: GPL-3.0-or-later
"""A container engine of the test's own, Docker or Podman: in a mount and a network namespace, with /run in memory.  The
machine's engine, its firewall and its containers are not seen.  Processes and cgroups are not in a namespace; the empty
cgroups that an engine leaves are removed, where they were not there before.  engine_keeper.py ends the engine of a test that
is killed.
"""
import glob
import http.client
import io
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tarfile
import tempfile

import engine_keeper
import picture
from tap import check, skip, wait_until

DOCKER = ("dockerd --data-root {folder}/data --exec-root /run/docker -p /run/docker.pid -H unix://{socket} "
          "--exec-opt native.cgroupdriver=cgroupfs")
PODMAN = ("podman --root {folder}/data --runroot /run/containers --cgroup-manager cgroupfs --runtime runc "
          "system service -t 0 unix://{socket}")
START = """set -e
mount -t tmpfs none /run
mkdir -p /run/podman
ip link set lo up
exec {command}
"""
KINDS = {"docker": (DOCKER, "/run/docker.sock", ("dockerd", "containerd", "runc", "iptables"), "docker"),
         "podman": (PODMAN, "/run/podman/podman.sock", ("podman", "conmon", "runc", "iptables"), "podman")}
BUSYBOX = "/bin/busybox"


class _Connection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("engine", timeout=60)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(60)
        self.sock.connect(self.path)


def need(kind):
    _, _, programs, must = KINDS[kind]
    missing = [name for name in programs + ("unshare", "nsenter") if not shutil.which(name)]
    if missing:
        skip(f"{', '.join(missing)} not installed", must)


class Engine:
    def __init__(self, kind):
        command, self.socket, _, self.must = KINDS[kind]
        self.kind = kind
        need(kind)
        self.cgroups = engine_keeper.cgroups()
        self.folder = tempfile.TemporaryDirectory(prefix="taut-engine-")
        self.log = tempfile.TemporaryFile("w+")
        script = START.format(command=command.format(folder=self.folder.name, socket=self.socket))
        self.process = subprocess.Popen(["unshare", "-m", "-n", "--propagation", "private", "sh", "-c", script],
                                        stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, start_new_session=True)
        self.keeper = subprocess.Popen([engine_keeper.__file__, str(self.process.pid), self.folder.name, *self.cgroups],
                                       stdin=subprocess.PIPE, text=True, start_new_session=True)
        try:
            wait_until(self._answers, 60, kind)
        except BaseException:
            self.end()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()

    def _answers(self):
        if self.process.poll() is not None:
            self.log.seek(0)
            skip(f"{self.kind} does not run here: {self.log.read()[-300:]}", self.must)
        try:
            return self.call("GET", "/version")[0] == 200
        except OSError:
            return False

    def inside(self, *command):
        """A command line that runs where this engine is to be found."""
        return ["nsenter", "-t", str(self.process.pid), "-m", "-n", *map(str, command)]

    def run(self, *command, wants=0):
        done = subprocess.run(self.inside(*command), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, check=False, timeout=60)
        check(wants in (None, done.returncode), f"{command}: exit {done.returncode}\n{done.stdout}")
        return done.stdout

    def call(self, method, path, body=None, tar=None):
        connection = _Connection(f"/proc/{self.process.pid}/root{self.socket}")
        headers = {"Content-Type": "application/x-tar" if tar else "application/json"}
        connection.request(method, f"/v1.41{path}", tar or (json.dumps(body) if body is not None else None), headers)
        answer = connection.getresponse()
        text = answer.read().decode(errors="replace")
        connection.close()
        return answer.status, text

    def ask(self, method, path, body=None, tar=None):
        status, text = self.call(method, path, body, tar)
        check(200 <= status < 300, f"{method} {path}: {status} {text}")
        return json.loads(text) if text.startswith(("{", "[")) and "\n{" not in text else text

    def picture(self):
        """All of the engine that taut must leave as it was; rules without their counters."""
        rules, others = self.run("iptables-save"), picture.Others()
        return {"containers": sorted(c["Id"] for c in self.ask("GET", "/containers/json?all=true")),
                "images": sorted(i["Id"] for i in self.ask("GET", "/images/json?all=true")),
                "networks": sorted(n["Name"] for n in self.ask("GET", "/networks")),
                "rules": sorted(line for line in re.sub(r"\[\d+:\d+\]", "", rules).splitlines() if line[0] != "#"),
                "links": sorted(re.findall(r"^\d+: ([^:@]+)", self.run("ip", "-o", "link"), flags=re.M)),
                "addresses": sorted(re.findall(r"inet6? (\S+)", self.run("ip", "-o", "-4", "addr"))),
                "cgroups": sorted(path for path in glob.glob("/sys/fs/cgroup/taut-[0-9]*") +
                                  glob.glob("/sys/fs/cgroup/*/taut-[0-9]*") if not others.own_name(path)),
                "records": sorted(glob.glob(f"/proc/{self.process.pid}/root/run/taut/*"))}

    def image(self):
        """An image with busybox and nothing else, which is not taut's."""
        if not os.path.exists(BUSYBOX):
            skip(f"there is no {BUSYBOX}", self.must)
        room = io.BytesIO()
        with tarfile.open(fileobj=room, mode="w") as tar:
            tar.add(os.path.realpath(BUSYBOX), arcname="busybox")
        said = self.ask("POST", "/images/create?fromSrc=-", tar=room.getvalue())
        return re.findall(r"sha256:([0-9a-f]{64})", json.dumps(said))[-1]

    def container(self, name, image, **host):
        """A container of somebody else's, which sleeps."""
        limits = [{"Name": n, "Soft": 1024, "Hard": 1024} for n in ("nofile", "nproc")]
        made = self.ask("POST", f"/containers/create?name={name}",
                        {"Image": image, "Entrypoint": ["/busybox"], "Cmd": ["sleep", "600"],
                         "HostConfig": {"Ulimits": limits, **host}})["Id"]
        self.ask("POST", f"/containers/{made}/start")
        return made

    def pid(self, name):
        return self.ask("GET", f"/containers/{name}/json")["State"]["Pid"]

    def end(self):
        """With all its containers."""
        if self.process.poll() is None:
            try:
                for c in self.ask("GET", "/containers/json?all=true"):
                    self.call("DELETE", f"/containers/{c['Id']}?force=true&v=true")
            except Exception:  # it may be what has failed
                pass
            self.process.terminate()
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()
        self.log.close()
        self.keeper.communicate("done")
        engine_keeper.remove(engine_keeper.cgroups() - self.cgroups)
        self.folder.cleanup()
