/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Drivers that poll, and the one of them that needs nothing but sockets.
 *
 * A thread that polls asks for a message again and again and never sleeps, so that nobody has to wake it.
 * What else it has to see (the flow's timeout, the end of the engine) it looks at only after many polls in a
 * row that brought nothing: a poll should cost as little as it can.  The timeout is that of the flow's
 * socket, which the other drivers keep as well.
 *
 * A server begins to poll with its first message and sleeps until then: the time from the hello to the first
 * request is that of setting things up, in which its CPU is wanted for other work.
 *
 * The other threads of the end are on the same CPU and may have the same realtime priority: the one that
 * hears what the site says, and in an open loop the pacer.  They get the CPU at each look.
 */
#include "internal.h"

#include <poll.h>
#include <sys/time.h>

#define LOOK_EVERY 256 /* polls of a socket, each a system call: some 50 µs */
#define PACED_MORE 16  /* looks, where a pacer waits for the CPU */

/* How long recv() and send() on the flow's socket wait; UINT64_MAX: for ever. */
static uint64_t patience_of(const struct flow *f)
{
	struct timeval t = {0};
	socklen_t len = sizeof(t);

	if (getsockopt(f->fd, SOL_SOCKET, SO_RCVTIMEO, &t, &len) || (!t.tv_sec && !t.tv_usec))
		return UINT64_MAX;
	return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_usec * NS_PER_US;
}

void spin_begin(struct spin *s, const struct flow *f, unsigned look_every)
{
	*s = (struct spin){.every = f->pacer.created ? look_every / PACED_MORE : look_every};
}

int spin_look(struct spin *s, const struct flow *f)
{
	uint64_t now = time_now_ns();

	s->polls = 0;
	if (engine_stopping(f->engine) || atomic_load_explicit(&f->failed, memory_order_relaxed))
		return 0;
	if (!s->until_ns) {
		uint64_t patience = patience_of(f);
		s->until_ns = patience > UINT64_MAX - now ? UINT64_MAX : now + patience;
	}
	if (now >= s->until_ns) {
		errno = EAGAIN;
		return -1;
	}
	sched_yield(); /* to the pacer, and to the thread that may have been told to stop the engine */
	return 1;
}

bool spin_sleep_first(struct flow *f, int fd)
{
	if (f->awake || !f->engine->job.server)
		return true;
	if (socket_wait(fd, POLLIN, f->engine->stop_fd, UINT64_MAX) != 1)
		return false;
	f->awake = true;
	return true;
}

/* --- sockets ----------------------------------------------------------------------------------- */

static ssize_t spin_send(struct flow *f, const void *data, size_t size)
{
	struct spin s;

	spin_begin(&s, f, LOOK_EVERY);
	for (;;) {
		ssize_t n = send(f->fd, data, size, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (__builtin_expect(n >= 0 || errno != EAGAIN, 1))
			return n;
		int rc = spin_on(&s, f);
		if (rc <= 0)
			return rc;
	}
}

static ssize_t spin_receive(struct flow *f, void *data, size_t size)
{
	struct spin s;

	if (!spin_sleep_first(f, f->fd))
		return 0;
	spin_begin(&s, f, LOOK_EVERY);
	for (;;) {
		ssize_t n = recv(f->fd, data, size, f->receive_flags | MSG_DONTWAIT);
		if (n >= 0 || errno != EAGAIN)
			return n;
		int rc = spin_on(&s, f);
		if (rc <= 0)
			return rc;
	}
}

const struct engine_driver driver_spin = {.send = spin_send, .receive = spin_receive};
