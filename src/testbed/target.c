/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A target from its making to its end.  What can outlive us is made in an order that a crash cannot hide
 * anything: first the owner record, then cgroups and everything else; taking down goes
 * backwards, past every error, and says all of them.
 *
 * The slow part of starting is the container runtime, so the server is begun first, then the client, and
 * then both are waited for.
 */
#include "private.h"

#include "device.h"

#include <assert.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>

#define TAKE_DOWN_NS (5 * NS_PER_S)
#define ANSWER_MS    500 /* for one answer */
#define LOOK_MS      10
#define BOOT_NS      (90 * NS_PER_S)  /* emulated, and beside noise */
#define DISK_BOOT_NS (300 * NS_PER_S) /* a whole system, with all its services */

/* Private to the namespaces of one target, so they clash with nothing. */
static const struct {
	const char *client, *server;
	unsigned prefix;
} addresses[] = {
	{"10.87.0.1", "10.87.0.2", 24},
	{"fd00:87::1", "fd00:87::2", 64},
};

void target_link_add(struct target *t, const char *name, int netns, const char *held)
{
	if (t->links_n == SUBJECT_LINKS_MAX)
		return;
	struct subject_link *link = &t->links[t->links_n++];
	str_copy(link->name, sizeof(link->name), name);
	link->netns_fd = netns;
	str_copy(link->held, sizeof(link->held), held ? held : "");
}

static int addresses_add(struct target *t, size_t family, struct err *e)
{
	int rc = 0;

	if (!t->client.pci[0])
		rc = net_address_add(t->client.netns, t->client.link, addresses[family].client,
			addresses[family].prefix, e);
	if (rc == 0 && !t->runtime->boots && !t->server.pci[0]) /* a machine's PID 1 does it there */
		rc = net_address_add(t->server.netns, t->server.link, addresses[family].server,
			addresses[family].prefix, e);
	return rc;
}

/* What a cable is plugged into may forward nothing yet, and a driver may have to start its device anew. */
static int answer_wait(const struct target *t, const char *address, struct err *e)
{
	uint64_t end = time_now_ns() + device_carrier_ns();
	int rc;

	if (!t->attachment->cabled || t->runtime->boots || t->client.pci[0] || t->server.pci[0])
		return 0;
	while ((rc = net_answers(t->client.netns, address, ANSWER_MS, e)) == 0) {
		if (stop_flag)
			return err_set(e, EINTR, "interrupted");
		if (time_now_ns() >= end)
			return err_set(e, EHOSTUNREACH,
				"cannot use attachment %s: nothing passes between its ends for %llu s, "
				"though both have a carrier",
				t->attachment->name, (unsigned long long)(device_carrier_ns() / NS_PER_S));
		poll(NULL, 0, LOOK_MS);
	}
	return MIN(rc, 0);
}

/* An attachment may put this thread on one CPU, to set its links up from there (attach_vf.c). */
static int wire_make(struct target *t, struct err *e)
{
	size_t family = t->plan.settings.ipv6 ? 1 : 0;
	cpus before;

	if (sched_getaffinity(0, sizeof(before), &before) < 0)
		return err_sys(e, "cannot read the affinity of taut");
	int rc = t->attachment->create(t, e);
	if (rc < 0)
		err_wrap(e, "cannot make attachment %s", t->attachment->name);
	rc = rc < 0 ? rc : addresses_add(t, family, e);
	rc = rc < 0 ? rc : answer_wait(t, addresses[family].server, e);
	task_set_affinity(0, &before, ERR_IGNORED);
	return rc;
}

int target_connect(struct target *t, struct err *e)
{

	if (!t->attachment->create && !t->attachment->shares_memory)
		return 0;
	if ((t->client.netns = net_namespace_create(e)) < 0)
		return t->client.netns;
	if (!t->runtime->boots && t->server.netns < 0 && (t->server.netns = net_namespace_create(e)) < 0)
		return t->server.netns;
	if (t->attachment->shares_memory)
		return 0;
	return wire_make(t, e);
}

/* The machine, and the cgroups on it. */
static int ground_open(struct target *t, struct err *e)
{
	int rc = t->root = root_open("/", e);

	if (rc >= 0)
		rc = undo_open(&t->host, t->root, NULL, 0, e);
	if (rc >= 0 && !t->no_groups)
		undo_groups_create(&t->groups, &t->host, t->owner.id, t->runtime->switches);
	return rc < 0 ? rc : 0;
}

