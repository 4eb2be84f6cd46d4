/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Jobs and tuning as JSON.  A figure has the key of its setting, whose row says what values it can have: an
 * agent checks them again, since it may run where nobody knows who speaks to it.
 */
#include "job.h"

#include <sched.h>

/* Figures of a job; the key is that of the setting. */
static const struct figure {
	const char *key;
	size_t offset;
} figures[] = {
	{"flows", offsetof(struct endpoint_job, flows)},
	{"burst", offsetof(struct endpoint_job, burst)},
	{"rate", offsetof(struct endpoint_job, rate)},
	{"transactions", offsetof(struct endpoint_job, transactions)},
	{"port", offsetof(struct endpoint_job, port)},
	{"busy_poll", offsetof(struct endpoint_job, busy_poll_us)},
	{"request", offsetof(struct endpoint_job, request_bytes)},
	{"reply", offsetof(struct endpoint_job, reply_bytes)},
	{"size", offsetof(struct endpoint_job, size_bytes)},
	{"warmup", offsetof(struct endpoint_job, warmup_ns)},
	{"duration", offsetof(struct endpoint_job, duration_ns)},
	{"max_duration", offsetof(struct endpoint_job, max_duration_ns)},
	{"timeout", offsetof(struct endpoint_job, timeout_ns)},
};

static const struct field plain[] = {
	FIELD(FIELD_BOOL, struct endpoint_job, server),
	FIELD(FIELD_BOOL, struct endpoint_job, lock_memory),
	FIELD(FIELD_BOOL, struct endpoint_job, nodelay),
	FIELD(FIELD_TEXT, struct endpoint_job, congestion),
	FIELD(FIELD_TEXT, struct endpoint_job, address),
	FIELD(FIELD_TEXT, struct endpoint_job, token),
	FIELD(FIELD_TEXT, struct endpoint_job, program),
	FIELD(FIELD_LINES, struct endpoint_job, command),
};

/* The keys that no row of `plain` has, as fields_from_json() wants them; malloc'd. */
static char *other_keys(void)
{
	struct buf keys = {0};

	buf_add(&keys, "ports|workload|beside|beside_bytes|driver|tool|hlog");
	for (size_t i = 0; i < ARRAY_LEN(figures); i++)
		buf_add(&keys, "|%s", figures[i].key);
	return keys.data;
}

json_t *job_json(const struct endpoint_job *job)
{
	json_t *object = json_object(), *ports = json_array();

	fields_to_json(plain, ARRAY_LEN(plain), job, object);
	for (size_t i = 0; i < ARRAY_LEN(figures); i++) {
		uint64_t value;
		memcpy(&value, (const char *)job + figures[i].offset, sizeof(value));
		json_object_set_new(object, figures[i].key, json_integer((json_int_t)value));
	}
	for (size_t i = 0; i < job_flows(job); i++)
		json_array_append_new(ports, json_integer(job->ports[i]));
	json_object_set_new(object, "ports", ports);
	json_object_set_new(object, "workload", json_string(job->workload->name));
	json_object_set_new(object, "beside", json_string(job->beside ? job->beside->name : ""));
	json_object_set_new(object, "beside_bytes", json_integer((json_int_t)job->beside_bytes));
	json_object_set_new(object, "driver", json_string(driver_name(job->driver)));
	json_object_set_new(object, "tool", json_string(tool_rows[job->tool].name));
	json_object_set_new(object, "hlog", json_boolean(job->output == TOOL_OUTPUT_HLOG));
	return object;
}

static int figure_read(
	const json_t *object, const char *key, uint64_t min, uint64_t max, uint64_t *out, struct err *e)
{
	const json_t *value = json_object_get(object, key);

	if (!json_is_integer(value) || json_integer_value(value) < 0)
		return err_set(e, EINVAL, "'%s' is missing, or no number", key);
	uint64_t n = (uint64_t)json_integer_value(value);
	if (n < min || n > max)
		return err_set(e, EINVAL, "'%s' is %llu, and not between %llu and %llu", key,
			(unsigned long long)n, (unsigned long long)min, (unsigned long long)max);
	*out = n;
	return 0;
}

static int ports_read(struct endpoint_job *job, const json_t *ports, struct err *e)
{
	if (!json_is_array(ports) || json_array_size(ports) != job_flows(job))
		return err_set(e, EINVAL, "'ports' does not have one port for each flow");
	for (size_t i = 0; i < job_flows(job); i++) {
		const json_t *port = json_array_get(ports, i);
		if (!json_is_integer(port) || json_integer_value(port) < 0 ||
			json_integer_value(port) > 65535)
			return err_set(e, EINVAL, "'ports' holds something that is no port");
		job->ports[i] = (uint16_t)json_integer_value(port);
	}
	return 0;
}

