/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Each status of an entry says one thing. */
#include "test_tune_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>
#include <cmocka.h>

#define FILE_CPU "/sys/devices/system/cpu/cpu1/power/pm_qos_resume_latency_us"
#define FOLDER   "/sys/devices/system/cpu/cpu1"

static void nothing(struct world *w)
{
	(void)w;
}

static void theirs(struct world *w)
{
	world_put(w, FILE_CPU, "7\n");
}

static void as_before(struct world *w)
{
	world_put(w, FILE_CPU, "0\n");
}

static void vanish(struct world *w, const char *path)
{
	AUTO_FREE char *whole = str_format("%s%s", w->path, path);

	assert_int_equal(tree_remove(whole, ERR_IGNORED), 0);
}

static void file_gone(struct world *w)
{
	vanish(w, FOLDER "/power");
}

static void offline(struct world *w)
{
	world_put(w, "/sys/devices/system/cpu/online", "0\n");
}

/* As the kernel does with the files of frequencies and sleep states. */
static void offline_without_files(struct world *w)
{
	offline(w);
	file_gone(w);
}

static void unplugged(struct world *w)
{
	offline(w);
	vanish(w, FOLDER);
}

static void refused(struct world *w)
{
	w->refuse = FILE_CPU;
	w->refuse_with = EIO;
}

static const struct {
	void (*meanwhile)(struct world *w);
	enum undo_status verified, reverted;
	bool owed;
	const char *verified_name, *reverted_name;
} rows[] = {
	{nothing, UNDO_EFFECTIVE, UNDO_REVERTED, false, "effective", "reverted"},
	{theirs, UNDO_CHANGED, UNDO_LEFT, false, "changed", "left"},
	{as_before, UNDO_CHANGED, UNDO_AS_BEFORE, false, "changed", "as before"},
	{file_gone, UNDO_CHANGED, UNDO_GONE, false, "changed", "gone"},
	{offline, UNDO_AWAY, UNDO_AWAY, true, "gone for now", "gone for now"},
	{offline_without_files, UNDO_AWAY, UNDO_AWAY, true, "gone for now", "gone for now"},
	{unplugged, UNDO_AWAY, UNDO_GONE, false, "gone for now", "gone"},
	{refused, UNDO_EFFECTIVE, UNDO_STUCK, true, "effective", "not put back"},
};

static struct undo_list *plan_of_one(struct world *w)
{
	struct undo_list *plan = mem_alloc(sizeof(*plan));
	struct undo_entry *entry = undo_entry_add(&w->host, plan, "k", "file", FILE_CPU);

	undo_entry_values(entry, "0", "n/a");
	return plan;
}

/* Verified twice, since what was found once must be found again, and then put back. */
static void each_way_to_stand_has_a_word_of_its_own(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct undo_list *plan;
		struct tune *tune;
		struct world w;
		bool all;
		world_make(&w, WORLD_NONE, 2);
		world_enter(&w);
		assert_int_equal(tune_open(&tune, &w.host, ERR_IGNORED), 0);
		plan = plan_of_one(&w);
		assert_int_equal(tune_apply(tune, plan, ERR_IGNORED), 0);
		rows[i].meanwhile(&w);
		for (int n = 0; n < 2; n++) {
			assert_int_equal(tune_verify(tune, &all, ERR_IGNORED), 0);
			assert_int_equal(all, rows[i].verified == UNDO_EFFECTIVE);
			assert_int_equal(plan->entries[0].status, rows[i].verified);
			assert_string_equal(undo_status_name(plan->entries[0].status), rows[i].verified_name);
		}
		int rc = undo_list_undo(&w.host, plan, 0, ERR_IGNORED);
		assert_int_equal(rc < 0, rows[i].owed);
		assert_int_equal(plan->entries[0].written, rows[i].owed);
		assert_int_equal(plan->entries[0].status, rows[i].reverted);
		assert_string_equal(undo_status_name(plan->entries[0].status), rows[i].reverted_name);
		assert_true(undo_status_known(rows[i].verified_name));
		assert_int_equal(w.panics, 0);
		tune_free(tune);
		world_end(&w);
	}
}

