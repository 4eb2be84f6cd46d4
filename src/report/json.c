/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * taut.run/1.  Every key is always there; what does not exist is null.  A key that differs between the arms
 * of a cell is null in the cell and stands in each arm's settings, where the profile always stands.
 */
#include "figures.h"
#include "reference.h"

#include <math.h>

static void add_cell_keys(json_t *o, const struct report_cell *cell)
{
	char name[REPORT_KEY_MAX];

	for (size_t i = 0; i < report_keys_n; i++) {
		const struct report_key *key = &report_keys[i];
		bool common = cell->arms_n && report_key_common(cell, key);

		json_object_set_new(o, report_key_name(key, name, sizeof(name)),
			common ? report_key_value(key, &cell->arms[0]) : json_null());
	}
}

static json_t *arm_settings(const struct report_cell *cell, const struct report_arm *arm)
{
	json_t *o = json_object();
	char key[REPORT_KEY_MAX];

	for (size_t i = 0; i < setting_rows_n; i++)
		if (!strcmp(setting_rows[i].key, "profile") || !report_setting_common(cell, &setting_rows[i]))
			json_object_set_new(o, report_setting_key(&setting_rows[i], key, sizeof(key)),
				report_setting_value(&arm->settings, &setting_rows[i]));
	for (size_t i = 0; i < report_keys_n; i++)
		if (!report_keys[i].setting && !report_key_common(cell, &report_keys[i]))
			json_object_set_new(o, report_keys[i].name, report_key_value(&report_keys[i], arm));
	return o;
}

static json_t *arm_latency(const struct report_arm *arm)
{
	json_t *o = json_object();

	for (size_t m = 0; m < STAT_METRICS; m++)
		if (stat_metrics[m].latency)
			json_object_set_new(o, stat_metrics[m].latency, report_number(arm->figure[m]));
	json_object_set_new(o, "min", report_number(arm->min_ns));
	json_object_set_new(o, "max", report_number(arm->max_ns));
	return o;
}

static json_t *arm_throughput(const struct report_arm *arm)
{
	json_t *o = json_object();

	json_object_set_new(o, "median", report_number(arm->figure[STAT_THROUGHPUT]));
	json_object_set_new(o, "sd", report_number(arm->figure[STAT_THROUGHPUT_SD]));
	json_object_set_new(o, "iqr", report_number(arm->throughput_iqr));
	return o;
}

/* One value for each usable trial, in order of block; null where that trial has too few transactions for it.
 */
static json_t *arm_trial_values(const struct report_arm *arm)
{
	json_t *o = json_object();

	for (int m = 0; m < STAT_METRICS; m++) {
		if (!isfinite(arm->figure[m]))
			continue;
		json_t *values = json_array();

		for (size_t i = 0; i < arm->trials_n; i++)
			if (arm->trials[i].usable)
				json_array_append_new(values, report_number(arm->trials[i].value[m]));
		json_object_set_new(o, stat_metrics[m].name, values);
	}
	return o;
}

static json_t *arm_extremes(const struct report_arm *arm)
{
	struct report_owner owners[WORST_MAX];
	size_t n = report_arm_owners(arm, owners);
	json_t *list = json_array();

	for (size_t i = 0; i < n; i++) {
		json_t *o = json_object();

		json_object_set_new(o, "owner", report_text(owners[i].name));
		json_object_set_new(o, "count", json_integer((json_int_t)owners[i].count));
		json_object_set_new(o, "of", json_integer((json_int_t)arm->worst_n));
		json_object_set_new(o, "worst_ns", json_integer((json_int_t)owners[i].worst_ns));
		json_object_set_new(o, "evidence", report_text(owners[i].evidence));
		json_object_set_new(o, "old_rule", json_boolean(owners[i].old_rule));
		json_array_append_new(list, o);
	}
	return list;
}

