/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What describes a cell: the keys that JSON and CSV give it.  They are made from the settings of an arm, so
 * that a key that differs between the arms can be told and stands with the arm.  What a workload has no use
 * for is null: a stream has no request, a closed loop no rate.
 */
#include "model.h"

#include <math.h>

json_t *report_number(double value)
{
	return isfinite(value) ? json_real(value) : json_null();
}

static json_t *word(const char *text)
{
	json_t *made = *text ? json_string(text) : json_null();

	return made ? made : json_null();
}

static bool stream(const struct settings *s)
{
	const struct workload_row *w = workload_find(s->workload);

	return w && w->kind == WORKLOAD_STREAM;
}

static json_t *count(uint64_t value, bool there)
{
	return there ? json_integer((json_int_t)value) : json_null();
}

#define WORD(member)                                                                                         \
	static json_t *key_##member(const struct settings *s, const json_t *environment)                     \
	{                                                                                                    \
		(void)environment;                                                                           \
		return word(s->member);                                                                      \
	}
WORD(target)
WORD(runtime)
WORD(attachment)
WORD(path)
WORD(workload)
WORD(site)
WORD(noise)

#define COUNT(member, there)                                                                                 \
	static json_t *key_##member(const struct settings *s, const json_t *environment)                     \
	{                                                                                                    \
		(void)environment;                                                                           \
		return count(s->member, there);                                                              \
	}
COUNT(rate, s->rate > 0)
COUNT(request_bytes, !stream(s))
COUNT(reply_bytes, !stream(s))
COUNT(size_bytes, stream(s))
COUNT(flows, true)

static json_t *key_pacing(const struct settings *s, const json_t *environment)
{
	(void)environment;
	return json_string(settings_open_loop(s) ? "open" : "closed");
}

static json_t *key_host_kernel(const struct settings *s, const json_t *environment)
{
	const char *kernel = json_string_value(json_object_get(environment, "kernel"));

	return kernel && !strcmp(s->site, "local") ? json_string(kernel) : json_null();
}

static json_t *key_none(const struct settings *s, const json_t *environment)
{
	(void)s;
	(void)environment;
	return json_null();
}

static json_t *key_clock(const struct settings *s, const json_t *environment)
{
	(void)s;
	(void)environment;
	return json_string("real");
}

const struct report_key report_keys[] = {
	{"target", "target", key_target},
	{"runtime", "runtime", key_runtime},
	{"attachment", "attachment", key_attachment},
	{"path", "path", key_path},
	{"workload", "workload", key_workload},
	{"pacing", "pacing", key_pacing},
	{"rate_per_s", "rate", key_rate},
	{"request_bytes", "request", key_request_bytes},
	{"reply_bytes", "reply", key_reply_bytes},
	{"size_bytes", "size", key_size_bytes},
	{"flows", "flows", key_flows},
	{"site", "site", key_site},
	{"host_kernel", NULL, key_host_kernel},
	{"guest_kernel", NULL, key_none},
	{"accel", NULL, key_none},
	{"clock", NULL, key_clock},
	{"noise", "noise", key_noise},
};
const size_t report_keys_n = ARRAY_LEN(report_keys);

bool report_setting_common(const struct report_cell *cell, const struct setting_row *row)
{
	for (size_t i = 1; i < cell->arms_n; i++)
		if (!setting_equal(&cell->arms[0].settings, &cell->arms[i].settings, row))
			return false;
	return true;
}
