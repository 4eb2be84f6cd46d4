/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * macvlan and macvtap: a link of its own MAC address on top of another one, its parent.  It is made straight
 * inside its namespace, while its parent is in another one.  In bridge mode, links of one parent reach each
 * other; the parent itself they do not reach.
 *
 * A macvtap's other end is a character device.  The kernel names its node after the index of the link, which
 * another namespace may have given as well, so the node in /dev can be that of a stranger.  Its true number
 * is in the sysfs of the namespace, and a node with that number is made in a file system of our own, which is
 * attached nowhere.  The device goes with the link, and the link with the namespace.
 */
#include "link.h"

#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <netlink/route/link/macvlan.h>
#include <netlink/route/link/macvtap.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

enum form { MACVLAN, MACVTAP };

static struct rtnl_link *link_alloc(enum form form)
{
	struct rtnl_link *link = form == MACVTAP ? rtnl_link_macvtap_alloc() : rtnl_link_macvlan_alloc();

	if (link && form == MACVTAP)
		rtnl_link_macvtap_set_mode(link, rtnl_link_macvtap_str2mode("bridge"));
	else if (link)
		rtnl_link_macvlan_set_mode(link, rtnl_link_macvlan_str2mode("bridge"));
	return link;
}

static int link_create(
	enum form form, int parent_ns, const char *parent, int ns, const char *name, struct err *e)
{
	static const char *const kinds[] = {[MACVLAN] = "macvlan", [MACVTAP] = "macvtap"};
	AUTO_LINK struct rtnl_link *link = link_alloc(form);
	AUTO_SESSION struct session s = SESSION_NONE;
	int rc = link_name_check(name, e);

	if (rc < 0 || (rc = session_open(&s, parent_ns, e)) < 0)
		return rc;
	int index = session_link(&s, parent, e);
	if (index < 0)
		return index;
	if (!link)
		return err_code(e, ENOMEM, "cannot make a %s on %s", kinds[form], parent);
	rtnl_link_set_link(link, index);
	rtnl_link_set_name(link, name);
	rtnl_link_set_ns_fd(link, ns);
	/* A macvtap cannot know to which multicast addresses its guest listens; IPv6 finds neighbours by
	 * them. */
	if (form == MACVTAP)
		rtnl_link_set_flags(link, IFF_ALLMULTI);
	rc = rtnl_link_add(s.sock, link, NLM_F_CREATE | NLM_F_EXCL);
	if (rc == 0)
		return 0;
	session_error(e, rc, "cannot make a %s on %s", kinds[form], parent);
	return e->code == EOPNOTSUPP ? err_try(e, "modprobe %s", kinds[form]) : -e->code;
}

static int link_begin(
	enum form form, const struct net_parent *on, int ns, const char *name, unsigned mtu, struct err *e)
{
	int rc = link_create(form, on->ns, on->name, ns, name, e);

	if (rc == 0 && mtu)
		rc = net_link_set_mtu(ns, name, mtu, e);
	return rc < 0 ? rc : net_link_up(ns, name, e);
}

int net_macvlan_create(const struct net_parent *on, int ns, const char *name, unsigned mtu, struct err *e)
{
	return link_begin(MACVLAN, on, ns, name, mtu, e);
}

/* --- the character device ---------------------------------------------------------------------- */

static int take_number(const char *name, void *arg)
{
	return str_copy(arg, 64, name) < 0 ? 0 : 1;
}

/* The number of the device of a macvtap in the namespace that this thread is in. */
static int tap_number(const char *name, dev_t *out, struct err *e)
{
	AUTO_FREE char *folder = str_format("/class/net/%s/macvtap", name);
	char tap[64] = "", text[64];
	unsigned major_number, minor_number;
	AUTO_CLOSE int sysfs = netns_sysfs(e);
	int rc = sysfs < 0 ? sysfs : root_each(sysfs, folder, take_number, tap, e);

	if (rc < 0)
		return rc;
	AUTO_FREE char *path = str_format("%s/%s/dev", folder, tap);
	rc = root_read(sysfs, path, text, sizeof(text), e);
	if (rc < 0)
		return rc;
	if (sscanf(text, "%u:%u", &major_number, &minor_number) != 2)
		return err_set(
			e, EPROTO, "cannot open macvtap %s: its device has no number, but '%s'", name, text);
	*out = makedev(major_number, minor_number);
	return 0;
}

/* A folder in memory for the node. */
static int folder_open(struct err *e)
{
	AUTO_CLOSE int fs = fsopen("tmpfs", FSOPEN_CLOEXEC);

	if (fs < 0 || fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return err_sys(e, "cannot make a folder for the node of a macvtap");
	int fd = fsmount(fs, FSMOUNT_CLOEXEC, 0);
	return fd >= 0 ? fd : err_sys(e, "cannot make a folder for the node of a macvtap");
}

static int queue_open(int folder, const char *name, bool many, struct err *e)
{
	struct ifreq request = {
		.ifr_flags = (short)(IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | (many ? IFF_MULTI_QUEUE : 0))};
	AUTO_CLOSE int fd = openat(folder, name, O_RDWR | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		return err_sys(e, "cannot open macvtap %s", name);
	if (ioctl(fd, TUNSETIFF, &request) < 0)
		return err_sys(e, "cannot set up macvtap %s", name);
	return steal_fd(&fd);
}

static int queues_open(const char *name, unsigned queues, int *fds, struct err *e)
{
	AUTO_CLOSE int folder = folder_open(e);
	dev_t number = 0;
	unsigned n = 0;
	int rc = folder < 0 ? folder : tap_number(name, &number, e);

	if (rc == 0 && mknodat(folder, name, S_IFCHR | 0600, number) < 0)
		rc = err_sys(e, "cannot make a node for macvtap %s", name);
	for (; rc == 0 && n < queues; n++)
		if ((fds[n] = queue_open(folder, name, queues > 1, e)) < 0)
			rc = fds[n];
	while (rc < 0 && n > 0) {
		n--;
		if (fds[n] >= 0)
			close(steal_fd(&fds[n]));
	}
	return rc;
}

int net_macvtap_create(const struct net_parent *on, int ns, const char *name, unsigned queues, unsigned mtu,
	int *fds, struct err *e)
{
	int rc = link_begin(MACVTAP, on, ns, name, mtu, e), saved = rc < 0 ? rc : netns_enter(ns, e);

	if (saved < 0)
		return saved;
	rc = queues_open(name, queues, fds, e);
	netns_leave(&saved);
	return rc;
}
