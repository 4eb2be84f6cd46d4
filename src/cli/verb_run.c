/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * taut run: loads an experiment, says what it is going to do, does it, and ends with the table.  The table is
 * data and goes to stdout; a line a trial and where the run is stored are messages and go to stderr.  An
 * interrupt ends the trial, restores the machine, and shows what was measured so far; a second one skips
 * that.
 */
#include "series.h"

#include <stdio.h>

#define REPEAT_MAX 1000

struct run_verb {
	struct common common;
	bool resume;
	uint64_t repeat, number; /* runs in a row, and which of them this is, from 0 */
	const char **only;       /* patterns of names of cells */
	size_t only_n;
	struct series *series; /* NULL: of one run */
	char *device;          /* "SERVER,CLIENT"; NULL: none is named */
	struct experiment x;
};

enum { KEY_RESUME = 1, KEY_DEVICE, KEY_ONLY, KEY_REPEAT };
static const struct argp_option options[] = {
	{"resume", KEY_RESUME, NULL, 0, "go on with the last run of this experiment that was cut off", 1},
	{"device", KEY_DEVICE, "SERVER,CLIENT", 0,
		"the two NICs, cabled together, for cells that want devices of this machine", 1},
	{"only", KEY_ONLY, "GLOB", 0,
		"only the cells whose names the pattern means, as in 'container/*/tcp_rr'; may be given again",
		1},
	{"repeat", KEY_REPEAT, "N", 0, "N runs in a row, each stored by itself, and a summary", 1},
	{0},
};

static error_t parse(int key, char *value, void *verb)
{
	struct run_verb *v = verb;

	if (key == KEY_RESUME)
		v->resume = true;
	else if (key == KEY_DEVICE)
		v->device = value;
	else if (key == KEY_ONLY) {
		v->only = mem_grow(v->only, v->only_n + 1, sizeof(*v->only));
		v->only[v->only_n++] = value;
	} else if (key == KEY_REPEAT) {
		if (str_u64(value, &v->repeat) || v->repeat < 1 || v->repeat > REPEAT_MAX)
			usage_error("taut run",
				"cannot set --repeat to '%s': it wants a whole number from 1 to %d", value,
				REPEAT_MAX);
	} else
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
	if (rc == 0)
		rc = experiment_only(&v->x, v->only, v->only_n, e);
	v->x.blocks = c->blocks ? c->blocks : v->x.blocks;
	v->x.seed = c->seed ? c->seed : v->x.seed;
	return rc;
}

/* --- what is shown while it runs --------------------------------------------------------------- */

static void show_start(const struct store_run *run, uint64_t trials, void *arg)
{
	const struct run_verb *v = arg;
	AUTO(buf_free) struct buf b = {.columns = say_columns_stderr()};

	if (v->common.quiet || v->common.json)
		return;
	if (!v->number)
		say_skipped(&v->x, &b);
	buf_add(&b, "run %lld (%s", (long long)run->id, run->name);
	if (v->repeat > 1)
		buf_add(&b, ", %llu of %llu", (unsigned long long)v->number + 1,
			(unsigned long long)v->repeat);
	buf_add(&b, "): %llu %s in %llu %s, seed %llu\n", (unsigned long long)trials,
		trials == 1 ? "trial" : "trials", (unsigned long long)run->blocks,
		run->blocks == 1 ? "block" : "blocks", (unsigned long long)run->seed);
	say_status(&b);
}

static void show_progress(const struct run_verb *v, const struct run_trial *t)
{
	AUTO(buf_free) struct buf head = {0}, tail = {0};

	if (v->repeat > 1)
		buf_add(&head, "run %llu of %llu, ", (unsigned long long)v->number + 1,
			(unsigned long long)v->repeat);
	buf_add(&head, "%llu of %llu trials", (unsigned long long)t->done - 1, (unsigned long long)t->total);
	buf_add(&tail, "%s, %s", t->cell->name, t->arm);
	const struct progress p = {.head = head.data, .tail = tail.data, .left_ns = t->left_ns};
	progress_stage(&p);
}

static void show_begin(const struct run_trial *t, void *arg)
{
	const struct run_verb *v = arg;

	if (!v->common.quiet)
		show_progress(v, t);
}

static void show_trial(const struct run_trial *t, const struct trial_record *record, void *arg)
{
	const struct run_verb *v = arg;
	const struct report_place place = {t->done, t->total, t->cell->name, t->arm};
	AUTO(buf_free) struct buf b = {0}, row = {.columns = say_columns_stderr()};
	char left[48];

	if (v->common.quiet || v->common.json)
		return;
	report_trial_line(record, &place, &b);
	buf_add(&b, "  (%s left)", say_left(t->left_ns, left, sizeof(left)));
	size_t at = strcspn(b.data, "]") + 2;
	AUTO_FREE char *number = str_format("%.*s", (int)at, b.data);
	say_row(&row, number, b.data + at);
	say_status(&row);
}

/* --- the end ----------------------------------------------------------------------------------- */

