/* SPDX-License-Identifier: GPL-3.0-or-later */
/* From trial values to words: every verdict, the rules that withhold one, and the levels of the whole
 * procedure. */
#include "stat.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdarg.h>
#include <cmocka.h>
#include <math.h>

#define BLOCKS_MOST 20

static void near(const char *what, double got, double expected, double tolerance)
{
	if (!(fabs(got - expected) <= tolerance) && !(isnan(got) && isnan(expected)))
		fail_msg("%s: got %.17g, expected %.17g", what, got, expected);
}

static double normal(uint64_t *seed)
{
	double u = ((double)(rng_next(seed) >> 11) + 0.5) / 0x1p53,
	       v = (double)(rng_next(seed) >> 11) / 0x1p53;

	return sqrt(-2 * log(u)) * cos(2 * M_PI * v);
}

/* Ten fixed deviations that nearly cancel, so that an effect of their size is none. */
static const double wobble[BLOCKS_MOST] = {1, -1.1, 0.5, -0.4, 0.2, -0.3, 0.8, -0.9, 0.6, -0.45, 0.3, -0.2,
	0.7, -0.75, 0.1, -0.15, 0.9, -0.8, 0.4, -0.5};

/* Pairs with the given ratio, each a little off by `noise` times its wobble; the machine drifts by 1 % a
 * block. */
static void fill(double *a, double *b, size_t n, double ratio, double noise)
{
	for (size_t i = 0; i < n; i++) {
		a[i] = 50000 * (1 + 0.01 * (double)i);
		b[i] = a[i] * ratio * exp(noise * wobble[i]);
	}
}

/* One metric, alone in its cell. */
static struct stat_effect compare_one(
	enum stat_metric metric, enum stat_kind kind, const double *a, const double *b, size_t n)
{
	struct stat_cell cell = {.kind = kind, .transactions = 100000, .n_a = n, .n_b = n};
	struct stat_effect effects[STAT_METRICS];

	cell.a[metric] = a;
	cell.b[metric] = b;
	assert_int_equal(stat_cell_compare(&cell, NULL, effects), 1);
	return effects[0];
}

static void every_verdict_is_reached(void **state)
{
	static const struct {
		enum stat_metric metric;
		enum stat_kind kind;
		size_t blocks;
		double ratio, noise;
		const char *verdict;
	} rows[] = {
		{STAT_LATENCY_MEDIAN, STAT_REQUESTS, 10, 0.90, 0.01, "improved"},
		{STAT_LATENCY_MEDIAN, STAT_REQUESTS, 10, 1.10, 0.01, "regressed"},
		{STAT_LATENCY_MEDIAN, STAT_REQUESTS, 10, 0.99, 0.001, "changed_below_threshold"},
		{STAT_LATENCY_MEDIAN, STAT_REQUESTS, 10, 1.01, 0.001, "changed_below_threshold"},
		{STAT_LATENCY_MEDIAN, STAT_REQUESTS, 10, 1.00, 0.005, "equivalent"},
		{STAT_LATENCY_MEDIAN, STAT_REQUESTS, 10, 1.00, 0.2, "no_difference_shown"},
		{STAT_LATENCY_MEDIAN, STAT_REQUESTS, 8, 0.90, 0.01, "improved"},
		{STAT_LATENCY_MEDIAN, STAT_REQUESTS, 7, 0.50, 0.01, "not_assessed"},
		{STAT_LATENCY_MEDIAN, STAT_REQUESTS, 5, 0.50, 0.01, "not_assessed"},
		{STAT_LATENCY_MEDIAN, STAT_STREAM, 10, 0.90, 0.01,
			"not_assessed"}, /* no primary of a stream */
		{STAT_LATENCY_MEAN, STAT_REQUESTS, 10, 0.90, 0.01, "not_assessed"},
		{STAT_LATENCY_P99, STAT_REQUESTS, 10, 0.95, 0.001, "changed_below_threshold"}, /* δ 10 % */
		{STAT_LATENCY_P99, STAT_REQUESTS, 10, 0.88, 0.001, "improved"},
		{STAT_LATENCY_P999, STAT_REQUESTS, 10, 0.88, 0.001, "changed_below_threshold"}, /* δ 15 % */
		{STAT_LATENCY_P999, STAT_REQUESTS, 10, 1.20, 0.001, "regressed"},
		{STAT_THROUGHPUT, STAT_STREAM, 10, 1.03, 0.001, "improved"}, /* more is better */
		{STAT_THROUGHPUT, STAT_STREAM, 10, 0.97, 0.001, "regressed"},
		{STAT_RATE, STAT_REQUESTS, 10, 2, 0.001, "not_assessed"}, /* 1/mean is no primary */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		double a[BLOCKS_MOST], b[BLOCKS_MOST];
		char reason[STAT_REASON_MAX];

		fill(a, b, rows[i].blocks, rows[i].ratio, rows[i].noise);
		struct stat_effect e = compare_one(rows[i].metric, rows[i].kind, a, b, rows[i].blocks);
		const char *got = stat_verdict_name(e.verdict);

		if (strcmp(got, rows[i].verdict))
			fail_msg(
				"row %zu (%s): got %s (%s; ratio %g, p_holm %g, 90 %% %g to %g), expected %s",
				i, stat_metrics[rows[i].metric].name, got,
				stat_effect_reason(&e, reason, sizeof(reason)), e.ratio, e.p_holm, e.ci90[0],
				e.ci90[1], rows[i].verdict);
		if ((e.verdict == STAT_NOT_ASSESSED) != (e.reason != STAT_REASON_NONE))
			fail_msg("row %zu: verdict %s with reason '%s'", i, got,
				stat_effect_reason(&e, reason, sizeof(reason)));
	}
}

