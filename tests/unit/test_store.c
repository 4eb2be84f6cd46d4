/* SPDX-License-Identifier: GPL-3.0-or-later */
/* store: values are read as they were written; files of others, damaged ones and too new ones are refused;
 * saved trials stay saved. */
#include "store/store.h"
#include "test_keep.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

#define CHECK(call)                                                                                          \
	do {                                                                                                 \
		if ((call) < 0) {                                                                            \
			print_error("%s: %s\n", #call, error.text);                                          \
			fail();                                                                              \
		}                                                                                            \
	} while (0)

static struct err error;

struct world {
	char folder[64], file[96];
};

static int setup(void **state)
{
	struct world *w = mem_alloc(sizeof(*w));

	str_copy(w->folder, sizeof(w->folder), "/tmp/taut-store-XXXXXX");
	keep_folder(w->folder);
	snprintf(w->file, sizeof(w->file), "%s/runs.db", w->folder);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;
	static const char *const ends[] = {"", "-wal", "-shm"};

	for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
		AUTO_FREE char *file = str_format("%s%s", w->file, ends[i]);
		unlink(file);
	}
	rmdir(w->folder);
	free(w);
	return 0;
}

/* --- made-up data
 * -------------------------------------------------------------------------------------------- */

static struct trial_record *record_make(uint64_t seed, bool open)
{
	struct trial_record *r = trial_record_new();
	struct endpoint_record *c = &r->ends[END_CLIENT].record;

	r->verified = true;
	r->wall_started_ns = 1800000000ull * NS_PER_S;
	r->duration_ns = NS_PER_S;
	c->ended_ns = NS_PER_S;
	c->sent = c->transactions = 500;
	c->has_service = true;
	c->has_lateness = open;
	hist_clear(&c->service);
	hist_clear(&c->response);
	hist_clear(&c->lateness);
	for (int i = 0; i < 500; i++) {
		hist_add(&c->service, 10000 + rng_below(&seed, 90000));
		hist_add(&c->response, 20000 + rng_below(&seed, 90000));
		hist_add(&c->lateness, rng_below(&seed, 300));
	}
	if (!open)
		c->response = c->service;
	c->window_length_ns = NS_PER_MS;
	c->windows_n = 40;
	for (size_t i = 0; i < c->windows_n; i++)
		c->windows[i] = (struct window){12, 12 * (i + 1), i + 7, i + 1, 0};
	c->worst_n = 2;
	c->worst[0] = (struct worst){5, 99000, 99000};
	c->worst[1] = (struct worst){9, 98000, 98000};
	str_copy(r->during[0].owner, sizeof(r->during[0].owner), "steal");
	json_array_append_new(r->knobs, json_pack("{s:s, s:s}", "id", "irq-affinity", "status", "effective"));
	return r;
}

static json_t *settings_default(void)
{
	struct settings s;

	settings_init(&s);
	return settings_json(&s);
}

static int64_t run_make(struct store *store, const char *name)
{
	struct store_run run = {.seed = UINT64_MAX, .blocks = 10};
	json_t *spec = json_pack("{s:s}", "name", name), *environment = json_pack("{s:s}", "kernel", "6.1.0");

	str_copy(run.name, sizeof(run.name), name);
	str_copy(run.spec_hash, sizeof(run.spec_hash), "cafe");
	CHECK(store_run_begin(store, &run, spec, environment, &error));
	assert_string_equal(run.state, "running");
	json_decref(spec);
	json_decref(environment);
	return run.id;
}

static int64_t cell_make(struct store *store, int64_t run)
{
	struct store_cell cell = {.name = "native/veth/tcp_rr"};
	struct store_arm arms[] = {{.name = "stock", .baseline = true, .settings = settings_default()},
		{.name = "tuned", .settings = settings_default()}};

	CHECK(store_cell_add(store, run, &cell, arms, 2, &error));
	json_decref(arms[0].settings);
	json_decref(arms[1].settings);
	return cell.id;
}

