/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * How much do neighbours in a series resemble each other, and how many independent values is it worth?
 *
 * The autocorrelation at lag k is the sum of the products of deviations k apart, over that at lag 0.  Ljung
 * and Box (1978) ask whether the first few are 0 together.  The mean of n correlated values varies like that
 * of n/τ independent ones, τ = 1 + 2Σρ(k).  Far lags are noise, and their sum does not settle; Geyer (1992)
 * sums pairs ρ(2k) + ρ(2k+1), which are positive in a reversible chain, up to the first that is not.
 */
#include "exact.h"

#include <gsl/gsl_cdf.h>
#include <math.h>

static double product(const double *x, size_t n, size_t lag, double mean)
{
	double sum = 0;

	for (size_t i = 0; i + lag < n; i++)
		sum += (x[i] - mean) * (x[i + lag] - mean);
	return sum;
}

static double correlation(const double *x, size_t n, size_t lag)
{
	double mean = stat_mean(x, n), all = product(x, n, 0, mean);

	return all > 0 ? product(x, n, lag, mean) / all : NAN;
}

void stat_autocorrelation(const double *x, size_t n, double *out, size_t lags)
{
	for (size_t k = 0; k < lags; k++)
		out[k] = correlation(x, n, k);
}

struct stat_test stat_ljung_box(const double *x, size_t n, size_t lags)
{
	double sum = 0, m = (double)n;

	if (lags >= n)
		return (struct stat_test){NAN, NAN, (double)lags, NAN};
	for (size_t k = 1; k <= lags; k++)
		sum += pow(correlation(x, n, k), 2) / (m - (double)k);
	sum *= m * (m + 2);
	return (struct stat_test){
		sum, isfinite(sum) ? gsl_cdf_chisq_Q(sum, (double)lags) : NAN, (double)lags, NAN};
}

struct stat_worth stat_effective_size(const double *x, size_t n)
{
	struct stat_worth w = {.tau = -1};

	for (size_t k = 0; 2 * k + 1 < n; k++) {
		double pair = correlation(x, n, 2 * k) + correlation(x, n, 2 * k + 1);

		if (!(pair > 0))
			break;
		w.tau += 2 * pair;
		w.pairs++;
	}
	w.tau = w.pairs ? w.tau : NAN;
	w.n_eff = w.tau > 0 ? (double)n / w.tau : NAN;
	return w;
}
