/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Threads of flows.  A thread is made, settles (sets its name and timer slack, touches its stack), parks
 * until the engine goes, and is metered while it measures.
 *
 * A server's thread accepts its client before it parks, since the client's preparation waits for that.  A
 * datagram server does not park at all: it must answer repeated hellos, and no request comes before the
 * client goes.
 */
#include "internal.h"

#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#define CACHE_LINE        64
#define STACK_BYTES       (512u << 10)
#define STACK_TOUCH_BYTES (64u << 10)

void memory_touch(void *memory, size_t size)
{
	volatile unsigned char *bytes = memory;

	for (size_t i = 0; i < size; i += 4096)
		bytes[i] = 0;
	if (size)
		bytes[size - 1] = 0;
}

void *memory_aligned(size_t size)
{
	void *memory = aligned_alloc(CACHE_LINE, (size + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE);

	if (!memory)
		abort();
	memset(memory, 0, size);
	memory_touch(memory, size);
	return memory;
}

__attribute__((noinline)) static void stack_touch(void)
{
	unsigned char room[STACK_TOUCH_BYTES];

	memory_touch(room, sizeof(room));
}

/* --- meters ------------------------------------------------------------------------------------ */

static struct meter meter_read(void)
{
	struct rusage u;

	getrusage(RUSAGE_THREAD, &u);
	return (struct meter){.running = true,
		.cpu_ns = (uint64_t)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * NS_PER_S +
			  (uint64_t)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) * NS_PER_US,
		.voluntary = (uint64_t)u.ru_nvcsw,
		.involuntary = (uint64_t)u.ru_nivcsw};
}

void meter_start(struct meter *m)
{
	*m = meter_read();
}

void meter_stop(struct meter *m)
{
	if (!m->running)
		return;
	struct meter now = meter_read();

	*m = (struct meter){.cpu_ns = now.cpu_ns - m->cpu_ns,
		.voluntary = now.voluntary - m->voluntary,
		.involuntary = now.involuntary - m->involuntary};
}

/* --- life of a thread -------------------------------------------------------------------------- */

static void settle(struct thread *t)
{
	struct engine *engine = t->flow->engine;

	pthread_setname_np(pthread_self(), t->name);
	prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);
	t->timer_slack_ns = (uint64_t)prctl(PR_GET_TIMERSLACK, 0UL, 0UL, 0UL, 0UL);
	stack_touch();
	pthread_mutex_lock(&engine->lock);
	t->tid = gettid();
	engine->settled++;
	pthread_cond_broadcast(&engine->changed);
	pthread_mutex_unlock(&engine->lock);
}

static void park(struct engine *engine)
{
	pthread_mutex_lock(&engine->lock);
	while (!engine->gone && !engine_stopping(engine))
		pthread_cond_wait(&engine->changed, &engine->lock);
	pthread_mutex_unlock(&engine->lock);
}

/* The last thread of a flow closes the socket; the last thread of the engine signals that all are done. */
static void finish(struct thread *t)
{
	struct flow *f = t->flow;
	struct engine *engine = f->engine;

	pthread_mutex_lock(&engine->lock);
	bool last_of_flow = --f->running == 0;
	if (!f->beside)
		engine->measuring--;
	pthread_mutex_unlock(&engine->lock);
	if (last_of_flow) {
		if (f->fd >= 0)
			options_read(&f->options_after, f->fd, f->row->datagrams);
		flow_close(f);
	}
	pthread_mutex_lock(&engine->lock);
	bool last = --engine->running == 0;
	pthread_mutex_unlock(&engine->lock);
	if (last)
		eventfd_write(engine->done_fd, 1);
}

static int accept_client(struct flow *f, struct err *e)
{
	return f->workload->accept ? f->workload->accept(f, e) : hello_accept(f, e);
}

static void *thread_main(void *arg)
{
	struct thread *t = arg;
	struct flow *f = t->flow;
	struct engine *engine = f->engine;
	struct err e = ERR_INIT;

	settle(t);
	if (engine->job.server && accept_client(f, &e)) {
		flow_fail(f, "%s", e.text);
	} else {
		if (!engine->job.server || !f->row->datagrams)
			park(engine);
		if (!engine_stopping(engine))
			t->run(f);
	}
	standing_read(&t->after, 0);
	finish(t);
	return NULL;
}

int thread_create(struct thread *t, struct err *e)
{
	pthread_attr_t attr;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	int code = pthread_create(&t->id, &attr, thread_main, t);
	pthread_attr_destroy(&attr);
	if (code)
		return err_code(e, code, "cannot start a thread for flow %u", t->flow->index);
	t->created = true;
	return 0;
}
