/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Series over trials and what is drawn from blocks: change points against a brute-force reference and against
 * changes that were put in, drift, bands, and when to stop.
 */
#include "stat/stat.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#define SERIES 40

static uint64_t state = 7;

static double normal(void)
{
	double u = ((double)(rng_next(&state) >> 11) + 0.5) / 0x1p53;
	double v = ((double)(rng_next(&state) >> 11) + 0.5) / 0x1p53;

	return sqrt(-2 * log(u)) * cos(2 * 3.14159265358979323846 * v);
}

static double mean_distance(const double *x, size_t n, const double *y, size_t m, bool same)
{
	double sum = 0, pairs = 0;

	for (size_t i = 0; i < n; i++) {
		for (size_t j = 0; j < m; j++) {
			if (same && i == j)
				continue;
			sum += fabs(x[i] - y[j]);
			pairs++;
		}
	}
	return pairs > 0 ? sum / pairs : 0;
}

/* Q as it is written. */
static double by_definition(const double *x, size_t n, size_t t)
{
	double a = (double)t, b = (double)(n - t);

	return a * b / (a + b) *
	       (2 * mean_distance(x, t, x + t, n - t, false) - mean_distance(x, t, x, t, true) -
		       mean_distance(x + t, n - t, x + t, n - t, true));
}

static const struct stat_changing how = {.seed = 3, .rounds = 199, .alpha = 0.05};

static void best_split_is_that_of_the_definition(void **unused)
{
	(void)unused;
	for (int round = 0; round < 50; round++) {
		size_t n = 8 + (size_t)round % 20, best = 3;
		struct stat_changing any = how;
		struct stat_split split;
		double x[SERIES];

		any.alpha = 1;
		any.rounds = 9;
		for (size_t i = 0; i < n; i++)
			x[i] = floor(normal() * 4) + (i < n / 2 ? 0 : 3); /* with ties */
		for (size_t t = 3; t + 3 <= n; t++) {
			if (by_definition(x, n, t) > by_definition(x, n, best) + 1e-9)
				best = t;
			assert_true(fabs(stat_energy_at(x, n, t) - by_definition(x, n, t)) < 1e-9);
		}
		if (!stat_changes(x, n, &any, &split, 1))
			continue;
		if (fabs(split.q - by_definition(x, n, best)) > 1e-9)
			fail_msg("n = %zu: Q %g at %zu, by definition %g at %zu", n, split.q, split.at,
				by_definition(x, n, best), best);
	}
}

static void two_known_changes_are_found_in_order(void **unused)
{
	struct stat_split out[5];
	double x[SERIES];

	(void)unused;
	for (size_t i = 0; i < SERIES; i++)
		x[i] = normal() * 0.1 + (i < 12 ? 10 : i < 27 ? 11 : 13);
	size_t n = stat_changes(x, SERIES, &how, out, ARRAY_LEN(out));

	if (n < 2 || n > 3)
		fail_msg("%zu changes in place of 2", n);
	bool first = false, second = false;

	for (size_t i = 0; i < n; i++) {
		first |= out[i].at == 12;
		second |= out[i].at == 27;
		assert_true(!i || out[i].at > out[i - 1].at);
	}
	assert_true(first && second);
}

static void a_change_is_claimed_rarely_where_none_is(void **unused)
{
	size_t rounds = 300, found = 0;

	(void)unused;
	for (size_t r = 0; r < rounds; r++) {
		struct stat_split out[3];
		double x[16];

		for (size_t i = 0; i < ARRAY_LEN(x); i++)
			x[i] = normal();
		found += stat_changes(x, ARRAY_LEN(x), &how, out, 3) > 0;
	}
	struct stat_interval share = stat_proportion_interval(found, rounds, 0.95);

	if (share.low > 0.05)
		fail_msg("%zu of %zu series without a change have one", found, rounds);
}

