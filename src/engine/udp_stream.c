/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Datagrams in one direction, client to server: as fast as the client can, or, with a rate, on a schedule.
 *
 * A datagram has `size` bytes.  It begins with its number on its flow and with when it was sent by the
 * client's clock, 8 bytes each, little endian.  Warm-up and measured stretch run from the first datagram that
 * reached any flow, by the server's clock, as in a TCP stream; what is counted by number (lost, twice,
 * overtaken) is counted from the first to the last datagram.
 *
 * The client ends by its own clock.  It then sends HELLO_END with the number of datagrams it has sent, again
 * and again until the server answers HELLO_ENDED.  The server answers when nothing is missing, and otherwise
 * one timeout after the first HELLO_END: what has not come by then is lost.  So a loss at the very end is
 * counted like any other, and both ends know the same number.  HELLO_BYE lets the server go.
 *
 * On a schedule message i is due and sent as in rr.c; one that is overdue is sent at once.
 */
#include "internal.h"

#include <endian.h>

#define HEAD_BYTES      16
#define REPEAT_NS       (100 * NS_PER_MS)
#define END_TIMEOUTS    2 /* so long the client waits for HELLO_ENDED: the server may wait for one … */
#define END_PATIENCE_NS NS_PER_S /* … and so much longer */

static void init(struct flow *f)
{
	uint64_t size = MAX(f->size_bytes, HELLO_END_BYTES);

	flow_buffers(f, size, size);
	if (f->recorder)
		f->arrivals = memory_aligned(sizeof(*f->arrivals));
}

/* --- client ------------------------------------------------------------------------------------ */

static void head_write(struct flow *f, uint64_t number, uint64_t now)
{
	const uint64_t head[] = {htole64(number), htole64(now)};

	memcpy(f->out, head, HEAD_BYTES);
}

/* The time at which message k goes out; UINT64_MAX when it is due after the end. */
static uint64_t wait_due(const struct flow *f, uint64_t k)
{
	if (!f->rate)
		return time_now_ns();
	uint64_t due = rr_due(f, k);
	return due < f->end_ns ? flow_sleep_until(f, due) : UINT64_MAX;
}

/* Did send() fail so that the flow is dead? */
static bool send_fatal(struct flow *f)
{
	if (errno == EINTR || errno == ENOBUFS)
		return false;
	if (errno == EAGAIN) {
		f->timeouts++;
		return false;
	}
	flow_fail(f, "%s", errno == ECONNREFUSED ? "the receiver has gone" : strerror(errno));
	return true;
}

static bool send_datagrams(struct flow *f)
{
	const uint64_t size = f->size_bytes;
	uint64_t now;

	flow_look_at_class(f);
	while ((now = wait_due(f, f->sent)) < f->end_ns && !flow_over(f) && !engine_stopping(f->engine)) {
		flow_make_way(f);
		if (__builtin_expect(!f->main.meter.running && now >= f->start_ns, 0)) {
			flow_mark_start(f, &f->main.meter);
			now = time_now_ns();
		}
		head_write(f, f->sent, now);
		if (f->driver->send(f, f->out, size) >= 0)
			f->sent++;
		else if (send_fatal(f))
			return false;
	}
	return true;
}

/* Tells the server how many there were until it says that it knows. */
static void conclude(struct flow *f)
{
	uint64_t now = time_now_ns();
	uint64_t deadline = now + END_TIMEOUTS * f->engine->job.timeout_ns + END_PATIENCE_NS, again = now;

	flow_set_timeout(f, REPEAT_NS);
	while (now < deadline && !engine_stopping(f->engine)) {
		if (now >= again) {
			hello_send_end(f, f->sent);
			again = now + REPEAT_NS;
		}
		ssize_t n = f->driver->receive(f, f->in, f->in_bytes);

		if (n == HELLO_BYTES && hello_kind(f, f->in, (size_t)n) == HELLO_ENDED) {
			hello_send(f, HELLO_BYE);
			return;
		}
		if (n < 0 && errno != EAGAIN && errno != EINTR) {
			flow_fail(f, "the receiver has gone: %s", strerror(errno));
			return;
		}
		now = time_now_ns();
	}
	flow_fail(f, "the receiver does not say that it knows the end");
}

