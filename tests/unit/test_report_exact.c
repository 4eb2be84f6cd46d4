/* SPDX-License-Identifier: GPL-3.0-or-later */
/* report: on the exact clock differences are facts, and nothing of a cell depends on when or where it was
 * made. */
#include "test_report_world.h"

#include <math.h>
#include <stdio.h>

static const struct report_style plain = {0};
static const struct shape slow = {22723, 10, 5, 20000, "interrupts"},
			  fast = {20928, 10, 5, 20000, "interrupts"};

static struct settings exact_of(const char *site)
{
	struct settings s = settings_of("tcp_rr", "stock");

	CHECK(setting_set(&s, "site", site, &problem));
	CHECK(setting_set(&s, "clock", "exact", &problem));
	CHECK(settings_check(&s, &problem));
	return s;
}

/* `otherwise` changes all that is this machine's: times of day, boots and durations by its clock. */
static struct trial_record *exact_record(
	const struct settings *s, const struct shape *shape, uint64_t otherwise)
{
	struct trial_record *r = rr_record(s, shape, 0);

	r->wall_started_ns += otherwise * NS_PER_S;
	r->duration_ns += otherwise * 12345;
	str_copy(r->host.kernel, sizeof(r->host.kernel),
		!strcmp(s->site, "lab:rt") ? "6.1.0-rt" : "6.1.0-stock");
	str_copy(r->host.accel, sizeof(r->host.accel), "tcg");
	str_copy(r->host.program, sizeof(r->host.program), "QEMU 7.2.22");
	r->host.boot_ns = (4000 + otherwise) * NS_PER_MS;
	r->host.first_ns = (4600 + otherwise) * NS_PER_MS;
	r->host.init_ns = 2900 * NS_PER_MS;
	r->host.ready_ns = 3100 * NS_PER_MS;
	return r;
}

static int64_t exact_cell(struct world *w, const struct shape *a, const struct shape *b, uint64_t otherwise)
{
	struct settings arms[2] = {exact_of("lab:stock"), exact_of("lab:rt")};
	int64_t cell = cell_add(w, "container/oci/bridge/tcp_rr/clock=exact", arms);

	trial_add(w, cell, "stock", 0, exact_record(&arms[0], a, otherwise));
	trial_add(w, cell, "tuned", 0, exact_record(&arms[1], b, otherwise + 7));
	return cell;
}

static struct report *loaded(struct world *w)
{
	struct report *r = NULL;

	CHECK(report_load(&r, w->store, w->run, NULL, &problem));
	return r;
}

static struct report *exact_report(
	struct world *w, const struct shape *a, const struct shape *b, uint64_t otherwise)
{
	run_begin(w, "exact", 1);
	exact_cell(w, a, b, otherwise);
	CHECK(store_run_end(w->store, w->run, "done", &problem));
	return loaded(w);
}

static void one_trial_of_each_arm_is_a_fact(void **state)
{
	AUTO(auto_report) struct report *r = exact_report(*state, &fast, &slow, 0);
	const struct report_cell *cell = &r->cells[0];
	const struct stat_effect *mean = effect_of(cell, STAT_LATENCY_MEAN);

	assert_true(cell->exact && cell->pairs[0].exact);
	assert_int_equal(r->families, 0);
	assert_int_equal(cell->pairs[0].judged, 4); /* median, SD, p99, p99.9 */
	assert_int_equal(mean->verdict, STAT_FACT);
	assert_true(fabs(mean->difference - (cell->arms[1].figure[STAT_LATENCY_MEAN] -
						    cell->arms[0].figure[STAT_LATENCY_MEAN])) < 1e-9);
	assert_true(fabs(mean->change - (mean->ratio - 1)) < 1e-12);
	assert_true(isnan(mean->p) && isnan(mean->p_holm) && isnan(mean->mde) && isnan(mean->ci95[0]));
	/* Tails are facts as well, though the machine is emulated. */
	assert_int_equal(effect_of(cell, STAT_LATENCY_P99)->verdict, STAT_FACT);
	assert_true(effect_of(cell, STAT_LATENCY_P99)->primary);
}

