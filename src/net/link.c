/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Links.  One request makes both ends of a veth pair, each inside its own namespace: no end appears in
 * another namespace first, and nothing is moved or renamed (each move costs an RCU grace period).  The
 * request for a bridge is built here, with its settings in it, since libnl has no call for the forward delay.
 * With a delay other than 0, the ports of a bridge without STP would learn for 15 s before they forward
 * anything.
 */
#include "link.h"

#include <linux/if.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <netlink/route/link/veth.h>

void link_put(struct rtnl_link **link)
{
	if (*link)
		rtnl_link_put(*link);
}

int link_open(struct session *s, struct rtnl_link **link, int ns, const char *name, struct err *e)
{
	int rc = session_open(s, ns, e);

	if (rc < 0)
		return rc;
	int index = session_link(s, name, e);
	if (index < 0)
		return index;
	rc = rtnl_link_get_kernel(s->sock, index, NULL, link);
	return rc < 0 ? session_error(e, rc, "cannot read link %s", name) : 0;
}

int link_change(int ns, const char *name, struct rtnl_link *change, const char *what, struct err *e)
{
	AUTO_SESSION struct session s = SESSION_NONE;
	AUTO_LINK struct rtnl_link *link = NULL;
	int rc = link_open(&s, &link, ns, name, e);

	if (rc < 0)
		return rc;
	rc = rtnl_link_change(s.sock, link, change, 0);
	return rc < 0 ? session_error(e, rc, "cannot set %s of link %s", what, name) : 0;
}

struct rtnl_link *link_change_alloc(struct err *e)
{
	struct rtnl_link *change = rtnl_link_alloc();

	if (!change)
		err_code(e, ENOMEM, "cannot change a link");
	return change;
}

int net_link_up(int ns, const char *name, struct err *e)
{
	return net_property_set(ns, name, "up", "up", e);
}

int net_link_set_mtu(int ns, const char *name, unsigned mtu, struct err *e)
{
	AUTO_LINK struct rtnl_link *change = link_change_alloc(e);

	if (!change)
		return -ENOMEM;
	rtnl_link_set_mtu(change, mtu);
	return link_change(ns, name, change, "the MTU", e);
}

int net_veth_create(int ns_a, const char *name_a, int ns_b, const char *name_b, unsigned mtu, struct err *e)
{
	AUTO_LINK struct rtnl_link *link = rtnl_link_veth_alloc();
	AUTO_LINK struct rtnl_link *peer = link ? rtnl_link_veth_get_peer(link) : NULL;
	AUTO_SESSION struct session s = SESSION_NONE;
	int rc;

	if (!peer)
		return err_code(e, ENOMEM, "cannot make veth pair %s and %s", name_a, name_b);
	if ((rc = link_name_check(name_a, e)) < 0 || (rc = link_name_check(name_b, e)) < 0)
		return rc;
	rtnl_link_set_name(link, name_a);
	rtnl_link_set_name(peer, name_b);
	rtnl_link_set_ns_fd(peer, ns_b);
	if (mtu) {
		rtnl_link_set_mtu(link, mtu);
		rtnl_link_set_mtu(peer, mtu);
	}
	if ((rc = session_open(&s, ns_a, e)) < 0)
		return rc;
	rc = rtnl_link_add(s.sock, link, NLM_F_CREATE | NLM_F_EXCL);
	if (rc < 0)
		return session_error(e, rc, "cannot make veth pair %s and %s", name_a, name_b);
	session_close(&s);
	rc = net_link_up(ns_a, name_a, e);
	return rc < 0 ? rc : net_link_up(ns_b, name_b, e);
}

