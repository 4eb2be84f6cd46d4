/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What settings mean together: fills what follows from the rest and refuses combinations that make no sense,
 * so that nobody measures something else than they asked for.
 */
#include "plan.h"
#include "tool.h"

#include <sched.h>

#define UDP_PAYLOAD_MAX 65507
#define UDP_HEAD        8
#define IPV4_HEAD       20
#define IPV6_HEAD       40
#define MTU_DEFAULT     1500
#define NUMBER_BYTES    8     /* that an echo has room for */
#define ECHOES_MAX      49152 /* in flight, which the 16 bits of their header tell apart */
#define NAME_LETTERS    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-"

static int check_pacing(struct settings *s, const struct workload_row *w, struct err *e)
{
	if (!w->paced && (s->rate || !strcmp(s->pacing, "open")))
		return err_usage(e,
			"cannot pace %s: it goes as fast as its receiver reads (try: udp_stream, or a workload that ends in _rr)",
			w->name);
	if (!strcmp(s->pacing, "open") && !s->rate)
		return err_usage(e, "cannot run an open loop without a rate (try: rate 2000)");
	if (!strcmp(s->pacing, "closed") && s->rate)
		return err_usage(e,
			"cannot give a closed loop a rate (%llu): its next request waits for the reply (try: "
			"pacing open)",
			(unsigned long long)s->rate);
	if (s->rate && s->burst > 1)
		return err_usage(e, "cannot use burst %llu in an open loop: its requests follow a schedule",
			(unsigned long long)s->burst);
	if (w->connects && s->burst > 1)
		return err_usage(e,
			"cannot use burst %llu with %s: each transaction has a connection of its own (try: flows)",
			(unsigned long long)s->burst, w->name);
	s->pacing = s->rate ? "open" : "closed";
	return 0;
}

/* The largest payload of a datagram that needs no second packet, by the MTU that links have where none is
 * given. */
static uint64_t packet_payload(const struct settings *s)
{
	uint64_t mtu = s->mtu ? s->mtu : MTU_DEFAULT, heads = (s->ipv6 ? IPV6_HEAD : IPV4_HEAD) + UDP_HEAD;

	return MIN(mtu > heads ? mtu - heads : 1, (uint64_t)UDP_PAYLOAD_MAX);
}

uint64_t settings_size(const struct settings *s, const struct workload_row *w)
{
	/* Of requests nobody reads it; all that was ever stored of them has that. */
	if (!w->message)
		return 128 << 10;
	return w->size_bytes ? w->size_bytes : MAX(packet_payload(s), w->size_least);
}

static int check_message(struct settings *s, const struct workload_row *w, struct err *e)
{
	if (!s->size_bytes)
		s->size_bytes = settings_size(s, w);
	if (!w->message)
		return 0;
	if (s->size_bytes < w->size_least)
		return err_usage(e,
			"cannot use %s of %llu bytes for %s: what they say of themselves needs %llu",
			w->message, (unsigned long long)s->size_bytes, w->name,
			(unsigned long long)w->size_least);
	if (w->datagrams && s->size_bytes > UDP_PAYLOAD_MAX)
		return err_usage(e, "cannot send %llu bytes in one datagram: at most %d fit",
			(unsigned long long)s->size_bytes, UDP_PAYLOAD_MAX);
	if (w->kernel_answers && s->port)
		return err_usage(e, "cannot use port %llu for %s: ICMP has no ports",
			(unsigned long long)s->port, w->name);
	if (w->kernel_answers && s->size_bytes < NUMBER_BYTES &&
		(double)s->rate * (double)s->timeout_ns / 1e9 > ECHOES_MAX)
		return err_usage(e,
			"cannot tell apart so many echoes as are due within the timeout: there is no room for their number (try: size %d)",
			NUMBER_BYTES);
	return 0;
}

/* What streams beside requests. */
static int check_beside(const struct settings *s, const struct workload_row *w, struct err *e)
{
	const char *names[WORKLOADS_MAX];
	const struct workload_row *beside = workload_find(s->beside);
	size_t n = 0;

	if (!s->beside[0])
		return 0;
	if (w->stream)
		return err_usage(e, "cannot measure %s beside %s: a stream goes beside requests only",
			w->name, s->beside);
	if (beside && beside->stream)
		return 0;
	for (size_t i = 0; i < workload_rows_n; i++)
		if (workload_rows[i].stream)
			names[n++] = workload_rows[i].name;
	AUTO_FREE char *known = str_list(names, n, "or");
	return err_usage(
		e, "cannot use '%s' beside %s: it is no stream (try: %s)", s->beside, w->name, known);
}

