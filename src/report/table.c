/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The table of one arm against another: a row for each metric, the judged ones first.
 *
 * There is no interval below six blocks and no verdict below eight; then the columns are simply missing, and
 * the reason, which is the same for every row, is said once below the table.
 */
#include "text.h"

#include <math.h>
#include <stdio.h>

static const struct {
	const char *word;
	enum text_colour colour;
} verdicts[] = {
	[STAT_NOT_ASSESSED] = {"not assessed", TEXT_PLAIN},
	[STAT_IMPROVED] = {"improved", TEXT_GOOD},
	[STAT_REGRESSED] = {"regressed", TEXT_BAD},
	[STAT_CHANGED_BELOW_THRESHOLD] = {"changed,", TEXT_PLAIN},
	[STAT_EQUIVALENT] = {"equivalent", TEXT_PLAIN},
	[STAT_NO_DIFFERENCE_SHOWN] = {"no difference shown", TEXT_PLAIN},
	[STAT_FACT] = {"fact", TEXT_PLAIN},
};

enum text_colour text_verdict_colour(enum stat_verdict verdict)
{
	return verdicts[verdict].colour;
}

static char *amount(const struct stat_effect *e, double value, char *out, size_t size)
{
	if (e->absolute && stat_metrics[e->metric].unit == STAT_FRACTION)
		snprintf(out, size, "%.3g pp", value * 100);
	else if (e->absolute)
		text_value(e->metric, value, out, size);
	else
		snprintf(out, size, "%.*f %%", value < 0.0995 ? 1 : 0, value * 100);
	return out;
}

void text_verdict(const struct stat_effect *e, char *word, char *note, size_t size)
{
	char delta[48], mde[48];

	amount(e, e->delta, delta, sizeof(delta));
	amount(e, e->mde, mde, sizeof(mde));
	snprintf(word, size, "%s", verdicts[e->verdict].word);
	note[0] = 0;
	if (e->verdict == STAT_EQUIVALENT)
		snprintf(word, size, "equivalent (±%s)", delta);
	else if (e->verdict == STAT_CHANGED_BELOW_THRESHOLD)
		snprintf(note, size, "below threshold (%s)", delta);
	else if (e->verdict == STAT_NO_DIFFERENCE_SHOWN && isfinite(e->mde))
		snprintf(note, size, "(could miss < %s)", mde);
	else if (e->verdict == STAT_NO_DIFFERENCE_SHOWN)
		snprintf(note, size, "(too few blocks to show one)");
	else if (e->verdict == STAT_NOT_ASSESSED)
		/* The number of transactions stands above the table; of emulation tells the legend. */
		stat_effect_reason_note(e, note, size);
}

/* "−13.1 … −11.8 %", or with units of its own on a difference scale. */
static void interval(const struct stat_effect *e, char *out, size_t size)
{
	char low[48], high[48];

	out[0] = 0;
	if (!isfinite(e->ci95[0]) || !isfinite(e->ci95[1]))
		return;
	if (!e->absolute) {
		text_changes(e->ci95[0] - 1, e->ci95[1] - 1, out, size);
		return;
	}
	text_difference(e->metric, e->ci95[0], low, sizeof(low));
	text_difference(e->metric, e->ci95[1], high, sizeof(high));
	snprintf(out, size, "%s … %s", low, high);
}

bool text_silent(const struct text_comparison *c, const struct stat_effect *e)
{
	if (e->metric == STAT_LOSS)
		return !(c->old_figures[STAT_LOSS] > 0) && !(c->new_figures[STAT_LOSS] > 0);
	if (!isfinite(c->old_figures[e->metric]) && !isfinite(c->new_figures[e->metric]))
		return true;
	return e->metric == STAT_RATE && c->closed_loop;
}

enum { METRIC, OLD, NEW, CHANGE, OF_NEW, INTERVAL, P, VERDICT };

