/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Carrying an experiment out, on hosts that measure nothing: which trials are asked for, in which order, what
 * is stored of them, and what happens when the user, the host or the machine ends it.
 */
#include "report/report.h"
#include "run/run.h"
#include "site/hosts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#define TRIAL_NS   (250 * NS_PER_MS)
#define TRIALS_MAX 64

static const char plain[] = "name: plain\nblocks: 3\nseed: 5\n"
			    "cells: [{ target: native, workload: [tcp_rr, udp_rr] }]\n"
			    "arms: { a: {}, b: { request: 2 } }\n";
static const char mixed[] = "name: mixed\nblocks: 2\nseed: 7\n"
			    "cells:\n"
			    "  - { target: native, workload: tcp_rr }\n"
			    "  - { target: container, site: lab, workload: [tcp_rr, udp_rr] }\n"
			    "arms: { a: {}, b: { request: 2 } }\n";

/* --- hosts that measure nothing ---------------------------------------------------------------- */

enum how_it_goes { DONE, FAILS, SKIPS, IS_STOPPED, THEN_STOPS, ENDS_THE_RUN };

/* The hosts and what has been seen on them; a row has no argument of its own. */
static struct fake {
	size_t special; /* of which trial, counted from 1, `how` is true */
	enum how_it_goes how;
	const char *lacking; /* a target that cannot be made; "" : any */
	bool privilege;      /* and root could */
	bool refuses;        /* the settings */
	size_t trials, stops, groups;
	struct {
		const char *workload;
		uint64_t request;
		bool emulated;
		size_t group_n;
		bool in_group;
	} seen[TRIALS_MAX];
} fake;

static int fake_check(struct site *site, struct settings *s, struct err *e)
{
	(void)site;
	(void)s;
	return fake.refuses ? err_usage(e, "cannot do that on this host") : 0;
}

static int fake_resolve(struct trial_plan *plan, struct err *e)
{
	(void)plan;
	(void)e;
	return 0;
}

static enum target_answer fake_probe(
	const struct trial_plan *plan, char *reason, size_t size, bool *privilege)
{
	const struct settings *s = &plan->settings;

	if (!fake.lacking || (*fake.lacking && strcmp(s->target, fake.lacking)))
		return TARGET_YES;
	snprintf(reason, size, "no %s here", s->target);
	*privilege = fake.privilege;
	return TARGET_NO;
}

static void note(const struct site *site, const struct trial_plan *plan)
{
	const struct settings *s = &plan->settings;
	size_t i = fake.trials++;

	assert_true(i < TRIALS_MAX);
	fake.seen[i].workload = s->workload;
	fake.seen[i].request = s->request_bytes;
	fake.seen[i].emulated = host_of(s)->emulated;
	fake.seen[i].group_n = site->group_n;
	for (size_t g = 0; g < site->group_n; g++)
		fake.seen[i].in_group |= site->group[g] == plan;
}

static void measured(struct trial_record *record)
{
	struct endpoint_record *c = &record->client;

	c->ended_ns = NS_PER_MS;
	c->sent = c->transactions = 100;
	c->has_service = true;
	hist_clear(&c->service);
	hist_clear(&c->response);
	hist_clear(&c->lateness);
	for (uint64_t i = 0; i < 100; i++)
		hist_add(&c->service, 10000 + 100 * i);
	c->response = c->service;
	record->verified = true;
}

static int fake_trial(
	struct site *site, const struct trial_plan *plan, struct trial_record *record, struct err *e)
{
	note(site, plan);
	enum how_it_goes how = fake.trials == fake.special ? fake.how : DONE;
	record->settings = plan->settings;
	record->duration_ns = TRIAL_NS;
	record->wall_started_ns = time_wall_ns();
	if (how == IS_STOPPED || how == THEN_STOPS)
		stop_flag = 1;
	if (how == IS_STOPPED)
		return err_set(e, EINTR, "interrupted");
	if (how == ENDS_THE_RUN) {
		err_set(e, EIO, "cannot put the machine back");
		e->exit = EXIT_PARTLY_APPLIED;
		return -EIO;
	}
	record->outcome = how == FAILS ? TRIAL_FAILED : how == SKIPS ? TRIAL_SKIPPED : TRIAL_DONE;
	if (how == FAILS || how == SKIPS)
		str_copy(record->reason, sizeof(record->reason), "nothing came through");
	else
		measured(record);
	return 0;
}

static void fake_stop(struct site *site)
{
	(void)site;
	fake.stops++;
}

/* --- a world ----------------------------------------------------------------------------------- */

