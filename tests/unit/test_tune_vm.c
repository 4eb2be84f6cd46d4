/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Tuning of a virtual machine on a host that is made of plain files. */
#include "test_tune_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/wait.h>
#include <cmocka.h>

static struct settings settings_of(const char *profile)
{
	struct settings s;

	settings_init(&s);
	s.target = "vm";
	s.profile = profile;
	return s;
}

static void must(int rc, const struct err *e)
{
	if (rc < 0)
		fail_msg("%s (%d)", e->text, rc);
}

static void apply(struct world *w, struct tune *tune, enum tune_stage stage, const struct settings *s,
	const struct subject *subject)
{
	struct err e = ERR_INIT;
	struct undo_list *plan;

	must(world_plan(&plan, &w->host, stage, s, subject, &e), &e);
	must(tune_apply(tune, plan, &e), &e);
}

/* "client 2 fifo:50, vcpu 1 fifo:49, …" as the machine is now. */
static char *places(const struct world *w, const struct subject *subject)
{
	struct buf out = {0};

	for (size_t i = 0; i < subject->threads_n; i++) {
		const struct subject_thread *t = &subject->threads[i];
		struct err e = ERR_INIT;
		struct task task;
		char list[64];
		must(task_read(w->host.root, t->tid, t->tid, &task, &e), &e);
		buf_add(&out, "%s%s %s %s:%d", i ? ", " : "", role_name(t->role),
			cpus_format_list(&task.affinity, list, sizeof(list)), policy_name(task.policy),
			task.priority);
	}
	return out.data;
}

/* The status and the reason of the first entry of a knob. */
static char *standing(const struct tune *tune, const char *knob)
{
	json_t *all = tune_effective_json(tune), *entry;
	char *text = str_dup("none");
	size_t i;

	json_array_foreach (all, i, entry) {
		if (strcmp(json_string_value(json_object_get(entry, "id")), knob))
			continue;
		const char *why = json_string_value(json_object_get(entry, "reason"));
		free(text);
		text = str_format("%s%s%s", json_string_value(json_object_get(entry, "status")),
			why ? ": " : "", why ? why : "");
		break;
	}
	json_decref(all);
	return text;
}

#define assert_text(got_, want_)                                                                             \
	do {                                                                                                 \
		AUTO_FREE char *got = (got_);                                                                \
		assert_string_equal(got, want_);                                                             \
	} while (0)

/* --- threads ----------------------------------------------------------------------------------- */

struct way {
	const char *what;
	int cpus, vcpus, vhosts;
	const char *cpuset; /* of the target, once it is confined; NULL: none */
	const char *profile, *sched;
	int64_t client_cpu, server_cpu;
	const char *want;
	const char *workload, *beside; /* NULL: tcp_rr, none */
};

