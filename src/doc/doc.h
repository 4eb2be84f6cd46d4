/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A document: what is to be said, as a tree, before anybody knows where it will be shown.
 *
 * report builds the tree; a terminal, a page of HTML and Markdown are written from it, each in one file of
 * this folder.  What builds a tree knows no column, no colour and no line; what writes one knows no word and
 * no figure of taut's.  A piece of text says what it is (a figure, a name, text from elsewhere) and how much
 * it matters, and the writer chooses how that looks.  Programs read the figures as JSON or CSV, which are not
 * written from the tree.
 *
 * A tree owns everything in it; doc_free() frees the root with all below.  All text is UTF-8; what comes from
 * elsewhere is handed over as it is, and each writer makes it harmless in its own way.
 */
#pragma once

#include "base.h"

#include <stdint.h>

/* How much a piece matters. */
enum doc_mark { DOC_PLAIN, DOC_STRONG, DOC_DIM, DOC_GOOD, DOC_BAD, DOC_MARKS };

/* What a piece is. */
enum doc_kind {
	DOC_WORDS,   /* taut's own sentences */
	DOC_FIGURE,  /* a number with its unit, which no line may break */
	DOC_NAME,    /* what somebody named: a run, a cell, an arm */
	DOC_CODE,    /* what can be typed: a command, an option, a key */
	DOC_FOREIGN, /* from elsewhere: a reason, a line of a console */
	DOC_KINDS
};

struct doc_piece {
	enum doc_mark mark;
	enum doc_kind kind;
	char *text;
};

struct doc_text {
	struct doc_piece *pieces;
	size_t n;
};

/* How much must be wanted before a part is shown: --brief shows DOC_BRIEF, a terminal DOC_USUAL, a page all.
 */
enum doc_depth { DOC_BRIEF, DOC_USUAL, DOC_DEEP };

enum doc_part {
	DOC_DOCUMENT,  /* the root: its title, and sections */
	DOC_SECTION,   /* a title, and parts below it; may stand in a section */
	DOC_ANSWER,    /* a sentence that answers what was asked; `tone` says whether it is good news */
	DOC_LINE,      /* a head of a word or two (title), and what there is to say under it (text) */
	DOC_PARAGRAPH, /* text */
	DOC_NOTE,      /* a paragraph to be heeded */
	DOC_LOG,       /* lines from elsewhere, shown as they are: a piece a line */
	DOC_TABLE,
	DOC_CHART,
	DOC_PARTS
};

/* --- tables ------------------------------------------------------------------------------------ */

enum doc_align { DOC_LEFT, DOC_RIGHT };

struct doc_column {
	struct doc_text title;
	enum doc_align align;
	/* Where a table is too wide, columns of the highest number go first; 0: never. */
	unsigned give_way;
};

struct doc_field {
	struct doc_text text;
	struct doc_text note; /* what belongs below it; empty: nothing */
};

struct doc_row {
	bool group;               /* the first field is a heading for the rows that follow */
	struct doc_field *fields; /* one a column */
};

struct doc_table {
	struct doc_column *columns;
	size_t columns_n;
	struct doc_row *rows;
	size_t rows_n;
};

/* --- charts ------------------------------------------------------------------------------------ */

enum doc_chart_kind {
	DOC_CURVES, /* lines with bands: x grows along each series */
	DOC_FOREST, /* a row a point, with its interval: y is the number of the row, `rows` are their names */
	DOC_SLOPES, /* lines from arm to arm, a series a block: x is the number of the arm, `rows` are their
		       names */
	DOC_HEAT    /* `heat` over two axes */
};

enum doc_scale {
	DOC_SCALE_LINEAR,
	DOC_SCALE_LOG,
	DOC_SCALE_NINES /* of quantiles: 0.9, 0.99, 0.999 are equally far apart */
};

/* What the numbers of an axis are, and so how they are written. */
enum doc_unit {
	DOC_UNIT_NS,
	DOC_UNIT_BPS,
	DOC_UNIT_COUNT,
	DOC_UNIT_RATIO,
	DOC_UNIT_QUANTILE,
	DOC_UNIT_SECONDS
};

struct doc_axis {
	char *title;
	enum doc_scale scale;
	enum doc_unit unit;
};

struct doc_series {
	char *name;
	unsigned look; /* the same number looks the same in all charts: 0 the baseline, 1 the first arm … */
	size_t n;
	double *x, *y;
	double *low, *high; /* the band, or the interval of each point; NULL: none */
	size_t sure;        /* the points from here on rest on few values and are drawn dashed; n: none do */
};

/* A rectangle of cells: value[row * columns_n + column] ≥ 0 says how much lies there. */
struct doc_heat {
	size_t columns_n, rows_n;
	double x_low, x_high, y_low, y_high;
	double *value;
};

/* Something that happened at a place of the x axis. */
struct doc_event {
	double x;
	char *text;
};

struct doc_chart {
	enum doc_chart_kind kind;
	struct doc_axis x, y;
	struct doc_series *series;
	size_t series_n;
	char **rows;
	size_t rows_n;
	double line; /* a line of no change: on the y axis of curves, the x axis of a forest; NaN: none */
	double zone_low, zone_high; /* around it, what does not matter; NaN: none */
	struct doc_heat heat;
	struct doc_event *events;
	size_t events_n;
	char *description;         /* the chart in a sentence or two, for who cannot see it */
	struct doc_table *numbers; /* the same numbers as a table */
};

/* --- the tree ---------------------------------------------------------------------------------- */

struct doc_node {
	enum doc_part part;
	enum doc_depth depth;
	enum doc_mark tone; /* of an answer: DOC_GOOD, DOC_BAD or DOC_PLAIN */
	struct doc_text title, text;
	struct doc_table *table; /* of DOC_TABLE */
	struct doc_chart *chart; /* of DOC_CHART */
	struct doc_node *first, *last, *next;
};

struct doc_node *doc_new(void);       /* a DOC_DOCUMENT */
void doc_free(struct doc_node *root); /* takes NULL */
static inline void auto_doc(struct doc_node **root)
{
	doc_free(*root);
}

/* Adds a part at the end of `parent`, of the same depth. */
struct doc_node *doc_add(struct doc_node *parent, enum doc_part part);
/* The same with a table of so many columns; with a chart.  Titles, rows and series are added by those below.
 */
struct doc_node *doc_add_table(struct doc_node *parent, size_t columns);
struct doc_node *doc_add_chart(struct doc_node *parent, enum doc_chart_kind kind);

void doc_say(struct doc_text *text, const char *format, ...) PRINTF(2, 3); /* plain words */
void doc_piece(struct doc_text *text, enum doc_mark mark, enum doc_kind kind, const char *format, ...)
	PRINTF(4, 5);
bool doc_empty(const struct doc_text *text);
/* All its pieces in one, malloc'd: for who needs no marks. */
char *doc_plain(const struct doc_text *text);

struct doc_row *doc_row_add(struct doc_table *table); /* of empty fields; valid until the next is added */
struct doc_series *doc_series_add(
	struct doc_chart *chart, const char *name, unsigned look, size_t n, bool band);
void doc_chart_row_add(struct doc_chart *chart, const char *name);
void doc_event_add(struct doc_chart *chart, double x, const char *text);
/* The table of a chart's numbers, whose columns and rows the caller fills. */
struct doc_table *doc_chart_numbers(struct doc_chart *chart, size_t columns);
