/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The histogram away from the measuring loop: quantiles, moments, merging, and its form in a file or a frame.
 *
 * Bucket i below HIST_SUB holds the value i.  Above, i / HIST_SUB is the octave plus one and i % HIST_SUB the
 * place inside it, so that low(i) = (HIST_SUB + i % HIST_SUB) << (i / HIST_SUB − 1).
 *
 * The encoded form is a version byte, then LEB128 varints: count, sum, min, max, the sum of squares as its
 * low and high 64 bits, then for every non-empty bucket the number of empty ones before it and its count.
 * There is exactly one encoding of a histogram, and nothing may follow it.  What is decoded may come from a
 * guest: besides the form, the figures must be possible together (min and max lie in the outermost buckets,
 * the sums within what the buckets allow), so that a decoded histogram can be used without looking again.
 */
#include "hist.h"

#include <math.h>

#define HIST_VERSION 1
#define VARINT_MAX   10 /* bytes of a 64-bit value */

void hist_clear(struct hist *h)
{
	*h = (struct hist){.min = UINT64_MAX};
}

void hist_merge(struct hist *into, const struct hist *from)
{
	into->count += from->count;
	into->sum += from->sum;
	into->sum_squares += from->sum_squares;
	into->min = MIN(into->min, from->min);
	into->max = MAX(into->max, from->max);
	for (unsigned i = 0; i < HIST_BUCKETS; i++)
		into->buckets[i] += from->buckets[i];
}

uint64_t hist_bucket_low(unsigned bucket)
{
	if (bucket < HIST_SUB)
		return bucket;
	return (uint64_t)(HIST_SUB + bucket % HIST_SUB) << (bucket / HIST_SUB - 1);
}

uint64_t hist_bucket_high(unsigned bucket)
{
	return bucket + 1 < HIST_BUCKETS ? hist_bucket_low(bucket + 1) : UINT64_MAX;
}

/* The value of rank 1..count inside a bucket, as if its values were spread evenly over what of it lies in
 * min..max. */
static double value_in_bucket(const struct hist *h, unsigned bucket, uint64_t rank)
{
	double low = (double)MAX(hist_bucket_low(bucket), h->min);
	double last = (double)MIN(hist_bucket_high(bucket) - 1, h->max);
	double place = ((double)rank - 0.5) / (double)h->buckets[bucket];

	if (bucket == HIST_BUCKETS - 1)
		last = (double)h->max;
	return last > low ? low + (last - low) * place : low;
}

double hist_quantile(const struct hist *h, double q)
{
	if (!h->count || isnan(q))
		return NAN;
	/* 0.999 is not 999/1000: without the last factor ceil() would now and then be one too high. */
	double exact = ceil(q * (double)h->count * (1 - 1e-13));
	uint64_t rank = exact < 1 ? 1 : exact >= (double)h->count ? h->count : (uint64_t)exact;

	if (rank == h->count)
		return (double)h->max;
	if (rank == 1)
		return (double)h->min;
	for (unsigned i = 0; i < HIST_BUCKETS; i++) {
		if (rank <= h->buckets[i])
			return value_in_bucket(h, i, rank);
		rank -= h->buckets[i];
	}
	return (double)h->max;
}

double hist_mean(const struct hist *h)
{
	return h->count ? (double)h->sum / (double)h->count : NAN;
}

/*
 * n·variance = Σx² − (Σx)²/n in integers as far as they go, or a small spread around a large mean would
 * drown: with Σx = qn + r, (Σx)²/n = q·Σx + rq + r²/n.
 */
double hist_sd(const struct hist *h)
{
	if (h->count < 2)
		return NAN;
	uint64_t quotient = h->sum / h->count, rest = h->sum % h->count;
	unsigned __int128 square = (unsigned __int128)quotient * h->sum + (unsigned __int128)rest * quotient;

	if (h->sum_squares < square)
		return 0;
	double n = (double)h->count;
	double deviation = (double)(h->sum_squares - square) - (double)rest * ((double)rest / n);

	return deviation > 0 ? sqrt(deviation / (n - 1)) : 0;
}

/* --- encoded form ------------------------------------------------------------------------------ */

static unsigned char *put_varint(unsigned char *at, uint64_t value)
{
	for (; value >= 0x80; value >>= 7)
		*at++ = (unsigned char)(value | 0x80);
	*at++ = (unsigned char)value;
	return at;
}

