/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The guest's half of tuning: the rows of the tune module, planned and applied on the machine that the agent
 * runs on, with the agent's own threads as the subject.
 *
 * On cgroup v2 the agent first moves into a cgroup of its own, /taut-PID-1/server, so that the CPUs of the
 * server can be made a partition; at the end it goes back to where it was.  Everything, this cgroup included,
 * is journalled as on a host:
 * a guest of ours is thrown away, but a user's own guest must be as it was before.  When an agent was killed
 * there, the next one to tune puts its changes back first.
 *
 * A thread of its own does the work, under the normal scheduler.  The one that speaks with the site is itself
 * among those that are tuned, and must not do it under SCHED_FIFO: opening /proc/TID of a thread that is just
 * ending spins in the kernel until that has ended, for ever when it cannot run beside the spinning one.
 */
#include "agent.h"

#include "sys/sys.h"
#include "tune/tune.h"
#include "wire/job.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define STACK_BYTES (512 << 10)

struct guest {
	int root;
	struct undo_host host;
	struct tune *tune;
	char group_root[32], group[40]; /* "/taut-12-1", and "/taut-12-1/server" below it */
	struct undo_list *groups;       /* these two; NULL: there are none */
	bool grouped;                   /* lives in `group` now */
};

/* --- the cgroup -------------------------------------------------------------------------------- */

static int enter(const struct guest *g, const char *group)
{
	AUTO_FREE char *path = str_format("%s%s/cgroup.procs", g->host.cgroups.unified, group);
	char pid[16];

	snprintf(pid, sizeof(pid), "%d", getpid());
	return root_write(g->root, path, pid, ERR_IGNORED);
}

static void groups_leave(struct guest *g)
{
	struct undo_list *list = steal_ptr(&g->groups);

	if (g->grouped && enter(g, strcmp(g->host.cgroups.own, "/") ? g->host.cgroups.own : "") < 0)
		log_warn("cannot go back to the cgroup %s", g->host.cgroups.own);
	g->grouped = false;
	if (!list)
		return;
	if (undo_list_undo(&g->host, list, 0, ERR_IGNORED) < 0)
		undo_journal_shrink(list);
	else
		undo_journal_remove(list, ERR_IGNORED);
	undo_list_free(list);
}

/* Best effort: without a cgroup of its own there are other ways to keep CPUs apart. */
static void groups_enter(struct guest *g)
{
	const char *const groups[] = {g->group_root, g->group};
	struct undo_list *list = mem_alloc(sizeof(*list));

	snprintf(g->group_root, sizeof(g->group_root), "/taut-%d-1", getpid());
	snprintf(g->group, sizeof(g->group), "%s/server", g->group_root);
	for (size_t i = 0; i < ARRAY_LEN(groups); i++) {
		AUTO_FREE char *path = str_format("%s%s", g->host.cgroups.unified, groups[i]);
		struct undo_entry *entry = undo_entry_add(&g->host, list, "cgroup", "cgroup-dir", path);
		undo_entry_values(entry, "absent", "present");
	}
	if (g->host.cgroups.version != CGROUP_V2 || !g->host.privileged ||
		undo_journal_begin(&g->host, list, 0, ERR_IGNORED) < 0) {
		undo_list_free(list);
		return;
	}
	g->groups = list;
	int rc = 0;
	for (size_t i = 0; rc == 0 && i < list->n; i++)
		rc = undo_entry_apply(&g->host, &list->entries[i], ERR_IGNORED);
	g->grouped = rc == 0 && enter(g, g->group) >= 0;
	if (!g->grouped)
		groups_leave(g);
}

/* --- the subject ------------------------------------------------------------------------------- */

/* Every thread of this process but the one that asks, and one that has been joined and is listed still. */
static int subject_make(const struct guest *g, const char *address, struct subject *out, struct err *e)
{
	pid_t self = (pid_t)syscall(SYS_gettid);
	AUTO_FREE struct task *tasks = NULL;
	size_t n = 0;
	int rc = tasks_list(g->root, getpid(), &tasks, &n, e);

	if (rc < 0)
		return rc;
	for (size_t i = 0; i < n && out->threads_n < SUBJECT_THREADS_MAX; i++)
		if (tasks[i].tid != self && !(tasks[i].flags & TASK_EXITING))
			out->threads[out->threads_n++] = (struct subject_thread){
				ROLE_SERVER, tasks[i].pid, tasks[i].tid, tasks[i].start};
	if (g->grouped) {
		str_copy(out->cgroup_root, sizeof(out->cgroup_root), g->group_root);
		str_copy(out->cgroups[out->cgroups_n++], sizeof(out->cgroups[0]), g->group);
	}
	/* The link that carries the address under test; lo has nothing to tune. */
	if (agent_link(address, out->links[0].name)) {
		out->links[0].netns_fd = -1;
		out->links_n = 1;
	}
	return 0;
}

/* --- applying ---------------------------------------------------------------------------------- */

static const struct undo_table *const tables[] = {&tune_table};

