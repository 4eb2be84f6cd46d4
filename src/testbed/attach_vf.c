/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The attachment vf: a virtual function (SR-IOV), made of a borrowed NIC for the trial.  It goes when the
 * number of the NIC's functions is set back, with all that was set in it.
 *
 * The driver must not find a function before that has its MAC address, for it would keep another one and
 * nothing would pass.  So the kernel is told not to probe, the function is made, gets its address, and then
 * the driver is called.  A NIC starts anew when it gets functions, and until it has its carrier again it does
 * not answer the driver of a function, which then makes up an address as well.
 *
 * The driver waits for the answer of its NIC with the bottom halves of its CPU disabled.  On a realtime
 * kernel the NIC's interrupt thread, if it is on the same CPU, waits for that to end, and the answer comes
 * too late: from then on the driver asks no more and its link passes nothing, until it notices seconds later.
 * So the driver is called on one CPU, and if it has no answer there, on another, all that makes it ask is
 * done on that CPU, and the link gets no addresses by itself, which the kernel would give it on any CPU.
 */
#include "private.h"

#include "device.h"
#include "wire/wire.h"

#include <poll.h>
#include <sched.h>
#include <stdio.h>

#define LINK_NS (10 * NS_PER_S) /* for a driver to make a link */
#define LOOK_MS 10
#define GOES    4 /* on so many CPUs the driver is called */

/* An emulated host is all taut's, and nobody else brings up its devices. */
static int cable_up(const struct devices *d, const char *a, const char *b, struct err *e)
{
	int rc = net_link_up(d->home, a, e);

	if (rc == 0)
		rc = net_link_up(d->home, b, e);
	if (rc == 0)
		rc = device_link_carrier(d->home, a, a, e);
	return rc < 0 ? rc : device_link_carrier(d->home, b, b, e);
}

static int vf_resolve(const struct devices *d, const struct trial_plan *plan, struct err *e)
{
	struct device server = {0}, client = {0};
	int rc = device_ends(d, &plan->settings, &server, &client, e);

	if (rc == 0 && host_emulated())
		rc = cable_up(d, server.name, client.name, e);
	if (rc == 0)
		rc = device_divisible(d, &server, e);
	return rc < 0 ? rc : device_check_passing(d, plan, &server, &client, e);
}

struct function {
	const struct device *parent;
	char pci[16], mac[NET_MAC];
	bool given; /* the NIC has that address for it */
};

static int function_file(const struct target *t, const struct devices *d, const struct function *f,
	const char *file, const char *value, struct err *e)
{
	AUTO_FREE char *path = str_format(PCI_DEVICES "/%s/%s", f->parent->id.pci, file);

	return borrow_file(d, t->lent, path, value, e);
}

/* One of the parent's, with the bit of addresses that somebody has chosen, and another last byte. */
static void mac_make(struct function *f)
{
	unsigned b[6] = {0};

	sscanf(f->parent->id.mac, "%x:%x:%x:%x:%x:%x", &b[0], &b[1], &b[2], &b[3], &b[4], &b[5]);
	snprintf(f->mac, sizeof(f->mac), "%02x:%02x:%02x:%02x:%02x:%02x", (b[0] & 0xfc) | 2, b[1] & 0xff,
		b[2] & 0xff, b[3] & 0xff, b[4] & 0xff, (b[5] ^ 0x80) & 0xff);
}

static int function_find(const struct devices *d, struct function *f, struct err *e)
{
	AUTO_FREE char *path = str_format(PCI_DEVICES "/%s/virtfn0", f->parent->id.pci);
	char target[256];
	ssize_t n = readlinkat(d->host->root, path + 1, target, sizeof(target) - 1);

	target[n > 0 ? n : 0] = 0;
	const char *slash = strrchr(target, '/');
	if (!slash || str_copy(f->pci, sizeof(f->pci), slash + 1) < 0)
		return err_set(e, ENODEV, "cannot find the virtual function of %s", f->parent->word);
	return 0;
}

