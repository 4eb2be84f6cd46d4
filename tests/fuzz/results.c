/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What taut keeps and reads again, and others may have written: results, journals, owners. */
#include "fuzz.h"

#include "report/report.h"
#include "undo/private.h"

#include <sqlite3.h>
#include <sys/stat.h>

#define BLOCKS 6
#define AGAIN  500 /* reports in one database, which then is made anew */

static void must(int rc, const struct err *e)
{
	if (rc < 0)
		fprintf(stderr, "%s\n", e->text);
	assert(rc >= 0);
}

static char *database_path(void)
{
	return str_format("%s/runs.db", fuzz_folder());
}

static void database_remove(void)
{
	static const char *const ends[] = {"", "-wal", "-shm", "-journal"};
	AUTO_FREE char *path = database_path();

	for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
		AUTO_FREE char *one = str_format("%s%s", path, ends[i]);
		unlink(one);
	}
}

/* Nothing in a text for a terminal drives it. */
static void must_be_shown(const struct buf *b)
{
	AUTO_FREE char *shown = b->data ? str_printable_lines(str_dup(b->data)) : NULL;

	assert(!shown || (strlen(shown) == b->len && !strcmp(shown, b->data)));
}

/* Every format of a run, and the run beside itself. */
static void report_all(struct store *store, int64_t run)
{
	static const struct report_style styles[] = {{false, false}, {true, true}};
	AUTO(auto_report) struct report *report = NULL;
	struct err e = ERR_INIT;
	json_t *document = NULL;

	if (report_load(&report, store, run, NULL, &e) < 0) {
		assert(e.code > 0 && e.text[0]);
		return;
	}
	for (size_t i = 0; i < report_formats_n * ARRAY_LEN(styles); i++) {
		AUTO(buf_free) struct buf out = {0};
		report_formats[i / ARRAY_LEN(styles)].write(
			report, store, &styles[i % ARRAY_LEN(styles)], &out, ERR_IGNORED);
	}
	AUTO(buf_free) struct buf text = {0};
	report_terminal(report, &styles[0], &text);
	report_compare_terminal(report, report, &styles[0], &text, ERR_IGNORED);
	must_be_shown(&text);
	if (report_compare_json(report, report, &document, ERR_IGNORED) == 0)
		json_decref(document);
	report_exit_code(report, true);
	report_compare_exit_code(report, report);
}

/* One run with one cell and two arms, every trial of which has this record; returns its number. */
static int64_t run_make(struct store *store, const struct trial_record *record)
{
	struct store_arm arms[2] = {{.name = "stock", .baseline = true}, {.name = "tuned"}};
	struct store_run run = {.name = "fuzz", .seed = 1, .blocks = BLOCKS};
	struct store_cell cell = {.name = "container/oci/bridge/tcp_rr"};
	json_t *spec = json_pack("{s:s}", "name", "fuzz"), *environment = json_pack("{s:i}", "cpus", 2);
	struct err e = ERR_INIT;

	must(store_run_begin(store, &run, spec, environment, &e), &e);
	json_decref(spec);
	json_decref(environment);
	arms[0].settings = arms[1].settings = settings_json(&record->settings);
	must(store_cell_add(store, run.id, &cell, arms, 2, &e), &e);
	json_decref(arms[0].settings);
	for (size_t i = 0; i < BLOCKS * ARRAY_LEN(arms); i++) {
		struct store_trial t = {.cell = cell.id, .block = i / 2, .position = i % 2};
		str_copy(t.arm, sizeof(t.arm), arms[i % 2].name);
		must(store_trial_add(store, run.id, &t, record, &e), &e);
	}
	must(store_run_end(store, run.id, "done", &e), &e);
	return run.id;
}

/* --- a record ---------------------------------------------------------------------------------- */

static struct trial_record *record_make(void)
{
	struct trial_record *r = trial_record_new();
	struct endpoint_record *c = &r->ends[END_CLIENT].record;
	struct err e = ERR_INIT;

	settings_init(&r->settings);
	must(setting_set(&r->settings, "target", "container", &e), &e);
	must(settings_check(&r->settings, &e), &e);
	r->verified = true;
	r->duration_ns = c->ended_ns = NS_PER_S;
	c->sent = c->transactions = 1000;
	c->has_service = true;
	hist_clear(&c->service);
	for (uint64_t i = 0; i < c->transactions; i++)
		hist_add(&c->service, 10000 + i % 97 * 100);
	c->response = c->service;
	c->worst_n = 1;
	c->worst[0] = (struct worst){5, c->service.max, c->service.max};
	c->window_length_ns = NS_PER_S;
	c->windows_n = 1;
	c->windows[0] = (struct window){c->transactions, 1000, 100, 50, 0};
	return r;
}

