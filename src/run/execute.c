/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Carries an experiment out: block by block, over all cells, arms in random order; every trial is stored
 * before the next one begins.  Resuming goes on with the run's own seed after its last complete block; the
 * trials of the block that was cut off are dropped and done again, for a block is comparable only when its
 * trials lie close together in time.
 */
#include "resume.h"

#include "sys/sys.h"

#include <assert.h>
#include <stdio.h>

struct progress {
	uint64_t done, total;
	double *spent_ns; /* cells × arms: sum over the trials that are done */
	uint64_t *n;      /* cells × arms: how many */
};

struct execution {
	struct experiment *x;
	struct store *store;
	struct site *site;
	const struct run_options *options;
	struct store_run *run;
	int64_t *cell_ids;
	struct progress progress;
	const struct trial_plan **group; /* trials of the emulated host that runs */
};

/* --- time -------------------------------------------------------------------------------------- */

/* Before anything is known: set-up, warm-up, and the time of a stream or of 20 000 transactions a second. */
static double estimate_trial_ns(const struct settings *s)
{
	const struct workload_row *w = workload_find(s->workload);
	double measured = (double)s->duration_ns;

	if (!w->stream && s->transactions) {
		double rate = s->rate ? (double)s->rate : 20000.0 * (double)s->flows;
		measured = (double)s->transactions / rate * 1e9;
		measured = MIN(measured, (double)s->max_duration_ns);
	}
	return site_trial_cost_ns(s, measured);
}

uint64_t run_estimate_ns(const struct experiment *x)
{
	double sum = 0;

	for (size_t c = 0; c < x->cells_n; c++)
		for (size_t a = 0; !x->cells[c].skipped && a < x->arms_n; a++)
			if (cell_has(&x->cells[c], a))
				sum += estimate_trial_ns(&x->cells[c].settings[a]);
	return (uint64_t)(sum * (double)x->blocks);
}

static uint64_t time_left_ns(const struct execution *ex)
{
	const struct experiment *x = ex->x;
	double left = 0;

	for (size_t c = 0; c < x->cells_n; c++)
		for (size_t a = 0; !x->cells[c].skipped && a < x->arms_n; a++) {
			size_t i = c * x->arms_n + a;
			uint64_t n = ex->progress.n[i];
			if (!cell_has(&x->cells[c], a))
				continue;
			double each = n ? ex->progress.spent_ns[i] / (double)n
					: estimate_trial_ns(&x->cells[c].settings[a]);
			left += each * (double)(x->blocks - MIN(n, x->blocks));
		}
	return (uint64_t)left;
}

/* --- before the first trial -------------------------------------------------------------------- */

enum target_answer run_probe_cell(
	const struct experiment *x, struct cell *cell, struct site *site, bool planning)
{
	enum target_answer all = TARGET_YES;
	char reason[sizeof(cell->reason)];
	bool privilege;

	cell->plans = mem_grow(cell->plans, x->arms_n, sizeof(*cell->plans));
	for (size_t a = 0; a < x->arms_n; a++) {
		enum target_answer one = site_resolve(
			site, &cell->settings[a], &cell->plans[a], reason, sizeof(reason), &privilege);
		if (one == TARGET_YES || cell->skipped || (planning && site_lacks_any(&cell->settings[a])))
			continue;
		all = one;
		cell->skipped = one == TARGET_NO;
		cell->privilege = privilege;
		str_copy(cell->reason, sizeof(cell->reason), reason);
	}
	return all;
}

int run_probe(struct experiment *x, struct site *site, bool planning, struct err *e)
{
	for (size_t c = 0; c < x->cells_n; c++) {
		struct cell *cell = &x->cells[c];
		for (size_t a = 0; a < x->arms_n; a++)
			if (site_check(site, &cell->settings[a], e) < 0)
				return err_wrap(e, "cell %s, arm %s", cell->name, x->arms[a].name);
		run_probe_cell(x, cell, site, planning);
		if (stop_flag)
			return err_set(e, EINTR, "interrupted");
	}
	return 0;
}

