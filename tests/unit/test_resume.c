/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A run that is cut off keeps what it has measured, and is gone on with if it is still the same one. */
#include "test_execute_world.h"

#include <sqlite3.h>

/* In block 1, after two of its four trials. */
static void what_was_measured_before_an_interrupt_is_kept_and_resume_goes_on(void **state)
{
	static const struct {
		enum how_it_goes how;
		size_t kept;
	} rows[] = {{IS_STOPPED, 6}, {THEN_STOPS, 7}};
	struct world *w = *state;

	world_load(w, plain);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct err e = ERR_INIT;
		fake = (struct fake){.special = 7, .how = rows[i].how};
		assert_int_equal(world_execute(w, false, &e), -EINTR);
		assert_int_equal(e.exit, EXIT_INTERRUPTED);
		assert_int_equal(world_stored(w).trials, rows[i].kept);
		world_state_is(w, "interrupted");

		int64_t id = w->run.id;
		fake = (struct fake){0};
		stop_flag = 0;
		must(world_execute(w, true, &e), &e);
		assert_int_equal(w->run.id, id);
		assert_int_equal(fake.trials, 2 * 4); /* the block that was cut off is done again */
		assert_int_equal(w->total, 12);
		assert_int_equal(w->first_done, 5);
		const struct stored found = world_stored(w);
		assert_int_equal(found.trials, 12);
		world_state_is(w, "done");
	}
	/* It is as if nothing had happened. */
	const struct stored resumed = world_stored(w);
	struct err e = ERR_INIT;
	must(world_execute(w, false, &e), &e);
	const struct stored whole = world_stored(w);
	assert_string_equal(resumed.order, whole.order);
}

/* Of cells that share targets as well: in the second block, within the second arm. */
static void a_run_that_shares_targets_is_gone_on_with_at_a_whole_block(void **state)
{
	struct world *w = *state;
	struct err e = ERR_INIT;

	world_load(w, shared);
	must(world_execute(w, false, &e), &e);
	const struct stored whole = world_stored(w);
	fake = (struct fake){.special = 12 + 5, .how = THEN_STOPS};
	assert_int_equal(world_execute(w, false, &e), -EINTR);
	assert_int_equal(world_stored(w).trials, 12 + 5);
	fake = (struct fake){0};
	stop_flag = 0;
	must(world_execute(w, true, &e), &e);
	assert_int_equal(fake.trials, 12);
	assert_string_equal(world_stored(w).order, whole.order);
}

static void nothing_is_resumed_but_the_last_run_of_this_very_experiment(void **state)
{
	struct world *w = *state;
	struct err e = ERR_INIT;

	world_load(w, plain);
	must(world_execute(w, true, &e), &e); /* there is none */
	int64_t first = w->run.id;
	must(world_execute(w, true, &e), &e); /* it is complete */
	assert_true(w->run.id > first);
	fake = (struct fake){.special = 2, .how = IS_STOPPED};
	assert_int_equal(world_execute(w, false, &e), -EINTR);
	int64_t cut_off = w->run.id;
	fake = (struct fake){0};
	stop_flag = 0;
	w->x.blocks++;
	must(world_execute(w, true, &e), &e); /* it is another one now */
	assert_true(w->run.id > cut_off);
	assert_int_equal(world_stored(w).trials, 4 * 4);
}

/* The stored specification of the run, changed as another version would have written it. */
static void rewrite_spec(const struct world *w, void (*change)(json_t *settings))
{
	AUTO_FREE char *file = str_format("%s/runs.db", w->folder);
	json_t *spec = NULL, *cell, *settings;
	struct err e = ERR_INIT;
	size_t c, a;
	sqlite3 *db;

	must(store_run_documents(w->store, w->run.id, &spec, NULL, &e), &e);
	json_array_foreach (json_object_get(spec, "cells"), c, cell)
		json_array_foreach (json_object_get(cell, "settings"), a, settings)
			change(settings);
	char *text = json_dumps(spec, JSON_COMPACT), *sql = NULL;
	assert_int_equal(sqlite3_open(file, &db), SQLITE_OK);
	sql = sqlite3_mprintf("UPDATE runs SET spec = %Q, spec_hash = 'of-another-version' WHERE id = %lld",
		text, (long long)w->run.id);
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_free(sql);
	sqlite3_close(db);
	free(text);
	json_decref(spec);
}

