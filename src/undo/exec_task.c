/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One task: its affinity, its scheduling, the realtime limit of its process.  The object reads "tid 123 start
 * 456"; a task with another start time is another task that got the number, and as good as gone (-ESRCH).
 *
 * A thread that a tuned one makes inherits what that was given, and nobody has listed it.  So the entry says
 * of which process the task is and when it was planned, and revert gives what was before to those threads of
 * the process that began since and have exactly what we set.
 */
#include "private.h"

#include <stdio.h>

static int task_of(
	const struct undo_host *host, const struct undo_entry *entry, struct task *out, struct err *e)
{
	unsigned long long start;
	int tid, rc;

	if (sscanf(entry->object, "tid %d start %llu", &tid, &start) != 2 || tid <= 0)
		return err_set(e, EINVAL, "cannot find the task '%s'", entry->object);
	rc = task_read(host->root, tid, tid, out, e);
	if (rc == 0 && out->start != start)
		rc = err_code(e, ESRCH, "cannot find %s", entry->object);
	return rc;
}

static char *affinity_text(const struct task *task)
{
	char list[4096];

	return str_dup(cpus_format_list(&task->affinity, list, sizeof(list)));
}

static char *sched_text(const struct task *task)
{
	return str_format("%s:%d", policy_name(task->policy), task->priority);
}

char *undo_task_detail(const struct undo_host *host, pid_t pid)
{
	return str_format("pid=%d since=%llu", pid, (unsigned long long)undo_ticks_now(host));
}

/* Three ways for the task itself, then its heirs. */
static int task_revert(const struct undo_host *host, struct undo_entry *entry,
	char *(*text)(const struct task *), struct err *e)
{
	AUTO_FREE struct task *tasks = NULL;
	unsigned long long since = 0;
	struct task leader;
	size_t n = 0, back = 0;
	int pid = 0, rc = undo_three_way(host, entry, e);

	if (rc < 0 || entry->status == UNDO_AWAY || !entry->detail ||
		sscanf(entry->detail, "pid=%d since=%llu", &pid, &since) != 2 ||
		task_read(host->root, pid, pid, &leader, ERR_IGNORED) < 0 || leader.start >= since ||
		tasks_list(host->root, pid, &tasks, &n, ERR_IGNORED) < 0)
		return rc;
	for (size_t i = 0; rc == 0 && i < n; i++) {
		struct undo_entry heir = *entry;
		AUTO_FREE char *now = text(&tasks[i]);
		AUTO_FREE char *object =
			str_format("tid %d start %llu", tasks[i].tid, (unsigned long long)tasks[i].start);
		if (tasks[i].start < since || !undo_same(entry->row->format, now, entry->after))
			continue;
		heir.object = object;
		rc = entry->row->write(host, &heir, entry->before, e);
		back += rc == 0;
		rc = rc == -ESRCH || rc == -ENOENT ? 0 : rc;
	}
	if (rc == 0 && back && entry->status != UNDO_LEFT)
		undo_entry_stand(entry, UNDO_REVERTED, "and %zu threads that had inherited it", back);
	return rc;
}

int undo_affinity_revert(const struct undo_host *host, struct undo_entry *entry, struct err *e)
{
	return task_revert(host, entry, affinity_text, e);
}

int undo_sched_revert(const struct undo_host *host, struct undo_entry *entry, struct err *e)
{
	return task_revert(host, entry, sched_text, e);
}

int undo_affinity_read(
	const struct undo_host *host, const struct undo_entry *entry, char **out, struct err *e)
{
	struct task task;
	int rc = task_of(host, entry, &task, e);

	if (rc < 0)
		return rc;
	*out = affinity_text(&task);
	return 0;
}

int undo_affinity_write(
	const struct undo_host *host, const struct undo_entry *entry, const char *value, struct err *e)
{
	struct task task;
	cpus set;
	int rc = task_of(host, entry, &task, e);

	if (rc < 0)
		return rc;
	if (cpus_parse_list(value, &set))
		return err_set(e, EINVAL, "cannot pin %s: '%s' is not a CPU list", entry->object, value);
	rc = host->calls->set_affinity(host->calls_arg, task.tid, &set);
	if (rc < 0)
		return err_code(e, -rc, "cannot pin task %d (%s) to CPUs %s", task.tid, task.comm, value);
	return 0;
}

