/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The tuning of a taut that is killed at any moment can be undone by another one, from the journal alone. */
#include "test_tune_world.h"
#include "undo/private.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <cmocka.h>

#define DIED 42
#define OWNER_STAT                                                                                           \
	"%d (taut) S 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 %d 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n"

#define assert_text(got_, want_)                                                                             \
	do {                                                                                                 \
		AUTO_FREE char *got = (got_);                                                                \
		assert_string_equal(got, want_);                                                             \
	} while (0)

/* Tunes, and undoes that unless the process is to be killed while all is in force. */
static int live(struct world *w, const char *profile, const struct subject *subject, bool back)
{
	struct settings s;
	struct tune *tune;

	settings_init(&s);
	s.profile = profile;
	if (subject->threads_n > 1 && subject->threads[1].role == ROLE_VCPU)
		s.target = "vm";
	AUTO_FREE char *apply = str_format("echo on > %s/theirs", w->path);
	s.apply = str_keep(apply);
	AUTO_FREE char *revert = str_format("rm -f %s/theirs", w->path);
	s.revert = str_keep(revert);
	world_enter(w);
	if (tune_open(&tune, &w->host, ERR_IGNORED))
		return 1;
	for (int stage = TUNE_HOST; stage <= TUNE_LIVE; stage++) {
		struct undo_list *plan;
		if (world_plan(&plan, &w->host, (enum tune_stage)stage, &s, subject, ERR_IGNORED) < 0 ||
			tune_apply(tune, plan, ERR_IGNORED) < 0)
			return 2;
	}
	if (!back)
		return DIED;
	return tune_revert(tune, ERR_IGNORED) < 0 ? 3 : 0;
}

/* Tunes and undoes in a child that is killed at the n-th change; returns how the child ended. */
static int life_of(struct world *w, const char *profile, const struct subject *subject, int before, int after)
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		w->calls_n = 0;
		w->die_before = before;
		w->die_after = after;
		_exit(live(w, profile, subject, before > 0 || after > 0));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	world_task_forget(w, pid);
	return WEXITSTATUS(status);
}

/* Undoes the rest in children that are killed at the first change, the second, the third …, until one
 * completes. */
static void revert_with_deaths(struct world *w)
{
	for (int n = 1; n < 1000; n++) {
		int status;
		pid_t pid = fork();
		assert_true(pid >= 0);
		if (pid == 0) {
			w->calls_n = 0;
			w->die_after = n;
			_exit(undo_revert_leftover(&w->host, NULL, ERR_IGNORED) < 0 ? 1 : 0);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFEXITED(status));
		if (WEXITSTATUS(status) == 0)
			return;
		assert_int_equal(WEXITSTATUS(status), DIED);
	}
	fail_msg("never got through");
}

static void revert_once(struct world *w)
{
	struct err e = ERR_INIT;

	if (undo_revert_leftover(&w->host, NULL, &e) < 0)
		fail_msg("%s", e.text);
}

static const struct {
	const char *name, *profile;
	enum world_kind kind;
	const char *invalid;
	int vcpus;
} machines[] = {
	{"cgroup v1", "low-latency", WORLD_V1, NULL},
	{"cgroup v2", "low-latency", WORLD_V2, NULL},
	{"no cgroups", "low-latency", WORLD_NONE, NULL},
	{"cgroup v2, then affinity", "low-latency", WORLD_V2, "cpuset.cpus.partition"},
	{"command", "command", WORLD_NONE, NULL},
	{"a virtual machine", "low-latency", WORLD_V1, NULL, 1},
	{"a virtual machine without cgroups", "low-latency", WORLD_NONE, NULL, 1},
};

/* From the line where the second departs from the first. */
static const char *difference(const char *was, const char *is)
{
	size_t same = 0;

	while (was[same] && was[same] == is[same])
		same++;
	while (same > 0 && is[same - 1] != '\n')
		same--;
	static char text[400];
	snprintf(text, sizeof(text), "\nwas: %.150s\nis: %.150s", was + same, is + same);
	return text;
}

