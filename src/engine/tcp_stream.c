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

static bool stopped_by_receiver(int code)
{
	return code == EPIPE || code == ECONNRESET;
}

void stream_send(struct flow *f)
{
	const struct endpoint_job *s = &f->engine->job;
	uint64_t now = time_now_ns();

	f->start_ns = now + s->warmup_ns;
	f->end_ns = f->start_ns + s->duration_ns;
	socket_set_timeout(f->fd, s->timeout_ns);
	while (now < f->end_ns + s->timeout_ns && !engine_stopping(f->engine)) {
		if (!f->main.meter.running && now >= f->start_ns)
			flow_mark_start(f, &f->main.meter);
		ssize_t n = send(f->fd, f->out, s->size_bytes, MSG_NOSIGNAL);

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
	f->end_ns = f->start_ns + s->duration_ns;
	f->deadline_ns = f->end_ns;
	recorder_start(f->recorder, f->start_ns);
}

/* A server cannot know when its client will go, so only a client gives up waiting for the first byte. */
static uint64_t first_byte_deadline(const struct flow *f)
{
	const struct endpoint_job *s = &f->engine->job;

	return f->engine->job.server ? UINT64_MAX
				     : f->engine->go_ns + s->warmup_ns + s->duration_ns + s->timeout_ns;
}

static void receive_data(struct flow *f, uint64_t now, size_t n)
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

void stream_receive(struct flow *f)
{
	const struct endpoint_job *s = &f->engine->job;
	uint64_t now = 0;

	f->deadline_ns = first_byte_deadline(f);
	socket_set_timeout(f->fd, s->timeout_ns);
	while (now < f->deadline_ns) {
		ssize_t n = recv(f->fd, f->in, s->size_bytes, 0);

		now = time_now_ns();
		if (n > 0) {
			receive_data(f, now, (size_t)n);
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
	if (engine_stopping(f->engine) && now < f->end_ns)
		snprintf(f->mistake, sizeof(f->mistake), "flow %u is dead: its sender ended too early",
			f->index);
	else if (engine_stopping(f->engine) && !f->end_ns)
		snprintf(f->mistake, sizeof(f->mistake), "flow %u is dead: no data came", f->index);
	flow_mark_end(f, &f->main.meter);
	f->ended_ns = MIN(now, f->end_ns);
}

const struct engine_workload engine_tcp_stream = {.client = stream_send, .server = stream_receive};