static void effect_agrees_with_both_bases_of_change(void **state)
{
	double a[10], b[10];

	(void)state;
	fill(a, b, 10, 0.6, 0.01);
	struct stat_effect e = compare_one(STAT_LATENCY_MEDIAN, STAT_REQUESTS, a, b, 10);

	near("ratio", e.ratio, 0.6, 0.002);
	near("change", e.change, e.ratio - 1, 1e-15);
	near("change_of_new", e.change_of_new, 1 - 1 / e.ratio, 1e-14);
	near("difference", e.difference, NAN, 0);
	near("coverage", e.coverage, 0.951171875, 1e-12);
	near("p", e.p, 0.001953125, 1e-15);
	near("p_holm", e.p_holm, e.p, 0);
	assert_true(e.ci95[0] <= e.ci90[0] && e.ci90[0] < e.ratio && e.ratio < e.ci90[1] &&
		    e.ci90[1] <= e.ci95[1]);
	assert_true(e.primary && e.mde > 0 && e.mde < 0.02);
}

static void swapping_the_arms_turns_the_verdict_around(void **state)
{
	static const double ratios[] = {0.9, 0.985, 1 / 1.02, 1.02, 1.021, 1.1};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(ratios); i++) {
		double a[10], b[10];

		fill(a, b, 10, ratios[i], 0.001);
		enum stat_verdict there = compare_one(STAT_LATENCY_MEDIAN, STAT_REQUESTS, a, b, 10).verdict;
		enum stat_verdict back = compare_one(STAT_LATENCY_MEDIAN, STAT_REQUESTS, b, a, 10).verdict;
		enum stat_verdict expected = there == STAT_IMPROVED    ? STAT_REGRESSED
					     : there == STAT_REGRESSED ? STAT_IMPROVED
								       : there;

		if (back != expected)
			fail_msg("ratio %g: %s, and swapped %s", ratios[i], stat_verdict_name(there),
				stat_verdict_name(back));
	}
}

static void few_blocks_give_numbers_then_an_interval_then_a_verdict(void **state)
{
	(void)state;
	for (size_t n = 0; n <= 9; n++) {
		double a[BLOCKS_MOST], b[BLOCKS_MOST];

		fill(a, b, n, 0.8, 0.01);
		struct stat_effect e = compare_one(STAT_LATENCY_MEDIAN, STAT_REQUESTS, a, b, n);

		if (e.n_blocks != n || isnan(e.ratio) != (n < 1) || isnan(e.ci95[0]) != (n < 6) ||
			isnan(e.p) != (n < 6) || isnan(e.p_holm) != (n < 8) ||
			(e.verdict != STAT_NOT_ASSESSED) != (n >= 8))
			fail_msg("%zu blocks: ratio %g, ci %g, p %g, p_holm %g, %s", n, e.ratio, e.ci95[0],
				e.p, e.p_holm, stat_verdict_name(e.verdict));
	}
}

