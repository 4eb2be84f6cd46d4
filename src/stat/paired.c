/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Paired comparison: one difference per block, drift of the machine taken out by the pairing.
 *
 * Estimate, interval and p-value are one method seen from three sides.  The Walsh averages are all (dᵢ +
 * dⱼ)/2, i ≤ j. Wilcoxon's W⁺ counts those that are positive, so the interval that inverts his test runs
 * between two order statistics of them, [w₍ₖ₎, w₍M+1−k₎], and the middle one is the estimate.  k comes from
 * the exact distribution of W⁺: with few blocks it makes steps, so the attained coverage is part of the
 * answer, and below six blocks even the outermost pair covers less than 95 %.
 */
#include "exact.h"

#include <gsl/gsl_cdf.h>
#include <math.h>

/* Asymptotic relative efficiency of the signed-rank test on normal data, 3/π, and the blocks its steps cost.
 */
#define WILCOXON_EFFICIENCY 0.955
#define WILCOXON_EXTRA      2
#define POWER               0.80

void stat_log_ratios(const double *a, const double *b, size_t n, double *d)
{
	for (size_t i = 0; i < n; i++)
		d[i] = log(b[i] / a[i]);
}

static double *walsh_averages(const double *d, size_t n, size_t *m)
{
	double *walsh = mem_array(n * (n + 1) / 2, sizeof(*walsh));

	*m = 0;
	for (size_t i = 0; i < n; i++)
		for (size_t j = i; j < n; j++)
			walsh[(*m)++] = (d[i] + d[j]) / 2;
	sort_values(walsh, *m);
	return walsh;
}

static struct stat_interval walsh_interval(
	const double *walsh, size_t n, const double *null, double confidence)
{
	size_t m = n * (n + 1) / 2;
	double below;
	size_t k = tail_count(null, m + 1, confidence, &below);

	if (!k) {
		k = 1;
		below = null[0];
	}
	return (struct stat_interval){walsh[k - 1], walsh[m - k], 1 - 2 * below, k};
}

static void signed_rank(const double *d, size_t n, struct stat_paired *out)
{
	AUTO_FREE double *size = mem_array(n, sizeof(*size));
	AUTO_FREE uint32_t *ranks = mem_array(n, sizeof(*ranks));
	size_t kept = 0, len, w = 0;

	for (size_t i = 0; i < n; i++)
		if (d[i] != 0)
			size[kept++] = fabs(d[i]);
	double_midranks(size, kept, ranks);
	AUTO_FREE double *null = signed_rank_distribution(ranks, kept, &len);

	for (size_t i = 0, j = 0; i < n; i++) {
		if (d[i] == 0)
			continue;
		if (d[i] > 0)
			w += ranks[j];
		j++;
	}
	/* The distribution is symmetric: the tail towards the nearer end, twice. */
	size_t end = MIN(w, len - 1 - w);
	double tail = 0;

	for (size_t s = 0; s <= end; s++)
		tail += null[s];
	out->n_nonzero = kept;
	out->w_plus = (double)w / 2;
	out->p = MIN(1.0, 2 * tail);
}

void stat_paired_estimate(const double *d, size_t n, struct stat_paired *out)
{
	const struct stat_interval none = {NAN, NAN, NAN, 0};

	*out = (struct stat_paired){.n = n, .estimate = NAN, .sd = NAN, .ci95 = none, .ci90 = none, .p = NAN};
	if (!n)
		return;
	size_t m, len;
	AUTO_FREE double *walsh = walsh_averages(d, n, &m);
	AUTO_FREE uint32_t *ranks = mem_array(n, sizeof(*ranks));

	for (size_t i = 0; i < n; i++)
		ranks[i] = (uint32_t)i + 1;
	AUTO_FREE double *null = signed_rank_distribution(ranks, n, &len);

	out->estimate = (walsh[(m - 1) / 2] + walsh[m / 2]) / 2;
	out->sd = stat_sd(d, n);
	out->ci95 = walsh_interval(walsh, n, null, 0.95);
	out->ci90 = walsh_interval(walsh, n, null, 0.90);
	signed_rank(d, n, out);
}

void stat_holm(double *p, size_t m)
{
	AUTO_FREE double *sorted = sorted_copy(p, m);

	for (size_t j = 0; j < m; j++) {
		double adjusted = 0;

		for (size_t i = 0; i < m && sorted[i] <= p[j]; i++)
			adjusted = MAX(adjusted, (double)(m - i) * sorted[i]);
		p[j] = MIN(1.0, adjusted);
	}
}

/* z₁₋α/₂ₘ + z₀.₈: how many standard errors apart no effect and the effect to be found must be. */
static double distance(size_t m)
{
	return gsl_cdf_ugaussian_Qinv(STAT_ALPHA / (2 * (double)m)) + gsl_cdf_ugaussian_Pinv(POWER);
}

/* Can the least two-sided p of n blocks, 2·2⁻ⁿ, pass Holm over m? */
static bool can_pass(size_t n, size_t m)
{
	return 2 * exp2(-(double)n) * (double)m <= STAT_ALPHA;
}

size_t stat_blocks_needed(double sd, double ratio, size_t m)
{
	double root = distance(m) * sd / fabs(log(ratio));
	double blocks = ceil(root * root / WILCOXON_EFFICIENCY + WILCOXON_EXTRA);
	size_t n = blocks < 1e9 ? (size_t)blocks : 1000000000;

	while (!can_pass(n, m))
		n++;
	return n;
}

double stat_detectable(double sd, size_t n, size_t m)
{
	if (!m || n <= WILCOXON_EXTRA || !can_pass(n, m))
		return NAN;
	return distance(m) * sd / sqrt((double)(n - WILCOXON_EXTRA) * WILCOXON_EFFICIENCY);
}
