/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Containers and processes that run already, and are somebody's: the server is a process of taut's in their
 * network namespace, and nothing is written into that.  So their addresses, routes, rules and links are
 * measured, and what else they have (limits of their cgroup, a seccomp filter) is not.
 *
 * The client is in taut's own network namespace, which is the host's, and reaches the first address that is
 * not the loopback's.  A process without a network of its own has no wire to it.
 *
 * A container is looked for where engines and runtimes keep track of it: Docker and Podman are asked by their
 * API; runc and crun, and whoever uses them (containerd and its namespaces), leave a file for each container
 * with the PID of its first process and when that started.
 */
#include "private.h"
#ifdef TAUT_ENGINES
#include "engine_api.h"
#endif

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#define PREFIX_LEAST 6 /* characters of an id that stand for the whole */

/* Folders with a folder for each container in them; a '*' stands for each folder there. */
static const struct {
	const char *folder, *file;
} states[] = {
	{"/run/runc", "state.json"},
	{"/run/containerd/runc/*", "state.json"},
	{"/run/docker/runtime-runc/*", "state.json"},
	{"/run/crun", "status"},
};

/* --- files of runc and crun -------------------------------------------------------------------- */

bool running_state_read(const char *text, pid_t *pid, uint64_t *start)
{
	json_t *state = json_loads(text, 0, NULL);
	const json_t *runc = json_object_get(state, "init_process_pid"),
		     *crun = json_object_get(state, "pid");
	json_int_t found = json_integer_value(runc ? runc : crun),
		   begun = json_integer_value(
			   json_object_get(state, runc ? "init_process_start" : "process-start-time"));

	json_decref(state);
	if (found <= 0 || found > INT32_MAX || begun < 0)
		return false;
	*pid = (pid_t)found;
	*start = (uint64_t)begun;
	return true;
}

struct search {
	const char *name;
	int root;
	const char *folder, *file;
	pid_t pid;   /* 0: none yet */
	bool whole;  /* it is called so, where others may be whose ids only begin so */
	bool others; /* there are more than one of its kind */
};

/* What is called so comes before what only begins so. */
static void found(struct search *s, pid_t pid, bool whole)
{
	if (s->whole && !whole)
		return;
	s->others = (s->others || (s->pid && s->pid != pid)) && s->whole == whole;
	s->whole = whole;
	s->pid = pid;
}

static int look_at_container(const char *id, void *arg)
{
	struct search *s = arg;
	AUTO_FREE char *path = str_format("%s/%s/%s", s->folder, id, s->file);
	AUTO_FREE char *text = NULL;
	uint64_t start = 0, now = 0;
	pid_t pid = 0;

	if (strcmp(id, s->name) != 0 && (strlen(s->name) < PREFIX_LEAST || !str_starts(id, s->name)))
		return 0;
	if (root_read_all(s->root, path, &text, NULL, ERR_IGNORED) < 0 ||
		!running_state_read(text, &pid, &start) ||
		task_start_time(s->root, pid, &now, ERR_IGNORED) < 0 || (start && now != start))
		return 0; /* not a container, or one that has ended */
	found(s, pid, !strcmp(id, s->name));
	return 0;
}

static int look_into(const char *name, void *arg)
{
	struct search *s = arg;
	const char *above = s->folder;
	AUTO_FREE char *folder = str_format("%.*s%s", (int)strcspn(above, "*"), above, name);

	s->folder = folder;
	root_each(s->root, folder, look_at_container, s, ERR_IGNORED);
	s->folder = above;
	return 0;
}

static void search_files(struct search *s)
{
	for (size_t i = 0; i < ARRAY_LEN(states); i++) {
		AUTO_FREE char *above = str_dup(states[i].folder);
		char *star = strchr(above, '*');
		s->folder = states[i].folder;
		s->file = states[i].file;
		if (star)
			star[-1] = 0;
		if (root_exists(s->root, above))
			root_each(s->root, above, star ? look_into : look_at_container, s, ERR_IGNORED);
	}
}

/* --- engines ----------------------------------------------------------------------------------- */

#ifdef TAUT_ENGINES
static void ask_engine(struct search *s, const struct engine_row *row, struct err *why)
{
	AUTO_FREE char *path = str_format("/containers/%s/json", s->name);
	struct engine_request request = {.method = "GET", .path = path, .what = "look for the container"};
	struct engine_container c = {0};
	struct engine engine;
	const char *socket = NULL;
	json_t *answer = NULL;

	if (engine_socket(row, &socket, ERR_IGNORED) < 0 || !socket)
		return;
	int rc = engine_open_at(&engine, socket, why);
	if (rc == 0)
		rc = engine_ask(&engine, &request, &answer, why);
	if (rc == 0)
		rc = engine_container_read(&c, answer, why);
	json_decref(answer);
	if (rc == -ENOENT)
		*why = ERR_INIT;
	if (rc == 0 && !c.pid)
		err_set(why, ESRCH, "%s knows it, and it does not run", row->title);
	else if (rc == 0) /* an engine takes the beginning of an id, and a name as a whole */
		found(s, c.pid, !str_starts(c.id, s->name) || !strcmp(c.id, s->name));
}

