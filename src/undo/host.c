/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The machine that is changed, and the calls that change it.
 *
 * Some scheduler knobs exist only in debugfs, which a small machine may not have mounted.  Mounting it at its
 * usual place would change the machine for all other programs.  So taut makes a mount that is attached
 * nowhere and lives as long as its fd, and looks paths below /sys/kernel/debug up there.  It does so only
 * when the root is the machine's own: a fixture tree must never reach the machine that the test runs on.
 */
#include "net/net.h"
#include "private.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>

#define DEBUGFS         "/sys/kernel/debug"
#define COMMAND_TIME_NS (60 * NS_PER_S)
#define OUTPUT_MAX      4096

static const char *below(const char *path)
{
	while (*path == '/')
		path++;
	return *path ? path : ".";
}

/* O_TRUNC means nothing to procfs and sysfs, and the plain files of a fixture tree need it. */
static int write_file(void *arg, int root, const char *path, const char *text)
{
	AUTO_CLOSE int fd = openat(root, below(path), O_WRONLY | O_TRUNC | O_CLOEXEC);
	size_t len = strlen(text);
	ssize_t n;

	(void)arg;
	if (fd < 0)
		return -errno;
	if (len == 0) { /* the kernel's handler is not called for a write of 0 bytes */
		text = "\n";
		len = 1;
	}
	do
		n = write(fd, text, len);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	return (size_t)n == len ? 0 : -EIO;
}

static int make_dir(void *arg, int root, const char *path)
{
	(void)arg;
	return mkdirat(root, below(path), 0755) < 0 ? -errno : 0;
}

static int remove_dir(void *arg, int root, const char *path)
{
	(void)arg;
	return unlinkat(root, below(path), AT_REMOVEDIR) < 0 ? -errno : 0;
}

static int set_affinity(void *arg, pid_t tid, const cpus *set)
{
	(void)arg;
	return sched_setaffinity(tid, sizeof(*set), set) < 0 ? -errno : 0;
}

static int set_sched(void *arg, pid_t tid, int policy, int priority)
{
	struct sched_param param = {.sched_priority = priority};
	int now = sched_getscheduler(tid);

	(void)arg;
	if (now < 0)
		return -errno;
	return sched_setscheduler(tid, policy | (now & SCHED_RESET_ON_FORK), &param) < 0 ? -errno : 0;
}

/* Sets the soft limit only: at the soft limit SIGXCPU ends an endpoint, and the hard one could not be raised
 * again without CAP_SYS_RESOURCE. */
static int set_rttime(void *arg, pid_t pid, uint64_t soft_us)
{
	struct rlimit limit;

	(void)arg;
	if (prlimit(pid, RLIMIT_RTTIME, NULL, &limit) < 0)
		return -errno;
	limit.rlim_cur = soft_us == UINT64_MAX ? RLIM_INFINITY : soft_us;
	return prlimit(pid, RLIMIT_RTTIME, &limit, NULL) < 0 ? -errno : 0;
}

/*
 * The output goes to a memory file and not through a pipe: a command may leave a daemon behind that keeps the
 * pipe open.  The command has a process group of its own, so that the user's Ctrl-C does not end a revert
 * that is under way.
 */
