/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Limits on time, and what the machine does meanwhile; tests/system/noise.py is the same for system tests. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct noise {
	double late_ms, gap_ms, share; /* the worst of what was sampled */
	double before_s;               /* CPU time that others had used when it began */
	uint64_t begin_ns;
};

/* Measures the machine's noise, for 0.2 s; stands before what is to be timed. */
struct noise noise_begin(void);
/*
 * A limit on time that was kept or not.  When it was not, the test has failed on a quiet machine; on one that
 * is busy, now or meanwhile, it is skipped.  To be called when the test has freed everything, for skipping
 * frees nothing.
 */
__attribute__((format(printf, 3, 4))) void noise_judge(struct noise *n, bool kept, const char *format, ...);
