/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Borrowed devices.  The attachment here, device, is a whole NIC; attach_vf.c makes a virtual function of
 * one. The client gets the NIC at the other end of the cable.
 *
 * A native target or a container gets the link in its namespace; a virtual machine, and an end by DPDK, get
 * the PCI function itself, by vfio-pci.  All that is taken stands in t->lent, and is given back when the
 * target is taken down.
 */
#include "private.h"

#include "device.h"
#include "wire/wire.h"

#include <linux/if.h>
#include <poll.h>

#define LOOK_MS 10
#define PASS    "vfio-pci"

/* --- before anything is touched ---------------------------------------------------------------- */

int device_ends(const struct devices *d, const struct settings *s, struct device *server,
	struct device *client, struct err *e)
{
	int rc = device_find(d, s->device, server, e);

	if (rc == 0)
		rc = device_find(d, s->client_device, client, e);
	if (rc == 0)
		rc = device_pair(d, server, client, e);
	return rc < 0 ? rc : device_free(d, client, e);
}

static int check_function(
	const struct devices *d, const struct device *device, uint64_t memory_bytes, struct err *e)
{
	if (!device->id.pci[0])
		return err_refused(
			e, "cannot give device %s to a machine: it is no PCI function", device->word);
	return device_passable(d, device->id.pci, memory_bytes, e);
}

/* Those that their kernel driver gives up, to a machine or to an end that drives its device itself. */
int device_check_passing(const struct devices *d, const struct trial_plan *plan, const struct device *server,
	const struct device *client, struct err *e)
{
	int rc = 0;

	if (plan_target(plan)->machine)
		rc = check_function(d, server, plan->settings.memory_bytes, e);
	else if (bypass_is(plan, END_SERVER))
		rc = check_function(d, server, BYPASS_BYTES, e);
	if (rc == 0 && bypass_is(plan, END_CLIENT))
		rc = check_function(d, client, BYPASS_BYTES, e);
	return rc;
}

static int device_resolve(const struct devices *d, const struct trial_plan *plan, struct err *e)
{
	struct device server = {0}, client = {0};
	int rc = device_ends(d, &plan->settings, &server, &client, e);

	if (rc == 0)
		rc = device_free(d, &server, e);
	return rc < 0 ? rc : device_check_passing(d, plan, &server, &client, e);
}

/* For both ends of a cable to agree on a rate; an emulated machine may get little of the CPU meanwhile. */
uint64_t device_carrier_ns(void)
{
	return (host_emulated() ? 60 : 15) * NS_PER_S;
}

/* Waits until the link has a carrier: -ENOLINK, -EINTR. */
int device_link_carrier(int ns, const char *name, const char *word, struct err *e)
{
	uint64_t end = time_now_ns() + device_carrier_ns();
	struct net_link link = {0};
	int rc;

	while ((rc = net_link_read(ns, name, &link, e)) == 0 && !(link.flags & IFF_LOWER_UP)) {
		if (stop_flag)
			return err_set(e, EINTR, "interrupted");
		if (time_now_ns() >= end)
			return err_set(e, ENOLINK,
				"cannot use device %s: no carrier within %llu s, so no cable is in it, "
				"or it leads elsewhere",
				word, (unsigned long long)(device_carrier_ns() / NS_PER_S));
		poll(NULL, 0, LOOK_MS);
	}
	return rc;
}

int device_carrier(const struct endpoint *ep, const char *word, struct err *e)
{
	return device_link_carrier(ep->netns, ep->link, word, e);
}

/* --- taking ------------------------------------------------------------------------------------ */

/* The file that holds the namespace of an end; added before the entries that need it. */
static char *hold(struct target *t, const struct endpoint *ep, struct err *e)
{
	AUTO_FREE char *path = str_format("%s/%s.netns", t->owner.folder, ep->name);
	struct undo_entry *entry = undo_entry_add(&t->host, t->lent, "device", "netns-hold", path);

	undo_entry_values(entry, "absent", "held");
	entry->netns_fd = dup(ep->netns);
	if (entry->netns_fd < 0) {
		err_sys(e, "cannot hold a namespace");
		return NULL;
	}
	return steal_ptr(&path);
}

