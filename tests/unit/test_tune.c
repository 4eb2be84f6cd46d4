/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Planning, values, applying and undoing, on a machine of plain files. */
#include "test_tune_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

static struct settings settings_of(const char *profile)
{
	struct settings s;

	settings_init(&s);
	s.profile = profile;
	return s;
}

static void must(int rc, const struct err *e)
{
	if (rc < 0)
		fail_msg("%s (%d)", e->text, rc);
}

/* Host and live plan applied; the first that fails ends it. */
static int apply_both(struct world *w, struct tune *tune, const struct settings *s,
	const struct subject *subject, struct err *e)
{
	for (int stage = TUNE_HOST; stage <= TUNE_LIVE; stage++) {
		struct undo_list *plan;
		int rc = world_plan(&plan, &w->host, (enum tune_stage)stage, s, subject, e);
		if (rc == 0)
			rc = tune_apply(tune, plan, e);
		if (rc < 0)
			return rc;
	}
	return 0;
}

/* "status", "status: reason" or "status: reason (why)" of the n-th entry of a knob; "none". */
static char *standing(const struct tune *tune, const char *knob, int nth)
{
	json_t *all = tune_effective_json(tune), *entry;
	char *text = NULL;
	size_t i;

	json_array_foreach (all, i, entry) {
		if (strcmp(json_string_value(json_object_get(entry, "id")), knob) || nth-- > 0)
			continue;
		const char *reason = json_string_value(json_object_get(entry, "reason"));
		const char *why = json_string_value(json_object_get(entry, "why"));
		text = str_format("%s%s%s%s%s%s", json_string_value(json_object_get(entry, "status")),
			reason ? ": " : "", reason ? reason : "", why ? " (" : "", why ? why : "",
			why ? ")" : "");
		break;
	}
	json_decref(all);
	return text ? text : str_dup("none");
}

#define assert_text(got_, want_)                                                                             \
	do {                                                                                                 \
		AUTO_FREE char *got = (got_);                                                                \
		assert_string_equal(got, want_);                                                             \
	} while (0)

/* --- values ------------------------------------------------------------------------------------ */

