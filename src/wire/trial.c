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
	FIELD(FIELD_U64, struct trial_record, attribution),
	FIELD(FIELD_U64, struct trial_record, target_use),
	FIELD(FIELD_LINES, struct trial_record, console),
	FIELD(FIELD_TEXT, struct trial_record, tool),
};

static const struct field kernel_fields[] = {
	FIELD(FIELD_TEXT, struct kernel_facts, kernel),
	FIELD(FIELD_TEXT, struct kernel_facts, version),
	FIELD(FIELD_TEXT, struct kernel_facts, boot_id),
	FIELD(FIELD_TEXT, struct kernel_facts, accel),
	FIELD(FIELD_TEXT, struct kernel_facts, program),
	FIELD(FIELD_U64, struct kernel_facts, boot_ns),
	FIELD(FIELD_U64, struct kernel_facts, first_ns),
	FIELD(FIELD_U64, struct kernel_facts, init_ns),
	FIELD(FIELD_U64, struct kernel_facts, ready_ns),
	FIELD(FIELD_U64, struct kernel_facts, cpus),
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

/* --- ends -------------------------------------------------------------------------------------- */

/* Where an end's record stands in that of the trial, by its number. */
static const char *const end_keys[ENDS_MAX] = {[END_CLIENT] = "client", [END_SERVER] = "server"};
static const enum role end_roles[ENDS_MAX] = {[END_CLIENT] = ROLE_CLIENT, [END_SERVER] = ROLE_SERVER};

void trial_record_begin(struct trial_record *r, const struct trial_plan *plan)
{
	r->settings = plan->settings;
	r->ends_n = plan->ends_n;
	str_copy(r->tool, sizeof(r->tool), plan->tool_version);
	for (size_t i = 0; i < plan->ends_n; i++) {
		r->ends[i].role = plan->ends[i].role;
		r->ends[i].driver = plan->ends[i].job.driver;
		snprintf(r->ends[i].site, sizeof(r->ends[i].site), "%s", plan->settings.site);
	}
}

void trial_record_forget(struct trial_record *r)
{
	for (size_t i = 0; i < r->ends_n; i++)
		r->ends[i].record = (struct endpoint_record){0};
}

static json_t *ends_json(const struct trial_record *r)
{
	json_t *ends = json_array();

	for (size_t i = 0; i < r->ends_n; i++)
		json_array_append_new(
			ends, json_pack("{s:s, s:s, s:s, s:I}", "role", role_name(r->ends[i].role), "site",
				      r->ends[i].site, "driver", driver_name(r->ends[i].driver), "pid",
				      (json_int_t)r->ends[i].pid));
	return ends;
}

/* A record of before there was more than one driver: two ends, on the host of the settings. */
static void ends_default(struct trial_record *r)
{
	r->ends_n = ENDS_MAX;
	for (size_t i = 0; i < ENDS_MAX; i++) {
		r->ends[i].role = end_roles[i];
		r->ends[i].driver = DRIVER_SOCKET;
		snprintf(r->ends[i].site, sizeof(r->ends[i].site), "%s", r->settings.site);
	}
}

static int end_read(struct trial_end *end, enum role role, const json_t *object, struct err *e)
{
	const char *said = json_string_value(json_object_get(object, "role"));
	const char *site = json_string_value(json_object_get(object, "site"));
	const char *driver = json_string_value(json_object_get(object, "driver"));
	int found = driver_find(driver ? driver : "");

	if (!said || strcmp(said, role_name(role)))
		return err_set(e, EINVAL, "'ends' does not have the %s where it must be", role_name(role));
	if (found < 0 || !site || str_copy(end->site, sizeof(end->site), site))
		return err_set(e, EINVAL, "'ends' does not say where the %s is, or how it moves packets",
			role_name(role));
	end->role = role;
	end->driver = (enum driver)found;
	end->pid = frame_hello_pid(object);
	return 0;
}

static int ends_read(struct trial_record *r, const json_t *object, enum reading how, struct err *e)
{
	const json_t *ends = json_object_get(object, "ends");
	int rc = 0;

	if (!ends && how == READ_ARCHIVE)
		ends_default(r);
	else if (!json_is_array(ends) || json_array_size(ends) != ENDS_MAX)
		return err_set(e, EINVAL, "'ends' are not %d ends", ENDS_MAX);
	for (size_t i = 0; rc == 0 && ends && i < ENDS_MAX; i++)
		rc = end_read(&r->ends[i], end_roles[i], json_array_get(ends, i), e);
	r->ends_n = ENDS_MAX;
	for (size_t i = 0; rc == 0 && i < ENDS_MAX; i++)
		rc = endpoint_record_from_json(
			&r->ends[i].record, json_object_get(object, end_keys[i]), how, e);
	return rc;
}

/* --- the whole --------------------------------------------------------------------------------- */

struct trial_record *trial_record_new(void)
{
	struct trial_record *r = mem_alloc(sizeof(*r));

	settings_init(&r->settings);
	ends_default(r);
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
	for (size_t i = 0; i < r->ends_n; i++)
		if (r->ends[i].record.receiver)
			return &r->ends[i].record;
	return &r->ends[END_CLIENT].record;
}

/* What an end tells of itself is its own, and what it tells of its links as well: "server eth0". */
static void take_over(const struct conditions *from, const char *role, struct conditions *to)
{
	for (size_t i = 0; i < from->n; i++) {
		struct condition *at, c = from->at[i];

		snprintf(c.object, sizeof(c.object), "%s%s%.20s", role, *from->at[i].object ? " " : "",
			from->at[i].object);
		at = conditions_of(to, c.kind, c.object);
		if (at)
			*at = c;
	}
}

void trial_conditions(const struct trial_record *r, struct conditions *out)
{
	out->n = 0;
	for (size_t i = 0; i < r->ends_n; i++)
		take_over(&r->ends[i].record.conditions, role_name(r->ends[i].role), out);
	for (size_t i = 0; i < r->conditions.n; i++) {
		const struct condition *c = &r->conditions.at[i];
		struct condition *at = conditions_of(out, c->kind, c->object);

		/* What the host sees of an end, its waiting thread among the rest, counts when it changes. */
		if (at && (!at->before[0] || strcmp(c->before, c->after) != 0))
			*at = *c;
	}
}

double *trial_windows(const struct trial_record *r, size_t *n)
{
	const struct endpoint_record *m = trial_measured(r);
	double *x = mem_array(m->windows_n, sizeof(*x));

	*n = 0;
	for (size_t i = 0; i < m->windows_n; i++)
		if (m->receiver || m->windows[i].count)
			x[(*n)++] =
				m->receiver ? (double)m->windows[i].bytes : (double)m->windows[i].median_ns;
	return x;
}

double trial_throughput_bps(const struct trial_record *r)
{
	const struct endpoint_record *m = trial_measured(r);

	if (!m->receiver || m->ended_ns <= m->started_ns)
		return NAN;
	return (double)m->bytes * 8 * 1e9 / (double)(m->ended_ns - m->started_ns);
}

/* So many requests or replies, in a second. */
static double per_s(const struct trial_record *r, uint64_t n)
{
	const struct endpoint_record *m = trial_measured(r);
	bool scheduled = settings_open_loop(&r->settings) && tool_of(&r->settings) == TOOL_TAUT;
	uint64_t warmup_ns = scheduled ? r->settings.warmup_ns : 0;

	if (m->ended_ns <= m->started_ns)
		return NAN;
	return (double)n * 1e9 / (double)(m->ended_ns - m->started_ns + warmup_ns);
}

const struct endpoint_record *trial_beside(const struct trial_record *r)
{
	for (size_t i = 0; i < r->ends_n; i++)
		if (r->ends[i].record.beside_ns)
			return &r->ends[i].record;
	return NULL;
}

double trial_beside_bps(const struct trial_record *r)
{
	const struct endpoint_record *end = trial_beside(r);

	return end ? (double)end->beside_bytes * 8 * 1e9 / (double)end->beside_ns : NAN;
}

uint64_t trial_sent(const struct trial_record *r)
{
	const struct endpoint_record *m = trial_measured(r);

	return m->receiver ? m->received + m->lost : m->sent;
}

double trial_sent_per_s(const struct trial_record *r)
{
	return settings_open_loop(&r->settings) && record_knows(trial_measured(r), FIGURE_SENT)
		       ? per_s(r, trial_sent(r))
		       : NAN;
}

double trial_rate_per_s(const struct trial_record *r)
{
	const struct endpoint_record *m = trial_measured(r);

	if (m->receiver)
		return NAN;
	/* A tool counts what it sent and got in the same stretch. */
	bool scheduled = settings_open_loop(&r->settings) && tool_of(&r->settings) == TOOL_TAUT;
	return per_s(r, scheduled ? m->sent - MIN(m->lost, m->sent) : m->transactions);
}

json_t *kernel_facts_json(const struct kernel_facts *k)
{
	json_t *object = json_object();

	fields_to_json(kernel_fields, ARRAY_LEN(kernel_fields), k, object);
	return object;
}

json_t *during_json(const struct during *d)
{
	json_t *object = json_object();

	fields_to_json(during_fields, ARRAY_LEN(during_fields), d, object);
	return object;
}

json_t *trial_record_json(const struct trial_record *r)
{
	json_t *object = json_object(), *during = json_array();

	fields_to_json(trial_fields, ARRAY_LEN(trial_fields), r, object);
	for (size_t i = 0; i < r->ends[END_CLIENT].record.worst_n; i++) {
		json_array_append_new(during, during_json(&r->during[i]));
	}
	json_object_set_new(object, "outcome", json_string(outcome_names[r->outcome]));
	json_object_set_new(object, "settings", settings_json(&r->settings));
	json_object_set_new(object, "host", kernel_facts_json(&r->host));
	json_object_set_new(object, "guest", kernel_facts_json(&r->guest));
	json_object_set_new(object, "ends", ends_json(r));
	for (size_t i = 0; i < ENDS_MAX && i < r->ends_n; i++)
		json_object_set_new(object, end_keys[i], endpoint_record_json(&r->ends[i].record));
	json_object_set_new(object, "during", during);
	json_object_set(object, "knobs", r->knobs);
	json_object_set_new(object, "conditions", conditions_json(&r->conditions));
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
	if (!json_is_array(during) || json_array_size(during) != r->ends[END_CLIENT].record.worst_n)
		return err_set(e, EINVAL, "'during' does not match 'worst'");
	for (size_t i = 0; i < r->ends[END_CLIENT].record.worst_n; i++) {
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
		"outcome|settings|host|guest|ends|client|server|during|knobs|conditions", how, e);

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
		rc = ends_read(r, object, how, e);
	if (rc == 0)
		rc = during_read(r, object, how, e);
	if (rc == 0)
		rc = conditions_from_json(&r->conditions, json_object_get(object, "conditions"), how, e);
	if (rc == 0 && !json_is_array(found) && (found || how == READ_STREAM))
		rc = err_set(e, EINVAL, "'knobs' is no array");
	if (rc < 0)
		return err_wrap(e, "trial record");
	knobs = found ? json_incref(found) : json_array();
	json_decref(r->knobs);
	r->knobs = knobs;
	return 0;
}
