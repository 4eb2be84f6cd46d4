/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The order in which the trials of a block are carried out. */
#include "run/run.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define STEPS_MAX 64
#define ARMS      3

static const char mixed[] = "name: mixed\n"
			    "cells:\n"
			    "  - { target: native, workload: [tcp_rr, udp_rr] }\n"
			    "  - { target: container, site: lab, workload: [tcp_rr, udp_rr] }\n"
			    "arms: { a: {}, b: { request: 2 }, c: { request: 3 } }\n";

static void load(struct experiment *x, const char *text)
{
	struct err e = ERR_INIT;

	if (experiment_parse(x, "test", text, strlen(text), NULL, 0, &e) < 0)
		fail_msg("%s", e.text);
}

static void every_cell_and_arm_comes_once(void **state)
{
	struct experiment x;
	struct run_step steps[STEPS_MAX];
	unsigned seen[4][ARMS] = {{0}};

	(void)state;
	load(&x, mixed);
	size_t n = run_steps(&x, 7, 2, steps);
	assert_int_equal(n, 4 * ARMS);
	for (size_t i = 0; i < n; i++)
		seen[steps[i].cell][steps[i].arm]++;
	for (size_t c = 0; c < 4; c++)
		for (size_t a = 0; a < ARMS; a++)
			assert_int_equal(seen[c][a], 1);
	experiment_free(&x);
}

/* Local cells by cell; emulated hosts by arm, one boot an arm for all of their cells. */
static void an_emulated_host_serves_all_cells_of_an_arm(void **state)
{
	struct experiment x;
	struct run_step steps[STEPS_MAX];
	size_t boots = 0;

	(void)state;
	load(&x, mixed);
	for (uint64_t block = 0; block < 5; block++) {
		size_t n = run_steps(&x, 11, block, steps);
		for (size_t i = 0; i < 2 * (size_t)ARMS; i++) {
			assert_int_equal(steps[i].cell, i / ARMS);
			assert_false(steps[i].boot);
		}
		for (size_t i = 2 * (size_t)ARMS; i < n; i += 2) {
			assert_true(steps[i].boot);
			assert_false(steps[i + 1].boot);
			assert_int_equal(steps[i].arm, steps[i + 1].arm);
			assert_int_equal(steps[i].cell, 2);
			assert_int_equal(steps[i + 1].cell, 3);
			boots++;
		}
	}
	assert_int_equal(boots, 5 * ARMS);
	experiment_free(&x);
}

/* An emulated host that was booted for an arm must not run beside what the arm measures here. */
static void what_is_local_in_an_arm_comes_before_its_emulated_host(void **state)
{
	static const char text[] = "name: both\n"
				   "cells:\n"
				   "  - { target: container, site: lab, workload: tcp_rr }\n"
				   "  - { target: container, workload: udp_rr }\n"
				   "arms: { a: {}, b: { site: lab } }\n";
	struct run_step steps[STEPS_MAX];
	struct experiment x;

	(void)state;
	load(&x, text);
	assert_int_equal(run_steps(&x, 3, 0, steps), 4);
	for (size_t i = 0; i < 4; i += 2) {
		bool a = !strcmp(x.arms[steps[i].arm].name, "a");
		assert_int_equal(steps[i].arm, steps[i + 1].arm);
		assert_int_equal(steps[i].cell, a ? 1 : 0);
		assert_int_equal(steps[i + 1].cell, a ? 0 : 1);
		assert_int_equal(steps[i].boot, !a);
		assert_int_equal(steps[i + 1].boot, a);
	}
	experiment_free(&x);
}

static void skipped_cells_do_not_come(void **state)
{
	struct experiment x;
	struct run_step steps[STEPS_MAX];

	(void)state;
	load(&x, mixed);
	x.cells[0].skipped = x.cells[2].skipped = true;
	size_t n = run_steps(&x, 1, 0, steps);
	assert_int_equal(n, 2 * ARMS);
	for (size_t i = 0; i < n; i++)
		assert_true(steps[i].cell == 1 || steps[i].cell == 3);
	assert_true(steps[ARMS].boot);
	experiment_free(&x);
}

static void the_order_of_arms_changes_from_block_to_block_and_not_with_the_clock(void **state)
{
	struct experiment x;
	struct run_step first[STEPS_MAX], again[STEPS_MAX];
	size_t different = 0, n = 0;

	(void)state;
	load(&x, mixed);
	for (uint64_t block = 0; block < 20; block++) {
		n = run_steps(&x, 5, block, first);
		run_steps(&x, 5, block, again);
		for (size_t i = 0; i < n; i++)
			assert_int_equal(first[i].arm, again[i].arm);
		different += first[n - 1].arm != first[0].arm;
	}
	assert_in_range(different, 5, 19);
	experiment_free(&x);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_cell_and_arm_comes_once),
		cmocka_unit_test(an_emulated_host_serves_all_cells_of_an_arm),
		cmocka_unit_test(what_is_local_in_an_arm_comes_before_its_emulated_host),
		cmocka_unit_test(skipped_cells_do_not_come),
		cmocka_unit_test(the_order_of_arms_changes_from_block_to_block_and_not_with_the_clock),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
