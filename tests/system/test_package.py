# SPDX-License-Identifier: GPL-3.0-or-later
"""The Debian package: it is built, lintian finds nothing, it is installed, runs and is purged without leaving anything.

It is installed in a throwaway copy of this machine's files (package_room.sh), never on the machine itself, whose devices
are looked at before and after.
"""
import functools
import os
import pathlib
import shutil
import stat
import subprocess
import tempfile

from tap import SOURCE, check, check_equal, main, need_program, need_root, skip, test

ROOM = SOURCE / "tests" / "system" / "package_room.sh"


@functools.cache
def package():
    """Built once, or the one that TAUT_DEB names; its path."""
    if os.environ.get("TAUT_DEB"):
        return pathlib.Path(os.environ["TAUT_DEB"]).resolve()
    need_program("dpkg-deb", "dpkg-shlibdeps", "meson", "ninja")
    folder = tempfile.mkdtemp(prefix="taut-deb-")
    done = subprocess.run([SOURCE / "packaging" / "debian" / "build", folder], capture_output=True, text=True, timeout=600, check=False)
    check(done.returncode == 0, f"the package is not built: {done.stderr}")
    return pathlib.Path(done.stdout.strip())


def devices():
    """What /dev/null and the like are."""
    return {name: (stat.S_ISCHR(s.st_mode), s.st_rdev, s.st_ino, s.st_dev)
            for name in ("null", "zero", "random", "urandom", "full") for s in [os.stat(f"/dev/{name}")]}


@test("the package has the programs, the manuals, the completions, the schemas and the experiments")
def _():
    listed = subprocess.run(["dpkg-deb", "-c", package()], capture_output=True, text=True, check=True).stdout.splitlines()
    files = {line.split()[5].removeprefix(".") for line in listed}
    wanted = {"/usr/bin/taut", "/usr/libexec/taut/taut-agent", "/usr/share/doc/taut/copyright", "/usr/share/doc/taut/changelog.gz",
              "/usr/share/bash-completion/completions/taut", "/usr/share/zsh/vendor-completions/_taut",
              "/usr/share/fish/vendor_completions.d/taut.fish"}
    wanted |= {f"/usr/share/man/man{p.suffix[1:]}/{p.name}.gz" for p in (SOURCE / "man").iterdir()}
    wanted |= {f"/usr/share/taut/{p.relative_to(SOURCE)}" for p in SOURCE.glob("schemas/*.json")}
    wanted |= {f"/usr/share/taut/{p.relative_to(SOURCE)}" for p in SOURCE.glob("experiments/*.yaml")}
    check(wanted <= files, f"the package has no {sorted(wanted - files)}")
    owners = {line.split()[1] for line in listed}
    check_equal(owners, {"root/root"}, "owners")


@test("lintian finds nothing")
def _():
    need_program("lintian")
    done = subprocess.run(["lintian", "--fail-on", "error,warning", package()], capture_output=True, text=True, timeout=300, check=False)
    check(done.returncode == 0 and not done.stdout.strip(), f"lintian: {done.stdout}{done.stderr}")


STEPS = """
set -e
cd /
dpkg -i /tmp/given/taut.deb >&2
test "$(command -v taut)" = /usr/bin/taut
taut --version
taut list experiments
taut run quick --dry-run >/tmp/given/plan || test $? = 5
mkdir -p /var/lib/taut && : >/var/lib/taut/runs.db
dpkg --purge taut >&2
! command -v taut
grep -q ' /dev/null ' /proc/self/mounts
"""


@test("the package installs, runs and is purged without leaving anything, and the machine is as it was")
def _():
    need_root()
    need_program("unshare", "dpkg")
    built = package()
    before = devices()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="taut-room-"))
    (folder / "given").mkdir()
    shutil.copy(built, folder / "given" / "taut.deb")
    done = subprocess.run([ROOM, folder, "/bin/sh", "-c", STEPS], capture_output=True, text=True, timeout=120, check=False,
                          env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"})
    if "mount:" in done.stderr and "overlay" in done.stderr:
        skip("no overlay can be mounted here")
    check_equal(devices(), before, "the devices of this machine")
    check(done.returncode == 0, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}")
    check("taut 0." in done.stdout and "quick" in done.stdout, done.stdout)
    check((folder / "given" / "plan").read_text(), "the plan is empty")
    left = (folder / "left").read_text().splitlines()
    check(not left, f"left behind: {left}")


main()
