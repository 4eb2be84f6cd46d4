/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The bare namespace: the server is a plain process in a network namespace of its own. */
#include "private.h"

static int netns_start(struct target *t, struct err *e)
{
	int rc = endpoint_spawn_agent(&t->server, t->agent, e);

	return rc < 0 ? rc : undo_groups_enter(&t->groups, &t->host, "server", t->server.child.pid, e);
}

const struct runtime_row runtime_netns = {
	.name = "netns",
	.help = "a bare network namespace: a plain process, no container around it",
	.targets = "native|container",
	.start = netns_start,
};
