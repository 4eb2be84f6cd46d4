/* SPDX-License-Identifier: GPL-3.0-or-later */
/* taut.trial/1: one trial with everything that was seen. */
#include "figures.h"

#include <math.h>
#include <stddef.h>

/* What a kernel said of itself; what is empty or 0 was not said and is null. */
static json_t *kernel_json(const struct kernel_facts *k)
{
	const char *key;
	json_t *o, *value;

	if (!k->kernel[0])
		return json_null();
	o = kernel_facts_json(k);
	json_object_foreach (o, key, value)
		if (json_is_string(value) ? !json_string_length(value) : !json_integer_value(value))
			json_object_set_new(o, key, json_null());
	return o;
}

static json_t *worst_json(const struct trial_record *r)
{
	json_t *list = json_array();

	for (size_t i = 0; i < r->ends[END_CLIENT].record.worst_n; i++) {
		const struct worst *w = &r->ends[END_CLIENT].record.worst[i];
		json_t *o = json_object();

		json_object_set_new(o, "at_ns", json_integer((json_int_t)w->at_ns));
		json_object_set_new(o, "service_ns", json_integer((json_int_t)w->service_ns));
		json_object_set_new(o, "response_ns", json_integer((json_int_t)w->response_ns));
		json_object_set_new(o, "during", during_json(&r->during[i]));
		json_array_append_new(list, o);
	}
	return list;
}

static json_t *windows_json(const struct endpoint_record *m)
{
	json_t *list = json_array();

	for (size_t i = 0; i < m->windows_n; i++) {
		const struct window *w = &m->windows[i];
		json_t *o = json_object();

		json_object_set_new(o, "at_ns", json_integer((json_int_t)(i * m->window_length_ns)));
		json_object_set_new(o, "length_ns", json_integer((json_int_t)m->window_length_ns));
		json_object_set_new(o, "count", json_integer((json_int_t)w->count));
		json_object_set_new(o, "mean_ns",
			w->count ? json_real((double)w->sum_ns / (double)w->count) : json_null());
		json_object_set_new(
			o, "median_ns", w->count ? json_integer((json_int_t)w->median_ns) : json_null());
		json_object_set_new(
			o, "max_ns", w->count ? json_integer((json_int_t)w->max_ns) : json_null());
		json_object_set_new(o, "bytes", json_integer((json_int_t)w->bytes));
		json_array_append_new(list, o);
	}
	return list;
}

static void add_figures(json_t *o, const struct trial_record *r, const struct report_trial *t)
{
	const struct endpoint_record *m = trial_measured(r);
	bool open = settings_open_loop(&r->settings);
	json_t *throughput = json_object();

	json_object_set_new(o, "pacing", json_string(open ? "open" : "closed"));
	json_object_set_new(o, "offered_per_s", open ? json_real((double)r->settings.rate) : json_null());
	json_object_set_new(o, "sent_per_s", report_number(t->sent_per_s));
	json_object_set_new(o, "achieved_per_s", report_number(t->value[STAT_RATE]));
	json_object_set_new(o, "latency_ns",
		m->summary.there ? report_summary_json(&m->summary) : report_hist_json(report_latencies(m)));
	json_object_set_new(o, "service_ns", report_hist_json(m->has_service ? &m->service : NULL));
	/* Of a tool's open loop it is not known when its requests were due. */
	bool due = !open || m->has_lateness;
	json_object_set_new(o, "response_ns", report_hist_json(due ? report_latencies(m) : NULL));
	json_object_set_new(o, "lateness_ns", report_hist_json(m->has_lateness ? &m->lateness : NULL));
	json_object_set_new(o, "connect_ns", report_hist_json(m->has_parts ? &m->connect : NULL));
	json_object_set_new(o, "first_reply_ns", report_hist_json(m->has_parts ? &m->first_reply : NULL));
	json_object_set_new(throughput, "mean", report_number(t->value[STAT_THROUGHPUT]));
	json_object_set_new(throughput, "sd", report_number(t->value[STAT_THROUGHPUT_SD]));
	json_object_set_new(throughput, "iqr", report_number(t->throughput_iqr));
	json_object_set_new(o, "throughput_bps", throughput);
	json_object_set_new(o, "jitter_ns",
		isfinite(t->value[STAT_JITTER]) ? json_pack("{s:f, s:I}", "mean", t->value[STAT_JITTER],
							  "last", (json_int_t)t->jitter_ns)
						: json_null());
}

/* The stream beside: null where there is none. */
static json_t *beside_json(const struct trial_record *r)
{
	const struct endpoint_record *end = trial_beside(r);
	const struct workload_row *w = workload_find(r->settings.beside);
	uint64_t sent = 0;

	if (!end || !w)
		return json_null();
	for (size_t i = 0; i < r->ends_n; i++)
		sent += r->ends[i].record.beside_sent;
	return json_pack("{s:s, s:o, s:I, s:I, s:o, s:o}", "workload", w->name, "throughput_bps",
		report_number(trial_beside_bps(r)), "bytes", (json_int_t)end->beside_bytes, "sent",
		(json_int_t)sent, "received", report_count(w->datagrams, end->beside_received), "lost",
		report_count(w->datagrams, end->beside_lost));
}

