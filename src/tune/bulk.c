/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Many tasks in one entry (tasks-affinity): all unpinned tasks get the housekeeping CPUs as their affinity.
 *
 * The entry says how many and which CPUs; its `detail` lists them by TID and start time with the mask each
 * had.  Planning saw the tasks at one moment and tasks fork, so the write looks once more for unpinned ones
 * that came since.  Revert gives the wide mask back to every task that is not in the list, was born after
 * the plan and has exactly our mask: those inherited it.  (One that somebody gave the same mask in that time
 * is taken for one of them; cgroups have no such doubt, which is why they are preferred.)  Kernel threads do
 * not pass their affinity on, so a list of them says since=0 and no search is made.
 */
#include "private.h"

#include <stdio.h>

bool tune_task_unpinned(const struct undo_host *host, const struct task *task)
{
	cpus both;

	CPU_AND(&both, &task->affinity, &host->online);
	return (task->policy == SCHED_OTHER || task->policy == SCHED_BATCH || task->policy == SCHED_IDLE) &&
	       !(task->flags & (TASK_NO_SETAFFINITY | TASK_EXITING)) && CPU_EQUAL(&both, &host->online);
}

void tune_members_add(struct buf *detail, const struct task *task)
{
	char mask[512];

	buf_add(detail, " %d:%llu:%s", task->tid, (unsigned long long)task->start,
		cpus_format_mask(&task->affinity, mask, sizeof(mask)));
}

static int by_tid(const void *a, const void *b)
{
	const struct member *x = a, *y = b;

	return x->tid < y->tid ? -1 : x->tid > y->tid;
}

int tune_members_parse(const char *detail, uint64_t *since, struct member **out, size_t *n, struct err *e)
{
	AUTO_FREE struct member *members = NULL;
	AUTO_FREE char *text = str_dup(detail ? detail : "");
	unsigned long long start, ticks;
	size_t count = 0, room = 0;
	char *save = NULL, *word = strtok_r(text, " ", &save);

	if (!word || sscanf(word, "since=%llu", &ticks) != 1)
		return err_set(e, EINVAL, "cannot read a list of tasks: no since=");
	while ((word = strtok_r(NULL, " ", &save))) {
		char mask[512];
		struct member m;
		if (sscanf(word, "%d:%llu:%511s", &m.tid, &start, mask) != 3 || m.tid <= 0 ||
			cpus_parse_mask(mask, &m.mask))
			return err_set(e, EINVAL, "cannot read a list of tasks: '%s'", word);
		m.start = start;
		if (count == room)
			members = mem_grow(members, room = room ? room * 2 : 64, sizeof(*members));
		members[count++] = m;
	}
	if (count)
		qsort(members, count, sizeof(*members), by_tid);
	*since = ticks;
	*out = steal_ptr(&members);
	*n = count;
	return 0;
}

/* An entry, read. */
struct bulk {
	struct member *members; /* ascending by TID */
	size_t n;
	uint64_t since;
	cpus ours; /* the CPUs of `after` */
};

static void bulk_end(struct bulk *bulk)
{
	free(bulk->members);
}

static int bulk_open(const struct undo_entry *entry, struct bulk *out, struct err *e)
{
	if (cpus_parse_list(entry->after, &out->ours))
		return err_set(e, EINVAL, "cannot read '%s' as CPUs", entry->after);
	return tune_members_parse(entry->detail, &out->since, &out->members, &out->n, e);
}

static bool is_member(const struct bulk *bulk, const struct task *task)
{
	struct member key = {.tid = task->tid};
	const struct member *m = bulk->n ? bsearch(&key, bulk->members, bulk->n, sizeof(key), by_tid) : NULL;

	return m && m->start == task->start;
}

/* Is it still who it was? */
static bool member_task(const struct undo_host *host, const struct member *m, struct task *task)
{
	return task_read(host->root, m->tid, m->tid, task, ERR_IGNORED) == 0 && task->start == m->start &&
	       !(task->flags & TASK_EXITING);
}

/* `after` when every listed task that lives keeps within it; else how many do not. */
static int bulk_read(const struct undo_host *host, const struct undo_entry *entry, char **out, struct err *e)
{
	AUTO(bulk_end) struct bulk bulk = {0};
	size_t astray = 0;
	int rc = bulk_open(entry, &bulk, e);

	if (rc < 0)
		return rc;
	for (size_t i = 0; i < bulk.n; i++) {
		struct task task;
		cpus both;
		/* A kernel thread may have been bound by the kernel meanwhile: it has its reasons. */
		if (!member_task(host, &bulk.members[i], &task) || task.flags & TASK_NO_SETAFFINITY)
			continue;
		CPU_AND(&both, &task.affinity, &bulk.ours);
		astray += !CPU_EQUAL(&both, &task.affinity);
	}
	*out = astray ? str_format("%zu of %zu tasks elsewhere", astray, bulk.n) : str_dup(entry->after);
	return 0;
}

