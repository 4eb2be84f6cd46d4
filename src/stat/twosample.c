/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Two samples that were not interleaved: trial values of two files.
 *
 * The Mann-Whitney test counts the pairs in which x beats y, which is the rank sum of x up to a constant; its
 * null distribution is that of drawing so many ranks out of the pooled ones, exact also when there are ties
 * (it is then conditional on them).  The interval for the shift inverts the same test: order statistics of
 * all differences yⱼ − xᵢ, their number from the distribution without ties, which makes it cautious when
 * there are some.  A ratio is a shift of logarithms.
 *
 * Without blocks nothing takes out what changed on the machine between the two files; who prints these says
 * so.
 */
#include "exact.h"

#include <gsl/gsl_cdf.h>
#include <math.h>

#define EXACT_MOST 200 /* values in both samples; the work grows with the fourth power */

static double two_sided(double z)
{
	return MIN(1.0, 2 * gsl_cdf_ugaussian_Q(z));
}

static void exact_p(const uint32_t *ranks, size_t n, size_t k, struct stat_mwu *out)
{
	size_t len, sum = 0;
	AUTO_FREE double *null = rank_sum_distribution(ranks, n, k, &len);
	double below = 0, above = 0, far = 0;

	for (size_t i = 0; i < k; i++)
		sum += ranks[i];
	/* Twice the sum against twice its mean, k/n of all ranks: whole numbers, times n. */
	double total = (double)(len - 1), mean = total * (double)k / (double)n;
	double distance = fabs((double)sum - mean) * (1 - 1e-12);

	for (size_t s = 0; s < len; s++) {
		below += s <= sum ? null[s] : 0;
		above += s >= sum ? null[s] : 0;
		far += fabs((double)s - mean) >= distance ? null[s] : 0;
	}
	out->p = MIN(1.0, far);
	out->p_double = MIN(1.0, 2 * MIN(below, above));
}

void stat_mann_whitney(const double *x, size_t nx, const double *y, size_t ny, struct stat_mwu *out)
{
	size_t n = nx + ny, pairs = nx * ny;

	*out = (struct stat_mwu){.u_x = NAN, .u_y = NAN, .p = NAN, .p_double = NAN, .z = NAN, .z_cc = NAN};
	out->p_normal = out->p_normal_cc = NAN;
	if (!pairs)
		return;
	AUTO_FREE double *pool = mem_array(n, sizeof(*pool));
	AUTO_FREE uint32_t *ranks = mem_array(n, sizeof(*ranks));

	memcpy(pool, x, nx * sizeof(*x));
	memcpy(pool + nx, y, ny * sizeof(*y));
	double ties = double_midranks(pool, n, ranks), sum = 0, total = (double)n;

	for (size_t i = 0; i < n; i++) {
		sum += i < nx ? ranks[i] / 2.0 : 0;
		ranks[i] /= ties > 0 ? 1 : 2;
	}
	out->ties = ties > 0;
	out->u_x = sum - (double)nx * (double)(nx + 1) / 2;
	out->u_y = (double)pairs - out->u_x;

	double off = fabs(out->u_x - (double)pairs / 2);
	double variance = (double)pairs / 12 * (total + 1 - ties / (total * (total - 1)));

	out->p_normal = out->p_normal_cc = 1;
	if (variance > 0) {
		out->z = off / sqrt(variance);
		out->z_cc = (off - 0.5) / sqrt(variance);
		out->p_normal = two_sided(out->z);
		out->p_normal_cc = two_sided(out->z_cc);
	}
	out->exact = n <= EXACT_MOST;
	out->p = out->p_double = out->p_normal_cc;
	if (out->exact)
		exact_p(ranks, n, nx, out);
}

/* k for the interval of the shift, and P(U ≤ k − 1): exact, or from the normal distribution for large
 * samples. */
static size_t shift_rank(size_t nx, size_t ny, double confidence, double *below)
{
	size_t n = nx + ny, len, first = nx * (nx + 1) / 2, k;
	double mean = (double)nx * (double)ny / 2, sd = sqrt(mean * (double)(n + 1) / 6);

	if (n > EXACT_MOST) {
		double at = mean - 0.5 - gsl_cdf_ugaussian_Qinv((1 - confidence) / 2) * sd;

		k = at > 0 ? (size_t)at + 1 : 1;
		*below = gsl_cdf_ugaussian_P(((double)k - 0.5 - mean) / sd);
		return k;
	}
	AUTO_FREE uint32_t *ranks = mem_array(n, sizeof(*ranks));

	for (size_t i = 0; i < n; i++)
		ranks[i] = (uint32_t)i + 1;
	AUTO_FREE double *null = rank_sum_distribution(ranks, n, nx, &len);

	k = tail_count(null + first, len - first, confidence, below);
	if (!k)
		*below = null[first];
	return MAX(k, (size_t)1);
}

struct stat_shift stat_shift(const double *x, size_t nx, const double *y, size_t ny, double confidence)
{
	size_t m = nx * ny;
	double below;

	if (!m)
		return (struct stat_shift){NAN, {NAN, NAN, NAN, 0}};
	AUTO_FREE double *d = mem_array(m, sizeof(*d));

	for (size_t i = 0; i < nx; i++)
		for (size_t j = 0; j < ny; j++)
			d[i * ny + j] = y[j] - x[i];
	sort_values(d, m);
	size_t k = shift_rank(nx, ny, confidence, &below);

	return (struct stat_shift){
		.estimate = (d[(m - 1) / 2] + d[m / 2]) / 2,
		.ci = {d[k - 1], d[m - k], 1 - 2 * below, k},
	};
}

struct stat_shift stat_shift_ratio(const double *x, size_t nx, const double *y, size_t ny, double confidence)
{
	AUTO_FREE double *log_x = mem_array(nx, sizeof(*log_x));
	AUTO_FREE double *log_y = mem_array(ny, sizeof(*log_y));
	bool positive = true;

	for (size_t i = 0; i < nx; i++) {
		positive &= x[i] > 0;
		log_x[i] = log(x[i]);
	}
	for (size_t i = 0; i < ny; i++) {
		positive &= y[i] > 0;
		log_y[i] = log(y[i]);
	}
	if (!positive)
		return (struct stat_shift){NAN, {NAN, NAN, NAN, 0}};
	struct stat_shift s = stat_shift(log_x, nx, log_y, ny, confidence);

	s.estimate = exp(s.estimate);
	s.ci.low = exp(s.ci.low);
	s.ci.high = exp(s.ci.high);
	return s;
}

double stat_vargha_delaney(const double *x, size_t nx, const double *y, size_t ny)
{
	double wins = 0;

	for (size_t i = 0; i < nx; i++)
		for (size_t j = 0; j < ny; j++)
			wins += (y[j] > x[i]) + (y[j] == x[i]) / 2.0;
	return nx && ny ? wins / ((double)nx * (double)ny) : NAN;
}

double stat_cliff_delta(const double *x, size_t nx, const double *y, size_t ny)
{
	return 2 * stat_vargha_delaney(x, nx, y, ny) - 1;
}
