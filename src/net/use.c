/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a link is in use for, and what somebody has set that hangs on it: what stands on it, or what it is a
 * port of; routes that lead over it; neighbours; queueing disciplines.  What the kernel makes of itself, for
 * the addresses of the link and when it goes up, counts as nothing.
 */
#include "link.h"

#include <arpa/inet.h>
#include <linux/if_addr.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <netlink/route/addr.h>
#include <netlink/route/classifier.h>
#include <netlink/route/nexthop.h>
#include <netlink/route/qdisc.h>
#include <netlink/route/route.h>
#include <stdio.h>

static void cache_free(struct nl_cache **cache)
{
	if (*cache)
		nl_cache_free(*cache);
}
#define AUTO_CACHE AUTO(cache_free)

#define EACH(object, cache)                                                                                  \
	(struct nl_object *object = nl_cache_get_first(cache); object; object = nl_cache_get_next(object))

/* --- other links ------------------------------------------------------------------------------- */

/* What stands on the link with that index, or NULL.  The other end of a veth pair does not. */
static const char *stands_on(struct nl_cache *links, int index)
{
	for
		EACH(o, links)
		{
			struct rtnl_link *link = nl_object_priv(o);
			const char *kind = rtnl_link_get_type(link);
			int elsewhere;
			if (rtnl_link_get_link(link) == index && rtnl_link_get_ifindex(link) != index &&
				rtnl_link_get_link_netnsid(link, &elsewhere) < 0 &&
				!(kind && !strcmp(kind, "veth")))
				return rtnl_link_get_name(link);
		}
	return NULL;
}

static enum net_use links_use(struct nl_cache *links, int index, char *by, size_t size)
{
	AUTO_LINK struct rtnl_link *link = rtnl_link_get(links, index);
	int master = link ? rtnl_link_get_master(link) : 0;
	const char *above = stands_on(links, index);

	if (master && !rtnl_link_i2name(links, master, by, size))
		snprintf(by, size, "link %d", master);
	else if (above && !master)
		str_copy(by, size, above);
	return master ? NET_PORT : above ? NET_CARRIES : NET_FREE;
}

/* --- routes ------------------------------------------------------------------------------------ */

static bool leads_over(struct rtnl_route *route, int index)
{
	for (int i = 0; i < rtnl_route_get_nnexthops(route); i++)
		if (rtnl_route_nh_get_ifindex(rtnl_route_nexthop_n(route, i)) == index)
			return true;
	return false;
}

/* The kernel makes no route for an address with noprefixroute, so one to its network is somebody's who only
 * calls it the kernel's. */
static bool kernel_makes(struct nl_cache *addresses, int index, struct nl_addr *to)
{
	for
		EACH(o, addresses)
		{
			struct rtnl_addr *row = nl_object_priv(o);
			struct nl_addr *local = rtnl_addr_get_local(row);
			if (rtnl_addr_get_ifindex(row) == index && local &&
				rtnl_addr_get_flags(row) & IFA_F_NOPREFIXROUTE &&
				nl_addr_get_prefixlen(to) == (unsigned)rtnl_addr_get_prefixlen(row) &&
				nl_addr_cmp_prefix(to, local) == 0)
				return false;
		}
	return true;
}

/* Of the routes over a link, the default route counts more than any other. */
static enum net_use routes_use(
	struct nl_cache *routes, struct nl_cache *addresses, int index, char *by, size_t size)
{
	enum net_use use = NET_FREE;

	for
		EACH(o, routes)
		{
			struct rtnl_route *route = nl_object_priv(o);
			struct nl_addr *to = rtnl_route_get_dst(route);
			bool kernels = rtnl_route_get_protocol(route) == RTPROT_KERNEL;
			if (!leads_over(route, index))
				continue;
			if (!to || !nl_addr_get_prefixlen(to))
				return NET_DEFAULT_ROUTE;
			if (kernels && (rtnl_route_get_table(route) == RT_TABLE_LOCAL ||
					       kernel_makes(addresses, index, to)))
				continue;
			nl_addr2str(to, by, size);
			use = NET_ROUTE;
		}
	return use;
}

/* --- neighbours -------------------------------------------------------------------------------- */

