/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Entries: made, described, and carried out with the help of their executor.
 *
 * The three-way rule of revert is here.  What holds our value gets the old one back; what holds the old one
 * needs nothing (we were stopped before the write, or an earlier revert got this far); anything else was set
 * by somebody after us and is theirs.  An object that has gone has nothing to put back.
 *
 * The cpuset of a cgroup in which something lives cannot be emptied (ENOSPC).  When a dead taut left that
 * cgroup, its value is of no more concern: the sweep removes the cgroup.
 *
 * Nothing is written that belongs to a CPU that is offline, and what the kernel changed because one went
 * offline counts as our value: see away.c.
 */
#include "private.h"

#include <assert.h>
#include <stdio.h>

static const char *const status_names[] = {
	[UNDO_PLANNED] = "planned",
	[UNDO_EFFECTIVE] = "effective",
	[UNDO_UNCHANGED] = "unchanged",
	[UNDO_SKIPPED] = "skipped",
	[UNDO_FAILED] = "failed",
	[UNDO_CHANGED] = "changed",
	[UNDO_DISPLACED] = "displaced",
	[UNDO_AWAY] = "gone for now",
	[UNDO_JOURNALLED] = "journalled",
	[UNDO_REVERTED] = "reverted",
	[UNDO_GONE] = "gone",
	[UNDO_AS_BEFORE] = "as before",
	[UNDO_LEFT] = "left",
	[UNDO_STUCK] = "not put back",
};

const char *undo_status_name(enum undo_status status)
{
	return status_names[status];
}

bool undo_status_known(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(status_names); i++)
		if (!strcmp(status_names[i], name))
			return true;
	return false;
}

struct undo_entry *undo_entry_new(struct undo_list *list, const char *knob, const char *object)
{
	if (list->n == list->room) {
		list->room = list->room ? list->room * 2 : 32;
		list->entries = mem_grow(list->entries, list->room, sizeof(*list->entries));
	}
	struct undo_entry *entry = &list->entries[list->n++];
	*entry = (struct undo_entry){.knob = str_dup(knob), .object = str_dup(object), .netns_fd = -1};
	return entry;
}

struct undo_entry *undo_entry_add(const struct undo_host *host, struct undo_list *list, const char *knob,
	const char *row, const char *object)
{
	struct undo_entry *entry = undo_entry_new(list, knob, object);

	entry->row = undo_row_find(host, row);
	assert(entry->row);
	return entry;
}

static void set_text(char **slot, const char *text)
{
	char *copy = str_dup(text); /* text may be what is there now */

	free(*slot);
	*slot = copy;
}

void undo_entry_values(struct undo_entry *entry, const char *before, const char *after)
{
	set_text(&entry->before, before);
	set_text(&entry->after, after);
}

void undo_entry_stand(struct undo_entry *entry, enum undo_status status, const char *format, ...)
{
	AUTO_FREE char *text = NULL;
	va_list args;

	entry->status = status;
	entry->why = KNOB_WHY_NONE;
	if (format) {
		va_start(args, format);
		if (vasprintf(&text, format, args) < 0)
			text = NULL;
		va_end(args);
	}
	set_text(&entry->reason, text);
}

bool undo_entry_due(const struct undo_entry *entry, unsigned choice)
{
	return entry->status == UNDO_PLANNED && (entry->choice == 0 || entry->choice == choice);
}

void undo_entry_clear(struct undo_entry *entry)
{
	free(entry->row_name);
	free(entry->knob);
	free(entry->object);
	free(entry->before);
	free(entry->after);
	free(entry->detail);
	free(entry->reason);
	if (entry->netns_fd >= 0)
		close(entry->netns_fd);
}

void undo_list_free(struct undo_list *list)
{
	if (!list)
		return;
	for (size_t i = 0; i < list->n; i++)
		undo_entry_clear(&list->entries[i]);
	free(list->entries);
	free(list->journal);
	free(list);
}

json_t *undo_list_json(const struct undo_list *list)
{
	json_t *array = json_array();

	for (size_t i = 0; i < list->n; i++) {
		const struct undo_entry *entry = &list->entries[i];
		json_array_append_new(
			array, json_pack("{s:s, s:s, s:s?, s:s?, s:s, s:s?, s:s?}", "id", entry->knob,
				       "object", entry->object, "before", entry->before, "value",
				       entry->after, "status", undo_status_name(entry->status), "reason",
				       entry->reason, "why", knob_why_name(entry->why)));
	}
	return array;
}

