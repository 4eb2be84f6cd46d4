# SPDX-License-Identifier: GPL-3.0-or-later
"""taut run from outside: the document, dry runs, the order, interrupts and resuming, the lock."""
import re
import signal
import subprocess
import time

import noise
import picture
from noise import timed
from runs import TINY_TRIALS, database_is_sound, tiny, trials
from tap import TAUT, Taut, check, check_equal, check_in, main, skip, test, wait_until

RUN = {"schema", "run", "machine", "cells", "skipped"}
KEYS = {
    "run": {"id", "name", "seed", "blocks", "started", "duration_s"},
    "machine": {"kernel", "preempt", "cpus", "hypervisor"},
}
CELL = {"id", "target", "runtime", "attachment", "path", "workload", "pacing", "rate_per_s", "request_bytes",
        "reply_bytes", "size_bytes", "flows", "site", "host_kernel", "guest_kernel", "accel", "clock", "noise",
        "arms", "effects", "flags"}
ARM = {"settings", "trials", "transactions", "lost", "verified", "latency_ns", "throughput_bps", "rate_per_s",
       "trial_values"}
LATENCY = {"mean", "median", "sd", "iqr", "p90", "p99", "p99.9", "p99.99", "min", "max"}
THROUGHPUT = {"median", "sd", "iqr"}
EFFECT = {"metric", "baseline", "arm", "primary", "n_blocks", "ratio", "ci95", "ci90", "coverage", "p", "p_holm",
          "verdict", "reason", "change", "change_of_new", "mde"}
VERDICTS = {"improved", "regressed", "changed_below_threshold", "equivalent", "no_difference_shown", "not_assessed"}
METRICS = {f"latency_{m}" for m in ("median", "mean", "sd", "iqr", "p90", "p99", "p99.9", "p99.99")} | {
    "throughput", "throughput_sd", "loss", "rate"}
TRIAL = {"pacing", "offered_per_s", "sent_per_s", "achieved_per_s", "service_ns", "response_ns", "lateness_ns",
         "lost", "timeouts", "reordered", "duplicates", "late", "overtaken", "dead_flows", "retransmits", "cpu_ns",
         "steal_ns", "context_switches", "worst", "windows", "effective_knobs"}
PLAN = {"schema", "name", "refused", "cells", "skipped", "arms", "seed", "blocks", "trials", "duration_s", "order", "order_blocks",
        "tuning", "fetched_first", "qemu_fetched_first"}


def has(keys, got, what):
    check(keys <= set(got), f"{what}: missing {sorted(keys - set(got))}")


@test("run --json is one document with every key of the design, and the human run says the same")
def _():
    with Taut() as taut:
        spec = tiny(taut)
        result = taut.run("run", spec, "--json", "--seed", "7").wants(0)
        document = result.json
        check_equal(document["schema"], "taut.run/1", "schema")
        has(RUN, document, "document")
        for part, keys in KEYS.items():
            has(keys, document[part], part)
        check_equal((document["run"]["name"], document["run"]["seed"], document["run"]["blocks"]), ("tiny", 7, 2),
                    "name, seed, blocks")
        check_equal([c["id"] for c in document["cells"]], ["native/veth/tcp_rr", "native/veth/udp_rr"], "cells")
        for cell in document["cells"]:
            has(CELL, cell, "cell")
            check_equal(list(cell["arms"]), ["stock", "small"], "arms")
            check_equal(cell["request_bytes"], None, "request_bytes, which differs between the arms")
            check_equal(cell["arms"]["small"]["settings"]["request_bytes"], 64, "request_bytes of the arm")
            for arm in cell["arms"].values():
                has(ARM, arm, "arm")
                has(LATENCY, arm["latency_ns"], "latency_ns")
                has(THROUGHPUT, arm["throughput_bps"], "throughput_bps")
                check_equal((arm["trials"], arm["verified"], arm["lost"]), (2, True, 0), "trials, verified, lost")
                check_equal(arm["transactions"], 1200, "transactions")
                check_equal(len(arm["trial_values"]["latency_median"]), 2, "trial values")
            check(cell["effects"], "no effects")
            for effect in cell["effects"]:
                has(EFFECT, effect, "effect")
                check_in(effect["verdict"], VERDICTS, "verdict")
                check_in(effect["metric"], METRICS, "metric")
        check_equal(taut.run("report", "--json").wants(0).json["cells"], document["cells"], "report of the same run")
        lines = taut.run("run", spec, "--seed", "7").wants(0).out
        check_equal(len(re.findall(r"^\[\s*\d+/8\]", lines, re.M)), 8, "lines, one a trial")