static void a_death_at_any_change_is_undone(void (*undo)(struct world *w))
{
	for (size_t i = 0; i < ARRAY_LEN(machines); i++) {
		struct subject subject;
		struct world w;
		world_make(&w, machines[i].kind, 2);
		w.invalid = machines[i].invalid;
		if (machines[i].vcpus)
			world_machine(&w, &subject, machines[i].vcpus, 1);
		else
			world_subject(&w, &subject);
		AUTO_FREE char *before = world_picture(&w);
		for (int n = 1, ended = DIED; ended == DIED; n++) {
			for (int after = 0; after < 2; after++) {
				ended = life_of(
					&w, machines[i].profile, &subject, after ? 0 : n, after ? n : 0);
				if (ended != 0 && ended != DIED)
					fail_msg("%s, change %d: ended with %d", machines[i].name, n, ended);
				undo(&w);
				AUTO_FREE char *now = world_picture(&w);
				if (strcmp(now, before))
					fail_msg("%s, death %s change %d: %s", machines[i].name,
						after ? "after" : "before", n, difference(before, now));
				assert_int_equal(undo_leftover(&w.host, NULL, ERR_IGNORED), 0);
			}
		}
		world_end(&w);
	}
}

static void a_killed_taut_is_undone(void **state)
{
	(void)state;
	a_death_at_any_change_is_undone(revert_once);
}

static void a_killed_revert_is_resumed(void **state)
{
	(void)state;
	a_death_at_any_change_is_undone(revert_with_deaths);
}

/* --- whose journal it is ----------------------------------------------------------------------- */

struct left {
	struct world w;
	struct subject subject;
	char *before;
};

/* A machine on which a taut was killed with everything in force. */
static void leave(struct left *left)
{
	world_make(&left->w, WORLD_V1, 2);
	world_subject(&left->w, &left->subject);
	left->before = world_picture(&left->w);
	assert_int_equal(life_of(&left->w, "low-latency", &left->subject, 0, 0), DIED);
}

static void left_end(struct left *left)
{
	free(left->before);
	world_end(&left->w);
}

static void what_is_left_is_told_and_undone(void **state)
{
	AUTO(buf_free) struct buf what = {0}, said = {0};
	struct left left;

	(void)state;
	leave(&left);
	assert_true(undo_leftover(&left.w.host, &what, ERR_IGNORED) > 10);
	assert_non_null(strstr(what.data, "/proc/sys/kernel/watchdog_cpumask: set to '0' by process"));
	world_put(&left.w, "/proc/irq/24/smp_affinity", "2\n"); /* changed by an administrator meanwhile */
	assert_int_equal(undo_revert_leftover(&left.w.host, &said, ERR_IGNORED), 0);
	assert_non_null(strstr(said.data, "put back /proc/sys/kernel/watchdog_cpumask to '0-1'"));
	assert_non_null(
		strstr(said.data, "left /proc/irq/24/smp_affinity as it is: '2' was set by somebody else"));
	assert_text(world_get(&left.w, "/proc/irq/24/smp_affinity"), "2");
	left_end(&left);
}

static void a_journal_of_another_boot_is_void(void **state)
{
	AUTO(buf_free) struct buf said = {0};
	struct left left;

	(void)state;
	leave(&left);
	world_put(&left.w, "/proc/sys/kernel/random/boot_id", "99999999-2222-3333-4444-555555555555\n");
	AUTO_FREE char *tuned = world_picture(&left.w);
	assert_int_equal(undo_leftover(&left.w.host, NULL, ERR_IGNORED), 0);
	assert_int_equal(undo_revert_leftover(&left.w.host, &said, ERR_IGNORED), 0);
	assert_non_null(strstr(said.data, "it is of another boot"));
	assert_text(world_picture(&left.w), tuned);
	left_end(&left);
}

