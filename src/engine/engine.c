/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * An endpoint from preparation to record.
 *
 * Everything that takes time is done in engine_prepare(): it allocates and touches memory, opens and tunes
 * sockets, lets a client show its token on every flow, and makes the threads, which then sleep.  engine_go()
 * sets the common start of all flows and wakes the threads.  A flow ends by itself, or because engine_stop()
 * sets the stop flag and shuts the flow's socket down, which makes every blocking call on it return.
 */
#include "internal.h"
#include "tool.h"

#include <inttypes.h>
#include <sys/eventfd.h>

#define GO_LEAD_NS                                                                                           \
	NS_PER_MS /* open loop: from go to when the first request is due; the threads wake up meanwhile */

static const struct {
	const char *name;
	const struct engine_workload *workload;
} workloads[] = {
#define ROW(name, ...) {#name, &engine_##name},
	WORKLOADS(ROW)
#undef ROW
};

const struct engine_workload *engine_workload(const char *name)
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

	if (!s->workload || !engine_workload(s->workload->name))
		return err_usage(e, "cannot run workload '%s': there is none of that name",
			s->workload ? s->workload->name : "");
	if (s->flows < 1 || s->flows > FLOWS_MAX)
		return err_usage(
			e, "cannot run %" PRIu64 " flows: 1 to %d are possible", s->flows, FLOWS_MAX);
	if (strlen(engine->job.token) != sizeof(engine->job.token) - 1)
		return err_usage(e, "cannot run a trial without a token");
	if (s->port && s->port + job_flows(s) - 1 > UINT16_MAX)
		return err_usage(e, "cannot use port %" PRIu64 " for %" PRIu64 " flows: ports end at 65535",
			s->port, s->flows);
	if (s->workload->message ? s->size_bytes < MAX(s->workload->size_least, 1u)
				 : !s->request_bytes || !s->reply_bytes)
		return err_usage(e, "cannot send messages of so few bytes");
	if (!engine_driver(s->driver))
		return err_usage(
			e, "cannot use driver %s: this program does not have it", driver_name(s->driver));
	return driver_check(s->driver, s->workload, job_flows(s), e);
}

/* Has the flow a second thread, which sends? */
static bool is_paced(const struct flow *f)
{
	return f->open_loop && f->workload->pace && !f->engine->job.server;
}

static int start_threads(struct engine *engine, struct err *e)
{
	unsigned threads = 0;
	int rc = 0;

	for (size_t i = 0; i < engine->flows_n; i++) {
		struct flow *f = &engine->flows[i];

		f->running = is_paced(f) ? 2 : 1;
		threads += f->running;
		engine->measuring += f->beside ? 0 : f->running;
	}
	engine->running = threads;
	for (size_t i = 0; i < engine->flows_n && !rc; i++) {
		rc = thread_create(&engine->flows[i].main, e);
		if (!rc && is_paced(&engine->flows[i]))
			rc = thread_create(&engine->flows[i].pacer, e);
	}
	if (rc)
		return rc;
	pthread_mutex_lock(&engine->lock);
	while (engine->settled < threads)
		pthread_cond_wait(&engine->changed, &engine->lock);
	pthread_mutex_unlock(&engine->lock);
	return 0;
}

static int open_flow(struct flow *f, struct err *e)
{
	return f->workload->open ? f->workload->open(f, e) : flow_open(f, e);
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
	engine->flows_n = job_flows(&engine->job);
	engine->flows = memory_aligned(engine->flows_n * sizeof(struct flow));
	for (size_t i = 0; i < engine->flows_n; i++)
		flow_init(&engine->flows[i], engine, (unsigned)i);
	for (size_t i = 0; i < engine->flows_n && !rc; i++)
		rc = open_flow(&engine->flows[i], e);
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
	int rc = job->tool == TOOL_TAUT ? engine_fill(engine, e)
					: tool_prepare(&engine->tool, job, deadline_ns, e);
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
	return engine->tool ? tool_ports(engine->tool) : engine->ports;
}