struct world {
	char folder[64];
	struct store *store;
	struct site *site;
	struct experiment x;
	struct store_run run;
	size_t starts, skips, begins, trials;
	uint64_t total, first_done, last_left_ns;
	char reason[512];
};

static void must(int rc, const struct err *e)
{
	if (rc < 0)
		fail_msg("%s", e->text);
}

static int setup(void **state)
{
	static const struct site_row rows[SITES_N] = {
		[SITE_LOCAL] = {.check = fake_check,
			.resolve = fake_resolve,
			.probe = fake_probe,
			.trial = fake_trial},
		[SITE_LAB] = {.check = fake_check,
			.resolve = fake_resolve,
			.probe = fake_probe,
			.trial = fake_trial,
			.stop = fake_stop},
	};
	const struct site_options options = {.rows = rows};
	struct world *w = mem_alloc(sizeof(*w));
	struct err e = ERR_INIT;

	*w = (struct world){.folder = "/tmp/taut-execute-XXXXXX"};
	assert_non_null(mkdtemp(w->folder));
	setenv("TAUT_STATE", w->folder, 1);
	AUTO_FREE char *file = str_format("%s/runs.db", w->folder);
	must(store_open(&w->store, file, &e), &e);
	must(site_open(&w->site, &options, &e), &e);
	fake = (struct fake){0};
	stop_flag = 0;
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	experiment_free(&w->x);
	site_close(w->site);
	store_close(w->store);
	assert_int_equal(tree_remove(w->folder, ERR_IGNORED), 0);
	stop_flag = 0;
	free(w);
	return 0;
}

static void load(struct world *w, const char *text)
{
	struct err e = ERR_INIT;

	experiment_free(&w->x);
	must(experiment_parse(&w->x, "test", text, strlen(text), NULL, 0, &e), &e);
}

static void on_start(const struct store_run *run, uint64_t trials, void *arg)
{
	struct world *w = arg;

	assert_true(run->id > 0);
	w->starts++;
	w->total = trials;
}

static void on_skip(const struct cell *cell, void *arg)
{
	struct world *w = arg;

	w->skips++;
	str_copy(w->reason, sizeof(w->reason), cell->reason);
}

static void on_begin(const struct run_trial *trial, void *arg)
{
	struct world *w = arg;

	if (!w->begins++)
		w->first_done = trial->done;
	assert_int_equal(trial->total, w->total);
}

static void on_trial(const struct run_trial *trial, const struct trial_record *record, void *arg)
{
	struct world *w = arg;

	w->trials++;
	w->last_left_ns = trial->left_ns;
	assert_int_equal(record->duration_ns, TRIAL_NS);
}

static int execute(struct world *w, bool resume, struct err *e)
{
	const struct run_options options = {.resume = resume,
		.on_start = on_start,
		.on_skip = on_skip,
		.on_begin = on_begin,
		.on_trial = on_trial,
		.arg = w};

	if (!w->x.cells[0].plans)
		must(run_probe(&w->x, w->site, false, e), e);
	w->starts = w->skips = w->begins = w->trials = 0;
	return run_execute(&w->x, w->store, w->site, &options, &w->run, e);
}

/* What the store has of the run. */
struct stored {
	size_t trials, of_outcome[TRIAL_SKIPPED + 1];
	char order[1024];
};

static int add_stored(const struct store_trial *trial, const struct trial_record *record, void *arg)
{
	struct stored *s = arg;
	size_t n = strlen(s->order);

	s->trials++;
	s->of_outcome[record->outcome]++;
	snprintf(s->order + n, sizeof(s->order) - n, "%llu:%s/%s ", (unsigned long long)trial->block,
		record->settings.workload, trial->arm);
	return 0;
}

static struct stored stored(const struct world *w)
{
	struct stored found = {0};
	struct err e = ERR_INIT;

	must(store_trials_each(w->store, w->run.id, 0, add_stored, &found, &e), &e);
	return found;
}

static void state_is(const struct world *w, const char *wanted)
{
	AUTO_FREE char *id = str_format("%lld", (long long)w->run.id);
	struct store_run found;
	struct err e = ERR_INIT;

	must(store_run_find(w->store, id, &found, &e), &e);
	assert_string_equal(found.state, wanted);
}

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

	load(w, plain);
	must(run_probe(&w->x, w->site, false, &e), &e);
	must(execute(w, false, &e), &e);
	const struct stored found = stored(w);
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
	state_is(w, "done");
	assert_int_equal(exit_code(w), EXIT_DONE);
}

