/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One AF_XDP socket with its memory and its rings.  A frame lies in a place of that memory, and the rings say
 * whose place is whose: `fill` gives empty ones to the kernel, `receive` brings them back full; `send` and
 * `completed` are the same for sending.
 */
#pragma once

#include "base/base.h"

#include <linux/if_xdp.h>
#include <stdatomic.h>

#define PLACE_BYTES  4096
#define RECEIVE_N    512 /* places; powers of two */
#define SEND_N       64
#define PLACES_N     (RECEIVE_N + SEND_N)
#define MEMORY_BYTES ((size_t)PLACES_N * PLACE_BYTES)

/* A ring that is shared with the kernel; one side writes the producer's place, the other the consumer's. */
struct shared {
	_Atomic uint32_t *producer, *consumer;
	const _Atomic uint32_t *flags;
	void *entries;
	uint32_t mask, own; /* own: our place, producer or consumer */
	void *mapped;
	size_t mapped_bytes;
};

/* Places from 0 on are for receiving, those behind RECEIVE_N for sending. */
struct queue {
	int fd;
	unsigned char *memory;
	struct shared fill, receive, send, completed;
};

/* Opens a socket that is not bound yet, with all places for receiving in `fill`; what there is of it is
 * closed by queue_close(), also after an error. */
int queue_open(struct queue *q, struct err *e);
void queue_close(struct queue *q);

/* Is there something for us to take? */
static inline bool ring_any(const struct shared *r)
{
	return atomic_load_explicit(r->producer, memory_order_acquire) != r->own;
}

static inline void ring_taken(struct shared *r)
{
	atomic_store_explicit(r->consumer, ++r->own, memory_order_release);
}

static inline void ring_given(struct shared *r)
{
	atomic_store_explicit(r->producer, ++r->own, memory_order_release);
}

static inline uint64_t *ring_place(const struct shared *r)
{
	return (uint64_t *)r->entries + (r->own & r->mask);
}

static inline struct xdp_desc *ring_frame(const struct shared *r)
{
	return (struct xdp_desc *)r->entries + (r->own & r->mask);
}

static inline bool ring_asks(const struct shared *r)
{
	return atomic_load_explicit(r->flags, memory_order_relaxed) & XDP_RING_NEED_WAKEUP;
}