static json_t *arm_left_out(const struct report_arm *arm)
{
	json_t *list = json_array();
	char why[REPORT_WHY_MAX];

	for (size_t i = 0; i < arm->trials_n; i++)
		if (!arm->trials[i].usable) {
			json_t *o = json_object();

			json_object_set_new(o, "block", json_integer((json_int_t)arm->trials[i].block));
			json_object_set_new(o, "reason",
				report_text(report_trial_why(&arm->trials[i], why, sizeof(why))));
			json_array_append_new(list, o);
		}
	return list;
}

static json_t *arm_json(const struct report_cell *cell, const struct report_arm *arm)
{
	json_t *o = json_object(), *flags = json_object(), *stretches = json_object();
	struct report_counts n;

	report_arm_count(arm, &n);
	json_object_set_new(o, "settings", arm_settings(cell, arm));
	json_object_set_new(o, "trials", json_integer((json_int_t)n.trials));
	json_object_set_new(o, "usable", json_integer((json_int_t)n.usable));
	json_object_set_new(o, "transactions", json_integer((json_int_t)n.transactions));
	json_object_set_new(o, "sent", report_count(!(n.unknown & FIGURE(SENT)), n.sent));
	json_object_set_new(o, "lost", report_count(!(n.unknown & FIGURE(LOST)), n.lost));
	json_object_set_new(o, "timeouts", report_count(!(n.unknown & FIGURE(TIMEOUTS)), n.timeouts));
	json_object_set_new(o, "reordered", report_count(!(n.unknown & FIGURE(DISORDER)), n.reordered));
	json_object_set_new(o, "duplicates", report_count(n.disorder_known, n.duplicates));
	json_object_set_new(o, "late", report_count(n.disorder_known, n.late));
	json_object_set_new(o, "overtaken", report_count(n.disorder_known, n.overtaken));
	json_object_set_new(
		o, "retransmits", report_count(!(n.unknown & FIGURE(RETRANSMITS)), n.retransmits));
	json_object_set_new(o, "dead_flows", json_integer((json_int_t)n.dead_flows));
	json_object_set_new(o, "verified", json_boolean(n.trials && n.verified == n.trials));
	json_object_set_new(o, "latency_ns", arm_latency(arm));
	json_object_set_new(
		o, "merged_latency_ns", report_hist_json(arm->response ? arm->response : arm->service));
	json_object_set_new(o, "merged_service_ns", report_hist_json(arm->service));
	json_object_set_new(o, "merged_lateness_ns", report_hist_json(arm->lateness));
	json_object_set_new(o, "merged_connect_ns", report_hist_json(arm->connect));
	json_object_set_new(o, "merged_first_reply_ns", report_hist_json(arm->first_reply));
	json_object_set_new(o, "throughput_bps", arm_throughput(arm));
	json_object_set_new(o, "rate_per_s", report_number(arm->figure[STAT_RATE]));
	json_object_set_new(o, "cpu_per_transaction_ns", report_cpu_json(arm->cpu_ns));
	json_object_set_new(o, "trial_values", arm_trial_values(arm));
	json_object_set_new(o, "extremes", arm_extremes(arm));
	json_object_set_new(o, "knobs", report_knobs_json(&arm->knobs));
	json_object_set_new(o, "limits", report_limits_json(arm));
	json_object_set_new(o, "cpus",
		json_pack("{s:o, s:o}", "host", report_count(arm->host_cpus, arm->host_cpus), "guest",
			report_count(arm->guest_cpus, arm->guest_cpus)));
	json_object_set_new(o, "boot_ns", report_boot_json(arm->boot_ns));
	json_object_set_new(o, "identical_trials",
		settings_exact(&arm->settings) && arm->usable > 1
			? json_boolean(report_exact_identical(arm, NULL))
			: json_null());
	json_object_set_new(o, "left_out", arm_left_out(arm));
	for (int f = 0; f < REPORT_FLAGS_N; f++)
		if (n.flag[f])
			json_object_set_new(
				flags, report_flag_rows[f].name, json_integer((json_int_t)n.flag[f]));
	json_object_set_new(o, "flagged_trials", flags);
	for (int k = 0; k < STAT_STRETCHES; k++)
		json_object_set_new(stretches, stat_stretch_name((enum stat_stretch)k),
			json_integer((json_int_t)n.stretch[k]));
	json_object_set_new(o, "stretches", stretches);
	json_object_set_new(o, "bimodal", json_boolean(arm->bimodal));
	return o;
}

