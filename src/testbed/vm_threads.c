/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The threads of a virtual machine, by what they do.
 *
 * vCPUs are found by the first of these that knows any, from the surest to the weakest: KVM's own word
 * (debugfs, kvm/PID-FD/vcpuN/pid), QEMU's (thread ids over QMP), names, which QEMU gives only with
 * debug-threads=on (libvirt asks for it), and a thread that is seen in ioctl KVM_RUN; that comes last, for
 * one that is just busy in the guest is not seen.  Whatever is named there counts only when it is a thread of
 * this process: in another PID namespace KVM's numbers are not ours.
 *
 * vhost workers are called vhost-N after the thread that made them.  Since Linux 6.4 they are threads of the
 * QEMU process, before that kernel threads; kvm-nx-lpage-recovery, which sits beside them in newer kernels,
 * is none.  The thread of KVM's emulated timer, kvm-pit/PID, is always the kernel's and goes with the
 * emulator.
 */
#include "vm_threads.h"

#include <stdio.h>
#include <sys/syscall.h>

#define KVM_DEBUG "/sys/kernel/debug/kvm"
#define KVM_RUN   0xae80ull /* _IO(KVMIO, 0x80) */

struct vcpu {
	uint64_t index;
	pid_t tid;
};

struct finding {
	int root;
	pid_t pid;
	struct task *tasks; /* of the process */
	size_t n;
	struct vcpu vcpus[SUBJECT_THREADS_MAX];
	size_t vcpus_n;
	char folder[160]; /* of a VM in debugfs */
};

static int by_tid(const void *a, const void *b)
{
	const struct task *x = a, *y = b;

	return x->tid < y->tid ? -1 : x->tid > y->tid;
}

/* tasks_list() in the order of making, whatever the folder's. */
static int tasks_sorted(int root, pid_t pid, struct task **out, size_t *n, struct err *e)
{
	int rc = tasks_list(root, pid, out, n, e);

	if (rc == 0 && *n)
		qsort(*out, *n, sizeof(**out), by_tid);
	return rc;
}

/* --- vCPUs ------------------------------------------------------------------------------------- */

static const struct task *thread_of(const struct finding *f, pid_t tid)
{
	for (size_t i = 0; i < f->n; i++)
		if (f->tasks[i].tid == tid)
			return &f->tasks[i];
	return NULL;
}

static bool is_vcpu(const struct finding *f, pid_t tid)
{
	for (size_t i = 0; i < f->vcpus_n; i++)
		if (f->vcpus[i].tid == tid)
			return true;
	return false;
}

static void vcpu_add(struct finding *f, uint64_t index, pid_t tid)
{
	if (thread_of(f, tid) && !is_vcpu(f, tid) && f->vcpus_n < ARRAY_LEN(f->vcpus))
		f->vcpus[f->vcpus_n++] = (struct vcpu){index, tid};
}

static int debugfs_vcpu(const char *name, void *arg)
{
	struct finding *f = arg;
	AUTO_FREE char *path = str_format("%s/%s/pid", f->folder, name);
	uint64_t index, tid;

	if (str_starts(name, "vcpu") && str_u64(name + strlen("vcpu"), &index) == 0 &&
		root_read_u64(f->root, path, &tid, ERR_IGNORED) == 0)
		vcpu_add(f, index, (pid_t)tid);
	return 0;
}

/* A folder is called PID-FD. */
static int debugfs_vm(const char *name, void *arg)
{
	struct finding *f = arg;
	int pid, fd, end = 0;

	if (sscanf(name, "%d-%d%n", &pid, &fd, &end) != 2 || name[end] || pid != f->pid)
		return 0;
	snprintf(f->folder, sizeof(f->folder), KVM_DEBUG "/%s", name);
	root_each(f->root, f->folder, debugfs_vcpu, f, ERR_IGNORED);
	return 0;
}

static bool runs_guest(const struct finding *f, pid_t tid)
{
	unsigned long long number, fd, request;
	char path[80], text[256];

	snprintf(path, sizeof(path), "/proc/%d/task/%d/syscall", f->pid, tid);
	return root_read(f->root, path, text, sizeof(text), ERR_IGNORED) > 0 &&
	       sscanf(text, "%llu %llx %llx", &number, &fd, &request) == 3 && number == SYS_ioctl &&
	       request == KVM_RUN;
}

static int by_index(const void *a, const void *b)
{
	const struct vcpu *x = a, *y = b;

	return x->index < y->index ? -1 : x->index > y->index;
}

