/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What one sample looks like: moments, order statistics, and spreads that a few extremes cannot move.
 *
 * Mean and SD see every value and are moved by one; median and IQR ignore the outer half; the two estimators
 * over pairs (the Hodges-Lehmann centre and Shamos's spread) lie between: nearly as precise as mean and SD on
 * normal data, and still unmoved by a quarter of wild values.
 */
#include "exact.h"

#include <math.h>

#define NORMAL_QUARTILE 0.67448975019608174320 /* 0.75 quantile of the standard normal */

double stat_mean(const double *x, size_t n)
{
	double sum = 0, rest = 0;

	for (size_t i = 0; i < n; i++)
		sum += x[i];
	double mean = sum / (double)n; /* NaN when n is 0 */

	for (size_t i = 0; i < n; i++)
		rest += x[i] - mean;
	return n ? mean + rest / (double)n : NAN;
}

double stat_sd(const double *x, size_t n)
{
	double mean = stat_mean(x, n), squares = 0;

	if (n < 2)
		return NAN;
	for (size_t i = 0; i < n; i++)
		squares += (x[i] - mean) * (x[i] - mean);
	return sqrt(squares / (double)(n - 1));
}

double sorted_quantile(const double *sorted, size_t n, double p)
{
	if (!n)
		return NAN;
	double place = (double)(n - 1) * p;
	size_t i = MIN((size_t)place, n - 1), next = MIN(i + 1, n - 1);

	return sorted[i] + (sorted[next] - sorted[i]) * (place - (double)i);
}

double stat_quantile(const double *x, size_t n, double p)
{
	AUTO_FREE double *sorted = sorted_copy(x, n);

	return sorted_quantile(sorted, n, p);
}

static double sorted_median(const double *sorted, size_t n)
{
	return n ? (sorted[(n - 1) / 2] + sorted[n / 2]) / 2 : NAN;
}

double stat_median(const double *x, size_t n)
{
	AUTO_FREE double *sorted = sorted_copy(x, n);

	return sorted_median(sorted, n);
}

static double median_deviation(const double *x, size_t n, double from)
{
	AUTO_FREE double *deviation = mem_array(n, sizeof(*deviation));

	for (size_t i = 0; i < n; i++)
		deviation[i] = fabs(x[i] - from);
	return stat_median(deviation, n);
}

/* The medians over pairs: of the distances (i < j) and of the averages (i ≤ j). */
static void pair_medians(const double *sorted, size_t n, double *distance, double *average)
{
	size_t pairs = n * (n + 1) / 2, i_pair = 0, i_distance = 0;
	AUTO_FREE double *averages = mem_array(pairs, sizeof(double));
	AUTO_FREE double *distances = mem_array(pairs, sizeof(double));

	for (size_t i = 0; i < n; i++) {
		for (size_t j = i; j < n; j++) {
			averages[i_pair++] = (sorted[i] + sorted[j]) / 2;
			if (j > i)
				distances[i_distance++] = sorted[j] - sorted[i];
		}
	}
	*average = stat_median(averages, i_pair);
	*distance = stat_median(distances, i_distance);
}

void stat_describe(const double *x, size_t n, struct stat_summary *out)
{
	AUTO_FREE double *sorted = sorted_copy(x, n);
	double median = sorted_median(sorted, n), mad = median_deviation(x, n, median);

	*out = (struct stat_summary){
		.n = n,
		.min = n ? sorted[0] : NAN,
		.max = n ? sorted[n - 1] : NAN,
		.mean = stat_mean(x, n),
		.sd = stat_sd(x, n),
		.median = median,
		.mad_raw = mad,
		.mad_scaled = mad / NORMAL_QUARTILE,
		.iqr = sorted_quantile(sorted, n, 0.75) - sorted_quantile(sorted, n, 0.25),
	};
	pair_medians(sorted, n, &out->shamos_raw, &out->walsh_hl);
}
