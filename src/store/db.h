/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * How the store uses SQLite: statements with their values in one call, transactions, and errors that name the
 * file, the reason and what to do.
 */
#pragma once

#include "place.h"
#include "store.h"

#include <sqlite3.h>

struct store {
	sqlite3 *db;
	char *path; /* as the user wrote it */
	struct place place;
	bool read_only;
	int64_t run;       /* the one that is under way here; 0: none */
	uint64_t begun_ns; /* when it began or was resumed here, of the clock that counts since boot */
	uint64_t spent_ns; /* before that */
};

#define STORE_APPLICATION_ID 0x54415554 /* "TAUT", in the file's header, which file(1) shows too */

/* schema.c: step i takes a database from version i to i + 1. */
extern const char *const store_schema_steps[];
extern const int store_schema_version;

/* "cannot <format>: <why>" for the last error of SQLite; returns −errno. */
int db_error(const struct store *store, struct err *e, const char *format, ...) PRINTF(3, 4);
/* "cannot <format>: <why>" for a file whose content cannot have been written by taut. */
int db_damaged(const struct store *store, struct err *e, const char *format, ...) PRINTF(3, 4);
/* "cannot read FILE: <format>: " in front of what a parser says of something in the file: the user did not
 * write it, so that it is no mistake of usage. */
int db_content(const struct store *store, struct err *e, const char *format, ...) PRINTF(3, 4);
/* -EROFS with a message when this file cannot be written. */
int db_writable(const struct store *store, struct err *e);

static inline void db_finalize(sqlite3_stmt **s)
{
	sqlite3_finalize(*s);
}
#define AUTO_STMT AUTO(db_finalize)

/* The values that follow are bound in order, a letter each: i int64_t, t text (NULL allowed), b const void *
 * and size_t. */
int db_prepare(const struct store *store, sqlite3_stmt **out, const char *sql, const char *types, ...);
/* Prepares and runs to the end; SQLITE_OK, or the code that db_error() explains. */
int db_run(const struct store *store, const char *sql, const char *types, ...);
/* Reads one integer, which stays untouched where there is no row; returns a code as db_run() does. */
int db_integer(const struct store *store, const char *sql, int64_t *out);

/* A transaction.  db_end() commits when rc is 0 or more and rolls back otherwise; it returns rc, or the error
 * of the commit. */
int db_begin(const struct store *store, struct err *e);
int db_end(const struct store *store, int rc, struct err *e);

/* run.c: runs whose taut has gone are not running. */
int db_runs_mend(struct store *store, struct err *e);

/* document.c: JSON in a column. */
char *db_json_text(const json_t *value);
json_t *db_json_column(const struct store *store, sqlite3_stmt *s, int column, struct err *e);
/* The text of a column into a bounded array, fit for a terminal: false when it does not fit or is no text. */
bool db_text_column(sqlite3_stmt *s, int column, char *out, size_t size);
