/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Frames: 4 bytes of length (little endian, of what follows), 1 byte of type, a JSON object.  Both ends wait
 * with a deadline.  A frame that is too long, of an unknown type or no JSON object ends the conversation,
 * since it is not known where the next frame starts.  Waiting for the first byte of a frame can be
 * interrupted; waiting for the rest of it cannot.
 *
 * Texts of a frame can appear on a terminal, such as an error, a name or an unknown key.  So control
 * characters are taken out of a frame's text, wherever they stand in it, before it is parsed.
 *
 * A parsed value costs up to a hundred times the memory of its text, so the values of a frame are counted,
 * and how deep they lie in one another, before it is parsed.
 */
#include "wire.h"

#include <ctype.h>
#include <limits.h>
#include <poll.h>
#include <sys/socket.h>

#define HEADER_BYTES 5
#define LOOK_MS      100 /* how late a stop can be heard when its signal came just before a wait */
#define REST_NS      (60 * NS_PER_S) /* for the rest of a frame, after its first byte */

/* -EINTR when stop_flag is raised, unless it had been `stopped` before. */
static int wait_for(int fd, short events, uint64_t deadline_ns, bool stopped)
{
	for (;;) {
		if (stop_flag && !stopped)
			return -EINTR;
		uint64_t now = time_now_ns();
		struct pollfd p = {.fd = fd, .events = events};
		uint64_t left = now < deadline_ns ? (deadline_ns - now + NS_PER_MS - 1) / NS_PER_MS : 0;
		int n = poll(&p, 1, (int)MIN(left, (uint64_t)LOOK_MS));
		/* The port of a virtual machine whose other side is closed takes nothing, and poll() returns
		 * at once. */
		if (n > 0 && events == POLLOUT && !(p.revents & POLLOUT))
			return -EPIPE;
		if (n > 0)
			return 0;
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n == 0 && time_now_ns() >= deadline_ns)
			return -ETIMEDOUT;
	}
}

/* MSG_DONTWAIT works on sockets only; the port of a virtual machine is a character device, opened
 * non-blocking. */
static ssize_t put(int fd, const void *data, size_t len)
{
	ssize_t n = send(fd, data, len, MSG_NOSIGNAL | MSG_DONTWAIT);

	return n < 0 && errno == ENOTSOCK ? write(fd, data, len) : n;
}

static ssize_t get(int fd, void *data, size_t len)
{
	ssize_t n = recv(fd, data, len, MSG_DONTWAIT);

	return n < 0 && errno == ENOTSOCK ? read(fd, data, len) : n;
}

static int put_all(int fd, const char *data, size_t len, uint64_t deadline_ns)
{
	bool stopped = stop_flag;

	while (len) {
		ssize_t n = put(fd, data, len);
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return -errno;
		if (n < 0) {
			int rc = wait_for(fd, POLLOUT, deadline_ns, stopped);
			if (rc < 0)
				return rc;
			continue;
		}
		data += n;
		len -= (size_t)n;
	}
	return 0;
}

