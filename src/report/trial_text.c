/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One trial for people: the line while a run goes on, and what `taut measure` ends with.  Round trips are
 * round trips, never halved; in an open loop service and response time stand side by side with the lateness
 * of the sender itself; and what the numbers depend on (sizes, NODELAY, placement, samples, losses) stands
 * beside them.
 */
#include "text.h"

#include <math.h>
#include <stdio.h>

#define CONSOLE_LINES 12 /* of a machine whose trial failed */

static const char *verified_word(const struct trial_record *r, const struct report_trial *t)
{
	if (t->flag[REPORT_RATE_MISSED])
		return "rate missed";
	return r->verified ? "verified" : "NOT VERIFIED";
}

static int digits_of(uint64_t n)
{
	int digits = 1;

	for (; n >= 10; n /= 10)
		digits++;
	return digits;
}

void report_trial_line(const struct trial_record *r, const struct report_place *place, struct buf *out)
{
	struct report_trial t;
	char text[48];

	report_trial_fill(&t, r);
	buf_add(out, "[%*llu/%llu] %s  %s", digits_of(place->total), (unsigned long long)place->done,
		(unsigned long long)place->total, place->cell, place->arm);
	if (r->outcome != TRIAL_DONE) {
		buf_add(out, "  %s: %s", r->outcome == TRIAL_FAILED ? "failed" : "skipped", r->reason);
		return;
	}
	if (isfinite(t.value[STAT_THROUGHPUT])) {
		buf_add(out, "  %s", text_bps(t.value[STAT_THROUGHPUT], text, sizeof(text)));
		if (isfinite(t.value[STAT_THROUGHPUT_SD]))
			buf_add(out, "  SD %s", text_bps(t.value[STAT_THROUGHPUT_SD], text, sizeof(text)));
		if (isfinite(t.value[STAT_JITTER]))
			buf_add(out, "  jitter %s", text_ns(t.value[STAT_JITTER], text, sizeof(text)));
	} else {
		static const enum stat_metric shown[] = {
			STAT_LATENCY_MEDIAN, STAT_LATENCY_P99, STAT_LATENCY_P999};

		for (size_t i = 0; i < ARRAY_LEN(shown); i++)
			if (isfinite(t.value[shown[i]]))
				buf_add(out, "  %s %s", stat_metrics[shown[i]].label,
					text_ns(t.value[shown[i]], text, sizeof(text)));
		buf_add(out, "  max %s", text_ns(t.max_ns, text, sizeof(text)));
		buf_add(out, "  %s transactions", text_count(t.transactions, text, sizeof(text)));
	}
	if (t.lost)
		buf_add(out, "  lost %s", text_count(t.lost, text, sizeof(text)));
	buf_add(out, "  %s%s%s%s", verified_word(r, &t), t.flag[REPORT_CAPPED] ? "  capped" : "",
		t.flag[REPORT_NOT_STEADY] ? "  not steady"
		: t.flag[REPORT_CHANGED]  ? "  changed"
					  : "",
		settings_exact(&r->settings) ? "  exact clock"
		: t.emulated                 ? "  emulated (tcg)"
					     : "");
	if (!r->verified)
		report_unverified(r, "  ", out);
}

/* --- taut measure ------------------------------------------------------------------------------ */

static double value_min(const struct hist *h, double q)
{
	(void)q;
	return (double)h->min;
}

static double value_max(const struct hist *h, double q)
{
	(void)q;
	return (double)h->max;
}

static double value_mean(const struct hist *h, double q)
{
	(void)q;
	return hist_mean(h);
}

static double value_sd(const struct hist *h, double q)
{
	(void)q;
	return hist_sd(h);
}

static double value_iqr(const struct hist *h, double q)
{
	return report_quantile(h, q) - report_quantile(h, 1 - q);
}

static const struct {
	const char *name;
	double (*value)(const struct hist *h, double q);
	double q;
} latency_rows[] = {
	{"min", value_min, 0},
	{"median", report_quantile, 0.5},
	{"p90", report_quantile, 0.9},
	{"p99", report_quantile, 0.99},
	{"p99.9", report_quantile, 0.999},
	{"p99.99", report_quantile, 0.9999},
	{"max", value_max, 0},
	{"mean", value_mean, 0},
	{"SD", value_sd, 0},
	{"IQR", value_iqr, 0.75},
};

