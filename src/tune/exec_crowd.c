/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Many tasks in one entry: all unpinned tasks get the housekeeping CPUs as their affinity.
 *
 * The entry says how many and which CPUs; its `detail` lists them by TID and start time with the mask each
 * had.  Planning saw the tasks at one moment and tasks fork, so the write looks once more for unpinned ones
 * that came since.  Revert gives the wide mask back to every task that is not in the list, was born after
 * the plan and has exactly our mask: those inherited it.  (One that somebody gave the same mask in that time
 * is taken for one of them; cgroups have no such doubt, which is why they are preferred.)  Kernel threads do
 * not pass their affinity on, so a crowd of them says since=0 and no search is made.
 */
#include "private.h"

#include <stdio.h>

bool tune_task_unpinned(const struct tune_host *host, const struct task *task)
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
struct crowd {
	struct member *members; /* ascending by TID */
	size_t n;
	uint64_t since;
	cpus ours; /* the CPUs of `after` */
};

static void crowd_end(struct crowd *crowd)
{
	free(crowd->members);
}

static int crowd_open(const struct entry *entry, struct crowd *out, struct err *e)
{
	if (cpus_parse_list(entry->after, &out->ours))
		return err_set(e, EINVAL, "cannot read '%s' as CPUs", entry->after);
	return tune_members_parse(entry->detail, &out->since, &out->members, &out->n, e);
}

static bool is_member(const struct crowd *crowd, const struct task *task)
{
	struct member key = {.tid = task->tid};
	const struct member *m =
		crowd->n ? bsearch(&key, crowd->members, crowd->n, sizeof(key), by_tid) : NULL;

	return m && m->start == task->start;
}

/* Is it still who it was? */
static bool member_task(const struct tune_host *host, const struct member *m, struct task *task)
{
	return task_read(host->root, m->tid, m->tid, task, ERR_IGNORED) == 0 && task->start == m->start &&
	       !(task->flags & TASK_EXITING);
}

/* `after` when every listed task that lives keeps within it; else how many do not. */
int tune_crowd_read(const struct tune_host *host, const struct entry *entry, char **out, struct err *e)
{
	AUTO(crowd_end) struct crowd crowd = {0};
	size_t astray = 0;
	int rc = crowd_open(entry, &crowd, e);

	if (rc < 0)
		return rc;
	for (size_t i = 0; i < crowd.n; i++) {
		struct task task;
		cpus both;
		/* A kernel thread may have been bound by the kernel meanwhile: it has its reasons. */
		if (!member_task(host, &crowd.members[i], &task) || task.flags & TASK_NO_SETAFFINITY)
			continue;
		CPU_AND(&both, &task.affinity, &crowd.ours);
		astray += !CPU_EQUAL(&both, &task.affinity);
	}
	*out = astray ? str_format("%zu of %zu tasks elsewhere", astray, crowd.n) : str_dup(entry->after);
	return 0;
}

/* Tasks that were forked between the plan and their parent's move; revert will know them by their birth. */
static void move_late(const struct tune_host *host, const struct crowd *crowd)
{
	AUTO_FREE struct task *tasks = NULL;
	size_t n;

	if (tasks_list(host->root, 0, &tasks, &n, ERR_IGNORED) < 0)
		return;
	for (size_t i = 0; i < n; i++)
		if (tasks[i].start >= crowd->since && !(tasks[i].flags & TASK_KTHREAD) &&
			tune_task_unpinned(host, &tasks[i]) && !tune_is_contained(host, tasks[i].pid))
			host->calls->set_affinity(host->calls_arg, tasks[i].tid, &crowd->ours);
}

int tune_crowd_write(
	const struct tune_host *host, const struct entry *entry, const char *value, struct err *e)
{
	AUTO(crowd_end) struct crowd crowd = {0};
	int rc = crowd_open(entry, &crowd, e);

	if (rc < 0)
		return rc;
	for (size_t i = 0; i < crowd.n; i++) {
		struct task task;
		if (!member_task(host, &crowd.members[i], &task))
			continue;
		rc = host->calls->set_affinity(host->calls_arg, task.tid, &crowd.ours);
		if (rc < 0 && rc != -ESRCH && rc != -EINVAL) /* EINVAL: bound by the kernel meanwhile */
			return err_code(
				e, -rc, "cannot move task %d (%s) to CPUs %s", task.tid, task.comm, value);
	}
	if (crowd.since)
		move_late(host, &crowd);
	return 0;
}

struct count {
	size_t back, left;
	int failed;
};

static void put_back(
	const struct tune_host *host, const struct task *task, const cpus *mask, struct count *count)
{
	int rc = host->calls->set_affinity(host->calls_arg, task->tid, mask);

	if (rc == 0)
		count->back++;
	else if (rc != -ESRCH && rc != -EINVAL)
		count->failed = rc;
}

/* Tasks that were born since and have our mask, though nobody listed them. */
static int put_heirs_back(const struct tune_host *host, const struct crowd *crowd, struct count *count)
{
	AUTO_FREE struct task *tasks = NULL;
	cpus wide = host->online; /* and what is offline now, but was not when they were born */
	size_t n;
	int rc = tasks_list(host->root, 0, &tasks, &n, ERR_IGNORED);

	for (size_t i = 0; i < crowd->n; i++)
		CPU_OR(&wide, &wide, &crowd->members[i].mask);
	for (size_t i = 0; rc == 0 && i < n; i++)
		if (tasks[i].start >= crowd->since && CPU_EQUAL(&tasks[i].affinity, &crowd->ours) &&
			!(tasks[i].flags & (TASK_KTHREAD | TASK_NO_SETAFFINITY)) &&
			!is_member(crowd, &tasks[i]))
			put_back(host, &tasks[i], &wide, count);
	return rc;
}

int tune_crowd_revert(const struct tune_host *host, struct entry *entry, struct err *e)
{
	AUTO(crowd_end) struct crowd crowd = {0};
	struct count count = {0};
	int rc = crowd_open(entry, &crowd, e);

	if (rc < 0)
		return rc;
	for (size_t i = 0; i < crowd.n; i++) {
		struct task task;
		if (!member_task(host, &crowd.members[i], &task))
			continue;
		if (CPU_EQUAL(&task.affinity, &crowd.ours))
			put_back(host, &task, &crowd.members[i].mask, &count);
		else
			count.left += !CPU_EQUAL(&task.affinity, &crowd.members[i].mask);
	}
	if (crowd.since)
		rc = put_heirs_back(host, &crowd, &count);
	if (rc < 0 || count.failed)
		return err_code(e, rc < 0 ? -rc : -count.failed, "cannot give every task its CPUs back");
	if (count.left)
		tune_entry_stand(
			entry, TUNE_LEFT, "%zu tasks have CPUs that somebody else gave them", count.left);
	else
		tune_entry_stand(entry, TUNE_REVERTED, "%zu tasks put back", count.back);
	return 0;
}