static void values_are_compared_by_meaning(void **state)
{
	static const struct {
		enum undo_format format;
		const char *a, *b;
		bool same;
	} rows[] = {
		{FORMAT_TEXT, "n/a", "0", false}, /* pm_qos: zero latency is not "no limit" */
		{FORMAT_TEXT, "4096\t131072\t6291456", "4096 131072 6291456\n", true},
		{FORMAT_TEXT, "isolated", "isolated invalid (why)", false},
		{FORMAT_MASK, "00000000,00000003", "3", true},
		{FORMAT_MASK, "1,00000000", "100000000", true},
		{FORMAT_MASK, "3", "2", false},
		{FORMAT_LIST, "0,1,2", "0-2", true},
		{FORMAT_LIST, "(null)", "", false},
		{FORMAT_LIST, "(null)", "(null)", true},
		{FORMAT_LIST, "3", "0-1", false},
		{FORMAT_ATLEAST, "500", "400", true},
		{FORMAT_ATLEAST, "0", "400", false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (undo_same(rows[i].format, rows[i].a, rows[i].b) != rows[i].same)
			fail_msg("'%s' and '%s' should %sbe the same", rows[i].a, rows[i].b,
				rows[i].same ? "" : "not ");
}

static void selector_files_keep_the_marked_word(void **state)
{
	static const char *const rows[][2] = {{"always [madvise] never", "madvise"},
		{"none (voluntary) full", "voluntary"}, {"plain", "plain"}};
	struct world w;

	(void)state;
	world_make(&w, WORLD_NONE, 2);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char object[] = "/selector", *now = NULL;
		struct undo_entry entry = {
			.row = undo_row_find(&w.host, "file-selector"), .object = object, .netns_fd = -1};
		world_put(&w, "/selector", rows[i][0]);
		assert_int_equal(entry.row->read(&w.host, &entry, &now, ERR_IGNORED), 0);
		assert_text(now, rows[i][1]);
	}
	world_end(&w);
}

static void the_partition_never_takes_the_last_cpu(void **state)
{
	static const struct {
		int cpus;
		const char *isolate, *siblings, *isolated, *housekeeping;
	} rows[] = {
		{2, "", "0\n", "1", "0"},
		{4, "", "0-1\n", "2-3", "0-1"}, /* the first core with its sibling */
		{2, "", "0-1\n", "1", "0"},     /* one core only: split */
		{4, "1,3", "0\n", "1,3", "0,2"},
		{1, "", "0\n", NULL, NULL},
		{2, "0-1", "0\n", NULL, NULL},
		{2, "2", "0\n", NULL, NULL},
		{2, "x", "0\n", NULL, NULL},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct world w;
		cpus isolated, housekeeping;
		char a[64], b[64];
		world_make(&w, WORLD_NONE, rows[i].cpus);
		world_put(&w, "/sys/devices/system/cpu/cpu0/topology/thread_siblings_list", rows[i].siblings);
		int rc = tune_partition(&w.host, rows[i].isolate, &isolated, &housekeeping, ERR_IGNORED);
		assert_int_equal(rc, rows[i].isolated ? 0 : -EINVAL);
		if (rc == 0) {
			assert_string_equal(cpus_format_list(&isolated, a, sizeof(a)), rows[i].isolated);
			assert_string_equal(
				cpus_format_list(&housekeeping, b, sizeof(b)), rows[i].housekeeping);
		}
		world_end(&w);
	}
}

/* --- apply and revert -------------------------------------------------------------------------- */

static void low_latency_on_cgroup_v1(void **state)
{
	struct settings s = settings_of("low-latency");
	struct err e = ERR_INIT;
	struct subject subject;
	struct tune *tune;
	struct world w;
	bool all = false;

	(void)state;
	world_make(&w, WORLD_V1, 2);
	world_enter(&w);
	world_subject(&w, &subject);
	AUTO_FREE char *before = world_picture(&w);
	must(tune_open(&tune, &w.host, &e), &e);
	must(apply_both(&w, tune, &s, &subject, &e), &e);
	must(tune_verify(tune, &all, &e), &e);
	assert_true(all);
	assert_text(world_get(&w, "/sys/fs/cgroup/cpuset/taut-housekeeping/tasks"), "5000001\n5000300");
	assert_text(world_get(&w, "/sys/fs/cgroup/cpuset/tasks"), "5000002\n5000014\n5000301");
	assert_text(world_get(&w, "/sys/fs/cgroup/cpuset/cpuset.sched_load_balance"), "0");
	assert_text(world_get(&w, "/sys/fs/cgroup/cpuset/taut-1/cpuset.cpus"), "1");
	assert_text(world_get(&w, "/proc/irq/24/smp_affinity"), "1");
	assert_text(world_get(&w, "/proc/irq/26/smp_affinity"), "1");
	assert_text(world_get(&w, "/proc/sys/kernel/watchdog_cpumask"), "0");
	assert_text(world_get(&w, "/sys/devices/system/cpu/cpu1/power/pm_qos_resume_latency_us"), "n/a");
	assert_text(world_get(&w, "/sys/devices/system/cpu/cpu0/power/pm_qos_resume_latency_us"), "0");
	assert_text(world_get(&w, "/sys/kernel/debug/sched/fair_server/cpu1/runtime"), "0");
	assert_text(world_get(&w, "/sys/kernel/debug/sched/fair_server/cpu0/runtime"), "50000000");
	assert_text(world_get(&w, "/sys/fs/cgroup/cpu/taut-1/cpu.rt_runtime_us"), "810000");
	assert_text(world_get(&w, "/sys/fs/cgroup/cpu/taut-1/server/cpu.rt_runtime_us"), "405000");
	assert_text(world_get(&w, "/sys/class/net/veth0/queues/rx-1/rps_cpus"), "1");
	assert_text(
		standing(tune, "partition-cgroup2", 0), "skipped: the cpuset controller is not in cgroup v2");
	assert_text(standing(tune, "partition-affinity", 0),
		"skipped: not needed: another way holds (other-way)");
	assert_text(standing(tune, "link-rps", 0), "unchanged");
	assert_text(standing(tune, "net-rps-default", 0), "unchanged");
	assert_text(standing(tune, "net-busy-read", 0),
		"skipped: both ends share a CPU and would spin against each other");
	struct task server;
	must(task_read(w.host.root, 5000502, 5000502, &server, &e), &e);
	assert_int_equal(server.policy, SCHED_FIFO);
	assert_int_equal(server.priority, 50);
	assert_true(CPU_COUNT(&server.affinity) == 1 && CPU_ISSET(1, &server.affinity));
	must(tune_revert(tune, &e), &e);
	assert_text(world_picture(&w), before);
	tune_free(tune);
	world_end(&w);
}

static void low_latency_on_cgroup_v2(void **state)
{
	struct settings s = settings_of("low-latency");
	struct err e = ERR_INIT;
	struct subject subject;
	struct tune *tune;
	struct world w;

	(void)state;
	world_make(&w, WORLD_V2, 4);
	world_enter(&w);
	world_subject(&w, &subject);
	AUTO_FREE char *before = world_picture(&w);
	must(tune_open(&tune, &w.host, &e), &e);
	must(apply_both(&w, tune, &s, &subject, &e), &e);
	assert_text(world_get(&w, "/sys/fs/cgroup/taut-1/cpuset.cpus.partition"), "isolated");
	assert_text(world_get(&w, "/sys/fs/cgroup/taut-1/cpuset.cpus"), "1-3");
	assert_text(standing(tune, "net-busy-read", 0), "skipped: veth has no queue to poll");
	struct task end;
	must(task_read(w.host.root, 5000501, 5000501, &end, &e), &e);
	assert_true(CPU_COUNT(&end.affinity) == 1 && CPU_ISSET(2, &end.affinity));
	must(tune_revert(tune, &e), &e);
	assert_text(world_picture(&w), before);
	tune_free(tune);
	world_end(&w);
}

static void an_invalid_partition_gives_way_to_affinity(void **state)
{
	struct settings s = settings_of("low-latency");
	struct err e = ERR_INIT;
	struct subject subject;
	struct tune *tune;
	struct world w;

	(void)state;
	world_make(&w, WORLD_V2, 2);
	w.invalid = "cpuset.cpus.partition";
	world_enter(&w);
	world_subject(&w, &subject);
	AUTO_FREE char *before = world_picture(&w);
	must(tune_open(&tune, &w.host, &e), &e);
	must(apply_both(&w, tune, &s, &subject, &e), &e);
	AUTO_FREE char *why = standing(tune, "partition-cgroup2", 0);
	assert_non_null(strstr(why, "reads back 'isolated invalid (Cpu list"));
	assert_text(standing(tune, "partition-affinity", 0), "effective");
	assert_text(world_get(&w, "/sys/fs/cgroup/cgroup.subtree_control"), "memory");
	must(tune_revert(tune, &e), &e);
	assert_text(world_picture(&w), before);
	tune_free(tune);
	world_end(&w);
}

static void tasks_born_meanwhile_get_their_cpus_back(void **state)
{
	static const enum world_kind kinds[] = {WORLD_V1, WORLD_NONE};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		struct settings s = settings_of("low-latency");
		struct err e = ERR_INIT;
		struct subject subject;
		struct tune *tune;
		struct world w;
		world_make(&w, kinds[i], 2);
		world_enter(&w);
		world_subject(&w, &subject);
		must(tune_open(&tune, &w.host, &e), &e);
		must(apply_both(&w, tune, &s, &subject, &e), &e);
		world_task(&w, 5009000, "child", 0, "1"); /* started at 10000 ticks, after the plan's 5000 */
		world_task(&w, 5000320, "older", 0, "1"); /* has the same mask, but was started before */
		if (kinds[i] == WORLD_V1)
			w.calls.write_file(
				&w, w.host.root, "/sys/fs/cgroup/cpuset/taut-housekeeping/tasks", "5009000");
		must(tune_revert(tune, &e), &e);
		struct task task;
		must(task_read(w.host.root, 5009000, 5009000, &task, &e), &e);
		assert_int_equal(CPU_COUNT(&task.affinity), kinds[i] == WORLD_V1 ? 1 : 2);
		must(task_read(w.host.root, 5000320, 5000320, &task, &e), &e);
		assert_int_equal(CPU_COUNT(&task.affinity), 1);
		assert_text(world_get(&w, "/sys/fs/cgroup/cpuset/taut-housekeeping/tasks"), "absent");
		tune_free(tune);
		world_end(&w);
	}
}

