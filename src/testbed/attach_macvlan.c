/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The attachment macvlan: the server has a link of its own MAC address on top of another one, the parent,
 * with no bridge between them.  The parent is one end of a veth pair, in a namespace of taut's own; the other
 * end is the client's.  A virtual machine has the same as a macvtap, whose fd QEMU gets; its network device
 * then has the MAC address of the macvtap, since nothing else is let through.
 *
 * With `device`, the parent is a link of the machine's, which stays where it is and keeps its settings; what
 * is put on it goes with the namespaces of the ends.  Then the client has the device at the other end of the
 * cable, or, where none is named, a macvlan on the same parent.
 */
#include "private.h"

#include "device.h"

#include <linux/if.h>

static unsigned mtu_of(const struct target *t)
{
	return (unsigned)t->plan.settings.mtu;
}

static int macvtap_create(struct target *t, const struct net_parent *on, struct err *e)
{
	int rc = net_macvtap_create(
		on, t->bridge_netns, LINK_TAP, (unsigned)t->plan.settings.queues, mtu_of(t), t->vm.taps, e);

	if (rc == 0)
		rc = net_link_mac(t->bridge_netns, LINK_TAP, t->vm.mac, e);
	if (rc == 0)
		target_link_add(t, LINK_TAP, t->bridge_netns, NULL);
	return rc;
}

static int end_create(struct target *t, const struct net_parent *on, struct endpoint *ep, struct err *e)
{
	int rc = net_macvlan_create(on, ep->netns, ep->link, mtu_of(t), e);

	if (rc == 0)
		target_link_add(t, ep->link, ep->netns, NULL);
	return rc;
}

static int server_create(struct target *t, const struct net_parent *on, struct err *e)
{
	return t->runtime->boots ? macvtap_create(t, on, e) : end_create(t, on, &t->server, e);
}

/* --- on a veth pair ---------------------------------------------------------------------------- */

static int on_own(struct target *t, struct err *e)
{
	const struct net_parent on = {t->bridge_netns, LINK_PARENT};
	int rc = net_veth_create(t->client.netns, LINK_CLIENT, t->bridge_netns, LINK_PARENT, mtu_of(t), e);

	if (rc < 0)
		return rc;
	target_link_add(t, LINK_CLIENT, t->client.netns, NULL);
	target_link_add(t, LINK_PARENT, t->bridge_netns, NULL);
	return server_create(t, &on, e);
}

/* --- on a link of the machine's ---------------------------------------------------------------- */

static int devices_find(const struct devices *d, const struct settings *s, struct device *parent,
	struct device *client, struct err *e)
{
	struct net_link link = {0};
	int rc = device_find(d, s->device, parent, e);

	if (rc == 0)
		rc = device_open_to_all(d, parent, e);
	if (rc == 0)
		rc = net_link_read(d->home, parent->name, &link, e);
	if (rc == 0 && !(link.flags & IFF_UP)) {
		err_refused(e, "cannot put a macvlan on %s: it is down", parent->name);
		return err_try(e, "ip link set %s up", parent->name);
	}
	if (rc < 0 || !s->client_device[0])
		return rc;
	rc = device_find(d, s->client_device, client, e);
	if (rc == 0)
		rc = device_pair(d, parent, client, e);
	return rc < 0 ? rc : device_free(d, client, e);
}

static int macvlan_check(const struct devices *d, const struct trial_plan *plan, struct err *e)
{
	struct device parent, client;

	return devices_find(d, &plan->settings, &parent, &client, e);
}

static int client_lend(struct target *t, const struct devices *d, const struct device *client, struct err *e)
{
	int rc = device_lend(t, d, &t->client, client, e);

	if (rc == 0)
		rc = borrow_take(d, t->lent, 0, e);
	if (rc == 0)
		rc = net_link_up(t->client.netns, t->client.link, e);
	return rc < 0 ? rc : device_carrier(&t->client, t->plan.settings.client_device, e);
}

static int on_device(struct target *t, struct err *e)
{
	AUTO(devices_close) struct devices d = DEVICES_NONE;
	struct device parent, client;
	int rc = devices_open(&d, &t->host, e);

	if (rc == 0)
		rc = devices_find(&d, &t->plan.settings, &parent, &client, e);
	if (rc < 0)
		return rc;
	const struct net_parent on = {d.home, parent.name};
	rc = t->plan.settings.client_device[0] ? client_lend(t, &d, &client, e)
					       : end_create(t, &on, &t->client, e);
	return rc < 0 ? rc : server_create(t, &on, e);
}

static int macvlan_create(struct target *t, struct err *e)
{
	t->bridge_netns = net_namespace_create(e);
	if (t->bridge_netns < 0)
		return t->bridge_netns;
	return t->plan.settings.device[0] ? on_device(t, e) : on_own(t, e);
}

const struct attachment_row attachment_macvlan = {
	.name = "macvlan",
	.help = "a macvlan on a veth pair or a device, without a bridge; for a VM its macvtap form",
	.check = macvlan_check,
	.create = macvlan_create,
	.device = bypass_link_device,
};
