# SPDX-License-Identifier: GPL-3.0-or-later
"""What a stranger changes while a trial runs is not verified, and is named with both values; what taut was started
with is put back or named.
"""
import os
import pathlib
import re
import subprocess

import agent
from faults import faulty
from tap import TAUT, Taut, check, check_equal, endpoint, main, need_program, need_root, skip, test, threads_of, wait_until

TRIAL = ("--duration", "2s", "--warmup", "100ms", "--transactions", "0", "--json")


def busy(pid):
    """It has used CPU time as it does only when it measures: 30 ms."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12]) >= 3


def measured(change, *settings, workload="tcp_rr", name="taut-client"):
    """The trial's document; `change` gets the PID of an end while it measures."""
    with Taut() as taut:
        running = taut.start("measure", workload, *settings, *TRIAL)
        pid = endpoint(running, name)
        wait_until(lambda: busy(pid), 10, f"{name} to measure")
        change(pid)
        return running.wait().wants(1).json


def condition(document, thing, what):
    found = [c for c in document["conditions"] if (c["object"], c["what"]) == (thing, what)]
    check(len(found) == 1, f"{thing} {what}: {found}")
    return found[0]


def check_broken(document, thing, what, before, after):
    check_equal(document["verified"], False, "verified")
    found = condition(document, thing, what)
    check_equal((found["before"], found["holds"]), (before, False), f"{found}")
    check(after in found["after"].split(", "), f"{found}, wanted {after} after")
    check(re.search(rf"{thing}: .* was {before} before and .*{after}", document["not_verified"]),
          f"not_verified: {document['not_verified']}")


@test("an end that becomes a realtime task while it measures is not verified")
def _():
    need_root()

    def realtime(pid):
        for tid in threads_of(pid):
            os.sched_setscheduler(tid, os.SCHED_FIFO, os.sched_param(3))
    check_broken(measured(realtime), "client", "sched", "other", "fifo:3")
    check_broken(measured(realtime, workload="udp_rr", name="taut-server"), "server", "sched", "other", "fifo:3")


@test("an end whose nice value is changed is not verified")
def _():
    def renice(pid):
        for tid in threads_of(pid):
            os.setpriority(os.PRIO_PROCESS, tid, 7)
    check_broken(measured(renice, name="taut-server"), "server", "nice", "0", "7")


@test("an end that is pinned by somebody is not verified, though nobody asked for a CPU")
def _():
    allowed = os.sched_getaffinity(0)
    if len(allowed) < 2:
        skip("there is one CPU")
    cpu = min(allowed)

    def pin(pid):
        for tid in threads_of(pid):
            os.sched_setaffinity(tid, {cpu})
    document = measured(pin)
    before = condition(document, "client", "cpus")["before"]
    check_broken(document, "client", "cpus", before, str(cpu))
    check(condition(document, "server", "cpus")["holds"], f"the server was left alone: {document['conditions']}")


@test("a link whose MTU somebody sets is not verified")
def _():
    need_root()
    need_program("nsenter", "ip")

    def shrink(pid):
        link = subprocess.run(["nsenter", "-t", str(pid), "-n", "ip", "-o", "link"], check=True, capture_output=True,
                              text=True).stdout
        name = re.search(r"^\d+: ((?!lo)[^:@]+)", link, re.M)[1]
        subprocess.run(["nsenter", "-t", str(pid), "-n", "ip", "link", "set", name, "mtu", "1400"], check=True)
    document = measured(shrink)
    broken = [c for c in document["conditions"] if not c["holds"]]
    check_equal([(c["what"], c["before"], c["after"]) for c in broken], [("mtu", "1500", "1400")], "what does not hold")
    check("MTU was 1500 before and 1400 after measuring" in document["not_verified"], document["not_verified"])


@test("what was not changed is verified, and said as it was")
def _():
    with Taut() as taut:
        document = taut.run("measure", "tcp_rr", "--nodelay=false", *TRIAL).wants(0).json
    check_equal((document["verified"], document["not_verified"]), (True, None), "verified")
    check_equal([c for c in document["conditions"] if not c["holds"]], [], "conditions that do not hold")
    for end in ("client", "server"):
        for what, value in (("sched", "other"), ("nice", "0"), ("nodelay", "off"), ("so_priority", "0")):
            check_equal(condition(document, end, what)["before"], value, f"{end} {what}")
        check(int(condition(document, end, "sndbuf_bytes")["before"]) > 0, f"{end} sndbuf_bytes")
    check_equal(document["mtu"], 1500, "mtu")


@test("an end that does not say how it was scheduled is not verified")
def _():
    with Taut() as taut:
        silent = faulty(taut, "taut-server", do="rewrite", type=agent.RECORD, drop=["conditions"])
        document = taut.run("measure", "tcp_rr", *TRIAL, environment=silent).wants(1).json
    check_equal((document["outcome"], document["verified"]), ("done", False), "trial")
    check("server does not say how it was scheduled" in document["not_verified"], document["not_verified"])


@test("a nice value that taut was started with is put back, and that is said")
def _():
    need_root()
    need_program("nice", "chrt")
    for command in (["nice", "-n", "5"], ["chrt", "-f", "1"]):
        with Taut() as taut:
            result = taut.run("measure", "tcp_rr", *TRIAL, command=[*command, TAUT]).wants(0, "set back to other, nice 0")
        document = result.json if result.out.startswith("{") else None
        check(document, str(result))
        check_equal(condition(document, "client", "nice")["before"], "0", "nice")
        check_equal(condition(document, "server", "sched")["before"], "other", "sched")


@test("without root, a profile says that nearly every knob was skipped, why, and that only the ends are pinned")
def _():
    need_root()
    need_program("setpriv")
    user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    if subprocess.run([*user, "unshare", "--user", "--net", "true"], stderr=subprocess.DEVNULL, check=False).returncode:
        skip("this kernel forbids user namespaces without root", "userns")
    with Taut() as taut:
        taut.folder.chmod(0o755)
        (taut.folder / "state").mkdir(mode=0o700)
        os.chown(taut.folder / "state", 65534, 65534)
        settings = ("measure", "tcp_rr", "--profile", "low-latency", "--yes", "--transactions", "500")
        elsewhere = {"TAUT_DB": str(taut.folder / "state" / "runs.db")}
        result = taut.run(*settings, command=[*user, TAUT], environment=elsewhere)
        text = " ".join(result.wants(0).out.split())
        knobs = taut.run(*settings, "--json", command=[*user, TAUT], environment=elsewhere).wants(0).json["knobs"]
    check(re.search(r"tuning .* \d+ skipped \(\d+: needs root", text), text)
    check("CPUs not kept apart: the ends are pinned, but other tasks may run beside them" in text, text)
    check("placed by the profile" not in text and "sched other" in text, text)
    check_equal(knobs["partition"], "none", "partition")
    check(knobs["skipped"] > 3 * knobs["effective"] and knobs["skip_reasons"][0]["text"] == "needs root", f"{knobs}")


main()
