# SPDX-License-Identifier: GPL-3.0-or-later
"""A picture of all that taut may change on a machine, to be compared with another one.

Tasks (by TID and start time) and cgroups of others are compared when they are in both pictures; everything else
must be equal.
Values that a machine changes by itself are left out by name.  All that belongs to another running taut (its processes,
folders, cgroups, namespaces) is left out too, because that taut is at work.
"""
import ctypes
import glob
import os
import pathlib
import re
import socket
import threading
import time

from tap import comm_of, is_below

# Counters, and what the kernel adapts by itself.
VOLATILE = re.compile(
    r"/(fs/(dentry-state|inode-nr|inode-state|file-nr|aio-nr|quota/.*|mqueue/.*)|kernel/(random/.*|ns_last_pid|pty/nr|"
    r"perf_event_max_sample_rate|perf_cpu_time_max_percent|perf_event_max_contexts_per_stack|tainted|max_lock_depth)|"
    r"net/netfilter/nf_conntrack_(count|buckets)|net/ipv4/tcp_fastopen_key|vm/stat_refresh|"
    r"dev/.*|fs/binfmt_misc/.*)$")
MARK = b"TAUT_MARK="
# Unfinished files and folders, in every cache that a test may use.
CACHES = [os.environ.get("TAUT_CACHE") or "/var/cache/taut"]
HALF_MADE = ["probe-*", "images/*.img.*", "kernels/.fetch-*"]


def _read(path):
    try:
        with open(path, "rb") as file:
            return file.read(1 << 16).decode(errors="replace").strip()
    except OSError:
        return None


def _files(patterns):
    return {path: _read(path) for pattern in patterns for path in glob.glob(pattern)
            if os.path.isfile(path)}


def _below(top, names):
    """Not by glob's "**", which follows the links of /sys round and round."""
    wanted = re.compile(names)
    return {f"{folder}/{name}": _read(f"{folder}/{name}")
            for folder, _, files in os.walk(top) for name in files if wanted.fullmatch(name)}


def _tasks():
    tasks = {}
    for folder in glob.glob("/proc/[0-9]*/task/[0-9]*"):
        stat, status, groups = (_read(f"{folder}/{name}") for name in ("stat", "status", "cgroup"))
        if not stat or not status:
            continue
        fields = stat.rsplit(")", 1)[1].split()
        allowed = re.search(r"^Cpus_allowed_list:\s*(\S*)", status, re.M)
        # fields[0] is the state, number 3 in proc(5): nice 19, starttime 22, rt_priority 40, policy 41
        tasks[f"task {os.path.basename(folder)} start {fields[19]}"] = {
            "affinity": allowed and allowed[1], "nice": fields[16],
            "priority": fields[37], "policy": fields[38], "cgroups": _own_hierarchies(groups or "")}
    return tasks


def _own_hierarchies(groups):
    """Of the lines of /proc/TID/cgroup those in which taut moves a task: the unified one, cpuset and cpu.  In others
    (memory, say) whoever manages the machine moves tasks at any time, and taut never does."""
    return [line for line in groups.splitlines()
            if not (names := line.split(":")[1]) or {"cpuset", "cpu"} & set(names.split(","))]


def _owner_of(folder):
    """The PID in the mark of a process, 0 for none."""
    try:
        with open(f"{folder}/environ", "rb") as file:
            marks = [v for v in file.read().split(b"\0") if v.startswith(MARK)]
        return int(marks[0][len(MARK):].split(b":")[0]) if marks else 0
    except (OSError, ValueError):
        return 0


class Others:
    """Running tauts and unit tests that this test has not started, and what belongs to them."""

    def __init__(self):
        self.pids = {pid for pid in map(int, filter(str.isdigit, os.listdir("/proc")))
                     if re.match("taut$|test-", comm_of(pid)) and not is_below(pid, os.getpid())}

    def own_process(self, folder):
        pid = int(os.path.basename(folder))
        return bool(self.pids) and (pid in self.pids or _owner_of(folder) in self.pids
                                    or any(is_below(pid, p) for p in self.pids))

    def own_name(self, path):
        """A folder, container or cgroup PID-N-NS or taut-PID-N-NS, or what is below one; the folder of all while they live."""
        parts = (re.fullmatch(r"(?:taut-)?([0-9]+)-[0-9]+(?:-[0-9]+)?", part) for part in path.split("/"))
        return any(p and int(p[1]) in self.pids for p in parts) or \
            bool(self.pids) and path in ("/run/taut", "/run/taut/oci")


def _marked(others):
    """Processes that taut has started, by the mark in their environment."""
    return {f"process {os.path.basename(folder)} of taut": _read(f"{folder}/comm")
            for folder in glob.glob("/proc/[0-9]*") if _owner_of(folder) and not others.own_process(folder)}


def _sysctls():
    found = {}
    for folder, _, names in os.walk("/proc/sys"):
        for name in names:
            path = f"{folder}/{name}"
            if not VOLATILE.search(path) and os.access(path, os.R_OK) and os.stat(path).st_mode & 0o444:
                found[path] = _read(path)
    return found


