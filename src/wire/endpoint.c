/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What an endpoint saw, as JSON.  The record comes from a process in a container or a
 * guest, so everything in it is bounded and checked for sense before anyone computes with it.
 */
#include "record.h"
#include "base64.h"

#include <math.h>
#include <stdio.h>

/* --- figures that may be unknown --------------------------------------------------------------- */

static const char *const figure_names[FIGURES_N] = {[FIGURE_SENT] = "sent",
	[FIGURE_TRANSACTIONS] = "transactions",
	[FIGURE_LOST] = "lost",
	[FIGURE_TIMEOUTS] = "timeouts",
	[FIGURE_DISORDER] = "reordered",
	[FIGURE_RETRANSMITS] = "retransmits",
	[FIGURE_CPU] = "cpu_ns",
	[FIGURE_SWITCHES] = "switches",
	[FIGURE_JITTER] = "jitter_ns"};

const double summary_quantiles[SUMMARY_QUANTILES] = {0.25, 0.5, 0.75, 0.9, 0.99, 0.999, 0.9999};

static const struct field summary_fields[] = {
	FIELD(FIELD_DOUBLE, struct latency_summary, min),
	FIELD(FIELD_DOUBLE, struct latency_summary, max),
	FIELD(FIELD_DOUBLE, struct latency_summary, mean),
	FIELD(FIELD_DOUBLE, struct latency_summary, sd),
	{"p25", FIELD_DOUBLE, offsetof(struct latency_summary, quantile[SUMMARY_P25]), 0},
	{"p50", FIELD_DOUBLE, offsetof(struct latency_summary, quantile[SUMMARY_P50]), 0},
	{"p75", FIELD_DOUBLE, offsetof(struct latency_summary, quantile[SUMMARY_P75]), 0},
	{"p90", FIELD_DOUBLE, offsetof(struct latency_summary, quantile[SUMMARY_P90]), 0},
	{"p99", FIELD_DOUBLE, offsetof(struct latency_summary, quantile[SUMMARY_P99]), 0},
	{"p99.9", FIELD_DOUBLE, offsetof(struct latency_summary, quantile[SUMMARY_P999]), 0},
	{"p99.99", FIELD_DOUBLE, offsetof(struct latency_summary, quantile[SUMMARY_P9999]), 0},
};

void latency_summary_clear(struct latency_summary *s)
{
	*s = (struct latency_summary){.min = NAN, .max = NAN, .mean = NAN, .sd = NAN};
	for (size_t i = 0; i < SUMMARY_QUANTILES; i++)
		s->quantile[i] = NAN;
}

static json_t *unknown_json(const struct endpoint_record *r)
{
	json_t *names = json_array();

	for (int i = 0; i < FIGURES_N; i++)
		if (!record_knows(r, (enum figure)i))
			json_array_append_new(names, json_string(figure_names[i]));
	return names;
}

/* An older record knows all of them.  From the archive names that are not known here are left out. */
static int unknown_read(struct endpoint_record *r, const json_t *names, enum reading how, struct err *e)
{
	const json_t *name;
	size_t i;

	if (!names && how == READ_ARCHIVE)
		return 0;
	if (!json_is_array(names))
		return err_set(e, EINVAL, "'unknown' is no array");
	json_array_foreach (names, i, name) {
		int figure = 0;
		while (figure < FIGURES_N &&
			(!json_is_string(name) || strcmp(figure_names[figure], json_string_value(name))))
			figure++;
		if (figure == FIGURES_N && how == READ_STREAM)
			return err_set(e, EINVAL, "'unknown' names no figure");
		r->unknown |= figure < FIGURES_N ? 1u << figure : 0;
	}
	return 0;
}

static json_t *summary_json(const struct latency_summary *s)
{
	json_t *object = json_object();

	fields_to_json(summary_fields, ARRAY_LEN(summary_fields), s, object);
	return object;
}

