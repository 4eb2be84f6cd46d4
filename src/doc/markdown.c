/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A document as GitHub's Markdown: for a comment, a summary of a step, a page of a wiki.  Every character
 * that means something to Markdown or HTML is escaped wherever it comes from, so that nothing in a name or in
 * a line of a console can become a link, a tag or a heading.
 */
#include "doc.h"

#include <stdlib.h>
#include <string.h>

/* Does this character mean something at this place?  At the beginning of a text some more do, and in it what
 * would become a link by itself. */
static bool means_something(const char *text, size_t at)
{
	if (strchr("\\`*_[]|~", text[at]))
		return true;
	if (!at)
		return strchr("#+-=!", text[at]);
	if (strspn(text, "0123456789") == at)
		return strchr(".)", text[at]);
	return !strncmp(text + at, "://", 3) || (at >= 3 && !strncmp(text + at - 3, "www.", 4));
}

/* Adds text in which nothing has a meaning. */
static void escaped(const char *text, struct buf *out)
{
	AUTO_FREE char *clean = str_printable(str_dup(text));

	for (size_t i = 0; clean[i]; i++)
		if (clean[i] == '<' || clean[i] == '>' || clean[i] == '&')
			buf_add(out, "%s", clean[i] == '<' ? "&lt;" : clean[i] == '>' ? "&gt;" : "&amp;");
		else if (clean[i] == '@') /* names nobody */
			buf_add(out, "&#64;");
		else
			buf_add(out, means_something(clean, i) ? "\\%c" : "%c", clean[i]);
}

static void said(const struct doc_text *text, struct buf *out)
{
	for (size_t i = 0; i < text->n; i++) {
		const struct doc_piece *p = &text->pieces[i];
		bool strong = p->mark == DOC_STRONG || p->mark == DOC_BAD;

		buf_add(out, "%s", strong ? "**" : "");
		escaped(p->text, out);
		buf_add(out, "%s", strong ? "**" : "");
	}
}

/* Has any row something in this column? */
static bool used(const struct doc_table *t, size_t c, const struct doc_style *style)
{
	for (size_t r = 0; r < t->rows_n; r++)
		if (t->rows[r].depth <= style->depth &&
			(!doc_empty(&t->rows[r].fields[c].text) || !doc_empty(&t->rows[r].fields[c].note)))
			return true;
	return false;
}

static void table_row(
	const struct doc_table *t, const struct doc_row *row, const struct doc_style *style, struct buf *out)
{
	buf_add(out, "|");
	for (size_t c = 0; c < t->columns_n; c++) {
		if (!used(t, c, style))
			continue;
		buf_add(out, " ");
		said(row ? &row->fields[c].text : &t->columns[c].title, out);
		if (row && !doc_empty(&row->fields[c].note)) {
			buf_add(out, doc_empty(&row->fields[c].text) ? "" : " ");
			said(&row->fields[c].note, out);
		}
		buf_add(out, " |");
	}
	buf_add(out, "\n");
}

static void table(const struct doc_table *t, const struct doc_style *style, struct buf *out)
{
	buf_add(out, "\n");
	table_row(t, NULL, style, out);
	buf_add(out, "|");
	for (size_t c = 0; c < t->columns_n; c++)
		if (used(t, c, style))
			buf_add(out, t->columns[c].align == DOC_RIGHT ? " ---: |" : " --- |");
	buf_add(out, "\n");
	for (size_t r = 0; r < t->rows_n; r++)
		if (t->rows[r].depth <= style->depth)
			table_row(t, &t->rows[r], style, out);
	buf_add(out, "\n");
}

static void parts(const struct doc_node *of, const struct doc_style *style, size_t level, struct buf *out);

static void part(const struct doc_node *n, const struct doc_style *style, size_t level, struct buf *out)
{
	switch (n->part) {
	case DOC_SECTION:
		if (!n->first && doc_empty(&n->text))
			break;
		if (!doc_empty(&n->title)) {
			buf_add(out, "\n%.*s ", (int)MIN(level, (size_t)6), "######");
			said(&n->title, out);
			said(&n->text, out);
			buf_add(out, "\n");
		}
		parts(n, style, level + 1, out);
		break;
	case DOC_LINE:
	case DOC_ANSWER: /* a line that goes on from the one before is an item below it */
		buf_add(out, n->part == DOC_LINE && doc_empty(&n->title) ? "  * " : "* ");
		said(&n->title, out);
		buf_add(out, doc_empty(&n->title) ? "" : ": ");
		said(&n->text, out);
		buf_add(out, "\n");
		break;
	case DOC_LOG: /* indented by four: shown as it is */
		buf_add(out, "\n");
		for (size_t i = 0; i < n->text.n; i++) {
			AUTO_FREE char *clean = str_printable(str_dup(n->text.pieces[i].text));
			buf_add(out, "    %s\n", clean);
		}
		buf_add(out, "\n");
		break;
	case DOC_TABLE:
		table(n->table, style, out);
		break;
	case DOC_CHART:
		if (n->chart->numbers)
			table(n->chart->numbers, style, out);
		break;
	case DOC_DOCUMENT:
	case DOC_NOTE:
	case DOC_PARAGRAPH:
	case DOC_PARTS:
		buf_add(out, n->part == DOC_NOTE ? "\n> " : "\n");
		said(&n->text, out);
		buf_add(out, "\n\n");
		break;
	}
}

static void parts(const struct doc_node *of, const struct doc_style *style, size_t level, struct buf *out)
{
	for (const struct doc_node *n = of->first; n; n = n->next)
		if (n->depth <= style->depth)
			part(n, style, level, out);
}

void doc_markdown(const struct doc_node *root, const struct doc_style *style, struct buf *out)
{
	buf_add(out, "# ");
	said(&root->title, out);
	said(&root->text, out);
	buf_add(out, "\n\n");
	parts(root, style, 2, out);
}
