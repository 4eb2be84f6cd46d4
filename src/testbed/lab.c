/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What dead tauts left behind.  Five kinds of things outlive a taut that was killed: processes (found by the
 * mark in their environment), containers (the state of their runtimes), cgroups (by name, in every
 * hierarchy), its folder, and what it was making in the cache.  Network namespaces and links are held by fds
 * alone and have died with it.
 *
 * Each is looked at in this order, for what lives in a cgroup keeps it, and the folder goes last, since it
 * tells who the owner was.  A thing is touched only when its owner, by PID, start time and PID namespace, is
 * dead for certain.
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
	const struct runtime_row *runtime; /* whose containers are being looked at */
	const char *mount;                 /* whose cgroups */
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

static bool process_owner(int root, pid_t pid, struct owner *owner)
{
	char path[64];
	AUTO_FREE char *text = NULL;
	size_t len = 0;

	snprintf(path, sizeof(path), "/proc/%d/environ", pid);
	if (root_read_all(root, path, &text, &len, ERR_IGNORED) < 0)
		return false;
	for (const char *p = text; p < text + len; p += strlen(p) + 1)
		if (str_starts(p, MARK_NAME "="))
			return owner_parse(p + strlen(MARK_NAME "="), owner);
	return false;
}

static int look_at_process(const char *name, void *arg)
{
	AUTO_CLOSE int root = root_open("/", ERR_IGNORED);
	struct sweep *s = arg;
	struct owner owner;
	struct task task = {0};
	struct err e = ERR_INIT;
	pid_t pid = (pid_t)strtol(name, NULL, 10);
	int rc = 0;

	if (!isdigit((unsigned char)name[0]) || pid == getpid())
		return 0;
	if (task_read(root, pid, pid, &task, ERR_IGNORED) < 0 || (task.flags & TASK_KTHREAD) ||
		!process_owner(root, pid, &owner) || owner_alive(&owner))
		return 0;
	AUTO_FREE char *what = str_format("process %d (%s)", pid, task.comm);
	if (s->remove && (rc = process_kill(pid, task.start, time_now_ns() + REMOVE_NS)) < 0)
		err_code(&e, -rc, "cannot kill it");
	sweep_say(s, rc, &e, what);
	return 0;
}

/* --- containers, cgroups, folders -------------------------------------------------------------- */

static bool is_dead(const struct sweep *s, const char *name)
{
	struct owner owner;

	return owner_of_name(s->base, name, &owner) && !owner_alive(&owner);
}

static int look_at_container(const char *id, void *arg)
{
	struct sweep *s = arg;
	struct err e = ERR_INIT;

	if (!str_starts(id, "taut-") || !is_dead(s, id))
		return 0;
	AUTO_FREE char *what = str_format("container %s", id);
	sweep_say(s, s->remove ? s->runtime->remove_left(s->base, id, &e) : 0, &e, what);
	return 0;
}

static int look_at_cgroup(const char *name, void *arg)
{
	struct sweep *s = arg;
	struct err e = ERR_INIT;

	if (!str_starts(name, "taut-") || !is_dead(s, name))
		return 0;
	AUTO_FREE char *path = str_format("%s/%s", s->mount, name);
	AUTO_FREE char *what = str_format("cgroup %s", path);
	sweep_say(s, s->remove ? group_remove(path, true, time_now_ns() + REMOVE_NS, &e) : 0, &e, what);
	return 0;
}

static int look_at_hierarchy(const char *mount, void *arg)
{
	AUTO_CLOSE int root = root_open("/", ERR_IGNORED);
	struct sweep *s = arg;

	s->mount = mount;
	root_each(root, mount, look_at_cgroup, s, ERR_IGNORED);
	return 0;
}

static int look_at_folder(const char *name, void *arg)
{
	struct sweep *s = arg;
	struct err e = ERR_INIT;
	struct place place = {0};

	if (!isdigit((unsigned char)name[0]) || !is_dead(s, name))
		return 0;
	str_copy(place.base, sizeof(place.base), s->base);
	snprintf(place.folder, sizeof(place.folder), "%s/%s", s->base, name);
	AUTO_FREE char *what = str_format("folder %s", place.folder);
	sweep_say(s, s->remove ? place_remove(&place, &e) : 0, &e, what);
	return 0;
}

static int look_at_half(const char *path, void *arg)
{
	struct sweep *s = arg;
	struct err e = ERR_INIT;
	struct stat st;
	int rc = 0;

	if (s->remove && lstat(path, &st) == 0)
		rc = S_ISDIR(st.st_mode) ? tree_remove(path, &e)
		     : unlink(path) < 0  ? err_sys(&e, "cannot remove it")
					 : 0;
	AUTO_FREE char *what = str_format("half made %s", path);
	sweep_say(s, rc, &e, what);
	return 0;
}

static int sweep(struct sweep *s, struct err *e)
{
	AUTO_CLOSE int root = root_open("/", e);
	int rc = root < 0 ? root : root_each(root, "/proc", look_at_process, s, e);

	if (rc < 0)
		return rc;
	place_base(s->base, sizeof(s->base));
	for (size_t i = 0; i < runtime_rows_n; i++) {
		s->runtime = runtime_rows[i];
		if (s->runtime->each_left)
			s->runtime->each_left(s->base, look_at_container, s);
	}
	if ((rc = groups_mounts_each(look_at_hierarchy, s, e)) < 0)
		return rc;
	if (root_exists(root, s->base) && !s->failed)
		root_each(root, s->base, look_at_folder, s, ERR_IGNORED);
	if (s->remove)
		place_base_remove(s->base); /* whose owner was killed between the last folder and this */
	cache_left_each(look_at_half, s);
	if (s->failed) {
		err_set(e, EIO, "cannot remove %d of the things that were left behind", s->failed);
		return is_privileged() ? -EIO : err_try(e, "the same as root");
	}
	return s->found;
}

int lab_leftover(struct buf *said, struct err *e)
{
	struct sweep s = {.said = said};

	return sweep(&s, e);
}

int lab_clean(struct buf *said, struct err *e)
{
	struct sweep s = {.remove = true, .said = said};

	return sweep(&s, e);
}
