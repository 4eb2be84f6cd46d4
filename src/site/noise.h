/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The load that runs beside the measured work: rows of programs, started when a trial wants one and kept
 * until one wants another. */
#pragma once

#include "spec/plan.h"
#include "sys/sys.h"

struct noise {
	struct child child;
	enum noise_kind kind; /* NOISE_KIND_NONE: none runs */
};
#define NOISE_NONE ((struct noise){.child = {0, -1}})

/* Sees to it that exactly this noise runs: NOISE_KIND_NONE stops what is there.  -ENOENT with advice when the
 * program is missing. */
int noise_ensure(struct noise *noise, enum noise_kind kind, struct err *e);
void noise_stop(struct noise *noise);
/* Can it be made here?  Otherwise the reason. */
bool noise_possible(enum noise_kind kind, char *reason, size_t size);
