/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What engines say, read: nothing is taken for granted, and what does not fit is refused. */
#include "engine_api.h"

#include <stdio.h>

#define API_OLDEST 40 /* 1.40 is that of Docker 19.03 */
#define API_KNOWN  41 /* the newest that was tried */

/* "1.41" → 41 */
static bool minor_read(const json_t *answer, const char *key, unsigned *out)
{
	const char *text = json_string_value(json_object_get(answer, key));
	uint64_t minor;

	if (!text || !str_starts(text, "1.") || str_u64(text + 2, &minor) || minor > 9999)
		return false;
	*out = (unsigned)minor;
	return true;
}

int engine_version_read(struct engine *out, const json_t *answer, struct err *e)
{
	const char *version = json_string_value(json_object_get(answer, "Version"));
	const char *system = json_string_value(json_object_get(answer, "Os"));
	unsigned newest, oldest = 0;

	if (system && strcmp(system, "linux") != 0)
		return err_set(
			e, ENOTSUP, "cannot use %s: its containers are not those of Linux", out->socket);
	if (!minor_read(answer, "ApiVersion", &newest))
		return err_set(
			e, EPROTO, "cannot use %s: it does not say which Engine API it speaks", out->socket);
	minor_read(answer, "MinAPIVersion", &oldest);
	if (newest < API_OLDEST) {
		err_set(e, ENOTSUP, "cannot use %s: it speaks Engine API 1.%u, and taut needs 1.%u",
			out->socket, newest, API_OLDEST);
		return err_try(e, "a newer engine");
	}
	snprintf(out->api, sizeof(out->api), "v1.%u", MAX(oldest, MIN(newest, (unsigned)API_KNOWN)));
	snprintf(out->version, sizeof(out->version), "%s", version ? version : "of unknown version");
	str_printable(out->version);
	return 0;
}

/* A text that has to be there and to fit; `out` is untouched otherwise. */
static bool text_read(const json_t *object, const char *key, char *out, size_t size)
{
	const char *text = json_string_value(json_object_get(object, key));
	char copy[128];

	if (!text || size > sizeof(copy) || str_copy(copy, size, text))
		return false;
	return str_copy(out, size, str_printable(copy)) == 0;
}

int engine_container_read(struct engine_container *out, const json_t *answer, struct err *e)
{
	const json_t *state = json_object_get(answer, "State"),
		     *networks = json_object_get(json_object_get(answer, "NetworkSettings"), "Networks"),
		     *labels = json_object_get(json_object_get(answer, "Config"), "Labels");
	struct engine_container c = {0};
	const char *name;
	json_t *network;

	json_int_t pid = json_integer_value(json_object_get(state, "Pid"));
	if (!text_read(answer, "Id", c.id, sizeof(c.id)) || !engine_name_valid(c.id) ||
		!json_is_object(state) || pid < 0 || pid > INT32_MAX)
		return err_set(e, EPROTO, "the engine does not say what the container is");
	c.pid = json_is_true(json_object_get(state, "Running")) ? (pid_t)pid : 0;
	c.status = (int)(json_integer_value(json_object_get(state, "ExitCode")) & 0xff);
	c.out_of_memory = json_is_true(json_object_get(state, "OOMKilled"));
	text_read(labels, ENGINE_OWNER, c.owner, sizeof(c.owner));
	json_object_foreach ((json_t *)(uintptr_t)networks, name, network)
		if (!c.address[0])
			text_read(network, "IPAddress", c.address, sizeof(c.address));
	*out = c;
	return 0;
}

bool engine_name_valid(const char *name)
{
	size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-");

	return n > 0 && n < 256 && !name[n] && name[0] != '.' && name[0] != '-';
}

int engine_import_read(char out[80], const char *lines, struct err *e)
{
	static const char mark[] = "\"sha256:", digits[] = "0123456789abcdef";
	const char *found = NULL;

	for (const char *at = strstr(lines, mark); at; at = strstr(at + 1, mark))
		if (strspn(at + strlen(mark), digits) == 64 && at[strlen(mark) + 64] == '"')
			found = at + strlen(mark);
	if (!found)
		return err_set(e, EPROTO, "the engine does not say which image it has made");
	snprintf(out, 80, "%.64s", found);
	return 0;
}

/* Is it in a list with commas?  The empty list has the empty name alone. */
static bool has_name(const char *list, const char *name)
{
	size_t n = strlen(name);

	for (const char *at = list;; at += strcspn(at, ",") + 1) {
		if (strcspn(at, ",") == n && !strncmp(at, name, n))
			return true;
		if (!at[strcspn(at, ",")])
			return false;
	}
}

int engine_cgroup_read(char *out, size_t size, char *text, const char *controller, struct err *e)
{
	/* "4:cpu,cpuacct:/docker/…" */
	for (char *save = NULL, *line = strtok_r(text, "\n", &save); line;
		line = strtok_r(NULL, "\n", &save)) {
		char *names = strchr(line, ':'), *group = names ? strchr(names + 1, ':') : NULL;
		if (!group)
			continue;
		*group++ = 0;
		if (!has_name(names + 1, controller))
			continue;
		int rc = str_copy(out, size, group);
		return rc < 0 ? err_code(e, -rc, "cannot use the cgroup of the container, %.60s…", group) : 0;
	}
	return 0;
}

int engine_network_read(const json_t *answer, const char *name, struct err *e)
{
	const char *driver = json_string_value(json_object_get(answer, "Driver"));

	if (driver && !strcmp(driver, "bridge"))
		return 0;
	AUTO_FREE char *shown = str_format("%.40s", driver ? driver : "unknown");
	err_set(e, ENOTSUP,
		"cannot use network %s: its driver is %s, and ports are published on bridges only", name,
		str_printable(shown));
	return err_try(e, "a network with the driver bridge");
}
