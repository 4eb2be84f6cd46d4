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
/* "duration_ns", "size_bytes", "flows": the key of a setting with its unit; out of at least 64 bytes. */
const char *report_setting_key(const struct setting_row *row, char *out, size_t size);
/* Its value: null where the workload has no use for it. */
json_t *report_setting_value(const struct settings *s, const struct setting_row *row);
/* A text that may not be UTF-8. */
json_t *report_text(const char *text);
json_t *report_time_json(uint64_t wall_ns); /* "2026-01-02T03:04:05Z", null for 0 */
json_t *report_run_json(const struct store_run *run);
json_t *report_machine_json(const json_t *environment);
