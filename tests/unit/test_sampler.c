/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a sample holds, on a machine made of plain files. */
#include "site/sampler.h"
#include "test_keep.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#define CLIENT 501
#define SERVER 502

struct tree {
	char path[64];
	int root;
	struct subject subject;
	struct cgroups cgroups;
};

static void put(const struct tree *t, const char *path, const char *text)
{
	AUTO_FREE char *whole = str_format("%s%s", t->path, path);
	AUTO_FREE char *folder = str_dup(whole);

	*strrchr(folder, '/') = 0;
	assert_int_equal(dir_make(folder, 0755, ERR_IGNORED), 0);
	FILE *f = fopen(whole, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static void put_thread(const struct tree *t, int id, const char *file, const char *text)
{
	AUTO_FREE char *path = str_format("/proc/%d/task/%d/%s", id, id, file);

	put(t, path, text);
}

/* A thread that may run on the CPUs of `mask`. */
static void put_task(const struct tree *t, int id, int policy, const char *mask, unsigned involuntary)
{
	AUTO_FREE char *stat = str_format(
		"%d (taut-client) S 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 77 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 50 %d 0 0 0\n",
		id, policy);
	AUTO_FREE char *status = str_format(
		"Name:\tx\nCpus_allowed:\t%s\nvoluntary_ctxt_switches:\t9\nnonvoluntary_ctxt_switches:\t%u\n",
		mask, involuntary);

	put_thread(t, id, "stat", stat);
	put_thread(t, id, "status", status);
}

static void put_stat(const struct tree *t, unsigned irq, unsigned softirq, unsigned steal)
{
	AUTO_FREE char *text = str_format("cpu  9 9 9 9 9 9 9 9 0 0\n"
					  "cpu0 100 20 30 4000 5 %u %u %u 0 0\n"
					  "cpu1 1 2 3 4 5 6 7 8 0 0\n"
					  "cpu2 70 70 70 70 70 70 70 70 0 0\n"
					  "intr 12345 1 2 3\nctxt 6789\nbtime 1\nsoftirq 4321 1 2\n",
		irq, softirq, steal);

	put(t, "/proc/stat", text);
}

static void tree_make(struct tree *t, int policy)
{
	*t = (struct tree){.path = "/tmp/taut-sampler-XXXXXX", .cgroups = {.cpu = "/cpu"}};
	keep_folder(t->path);
	t->root = root_open(t->path, ERR_IGNORED);
	assert_true(t->root >= 0);
	t->subject.threads_n = 2;
	t->subject.threads[0] = (struct subject_thread){.role = ROLE_CLIENT, .pid = CLIENT, .tid = CLIENT};
	t->subject.threads[1] = (struct subject_thread){.role = ROLE_SERVER, .pid = SERVER, .tid = SERVER};
	t->subject.cgroups_n = 2;
	str_copy(t->subject.cgroups[0], sizeof(t->subject.cgroups[0]), "/t/client");
	str_copy(t->subject.cgroups[1], sizeof(t->subject.cgroups[1]), "/t/server");
	put_stat(t, 1, 2, 3);
	put_task(t, CLIENT, policy, "1", 5);
	put_task(t, SERVER, policy, "2", 6);
	put_thread(t, CLIENT, "schedstat", "1000 300 9\n");
	put_thread(t, SERVER, "schedstat", "1000 400 9\n");
	put(t, "/cpu/t/client/cpu.stat", "usage_usec 1\nthrottled_usec 5\n");
	put(t, "/cpu/t/server/cpu.stat", "nr_throttled 2\nthrottled_time 700\n");
	put(t, "/proc/sys/kernel/sched_rt_runtime_us", "950000\n");
}

static void tree_end(struct tree *t)
{
	close(t->root);
	assert_int_equal(tree_remove(t->path, ERR_IGNORED), 0);
}

static struct sampler *start(const struct tree *t)
{
	struct sampler *sampler = NULL;
	struct err e = ERR_INIT;

	if (sampler_start(&sampler, t->root, &t->subject, &t->cgroups, &e) < 0)
		fail_msg("%s", e.text);
	return sampler;
}

static void a_sample_holds_what_the_endpoints_and_their_cpus_went_through(void **state)
{
	struct tree t;

	(void)state;
	tree_make(&t, SCHED_FIFO);
	struct sampler *sampler = start(&t);
	put_stat(&t, 11, 22, 33);
	sampler_sample(sampler);
	const struct samples got = sampler_samples(sampler);
	assert_int_equal(got.n, 2);
	assert_true(got.fifo);
	assert_int_equal(got.rt_runtime_us, 950000);
	assert_true(got.at[1].at_ns > got.at[0].at_ns);
	assert_int_equal(got.at[0].steal_ns, (3 + 8) * 10 * NS_PER_MS);
	assert_int_equal(got.at[0].irq_ns, (1 + 2 + 6 + 7) * 10 * NS_PER_MS);
	assert_int_equal(got.at[0].busy_ns, (100 + 20 + 30 + 1 + 2 + 1 + 2 + 3 + 6 + 7) * 10 * NS_PER_MS);
	assert_int_equal(got.at[1].steal_ns, (33 + 8) * 10 * NS_PER_MS);
	assert_int_equal(got.at[1].irq_ns, (11 + 22 + 6 + 7) * 10 * NS_PER_MS);
	assert_int_equal(got.at[0].interrupts, 12345);
	assert_int_equal(got.at[0].context_switches, 6789);
	assert_int_equal(got.at[0].softirqs, 4321);
	assert_int_equal(got.at[0].run_queue_wait_ns, 0); /* what was before does not count */
	assert_int_equal(got.at[0].involuntary_switches, 11);
	assert_int_equal(got.at[0].throttled_ns, 5 * NS_PER_US + 700);
	sampler_free(sampler);
	tree_end(&t);
}

/* Several flows: of each end the thread that waited longest, and never more than the time that passed. */
static void waits_of_threads_side_by_side_are_not_added_up(void **state)
{
	struct tree t;

	(void)state;
	tree_make(&t, SCHED_OTHER);
	t.subject.threads_n = 3;
	t.subject.threads[2] = (struct subject_thread){.role = ROLE_SERVER, .pid = SERVER, .tid = SERVER + 1};
	put_task(&t, SERVER + 1, SCHED_OTHER, "2", 6);
	AUTO_FREE char *from = str_format("%s/proc/%d/task/%d", t.path, SERVER + 1, SERVER + 1);
	AUTO_FREE char *to = str_format("%s/proc/%d/task/%d", t.path, SERVER, SERVER + 1);
	assert_int_equal(rename(from, to), 0);
	AUTO_FREE char *second = str_format("/proc/%d/task/%d/schedstat", SERVER, SERVER + 1);
	put(&t, second, "1000 400 9\n");
	struct sampler *sampler = start(&t);
	put_thread(&t, CLIENT, "schedstat", "1000 320 9\n");
	put_thread(&t, SERVER, "schedstat", "1000 430 9\n");
	put(&t, second, "1000 440 9\n");
	sampler_sample(sampler);
	put_thread(&t, CLIENT, "schedstat", "1000 900000000320 9\n");
	sampler_sample(sampler);
	const struct samples got = sampler_samples(sampler);
	assert_int_equal(got.at[1].run_queue_wait_ns, 20 + 40);
	assert_int_equal(got.at[2].run_queue_wait_ns, 60 + got.at[2].at_ns - got.at[1].at_ns);
	sampler_free(sampler);
	tree_end(&t);
}

/* The kernel counts a wait when it is over: one of several steps comes in one piece. */
static void a_wait_that_lasts_for_several_samples_counts_in_full(void **state)
{
	struct tree t;

	(void)state;
	tree_make(&t, SCHED_OTHER);
	struct sampler *sampler = start(&t);
	for (int i = 0; i < 4; i++) {
		usleep(5000);
		sampler_sample(sampler);
	}
	put_thread(
		&t, SERVER, "schedstat", "1000 20000400 9\n"); /* 20 ms more, at the end of the last 5 ms */
	sampler_sample(sampler);
	const struct samples got = sampler_samples(sampler);
	assert_int_equal(got.at[4].run_queue_wait_ns, 0);
	assert_int_equal(got.at[5].run_queue_wait_ns, 20000000);
	sampler_free(sampler);
	tree_end(&t);
}

static void what_has_ended_keeps_its_figures(void **state)
{
	struct tree t;

	(void)state;
	tree_make(&t, SCHED_OTHER);
	struct sampler *sampler = start(&t);
	AUTO_FREE char *client = str_format("%s/proc/%d", t.path, CLIENT);
	AUTO_FREE char *group = str_format("%s/cpu/t/client", t.path);
	assert_int_equal(tree_remove(client, ERR_IGNORED), 0);
	assert_int_equal(tree_remove(group, ERR_IGNORED), 0);
	put_thread(&t, SERVER, "schedstat", "1000 450 9\n");
	sampler_sample(sampler);
	const struct samples got = sampler_samples(sampler);
	assert_false(got.fifo);
	assert_int_equal(got.at[1].run_queue_wait_ns, 50);
	assert_int_equal(got.at[1].involuntary_switches, 11);
	assert_int_equal(got.at[1].throttled_ns, 5 * NS_PER_US + 700);
	sampler_free(sampler);
	tree_end(&t);
}

static void what_a_machine_does_not_show_is_nothing(void **state)
{
	static const char *const files[] = {"proc/stat", "proc/501/task/501/schedstat",
		"cpu/t/client/cpu.stat", "proc/sys/kernel/sched_rt_runtime_us"};
	struct tree t;

	(void)state;
	tree_make(&t, SCHED_OTHER);
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		AUTO_FREE char *path = str_format("%s/%s", t.path, files[i]);
		assert_int_equal(unlink(path), 0);
	}
	struct sampler *sampler = start(&t);
	const struct samples got = sampler_samples(sampler);
	assert_int_equal(got.rt_runtime_us, -1);
	assert_int_equal(got.at[0].steal_ns, 0);
	assert_int_equal(got.at[0].interrupts, 0);
	assert_int_equal(got.at[0].run_queue_wait_ns, 0);
	assert_int_equal(got.at[0].throttled_ns, 700);
	sampler_free(sampler);
	tree_end(&t);
}

static void a_thread_that_is_not_there_is_an_error_that_names_its_end(void **state)
{
	struct sampler *sampler = NULL;
	struct err e = ERR_INIT;
	struct tree t;

	(void)state;
	tree_make(&t, SCHED_OTHER);
	t.subject.threads[1].tid = 999;
	assert_int_equal(sampler_start(&sampler, t.root, &t.subject, &t.cgroups, &e), -ENOENT);
	assert_non_null(strstr(e.text, "server endpoint"));
	assert_null(sampler);
	sampler_free(sampler);
	tree_end(&t);
}

/* Room for 4096: then every second one goes, and from there on every second call makes one. */
static void a_long_trial_keeps_its_first_and_its_last_sample(void **state)
{
	struct tree t;

	(void)state;
	tree_make(&t, SCHED_OTHER);
	t.subject.threads_n = t.subject.cgroups_n = 0;
	struct sampler *sampler = start(&t);
	uint64_t first = sampler_samples(sampler).at[0].at_ns;
	for (size_t i = 1; i < 4096; i++)
		sampler_sample(sampler);
	assert_int_equal(sampler_samples(sampler).n, 4096);
	uint64_t full = sampler_samples(sampler).at[4095].at_ns;
	sampler_sample(sampler);
	for (size_t i = 0; i < 20; i++)
		sampler_sample(sampler);
	const struct samples got = sampler_samples(sampler);
	assert_int_equal(got.n, 2048 + 1 + 10);
	assert_int_equal(got.at[0].at_ns, first);
	assert_true(got.at[2048].at_ns > full);
	for (size_t i = 1; i < got.n; i++)
		assert_true(got.at[i].at_ns > got.at[i - 1].at_ns);
	sampler_free(sampler);
	tree_end(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_sample_holds_what_the_endpoints_and_their_cpus_went_through),
		cmocka_unit_test(waits_of_threads_side_by_side_are_not_added_up),
		cmocka_unit_test(a_wait_that_lasts_for_several_samples_counts_in_full),
		cmocka_unit_test(what_has_ended_keeps_its_figures),
		cmocka_unit_test(what_a_machine_does_not_show_is_nothing),
		cmocka_unit_test(a_thread_that_is_not_there_is_an_error_that_names_its_end),
		cmocka_unit_test(a_long_trial_keeps_its_first_and_its_last_sample),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