@test("measure --json has every key of the design")
@timed
def _():
    with Taut() as taut:
        result = taut.run("measure", "udp_rr", "--rate", "1000", "--duration", "300ms", "--json")
        noise.check(result.code == 0, f"the schedule was not kept\n{result}")
        document = result.json
        check_equal(document["schema"], "taut.trial/1", "schema")
        has(TRIAL, document, "trial")
        has({"client", "server", "system"}, document["cpu_ns"], "cpu_ns")
        has({"at_ns", "service_ns", "response_ns", "during"}, document["worst"][0], "worst")
        noise.check_equal(document["transactions"], 300, "transactions")
        stream = taut.run("measure", "tcp_stream", "--duration", "300ms", "--json").wants(0).json
        has(TRIAL, stream, "stream trial")
        check(stream["bytes"] > 1 << 20, f"a stream of {stream['bytes']} bytes")


@test("--dry-run says cells, order, duration and knobs, and writes nothing")
def _():
    with Taut() as taut:
        spec = tiny(taut)
        before = picture.take()
        text = taut.run("run", spec, "--dry-run", "--seed", "3").wants(0).out
        for part in ("native/veth/tcp_rr", "block 1", "block 2", "about",
                     "\narm stock, in native/veth/tcp_rr: writes nothing before its target exists\n"):
            check_in(part, text, "dry run")
        check("\\n" not in text, f"an end of line as text in:\n{text}")
        document = taut.run("run", spec, "--dry-run", "--seed", "3", "--json").wants(0).json
        has(PLAN, document, "dry run")
        check_equal(document["schema"], "taut.plan/2", "schema")
        check_equal(len(document["order"]), 2 * TINY_TRIALS, "trials in the order")
        check_equal(document["trials"], len(document["order"]), "trials")
        check_equal(document["refused"], None, "refused")
        check_equal([c["cell"] for c in document["cells"]], ["native/veth/tcp_rr", "native/veth/udp_rr"], "cells")
        check_equal([t["arm"] for t in document["tuning"]], document["arms"], "arms with tuning")
        for cell in document["cells"]:
            check_equal(list(cell["settings"]), document["arms"], f"arms with settings in {cell['cell']}")
        one = taut.run("measure", "tcp_rr", "--rate", "500", "--dry-run").wants(0).json
        check_equal(set(one), set(document), "keys of both verbs")
        check_equal((one["schema"], one["name"], one["trials"], one["arms"]), ("taut.plan/2", None, 1, ["stock"]),
                    "a trial's plan")
        check_equal(one["order"], [[0, "native/veth/tcp_rr@500", "stock"]], "a trial's order")
        check_equal(one["cells"][0]["settings"]["stock"]["rate"], 500, "a trial's settings")
        check_equal(picture.differences(before, picture.take()), [], "differences of the machine")
        check(not (taut.folder / "runs.db").exists(), "a dry run has made a database")


@test("--device names the NICs of cells that want some; without it they are skipped, and it is two or a mistake")
def _():
    text = """
name: spare
cells:
  - {target: native, workload: tcp_rr}
  - {target: native, attachment: device, device: spare, client_device: spare, workload: tcp_rr}
arms: {stock: {}}
"""
    with Taut() as taut:
        file = taut.write("spare.yaml", text)
        for arguments, reason in ((), "no device of this machine is named"), (("--device", "nosuch2,nosuch3"), "nosuch2"):
            plan = taut.run("run", file, "--dry-run", "--json", *arguments).wants(0).json
            check_equal([cell["cell"] for cell in plan["cells"]], ["native/veth/tcp_rr"], f"cells with {arguments}")
            check_in(reason, plan["skipped"][0]["reason"], f"the reason with {arguments}")
        for wrong in "eth2", "eth2,", ",eth3", "a,b,c":
            taut.run("run", file, "--dry-run", "--device", wrong).wants(2, "SERVER,CLIENT")


