/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Estimators, intervals, exact tests, warm-up and modality: known answers, and levels held under simulation.
 */
#include "stat.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdarg.h>
#include <cmocka.h>
#include <math.h>

static void near(const char *what, double got, double expected, double tolerance)
{
	if (!(fabs(got - expected) <= tolerance) && !(isnan(got) && isnan(expected)))
		fail_msg("%s: got %.17g, expected %.17g", what, got, expected);
}

static double uniform(uint64_t *seed)
{
	return ((double)(rng_next(seed) >> 11) + 0.5) / 0x1p53;
}

static double normal(uint64_t *seed)
{
	double r = sqrt(-2 * log(uniform(seed)));

	return r * cos(2 * M_PI * uniform(seed));
}

/* --- intervals and exact tests ----------------------------------------------------------------- */

static void walsh_interval_takes_the_published_order_statistics(void **state)
{
	static const struct {
		size_t blocks, k;
	} rows[] = {{6, 1}, {8, 4}, {10, 9}, {12, 14}, {15, 26}, {20, 53}, {30, 138}};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		double d[30];
		struct stat_paired s;
		uint64_t seed = i;

		for (size_t j = 0; j < rows[i].blocks; j++)
			d[j] = normal(&seed);
		stat_paired_estimate(d, rows[i].blocks, &s);
		if (s.ci95.k != rows[i].k)
			fail_msg("%zu blocks: k %zu, expected %zu", rows[i].blocks, s.ci95.k, rows[i].k);
		if (s.ci95.coverage < 0.95 || s.ci90.coverage < 0.90 || s.ci90.k < s.ci95.k)
			fail_msg("%zu blocks: coverage %g and %g", rows[i].blocks, s.ci95.coverage,
				s.ci90.coverage);
	}
}

static void below_six_blocks_the_interval_admits_that_it_covers_too_little(void **state)
{
	const double d[] = {1, 2, 3, 4, 5};
	struct stat_paired s;

	(void)state;
	stat_paired_estimate(d, 5, &s);
	near("coverage", s.ci95.coverage, 1 - 2.0 / 32, 1e-15);
	near("low", s.ci95.low, 1, 0);
	near("high", s.ci95.high, 5, 0);
	stat_paired_estimate(NULL, 0, &s);
	near("estimate of nothing", s.estimate, NAN, 0);
}

/* Against the definition: every way to give signs to the midranks. */
static void signed_rank_p_is_exact_with_ties_and_zeros(void **state)
{
	static const double rows[][8] = {
		{1, 2, 3, 4, 5, 6, 7, 8},
		{1, -1, 2, 2, -2, 3, 3, 3},
		{0, 0, 1, 1, 1, -1, 2, 5},
		{-1, -1, -1, -1, -1, -1, -1, -1},
		{0, 0, 0, 0, 0, 0, 0, 0},
	};
	struct stat_paired s;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		double rank[8], mean = 0, far = 0, total = 0;
		size_t n = 0;

		stat_paired_estimate(rows[i], 8, &s);
		for (size_t j = 0; j < 8; j++) {
			double below = 0, equal = 0;

			for (size_t l = 0; l < 8; l++) {
				below += rows[i][l] != 0 && fabs(rows[i][l]) < fabs(rows[i][j]);
				equal += fabs(rows[i][l]) == fabs(rows[i][j]);
			}
			if (rows[i][j] != 0)
				rank[n++] = below + (equal + 1) / 2;
		}
		for (size_t j = 0; j < n; j++)
			mean += rank[j] / 2;
		for (unsigned signs = 0; signs < 1u << n; signs++, total++) {
			double w = 0;

			for (size_t j = 0; j < n; j++)
				w += signs >> j & 1 ? rank[j] : 0;
			far += fabs(w - mean) >= fabs(s.w_plus - mean);
		}
		near("p by enumeration", s.p, far / total, 1e-14);
	}
}

static void paired_interval_covers_what_it_says(void **state)
{
	uint64_t seed = 42;
	unsigned covered = 0, runs = 4000;

	(void)state;
	for (unsigned i = 0; i < runs; i++) {
		double d[10];
		struct stat_paired s;

		for (size_t j = 0; j < 10; j++)
			d[j] = 0.3 + normal(&seed);
		stat_paired_estimate(d, 10, &s);
		covered += s.ci95.low <= 0.3 && s.ci95.high >= 0.3;
	}
	near("coverage", covered / (double)runs, 0.951, 0.012);
}

