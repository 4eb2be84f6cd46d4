/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Entries: made, described, and carried out with the help of their executor.
 *
 * The three-way rule of revert is here.  What holds our value gets the old one back; what holds the old one
 * needs nothing (we were stopped before the write, or an earlier revert got this far); anything else was set
 * by somebody after us and is theirs.  An object that has gone has nothing to put back.
 *
 * Nothing is written that belongs to a CPU that is offline: a write to the fair server of such a CPU divides
 * by zero in the kernel and ends the machine (seen with Linux 6.12).  So each write is preceded by a look at
 * which CPUs are online at that moment.  A CPU that goes offline between the look and the write cannot be
 * told from user space; the two system calls stand as close together as they can.
 */
#include "private.h"

#include <assert.h>
#include <stdio.h>

static const char *const status_names[] = {
	[TUNE_PLANNED] = "planned",
	[TUNE_EFFECTIVE] = "effective",
	[TUNE_UNCHANGED] = "unchanged",
	[TUNE_SKIPPED] = "skipped",
	[TUNE_FAILED] = "failed",
	[TUNE_CHANGED] = "changed",
	[TUNE_REVERTED] = "reverted",
	[TUNE_LEFT] = "left",
	[TUNE_AWAY] = "gone for now",
};

const char *tune_status_name(enum tune_status status)
{
	return status_names[status];
}

bool tune_status_known(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(status_names); i++)
		if (!strcmp(status_names[i], name))
			return true;
	return false;
}

struct entry *tune_entry_add(
	struct tune_plan *plan, const char *knob, const char *executor, const char *object)
{
	if (plan->n == plan->room) {
		plan->room = plan->room ? plan->room * 2 : 32;
		plan->entries = mem_grow(plan->entries, plan->room, sizeof(*plan->entries));
	}
	struct entry *entry = &plan->entries[plan->n++];
	*entry = (struct entry){.knob = str_dup(knob), .object = str_dup(object), .netns_fd = -1};
	entry->executor = tune_executor(executor);
	assert(entry->executor);
	return entry;
}

static void set_text(char **slot, const char *text)
{
	char *copy = str_dup(text); /* text may be what is there now */

	free(*slot);
	*slot = copy;
}

void tune_entry_values(struct entry *entry, const char *before, const char *after)
{
	set_text(&entry->before, before);
	set_text(&entry->after, after);
}

void tune_entry_stand(struct entry *entry, enum tune_status status, const char *format, ...)
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

bool tune_entry_due(const struct entry *entry, unsigned choice)
{
	return entry->status == TUNE_PLANNED && (entry->choice == 0 || entry->choice == choice);
}

void tune_entry_clear(struct entry *entry)
{
	free(entry->knob);
	free(entry->object);
	free(entry->before);
	free(entry->after);
	free(entry->detail);
	free(entry->reason);
	if (entry->netns_fd >= 0)
		close(entry->netns_fd);
}

void tune_plan_free(struct tune_plan *plan)
{
	if (!plan)
		return;
	for (size_t i = 0; i < plan->n; i++)
		tune_entry_clear(&plan->entries[i]);
	free(plan->entries);
	free(plan->journal);
	free(plan);
}

size_t tune_plan_entries(const struct tune_plan *plan)
{
	return plan->n;
}

json_t *tune_plan_json(const struct tune_plan *plan)
{
	json_t *array = json_array();

	for (size_t i = 0; i < plan->n; i++) {
		const struct entry *entry = &plan->entries[i];
		json_array_append_new(
			array, json_pack("{s:s, s:s, s:s?, s:s?, s:s, s:s?, s:s?}", "id", entry->knob,
				       "object", entry->object, "before", entry->before, "value",
				       entry->after, "status", tune_status_name(entry->status), "reason",
				       entry->reason, "why", knob_why_name(entry->why)));
	}
	return array;
}

static bool is_gone(int rc)
{
	return rc == -ENOENT || rc == -ESRCH || rc == -ENODEV;
}

/* The CPU that an object belongs to; -1: none. */
static int cpu_of(const char *object)
{
	static const char *const folders[] = {
		"/sys/devices/system/cpu/cpu", "/sys/kernel/debug/sched/fair_server/cpu"};
	int cpu;

	for (size_t i = 0; i < ARRAY_LEN(folders); i++)
		if (str_starts(object, folders[i]) && sscanf(object + strlen(folders[i]), "%d/", &cpu) == 1 &&
			cpu >= 0 && cpu < CPU_SETSIZE)
			return cpu;
	return -1;
}

/*
 * The CPUs of which one must be online for `value` to be written: the one that the object belongs to, or
 * those that the value names, because the kernel refuses an interrupt or a task that would have none.
 */
