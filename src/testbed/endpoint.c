/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Endpoints: agent processes, each with a control stream that it inherits as fd 3.
 *
 * An agent may be our child or sit behind a container runtime that is; either way we learn its PID from the
 * credentials that the kernel puts beside its first message, translated into our PID namespace.  So "it
 * runs", "it speaks" and "this is its PID" are one event, the same for every runtime, and no PID file or
 * runtime query is needed.
 *
 * What agents and runtimes say on stderr goes to a memfd of fixed size: a container that talks without end
 * gets errors, and neither blocks nor eats memory.
 */
#include "private.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define SAID_BYTES  65536
#define WORDS_BYTES 320
#define WORDS_READ  4096
#define GENERATIONS 3 /* of the agent's children: a shell, and what that has started */

/* --- the program ------------------------------------------------------------------------------- */

/* What this variable of the environment names, else the program beside this one, else the installed one. */
static int agent_find(const char *name, const char *variable, char *out, size_t size, struct err *e)
{
	const char *named = getenv(variable);
	char self[3072] = "", path[4096];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char *slash = strrchr(self, '/');

	if (named && named[0]) {
		if (access(named, X_OK) < 0)
			return err_sys(e, "cannot run the agent %s ($%s)", named, variable);
		AUTO_FREE char *real = realpath(named, NULL);
		return real && str_copy(out, size, real) == 0
			       ? 0
			       : err_code(e, ENAMETOOLONG, "cannot use %s", named);
	}
	if (n > 0 && slash) {
		snprintf(path, sizeof(path), "%.*s/%s", (int)(slash - self), self, name);
		if (access(path, X_OK) == 0)
			return str_copy(out, size, path);
	}
#ifdef TAUT_LIBEXECDIR
	snprintf(path, sizeof(path), TAUT_LIBEXECDIR "/%s", name);
	if (access(path, X_OK) == 0)
		return str_copy(out, size, path);
#endif
	err_set(e, ENOENT, "cannot find %s beside %s", name, self);
	return err_try(e, "set %s to its path", variable);
}

int target_agent(char *out, size_t size, struct err *e)
{
	return agent_find("taut-agent", "TAUT_AGENT", out, size, e);
}

int target_agent_dpdk(char *out, size_t size, struct err *e)
{
	struct err found = ERR_INIT;
	int rc = agent_find("taut-agent-dpdk", "TAUT_AGENT_DPDK", out, size, &found);

	if (rc == -ENOENT && !getenv("TAUT_AGENT_DPDK")) {
		err_set(e, ENOENT, "cannot use driver dpdk: this build has no taut-agent-dpdk");
		return err_try(e, "install libdpdk-dev and build taut again");
	}
	*e = rc < 0 ? found : *e;
	return rc;
}

/* --- start ------------------------------------------------------------------------------------- */

