/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A flow is one connection with its buffers and the figures of its threads.  This file makes a flow, opens
 * its connection, adds its figures to the record, and frees it.  What its threads do is in the files of the
 * workloads; how they start and end is in thread.c.
 */
#include "internal.h"

#include <stdio.h>

/* --- made and unmade --------------------------------------------------------------------------- */

void flow_buffers(struct flow *f, size_t sent, size_t received)
{
	f->in_bytes = MAX(received, HELLO_BYTES);
	f->in = memory_aligned(f->in_bytes);
	f->out = memory_aligned(MAX(sent, HELLO_BYTES));
}

void flow_init(struct flow *f, struct engine *engine, unsigned index)
{
	const struct endpoint_job *s = &engine->job;
	const bool beside = index == s->flows;
	const struct workload_row *row = beside ? s->beside : s->workload;
	const struct engine_workload *w = engine_workload(row->name);

	f->engine = engine;
	f->row = row;
	f->beside = beside;
	f->rate = beside ? 0 : s->rate;
	f->size_bytes = beside ? s->beside_bytes : s->size_bytes;
	f->workload = w;
	f->open_loop = !f->row->stream && job_open_loop(s);
	f->driver = engine_driver(beside ? DRIVER_SOCKET : s->driver);
	f->receive_flags = f->row->datagrams ? MSG_TRUNC : 0;
	f->index = index;
	f->request_bytes = s->request_bytes;
	f->reply_bytes = s->reply_bytes;
	f->burst = s->burst;
	f->timeout_ns = s->timeout_ns;
	f->listen_fd = f->accept_fd = f->fd = -1;
	f->main = (struct thread){.flow = f, .run = s->server ? w->server : w->client, .name = "taut-flow"};
	f->pacer = (struct thread){.flow = f, .run = w->pace, .name = "taut-pacer"};
	if (flow_measures(f))
		f->recorder = recorder_new(f->open_loop);
	w->init(f);
}

int flow_open(struct flow *f, struct err *e)
{
	struct engine *engine = f->engine;
	const struct endpoint_job *job = &engine->job;
	bool datagrams = f->row->datagrams;

	if (job->server && f->driver->listen)
		return f->driver->listen(f, e);
	if (job->server) {
		int fd = socket_listen(job, datagrams, f->index, &engine->ports[f->index], e);

		if (fd < 0)
			return fd;
		*(datagrams ? &f->fd : &f->listen_fd) = fd;
		return f->driver->check ? f->driver->check(f, e) : 0;
	}
	engine->ports[f->index] = job->ports[f->index];
	if (f->driver->connect)
		return f->driver->connect(f, e);
	f->fd = socket_connect(job, datagrams, job->ports[f->index], engine->prepare_deadline_ns, e);
	if (f->fd < 0)
		return f->fd;
	int rc = hello_ask(job, f->fd, datagrams, f->index, engine->prepare_deadline_ns, e);
	if (rc)
		return rc;
	socket_set_timeout(f->fd, job->timeout_ns);
	socket_read_back(f, datagrams);
	return f->driver->open ? f->driver->open(f, e) : 0;
}

static void close_fd(int fd)
{
	if (fd >= 0)
		close(fd);
}

void flow_clear(struct flow *f)
{
	if (f->driver && f->driver->close)
		f->driver->close(f);
	close_fd(f->accept_fd);
	close_fd(f->listen_fd);
	close_fd(f->fd);
	free(f->out);
	free(f->in);
	free(f->ring.slots);
	free(f->given_up);
	free(f->arrivals);
	free(f->recorder);
}

/* --- while it runs ----------------------------------------------------------------------------- */

void flow_fail(struct flow *f, const char *format, ...)
{
	char why[128];
	va_list args;

	if (engine_stopping(f->engine) || atomic_exchange(&f->failed, true))
		return;
	va_start(args, format);
	vsnprintf(why, sizeof(why), format, args);
	va_end(args);
	snprintf(f->mistake, sizeof(f->mistake), "flow %u is dead: %s", f->index, why);
}

void flow_fail_late(struct flow *f, const char *why)
{
	if (!atomic_exchange(&f->failed, true))
		snprintf(f->mistake, sizeof(f->mistake), "flow %u is dead: %s", f->index, why);
}

