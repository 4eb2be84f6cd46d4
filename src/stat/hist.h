/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A log-linear histogram of nanoseconds (the idea of HdrHistogram): values below 128 have a bucket each,
 * every octave above is cut into 128 equal buckets, so a bucket is at most 1/128 = 0.8 % of its value wide.
 * Values from 2^40 ns (18 min) on share the last bucket; count, sum, sum of squares, min and max are exact
 * whatever the buckets say.
 *
 * hist_add() is the only call of the measuring loop: no branch on the value's size but one, no allocation,
 * and it touches the fixed part and one counter.
 */
#pragma once

#include "base.h"

#define HIST_SUB_BITS 7
#define HIST_SUB      (1u << HIST_SUB_BITS)
#define HIST_TOP_BIT  40
#define HIST_BUCKETS  ((HIST_TOP_BIT - HIST_SUB_BITS + 1) * HIST_SUB)

struct hist {
	uint64_t count, sum, min, max; /* min is UINT64_MAX while empty */
	unsigned __int128 sum_squares;
	uint64_t buckets[HIST_BUCKETS];
};

static inline unsigned hist_bucket(uint64_t value)
{
	if (value < HIST_SUB)
		return (unsigned)value;
	unsigned top = 63u - (unsigned)__builtin_clzll(value);
	if (top >= HIST_TOP_BIT)
		return HIST_BUCKETS - 1;
	unsigned shift = top - HIST_SUB_BITS;
	return (shift + 1) * HIST_SUB + (unsigned)(value >> shift) - HIST_SUB;
}

static inline void hist_add(struct hist *h, uint64_t value)
{
	h->count++;
	h->sum += value;
	h->sum_squares += (unsigned __int128)value * value;
	if (value < h->min)
		h->min = value;
	if (value > h->max)
		h->max = value;
	h->buckets[hist_bucket(value)]++;
}

void hist_clear(struct hist *h);
void hist_merge(struct hist *into, const struct hist *from);
/* The smallest and one past the largest value of a bucket. */
uint64_t hist_bucket_low(unsigned bucket);
uint64_t hist_bucket_high(unsigned bucket);
/*
 * The value at quantile q in [0,1]: nearest rank ceil(q·n), interpolated inside its bucket by rank, clamped
 * to the exact min and max.  NaN for an empty histogram.
 */
double hist_quantile(const struct hist *h, double q);
double hist_mean(const struct hist *h);
double hist_sd(const struct hist *h); /* n − 1; NaN below two values */
/*
 * A compact, portable form (version byte, varints of the exact figures, then gap/count varints of the
 * non-empty buckets).  Encode returns malloc'd bytes; decode checks everything (bounds, that the counts add
 * up to `count`, that min ≤ max) and leaves *h untouched on -EINVAL.
 */
unsigned char *hist_encode(const struct hist *h, size_t *len);
int hist_decode(struct hist *h, const unsigned char *data, size_t len, struct err *e);
