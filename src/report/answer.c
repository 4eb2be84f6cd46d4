/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a run has shown, in a sentence for each cell and pair of arms: the worst and the best of what was
 * judged, by how much it changed, and how sure that is.  Then whether the machine could support it: how many
 * trials were as configured, what was left out, what was seen that makes figures mislead.
 *
 * Sizes are those of the typical change (Hodges-Lehmann), which the interval belongs to; the figures of both
 * arms stand beside it.  Where the two disagree in sign the sentence says so and names no size.
 */
#include "text.h"

#include <math.h>
#include <stdio.h>

#define TIMES_LEAST 2 /* from here on a change is told as so many times */

/* The word for more and for less of a metric. */
static const char *direction(enum stat_metric metric, bool more)
{
	const struct stat_metric_row *row = &stat_metrics[metric];

	if (row->unit != STAT_NS)
		return more ? "higher" : "lower";
	if (metric == STAT_LATENCY_SD || metric == STAT_LATENCY_IQR || metric == STAT_JITTER)
		return more ? "larger" : "smaller";
	return more ? "longer" : "shorter";
}

/* "132 times shorter", "4.1 % longer". */
static void size_words(const struct stat_effect *e, struct buf *line)
{
	bool more = e->absolute ? e->difference > 0 : e->ratio > 1;
	double times = e->ratio > 1 ? e->ratio : 1 / e->ratio;
	char text[48];

	if (e->absolute)
		buf_add(line, "%s", text_difference(e->metric, e->difference, text, sizeof(text)));
	else if (times >= TIMES_LEAST)
		buf_add(line, "%.*f times %s", times < 10 ? 1 : 0, times, direction(e->metric, more));
	else
		buf_add(line, "%.1f %% %s", fabs(e->ratio - 1) * 100, direction(e->metric, more));
}

/* "p99.9 4.00 ms → 30.3 µs, 132 times shorter (95 %: −99.3 … −99.1 %)" */
static void effect_words(const struct text_comparison *c, const struct stat_effect *e, struct buf *line)
{
	char old[48], new[48], interval[100];

	text_interval(e, interval, sizeof(interval));
	buf_add(line, "%s %s → %s, ", stat_metrics[e->metric].label,
		text_value(e->metric, c->old_figures[e->metric], old, sizeof(old)),
		text_value(e->metric, c->new_figures[e->metric], new, sizeof(new)));
	if (text_signs_differ(c, e))
		buf_add(line, "which depends on the machine's state");
	else
		size_words(e, line);
	if (*interval)
		buf_add(line, " (95 %% interval %s)", interval);
}

/* The judged effect with this verdict that is furthest from no change; NULL: none. */
static const struct stat_effect *furthest(const struct text_comparison *c, enum stat_verdict verdict)
{
	const struct stat_effect *found = NULL;

	for (size_t i = 0; i < c->n; i++) {
		const struct stat_effect *e = &c->effects[i];

		if (e->primary && e->verdict == verdict && (!found || fabs(e->shift) > fabs(found->shift)))
			found = e;
	}
	return found;
}

static const struct stat_effect *main_effect(const struct text_comparison *c)
{
	enum stat_metric metric = c->kind == STAT_STREAM ? STAT_THROUGHPUT : STAT_LATENCY_MEDIAN;

	for (size_t i = 0; i < c->n; i++)
		if (c->effects[i].metric == metric)
			return &c->effects[i];
	return NULL;
}

/* Nothing was found to differ by as much as matters: what of the median, or throughput, is known then. */
static void nothing_found(const struct text_comparison *c, size_t judged, struct buf *line)
{
	const struct stat_effect *e = main_effect(c);
	char old[48], new[48], word[160], note[160], ignored[160], reason[STAT_REASON_MAX];

	buf_add(line, "%s", judged ? "no difference that matters was shown" : "no verdict");
	if (!e)
		return;
	buf_add(line, "; %s %s → %s", stat_metrics[e->metric].label,
		text_value(e->metric, c->old_figures[e->metric], old, sizeof(old)),
		text_value(e->metric, c->new_figures[e->metric], new, sizeof(new)));
	if (e->verdict == STAT_NOT_ASSESSED) {
		buf_add(line, " (%s)", stat_effect_reason(e, reason, sizeof(reason)));
		return;
	}
	text_interval(e, note, sizeof(note));
	text_verdict(e, word, ignored, sizeof(word));
	buf_add(line, ", %s%s%s", word, *note ? ", 95 % interval " : "", note);
}

static enum doc_mark sentence(const struct text_comparison *c, size_t judged, struct buf *line)
{
	const struct stat_effect *worst = furthest(c, STAT_REGRESSED), *best = furthest(c, STAT_IMPROVED);

