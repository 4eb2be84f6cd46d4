/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Finding a device again, whatever its link is called now: by the address of its PCI function, or, where it
 * is none, by its kind and MAC address.  A function with several links has one for each MAC address.
 */
#include "net.h"

#include <linux/if.h>

#define CANDIDATES_MAX 256

struct names {
	char at[CANDIDATES_MAX][IFNAMSIZ];
	size_t n;
};

static void take_name(const char *name, unsigned flags, unsigned mtu, const char *kind, void *arg)
{
	struct names *names = arg;

	(void)mtu;
	(void)kind;
	if (names->n == CANDIDATES_MAX || (flags & IFF_LOOPBACK))
		return;
	str_copy(names->at[names->n++], IFNAMSIZ, name);
}

int net_link_find(int ns, const struct net_identity *id, char out[16], struct err *e)
{
	AUTO_FREE struct names *names = mem_alloc(sizeof(*names));
	const char *found = NULL;
	int rc = net_links_each(ns, take_name, names, e);

	for (size_t i = 0; rc == 0 && i < names->n; i++) {
		struct net_device d;
		if (net_device_read(ns, names->at[i], &d, ERR_IGNORED) < 0)
			continue; /* it has gone in between */
		bool same = !strcmp(d.mac, id->mac);
		bool mine = id->pci[0] ? !strcmp(d.pci, id->pci) && !d.kind[0]
				       : same && !strcmp(d.kind, id->kind);
		if (mine && (same || !found))
			found = names->at[i];
	}
	if (rc < 0)
		return rc;
	if (!found)
		return err_set(e, ENODEV, "cannot find the link of %s", id->pci[0] ? id->pci : id->mac);
	return str_copy(out, 16, found);
}