static void a_task_that_dies_meanwhile_is_no_mistake(void **state)
{
	static const enum world_kind kinds[] = {WORLD_V1, WORLD_NONE};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		struct settings s = settings_of("low-latency");
		struct err e = ERR_INIT;
		struct subject subject;
		struct tune *tune;
		struct world w;
		bool all = false;
		world_make(&w, kinds[i], 2);
		world_enter(&w);
		world_subject(&w, &subject);
		must(tune_open(&tune, &w.host, &e), &e);
		must(apply_both(&w, tune, &s, &subject, &e), &e);
		/* A zombie: still in /proc, in no cgroup, its mask of no meaning. */
		world_put(&w, "/sys/fs/cgroup/cpuset/taut-housekeeping/tasks", "5000001\n");
		world_put(&w, "/proc/5000300/task/5000300/stat",
			"5000300 (x) Z 1 1 1 0 -1 4 0 0 0 0 0 0 0 0 20 0 1 0 1300 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n");
		world_put(&w, "/proc/5000300/task/5000300/status", "Name:\tx\nCpus_allowed:\t3\n");
		must(tune_verify(tune, &all, &e), &e);
		assert_true(all);
		must(tune_revert(tune, &e), &e);
		tune_free(tune);
		world_end(&w);
	}
}

