/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The part of QMP that is needed: a greeting, capabilities, then a command and its reply; events in between
 * are passed over.  It consists of lines of JSON, whose length is bounded: QEMU runs the guest, and is
 * trusted no more than the guest is.
 */
#include "machine.h"
#include "wire/lines.h"

static struct json_lines monitor(int fd)
{
	return (struct json_lines){.fd = fd, .gone = -1, .max_bytes = 256u << 10, .peer = "QEMU's monitor"};
}

static int read_object(int fd, json_t **out, uint64_t deadline_ns, struct err *e)
{
	const struct json_lines l = monitor(fd);
	AUTO(buf_free) struct buf line = {0};
	int rc = lines_get(&l, &line, NULL, deadline_ns, e);

	if (rc < 0)
		return rc;
	*out = line.len ? lines_object(line.data, line.len) : NULL;
	return *out ? 0 : err_set(e, EPROTO, "QEMU's monitor says something that is no JSON object");
}

static int execute(int fd, const char *command, json_t **reply, uint64_t deadline_ns, struct err *e)
{
	const struct json_lines l = monitor(fd);
	AUTO_FREE char *text = str_format("{\"execute\":\"%s\"}\n", command);
	int rc = lines_put(&l, text, strlen(text), deadline_ns, e);

	for (bool done = false; rc == 0 && !done;) {
		json_t *object = NULL;
		rc = read_object(fd, &object, deadline_ns, e);
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