static void json_holds_facts_and_nothing_inferred(void **state)
{
	static const char *const nulls[] = {"ci95", "ci90", "coverage", "p", "p_holm", "mde", "reason"};
	static const char *const numbers[] = {"ratio", "difference", "change", "change_of_new", "delta"};
	AUTO(auto_report) struct report *r = exact_report(*state, &fast, &slow, 0);
	json_t *j = report_json(r), *effect;
	const json_t *cell = json_array_get(json_object_get(j, "cells"), 0);
	size_t i;

	json_array_foreach (json_object_get(cell, "effects"), i, effect) {
		assert_string_equal(json_string_value(json_object_get(effect, "verdict")), "fact");
		for (size_t k = 0; k < ARRAY_LEN(nulls); k++)
			if (!json_is_null(json_object_get(effect, nulls[k])))
				fail_msg("'%s' of effect %zu is not null", nulls[k], i);
		for (size_t k = 0; k < ARRAY_LEN(numbers); k++)
			if (!json_is_number(json_object_get(effect, numbers[k])))
				fail_msg("'%s' of effect %zu is no number", numbers[k], i);
	}
	assert_true(i >= 8);
	assert_true(json_is_null(json_object_get(j, "false_claims_expected")));
	assert_string_equal(json_string_value(json_object_get(cell, "clock")), "exact");
	assert_string_equal(json_string_value(json_object_get(cell, "accel")), "tcg");
	json_decref(j);
}

static void words_are_of_facts(void **state)
{
	static const char *const never[] = {"improved", "regressed", "equivalent", "no difference shown",
		"Holm", "interval", "p (", "False claims", "block", "Verdicts", "seed", "exploratory",
		"could miss"};
	AUTO(auto_report) struct report *r = exact_report(*state, &fast, &slow, 0);
	struct buf b = {0};

	report_terminal(r, &plain, &b);
	if (getenv("SHOW"))
		fprintf(stderr, "%s", b.data);
	says(&b, "machine   host by arm, emulated (tcg) · exact clock\n");
	says(&b, "differs by +1.802 µs (+8.4 %, of new +7.7 %)\n");
	reads(&b, "one nanosecond is one executed instruction");
	reads(&b, "caches, memory latency,");
	reads(&b, "partition or isolate");
	reads(&b,
		"boot stock: 3.10 s of its own time to the agent's first word (kernel 2.90 s, PID 1 200 ms)");
	says(&b, "2 of 2 trials usable");
	for (size_t i = 0; i < ARRAY_LEN(never); i++)
		says_not(&b, never[i]);
	assert_true(widest(b.data) <= 100);
	buf_free(&b);
}

static void equal_arms_are_equal_to_the_nanosecond(void **state)
{
	/* The same mean from other transactions: the buckets cannot tell that they are the same. */
	AUTO(auto_report) struct report *r = exact_report(*state, &fast, &fast, 0);
	struct buf b = {0};

	report_terminal(r, &plain, &b);
	says(&b, "equal to the nanosecond");
	says_not(&b, "differs by");
	says_not(&b, "bucket (0.8 %)");
	assert_true(effect_of(&r->cells[0], STAT_LATENCY_MEDIAN)->difference == 0);
	buf_free(&b);
}

static void a_bucket_is_not_a_nanosecond(void **state)
{
	static const struct shape low = {20930, 0, 1, 20000, "steal"}, high = {20935, 0, 1, 20000, "steal"};
	AUTO(auto_report) struct report *r = exact_report(*state, &low, &high, 0);
	struct buf b = {0};

	/* All transactions 5 ns apart, in one bucket: the mean knows, the median may not. */
	report_terminal(r, &plain, &b);
	says(&b, "differs by +5 ns (0.0 %, of new 0.0 %)");
	says_not(&b, "median  20.930 µs  20.930 µs  equal to the nanosecond");
	buf_free(&b);
}

static void the_same_experiment_gives_the_same_cells_byte_for_byte(void **state)
{
	char *texts[2] = {NULL, NULL};

	for (size_t i = 0; i < 2; i++) {
		AUTO(auto_report) struct report *r = exact_report(*state, &fast, &slow, i * 11);
		json_t *j = report_json(r);

		texts[i] = json_dumps(json_object_get(j, "cells"), JSON_INDENT(2));
		json_decref(j);
	}
	assert_string_equal(texts[0], texts[1]);
	/* What the machine's own clock says stays. */
	assert_non_null(strstr(texts[0], "\"kernel_to_init\": 2900000000.0"));
	assert_non_null(strstr(texts[0], "\"exec_to_ready\": null"));
	free(texts[0]);
	free(texts[1]);
}

