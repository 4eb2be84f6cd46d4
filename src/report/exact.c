/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The exact clock: no noise, so one trial of an arm is the answer, and what lies between two arms is a fact.
 * Further trials of an arm can only show that it repeats.  A metric in which they differ is no fact, and is
 * not assessed.
 */
#include "model.h"

#include <math.h>

static bool same(double a, double b)
{
	return isnan(a) || isnan(b) ? isnan(a) && isnan(b) : !(a < b) && !(a > b);
}

bool report_exact_repeats(const struct report_arm *arm, enum stat_metric metric)
{
	const struct report_trial *first = NULL;

	for (size_t i = 0; i < arm->trials_n; i++) {
		const struct report_trial *t = &arm->trials[i];

		if (!t->usable)
			continue;
		if (first && !same(first->value[metric], t->value[metric]))
			return false;
		first = t;
	}
	return true;
}

bool report_exact_identical(const struct report_arm *a, const struct report_arm *b)
{
	const struct report_arm *arms[] = {a, b};
	const uint64_t *first = NULL;

	for (size_t k = 0; k < ARRAY_LEN(arms); k++)
		for (size_t i = 0; arms[k] && i < arms[k]->trials_n; i++) {
			const struct report_trial *t = &arms[k]->trials[i];

			if (!t->usable)
				continue;
			if (first && *first != t->digest)
				return false;
			first = &t->digest;
		}
	return first != NULL;
}

void report_exact_compare(const struct report_arm *old, const struct report_arm *new, enum stat_kind kind,
	const struct stat_deltas *deltas, struct report_effects *out)
{
	out->exact = true;
	out->n = 0;
	for (int i = 0; i < STAT_METRICS; i++) {
		enum stat_metric metric = (enum stat_metric)i;
		struct stat_effect *e = &out->effects[out->n];

		if (!isfinite(old->figure[i]) || !isfinite(new->figure[i]))
			continue;
		out->n++;
		stat_effect_fact(metric, old->figure[i], new->figure[i], deltas, e);
		e->primary = stat_metrics[i].primary[kind];
		e->n_blocks = MIN(old->usable, new->usable);
		if (report_exact_repeats(old, metric) && report_exact_repeats(new, metric))
			continue;
		e->verdict = STAT_NOT_ASSESSED;
		e->reason = STAT_REASON_NOT_REPEATABLE;
	}
	out->run_to_run = (struct stat_run_to_run){.sd_a = NAN, .sd_b = NAN, .ratio = NAN};
}
