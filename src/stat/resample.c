/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The bootstrap: how far would a figure move if other blocks of the same kind had been measured?
 *
 * Units are drawn with replacement as often as there are units, and the figure is computed anew, many times.
 * A unit is a whole block (or a whole trial), never a transaction, so that what the transactions of a trial
 * have in common stays together.  One sample is drawn by itself, or two independent ones, the first first.
 * Draws come from splitmix64, so a seed says all: the same seed gives the same figures on every machine.
 *
 * Two intervals come of it (Efron and Tibshirani 1993, chapters 13 and 14).  The percentile interval is
 * between two quantiles of the replicates.  BCa moves these two for the bias, z0, from the share of
 * replicates below the estimate (equal ones count half), and for the skewness, the acceleration, from leaving
 * out one unit at a time.  With ten blocks both cover some 89 % where 95 % are asked for: they are for bands
 * on curves; the intervals of effects are those of paired.c.
 */
#include "exact.h"

#include <gsl/gsl_cdf.h>
#include <math.h>

struct draw {
	size_t *unit[2], n[2];
};

static double figure(const struct stat_resampling *r, const struct draw *d)
{
	return r->figure(r->context, d->unit[0], d->n[0], d->unit[1], d->n[1]);
}

static void draw_all(const struct stat_resampling *r, struct draw *d)
{
	for (int s = 0; s < 2; s++) {
		d->n[s] = r->n[s];
		for (size_t i = 0; i < r->n[s]; i++)
			d->unit[s][i] = i;
	}
}

/* Adds the squares and cubes of the influence of each unit of one sample, estimated by leaving it out. */
static void jackknife(const struct stat_resampling *r, int sample, double *squares, double *cubes)
{
	size_t n = r->n[sample];
	AUTO_FREE double *without = mem_array(n, sizeof(*without));
	AUTO_FREE size_t *first = mem_array(r->n[0], sizeof(*first));
	AUTO_FREE size_t *second = mem_array(r->n[1], sizeof(*second));
	struct draw d = {.unit = {first, second}};

	for (size_t out = 0; out < n; out++) {
		draw_all(r, &d);
		for (size_t i = out; i + 1 < n; i++)
			d.unit[sample][i] = i + 1;
		d.n[sample] = n - 1;
		without[out] = figure(r, &d);
	}
	double mean = stat_mean(without, n), share = (double)(n - 1) / (double)n;

	for (size_t i = 0; i < n; i++) {
		double influence = share * (mean - without[i]);

		*squares += influence * influence;
		*cubes += influence * influence * influence;
	}
}

static double acceleration(const struct stat_resampling *r)
{
	double squares = 0, cubes = 0;

	for (int s = 0; s < 2; s++)
		if (r->n[s] > 1)
			jackknife(r, s, &squares, &cubes);
	return squares > 0 ? cubes / (6 * pow(squares, 1.5)) : 0;
}

static void corrected(const double *sorted, const struct stat_resampling *r, struct stat_bootstrap *out)
{
	double below = 0;

	for (size_t i = 0; i < r->rounds; i++)
		below += sorted[i] == out->estimate ? 0.5 : sorted[i] < out->estimate;
	out->z0 = gsl_cdf_ugaussian_Pinv(below / (double)r->rounds);
	out->acceleration = acceleration(r);
	for (int end = 0; end < 2; end++) {
		double tail = (1 - r->confidence) / 2;
		double z = out->z0 + gsl_cdf_ugaussian_Pinv(end ? 1 - tail : tail);
		double p = gsl_cdf_ugaussian_P(out->z0 + z / (1 - out->acceleration * z));

		out->bca_at[end] = isfinite(out->z0) ? p : NAN;
		out->bca[end] = isfinite(out->z0) ? sorted_quantile(sorted, r->rounds, p) : NAN;
	}
}

void stat_bootstrap(const struct stat_resampling *r, double *replicates, struct stat_bootstrap *out)
{
	AUTO_FREE double *values = mem_array(r->rounds, sizeof(*values));
	AUTO_FREE size_t *first = mem_array(r->n[0], sizeof(*first));
	AUTO_FREE size_t *second = mem_array(r->n[1], sizeof(*second));
	struct draw d = {.unit = {first, second}};
	uint64_t seed = r->seed;
	double tail = (1 - r->confidence) / 2;

	draw_all(r, &d);
	*out = (struct stat_bootstrap){.estimate = figure(r, &d)};
	for (size_t i = 0; i < r->rounds; i++) {
		for (int s = 0; s < 2; s++)
			for (size_t k = 0; k < r->n[s]; k++)
				d.unit[s][k] = rng_below(&seed, (uint32_t)r->n[s]);
		values[i] = figure(r, &d);
		if (replicates)
			replicates[i] = values[i];
	}
	out->sd = stat_sd(values, r->rounds);
	sort_values(values, r->rounds);
	out->percentile[0] = sorted_quantile(values, r->rounds, tail);
	out->percentile[1] = sorted_quantile(values, r->rounds, 1 - tail);
	corrected(values, r, out);
}
