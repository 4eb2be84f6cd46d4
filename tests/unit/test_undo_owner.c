/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Who owns what, and a trial's cgroups with the controllers that are switched on for them. */
#include "test_tune_world.h"
#include "undo/private.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <cmocka.h>

#define assert_text(got_, want_)                                                                             \
	do {                                                                                                 \
		AUTO_FREE char *got = (got_);                                                                \
		assert_string_equal(got, want_);                                                             \
	} while (0)

/* --- owners ------------------------------------------------------------------------------------ */

static void a_mark_is_read_whole_or_not_at_all(void **state)
{
	static const struct {
		const char *text;
		bool good;
	} marks[] = {{"12:34:56", true}, {"12:34:56 ", false}, {"12:34", false}, {"", false},
		{"0:1:2", false}, {"-3:1:2", false}, {"x:1:2", false}};
	struct undo_owner owner;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(marks); i++)
		if (undo_owner_parse(marks[i].text, &owner) != marks[i].good)
			fail_msg("'%s' is taken otherwise", marks[i].text);
	assert_true(undo_owner_parse("12:34:56", &owner));
	assert_int_equal(owner.pid, 12);
	assert_int_equal(owner.start, 34);
	assert_int_equal(owner.pidns, 56);
}

/* A process that is the first of a PID namespace; without the right to make one, 0. */
static pid_t first_of_another(uint64_t *pidns)
{
	pid_t maker = fork(), first = 0;
	char path[64];
	struct stat st;
	int alive[2];

	if (maker == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (pipe(alive) < 0 || unshare(CLONE_NEWPID) < 0 || (first = fork()) < 0)
			_exit(1);
		/* The first process ends with its maker, at whatever moment that is killed. */
		if (first == 0) {
			close(alive[1]);
			_exit((int)read(alive[0], path, 1));
		}
		for (;;)
			pause();
	}
	snprintf(path, sizeof(path), "/proc/%d/ns/pid_for_children", maker);
	for (int tries = 0; is_privileged() && tries < 5000; tries++) {
		AUTO_FREE char *own = str_format("/proc/%d/ns/pid", maker);
		struct stat mine;
		/* It can be looked at once its first process is there. */
		if (stat(path, &st) == 0 && stat(own, &mine) == 0 && st.st_ino != mine.st_ino) {
			*pidns = st.st_ino;
			return maker;
		}
		usleep(1000);
	}
	kill(maker, SIGKILL);
	waitpid(maker, NULL, 0);
	return 0;
}

static void a_namespace_without_processes_has_no_owner(void **state)
{
	AUTO_CLOSE int root = root_open("/", ERR_IGNORED);
	struct undo_owner owner = {.pid = 1, .start = 1};
	pid_t maker = first_of_another(&owner.pidns);
	struct stat st;

	(void)state;
	if (!maker || stat("/proc/self/ns/pid", &st) < 0 || st.st_ino != 0xeffffffcu)
		skip();
	assert_true(undo_owner_alive(root, &owner));
	/* As long as it is open, no other namespace of the machine can get its number. */
	AUTO_FREE char *path = str_format("/proc/%d/ns/pid_for_children", maker);
	AUTO_CLOSE int held = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(held >= 0);
	kill(maker, SIGKILL);
	waitpid(maker, NULL, 0);
	for (int tries = 0; tries < 5000 && undo_owner_alive(root, &owner); tries++)
		usleep(1000);
	assert_false(undo_owner_alive(root, &owner));
}

static void an_owner_is_known_by_more_than_its_number(void **state)
{
	AUTO_CLOSE int root = root_open("/", ERR_IGNORED);
	struct undo_owner self, other;

	(void)state;
	undo_owner_self(root, &self);
	assert_true(self.start && self.pidns);
	assert_true(undo_owner_alive(root, &self));
	other = self;
	other.start++; /* the number was given away */
	assert_false(undo_owner_alive(root, &other));
	assert_true(undo_owner_parse(strchr(undo_mark(), '=') + 1, &other));
	assert_memory_equal(&other, &self, sizeof(self));
}

