/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a taut that was killed has left: journals whose owner is dead.  They are undone by the same rule as
 * our own, the newest of each owner first.  A journal of another boot is void and only removed.
 */
#include "private.h"

static size_t describe(const struct undo_journal *journal, struct buf *what)
{
	if (!journal->list) {
		if (what)
			buf_add(what, "%s (ID %s)\n", journal->bad.text, journal->id);
		return 1;
	}
	for (size_t i = 0; what && i < journal->list->n; i++) {
		const struct undo_entry *entry = &journal->list->entries[i];
		buf_add(what, "%s: set to '%s' by process %d, before it '%s' (ID %s)\n", entry->object,
			entry->after, journal->owner.pid, entry->before, journal->id);
	}
	return journal->list->n;
}

int undo_leftover(const struct undo_host *host, struct buf *what, struct err *e)
{
	struct undo_journal *journals = NULL;
	size_t n = 0, found = 0;
	char boot[40];
	int rc;

	if ((rc = boot_id(host->root, boot, e)) < 0 || (rc = undo_journals_load(host, &journals, &n, e)) < 0)
		return rc;
	for (size_t i = 0; i < n; i++)
		if (!journals[i].list || (!strcmp(journals[i].boot, boot) &&
						 !undo_owner_alive(host->root, &journals[i].owner)))
			found += describe(&journals[i], what);
	undo_journals_free(journals, n);
	return (int)found;
}

static void say(struct buf *said, const struct undo_list *list)
{
	for (size_t i = list->n; said && i-- > 0;) {
		const struct undo_entry *entry = &list->entries[i];
		switch (entry->status) {
		case UNDO_REVERTED:
			buf_add(said, "put back %s to '%s'%s%s\n", entry->object, entry->before,
				entry->reason ? ": " : "", entry->reason ? entry->reason : "");
			break;
		case UNDO_GONE:
			buf_add(said, "nothing to put back: %s has gone%s%s\n", entry->object,
				entry->reason ? ": " : "", entry->reason ? entry->reason : "");
			break;
		case UNDO_LEFT:
			buf_add(said, "left %s as it is: %s\n", entry->object, entry->reason);
			break;
		case UNDO_AWAY:
			buf_add(said, "gone for now: %s, before it '%s': %s\n", entry->object, entry->before,
				entry->reason);
			break;
		case UNDO_STUCK:
			buf_add(said, "could not put back %s: %s\n", entry->object, entry->reason);
			break;
		default: /* it never came to the write */
			break;
		}
	}
}

/* One journal; says what became of it. */
static int put_back(const struct undo_host *host, struct undo_journal *journal, const char *boot,
	struct buf *said, struct err *e)
{
	int rc = 0;

	if (!journal->list) {
		*e = journal->bad;
		log_warn("%s", e->text);
		return err_try(e,
			"read it, put back by hand what it names, then: taut tune revert --forget %s",
			journal->id);
	}
	if (!strcmp(journal->boot, boot)) {
		if (undo_owner_alive(host->root, &journal->owner))
			return 0;
		rc = undo_list_undo(host, journal->list, 0, e);
		say(said, journal->list);
		if (rc < 0)
			undo_journal_shrink(journal->list);
	} else if (said) {
		buf_add(said, "removed %s: it is of another boot\n", journal->path);
	}
	if (rc == 0)
		rc = undo_journal_remove(journal->list, e);
	if (rc < 0)
		err_try(e, "mend what stands in the way, or give it up: taut tune revert --forget %s",
			journal->id);
	return rc;
}

int undo_revert_leftover(const struct undo_host *host, struct buf *said, struct err *e)
{
	struct err first = ERR_INIT;
	struct undo_journal *journals = NULL;
	size_t n = 0;
	char boot[40];
	int rc;

	if ((rc = boot_id(host->root, boot, e)) < 0 || (rc = undo_journals_load(host, &journals, &n, e)) < 0)
		return rc;
	undo_journals_sweep(host);
	for (size_t i = 0; i < n; i++) {
		struct err one = ERR_INIT;
		if (put_back(host, &journals[i], boot, said, &one) < 0 && !first.code)
			first = one;
	}
	undo_journals_free(journals, n);
	if (!first.code)
		return 0;
	*e = first;
	err_wrap(e, "cannot put everything back");
	e->exit = EXIT_PARTLY_APPLIED;
	return -EIO;
}

static int unknown_id(const char *id, const struct undo_journal *journals, size_t n, struct err *e)
{
	AUTO(buf_free) struct buf known = {0};

	for (size_t i = 0; i < n; i++)
		buf_add(&known, "%s%s", i ? ", " : "", journals[i].id);
	return err_usage(e, "cannot forget '%s': no such ID; there is %s", id, n ? known.data : "none");
}

/* What it owes nobody can tell. */
static int forget_bad(const struct undo_journal *journal, struct buf *said, struct err *e)
{
	if (unlink(journal->path) < 0)
		return err_sys(e, "cannot remove the journal %s", journal->path);
	if (said)
		buf_add(said, "gave up %s: %s\n", journal->path, journal->bad.text);
	return 0;
}

static int forget(
	const struct undo_host *host, const struct undo_journal *journal, struct buf *said, struct err *e)
{
	char boot[40];
	int rc = boot_id(host->root, boot, e);

	if (rc < 0 || !journal->list)
		return rc < 0 ? rc : forget_bad(journal, said, e);
	if (!strcmp(journal->boot, boot) && undo_owner_alive(host->root, &journal->owner))
		return err_refused(e, "cannot forget %s: process %d is alive and will put it back itself",
			journal->id, journal->owner.pid);
	rc = undo_journal_remove(journal->list, e);
	for (size_t i = journal->list->n; rc == 0 && said && i-- > 0;) {
		const struct undo_entry *entry = &journal->list->entries[i];
		buf_add(said, "gave up %s: set to '%s', before it '%s'\n", entry->object, entry->after,
			entry->before);
	}
	return rc;
}

int undo_forget(const struct undo_host *host, const char *id, struct buf *said, struct err *e)
{
	const struct undo_journal *found = NULL;
	struct undo_journal *journals = NULL;
	size_t n = 0;
	int rc = undo_journals_load(host, &journals, &n, e);

	if (rc < 0)
		return rc;
	for (size_t i = 0; i < n; i++)
		if (!strcmp(journals[i].id, id))
			found = &journals[i];
	rc = found ? forget(host, found, said, e) : unknown_id(id, journals, n, e);
	undo_journals_free(journals, n);
	return rc;
}