/* Some drivers give their functions addresses themselves, and refuse. */
static int function_address(const struct devices *d, struct function *f, struct err *e)
{
	struct err why = ERR_INIT;
	int rc = net_vf_mac_set(d->home, f->parent->name, 0, f->mac, &why);

	f->given = rc == 0;
	if (rc < 0 && rc != -EOPNOTSUPP)
		*e = why;
	return rc == -EOPNOTSUPP ? 0 : rc;
}

/* The link that the driver makes of the function. */
static int function_link(const struct devices *d, const struct function *f, char name[16], struct err *e)
{
	struct net_identity mine = {.mac = ""};
	uint64_t end = time_now_ns() + LINK_NS;
	int rc;

	str_copy(mine.pci, sizeof(mine.pci), f->pci);
	while ((rc = net_link_find(d->home, &mine, name, e)) == -ENODEV && time_now_ns() < end && !stop_flag)
		poll(NULL, 0, LOOK_MS);
	if (rc == -ENODEV) {
		err_set(e, ENODEV, "cannot use the virtual function %s: no driver makes a link of it",
			f->pci);
		return err_try(e, "modprobe its driver (for igb: igbvf)");
	}
	char mac[NET_MAC] = "";
	if (rc == 0 && f->given)
		rc = net_link_mac(d->home, name, mac, e);
	if (rc == 0 && f->given && strcmp(mac, f->mac))
		return err_set(e, EADDRNOTAVAIL,
			"cannot use the virtual function %s: its driver took the address %s and not %s, which %s has "
			"for it, so nothing would pass",
			f->pci, mac, f->mac, f->parent->word);
	return rc;
}

static int function_make(struct target *t, const struct devices *d, struct function *f, struct err *e)
{
	size_t from = t->lent->n;
	int rc = function_file(t, d, f, "sriov_drivers_autoprobe", "0", e);

	if (rc == 0)
		rc = function_file(t, d, f, "sriov_numvfs", "1", e);
	if (rc == 0)
		rc = borrow_take(d, t->lent, from, e);
	if (rc == 0)
		rc = function_find(d, f, e);
	/* A client that drives its device itself gives the other end no carrier before it runs. */
	if (rc == 0 && !t->client.pci[0])
		rc = net_link_up(t->client.netns, t->client.link, e);
	if (rc == 0 && !t->client.pci[0])
		rc = device_link_carrier(d->home, f->parent->name, f->parent->word, e);
	if (rc < 0)
		return rc;
	mac_make(f);
	return function_address(d, f, e);
}

static int function_probe(struct target *t, const struct devices *d, const struct function *f, struct err *e)
{
	int rc = t->host.calls->write_file(t->host.calls_arg, t->root, "/sys/bus/pci/drivers_probe", f->pci);

	if (rc < 0)
		return err_code(e, -rc, "cannot have a driver for %s", f->pci);
	return function_link(d, f, t->server.link, e);
}

static void function_unbind(const struct target *t, const struct function *f)
{
	AUTO_FREE char *path = str_format(PCI_DEVICES "/%s/driver/unbind", f->pci);

	t->host.calls->write_file(t->host.calls_arg, t->root, path, f->pci);
}

/* Its link goes with the function, so that it is moved needs no entry. */
static int function_up(struct target *t, const struct devices *d, struct err *e)
{
	struct endpoint *ep = &t->server;
	int rc = net_link_move(d->home, ep->link, ep->netns, e);

	if (rc == 0)
		rc = net_link_bare(ep->netns, ep->link, e);
	if (rc == 0 && t->plan.settings.mtu)
		rc = net_link_set_mtu(ep->netns, ep->link, (unsigned)t->plan.settings.mtu, e);
	if (rc < 0)
		return rc;
	target_link_add(t, ep->link, ep->netns, NULL);
	return net_link_up(ep->netns, ep->link, e);
}

