/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A netlink socket inside a network namespace, and the way back out; private to net. */
#pragma once

#include "net.h"

#include <netlink/netlink.h>

struct session {
	struct nl_sock *sock;
	int saved_ns;
};
#define SESSION_NONE ((struct session){NULL, -1})
#define AUTO_SESSION AUTO(session_close)

int session_open(struct session *s, int ns, struct err *e);
void session_close(struct session *s);
/* err_set() with what libnl returned (a negative NLE_*) as the reason; returns -errno. */
int session_error(struct err *e, int nle, const char *format, ...) PRINTF(3, 4);
/* All that the kernel lists for a request with that header, as netlink messages one behind the other. */
int session_dump(struct session *s, int type, void *header, size_t size, struct buf *out, struct err *e);
/* The index of a link in the namespace of the session; -ENODEV. */
int session_link(const struct session *s, const char *name, struct err *e);
/* Is this a name that the kernel can take?  -EINVAL. */
int link_name_check(const char *name, struct err *e);
