/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The table of one arm against another on the exact clock: values to the nanosecond, and what lies between
 * them in words.  There is nothing to infer, so there is no p, no interval and no verdict.
 *
 * Mean and SD come from exact sums.  Medians and percentiles are read from the buckets of a histogram, at
 * most 0.8 % wide: what is smaller than one may be the bucket's, unless both histograms are the same.
 */
#include "text.h"

#include <math.h>
#include <stdio.h>

#define BUCKET (1.0 / HIST_SUB)

/* Is this difference less than the buckets can tell?  A quartile range has two of them at either end. */
static bool within_bucket(const struct text_comparison *c, const struct stat_effect *e)
{
	double median = c->old_figures[STAT_LATENCY_MEDIAN],
	       base = e->metric == STAT_LATENCY_IQR ? 2 * median : c->old_figures[e->metric];

	return stat_metrics[e->metric].binned && !c->same_values && fabs(e->difference) < BUCKET * base;
}

void text_fact(const struct text_comparison *c, const struct stat_effect *e, char *out, size_t size)
{
	bool within = within_bucket(c, e);
	char by[48], old[32], new[32], reason[STAT_REASON_MAX];

	if (e->verdict != STAT_FACT) {
		snprintf(out, size, "not assessed: %s", stat_effect_reason(e, reason, sizeof(reason)));
	} else if (e->difference == 0) {
		snprintf(out, size, "equal%s",
			stat_metrics[e->metric].unit != STAT_NS ? ""
			: within                                ? " within a bucket (0.8 %)"
								: " to the nanosecond");
	} else {
		text_exact_difference(e->metric, e->difference, by, sizeof(by));
		snprintf(out, size, "differs by %s", by);
		size_t n = strlen(out);
		if (isfinite(e->change) && isfinite(e->change_of_new) &&
			stat_metrics[e->metric].unit != STAT_FRACTION)
			snprintf(out + n, size - n, " (%s, of new %s%s)",
				text_change(e->change, old, sizeof(old)),
				text_change(e->change_of_new, new, sizeof(new)),
				within ? "; less than a bucket" : "");
	}
}

enum { METRIC, OLD, NEW, FACT };

void text_facts(const struct text_comparison *c, const struct report_style *style, struct buf *out)
{
	struct text_table t = {.align = "lrrl"};
	char text[160];

	text_row(&t);
	text_cell(&t, OLD, TEXT_DIM, c->old_name);
	text_cell(&t, NEW, TEXT_DIM, c->new_name);
	for (size_t i = 0; i < c->n; i++) {
		const struct stat_effect *e = &c->effects[i];

		if (text_silent(c, e) || (style->brief && !e->primary))
			continue;
		text_row(&t);
		text_cell(&t, METRIC, TEXT_PLAIN, stat_metrics[e->metric].label);
		text_cell(&t, OLD, TEXT_PLAIN,
			text_exact(e->metric, c->old_figures[e->metric], text, sizeof(text)));
		text_cell(&t, NEW, TEXT_PLAIN,
			text_exact(e->metric, c->new_figures[e->metric], text, sizeof(text)));
		text_fact(c, e, text, sizeof(text));
		text_cell(&t, FACT, TEXT_PLAIN, text);
	}
	text_table_print(&t, 2, style, out);
}

bool text_same_values(const struct report_arm *a, const struct report_arm *b)
{
	const struct hist *x = a->response ? a->response : a->service,
			  *y = b->response ? b->response : b->service;

	return x && y && !memcmp(x, y, sizeof(*x));
}

/* Which arms were done more than once, and whether they came out the same. */
void report_repeats(const struct report_cell *cell, struct buf *out)
{
	struct buf line = {0};

	for (size_t i = 0; i < cell->arms_n; i++) {
		const struct report_arm *arm = &cell->arms[i];
		size_t differ = 0;

		if (arm->usable < 2)
			continue;
		buf_add(&line, "%s%s: %zu trials, ", line.len ? " · " : "", arm->name, arm->usable);
		if (report_exact_identical(arm, NULL)) {
			buf_add(&line, "identical to the last bit");
			continue;
		}
		for (int m = 0; m < STAT_METRICS; m++)
			if (!report_exact_repeats(arm, (enum stat_metric)m))
				buf_add(&line, "%s%s", differ++ ? ", " : "NOT identical: they differ in ",
					stat_metrics[m].label);
		if (!differ)
			buf_add(&line, "the same figures, but not the same records");
	}
	if (line.len)
		text_wrap(out, "  repeats   ", line.data);
	buf_free(&line);
}