/* All at once: what cannot be had is looked for once. */
int run_prepare(const struct experiment *x, void (*progress)(const struct boot_doing *doing, void *arg),
	void *arg, struct err *e)
{
	AUTO_FREE struct settings *trials = mem_array(x->cells_n * x->arms_n, sizeof(*trials));

	for (size_t c = 0; c < x->cells_n; c++)
		memcpy(&trials[c * x->arms_n], x->cells[c].settings, x->arms_n * sizeof(*trials));
	return site_prepare(trials, x->cells_n * x->arms_n, progress, arg, e);
}

static int describe_run(const struct experiment *x, struct store_run *run, json_t **spec, struct err *e)
{
	AUTO_CLOSE int root = root_open("/", e);
	int rc = root < 0 ? root : boot_id(root, run->boot_id, e);

	if (rc < 0)
		return rc;
	*spec = experiment_json(x);
	AUTO_FREE char *text = json_dumps(*spec, JSON_COMPACT | JSON_SORT_KEYS);
	struct hash hash = hash_new();
	hash_text(&hash, text);
	hash_hex(&hash, run->spec_hash);
	str_copy(run->name, sizeof(run->name), x->name);
	run->blocks = x->blocks;
	run->seed = x->seed;
	run->started_ns = time_wall_ns();
	return 0;
}

static int begin_cell(struct execution *ex, size_t c, struct err *e)
{
	const struct cell *cell = &ex->x->cells[c];
	struct store_cell stored = {.skipped = cell->skipped, .privilege = cell->privilege};
	struct store_arm *arms = mem_array(cell->arms_n, sizeof(*arms));

	str_copy(stored.name, sizeof(stored.name), cell->name);
	str_copy(stored.reason, sizeof(stored.reason), cell->reason);
	for (size_t i = 0; i < cell->arms_n; i++) {
		str_copy(arms[i].name, sizeof(arms[i].name), ex->x->arms[cell->arms[i]].name);
		arms[i].baseline = i == 0;
		arms[i].settings = settings_json(&cell->settings[cell->arms[i]]);
	}
	int rc = store_cell_add(ex->store, ex->run->id, &stored, arms, cell->arms_n, e);
	ex->cell_ids[c] = stored.id;
	for (size_t i = 0; i < cell->arms_n; i++)
		json_decref(arms[i].settings);
	free(arms);
	return rc;
}

static int begin_new(struct execution *ex, json_t *spec, struct err *e)
{
	struct store_run *run = ex->run;
	json_t *environment = site_environment();
	char token[33];
	int rc = 0;

	if (!run->seed && (rc = rng_token(token, e)) == 0) {
		token[15] = 0; /* 60 bits: as much as strtoull() takes */
		run->seed = strtoull(token, NULL, 16) % 1000000000u + 1;
	}
	if (rc == 0)
		rc = store_run_begin(ex->store, run, spec, environment, e);
	json_decref(environment);
	for (size_t c = 0; rc == 0 && c < ex->x->cells_n; c++)
		rc = begin_cell(ex, c, e);
	return rc;
}

/* --- resuming ---------------------------------------------------------------------------------- */

struct earlier {
	struct execution *ex;
	size_t c;
	uint64_t *complete;      /* per block: trials found, all cells */
	const struct cell *lost; /* it was measured, and cannot be now; NULL: none is */
};

static int earlier_trial(const struct store_trial *trial, const struct trial_record *record, void *arg)
{
	struct earlier *earlier = arg;
	struct execution *ex = earlier->ex;

	if (trial->block >= ex->x->blocks)
		return 0;
	earlier->complete[trial->block]++;
	for (size_t a = 0; a < ex->x->arms_n; a++)
		if (cell_has(&ex->x->cells[earlier->c], a) && !strcmp(ex->x->arms[a].name, trial->arm)) {
			ex->progress.n[earlier->c * ex->x->arms_n + a]++;
			ex->progress.spent_ns[earlier->c * ex->x->arms_n + a] += (double)record->duration_ns;
		}
	return 0;
}

