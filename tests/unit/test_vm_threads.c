/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The roles of QEMU's threads, on machines made of plain files: /proc and debugfs in a temporary folder. */
#include "testbed/vm_threads.h"
#include "test_keep.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define QEMU 4000

struct thread {
	int pid, tid;
	const char *comm, *syscall; /* syscall NULL: not to be read */
	unsigned flags;
};

/* As a kernel from 6.4 on shows them. */
static const struct thread modern[] = {
	{QEMU, QEMU, "qemu-system-x86", "271 0x55 0x7 0x0", 0},
	{QEMU, QEMU + 1, "qemu-system-x86", "202 0x1 0x80", 0},
	{QEMU, QEMU + 2, "qemu-system-x86", "16 0x1e 0xae80 0x0 0x0", 0}, /* KVM_RUN */
	{QEMU, QEMU + 3, "qemu-system-x86", "16 0x1f 0xae80 0x0 0x0", 0},
	{QEMU, QEMU + 4, "vhost-4000", NULL, 0},
	{QEMU, QEMU + 5, "kvm-nx-lpage-re", NULL, 0},
	{QEMU, QEMU + 6, "IO iothread0", "271 0x0", 0},
	{QEMU, QEMU + 7, "vhost-user", "16 0x1e 0x5401", 0}, /* not a vhost worker */
	{900, 900, "vhost-899", NULL, TASK_KTHREAD},         /* of another process */
	{901, 901, "kvm-pit/4000", NULL, TASK_KTHREAD},
	{902, 902, "kvm-pit/400", NULL, TASK_KTHREAD},
};
/* Before 6.4 the vhost worker is a kernel thread, named after the thread that made it. */
static const struct thread older[] = {
	{QEMU, QEMU, "qemu-system-x86", "271 0x55 0x7 0x0", 0}, {QEMU, QEMU + 1, "CPU 1/KVM", "running", 0},
	{QEMU, QEMU + 2, "CPU 0/KVM", "running", 0}, {903, 903, "vhost-4000", NULL, TASK_KTHREAD},
	{904, 904, "kvm-nx-lpage-re", NULL, TASK_KTHREAD},
	{4100, 4100, "vhost-4000", NULL, 0}, /* a process that calls itself so */
};

struct tree {
	char path[64];
	int root;
};

