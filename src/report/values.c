/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * From a record to the figures of a trial.  A percentile is given only where at least ten transactions lie
 * beyond it; mean and SD come from exact sums.  Latencies are response times; in a closed loop those are the
 * service times.
 */
#include "model.h"

#include <math.h>
#include <stdio.h>

#define WINDOW_QUARTILES_LEAST 8

const struct hist *report_latencies(const struct endpoint_record *end)
{
	const struct hist *h = end->has_lateness ? &end->response : &end->service;

	return (end->has_service || end->has_lateness) && h->count ? h : NULL;
}

double report_quantile(const struct hist *h, double q)
{
	return h && stat_quantile_printable(MAX(q, 1 - q), h->count) ? hist_quantile(h, q) : NAN;
}

static void fill_latency(struct report_trial *t, const struct endpoint_record *m)
{
	const struct hist *h = report_latencies(m);
	double *v = t->value;

	t->min_ns = h ? (double)h->min : NAN;
	t->max_ns = h ? (double)h->max : NAN;
	v[STAT_LATENCY_MEDIAN] = report_quantile(h, 0.5);
	v[STAT_LATENCY_MEAN] = h ? hist_mean(h) : NAN;
	v[STAT_LATENCY_SD] = h ? hist_sd(h) : NAN;
	v[STAT_LATENCY_IQR] = report_quantile(h, 0.75) - report_quantile(h, 0.25);
	for (int i = 0; i < STAT_METRICS; i++)
		if (stat_metrics[i].part == STAT_WHOLE && stat_metrics[i].quantile > 0)
			v[i] = report_quantile(h, stat_metrics[i].quantile);
	if (m->summary.there)
		report_summary_fill(t, &m->summary);
}

static void fill_parts(struct report_trial *t, const struct endpoint_record *r)
{
	const struct hist *parts[] = {[STAT_CONNECT] = &r->connect, [STAT_FIRST_REPLY] = &r->first_reply};

	for (int m = 0; r->has_parts && m < STAT_METRICS; m++) {
		const struct stat_metric_row *row = &stat_metrics[m];

		if (row->part != STAT_WHOLE)
			t->value[m] =
				report_quantile(parts[row->part], row->quantile > 0 ? row->quantile : 0.5);
	}
}

/* Bits per second in every whole window of the stretch, malloc'd. */
static double *window_rates(const struct endpoint_record *m, size_t *n)
{
	double *rates = mem_array(m->windows_n, sizeof(*rates));
	uint64_t length = m->window_length_ns, stretch = m->ended_ns - m->started_ns;

	*n = 0;
	for (size_t i = 0; length && i < m->windows_n && (i + 1) <= stretch / length; i++)
		rates[(*n)++] = (double)m->windows[i].bytes * 8e9 / (double)length;
	return rates;
}

static void fill_throughput(struct report_trial *t, const struct trial_record *r)
{
	size_t n;

	t->value[STAT_THROUGHPUT] = trial_throughput_bps(r);
	t->value[STAT_THROUGHPUT_SD] = t->throughput_iqr = NAN;
	if (isnan(t->value[STAT_THROUGHPUT]))
		return;
	AUTO_FREE double *rates = window_rates(trial_measured(r), &n);
	t->value[STAT_THROUGHPUT_SD] = stat_sd(rates, n);
	if (n >= WINDOW_QUARTILES_LEAST)
		t->throughput_iqr = stat_quantile(rates, n, 0.75) - stat_quantile(rates, n, 0.25);
}

static enum report_unusable unusable(
	const struct report_trial *t, const struct trial_record *r, const struct workload_row *w)
{
	if (r->outcome != TRIAL_DONE)
		return r->outcome == TRIAL_FAILED ? REPORT_FAILED : REPORT_SKIPPED;
	if (!r->verified)
		return REPORT_UNVERIFIED;
	if (t->dead_flows)
		return REPORT_FLOWS_DIED;
	if (w && w->stream)
		return t->value[STAT_THROUGHPUT] > 0 ? REPORT_USABLE : REPORT_NOTHING_RECEIVED;
	return t->transactions < REPORT_TRANSACTIONS_LEAST ? REPORT_FEW_TRANSACTIONS : REPORT_USABLE;
}

static void fill_usable(struct report_trial *t, const struct trial_record *r, const struct workload_row *w)
{
	t->unusable = unusable(t, r, w);
	t->usable = t->unusable == REPORT_USABLE;
	str_copy(t->reason, sizeof(t->reason), r->reason);
	if (t->unusable != REPORT_UNVERIFIED)
		return;
	struct buf why = {0};
	report_unverified(r, ": ", &why);
	snprintf(t->reason, sizeof(t->reason), "%s", why.len ? why.data : "");
	buf_free(&why);
}

char *report_trial_why(const struct report_trial *t, char *out, size_t size)
{
	static const char *const words[REPORT_UNUSABLES] = {
		[REPORT_USABLE] = "",
		[REPORT_FAILED] = "failed: ",
		[REPORT_SKIPPED] = "skipped: ",
		[REPORT_UNVERIFIED] = "configuration not verified",
		[REPORT_NOTHING_RECEIVED] = "nothing was received",
	};

	if (t->unusable == REPORT_FLOWS_DIED)
		snprintf(out, size, "%llu flows died", (unsigned long long)t->dead_flows);
	else if (t->unusable == REPORT_FEW_TRANSACTIONS)
		snprintf(out, size, "too few transactions (%llu)", (unsigned long long)t->transactions);
	else
		snprintf(out, size, "%s%s", words[t->unusable],
			t->unusable == REPORT_FAILED || t->unusable == REPORT_SKIPPED ||
					t->unusable == REPORT_UNVERIFIED
				? t->reason
				: "");
	return out;
}

