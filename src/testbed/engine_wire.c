/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The wire to a container of an engine.
 *
 * The client is in a network namespace of its own, as another machine would be, and a veth pair leads from
 * there into the network namespace of the engine, which is the host's.  Both ends have addresses out of the
 * block that is kept for benchmarks (RFC 2544), which no network should use; a part of it that is in use here
 * is left out.
 *
 * engine: the container is on a bridge of the engine's, and its ports are published at the host's end of that
 * link and at no other address.  A packet of the client comes in over the veth, the engine's rules rewrite
 * its destination to the address of the container (DNAT), the host forwards it (chain FORWARD with all that
 * the engine has put there) and the bridge brings it to the container; the reply goes the same way back.
 *
 * host: the container is in the namespace of the engine, and the server binds the host's end of the link.
 *
 * Any other attachment is between namespaces as for every container: the engine makes the container without a
 * network, and taut puts its link into it.
 *
 * All this ends with the namespace of the client: with one end of a veth pair the other one goes, and with
 * that its address and route.
 */
#include "engine.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/socket.h>

#define PREFIX     30
#define BLOCKS     64
#define FIRST_PORT 20000u /* below those that kernels give away by themselves */
#define PORTS_N    12000u
#define TRIES      64

bool engine_network(const struct settings *s, const char **name)
{
	bool named = str_starts(s->attachment, "engine:");

	*name = named ? s->attachment + strlen("engine:") : "bridge";
	return named || !strcmp(s->attachment, "engine");
}

const char *engine_network_mode(const struct target *t)
{
	const char *name;

	if (t->attachment->create)
		return "none";
	return engine_network(&t->plan.settings, &name) ? name : "host";
}

/* --- addresses --------------------------------------------------------------------------------- */

struct blocks {
	bool used[BLOCKS];
};

/* 198.18.87.0/24 in parts of four addresses. */
static void look_at_address(const char *link, const char *address, void *arg)
{
	struct blocks *blocks = arg;
	unsigned a, b, c, d;

	(void)link;
	if (sscanf(address, "%u.%u.%u.%u", &a, &b, &c, &d) == 4 && a == 198 && b == 18 && c == 87 && d < 256)
		blocks->used[d / 4] = true;
}

static int addresses_choose(struct target *t, struct err *e)
{
	struct blocks blocks = {0};
	int rc = net_addresses_each(t->engine->netns, look_at_address, &blocks, e);
	unsigned free_block = 0;

	while (rc == 0 && free_block < BLOCKS && blocks.used[free_block])
		free_block++;
	if (rc < 0 || free_block == BLOCKS)
		return rc < 0 ? rc : err_set(e, EADDRINUSE, "cannot find free addresses in 198.18.87.0/24");
	snprintf(t->reached, sizeof(t->reached), "198.18.87.%u", 4 * free_block + 1);
	snprintf(t->client_address, sizeof(t->client_address), "198.18.87.%u", 4 * free_block + 2);
	return 0;
}

/* --- ports ------------------------------------------------------------------------------------- */

/* The server's, one for each flow; the last may be that of a stream beside. */
static bool port_datagrams(const struct endpoint_job *job, unsigned i)
{
	return (i < job->flows ? job->workload : job->beside)->datagrams;
}

/* Can the engine have these ports, where others of the host listen? */
static bool ports_free(const struct endpoint_job *job, unsigned first)
{
	bool all = true;

	for (unsigned i = 0; all && i < job_flows(job); i++) {
		struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons((uint16_t)(first + i))};
		int type = port_datagrams(job, i) ? SOCK_DGRAM : SOCK_STREAM;
		AUTO_CLOSE int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
		all = fd >= 0 && bind(fd, (const struct sockaddr *)&any, sizeof(any)) == 0;
	}
	return all;
}

