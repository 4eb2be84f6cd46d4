/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The cgroups of one trial: a root that tuning may confine before anything runs, with a child per endpoint.
 * Endpoints live in them in every arm, stock too, so that arms differ by what tuning writes and by nothing
 * else.  They are cpusets only: as to its share of the CPU a native endpoint stays where taut was started,
 * next to whatever else runs there; a container has the share that its runtime gives it.
 *
 * v1: the root is made in the cpu and the cpuset hierarchy.  A cpuset child is born without CPUs and takes
 * no task until it has some, so children copy what the root holds at that moment.  v2: one hierarchy;
 * children inherit by being empty.  There the controllers must be switched on in the parent, which is a
 * change of what was there before: it is journalled, and undone at the end or by a later taut.  Where it is
 * not allowed the cgroups serve without.
 *
 * The cgroups themselves carry their owner's name and are not in the journal: the sweep finds them.  A
 * container runtime makes its own cgroup below the root, in v1 in every hierarchy, and takes away only that
 * one: removal goes through all.  In v2 it also switches on every controller that there is, in the parent
 * too; which of them were off is written down before it runs.
 */
#include "private.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/syscall.h>

#define CONTROLLER "cpuset"

static const char *const cpuset_files[] = {"cpuset.cpus", "cpuset.mems"};

/* --- making ------------------------------------------------------------------------------------ */

static int group_write(
	const struct undo_host *host, const char *group, const char *file, const char *text, struct err *e)
{
	AUTO_FREE char *path = str_format("%s/%s", group, file);
	int rc = host->calls->write_file(host->calls_arg, host->root, path, text);

	return rc < 0 ? err_code(e, -rc, "cannot write '%s' to %s", text, path) : 0;
}

static int group_read(
	const struct undo_host *host, const char *group, const char *file, char *out, size_t size)
{
	AUTO_FREE char *path = str_format("%s/%s", group, file);

	return root_read(host->root, path, out, size, ERR_IGNORED);
}

static int group_make(const struct undo_host *host, const char *path, struct err *e)
{
	int rc = host->calls->make_dir(host->calls_arg, host->root, path);

	return rc < 0 && rc != -EEXIST ? err_code(e, -rc, "cannot make cgroup %s", path) : rc;
}

static int cpuset_copy(const struct undo_host *host, const char *from, const char *to, struct err *e)
{
	for (size_t i = 0; i < ARRAY_LEN(cpuset_files); i++) {
		char text[4096];
		int rc = group_read(host, from, cpuset_files[i], text, sizeof(text));
		if (rc < 0)
			return err_code(e, -rc, "cannot read %s/%s", from, cpuset_files[i]);
		if ((rc = group_write(host, to, cpuset_files[i], text, e)) < 0)
			return rc;
	}
	return 0;
}

static bool has_word(const char *text, const char *word)
{
	size_t n = strlen(word);

	for (const char *p = text; *p; p += strcspn(p, " "), p += strspn(p, " "))
		if (strcspn(p, " ") == n && !strncmp(p, word, n))
			return true;
	return false;
}

/* --- controllers ------------------------------------------------------------------------------- */

/* An entry for each controller that is off in `group` and that we switch on, or a runtime may. */
static struct undo_list *controllers_off(const struct undo_host *host, const char *group, bool others)
{
	AUTO_FREE char *object = str_format("%s/cgroup.subtree_control", group);
	struct undo_list *list = mem_alloc(sizeof(*list));
	char there[1024], on[1024];

	if (group_read(host, group, "cgroup.controllers", there, sizeof(there)) < 0 ||
		group_read(host, group, "cgroup.subtree_control", on, sizeof(on)) < 0)
		return list;
	for (char *save = NULL, *word = strtok_r(there, " ", &save); word;
		word = strtok_r(NULL, " ", &save)) {
		bool ours = !strcmp(word, CONTROLLER);
		if (has_word(on, word) || (!ours && !others))
			continue;
		AUTO_FREE char *before = str_format("-%s", word);
		AUTO_FREE char *after = str_format("+%s", word);
		struct undo_entry *entry =
			undo_entry_add(host, list, "cgroup-controllers", "cgroup-controller", object);
		undo_entry_values(entry, before, after);
		entry->optional = !ours; /* a runtime may write it, we do not */
	}
	return list;
}

/* Puts back what is on now and was off; what cannot be put back stays in the journal. */
static int controllers_restore(struct undo_groups *g, const struct undo_host *host, struct err *e)
{
	struct undo_list *list = g->controllers;
	int rc;

	if (!list)
		return 0;
	g->controllers = NULL;
	rc = undo_list_undo(host, list, 0, e);
	if (rc < 0)
		undo_journal_shrink(list);
	else
		rc = undo_journal_remove(list, e);
	undo_list_free(list);
	return rc;
}

/* Nothing is switched on that is not in the journal. */
static void controllers_enable(
	struct undo_groups *g, const struct undo_host *host, const char *group, bool others)
{
	struct undo_list *list = controllers_off(host, group, others);
	struct err e = ERR_INIT;