static void a_living_owner_keeps_his_journal(void **state)
{
	struct left left;
	struct undo_journal *journals;
	size_t n;

	(void)state;
	leave(&left);
	assert_int_equal(undo_journals_load(&left.w.host, &journals, &n, ERR_IGNORED), 0);
	assert_int_equal(n, 2);
	pid_t owner = journals[0].owner.pid;
	undo_journals_free(journals, n);
	char path[64], stat[256];
	snprintf(path, sizeof(path), "/proc/%d/stat", owner);
	snprintf(stat, sizeof(stat), OWNER_STAT, owner, 78); /* the same PID with another start time */
	world_put(&left.w, path, stat);
	assert_true(undo_leftover(&left.w.host, NULL, ERR_IGNORED) > 10);
	snprintf(stat, sizeof(stat), OWNER_STAT, owner, 77);
	world_put(&left.w, path, stat); /* the owner itself */
	assert_int_equal(undo_leftover(&left.w.host, NULL, ERR_IGNORED), 0);
	AUTO_FREE char *tuned = world_picture(&left.w);
	assert_int_equal(undo_revert_leftover(&left.w.host, NULL, ERR_IGNORED), 0);
	assert_text(world_picture(&left.w), tuned);
	left_end(&left);
}

static void a_task_that_got_the_number_of_another_is_left_alone(void **state)
{
	struct left left;
	struct task task;

	(void)state;
	leave(&left);
	world_task_forget(&left.w, 5000501);
	world_put(&left.w, "/proc/5000501/task/5000501/stat",
		"5000501 (new) S 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 8888 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 7 1 0 0 0\n");
	world_put(&left.w, "/proc/5000501/task/5000501/status", "Name:\tnew\nCpus_allowed:\t2\n");
	assert_int_equal(undo_revert_leftover(&left.w.host, NULL, ERR_IGNORED), 0);
	assert_int_equal(task_read(left.w.host.root, 5000501, 5000501, &task, ERR_IGNORED), 0);
	assert_int_equal(task.policy, SCHED_FIFO);
	assert_int_equal(task.priority, 7);
	assert_int_equal(CPU_COUNT(&task.affinity), 1);
	left_end(&left);
}

/* A change that the journal cannot hold could not be undone by another taut, so it is not made. */
static void what_the_journal_cannot_hold_is_not_done(void **state)
{
	struct settings s;
	struct err e = ERR_INIT;
	struct undo_list *plan;
	struct tune *tune;
	struct world w;
	static const struct subject nobody;

	(void)state;
	world_make(&w, WORLD_NONE, 2);
	world_enter(&w);
	settings_init(&s);
	s.profile = "command";
	AUTO_FREE char *apply = str_format("echo \xe9 > %s/theirs", w.path);
	s.apply = str_keep(apply);
	s.revert = "true";
	assert_int_equal(tune_open(&tune, &w.host, &e), 0);
	assert_int_equal(world_plan(&plan, &w.host, TUNE_HOST, &s, &nobody, &e), 0);
	assert_int_equal(tune_apply(tune, plan, &e), -EINVAL);
	assert_non_null(strstr(e.text, "not UTF-8"));
	assert_false(root_exists(w.host.root, "/theirs"));
	assert_int_equal(tune_revert(tune, &e), 0);
	tune_free(tune);
	world_end(&w);
}

static void what_cannot_be_put_back_keeps_its_journal(void **state)
{
	struct err e = ERR_INIT;
	struct left left;

	(void)state;
	leave(&left);
	left.w.refuse = "watchdog";
	left.w.refuse_with = EIO;
	assert_int_equal(undo_revert_leftover(&left.w.host, NULL, &e), -EIO);
	assert_int_equal(e.exit, EXIT_PARTLY_APPLIED);
	assert_text(world_get(&left.w, "/proc/irq/24/smp_affinity"), "3"); /* the rest is back */
	left.w.refuse = NULL;
	assert_int_equal(undo_revert_leftover(&left.w.host, NULL, &e), 0);
	assert_text(world_picture(&left.w), left.before);
	left_end(&left);
}

