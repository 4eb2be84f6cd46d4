/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * report: what a run, a trial, or two runs say: on a terminal, as JSON, as files for other programs.
 *
 * report_load() reads a finished, interrupted or still running run from the store and computes everything
 * there is to say; the writers only write.  Nothing here prints or exits: a writer appends to a buffer or
 * makes a JSON document (a new reference, never NULL unless a function says so), and the caller decides where
 * that goes.
 */
#pragma once

#include "stat/stat.h"
#include "store/store.h"

#include <jansson.h>

struct report;

struct report_options {
	struct stat_deltas deltas; /* the least effects that are worth a verdict */
};
struct report_options report_options_default(void);

struct report_style {
	bool colour; /* ANSI colours: never unless the caller knows that a terminal reads it */
	bool brief;  /* only what is judged: no exploratory metrics, no legend */
};

/*
 * Words of `text` in lines as wide as the terminal of `out`, and at most TEXT_WIDTH; the first one begins
 * with `head`, the others with as many blanks.
 */
#define TEXT_WIDTH 100
void text_wrap(struct buf *out, const char *head, const char *text);

/* `options` NULL: the defaults.  A run without a single trial is no error. */
int report_load(struct report **out, struct store *store, int64_t run, const struct report_options *options,
	struct err *e);
void report_free(struct report *report); /* takes NULL */
static inline void auto_report(struct report **report)
{
	report_free(*report);
}

/* --- a run ------------------------------------------------------------------------------------- */

void report_terminal(const struct report *report, const struct report_style *style, struct buf *out);
json_t *report_json(const struct report *report); /* taut.run/1 */
/*
 * What the measuring came to, in this order: every cell skipped: EXIT_REFUSED if for want of privilege, else
 * EXIT_FAILED; a cell without one usable trial: EXIT_FAILED; with `gate` (the user asked for a judgement): a
 * primary metric regressed: EXIT_GATE, a cell with nothing judged or with a missed rate: EXIT_NOT_ASSESSED;
 * else EXIT_DONE.  Interrupts are the caller's to know.
 */
enum err_exit report_exit_code(const struct report *report, bool gate);
/* Are there published figures of this name, to be set beside those of a run?  "": none are wanted.
 * EXIT_USAGE.
 */
int report_reference_check(const char *name, struct err *e);

/* The formats of `taut report` and `taut export`: one row and one file each. */
struct report_format {
	const char *name; /* "text", "json", "csv", "hlog" */
	const char *help;
	/* `store` is where the report was loaded from, for formats that want every trial's histogram. */
	int (*write)(const struct report *report, struct store *store, const struct report_style *style,
		struct buf *out, struct err *e);
};
extern const struct report_format report_formats[];
extern const size_t report_formats_n;
const struct report_format *report_format_find(const char *name); /* NULL when there is none */

/* --- one trial --------------------------------------------------------------------------------- */

/* Where in the run a trial stands. */
struct report_place {
	uint64_t done, total; /* this one included */
	const char *cell, *arm;
};
/*
 * One line, without the newline:
 * "[  7/120] container/oci/bridge/tcp_rr  tuned  median 17.6 µs  p99.9 56.1 µs  max 1.20 ms  10000
 * transactions  verified"
 */
void report_trial_line(const struct trial_record *record, const struct report_place *place, struct buf *out);
/* What `taut measure` ends with. */
void report_trial_terminal(
	const struct trial_record *record, const struct report_style *style, struct buf *out);
json_t *report_trial_json(const struct trial_record *record); /* taut.trial/1 */
/* EXIT_FAILED when it failed, was skipped, has a dead flow or missed its rate; else EXIT_DONE. */
enum err_exit report_trial_exit_code(const struct trial_record *record);

/* --- many runs --------------------------------------------------------------------------------- */

int report_list_terminal(
	struct store *store, const struct report_style *style, struct buf *out, struct err *e);
int report_list_json(struct store *store, json_t **out, struct err *e); /* taut.list/1 */

/*
 * Two runs, which were not interleaved: every arm of every cell that both have, unpaired, `old` being the
 * baseline.  -ENOENT when they have no cell and arm in common.
 */
int report_compare_terminal(const struct report *old, const struct report *new,
	const struct report_style *style, struct buf *out, struct err *e);
int report_compare_json(
	const struct report *old, const struct report *new, json_t **out, struct err *e); /* taut.compare/1 */
/* As report_exit_code() with a gate, over what the two have in common. */
enum err_exit report_compare_exit_code(const struct report *old, const struct report *new);
