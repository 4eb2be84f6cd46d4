# SPDX-License-Identifier: GPL-3.0-or-later
"""A guest that taut does not make: a kernel of taut's cache, a shell as its init, the QEMU guest agent and an ssh
server, all from packages of this machine; as an initramfs, or on a disk image that a BIOS boots.
"""
import atexit
import functools
import os
import pathlib
import re
import shutil
import subprocess
import tempfile

import machines
from tap import check, need_root, skip

PROGRAMS = ["busybox", "qemu-ga", "dropbear", "dropbearkey", "mformat", "mcopy", "syslinux", "qemu-system-x86_64", "ssh"]
SECTOR = 512
BOOT_S = 90
QUICK = ["--duration", "200ms", "--warmup", "20ms"]

INIT = """#!/bin/busybox sh
/bin/busybox mkdir -p /proc /sys /dev /run /tmp /root/.ssh /var/log /var/run
/bin/busybox --install -s /bin
export PATH=/bin:/sbin:/usr/bin:/usr/sbin HOME=/root
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev
for m in $(cat /taut/modules); do insmod /taut/$m.ko; done
mkdir -p /dev/virtio-ports /dev/pts
sleep 1
for p in /sys/class/virtio-ports/*; do [ -e "$p/name" ] && ln -s "/dev/${p##*/}" "/dev/virtio-ports/$(cat "$p/name")"; done
ifconfig lo up
for word in $(cat /proc/cmdline); do case $word in own.address=*) ifconfig eth0 ${word#*=} netmask 255.255.255.0 up;; esac; done
chmod 700 /root /root/.ssh; chown -R 0:0 /root
[ -e /dev/virtio-ports/org.qemu.guest_agent.0 ] && qemu-ga -d -m virtio-serial -p /dev/virtio-ports/org.qemu.guest_agent.0 $(cat /etc/qemu-ga.options)
dropbear -R -E -s -r /etc/hostkey -p 22
echo own guest is up
while :; do sleep 1000; done
"""


def need():
    missing = [p for p in PROGRAMS if not find(p)]
    if missing:
        skip(f"{', '.join(missing)} not installed", "own")


def find(program):
    return shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")


def run(*command, **options):
    done = subprocess.run(list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
                          **options)
    check(done.returncode == 0, f"{command[0]}: exit {done.returncode}\n{done.stdout}")
    return done.stdout


def libraries(program):
    return re.findall(r"(/\S+) \(0x", run("ldd", program))


class Guest:
    """Its files, made in a folder."""

    def __init__(self, folder, image, agent_options=""):
        """`image`: an initramfs of taut's, for the modules in it."""
        self.folder, self.image = pathlib.Path(folder), image
        tree = self.folder / "tree"
        for sub in ("bin", "etc", "root/.ssh", "usr/sbin", "lib64", "tmp", "var/lib"):
            (tree / sub).mkdir(parents=True)
        shutil.copy(find("busybox"), tree / "bin/busybox")
        for name in ("qemu-ga", "dropbear"):
            shutil.copy(find(name), tree / "usr/sbin" / name)
            for library in libraries(find(name)):
                target = tree / library.lstrip("/")
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(library, target)
        self.write(tree / "etc/passwd", "root:x:0:0:root:/root:/bin/sh\n")
        self.write(tree / "etc/group", "root:x:0:\n")
        self.write(tree / "etc/shells", "/bin/sh\n")
        self.write(tree / "etc/qemu-ga.options", agent_options)
        self.write(tree / "etc/os-release", "ID=own\nNAME=own\n")
        self.write(tree / "init", INIT, 0o755)
        run(find("dropbearkey"), "-t", "ed25519", "-f", tree / "etc/hostkey")
        self.key = self.folder / "key"
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.key)
        self.write(tree / "root/.ssh/authorized_keys", self.key.with_suffix(".pub").read_text(), 0o600)
        self.initrd = self.folder / "initrd"
        self.initrd.write_bytes(pathlib.Path(image).read_bytes() + self.archive(tree))

    @staticmethod
    def write(path, text, mode=0o644):
        path.write_text(text)
        path.chmod(mode)

    @staticmethod
    def archive(tree):
        """A cpio archive (newc); every file of root's."""
        out = bytearray()
        names = [p for p in sorted(tree.rglob("*"))] + [None]
        for number, path in enumerate(names, 1):
            name = str(path.relative_to(tree)) if path else "TRAILER!!!"
            data = path.read_bytes() if path and path.is_file() else b""
            mode = path.stat().st_mode if path else 0
            fields = [number, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0]
            out += b"070701" + b"".join(b"%08x" % f for f in fields) + name.encode() + b"\0"
            out += b"\0" * (-len(out) % 4) + data
            out += b"\0" * (-len(out) % 4)
        return bytes(out) + b"\0" * (-len(out) % SECTOR)

    def disk(self, kernel):
        """A raw image with a FAT file system that boots: kernel and initramfs."""
        path = self.folder / "disk.img"
        with open(path, "wb") as file:
            file.truncate(64 << 20)
        environment = {**os.environ, "MTOOLS_SKIP_CHECK": "1"}
        run("mformat", "-i", path, "-h", "64", "-s", "32", "-t", "64", "::", env=environment)
        run("syslinux", "--install", path, env=environment)
        config = self.folder / "syslinux.cfg"
        config.write_text("default own\nlabel own\n kernel vmlinuz\n initrd initrd\n append console=ttyS0 panic=-1 quiet\n")
        run("mcopy", "-i", path, kernel, "::vmlinuz", env=environment)
        run("mcopy", "-i", path, self.initrd, "::initrd", env=environment)
        run("mcopy", "-i", path, config, "::syslinux.cfg", env=environment)
        return path


class World(machines.Machines):
    """Taut with the machine's cache, and programs of the test's before all others."""

    def __init__(self):
        super().__init__()
        (self.folder / "bin").mkdir()
        self.environment["PATH"] = f"{self.folder}/bin:{os.environ['PATH']}"

    def program(self, name, text):
        self.write(f"bin/{name}", text, 0o755)


@functools.cache
def guest():
    """The files of a guest, made once: (Guest, kernel)."""
    folder = tempfile.mkdtemp(prefix="taut-own-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    kernel = machines.kernels()["stock"]
    with World() as taut:
        taut.run("measure", "tcp_rr", "--target", "vm", "--kernel", kernel["path"], *QUICK, seconds=BOOT_S).wants(0)
    images = sorted(machines.CACHE.glob(f"images/guest-{kernel['release']}-*.img"), key=lambda p: p.stat().st_mtime)
    return Guest(folder, images[-1]), kernel["path"]


def prepared():
    need_root()
    need()
    return guest()
