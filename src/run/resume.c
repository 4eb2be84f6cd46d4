/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Which run `--resume` goes on with.  The hash of its specification says whether the experiment is still the
 * same, as long as the version of taut is.  Another version may have more settings or fewer, and with them
 * another hash; so what was stored is also read as records are, where settings that it lacks have their
 * defaults, and the two are compared as this version writes them.
 */
#include "resume.h"

/* The specification as this version would write it; NULL when it cannot be read. */
static json_t *spec_today(const json_t *stored)
{
	json_t *spec = json_deep_copy(stored), *cell, *item;
	size_t c, a;

	json_array_foreach (json_object_get(spec, "cells"), c, cell) {
		json_t *settings = json_object_get(cell, "settings");
		json_array_foreach (settings, a, item) {
			struct settings s;
			if (settings_from_json(&s, item, READ_ARCHIVE, ERR_IGNORED) < 0) {
				json_decref(spec);
				return NULL;
			}
			json_array_set_new(settings, a, settings_json(&s));
		}
	}
	return spec;
}

static bool same_experiment(struct store *store, const struct store_run *found,
	const struct store_run *wanted, const json_t *spec)
{
	json_t *stored = NULL;

	if (!strcmp(found->spec_hash, wanted->spec_hash))
		return true;
	if (store_run_documents(store, found->id, &stored, NULL, ERR_IGNORED) < 0)
		return false;
	json_t *today = spec_today(stored);
	bool same = today && json_equal(today, spec);
	json_decref(stored);
	json_decref(today);
	return same;
}

enum resume resume_find(
	struct store *store, const struct store_run *wanted, const json_t *spec, struct store_run *found)
{
	struct store_run last;

	if (store_run_find(store, wanted->name, &last, ERR_IGNORED) < 0)
		return RESUME_NO_RUN;
	if (!strcmp(last.state, "done"))
		return RESUME_COMPLETE;
	if (strcmp(last.boot_id, wanted->boot_id))
		return RESUME_OTHER_BOOT;
	if (!same_experiment(store, &last, wanted, spec))
		return RESUME_OTHER_EXPERIMENT;
	*found = last;
	return RESUME_GOES_ON;
}

const char *resume_why(enum resume answer)
{
	static const char *const why[] = {
		[RESUME_GOES_ON] = "",
		[RESUME_NO_RUN] = "this experiment has not been run yet",
		[RESUME_COMPLETE] = "its last run is complete",
		[RESUME_OTHER_BOOT] = "its last run began on another boot of the kernel",
		[RESUME_OTHER_EXPERIMENT] = "its last run was of other cells, arms, blocks or settings",
	};

	return why[answer];
}