static void the_same_seed_is_the_same_order_and_without_one_it_is_drawn(void **state)
{
	struct world *w = *state;
	struct err e = ERR_INIT;

	load(w, plain);
	must(execute(w, false, &e), &e);
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
	must(execute(w, false, &e), &e);
	assert_true(w->run.seed >= 1 && w->run.seed <= 1000000000);
}

static void a_failed_trial_is_stored_and_the_run_goes_on(void **state)
{
	static const enum how_it_goes hows[] = {FAILS, SKIPS};
	struct world *w = *state;
	struct err e = ERR_INIT;

	load(w, plain);
	for (size_t i = 0; i < ARRAY_LEN(hows); i++) {
		fake = (struct fake){.special = 4, .how = hows[i]};
		must(execute(w, false, &e), &e);
		const struct stored found = stored(w);
		assert_int_equal(found.of_outcome[hows[i] == FAILS ? TRIAL_FAILED : TRIAL_SKIPPED], 1);
		assert_int_equal(found.of_outcome[TRIAL_DONE], 11);
		state_is(w, "done");
	}
}

/* --- cells that cannot be measured here -------------------------------------------------------- */

static void a_cell_that_is_not_possible_here_is_skipped_with_the_reason(void **state)
{
	struct world *w = *state;
	struct err e = ERR_INIT;

	load(w, mixed);
	fake.lacking = "container";
	must(run_probe(&w->x, w->site, false, &e), &e);
	must(execute(w, false, &e), &e);
	assert_int_equal(w->skips, 2);
	assert_string_equal(w->reason, "no container here");
	assert_int_equal(w->total, 2 * 2);
	assert_int_equal(stored(w).trials, 2 * 2);
	state_is(w, "done");
	assert_int_equal(exit_code(w), EXIT_DONE);
}

static void with_every_cell_skipped_the_exit_code_says_whether_root_would_help(void **state)
{
	struct world *w = *state;
	struct err e = ERR_INIT;

	for (int privilege = 0; privilege < 2; privilege++) {
		load(w, plain);
		fake = (struct fake){.lacking = "", .privilege = privilege};
		must(run_probe(&w->x, w->site, false, &e), &e);
		must(execute(w, false, &e), &e);
		assert_int_equal(fake.trials, 0);
		assert_int_equal(w->skips, 2);
		assert_int_equal(w->total, 0);
		state_is(w, "done");
		assert_int_equal(exit_code(w), privilege ? EXIT_REFUSED : EXIT_FAILED);
	}
}

static void settings_that_make_no_sense_here_are_an_error_that_names_cell_and_arm(void **state)
{
	struct world *w = *state;
	struct err e = ERR_INIT;

	load(w, plain);
	fake.refuses = true;
	assert_int_equal(run_probe(&w->x, w->site, false, &e), -EINVAL);
	assert_int_equal(e.exit, EXIT_USAGE);
	assert_non_null(strstr(e.text, "cell native"));
	assert_non_null(strstr(e.text, "arm a"));
}

/* --- the end before the end -------------------------------------------------------------------- */

/* In block 1, after two of its four trials. */
static void what_was_measured_before_an_interrupt_is_kept_and_resume_goes_on(void **state)
{
	static const struct {
		enum how_it_goes how;
		size_t kept;
	} rows[] = {{IS_STOPPED, 6}, {THEN_STOPS, 7}};
	struct world *w = *state;

	load(w, plain);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct err e = ERR_INIT;
		fake = (struct fake){.special = 7, .how = rows[i].how};
		assert_int_equal(execute(w, false, &e), -EINTR);
		assert_int_equal(e.exit, EXIT_INTERRUPTED);
		assert_int_equal(stored(w).trials, rows[i].kept);
		state_is(w, "interrupted");

		int64_t id = w->run.id;
		fake = (struct fake){0};
		stop_flag = 0;
		must(execute(w, true, &e), &e);
		assert_int_equal(w->run.id, id);
		assert_int_equal(fake.trials, 2 * 4); /* the block that was cut off is done again */
		assert_int_equal(w->total, 12);
		assert_int_equal(w->first_done, 5);
		const struct stored found = stored(w);
		assert_int_equal(found.trials, 12);
		state_is(w, "done");
	}
	/* It is as if nothing had happened. */
	const struct stored resumed = stored(w);
	struct err e = ERR_INIT;
	must(execute(w, false, &e), &e);
	const struct stored whole = stored(w);
	assert_string_equal(resumed.order, whole.order);
}

