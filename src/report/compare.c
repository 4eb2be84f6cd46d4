/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Two runs that were made apart.  Whatever drifted between them is in the difference, and no statistics can
 * take it out: so trials are compared unpaired (exact Mann-Whitney, Hodges-Lehmann ratio) under a banner that
 * says so.  What is compared is one arm of one cell in the old run with the arm of the same name in its
 * counterpart in the new one: the cell with the same settings in all arms, or else the one of the same name,
 * for a name tells a cell only from the others of its run.  Nothing drifts on the exact clock: there the
 * difference is a fact, and two runs of one experiment are the same to the last bit.
 */
#include "figures.h"
#include "text.h"

#include <math.h>
#include <stdio.h>

#define BANNER                                                                                               \
	"NOT INTERLEAVED: these runs were made at different times. What drifted between them counts as a "   \
	"difference; "                                                                                       \
	"an experiment with both as arms tells them apart."

#define FACTS "Both runs are on the exact clock, on which nothing drifts: what differs is a fact."

struct match {
	const struct report_cell *old_cell, *new_cell;
	const struct report_arm *old, *new;
	struct report_effects effects;
};

static uint64_t fewest_transactions(const struct report_arm *arm)
{
	uint64_t least = UINT64_MAX;

	for (size_t i = 0; i < arm->trials_n; i++)
		if (arm->trials[i].usable)
			least = MIN(least, arm->trials[i].transactions);
	return least;
}

/* Every usable trial's value, NaN where it has none. */
static double *values_of(const struct report_arm *arm, enum stat_metric metric)
{
	double *values = mem_array(arm->usable, sizeof(*values));
	size_t n = 0;

	for (size_t i = 0; i < arm->trials_n; i++)
		if (arm->trials[i].usable)
			values[n++] = arm->trials[i].value[metric];
	return values;
}

static void test_arms(struct match *m, const struct report_options *options)
{
	struct stat_cell cell = {.kind = m->old_cell->kind,
		.unpaired = true,
		.emulated = m->old->emulated || m->new->emulated,
		.transactions = MIN(fewest_transactions(m->old), fewest_transactions(m->new)),
		.n_a = m->old->usable,
		.n_b = m->new->usable};
	double *a[STAT_METRICS] = {NULL}, *b[STAT_METRICS] = {NULL};

	for (int i = 0; i < STAT_METRICS; i++) {
		if (!isfinite(m->old->figure[i]) || !isfinite(m->new->figure[i]))
			continue;
		cell.a[i] = a[i] = values_of(m->old, (enum stat_metric)i);
		cell.b[i] = b[i] = values_of(m->new, (enum stat_metric)i);
	}
	m->effects.n = stat_cell_compare(&cell, &options->deltas, m->effects.effects);
	for (int i = 0; i < STAT_METRICS; i++) {
		free(a[i]);
		free(b[i]);
	}
}

static void judge(struct match *m, const struct report_options *options)
{
	bool exact[] = {settings_exact(&m->old->settings), settings_exact(&m->new->settings)};

	if (exact[0] && exact[1])
		report_exact_compare(m->old, m->new, m->old_cell->kind, &options->deltas, &m->effects);
	else
		test_arms(m, options);
	if (exact[0] != exact[1])
		report_effects_refuse(&m->effects, STAT_REASON_RUN_EXACT);
	if (m->old_cell->flag[REPORT_RATE_MISSED] || m->new_cell->flag[REPORT_RATE_MISSED])
		report_effects_refuse(&m->effects, STAT_REASON_RATE_MISSED);
	m->effects.judged = report_effects_judged(&m->effects);
}

static bool same_settings(const struct report_arm *a, const struct report_arm *b)
{
	for (size_t i = 0; i < setting_rows_n; i++)
		if (!setting_equal(&a->settings, &b->settings, &setting_rows[i]))
			return false;
	return true;
}

/* Have they the same arms, by name and settings? */
static bool alike(const struct report_cell *a, const struct report_cell *b)
{
	size_t same = 0;

	for (size_t i = 0; i < a->arms_n; i++)
		for (size_t k = 0; k < b->arms_n; k++)
			same += !strcmp(a->arms[i].name, b->arms[k].name) &&
				same_settings(&a->arms[i], &b->arms[k]);
	return same && same == a->arms_n && same == b->arms_n;
}

/* NULL: there is none. */
static const struct report_cell *counterpart(const struct report *in, const struct report_cell *of)
{
	const struct report_cell *named = NULL, *other = NULL;

	for (size_t i = 0; i < in->cells_n; i++) {
		const struct report_cell *c = &in->cells[i];
		bool name = !strcmp(c->cell.name, of->cell.name), same = alike(c, of);
		if (name && same)
			return c;
		if (name)
			named = c;
		else if (same && !other)
			other = c;
	}
	return other ? other : named;
}