/* --- commands that fail ------------------------------------------------------------------------ */

/* Applies the profile command in this process; what tune_apply() returns. */
static int apply_command(
	struct world *w, const char *apply, const char *revert, struct tune **tune, struct err *e)
{
	struct undo_list *plan;
	struct settings s;

	world_make(w, WORLD_NONE, 2);
	world_enter(w);
	settings_init(&s);
	s.profile = "command";
	AUTO_FREE char *apply_there = str_format("cd %s; %s", w->path, apply);
	AUTO_FREE char *revert_there = str_format("cd %s; %s", w->path, revert);
	s.apply = apply_there;
	s.revert = revert_there;
	assert_int_equal(tune_open(tune, &w->host, ERR_IGNORED), 0);
	assert_int_equal(world_plan(&plan, &w->host, TUNE_HOST, &s, &(struct subject){0}, ERR_IGNORED), 0);
	return tune_apply(*tune, plan, e);
}

static void a_command_that_cannot_be_run_leaves_nothing_owed(void **state)
{
	struct err e = ERR_INIT;
	struct tune *tune;
	struct world w;

	(void)state;
	assert_true(
		apply_command(&w, "echo on > half; tuned-taut on", "rm half; tuned-taut off", &tune, &e) < 0);
	assert_non_null(strstr(e.text, "tuned-taut on': exit status 127: "));
	assert_int_equal(e.exit, EXIT_FAILED);
	assert_text(world_get(&w, "/half"), "absent"); /* what it did before is undone */
	assert_int_equal(tune_revert(tune, ERR_IGNORED), 0);
	tune_free(tune);
	world_task_forget(&w, getpid());
	assert_int_equal(undo_leftover(&w.host, NULL, ERR_IGNORED), 0);
	world_end(&w);
}

static void a_command_and_its_undoing_that_fail_are_both_told_and_run_once(void **state)
{
	AUTO(buf_free) struct buf said = {0}, what = {0};
	struct err e = ERR_INIT;
	struct tune *tune;
	struct world w;
	char id[32], wrong[] = "7-7";

	(void)state;
	assert_true(apply_command(&w, "echo bad; exit 3", "echo again >> undone; exit 4", &tune, &e) < 0);
	assert_non_null(strstr(e.text, "exit 3': exit status 3: bad; and then"));
	assert_non_null(strstr(e.text, "exit 4': exit status 4"));
	assert_int_equal(e.exit, EXIT_PARTLY_APPLIED);
	assert_int_equal(tune_revert(tune, ERR_IGNORED), -EIO);
	tune_free(tune);
	assert_text(world_get(&w, "/undone"), "again");

	snprintf(id, sizeof(id), "%d-1", getpid());
	e = (struct err)ERR_INIT;
	assert_int_equal(undo_forget(&w.host, id, &said, &e), -EPERM);
	assert_int_equal(e.exit, EXIT_REFUSED); /* the owner, this process, runs */
	world_task_forget(&w, getpid());
	e = (struct err)ERR_INIT;
	assert_int_equal(undo_revert_leftover(&w.host, NULL, &e), -EIO);
	assert_non_null(strstr(e.advice, "taut tune revert --forget "));
	assert_non_null(strstr(e.advice, id));
	assert_int_equal(undo_leftover(&w.host, &what, ERR_IGNORED), 1);
	assert_non_null(strstr(what.data, id));
	e = (struct err)ERR_INIT;
	assert_true(undo_forget(&w.host, wrong, &said, &e) < 0);
	assert_int_equal(e.exit, EXIT_USAGE);
	assert_non_null(strstr(e.text, id));
	assert_int_equal(said.len, 0);
	assert_int_equal(undo_forget(&w.host, id, &said, ERR_IGNORED), 0);
	assert_non_null(strstr(said.data, "gave up /bin/sh -c: set to 'cd "));
	assert_int_equal(undo_leftover(&w.host, NULL, ERR_IGNORED), 0);
	world_end(&w);
}

