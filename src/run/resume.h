/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Which run `--resume` goes on with. */
#pragma once

#include "run.h"

enum resume {
	RESUME_GOES_ON,
	RESUME_NO_RUN,
	RESUME_COMPLETE,
	RESUME_OTHER_BOOT,
	RESUME_OTHER_EXPERIMENT,
};
/*
 * The last run of this name, if it is not complete, began on this boot of this kernel, and was to measure
 * what `spec` says.  `wanted` is the run that would begin otherwise; *found only for RESUME_GOES_ON.
 */
enum resume resume_find(
	struct store *store, const struct store_run *wanted, const json_t *spec, struct store_run *found);
/* Why there is nothing to go on with, as a clause. */
const char *resume_why(enum resume answer);