static int summary_read(struct latency_summary *s, const json_t *object, enum reading how, struct err *e)
{
	latency_summary_clear(s);
	if (json_is_null(object) || (!object && how == READ_ARCHIVE))
		return 0;
	s->there = true;
	return fields_from_json(summary_fields, ARRAY_LEN(summary_fields), s, object, NULL, how, e);
}

/* --- record ------------------------------------------------------------------------------------ */

static const struct field record_fields[] = {
	FIELD(FIELD_U64, struct endpoint_record, started_ns),
	FIELD(FIELD_U64, struct endpoint_record, ended_ns),
	FIELD(FIELD_U64, struct endpoint_record, sent),
	FIELD(FIELD_U64, struct endpoint_record, transactions),
	FIELD(FIELD_U64, struct endpoint_record, bytes),
	FIELD(FIELD_U64, struct endpoint_record, received),
	FIELD(FIELD_U64, struct endpoint_record, jitter_ns),
	FIELD(FIELD_U64, struct endpoint_record, jitter_mean_ns),
	FIELD(FIELD_U64, struct endpoint_record, lost),
	FIELD(FIELD_U64, struct endpoint_record, timeouts),
	FIELD(FIELD_U64, struct endpoint_record, reordered),
	FIELD(FIELD_U64, struct endpoint_record, dead_flows),
	FIELD(FIELD_U64, struct endpoint_record, retransmits),
	FIELD(FIELD_U64, struct endpoint_record, beside_sent),
	FIELD(FIELD_U64, struct endpoint_record, beside_bytes),
	FIELD(FIELD_U64, struct endpoint_record, beside_ns),
	FIELD(FIELD_U64, struct endpoint_record, beside_received),
	FIELD(FIELD_U64, struct endpoint_record, beside_lost),
	FIELD(FIELD_U64, struct endpoint_record, cpu_ns),
	FIELD(FIELD_U64, struct endpoint_record, switches_voluntary),
	FIELD(FIELD_U64, struct endpoint_record, switches_involuntary),
	FIELD(FIELD_BOOL, struct endpoint_record, capped),
	FIELD(FIELD_BOOL, struct endpoint_record, receiver),
	FIELD(FIELD_BOOL, struct endpoint_record, memory_locked),
	FIELD(FIELD_U64, struct endpoint_record, busy_poll_us),
	FIELD(FIELD_U64, struct endpoint_record, timer_slack_ns),
	FIELD(FIELD_TEXT, struct endpoint_record, congestion),
	FIELD(FIELD_TEXT, struct endpoint_record, driver_mode),
	FIELD(FIELD_TEXT, struct endpoint_record, mistake),
	FIELD(FIELD_U64, struct endpoint_record, window_length_ns),
};

/* An older record has only the sum of these. */
static const struct field disorder_fields[] = {
	FIELD(FIELD_U64, struct endpoint_record, duplicates),
	FIELD(FIELD_U64, struct endpoint_record, late),
	FIELD(FIELD_U64, struct endpoint_record, overtaken),
};
#define DISORDER_KEYS "duplicates|late|overtaken"

/* Windows and worst travel as arrays of arrays of numbers, in the order of these members. */
static const size_t window_members[] = {offsetof(struct window, count), offsetof(struct window, sum_ns),
	offsetof(struct window, max_ns), offsetof(struct window, median_ns), offsetof(struct window, bytes)};
static const size_t worst_members[] = {offsetof(struct worst, at_ns), offsetof(struct worst, service_ns),
	offsetof(struct worst, response_ns)};

static json_t *rows_json(const void *rows, size_t n, size_t row_size, const size_t *members, size_t members_n)
{
	json_t *all = json_array();

	for (size_t i = 0; i < n; i++) {
		json_t *row = json_array();
		for (size_t m = 0; m < members_n; m++) {
			uint64_t value;
			memcpy(&value, (const char *)rows + i * row_size + members[m], sizeof(value));
			json_array_append_new(row, json_integer((json_int_t)value));
		}
		json_array_append_new(all, row);
	}
	return all;
}

