/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "figures.h"

#include <math.h>
#include <stdio.h>

json_t *report_hist_json(const struct hist *h)
{
	static const struct {
		const char *key;
		double q;
	} tails[] = {{"p90", 0.9}, {"p99", 0.99}, {"p99.9", 0.999}, {"p99.99", 0.9999}};

	if (!h || !h->count)
		return json_null();
	json_t *o = json_object();
	json_object_set_new(o, "mean", report_number(hist_mean(h)));
	json_object_set_new(o, "median", report_number(report_quantile(h, 0.5)));
	json_object_set_new(o, "sd", report_number(hist_sd(h)));
	json_object_set_new(o, "iqr", report_number(report_quantile(h, 0.75) - report_quantile(h, 0.25)));
	for (size_t i = 0; i < ARRAY_LEN(tails); i++)
		json_object_set_new(o, tails[i].key, report_number(report_quantile(h, tails[i].q)));
	json_object_set_new(o, "min", json_integer((json_int_t)h->min));
	json_object_set_new(o, "max", json_integer((json_int_t)h->max));
	return o;
}

static json_t *interval(const double ci[2])
{
	if (!isfinite(ci[0]) || !isfinite(ci[1]))
		return json_null();
	return json_pack("[f, f]", ci[0], ci[1]);
}

json_t *report_effect_json(const struct stat_effect *e, const char *baseline, const char *arm)
{
	json_t *o = json_object();
	char reason[STAT_REASON_MAX];

	json_object_set_new(o, "metric", json_string(stat_metrics[e->metric].name));
	json_object_set_new(o, "baseline", json_string(baseline));
	json_object_set_new(o, "arm", json_string(arm));
	json_object_set_new(o, "primary", json_boolean(e->primary));
	json_object_set_new(o, "n_blocks", json_integer((json_int_t)e->n_blocks));
	json_object_set_new(o, "scale", json_string(e->absolute ? "difference" : "ratio"));
	json_object_set_new(o, "ratio", report_number(e->ratio));
	json_object_set_new(o, "difference", report_number(e->difference));
	json_object_set_new(o, "ci95", interval(e->ci95));
	json_object_set_new(o, "ci90", interval(e->ci90));
	json_object_set_new(o, "coverage", report_number(e->coverage));
	json_object_set_new(o, "p", report_number(e->p));
	json_object_set_new(o, "p_holm", report_number(e->p_holm));
	json_object_set_new(o, "verdict", json_string(stat_verdict_name(e->verdict)));
	json_object_set_new(o, "reason",
		e->reason ? json_string(stat_effect_reason(e, reason, sizeof(reason))) : json_null());
	json_object_set_new(o, "change", report_number(e->change));
	json_object_set_new(o, "change_of_new", report_number(e->change_of_new));
	json_object_set_new(o, "delta", report_number(e->delta));
	json_object_set_new(o, "mde", report_number(e->mde));
	return o;
}

json_t *report_setting_value(const struct settings *s, const struct setting_row *row)
{
	for (size_t i = 0; i < report_keys_n; i++)
		if (report_keys[i].setting && !strcmp(report_keys[i].setting, row->key))
			return report_keys[i].value(s);
	json_t *all = settings_json(s), *value = json_incref(json_object_get(all, row->key));
	json_decref(all);
	return value ? value : json_null();
}

json_t *report_settings_json(const struct settings *s)
{
	json_t *o = json_object();
	char key[REPORT_KEY_MAX];

	for (size_t i = 0; i < setting_rows_n; i++)
		json_object_set_new(o, report_setting_key(&setting_rows[i], key, sizeof(key)),
			report_setting_value(s, &setting_rows[i]));
	return o;
}

json_t *report_text(const char *text)
{
	json_t *made = json_string(text);

	return made ? made : json_string("?");
}

json_t *report_time_json(uint64_t wall_ns)
{
	char text[32];

	return wall_ns ? json_string(time_iso8601(wall_ns, text, sizeof(text))) : json_null();
}

json_t *report_run_json(const struct store_run *run)
{
	json_t *o = json_object();
	double seconds =
		run->ended_ns >= run->started_ns ? (double)(run->ended_ns - run->started_ns) / 1e9 : NAN;

	json_object_set_new(o, "id", json_integer(run->id));
	json_object_set_new(o, "name", json_string(run->name));
	json_object_set_new(o, "state", json_string(run->state));
	json_object_set_new(o, "seed", json_integer((json_int_t)run->seed));
	json_object_set_new(o, "blocks", json_integer((json_int_t)run->blocks));
	json_object_set_new(o, "started", report_time_json(run->started_ns));
	json_object_set_new(o, "duration_s", report_number(seconds));
	return o;
}

json_t *report_machine_json(const json_t *environment)
{
	static const char *const keys[] = {"kernel", "preempt", "cpus", "hypervisor"};
	json_t *o = json_object();

	for (size_t i = 0; i < ARRAY_LEN(keys); i++)
		json_object_set_new(o, keys[i], json_null());
	if (json_is_object(environment))
		json_object_update(o, (json_t *)environment);
	return o;
}
