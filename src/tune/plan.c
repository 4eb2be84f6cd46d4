/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Planning: the rows of a profile become entries on this machine.
 *
 * A row is expanded to its objects: one file, or one object for each isolated CPU, IRQ, queue, cgroup, thread
 * and so on.  For each object planning reads the value that it has and finds out the value that the profile
 * wants.  An object that is not there, not permitted or not sensible becomes a skipped entry with the reason;
 * one that has the wanted value already becomes an unchanged entry.  Nothing is written here.
 */
#include "private.h"

#include <fcntl.h>
#include <stdio.h>

int tune_planning_tasks(struct planning *p, struct err *e)
{
	int rc;

	if (p->tasks_read)
		return 0;
	rc = tasks_list(p->host->root, 0, &p->tasks, &p->tasks_n, e);
	p->tasks_read = rc == 0;
	return rc;
}

/* --- one object -------------------------------------------------------------------------------- */

static void drop_last(struct undo_list *plan)
{
	undo_entry_clear(&plan->entries[--plan->n]);
}

/* The value cannot be read.  That makes a skipped entry; it is an error only when the task of a mandatory
 * knob has ended. */
static int unreadable(
	struct undo_entry *entry, const struct knob *knob, int rc, struct err *why, struct err *e)
{
	if (rc == -ESRCH && knob->mandatory) {
		*e = *why;
		return err_wrap(e, "cannot plan %s", knob->id);
	}
	if (rc == -ENOENT)
		undo_entry_stand(entry, UNDO_SKIPPED, "this machine does not have it");
	else if (rc == -EPERM || rc == -EACCES)
		undo_entry_stand(entry, UNDO_SKIPPED, "the kernel does not permit it");
	else
		undo_entry_stand(entry, UNDO_SKIPPED, "%s", why->text);
	return 0;
}

static void settle(
	struct undo_entry *entry, const struct planning *p, const struct knob *knob, struct asked *asked)
{
	const struct value *value = &knob->value[p->profile];
	enum answer answer = ANSWER_VALUE;
	char text[4096];

	asked->before = entry->before;
	asked->row = entry->row;
	if (value->formula)
		answer = value->formula(asked, text, sizeof(text));
	else
		str_copy(text, sizeof(text), value->text);
	if (answer == ANSWER_NONE) {
		drop_last(p->plan);
	} else if (answer == ANSWER_SKIP) {
		undo_entry_stand(entry, UNDO_SKIPPED, "%s", text);
	} else {
		undo_entry_values(entry, entry->before, text);
		if (undo_same(entry->row->format, entry->before, text))
			undo_entry_stand(entry, UNDO_UNCHANGED, NULL);
		else if (!p->host->privileged && !knob->anyone)
			undo_entry_stand(entry, UNDO_SKIPPED, "needs root");
	}
}

static int plan_object(
	struct planning *p, const struct knob *knob, struct asked *asked, const char *object, struct err *e)
{
	bool inside = asked->link && asked->link->netns_fd >= 0;
	AUTO_FREE char *executor = str_format("%s%s", inside ? "netns-" : "", knob->executor);
	struct undo_entry *entry = undo_entry_add(p->host, p->plan, knob->id, executor, object);
	struct err why = ERR_INIT;
	int rc;

	entry->optional = !knob->mandatory;
	if (inside && (entry->netns_fd = fcntl(asked->link->netns_fd, F_DUPFD_CLOEXEC, 3)) < 0)
		return err_sys(e, "cannot keep the namespace of %s", asked->link->name);
	if (inside && asked->link->held[0])
		entry->detail = str_dup(asked->link->held);
	if (asked->thread && knob->expand == EXPAND_THREAD)
		entry->detail = undo_task_detail(p->host, asked->thread->pid);
	asked->p = p;
	rc = entry->row->read(p->host, entry, &entry->before, &why);
	if (rc < 0)
		return unreadable(entry, knob, rc, &why, e);
	settle(entry, p, knob, asked);
	return 0;
}

/* The template with # replaced by a number and @ by a name. */
static char *fill(const char *template, int number, const char *name)
{
	struct buf text = {0};

	for (const char *c = template; *c; c++) {
		if (*c == '#')
			buf_add(&text, "%d", number);
		else if (*c == '@')
			buf_add(&text, "%s", name);
		else
			buf_put(&text, c, 1);
	}
	return text.data;
}

