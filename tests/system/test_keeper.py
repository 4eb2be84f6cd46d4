# SPDX-License-Identifier: GPL-3.0-or-later
"""The tests themselves: what a test program that is killed leaves."""
import os
import pathlib
import signal
import subprocess
import sys

import engine_keeper
import engines
from tap import BUILD, HERE, Taut, check, check_equal, main, need_root, test, wait_until

# A system test that says where its folder is and hangs, with this file made by a plan in force, or without one.
HANGS = """
import sys, time
sys.path.insert(0, {here!r})
from tap import Taut, wait_until
taut = Taut()
print(taut.folder, flush=True)
if {file!r}:
    running = taut.start("measure", "tcp_rr", "--profile", "command", "--apply", "touch {file}", "--revert", "rm {file}",
                         "--yes", "--duration", "60s")
    wait_until(lambda: running.process.poll() is not None or list((taut.folder / "state").glob("journal-*.json")), 20,
               "a journal")
    print(running.text(1) if running.process.poll() is not None else "tuned", flush=True)
time.sleep(600)
"""


def killed(file, how):
    """Kills the test above in this way; returns its folder."""
    process = subprocess.Popen([sys.executable, "-c", HANGS.format(here=str(HERE), file=file)], text=True,
                               stdout=subprocess.PIPE, start_new_session=True, env={**os.environ, "BUILD": str(BUILD)})
    try:
        folder = pathlib.Path(process.stdout.readline().strip())
        check(folder.is_dir(), f"no folder {folder}")
        if file:
            check_equal(process.stdout.readline(), "tuned\n", "what the test says")
        how(process)
    finally:
        process.kill()
        process.wait()
    return folder.parent


def gone(path, what):
    wait_until(lambda: not path.exists(), 60, f"the end of {path}, {what}")


@test("a system test that is killed, alone or with its process group, leaves no folder")
def _():
    for what, how in (("killed", lambda p: p.kill()), ("its group killed", lambda p: os.killpg(p.pid, signal.SIGKILL)),
                      ("interrupted", lambda p: p.send_signal(signal.SIGINT))):
        gone(killed("", how), what)


@test("a system test that is killed while a plan is in force: all is undone before its folder is removed")
def _():
    need_root()
    with Taut() as taut:
        for what, how in (("killed", lambda p: p.kill()), ("its group killed", lambda p: os.killpg(p.pid, signal.SIGKILL))):
            file = taut.folder / "file"
            gone(killed(str(file), how), what)
            check(not file.exists(), f"{what}: the plan is still in force")
        taut.run("measure", "tcp_rr", "--duration", "10ms").wants(0)  # nobody holds the machine


# One with an engine and a container in it, which ends on no SIGTERM.
ENGINE = """
import sys, time
sys.path.insert(0, {here!r})
from engines import Engine
where = Engine({kind!r})
made = where.container("sleeper", where.image())
print(where.process.pid, where.pid("sleeper"), where.folder.name, flush=True)
time.sleep(600)
"""


@test("a system test that is killed leaves no engine, no container of it, no cgroup and no folder")
def _():
    need_root()
    for kind in ("docker", "podman"):
        engines.need(kind)
        before = engine_keeper.cgroups()
        process = subprocess.Popen([sys.executable, "-c", ENGINE.format(here=str(HERE), kind=kind)], text=True,
                                   stdout=subprocess.PIPE, start_new_session=True, env={**os.environ, "BUILD": str(BUILD)})
        try:
            said = process.stdout.readline().split()
            check_equal(len(said), 3, f"what a test with {kind} says: {said}")
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        for path in (*(pathlib.Path("/proc") / pid for pid in said[:2]), pathlib.Path(said[2])):
            gone(path, f"{kind} after a kill")
        wait_until(lambda b=before: engine_keeper.cgroups() <= b, 60, f"the end of the cgroups of {kind}")


def kept(pid):
    """The paths that a unit test has told its keeper."""
    for fd in pathlib.Path(f"/proc/{pid}/fd").iterdir():
        if os.readlink(fd).startswith("/memfd:kept"):
            return [pathlib.Path(line.lstrip("+")) for line in fd.read_text().splitlines()]
    return []


@test("a unit test that is killed leaves no file")
def _():
    for name in ("test-tune-journal", "test-packages"):
        process = subprocess.Popen([BUILD / "tests" / name], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                   env={**os.environ, "TAUT_AGENT": str(BUILD / "taut-agent")})
        try:
            paths = wait_until(lambda p=process: kept(p.pid), 20, f"a folder of {name}")
            process.kill()
        finally:
            process.wait()
        check_equal(process.returncode, -signal.SIGKILL, f"how {name} ended")
        for path in paths:
            gone(path, f"{name} killed")


main()
