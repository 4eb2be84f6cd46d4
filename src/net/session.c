/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A session is one call of this module: it enters the namespace, opens a netlink socket there, and at the end
 * closes the socket and returns to the caller's namespace.  A socket stays in the namespace in which it was
 * opened, but keeping one for each namespace would save only some 30 µs a call.
 *
 * libnl maps errno to codes of its own.  Those that users meet are mapped back, so that callers get -EEXIST
 * and the like, and messages have the usual words.
 */
#include "session.h"

#include <net/if.h>
#include <netlink/errno.h>
#include <netlink/msg.h>
#include <netlink/socket.h>
#include <stdio.h>
#include <sys/ioctl.h>

#define DUMP_TRIES 20

static const struct {
	int nle, code;
} codes[] = {
	{NLE_NOMEM, ENOMEM},
	{NLE_EXIST, EEXIST},
	{NLE_INVAL, EINVAL},
	{NLE_RANGE, ERANGE},
	{NLE_OPNOTSUPP, EOPNOTSUPP},
	{NLE_OBJ_NOTFOUND, ENOENT},
	{NLE_NOADDR, EADDRNOTAVAIL},
	{NLE_BUSY, EBUSY},
	{NLE_NOACCESS, EACCES},
	{NLE_PERM, EPERM},
	{NLE_NODEV, ENODEV},
	{NLE_AF_NOSUPPORT, EAFNOSUPPORT},
};

int session_error(struct err *e, int nle, const char *format, ...)
{
	char what[256];
	va_list args;

	va_start(args, format);
	vsnprintf(what, sizeof(what), format, args);
	va_end(args);
	nle = nle < 0 ? -nle : nle;
	for (size_t i = 0; i < ARRAY_LEN(codes); i++)
		if (codes[i].nle == nle)
			return err_code(e, codes[i].code, "%s", what);
	return err_set(e, EIO, "%s: %s", what, nl_geterror(nle));
}

int session_open(struct session *s, int ns, struct err *e)
{
	int saved = netns_enter(ns, e);

	if (saved < 0)
		return saved;
	*s = (struct session){nl_socket_alloc(), saved};
	int rc = s->sock ? nl_connect(s->sock, NETLINK_ROUTE) : -NLE_NOMEM;
	if (rc < 0) {
		rc = session_error(e, rc, "cannot open a netlink socket");
		session_close(s);
	}
	return rc;
}

void session_close(struct session *s)
{
	nl_socket_free(s->sock);
	s->sock = NULL;
	netns_leave(&s->saved_ns);
}

static int take_message(struct nl_msg *msg, void *arg)
{
	struct nlmsghdr *h = nlmsg_hdr(msg);

	buf_put(arg, h, NLMSG_ALIGN(h->nlmsg_len));
	return NL_OK;
}

/* What changed while it was listed is listed again. */
int session_dump(struct session *s, int type, void *header, size_t size, struct buf *out, struct err *e)
{
	int rc = nl_socket_modify_cb(s->sock, NL_CB_VALID, NL_CB_CUSTOM, take_message, out);

	for (int tries = 0; rc == 0; tries++) {
		out->len = 0;
		rc = nl_send_simple(s->sock, type, NLM_F_DUMP, header, size);
		if (rc >= 0)
			rc = nl_recvmsgs_default(s->sock);
		if (rc != -NLE_DUMP_INTR || tries == DUMP_TRIES)
			break;
		rc = 0;
	}
	nl_socket_modify_cb(s->sock, NL_CB_VALID, NL_CB_DEFAULT, NULL, NULL);
	return rc < 0 ? session_error(e, rc, "cannot list what the kernel has") : 0;
}

int session_link(const struct session *s, const char *name, struct err *e)
{
	struct ifreq request = {0};

	if (str_copy(request.ifr_name, sizeof(request.ifr_name), name))
		return err_code(e, ENODEV, "cannot find link %s", name);
	if (ioctl(nl_socket_get_fd(s->sock), SIOCGIFINDEX, &request) < 0)
		return err_sys(e, "cannot find link %s", name);
	return request.ifr_ifindex;
}

int link_name_check(const char *name, struct err *e)
{
	size_t n = strlen(name);

	if (n && n < IFNAMSIZ && !strpbrk(name, "/ \t\n:%") && strcmp(name, ".") != 0 &&
		strcmp(name, "..") != 0)
		return 0;
	return err_set(e, EINVAL, "cannot name a link '%s': 1 to %d characters without space, '/' and ':'",
		name, IFNAMSIZ - 1);
}
