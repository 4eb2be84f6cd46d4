/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The arms of a cell against its baseline.
 *
 * Only complete blocks are paired: a block in which any arm has no usable trial is left out as a whole, in
 * every arm, so that what drove one trial away cannot tilt the others.  It is counted and shown.
 *
 * Two arms on the exact clock are not tested but compared, see exact.c; of two on different clocks nothing
 * can be said.
 */
#include "model.h"

#include <math.h>

#define LINE_RATE_SHARE 0.99

static const struct report_trial *trial_of_block(const struct report_arm *arm, uint64_t block)
{
	for (size_t i = 0; i < arm->trials_n; i++)
		if (arm->trials[i].block == block)
			return &arm->trials[i];
	return NULL;
}

static bool complete(const struct report_cell *cell, uint64_t block)
{
	for (size_t i = 0; i < cell->arms_n; i++) {
		const struct report_trial *t = trial_of_block(&cell->arms[i], block);

		if (!t || !t->usable)
			return false;
	}
	return true;
}

static int by_number(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* The numbers of all blocks that any arm has a trial of, ascending, malloc'd. */
static uint64_t *blocks_of(const struct report_cell *cell, size_t *n)
{
	size_t most = 0, kept = 0;

	for (size_t i = 0; i < cell->arms_n; i++)
		most += cell->arms[i].trials_n;
	uint64_t *blocks = mem_array(most, sizeof(*blocks));
	*n = 0;
	for (size_t i = 0; i < cell->arms_n; i++)
		for (size_t k = 0; k < cell->arms[i].trials_n; k++)
			blocks[(*n)++] = cell->arms[i].trials[k].block;
	qsort(blocks, *n, sizeof(*blocks), by_number);
	for (size_t i = 0; i < *n; i++)
		if (!kept || blocks[kept - 1] != blocks[i])
			blocks[kept++] = blocks[i];
	*n = kept;
	return blocks;
}

/* Fills paired[] of every arm from the complete blocks. */
static void pair(struct report_cell *cell)
{
	AUTO_FREE uint64_t *blocks = blocks_of(cell, &cell->blocks_seen);
	size_t n = 0;

	for (size_t b = 0; b < cell->blocks_seen; b++)
		if (complete(cell, blocks[b]))
			blocks[n++] = blocks[b];
	cell->blocks_complete = n;
	for (size_t i = 0; i < cell->arms_n; i++) {
		struct report_arm *arm = &cell->arms[i];

		for (int m = 0; m < STAT_METRICS; m++) {
			double *values = mem_array(n, sizeof(*values));
			bool any = false;

			for (size_t b = 0; b < n; b++) {
				values[b] = trial_of_block(arm, blocks[b])->value[m];
				any |= isfinite(values[b]);
			}
			if (any)
				arm->paired[m] = steal_ptr(&values);
			free(values);
		}
	}
}

static uint64_t fewest(const struct report_arm *arm)
{
	uint64_t least = UINT64_MAX;

	for (size_t i = 0; i < arm->trials_n; i++)
		if (arm->trials[i].usable)
			least = MIN(least, arm->trials[i].transactions);
	return least;
}

/* A schedule that was not kept measured something else than was asked. */
void report_effects_refuse(struct report_effects *pair, enum stat_reason reason)
{
	for (size_t i = 0; i < pair->n; i++) {
		struct stat_effect *e = &pair->effects[i];

		e->p_holm = NAN;
		e->verdict = STAT_NOT_ASSESSED;
		e->reason = reason;
	}
}

size_t report_effects_judged(const struct report_effects *pair)
{
	size_t facts = 0;

	if (!pair->exact)
		return stat_effects_judged(pair->effects, pair->n);
	for (size_t i = 0; i < pair->n; i++)
		facts += pair->effects[i].primary && pair->effects[i].verdict == STAT_FACT;
	return facts;
}

static void test_arms(
	const struct report *report, const struct report_cell *cell, struct report_effects *pair)
{
	const struct report_arm *a = &cell->arms[0], *b = &cell->arms[pair->arm];
	enum stat_metric main = cell->kind == STAT_STREAM ? STAT_THROUGHPUT : STAT_LATENCY_MEDIAN;
	struct stat_cell values = {.kind = cell->kind,
		.emulated = a->emulated || b->emulated,
		.transactions = MIN(fewest(a), fewest(b)),
		.n_a = cell->blocks_complete,
		.n_b = cell->blocks_complete};
	size_t na, nb;

	for (int m = 0; m < STAT_METRICS; m++) {
		values.a[m] = a->paired[m];
		values.b[m] = b->paired[m];
	}
	pair->n = stat_cell_compare(&values, &report->options.deltas, pair->effects);

	AUTO_FREE double *va = report_arm_values(a, main, &na);
	AUTO_FREE double *vb = report_arm_values(b, main, &nb);
	pair->run_to_run = stat_run_to_run(va, na, vb, nb);
}

static void compare(const struct report *report, const struct report_cell *cell, struct report_effects *pair)
{
	const struct report_arm *a = &cell->arms[0], *b = &cell->arms[pair->arm];
	bool exact[] = {settings_exact(&a->settings), settings_exact(&b->settings)};

	if (exact[0] && exact[1])
		report_exact_compare(a, b, cell->kind, &report->options.deltas, pair);
	else
		test_arms(report, cell, pair);
	if (exact[0] != exact[1])
		report_effects_refuse(pair, STAT_REASON_ARM_EXACT);
	if (cell->flag[REPORT_RATE_MISSED])
		report_effects_refuse(pair, STAT_REASON_RATE_MISSED);
	pair->judged = report_effects_judged(pair);
}

/*
 * What a link of that speed can carry of payload: every packet of MTU bytes costs 38 more on the wire
 * (preamble, header, check sum, gap) and holds that much less for IP and TCP (with time stamps) or UDP
 * headers.  10 GbE at 1500: 9.41 Gb/s.
 */
double report_ceiling_bps(double line_bps, double mtu, bool ipv6, bool datagrams)
{
	double headers = (ipv6 ? 40 : 20) + (datagrams ? 8 : 32);

	return line_bps * (mtu - headers) / (mtu + 38);
}

static double ceiling_bps(const struct report_arm *arm, bool datagrams)
{
	double mtu = arm->usable && arm->trials[0].mtu ? (double)arm->trials[0].mtu : 1500;

	return report_ceiling_bps(arm->line_bps, mtu, arm->settings.ipv6, datagrams);
}

static void raise_flags(struct report_cell *cell)
{
	for (size_t i = 0; i < cell->arms_n; i++) {
		const struct report_arm *arm = &cell->arms[i];
		struct report_counts counts;

		report_arm_count(arm, &counts);
		for (int f = 0; f < REPORT_FLAGS_N; f++)
			cell->flag[f] |= counts.flag[f] > 0;
		cell->flag[REPORT_BIMODAL] |= arm->bimodal;
		cell->flag[REPORT_MIXED] |= arm->mixed;
		if (cell->kind == STAT_STREAM && arm->line_bps > 0)
			cell->flag[REPORT_LINE_RATE] |=
				arm->figure[STAT_THROUGHPUT] >=
				LINE_RATE_SHARE * ceiling_bps(arm, cell->workload->datagrams);
	}
}

void report_cell_judge(const struct report *report, struct report_cell *cell)
{
	if (!cell->arms_n)
		return;
	cell->exact = true;
	for (size_t i = 0; i < cell->arms_n; i++) {
		report_facts_close(&cell->arms[i], report->environment);
		report_arm_close(&cell->arms[i], cell->kind);
		report_limits_close(&cell->arms[i]);
		cell->exact &= settings_exact(&cell->arms[i].settings);
	}
	raise_flags(cell);
	pair(cell);
	cell->pairs_n = cell->arms_n - 1;
	cell->pairs = mem_array(cell->pairs_n, sizeof(*cell->pairs));
	for (size_t i = 0; i < cell->pairs_n; i++) {
		cell->pairs[i].arm = i + 1;
		compare(report, cell, &cell->pairs[i]);
	}
}
