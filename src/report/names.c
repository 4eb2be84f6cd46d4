/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What settings are called in reports: as in experiment files, with the unit behind.  Some have a name of
 * their own, because what came out has the usual one already: in JSON, in a row of CSV, or in both.
 */
#include "figures.h"

#include <stdio.h>

static const struct {
	const char *setting, *key, *column; /* NULL: as usual; `column` without one is `key` */
} own[] = {
	{"accel", "accel_asked", NULL},
	{"duration", NULL, "asked_duration_ns"},
	{"rate", "rate_per_s", "offered_per_s"},
	{"transactions", NULL, "asked_transactions"},
};

const char *report_setting_key(const struct setting_row *row, char *out, size_t size)
{
	static const char *const units[] = {[SETTING_BYTES] = "_bytes", [SETTING_DURATION] = "_ns"};
	const char *unit = (size_t)row->type < ARRAY_LEN(units) ? units[row->type] : NULL;

	for (size_t i = 0; i < ARRAY_LEN(own); i++)
		if (own[i].key && !strcmp(own[i].setting, row->key))
			return own[i].key;
	snprintf(out, size, "%s%s", row->key, unit ? unit : "");
	return out;
}

const char *report_setting_column(const struct setting_row *row, char *out, size_t size)
{
	for (size_t i = 0; i < ARRAY_LEN(own); i++)
		if (own[i].column && !strcmp(own[i].setting, row->key))
			return own[i].column;
	return report_setting_key(row, out, size);
}

const char *report_key_name(const struct report_key *key, char *out, size_t size)
{
	return key->setting ? report_setting_key(setting_find(key->setting), out, size) : key->name;
}
