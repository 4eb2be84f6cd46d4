/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Adding up the windows of several flows, after measuring.  Window lengths are a power of two times the base
 * length, and all flows start at the same time.  So the shorter windows are merged in pairs until they are as
 * long as those of the other flow, and then added one by one.
 */
#include "recorder.h"

#include <assert.h>

void tally_merge(struct tally *into, const struct tally *from)
{
	into->bytes += from->bytes;
	if (!from->count)
		return;
	if (!into->count) {
		uint64_t bytes = into->bytes;

		*into = *from;
		into->bytes = bytes;
		return;
	}
	into->count += from->count;
	into->sum_ns += from->sum_ns;
	into->max_ns = MAX(into->max_ns, from->max_ns);
	for (unsigned i = 0; i < TALLY_BINS; i++)
		into->bins[i] += from->bins[i];
}

static uint64_t bin_low(unsigned bin)
{
	if (!bin)
		return 0;
	unsigned octave = (bin - 1) >> TALLY_SUB_BITS, sub = (bin - 1) & ((1u << TALLY_SUB_BITS) - 1);
	return ((1ull << TALLY_SUB_BITS) + sub) << (octave + TALLY_LOW_BIT - TALLY_SUB_BITS);
}

uint64_t tally_median(const struct tally *t)
{
	uint64_t rank = (t->count + 1) / 2;

	if (!t->count)
		return 0;
	for (unsigned i = 0; i < TALLY_BINS; i++) {
		if (rank > t->bins[i]) {
			rank -= t->bins[i];
			continue;
		}
		double low = (double)bin_low(i);
		double high = i + 1 < TALLY_BINS ? MIN((double)bin_low(i + 1), (double)t->max_ns)
						 : (double)t->max_ns;

		if (t->count == 1)
			return t->max_ns;
		return (uint64_t)(low + (high - low) * ((double)rank - 0.5) / t->bins[i]);
	}
	return t->max_ns;
}

void series_init(struct series *s)
{
	*s = (struct series){
		.length_ns = WINDOW_BASE_NS, .windows = mem_array(WINDOWS_MAX, sizeof(struct tally))};
}

void series_free(struct series *s)
{
	free(s->windows);
	s->windows = NULL;
}

static void series_put(struct series *s, const struct tally *t)
{
	assert(s->n < WINDOWS_MAX);
	s->windows[s->n++] = *t;
}

/* The windows of a recorder in time order, all of the length of the open one, the open one last. */
static void series_from(struct series *s, const struct recorder *r)
{
	const unsigned pairs = r->ended == WINDOWS_MAX ? WINDOWS_MAX / 2 : 0;

	s->length_ns = r->length_ns;
	s->n = 0;
	for (unsigned i = 0; i < (pairs ? 0 : r->ended); i++)
		series_put(s, &r->room[r->order[i]]);
	for (unsigned i = 0; i < pairs; i++) {
		series_put(s, &r->room[r->order[2 * i]]);
		if (i >= r->pairs)
			tally_merge(&s->windows[i], &r->room[r->order[2 * i + 1]]);
	}
	for (unsigned i = 0; i < r->pairs; i++)
		series_put(s, &r->room[r->order[2 * i + 1]]);
	if (r->now.count || r->now.bytes)
		series_put(s, &r->now);
}

static void series_halve(struct series *s)
{
	for (size_t i = 0; 2 * i < s->n; i++) {
		if (i)
			s->windows[i] = s->windows[2 * i];
		if (2 * i + 1 < s->n)
			tally_merge(&s->windows[i], &s->windows[2 * i + 1]);
	}
	s->n = (s->n + 1) / 2;
	s->length_ns *= 2;
}

void series_add(struct series *s, const struct recorder *r)
{
	struct series other;

	series_init(&other);
	series_from(&other, r);
	while (s->length_ns < other.length_ns)
		series_halve(s);
	while (other.length_ns < s->length_ns)
		series_halve(&other);
	for (size_t i = 0; i < other.n; i++)
		if (i < s->n)
			tally_merge(&s->windows[i], &other.windows[i]);
		else
			series_put(s, &other.windows[i]);
	series_free(&other);
}

void series_out(const struct series *s, struct endpoint_record *record)
{
	record->window_length_ns = s->length_ns;
	record->windows_n = s->n;
	for (size_t i = 0; i < s->n; i++) {
		const struct tally *t = &s->windows[i];

		record->windows[i] = (struct window){.count = t->count,
			.sum_ns = t->sum_ns,
			.max_ns = t->max_ns,
			.median_ns = tally_median(t),
			.bytes = t->bytes};
	}
}
