/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "record.h"

#include <math.h>

static const char *const outcome_names[] = {"done", "failed", "skipped"};

static const struct field trial_fields[] = {
	FIELD(FIELD_TEXT, struct trial_record, reason),
	FIELD(FIELD_U64, struct trial_record, wall_started_ns),
	FIELD(FIELD_U64, struct trial_record, duration_ns),
	FIELD(FIELD_BOOL, struct trial_record, verified),
	FIELD(FIELD_BOOL, struct trial_record, not_steady),
	FIELD(FIELD_BOOL, struct trial_record, rate_missed),
	FIELD(FIELD_U64, struct trial_record, warmup_more),
	FIELD(FIELD_U64, struct trial_record, mtu),
	FIELD(FIELD_U64, struct trial_record, system_cpu_ns),
	FIELD(FIELD_U64, struct trial_record, steal_ns),
	FIELD(FIELD_U64, struct trial_record, context_switches),
	FIELD(FIELD_U64, struct trial_record, interrupts),
	FIELD(FIELD_U64, struct trial_record, softirqs),
	FIELD(FIELD_TEXT, struct trial_record, console),
};

static const struct field kernel_fields[] = {
	FIELD(FIELD_TEXT, struct kernel_facts, kernel),
	FIELD(FIELD_TEXT, struct kernel_facts, version),
	FIELD(FIELD_TEXT, struct kernel_facts, accel),
	FIELD(FIELD_TEXT, struct kernel_facts, program),
	FIELD(FIELD_U64, struct kernel_facts, boot_ns),
	FIELD(FIELD_U64, struct kernel_facts, first_ns),
	FIELD(FIELD_U64, struct kernel_facts, init_ns),
	FIELD(FIELD_U64, struct kernel_facts, ready_ns),
};

static const struct field during_fields[] = {
	FIELD(FIELD_U64, struct during, window_ns),
	FIELD(FIELD_U64, struct during, steal_ns),
	FIELD(FIELD_U64, struct during, run_queue_wait_ns),
	FIELD(FIELD_U64, struct during, interrupts),
	FIELD(FIELD_U64, struct during, softirqs),
	FIELD(FIELD_U64, struct during, throttled_ns),
	FIELD(FIELD_U64, struct during, involuntary_switches),
	FIELD(FIELD_TEXT, struct during, owner),
	FIELD(FIELD_TEXT, struct during, evidence),
};

struct trial_record *trial_record_new(void)
{
	struct trial_record *r = mem_alloc(sizeof(*r));

	settings_init(&r->settings);
	r->knobs = json_array();
	return r;
}

void trial_record_free(struct trial_record *r)
{
	if (!r)
		return;
	json_decref(r->knobs);
	free(r);
}

const struct endpoint_record *trial_measured(const struct trial_record *r)
{
	return r->server.receiver ? &r->server : &r->client;
}

double trial_throughput_bps(const struct trial_record *r)
{
	const struct endpoint_record *m = trial_measured(r);

	if (!m->receiver || m->ended_ns <= m->started_ns)
		return NAN;
	return (double)m->bytes * 8 * 1e9 / (double)(m->ended_ns - m->started_ns);
}

double trial_rate_per_s(const struct trial_record *r)
{
	const struct endpoint_record *m = trial_measured(r);
	uint64_t stretch_ns = m->ended_ns - m->started_ns, answered = m->transactions;

	if (m->receiver || m->ended_ns <= m->started_ns)
		return NAN;
	if (settings_open_loop(&r->settings)) {
		stretch_ns += r->settings.warmup_ns;
		answered = m->sent - MIN(m->lost, m->sent);
	}
	return (double)answered * 1e9 / (double)stretch_ns;
}

static json_t *kernel_json(const struct kernel_facts *k)
{
	json_t *object = json_object();

	fields_to_json(kernel_fields, ARRAY_LEN(kernel_fields), k, object);
	return object;
}

json_t *trial_record_json(const struct trial_record *r)
{
	json_t *object = json_object(), *during = json_array();

	fields_to_json(trial_fields, ARRAY_LEN(trial_fields), r, object);
	for (size_t i = 0; i < r->client.worst_n; i++) {
		json_t *item = json_object();
		fields_to_json(during_fields, ARRAY_LEN(during_fields), &r->during[i], item);
		json_array_append_new(during, item);
	}
	json_object_set_new(object, "outcome", json_string(outcome_names[r->outcome]));
	json_object_set_new(object, "settings", settings_json(&r->settings));
	json_object_set_new(object, "host", kernel_json(&r->host));
	json_object_set_new(object, "guest", kernel_json(&r->guest));
	json_object_set_new(object, "client", endpoint_record_json(&r->client));
	json_object_set_new(object, "server", endpoint_record_json(&r->server));
	json_object_set_new(object, "during", during);
	json_object_set(object, "knobs", r->knobs);
	return object;
}

static int outcome_read(enum trial_outcome *out, const json_t *value, struct err *e)
{
	for (size_t i = 0; json_is_string(value) && i < ARRAY_LEN(outcome_names); i++)
		if (!strcmp(json_string_value(value), outcome_names[i])) {
			*out = (enum trial_outcome)i;
			return 0;
		}
	return err_set(e, EINVAL, "'outcome' is none");
}

static int during_read(struct trial_record *r, const json_t *object, enum reading how, struct err *e)
{
	const json_t *during = json_object_get(object, "during");

	if (!during && how == READ_ARCHIVE)
		return 0;
	if (!json_is_array(during) || json_array_size(during) != r->client.worst_n)
		return err_set(e, EINVAL, "'during' does not match 'worst'");
	for (size_t i = 0; i < r->client.worst_n; i++) {
		int rc = fields_from_json(during_fields, ARRAY_LEN(during_fields), &r->during[i],
			json_array_get(during, i), NULL, how, e);
		if (rc < 0)
			return err_wrap(e, "during");
	}
	return 0;
}

int trial_record_from_json(struct trial_record *r, const json_t *object, enum reading how, struct err *e)
{
	json_t *found = json_object_get(object, "knobs"), *knobs = NULL;
	int rc = fields_from_json(trial_fields, ARRAY_LEN(trial_fields), r, object,
		"outcome|settings|host|guest|client|server|during|knobs", how, e);

	if (rc == 0)
		rc = outcome_read(&r->outcome, json_object_get(object, "outcome"), e);
	if (rc == 0)
		rc = settings_from_json(&r->settings, json_object_get(object, "settings"), how, e);
	if (rc == 0)
		rc = fields_from_json(kernel_fields, ARRAY_LEN(kernel_fields), &r->host,
			json_object_get(object, "host"), NULL, how, e);
	if (rc == 0)
		rc = fields_from_json(kernel_fields, ARRAY_LEN(kernel_fields), &r->guest,
			json_object_get(object, "guest"), NULL, how, e);
	if (rc == 0)
		rc = endpoint_record_from_json(&r->client, json_object_get(object, "client"), how, e);
	if (rc == 0)
		rc = endpoint_record_from_json(&r->server, json_object_get(object, "server"), how, e);
	if (rc == 0)
		rc = during_read(r, object, how, e);
	if (rc == 0 && !json_is_array(found) && (found || how == READ_STREAM))
		rc = err_set(e, EINVAL, "'knobs' is no array");
	if (rc < 0)
		return err_wrap(e, "trial record");
	knobs = found ? json_incref(found) : json_array();
	json_decref(r->knobs);
	r->knobs = knobs;
	return 0;
}
