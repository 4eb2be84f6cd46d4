/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a taut that was killed has left: journals whose owner is dead.  They are undone by the same rule as
 * our own, the newest of each owner first. A journal of another boot is void and only removed.
 */
#include "private.h"

static bool owner_lives(const struct tune_host *host, const struct journal *journal)
{
	uint64_t start;

	return task_start_time(host->root, journal->pid, &start, ERR_IGNORED) == 0 && start == journal->start;
}

int tune_leftover(const struct tune_host *host, struct buf *what, struct err *e)
{
	struct journal *journals = NULL;
	size_t n = 0, found = 0;
	char boot[40];
	int rc;

	if ((rc = boot_id(host->root, boot, e)) < 0 || (rc = tune_journals_load(host, &journals, &n, e)) < 0)
		return rc;
	for (size_t i = 0; i < n; i++) {
		if (strcmp(journals[i].boot, boot) || owner_lives(host, &journals[i]))
			continue;
		for (size_t j = 0; j < journals[i].plan->n; j++, found++) {
			const struct entry *entry = &journals[i].plan->entries[j];
			if (what)
				buf_add(what, "%s: set to '%s' by process %d, before it '%s' (ID %s)\n",
					entry->object, entry->after, journals[i].pid, entry->before,
					journals[i].id);
		}
	}
	tune_journals_free(journals, n);
	return (int)found;
}

static void say(struct buf *said, const struct tune_plan *plan)
{
	for (size_t i = plan->n; said && i-- > 0;) {
		const struct entry *entry = &plan->entries[i];
		switch (entry->status) {
		case TUNE_REVERTED:
			buf_add(said, "put back %s to '%s'%s%s\n", entry->object, entry->before,
				entry->reason ? ": " : "", entry->reason ? entry->reason : "");
			break;
		case TUNE_LEFT:
			buf_add(said, "left %s as it is: %s\n", entry->object, entry->reason);
			break;
		case TUNE_AWAY:
			buf_add(said, "gone for now: %s, before it '%s': %s\n", entry->object, entry->before,
				entry->reason);
			break;
		case TUNE_FAILED:
			buf_add(said, "could not put back %s: %s\n", entry->object, entry->reason);
			break;
		default: /* it never came to the write */
			break;
		}
	}
}

int tune_revert_leftover(const struct tune_host *host, struct buf *said, struct err *e)
{
	struct err first = ERR_INIT;
	struct journal *journals = NULL;
	size_t n = 0;
	char boot[40];
	int rc;

	if ((rc = boot_id(host->root, boot, e)) < 0 || (rc = tune_journals_load(host, &journals, &n, e)) < 0)
		return rc;
	tune_journals_sweep(host);
	for (size_t i = 0; i < n; i++) {
		struct journal *journal = &journals[i];
		struct err one = ERR_INIT;
		if (!strcmp(journal->boot, boot)) {
			if (owner_lives(host, journal))
				continue;
			rc = tune_plan_undo(host, journal->plan, 0, &one);
			say(said, journal->plan);
			if (rc < 0)
				tune_journal_shrink(journal->plan);
		} else {
			rc = 0;
			if (said)
				buf_add(said, "removed %s: it is of another boot\n", journal->path);
		}
		if (rc == 0)
			rc = tune_journal_remove(journal->plan, &one);
		if (rc < 0 && !first.code) {
			first = one;
			err_try(&first,
				"mend what stands in the way, or give it up: taut tune revert --forget %s",
				journal->id);
		}
	}
	tune_journals_free(journals, n);
	if (!first.code)
		return 0;
	*e = first;
	err_wrap(e, "cannot put everything back");
	e->exit = EXIT_PARTLY_APPLIED;
	return -EIO;
}

static int unknown_id(const char *id, const struct journal *journals, size_t n, struct err *e)
{
	AUTO(buf_free) struct buf known = {0};

	for (size_t i = 0; i < n; i++)
		buf_add(&known, "%s%s", i ? ", " : "", journals[i].id);
	return err_usage(e, "cannot forget '%s': no such ID; there is %s", id, n ? known.data : "none");
}

static int forget(
	const struct tune_host *host, const struct journal *journal, struct buf *said, struct err *e)
{
	char boot[40];
	int rc = boot_id(host->root, boot, e);

	if (rc < 0)
		return rc;
	if (!strcmp(journal->boot, boot) && owner_lives(host, journal))
		return err_refused(e, "cannot forget %s: process %d is alive and will put it back itself",
			journal->id, journal->pid);
	rc = tune_journal_remove(journal->plan, e);
	for (size_t i = journal->plan->n; rc == 0 && said && i-- > 0;) {
		const struct entry *entry = &journal->plan->entries[i];
		buf_add(said, "gave up %s: set to '%s', before it '%s'\n", entry->object, entry->after,
			entry->before);
	}
	return rc;
}

int tune_forget(const struct tune_host *host, const char *id, struct buf *said, struct err *e)
{
	const struct journal *found = NULL;
	struct journal *journals = NULL;
	size_t n = 0;
	int rc = tune_journals_load(host, &journals, &n, e);

	if (rc < 0)
		return rc;
	for (size_t i = 0; i < n; i++)
		if (!strcmp(journals[i].id, id))
			found = &journals[i];
	rc = found ? forget(host, found, said, e) : unknown_id(id, journals, n, e);
	tune_journals_free(journals, n);
	return rc;
}