static void put(const struct tree *t, const char *path, const char *text)
{
	AUTO_FREE char *whole = str_format("%s%s", t->path, path);
	AUTO_FREE char *dir = str_dup(whole);

	*strrchr(dir, '/') = 0;
	assert_int_equal(dir_make(dir, 0755, ERR_IGNORED), 0);
	FILE *f = fopen(whole, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static void tree_make(struct tree *t, const struct thread *threads, size_t n)
{
	str_copy(t->path, sizeof(t->path), "/tmp/taut-threads-XXXXXX");
	keep_folder(t->path);
	for (size_t i = 0; i < n; i++) {
		char path[96], text[512];
		snprintf(path, sizeof(path), "/proc/%d/task/%d/stat", threads[i].pid, threads[i].tid);
		snprintf(text, sizeof(text),
			"%d (%s) S 1 1 1 0 -1 %u 0 0 0 0 0 0 0 0 20 0 1 0 %d 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n",
			threads[i].tid, threads[i].comm, threads[i].flags, threads[i].tid + 1000000);
		put(t, path, text);
		snprintf(path, sizeof(path), "/proc/%d/task/%d/status", threads[i].pid, threads[i].tid);
		put(t, path, "Name:\tx\nCpus_allowed:\t3\n");
		snprintf(path, sizeof(path), "/proc/%d/task/%d/syscall", threads[i].pid, threads[i].tid);
		if (threads[i].syscall)
			put(t, path, threads[i].syscall);
	}
	t->root = root_open(t->path, ERR_IGNORED);
	assert_true(t->root >= 0);
}

static void tree_end(struct tree *t)
{
	close(t->root);
	assert_int_equal(tree_remove(t->path, ERR_IGNORED), 0);
}

static void check(const struct tree *t, const pid_t *told, size_t told_n, const char *want)
{
	AUTO_FREE struct subject *subject = mem_alloc(sizeof(*subject));
	AUTO(buf_free) struct buf got = {0};
	struct err e = ERR_INIT;

	if (vm_threads(t->root, QEMU, told, told_n, subject, &e) < 0)
		fail_msg("%s", e.text);
	for (size_t i = 0; i < subject->threads_n; i++) {
		const struct subject_thread *s = &subject->threads[i];
		assert_int_equal(s->start, s->tid + 1000000);
		buf_add(&got, "%s%s %d", i ? ", " : "", role_name(s->role), s->tid);
	}
	assert_string_equal(got.data, want);
}

#define MODERN_REST                                                                                          \
	"vhost 4004, iothread 4006, emulator 4000, emulator 4001, emulator 4005, emulator 4007, emulator "   \
	"901"

static void kvm_itself_is_asked_first(void **state)
{
	static const pid_t told[] = {QEMU + 1};
	struct tree t;

	(void)state;
	tree_make(&t, modern, ARRAY_LEN(modern));
	put(&t, "/sys/kernel/debug/kvm/4000-14/vcpu10/pid", "4002\n");
	put(&t, "/sys/kernel/debug/kvm/4000-14/vcpu2/pid", "4003\n");
	put(&t, "/sys/kernel/debug/kvm/400-14/vcpu0/pid", "4001\n");
	put(&t, "/sys/kernel/debug/kvm/4000-14x/vcpu0/pid", "4001\n");
	check(&t, told, 1, "vcpu 4003, vcpu 4002, " MODERN_REST);
	tree_end(&t);
}

static void qemu_is_asked_where_kvm_says_nothing_of_this_process(void **state)
{
	static const pid_t told[] = {
		QEMU + 3, QEMU + 3, QEMU + 2, 77}; /* twice the same: one thread for both */
	struct tree t;

	(void)state;
	tree_make(&t, modern, ARRAY_LEN(modern));
	put(&t, "/sys/kernel/debug/kvm/4000-14/vcpu0/pid", "12345\n"); /* of another PID namespace */
	check(&t, told, ARRAY_LEN(told), "vcpu 4003, vcpu 4002, " MODERN_REST);
	tree_end(&t);
}

static void a_thread_in_kvm_run_is_a_vcpu(void **state)
{
	struct tree t;

	(void)state;
	tree_make(&t, modern, ARRAY_LEN(modern));
	check(&t, NULL, 0, "vcpu 4002, vcpu 4003, " MODERN_REST);
	tree_end(&t);
}

/* One thread waits in KVM_RUN; the others are vCPUs too, although they are busy and not seen there. */
static void names_tell_of_vcpus_that_nobody_sees_in_kvm_run(void **state)
{
	static const struct thread threads[] = {
		{QEMU, QEMU, "qemu-system-x86", "271 0x55 0x7 0x0", 0},
		{QEMU, QEMU + 1, "CPU 0/KVM", "running", 0},
		{QEMU, QEMU + 2, "CPU 1/KVM", "16 0x1e 0xae80 0x0 0x0", 0},
	};
	struct tree t;

	(void)state;
	tree_make(&t, threads, ARRAY_LEN(threads));
	check(&t, NULL, 0, "vcpu 4001, vcpu 4002, emulator 4000");
	tree_end(&t);
}

static void vhost_may_be_the_kernels(void **state)
{
	struct tree t;

	(void)state;
	tree_make(&t, older, ARRAY_LEN(older));
	check(&t, NULL, 0, "vcpu 4002, vcpu 4001, emulator 4000, vhost 903");
	tree_end(&t);
}

static void a_process_without_vcpus_is_an_error(void **state)
{
	AUTO_FREE struct subject *subject = mem_alloc(sizeof(*subject));
	struct err e = ERR_INIT;
	struct tree t;

	(void)state;
	tree_make(&t, modern, 1);
	assert_int_equal(vm_threads(t.root, QEMU, NULL, 0, subject, &e), -ENOENT);
	assert_int_equal(vm_threads(t.root, QEMU + 9, NULL, 0, subject, &e), -ESRCH);
	assert_int_equal(subject->threads_n, 0);
	tree_end(&t);
}

static void too_many_threads_are_an_error_and_leave_the_subject_as_it_was(void **state)
{
	static struct thread many[SUBJECT_THREADS_MAX + 1];
	AUTO_FREE struct subject *subject = mem_alloc(sizeof(*subject));
	struct err e = ERR_INIT;
	struct tree t;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(many); i++)
		many[i] = (struct thread){QEMU, QEMU + (int)i, i == 1 ? "CPU 0/TCG" : "worker", NULL, 0};
	tree_make(&t, many, ARRAY_LEN(many));
	subject->threads_n = 1;
	assert_int_equal(vm_threads(t.root, QEMU, NULL, 0, subject, &e), -E2BIG);
	assert_int_equal(subject->threads_n, 1);
	tree_end(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(kvm_itself_is_asked_first),
		cmocka_unit_test(qemu_is_asked_where_kvm_says_nothing_of_this_process),
		cmocka_unit_test(a_thread_in_kvm_run_is_a_vcpu),
		cmocka_unit_test(names_tell_of_vcpus_that_nobody_sees_in_kvm_run),
		cmocka_unit_test(vhost_may_be_the_kernels),
		cmocka_unit_test(a_process_without_vcpus_is_an_error),
		cmocka_unit_test(too_many_threads_are_an_error_and_leave_the_subject_as_it_was),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