int device_lend(struct target *t, const struct devices *d, struct endpoint *ep, const struct device *device,
	struct err *e)
{
	AUTO_FREE char *held = hold(t, ep, e);
	const struct loan loan = {device, held, (unsigned)t->plan.settings.mtu};

	if (!held)
		return -e->code;
	str_copy(ep->link, sizeof(ep->link), device->name);
	target_link_add(t, ep->link, ep->netns, held);
	return borrow_link(d, t->lent, &loan, e);
}

static int links_up(struct target *t, struct err *e)
{
	bool client = !t->client.pci[0], server = t->server.netns >= 0 && !t->server.pci[0];
	int rc = client ? net_link_up(t->client.netns, t->client.link, e) : 0;

	if (rc == 0 && server)
		rc = net_link_up(t->server.netns, t->server.link, e);
	/* What a machine or an end has got is up only once that runs. */
	if (rc < 0 || !client || !server)
		return rc;
	rc = device_carrier(&t->server, t->plan.settings.device, e);
	return rc < 0 ? rc : device_carrier(&t->client, t->plan.settings.client_device, e);
}

/* Gives a function to a machine, which needs that driver. */
int device_pass(struct target *t, const struct devices *d, const struct device_passing *p, struct err *e)
{
	const char *pci = p->pci;

	str_copy(t->vm.driver, sizeof(t->vm.driver), p->driver);
	str_copy(t->vm.vfio, sizeof(t->vm.vfio), pci);
	str_copy(t->vm.mac, sizeof(t->vm.mac), p->mac);
	return borrow_driver(d, t->lent, pci, PASS, e);
}

/* Gives a function to an end, which drives it itself. */
int device_pass_to_end(
	struct target *t, const struct devices *d, struct endpoint *ep, const char *pci, struct err *e)
{
	str_copy(ep->pci, sizeof(ep->pci), pci);
	return borrow_driver(d, t->lent, pci, PASS, e);
}

int device_give(struct target *t, const struct devices *d, enum end_number end, const struct device *device,
	struct err *e)
{
	struct endpoint *ep = end == END_SERVER ? &t->server : &t->client;
	const struct loan loan = {.device = device};

	if (!bypass_is(&t->plan, end))
		return device_lend(t, d, ep, device, e);
	int rc = borrow_link(d, t->lent, &loan, e);
	return rc < 0 ? rc : device_pass_to_end(t, d, ep, device->id.pci, e);
}

static int device_take(struct target *t, const struct devices *d, struct err *e)
{
	struct device server, client;
	int rc = device_resolve(d, &t->plan, e);

	if (rc == 0)
		rc = device_ends(d, &t->plan.settings, &server, &client, e);
	if (rc == 0)
		rc = device_give(t, d, END_CLIENT, &client, e);
	if (rc == 0 && t->runtime->boots) {
		const struct loan loan = {.device = &server};
		rc = borrow_link(d, t->lent, &loan, e);
		rc = rc < 0 ? rc
			    : device_pass(t, d,
				      &(struct device_passing){server.id.pci, server.id.mac, server.driver},
				      e);
	} else if (rc == 0) {
		rc = device_give(t, d, END_SERVER, &server, e);
	}
	return rc < 0 ? rc : borrow_take(d, t->lent, 0, e);
}

/* --- rows -------------------------------------------------------------------------------------- */

int device_attach(struct target *t, int (*take)(struct target *t, const struct devices *d, struct err *e),
	struct err *e)
{
	AUTO(devices_close) struct devices d = DEVICES_NONE;
	int rc = devices_open(&d, &t->host, e);

	if (rc == 0)
		rc = take(t, &d, e);
	return rc < 0 ? rc : links_up(t, e);
}

static int device_create(struct target *t, struct err *e)
{
	return device_attach(t, device_take, e);
}

const struct attachment_row attachment_device = {
	.name = "device",
	.help = "a whole NIC that the machine lends, cabled to another one, the client's",
	.check = device_resolve,
	.create = device_create,
	.device = bypass_function_device,
	.cabled = true,
};
