/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Containers by Docker and Podman, which differ in what their rows say.
 *
 * An engine starts the server itself, so nothing can be handed over.  In the folder of the owner record,
 * which nobody else may enter, lies a socket that is bound into the container; the agent connects to it, and
 * then it is closed and its name removed: nobody can connect a second time.  That the connection is the
 * container's first process is told by the kernel.  The rest is as for any other container: the PID comes
 * with HELLO, and what the agent says on stderr goes to a memfd of ours.
 *
 * With the driver cgroupfs the container sits below taut's own cgroup, and is confined and given a realtime
 * budget with it.  With the driver systemd it sits in a scope that systemd watches; then taut makes no
 * cgroups, and tuning sets CPUs apart by affinity.
 *
 * What is made outlives a taut that is killed.  So its name is in the state folder before it is made: a file
 * "engine-ID" that holds the socket's path, where ID is that of the owner record, the name of the container,
 * and the label of the container and the image.  While it is being written it is called "engine-ID.new";
 * whoever is killed then has made nothing.
 */
#include "engine.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define RECORD    "engine-"
#define HALF      ".new" /* of file_write_synced() */
#define ACCEPT_NS (10 * NS_PER_S)
#define STOP_NS   (20 * NS_PER_S)

/* --- before anything is made ------------------------------------------------------------------- */

static int network_check(const struct engine *g, const char *name, struct err *e)
{
	AUTO_FREE char *path = str_format("/networks/%s", name);
	struct engine_request request = {.method = "GET", .path = path, .what = "use that network"};
	json_t *answer = NULL;

	if (!engine_name_valid(name))
		return err_usage(e, "cannot use network '%s': no network has such a name", name);
	int rc = engine_ask(g, &request, &answer, e);
	if (rc == 0)
		rc = engine_network_read(answer, name, e);
	json_decref(answer);
	return rc == -ENOENT ? err_wrap(e, "attachment engine:%s", name) : rc;
}

static int resolve(struct trial_plan *plan, struct err *e)
{
	const struct engine_row *row = plan->runtime->engine;
	const struct settings *s = &plan->settings;
	struct engine engine;
	const char *network;

	if (!is_privileged()) {
		err_refused(e,
			"cannot make a container by %s: links and cgroups of the host are for root alone",
			row->title);
		return err_try(e, "run as root");
	}
	if (engine_network(s, &network) && plan->ends[END_SERVER].job.workload->kernel_answers)
		return err_set(e, ENOTSUP,
			"cannot run %s with attachment %s: engines publish ports, and an echo has none",
			s->workload, s->attachment);
	if (engine_network(s, &network) && s->mtu)
		return err_set(e, ENOTSUP,
			"cannot use mtu with attachment %s: that network is the engine's, and has its own",
			s->attachment);
	for (size_t i = 0; !plan->attachment->create && i < plan->ends_n; i++)
		if (driver_rows[plan->ends[i].job.driver].frames)
			return err_set(e, ENOTSUP,
				"cannot use driver %s with attachment %s: it makes frames for a neighbour, and here a host routes",
				driver_name(plan->ends[i].job.driver), s->attachment);
	if (!plan->attachment->create && s->ipv6)
		return err_set(e, ENOTSUP,
			"cannot use ipv6 with attachment %s: engines publish ports at IPv4 addresses",
			s->attachment);
	int rc = engine_open(&engine, row, e);
	if (rc == 0 && engine_network(s, &network) && str_starts(s->attachment, "engine:"))
		rc = network_check(&engine, network, e);
	return rc;
}

/* --- control stream ---------------------------------------------------------------------------- */

static int listener_open(struct target *t, struct err *e)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	int on = 1;

	snprintf(at.sun_path, sizeof(at.sun_path), "%.90s/control", t->owner.folder);
	AUTO_CLOSE int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	/* Root of a container may be another user out here; who reaches the folder is decided by the folder.
	 */
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) < 0 ||
		bind(fd, (const struct sockaddr *)&at, sizeof(at)) < 0 || chmod(at.sun_path, 0666) < 0 ||
		listen(fd, 1) < 0)
		return err_sys(e, "cannot make the socket %s", at.sun_path);
	t->engine->listener = steal_fd(&fd);
	return 0;
}

