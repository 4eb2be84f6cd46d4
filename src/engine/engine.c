/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * An endpoint from preparation to record.
 *
 * Everything that costs is done in engine_prepare(): memory is allocated and touched, sockets are opened and
 * tuned, a client has shown its token on every flow, threads exist and sleep.  engine_go() sets the common
 * start of all flows and wakes them.  A flow ends by itself, or because engine_stop() sets the stop flag and
 * shuts its socket down, which makes every blocking call on it return.
 */
#include "internal.h"

#include <inttypes.h>
#include <sys/eventfd.h>

#define GO_LEAD_NS                                                                                           \
	NS_PER_MS /* open loop: the first request is due so long after go, when the threads are awake */

static const struct {
	const char *name;
	const struct engine_workload *workload;
} workloads[] = {
#define ROW(name, ...) {#name, &engine_##name},
	WORKLOADS(ROW)
#undef ROW
};

static const struct engine_workload *find_workload(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(workloads); i++)
		if (!strcmp(workloads[i].name, name))
			return workloads[i].workload;
	return NULL;
}

/* --- preparation ------------------------------------------------------------------------------- */

static int check_job(struct engine *engine, struct err *e)
{
	const struct endpoint_job *s = &engine->job;

	engine->row = s->workload;
	engine->workload = s->workload ? find_workload(s->workload->name) : NULL;
	if (!engine->workload)
		return err_usage(e, "cannot run workload '%s': there is none of that name",
			s->workload ? s->workload->name : "");
	if (s->flows < 1 || s->flows > FLOWS_MAX)
		return err_usage(
			e, "cannot run %" PRIu64 " flows: 1 to %d are possible", s->flows, FLOWS_MAX);
	if (strlen(engine->job.token) != sizeof(engine->job.token) - 1)
		return err_usage(e, "cannot run a trial without a token");
	if (s->port && s->port + s->flows - 1 > UINT16_MAX)
		return err_usage(e, "cannot use port %" PRIu64 " for %" PRIu64 " flows: ports end at 65535",
			s->port, s->flows);
	bool stream = engine->row->kind == WORKLOAD_STREAM;
	if (stream ? !s->size_bytes : !s->request_bytes || !s->reply_bytes)
		return err_usage(e, "cannot send messages of 0 bytes");
	engine->open_loop = !stream && job_open_loop(s);
	return 0;
}

static bool measures(const struct engine *engine)
{
	bool stream = engine->row->kind == WORKLOAD_STREAM;

	return engine->job.server == (stream && !engine->row->reverse);
}

static void flow_init(struct engine *engine, struct flow *f)
{
	const struct endpoint_job *s = &engine->job;
	const struct engine_workload *w = engine->workload;
	bool stream = engine->row->kind == WORKLOAD_STREAM, server = engine->job.server;
	size_t sent = stream ? s->size_bytes : server ? s->reply_bytes : s->request_bytes;
	size_t received = stream ? s->size_bytes : server ? s->request_bytes : s->reply_bytes;

	f->engine = engine;
	f->request_bytes = s->request_bytes;
	f->reply_bytes = s->reply_bytes;
	f->burst = s->burst;
	f->timeout_ns = s->timeout_ns;
	f->listen_fd = f->fd = -1;
	f->in_bytes = MAX(received, HELLO_BYTES);
	f->in = memory_aligned(f->in_bytes);
	f->out = memory_aligned(MAX(sent, HELLO_BYTES));
	f->main = (struct thread){.flow = f, .run = server ? w->server : w->client, .name = "taut-flow"};
	f->pacer = (struct thread){.flow = f, .run = w->pace, .name = "taut-pacer"};
	if (measures(engine))
		f->recorder = recorder_new(engine->open_loop);
	if (!stream && !server) {
		uint64_t slots = rr_ring_slots(&engine->job);

		f->ring.slots = memory_aligned(slots * sizeof(struct slot));
		f->ring.mask = slots - 1;
	}
}