/*
 * The record that another host sent: the members of the input stand in place of those of a record that is
 * right, so that an input need not be whole.  NULL: it is refused.
 */
static struct trial_record *record_taken(const uint8_t *data, size_t size)
{
	AUTO(auto_trial_record) struct trial_record *record = trial_record_new();
	AUTO(auto_trial_record) struct trial_record *right = record_make();
	json_t *given = json_loadb((const char *)data, size, JSON_REJECT_DUPLICATES, NULL);
	json_t *whole = given ? trial_record_json(right) : NULL;

	if (whole)
		json_object_update_recursive(whole, given);
	int rc = whole ? trial_record_from_json(record, whole, READ_STREAM, ERR_IGNORED) : -EINVAL;
	json_decref(given);
	json_decref(whole);
	return rc < 0 ? NULL : steal_ptr(&record);
}

/* A record that was taken must be the same when it is written and read again. */
FUZZ_TARGET(trial)
{
	AUTO(auto_trial_record) struct trial_record *record = record_taken(data, size);
	AUTO(auto_trial_record) struct trial_record *again = trial_record_new();
	struct err e = ERR_INIT;

	if (!record)
		return;
	json_t *written = trial_record_json(record);
	must(trial_record_from_json(again, written, READ_STREAM, &e), &e);
	assert(!strcmp(again->console, record->console) && again->guest.boot_ns == record->guest.boot_ns);
	json_decref(written);
}

/* And it is stored, read, and written in every format. */
FUZZ_TARGET(report)
{
	static struct store *store;
	static int reports;
	static const struct report_style style;
	AUTO(auto_trial_record) struct trial_record *record = record_taken(data, size);
	AUTO(buf_free) struct buf out = {0};
	struct err e = ERR_INIT;

	if (!record)
		return;
	if (!store || ++reports % AGAIN == 0) {
		AUTO_FREE char *path = database_path();
		store_close(store);
		database_remove();
		must(store_open(&store, path, &e), &e);
	}
	report_trial_line(record, &(struct report_place){1, 1, "cell", "arm"}, &out);
	report_trial_terminal(record, &style, &out);
	json_decref(report_trial_json(record));
	report_trial_exit_code(record);
	must_be_shown(&out);
	report_all(store, run_make(store, record));
}

/* --- a database -------------------------------------------------------------------------------- */

/* What a segment of the input can replace, by its first byte. */
static const char *const columns[] = {"runs SET name", "runs SET spec", "runs SET boot_id", "runs SET seed",
	"runs SET blocks", "runs SET started_ns", "runs SET ended_ns", "environments SET document",
	"cells SET name", "cells SET skipped", "cells SET reason", "arms SET name", "arms SET settings",
	"trials SET arm", "trials SET record", "trials SET block", "trials SET outcome",
	"trials SET started_ns", "windows SET data", "histograms SET data"};

/* A whole database as bytes, made once. */
static const struct buf *template_make(void)
{
	static struct buf whole;
	AUTO_FREE char *path = database_path();
	AUTO_CLOSE int root = root_open("/", ERR_IGNORED);
	struct store *store = NULL;
	struct err e = ERR_INIT;

	if (whole.data)
		return &whole;
	struct trial_record *record = record_make();
	must(store_open(&store, path, &e), &e);
	run_make(store, record);
	trial_record_free(record);
	store_close(store);
	must(root_read_all(root, path, &whole.data, &whole.len, &e), &e);
	return &whole;
}

/* Puts a segment of the input, behind its first byte, into the column that this byte names. */
static void replace(sqlite3 *db, const uint8_t *data, size_t size)
{
	size_t which = data[0] % ARRAY_LEN(columns);
	AUTO_FREE char *sql = str_format("UPDATE OR IGNORE %s = ?", columns[which]);
	sqlite3_stmt *s = NULL;

	if (sqlite3_prepare_v2(db, sql, -1, &s, NULL) == SQLITE_OK) {
		if (str_ends(sql, "histograms SET data = ?"))
			sqlite3_bind_blob(s, 1, data + 1, (int)size - 1, SQLITE_STATIC);
		else
			sqlite3_bind_text(s, 1, (const char *)data + 1, (int)size - 1, SQLITE_STATIC);
		sqlite3_step(s);
	}
	sqlite3_finalize(s);
}

