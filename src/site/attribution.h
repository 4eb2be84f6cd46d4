/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Attribution: who owned the worst transactions of a trial.  It works on the values of the sampler alone and
 * looks at nothing else.
 */
#pragma once

#include "sampler.h"
#include "wire/record.h"

/*
 * What the samples show around each of the worst transactions, and who owned it: out[i] is that of worst[i].
 * `started_ns` is the start of measuring on the clock of the samples, which worst[].at_ns counts from.
 */
void attribute_worst(const struct samples *samples, uint64_t started_ns, const struct worst *worst, size_t n,
	struct during *out);
/* Fills the system's figures of the measured stretch and `during` of the client's worst transactions. */
void attribute_trial(const struct samples *samples, struct trial_record *record);
