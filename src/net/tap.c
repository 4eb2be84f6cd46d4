/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Tap devices.  They are not persistent: a device exists as long as one of its fds, so it cannot outlive taut
 * and QEMU.  It is opened inside the namespace, and stays there.
 */
#include "net.h"

#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sys/ioctl.h>

#define TUN_PATH "/dev/net/tun"

static int queue_open(const char *name, bool many, struct err *e)
{
	struct ifreq request = {
		.ifr_flags = (short)(IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | (many ? IFF_MULTI_QUEUE : 0))};
	AUTO_CLOSE int fd = open(TUN_PATH, O_RDWR | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0) {
		err_sys(e, "cannot open " TUN_PATH);
		return e && e->code == ENOENT ? err_try(e, "modprobe tun") : -errno;
	}
	if (str_copy(request.ifr_name, sizeof(request.ifr_name), name))
		return err_set(e, EINVAL, "cannot name a tap device '%s'", name);
	if (ioctl(fd, TUNSETIFF, &request) < 0)
		return err_sys(e, "cannot make tap device %s", name);
	return steal_fd(&fd);
}

int net_tap_create(int ns, const char *name, unsigned queues, unsigned mtu, int *fds, struct err *e)
{
	int saved = netns_enter(ns, e), rc = 0;
	unsigned n = 0;

	if (saved < 0)
		return saved;
	for (; rc == 0 && n < queues; n++)
		if ((fds[n] = queue_open(name, queues > 1, e)) < 0) {
			rc = fds[n];
			break;
		}
	netns_leave(&saved);
	if (rc == 0 && mtu)
		rc = net_link_set_mtu(ns, name, mtu, e);
	if (rc == 0)
		rc = net_link_up(ns, name, e);
	while (rc < 0 && n > 0)
		close(steal_fd(&fds[--n]));
	return rc;
}