static void a_task_that_takes_long_to_end_is_waited_for(void **state)
{
	struct settings s = settings_of("low-latency");
	struct err e = ERR_INIT;
	struct subject subject;
	struct tune *tune;
	struct world w;

	(void)state;
	world_make(&w, WORLD_V1, 2);
	world_enter(&w);
	world_subject(&w, &subject);
	must(tune_open(&tune, &w.host, &e), &e);
	must(apply_both(&w, tune, &s, &subject, &e), &e);
	w.ending = 300;
	must(tune_revert(tune, &e), &e);
	assert_int_equal(w.ending, 0);
	assert_text(world_get(&w, "/sys/fs/cgroup/cpuset/taut-housekeeping/tasks"), "absent");
	tune_free(tune);
	world_end(&w);
}

static void a_task_that_strays_is_found(void **state)
{
	struct settings s = settings_of("low-latency");
	struct err e = ERR_INIT;
	struct subject subject;
	struct tune *tune;
	struct world w;
	bool all = true;

	(void)state;
	world_make(&w, WORLD_V1, 2);
	world_enter(&w);
	world_subject(&w, &subject);
	must(tune_open(&tune, &w.host, &e), &e);
	must(apply_both(&w, tune, &s, &subject, &e), &e);
	w.calls.write_file(&w, w.host.root, "/sys/fs/cgroup/cpuset/tasks", "5000300");
	must(tune_verify(tune, &all, &e), &e);
	assert_false(all);
	must(tune_revert(tune, &e), &e);
	tune_free(tune);
	world_end(&w);
}

static void revert_is_three_way(void **state)
{
	static const struct {
		const char *meanwhile, *then, *status;
	} rows[] = {
		{"1\n", "3", "reverted"},          /* taut's value: the old one is put back */
		{"3\n", "3", "as before"},         /* the old value already */
		{"0,00000001\n", "3", "reverted"}, /* taut's value in another form */
		{"2\n", "2", "left"},              /* a third value */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct world w;
		world_make(&w, WORLD_NONE, 2);
		world_put(&w, "/mask", "3\n");
		struct undo_list *plan = mem_alloc(sizeof(*plan));
		struct undo_entry *entry = undo_entry_add(&w.host, plan, "k", "file-mask", "/mask");
		undo_entry_values(entry, "3", "1");
		assert_int_equal(undo_entry_apply(&w.host, entry, ERR_IGNORED), 0);
		world_put(&w, "/mask", rows[i].meanwhile);
		assert_int_equal(undo_list_undo(&w.host, plan, 0, ERR_IGNORED), 0);
		assert_string_equal(undo_status_name(entry->status), rows[i].status);
		assert_text(world_get(&w, "/mask"), rows[i].then);
		undo_list_free(plan);
		world_end(&w);
	}
}

