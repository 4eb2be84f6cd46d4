/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Does the other end of a wire answer?  A datagram to a port that nobody listens on is refused by the kernel
 * of the other end, and the sender's socket is told.  That needs no privilege, no program at the other end,
 * and neighbours are found on the way, for IPv4 and IPv6 alike.
 */
#include "net.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#define DISCARD_PORT 9 /* RFC 863 */

static int refused(int fd)
{
	int code = 0;
	socklen_t len = sizeof(code);

	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &code, &len) < 0)
		return -errno;
	return code == ECONNREFUSED;
}

static int ask(int fd, const char *address, unsigned wait_ms)
{
	struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(DISCARD_PORT)};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(DISCARD_PORT)};
	bool six = inet_pton(AF_INET, address, &v4.sin_addr) != 1;
	struct pollfd p = {.fd = fd};

	if (six && inet_pton(AF_INET6, address, &v6.sin6_addr) != 1)
		return -EINVAL;
	if (six ? connect(fd, (struct sockaddr *)&v6, sizeof(v6))
		: connect(fd, (struct sockaddr *)&v4, sizeof(v4)))
		return -errno;
	if (send(fd, "", 1, MSG_NOSIGNAL) < 0 && errno != ECONNREFUSED)
		return -errno;
	if (poll(&p, 1, (int)wait_ms) < 0)
		return -errno;
	return refused(fd);
}

int net_answers(int ns, const char *address, unsigned wait_ms, struct err *e)
{
	int saved = netns_enter(ns, e);

	if (saved < 0)
		return saved;
	AUTO_CLOSE int fd = socket(strchr(address, ':') ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int rc = fd < 0 ? -errno : ask(fd, address, wait_ms);
	netns_leave(&saved);
	/* Of a wire that passes nothing yet. */
	if (rc == -EHOSTUNREACH || rc == -ENETUNREACH)
		return 0;
	return rc < 0 ? err_code(e, -rc, "cannot ask %s whether it answers", address) : rc;
}
