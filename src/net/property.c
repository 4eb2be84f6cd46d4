/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a link is set to, as texts: a row for each property, with what reads it and what sets it.  A text that
 * was read can be set again later, also on the link of the same device under another name.
 */
#include "ethtool.h"
#include "link.h"

#include <linux/if.h>
#include <netlink/addr.h>
#include <stdio.h>

#define FEATURES_BYTES 8192

/* --- one member of the link -------------------------------------------------------------------- */

static int up_get(int ns, const char *name, char **out, struct err *e)
{
	struct net_link link = {0};
	int rc = net_link_read(ns, name, &link, e);

	if (rc == 0)
		*out = str_dup(link.flags & IFF_UP ? "up" : "down");
	return rc;
}

static int up_set(int ns, const char *name, const char *value, struct err *e)
{
	AUTO_LINK struct rtnl_link *change = link_change_alloc(e);

	if (!change)
		return -ENOMEM;
	if (!strcmp(value, "up"))
		rtnl_link_set_flags(change, IFF_UP);
	else
		rtnl_link_unset_flags(change, IFF_UP);
	return link_change(ns, name, change, "the state", e);
}

static int mtu_get(int ns, const char *name, char **out, struct err *e)
{
	unsigned mtu = 0;
	int rc = net_link_mtu(ns, name, &mtu, e);

	if (rc == 0)
		*out = str_format("%u", mtu);
	return rc;
}

static int mtu_set(int ns, const char *name, const char *value, struct err *e)
{
	uint64_t mtu = 0;

	if (str_u64(value, &mtu) < 0 || mtu > UINT32_MAX)
		return err_set(e, EINVAL, "cannot set the MTU of link %s to '%s'", name, value);
	return net_link_set_mtu(ns, name, (unsigned)mtu, e);
}

static int queue_length_get(int ns, const char *name, char **out, struct err *e)
{
	struct net_link link = {0};
	int rc = net_link_read(ns, name, &link, e);

	if (rc == 0)
		*out = str_format("%u", link.queue_length);
	return rc;
}

static int queue_length_set(int ns, const char *name, const char *value, struct err *e)
{
	AUTO_LINK struct rtnl_link *change = link_change_alloc(e);
	uint64_t length = 0;

	if (!change)
		return -ENOMEM;
	if (str_u64(value, &length) < 0 || length > UINT32_MAX)
		return err_set(e, EINVAL, "cannot set the queue length of link %s to '%s'", name, value);
	rtnl_link_set_txqlen(change, (uint32_t)length);
	return link_change(ns, name, change, "the queue length", e);
}

static int mac_get(int ns, const char *name, char **out, struct err *e)
{
	char mac[NET_MAC];
	int rc = net_link_mac(ns, name, mac, e);

	if (rc == 0)
		*out = str_dup(mac);
	return rc;
}

static int mac_set(int ns, const char *name, const char *value, struct err *e)
{
	AUTO_LINK struct rtnl_link *change = link_change_alloc(e);
	struct nl_addr *mac = NULL;

	if (!change)
		return -ENOMEM;
	int rc = nl_addr_parse(value, AF_LLC, &mac);
	if (rc < 0)
		return session_error(e, rc, "cannot set the MAC address of link %s to '%s'", name, value);
	rtnl_link_set_addr(change, mac);
	nl_addr_put(mac);
	return link_change(ns, name, change, "the MAC address", e);
}

static int name_get(int ns, const char *name, char **out, struct err *e)
{
	struct net_link link = {0};
	int rc = net_link_read(ns, name, &link, e);

	if (rc == 0)
		*out = str_dup(name);
	return rc;
}

int net_link_move(int from, const char *name, int to, struct err *e)
{
	AUTO_LINK struct rtnl_link *change = link_change_alloc(e);

	if (!change)
		return -ENOMEM;
	rtnl_link_set_ns_fd(change, to);
	int rc = link_change(from, name, change, "the namespace", e);
	if (rc != -EEXIST)
		return rc;
	char mac[NET_MAC], other[16];
	if (net_link_mac(from, name, mac, e) < 0)
		return -e->code;
	snprintf(other, sizeof(other), "back-%.2s%.2s%.2s", mac + 9, mac + 12, mac + 15);
	*e = ERR_INIT;
	rtnl_link_set_name(change, other);
	return link_change(from, name, change, "the namespace", e);
}

