/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a report comes to: which cells are skipped, whether anything was inferred, and the exit code. */
#include "model.h"

const char *report_cell_skipped(const struct report_cell *cell)
{
	const char *reason = NULL;

	if (cell->cell.skipped)
		return cell->cell.reason;
	for (size_t a = 0; a < cell->arms_n; a++)
		for (size_t i = 0; i < cell->arms[a].trials_n; i++) {
			if (cell->arms[a].trials[i].outcome != TRIAL_SKIPPED)
				return NULL;
			reason = cell->arms[a].trials[i].reason;
		}
	return reason;
}

bool report_inferred(const struct report *r)
{
	size_t facts = 0, others = 0;

	for (size_t c = 0; c < r->cells_n; c++)
		for (size_t p = 0; p < r->cells[c].pairs_n; p++)
			*(r->cells[c].pairs[p].exact ? &facts : &others) += 1;
	return others || !facts;
}

static bool regressed(const struct report_cell *cell)
{
	for (size_t p = 0; p < cell->pairs_n; p++)
		for (size_t i = 0; i < cell->pairs[p].n; i++)
			if (cell->pairs[p].effects[i].primary &&
				stat_effect_worse(&cell->pairs[p].effects[i]))
				return true;
	return false;
}

static bool assessed(const struct report_cell *cell)
{
	for (size_t p = 0; p < cell->pairs_n; p++)
		if (!cell->pairs[p].judged)
			return false;
	return !cell->flag[REPORT_RATE_MISSED];
}

enum err_exit report_exit_code(const struct report *r, bool gate)
{
	size_t skipped = 0;
	bool privilege = false, empty = false, worse = false, open = false;

	for (size_t i = 0; i < r->cells_n; i++) {
		const struct report_cell *cell = &r->cells[i];

		if (report_cell_skipped(cell)) {
			skipped++;
			privilege |= cell->cell.privilege;
			continue;
		}
		for (size_t a = 0; a < cell->arms_n; a++)
			empty |= !cell->arms[a].usable;
		worse |= regressed(cell);
		open |= !assessed(cell);
	}
	if (skipped == r->cells_n)
		return privilege ? EXIT_REFUSED : EXIT_FAILED;
	if (empty)
		return EXIT_FAILED;
	return !gate ? EXIT_DONE : worse ? EXIT_GATE : open ? EXIT_NOT_ASSESSED : EXIT_DONE;
}

enum err_exit report_trial_exit_code(const struct trial_record *r)
{
	bool bad = r->outcome != TRIAL_DONE || !r->verified || r->rate_missed || r->client.dead_flows ||
		   r->server.dead_flows;

	return bad ? EXIT_FAILED : EXIT_DONE;
}
