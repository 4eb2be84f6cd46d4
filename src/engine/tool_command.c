/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A command of the user's, which a shell carries out: of the client the one that measures, of the server the
 * one that serves it.  What stands in braces is replaced, see `words`.  The client's prints one JSON object:
 *
 *     { "duration_s": 3.0,                 how long the measured stretch was; the only key that must be there
 *       "latency_ns": [5768, 5901, …],     every transaction in its order; or what is known of them:
 *       "latency_ns": {"count": 100000, "min": …, "max": …, "mean": …, "sd": …, "p25": …, "p50": …, "p75": …,
 *                      "p90": …, "p99": …, "p99.9": …, "p99.99": …},
 *       "bytes": 123456,                   of a stream: what was received
 *       "sent": …, "lost": …, "retransmits": … }
 *
 * or a log of HdrHistogram, of which "duration" is the measured time as asked.  What is not there is unknown.
 * Single transactions have no times, so that none of them is held against what the machine went through.
 */
#include "tool.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

/* --- the command ------------------------------------------------------------------------------- */

static void word_add(struct buf *out, const struct endpoint_job *job, const char *word)
{
	const struct {
		const char *word;
		double value;
		bool real;
	} words[] = {
		{"{port}", job->ports[0], false},
		{"{duration}", (double)job->duration_ns / 1e9, true},
		{"{warmup}", (double)job->warmup_ns / 1e9, true},
		{"{transactions}", (double)job->transactions, false},
		{"{rate}", (double)job->rate, false},
		{"{request}", (double)job->request_bytes, false},
		{"{reply}", (double)job->reply_bytes, false},
		{"{size}", (double)job->size_bytes, false},
		{"{flows}", (double)job->flows, false},
	};

	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (!strcmp(word, words[i].word)) {
			buf_add(out, words[i].real ? "%.3f" : "%.0f", words[i].value);
			return;
		}
	buf_add(out, "%s", !strcmp(word, "{address}") ? job->address : word);
}

/* Braces that hold no word of ours are the shell's. */
static void expand(struct buf *out, const struct endpoint_job *job)
{
	const char *at = job->command;

	while (*at) {
		size_t plain = strcspn(at, "{"), inside = at[plain] ? strcspn(at + plain, "}") : 0;
		char word[32];
		buf_put(out, at, plain);
		at += plain;
		if (!*at)
			break;
		if (at[inside] == '}' && inside + 2 <= sizeof(word)) {
			snprintf(word, sizeof(word), "%.*s", (int)inside + 1, at);
			word_add(out, job, word);
			at += inside + 1;
		} else {
			buf_put(out, at++, 1);
		}
	}
}

static void shell(struct tool_args *a, const struct endpoint_job *job)
{
	AUTO(buf_free) struct buf command = {0};

	expand(&command, job);
	tool_option(a, "-c", "%s", command.data ? command.data : "");
}

/* --- what it printed ---------------------------------------------------------------------------- */

static int wrong(const char *key, struct err *e)
{
	return err_set(e, EPROTO, "its JSON has a \"%s\" that is none", key);
}

/* A count: 1 when it is there. */
static int count_read(const json_t *object, const char *key, uint64_t *out, struct err *e)
{
	const json_t *value = json_object_get(object, key);

	if (!value || json_is_null(value))
		return 0;
	double n = json_number_value(value);
	if (!json_is_number(value) || !(n >= 0) || n > 9e15)
		return wrong(key, e);
	*out = (uint64_t)n;
	return 1;
}

static int observations_read(struct tool_reading *r, const json_t *array, struct err *e)
{
	struct endpoint_record *record = r->record;
	const json_t *value;
	size_t i;

	json_array_foreach (array, i, value) {
		double ns = json_number_value(value);
		if (!json_is_number(value) || !(ns >= 0) || ns > 1e15)
			return wrong("latency_ns", e);
		hist_add(&record->service, (uint64_t)ns);
	}
	record->response = record->service;
	record->has_service = i > 0;
	record->transactions = i;
	return i ? 0 : wrong("latency_ns", e);
}

