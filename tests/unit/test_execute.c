/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Carrying an experiment out, on hosts that measure nothing: which trials are asked for, in which order, and
 * what is stored of them.
 */
#include "test_execute_world.h"

#include "boot/boot.h"
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

static int arms_are_its_own(
	const struct store_cell *cell, const struct store_arm *arms, size_t arms_n, void *arg)
{
	bool second = strstr(cell->name, "udp_rr") != NULL;

	(void)arg;
	assert_int_equal(arms_n, 2);
	assert_string_equal(arms[0].name, second ? "b" : "a");
	assert_string_equal(arms[1].name, second ? "c" : "b");
	assert_true(arms[0].baseline && !arms[1].baseline);
	return 0;
}

static void a_cell_is_measured_in_the_arms_that_it_has(void **state)
{
	struct world *w = *state;
	struct err e = ERR_INIT;
	size_t of_request[10] = {0};

	world_load(w, own_arms);
	must(world_execute(w, false, &e), &e);
	assert_int_equal(w->total, 2 * 2 * 2);
	assert_int_equal(fake.trials, 2 * 2 * 2);
	for (size_t i = 0; i < fake.trials; i++)
		of_request[fake.seen[i].request]++;
	assert_int_equal(of_request[1], 2);
	assert_int_equal(of_request[2], 2);
	assert_int_equal(of_request[7], 2);
	assert_int_equal(of_request[8], 2);
	must(store_cells_each(w->store, w->run.id, arms_are_its_own, NULL, &e), &e);
	/* And gone on with. */
	fake = (struct fake){.special = 6, .how = THEN_STOPS};
	assert_int_equal(world_execute(w, false, &e), -EINTR);
	fake = (struct fake){0};
	stop_flag = 0;
	must(world_execute(w, true, &e), &e);
	assert_int_equal(fake.trials, 4);
	assert_int_equal(w->last_left_ns, 0);
	assert_int_equal(world_stored(w).trials, 8);
	assert_int_equal(exit_code(w), EXIT_DONE);
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

/* A guest's kernel is no setting of a container, so that their arms of one name differ in more than the host.
 */
static void arms_of_one_name_share_an_emulated_host(void **state)
{
	struct world *w = *state;
	struct err e = ERR_INIT;

	world_load(w,
		"name: boots\nblocks: 3\nseed: 7\n"
		"cells:\n"
		"  - { workload: tcp_rr, arms: { a: { site: \"lab:stock\" }, b: { site: \"lab:rt\" } } }\n"
		"  - { workload: udp_rr, arms: { a: { site: \"lab:stock\", request: 5 }, b: { site: \"lab:rt\", request: 5 } } }\n");
	assert_int_equal(w->x.arms_n, 4);
	must(run_probe(&w->x, w->site, false, &e), &e);
	fake.stops = 0;
	must(world_execute(w, false, &e), &e);
	assert_int_equal(fake.trials, 3 * 2 * 2);
	for (size_t i = 0; i < fake.trials; i++) {
		assert_string_equal(fake.seen[i].workload, i % 2 ? "udp_rr" : "tcp_rr");
		assert_string_equal(fake.seen[i].site, fake.seen[i / 2 * 2].site);
		assert_int_equal(fake.seen[i].group_n, 2);
		assert_true(fake.seen[i].in_group);
	}
	assert_int_equal(fake.stops, 3 * (2 + 1));
}

/* --- shared targets ---------------------------------------------------------------------------- */

/* The arms of the cells that share are in one random order, and within an arm the cells follow one another.
 */
static void cells_that_share_a_target_follow_one_another_in_each_arm(void **state)
{
	static const char *const sharing[] = {"tcp_rr", "udp_rr", "tcp_stream"};
	struct world *w = *state;
	struct err e = ERR_INIT;
	bool orders_differ = false;

	world_load(w, shared);
	must(world_execute(w, false, &e), &e);
	assert_int_equal(fake.trials, 2 * 4 * 3);
	for (size_t b = 0; b < 2; b++) {
		const size_t first = b * 12;
		uint64_t seen = 0;
		for (size_t i = 0; i < 9; i++) {
			assert_string_equal(fake.seen[first + i].target, "native");
			assert_string_equal(fake.seen[first + i].workload, sharing[i % 3]);
			assert_int_equal(fake.seen[first + i].mtu, fake.seen[first + i / 3 * 3].mtu);
			seen += fake.seen[first + i].mtu;
		}
		assert_int_equal(seen, 3 * (0 + 1400 + 1300));
		for (size_t i = 9; i < 12; i++)
			assert_string_equal(fake.seen[first + i].target, "container");
		orders_differ |= b && fake.seen[first].mtu != fake.seen[0].mtu;
	}
	assert_int_equal(fake.stops_local, 2); /* after each block */
	for (uint64_t b = 0; b < 20 && !orders_differ; b++) {
		struct run_step steps[12];
		assert_int_equal(run_steps(&w->x, 3, b, steps), 12);
		orders_differ = w->x.cells[steps[0].cell].settings[steps[0].arm].mtu != fake.seen[0].mtu;
	}
	assert_true(orders_differ);
}

static void an_emulated_host_gets_cells_that_share_one_after_another(void **state)
{
	struct world *w = *state;
	struct err e = ERR_INIT;

	world_load(w, shared);
	for (size_t c = 0; c < w->x.cells_n; c++)
		for (size_t a = 0; a < w->x.arms_n; a++)
			w->x.cells[c].settings[a].site = "lab";
	must(world_execute(w, false, &e), &e);
	assert_int_equal(fake.trials, 2 * 4 * 3);
	for (size_t i = 0; i < fake.trials; i++) {
		assert_int_equal(fake.seen[i].mtu, fake.seen[i / 4 * 4].mtu);
		assert_string_equal(fake.seen[i].target, i % 4 < 3 ? "native" : "container");
	}
}

static void a_block_whose_targets_cannot_be_taken_down_ends_the_run(void **state)
{
	struct world *w = *state;
	struct err e = ERR_INIT;

	world_load(w, shared);
	fake = (struct fake){.stop_fails = 1};
	assert_int_equal(world_execute(w, false, &e), -EIO);
	assert_int_equal(e.exit, EXIT_PARTLY_APPLIED);
	assert_int_equal(fake.trials, 12);
	world_state_is(w, "failed");
	fake = (struct fake){.stop_fails = 1, .special = 2, .how = IS_STOPPED};
	assert_int_equal(world_execute(w, false, &e), -EIO);
	assert_int_equal(e.exit, EXIT_PARTLY_APPLIED);
	assert_non_null(strstr(e.text, "interrupted; and then"));
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

struct begun {
	size_t kernels, qemus;
};

static void count_begun(const struct boot_doing *doing, void *arg)
{
	struct begun *begun = arg;

	begun->kernels += doing->step == BOOT_STEP_KERNEL;
	begun->qemus += doing->step == BOOT_STEP_QEMU;
}

static void hush(enum log_level level, const char *text)
{
	(void)level;
	(void)text;
}

static void nothing_is_fetched_for_local_trials(void **state)
{
	struct world *w = *state;
	struct err e = ERR_INIT;

	world_load(w, plain);
	must(run_prepare(&w->x, NULL, NULL, &e), &e);
	must(run_probe(&w->x, w->site, true, &e), &e);
}

/* Without a network; PATH has neither apt nor QEMU. */
static void what_cannot_be_had_is_looked_for_once_a_run(void **state)
{
	AUTO_FREE char *path = str_dup(getenv("PATH"));
	void (*before)(enum log_level, const char *) = log_sink;
	struct world *w = *state;
	struct err e = ERR_INIT;
	struct begun begun = {0};

	world_load(w,
		"name: lacking\nblocks: 1\n"
		"cells: [{ target: container, workload: [tcp_rr, udp_rr, tcp_stream] }]\n"
		"arms: { a: { site: lab:9.99-rt, attachment: vf, device: virtio }, b: { site: lab:9.99-rt } }\n");
	setenv("PATH", "/nowhere", 1);
	setenv("TAUT_CACHE", w->folder, 1);
	log_sink = hush;
	int rc = run_prepare(&w->x, count_begun, &begun, &e);
	log_sink = before;
	unsetenv("TAUT_CACHE");
	setenv("PATH", path, 1);
	must(rc, &e);
	assert_int_equal(begun.kernels, 1);
	assert_int_equal(begun.qemus, 1);
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
		WORLD_TEST(a_cell_is_measured_in_the_arms_that_it_has),
		WORLD_TEST(an_emulated_host_is_told_all_that_it_shall_serve_in_a_block),
		WORLD_TEST(arms_of_one_name_share_an_emulated_host),
		WORLD_TEST(cells_that_share_a_target_follow_one_another_in_each_arm),
		WORLD_TEST(an_emulated_host_gets_cells_that_share_one_after_another),
		WORLD_TEST(a_block_whose_targets_cannot_be_taken_down_ends_the_run),
		WORLD_TEST(an_estimate_counts_what_is_not_skipped),
		WORLD_TEST(nothing_is_fetched_for_local_trials),
		WORLD_TEST(what_cannot_be_had_is_looked_for_once_a_run),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