/* What verify has seen is left as well, and also when revert has to be called twice. */
static void what_somebody_changed_before_verify_is_left(void **state)
{
	struct settings s = settings_of("low-latency");
	struct err e = ERR_INIT;
	struct subject subject;
	struct tune *tune;
	struct world w;
	bool all = true;

	(void)state;
	world_make(&w, WORLD_NONE, 2);
	world_enter(&w);
	world_subject(&w, &subject);
	must(tune_open(&tune, &w.host, &e), &e);
	must(apply_both(&w, tune, &s, &subject, &e), &e);
	assert_text(world_get(&w, "/proc/irq/default_smp_affinity"), "1");
	world_put(&w, "/proc/irq/default_smp_affinity", "2\n");
	must(tune_verify(tune, &all, &e), &e);
	assert_false(all);
	assert_text(standing(tune, "irq-default-affinity", 0), "changed: reads back '2'");
	assert_true(undo_status_known("changed"));
	w.refuse = "watchdog";
	w.refuse_with = EIO;
	assert_int_equal(tune_revert(tune, &e), -EIO);
	assert_text(world_get(&w, "/proc/irq/default_smp_affinity"), "2");
	assert_text(standing(tune, "irq-default-affinity", 0),
		"left: '2' was set by somebody else (ours was '1', before it '3')");
	world_put(&w, "/proc/sys/kernel/watchdog_cpumask", "1\n");
	w.refuse = NULL;
	must(tune_revert(tune, &e), &e);
	assert_text(world_get(&w, "/proc/irq/default_smp_affinity"), "2");
	assert_text(world_get(&w, "/proc/sys/kernel/watchdog_cpumask"), "1");
	tune_free(tune);
	world_end(&w);
}

static void an_optional_knob_that_is_refused_is_skipped(void **state)
{
	struct settings s = settings_of("low-latency");
	struct err e = ERR_INIT;
	struct subject subject;
	struct tune *tune;
	struct world w;

	(void)state;
	world_make(&w, WORLD_V1, 2);
	w.refuse = "/proc/irq/24";
	w.refuse_with = EIO;
	world_enter(&w);
	world_subject(&w, &subject);
	must(tune_open(&tune, &w.host, &e), &e);
	must(apply_both(&w, tune, &s, &subject, &e), &e);
	json_t *all = tune_effective_json(tune), *entry;
	size_t i;
	json_array_foreach (all, i, entry)
		if (!strcmp(json_string_value(json_object_get(entry, "object")), "/proc/irq/24/smp_affinity"))
			assert_string_equal(json_string_value(json_object_get(entry, "status")), "skipped");
	json_decref(all);
	must(tune_revert(tune, &e), &e);
	tune_free(tune);
	world_end(&w);
}

static void a_mandatory_knob_that_is_refused_undoes_its_plan(void **state)
{
	struct settings s = settings_of("low-latency");
	struct err e = ERR_INIT;
	struct undo_list *plan;
	struct subject subject;
	struct tune *tune;
	struct world w;

	(void)state;
	world_make(&w, WORLD_V1, 2);
	w.refuse = "sched";
	w.refuse_with = EPERM;
	world_enter(&w);
	world_subject(&w, &subject);
	AUTO_FREE char *before = world_picture(&w);
	must(tune_open(&tune, &w.host, &e), &e);
	must(world_plan(&plan, &w.host, TUNE_LIVE, &s, &subject, &e), &e);
	assert_int_equal(tune_apply(tune, plan, &e), -EPERM);
	assert_non_null(strstr(e.text, "cannot schedule task 5000501"));
	assert_text(world_picture(&w), before);
	assert_int_equal(undo_leftover(&w.host, NULL, &e), 0);
	tune_free(tune);
	world_end(&w);
}

static void stock_writes_nothing_but_what_the_user_places(void **state)
{
	struct settings s = settings_of("stock");
	struct err e = ERR_INIT;
	struct undo_list *plan;
	struct subject subject;
	struct world w;

	(void)state;
	world_make(&w, WORLD_V1, 2);
	world_enter(&w);
	world_subject(&w, &subject);
	for (int stage = TUNE_HOST; stage <= TUNE_LIVE; stage++) {
		must(world_plan(&plan, &w.host, (enum tune_stage)stage, &s, &subject, &e), &e);
		assert_int_equal(plan->n, 0);
		undo_list_free(plan);
	}
	s.server_cpu = 0;
	must(world_plan(&plan, &w.host, TUNE_LIVE, &s, &subject, &e), &e);
	assert_int_equal(plan->n, 1);
	assert_string_equal(plan->entries[0].object, "tid 5000502 start 1502");
	assert_string_equal(plan->entries[0].after, "0");
	undo_list_free(plan);
	s.server_cpu = 7;
	assert_int_equal(world_plan(&plan, &w.host, TUNE_LIVE, &s, &subject, &e), -EINVAL);
	assert_int_equal(e.exit, EXIT_USAGE);
	world_end(&w);
}

