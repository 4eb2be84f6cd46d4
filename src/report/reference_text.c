/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Published figures beside measured ones, for people. */
#include "reference.h"
#include "text.h"

#include <math.h>
#include <stdio.h>

static const struct {
	const char *words, *unit;
	double scale; /* of the unit, in base units */
} quantities[REFERENCE_QUANTITIES] = {
	[REFERENCE_THROUGHPUT] = {"throughput of a trial", "Mb/s", 1e6},
	[REFERENCE_MEAN] = {"mean round trip of a trial", "µs", 1e3},
	[REFERENCE_SINGLE] = {"single round trips", "µs", 1e3},
};

#define INTERVAL_BLOCKS 6 /* with fewer there is no interval */

/* Three digits, more only before the point. */
static void add_number(struct buf *b, double value)
{
	buf_add(b, "%.*f", fabs(value) >= 99.95 ? 0 : fabs(value) >= 9.995 ? 1 : 2, value);
}

/* "44.6 [44.3–62.3]"; of one trial there are no quartiles. */
static void box_cell(struct text_table *t, size_t column, const struct reference_box *box, double scale)
{
	AUTO(buf_free) struct buf b = {0};

	if (!isfinite(box->median)) {
		text_cell(t, column, TEXT_PLAIN, "–");
		return;
	}
	add_number(&b, box->median / scale);
	if (box->q1 < box->q3) {
		buf_add(&b, " [");
		add_number(&b, box->q1 / scale);
		buf_add(&b, "–");
		add_number(&b, box->q3 / scale);
		buf_add(&b, "]");
	}
	text_cell(t, column, TEXT_PLAIN, b.data);
}

enum { LABEL, OLD, NEW, CHANGE, OF_NEW, DIRECTION };

static void pair_row(struct text_table *t, const char *label, const struct reference_pair *p, double scale)
{
	char text[48];

	text_row(t);
	text_cell(t, LABEL, TEXT_PLAIN, label);
	box_cell(t, OLD, &p->old, scale);
	box_cell(t, NEW, &p->new, scale);
	text_cell(t, CHANGE, TEXT_PLAIN, text_change(p->change, text, sizeof(text)));
	text_cell(t, OF_NEW, TEXT_PLAIN, text_change(p->change_of_new, text, sizeof(text)));
}

/* "vhost, lab", "here, emulated": what tells it from other cells that stand beside the same figure. */
static void label_of(const struct reference_match *m, char *out, size_t size)
{
	const char *path = m->cell->arms[0].settings.path, *where = m->lab        ? "lab"
								    : m->emulated ? "here, emulated"
										  : "here";

	snprintf(out, size, "%s%s%s", path, *path ? ", " : "", where);
}

static void agreement_cell(struct text_table *t, enum reference_agreement a)
{
	const char *word = reference_agreements[a];

	text_cell(t, DIRECTION,
		a == REFERENCE_AGREES    ? TEXT_GOOD
		: a == REFERENCE_DIFFERS ? TEXT_BAD
					 : TEXT_PLAIN,
		word ? word : "");
}

/* "bimodal in stock and both: …", one line a fact. */
static void fact_line(
	const struct reference_cell *cell, const bool which[2], const char *text, struct buf *out)
{
	AUTO(buf_free) struct buf line = {0};

	if (!which[0] && !which[1])
		return;
	buf_add(&line, "%s%s%s: %s", which[0] ? cell->published.old_name : "",
		which[0] && which[1] ? " and " : "", which[1] ? cell->published.new_name : "", text);
	text_wrap(out, "    published ", line.data);
}

static void facts(const struct reference *set, const struct reference_cell *cell, struct buf *out)
{
	const bool moderated[] = {cell->moderation_of[0] > 0, cell->moderation_of[1] > 0};
	size_t any = moderated[0] ? 0 : 1;

	fact_line(cell, cell->clipped, "at the line rate, so that a larger gain could not show", out);
	fact_line(cell, cell->bimodal, "bimodal, so that the median stands for half of the values", out);
	if (!moderated[any])
		return;
	AUTO_FREE char *text = str_format(
		"%.3g × %.1f µs, the period of the interrupt moderation of its NIC (%.0f interrupts a second)",
		cell->moderation_of[any], set->moderation_ns / 1e3, 1e9 / set->moderation_ns);
	fact_line(cell, moderated, text, out);
}

