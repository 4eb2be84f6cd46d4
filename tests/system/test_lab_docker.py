#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Containers by Docker in an emulated host, which gets this machine's Docker."""
import engines
import machines
from machines import Machines
from tap import LONG, TAUT, check_equal, main, need_root, test

WORDS = ("measure", "tcp_rr", "--target", "container", "--attachment", "engine", "--runtime")
# One boot: the default bridge, taut's own, the network of the host with a CPU quota; and another runtime beside the engine.
SPEC = """
name: lab-docker
blocks: 1
trial: {{ transactions: 100, max_duration: 20s, warmup: 20ms, timeout: 30s }}
cells:
  - {{ target: container, runtime: docker, attachment: [engine, bridge], workload: tcp_rr }}
  - {{ target: container, runtime: docker, attachment: host, workload: udp_rr, cpu_quota: 25 }}
  - {{ target: container, runtime: oci, attachment: bridge, workload: tcp_rr }}
arms: {{ host: {{ site: "lab:{kernel}" }} }}
"""


def every_attachment(kernel):
    engines.need("docker")
    machines.kernels()
    with Machines() as taut:
        spec = taut.write("x.yaml", SPEC.format(kernel=kernel))
        report = taut.run("run", spec, "--json", seconds=900).wants(0).json
        check_equal(report["skipped"], [], "skipped")
        check_equal(len(report["cells"]), 4, "cells")
        for cell in report["cells"]:
            arm = cell["arms"]["host"]
            check_equal((arm["usable"], arm["verified"]), (1, True),
                        f"trials by {cell['runtime']} over {cell['attachment']}, and are they verified")


@test("containers by Docker are measured in an emulated host: on its default bridge, on taut's, and with a CPU quota")
def _():
    every_attachment("stock")


@test("what no emulated host has is refused before anything is booted")
def _():
    need_root()
    engines.need("docker")
    with Machines() as taut:
        for words, wanted in ((("podman", "--site", "lab"), "runtime podman on an emulated host"),
                              (("docker", "--site", "lab:stock", "--clock", "exact"), "the exact clock"),
                              (("docker", "--site", "lab", "--attachment", "engine:own"), "the default network alone")):
            taut.run(*WORDS, *words).wants(2, wanted)
        hidden = ["unshare", "--mount", "sh", "-c", 'mount --bind /dev/null "$(command -v dockerd)" && exec "$@"', "sh", TAUT]
        taut.run(*WORDS, "docker", "--site", "lab", command=hidden).wants(1, "which has no dockerd", "apt-get install docker.io")


if LONG:
    @test("the same in an emulated host with a realtime kernel")
    def _():
        every_attachment("rt")

main()