static void a_missing_value_drops_its_block_for_that_metric(void **state)
{
	double a[10], b[10], mean_a[10], mean_b[10];
	struct stat_cell cell = {.transactions = 100000, .n_a = 10, .n_b = 10};
	struct stat_effect effects[STAT_METRICS];

	(void)state;
	fill(a, b, 10, 0.8, 0.01);
	fill(mean_a, mean_b, 10, 0.8, 0.01);
	a[3] = NAN;
	b[7] = NAN;
	cell.a[STAT_LATENCY_MEDIAN] = a;
	cell.b[STAT_LATENCY_MEDIAN] = b;
	cell.a[STAT_LATENCY_MEAN] = mean_a;
	cell.b[STAT_LATENCY_MEAN] = mean_b;
	assert_int_equal(stat_cell_compare(&cell, NULL, effects), 2);
	assert_int_equal(effects[0].n_blocks, 8);
	assert_int_equal(effects[0].verdict, STAT_IMPROVED);
	assert_int_equal(effects[1].n_blocks, 10);
}

static void loss_is_judged_by_its_difference_and_may_be_zero(void **state)
{
	static const struct {
		double from, to;
		const char *verdict;
	} rows[] = {{0, 0, "equivalent"}, {0.02, 0, "improved"}, {0, 0.02, "regressed"},
		{0.0005, 0, "changed_below_threshold"}};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		double a[10], b[10];

		for (size_t j = 0; j < 10; j++) {
			a[j] = rows[i].from * (1 + 0.1 * wobble[j]);
			b[j] = rows[i].to * (1 + 0.1 * wobble[j]);
		}
		struct stat_effect e = compare_one(STAT_LOSS, STAT_STREAM, a, b, 10);

		if (strcmp(stat_verdict_name(e.verdict), rows[i].verdict))
			fail_msg("loss %g to %g: got %s, expected %s", rows[i].from, rows[i].to,
				stat_verdict_name(e.verdict), rows[i].verdict);
		near("difference", e.difference, rows[i].to - rows[i].from, 0.001);
		near("ratio", e.ratio, NAN, 0);
		assert_true(e.absolute);
	}
}

static void a_zero_among_latencies_falls_back_to_differences(void **state)
{
	double a[10], b[10];

	(void)state;
	fill(a, b, 10, 0.5, 0.01);
	b[0] = 0;
	struct stat_effect e = compare_one(STAT_LATENCY_MEDIAN, STAT_REQUESTS, a, b, 10);

	assert_true(e.absolute && e.verdict == STAT_IMPROVED);
	near("delta", e.delta, 0.02 * stat_median(a, 10), 1e-9);
	near("change", e.change, -0.5, 0.02);
}

/* All that a request cell has, with a ratio of its own for each metric. */
struct request_cell {
	struct stat_cell cell;
	double a[STAT_METRICS][BLOCKS_MOST], b[STAT_METRICS][BLOCKS_MOST];
};

static void make_cell(struct request_cell *c, uint64_t transactions, double sd, double iqr, double p99)
{
	static const enum stat_metric metrics[] = {
		STAT_LATENCY_MEDIAN, STAT_LATENCY_SD, STAT_LATENCY_IQR, STAT_LATENCY_P99, STAT_LATENCY_P999};
	const double ratios[] = {1, sd, iqr, p99, p99}, scales[] = {1, 0.2, 0.1, 2, 4};

	c->cell = (struct stat_cell){.transactions = transactions, .n_a = 10, .n_b = 10};
	for (size_t i = 0; i < ARRAY_LEN(metrics); i++) {
		double *a = c->a[metrics[i]], *b = c->b[metrics[i]];

		fill(a, b, 10, ratios[i], 0.005);
		for (size_t j = 0; j < 10; j++) {
			a[j] *= scales[i];
			b[j] *= scales[i];
		}
		c->cell.a[metrics[i]] = a;
		c->cell.b[metrics[i]] = b;
	}
}

static const struct stat_effect *find(const struct stat_effect *effects, size_t n, enum stat_metric metric)
{
	for (size_t i = 0; i < n; i++)
		if (effects[i].metric == metric)
			return &effects[i];
	fail_msg("no effect for %s", stat_metrics[metric].name);
	return NULL;
}

