/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Children.  A child is a pid and a pidfd.  It gets SIGKILL when the thread that spawned it ends, unless
 * `outlives_parent` is set, and AUTO_CHILD kills and reaps it at the end of the scope.  The errno of a failed
 * exec comes back through a pipe that a successful exec closes, so child_spawn() succeeds only when the
 * program has really started.
 */
#include "sys.h"

#include <assert.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define KEEP_FIRST 3

bool program_find(const char *name, char *out, size_t size)
{
	const char *path = getenv("PATH");
	AUTO_FREE char *all = str_format("%s:/usr/sbin:/sbin", path ? path : "");

	if (strchr(name, '/'))
		return access(name, X_OK) == 0 && str_copy(out, size, name) == 0;
	for (char *save = NULL, *dir = strtok_r(all, ":", &save); dir; dir = strtok_r(NULL, ":", &save)) {
		struct stat st;
		int n = snprintf(out, size, "%s/%s", dir, name);
		if (n > 0 && (size_t)n < size && stat(out, &st) == 0 && S_ISREG(st.st_mode) &&
			access(out, X_OK) == 0)
			return true;
	}
	out[0] = 0;
	return false;
}

char **environment_with(const char *const *more)
{
	size_t n = 0, extra = 0;

	while (environ && environ[n])
		n++;
	while (more && more[extra])
		extra++;
	char **all = mem_array(n + extra + 1, sizeof(*all));
	for (size_t i = 0; i < n; i++)
		all[i] = environ[i];
	for (size_t i = 0; i < extra; i++)
		all[n + i] = (char *)(uintptr_t)more[i];
	return all;
}

/* Moves fd to a high number, so that the dup2() calls below cannot overwrite it. */
static int fd_raise(int fd)
{
	int raised = fd < 0 ? fd : fcntl(fd, F_DUPFD_CLOEXEC, KEEP_FIRST + SPAWN_KEEP_MAX);

	if (fd >= 0 && raised < 0 && errno == EINVAL)
		errno = EMFILE; /* no number so high is allowed */
	return raised;
}

static int fd_place(int fd, int number)
{
	if (fd < 0)
		return 0;
	return dup2(fd, number) < 0 ? -1 : 0; /* the copy has no O_CLOEXEC */
}

/*
 * By system calls alone: those of the library tell other threads, which a forked child does not have.  The
 * bounding set need not be ours to change; without it the capabilities go all the same.
 */
static int user_become(const struct spawn_user *user)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	const unsigned lock = user->locks_memory ? 1u << CAP_IPC_LOCK : 0;
	const struct __user_cap_data_struct kept[2] = {
		{.effective = lock, .permitted = lock, .inheritable = lock}};

	for (unsigned long i = 0; prctl(PR_CAPBSET_READ, i, 0, 0, 0) >= 0; i++)
		if (i != CAP_IPC_LOCK || !lock)
			prctl(PR_CAPBSET_DROP, i, 0, 0, 0);
	if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0 || syscall(SYS_setgroups, 1, &user->group) < 0 ||
		syscall(SYS_setresgid, user->gid, user->gid, user->gid) < 0 ||
		syscall(SYS_setresuid, user->uid, user->uid, user->uid) < 0 ||
		syscall(SYS_capset, &header, kept) < 0)
		return -1;
	if (lock && prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_IPC_LOCK, 0, 0) < 0)
		return -1;
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

static int memlock_raise(uint64_t bytes)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_MEMLOCK, &limit) < 0 || limit.rlim_cur >= bytes)
		return 0;
	limit = (struct rlimit){bytes, MAX((rlim_t)bytes, limit.rlim_max)};
	return setrlimit(RLIMIT_MEMLOCK, &limit);
}

