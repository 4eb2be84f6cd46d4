/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Trials.  A record goes into three tables: the histograms of both ends as hist_encode() makes them, the
 * windows of both ends as JSON, and the rest of the record as JSON.  Reading puts the three together again,
 * and wire checks the result.
 *
 * In a closed loop the response time is the service time and is not stored twice.
 */
#include "db.h"

#include <stddef.h>

/* What the tables call an end. */
static const char *const ends[ENDS_MAX] = {[END_CLIENT] = "client", [END_SERVER] = "server"};

static const struct {
	const char *name;
	size_t offset;
	size_t there; /* the member that says whether there is one */
} kinds[] = {
	{"service", offsetof(struct endpoint_record, service), offsetof(struct endpoint_record, has_service)},
	{"response", offsetof(struct endpoint_record, response),
		offsetof(struct endpoint_record, has_lateness)},
	{"lateness", offsetof(struct endpoint_record, lateness),
		offsetof(struct endpoint_record, has_lateness)},
	{"connect", offsetof(struct endpoint_record, connect), offsetof(struct endpoint_record, has_parts)},
	{"first_reply", offsetof(struct endpoint_record, first_reply),
		offsetof(struct endpoint_record, has_parts)},
};

static bool *there(struct endpoint_record *end, size_t kind)
{
	return (bool *)((char *)end + kinds[kind].there);
}

static struct hist *hist_of(struct endpoint_record *end, size_t kind)
{
	return (struct hist *)(void *)((char *)end + kinds[kind].offset);
}

/* --- writing ----------------------------------------------------------------------------------- */

static int hists_add(
	const struct store *store, int64_t trial, size_t end, const struct endpoint_record *r, struct err *e)
{
	for (size_t k = 0; k < ARRAY_LEN(kinds); k++) {
		size_t len;

		if (!*(const bool *)((const char *)r + kinds[k].there))
			continue;
		AUTO_FREE unsigned char *data =
			hist_encode((const void *)((const char *)r + kinds[k].offset), &len);
		if (db_run(store, "INSERT INTO histograms (trial, endpoint, kind, data) VALUES (?, ?, ?, ?)",
			    "ittb", trial, ends[end], kinds[k].name, data, len))
			return db_error(store, e, "save a histogram");
	}
	return 0;
}

/* Removes the histograms and windows, which have tables of their own, from the JSON of an end; returns the
 * windows as a new reference. */
static json_t *bulk_take(json_t *end)
{
	json_t *windows = json_incref(json_object_get(end, "windows"));

	json_object_set_new(end, "windows", json_array());
	for (size_t k = 0; k < ARRAY_LEN(kinds); k++)
		json_object_set_new(end, kinds[k].name, json_null());
	return windows;
}

static int row_add(struct store *store, struct store_trial *t, const struct trial_record *r, struct err *e)
{
	json_t *json = trial_record_json(r), *windows[ARRAY_LEN(ends)];
	const struct endpoint_record *m = trial_measured(r);
	int rc = 0;

	for (size_t i = 0; i < ARRAY_LEN(ends); i++)
		windows[i] = bulk_take(json_object_get(json, ends[i]));
	AUTO_FREE char *text = db_json_text(json);
	if (db_run(store,
		    "INSERT INTO trials (cell, arm, block, position, outcome, verified, transactions, lost, started_ns, duration_ns, record) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
		    "itiiiiiiiit", t->cell, t->arm, (int64_t)t->block, (int64_t)t->position,
		    (int64_t)r->outcome, (int64_t)r->verified, (int64_t)m->transactions, (int64_t)m->lost,
		    (int64_t)r->wall_started_ns, (int64_t)r->duration_ns, text))
		rc = db_error(store, e, "save the trial of '%s' in block %llu", t->arm,
			(unsigned long long)t->block);
	t->id = sqlite3_last_insert_rowid(store->db);
	for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
		AUTO_FREE char *w = db_json_text(windows[i]);

		if (rc == 0)
			rc = hists_add(store, t->id, i, &r->ends[i].record, e);
		if (rc == 0 && json_array_size(windows[i]) &&
			db_run(store, "INSERT INTO windows (trial, endpoint, data) VALUES (?, ?, ?)", "itt",
				t->id, ends[i], w))
			rc = db_error(store, e, "save windows");
		json_decref(windows[i]);
	}
	json_decref(json);
	return rc;
}