static int ports_choose(struct target *t, struct err *e)
{
	const struct endpoint_job *job = &t->plan.ends[END_SERVER].job;
	unsigned wanted = (unsigned)job->port;
	uint64_t seed = time_now_ns();
	int saved = netns_enter(t->engine->netns, e);

	if (saved < 0)
		return saved;
	for (int i = 0; !t->port && i < (wanted ? 1 : TRIES); i++) {
		unsigned first = wanted ? wanted : FIRST_PORT + rng_below(&seed, PORTS_N);
		if (ports_free(job, first))
			t->port = (uint16_t)first;
	}
	netns_leave(&saved);
	if (t->port)
		return 0;
	if (wanted)
		return err_set(e, EADDRINUSE, "cannot publish port %u: it is in use on this host", wanted);
	return err_set(e, EADDRINUSE, "cannot find %u free ports to publish", (unsigned)job_flows(job));
}

void engine_ports_add(const struct target *t, json_t *config, json_t *host)
{
	const struct endpoint_job *job = &t->plan.ends[END_SERVER].job;
	json_t *exposed = json_object(), *bindings = json_object();

	for (unsigned i = 0; t->port && i < job_flows(job); i++) {
		char inside[24], outside[16];
		snprintf(
			inside, sizeof(inside), "%u/%s", t->port + i, port_datagrams(job, i) ? "udp" : "tcp");
		snprintf(outside, sizeof(outside), "%u", t->port + i);
		json_object_set_new(exposed, inside, json_object());
		json_object_set_new(bindings, inside,
			json_pack("[{s:s, s:s}]", "HostIp", t->reached, "HostPort", outside));
	}
	json_object_set_new(config, "ExposedPorts", exposed);
	json_object_set_new(host, "PortBindings", bindings);
}

/* --- the link ---------------------------------------------------------------------------------- */

/* The namespace of the process whose socket it is; without a process that we see, our own. */
static int engine_netns_open(const struct engine *g, struct err *e)
{
	char path[64] = "/proc/thread-self/ns/net";

	if (g->server > 0)
		snprintf(path, sizeof(path), "/proc/%d/ns/net", g->server);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? err_sys(e, "cannot open the network namespace of the engine, %s", path) : fd;
}

static int link_make(struct target *t, struct err *e)
{
	struct engine_use *use = t->engine;
	unsigned mtu = (unsigned)t->plan.settings.mtu;
	char name[16];
	int rc;

	snprintf(name, sizeof(name), "taut-%d", getpid());
	if ((rc = net_veth_create(t->client.netns, LINK_CLIENT, use->netns, name, mtu, e)) < 0 ||
		(rc = net_address_add(t->client.netns, LINK_CLIENT, t->client_address, PREFIX, e)) < 0 ||
		(rc = net_address_add(use->netns, name, t->reached, PREFIX, e)) < 0)
		return rc;
	target_link_add(t, LINK_CLIENT, t->client.netns, NULL);
	target_link_add(t, name, use->netns, NULL);
	return 0;
}

int engine_wire_open(struct target *t, struct err *e)
{
	struct engine_use *use = t->engine;
	const char *name;
	int rc;

	if (t->attachment->create)
		return 0;
	if ((use->netns = engine_netns_open(&use->engine, e)) < 0)
		return use->netns;
	if ((t->client.netns = net_namespace_create(e)) < 0)
		return t->client.netns;
	if ((rc = addresses_choose(t, e)) < 0 || (rc = link_make(t, e)) < 0)
		return err_wrap(e, "cannot make attachment %s", t->plan.settings.attachment);
	return engine_network(&t->plan.settings, &name) ? ports_choose(t, e) : 0;
}

int engine_wire_finish(struct target *t, const struct engine_container *c, struct err *e)
{
	char path[64];
	const char *name;

	snprintf(path, sizeof(path), "/proc/%d/ns/net", c->pid);
	if ((t->server.netns = open(path, O_RDONLY | O_CLOEXEC)) < 0)
		return err_sys(e, "cannot open %s", path);
	if (t->attachment->create) {
		int rc = net_namespace_prepare(t->server.netns, e);
		return rc < 0 ? rc : target_connect(t, e);
	}
	if (!engine_network(&t->plan.settings, &name))
		return 0; /* binds where it is reached */
	unsigned char number[4];
	if (inet_pton(AF_INET, c->address, number) != 1)
		return err_set(e, EPROTO,
			"cannot reach the container: the engine gave it no IPv4 address on network %s", name);
	return str_copy(t->bound, sizeof(t->bound), c->address);
}