/* Of a tool the reason is not a limit: taut cannot lock the memory of another program. */
static void whose_memory_is_not_locked_is_said_with_the_reason(void **state)
{
	static const struct {
		const char *tool, *reason;
	} rows[] = {
		{"taut", "it may lock too few bytes of memory only (ulimit -l)"},
		{"netperf", "the program of the tool netperf decides itself whether it locks its memory"},
	};
	struct err e = ERR_INIT;
	struct subject subject;
	struct world w;

	(void)state;
	world_make(&w, WORLD_V1, 2);
	world_enter(&w);
	world_subject(&w, &subject);
	for (size_t i = 0; i < subject.threads_n; i++) {
		AUTO_FREE char *path = str_format("/proc/%d/status", subject.threads[i].pid);
		world_put(&w, path, "Name:\tx\nVmLck:\t       0 kB\n");
	}
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct settings s = settings_of("low-latency");
		struct undo_list *plan;
		size_t seen = 0;
		must(setting_set(&s, "tool", rows[i].tool, &e), &e);
		must(world_plan(&plan, &w.host, TUNE_LIVE, &s, &subject, &e), &e);
		for (size_t k = 0; k < plan->n; k++)
			if (!strcmp(plan->entries[k].knob, "endpoint-memory")) {
				assert_int_equal(plan->entries[k].status, UNDO_SKIPPED);
				assert_string_equal(plan->entries[k].reason, rows[i].reason);
				seen++;
			}
		assert_int_equal(seen, 2);
		undo_list_free(plan);
	}
	world_end(&w);
}

static void without_root_only_the_own_tasks_are_placed(void **state)
{
	struct settings s = settings_of("low-latency");
	struct err e = ERR_INIT;
	struct subject subject;
	struct tune *tune;
	struct world w;

	(void)state;
	world_make(&w, WORLD_NONE, 2);
	w.host.privileged = false;
	world_enter(&w);
	world_subject(&w, &subject);
	must(tune_open(&tune, &w.host, &e), &e);
	must(apply_both(&w, tune, &s, &subject, &e), &e);
	assert_text(standing(tune, "partition-affinity", 0), "skipped: needs root");
	assert_text(standing(tune, "irq-default-affinity", 0), "skipped: needs root");
	assert_text(standing(tune, "endpoint-cpu", 0), "effective");
	assert_text(world_get(&w, "/proc/irq/24/smp_affinity"), "3");
	must(tune_revert(tune, &e), &e);
	tune_free(tune);
	world_end(&w);
}

static void the_users_commands_are_run_and_undone(void **state)
{
	struct settings s = settings_of("command");
	struct err e = ERR_INIT;
	struct undo_list *plan;
	struct tune *tune;
	struct world w;

	(void)state;
	world_make(&w, WORLD_NONE, 2);
	world_enter(&w);
	assert_int_equal(world_plan(&plan, &w.host, TUNE_HOST, &s, NULL, &e), -EINVAL);
	AUTO_FREE char *apply = str_format("echo on > %s/theirs; sleep 100 &", w.path);
	s.apply = str_keep(apply);
	AUTO_FREE char *revert = str_format("rm %s/theirs", w.path);
	s.revert = str_keep(revert);
	must(tune_open(&tune, &w.host, &e), &e);
	must(world_plan(&plan, &w.host, TUNE_HOST, &s, NULL, &e), &e);
	must(tune_apply(tune, plan, &e), &e);
	assert_text(world_get(&w, "/theirs"), "on");
	must(tune_revert(tune, &e), &e);
	assert_text(world_get(&w, "/theirs"), "absent");
	s.apply = "echo no such profile; exit 3";
	s.revert = "true";
	must(world_plan(&plan, &w.host, TUNE_HOST, &s, NULL, &e), &e);
	assert_true(tune_apply(tune, plan, &e) < 0);
	assert_non_null(strstr(e.text, "exit status 3: no such profile"));
	tune_free(tune);
	world_end(&w);
}

