/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Carrying an experiment out, on hosts that measure nothing: which trials are asked for, in which order, and
 * what is stored of them.
 */
#include "test_execute_world.h"

#include "report/report.h"

static enum err_exit exit_code(const struct world *w)
{
	AUTO(auto_report) struct report *report = NULL;
	struct err e = ERR_INIT;

	must(report_load(&report, w->store, w->run.id, NULL, &e), &e);
	return report_exit_code(report, false);
}

/* --- whole runs -------------------------------------------------------------------------------- */

static void every_trial_is_asked_for_once_and_stored(void **state)
{
	struct world *w = *state;
	struct err e = ERR_INIT;

	world_load(w, plain);
	must(run_probe(&w->x, w->site, false, &e), &e);
	must(world_execute(w, false, &e), &e);
	const struct stored found = world_stored(w);
	assert_int_equal(fake.trials, 3 * 2 * 2);
	assert_int_equal(found.trials, 3 * 2 * 2);
	assert_int_equal(found.of_outcome[TRIAL_DONE], 3 * 2 * 2);
	assert_int_equal(w->total, 3 * 2 * 2);
	assert_int_equal(w->starts, 1);
	assert_int_equal(w->begins, 12);
	assert_int_equal(w->trials, 12);
	assert_int_equal(w->first_done, 1);
	assert_int_equal(w->last_left_ns, 0);
	assert_int_equal(w->run.seed, 5);
	world_state_is(w, "done");
	assert_int_equal(exit_code(w), EXIT_DONE);
}

static void the_same_seed_is_the_same_order_and_without_one_it_is_drawn(void **state)
{
	struct world *w = *state;
	struct err e = ERR_INIT;

	world_load(w, plain);
	must(world_execute(w, false, &e), &e);
	for (size_t i = 0, b = 0; b < 3; b++) {
		struct run_step steps[4];
		assert_int_equal(run_steps(&w->x, 5, b, steps), 4);
		for (size_t k = 0; k < 4; k++, i++) {
			const struct settings *s = &w->x.cells[steps[k].cell].settings[steps[k].arm];
			assert_string_equal(fake.seen[i].workload, s->workload);
			assert_int_equal(fake.seen[i].request, s->request_bytes);
		}
	}
	w->x.seed = 0;
	must(world_execute(w, false, &e), &e);
	assert_true(w->run.seed >= 1 && w->run.seed <= 1000000000);
}

static void a_failed_trial_is_stored_and_the_run_goes_on(void **state)
{
	static const enum how_it_goes hows[] = {FAILS, SKIPS};
	struct world *w = *state;
	struct err e = ERR_INIT;

	world_load(w, plain);
	for (size_t i = 0; i < ARRAY_LEN(hows); i++) {
		fake = (struct fake){.special = 4, .how = hows[i]};
		must(world_execute(w, false, &e), &e);
		const struct stored found = world_stored(w);
		assert_int_equal(found.of_outcome[hows[i] == FAILS ? TRIAL_FAILED : TRIAL_SKIPPED], 1);
		assert_int_equal(found.of_outcome[TRIAL_DONE], 11);
		world_state_is(w, "done");
	}
}

/* --- cells that cannot be measured here -------------------------------------------------------- */

static void a_cell_that_is_not_possible_here_is_skipped_with_the_reason(void **state)
{
	struct world *w = *state;
	struct err e = ERR_INIT;

	world_load(w, mixed);
	fake.lacking = "container";
	must(run_probe(&w->x, w->site, false, &e), &e);
	must(world_execute(w, false, &e), &e);
	assert_int_equal(w->skips, 2);
	assert_string_equal(w->reason, "no container here");
	assert_int_equal(w->total, 2 * 2);
	assert_int_equal(world_stored(w).trials, 2 * 2);
	world_state_is(w, "done");
	assert_int_equal(exit_code(w), EXIT_DONE);
}

static void with_every_cell_skipped_the_exit_code_says_whether_root_would_help(void **state)
{
	struct world *w = *state;
	struct err e = ERR_INIT;

	for (int privilege = 0; privilege < 2; privilege++) {
		world_load(w, plain);
		fake = (struct fake){.lacking = "", .privilege = privilege};
		must(run_probe(&w->x, w->site, false, &e), &e);
		must(world_execute(w, false, &e), &e);
		assert_int_equal(fake.trials, 0);
		assert_int_equal(w->skips, 2);
		assert_int_equal(w->total, 0);
		world_state_is(w, "done");
		assert_int_equal(exit_code(w), privilege ? EXIT_REFUSED : EXIT_FAILED);
	}
}

