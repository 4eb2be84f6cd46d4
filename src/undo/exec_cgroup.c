/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A cgroup of our own, and how it is emptied; the controllers that a cgroup (v2) hands on.
 *
 * cgroup-dir: the object is its path, the value "absent" or the settings it is made with ("cpuset.cpus=0
 * cpuset.mems=0"; "present" without any).  What is forked by tasks that are in it is born there, so undoing
 * goes by no list: whatever is inside is moved to the parent.  That makes undoing safe at any moment, and
 * again.
 *
 * A task can fork between being read and being moved, so emptying repeats until nothing is left.  A task that
 * is ending cannot be moved any more and stays until it has given back its memory, which takes a large one a
 * while; nothing announces that in a cgroup v1, so it is looked for now and then, up to a deadline.
 */
#include "private.h"

#include <poll.h>
#include <stdio.h>

#define PRESENT      "present"
#define EMPTY_NS     (10 * NS_PER_S)
#define ROUNDS_EAGER 10 /* without a pause between them */
#define ROUNDS_BUSY  200
#define PAUSE_MS     5

static int by_number(const void *a, const void *b)
{
	pid_t x = *(const pid_t *)a, y = *(const pid_t *)b;

	return x < y ? -1 : x > y;
}

/* In v2 tasks move with their whole process. */
static const char *members_file(const struct undo_host *host)
{
	return host->cgroups.version == CGROUP_V2 ? "cgroup.procs" : "tasks";
}

int undo_cgroup_tids(const struct undo_host *host, const char *dir, pid_t **out, size_t *n, struct err *e)
{
	AUTO_FREE char *path = str_format("%s/%s", dir, members_file(host));
	AUTO_FREE char *text = NULL;
	size_t count = 0, room = 0;
	pid_t *tids = NULL;
	int rc = root_read_all(host->root, path, &text, NULL, e);

	if (rc < 0)
		return rc;
	for (char *save = NULL, *line = strtok_r(text, "\n", &save); line;
		line = strtok_r(NULL, "\n", &save)) {
		if (count == room)
			tids = mem_grow(tids, room = room ? room * 2 : 128, sizeof(*tids));
		tids[count++] = atoi(line);
	}
	if (count)
		qsort(tids, count, sizeof(*tids), by_number);
	*out = tids;
	*n = count;
	return 0;
}

bool undo_tid_in(const pid_t *tids, size_t n, pid_t tid)
{
	return n && bsearch(&tid, tids, n, sizeof(*tids), by_number);
}

int undo_cgroup_move(const struct undo_host *host, const char *dir, pid_t tid)
{
	char path[512], number[16];

	snprintf(path, sizeof(path), "%s/%s", dir, members_file(host));
	snprintf(number, sizeof(number), "%d", tid);
	return host->calls->write_file(host->calls_arg, host->root, path, number);
}

int undo_cgroup_drain(const struct undo_host *host, const char *from, const char *to, struct err *e)
{
	uint64_t deadline = time_now_ns() + EMPTY_NS;
	int moved = 0, rc;

	for (int round = 0; time_now_ns() < deadline; round++) {
		AUTO_FREE pid_t *tids = NULL;
		size_t n;
		if (round >= ROUNDS_EAGER)
			poll(NULL, 0, PAUSE_MS);
		rc = undo_cgroup_tids(host, from, &tids, &n, e);
		if (rc == -ENOENT || (rc == 0 && n == 0))
			return moved;
		if (rc < 0)
			return rc;
		for (size_t i = 0; i < n; i++) {
			rc = undo_cgroup_move(host, to, tids[i]);
			if (rc < 0 && rc != -ESRCH)
				return err_code(
					e, -rc, "cannot move task %d from %s to %s", tids[i], from, to);
			moved += rc == 0;
		}
	}
	return err_code(e, EBUSY, "cannot empty %s", from);
}

/* --- cgroup-dir -------------------------------------------------------------------------------- */

/* Calls fn with every "file=value" of the settings. */
static int each_setting(
	const char *settings, int (*fn)(const char *file, const char *value, void *arg), void *arg)
{
	AUTO_FREE char *text = str_dup(strcmp(settings, PRESENT) ? settings : "");

	for (char *save = NULL, *word = strtok_r(text, " ", &save); word; word = strtok_r(NULL, " ", &save)) {
		char *equals = strchr(word, '=');
		if (!equals)
			return -EINVAL;
		*equals = 0;
		int rc = fn(word, equals + 1, arg);
		if (rc < 0)
			return rc;
	}
	return 0;
}

struct group {
	const struct undo_host *host;
	const struct undo_entry *entry;
	struct buf text;
	struct err *e;
};

static int read_setting(const char *file, const char *value, void *arg)
{
	struct group *group = arg;
	char path[512], now[1024];

	(void)value;
	snprintf(path, sizeof(path), "%s/%s", group->entry->object, file);
	int rc = root_read(group->host->root, path, now, sizeof(now), group->e);
	if (rc >= 0)
		buf_add(&group->text, "%s%s=%s", group->text.len ? " " : "", file, now);
	return rc < 0 ? rc : 0;
}

int undo_group_read(const struct undo_host *host, const struct undo_entry *entry, char **out, struct err *e)
{
	struct group group = {.host = host, .entry = entry, .e = e};

	if (!root_exists(host->root, entry->object)) {
		*out = str_dup("absent");
		return 0;
	}
	int rc = each_setting(entry->after ? entry->after : "", read_setting, &group);
	if (rc == 0)
		*out = group.text.data ? steal_ptr(&group.text.data) : str_dup(PRESENT);
	buf_free(&group.text);
	return rc;
}

static int write_setting(const char *file, const char *value, void *arg)
{
	struct group *group = arg;
	char path[512];

	snprintf(path, sizeof(path), "%s/%s", group->entry->object, file);
	int rc = group->host->calls->write_file(group->host->calls_arg, group->host->root, path, value);
	return rc < 0 ? err_code(group->e, -rc, "cannot write '%s' to %s", value, path) : 0;
}

int undo_group_write(
	const struct undo_host *host, const struct undo_entry *entry, const char *value, struct err *e)
{
	struct group group = {.host = host, .entry = entry, .e = e};
	int rc = host->calls->make_dir(host->calls_arg, host->root, entry->object);

	if (rc < 0)
		return err_code(e, -rc, "cannot make the cgroup %s", entry->object);
	return each_setting(value, write_setting, &group);
}

/* One whose last task has just ended is busy for a moment. */
static int remove_empty(const struct undo_host *host, const char *path)
{
	int rc = host->calls->remove_dir(host->calls_arg, host->root, path);

	for (int i = 0; rc == -EBUSY && i < ROUNDS_BUSY; i++) {
		poll(NULL, 0, PAUSE_MS);
		rc = host->calls->remove_dir(host->calls_arg, host->root, path);
	}
	return rc;
}

int undo_group_revert(const struct undo_host *host, struct undo_entry *entry, struct err *e)
{
	AUTO_FREE char *parent = str_dup(entry->object);
	char *slash = strrchr(parent, '/');
	int rc;

	if (!slash)
		return err_set(e, EINVAL, "cannot remove the cgroup '%s': it is no path", entry->object);
	*slash = 0;
	if (!root_exists(host->root, entry->object)) {
		undo_entry_stand(entry, UNDO_AS_BEFORE, NULL);
		return 0;
	}
	rc = undo_cgroup_drain(host, entry->object, parent, e);
	if (rc < 0)
		return rc;
	rc = remove_empty(host, entry->object);
	if (rc < 0 && rc != -ENOENT)
		return err_code(e, -rc, "cannot remove the cgroup %s", entry->object);
	undo_entry_stand(entry, UNDO_REVERTED, NULL);
	return 0;
}

/* --- cgroup-controller ------------------------------------------------------------------------- */

/* "+cpuset" or "-cpuset", just as they are written; the controller is the one that `after` names. */
int undo_controller_read(
	const struct undo_host *host, const struct undo_entry *entry, char **out, struct err *e)
{
	const char *word = entry->after ? entry->after + 1 : "";
	char text[1024];
	int rc = root_read(host->root, entry->object, text, sizeof(text), e);

	if (rc < 0)
		return rc;
	bool on = false;
	for (char *save = NULL, *w = strtok_r(text, " \n", &save); w; w = strtok_r(NULL, " \n", &save))
		on |= !strcmp(w, word);
	*out = str_format("%c%s", on ? '+' : '-', word);
	return 0;
}

struct handing {
	const struct undo_host *host;
	const char *group; /* whose children these are */
	const char *value; /* "-cpuset" */
	bool dead;         /* they are below a cgroup that a dead taut has left */
	bool living;       /* a living taut has one */
};

/* What a dead taut left hands the controller on no more, from the lowest cgroup up. */
static int stop_handing(const char *name, void *arg)
{
	struct handing *h = arg;
	AUTO_FREE char *child = str_format("%s/%s", h->group, name);
	AUTO_FREE char *control = str_format("%s/cgroup.subtree_control", child);
	struct handing below = {h->host, child, h->value, true, false};
	bool living = false;

	if (!root_exists(h->host->root, control))
		return 0;
	if (!h->dead && !undo_cgroup_of_dead(h->host, name, &living)) {
		h->living |= living;
		return 0;
	}
	root_each(h->host->root, child, stop_handing, &below, ERR_IGNORED);
	h->host->calls->write_file(h->host->calls_arg, h->host->root, control, h->value);
	return 0;
}

/* Has somebody given this cgroup certain CPUs?  Those of taut do not count. */
static int has_cpus(const char *name, void *arg)
{
	const struct handing *h = arg;
	AUTO_FREE char *path = str_format("%s/%s/cpuset.cpus", h->group, name);
	char text[4096];
	cpus set, online;

	if (str_starts(name, "taut-") || root_read(h->host->root, path, text, sizeof(text), ERR_IGNORED) <= 0)
		return 0;
	return cpus_parse_list(text, &set) == 0 && CPU_COUNT(&set) &&
	       cpus_online(h->host->root, &online, ERR_IGNORED) == 0 && !CPU_EQUAL(&set, &online);
}

/*
 * The kernel refuses to switch a controller off that cgroups below hand on (EBUSY).  Those that a dead taut
 * left are made to stop, since they go as well.  While a living taut has one the controller is owed; when it
 * is somebody else who makes use of it now, it stays on, and so it does when the CPUs that others have given
 * to their cgroups would be lost with it.
 */
int undo_controller_revert(const struct undo_host *host, struct undo_entry *entry, struct err *e)
{
	AUTO_FREE char *group = str_dup(entry->object);
	struct handing h = {host, group, entry->before, false, false};
	char *slash = strrchr(group, '/');

	if (!slash)
		return err_set(e, EINVAL, "cannot put back '%s': it is no path", group);
	*slash = 0;
	if (!strcmp(entry->before, "-cpuset") &&
		root_each(host->root, group, has_cpus, &h, ERR_IGNORED) > 0) {
		undo_entry_stand(entry, UNDO_LEFT, "other cgroups use it now");
		return 0;
	}
	int rc = undo_three_way(host, entry, e);
	if (rc != -EBUSY)
		return rc;
	root_each(host->root, group, stop_handing, &h, ERR_IGNORED);
	*e = ERR_INIT;
	rc = undo_three_way(host, entry, e);
	if (rc == -EBUSY && h.living)
		return err_try(e, "again when the other taut has ended");
	if (rc != -EBUSY)
		return rc;
	*e = ERR_INIT;
	undo_entry_stand(entry, UNDO_LEFT, "other cgroups use it now");
	return 0;
}
