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
/* The link that a macvlan stands on, and the namespace that this link is in. */
struct net_parent {
	int ns;
	const char *name;
};
/* A macvlan in bridge mode, made inside `ns`, up.  MTU 0: that of its parent.  -EOPNOTSUPP with advice where
 * the kernel has none. */
int net_macvlan_create(const struct net_parent *on, int ns, const char *name, unsigned mtu, struct err *e);
/* The same as a macvtap; fds[queues] are its ends for QEMU. */
int net_macvtap_create(const struct net_parent *on, int ns, const char *name, unsigned queues, unsigned mtu,
	int *fds, struct err *e);
#define NET_MAC 18
/* "52:54:00:12:34:56" */
int net_link_mac(int ns, const char *name, char out[NET_MAC], struct err *e);
int net_link_set_mtu(int ns, const char *name, unsigned mtu, struct err *e);
int net_link_up(int ns, const char *name, struct err *e);
/* "10.0.0.1" with prefix 24, or an IPv6 address (without duplicate address detection). */
int net_address_add(int ns, const char *link, const char *address, unsigned prefix, struct err *e);
/* The link, which is down, gets no address by itself when it comes up. */
int net_link_bare(int ns, const char *link, struct err *e);
/* Has the kernel that has the address answered within that time?  1, 0; a wire that passes nothing is 0. */
int net_answers(int ns, const char *address, unsigned wait_ms, struct err *e);
/* What a link is set to. */
struct net_link {
	unsigned flags; /* IFF_UP …, IFF_LOWER_UP: it has a carrier */
	unsigned mtu, queue_length, rx_queues, tx_queues;
	char qdisc[32]; /* the kind of its root queueing discipline, "noqueue", "mq" …, or "" */
	char kind[16];  /* as net_links_each() */
	/* "": it has none, or only zeros, as lo and the links that the kernel makes in every namespace (tunl0
	 * …).
	 */
	char mac[NET_MAC];
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
/* Switches on those of the text and the others off, as far as they can be changed. */
int net_features_set(int ns, const char *name, const char *active, struct err *e);

/* What a link is by its driver. */
struct net_device {
	char driver[32];   /* "" when it does not say */
	char pci[16];      /* "0000:01:00.0"; "" for what is no PCI function */
	char mac[NET_MAC]; /* as in struct net_link */
	char kind[16];     /* as net_links_each() */
};
int net_device_read(int ns, const char *name, struct net_device *out, struct err *e);

/* By what a device is known again, whatever its link is called. */
struct net_identity {
	char pci[16];      /* its PCI function; "": by the following */
	char mac[NET_MAC]; /* of several links of one function, that one */
	char kind[16];     /* as net_links_each() */
};
/* The name of its link in the namespace; -ENODEV. */
int net_link_find(int ns, const struct net_identity *id, char out[16], struct err *e);
/* It keeps its name, unless another link has that there: then it becomes back-334455, by the end of its
 * MAC address. */
int net_link_move(int from, const char *name, int to, struct err *e);
/* What a link is set to, by the word of the property, as a text that can be set again: name, mac, mtu,
 * features, coalescing, channels, rings, rss, pause, eee, wake, private-flags, queue-length, up ("up" or
 * "down"), addresses.  *out malloc'd. */
int net_property_get(int ns, const char *name, const char *word, char **out, struct err *e);
int net_property_set(int ns, const char *name, const char *word, const char *value, struct err *e);
/* Does a link keep it wherever it moves, and lose it only with its driver? */
bool net_property_of_driver(const char *word);

/* Of a NIC with virtual functions: the MAC address that one of them begins with.  -EOPNOTSUPP where these
 * have addresses of their own. */
int net_vf_mac_set(int ns, const char *name, unsigned vf, const char *mac, struct err *e);

enum net_use {
	NET_FREE,
	NET_DEFAULT_ROUTE,
	NET_PORT,      /* of a bridge, a bond …: `by` */
	NET_CARRIES,   /* another link stands on it: `by` */
	NET_ROUTE,     /* somebody has set a route that leads over it, to `by` */
	NET_NEIGHBOUR, /* somebody has set a permanent neighbour on it, or a proxy for one: `by` */
};
int net_link_use(int ns, const char *name, enum net_use *out, char *by, size_t size, struct err *e);
/*
 * A queueing discipline of a link that would not come back by itself: its kind, or "".  `*set`: somebody has
 * set it, be it at the root, for one queue or for what comes in; else the kernel has made it, and would now
 * make another one, `usual` ("": not known).
 */
int net_link_queueing(
	int ns, const char *name, const char *usual, char *out, size_t size, bool *set, struct err *e);

/* What a device can do and how it is set, as far as its driver tells. */
struct net_facts {
	bool device;            /* no virtual link: what follows has a meaning of its own */
	uint64_t line_rate_bps; /* 0: not known, or there is no line */
	unsigned rx_queues, tx_queues;
	bool adaptive;       /* interrupt moderation follows the load */
	char moderation[96]; /* as the property coalescing; "off": all figures are 0; where it is adaptive,
				that alone */
	char offloads[64];   /* those of "gro gso lro rxcsum tso txcsum" that are on */
};
int net_link_facts(int ns, const char *name, struct net_facts *out, struct err *e);

/* What a link is set to, and what its device tells, as texts to show and to compare. */
enum net_text {
	NET_TEXT_MTU,
	NET_TEXT_QDISC,
	NET_TEXT_DRIVER, /* from here on of devices alone, not of virtual links */
	NET_TEXT_LINE_RATE,
	NET_TEXT_MODERATION,
	NET_TEXT_OFFLOADS,
	NET_TEXT_QUEUES,
	NET_TEXTS
};
#define NET_TEXT_SIZE 96
struct net_standing {
	bool there;
	char text[NET_TEXTS][NET_TEXT_SIZE]; /* "": it has no such thing, or does not tell */
};
void net_standing_read(int ns, const char *name, struct net_standing *out);
