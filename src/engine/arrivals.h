/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Which numbered datagrams have come: once each, twice, or after one with a higher number; and how evenly.
 *
 * A bit for each of the last ARRIVALS_SPAN numbers says whether it has come.  A datagram so far behind the
 * highest number cannot be told from one that comes twice: it is late, and counts as not received.
 *
 * Jitter is that of RFC 3550 §6.4.1: with Sᵢ when datagram i was sent and Rᵢ when it came, each by its own
 * clock, D = (Rⱼ − Rᵢ) − (Sⱼ − Sᵢ) of two that came one after the other, and J grows by (|D| − J)/16 with
 * each.  What the clocks differ by cancels out.
 */
#pragma once

#include "base/base.h"

#define ARRIVALS_SPAN (1u << 20)

struct arrivals {
	uint64_t next; /* one more than the highest number that has come */
	uint64_t received, duplicates, overtaken, late;
	uint64_t transit_ns; /* R − S of the latest, modulo 2^64 */
	uint64_t jitter16;   /* 16 J, in ns */
	bool one;            /* has come, so that there is a transit_ns */
	uint64_t came[ARRIVALS_SPAN / 64];
};

/* Has this number come for the first time?  If not, it was counted, and is to be left alone. */
bool arrivals_add(struct arrivals *a, uint64_t number);
/* The next datagram came at `now_ns` and was sent at `sent_ns`; returns J in ns. */
uint64_t arrivals_jitter(struct arrivals *a, uint64_t now_ns, uint64_t sent_ns);
