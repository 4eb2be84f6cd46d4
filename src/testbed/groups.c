/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The cgroups of one target: a root that tuning may confine before anything runs, with a child per endpoint.
 * Endpoints live in them in every arm, stock too, so that arms differ by what tuning writes and by nothing
 * else.  They are cpusets only: as to its share of the CPU a native endpoint stays where taut was started,
 * next to whatever else runs there; a container has the share that its runtime gives it.
 *
 * v1: the root is made in the cpu and the cpuset hierarchy.  A cpuset child is born without CPUs and takes
 * no task until it has some, so children copy what the root holds at that moment.  v2: one hierarchy;
 * children inherit by being empty.  There the controllers must be switched on in the parent: what was off is
 * switched off again at the end, and where that is not allowed the cgroups serve without.
 *
 * A container runtime makes its own cgroup below the root, in v1 in every hierarchy, and takes away only
 * that one: removal goes through all.
 */
#include "private.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>

static const char *const cpuset_files[] = {"cpuset.cpus", "cpuset.mems"};
static const char *const controllers[] = {"cpuset"};

/* --- making ------------------------------------------------------------------------------------ */

static int group_write(const char *group, const char *file, const char *text, struct err *e)
{
	AUTO_FREE char *path = str_format("%s/%s", group, file);
	AUTO_CLOSE int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		return err_sys(e, "cannot write '%s' to %s", text, path);
	return 0;
}

static int group_read(const char *group, const char *file, char *out, size_t size)
{
	AUTO_FREE char *path = str_format("%s/%s", group, file);
	AUTO_CLOSE int root = root_open("/", ERR_IGNORED);

	return root_read(root, path, out, size, ERR_IGNORED);
}