#define ONLINE "/sys/devices/system/cpu/online"
#define SERVER "/sys/kernel/debug/sched/fair_server/cpu1/runtime"

/* CPU 1 has gone offline: no knob of it is written, and all of them are still to be put back. */
static void expect_owed(struct world *w, int rc, const struct err *e)
{
	assert_int_equal(rc, -EIO);
	assert_int_equal(e->exit, EXIT_PARTLY_APPLIED);
	assert_non_null(strstr(e->text, "CPU 1 is offline"));
	assert_non_null(strstr(e->advice, "online"));
	assert_int_equal(w->panics, 0);
	assert_text(world_get(w, SERVER), "0");
	assert_text(world_get(w, "/proc/irq/26/smp_affinity"), "1"); /* was on that CPU alone */
	assert_text(world_get(w, "/proc/irq/24/smp_affinity"), "3"); /* the rest is back */
}

static void what_belongs_to_a_cpu_that_is_offline_stays_owed(void **state)
{
	AUTO(buf_free) struct buf what = {0}, said = {0}, again = {0};
	struct err e = ERR_INIT;
	struct left left;

	(void)state;
	leave(&left);
	world_put(&left.w, ONLINE, "0\n");
	expect_owed(&left.w, undo_revert_leftover(&left.w.host, &said, &e), &e);
	assert_non_null(
		strstr(said.data, "gone for now: " SERVER ", before it '50000000': CPU 1 is offline\n"));
	/* And its sleep states; the cpuset and RPS would forget it. */
	assert_int_equal(undo_leftover(&left.w.host, &what, ERR_IGNORED), 5);
	e = (struct err)ERR_INIT;
	expect_owed(&left.w, undo_revert_leftover(&left.w.host, NULL, &e), &e);
	world_put(&left.w, ONLINE, "0-1\n");
	assert_int_equal(undo_revert_leftover(&left.w.host, &again, ERR_IGNORED), 0);
	assert_non_null(strstr(again.data, "put back " SERVER " to '50000000'\n"));
	assert_text(world_picture(&left.w), left.before);
	assert_int_equal(undo_leftover(&left.w.host, NULL, ERR_IGNORED), 0);
	left_end(&left);
}

/* The same in the process that tuned: verification sees it, revert leaves it in the journal. */
static void a_cpu_that_goes_offline_during_a_trial_is_told_and_owed(void **state)
{
	struct undo_list *plan;
	struct settings s;
	struct err e = ERR_INIT;
	struct tune *tune;
	struct world w;
	bool all = true;

	(void)state;
	world_make(&w, WORLD_NONE, 2);
	AUTO_FREE char *before = world_picture(&w);
	world_enter(&w);
	settings_init(&s);
	s.profile = "low-latency";
	assert_int_equal(tune_open(&tune, &w.host, ERR_IGNORED), 0);
	assert_int_equal(world_plan(&plan, &w.host, TUNE_HOST, &s, &(struct subject){0}, ERR_IGNORED), 0);
	assert_int_equal(tune_apply(tune, plan, ERR_IGNORED), 0);
	world_put(&w, ONLINE, "0\n");
	assert_int_equal(tune_verify(tune, &all, ERR_IGNORED), 0);
	assert_false(all);
	json_t *knobs = tune_effective_json(tune), *knob;
	size_t i, away = 0;
	json_array_foreach (knobs, i, knob) {
		if (strcmp(json_string_value(json_object_get(knob, "object")), SERVER))
			continue;
		assert_string_equal(json_string_value(json_object_get(knob, "status")), "gone for now");
		assert_string_equal(json_string_value(json_object_get(knob, "reason")), "CPU 1 is offline");
		away++;
	}
	json_decref(knobs);
	assert_int_equal(away, 1);
	assert_true(undo_status_known("gone for now"));
	expect_owed(&w, tune_revert(tune, &e), &e);
	tune_free(tune);
	world_task_forget(&w, getpid());
	assert_int_equal(undo_leftover(&w.host, NULL, ERR_IGNORED), 3);
	world_put(&w, ONLINE, "0-1\n");
	assert_int_equal(undo_revert_leftover(&w.host, NULL, ERR_IGNORED), 0);
	assert_text(world_picture(&w), before);
	world_end(&w);
}

