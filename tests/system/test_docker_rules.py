#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""On a machine where Docker has been, FORWARD is DROP and bridges hand their packets to iptables: a bridge in the host's
namespace passes nothing.  The test makes such a machine in a network and mount namespace of its own."""
import os
import shutil
import subprocess
import sys

import tap
from tap import Taut, check, need_program, need_root, skip, test

# In the namespaces: the rules, then a plain bridge that must not pass a ping between two namespaces.
RULES = """
set -e
ip link set lo up
iptables -P FORWARD ${POLICY:-DROP}
[ ! -e /proc/sys/net/bridge/bridge-nf-call-iptables ] || echo 1 > /proc/sys/net/bridge/bridge-nf-call-iptables
"""
BRIDGE = """
ip link add br9 type bridge && ip link set br9 up
for i in 1 2; do
  unshare -n sleep 20 & pid=$!
  sleep 0.2
  ip link add p$i type veth peer name e$i netns $pid
  ip link set p$i master br9 up
  nsenter -t $pid -n sh -c "ip addr add 10.9.9.$i/24 dev e$i; ip link set e$i up"
  last=$pid
done
sleep 0.5
nsenter -t $last -n ping -c 1 -W 2 10.9.9.1 >/dev/null 2>&1 && echo passes || echo blocked
"""


def inside(script, environment=None):
    return subprocess.run(["unshare", "-n", "-m", "sh", "-c", script],
                          capture_output=True, text=True, timeout=90, env=environment, check=False)


@test("with Docker's firewall rules in place the bridge cell works, though a plain bridge there passes nothing")
def _():
    need_root()
    need_program("iptables", "ip", "unshare", "nsenter")
    if inside(RULES).returncode != 0:
        skip("iptables cannot set a policy here: " + inside(RULES).stderr.strip()[:120])
    if not os.path.exists("/proc/sys/net/bridge/bridge-nf-call-iptables"):
        skip("this kernel has no bridge netfilter, so no bridge can be blocked")
    if shutil.which("ping"):
        for policy, wanted in (("ACCEPT", "passes"), ("DROP", "blocked")):
            plain = inside(f"POLICY={policy}\n{RULES}{BRIDGE}").stdout.strip()
            check(plain == wanted, f"a plain bridge where FORWARD is {policy}: got {plain!r}, wanted {wanted!r}")
    with Taut() as taut:
        words = f"{tap.TAUT} measure tcp_rr --target container --attachment bridge --duration 300ms"
        result = inside(RULES + words, taut.environment)
        check(result.returncode == 0 and "median" in result.stdout,
              f"exit {result.returncode}\n{result.stdout}\n{result.stderr}")


if __name__ == "__main__":
    sys.exit(tap.main())
