/* SPDX-License-Identifier: GPL-3.0-or-later */
/* taut list: the stored runs, and what this build knows. */
#include "cli.h"

#include "testbed/testbed.h"
#include "tune/tune.h"

/* Everywhere but on a terminal a row is one line, for other programs. */
static void add_line(struct buf *b, int width, const char *name, const char *help)
{
	AUTO_FREE char *head = str_format("%-*s ", width, name);

	if (b->columns)
		text_wrap(b, head, help);
	else
		buf_add(b, "%s%s\n", head, help);
}

static void add_row(const char *name, const char *help, void *arg)
{
	add_line(arg, 14, name, help);
}

static void list_experiments(struct buf *b)
{
	experiments_each(add_row, b);
}

static void list_workloads(struct buf *b)
{
	for (size_t i = 0; i < workload_rows_n; i++)
		add_row(workload_rows[i].name, workload_rows[i].help, b);
}

static void list_settings(struct buf *b)
{
	for (size_t i = 0; i < setting_rows_n; i++) {
		const struct setting_row *row = &setting_rows[i];
		AUTO_FREE char *help = str_format(
			"%s; %s (default %s)", row->help, row->form, row->initial[0] ? row->initial : "none");
		add_row(row->key, help, b);
	}
}

static void list_profiles(struct buf *b)
{
	for (size_t i = 0; i < PROFILES_N; i++)
		add_row(profile_rows[i].name, profile_rows[i].help, b);
}

static void add_knob(const char *id, const char *help, void *arg)
{
	add_line(arg, 26, id, help);
}

static void list_knobs(struct buf *b)
{
	tune_knobs_each(add_knob, b);
}

static void list_features(struct buf *b)
{
	buf_add(b, "runtimes:\n");
	target_runtimes_each(add_row, b);
	buf_add(b, "attachments:\n");
	target_attachments_each(add_row, b);
	buf_add(b, "drivers:\n");
	for (size_t i = 0; i < DRIVERS_N; i++)
		add_row(driver_rows[i].name, driver_rows[i].help, b);
	buf_add(b, "formats:\n");
	for (size_t i = 0; i < report_formats_n; i++)
		add_row(report_formats[i].name, report_formats[i].help, b);
}

static const struct {
	const char *name;
	void (*list)(struct buf *b);
} lists[] = {{"experiments", list_experiments}, {"workloads", list_workloads}, {"settings", list_settings},
	{"profiles", list_profiles}, {"knobs", list_knobs}, {"features", list_features}};

static int list_runs(const struct common *common)
{
	AUTO(buf_free) struct buf b = {.columns = say_columns()};
	struct report_style style = say_style(common);
	struct store *store = NULL;
	struct err e = ERR_INIT;
	json_t *document = NULL;
	int rc = database_read(common, &store, &e), code;

	/* Where results go by themselves there may be none yet. */
	if (rc == -ENOENT && !common->db)
		rc = 0;
	if (rc == 0)
		rc = common->json ? report_list_json(store, &document, &e)
				  : report_list_terminal(store, &style, &b, &e);
	if (rc == 0 && store)
		rc = store_unchanged(store, &e);
	if (rc < 0)
		code = say_error(&e);
	else
		code = common->json ? say_json(document) : say_buf(&b);
	store_close(store);
	return code;
}

int verb_list(int argc, char **argv)
{
	struct common common = {0};
	const struct command_line line = {
		.args_doc = "[runs|experiments|workloads|settings|profiles|knobs|features]",
		.args_max = 1,
		.takes = COMMON_JSON | COMMON_DB | COMMON_QUIET,
		.doc = "List the stored runs, or what this build knows."};
	AUTO(buf_free) struct buf b = {.columns = say_columns()};
	const char *what = "runs";

	command_line_parse(&line, argc, argv, &common, &what);
	if (!strcmp(what, "runs"))
		return list_runs(&common);
	for (size_t i = 0; i < ARRAY_LEN(lists); i++)
		if (!strcmp(lists[i].name, what)) {
			if (common.json)
				usage_error(argv[0], "cannot list %s as JSON: --json is for runs", what);
			lists[i].list(&b);
			return say_buf(&b);
		}
	usage_error(argv[0],
		"cannot list '%s' (try: runs, experiments, workloads, settings, profiles, knobs, features)",
		what);
}