@test("a dry run of very many trials says the first blocks, and how many more")
def _():
    with Taut() as taut:
        spec = taut.write("many.yaml", "name: many\nblocks: 1000\nseed: 7\ncells:\n  - {workload: tcp_rr, request: [%s]}\narms:\n%s" %
                          (", ".join(str(i) for i in range(1, 501)), "".join(f"  a{i}: {{busy_poll: {i}}}\n" for i in range(16))))
        document = taut.run("run", spec, "--dry-run", "--json").wants(0).json
        check_equal((document["trials"], document["blocks"], document["order_blocks"]), (8000000, 1000, 1), "trials, blocks")
        check_equal(len(document["order"]), 8000, "trials of the first block")
        text = taut.run("run", spec, "--dry-run").wants(0).out
        check_in("and 999 more blocks", text, "dry run")
        check(len(text) < 500000, f"{len(text)} bytes of text")


@test("the order follows from the seed, and is the order of the run")
def _():
    with Taut() as taut:
        spec = tiny(taut, blocks=6)
        orders = {seed: taut.run("run", spec, "--dry-run", "--json", "--seed", seed).wants(0).json["order"]
                  for seed in (1, 2)}
        check_equal(taut.run("run", spec, "--dry-run", "--json", "--seed", 1).wants(0).json["order"], orders[1],
                    "order of seed 1 again")
        check(orders[1] != orders[2], f"seeds 1 and 2 give one order {orders[1]}")
        out = taut.run("run", spec, "--seed", "1").wants(0).out
        ran = re.findall(r"^\[\s*\d+/24\] (\S+)\s+(\S+)", out, re.M)
        check_equal(ran, [(cell, arm) for _, cell, arm in orders[1]], "order of the run")


@test("no escape codes where stdout is a pipe, or NO_COLOR is set")
def _():
    with Taut() as taut:
        result = taut.run("run", tiny(taut, 1), environment={"TERM": "xterm-256color", "NO_COLOR": "1"}).wants(0)
        result.err += taut.run("report", environment={"TERM": "xterm-256color"}).wants(0).out
        check("\x1b" not in result.out + result.err and "\r" not in result.out, f"escape codes\n{result!s}")
        # On a terminal, made by script(1), NO_COLOR must hold as well.
        for variables, wanted in (({"NO_COLOR": "1"}, False), ({}, True)):
            pty = taut.run("-qec", f"{TAUT} report", "/dev/null", command=["script"],
                           environment={"TERM": "xterm-256color", **variables}).wants(0)
            check_equal("\x1b[" in pty.out, wanted, f"colour on a terminal with {variables}")


@test("on a terminal what is said while a run goes on, and lists, are as wide as that; in a file a row is a line")
def _():
    with Taut() as taut:
        spec = tiny(taut)
        for columns in (64, 90):
            pty = taut.run("-qec", f"stty cols {columns}; {TAUT} run {spec}", "/dev/null", command=["script"],
                           environment={"TERM": "xterm"}).wants(0)
            during = pty.out.split("tiny, run ")[0]
            check("trials, about" in during and "verified" in during, f"progress and trials in:\n{during}")
            check_equal([line for line in re.split(r"\r\x1b\[K|\r?\n", during) if len(line) > columns], [],
                        f"lines of more than {columns} columns")
            pty = taut.run("-qec", f"stty cols {columns}; {TAUT} list knobs", "/dev/null", command=["script"]).wants(0)
            check_equal([line for line in pty.out.splitlines() if len(line) > columns], [], f"lines of {columns} columns")
            check_equal(pty.out.split(), taut.run("list", "knobs").wants(0).out.split(), "words")
        check(all(line[0] != " " for line in taut.run("list", "knobs").out.splitlines()), "a row of more than a line")