/* --- features, moderation ---------------------------------------------------------------------- */

static int features_get(int ns, const char *name, char **out, struct err *e)
{
	AUTO_FREE char *text = mem_alloc(FEATURES_BYTES);
	int rc = net_features(ns, name, text, FEATURES_BYTES, e);

	if (rc == 0)
		*out = steal_ptr(&text);
	return rc;
}

/* --- its name ---------------------------------------------------------------------------------- */

/* Kernels before 6.2 rename only a link that is down. */
static int rename_link(int ns, const char *name, const char *value, struct err *e)
{
	AUTO_LINK struct rtnl_link *change = link_change_alloc(e);
	struct err first = ERR_INIT;

	if (!change)
		return -ENOMEM;
	int rc = link_name_check(value, e);
	if (rc < 0)
		return rc;
	rtnl_link_set_name(change, value);
	rc = link_change(ns, name, change, "the name", &first);
	if (rc == -EBUSY && up_set(ns, name, "down", ERR_IGNORED) == 0)
		return link_change(ns, name, change, "the name", e);
	if (rc < 0)
		*e = first;
	return rc;
}

/* The kernel gives the addresses of a link that is renamed labels that nobody has chosen. */
static int name_set(int ns, const char *name, const char *value, struct err *e)
{
	AUTO_FREE char *addresses = NULL;
	int rc = link_addresses(ns, name, &addresses, e);

	if (rc == 0)
		rc = rename_link(ns, name, value, e);
	return rc < 0 ? rc : link_addresses_set(ns, value, addresses, e);
}

/* --- rows -------------------------------------------------------------------------------------- */

static const struct property {
	const char *word;
	/* NULL: figures that the driver is asked for. */
	int (*get)(int ns, const char *name, char **out, struct err *e);
	int (*set)(int ns, const char *name, const char *value, struct err *e);
	bool drivers; /* a move leaves it, and only another driver does not */
} properties[] = {
	{"name", name_get, name_set},
	{"mac", mac_get, mac_set},
	{"mtu", mtu_get, mtu_set},
	{"features", features_get, net_features_set},
	{"coalescing", NULL, NULL},
	{"channels", NULL, NULL, true},
	{"rings", NULL, NULL, true},
	{"rss", ethtool_rss, ethtool_rss_set, true},
	{"pause", NULL, NULL, true},
	{"eee", NULL, NULL, true},
	{"wake", NULL, NULL, true},
	{"private-flags", NULL, NULL, true},
	{"queue-length", queue_length_get, queue_length_set, true},
	{"up", up_get, up_set},
	{"addresses", link_addresses, link_addresses_set},
};

static const struct property *property_find(const char *word, struct err *e)
{
	for (size_t i = 0; i < ARRAY_LEN(properties); i++)
		if (!strcmp(properties[i].word, word))
			return &properties[i];
	err_set(e, EINVAL, "cannot set '%s' of a link: there is no such property", word);
	return NULL;
}

int net_property_get(int ns, const char *name, const char *word, char **out, struct err *e)
{
	const struct property *p = property_find(word, e);

	if (!p)
		return -EINVAL;
	return p->get ? p->get(ns, name, out, e) : ethtool_figures(ns, name, word, out, e);
}

int net_property_set(int ns, const char *name, const char *word, const char *value, struct err *e)
{
	const struct property *p = property_find(word, e);

	if (!p)
		return -EINVAL;
	return p->set ? p->set(ns, name, value, e) : ethtool_figures_set(ns, name, word, value, e);
}

bool net_property_of_driver(const char *word)
{
	const struct property *p = property_find(word, ERR_IGNORED);

	return p && p->drivers;
}