static int cpuset_copy(const char *from, const char *to, struct err *e)
{
	for (size_t i = 0; i < ARRAY_LEN(cpuset_files); i++) {
		char text[4096];
		int rc = group_read(from, cpuset_files[i], text, sizeof(text));
		if (rc < 0)
			return err_code(e, -rc, "cannot read %s/%s", from, cpuset_files[i]);
		if ((rc = group_write(to, cpuset_files[i], text, e)) < 0)
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

/* Switches on what is off; `enabled` collects what undoes it, or is NULL. */
static void controllers_enable(const char *group, char *enabled, size_t size)
{
	char on[1024];

	if (group_read(group, "cgroup.subtree_control", on, sizeof(on)) < 0)
		return;
	for (size_t i = 0; i < ARRAY_LEN(controllers); i++) {
		char word[16];
		snprintf(word, sizeof(word), "+%s", controllers[i]);
		if (has_word(on, controllers[i]) ||
			group_write(group, "cgroup.subtree_control", word, ERR_IGNORED) < 0)
			continue;
		size_t used = enabled ? strlen(enabled) : 0;
		if (enabled)
			snprintf(enabled + used, size - used, "%s-%s", used ? " " : "", controllers[i]);
	}
}

static int root_make(struct groups *g, size_t i, bool v2, struct err *e)
{
	AUTO_FREE char *path = str_format("%s%s", g->mounts[i], g->root);

	if (v2)
		controllers_enable(g->mounts[i], g->enabled, sizeof(g->enabled));
	if (mkdir(path, 0755) < 0)
		return err_sys(e, "cannot make cgroup %s", path);
	if (v2)
		controllers_enable(path, NULL, 0);
	return g->cpuset_v1[i] ? cpuset_copy(g->mounts[i], path, e) : 0;
}

static void hierarchy_add(struct groups *g, const char *mount, bool enter, bool cpuset_v1)
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

void groups_create(struct groups *g, const char *id)
{
	AUTO_CLOSE int root = root_open("/", ERR_IGNORED);
	struct cgroups found = {0};
	struct err e = ERR_INIT;
	int rc = 0;

	*g = (struct groups){0};
	if (!is_privileged() || cgroups_find(root, &found, ERR_IGNORED) < 0 || found.version == CGROUP_NONE)
		return;
	bool v2 = found.version == CGROUP_V2;
	hierarchy_add(g, found.cpu, false, false);
	hierarchy_add(g, found.cpuset, true, !v2);
	snprintf(g->root, sizeof(g->root), "/%s", id);
	for (size_t i = 0; rc == 0 && i < g->n; i++)
		rc = root_make(g, i, v2, &e);
	if (rc < 0) {
		log_debug("no cgroups for the endpoints: %s", e.text);
		groups_remove(g, id, time_now_ns(), ERR_IGNORED);
	}
}

int groups_enter(const struct groups *g, const char *name, pid_t pid, struct err *e)
{
	char text[16];
	int rc = 0;

	snprintf(text, sizeof(text), "%d", pid);
	for (size_t i = 0; rc == 0 && g->root[0] && i < g->n; i++) {
		if (!g->enter[i])
			continue;
		AUTO_FREE char *parent = str_format("%s%s", g->mounts[i], g->root);
		AUTO_FREE char *path = str_format("%s/%s", parent, name);
		if (mkdir(path, 0755) < 0 && errno != EEXIST)
			return err_sys(e, "cannot make cgroup %s", path);
		if (g->cpuset_v1[i])
			rc = cpuset_copy(parent, path, e);
		if (rc == 0)
			rc = group_write(path, "cgroup.procs", text, e);
	}
	return rc;
}

/* --- removing ---------------------------------------------------------------------------------- */

static pid_t first_task(const char *group)
{
	AUTO_FREE char *path = str_format("%s/cgroup.procs", group);
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
	char text[32];
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1); /* may be long: the first line will do */

	text[n > 0 ? n : 0] = 0;
	return (pid_t)strtol(text, NULL, 10);
}

/* Something lives in there: waits for the end of the first of them, or 1 ms where none is to be seen. */
static void wait_for_tasks(const char *group, bool kill_tasks, uint64_t deadline_ns)
{
	pid_t pid = first_task(group);
	uint64_t now = time_now_ns();

	if (pid > 0 && pid != getpid() && kill_tasks) {
		process_kill(pid, 0, deadline_ns);
		return;
	}
	AUTO_CLOSE int pidfd = pid > 0 ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;
	struct pollfd p = {.fd = pidfd, .events = POLLIN};
	uint64_t left = now < deadline_ns ? (deadline_ns - now) / NS_PER_MS : 0;
	poll(&p, 1, pidfd >= 0 ? (int)MIN(left, 1000u) : 1);
}

static int children_remove(const char *path, bool kill_tasks, uint64_t deadline_ns, struct err *e)
{
	DIR *dir = opendir(path);
	struct dirent *d;
	int rc = 0;

	if (!dir)
		return errno == ENOENT ? 0 : err_sys(e, "cannot open cgroup %s", path);
	while (rc == 0 && (d = readdir(dir))) {
		if (d->d_type != DT_DIR || !strcmp(d->d_name, ".") || !strcmp(d->d_name, ".."))
			continue;
		AUTO_FREE char *child = str_format("%s/%s", path, d->d_name);
		rc = group_remove(child, kill_tasks, deadline_ns, e);
	}
	closedir(dir);
	return rc;
}

int group_remove(const char *path, bool kill_tasks, uint64_t deadline_ns, struct err *e)
{
	int rc = children_remove(path, kill_tasks, deadline_ns, e);

	while (rc == 0 && rmdir(path) < 0 && errno != ENOENT) {
		if (errno != EBUSY || time_now_ns() >= deadline_ns)
			return err_sys(e, "cannot remove cgroup %s", path);
		wait_for_tasks(path, kill_tasks, deadline_ns);
	}
	return rc;
}

int groups_mounts_each(int (*fn)(const char *mount, void *arg), void *arg, struct err *e)
{
	AUTO_CLOSE int root = root_open("/", e);
	AUTO_FREE char *text = NULL;
	int rc = root < 0 ? root : root_read_all(root, "/proc/self/mountinfo", &text, NULL, e);

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

struct removal {
	const char *id;
	uint64_t deadline_ns;
	struct err *e;
	int rc; /* the first that failed */
};

static int remove_in(const char *mount, void *arg)
{
	struct removal *r = arg;
	AUTO_FREE char *path = str_format("%s/%s", mount, r->id);
	int rc = group_remove(path, false, r->deadline_ns, r->rc < 0 ? NULL : r->e);

	r->rc = r->rc < 0 ? r->rc : rc;
	return 0;
}

int groups_remove(struct groups *g, const char *id, uint64_t deadline_ns, struct err *e)
{
	struct removal r = {id, deadline_ns, e, 0};
	int rc = groups_mounts_each(remove_in, &r, e);

	for (char *save = NULL, *word = strtok_r(g->enabled, " ", &save); word;
		word = strtok_r(NULL, " ", &save))
		group_write(g->mounts[0], "cgroup.subtree_control", word, ERR_IGNORED);
	*g = (struct groups){0};
	return rc < 0 ? rc : r.rc;
}
