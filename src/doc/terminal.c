/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A document on a terminal: sections behind a blank line, lines with their heads in a column of their own.
 * Below 72 columns that column would leave too little for what stands beside it, and the head is followed by
 * a colon.
 */
#include "doc.h"

#include <string.h>

#define HEAD_COLUMN 12 /* what stands beside the head of a line begins here */
#define NARROW      72

struct place {
	const struct doc_style *style;
	struct buf *out;
	size_t indent;
};

static void blanks(struct buf *out, size_t n)
{
	buf_add(out, "%*s", (int)n, "");
}

/* "head: text"; what goes on from the line before stands behind two more blanks. */
static void say_narrow(struct place *p, const struct doc_node *node, const char *title)
{
	AUTO_FREE char *indent = str_format("%*s", (int)(p->indent + (*title ? 0 : 2)), "");
	struct doc_text all = {0};

	if (*title)
		doc_say(&all, "%s: ", title);
	for (size_t i = 0; i < node->text.n; i++)
		doc_piece(&all, node->text.pieces[i].mark, node->text.pieces[i].kind, "%s",
			node->text.pieces[i].text);
	doc_wrap(&all, indent, p->style, p->out);
	doc_text_clear(&all);
}

static void say_line(struct place *p, const struct doc_node *node)
{
	AUTO_FREE char *title = str_printable(doc_plain(&node->title));
	size_t width = doc_width(title), room = HEAD_COLUMN - 2;

	if (p->out->columns && p->out->columns < NARROW) {
		say_narrow(p, node, title);
		return;
	}
	AUTO_FREE char *head = str_format(
		"%*s%s%*s", (int)p->indent, "", title, (int)(width + 1 < room ? room - width : 1), "");
	doc_wrap(&node->text, head, p->style, p->out);
}

static void say_paragraph(struct place *p, const struct doc_node *node, const char *word)
{
	AUTO_FREE char *head = str_format("%*s%s", (int)p->indent, "", word);

	doc_wrap(&node->text, head, p->style, p->out);
}

static void say_log(struct place *p, const struct doc_node *node)
{
	for (size_t i = 0; i < node->text.n; i++) {
		AUTO_FREE char *clean = str_printable(str_dup(node->text.pieces[i].text));

		blanks(p->out, p->indent + 2);
		buf_add(p->out, "%s\n", clean);
	}
}

static void title(struct place *p, const struct doc_node *node)
{
	AUTO_FREE char *head = str_format("%*s", (int)p->indent, "");
	struct doc_text all = {0};

	for (size_t i = 0; i < node->title.n; i++)
		doc_piece(&all, DOC_STRONG, node->title.pieces[i].kind, "%s", node->title.pieces[i].text);
	for (size_t i = 0; i < node->text.n; i++)
		doc_piece(&all, node->text.pieces[i].mark, node->text.pieces[i].kind, "%s",
			node->text.pieces[i].text);
	doc_wrap(&all, head, p->style, p->out);
	doc_text_clear(&all);
}

static void parts(struct place *p, const struct doc_node *of);

static void section(struct place *p, const struct doc_node *node)
{
	struct place inner = *p;

	if (!node->first && doc_empty(&node->text))
		return;
	buf_add(p->out, "\n");
	if (!doc_empty(&node->title) || !doc_empty(&node->text)) {
		title(p, node);
		inner.indent += 2;
	}
	parts(&inner, node);
}

static void chart(struct place *p, const struct doc_node *node)
{
	if (node->chart->numbers)
		doc_table_print(node->chart->numbers, p->indent, p->style, p->out);
}

static void part(struct place *p, const struct doc_node *node)
{
	switch (node->part) {
	case DOC_SECTION:
		section(p, node);
		break;
	case DOC_LINE:
		say_line(p, node);
		break;
	case DOC_NOTE:
		say_paragraph(p, node, "note: ");
		break;
	case DOC_LOG:
		say_log(p, node);
		break;
	case DOC_TABLE:
		doc_table_print(node->table, p->indent, p->style, p->out);
		break;
	case DOC_CHART:
		chart(p, node);
		break;
	case DOC_DOCUMENT:
	case DOC_ANSWER:
	case DOC_PARAGRAPH:
	case DOC_PARTS:
		say_paragraph(p, node, "");
		break;
	}
}

static void parts(struct place *p, const struct doc_node *of)
{
	for (const struct doc_node *n = of->first; n; n = n->next)
		if (n->depth <= p->style->depth)
			part(p, n);
}

void doc_terminal(const struct doc_node *root, const struct doc_style *style, struct buf *out)
{
	struct place p = {.style = style, .out = out};

	if (!doc_empty(&root->title) || !doc_empty(&root->text))
		title(&p, root);
	parts(&p, root);
}