static void every_reason_has_a_sentence_of_its_own(void **state)
{
	struct stat_effect e = {.metric = STAT_LATENCY_P999, .n_blocks = 3, .transactions = 20000};
	char text[STAT_REASONS][STAT_REASON_MAX], note[STAT_REASON_MAX];

	(void)state;
	for (int r = 0; r < STAT_REASONS; r++) {
		e.reason = (enum stat_reason)r;
		stat_effect_reason(&e, text[r], sizeof(text[r]));
		stat_effect_reason_note(&e, note, sizeof(note));
		if ((r == STAT_REASON_NONE) != !text[r][0] || !text[r][0] != !note[0])
			fail_msg("reason %d: '%s', note '%s'", r, text[r], note);
		if (strlen(text[r]) + 1 >= sizeof(text[r]) || strlen(note) > strlen(text[r]))
			fail_msg("reason %d: '%s' is too long, or its note '%s'", r, text[r], note);
		for (int other = 0; other < r; other++)
			if (!strcmp(text[r], text[other]))
				fail_msg("reasons %d and %d are both '%s'", other, r, text[r]);
	}
	assert_string_equal(text[STAT_REASON_FEW_TRANSACTIONS],
		"p99.9 needs 90000 transactions in each trial; the shortest has 20000");
	assert_string_equal(
		text[STAT_REASON_FEW_FOR_INTERVAL], "blocks: 3; an interval needs 6, a verdict 8");
}

/* quick asks for just as many as p99 wants: one trial whose time is up a little earlier must not cost all. */
static void a_trial_that_was_cut_short_by_a_tenth_is_still_judged(void **state)
{
	static const struct {
		uint64_t transactions;
		bool judged;
	} rows[] = {{10000, true}, {9000, true}, {8999, false}};
	struct request_cell c;
	struct stat_effect effects[STAT_METRICS];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		make_cell(&c, rows[i].transactions, 1, 1, 0.5);
		size_t n = stat_cell_compare(&c.cell, NULL, effects);
		const struct stat_effect *e = find(effects, n, STAT_LATENCY_P99);
		char note[STAT_REASON_MAX];

		assert_int_equal(e->verdict, rows[i].judged ? STAT_IMPROVED : STAT_NOT_ASSESSED);
		stat_effect_reason_note(e, note, sizeof(note));
		assert_string_equal(note, rows[i].judged ? "" : "8999 of 9000 needed");
	}
}

static void a_claim_about_the_sd_needs_the_bulk_to_agree(void **state)
{
	static const struct {
		double sd, iqr, p99;
		bool claimed;
	} rows[] = {
		{0.5, 0.8, 0.8, true},  /* both agree */
		{0.5, 0.8, 1.2, true},  /* IQR agrees */
		{0.5, 1.2, 0.8, true},  /* p99 - p50 agrees */
		{0.5, 1.2, 1.2, false}, /* rare extremes */
		{1.8, 0.8, 0.8, false},
		{1.8, 1.1, 0.8, true},
	};
	struct request_cell c;
	struct stat_effect effects[STAT_METRICS];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		make_cell(&c, 100000, rows[i].sd, rows[i].iqr, rows[i].p99);
		size_t n = stat_cell_compare(&c.cell, NULL, effects);
		const struct stat_effect *sd = find(effects, n, STAT_LATENCY_SD);
		enum stat_reason reason = rows[i].claimed ? STAT_REASON_NONE : STAT_REASON_RARE_EXTREMES;

		if ((sd->verdict != STAT_NOT_ASSESSED) != rows[i].claimed || sd->reason != reason)
			fail_msg("row %zu: got %s (reason %d), expected %s (reason %d)", i,
				stat_verdict_name(sd->verdict), sd->reason,
				rows[i].claimed ? "a claim" : "none", reason);
	}
	make_cell(&c, 100000, 0.5, 0.8, 0.8);
	c.cell.a[STAT_LATENCY_IQR] = c.cell.a[STAT_LATENCY_P99] = NULL;
	size_t n = stat_cell_compare(&c.cell, NULL, effects);

	assert_int_equal(find(effects, n, STAT_LATENCY_SD)->verdict, STAT_NOT_ASSESSED);
}