static void few_values_and_equal_values_have_no_change(void **unused)
{
	const double few[] = {1, 1.1, 0.9, 9, 9.1, 9.2, 9.3}, same[12] = {4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4};
	struct stat_split out[2];

	(void)unused;
	assert_int_equal(stat_changes(few, ARRAY_LEN(few), &how, out, 2), 0);
	assert_int_equal(stat_changes(few, 0, &how, out, 2), 0);
	assert_int_equal(stat_changes(same, ARRAY_LEN(same), &how, out, 2), 0);
	assert_true(isnan(stat_mann_kendall(same, ARRAY_LEN(same)).p));
	assert_true(isnan(stat_effective_size(same, ARRAY_LEN(same)).n_eff));
}

static void a_drift_is_told_from_ties(void **unused)
{
	const double up[] = {1, 1, 2, 2, 3, 3, 4, 4, 5, 5}, mixed[] = {3, 1, 4, 1, 5, 9, 2, 6, 5, 3};

	(void)unused;
	/* 10·9·25/18 less five pairs' 2·1·9/18 each. */
	assert_true(fabs(stat_mann_kendall(up, 10).variance - (2250.0 - 5 * 18) / 18) < 1e-9);
	assert_true(stat_mann_kendall(up, 10).p < 0.001);
	assert_true(stat_mann_kendall(mixed, 10).p > 0.1);
}

static void a_band_encloses_its_curve_and_misses_no_drift(void **unused)
{
	const struct stat_banding banding = {.seed = 5, .rounds = 400, .confidence = 0.95};
	double a[20 * 3], b[20 * 3];
	struct stat_band band[3], again[3];

	(void)unused;
	for (size_t i = 0; i < 20; i++) {
		double machine = exp(0.5 * normal()); /* both arms of a block share it */

		for (size_t p = 0; p < 3; p++) {
			a[i * 3 + p] = machine * (double)(p + 1) * exp(0.01 * normal());
			b[i * 3 + p] = a[i * 3 + p] * 0.8 * exp(0.01 * normal());
		}
	}
	b[2] = NAN; /* the last point of the first block is missing */
	stat_bands_ratio(a, b, 20, 3, &banding, band);
	stat_bands_ratio(a, b, 20, 3, &banding, again);
	for (size_t p = 0; p < 3; p++) {
		assert_true(band[p].low <= band[p].middle && band[p].middle <= band[p].high);
		if (band[p].low < 0.78 || band[p].high > 0.82)
			fail_msg("point %zu: %g to %g", p, band[p].low, band[p].high);
		assert_true(band[p].low == again[p].low && band[p].high == again[p].high);
	}
}

static void precision_is_of_the_width_and_not_of_the_place(void **unused)
{
	double narrow[12], wide[12], moved[12];

	(void)unused;
	for (size_t i = 0; i < 12; i++) {
		narrow[i] = (double)i * 0.001;
		wide[i] = (double)i * 0.1;
		moved[i] = narrow[i] + 3;
	}
	assert_true(stat_precise(narrow, 12, 0.02) && stat_precise(moved, 12, 0.02));
	assert_false(stat_precise(wide, 12, 0.02));
	assert_false(stat_precise(narrow, 8, 0.02));
}

static void a_proportion_of_any_size_has_its_interval(void **unused)
{
	static const size_t of[][2] = {
		{0, 5}, {1, 10000000}, {3, 1000000000}, {999999999, 1000000000}, {1, 2}};

	(void)unused;
	for (size_t i = 0; i < ARRAY_LEN(of); i++) {
		struct stat_interval ci = stat_proportion_interval(of[i][0], of[i][1], 0.95);
		double share = (double)of[i][0] / (double)of[i][1];

		if (!(ci.low <= share && share <= ci.high))
			fail_msg("%zu of %zu: %g to %g", of[i][0], of[i][1], ci.low, ci.high);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_proportion_of_any_size_has_its_interval),
		cmocka_unit_test(best_split_is_that_of_the_definition),
		cmocka_unit_test(two_known_changes_are_found_in_order),
		cmocka_unit_test(a_change_is_claimed_rarely_where_none_is),
		cmocka_unit_test(few_values_and_equal_values_have_no_change),
		cmocka_unit_test(a_drift_is_told_from_ties),
		cmocka_unit_test(a_band_encloses_its_curve_and_misses_no_drift),
		cmocka_unit_test(precision_is_of_the_width_and_not_of_the_place),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