/* Who knows the container tells more than who cannot be asked; else the reasons of all are told. */
static void reason_add(struct err *why, const struct err *one)
{
	struct err before = *why;

	if (one->code == ESRCH || !before.code)
		*why = *one;
	else if (one->code && before.code != ESRCH)
		err_set(why, before.code, "%s; %s", before.text, one->text);
}

static void search_engines(struct search *s, struct err *why)
{
	for (size_t i = 0; i < runtime_rows_n; i++) {
		struct err one = ERR_INIT;
		if (runtime_rows[i]->engine)
			ask_engine(s, runtime_rows[i]->engine, &one);
		reason_add(why, &one);
	}
}
#else
static void search_engines(struct search *s, struct err *why)
{
	(void)s, (void)why;
}
#endif

int running_find(int root, const char *name, pid_t *pid, struct err *e)
{
	struct search s = {.name = name, .root = root};
	struct err why = ERR_INIT;

	search_engines(&s, &why);
	search_files(&s);
	if (s.others)
		return err_set(e, ENOTUNIQ,
			"cannot tell which container '%s' is: more than one has that name", name);
	if (!s.pid && why.code)
		return err_set(e, why.code, "cannot find container '%s': %s", name, why.text);
	if (!s.pid)
		return err_set(e, ENOENT,
			"cannot find container '%s': no engine and no runtime here knows it", name);
	*pid = s.pid;
	return 0;
}

/* --- its network ------------------------------------------------------------------------------- */

struct pick {
	bool ipv6;
	char address[64];
};

static void pick_address(const char *link, const char *address, void *arg)
{
	struct pick *pick = arg;
	bool six = strchr(address, ':') != NULL;

	if (pick->address[0] || six != pick->ipv6 || !strcmp(link, "lo") || str_starts(address, "fe80:"))
		return;
	snprintf(pick->address, sizeof(pick->address), "%.*s", (int)strcspn(address, "/"), address);
}

static bool same_namespace(int fd)
{
	struct stat own, other;

	return stat("/proc/thread-self/ns/net", &own) == 0 && fstat(fd, &other) == 0 &&
	       own.st_ino == other.st_ino && own.st_dev == other.st_dev;
}

/* The network namespace of the target, and the address in it; returns the fd. */
static int network_find(const struct settings *s, struct pick *pick, struct err *e)
{
	const char *name = settings_target_name(s);
	AUTO_CLOSE int root = root_open("/", e);
	uint64_t number = 0;
	pid_t pid = 0;
	char path[64];
	int rc = root < 0 ? root : 0;

	if (rc == 0 && str_starts(s->target, "container:"))
		rc = running_find(root, name, &pid, e);
	else if (str_u64(name, &number) == 0 && number <= INT32_MAX)
		pid = (pid_t)number;
	if (rc < 0)
		return rc;
	snprintf(path, sizeof(path), "/proc/%d/ns/net", pid);
	AUTO_CLOSE int ns = open(path, O_RDONLY | O_CLOEXEC);
	if (ns < 0 && errno == ENOENT)
		return err_set(e, ESRCH, "cannot use %s: there is no process %d", s->target, pid);
	if (ns < 0)
		return err_sys(e, "cannot open the network namespace of %s, %s", s->target, path);
	if (same_namespace(ns)) {
		err_set(e, ENOTSUP,
			"cannot measure %s: it has the network of the host, so there is no wire to it",
			s->target);
		return err_try(e, "target native");
	}
	*pick = (struct pick){.ipv6 = s->ipv6};
	if ((rc = net_addresses_each(ns, pick_address, pick, e)) < 0)
		return rc;
	if (!pick->address[0])
		return err_set(e, EADDRNOTAVAIL, "cannot reach %s: it has no IPv%c address", s->target,
			s->ipv6 ? '6' : '4');
	return steal_fd(&ns);
}

/* --- the row ----------------------------------------------------------------------------------- */

static int running_resolve(struct trial_plan *plan, struct err *e)
{
	struct pick pick;

	if (!is_privileged()) {
		err_refused(e, "cannot enter the network of %s: that is for root", plan->settings.target);
		return err_try(e, "run as root");
	}
	for (size_t i = 0; i < plan->ends_n; i++)
		if (driver_rows[plan->ends[i].job.driver].frames)
			return err_set(e, ENOTSUP,
				"cannot use driver %s with %s: it would change links that are not taut's",
				driver_name(plan->ends[i].job.driver), plan->settings.target);
	AUTO_CLOSE int ns = network_find(&plan->settings, &pick, e);
	return ns < 0 ? ns : 0;
}

static int running_start(struct target *t, struct err *e)
{
	struct pick pick;
	int ns = network_find(&t->plan.settings, &pick, e);

	if (ns < 0)
		return ns;
	t->server.netns = ns;
	str_copy(t->reached, sizeof(t->reached), pick.address);
	int rc = endpoint_spawn_agent(&t->server, t->agent, e);
	return rc < 0 ? rc : undo_groups_enter(&t->groups, &t->host, "server", t->server.child.pid, e);
}

const struct runtime_row runtime_running = {
	.name = "running",
	.help = "a container or process that runs already: its network namespace is entered",
	.files = FILES_SHARED,
	.targets = "container:NAME|pid:N",
	.resolve = running_resolve,
	.start = running_start,
};
