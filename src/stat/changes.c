/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * E-divisive: where, in a series of trials, does the distribution change (Matteson and James 2014, Journal of
 * the American Statistical Association 109, 334-345)?
 *
 * The energy distance of two parts compares how far values of different parts are apart with how far those of
 * the same part are: Q = nm/(n + m) · (2·mean|x − y| − mean|x − x'| − mean|y − y'|), means over distinct
 * pairs. It is large when anything of the distribution differs, not the mean alone.  The split with the
 * largest Q of all segments is tested: values are put in random order within each segment, and p is the share
 * of orders whose best split is as large, the order at hand counted.  When it passes, its segment becomes
 * two, and the search goes on; when it does not, all is said.  The order of draws follows from the seed.
 *
 * The second part always reaches to the end of its segment; the authors let it end earlier as well, which
 * finds a short excursion sooner.  Parts have three values at least, and below eight values nothing is
 * claimed.
 */
#include "exact.h"

#include <math.h>

#define LEAST        3
#define VALUES_LEAST 8

static double energy(double n, double m, double between, double within_n, double within_m)
{
	double inside_n = n > 1 ? 2 * within_n / (n * (n - 1)) : 0;
	double inside_m = m > 1 ? 2 * within_m / (m * (m - 1)) : 0;

	return n * m / (n + m) * (2 * between / (n * m) - inside_n - inside_m);
}

/* The largest Q of one segment, by moving one value after the other from the second part to the first. */
static double best_split(const double *x, size_t n, size_t *at)
{
	double all = 0, before = 0, behind, best = -INFINITY;

	*at = 0;
	for (size_t i = 0; i < n; i++)
		for (size_t j = 0; j < i; j++)
			all += fabs(x[i] - x[j]);
	behind = all;
	for (size_t t = 1; t + LEAST <= n; t++) {
		for (size_t j = 0; j < n; j++)
			*(j < t - 1 ? &before : &behind) += (j < t - 1 ? 1 : -1) * fabs(x[t - 1] - x[j]);
		double q = energy((double)t, (double)(n - t), all - before - behind, before, behind);

		if (t >= LEAST && q > best) {
			best = q;
			*at = t;
		}
	}
	return best;
}

double stat_energy_at(const double *x, size_t n, size_t t)
{
	double between = 0, first = 0, second = 0;

	if (!t || t >= n)
		return NAN;
	for (size_t i = 0; i < n; i++)
		for (size_t j = 0; j < i; j++)
			*(i < t ? &first : j >= t ? &second : &between) += fabs(x[i] - x[j]);
	return energy((double)t, (double)(n - t), between, first, second);
}

/* ends[0..parts) are the ends of the segments; the best split of all. */
static double best_of_all(const double *x, const size_t *ends, size_t parts, size_t *at)
{
	double best = -INFINITY;

	*at = 0;
	for (size_t s = 0; s < parts; s++) {
		size_t from = s ? ends[s - 1] : 0, here;
		double q = best_split(x + from, ends[s] - from, &here);

		if (q > best) {
			best = q;
			*at = from + here;
		}
	}
	return best;
}

static void shuffle(double *x, size_t n, uint64_t *seed)
{
	for (size_t i = n; i-- > 1;) {
		size_t j = rng_below(seed, (uint32_t)i + 1);
		double kept = x[i];

		x[i] = x[j];
		x[j] = kept;
	}
}

static double permuted_p(const double *x, const size_t *ends, size_t parts, double q,
	const struct stat_changing *how, uint64_t *seed)
{
	size_t n = ends[parts - 1], at, reached = 1;
	AUTO_FREE double *copy = mem_array(n, sizeof(*copy));

	memcpy(copy, x, n * sizeof(*copy));
	for (size_t i = 0; i < how->rounds; i++) {
		for (size_t s = 0; s < parts; s++) {
			size_t from = s ? ends[s - 1] : 0;

			shuffle(copy + from, ends[s] - from, seed);
		}
		/* Sums in another order differ in the last bits. */
		reached += best_of_all(copy, ends, parts, &at) >= q * (1 - 1e-12);
	}
	return (double)reached / (double)(how->rounds + 1);
}

size_t stat_changes(
	const double *x, size_t n, const struct stat_changing *how, struct stat_split *out, size_t most)
{
	AUTO_FREE size_t *ends = mem_array(most + 1, sizeof(*ends));
	uint64_t seed = how->seed;
	size_t found = 0;

	if (n < VALUES_LEAST)
		return 0;
	ends[0] = n;
	while (found < most) {
		struct stat_split split;
		size_t s = found++;

		split.q = best_of_all(x, ends, found, &split.at);
		if (!split.at || !(split.q > 0)) /* no room, or all the same */
			return found - 1;
		split.p = permuted_p(x, ends, found, split.q, how, &seed);
		if (split.p > how->alpha)
			return found - 1;
		/* Both lists stay in the order of the series. */
		ends[found] = n;
		for (; s && out[s - 1].at > split.at; s--)
			out[s] = out[s - 1];
		out[s] = split;
		for (size_t i = 0; i < found; i++)
			ends[i] = out[i].at;
	}
	return found;
}