/* `alone`: the reason that there is no verdict stands below the table, once for all rows. */
static void effect_row(
	struct text_table *t, const struct text_comparison *c, const struct stat_effect *e, bool alone)
{
	char text[160], note[160];

	text_row(t);
	text_cell(t, METRIC, TEXT_PLAIN, stat_metrics[e->metric].label);
	text_cell(t, OLD, TEXT_PLAIN, text_value(e->metric, c->old_figures[e->metric], text, sizeof(text)));
	text_cell(t, NEW, TEXT_PLAIN, text_value(e->metric, c->new_figures[e->metric], text, sizeof(text)));
	text_cell(t, CHANGE, TEXT_PLAIN,
		e->absolute ? text_difference(e->metric, e->difference, text, sizeof(text))
			    : text_change(e->change, text, sizeof(text)));
	text_cell(
		t, OF_NEW, TEXT_PLAIN, e->absolute ? "" : text_change(e->change_of_new, text, sizeof(text)));
	interval(e, text, sizeof(text));
	text_cell(t, INTERVAL, TEXT_PLAIN, text);
	if (!e->primary)
		return;
	if (isfinite(e->p_holm))
		text_cell(t, P, TEXT_PLAIN, text_p(e->p_holm, text, sizeof(text)));
	text_verdict(e, text, note, sizeof(text));
	if (alone)
		return;
	text_cell(t, VERDICT, text_verdict_colour(e->verdict), text);
	if (!*note)
		return;
	text_row(t);
	text_cell(t, VERDICT, TEXT_DIM, note);
}

/*
 * An effect with the reason that no primary has a verdict, or NULL.  A tail may have one of its own besides
 * (too few transactions).
 */
static const struct stat_effect *common_reason(const struct text_comparison *c)
{
	const struct stat_effect *first = NULL;

	for (size_t i = 0; i < c->n; i++) {
		const struct stat_effect *e = &c->effects[i];

		if (!e->primary || text_silent(c, e))
			continue;
		if (e->verdict != STAT_NOT_ASSESSED)
			return NULL;
		if (stat_metrics[e->metric].quantile > 0)
			continue;
		if (first && !stat_effect_reason_same(first, e))
			return NULL;
		first = e;
	}
	return first;
}

static void header(struct text_table *t, const struct text_comparison *c)
{
	const char *names[] = {
		"", c->old_name, c->new_name, "change", "of new", "95 % interval", "p (Holm)", "verdict"};
	bool judged = false, interval_there = false;

	for (size_t i = 0; i < c->n; i++) {
		judged |= isfinite(c->effects[i].p_holm);
		interval_there |= isfinite(c->effects[i].ci95[0]);
	}
	text_row(t);
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if ((i == INTERVAL && !interval_there) || (i >= P && !judged))
			continue;
		text_cell(t, i, TEXT_DIM, names[i]);
	}
}

void text_comparison(const struct text_comparison *c, const struct report_style *style, struct buf *out)
{
	struct text_table t = {.align = "lrrrrrrl"};
	const struct stat_effect *common = common_reason(c);
	char reason[STAT_REASON_MAX];
	bool explored = false;

	if (c->exact) {
		text_facts(c, style, out);
		return;
	}
	header(&t, c);
	for (size_t i = 0; i < c->n; i++)
		if (c->effects[i].primary && !text_silent(c, &c->effects[i]))
			effect_row(&t, c, &c->effects[i], common != NULL);
	for (size_t i = 0; i < c->n && !style->brief; i++) {
		if (c->effects[i].primary || text_silent(c, &c->effects[i]))
			continue;
		if (!explored) {
			text_row(&t);
			text_cell(&t, METRIC, TEXT_DIM, "exploratory");
		}
		explored = true;
		effect_row(&t, c, &c->effects[i], common != NULL);
	}
	text_table_print(&t, 2, style, out);
	if (common) {
		AUTO_FREE char *line =
			str_format("no verdict: %s", stat_effect_reason(common, reason, sizeof(reason)));
		text_wrap(out, "  ", line);
	}
}
