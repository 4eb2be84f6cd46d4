/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The bare namespace: the server is a plain process in a network namespace of its own. */
#include "private.h"

static int netns_start(struct target *t, struct err *e)
{
	int rc = target_spawn_end(t, END_SERVER, e);

	return rc < 0 ? rc : undo_groups_enter(&t->groups, &t->host, "server", t->server.child.pid, e);
}

static int netns_again(struct target *t, uint64_t deadline_ns, struct err *e)
{
	(void)deadline_ns;
	endpoint_clear(&t->server);
	int rc = endpoint_open(&t->server, e);
	return rc < 0 ? rc : netns_start(t, e);
}

const struct runtime_row runtime_netns = {
	.name = "netns",
	.help = "a bare network namespace: a plain process, no container around it",
	.files = FILES_SHARED,
	.targets = "native|container",
	.attachments = "veth|bridge|macvlan|device|vf|vhost-user|memif",
	.plain = true,
	.start = netns_start,
	.again = netns_again,
};
