/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * sys: the operating system as values: files under a root fd, processes, namespaces, cgroups, CPUs and tasks.
 *
 * Everything under /proc and /sys is reached through a root fd, so that a test can hand in a fixture tree.
 * Every fd is O_CLOEXEC; a child inherits what its spawn names and nothing else.
 */
#pragma once

#include "base/base.h"

#include <sched.h>
#include <sys/types.h>

/* --- files under a root ------------------------------------------------------------------------ */

/* Opens the root that paths start from: "/" or a fixture tree.  Returns an fd. */
int root_open(const char *path, struct err *e);
/*
 * Reads a whole small file (at most size − 1 bytes, longer is -EFBIG) with trailing white space cut; returns
 * its length.  `path` is absolute; it is looked up below `root`.
 */
int root_read(int root, const char *path, char *out, size_t size, struct err *e);
/* The whole file, up to 64 MiB, malloc'd and NUL-terminated. */
int root_read_all(int root, const char *path, char **out, size_t *len, struct err *e);
int root_read_u64(int root, const char *path, uint64_t *out, struct err *e);
/* Writes the text with one write(2), as procfs requires; -errno of that write. */
int root_write(int root, const char *path, const char *text, struct err *e);
bool root_exists(int root, const char *path);
/* Calls fn for every name in a folder except "." and ".."; stops at the first non-zero and returns it. */
int root_each(int root, const char *path, int (*fn)(const char *name, void *arg), void *arg, struct err *e);

/* A file written whole or not at all: temporary name, fsync, rename, fsync of the folder. */
int file_write_synced(const char *path, const void *data, size_t len, mode_t mode, struct err *e);
/*
 * Writes to a path that a user named, whatever kind of file is there.  A plain file is replaced as a whole
 * and keeps its mode and owner; a link stays, and the file that it names is written.  A device, a FIFO, a
 * file with several hard links, and a file in a folder that cannot be written are opened and written as by a
 * shell's >.
 */
int file_write_named(const char *path, const void *data, size_t len, struct err *e);
/* mkdir -p; the last folder gets `mode`, those above it 0755. */
int dir_make(const char *path, mode_t mode, struct err *e);
/*
 * A folder whose content is trusted: it must belong to this user, and nobody else may be able to write to it
 * or to put another one in its place (EXIT_REFUSED).  `what` it is, for messages; `variable` names another
 * one.  `out` is the path of the folder that was looked at, without links.
 */
int dir_own(const char *path, const char *what, const char *variable, char *out, size_t size, struct err *e);
/* Removes a tree, staying on its file system and following no link. */
int tree_remove(const char *path, struct err *e);

/* --- processes --------------------------------------------------------------------------------- */

struct child {
	pid_t pid; /* 0 when there is none */
	int pidfd;
};
#define CHILD_NONE ((struct child){0, -1})
#define AUTO_CHILD AUTO(child_end)

/* Another user, without a capability and without a way to get one.  `group` is the only further group.
 * With `locks_memory` it keeps CAP_IPC_LOCK, by which memory is locked beyond the limit. */
struct spawn_user {
	uid_t uid;
	gid_t gid, group;
	bool locks_memory;
};

struct spawn {
	const char *const *argv;   /* argv[0] is a path or a name for PATH */
	const char *name;          /* unused, NULL: exec sets comm from the file */
	const char *const *setenv; /* "NAME=value", NULL-terminated; added to the environment; NULL: none */
	int stdin_fd, stdout_fd, stderr_fd; /* -1: /dev/null; a number: that fd */
	const int *keep; /* fds to be inherited as numbers 3, 4, …; at most SPAWN_KEEP_MAX */
	size_t keep_n;
	int netns_fd;                  /* enter this namespace first; -1: stay */
	const struct spawn_user *user; /* NULL: as this process */
	uint64_t memlock_bytes;        /* it may lock so much memory at least (RLIMIT_MEMLOCK) */
	bool new_group;       /* a process group of its own, which a terminal's Ctrl-C does not reach; session
				 and autogroup stay those of the parent */
	bool outlives_parent; /* otherwise SIGKILL when the thread that spawned dies */
};
#define SPAWN_KEEP_MAX 22
#define SPAWN_INIT     ((struct spawn){.stdin_fd = -1, .stdout_fd = -1, .stderr_fd = -1, .netns_fd = -1})

