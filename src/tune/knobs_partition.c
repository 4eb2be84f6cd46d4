/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The partition of the CPUs: the isolated ones are kept for the measured work.  There are three ways to do
 * that, tried from the first to the last until one works (entries of choice 1 to 3, see apply.c).
 *
 * 1. cgroup v2: the target's cgroup becomes a partition of type "isolated".  The kernel takes the CPUs out of
 * its scheduling domains and moves unbound work off them; one write undoes it.  The write may succeed and the
 * file read "isolated invalid (why)" afterwards, which means that there is no partition.  A machine that was
 * booted with isolcpus is left to the other ways: undoing a partition there would add CPUs to masks that the
 * boot argument had narrowed.
 * 2. cgroup v1: the target's cpuset gets the isolated CPUs.  Every unpinned normal task of the root cpuset
 * moves to a cpuset that taut makes with the housekeeping CPUs; its children start there, so revert finds
 * them.  The root cpuset no longer balances load over all CPUs, so that each side becomes a scheduling domain
 * of its own.  Kernel threads stay in the root (kthreadd may not leave it) and get an affinity instead.
 * 3. Affinity alone: every unpinned normal task gets the affinity of the housekeeping CPUs, except tasks in
 * containers that are not taut's.  Children inherit it.
 *
 * A task is unpinned when it is allowed on every online CPU.  A task that was given certain CPUs keeps them.
 *
 * Bulk affinity: one entry that sets the affinity of many tasks; its detail names each task with the mask
 * that it had.
 */
#include "private.h"

#include <stdio.h>

#define HOUSEKEEPING_GROUP "/taut-housekeeping"

static int skip(struct planning *p, const struct knob *knob, const char *reason)
{
	struct undo_entry *entry = undo_entry_add(p->host, p->plan, knob->id, knob->executor, knob->object);

	undo_entry_stand(entry, UNDO_SKIPPED, "%s", reason);
	return 0;
}

static struct undo_entry *want(struct planning *p, const struct knob *knob, unsigned choice,
	const char *executor, const char *object)
{
	struct undo_entry *entry = undo_entry_add(p->host, p->plan, knob->id, executor, object);

	entry->choice = choice;
	return entry;
}

/* An entry that writes `after` to a file.  Where the file is not there yet, because a controller must be
 * enabled first, its value before is taken to be `absent`. */
static void want_value(
	const struct planning *p, struct undo_entry *entry, const char *after, const char *absent)
{
	AUTO_FREE char *before = NULL;

	entry->after = str_dup(after); /* some executors need it to know what to read */
	if (entry->row->read(p->host, entry, &before, ERR_IGNORED) < 0 || !*before) {
		free(before);
		before = str_dup(absent);
	}
	undo_entry_values(entry, before, after);
	if (undo_same(entry->row->format, before, after))
		undo_entry_stand(entry, UNDO_UNCHANGED, NULL);
}

/* Why none of the three ways can be taken; NULL when that is not so. */
static const char *obstacle(const struct planning *p)
{
	if (CPU_COUNT(&p->isolated) == 0)
		return tune_none_isolated(p);
	return p->host->privileged ? NULL : "needs root";
}

static const char *subject_root(const struct planning *p)
{
	return p->subject ? p->subject->cgroup_root : "";
}

/* The CPUs that the target's cgroup must allow: the isolated ones, and those that settings give to an end. */
static void subject_cpus(const struct planning *p, cpus *out)
{
	*out = p->isolated;
	if (p->client_cpu >= 0)
		CPU_SET((size_t)p->client_cpu, out);
	if (p->server_cpu >= 0)
		CPU_SET((size_t)p->server_cpu, out);
}

/* --- cgroup v2 --------------------------------------------------------------------------------- */

/* Why cgroup v2 cannot be used; NULL when it can. */
static const char *obstacle_v2(const struct planning *p, const char *parent)
{
	AUTO_FREE char *controllers = str_format("%s/cgroup.controllers", parent);
	const char *why = obstacle(p);
	char text[1024];
	cpus allowed;

	subject_cpus(p, &allowed);
	if (why)
		return why;
	if (p->host->cgroups.version != CGROUP_V2)
		return "the cpuset controller is not in cgroup v2";
	if (!*subject_root(p))
		return "the target has no cgroup";
	if (root_read(p->host->root, controllers, text, sizeof(text), ERR_IGNORED) < 0 ||
		!strstr(text, "cpuset"))
		return "the cpuset controller is not to be had here";
	if (!CPU_EQUAL(&allowed, &p->isolated))
		return "an end is placed outside of the isolated CPUs";
	if (root_read(p->host->root, "/sys/devices/system/cpu/isolated", text, sizeof(text), ERR_IGNORED) > 0)
		return "booted with isolcpus: a partition could not be undone exactly";
	return NULL;
}