static struct nl_msg *bridge_request(const char *name, unsigned mtu)
{
	struct ifinfomsg header = {.ifi_family = AF_UNSPEC, .ifi_flags = IFF_UP, .ifi_change = IFF_UP};
	struct nl_msg *msg = nlmsg_alloc_simple(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
	struct nlattr *info, *data;

	if (!msg)
		return NULL;
	if (nlmsg_append(msg, &header, sizeof(header), NLMSG_ALIGNTO) < 0 ||
		nla_put_string(msg, IFLA_IFNAME, name) < 0 || (mtu && nla_put_u32(msg, IFLA_MTU, mtu) < 0) ||
		!(info = nla_nest_start(msg, IFLA_LINKINFO)) ||
		nla_put_string(msg, IFLA_INFO_KIND, "bridge") < 0 ||
		!(data = nla_nest_start(msg, IFLA_INFO_DATA)) ||
		nla_put_u32(msg, IFLA_BR_FORWARD_DELAY, 0) < 0 ||
		nla_put_u32(msg, IFLA_BR_STP_STATE, 0) < 0 ||
		nla_put_u8(msg, IFLA_BR_MCAST_SNOOPING, 0) < 0) {
		nlmsg_free(msg);
		return NULL;
	}
	nla_nest_end(msg, data);
	nla_nest_end(msg, info);
	return msg;
}

int net_bridge_create(int ns, const char *name, unsigned mtu, struct err *e)
{
	AUTO_SESSION struct session s = SESSION_NONE;
	int rc = link_name_check(name, e);

	if (rc < 0 || (rc = session_open(&s, ns, e)) < 0)
		return rc;
	struct nl_msg *msg = bridge_request(name, mtu);
	if (!msg)
		return err_code(e, ENOMEM, "cannot make bridge %s", name);
	rc = nl_send_sync(s.sock, msg); /* frees msg */
	return rc < 0 ? session_error(e, rc, "cannot make bridge %s", name) : 0;
}

int net_bridge_add(int ns, const char *bridge, const char *port, struct err *e)
{
	AUTO_SESSION struct session s = SESSION_NONE;
	int rc = session_open(&s, ns, e);

	if (rc < 0)
		return rc;
	int master = session_link(&s, bridge, e);
	int slave = master < 0 ? master : session_link(&s, port, e);
	if (slave < 0)
		return slave;
	rc = rtnl_link_enslave_ifindex(s.sock, master, slave);
	return rc < 0 ? session_error(e, rc, "cannot put link %s on bridge %s", port, bridge) : 0;
}

int net_link_read(int ns, const char *name, struct net_link *out, struct err *e)
{
	AUTO_SESSION struct session s = SESSION_NONE;
	AUTO_LINK struct rtnl_link *link = NULL;
	int rc = link_open(&s, &link, ns, name, e);

	if (rc < 0)
		return rc;
	const char *qdisc = rtnl_link_get_qdisc(link), *kind = rtnl_link_get_type(link);
	struct nl_addr *mac = rtnl_link_get_addr(link);
	char text[64];
	*out = (struct net_link){.flags = rtnl_link_get_flags(link),
		.mtu = rtnl_link_get_mtu(link),
		.queue_length = rtnl_link_get_txqlen(link),
		.rx_queues = rtnl_link_get_num_rx_queues(link),
		.tx_queues = rtnl_link_get_num_tx_queues(link)};
	str_copy(out->qdisc, sizeof(out->qdisc), qdisc ? qdisc : "");
	str_copy(out->kind, sizeof(out->kind), kind ? kind : "");
	if (mac && nl_addr_get_len(mac) == 6 && !nl_addr_iszero(mac))
		str_copy(out->mac, sizeof(out->mac), nl_addr2str(mac, text, sizeof(text)));
	return 0;
}

int net_link_mac(int ns, const char *name, char out[NET_MAC], struct err *e)
{
	struct net_link link = {0};
	int rc = net_link_read(ns, name, &link, e);

	if (rc == 0 && !link.mac[0])
		rc = err_set(e, EAFNOSUPPORT, "cannot read the MAC address of link %s: it has none", name);
	return rc < 0 ? rc : str_copy(out, NET_MAC, link.mac);
}

int net_link_mtu(int ns, const char *name, unsigned *mtu, struct err *e)
{
	struct net_link link = {0};
	int rc = net_link_read(ns, name, &link, e);

	if (rc == 0)
		*mtu = link.mtu;
	return rc;
}

int net_link_delete(int ns, const char *name, struct err *e)
{
	AUTO_SESSION struct session s = SESSION_NONE;
	AUTO_LINK struct rtnl_link *link = NULL;
	int rc = link_open(&s, &link, ns, name, e);

	if (rc < 0)
		return rc;
	rc = rtnl_link_delete(s.sock, link);
	return rc < 0 ? session_error(e, rc, "cannot delete link %s", name) : 0;
}

int net_links_each(int ns,
	void (*fn)(const char *name, unsigned flags, unsigned mtu, const char *kind, void *arg), void *arg,
	struct err *e)
{
	AUTO_SESSION struct session s = SESSION_NONE;
	struct nl_cache *cache;
	int rc = session_open(&s, ns, e);

	if (rc < 0)
		return rc;
	rc = rtnl_link_alloc_cache(s.sock, AF_UNSPEC, &cache);
	if (rc < 0)
		return session_error(e, rc, "cannot list links");
	session_close(&s); /* fn must run in the namespace of the caller */
	for (struct nl_object *o = nl_cache_get_first(cache); o; o = nl_cache_get_next(o)) {
		struct rtnl_link *link = nl_object_priv(o);
		const char *kind = rtnl_link_get_type(link);
		fn(rtnl_link_get_name(link), rtnl_link_get_flags(link), rtnl_link_get_mtu(link),
			kind ? kind : "", arg);
	}
	nl_cache_free(cache);
	return 0;
}
