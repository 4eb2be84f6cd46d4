/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "condition.h"

#include <stdio.h>

#define MORE       " and #"
#define MORE_BYTES (sizeof(MORE) + 8)

const struct condition_row condition_rows[CONDITION_KINDS] = {
	[CONDITION_SCHED] = {"sched", "scheduling"},
	[CONDITION_NICE] = {"nice", "nice value"},
	[CONDITION_CPUS] = {"cpus", "CPUs"},
	[CONDITION_NODELAY] = {"nodelay", "TCP_NODELAY"},
	[CONDITION_BUSY_POLL] = {"busy_poll_us", "SO_BUSY_POLL"},
	[CONDITION_PRIORITY] = {"so_priority", "SO_PRIORITY"},
	[CONDITION_SEND_BUFFER] = {"sndbuf_bytes", "SO_SNDBUF", .varies = true},
	[CONDITION_RECEIVE_BUFFER] = {"rcvbuf_bytes", "SO_RCVBUF", .varies = true},
	[CONDITION_MTU] = {"mtu", "MTU"},
	[CONDITION_QDISC] = {"qdisc", "queueing discipline"},
	[CONDITION_CAPABILITIES] = {"capabilities", "capabilities"},
	[CONDITION_DRIVER] = {"device_driver", "device driver"},
	[CONDITION_LINE_RATE] = {"line_rate_bps", "line rate in bit/s"},
	[CONDITION_MODERATION] = {"moderation", "interrupt moderation"},
	[CONDITION_OFFLOADS] = {"offloads", "offloads"},
	[CONDITION_QUEUES] = {"queues", "queues"},
	[CONDITION_CONGESTION] = {"congestion", "congestion control"},
	[CONDITION_IP_VERSION] = {"ip_version", "IP version"},
};

const struct condition *conditions_find(
	const struct conditions *c, enum condition_kind kind, const char *object)
{
	for (size_t i = 0; i < c->n; i++)
		if (c->at[i].kind == kind && !strcmp(c->at[i].object, object))
			return &c->at[i];
	return NULL;
}

struct condition *conditions_of(struct conditions *c, enum condition_kind kind, const char *object)
{
	const struct condition *found = conditions_find(c, kind, object);

	if (found)
		return &c->at[found - c->at];
	if (c->n == CONDITIONS_MAX)
		return NULL;
	struct condition *made = &c->at[c->n++];
	*made = (struct condition){.kind = kind};
	str_copy(made->object, sizeof(made->object), object);
	return made;
}

/* Values beyond the room of the text are not readable, but still told from others: by a hash (FNV-1a). */
static void add_hashed(char text[CONDITION_TEXT], const char *value)
{
	char *mark = strstr(text, MORE);
	uint32_t hash = mark ? (uint32_t)strtoul(mark + strlen(MORE), NULL, 16) : 2166136261u;

	for (; *value; value++)
		hash = (hash ^ (unsigned char)*value) * 16777619u;
	mark = mark ? mark : text + strlen(text);
	snprintf(mark, (size_t)(text + CONDITION_TEXT - mark), MORE "%08x", hash);
}

void condition_value(char text[CONDITION_TEXT], const char *value)
{
	size_t len = strlen(text), n = strlen(value);

	for (const char *at = text; *at; at += strcspn(at, " "), at += strspn(at, " ")) {
		size_t word = strcspn(at, " ") - (at[strcspn(at, " ")] == ' '); /* without the comma */
		if (word == n && !strncmp(at, value, n))
			return;
	}
	if (strstr(text, MORE) || len + 2 + n >= CONDITION_TEXT - MORE_BYTES)
		add_hashed(text, value);
	else
		snprintf(text + len, CONDITION_TEXT - len, "%s%s", len ? ", " : "", value);
}

void condition_add(struct conditions *c, enum condition_kind kind, const char *object, const char *before,
	const char *after)
{
	struct condition *at = conditions_of(c, kind, object);

	if (!at)
		return;
	condition_value(at->before, before);
	condition_value(at->after, after);
}

void condition_add_link(struct conditions *c, const char *name, const char (*before)[CONDITION_TEXT],
	const char (*after)[CONDITION_TEXT])
{
	if (!after) {
		condition_add(c, CONDITION_MTU, name, before[0], "gone");
		return;
	}
	for (int i = 0; i < LINK_CONDITIONS; i++)
		if (before[i][0] || after[i][0])
			condition_add(c, (enum condition_kind)(CONDITION_MTU + i), name,
				before[i][0] ? before[i] : "unknown", after[i][0] ? after[i] : "unknown");
}

