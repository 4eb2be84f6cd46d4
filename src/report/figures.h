/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Pieces of JSON that several documents share. */
#pragma once

#include "model.h"

/* {"mean", "median", …, "max"} of a histogram; null for NULL. */
json_t *report_hist_json(const struct hist *h);
/* {"metric", "baseline", "arm", …, "mde"} of one effect. */
json_t *report_effect_json(const struct stat_effect *effect, const char *baseline, const char *arm);
/* Every setting, base units in the keys. */
json_t *report_settings_json(const struct settings *s);
/* names.c: "duration_ns", "size_bytes", "flows": the key of a setting in JSON, and its column in CSV.  What
 * is returned may lie in out, which has REPORT_KEY_MAX bytes. */
#define REPORT_KEY_MAX 64
const char *report_setting_key(const struct setting_row *row, char *out, size_t size);
const char *report_setting_column(const struct setting_row *row, char *out, size_t size);
/* The same of what describes a cell. */
const char *report_key_name(const struct report_key *key, char *out, size_t size);
/* Its value: null where the workload has no use for it. */
json_t *report_setting_value(const struct settings *s, const struct setting_row *row);
/* A text that may not be UTF-8. */
json_t *report_text(const char *text);
json_t *report_time_json(uint64_t wall_ns); /* "2026-01-02T03:04:05Z", null for 0 */
json_t *report_run_json(const struct store_run *run);
json_t *report_machine_json(const json_t *environment);
