/* SPDX-License-Identifier: GPL-3.0-or-later */
/* taut tune: what tuning an earlier taut has left in force on this machine, and how it is put back. */
#include "cli.h"

#include <stdio.h>

struct tune_verb {
	bool revert;
	const char *forget; /* an ID; NULL: none */
};

static int tune_act(const struct tune_verb *verb, struct err *e)
{
	AUTO_CLOSE int root = root_open("/", e);
	AUTO(buf_free) struct buf said = {0};
	struct undo_host host = UNDO_HOST_NONE;
	int rc = root < 0 ? root : machine_open(&host, root, e);

	if (rc == 0 && verb->forget)
		rc = undo_forget(&host, verb->forget, &said, e);
	else if (rc == 0)
		rc = verb->revert ? undo_revert_leftover(&host, &said, e) : undo_leftover(&host, &said, e);
	undo_close(&host);
	int code = say_buf_or(&said, rc < 0         ? ""
				     : verb->revert ? "nothing to revert\n"
						    : "no tuning of an earlier taut is in force\n");
	return rc < 0 ? say_error(e) : code;
}

/* It changes the machine, so it takes its lock. */
static int tune_revert(const struct tune_verb *verb)
{
	struct err e = ERR_INIT;
	AUTO_CLOSE int lock = lock_take(&e);

	return lock < 0 ? say_error(&e) : tune_act(verb, &e);
}

enum { KEY_FORGET = 1 };

static error_t parse_tune(int key, char *value, void *verb)
{
	if (key != KEY_FORGET)
		return ARGP_ERR_UNKNOWN;
	((struct tune_verb *)verb)->forget = value;
	return 0;
}

int verb_tune(int argc, char **argv)
{
	static const struct argp_option options[] = {
		{"forget", KEY_FORGET, "ID", 0,
			"revert nothing: give up what this ID of status owes, and say what", 1},
		{0}};
	struct common common = {0};
	struct tune_verb verb = {0};
	const struct command_line line = {.args_doc = "status|revert",
		.args_min = 1,
		.args_max = 1,
		.options = options,
		.parse = parse_tune,
		.verb = &verb,
		.stoppable = true,
		.takes = COMMON_QUIET,
		.doc = "status says what tuning of an earlier taut is still in force; "
		       "revert puts it back, and leaves what somebody else has changed since."};
	const char *what = NULL;

	command_line_parse(&line, argc, argv, &common, &what);
	if (!str_in(what, "status|revert"))
		usage_error(argv[0], "cannot tune '%s': it is status or revert", what);
	verb.revert = !strcmp(what, "revert");
	if (verb.forget && !verb.revert)
		usage_error(argv[0], "status takes no --forget");
	return verb.revert ? tune_revert(&verb) : tune_act(&verb, &(struct err){0});
}