/* The value of cpuset.cpus that stands for "no CPUs of its own".  While tasks are in it, a cpuset that was
 * given CPUs cannot be made empty again; then it is given all online CPUs instead. */
static void empty_cpus(const struct planning *p, const char *group, char *out, size_t size)
{
	AUTO_FREE char *path = str_format("%s/cgroup.events", group);
	char text[256];

	out[0] = 0;
	if (root_read(p->host->root, path, text, sizeof(text), ERR_IGNORED) > 0 &&
		strstr(text, "populated 1"))
		cpus_format_list(&p->host->online, out, size);
}

static int plan_v2(struct planning *p, const struct knob *knob, struct err *e)
{
	AUTO_FREE char *group = str_format("%s%s", p->host->cgroups.cpuset, subject_root(p));
	AUTO_FREE char *parent = str_dup(group);
	char *slash = strrchr(parent, '/'), list[1024], none[1024];

	(void)e;
	if (slash)
		*slash = 0;
	const char *why = obstacle_v2(p, parent);
	if (why)
		return skip(p, knob, why);
	AUTO_FREE char *control = str_format("%s/cgroup.subtree_control", parent);
	AUTO_FREE char *allowed = str_format("%s/cpuset.cpus", group);
	AUTO_FREE char *partition = str_format("%s/cpuset.cpus.partition", group);
	want_value(p, want(p, knob, 1, "cgroup-controller", control), "+cpuset", "-cpuset");
	cpus_format_list(&p->isolated, list, sizeof(list));
	empty_cpus(p, group, none, sizeof(none));
	want_value(p, want(p, knob, 1, "file-list", allowed), list, none);
	want_value(p, want(p, knob, 1, "file", partition), "isolated", "member");
	return 0;
}

/* --- tasks ------------------------------------------------------------------------------------- */

static bool is_subject(const struct planning *p, pid_t tid)
{
	for (size_t i = 0; p->subject && i < p->subject->threads_n; i++)
		if (p->subject->threads[i].tid == tid || p->subject->threads[i].pid == tid)
			return true;
	return false;
}

struct bulk {
	struct buf detail;
	size_t n;
};

static struct bulk bulk_new(uint64_t since)
{
	struct bulk bulk = {0};

	buf_add(&bulk.detail, "since=%llu", (unsigned long long)since);
	return bulk;
}

static void bulk_add(struct bulk *bulk, const struct task *task)
{
	tune_members_add(&bulk->detail, task);
	bulk->n++;
}

/* One entry of bulk affinity for all tasks of `bulk`, whose detail it takes; no entry when there are none. */
static void want_bulk(
	struct planning *p, const struct knob *knob, unsigned choice, struct bulk *bulk, const char *what)
{
	char before[1024], after[1024];

	if (bulk->n == 0) {
		buf_free(&bulk->detail);
		return;
	}
	AUTO_FREE char *object = str_format("%zu %s", bulk->n, what);
	struct undo_entry *entry = want(p, knob, choice, "tasks-affinity", object);
	cpus_format_list(&p->host->online, before, sizeof(before));
	cpus_format_list(&p->housekeeping, after, sizeof(after));
	undo_entry_values(entry, before, after);
	entry->detail = steal_ptr(&bulk->detail.data);
}

/* --- cgroup v1 --------------------------------------------------------------------------------- */

static void want_join(
	struct planning *p, const struct knob *knob, const pid_t *tids, size_t tids_n, const char *group)
{
	struct bulk users = bulk_new(undo_ticks_now(p->host)), kernel = bulk_new(0);

	for (size_t i = 0; i < p->tasks_n; i++) {
		const struct task *task = &p->tasks[i];
		if (!tune_task_unpinned(p->host, task) || is_subject(p, task->tid) ||
			!undo_tid_in(tids, tids_n, task->tid))
			continue;
		bulk_add(task->flags & TASK_KTHREAD ? &kernel : &users, task);
	}
	AUTO_FREE char *object = str_format("%zu tasks", users.n);
	struct undo_entry *entry = want(p, knob, 2, "cgroup-join", object);
	undo_entry_values(entry, p->host->cgroups.cpuset, group);
	entry->detail = steal_ptr(&users.detail.data);
	want_bulk(p, knob, 2, &kernel, "kernel threads");
}

/* Revert gives a cpuset that had no CPUs all of them: with tasks in it, it cannot be made empty again. */
static void want_subject_cpus(struct planning *p, const struct knob *knob, const char *path)
{
	char list[1024], all[1024];
	cpus allowed;

	subject_cpus(p, &allowed);
	cpus_format_list(&allowed, list, sizeof(list));
	cpus_format_list(&p->host->online, all, sizeof(all));
	want_value(p, want(p, knob, 2, "file-list", path), list, all);
}