	if (worst) {
		buf_add(line, "worse: ");
		effect_words(c, worst, line);
	}
	if (best) {
		buf_add(line, "%sbetter: ", worst ? "; " : "");
		effect_words(c, best, line);
	}
	if (!worst && !best)
		nothing_found(c, judged, line);
	return worst ? DOC_BAD : best ? DOC_GOOD : DOC_PLAIN;
}

static void fact_sentence(const struct text_comparison *c, struct buf *line)
{
	const struct stat_effect *e = main_effect(c);
	char old[48], new[48], text[160];

	if (!e)
		return;
	text_fact(c, e, text, sizeof(text));
	buf_add(line, "%s %s → %s, %s", stat_metrics[e->metric].label,
		text_exact(e->metric, c->old_figures[e->metric], old, sizeof(old)),
		text_exact(e->metric, c->new_figures[e->metric], new, sizeof(new)), text);
}

static void pair_answer(
	const struct report_cell *cell, const struct report_effects *pair, struct doc_node *out)
{
	const struct report_arm *old = &cell->arms[0], *new = &cell->arms[pair->arm];
	const struct text_comparison c = {.kind = cell->kind,
		.closed_loop = !settings_open_loop(&old->settings),
		.old_figures = old->figure,
		.new_figures = new->figure,
		.effects = pair->effects,
		.n = pair->n,
		.same_values = text_same_values(old, new)};
	struct doc_node *node = doc_add(out, DOC_ANSWER);
	AUTO(buf_free) struct buf line = {0};

	if (!old->usable || !new->usable)
		buf_add(&line, "nothing to compare, %s has no usable trial",
			old->usable ? new->name : old->name);
	else if (pair->exact)
		fact_sentence(&c, &line);
	else
		node->tone = sentence(&c, pair->judged, &line);
	doc_piece(&node->text, DOC_STRONG, DOC_NAME, "%s", cell->cell.name);
	if (cell->pairs_n > 1)
		doc_piece(&node->text, DOC_PLAIN, DOC_NAME, ", %s", new->name);
	doc_say(&node->text, ": %s", line.data ? line.data : "");
}

/* Counts over all cells that were measured. */
struct support {
	size_t cells, skipped, trials, usable, verified, flag[REPORT_FLAGS_N];
};

static struct support support_count(const struct report *r)
{
	struct support s = {0};

	for (size_t c = 0; c < r->cells_n; c++) {
		const struct report_cell *cell = &r->cells[c];

		if (report_cell_skipped(cell)) {
			s.skipped++;
			continue;
		}
		s.cells++;
		for (size_t a = 0; a < cell->arms_n; a++) {
			struct report_counts n;

			report_arm_count(&cell->arms[a], &n);
			s.trials += n.trials;
			s.usable += n.usable;
			s.verified += n.verified;
		}
		for (int f = 0; f < REPORT_FLAGS_N; f++)
			s.flag[f] += cell->flag[f];
	}
	return s;
}

/* "Of 60 trials 58 were usable and 60 as configured; bimodal: 2 of 3 cells." */
static void support_words(const struct report *r, struct doc_node *out)
{
	struct support s = support_count(r);
	AUTO(buf_free) struct buf line = {0};

	if (s.trials)
		buf_add(&line, "%zu of %zu trials as configured, %zu usable", s.verified, s.trials, s.usable);
	for (int f = 0; f < REPORT_FLAGS_N; f++)
		if (s.flag[f])
			buf_add(&line, "; %s: %zu of %zu cells", report_flag_rows[f].name, s.flag[f],
				s.cells);
	if (s.skipped)
		buf_add(&line, "%s%zu of %zu cells skipped, with their reasons below", line.len ? "; " : "",
			s.skipped, r->cells_n);
	if (line.len)
		doc_add_line(out, "support", line.data);
}

static void machine_words(const struct report *r, struct doc_node *out)
{
	static const struct {
		const char *key, *word;
	} keys[] = {{"kernel", ""}, {"preempt", ""}, {"hypervisor", "hypervisor "}};
	const json_t *cpus = json_object_get(r->environment, "cpus");
	AUTO(buf_free) struct buf line = {0};

	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		const char *value = json_string_value(json_object_get(r->environment, keys[i].key));

		if (value && *value)
			buf_add(&line, "%s%s%s", line.len ? " · " : "", keys[i].word, value);
	}
	if (json_is_integer(cpus))
		buf_add(&line, "%s%lld %s", line.len ? " · " : "", (long long)json_integer_value(cpus),
			json_integer_value(cpus) == 1 ? "CPU" : "CPUs");
	if (line.len)
		doc_add_line(out, "on", line.data);
}

void report_answer(const struct report *r, struct doc_node *root)
{
	for (size_t c = 0; c < r->cells_n; c++)
		for (size_t p = 0; !report_cell_skipped(&r->cells[c]) && p < r->cells[c].pairs_n; p++)
			pair_answer(&r->cells[c], &r->cells[c].pairs[p], root);
	support_words(r, root);
	machine_words(r, root);
}
