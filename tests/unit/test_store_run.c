/* SPDX-License-Identifier: GPL-3.0-or-later */
/* How long a run took, and whether it is under way. */
#include "store/store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "test_keep.h"

#define YEAR_NS (365 * 24 * 3600 * NS_PER_S)

static struct err error;

#define CHECK(call)                                                                                          \
	do {                                                                                                 \
		error = ERR_INIT;                                                                            \
		if ((call) < 0)                                                                              \
			fail_msg("%s: %s", #call, error.text);                                               \
	} while (0)

/* Where the runs are; malloc'd. */
static char *database(void)
{
	char folder[] = "/tmp/taut-test-XXXXXX";

	return str_format("%s/runs.db", keep_folder(folder));
}

static int64_t begin(struct store *store, uint64_t started_ns)
{
	struct store_run run = {.name = "r", .blocks = 1, .spec_hash = "h", .started_ns = started_ns};
	json_t *spec = json_object();

	CHECK(store_run_begin(store, &run, spec, NULL, &error));
	json_decref(spec);
	return run.id;
}

static struct store_run found(struct store *store)
{
	struct store_run run = {0};

	CHECK(store_run_find(store, "last", &run, &error));
	return run;
}

/* The clock is set while a run goes on: as if it had begun ten years before or after now. */
static void a_run_takes_as_long_as_it_takes_whatever_the_clock_says(void **state)
{
	AUTO_FREE char *path = database();
	const uint64_t begins[] = {time_wall_ns() - 10 * YEAR_NS, time_wall_ns() + 10 * YEAR_NS};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(begins); i++) {
		AUTO(auto_store) struct store *store = NULL;
		CHECK(store_open(&store, path, &error));
		int64_t id = begin(store, begins[i]);
		CHECK(store_run_end(store, id, "interrupted", &error));
		struct store_run run = found(store);
		uint64_t first = run.ended_ns - run.started_ns;
		if (run.started_ns != begins[i] || first > 60 * NS_PER_S)
			fail_msg("begun at %llu, took %lld ns", (unsigned long long)run.started_ns,
				(long long)first);
		CHECK(store_run_resume(store, id, "h", &error));
		CHECK(store_run_end(store, id, "done", &error));
		run = found(store);
		uint64_t both = run.ended_ns - run.started_ns;
		if (both < first || both > 60 * NS_PER_S)
			fail_msg("resumed: took %lld ns after %lld", (long long)both, (long long)first);
	}
}

static void a_run_whose_process_has_gone_is_interrupted(void **state)
{
	AUTO_FREE char *path = database();
	int gate[2], ready[2];
	char byte;

	(void)state;
	assert_int_equal(pipe(gate) | pipe(ready), 0);
	pid_t pid = fork();
	if (pid == 0) {
		struct store *store = NULL;
		close(gate[1]);
		if (store_open(&store, path, &error) == 0 && begin(store, 0) > 0 &&
			write(ready[1], "x", 1) == 1)
			_exit(read(gate[0], &byte, 1) == 0 ? 0 : 1); /* without an end of the run */
		_exit(1);
	}
	assert_int_equal(read(ready[0], &byte, 1), 1);
	struct store *store = NULL;
	CHECK(store_open_reading(&store, path, &error));
	assert_string_equal(found(store).state, "running");
	close(gate[1]);
	waitpid(pid, NULL, 0);
	assert_string_equal(found(store).state, "interrupted");
	store_close(store);
	CHECK(store_open(&store, path, &error));
	struct store_run run = found(store);
	assert_string_equal(run.state, "interrupted");
	assert_true(run.ended_ns >= run.started_ns);
	store_close(store);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_run_takes_as_long_as_it_takes_whatever_the_clock_says),
		cmocka_unit_test(a_run_whose_process_has_gone_is_interrupted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
