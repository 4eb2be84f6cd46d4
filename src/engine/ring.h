/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Requests in flight: a ring of time stamps with one writer, the sending thread, and one reader, the
 * receiving thread.  In a closed loop both are the same thread.
 *
 * Requests have consecutive sequence numbers.  Those from tail to head − 1 are in flight, except that
 * datagrams may be answered out of order: the slot of such a request is marked, and passed over when the tail
 * reaches it.  The writer publishes a slot before it sends, since the reply may come before send() has
 * returned.
 */
#pragma once

#include "base/base.h"

#include <stdalign.h>
#include <stdatomic.h>

struct slot {
	uint64_t due_ns;
	uint64_t sent_ns; /* 0: answered or given up */
};

struct ring {
	struct slot *slots;
	uint64_t mask;
	alignas(64) _Atomic uint64_t head; /* written by the sender */
	alignas(64) _Atomic uint64_t tail; /* written by the receiver */
};

static inline uint64_t ring_head(const struct ring *r)
{
	return atomic_load_explicit(&r->head, memory_order_acquire);
}

static inline uint64_t ring_tail(const struct ring *r)
{
	return atomic_load_explicit(&r->tail, memory_order_acquire);
}

static inline bool ring_full(const struct ring *r)
{
	return ring_head(r) - ring_tail(r) > r->mask;
}

/* Returns the sequence number of the request. */
static inline uint64_t ring_push(struct ring *r, uint64_t due_ns, uint64_t sent_ns)
{
	uint64_t seq = atomic_load_explicit(&r->head, memory_order_relaxed);

	r->slots[seq & r->mask] = (struct slot){due_ns, sent_ns};
	atomic_store_explicit(&r->head, seq + 1, memory_order_release);
	return seq;
}

/* The request in flight with that number, or NULL. */
static inline struct slot *ring_find(struct ring *r, uint64_t seq)
{
	uint64_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);
	struct slot *slot = &r->slots[seq & r->mask];

	return seq - tail < ring_head(r) - tail && slot->sent_ns ? slot : NULL;
}

/* The oldest request in flight, or NULL. */
static inline struct slot *ring_oldest(struct ring *r)
{
	return ring_find(r, atomic_load_explicit(&r->tail, memory_order_relaxed));
}

/* The request of this slot is answered or given up. */
static inline void ring_take(struct ring *r, struct slot *slot)
{
	uint64_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed), head = ring_head(r);

	slot->sent_ns = 0;
	while (tail != head && !r->slots[tail & r->mask].sent_ns)
		tail++;
	atomic_store_explicit(&r->tail, tail, memory_order_release);
}
