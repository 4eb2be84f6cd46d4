/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * taut clean: the one verb after a crash.  What was changed is put back, then what was left is removed.  taut
 * crashed does the same, in the process that has crashed; it is started by crash_restart() alone.
 */
#include "cli.h"

static int put_back(struct buf *said, struct err *e)
{
	AUTO_CLOSE int root = root_open("/", e);
	struct undo_host host = UNDO_HOST_NONE;
	int rc = root < 0 ? root : machine_open(&host, root, e);

	if (rc == 0)
		rc = undo_revert_leftover(&host, said, e);
	undo_close(&host);
	return rc;
}

/* Each half is tried, whatever becomes of the other. */
static int clean(void)
{
	const struct undo_sweep_row *rows[SWEEP_ROWS_MAX];
	struct err owed = ERR_INIT, left = ERR_INIT;
	AUTO(buf_free) struct buf said = {0};
	int reverted = put_back(&said, &owed);
	int swept = undo_sweep(rows, machine_sweep_rows(rows), &said, &left);

	if (!said.len && reverted >= 0 && swept >= 0)
		buf_add(&said, "nothing to clean\n");
	int code = said.len ? say_buf(&said) : EXIT_DONE;
	if (swept < 0)
		code = say_error(&left);
	return reverted < 0 ? say_error(&owed) : code;
}

int verb_clean(int argc, char **argv)
{
	struct common common = {0};
	const struct command_line line = {.takes = COMMON_QUIET,
		.stoppable = true,
		.doc = "Puts everything right after a taut that was killed: what it had changed on this machine is put back (as tune revert does), "
		       "and the processes, containers, cgroups and folders that it left are removed (as lab clean does)."};
	struct err e = ERR_INIT;

	command_line_parse(&line, argc, argv, &common, NULL);
	AUTO_CLOSE int lock = lock_take(&e);
	return lock < 0 ? say_error(&e) : clean();
}

int verb_crashed(int argc, char **argv)
{
	struct common common = {0};
	const struct command_line line = {.args_doc = "SIGNAL",
		.args_min = 1,
		.args_max = 1,
		.stoppable = true,
		.doc = "For a taut that has crashed."};
	const char *number = NULL;
	struct err e = ERR_INIT;

	command_line_parse(&line, argc, argv, &common, &number);
	say_note("ended by a crash (signal %s); the machine is put back", number);
	AUTO_CLOSE int lock = lock_take(&e);
	int code = lock < 0 ? say_error(&e) : clean();
	return code == EXIT_DONE ? EXIT_FAILED : code;
}
