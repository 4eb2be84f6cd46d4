/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Addresses of links, and the preparation of namespaces for measuring. */
#include "session.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_addr.h>
#include <netlink/addr.h>
#include <netlink/route/addr.h>
#include <netlink/route/link.h>

static int address_parse(const char *text, struct nl_addr **out)
{
	unsigned char bytes[sizeof(struct in6_addr)];

	if (inet_pton(AF_INET, text, bytes) == 1)
		*out = nl_addr_build(AF_INET, bytes, sizeof(struct in_addr));
	else if (inet_pton(AF_INET6, text, bytes) == 1)
		*out = nl_addr_build(AF_INET6, bytes, sizeof(struct in6_addr));
	else
		return -EINVAL;
	return *out ? 0 : -ENOMEM;
}

int net_address_add(int ns, const char *link, const char *address, unsigned prefix, struct err *e)
{
	AUTO_SESSION struct session s = SESSION_NONE;
	struct nl_addr *parsed = NULL;
	int rc = address_parse(address, &parsed);

	if (rc < 0)
		return err_set(
			e, -rc, "cannot give link %s the address '%s': it is not numeric", link, address);
	if (prefix > (nl_addr_get_family(parsed) == AF_INET ? 32u : 128u)) {
		nl_addr_put(parsed);
		return err_set(e, EINVAL, "cannot give link %s the address %s/%u: the prefix is too long",
			link, address, prefix);
	}
	struct rtnl_addr *row = rtnl_addr_alloc();
	int index = session_open(&s, ns, e);
	if (index == 0)
		index = row ? session_link(&s, link, e)
			    : err_code(e, ENOMEM, "cannot add address %s", address);
	rc = index;
	if (index > 0) {
		rtnl_addr_set_ifindex(row, index);
		rtnl_addr_set_local(row, parsed);
		rtnl_addr_set_prefixlen(row, (int)prefix);
		if (nl_addr_get_family(parsed) == AF_INET6)
			rtnl_addr_set_flags(row, IFA_F_NODAD);
		rc = rtnl_addr_add(s.sock, row, NLM_F_EXCL);
		if (rc < 0)
			rc = session_error(
				e, rc, "cannot give link %s the address %s/%u", link, address, prefix);
	}
	rtnl_addr_put(row);
	nl_addr_put(parsed);
	return rc < 0 ? rc : 0;
}

int net_addresses_each(
	int ns, void (*fn)(const char *link, const char *address, void *arg), void *arg, struct err *e)
{
	AUTO_SESSION struct session s = SESSION_NONE;
	struct nl_cache *addresses, *links;
	int rc = session_open(&s, ns, e);

	if (rc < 0)
		return rc;
	if ((rc = rtnl_link_alloc_cache(s.sock, AF_UNSPEC, &links)) < 0)
		return session_error(e, rc, "cannot list links");
	rc = rtnl_addr_alloc_cache(s.sock, &addresses);
	session_close(&s); /* fn must run in the namespace of the caller */
	if (rc < 0) {
		nl_cache_free(links);
		return session_error(e, rc, "cannot list addresses");
	}
	for (struct nl_object *o = nl_cache_get_first(addresses); o; o = nl_cache_get_next(o)) {
		struct rtnl_addr *row = nl_object_priv(o);
		char name[32] = "", text[INET6_ADDRSTRLEN + 8];
		rtnl_link_i2name(links, rtnl_addr_get_ifindex(row), name, sizeof(name));
		fn(name, nl_addr2str(rtnl_addr_get_local(row), text, sizeof(text)), arg);
	}
	nl_cache_free(addresses);
	nl_cache_free(links);
	return 0;
}

/* --- namespaces -------------------------------------------------------------------------------- */

/*
 * Sysctls of a new namespace, by the path that a process inside it sees.  A file may be missing, without IPv6
 * or br_netfilter; then there is nothing to switch off.  bridge-nf-call-*: with br_netfilter loaded they are
 * 1 in every new namespace, and what taut's bridge forwards makes a detour past rules that nobody has made.
 * No address waits for any of them (IPv6 ones are added with NODAD): where /proc/sys is read-only, as in many
 * containers, the namespace serves without.
 */
static const struct {
	const char *path, *value;
} namespace_files[] = {
	{"/proc/sys/net/ipv6/conf/all/accept_dad", "0"},
	{"/proc/sys/net/ipv6/conf/default/accept_dad", "0"},
	{"/proc/sys/net/ipv6/conf/all/accept_ra", "0"},
	{"/proc/sys/net/ipv6/conf/default/accept_ra", "0"},
	{"/proc/sys/net/bridge/bridge-nf-call-iptables", "0"},
	{"/proc/sys/net/bridge/bridge-nf-call-ip6tables", "0"},
	{"/proc/sys/net/bridge/bridge-nf-call-arptables", "0"},
	{"/proc/sys/net/ipv6/conf/all/disable_ipv6", "0"}, /* by engines, in containers without a network */
	{"/proc/sys/net/ipv6/conf/default/disable_ipv6", "0"},
};

/* Once a process: the next namespace cannot be prepared either. */
static void say_unprepared(const struct err *why)
{
	static bool said;

	if (!said)
		log_warn("taut's network namespaces keep what the kernel gives them: %s", why->text);
	said = true;
}

static int namespace_write(int root, const char *path, const char *value, struct err *e)
{
	struct err why = ERR_INIT;
	int rc = root_exists(root, path) ? root_write(root, path, value, &why) : 0;

	if (rc == -EROFS || rc == -EACCES || rc == -EPERM) {
		say_unprepared(&why);
		return 0;
	}
	if (rc < 0)
		*e = why;
	return rc;
}

int net_link_bare(int ns, const char *link, struct err *e)
{
	AUTO_FREE char *path = str_format("/proc/sys/net/ipv6/conf/%s/addr_gen_mode", link);
	AUTO_CLOSE int root = root_open("/", e);
	int rc, saved = root < 0 ? root : netns_enter(ns, e);

	if (saved < 0)
		return saved;
	rc = namespace_write(root, path, "1", e);
	netns_leave(&saved);
	return rc;
}

int net_namespace_prepare(int ns, struct err *e)
{
	AUTO_CLOSE int root = root_open("/", e);
	int rc = 0, saved = root < 0 ? root : netns_enter(ns, e);

	if (saved < 0)
		return saved;
	for (size_t i = 0; rc == 0 && i < ARRAY_LEN(namespace_files); i++)
		rc = namespace_write(root, namespace_files[i].path, namespace_files[i].value, e);
	netns_leave(&saved);
	return rc < 0 ? rc : net_link_up(ns, "lo", e);
}

/*
 * A process that is root in its user namespace only cannot return to a network namespace that belongs to
 * another user namespace, so it must be in one of its own before it enters a third.  Whether that is so is
 * found out by entering the namespace that the process is in already.
 */
static int namespace_allowed(struct err *e)
{
	AUTO_CLOSE int own = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);

	if (own < 0)
		return err_sys(e, "cannot open /proc/thread-self/ns/net");
	return setns(own, CLONE_NEWNET) == 0 ? 0 : netns_own(e);
}

int net_namespace_create(struct err *e)
{
	int rc = namespace_allowed(e);

	if (rc < 0)
		return rc;
	AUTO_CLOSE int ns = netns_create(e);
	if (ns < 0)
		return ns;
	rc = net_namespace_prepare(ns, e);
	return rc < 0 ? err_wrap(e, "cannot prepare a network namespace") : steal_fd(&ns);
}
