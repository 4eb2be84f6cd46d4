/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * All metrics of one cell for one pair of arms.
 *
 * Who asks four questions of the same trials gets one false yes more often than at 5 %.  Holm's correction
 * holds that for the family of the primaries that can be judged; the other metrics are exploratory: numbers
 * and intervals, no verdict.  Tails come in by the number of transactions behind them.  And since the SD of
 * latencies with a heavy tail is the square of its few largest ones, a claim about an SD stands only if the
 * bulk of the distribution (the IQR, or p99 − p50) moved the same way.  On an emulated machine the tails
 * belong to the emulation, and only the metrics whose row says so are judged.
 */
#include "exact.h"

#include <math.h>

static bool has(const struct stat_cell *cell, enum stat_metric metric)
{
	return cell->a[metric] && cell->b[metric];
}

static void measure(const struct stat_cell *cell, enum stat_metric metric, struct stat_effect *out)
{
	if (cell->unpaired)
		stat_effect_measure_unpaired(metric, cell, out);
	else
		stat_effect_measure(metric, cell->a[metric], cell->b[metric], MIN(cell->n_a, cell->n_b), out);
}

/* The effect on p99 − p50, as if it were a metric of its own. */
static double tail_width_effect(const struct stat_cell *cell)
{
	const enum stat_metric high = STAT_LATENCY_P99, low = STAT_LATENCY_MEDIAN;
	struct stat_cell width = *cell;
	struct stat_effect e;

	if (!has(cell, high) || !has(cell, low) || !stat_quantile_printable(0.99, cell->transactions))
		return NAN;
	AUTO_FREE double *a = mem_array(cell->n_a, sizeof(*a));
	AUTO_FREE double *b = mem_array(cell->n_b, sizeof(*b));

	for (size_t i = 0; i < cell->n_a; i++)
		a[i] = cell->a[high][i] - cell->a[low][i];
	for (size_t i = 0; i < cell->n_b; i++)
		b[i] = cell->b[high][i] - cell->b[low][i];
	width.a[high] = a;
	width.b[high] = b;
	measure(&width, high, &e);
	return e.shift;
}

static bool same_sign(double a, double b)
{
	return (a > 0 && b > 0) || (a < 0 && b < 0);
}

static void check_sd(const struct stat_cell *cell, struct stat_effect *sd)
{
	struct stat_effect iqr = {.shift = NAN};
	bool claims = sd->verdict == STAT_IMPROVED || sd->verdict == STAT_REGRESSED ||
		      sd->verdict == STAT_CHANGED_BELOW_THRESHOLD;

	if (sd->metric != STAT_LATENCY_SD || !claims)
		return;
	if (has(cell, STAT_LATENCY_IQR))
		measure(cell, STAT_LATENCY_IQR, &iqr);
	double tail = tail_width_effect(cell);

	if (same_sign(sd->shift, iqr.shift) || same_sign(sd->shift, tail))
		return;
	sd->verdict = STAT_NOT_ASSESSED;
	sd->reason = isnan(iqr.shift) && isnan(tail) ? STAT_REASON_SD_UNCONFIRMED : STAT_REASON_RARE_EXTREMES;
}

/* Tails without enough behind them: no verdict below the one bound, not even numbers below the other. */
static void check_tail(const struct stat_cell *cell, struct stat_effect *e)
{
	double q = stat_metrics[e->metric].quantile;

	if (q <= 0 || stat_quantile_judgeable(q, cell->transactions))
		return;
	if (!stat_quantile_printable(q, cell->transactions)) {
		size_t n = e->n_blocks;
		enum stat_metric metric = e->metric;
		bool primary = e->primary;

		stat_effect_measure(metric, NULL, NULL, 0, e);
		e->n_blocks = n;
		e->primary = primary;
	}
	e->verdict = STAT_NOT_ASSESSED;
	e->reason = STAT_REASON_FEW_TRANSACTIONS;
	e->transactions = cell->transactions;
}

static bool beyond_emulation(const struct stat_cell *cell, enum stat_metric metric)
{
	return cell->emulated && !stat_metrics[metric].emulated;
}

static void check_emulated(const struct stat_cell *cell, struct stat_effect *e)
{
	if (!e->primary || !beyond_emulation(cell, e->metric))
		return;
	e->verdict = STAT_NOT_ASSESSED;
	e->reason = STAT_REASON_EMULATED;
	e->kind = cell->kind;
}

static bool can_be_judged(const struct stat_cell *cell, const struct stat_effect *e)
{
	double q = stat_metrics[e->metric].quantile;

	return e->primary && !beyond_emulation(cell, e->metric) && e->n_blocks >= STAT_VERDICT_BLOCKS &&
	       (q <= 0 || stat_quantile_judgeable(q, cell->transactions));
}

/*
 * The same in all blocks of both arms, as a loss of nothing.  Whatever the order of the arms, p would be 1;
 * so it is no member of the family, in which the others would pay for it (Tarone 1990).
 */
static bool is_same(const struct stat_effect *e)
{
	return e->shift == 0 && e->sd == 0;
}

/* Sets p_holm of what is judged; returns how many the family has. */
static size_t adjust(const struct stat_cell *cell, struct stat_effect *effects, size_t n)
{
	double p[STAT_METRICS];
	size_t m = 0;

	for (size_t i = 0; i < n; i++)
		if (can_be_judged(cell, &effects[i]) && !is_same(&effects[i]))
			p[m++] = effects[i].p;
	stat_holm(p, m);
	for (size_t i = 0, j = 0; i < n; i++)
		if (can_be_judged(cell, &effects[i]))
			effects[i].p_holm = is_same(&effects[i]) ? 1 : p[j++];
	return m;
}

size_t stat_cell_compare(const struct stat_cell *cell, const struct stat_deltas *deltas,
	struct stat_effect effects[STAT_METRICS])
{
	size_t n = 0;

	for (int i = 0; i < STAT_METRICS; i++) {
		enum stat_metric metric = (enum stat_metric)i;
		struct stat_effect *e = &effects[n];

		if (!has(cell, metric))
			continue;
		measure(cell, metric, e);
		e->primary = stat_metrics[metric].primary[cell->kind];
		if (deltas)
			e->delta *= deltas->of[metric] / stat_metrics[metric].delta;
		n++;
	}
	size_t m = adjust(cell, effects, n);

	for (size_t i = 0; i < n; i++) {
		struct stat_effect *e = &effects[i];

		stat_effect_judge(e, isnan(e->p_holm) ? 1 : m);
		check_sd(cell, e);
		check_tail(cell, e);
		check_emulated(cell, e);
	}
	return n;
}

size_t stat_effects_judged(const struct stat_effect *effects, size_t n)
{
	size_t judged = 0;

	for (size_t i = 0; i < n; i++)
		judged += !isnan(effects[i].p_holm);
	return judged;
}

double stat_false_claims_expected(size_t families)
{
	return STAT_ALPHA * (double)families;
}
