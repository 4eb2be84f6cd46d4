/* SPDX-License-Identifier: GPL-3.0-or-later */
/* taut report, compare, export, list: what the store holds, shown again. */
#include "cli.h"

#include "testbed/testbed.h"
#include "tune/tune.h"

#include <stdio.h>

/* --- report and export: rows of the same table of formats -------------------------------------- */

struct format_verb {
	struct common common;
	const struct report_format *format;
	const char *unknown;
};

enum { KEY_FORMAT_FIRST = 2000, KEY_OUTPUT = 2100 };

static error_t parse_format(int key, char *value, void *verb)
{
	struct format_verb *v = verb;

	if (key == KEY_OUTPUT || key == 'o') {
		v->common.output = value;
		return 0;
	}
	if (key < KEY_FORMAT_FIRST || (size_t)(key - KEY_FORMAT_FIRST) >= report_formats_n)
		return ARGP_ERR_UNKNOWN;
	v->format = &report_formats[key - KEY_FORMAT_FIRST];
	return 0;
}

static int write_output(const struct common *common, const struct buf *b)
{
	struct err e = ERR_INIT;

	if (!common->output || !strcmp(common->output, "-"))
		return say_buf(b);
	if (file_write_named(common->output, b->data ? b->data : "", b->len, &e) < 0)
		return say_error(&e);
	return EXIT_DONE;
}

static int formatted(struct format_verb *v, const char *which)
{
	AUTO(auto_report) struct report *report = NULL;
	AUTO(buf_free) struct buf b = {0};
	struct report_style style = say_style(&v->common);
	struct store *store = NULL;
	struct err e = ERR_INIT;
	int code;

	if (reports_load(&v->common, &which, 1, &store, &report, &e) < 0 ||
		v->format->write(report, store, &style, &b, &e) < 0)
		code = say_error(&e);
	else
		code = write_output(&v->common, &b);
	if (code == EXIT_DONE && v->common.gate)
		code = (int)report_exit_code(report, true);
	store_close(store);
	return code;
}

int verb_report(int argc, char **argv)
{
	struct format_verb v = {0};
	const struct command_line line = {.args_doc = "[RUN]",
		.args_max = 1,
		.takes = COMMON_JSON | COMMON_DB | COMMON_QUIET | COMMON_GATE,
		.doc = "Show a stored run again.  RUN is an id, a name (its latest run) or last, which is the default."};
	const char *which = "last";

	command_line_parse(&line, argc, argv, &v.common, &which);
	v.format = report_format_find(v.common.json ? "json" : "text");
	return formatted(&v, which);
}

int verb_export(int argc, char **argv)
{
	struct format_verb v = {0};
	struct argp_option options[32] = {{"output", 'o', "FILE", 0, "write to FILE; - is stdout", 2}};
	const struct command_line line = {.args_doc = "[RUN]",
		.args_max = 1,
		.options = options,
		.parse = parse_format,
		.verb = &v,
		.takes = COMMON_DB,
		.doc = "Write the trials of a run for other programs.  "
		       "RUN is an id, a name or last, which is the default."};
	const char *which = "last";
	size_t n = 1;

	for (size_t i = 0; i < report_formats_n; i++)
		options[n++] = (struct argp_option){report_formats[i].name, KEY_FORMAT_FIRST + (int)i, NULL,
			0, report_formats[i].help, 1};
	command_line_parse(&line, argc, argv, &v.common, &which);
	if (!v.format)
		usage_error(argv[0], "cannot export: the format is missing (try: --csv or --hlog)");
	return formatted(&v, which);
}

int verb_compare(int argc, char **argv)
{
	struct common common = {0};
	const struct command_line line = {.args_doc = "OLD NEW",
		.args_min = 2,
		.args_max = 2,
		.takes = COMMON_JSON | COMMON_DB | COMMON_QUIET | COMMON_GATE,
		.doc = "Compare two stored runs.  "
		       "They were not interleaved, so what changed on the machine between them is in the difference."};
	AUTO(auto_report) struct report *old = NULL;
	AUTO(auto_report) struct report *new = NULL;
	AUTO(buf_free) struct buf b = {0};
	struct report *reports[2] = {NULL, NULL};
	const char *which[2];
	struct store *store = NULL;
	struct err e = ERR_INIT;
	json_t *document = NULL;
	int code, rc;

	command_line_parse(&line, argc, argv, &common, which);
	struct report_style style = say_style(&common);
	rc = reports_load(&common, which, 2, &store, reports, &e);
	old = reports[0];
	new = reports[1];
	if (rc == 0)
		rc = common.json ? report_compare_json(old, new, &document, &e)
				 : report_compare_terminal(old, new, &style, &b, &e);
	if (rc < 0)
		code = say_error(&e);
	else
		code = common.json ? say_json(document) : say_buf(&b);
	if (code == EXIT_DONE && common.gate)
		code = (int)report_compare_exit_code(old, new);
	store_close(store);
	return code;
}

/* --- list -------------------------------------------------------------------------------------- */

static void add_row(const char *name, const char *help, void *arg)
{
	buf_add(arg, "%-14s %s\n", name, help);
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
	for (size_t i = 0; i < setting_rows_n; i++)
		buf_add(b, "%-14s %s (default %s)\n", setting_rows[i].key, setting_rows[i].help,
			setting_rows[i].initial[0] ? setting_rows[i].initial : "none");
}

static void list_profiles(struct buf *b)
{
	for (size_t i = 0; i < PROFILES_N; i++)
		add_row(profile_rows[i].name, profile_rows[i].help, b);
}

static void add_knob(const char *id, const char *help, void *arg)
{
	buf_add(arg, "%-26s %s\n", id, help);
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
	AUTO(buf_free) struct buf b = {0};
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
	AUTO(buf_free) struct buf b = {0};
	const char *what = "runs";

	command_line_parse(&line, argc, argv, &common, &what);
	if (!strcmp(what, "runs"))
		return list_runs(&common);
	for (size_t i = 0; i < ARRAY_LEN(lists); i++)
		if (!strcmp(lists[i].name, what)) {
			lists[i].list(&b);
			return say_buf(&b);
		}
	usage_error(argv[0],
		"cannot list '%s' (try: runs, experiments, workloads, settings, profiles, knobs, features)",
		what);
}
