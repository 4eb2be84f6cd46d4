/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Is one sample wider than the other?  Brown and Forsythe's test asks whether the distances from the median
 * differ, by an analysis of variance; unlike the F test of two variances it keeps its level on data with
 * heavy tails.
 *
 * On trial medians it is the question of run-to-run determinism: does the same configuration give the same
 * figure the next time?  SDs of ten values are poor witnesses, so below twenty trials they are numbers and no
 * verdict.
 */
#include "exact.h"

#include <gsl/gsl_cdf.h>
#include <math.h>

#define RUN_TO_RUN_TRIALS 20
#define RUN_TO_RUN_RATIO  1.10

static double *deviations(const double *x, size_t n)
{
	double *z = mem_array(n, sizeof(*z)), median = stat_median(x, n);

	for (size_t i = 0; i < n; i++)
		z[i] = fabs(x[i] - median);
	return z;
}

static double squares_around(const double *x, size_t n, double centre)
{
	double sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += (x[i] - centre) * (x[i] - centre);
	return sum;
}

struct stat_test stat_brown_forsythe(const double *x, size_t nx, const double *y, size_t ny)
{
	struct stat_test t = {NAN, NAN, 1, (double)(nx + ny) - 2};

	if (!nx || !ny || nx + ny < 3)
		return t;
	AUTO_FREE double *zx = deviations(x, nx);
	AUTO_FREE double *zy = deviations(y, ny);
	double mx = stat_mean(zx, nx), my = stat_mean(zy, ny);
	double all = ((double)nx * mx + (double)ny * my) / (double)(nx + ny);
	double between = (double)nx * (mx - all) * (mx - all) + (double)ny * (my - all) * (my - all);
	double within = squares_around(zx, nx, mx) + squares_around(zy, ny, my);

	if (within > 0) {
		t.statistic = between / within * t.df2;
		t.p = gsl_cdf_fdist_Q(t.statistic, t.df1, t.df2);
	}
	return t;
}

struct stat_run_to_run stat_run_to_run(const double *a, size_t na, const double *b, size_t nb)
{
	struct stat_run_to_run r = {.sd_a = stat_sd(a, na), .sd_b = stat_sd(b, nb)};
	AUTO_FREE double *log_a = mem_array(na, sizeof(*log_a));
	AUTO_FREE double *log_b = mem_array(nb, sizeof(*log_b));
	bool positive = true;

	for (size_t i = 0; i < na; i++) {
		positive &= a[i] > 0;
		log_a[i] = log(a[i]);
	}
	for (size_t i = 0; i < nb; i++) {
		positive &= b[i] > 0;
		log_b[i] = log(b[i]);
	}
	r.ratio = r.sd_a > 0 ? r.sd_b / r.sd_a : NAN;
	r.test = positive ? stat_brown_forsythe(log_a, na, log_b, nb) : stat_brown_forsythe(a, na, b, nb);
	r.judged = MIN(na, nb) >= RUN_TO_RUN_TRIALS;
	r.differs = r.judged && r.test.p < STAT_ALPHA &&
		    (r.ratio >= RUN_TO_RUN_RATIO || r.ratio <= 1 / RUN_TO_RUN_RATIO);
	return r;
}