static const struct way ways[] = {
	{"a CPU for each", 4, 1, 1, NULL, "low-latency", "", -1, -1,
		"client 2 fifo:50, vcpu 1 fifo:49, vhost 3 fifo:51, iothread 0 other:0, emulator 0 other:0"},
	{"a cpuset keeps QEMU with its vCPUs: it gets out of their way", 4, 1, 1, "1-3\n", "low-latency", "",
		-1, -1,
		"client 2 fifo:50, vcpu 1 fifo:49, vhost 3 fifo:51, iothread 2 fifo:50, emulator 2 fifo:50"},
	{"without vhost the main loop moves the packets", 4, 1, 0, NULL, "low-latency", "", -1, -1,
		"client 2 fifo:50, vcpu 1 fifo:49, iothread 0 other:0, emulator 3 fifo:51"},
	{"all on one CPU: whoever may be busy stands below the others", 2, 1, 1, "1\n", "low-latency", "", -1,
		-1,
		"client 1 fifo:50, vcpu 1 fifo:49, vhost 1 fifo:51, iothread 1 fifo:50, emulator 1 fifo:50"},
	{"vCPUs leave nothing: helpers go to the first", 4, 3, 2, NULL, "low-latency", "", -1, -1,
		"client 1 fifo:50, vcpu 1 fifo:49, vcpu 2 fifo:49, vcpu 3 fifo:49, vhost 1 fifo:51, vhost 1 fifo:51, iothread 0 other:0, emulator 0 other:0"},
	{"vCPUs that share a CPU must not be realtime", 2, 2, 1, NULL, "low-latency", "", -1, -1,
		"client 1 fifo:50, vcpu 1 other:0, vcpu 1 other:0, vhost 1 fifo:51, iothread 0 other:0, emulator 0 other:0"},
	{"one CPU: nothing to place, and no guest that could keep it", 1, 1, 1, NULL, "low-latency", "", -1,
		-1,
		"client 0 fifo:50, vcpu 0 other:0, vhost 0 fifo:51, iothread 0 other:0, emulator 0 other:0"},
	{"all on one CPU, and a client that never blocks: it must not be realtime", 2, 1, 1, "1\n",
		"low-latency", "", -1, -1,
		"client 1 other:0, vcpu 1 fifo:49, vhost 1 fifo:51, iothread 1 fifo:50, emulator 1 fifo:50",
		"udp_stream"},
	{"the same of a stream beside requests", 2, 1, 1, "1\n", "low-latency", "", -1, -1,
		"client 1 other:0, vcpu 1 fifo:49, vhost 1 fifo:51, iothread 1 fifo:50, emulator 1 fifo:50",
		"tcp_rr", "udp_stream"},
	{"over TCP it blocks", 2, 1, 1, "1\n", "low-latency", "", -1, -1,
		"client 1 fifo:50, vcpu 1 fifo:49, vhost 1 fifo:51, iothread 1 fifo:50, emulator 1 fifo:50",
		"tcp_stream"},
	{"a CPU of its own, where it may never block", 4, 1, 1, NULL, "low-latency", "", -1, -1,
		"client 2 fifo:50, vcpu 1 fifo:49, vhost 3 fifo:51, iothread 0 other:0, emulator 0 other:0",
		"udp_stream"},
	{"the user's places", 4, 1, 1, NULL, "low-latency", "", 3, 2,
		"client 3 fifo:50, vcpu 2 fifo:49, vhost 3 fifo:51, iothread 0 other:0, emulator 0 other:0"},
	{"the user's scheduling", 4, 1, 1, NULL, "low-latency", "other", -1, -1,
		"client 2 other:0, vcpu 1 other:0, vhost 3 other:0, iothread 0 other:0, emulator 0 other:0"},
	{"fifo:1 leaves nothing for vCPUs", 4, 1, 1, NULL, "low-latency", "fifo:1", -1, -1,
		"client 2 fifo:1, vcpu 1 other:0, vhost 3 fifo:2, iothread 0 other:0, emulator 0 other:0"},
	{"stock places what the user places", 4, 1, 1, NULL, "stock", "fifo:98", -1, 3,
		"client 0-3 fifo:98, vcpu 3 fifo:97, vhost 0-3 other:0, iothread 0-3 other:0, emulator 0-3 other:0"},
	{"stock as it is", 4, 1, 1, NULL, "stock", "", -1, -1,
		"client 0-3 other:0, vcpu 0-3 other:0, vhost 0-3 other:0, iothread 0-3 other:0, emulator 0-3 other:0"},
};

static void try_way(const struct way *way, enum world_kind kind)
{
	AUTO_FREE struct subject *subject = mem_alloc(sizeof(*subject));
	struct settings s = settings_of(way->profile);
	struct err e = ERR_INIT;
	struct tune *tune;
	struct world w;
	bool all = false;

	s.sched = way->sched;
	s.workload = way->workload ? way->workload : s.workload;
	s.beside = way->beside ? way->beside : s.beside;
	s.client_cpu = way->client_cpu;
	s.server_cpu = way->server_cpu;
	world_make(&w, kind, way->cpus);
	world_enter(&w);
	world_machine(&w, subject, way->vcpus, way->vhosts);
	if (way->cpuset)
		world_put(&w,
			kind == WORLD_V2 ? "/sys/fs/cgroup/taut-1/cpuset.cpus.effective"
					 : "/sys/fs/cgroup/cpuset/taut-1/server/cpuset.cpus",
			way->cpuset);
	AUTO_FREE char *before = world_picture(&w);
	must(tune_open(&tune, &w.host, &e), &e);
	apply(&w, tune, TUNE_LIVE, &s, subject);
	AUTO_FREE char *is = places(&w, subject);
	if (strcmp(is, way->want))
		fail_msg("%s:\n%s\nshould be\n%s", way->what, is, way->want);
	must(tune_verify(tune, &all, &e), &e);
	assert_true(all);
	must(tune_revert(tune, &e), &e);
	assert_text(world_picture(&w), before);
	tune_free(tune);
	world_end(&w);
}

