/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A published figure and a measured one are comparable as far as they are figures of the same thing: a box of
 * means of trials is set beside a box of means of trials, one of single round trips beside one of single
 * round trips.  The machines are others, so sizes are shown and only the direction of a change is compared:
 * up, down, or less than SAME either way.  Where the run has an interval of the change, a direction that the
 * interval leaves open is unclear: up or down where it holds both, none where it goes beyond SAME.
 */
#include "reference.h"

#include "figures.h"

#include <assert.h>
#include <math.h>

#define SAME      0.02      /* a smaller change is none, as in verdicts on medians */
#define CLIPPED   0.99      /* of what the link carries */
#define ONE_SIDED (2.0 / 3) /* of the range */
#define WIDE      0.1       /* of the median */

const char *const reference_directions[] = {[REFERENCE_UNKNOWN] = NULL,
	[REFERENCE_DOWN] = "down",
	[REFERENCE_SAME] = "none",
	[REFERENCE_UP] = "up"};
const char *const reference_agreements[] = {[REFERENCE_OPEN] = NULL,
	[REFERENCE_AGREES] = "agrees",
	[REFERENCE_DIFFERS] = "differs",
	[REFERENCE_UNCLEAR] = "unclear"};

/* --- published --------------------------------------------------------------------------------- */

static void pair_close(struct reference_pair *p)
{
	p->change = p->new.median / p->old.median - 1;
	p->change_of_new = 1 - p->old.median / p->new.median;
	if (isfinite(p->change))
		p->direction = fabs(p->change) < SAME ? REFERENCE_SAME
			       : p->change > 0        ? REFERENCE_UP
						      : REFERENCE_DOWN;
}

static bool same_cell(const struct reference_row *a, const struct reference_row *b)
{
	return !strcmp(a->workload, b->workload) && !strcmp(a->target, b->target) &&
	       !strcmp(a->attachment, b->attachment);
}

/* Most of a wide range lies between the median and a quartile: half of the values are elsewhere. */
static bool one_sided(const struct reference_box *b)
{
	return b->max - b->min > WIDE * b->median &&
	       MAX(b->q3 - b->median, b->median - b->q1) > ONE_SIDED * (b->max - b->min);
}

bool reference_next(const struct reference *set, size_t *at, struct reference_cell *out)
{
	if (*at + 1 >= set->rows_n)
		return false;
	const struct reference_row *rows = &set->rows[*at];
	const struct workload_row *w = workload_find(rows->workload);
	bool datagrams = w && w->datagrams;
	double ceiling = report_ceiling_bps(set->line_rate_bps, set->mtu, false, datagrams);

	assert(same_cell(&rows[0], &rows[1]));
	*at += 2;
	*out = (struct reference_cell){.row = rows,
		.published = {.old_name = rows[0].arm,
			.new_name = rows[1].arm,
			.old = rows[0].box,
			.new = rows[1].box}};
	pair_close(&out->published);
	for (size_t i = 0; i < 2; i++) {
		const struct reference_box *b = &rows[i].box;
		bool throughput = rows[i].quantity == REFERENCE_THROUGHPUT;
		out->clipped[i] = throughput && b->median >= CLIPPED * ceiling;
		out->bimodal[i] = one_sided(b);
		out->moderation_of[i] = throughput ? 0 : report_periods(b->median, set->moderation_ns);
	}
	return true;
}

/* --- measured ---------------------------------------------------------------------------------- */

static const enum stat_metric metrics[REFERENCE_QUANTITIES] = {
	[REFERENCE_THROUGHPUT] = STAT_THROUGHPUT,
	[REFERENCE_MEAN] = STAT_LATENCY_MEAN,
	[REFERENCE_SINGLE] = STAT_LATENCY_MEDIAN, /* whose effect is that of the medians */
};

static struct reference_box box_of(const struct report_arm *arm, enum reference_quantity quantity)
{
	struct reference_box none = {NAN, NAN, NAN, NAN, NAN};
	const struct hist *h = arm->response ? arm->response : arm->service;
	size_t n;
	AUTO_FREE double *x = report_arm_values(arm, metrics[quantity], &n);

