/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What somebody else writes while a machine is tuned is left and named, whatever it is and whenever it comes.
 */
#include "test_tune_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/wait.h>
#include <cmocka.h>

#define DIED   42
#define CLIENT (WORLD_TID + 501)

/* --- what they write --------------------------------------------------------------------------- */

struct foreign {
	const char *what;
	enum world_kind kind;
	const char *object, *value; /* as the entry has them */
	const char *status;         /* after a verification */
	int tid;                    /* 0: the object is a file */
	bool goes;                  /* with the controller that taut had switched on for its own cgroup */
};

static const struct foreign foreigners[] = {
	{"an interrupt", WORLD_NONE, "/proc/irq/24/smp_affinity", "4", "changed"},
	{"the interrupts to come", WORLD_NONE, "/proc/irq/default_smp_affinity", "6", "changed"},
	{"a sysctl", WORLD_NONE, "/proc/sys/kernel/sched_rt_runtime_us", "900000", "changed"},
	{"a sysctl with CPUs", WORLD_NONE, "/proc/sys/kernel/watchdog_cpumask", "1-2", "changed"},
	{"a cgroup v1", WORLD_V1, "/sys/fs/cgroup/cpuset/taut-1/cpuset.cpus", "2", "changed"},
	{"a budget", WORLD_V1, "/sys/fs/cgroup/cpu/taut-1/client/cpu.rt_runtime_us", "1000", "changed"},
	{"a cgroup v2", WORLD_V2, "/sys/fs/cgroup/taut-1/cpuset.cpus", "2", "changed", 0, true},
	{"a partition", WORLD_V2, "/sys/fs/cgroup/taut-1/cpuset.cpus.partition", "root", "changed", 0, true},
	{"a file of sysfs", WORLD_NONE, "/sys/devices/virtual/workqueue/cpumask", "7", "changed"},
	{"a file of a CPU", WORLD_NONE, "/sys/devices/system/cpu/cpu3/power/pm_qos_resume_latency_us", "100",
		"changed"},
	{"RPS", WORLD_NONE, "/sys/class/net/veth0/queues/rx-1/rps_cpus", "2", "changed"},
	{"the affinity of a task", WORLD_NONE, "tid 5000501 start 1501", "0,2", "changed", CLIENT},
	{"the policy of a task", WORLD_NONE, "tid 5000501 start 1501", "rr:7", "changed", CLIENT},
};

static bool is_policy(const struct foreign *f)
{
	return strchr(f->value, ':') != NULL;
}

static void they_write(struct world *w, const struct foreign *f)
{
	AUTO_FREE char *line = str_format("%s\n", f->value);
	cpus set;

	if (!f->tid) {
		world_put(w, f->object, line);
	} else if (is_policy(f)) {
		assert_int_equal(w->calls.set_sched(w, f->tid, SCHED_RR, 7), 0);
	} else {
		assert_int_equal(cpus_parse_list(f->value, &set), 0);
		assert_int_equal(w->calls.set_affinity(w, f->tid, &set), 0);
	}
}

static void expect_theirs(const struct world *w, const struct foreign *f)
{
	struct task task;
	cpus set;

	if (!f->tid) {
		AUTO_FREE char *now = world_get(w, f->object);
		assert_string_equal(now, f->value);
		return;
	}
	assert_int_equal(task_read(w->host.root, f->tid, f->tid, &task, ERR_IGNORED), 0);
	if (is_policy(f)) {
		assert_int_equal(task.policy, SCHED_RR);
		assert_int_equal(task.priority, 7);
		return;
	}
	assert_int_equal(cpus_parse_list(f->value, &set), 0);
	assert_true(CPU_EQUAL(&set, &task.affinity));
}

/* --- when -------------------------------------------------------------------------------------- */

enum moment { BEFORE_VERIFY, AFTER_VERIFY, AFTER_A_CPU_WENT, KILLED, MOMENTS_N };

static int apply(struct world *w, struct tune *tune, const struct subject *subject)
{
	struct settings s;
	int rc = 0;

	settings_init(&s);
	s.profile = "low-latency";
	for (int stage = TUNE_HOST; rc == 0 && stage <= TUNE_LIVE; stage++) {
		struct undo_list *plan;
		rc = world_plan(&plan, &w->host, (enum tune_stage)stage, &s, subject, ERR_IGNORED);
		if (rc == 0)
			rc = tune_apply(tune, plan, ERR_IGNORED);
	}
	return rc;
}

/* The entry of this object that wants such a value, in all that is in force. */
static json_t *entry_of(json_t *all, const struct foreign *f)
{
	json_t *entry;
	size_t i;

	json_array_foreach (all, i, entry) {
		const char *value = json_string_value(json_object_get(entry, "value"));
		if (!strcmp(json_string_value(json_object_get(entry, "object")), f->object) && value &&
			(strchr(value, ':') != NULL) == is_policy(f) &&
			strcmp(json_string_value(json_object_get(entry, "id")), "endpoint-rttime") != 0)
			return entry;
	}
	fail_msg("%s: no entry", f->what);
	return NULL;
}

static void expect_verified_as(const struct tune *tune, const struct foreign *f)
{
	json_t *all = tune_effective_json(tune);
	const char *status = json_string_value(json_object_get(entry_of(all, f), "status"));
	const char *reason = json_string_value(json_object_get(entry_of(all, f), "reason"));

	if (strcmp(status, f->status) || !reason || !strstr(reason, f->value))
		fail_msg("%s: %s, %s", f->what, status, reason ? reason : "no reason");
	json_decref(all);
}