static void others_work_is_not_disturbed(void **state)
{
	static const struct {
		const char *comm, *cgroup;
		int rc;
	} rows[] = {
		{"nginx", "0::/system.slice/nginx.service\n", 0},
		{"dockerd", "0::/system.slice/docker.service\n", 0},
		{"nginx", "0::/system.slice/docker-0123.scope\n", -EPERM},
		{"nginx", "4:cpuset:/docker/0123\n0::/\n", -EPERM},
		{"pause", "0::/kubepods.slice/x\n", -EPERM},
		{"qemu-system-x86", "0::/\n", -EPERM},
		{"qemu-system-x86", "0::/taut-77\n", 0},
		{"qemu-ga", "0::/\n", 0},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct err e = ERR_INIT;
		struct world w;
		world_make(&w, WORLD_V2, 2);
		world_put(&w, "/proc/5000300/comm", rows[i].comm);
		world_put(&w, "/proc/5000300/cgroup", rows[i].cgroup);
		if (tune_allowed(&w.host, 0, false, &e) != rows[i].rc)
			fail_msg("%s in %s: wrong answer (%s)", rows[i].comm, rows[i].cgroup, e.text);
		assert_int_equal(e.exit, rows[i].rc ? EXIT_REFUSED : EXIT_DONE);
		assert_int_equal(tune_allowed(&w.host, 0, true, &e), 0);
		assert_int_equal(tune_allowed(&w.host, 5000300, false, &e), 0); /* the one to be tuned */
		world_end(&w);
	}
}

/* Processes in the cgroup of the machine to be tuned belong to it; kernel threads are not counted, since the
 * process that they work for is. */
static void the_company_of_the_machine_to_be_tuned_is_no_stranger(void **state)
{
	static const char own[] = "0::/machine.slice/machine-qemu\\x2d1\\x2dweb.scope/libvirt/emulator\n",
			  others[] = "0::/machine.slice/machine-qemu\\x2d2\\x2ddb.scope\n";
	static const struct {
		const char *comm, *cgroup;
		unsigned flags;
		int rc;
	} rows[] = {
		{"swtpm", own, 0, 0},
		{"vhost-5000300", own, TASK_KTHREAD, 0},
		{"vhost-5000400", others, TASK_KTHREAD, 0},
		{"swtpm", others, 0, -EPERM},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct err e = ERR_INIT;
		struct world w;
		world_make(&w, WORLD_V2, 2);
		world_put(&w, "/proc/5000300/comm", "qemu-system-x86");
		world_put(&w, "/proc/5000300/cgroup", own);
		world_task(&w, 5000400, rows[i].comm, rows[i].flags, "3");
		world_put(&w, "/proc/5000400/cgroup", rows[i].cgroup);
		if (tune_allowed(&w.host, 5000300, false, &e) != rows[i].rc)
			fail_msg("%s in %s: wrong answer (%s)", rows[i].comm, rows[i].cgroup, e.text);
		world_end(&w);
	}
}

/* Tunes one machine with all combinations of settings, with and without privilege and writes that are
 * refused. */
static void try_settings(struct world *w, const struct subject *subject, unsigned m)
{
	static const char *const profiles[] = {"stock", "low-latency"}, *const scheds[] = {
										"", "other", "fifo:10"};
	static const char *const refused[] = {NULL, "/proc/irq", "cpuset", "sched_rt", "cpu.rt"};
	static const int64_t places[] = {-1, 0, 1};
	AUTO_FREE char *before = world_picture(w);
	struct settings s = settings_of(profiles[m % 2]);
	struct err e = ERR_INIT;
	struct tune *tune;
	bool all = false;

	m /= 2;
	w->host.privileged = m % 2;
	m /= 2;
	s.sched = scheds[m % 3];
	m /= 3;
	s.client_cpu = MIN(places[m % 3], w->cpus - 1);
	m /= 3;
	w->refuse = refused[m];
	w->refuse_with = EACCES;
	must(tune_open(&tune, &w->host, &e), &e);
	must(apply_both(w, tune, &s, subject, &e), &e);
	must(tune_verify(tune, &all, &e), &e);
	assert_true(all);
	must(tune_revert(tune, &e), &e);
	assert_text(world_picture(w), before);
	tune_free(tune);
}

