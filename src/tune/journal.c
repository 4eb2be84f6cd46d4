/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The journal: what must be undone, on disk before it is done.
 *
 * One file a plan, STATE/journal-PID-N.json, written whole and synced before the first write and removed
 * after the last one of the revert.  It names its owner by PID and start time and the boot it belongs to:
 * after a reboot the kernel has forgotten everything that stands in it. Whoever finds one whose owner is dead
 * undoes it from the entries alone.  Which of them had been written nobody knows, and the three-way rule does
 * not need to.
 *
 * A journal makes root run commands and write files, so one that somebody else could have written is refused.
 */
#include "private.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>

#define SCHEMA "taut.journal/1"

char *tune_journal_path(const struct tune_host *host, pid_t pid, uint64_t sequence)
{
	return str_format("%s/journal-%d-%llu.json", host->state, pid, (unsigned long long)sequence);
}

#define NO_CHOICE UINT_MAX

/* What has been written, and what will be with this choice.  NULL when something in it cannot be written
 * down. */
static json_t *entries_json(const struct tune_plan *plan, unsigned choice)
{
	json_t *array = json_array();

	for (size_t i = 0; i < plan->n; i++) {
		const struct entry *entry = &plan->entries[i];
		if (!entry->written && (choice == NO_CHOICE || !tune_entry_due(entry, choice)))
			continue;
		json_t *one = json_pack("{s:s, s:s, s:s, s:s?, s:s?, s:s?}", "knob", entry->knob, "executor",
			entry->executor->name, "object", entry->object, "before", entry->before, "after",
			entry->after, "detail", entry->detail);
		if (json_array_append_new(array, one) < 0) { /* not UTF-8 */
			json_decref(array);
			return NULL;
		}
	}
	return array;
}

int tune_journal_write(const struct tune_host *host, const struct tune_plan *plan, uint64_t sequence,
	unsigned choice, struct err *e)
{
	char boot[40];
	uint64_t start;
	int rc;

	if ((rc = boot_id(host->root, boot, e)) < 0 ||
		(rc = task_start_time(host->root, getpid(), &start, e)) < 0)
		return rc;
	json_t *record = json_pack("{s:s, s:s, s:i, s:I, s:I, s:o}", "schema", SCHEMA, "boot", boot, "pid",
		getpid(), "start", (json_int_t)start, "sequence", (json_int_t)sequence, "entries",
		entries_json(plan, choice));
	AUTO_FREE char *text = record ? json_dumps(record, JSON_INDENT(1)) : NULL;
	json_decref(record);
	if (!text)
		return err_set(e, EINVAL, "cannot write the journal %s: a path or value is not UTF-8",
			plan->journal);
	return file_write_synced(plan->journal, text, strlen(text), 0600, e);
}

/* Where that fails the whole stays: what is back already will be found so. */
void tune_journal_shrink(const struct tune_plan *plan)
{
	json_t *record = json_load_file(plan->journal, JSON_REJECT_DUPLICATES, NULL);

	json_object_set_new(record, "entries", entries_json(plan, NO_CHOICE));
	AUTO_FREE char *text = record ? json_dumps(record, JSON_INDENT(1)) : NULL;
	json_decref(record);
	if (text)
		file_write_synced(plan->journal, text, strlen(text), 0600, ERR_IGNORED);
}

/* Not synced: should the removal be lost with the power, the boot id tells. */
int tune_journal_remove(struct tune_plan *plan, struct err *e)
{
	if (plan->journal && unlink(plan->journal) < 0 && errno != ENOENT)
		return err_sys(e, "cannot remove the journal %s", plan->journal);
	free(steal_ptr(&plan->journal));
	return 0;
}

/* --- reading ----------------------------------------------------------------------------------- */

static const char *text_of(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key));
}

static int take_entry(struct tune_plan *plan, const json_t *object, const char *path, struct err *e)
{
	const char *knob = text_of(object, "knob"), *executor = text_of(object, "executor");
	const char *target = text_of(object, "object"), *before = text_of(object, "before");
	const char *after = text_of(object, "after");

	if (!knob || !executor || !target || !before || !after)
		return err_set(e, EPROTO, "cannot read the journal %s: an entry is not complete", path);
	if (!tune_executor(executor))
		return err_set(
			e, EPROTO, "cannot undo the journal %s: nobody here knows '%s'", path, executor);
	struct entry *entry = tune_entry_add(plan, knob, executor, target);
	tune_entry_values(entry, before, after);
	entry->detail = str_dup(text_of(object, "detail"));
	entry->status = TUNE_PLANNED; /* how far it got nobody knows */
	entry->written = true;
	return 0;
}