static void latencies(const struct endpoint_record *m, const struct report_style *style, struct buf *out)
{
	const struct {
		const char *name;
		const struct hist *h;
		bool there;
	} columns[] = {
		{m->has_parts             ? "all of it"
			: m->has_lateness ? "service"
					  : "round trip",
			&m->service, m->has_service},
		{"connect", &m->connect, m->has_parts},
		{"first reply", &m->first_reply, m->has_parts},
		{"response", &m->response, m->has_lateness},
		{m->has_parts ? "late by" : "sent late by", &m->lateness, m->has_lateness},
	};
	struct text_table t = {.align = "lrrrrr"};
	char text[32];

	if (m->summary.there)
		report_summary_text(&m->summary, style, out);
	if (!m->has_service || !m->service.count)
		return;
	text_row(&t);
	for (size_t c = 0; c < ARRAY_LEN(columns); c++)
		if (columns[c].there)
			text_cell(&t, c + 1, TEXT_DIM, columns[c].name);
	for (size_t i = 0; i < ARRAY_LEN(latency_rows); i++) {
		text_row(&t);
		text_cell(&t, 0, TEXT_PLAIN, latency_rows[i].name);
		for (size_t c = 0; c < ARRAY_LEN(columns); c++)
			if (columns[c].there && columns[c].h->count)
				text_cell(&t, c + 1, TEXT_PLAIN,
					text_ns(latency_rows[i].value(columns[c].h, latency_rows[i].q), text,
						sizeof(text)));
	}
	text_table_print(&t, 2, style, out);
	if (m->has_parts)
		text_wrap(out, "  ",
			m->has_lateness
				? "all of it: reply − connect() called; response: reply − transaction due."
				: "all of it: reply − connect() called.");
	else if (m->has_lateness)
		text_wrap(out, "  ",
			"service: reply − request sent; response: reply − request due. Both are round trips.");
	else if ((double)m->service.max > REPORT_STALL_FACTOR * report_quantile(&m->service, 0.999))
		text_wrap(out, "  note: ",
			"a closed loop cannot show a stall in its percentiles; see max, or run an open loop (--rate).");
}

/* A count that may be unknown. */
static const char *count_text(
	const struct report_trial *t, unsigned figure, uint64_t value, char *out, size_t size)
{
	return t->unknown & figure ? "–" : text_count(value, out, size);
}

static void stream_beside(const struct trial_record *r, const struct report_trial *t, struct buf *out)
{
	const struct endpoint_record *end = trial_beside(r);
	AUTO(buf_free) struct buf line = {0};
	char a[32], b[32];

	if (!end)
		return;
	buf_add(&line, "%s: %s", r->settings.beside,
		text_bps(t->value[STAT_BESIDE_THROUGHPUT], a, sizeof(a)));
	if (end->beside_received || end->beside_lost)
		buf_add(&line, ", lost %s of %s datagrams", text_count(end->beside_lost, a, sizeof(a)),
			text_count(end->beside_received + end->beside_lost, b, sizeof(b)));
	text_wrap(out, "  beside    ", line.data);
}

static void samples(const struct trial_record *r, const struct report_trial *t, struct buf *out)
{
	struct buf line = {0};
	char a[32], b[32], c[32];

	if (t->transactions)
		buf_add(&line, "%s transactions in ", text_count(t->transactions, a, sizeof(a)));
	buf_add(&line, "%s after a warm-up of %s", text_ns(t->stretch_s * 1e9, a, sizeof(a)),
		text_ns((double)r->settings.warmup_ns, b, sizeof(b)));
	text_wrap(out, "  samples   ", line.data);
	line.len = 0;
	if (isfinite(t->value[STAT_JITTER])) {
		buf_add(&line, "%s came, jitter %s on average and %s at the end (RFC 3550, smoothed)",
			text_count(t->received, a, sizeof(a)), text_ns(t->value[STAT_JITTER], b, sizeof(b)),
			text_ns((double)t->jitter_ns, c, sizeof(c)));
		text_wrap(out, "  datagrams ", line.data);
		line.len = 0;
	}
	if (isfinite(t->value[STAT_JITTER]) && settings_open_loop(&r->settings))
		buf_add(&line, "asked for %s /s, sent %.0f /s", text_count(r->settings.rate, a, sizeof(a)),
			t->sent_per_s);
	else if (isfinite(t->value[STAT_RATE]) && settings_open_loop(&r->settings))
		buf_add(&line, "asked for %s /s, sent %.0f /s, answered %.0f /s",
			text_count(r->settings.rate, a, sizeof(a)), t->sent_per_s, t->value[STAT_RATE]);
	else if (isfinite(t->value[STAT_RATE]))
		buf_add(&line, "%.0f /s, as fast as the replies came", t->value[STAT_RATE]);
	if (line.len)
		text_wrap(out, "  rate      ", line.data);
	line.len = 0;
	buf_add(&line, "lost %s of %s sent", count_text(t, FIGURE(LOST), t->lost, a, sizeof(a)),
		count_text(t, FIGURE(SENT), t->sent, b, sizeof(b)));
	buf_add(&line, ", timeouts %s, reordered %s",
		count_text(t, FIGURE(TIMEOUTS), t->timeouts, a, sizeof(a)),
		count_text(t, FIGURE(DISORDER), t->reordered, b, sizeof(b)));
	if (t->reordered && t->disorder_known)
		buf_add(&line, " (%llu duplicate, %llu late, %llu overtaken)",
			(unsigned long long)t->duplicates, (unsigned long long)t->late,
			(unsigned long long)t->overtaken);
	buf_add(&line, ", retransmitted %s, dead flows %llu",
		count_text(t, FIGURE(RETRANSMITS), t->retransmits, a, sizeof(a)),
		(unsigned long long)t->dead_flows);
	text_wrap(out, "  losses    ", line.data);
	line.len = 0;
	stream_beside(r, t, out);
	buf_add(&line, "client %s",
		text_ns(t->client_cpu_known ? (double)t->client_cpu_ns : (double)NAN, a, sizeof(a)));
	buf_add(&line, ", server %s",
		text_ns(t->server_cpu_known ? (double)t->server_cpu_ns : (double)NAN, a, sizeof(a)));
	buf_add(&line, ", CPUs of both ends %s (in ticks of 10 ms)",
		text_ns((double)t->system_cpu_ns, a, sizeof(a)));
	buf_add(&line, ", stolen %s", text_ns((double)t->steal_ns, a, sizeof(a)));
	text_wrap(out, "  CPU time  ", line.data);
	buf_free(&line);
}

