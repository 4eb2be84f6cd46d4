/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * May this machine be tuned?  Not while containers or virtual machines of others run on it, since tuning
 * takes CPUs from them.  A process belongs to a container when it is in other PID and mount namespaces (a
 * sandbox of a browser has a PID namespace alone), or in another cgroup namespace, or in cgroups with a name
 * that only containers have (there are containers that share the namespaces of the host).  Other namespaces
 * are those that are neither ours nor of the first process: taut may be in a container that sees the host. It
 * belongs to a virtual machine when it holds a file of KVM, or when it has the name of a monitor such as
 * QEMU, which can also emulate.  Three kinds of process do not count as those of others: processes in a
 * cgroup "/taut-…", descendants of this process, and, when taut itself runs in a container, processes in the
 * same cgroups.  Kernel threads that work for a virtual machine are in its cgroups but are not counted; its
 * monitor process is.
 */
#include "private.h"

#include <stdio.h>

/* Parts of cgroup paths that only containers and VMs have. */
static const char *const container_marks[] = {"/docker/", "/docker-", "/libpod-", "/libpod_", "/lxc/",
	"/lxc.payload", "/kubepods", "/crio-", "/cri-containerd-", "/nerdctl/", "/machine.slice/",
	"/machine/", "/garden/", "/k8s.io/", "/buildkit/", "/actions_job/"};
/* Names of monitor processes as `comm` shows them, at most 15 characters; a '-' at the end means any ending.
 */
static const char *const monitor_marks[] = {"qemu-system-", "qemu-kvm", "kvm", "firecracker",
	"cloud-hyperviso", "crosvm", "VBoxHeadless", "VirtualBoxVM", "vmware-vmx"};

/* Namespaces that services of the host have in common with it. */
enum space { SPACE_PID, SPACE_MOUNT, SPACE_CGROUP, SPACES_N };
static const char *const space_names[SPACES_N] = {"pid", "mnt", "cgroup"};

enum evidence { NO_EVIDENCE, BY_CGROUP, BY_NAMESPACE, BY_NAME, BY_KVM, EVIDENCE_N };
static const char *const evidence_words[EVIDENCE_N] = {
	[BY_CGROUP] = "belongs to a container by its cgroups",
	[BY_NAMESPACE] = "belongs to a container by its namespaces",
	[BY_NAME] = "belongs to a virtual machine by its name",
	[BY_KVM] = "belongs to a virtual machine by its files of KVM",
};

struct search {
	const struct undo_host *host;
	char own[8192]; /* the cgroups of this process */
	/* its namespaces and those of the first process; "" where they cannot be told */
	char own_spaces[SPACES_N][64], first_spaces[SPACES_N][64];
	pid_t but;       /* the QEMU of the user's own machine that is to be tuned; 0: there is none */
	char scope[512]; /* a cgroup that holds `but` and its helper processes only; "" when there is none */
	size_t found;
	char first[160];
};

static bool is_monitor(const char *comm)
{
	for (size_t i = 0; i < ARRAY_LEN(monitor_marks); i++) {
		size_t len = strlen(monitor_marks[i]);
		bool prefix = monitor_marks[i][len - 1] == '-';
		if (prefix ? str_starts(comm, monitor_marks[i]) : !strcmp(comm, monitor_marks[i]))
			return true;
	}
	return false;
}

static bool has_mark(const char *groups)
{
	for (size_t i = 0; i < ARRAY_LEN(container_marks); i++)
		if (strstr(groups, container_marks[i]))
			return true;
	return false;
}

/* Are these the cgroups of a container that this process is not in itself? */
static bool is_foreign(const char *groups, const char *own)
{
	return has_mark(groups) && strcmp(groups, own) != 0;
}

/* "pid:[4026531836]" */
static void read_space(const struct undo_host *host, const char *pid, const char *name, char out[64])
{
	AUTO_FREE char *path = str_format("proc/%s/ns/%s", pid, name);
	ssize_t n = readlinkat(host->root, path, out, 63);

	out[n > 0 ? n : 0] = 0;
}

static bool in_other_space(const struct search *search, const char *pid)
{
	bool other[SPACES_N];
	char space[64];

	for (size_t i = 0; i < SPACES_N; i++) {
		const char *own = search->own_spaces[i];
		read_space(search->host, pid, space_names[i], space);
		other[i] = space[0] && own[0] && strcmp(space, own) != 0 &&
			   strcmp(space, search->first_spaces[i]) != 0;
	}
	return (other[SPACE_PID] && other[SPACE_MOUNT]) || other[SPACE_CGROUP];
}

struct holder {
	const struct undo_host *host;
	const char *pid;
};

static int is_kvm_file(const char *name, void *arg)
{
	const struct holder *holder = arg;
	AUTO_FREE char *path = str_format("proc/%s/fd/%s", holder->pid, name);
	char file[64];
	ssize_t n = readlinkat(holder->host->root, path, file, sizeof(file) - 1);

	file[n > 0 ? n : 0] = 0;
	return str_starts(file, "anon_inode:kvm-") || !strcmp(file, "/dev/kvm");
}

/* The machine itself and its vCPUs are files, whatever the monitor is called.  The first process of an
 * emulated host holds one that never runs. */