static void mann_whitney_is_exact_and_symmetric(void **state)
{
	const double x[] = {1, 2, 3}, y[] = {4, 5, 6, 7}, tied[] = {1, 1, 2};
	struct stat_mwu u, v;

	(void)state;
	stat_mann_whitney(x, 3, y, 4, &u);
	near("p of 3 below 4", u.p, 2.0 / 35, 1e-15);
	near("U", u.u_x, 0, 0);
	stat_mann_whitney(y, 4, x, 3, &v);
	near("swapped", v.p, u.p, 1e-15);
	near("swapped U", v.u_x, 12, 0);
	stat_mann_whitney(tied, 3, tied, 3, &u);
	assert_true(u.ties && u.exact);
	near("p of a sample and itself", u.p, 1, 0);
	stat_mann_whitney(x, 3, y, 0, &u);
	near("p of nothing", u.p, NAN, 0);
}

static void large_samples_fall_back_to_the_normal_distribution(void **state)
{
	AUTO_FREE double *x = mem_array(150, sizeof(*x));
	AUTO_FREE double *y = mem_array(150, sizeof(*y));
	uint64_t seed = 3;
	struct stat_mwu u;

	(void)state;
	for (size_t i = 0; i < 150; i++) {
		x[i] = normal(&seed);
		y[i] = normal(&seed) + 1;
	}
	stat_mann_whitney(x, 150, y, 150, &u);
	assert_false(u.exact);
	near("p", u.p, u.p_normal_cc, 0);
	struct stat_shift s = stat_shift(x, 150, y, 150, 0.95);

	near("shift", s.estimate, 1, 0.35);
	near("coverage", s.ci.coverage, 0.95, 1e-3);
	assert_true(s.ci.coverage >= 0.95 - 1e-9 && s.ci.low < s.estimate && s.ci.high > s.estimate);
}

static void holm_adjusts_within_the_family(void **state)
{
	double p[] = {0.001, 0.04, 0.03, 0.005, 0.5, 0.012}, one[] = {0.04}, high[] = {0.9, 0.8, 0.9};
	const double expected[] = {0.006, 0.09, 0.09, 0.025, 0.5, 0.048};

	(void)state;
	stat_holm(p, 6);
	for (size_t i = 0; i < 6; i++)
		near("adjusted", p[i], expected[i], 1e-15);
	stat_holm(one, 1);
	near("alone", one[0], 0.04, 0);
	stat_holm(high, 3);
	near("at most 1", high[0], 1, 0);
	stat_holm(NULL, 0);
}

static void blocks_needed_and_detectable_effect_are_inverse(void **state)
{
	(void)state;
	assert_int_equal(stat_blocks_needed(0.02, 1.02, 4), 14);
	assert_int_equal(stat_blocks_needed(0.05, 1.02, 4), 77);
	assert_int_equal(stat_blocks_needed(1e-6, 2, 1), 6); /* the least whose p can pass */
	assert_int_equal(stat_blocks_needed(1e-6, 2, 4), 8);
	near("six blocks cannot pass Holm over four", stat_detectable(0.02, 6, 4), NAN, 0);
	for (size_t n = 8; n < 100; n++) {
		double ratio = exp(stat_detectable(0.03, n, 3));

		assert_in_range(stat_blocks_needed(0.03, ratio * 1.00001, 3), n - 1, n);
	}
}

static void tails_are_printed_from_ten_and_judged_from_ninety_beyond(void **state)
{
	static const struct {
		double p;
		uint64_t print, judge;
	} rows[] = {{0.99, 1000, 9000}, {0.999, 10000, 90000}, {0.9999, 100000, 900000}};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_int_equal(stat_quantile_least(rows[i].p, 10), rows[i].print);
		assert_true(stat_quantile_printable(rows[i].p, rows[i].print));
		assert_false(stat_quantile_printable(rows[i].p, rows[i].print - 1));
		assert_int_equal(stat_quantile_least(rows[i].p, 90), rows[i].judge);
		assert_true(stat_quantile_judgeable(rows[i].p, rows[i].judge));
		assert_false(stat_quantile_judgeable(rows[i].p, rows[i].judge - 1));
	}
}

