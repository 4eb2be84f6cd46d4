/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The sentences for enum stat_reason: made when somebody reads them, never looked into. */
#include "stat.h"

#include <stdio.h>

typedef void (*sentence)(const struct stat_effect *e, char *out, size_t size);

static void few_for_interval(const struct stat_effect *e, char *out, size_t size)
{
	snprintf(out, size, "blocks: %zu; an interval needs %d, a verdict %d", e->n_blocks,
		STAT_INTERVAL_BLOCKS, STAT_VERDICT_BLOCKS);
}

static void few_for_verdict(const struct stat_effect *e, char *out, size_t size)
{
	snprintf(out, size, "blocks: %zu; a verdict needs %d", e->n_blocks, STAT_VERDICT_BLOCKS);
}

static void transactions_note(const struct stat_effect *e, char *out, size_t size)
{
	double q = stat_metrics[e->metric].quantile;

	snprintf(out, size, "%ju of %ju needed", (uintmax_t)e->transactions,
		(uintmax_t)stat_quantile_least(q, STAT_JUDGED_BEYOND));
}

static void few_transactions(const struct stat_effect *e, char *out, size_t size)
{
	double q = stat_metrics[e->metric].quantile;

	snprintf(out, size, "p%.6g needs %ju transactions in each trial; the shortest has %ju", q * 100,
		(uintmax_t)stat_quantile_least(q, STAT_JUDGED_BEYOND), (uintmax_t)e->transactions);
}

static void emulated(const struct stat_effect *e, char *out, size_t size)
{
	snprintf(out, size, "emulated: only %s judged",
		e->kind == STAT_STREAM ? "the throughput is" : "median and SD are");
}

/* A sentence is a text, or is made from the effect's figures. */
static const struct {
	const char *text, *note;
	sentence make,
		make_note;  /* the note: what stands beside a table's row; the whole where there is none */
	bool counts_blocks; /* the sentence names n_blocks */
} rows[STAT_REASONS] = {
	[STAT_REASON_NONE] = {.text = ""},
	[STAT_REASON_FEW_FOR_INTERVAL] = {.make = few_for_interval, .counts_blocks = true},
	[STAT_REASON_FEW_FOR_VERDICT] = {.make = few_for_verdict, .counts_blocks = true},
	[STAT_REASON_EXPLORATORY] = {.text = "exploratory"},
	[STAT_REASON_SD_UNCONFIRMED] = {.text = "neither IQR nor p99 - p50 is there to confirm the SD"},
	[STAT_REASON_RARE_EXTREMES] = {.text = "driven by rare extremes"},
	[STAT_REASON_FEW_TRANSACTIONS] = {.make = few_transactions, .make_note = transactions_note},
	[STAT_REASON_EMULATED] = {.make = emulated, .note = "emulated"},
	[STAT_REASON_NO_VALUE] = {.text = "one of the arms has no value"},
	[STAT_REASON_NOT_REPEATABLE] = {.text = "not repeatable: trials of one arm differ in it"},
	[STAT_REASON_ARM_EXACT] = {.text = "one of the arms is on the exact clock"},
	[STAT_REASON_RUN_EXACT] = {.text = "one of the runs is on the exact clock"},
	[STAT_REASON_RATE_MISSED] = {.text = "the rate asked for was missed"},
};

char *stat_effect_reason(const struct stat_effect *e, char *out, size_t size)
{
	if (rows[e->reason].make)
		rows[e->reason].make(e, out, size);
	else
		snprintf(out, size, "%s", rows[e->reason].text);
	return out;
}

char *stat_effect_reason_note(const struct stat_effect *e, char *out, size_t size)
{
	if (rows[e->reason].make_note)
		rows[e->reason].make_note(e, out, size);
	else if (rows[e->reason].note)
		snprintf(out, size, "%s", rows[e->reason].note);
	else
		stat_effect_reason(e, out, size);
	return out;
}

bool stat_effect_reason_same(const struct stat_effect *a, const struct stat_effect *b)
{
	return a->reason == b->reason && (!rows[a->reason].counts_blocks || a->n_blocks == b->n_blocks);
}
