#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Domains of a real libvirt, which this test starts for itself."""
import contextlib
import functools
import html
import time

import libvirtd
import noise
import own_guest
from noise import timed
from own_guest import BOOT_S, QUICK, World
from tap import TAUT, check, check_equal, check_in, main, test, wait_until

NAME, OFF = "taut&own", "taut-off"  # such a name is written otherwise in XML
GUEST, MAC = "10.99.88.2", "52:54:00:99:88:02"
DEADLINE_S = 10  # of a question to libvirt
ASKED_MOST = 3   # questions until the error is said


class Own:
    """A libvirtd with a domain that runs."""

    def __init__(self, taut):
        libvirtd.need()
        made, kernel = own_guest.prepared()
        self.taut, self.daemon = taut, libvirtd.Libvirtd()
        self.console = taut.folder / "console"
        self.xml = functools.partial(libvirtd.DOMAIN.format, kernel=kernel, initrd=made.initrd, guest=GUEST, mac=MAC,
                                     tap=libvirtd.Libvirtd.TAP, console=self.console)
        taut.program("ssh", f"#!/bin/sh\nexec /usr/bin/ssh -i {made.key} -o UserKnownHostsFile={taut.folder}/known "
                            '-o StrictHostKeyChecking=accept-new "$@"\n')

    def boot(self):
        self.daemon.virsh("create", self.taut.write("xml", self.xml(name=html.escape(NAME), channel=libvirtd.CHANNEL)))
        wait_until(lambda: self.console.exists() and "own guest is up" in self.console.read_text(errors="replace"),
                   BOOT_S, "the guest")

    def end(self):
        for name in self.daemon.virsh("list", "--name", wants=None).stdout.split():
            self.daemon.virsh("destroy", name, wants=None)
        self.daemon.end()

    def measure(self, *words, name=NAME, **options):
        return self.taut.start("measure", "tcp_rr", "--target", f"vm:{name}", *QUICK, *words,
                               command=self.daemon.inside(TAUT), **options).wait(BOOT_S)


@contextlib.contextmanager
def own():
    with World() as taut:
        made = Own(taut)
        try:
            yield made
        finally:
            made.end()
            taut.run("tune", "revert")
            taut.run("lab", "clean")


@test("a domain of a real libvirt is found, entered and measured, and what it cannot do is said")
def _():
    with own() as made:
        made.boot()
        for login in ([], ["--login", f"ssh:root@{GUEST}"]):
            trial = made.measure(*login, "--json").wants(0).json
            check_equal((trial["outcome"], trial["verified"]), ("done", True), f"{login}: trial {trial['reason']}")
            check_equal(trial["settings"]["path"], "virtio", f"{login}: path")
            check_equal(trial["guest"]["accel"], "tcg", f"{login}: accelerator")
            check_in(f"Running hypervisor: {trial['guest']['program']}\n", made.daemon.virsh("version").stdout, f"{login}: QEMU")
        made.measure(name="nobody").wants(1, "there is no domain 'nobody'", f"vm:{NAME}")
        made.measure("--path", "vhost").wants(1, "is virtio, not vhost")
        number = made.daemon.virsh("domid", NAME).stdout.strip()
        made.measure(name=number).wants(1, f"there is no domain '{number}'", f"vm:{NAME}")
        made.measure(name=made.daemon.virsh("domuuid", NAME).stdout.strip()).wants(1, f"vm:{NAME}")
        made.daemon.virsh("define", made.taut.write("off", made.xml(name=OFF, channel="")))
        made.measure(name=OFF).wants(1, f"domain '{OFF}' does not run, it is shut off", f"vm:{NAME}")
        made.daemon.virsh("define", made.taut.write("number", made.xml(name=number, channel="")))
        made.measure(name=number).wants(1, f"'{number}' is domain '{NAME}' to libvirt")
        made.daemon.virsh("suspend", NAME)
        made.measure().wants(1, "it is paused")
        made.daemon.virsh("destroy", NAME)
        made.measure(name=OFF).wants(1, "no domain is running")


@test("a libvirt that does not answer is an error in time")
@timed
def _():
    with own() as made:
        with made.daemon.hung():
            begin = time.monotonic()
            made.measure().wants(1, f"libvirt does not answer within {DEADLINE_S} s")
            seconds = time.monotonic() - begin
        check(seconds >= DEADLINE_S, f"the error came after {seconds:.1f} s already")
        noise.check(seconds <= ASKED_MOST * DEADLINE_S, f"{seconds:.1f} s until the error, wanted {ASKED_MOST * DEADLINE_S}")
        made.measure().wants(1, f"there is no domain '{NAME}'", "no domain is running")
        nobody = {"LIBVIRT_DEFAULT_URI": "qemu+unix:///system?socket=/nonexistent"}
        made.measure(environment=nobody).wants(1, "libvirt says: ", "'/nonexistent'")


if __name__ == "__main__":
    main()
