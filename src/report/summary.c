/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Latencies of which a standard tool has told some figures, and no distribution. */
#include "figures.h"
#include "text.h"

#include <math.h>

static double iqr(const struct latency_summary *s)
{
	return s->quantile[SUMMARY_P75] - s->quantile[SUMMARY_P25];
}

json_t *report_summary_json(const struct latency_summary *s)
{
	const struct {
		const char *key;
		double ns;
	} figures[] = {
		{"mean", s->mean},
		{"median", s->quantile[SUMMARY_P50]},
		{"sd", s->sd},
		{"iqr", iqr(s)},
		{"p90", s->quantile[SUMMARY_P90]},
		{"p99", s->quantile[SUMMARY_P99]},
		{"p99.9", s->quantile[SUMMARY_P999]},
		{"p99.99", s->quantile[SUMMARY_P9999]},
		{"min", s->min},
		{"max", s->max},
	};
	json_t *o = json_object();

	for (size_t i = 0; i < ARRAY_LEN(figures); i++)
		json_object_set_new(o, figures[i].key, report_number(figures[i].ns));
	return o;
}

void report_summary_fill(struct report_trial *t, const struct latency_summary *s)
{
	double *v = t->value;

	t->min_ns = s->min;
	t->max_ns = s->max;
	v[STAT_LATENCY_MEDIAN] = s->quantile[SUMMARY_P50];
	v[STAT_LATENCY_MEAN] = s->mean;
	v[STAT_LATENCY_SD] = s->sd;
	v[STAT_LATENCY_IQR] = iqr(s);
	for (int m = 0; m < STAT_METRICS; m++)
		for (int i = 0; i < SUMMARY_QUANTILES; i++)
			if (stat_metrics[m].quantile > 0 && stat_metrics[m].quantile == summary_quantiles[i])
				v[m] = s->quantile[i];
}

void report_summary_text(const struct latency_summary *s, const struct report_style *style, struct buf *out)
{
	const struct {
		const char *name;
		double ns;
	} rows[] = {
		{"min", s->min},
		{"median", s->quantile[SUMMARY_P50]},
		{"p90", s->quantile[SUMMARY_P90]},
		{"p99", s->quantile[SUMMARY_P99]},
		{"p99.9", s->quantile[SUMMARY_P999]},
		{"p99.99", s->quantile[SUMMARY_P9999]},
		{"max", s->max},
		{"mean", s->mean},
		{"SD", s->sd},
		{"IQR", iqr(s)},
	};
	struct text_table t = {.align = "lr"};
	char text[32];

	text_row(&t);
	text_cell(&t, 1, TEXT_DIM, "round trip");
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		text_row(&t);
		text_cell(&t, 0, TEXT_PLAIN, rows[i].name);
		text_cell(&t, 1, TEXT_PLAIN, text_ns(rows[i].ns, text, sizeof(text)));
	}
	text_table_print(&t, 2, style, out);
}
