/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "recorder.h"

#include "internal.h"

#include <stdlib.h>

struct recorder *recorder_new(bool open_loop)
{
	struct recorder *r = memory_aligned(sizeof(*r));

	r->open_loop = open_loop;
	hist_clear(&r->service);
	hist_clear(&r->response);
	hist_clear(&r->lateness);
	hist_clear(&r->connect);
	hist_clear(&r->first_reply);
	for (unsigned i = 0; i < WINDOWS_MAX; i++)
		r->order[i] = (uint16_t)i;
	recorder_start(r, 0);
	return r;
}

void recorder_start(struct recorder *r, uint64_t start_ns)
{
	r->start_ns = start_ns;
	r->length_ns = WINDOW_BASE_NS;
	r->window_end_ns = start_ns + WINDOW_BASE_NS;
}

/* When the room is full: merges the next pair of windows and returns the tally that this frees. */
static struct tally *merge_next_pair(struct recorder *r)
{
	struct tally *first = &r->room[r->order[2 * r->pairs]];
	struct tally *second = &r->room[r->order[2 * r->pairs + 1]];

	tally_merge(first, second);
	r->pairs++;
	return second;
}

/* When all pairs are merged, the old windows are in the even places and the newer ones in the odd places.
 * Puts them in the order of time again. */
static void restore_order(struct recorder *r)
{
	uint16_t order[WINDOWS_MAX];

	for (unsigned i = 0; i < WINDOWS_MAX / 2; i++) {
		order[i] = r->order[2 * i];
		order[WINDOWS_MAX / 2 + i] = r->order[2 * i + 1];
	}
	memcpy(r->order, order, sizeof(order));
	r->pairs = 0;
}

static void window_end(struct recorder *r)
{
	bool was_full = r->ended == WINDOWS_MAX;
	struct tally *place = was_full ? merge_next_pair(r) : &r->room[r->order[r->ended++]];

	if (r->now.count) {
		*place = r->now;
		memset(&r->now, 0, sizeof(r->now));
	} else {
		place->count = place->sum_ns = place->max_ns = 0;
		place->bytes = r->now.bytes;
		r->now.bytes = 0;
	}
	bool full = was_full ? r->pairs == WINDOWS_MAX / 2 : r->ended == WINDOWS_MAX;
	if (was_full && full)
		restore_order(r);
	if (full)
		r->length_ns *= 2;
	r->window_end_ns += r->length_ns;
}

void recorder_roll(struct recorder *r, uint64_t at_ns)
{
	while (at_ns >= r->window_end_ns)
		window_end(r);
}

void recorder_add_worst(struct recorder *r, struct worst worst)
{
	unsigned place = r->worst_n;

	if (r->worst_n < WORST_MAX)
		r->worst_n++;
	else
		for (unsigned i = place = 0; i < WORST_MAX; i++)
			if (r->worst[i].response_ns < r->worst[place].response_ns)
				place = i;
	r->worst[place] = worst;
	if (r->worst_n < WORST_MAX)
		return;
	uint64_t least = UINT64_MAX;
	for (unsigned i = 0; i < WORST_MAX; i++)
		least = MIN(least, r->worst[i].response_ns);
	r->worst_least_ns = least;
}

static int slowest_first(const void *a, const void *b)
{
	const struct worst *x = a, *y = b;

	if (x->response_ns != y->response_ns)
		return x->response_ns < y->response_ns ? 1 : -1;
	return (x->at_ns > y->at_ns) - (x->at_ns < y->at_ns);
}

static void merge_worst(const struct recorder *r, struct endpoint_record *record)
{
	struct worst all[2 * WORST_MAX];
	size_t n = record->worst_n;

	memcpy(all, record->worst, n * sizeof(*all));
	memcpy(all + n, r->worst, r->worst_n * sizeof(*all));
	n += r->worst_n;
	qsort(all, n, sizeof(*all), slowest_first);
	record->worst_n = MIN(n, WORST_MAX);
	memcpy(record->worst, all, record->worst_n * sizeof(*all));
}

void recorder_merge(const struct recorder *r, struct endpoint_record *record)
{
	hist_merge(&record->service, &r->service);
	hist_merge(&record->response, r->open_loop ? &r->response : &r->service);
	hist_merge(&record->lateness, &r->lateness);
	hist_merge(&record->connect, &r->connect);
	hist_merge(&record->first_reply, &r->first_reply);
	merge_worst(r, record);
}