void flow_look_at_class(struct flow *f)
{
	int policy = f->beside ? sched_getscheduler(0) : SCHED_OTHER;

	f->realtime = policy == SCHED_FIFO || policy == SCHED_RR;
}

void flow_set_timeout(struct flow *f, uint64_t timeout_ns)
{
	f->timeout_ns = timeout_ns;
	socket_set_timeout(f->fd, timeout_ns);
}

bool flow_adopt(struct flow *f, int fd)
{
	struct engine *engine = f->engine;

	pthread_mutex_lock(&engine->lock);
	f->fd = fd;
	pthread_mutex_unlock(&engine->lock);
	return !engine_stopping(engine);
}

void flow_close(struct flow *f)
{
	pthread_mutex_lock(&f->engine->lock);
	int fd = steal_fd(&f->fd);
	pthread_mutex_unlock(&f->engine->lock);
	if (fd >= 0)
		close(fd);
}

void flow_mark_start(struct flow *f, struct meter *m)
{
	if (m == &f->main.meter && !f->row->datagrams)
		f->retransmits = socket_retransmits(f->fd);
	meter_start(m);
}

void flow_mark_end(struct flow *f, struct meter *m)
{
	bool marked = m->running;

	meter_stop(m);
	if (m == &f->main.meter && !f->row->datagrams)
		f->retransmits = marked ? MAX(socket_retransmits(f->fd), f->retransmits) - f->retransmits : 0;
}

/* --- what was seen ----------------------------------------------------------------------------- */

static void collect_thread(const struct thread *t, struct endpoint_record *record)
{
	record->cpu_ns += t->meter.cpu_ns;
	record->switches_voluntary += t->meter.voluntary;
	record->switches_involuntary += t->meter.involuntary;
	if (t->created)
		record->timer_slack_ns = MAX(record->timer_slack_ns, t->timer_slack_ns);
}

static void collect_beside(const struct flow *f, struct endpoint_record *record)
{
	bool receives = flow_measures(f) && f->start_ns && f->ended_ns > f->start_ns;

	record->beside_sent = f->sent;
	record->beside_bytes = receives ? f->bytes : 0;
	record->beside_ns = receives ? f->ended_ns - f->start_ns : 0;
	record->beside_received = f->received;
	record->beside_lost = f->row->datagrams ? f->lost : 0;
}

static void collect_mistake(const struct flow *f, struct endpoint_record *record)
{
	if (!atomic_load(&f->failed))
		return;
	record->dead_flows++;
	if (!record->mistake[0])
		memcpy(record->mistake, f->mistake, sizeof(record->mistake));
}

static void collect_measured(const struct flow *f, struct endpoint_record *record)
{
	/* An open loop that cannot keep up with its schedule still sends after the schedule's end.  That time
	 * counts, since the rate would otherwise look higher than it was. */
	uint64_t ended = f->open_loop ? MAX(f->ended_ns, f->last_sent_ns) : f->ended_ns;

	if (f->start_ns && (!record->started_ns || f->start_ns < record->started_ns))
		record->started_ns = f->start_ns;
	record->ended_ns = MAX(record->ended_ns, ended);
	record->sent += f->sent;
	if (!f->row->stream)
		record->transactions += f->measured;
	record->bytes += f->bytes;
	record->received += f->received;
	record->jitter_ns = MAX(record->jitter_ns, f->jitter_ns);
	record->lost += f->lost;
	record->timeouts += f->timeouts;
	record->duplicates += f->duplicates;
	record->late += f->late;
	record->overtaken += f->overtaken;
	record->reordered += f->duplicates + f->late + f->overtaken;
	record->retransmits += f->retransmits;
	record->capped |= f->capped;
	collect_thread(&f->main, record);
	collect_thread(&f->pacer, record);
	if (f->recorder && !f->row->stream)
		recorder_merge(f->recorder, record);
}

void flow_collect(const struct flow *f, struct endpoint_record *record)
{
	if (f->beside)
		collect_beside(f, record);
	else
		collect_measured(f, record);
	conditions_collect(f, &record->conditions);
	collect_mistake(f, record);
}