static int trial_put(struct store *store, int64_t run, int64_t cell, uint64_t block, const char *arm)
{
	struct store_trial t = {.cell = cell, .block = block};
	AUTO(auto_trial_record) struct trial_record *r = record_make(block, false);

	str_copy(t.arm, sizeof(t.arm), arm);
	return store_trial_add(store, run, &t, r, &error);
}

static int count_trial(const struct store_trial *trial, const struct trial_record *record, void *arg)
{
	(void)trial, (void)record;
	++*(uint64_t *)arg;
	return 0;
}

static uint64_t trials_of(struct store *store, int64_t run)
{
	uint64_t n = 0;

	CHECK(store_trials_each(store, run, 0, count_trial, &n, &error));
	return n;
}

static void says(const char *text)
{
	char whole[1200];

	err_string(&error, whole, sizeof(whole));
	if (!strstr(whole, text))
		fail_msg("'%s' is not in: %s", text, whole);
}

/* Runs SQL on the file, past the store. */
static void sql(const char *file, const char *text)
{
	sqlite3 *db;

	assert_int_equal(sqlite3_open(file, &db), SQLITE_OK);
	char *why = NULL;
	if (sqlite3_exec(db, text, NULL, NULL, &why) != SQLITE_OK)
		fail_msg("%s: %s", text, why);
	sqlite3_close(db);
}

/* --- round trips
 * ------------------------------------------------------------------------------------------------ */

static int compare_record(const struct store_trial *trial, const struct trial_record *got, void *arg)
{
	const struct trial_record *meant = arg;
	json_t *a = trial_record_json(meant), *b = trial_record_json(got);

	assert_int_equal(trial->block, 4);
	assert_string_equal(trial->arm, "tuned");
	if (!json_equal(a, b)) {
		AUTO_FREE char *x = json_dumps(a, JSON_SORT_KEYS), *y = json_dumps(b, JSON_SORT_KEYS);
		fail_msg("%s\ncame back as\n%s", x, y);
	}
	assert_memory_equal(&meant->ends[END_CLIENT].record.response, &got->ends[END_CLIENT].record.response,
		sizeof(got->ends[END_CLIENT].record.response));
	json_decref(a);
	json_decref(b);
	return 0;
}

static void a_record_comes_back_as_it_was(void **state)
{
	struct world *w = *state;

	for (int open = 0; open < 2; open++) {
		AUTO(auto_store) struct store *store = NULL;
		AUTO(auto_trial_record) struct trial_record *r = record_make(42, open);
		struct store_trial t = {.block = 4, .position = 1, .arm = "tuned"};

		CHECK(store_open(&store, w->file, &error));
		int64_t run = run_make(store, "quick");
		t.cell = cell_make(store, run);
		CHECK(store_trial_add(store, run, &t, r, &error));
		store_close(steal_ptr(&store));
		CHECK(store_open(&store, w->file, &error));
		CHECK(store_trials_each(store, run, t.cell, compare_record, r, &error));
		assert_int_equal(trials_of(store, run), 1);
		CHECK(store_check(store, &error));
	}
}

static int see_cell(const struct store_cell *cell, const struct store_arm *arms, size_t n, void *arg)
{
	++*(int *)arg;
	if (cell->skipped) {
		assert_string_equal(cell->reason, "no /dev/kvm");
		assert_true(cell->privilege);
		assert_int_equal(n, 0);
		return 0;
	}
	assert_int_equal(n, 2);
	assert_string_equal(arms[0].name, "stock");
	assert_true(arms[0].baseline && !arms[1].baseline);
	assert_string_equal(json_string_value(json_object_get(arms[0].settings, "workload")), "tcp_rr");
	return 0;
}

