/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Data sockets.  Addresses are numeric (a static program has no resolver); an IPv6 address may name its link,
 * fe80::1%eth0.
 */
#include "internal.h"

#include "sys/sys.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/time.h>

#define JIFFY_NS (10 * NS_PER_MS) /* of the slowest clock tick, HZ=100 */

/* --- addresses --------------------------------------------------------------------------------- */

int socket_address(
	const char *text, uint16_t port, struct sockaddr_storage *out, socklen_t *len, struct err *e)
{
	struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(port)};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
	char host[INET6_ADDRSTRLEN + 1];
	size_t n = strcspn(text, "%");

	*out = (struct sockaddr_storage){0};
	if (inet_pton(AF_INET, text, &v4.sin_addr) == 1) {
		memcpy(out, &v4, *len = sizeof(v4));
		return 0;
	}
	if (n >= sizeof(host))
		goto bad;
	memcpy(host, text, n);
	host[n] = 0;
	if (inet_pton(AF_INET6, host, &v6.sin6_addr) != 1)
		goto bad;
	if (text[n]) {
		v6.sin6_scope_id = if_nametoindex(text + n + 1);
		if (!v6.sin6_scope_id)
			return err_set(e, ENODEV, "cannot use address '%s': there is no link '%s'", text,
				text + n + 1);
	}
	memcpy(out, &v6, *len = sizeof(v6));
	return 0;
bad:
	return err_usage(e, "cannot use address '%s': it is no numeric address", text);
}

static uint16_t bound_port(int fd)
{
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	} a;
	socklen_t len = sizeof(a);

	memset(&a, 0, sizeof(a));
	if (getsockname(fd, &a.any, &len))
		return 0;
	return ntohs(a.any.sa_family == AF_INET ? a.v4.sin_port : a.v6.sin6_port);
}

/* --- options ----------------------------------------------------------------------------------- */

static int set_congestion(int fd, const char *name, struct err *e)
{
	char available[256] = "unknown";

	if (!setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, (socklen_t)strlen(name)))
		return 0;
	err_sys(e, "cannot use congestion control '%s'", name);
	AUTO_CLOSE int root = root_open("/", ERR_IGNORED);
	if (root >= 0)
		root_read(root, "/proc/sys/net/ipv4/tcp_available_congestion_control", available,
			sizeof(available), ERR_IGNORED);
	return err_try(e, "one of: %s", available);
}

int socket_tune(int fd, const struct endpoint_job *job, bool datagrams, struct err *e)
{
	const struct endpoint_job *s = job;
	int nodelay = s->nodelay, busy = (int)s->busy_poll_us;

	if (!datagrams && setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &nodelay, sizeof(nodelay)))
		return err_sys(e, "cannot set TCP_NODELAY");
	if (!datagrams && s->congestion[0]) {
		int rc = set_congestion(fd, s->congestion, e);
		if (rc)
			return rc;
	}
	if (!busy || !setsockopt(fd, SOL_SOCKET, SO_BUSY_POLL, &busy, sizeof(busy)))
		return 0;
	if (errno != EPERM)
		return err_sys(e, "cannot set SO_BUSY_POLL to %d us", busy);
	err_refused(e, "cannot set SO_BUSY_POLL to %d us: it needs CAP_NET_ADMIN", busy);
	return err_try(e, "run as root, or leave out busy_poll");
}

void socket_read_back(struct flow *f, bool datagrams)
{
	socklen_t len = sizeof(f->congestion) - 1;
	int busy = 0;

	if (datagrams || getsockopt(f->fd, IPPROTO_TCP, TCP_CONGESTION, f->congestion, &len))
		f->congestion[0] = 0;
	len = sizeof(busy);
	if (!getsockopt(f->fd, SOL_SOCKET, SO_BUSY_POLL, &busy, &len) && busy > 0)
		f->busy_poll_us = (uint64_t)busy;
}