@test("Ctrl-C ends a run with exit 130, keeps its trials, and --resume completes it")
def _():
    with Taut() as taut:
        spec = tiny(taut, blocks=6)
        before = picture.take()
        running = taut.start("run", spec)
        wait_until(lambda: running.text(0).count("verified") >= 6, 30, "six trials")
        running.process.send_signal(signal.SIGINT)
        result = running.wait(20).wants(130)
        printed = len(re.findall(r"^\[\s*\d+/24\]", result.out, re.M))
        stored = trials(taut)
        check_equal(len(stored), printed, "trials stored, against lines printed")
        check(6 <= len(stored) < 24, f"{len(stored)} trials stored")
        check_equal(picture.differences(before, picture.take()), [], "differences of the machine")
        check_in("interrupted", taut.run("list").wants(0).out, "state of the run")
        taut.run("report").wants(0)

        again = taut.run("run", spec, "--resume").wants(0)
        check_in("run 1 (tiny)", again.out, "the run that goes on")
        completed = trials(taut)
        wanted = [(b, f"native/veth/{w}", a) for b in range(6) for w in ("tcp_rr", "udp_rr")
                  for a in ("stock", "small")]
        check_equal(sorted(completed), sorted(wanted), "trials after resuming")
        check_equal([r["id"] for r in taut.run("list", "--json").json["runs"]], [1], "runs")
        check_equal(taut.run("report", "--json").json["run"]["blocks"], 6, "blocks")
        for form in ("--csv", "--hlog"):
            check(taut.run("export", form).wants(0).out.count("\n") >= 24, f"export {form} is short")
        taut.run("run", spec, "--blocks", "1", "--seed", "5").wants(0)
        taut.run("compare", "1", "last").wants(0)
        check_equal(taut.run("compare", "1", "2", "--json").wants(0).json["schema"], "taut.compare/1", "schema")


@test("a second Ctrl-C skips the analysis and still ends in order: exit 130")
def _():
    with Taut() as taut:
        running = taut.start("run", tiny(taut, blocks=50))
        wait_until(lambda: running.text(0).count("verified") >= 2, 30, "two trials")
        running.process.send_signal(signal.SIGINT)
        running.process.send_signal(signal.SIGTERM)  # another number, so that the two do not become one
        result = running.wait(20).wants(130)
        check("stored as run" not in result.out, f"the analysis is there\n{result}")
        taut.run("lab", "clean").wants(0, "nothing to clean")


@test("a reader that goes away (| head -1) ends the run in order")
def _():
    with Taut() as taut:
        before = picture.take()
        running = taut.start("run", tiny(taut, blocks=20), stdout=subprocess.PIPE)
        running.process.stdout.readline()
        running.process.stdout.close()
        code = running.process.wait(150)
        check(code >= 0, f"died of signal {-code}\n{running.text(1)}")
        check_equal(code, 130, "exit code")
        check_equal(picture.differences(before, picture.take()), [], "differences of the machine")
        check(len(trials(taut)) < 20 * TINY_TRIALS, "it ran to its end for nobody")
        check(database_is_sound(taut.folder / "runs.db"), "the database is damaged")


@test("a second taut is told who is at work: exit 1 with the PID")
def _():
    with Taut() as taut:
        running = taut.start("run", tiny(taut, blocks=50))
        try:
            wait_until(lambda: "run 1" in running.text(0), 20, "the start of the run")
            for verb in (("measure", "tcp_rr"), ("run", "quick"), ("lab", "clean"), ("tune", "revert")):
                taut.run(*verb).wants(1, "another taut", str(running.pid), "try:")
            taut.run("list").wants(0)
            taut.run("tune", "status").wants(0)
        finally:
            running.process.send_signal(signal.SIGINT)
            running.wait(20)


@test("an arm without a usable trial is named in report and comparison: exit 1")
def _():
    with Taut() as taut:
        spec = taut.write("dead.yaml", """
name: dead
blocks: 2
trial: { transactions: 200, max_duration: 1s, warmup: 10ms }
cells: [{ workload: tcp_rr }]
arms: { stock: {}, dead: { congestion: no-such-thing } }
""")
        taut.run("run", spec).wants(1, "dead against stock: nothing to compare, dead has no usable trial",
                                    "left out  block 1, dead:")
        taut.run("run", spec).wants(1)
        taut.run("compare", "1", "2").wants(0, "not compared: native/veth/tcp_rr, dead (no usable trial in the old run)")


main()
