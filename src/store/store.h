/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * store: runs, cells, arms, trials, histograms and environments in one SQLite file (STRICT tables, WAL,
 * synchronous=FULL).
 *
 * A trial is on the disk when store_trial_add() returns, and is never changed afterwards.  Everything in a
 * report is computed from this file.  A call that fails leaves the file as it was before that call.  All that
 * is read from the file is checked like data of unknown origin.
 */
#pragma once

#include "base/base.h"
#include "wire/record.h"

struct store;

#define STORE_STATES "running|done|interrupted|failed"

struct store_run {
	int64_t id;
	char name[64];
	char state[16]; /* one of STORE_STATES; of a run whose taut has gone: interrupted */
	uint64_t seed, blocks;
	uint64_t started_ns; /* wall time */
	uint64_t ended_ns;   /* that and how long it took, whatever the clock was set to; 0 while running */
	char boot_id[40];
	char spec_hash[33]; /* of the resolved experiment; a run is resumed only with the same one */
};

struct store_cell {
	int64_t id;
	char name[192]; /* "container/oci/bridge/tcp_rr"; a run has no two of the same name */
	bool skipped;
	char reason[512]; /* of the skip */
	bool privilege;   /* skipped because a privilege is missing */
};

struct store_arm {
	char name[64];
	bool baseline;
	json_t *settings; /* all settings of this cell in this arm (settings_json); owned by the array of
			     arms */
};

struct store_trial {
	int64_t id;
	int64_t cell;
	uint64_t block, position; /* position: order inside the block */
	char arm[64];
};

/*
 * Opens or makes the database (folder 0700, file 0600) and migrates an older one.  Refused, with an advice,
 * are a newer schema (-EPROTONOSUPPORT), a file that is damaged or not of SQLite (-EBADMSG), a SQLite file of
 * another program (-EEXIST), and a file or link of another user, or with something of another user beside it
 * (-EPERM, EXIT_REFUSED).  A file that cannot be written is opened for reading; writing calls then fail with
 * -EROFS.
 */
int store_open(struct store **out, const char *path, struct err *e);
/* For reading alone: makes and writes nothing.  -ENOENT when there is no such file. */
int store_open_reading(struct store **out, const char *path, struct err *e);
void store_close(struct store *store); /* takes NULL */
static inline void auto_store(struct store **store)
{
	store_close(*store);
}
const char *store_path(const struct store *store);
/* -ESTALE when the file is no longer at its path, so that what was stored is not there. */
int store_still_there(const struct store *store, struct err *e);
/* After reading: -EBUSY when the file was written meanwhile, and what was read may be a mixture. */
int store_unchanged(const struct store *store, struct err *e);
/* Reads and checks the whole file, which is slow for a large one; -EBADMSG when something is wrong. */
int store_check(struct store *store, struct err *e);

/* --- writing ----------------------------------------------------------------------------------- */

/* Fills run->id and state ("running"); started_ns 0 becomes now.  `environment` may be NULL. */
int store_run_begin(struct store *store, struct store_run *run, const json_t *spec, const json_t *environment,
	struct err *e);
/* Resumes an interrupted run; -EINVAL when it is done or when the experiment is not the same. */
int store_run_resume(struct store *store, int64_t run, const char *spec_hash, struct err *e);
int store_run_end(struct store *store, int64_t run, const char *state, struct err *e);
/* Fills cell->id.  The first arm is the baseline; a skipped cell may have none. */
int store_cell_add(struct store *store, int64_t run, struct store_cell *cell, const struct store_arm *arms,
	size_t arms_n, struct err *e);
/* Marks a cell as skipped that turned out to be impossible here; it must have no trial yet. */
int store_cell_skip(struct store *store, const struct store_cell *cell, struct err *e);
/* Fills trial->id.  -EEXIST when this cell has a trial of this arm in this block. */
int store_trial_add(struct store *store, int64_t run, struct store_trial *trial,
	const struct trial_record *record, struct err *e);
/* Deletes the trials of one block of a run that is not done (resume redoes the unfinished one). */
int store_block_drop(struct store *store, int64_t run, uint64_t block, struct err *e);

/* --- reading: a callback that does not return 0 ends the walk, and the walk returns that ------- */

/* RUN: "last", an id, or a name (its latest run).  -ENOENT with a helpful message. */
int store_run_find(struct store *store, const char *which, struct store_run *out, struct err *e);
/* Newest first. */
int store_runs_each(struct store *store, int (*fn)(const struct store_run *run, uint64_t trials, void *arg),
	void *arg, struct err *e);
/* New references; either may be NULL. */
int store_run_documents(struct store *store, int64_t run, json_t **spec, json_t **environment, struct err *e);
int store_cells_each(struct store *store, int64_t run,
	int (*fn)(const struct store_cell *cell, const struct store_arm *arms, size_t arms_n, void *arg),
	void *arg, struct err *e);
/* The trials of one cell (0: of all cells) in order of block, position.  `record` is borrowed for the call.
 */
int store_trials_each(struct store *store, int64_t run, int64_t cell,
	int (*fn)(const struct store_trial *trial, const struct trial_record *record, void *arg), void *arg,
	struct err *e);