	if (!n || (quantity == REFERENCE_SINGLE && !h))
		return none;
	if (quantity == REFERENCE_SINGLE)
		return (struct reference_box){(double)h->min, hist_quantile(h, 0.25), hist_quantile(h, 0.5),
			hist_quantile(h, 0.75), (double)h->max};
	return (struct reference_box){stat_quantile(x, n, 0), stat_quantile(x, n, 0.25), stat_median(x, n),
		stat_quantile(x, n, 0.75), stat_quantile(x, n, 1)};
}

static const struct report_arm *arm_find(const struct report_cell *cell, const char *name)
{
	for (size_t i = 0; i < cell->arms_n; i++)
		if (!strcmp(cell->arms[i].name, name))
			return &cell->arms[i];
	return NULL;
}

/* Does the interval of the change leave this direction open?  False where there is no interval.  The old arm
 * need not be the cell's baseline, so that the change is measured here. */
static bool open_direction(const struct report_cell *cell, const struct report_arm *const arms[2],
	enum stat_metric metric, enum reference_direction direction)
{
	const double *old = arms[0]->paired[metric], *new = arms[1]->paired[metric];
	struct stat_effect e;

	if (!old || !new || settings_exact(&arms[0]->settings) || settings_exact(&arms[1]->settings))
		return false;
	stat_effect_measure(metric, old, new, cell->blocks_complete, &e);
	if (e.absolute || !isfinite(e.ci95[0]))
		return false;
	return direction == REFERENCE_SAME ? e.ci95[0] <= 1 - SAME || e.ci95[1] >= 1 + SAME
					   : e.ci95[0] < 1 && e.ci95[1] > 1;
}

/* Where both published arms stand at a limit of the hardware, no direction could show. */
static bool limited(const struct reference_cell *published)
{
	return (published->clipped[0] && published->clipped[1]) ||
	       (published->moderation_of[0] > 0 && published->moderation_of[1] > 0);
}

static enum reference_agreement agreement(const struct reference_cell *published,
	const struct reference_match *m, const struct report_arm *const arms[2])
{
	if (m->measured.direction == REFERENCE_UNKNOWN || limited(published))
		return REFERENCE_OPEN;
	if (open_direction(m->cell, arms, metrics[published->row->quantity], m->measured.direction))
		return REFERENCE_UNCLEAR;
	return m->measured.direction == published->published.direction ? REFERENCE_AGREES : REFERENCE_DIFFERS;
}

bool reference_match(
	const struct reference_cell *published, const struct report_cell *cell, struct reference_match *out)
{
	const struct reference_row *row = published->row;
	const struct report_arm *const arms[] = {
		arm_find(cell, published->published.old_name), arm_find(cell, published->published.new_name)};
	struct reference_box *boxes[] = {&out->measured.old, &out->measured.new};
	const struct settings *s = cell->arms_n ? &cell->arms[0].settings : NULL;

	if (!s || strcmp(s->workload, row->workload) || strcmp(s->target, row->target) ||
		strcmp(s->attachment, row->attachment) || settings_open_loop(s) || (!arms[0] && !arms[1]))
		return false;
	*out = (struct reference_match){.cell = cell,
		.measured = {.old_name = published->published.old_name,
			.new_name = published->published.new_name}};
	for (size_t i = 0; i < 2; i++) {
		*boxes[i] = (struct reference_box){NAN, NAN, NAN, NAN, NAN};
		if (!arms[i])
			continue;
		*boxes[i] = box_of(arms[i], row->quantity);
		out->trials += arms[i]->usable;
		out->lab |= host_of(&arms[i]->settings)->emulated;
		out->emulated |= arms[i]->emulated || out->lab;
	}
	pair_close(&out->measured);
	out->agreement = agreement(published, out, arms);
	return true;
}

/* --- of a run ---------------------------------------------------------------------------------- */

static const struct reference *find(const char *name)
{
	for (size_t i = 0; name && i < reference_sets_n; i++)
		if (!strcmp(reference_sets[i].name, name))
			return &reference_sets[i];
	return NULL;
}

