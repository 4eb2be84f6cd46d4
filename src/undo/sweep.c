/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What dead tauts left behind, besides changes of what was there before, which the journal holds.  Processes
 * are found by the mark in their environment, cgroups by name in every hierarchy, and owner records in their
 * folder.  Other rooms bring a row for what only they know: the containers of a runtime, half made files of
 * the cache.  Network namespaces and links are held by fds alone and have died with their taut.
 *
 * What lives in a cgroup keeps it, so processes and what rows find by the owner's name (containers) come
 * before cgroups.  Owner records come after these, since they tell who the owner was; rows that judge
 * themselves come last.  A thing is touched only when its owner is dead for certain.
 */
#include "private.h"

#include <ctype.h>
#include <stdio.h>
#include <sys/stat.h>

#define REMOVE_NS (5 * NS_PER_S)

struct sweep {
	bool remove;
	struct buf *said;
	char base[160];
	int found, failed;
	struct undo_host host;            /* the machine as it is, without a journal */
	const struct undo_sweep_row *row; /* whose things are being looked at */
	const char *mount;                /* whose cgroups */
};

/* A line about one thing, and the count; rc is what removing it gave. */
static void sweep_say(struct sweep *s, int rc, const struct err *e, const char *what)
{
	if (!s->remove)
		buf_add(s->said, "%s\n", what);
	else if (rc < 0)
		buf_add(s->said, "%s stays: %s\n", what, e->text);
	else
		buf_add(s->said, "%s removed\n", what);
	if (rc < 0)
		s->failed++;
	else
		s->found++;
}

/* --- processes --------------------------------------------------------------------------------- */

static bool process_owner(int root, pid_t pid, struct undo_owner *owner)
{
	char path[64];
	AUTO_FREE char *text = NULL;
	size_t len = 0;

	snprintf(path, sizeof(path), "/proc/%d/environ", pid);
	if (root_read_all(root, path, &text, &len, ERR_IGNORED) < 0)
		return false;
	for (const char *p = text; p < text + len; p += strlen(p) + 1)
		if (str_starts(p, MARK_NAME "="))
			return undo_owner_parse(p + strlen(MARK_NAME "="), owner);
	return false;
}

static int look_at_process(const char *name, void *arg)
{
	struct sweep *s = arg;
	struct undo_owner owner;
	int root = s->host.root;
	struct task task = {0};
	struct err e = ERR_INIT;
	pid_t pid = (pid_t)strtol(name, NULL, 10);
	int rc = 0;

	if (!isdigit((unsigned char)name[0]) || pid == getpid())
		return 0;
	if (task_read(root, pid, pid, &task, ERR_IGNORED) < 0 || (task.flags & TASK_KTHREAD) ||
		!process_owner(root, pid, &owner) || undo_owner_alive(s->host.root, &owner))
		return 0;
	AUTO_FREE char *what = str_format("process %d (%s)", pid, task.comm);
	if (s->remove && (rc = process_kill(pid, task.start, time_now_ns() + REMOVE_NS)) < 0)
		err_code(&e, -rc, "cannot kill it");
	sweep_say(s, rc, &e, what);
	return 0;
}

/* --- rows of other modules, cgroups, records --------------------------------------------------- */

static bool is_dead(const struct sweep *s, const char *name)
{
	struct undo_owner owner;

	return undo_owner_of_name(s->base, name, &owner) && !undo_owner_alive(s->host.root, &owner);
}

static int look_at_thing(const char *name, void *arg)
{
	struct sweep *s = arg;
	struct err e = ERR_INIT;

	if (s->row->named && (!str_starts(name, "taut-") || !is_dead(s, name)))
		return 0;
	AUTO_FREE char *what = str_format("%s %s", s->row->kind, name);
	sweep_say(s, s->remove ? s->row->remove(s->base, name, &e) : 0, &e, what);
	return 0;
}

static void look_at_rows(struct sweep *s, const struct undo_sweep_row *const *rows, size_t n, bool named)
{
	for (size_t i = 0; i < n; i++) {
		s->row = rows[i];
		if (rows[i]->named == named)
			rows[i]->each(s->base, look_at_thing, s);
	}
}

/* What another user's taut has made is for him to remove. */
static bool is_anothers(const char *path)
{
	struct stat st;

	return !is_privileged() && (lstat(path, &st) < 0 || st.st_uid != geteuid());
}

static int look_at_cgroup(const char *name, void *arg)
{
	struct sweep *s = arg;
	struct err e = ERR_INIT;

	AUTO_FREE char *path = str_format("%s/%s", s->mount, name);
	if (!str_starts(name, "taut-") || is_anothers(path) || !is_dead(s, name))
		return 0;
	AUTO_FREE char *what = str_format("cgroup %s", path);
	sweep_say(s, s->remove ? undo_cgroup_remove(&s->host, path, true, time_now_ns() + REMOVE_NS, &e) : 0,
		&e, what);
	return 0;
}

static int look_at_hierarchy(const char *mount, void *arg)
{
	struct sweep *s = arg;

	s->mount = mount;
	root_each(s->host.root, mount, look_at_cgroup, s, ERR_IGNORED);
	return 0;
}

static int look_at_folder(const char *name, void *arg)
{
	struct sweep *s = arg;
	struct err e = ERR_INIT;
	struct undo_record record = {0};

	if (!isdigit((unsigned char)name[0]) || !is_dead(s, name))
		return 0;
	str_copy(record.base, sizeof(record.base), s->base);
	snprintf(record.folder, sizeof(record.folder), "%s/%s", s->base, name);
	AUTO_FREE char *what = str_format("folder %s", record.folder);
	sweep_say(s, s->remove ? undo_record_remove(&record, &e) : 0, &e, what);
	return 0;
}

static int sweep(struct sweep *s, const struct undo_sweep_row *const *rows, size_t n, struct err *e)
{
	AUTO_CLOSE int root = root_open("/", e);
	int rc;

	s->host = UNDO_HOST_NONE;
	s->host.root = root;
	s->host.calls = &undo_real_calls;
	rc = root < 0 ? root : root_each(root, "/proc", look_at_process, s, e);
	if (rc < 0)
		return rc;
	undo_base(s->base, sizeof(s->base));
	look_at_rows(s, rows, n, true);
	if ((rc = undo_cgroup_mounts_each(&s->host, look_at_hierarchy, s, e)) < 0)
		return rc;
	if (root_exists(root, s->base) && !s->failed)
		root_each(root, s->base, look_at_folder, s, ERR_IGNORED);
	if (s->remove)
		undo_base_remove(s->base); /* whose owner was killed between the last folder and this */
	look_at_rows(s, rows, n, false);
	if (s->failed) {
		err_set(e, EIO, "cannot remove %d of the things that were left behind", s->failed);
		return is_privileged() ? -EIO : err_try(e, "the same as root");
	}
	return s->found;
}

int undo_sweep_look(const struct undo_sweep_row *const *rows, size_t n, struct buf *said, struct err *e)
{
	struct sweep s = {.said = said};

	return sweep(&s, rows, n, e);
}

int undo_sweep(const struct undo_sweep_row *const *rows, size_t n, struct buf *said, struct err *e)
{
	struct sweep s = {.remove = true, .said = said};

	return sweep(&s, rows, n, e);
}
