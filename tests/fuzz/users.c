/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a user writes. */
#include "fuzz.h"

#include "run/run.h"

/* What a user writes: an experiment, and values of settings. */
FUZZ_TARGET(experiment)
{
	struct experiment x;

	if (experiment_parse(&x, "fuzz", (const char *)data, size, NULL, 0, ERR_IGNORED) == 0) {
		json_decref(experiment_json(&x));
		experiment_free(&x);
	}
}

FUZZ_TARGET(setting)
{
	AUTO_FREE char *text = fuzz_text(data, size);
	struct settings s;
	char out[SETTING_NUMBER_MAX];
	cpus set;

	settings_init(&s);
	for (size_t i = 0; i < setting_rows_n; i++)
		if (setting_set(&s, setting_rows[i].key, text, ERR_IGNORED) == 0) {
			const char *shown = setting_text(&s, &setting_rows[i], out, sizeof(out));
			int rc = setting_set(&s, setting_rows[i].key, shown, ERR_IGNORED);
			assert(rc == 0);
		}
	settings_check(&s, ERR_IGNORED);
	cpus_parse_list(text, &set);
	cpus_parse_mask(text, &set);
}

FUZZ_MAIN
