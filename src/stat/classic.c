/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Classic tests that taut's verdicts do not rest on.  They are second opinions for who wants them, with the
 * reference values of the same data: two tests that disagree by orders of magnitude say that an assumption
 * does not hold.
 */
#include "exact.h"

#include <gsl/gsl_cdf.h>
#include <math.h>

#define SIGN_FLIP_MOST 20

double stat_sign_test(const double *d, size_t n)
{
	unsigned positive = 0, negative = 0;

	for (size_t i = 0; i < n; i++) {
		positive += d[i] > 0;
		negative += d[i] < 0;
	}
	if (positive == negative)
		return 1;
	return MIN(1.0, 2 * gsl_cdf_binomial_P(MIN(positive, negative), 0.5, positive + negative));
}

double stat_sign_flip(const double *d, size_t n)
{
	double sum = 0, size = 0, hits = 0;

	if (!n || n > SIGN_FLIP_MOST)
		return NAN;
	for (size_t i = 0; i < n; i++) {
		sum += d[i];
		size += fabs(d[i]);
	}
	/* Equal sums must count as equal whatever order they were added in. */
	double limit = fabs(sum) - 1e-12 * size;

	for (uint32_t signs = 0; signs < 1u << n; signs++) {
		double flipped = 0;

		for (size_t i = 0; i < n; i++)
			flipped += signs >> i & 1 ? -d[i] : d[i];
		hits += fabs(flipped) >= limit;
	}
	return hits / (double)(1u << n);
}

struct stat_test stat_student_paired(const double *d, size_t n)
{
	struct stat_test t = {NAN, NAN, NAN, (double)n - 1};
	double sd = stat_sd(d, n);

	if (sd > 0) {
		t.statistic = stat_mean(d, n) / (sd / sqrt((double)n));
		t.p = 2 * gsl_cdf_tdist_Q(fabs(t.statistic), t.df2);
	}
	return t;
}

struct stat_test stat_welch(const double *x, size_t nx, const double *y, size_t ny)
{
	struct stat_test t = {NAN, NAN, NAN, NAN};
	double sx = stat_sd(x, nx), sy = stat_sd(y, ny), vx = sx * sx / (double)nx, vy = sy * sy / (double)ny;

	if (vx + vy > 0) {
		t.statistic = (stat_mean(x, nx) - stat_mean(y, ny)) / sqrt(vx + vy);
		t.df2 = (vx + vy) * (vx + vy) / (vx * vx / (double)(nx - 1) + vy * vy / (double)(ny - 1));
		t.p = 2 * gsl_cdf_tdist_Q(fabs(t.statistic), t.df2);
	}
	return t;
}

/* Normal scores of the ranks of all distances from the own median (Conover, Johnson and Johnson 1981). */
struct stat_test stat_fligner_killeen(const double *x, size_t nx, const double *y, size_t ny)
{
	struct stat_test t = {NAN, NAN, 1, NAN};
	size_t n = nx + ny;
	AUTO_FREE double *z = mem_array(n, sizeof(*z));
	AUTO_FREE uint32_t *ranks = mem_array(n, sizeof(*ranks));
	double median_x = stat_median(x, nx), median_y = stat_median(y, ny);

	for (size_t i = 0; i < n; i++)
		z[i] = i < nx ? fabs(x[i] - median_x) : fabs(y[i - nx] - median_y);
	double_midranks(z, n, ranks);
	for (size_t i = 0; i < n; i++)
		z[i] = gsl_cdf_ugaussian_Pinv(0.5 + ranks[i] / 2.0 / (2 * (double)(n + 1)));

	double all = stat_mean(z, n), sd = stat_sd(z, n);
	double mx = stat_mean(z, nx) - all, my = stat_mean(z + nx, ny) - all;

	if (nx && ny && sd > 0) {
		t.statistic = ((double)nx * mx * mx + (double)ny * my * my) / (sd * sd);
		t.p = gsl_cdf_chisq_Q(t.statistic, 1);
	}
	return t;
}

/* The largest |#{x ≤ v}/nx − #{y ≤ v}/ny|, times nx·ny so that it is whole. */
static double largest_gap(const double *x, size_t nx, const double *y, size_t ny)
{
	double gap = 0;
	size_t i = 0, j = 0;

	while (i < nx || j < ny) {
		double v = j == ny || (i < nx && x[i] <= y[j]) ? x[i] : y[j];

		while (i < nx && x[i] <= v)
			i++;
		while (j < ny && y[j] <= v)
			j++;
		gap = MAX(gap, fabs((double)i * (double)ny - (double)j * (double)nx));
	}
	return gap;
}

/*
 * p = the share of lattice paths from (0, 0) to (nx, ny), x and y in random order, that somewhere get as far
 * from the diagonal as the data.  Looked at from its end, a path to (i, j) came by an x with probability i/(i
 * + j).
 */
struct stat_test stat_kolmogorov_smirnov(const double *x, size_t nx, const double *y, size_t ny)
{
	struct stat_test t = {NAN, NAN, NAN, NAN};

	if (!nx || !ny)
		return t;
	AUTO_FREE double *sx = sorted_copy(x, nx);
	AUTO_FREE double *sy = sorted_copy(y, ny);
	AUTO_FREE double *hit = mem_array(ny + 1, sizeof(*hit));
	double gap = largest_gap(sx, nx, sy, ny);

	for (size_t i = 0; i <= nx; i++) {
		for (size_t j = 0; j <= ny; j++) {
			double before = j ? hit[j - 1] : 0, steps = (double)(i + j);

			if (fabs((double)i * (double)ny - (double)j * (double)nx) >= gap)
				hit[j] = 1;
			else
				hit[j] = steps > 0 ? ((double)i * hit[j] + (double)j * before) / steps : 0;
		}
	}
	t.statistic = gap / ((double)nx * (double)ny);
	t.p = hit[ny];
	return t;
}