static void listener_close(struct target *t)
{
	AUTO_FREE char *path = str_format("%s/control", t->owner.folder);

	if (t->engine->listener < 0)
		return;
	close(steal_fd(&t->engine->listener));
	unlink(path);
}

/* One byte with the memfd that is to be stderr. */
static int hand_over(const struct endpoint *ep, struct err *e)
{
	union {
		char room[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} space = {0};
	struct iovec v = {&(char){0}, 1};
	struct msghdr m = {
		.msg_iov = &v, .msg_iovlen = 1, .msg_control = &space, .msg_controllen = sizeof(space)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &ep->said, sizeof(int));
	return sendmsg(ep->control, &m, MSG_NOSIGNAL) == 1 ? 0 : err_sys(e, "cannot greet %s", ep->name);
}

/* The connection of the container, which is alive. */
static int stream_take(struct target *t, pid_t pid, struct err *e)
{
	AUTO_CLOSE int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	struct pollfd p[] = {{.fd = t->engine->listener, .events = POLLIN}, {.fd = pidfd, .events = POLLIN}};
	uint64_t deadline = time_now_ns() + boot_patience_ns(ACCEPT_NS);
	struct ucred peer = {0};
	socklen_t size = sizeof(peer);

	while (!p[0].revents && !p[1].revents && time_now_ns() < deadline && !stop_flag)
		if (poll(p, ARRAY_LEN(p), 100) < 0 && errno != EINTR)
			return err_sys(e, "cannot wait for %s", t->server.name);
	if (stop_flag)
		return err_set(e, EINTR, "interrupted");
	if (!p[0].revents)
		return p[1].revents ? err_set(e, ECHILD, "cannot start the agent: it ended at once")
				    : err_set(e, ETIMEDOUT, "cannot start the agent: it says nothing");
	AUTO_CLOSE int fd = accept4(t->engine->listener, NULL, NULL, SOCK_CLOEXEC);
	if (fd < 0 || getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
		return err_sys(e, "cannot take the control stream of %s", t->server.name);
	if (peer.pid != pid)
		return err_set(e, EPERM,
			"cannot start the agent: process %d spoke in the place of process %d", peer.pid, pid);
	close(t->server.control);
	t->server.control = steal_fd(&fd);
	close(steal_fd(&t->server.theirs));
	return hand_over(&t->server, e);
}

/* --- start ------------------------------------------------------------------------------------- */

static int record_write(struct target *t, struct err *e)
{
	struct engine_use *use = t->engine;
	int n = snprintf(use->record, sizeof(use->record), "%s/" RECORD "%s", t->host.state, t->owner.id);

	if (n < 0 || (size_t)n >= sizeof(use->record))
		return err_set(
			e, ENAMETOOLONG, "cannot keep a record in %s: its path is too long", t->host.state);
	return file_write_synced(use->record, use->engine.socket, strlen(use->engine.socket), 0600, e);
}

static int container_look(struct target *t, struct engine_container *out, struct err *e)
{
	AUTO_FREE char *path = str_format("/containers/%s/json", t->engine->container);
	struct engine_request request = {.method = "GET", .path = path, .what = "look at the container"};
	json_t *answer = NULL;
	int rc = engine_ask(&t->engine->engine, &request, &answer, e);

	if (rc == 0)
		rc = engine_container_read(out, answer, e);
	json_decref(answer);
	return rc;
}

static int container_create(struct target *t, struct err *e)
{
	AUTO_FREE char *path = str_format("/containers/create?name=%s", t->owner.id);
	AUTO_FREE char *what = str_format("create container %s", t->owner.id);
	struct engine_request request = {.method = "POST",
		.path = path,
		.what = what,
		.body = engine_create_body(t, t->engine->image)};
	json_t *answer = NULL;
	int rc = engine_ask(&t->engine->engine, &request, &answer, e);
	const char *id = json_string_value(json_object_get(answer, "Id"));

	if (rc == 0 && (!id || !engine_name_valid(id) ||
			       str_copy(t->engine->container, sizeof(t->engine->container), id)))
		rc = err_set(e, EPROTO, "cannot %s: the engine does not say what it has made", what);
	json_decref(answer);
	return rc;
}

static int container_start(struct target *t, struct engine_container *out, struct err *e)
{
	AUTO_FREE char *path = str_format("/containers/%s/start", t->engine->container);
	AUTO_FREE char *what = str_format("start container %s", t->owner.id);
	struct engine_request request = {.method = "POST", .path = path, .what = what};
	int rc = engine_call(&t->engine->engine, &request, NULL, e);

	if (rc == 0)
		rc = container_look(t, out, e);
	if (rc < 0 || out->pid > 0)
		return rc;
	return err_set(e, ECHILD, "cannot start the agent: the container ended at once (exit status %d)",
		out->status);
}

/* Where tuning and the sampler find the server. */
static int cgroup_find(struct target *t, pid_t pid, struct err *e)
{
	const char *controller = t->host.cgroups.version == CGROUP_V1 ? "cpu" : "";
	char path[64], text[8192];

	snprintf(path, sizeof(path), "/proc/%d/cgroup", pid);
	int rc = root_read(t->root, path, text, sizeof(text), e);
	return rc < 0 ? rc
		      : engine_cgroup_read(t->server_group, sizeof(t->server_group), text, controller, e);
}

static int open_engine(struct target *t, struct err *e)
{
	const struct engine_row *row = t->runtime->engine;
	bool paths = false;

	t->engine = mem_alloc(sizeof(*t->engine));
	*t->engine = (struct engine_use){.listener = -1, .netns = -1};
	t->server.through = t->runtime->name;
	int rc = engine_open(&t->engine->engine, row, e);
	if (rc == 0)
		rc = engine_cgroup_paths(&t->engine->engine, &paths, e);
	if (rc < 0)
		return rc;
	snprintf(t->version, sizeof(t->version), "%s %s", row->title, t->engine->engine.version);
	t->no_groups = !paths;
	return 0;
}

static int start(struct target *t, struct err *e)
{
	struct engine_use *use = t->engine;
	struct engine_container c = {0};
	int rc;

	if ((rc = engine_wire_open(t, e)) < 0 || (rc = listener_open(t, e)) < 0 ||
		(rc = record_write(t, e)) < 0 ||
		(rc = engine_image_make(&use->engine, t->agent, t->owner.id, use->image, e)) < 0 ||
		(rc = container_create(t, e)) < 0 || (rc = container_start(t, &c, e)) < 0 ||
		(rc = stream_take(t, c.pid, e)) < 0)
		return rc;
	listener_close(t);
	if ((rc = cgroup_find(t, c.pid, e)) < 0)
		return rc;
	return engine_wire_finish(t, &c, e);
}

/* --- end --------------------------------------------------------------------------------------- */

static void stop(struct target *t, struct buf *problems)
{
	struct engine_use *use = t->engine;
	struct err e = ERR_INIT;

	if (!use)
		return;
	if (use->record[0] && engine_remove(&use->engine, t->owner.id, use->image, &e) == 0 &&
		unlink(use->record) < 0 && errno != ENOENT)
		err_sys(&e, "cannot remove %s", use->record);
	if (e.code)
		buf_add(problems, "%s", e.text);
	listener_close(t);
	for (size_t i = 0; i < t->links_n; i++)
		if (use->netns >= 0 && t->links[i].netns_fd == use->netns)
			net_link_delete(use->netns, t->links[i].name, ERR_IGNORED); /* goes with the client */
	if (use->netns >= 0)
		close(use->netns);
	free(steal_ptr(&t->engine));
}

/* How the container ended, where the agent is no child of ours. */
static void ended(struct target *t, struct buf *out)
{
	struct engine_container c = {0};
	char how[64];

	if (!t->engine || !t->engine->container[0] || container_look(t, &c, ERR_IGNORED) < 0 || c.pid)
		return;
	/* As a shell says it: 128 and the signal. */
	int status = c.status > 128 ? c.status - 128 : W_EXITCODE(c.status, 0);
	buf_add(out, "%s (%s): %s%s\n", t->server.name, t->server.through,
		status_string(status, how, sizeof(how)), c.out_of_memory ? ", out of memory" : "");
}

/* --- after a crash ----------------------------------------------------------------------------- */

struct records {
	int (*fn)(const char *id, void *arg);
	void *arg;
};

static int record_look(const char *name, void *arg)
{
	const struct records *r = arg;
	size_t n = strlen(name), half = n > strlen(HALF) && !strcmp(name + n - strlen(HALF), HALF);
	AUTO_FREE char *whole = str_format("%.*s", (int)(n - half * strlen(HALF)), name);

	return str_starts(whole, RECORD) ? r->fn(whole + strlen(RECORD), r->arg) : 0;
}

static int left_each(const char *base, int (*fn)(const char *id, void *arg), void *arg)
{
	AUTO_CLOSE int root = root_open("/", ERR_IGNORED);
	struct records records = {fn, arg};
	char state[256];

	(void)base;
	if (root < 0 || state_name(state, sizeof(state), ERR_IGNORED) < 0 || !root_exists(root, state))
		return 0;
	return root_each(root, state, record_look, &records, ERR_IGNORED);
}

static int left_remove(const char *base, const char *id, struct err *e)
{
	char state[256], socket[256];
	struct engine engine;

	(void)base;
	int rc = state_name(state, sizeof(state), e);
	if (rc < 0)
		return rc;
	AUTO_CLOSE int root = root_open("/", e);
	AUTO_FREE char *record = str_format("%s/" RECORD "%s", state, id);
	AUTO_FREE char *half = str_format("%s" HALF, record);
	if (unlink(half) == 0 && access(record, F_OK) < 0)
		return 0;
	if (root < 0 || (rc = root_read(root, record, socket, sizeof(socket), e)) < 0)
		return root < 0 ? root : rc;
	if ((rc = engine_open_at(&engine, socket, e)) < 0 || (rc = engine_remove(&engine, id, "", e)) < 0)
		return err_try(e, "start the engine; or, when it is gone for good, remove %s", record);
	return unlink(record) < 0 ? err_sys(e, "cannot remove %s", record) : 0;
}

static const struct undo_sweep_row engine_left = {"container and image", true, left_each, left_remove};

/* --- rows -------------------------------------------------------------------------------------- */

/* A plain dockerd, as it is without a configuration; nothing of it is on a disk. */
static const char *const docker_daemon[] = {"dockerd", "--host", "unix:///run/docker.sock", "--data-root",
	"/run/docker-data", "--exec-root", "/run/docker", "--pidfile", "/run/docker.pid", "--log-level",
	"warn", NULL};

static const struct engine_row docker = {.title = "Docker",
	.variable = "DOCKER_HOST",
	.sockets = {"/run/docker.sock", "/var/run/docker.sock"},
	.install = "start dockerd",
	.daemon = docker_daemon};

static const struct engine_row podman = {.title = "Podman",
	.variable = "CONTAINER_HOST",
	.sockets = {"/run/podman/podman.sock", "/var/run/podman/podman.sock"},
	.install = "podman system service -t 0 unix:///run/podman/podman.sock"};

static int docker_host_start(struct err *e)
{
	return engine_host_start(&docker, e);
}

/* What is the same for every engine. */
#define BY_ENGINE                                                                                            \
	.targets = "container", .attachments = ENGINE_ATTACHMENTS, .quota = true, .switches = true,          \
	.links_late = true, .resolve = resolve, .open = open_engine, .start = start, .stop = stop,           \
	.ended = ended

const struct runtime_row runtime_docker = {BY_ENGINE, .name = "docker",
	.help = "a container by Docker, through its Engine API", .engine = &docker,
	.host_start = docker_host_start, .left = &engine_left};

/* Its containers are swept with those of Docker: a record names the socket. */
const struct runtime_row runtime_podman = {BY_ENGINE, .name = "podman",
	.help = "a container by Podman, through the same API (podman system service)", .engine = &podman,
	.here = true};
