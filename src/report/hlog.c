/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * HdrHistogram's interval log, version 1.3: a line a trial, tagged cell/arm, with its response times in ns
 * (Interval_Max in ms, as readers expect).  Time stamps are seconds since the start of the run.  Streams have
 * no latencies and no line.
 */
#include "formats.h"

#include <stdio.h>

struct writing {
	const struct report *report;
	struct buf *out;
	size_t lines;
};

static const char *cell_name(const struct report *r, int64_t id)
{
	for (size_t i = 0; i < r->cells_n; i++)
		if (r->cells[i].cell.id == id)
			return r->cells[i].cell.name;
	return "?";
}

/* A tag ends at a comma or a blank. */
static char *tag_make(const char *cell, const char *arm)
{
	char *tag = str_format("%s/%s", cell, arm);

	for (char *c = tag; *c; c++)
		if (strchr(", \t\r\n\"", *c))
			*c = '_';
	return tag;
}

static int line(const struct store_trial *trial, const struct trial_record *record, void *arg)
{
	struct writing *w = arg;
	struct report_trial t;
	const struct hist *h = report_latencies(trial_measured(record));

	report_trial_fill(&t, record);
	if (!h || !t.usable)
		return 0;
	uint64_t base = w->report->run.started_ns;
	double since = t.started_ns > base ? (double)(t.started_ns - base) / 1e9 : 0;
	AUTO_FREE char *tag = tag_make(cell_name(w->report, trial->cell), trial->arm);
	AUTO_FREE char *text = report_hdr_text(h);
	buf_add(w->out, "Tag=%s,%.3f,%.3f,%.3f,%s\n", tag, since, t.stretch_s, (double)h->max / 1e6, text);
	w->lines++;
	return 0;
}

int report_hlog(const struct report *r, struct store *store, const struct report_style *style,
	struct buf *out, struct err *e)
{
	struct writing w = {r, out, 0};
	char when[32];

	(void)style;
	if (!store)
		return err_set(
			e, EINVAL, "cannot export run %lld as hlog without its store", (long long)r->run.id);
	time_iso8601(r->run.started_ns, when, sizeof(when));
	buf_add(out,
		"#[Response times in ns of run %lld (%s); bins of 0.8 %% moved to the nearest of three digits]\n",
		(long long)r->run.id, r->run.name);
	buf_add(out, "#[Histogram log format version 1.3]\n");
	buf_add(out, "#[StartTime: %.3f (seconds since epoch), %s]\n", (double)r->run.started_ns / 1e9, when);
	buf_add(out,
		"\"StartTimestamp\",\"Interval_Length\",\"Interval_Max\",\"Interval_Compressed_Histogram\"\n");
	return store_trials_each(store, r->run.id, 0, line, &w, e);
}
