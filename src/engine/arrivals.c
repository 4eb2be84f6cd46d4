/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "arrivals.h"

/* Nothing has come yet of the numbers from `next` to `last`. */
static void forget(struct arrivals *a, uint64_t last)
{
	if (last - a->next >= ARRIVALS_SPAN) {
		memset(a->came, 0, sizeof(a->came));
		return;
	}
	for (uint64_t n = a->next; n <= last; n++)
		a->came[n % ARRIVALS_SPAN / 64] &= ~(1ull << n % 64);
}

bool arrivals_add(struct arrivals *a, uint64_t number)
{
	uint64_t *word = &a->came[number % ARRIVALS_SPAN / 64], bit = 1ull << number % 64;

	if (number == UINT64_MAX) /* no sender comes so far, and what follows it could not be counted */
		return false;
	if (number >= a->next) {
		forget(a, number);
		a->next = number + 1;
	} else if (a->next - number > ARRIVALS_SPAN) {
		a->late++;
		return false;
	} else if (*word & bit) {
		a->duplicates++;
		return false;
	} else {
		a->overtaken++;
	}
	*word |= bit;
	a->received++;
	return true;
}

uint64_t arrivals_jitter(struct arrivals *a, uint64_t now_ns, uint64_t sent_ns)
{
	uint64_t transit = now_ns - sent_ns, difference = transit - a->transit_ns;

	if (difference >> 63)
		difference = -difference;
	if (a->one)
		a->jitter16 += difference - ((a->jitter16 + 8) >> 4);
	a->one = true;
	a->transit_ns = transit;
	return a->jitter16 >> 4;
}
