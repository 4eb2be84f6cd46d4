/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Tasks as /proc shows them.  The fields come from /proc/PID/task/TID/stat (after the last ')', since a name
 * may hold anything) and the affinity from `status`, so that a fixture tree can stand in for a machine.  A
 * task that ends between the listing and the reading is an answer (-ESRCH), not a failure.
 */
#include "sys.h"

#include <sched.h>
#include <stdio.h>
#include <sys/resource.h>

static int gone(int rc)
{
	return rc == -ENOENT || rc == -ESRCH ? -ESRCH : rc;
}

static int parse_stat(char *text, struct task *out)
{
	char *open = strchr(text, '('), *close = strrchr(text, ')');
	unsigned long long start;
	unsigned flags, policy, priority;
	int nice;

	if (!open || !close || close < open)
		return -EINVAL;
	*close = 0;
	if (str_copy(out->comm, sizeof(out->comm), open + 1))
		return -EINVAL;
	/* Fields 3.. : state ppid pgrp session tty tpgid flags(9) … nice(19) … starttime(22) …
	 * rt_priority(40) policy(41) */
	if (sscanf(close + 1,
		    " %*c %*d %*d %*d %*d %*d %u %*u %*u %*u %*u %*u %*u %*d %*d %*d %d %*d %*d %llu %*u %*d %*u %*u %*u %*u %*u %*u %*u %*u %*u %*u %*u %*u %*u %*d %*d %u %u",
		    &flags, &nice, &start, &priority, &policy) != 5)
		return -EINVAL;
	out->flags = flags;
	out->start = start;
	out->priority = (int)priority;
	out->nice = nice;
	out->policy = (int)policy;
	return 0;
}

int task_read(int root, pid_t pid, pid_t tid, struct task *out, struct err *e)
{
	char path[80], text[4096];
	struct task task = {.pid = pid, .tid = tid};
	int rc;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/stat", pid, tid);
	rc = root_read(root, path, text, sizeof(text), e);
	if (rc < 0)
		return gone(rc);
	if (parse_stat(text, &task))
		return err_set(e, EINVAL, "cannot parse %s", path);
	snprintf(path, sizeof(path), "/proc/%d/task/%d/status", pid, tid);
	rc = root_read(root, path, text, sizeof(text), e);
	if (rc < 0)
		return gone(rc);
	char *line = strstr(text, "\nCpus_allowed:");
	if (!line)
		return err_set(e, EINVAL, "cannot parse %s: no Cpus_allowed", path);
	line += strlen("\nCpus_allowed:");
	line[strcspn(line, "\n")] = 0;
	if (cpus_parse_mask(str_trim(line), &task.affinity))
		return err_set(e, EINVAL, "cannot parse %s: Cpus_allowed '%s'", path, line);
	*out = task;
	return 0;
}

int task_start_time(int root, pid_t pid, uint64_t *start, struct err *e)
{
	char path[80], text[2048];
	struct task task;
	int rc;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	rc = root_read(root, path, text, sizeof(text), e);
	if (rc < 0)
		return gone(rc);
	if (parse_stat(text, &task))
		return err_set(e, EINVAL, "cannot parse %s", path);
	*start = task.start;
	return 0;
}

struct listing {
	int root;
	pid_t pid;
	struct task *tasks;
	size_t n, room;
};

static int list_thread(const char *name, void *arg)
{
	struct listing *list = arg;
	uint64_t tid;

	if (str_u64(name, &tid))
		return 0;
	if (list->n == list->room) {
		list->room = list->room ? list->room * 2 : 128;
		list->tasks = mem_grow(list->tasks, list->room, sizeof(*list->tasks));
	}
	if (task_read(list->root, list->pid, (pid_t)tid, &list->tasks[list->n], ERR_IGNORED) == 0)
		list->n++;
	return 0;
}

static int list_process(const char *name, void *arg)
{
	struct listing *list = arg;
	char path[64];
	uint64_t pid;

	if (str_u64(name, &pid))
		return 0;
	list->pid = (pid_t)pid;
	snprintf(path, sizeof(path), "/proc/%s/task", name);
	root_each(list->root, path, list_thread, list, ERR_IGNORED);
	return 0;
}

int tasks_list(int root, pid_t pid, struct task **out, size_t *n, struct err *e)
{
	struct listing list = {.root = root};
	char name[32];
	int rc = 0;

	if (pid > 0) {
		snprintf(name, sizeof(name), "%d", pid);
		list_process(name, &list);
		if (list.n == 0)
			rc = err_code(e, ESRCH, "cannot list the threads of process %d", pid);
	} else {
		rc = root_each(root, "/proc", list_process, &list, e);
	}
	if (rc < 0) {
		free(list.tasks);
		return rc;
	}
	*out = list.tasks;
	*n = list.n;
	return 0;
}

int task_set_affinity(pid_t tid, const cpus *set, struct err *e)
{
	char list[256];

	if (sched_setaffinity(tid, sizeof(*set), set) < 0)
		return err_sys(
			e, "cannot move task %d to CPUs %s", tid, cpus_format_list(set, list, sizeof(list)));
	return 0;
}

const char *policy_name(int policy)
{
	static const char *const names[] = {"other", "fifo", "rr", "batch", "iso", "idle", "deadline"};

	return policy >= 0 && policy < (int)ARRAY_LEN(names) ? names[policy] : "unknown";
}

int task_set_sched(pid_t tid, int policy, int priority, struct err *e)
{
	struct sched_param param = {.sched_priority = priority};

	if (sched_setscheduler(tid, policy, &param) < 0)
		return err_sys(e, "cannot schedule task %d as %s:%d", tid, policy_name(policy), priority);
	return 0;
}

char *sched_format(int policy, int priority, char *out, size_t size)
{
	if (policy == SCHED_FIFO || policy == SCHED_RR)
		snprintf(out, size, "%s:%d", policy_name(policy), priority);
	else
		snprintf(out, size, "%s", policy_name(policy));
	return out;
}

bool sched_reset(char *was, size_t size)
{
	struct sched_param param = {0}, normal = {0};
	int policy = sched_getscheduler(0), nice = getpriority(PRIO_PROCESS, 0);
	bool ordinary = policy == SCHED_OTHER;

	*was = 0;
	if (ordinary && nice == 0)
		return true;
	sched_getparam(0, &param);
	sched_format(policy, param.sched_priority, was, size);
	snprintf(was + strlen(was), size - strlen(was), ", nice %d", nice);
	if (!ordinary)
		ordinary = sched_setscheduler(0, SCHED_OTHER, &normal) == 0;
	return (nice == 0 || setpriority(PRIO_PROCESS, 0, 0) == 0) && ordinary;
}