static void further_trials_show_whether_it_repeats(void **state)
{
	struct world *w = *state;
	struct settings arms[2] = {exact_of("lab:stock"), exact_of("lab:rt")};
	struct buf b = {0};

	run_begin(w, "exact", 2);
	int64_t cell = exact_cell(w, &fast, &slow, 0);
	trial_add(w, cell, "stock", 1, exact_record(&arms[0], &fast, 99));
	struct trial_record *other = exact_record(&arms[1], &slow, 99);
	/* One transaction of twenty thousand was slower: nothing of the bulk moves. */
	hist_add(&other->client.service, 900000);
	other->client.response = other->client.service;
	other->client.sent = ++other->client.transactions;
	trial_add(w, cell, "tuned", 1, other);

	AUTO(auto_report) struct report *r = loaded(w);
	assert_true(report_exact_identical(&r->cells[0].arms[0], NULL));
	assert_false(report_exact_identical(&r->cells[0].arms[1], NULL));
	assert_int_equal(effect_of(&r->cells[0], STAT_LATENCY_SD)->verdict, STAT_NOT_ASSESSED);
	report_terminal(r, &plain, &b);
	reads(&b,
		"stock: 2 trials, identical to the last bit · tuned: 2 trials, NOT identical: they differ in");
	says(&b, "not assessed: not repeatable");
	says_not(&b, "between  ");
	json_t *j = report_json(r);
	const json_t *made = json_object_get(json_array_get(json_object_get(j, "cells"), 0), "arms");
	assert_true(json_is_true(json_object_get(json_object_get(made, "stock"), "identical_trials")));
	assert_true(json_is_false(json_object_get(json_object_get(made, "tuned"), "identical_trials")));
	json_decref(j);
	buf_free(&b);
}

static void a_gate_holds_facts_against_what_matters(void **state)
{
	static const struct {
		struct shape b;
		enum err_exit wanted;
	} rows[] = {
		{{22723, 10, 5, 20000, "steal"}, EXIT_GATE}, /* the median 8.6 % worse */
		{{21100, 10, 5, 20000, "steal"}, EXIT_DONE}, /* 0.8 % */
		{{18000, 10, 5, 20000, "steal"}, EXIT_DONE}, /* better; its SD is worse, by less than 10 % */
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		AUTO(auto_report) struct report *r = exact_report(*state, &fast, &rows[i].b, 0);
		enum err_exit got = report_exit_code(r, true);

		if (got != rows[i].wanted)
			fail_msg("row %zu: got %d, expected %d", i, (int)got, (int)rows[i].wanted);
		assert_int_equal(report_exit_code(r, false), EXIT_DONE);
	}
}

static void a_run_may_hold_both_clocks(void **state)
{
	struct world *w = *state;
	struct settings arms[2] = {settings_of("tcp_rr", "stock"), settings_of("tcp_rr", "low-latency")};
	struct buf b = {0};

	run_begin(w, "mixed", 10);
	exact_cell(w, &fast, &slow, 0);
	int64_t cell = cell_add(w, "container/oci/bridge/tcp_rr", arms);
	for (uint64_t k = 0; k < 10; k++)
		for (int a = 0; a < 2; a++)
			trial_add(
				w, cell, a ? "tuned" : "stock", k, rr_record(&arms[a], a ? &fast : &slow, k));
	AUTO(auto_report) struct report *r = loaded(w);
	assert_int_equal(r->families, 1);
	assert_int_equal(effect_of(&r->cells[1], STAT_LATENCY_MEDIAN)->verdict, STAT_IMPROVED);
	report_terminal(r, &plain, &b);
	says(&b, "differs by");
	says(&b, "improved");
	says(&b, "10 of 10 blocks complete");
	says(&b, "False claims");
	says(&b, "On the exact clock");
	json_t *j = report_json(r);
	assert_true(json_is_number(json_object_get(j, "false_claims_expected")));
	json_decref(j);
	buf_free(&b);
}