static void runs_cells_and_documents_come_back(void **state)
{
	struct world *w = *state;
	AUTO(auto_store) struct store *store = NULL;
	struct store_cell skipped = {
		.name = "vm", .skipped = true, .reason = "no /dev/kvm", .privilege = true};
	struct store_run run;
	json_t *spec, *environment;
	int cells = 0;

	CHECK(store_open(&store, w->file, &error));
	int64_t first = run_make(store, "quick"), second = run_make(store, "quick");
	cell_make(store, second);
	CHECK(store_cell_add(store, second, &skipped, NULL, 0, &error));
	CHECK(store_cells_each(store, second, see_cell, &cells, &error));
	assert_int_equal(cells, 2);
	CHECK(store_run_documents(store, second, &spec, &environment, &error));
	assert_string_equal(json_string_value(json_object_get(spec, "name")), "quick");
	assert_string_equal(json_string_value(json_object_get(environment, "kernel")), "6.1.0");
	json_decref(spec);
	json_decref(environment);

	CHECK(store_run_find(store, "quick", &run, &error));
	assert_int_equal(run.id, second);
	assert_true(run.seed == UINT64_MAX);
	CHECK(store_run_find(store, "1", &run, &error));
	assert_int_equal(run.id, first);
	skipped.name[1] = 'x';
	CHECK(store_cell_add(store, first, &skipped, NULL, 0, &error));
	CHECK(store_cell_skip(store, &skipped, &error));
	CHECK(store_run_end(store, second, "interrupted", &error));
	CHECK(store_run_find(store, "last", &run, &error));
	assert_string_equal(run.state, "interrupted");
	assert_true(run.ended_ns >= run.started_ns);
}

static void a_run_that_is_not_there_comes_with_advice(void **state)
{
	struct world *w = *state;
	AUTO(auto_store) struct store *store = NULL;
	struct store_run run;

	CHECK(store_open(&store, w->file, &error));
	assert_int_equal(store_run_find(store, "last", &run, &error), -ENOENT);
	says("taut run quick");
	run_make(store, "quick");
	assert_int_equal(store_run_find(store, "quik", &run, &error), -ENOENT);
	says("(try: quick)");
	assert_int_equal(store_run_find(store, "77", &run, &error), -ENOENT);
	says("'77'");
	assert_int_equal(store_run_find(store, "", &run, &error), -EINVAL);
}

static void settings_that_an_older_taut_did_not_know_have_their_defaults(void **state)
{
	struct world *w = *state;
	AUTO(auto_store) struct store *store = NULL;

	CHECK(store_open(&store, w->file, &error));
	int64_t run = run_make(store, "old"), cell = cell_make(store, run);
	CHECK(trial_put(store, run, cell, 0, "stock"));
	store_close(steal_ptr(&store));
	sql(w->file,
		"UPDATE trials SET record = json_remove(record, '$.settings.isolate', '$.settings.noise')");
	sql(w->file, "UPDATE arms SET settings = json_remove(settings, '$.isolate')");
	CHECK(store_open(&store, w->file, &error));
	assert_int_equal(trials_of(store, run), 1);
	int cells = 0;
	CHECK(store_cells_each(store, run, see_cell, &cells, &error));
}

static int see_old_record(const struct store_trial *trial, const struct trial_record *r, void *arg)
{
	(void)trial;
	++*(int *)arg;
	assert_string_equal(r->host.kernel, "");
	assert_string_equal(r->guest.kernel, "");
	assert_string_equal(r->console, "");
	assert_int_equal(r->guest.boot_ns, 0);
	assert_string_equal(r->settings.clock, "real");
	assert_string_equal(r->settings.kernel, "");
	assert_int_equal(r->settings.vcpus, 1);
	assert_int_equal(r->ends[END_CLIENT].record.transactions, 500);
	assert_int_equal(r->ends[END_CLIENT].record.service.count, 500);
	assert_true(r->verified);
	return 0;
}