	if (list->n == 0 || undo_journal_begin(host, list, 0, &e) < 0) {
		if (e.code)
			log_debug("no cpuset for the endpoints: %s", e.text);
		undo_list_free(list);
		return;
	}
	g->controllers = list;
	for (size_t i = 0; i < list->n; i++) {
		struct undo_entry *entry = &list->entries[i];
		entry->written = true;
		if (!entry->optional && undo_entry_apply(host, entry, &e) < 0)
			log_debug("no cpuset for the endpoints: %s", e.text);
	}
}

/* Who moves to another cpuset gets all CPUs of that, whatever it was started with. */
static int root_limit(const struct undo_host *host, const char *path, bool cpuset, struct err *e)
{
	AUTO_FREE char *file = str_format("%s/%s", path, cpuset_files[0]);
	char list[4096];
	cpus ours;

	if (!cpuset || CPU_COUNT(&host->withheld) == 0 || !root_exists(host->root, file))
		return 0;
	undo_cpus(host, &ours);
	return group_write(host, path, cpuset_files[0], cpus_format_list(&ours, list, sizeof(list)), e);
}

static int root_make(
	struct undo_groups *g, const struct undo_host *host, size_t i, bool others, struct err *e)
{
	AUTO_FREE char *path = str_format("%s%s", g->mounts[i], g->root);
	bool v2 = host->cgroups.version == CGROUP_V2;
	int rc;

	if (v2)
		controllers_enable(g, host, g->mounts[i], others);
	rc = group_make(host, path, e);
	if (rc < 0)
		return rc == -EEXIST ? err_code(e, EEXIST, "cannot make cgroup %s", path) : rc;
	if (v2) /* goes with the cgroup */
		group_write(host, path, "cgroup.subtree_control", "+" CONTROLLER, ERR_IGNORED);
	rc = g->cpuset_v1[i] ? cpuset_copy(host, g->mounts[i], path, e) : 0;
	return rc < 0 ? rc : root_limit(host, path, v2 || g->cpuset_v1[i], e);
}

static void hierarchy_add(struct undo_groups *g, const char *mount, bool enter, bool cpuset_v1)
{
	if (!mount[0])
		return;
	if (g->n && !strcmp(g->mounts[g->n - 1], mount)) {
		g->cpuset_v1[g->n - 1] |= cpuset_v1; /* both controllers in one hierarchy */
		g->enter[g->n - 1] |= enter;
		return;
	}
	str_copy(g->mounts[g->n], sizeof(g->mounts[0]), mount);
	g->enter[g->n] = enter;
	g->cpuset_v1[g->n++] = cpuset_v1;
}

void undo_groups_create(struct undo_groups *g, const struct undo_host *host, const char *id, bool others)
{
	const struct cgroups *found = &host->cgroups;
	struct err e = ERR_INIT;
	int rc = 0;

	*g = (struct undo_groups){0};
	if (!host->privileged || found->version == CGROUP_NONE)
		return;
	hierarchy_add(g, found->cpu, false, false);
	hierarchy_add(g, found->cpuset, true, found->version == CGROUP_V1);
	snprintf(g->root, sizeof(g->root), "/%s", id);
	for (size_t i = 0; rc == 0 && i < g->n; i++)
		rc = root_make(g, host, i, others, &e);
	if (rc < 0) {
		log_debug("no cgroups for the endpoints: %s", e.text);
		undo_groups_remove(g, host, id, time_now_ns(), ERR_IGNORED);
	}
}

int undo_groups_enter(
	const struct undo_groups *g, const struct undo_host *host, const char *name, pid_t pid, struct err *e)
{
	char text[16];
	int rc = 0;

	snprintf(text, sizeof(text), "%d", pid);
	for (size_t i = 0; rc == 0 && g->root[0] && i < g->n; i++) {
		if (!g->enter[i])
			continue;
		AUTO_FREE char *parent = str_format("%s%s", g->mounts[i], g->root);
		AUTO_FREE char *path = str_format("%s/%s", parent, name);
		rc = group_make(host, path, e);
		if (rc < 0 && rc != -EEXIST)
			return rc;
		rc = g->cpuset_v1[i] ? cpuset_copy(host, parent, path, e) : 0;
		if (rc == 0)
			rc = group_write(host, path, "cgroup.procs", text, e);
	}
	return rc;
}

/* --- whose it is ------------------------------------------------------------------------------- */

bool undo_cgroup_of_dead(const struct undo_host *host, const char *name, bool *alive)
{
	struct undo_owner owner;
	char base[160];

	*alive = false;
	undo_base(base, sizeof(base));
	if (!str_starts(name, "taut-") || !undo_owner_of_name(base, name, &owner))
		return false;
	*alive = undo_owner_alive(host->root, &owner);
	return !*alive;
}