/* The kernel counts in ticks and may wake the thread up to one tick early, so one tick is added. */
void socket_set_timeout(int fd, uint64_t timeout_ns)
{
	uint64_t us = (timeout_ns + JIFFY_NS) / NS_PER_US;
	struct timeval t = {.tv_sec = (time_t)(us / 1000000), .tv_usec = (suseconds_t)(us % 1000000)};

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof(t));
}

uint64_t socket_retransmits(int fd)
{
	struct tcp_info info = {0};
	socklen_t len = sizeof(info);

	return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) ? 0 : info.tcpi_total_retrans;
}

/* --- opening ----------------------------------------------------------------------------------- */

static int open_socket(int family, bool datagrams, struct err *e)
{
	int fd = socket(family, (datagrams ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC, 0);

	return fd < 0 ? err_sys(e, "cannot open a %s socket", datagrams ? "UDP" : "TCP") : fd;
}

int socket_listen(
	const struct endpoint_job *job, bool datagrams, unsigned flow, uint16_t *port, struct err *e)
{
	uint16_t wanted = job->port ? (uint16_t)(job->port + flow) : 0;
	struct sockaddr_storage address;
	socklen_t len;
	const int on = 1;
	int rc = socket_address(job->address, wanted, &address, &len, e);

	if (rc)
		return rc;
	AUTO_CLOSE int fd = open_socket(address.ss_family, datagrams, e);
	if (fd < 0)
		return fd;
	rc = socket_tune(fd, job, datagrams, e);
	if (rc)
		return rc;
	/* Allows a port on which connections of the last trial linger; two servers still cannot share it. */
	if (!datagrams)
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, (struct sockaddr *)&address, len) || (!datagrams && listen(fd, 16))) {
		rc = err_sys(e, "cannot bind %s port %u", job->address, wanted);
		return rc == -EADDRINUSE ? err_try(e, "another port, or 0 for any free one") : rc;
	}
	*port = bound_port(fd);
	return steal_fd(&fd);
}

static int wait_connected(int fd, uint64_t deadline_ns)
{
	int code = 0, rc = socket_wait(fd, POLLOUT, -1, deadline_ns);
	socklen_t len = sizeof(code);

	if (rc <= 0)
		return rc ? rc : -ETIMEDOUT;
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &code, &len))
		return -errno;
	return -code;
}

int socket_connect(
	const struct endpoint_job *job, bool datagrams, uint16_t port, uint64_t deadline_ns, struct err *e)
{
	struct sockaddr_storage address;
	socklen_t len;
	int rc = socket_address(job->address, port, &address, &len, e);

	if (rc)
		return rc;
	AUTO_CLOSE int fd = open_socket(address.ss_family, datagrams, e);
	if (fd < 0)
		return fd;
	rc = socket_tune(fd, job, datagrams, e);
	if (rc)
		return rc;
	fcntl(fd, F_SETFL, O_NONBLOCK);
	rc = connect(fd, (struct sockaddr *)&address, len) ? -errno : 0;
	if (rc == -EINPROGRESS)
		rc = wait_connected(fd, deadline_ns);
	if (rc)
		return err_code(e, -rc, "cannot connect to %s port %u", job->address, port);
	fcntl(fd, F_SETFL, 0);
	return steal_fd(&fd);
}

/* --- waiting ----------------------------------------------------------------------------------- */

int socket_wait(int fd, short events, int stop_fd, uint64_t deadline_ns)
{
	struct pollfd p[] = {{.fd = fd, .events = events}, {.fd = stop_fd, .events = POLLIN}};

	for (;;) {
		uint64_t now = time_now_ns();
		uint64_t left_ms = now < deadline_ns ? (deadline_ns - now + NS_PER_MS - 1) / NS_PER_MS : 0;
		int n = poll(p, ARRAY_LEN(p), (int)MIN(left_ms, 60000u));

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0)
			return p[1].revents ? -ECANCELED : 1;
		if (time_now_ns() >= deadline_ns)
			return 0;
	}
}