static void worst(const struct trial_record *r, struct buf *out)
{
	char a[32], b[32];

	for (size_t i = 0; i < r->ends[END_CLIENT].record.worst_n && i < 3; i++) {
		const struct during *d = &r->during[i];
		AUTO_FREE char *line = str_format("%s at %s: %s%s%s",
			text_ns((double)r->ends[END_CLIENT].record.worst[i].response_ns, a, sizeof(a)),
			text_ns((double)r->ends[END_CLIENT].record.worst[i].at_ns, b, sizeof(b)),
			*d->owner ? d->owner : "unknown", *d->evidence ? ", " : "", d->evidence);
		text_wrap(out, i ? "            " : "  worst     ", line);
	}
}

void report_trial_terminal(const struct trial_record *r, const struct report_style *style, struct buf *out)
{
	const struct settings *s = &r->settings;
	const struct endpoint_record *m = trial_measured(r);
	struct report_trial t;
	char a[48], b[48];

	report_trial_fill(&t, r);
	AUTO_FREE char *title = str_format("%s, %s%s%s%s%s", s->workload, s->target, *s->runtime ? "/" : "",
		s->runtime, *s->attachment ? "/" : "", s->attachment);
	text_paint(out, style, TEXT_BOLD, title);
	buf_add(out, " · %s\n",
		isfinite(t.value[STAT_THROUGHPUT]) ? "bulk data"
		: settings_open_loop(s)            ? "open loop"
						   : "closed loop");
	if (r->outcome != TRIAL_DONE) {
		text_wrap(out, r->outcome == TRIAL_FAILED ? "  failed: " : "  skipped: ", r->reason);
		report_console(r->console, CONSOLE_LINES, out);
		if (!t.transactions && !t.bytes)
			report_trial_machines(r, &t, out);
		if (!t.transactions && !t.bytes)
			return;
	}
	if (isfinite(t.value[STAT_THROUGHPUT]))
		buf_add(out, "  throughput %s, SD in time %s\n",
			text_bps(t.value[STAT_THROUGHPUT], a, sizeof(a)),
			text_bps(t.value[STAT_THROUGHPUT_SD], b, sizeof(b)));
	latencies(m, style, out);
	if (r->tool[0]) {
		AUTO_FREE char *line =
			str_format("%s; what it does not tell is unknown, and shown as –", r->tool);
		text_wrap(out, "  tool      ", line);
	}
	samples(r, &t, out);
	report_trial_conditions(r, out);
	report_trial_machines(r, &t, out);
	worst(r, out);
	struct buf line = {0};
	buf_add(&line, "configuration %s", r->verified ? "verified" : "NOT VERIFIED");
	if (!r->verified)
		report_unverified(r, ": ", &line);
	if (t.stretch == STAT_STRETCH_SETTLED)
		buf_add(&line, " · settled");
	else if (t.stretch == STAT_STRETCH_SHORT)
		buf_add(&line, " · too short to tell whether it had settled");
	for (int f = 0; f < REPORT_FLAGS_N; f++)
		if (t.flag[f])
			buf_add(&line, " · %s (%s)", report_flag_rows[f].name, report_flag_rows[f].help);
	text_wrap(out, "  checks    ", line.data);
	buf_free(&line);
}
