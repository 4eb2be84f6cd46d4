/* SPDX-License-Identifier: GPL-3.0-or-later */
/* taut measure: one trial.  Its flags are the rows of the settings; the workload is the argument. */
#include "cli.h"

#include <stdio.h>

#define KEY_FIRST 1000
#define ROWS_MAX  64

struct measure_verb {
	struct common common;
	struct settings settings;
	struct err mistake; /* the first flag that is wrong */
};

static error_t parse(int key, char *value, void *verb)
{
	struct measure_verb *v = verb;

	if (key < KEY_FIRST || (size_t)(key - KEY_FIRST) >= setting_rows_n)
		return ARGP_ERR_UNKNOWN;
	const struct setting_row *row = &setting_rows[key - KEY_FIRST];
	if (!v->mistake.code)
		setting_set(&v->settings, row->key, value ? value : "yes", &v->mistake);
	return 0;
}

/* "veth|bridge" as "veth, bridge"; malloc'd. */
static char *words_apart(const char *form)
{
	struct buf b = {0};

	for (; *form; form++)
		buf_put(&b, *form == '|' ? ", " : form, *form == '|' ? 2 : 1);
	return b.data;
}

/* --help leaves a line of 79 columns whole that is too long; then the words stand in the help of the option.
 */
#define OPTION_MAX 70

/* One option a row: "--max-duration=TIME"; a boolean may stand alone. */
static void make_options(struct argp_option *options, char names[][32])
{
	for (size_t i = 0; i < setting_rows_n; i++) {
		const struct setting_row *row = &setting_rows[i];
		if (!strcmp(row->key, "workload"))
			continue;
		snprintf(names[i], 32, "%s", row->key);
		for (char *p = names[i]; *p; p++)
			if (*p == '_')
				*p = '-';
		*options = (struct argp_option){names[i], KEY_FIRST + (int)i, row->form,
			row->type == SETTING_BOOL ? OPTION_ARG_OPTIONAL : 0, row->help, 1};
		if (strlen(row->key) + strlen(row->form) > OPTION_MAX) {
			AUTO_FREE char *words = words_apart(row->form);
			AUTO_FREE char *help = str_format("%s: %s", row->help, words);
			options->arg = "NAME";
			options->doc = str_keep(help);
		}
		options++;
	}
}

static int show(struct measure_verb *v, const struct trial_record *record)
{
	AUTO(buf_free) struct buf b = {.columns = say_columns()};
	struct report_style style = say_style(&v->common);
	int said;

	if (v->common.json) {
		said = say_json(report_trial_json(record));
	} else {
		report_trial_terminal(record, &style, &b);
		said = say_buf(&b);
	}
	return said != EXIT_DONE ? said : (int)report_trial_exit_code(record);
}

static int carry_out(struct measure_verb *v, struct site *site, const struct trial_plan *plan)
{
	AUTO(auto_trial_record) struct trial_record *record = trial_record_new();
	struct err e = ERR_INIT;
	int rc = site_trial(site, plan, record, &e);

	if (rc == 0) /* a target that could serve others has none to serve */
		rc = site_group(site, NULL, 0, &e);
	if (rc == -EINTR)
		say_note("interrupted: nothing is shown of an unfinished trial, and all is put back");
	return rc < 0 ? say_end(&e) : show(v, record);
}

/* A trial would not be more patient than the probe was. */
static int cannot(const struct cell *cell, enum target_answer answer)
{
	struct err e = ERR_INIT;

	err_set(&e, ENOTSUP, "%s: %s",
		answer == TARGET_NO ? "cannot measure this here" : "cannot measure this now", cell->reason);
	e.exit = cell->privilege ? EXIT_REFUSED : EXIT_FAILED;
	return say_error(&e);
}

/* A trial is an experiment of one cell, one arm and one block; its plan is a document always. */
static int measure(struct measure_verb *v)
{
	AUTO(measuring_close) struct measuring m = MEASURING_NONE;
	struct cell cell = {.settings = &v->settings, .arms_n = 1};
	struct arm arm = {0};
	struct experiment one = {.blocks = 1, .arms = &arm, .arms_n = 1, .cells = &cell, .cells_n = 1};
	AUTO(buf_free) struct buf name = {0};
	struct err e = ERR_INIT;

	cell_name_add(&name, &v->settings);
	cell_name_set(&cell, name.data);
	str_copy(arm.name, sizeof(arm.name), v->settings.profile);
	if (measuring_open(&m, &v->common, &one, &e) < 0 || site_check(m.site, &v->settings, &e) < 0)
		return say_end(&e);
	enum target_answer answer = run_probe_cell(&one, &cell, m.site, v->common.dry_run);
	int code = stop_flag              ? EXIT_INTERRUPTED
		   : v->common.dry_run    ? dry_run(&one, m.site, true)
		   : answer != TARGET_YES ? cannot(&cell, answer)
					  : carry_out(v, m.site, cell.plans);
	measuring_close(&m); /* before what the site may still look at */
	free(cell.plans);
	return code;
}

int verb_measure(int argc, char **argv)
{
	struct measure_verb v = {0};
	struct argp_option options[ROWS_MAX] = {{0}};
	char names[ROWS_MAX][32] = {{0}};
	const char *workloads[WORKLOADS_MAX];
	for (size_t i = 0; i < workload_rows_n; i++)
		workloads[i] = workload_rows[i].name;
	AUTO_FREE char *known = str_list(workloads, workload_rows_n, "or");
	AUTO_FREE char *doc = str_format("Measure one workload once: %s.", known);
	const struct command_line line = {.args_doc = "WORKLOAD",
		.args_min = 1,
		.args_max = 1,
		.options = options,
		.parse = parse,
		.verb = &v,
		.stoppable = true,
		.takes = COMMON_JSON | COMMON_QUIET | COMMON_YES | COMMON_PLAN,
		.doc = doc};
	const char *workload = NULL;
	int code;

	settings_init(&v.settings);
	make_options(options, names);
	command_line_parse(&line, argc, argv, &v.common, &workload);
	if (!v.mistake.code)
		setting_set(&v.settings, "workload", workload, &v.mistake);
	for (size_t i = 0; !v.mistake.code && i < v.common.overrides_n; i++)
		setting_set(&v.settings, v.common.overrides[i].key, v.common.overrides[i].value, &v.mistake);
	if (!v.mistake.code)
		settings_check(&v.settings, &v.mistake);
	code = v.mistake.code ? say_error(&v.mistake) : measure(&v);
	common_free(&v.common);
	return code;
}
