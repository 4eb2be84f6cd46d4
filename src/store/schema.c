/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The tables, as steps: step i takes a database from version i to i + 1, so a new column is a new step and an
 * old file is brought up to date when it is opened.  A step that has been released is never changed.
 *
 * Values by which reports filter are columns.  The rest of a trial is its record as JSON, without the
 * histograms and windows, which are large and have tables of their own.  Seeds are unsigned 64-bit numbers
 * and are stored as signed ones with the same bits.
 */
#include "db.h"

static const char first[] =
	"CREATE TABLE environments ("
	"  id INTEGER PRIMARY KEY,"
	"  document TEXT NOT NULL UNIQUE"
	") STRICT;"
	"CREATE TABLE runs ("
	"  id INTEGER PRIMARY KEY AUTOINCREMENT,"
	"  name TEXT NOT NULL,"
	"  state TEXT NOT NULL CHECK (state IN ('running', 'done', 'interrupted', 'failed')),"
	"  seed INTEGER NOT NULL,"
	"  blocks INTEGER NOT NULL,"
	"  started_ns INTEGER NOT NULL,"
	"  ended_ns INTEGER NOT NULL,"
	"  boot_id TEXT NOT NULL,"
	"  spec_hash TEXT NOT NULL,"
	"  spec TEXT NOT NULL,"
	"  environment INTEGER NOT NULL REFERENCES environments (id)"
	") STRICT;"
	"CREATE INDEX runs_by_name ON runs (name, id);"
	"CREATE TABLE cells ("
	"  id INTEGER PRIMARY KEY,"
	"  run INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,"
	"  name TEXT NOT NULL,"
	"  skipped INTEGER NOT NULL CHECK (skipped IN (0, 1)),"
	"  reason TEXT NOT NULL,"
	"  privilege INTEGER NOT NULL CHECK (privilege IN (0, 1)),"
	"  UNIQUE (run, name)"
	") STRICT;"
	"CREATE TABLE arms ("
	"  cell INTEGER NOT NULL REFERENCES cells (id) ON DELETE CASCADE,"
	"  position INTEGER NOT NULL,"
	"  name TEXT NOT NULL,"
	"  baseline INTEGER NOT NULL CHECK (baseline IN (0, 1)),"
	"  settings TEXT NOT NULL,"
	"  PRIMARY KEY (cell, name)"
	") STRICT;"
	"CREATE TABLE trials ("
	"  id INTEGER PRIMARY KEY,"
	"  cell INTEGER NOT NULL,"
	"  arm TEXT NOT NULL,"
	"  block INTEGER NOT NULL,"
	"  position INTEGER NOT NULL,"
	"  outcome INTEGER NOT NULL,"
	"  verified INTEGER NOT NULL,"
	"  transactions INTEGER NOT NULL,"
	"  lost INTEGER NOT NULL,"
	"  started_ns INTEGER NOT NULL,"
	"  duration_ns INTEGER NOT NULL,"
	"  record TEXT NOT NULL,"
	"  UNIQUE (cell, block, arm),"
	"  FOREIGN KEY (cell, arm) REFERENCES arms (cell, name) ON DELETE CASCADE"
	") STRICT;"
	"CREATE TABLE histograms ("
	"  trial INTEGER NOT NULL REFERENCES trials (id) ON DELETE CASCADE,"
	"  endpoint TEXT NOT NULL CHECK (endpoint IN ('client', 'server')),"
	"  kind TEXT NOT NULL CHECK (kind IN ('service', 'response', 'lateness')),"
	"  data BLOB NOT NULL,"
	"  PRIMARY KEY (trial, endpoint, kind)"
	") STRICT;"
	"CREATE TABLE windows ("
	"  trial INTEGER NOT NULL REFERENCES trials (id) ON DELETE CASCADE,"
	"  endpoint TEXT NOT NULL CHECK (endpoint IN ('client', 'server')),"
	"  data TEXT NOT NULL,"
	"  PRIMARY KEY (trial, endpoint)"
	") STRICT;";

/* Kinds of histograms are the rows of store/trial.c, and no longer named here. */
static const char kinds[] = "CREATE TABLE histograms_2 ("
			    "  trial INTEGER NOT NULL REFERENCES trials (id) ON DELETE CASCADE,"
			    "  endpoint TEXT NOT NULL CHECK (endpoint IN ('client', 'server')),"
			    "  kind TEXT NOT NULL,"
			    "  data BLOB NOT NULL,"
			    "  PRIMARY KEY (trial, endpoint, kind)"
			    ") STRICT;"
			    "INSERT INTO histograms_2 SELECT trial, endpoint, kind, data FROM histograms;"
			    "DROP TABLE histograms;"
			    "ALTER TABLE histograms_2 RENAME TO histograms;";

const char *const store_schema_steps[] = {first, kinds};
const int store_schema_version = ARRAY_LEN(store_schema_steps);
