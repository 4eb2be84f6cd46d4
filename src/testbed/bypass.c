/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Ends that move packets past the kernel by DPDK: the program that they are, and the device that it gets.
 *
 * On a link of the kernel's the device is a packet socket; of a NIC that is lent (attach_device.c) it is the
 * PCI function itself, by vfio-pci.  With the attachments vhost-user and memif there is no link: the two ends
 * share memory.  The client's end listens on a socket in the target's folder, over which the server's end,
 * which is such a program as well (or QEMU, by vhost-user), hands it its memory and queues.  So the client
 * starts first, and has its device before it says HELLO.
 */
#include "private.h"

#include <fcntl.h>

#define FRAME_ROOM "4096" /* in a ring; that of a packet socket has pages for it */

/* --- devices, as DPDK names them --------------------------------------------------------------- */

char *bypass_link_device(const struct target *t, enum end_number end)
{
	return str_format("net_af_packet0,iface=%s,framesz=" FRAME_ROOM ",blocksz=" FRAME_ROOM,
		end == END_SERVER ? t->server.link : t->client.link);
}

char *bypass_function_device(const struct target *t, enum end_number end)
{
	return str_dup(end == END_SERVER ? t->server.pci : t->client.pci);
}

static char *socket_path(const struct target *t)
{
	return str_format("%s/%s", t->owner.folder, t->attachment->name);
}

static char *vhost_user_device(const struct target *t, enum end_number end)
{
	AUTO_FREE char *path = socket_path(t);

	return end == END_SERVER ? str_format("net_virtio_user0,path=%s,packed_vq=1,mac=%s", path, t->vm.mac)
				 : str_format("net_vhost0,iface=%s", path);
}

/* The roles are memif's: its server is the one that listens.  Frames find room in one buffer of a ring, and
 * the two rings have 2^8 of them each, which is the length of this program's queues. */
static char *memif_device(const struct target *t, enum end_number end)
{
	AUTO_FREE char *path = socket_path(t);

	return str_format("net_memif0,role=%s,socket=%s,socket-abstract=no,bsize=" FRAME_ROOM ",rsize=8",
		end == END_SERVER ? "client" : "server", path);
}

/* --- ends -------------------------------------------------------------------------------------- */

bool bypass_is(const struct trial_plan *plan, enum end_number end)
{
	return plan->ends[end].job.driver == DRIVER_DPDK;
}

int bypass_resolve(const struct trial_plan *plan, struct err *e)
{
	char path[4096];

	if (!plan_uses(plan, DRIVER_DPDK))
		return 0;
	if (!plan->attachment->device)
		return err_usage(e, "cannot use driver dpdk with attachment %s: there is no device for it",
			plan->attachment->name);
	if (bypass_is(plan, END_SERVER) && !plan->runtime->plain) {
		err_usage(e,
			"cannot use driver dpdk at the server's end with runtime %s: its program is not in there",
			plan->runtime->name);
		return err_try(e, plan_target(plan)->machine ? "driver dpdk:socket" : "runtime netns");
	}
	return target_agent_dpdk(path, sizeof(path), e);
}

int target_spawn_end(struct target *t, enum end_number end, struct err *e)
{
	struct endpoint *ep = end == END_SERVER ? &t->server : &t->client;
	char program[4096];

	if (!bypass_is(&t->plan, end))
		return endpoint_spawn_agent(ep, t->agent, e);
	int rc = target_agent_dpdk(program, sizeof(program), e);
	if (rc < 0)
		return rc;
	AUTO_FREE char *device = t->attachment->device(t, end);
	AUTO_FREE char *folder = str_format("RUNTIME_DIRECTORY=%s", t->owner.folder);
	const char *const argv[] = {program, "endpoint", ep->name, device,
		end == END_SERVER ? target_address(t, true) : target_client_address(t), NULL};

	ep->environment = folder;
	rc = endpoint_spawn(ep, argv, ep->netns, e);
	ep->environment = NULL;
	return rc;
}

/* --- attachments vhost-user and memif ---------------------------------------------------------- */

int bypass_socket(const struct target *t, struct err *e)
{
	AUTO_FREE char *path = socket_path(t);
	int fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);

	return fd < 0 ? err_sys(e, "cannot find the socket %s", path) : fd;
}

const struct attachment_row attachment_vhost_user = {
	.name = "vhost-user",
	.help = "memory that both ends share, past every kernel (driver dpdk)",
	.device = vhost_user_device,
	.shares_memory = true,
};

const struct attachment_row attachment_memif = {
	.name = "memif",
	.help = "the same by memif, where nobody but DPDK can be an end (driver dpdk)",
	.device = memif_device,
	.shares_memory = true,
};
