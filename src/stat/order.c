/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Quantiles and what order statistics say about them.
 *
 * How many of n values fall below the true quantile p is binomial, whatever the distribution: that gives
 * intervals without assumptions, and says from how many transactions on a tail has anything in it.  With ten
 * values expected beyond it a quantile is worth printing; its sampling noise is then still some ten percent
 * of its rank, and only with a hundred is a difference worth a verdict.
 */
#include "exact.h"

#include <gsl/gsl_cdf.h>
#include <math.h>

double stat_quantile_hd(const double *x, size_t n, double p)
{
	AUTO_FREE double *sorted = sorted_copy(x, n);
	double a = (double)(n + 1) * p, b = (double)(n + 1) * (1 - p), sum = 0;

	if (!n || !(p > 0 && p < 1))
		return NAN;
	/* Each weight from the nearer tail, where the difference of two small numbers loses nothing. */
	for (size_t i = 0; i < n; i++) {
		double from = (double)i / (double)n, to = (double)(i + 1) / (double)n;
		double weight = to <= p ? gsl_cdf_beta_P(to, a, b) - gsl_cdf_beta_P(from, a, b)
					: gsl_cdf_beta_Q(from, a, b) - gsl_cdf_beta_Q(to, a, b);

		sum += weight * sorted[i];
	}
	return sum;
}

/* P(K ≤ k) for K binomial(n, p); k may be −1 or beyond n. */
static double binomial_below(long k, double p, size_t n)
{
	if (k < 0)
		return 0;
	return k >= (long)n ? 1 : gsl_cdf_binomial_P((unsigned)k, p, (unsigned)n);
}

/* The least k in 0..n with P(K ≤ k) ≥ target (or > target when strict), by halving. */
static size_t binomial_reach(size_t n, double p, double target, bool strict)
{
	size_t low = 0, high = n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		double below = binomial_below((long)middle, p, n);

		if (strict ? below > target : below >= target)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

double stat_quantile_ranks(size_t n, double p, double confidence, size_t *l, size_t *u)
{
	double tail = (1 - confidence) / 2, room = 1e-12;

	/* The largest l with P(K ≤ l − 1) ≤ tail is the least k with P(K ≤ k) > tail; for u the least from
	 * above. */
	*l = binomial_reach(n, p, tail * (1 + room), true);
	*u = binomial_reach(n, p, (1 - tail) * (1 - room), false) + 1;
	return binomial_below((long)*u - 1, p, n) - binomial_below((long)*l - 1, p, n);
}

struct stat_interval stat_median_interval(const double *x, size_t n, double confidence)
{
	AUTO_FREE double *sorted = sorted_copy(x, n);
	size_t l, u;
	double coverage = stat_quantile_ranks(n, 0.5, confidence, &l, &u);

	if (!l || u > n)
		return (struct stat_interval){NAN, NAN, NAN, 0};
	return (struct stat_interval){sorted[l - 1], sorted[u - 1], coverage, l};
}

/*
 * The end of Clopper and Pearson's interval: the p at which the tail of the beta distribution is `tail`, by
 * halving, since GSL's inverse aborts the program where its own search does not converge.
 */
static double proportion_end(double tail, double a, double b)
{
	double low = 0, high = 1;

	for (int i = 0; i < 1100 && low < high; i++) {
		double middle = low + (high - low) / 2;

		if (middle <= low || middle >= high)
			break;
		if (gsl_cdf_beta_P(middle, a, b) < tail)
			low = middle;
		else
			high = middle;
	}
	return high;
}

struct stat_interval stat_proportion_interval(size_t k, size_t n, double confidence)
{
	double tail = (1 - confidence) / 2, hits = (double)k, misses = (double)(n - k);

	if (!n || k > n)
		return (struct stat_interval){NAN, NAN, NAN, 0};
	return (struct stat_interval){
		.low = k ? proportion_end(tail, hits, misses + 1) : 0,
		/* From the other side: 1 − tail would lose the digits of a small tail. */
		.high = k < n ? 1 - proportion_end(tail, misses, hits + 1) : 1,
		.coverage = confidence,
	};
}

uint64_t stat_quantile_least(double p, unsigned beyond)
{
	if (!(p < 1))
		return UINT64_MAX;
	return (uint64_t)ceil(beyond / (1 - p) * (1 - 1e-10)); /* 0.999 is taken for 999/1000 */
}

bool stat_quantile_printable(double p, uint64_t n)
{
	return n >= stat_quantile_least(p, STAT_PRINTABLE_BEYOND);
}

bool stat_quantile_judgeable(double p, uint64_t n)
{
	return n >= stat_quantile_least(p, STAT_JUDGED_BEYOND);
}
