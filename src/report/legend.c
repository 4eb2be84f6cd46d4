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

void report_arm_alone(const struct report_arm *arm, struct doc_node *out)
{
	struct doc_table *t = doc_add_table(out, 2)->table;
	char text[48];

	doc_columns(t, "lr", "", (const char *const[]){"", arm->name});
	for (int m = 0; m < STAT_METRICS; m++) {
		if (!isfinite(arm->figure[m]))
			continue;
		doc_row_add(t);
		doc_field(t, 0, DOC_PLAIN, stat_metrics[m].label);
		doc_field(t, 1, DOC_PLAIN, figure(arm, (enum stat_metric)m, text, sizeof(text)));
	}
	doc_add_paragraph(out, "one arm: nothing to compare it with");
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
static void clocks(const struct report *r, struct doc_node *out)
{
	bool exact = false, emulated = false, judged = false;

	for (size_t c = 0; c < r->cells_n; c++)
		for (size_t a = 0; !report_cell_skipped(&r->cells[c]) && a < r->cells[c].arms_n; a++) {
			const struct report_arm *arm = &r->cells[c].arms[a];

			exact |= settings_exact(&arm->settings);
			emulated |= arm->emulated || host_of(&arm->settings)->emulated;
			judged |= arm->emulated && !settings_exact(&arm->settings);
		}
	if (emulated)
		doc_add_paragraph(out,
			"The times of emulated machines are the emulation's, not those of any hardware: "
			"only comparisons among them, inside this run, mean anything.");
	if (judged)
		doc_add_paragraph(out,
			"Of what ran under tcg only median and SD are judged, of a stream the throughput.");
	if (exact)
		doc_add_paragraph(out,
			"On the exact clock one nanosecond is one executed instruction, and time in which nothing is done is skipped.  "
			"One trial of an arm is the answer, and what differs is a fact: it comes out the same again.  "
			"It is one of this sequence of events: "
			"with another count or warm-up other ticks and timers fall among them, which medians hardly feel and rare percentiles do.  "
			"The clock does not know caches, memory latency, parallelism (there is one CPU) or devices; "
			"arms which partition or isolate CPUs make no sense on it.  Mean, SD, min and max are exact; "
			"medians and percentiles are read from buckets at most 0.8 % wide.  Times are round trips; "
			"the first percentage is (new − old)/old, 'of new' is (new − old)/new.");
}

/* Claims that a true "nothing changed" could still bring about, besides those of the judged metrics. */
struct claims {
	size_t between, equivalent; /* comparisons between trials that were judged; words "equivalent" */
};

static struct claims claims_count(const struct report *r)
{
	struct claims n = {0};

	for (size_t c = 0; c < r->cells_n; c++)
		for (size_t p = 0; p < r->cells[c].pairs_n; p++) {
			const struct report_effects *pair = &r->cells[c].pairs[p];

			n.between += !pair->exact && pair->run_to_run.judged;
			for (size_t i = 0; i < pair->n; i++)
				n.equivalent += pair->effects[i].verdict == STAT_EQUIVALENT;
		}
	return n;
}

static void false_claims(const struct report *r, struct doc_node *out)
{
	struct claims n = claims_count(r);
	AUTO(buf_free) struct buf line = {0};

	buf_add(&line,
		"False claims of a difference to be expected in this report if nothing differs: at most %.2g "
		"(%zu families of tests",
		stat_false_claims_expected(r->families + n.between), r->families);
	if (n.between)
		buf_add(&line, " and %zu of the lines 'between', each at 5 %%", n.between);
	buf_add(&line, ").");
	if (n.equivalent)
		buf_add(&line,
			" Of a metric that does differ by as much as matters, 'equivalent' is said in "
			"at most 5 %% of runs; it stands here %zu %s.",
			n.equivalent, n.equivalent == 1 ? "time" : "times");
	doc_add_paragraph(out, line.data);
}

/* How the figures of arms that were compared by inference are to be read. */
static void method(const struct report *r, double least, struct doc_node *out)
{
	doc_add_paragraph(out,
		"Times are round trips. A figure is the median over an arm's trials of each trial's own; "
		"'merged' is all their transactions in one histogram. "
		"The change is the typical one, (new − old)/old of the blocks: the Hodges-Lehmann estimate. "
		"It is not computed from the two figures beside it; "
		"where the two have different signs, the change depends on the state that the machine is in.");
	if (!isfinite(least))
		return;
	AUTO_FREE char *line = str_format(
		"The intervals are of the typical change. They are made to cover it in %.1f %% of runs or more, "
		"as long as blocks differ by chance alone, and in fewer where the change depends on the machine's state. "
		"Verdicts need p < 0.05 after Holm over the judged metrics of a cell and pair of arms, "
		"and a change of the size that matters. Exploratory rows get none.",
		least * 100);
	doc_add_paragraph(out, line);
	false_claims(r, out);
}

void report_legend(const struct report *r, struct doc_node *root)
{
	bool pairs;
	double least = coverage(r, &pairs);

	if (stall_hidden(r))
		doc_add_note(doc_add(root, DOC_SECTION),
			"a closed loop cannot show a stall in its percentiles: "
			"while the system stands still, no request is sent. See max, or run an open loop (rate).");
	struct doc_node *out = doc_add_section(root, "how to read this");
	out->depth = DOC_USUAL;
	clocks(r, out);
	if (pairs)
		method(r, least, out);
}