static void database_make(const char *path, const uint8_t *data, size_t size)
{
	const struct buf *whole = template_make();
	sqlite3 *db = NULL;
	struct err e = ERR_INIT;

	must(file_write_synced(path, whole->data, whole->len, 0600, &e), &e);
	int rc = sqlite3_open(path, &db);
	assert(rc == SQLITE_OK);
	sqlite3_exec(db, "PRAGMA ignore_check_constraints = 1; BEGIN", NULL, NULL, NULL);
	for (const uint8_t *end = data + size; data < end;) {
		const uint8_t *next = memchr(data, 0x1e, (size_t)(end - data));
		next = next ? next : end;
		if (next > data)
			replace(db, data, (size_t)(next - data));
		data = next + 1;
	}
	sqlite3_exec(db, "COMMIT", NULL, NULL, NULL);
	sqlite3_close(db);
}

static int report_run(const struct store_run *run, uint64_t trials, void *arg)
{
	(void)trials;
	report_all(arg, run->id);
	return 0;
}

/*
 * A database that somebody gave us: the whole file when the input begins as one of SQLite does, else one of
 * ours in which the input's segments, which end with 0x1e, stand in place of what was there.
 */
FUZZ_TARGET(database)
{
	static const char magic[] = "SQLite format 3";
	static const struct report_style style;
	AUTO_FREE char *path = database_path();
	AUTO(auto_store) struct store *store = NULL;
	AUTO(buf_free) struct buf list = {0};
	struct store_run last;
	json_t *document = NULL;
	struct err e = ERR_INIT;

	database_remove();
	if (size >= sizeof(magic) && !memcmp(data, magic, sizeof(magic)))
		must(file_write_synced(path, data, size, 0600, &e), &e);
	else
		database_make(path, data, size);
	if (store_open(&store, path, &e) < 0) {
		assert(e.code > 0 && e.text[0]);
		return;
	}
	store_check(store, ERR_IGNORED);
	report_list_terminal(store, &style, &list, ERR_IGNORED);
	must_be_shown(&list);
	if (report_list_json(store, &document, ERR_IGNORED) == 0)
		json_decref(document);
	store_run_find(store, "last", &last, ERR_IGNORED);
	store_runs_each(store, report_run, store, ERR_IGNORED);
}

/* --- what undoes changes ----------------------------------------------------------------------- */

/* A journal in the state folder.  It is read and described, never carried out. */
FUZZ_TARGET(journal)
{
	struct undo_host host = UNDO_HOST_NONE;
	AUTO_FREE char *path = str_format("%s/journal-1-1.json", fuzz_folder());
	AUTO_CLOSE int root = root_open("/", ERR_IGNORED);
	AUTO(buf_free) struct buf what = {0};
	struct undo_journal *journals = NULL;
	struct err e = ERR_INIT;
	size_t n = 0;

	host.root = root;
	str_copy(host.state, sizeof(host.state), fuzz_folder());
	must(file_write_synced(path, data, size, 0600, &e), &e);
	must(undo_leftover(&host, &what, &e), &e);
	must(undo_journals_load(&host, &journals, &n, &e), &e);
	assert(n == 1 && !strcmp(journals[0].id, "1-1"));
	assert(journals[0].list ? !journals[0].bad.code : journals[0].bad.code > 0);
	if (journals[0].list)
		json_decref(undo_list_json(journals[0].list));
	undo_journals_free(journals, n);
}

/* The record that says whose a folder is, and names of folders, containers and cgroups. */
FUZZ_TARGET(owner)
{
	AUTO_FREE char *text = fuzz_text(data, size);
	AUTO_FREE char *folder = str_format("%s/12-3", fuzz_folder());
	AUTO_FREE char *path = str_format("%s/owner", folder);
	struct undo_owner owner = {0}, of_name = {0};
	struct err e = ERR_INIT;

	mkdir(folder, 0700);
	must(file_write_synced(path, data, size, 0600, &e), &e);
	bool parsed = undo_owner_parse(text, &owner);
	assert(!parsed || owner.pid > 0);
	bool named = undo_owner_of_name(fuzz_folder(), "taut-12-3", &of_name);
	assert(named && of_name.pid > 0);
	if (!strchr(text, '/') && undo_owner_of_name(fuzz_folder(), text, &of_name))
		assert(of_name.pid > 0);
}

FUZZ_MAIN