static int check_owner(const char *path, struct err *e)
{
	struct stat st;

	if (lstat(path, &st) < 0)
		return err_sys(e, "cannot read the journal %s", path);
	if (!S_ISREG(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 022))
		return err_refused(e, "cannot trust the journal %s: somebody else may have written it", path);
	return 0;
}

static int load_one(const char *path, struct journal *out, struct err *e)
{
	struct journal made = {0};
	json_error_t why;
	json_int_t start, sequence;
	const char *schema, *boot;
	json_t *entries, *entry;
	size_t i;
	int rc = check_owner(path, e);

	if (rc < 0)
		return rc;
	json_t *record = json_load_file(path, JSON_REJECT_DUPLICATES, &why);
	if (!record)
		return err_set(
			e, EPROTO, "cannot read the journal %s: line %d: %s", path, why.line, why.text);
	if (json_unpack_ex(record, &why, 0, "{s:s, s:s, s:i, s:I, s:I, s:o}", "schema", &schema, "boot",
		    &boot, "pid", &made.pid, "start", &start, "sequence", &sequence, "entries", &entries) < 0)
		rc = err_set(e, EPROTO, "cannot read the journal %s: %s", path, why.text);
	else if (strcmp(schema, SCHEMA) || str_copy(made.boot, sizeof(made.boot), boot) ||
		 !json_is_array(entries))
		rc = err_set(e, EPROTO, "cannot read the journal %s: it is not a %s", path, SCHEMA);
	if (rc == 0) {
		made.start = (uint64_t)start;
		made.sequence = (uint64_t)sequence;
		made.plan = mem_alloc(sizeof(*made.plan));
		json_array_foreach (entries, i, entry)
			if (rc == 0)
				rc = take_entry(made.plan, entry, path, e);
	}
	json_decref(record);
	if (rc < 0) {
		tune_plan_free(made.plan);
		return err_try(e, "read it, put back by hand what it names, and remove it");
	}
	snprintf(made.id, sizeof(made.id), "%d-%llu", made.pid, (unsigned long long)made.sequence);
	made.path = str_dup(path);
	made.plan->journal = str_dup(path);
	*out = made;
	return 0;
}

static int newest_first(const void *a, const void *b)
{
	const struct journal *x = a, *y = b;

	if (x->pid != y->pid)
		return x->pid < y->pid ? -1 : 1;
	return x->sequence > y->sequence ? -1 : x->sequence < y->sequence;
}

void tune_journals_free(struct journal *journals, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		free(journals[i].path);
		tune_plan_free(journals[i].plan);
	}
	free(journals);
}

static void dir_close(DIR **dir)
{
	if (*dir)
		closedir(*dir);
}

static bool journal_named(const char *name, const char *ending)
{
	return str_starts(name, "journal-") && str_ends(name, ending);
}

void tune_journals_sweep(const struct tune_host *host)
{
	AUTO(dir_close) DIR *dir = opendir(host->state);
	uint64_t start;

	for (struct dirent *entry; dir && (entry = readdir(dir));) {
		long pid = strtol(entry->d_name + MIN(strlen(entry->d_name), strlen("journal-")), NULL, 10);
		if (journal_named(entry->d_name, ".json.new") && pid > 0 && pid <= INT_MAX &&
			task_start_time(host->root, (pid_t)pid, &start, ERR_IGNORED) < 0)
			unlinkat(dirfd(dir), entry->d_name, 0);
	}
}

int tune_journals_load(const struct tune_host *host, struct journal **out, size_t *n, struct err *e)
{
	AUTO(dir_close) DIR *dir = opendir(host->state);
	struct journal *journals = NULL;
	size_t count = 0;
	int rc = 0;

	if (!dir && errno != ENOENT)
		return err_sys(e, "cannot list %s", host->state);
	for (struct dirent *entry; rc == 0 && dir && (entry = readdir(dir));) {
		if (!journal_named(entry->d_name, ".json"))
			continue;
		AUTO_FREE char *path = str_format("%s/%s", host->state, entry->d_name);
		journals = mem_grow(journals, count + 1, sizeof(*journals));
		rc = load_one(path, &journals[count], e);
		count += rc == 0;
	}
	if (rc < 0) {
		tune_journals_free(journals, count);
		return rc;
	}
	if (count)
		qsort(journals, count, sizeof(*journals), newest_first);
	*out = journals;
	*n = count;
	return 0;
}