static void tails_join_the_family_by_their_transactions(void **state)
{
	static const struct {
		uint64_t transactions;
		size_t judged;
		bool p99_number, p999_number;
	} rows[] = {{999, 2, false, false}, {1000, 2, true, false}, {8999, 2, true, false},
		{9000, 3, true, false}, {10000, 3, true, true}, {89999, 3, true, true},
		{90000, 4, true, true}};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct request_cell c;
		struct stat_effect effects[STAT_METRICS];

		make_cell(&c, rows[i].transactions, 0.5, 0.5, 0.5);
		size_t n = stat_cell_compare(&c.cell, NULL, effects);
		const struct stat_effect *p99 = find(effects, n, STAT_LATENCY_P99);
		const struct stat_effect *p999 = find(effects, n, STAT_LATENCY_P999);
		const struct stat_effect *sd = find(effects, n, STAT_LATENCY_SD);

		if (stat_effects_judged(effects, n) != rows[i].judged ||
			isnan(p99->ratio) == rows[i].p99_number || isnan(p999->ratio) == rows[i].p999_number)
			fail_msg("%ju transactions: %zu judged, p99 %g, p99.9 %g",
				(uintmax_t)rows[i].transactions, stat_effects_judged(effects, n), p99->ratio,
				p999->ratio);
		assert_true(p99->primary && p999->primary && p99->n_blocks == 10);
		assert_true((p999->verdict == STAT_NOT_ASSESSED) == (rows[i].judged < 4));
		/* The SD is among the least p-values of the family: Holm multiplies it by the whole family.
		 */
		near("p_holm", sd->p_holm, sd->p * (double)rows[i].judged, 1e-15);
	}
}

static void thresholds_are_the_callers(void **state)
{
	struct stat_deltas deltas = stat_deltas_default();
	struct stat_cell cell = {.transactions = 100000, .n_a = 10, .n_b = 10};
	struct stat_effect e[STAT_METRICS];
	double a[10], b[10];

	(void)state;
	fill(a, b, 10, 0.95, 0.001);
	cell.a[STAT_LATENCY_MEDIAN] = a;
	cell.b[STAT_LATENCY_MEDIAN] = b;
	stat_cell_compare(&cell, &deltas, e);
	assert_int_equal(e[0].verdict, STAT_IMPROVED);
	deltas.of[STAT_LATENCY_MEDIAN] = 0.10;
	stat_cell_compare(&cell, &deltas, e);
	assert_int_equal(e[0].verdict, STAT_CHANGED_BELOW_THRESHOLD);
	near("delta", e[0].delta, 0.10, 1e-15);
}

static void unpaired_files_are_compared_without_their_order(void **state)
{
	double a[12], b[10];
	uint64_t seed = 9;
	struct stat_cell cell = {.unpaired = true, .transactions = 100000, .n_a = 12, .n_b = 10};
	struct stat_effect e[STAT_METRICS];
	struct stat_mwu u;

	(void)state;
	for (size_t i = 0; i < 12; i++)
		a[i] = 50000 * exp(0.02 * normal(&seed));
	for (size_t i = 0; i < 10; i++)
		b[i] = 40000 * exp(0.02 * normal(&seed));
	cell.a[STAT_LATENCY_MEDIAN] = a;
	cell.b[STAT_LATENCY_MEDIAN] = b;
	assert_int_equal(stat_cell_compare(&cell, NULL, e), 1);
	stat_mann_whitney(a, 12, b, 10, &u);
	near("p", e[0].p, u.p, 0);
	near("ratio", e[0].ratio, stat_shift_ratio(a, 12, b, 10, 0.95).estimate, 1e-12);
	assert_int_equal(e[0].n_blocks, 10);
	assert_int_equal(e[0].verdict, STAT_IMPROVED);
}

/* --- the procedure as a whole ------------------------------------------------------------------ */

/* One experiment of 10 blocks: figures that share their block, and trials that differ among themselves by a
 * few %. */
