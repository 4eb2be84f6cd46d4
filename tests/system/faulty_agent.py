# SPDX-License-Identifier: GPL-3.0-or-later
"""An agent that does what TAUT_TEST_FAULT says (JSON); named to taut by TAUT_AGENT, see faults.py.

It is started like an agent, with the control stream as fd 3.  It misbehaves in one role (`role`); in the other it is
the real agent.

  {"do": "relay", "options": [...]}    the real agent behind taut-relay, whose port the client is told; with ping,
                                       taut-relay in the place of its kernel
  {"do": "bytes", "hex": "..."}        these bytes instead of HELLO, then silence
  {"do": "occupy", "port": P}          the real agent, but this port is taken, TCP and UDP
  {"do": "refuse", "text": "..."}      a server that hears its client, does not take it, and says why
  {"do": "silent"}                     nothing at all
  {"do": "exit", "code": N}            ends at once, with a message on stderr
  {"do": "chatter"}                    writes to stderr without end, and nothing else
  {"do": "frame", "type": T, "body": …}        this frame instead of HELLO, then silence
  {"do": "die", "type": T, "after_ms": N}      the real agent, killed so long after a frame of this type
  {"do": "rewrite", "type": T, "set": {…}, "add": {…}, "drop": […], "stretch": NS}
                                       the real agent, but frames of this type are changed: members set, or numbers
                                       added to them, or left out, and ended_ns set to so much after started_ns
  {"do": "instead", "type": T, "head": "…", "part": "…", "times": N, "cut": N}
                                       the real agent, but a frame of this type is these bytes: a frame of the JSON
                                       text head and N times part, cut off after so many bytes; then silence
  {"do": "flood", "type": T}           the real agent, but from this type on the frame is sent without end
  {"do": "each", "counter": PATH, "acts": [{"role": …, …}, …]}   the first trial does the first of these, and so on
"""
import ctypes
import fcntl
import json
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import time

import agent

PR_SET_PDEATHSIG, PR_SET_TIMERSLACK = 1, 29


def die_with_parent():
    libc = ctypes.CDLL(None)
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    libc.prctl(PR_SET_TIMERSLACK, 1)


def start_relay(options, address, port, kind):
    if kind == "icmp":  # the relay answers in the kernel's place
        with open("/proc/sys/net/ipv4/icmp_echo_ignore_all", "w", encoding="ascii") as file:
            file.write("1")
    relay = subprocess.Popen(
        [os.environ["TAUT_TEST_RELAY"], kind, address, "0", address, str(port), *options],
        stdout=subprocess.PIPE, preexec_fn=die_with_parent, text=True)
    return int(relay.stdout.readline().split()[1])


def refuse(taut, job, text):
    """HELLO_BYE in answer to the first message of a datagram flow."""
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind((job["address"], 0))
    agent.frame_send(taut, agent.READY, {"ports": [server.getsockname()[1]]})
    data, client = server.recvfrom(100)
    server.sendto(data[:5] + bytes([3]) + data[6:], client)
    agent.frame_send(taut, agent.ERROR, {"text": text, "advice": ""})
    taut.recv(1)  # until taut has had enough
    sys.exit()


class Between:
    """Passes frames both ways between taut and the real agent, and changes some."""

    def __init__(self, fault, role):
        self.fault = fault
        self.taut = socket.socket(fileno=3)
        self.agent = agent.Agent(role, path=os.environ["TAUT_TEST_AGENT"], preexec=die_with_parent)
        self.plan = None

    def from_agent(self, kind, body):
        fault = self.fault
        if fault["do"] == "relay" and kind == agent.READY:
            workload = self.plan["workload"]
            kind = "icmp" if workload == "ping" else "udp" if workload.startswith("udp") else "tcp"
            body["ports"] = [start_relay(fault["options"], self.plan["address"], p, kind) for p in body["ports"]]
        if fault["do"] == "rewrite" and kind == fault["type"]:
            body.update(fault.get("set", {}))
            for key, more in fault.get("add", {}).items():
                body[key] += more
            for key in fault.get("drop", []):
                body.pop(key, None)
            if "stretch" in fault:
                body["ended_ns"] = body["started_ns"] + fault["stretch"]
        return body

    def to_taut(self, kind, body):
        fault = self.fault
        if kind != fault.get("type") or fault["do"] not in ("instead", "flood"):
            agent.frame_send(self.taut, kind, self.from_agent(kind, body))
        elif fault["do"] == "instead":
            text = fault["head"].encode() + fault["part"].encode() * fault["times"]
            data = struct.pack("<IB", len(text) + 1, kind) + text
            self.taut.sendall(data[:fault.get("cut", len(data))])
            self.taut.recv(1)  # until taut has had enough
            sys.exit()
        while kind == fault.get("type") and fault["do"] == "flood":
            agent.frame_send(self.taut, kind, body)

    def run(self):
        while True:
            for ready in select.select([self.taut, self.agent.stream], [], [])[0]:
                kind, body = agent.frame_recv(ready)
                if ready is self.taut:
                    if kind == agent.PLAN:
                        self.plan = body
                    if kind == agent.PLAN and self.fault["do"] == "refuse":
                        refuse(self.taut, body, self.fault["text"])
                    agent.frame_send(self.agent.stream, kind, body)
                else:
                    self.to_taut(kind, body)
                    if self.fault["do"] == "die" and kind == self.fault["type"]:
                        time.sleep(self.fault["after_ms"] / 1000)
                        os.kill(os.getpid(), signal.SIGKILL)


def act_of(fault, role):
    """What this trial does: each end counts its trials.  An end that a trial has ended before it could count is told
    by the other, which is never more than one trial ahead."""
    if fault["do"] != "each":
        return fault
    with open(fault["counter"], "a+", encoding="ascii") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        begun = json.loads(file.read() or "{}")
        number = max(begun.get(role, 0), *(count - 1 for other, count in begun.items() if other != role), 0)
        file.truncate(0)
        json.dump({**begun, role: number + 1}, file)
    return fault["acts"][number] if number < len(fault["acts"]) else {"role": "", "do": ""}


def occupy(port):
    """The sockets stay open beyond exec."""
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        taken = socket.socket(socket.AF_INET, kind)
        taken.bind(("0.0.0.0", port))
        if kind == socket.SOCK_STREAM:
            taken.listen()
        os.set_inheritable(taken.detach(), True)


def misbehave(fault):
    if fault["do"] == "exit":
        print("I would rather not\x1b[31m", file=sys.stderr)
        sys.exit(fault["code"])
    if fault["do"] == "bytes":
        os.write(3, bytes.fromhex(fault["hex"]))
    if fault["do"] == "frame":
        agent.frame_send(socket.socket(fileno=3), fault["type"], fault["body"])
    if fault["do"] == "chatter":
        while True:
            try:
                os.write(2, b"bla " * 1000)
            except OSError:
                time.sleep(0.01)
    time.sleep(600)


def main():
    role = sys.argv[2]
    fault = act_of(json.loads(os.environ["TAUT_TEST_FAULT"]), role)
    if role == fault["role"] and fault["do"] == "occupy":
        occupy(fault["port"])
    if role != fault["role"] or fault["do"] == "occupy":
        os.execv(os.environ["TAUT_TEST_AGENT"], [os.environ["TAUT_TEST_AGENT"], *sys.argv[1:]])
    try:
        if fault["do"] in ("relay", "rewrite", "die", "instead", "flood", "refuse"):
            Between(fault, role).run()
        misbehave(fault)
    except (EOFError, OSError):
        pass  # taut or the agent has ended, so this program ends too


main()
