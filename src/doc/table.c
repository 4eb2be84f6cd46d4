/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A table on a terminal.  Columns are as wide as what is in them, and empty ones are left out.  Where that is
 * too wide for the terminal, these things happen until it fits: a last column of words goes below the others;
 * columns draw together; columns give way, the highest number first, and a line says which.  No field is
 * ever broken but one of words, between words.
 */
#include "doc.h"

#include <stdlib.h>
#include <string.h>

struct layout {
	const struct doc_table *table;
	size_t indent, gap, n; /* blanks before the first column and between two; columns side by side */
	size_t *widths;        /* 0: not shown */
	bool *gone;            /* gave way */
};

static const char *field_plain(const struct doc_text *text, char **made)
{
	free(*made);
	*made = str_printable(doc_plain(text));
	return *made;
}

static bool shown(const struct doc_row *row, const struct doc_style *style)
{
	return row->depth <= style->depth;
}

static void measure(struct layout *l, const struct doc_style *style)
{
	const struct doc_table *t = l->table;
	AUTO_FREE char *made = NULL;

	for (size_t r = 0; r < t->rows_n; r++)
		for (size_t c = 0; shown(&t->rows[r], style) && c < t->columns_n; c++) {
			const struct doc_field *f = &t->rows[r].fields[c];

			if (!t->rows[r].group)
				l->widths[c] = MAX(l->widths[c], doc_width(field_plain(&f->text, &made)));
			l->widths[c] = MAX(l->widths[c], doc_width(field_plain(&f->note, &made)));
		}
	for (size_t c = 0; c < t->columns_n; c++)
		if (l->widths[c])
			l->widths[c] = MAX(l->widths[c], doc_width(field_plain(&t->columns[c].title, &made)));
}

static size_t total(const struct layout *l)
{
	size_t width = l->indent, printed = 0;

	for (size_t c = 0; c < l->n; c++)
		width += l->widths[c] && !l->gone[c] ? l->widths[c] + (printed++ ? l->gap : 0) : 0;
	return width;
}

/* The column that gives way next; columns_n: none does. */
static size_t next_to_go(const struct layout *l)
{
	size_t found = l->table->columns_n;
	unsigned most = 0;

	for (size_t c = 0; c < l->n; c++)
		if (l->widths[c] && !l->gone[c] && l->table->columns[c].give_way > most) {
			most = l->table->columns[c].give_way;
			found = c;
		}
	return found;
}

static void fit(struct layout *l, size_t columns)
{
	const struct doc_table *t = l->table;

	if (!columns)
		return;
	if (total(l) > columns && l->n > 2 && t->columns[l->n - 1].align == DOC_LEFT)
		l->n--;
	if (total(l) > columns)
		l->gap = 1;
	for (size_t c; total(l) > columns && (c = next_to_go(l)) < t->columns_n;)
		l->gone[c] = true;
}

/* A line of fields; nothing where all are empty.  `pick` takes the text or the note of a field. */
enum part { TEXT, NOTE, TITLE };

static const struct doc_text *pick(
	const struct doc_table *t, const struct doc_row *row, size_t c, enum part part)
{
	return part == TITLE  ? &t->columns[c].title
	       : part == NOTE ? &row->fields[c].note
			      : &row->fields[c].text;
}

static void line(const struct layout *l, const struct doc_row *row, enum part part,
	const struct doc_style *style, struct buf *out)
{
	size_t owed = l->indent, before = out->len;
	AUTO_FREE char *made = NULL;

	for (size_t c = 0, printed = 0; c < l->n; c++) {
		const struct doc_text *text = pick(l->table, row, c, part);
		const char *plain = field_plain(text, &made);
		size_t width = doc_width(plain), pad = l->widths[c] > width ? l->widths[c] - width : 0;

		if (!l->widths[c] || l->gone[c])
			continue;
		owed += printed++ ? l->gap : 0;
		if (!*plain) { /* blanks at the end of a line are never written */
			owed += l->widths[c];
			continue;
		}
		owed += l->table->columns[c].align == DOC_RIGHT ? pad : 0;
		buf_add(out, "%*s", (int)owed, "");
		doc_paint(part == TEXT ? text->pieces[0].mark : DOC_DIM, plain, style, out);
		owed = l->table->columns[c].align == DOC_LEFT ? pad : 0;
	}
	if (out->len > before)
		buf_add(out, "\n");
}

/* The field of the last column, below the others. */
static void below(const struct layout *l, const struct doc_row *row, enum part part,
	const struct doc_style *style, struct buf *out)
{
	const struct doc_text *text = pick(l->table, row, l->n, part);
	size_t indent = l->indent + MIN(l->widths[0], (size_t)10) + 2;
	AUTO_FREE char *head = str_format("%*s", (int)indent, "");
	struct doc_text said = {0};

	if (doc_empty(text))
		return;
	for (size_t i = 0; i < text->n; i++)
		doc_piece(&said, part == TEXT ? text->pieces[i].mark : DOC_DIM, text->pieces[i].kind, "%s",
			text->pieces[i].text);
	doc_wrap(&said, head, style, out);
	doc_text_clear(&said);
}

static void say_gone(const struct layout *l, const struct doc_style *style, struct buf *out)
{
	struct doc_text text = {0};
	AUTO_FREE char *made = NULL;
	AUTO_FREE char *head = str_format("%*s", (int)l->indent, "");

	for (size_t c = 0; c < l->n; c++) {
		if (!l->gone[c])
			continue;
		doc_piece(&text, DOC_DIM, DOC_WORDS, doc_empty(&text) ? "too narrow for: " : ", ");
		doc_piece(&text, DOC_DIM, DOC_FIGURE, "%s", field_plain(&l->table->columns[c].title, &made));
	}
	if (doc_empty(&text))
		return;
	doc_wrap(&text, head, style, out);
	doc_text_clear(&text);
}

void doc_table_print(
	const struct doc_table *table, size_t indent, const struct doc_style *style, struct buf *out)
{
	struct layout l = {.table = table,
		.indent = indent,
		.gap = 2,
		.n = table->columns_n,
		.widths = mem_array(table->columns_n, sizeof(size_t)),
		.gone = mem_array(table->columns_n, sizeof(bool))};

	measure(&l, style);
	fit(&l, out->columns);
	line(&l, NULL, TITLE, style, out);
	if (l.n < table->columns_n)
		below(&l, NULL, TITLE, style, out);
	for (size_t r = 0; r < table->rows_n; r++) {
		const struct doc_row *row = &table->rows[r];

		if (!shown(row, style))
			continue;
		if (row->group) {
			AUTO_FREE char *head = str_format("%*s", (int)indent, "");
			doc_wrap(&row->fields[0].text, head, style, out);
			continue;
		}
		for (enum part part = TEXT; part <= NOTE; part++) {
			line(&l, row, part, style, out);
			if (l.n < table->columns_n)
				below(&l, row, part, style, out);
		}
	}
	say_gone(&l, style, out);
	free(l.widths);
	free(l.gone);
}