bool undo_cgroup_left(const struct undo_host *host, const char *path)
{
	const char *at = strstr(path, "/taut-");
	bool alive;
	char name[64];

	if (!at)
		return false;
	snprintf(name, sizeof(name), "%.*s", (int)strcspn(at + 1, "/"), at + 1);
	return undo_cgroup_of_dead(host, name, &alive);
}

/* --- removing ---------------------------------------------------------------------------------- */

static pid_t first_task(const struct undo_host *host, const char *group)
{
	AUTO_FREE char *path = str_format("%s/cgroup.procs", group);
	AUTO_FREE char *text = NULL;

	if (root_read_all(host->root, path, &text, NULL, ERR_IGNORED) < 0)
		return 0;
	return (pid_t)strtol(text, NULL, 10);
}

/* Something lives in there: waits for the end of the first of them, or 1 ms where none is to be seen. */
static void wait_for_tasks(
	const struct undo_host *host, const char *group, bool kill_tasks, uint64_t deadline_ns)
{
	pid_t pid = first_task(host, group);
	uint64_t now = time_now_ns();

	if (pid > 0 && pid != getpid() && kill_tasks && undo_is_real_root(host->root)) {
		process_kill(pid, 0, deadline_ns);
		return;
	}
	AUTO_CLOSE int pidfd = pid > 0 ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;
	struct pollfd p = {.fd = pidfd, .events = POLLIN};
	uint64_t left = now < deadline_ns ? (deadline_ns - now) / NS_PER_MS : 0;
	poll(&p, 1, pidfd >= 0 ? (int)MIN(left, 1000u) : 1);
}

struct removal {
	const struct undo_host *host;
	const char *path; /* of the cgroup whose children these are, or the name of one in every hierarchy */
	bool kill_tasks;
	uint64_t deadline_ns;
	struct err *e;
	int rc; /* the first that failed */
};

/* A folder that has this file is a cgroup. */
static int child_remove(const char *name, void *arg)
{
	const struct removal *r = arg;
	AUTO_FREE char *child = str_format("%s/%s", r->path, name);
	AUTO_FREE char *procs = str_format("%s/cgroup.procs", child);

	return root_exists(r->host->root, procs)
		       ? undo_cgroup_remove(r->host, child, r->kill_tasks, r->deadline_ns, r->e)
		       : 0;
}

int undo_cgroup_remove(
	const struct undo_host *host, const char *path, bool kill_tasks, uint64_t deadline_ns, struct err *e)
{
	struct removal r = {host, path, kill_tasks, deadline_ns, e, 0};
	int rc;

	if (!root_exists(host->root, path)) /* on a read-only mount removing it would say so instead */
		return 0;
	rc = root_each(host->root, path, child_remove, &r, e);
	while (rc >= 0) {
		int removed = host->calls->remove_dir(host->calls_arg, host->root, path);
		if (removed == 0 || removed == -ENOENT)
			return 0;
		if (removed != -EBUSY || time_now_ns() >= deadline_ns)
			return err_code(e, -removed, "cannot remove cgroup %s", path);
		wait_for_tasks(host, path, kill_tasks, deadline_ns);
	}
	return rc == -ENOENT ? 0 : rc;
}

int undo_cgroup_mounts_each(
	const struct undo_host *host, int (*fn)(const char *mount, void *arg), void *arg, struct err *e)
{
	AUTO_FREE char *text = NULL;
	int rc = root_read_all(host->root, "/proc/self/mountinfo", &text, NULL, e);

	if (rc < 0)
		return rc;
	rc = 0;
	for (char *save = NULL, *line = strtok_r(text, "\n", &save); rc == 0 && line;
		line = strtok_r(NULL, "\n", &save)) {
		char mount[512], type[64];
		char *dash = strstr(line, " - ");
		if (dash && sscanf(line, "%*s %*s %*s %*s %511s", mount) == 1 &&
			sscanf(dash + 3, "%63s", type) == 1 && str_in(type, "cgroup|cgroup2"))
			rc = fn(mount, arg);
	}
	return rc;
}

static int remove_in(const char *mount, void *arg)
{
	struct removal *r = arg;
	AUTO_FREE char *path = str_format("%s/%s", mount, r->path);
	int rc = undo_cgroup_remove(
		r->host, path, r->kill_tasks, r->deadline_ns, r->rc < 0 ? ERR_IGNORED : r->e);

	r->rc = r->rc < 0 ? r->rc : rc;
	return 0;
}

int undo_groups_remove(struct undo_groups *g, const struct undo_host *host, const char *id,
	uint64_t deadline_ns, struct err *e)
{
	/* What has not ended by itself until now, such as the half of a runtime that was given up, has to. */
	struct removal r = {host, id, true, deadline_ns, e, 0};
	int rc = undo_cgroup_mounts_each(host, remove_in, &r, e);

	rc = rc < 0 ? rc : r.rc;
	int restored = controllers_restore(g, host, rc < 0 ? ERR_IGNORED : e);
	*g = (struct undo_groups){0};
	return rc < 0 ? rc : restored;
}
