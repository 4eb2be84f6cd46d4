/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The protocol of the QEMU guest agent: a line of JSON each way.  On a port of a machine of ours we speak it
 * ourselves; the port of a libvirt domain belongs to libvirt, and virsh carries the lines.
 *
 * A port keeps what was written to it before the agent opened it, and an agent may have said something that
 * nobody read.  So a conversation begins with guest-sync-delimited: the byte 0xff, which the agent takes as
 * the end of whatever came before, and a number of ours; its answer has the same byte in front, and what
 * comes before that is thrown away.
 *
 * Everything that comes back was written in a guest: lines are bounded, texts made printable, and only what
 * is asked for is looked at.
 */
#include "qga.h"

#include "domain.h"
#include "sys/sys.h"
#include "wire/base64.h"
#include "wire/lines.h"

#include <stdio.h>

#define SYNC_NS   (2 * NS_PER_S)
#define DELIMITER '\xff'

/* --- lines ------------------------------------------------------------------------------------- */

static struct json_lines port(const struct qga *q, int gone)
{
	return (struct json_lines){
		.fd = q->fd, .gone = gone, .max_bytes = 1u << 20, .peer = "the guest agent"};
}

int qga_reply_read(char *text, size_t len, json_t **value, struct err *e)
{
	json_t *object = lines_object(text, len);
	json_t *returned = json_object_get(object, "return"), *error = json_object_get(object, "error");
	const char *why = json_string_value(json_object_get(error, "desc"));
	int rc = 0;

	if (returned && !error)
		*value = json_incref(returned);
	else if (json_is_object(error) && !returned)
		rc = err_set(e, EREMOTEIO, "the guest agent says: %.300s", why ? why : "no");
	else
		rc = err_set(e, EPROTO, "the guest agent says something that is no answer");
	json_decref(object);
	return rc;
}

static char *request(const char *command, json_t *arguments)
{
	json_t *object = json_pack("{s:s}", "execute", command);

	if (arguments)
		json_object_set_new(object, "arguments", arguments);
	char *text = json_dumps(object, JSON_COMPACT);
	json_decref(object);
	return text;
}

/* --- conversation ------------------------------------------------------------------------------ */

/* Sends one greeting and reads until its answer has come; -ETIMEDOUT when it did not in time. */
static int greet(const struct qga *q, int gone, json_int_t id, uint64_t deadline_ns, struct err *e)
{
	AUTO_FREE char *text = request("guest-sync-delimited", json_pack("{s:I}", "id", id));
	AUTO_FREE char *line = str_format("%c%s\n", DELIMITER, text);
	AUTO(buf_free) struct buf got = {0};
	const struct json_lines l = port(q, gone);
	int rc = lines_put(&l, line, strlen(line), deadline_ns, e);

	for (bool answered = false; rc == 0 && !answered;) {
		json_t *value = NULL;
		bool delimited;
		rc = lines_get(&l, &got, &delimited, deadline_ns, e);
		if (rc == 0 && delimited && got.len &&
			qga_reply_read(got.data, got.len, &value, ERR_IGNORED) == 0)
			answered = json_integer_value(value) == id;
		json_decref(value);
	}
	return rc;
}

int qga_sync(const struct qga *q, int gone, uint64_t deadline_ns, struct err *e)
{
	json_int_t id = (json_int_t)(time_now_ns() & 0x3fffffff);
	int rc;

	do {
		uint64_t until = MIN(deadline_ns, time_now_ns() + SYNC_NS);
		rc = greet(q, gone, ++id, until, e);
	} while (rc == -ETIMEDOUT && time_now_ns() < deadline_ns);
	if (rc == -ETIMEDOUT)
		return err_set(e, ETIMEDOUT,
			"the guest does not say a word on the port of the QEMU guest agent (try: "
			"install qemu-guest-agent in it)");
	return rc;
}

static int over_port(
	const struct qga *q, const char *text, json_t **value, uint64_t deadline_ns, struct err *e)
{
	AUTO_FREE char *line = str_format("%s\n", text);
	AUTO(buf_free) struct buf got = {0};
	const struct json_lines l = port(q, -1);
	int rc = lines_put(&l, line, strlen(line), deadline_ns, e);

	rc = rc < 0 ? rc : lines_get(&l, &got, NULL, deadline_ns, e);
	return rc < 0 ? rc : qga_reply_read(got.data, got.len, value, e);
}

