# SPDX-License-Identifier: GPL-3.0-or-later
"""What tests of machines need: kernels, private caches, a false QEMU, guests that misbehave.

Kernels come from the cache that TAUT_CACHE names, else from that of root; missing ones are fetched.
"""
import functools
import os
import pathlib
import shutil
import stat
import subprocess

import picture
from tap import BUILD, Taut, check, comm_of, is_below, need_program, need_root, skip

CACHE = pathlib.Path(os.environ.get("TAUT_CACHE") or "/var/cache/taut")
FAULTY = BUILD / "tests" / "taut-faulty-guest"
QEMU = "qemu-system-x86_64"
QUICK = ("--transactions", "200", "--max-duration", "3s", "--duration", "300ms", "--warmup", "50ms")
GUEST = ("--target", "vm", "--accel", "tcg")
BOOT_S = 150  # longer than taut itself waits for a guest that says nothing


class Machines(Taut):
    """Taut with the cache in which kernels and images are."""

    def __init__(self, cache=CACHE):
        super().__init__()
        self.environment["TAUT_CACHE"] = str(cache)

    def own_cache(self, kernels=True):
        """A fresh cache, in which nothing but kernels is."""
        cache = self.folder / "cache"
        cache.mkdir(exist_ok=True)
        if kernels and not (cache / "kernels").exists():
            (cache / "kernels").symlink_to(CACHE / "kernels")
        self.environment["TAUT_CACHE"] = str(cache)
        if str(cache) not in picture.CACHES:
            picture.CACHES.append(str(cache))
        return cache

    def measure(self, *arguments, workload="tcp_rr", **options):
        options.setdefault("seconds", BOOT_S + 60)
        return self.run("measure", workload, *QUICK, *arguments, **options)


@functools.cache
def kernels():
    """{"stock": …, "rt": …}: the newest of each that is in the cache, as `taut kernel list --json` has it."""
    need_root()
    need_program(QEMU)
    with Machines() as taut:
        return {flavour: _kernel(taut, flavour) for flavour in ("stock", "rt")}


def _kernel(taut, flavour):
    def listed():
        return [k for k in taut.run("kernel", "list", "--json").wants(0).json["kernels"]
                if k["flavour"] == flavour and k["origin"] == "cache" and k["modules"]]
    if not listed():
        result = taut.run("kernel", "fetch", flavour, seconds=400)
        if not listed():
            skip(f"no {flavour} kernel, and none can be fetched: {result.err.strip()}", "qemu")
    return listed()[0]


def _makes(model):
    """Has a QEMU of this machine, its own or one in the cache, such NICs with functions?"""
    device, wanted = {"igb": ("igb", "romfile"), "virtio": ("virtio-net-pci", "sriov-pf")}[model]
    cached = [[folder / "lib" / "ld-linux-x86-64.so.2", "--library-path", folder / "lib", folder / QEMU]
              for folder in CACHE.glob("qemu/[0-9]*")]
    for command in cached + ([[QEMU]] if shutil.which(QEMU) else []):
        said = subprocess.run([*command, "-device", f"{device},help"], capture_output=True, text=True, check=False).stdout
        if wanted in said:
            return True
    return False


@functools.cache
def need_nics(model="igb"):
    """Such NICs want a newer QEMU than many machines have; one is fetched where none is."""
    if _makes(model):
        return
    with Machines() as taut:
        fetched = taut.run("lab", "fetch", seconds=400)
    if not _makes(model):
        skip(f"no QEMU here makes {model} NICs, and none can be fetched: {fetched.err.strip()}", "qemu")


def doctored(taut, change):
    """A cache with one kernel, the stock one, after change(config: text, modules: folder) → the new config."""
    kernel = kernels()["stock"]
    cache = taut.own_cache(kernels=False)
    folder = cache / "kernels" / kernel["release"]
    shutil.copytree(kernel["modules"], folder / "modules", copy_function=os.symlink)
    shutil.copy(kernel["path"], folder / "vmlinuz")
    config = (pathlib.Path(kernel["path"]).parent / "config").read_text()
    (folder / "config").write_text(change(config, folder / "modules"))
    return kernel["release"]


def fake_qemu(taut, text, version="7.2.0"):
    """A program with QEMU's name, first on PATH, which claims to have every device and then runs `text`."""
    folder = taut.folder / "bin"
    folder.mkdir(exist_ok=True)
    devices = "".join(f'echo \'name "{name}"\';' for name in ("virtio-net-pci", "virtio-serial-pci", "virtserialport"))
    path = folder / QEMU
    path.write_text(f'#!/bin/sh\ncase "$1 $2" in\n"--version ") echo "QEMU emulator version {version}"; exit;;\n'
                    f'"-device help") {devices} exit;;\nesac\n{text}\n')
    path.chmod(0o755)
    return {"PATH": f"{folder}:{os.environ['PATH']}"}


def faulty(fault):
    """Arguments and options of measure() for a guest whose endpoint has this fault."""
    return ("--boot", f"fault={fault}"), {"environment": {"TAUT_AGENT": str(FAULTY)}}


def below(running, comm):
    """The newest process of this name that taut has started, or 0."""
    pids = [p for p in map(int, filter(str.isdigit, os.listdir("/proc")))
            if comm_of(p) == comm and is_below(p, running.pid)]
    return max(pids, default=0)


def same_machine(before, what):
    found = picture.settled(before)
    check(not found, f"{what}: the machine differs:\n" + "\n".join(found[:20]))


def images(cache):
    return {p.name: p for p in (pathlib.Path(cache) / "images").iterdir() if stat.S_ISREG(p.lstat().st_mode)}
