/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Facts: two values of a clock without noise, and what lies between them.  There is no p and no interval,
 * since nothing was sampled: the same inputs give the same value again.  A gate holds a fact against the same
 * δ, on the same scale, as it holds an estimate.
 */
#include "exact.h"

#include <math.h>

void stat_effect_fact(enum stat_metric metric, double a, double b, const struct stat_deltas *deltas,
	struct stat_effect *out)
{
	*out = stat_effect_none(metric);
	if (deltas)
		out->delta = deltas->of[metric];
	if (!isfinite(a) || !isfinite(b)) {
		out->reason = STAT_REASON_NO_VALUE;
		return;
	}
	out->n_blocks = 1;
	out->verdict = STAT_FACT;
	out->difference = b - a;
	out->absolute |= !(a > 0) || !(b > 0);
	if (out->absolute && !stat_metrics[metric].absolute)
		out->delta *= fabs(a);
	out->change = a > 0 ? (b - a) / a : NAN;
	out->change_of_new = b > 0 ? (b - a) / b : NAN;
	if (!out->absolute)
		out->ratio = b / a;
	out->shift = out->absolute ? b - a : log(out->ratio);
}

bool stat_effect_worse(const struct stat_effect *e)
{
	bool up = e->shift > 0;

	if (e->verdict != STAT_FACT)
		return e->verdict == STAT_REGRESSED;
	return up != stat_metrics[e->metric].higher_is_better && e->shift != 0 &&
	       fabs(e->shift) >= stat_effect_threshold(e);
}