int undo_sched_read(const struct undo_host *host, const struct undo_entry *entry, char **out, struct err *e)
{
	struct task task;
	int rc = task_of(host, entry, &task, e);

	if (rc < 0)
		return rc;
	*out = sched_text(&task);
	return 0;
}

static int parse_sched(const char *text, int *policy, int *priority)
{
	static const int known[] = {SCHED_OTHER, SCHED_FIFO, SCHED_RR, SCHED_BATCH, SCHED_IDLE};
	const char *colon = strchr(text, ':');
	uint64_t n;

	if (!colon || str_u64(colon + 1, &n) || n > 99)
		return -EINVAL;
	for (size_t i = 0; i < ARRAY_LEN(known); i++) {
		const char *name = policy_name(known[i]);
		if (strlen(name) == (size_t)(colon - text) && str_starts(text, name)) {
			*policy = known[i];
			*priority = (int)n;
			return 0;
		}
	}
	return -EINVAL;
}

int undo_sched_write(
	const struct undo_host *host, const struct undo_entry *entry, const char *value, struct err *e)
{
	int policy, priority, rc;
	struct task task;

	if (parse_sched(value, &policy, &priority))
		return err_set(e, EINVAL, "cannot schedule %s: '%s' is no policy", entry->object, value);
	rc = task_of(host, entry, &task, e);
	if (rc < 0)
		return rc;
	rc = host->calls->set_sched(host->calls_arg, task.tid, policy, priority);
	if (rc < 0)
		return err_code(e, -rc, "cannot schedule task %d (%s) as %s", task.tid, task.comm, value);
	return 0;
}

/* The soft limit in µs, or "unlimited": "Max realtime timeout      unlimited            unlimited us". */
int undo_rttime_read(const struct undo_host *host, const struct undo_entry *entry, char **out, struct err *e)
{
	char path[64], text[4096], soft[32];
	struct task task;
	int rc = task_of(host, entry, &task, e);

	if (rc < 0)
		return rc;
	snprintf(path, sizeof(path), "/proc/%d/limits", task.tid);
	rc = root_read(host->root, path, text, sizeof(text), e);
	if (rc < 0)
		return rc;
	const char *line = strstr(text, "Max realtime timeout");
	if (!line || sscanf(line, "Max realtime timeout %31s", soft) != 1)
		return err_set(e, ENOENT, "cannot read the realtime limit in %s", path);
	*out = str_dup(soft);
	return 0;
}

int undo_rttime_write(
	const struct undo_host *host, const struct undo_entry *entry, const char *value, struct err *e)
{
	uint64_t soft_us = UINT64_MAX;
	struct task task;
	int rc;

	if (strcmp(value, "unlimited") && str_u64(value, &soft_us))
		return err_set(e, EINVAL, "cannot limit %s: '%s' is not a time", entry->object, value);
	rc = task_of(host, entry, &task, e);
	if (rc < 0)
		return rc;
	rc = host->calls->set_rttime(host->calls_arg, task.tid, soft_us);
	if (rc < 0)
		return err_code(
			e, -rc, "cannot limit the realtime run of process %d (%s)", task.tid, task.comm);
	return 0;
}

/* "VmLck:	    2524 kB" */
int undo_memory_read(const struct undo_host *host, const struct undo_entry *entry, char **out, struct err *e)
{
	char path[64], text[8192];
	unsigned long locked_kib;
	struct task task;
	int rc = task_of(host, entry, &task, e);

	if (rc < 0)
		return rc;
	snprintf(path, sizeof(path), "/proc/%d/status", task.tid);
	rc = root_read(host->root, path, text, sizeof(text), e);
	if (rc < 0)
		return rc;
	const char *line = strstr(text, "\nVmLck:");
	if (!line || sscanf(line, "\nVmLck: %lu", &locked_kib) != 1)
		return err_set(e, ENOENT, "cannot read how much memory is locked in %s", path);
	*out = str_dup(locked_kib ? "locked" : "not locked");
	return 0;
}

int undo_memory_write(
	const struct undo_host *host, const struct undo_entry *entry, const char *value, struct err *e)
{
	(void)host;
	(void)value;
	return err_set(
		e, ENOTSUP, "cannot lock the memory of %s: only the process itself can", entry->object);
}