static bool is_gone(int rc)
{
	return rc == -ENOENT || rc == -ESRCH || rc == -ENODEV;
}

int undo_entry_apply(const struct undo_host *host, struct undo_entry *entry, struct err *e)
{
	AUTO_FREE char *now = NULL;
	int rc;

	if (undo_entry_away(host, entry, entry->after))
		return 0;
	entry->written = true;
	rc = entry->row->write(host, entry, entry->after, e);
	if (rc ==
		-ENOEXEC) { /* a command that could not be run: nothing is owed, whatever its undoing says */
		struct err why = ERR_INIT;
		if (undo_entry_revert(host, entry, &why) < 0)
			log_warn("%s", why.text);
		entry->written = false;
	}
	if (rc < 0)
		return rc;
	if (entry->row->read) {
		rc = entry->row->read(host, entry, &now, e);
		if (rc < 0)
			return rc;
		if (!undo_same(entry->row->format, now, entry->after)) {
			undo_entry_stand(entry, UNDO_FAILED, "reads back '%s'", now);
			entry->strays = true;
			return 0;
		}
	}
	undo_entry_stand(entry, UNDO_EFFECTIVE, NULL);
	return 0;
}

int undo_three_way(const struct undo_host *host, struct undo_entry *entry, struct err *e)
{
	AUTO_FREE char *now = NULL;
	enum undo_format exactly = entry->row->format == FORMAT_ATLEAST ? FORMAT_TEXT : entry->row->format;
	int rc = entry->row->read(host, entry, &now, e);

	if (is_gone(rc)) {
		if (!undo_entry_unplugged(host, entry))
			undo_entry_stand(entry, UNDO_GONE, NULL);
		*e = ERR_INIT;
		return 0;
	}
	if (rc < 0)
		return rc;
	undo_entry_look(host, entry);
	if (undo_same(exactly, now, entry->before)) {
		undo_entry_stand(entry, UNDO_AS_BEFORE, NULL);
		return 0;
	}
	if (!entry->strays && !undo_same(exactly, now, entry->after) && !undo_displaced(host, entry, now)) {
		undo_entry_stand(entry, UNDO_LEFT,
			"'%s' was set by somebody else (ours was '%s', before it '%s')", now, entry->after,
			entry->before);
		return 0;
	}
	if (undo_entry_away(host, entry, entry->before))
		return 0;
	rc = entry->row->write(host, entry, entry->before, e);
	if (rc == -ENOSPC && undo_cgroup_left(host, entry->object)) {
		*e = ERR_INIT;
		undo_entry_stand(entry, UNDO_GONE, "it goes with the cgroup of the taut that was killed");
		return 0;
	}
	if (rc < 0 && !is_gone(rc))
		return rc;
	undo_entry_stand(entry, rc < 0 ? UNDO_GONE : UNDO_REVERTED, NULL);
	return 0;
}

int undo_entry_revert(const struct undo_host *host, struct undo_entry *entry, struct err *e)
{
	if (!entry->row)
		return err_set(e, ENOSYS, "cannot put back %s to '%s': nobody here knows '%s'", entry->object,
			entry->before, entry->row_name);
	int rc = entry->row->revert ? entry->row->revert(host, entry, e) : undo_three_way(host, entry, e);

	if (rc == 0)
		entry->written = entry->status == UNDO_AWAY;
	return rc;
}

static int owe(const struct undo_entry *entry, struct err *e)
{
	err_set(e, EAGAIN, "cannot put back %s to '%.200s%s' now: %s", entry->object, entry->before,
		strlen(entry->before) > 200 ? "…" : "", entry->reason);
	return err_try(e,
		"bring it back (a CPU by /sys/devices/system/cpu/cpu*/online, a device by plugging it "
		"in), then: taut tune revert");
}

int undo_list_undo(const struct undo_host *host, struct undo_list *list, unsigned choice, struct err *e)
{
	int first = 0;

	for (size_t i = list->n; i-- > 0;) {
		struct undo_entry *entry = &list->entries[i];
		struct err why = ERR_INIT;
		if (!entry->written || (choice && entry->choice != choice))
			continue;
		int rc = undo_entry_revert(host, entry, &why);
		if (rc == 0 && !entry->written)
			continue;
		if (rc == 0)
			rc = owe(entry, &why);
		else
			undo_entry_stand(entry, UNDO_STUCK, "%s", why.text);
		log_warn("%s", why.text);
		if (!first)
			*e = why;
		first = first ? first : rc;
	}
	return first;
}