static int plan_path(
	struct planning *p, const struct knob *knob, struct asked *asked, const char *name, struct err *e)
{
	AUTO_FREE char *path = fill(knob->object, asked->number, name);

	return plan_object(p, knob, asked, path, e);
}

/* --- what a row expands to --------------------------------------------------------------------- */

static int expand_cpus(struct planning *p, const struct knob *knob, struct err *e)
{
	int rc = 0;

	for (int cpu = 0; cpu < CPU_SETSIZE && rc == 0; cpu++) {
		struct asked asked = {.number = cpu};
		if (CPU_ISSET(cpu, &p->isolated))
			rc = plan_path(p, knob, &asked, "", e);
	}
	return rc;
}

struct irqs {
	struct planning *p;
	const struct knob *knob;
	struct err *e;
};

static int expand_irq(const char *name, void *arg)
{
	struct irqs *irqs = arg;
	struct asked asked = {0};
	uint64_t number;

	if (str_u64(name, &number))
		return 0;
	asked.number = (int)number;
	return plan_path(irqs->p, irqs->knob, &asked, "", irqs->e);
}

static int expand_irqs(struct planning *p, const struct knob *knob, struct err *e)
{
	struct irqs irqs = {p, knob, e};
	int rc = root_each(p->host->root, "/proc/irq", expand_irq, &irqs, ERR_IGNORED);

	return rc == -ENOENT || rc == -EACCES ? 0 : rc;
}

/* Queues are numbered without gaps; the first that is not there ends them. */
static int expand_queues(struct planning *p, const struct knob *knob, struct err *e)
{
	for (size_t i = 0; p->subject && i < p->subject->links_n; i++) {
		for (int queue = 0;; queue++) {
			struct asked asked = {.number = queue, .link = &p->subject->links[i]};
			size_t was = p->plan->n;
			int rc = plan_path(p, knob, &asked, asked.link->name, e);
			if (rc < 0)
				return rc;
			if (p->plan->n == was || p->plan->entries[was].before)
				continue;
			if (queue > 0) /* the entry for queue 0 stays, and says that the link has none */
				drop_last(p->plan);
			break;
		}
	}
	return 0;
}

/* Every cgroup v1 from the top of the hierarchy down to an endpoint's, parents first, each once. */
static int expand_groups(struct planning *p, const struct knob *knob, struct err *e)
{
	const char *mount = p->host->cgroups.version == CGROUP_V1 ? p->host->cgroups.cpu : "";

	for (size_t i = 0; p->subject && *mount && i < p->subject->cgroups_n; i++) {
		AUTO_FREE char *group = str_dup(p->subject->cgroups[i]);
		for (char *slash = group; slash && *slash;) {
			slash = strchr(slash + 1, '/');
			if (slash)
				*slash = 0;
			AUTO_FREE char *path = str_format("%s%s/%s", mount, group, knob->object);
			struct asked asked = {.group = group};
			bool known = false;
			for (size_t j = 0; j < p->plan->n; j++)
				known |= !strcmp(p->plan->entries[j].object, path);
			int rc = known ? 0 : plan_object(p, knob, &asked, path, e);
			if (rc < 0)
				return rc;
			if (slash)
				*slash = '/';
		}
	}
	return 0;
}

/* Does an earlier thread of these roles belong to the same process? */
static bool process_seen(const struct subject *subject, size_t index, unsigned roles)
{
	for (size_t i = 0; i < index; i++)
		if (subject->threads[i].pid == subject->threads[index].pid &&
			(roles & ROLE_BIT(subject->threads[i].role)))
			return true;
	return false;
}