static void a_machines_threads_are_placed_and_put_back(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(ways); i++)
		for (int kind = WORLD_V1; kind <= (ways[i].cpuset ? WORLD_V2 : WORLD_NONE); kind++)
			try_way(&ways[i], (enum world_kind)kind);
}

static void realtime_is_limited_for_our_machine_and_not_for_the_users(void **state)
{
	static const char *const targets[] = {"vm", "vm:theirs"};
	static const char *const wants[] = {
		"effective", "skipped: it is your own machine: the limit would end it"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(targets); i++) {
		AUTO_FREE struct subject *subject = mem_alloc(sizeof(*subject));
		struct settings s = settings_of("low-latency");
		struct err e = ERR_INIT;
		struct tune *tune;
		struct world w;
		s.target = targets[i];
		world_make(&w, WORLD_V2, 4);
		world_enter(&w);
		world_machine(&w, subject, 2, 1);
		subject->threads[0] =
			subject->threads[subject->threads_n - 1]; /* the main loop comes first */
		subject->threads_n--;
		must(tune_open(&tune, &w.host, &e), &e);
		apply(&w, tune, TUNE_LIVE, &s, subject);
		assert_text(standing(tune, "endpoint-rttime"), wants[i]);
		AUTO_FREE char *limits = world_get(&w, "/proc/5000600/limits");
		assert_int_equal(strstr(limits, "unlimited    unlimited") != NULL, i);
		tune_free(tune);
		world_end(&w);
	}
}

static void a_cpuset_without_the_wanted_cpu_is_an_answer(void **state)
{
	AUTO_FREE struct subject *subject = mem_alloc(sizeof(*subject));
	struct settings s = settings_of("low-latency");
	struct err e = ERR_INIT;
	struct tune *tune;
	struct world w;

	(void)state;
	world_make(&w, WORLD_V2, 4);
	world_enter(&w);
	world_machine(&w, subject, 1, 1);
	world_put(&w, "/sys/fs/cgroup/taut-1/server/cpuset.cpus.effective", "0\n"); /* machine.slice, say */
	must(tune_open(&tune, &w.host, &e), &e);
	apply(&w, tune, TUNE_LIVE, &s, subject);
	assert_text(standing(tune, "vcpu-cpu"), "skipped: CPU 1 is wanted, its cpuset holds CPUs 0");
	assert_text(standing(tune, "vhost-cpu"), "skipped: CPU 3 is wanted, its cpuset holds CPUs 0");
	assert_text(standing(tune, "emulator-cpu"), "effective");
	tune_free(tune);
	world_end(&w);
}

/* A thread of QEMU's main process, as both of its folders show it. */
static void put_thread(
	const struct world *w, int tid, unsigned start, int policy, int priority, const char *mask)
{
	AUTO_FREE char *stat = str_format(
		"%d (worker) S 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 %u 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 %d %d 0 0 0\n",
		tid, start, priority, policy);
	AUTO_FREE char *status = str_format("Name:\tx\nPPid:\t1\nCpus_allowed:\t%s\n", mask);
	const int processes[] = {WORLD_TID + 600, tid};

	for (size_t i = 0; i < ARRAY_LEN(processes); i++) {
		AUTO_FREE char *one = str_format("/proc/%d/task/%d/stat", processes[i], tid);
		AUTO_FREE char *two = str_format("/proc/%d/task/%d/status", processes[i], tid);
		world_put(w, one, stat);
		world_put(w, two, status);
	}
}

