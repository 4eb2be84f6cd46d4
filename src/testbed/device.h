/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Devices of the machine that a trial borrows; private to the module. */
#pragma once

#include "net/net.h"
#include "plan.h"
#include "undo/undo.h"

#define PCI_DEVICES "/sys/bus/pci/devices"

/* --- which device it is, and whether it may be taken (device.c, device_check.c) ---------------- */

struct device {
	char word[64]; /* as the user names it */
	char name[16]; /* of its link; "": it has none */
	char driver[64];
	struct net_identity id;
};

/* The devices of the machine: its sysfs below `root`, its links in the namespace `home`. */
struct devices {
	const struct undo_host *host;
	int home;
};
#define DEVICES_NONE ((struct devices){.home = -1})

int devices_open(struct devices *d, const struct undo_host *host, struct err *e);
void devices_close(struct devices *d);
/* By the name of a link, or the address of a PCI function.  -ENODEV. */
int device_find(const struct devices *d, const char *word, struct device *out, struct err *e);
/* May it be taken?  EXIT_REFUSED with the reason. */
int device_free(const struct devices *d, const struct device *device, struct err *e);
/* May links be put on it?  EXIT_REFUSED. */
int device_open_to_all(const struct devices *d, const struct device *device, struct err *e);
/* Are the two the ends of a cable that carries something, as far as that can be told before they are up? */
int device_pair(const struct devices *d, const struct device *a, const struct device *b, struct err *e);
/* Can a virtual function be made of it? */
int device_divisible(const struct devices *d, const struct device *device, struct err *e);
/* Can a machine get it, or a function of it: IOMMU, driver, memory that may be locked? */
int device_passable(const struct devices *d, const char *pci, uint64_t memory_bytes, struct err *e);

/* --- for attachments (attach_device.c) --------------------------------------------------------- */

struct target;
struct endpoint;
struct settings;
struct trial_plan;
/* The devices at both ends of the cable that the settings name, where the client's may be taken. */
int device_ends(const struct devices *d, const struct settings *s, struct device *server,
	struct device *client, struct err *e);
/* Can those functions be passed that their kernel driver gives up, to a machine or to an end that drives its
 * device itself? */
int device_check_passing(const struct devices *d, const struct trial_plan *plan, const struct device *server,
	const struct device *client, struct err *e);
/* Adds what moves the link of a device to the namespace of an end; borrow_take() does it. */
int device_lend(struct target *t, const struct devices *d, struct endpoint *ep, const struct device *device,
	struct err *e);
/* Adds the device of an end to what is taken: its link, or the PCI function for an end that drives it itself.
 */
int device_give(struct target *t, const struct devices *d, enum end_number end, const struct device *device,
	struct err *e);
/* Gives a function to a machine, whose guest drives it by that driver and knows it by that address. */
struct device_passing {
	const char *pci, *mac, *driver;
};
int device_pass(struct target *t, const struct devices *d, const struct device_passing *p, struct err *e);
/* Gives a function to an end, which drives it itself. */
int device_pass_to_end(
	struct target *t, const struct devices *d, struct endpoint *ep, const char *pci, struct err *e);
/* Takes what `take` adds, and waits until both ends are up. */
int device_attach(struct target *t, int (*take)(struct target *t, const struct devices *d, struct err *e),
	struct err *e);
/* Waits until a link has a carrier: -ENOLINK, which names it as `word`, -EINTR. */
int device_link_carrier(int ns, const char *name, const char *word, struct err *e);
/* How long that may take, ns. */
uint64_t device_carrier_ns(void);
/* Until what is plugged into both ends of a cable has agreed. */
int device_carrier(const struct endpoint *ep, const char *word, struct err *e);

/* --- borrowing (borrow.c) ---------------------------------------------------------------------- */

/* How a device is taken. */
struct loan {
	const struct device *device;
	const char *held; /* what holds the namespace that its link moves to; NULL: it loses its driver */
	unsigned mtu;     /* 0: as it is */
};
/* Adds the entries by which a link is taken down and away, and comes back as it was. */
int borrow_link(const struct devices *d, struct undo_list *list, const struct loan *loan, struct err *e);
/* Another driver for a PCI function. */
int borrow_driver(
	const struct devices *d, struct undo_list *list, const char *pci, const char *driver, struct err *e);
/* A file of sysfs. */
int borrow_file(
	const struct devices *d, struct undo_list *list, const char *path, const char *value, struct err *e);
/* Journals the entries from `from` on together with the earlier ones, and carries them out. */
int borrow_take(const struct devices *d, struct undo_list *list, size_t from, struct err *e);
/* Everything back, past errors; EXIT_PARTLY_APPLIED when something stays owed.  Takes NULL. */
int borrow_return(const struct undo_host *host, struct undo_list *list, struct err *e);