static size_t claims_of_experiment(uint64_t *seed, double effect, enum stat_verdict *median)
{
	static const double noise[] = {0.02, 0.12, 0.06, 0.08, 0.15};
	struct request_cell c;
	struct stat_effect effects[STAT_METRICS];
	size_t claims = 0;

	make_cell(&c, 100000, 1, 1, 1);
	for (size_t j = 0; j < 10; j++) {
		double block = exp(0.05 * normal(seed)), shared[2] = {normal(seed), normal(seed)};

		for (size_t m = 0, k = 0; m < STAT_METRICS; m++) {
			if (!c.cell.a[m])
				continue;
			double own = noise[k++];

			c.a[m][j] = block * exp(own * (0.6 * shared[0] + 0.8 * normal(seed)));
			c.b[m][j] = block * effect * exp(own * (0.6 * shared[1] + 0.8 * normal(seed)));
		}
	}
	size_t n = stat_cell_compare(&c.cell, NULL, effects);

	for (size_t i = 0; i < n; i++)
		claims += effects[i].verdict == STAT_IMPROVED || effects[i].verdict == STAT_REGRESSED ||
			  effects[i].verdict == STAT_CHANGED_BELOW_THRESHOLD;
	*median = effects[0].verdict;
	return claims;
}

static void the_same_configuration_twice_is_rarely_told_apart(void **state)
{
	const unsigned runs = 4000;
	unsigned claimed = 0;
	uint64_t seed = 2015;
	enum stat_verdict median;

	(void)state;
	for (unsigned i = 0; i < runs; i++)
		claimed += claims_of_experiment(&seed, 1, &median) > 0;
	double share = claimed / (double)runs;

	/* Holm guarantees at most 5 % false claims; a share near 0 would mean that the test finds nothing at
	 * all.
	 */
	if (share > 0.05 || share < 0.01)
		fail_msg("false claims in %g of the experiments, 0.01 to 0.05 expected", share);
}

static void a_real_effect_is_found(void **state)
{
	const unsigned runs = 300;
	unsigned found = 0;
	uint64_t seed = 7;
	enum stat_verdict median;

	(void)state;
	for (unsigned i = 0; i < runs; i++) {
		claims_of_experiment(&seed, 0.93, &median);
		found += median == STAT_IMPROVED;
	}
	if (found < runs * 9 / 10)
		fail_msg("-7 %% found in %u of %u experiments, at least 9 of 10 expected", found, runs);
}

static void metric_names_are_those_of_the_contract(void **state)
{
	static const char *const names[] = {"latency_median", "latency_mean", "latency_sd", "latency_iqr",
		"latency_p90", "latency_p99", "latency_p99.9", "latency_p99.99", "throughput",
		"throughput_sd", "loss", "rate", "jitter", "connect_median", "connect_p99",
		"first_reply_median", "first_reply_p99", "beside_throughput"};
	enum stat_metric m = STAT_RATE;

	(void)state;
	for (size_t i = 0; i < STAT_METRICS; i++) {
		assert_string_equal(stat_metrics[i].name, names[i]);
		assert_int_equal(stat_metric_find(names[i], &m), 0);
		assert_int_equal(m, i);
	}
	assert_int_equal(stat_metric_find("latency", &m), -ENOENT);
	near("false claims", stat_false_claims_expected(12), 0.6, 1e-15);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_verdict_is_reached),
		cmocka_unit_test(effect_agrees_with_both_bases_of_change),
		cmocka_unit_test(swapping_the_arms_turns_the_verdict_around),
		cmocka_unit_test(few_blocks_give_numbers_then_an_interval_then_a_verdict),
		cmocka_unit_test(a_missing_value_drops_its_block_for_that_metric),
		cmocka_unit_test(loss_is_judged_by_its_difference_and_may_be_zero),
		cmocka_unit_test(a_zero_among_latencies_falls_back_to_differences),
		cmocka_unit_test(every_reason_has_a_sentence_of_its_own),
		cmocka_unit_test(a_trial_that_was_cut_short_by_a_tenth_is_still_judged),
		cmocka_unit_test(a_claim_about_the_sd_needs_the_bulk_to_agree),
		cmocka_unit_test(tails_join_the_family_by_their_transactions),
		cmocka_unit_test(thresholds_are_the_callers),
		cmocka_unit_test(unpaired_files_are_compared_without_their_order),
		cmocka_unit_test(the_same_configuration_twice_is_rarely_told_apart),
		cmocka_unit_test(a_real_effect_is_found),
		cmocka_unit_test(metric_names_are_those_of_the_contract),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