/* Tasks that were forked between the plan and their parent's move; revert will know them by their birth. */
static void move_late(const struct undo_host *host, const struct bulk *bulk)
{
	AUTO_FREE struct task *tasks = NULL;
	size_t n;

	if (tasks_list(host->root, 0, &tasks, &n, ERR_IGNORED) < 0)
		return;
	for (size_t i = 0; i < n; i++)
		if (tasks[i].start >= bulk->since && !(tasks[i].flags & TASK_KTHREAD) &&
			tune_task_unpinned(host, &tasks[i]) && !tune_is_contained(host, tasks[i].pid))
			host->calls->set_affinity(host->calls_arg, tasks[i].tid, &bulk->ours);
}

static int bulk_write(
	const struct undo_host *host, const struct undo_entry *entry, const char *value, struct err *e)
{
	AUTO(bulk_end) struct bulk bulk = {0};
	int rc = bulk_open(entry, &bulk, e);

	if (rc < 0)
		return rc;
	for (size_t i = 0; i < bulk.n; i++) {
		struct task task;
		if (!member_task(host, &bulk.members[i], &task))
			continue;
		rc = host->calls->set_affinity(host->calls_arg, task.tid, &bulk.ours);
		if (rc < 0 && rc != -ESRCH && rc != -EINVAL) /* EINVAL: bound by the kernel meanwhile */
			return err_code(
				e, -rc, "cannot move task %d (%s) to CPUs %s", task.tid, task.comm, value);
	}
	if (bulk.since)
		move_late(host, &bulk);
	return 0;
}

struct count {
	size_t back, left;
	int failed;
};

static void put_back(
	const struct undo_host *host, const struct task *task, const cpus *mask, struct count *count)
{
	int rc = host->calls->set_affinity(host->calls_arg, task->tid, mask);

	if (rc == 0)
		count->back++;
	else if (rc != -ESRCH && rc != -EINVAL)
		count->failed = rc;
}

/* Tasks that were born since and have our mask, though nobody listed them. */
static int put_heirs_back(const struct undo_host *host, const struct bulk *bulk, struct count *count)
{
	AUTO_FREE struct task *tasks = NULL;
	cpus wide = host->online; /* and what is offline now, but was not when they were born */
	size_t n;
	int rc = tasks_list(host->root, 0, &tasks, &n, ERR_IGNORED);

	for (size_t i = 0; i < bulk->n; i++)
		CPU_OR(&wide, &wide, &bulk->members[i].mask);
	for (size_t i = 0; rc == 0 && i < n; i++)
		if (tasks[i].start >= bulk->since && CPU_EQUAL(&tasks[i].affinity, &bulk->ours) &&
			!(tasks[i].flags & (TASK_KTHREAD | TASK_NO_SETAFFINITY)) &&
			!is_member(bulk, &tasks[i]))
			put_back(host, &tasks[i], &wide, count);
	return rc;
}

static int bulk_revert(const struct undo_host *host, struct undo_entry *entry, struct err *e)
{
	AUTO(bulk_end) struct bulk bulk = {0};
	struct count count = {0};
	int rc = bulk_open(entry, &bulk, e);

	if (rc < 0)
		return rc;
	undo_entry_look(host, entry);
	for (size_t i = 0; i < bulk.n; i++) {
		struct task task;
		if (!member_task(host, &bulk.members[i], &task))
			continue;
		if (CPU_EQUAL(&task.affinity, &bulk.ours) ||
			undo_cpus_displaced(host, entry, &bulk.ours, &task.affinity))
			put_back(host, &task, &bulk.members[i].mask, &count);
		else
			count.left += !CPU_EQUAL(&task.affinity, &bulk.members[i].mask);
	}
	if (bulk.since)
		rc = put_heirs_back(host, &bulk, &count);
	if (rc < 0 || count.failed)
		return err_code(e, rc < 0 ? -rc : -count.failed, "cannot give every task its CPUs back");
	if (count.left)
		undo_entry_stand(
			entry, UNDO_LEFT, "%zu tasks have CPUs that somebody else gave them", count.left);
	else
		undo_entry_stand(entry, UNDO_REVERTED, "%zu tasks put back", count.back);
	return 0;
}

static const struct undo_row rows[] = {
	{"tasks-affinity", FORMAT_LIST, bulk_read, bulk_write, bulk_revert},
	{"cgroup-join", FORMAT_TEXT, tune_join_read, tune_join_write, tune_join_revert},
};

const struct undo_table tune_table = {rows, ARRAY_LEN(rows)};