/* Permanent ones, and addresses that the link answers for (proxies). */
static int neighbours_use(
	struct session *s, int index, enum net_use *out, char *by, size_t size, struct err *e)
{
	static const unsigned char flags[] = {0, NTF_PROXY};
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < ARRAY_LEN(flags); i++) {
		AUTO(buf_free) struct buf all = {0};
		struct ndmsg header = {.ndm_flags = flags[i]};
		rc = session_dump(s, RTM_GETNEIGH, &header, sizeof(header), &all, e);
		struct nlmsghdr *h = (struct nlmsghdr *)(void *)all.data;
		for (int left = (int)all.len; rc == 0 && nlmsg_ok(h, left); h = nlmsg_next(h, &left)) {
			const struct ndmsg *n = nlmsg_data(h);
			struct nlattr *to = nlmsg_find_attr(h, sizeof(*n), NDA_DST);
			bool six = n->ndm_family == AF_INET6;
			if (n->ndm_ifindex != index || !to || !(six || n->ndm_family == AF_INET) ||
				!(n->ndm_flags & NTF_PROXY || n->ndm_state & NUD_PERMANENT))
				continue;
			inet_ntop(n->ndm_family, nla_data(to), by, (socklen_t)size);
			*out = NET_NEIGHBOUR;
		}
	}
	return rc;
}

/* --- all of it --------------------------------------------------------------------------------- */

int net_link_use(int ns, const char *name, enum net_use *out, char *by, size_t size, struct err *e)
{
	AUTO_SESSION struct session s = SESSION_NONE;
	AUTO_CACHE struct nl_cache *links = NULL, *routes = NULL, *addresses = NULL;
	enum net_use use = NET_FREE, other = NET_FREE;
	int rc = session_open(&s, ns, e), index = rc < 0 ? rc : session_link(&s, name, e);

	if (index < 0)
		return index;
	by[0] = 0;
	if ((rc = neighbours_use(&s, index, &use, by, size, e)) < 0)
		return rc;
	rc = rtnl_link_alloc_cache(s.sock, AF_UNSPEC, &links);
	if (rc == 0)
		rc = rtnl_route_alloc_cache(s.sock, AF_UNSPEC, 0, &routes);
	if (rc == 0)
		rc = rtnl_addr_alloc_cache(s.sock, &addresses);
	if (rc < 0)
		return session_error(e, rc, "cannot see what link %s is used for", name);
	/* What says more of the link comes later. */
	if ((other = routes_use(routes, addresses, index, by, size)) != NET_FREE)
		use = other;
	if (use != NET_DEFAULT_ROUTE && (other = links_use(links, index, by, size)) != NET_FREE)
		use = other;
	*out = use;
	return 0;
}

/* --- queueing disciplines ---------------------------------------------------------------------- */

/* One that the kernel makes by itself has no handle; `usual` is the one that it makes now. */
static bool kernel_queues(struct rtnl_tc *tc, const char *usual)
{
	const char *kind = rtnl_tc_get_kind(tc);

	if (TC_H_MAJ(rtnl_tc_get_handle(tc)))
		return false;
	/* A link with many queues has pfifo_fast for those that are not in use. */
	return !usual[0] || !kind || str_in(kind, "noop|noqueue|mq") || !strcmp(kind, usual) ||
	       (rtnl_tc_get_parent(tc) != TC_H_ROOT && !strcmp(kind, "pfifo_fast"));
}

int net_link_queueing(
	int ns, const char *name, const char *usual, char *out, size_t size, bool *set, struct err *e)
{
	AUTO_SESSION struct session s = SESSION_NONE;
	AUTO_CACHE struct nl_cache *qdiscs = NULL, *filters = NULL;
	int rc = session_open(&s, ns, e), index = rc < 0 ? rc : session_link(&s, name, e);

	if (index < 0)
		return index;
	rc = rtnl_qdisc_alloc_cache(s.sock, &qdiscs);
	if (rc == 0)
		rc = rtnl_cls_alloc_cache(s.sock, index, 0, &filters);
	/* A kernel may be built without them, or without filters. */
	if (rc < 0 && rc != -NLE_OPNOTSUPP)
		return session_error(e, rc, "cannot list the queueing disciplines of link %s", name);
	out[0] = 0;
	*set = false;
	if (!qdiscs)
		return 0;
	for
		EACH(o, qdiscs)
		{
			struct rtnl_tc *tc = nl_object_priv(o);
			if (rtnl_tc_get_ifindex(tc) != index || kernel_queues(tc, usual))
				continue;
			*set = TC_H_MAJ(rtnl_tc_get_handle(tc));
			return str_copy(out, size, rtnl_tc_get_kind(tc));
		}
	*set = filters && !nl_cache_is_empty(filters);
	return *set ? str_copy(out, size, "with filters") : 0;
}
