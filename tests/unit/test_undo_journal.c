/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Journals of dead tauts: those of released schemas are undone, and none stands in the way of another. */
#include "test_tune_world.h"
#include "undo/private.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <cmocka.h>

#define JOURNALS TEST_DATA "/journal"

#define assert_text(got_, want_)                                                                             \
	do {                                                                                                 \
		AUTO_FREE char *got = (got_);                                                                \
		assert_string_equal(got, want_);                                                             \
	} while (0)

/* --- machines with old journals ---------------------------------------------------------------- */

static void put_files(const struct world *w, json_t *files)
{
	const char *path;
	json_t *text;

	json_object_foreach (files, path, text)
		world_put(w, path, json_string_value(text));
}

/* The state folder takes the journals of a fixture, readable by us alone. */
static size_t put_journals(const struct world *w, const char *name)
{
	AUTO_FREE char *folder = str_format("%s/%s", JOURNALS, name);
	DIR *dir = opendir(folder);
	size_t n = 0;

	assert_non_null(dir);
	for (struct dirent *d; (d = readdir(dir));) {
		AUTO_FREE char *from = str_format("%s/%s", folder, d->d_name);
		AUTO_FREE char *to = str_format("%s/%s", w->host.state, d->d_name);
		if (!str_starts(d->d_name, "journal-"))
			continue;
		json_t *journal = json_load_file(from, 0, NULL);
		assert_non_null(journal);
		assert_int_equal(json_dump_file(journal, to, 0), 0);
		assert_int_equal(chmod(to, 0600), 0);
		json_decref(journal);
		n++;
	}
	closedir(dir);
	return n;
}

/* A machine as a taut of an earlier version left it; *before is how it was. */
static void left_by(struct world *w, const char *name, enum world_kind kind, char **before)
{
	AUTO_FREE char *path = str_format("%s/%s/machine.json", JOURNALS, name);
	json_t *machine = json_load_file(path, 0, NULL);

	assert_non_null(machine);
	world_make(w, kind, 2);
	put_files(w, json_object_get(machine, "before"));
	*before = world_picture(w);
	put_files(w, json_object_get(machine, "tuned"));
	json_decref(machine);
	assert_int_equal(put_journals(w, name), 2);
}

static const struct {
	const char *name;
	enum world_kind kind;
} machines[] = {
	{"cgroup1", WORLD_V1}, {"cgroup2", WORLD_V2}, {"affinity", WORLD_NONE}, {"machine", WORLD_V1}};

static size_t journals_there(const struct world *w)
{
	struct undo_journal *journals;
	size_t n;

	assert_int_equal(undo_journals_load(&w->host, &journals, &n, ERR_IGNORED), 0);
	undo_journals_free(journals, n);
	return n;
}

static void journals_of_schema_1_are_undone(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(machines); i++) {
		AUTO(buf_free) struct buf said = {0};
		AUTO_FREE char *before = NULL;
		struct err e = ERR_INIT;
		struct world w;
		left_by(&w, machines[i].name, machines[i].kind, &before);
		AUTO_FREE char *tuned = world_picture(&w);
		assert_string_not_equal(tuned, before);
		assert_true(undo_leftover(&w.host, NULL, ERR_IGNORED) > 10);
		if (undo_revert_leftover(&w.host, &said, &e) < 0)
			fail_msg("%s: %s", machines[i].name, e.text);
		assert_text(world_picture(&w), before);
		assert_int_equal(journals_there(&w), 0);
		world_end(&w);
	}
}

/* --- what cannot be undone --------------------------------------------------------------------- */

/* A newer taut wrote an entry of a kind that this one does not know, between others. */
static void strange_entry(const struct world *w)
{
	AUTO_FREE char *path = str_format("%s/journal-7344-2.json", w->host.state);
	json_t *journal = json_load_file(path, 0, NULL);

	json_array_insert_new(json_object_get(journal, "entries"), 1,
		json_pack("{s:s, s:s, s:s, s:s, s:s}", "knob", "k", "executor", "of-a-newer-taut", "object",
			"/theirs", "before", "1", "after", "2"));
	assert_int_equal(json_dump_file(journal, path, 0), 0);
	json_decref(journal);
}