/* Checks that the run is under way and has this cell, and that the cell has this arm. */
static int place_check(const struct store *store, int64_t run, const struct store_trial *t, struct err *e)
{
	AUTO_STMT sqlite3_stmt *s = NULL;

	if (db_prepare(store, &s,
		    "SELECT state = 'running', EXISTS (SELECT 1 FROM arms WHERE cell = cells.id AND name = ?) FROM cells JOIN runs ON run = runs.id WHERE cells.id = ? AND run = ?",
		    "tii", t->arm, t->cell, run))
		return db_error(store, e, "save a trial");
	int rc = sqlite3_step(s);

	if (rc == SQLITE_DONE)
		return err_set(e, ENOENT, "cannot save a trial: run %lld has no cell %lld", (long long)run,
			(long long)t->cell);
	if (rc != SQLITE_ROW)
		return db_error(store, e, "save a trial");
	if (!sqlite3_column_int(s, 0))
		return err_set(e, EINVAL, "cannot save a trial: run %lld has ended", (long long)run);
	if (!sqlite3_column_int(s, 1))
		return err_set(e, ENOENT, "cannot save a trial: cell %lld has no arm '%s'",
			(long long)t->cell, t->arm);
	return 0;
}

int store_trial_add(struct store *store, int64_t run, struct store_trial *trial,
	const struct trial_record *record, struct err *e)
{
	struct store_trial made = *trial;

	bool good = trial->block <= INT32_MAX && trial->position <= INT32_MAX;

	for (size_t i = 0; i < record->ends_n; i++)
		good &= record->ends[i].record.worst_n <= WORST_MAX &&
			record->ends[i].record.windows_n <= WINDOWS_MAX;
	if (!good)
		return err_set(e, EINVAL, "cannot save a trial: impossible numbers");
	int rc = db_begin(store, e);

	if (rc < 0)
		return rc;
	rc = place_check(store, run, trial, e);
	if (rc == 0)
		rc = row_add(store, &made, record, e);
	rc = db_end(store, rc, e);
	if (rc == 0)
		*trial = made;
	return rc;
}

int store_block_drop(struct store *store, int64_t run, uint64_t block, struct err *e)
{
	int rc = db_begin(store, e);

	if (rc < 0)
		return rc;
	if (db_run(store,
		    "DELETE FROM trials WHERE block = ? AND cell IN (SELECT cells.id FROM cells JOIN runs ON run = runs.id WHERE run = ? AND state <> 'done')",
		    "ii", (int64_t)block, run))
		rc = db_error(
			store, e, "drop block %llu of run %lld", (unsigned long long)block, (long long)run);
	return db_end(store, rc, e);
}

/* --- reading ----------------------------------------------------------------------------------- */

static int hists_read(
	const struct store *store, int64_t trial, size_t end, struct endpoint_record *r, struct err *e)
{
	for (size_t k = 0; k < ARRAY_LEN(kinds); k++) {
		AUTO_STMT sqlite3_stmt *s = NULL;
		struct hist *h = hist_of(r, k);

		hist_clear(h);
		if (db_prepare(store, &s,
			    "SELECT data FROM histograms WHERE trial = ? AND endpoint = ? AND kind = ?",
			    "itt", trial, ends[end], kinds[k].name))
			return db_error(store, e, "read a histogram");
		int step = sqlite3_step(s);
		if (step == SQLITE_DONE)
			continue;
		if (step != SQLITE_ROW)
			return db_error(store, e, "read a histogram");
		const void *data = sqlite3_column_blob(s, 0);
		if (hist_decode(h, data ? data : "", data ? (size_t)sqlite3_column_bytes(s, 0) : 0, e) < 0)
			return db_content(store, e, "trial %lld", (long long)trial);
		*there(r, k) = true;
	}
	if (r->has_service && !r->has_lateness)
		r->response = r->service;
	if (r->has_service && (r->service.count != r->transactions || r->response.count != r->transactions))
		return db_damaged(store, e, "trial %lld has %llu transactions, its histogram %llu",
			(long long)trial, (unsigned long long)r->transactions,
			(unsigned long long)r->service.count);
	return 0;
}