static void a_record_from_before_there_were_virtual_machines_is_read(void **state)
{
	struct world *w = *state;
	AUTO(auto_store) struct store *store = NULL;
	int seen = 0, cells = 0;

	CHECK(store_open(&store, w->file, &error));
	int64_t run = run_make(store, "old"), cell = cell_make(store, run);
	CHECK(trial_put(store, run, cell, 0, "stock"));
	store_close(steal_ptr(&store));
	sql(w->file,
		"UPDATE trials SET record = json_remove(record, '$.host', '$.guest', '$.console', '$.settings.host_boot', '$.settings.clock', '$.settings.kernel', '$.settings.boot', '$.settings.accel', '$.settings.vcpus', '$.settings.memory', '$.settings.queues', '$.settings.cpu_model', '$.settings.backing', '$.settings.disk', '$.settings.login')");
	sql(w->file,
		"UPDATE arms SET settings = json_remove(settings, '$.host_boot', '$.clock', '$.kernel', '$.boot', '$.accel', '$.vcpus', '$.memory', '$.queues', '$.cpu_model', '$.backing', '$.disk', '$.login')");
	CHECK(store_open(&store, w->file, &error));
	CHECK(store_trials_each(store, run, cell, see_old_record, &seen, &error));
	CHECK(store_cells_each(store, run, see_cell, &cells, &error));
	assert_int_equal(seen, 1);
	assert_int_equal(cells, 1);
}

/* --- what is refused
 * ------------------------------------------------------------------------------------------------ */

static void a_newer_schema_is_refused(void **state)
{
	struct world *w = *state;
	struct store *store = NULL;

	CHECK(store_open(&store, w->file, &error));
	store_close(steal_ptr(&store));
	sql(w->file, "PRAGMA user_version = 7");
	assert_int_equal(store_open(&store, w->file, &error), -EPROTONOSUPPORT);
	says("made by a newer taut (schema 7, this one knows 2)");
	says("--db");
	assert_null(store);
}

static void write_file(const char *path, const void *data, size_t len)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_int_equal(write(fd, data, len), len);
	close(fd);
}

static void a_file_that_is_no_database_is_refused(void **state)
{
	struct world *w = *state;
	struct store *store = NULL;
	char rubbish[5000], back[5000];
	uint64_t seed = 1;

	for (size_t i = 0; i < sizeof(rubbish); i++)
		rubbish[i] = (char)rng_next(&seed);
	write_file(w->file, rubbish, sizeof(rubbish));
	assert_int_equal(store_open(&store, w->file, &error), -EBADMSG);
	says("is not a database");
	/* And is left as it was. */
	int fd = open(w->file, O_RDONLY | O_CLOEXEC);
	assert_int_equal(read(fd, back, sizeof(back)), sizeof(back));
	close(fd);
	assert_memory_equal(rubbish, back, sizeof(back));
	assert_int_equal(store_open(&store, w->folder, &error), -EINVAL);
	says("not a regular file");
}

static void a_truncated_file_is_refused(void **state)
{
	struct world *w = *state;
	struct store *store = NULL;
	struct stat st;

	CHECK(store_open(&store, w->file, &error));
	int64_t run = run_make(store, "quick"), cell = cell_make(store, run);
	for (uint64_t b = 0; b < 5; b++)
		CHECK(trial_put(store, run, cell, b, "stock"));
	store_close(steal_ptr(&store));
	assert_int_equal(stat(w->file, &st), 0);
	assert_int_equal(truncate(w->file, st.st_size / 2), 0);
	int rc = store_open(&store, w->file, &error);
	if (rc != -EBADMSG)
		fail_msg("a file of %lld bytes cut to half: %d %s", (long long)st.st_size, rc, error.text);
	says("is damaged");
	says(".recover");
}

static int ignore_trial(const struct store_trial *trial, const struct trial_record *record, void *arg)
{
	(void)trial, (void)record, (void)arg;
	return 0;
}