int endpoint_open(struct endpoint *ep, struct err *e)
{
	int ends[2], on = 1;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
		return err_sys(e, "cannot make a control stream");
	ep->control = ends[0];
	ep->theirs = ends[1];
	if (setsockopt(ep->control, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) < 0)
		return err_sys(e, "cannot ask for credentials");
	ep->said = memfd_create(ep->name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (ep->said < 0 || ftruncate(ep->said, SAID_BYTES) < 0 ||
		fcntl(ep->said, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) < 0)
		return err_sys(e, "cannot make a file for stderr");
	return 0;
}

int endpoint_spawn(struct endpoint *ep, const char *const *argv, int netns, struct err *e)
{
	const char *const environment[] = {undo_mark(), ep->environment, NULL};
	struct spawn spawn = SPAWN_INIT;

	spawn.argv = argv;
	spawn.setenv = environment;
	spawn.stdout_fd = spawn.stderr_fd = ep->said;
	spawn.keep = &ep->theirs;
	spawn.keep_n = 1;
	spawn.netns_fd = netns;
	spawn.new_group = true; /* Ctrl-C is for taut, which then takes its endpoints down in order */
	int rc = child_spawn(&ep->child, &spawn, e);
	close(steal_fd(&ep->theirs));
	return rc < 0 ? err_wrap(e, "cannot start %s", ep->name) : 0;
}

int endpoint_spawn_agent(struct endpoint *ep, const char *agent, struct err *e)
{
	const char *const argv[] = {agent, "endpoint", ep->name, NULL};

	return endpoint_spawn(ep, argv, ep->netns, e);
}

/* Looks at the first byte without taking it: 1 and the sender, 0 at the end of the stream, -EAGAIN for
 * nothing. */
static int first_sender(int fd, pid_t *pid)
{
	union {
		char room[CMSG_SPACE(sizeof(struct ucred))];
		struct cmsghdr align;
	} control = {0};
	char byte;
	struct iovec v = {&byte, 1};
	struct msghdr m = {
		.msg_iov = &v, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
	ssize_t n = recvmsg(fd, &m, MSG_PEEK | MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	if (n <= 0)
		return n == 0 || errno == ECONNRESET ? 0 : -errno;
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_CREDENTIALS) {
		struct ucred who;
		memcpy(&who, CMSG_DATA(c), sizeof(who));
		*pid = who.pid;
	}
	return 1;
}

static unsigned long long seconds_since(uint64_t ns)
{
	return (time_now_ns() - ns + NS_PER_S / 2) / NS_PER_S;
}

static int not_started(struct endpoint *ep, int code, const char *why, struct err *e)
{
	AUTO(buf_free) struct buf words = {0};

	endpoint_report(ep, &words);
	if (ep->machine && code == ETIMEDOUT)
		return err_set(e, code,
			"cannot boot the machine: it said nothing for %llu s, %llu s after its start%s%s%s",
			seconds_since(machine_heard_ns(ep->machine)),
			seconds_since(machine_started_ns(ep->machine)), words.data ? " (" : "",
			words.data ? str_trim(words.data) : "", words.data ? ")" : "");
	return err_set(e, code, "cannot start %s", words.data ? str_trim(words.data) : why);
}

int endpoint_wait(struct endpoint *ep, uint64_t deadline_ns, struct err *e)
{
	AUTO_CLOSE int root = root_open("/", e);

	if (root < 0)
		return root;
	for (;;) {
		struct pollfd p[] = {{.fd = ep->control, .events = POLLIN},
			{.fd = ep->machine ? machine_pidfd(ep->machine) : ep->child.pidfd, .events = POLLIN}};
		uint64_t now = time_now_ns();
		if (ep->machine && !ep->booted) /* of a disk's system the console may say nothing at all */
			deadline_ns = MAX(ep->mute ? deadline_ns : 0,
				machine_boot_deadline_ns(ep->machine, BOOT_SILENT_NS));
		if (now >= deadline_ns || stop_flag)
			return not_started(ep, now >= deadline_ns ? ETIMEDOUT : EINTR,
				now >= deadline_ns ? "the agent: it says nothing" : "the agent: interrupted",
				e);
		uint64_t left = (deadline_ns - now + NS_PER_MS - 1) / NS_PER_MS;
		if (poll(p, ARRAY_LEN(p), (int)MIN(left, 1000u)) < 0 && errno != EINTR)
			return err_sys(e, "cannot wait for %s", ep->name);
		pid_t pid = 0;
		int rc = first_sender(ep->control, &pid);
		if (rc > 0) {
			ep->booted = ep->machine != NULL;
			ep->pid = ep->machine ? machine_pid(ep->machine) : pid > 0 ? pid : ep->child.pid;
			rc = task_start_time(root, ep->pid, &ep->start, e);
			return rc < 0 ? not_started(ep, ESRCH, "the agent: it ended at once", e) : 0;
		}
		if (rc == 0 || p[1].revents)
			return not_started(ep, ECHILD, "the agent: it ended at once", e);
	}
}

/* Adds a process with all that it has started: a standard tool is a child of the agent in whose place it is.
 */
static int add_process(
	int root, pid_t pid, enum role role, unsigned depth, struct subject *subject, struct err *e)
{
	AUTO_FREE struct task *tasks = NULL;
	size_t n = 0;
	int rc = tasks_list(root, pid, &tasks, &n, e);

	/* A thread that has been joined is still listed for a moment. */
	for (size_t i = 0; rc == 0 && i < n && subject->threads_n < SUBJECT_THREADS_MAX; i++)
		if (!(tasks[i].flags & TASK_EXITING))
			subject->threads[subject->threads_n++] =
				(struct subject_thread){role, tasks[i].pid, tasks[i].tid, tasks[i].start};
	for (size_t i = 0; rc == 0 && depth && i < n; i++) {
		AUTO_FREE char *path = str_format("/proc/%d/task/%d/children", pid, tasks[i].tid);
		char text[1024];
		if (root_read(root, path, text, sizeof(text), ERR_IGNORED) < 0)
			continue;
		for (char *save = NULL, *word = strtok_r(text, " \n", &save); word;
			word = strtok_r(NULL, " \n", &save))
			add_process(
				root, (pid_t)strtol(word, NULL, 10), role, depth - 1, subject, ERR_IGNORED);
	}
	return rc;
}

int endpoint_threads(const struct endpoint *ep, enum role role, struct subject *subject, struct err *e)
{
	AUTO_CLOSE int root = root_open("/", e);
	int rc = root < 0 ? root : add_process(root, ep->pid, role, GENERATIONS, subject, e);

	return rc < 0 ? err_wrap(e, "cannot list the threads of %s", ep->name) : 0;
}

/* --- end --------------------------------------------------------------------------------------- */

void endpoint_kill(struct endpoint *ep)
{
	if (ep->pid > 0 && !ep->foreign && process_kill(ep->pid, ep->start, time_now_ns() + 5 * NS_PER_S) < 0)
		log_warn("%s (process %d) does not die", ep->name, ep->pid);
	ep->pid = 0;
}

static bool control_closed(const struct endpoint *ep)
{
	struct pollfd p = {.fd = ep->control, .events = POLLIN | POLLRDHUP};

	return poll(&p, 1, 0) > 0 && (p.revents & (POLLHUP | POLLRDHUP | POLLERR));
}

/*
 * Has our child ended?  When the stream is closed it is about to: then it gets a moment.  A process that is
 * killed loses its other sockets before that stream, so that the other end may complain first: a shorter one.
 */
static void check_end(struct endpoint *ep)
{
	if (ep->ended || ep->child.pid <= 0)
		return;
	uint64_t grace = boot_patience_ns(control_closed(ep) ? NS_PER_S / 2 : NS_PER_S / 20);
	ep->ended = child_wait(&ep->child, time_now_ns() + grace, &ep->status, ERR_IGNORED) == 1;
}

/* The message of a structured log line (time="…" level=error msg="…"), without its escapes; in place. */
static char *log_message(char *line)
{
	char *message = strstr(line, "msg=\""), *end = strrchr(line, '"'), *to;

	if (!message)
		return line;
	message = to = message + strlen("msg=\"");
	for (char *from = message; from < end; from++)
		if (from[0] != '\\' || from[1] != '"')
			*to++ = *from;
	*to = 0;
	return message;
}

/* What the program went on after. */
static bool is_minor(const char *line)
{
	return strcasestr(line, "warning") || strstr(line, "level=info") || strstr(line, "level=debug");
}

/* The first line is the cause: what follows it may be a dump of registers, or the end of somebody else. */
const char *endpoint_words(const struct endpoint *ep, char *out, size_t size)
{
	char text[WORDS_READ];
	off_t end = lseek(ep->said, 0, SEEK_CUR); /* shared with the writers */
	ssize_t n = end > 0 ? pread(ep->said, text, MIN((size_t)end, sizeof(text) - 1), 0) : 0;
	char *first = NULL;

	text[n > 0 ? n : 0] = 0;
	for (char *save = NULL, *line = strtok_r(text, "\n", &save); line;
		line = strtok_r(NULL, "\n", &save)) {
		first = line; /* or the last, when all are minor */
		if (!is_minor(first))
			break;
	}
	snprintf(out, size, "%s", first ? log_message(str_trim(first)) : "");
	return str_printable(out);
}

void endpoint_report(struct endpoint *ep, struct buf *out)
{
	char words[WORDS_BYTES] = "", status[64] = "";

	if (ep->said < 0)
		return;
	if (ep->machine) {
		char how[512];
		machine_ended(ep->machine, control_closed(ep), how, sizeof(how));
		if (how[0])
			buf_add(out, "%s: %s\n", ep->name, how);
		return;
	}
	check_end(ep);
	const char *line = endpoint_words(ep, words, sizeof(words));
	if (ep->ended)
		status_string(ep->status, status, sizeof(status));
	if (!ep->ended && !*line)
		return;
	buf_add(out, "%s", ep->name);
	if (ep->through)
		buf_add(out, " (%s)", ep->through);
	if (ep->ended)
		buf_add(out, ": %s", status);
	buf_add(out, "%s%s\n", *line ? ": " : "", line);
}

void endpoint_clear(struct endpoint *ep)
{
	int netns = steal_fd(&ep->netns);

	endpoint_kill(ep);
	endpoint_close(ep);
	ep->netns = netns;
	ep->start = 0;
	ep->ended = false;
}

/* What the one before has said on stderr is its own. */
int endpoint_renew(struct endpoint *ep, uint64_t deadline_ns, struct err *e)
{
	int rc = frame_send(ep->control, FRAME_END, json_object(), deadline_ns, e);

	if (ep->said >= 0)
		lseek(ep->said, 0, SEEK_SET);
	ep->pid = 0;
	ep->start = 0;
	return rc < 0 ? err_wrap(e, "cannot end %s", ep->name) : 0;
}

void endpoint_close(struct endpoint *ep)
{
	int *const fds[] = {&ep->control, &ep->theirs, &ep->said, &ep->netns};

	child_end(&ep->child);
	for (size_t i = 0; i < ARRAY_LEN(fds); i++)
		if (*fds[i] >= 0)
			close(steal_fd(fds[i]));
}
