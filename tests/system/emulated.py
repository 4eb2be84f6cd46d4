# SPDX-License-Identifier: GPL-3.0-or-later
"""Scripts that run in an emulated host (`taut lab shell`), and what they say.

A script is told in parts: section("NAME") begins one, picture("NAME") is one in which everything stands that taut may
change there.  There are few programs in such a host, so the picture is made by bash alone.
"""
import re
import tempfile

from machines import BOOT_S, Machines, kernels, need_nics
from tap import check

# A QEMU before 8.1 can, rarely and on a busy machine, emulate code that the kernel rewrites as it was before.
OUTDATED, BOOTS_MORE = "Oops: int3: ", 2
PRELUDE = r"""
mount -t debugfs none /sys/kernel/debug
cd /sys/fs/cgroup && for c in cpuset cpu io memory hugetlb pids rdma misc; do echo -$c > cgroup.subtree_control; done 2>/dev/null
cd /
FILES="/proc/irq/*/smp_affinity /proc/irq/default_smp_affinity /sys/devices/virtual/workqueue/*mask
/sys/devices/virtual/workqueue/*/*mask /sys/devices/system/cpu/cpu*/power/pm_qos_* /sys/devices/system/cpu/cpu*/online
/sys/devices/system/cpu/cpu*/cpufreq/scaling_* /sys/devices/system/cpu/cpu*/cpuidle/*/disable
/sys/class/net/*/queues/*/?ps_* /sys/class/net/*/mtu /sys/kernel/debug/sched/fair_server/*/runtime
/sys/kernel/mm/hugepages/*/nr_hugepages /proc/sys/kernel/sched_* /proc/sys/kernel/*watchdog* /proc/sys/net/core/*
/proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv6/conf/*/accept_dad /proc/mounts"
one() { [ -r "$1" ] && echo "$1 = $(<$1)"; }
groups() {
	for g in "$1"/*/; do [ -d "$g" ] && echo "cgroup ${g%/}" && groups "${g%/}"; done
	for f in "$1"/cgroup.subtree_control "$1"/cpuset.cpus* "$1"/cpuset.mems "$1"/cpu.max; do one "$f"; done
}
# Kernel threads come and go, and follow their interrupts; every other process counts.
processes() {
	for s in /proc/[0-9]*; do
		name= cpus= group= kernel=
		while read -r key value; do
			case $key in Name:) name=$value;; Kthread:) kernel=$value;; Cpus_allowed_list:) cpus=$value;; esac
		done < $s/status
		[ "$kernel" = 1 ] || [ "${s#/proc/}" = "$BASHPID" ] || [ -z "$name" ] && continue
		echo "process ${s#/proc/} $name on $cpus in $(<$s/cgroup) "$(chrt -p ${s#/proc/} | grep -o ': .*')
	done
}
picture() {
	for f in $FILES; do one "$f"; done
	groups /sys/fs/cgroup
	ip -o link | grep -o '^[0-9]*: [^ ]*' | sed 's/^[0-9]*/link/'
	ls -l /proc/[0-9]*/ns/* | grep -o '[a-z]*:\[.*' | once | sed 's/^/namespace /'
	for f in /run/taut/*; do [ -e "$f" ] && echo "folder $f"; done
	processes
} 2>/dev/null
once() { local -A seen; while read -r line; do [ "${seen[$line]}" ] || echo "$line"; seen[$line]=1; done; }
section() { echo "== $1"; }
"""


def script(*parts):
    return PRELUDE + "\n".join(parts) + "\nsection end\n"


def run(taut, text, kernel="stock", cpus=4, seconds=BOOT_S + 100, options=()):
    """{section: its lines}; the pictures of a script are compared by same().  The options are those of lab shell."""
    if "--device" in options:
        need_nics(options[options.index("--device") + 1])
    for more in range(BOOTS_MORE, -1, -1):
        with tempfile.TemporaryFile("w+") as file:
            file.write(text)
            file.seek(0)
            result = taut.run("lab", "shell", "--cpus", cpus, *options, kernel, stdin=file, seconds=seconds)
        if OUTDATED not in result.out or not more:
            break
        print("# the host panicked over code that it had rewritten, and is booted once more")
    parts = re.split(r"^== (.*)$", result.out.replace("\r", ""), flags=re.M)[1:]
    sections = dict(zip(parts[0::2], (p.strip("\n").splitlines() for p in parts[1::2])))
    check("end" in sections, f"the script did not get to its end: {result}")
    return sections


def same(before, after, what):
    found = [f"- {line}" for line in sorted(set(before) - set(after))] + \
            [f"+ {line}" for line in sorted(set(after) - set(before))]
    check(not found, f"{what}: the machine differs:\n" + "\n".join(found[:20]))


def machine():
    """Taut with kernels, or the test is skipped."""
    kernels()
    return Machines()