static bool cpus_needed(const struct entry *entry, const char *value, cpus *out)
{
	enum format format = entry->executor->format;
	int cpu = cpu_of(entry->object);

	CPU_ZERO(out);
	if (cpu >= 0)
		CPU_SET((size_t)cpu, out);
	else if (format == FORMAT_MASK && cpus_parse_mask(value, out))
		return false;
	else if (format == FORMAT_LIST && cpus_parse_list(value, out))
		return false;
	return CPU_COUNT(out) > 0;
}

bool tune_entry_away(const struct tune_host *host, struct entry *entry, const char *value)
{
	cpus needed, online, both;
	char list[256];

	if (!cpus_needed(entry, value, &needed))
		return false;
	if (cpus_online(host->root, &online, ERR_IGNORED) < 0)
		CPU_ZERO(&online); /* what cannot be told is not written to */
	CPU_AND(&both, &needed, &online);
	if (CPU_COUNT(&both))
		return false;
	tune_entry_stand(
		entry, TUNE_AWAY, "CPU %s is offline", cpus_format_list(&needed, list, sizeof(list)));
	return true;
}

int tune_entry_apply(const struct tune_host *host, struct entry *entry, struct err *e)
{
	AUTO_FREE char *now = NULL;
	int rc;

	if (tune_entry_away(host, entry, entry->after))
		return 0;
	entry->written = true;
	rc = entry->executor->write(host, entry, entry->after, e);
	if (rc ==
		-ENOEXEC) { /* a command that could not be run: nothing is owed, whatever its undoing says */
		struct err why = ERR_INIT;
		if (tune_entry_revert(host, entry, &why) < 0)
			log_warn("%s", why.text);
		entry->written = false;
	}
	if (rc < 0)
		return rc;
	if (entry->executor->read) {
		rc = entry->executor->read(host, entry, &now, e);
		if (rc < 0)
			return rc;
		if (!tune_same(entry->executor->format, now, entry->after)) {
			tune_entry_stand(entry, TUNE_FAILED, "reads back '%s'", now);
			entry->strays = true;
			return 0;
		}
	}
	tune_entry_stand(entry, TUNE_EFFECTIVE, NULL);
	return 0;
}

int tune_three_way(const struct tune_host *host, struct entry *entry, struct err *e)
{
	AUTO_FREE char *now = NULL;
	enum format format = entry->executor->format;
	int rc = entry->executor->read(host, entry, &now, e);

	if (is_gone(rc)) {
		tune_entry_stand(entry, TUNE_REVERTED, "gone");
		return 0;
	}
	if (rc < 0)
		return rc;
	if (tune_same(format == FORMAT_ATLEAST ? FORMAT_TEXT : format, now, entry->before)) {
		tune_entry_stand(entry, TUNE_UNCHANGED, NULL);
		return 0;
	}
	if (!entry->strays &&
		!tune_same(format == FORMAT_ATLEAST ? FORMAT_TEXT : format, now, entry->after)) {
		tune_entry_stand(entry, TUNE_LEFT,
			"'%s' was set by somebody else (ours was '%s', before it '%s')", now, entry->after,
			entry->before);
		return 0;
	}
	if (tune_entry_away(host, entry, entry->before))
		return 0;
	rc = entry->executor->write(host, entry, entry->before, e);
	if (rc < 0 && !is_gone(rc))
		return rc;
	tune_entry_stand(entry, TUNE_REVERTED, NULL);
	return 0;
}

int tune_entry_revert(const struct tune_host *host, struct entry *entry, struct err *e)
{
	int rc = entry->executor->revert ? entry->executor->revert(host, entry, e)
					 : tune_three_way(host, entry, e);

	if (rc == 0)
		entry->written = entry->status == TUNE_AWAY;
	return rc;
}

static int owe(const struct entry *entry, struct err *e)
{
	err_set(e, EAGAIN, "cannot put back %s to '%s' now: %s", entry->object, entry->before, entry->reason);
	return err_try(e, "bring it online (/sys/devices/system/cpu/cpu*/online), then: taut tune revert");
}

int tune_plan_undo(const struct tune_host *host, struct tune_plan *plan, unsigned choice, struct err *e)
{
	int first = 0;

	for (size_t i = plan->n; i-- > 0;) {
		struct entry *entry = &plan->entries[i];
		struct err why = ERR_INIT;
		if (!entry->written || (choice && entry->choice != choice))
			continue;
		int rc = tune_entry_revert(host, entry, &why);
		if (rc == 0 && !entry->written)
			continue;
		if (rc == 0)
			rc = owe(entry, &why);
		else
			tune_entry_stand(entry, TUNE_FAILED, "%s", why.text);
		log_warn("%s", why.text);
		if (!first && e)
			*e = why;
		first = first ? first : rc;
	}
	return first;
}
