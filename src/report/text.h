/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Words, numbers and tables for people. */
#pragma once

#include "model.h"

#define TEXT_WIDTH 100

enum text_colour { TEXT_PLAIN, TEXT_BOLD, TEXT_DIM, TEXT_GOOD, TEXT_BAD, TEXT_COLOURS };

/* Each writes into out and returns it; "–" where there is no number. */
char *text_ns(double ns, char *out, size_t size);
char *text_bps(double bps, char *out, size_t size);   /* "9.41 Gb/s" */
char *text_count(uint64_t n, char *out, size_t size); /* "100 000" */
char *text_bytes(uint64_t n, char *out, size_t size); /* "128 KiB" */
char *text_value(enum stat_metric metric, double value, char *out, size_t size);
char *text_change(double change, char *out, size_t size); /* "−40.0 %", "+12.1 %", "×10.4" */
char *text_p(double p, char *out, size_t size);
/* A change of a metric in its own unit, with a sign. */
char *text_difference(enum stat_metric metric, double value, char *out, size_t size);

/* Characters, not bytes, of UTF-8. */
size_t text_width(const char *text);
void text_paint(struct buf *out, const struct report_style *style, enum text_colour colour, const char *text);
/* Words of `text` in lines of at most TEXT_WIDTH; the first one begins with `head`, the others with as many
 * blanks. */
void text_wrap(struct buf *out, const char *head, const char *text);

/* A table whose columns are as wide as what is in them. */
#define TEXT_COLUMNS_MAX 10

struct text_table {
	const char *align; /* a letter a column: l or r */
	char *(*rows)[TEXT_COLUMNS_MAX];
	enum text_colour (*colours)[TEXT_COLUMNS_MAX];
	size_t rows_n;
};
void text_row(struct text_table *t); /* a new empty row */
void text_cell(struct text_table *t, size_t column, enum text_colour colour, const char *text);
/* Prints every row behind `indent` blanks and frees the table; empty columns are left out. */
void text_table_print(struct text_table *t, size_t indent, const struct report_style *style, struct buf *out);

/* What people call a metric, a verdict, and its colour. */
const char *text_metric(enum stat_metric metric);
enum text_colour text_verdict_colour(enum stat_verdict verdict);
/* The verdict in words; `note` is "" or what belongs below it. */
void text_verdict(const struct stat_effect *e, char *word, char *note, size_t size);

/* table.c: one comparison as rows of a table, judged metrics first; returns a common reason for no verdict,
 * or "". */
struct text_comparison {
	enum stat_kind kind;
	bool closed_loop;
	const char *old_name, *new_name;
	const double *old_figures, *new_figures; /* [STAT_METRICS] */
	const struct stat_effect *effects;
	size_t n;
};
void text_comparison(const struct text_comparison *c, const struct report_style *style, struct buf *out);

/* legend.c */
void report_arm_alone(const struct report_arm *arm, const struct report_style *style, struct buf *out);
void report_legend(const struct report *report, const struct report_style *style, struct buf *out);
