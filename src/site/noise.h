/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The load that runs beside the measured work: rows of programs, started when a trial wants one and kept
 * until one wants another. */
#pragma once

#include "testbed/testbed.h"

struct noise {
	struct child child;
	const char *kind; /* a row's name; NULL: none */
};
#define NOISE_NONE ((struct noise){.child = {0, -1}})

/* Sees to it that exactly this noise runs: "none" stops what is there.  -ENOENT with advice when the program
 * is missing. */
int noise_ensure(struct noise *noise, const char *kind, struct err *e);
void noise_stop(struct noise *noise);
/* Can it be made here?  Otherwise the reason. */
bool noise_possible(const char *kind, char *reason, size_t size);