static int open_machine(struct guest **out, struct err *e)
{
	struct guest *g = mem_alloc(sizeof(*g));
	int rc;

	g->host = UNDO_HOST_NONE;
	rc = g->root = root_open("/", e);
	if (rc >= 0)
		rc = undo_open(&g->host, g->root, tables, ARRAY_LEN(tables), e);
	if (rc >= 0)
		rc = undo_revert_leftover(&g->host, NULL, e);
	if (rc >= 0)
		rc = tune_open(&g->tune, &g->host, e);
	if (rc < 0) {
		agent_revert(g, ERR_IGNORED);
		return rc;
	}
	groups_enter(g);
	*out = g;
	return 0;
}

/* What the thread is to do. */
struct work {
	int (*fn)(struct work *work);
	struct guest *guest;
	const struct tuning *tuning;
	enum tune_stage stage;
	const char *address;
	bool all; /* of a verification */
	struct err *e;
	int rc;
};

static void *work_main(void *arg)
{
	struct work *work = arg;

	work->rc = work->fn(work);
	return NULL;
}

static int run(struct work *work)
{
	const struct sched_param none = {0};
	pthread_attr_t attr;
	pthread_t thread;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	pthread_attr_setinheritsched(&attr, PTHREAD_EXPLICIT_SCHED);
	pthread_attr_setschedpolicy(&attr, SCHED_OTHER);
	pthread_attr_setschedparam(&attr, &none);
	int rc = pthread_create(&thread, &attr, work_main, work);
	pthread_attr_destroy(&attr);
	if (rc)
		return err_code(work->e, rc, "cannot start a thread");
	pthread_join(thread, NULL);
	return work->rc;
}

static int apply_stage(struct work *work)
{
	struct guest *g = work->guest;
	struct subject *subject = mem_alloc(sizeof(*subject));
	struct undo_list *plan = NULL;
	int rc = subject_make(g, work->address, subject, work->e);

	if (rc == 0)
		rc = tune_plan_make(&plan, &g->host, work->stage, work->tuning, subject, work->e);
	if (rc == 0)
		rc = tune_apply(g->tune, plan, work->e);
	free(subject);
	return rc;
}

static int verify_all(struct work *work)
{
	return tune_verify(work->guest->tune, &work->all, work->e);
}

static int revert_all(struct work *work)
{
	int rc = work->guest->tune ? tune_revert(work->guest->tune, work->e) : 0;

	tune_free(work->guest->tune);
	return rc;
}

static int request_read(const json_t *request, struct tuning *tuning, enum tune_stage *stage, struct err *e)
{
	const char *name = json_string_value(json_object_get(request, "stage"));

	if (json_object_size(request) != 2 || !name || !str_in(name, "host|live"))
		return err_set(e, EPROTO, "cannot tune this machine: it is not said what and when");
	*stage = strcmp(name, "host") ? TUNE_LIVE : TUNE_HOST;
	return guest_tuning_from_json(tuning, json_object_get(request, "tuning"), e);
}

static int tune(struct guest **guest, const json_t *request, const char *address, struct err *e)
{
	struct tuning tuning;
	struct work work = {.fn = apply_stage, .tuning = &tuning, .address = address, .e = e};
	int rc = request_read(request, &tuning, &work.stage, e);

	if (rc == 0 && !*guest)
		rc = open_machine(guest, e);
	if (rc < 0)
		return rc;
	work.guest = *guest;
	rc = run(&work);
	return rc < 0 ? err_wrap(e, "cannot tune the machine of the server") : 0;
}

static bool is_revert(const json_t *request)
{
	const char *name = json_string_value(json_object_get(request, "stage"));

	return name && !strcmp(name, "revert") && json_object_size(request) == 1;
}

int agent_tune(
	struct guest **guest, const json_t *request, const char *address, json_t **reply, struct err *e)
{
	int rc = is_revert(request) ? agent_revert(steal_ptr(guest), e) : tune(guest, request, address, e);

	if (rc < 0)
		return rc;
	*reply = json_pack("{s:o}", "knobs", *guest ? tune_effective_json((*guest)->tune) : json_array());
	return 0;
}

int agent_verify(struct guest *guest, json_t **reply, struct err *e)
{
	struct work work = {.fn = verify_all, .guest = guest, .all = true, .e = e};
	int rc = guest ? run(&work) : 0;

	if (rc < 0)
		return rc;
	*reply = json_pack("{s:b, s:o}", "all", work.all, "knobs",
		guest ? tune_effective_json(guest->tune) : json_array());
	return 0;
}

int agent_revert(struct guest *guest, struct err *e)
{
	struct work work = {.fn = revert_all, .guest = guest, .e = e};

	if (!guest)
		return 0;
	int rc = run(&work);
	groups_leave(guest);
	if (guest->host.state[0])
		rmdir(guest->host.state); /* unless a journal or somebody else's is in it */
	undo_close(&guest->host);
	if (guest->root >= 0)
		close(guest->root);
	free(guest);
	return rc;
}