static void a_cpu_that_is_back_is_verified_again(void **state)
{
	struct undo_list *plan;
	struct tune *tune;
	struct world w;
	bool all;

	(void)state;
	world_make(&w, WORLD_NONE, 2);
	world_enter(&w);
	assert_int_equal(tune_open(&tune, &w.host, ERR_IGNORED), 0);
	plan = plan_of_one(&w);
	assert_int_equal(tune_apply(tune, plan, ERR_IGNORED), 0);
	offline(&w);
	assert_int_equal(tune_verify(tune, &all, ERR_IGNORED), 0);
	assert_false(all);
	world_put(&w, "/sys/devices/system/cpu/online", "0-1\n");
	assert_int_equal(tune_verify(tune, &all, ERR_IGNORED), 0);
	assert_true(all);
	assert_int_equal(plan->entries[0].status, UNDO_EFFECTIVE);
	assert_int_equal(tune_revert(tune, ERR_IGNORED), 0);
	tune_free(tune);
	world_end(&w);
}

/* What has gone is not said to have been put back. */
static void what_has_gone_is_told_as_gone(void **state)
{
	AUTO(buf_free) struct buf said = {0};
	struct undo_list *plan;
	struct world w;

	(void)state;
	world_make(&w, WORLD_NONE, 2);
	world_enter(&w);
	plan = plan_of_one(&w);
	assert_int_equal(undo_journal_begin(&w.host, plan, 0, ERR_IGNORED), 0);
	assert_int_equal(undo_entry_apply(&w.host, &plan->entries[0], ERR_IGNORED), 0);
	undo_list_free(plan);
	world_task_forget(&w, getpid());
	file_gone(&w);
	assert_int_equal(undo_revert_leftover(&w.host, &said, ERR_IGNORED), 0);
	assert_string_equal(said.data, "nothing to put back: " FILE_CPU " has gone\n");
	world_end(&w);
}

/* As the agent makes one in a user's guest. */
static void a_cgroup_of_v2_is_an_entry_too(void **state)
{
	AUTO(buf_free) struct buf said = {0};
	struct undo_list *plan = mem_alloc(sizeof(*plan));
	struct world w;

	(void)state;
	world_make(&w, WORLD_V2, 2);
	world_enter(&w);
	AUTO_FREE char *before = world_picture(&w);
	for (int i = 0; i < 2; i++) {
		struct undo_entry *entry = undo_entry_add(&w.host, plan, "cgroup", "cgroup-dir",
			i ? "/sys/fs/cgroup/taut-7-1/server" : "/sys/fs/cgroup/taut-7-1");
		undo_entry_values(entry, "absent", "present");
	}
	assert_int_equal(undo_journal_begin(&w.host, plan, 0, ERR_IGNORED), 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(undo_entry_apply(&w.host, &plan->entries[i], ERR_IGNORED), 0);
		assert_int_equal(plan->entries[i].status, UNDO_EFFECTIVE);
	}
	assert_true(root_exists(w.host.root, "/sys/fs/cgroup/taut-7-1/server"));
	undo_list_free(plan);
	assert_int_equal(undo_revert_leftover(&w.host, &said, ERR_IGNORED), 0); /* its owner is alive */
	assert_int_equal(said.len, 0);
	pid_t self = getpid();
	world_task_forget(&w, self);
	assert_int_equal(undo_revert_leftover(&w.host, &said, ERR_IGNORED), 0);
	world_enter(&w);
	AUTO_FREE char *after = world_picture(&w);
	assert_string_equal(before, after);
	world_end(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_way_to_stand_has_a_word_of_its_own),
		cmocka_unit_test(a_cpu_that_is_back_is_verified_again),
		cmocka_unit_test(what_has_gone_is_told_as_gone),
		cmocka_unit_test(a_cgroup_of_v2_is_an_entry_too),
	};

	return cmocka_run_group_tests_name("undo_status", tests, NULL, NULL);
}
