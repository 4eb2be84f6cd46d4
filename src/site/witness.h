/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The witness watches a trial from outside: every few milliseconds it notes what the CPUs of both endpoints
 * go through, so that afterwards each of the worst transactions can be held against what happened around it.
 */
#pragma once

#include "sys/sys.h"
#include "wire/record.h"

struct witness;

#define WITNESS_PERIOD_NS (20 * NS_PER_MS)

int witness_start(struct witness **out, int root, const struct subject *subject,
	const struct cgroups *cgroups, struct err *e);
void witness_sample(struct witness *w); /* call every WITNESS_PERIOD_NS, and once after the end */
/* Fills the system's figures of the measured stretch and `during` of the client's worst transactions. */
void witness_testify(const struct witness *w, struct trial_record *record);
void witness_free(struct witness *w);