/* What both runs have: cells that are each other's counterparts, of one workload, and arms of the same name.
 */
static void each_pair(const struct report *old, const struct report *new,
	void (*fn)(const struct match *pair, void *arg), void *arg)
{
	for (size_t i = 0; i < old->cells_n; i++) {
		const struct report_cell *a = &old->cells[i], *b = counterpart(new, a);

		if (!b || !a->workload || a->workload != b->workload || counterpart(old, b) != a)
			continue;
		for (size_t k = 0; k < a->arms_n; k++)
			for (size_t l = 0; l < b->arms_n; l++)
				if (!strcmp(a->arms[k].name, b->arms[l].name))
					fn(&(struct match){a, b, &a->arms[k], &b->arms[l], {0}}, arg);
	}
}

struct matching {
	struct match *all;
	size_t n;
};

static void add_match(const struct match *pair, void *arg)
{
	struct matching *m = arg;

	if (!pair->old->usable || !pair->new->usable)
		return;
	m->all = mem_grow(m->all, m->n + 1, sizeof(*m->all));
	m->all[m->n++] = *pair;
}

/* All that can be compared, malloc'd. */
static struct match *matches(const struct report *old, const struct report *new, size_t *n)
{
	struct matching m = {0};

	each_pair(old, new, add_match, &m);
	for (size_t i = 0; i < m.n; i++)
		judge(&m.all[i], &new->options);
	*n = m.n;
	return m.all;
}

static void add_not_compared(const struct match *pair, void *arg)
{
	struct buf *out = arg;

	if (pair->old->usable && pair->new->usable)
		return;
	buf_add(out, "%s%s, %s (no usable trial in the %s run)", out->len ? "; " : "",
		pair->old_cell->cell.name, pair->old->name, pair->old->usable ? "new" : "old");
}

static int nothing_in_common(const struct report *old, const struct report *new, struct err *e)
{
	err_set(e, ENOENT,
		"cannot compare run %lld with run %lld: they have no measured cell and arm in common",
		(long long)old->run.id, (long long)new->run.id);
	return err_try(e, "two runs of the same experiment");
}

/* What is set or was found differently on the two sides, "request 1 → 64"; "" when nothing is. */
static void differences(const struct match *m, struct buf *out)
{
	char a[SETTING_NUMBER_MAX], b[SETTING_NUMBER_MAX];

	for (size_t i = 0; i < setting_rows_n; i++) {
		const struct setting_row *row = &setting_rows[i];

		if (setting_equal(&m->old->settings, &m->new->settings, row))
			continue;
		buf_add(out, "%s%s %s → %s", out->len ? ", " : "", row->key,
			setting_text(&m->old->settings, row, a, sizeof(a)),
			setting_text(&m->new->settings, row, b, sizeof(b)));
	}
	for (size_t i = 0; i < report_keys_n; i++) {
		const struct report_key *key = &report_keys[i];

		if (key->setting)
			continue;
		const char *was = report_fact(key, &m->old->facts), *is = report_fact(key, &m->new->facts);
		if (strcmp(was, is) != 0)
			buf_add(out, "%s%s %s → %s", out->len ? ", " : "", key->name, *was ? was : "none",
				*is ? is : "none");
	}
}

static bool all_exact(const struct match *all, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!all[i].effects.exact)
			return false;
	return true;
}

static void match_section(const struct match *m, const struct report_style *style, struct buf *out)
{
	const char *name = m->old_cell->cell.name, *now = m->new_cell->cell.name;
	bool renamed = strcmp(name, now) != 0;
	AUTO_FREE char *title =
		str_format("%s%s%s, %s", name, renamed ? ", now " : "", renamed ? now : "", m->old->name);
	AUTO(buf_free) struct buf other = {0};

	buf_add(out, "\n");
	text_paint(out, style, TEXT_BOLD, title);
	buf_add(out, "  %zu and %zu trials%s\n", m->old->usable, m->new->usable,
		m->effects.exact ? ", exact clock" : "");
	text_comparison(&(struct text_comparison){.kind = m->old_cell->kind,
				.closed_loop = !settings_open_loop(&m->old->settings),
				.old_name = "old",
				.new_name = "new",
				.old_figures = m->old->figure,
				.new_figures = m->new->figure,
				.effects = m->effects.effects,
				.n = m->effects.n,
				.exact = m->effects.exact,
				.same_values = text_same_values(m->old, m->new)},
		style, out);
	if (m->effects.exact && report_exact_identical(m->old, m->new))
		buf_add(out, "  All that was recorded is identical to the last bit.\n");
	differences(m, &other);
	if (other.len)
		text_wrap(out, "  differs in: ", other.data);
}

