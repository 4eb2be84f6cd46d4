/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Limits of the devices between the ends, which explain a figure: the line, which no throughput passes, and
 * the moderation of interrupts, which keeps a request and its reply waiting for a whole number of periods.
 * Both are what the drivers said in the trials, see the conditions of a record; virtual links have neither.
 */
#include "text.h"

#include <math.h>
#include <stdio.h>

#define NEAR            0.02 /* how near to a number of periods a median is that they explain */
#define PERIODS_MAX     4    /* anything is near to a large number of them */
#define PERIOD_LEAST_NS 10000.0

/* The figure behind the word of "rx-usecs=125 adaptive-rx=1"; a word without one counts as 1.  0: it is not
 * there. */
static double figure_of(const char *moderation, const char *word)
{
	size_t n = strlen(word);

	for (const char *at = moderation; *at; at += strcspn(at, " ,"), at += strspn(at, " ,"))
		if (!strncmp(at, word, n) && strchr("=, ", at[n]))
			return at[n] == '=' ? strtod(at + n + 1, NULL) : 1;
	return 0;
}

/* The longer one of both directions, in ns.  What is adaptive follows the load and has no period. */
static double longest_period(const char *moderation)
{
	double rx = figure_of(moderation, "adaptive-rx") > 0 ? 0 : figure_of(moderation, "rx-usecs"),
	       tx = figure_of(moderation, "adaptive-tx") > 0 ? 0 : figure_of(moderation, "tx-usecs");

	return MAX(rx, tx) * 1e3;
}

void report_limits_fill(struct report_trial *t, const struct trial_record *r)
{
	AUTO_FREE struct conditions *all = mem_alloc(sizeof(*all));

	trial_conditions(r, all);
	for (size_t i = 0; i < all->n; i++) {
		const struct condition *c = &all->at[i];
		double line = c->kind == CONDITION_LINE_RATE ? strtod(c->before, NULL) : 0;
		double period = c->kind == CONDITION_MODERATION ? longest_period(c->before) : 0;

		if (line > 0 && (!(t->line_bps > 0) || line < t->line_bps))
			t->line_bps = line;
		t->moderation_ns = MAX(t->moderation_ns, period);
	}
}

double report_periods(double ns, double period_ns)
{
	double n = period_ns >= PERIOD_LEAST_NS ? round(ns / period_ns) : 0;

	return n >= 1 && n <= PERIODS_MAX && fabs(ns / (n * period_ns) - 1) < NEAR ? n : 0;
}

/* Of the last usable trial: they agree, or a condition has changed and they are not verified. */
void report_limits_close(struct report_arm *arm)
{
	for (size_t i = 0; i < arm->trials_n; i++)
		if (arm->trials[i].usable) {
			arm->line_bps = arm->trials[i].line_bps;
			arm->moderation_ns = arm->trials[i].moderation_ns;
		}
	arm->periods = report_periods(arm->figure[STAT_LATENCY_MEDIAN], arm->moderation_ns);
}

void report_limits(const struct report_cell *cell, struct buf *out)
{
	char median[32], period[32];

	for (size_t i = 0; i < cell->arms_n; i++) {
		const struct report_arm *arm = &cell->arms[i];
		if (!arm->periods)
			continue;
		AUTO_FREE char *line = str_format(
			"%s: the median, %s, is %.0f × %s, the period of the interrupt moderation of a device in the path",
			arm->name, text_ns(arm->figure[STAT_LATENCY_MEDIAN], median, sizeof(median)),
			arm->periods, text_ns(arm->moderation_ns, period, sizeof(period)));
		text_wrap(out, "  limit     ", line);
	}
}

json_t *report_limits_json(const struct report_arm *arm)
{
	json_t *o = json_object();

	json_object_set_new(o, "line_rate_bps", report_number(arm->line_bps > 0 ? arm->line_bps : NAN));
	json_object_set_new(
		o, "moderation_ns", report_number(arm->moderation_ns > 0 ? arm->moderation_ns : NAN));
	json_object_set_new(o, "moderation_periods", report_number(arm->periods > 0 ? arm->periods : NAN));
	return o;
}