/* Also fails, with the child's errno, when exec fails. */
int child_spawn(struct child *child, const struct spawn *spawn, struct err *e);
/* Waits until the child ends or the deadline (time_now_ns) passes: 1 when it has ended, with *status as of
 * waitpid(2); 0 when it has not. */
int child_wait(struct child *child, uint64_t deadline_ns, int *status, struct err *e);
/* Sends SIGTERM, after a grace period SIGKILL, and reaps; takes CHILD_NONE.  The destructor sends SIGKILL at
 * once. */
void child_stop(struct child *child, uint64_t grace_ns);
void child_end(struct child *child);
/* Runs a program to its end; *out is its stdout, with `both` its stderr too, malloc'd.  Returns its exit
 * status, 128+N for a signal, -ETIMEDOUT (the program is killed then) or -errno. */
int child_run(const char *const *argv, bool both, uint64_t timeout_ns, char **out, struct err *e);
/* The path of a program on PATH (and /usr/sbin, /sbin), or false. */
bool program_find(const char *name, char *out, size_t size);
/* SIGKILL through a pidfd, if it is still the process that started then (0: any) and waits for its end. */
int process_kill(pid_t pid, uint64_t start, uint64_t deadline_ns);
/* "exit status 3", "killed by SIGKILL". */
const char *status_string(int status, char *out, size_t size);

/* When a process started (field 22 of /proc/PID/stat, in clock ticks).  PID and start time together tell a
 * process from a later one with the same PID. */
int task_start_time(int root, pid_t pid, uint64_t *start, struct err *e);

/* The environment of this process with more "NAME=value" (NULL-terminated; NULL: none); the array is
 * malloc'd. */
char **environment_with(const char *const *more);

/* --- signals ----------------------------------------------------------------------------------- */

/* Opens those of the file descriptors 0 to 2 that are closed onto /dev/null. */
void standard_fds_open(void);
/* Every signal has its default action and none is blocked; HUP, INT and QUIT stay ignored if they were. */
void signals_reset(void);
/* How a program begins: as signals_reset(), and a write that fails is told by its errno, not by a signal. */
void signals_take_over(void);
/* From here on what would end the process raises stop_flag, except a crash. */
void signals_stop(void);
/*
 * From here on a crash starts this program anew in the same process, as "taut VERB SIGNAL KEPT", with the
 * numbers of the signal and of the file descriptor `keep`, which stays open (the machine lock, so that nobody
 * else measures meanwhile), and with `mark` ("NAME=value") added to the environment.
 */
void crash_restart(const char *verb, const char *mark, int keep);

/* --- CPUs -------------------------------------------------------------------------------------- */

typedef cpu_set_t cpus; /* up to CPU_SETSIZE (1024) CPUs */

int cpus_parse_list(const char *text, cpus *out); /* "0-3,8"; "" is the empty set; -EINVAL, -ERANGE */
int cpus_parse_mask(const char *text, cpus *out); /* "ff,ffffffff" */
#define CPUS_TEXT 4096                            /* room for any list */
char *cpus_format_list(const cpus *set, char *out, size_t size);
char *cpus_format_mask(const cpus *set, char *out, size_t size); /* as /proc/irq writes it */
int cpus_online(int root, cpus *out, struct err *e);
/*
 * Those of the online CPUs that this process may not use, by its cpuset or its affinity.  CPUs that the boot
 * argument isolcpus keeps free are in nobody's affinity, and withheld from nobody who has all others.
 */
void cpus_withheld(int root, const cpus *online, cpus *out);
void cpus_without(cpus *out, const cpus *all, const cpus *less); /* out may be one of the others */
int cpus_first(const cpus *set);                                 /* -1 for the empty set */

/* --- tasks ------------------------------------------------------------------------------------- */

struct task {
	pid_t pid, tid;
	uint64_t start; /* clock ticks since boot */
	char comm[32];
	unsigned flags; /* PF_* of the kernel */
	int policy, priority, nice;
	cpus affinity;
};
#define TASK_EXITING        0x00000004u /* PF_EXITING: a zombie, or about to be one */
#define TASK_KTHREAD        0x00200000u /* PF_KTHREAD */
#define TASK_NO_SETAFFINITY 0x04000000u /* PF_NO_SETAFFINITY */

