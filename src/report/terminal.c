/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A run for a terminal: the head, a section for each cell (table, checks, what owned the extremes), what was
 * skipped, and how to read it.  Nothing is left out silently: what could not be measured, paired or judged
 * says why.
 */
#include "reference.h"
#include "text.h"

#include <math.h>
#include <stdio.h>

static void head(const struct report *r, const struct report_style *style, struct buf *out)
{
	char when[32], took[32];
	AUTO_FREE char *title = str_format("%s, run %lld", r->run.name, (long long)r->run.id);
	const json_t *cpus = json_object_get(r->environment, "cpus");
	AUTO(buf_free) struct buf how = {0};
	struct buf machine = {0};

	if (r->run.ended_ns > r->run.started_ns)
		buf_add(&how, " · took %s",
			text_ns((double)(r->run.ended_ns - r->run.started_ns), took, sizeof(took)));
	if (report_inferred(r))
		buf_add(&how, " · %llu blocks · seed %llu", (unsigned long long)r->run.blocks,
			(unsigned long long)r->run.seed);
	time_iso8601(r->run.started_ns, when, sizeof(when));
	text_paint(out, style, TEXT_BOLD, title);
	bool beside = !out->columns || !how.len ||
		      text_width(title) + 3 + text_width(when) + text_width(how.data) <= out->columns;
	buf_add(out, " · %s%s%s\n", when, beside ? "" : "\n ", how.len ? how.data : "");
	for (size_t i = 0; i < 3; i++) {
		static const char *const keys[] = {"kernel", "preempt", "hypervisor"};
		const char *value = json_string_value(json_object_get(r->environment, keys[i]));

		if (value && *value)
			buf_add(&machine, "%s%s%s", machine.len ? " · " : "", i == 2 ? "hypervisor " : "",
				value);
	}
	if (json_is_integer(cpus))
		buf_add(&machine, "%s%lld CPUs", machine.len ? " · " : "",
			(long long)json_integer_value(cpus));
	if (machine.len)
		text_wrap(out, "", machine.data);
	buf_free(&machine);
	if (strcmp(r->run.state, "done"))
		buf_add(out, "This run is %s: what follows is from the blocks that are complete.\n",
			strcmp(r->run.state, "running") ? r->run.state : "not finished");
}

/* "closed loop · request 1 B · reply 1 B · …": what every arm shares. */
static void cell_head(const struct report_cell *cell, const struct report_style *style, struct buf *out)
{
	const struct settings *s = &cell->arms[0].settings;
	struct buf line = {0};
	char a[32], b[32];

	buf_add(out, "\n");
	text_paint(out, style, TEXT_BOLD, cell->cell.name);
	buf_add(out, "\n");
	if (settings_open_loop(s))
		buf_add(&line, "%s %s /s, ", cell->kind == STAT_STREAM ? "on a schedule of" : "open loop at",
			text_count(s->rate, a, sizeof(a)));
	else if (cell->kind == STAT_REQUESTS)
		buf_add(&line, "closed loop, ");
	if (cell->workload->message)
		buf_add(&line, "%s of %s", cell->workload->message, text_bytes(s->size_bytes, a, sizeof(a)));
	else
		buf_add(&line, "request %s, reply %s", text_bytes(s->request_bytes, a, sizeof(a)),
			text_bytes(s->reply_bytes, b, sizeof(b)));
	if (strcmp(s->driver, "socket") && report_setting_common(cell, setting_find("driver")))
		buf_add(&line, ", driver %s", s->driver);
	if (s->beside[0])
		buf_add(&line, ", %s beside", s->beside);
	if (s->flows > 1)
		buf_add(&line, ", %llu flows", (unsigned long long)s->flows);
	if (s->transactions && cell->kind == STAT_REQUESTS)
		buf_add(&line, ", %s transactions a trial", text_count(s->transactions, a, sizeof(a)));
	else
		buf_add(&line, ", %s a trial", text_ns((double)s->duration_ns, a, sizeof(a)));
	if (strcmp(s->noise, "none"))
		buf_add(&line, ", noise: %s", s->noise);
	text_wrap(out, "  ", line.data);
	buf_free(&line);
}