/* Each row changes one thing in a good file; reading must fail with a message, and never crash. */
static void content_that_lies_is_refused(void **state)
{
	struct world *w = *state;
	static const char *const lies[] = {
		"UPDATE trials SET record = 'x'",
		"UPDATE trials SET record = '{}'",
		"UPDATE trials SET record = json_set(record, '$.client.transactions', -1)",
		"UPDATE trials SET record = json_set(record, '$.client.transactions', 499)",
		"UPDATE trials SET record = json_set(record, '$.settings.flows', 4000000000)",
		"UPDATE trials SET block = -3",
		"UPDATE histograms SET data = x'01'",
		"UPDATE histograms SET data = x''",
		"UPDATE histograms SET data = substr(data, 1, length(data) - 1)",
		"UPDATE windows SET data = '[[1,2,3]]'",
		"UPDATE windows SET data = '{}'",
	};

	for (size_t i = 0; i < ARRAY_LEN(lies); i++) {
		AUTO(auto_store) struct store *store = NULL;

		CHECK(store_open(&store, w->file, &error));
		int64_t run = run_make(store, "quick"), cell = cell_make(store, run);
		CHECK(trial_put(store, run, cell, 0, "stock"));
		sql(w->file, lies[i]);
		if (store_trials_each(store, run, cell, ignore_trial, NULL, &error) >= 0)
			fail_msg("believed: %s", lies[i]);
		says(w->file);
		sql(w->file, "PRAGMA foreign_keys = ON; DELETE FROM runs");
	}
}

static void a_database_of_another_program_is_refused(void **state)
{
	struct world *w = *state;
	struct store *store = NULL;

	sql(w->file, "CREATE TABLE precious (x); INSERT INTO precious VALUES (1)");
	assert_int_equal(store_open(&store, w->file, &error), -EEXIST);
	says("another program");
	sql(w->file, "DROP TABLE precious; PRAGMA application_id = 77");
	assert_int_equal(store_open(&store, w->file, &error), -EEXIST);
	/* An empty file belongs to no program. */
	write_file(w->file, "", 0);
	CHECK(store_open(&store, w->file, &error));
	store_close(store);
}

static void somebody_elses_file_is_refused(void **state)
{
	struct world *w = *state;
	struct store *store = NULL;

	if (geteuid())
		skip();
	unsetenv("SUDO_UID");
	CHECK(store_open(&store, w->file, &error));
	store_close(steal_ptr(&store));
	assert_int_equal(chown(w->file, 12345, 0), 0);
	assert_int_equal(store_open(&store, w->file, &error), -EPERM);
	assert_int_equal(error.exit, EXIT_REFUSED);
	says("belongs to another user");
	setenv("SUDO_UID", "12345", 1);
	CHECK(store_open(&store, w->file, &error));
	store_close(steal_ptr(&store));
	unsetenv("SUDO_UID");
	assert_int_equal(chown(w->file, 0, 0), 0);
	assert_int_equal(chmod(w->file, 0666), 0);
	assert_int_equal(store_open(&store, w->file, &error), -EPERM);
}

static void impossible_arguments_are_refused(void **state)
{
	struct world *w = *state;
	AUTO(auto_store) struct store *store = NULL;
	struct store_cell cell = {.name = "c"};
	struct store_arm arms[] = {{.name = "a", .settings = settings_default()}};

	assert_int_equal(store_open(&store, "", &error), -EINVAL);
	CHECK(store_open(&store, w->file, &error));
	int64_t run = run_make(store, "quick"), good = cell_make(store, run);
	assert_int_equal(store_cell_add(store, run, &cell, arms, 1, &error), -EINVAL); /* no baseline */
	assert_int_equal(store_cell_add(store, run, &cell, NULL, 0, &error), -EINVAL);
	assert_int_equal(trial_put(store, run, good + 1, 0, "stock"), -ENOENT);
	assert_int_equal(trial_put(store, run, good, 0, "other"), -ENOENT);
	CHECK(trial_put(store, run, good, 0, "stock"));
	cell.id = good;
	assert_int_equal(store_cell_skip(store, &cell, &error), -EINVAL); /* it has trials */
	assert_int_equal(trial_put(store, run, good, 0, "stock"), -EEXIST);
	assert_int_equal(trials_of(store, run), 1);
	assert_int_equal(store_run_end(store, run, "finished", &error), -EINVAL);
	assert_int_equal(store_run_end(store, 99, "done", &error), -ENOENT);
	CHECK(store_run_end(store, run, "done", &error));
	assert_int_equal(trial_put(store, run, good, 1, "stock"), -EINVAL);
	json_decref(arms[0].settings);
}