static void nothing_is_resumed_but_the_last_run_of_this_very_experiment(void **state)
{
	struct world *w = *state;
	struct err e = ERR_INIT;

	load(w, plain);
	must(execute(w, true, &e), &e); /* there is none */
	int64_t first = w->run.id;
	must(execute(w, true, &e), &e); /* it is complete */
	assert_true(w->run.id > first);
	fake = (struct fake){.special = 2, .how = IS_STOPPED};
	assert_int_equal(execute(w, false, &e), -EINTR);
	int64_t cut_off = w->run.id;
	fake = (struct fake){0};
	stop_flag = 0;
	w->x.blocks++;
	must(execute(w, true, &e), &e); /* it is another one now */
	assert_true(w->run.id > cut_off);
	assert_int_equal(stored(w).trials, 4 * 4);
}

/* What could not be measured when the run began stays out of it, or its blocks would differ. */
static void a_cell_that_was_skipped_stays_so_when_the_run_goes_on(void **state)
{
	struct world *w = *state;
	struct err e = ERR_INIT;

	load(w, mixed);
	fake = (struct fake){.lacking = "container", .special = 3, .how = IS_STOPPED};
	must(run_probe(&w->x, w->site, false, &e), &e);
	assert_int_equal(execute(w, false, &e), -EINTR);
	load(w, mixed);
	fake = (struct fake){0};
	stop_flag = 0;
	must(run_probe(&w->x, w->site, false, &e), &e);
	must(execute(w, true, &e), &e);
	assert_int_equal(w->skips, 2);
	assert_int_equal(w->total, 4);
	assert_int_equal(stored(w).trials, 4);
}

static void a_machine_that_cannot_be_put_back_ends_the_run(void **state)
{
	struct world *w = *state;
	struct err e = ERR_INIT;

	load(w, plain);
	fake = (struct fake){.special = 6, .how = ENDS_THE_RUN};
	assert_int_equal(execute(w, false, &e), -EIO);
	assert_int_equal(e.exit, EXIT_PARTLY_APPLIED);
	assert_string_equal(e.text, "cannot put the machine back");
	assert_int_equal(fake.trials, 6);
	assert_int_equal(stored(w).trials, 5);
	state_is(w, "failed");
}

/* --- emulated hosts ---------------------------------------------------------------------------- */

static void an_emulated_host_is_told_all_that_it_shall_serve_in_a_block(void **state)
{
	struct world *w = *state;
	struct err e = ERR_INIT;

	load(w, mixed);
	must(run_probe(&w->x, w->site, false, &e), &e);
	fake.stops = 0;
	must(execute(w, false, &e), &e);
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

	load(w, "name: time\nblocks: 10\nduration: 2s\nwarmup: 500ms\n"
		"cells: [{ target: native, workload: [tcp_stream, tcp_maerts] }]\narms: { a: {}, b: {} }\n");
	uint64_t all = run_estimate_ns(&w->x);
	w->x.cells[1].skipped = true;
	uint64_t half = run_estimate_ns(&w->x);
	assert_int_equal(half * 2, all);
	assert_in_range(half, 20 * 2500 * NS_PER_MS, 20 * 3000 * NS_PER_MS);
	load(w, "name: rate\nblocks: 1\nwarmup: 100ms\n"
		"cells: [{ target: native, workload: udp_rr, rate: 1000, transactions: 3000 }]\narms: { a: {} }\n");
	assert_in_range(run_estimate_ns(&w->x), 3 * NS_PER_S, 4 * NS_PER_S);
}

static void nothing_is_fetched_for_local_trials(void **state)
{
	struct world *w = *state;
	struct err e = ERR_INIT;

	load(w, plain);
	must(run_prepare(&w->x, NULL, NULL, &e), &e);
	must(run_probe(&w->x, w->site, true, &e), &e);
}

int main(void)
{
#define ROW(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		ROW(every_trial_is_asked_for_once_and_stored),
		ROW(the_same_seed_is_the_same_order_and_without_one_it_is_drawn),
		ROW(a_failed_trial_is_stored_and_the_run_goes_on),
		ROW(a_cell_that_is_not_possible_here_is_skipped_with_the_reason),
		ROW(with_every_cell_skipped_the_exit_code_says_whether_root_would_help),
		ROW(settings_that_make_no_sense_here_are_an_error_that_names_cell_and_arm),
		ROW(what_was_measured_before_an_interrupt_is_kept_and_resume_goes_on),
		ROW(nothing_is_resumed_but_the_last_run_of_this_very_experiment),
		ROW(a_cell_that_was_skipped_stays_so_when_the_run_goes_on),
		ROW(a_machine_that_cannot_be_put_back_ends_the_run),
		ROW(an_emulated_host_is_told_all_that_it_shall_serve_in_a_block),
		ROW(an_estimate_counts_what_is_not_skipped),
		ROW(nothing_is_fetched_for_local_trials),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
