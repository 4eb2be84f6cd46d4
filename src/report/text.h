/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Words, numbers and tables for people. */
#pragma once

#include "model.h"

enum text_colour { TEXT_PLAIN, TEXT_BOLD, TEXT_DIM, TEXT_GOOD, TEXT_BAD, TEXT_COLOURS };

/* Each writes into out and returns it; "–" where there is no number. */
char *text_ns(double ns, char *out, size_t size);
char *text_exact_ns(double ns, char *out, size_t size); /* to the nanosecond: "20.928 µs" */
char *text_bps(double bps, char *out, size_t size);     /* "9.41 Gb/s" */
char *text_count(uint64_t n, char *out, size_t size);   /* "100 000" */
char *text_bytes(uint64_t n, char *out, size_t size);   /* "128 KiB" */
char *text_value(enum stat_metric metric, double value, char *out, size_t size);
char *text_change(double change, char *out, size_t size); /* "−40.0 %", "+12.1 %", "×10.4" */
/* "−13.1 … −11.8 %": from one change to another. */
char *text_changes(double low, double high, char *out, size_t size);
char *text_p(double p, char *out, size_t size);
/* A change of a metric in its own unit, with a sign. */
char *text_difference(enum stat_metric metric, double value, char *out, size_t size);

/* The same two for the exact clock: times to the nanosecond. */
char *text_exact(enum stat_metric metric, double value, char *out, size_t size);
char *text_exact_difference(enum stat_metric metric, double value, char *out, size_t size);

/* Characters, not bytes, of UTF-8. */
size_t text_width(const char *text);
void text_paint(struct buf *out, const struct report_style *style, enum text_colour colour, const char *text);
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
/* Prints every row behind `indent` blanks and frees the table; empty columns are left out.  Where the table
 * is wider than the terminal, its last column, if that is of words, stands below the others. */
void text_table_print(struct text_table *t, size_t indent, const struct report_style *style, struct buf *out);

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
	bool exact;       /* facts: text_facts() writes them */
	bool same_values; /* of facts: both histograms are the same */
};
void text_comparison(const struct text_comparison *c, const struct report_style *style, struct buf *out);
/* Nothing to see: losses where nothing was lost, a closed loop's rate, which is 1/mean. */
bool text_silent(const struct text_comparison *c, const struct stat_effect *e);

/* fact_table.c: the exact clock. */
void text_facts(const struct text_comparison *c, const struct report_style *style, struct buf *out);
/* "differs by −1.234 µs (−5.9 %, of new −6.3 %)", "equal to the nanosecond". */
void text_fact(const struct text_comparison *c, const struct stat_effect *e, char *out, size_t size);
/* Are the latencies of both arms the same histogram? */
bool text_same_values(const struct report_arm *a, const struct report_arm *b);
/* The line about arms with more than one trial. */
void report_repeats(const struct report_cell *cell, struct buf *out);

/* machine.c: the machines of a cell that is not plainly this one; of an arm, where they differ (`any`: a
 * comma is due); where the time of booting went. */
void report_machines(const struct report_cell *cell, struct buf *out);
void report_arm_machines(
	const struct report_cell *cell, const struct report_arm *arm, bool any, struct buf *line);
void report_boots(const struct report_cell *cell, struct buf *out);
/* limits.c: what of its devices explains a figure of the cell. */
void report_limits(const struct report_cell *cell, struct buf *out);
/* "4.1 s from exec to the agent's first word (…), first transaction at 4.6 s"; false: nothing is known. */
bool report_boot_words(const double boot_ns[REPORT_BOOT_STEPS], struct buf *line);
void report_trial_machines(const struct trial_record *r, const struct report_trial *t, struct buf *out);
/* The last lines of a console, at most so many. */
void report_console(const char *console, size_t most, struct buf *out);

/* knobs.c: "3 knobs effective, 2 as found, 40 skipped (38: needs root; …)" */
void report_knobs_text(const struct report_knobs *knobs, struct buf *line);
/* conditions.c: the lines of a trial about what its figures depend on. */
void report_trial_conditions(const struct trial_record *r, struct buf *out);

/* legend.c */
void report_arm_alone(const struct report_arm *arm, const struct report_style *style, struct buf *out);
void report_legend(const struct report *report, const struct report_style *style, struct buf *out);
