/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Into a guest by its QEMU guest agent, which starts a shell there.  It has no stream to offer, so control
 * goes over a virtio port of its own, taut.control: on a machine of ours our end is there already; a libvirt
 * domain must have such a channel, whose socket we connect to.  Where nobody is on our side, reading from a
 * port ends at once, so a shell or a program that is left alone there goes away.
 *
 * On a machine of ours nobody knows an address yet, so the program sets it, on the network device with our
 * MAC.  A domain has its addresses; the first one of the family is taken, of the device that the host gave
 * it where that is known.
 */
#include "private.h"
#include "qga.h"

#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/un.h>

#define PORT     "taut.control"
#define PROBE_NS (5 * NS_PER_S)
#define LEAVE_NS (15 * NS_PER_S)
#define LOOK_MS  300

static struct qga port_of(const struct login *l)
{
	return (struct qga){.fd = l->guest_agent, .domain = l->domain ? l->domain->name : NULL};
}

/* --- what the guest is ------------------------------------------------------------------------- */

static int kernel_check(const struct qga *q, uint64_t deadline_ns, struct err *e)
{
	json_t *info = NULL;
	int rc = qga_call(q, "guest-get-osinfo", NULL, &info, deadline_ns, e);

	if (rc < 0)
		return rc;
	const char *machine = json_string_value(json_object_get(info, "machine"));
	const char *release = json_string_value(json_object_get(info, "kernel-release"));
	rc = login_kernel_check(machine ? machine : "?", release ? release : "?", e);
	json_decref(info);
	return rc;
}

/* Of the family, numeric, and not of the guest alone. */
static bool usable(const char *address, const char *family, bool ipv6)
{
	union {
		struct in_addr v4;
		struct in6_addr v6;
	} parsed;

	if (!address || !family || strcmp(family, ipv6 ? "ipv6" : "ipv4") || strlen(address) >= 64 ||
		inet_pton(ipv6 ? AF_INET6 : AF_INET, address, &parsed) != 1)
		return false;
	if (ipv6)
		return !IN6_IS_ADDR_LINKLOCAL(&parsed.v6) && !IN6_IS_ADDR_LOOPBACK(&parsed.v6);
	return ntohl(parsed.v4.s_addr) >> 24 != 127 && ntohl(parsed.v4.s_addr) >> 16 != 0xa9fe;
}

static const char *address_in(const json_t *links, const char *mac, bool ipv6)
{
	const json_t *link, *entry;
	size_t i, j;

	json_array_foreach (links, i, link) {
		const char *own = json_string_value(json_object_get(link, "hardware-address"));
		if (*mac && (!own || strcasecmp(own, mac)))
			continue;
		json_array_foreach (json_object_get(link, "ip-addresses"), j, entry) {
			const char *address = json_string_value(json_object_get(entry, "ip-address"));
			const char *family = json_string_value(json_object_get(entry, "ip-address-type"));
			if (usable(address, family, ipv6))
				return address;
		}
	}
	return NULL;
}

static int address_find(struct login *l, const struct qga *q, uint64_t deadline_ns, struct err *e)
{
	json_t *links = NULL;
	int rc = qga_call(q, "guest-network-get-interfaces", NULL, &links, deadline_ns, e);

	if (rc < 0)
		return rc;
	const char *address = address_in(links, l->domain->mac, l->ipv6);
	if (address)
		str_copy(l->address, sizeof(l->address), address);
	else
		rc = err_set(e, EADDRNOTAVAIL, "the guest has no IPv%c address on its network device",
			l->ipv6 ? '6' : '4');
	json_decref(links);
	return rc;
}

/* --- in ---------------------------------------------------------------------------------------- */

/* Port and program, as file descriptor 3 of a shell and its standard input. */
static char *script_make(const struct login *l, size_t program_bytes)
{
	AUTO_FREE char *rest = str_format("guest%s%s </dev/null", l->device[0] ? " " : "", l->device);
	AUTO_FREE char *become = login_script(program_bytes, rest);
	return str_format(
		"p=; for d in /sys/class/virtio-ports/*; do [ \"$(cat \"$d/name\" 2>/dev/null)\" = " PORT
		" ] && p=/dev/${d##*/}; done; [ -n \"$p\" ] || { echo 'no virtio port " PORT
		"' >&2; exit 1; }; exec 3<>\"$p\" <&3 || exit 1; %s",
		become);
}

static int look(const struct login *l, const struct qga *q, uint64_t deadline_ns, struct err *e)
{
	struct qga_program program = {.pid = l->pid};
	int rc = qga_look(q, &program, deadline_ns, e);

	if (rc == 0 && program.exited)
		return err_set(e, ECHILD, "the guest ended it: %s",
			program.said[0] ? program.said : "and does not say why");
	return rc;
}

