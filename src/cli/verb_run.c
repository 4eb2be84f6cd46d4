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
	char *device; /* "SERVER,CLIENT"; NULL: none is named */
	struct experiment x;
};

enum { KEY_RESUME = 1, KEY_DEVICE };
static const struct argp_option options[] = {
	{"resume", KEY_RESUME, NULL, 0, "go on with the last run of this experiment that was cut off", 1},
	{"device", KEY_DEVICE, "SERVER,CLIENT", 0,
		"the two NICs, cabled together, for cells that want devices of this machine", 1},
	{0},
};

static error_t parse(int key, char *value, void *verb)
{
	struct run_verb *v = verb;

	if (key == KEY_RESUME)
		v->resume = true;
	else if (key == KEY_DEVICE)
		v->device = value;
	else
		return ARGP_ERR_UNKNOWN;
	return 0;
}

/* Puts the devices where an experiment says that it wants some. */
static int name_devices(struct run_verb *v, struct err *e)
{
	char *comma = v->device ? strchr(v->device, ',') : NULL;
	struct common *c = &v->common;

	if (!v->device)
		return 0;
	if (!comma || comma == v->device || !comma[1] || strchr(comma + 1, ','))
		return err_usage(
			e, "cannot use --device '%s': it wants SERVER,CLIENT (try: eth2,eth3)", v->device);
	*comma = 0;
	const struct setting_override both[] = {
		{"device", v->device, DEVICE_SPARE}, {"client_device", comma + 1, DEVICE_SPARE}};
	c->overrides = mem_grow(c->overrides, c->overrides_n + ARRAY_LEN(both), sizeof(*c->overrides));
	memcpy(&c->overrides[c->overrides_n], both, sizeof(both));
	c->overrides_n += ARRAY_LEN(both);
	return 0;
}

/* Is the device that was named for the server that of a cell? */
static bool takes_device(const struct experiment *x, const char *device)
{
	for (size_t c = 0; c < x->cells_n; c++)
		for (size_t a = 0; a < x->arms_n; a++)
			if (cell_has(&x->cells[c], a) && !strcmp(x->cells[c].settings[a].device, device))
				return true;
	return false;
}

static int load(struct run_verb *v, const char *which, struct err *e)
{
	const struct common *c = &v->common;
	int rc = name_devices(v, e);

	if (rc == 0)
		rc = experiment_load(&v->x, which, c->overrides, c->overrides_n, e);
	if (rc == 0 && v->device && !takes_device(&v->x, v->device))
		rc = err_usage(e,
			"cannot use --device with %s: none of its cells wants devices of this machine (device: spare)",
			v->x.name);
	if (rc == 0)
		rc = report_reference_check(v->x.reference, e);
	v->x.blocks = c->blocks ? c->blocks : v->x.blocks;
	v->x.seed = c->seed ? c->seed : v->x.seed;
	return rc;
}

/* --- what is shown while it runs --------------------------------------------------------------- */

static void show_start(const struct store_run *run, uint64_t trials, void *arg)
{
	const struct run_verb *v = arg;
	AUTO(buf_free) struct buf b = {0};

	if (v->common.json || v->common.quiet)
		return;
	say_skipped(&v->x, &b);
	buf_add(&b, "run %lld (%s): %llu trials in %llu blocks, seed %llu\n", (long long)run->id, run->name,
		(unsigned long long)trials, (unsigned long long)run->blocks, (unsigned long long)run->seed);
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
	AUTO(buf_free) struct buf b = {0}, row = {0};
	char left[48];

	if (v->common.json || v->common.quiet)
		return;
	report_trial_line(record, &place, &b);
	buf_add(&b, "  (%s left)", say_left(t->left_ns, left, sizeof(left)));
	size_t at = strcspn(b.data, "]") + 2;
	AUTO_FREE char *number = str_format("%.*s", (int)at, b.data);
	say_row(&row, number, b.data + at);
	say_buf(&row);
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
		AUTO(buf_free) struct buf b = {.columns = say_columns()};
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

static int execute(struct run_verb *v, struct site *site)
{
	const struct run_options run_options = {.resume = v->resume,
		.on_start = show_start,
		.on_begin = show_begin,
		.on_trial = show_trial,
		.arg = v};
	struct store *store = NULL;
	struct store_run run = {0};
	struct err e = ERR_INIT, gone = ERR_INIT;
	int code = EXIT_DONE;

	if (database_open(&v->common, &store, &e) < 0)
		return say_error(&e);
	int rc = run_execute(&v->x, store, site, &run_options, &run, &e);
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
	struct err e = ERR_INIT;
	const char *which = NULL;
	int code;

	command_line_parse(&line, argc, argv, &v.common, &which);
	int rc = load(&v, which, &e);
	if (rc == 0)
		rc = measuring_open(&m, &v.common, &v.x, &e);
	if (rc == 0)
		rc = run_probe(&v.x, m.site, v.common.dry_run, &e);
	if (rc < 0)
		code = say_end(&e);
	else
		code = v.common.dry_run ? dry_run(&v.x, m.site, v.common.json) : execute(&v, m.site);
	measuring_close(&m); /* before what the site may still look at */
	experiment_free(&v.x);
	common_free(&v.common);
	return code;
}
