/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A virtual machine that boots from a disk image of the user's.  It is a machine as vm.c makes them, with
 * the bridge, the tap and the control port; what differs is that the agent is not in it.  It gets there by
 * the guest's QEMU guest agent once the system is up (src/login/guest_agent.c), and gives the network device
 * its address.
 *
 * The image is never written: what the guest writes goes to a temporary file in the target's folder, which
 * has no name and is bounded, and dies with QEMU.
 */
#include "private.h"

#include <stdio.h>
#include <sys/socket.h>

static int disk_resolve(struct trial_plan *plan, struct err *e)
{
	enum disk_format format;
	char agent[4096];
	int rc = vm_ground(plan, e);

	if (rc == 0)
		rc = disk_check(plan->settings.disk, &format, e);
	if (rc == 0)
		rc = target_agent(agent, sizeof(agent), e);
	/* KVM is tried with any kernel that is here. */
	if (rc == 0 && kernel_known(&plan->guest_kernel, "", ERR_IGNORED) < 0)
		plan->guest_kernel = NULL;
	return rc < 0 ? rc : vm_accel(plan, agent, e);
}

static int disk_start(struct target *t, struct err *e)
{
	struct machine_options o = {0};
	/* From the top: what begins with a word and a colon would be a protocol to QEMU. */
	AUTO_FREE char *path = realpath(t->plan.settings.disk, NULL);
	int ends[2], rc = disk_check(t->plan.settings.disk, &o.disk_format, e);

	if (rc < 0)
		return rc;
	o.disk = path;
	t->server.mute = true;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
		return err_sys(e, "cannot make a stream for the guest agent");
	t->login.guest_agent = ends[0];
	o.guest_agent = ends[1];
	rc = vm_begin(t, &o, e);
	close(ends[1]);
	return rc;
}

const struct runtime_row runtime_disk = {
	.name = "disk",
	.help = "a virtual machine by QEMU that boots from a disk image of your own",
	.targets = "vm with a disk",
	.boots = true,
	.resolve = disk_resolve,
	.start = disk_start,
	.enter = foreign_enter,
	.leave = foreign_leave,
	.threads = vm_server_threads,
	.stop = vm_stop,
};
