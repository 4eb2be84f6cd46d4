/* SPDX-License-Identifier: GPL-3.0-or-later */
/* taut compare: two runs that were made apart. */
#include "cli.h"

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
	AUTO(buf_free) struct buf b = {.columns = say_columns()};
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