/* --- blocks, resuming
 * ------------------------------------------------------------------------------------------------- */

static void a_block_can_be_dropped_and_the_run_resumed(void **state)
{
	struct world *w = *state;
	AUTO(auto_store) struct store *store = NULL;

	CHECK(store_open(&store, w->file, &error));
	int64_t run = run_make(store, "quick"), cell = cell_make(store, run);
	int64_t other = run_make(store, "other"), other_cell = cell_make(store, other);
	CHECK(trial_put(store, run, cell, 0, "stock"));
	CHECK(trial_put(store, run, cell, 0, "tuned"));
	CHECK(trial_put(store, run, cell, 1, "stock"));
	CHECK(trial_put(store, other, other_cell, 1, "stock"));
	CHECK(store_run_end(store, run, "interrupted", &error));
	assert_int_equal(store_run_resume(store, run, "beef", &error), -EINVAL);
	says("has changed");
	CHECK(store_run_resume(store, run, "cafe", &error));
	assert_int_equal(store_block_drop(store, run, 1, &error), 0);
	assert_int_equal(trials_of(store, run), 2);
	assert_int_equal(trials_of(store, other), 1);
	CHECK(trial_put(store, run, cell, 1, "stock"));
	CHECK(store_run_end(store, run, "done", &error));
	assert_int_equal(store_run_resume(store, run, "cafe", &error), -EINVAL);
	assert_int_equal(store_block_drop(store, run, 1, &error), 0);
	assert_int_equal(trials_of(store, run), 3);
}

/* --- what was saved stays saved
 * ------------------------------------------------------------------------------------------ */

/* A child that saves trials, and writes one byte to `said` for each, until it is killed. */
static void save_for_ever(const char *file, int said)
{
	struct store *store = NULL;

	if (store_open(&store, file, &error) < 0)
		_exit(1);
	int64_t run = run_make(store, "killed"), cell = cell_make(store, run);
	for (uint64_t b = 0;; b++)
		if (trial_put(store, run, cell, b, "stock") < 0 || write(said, "x", 1) != 1)
			_exit(2);
}

static void a_kill_loses_nothing_that_was_saved(void **state)
{
	struct world *w = *state;
	char byte;
	int ends[2];

	for (int at = 1; at <= 6; at++) {
		uint64_t saved = 0;

		assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
		pid_t child = fork();
		if (!child) {
			close(ends[0]);
			save_for_ever(w->file, ends[1]);
		}
		close(ends[1]);
		while (saved < (uint64_t)at && read(ends[0], &byte, 1) == 1)
			saved++;
		kill(child, SIGKILL);
		waitpid(child, NULL, 0);
		while (read(ends[0], &byte, 1) == 1)
			saved++;
		close(ends[0]);

		AUTO(auto_store) struct store *store = NULL;
		struct store_run run;
		CHECK(store_open(&store, w->file, &error));
		CHECK(store_check(store, &error));
		CHECK(store_run_find(store, "last", &run, &error));
		uint64_t there = trials_of(store, run.id);
		if (there < saved || there > saved + 1)
			fail_msg("%llu trials were saved, %llu are there", (unsigned long long)saved,
				(unsigned long long)there);
	}
}