static int beside_read(struct endpoint_job *job, const json_t *object, struct err *e)
{
	const char *name = json_string_value(json_object_get(object, "beside"));
	uint64_t most = setting_find("size")->max;

	if (!name || (*name && !(job->beside = workload_find(name))) || (job->beside && !job->beside->stream))
		return err_set(e, EINVAL, "'beside' is no stream that is known here");
	return figure_read(object, "beside_bytes", job->beside ? MAX(job->beside->size_least, 1u) : 0,
		job->beside ? most : 0, &job->beside_bytes, e);
}

static int tool_read(struct endpoint_job *job, const json_t *object, struct err *e)
{
	const char *tool = json_string_value(json_object_get(object, "tool"));
	const json_t *hlog = json_object_get(object, "hlog");
	int found = tool_find(tool ? tool : "");

	if (found < 0 || !json_is_boolean(hlog))
		return err_set(e, EINVAL, "'tool' is none that is known here");
	job->tool = (enum tool)found;
	job->output = json_is_true(hlog) ? TOOL_OUTPUT_HLOG : TOOL_OUTPUT_JSON;
	return 0;
}

int job_from_json(struct endpoint_job *job, const json_t *object, struct err *e)
{
	struct endpoint_job made = {0};
	AUTO_FREE char *others = other_keys();
	const char *workload = json_string_value(json_object_get(object, "workload"));
	const char *driver = json_string_value(json_object_get(object, "driver"));
	int found = driver_find(driver ? driver : "");
	int rc = fields_from_json(plain, ARRAY_LEN(plain), &made, object, others, READ_STREAM, e);

	for (size_t i = 0; rc == 0 && i < ARRAY_LEN(figures); i++) {
		const struct setting_row *row = setting_find(figures[i].key);
		uint64_t value = 0;
		rc = figure_read(object, row->key, row->min, row->max, &value, e);
		memcpy((char *)&made + figures[i].offset, &value, sizeof(value));
	}
	if (rc == 0 && !(made.workload = workload_find(workload ? workload : "")))
		rc = err_set(e, EINVAL, "'workload' is none that is known here");
	if (rc == 0 && found < 0)
		rc = err_set(e, EINVAL, "'driver' is none that is known here");
	if (rc == 0)
		rc = beside_read(&made, object, e);
	if (rc == 0)
		rc = ports_read(&made, json_object_get(object, "ports"), e);
	if (rc == 0)
		rc = tool_read(&made, object, e);
	if (rc < 0)
		return err_wrap(e, "job of an end");
	made.driver = (enum driver)found;
	*job = made;
	return 0;
}

/* --- tuning of a guest ------------------------------------------------------------------------- */

json_t *guest_tuning_json(const struct tuning *t)
{
	enum profile profile = profile_rows[t->profile].commands ? PROFILE_STOCK : t->profile;

	return json_pack("{s:s, s:s, s:b, s:b, s:b, s:i, s:I, s:I}", "profile", profile_rows[profile].name,
		"tool", tool_rows[t->tool].name, "polls", t->server_polls, "sched_wanted", t->sched_wanted,
		"fifo", t->policy == SCHED_FIFO, "priority", t->priority, "longest_ns",
		(json_int_t)t->longest_ns, "timeout_ns", (json_int_t)t->timeout_ns);
}

int guest_tuning_from_json(struct tuning *t, const json_t *object, struct err *e)
{
	const char *profile = json_string_value(json_object_get(object, "profile")),
		   *tool = json_string_value(json_object_get(object, "tool"));
	const json_t *wanted = json_object_get(object, "sched_wanted"),
		     *fifo = json_object_get(object, "fifo"), *polls = json_object_get(object, "polls");
	uint64_t priority = 0;
	struct tuning made = {.client_cpu = -1, .server_cpu = -1, .isolate = "", .apply = "", .revert = ""};
	int found = profile_find(profile ? profile : "", ERR_IGNORED), rc;
	int tool_found = tool_find(tool ? tool : "");

	if (found < 0 || tool_found < 0 || profile_rows[found].commands || !json_is_boolean(wanted) ||
		!json_is_boolean(fifo) || !json_is_boolean(polls) || json_object_size(object) != 8)
		return err_set(e, EPROTO, "what is to be tuned is not as it must be");
	rc = figure_read(object, "priority", 0, 98, &priority, e);
	if (rc == 0)
		rc = figure_read(object, "longest_ns", 0, INT64_MAX, &made.longest_ns, e);
	if (rc == 0)
		rc = figure_read(object, "timeout_ns", 0, INT64_MAX, &made.timeout_ns, e);
	if (rc < 0)
		return rc;
	made.profile = (enum profile)found;
	made.tool = (enum tool)tool_found;
	made.server_polls = json_is_true(polls);
	made.sched_wanted = json_is_true(wanted);
	made.policy = json_is_true(fifo) ? SCHED_FIFO : SCHED_OTHER;
	made.priority = (int)priority;
	*t = made;
	return 0;
}
