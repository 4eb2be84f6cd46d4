/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The tree of a document: made part by part, walked by its writers, freed as a whole. */
#include "doc.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

struct doc_node *doc_new(void)
{
	struct doc_node *root = mem_alloc(sizeof(*root));

	root->part = DOC_DOCUMENT;
	root->depth = DOC_BRIEF;
	return root;
}

struct doc_node *doc_add(struct doc_node *parent, enum doc_part part)
{
	struct doc_node *node = mem_alloc(sizeof(*node));

	node->part = part;
	node->depth = parent->depth;
	if (parent->last)
		parent->last->next = node;
	else
		parent->first = node;
	parent->last = node;
	return node;
}

static struct doc_table *table_new(size_t columns)
{
	struct doc_table *table = mem_alloc(sizeof(*table));

	table->columns = mem_array(columns, sizeof(*table->columns));
	table->columns_n = columns;
	return table;
}

struct doc_node *doc_add_table(struct doc_node *parent, size_t columns)
{
	struct doc_node *node = doc_add(parent, DOC_TABLE);

	node->table = table_new(columns);
	return node;
}

struct doc_node *doc_add_chart(struct doc_node *parent, enum doc_chart_kind kind)
{
	struct doc_node *node = doc_add(parent, DOC_CHART);

	node->chart = mem_alloc(sizeof(*node->chart));
	node->chart->kind = kind;
	node->chart->line = node->chart->zone_low = node->chart->zone_high = NAN;
	return node;
}

struct doc_table *doc_chart_numbers(struct doc_chart *chart, size_t columns)
{
	chart->numbers = table_new(columns);
	return chart->numbers;
}

/* --- text -------------------------------------------------------------------------------------- */

static void piece(
	struct doc_text *text, enum doc_mark mark, enum doc_kind kind, const char *format, va_list args)
{
	char *said = str_format_list(format, args);

	if (!*said) {
		free(said);
		return;
	}
	text->pieces = mem_grow(text->pieces, text->n + 1, sizeof(*text->pieces));
	text->pieces[text->n++] = (struct doc_piece){mark, kind, said};
}

void doc_say(struct doc_text *text, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	piece(text, DOC_PLAIN, DOC_WORDS, format, args);
	va_end(args);
}

void doc_piece(struct doc_text *text, enum doc_mark mark, enum doc_kind kind, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	piece(text, mark, kind, format, args);
	va_end(args);
}

bool doc_empty(const struct doc_text *text)
{
	return text->n == 0;
}

char *doc_plain(const struct doc_text *text)
{
	size_t len = 0;

	for (size_t i = 0; i < text->n; i++)
		len += strlen(text->pieces[i].text);
	char *all = mem_alloc(len + 1), *end = all;
	for (size_t i = 0; i < text->n; i++)
		end = stpcpy(end, text->pieces[i].text);
	return all;
}

/* --- rows, series, events ---------------------------------------------------------------------- */

struct doc_row *doc_row_add(struct doc_table *table)
{
	table->rows = mem_grow(table->rows, table->rows_n + 1, sizeof(*table->rows));
	struct doc_row *row = &table->rows[table->rows_n++];
	*row = (struct doc_row){.fields = mem_array(table->columns_n, sizeof(*row->fields))};
	return row;
}

struct doc_series *doc_series_add(
	struct doc_chart *chart, const char *name, unsigned look, size_t n, bool band)
{
	chart->series = mem_grow(chart->series, chart->series_n + 1, sizeof(*chart->series));
	struct doc_series *s = &chart->series[chart->series_n++];
	*s = (struct doc_series){.name = str_dup(name),
		.look = look,
		.n = n,
		.sure = n,
		.x = mem_array(n, sizeof(double)),
		.y = mem_array(n, sizeof(double))};
	if (band) {
		s->low = mem_array(n, sizeof(double));
		s->high = mem_array(n, sizeof(double));
	}
	return s;
}

void doc_chart_row_add(struct doc_chart *chart, const char *name)
{
	chart->rows = mem_grow(chart->rows, chart->rows_n + 1, sizeof(*chart->rows));
	chart->rows[chart->rows_n++] = str_dup(name);
}

void doc_event_add(struct doc_chart *chart, double x, const char *text)
{
	chart->events = mem_grow(chart->events, chart->events_n + 1, sizeof(*chart->events));
	chart->events[chart->events_n++] = (struct doc_event){x, str_dup(text)};
}

/* --- the end ----------------------------------------------------------------------------------- */

static void text_clear(struct doc_text *text)
{
	for (size_t i = 0; i < text->n; i++)
		free(text->pieces[i].text);
	free(text->pieces);
}

static void table_free(struct doc_table *table)
{
	if (!table)
		return;
	for (size_t c = 0; c < table->columns_n; c++)
		text_clear(&table->columns[c].title);
	for (size_t r = 0; r < table->rows_n; r++) {
		for (size_t c = 0; c < table->columns_n; c++) {
			text_clear(&table->rows[r].fields[c].text);
			text_clear(&table->rows[r].fields[c].note);
		}
		free(table->rows[r].fields);
	}
	free(table->columns);
	free(table->rows);
	free(table);
}

static void series_clear(struct doc_series *s)
{
	free(s->name);
	free(s->x);
	free(s->y);
	free(s->low);
	free(s->high);
}

static void chart_free(struct doc_chart *chart)
{
	if (!chart)
		return;
	for (size_t i = 0; i < chart->series_n; i++)
		series_clear(&chart->series[i]);
	for (size_t i = 0; i < chart->rows_n; i++)
		free(chart->rows[i]);
	for (size_t i = 0; i < chart->events_n; i++)
		free(chart->events[i].text);
	free(chart->series);
	free(chart->rows);
	free(chart->events);
	free(chart->heat.value);
	free(chart->x.title);
	free(chart->y.title);
	free(chart->description);
	table_free(chart->numbers);
	free(chart);
}

void doc_free(struct doc_node *root)
{
	if (!root)
		return;
	for (struct doc_node *node = root->first, *next; node; node = next) {
		next = node->next;
		doc_free(node);
	}
	text_clear(&root->title);
	text_clear(&root->text);
	table_free(root->table);
	chart_free(root->chart);
	free(root);
}