const struct reference *report_reference(const struct report *r)
{
	return find(json_string_value(json_object_get(r->spec, "reference")));
}

int report_reference_check(const char *name, struct err *e)
{
	const char *names[8];
	size_t n = 0;

	if (!*name || find(name))
		return 0;
	for (; n < MIN(reference_sets_n, ARRAY_LEN(names)); n++)
		names[n] = reference_sets[n].name;
	AUTO_FREE char *known = str_list(names, n, "or");
	return err_usage(e, "cannot set the figures of '%s' beside a run: it is %s", name, known);
}

/* --- JSON -------------------------------------------------------------------------------------- */

static json_t *text_or_null(const char *text)
{
	return text ? json_string(text) : json_null();
}

static json_t *box_json(const struct reference_box *b)
{
	if (!isfinite(b->median))
		return json_null();
	return json_pack("{s:f, s:f, s:f, s:f, s:f}", "min", b->min, "q1", b->q1, "median", b->median, "q3",
		b->q3, "max", b->max);
}

static json_t *pair_json(const struct reference_pair *p)
{
	json_t *o = json_object(), *arms = json_object();

	json_object_set_new(arms, p->old_name, box_json(&p->old));
	json_object_set_new(arms, p->new_name, box_json(&p->new));
	json_object_set_new(o, "arms", arms);
	json_object_set_new(o, "change", report_number(p->change));
	json_object_set_new(o, "change_of_new", report_number(p->change_of_new));
	json_object_set_new(o, "direction", text_or_null(reference_directions[p->direction]));
	return o;
}

static json_t *arms_json(const struct reference_cell *cell, const bool which[2])
{
	const char *const names[] = {cell->published.old_name, cell->published.new_name};
	json_t *list = json_array();

	for (size_t i = 0; i < 2; i++)
		if (which[i])
			json_array_append_new(list, json_string(names[i]));
	return list;
}

static json_t *matches_json(const struct report *r, const struct reference_cell *published)
{
	json_t *list = json_array();

	for (size_t c = 0; c < r->cells_n; c++) {
		struct reference_match m;
		if (report_cell_skipped(&r->cells[c]) || !reference_match(published, &r->cells[c], &m))
			continue;
		json_t *o = pair_json(&m.measured);
		json_object_set_new(o, "cell", report_text(m.cell->cell.name));
		json_object_set_new(o, "trials", json_integer((json_int_t)m.trials));
		json_object_set_new(o, "emulated", json_boolean(m.emulated));
		json_object_set_new(o, "agreement", text_or_null(reference_agreements[m.agreement]));
		json_array_append_new(list, o);
	}
	return list;
}

static json_t *cell_json(const struct report *r, const struct reference_cell *cell)
{
	static const char *const quantities[] = {
		[REFERENCE_THROUGHPUT] = "throughput_bps",
		[REFERENCE_MEAN] = "mean_ns",
		[REFERENCE_SINGLE] = "round_trip_ns",
	};
	const bool moderated[] = {cell->moderation_of[0] > 0, cell->moderation_of[1] > 0};
	json_t *published = pair_json(&cell->published);

	json_object_set_new(published, "line_rate", arms_json(cell, cell->clipped));
	json_object_set_new(published, "bimodal", arms_json(cell, cell->bimodal));
	json_object_set_new(published, "moderated", arms_json(cell, moderated));
	return json_pack("{s:s, s:s, s:s, s:s, s:o, s:o}", "workload", cell->row->workload, "target",
		cell->row->target, "attachment", cell->row->attachment, "quantity",
		quantities[cell->row->quantity], "published", published, "measured", matches_json(r, cell));
}

json_t *report_reference_json(const struct report *r)
{
	const struct reference *set = report_reference(r);
	struct reference_cell cell;
	json_t *cells;

	if (!set)
		return json_null();
	cells = json_array();
	for (size_t at = 0; reference_next(set, &at, &cell);)
		json_array_append_new(cells, cell_json(r, &cell));
	return json_pack("{s:s, s:s, s:s, s:s, s:o}", "name", set->name, "title", set->title, "setting",
		set->setting, "boxes", set->boxes, "cells", cells);
}
