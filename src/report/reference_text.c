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
static void box_cell(struct doc_table *t, size_t column, const struct reference_box *box, double scale)
{
	AUTO(buf_free) struct buf b = {0};

	if (!isfinite(box->median)) {
		doc_field(t, column, DOC_PLAIN, "–");
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
	doc_field(t, column, DOC_PLAIN, b.data);
}

enum { LABEL, OLD, NEW, CHANGE, OF_NEW, DIRECTION };

static void pair_row(struct doc_table *t, const char *label, const struct reference_pair *p, double scale)
{
	char text[48];

	doc_row_add(t);
	doc_field(t, LABEL, DOC_PLAIN, label);
	box_cell(t, OLD, &p->old, scale);
	box_cell(t, NEW, &p->new, scale);
	doc_field(t, CHANGE, DOC_PLAIN, text_change(p->change, text, sizeof(text)));
	doc_field(t, OF_NEW, DOC_PLAIN, text_change(p->change_of_new, text, sizeof(text)));
}

/* "vhost, lab", "here, emulated": what tells it from other cells that stand beside the same figure. */
static void label_of(const struct reference_match *m, char *out, size_t size)
{
	const char *path = m->cell->arms[0].settings.path, *where = m->lab        ? "lab"
								    : m->emulated ? "here, emulated"
										  : "here";

	snprintf(out, size, "%s%s%s", path, *path ? ", " : "", where);
}

static void agreement_cell(struct doc_table *t, enum reference_agreement a)
{
	const char *word = reference_agreements[a];

	doc_field(t, DIRECTION,
		a == REFERENCE_AGREES    ? DOC_GOOD
		: a == REFERENCE_DIFFERS ? DOC_BAD
					 : DOC_PLAIN,
		word ? word : "");
}

/* "bimodal in stock and both: …", one line a fact. */
static void fact_line(
	const struct reference_cell *cell, const bool which[2], const char *text, struct doc_node *out)
{
	AUTO(buf_free) struct buf line = {0};

	if (!which[0] && !which[1])
		return;
	buf_add(&line, "%s%s%s: %s", which[0] ? cell->published.old_name : "",
		which[0] && which[1] ? " and " : "", which[1] ? cell->published.new_name : "", text);
	doc_add_line(out, "published", line.data);
}

static void facts(const struct reference *set, const struct reference_cell *cell, struct doc_node *out)
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
static size_t skipped(const struct report *r, const struct reference_cell *cell, struct doc_node *out)
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
		doc_add_line(out, "skipped", names.data);
	return n;
}

/* The published figure of a cell, and what was measured of such cells. */
static void section(const struct report *r, const struct reference *set, const struct reference_cell *cell,
	struct doc_node *parent)
{
	const double scale = quantities[cell->row->quantity].scale;
	size_t n = 0;
	char label[64];

	AUTO_FREE char *title =
		str_format("%s, %s, %s", cell->row->target, cell->row->attachment, cell->row->workload);
	struct doc_node *out = doc_add_section(parent, title);
	doc_say(&out->text, ": %s, %s", quantities[cell->row->quantity].words,
		quantities[cell->row->quantity].unit);
	struct doc_table *t = doc_add_table(out, 6)->table;
	doc_columns(t, "lrrrrl", "000010",
		(const char *const[]){"", cell->published.old_name, cell->published.new_name, "change",
			"of new", "direction"});
	pair_row(t, "published", &cell->published, scale);
	for (size_t c = 0; c < r->cells_n; c++) {
		struct reference_match m;
		if (report_cell_skipped(&r->cells[c]) || !reference_match(cell, &r->cells[c], &m))
			continue;
		label_of(&m, label, sizeof(label));
		pair_row(t, label, &m.measured, scale);
		agreement_cell(t, m.agreement);
		n++;
	}
	facts(set, cell, out);
	n += skipped(r, cell, out);
	if (!n)
		doc_add_paragraph(out, "nothing was measured beside it");
}

/* How many of the directions that could be compared agree. */
static void summary(const struct report *r, const struct reference *set, struct doc_node *out)
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
	doc_add_paragraph(out, line);
	if (compared && r->run.blocks < INTERVAL_BLOCKS)
		doc_add_paragraph(out,
			"With so few blocks there is no interval: each of these directions may be chance.");
}

/* How the published figures came about, and how the table is to be read: not in a brief report. */
static void there(const struct reference *set, struct doc_node *out)
{
	doc_add_line(out, "there", set->setting);
	out->last->depth = DOC_USUAL;
	doc_add_line(out, "figures", set->boxes);
	out->last->depth = DOC_USUAL;
	doc_add_line(out, "",
		"median [first quartile–third quartile]; of this run the same over its trials, or over all "
		"single round trips. here: on this machine; lab: on emulated hosts. The times of these, and of "
		"an emulated guest here, are the emulation's, so that no size can be compared. Direction: of "
		"the change of the median, which is none below 2 %; unclear where the run's 95 % interval "
		"leaves it open. change = (new − old)/old, of new = (new − "
		"old)/new, which is how the thesis counts.");
	out->last->depth = DOC_USUAL;
}

void report_reference_section(const struct report *r, struct doc_node *root)
{
	const struct reference *set = report_reference(r);
	struct reference_cell cell;

	if (!set)
		return;
	struct doc_node *out = doc_add_section(root, "published figures beside those of this run");
	summary(r, set, out);
	doc_add_line(out, "source", set->title);
	there(set, out);
	for (size_t at = 0; reference_next(set, &at, &cell);)
		section(r, set, &cell, out);
}
