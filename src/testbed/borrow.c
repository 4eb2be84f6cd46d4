/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A borrowed device: a NIC, or a function of it, that is taken from the machine for a trial and comes back as
 * it was.  All that is changed of it is an entry of one list, which is journalled before the first write, so
 * that after a crash `taut clean` gives it back.  The entries are undone from the last to the first: the
 * device comes home, gets its name and its settings, goes up, and then has its addresses.
 *
 * A namespace that ends takes virtual links with it, and gives others back late and maybe under another name.
 * So the namespace that a device is taken to is held by a file in the folder of the owner record, and
 * outlives a taut that is killed until its device has been brought home.
 *
 * What does not come back: sysctls of the one link (/proc/sys/net/ipv6/conf/LINK), its multicast memberships
 * and entries of its forwarding database, which the kernel forgets when a link moves.  It forgets queueing
 * disciplines, routes and neighbours as well, so a device with such of the user's is not taken.
 *
 * A device that loses its driver starts with the defaults of the driver, and then all that is in settings[]
 * is set again.  Not known here, and so left at its default, is what else a driver can be told: a forced rate
 * or duplex mode, tx-lpi of EEE, rules for received packets (ntuple), further RSS contexts and fields of
 * hashes, FEC, the password of wake-on-LAN, XDP programs, alias and group of the link, RPS and XPS of its
 * queues.
 */
#include "device.h"

/* In the order in which they are taken; each comes back after those that follow.  What a driver sets in its
 * PHY comes back when the link is up again, if it was: some have a PHY only then. */
static const struct {
	const char *property, *row;
	const char *after; /* NULL: as it is */
} settings[] = {
	{"addresses", "link-addresses", ""},
	{"wake", "link-wake", NULL},
	{"eee", "link-eee", NULL},
	{"pause", "link-pause", NULL},
	{"up", "link-up", "down"},
	{"coalescing", "link-coalescing", NULL},
	{"features", "link-features", NULL},
	{"rss", "link-rss", NULL},
	{"rings", "link-rings", NULL},
	{"channels", "link-channels", NULL},
	{"private-flags", "link-private-flags", NULL},
	{"queue-length", "link-queue-length", NULL},
	{"mtu", "link-mtu", NULL},
	{"mac", "link-mac", NULL},
	{"name", "link-name", NULL},
};

static struct undo_entry *entry_add(const struct devices *d, struct undo_list *list, const char *row,
	const char *object, const char *before, const char *after)
{
	struct undo_entry *entry = undo_entry_add(d->host, list, "device", row, object);

	undo_entry_values(entry, before, after);
	if (strcmp(before, after) != 0)
		return entry;
	/* Not written, but the device may lose it on its way. */
	undo_entry_stand(entry, UNDO_EFFECTIVE, NULL);
	entry->written = true;
	return entry;
}

int borrow_link(const struct devices *d, struct undo_list *list, const struct loan *loan, struct err *e)
{
	const struct device *device = loan->device;
	const struct net_identity *id = &device->id;
	AUTO_FREE char *detail = str_format("pci=%s mac=%s kind=%s netns=%s%s", id->pci, id->mac, id->kind,
		loan->held ? loan->held : "", loan->held ? "" : " rebinds");
	AUTO_FREE char *mtu = loan->mtu ? str_format("%u", loan->mtu) : NULL;

	for (size_t i = 0; i < ARRAY_LEN(settings); i++) {
		AUTO_FREE char *before = NULL;
		AUTO_FREE char *object = str_format(
			"%s of %s (%s)", settings[i].property, device->name, id->pci[0] ? id->pci : id->mac);
		int rc = net_property_get(d->home, device->name, settings[i].property, &before, e);
		/* What cannot be read of a driver that stays is not lost either. */
		if (rc == -EOPNOTSUPP ||
			(rc < 0 && loan->held && net_property_of_driver(settings[i].property)))
			continue;
		if (rc < 0)
			return err_wrap(e, "cannot borrow device %s", device->word);
		bool other_mtu = mtu && strcmp(settings[i].property, "mtu") == 0;
		const char *after = other_mtu ? mtu : settings[i].after ? settings[i].after : before;
		entry_add(d, list, settings[i].row, object, before, after)->detail = str_dup(detail);
	}
	if (!loan->held)
		return 0;
	AUTO_FREE char *object =
		str_format("namespace of %s (%s)", device->name, id->pci[0] ? id->pci : id->mac);
	entry_add(d, list, "link-home", object, UNDO_HOME, loan->held)->detail = str_dup(detail);
	return 0;
}

static int entry_add_as_read(const struct devices *d, struct undo_list *list, const char *row,
	const char *object, const char *after, struct err *e)
{
	AUTO_FREE char *before = NULL;
	struct undo_entry *entry = undo_entry_add(d->host, list, "device", row, object);
	int rc = entry->row->read(d->host, entry, &before, e);

	if (rc < 0) {
		undo_entry_clear(entry);
		list->n--;
		return rc;
	}
	undo_entry_values(entry, before, after);
	return 0;
}

int borrow_driver(
	const struct devices *d, struct undo_list *list, const char *pci, const char *driver, struct err *e)
{
	AUTO_FREE char *after = str_format("%s only %s", driver, driver);

	return entry_add_as_read(d, list, "pci-driver", pci, after, e);
}

int borrow_file(
	const struct devices *d, struct undo_list *list, const char *path, const char *value, struct err *e)
{
	return entry_add_as_read(d, list, "file", path, value, e);
}

int borrow_take(const struct devices *d, struct undo_list *list, size_t from, struct err *e)
{
	int rc = list->journal ? undo_journal_write(d->host, list, 0, e)
			       : undo_journal_begin(d->host, list, 0, e);

	for (size_t i = from; rc == 0 && i < list->n; i++) {
		struct undo_entry *entry = &list->entries[i];
		if (!undo_entry_due(entry, 0))
			continue;
		rc = undo_entry_apply(d->host, entry, e);
		if (rc == 0 && entry->status != UNDO_EFFECTIVE)
			rc = err_set(e, EIO, "cannot set %s to '%s': it %s", entry->object, entry->after,
				entry->reason);
	}
	return rc;
}

int borrow_return(const struct undo_host *host, struct undo_list *list, struct err *e)
{
	if (!list)
		return 0;
	int rc = undo_list_undo(host, list, 0, e);
	if (rc == 0)
		rc = undo_journal_remove(list, e);
	else if (list->journal)
		undo_journal_shrink(list);
	if (rc < 0) {
		err_wrap(e, "cannot give back a device");
		e->exit = EXIT_PARTLY_APPLIED;
	}
	undo_list_free(list);
	return rc;
}