/* A limit on the size of files stands for a full disk. */
static void a_full_disk_is_an_error_and_keeps_what_was_there(void **state)
{
	struct world *w = *state;
	AUTO(auto_store) struct store *store = NULL;

	CHECK(store_open(&store, w->file, &error));
	int64_t run = run_make(store, "full"), cell = cell_make(store, run);
	CHECK(trial_put(store, run, cell, 0, "stock"));
	pid_t child = fork();
	if (!child) {
		const struct rlimit limit = {256 << 10, 256 << 10};
		struct store *own = NULL;
		int rc = 0;

		signal(SIGXFSZ, SIG_IGN);
		setrlimit(RLIMIT_FSIZE, &limit);
		if (store_open(&own, w->file, &error) < 0)
			_exit(9);
		for (uint64_t b = 1; b < 500 && rc == 0; b++)
			rc = trial_put(own, run, cell, b, "stock");
		_exit((rc == -EIO || rc == -ENOSPC) && strstr(error.text, w->file) ? 3 : 4);
	}
	int status;
	waitpid(child, &status, 0);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 3);
	CHECK(store_check(store, &error));
	assert_true(trials_of(store, run) >= 1);
	CHECK(trial_put(store, run, cell, 600, "stock"));
}

static void a_file_that_cannot_be_written_can_be_read(void **state)
{
	struct world *w = *state;
	struct store *store = NULL;
	int64_t run;

	if (!geteuid()) {
		/* Root may write any file, so a child becomes another user. */
		assert_int_equal(chown(w->folder, 12345, 12345), 0);
		pid_t child = fork();
		if (!child) {
			if (setgid(12345) || setuid(12345))
				_exit(9);
			if (store_open(&store, w->file, &error) < 0)
				_exit(1);
			run = run_make(store, "quick");
			int64_t cell = cell_make(store, run);
			trial_put(store, run, cell, 0, "stock");
			store_close(store);
			if (chmod(w->file, 0400) || chmod(w->folder, 0500) ||
				store_open(&store, w->file, &error) < 0)
				_exit(2);
			int rc = trial_put(store, run, cell, 1, "stock");
			_exit(trials_of(store, run) == 1 && rc == -EROFS ? 0 : 3);
		}
		int status;
		waitpid(child, &status, 0);
		assert_int_equal(WEXITSTATUS(status), 0);
		assert_int_equal(chown(w->folder, 0, 0), 0);
		return;
	}
	CHECK(store_open(&store, w->file, &error));
	run = run_make(store, "quick");
	store_close(store);
	assert_int_equal(chmod(w->file, 0400), 0);
	CHECK(store_open(&store, w->file, &error));
	assert_int_equal(store_run_end(store, run, "done", &error), -EROFS);
	store_close(store);
}

static void the_file_is_private(void **state)
{
	struct world *w = *state;
	AUTO(auto_store) struct store *store = NULL;
	AUTO_FREE char *deep = str_format("%s/a/b", w->folder), *file = str_format("%s/runs.db", deep);
	struct stat st;

	CHECK(store_open(&store, file, &error));
	assert_int_equal(stat(file, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(stat(deep, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
	store_close(steal_ptr(&store));
	unlink(file);
	rmdir(deep);
	AUTO_FREE char *upper = str_format("%s/a", w->folder);
	rmdir(upper);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_record_comes_back_as_it_was),
		TEST(runs_cells_and_documents_come_back),
		TEST(a_run_that_is_not_there_comes_with_advice),
		TEST(settings_that_an_older_taut_did_not_know_have_their_defaults),
		TEST(a_record_from_before_there_were_virtual_machines_is_read),
		TEST(a_newer_schema_is_refused),
		TEST(a_file_that_is_no_database_is_refused),
		TEST(a_truncated_file_is_refused),
		TEST(content_that_lies_is_refused),
		TEST(a_database_of_another_program_is_refused),
		TEST(somebody_elses_file_is_refused),
		TEST(impossible_arguments_are_refused),
		TEST(a_block_can_be_dropped_and_the_run_resumed),
		TEST(a_kill_loses_nothing_that_was_saved),
		TEST(a_full_disk_is_an_error_and_keeps_what_was_there),
		TEST(a_file_that_cannot_be_written_can_be_read),
		TEST(the_file_is_private),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
