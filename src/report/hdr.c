/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * HdrHistogram's exchange format, so that its many readers and plotters can show our distributions.
 *
 * Its buckets, for values from 1 and three significant digits: 2048 sub-buckets of width 1, then for every
 * further octave 1024 sub-buckets twice as wide as those before.  The index of v: with b = max(0, ⌊log2 v⌋ −
 * 10), it is b·1024 + (v >> b).  An encoded histogram is big-endian: cookie, length of the counts,
 * normalising offset 0, digits, lowest and highest trackable value, ratio 1.0; then the counts from index 0
 * to that of the largest value, each as a ZigZag LEB128 number of at most nine bytes (the ninth holds eight
 * bits), a run of n > 1 empty buckets as −n.  That, deflated, behind a second cookie and its length, in base
 * 64, is what a log line holds.
 *
 * Precision: our buckets are 1/128 of an octave wide, theirs 1/1024.  The values of one of ours all go to its
 * middle, so a quantile read from the file is within 0.4 % of ours; the smallest and the largest value keep
 * theirs.
 */
#include "formats.h"

#include "wire/base64.h"

#include <zlib.h>

#define COOKIE            0x1c849313u
#define COOKIE_COMPRESSED 0x1c849314u
#define DIGITS            3
#define HALF_BITS         10 /* 1024 sub-buckets an octave: 2048 ≥ 2 · 10³ */
#define HEADER_BYTES      40

static size_t index_of(uint64_t value)
{
	unsigned top = value ? 63u - (unsigned)__builtin_clzll(value) : 0;
	unsigned b = top > HALF_BITS ? top - HALF_BITS : 0;

	return ((size_t)b << HALF_BITS) + (size_t)(value >> b);
}

/* Readers hold 64 bits with a sign. */
static uint64_t clamp(const struct hist *h, uint64_t value)
{
	return MIN(MIN(MAX(value, h->min), h->max), (uint64_t)INT64_MAX);
}

/* Counts by index, malloc'd; h is not empty. */
static uint64_t *counts_make(const struct hist *h, size_t *n)
{
	uint64_t *counts;

	*n = index_of(clamp(h, h->max)) + 1;
	counts = mem_array(*n, sizeof(*counts));
	for (unsigned i = 0; i < HIST_BUCKETS; i++) {
		uint64_t left = h->buckets[i];
		uint64_t low = hist_bucket_low(i), high = hist_bucket_high(i);

		if (!left)
			continue;
		if (i == hist_bucket(h->max)) {
			counts[index_of(clamp(h, h->max))]++;
			left--;
		}
		if (left && i == hist_bucket(h->min)) {
			counts[index_of(clamp(h, h->min))]++;
			left--;
		}
		counts[index_of(clamp(h, low + (high - low) / 2))] += left;
	}
	return counts;
}

static void put_be(struct buf *out, uint64_t value, unsigned bytes)
{
	for (unsigned i = bytes; i-- > 0;) {
		unsigned char byte = (unsigned char)(value >> (8 * i));
		buf_put(out, &byte, 1);
	}
}

static void put_zigzag(struct buf *out, int64_t value)
{
	uint64_t doubled = (uint64_t)value << 1, v = value < 0 ? ~doubled : doubled;

	for (unsigned i = 0; i < 9; i++) {
		bool last = i == 8 || v < 0x80;
		unsigned char byte = (unsigned char)(i == 8 ? v : (v & 0x7f) | (last ? 0 : 0x80));

		buf_put(out, &byte, 1);
		if (last)
			return;
		v >>= 7;
	}
}

static void put_counts(struct buf *out, const uint64_t *counts, size_t n)
{
	for (size_t i = 0; i < n;) {
		size_t zeros = 0;

		while (i + zeros < n && !counts[i + zeros])
			zeros++;
		put_zigzag(out, zeros > 1 ? -(int64_t)zeros : (int64_t)counts[i]);
		i += zeros > 1 ? zeros : 1;
	}
}

static uint64_t highest_trackable(uint64_t max)
{
	uint64_t highest = 1ull << HIST_TOP_BIT;

	while (highest < max && highest < 1ull << 62)
		highest <<= 1;
	return MAX(highest, max);
}

char *report_hdr_text(const struct hist *h)
{
	struct buf counts = {0}, plain = {0}, packed = {0};
	size_t n;
	AUTO_FREE uint64_t *values = counts_make(h, &n);
	double ratio = 1.0;
	uint64_t ratio_bits;

	put_counts(&counts, values, n);
	memcpy(&ratio_bits, &ratio, sizeof(ratio_bits));
	put_be(&plain, COOKIE, 4);
	put_be(&plain, counts.len, 4);
	put_be(&plain, 0, 4);
	put_be(&plain, DIGITS, 4);
	put_be(&plain, 1, 8);
	put_be(&plain, highest_trackable(clamp(h, h->max)), 8);
	put_be(&plain, ratio_bits, 8);
	buf_put(&plain, counts.data, counts.len);

	uLongf len = compressBound(plain.len);
	AUTO_FREE Bytef *deflated = mem_array(len, 1);
	/* With room for the bound and a valid level it cannot fail. */
	if (compress2(deflated, &len, (const Bytef *)plain.data, plain.len, Z_BEST_COMPRESSION) != Z_OK)
		abort();
	put_be(&packed, COOKIE_COMPRESSED, 4);
	put_be(&packed, len, 4);
	buf_put(&packed, deflated, len);
	char *text = base64_encode(packed.data, packed.len);
	buf_free(&counts);
	buf_free(&plain);
	buf_free(&packed);
	return text;
}