struct rows {
	const char *key;
	void *rows;
	size_t max, row_size;
	const size_t *members;
	size_t members_n;
};

static int rows_read(const struct rows *r, const json_t *object, enum reading how, uint64_t *n, struct err *e)
{
	const json_t *all = json_object_get(object, r->key);

	*n = 0;
	if (!all && how == READ_ARCHIVE)
		return 0;
	if (!json_is_array(all) || json_array_size(all) > r->max)
		return err_set(e, EINVAL, "'%s' is no array of at most %zu", r->key, r->max);
	*n = json_array_size(all);
	for (size_t i = 0; i < *n; i++) {
		const json_t *row = json_array_get(all, i);
		if (!json_is_array(row) || json_array_size(row) < r->members_n ||
			(how == READ_STREAM && json_array_size(row) != r->members_n))
			return err_set(
				e, EINVAL, "'%s' holds a row that is not %zu numbers", r->key, r->members_n);
		for (size_t m = 0; m < r->members_n; m++) {
			const json_t *item = json_array_get(row, m);
			if (!json_is_integer(item) || json_integer_value(item) < 0)
				return err_set(e, EINVAL, "'%s' holds something that is no count", r->key);
			uint64_t value = (uint64_t)json_integer_value(item);
			memcpy((char *)r->rows + i * r->row_size + r->members[m], &value, sizeof(value));
		}
	}
	return 0;
}

static json_t *hist_json(const struct hist *h)
{
	size_t len;
	AUTO_FREE unsigned char *bytes = hist_encode(h, &len);
	AUTO_FREE char *text = base64_encode(bytes, len);

	return json_string(text);
}

/* A histogram that must be there (`wanted`) or must not. */
static int hist_read(struct hist *h, const char *key, bool wanted, const json_t *object, struct err *e)
{
	const json_t *value = json_object_get(object, key);
	size_t len;

	hist_clear(h);
	if (!wanted)
		return !value || json_is_null(value) ? 0
						     : err_set(e, EINVAL, "'%s' should not be there", key);
	if (!json_is_string(value))
		return err_set(e, EINVAL, "'%s' is missing", key);
	AUTO_FREE unsigned char *bytes = base64_decode(json_string_value(value), &len);
	if (!bytes)
		return err_set(e, EINVAL, "'%s' is no base 64", key);
	int rc = hist_decode(h, bytes, len, e);
	return rc < 0 ? err_wrap(e, "'%s'", key) : 0;
}

json_t *endpoint_record_json(const struct endpoint_record *r)
{
	json_t *object = json_object();

	fields_to_json(record_fields, ARRAY_LEN(record_fields), r, object);
	json_object_set_new(object, "conditions", conditions_json(&r->conditions));
	if (!r->disorder_unknown)
		fields_to_json(disorder_fields, ARRAY_LEN(disorder_fields), r, object);
	json_object_set_new(object, "windows",
		rows_json(r->windows, r->windows_n, sizeof(r->windows[0]), window_members,
			ARRAY_LEN(window_members)));
	json_object_set_new(object, "worst",
		rows_json(
			r->worst, r->worst_n, sizeof(r->worst[0]), worst_members, ARRAY_LEN(worst_members)));
	json_object_set_new(object, "unknown", unknown_json(r));
	json_object_set_new(object, "summary", r->summary.there ? summary_json(&r->summary) : json_null());
	json_object_set_new(object, "service", r->has_service ? hist_json(&r->service) : json_null());
	json_object_set_new(object, "response", r->has_lateness ? hist_json(&r->response) : json_null());
	json_object_set_new(object, "lateness", r->has_lateness ? hist_json(&r->lateness) : json_null());
	json_object_set_new(object, "connect", r->has_parts ? hist_json(&r->connect) : json_null());
	json_object_set_new(object, "first_reply", r->has_parts ? hist_json(&r->first_reply) : json_null());
	return object;
}