static int get_all(int fd, void *out, size_t len, uint64_t deadline_ns, bool stopped)
{
	char *p = out;

	while (len) {
		ssize_t n = get(fd, p, len);
		if (n == 0)
			return -EPIPE;
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return errno == ECONNRESET ? -EPIPE : -errno;
		if (n < 0) {
			int rc = wait_for(fd, POLLIN, deadline_ns, stopped);
			if (rc < 0)
				return rc;
			continue;
		}
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

int frame_send(int fd, enum frame_type type, json_t *body, uint64_t deadline_ns, struct err *e)
{
	AUTO_FREE char *text = json_dumps(body, JSON_COMPACT);
	AUTO(buf_free) struct buf frame = {0};

	json_decref(body);
	if (!text)
		return err_set(e, EPROTO, "cannot encode a frame");
	size_t len = strlen(text) + 1;
	if (len > FRAME_MAX_BYTES)
		return err_set(e, EMSGSIZE, "cannot send a frame of %zu bytes", len);
	unsigned char header[HEADER_BYTES] = {(unsigned char)len, (unsigned char)(len >> 8),
		(unsigned char)(len >> 16), (unsigned char)(len >> 24), (unsigned char)type};
	buf_put(&frame, header, sizeof(header));
	buf_put(&frame, text, len - 1);
	int rc = put_all(fd, frame.data, frame.len, deadline_ns);
	return rc < 0 ? err_code(e, -rc, "cannot send over the control stream") : 0;
}

static bool hidden(unsigned c)
{
	return c != '\n' && c != '\t' && c != UINT_MAX && !str_code_shown(c);
}

/* "001b" → 0x1b; a large number when these are not four hex digits. */
static unsigned hex4(const char *digits)
{
	char text[5] = {0}, *end;

	memcpy(text, digits, 4);
	for (size_t i = 0; i < 4; i++)
		if (!isxdigit((unsigned char)text[i]))
			return UINT_MAX;
	return (unsigned)strtoul(text, &end, 16);
}

/* An escape sequence of JSON at the backslash text[0]; returns its length. */
static size_t clean_escape(char *text, size_t len)
{
	if (len >= 6 && text[1] == 'u') {
		if (hidden(hex4(text + 2)))
			memcpy(text + 2, "003f", 4);
		return 6;
	}
	if (len >= 2 && strchr("bfr", text[1]))
		memcpy(text, "??", 2);
	return 2;
}

void frame_clean(char *text, size_t len)
{
	for (size_t i = 0; i < len;) {
		const char *slash = memchr(text + i, '\\', len - i);
		size_t run = slash ? (size_t)(slash - (text + i)) : len - i, skip;

		if (!run) {
			i += clean_escape(text + i, len - i);
			continue;
		}
		i += str_shown(text + i, run, &skip);
		/* What is no UTF-8, or may stand between values only, is the reader's to refuse. */
		if (skip > 1 || (skip && text[i] == 0x7f))
			memset(text + i, '?', skip);
		i += skip;
	}
}

/* Values are counted by what stands before or between them, which is never too few. */
int frame_check(const char *text, size_t len, struct err *e)
{
	size_t values = 1, depth = 0;
	bool quoted = false;

	for (size_t i = 0; i < len; i++) {
		char c = text[i];

		if (quoted && c == '\\')
			i++;
		else if (c == '"')
			quoted = !quoted;
		else if (!quoted && (c == '{' || c == '[')) {
			values++;
			depth++;
		} else if (!quoted && (c == '}' || c == ']'))
			depth -= depth > 0;
		else if (!quoted && c == ',')
			values++;
		if (values > FRAME_MAX_VALUES || depth > FRAME_MAX_DEPTH)
			return err_set(e, EPROTO,
				"the control stream brought JSON of more than %d values, or deeper than %d",
				FRAME_MAX_VALUES, FRAME_MAX_DEPTH);
	}
	return 0;
}

int frame_recv(int fd, json_t **body, uint64_t deadline_ns, struct err *e)
{
	unsigned char header[HEADER_BYTES];
	bool stopped = stop_flag;
	json_error_t why;
	int rc = get_all(fd, header, 1, deadline_ns, stopped);

	deadline_ns = MIN(deadline_ns, time_now_ns() + REST_NS);
	if (rc == 0)
		rc = get_all(fd, header + 1, sizeof(header) - 1, deadline_ns, stopped);
	if (rc == -EPIPE)
		return err_set(e, EPIPE, "the other end of the control stream has gone");
	if (rc < 0)
		return err_code(e, -rc, "cannot read from the control stream");
	size_t len = header[0] | (size_t)header[1] << 8 | (size_t)header[2] << 16 | (size_t)header[3] << 24;
	if (len < 3 || len > FRAME_MAX_BYTES || header[4] < FRAME_HELLO || header[4] > FRAME_LAST)
		return err_set(e, EPROTO, "the control stream brought something that is no frame");
	AUTO_FREE char *text = mem_alloc(len);
	rc = get_all(fd, text, len - 1, deadline_ns, stopped);
	if (rc < 0)
		return err_code(e, -rc, "cannot read from the control stream");
	frame_clean(text, len - 1);
	if (frame_check(text, len - 1, e) < 0)
		return -e->code;
	json_t *object = json_loadb(text, len - 1, JSON_REJECT_DUPLICATES, &why);
	if (!json_is_object(object)) {
		json_decref(object);
		return err_set(e, EPROTO, "the control stream brought a frame that is no JSON object");
	}
	*body = object;
	return header[4];
}

int frame_expect(int fd, enum frame_type type, json_t **body, uint64_t deadline_ns, struct err *e)
{
	json_t *got = NULL;
	int rc = frame_recv(fd, &got, deadline_ns, e);

	if (rc < 0)
		return rc;
	if (rc == (int)type) {
		*body = got;
		return 0;
	}
	if (rc == FRAME_ERROR) {
		const char *text = json_string_value(json_object_get(got, "text"));
		const char *advice = json_string_value(json_object_get(got, "advice"));
		bool advises = advice && *advice;
		/* What it advises is its word, not ours. */
		rc = err_set(e, EREMOTEIO, "%.400s%s%.200s%s", text ? text : "it failed and does not say why",
			advises ? " (it advises: " : "", advises ? advice : "", advises ? ")" : "");
	} else {
		rc = err_set(e, EPROTO, "the control stream brought frame %d instead of %d", rc, type);
	}
	json_decref(got);
	return rc;
}
