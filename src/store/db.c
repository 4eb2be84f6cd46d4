/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "db.h"

#include <stdio.h>

/* Result codes of SQLite: the errno value, a message (%s: the path) and an advice for each. */
static const struct {
	int sqlite, code;
	const char *why, *advice;
} meanings[] = {
	{SQLITE_FULL, ENOSPC, "no space left for '%s'",
		"free some space there and go on; everything saved before is safe"},
	{SQLITE_READONLY, EROFS, "'%s' cannot be written", "--db with a file that you may write"},
	{SQLITE_PERM, EACCES, "no permission for '%s'", "--db with a file that you may write"},
	{SQLITE_BUSY, EBUSY, "another program is writing to '%s'",
		"again when it is done, or --db with another file"},
	{SQLITE_LOCKED, EBUSY, "'%s' is locked", "again, or --db with another file"},
	{SQLITE_NOTADB, EBADMSG, "'%s' is not a database: it is something else, or damaged at its start",
		"--db with another file, or move this one away"},
	{SQLITE_CORRUPT, EBADMSG, "'%s' is damaged",
		"move it away and start a new one; `sqlite3 FILE .recover` saves what can be read"},
	{SQLITE_CANTOPEN, EACCES, "'%s' cannot be opened, or its folder cannot be written",
		"--db with a file that you may write"},
	{SQLITE_IOERR, EIO, "reading or writing '%s' failed",
		"the kernel log, and the space left on that disk"},
	{SQLITE_NOMEM, ENOMEM, "no memory left for '%s'", "again with less running"},
	{SQLITE_CONSTRAINT, EEXIST, "'%s' does not allow it", NULL},
	{SQLITE_TOOBIG, E2BIG, "too large for '%s'", NULL},
};

int db_error(const struct store *store, struct err *e, const char *format, ...)
{
	int code = sqlite3_errcode(store->db) & 0xff;
	const char *said = sqlite3_errmsg(store->db);
	char what[256], why[512];
	va_list args;

	va_start(args, format);
	vsnprintf(what, sizeof(what), format, args);
	va_end(args);
	for (size_t i = 0; i < ARRAY_LEN(meanings); i++) {
		if (meanings[i].sqlite != code)
			continue;
		snprintf(why, sizeof(why), meanings[i].why, store->path);
		err_set(e, meanings[i].code, "cannot %s: %s (%s)", what, why, said);
		return meanings[i].advice ? err_try(e, "%s", meanings[i].advice) : -meanings[i].code;
	}
	return err_set(e, EIO, "cannot %s: '%s': %s", what, store->path, said);
}

int db_damaged(const struct store *store, struct err *e, const char *format, ...)
{
	char what[512];
	va_list args;

	va_start(args, format);
	vsnprintf(what, sizeof(what), format, args);
	va_end(args);
	err_set(e, EBADMSG, "cannot read '%s': %s", store->path, what);
	return err_try(e, "move it away and start a new one; `sqlite3 FILE .recover` saves what can be read");
}

int db_content(const struct store *store, struct err *e, const char *format, ...)
{
	char what[512];
	va_list args;

	va_start(args, format);
	vsnprintf(what, sizeof(what), format, args);
	va_end(args);
	err_wrap(e, "cannot read '%s': %s", store->path, what);
	e->exit = EXIT_FAILED;
	return -e->code;
}

int db_writable(const struct store *store, struct err *e)
{
	if (!store->read_only)
		return 0;
	err_set(e, EROFS, "cannot write '%s': it is open for reading only", store->path);
	return err_try(e, "--db with a file that you may write");
}

static int bind_all(sqlite3_stmt *s, const char *types, va_list args)
{
	int rc = SQLITE_OK;

	for (int i = 0; types[i] && rc == SQLITE_OK; i++) {
		const void *data;

		switch (types[i]) {
		case 'i':
			rc = sqlite3_bind_int64(s, i + 1, va_arg(args, int64_t));
			break;
		case 't':
			rc = sqlite3_bind_text(s, i + 1, va_arg(args, const char *), -1, SQLITE_TRANSIENT);
			break;
		case 'b':
			data = va_arg(args, const void *);
			rc = sqlite3_bind_blob64(s, i + 1, data, va_arg(args, size_t), SQLITE_TRANSIENT);
			break;
		default:
			abort();
		}
	}
	return rc;
}

static int prepare(
	const struct store *store, sqlite3_stmt **out, const char *sql, const char *types, va_list args)
{
	sqlite3_stmt *s = NULL;
	int rc = sqlite3_prepare_v2(store->db, sql, -1, &s, NULL);

	if (rc == SQLITE_OK)
		rc = bind_all(s, types, args);
	if (rc != SQLITE_OK)
		sqlite3_finalize(s);
	else
		*out = s;
	return rc;
}

int db_prepare(const struct store *store, sqlite3_stmt **out, const char *sql, const char *types, ...)
{
	va_list args;

	va_start(args, types);
	int rc = prepare(store, out, sql, types, args);
	va_end(args);
	return rc;
}

int db_run(const struct store *store, const char *sql, const char *types, ...)
{
	sqlite3_stmt *s = NULL;
	va_list args;

	va_start(args, types);
	int rc = prepare(store, &s, sql, types, args);
	va_end(args);
	if (rc != SQLITE_OK)
		return rc;
	while ((rc = sqlite3_step(s)) == SQLITE_ROW)
		;
	sqlite3_finalize(s);
	return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

int db_integer(const struct store *store, const char *sql, int64_t *out)
{
	AUTO_STMT sqlite3_stmt *s = NULL;
	int rc = db_prepare(store, &s, sql, "");

	if (rc == SQLITE_OK && (rc = sqlite3_step(s)) == SQLITE_ROW) {
		*out = sqlite3_column_int64(s, 0);
		return SQLITE_OK;
	}
	return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

int db_begin(const struct store *store, struct err *e)
{
	int rc = db_writable(store, e);

	if (rc == 0 && (rc = store_still_there(store, e)) < 0)
		err_wrap(e, "cannot write results");
	if (rc < 0)
		return rc;
	return db_run(store, "BEGIN IMMEDIATE", "") ? db_error(store, e, "write results") : 0;
}

int db_end(const struct store *store, int rc, struct err *e)
{
	if (rc >= 0) {
		if (db_run(store, "COMMIT", "") == SQLITE_OK)
			return rc;
		rc = db_error(store, e, "write results");
	}
	/* After some errors SQLite has rolled back by itself, and no transaction is open. */
	if (!sqlite3_get_autocommit(store->db))
		db_run(store, "ROLLBACK", "");
	return rc;
}
