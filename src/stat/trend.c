/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Mann-Kendall: does a figure drift over the trials (Mann 1945; Kendall 1975)?
 *
 * S counts, over all pairs, which of the two comes out larger, the later or the earlier value.  Without a
 * trend S is 0 on average, with variance n(n − 1)(2n + 5)/18, less t(t − 1)(2t + 5)/18 for each group of t
 * equal values; z is S, one step nearer to 0, in units of its SD.  It takes the values for independent, and
 * sees only what goes one way: of a figure that rises and falls again nothing is left.  The normal
 * approximation is good from some ten values on.
 */
#include "exact.h"

#include <gsl/gsl_cdf.h>
#include <math.h>

static double ties(const double *x, size_t n)
{
	AUTO_FREE double *sorted = sorted_copy(x, n);
	double sum = 0;

	for (size_t i = 0, end; i < n; i = end) {
		for (end = i + 1; end < n && sorted[end] == sorted[i];)
			end++;
		double t = (double)(end - i);

		sum += t * (t - 1) * (2 * t + 5);
	}
	return sum;
}

struct stat_trend stat_mann_kendall(const double *x, size_t n)
{
	struct stat_trend t = {.z = NAN, .p = NAN};
	double m = (double)n;

	for (size_t i = 0; i < n; i++)
		for (size_t j = 0; j < i; j++)
			t.s += (double)(x[i] > x[j]) - (double)(x[i] < x[j]);
	t.variance = n ? (m * (m - 1) * (2 * m + 5) - ties(x, n)) / 18 : 0;
	if (!(t.variance > 0))
		return t;
	t.z = (t.s - (t.s > 0) + (t.s < 0)) / sqrt(t.variance);
	t.p = MIN(1.0, 2 * gsl_cdf_ugaussian_Q(fabs(t.z)));
	return t;
}
