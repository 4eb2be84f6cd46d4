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
		*options++ = (struct argp_option){names[i], KEY_FIRST + (int)i, row->form,
			row->type == SETTING_BOOL ? OPTION_ARG_OPTIONAL : 0, row->help, 1};
	}
}

static int show(struct measure_verb *v, const struct trial_record *record)
{
	AUTO(buf_free) struct buf b = {0};
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

/* A trial is planned as an experiment of one cell, one arm and one block; the plan is a document always. */
static int plan(struct measure_verb *v, struct site *site)
{
	struct cell cell = {.settings = &v->settings};
	struct arm arm = {0};
	struct experiment one = {.blocks = 1, .arms = &arm, .arms_n = 1, .cells = &cell, .cells_n = 1};
	AUTO(buf_free) struct buf name = {0};

	cell.skipped = site_probe(site, cell.settings, cell.reason, sizeof(cell.reason), &cell.privilege) ==
			       TARGET_NO &&
		       !site_lacks_any(cell.settings);
	cell_name_add(&name, &v->settings);
	str_copy(cell.name, sizeof(cell.name), name.data);
	str_copy(arm.name, sizeof(arm.name), v->settings.profile);
	return dry_run(&one, site, true);
}

static int measure(struct measure_verb *v)
{
	AUTO(auto_trial_record) struct trial_record *record = trial_record_new();
	const struct site_options chosen = {.yes = v->common.yes, .planning = v->common.dry_run};
	struct site *site = NULL;
	struct err e = ERR_INIT;
	char state[256], reason[512];
	AUTO_CLOSE int lock = -1;
	bool privilege;
	int code;

	/* Before privilege_prepare(), which may leave us in a network namespace without a network. */
	if (!v->common.dry_run && site_prepare(&v->settings, 1, say_doing, &v->common, &e) < 0)
		return e.code == EINTR ? EXIT_INTERRUPTED : say_error(&e);
	progress_line(NULL);
	privilege_prepare();
	if (state_dir(state, sizeof(state), &e) < 0 ||
		(!v->common.dry_run && (lock = machine_lock(state, &e)) < 0))
		return say_error(&e);
	leftovers_warn();
	if (site_open(&site, &chosen, &e) < 0 || site_check(site, &v->settings, &e) < 0) {
		code = say_error(&e);
	} else if (v->common.dry_run) {
		code = plan(v, site);
	} else if (site_probe(site, &v->settings, reason, sizeof(reason), &privilege) == TARGET_NO) {
		err_set(&e, ENOTSUP, "cannot measure this here: %s", reason);
		e.exit = privilege ? EXIT_REFUSED : EXIT_FAILED;
		code = say_error(&e);
	} else {
		int rc = site_trial(site, &v->settings, record, &e);
		if (rc == -EINTR) {
			say_note("interrupted: nothing is shown of an unfinished trial, and all is put back");
			code = EXIT_INTERRUPTED;
		} else {
			code = rc < 0 ? say_error(&e) : show(v, record);
		}
	}
	site_close(site);
	return code;
}

int verb_measure(int argc, char **argv)
{
	struct measure_verb v = {0};
	struct argp_option options[ROWS_MAX] = {{0}};
	char names[ROWS_MAX][32] = {{0}};
	const struct command_line line = {.args_doc = "WORKLOAD",
		.args_min = 1,
		.args_max = 1,
		.options = options,
		.parse = parse,
		.verb = &v,
		.takes = COMMON_JSON | COMMON_QUIET | COMMON_YES | COMMON_PLAN,
		.doc = "Measure one workload once: tcp_rr, udp_rr, tcp_stream or tcp_maerts."};
	const char *workload = NULL;
	int code;

	settings_init(&v.settings);
	make_options(options, names);
	command_line_parse(&line, argc, argv, &v.common, &workload);
	signals_catch();
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