static void arms_on_different_clocks_are_not_compared(void **state)
{
	struct world *w = *state;
	struct settings arms[2] = {settings_of("tcp_rr", "stock"), exact_of("lab:stock")};

	run_begin(w, "clocks", 1);
	int64_t cell = cell_add(w, "container/oci/bridge/tcp_rr", arms);
	trial_add(w, cell, "stock", 0, rr_record(&arms[0], &slow, 0));
	trial_add(w, cell, "tuned", 0, exact_record(&arms[1], &fast, 0));
	AUTO(auto_report) struct report *r = loaded(w);
	assert_false(r->cells[0].exact);
	assert_int_equal(effect_of(&r->cells[0], STAT_LATENCY_MEDIAN)->reason, STAT_REASON_ARM_EXACT);
}

static void two_exact_runs_are_compared_as_facts(void **state)
{
	struct world *w = *state;
	AUTO(auto_report) struct report *old = exact_report(w, &fast, &slow, 0);
	AUTO(auto_report) struct report *same = exact_report(w, &fast, &slow, 5);
	AUTO(auto_report) struct report *worse = exact_report(w, &slow, &slow, 5);
	struct buf b = {0};
	json_t *j;

	CHECK(report_compare_terminal(old, same, &plain, &b, &problem));
	if (getenv("SHOW"))
		fprintf(stderr, "%s", b.data);
	says(&b, "Both runs are on the exact clock");
	says(&b, "equal to the nanosecond");
	says(&b, "All that was recorded is identical to the last bit.");
	says_not(&b, "NOT INTERLEAVED");
	says_not(&b, "differs by");
	assert_int_equal(report_compare_exit_code(old, same), EXIT_DONE);
	CHECK(report_compare_json(old, same, &j, &problem));
	assert_true(json_is_null(json_object_get(j, "warning")));
	const json_t *cell = json_array_get(json_object_get(j, "cells"), 0);
	assert_true(json_is_true(json_object_get(cell, "identical")));
	assert_string_equal(json_string_value(json_object_get(
				    json_array_get(json_object_get(cell, "effects"), 0), "verdict")),
		"fact");
	json_decref(j);
	b.len = 0;
	CHECK(report_compare_terminal(old, worse, &plain, &b, &problem));
	says(&b, "differs by +1.802 µs");
	assert_int_equal(report_compare_exit_code(old, worse), EXIT_GATE);
	buf_free(&b);
}

static void one_arm_alone_is_shown_to_the_nanosecond(void **state)
{
	struct world *w = *state;
	struct settings s = exact_of("lab:stock");
	struct store_cell cell = {.name = "container/oci/bridge/tcp_rr"};
	struct store_arm arm = {.name = "stock", .baseline = true, .settings = settings_json(&s)};
	struct buf b = {0};

	run_begin(w, "one", 1);
	CHECK(store_cell_add(w->store, w->run, &cell, &arm, 1, &problem));
	json_decref(arm.settings);
	trial_add(w, cell.id, "stock", 0, exact_record(&s, &(struct shape){20928, 0, 1, 20000, "steal"}, 0));
	AUTO(auto_report) struct report *r = loaded(w);
	report_terminal(r, &plain, &b);
	says(&b, "20.928 µs");
	says(&b, "On the exact clock");
	buf_free(&b);
}

static void a_trial_says_that_its_clock_is_exact(void **state)
{
	struct settings s = exact_of("lab:rt");
	AUTO(auto_trial_record) struct trial_record *t = exact_record(&s, &fast, 0);
	struct buf b = {0};

	(void)state;
	report_trial_line(t, &(struct report_place){1, 2, "c", "a"}, &b);
	says(&b, "verified  exact clock");
	b.len = 0;
	report_trial_terminal(t, &plain, &b);
	says(&b, "clock exact");
	says(&b, "host      6.1.0-rt");
	buf_free(&b);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(one_trial_of_each_arm_is_a_fact),
		TEST(json_holds_facts_and_nothing_inferred),
		TEST(words_are_of_facts),
		TEST(equal_arms_are_equal_to_the_nanosecond),
		TEST(a_bucket_is_not_a_nanosecond),
		TEST(the_same_experiment_gives_the_same_cells_byte_for_byte),
		TEST(further_trials_show_whether_it_repeats),
		TEST(a_gate_holds_facts_against_what_matters),
		TEST(a_run_may_hold_both_clocks),
		TEST(arms_on_different_clocks_are_not_compared),
		TEST(two_exact_runs_are_compared_as_facts),
		TEST(one_arm_alone_is_shown_to_the_nanosecond),
		cmocka_unit_test(a_trial_says_that_its_clock_is_exact),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
