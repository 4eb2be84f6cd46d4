/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The recorder of one flow.
 *
 * The measuring loop calls recorder_add() for each transaction.  It updates the histograms and the tally of
 * the open window, and compares once with the least of the worst transactions.  It allocates nothing and
 * touches the same few cache lines each time.  When it had more to do, because a window ended or the
 * transaction is among the worst, it returns true; the caller then reads the clock again, so that this work
 * is in no latency.
 *
 * Windows.  Time since the start of measuring is cut into windows of 1 ms.  There is room for WINDOWS_MAX of
 * them.  When the room is full, the length of new windows doubles, and pairs of old windows are merged into
 * one.  Merging all at once would stop the flow for a fraction of a millisecond, so the work is spread: each
 * window that ends from then on first merges one pair of old windows, the oldest first, and takes the place
 * that this frees.  When the last pair is merged, the room is full again and the length doubles again.  So
 * the memory and the cost of each step stay constant, however long a trial is.
 *
 * Each window keeps counts in bins of 1/16 of an octave, so that the median of merged windows is the median
 * of all their transactions, within 6 %.  A transaction belongs to the window in which its request was due;
 * one whose window has ended already (datagrams overtake each other) is put into the open window.
 */
#pragma once

#include "stat/hist.h"
#include "wire/record.h"

#include <stdalign.h>

#define TALLY_LOW_BIT  10 /* all times below 1 µs share a bin, all from 17 s on another */
#define TALLY_TOP_BIT  34
#define TALLY_SUB_BITS 4
#define TALLY_BINS     (((TALLY_TOP_BIT - TALLY_LOW_BIT) << TALLY_SUB_BITS) + 2)

#define WINDOW_BASE_NS NS_PER_MS

/* One window.  The bins mean something only when count is not 0. */
struct tally {
	uint64_t count, sum_ns, max_ns, bytes;
	uint32_t bins[TALLY_BINS];
};

struct recorder {
	/* these and the four figures of `now` share a cache line */
	alignas(64) uint64_t start_ns; /* of measuring */
	uint64_t window_end_ns;        /* of the open window */
	uint64_t worst_least_ns;       /* a response time above this is among the worst */
	bool open_loop;
	struct tally now; /* the open window */
	alignas(64) struct hist service;
	alignas(64) struct hist response;
	alignas(64) struct hist lateness;
	struct hist connect, first_reply; /* the parts of a service time; empty where it has none */
	struct worst worst[WORST_MAX];
	unsigned worst_n;
	/* the i-th ended window is room[order[i]] */
	uint64_t length_ns; /* of the open window */
	unsigned ended;     /* in order, until the room is full for the first time */
	unsigned pairs;     /* merged since the room was last full */
	uint16_t order[WINDOWS_MAX];
	struct tally room[WINDOWS_MAX];
};

/* A recorder ready for use, of whose memory every page has been touched. */
struct recorder *recorder_new(bool open_loop);
void recorder_start(struct recorder *r, uint64_t start_ns);
/* Ends windows until `at_ns` lies in the open one. */
void recorder_roll(struct recorder *r, uint64_t at_ns);
void recorder_add_worst(struct recorder *r, struct worst worst);
/* Adds the contents of a recorder to a record, except the windows: series_add() brings those together. */
void recorder_merge(const struct recorder *r, struct endpoint_record *record);

static inline unsigned tally_bin(uint64_t value)
{
	if (value < 1u << TALLY_LOW_BIT)
		return 0;
	unsigned top = 63u - (unsigned)__builtin_clzll(value);
	if (top >= TALLY_TOP_BIT)
		return TALLY_BINS - 1;
	return 1 + ((top - TALLY_LOW_BIT) << TALLY_SUB_BITS) +
	       ((unsigned)(value >> (top - TALLY_SUB_BITS)) & ((1u << TALLY_SUB_BITS) - 1));
}

/*
 * Records one transaction: when its request was due (in a closed loop: sent), when it was sent and when its
 * reply had come.  Returns whether recording it took longer than usual.
 */
static inline bool recorder_add(struct recorder *r, uint64_t due_ns, uint64_t sent_ns, uint64_t now_ns)
{
	uint64_t response = now_ns - due_ns;
	bool costly = false;

	if (__builtin_expect(due_ns >= r->window_end_ns, 0)) {
		recorder_roll(r, due_ns);
		costly = true;
	}
	r->now.count++;
	r->now.sum_ns += response;
	if (response > r->now.max_ns)
		r->now.max_ns = response;
	r->now.bins[tally_bin(response)]++;
	hist_add(&r->service, now_ns - sent_ns);
	if (r->open_loop) {
		hist_add(&r->response, response);
		hist_add(&r->lateness, sent_ns - due_ns);
	}
	if (__builtin_expect(response > r->worst_least_ns, 0)) {
		recorder_add_worst(r, (struct worst){due_ns - r->start_ns, now_ns - sent_ns, response});
		costly = true;
	}
	return costly;
}

/* The two parts of the service time of the latest transaction. */
static inline void recorder_add_parts(struct recorder *r, uint64_t connect_ns, uint64_t reply_ns)
{
	hist_add(&r->connect, connect_ns);
	hist_add(&r->first_reply, reply_ns);
}

static inline void recorder_add_bytes(struct recorder *r, uint64_t now_ns, uint64_t bytes)
{
	if (now_ns >= r->window_end_ns)
		recorder_roll(r, now_ns);
	r->now.bytes += bytes;
}

/* --- windows away from the measuring loop ------------------------------------------------------ */

/* Windows that follow one another from the start of measuring; there is room for WINDOWS_MAX. */
struct series {
	uint64_t length_ns;
	size_t n;
	struct tally *windows;
};

void series_init(struct series *s);
/* Adds the windows of a flow; the longer of the two window lengths is kept.  All flows must have started at
 * the same time. */
void series_add(struct series *s, const struct recorder *r);
void series_out(const struct series *s, struct endpoint_record *record);
void series_free(struct series *s);
/* Median of a window in ns, interpolated inside its bin; 0 when it is empty. */
uint64_t tally_median(const struct tally *t);
void tally_merge(struct tally *into, const struct tally *from);
