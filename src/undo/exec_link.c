/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Links of devices that are borrowed: the namespace that a link is in, and what it is set to (a row for each
 * property of net).
 *
 * A link is looked for anew each time, since it can be elsewhere and have another name by now: its namespace
 * may have ended, which gives a device back to the machine a while later and, when its name is taken there,
 * under another one; and a driver that was taken away and given back makes a new link.  What it is known by
 * stands in `detail`: "pci=0000:01:00.0 mac=… kind= netns=PATH", PATH being what holds the namespace that it
 * was taken to.  With the word "rebinds" in it the device loses its driver, and what its link is set to after
 * that is the driver's default: then each value counts as ours.  So does each name.
 *
 * A PCI function that is not there is unplugged: its settings stay owed, as those of a CPU that is offline
 * do. A link of another kind that is not there has been deleted.  A function that was plugged in again may be
 * able to do less than before (to wake the machine, for one): what its driver then refuses is left and named.
 */
#include "net/net.h"
#include "private.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <poll.h>
#include <sys/vfs.h>

#define ROW_PREFIX "link-"
#define RETURN_NS  (10 * NS_PER_S) /* for a link to come back after its namespace or its driver */
#define LOOK_MS    20

struct place {
	struct net_identity id;
	char held[256]; /* what holds the namespace that it was taken to; "" */
	bool rebinds;
	int home, away; /* the two namespaces; −1: not there */
	int ns;         /* that of both in which it is */
	char name[16];  /* its name there */
};
#define PLACE_NONE ((struct place){.home = -1, .away = -1, .ns = -1})

static void place_close(struct place *p)
{
	if (p->home >= 0)
		close(p->home);
	if (p->away >= 0)
		close(p->away);
	*p = PLACE_NONE;
}
#define AUTO_PLACE AUTO(place_close)

static int take_word(struct place *p, const char *word)
{
	static const char *const keys[] = {"pci=", "mac=", "kind=", "netns="};
	char *const slots[] = {p->id.pci, p->id.mac, p->id.kind, p->held};
	const size_t sizes[] = {sizeof(p->id.pci), sizeof(p->id.mac), sizeof(p->id.kind), sizeof(p->held)};

	for (size_t i = 0; i < ARRAY_LEN(keys); i++)
		if (str_starts(word, keys[i]))
			return str_copy(slots[i], sizes[i], word + strlen(keys[i]));
	p->rebinds |= !strcmp(word, "rebinds");
	return 0;
}

/* The namespace that a file holds; −1 when it holds none any more. */
int undo_netns_held(const char *path)
{
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	struct statfs fs;

	return fd >= 0 && fstatfs(fd, &fs) == 0 && fs.f_type == NSFS_MAGIC ? steal_fd(&fd) : -1;
}

static int place_open(struct place *p, const struct undo_entry *entry, struct err *e)
{
	AUTO_FREE char *detail = str_dup(entry->detail ? entry->detail : "");
	char *save = NULL;

	for (char *word = strtok_r(detail, " ", &save); word; word = strtok_r(NULL, " ", &save))
		if (take_word(p, word) < 0)
			return err_set(e, EPROTO, "cannot tell which link '%s' is", entry->object);
	if (!p->id.mac[0])
		return err_set(e, EPROTO, "cannot tell which link '%s' is", entry->object);
	p->home = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	if (p->home < 0)
		return err_sys(e, "cannot open /proc/thread-self/ns/net");
	if (p->held[0])
		p->away = undo_netns_held(p->held);
	return 0;
}

/* -ENODEV: it is in neither. */
static int look(struct place *p, struct err *e)
{
	const int spaces[] = {p->home, p->away};
	int rc = -ENODEV;

	for (size_t i = 0; i < ARRAY_LEN(spaces) && rc == -ENODEV; i++)
		if (spaces[i] >= 0) {
			*e = ERR_INIT;
			p->ns = spaces[i];
			rc = net_link_find(p->ns, &p->id, p->name, e);
		}
	return rc;
}