static int check_sizes(struct settings *s, const struct workload_row *w, struct err *e)
{
	int rc = check_beside(s, w, e);

	if (rc == 0)
		rc = check_message(s, w, e);

	if (rc < 0 || !w->datagrams)
		return rc;
	if (s->request_bytes > UDP_PAYLOAD_MAX || s->reply_bytes > UDP_PAYLOAD_MAX)
		return err_usage(e, "cannot send %llu bytes in one datagram: at most %d fit",
			(unsigned long long)MAX(s->request_bytes, s->reply_bytes), UDP_PAYLOAD_MAX);
	if (s->congestion[0] && !s->beside[0])
		return err_usage(
			e, "cannot set congestion '%s' for %s: only TCP has one", s->congestion, w->name);
	if (s->burst > 64)
		return err_usage(e,
			"cannot keep %llu datagrams in flight on one flow: at most 64 can be told apart",
			(unsigned long long)s->burst);
	return 0;
}

static int check_profile(const struct settings *s, struct err *e)
{
	int rc = profile_find(s->profile, e);
	bool command = profile_of(s)->commands;

	if (rc < 0)
		return rc;
	if (command && (!s->apply[0] || !s->revert[0]))
		return err_usage(e,
			"cannot use profile command without both apply and revert: what is done must be undone");
	if (!command && (s->apply[0] || s->revert[0]))
		return err_usage(
			e, "cannot use apply or revert with profile '%s' (try: profile command)", s->profile);
	return 0;
}

/* A domain has what it has; and its name goes into paths. */
static int check_domain(const struct settings *s, struct err *e)
{
	static const char *const made[] = {"kernel", "boot", "disk", "accel", "vcpus", "memory", "queues",
		"cpu_model", "backing", "mtu"};
	const char *name = settings_domain(s);
	struct settings initial;

	if (!*name)
		return err_usage(
			e, "cannot use target 'vm:': it wants the name of a domain (try: vm, or vm:NAME)");
	if (strchr(name, '/'))
		return err_usage(e, "cannot use target '%s': no domain has a '/' in its name", s->target);
	settings_init(&initial);
	for (size_t i = 0; i < ARRAY_LEN(made); i++)
		if (!setting_equal(s, &initial, setting_find(made[i])))
			return err_usage(e, "cannot give %s another %s: it runs already", s->target, made[i]);
	return 0;
}

/* The way into a guest that is not of taut's making. */
static int check_login(struct settings *s, struct err *e)
{
	const char *host = str_starts(s->login, "ssh:") ? s->login + strlen("ssh:") : NULL;

	if (!settings_domain(s) && !s->disk[0])
		return s->login[0]
			       ? err_usage(e,
					 "cannot use login '%s': a guest that taut makes has the agent in it (try: "
					 "disk, or target vm:NAME)",
					 s->login)
			       : 0;
	if (!s->login[0])
		s->login = "agent";
	if (!host && strcmp(s->login, "agent"))
		return err_usage(e, "cannot use login '%s': it is agent or ssh:USER@HOST", s->login);
	if (host && (!*host || *host == '-' || strpbrk(host, " \t\n'\"")))
		return err_usage(e, "cannot use login '%s': it wants USER@HOST after ssh:", s->login);
	if (host && s->disk[0])
		return err_usage(e,
			"cannot log into a machine that boots from a disk by ssh: "
			"it is on a network of taut's own, where nobody knows its address (try: login agent)");
	return 0;
}

static bool by_memory(const struct settings *s)
{
	return str_in(s->attachment, "vhost-user|memif");
}

/* Devices that the machine lends, and the path that follows from them. */
static int check_devices(struct settings *s, struct err *e)
{
	const struct lending_row *row = lending_of(s);
	bool passes = row && row->passes && target_of(s)->machine;

	if (!row && (s->device[0] || s->client_device[0]))
		return err_usage(e,
			"cannot use device '%s' with attachment %s: it takes none (try: attachment device)",
			s->device[0] ? s->device : s->client_device, s->attachment);
	if (row && row->needs && !s->device[0])
		return err_usage(
			e, "cannot use attachment %s without a device (try: device eth2)", s->attachment);
	/* An emulated host has two of a model, which is what `device` names there. */
	if (row && row->needs && !s->client_device[0] && settings_lab(s))
		s->client_device = s->device;
	if (row && row->needs && !s->client_device[0])
		return err_usage(e,
			"cannot use attachment %s without client_device: "
			"the client needs the device at the other end of the cable",
			s->attachment);
	if (s->client_device[0] && !s->device[0])
		return err_usage(e, "cannot use client_device '%s' without device", s->client_device);
	if (passes && (!s->path[0] || !strcmp(s->path, "vfio"))) {
		s->path = "vfio";
		return 0;
	}
	if (target_of(s)->made && !s->path[0])
		s->path = by_memory(s) ? "vhost-user" : "virtio";
	if (passes || !strcmp(s->path, "vfio"))
		return err_usage(e, "cannot use path %s with attachment %s: %s", s->path, s->attachment,
			passes ? "the machine has the device itself" : "no device is passed to a machine");
	return 0;
}