static int over_libvirt(
	const struct qga *q, const char *text, json_t **value, uint64_t deadline_ns, struct err *e)
{
	char seconds[24];
	uint64_t now = time_now_ns(), left = now < deadline_ns ? deadline_ns - now : 0;
	const char *const words[] = {
		"qemu-agent-command", "--timeout", seconds, "--domain", q->domain, "--cmd", text, NULL};
	AUTO_FREE char *said = NULL;

	snprintf(seconds, sizeof(seconds), "%llu", (unsigned long long)(left / NS_PER_S + 1));
	int rc = virsh(words, left + 2 * NS_PER_S, &said, e);
	if (rc < 0)
		return rc;
	char *reply = str_trim(said);
	return qga_reply_read(reply, strlen(reply), value, e);
}

int qga_call(const struct qga *q, const char *command, json_t *arguments, json_t **value,
	uint64_t deadline_ns, struct err *e)
{
	AUTO_FREE char *text = request(command, arguments);

	if (!text)
		return err_set(e, EINVAL, "cannot ask the guest agent for %s", command);
	int rc = q->fd >= 0 ? over_port(q, text, value, deadline_ns, e)
			    : over_libvirt(q, text, value, deadline_ns, e);
	return rc < 0 ? err_wrap(e, "%s", command) : 0;
}

int qga_able(const struct qga *q, uint64_t deadline_ns, struct err *e)
{
	static const char *const needed[] = {"guest-exec", "guest-exec-status"};
	json_t *info = NULL, *entry;
	int rc = qga_call(q, "guest-info", NULL, &info, deadline_ns, e);

	for (size_t i = 0, at; rc == 0 && i < ARRAY_LEN(needed); i++) {
		bool able = false;
		json_array_foreach (json_object_get(info, "supported_commands"), at, entry) {
			const char *name = json_string_value(json_object_get(entry, "name"));
			able |= name && !strcmp(name, needed[i]) &&
				json_is_true(json_object_get(entry, "enabled"));
		}
		if (!able) {
			rc = err_set(e, ENOTSUP, "the guest's agent does not offer %s", needed[i]);
			err_try(e, "allow it in the guest's qemu-ga.conf, or login ssh");
		}
	}
	json_decref(info);
	return rc;
}

/* --- programs ---------------------------------------------------------------------------------- */

int qga_start(
	const struct qga *q, const char *const *argv, json_int_t *pid, uint64_t deadline_ns, struct err *e)
{
	json_t *words = json_array(), *value = NULL;

	for (size_t i = 1; argv[i]; i++)
		json_array_append_new(words, json_string(argv[i]));
	int rc = qga_call(q, "guest-exec",
		json_pack("{s:s, s:o, s:b}", "path", argv[0], "arg", words, "capture-output", true), &value,
		deadline_ns, e);
	json_int_t number = json_integer_value(json_object_get(value, "pid"));
	json_decref(value);
	if (rc < 0)
		return rc;
	if (number <= 0)
		return err_set(e, EPROTO, "the guest agent does not say which process it started");
	*pid = number;
	return 0;
}

/* Base 64 of the guest as printable text; malloc'd, "" for none. */
static char *text_of(const json_t *encoded)
{
	const char *text = json_string_value(encoded);
	size_t len = 0;
	AUTO_FREE unsigned char *bytes = text ? base64_decode(text, &len) : NULL;
	char *out = mem_alloc(len + 1);

	for (size_t i = 0; bytes && i < len; i++)
		out[i] = (char)(bytes[i] == '\n' || (bytes[i] >= ' ' && bytes[i] <= '~') ? bytes[i] : '?');
	return out;
}

int qga_look(const struct qga *q, struct qga_program *program, uint64_t deadline_ns, struct err *e)
{
	json_t *value = NULL;
	int rc = qga_call(
		q, "guest-exec-status", json_pack("{s:I}", "pid", program->pid), &value, deadline_ns, e);

	if (rc == 0 && json_is_true(json_object_get(value, "exited"))) {
		json_int_t code = json_integer_value(json_object_get(value, "exitcode"));
		json_int_t killed = json_integer_value(json_object_get(value, "signal"));
		AUTO_FREE char *words = text_of(json_object_get(value, "err-data"));
		const char *trimmed = str_trim(words), *last = strrchr(trimmed, '\n');
		program->exited = true;
		program->status = killed > 0 && killed < 65 ? 128 + (int)killed : (int)(code & 0xff);
		snprintf(program->said, sizeof(program->said), "%s", last ? last + 1 : trimmed);
	}
	json_decref(value);
	return rc;
}