/* On a terminal that has both, what was said on the way and the table lie apart. */
static int show_table(const struct run_verb *v, const struct report *report)
{
	AUTO(buf_free) struct buf b = {.columns = say_columns()}, apart = {0};
	struct report_style style = say_style(&v->common);

	buf_add(&apart, "\n");
	if (!v->common.quiet)
		say_status(&apart);
	report_terminal(report, &style, &b);
	return say_buf(&b);
}

static void show_stored(const struct run_verb *v, struct store *store, const struct store_run *run)
{
	AUTO(buf_free) struct buf b = {0};

	if (v->common.quiet || v->common.json || store_still_there(store, ERR_IGNORED) < 0)
		return;
	buf_add(&b, "\nstored as run %lld in %s\n", (long long)run->id, store_path(store));
	say_status(&b);
}

static int show_report(struct run_verb *v, struct store *store, const struct store_run *run)
{
	static const struct progress computing = {.head = "reading what was measured", .late = true};
	AUTO(auto_report) struct report *report = NULL;
	struct err e = ERR_INIT;

	if (stop_flag > 1)
		return EXIT_DONE;
	if (!v->common.quiet)
		progress_stage(&computing);
	if (report_load(&report, store, run->id, NULL, &e) < 0)
		return say_error(&e);
	progress_line(NULL);
	int code = (int)report_exit_code(report, v->common.gate), said = EXIT_DONE;
	if (v->series)
		series_add(v->series, report_json(report));
	if (!v->common.json)
		said = show_table(v, report);
	else if (!v->series)
		said = say_json(report_json(report));
	show_stored(v, store, run);
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

static int one_run(struct run_verb *v, struct store *store, struct site *site, uint64_t *seed)
{
	const struct run_options run_options = {.resume = v->resume,
		.on_start = show_start,
		.on_begin = show_begin,
		.on_trial = show_trial,
		.arg = v};
	struct store_run run = {0};
	struct err e = ERR_INIT, gone = ERR_INIT;
	int code = EXIT_DONE;

	int rc = run_execute(&v->x, store, site, &run_options, &run, &e);
	progress_line(NULL);
	if (rc == -EINTR)
		code = say_end(&e);
	else if (rc < 0)
		code = say_error(&e);
	if (run.id)
		code = worse(code, show_report(v, store, &run));
	if (run.id && e.code != ESTALE && store_still_there(store, &gone) < 0) {
		err_wrap(&gone, "cannot keep run %lld", (long long)run.id);
		code = worse(code, say_error(&gone));
	}
	*seed = run.seed;
	return code;
}

/* What a gate says of one run does not end the others. */
static bool goes_on(int code)
{
	return !stop_flag && (code == EXIT_DONE || code == EXIT_GATE || code == EXIT_NOT_ASSESSED);
}

static int show_series(const struct run_verb *v)
{
	AUTO(buf_free) struct buf b = {.columns = say_columns()};

	if (!series_n(v->series)) /* the error is all there is to say */
		return EXIT_DONE;
	if (v->common.json)
		return say_json(series_json(v->series));
	series_text(v->series, &b);
	return say_buf(&b);
}

static int execute(struct run_verb *v, struct site *site)
{
	struct store *store = NULL;
	struct err e = ERR_INIT;
	uint64_t first = 0;
	int code = EXIT_DONE;

	if (database_open(&v->common, &store, &e) < 0)
		return say_error(&e);
	v->series = v->repeat > 1 ? series_new() : NULL;
	for (v->number = 0; v->number < MAX(v->repeat, 1u) && goes_on(code); v->number++) {
		uint64_t seed;
		if (v->number)
			v->x.seed = run_seed_of(first, v->number);
		code = worse(code, one_run(v, store, site, &seed));
		first = v->number ? first : seed;
	}
	if (v->series) {
		if (stop_flag < 2)
			code = worse(code, show_series(v));
		series_free(v->series);
	}
	store_close(store);
	return code;
}

static int probe(struct run_verb *v, struct site *site, struct err *e)
{
	static const struct progress looking = {.head = "looking at what can be measured here", .late = true};

	if (!v->common.quiet)
		progress_stage(&looking);
	int rc = run_probe(&v->x, site, v->common.dry_run, e);
	progress_line(NULL);
	return rc;
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
		       "a built-in one (taut list experiments), a YAML file, or - for one on standard input; see taut-experiment(5)."};
	struct measuring m = MEASURING_NONE;
	struct err e = ERR_INIT;
	const char *which = NULL;
	int code;

	command_line_parse(&line, argc, argv, &v.common, &which);
	if (v.repeat > 1 && v.resume)
		usage_error(argv[0], "cannot use --repeat with --resume: one run is resumed");
	int rc = load(&v, which, &e);
	if (rc == 0)
		rc = measuring_open(&m, &v.common, &v.x, &e);
	if (rc == 0)
		rc = probe(&v, m.site, &e);
	if (rc < 0)
		code = say_end(&e);
	else
		code = v.common.dry_run ? dry_run(&v.x, m.site, MAX(v.repeat, 1u), v.common.json)
					: execute(&v, m.site);
	measuring_close(&m); /* before what the site may still look at */
	experiment_free(&v.x);
	common_free(&v.common);
	free(v.only);
	return code;
}
