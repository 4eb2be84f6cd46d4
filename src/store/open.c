/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Opening the database.  Nothing is written before the file has been checked: it must be empty or have taut's
 * application id, so that a wrong --db never adds tables to the database of another program.  The version of
 * the schema is user_version.  An older file is migrated step by step in one transaction; a newer one is
 * refused, since an older program could damage data that it does not know.
 *
 * A file that cannot be written, such as one on a read-only mount, is opened as immutable for reading, unless
 * there is a write-ahead log beside it: the changes in that log would silently be missing.
 */
#include "db.h"

#include <stdio.h>
#include <fcntl.h>
#include <sys/stat.h>

#define BUSY_TIMEOUT_MS 10000

/* mkdir -p of the folder that the file is in; folders that taut makes are private. */
static int folder_make(const char *path, struct err *e)
{
	AUTO_FREE char *folder = str_dup(path);

	for (char *slash = strchr(folder + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = 0;
		if (mkdir(folder, 0700) < 0 && errno != EEXIST && errno != EROFS)
			return err_sys(e, "cannot make folder '%s'", folder);
		*slash = '/';
	}
	return 0;
}

/* Refuses a file of another user; root also takes one of the user who called sudo.  For root, others must not
 * be able to write it. */
static int owner_check(const char *path, const struct stat *st, struct err *e)
{
	const char *sudo = getenv("SUDO_UID");
	uint64_t caller = 0;
	bool mine = st->st_uid == geteuid();

	if (!geteuid() && sudo && !str_u64(sudo, &caller))
		mine |= st->st_uid == caller;
	if (!S_ISREG(st->st_mode))
		return err_set(e, EINVAL, "cannot open '%s': it is not a regular file", path);
	if (!mine || (!geteuid() && (st->st_mode & 022))) {
		err_refused(e, "cannot open '%s': %s", path,
			mine ? "others may write to it" : "it belongs to another user");
		return err_try(e, mine ? "chmod go-w on it" : "a copy of your own: cp it and give --db");
	}
	return 0;
}

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

static bool unfinished_log(const char *path)
{
	AUTO_FREE char *log = str_format("%s-wal", path);
	struct stat st;

	return stat(log, &st) == 0 && st.st_size > 0;
}

static int open_file(struct store *s, struct err *e)
{
	struct stat st;
	bool there = stat(s->path, &st) == 0;
	int rc;

	if (there && (rc = owner_check(s->path, &st, e)) < 0)
		return rc;
	s->read_only = there && access(s->path, W_OK) < 0;
	if (s->read_only && unfinished_log(s->path)) {
		err_set(e, EROFS,
			"cannot read '%s': its last changes are still in '%s-wal', and it cannot be written",
			s->path, s->path);
		return err_try(e, "a copy of both files in a folder that you may write");
	}
	AUTO_FREE char *uri = uri_immutable(s->path);
	/* Made here and not by SQLite, so that no other user can read it at any moment. */
	AUTO_CLOSE int fd =
		there ? -1 : open(s->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (!there && fd < 0 && errno != EEXIST)
		return err_sys(e, "cannot make '%s'", s->path);
	int flags = s->read_only ? SQLITE_OPEN_READONLY | SQLITE_OPEN_URI : SQLITE_OPEN_READWRITE;
	if (sqlite3_open_v2(s->read_only ? uri : s->path, &s->db, flags | SQLITE_OPEN_EXRESCODE, NULL))
		return db_error(s, e, "open results");
	sqlite3_busy_timeout(s->db, BUSY_TIMEOUT_MS);
	sqlite3_db_config(s->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	sqlite3_db_config(s->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
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

static int prepare_file(struct store *s, struct err *e)
{
	int64_t version;
	int rc = version_read(s, &version, e);

	if (rc < 0)
		return rc;
	if (s->read_only) {
		if (version == store_schema_version)
			return 0;
		err_set(e, EROFS,
			"cannot open '%s': its schema %lld is older than this taut's %d, and it cannot be written",
			s->path, (long long)version, store_schema_version);
		return err_try(e, "a copy that you may write");
	}
	if (db_run(s, "PRAGMA journal_mode = WAL", "") || db_run(s, "PRAGMA synchronous = FULL", "") ||
		db_run(s, "PRAGMA foreign_keys = ON", ""))
		return db_error(s, e, "open results");
	return version < store_schema_version ? migrate(s, e) : 0;
}

int store_open(struct store **out, const char *path, struct err *e)
{
	if (!path || !*path)
		return err_usage(e, "cannot open results: no file is named");
	if (!strcmp(path, ":memory:")) { /* to SQLite no name of a file */
		err_usage(e, "cannot open results in ':memory:': they are kept in a file");
		return err_try(e, "--db with the path of a file");
	}
	struct store *s = mem_alloc(sizeof(*s));
	s->path = str_dup(path);
	int rc = folder_make(path, e);

	if (rc == 0)
		rc = open_file(s, e);
	if (rc == 0)
		rc = prepare_file(s, e);
	if (rc < 0) {
		store_close(s);
		return rc;
	}
	*out = s;
	return 0;
}

void store_close(struct store *store)
{
	if (!store)
		return;
	sqlite3_close(store->db);
	free(store->path);
	free(store);
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