static void add_counts(json_t *o, const struct trial_record *r, const struct report_trial *t)
{
	const struct {
		const char *key;
		uint64_t value;
		unsigned figure; /* FIGURE(…) that it is; 0: always known */
	} counts[] = {
		{"sent", t->sent, FIGURE(SENT)},
		{"received", t->received},
		{"transactions", t->transactions},
		{"bytes", t->bytes},
		{"lost", t->lost, FIGURE(LOST)},
		{"timeouts", t->timeouts, FIGURE(TIMEOUTS)},
		{"reordered", t->reordered, FIGURE(DISORDER)},
		{"dead_flows", t->dead_flows},
		{"retransmits", t->retransmits, FIGURE(RETRANSMITS)},
		{"steal_ns", t->steal_ns},
		{"context_switches", t->context_switches},
		{"interrupts", r->interrupts},
		{"softirqs", r->softirqs},
		{"mtu", t->mtu},
		{"warmup_more_windows", r->warmup_more},
	};

	for (size_t i = 0; i < ARRAY_LEN(counts); i++)
		json_object_set_new(
			o, counts[i].key, report_count(!(counts[i].figure & t->unknown), counts[i].value));
	json_object_set_new(o, "duplicates", report_count(t->disorder_known, t->duplicates));
	json_object_set_new(o, "late", report_count(t->disorder_known, t->late));
	json_object_set_new(o, "overtaken", report_count(t->disorder_known, t->overtaken));
	json_object_set_new(o, "beside", beside_json(r));
	json_object_set_new(o, "cpu_ns",
		json_pack("{s:o, s:o, s:I}", "client", report_count(t->client_cpu_known, t->client_cpu_ns),
			"server", report_count(t->server_cpu_known, t->server_cpu_ns), "system",
			(json_int_t)t->system_cpu_ns));
	json_object_set_new(o, "cpu_per_transaction_ns", report_cpu_json(t->cpu_ns));
}

static const char *const outcomes[] = {"done", "failed", "skipped"};

static json_t *ends_json(const struct trial_record *r)
{
	json_t *ends = json_array();

	for (size_t i = 0; i < r->ends_n; i++)
		json_array_append_new(ends,
			json_pack("{s:s, s:o, s:s, s:o, s:o}", "role", role_name(r->ends[i].role), "site",
				report_text(r->ends[i].site), "driver", driver_name(r->ends[i].driver),
				"driver_mode",
				r->ends[i].record.driver_mode[0] ? report_text(r->ends[i].record.driver_mode)
								 : json_null(),
				"pid", report_count(r->ends[i].pid, r->ends[i].pid)));
	return ends;
}

/* Why not, in words; null when it is verified. */
static json_t *unverified_json(const struct trial_record *r)
{
	struct buf why = {0};

	if (r->verified)
		return json_null();
	report_unverified(r, "", &why);
	json_t *text = report_text(why.len ? why.data : "");
	buf_free(&why);
	return text;
}

json_t *report_trial_json(const struct trial_record *r)
{
	struct report_knobs knobs;
	json_t *o = json_object(), *flags = json_array();
	struct report_trial t;

	report_trial_fill(&t, r);
	json_object_set_new(o, "schema", json_string("taut.trial/1"));
	json_object_set_new(o, "outcome", json_string(outcomes[r->outcome]));
	json_object_set_new(o, "reason", r->reason[0] ? report_text(r->reason) : json_null());
	json_object_set_new(o, "verified", json_boolean(r->verified));
	json_object_set_new(o, "stretch", json_string(stat_stretch_name(t.stretch)));
	json_object_set_new(o, "started", report_time_json(r->wall_started_ns));
	json_object_set_new(o, "duration_s", json_real((double)r->duration_ns / 1e9));
	json_object_set_new(o, "measured_s", json_real(t.stretch_s));
	json_object_set_new(o, "settings", report_settings_json(&r->settings));
	json_object_set_new(o, "host", kernel_json(&r->host));
	json_object_set_new(o, "guest", kernel_json(&r->guest));
	json_object_set_new(o, "ends", ends_json(r));
	json_object_set_new(o, "target_use", report_count(r->target_use, r->target_use));
	json_object_set_new(o, "tool_version", r->tool[0] ? report_text(r->tool) : json_null());
	json_object_set_new(o, "boot_ns", report_boot_json(t.boot_ns));
	json_object_set_new(o, "console", r->console[0] ? report_text(r->console) : json_null());
	add_figures(o, r, &t);
	add_counts(o, r, &t);
	json_object_set_new(o, "worst", worst_json(r));
	json_object_set_new(
		o, "attribution_rule", json_integer(r->attribution ? (json_int_t)r->attribution : 1));
	json_object_set_new(o, "windows", windows_json(trial_measured(r)));
	json_object_set_new(
		o, "effective_knobs", json_is_array(r->knobs) ? json_incref(r->knobs) : json_array());
	report_knobs_count(&knobs, r->knobs);
	json_object_set_new(o, "knobs", report_knobs_json(&knobs));
	json_object_set_new(o, "conditions", report_conditions_json(r));
	json_object_set_new(o, "not_verified", unverified_json(r));
	for (int f = 0; f < REPORT_FLAGS_N; f++)
		if (t.flag[f])
			json_array_append_new(flags, json_string(report_flag_rows[f].name));
	json_object_set_new(o, "flags", flags);
	return o;
}