/* Cells that would stand beside it; the reasons are below.  Returns how many there are. */
static size_t skipped(const struct report *r, const struct reference_cell *cell, struct buf *out)
{
	AUTO(buf_free) struct buf names = {0};
	struct reference_match m;
	size_t n = 0;

	for (size_t c = 0; c < r->cells_n; c++) {
		if (!report_cell_skipped(&r->cells[c]) || !reference_match(cell, &r->cells[c], &m))
			continue;
		buf_add(&names, "%s%s", n++ ? ", " : "", r->cells[c].cell.name);
	}
	buf_add(&names, " (why is said below)");
	if (n)
		text_wrap(out, "    skipped   ", names.data);
	return n;
}

/* The published figure of a cell, and what was measured of such cells. */
static void section(const struct report *r, const struct reference *set, const struct reference_cell *cell,
	const struct report_style *style, struct buf *out)
{
	const double scale = quantities[cell->row->quantity].scale;
	struct text_table t = {.align = "lrrrrl"};
	size_t n = 0;
	char label[64];

	buf_add(out, "\n");
	AUTO_FREE char *title =
		str_format("  %s, %s, %s", cell->row->target, cell->row->attachment, cell->row->workload);
	text_paint(out, style, TEXT_BOLD, title);
	buf_add(out, ": %s, %s\n", quantities[cell->row->quantity].words,
		quantities[cell->row->quantity].unit);
	text_row(&t);
	text_cell(&t, OLD, TEXT_DIM, cell->published.old_name);
	text_cell(&t, NEW, TEXT_DIM, cell->published.new_name);
	text_cell(&t, CHANGE, TEXT_DIM, "change");
	text_cell(&t, OF_NEW, TEXT_DIM, "of new");
	text_cell(&t, DIRECTION, TEXT_DIM, "direction");
	pair_row(&t, "published", &cell->published, scale);
	for (size_t c = 0; c < r->cells_n; c++) {
		struct reference_match m;
		if (report_cell_skipped(&r->cells[c]) || !reference_match(cell, &r->cells[c], &m))
			continue;
		label_of(&m, label, sizeof(label));
		pair_row(&t, label, &m.measured, scale);
		agreement_cell(&t, m.agreement);
		n++;
	}
	text_table_print(&t, 4, style, out);
	facts(set, cell, out);
	n += skipped(r, cell, out);
	if (!n)
		buf_add(out, "    nothing was measured beside it\n");
}

/* How many of the directions that could be compared agree. */
static void summary(const struct report *r, const struct reference *set, struct buf *out)
{
	size_t count[REFERENCE_UNCLEAR + 1] = {0}, figures = 0;
	struct reference_cell cell;

	for (size_t at = 0; reference_next(set, &at, &cell); figures++)
		for (size_t c = 0; c < r->cells_n; c++) {
			struct reference_match m;
			if (!report_cell_skipped(&r->cells[c]) && reference_match(&cell, &r->cells[c], &m))
				count[m.agreement]++;
		}
	size_t compared = count[REFERENCE_AGREES] + count[REFERENCE_DIFFERS] + count[REFERENCE_UNCLEAR];
	AUTO_FREE char *line =
		str_format("%zu of %zu directions that can be compared agree, %zu differ, %zu are "
			   "unclear; %zu figures are published.",
			count[REFERENCE_AGREES], compared, count[REFERENCE_DIFFERS], count[REFERENCE_UNCLEAR],
			figures);
	text_wrap(out, "  ", line);
	if (compared && r->run.blocks < INTERVAL_BLOCKS)
		text_wrap(out, "  ",
			"With so few blocks there is no interval: each of these directions may be chance.");
}

void report_reference_terminal(const struct report *r, const struct report_style *style, struct buf *out)
{
	const struct reference *set = report_reference(r);
	struct reference_cell cell;

	if (!set)
		return;
	buf_add(out, "\n");
	text_paint(out, style, TEXT_BOLD, "published figures beside those of this run");
	buf_add(out, "\n");
	summary(r, set, out);
	text_wrap(out, "  source    ", set->title);
	if (!style->brief) {
		text_wrap(out, "  there     ", set->setting);
		text_wrap(out, "  figures   ", set->boxes);
		text_wrap(out, "            ",
			"median [first quartile–third quartile]; of this run the same over its trials, or over all "
			"single round trips. here: on this machine; lab: on emulated hosts. The times of these, and of "
			"an emulated guest here, are the emulation's, so that no size can be compared. Direction: of "
			"the change of the median, which is none below 2 %; unclear where the run's 95 % interval "
			"leaves it open. change = (new − old)/old, of new = (new − "
			"old)/new, which is how the thesis counts.");
	}
	for (size_t at = 0; reference_next(set, &at, &cell);)
		section(r, set, &cell, style, out);
}