static int flow_open(struct flow *f, struct err *e)
{
	struct engine *engine = f->engine;
	const struct endpoint_job *job = &engine->job;
	bool datagrams = engine->row->datagrams;

	if (job->server) {
		int fd = socket_listen(job, datagrams, f->index, &engine->ports[f->index], e);

		if (fd < 0)
			return fd;
		*(datagrams ? &f->fd : &f->listen_fd) = fd;
		return 0;
	}
	engine->ports[f->index] = job->ports[f->index];
	f->fd = socket_connect(job, datagrams, job->ports[f->index], engine->prepare_deadline_ns, e);
	if (f->fd < 0)
		return f->fd;
	int rc = hello_ask(job, f->fd, datagrams, f->index, engine->prepare_deadline_ns, e);
	if (rc)
		return rc;
	socket_set_timeout(f->fd, job->timeout_ns);
	socket_read_back(f, datagrams);
	return 0;
}

static int start_threads(struct engine *engine, struct err *e)
{
	bool paced = engine->open_loop && !engine->job.server;
	int rc = 0;

	for (size_t i = 0; i < engine->flows_n; i++)
		engine->flows[i].running = paced ? 2 : 1;
	engine->running = (unsigned)engine->flows_n * (paced ? 2 : 1);
	for (size_t i = 0; i < engine->flows_n && !rc; i++) {
		rc = thread_create(&engine->flows[i].main, e);
		if (!rc && paced)
			rc = thread_create(&engine->flows[i].pacer, e);
	}
	if (rc)
		return rc;
	pthread_mutex_lock(&engine->lock);
	while (engine->settled < engine->flows_n * (paced ? 2 : 1))
		pthread_cond_wait(&engine->changed, &engine->lock);
	pthread_mutex_unlock(&engine->lock);
	return 0;
}

static int engine_fill(struct engine *engine, struct err *e)
{
	int rc = check_job(engine, e);

	if (rc)
		return rc;
	engine->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	engine->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (engine->done_fd < 0 || engine->stop_fd < 0)
		return err_sys(e, "cannot create an eventfd");
	engine->flows_n = engine->job.flows;
	engine->flows = memory_aligned(engine->flows_n * sizeof(struct flow));
	for (size_t i = 0; i < engine->flows_n; i++) {
		engine->flows[i].index = (unsigned)i;
		flow_init(engine, &engine->flows[i]);
	}
	for (size_t i = 0; i < engine->flows_n && !rc; i++)
		rc = flow_open(&engine->flows[i], e);
	return rc ? rc : start_threads(engine, e);
}

int engine_prepare(struct engine **out, const struct endpoint_job *job, uint64_t deadline_ns, struct err *e)
{
	struct engine *engine = mem_alloc(sizeof(*engine));

	engine->job = *job;
	engine->prepare_deadline_ns = deadline_ns;
	engine->done_fd = engine->stop_fd = -1;
	pthread_mutex_init(&engine->lock, NULL);
	pthread_cond_init(&engine->changed, NULL);
	int rc = engine_fill(engine, e);
	if (rc) {
		engine_free(engine);
		return rc;
	}
	*out = engine;
	return 0;
}

/* --- go, stop ---------------------------------------------------------------------------------- */

const uint16_t *engine_ports(const struct engine *engine)
{
	return engine->ports;
}

int engine_done_fd(const struct engine *engine)
{
	return engine->done_fd;
}

void engine_go(struct engine *engine)
{
	pthread_mutex_lock(&engine->lock);
	if (!engine->gone) {
		engine->go_ns = time_now_ns() + (engine->open_loop ? GO_LEAD_NS : 0);
		for (size_t i = 0; i < engine->flows_n; i++)
			if (engine->flows[i].ring.slots)
				rr_schedule(&engine->flows[i]);
		engine->gone = true;
	}
	pthread_cond_broadcast(&engine->changed);
	pthread_mutex_unlock(&engine->lock);
}

