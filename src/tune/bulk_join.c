/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Tasks that live in another cgroup (v1) for a while.
 *
 * cgroup-join: `before` and `after` are the paths of two cgroups, `detail` lists the tasks that go from one
 * to the other.  What they fork while they are there is born there, so undoing does not go by the list:
 * whatever is inside is moved to where they came from.  A task can fork between being read and being moved,
 * so joining looks a second time for the children of such.
 */
#include "private.h"

/* `after` when every listed task that lives is there; else how many are not. */
int tune_join_read(const struct undo_host *host, const struct undo_entry *entry, char **out, struct err *e)
{
	AUTO_FREE struct member *members = NULL;
	AUTO_FREE pid_t *tids = NULL;
	size_t n, tids_n, astray = 0;
	uint64_t since;
	struct task task;
	int rc = tune_members_parse(entry->detail, &since, &members, &n, e);

	if (rc < 0 || (rc = undo_cgroup_tids(host, entry->after, &tids, &tids_n, e)) < 0)
		return rc;
	for (size_t i = 0; i < n; i++)
		astray += !undo_tid_in(tids, tids_n, members[i].tid) &&
			  task_read(host->root, members[i].tid, members[i].tid, &task, ERR_IGNORED) == 0 &&
			  task.start == members[i].start && !(task.flags & TASK_EXITING);
	*out = astray ? str_format("%zu of %zu tasks elsewhere", astray, n) : str_dup(entry->after);
	return 0;
}

/* Unpinned tasks that were born in the old cgroup while their parents were being moved. */
static void move_late(const struct undo_host *host, const struct undo_entry *entry, uint64_t since)
{
	AUTO_FREE pid_t *tids = NULL;
	size_t n;

	if (undo_cgroup_tids(host, entry->before, &tids, &n, ERR_IGNORED) < 0)
		return;
	for (size_t i = 0; i < n; i++) {
		struct task task;
		if (task_read(host->root, tids[i], tids[i], &task, ERR_IGNORED) == 0 && task.start >= since &&
			!(task.flags & TASK_KTHREAD) && tune_task_unpinned(host, &task))
			undo_cgroup_move(host, entry->after, task.tid);
	}
}

int tune_join_write(
	const struct undo_host *host, const struct undo_entry *entry, const char *value, struct err *e)
{
	AUTO_FREE struct member *members = NULL;
	uint64_t since;
	size_t n;
	int rc = tune_members_parse(entry->detail, &since, &members, &n, e);

	if (rc < 0)
		return rc;
	for (size_t i = 0; i < n; i++) {
		uint64_t start;
		if (task_start_time(host->root, members[i].tid, &start, ERR_IGNORED) < 0 ||
			start != members[i].start)
			continue;
		rc = undo_cgroup_move(host, value, members[i].tid);
		if (rc < 0 && rc != -ESRCH)
			return err_code(e, -rc, "cannot move task %d to %s", members[i].tid, value);
	}
	move_late(host, entry, since);
	return 0;
}

int tune_join_revert(const struct undo_host *host, struct undo_entry *entry, struct err *e)
{
	int moved = undo_cgroup_drain(host, entry->after, entry->before, e);

	if (moved < 0)
		return moved;
	undo_entry_stand(entry, UNDO_REVERTED, "%d tasks moved back", moved);
	return 0;
}
