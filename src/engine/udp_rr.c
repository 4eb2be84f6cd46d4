/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Request and reply in datagrams.
 *
 * A request begins with its sequence number, little endian, as many of its low bytes (8 at most) as a request
 * and a reply both have room for; the server sends these back.  The client finds the whole number from the
 * latest that was answered: of all numbers with these low bytes it takes the one from a quarter of their
 * range below to three quarters above, which with one byte is -64 to +191.
 *
 * That fails when more than 191 requests are in flight: a reply can then belong to several of them, and a
 * wrong guess would shift all that follow.  As long as so many are in flight, the client believes only the
 * reply that is next in order, and drops any other (its request counts as lost).  It also finds out how far
 * the server has come: it sends a mark, which is a hello with a number, and remembers how many requests it
 * sent before.  The server returns the mark in order, so the replies after it answer the requests after the
 * mark.  A number that has not been sent yet is that of a reply from one range before.  Marks cost a datagram
 * every 10 ms while many tiny datagrams are in flight, and nothing otherwise. (A run of losses as long as the
 * range, 256 with one byte, is not noticed until the mark is back.)
 *
 * The client's socket and the server's are connected to each other, so neither receives datagrams from
 * elsewhere.  A message as long as a hello is examined: it may be a repeated hello, an answer to one, a mark,
 * or the client's HELLO_BYE.
 */
#include "internal.h"

#define MARK_EVERY_NS (10 * NS_PER_MS)
#define MARK_CLOSE    64

static unsigned sequence_width(const struct flow *f)
{
	uint64_t room = MIN(f->request_bytes, f->reply_bytes);

	return (unsigned)MIN(room, 8u);
}

uint64_t sequence_restore(uint64_t reference, uint64_t low, unsigned width)
{
	if (width >= 8)
		return low;
	uint64_t range = 1ull << (8 * width), first = reference - range / 4;

	return first + ((low - first) & (range - 1));
}

static int send_request(struct flow *f, uint64_t seq)
{
	unsigned width = sequence_width(f);

	for (unsigned i = 0; i < width; i++)
		f->out[i] = (unsigned char)(seq >> (8 * i));
	while (f->driver->send(f, f->out, f->request_bytes) < 0)
		if (errno != EINTR)
			return errno == EPIPE ? 0 : -errno;
	return 1;
}

/* Receives one datagram that has the right length and is no hello: 1; 0 when engine_stop() has closed the
 * socket; −errno. */
static int receive(struct flow *f, size_t size, int (*on_hello)(struct flow *f, int kind))
{
	for (;;) {
		ssize_t n = f->driver->receive(f, f->in, f->in_bytes);

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n == 0)
			return 0;
		if (__builtin_expect(n == HELLO_BYTES, 0)) {
			int kind = hello_kind(f, f->in, (size_t)n);

			if (kind && !on_hello(f, kind))
				return 0;
			if (kind)
				continue;
		}
		if (n == (ssize_t)size)
			return 1;
	}
}

/* --- client
 * ------------------------------------------------------------------------------------------------------ */

static void send_mark(struct flow *f)
{
	uint64_t now = time_now_ns();

	if (now - f->marked_ns < MARK_EVERY_NS)
		return;
	f->marked_ns = now;
	f->mark = (f->mark + 1) % HELLO_MARKS;
	f->marks[f->mark] = ring_head(&f->ring);
	hello_send(f, HELLO_MARK + f->mark);
}

/* A mark has come back: the next reply answers the request after the mark, unless the next expected one is
 * close to that already. */
static int take_mark(struct flow *f, int kind)
{
	if (kind < HELLO_MARKED || kind >= HELLO_MARKED + HELLO_MARKS)
		return 1;
	uint64_t sent_before = f->marks[kind - HELLO_MARKED];

	if (f->next_seq - sent_before > MARK_CLOSE)
		f->next_seq = sent_before;
	return 1;
}

/* Finds the request that a reply answers; false when that cannot be told. */
static bool recognise(struct flow *f, uint64_t low, unsigned width, uint64_t *seq)
{
	uint64_t tail = ring_tail(&f->ring), head = ring_head(&f->ring);
	uint64_t window = width < 8 ? (1ull << (8 * width)) / 4 * 3 : UINT64_MAX;

	f->next_seq = MAX(f->next_seq, tail);
	*seq = sequence_restore(f->next_seq - 1, low, width);
	if (__builtin_expect(head - f->next_seq >= window, 0)) {
		send_mark(f);
		if (*seq != f->next_seq)
			return false;
	}
	if (*seq >= f->next_seq && *seq < head)
		f->next_seq = *seq + 1;
	else if (width < 8 && *seq >= head && *seq >> (8 * width))
		*seq -= 1ull << (8 * width);
	return true;
}

static int receive_reply(struct flow *f, uint64_t *seq)
{
	unsigned width = sequence_width(f);
	int rc;

	do {
		uint64_t low = 0;

		rc = receive(f, f->reply_bytes, take_mark);
		for (unsigned i = 0; i < width; i++)
			low |= (uint64_t)f->in[i] << (8 * i);
		if (rc > 0 && recognise(f, low, width, seq))
			break;
	} while (rc > 0);
	return rc;
}

static const struct rr_transport udp = {.datagrams = true, .send = send_request, .receive = receive_reply};

static void client(struct flow *f)
{
	rr_client(f, &udp);
	hello_send(f, HELLO_BYE);
}

static void pace(struct flow *f)
{
	rr_pace(f, &udp);
}

/* --- server
 * -------------------------------------------------------------------------------------------------------- */

static int answer_hello(struct flow *f, int kind)
{
	if (kind == HELLO_ASK)
		hello_send(f, HELLO_ACK);
	if (kind >= HELLO_MARK && kind < HELLO_MARK + HELLO_MARKS)
		hello_send(f, kind - HELLO_MARK + HELLO_MARKED);
	return kind != HELLO_BYE;
}

/* Serves until the client sends HELLO_BYE, its port is closed, or engine_stop() is called. */
static void server(struct flow *f)
{
	unsigned width = sequence_width(f);
	int rc;

	f->start_ns = time_now_ns();
	flow_mark_start(f, &f->main.meter);
	while ((rc = receive(f, f->request_bytes, answer_hello)) > 0) {
		memcpy(f->out, f->in, width);
		if (f->driver->send(f, f->out, f->reply_bytes) < 0 && errno != EINTR) {
			rc = -errno;
			break;
		}
		f->sent++;
	}
	flow_mark_end(f, &f->main.meter);
	f->ended_ns = time_now_ns();
	f->measured = f->sent;
	if (rc < 0 && rc != -ECONNREFUSED)
		flow_fail(f, "%s", strerror(-rc));
}

const struct engine_workload engine_udp_rr = {
	.init = rr_init, .schedule = rr_schedule, .client = client, .server = server, .pace = pace};