static bool holds_kvm(const struct undo_host *host, const char *pid)
{
	if (!strcmp(pid, "1"))
		return false;
	AUTO_FREE char *folder = str_format("/proc/%s/fd", pid);

	return root_each(host->root, folder, is_kvm_file, &(struct holder){host, pid}, ERR_IGNORED) > 0;
}

static struct search search_begin(const struct undo_host *host, pid_t but)
{
	struct search search = {.host = host, .but = but};

	if (root_read(host->root, "/proc/self/cgroup", search.own, sizeof(search.own), ERR_IGNORED) < 0)
		search.own[0] = 0;
	for (size_t i = 0; i < SPACES_N; i++) {
		read_space(host, "self", space_names[i], search.own_spaces[i]);
		read_space(host, "1", space_names[i], search.first_spaces[i]);
	}
	return search;
}

static void read_groups(const struct undo_host *host, const char *pid, char *out, size_t size)
{
	AUTO_FREE char *path = str_format("/proc/%s/cgroup", pid);

	if (root_read(host->root, path, out, size, ERR_IGNORED) < 0)
		out[0] = 0;
}

static enum evidence evidence_of(
	const struct search *search, const char *pid, const char *comm, const char *groups)
{
	if (is_foreign(groups, search->own))
		return BY_CGROUP;
	if (in_other_space(search, pid))
		return BY_NAMESPACE;
	return is_monitor(comm) ? BY_NAME : NO_EVIDENCE;
}

bool tune_is_contained(const struct undo_host *host, pid_t pid)
{
	const struct search search = search_begin(host, 0);
	AUTO_FREE char *name = str_format("%d", pid);
	char groups[8192];

	read_groups(host, name, groups, sizeof(groups));
	return !strstr(groups, "/taut-") && (is_foreign(groups, search.own) || in_other_space(&search, name));
}

/* Is it a descendant of this process, or the process itself? */
static bool is_descendant(const struct undo_host *host, pid_t pid)
{
	char path[64], text[4096];

	for (int depth = 0; pid > 1 && depth < 64; depth++) {
		if (pid == getpid())
			return true;
		snprintf(path, sizeof(path), "/proc/%d/status", pid);
		if (root_read(host->root, path, text, sizeof(text), ERR_IGNORED) < 0)
			return false;
		char *line = strstr(text, "\nPPid:");
		pid = line ? atoi(line + strlen("\nPPid:")) : 0;
	}
	return false;
}

/* Finds the scope of `but` in its cgroups, such as "/machine.slice/machine-qemu-web.scope". */
static void read_scope(struct search *search)
{
	char path[64], groups[8192];

	snprintf(path, sizeof(path), "/proc/%d/cgroup", search->but);
	if (!search->but || root_read(search->host->root, path, groups, sizeof(groups), ERR_IGNORED) < 0)
		return;
	char *end = strstr(groups, ".scope");
	if (!end)
		return;
	end[strlen(".scope")] = 0;
	char *line = strrchr(groups, '\n'), *path_begin = strchr(line ? line : groups, '/');
	if (path_begin &&
		has_mark(path_begin)) /* a login session is a scope too, but holds other processes */
		str_copy(search->scope, sizeof(search->scope), path_begin);
}

static bool is_kernels(const struct search *search, pid_t pid)
{
	struct task task;

	return task_read(search->host->root, pid, pid, &task, ERR_IGNORED) == 0 && task.flags & TASK_KTHREAD;
}

static int look(const char *name, void *arg)
{
	struct search *search = arg;
	char path[64], comm[64], groups[8192];
	uint64_t pid;

	if (str_u64(name, &pid) || (search->but && (pid_t)pid == search->but))
		return 0;
	snprintf(path, sizeof(path), "/proc/%s/comm", name);
	if (root_read(search->host->root, path, comm, sizeof(comm), ERR_IGNORED) < 0)
		return 0;
	read_groups(search->host, name, groups, sizeof(groups));
	if (strstr(groups, "/taut-") || (search->scope[0] && strstr(groups, search->scope)))
		return 0;
	enum evidence evidence = evidence_of(search, name, comm, groups);
	if (!evidence && holds_kvm(search->host, name)) /* last: it may have many files */
		evidence = BY_KVM;
	if (!evidence || is_descendant(search->host, (pid_t)pid) || is_kernels(search, (pid_t)pid))
		return 0;
	if (search->found++ == 0)
		snprintf(search->first, sizeof(search->first), "process %s (%s) %s", name, comm,
			evidence_words[evidence]);
	return 0;
}

int tune_allowed(const struct undo_host *host, pid_t but, bool yes, struct err *e)
{
	struct search search = search_begin(host, but);
	int rc;

	if (yes)
		return 0;
	read_scope(&search);
	rc = root_each(host->root, "/proc", look, &search, e);
	if (rc < 0)
		return rc;
	if (search.found == 0)
		return 0;
	if (search.found > 1)
		err_refused(e, "cannot tune this machine: others work on it: %s, and %zu more are alike",
			search.first, search.found - 1);
	else
		err_refused(e, "cannot tune this machine: others work on it: %s", search.first);
	err_try(e, "--yes when they may be disturbed, or another machine");
	return -EPERM;
}