/* Arms that differ in more than their name: "tuned: profile low-latency, sched fifo:50". */
static void arms_line(const struct report_cell *cell, struct buf *out)
{
	struct buf line = {0};
	char number[SETTING_NUMBER_MAX];

	for (size_t i = 0; i < cell->arms_n; i++) {
		bool any = false;

		buf_add(&line, "%s%s:", i ? " · " : "", cell->arms[i].name);
		for (size_t k = 0; k < setting_rows_n; k++) {
			if (report_setting_common(cell, &setting_rows[k]))
				continue;
			const char *text = setting_text(
				&cell->arms[i].settings, &setting_rows[k], number, sizeof(number));
			if (!*text)
				continue;
			const char *quote = strpbrk(text, " ,") ? "\"" : "";
			buf_add(&line, "%s %s %s%s%s", any ? "," : "", setting_rows[k].key, quote, text,
				quote);
			any = true;
		}
		size_t before = line.len;
		report_arm_machines(cell, &cell->arms[i], any, &line);
		if (!any && line.len == before)
			buf_add(&line, " as the cell");
	}
	text_wrap(out, "  arms      ", line.data);
	buf_free(&line);
}

static void add_flags(
	const struct report_cell *cell, const struct report_counts *counts, size_t trials, struct buf *line)
{
	for (int f = 0; f < REPORT_FLAGS_N; f++) {
		if (!cell->flag[f])
			continue;
		buf_add(line, " · %s", report_flag_rows[f].name);
		for (size_t i = 0, n = 0; f == REPORT_BIMODAL && i < cell->arms_n; i++)
			if (cell->arms[i].bimodal)
				buf_add(line, "%s%s", n++ ? ", " : " in ", cell->arms[i].name);
		if (counts->flag[f])
			buf_add(line, " in %zu of %zu trials", counts->flag[f], trials);
		buf_add(line, " (%s)", report_flag_rows[f].help);
	}
}

/* What was judged, and what could not be. */
static void add_stretches(const struct report_counts *counts, struct buf *line)
{
	size_t judged = counts->usable - counts->stretch[STAT_STRETCH_SHORT];

	if (!counts->usable)
		return;
	buf_add(line, " · ");
	if (judged)
		buf_add(line, "settled in %zu of %zu", counts->stretch[STAT_STRETCH_SETTLED], counts->usable);
	if (judged < counts->usable)
		buf_add(line, "%stoo short to tell in %zu",
			judged ? ", " : "whether it had settled: ", counts->usable - judged);
	if (!judged)
		buf_add(line, " of %zu", counts->usable);
}

static void checks(const struct report *r, const struct report_cell *cell, struct buf *out)
{
	struct report_counts all = {0}, one;
	struct buf line = {0};
	char a[32], b[32];

	for (size_t i = 0; i < cell->arms_n; i++) {
		report_arm_count(&cell->arms[i], &one);
		all.trials += one.trials;
		all.usable += one.usable;
		all.verified += one.verified;
		all.sent += one.sent;
		all.lost += one.lost;
		all.retransmits += one.retransmits;
		all.unknown |= one.unknown;
		all.dead_flows += one.dead_flows;
		for (int f = 0; f < REPORT_FLAGS_N; f++)
			all.flag[f] += one.flag[f];
		for (int k = 0; k < STAT_STRETCHES; k++)
			all.stretch[k] += one.stretch[k];
	}
	if (cell->exact)
		buf_add(&line, "%zu of %zu trials usable", all.usable, all.trials);
	else
		buf_add(&line, "%zu of %llu blocks complete", cell->blocks_complete,
			(unsigned long long)r->run.blocks);
	if (!cell->exact && cell->blocks_seen > cell->blocks_complete)
		buf_add(&line, " (%zu left out as a whole)", cell->blocks_seen - cell->blocks_complete);
	buf_add(&line, " · configuration verified %zu of %zu", all.verified, all.trials);
	bool lossy = cell->workload->datagrams || cell->workload->connects;
	if (lossy && (all.unknown & (FIGURE(LOST) | FIGURE(SENT))))
		buf_add(&line, " · lost: not known of every arm");
	else if (!lossy && (all.unknown & FIGURE(RETRANSMITS)))
		buf_add(&line, " · retransmitted: not known of every arm");
	else if (lossy)
		buf_add(&line, " · lost %s of %s", text_count(all.lost, a, sizeof(a)),
			text_count(all.sent, b, sizeof(b)));
	else
		buf_add(&line, " · retransmitted %s", text_count(all.retransmits, a, sizeof(a)));
	if (all.dead_flows)
		buf_add(&line, " · dead flows %llu", (unsigned long long)all.dead_flows);
	add_stretches(&all, &line);
	add_flags(cell, &all, all.trials, &line);
	text_wrap(out, "  checks    ", line.data);
	buf_free(&line);
}

