/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Attachments out of virtual links.  veth: a pair from the client's namespace straight to the server's.
 * bridge: a bridge in a third namespace, of taut's own, with a pair to each.  Not in the host's namespace,
 * where the firewall of whoever runs containers would drop what a strange bridge forwards.  host: none; the
 * server is on a network of the user's, and the client in the host's own namespace.  engine: none of taut's
 * either; what leads to a container of an engine is in engine_wire.c.
 */
#include "private.h"

static int veth_create(struct target *t, struct err *e)
{
	int rc = net_veth_create(t->client.netns, LINK_CLIENT, t->server.netns, LINK_SERVER,
		(unsigned)t->plan.settings.mtu, e);

	if (rc < 0)
		return rc;
	target_link_add(t, LINK_CLIENT, t->client.netns, NULL);
	target_link_add(t, LINK_SERVER, t->server.netns, NULL);
	return 0;
}

static int bridge_port(struct target *t, int netns, const char *link, const char *port, struct err *e)
{
	int rc = net_veth_create(netns, link, t->bridge_netns, port, (unsigned)t->plan.settings.mtu, e);

	if (rc == 0)
		rc = net_bridge_add(t->bridge_netns, LINK_BRIDGE, port, e);
	if (rc == 0) {
		target_link_add(t, link, netns, NULL);
		target_link_add(t, port, t->bridge_netns, NULL);
	}
	return rc;
}

/* The server is a virtual machine: its port is a tap. */
static int bridge_tap(struct target *t, struct err *e)
{
	unsigned queues = (unsigned)t->plan.settings.queues, mtu = (unsigned)t->plan.settings.mtu;
	int rc = net_tap_create(t->bridge_netns, LINK_TAP, queues, mtu, t->vm.taps, e);

	if (rc == 0)
		rc = net_bridge_add(t->bridge_netns, LINK_BRIDGE, LINK_TAP, e);
	if (rc == 0)
		target_link_add(t, LINK_TAP, t->bridge_netns, NULL);
	return rc;
}

static int bridge_create(struct target *t, struct err *e)
{
	t->bridge_netns = net_namespace_create(e);
	if (t->bridge_netns < 0)
		return t->bridge_netns;
	int rc = net_bridge_create(t->bridge_netns, LINK_BRIDGE, (unsigned)t->plan.settings.mtu, e);
	if (rc < 0)
		return rc;
	target_link_add(t, LINK_BRIDGE, t->bridge_netns, NULL);
	rc = bridge_port(t, t->client.netns, LINK_CLIENT, "taut-port-c", e);
	if (rc < 0 || t->runtime->boots)
		return rc < 0 ? rc : bridge_tap(t, e);
	return bridge_port(t, t->server.netns, LINK_SERVER, "taut-port-s", e);
}

const struct attachment_row attachment_veth = {
	.name = "veth",
	.help = "a veth pair between the namespaces of client and server",
	.create = veth_create,
	.device = bypass_link_device,
};

const struct attachment_row attachment_bridge = {
	.name = "bridge",
	.help = "a bridge in a namespace of taut's own, with a veth pair to each end",
	.create = bridge_create,
	.device = bypass_link_device,
};

const struct attachment_row attachment_host = {
	.name = "host",
	.help = "the host's network: that of a running domain, or a container without one of its own",
};

const struct attachment_row attachment_engine = {
	.name = "engine",
	.help = "the default bridge of Docker or Podman and its NAT rules; engine:NETWORK is another one",
};
