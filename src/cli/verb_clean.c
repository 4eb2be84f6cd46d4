/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * taut clean: the one verb after a crash.  What was changed is put back, then what was left is removed.  taut
 * crashed does the same, in the process that has crashed; it is started by crash_restart() alone.
 */
#include "cli.h"

#include <fcntl.h>

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
	const struct command_line line = {.args_doc = "SIGNAL LOCK",
		.args_min = 2,
		.args_max = 2,
		.stoppable = true,
		.doc = "For a taut that has crashed."};
	const char *args[2] = {NULL};
	uint64_t kept = 0;

	command_line_parse(&line, argc, argv, &common, args);
	say_note("ended by a crash (signal %s); the machine is put back", args[0]);
	/* The lock was never given up: nobody has measured on the machine meanwhile. */
	AUTO_CLOSE int lock = str_u64(args[1], &kept) ? -1 : (int)MIN(kept, (uint64_t)INT_MAX);
	if (lock >= 0)
		fcntl(lock, F_SETFD, FD_CLOEXEC);
	int code = clean();
	return code == EXIT_DONE ? EXIT_FAILED : code;
}
