# SPDX-License-Identifier: GPL-3.0-or-later
"""Talks to agents as taut does: frames over a socketpair that the agent inherits as fd 3.

A frame is 4 bytes of length (little endian, of what follows), 1 byte of type, a JSON object.
"""
import json
import os
import socket
import struct
import subprocess

HELLO, PLAN, READY, GO, STOP, RECORD, ERROR, TUNE, TUNED, VERIFY, VERIFIED = range(1, 12)


def frame_send(stream, kind, body):
    text = json.dumps(body).encode()
    stream.sendall(struct.pack("<IB", len(text) + 1, kind) + text)


def _bytes(stream, n):
    data = b""
    while len(data) < n:
        more = stream.recv(n - len(data))
        if not more:
            raise EOFError("the stream has ended")
        data += more
    return data


def frame_recv(stream):
    length, kind = struct.unpack("<IB", _bytes(stream, 5))
    return kind, json.loads(_bytes(stream, length - 1))


# The settings that an end is told.
JOB = ("workload", "flows", "burst", "rate", "transactions", "port", "busy_poll", "request", "reply", "size", "warmup",
       "duration", "max_duration", "timeout", "nodelay", "congestion")


def job(settings):
    return {"driver": "socket", "beside": "", "beside_bytes": 0, "tool": "taut", "hlog": False, "program": "", "command": "",
            **{key: settings[key] for key in JOB}}


def tuning(settings, profile):
    """What a guest is told of tuning: the part that means the same inside."""
    return {"profile": profile, "tool": "taut", "polls": False, "sched_wanted": False, "fifo": False, "priority": 0,
            "longest_ns": settings["warmup"] + max(settings["duration"], settings["max_duration"]),
            "timeout_ns": settings["timeout"]}


class Agent:
    def __init__(self, role, path, prefix=(), preexec=None, environment=None):
        self.stream, theirs = socket.socketpair()

        def child():
            if preexec:
                preexec()
            os.dup2(theirs.fileno(), 3)  # inheritable

        self.process = subprocess.Popen([*prefix, path, "endpoint", role], pass_fds=(3,), preexec_fn=child,
                                        env=environment)
        theirs.close()

    def expect(self, kind, seconds=150):
        self.stream.settimeout(seconds)
        got, body = frame_recv(self.stream)
        if got != kind:
            raise RuntimeError(f"frame {got} instead of {kind}: {body}")
        return body

    def send(self, kind, body):
        frame_send(self.stream, kind, body)

    def close(self):
        self.stream.close()
        try:
            self.process.wait(50)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Pair:
    """A server and a client on one address, ready to go."""

    def __init__(self, path, settings, address="127.0.0.1", prefix=((), ()), preexec=None, environment=None):
        plan = {"server": True, "lock_memory": False, "address": address, "token": "0123456789abcdef" * 2,
                "ports": [0] * settings["flows"], **job(settings)}
        self.server = Agent("taut-server", path, prefix[0], preexec, environment)
        self.client = Agent("taut-client", path, prefix[1], preexec, environment)
        self.server.expect(HELLO)
        self.server.send(PLAN, plan)
        plan = {**plan, "server": False, "ports": self.server.expect(READY)["ports"]}
        self.client.expect(HELLO)
        self.client.send(PLAN, plan)
        self.client.expect(READY)

    def go(self):
        self.server.send(GO, {})
        self.client.send(GO, {})

    def records(self, seconds=60):
        """The client's and the server's, when the client has come to its end."""
        client = self.client.expect(RECORD, seconds)
        self.server.send(STOP, {})
        return client, self.server.expect(RECORD)

    def close(self):
        self.client.close()
        self.server.close()