static const struct {
	const char *key;
	size_t offset;
} summary_keys[] = {
	{"min", offsetof(struct latency_summary, min)},
	{"max", offsetof(struct latency_summary, max)},
	{"mean", offsetof(struct latency_summary, mean)},
	{"sd", offsetof(struct latency_summary, sd)},
	{"p25", offsetof(struct latency_summary, quantile[SUMMARY_P25])},
	{"p50", offsetof(struct latency_summary, quantile[SUMMARY_P50])},
	{"p75", offsetof(struct latency_summary, quantile[SUMMARY_P75])},
	{"p90", offsetof(struct latency_summary, quantile[SUMMARY_P90])},
	{"p99", offsetof(struct latency_summary, quantile[SUMMARY_P99])},
	{"p99.9", offsetof(struct latency_summary, quantile[SUMMARY_P999])},
	{"p99.99", offsetof(struct latency_summary, quantile[SUMMARY_P9999])},
};

static int summary_read(struct tool_reading *r, const json_t *object, struct err *e)
{
	struct latency_summary *s = &r->record->summary;
	int rc = count_read(object, "count", &r->record->transactions, e);

	for (size_t i = 0; rc >= 0 && i < ARRAY_LEN(summary_keys); i++) {
		const json_t *value = json_object_get(object, summary_keys[i].key);
		double ns = json_number_value(value);
		if (!value || json_is_null(value))
			continue;
		if (!json_is_number(value) || !(ns >= 0) || ns > 1e15)
			return wrong("latency_ns", e);
		memcpy((char *)s + summary_keys[i].offset, &ns, sizeof(ns));
		s->there = true;
	}
	return rc < 0 ? rc : rc > 0 && s->there ? 0 : wrong("latency_ns", e);
}

static int counts_read(struct tool_reading *r, const json_t *object, struct err *e)
{
	struct endpoint_record *record = r->record;
	const struct {
		const char *key;
		uint64_t *value;
		unsigned figure;
	} counts[] = {{"sent", &record->sent, FIGURE(SENT)}, {"lost", &record->lost, FIGURE(LOST)},
		{"retransmits", &record->retransmits, FIGURE(RETRANSMITS)}, {"bytes", &record->bytes, 0}};

	for (size_t i = 0; i < ARRAY_LEN(counts); i++) {
		int rc = count_read(object, counts[i].key, counts[i].value, e);
		if (rc < 0)
			return rc;
		record->unknown &= ~(rc > 0 ? counts[i].figure : 0);
	}
	return 0;
}

static int json_read(struct tool_reading *r, const json_t *object, struct err *e)
{
	const json_t *latency = json_object_get(object, "latency_ns");
	double seconds = json_number_value(json_object_get(object, "duration_s"));
	bool stream = r->job->workload->stream;
	int rc;

	if (!(seconds > 0) || seconds > 1e6)
		return wrong("duration_s", e);
	if ((rc = tool_stretch(r, (uint64_t)(seconds * 1e9), 0, e)) < 0 ||
		(rc = counts_read(r, object, e)) < 0)
		return rc;
	if (stream) {
		r->record->receiver = true;
		return r->record->bytes ? 0 : wrong("bytes", e);
	}
	r->record->bytes = 0;
	return json_is_object(latency) ? summary_read(r, latency, e) : observations_read(r, latency, e);
}

static int output_read(struct tool_reading *r, char *text, size_t len, struct err *e)
{
	struct endpoint_record *record = r->record;
	int rc;

	if (r->job->output == TOOL_OUTPUT_HLOG) {
		rc = tool_hlog_read(&record->service, text, len, e);
		record->has_service = rc == 0;
		record->response = record->service;
		record->transactions = record->service.count;
		return rc < 0 ? rc : tool_stretch(r, r->job->duration_ns, 0, e);
	}
	json_t *object = tool_json(text, len, e);
	rc = object ? json_read(r, object, e) : -e->code;
	json_decref(object);
	return rc;
}

#define UNKNOWN                                                                                              \
	(FIGURE(SENT) | FIGURE(LOST) | FIGURE(TIMEOUTS) | FIGURE(DISORDER) | FIGURE(RETRANSMITS) |           \
		FIGURE(CPU) | FIGURE(SWITCHES) | FIGURE(JITTER))

const struct tool_driver tool_command = {
	.client = shell,
	.server = shell,
	.client_unknown = UNKNOWN,
	.server_unknown = UNKNOWN | FIGURE(TRANSACTIONS),
	.read = output_read,
};