static json_t *run_to_run(const struct report_effects *pair)
{
	const struct stat_run_to_run *r = &pair->run_to_run;
	json_t *o = json_object();

	json_object_set_new(o, "sd_baseline", report_number(r->sd_a));
	json_object_set_new(o, "sd_arm", report_number(r->sd_b));
	json_object_set_new(o, "ratio", report_number(r->ratio));
	json_object_set_new(o, "p", r->judged ? report_number(r->test.p) : json_null());
	json_object_set_new(o, "judged", json_boolean(r->judged));
	json_object_set_new(o, "differs", r->judged ? json_boolean(r->differs) : json_null());
	return o;
}

static json_t *cell_json(const struct report *r, const struct report_cell *cell)
{
	json_t *o = json_object(), *arms = json_object(), *effects = json_array(), *flags = json_array();
	json_t *spread = json_object();

	json_object_set_new(o, "id", report_text(cell->cell.name));
	add_cell_keys(o, cell);
	for (size_t i = 0; i < cell->arms_n; i++)
		json_object_set_new(arms, cell->arms[i].name, arm_json(cell, &cell->arms[i]));
	for (size_t p = 0; p < cell->pairs_n; p++) {
		const char *arm = cell->arms[cell->pairs[p].arm].name;

		for (size_t i = 0; i < cell->pairs[p].n; i++)
			json_array_append_new(effects,
				report_effect_json(&cell->pairs[p].effects[i], cell->arms[0].name, arm));
		json_object_set_new(spread, arm, run_to_run(&cell->pairs[p]));
	}
	for (int f = 0; f < REPORT_FLAGS_N; f++)
		if (cell->flag[f])
			json_array_append_new(flags, json_string(report_flag_rows[f].name));
	json_object_set_new(o, "arms", arms);
	json_object_set_new(o, "effects", effects);
	json_object_set_new(o, "run_to_run", spread);
	json_object_set_new(o, "flags", flags);
	json_object_set_new(o, "checks",
		json_pack("{s:I, s:I, s:I}", "blocks_planned", (json_int_t)r->run.blocks, "blocks_seen",
			(json_int_t)cell->blocks_seen, "blocks_complete", (json_int_t)cell->blocks_complete));
	return o;
}

json_t *report_json(const struct report *r)
{
	json_t *o = json_object(), *cells = json_array(), *skipped = json_array();

	for (size_t i = 0; i < r->cells_n; i++) {
		const char *reason = report_cell_skipped(&r->cells[i]);

		if (!reason) {
			json_array_append_new(cells, cell_json(r, &r->cells[i]));
			continue;
		}
		json_t *item = json_object();
		json_object_set_new(item, "cell", report_text(r->cells[i].cell.name));
		json_object_set_new(item, "reason", report_text(reason));
		json_array_append_new(skipped, item);
	}
	json_object_set_new(o, "schema", json_string("taut.run/1"));
	json_object_set_new(o, "run", report_run_json(&r->run));
	json_object_set_new(o, "machine", report_machine_json(r->environment));
	json_object_set_new(o, "cells", cells);
	json_object_set_new(o, "skipped", skipped);
	json_object_set_new(o, "reference", report_reference_json(r));
	json_object_set_new(o, "false_claims_expected",
		report_inferred(r) ? report_number(stat_false_claims_expected(r->families)) : json_null());
	return o;
}