static void knobs(const struct report_cell *cell, struct buf *out)
{
	struct buf line = {0};

	for (size_t a = 0; a < cell->arms_n; a++) {
		const struct report_knobs *k = &cell->arms[a].knobs;

		if (!k->effective && !k->unchanged && !profile_of(&cell->arms[a].settings)->writes)
			continue;
		buf_add(&line, "%s%s: ", line.len ? " · " : "", cell->arms[a].name);
		report_knobs_text(k, &line);
	}
	if (line.len)
		text_wrap(out, "  tuning    ", line.data);
	buf_free(&line);
}

static void left_out(const struct report_cell *cell, struct buf *out)
{
	char why[REPORT_WHY_MAX];

	for (size_t a = 0; a < cell->arms_n; a++)
		for (size_t i = 0; i < cell->arms[a].trials_n; i++) {
			const struct report_trial *t = &cell->arms[a].trials[i];
			if (t->usable)
				continue;
			AUTO_FREE char *line = str_format("%s %llu, %s: %s", cell->exact ? "trial" : "block",
				(unsigned long long)t->block + 1, cell->arms[a].name,
				report_trial_why(t, why, sizeof(why)));
			text_wrap(out, "  left out  ", line);
		}
}

/* The heads of lines of which every arm has one: the name stands before the first. */
static const char *head_once(const char *head, bool *said)
{
	const char *now = *said ? "            " : head;

	*said = true;
	return now;
}

/* The merged histogram and the largest value: what no percentile of a single trial shows. */
static void merged(const struct report_cell *cell, struct buf *out)
{
	static const struct {
		const char *name;
		double q;
	} tails[] = {{"p99.9", 0.999}, {"p99.99", 0.9999}, {"p99.999", 0.99999}};
	bool said = false;
	char text[32];

	for (size_t i = 0; i < cell->arms_n; i++) {
		const struct report_arm *arm = &cell->arms[i];
		const struct hist *h = arm->response ? arm->response : arm->service;
		struct buf line = {0};

		if (!h)
			continue;
		char *(*ns_text)(double, char *, size_t) = cell->exact ? text_exact_ns : text_ns;
		buf_add(&line, "%s:", arm->name);
		for (size_t k = 0; k < ARRAY_LEN(tails); k++)
			if (isfinite(report_quantile(h, tails[k].q)))
				buf_add(&line, " %s %s,", tails[k].name,
					ns_text(report_quantile(h, tails[k].q), text, sizeof(text)));
		buf_add(&line, " max %s", ns_text((double)h->max, text, sizeof(text)));
		if (arm->lateness)
			buf_add(&line, ", sent late by at most %s",
				text_ns((double)arm->lateness->max, text, sizeof(text)));
		text_wrap(out, head_once("  merged    ", &said), line.data);
		buf_free(&line);
	}
}

static void extremes(const struct report_cell *cell, struct buf *out)
{
	struct report_owner owners[WORST_MAX];
	bool said = false;
	char text[32];

	for (size_t i = 0; i < cell->arms_n; i++) {
		size_t n = report_arm_owners(&cell->arms[i], owners);
		struct buf line = {0};

		if (!n)
			continue;
		buf_add(&line, "%s: ", cell->arms[i].name);
		for (size_t k = 0; k < n && k < 3; k++)
			buf_add(&line, "%s%s%s %zu of %zu (worst %s)", k ? ", " : "", owners[k].name,
				owners[k].old_rule ? " (by an older rule)" : "", owners[k].count,
				cell->arms[i].worst_n,
				text_ns((double)owners[k].worst_ns, text, sizeof(text)));
		text_wrap(out, head_once("  extremes  ", &said), line.data);
		buf_free(&line);
	}
}

static void run_to_run(const struct report_cell *cell, const struct report_effects *pair, struct buf *out)
{
	const struct stat_run_to_run *s = &pair->run_to_run;
	enum stat_metric unit = cell->kind == STAT_STREAM ? STAT_THROUGHPUT : STAT_LATENCY_MEDIAN;
	char a[32], b[32];

	if (!isfinite(s->sd_a) || !isfinite(s->sd_b))
		return;
	AUTO_FREE char *line = str_format("SD of the trials' %ss %s → %s%s", stat_metrics[unit].label,
		text_value(unit, s->sd_a, a, sizeof(a)), text_value(unit, s->sd_b, b, sizeof(b)),
		!s->judged   ? " (a number; a verdict needs 20 trials)"
		: s->differs ? ": differs"
			     : ": no difference shown");
	text_wrap(out, "  between   ", line);
}