/* Reads one task from /proc/PID/task/TID (stat and status); -ENOENT or -ESRCH when it has gone. */
int task_read(int root, pid_t pid, pid_t tid, struct task *out, struct err *e);
/* Every task of the machine, or of one process (pid > 0), malloc'd; tasks that end meanwhile are left out. */
int tasks_list(int root, pid_t pid, struct task **out, size_t *n, struct err *e);
int task_set_affinity(pid_t tid, const cpus *set, struct err *e);
int task_set_sched(pid_t tid, int policy, int priority, struct err *e);
/*
 * Ordinary scheduling at nice 0 for this process and all that it starts, whatever it was started with.  True
 * when that holds afterwards; *was says "fifo:10, nice 5" of what was found, "" when there was nothing to do.
 */
bool sched_reset(char *was, size_t size);
/* "other", "fifo:50"; returns out. */
char *sched_format(int policy, int priority, char *out, size_t size);
const char *policy_name(int policy); /* "other", "fifo", "rr", "batch", "idle", "deadline" */

/* The pool of huge pages of 2 MiB, whatever size the kernel takes by default. */
#define HUGEPAGES     "/sys/kernel/mm/hugepages/hugepages-2048kB"
#define HUGEPAGES_MIB 2
/* How many of them are free and not reserved. */
int hugepages_idle(int root, uint64_t *out, struct err *e);

/* --- namespaces -------------------------------------------------------------------------------- */

/* A new network namespace; returns an fd that keeps it alive.  Its lo is down. */
int netns_create(struct err *e);
int netns_own(struct err *e); /* moves this process to a new one, for good */
/* Enters a network namespace; the returned fd (the one that was left) goes to netns_leave(). */
int netns_enter(int fd, struct err *e);
void netns_leave(int *saved_fd); /* asserts that it works: a program in the wrong namespace must not go on */
/* A sysfs of the network namespace that the calling thread is in, attached nowhere; returns its root fd. */
int netns_sysfs(struct err *e);
/*
 * Without root: enters a new user namespace, in which this process is root, with a network namespace of its
 * own (that of the host cannot be entered again from there).  Call before anything else; -EPERM when
 * forbidden.
 */
int userns_enter(struct err *e);
bool userns_is_first(void);               /* the initial one, in which every user is mapped */
bool has_capability(unsigned capability); /* CAP_…, effective, in our user namespace */
bool is_privileged(void);                 /* root with CAP_SYS_ADMIN in the initial user namespace */

/* --- cgroups ----------------------------------------------------------------------------------- */

enum cgroup_version { CGROUP_NONE, CGROUP_V1, CGROUP_V2 };

/*
 * The mount points of the hierarchies; "" where a controller has none.  `version` says which kind has cpu and
 * cpuset: a machine with v1 controllers and an empty unified hierarchy (hybrid) is V1.  Paths are absolute,
 * below the root fd.
 */
struct cgroups {
	enum cgroup_version version;
	bool hybrid;
	char cpu[128], cpuset[128], unified[128];
	char own[256]; /* our own cgroup in the unified (v2) hierarchy: "/" or "/user.slice/…" */
};
int cgroups_find(int root, struct cgroups *out, struct err *e);

/* --- machine ----------------------------------------------------------------------------------- */

/* The boot id of the kernel, 36 characters. */
int boot_id(int root, char out[40], struct err *e);
/*
 * State folder: $TAUT_STATE, else /var/lib/taut for root, else $XDG_STATE_HOME/taut, else .local/state/taut
 * in the user's home.  It is made with mode 0700 where it is missing, and must be the user's own (dir_own()).
 */
int state_dir(char *out, size_t size, struct err *e);
/* Only its path. */
int state_name(char *out, size_t size, struct err *e);
/* For a user who is not root: a folder of his own that lasts until the next boot at most, in $XDG_RUNTIME_DIR
 * or /tmp.  Where there is none yet, the name that would be made, or nothing can be found under. */
void user_folder(char *out, size_t size);
int user_folder_make(char *out, size_t size, struct err *e);
/* A trial holds many files open: raises the limit of this process, or says that it may not. */
int files_enough(struct err *e);
/* A file, made where there is none, that is locked until the fd is closed.  *held: by another process
 * instead. */
int lock_open(const char *path, bool *held, struct err *e);
/* The lock that only one taut of a machine can hold (for root /run/taut.lock, else STATE/lock; flock), held
 * until the fd is closed; with -EBUSY the message names the holder's PID. */
int machine_lock(const char *state, struct err *e);