/* Until it has all of the program and speaks on the control stream; or has ended. */
static int feed(const struct login *l, const struct qga *q, const char *data, size_t len,
	uint64_t deadline_ns, struct err *e)
{
	struct pollfd p = {.fd = *l->control, .events = POLLIN};
	int rc = 0;

	while (rc == 0 && time_now_ns() < deadline_ns && !stop_flag) {
		ssize_t n = len ? login_push(*l->control, data, len) : 0;
		data += MAX(n, 0);
		len -= (size_t)MAX(n, 0);
		if (n < 0)
			rc = err_set(e, EPIPE, "the control port is closed");
		else if (!len && poll(&p, 1, LOOK_MS) > 0)
			return 0;
		else if (n == 0)
			rc = look(l, q, deadline_ns, e);
	}
	return rc; /* for the rest endpoint_wait() has words */
}

static int put_in(struct login *l, const struct qga *q, uint64_t deadline_ns, struct err *e)
{
	AUTO_FREE char *data = NULL;
	size_t len = 0;
	int rc = login_program(l->program, &data, &len, e);

	if (rc < 0)
		return rc;
	AUTO_FREE char *script = script_make(l, len);
	const char *const argv[] = {"/bin/sh", "-c", script, NULL};
	rc = qga_start(q, argv, &l->pid, deadline_ns, e);
	return rc < 0 ? rc : feed(l, q, data, len, deadline_ns, e);
}

/* Our end of the control stream becomes a connection to the domain's channel. */
static int channel_connect(struct login *l, struct err *e)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	int on = 1, rc = domain_channel(l->domain->name, PORT, to.sun_path, sizeof(to.sun_path), e);

	if (rc < 0)
		return rc;
	AUTO_CLOSE int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) < 0 ||
		connect(fd, (const struct sockaddr *)(const void *)&to, sizeof(to)) < 0)
		return errno == EAGAIN
			       ? err_set(e, EBUSY, "the channel %s is in use by another program", to.sun_path)
			       : err_sys(e, "cannot connect to the channel %s", to.sun_path);
	close(*l->control);
	close(steal_fd(l->theirs));
	*l->control = steal_fd(&fd);
	return 0;
}

static int agent_enter(struct login *l, uint64_t deadline_ns, struct err *e)
{
	struct qga q = port_of(l);
	bool domain = l->domain != NULL;
	int rc = domain ? channel_connect(l, e) : qga_sync(&q, l->pidfd, deadline_ns, e);

	if (rc == 0)
		rc = qga_able(&q, deadline_ns, e);
	if (rc == 0)
		rc = kernel_check(&q, deadline_ns, e);
	if (rc == 0 && domain)
		rc = address_find(l, &q, deadline_ns, e);
	return rc < 0 ? rc : put_in(l, &q, deadline_ns, e);
}

static int agent_probe(const struct settings *s, struct err *e)
{
	const struct qga q = {.fd = -1, .domain = settings_domain(s)};
	uint64_t deadline = time_now_ns() + PROBE_NS;
	char path[512];
	int rc = domain_channel(q.domain, PORT, path, sizeof(path), e);

	if (rc < 0)
		return rc;
	rc = qga_able(&q, deadline, e);
	if (rc == 0)
		rc = kernel_check(&q, deadline, e);
	return rc < 0 ? err_try(e, "start qemu-guest-agent in the guest, or login ssh:USER@HOST") : 0;
}

/* --- out --------------------------------------------------------------------------------------- */

static void agent_leave(struct login *l)
{
	struct qga q = port_of(l);
	struct qga_program program = {.pid = l->pid};
	uint64_t deadline = time_now_ns() + LEAVE_NS;
	struct err e = ERR_INIT;
	char text[1024];
	int rc = 0;

	if (!program.pid || !l->domain) /* a machine of ours is thrown away */
		return;
	close(steal_fd(l->control)); /* what it waits for */
	while (rc == 0 && !program.exited && time_now_ns() < deadline) {
		rc = qga_look(&q, &program, deadline, &e);
		if (rc == 0 && !program.exited)
			poll(NULL, 0, LOOK_MS);
	}
	if (rc < 0)
		log_warn("cannot tell whether taut-server has ended in the guest: %s",
			err_string(&e, text, sizeof(text)));
	else if (!program.exited)
		log_warn("taut-server (process %lld) does not end in the guest", (long long)program.pid);
	l->pid = 0;
}

const struct login_row login_guest_agent = {
	.word = "agent",
	.probe = agent_probe,
	.enter = agent_enter,
	.leave = agent_leave,
};
