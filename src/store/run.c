/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "db.h"

#include <fcntl.h>
#include <stdio.h>

#define RUN_LOCKS (INT64_MAX / 2) /* where the locks of runs are in the file: far behind those of SQLite */

#define RUN_COLUMNS "id, name, state, seed, blocks, started_ns, ended_ns, boot_id, spec_hash"

/* --- runs that are under way --------------------------------------------------------------------- */

static struct flock lock_of(int64_t id, short type)
{
	return (struct flock){
		.l_type = type, .l_whence = SEEK_SET, .l_start = RUN_LOCKS + id % RUN_LOCKS, .l_len = 1};
}

/* Whose taut ends gives up the lock, however it ends. */
static void under_way(struct store *store, int64_t id, uint64_t spent_ns)
{
	struct flock lock = lock_of(id, F_RDLCK);

	fcntl(store->place.fd, F_OFD_SETLK, &lock); /* where there are no locks the run seems interrupted */
	store->run = id;
	store->begun_ns = time_since_boot_ns();
	store->spent_ns = spent_ns;
}

static bool is_under_way(const struct store *store, int64_t id)
{
	struct flock lock = lock_of(id, F_WRLCK);

	return store->run == id ||
	       (fcntl(store->place.fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK);
}

static int64_t spent_until_now(const struct store *store)
{
	return (int64_t)(store->spent_ns + time_since_boot_ns() - store->begun_ns);
}

static void not_under_way(struct store *store)
{
	struct flock lock = lock_of(store->run, F_UNLCK);

	fcntl(store->place.fd, F_OFD_SETLK, &lock);
	store->run = 0;
}

int db_runs_mend(struct store *store, struct err *e)
{
	static const char mended[] =
		"UPDATE runs SET state = 'interrupted', ended_ns = max(started_ns, coalesce("
		"(SELECT max(t.started_ns + t.duration_ns) FROM trials t JOIN cells c ON t.cell = c.id WHERE c.run = runs.id), 0)) "
		"WHERE id = ? AND state = 'running'";
	AUTO_STMT sqlite3_stmt *s = NULL;
	AUTO(buf_free) struct buf dead = {0};
	int step;

	if (db_prepare(store, &s, "SELECT id FROM runs WHERE state = 'running'", ""))
		return db_error(store, e, "read runs");
	while ((step = sqlite3_step(s)) == SQLITE_ROW) {
		int64_t id = sqlite3_column_int64(s, 0);
		if (!is_under_way(store, id))
			buf_put(&dead, &id, sizeof(id));
	}
	if (step != SQLITE_DONE)
		return db_error(store, e, "read runs");
	sqlite3_reset(s);
	for (size_t at = 0; at < dead.len; at += sizeof(int64_t)) {
		int64_t id;
		memcpy(&id, dead.data + at, sizeof(id));
		int rc = db_run(store, mended, "i", id);
		if (rc && (rc & 0xff) != SQLITE_BUSY) /* else the next one does it */
			return db_error(store, e, "say that run %lld was interrupted", (long long)id);
	}
	return 0;
}

/* --- rows ---------------------------------------------------------------------------------------- */

static int run_read(const struct store *store, sqlite3_stmt *s, struct store_run *out, struct err *e)
{
	struct store_run run = {
		.id = sqlite3_column_int64(s, 0),
		.seed = (uint64_t)sqlite3_column_int64(s, 3),
		.blocks = (uint64_t)sqlite3_column_int64(s, 4),
		.started_ns = (uint64_t)sqlite3_column_int64(s, 5),
		.ended_ns = (uint64_t)sqlite3_column_int64(s, 6),
	};

	if (!db_text_column(s, 1, run.name, sizeof(run.name)) ||
		!db_text_column(s, 2, run.state, sizeof(run.state)) ||
		!db_text_column(s, 7, run.boot_id, sizeof(run.boot_id)) ||
		!db_text_column(s, 8, run.spec_hash, sizeof(run.spec_hash)) ||
		!str_in(run.state, STORE_STATES) || run.blocks > INT32_MAX || run.started_ns > INT64_MAX ||
		run.ended_ns > INT64_MAX)
		return db_damaged(store, e, "run %lld makes no sense", (long long)run.id);
	if (!strcmp(run.state, "running") && !is_under_way(store, run.id))
		str_copy(run.state, sizeof(run.state), "interrupted");
	*out = run;
	return 0;
}

/* The row of `environments` with this document, made when there is none. */
static int environment_add(const struct store *store, const json_t *environment, int64_t *id, struct err *e)
{
	AUTO_FREE char *text =
		environment ? json_dumps(environment, JSON_COMPACT | JSON_SORT_KEYS) : str_dup("{}");
	AUTO_STMT sqlite3_stmt *s = NULL;

	if (!text)
		return err_set(e, EINVAL, "cannot save run: its environment is no JSON object");
	if (db_run(store, "INSERT INTO environments (document) VALUES (?) ON CONFLICT DO NOTHING", "t",
		    text) ||
		db_prepare(store, &s, "SELECT id FROM environments WHERE document = ?", "t", text) ||
		sqlite3_step(s) != SQLITE_ROW)
		return db_error(store, e, "save the environment");
	*id = sqlite3_column_int64(s, 0);
	return 0;
}

int store_run_begin(struct store *store, struct store_run *run, const json_t *spec, const json_t *environment,
	struct err *e)
{
	int64_t env = 0;

	if (!run->name[0] || !json_is_object(spec) || (environment && !json_is_object(environment)) ||
		run->blocks > INT32_MAX || run->started_ns > INT64_MAX)
		return err_set(e, EINVAL,
			"cannot save run '%s': it has no name, no experiment or an impossible number",
			run->name);
	uint64_t started = run->started_ns ? run->started_ns : time_wall_ns();
	AUTO_FREE char *text = db_json_text(spec);
	int rc = db_begin(store, e);

	if (rc < 0)
		return rc;
	rc = environment_add(store, environment, &env, e);
	if (rc == 0 &&
		db_run(store,
			"INSERT INTO runs (name, state, seed, blocks, started_ns, ended_ns, boot_id, spec_hash, spec, environment) VALUES (?, 'running', ?, ?, ?, 0, ?, ?, ?, ?)",
			"tiiittti", run->name, (int64_t)run->seed, (int64_t)run->blocks, (int64_t)started,
			run->boot_id, run->spec_hash, text, env))
		rc = db_error(store, e, "save run '%s'", run->name);
	int64_t id = sqlite3_last_insert_rowid(store->db);
	if (rc == 0)
		under_way(store, id, 0); /* before anybody can see it as running */
	rc = db_end(store, rc, e);
	if (rc < 0) {
		not_under_way(store);
		return rc;
	}
	run->id = id;
	run->started_ns = started;
	run->ended_ns = 0;
	return str_copy(run->state, sizeof(run->state), "running");
}

static int run_by_id(struct store *store, int64_t id, struct store_run *out, struct err *e)
{
	AUTO_STMT sqlite3_stmt *s = NULL;

	if (db_prepare(store, &s, "SELECT " RUN_COLUMNS " FROM runs WHERE id = ?", "i", id))
		return db_error(store, e, "read run %lld", (long long)id);
	int rc = sqlite3_step(s);

	if (rc == SQLITE_ROW)
		return run_read(store, s, out, e);
	if (rc != SQLITE_DONE)
		return db_error(store, e, "read run %lld", (long long)id);
	err_set(e, ENOENT, "cannot find run %lld in '%s'", (long long)id, store->path);
	return err_try(e, "taut list");
}

int store_run_resume(struct store *store, int64_t id, const char *spec_hash, struct err *e)
{
	struct store_run run = {0};
	int rc = db_begin(store, e);

	if (rc < 0)
		return rc;
	rc = run_by_id(store, id, &run, e);
	if (rc == 0 && !strcmp(run.state, "done"))
		rc = err_set(e, EINVAL, "cannot resume run %lld: it is done", (long long)id);
	if (rc == 0 && strcmp(run.spec_hash, spec_hash)) {
		err_set(e, EINVAL, "cannot resume run %lld: the experiment has changed since it began",
			(long long)id);
		rc = err_try(e, "a new run");
	}
	if (rc == 0 && db_run(store, "UPDATE runs SET state = 'running', ended_ns = 0 WHERE id = ?", "i", id))
		rc = db_error(store, e, "resume run %lld", (long long)id);
	if (rc == 0)
		under_way(store, id, run.ended_ns > run.started_ns ? run.ended_ns - run.started_ns : 0);
	rc = db_end(store, rc, e);
	if (rc < 0)
		not_under_way(store);
	return rc;
}

int store_run_end(struct store *store, int64_t id, const char *state, struct err *e)
{
	if (!str_in(state, STORE_STATES) || !strcmp(state, "running"))
		return err_set(e, EINVAL, "cannot end run %lld as '%s': there is no such state",
			(long long)id, state);
	int rc = db_begin(store, e);

	if (rc < 0)
		return rc;
	if (store->run == id
			? db_run(store, "UPDATE runs SET state = ?, ended_ns = started_ns + ? WHERE id = ?",
				  "tii", state, spent_until_now(store), id)
			: db_run(store, "UPDATE runs SET state = ?, ended_ns = ? WHERE id = ?", "tii", state,
				  (int64_t)time_wall_ns(), id))
		rc = db_error(store, e, "end run %lld", (long long)id);
	else if (!sqlite3_changes(store->db))
		rc = err_set(
			e, ENOENT, "cannot end run %lld: '%s' has no such run", (long long)id, store->path);
	rc = db_end(store, rc, e);
	if (rc == 0 && store->run == id)
		not_under_way(store);
	return rc;
}

/* The error "no such run", with a similar name as advice when there is one. */
static int not_found(struct store *store, const char *which, struct err *e)
{
	AUTO_STMT sqlite3_stmt *s = NULL;
	AUTO_FREE char *best = NULL;
	size_t runs = 0;

	if (db_prepare(store, &s, "SELECT DISTINCT name FROM runs ORDER BY id DESC LIMIT 200", ""))
		return db_error(store, e, "read runs");
	while (sqlite3_step(s) == SQLITE_ROW) {
		const char *name = (const char *)sqlite3_column_text(s, 0);

		runs++;
		if (name && !best && str_closest(which, &name, 1))
			best = str_dup(name);
	}
	if (!runs) {
		err_set(e, ENOENT, "cannot find run '%s': there are no results in '%s' yet", which,
			store->path);
		return err_try(e, "taut run quick");
	}
	err_set(e, ENOENT, "cannot find run '%s' in '%s': a run is an id, a name or last", which,
		store->path);
	return best ? err_try(e, "%s", best) : err_try(e, "taut list");
}

int store_run_find(struct store *store, const char *which, struct store_run *out, struct err *e)
{
	static const char *const queries[] = {
		"SELECT " RUN_COLUMNS " FROM runs WHERE ?1 = 'last' ORDER BY id DESC LIMIT 1",
		"SELECT " RUN_COLUMNS " FROM runs WHERE CAST(id AS TEXT) = ?1",
		"SELECT " RUN_COLUMNS " FROM runs WHERE name = ?1 ORDER BY id DESC LIMIT 1",
	};

	if (!which || !*which)
		return err_usage(e, "cannot find a run: none is named");
	for (size_t i = 0; i < ARRAY_LEN(queries); i++) {
		AUTO_STMT sqlite3_stmt *s = NULL;

		if (db_prepare(store, &s, queries[i], "t", which))
			return db_error(store, e, "find run '%s'", which);
		int rc = sqlite3_step(s);
		if (rc == SQLITE_ROW)
			return run_read(store, s, out, e);
		if (rc != SQLITE_DONE)
			return db_error(store, e, "find run '%s'", which);
	}
	return not_found(store, which, e);
}

int store_runs_each(struct store *store, int (*fn)(const struct store_run *run, uint64_t trials, void *arg),
	void *arg, struct err *e)
{
	AUTO_STMT sqlite3_stmt *s = NULL;
	struct store_run run;
	int step, rc;

	if (db_prepare(store, &s,
		    "SELECT " RUN_COLUMNS
		    ", (SELECT count(*) FROM trials t JOIN cells c ON t.cell = c.id WHERE c.run = runs.id) FROM runs ORDER BY id DESC",
		    ""))
		return db_error(store, e, "read runs");
	while ((step = sqlite3_step(s)) == SQLITE_ROW) {
		rc = run_read(store, s, &run, e);
		if (rc == 0)
			rc = fn(&run, (uint64_t)sqlite3_column_int64(s, 9), arg);
		if (rc)
			return rc;
	}
	return step == SQLITE_DONE ? 0 : db_error(store, e, "read runs");
}

int store_run_documents(struct store *store, int64_t run, json_t **spec, json_t **environment, struct err *e)
{
	AUTO_STMT sqlite3_stmt *s = NULL;

	if (db_prepare(store, &s,
		    "SELECT spec, document FROM runs JOIN environments ON environment = environments.id WHERE runs.id = ?",
		    "i", run))
		return db_error(store, e, "read run %lld", (long long)run);
	int rc = sqlite3_step(s);

	if (rc == SQLITE_DONE)
		return err_set(e, ENOENT, "cannot find run %lld in '%s'", (long long)run, store->path);
	if (rc != SQLITE_ROW)
		return db_error(store, e, "read run %lld", (long long)run);
	json_t *made_spec = db_json_column(store, s, 0, e);
	json_t *made_environment = made_spec ? db_json_column(store, s, 1, e) : NULL;
	if (!made_environment) {
		json_decref(made_spec);
		return -EBADMSG;
	}
	if (spec)
		*spec = json_incref(made_spec);
	if (environment)
		*environment = json_incref(made_environment);
	json_decref(made_spec);
	json_decref(made_environment);
	return 0;
}
