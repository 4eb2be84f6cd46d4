/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A log of HdrHistogram, version 1.3: lines "Tag=A,start,length,max,HISTOGRAM", and others that begin with
 * '#' or '"'.  A histogram is base 64 of a compressed one of version 2, big endian:
 *
 *     cookie 0x1c849304, length of what follows, zlib of:
 *     cookie 0x1c849303, length of the counts, 0 (normalizing offset), significant digits,
 *     lowest and highest value (8 bytes each), a ratio (8 bytes), the counts
 *
 * A count is a varint in zigzag form; one below 0 is that many zeros.  The values are ns.  Each count goes to
 * the middle of its bucket here, so mean, SD, least and greatest are as exact as the log's buckets.
 */
#include "tool.h"

#include "wire/base64.h"

#include <zlib.h>

#define COOKIE_COMPRESSED 0x1c849304u
#define COOKIE            0x1c849303u
#define COOKIE_MASK       0xffffff0fu /* the other bits tell the size of a word, which varints have not */
#define HEAD_BYTES        40
#define INFLATED_MOST     (4u << 20)

static uint64_t big_endian(const unsigned char *p, size_t n)
{
	uint64_t value = 0;

	for (size_t i = 0; i < n; i++)
		value = value << 8 | p[i];
	return value;
}

/* A zigzag varint of at most 9 bytes, the last of which has 8 bits of its own. */
static int varint(const unsigned char **p, const unsigned char *end, int64_t *out)
{
	uint64_t value = 0;

	for (unsigned i = 0; i < 9; i++) {
		if (*p == end)
			return -EINVAL;
		unsigned char byte = *(*p)++;
		value |= (uint64_t)(i == 8 ? byte : byte & 0x7f) << (7 * i);
		if (i == 8 || !(byte & 0x80))
			break;
	}
	*out = (int64_t)(value >> 1) ^ -(int64_t)(value & 1);
	return 0;
}

/* How the log cuts values into buckets. */
struct cut {
	unsigned unit, half; /* magnitudes: of the least value, of half of the buckets of an octave */
};

/* The middle of a bucket, by its index; false when it is beyond all values. */
static bool middle(const struct cut *cut, uint64_t index, uint64_t *out)
{
	uint64_t octave = index >> cut->half, sub = index & ((1ull << cut->half) - 1);
	unsigned shift = (unsigned)(octave ? octave - 1 : 0) + cut->unit;

	if (octave > 62 || shift + cut->half + 1 > 62)
		return false;
	sub += octave ? 1ull << cut->half : 0;
	*out = (sub << shift) + ((1ull << shift) >> 1);
	return true;
}

static int add(struct hist *h, uint64_t value, uint64_t n)
{
	unsigned __int128 squares = (unsigned __int128)value * value;
	uint64_t sum;

	if (value >> 48 || n >> 48 || __builtin_mul_overflow(value, n, &sum) ||
		__builtin_add_overflow(h->sum, sum, &h->sum) ||
		__builtin_add_overflow(h->count, n, &h->count) || h->count >> 48)
		return -ERANGE;
	h->sum_squares += squares * n;
	h->min = MIN(h->min, value);
	h->max = MAX(h->max, value);
	h->buckets[hist_bucket(value)] += n;
	return 0;
}

static int counts_read(
	struct hist *h, const struct cut *cut, const unsigned char *p, const unsigned char *end)
{
	uint64_t index = 0, value;
	int64_t n;

	while (p < end) {
		if (varint(&p, end, &n) < 0 || n < -(int64_t)(1 << 30))
			return -EINVAL;
		if (n <= 0) {
			index += n ? (uint64_t)-n : 1;
			continue;
		}
		if (!middle(cut, index++, &value) || add(h, value, (uint64_t)n) < 0)
			return -EINVAL;
	}
	return 0;
}

static int plain_read(struct hist *h, const unsigned char *data, size_t len)
{
	struct cut cut;
	uint64_t counts = len >= HEAD_BYTES ? big_endian(data + 4, 4) : 0, reach = 2;

	if (len < HEAD_BYTES || (big_endian(data, 4) & COOKIE_MASK) != COOKIE || counts > len - HEAD_BYTES ||
		big_endian(data + 8, 4))
		return -EINVAL;
	uint64_t digits = big_endian(data + 12, 4), lowest = big_endian(data + 16, 8);
	if (digits > 5 || !lowest || lowest >> 40)
		return -EINVAL;
	for (uint64_t i = 0; i < digits; i++)
		reach *= 10;
	cut.half = 63u - (unsigned)__builtin_clzll(reach) - (reach & (reach - 1) ? 0 : 1);
	cut.unit = 63u - (unsigned)__builtin_clzll(lowest);
	return counts_read(h, &cut, data + HEAD_BYTES, data + HEAD_BYTES + counts);
}

static int compressed_read(struct hist *h, const unsigned char *data, size_t len)
{
	if (len < 8 || (big_endian(data, 4) & COOKIE_MASK) != COOKIE_COMPRESSED ||
		big_endian(data + 4, 4) > len - 8)
		return -EINVAL;
	AUTO_FREE unsigned char *plain = mem_alloc(INFLATED_MOST);
	uLongf room = INFLATED_MOST;
	if (uncompress(plain, &room, data + 8, (uLong)big_endian(data + 4, 4)) != Z_OK)
		return -EINVAL;
	return plain_read(h, plain, room);
}

int tool_hlog_read(struct hist *h, char *text, size_t len, struct err *e)
{
	hist_clear(h);
	for (char *save = NULL, *line = strtok_r(text, "\r\n", &save); line;
		line = strtok_r(NULL, "\r\n", &save)) {
		char *last = strrchr(line, ',');
		size_t n;
		if (line[0] == '#' || line[0] == '"')
			continue;
		AUTO_FREE unsigned char *data = last ? base64_decode(last + 1, &n) : NULL;
		if (!data || compressed_read(h, data, n) < 0)
			return err_set(e, EINVAL, "its log has a line that holds no histogram: '%.40s'",
				str_printable(line));
	}
	(void)len;
	return h->count ? 0 : err_set(e, EPROTO, "its log has no values");
}