static void figures_of_nothing_and_of_one_value_are_not_made_up(void **state)
{
	const double one[] = {5};
	struct stat_summary s;

	(void)state;
	stat_describe(NULL, 0, &s);
	near("median", s.median, NAN, 0);
	near("mean", s.mean, NAN, 0);
	near("walsh_hl", s.walsh_hl, NAN, 0);
	stat_describe(one, 1, &s);
	near("median", s.median, 5, 0);
	near("sd", s.sd, NAN, 0);
	near("shamos", s.shamos_raw, NAN, 0);
	near("iqr", s.iqr, 0, 0);
	near("quantile", stat_quantile(one, 1, 0.99), 5, 0);
	assert_int_equal(stat_median_interval(one, 1, 0.95).k, 0);
}

static void run_to_run_spread_is_judged_from_twenty_trials(void **state)
{
	uint64_t seed = 5;
	double a[20], b[20];

	(void)state;
	for (size_t i = 0; i < 20; i++) {
		a[i] = 100 * exp(0.1 * normal(&seed));
		b[i] = 100 * exp(0.01 * normal(&seed));
	}
	struct stat_run_to_run all = stat_run_to_run(a, 20, b, 20), few = stat_run_to_run(a, 19, b, 19);

	assert_true(all.judged && all.differs && all.ratio < 0.3);
	assert_true(!few.judged && !few.differs && few.test.p < 0.05);
}

/* --- warm-up ----------------------------------------------------------------------------------- */

static void warmup_is_cut_where_it_ends(void **state)
{
	double x[200];
	uint64_t seed = 11;

	(void)state;
	for (size_t i = 0; i < 200; i++)
		x[i] = 100 + 0.5 * normal(&seed) + (i < 30 ? 30.0 - (double)i : 0);
	struct stat_warmup w = stat_mser5(x, 200);

	assert_true(w.steady);
	assert_in_range(w.cut, 25, 40);
	for (size_t i = 0; i < 200; i++)
		x[i] = 100 - 0.1 * (double)i; /* never settles */
	w = stat_mser5(x, 200);
	assert_true(w.judged && !w.steady && w.cut == 100);
	assert_false(stat_mser5(x, 99).judged); /* too short to say */
	assert_false(stat_mser5(x, 99).steady);
	assert_false(stat_mser5(NULL, 0).judged || stat_mser5(NULL, 0).steady);
}

/* --- modality ---------------------------------------------------------------------------------- */

static double from_normal(uint64_t *s)
{
	return 100 + 2 * normal(s);
}

static double from_lognormal(uint64_t *s)
{
	return 50 * exp(0.5 * normal(s));
}

static double from_exponential(uint64_t *s)
{
	return -50 * log(uniform(s));
}

static double from_shifted_exponential(uint64_t *s)
{
	return 40 - 5 * log(uniform(s));
}

static double from_heavy_tail(uint64_t *s)
{
	return 40 * pow(uniform(s), -1 / 1.5);
}

static double from_uniform(uint64_t *s)
{
	return 40 + 20 * uniform(s);
}

static double from_two_modes(uint64_t *s)
{
	double centre = uniform(s) < 0.5 ? 44 : 62;

	return centre * exp(0.02 * normal(s));
}

static double from_wide_modes(uint64_t *s)
{
	double centre = uniform(s) < 0.8 ? 44 : 62;

	return centre * exp(0.06 * normal(s));
}

static const struct {
	const char *name;
	double (*draw)(uint64_t *seed);
	bool two_modes;
} shapes[] = {
	{"normal", from_normal, false},
	{"lognormal", from_lognormal, false},
	{"exponential", from_exponential, false},
	{"shifted exponential", from_shifted_exponential, false},
	{"Pareto(1.5)", from_heavy_tail, false},
	{"uniform", from_uniform, false},
	{"44 and 62", from_two_modes, true},
	{"44 and 62, wide, 80:20", from_wide_modes, true},
};