/* A taut in a container, whose PID somebody else or nobody has here, and whose record is not to be seen. */
static void a_name_says_the_namespace_and_an_older_one_is_read_as_ours(void **state)
{
	AUTO_CLOSE int root = root_open("/", ERR_IGNORED);
	struct undo_owner self, other;

	(void)state;
	undo_owner_self(root, &self);
	assert_true(undo_owner_of_name("/nowhere", "taut-5000000-2-77", &other));
	assert_int_equal(other.pid, 5000000);
	assert_int_equal(other.pidns, 77);
	AUTO_FREE char *here = str_format("taut-5000000-2-%llu", (unsigned long long)self.pidns);
	assert_true(undo_owner_of_name("/nowhere", here, &other));
	assert_false(undo_owner_alive(root, &other));
	assert_true(undo_owner_of_name("/nowhere", "taut-5000000-2", &other));
	assert_int_equal(other.pidns, 0);
	assert_false(undo_owner_alive(root, &other));
	static const char *const bad[] = {"taut-5-2-", "taut-5-2-7x", "taut-5", "taut-5-2x", "taut-x-1-2"};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_false(undo_owner_of_name("/nowhere", bad[i], &other));
}

static void a_process_that_nobody_has_waited_for_is_dead(void **state)
{
	AUTO_CLOSE int root = root_open("/", ERR_IGNORED);
	siginfo_t info;
	pid_t pid = fork();

	(void)state;
	assert_true(pid >= 0);
	if (pid == 0)
		_exit(0);
	assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
	assert_false(undo_owner_alive(root, &(struct undo_owner){.pid = pid}));
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_false(undo_owner_alive(root, &(struct undo_owner){.pid = pid}));
}

/* --- a trial's cgroups ------------------------------------------------------------------------- */

#define TOP     "/sys/fs/cgroup"
#define CONTROL TOP "/cgroup.subtree_control"

/* What is off before: cpu and cpuset; the world hands on what is asked for. */
static void groups_open(struct world *w, struct undo_groups *g, bool others)
{
	world_make(w, WORLD_V2, 2);
	world_enter(w);
	undo_groups_create(g, &w->host, "taut-7-1", others);
}

static size_t entries_owed(const struct world *w)
{
	int n = undo_leftover(&w->host, NULL, ERR_IGNORED);

	assert_true(n >= 0);
	return (size_t)n;
}

static void controllers_are_off_again_after_a_trial(void **state)
{
	struct undo_groups g;
	struct world w;

	(void)state;
	groups_open(&w, &g, false);
	assert_string_equal(g.root, "/taut-7-1");
	assert_text(world_get(&w, CONTROL), "memory cpuset");
	assert_int_equal(undo_groups_remove(&g, &w.host, "taut-7-1", time_now_ns(), ERR_IGNORED), 0);
	assert_text(world_get(&w, CONTROL), "memory");
	assert_false(root_exists(w.host.root, TOP "/taut-7-1"));
	world_task_forget(&w, getpid());
	assert_int_equal(entries_owed(&w), 0);
	world_end(&w);
}

/* Killed at any change, by any number of calls: the journal knows it before it is done. */
static void controllers_of_a_killed_taut_are_switched_off_by_the_next(void **state)
{
	(void)state;
	for (int others = 0; others < 2; others++) {
		for (int n = 1, ended = 42; ended == 42; n++) {
			struct world w;
			int status;
			world_make(&w, WORLD_V2, 2);
			pid_t pid = fork();
			assert_true(pid >= 0);
			if (pid == 0) {
				struct undo_groups g;
				world_enter(&w);
				w.die_after = n;
				undo_groups_create(&g, &w.host, "taut-7-1", others);
				_exit(0);
			}
			assert_int_equal(waitpid(pid, &status, 0), pid);
			ended = WEXITSTATUS(status);
			world_task_forget(&w, pid);
			assert_int_equal(entries_owed(&w), others ? 2 : 1);
			assert_int_equal(undo_revert_leftover(&w.host, NULL, ERR_IGNORED), 0);
			assert_text(world_get(&w, CONTROL), "memory");
			assert_int_equal(entries_owed(&w), 0);
			world_end(&w);
		}
	}
}

static void what_cannot_be_journalled_is_not_switched_on(void **state)
{
	struct undo_groups g;
	struct world w;

	(void)state;
	world_make(&w, WORLD_V2, 2);
	world_enter(&w);
	AUTO_FREE char *state_folder = str_dup(w.host.state);
	str_copy(w.host.state, sizeof(w.host.state), "/proc/no/such/folder");
	undo_groups_create(&g, &w.host, "taut-7-1", true);
	assert_text(world_get(&w, CONTROL), "memory");
	assert_string_equal(g.root, "/taut-7-1"); /* they serve without */
	assert_int_equal(undo_groups_remove(&g, &w.host, "taut-7-1", time_now_ns(), ERR_IGNORED), 0);
	str_copy(w.host.state, sizeof(w.host.state), state_folder);
	world_end(&w);
}

