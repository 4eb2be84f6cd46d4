/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * taut run: loads an experiment, says what it is going to do, does it, a line a trial, and ends with the
 * table.  An interrupt ends the trial, restores the machine, and shows what was measured so far; a second one
 * skips that.
 */
#include "cli.h"

#include <stdio.h>

struct run_verb {
	struct common common;
	bool resume;
};

enum { KEY_RESUME = 1 };
static const struct argp_option options[] = {
	{"resume", KEY_RESUME, NULL, 0, "go on with the last run of this experiment that was cut off", 1},
	{0},
};

static error_t parse(int key, char *value, void *verb)
{
	struct run_verb *v = verb;

	(void)value;
	if (key != KEY_RESUME)
		return ARGP_ERR_UNKNOWN;
	v->resume = true;
	return 0;
}

/* --- what is shown while it runs --------------------------------------------------------------- */

static void show_start(const struct store_run *run, uint64_t trials, void *arg)
{
	const struct run_verb *v = arg;
	AUTO(buf_free) struct buf b = {0};

	if (v->common.json || v->common.quiet)
		return;
	buf_add(&b, "run %lld (%s): %llu trials in %llu blocks, seed %llu\n", (long long)run->id, run->name,
		(unsigned long long)trials, (unsigned long long)run->blocks, (unsigned long long)run->seed);
	say_buf(&b);
}

static void show_skip(const struct cell *cell, void *arg)
{
	const struct run_verb *v = arg;
	AUTO(buf_free) struct buf b = {0};

	if (v->common.json || v->common.quiet)
		return;
	buf_add(&b, "skipped %s: %s\n", cell->name, cell->reason);
	say_buf(&b);
}

static void show_progress(const struct run_trial *t)
{
	char left[48];
	AUTO_FREE char *line = str_format("%llu of %llu trials, about %s left: %s, %s",
		(unsigned long long)t->done - 1, (unsigned long long)t->total,
		say_left(t->left_ns, left, sizeof(left)), t->cell->name, t->arm);

	progress_line(line);
}

static void show_begin(const struct run_trial *t, void *arg)
{
	const struct run_verb *v = arg;

	if (!v->common.quiet)
		show_progress(t);
}

static void show_trial(const struct run_trial *t, const struct trial_record *record, void *arg)
{
	const struct run_verb *v = arg;
	const struct report_place place = {t->done, t->total, t->cell->name, t->arm};
	AUTO(buf_free) struct buf b = {0};
	char left[48];

	if (v->common.json || v->common.quiet)
		return;
	report_trial_line(record, &place, &b);
	buf_add(&b, "  (%s left)\n", say_left(t->left_ns, left, sizeof(left)));
	say_buf(&b);
}

/* --- the end ----------------------------------------------------------------------------------- */

static int show_report(struct run_verb *v, struct store *store, const struct store_run *run)
{
	AUTO(auto_report) struct report *report = NULL;
	struct err e = ERR_INIT;

	if (stop_flag > 1)
		return EXIT_DONE;
	if (report_load(&report, store, run->id, NULL, &e) < 0)
		return say_error(&e);
	int code = (int)report_exit_code(report, v->common.gate), said;
	if (v->common.json) {
		said = say_json(report_json(report));
	} else {
		AUTO(buf_free) struct buf b = {0};
		struct report_style style = say_style(&v->common);
		buf_add(&b, "\n");
		report_terminal(report, &style, &b);
		if (store_still_there(store, ERR_IGNORED) == 0)
			buf_add(&b, "\nstored as run %lld in %s\n", (long long)run->id, store_path(store));
		said = say_buf(&b);
	}
	return said != EXIT_DONE ? said : code;
}

/* When several hold: 6, 5, 130, 1, 3, 4: what an interrupt cut off is no failure of its own. */
static int worse(int a, int b)
{
	static const int order[] = {EXIT_PARTLY_APPLIED, EXIT_REFUSED, EXIT_INTERRUPTED, EXIT_FAILED,
		EXIT_GATE, EXIT_NOT_ASSESSED};

	for (size_t i = 0; i < ARRAY_LEN(order); i++)
		if (a == order[i] || b == order[i])
			return order[i];
	return EXIT_DONE;
}

static int execute(struct run_verb *v, struct experiment *x, struct site *site)
{
	const struct run_options run_options = {.resume = v->resume,
		.on_start = show_start,
		.on_skip = show_skip,
		.on_begin = show_begin,
		.on_trial = show_trial,
		.arg = v};
	struct store *store = NULL;
	struct store_run run = {0};
	struct err e = ERR_INIT, gone = ERR_INIT;
	int code = EXIT_DONE;

	if (database_open(&v->common, &store, &e) < 0)
		return say_error(&e);
	int rc = run_execute(x, store, site, &run_options, &run, &e);
	progress_line(NULL);
	if (rc == -EINTR)
		code = EXIT_INTERRUPTED;
	else if (rc < 0)
		code = say_error(&e);
	if (run.id)
		code = worse(code, show_report(v, store, &run));
	if (run.id && e.code != ESTALE && store_still_there(store, &gone) < 0) {
		err_wrap(&gone, "cannot keep run %lld", (long long)run.id);
		code = worse(code, say_error(&gone));
	}
	store_close(store);
	return code;
}

int verb_run(int argc, char **argv)
{
	struct run_verb v = {0};
	const struct command_line line = {.args_doc = "EXPERIMENT",
		.args_min = 1,
		.args_max = 1,
		.options = options,
		.parse = parse,
		.verb = &v,
		.stoppable = true,
		.takes = COMMON_JSON | COMMON_DB | COMMON_QUIET | COMMON_YES | COMMON_PLAN | COMMON_BLOCKS |
			 COMMON_GATE,
		.doc = "Run an experiment: "
		       "a built-in one (taut list experiments) or a YAML file, see taut-experiment(5)."};
	struct measuring m = MEASURING_NONE;
	struct experiment x = {0};
	struct err e = ERR_INIT;
	const char *which = NULL;
	int code;

	command_line_parse(&line, argc, argv, &v.common, &which);
	int rc = experiment_load(&x, which, v.common.overrides, v.common.overrides_n, &e);
	if (rc == 0) {
		x.blocks = v.common.blocks ? v.common.blocks : x.blocks;
		x.seed = v.common.seed ? v.common.seed : x.seed;
		rc = measuring_open(&m, &v.common, &x, &e);
	}
	if (rc == 0)
		rc = run_probe(&x, m.site, v.common.dry_run, &e);
	if (rc < 0)
		code = say_end(&e);
	else
		code = v.common.dry_run ? dry_run(&x, m.site, v.common.json) : execute(&v, &x, m.site);
	measuring_close(&m); /* before what the site may still look at */
	experiment_free(&x);
	common_free(&v.common);
	return code;
}