/* Memory that both ends share: who takes part in it, and in which way. */
static int check_memory(const struct settings *s, struct err *e)
{
	enum driver drivers[ENDS_MAX];
	bool machine = target_of(s)->machine;
	int rc = settings_drivers(s, drivers, e);

	if (rc < 0)
		return rc;
	if (machine && by_memory(s) != !strcmp(s->path, "vhost-user"))
		return err_usage(e,
			"cannot use path %s with attachment %s: path vhost-user is that of attachment vhost-user",
			s->path, s->attachment);
	if (!by_memory(s))
		return 0;
	for (size_t i = 0; i < (machine ? END_SERVER : ENDS_MAX); i++)
		if (drivers[i] != DRIVER_DPDK) {
			err_usage(e,
				"cannot use attachment %s with driver %s: the memory is reached by dpdk alone",
				s->attachment, driver_name(drivers[i]));
			return err_try(e, "driver %s", machine ? "dpdk:socket" : "dpdk");
		}
	if (s->queues > 1)
		return err_usage(e, "cannot use attachment %s with %llu queues: there is one", s->attachment,
			(unsigned long long)s->queues);
	return 0;
}

/* What only a virtual machine has. */
static int check_vm(struct settings *s, struct err *e)
{
	static const char *const own[] = {
		"path", "kernel", "boot", "accel", "cpu_model", "backing", "disk", "login"};
	struct settings initial;

	settings_init(&initial);
	for (size_t i = 0; !target_of(s)->machine && i < ARRAY_LEN(own); i++)
		if (!setting_equal(s, &initial, setting_find(own[i])))
			return err_usage(e, "cannot use %s with target %s: only a virtual machine has one",
				own[i], s->target);
	if (!target_of(s)->machine)
		return 0;
	int rc = settings_domain(s) ? check_domain(s, e) : 0;
	if (rc < 0)
		return rc;
	if (target_of(s)->made && s->queues > MAX(s->vcpus, 1u))
		return err_usage(e,
			"cannot give a machine %llu queues and %llu vCPUs: "
			"a queue without a CPU of its own is not used (try: vcpus %llu)",
			(unsigned long long)s->queues, (unsigned long long)s->vcpus,
			(unsigned long long)s->queues);
	if (s->disk[0] && (s->kernel[0] || s->boot[0]))
		return err_usage(e,
			"cannot give a VM both a disk and a kernel or boot arguments: the disk brings its own");
	return check_login(s, e);
}

/* A container or a process that runs already: its name goes into paths. */
static int check_running(const struct settings *s, struct err *e)
{
	enum target_kind kind;
	const char *name = settings_target(s, &kind, e) == 0 ? settings_target_name(s) : NULL;
	uint64_t pid;

	if (!name || kind == TARGET_DOMAIN)
		return 0;
	if (kind == TARGET_PID && (str_u64(name, &pid) || pid < 1 || pid > INT32_MAX))
		return err_usage(e, "cannot use target '%s': it wants the PID of a process", s->target);
	if (!*name || *name == '.' || *name == '-' || name[strspn(name, NAME_LETTERS)])
		return err_usage(e, "cannot use target '%s': no container has such a name", s->target);
	if (s->mtu)
		return err_usage(e, "cannot give %s another mtu: it runs already", s->target);
	return 0;
}

static int unknown_site(const struct settings *s, struct err *e)
{
	const char *names[2 * SITES_N];
	size_t n = 0;

	for (int i = 0; i < SITES_N; i++) {
		names[n++] = host_rows[i].word;
		if (host_rows[i].argument)
			names[n++] = host_rows[i].name;
	}
	AUTO_FREE char *known = str_list(names, n, "or");
	return err_usage(e, "cannot use site '%s': it is %s", s->site, known);
}