static int child_prepare(const struct spawn *spawn, pid_t parent)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	int in = fd_raise(spawn->stdin_fd >= 0 ? spawn->stdin_fd : null);
	int out = fd_raise(spawn->stdout_fd >= 0 ? spawn->stdout_fd : null);
	int err = fd_raise(spawn->stderr_fd >= 0 ? spawn->stderr_fd : null);
	int keep[SPAWN_KEEP_MAX];

	if (null < 0 || in < 0 || out < 0 || err < 0)
		return -1;
	for (size_t i = 0; i < spawn->keep_n; i++)
		if ((keep[i] = fd_raise(spawn->keep[i])) < 0)
			return -1;

	signals_reset();
	if (spawn->new_group && setpgid(0, 0) < 0)
		return -1;
	if (spawn->netns_fd >= 0 && setns(spawn->netns_fd, CLONE_NEWNET) < 0)
		return -1;
	if (spawn->memlock_bytes && memlock_raise(spawn->memlock_bytes) < 0)
		return -1;
	if (spawn->user && user_become(spawn->user) < 0)
		return -1;
	/* After that: a change of the user clears the signal. */
	if (!spawn->outlives_parent) {
		if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
			return -1;
		if (getppid() != parent) {
			errno = ESRCH;
			return -1;
		}
	}
	if (fd_place(in, 0) || fd_place(out, 1) || fd_place(err, 2))
		return -1;
	for (size_t i = 0; i < spawn->keep_n; i++)
		if (fd_place(keep[i], KEEP_FIRST + (int)i))
			return -1;
	return 0;
}

int child_spawn(struct child *child, const struct spawn *spawn, struct err *e)
{
	char program[4096];
	int report[2];

	assert(spawn->keep_n <= SPAWN_KEEP_MAX);
	if (!program_find(spawn->argv[0], program, sizeof(program)))
		return err_code(e, ENOENT, "cannot run %s", spawn->argv[0]);
	AUTO_FREE char **environment = environment_with(spawn->setenv);
	if (pipe2(report, O_CLOEXEC) < 0)
		return err_sys(e, "cannot make a pipe");
	/* The report must survive the dup2() onto number 3. */
	int report_out = fd_raise(report[1]), raise_errno = errno;
	close(report[1]);
	if (report_out < 0) {
		close(report[0]);
		return err_code(e, raise_errno, "cannot run %s", spawn->argv[0]);
	}
	pid_t parent = getpid(), pid = fork();
	if (pid == 0) {
		if (child_prepare(spawn, parent) == 0)
			execve(program, (char *const *)(uintptr_t)spawn->argv, environment);
		int code = errno;
		while (write(report_out, &code, sizeof(code)) < 0 && errno == EINTR)
			;
		_exit(127);
	}
	int saved = errno, code = 0;
	close(report_out);
	if (pid < 0) {
		close(report[0]);
		err_code(e, saved, "cannot fork");
		return saved == EAGAIN ? err_try(e, "raise pids.max of this cgroup, or ulimit -u") : -saved;
	}
	ssize_t n;
	do
		n = read(report[0], &code, sizeof(code));
	while (n < 0 && errno == EINTR);
	close(report[0]);
	if (n == (ssize_t)sizeof(code)) {
		waitpid(pid, NULL, 0);
		return err_code(e, code, "cannot run %s", program);
	}
	int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (pidfd < 0) {
		saved = errno;
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		return err_code(e, saved, "cannot open a pidfd");
	}
	*child = (struct child){pid, pidfd};
	return 0;
}

static int remaining_ms(uint64_t deadline_ns)
{
	uint64_t now = time_now_ns();

	if (now >= deadline_ns)
		return 0;
	uint64_t ms = (deadline_ns - now + NS_PER_MS - 1) / NS_PER_MS;
	return ms > 1000000 ? 1000000 : (int)ms;
}

int child_wait(struct child *child, uint64_t deadline_ns, int *status, struct err *e)
{
	if (child->pid <= 0)
		return err_code(e, ECHILD, "cannot wait for a process");
	for (;;) {
		struct pollfd p = {.fd = child->pidfd, .events = POLLIN};
		int n = poll(&p, 1, remaining_ms(deadline_ns));
		if (n < 0 && errno != EINTR)
			return err_sys(e, "cannot wait for process %d", child->pid);
		if (n > 0)
			break;
		if (time_now_ns() >= deadline_ns)
			return 0;
	}
	int got = 0;
	if (waitpid(child->pid, &got, 0) < 0)
		return err_sys(e, "cannot wait for process %d", child->pid);
	if (status)
		*status = got;
	close(child->pidfd);
	*child = CHILD_NONE;
	return 1;
}

