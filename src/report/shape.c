/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What describes a cell: the keys that JSON and CSV give it.  They are made from the settings of an arm, or
 * are facts that its trials brought home, so that a key that differs between the arms can be told and stands
 * with the arm.  What a workload has no use for is null: a stream has no request, a closed loop no rate.
 */
#include "model.h"

#include <math.h>

json_t *report_number(double value)
{
	return isfinite(value) ? json_real(value) : json_null();
}

json_t *report_count(bool known, uint64_t value)
{
	return known ? json_integer((json_int_t)value) : json_null();
}

json_t *report_cpu_json(const double cpu_ns[ENDS_MAX])
{
	return json_pack("{s:o, s:o}", role_name(ROLE_CLIENT), report_number(cpu_ns[END_CLIENT]),
		role_name(ROLE_SERVER), report_number(cpu_ns[END_SERVER]));
}

static json_t *word(const char *text)
{
	json_t *made = *text ? json_string(text) : json_null();

	return made ? made : json_null();
}

/* Has a message `size` bytes, or are there requests and replies? */
static bool sized(const struct settings *s)
{
	const struct workload_row *w = workload_find(s->workload);

	return w && w->message;
}

static json_t *count(uint64_t value, bool there)
{
	return there ? json_integer((json_int_t)value) : json_null();
}

#define WORD(member)                                                                                         \
	static json_t *key_##member(const struct settings *s)                                                \
	{                                                                                                    \
		return word(s->member);                                                                      \
	}
WORD(target)
WORD(runtime)
WORD(attachment)
WORD(path)
WORD(workload)
WORD(driver)
WORD(site)
WORD(noise)
WORD(clock)

#define COUNT(member, there)                                                                                 \
	static json_t *key_##member(const struct settings *s)                                                \
	{                                                                                                    \
		return count(s->member, there);                                                              \
	}
COUNT(rate, s->rate > 0)
COUNT(request_bytes, !sized(s))
COUNT(reply_bytes, !sized(s))
COUNT(size_bytes, sized(s))
COUNT(flows, true)

static json_t *key_pacing(const struct settings *s)
{
	return json_string(settings_open_loop(s) ? "open" : "closed");
}

#define FACT(member) .fact = offsetof(struct report_facts, member)

const struct report_key report_keys[] = {
	{.setting = "target", .value = key_target},
	{.setting = "runtime", .value = key_runtime},
	{.setting = "attachment", .value = key_attachment},
	{.setting = "path", .value = key_path},
	{.setting = "workload", .value = key_workload},
	{.setting = "driver", .value = key_driver},
	{.setting = "pacing", .value = key_pacing},
	{.setting = "rate", .value = key_rate},
	{.setting = "request", .value = key_request_bytes},
	{.setting = "reply", .value = key_reply_bytes},
	{.setting = "size", .value = key_size_bytes},
	{.setting = "flows", .value = key_flows},
	{.setting = "site", .value = key_site},
	{.name = "host_kernel", FACT(host_kernel)},
	{.name = "guest_kernel", FACT(guest_kernel)},
	{.name = "accel", FACT(accel)},
	{.name = "host_accel", FACT(host_accel)},
	{.setting = "clock", .value = key_clock},
	{.setting = "noise", .value = key_noise},
};
const size_t report_keys_n = ARRAY_LEN(report_keys);

json_t *report_fact_value(const struct report_key *key, const struct report_facts *facts)
{
	return word(report_fact(key, facts));
}

json_t *report_key_value(const struct report_key *key, const struct report_arm *arm)
{
	return key->setting ? key->value(&arm->settings) : report_fact_value(key, &arm->facts);
}

bool report_key_common(const struct report_cell *cell, const struct report_key *key)
{
	if (key->setting)
		return report_setting_common(cell, setting_find(key->setting));
	for (size_t i = 1; i < cell->arms_n; i++)
		if (strcmp(report_fact(key, &cell->arms[0].facts), report_fact(key, &cell->arms[i].facts)))
			return false;
	return true;
}

bool report_setting_common(const struct report_cell *cell, const struct setting_row *row)
{
	for (size_t i = 1; i < cell->arms_n; i++)
		if (!setting_equal(&cell->arms[0].settings, &cell->arms[i].settings, row))
			return false;
	return true;
}