/* A driver that makes no links is as good as none. */
static bool has_driver(const struct undo_host *host, const struct place *p)
{
	char driver[64];

	undo_pci_driver(host, p->id.pci, driver, sizeof(driver));
	return driver[0] && strcmp(driver, "vfio-pci") != 0;
}

static bool is_plugged(const struct undo_host *host, const struct place *p)
{
	AUTO_FREE char *path = str_format("/sys/bus/pci/devices/%s", p->id.pci);

	return p->id.pci[0] && root_exists(host->root, path);
}

/* A PCI function that has its driver gets some time to show its link. */
static int locate(
	const struct undo_host *host, struct place *p, const struct undo_entry *entry, struct err *e)
{
	uint64_t end = time_now_ns() + RETURN_NS;
	struct err why = ERR_INIT;
	int rc = place_open(p, entry, &why);

	if (rc == 0)
		rc = look(p, &why);
	while (rc == -ENODEV && is_plugged(host, p) && has_driver(host, p) && time_now_ns() < end) {
		poll(NULL, 0, LOOK_MS);
		rc = look(p, &why);
	}
	if (rc < 0)
		*e = why;
	return rc;
}

/* --- settings ---------------------------------------------------------------------------------- */

static const char *property_of(const struct undo_entry *entry)
{
	return entry->row->name + strlen(ROW_PREFIX);
}

int undo_link_read(const struct undo_host *host, const struct undo_entry *entry, char **out, struct err *e)
{
	AUTO_PLACE struct place p = PLACE_NONE;
	int rc = locate(host, &p, entry, e);

	return rc < 0 ? rc : net_property_get(p.ns, p.name, property_of(entry), out, e);
}

int undo_link_write(
	const struct undo_host *host, const struct undo_entry *entry, const char *value, struct err *e)
{
	AUTO_PLACE struct place p = PLACE_NONE;
	int rc = locate(host, &p, entry, e);

	if (rc < 0)
		return rc;
	rc = host->calls->set_link(host->calls_arg, p.ns, p.name, property_of(entry), value);
	/* The table of RSS alone may be longer than a message. */
	return rc < 0 ? err_code(e, -rc, "cannot set %s to '%.200s%s'", entry->object, value,
				strlen(value) > 200 ? "…" : "")
		      : 0;
}

/* Its PCI function is gone for now; what is no such function is gone for good. */
static bool is_unplugged(const struct undo_host *host, struct undo_entry *entry)
{
	AUTO_PLACE struct place p = PLACE_NONE;

	if (place_open(&p, entry, ERR_IGNORED) < 0 || look(&p, &(struct err){0}) != -ENODEV ||
		is_plugged(host, &p))
		return false;
	if (!p.id.pci[0]) {
		undo_entry_stand(entry, UNDO_GONE, "the link was deleted");
		return true;
	}
	undo_entry_stand(entry, UNDO_AWAY, "the device %s is unplugged", p.id.pci);
	if (!p.rebinds) { /* for when it is back, with what its driver sets */
		char *detail = str_format("%s rebinds", entry->detail);
		free(entry->detail);
		entry->detail = detail;
	}
	return true;
}

int undo_link_revert(const struct undo_host *host, struct undo_entry *entry, struct err *e)
{
	AUTO_PLACE struct place p = PLACE_NONE;

	if (is_unplugged(host, entry))
		return 0;
	int rc = locate(host, &p, entry, e);
	if (rc < 0)
		return rc;
	if (!p.rebinds && net_property_of_driver(property_of(entry))) {
		undo_entry_stand(entry, UNDO_AS_BEFORE, NULL);
		return 0;
	}
	/* What is set there would be lost on the way home. */
	if (p.ns != p.home && strcmp(property_of(entry), "home") != 0)
		return err_set(e, EBUSY, "cannot put back %s: the device is still away", entry->object);
	entry->strays |= p.rebinds || !strcmp(property_of(entry), "name");
	rc = undo_three_way(host, entry, e);
	if ((rc == -EINVAL || rc == -EOPNOTSUPP) && net_property_of_driver(property_of(entry))) {
		*e = ERR_INIT;
		undo_entry_stand(entry, UNDO_LEFT, "since the device was away its driver does not take '%s'",
			entry->before);
		rc = 0;
	}
	return rc;
}