def _namespaces(others):
    """Every network namespace that a process is in: inode → its path."""
    found = {}
    for path in glob.glob("/proc/[0-9]*/ns/net"):
        try:
            inode = os.stat(path).st_ino
            if inode not in found and not others.own_process(os.path.dirname(os.path.dirname(path))):
                found[inode] = path
        except OSError:
            pass
    return found


def _links(path, out):
    """In a thread of its own, which enters the namespace and ends there."""
    try:
        fd = os.open(path, os.O_RDONLY)
    except OSError:
        return
    if ctypes.CDLL(None, use_errno=True).setns(fd, 0x40000000) == 0:
        out["links"] = " ".join(f"{index}:{name}" for index, name in socket.if_nameindex())
        out["rules"] = _read("/proc/thread-self/net/route")
    os.close(fd)


def _network(others):
    found = {}
    for inode, path in _namespaces(others).items():
        out = {}
        thread = threading.Thread(target=_links, args=(path, out))
        thread.start()
        thread.join()
        for key, value in out.items():
            found[f"netns {inode} {key}"] = value
    return found


def _cgroups():
    """Cgroups of taut and the roots; and those of others, which may appear and vanish at any time."""
    ours, groups = {}, {}
    wanted = re.compile(r"^(cpuset\.(cpus|mems|cpus\.partition|cpus\.exclusive|sched_load_balance|cpu_exclusive)|"
                        r"cpu\.(rt_runtime_us|rt_period_us|max|weight|cfs_quota_us|shares)|cgroup\.(subtree_control|type))$")
    for line in (_read("/proc/self/mounts") or "").splitlines():
        _, mount, kind = line.split()[:3]
        if kind not in ("cgroup", "cgroup2"):
            continue
        for folder, _, names in os.walk(mount):
            found = ours if folder == mount or "/taut" in folder else groups
            found[folder] = "there"
            for name in filter(wanted.match, names):
                found[f"{folder}/{name}"] = _read(f"{folder}/{name}")
    return ours, groups


def _latency_request():
    try:
        with open("/dev/cpu_dma_latency", "rb") as file:
            return {"/dev/cpu_dma_latency": file.read(4).hex()}
    except OSError:
        return {}


def _half_made():
    return {str(path): "there" for cache in CACHES for pattern in HALF_MADE for path in pathlib.Path(cache).glob(pattern)}


def take():
    flat, others = {}, Others()
    ours, groups = _cgroups()
    for part in (_files(["/proc/irq/*/smp_affinity_list", "/proc/irq/default_smp_affinity",
                         "/sys/devices/virtual/workqueue/*mask", "/sys/devices/virtual/workqueue/*/*mask",
                         "/sys/devices/system/cpu/cpu*/power/pm_qos_*", "/sys/devices/system/cpu/cpu*/online",
                         "/sys/devices/system/cpu/cpu*/cpufreq/scaling_*", "/sys/devices/system/cpu/cpuidle/*",
                         "/sys/devices/system/cpu/cpu*/cpuidle/*/disable", "/sys/devices/system/cpu/cpufreq/*/scaling_[gm]*",
                         "/sys/class/net/*/queues/*/[rx]ps_*", "/sys/class/net/*/mtu", "/sys/class/net/*/flags",
                         "/sys/class/net/*/gro_flush_timeout", "/sys/class/net/*/napi_defer_hard_irqs",
                         "/sys/kernel/debug/sched/fair_server/*/runtime", "/sys/kernel/debug/sched/*_ns",
                         "/sys/kernel/mm/transparent_hugepage/enabled", "/sys/kernel/mm/ksm/run",
                         "/sys/kernel/mm/hugepages/*/*"]),
                 _sysctls(), _network(others), ours, _marked(others), _latency_request(), _half_made()):
        flat.update(part)
    for folder in glob.glob("/run/taut/*") + glob.glob("/run/taut"):
        flat[folder] = "there"
    flat = {key: value for key, value in flat.items() if not others.own_name(key)}
    flat["mounts"] = _read("/proc/self/mountinfo")
    return {"tasks": _tasks(), "groups": groups, "flat": flat}


def differences(before, after):
    """The differences as sentences, each with both values."""
    found = []
    for key, old in before["tasks"].items():
        new = after["tasks"].get(key, old)
        found += [f"{key} {what}: before {old[what]!r}, after {new[what]!r}" for what in old if old[what] != new[what]]
    for key, old in before["groups"].items():
        new = after["groups"].get(key)
        if new not in (None, old):
            found.append(f"{key}: before {old!r}, after {new!r}")
    old, new = before["flat"], after["flat"]
    for key in sorted(old.keys() | new.keys()):
        if old.get(key) != new.get(key):
            found.append(f"{key}: before {old.get(key)!r}, after {new.get(key)!r}")
    return found


def settled(before, seconds=2):
    """The differences that stay; processes and namespaces that are ending get this long to do so."""
    end = time.monotonic() + seconds
    while True:
        found = differences(before, take())
        if not found or time.monotonic() > end:
            return found
        time.sleep(0.05)
