/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The journal: what must be undone, on disk before it is done.
 *
 * One file a list, STATE/journal-PID-N.json, written whole and synced before the first write and removed
 * after the last one of the revert.  It names its owner by PID and start time and the boot it belongs to:
 * after a reboot the kernel has forgotten everything that stands in it. Whoever finds one whose owner is dead
 * undoes it from the entries alone.  Which of them had been written nobody knows, and the three-way rule does
 * not need to.
 *
 * A journal makes root run commands and write files, so one that somebody else could have written is refused.
 * It is opened once, and what was opened is looked at and read.  Of several journals each stands for itself:
 * one that cannot be read hides none of the others.  An entry of which no row is known here (a newer taut
 * wrote it) is kept as it is, and the entries beside it are undone.
 */
#include "private.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>

#define SCHEMA "taut.journal/1"

#define PREFIX    "journal-"
#define SUFFIX    ".json"
#define NO_CHOICE UINT_MAX

static void dir_close(DIR **dir)
{
	if (*dir)
		closedir(*dir);
}

static bool journal_named(const char *name, const char *ending)
{
	return str_starts(name, PREFIX) && str_ends(name, ending) && strlen(name) > strlen(PREFIX SUFFIX);
}

/* The highest number that a journal of this process has; 0: there is none. */
static uint64_t last_sequence(const struct undo_host *host)
{
	AUTO(dir_close) DIR *dir = opendir(host->state);
	unsigned long long number, last = 0;
	int pid;

	for (struct dirent *entry; dir && (entry = readdir(dir));)
		if (sscanf(entry->d_name, PREFIX "%d-%llu" SUFFIX, &pid, &number) == 2 && pid == getpid() &&
			number > last)
			last = number;
	return last;
}

/* What has been written, and what will be with this choice.  NULL when something in it cannot be written
 * down. */
static json_t *entries_json(const struct undo_list *list, unsigned choice)
{
	json_t *array = json_array();
	char away[4096];

	for (size_t i = 0; i < list->n; i++) {
		const struct undo_entry *entry = &list->entries[i];
		if (!entry->written && (choice == NO_CHOICE || !undo_entry_due(entry, choice)))
			continue;
		cpus_format_list(&entry->away, away, sizeof(away));
		json_t *one = json_pack("{s:s, s:s, s:s, s:s?, s:s?, s:s?, s:s*}", "knob", entry->knob,
			"executor", entry->row ? entry->row->name : entry->row_name, "object", entry->object,
			"before", entry->before, "after", entry->after, "detail", entry->detail, "away",
			*away ? away : NULL);
		if (json_array_append_new(array, one) < 0) { /* not UTF-8 */
			json_decref(array);
			return NULL;
		}
	}
	return array;
}

int undo_journal_begin(const struct undo_host *host, struct undo_list *list, unsigned choice, struct err *e)
{
	list->sequence = last_sequence(host) + 1;
	free(list->journal);
	list->journal = str_format(
		"%s/" PREFIX "%d-%llu" SUFFIX, host->state, getpid(), (unsigned long long)list->sequence);
	int rc = undo_journal_write(host, list, choice, e);
	if (rc < 0)
		free(steal_ptr(&list->journal));
	return rc;
}

int undo_journal_write(
	const struct undo_host *host, const struct undo_list *list, unsigned choice, struct err *e)
{
	struct undo_owner self;
	char boot[40];
	int rc = boot_id(host->root, boot, e);

	if (rc < 0)
		return rc;
	undo_owner_self(host->root, &self);
	if (!self.start)
		return err_set(e, ESRCH, "cannot write the journal %s: when this process began is unknown",
			list->journal);
	json_t *record = json_pack("{s:s, s:s, s:i, s:I, s:I, s:I, s:o}", "schema", SCHEMA, "boot", boot,
		"pid", self.pid, "start", (json_int_t)self.start, "pidns", (json_int_t)self.pidns, "sequence",
		(json_int_t)list->sequence, "entries", entries_json(list, choice));
	AUTO_FREE char *text = record ? json_dumps(record, JSON_INDENT(1)) : NULL;
	json_decref(record);
	if (!text)
		return err_set(e, EINVAL, "cannot write the journal %s: a path or value is not UTF-8",
			list->journal);
	return file_write_synced(list->journal, text, strlen(text), 0600, e);
}

/* Where that fails the whole stays: what is back already will be found so. */
void undo_journal_shrink(const struct undo_list *list)
{
	json_t *record = json_load_file(list->journal, JSON_REJECT_DUPLICATES, NULL);

	json_object_set_new(record, "entries", entries_json(list, NO_CHOICE));
	AUTO_FREE char *text = record ? json_dumps(record, JSON_INDENT(1)) : NULL;
	json_decref(record);
	if (text)
		file_write_synced(list->journal, text, strlen(text), 0600, ERR_IGNORED);
}

/* Not synced: should the removal be lost with the power, the boot id tells. */
int undo_journal_remove(struct undo_list *list, struct err *e)
{
	if (list->journal && unlink(list->journal) < 0 && errno != ENOENT)
		return err_sys(e, "cannot remove the journal %s", list->journal);
	free(steal_ptr(&list->journal));
	return 0;
}

/* --- reading ----------------------------------------------------------------------------------- */

static const char *text_of(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key));
}

