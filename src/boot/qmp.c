/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * QMP, as much as is needed of it: a greeting, capabilities, then a command and its reply; events in between
 * are passed over.  Lines of JSON, bounded: QEMU runs the guest and is trusted no more than it.
 */
#include "machine.h"

#include <poll.h>
#include <sys/socket.h>

#define LINE_BYTES (256u << 10)

static int read_byte(int fd, char *out, uint64_t deadline_ns, struct err *e)
{
	for (;;) {
		struct pollfd p = {.fd = fd, .events = POLLIN};
		uint64_t now = time_now_ns();
		ssize_t n = recv(fd, out, 1, MSG_DONTWAIT);
		if (n == 1)
			return 0;
		if (n == 0 || (errno != EAGAIN && errno != EINTR))
			return err_set(e, EPIPE, "QEMU has closed its monitor");
		if (now >= deadline_ns)
			return err_set(e, ETIMEDOUT, "QEMU's monitor does not answer");
		poll(&p, 1, (int)MIN((deadline_ns - now) / NS_PER_MS + 1, 1000u));
	}
}

static int read_object(int fd, json_t **out, uint64_t deadline_ns, struct err *e)
{
	AUTO(buf_free) struct buf line = {0};
	char c = 0;
	int rc;

	while (c != '\n') {
		if ((rc = read_byte(fd, &c, deadline_ns, e)) < 0)
			return rc;
		if (line.len == LINE_BYTES)
			return err_set(e, EPROTO, "QEMU's monitor says too much in one line");
		buf_put(&line, &c, 1);
	}
	*out = json_loadb(line.data, line.len, JSON_REJECT_DUPLICATES, NULL);
	return json_is_object(*out) ? 0 : err_set(e, EPROTO, "QEMU's monitor says something that is no JSON");
}

static int execute(int fd, const char *command, json_t **reply, uint64_t deadline_ns, struct err *e)
{
	AUTO_FREE char *text = str_format("{\"execute\":\"%s\"}\n", command);
	int rc = 0;

	if (send(fd, text, strlen(text), MSG_NOSIGNAL) != (ssize_t)strlen(text))
		return err_sys(e, "cannot ask QEMU's monitor");
	for (bool done = false; rc == 0 && !done;) {
		json_t *object = NULL;
		rc = time_now_ns() < deadline_ns ? read_object(fd, &object, deadline_ns, e)
						 : err_set(e, ETIMEDOUT, "QEMU's monitor does not answer");
		json_t *value = json_object_get(object, "return");
		done = rc == 0 && (value || json_object_get(object, "error"));
		if (done && !value)
			rc = err_set(e, EPROTO, "QEMU refuses %s", command);
		else if (done)
			*reply = json_incref(value);
		json_decref(object);
	}
	return rc;
}

int qmp_command(
	int fd, bool *greeted, const char *command, json_t **reply, uint64_t deadline_ns, struct err *e)
{
	json_t *first = NULL;
	int rc = *greeted ? 0 : read_object(fd, &first, deadline_ns, e);

	json_decref(first);
	if (rc == 0 && !*greeted) {
		json_t *nothing = NULL;
		rc = execute(fd, "qmp_capabilities", &nothing, deadline_ns, e);
		json_decref(nothing);
		*greeted = rc == 0;
	}
	return rc < 0 ? rc : execute(fd, command, reply, deadline_ns, e);
}