static void comparison(const struct report_cell *cell, const struct report_effects *pair,
	const struct report_style *style, struct buf *out)
{
	const struct report_arm *old = &cell->arms[0], *new = &cell->arms[pair->arm];

	if (!old->usable || !new->usable) {
		buf_add(out, "  %s against %s: nothing to compare, %s has no usable trial\n", new->name,
			old->name, old->usable ? new->name : old->name);
		return;
	}
	text_comparison(&(struct text_comparison){.kind = cell->kind,
				.closed_loop = !settings_open_loop(&old->settings),
				.old_name = old->name,
				.new_name = new->name,
				.old_figures = old->figure,
				.new_figures = new->figure,
				.effects = pair->effects,
				.n = pair->n,
				.exact = pair->exact,
				.same_values = text_same_values(old, new)},
		style, out);
	run_to_run(cell, pair, out);
}

/* What a faster driver costs. */
static void costs(const struct report_cell *cell, struct buf *out)
{
	struct buf line = {0};
	char a[32], b[32];

	for (size_t i = 0; i < cell->arms_n; i++) {
		const struct report_arm *arm = &cell->arms[i];

		if (isfinite(arm->cpu_ns[END_CLIENT]) && isfinite(arm->cpu_ns[END_SERVER]))
			buf_add(&line, "%s%s %s + %s",
				line.len ? " · " : "CPU time of a transaction, client + server: ", arm->name,
				text_ns(arm->cpu_ns[END_CLIENT], a, sizeof(a)),
				text_ns(arm->cpu_ns[END_SERVER], b, sizeof(b)));
	}
	if (line.len && !report_setting_common(cell, setting_find("driver")))
		text_wrap(out, "  cost      ", line.data);
	buf_free(&line);
}

static void cell_section(const struct report *r, const struct report_cell *cell,
	const struct report_style *style, struct buf *out)
{
	cell_head(cell, style, out);
	report_machines(cell, out);
	arms_line(cell, out);
	for (size_t p = 0; p < cell->pairs_n; p++) {
		if (p)
			buf_add(out, "\n");
		comparison(cell, &cell->pairs[p], style, out);
	}
	if (!cell->pairs_n)
		report_arm_alone(&cell->arms[0], style, out);
	if (cell->exact)
		report_repeats(cell, out);
	report_boots(cell, out);
	merged(cell, out);
	extremes(cell, out);
	report_limits(cell, out);
	costs(cell, out);
	knobs(cell, out);
	checks(r, cell, out);
	left_out(cell, out);
}

/* The reason of the cell i, once for all that share it: those from i on, if i is the first. */
static void skipped_for(const struct report *r, size_t i, struct buf *out)
{
	const char *reason = report_cell_skipped(&r->cells[i]);
	AUTO(buf_free) struct buf names = {0};
	size_t n = 0;

	for (size_t k = 0; k < r->cells_n; k++) {
		const char *other = report_cell_skipped(&r->cells[k]);
		if (!other || strcmp(other, reason))
			continue;
		if (k < i)
			return;
		buf_add(&names, "%s%s", n++ ? ", " : "", r->cells[k].cell.name);
	}
	AUTO_FREE char *line =
		n > 1 ? str_format("%zu cells: %s", n, reason) : str_format("%s: %s", names.data, reason);
	text_wrap(out, "  ", line);
	if (n > 1)
		text_wrap(out, "    ", names.data);
}

static void skipped(const struct report *r, const struct report_style *style, struct buf *out)
{
	bool any = false;

	for (size_t i = 0; i < r->cells_n; i++) {
		if (!report_cell_skipped(&r->cells[i]))
			continue;
		if (!any) {
			buf_add(out, "\n");
			text_paint(out, style, TEXT_BOLD, "skipped");
			buf_add(out, "\n");
		}
		any = true;
		skipped_for(r, i, out);
	}
}

void report_terminal(const struct report *r, const struct report_style *style, struct buf *out)
{
	head(r, style, out);
	for (size_t i = 0; i < r->cells_n; i++)
		if (!report_cell_skipped(&r->cells[i]))
			cell_section(r, &r->cells[i], style, out);
	report_reference_terminal(r, style, out);
	skipped(r, style, out);
	report_legend(r, style, out);
}