/* Calls the driver on one CPU after another, until it has the address.  On that CPU this thread stays until
 * the wire is made, for the driver asks its NIC again when its link gets an address (target.c). */
static int function_drive(struct target *t, const struct devices *d, const struct function *f, struct err *e)
{
	int rc = -EADDRNOTAVAIL, goes = 0;
	cpus allowed, one;

	if (sched_getaffinity(0, sizeof(allowed), &allowed) < 0)
		return err_sys(e, "cannot read the affinity of taut");
	for (int cpu = 0; cpu < CPU_SETSIZE && rc == -EADDRNOTAVAIL && goes < GOES && !stop_flag; cpu++) {
		if (!CPU_ISSET(cpu, &allowed))
			continue;
		if (goes++)
			function_unbind(t, f);
		CPU_ZERO(&one);
		CPU_SET(cpu, &one);
		*e = (struct err)ERR_INIT;
		rc = task_set_affinity(0, &one, e);
		rc = rc < 0 ? rc : function_probe(t, d, f, e);
	}
	return rc < 0 ? rc : function_up(t, d, e);
}

static int function_lend(struct target *t, const struct devices *d, const struct function *f, struct err *e)
{
	size_t from = t->lent->n;
	int rc = function_file(t, d, f, "sriov_drivers_autoprobe", "1", e);

	if (rc == 0)
		rc = borrow_take(d, t->lent, from, e);
	return rc < 0 ? rc : function_drive(t, d, f, e);
}

/* The driver of the virtual functions of a NIC, where it is another one than that of the NIC. */
static const char *function_driver(const char *driver)
{
	static const struct {
		const char *whole, *function;
	} pairs[] = {{"igb", "igbvf"}, {"ixgbe", "ixgbevf"}, {"i40e", "iavf"}, {"ice", "iavf"},
		{"cxgb4", "cxgb4vf"}};

	for (size_t i = 0; i < ARRAY_LEN(pairs); i++)
		if (!strcmp(driver, pairs[i].whole))
			return pairs[i].function;
	return driver;
}

static int function_pass(struct target *t, const struct devices *d, const struct function *f, struct err *e)
{
	size_t from = t->lent->n;
	bool machine = t->runtime->boots;
	int rc = device_passable(d, f->pci, machine ? t->plan.settings.memory_bytes : BYPASS_BYTES, e);

	if (rc == 0 && machine)
		rc = device_pass(t, d,
			&(struct device_passing){f->pci, f->mac, function_driver(f->parent->driver)}, e);
	else if (rc == 0)
		rc = device_pass_to_end(t, d, &t->server, f->pci, e);
	return rc < 0 ? rc : borrow_take(d, t->lent, from, e);
}

static int vf_take(struct target *t, const struct devices *d, struct err *e)
{
	struct device server, client;
	struct function f = {.parent = &server};
	int rc = vf_resolve(d, &t->plan, e);

	if (rc == 0)
		rc = device_ends(d, &t->plan.settings, &server, &client, e);
	if (rc == 0)
		rc = device_give(t, d, END_CLIENT, &client, e);
	if (rc == 0)
		rc = borrow_take(d, t->lent, 0, e);
	if (rc == 0)
		rc = function_make(t, d, &f, e);
	if (rc < 0)
		return rc;
	return t->runtime->boots || bypass_is(&t->plan, END_SERVER) ? function_pass(t, d, &f, e)
								    : function_lend(t, d, &f, e);
}

/* --- the row ----------------------------------------------------------------------------------- */

static int vf_create(struct target *t, struct err *e)
{
	return device_attach(t, vf_take, e);
}

const struct attachment_row attachment_vf = {
	.name = "vf",
	.help = "a virtual function (SR-IOV) of such a NIC",
	.check = vf_resolve,
	.create = vf_create,
	.device = bypass_function_device,
	.cabled = true,
};
