/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * CSV (RFC 4180): a header, then one row a trial, with every metric and every setting in base units.  Lines
 * end in CR LF, a field with a comma, a quote or a line break is quoted, what does not exist is empty.
 */
#include "figures.h"
#include "formats.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

static void field(struct buf *out, const char *text)
{
	buf_add(out, "%s", out->len && out->data[out->len - 1] != '\n' ? "," : "");
	if (!strpbrk(text, ",\"\r\n")) {
		buf_add(out, "%s", text);
		return;
	}
	buf_add(out, "\"");
	for (; *text; text++)
		buf_add(out, *text == '"' ? "\"\"" : "%c", *text);
	buf_add(out, "\"");
}

static void field_number(struct buf *out, double value)
{
	char text[40] = "";

	if (isfinite(value))
		snprintf(text, sizeof(text), "%.17g", value);
	field(out, text);
}

static void field_count(struct buf *out, uint64_t value)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRIu64, value);
	field(out, text);
}

static const struct {
	const char *name;
	size_t offset;
	bool disorder;   /* an older record does not have it */
	unsigned figure; /* FIGURE(…) that it is; 0: always known */
} counts[] = {
	{"block", offsetof(struct report_trial, block)},
	{"position", offsetof(struct report_trial, position)},
	{"started_ns", offsetof(struct report_trial, started_ns)},
	{"duration_ns", offsetof(struct report_trial, duration_ns)},
	{"sent", offsetof(struct report_trial, sent), false, FIGURE(SENT)},
	{"transactions", offsetof(struct report_trial, transactions)},
	{"bytes", offsetof(struct report_trial, bytes)},
	{"lost", offsetof(struct report_trial, lost), false, FIGURE(LOST)},
	{"timeouts", offsetof(struct report_trial, timeouts), false, FIGURE(TIMEOUTS)},
	{"reordered", offsetof(struct report_trial, reordered), false, FIGURE(DISORDER)},
	{"dead_flows", offsetof(struct report_trial, dead_flows)},
	{"retransmits", offsetof(struct report_trial, retransmits), false, FIGURE(RETRANSMITS)},
	{"client_cpu_ns", offsetof(struct report_trial, client_cpu_ns)},
	{"server_cpu_ns", offsetof(struct report_trial, server_cpu_ns)},
	{"system_cpu_ns", offsetof(struct report_trial, system_cpu_ns)},
	{"steal_ns", offsetof(struct report_trial, steal_ns)},
	{"context_switches", offsetof(struct report_trial, context_switches)},
	{"link_mtu", offsetof(struct report_trial, mtu)},
	{"duplicates", offsetof(struct report_trial, duplicates), true},
	{"late", offsetof(struct report_trial, late), true},
	{"overtaken", offsetof(struct report_trial, overtaken), true},
};

/* "latency_p99" becomes "latency_p99_ns". */
static const char *const suffixes[] = {
	[STAT_NS] = "_ns", [STAT_BPS] = "_bps", [STAT_PER_S] = "_per_s", [STAT_FRACTION] = ""};

static void header(struct buf *out)
{
	static const char *const first[] = {
		"run", "run_name", "cell", "arm", "baseline", "usable", "why_not"};
	char key[REPORT_KEY_MAX];

	for (size_t i = 0; i < ARRAY_LEN(first); i++)
		field(out, first[i]);
	for (size_t i = 0; i < ARRAY_LEN(counts); i++)
		field(out, counts[i].name);
	for (int m = 0; m < STAT_METRICS; m++) {
		AUTO_FREE char *name =
			str_format("%s%s", stat_metrics[m].name, suffixes[stat_metrics[m].unit]);
		field(out, name);
	}
	field(out, "latency_min_ns");
	field(out, "latency_max_ns");
	field(out, "verified");
	field(out, "flags");
	for (size_t i = 0; i < setting_rows_n; i++)
		field(out, report_setting_column(&setting_rows[i], key, sizeof(key)));
	for (size_t i = 0; i < report_keys_n; i++)
		if (!report_keys[i].setting)
			field(out, report_keys[i].name);
	buf_add(out, "\r\n");
}

static void row(const struct report *r, const struct report_cell *cell, const struct report_arm *arm,
	const struct report_trial *t, struct buf *out)
{
	struct buf flags = {0};
	char why[REPORT_WHY_MAX];

	field_count(out, (uint64_t)r->run.id);
	field(out, r->run.name);
	field(out, cell->cell.name);
	field(out, arm->name);
	field(out, arm == &cell->arms[0] ? "yes" : "no");
	field(out, t->usable ? "yes" : "no");
	field(out, report_trial_why(t, why, sizeof(why)));
	for (size_t i = 0; i < ARRAY_LEN(counts); i++)
		if ((counts[i].disorder && !t->disorder_known) || (counts[i].figure & t->unknown) ||
			(counts[i].offset == offsetof(struct report_trial, client_cpu_ns) &&
				!t->client_cpu_known) ||
			(counts[i].offset == offsetof(struct report_trial, server_cpu_ns) &&
				!t->server_cpu_known))
			field(out, "");
		else
			field_count(
				out, *(const uint64_t *)(const void *)((const char *)t + counts[i].offset));
	for (int m = 0; m < STAT_METRICS; m++)
		field_number(out, t->value[m]);
	field_number(out, t->min_ns);
	field_number(out, t->max_ns);
	field(out, t->verified ? "yes" : "no");
	for (int f = 0; f < REPORT_FLAGS_N; f++)
		if (t->flag[f])
			buf_add(&flags, "%s%s", flags.len ? " " : "", report_flag_rows[f].name);
	field(out, flags.len ? flags.data : "");
	buf_free(&flags);
	for (size_t i = 0; i < setting_rows_n; i++) {
		json_t *value = report_setting_value(&arm->settings, &setting_rows[i]);
		AUTO_FREE char *text = json_is_string(value) || json_is_null(value)
					       ? str_dup(json_is_null(value) ? "" : json_string_value(value))
					       : json_dumps(value, JSON_ENCODE_ANY);
		field(out, text);
		json_decref(value);
	}
	for (size_t i = 0; i < report_keys_n; i++)
		if (!report_keys[i].setting)
			field(out, report_fact(&report_keys[i], &t->facts));
	buf_add(out, "\r\n");
}

int report_csv(const struct report *r, struct store *store, const struct report_style *style, struct buf *out,
	struct err *e)
{
	struct buf line = {0};

	(void)store, (void)style, (void)e;
	header(&line);
	for (size_t c = 0; c < r->cells_n; c++)
		for (size_t a = 0; a < r->cells[c].arms_n; a++)
			for (size_t i = 0; i < r->cells[c].arms[a].trials_n; i++)
				row(r, &r->cells[c], &r->cells[c].arms[a], &r->cells[c].arms[a].trials[i],
					&line);
	buf_put(out, line.data, line.len);
	buf_free(&line);
	return 0;
}