bool condition_in_guest(const struct condition *c)
{
	return strchr(c->object, ' ') != NULL;
}

static bool is_end(const struct condition *c, bool *server)
{
	*server = !strcmp(c->object, role_name(ROLE_SERVER));
	return *server || !strcmp(c->object, role_name(ROLE_CLIENT));
}

char *condition_asked(const struct settings *s, const struct condition *c, char out[CONDITION_TEXT])
{
	const struct workload_row *w = workload_find(s->workload);
	bool server, end = is_end(c, &server);
	/* The CPU of a server in a machine is that of its virtual CPU. */
	int64_t cpu = !server ? s->client_cpu : target_of(s)->machine ? -1 : s->server_cpu;

	out[0] = 0;
	if (!end) {
		if (c->kind == CONDITION_MTU && s->mtu)
			snprintf(out, CONDITION_TEXT, "%llu", (unsigned long long)s->mtu);
		return out;
	}
	if (c->kind == CONDITION_SCHED && *s->sched)
		snprintf(out, CONDITION_TEXT, "%s", s->sched);
	else if (c->kind == CONDITION_CPUS && cpu >= 0)
		snprintf(out, CONDITION_TEXT, "%lld", (long long)cpu);
	else if (c->kind == CONDITION_NODELAY && w && !w->datagrams)
		snprintf(out, CONDITION_TEXT, "%s", s->nodelay ? "on" : "off");
	else if (c->kind == CONDITION_CONGESTION && *s->congestion)
		snprintf(out, CONDITION_TEXT, "%s", s->congestion);
	else if (c->kind == CONDITION_IP_VERSION && s->ipv6)
		snprintf(out, CONDITION_TEXT, "IPv6");
	else if (c->kind == CONDITION_BUSY_POLL && s->busy_poll_us)
		snprintf(out, CONDITION_TEXT, "%llu", (unsigned long long)s->busy_poll_us);
	return out;
}

bool condition_holds(const struct settings *s, const struct condition *c)
{
	char asked[CONDITION_TEXT];

	if (condition_rows[c->kind].varies)
		return true;
	condition_asked(s, c, asked);
	return !strcmp(c->before, c->after) && (!asked[0] || !strcmp(c->before, asked));
}

/* --- JSON -------------------------------------------------------------------------------------- */

static const struct field texts[] = {
	FIELD(FIELD_TEXT, struct condition, object),
	FIELD(FIELD_TEXT, struct condition, before),
	FIELD(FIELD_TEXT, struct condition, after),
};

json_t *conditions_json(const struct conditions *c)
{
	json_t *all = json_array();

	for (size_t i = 0; i < c->n; i++) {
		json_t *one = json_object();

		json_object_set_new(one, "what", json_string(condition_rows[c->at[i].kind].name));
		fields_to_json(texts, ARRAY_LEN(texts), &c->at[i], one);
		json_array_append_new(all, one);
	}
	return all;
}

static int kind_find(const json_t *word)
{
	for (int k = 0; json_is_string(word) && k < CONDITION_KINDS; k++)
		if (!strcmp(json_string_value(word), condition_rows[k].name))
			return k;
	return -ENOENT;
}

int conditions_from_json(struct conditions *c, const json_t *array, enum reading how, struct err *e)
{
	const json_t *one;
	size_t i;

	c->n = 0;
	if (!array)
		return 0;
	if (!json_is_array(array) || json_array_size(array) > CONDITIONS_MAX)
		return err_set(e, EINVAL, "'conditions' is no array of at most %d", CONDITIONS_MAX);
	json_array_foreach ((json_t *)(uintptr_t)array, i, one) {
		struct condition made = {0};
		int kind = kind_find(json_object_get(one, "what"));
		int rc = fields_from_json(texts, ARRAY_LEN(texts), &made, one, "what", how, e);

		if (rc == 0 && kind < 0 && how == READ_STREAM)
			rc = err_set(e, EINVAL, "'what' of a condition is none that is known here");
		if (rc < 0)
			return err_wrap(e, "conditions");
		if (kind < 0)
			continue;
		made.kind = (enum condition_kind)kind;
		c->at[c->n++] = made;
	}
	return 0;
}