static void an_entry_of_an_unknown_row_is_named_and_kept_and_the_others_are_undone(void **state)
{
	AUTO(buf_free) struct buf said = {0}, what = {0}, gave_up = {0};
	AUTO_FREE char *before = NULL;
	struct err e = ERR_INIT;
	struct world w;

	(void)state;
	left_by(&w, "cgroup1", WORLD_V1, &before);
	strange_entry(&w);
	for (int times = 0; times < 2; times++) { /* the second time it is all that there is */
		e = ERR_INIT;
		assert_int_equal(undo_revert_leftover(&w.host, &said, &e), -EIO);
		assert_int_equal(e.exit, EXIT_PARTLY_APPLIED);
		assert_non_null(strstr(e.text, "nobody here knows 'of-a-newer-taut'"));
		assert_non_null(strstr(e.advice, "--forget 7344-2"));
		assert_text(world_picture(&w), before);
		assert_int_equal(journals_there(&w), 1);
	}
	assert_non_null(strstr(said.data, "could not put back /theirs"));
	assert_int_equal(undo_leftover(&w.host, &what, ERR_IGNORED), 1);
	assert_non_null(strstr(what.data, "/theirs: set to '2' by process 7344, before it '1' (ID 7344-2)"));
	assert_int_equal(undo_forget(&w.host, "7344-2", &gave_up, ERR_IGNORED), 0);
	assert_int_equal(journals_there(&w), 0);
	world_end(&w);
}

static void put_text(const struct world *w, const char *name, const char *text)
{
	AUTO_FREE char *path = str_format("%s/%s", w->host.state, name);

	assert_int_equal(file_write_synced(path, text, strlen(text), 0600, ERR_IGNORED), 0);
}

#define OF_OTHER_BOOT                                                                                        \
	"{\"schema\": \"taut.journal/1\", \"boot\": \"another\", \"pid\": 9, \"start\": 1, \"sequence\": 5," \
	" \"entries\": [{\"knob\": \"k\", \"executor\": \"of-a-newer-taut\", \"object\": \"o\","             \
	" \"before\": \"1\", \"after\": \"2\"}]}"
#define NO_PATH                                                                                              \
	"{\"schema\": \"taut.journal/1\", \"boot\": \"11111111-2222-3333-4444-555555555555\", \"pid\": 9,"   \
	" \"start\": 1, \"sequence\": 6, \"entries\": [{\"knob\": \"k\", \"executor\": \"cgroup-dir\","      \
	" \"object\": \"nothing\", \"before\": \"absent\", \"after\": \"\"}]}"