static int run(void *arg, const char *command, char **output)
{
	const char *const argv[] = {"/bin/sh", "-c", command, NULL};
	AUTO_CHILD struct child child = CHILD_NONE;
	AUTO_CLOSE int memory = memfd_create("output", MFD_CLOEXEC);
	struct spawn spawn = SPAWN_INIT;
	char text[OUTPUT_MAX];
	int status = 0, rc;

	(void)arg;
	if (memory < 0)
		return -errno;
	spawn.argv = argv;
	spawn.stdout_fd = spawn.stderr_fd = memory;
	spawn.new_group = true;
	rc = child_spawn(&child, &spawn, ERR_IGNORED);
	if (rc < 0)
		return rc;
	rc = child_wait(&child, time_now_ns() + COMMAND_TIME_NS, &status, ERR_IGNORED);
	if (rc == 0)
		kill(-child.pid, SIGKILL); /* its process group: the shell and what it started */
	ssize_t n = pread(memory, text, sizeof(text) - 1, 0);
	text[n > 0 ? n : 0] = 0;
	*output = str_dup(str_trim(text));
	if (rc <= 0)
		return rc < 0 ? rc : -ETIMEDOUT;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int set_link(void *arg, int ns, const char *link, const char *property, const char *value)
{
	(void)arg;
	return net_property_set(ns, link, property, value, ERR_IGNORED);
}

static int move_link(void *arg, int ns, const char *link, int to)
{
	(void)arg;
	return net_link_move(ns, link, to, ERR_IGNORED);
}

/* A namespace lives as long as something is mounted from it. */
static int hold_netns(void *arg, int ns, const char *path)
{
	AUTO_CLOSE int file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	AUTO_FREE char *from = str_format("/proc/thread-self/fd/%d", ns);

	(void)arg;
	if (file < 0)
		return -errno;
	return mount(from, path, NULL, MS_BIND, NULL) < 0 ? -errno : 0;
}

/* Takes a file on which nothing is mounted yet, and one that is not there. */
static int drop_netns(void *arg, const char *path)
{
	(void)arg;
	if (umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW) < 0 && errno != EINVAL && errno != ENOENT)
		return -errno;
	return unlink(path) < 0 && errno != ENOENT ? -errno : 0;
}

const struct undo_calls undo_real_calls = {.write_file = write_file,
	.make_dir = make_dir,
	.remove_dir = remove_dir,
	.set_affinity = set_affinity,
	.set_sched = set_sched,
	.set_rttime = set_rttime,
	.set_link = set_link,
	.move_link = move_link,
	.hold_netns = hold_netns,
	.drop_netns = drop_netns,
	.run = run};

static int debugfs_open(void)
{
	AUTO_CLOSE int fs = fsopen("debugfs", FSOPEN_CLOEXEC);

	if (fs < 0 || fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return -1;
	return fsmount(fs, FSMOUNT_CLOEXEC, 0);
}

int undo_root_of(const struct undo_host *host, const char **path)
{
	if (host->debugfs < 0 || !str_starts(*path, DEBUGFS "/"))
		return host->root;
	*path += strlen(DEBUGFS);
	return host->debugfs;
}

int undo_open(struct undo_host *host, int root, const struct undo_table *const *tables, size_t tables_n,
	struct err *e)
{
	struct undo_host made = UNDO_HOST_NONE;
	int rc;

	made.root = root;
	made.privileged = is_privileged();
	made.calls = &undo_real_calls;
	made.tables = tables;
	made.tables_n = tables_n;
	if ((rc = cgroups_find(root, &made.cgroups, e)) < 0 ||
		(rc = cpus_online(root, &made.online, e)) < 0 ||
		(rc = state_dir(made.state, sizeof(made.state), e)) < 0)
		return rc;
	cpus_withheld(root, &made.online, &made.withheld);
	if (made.privileged && undo_is_real_root(root) && !root_exists(root, DEBUGFS "/sched"))
		made.debugfs = debugfs_open();
	*host = made;
	return 0;
}

void undo_close(struct undo_host *host)
{
	if (host->debugfs >= 0)
		close(host->debugfs);
	*host = UNDO_HOST_NONE;
}

void undo_cpus(const struct undo_host *host, cpus *out)
{
	cpus_without(out, &host->online, &host->withheld);
}

uint64_t undo_ticks_now(const struct undo_host *host)
{
	char text[64];
	double seconds;

	/* Read below the root, so that the time fits the tasks of a fixture tree.  The unit is 10 ms, as in
	 * the start times that the kernel shows. */
	if (root_read(host->root, "/proc/uptime", text, sizeof(text), ERR_IGNORED) < 0 ||
		sscanf(text, "%lf", &seconds) != 1)
		return 0;
	return (uint64_t)(seconds * 100.0 + 0.5);
}