int engine_done_fd(const struct engine *engine)
{
	return engine->tool ? tool_done_fd(engine->tool) : engine->done_fd;
}

void engine_go(struct engine *engine)
{
	if (engine->tool) {
		tool_go(engine->tool);
		return;
	}
	pthread_mutex_lock(&engine->lock);
	if (!engine->gone) {
		for (size_t i = 0; i < engine->flows_n; i++)
			conditions_begin(&engine->flows[i]);
		engine->go_ns = time_now_ns() + (job_open_loop(&engine->job) ? GO_LEAD_NS : 0);
		for (size_t i = 0; i < engine->flows_n; i++)
			if (engine->flows[i].workload->schedule)
				engine->flows[i].workload->schedule(&engine->flows[i]);
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

/* Makes every call that blocks on a socket of the flow return; under engine.lock. */
static void shut(struct flow *f)
{
	if (f->fd >= 0)
		shutdown(f->fd, SHUT_RDWR);
	if (f->accept_fd >= 0)
		shutdown(f->accept_fd, SHUT_RDWR);
}

void engine_stop(struct engine *engine)
{
	if (engine->tool) {
		tool_stop(engine->tool);
		return;
	}
	atomic_store(&engine->stop, true);
	if (engine->stop_fd >= 0)
		eventfd_write(engine->stop_fd, 1);
	pthread_mutex_lock(&engine->lock);
	for (size_t i = 0; engine->flows && i < engine->flows_n; i++)
		shut(&engine->flows[i]);
	pthread_cond_broadcast(&engine->changed);
	pthread_mutex_unlock(&engine->lock);
	if (engine->flows)
		join(engine);
}

void engine_free(struct engine *engine)
{
	if (!engine)
		return;
	engine_stop(engine);
	tool_free(engine->tool);
	for (size_t i = 0; engine->flows && i < engine->flows_n; i++)
		flow_clear(&engine->flows[i]);
	if (engine->done_fd >= 0)
		close(engine->done_fd);
	if (engine->stop_fd >= 0)
		close(engine->stop_fd);
	pthread_cond_destroy(&engine->changed);
	pthread_mutex_destroy(&engine->lock);
	free(engine->flows);
	free(engine);
}

/* --- what was seen ----------------------------------------------------------------------------- */

/* Over all datagrams of the measured stretch. */
static uint64_t jitter_mean(const struct engine *engine)
{
	uint64_t sum = 0, n = 0;

	for (size_t i = 0; i < engine->job.flows; i++) {
		sum += engine->flows[i].jitter_sum_ns;
		n += engine->flows[i].row->datagrams && engine->flows[i].row->stream
			     ? engine->flows[i].measured
			     : 0;
	}
	return n ? sum / n : 0;
}

void engine_collect(struct engine *engine, struct endpoint_record *record)
{
	const struct flow *first = &engine->flows[0];
	struct series series;

	if (engine->tool) {
		tool_collect(engine->tool, record);
		return;
	}
	join(engine);
	memset(record, 0, sizeof(*record));
	hist_clear(&record->service);
	hist_clear(&record->response);
	hist_clear(&record->lateness);
	hist_clear(&record->connect);
	hist_clear(&record->first_reply);
	series_init(&series);
	for (size_t i = 0; i < engine->flows_n; i++) {
		flow_collect(&engine->flows[i], record);
		if (engine->flows[i].recorder && !engine->flows[i].beside)
			series_add(&series, engine->flows[i].recorder);
	}
	series_out(&series, record);
	record->jitter_mean_ns = jitter_mean(engine);
	series_free(&series);
	record->ended_ns = MAX(record->ended_ns, record->started_ns);
	record->receiver = first->row->stream && flow_measures(first);
	record->has_service = !first->row->stream && flow_measures(first);
	record->has_parts = record->has_service && first->row->connects;
	record->has_lateness = record->has_service && first->open_loop;
	record->busy_poll_us = first->busy_poll_us;
	memcpy(record->driver_mode, first->driver_mode, sizeof(record->driver_mode));
	memcpy(record->congestion, first->congestion, sizeof(record->congestion));
}
