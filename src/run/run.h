/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * run: an experiment file → cells × arms → blocks → trials, given to the site one by one and recorded.
 *
 * Whole blocks come first: in every block each cell has one trial of each arm, arms in random order, so that
 * an interrupted run is balanced.  The order follows from the seed alone.  Within an arm cells that share
 * targets (share: target) have a fixed order, so that a cell is compared at one place after its target's
 * start.
 */
#pragma once

#include "site/site.h"
#include "store/store.h"

/* --- experiments ------------------------------------------------------------------------------- */

struct arm {
	char name[64];
	json_t *overrides; /* object of texts: setting → value */
};

#define ARMS_MAX 16

struct cell {
	char name[192];
	struct settings *settings; /* one for each arm of the experiment, in the order of these */
	struct trial_plan *plans;  /* of those settings, once run_probe() has resolved them; else NULL */
	bool skipped, privilege;
	char reason[512];
	uint8_t arms[ARMS_MAX]; /* those of the experiment that it has, as the cell names them: the baseline
				   first */
	size_t arms_n;
};
/* Has the cell this arm?  An arm that it lacks is not measured, and has the settings of the baseline. */
bool cell_has(const struct cell *cell, size_t arm);

struct experiment {
	char name[64],
		reference[64]; /* reference: the published figures to be set beside the report; "": none */
	uint64_t blocks, seed; /* seed 0: none was given */
	struct arm *arms;      /* all that any cell has */
	size_t arms_n;
	struct cell *cells;
	size_t cells_n;
};

/* Which of the experiment's arms is the cell's of that name; −1: it has none. */
int cell_arm(const struct experiment *x, const struct cell *cell, const char *name);

struct setting_override {
	const char *key, *value;
	const char *instead; /* only where the setting has this value; NULL: everywhere */
};

/*
 * Loads a built-in experiment by name, or a file (anything with a '/' or a ".yaml").  EXIT_USAGE with
 * file:line for whatever is wrong in it.  The overrides (--set) come last: for every cell and arm.
 */
int experiment_load(struct experiment *x, const char *which, const struct setting_override *overrides,
	size_t overrides_n, struct err *e);
/* Parses a text; `origin` stands in messages. */
int experiment_parse(struct experiment *x, const char *origin, const char *text, size_t len,
	const struct setting_override *overrides, size_t overrides_n, struct err *e);
void experiment_free(struct experiment *x);
/* The resolved experiment: what the store keeps and what resume compares. */
json_t *experiment_json(const struct experiment *x);
/* What the name of a cell begins with, "container/oci/bridge/tcp_rr@2000": where it runs, what, and the rate
 * of an open loop. */
void cell_name_add(struct buf *out, const struct settings *s);
/* Names the cell; of a name that is too long the end becomes a hash of the whole.  `name` is changed. */
void cell_name_set(struct cell *cell, char *name);
/* Calls fn for every built-in experiment. */
void experiments_each(void (*fn)(const char *name, const char *help, void *arg), void *arg);

/* --- carrying one out -------------------------------------------------------------------------- */

struct run_trial {
	uint64_t done, total; /* this one included */
	const struct cell *cell;
	const char *arm;
	uint64_t block;
	uint64_t left_ns; /* estimated, for the rest of the run */
};

struct run_options {
	bool resume;
	void (*on_start)(const struct store_run *run, uint64_t trials, void *arg);
	void (*on_begin)(const struct run_trial *trial, void *arg);
	void (*on_trial)(const struct run_trial *trial, const struct trial_record *record, void *arg);
	void *arg;
};

/* Checks and resolves every cell and arm on this machine (EXIT_USAGE when one makes no sense) and marks what
 * must be skipped, with the reason; what could not be told in time is not skipped.  `planning`: as if the
 * kernels that can be fetched were here.  -EINTR when stopped. */
int run_probe(struct experiment *x, struct site *site, bool planning, struct err *e);
/* The same of one cell whose settings have been checked; the answer with its reason, also when it is not
 * known. */
enum target_answer run_probe_cell(
	const struct experiment *x, struct cell *cell, struct site *site, bool planning);
/* The order of arms within one block and cell: a permutation of 0..arms−1, from the seed. */
void run_order(uint64_t seed, uint64_t block, size_t cell, size_t arms_n, size_t *order);
/*
 * The trials of one block in their order: cell by cell with its arms in random order, where cells that share
 * targets are one: arm by arm, and in each arm one of these cells after the other, as the experiment has
 * them; then, since a boot is a replicate there, what runs on emulated hosts: arm by arm, in random order,
 * over all cells, where arms of one name are one, whatever they override.  `out` has room for cells × arms;
 * returns how many.
 */
struct run_step {
	size_t cell, arm;
	bool boot; /* the first one on a fresh emulated host */
};
size_t run_steps(const struct experiment *x, uint64_t seed, uint64_t block, struct run_step *out);
/* site_prepare() for every trial. */
int run_prepare(const struct experiment *x, void (*progress)(const struct boot_doing *doing, void *arg),
	void *arg, struct err *e);
/* An estimate of the whole run, ns. */
uint64_t run_estimate_ns(const struct experiment *x);
/*
 * Carries out what run_probe() has resolved; fills *run.  0 when it is complete; -EINTR (EXIT_INTERRUPTED)
 * when stopped: what was measured is stored in both cases.  A trial that fails is stored as failed, and the
 * run goes on.
 */
int run_execute(struct experiment *x, struct store *store, struct site *site,
	const struct run_options *options, struct store_run *run, struct err *e);
