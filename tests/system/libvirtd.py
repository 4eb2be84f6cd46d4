# SPDX-License-Identifier: GPL-3.0-or-later
"""A libvirtd of the test's own: in a mount and a network namespace, with its folders and configuration in memory, with
the driver for QEMU and no other, and without cgroups.  The machine's libvirt, its networks and its domains are not seen.
Processes are not in a namespace, so what is read of a domain's process is what it would be on any machine.
"""
import contextlib
import os
import pathlib
import signal
import subprocess
import tempfile

import own_guest
from tap import check, skip, wait_until

FOLDERS = ["/etc/libvirt", "/run/libvirt", "/var/lib/libvirt", "/var/cache/libvirt", "/var/log/libvirt"]
DRIVER = "libvirt_driver_qemu.so"
NEEDED = ["libvirtd", "virsh", "unshare", "nsenter"]

# The driver does not start when the user libvirt-qemu is unknown, which only the package with the services adds.
START = """set -e
for folder in {folders}; do mount -t tmpfs none "$folder"; done
cp /etc/passwd /etc/group {folder}
echo 'libvirt-qemu:x:64055:64055::/nonexistent:/usr/sbin/nologin' >>{folder}/passwd
echo 'libvirt-qemu:x:64055:' >>{folder}/group
mount --bind {folder}/passwd /etc/passwd
mount --bind {folder}/group /etc/group
cp {folder}/qemu.conf /etc/libvirt
ip link set lo up
ip tuntap add {tap} mode tap
ip addr add {host}/24 dev {tap}
ip link set {tap} up
LIBVIRT_DRIVER_DIR={folder} exec libvirtd -f {folder}/libvirtd.conf
"""
QEMU_CONF = """user = "root"
group = "root"
security_driver = "none"
cgroup_controllers = []
namespaces = []
remember_owner = 0
stdio_handler = "file"
"""
DAEMON_CONF = """auth_unix_ro = "none"
auth_unix_rw = "none"
log_outputs = "3:stderr"
"""
DOMAIN = """<domain type='qemu'>
  <name>{name}</name>
  <memory unit='MiB'>256</memory>
  <vcpu>1</vcpu>
  <os>
    <type arch='x86_64' machine='q35'>hvm</type>
    <kernel>{kernel}</kernel><initrd>{initrd}</initrd>
    <cmdline>console=ttyS0 panic=-1 quiet own.address={guest}</cmdline>
  </os>
  <cpu mode='maximum'/>
  <devices>
    <controller type='usb' model='none'/>
    <serial type='file'><source path='{console}'/></serial>
    <interface type='ethernet'>
      <mac address='{mac}'/><target dev='{tap}' managed='no'/><model type='virtio'/><rom enabled='no'/>
    </interface>
    <channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>
    {channel}
    <memballoon model='none'/>
  </devices>
</domain>
"""
CHANNEL = "<channel type='unix'><target type='virtio' name='taut.control'/></channel>"


def drivers():
    return [folder / DRIVER for folder in pathlib.Path("/usr").glob("lib*/**/libvirt/connection-driver")
            if (folder / DRIVER).exists()]


def need():
    missing = [name for name in NEEDED if not own_guest.find(name)] or ([] if drivers() else [DRIVER])
    if missing:
        skip(f"{', '.join(missing)} not installed", "libvirt")


class Libvirtd:
    TAP, HOST = "own0", "10.99.88.1"

    def __init__(self):
        need()
        self.made = [folder for folder in FOLDERS if not os.path.isdir(folder)]
        self.folder = tempfile.TemporaryDirectory(prefix="taut-libvirtd-")
        self.log = tempfile.TemporaryFile("w+")
        folder = pathlib.Path(self.folder.name)
        (folder / DRIVER).symlink_to(drivers()[0])
        (folder / "qemu.conf").write_text(QEMU_CONF)
        (folder / "libvirtd.conf").write_text(DAEMON_CONF)
        for made in self.made:
            os.makedirs(made)
        script = START.format(folders=" ".join(FOLDERS), folder=folder, tap=self.TAP, host=self.HOST)
        self.process = subprocess.Popen(["unshare", "-m", "-n", "--propagation", "private", "sh", "-c", script],
                                        stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        try:
            wait_until(self.answers, 60, "libvirtd")
        except BaseException:
            self.end()
            raise

    def answers(self):
        if self.process.poll() is not None:
            self.log.seek(0)
            check(False, f"libvirtd ended: {self.log.read()}")
        return self.virsh("version", wants=None).returncode == 0

    def inside(self, *command):
        """A command line that runs where this libvirtd is to be found."""
        return ["nsenter", "-t", str(self.process.pid), "-m", "-n", *map(str, command)]

    def virsh(self, *words, wants=0):
        done = subprocess.run(self.inside("virsh", "-q", "-c", "qemu:///system", *words), stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, timeout=60)
        check(wants in (None, done.returncode), f"virsh {' '.join(words)}: exit {done.returncode}\n{done.stdout}")
        return done

    @contextlib.contextmanager
    def hung(self):
        self.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)

    def end(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        for folder in self.made:
            with contextlib.suppress(OSError):
                os.rmdir(folder)
        self.folder.cleanup()