static char *place_of(const struct world *w, int tid)
{
	struct err e = ERR_INIT;
	struct task task;
	char list[64];

	must(task_read(w->host.root, tid, tid, &task, &e), &e);
	return str_format("%s %s:%d", cpus_format_list(&task.affinity, list, sizeof(list)),
		policy_name(task.policy), task.priority);
}

/* QEMU starts threads at any time; they inherit the placement of the thread that started them. */
static void threads_that_were_made_meanwhile_are_put_back(void **state)
{
	AUTO_FREE struct subject *subject = mem_alloc(sizeof(*subject));
	struct settings s = settings_of("low-latency");
	struct err e = ERR_INIT;
	struct tune *tune;
	struct world w;

	(void)state;
	s.target = "vm:theirs";
	world_make(&w, WORLD_V2, 4);
	world_enter(&w);
	world_machine(&w, subject, 1, 0);
	must(tune_open(&tune, &w.host, &e), &e);
	apply(&w, tune, TUNE_LIVE, &s, subject);
	assert_text(place_of(&w, WORLD_TID + 600), "3 fifo:51"); /* the main loop */
	put_thread(&w, WORLD_TID + 7001, 6000, SCHED_FIFO, 51, "8");
	put_thread(&w, WORLD_TID + 7002, 6000, SCHED_OTHER, 0, "5"); /* placed by somebody else */
	put_thread(&w, WORLD_TID + 7003, 4000, SCHED_FIFO, 51, "8"); /* older, so not placed by taut */
	must(tune_revert(tune, &e), &e);
	assert_text(place_of(&w, WORLD_TID + 600), "0-3 other:0");
	assert_text(place_of(&w, WORLD_TID + 7001), "0-3 other:0");
	assert_text(place_of(&w, WORLD_TID + 7002), "0,2 other:0");
	assert_text(place_of(&w, WORLD_TID + 7003), "3 fifo:51");
	tune_free(tune);
	world_end(&w);
}

/* --- memory ------------------------------------------------------------------------------------ */

static void the_backing_follows_profile_and_wish(void **state)
{
	static const struct {
		const char *profile, *backing;
		enum tune_backing want;
	} rows[] = {
		{"stock", "", TUNE_BACKING_RAM},
		{"command", "", TUNE_BACKING_RAM},
		{"low-latency", "", TUNE_BACKING_BEST},
		{"low-latency", "ram", TUNE_BACKING_RAM},
		{"low-latency", "hugepages", TUNE_BACKING_HUGEPAGES},
		{"stock", "locked", TUNE_BACKING_LOCKED},
		{"stock", "hugepages", TUNE_BACKING_HUGEPAGES},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct settings s = settings_of(rows[i].profile);
		s.backing = rows[i].backing;
		struct tuning tuning;
		assert_int_equal(tuning_make(&tuning, &s, ERR_IGNORED), 0);
		if (tune_wants_backing(&tuning) != rows[i].want)
			fail_msg("%s with backing '%s': %d, not %d", rows[i].profile, rows[i].backing,
				tune_wants_backing(&tuning), rows[i].want);
	}
}

