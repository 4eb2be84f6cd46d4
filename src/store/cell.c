/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "db.h"

#define ARMS_MAX 64

static int arms_check(const struct store_cell *cell, const struct store_arm *arms, size_t n, struct err *e)
{
	struct settings settings;

	if (!cell->name[0] || n > ARMS_MAX || (!n && !cell->skipped))
		return err_set(
			e, EINVAL, "cannot save cell '%s': it has no name, or %zu arms", cell->name, n);
	for (size_t i = 0; i < n; i++) {
		if (!arms[i].name[0] || arms[i].baseline != (i == 0))
			return err_set(e, EINVAL,
				"cannot save cell '%s': its first arm, and no other, is the baseline",
				cell->name);
		if (settings_from_json(&settings, arms[i].settings, READ_STREAM, e) < 0)
			return err_wrap(e, "cannot save arm '%s' of cell '%s'", arms[i].name, cell->name);
	}
	return 0;
}

static int arm_add(
	struct store *store, int64_t cell, size_t position, const struct store_arm *arm, struct err *e)
{
	AUTO_FREE char *settings = db_json_text(arm->settings);

	if (db_run(store,
		    "INSERT INTO arms (cell, position, name, baseline, settings) VALUES (?, ?, ?, ?, ?)",
		    "iitit", cell, (int64_t)position, arm->name, (int64_t)arm->baseline, settings))
		return db_error(store, e, "save arm '%s'", arm->name);
	return 0;
}

int store_cell_add(struct store *store, int64_t run, struct store_cell *cell, const struct store_arm *arms,
	size_t arms_n, struct err *e)
{
	int rc = arms_check(cell, arms, arms_n, e);
	int64_t id = 0;

	if (rc == 0)
		rc = db_begin(store, e);
	if (rc < 0)
		return rc;
	if (db_run(store, "INSERT INTO cells (run, name, skipped, reason, privilege) VALUES (?, ?, ?, ?, ?)",
		    "ititi", run, cell->name, (int64_t)cell->skipped, cell->reason, (int64_t)cell->privilege))
		rc = db_error(store, e, "save cell '%s' of run %lld", cell->name, (long long)run);
	else
		id = sqlite3_last_insert_rowid(store->db);
	for (size_t i = 0; rc == 0 && i < arms_n; i++)
		rc = arm_add(store, id, i, &arms[i], e);
	rc = db_end(store, rc, e);
	if (rc == 0)
		cell->id = id;
	return rc;
}

int store_cell_skip(struct store *store, const struct store_cell *cell, struct err *e)
{
	int rc = db_begin(store, e);

	if (rc < 0)
		return rc;
	if (db_run(store,
		    "UPDATE cells SET skipped = 1, reason = ?, privilege = ? WHERE id = ? AND NOT EXISTS (SELECT 1 FROM trials WHERE cell = cells.id AND outcome = 0)",
		    "tii", cell->reason, (int64_t)cell->privilege, cell->id))
		rc = db_error(store, e, "skip cell '%s'", cell->name);
	else if (!sqlite3_changes(store->db))
		rc = err_set(e, EINVAL, "cannot skip cell '%s': it is not there, or has trials", cell->name);
	return db_end(store, rc, e);
}

static void arms_free(struct store_arm *arms, size_t n)
{
	for (size_t i = 0; i < n; i++)
		json_decref(arms[i].settings);
	free(arms);
}

static int arm_read(const struct store *store, sqlite3_stmt *s, struct store_arm *arm, struct err *e)
{
	struct settings settings;

	arm->baseline = sqlite3_column_int(s, 1);
	arm->settings = db_json_column(store, s, 2, e);
	if (!arm->settings)
		return -EBADMSG;
	if (!db_text_column(s, 0, arm->name, sizeof(arm->name)))
		return db_damaged(store, e, "an arm has no name");
	if (settings_from_json(&settings, arm->settings, READ_ARCHIVE, e) < 0)
		return db_content(store, e, "arm '%s'", arm->name);
	return 0;
}

/* Reads at most ARMS_MAX arms; *n counts those that were read also on failure, so that the caller can free
 * them. */
static int arms_read(
	const struct store *store, int64_t cell, struct store_arm *arms, size_t *n, struct err *e)
{
	AUTO_STMT sqlite3_stmt *s = NULL;
	int step, rc;

	if (db_prepare(store, &s,
		    "SELECT name, baseline, settings FROM arms WHERE cell = ? ORDER BY position", "i", cell))
		return db_error(store, e, "read arms");
	while ((step = sqlite3_step(s)) == SQLITE_ROW) {
		if (*n == ARMS_MAX)
			return db_damaged(store, e, "a cell has more than %d arms", ARMS_MAX);
		rc = arm_read(store, s, &arms[(*n)++], e);
		if (rc < 0)
			return rc;
	}
	return step == SQLITE_DONE ? 0 : db_error(store, e, "read arms");
}

typedef int cell_fn(const struct store_cell *cell, const struct store_arm *arms, size_t arms_n, void *arg);

static int cell_visit(const struct store *store, sqlite3_stmt *s, cell_fn *fn, void *arg, struct err *e)
{
	struct store_cell cell = {
		.id = sqlite3_column_int64(s, 0),
		.skipped = sqlite3_column_int(s, 2),
		.privilege = sqlite3_column_int(s, 4),
	};
	size_t n = 0;

	if (!db_text_column(s, 1, cell.name, sizeof(cell.name)) ||
		!db_text_column(s, 3, cell.reason, sizeof(cell.reason)))
		return db_damaged(store, e, "cell %lld makes no sense", (long long)cell.id);
	struct store_arm *arms = mem_array(ARMS_MAX, sizeof(*arms));
	int rc = arms_read(store, cell.id, arms, &n, e);

	if (rc == 0)
		rc = fn(&cell, arms, n, arg);
	arms_free(arms, n);
	return rc;
}

int store_cells_each(struct store *store, int64_t run,
	int (*fn)(const struct store_cell *cell, const struct store_arm *arms, size_t arms_n, void *arg),
	void *arg, struct err *e)
{
	AUTO_STMT sqlite3_stmt *s = NULL;
	int step, rc;

	if (db_prepare(store, &s,
		    "SELECT id, name, skipped, reason, privilege FROM cells WHERE run = ? ORDER BY id", "i",
		    run))
		return db_error(store, e, "read cells of run %lld", (long long)run);
	while ((step = sqlite3_step(s)) == SQLITE_ROW)
		if ((rc = cell_visit(store, s, fn, arg, e)))
			return rc;
	return step == SQLITE_DONE ? 0 : db_error(store, e, "read cells of run %lld", (long long)run);
}
