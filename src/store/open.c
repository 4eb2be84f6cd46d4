/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Opening the database.  Nothing is written before the file has been checked: it must be empty or have taut's
 * application id, so that a wrong --db never adds tables to the database of another program.  The version of
 * the schema is user_version.  An older file is migrated step by step in one transaction; a newer one is
 * refused, since an older program could damage data that it does not know.
 *
 * Who only reads writes nothing, neither a file nor a folder.  SQLite would make a log and its index beside a
 * database to be read; so one that has no log is opened as immutable, and store_unchanged() says afterwards
 * whether somebody has begun to write it meanwhile.  One of an older schema is migrated in memory.
 */
#include "db.h"
#include "place.h"

#include <stdio.h>

#define BUSY_TIMEOUT_MS 10000

/* A file: URI, in which '?', '#' and '%' have a meaning. */
static char *uri_immutable(const char *path)
{
	struct buf uri = {0};

	buf_add(&uri, "file:");
	for (; *path; path++)
		buf_add(&uri, strchr("?#%", *path) ? "%%%02X" : "%c", (unsigned char)*path);
	buf_add(&uri, "?immutable=1");
	return uri.data;
}

static int open_file(struct store *s, struct err *e)
{
	AUTO_FREE char *uri = uri_immutable(s->place.real);
	bool immutable = s->read_only && !place_has_log(&s->place);
	int flags = s->read_only ? SQLITE_OPEN_READONLY | SQLITE_OPEN_URI : SQLITE_OPEN_READWRITE;

	if (sqlite3_open_v2(immutable ? uri : s->place.real, &s->db,
		    flags | SQLITE_OPEN_NOFOLLOW | SQLITE_OPEN_EXRESCODE, NULL))
		return db_error(s, e, "open results");
	sqlite3_busy_timeout(s->db, BUSY_TIMEOUT_MS);
	sqlite3_db_config(s->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	sqlite3_db_config(s->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
	sqlite3_db_config(s->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, s->read_only, NULL);
	return 0;
}

/* The schema version of a file, which must be taut's or empty. */
static int version_read(struct store *s, int64_t *version, struct err *e)
{
	int64_t id = 0, things = 0;

	*version = 0;
	if (db_integer(s, "PRAGMA application_id", &id) || db_integer(s, "PRAGMA user_version", version) ||
		db_integer(s, "SELECT count(*) FROM sqlite_schema", &things))
		return db_error(s, e, "open results");
	if (id != STORE_APPLICATION_ID && (id || things || *version)) {
		err_set(e, EEXIST, "cannot open '%s': it is a database of another program", s->path);
		return err_try(e, "--db with another file");
	}
	if (*version < 0 || (id && !*version))
		return db_damaged(s, e, "its schema has version %lld", (long long)*version);
	if (*version > store_schema_version) {
		err_set(e, EPROTONOSUPPORT,
			"cannot open '%s': made by a newer taut (schema %lld, this one knows %d)", s->path,
			(long long)*version, store_schema_version);
		return err_try(e, "a newer taut, or --db with another file");
	}
	return 0;
}

static int migrate(struct store *s, struct err *e)
{
	int64_t version;
	int rc = db_begin(s, e);

	if (rc < 0)
		return rc;
	/* Read again inside the transaction: another taut may have migrated the file meanwhile. */
	rc = version_read(s, &version, e);
	for (; rc == 0 && version < store_schema_version; version++)
		if (sqlite3_exec(s->db, store_schema_steps[version], NULL, NULL, NULL))
			rc = db_error(s, e, "bring results to schema %lld", (long long)version + 1);
	if (rc == 0) {
		AUTO_FREE char *mark = str_format("PRAGMA application_id = %d; PRAGMA user_version = %d",
			STORE_APPLICATION_ID, store_schema_version);
		if (sqlite3_exec(s->db, mark, NULL, NULL, NULL))
			rc = db_error(s, e, "bring results up to date");
	}
	return db_end(s, rc, e);
}

/* The log of a killed writer is there, and its index can neither be made nor written. */
static int log_unreadable(const struct store *s, struct err *e)
{
	err_set(e, EROFS,
		"cannot read '%s': its last changes are still in '%s-wal', and it cannot be written", s->path,
		s->path);
	return err_try(e, "a copy of both files in a folder that you may write");
}

/* What is read is a copy in memory, from here on. */
static int copy_to_memory(struct store *s, struct err *e)
{
	struct store memory = *s;
	int rc = 0;

	if (sqlite3_open_v2(":memory:", &memory.db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_EXRESCODE, NULL))
		rc = db_error(&memory, e, "read results");
	sqlite3_backup *copy = rc == 0 ? sqlite3_backup_init(memory.db, "main", s->db, "main") : NULL;
	if (copy)
		sqlite3_backup_step(copy, -1);
	if (rc == 0 && (!copy || sqlite3_backup_finish(copy)))
		rc = db_error(&memory, e, "read results");
	if (rc < 0) {
		sqlite3_close(memory.db);
		return rc;
	}
	sqlite3_close(s->db);
	s->db = memory.db;
	return 0;
}

static int prepare_reading(struct store *s, struct err *e)
{
	int64_t version;
	int rc = version_read(s, &version, e);

	if (rc < 0)
		return sqlite3_errcode(s->db) == SQLITE_CANTOPEN && place_has_log(&s->place)
			       ? log_unreadable(s, e)
			       : rc;
	if (version == store_schema_version)
		return 0;
	rc = copy_to_memory(s, e);
	s->read_only = false;
	if (rc == 0)
		rc = migrate(s, e);
	s->read_only = true;
	return rc;
}

static int prepare_writing(struct store *s, struct err *e)
{
	int64_t version;
	int rc = version_read(s, &version, e);

	if (rc < 0)
		return rc;
	if (db_run(s, "PRAGMA journal_mode = WAL", "") || db_run(s, "PRAGMA synchronous = FULL", "") ||
		db_run(s, "PRAGMA foreign_keys = ON", ""))
		return db_error(s, e, "open results");
	rc = version < store_schema_version ? migrate(s, e) : 0;
	return rc < 0 ? rc : db_runs_mend(s, e);
}

static int open_as(struct store **out, const char *path, bool reading, struct err *e)
{
	if (!path || !*path)
		return err_usage(e, "cannot open results: no file is named");
	struct store *s = mem_alloc(sizeof(*s));
	s->path = str_dup(path);
	s->read_only = reading;
	s->place = PLACE_NONE;
	int rc = place_open(&s->place, path, &s->read_only, e);

	if (rc == 0)
		rc = open_file(s, e);
	if (rc == 0)
		rc = s->read_only ? prepare_reading(s, e) : prepare_writing(s, e);
	/* Again: what SQLite has opened meanwhile must be what was looked at. */
	if (rc == 0)
		rc = place_holds(&s->place, path, e);
	if (rc < 0) {
		store_close(s);
		return rc;
	}
	*out = s;
	return 0;
}

int store_open(struct store **out, const char *path, struct err *e)
{
	return open_as(out, path, false, e);
}

int store_open_reading(struct store **out, const char *path, struct err *e)
{
	return open_as(out, path, true, e);
}

void store_close(struct store *store)
{
	if (!store)
		return;
	sqlite3_close(store->db);
	place_close(
		&store->place); /* closing any descriptor of the file earlier would give up SQLite's locks */
	free(store->path);
	free(store);
}

int store_still_there(const struct store *store, struct err *e)
{
	return place_holds(&store->place, store->path, e);
}

int store_unchanged(const struct store *store, struct err *e)
{
	return store->read_only ? place_unchanged(&store->place, store->path, e) : 0;
}

const char *store_path(const struct store *store)
{
	return store->path;
}

int store_check(struct store *store, struct err *e)
{
	AUTO_STMT sqlite3_stmt *s = NULL;

	if (db_prepare(store, &s, "PRAGMA integrity_check(1)", "") || sqlite3_step(s) != SQLITE_ROW)
		return db_error(store, e, "check results");
	const char *said = (const char *)sqlite3_column_text(s, 0);
	return said && !strcmp(said, "ok") ? 0
					   : db_damaged(store, e, "it is damaged (%s)", said ? said : "?");
}
