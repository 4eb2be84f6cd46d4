/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Is a measured stretch steady?  How often the check for a change finds one where there is none, and how
 * often it finds one that is there, on simulated series: independent values and an autoregression of first
 * order, normal and with a heavy tail.
 */
#include "stat/stat.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#define TRIALS 2000
#define N_MAX  1024

static uint64_t state = 0x9e3779b97f4a7c15u;

static double uniform(void)
{
	state += 0x9e3779b97f4a7c15u; /* splitmix64 */
	uint64_t z = state;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return ((double)((z ^ (z >> 31)) >> 11) + 0.5) / 9007199254740992.0;
}

static double normal(void)
{
	double u = uniform(), v = uniform();

	return sqrt(-2 * log(u)) * cos(2 * 3.14159265358979323846 * v);
}

struct made {
	size_t n;
	double correlation; /* of neighbours */
	double sd;          /* of the logarithm */
	bool heavy;         /* every tenth value is up to ten times as large */
	double step;        /* factor from `at` on */
	double at;          /* fraction of the series */
};

static void make(const struct made *m, double *x)
{
	double z = normal();

	for (size_t i = 0; i < m->n; i++) {
		z = m->correlation * z + sqrt(1 - m->correlation * m->correlation) * normal();
		x[i] = 10000 * exp(m->sd * z) * (m->heavy && uniform() < 0.1 ? 1 + 9 * uniform() : 1);
		if ((double)i >= m->at * (double)m->n)
			x[i] *= m->step;
	}
}

/* In percent. */
static double found(const struct made *m)
{
	double x[N_MAX];
	size_t n = 0;

	for (size_t i = 0; i < TRIALS; i++) {
		make(m, x);
		n += stat_change(x, m->n).changed;
	}
	return 100.0 * (double)n / TRIALS;
}

static void a_series_without_a_change_is_hardly_ever_said_to_change(void **unused)
{
	static const struct made series[] = {
		{100, 0, 0.2, false, 1, 0},
		{100, 0, 0.2, true, 1, 0},
		{100, 0.3, 0.2, false, 1, 0},
		{140, 0.3, 0.2, false, 1, 0},
		{200, 0, 0.2, false, 1, 0},
		{200, 0.3, 0.5, false, 1, 0},
		{400, 0.3, 0.5, true, 1, 0},
		{1000, 0, 0.5, false, 1, 0},
		{1000, 0.5, 0.5, false, 1, 0},
	};

	(void)unused;
	for (size_t i = 0; i < ARRAY_LEN(series); i++) {
		double percent = found(&series[i]);

		print_message("n %zu, correlation %g, SD %g: %.2f %%\n", series[i].n, series[i].correlation,
			series[i].sd, percent);
		assert_true(percent <= 2);
	}
}

static void a_step_in_the_middle_is_found(void **unused)
{
	static const struct made series[] = {
		{100, 0, 0.2, false, 1.5, 0.5},
		{100, 0.3, 0.15, true, 1.5, 0.5},
		{200, 0.3, 0.3, false, 1.5, 0.5},
		{200, 0, 0.2, false, 1 / 1.5, 0.6},
		{1000, 0.5, 0.5, false, 1.5, 0.5},
		{1000, 0.3, 0.2, false, 1.5, 0.75},
	};

	(void)unused;
	for (size_t i = 0; i < ARRAY_LEN(series); i++) {
		double percent = found(&series[i]);

		print_message("n %zu, correlation %g, SD %g, step %g at %g: %.1f %%\n", series[i].n,
			series[i].correlation, series[i].sd, series[i].step, series[i].at, percent);
		assert_true(percent >= 85);
	}
}

static void a_change_is_placed_and_measured(void **unused)
{
	double x[200];

	(void)unused;
	for (size_t i = 0; i < ARRAY_LEN(x); i++)
		x[i] = (i < 150 ? 10000 : 16000) + (double)((i * 7) % 13);
	struct stat_change c = stat_change(x, ARRAY_LEN(x));
	assert_true(c.judged && c.changed);
	assert_int_equal(c.at, 150);
	assert_true(fabs(c.ratio - 1.6) < 0.01);
	for (size_t i = 0; i < ARRAY_LEN(x); i++) /* found, but not worth a word */
		x[i] = (i < 100 ? 10000 : 10300) + (double)((i * 7) % 13);
	c = stat_change(x, ARRAY_LEN(x));
	assert_true(c.judged && !c.changed && c.at == 100);
}

/* The third state: nothing is known. */
static void a_stretch_is_settled_only_when_it_was_judged(void **unused)
{
	double x[400];

	(void)unused;
	for (size_t i = 0; i < ARRAY_LEN(x); i++)
		x[i] = 10000 + 100 * normal();
	assert_int_equal(stat_stretch(x, 99), STAT_STRETCH_SHORT);
	assert_int_equal(stat_stretch(NULL, 0), STAT_STRETCH_SHORT);
	assert_int_equal(stat_stretch(x, 400), STAT_STRETCH_SETTLED);
	for (size_t i = 0; i < 250; i++)
		x[i] *= 1 + (double)(250 - i) / 100; /* falls until far behind the middle */
	assert_int_equal(stat_stretch(x, 400), STAT_STRETCH_SETTLING);
	for (size_t i = 0; i < ARRAY_LEN(x); i++) /* faster for a while, behind the middle */
		x[i] = (i >= 240 && i < 370 ? 7000 : 10000) + 100 * normal();
	assert_int_equal(stat_stretch(x, 400), STAT_STRETCH_CHANGED);
	for (size_t i = 0; i < ARRAY_LEN(x); i++)
		x[i] = 10000;
	assert_int_equal(stat_stretch(x, 400), STAT_STRETCH_SETTLED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_series_without_a_change_is_hardly_ever_said_to_change),
		cmocka_unit_test(a_step_in_the_middle_is_found),
		cmocka_unit_test(a_change_is_placed_and_measured),
		cmocka_unit_test(a_stretch_is_settled_only_when_it_was_judged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