static int expand_threads(struct planning *p, const struct knob *knob, struct err *e)
{
	for (size_t i = 0; p->subject && i < p->subject->threads_n; i++) {
		const struct subject_thread *thread = &p->subject->threads[i];
		struct asked asked = {.thread = thread};
		char object[64];
		uint64_t start = thread->start;
		int tid = thread->tid;
		if (!(knob->roles & ROLE_BIT(thread->role)))
			continue;
		if (knob->expand == EXPAND_PROCESS) {
			tid = thread->pid;
			if (process_seen(p->subject, i, knob->roles) ||
				task_start_time(p->host->root, tid, &start, ERR_IGNORED) < 0)
				continue;
		}
		snprintf(object, sizeof(object), "tid %d start %llu", tid, (unsigned long long)start);
		int rc = plan_object(p, knob, &asked, object, e);
		if (rc < 0)
			return rc;
	}
	return 0;
}

int tune_knob_expand(struct planning *p, const struct knob *knob, struct err *e)
{
	struct asked one = {0};

	switch (knob->expand) {
	case EXPAND_ONE:
		return plan_path(p, knob, &one, "", e);
	case EXPAND_CPU:
		return expand_cpus(p, knob, e);
	case EXPAND_IRQ:
		return expand_irqs(p, knob, e);
	case EXPAND_QUEUE:
		return expand_queues(p, knob, e);
	case EXPAND_GROUP:
		return expand_groups(p, knob, e);
	case EXPAND_THREAD:
	case EXPAND_PROCESS:
		return expand_threads(p, knob, e);
	case EXPAND_OWN:
		return knob->plan(p, knob, e);
	}
	return 0;
}

/* --- the plan ---------------------------------------------------------------------------------- */

struct expanding {
	struct planning *p;
	struct err *e;
};

static int expand_row(const struct knob *knob, void *arg)
{
	struct expanding *x = arg;
	const struct value *value = &knob->value[x->p->profile];

	if (knob->stage != x->p->stage || (!value->text && !value->formula))
		return 0;
	return tune_knob_expand(x->p, knob, x->e);
}

static int check_cpu(const struct undo_host *host, const char *key, int64_t cpu, struct err *e)
{
	cpus ours;

	undo_cpus(host, &ours);
	if (cpu < 0 || (cpu < CPU_SETSIZE && CPU_ISSET((size_t)cpu, &ours)))
		return 0;
	return tune_not_ours(host, e, "cannot use %s %lld", key, (long long)cpu);
}

static int prepare(struct planning *p, struct err *e)
{
	const struct tuning *t = p->tuning;
	cpus ours;
	int rc;

	p->profile = t->profile;
	p->client_cpu = t->client_cpu;
	p->server_cpu = t->server_cpu;
	p->all_polled = tune_pollers_take_all(p);
	if ((rc = check_cpu(p->host, "client_cpu", t->client_cpu, e)) < 0 ||
		(rc = check_cpu(p->host, "server_cpu", t->server_cpu, e)) < 0)
		return rc;
	p->housekeeping = p->host->online;
	undo_cpus(p->host, &ours);
	if (profile_rows[p->profile].isolates && !p->all_polled && (CPU_COUNT(&ours) > 1 || *t->isolate))
		rc = tune_partition(p->host, t->isolate, &p->isolated, &p->housekeeping, e);
	if (rc == 0)
		tune_pollers_place(p);
	return rc;
}

int tune_flood_check(const struct undo_host *host, const struct tuning *tuning, struct err *e)
{
	struct planning p = {.host = host, .tuning = tuning};

	/* What else is wrong is said where it matters. */
	if (!tuning->sched_wanted || prepare(&p, ERR_IGNORED) < 0 || !tune_client_starves(&p))
		return 0;
	err_usage(e, "cannot run under SCHED_FIFO a client that sends datagrams without ever waiting: "
		     "who takes them has the same CPU, and would never run");
	return err_try(e, "leave out sched");
}

int tune_plan_make(struct undo_list **out, const struct undo_host *host, enum tune_stage stage,
	const struct tuning *tuning, const struct subject *subject, struct err *e)
{
	struct planning p = {.host = host, .tuning = tuning, .subject = subject, .stage = stage};
	struct expanding expanding = {&p, e};
	int rc = prepare(&p, e);

	if (rc < 0)
		return rc;
	p.plan = mem_alloc(sizeof(*p.plan));
	rc = tune_rows_each(expand_row, &expanding);
	free(p.tasks);
	if (rc < 0) {
		undo_list_free(p.plan);
		return rc;
	}
	*out = p.plan;
	return 0;
}
