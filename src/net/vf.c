/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Virtual functions of a NIC, as far as they are set by way of its link. */
#include "session.h"

#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <stdio.h>

static struct nl_msg *mac_request(int index, const struct ifla_vf_mac *mac)
{
	struct ifinfomsg header = {.ifi_family = AF_UNSPEC, .ifi_index = index};
	struct nl_msg *msg = nlmsg_alloc_simple(RTM_SETLINK, 0);
	struct nlattr *list, *one;

	if (!msg)
		return NULL;
	if (nlmsg_append(msg, &header, sizeof(header), NLMSG_ALIGNTO) < 0 ||
		!(list = nla_nest_start(msg, IFLA_VFINFO_LIST)) ||
		!(one = nla_nest_start(msg, IFLA_VF_INFO)) ||
		nla_put(msg, IFLA_VF_MAC, sizeof(*mac), mac) < 0) {
		nlmsg_free(msg);
		return NULL;
	}
	nla_nest_end(msg, one);
	nla_nest_end(msg, list);
	return msg;
}

int net_vf_mac_set(int ns, const char *name, unsigned vf, const char *mac, struct err *e)
{
	AUTO_SESSION struct session s = SESSION_NONE;
	struct ifla_vf_mac wish = {.vf = vf};
	unsigned char *b = wish.mac;
	int rc = session_open(&s, ns, e), index = rc < 0 ? rc : session_link(&s, name, e);

	if (index < 0)
		return index;
	if (sscanf(mac, "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", &b[0], &b[1], &b[2], &b[3], &b[4], &b[5]) != 6)
		return err_set(e, EINVAL, "cannot give a virtual function the MAC address '%s'", mac);
	struct nl_msg *msg = mac_request(index, &wish);
	if (!msg)
		return err_code(e, ENOMEM, "cannot give a virtual function of %s a MAC address", name);
	rc = nl_send_sync(s.sock, msg); /* frees msg */
	return rc < 0 ? session_error(e, rc, "cannot give virtual function %u of %s the MAC address %s", vf,
				name, mac)
		      : 0;
}