int report_compare_terminal(const struct report *old, const struct report *new,
	const struct report_style *style, struct buf *out, struct err *e)
{
	size_t n;
	AUTO_FREE struct match *all = matches(old, new, &n);
	char a[32], b[32];

	if (!n)
		return nothing_in_common(old, new, e);
	AUTO_FREE char *both = str_format("old: %s, run %lld, %s · new: %s, run %lld, %s", old->run.name,
		(long long)old->run.id, time_iso8601(old->run.started_ns, a, sizeof(a)), new->run.name,
		(long long)new->run.id, time_iso8601(new->run.started_ns, b, sizeof(b)));
	text_wrap(out, "", both);
	if (all_exact(all, n)) {
		text_wrap(out, "", FACTS);
	} else {
		text_wrap(out, "", BANNER);
		if (!json_equal(old->environment, new->environment))
			text_wrap(out, "",
				"The machine, its kernel or its state differ between the two (--json shows both).");
	}
	for (size_t i = 0; i < n; i++)
		match_section(&all[i], style, out);
	AUTO(buf_free) struct buf rest = {0};
	each_pair(old, new, add_not_compared, &rest);
	if (rest.len)
		text_wrap(out, "not compared: ", rest.data);
	return 0;
}

int report_compare_json(const struct report *old, const struct report *new, json_t **out, struct err *e)
{
	size_t n;
	AUTO_FREE struct match *all = matches(old, new, &n);

	if (!n)
		return nothing_in_common(old, new, e);
	json_t *o = json_object(), *cells = json_array();
	for (size_t i = 0; i < n; i++) {
		const struct match *m = &all[i];
		json_t *cell = json_object(), *effects = json_array();
		struct buf other = {0};

		for (size_t k = 0; k < m->effects.n; k++)
			json_array_append_new(
				effects, report_effect_json(&m->effects.effects[k], "old", "new"));
		differences(m, &other);
		json_object_set_new(cell, "cell", report_text(m->old_cell->cell.name));
		json_object_set_new(cell, "new_cell", report_text(m->new_cell->cell.name));
		json_object_set_new(cell, "arm", report_text(m->old->name));
		json_object_set_new(cell, "trials",
			json_pack("{s:I, s:I}", "old", (json_int_t)m->old->usable, "new",
				(json_int_t)m->new->usable));
		json_object_set_new(
			cell, "set_differently", other.len ? report_text(other.data) : json_null());
		json_object_set_new(cell, "clock", json_string(m->new->settings.clock));
		json_object_set_new(cell, "identical",
			m->effects.exact ? json_boolean(report_exact_identical(m->old, m->new))
					 : json_null());
		json_object_set_new(cell, "effects", effects);
		json_array_append_new(cells, cell);
		buf_free(&other);
	}
	json_object_set_new(o, "schema", json_string("taut.compare/1"));
	json_object_set_new(o, "interleaved", json_false());
	json_object_set_new(o, "warning", all_exact(all, n) ? json_null() : json_string(BANNER));
	json_object_set_new(o, "old", report_run_json(&old->run));
	json_object_set_new(o, "new", report_run_json(&new->run));
	json_object_set_new(o, "old_machine", report_machine_json(old->environment));
	json_object_set_new(o, "new_machine", report_machine_json(new->environment));
	AUTO(buf_free) struct buf rest = {0};
	each_pair(old, new, add_not_compared, &rest);
	json_object_set_new(o, "not_compared", rest.len ? report_text(rest.data) : json_null());
	json_object_set_new(o, "cells", cells);
	*out = o;
	return 0;
}

enum err_exit report_compare_exit_code(const struct report *old, const struct report *new)
{
	size_t n;
	AUTO_FREE struct match *all = matches(old, new, &n);
	bool open = false;

	for (size_t i = 0; i < n; i++) {
		for (size_t k = 0; k < all[i].effects.n; k++)
			if (all[i].effects.effects[k].primary &&
				stat_effect_worse(&all[i].effects.effects[k]))
				return EXIT_GATE;
		open |= !all[i].effects.judged;
	}
	AUTO(buf_free) struct buf rest = {0};
	each_pair(old, new, add_not_compared, &rest);
	open |= rest.len > 0;
	return !n ? EXIT_FAILED : open ? EXIT_NOT_ASSESSED : EXIT_DONE;
}
