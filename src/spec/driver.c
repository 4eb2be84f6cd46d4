/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Drivers: how an end moves its packets, one row each, and what each of them can be asked for.
 *
 * A driver that polls never sleeps while it waits for a message, so each of its threads needs a CPU of its
 * own.  A driver that makes Ethernet frames itself knows only as much of the network as its frames need: UDP
 * over IPv4, one datagram a frame.
 */
#include "plan.h"

#include <linux/capability.h>

#define MTU_USUAL   1500
#define FRAME_EXTRA 28   /* of IPv4 and UDP */
#define FRAME_MOST  3000 /* bytes of an IPv4 packet that the buffers of every such driver hold */

const struct driver_row driver_rows[DRIVERS_N] = {
	[DRIVER_SOCKET] = {"socket", "sockets, the kernel wakes the end when a message has come"},
	[DRIVER_SPIN] = {"spin", "the same sockets, asked again and again without ever sleeping",
		.polls = true},
	[DRIVER_XDP] = {"xdp", "AF_XDP: frames past the kernel's network stack, never sleeping (root)",
		.polls = true, .frames = true, .workloads = "udp_rr",
		.capabilities = CAPABILITY_BIT(CAP_BPF) | CAPABILITY_BIT(CAP_NET_ADMIN) |
				CAPABILITY_BIT(CAP_NET_RAW)},
	[DRIVER_DPDK] = {"dpdk",
		"DPDK: frames past the kernel, through memory, a NIC or a packet socket, never sleeping (root)",
		.polls = true, .frames = true, .workloads = "udp_rr",
		.capabilities = CAPABILITY_BIT(CAP_NET_RAW)},
};

#define CAPABILITY(name)                                                                                     \
	{                                                                                                    \
#name, name                                                                                  \
	}
const struct capability_row capability_rows[CAPABILITIES_N] = {
	CAPABILITY(CAP_BPF), CAPABILITY(CAP_IPC_LOCK), CAPABILITY(CAP_NET_ADMIN), CAPABILITY(CAP_NET_RAW)};

const char *driver_name(enum driver driver)
{
	return driver_rows[driver].name;
}

int driver_find(const char *name)
{
	for (int i = 0; i < DRIVERS_N; i++)
		if (!strcmp(driver_rows[i].name, name))
			return i;
	return -EINVAL;
}

static int unknown_driver(const char *word, struct err *e)
{
	const char *names[DRIVERS_N];

	for (int i = 0; i < DRIVERS_N; i++)
		names[i] = driver_rows[i].name;
	const char *near = str_closest(word, names, DRIVERS_N);
	AUTO_FREE char *known = str_list(names, DRIVERS_N, "or");
	err_usage(e, "cannot use driver '%s': there is no such driver", word);
	return err_try(e, "%s", near ? near : known);
}

int settings_drivers(const struct settings *s, enum driver out[ENDS_MAX], struct err *e)
{
	const char *colon = strchr(s->driver, ':');
	AUTO_FREE char *client = str_format("%.*s", (int)strcspn(s->driver, ":"), s->driver);
	const char *const words[ENDS_MAX] = {
		[END_CLIENT] = client, [END_SERVER] = colon ? colon + 1 : client};
	enum driver found[ENDS_MAX];

	for (size_t i = 0; i < ENDS_MAX; i++) {
		int driver = driver_find(words[i]);
		if (driver < 0)
			return unknown_driver(words[i], e);
		found[i] = (enum driver)driver;
	}
	memcpy(out, found, sizeof(found));
	return 0;
}

int driver_check(enum driver driver, const struct workload_row *workload, uint64_t flows, struct err *e)
{
	const struct driver_row *row = &driver_rows[driver];

	if (row->workloads && !str_in(workload->name, row->workloads)) {
		err_usage(e, "cannot use driver %s with workload %s: it can do %s", row->name, workload->name,
			row->workloads);
		return err_try(e, "driver spin");
	}
	if (row->polls && flows > 1) {
		err_usage(e,
			"cannot use driver %s with %llu flows: each of them would need a CPU of its own at this end",
			row->name, (unsigned long long)flows);
		return err_try(e, "flows 1");
	}
	return 0;
}

/* What of the settings a driver that makes frames itself has no frame for. */
static int check_frames(const struct settings *s, const struct driver_row *row, struct err *e)
{
	uint64_t most = MIN(s->mtu ? s->mtu : MTU_USUAL, (uint64_t)FRAME_MOST) - FRAME_EXTRA;
	uint64_t wanted = MAX(s->request_bytes, s->reply_bytes);

	if (s->ipv6)
		return err_usage(
			e, "cannot use driver %s over IPv6: it knows IPv4 only (try: ipv6 no)", row->name);
	if (wanted > most)
		return err_usage(e,
			"cannot use driver %s for datagrams of %llu bytes: at most %llu fit into one frame",
			row->name, (unsigned long long)wanted, (unsigned long long)most);
	return 0;
}

int settings_drivers_check(const struct settings *s, const struct workload_row *workload, struct err *e)
{
	enum driver drivers[ENDS_MAX] = {DRIVER_SOCKET};
	const struct driver_row *poller = NULL;
	int rc = settings_drivers(s, drivers, e);

	for (size_t i = 0; rc == 0 && i < ENDS_MAX; i++) {
		const struct driver_row *row = &driver_rows[drivers[i]];
		rc = driver_check(drivers[i], workload, s->flows, e);
		if (rc == 0 && row->frames)
			rc = check_frames(s, row, e);
		if (row->polls)
			poller = row;
	}
	if (rc == 0 && poller && s->beside[0]) {
		err_usage(e,
			"cannot use driver %s with %s beside: it never sleeps, and the stream would share its CPU",
			poller->name, s->beside);
		return err_try(e, "driver socket");
	}
	if (rc == 0 && poller && settings_exact(s))
		return err_usage(e,
			"cannot use driver %s on the exact clock: it never sleeps, and there is one CPU for both ends",
			poller->name);
	if (rc == 0 && poller && !target_of(s)->machine && s->client_cpu >= 0 &&
		s->client_cpu == s->server_cpu)
		return err_usage(e,
			"cannot use driver %s with both ends on CPU %lld: it never sleeps, and needs a CPU of its own",
			poller->name, (long long)s->client_cpu);
	return rc;
}