static void settings_that_make_no_sense_here_are_an_error_that_names_cell_and_arm(void **state)
{
	struct world *w = *state;
	struct err e = ERR_INIT;

	world_load(w, plain);
	fake.refuses = true;
	assert_int_equal(run_probe(&w->x, w->site, false, &e), -EINVAL);
	assert_int_equal(e.exit, EXIT_USAGE);
	assert_non_null(strstr(e.text, "cell native"));
	assert_non_null(strstr(e.text, "arm a"));
}

static void a_machine_that_cannot_be_put_back_ends_the_run(void **state)
{
	struct world *w = *state;
	struct err e = ERR_INIT;

	world_load(w, plain);
	fake = (struct fake){.special = 6, .how = ENDS_THE_RUN};
	assert_int_equal(world_execute(w, false, &e), -EIO);
	assert_int_equal(e.exit, EXIT_PARTLY_APPLIED);
	assert_string_equal(e.text, "cannot put the machine back");
	assert_int_equal(fake.trials, 6);
	assert_int_equal(world_stored(w).trials, 5);
	world_state_is(w, "failed");
}

/* --- emulated hosts ---------------------------------------------------------------------------- */

static void an_emulated_host_is_told_all_that_it_shall_serve_in_a_block(void **state)
{
	struct world *w = *state;
	struct err e = ERR_INIT;

	world_load(w, mixed);
	must(run_probe(&w->x, w->site, false, &e), &e);
	fake.stops = 0;
	must(world_execute(w, false, &e), &e);
	assert_int_equal(fake.trials, 2 * 3 * 2);
	for (size_t i = 0; i < fake.trials; i++) {
		bool emulated = i % 6 >= 2; /* local cells come first in each block */
		assert_int_equal(fake.seen[i].emulated, emulated);
		assert_int_equal(fake.seen[i].group_n, emulated ? 2 : 0);
		assert_int_equal(fake.seen[i].in_group, emulated);
	}
	assert_int_equal(fake.stops, 2 * (2 + 1)); /* before each boot and after each block */
}

/* --- before it begins -------------------------------------------------------------------------- */

static void an_estimate_counts_what_is_not_skipped(void **state)
{
	struct world *w = *state;

	world_load(w,
		"name: time\nblocks: 10\nduration: 2s\nwarmup: 500ms\n"
		"cells: [{ target: native, workload: [tcp_stream, tcp_maerts] }]\narms: { a: {}, b: {} }\n");
	uint64_t all = run_estimate_ns(&w->x);
	w->x.cells[1].skipped = true;
	uint64_t half = run_estimate_ns(&w->x);
	assert_int_equal(half * 2, all);
	assert_in_range(half, 20 * 2500 * NS_PER_MS, 20 * 3000 * NS_PER_MS);
	world_load(w,
		"name: rate\nblocks: 1\nwarmup: 100ms\n"
		"cells: [{ target: native, workload: udp_rr, rate: 1000, transactions: 3000 }]\narms: { a: {} }\n");
	assert_in_range(run_estimate_ns(&w->x), 3 * NS_PER_S, 4 * NS_PER_S);
}

static void nothing_is_fetched_for_local_trials(void **state)
{
	struct world *w = *state;
	struct err e = ERR_INIT;

	world_load(w, plain);
	must(run_prepare(&w->x, NULL, NULL, &e), &e);
	must(run_probe(&w->x, w->site, true, &e), &e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORLD_TEST(every_trial_is_asked_for_once_and_stored),
		WORLD_TEST(the_same_seed_is_the_same_order_and_without_one_it_is_drawn),
		WORLD_TEST(a_failed_trial_is_stored_and_the_run_goes_on),
		WORLD_TEST(a_cell_that_is_not_possible_here_is_skipped_with_the_reason),
		WORLD_TEST(with_every_cell_skipped_the_exit_code_says_whether_root_would_help),
		WORLD_TEST(settings_that_make_no_sense_here_are_an_error_that_names_cell_and_arm),
		WORLD_TEST(a_machine_that_cannot_be_put_back_ends_the_run),
		WORLD_TEST(an_emulated_host_is_told_all_that_it_shall_serve_in_a_block),
		WORLD_TEST(an_estimate_counts_what_is_not_skipped),
		WORLD_TEST(nothing_is_fetched_for_local_trials),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