/* In the process that tuned: what it says at the end is in the log, and in what is left of the plan. */
static void in_process(struct world *w, const struct foreign *f, enum moment moment)
{
	struct subject subject;
	struct tune *tune;
	bool all = false;

	world_enter(w);
	world_subject(w, &subject);
	assert_int_equal(tune_open(&tune, &w->host, ERR_IGNORED), 0);
	assert_int_equal(apply(w, tune, &subject), 0);
	if (moment == AFTER_VERIFY)
		assert_int_equal(tune_verify(tune, &all, ERR_IGNORED), 0);
	if (moment == AFTER_A_CPU_WENT) { /* one that nothing here belongs to alone, and it comes back */
		world_put(w, "/sys/devices/system/cpu/online", "0,2-3\n");
		assert_int_equal(tune_verify(tune, &all, ERR_IGNORED), 0);
		world_put(w, "/sys/devices/system/cpu/online", "0-3\n");
	}
	they_write(w, f);
	for (int n = 0; n < 2 && moment != AFTER_VERIFY; n++) { /* each verification says the same */
		assert_int_equal(tune_verify(tune, &all, ERR_IGNORED), 0);
		assert_false(all);
		expect_verified_as(tune, f);
	}
	assert_int_equal(tune_revert(tune, ERR_IGNORED), 0);
	tune_free(tune);
	world_task_forget(w, getpid());
}

static void by_a_later_taut(struct world *w, const struct foreign *f)
{
	AUTO(buf_free) struct buf said = {0};
	struct subject subject;
	struct tune *tune;
	int status;

	world_subject(w, &subject);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		world_enter(w);
		bool done = tune_open(&tune, &w->host, ERR_IGNORED) == 0 && apply(w, tune, &subject) == 0;
		_exit(done ? DIED : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == DIED);
	world_task_forget(w, pid);
	they_write(w, f);
	assert_int_equal(undo_revert_leftover(&w->host, &said, ERR_IGNORED), 0);
	AUTO_FREE char *line =
		str_format("left %s as it is: '%s' was set by somebody else", f->object, f->value);
	if (!strstr(said.data, line))
		fail_msg("%s: no '%s' in: %s", f->what, line, said.data);
}

static void what_others_write_is_left_and_named(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(foreigners); i++)
		for (int moment = 0; moment < MOMENTS_N; moment++) {
			struct world w;
			world_make(&w, foreigners[i].kind, 4);
			if (moment == KILLED)
				by_a_later_taut(&w, &foreigners[i]);
			else
				in_process(&w, &foreigners[i], (enum moment)moment);
			if (!foreigners[i].goes)
				expect_theirs(&w, &foreigners[i]);
			assert_int_equal(undo_leftover(&w.host, NULL, ERR_IGNORED), 0);
			world_end(&w);
		}
}

/* What they have set in a cgroup of theirs would be lost with the controller. */
static void a_controller_that_others_use_by_now_stays_on(void **state)
{
	static const struct {
		const char *cpus, *control;
	} rows[] = {{"2\n", "memory cpuset"}, {"\n", "memory"}, {"0-3\n", "memory"}};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct subject subject;
		struct tune *tune;
		struct world w;
		world_make(&w, WORLD_V2, 4);
		world_enter(&w);
		world_subject(&w, &subject);
		world_put(&w, "/sys/fs/cgroup/theirs/cgroup.procs", "");
		assert_int_equal(tune_open(&tune, &w.host, ERR_IGNORED), 0);
		assert_int_equal(apply(&w, tune, &subject), 0);
		world_put(&w, "/sys/fs/cgroup/theirs/cpuset.cpus", rows[i].cpus);
		assert_int_equal(tune_revert(tune, ERR_IGNORED), 0);
		AUTO_FREE char *control = world_get(&w, "/sys/fs/cgroup/cgroup.subtree_control");
		assert_string_equal(control, rows[i].control);
		tune_free(tune);
		world_end(&w);
	}
}

#define WORKERS "/sys/devices/virtual/workqueue/cpumask"

static int (*plain_write)(void *arg, int root, const char *path, const char *text);

/* A partition isolates CPUs 1 to 3: of what is asked for, CPU 0 takes effect. */
static int write_beside_a_partition(void *arg, int root, const char *path, const char *text)
{
	if (strcmp(path, WORKERS) != 0)
		return plain_write(arg, root, path, text);
	world_put(arg, WORKERS "_requested", text);
	return plain_write(arg, root, path, "1");
}

static void a_wish_that_a_partition_hides_is_left_too(void **state)
{
	struct subject subject;
	struct tune *tune;
	struct world w;

	(void)state;
	world_make(&w, WORLD_NONE, 4);
	plain_write = w.calls.write_file;
	w.calls.write_file = write_beside_a_partition;
	world_put(&w, WORKERS "_requested", "f\n");
	world_enter(&w);
	world_subject(&w, &subject);
	assert_int_equal(tune_open(&tune, &w.host, ERR_IGNORED), 0);
	assert_int_equal(apply(&w, tune, &subject), 0);
	w.calls.write_file(&w, w.host.root, WORKERS, "7");
	assert_int_equal(tune_revert(tune, ERR_IGNORED), 0);
	AUTO_FREE char *now = world_get(&w, WORKERS "_requested");
	assert_string_equal(now, "7");
	tune_free(tune);
	world_end(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_others_write_is_left_and_named),
		cmocka_unit_test(a_controller_that_others_use_by_now_stays_on),
		cmocka_unit_test(a_wish_that_a_partition_hides_is_left_too),
	};

	return cmocka_run_group_tests_name("tune_foreign", tests, NULL, NULL);
}
