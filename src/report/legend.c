/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What stands below a run's tables: how to read them, and what they cannot show. */
#include "text.h"

#include <math.h>
#include <stdio.h>

void report_arm_alone(const struct report_arm *arm, const struct report_style *style, struct buf *out)
{
	struct text_table t = {.align = "lr"};
	char text[48];

	text_row(&t);
	text_cell(&t, 1, TEXT_DIM, arm->name);
	for (int m = 0; m < STAT_METRICS; m++) {
		if (!isfinite(arm->figure[m]))
			continue;
		text_row(&t);
		text_cell(&t, 0, TEXT_PLAIN, text_metric((enum stat_metric)m));
		text_cell(&t, 1, TEXT_PLAIN,
			text_value((enum stat_metric)m, arm->figure[m], text, sizeof(text)));
	}
	text_table_print(&t, 2, style, out);
	buf_add(out, "  one arm: nothing to compare it with\n");
}

/* Do all request cells run closed loops, and does one show a maximum that no percentile tells of? */
static bool stall_hidden(const struct report *r)
{
	bool hidden = false;

	for (size_t c = 0; c < r->cells_n; c++) {
		const struct report_cell *cell = &r->cells[c];

		if (cell->kind != STAT_REQUESTS || report_cell_skipped(cell))
			continue;
		for (size_t a = 0; a < cell->arms_n; a++) {
			const struct hist *h = cell->arms[a].service;

			if (settings_open_loop(&cell->arms[a].settings))
				return false;
			hidden |= h && (double)h->max > REPORT_STALL_FACTOR * report_quantile(h, 0.999);
		}
	}
	return hidden;
}

/* The lowest attained coverage of all intervals; NaN when there is none. */
static double coverage(const struct report *r, bool *pairs)
{
	double least = NAN;

	*pairs = false;
	for (size_t c = 0; c < r->cells_n; c++)
		for (size_t p = 0; p < r->cells[c].pairs_n; p++) {
			const struct report_effects *pair = &r->cells[c].pairs[p];

			*pairs = true;
			for (size_t i = 0; i < pair->n; i++)
				if (!(pair->effects[i].coverage >= least))
					least = isfinite(pair->effects[i].coverage)
							? pair->effects[i].coverage
							: least;
		}
	return least;
}

void report_legend(const struct report *r, const struct report_style *style, struct buf *out)
{
	bool pairs;
	double least = coverage(r, &pairs);

	if (stall_hidden(r)) {
		buf_add(out, "\n");
		text_wrap(out, "note: ",
			"a closed loop cannot show a stall in its percentiles: while the system stands "
			"still, no request is "
			"sent. See max, or run an open loop (rate).");
	}
	if (style->brief || !pairs)
		return;
	buf_add(out, "\n");
	text_wrap(out, "",
		"Times are round trips. A figure is the median over an arm's trials of each trial's own; "
		"'merged' is all their transactions in one histogram. change = (new − old)/old, of new = "
		"(new − old)/new: −40 % and −66.7 % are the same change.");
	if (isfinite(least)) {
		AUTO_FREE char *line = str_format("Intervals are of the median change over the complete "
						  "blocks and cover %.1f %% or more. Verdicts need "
						  "p < 0.05 after Holm over the judged metrics of a cell and "
						  "pair of arms, and a change of the size that "
						  "matters. Exploratory rows get none. False claims to be "
						  "expected in this report: at most %.2g (%zu "
						  "families of tests).",
			least * 100, stat_false_claims_expected(r->families), r->families);
		text_wrap(out, "", line);
	}
}