static void client(struct flow *f)
{
	const struct endpoint_job *s = &f->engine->job;

	f->start_ns = f->engine->go_ns + s->warmup_ns;
	f->end_ns = f->beside ? UINT64_MAX : f->start_ns + s->duration_ns;
	bool alive = send_datagrams(f);
	flow_mark_end(f, &f->main.meter);
	f->ended_ns = MIN(time_now_ns(), f->end_ns);
	if (alive)
		conclude(f);
}

/* --- server ------------------------------------------------------------------------------------ */

/* How far a receiver has come. */
struct reception {
	bool over;                /* the client, or the engine, wants it to end */
	bool told;                /* how many were sent, `total` */
	bool closed;              /* all is counted, and the client may know */
	uint64_t total, until_ns; /* when what is missing is lost */
};

static void take_datagram(struct flow *f, uint64_t now, size_t n)
{
	struct arrivals *a = f->arrivals;
	uint64_t head[2];

	memcpy(head, f->in, HEAD_BYTES);
	if (!arrivals_add(a, le64toh(head[0])))
		return;
	uint64_t jitter = arrivals_jitter(a, now, le64toh(head[1]));

	stream_take(f, now, n);
	if (now < f->start_ns || now >= f->end_ns)
		return;
	f->jitter_ns = jitter;
	f->jitter_sum_ns += jitter;
	f->measured++;
}

static void take_end(struct flow *f, struct reception *r, uint64_t total, uint64_t now)
{
	if (!r->told) {
		r->told = true;
		r->total = total;
		r->until_ns = now + f->engine->job.timeout_ns;
		f->ended_ns = now;
		flow_mark_end(f, &f->main.meter);
		flow_set_timeout(f, REPEAT_NS);
	}
	if (r->closed)
		hello_send(f, HELLO_ENDED);
}

/* A message that is no datagram of the stream; false when it is one. */
static bool take_hello(struct flow *f, struct reception *r, uint64_t now, size_t n)
{
	uint64_t total;
	int kind = n == HELLO_BYTES ? hello_kind(f, f->in, n) : 0;

	if (n == HELLO_END_BYTES && hello_end(f, f->in, &total)) {
		take_end(f, r, total, now);
		return true;
	}
	if (kind == HELLO_ASK)
		hello_send(f, HELLO_ACK);
	r->over = kind == HELLO_BYE;
	return kind != 0;
}

static void receive_one(struct flow *f, struct reception *r)
{
	flow_make_way(f);
	ssize_t n = f->driver->receive(f, f->in, f->in_bytes);
	uint64_t now = time_now_ns();

	if (n == 0 || engine_stopping(f->engine)) {
		r->over = true;
	} else if (n > 0) {
		if (!take_hello(f, r, now, (size_t)n) && !r->closed && (uint64_t)n == f->size_bytes)
			take_datagram(f, now, (size_t)n);
	} else if (errno == EAGAIN) {
		f->timeouts += f->end_ns && !r->told;
	} else if (errno != EINTR) {
		/* A client that has what it wants may be gone before its BYE is here. */
		if (!r->closed)
			flow_fail(f, "%s", strerror(errno));
		r->over = true;
	}
	if (r->told && !r->closed && (f->arrivals->received >= r->total || now >= r->until_ns)) {
		r->closed = true;
		hello_send(f, HELLO_ENDED);
	}
}

static void server(struct flow *f)
{
	struct reception r = {.over = false};
	const struct arrivals *a = f->arrivals;

	while (!r.over)
		receive_one(f, &r);
	f->received = a->received;
	f->lost = r.total - MIN(a->received, r.total);
	f->duplicates = a->duplicates;
	f->overtaken = a->overtaken;
	f->late = a->late;
	flow_mark_end(f, &f->main.meter);
	f->ended_ns = MIN(r.told ? f->ended_ns : time_now_ns(), f->end_ns);
	if (!r.closed)
		flow_fail_late(f, "its sender ended too early");
	else if (!a->received)
		flow_fail_late(f, "no data came");
	else if (a->received > r.total)
		flow_fail_late(f, "its sender has sent more than it says");
}

const struct engine_workload engine_udp_stream = {.init = init, .client = client, .server = server};