static void child_signal(const struct child *child, int number)
{
	if (child->pid > 0)
		syscall(SYS_pidfd_send_signal, child->pidfd, number, NULL, 0);
}

void child_stop(struct child *child, uint64_t grace_ns)
{
	if (child->pid <= 0)
		return;
	child_signal(child, SIGTERM);
	child_signal(child, SIGCONT);
	if (child_wait(child, time_now_ns() + grace_ns, NULL, ERR_IGNORED) != 1)
		child_end(child);
}

void child_end(struct child *child)
{
	if (child->pid <= 0)
		return;
	child_signal(child, SIGKILL);
	child_wait(child, time_now_ns() + 10 * NS_PER_S, NULL, ERR_IGNORED);
	if (child->pid > 0) {
		log_warn("process %d does not die", child->pid);
		close(child->pidfd);
		*child = CHILD_NONE;
	}
}

int child_run(const char *const *argv, bool both, uint64_t timeout_ns, char **out, struct err *e)
{
	AUTO_CHILD struct child child = CHILD_NONE;
	AUTO(buf_free) struct buf b = {0};
	uint64_t deadline = time_now_ns() + timeout_ns;
	int ends[2], status = 0, rc;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_sys(e, "cannot make a pipe");
	AUTO_CLOSE int reader = ends[0];
	struct spawn spawn = SPAWN_INIT;
	spawn.argv = argv;
	spawn.stdout_fd = ends[1];
	spawn.stderr_fd = both ? ends[1] : -1;
	rc = child_spawn(&child, &spawn, e);
	close(ends[1]);
	if (rc < 0)
		return rc;
	for (;;) {
		struct pollfd p = {.fd = reader, .events = POLLIN};
		char chunk[4096];
		int n = poll(&p, 1, remaining_ms(deadline));
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return err_set(e, ETIMEDOUT, "%s did not end in time", argv[0]);
		ssize_t got = read(reader, chunk, sizeof(chunk));
		if (got <= 0)
			break;
		if (b.len + (size_t)got < 16u << 20)
			buf_put(&b, chunk, (size_t)got);
	}
	rc = child_wait(&child, deadline, &status, e);
	if (rc <= 0)
		return rc < 0 ? rc : err_set(e, ETIMEDOUT, "%s did not end in time", argv[0]);
	if (!b.data)
		buf_put(&b, "", 0);
	if (out)
		*out = steal_ptr(&b.data);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

const char *status_string(int status, char *out, size_t size)
{
	if (WIFEXITED(status))
		snprintf(out, size, "exit status %d", WEXITSTATUS(status));
	else
		snprintf(out, size, "killed by SIG%s", sigabbrev_np(WTERMSIG(status)));
	return out;
}

int process_kill(pid_t pid, uint64_t start, uint64_t deadline_ns)
{
	AUTO_CLOSE int root = root_open("/", ERR_IGNORED);
	AUTO_CLOSE int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	uint64_t is = 0;

	if (pidfd < 0)
		return errno == ESRCH ? 0 : -errno;
	if (start && (task_start_time(root, pid, &is, ERR_IGNORED) < 0 || is != start))
		return 0; /* somebody else has this number now */
	if (syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0) < 0)
		return errno == ESRCH ? 0 : -errno;
	for (;;) {
		struct pollfd p = {.fd = pidfd, .events = POLLIN};
		uint64_t now = time_now_ns();
		uint64_t left = now < deadline_ns ? (deadline_ns - now + NS_PER_MS - 1) / NS_PER_MS : 0;
		int n = poll(&p, 1, (int)MIN(left, 60000u));
		if (n > 0)
			return 0;
		if ((n < 0 && errno != EINTR) || now >= deadline_ns)
			return -ETIMEDOUT;
	}
}