static void trial_values_are_bimodal_only_when_they_fall_into_two_groups(void **state)
{
	static const size_t sizes[] = {6, 10, 20};
	const unsigned runs = 2000;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(shapes); i++) {
		for (size_t j = 0; j < ARRAY_LEN(sizes); j++) {
			uint64_t seed = 100 * i + j;
			unsigned fired = 0;

			for (unsigned run = 0; run < runs; run++) {
				double x[20];

				for (size_t k = 0; k < sizes[j]; k++)
					x[k] = shapes[i].draw(&seed);
				fired += stat_trials_bimodal(x, sizes[j]);
			}
			double share = fired / (double)runs;

			if (!shapes[i].two_modes && share > 0.02)
				fail_msg(
					"%s, %zu trials: flagged in %g of the samples, at most 0.02 expected",
					shapes[i].name, sizes[j], share);
			if (shapes[i].draw == from_two_modes && sizes[j] >= 10 && share < 0.9)
				fail_msg(
					"%s, %zu trials: flagged in %g of the samples, at least 0.9 expected",
					shapes[i].name, sizes[j], share);
		}
	}
}

static void equal_trial_values_are_one_group(void **state)
{
	double x[10], y[10];

	(void)state;
	for (size_t i = 0; i < 10; i++) {
		x[i] = 44;
		y[i] = i < 5 ? 44 : 62;
	}
	assert_false(stat_trials_bimodal(x, 10));
	assert_true(stat_trials_bimodal(y, 10));
	y[0] = 0; /* without logarithms nothing is said */
	assert_false(stat_trials_bimodal(y, 10));
	assert_false(stat_trials_bimodal(x, 0));
}

static void histograms_are_bimodal_only_with_two_peaks(void **state)
{
	/* ns a unit: in steps of 1 ns, and of a clock that ticks every 41 ns at the shortest latencies */
	static const struct {
		double unit;
		uint64_t tick;
	} clocks[] = {{1000, 1}, {25, 41}, {1e6, 1}};
	const unsigned runs = 60, samples = 10000;
	AUTO_FREE struct hist *h = mem_alloc(sizeof(*h));

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(shapes); i++) {
		for (size_t j = 0; j < ARRAY_LEN(clocks); j++) {
			uint64_t seed = 1000 * i + j;
			unsigned fired = 0;

			for (unsigned run = 0; run < runs; run++) {
				hist_clear(h);
				for (unsigned k = 0; k < samples; k++) {
					uint64_t v = (uint64_t)(shapes[i].draw(&seed) * clocks[j].unit);

					hist_add(h, v / clocks[j].tick * clocks[j].tick);
				}
				fired += stat_hist_bimodal(h);
			}
			if (fired != (shapes[i].two_modes ? runs : 0))
				fail_msg("%s in units of %g ns: flagged %u times, expected %u",
					shapes[i].name, clocks[j].unit, fired,
					shapes[i].two_modes ? runs : 0);
		}
	}
	hist_clear(h);
	assert_false(stat_hist_bimodal(h));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(walsh_interval_takes_the_published_order_statistics),
		cmocka_unit_test(below_six_blocks_the_interval_admits_that_it_covers_too_little),
		cmocka_unit_test(signed_rank_p_is_exact_with_ties_and_zeros),
		cmocka_unit_test(paired_interval_covers_what_it_says),
		cmocka_unit_test(mann_whitney_is_exact_and_symmetric),
		cmocka_unit_test(large_samples_fall_back_to_the_normal_distribution),
		cmocka_unit_test(holm_adjusts_within_the_family),
		cmocka_unit_test(blocks_needed_and_detectable_effect_are_inverse),
		cmocka_unit_test(tails_are_printed_from_ten_and_judged_from_ninety_beyond),
		cmocka_unit_test(figures_of_nothing_and_of_one_value_are_not_made_up),
		cmocka_unit_test(run_to_run_spread_is_judged_from_twenty_trials),
		cmocka_unit_test(warmup_is_cut_where_it_ends),
		cmocka_unit_test(trial_values_are_bimodal_only_when_they_fall_into_two_groups),
		cmocka_unit_test(equal_trial_values_are_one_group),
		cmocka_unit_test(histograms_are_bimodal_only_with_two_peaks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
