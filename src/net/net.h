/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * net: links, addresses and bridges over libnl, numeric addresses only.  Every call takes the network
 * namespace (an fd) in which it acts, and returns with the caller in the namespace that it was in.  Link
 * names have at most 15 characters.
 */
#pragma once

#include "sys/sys.h"

/*
 * A network namespace ready for measuring; returns an fd that keeps it alive.  lo is up, IPv6 addresses are
 * usable at once (no duplicate address detection, no router solicitation), and bridges in it are not filtered
 * by iptables.
 * -EPERM with EXIT_REFUSED when this process may not make one, or could not come back from it.
 */
int net_namespace_create(struct err *e);
/* Prepares an existing namespace in the same way; for that of a guest or an emulated host, which is all
 * taut's. */
int net_namespace_prepare(int ns, struct err *e);

/* A veth pair, one end in each namespace; both up with the given MTU (0: the kernel's default). */
int net_veth_create(int ns_a, const char *name_a, int ns_b, const char *name_b, unsigned mtu, struct err *e);
/* Up, without STP, forwarding at once, flooding multicast.  MTU 0: that of its ports. */
int net_bridge_create(int ns, const char *name, unsigned mtu, struct err *e);
int net_bridge_add(int ns, const char *bridge, const char *port, struct err *e);
/*
 * A tap device with `queues` queues, up, with virtio headers; fds[queues] are its ends for QEMU, and it is
 * gone when they are closed.  MTU 0: the kernel's default.  -ENOENT with advice without /dev/net/tun.
 */
int net_tap_create(int ns, const char *name, unsigned queues, unsigned mtu, int *fds, struct err *e);
int net_link_set_mtu(int ns, const char *name, unsigned mtu, struct err *e);
int net_link_up(int ns, const char *name, struct err *e);
/* "10.0.0.1" with prefix 24, or an IPv6 address (without duplicate address detection). */
int net_address_add(int ns, const char *link, const char *address, unsigned prefix, struct err *e);
/* What a link is set to; qdisc: the kind of its root queueing discipline, "noqueue", "mq" …, or "". */
struct net_link {
	unsigned mtu;
	char qdisc[32];
};
int net_link_read(int ns, const char *name, struct net_link *out, struct err *e);
int net_link_mtu(int ns, const char *name, unsigned *mtu, struct err *e);
/* Calls fn for every link of a namespace; `kind` is "veth", "bridge", … or "" for hardware and lo. */
int net_links_each(int ns,
	void (*fn)(const char *name, unsigned flags, unsigned mtu, const char *kind, void *arg), void *arg,
	struct err *e);
/* Calls fn for every address of a namespace: "10.0.0.1/24", "fd00::1/64". */
int net_addresses_each(
	int ns, void (*fn)(const char *link, const char *address, void *arg), void *arg, struct err *e);
int net_link_delete(int ns, const char *name, struct err *e);
/*
 * Offloads and features of a link that are on, by name, sorted (ETHTOOL_GFEATURES over ioctl), as one
 * space-separated string.  -ENOSPC when it does not fit.
 */
int net_features(int ns, const char *name, char *out, size_t size, struct err *e);