static void join(struct engine *engine)
{
	for (size_t i = 0; i < engine->flows_n && !engine->joined; i++) {
		struct flow *f = &engine->flows[i];

		if (f->main.created)
			pthread_join(f->main.id, NULL);
		if (f->pacer.created)
			pthread_join(f->pacer.id, NULL);
	}
	engine->joined = true;
}

void engine_stop(struct engine *engine)
{
	atomic_store(&engine->stop, true);
	if (engine->stop_fd >= 0)
		eventfd_write(engine->stop_fd, 1);
	pthread_mutex_lock(&engine->lock);
	for (size_t i = 0; engine->flows && i < engine->flows_n; i++)
		if (engine->flows[i].fd >= 0)
			shutdown(engine->flows[i].fd, SHUT_RDWR);
	pthread_cond_broadcast(&engine->changed);
	pthread_mutex_unlock(&engine->lock);
	if (engine->flows)
		join(engine);
}

static void close_fd(int fd)
{
	if (fd >= 0)
		close(fd);
}

void engine_free(struct engine *engine)
{
	if (!engine)
		return;
	engine_stop(engine);
	for (size_t i = 0; engine->flows && i < engine->flows_n; i++) {
		struct flow *f = &engine->flows[i];

		close_fd(f->listen_fd);
		close_fd(f->fd);
		free(f->out);
		free(f->in);
		free(f->ring.slots);
		free(f->recorder);
	}
	close_fd(engine->done_fd);
	close_fd(engine->stop_fd);
	pthread_cond_destroy(&engine->changed);
	pthread_mutex_destroy(&engine->lock);
	free(engine->flows);
	free(engine);
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

static void collect_flow(const struct flow *f, struct endpoint_record *record)
{
	/* An open loop that cannot keep up goes on sending after its end: that time counts, or it would look
	 * faster than it was. */
	uint64_t ended = f->engine->open_loop ? MAX(f->ended_ns, f->last_sent_ns) : f->ended_ns;

	if (f->start_ns && (!record->started_ns || f->start_ns < record->started_ns))
		record->started_ns = f->start_ns;
	record->ended_ns = MAX(record->ended_ns, ended);
	record->sent += f->sent;
	record->transactions += f->measured;
	record->bytes += f->bytes;
	record->lost += f->lost;
	record->timeouts += f->timeouts;
	record->reordered += f->reordered;
	record->retransmits += f->retransmits;
	record->capped |= f->capped;
	collect_thread(&f->main, record);
	collect_thread(&f->pacer, record);
	if (f->recorder && f->engine->row->kind == WORKLOAD_RR)
		recorder_merge(f->recorder, record);
	if (!atomic_load(&f->failed))
		return;
	record->dead_flows++;
	if (!record->mistake[0])
		memcpy(record->mistake, f->mistake, sizeof(record->mistake));
}

void engine_collect(struct engine *engine, struct endpoint_record *record)
{
	struct series series;

	join(engine);
	memset(record, 0, sizeof(*record));
	hist_clear(&record->service);
	hist_clear(&record->response);
	hist_clear(&record->lateness);
	series_init(&series);
	for (size_t i = 0; i < engine->flows_n; i++) {
		collect_flow(&engine->flows[i], record);
		if (engine->flows[i].recorder)
			series_add(&series, engine->flows[i].recorder);
	}
	series_out(&series, record);
	series_free(&series);
	record->ended_ns = MAX(record->ended_ns, record->started_ns);
	record->receiver = engine->row->kind == WORKLOAD_STREAM && measures(engine);
	record->has_service = engine->row->kind == WORKLOAD_RR && measures(engine);
	record->has_lateness = record->has_service && engine->open_loop;
	record->busy_poll_us = engine->flows[0].busy_poll_us;
	memcpy(record->congestion, engine->flows[0].congestion, sizeof(record->congestion));
}
