/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Words, numbers and tables for people. */
#pragma once

#include "doc/doc.h"
#include "model.h"

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

enum doc_mark text_verdict_mark(enum stat_verdict verdict);
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
	bool apart;       /* of runs that were not interleaved, which have words of their own */
	bool exact;       /* facts: text_facts() writes them */
	bool same_values; /* of facts: both histograms are the same */
};
void text_comparison(const struct text_comparison *c, struct doc_node *out);
/* "−13.1 … −11.8 %", or with units of its own on a difference scale; "" where there is none. */
void text_interval(const struct stat_effect *e, char *out, size_t size);
/* Have the change of the two figures and the typical change different signs? */
bool text_signs_differ(const struct text_comparison *c, const struct stat_effect *e);
/* Nothing to see: losses where nothing was lost, a closed loop's rate, which is 1/mean. */
bool text_silent(const struct text_comparison *c, const struct stat_effect *e);

/* fact_table.c: the exact clock. */
void text_facts(const struct text_comparison *c, struct doc_node *out);
/* "differs by −1.234 µs (−5.9 %, of new −6.3 %)", "equal to the nanosecond". */
void text_fact(const struct text_comparison *c, const struct stat_effect *e, char *out, size_t size);
/* Are the latencies of both arms the same histogram? */
bool text_same_values(const struct report_arm *a, const struct report_arm *b);
/* The line about arms with more than one trial. */
void report_repeats(const struct report_cell *cell, struct doc_node *out);

/* machine.c: the machines of a cell that is not plainly this one; of an arm, where they differ (`any`: a
 * comma is due); where the time of booting went. */
void report_machines(const struct report_cell *cell, struct doc_node *out);
void report_arm_machines(
	const struct report_cell *cell, const struct report_arm *arm, bool any, struct buf *line);
void report_boots(const struct report_cell *cell, struct doc_node *out);
/* limits.c: what of its devices explains a figure of the cell. */
void report_limits(const struct report_cell *cell, struct doc_node *out);
/* "4.1 s from exec to the agent's first word (…), first transaction at 4.6 s"; false: nothing is known. */
bool report_boot_words(const double boot_ns[REPORT_BOOT_STEPS], struct buf *line);
void report_trial_machines(const struct trial_record *r, const struct report_trial *t, struct doc_node *out);
/* The last lines of a console, at most so many. */
void report_console(const char *console, size_t most, struct doc_node *out);

/* knobs.c: "3 knobs effective, 2 as found, 40 skipped (38: needs root; …)" */
void report_knobs_text(const struct report_knobs *knobs, struct buf *line);
/* conditions.c: the lines of a trial about what its figures depend on. */
void report_trial_conditions(const struct trial_record *r, struct doc_node *out);

/* legend.c */
void report_arm_alone(const struct report_arm *arm, struct doc_node *out);
void report_legend(const struct report *report, struct doc_node *out);

/* answer.c: a sentence for each cell, and whether the machine could support them. */
void report_answer(const struct report *report, struct doc_node *root);

/* document.c: all that there is to say about a run; a document for a terminal in the style asked for. */
struct doc_node *report_document(const struct report *report);
void report_write(const struct doc_node *root, const struct report_style *style, struct buf *out);