static int plan_v1(struct planning *p, const struct knob *knob, struct err *e)
{
	const char *mount = p->host->cgroups.cpuset, *why = obstacle(p);
	AUTO_FREE char *group = str_format("%s" HOUSEKEEPING_GROUP, mount);
	AUTO_FREE char *mems_path = str_format("%s/cpuset.mems", mount);
	AUTO_FREE char *balance = str_format("%s/cpuset.sched_load_balance", mount);
	AUTO_FREE char *subject = str_format("%s%s/cpuset.cpus", mount, subject_root(p));
	AUTO_FREE pid_t *tids = NULL;
	char mems[1024], list[1024];
	size_t tids_n;
	int rc;

	if (why)
		return skip(p, knob, why);
	if (p->host->cgroups.version != CGROUP_V1 || !*mount)
		return skip(p, knob, "there is no cpuset hierarchy of cgroup v1");
	if (!*subject_root(p) || !root_exists(p->host->root, subject))
		return skip(p, knob, "the target has no cgroup there");
	if (root_exists(p->host->root, group))
		return skip(p, knob, "the cgroup " HOUSEKEEPING_GROUP " is there already");
	if ((rc = tune_planning_tasks(p, e)) < 0 ||
		(rc = root_read(p->host->root, mems_path, mems, sizeof(mems), e)) < 0 ||
		(rc = undo_cgroup_tids(p->host, mount, &tids, &tids_n, e)) < 0)
		return rc;
	struct undo_entry *dir = want(p, knob, 2, "cgroup-dir", group);
	AUTO_FREE char *made = str_format("cpuset.cpus=%s cpuset.mems=%s",
		cpus_format_list(&p->housekeeping, list, sizeof(list)), mems);
	undo_entry_values(dir, "absent", made);
	want_subject_cpus(p, knob, subject);
	want_join(p, knob, tids, tids_n, group);
	struct undo_entry *root_balance = want(p, knob, 2, "file", balance);
	root_balance->optional = true;
	want_value(p, root_balance, "0", "1");
	return 0;
}

/* --- affinity ---------------------------------------------------------------------------------- */

static int plan_affinity(struct planning *p, const struct knob *knob, struct err *e)
{
	struct bulk bulk = bulk_new(undo_ticks_now(p->host));
	const char *why = obstacle(p);
	pid_t asked = 0;
	bool foreign = false;
	int rc;

	if (why) {
		buf_free(&bulk.detail);
		return skip(p, knob, why);
	}
	if ((rc = tune_planning_tasks(p, e)) < 0) {
		buf_free(&bulk.detail);
		return rc;
	}
	for (size_t i = 0; i < p->tasks_n; i++) {
		const struct task *task = &p->tasks[i];
		if (!tune_task_unpinned(p->host, task) || is_subject(p, task->tid))
			continue;
		if (task->pid != asked) { /* threads of a process follow one another */
			asked = task->pid;
			foreign = !(task->flags & TASK_KTHREAD) && tune_is_contained(p->host, asked);
		}
		if (!foreign)
			bulk_add(&bulk, task);
	}
	want_bulk(p, knob, 3, &bulk, "tasks");
	return 0;
}

static const struct knob rows[] = {
	{.id = "partition-cgroup2",
		.help = "The target gets the isolated CPUs as a cgroup v2 partition: the scheduler places no other tasks there.",
		.risk = "all other work has fewer CPUs",
		.expand = EXPAND_OWN,
		.object = "cpuset.cpus.partition",
		.executor = "file",
		LOW_LATENCY_TEXT(""),
		.plan = plan_v2},
	{.id = "partition-cgroup1",
		.help = "The same with cgroup v1: the target's cpuset gets the isolated CPUs, "
			"and tasks that may run on every CPU move to a cpuset with the housekeeping CPUs.",
		.risk = "all other work has fewer CPUs",
		.expand = EXPAND_OWN,
		.object = "cpuset.cpus",
		.executor = "file",
		LOW_LATENCY_TEXT(""),
		.plan = plan_v1},
	{.id = "partition-affinity",
		.help = "The same without cpusets: tasks that may run on every CPU are pinned to the housekeeping CPUs.",
		.risk = "a task that sets its own affinity can come back to an isolated CPU",
		.expand = EXPAND_OWN,
		.object = "tasks",
		.executor = "tasks-affinity",
		LOW_LATENCY_TEXT(""),
		.plan = plan_affinity},
};

const struct knob_table tune_knobs_partition = {rows, ARRAY_LEN(rows)};
