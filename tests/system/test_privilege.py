# SPDX-License-Identifier: GPL-3.0-or-later
"""Without root taut uses a user namespace, where the kernel allows one, and names the knobs that it cannot set.  What it
trusts, the state folder and the journals in it, nobody else may have written."""
import json
import os
import pathlib
import re
import shutil
import subprocess
import threading

from runs import tiny
from tap import AGENT, BUILD, TAUT, Taut, check, check_equal, check_in, main, need_program, need_root, skip, test

NOBODY = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]


class NobodysTaut(Taut):
    """The two programs, copied to a folder of the user nobody, who may not be able to read the build folder."""

    def __init__(self):
        need_root()
        need_program("setpriv")
        super().__init__()
        for program in (TAUT, AGENT):
            shutil.copy(program, self.folder)
        self.program = [*NOBODY, str(self.folder / "taut")]
        for variable in ("TAUT_STATE", "TAUT_DB"):
            del self.environment[variable]
        self.environment.update(HOME=str(self.folder), XDG_STATE_HOME=str(self.folder / "xdg"))
        for variable in ("XDG_RUNTIME_DIR", "SUDO_UID", "XDG_CONFIG_HOME"):
            self.environment.pop(variable, None)

    def start(self, *arguments, **options):
        for folder, folders, files in os.walk(self.folder):
            for name in (".", *folders, *files):
                os.chown(os.path.join(folder, name), 65534, 65534)
        options.setdefault("command", self.program)
        return super().start(*arguments, **options)


def need_user_namespaces():
    if subprocess.run([*NOBODY, "unshare", "--user", "--net", "true"], stderr=subprocess.DEVNULL).returncode:
        skip("this kernel forbids user namespaces without root", "userns")


@test("nobody can measure, in a user namespace")
def _():
    with NobodysTaut() as taut:
        need_user_namespaces()
        for target in ((), ("--target", "container", "--runtime", "netns")):
            document = taut.run("measure", "tcp_rr", *target, "--duration", "200ms", "--json").wants(0).json
            check(document["transactions"] > 100, f"{document['transactions']} transactions")


@test("nobody can run an experiment: what cannot be tuned is skipped with the reason")
def _():
    with NobodysTaut() as taut:
        need_user_namespaces()
        spec = taut.write("x.yaml", """
name: x
blocks: 2
trial: {transactions: 500, max_duration: 1s, warmup: 10ms}
cells: [{workload: tcp_rr}]
arms: {stock: {}, tuned: {profile: low-latency}}
""")
        document = taut.run("run", spec, "--json").wants(0).json
        check_equal(document["skipped"], [], "skipped")
        (cell,) = document["cells"]
        check_equal({a: arm["trials"] for a, arm in cell["arms"].items()}, {"stock": 2, "tuned": 2}, "trials")
        knobs = taut.run("measure", "tcp_rr", "--duration", "100ms", "--set", "profile=low-latency", "--json").json
        skipped = [k for k in knobs["effective_knobs"] if k["status"] == "skipped"]
        check(skipped, f"nothing is skipped: {knobs['effective_knobs']}")
        check(all(k["reason"] for k in skipped), f"a skipped knob without its reason: {skipped}")
        check((taut.folder / "xdg" / "taut" / "runs.db").exists(), "no database where XDG_STATE_HOME says")


@test("an OCI container that nobody may not make is skipped with the reason: exit 5")
def _():
    with NobodysTaut() as taut:
        need_user_namespaces()
        result = taut.run("measure", "tcp_rr", "--target", "container", "--duration", "100ms")
        if result.code == 0:
            skip("this machine lets nobody make OCI containers")
        result.wants(5, "cannot measure this here")
        check(len(result.err.split("cannot measure this here:", 1)[1].strip()) > 10, f"no reason\n{result}")


@test("without user namespaces as well it is said what is missing: exit 5")
def _():
    with NobodysTaut() as taut:
        # A user namespace in which no further one is allowed stands in for a kernel that forbids them.
        inside = 'echo 0 > /proc/sys/user/max_user_namespaces && exec setpriv --bounding-set -all --inh-caps -all "$@"'
        command = ["unshare", "--user", "--map-current-user", "--keep-caps", "sh", "-c", inside, "sh",
                   str(taut.folder / "taut")]
        need_user_namespaces()
        result = taut.run("measure", "tcp_rr", "--duration", "100ms", command=[*NOBODY, *command])
        if "max_user_namespaces" in result.err:
            skip("max_user_namespaces cannot be set here")
        result.wants(5, "user namespace", "try: run as root")


def journal(command):
    """A journal of a dead taut that makes the reader run a command."""
    return json.dumps({
        "schema": "taut.journal/1", "boot": pathlib.Path("/proc/sys/kernel/random/boot_id").read_text().strip(),
        "pid": 999999999, "start": 1, "sequence": 1,
        "entries": [{"knob": "k", "executor": "command", "object": command, "before": command, "after": "true"}]})


