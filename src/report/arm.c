/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the trials of one arm come to: the median of each figure, the merged histograms, and the slowest
 * transactions of them all with what owned each.  Percentiles are never averaged: the median of the trials'
 * p99.9 is one figure, the p99.9 of the merged histogram another.
 */
#include "model.h"

#include <math.h>
#include <stdio.h>

static void merge(struct hist **into, const struct hist *from, bool there)
{
	if (!there || !from->count)
		return;
	if (!*into) {
		*into = mem_alloc(sizeof(**into));
		hist_clear(*into);
	}
	hist_merge(*into, from);
}

/* Keeps the slowest WORST_MAX, slowest first. */
static void add_worst(struct report_arm *arm, const struct worst *w, const struct during *d, bool old_rule)
{
	size_t at = arm->worst_n;

	while (at > 0 && arm->worst[at - 1].response_ns < w->response_ns)
		at--;
	if (at == WORST_MAX)
		return;
	size_t kept = MIN(arm->worst_n, (size_t)WORST_MAX - 1);
	memmove(&arm->worst[at + 1], &arm->worst[at], (kept - at) * sizeof(arm->worst[0]));
	arm->worst_n = kept + 1;

	struct report_worst *new = &arm->worst[at];
	new->response_ns = w->response_ns;
	snprintf(new->owner, sizeof(new->owner), "%s", d->owner[0] ? d->owner : "unknown");
	snprintf(new->evidence, sizeof(new->evidence), "%s", d->evidence);
	new->old_rule = old_rule &&strcmp(new->owner, "unknown") != 0;
}

void report_arm_add(
	struct report_arm *arm, const struct store_trial *place, const struct trial_record *record)
{
	const struct endpoint_record *m = trial_measured(record);

	arm->trials = mem_grow(arm->trials, arm->trials_n + 1, sizeof(*arm->trials));
	struct report_trial *t = &arm->trials[arm->trials_n++];
	report_trial_fill(t, record);
	t->id = place->id;
	t->block = place->block;
	t->position = place->position;
	if (!t->usable)
		return;
	arm->usable++;
	report_knobs_count(&arm->knobs, record->knobs);
	merge(&arm->service, &m->service, m->has_service);
	merge(&arm->response, &m->response, m->has_lateness);
	merge(&arm->lateness, &m->lateness, m->has_lateness);
	merge(&arm->connect, &m->connect, m->has_parts);
	merge(&arm->first_reply, &m->first_reply, m->has_parts);
	const struct endpoint_record *client = &record->ends[END_CLIENT].record;
	for (size_t i = 0; i < client->worst_n; i++)
		add_worst(arm, &client->worst[i], &record->during[i], record->attribution < ATTRIBUTION_RULE);
}

double *report_arm_values(const struct report_arm *arm, enum stat_metric metric, size_t *n)
{
	double *values = mem_array(arm->trials_n, sizeof(*values));

	*n = 0;
	for (size_t i = 0; i < arm->trials_n; i++)
		if (arm->trials[i].usable && isfinite(arm->trials[i].value[metric]))
			values[(*n)++] = arm->trials[i].value[metric];
	return values;
}

static double median_cpu(const struct report_arm *arm, size_t end)
{
	AUTO_FREE double *values = mem_array(arm->trials_n, sizeof(*values));
	size_t n = 0;

	for (size_t i = 0; i < arm->trials_n; i++)
		if (arm->trials[i].usable && isfinite(arm->trials[i].cpu_ns[end]))
			values[n++] = arm->trials[i].cpu_ns[end];
	return n ? stat_median(values, n) : NAN;
}

void report_arm_close(struct report_arm *arm, enum stat_kind kind)
{
	enum stat_metric main = kind == STAT_STREAM ? STAT_THROUGHPUT : STAT_LATENCY_MEDIAN;
	const struct hist *latencies = arm->response ? arm->response : arm->service;
	AUTO_FREE double *iqr = mem_array(arm->trials_n, sizeof(*iqr));
	size_t n, iqr_n = 0;

	for (int m = 0; m < STAT_METRICS; m++) {
		AUTO_FREE double *values = report_arm_values(arm, (enum stat_metric)m, &n);
		arm->figure[m] = n ? stat_median(values, n) : NAN;
	}
	arm->min_ns = arm->max_ns = NAN;
	for (size_t i = 0; i < arm->trials_n; i++)
		if (arm->trials[i].usable) {
			arm->min_ns = fmin(arm->min_ns, arm->trials[i].min_ns);
			arm->max_ns = fmax(arm->max_ns, arm->trials[i].max_ns);
		}
	for (size_t i = 0; i < arm->trials_n; i++)
		if (arm->trials[i].usable && isfinite(arm->trials[i].throughput_iqr))
			iqr[iqr_n++] = arm->trials[i].throughput_iqr;
	arm->throughput_iqr = iqr_n ? stat_median(iqr, iqr_n) : NAN;

	for (size_t end = 0; end < ENDS_MAX; end++)
		arm->cpu_ns[end] = median_cpu(arm, end);
	AUTO_FREE double *values = report_arm_values(arm, main, &n);
	arm->bimodal = stat_trials_bimodal(values, n) || (latencies && stat_hist_bimodal(latencies));
}

void report_arm_clear(struct report_arm *arm)
{
	for (int m = 0; m < STAT_METRICS; m++)
		free(arm->paired[m]);
	free(arm->trials);
	free(arm->service);
	free(arm->response);
	free(arm->lateness);
	free(arm->connect);
	free(arm->first_reply);
}

void report_arm_count(const struct report_arm *arm, struct report_counts *out)
{
	*out = (struct report_counts){.trials = arm->trials_n, .usable = arm->usable, .disorder_known = true};
	for (size_t i = 0; i < arm->trials_n; i++) {
		const struct report_trial *t = &arm->trials[i];

		out->verified += t->verified;
		out->failed += t->outcome != TRIAL_DONE;
		out->transactions += t->transactions;
		out->sent += t->sent;
		out->lost += t->lost;
		out->timeouts += t->timeouts;
		out->reordered += t->reordered;
		out->duplicates += t->duplicates;
		out->late += t->late;
		out->overtaken += t->overtaken;
		out->disorder_known &= t->disorder_known;
		out->unknown |= t->unknown;
		out->dead_flows += t->dead_flows;
		out->retransmits += t->retransmits;
		for (int f = 0; f < REPORT_FLAGS_N; f++)
			out->flag[f] += t->flag[f];
		if (t->usable)
			out->stretch[t->stretch]++;
	}
}

static int by_count(const void *a, const void *b)
{
	const struct report_owner *x = a, *y = b;

	if (x->count != y->count)
		return x->count < y->count ? 1 : -1;
	return x->worst_ns < y->worst_ns ? 1 : x->worst_ns > y->worst_ns ? -1 : strcmp(x->name, y->name);
}

size_t report_arm_owners(const struct report_arm *arm, struct report_owner owners[WORST_MAX])
{
	size_t n = 0;

	for (size_t i = 0; i < arm->worst_n; i++) {
		const struct report_worst *w = &arm->worst[i];
		size_t k = 0;

		while (k < n && (strcmp(owners[k].name, w->owner) || owners[k].old_rule != w->old_rule))
			k++;
		if (k == n) {
			owners[n] = (struct report_owner){
				.worst_ns = w->response_ns, .evidence = w->evidence, .old_rule = w->old_rule};
			memcpy(owners[n++].name, w->owner, sizeof(w->owner));
		}
		owners[k].count++;
	}
	qsort(owners, n, sizeof(*owners), by_count);
	return n;
}
