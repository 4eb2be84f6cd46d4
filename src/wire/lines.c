/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Lines of JSON.  The other end is QEMU or a guest and is not trusted: the length of lines is bounded, the
 * deadline holds however fast lines come, and only JSON objects are accepted.
 */
#include "lines.h"
#include "wire.h"

#include <poll.h>
#include <sys/socket.h>

#define PART_BYTES 4096 /* the deadline is checked after this many bytes, however fast lines come */
#define DELIMITER  '\xff'

static int look(const struct json_lines *l, uint64_t deadline_ns, struct err *e)
{
	if (stop_flag)
		return err_set(e, EINTR, "interrupted");
	if (time_now_ns() >= deadline_ns)
		return err_set(e, ETIMEDOUT, "%s does not answer", l->peer);
	return 0;
}

static int wait_for(const struct json_lines *l, short events, uint64_t deadline_ns, struct err *e)
{
	for (;;) {
		struct pollfd p[] = {{.fd = l->fd, .events = events}, {.fd = l->gone, .events = POLLIN}};
		uint64_t now = time_now_ns();
		int rc = look(l, deadline_ns, e);
		if (rc < 0)
			return rc;
		poll(p, ARRAY_LEN(p),
			now < deadline_ns ? (int)MIN((deadline_ns - now) / NS_PER_MS + 1, 1000u) : 0);
		if (p[0].revents)
			return 0;
		if (p[1].revents)
			return err_set(e, EPIPE, "the machine has ended");
	}
}

int lines_put(const struct json_lines *l, const char *data, size_t len, uint64_t deadline_ns, struct err *e)
{
	while (len) {
		ssize_t n = send(l->fd, data, len, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return err_sys(e, "cannot write to %s", l->peer);
		int rc = n < 0 ? wait_for(l, POLLOUT, deadline_ns, e) : 0;
		if (rc < 0)
			return rc;
		data += MAX(n, 0);
		len -= (size_t)MAX(n, 0);
	}
	return 0;
}

/* Receives the bytes that are there, up to the end of a line; returns how many, 0 to be called again. */
static int get_part(const struct json_lines *l, char part[PART_BYTES], uint64_t deadline_ns, struct err *e)
{
	int rc = look(l, deadline_ns, e);

	if (rc < 0)
		return rc;
	ssize_t n = recv(l->fd, part, PART_BYTES, MSG_DONTWAIT | MSG_PEEK);
	if (n > 0) {
		const char *end = memchr(part, '\n', (size_t)n);
		n = recv(l->fd, part, end ? (size_t)(end + 1 - part) : (size_t)n, MSG_DONTWAIT);
	}
	if (n > 0)
		return (int)n;
	if (n == 0 || (errno != EAGAIN && errno != EINTR))
		return err_set(e, EPIPE, "%s has closed its end", l->peer);
	return wait_for(l, POLLIN, deadline_ns, e);
}

int lines_get(
	const struct json_lines *l, struct buf *line, bool *delimited, uint64_t deadline_ns, struct err *e)
{
	char part[PART_BYTES];
	bool thrown = false;

	line->len = 0;
	for (bool ended = false; !ended;) {
		int n = get_part(l, part, deadline_ns, e);
		if (n < 0)
			return n;
		ended = n && part[n - 1] == '\n';
		n -= ended;
		const char *delimiter = memrchr(part, DELIMITER, (size_t)n);
		const char *from = delimiter ? delimiter + 1 : part;
		size_t len = (size_t)(part + n - from);
		if (delimiter)
			line->len = 0;
		thrown |= delimiter != NULL;
		if (len > l->max_bytes - line->len)
			return err_set(e, EPROTO, "%s says too much in one line", l->peer);
		buf_put(line, from, len);
	}
	if (delimited)
		*delimited = thrown;
	return 0;
}

json_t *lines_object(char *text, size_t len)
{
	frame_clean(text, len);
	json_t *object = frame_check(text, len, ERR_IGNORED) < 0
				 ? NULL
				 : json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);

	if (json_is_object(object))
		return object;
	json_decref(object);
	return NULL;
}