int target_create(struct target **out, const struct trial_plan *plan, struct err *e)
{
	const struct endpoint nothing = {
		.child = CHILD_NONE, .control = -1, .theirs = -1, .said = -1, .netns = -1};
	struct target *t = mem_alloc(sizeof(*t));
	int rc = 0;

	t->plan = *plan;
	t->runtime = plan->runtime;
	t->attachment = plan->attachment;
	t->client = t->server = nothing;
	t->client.name = "taut-client";
	t->server.name = "taut-server";
	str_copy(t->client.link, sizeof(t->client.link), LINK_CLIENT);
	str_copy(t->server.link, sizeof(t->server.link), LINK_SERVER);
	t->lent = mem_alloc(sizeof(*t->lent));
	t->root = -1;
	t->host = UNDO_HOST_NONE;
	t->bridge_netns = t->login.guest_agent = -1;
	str_copy(t->vm.mac, sizeof(t->vm.mac), VM_MAC);
	memset(t->vm.taps, -1, sizeof(t->vm.taps));
	if (t->runtime->ready)
		rc = t->runtime->ready(e);
	if (rc == 0)
		rc = target_agent(t->agent, sizeof(t->agent), e);
	if (rc == 0)
		rc = undo_record_make(&t->owner, e);
	if (rc == 0 && t->runtime->open)
		rc = t->runtime->open(t, e);
	if (rc == 0 && t->runtime->find)
		rc = t->runtime->find(t, e);
	if (rc == 0 && !t->runtime->find)
		rc = ground_open(t, e);
	if (rc == 0 && !t->runtime->links_late)
		rc = target_connect(t, e);
	if (rc < 0) {
		target_destroy(t, ERR_IGNORED);
		return rc;
	}
	*out = t;
	return 0;
}

static int client_start(struct target *t, uint64_t deadline_ns, struct err *e)
{
	int rc = target_spawn_end(t, END_CLIENT, e);

	if (rc == 0)
		rc = undo_groups_enter(&t->groups, &t->host, "client", t->client.child.pid, e);
	return rc < 0 ? rc : endpoint_wait(&t->client, deadline_ns, e);
}

int target_start(struct target *t, uint64_t deadline_ns, struct err *e)
{
	bool first = t->attachment->shares_memory;
	int rc;

	if ((rc = endpoint_open(&t->server, e)) < 0 || (rc = endpoint_open(&t->client, e)) < 0)
		return rc;
	if (first && (rc = client_start(t, deadline_ns, e)) < 0)
		return rc;
	uint64_t before = time_now_ns();
	if (t->runtime->start && (rc = t->runtime->start(t, e)) < 0)
		return rc;
	deadline_ns += time_now_ns() - before; /* a start may have been tried in several ways */
	rc = first ? 0 : client_start(t, deadline_ns, e);
	if (rc == 0 && t->runtime->enter)
		rc = t->runtime->enter(t, deadline_ns, e);
	return rc < 0 ? rc : endpoint_wait(&t->server, deadline_ns, e);
}

bool target_lasts(const struct target *t)
{
	return t && t->runtime->again && !t->attachment->shares_memory && t->client.pid && t->server.pid;
}

int server_renew(struct target *t, uint64_t deadline_ns, struct err *e)
{
	return endpoint_renew(&t->server, deadline_ns, e);
}

int target_next(struct target *t, const struct trial_plan *plan, uint64_t deadline_ns, struct err *e)
{
	assert(t->runtime->again);
	t->plan = *plan;
	endpoint_clear(&t->client);
	int rc = endpoint_open(&t->client, e);
	if (rc == 0)
		rc = t->runtime->again(t, deadline_ns, e);
	if (rc == 0)
		rc = client_start(t, deadline_ns, e);
	return rc < 0 ? rc : endpoint_wait(&t->server, deadline_ns, e);
}

int target_subject(struct target *t, struct subject *subject, struct err *e)
{
	bool started = t->client.pid && t->server.pid;
	static const char *const names[] = {"client", "server"};
	int rc = 0;

	memset(subject, 0, sizeof(*subject));
	memcpy(subject->links, t->links, sizeof(t->links));
	subject->links_n = t->links_n;
	str_copy(subject->cgroup_root, sizeof(subject->cgroup_root), t->groups.root);
	for (size_t i = 0; started && t->groups.root[0] && i < ARRAY_LEN(names); i++)
		if (i == 0 || !t->server_group[0])
			snprintf(subject->cgroups[subject->cgroups_n++], sizeof(subject->cgroups[0]), "%s/%s",
				t->groups.root, names[i]);
	if (started && t->server_group[0])
		str_copy(
			subject->cgroups[subject->cgroups_n++], sizeof(subject->cgroups[0]), t->server_group);
	if (started)
		rc = endpoint_threads(&t->client, ROLE_CLIENT, subject, e);
	if (rc == 0 && t->runtime->threads && (started || t->runtime->find))
		rc = t->runtime->threads(t, subject, e);
	else if (rc == 0 && started)
		rc = endpoint_threads(&t->server, ROLE_SERVER, subject, e);
	return rc;
}

