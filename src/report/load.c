/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Loading: cells and arms first, then every trial into its arm, then the comparison cell by cell. */
#include "model.h"

#include <stdio.h>

#define FLAG_ROW(id, word, help_) {word, help_},
const struct report_flag_row report_flag_rows[REPORT_FLAGS_N] = {REPORT_FLAGS(FLAG_ROW)};

struct report_options report_options_default(void)
{
	return (struct report_options){.deltas = stat_deltas_default()};
}

struct loading {
	struct report *report;
	struct err *e;
};

static int load_arm(struct report_arm *arm, const struct store_arm *from, struct err *e)
{
	memcpy(arm->name, from->name, sizeof(arm->name));
	return settings_from_json(&arm->settings, from->settings, READ_ARCHIVE, e);
}

static int load_cell(const struct store_cell *from, const struct store_arm *arms, size_t arms_n, void *arg)
{
	struct loading *l = arg;
	struct report *r = l->report;

	r->cells = mem_grow(r->cells, r->cells_n + 1, sizeof(*r->cells));
	struct report_cell *cell = &r->cells[r->cells_n++];
	*cell = (struct report_cell){.cell = *from};
	cell->arms = mem_array(arms_n, sizeof(*cell->arms));
	for (size_t i = 0; i < arms_n; i++) {
		int rc = load_arm(&cell->arms[cell->arms_n++], &arms[i], l->e);

		if (rc < 0)
			return err_wrap(l->e, "cannot read cell '%s'", from->name);
	}
	if (!arms_n)
		return 0;
	cell->workload = workload_find(cell->arms[0].settings.workload);
	if (!cell->workload)
		return err_set(l->e, EBADMSG, "cannot read cell '%s': this taut knows no workload '%s'",
			from->name, cell->arms[0].settings.workload);
	cell->kind = cell->workload->stream ? STAT_STREAM : STAT_REQUESTS;
	return 0;
}

static int load_trial(const struct store_trial *trial, const struct trial_record *record, void *arg)
{
	struct loading *l = arg;

	for (size_t c = 0; c < l->report->cells_n; c++) {
		struct report_cell *cell = &l->report->cells[c];

		if (cell->cell.id != trial->cell)
			continue;
		for (size_t a = 0; a < cell->arms_n; a++)
			if (!strcmp(cell->arms[a].name, trial->arm)) {
				report_arm_add(&cell->arms[a], trial, record);
				return 0;
			}
	}
	return err_set(l->e, EBADMSG, "cannot read trial %lld: its cell has no arm '%s'",
		(long long)trial->id, trial->arm);
}

static int load(struct report *r, struct store *store, int64_t run, struct err *e)
{
	struct loading l = {r, e};
	AUTO_FREE char *id = str_format("%lld", (long long)run);
	int rc = store_run_find(store, id, &r->run, e);

	if (rc == 0)
		rc = store_run_documents(store, run, &r->spec, &r->environment, e);
	if (rc == 0)
		rc = store_cells_each(store, run, load_cell, &l, e);
	if (rc == 0)
		rc = store_trials_each(store, run, 0, load_trial, &l, e);
	return rc;
}

int report_load(struct report **out, struct store *store, int64_t run, const struct report_options *options,
	struct err *e)
{
	AUTO(auto_report) struct report *r = mem_alloc(sizeof(*r));

	r->options = options ? *options : report_options_default();
	int rc = load(r, store, run, e);
	if (rc < 0)
		return rc;
	for (size_t i = 0; i < r->cells_n; i++) {
		report_cell_judge(r, &r->cells[i]);
		for (size_t p = 0; p < r->cells[i].pairs_n; p++)
			r->families += !r->cells[i].pairs[p].exact && r->cells[i].pairs[p].judged > 0;
	}
	*out = steal_ptr(&r);
	return 0;
}

void report_free(struct report *r)
{
	if (!r)
		return;
	for (size_t c = 0; c < r->cells_n; c++) {
		for (size_t a = 0; a < r->cells[c].arms_n; a++)
			report_arm_clear(&r->cells[c].arms[a]);
		free(r->cells[c].arms);
		free(r->cells[c].pairs);
	}
	free(r->cells);
	json_decref(r->spec);
	json_decref(r->environment);
	free(r);
}
