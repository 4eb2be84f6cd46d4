# SPDX-License-Identifier: GPL-3.0-or-later
"""Without root taut uses a user namespace, where the kernel allows one, and names the knobs that it cannot set."""
import os
import shutil
import subprocess

from runs import tiny
from tap import AGENT, TAUT, Taut, check, check_equal, check_in, main, need_program, need_root, skip, test

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


main()
