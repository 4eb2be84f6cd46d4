/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One metric of two arms: the numbers, and the word for them.
 *
 * The scale of the test is the logarithm, where a ratio is a shift and to swap the arms changes a sign and
 * nothing else; it is the plain difference where a value can be 0.  A verdict needs both: p below 0.05 after
 * Holm (there is a difference) and an estimate of at least δ (it matters).  That nothing was found is not
 * that nothing is there: only a 90 % interval inside ±δ (two one-sided tests at 5 %) says "equivalent", and
 * otherwise the effect that could have been missed goes with the words.
 */
#include "exact.h"

#include <math.h>

struct numbers {
	double estimate, sd, p;
	struct stat_interval ci95, ci90;
};

static bool all_positive(const double *x, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!(x[i] > 0))
			return false;
	return true;
}

static double *without_missing(const double *x, size_t n, size_t *kept)
{
	double *out = mem_array(n, sizeof(*out));

	*kept = 0;
	for (size_t i = 0; i < n; i++)
		if (isfinite(x[i]))
			out[(*kept)++] = x[i];
	return out;
}

static double from_scale(const struct stat_effect *e, double value)
{
	return e->absolute ? value : exp(value);
}

/* From the scale of the test to what is printed. */
static void fill(struct stat_effect *e, const struct numbers *n, double median_a, double median_b)
{
	e->shift = n->estimate;
	e->sd = n->sd;
	if (e->absolute) {
		e->difference = n->estimate;
		e->change = median_a > 0 ? n->estimate / median_a : NAN;
		e->change_of_new = median_b > 0 ? n->estimate / median_b : NAN;
	} else {
		e->ratio = exp(n->estimate);
		e->change = expm1(n->estimate);
		e->change_of_new = -expm1(-n->estimate);
	}
	if (e->absolute && !stat_metrics[e->metric].absolute)
		e->delta *= median_a;
	if (e->n_blocks < STAT_INTERVAL_BLOCKS)
		return;
	e->ci95[0] = from_scale(e, n->ci95.low);
	e->ci95[1] = from_scale(e, n->ci95.high);
	e->ci90[0] = from_scale(e, n->ci90.low);
	e->ci90[1] = from_scale(e, n->ci90.high);
	e->shift_ci90[0] = n->ci90.low;
	e->shift_ci90[1] = n->ci90.high;
	e->coverage = n->ci95.coverage;
	e->p = n->p;
}

struct stat_effect stat_effect_none(enum stat_metric metric)
{
	return (struct stat_effect){.metric = metric,
		.absolute = stat_metrics[metric].absolute,
		.delta = stat_metrics[metric].delta,
		.ratio = NAN,
		.difference = NAN,
		.change = NAN,
		.change_of_new = NAN,
		.ci95 = {NAN, NAN},
		.ci90 = {NAN, NAN},
		.coverage = NAN,
		.p = NAN,
		.p_holm = NAN,
		.mde = NAN,
		.shift = NAN,
		.shift_ci90 = {NAN, NAN},
		.sd = NAN};
}

void stat_effect_measure(
	enum stat_metric metric, const double *a, const double *b, size_t n, struct stat_effect *out)
{
	AUTO_FREE double *x = mem_array(n, sizeof(*x));
	AUTO_FREE double *y = mem_array(n, sizeof(*y));
	AUTO_FREE double *d = mem_array(n, sizeof(*d));
	struct stat_paired paired;
	size_t kept = 0;

	*out = stat_effect_none(metric);
	for (size_t i = 0; i < n; i++) {
		if (!isfinite(a[i]) || !isfinite(b[i]))
			continue;
		x[kept] = a[i];
		y[kept++] = b[i];
	}
	out->n_blocks = kept;
	if (!kept)
		return;
	out->absolute |= !all_positive(x, kept) || !all_positive(y, kept);
	if (out->absolute)
		for (size_t i = 0; i < kept; i++)
			d[i] = y[i] - x[i];
	else
		stat_log_ratios(x, y, kept, d);
	stat_paired_estimate(d, kept, &paired);
	fill(out, &(struct numbers){paired.estimate, paired.sd, paired.p, paired.ci95, paired.ci90},
		stat_median(x, kept), stat_median(y, kept));
}

void stat_effect_measure_unpaired(
	enum stat_metric metric, const struct stat_cell *cell, struct stat_effect *out)
{
	size_t nx, ny;
	AUTO_FREE double *x = without_missing(cell->a[metric], cell->n_a, &nx);
	AUTO_FREE double *y = without_missing(cell->b[metric], cell->n_b, &ny);
	struct stat_mwu mwu;

	*out = stat_effect_none(metric);
	out->n_blocks = MIN(nx, ny);
	if (!out->n_blocks)
		return;
	double median_x = stat_median(x, nx), median_y = stat_median(y, ny);

	out->absolute |= !all_positive(x, nx) || !all_positive(y, ny);
	if (!out->absolute) {
		for (size_t i = 0; i < nx; i++)
			x[i] = log(x[i]);
		for (size_t i = 0; i < ny; i++)
			y[i] = log(y[i]);
	}
	struct stat_shift wide = stat_shift(x, nx, y, ny, 0.95), narrow = stat_shift(x, nx, y, ny, 0.90);
	double sx = stat_sd(x, nx), sy = stat_sd(y, ny), fewer = (double)out->n_blocks;

	stat_mann_whitney(x, nx, y, ny, &mwu);
	/* The SD that the differences of so many pairs would have: what the sums of both sides amount to. */
	double sd = sqrt(fewer * (sx * sx / (double)nx + sy * sy / (double)ny));

	fill(out, &(struct numbers){wide.estimate, sd, mwu.p, wide.ci, narrow.ci}, median_x, median_y);
}

double stat_effect_threshold(const struct stat_effect *e)
{
	/* Values like 1.02 are not exact in binary: the factor is for effects that are δ itself. */
	return (e->absolute ? e->delta : log1p(e->delta)) * (1 - 1e-12);
}

static enum stat_verdict word(const struct stat_effect *e)
{
	double threshold = stat_effect_threshold(e);
	bool up = e->shift > 0;

	if (e->p_holm < STAT_ALPHA && fabs(e->shift) >= threshold)
		return up == stat_metrics[e->metric].higher_is_better ? STAT_IMPROVED : STAT_REGRESSED;
	if (e->p_holm < STAT_ALPHA)
		return STAT_CHANGED_BELOW_THRESHOLD;
	if (e->shift_ci90[0] >= -threshold && e->shift_ci90[1] <= threshold)
		return STAT_EQUIVALENT;
	return STAT_NO_DIFFERENCE_SHOWN;
}

void stat_effect_judge(struct stat_effect *e, size_t m)
{
	double detectable = stat_detectable(e->sd, e->n_blocks, m);

	e->mde = e->absolute ? detectable : expm1(detectable);
	e->verdict = STAT_NOT_ASSESSED;
	e->reason = e->n_blocks < STAT_INTERVAL_BLOCKS  ? STAT_REASON_FEW_FOR_INTERVAL
		    : e->n_blocks < STAT_VERDICT_BLOCKS ? STAT_REASON_FEW_FOR_VERDICT
		    : isnan(e->p_holm)                  ? STAT_REASON_EXPLORATORY
							: STAT_REASON_NONE;
	if (e->reason == STAT_REASON_NONE)
		e->verdict = word(e);
}