static void huge_pages_are_asked_for_as_far_as_they_lack(void **state)
{
	static const struct {
		const char *target, *backing, *granted;
		uint64_t memory_mib;
		const char *standing, *pool, *then;
	} rows[] = {
		/* 10 pages of 2 MiB, 6 of them to be had. */
		{"vm", "", NULL, 512, "effective", "260", "10"},
		{"vm", "hugepages", NULL, 512, "effective", "260", "10"},
		{"vm", "", NULL, 511, "skipped: the machine's memory is no whole number of huge pages", "10",
			"10"},
		{"vm", "", NULL, 12, "unchanged", "10", "10"},
		{"vm", "", "200", 512,
			"failed: cannot set /sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages to '260': "
			"it reads back '200'",
			"10", "10"},
		{"vm", "", NULL, 4096,
			"skipped: 4084 MiB of huge pages do not fit into 3906 MiB of available memory", "10",
			"10"},
		{"vm", "locked", NULL, 512, "none", "10", "10"},
		{"vm:theirs", "", NULL, 512, "none", "10", "10"},
		{"native", "", NULL, 512, "none", "10", "10"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct settings s = settings_of("low-latency");
		struct err e = ERR_INIT;
		struct tune *tune;
		struct world w;
		s.target = rows[i].target;
		s.backing = rows[i].backing;
		s.memory_bytes = rows[i].memory_mib << 20;
		world_make(&w, WORLD_NONE, 2);
		world_enter(&w);
		w.granted = rows[i].granted;
		must(tune_open(&tune, &w.host, &e), &e);
		apply(&w, tune, TUNE_HOST, &s, NULL);
		assert_text(standing(tune, "hugepages"), rows[i].standing);
		assert_text(world_get(&w, "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages"),
			rows[i].pool);
		must(tune_revert(tune, &e), &e);
		assert_text(world_get(&w, "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages"),
			rows[i].then);
		tune_free(tune);
		world_end(&w);
	}
}

static void a_machine_without_huge_pages_says_so(void **state)
{
	struct settings s = settings_of("low-latency");
	struct err e = ERR_INIT;
	struct tune *tune;
	struct world w;

	(void)state;
	world_make(&w, WORLD_NONE, 2);
	world_enter(&w);
	world_put(&w, "/proc/meminfo", "MemTotal: 9000000 kB\n");
	must(tune_open(&tune, &w.host, &e), &e);
	apply(&w, tune, TUNE_HOST, &s, NULL);
	assert_text(standing(tune, "hugepages"), "skipped: this machine has no huge pages");
	tune_free(tune);
	world_end(&w);
}

/* The size of the pool that another taut finds, and whether it takes it for taut's value (granted in full or
 * in part) or for that of somebody else. */
static void a_pool_of_a_dead_taut_goes_back_also_when_it_was_granted_in_part(void **state)
{
	static const struct {
		const char *meanwhile, *then;
	} rows[] = {{"260\n", "10"}, {"200\n", "10"}, {"10\n", "10"}, {"300\n", "300"}, {"5\n", "5"}};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct settings s = settings_of("low-latency");
		AUTO(buf_free) struct buf said = {0};
		struct err e = ERR_INIT;
		struct world w;
		int status;
		world_make(&w, WORLD_NONE, 2);
		pid_t pid = fork();
		if (pid == 0) {
			struct tune *tune;
			world_enter(&w);
			must(tune_open(&tune, &w.host, &e), &e);
			apply(&w, tune, TUNE_HOST, &s, NULL);
			_exit(0);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		world_task_forget(&w, pid);
		world_put(&w, "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages", rows[i].meanwhile);
		must(undo_revert_leftover(&w.host, &said, &e), &e);
		assert_text(world_get(&w, "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages"),
			rows[i].then);
		world_end(&w);
	}
}

/* The pool was granted in full, so if it is smaller now, somebody else has changed it. */
static void a_pool_that_somebody_shrank_is_left(void **state)
{
	struct settings s = settings_of("low-latency");
	struct err e = ERR_INIT;
	struct tune *tune;
	struct world w;

	(void)state;
	world_make(&w, WORLD_NONE, 2);
	world_enter(&w);
	must(tune_open(&tune, &w.host, &e), &e);
	apply(&w, tune, TUNE_HOST, &s, NULL);
	world_put(&w, "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages", "200\n");
	must(tune_revert(tune, &e), &e);
	assert_text(world_get(&w, "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages"), "200");
	tune_free(tune);
	world_end(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_machines_threads_are_placed_and_put_back),
		cmocka_unit_test(realtime_is_limited_for_our_machine_and_not_for_the_users),
		cmocka_unit_test(a_cpuset_without_the_wanted_cpu_is_an_answer),
		cmocka_unit_test(threads_that_were_made_meanwhile_are_put_back),
		cmocka_unit_test(the_backing_follows_profile_and_wish),
		cmocka_unit_test(huge_pages_are_asked_for_as_far_as_they_lack),
		cmocka_unit_test(a_machine_without_huge_pages_says_so),
		cmocka_unit_test(a_pool_of_a_dead_taut_goes_back_also_when_it_was_granted_in_part),
		cmocka_unit_test(a_pool_that_somebody_shrank_is_left),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