static int earlier_cell(const struct store_cell *cell, const struct store_arm *arms, size_t arms_n, void *arg)
{
	struct earlier *earlier = arg;
	struct execution *ex = earlier->ex;

	(void)arms;
	(void)arms_n;
	for (size_t c = 0; c < ex->x->cells_n; c++) {
		struct cell *now = &ex->x->cells[c];
		if (strcmp(now->name, cell->name))
			continue;
		ex->cell_ids[c] = cell->id;
		if (now->skipped && !cell->skipped)
			earlier->lost = now;
		if (!now->skipped && cell->skipped)
			str_copy(now->reason, sizeof(now->reason), cell->reason);
		now->skipped = cell->skipped;
	}
	return 0;
}

static int cell_lost(const struct store_run *run, const struct cell *cell, struct err *e)
{
	if (cell->privilege)
		return err_refused(e, "cannot go on with run %lld: %s cannot be measured now: %s",
			(long long)run->id, cell->name, cell->reason);
	return err_set(e, ENOTSUP, "cannot go on with run %lld: %s cannot be measured now: %s",
		(long long)run->id, cell->name, cell->reason);
}

/* The block to go on with; what stands of it and after it is dropped. */
static int resume_at(struct execution *ex, uint64_t *block, struct err *e)
{
	uint64_t *complete = mem_array(ex->x->blocks, sizeof(*complete)), wanted = 0;
	struct earlier earlier = {.ex = ex, .complete = complete};
	int rc = store_cells_each(ex->store, ex->run->id, earlier_cell, &earlier, e);

	if (rc == 0 && earlier.lost)
		rc = cell_lost(ex->run, earlier.lost, e);
	for (size_t c = 0; rc == 0 && c < ex->x->cells_n; c++) {
		if (ex->x->cells[c].skipped)
			continue;
		wanted += ex->x->cells[c].arms_n;
		earlier.c = c;
		rc = store_trials_each(ex->store, ex->run->id, ex->cell_ids[c], earlier_trial, &earlier, e);
	}
	for (*block = 0; rc == 0 && *block < ex->x->blocks && complete[*block] == wanted;)
		(*block)++;
	for (uint64_t b = *block; rc == 0 && b < ex->x->blocks; b++)
		if (complete[b])
			rc = store_block_drop(ex->store, ex->run->id, b, e);
	ex->progress.done = *block * wanted;
	free(complete);
	return rc;
}

/* --- trials ------------------------------------------------------------------------------------ */

static int one_trial(struct execution *ex, size_t c, size_t a, struct store_trial *stored, struct err *e)
{
	AUTO(auto_trial_record) struct trial_record *record = trial_record_new();
	const struct cell *cell = &ex->x->cells[c];
	struct run_trial said = {.done = ex->progress.done + 1,
		.total = ex->progress.total,
		.cell = cell,
		.arm = ex->x->arms[a].name,
		.block = stored->block,
		.left_ns = time_left_ns(ex)};
	size_t i = c * ex->x->arms_n + a;

	if (ex->options->on_begin)
		ex->options->on_begin(&said, ex->options->arg);
	assert(cell->plans); /* run_probe() comes first */
	int rc = site_trial(ex->site, &cell->plans[a], record, e);
	if (rc < 0)
		return rc;
	stored->cell = ex->cell_ids[c];
	str_copy(stored->arm, sizeof(stored->arm), ex->x->arms[a].name);
	rc = store_trial_add(ex->store, ex->run->id, stored, record, e);
	if (rc < 0)
		return rc;
	ex->progress.done++;
	ex->progress.n[i]++;
	ex->progress.spent_ns[i] += (double)record->duration_ns;
	said.left_ns = time_left_ns(ex);
	if (ex->options->on_trial)
		ex->options->on_trial(&said, record, ex->options->arg);
	return 0;
}

/* Tells the site what the host that it boots next shall serve. */
static int begin_group(struct execution *ex, const char *name, struct err *e)
{
	size_t n = 0;

	ex->group = mem_grow(ex->group, ex->x->cells_n, sizeof(void *));
	for (size_t c = 0; c < ex->x->cells_n; c++) {
		const struct cell *cell = &ex->x->cells[c];
		int arm = cell->skipped ? -1 : cell_arm(ex->x, cell, name);
		if (arm >= 0 && plan_host(&cell->plans[arm])->emulated)
			ex->group[n++] = &cell->plans[arm];
	}
	return site_group(ex->site, ex->group, n, e);
}