@test("a state folder that is another user's, or that others can write or replace, is refused: exit 5, nothing carried out")
def _():
    need_root()
    for fault in ("owner", "group", "world", "above"):
        with Taut() as taut:
            state = taut.folder / "above" / "state"
            state.mkdir(mode=0o700, parents=True)
            mark = taut.folder / "mark"
            (state / "journal-999999999-1.json").write_text(journal(f"touch {mark}"))
            os.chmod(state / "journal-999999999-1.json", 0o600)
            taut.environment["TAUT_STATE"] = str(state)
            if fault == "owner":
                os.chown(state, 65534, 65534)
            elif fault == "above":
                os.chown(state.parent, 65534, 65534)
            else:
                state.chmod(0o770 if fault == "group" else 0o707)
            for verb in (("tune", "revert"), ("report",), ("measure", "tcp_rr", "--duration", "100ms")):
                taut.environment.pop("TAUT_DB", None)
                taut.run(*verb).wants(5, "cannot use the state folder", "try: chown")
            check(not mark.exists(), f"{fault}: the journal was carried out")
            # The same journal is carried out where it can be trusted.
            os.chown(state, 0, 0)
            os.chown(state.parent, 0, 0)
            state.chmod(0o700)
            taut.run("tune", "revert").wants(0)
            check(mark.exists(), f"{fault}: the journal was not carried out in a folder of root")


@test("a sticky folder above the state folder, where everybody may write, is fine")
def _():
    need_root()
    with Taut() as taut:
        above = taut.folder / "above"
        above.mkdir()
        above.chmod(0o1777)
        taut.environment["TAUT_STATE"] = str(above / "state")
        taut.run("tune", "revert").wants(0)


@test("a journal that is exchanged all the time never makes taut run the command of another")
def _():
    need_root()
    with Taut() as taut:
        taut.run("tune", "revert").wants(0)
        state = pathlib.Path(taut.environment["TAUT_STATE"])
        path, mark = state / "journal-999999999-1.json", taut.folder / "mark"
        stop = threading.Event()

        def exchange():
            while not stop.is_set():
                for text, owner in ((journal("true"), 0), (journal(f"touch {mark}"), 65534)):
                    new = state / "new"
                    new.write_text(text)
                    os.chmod(new, 0o600)
                    os.chown(new, owner, owner)
                    os.rename(new, path)
        thread = threading.Thread(target=exchange)
        thread.start()
        try:
            codes = [taut.run("tune", "revert").code for _ in range(40)]
        finally:
            stop.set()
            thread.join()
            path.unlink(missing_ok=True)
        check(not mark.exists(), "the command of another user was run")
        check(set(codes) <= {0, 6}, f"exit codes {codes}")


@test("without HOME the state is in the home of the passwd entry, never in /tmp: who made .local there does not matter")
def _():
    with NobodysTaut() as taut:
        for variable in ("HOME", "XDG_STATE_HOME"):
            taut.environment.pop(variable)
        passwd, shared = taut.folder / "passwd", taut.folder / "shared"
        home = shared / "home"
        (shared / ".local" / "state" / "taut").mkdir(parents=True)
        home.mkdir()
        inside = (f"cd {taut.folder} && mount --bind passwd /etc/passwd && mount --bind shared /tmp && "
                  f"exec {' '.join(NOBODY)} ./taut tune revert")
        command = ["unshare", "--mount", "sh", "-c", inside]
        passwd.write_text("nobody:x:65534:65534::/tmp/home:/bin/sh\n")
        taut.run(command=command).wants(0)
        check((home / ".local" / "state" / "taut").is_dir(), f"no state folder in the home: {os.listdir(home)}")
        passwd.write_text("root:x:0:0::/root:/bin/sh\n")
        taut.run(command=command).wants(5, "HOME is not set", "try: TAUT_STATE=FOLDER")


@test("an endpoint in a container can change nothing of the machine, by runc and by crun")
def _():
    need_root()
    prisoner = BUILD / "tests" / "taut-prisoner"
    for runtime in ("runc", "crun"):
        if not shutil.which(runtime):
            continue
        with Taut() as taut:
            tools = taut.folder / "bin"
            tools.mkdir()
            # Only this runtime is found: the other one by a name that fails.
            other = tools / {"runc": "crun", "crun": "runc"}[runtime]
            other.write_text("#!/bin/sh\necho none here >&2; exit 1\n")
            other.chmod(0o755)
            environment = {"TAUT_AGENT": str(prisoner), "TAUT_TEST_AGENT": str(AGENT),
                           "PATH": f"{tools}:{os.environ['PATH']}"}
            result = taut.run("measure", "tcp_rr", "--target", "container", "--duration", "100ms", environment=environment)
            said = re.search(rf"{runtime} cannot run here: .*?prisoner: ([^.]*)", result.err)
            if not said:
                skip(f"{runtime} makes no containers here: {result.err}")
            check_equal(said[1], "capabilities 0 of 0, no new ones 1, can:", runtime)


@test("a container trial that polls its sockets or chooses its congestion control has what it needs")
def _():
    need_root()
    with Taut() as taut:
        for more in (("busy_poll=50",), ("congestion=reno",), ("profile=low-latency",)):
            result = taut.run("measure", "tcp_rr", "--target", "container", "--duration", "200ms", "--json",
                              *[word for setting in more for word in ("--set", setting)])
            if "runc cannot run here" in result.err:
                skip("this machine makes no OCI containers", "oci")
            check(result.wants(0).json["transactions"] > 100, f"{more}: {result}")


main()