static int check_sense(const struct endpoint_record *r, struct err *e)
{
	if (r->ended_ns < r->started_ns)
		return err_set(e, EINVAL, "it ended before it started");
	if (r->has_service && (r->service.count != r->transactions || r->response.count != r->transactions))
		return err_set(e, EINVAL, "the histogram has %llu values for %llu transactions",
			(unsigned long long)r->service.count, (unsigned long long)r->transactions);
	if (r->has_parts && (r->connect.count != r->transactions || r->first_reply.count != r->transactions))
		return err_set(e, EINVAL, "the parts have %llu and %llu values for %llu transactions",
			(unsigned long long)r->connect.count, (unsigned long long)r->first_reply.count,
			(unsigned long long)r->transactions);
	if (r->windows_n && !r->window_length_ns)
		return err_set(e, EINVAL, "windows have no length");
	return 0;
}

static int disorder_read(struct endpoint_record *r, const json_t *object, struct err *e)
{
	json_t *part = json_object();

	for (size_t i = 0; i < ARRAY_LEN(disorder_fields); i++)
		json_object_set(
			part, disorder_fields[i].key, json_object_get(object, disorder_fields[i].key));
	int rc = fields_from_json(disorder_fields, ARRAY_LEN(disorder_fields), r, part, NULL, READ_STREAM, e);
	json_decref(part);
	return rc;
}

int endpoint_record_from_json(
	struct endpoint_record *r, const json_t *object, enum reading how, struct err *e)
{
	const struct rows windows = {"windows", r->windows, WINDOWS_MAX, sizeof(r->windows[0]),
		window_members, ARRAY_LEN(window_members)};
	const struct rows worst = {
		"worst", r->worst, WORST_MAX, sizeof(r->worst[0]), worst_members, ARRAY_LEN(worst_members)};

	memset(r, 0, sizeof(*r));
	int rc = fields_from_json(record_fields, ARRAY_LEN(record_fields), r, object,
		"conditions|windows|worst|service|response|lateness|connect|first_reply|unknown|summary|" DISORDER_KEYS,
		how, e);
	r->disorder_unknown = how == READ_ARCHIVE && !json_object_get(object, disorder_fields[0].key);
	if (rc == 0 && !r->disorder_unknown)
		rc = disorder_read(r, object, e);
	if (rc == 0)
		rc = unknown_read(r, json_object_get(object, "unknown"), how, e);
	if (rc == 0)
		rc = summary_read(&r->summary, json_object_get(object, "summary"), how, e);
	if (rc == 0) {
		r->has_service = json_is_string(json_object_get(object, "service"));
		r->has_lateness = json_is_string(json_object_get(object, "lateness"));
		r->has_parts = json_is_string(json_object_get(object, "connect"));
		rc = rows_read(&windows, object, how, &r->windows_n, e);
	}
	if (rc == 0)
		rc = conditions_from_json(&r->conditions, json_object_get(object, "conditions"), how, e);
	if (rc == 0)
		rc = rows_read(&worst, object, how, &r->worst_n, e);
	if (rc == 0)
		rc = hist_read(&r->service, "service", r->has_service, object, e);
	if (rc == 0)
		rc = hist_read(&r->response, "response", r->has_lateness, object, e);
	if (rc == 0)
		rc = hist_read(&r->lateness, "lateness", r->has_lateness, object, e);
	if (rc == 0)
		rc = hist_read(&r->connect, "connect", r->has_parts, object, e);
	if (rc == 0)
		rc = hist_read(&r->first_reply, "first_reply", r->has_parts, object, e);
	if (rc == 0 && r->has_service && !r->has_lateness)
		r->response = r->service;
	if (rc == 0)
		rc = check_sense(r, e);
	if (rc < 0) {
		memset(r, 0, sizeof(*r));
		return err_wrap(e, "endpoint record");
	}
	return 0;
}
