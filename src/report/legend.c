/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What stands below a run's tables: how to read them, and what they cannot show. */
#include "text.h"

#include <math.h>
#include <stdio.h>

static char *figure(const struct report_arm *arm, enum stat_metric metric, char *out, size_t size)
{
	return settings_exact(&arm->settings) ? text_exact(metric, arm->figure[metric], out, size)
					      : text_value(metric, arm->figure[metric], out, size);
}

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
		text_cell(&t, 0, TEXT_PLAIN, stat_metrics[m].label);
		text_cell(&t, 1, TEXT_PLAIN, figure(arm, (enum stat_metric)m, text, sizeof(text)));
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

			if (pair->exact)
				continue;
			*pairs = true;
			for (size_t i = 0; i < pair->n; i++)
				if (!(pair->effects[i].coverage >= least))
					least = isfinite(pair->effects[i].coverage)
							? pair->effects[i].coverage
							: least;
		}
	return least;
}

/* What the clocks of this report are worth. */
static void clocks(const struct report *r, struct buf *out)
{
	bool exact = false, emulated = false, judged = false;

	for (size_t c = 0; c < r->cells_n; c++)
		for (size_t a = 0; !report_cell_skipped(&r->cells[c]) && a < r->cells[c].arms_n; a++) {
			const struct report_arm *arm = &r->cells[c].arms[a];

			exact |= settings_exact(&arm->settings);
			emulated |= arm->emulated || host_of(&arm->settings)->emulated;
			judged |= arm->emulated && !settings_exact(&arm->settings);
		}
	if (emulated) {
		buf_add(out, "\n");
		text_wrap(out, "",
			"The times of emulated machines are the emulation's, not those of any hardware: "
			"only comparisons among them, inside this run, mean anything.");
	}
	if (judged)
		text_wrap(out, "",
			"Of what ran under tcg only median and SD are judged, of a stream the throughput.");
	if (exact)
		text_wrap(out, "",
			"On the exact clock one nanosecond is one executed instruction, and time in which nothing is done is skipped.  "
			"One trial of an arm is the answer, and what differs is a fact: it comes out the same again.  "
			"It is one of this sequence of events: "
			"with another count or warm-up other ticks and timers fall among them, which medians hardly feel and rare percentiles do.  "
			"The clock does not know caches, memory latency, parallelism (there is one CPU) or devices; "
			"arms which partition or isolate CPUs make no sense on it.  Mean, SD, min and max are exact; "
			"medians and percentiles are read from buckets at most 0.8 % wide.  Times are round trips; "
			"the first percentage is (new − old)/old, 'of new' is (new − old)/new.");
}

void report_legend(const struct report *r, const struct report_style *style, struct buf *out)
{
	bool pairs;
	double least = coverage(r, &pairs);

	if (stall_hidden(r)) {
		buf_add(out, "\n");
		text_wrap(out, "note: ",
			"a closed loop cannot show a stall in its percentiles: "
			"while the system stands still, no request is sent. See max, or run an open loop (rate).");
	}
	if (!style->brief)
		clocks(r, out);
	if (style->brief || !pairs)
		return;
	buf_add(out, "\n");
	text_wrap(out, "",
		"Times are round trips. A figure is the median over an arm's trials of each trial's own; "
		"'merged' is all their transactions in one histogram. "
		"change = (new − old)/old, of new = (new − old)/new: −40 % and −66.7 % are the same change.");
	if (isfinite(least)) {
		AUTO_FREE char *line = str_format(
			"Intervals are of the median change over the complete blocks and cover %.1f %% or more. "
			"Verdicts need p < 0.05 after Holm over the judged metrics of a cell and pair of arms, and a change of the size that matters. "
			"Exploratory rows get none. False claims to be expected in this report: "
			"at most %.2g (%zu families of tests).",
			least * 100, stat_false_claims_expected(r->families), r->families);
		text_wrap(out, "", line);
	}
}