static void one_bad_journal_does_not_keep_the_others_from_being_undone(void **state)
{
	static const struct {
		const char *name, *text, *says;
	} bad[] = {
		{"journal-9-1.json", "", "journal-9-1.json: line"},
		{"journal-9-2.json", "{\"schema\": \"taut.journal/1\"", "journal-9-2.json: line"},
		{"journal-9-3.json", "{\"schema\": \"taut.journal/7\"}", "journal-9-3.json: "},
		{"journal-9-4.json", NULL, "journal-9-4.json: somebody else may have written it"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		AUTO(buf_free) struct buf said = {0}, what = {0};
		AUTO_FREE char *before = NULL;
		struct err e = ERR_INIT;
		struct world w;
		left_by(&w, "affinity", WORLD_NONE, &before);
		AUTO_FREE char *path = str_format("%s/%s", w.host.state, bad[i].name);
		if (bad[i].text)
			put_text(&w, bad[i].name, bad[i].text);
		else
			assert_int_equal(symlink("/etc/passwd", path), 0);
		assert_int_equal(undo_revert_leftover(&w.host, &said, &e), -EIO);
		assert_int_equal(e.exit, EXIT_PARTLY_APPLIED);
		if (!strstr(e.text, bad[i].says))
			fail_msg("'%s' does not say '%s'", e.text, bad[i].says);
		assert_text(world_picture(&w), before);
		assert_int_equal(journals_there(&w), 1);
		assert_int_equal(undo_leftover(&w.host, &what, ERR_IGNORED), 1);
		AUTO_FREE char *id = str_format("9-%zu", i + 1);
		assert_int_equal(undo_forget(&w.host, id, NULL, ERR_IGNORED), 0);
		assert_int_equal(journals_there(&w), 0);
		world_end(&w);
	}
}

static void what_another_boot_left_is_void_whoever_knows_it(void **state)
{
	struct world w;

	(void)state;
	world_make(&w, WORLD_NONE, 2);
	put_text(&w, "journal-9-5.json", OF_OTHER_BOOT);
	assert_int_equal(undo_leftover(&w.host, NULL, ERR_IGNORED), 0);
	assert_int_equal(undo_revert_leftover(&w.host, NULL, ERR_IGNORED), 0);
	assert_int_equal(journals_there(&w), 0);
	world_end(&w);
}

static void a_cgroup_that_is_no_path_ends_nothing(void **state)
{
	struct world w;

	(void)state;
	world_make(&w, WORLD_NONE, 2);
	world_put(&w, "/nothing/tasks", "");
	put_text(&w, "journal-9-6.json", NO_PATH);
	assert_int_equal(undo_revert_leftover(&w.host, NULL, ERR_IGNORED), -EIO);
	assert_int_equal(journals_there(&w), 1);
	world_end(&w);
}

static void a_journal_that_others_can_write_is_not_trusted(void **state)
{
	struct err e = ERR_INIT;
	struct world w;

	(void)state;
	world_make(&w, WORLD_NONE, 2);
	AUTO_FREE char *path = str_format("%s/journal-1-1.json", w.host.state);
	put_text(&w, "journal-1-1.json", "{}");
	assert_int_equal(undo_revert_leftover(&w.host, NULL, &e), -EIO);
	assert_int_equal(e.exit, EXIT_PARTLY_APPLIED);
	assert_int_equal(chmod(path, 0666), 0);
	assert_int_equal(undo_revert_leftover(&w.host, NULL, &e), -EIO);
	assert_non_null(strstr(e.text, "somebody else may have written it"));
	world_end(&w);
}

/* A taut that is killed while it writes has changed nothing yet, and what it wrote is litter. */
static void a_journal_that_was_never_complete_is_removed(void **state)
{
	struct world w;

	(void)state;
	world_make(&w, WORLD_NONE, 2);
	AUTO_FREE char *dead = str_format("%s/journal-999999999-1.json.new", w.host.state);
	AUTO_FREE char *strange = str_format("%s/journal-x.json.new", w.host.state);
	AUTO_FREE char *living = str_format("%s/journal-4242-7.json.new", w.host.state);
	const char *const paths[] = {dead, strange, living};
	world_task(&w, 4242, "taut", 0, "3");
	for (size_t i = 0; i < ARRAY_LEN(paths); i++)
		assert_int_equal(file_write_synced(paths[i], "{", 1, 0600, ERR_IGNORED), 0);
	assert_int_equal(undo_revert_leftover(&w.host, NULL, ERR_IGNORED), 0);
	assert_int_equal(access(dead, F_OK), -1);
	assert_int_equal(access(strange, F_OK), 0);
	assert_int_equal(access(living, F_OK), 0);
	world_end(&w);
}

/* --- several journals of one process ----------------------------------------------------------- */

static struct undo_list *begun(const struct world *w, const char *after)
{
	struct undo_list *list = mem_alloc(sizeof(*list));
	AUTO_FREE char *before = world_get(w, "/value");
	struct undo_entry *entry = undo_entry_add(&w->host, list, "k", "file", "/value");

	undo_entry_values(entry, before, after);
	assert_int_equal(undo_journal_begin(&w->host, list, 0, ERR_IGNORED), 0);
	assert_int_equal(undo_entry_apply(&w->host, entry, ERR_IGNORED), 0);
	return list;
}

/* Two modules of one taut journal without knowing of one another. */
static void the_last_change_of_a_dead_taut_is_the_first_that_is_undone(void **state)
{
	struct world w;

	(void)state;
	world_make(&w, WORLD_NONE, 2);
	world_put(&w, "/value", "0\n");
	world_enter(&w);
	struct undo_list *first = begun(&w, "1"), *second = begun(&w, "2");
	assert_int_equal(undo_list_undo(&w.host, second, 0, ERR_IGNORED), 0);
	assert_int_equal(undo_journal_remove(second, ERR_IGNORED), 0);
	struct undo_list *third = begun(&w, "3"), *fourth = begun(&w, "4");
	world_task_forget(&w, getpid());
	assert_int_equal(undo_revert_leftover(&w.host, NULL, ERR_IGNORED), 0);
	assert_text(world_get(&w, "/value"), "0");
	struct undo_list *const lists[] = {first, second, third, fourth};
	for (size_t i = 0; i < ARRAY_LEN(lists); i++)
		undo_list_free(lists[i]);
	world_end(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(journals_of_schema_1_are_undone),
		cmocka_unit_test(an_entry_of_an_unknown_row_is_named_and_kept_and_the_others_are_undone),
		cmocka_unit_test(one_bad_journal_does_not_keep_the_others_from_being_undone),
		cmocka_unit_test(what_another_boot_left_is_void_whoever_knows_it),
		cmocka_unit_test(a_cgroup_that_is_no_path_ends_nothing),
		cmocka_unit_test(a_journal_that_others_can_write_is_not_trusted),
		cmocka_unit_test(a_journal_that_was_never_complete_is_removed),
		cmocka_unit_test(the_last_change_of_a_dead_taut_is_the_first_that_is_undone),
	};

	return cmocka_run_group_tests_name("undo_journal", tests, NULL, NULL);
}
