/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * May this machine be tuned?  Not while containers or virtual machines of others run on it, since tuning
 * takes CPUs from them.  A container is recognised by the cgroups of its processes, a virtual machine by the
 * name of its monitor process, such as QEMU.  Three kinds of process do not count as those of others:
 * processes in a cgroup "/taut-…", descendants of this process, and, when taut itself runs in a container,
 * processes in the same cgroups.  Kernel threads that work for a virtual machine are in its cgroups but are
 * not counted; its monitor process is.
 */
#include "private.h"

#include <stdio.h>

/* Parts of cgroup paths that only containers and VMs have. */
static const char *const container_marks[] = {"/docker/", "/docker-", "/libpod-", "/libpod_", "/lxc/",
	"/lxc.payload", "/kubepods", "/crio-", "/cri-containerd-", "/nerdctl/", "/machine.slice/",
	"/machine/", "/garden/"};
/* Names of monitor processes as `comm` shows them, at most 15 characters; a '-' at the end means any ending.
 */
static const char *const monitor_marks[] = {"qemu-system-", "qemu-kvm", "kvm", "firecracker",
	"cloud-hyperviso", "crosvm", "VBoxHeadless", "VirtualBoxVM", "vmware-vmx"};

struct search {
	const struct undo_host *host;
	char own[8192];  /* the cgroups of this process */
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

static void read_own(const struct undo_host *host, char *own, size_t size)
{
	if (root_read(host->root, "/proc/self/cgroup", own, size, ERR_IGNORED) < 0)
		own[0] = 0;
}

bool tune_is_contained(const struct undo_host *host, pid_t pid)
{
	char path[64], groups[8192], own[8192];

	snprintf(path, sizeof(path), "/proc/%d/cgroup", pid);
	if (root_read(host->root, path, groups, sizeof(groups), ERR_IGNORED) < 0 || !has_mark(groups))
		return false;
	read_own(host, own, sizeof(own));
	return is_foreign(groups, own);
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
	snprintf(path, sizeof(path), "/proc/%s/cgroup", name);
	if (root_read(search->host->root, path, groups, sizeof(groups), ERR_IGNORED) < 0)
		groups[0] = 0;
	bool container = is_foreign(groups, search->own);
	if ((!container && !is_monitor(comm)) || strstr(groups, "/taut-") ||
		(search->scope[0] && strstr(groups, search->scope)) ||
		is_descendant(search->host, (pid_t)pid) || is_kernels(search, (pid_t)pid))
		return 0;
	if (search->found++ == 0)
		snprintf(search->first, sizeof(search->first), "process %s (%s) belongs to a %s", name, comm,
			container ? "container" : "virtual machine");
	return 0;
}

int tune_allowed(const struct undo_host *host, pid_t but, bool yes, struct err *e)
{
	struct search search = {.host = host, .but = but};
	int rc;

	if (yes)
		return 0;
	read_own(host, search.own, sizeof(search.own));
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