static int windows_put(const struct store *store, int64_t trial, size_t end, json_t *record, struct err *e)
{
	AUTO_STMT sqlite3_stmt *s = NULL;

	if (db_prepare(store, &s, "SELECT data FROM windows WHERE trial = ? AND endpoint = ?", "it", trial,
		    ends[end]))
		return db_error(store, e, "read windows");
	int step = sqlite3_step(s);
	if (step == SQLITE_DONE)
		return 0;
	if (step != SQLITE_ROW)
		return db_error(store, e, "read windows");
	json_t *windows = db_json_column(store, s, 0, e);
	if (!windows)
		return -EBADMSG;
	json_object_set_new(json_object_get(record, ends[end]), "windows", windows);
	return 0;
}

static int record_read(
	const struct store *store, sqlite3_stmt *s, int64_t trial, struct trial_record *record, struct err *e)
{
	json_t *json = db_json_column(store, s, 5, e);
	int rc = json ? 0 : -EBADMSG;

	for (size_t i = 0; rc == 0 && i < ARRAY_LEN(ends); i++)
		rc = windows_put(store, trial, i, json, e);
	if (rc == 0) {
		rc = trial_record_from_json(record, json, READ_ARCHIVE, e);
		if (rc < 0)
			db_content(store, e, "trial %lld", (long long)trial);
	}
	json_decref(json);
	for (size_t i = 0; rc == 0 && i < ARRAY_LEN(ends); i++)
		rc = hists_read(store, trial, i, &record->ends[i].record, e);
	return rc;
}

typedef int trial_fn(const struct store_trial *trial, const struct trial_record *record, void *arg);

static int trial_visit(const struct store *store, sqlite3_stmt *s, trial_fn *fn, void *arg, struct err *e)
{
	AUTO(auto_trial_record) struct trial_record *record = trial_record_new();
	struct store_trial trial = {
		.id = sqlite3_column_int64(s, 0),
		.cell = sqlite3_column_int64(s, 1),
		.block = (uint64_t)sqlite3_column_int64(s, 3),
		.position = (uint64_t)sqlite3_column_int64(s, 4),
	};

	if (!db_text_column(s, 2, trial.arm, sizeof(trial.arm)) || trial.block > INT32_MAX ||
		trial.position > INT32_MAX)
		return db_damaged(store, e, "trial %lld makes no sense", (long long)trial.id);
	int rc = record_read(store, s, trial.id, record, e);
	return rc ? rc : fn(&trial, record, arg);
}

int store_trials_each(struct store *store, int64_t run, int64_t cell,
	int (*fn)(const struct store_trial *trial, const struct trial_record *record, void *arg), void *arg,
	struct err *e)
{
	AUTO_STMT sqlite3_stmt *s = NULL;
	int step, rc;

	if (db_prepare(store, &s,
		    "SELECT trials.id, cell, arm, block, position, record FROM trials JOIN cells ON cell = cells.id WHERE run = ? AND ? IN (0, cell) ORDER BY block, position, trials.id",
		    "ii", run, cell))
		return db_error(store, e, "read trials of run %lld", (long long)run);
	while ((step = sqlite3_step(s)) == SQLITE_ROW)
		if ((rc = trial_visit(store, s, fn, arg, e)))
			return rc;
	return step == SQLITE_DONE ? 0 : db_error(store, e, "read trials of run %lld", (long long)run);
}