/* The task was started with taut's mask; its parent's mask before was wider, whichever CPUs are online when
 * it is put back. */
static void a_task_born_meanwhile_gets_the_cpu_that_is_offline_too(void **state)
{
	struct subject subject;
	struct world w;
	struct task task;
	cpus online;

	(void)state;
	world_make(&w, WORLD_NONE, 2);
	world_subject(&w, &subject);
	assert_int_equal(life_of(&w, "low-latency", &subject, 0, 0), DIED);
	world_task(&w, WORLD_TID + 4500, "heir", 0, "1");
	world_put(&w, ONLINE, "0\n");
	assert_int_equal(cpus_online(w.host.root, &online, ERR_IGNORED), 0);
	w.host.online = online; /* a later taut opens the machine as it is */
	assert_int_equal(undo_revert_leftover(&w.host, NULL, ERR_IGNORED), -EIO);
	assert_int_equal(task_read(w.host.root, WORLD_TID + 4500, WORLD_TID + 4500, &task, ERR_IGNORED), 0);
	assert_int_equal(CPU_COUNT(&task.affinity), 2);
	world_end(&w);
}

static void nothing_is_applied_to_a_cpu_that_is_offline(void **state)
{
	struct undo_list *plan;
	struct settings s;
	struct tune *tune;
	struct world w;

	(void)state;
	world_make(&w, WORLD_NONE, 2);
	world_put(&w, "/proc/irq/26/smp_affinity", "3\n");
	world_enter(&w);
	settings_init(&s);
	s.profile = "low-latency";
	assert_int_equal(tune_open(&tune, &w.host, ERR_IGNORED), 0);
	assert_int_equal(world_plan(&plan, &w.host, TUNE_HOST, &s, &(struct subject){0}, ERR_IGNORED), 0);
	world_put(&w, ONLINE, "0\n");
	assert_int_equal(tune_apply(tune, plan, ERR_IGNORED), 0);
	assert_int_equal(w.panics, 0);
	assert_text(world_get(&w, SERVER), "50000000");
	assert_int_equal(tune_revert(tune, ERR_IGNORED), 0);
	assert_int_equal(w.panics, 0);
	tune_free(tune);
	world_end(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_killed_taut_is_undone),
		cmocka_unit_test(a_killed_revert_is_resumed),
		cmocka_unit_test(what_is_left_is_told_and_undone),
		cmocka_unit_test(a_journal_of_another_boot_is_void),
		cmocka_unit_test(a_living_owner_keeps_his_journal),
		cmocka_unit_test(a_task_that_got_the_number_of_another_is_left_alone),
		cmocka_unit_test(what_the_journal_cannot_hold_is_not_done),
		cmocka_unit_test(what_cannot_be_put_back_keeps_its_journal),
		cmocka_unit_test(a_command_that_cannot_be_run_leaves_nothing_owed),
		cmocka_unit_test(a_command_and_its_undoing_that_fail_are_both_told_and_run_once),
		cmocka_unit_test(what_belongs_to_a_cpu_that_is_offline_stays_owed),
		cmocka_unit_test(a_cpu_that_goes_offline_during_a_trial_is_told_and_owed),
		cmocka_unit_test(a_task_born_meanwhile_gets_the_cpu_that_is_offline_too),
		cmocka_unit_test(nothing_is_applied_to_a_cpu_that_is_offline),
	};

	return cmocka_run_group_tests_name("tune_journal", tests, NULL, NULL);
}