static void find_vcpus(struct finding *f, const pid_t *told, size_t told_n)
{
	root_each(f->root, KVM_DEBUG, debugfs_vm, f, ERR_IGNORED);
	for (size_t i = 0, none = f->vcpus_n == 0; none && i < told_n; i++)
		vcpu_add(f, i, told[i]);
	for (size_t i = 0, none = f->vcpus_n == 0; none && i < f->n; i++) {
		unsigned index = 0; /* "CPU 3/KVM", or one thread for "ALL CPUs/TCG" */
		if (sscanf(f->tasks[i].comm, "CPU %u/", &index) == 1 ||
			str_starts(f->tasks[i].comm, "ALL CPUs/"))
			vcpu_add(f, index, f->tasks[i].tid);
	}
	for (size_t i = 0, none = f->vcpus_n == 0; none && i < f->n; i++)
		if (runs_guest(f, f->tasks[i].tid))
			vcpu_add(f, i, f->tasks[i].tid);
	if (f->vcpus_n)
		qsort(f->vcpus, f->vcpus_n, sizeof(f->vcpus[0]), by_index);
}

/* --- the others -------------------------------------------------------------------------------- */

/* "vhost-123": the number; 0 for any other name. */
static pid_t vhost_owner(const struct task *task)
{
	uint64_t owner = 0;

	if (str_starts(task->comm, "vhost-"))
		str_u64(task->comm + strlen("vhost-"), &owner);
	return (pid_t)owner;
}

static enum role role_of(const struct task *task)
{
	if (vhost_owner(task))
		return ROLE_VHOST;
	return str_starts(task->comm, "IO ") ? ROLE_IOTHREAD : ROLE_EMULATOR;
}

static int subject_add(struct subject *subject, enum role role, const struct task *task, struct err *e)
{
	if (subject->threads_n == SUBJECT_THREADS_MAX)
		return err_set(
			e, E2BIG, "cannot tune a machine with more than %d threads", SUBJECT_THREADS_MAX);
	subject->threads[subject->threads_n++] =
		(struct subject_thread){role, task->pid, task->tid, task->start};
	return 0;
}

static int add_vcpus(const struct finding *f, struct subject *subject, struct err *e)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < f->vcpus_n; i++)
		rc = subject_add(subject, ROLE_VCPU, thread_of(f, f->vcpus[i].tid), e);
	return rc;
}

static int add_threads(const struct finding *f, enum role role, struct subject *subject, struct err *e)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < f->n; i++)
		if (!is_vcpu(f, f->tasks[i].tid) && !(f->tasks[i].flags & TASK_EXITING) &&
			role_of(&f->tasks[i]) == role)
			rc = subject_add(subject, role, &f->tasks[i], e);
	return rc;
}

/* Kernel threads that work for this process alone. */
static int add_kernel_threads(const struct finding *f, struct subject *subject, struct err *e)
{
	AUTO_FREE struct task *tasks = NULL;
	size_t n = 0;
	int rc = tasks_sorted(f->root, 0, &tasks, &n, e), pid;

	for (size_t i = 0; rc == 0 && i < n; i++) {
		if (!(tasks[i].flags & TASK_KTHREAD))
			continue;
		if (thread_of(f, vhost_owner(&tasks[i])))
			rc = subject_add(subject, ROLE_VHOST, &tasks[i], e);
		else if (sscanf(tasks[i].comm, "kvm-pit/%d", &pid) == 1 && pid == f->pid)
			rc = subject_add(subject, ROLE_EMULATOR, &tasks[i], e);
	}
	return rc;
}

static void finding_end(struct finding **f)
{
	if (*f)
		free((*f)->tasks);
	free(*f);
}

int vm_threads(int root, pid_t pid, const pid_t *told, size_t told_n, struct subject *subject, struct err *e)
{
	static const enum role others[] = {ROLE_VHOST, ROLE_IOTHREAD, ROLE_EMULATOR};
	AUTO(finding_end) struct finding *f = mem_alloc(sizeof(*f));
	size_t before = subject->threads_n;
	int rc;

	f->root = root;
	f->pid = pid;
	rc = tasks_sorted(root, pid, &f->tasks, &f->n, e);
	if (rc < 0)
		return err_wrap(e, "cannot find the threads of the virtual machine");
	find_vcpus(f, told, told_n);
	if (f->vcpus_n == 0)
		return err_set(e, ENOENT, "cannot find the virtual CPUs among the %zu threads of process %d",
			f->n, pid);
	rc = add_vcpus(f, subject, e);
	for (size_t i = 0; rc == 0 && i < ARRAY_LEN(others); i++)
		rc = add_threads(f, others[i], subject, e);
	if (rc == 0)
		rc = add_kernel_threads(f, subject, e);
	if (rc < 0)
		subject->threads_n = before;
	return rc;
}