static int check_site(const struct settings *s, struct err *e)
{
	const char *lab = settings_lab(s);
	enum site_kind kind;

	if (!settings_site_find(s, &kind))
		return unknown_site(s, e);
	if (!lab && s->host_boot[0])
		return err_usage(e,
			"cannot give host_boot '%s' to the local host: it runs already (try: site lab)",
			s->host_boot);
	if (lab && (settings_target_name(s) || s->disk[0]))
		return err_usage(e, "cannot use %s on an emulated host: it is not there (try: site local)",
			s->disk[0] ? s->disk : s->target);
	if (!settings_exact(s))
		return 0;
	if (!lab)
		return err_usage(e, "cannot use the exact clock on the local host (try: site lab:stock)");
	if (s->share[0])
		return err_usage(
			e, "cannot share a target on the exact clock: each trial is a boot of its own");
	if (target_of(s)->machine)
		return err_usage(e,
			"cannot use the exact clock with target %s: it knows one CPU, and a guest within needs another",
			s->target);
	if (strcmp(s->noise, "none"))
		return err_usage(
			e, "cannot use noise '%s' on the exact clock: nothing else runs there", s->noise);
	return 0;
}

/* What a target has by default. */
static int check_target(struct settings *s, struct err *e)
{
	enum target_kind kind;
	int rc = settings_target(s, &kind, e);

	if (rc < 0)
		return rc;
	if (!s->runtime[0] && target_rows[kind].runtime_written)
		s->runtime = target_rows[kind].runtime;
	if (!s->attachment[0])
		s->attachment = target_rows[kind].attachment;
	return 0;
}

static int check_attachment(const struct settings *s, struct err *e)
{
	const struct target_row *row = target_of(s);

	/* engine:NETWORK is the one that has more to say */
	AUTO_FREE char *word = str_format("%.*s", (int)strcspn(s->attachment, ":"), s->attachment);
	bool plain = !s->attachment[strlen(word)];

	if (str_in(word, row->attachments) && (plain || !strcmp(word, "engine")))
		return 0;
	err_usage(e, "cannot use attachment '%s' with target %s: it has one of %s", s->attachment, s->target,
		row->attachments);
	return err_try(e, "%s", row->attachment);
}

int boot_arguments_check(const char *key, const char *arguments, struct err *e)
{
	size_t n = strlen(arguments);

	if (n <= BOOT_ARGUMENTS_MAX)
		return 0;
	return err_usage(e,
		"cannot give %s %zu characters: a kernel takes 2047 on its command line, and %d of them are left",
		key, n, BOOT_ARGUMENTS_MAX);
}

static int unknown_workload(const struct settings *s, struct err *e)
{
	const char *names[WORKLOADS_MAX] = {NULL};

	for (size_t i = 0; i < workload_rows_n; i++)
		names[i] = workload_rows[i].name;
	const char *near = str_closest(s->workload, names, workload_rows_n);
	AUTO_FREE char *known = str_list(names, workload_rows_n, "or");
	err_usage(e, "cannot run workload '%s': there is no such workload", s->workload);
	return err_try(e, "%s", near ? near : known);
}

int settings_check(struct settings *s, struct err *e)
{
	const struct workload_row *w = workload_find(s->workload);
	int policy, priority, rc;

	if (!w)
		return unknown_workload(s, e);
	if ((rc = check_target(s, e)) < 0)
		return rc;
	if ((rc = check_running(s, e)) < 0 || (rc = check_vm(s, e)) < 0 || (rc = check_site(s, e)) < 0)
		return rc;
	if ((rc = check_attachment(s, e)) < 0 || (rc = check_devices(s, e)) < 0 ||
		(rc = boot_arguments_check("boot", s->boot, e)) < 0 ||
		(rc = boot_arguments_check("host_boot", s->host_boot, e)) < 0)
		return rc;
	if (s->mtu && s->mtu < (s->ipv6 ? 1280u : 68u))
		return err_usage(e, "cannot use MTU %llu: IPv%c needs at least %d",
			(unsigned long long)s->mtu, s->ipv6 ? '6' : '4', s->ipv6 ? 1280 : 68);
	if (s->port && s->port + s->flows + (s->beside[0] != 0) > 65536)
		return err_usage(e, "cannot use port %llu: with %llu flows the last one would pass 65535",
			(unsigned long long)s->port, (unsigned long long)s->flows);
	if (s->sched[0] && (rc = sched_parse(s->sched, &policy, &priority, e)) < 0)
		return rc;
	if ((rc = check_pacing(s, w, e)) < 0 || (rc = check_sizes(s, w, e)) < 0)
		return rc;
	if ((rc = settings_drivers_check(s, w, e)) < 0 || (rc = check_memory(s, e)) < 0 ||
		(rc = tool_settings_check(s, e)) < 0)
		return rc;
	return check_profile(s, e);
}