static void every_combination_is_undone(void **state)
{
	static const int counts[] = {1, 2, 4};

	(void)state;
	for (unsigned i = 0; i < 3 * 3; i++) {
		struct subject subject;
		struct world w;
		world_make(&w, (enum world_kind)(i % 3), counts[i / 3]);
		world_enter(&w);
		world_subject(&w, &subject);
		for (unsigned m = 0; m < 2 * 2 * 3 * 3 * 5; m++)
			try_settings(&w, &subject, m);
		world_end(&w);
	}
}

/* A client that never blocks keeps its CPU from the server, where that has a priority no higher. */
static void a_client_that_floods_is_realtime_on_a_cpu_of_its_own_only(void **state)
{
	static const struct {
		int cpus;
		const char *workload, *beside, *profile, *sched;
		int64_t client_cpu, server_cpu;
		bool fine;
	} rows[] = {
		{2, "udp_stream", "", "low-latency", "fifo:50", -1, -1, false},
		{2, "udp_stream", "", "low-latency", "other", -1, -1, true},
		{2, "udp_stream", "", "low-latency", "", -1, -1, true},
		{3, "udp_stream", "", "low-latency", "fifo:50", -1, -1, true},
		{2, "tcp_stream", "", "low-latency", "fifo:50", -1, -1, true},
		{2, "tcp_rr", "udp_stream", "low-latency", "fifo:50", -1, -1, true}, /* which makes way */
		{2, "udp_stream", "", "stock", "fifo:50", -1, -1, true},
		{2, "udp_stream", "", "stock", "fifo:50", 1, 1, false},
		{2, "udp_stream", "", "stock", "fifo:50", 0, 1, true},
		{1, "udp_stream", "", "stock", "fifo:50", -1, -1, false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct err e = ERR_INIT;
		struct tuning tuning;
		struct settings s;
		struct world w;
		settings_init(&s);
		s.workload = rows[i].workload;
		s.beside = rows[i].beside;
		s.profile = rows[i].profile;
		s.sched = rows[i].sched;
		s.client_cpu = rows[i].client_cpu;
		s.server_cpu = rows[i].server_cpu;
		world_make(&w, WORLD_NONE, rows[i].cpus);
		assert_int_equal(tuning_make(&tuning, &s, &e), 0);
		int rc = tune_flood_check(&w.host, &tuning, &e);
		if ((rc == 0) != rows[i].fine || (rc < 0 && e.exit != EXIT_USAGE))
			fail_msg("row %zu: %d, '%s'", i, rc, e.text);
		world_end(&w);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values_are_compared_by_meaning),
		cmocka_unit_test(selector_files_keep_the_marked_word),
		cmocka_unit_test(the_partition_never_takes_the_last_cpu),
		cmocka_unit_test(low_latency_on_cgroup_v1),
		cmocka_unit_test(low_latency_on_cgroup_v2),
		cmocka_unit_test(an_invalid_partition_gives_way_to_affinity),
		cmocka_unit_test(tasks_born_meanwhile_get_their_cpus_back),
		cmocka_unit_test(a_task_that_dies_meanwhile_is_no_mistake),
		cmocka_unit_test(a_task_that_takes_long_to_end_is_waited_for),
		cmocka_unit_test(a_task_that_strays_is_found),
		cmocka_unit_test(revert_is_three_way),
		cmocka_unit_test(what_somebody_changed_before_verify_is_left),
		cmocka_unit_test(an_optional_knob_that_is_refused_is_skipped),
		cmocka_unit_test(a_mandatory_knob_that_is_refused_undoes_its_plan),
		cmocka_unit_test(stock_writes_nothing_but_what_the_user_places),
		cmocka_unit_test(whose_memory_is_not_locked_is_said_with_the_reason),
		cmocka_unit_test(without_root_only_the_own_tasks_are_placed),
		cmocka_unit_test(the_users_commands_are_run_and_undone),
		cmocka_unit_test(others_work_is_not_disturbed),
		cmocka_unit_test(the_company_of_the_machine_to_be_tuned_is_no_stranger),
		cmocka_unit_test(a_client_that_floods_is_realtime_on_a_cpu_of_its_own_only),
		cmocka_unit_test(every_combination_is_undone),
	};

	return cmocka_run_group_tests_name("tune", tests, NULL, NULL);
}