/* The kernel keeps a controller on that other cgroups hand on. */
static void a_controller_that_others_use_now_is_left_and_named(void **state)
{
	AUTO(buf_free) struct buf said = {0};
	struct undo_groups g;
	struct world w;

	(void)state;
	groups_open(&w, &g, false);
	world_task_forget(&w, getpid());
	assert_int_equal(entries_owed(&w), 1);
	w.refuse = "subtree_control";
	w.refuse_with = EBUSY;
	assert_int_equal(undo_revert_leftover(&w.host, &said, ERR_IGNORED), 0);
	assert_non_null(strstr(said.data, "left " CONTROL " as it is: other cgroups use it now"));
	assert_int_equal(entries_owed(&w), 0);
	undo_list_free(g.controllers);
	world_end(&w);
}

/* A container of a killed taut still lives in it; the sweep ends that, and removes the cgroup. */
static void the_cpuset_of_a_dead_trial_is_not_owed_and_that_of_others_is(void **state)
{
	static const struct {
		const char *path;
		int rc;
	} rows[] = {{TOP "/taut-9-1/cpuset.cpus", 0}, {TOP "/theirs/cpuset.cpus", -ENOSPC}};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct world w;
		world_make(&w, WORLD_V2, 2);
		world_put(&w, rows[i].path, "1\n");
		struct undo_list *list = mem_alloc(sizeof(*list));
		struct undo_entry *entry = undo_entry_add(&w.host, list, "k", "file-list", rows[i].path);
		undo_entry_values(entry, "", "1");
		entry->written = true;
		w.refuse = "cpuset.cpus";
		w.refuse_with = ENOSPC;
		assert_int_equal(undo_list_undo(&w.host, list, 0, ERR_IGNORED), rows[i].rc);
		undo_list_free(list);
		world_end(&w);
	}
}

/* Each cgroup v1 that children go into has CPUs before they do. */
static void children_of_a_cpuset_have_what_the_root_has(void **state)
{
	struct undo_groups g;
	struct world w;

	(void)state;
	world_make(&w, WORLD_V1, 2);
	undo_groups_create(&g, &w.host, "taut-7-1", true);
	assert_int_equal(g.n, 2);
	assert_null(g.controllers);
	assert_text(world_get(&w, TOP "/cpuset/taut-7-1/cpuset.cpus"), "0-1");
	assert_int_equal(undo_groups_enter(&g, &w.host, "client", 1, ERR_IGNORED), 0);
	assert_text(world_get(&w, TOP "/cpuset/taut-7-1/client/cpuset.cpus"), "0-1");
	assert_text(world_get(&w, TOP "/cpuset/taut-7-1/client/cgroup.procs"), "1");
	assert_int_equal(undo_groups_remove(&g, &w.host, "taut-7-1", time_now_ns(), ERR_IGNORED), 0);
	assert_false(root_exists(w.host.root, TOP "/cpuset/taut-7-1"));
	assert_false(root_exists(w.host.root, TOP "/cpu/taut-7-1"));
	world_end(&w);
}

/* As on a mount that is read-only, where removing what is not there says so. */
static void cgroups_that_were_never_made_are_not_removed(void **state)
{
	struct undo_groups g = {0};
	struct world w;

	(void)state;
	world_make(&w, WORLD_V2, 2);
	w.calls_n = 0;
	assert_int_equal(undo_groups_remove(&g, &w.host, "taut-7-1", time_now_ns(), ERR_IGNORED), 0);
	assert_int_equal(w.calls_n, 0);
	world_end(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_mark_is_read_whole_or_not_at_all),
		cmocka_unit_test(an_owner_is_known_by_more_than_its_number),
		cmocka_unit_test(a_namespace_without_processes_has_no_owner),
		cmocka_unit_test(a_name_says_the_namespace_and_an_older_one_is_read_as_ours),
		cmocka_unit_test(a_process_that_nobody_has_waited_for_is_dead),
		cmocka_unit_test(controllers_are_off_again_after_a_trial),
		cmocka_unit_test(controllers_of_a_killed_taut_are_switched_off_by_the_next),
		cmocka_unit_test(what_cannot_be_journalled_is_not_switched_on),
		cmocka_unit_test(a_controller_that_others_use_now_is_left_and_named),
		cmocka_unit_test(the_cpuset_of_a_dead_trial_is_not_owed_and_that_of_others_is),
		cmocka_unit_test(children_of_a_cpuset_have_what_the_root_has),
		cmocka_unit_test(cgroups_that_were_never_made_are_not_removed),
	};

	return cmocka_run_group_tests_name("undo_owner", tests, NULL, NULL);
}
