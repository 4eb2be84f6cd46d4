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

#define SIGN_LEAST 0.0005 /* smaller changes are printed without a sign */

static const struct {
	const char *word;
	enum doc_mark mark;
} verdicts[] = {
	[STAT_NOT_ASSESSED] = {"not assessed", DOC_PLAIN},
	[STAT_IMPROVED] = {"improved", DOC_GOOD},
	[STAT_REGRESSED] = {"regressed", DOC_BAD},
	[STAT_CHANGED_BELOW_THRESHOLD] = {"changed below threshold", DOC_PLAIN},
	[STAT_EQUIVALENT] = {"equivalent", DOC_PLAIN},
	[STAT_NO_DIFFERENCE_SHOWN] = {"no difference shown", DOC_PLAIN},
	[STAT_FACT] = {"fact", DOC_PLAIN},
};

enum doc_mark text_verdict_mark(enum stat_verdict verdict)
{
	return verdicts[verdict].mark;
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

/* "−13.1 … −11.8 %", or with units of its own on a difference scale. */
void text_interval(const struct stat_effect *e, char *out, size_t size)
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

/* What can be said where no difference was shown: how large it is not. */
static void excluded(const struct stat_effect *e, char *out, size_t size)
{
	char low[48], high[48];

	if (e->absolute) {
		text_difference(e->metric, e->ci95[0], low, sizeof(low));
		text_difference(e->metric, e->ci95[1], high, sizeof(high));
	} else {
		text_change(e->ci95[0] - 1, low, sizeof(low));
		text_change(e->ci95[1] - 1, high, sizeof(high));
	}
	snprintf(out, size, "(excludes < %s, > %s)", low, high);
}

bool text_signs_differ(const struct text_comparison *c, const struct stat_effect *e)
{
	double old = c->old_figures[e->metric], new = c->new_figures[e->metric];
	double seen = e->absolute ? new - old : new / old - 1,
	       typical = e->absolute ? e->difference : e->change;
	double least = e->absolute ? 0 : SIGN_LEAST;

	return isfinite(seen) && isfinite(typical) && fabs(seen) > least && fabs(typical) > least &&
	       (seen < 0) != (typical < 0);
}

void text_verdict(const struct stat_effect *e, char *word, char *note, size_t size)
{
	char delta[48];

	amount(e, e->delta, delta, sizeof(delta));
	snprintf(word, size, "%s", verdicts[e->verdict].word);
	note[0] = 0;
	if (e->verdict == STAT_EQUIVALENT)
		snprintf(word, size, "equivalent (±%s)", delta);
	else if (e->verdict == STAT_CHANGED_BELOW_THRESHOLD)
		snprintf(note, size, "(of %s)", delta);
	else if (e->verdict == STAT_NO_DIFFERENCE_SHOWN && isfinite(e->ci95[0]) && isfinite(e->ci95[1]))
		excluded(e, note, size);
	else if (e->verdict == STAT_NO_DIFFERENCE_SHOWN)
		snprintf(note, size, "(too few blocks to show one)");
	else if (e->verdict == STAT_NOT_ASSESSED)
		/* The number of transactions stands above the table; of emulation tells the legend. */
		stat_effect_reason_note(e, note, size);
}

bool text_silent(const struct text_comparison *c, const struct stat_effect *e)
{
	if (e->metric == STAT_LOSS)
		return !(c->old_figures[STAT_LOSS] > 0) && !(c->new_figures[STAT_LOSS] > 0);
	if (!isfinite(c->old_figures[e->metric]) && !isfinite(c->new_figures[e->metric]))
		return true;
	return e->metric == STAT_RATE && c->closed_loop;
}

enum { METRIC, OLD, NEW, CHANGE, INTERVAL, P, VERDICT, COLUMNS };

/* The words of a verdict about runs that were made apart, which is none about the arms. */
static void apart_words(const struct stat_effect *e, char *word, size_t size)
{
	if (e->verdict == STAT_IMPROVED || e->verdict == STAT_REGRESSED)
		snprintf(word, size, "differs, %s", e->verdict == STAT_IMPROVED ? "better" : "worse");
	else if (e->verdict == STAT_CHANGED_BELOW_THRESHOLD)
		snprintf(word, size, "differs below threshold");
}

static void verdict_fields(struct doc_table *t, const struct text_comparison *c, const struct stat_effect *e)
{
	char word[160], note[160];

	text_verdict(e, word, note, sizeof(word));
	if (c->apart)
		apart_words(e, word, sizeof(word));
	doc_field(t, VERDICT, c->apart ? DOC_PLAIN : text_verdict_mark(e->verdict), word);
	doc_field_note(t, VERDICT, note);
}

/* `alone`: the reason that there is no verdict stands below the table, once for all rows. */
static void effect_row(
	struct doc_table *t, const struct text_comparison *c, const struct stat_effect *e, bool alone)
{
	char text[160];

	doc_row_add(t)->depth = e->primary ? DOC_BRIEF : DOC_USUAL;
	doc_field(t, METRIC, DOC_PLAIN, stat_metrics[e->metric].label);
	doc_field(t, OLD, DOC_PLAIN, text_value(e->metric, c->old_figures[e->metric], text, sizeof(text)));
	doc_field(t, NEW, DOC_PLAIN, text_value(e->metric, c->new_figures[e->metric], text, sizeof(text)));
	doc_field(t, CHANGE, DOC_PLAIN,
		e->absolute ? text_difference(e->metric, e->difference, text, sizeof(text))
			    : text_change(e->change, text, sizeof(text)));
	text_interval(e, text, sizeof(text));
	doc_field(t, INTERVAL, DOC_PLAIN, text);
	if (e->primary && isfinite(e->p_holm))
		doc_field(t, P, DOC_PLAIN, text_p(e->p_holm, text, sizeof(text)));
	if (e->primary && !alone)
		verdict_fields(t, c, e);
	if (text_signs_differ(c, e))
		doc_field_note(t, VERDICT,
			e->primary && !alone && t->rows[t->rows_n - 1].fields[VERDICT].note.n
				? "; depends on the machine's state"
				: "depends on the machine's state");
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

void text_comparison(const struct text_comparison *c, struct doc_node *out)
{
	const struct stat_effect *common = common_reason(c);
	char reason[STAT_REASON_MAX];
	bool explored = false;

	if (c->exact) {
		text_facts(c, out);
		return;
	}
	struct doc_table *t = doc_add_table(out, COLUMNS)->table;
	doc_columns(t, "lrrrrrl", "0001230",
		(const char *const[]){
			"", c->old_name, c->new_name, "change", "95 % interval", "p (Holm)", "verdict"});
	for (size_t i = 0; i < c->n; i++)
		if (c->effects[i].primary && !text_silent(c, &c->effects[i]))
			effect_row(t, c, &c->effects[i], common != NULL);
	for (size_t i = 0; i < c->n; i++) {
		if (c->effects[i].primary || text_silent(c, &c->effects[i]))
			continue;
		if (!explored) {
			struct doc_row *group = doc_row_add(t);
			group->group = true;
			group->depth = DOC_USUAL;
			doc_field(t, METRIC, DOC_DIM, "exploratory");
		}
		explored = true;
		effect_row(t, c, &c->effects[i], common != NULL);
	}
	if (common)
		doc_say(&doc_add(out, DOC_PARAGRAPH)->text, "no verdict: %s",
			stat_effect_reason(common, reason, sizeof(reason)));
}
