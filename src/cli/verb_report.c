/* SPDX-License-Identifier: GPL-3.0-or-later */
/* taut report, export: a run that the store holds, shown again or written for other programs. */
#include "cli.h"

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
	AUTO(buf_free) struct buf b = {.columns = v->common.output ? 0 : say_columns()};
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
		usage_error(
			argv[0], "cannot export: the format is missing (try: --csv; --help has the others)");
	return formatted(&v, which);
}
