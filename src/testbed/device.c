/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Which device a user means.  A device is known by the address of its PCI function and its MAC address, or,
 * where it is no PCI function, by its kind and MAC address; names of links are what changes.
 */
#include "device.h"

#include <fcntl.h>
#include <stdio.h>

int devices_open(struct devices *d, const struct undo_host *host, struct err *e)
{
	d->host = host;
	d->home = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	return d->home < 0 ? err_sys(e, "cannot open /proc/thread-self/ns/net") : 0;
}

void devices_close(struct devices *d)
{
	if (d->home >= 0)
		close(steal_fd(&d->home));
}

/* "01:00.0" and "0000:01:00.0" → the latter. */
static bool pci_parse(const char *word, char out[16])
{
	unsigned domain = 0, bus, slot, function;
	int n = 0;

	if ((sscanf(word, "%4x:%2x:%2x.%1x%n", &domain, &bus, &slot, &function, &n) != 4 || word[n]) &&
		((domain = 0), sscanf(word, "%2x:%2x.%1x%n", &bus, &slot, &function, &n) != 3 || word[n]))
		return false;
	snprintf(out, 16, "%04x:%02x:%02x.%x", domain & 0xffff, bus & 0xff, slot & 0xff, function & 0xf);
	return true;
}

static int link_take(const struct devices *d, const char *name, struct device *out, struct err *e)
{
	struct net_device read;
	int rc = net_device_read(d->home, name, &read, e);

	if (rc < 0)
		return rc;
	str_copy(out->name, sizeof(out->name), name);
	str_copy(out->driver, sizeof(out->driver), read.driver);
	str_copy(out->id.mac, sizeof(out->id.mac), read.mac);
	str_copy(out->id.kind, sizeof(out->id.kind), read.kind);
	/* A VLAN, and whatever else has its driver's data from below, is no PCI function itself. */
	if (!out->id.kind[0])
		str_copy(out->id.pci, sizeof(out->id.pci), read.pci);
	return out->id.mac[0] ? 0 : err_set(e, EAFNOSUPPORT, "%s has no MAC address", name);
}

static int function_take(const struct devices *d, const char *pci, struct device *out, struct err *e)
{
	AUTO_FREE char *path = str_format(PCI_DEVICES "/%s", pci);
	char name[16];

	if (!root_exists(d->host->root, path))
		return err_set(e, ENODEV, "there is no such PCI function");
	str_copy(out->id.pci, sizeof(out->id.pci), pci);
	undo_pci_driver(d->host, pci, out->driver, sizeof(out->driver));
	if (net_link_find(d->home, &out->id, name, ERR_IGNORED) < 0)
		return err_set(e, ENODEV, "it has no link (its driver is %s)",
			out->driver[0] ? out->driver : "missing");
	return link_take(d, name, out, e);
}

int device_find(const struct devices *d, const char *word, struct device *out, struct err *e)
{
	struct device device = {0};
	struct err why = ERR_INIT;
	char pci[16];
	int rc = pci_parse(word, pci) ? function_take(d, pci, &device, &why)
				      : link_take(d, word, &device, &why);

	if (rc < 0)
		return err_set(e, -rc, "cannot borrow device %s: %s", word, why.text);
	str_copy(device.word, sizeof(device.word), word);
	*out = device;
	return 0;
}