/*
 * FNV-1a of everything that both ends saw: equal for equal trials of the exact clock, also for those of an
 * older record, which has only the sum of what kinds of disorder there are.
 */
static uint64_t digest(const struct trial_record *r)
{
	uint64_t hash = 0xcbf29ce484222325u;

	for (size_t i = 0; i < r->ends_n; i++) {
		json_t *json = endpoint_record_json(&r->ends[i].record);

		json_object_del(json, "duplicates");
		json_object_del(json, "late");
		json_object_del(json, "overtaken");
		json_object_del(
			json, "unknown"); /* taut's engine knows all; an older record has no such keys */
		json_object_del(json, "summary");
		json_object_del(json, "conditions"); /* buffers grow as the kernel likes */
		AUTO_FREE char *text = json_dumps(json, JSON_COMPACT);

		for (const char *c = text ? text : ""; *c; c++)
			hash = (hash ^ (unsigned char)*c) * 0x100000001b3u;
		json_decref(json);
	}
	return hash;
}

static enum stat_stretch stretch(const struct trial_record *r)
{
	size_t n;
	AUTO_FREE double *x = trial_windows(r, &n);

	return r->not_steady ? STAT_STRETCH_SETTLING : stat_stretch(x, n);
}

static void fill_counts(struct report_trial *t, const struct trial_record *r)
{
	const struct endpoint_record *m = trial_measured(r);

	t->outcome = r->outcome;
	t->verified = r->verified;
	t->stretch = stretch(r);
	t->started_ns = r->wall_started_ns;
	t->duration_ns = r->duration_ns;
	t->sent = trial_sent(r);
	t->received = m->received;
	t->jitter_ns = m->jitter_ns;
	t->transactions = m->transactions;
	t->bytes = m->bytes;
	t->lost = m->lost;
	t->timeouts = m->timeouts;
	t->reordered = m->reordered;
	t->disorder_known = !m->disorder_unknown && record_knows(m, FIGURE_DISORDER);
	t->unknown = m->unknown | FIGURE(RETRANSMITS);
	t->duplicates = m->duplicates;
	t->late = m->late;
	t->overtaken = m->overtaken;
	for (size_t i = 0; i < r->ends_n; i++) {
		t->dead_flows += r->ends[i].record.dead_flows;
		t->retransmits += r->ends[i].record.retransmits;
		if (record_knows(&r->ends[i].record, FIGURE_RETRANSMITS))
			t->unknown &= ~FIGURE(RETRANSMITS);
	}
	t->client_cpu_known = record_knows(&r->ends[END_CLIENT].record, FIGURE_CPU);
	t->server_cpu_known = record_knows(&r->ends[END_SERVER].record, FIGURE_CPU);
	t->client_cpu_ns = r->ends[END_CLIENT].record.cpu_ns;
	t->server_cpu_ns = r->ends[END_SERVER].record.cpu_ns;
	t->system_cpu_ns = r->system_cpu_ns;
	t->steal_ns = r->steal_ns;
	t->context_switches = r->context_switches;
	t->mtu = r->mtu;
	t->flag[REPORT_CAPPED] = m->capped;
	t->flag[REPORT_NOT_STEADY] = r->not_steady;
	t->flag[REPORT_CHANGED] = t->stretch == STAT_STRETCH_CHANGED;
	t->flag[REPORT_RATE_MISSED] = r->rate_missed;
}

/* An end counts its transactions in the same stretch as its CPU time: a server from its first request on. */
static void fill_cpu(struct report_trial *t, const struct trial_record *r, const struct workload_row *w)
{
	for (size_t i = 0; i < ENDS_MAX; i++) {
		const struct endpoint_record *end = &r->ends[i].record;

		bool known = end->transactions && record_knows(end, FIGURE_CPU) &&
			     record_knows(end, FIGURE_TRANSACTIONS);

		t->cpu_ns[i] = w && !w->stream && i < r->ends_n && known
				       ? (double)end->cpu_ns / (double)end->transactions
				       : NAN;
	}
}

void report_trial_fill(struct report_trial *t, const struct trial_record *r)
{
	const struct workload_row *w = workload_find(r->settings.workload);
	const struct endpoint_record *m = trial_measured(r);
	double stretch_ns = (double)(m->ended_ns - m->started_ns);

	*t = (struct report_trial){0};
	for (int i = 0; i < STAT_METRICS; i++)
		t->value[i] = NAN;
	fill_counts(t, r);
	t->stretch_s = stretch_ns / 1e9;
	fill_latency(t, m);
	fill_parts(t, m);
	fill_throughput(t, r);
	if (w && (w->datagrams || w->connects) && t->sent && record_knows(m, FIGURE_LOST) &&
		record_knows(m, FIGURE_SENT))
		t->value[STAT_LOSS] = (double)m->lost / (double)t->sent;
	if (w && w->datagrams && m->receiver && m->received && record_knows(m, FIGURE_JITTER))
		t->value[STAT_JITTER] = (double)m->jitter_mean_ns;
	if (w && !w->stream)
		t->value[STAT_RATE] = trial_rate_per_s(r);
	fill_cpu(t, r, w);
	t->value[STAT_BESIDE_THROUGHPUT] = trial_beside_bps(r);
	t->sent_per_s = trial_sent_per_s(r);
	report_facts_fill(t, r);
	t->digest = settings_exact(&r->settings) ? digest(r) : 0;
	fill_usable(t, r, w);
}