static void older_and_newer(json_t *settings)
{
	json_object_del(settings, "busy_poll");
	json_object_set_new(settings, "altitude", json_integer(8848));
}

static void other(json_t *settings)
{
	json_object_set_new(settings, "request", json_integer(77));
}

static void unreadable(json_t *settings)
{
	json_object_set_new(settings, "request", json_array());
}

/* It knew a setting less, whose default is what the experiment asks for today, and one that is gone. */
static void a_run_that_another_version_began_is_gone_on_with(void **state)
{
	static const struct {
		void (*change)(json_t *settings);
		bool goes_on;
	} rows[] = {{older_and_newer, true}, {other, false}, {unreadable, false}};
	struct world *w = *state;

	world_load(w, plain);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct err e = ERR_INIT;
		fake = (struct fake){.special = 7, .how = IS_STOPPED};
		assert_int_equal(world_execute(w, false, &e), -EINTR);
		int64_t id = w->run.id;
		rewrite_spec(w, rows[i].change);
		fake = (struct fake){0};
		stop_flag = 0;
		must(world_execute(w, true, &e), &e);
		assert_int_equal(w->run.id == id, rows[i].goes_on);
		assert_int_equal(fake.trials, rows[i].goes_on ? 8 : 12);
		assert_int_equal(world_stored(w).trials, 12);
	}
}

/* What could not be measured when the run began stays out of it, or its blocks would differ. */
static void a_cell_that_was_skipped_stays_so_when_the_run_goes_on(void **state)
{
	struct world *w = *state;
	struct err e = ERR_INIT;

	world_load(w, mixed);
	fake = (struct fake){.lacking = "container", .special = 3, .how = IS_STOPPED};
	must(run_probe(&w->x, w->site, false, &e), &e);
	assert_int_equal(world_execute(w, false, &e), -EINTR);
	world_load(w, mixed);
	fake = (struct fake){0};
	stop_flag = 0;
	must(run_probe(&w->x, w->site, false, &e), &e);
	must(world_execute(w, true, &e), &e);
	assert_int_equal(w->skips, 2);
	assert_string_equal(w->reason, "no container here");
	assert_int_equal(w->total, 4);
	assert_int_equal(world_stored(w).trials, 4);
}

/* Without the root that it began with, for one. */
static void a_run_with_a_cell_that_cannot_be_measured_any_more_is_not_gone_on_with(void **state)
{
	struct world *w = *state;

	for (int privilege = 0; privilege < 2; privilege++) {
		struct err e = ERR_INIT;
		world_load(w, mixed);
		fake = (struct fake){.special = 3, .how = IS_STOPPED};
		assert_int_equal(world_execute(w, false, &e), -EINTR);
		world_load(w, mixed);
		fake = (struct fake){.lacking = "container", .privilege = privilege};
		stop_flag = 0;
		assert_int_equal(world_execute(w, true, &e), privilege ? -EPERM : -ENOTSUP);
		assert_int_equal(e.exit, privilege ? EXIT_REFUSED : EXIT_FAILED);
		assert_non_null(strstr(e.text, "cannot be measured now: no container here"));
		assert_int_equal(fake.trials, 0);
		assert_int_equal(world_stored(w).trials, 2);
		fake.lacking = NULL; /* and it can be, again */
		world_load(w, mixed);
		must(world_execute(w, true, &e), &e);
		assert_int_equal(world_stored(w).trials, 12);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORLD_TEST(what_was_measured_before_an_interrupt_is_kept_and_resume_goes_on),
		WORLD_TEST(a_run_that_shares_targets_is_gone_on_with_at_a_whole_block),
		WORLD_TEST(nothing_is_resumed_but_the_last_run_of_this_very_experiment),
		WORLD_TEST(a_run_that_another_version_began_is_gone_on_with),
		WORLD_TEST(a_cell_that_was_skipped_stays_so_when_the_run_goes_on),
		WORLD_TEST(a_run_with_a_cell_that_cannot_be_measured_any_more_is_not_gone_on_with),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