/* --- its namespace ----------------------------------------------------------------------------- */

int undo_home_read(const struct undo_host *host, const struct undo_entry *entry, char **out, struct err *e)
{
	AUTO_PLACE struct place p = PLACE_NONE;
	int rc = locate(host, &p, entry, e);

	if (rc == 0)
		*out = str_dup(p.ns == p.home ? UNDO_HOME : p.held);
	return rc;
}

int undo_home_write(
	const struct undo_host *host, const struct undo_entry *entry, const char *value, struct err *e)
{
	AUTO_PLACE struct place p = PLACE_NONE;
	int rc = locate(host, &p, entry, e);

	if (rc < 0)
		return rc;
	int to = strcmp(value, UNDO_HOME) == 0 ? p.home : p.away;
	if (to < 0)
		return err_set(e, ENOENT, "cannot move %s: %s holds no namespace", entry->object, p.held);
	if (to == p.ns)
		return 0;
	rc = host->calls->move_link(host->calls_arg, p.ns, p.name, to);
	return rc < 0 ? err_code(e, -rc, "cannot move %s to '%s'", entry->object, value) : 0;
}

/* --- what holds a namespace -------------------------------------------------------------------- */

#define HELD   "held"
#define ABSENT "absent"

int undo_hold_read(const struct undo_host *host, const struct undo_entry *entry, char **out, struct err *e)
{
	AUTO_CLOSE int fd = undo_netns_held(entry->object);

	(void)host;
	(void)e;
	*out = str_dup(fd >= 0 ? HELD : ABSENT);
	return 0;
}

int undo_hold_write(
	const struct undo_host *host, const struct undo_entry *entry, const char *value, struct err *e)
{
	bool hold = strcmp(value, HELD) == 0;
	int rc = hold ? host->calls->hold_netns(host->calls_arg, entry->netns_fd, entry->object)
		      : host->calls->drop_netns(host->calls_arg, entry->object);

	return rc < 0 ? err_code(e, -rc, "cannot %s the namespace at %s", hold ? "hold" : "let go of",
				entry->object)
		      : 0;
}

struct held {
	int ns, devices;
};

/* What may have been lent has a MAC address.  The links that the kernel makes in every namespace (lo, and
 * with their modules tunl0, sit0, gretap0 …) have none. */
static void count_device(const char *name, unsigned flags, unsigned mtu, const char *kind, void *arg)
{
	struct held *held = arg;
	struct net_link link = {0};

	(void)flags;
	(void)mtu;
	(void)kind;
	/* What cannot be read may be one; only what has gone is none. */
	int rc = net_link_read(held->ns, name, &link, ERR_IGNORED);
	held->devices += rc == 0 ? link.mac[0] != 0 : rc != -ENODEV;
}

/*
 * A file without a namespace is what is left when taut was killed between the two.  Devices that could not be
 * brought home keep the namespace, for some would end with it.
 */
int undo_hold_revert(const struct undo_host *host, struct undo_entry *entry, struct err *e)
{
	AUTO_CLOSE int ns = undo_netns_held(entry->object);
	struct held held = {.ns = ns};
	int rc = ns < 0 ? 0 : net_links_each(ns, count_device, &held, e);

	if (rc == 0 && held.devices)
		return err_set(e, EBUSY, "cannot let go of the namespace at %s: a device is still in it",
			entry->object);
	if (rc == 0)
		rc = undo_hold_write(host, entry, ABSENT, e);
	if (rc == 0)
		undo_entry_stand(entry, UNDO_REVERTED, NULL);
	return rc;
}
