/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The user's own tuning, as two shell commands.  Nothing can be read back: what they do is theirs.  The
 * journal holds the revert command before the other runs, so after a crash it is run even when the first had
 * not begun; it must bear that.
 *
 * When the first fails, the other is run once: a list of commands may have got half way.  When the shell says
 * that it could not run a command at all (126 and 127), nothing is owed after that.
 */
#include "private.h"

#define SH_NOT_EXECUTABLE 126
#define SH_NOT_FOUND      127

int undo_command_write(
	const struct undo_host *host, const struct undo_entry *entry, const char *value, struct err *e)
{
	AUTO_FREE char *output = NULL;
	int rc = host->calls->run(host->calls_arg, value, &output);

	(void)entry;
	if (rc == -ETIMEDOUT)
		return err_set(e, ETIMEDOUT, "cannot run '%s': it did not end within 60 s%s%s", value,
			output && *output ? "; it said: " : "", output ? output : "");
	if (rc < 0)
		return err_code(e, -rc, "cannot run '%s'", value);
	if (rc > 0)
		return err_set(e, rc == SH_NOT_FOUND || rc == SH_NOT_EXECUTABLE ? ENOEXEC : ECHILD,
			"cannot run '%s': exit status %d%s%s", value, rc, output && *output ? ": " : "",
			output ? output : "");
	return 0;
}

int undo_command_revert(const struct undo_host *host, struct undo_entry *entry, struct err *e)
{
	int rc;

	if (entry->status ==
		UNDO_STUCK) /* it has been run, and is not run again before the user asks for it */
		return err_set(e, ECHILD, "%s", entry->reason);
	rc = undo_command_write(host, entry, entry->before, e);
	if (rc == 0)
		undo_entry_stand(entry, UNDO_REVERTED, NULL);
	return rc;
}
