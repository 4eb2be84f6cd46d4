/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Bulk data in one direction: the sending and the receiving half, of which either end can be either.
 *
 * The sender writes `size` bytes at a time, the receiver reads into a buffer of that size.  The figures of
 * the receiver count, by its clock: warm-up and measured stretch run from the first byte that reached any of
 * its flows.  At the end of the stretch the receiver closes the connection, which ends the sender.  A sender
 * whose connection is not closed stops by itself one timeout later.
 */
#include "internal.h"

#define BESIDE_LOOK_NS (100 * NS_PER_MS)

static bool stopped_by_receiver(int code)
{
	return code == EPIPE || code == ECONNRESET;
}

void stream_init(struct flow *f)
{
	flow_buffers(f, f->size_bytes, f->size_bytes);
}

/* The stream beside looks often whether it is over. */
static void stream_begin(struct flow *f)
{
	const uint64_t timeout_ns = f->engine->job.timeout_ns;

	flow_look_at_class(f);
	socket_set_timeout(f->fd, f->beside ? MIN(timeout_ns, BESIDE_LOOK_NS) : timeout_ns);
}

void stream_send(struct flow *f)
{
	const struct endpoint_job *s = &f->engine->job;
	uint64_t now = time_now_ns();

	f->start_ns = now + s->warmup_ns;
	f->end_ns = f->start_ns + s->duration_ns;
	stream_begin(f);
	while ((f->beside || now < f->end_ns + s->timeout_ns) && !flow_over(f) &&
		!engine_stopping(f->engine)) {
		flow_make_way(f);
		if (!f->main.meter.running && now >= f->start_ns)
			flow_mark_start(f, &f->main.meter);
		ssize_t n = f->driver->send(f, f->out, f->size_bytes);

		now = time_now_ns();
		if (n >= 0)
			f->sent++;
		else if (errno == EAGAIN)
			f->timeouts++;
		else if (stopped_by_receiver(errno))
			break;
		else if (errno != EINTR) {
			flow_fail(f, "%s", strerror(errno));
			break;
		}
	}
	flow_mark_end(f, &f->main.meter);
	f->ended_ns = now;
}

/* The start of measuring for all flows, set by the first byte of any. */
static void receive_first(struct flow *f, uint64_t now)
{
	struct engine *engine = f->engine;
	const struct endpoint_job *s = &engine->job;
	uint64_t first = 0;

	if (atomic_compare_exchange_strong(&engine->first_byte_ns, &first, now))
		first = now;
	f->start_ns = first + s->warmup_ns;
	f->end_ns = f->beside ? UINT64_MAX : f->start_ns + s->duration_ns;
	f->deadline_ns = f->end_ns;
	flow_look_at_class(f);
	recorder_start(f->recorder, f->start_ns);
}

/* A server cannot know when its client will go, so only a client gives up waiting for the first byte. */
static uint64_t first_byte_deadline(const struct flow *f)
{
	const struct endpoint_job *s = &f->engine->job;

	return f->engine->job.server || f->beside
		       ? UINT64_MAX
		       : f->engine->go_ns + s->warmup_ns + s->duration_ns + s->timeout_ns;
}

void stream_take(struct flow *f, uint64_t now, size_t n)
{
	if (!f->end_ns)
		receive_first(f, now);
	if (now < f->start_ns || now >= f->end_ns)
		return;
	if (!f->main.meter.running)
		flow_mark_start(f, &f->main.meter);
	f->bytes += n;
	recorder_add_bytes(f->recorder, now, n);
}

/* A server is stopped when its client, which sends, has ended.  A client that is stopped knows nothing of its
 * sender. */
static void receiver_was_stopped(struct flow *f, uint64_t now)
{
	if (!f->end_ns)
		flow_fail_late(f, "no data came");
	else if (now < f->end_ns)
		flow_fail_late(f, "its sender ended too early");
}

void stream_receive(struct flow *f)
{
	uint64_t now = 0;

	f->deadline_ns = first_byte_deadline(f);
	stream_begin(f);
	while (now < f->deadline_ns && !flow_over(f)) {
		flow_make_way(f);
		ssize_t n = f->driver->receive(f, f->in, f->size_bytes);

		now = time_now_ns();
		if (n > 0) {
			stream_take(f, now, (size_t)n);
		} else if (f->beside && (n == 0 || stopped_by_receiver(errno))) {
			break; /* its client is over */
		} else if (n == 0) {
			flow_fail(f, "the sender closed the connection");
			break;
		} else if (errno == EAGAIN) {
			f->timeouts += f->end_ns != 0;
		} else if (errno != EINTR) {
			flow_fail(f, "%s", strerror(errno));
			break;
		}
	}
	if (!f->end_ns)
		flow_fail(f, "no data came");
	if (!f->beside && f->engine->job.server && engine_stopping(f->engine))
		receiver_was_stopped(f, now);
	flow_mark_end(f, &f->main.meter);
	f->ended_ns = MIN(now, f->end_ns);
}

const struct engine_workload engine_tcp_stream = {
	.init = stream_init, .client = stream_send, .server = stream_receive};