int target_control(const struct target *t, bool server)
{
	return server ? t->server.control : t->client.control;
}

const char *target_address(const struct target *t, bool server)
{
	if (server && t->bound[0])
		return t->bound;
	if (t->reached[0])
		return t->reached;
	return t->login.address[0] ? t->login.address : addresses[t->plan.settings.ipv6 ? 1 : 0].server;
}

const char *target_client_address(const struct target *t)
{
	return addresses[t->plan.settings.ipv6 ? 1 : 0].client;
}

int target_reach(
	const struct target *t, struct endpoint_job *server, struct endpoint_job *client, struct err *e)
{
	if (str_copy(server->address, sizeof(server->address), target_address(t, true)) ||
		str_copy(client->address, sizeof(client->address), target_address(t, false)))
		return err_set(e, EINVAL, "cannot use an address of that length");
	if (t->port)
		server->port = t->port;
	return 0;
}

unsigned target_prefix(const struct target *t)
{
	return addresses[t->plan.settings.ipv6 ? 1 : 0].prefix;
}

uint64_t target_patience_ns(const struct trial_plan *plan, uint64_t ns)
{
	static const uint64_t boot_ns[TARGETS_N] = {[TARGET_VM] = BOOT_NS, [TARGET_DISK] = DISK_BOOT_NS};

	return boot_patience_ns(MAX(ns, boot_ns[plan->target]));
}

bool target_guest(struct target *t, struct kernel_facts *facts, uint64_t *started_ns)
{
	if (t && t->domain.pid) {
		str_copy(facts->accel, sizeof(facts->accel), t->domain.accel);
		str_copy(facts->program, sizeof(facts->program), t->version);
		*started_ns = 0;
		return true;
	}
	if (!t || !t->server.machine)
		return false;
	str_copy(facts->accel, sizeof(facts->accel), accel_name(t->plan.kvm ? ACCEL_KVM : ACCEL_TCG));
	str_copy(facts->program, sizeof(facts->program), t->version);
	*started_ns = machine_started_ns(t->server.machine);
	return true;
}

void target_console(struct target *t, char *out, size_t size)
{
	out[0] = 0;
	if (t && t->server.machine)
		machine_console(t->server.machine, out, size);
}

const char *target_runtime_version(const struct target *t)
{
	return t->version;
}

void target_ended(struct target *t, char *out, size_t size)
{
	AUTO(buf_free) struct buf client = {0}, server = {0};

	if (t) {
		endpoint_report(&t->client, &client);
		endpoint_report(&t->server, &server);
		if (t->runtime->ended)
			t->runtime->ended(t, &server);
	}
	snprintf(out, size, "%s%s%s", client.data ? str_trim(client.data) : "",
		client.data && server.data ? "; " : "", server.data ? str_trim(server.data) : "");
}

static void problem_add(struct buf *problems, const struct err *e)
{
	buf_add(problems, "%s%s", problems->len ? "; " : "", e->text);
}

void target_stop(struct target *t)
{
	if (!t || t->stopped)
		return;
	t->stopped = true;
	endpoint_kill(&t->client);
	if (t->runtime->leave)
		t->runtime->leave(t);
	endpoint_kill(&t->server);
	if (t->runtime->stop)
		t->runtime->stop(t, &t->problems);
}

int target_destroy(struct target *t, struct err *e)
{
	struct err one = ERR_INIT;
	bool owed = false;
	int rc = 0;

	if (!t)
		return 0;
	target_stop(t);
	AUTO(buf_free) struct buf problems = t->problems;
	if (borrow_return(&t->host, t->lent, &one) < 0) {
		problem_add(&problems, &one);
		owed = true;
	}
	one = ERR_INIT;
	endpoint_close(&t->client);
	endpoint_close(&t->server);
	if (t->bridge_netns >= 0)
		close(t->bridge_netns);
	if (t->login.guest_agent >= 0)
		close(t->login.guest_agent);
	if (t->owner.folder[0] && t->host.calls &&
		undo_groups_remove(&t->groups, &t->host, t->owner.id, time_now_ns() + TAKE_DOWN_NS, &one) < 0)
		problem_add(&problems, &one);
	one = ERR_INIT;
	/* The record stays while something of its owner does, so that undo_sweep() finds it. */
	if (!problems.len && undo_record_remove(&t->owner, &one) < 0)
		problem_add(&problems, &one);
	if (problems.len)
		rc = err_set(e, EIO, "cannot take down %s: %s", t->owner.id, problems.data);
	if (rc < 0)
		err_try(e, "taut clean");
	if (owed)
		e->exit = EXIT_PARTLY_APPLIED;
	undo_close(&t->host);
	if (t->root >= 0)
		close(t->root);
	free(t);
	return rc;
}