/* After a block, however it went: a machine that cannot be put back is worse than what came before. */
static int end_group(struct execution *ex, int rc, struct err *e)
{
	struct err why = ERR_INIT;
	int ended = site_group(ex->site, NULL, 0, &why);

	if (ended == 0 || (rc < 0 && e->exit == EXIT_PARTLY_APPLIED))
		return rc;
	if (rc < 0)
		err_wrap(&why, "%s; and then", e->text);
	*e = why;
	return ended;
}

static int one_block(struct execution *ex, uint64_t block, struct err *e)
{
	struct run_step *steps = mem_array(ex->x->cells_n * ex->x->arms_n, sizeof(*steps));
	size_t n = run_steps(ex->x, ex->run->seed, block, steps);
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < n; i++) {
		struct store_trial stored = {.block = block, .position = i};
		if (steps[i].boot)
			rc = begin_group(ex, ex->x->arms[steps[i].arm].name, e);
		if (rc == 0 && stop_flag)
			rc = err_set(e, EINTR, "interrupted");
		if (rc == 0)
			rc = one_trial(ex, steps[i].cell, steps[i].arm, &stored, e);
	}
	free(steps);
	return end_group(ex, rc, e);
}

static int all_blocks(struct execution *ex, struct err *e)
{
	size_t a_block = 0; /* trials */
	uint64_t block = 0;
	int rc = ex->progress.done == 0 && ex->options->resume ? resume_at(ex, &block, e) : 0;

	for (size_t c = 0; c < ex->x->cells_n; c++)
		a_block += ex->x->cells[c].skipped ? 0 : ex->x->cells[c].arms_n;
	ex->progress.total = ex->x->blocks * a_block;
	if (rc == 0 && ex->options->on_start)
		ex->options->on_start(ex->run, ex->progress.total, ex->options->arg);
	for (; rc == 0 && a_block && block < ex->x->blocks; block++)
		rc = one_block(ex, block, e);
	return rc;
}

int run_execute(struct experiment *x, struct store *store, struct site *site,
	const struct run_options *options, struct store_run *run, struct err *e)
{
	struct run_options chosen = *options;
	struct execution ex = {.x = x, .store = store, .site = site, .options = &chosen, .run = run};
	struct store_run wanted = {0};
	json_t *spec = NULL;
	int rc = describe_run(x, &wanted, &spec, e);

	if (rc < 0)
		return rc;
	ex.cell_ids = mem_array(x->cells_n, sizeof(*ex.cell_ids));
	ex.progress.spent_ns = mem_array(x->cells_n * x->arms_n, sizeof(double));
	ex.progress.n = mem_array(x->cells_n * x->arms_n, sizeof(uint64_t));
	*run = wanted;
	enum resume answer = options->resume ? resume_find(store, &wanted, spec, run) : RESUME_NO_RUN;
	chosen.resume = answer == RESUME_GOES_ON;
	if (options->resume && !chosen.resume)
		log_warn("nothing to resume (%s): a new run begins", resume_why(answer));
	if (chosen.resume)
		rc = store_run_resume(store, run->id, run->spec_hash, e);
	else
		rc = begin_new(&ex, spec, e);
	json_decref(spec);
	if (rc == 0) {
		struct err end = ERR_INIT;
		rc = all_blocks(&ex, e);
		const char *state = rc == 0 ? "done" : rc == -EINTR ? "interrupted" : "failed";
		int ended = store_run_end(store, run->id, state, &end);
		if (rc == 0 && ended < 0) {
			*e = end;
			rc = ended;
		}
		if (rc == -EINTR)
			e->exit = EXIT_INTERRUPTED;
	}
	free(ex.group);
	free(ex.cell_ids);
	free(ex.progress.spent_ns);
	free(ex.progress.n);
	return rc;
}