static int take_entry(
	const struct undo_host *host, struct undo_list *list, const json_t *object, struct err *e)
{
	const char *knob = text_of(object, "knob"), *row = text_of(object, "executor");
	const char *target = text_of(object, "object"), *before = text_of(object, "before");
	const char *after = text_of(object, "after"), *away = text_of(object, "away");

	if (!knob || !row || !target || !before || !after)
		return err_set(e, EPROTO, "an entry is not complete");
	struct undo_entry *entry = undo_entry_new(list, knob, target);
	entry->row = undo_row_find(host, row);
	if (!entry->row)
		entry->row_name = str_dup(row);
	undo_entry_values(entry, before, after);
	entry->detail = str_dup(text_of(object, "detail"));
	if (away && cpus_parse_list(away, &entry->away))
		return err_set(e, EPROTO, "'%s' is no list of CPUs", away);
	entry->status = UNDO_JOURNALLED;
	entry->written = true;
	return 0;
}

/* The document, of a plain file that only we or root can write. */
static int read_document(int folder, const char *name, json_t **out, struct err *e)
{
	AUTO_CLOSE int fd = openat(folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	json_error_t why;
	struct stat st;

	if (fd < 0 && errno != ELOOP)
		return err_sys(e, "cannot open it");
	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) ||
		(st.st_uid != geteuid() && st.st_uid != 0) || (st.st_mode & 022))
		return err_refused(e, "somebody else may have written it");
	*out = json_loadfd(fd, JSON_REJECT_DUPLICATES, &why);
	return *out ? 0 : err_set(e, EPROTO, "line %d: %s", why.line, why.text);
}

static int take_document(
	const struct undo_host *host, json_t *record, struct undo_journal *out, struct err *e)
{
	json_int_t start, sequence, pidns = 0; /* older journals have no PID namespace */
	const char *schema, *boot;
	json_t *entries, *entry;
	json_error_t why;
	size_t i;
	int pid, rc = 0;

	if (json_unpack_ex(record, &why, 0, "{s:s, s:s, s:i, s:I, s?I, s:I, s:o}", "schema", &schema, "boot",
		    &boot, "pid", &pid, "start", &start, "pidns", &pidns, "sequence", &sequence, "entries",
		    &entries) < 0)
		return err_set(e, EPROTO, "%s", why.text);
	if (strcmp(schema, SCHEMA) || str_copy(out->boot, sizeof(out->boot), boot) || !json_is_array(entries))
		return err_set(e, EPROTO, "it is not a %s", SCHEMA);
	out->owner = (struct undo_owner){pid, (uint64_t)start, (uint64_t)pidns};
	out->sequence = (uint64_t)sequence;
	out->list = mem_alloc(sizeof(*out->list));
	json_array_foreach (entries, i, entry)
		if (rc == 0)
			rc = take_entry(host, out->list, entry, e);
	return rc;
}

/* One that cannot be read has no list, and says why. */
static void load_one(const struct undo_host *host, int folder, const char *name, struct undo_journal *out)
{
	const char *id = name + strlen(PREFIX);
	struct err *e = &out->bad;
	json_t *record = NULL;

	*out = (struct undo_journal){.path = str_format("%s/%s", host->state, name)};
	snprintf(out->id, sizeof(out->id), "%.*s", (int)(strlen(id) - strlen(SUFFIX)), id);
	str_printable(out->id);
	int rc = read_document(folder, name, &record, e);
	if (rc == 0)
		rc = take_document(host, record, out, e);
	json_decref(record);
	if (rc == 0) {
		out->list->journal = str_dup(out->path);
		out->list->sequence = out->sequence;
		return;
	}
	err_wrap(e, "cannot read the journal %s", out->path);
	undo_list_free(steal_ptr(&out->list));
}

static int newest_first(const void *a, const void *b)
{
	const struct undo_journal *x = a, *y = b;

	if (x->owner.pid != y->owner.pid)
		return x->owner.pid < y->owner.pid ? -1 : 1;
	return x->sequence > y->sequence ? -1 : x->sequence < y->sequence;
}

void undo_journals_free(struct undo_journal *journals, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		free(journals[i].path);
		undo_list_free(journals[i].list);
	}
	free(journals);
}

void undo_journals_sweep(const struct undo_host *host)
{
	AUTO(dir_close) DIR *dir = opendir(host->state);
	uint64_t start;

	for (struct dirent *entry; dir && (entry = readdir(dir));) {
		long pid = strtol(entry->d_name + MIN(strlen(entry->d_name), strlen(PREFIX)), NULL, 10);
		if (journal_named(entry->d_name, SUFFIX ".new") && pid > 0 && pid <= INT_MAX &&
			(pid == getpid() || task_start_time(host->root, (pid_t)pid, &start, ERR_IGNORED) < 0))
			unlinkat(dirfd(dir), entry->d_name, 0);
	}
}

int undo_journals_load(const struct undo_host *host, struct undo_journal **out, size_t *n, struct err *e)
{
	AUTO(dir_close) DIR *dir = opendir(host->state);
	struct undo_journal *journals = NULL;
	size_t count = 0;

	if (!dir && errno != ENOENT)
		return err_sys(e, "cannot list %s", host->state);
	for (struct dirent *entry; dir && (entry = readdir(dir));) {
		if (!journal_named(entry->d_name, SUFFIX))
			continue;
		journals = mem_grow(journals, count + 1, sizeof(*journals));
		load_one(host, dirfd(dir), entry->d_name, &journals[count++]);
	}
	if (count)
		qsort(journals, count, sizeof(*journals), newest_first);
	*out = journals;
	*n = count;
	return 0;
}