unsigned char *hist_encode(const struct hist *h, size_t *len)
{
	size_t used = 0;

	for (unsigned i = 0; i < HIST_BUCKETS; i++)
		used += h->buckets[i] != 0;
	unsigned char *data = mem_array(1 + 6 * VARINT_MAX + used * (2 + VARINT_MAX), 1), *at = data;
	const uint64_t figures[] = {
		h->count, h->sum, h->min, h->max, (uint64_t)h->sum_squares, (uint64_t)(h->sum_squares >> 64)};

	*at++ = HIST_VERSION;
	for (size_t i = 0; i < ARRAY_LEN(figures); i++)
		at = put_varint(at, figures[i]);
	for (unsigned i = 0, gap = 0; i < HIST_BUCKETS; i++, gap++) {
		if (!h->buckets[i])
			continue;
		at = put_varint(put_varint(at, gap), h->buckets[i]);
		gap = UINT32_MAX; /* the loop's ++ makes it 0 */
	}
	*len = (size_t)(at - data);
	return data;
}

struct reader {
	const unsigned char *at, *end;
};

static int get_varint(struct reader *r, uint64_t *value, struct err *e)
{
	uint64_t v = 0;

	for (unsigned shift = 0; r->at < r->end && shift < 64; shift += 7) {
		unsigned char byte = *r->at++;

		if (shift == 63 && byte > 1)
			return err_set(e, EINVAL, "cannot decode histogram: a number has more than 64 bits");
		v |= (uint64_t)(byte & 0x7f) << shift;
		if (byte & 0x80)
			continue;
		if (!byte && shift)
			return err_set(e, EINVAL, "cannot decode histogram: a number is padded");
		*value = v;
		return 0;
	}
	return err_set(e, EINVAL, "cannot decode histogram: it ends inside a number");
}

static int get_buckets(struct reader *r, struct hist *h, struct err *e)
{
	uint64_t next = 0, left = h->count;

	while (r->at < r->end) {
		uint64_t gap, count;
		int rc = get_varint(r, &gap, e);

		if (!rc)
			rc = get_varint(r, &count, e);
		if (rc)
			return rc;
		if (gap >= HIST_BUCKETS - next)
			return err_set(e, EINVAL, "cannot decode histogram: bucket beyond the last");
		if (!count || count > left)
			return err_set(
				e, EINVAL, "cannot decode histogram: its buckets do not add up to its count");
		next += gap;
		h->buckets[next++] = count;
		left -= count;
		if (next == HIST_BUCKETS && r->at < r->end)
			return err_set(e, EINVAL, "cannot decode histogram: bytes after the last bucket");
	}
	if (left)
		return err_set(e, EINVAL, "cannot decode histogram: its buckets do not add up to its count");
	return 0;
}

/*
 * Could these figures belong to these buckets?  Bounds are kept in floating point with room for its rounding;
 * sums that may have wrapped around (values of centuries) cannot be judged and pass.
 */
static bool possible(const struct hist *h)
{
	double low = 0, high = 0, low2 = 0, high2 = 0, room = 1e-9, n = (double)h->count;

	if (!h->count)
		return !h->sum && !h->sum_squares && !h->max && h->min == UINT64_MAX;
	if (h->min > h->max || !h->buckets[hist_bucket(h->min)] || !h->buckets[hist_bucket(h->max)])
		return false;
	for (unsigned i = 0; i < HIST_BUCKETS; i++) {
		if (!h->buckets[i])
			continue;
		if (i < hist_bucket(h->min) || i > hist_bucket(h->max))
			return false;
		double a = (double)MAX(hist_bucket_low(i), h->min), c = (double)h->buckets[i];
		double b = (double)(i == hist_bucket(h->max) ? h->max : hist_bucket_high(i) - 1);

		low += c * a;
		high += c * b;
		low2 += c * a * a;
		high2 += c * b * b;
	}
	double sum = (double)h->sum, squares = (double)h->sum_squares;

	if (high < 0x1p64 && (sum < low * (1 - room) || sum > high * (1 + room)))
		return false;
	if (high2 < 0x1p127 * 2 && (squares < low2 * (1 - room) || squares > high2 * (1 + room)))
		return false;
	return high >= 0x1p64 || high2 >= 0x1p127 * 2 || squares >= sum * (sum / n) * (1 - room);
}

int hist_decode(struct hist *h, const unsigned char *data, size_t len, struct err *e)
{
	AUTO_FREE struct hist *out = mem_alloc(sizeof(*out));
	struct reader r = {data, data + len};
	uint64_t squares[2];
	uint64_t *const figures[] = {&out->count, &out->sum, &out->min, &out->max, &squares[0], &squares[1]};

	if (!len || *r.at++ != HIST_VERSION)
		return err_set(e, EINVAL, "cannot decode histogram: not of version %d", HIST_VERSION);
	for (size_t i = 0; i < ARRAY_LEN(figures); i++) {
		int rc = get_varint(&r, figures[i], e);

		if (rc)
			return rc;
	}
	out->sum_squares = (unsigned __int128)squares[1] << 64 | squares[0];
	int rc = get_buckets(&r, out, e);

	if (rc)
		return rc;
	if (!possible(out))
		return err_set(e, EINVAL, "cannot decode histogram: its figures contradict its buckets");
	*h = *out;
	return 0;
}
