/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The driver xdp: AF_XDP by system calls alone.
 *
 * The flow's UDP socket stays bound, so that its port is taken and the hello goes the usual way.  After the
 * hello a program on the link (src/net/xdp.c) hands the frames of the flow to AF_XDP sockets, one for each
 * receive queue of the link, and all others to the kernel.  Receiving costs no system call: the thread looks
 * at a ring in memory that is shared with the kernel, again and again.  Sending costs one, in which the
 * kernel takes the frame through the link, on a virtual link right into the ring of the other end.
 *
 * How the frames come is the mode in the record.  "zero-copy": the hardware writes them into that memory;
 * where the driver of the link can.  "native": the driver of the link runs the program, and the kernel
 * copies. "generic": the kernel runs it before its network stack, and copies; that every link can do, and on
 * a veth it is the fastest.
 *
 * Limits: IPv4, one flow, one datagram in a frame, the peer on the same network (its MAC address is asked for
 * once).  A peer whose port is closed is not noticed.
 */
#include "frame.h"
#include "internal.h"
#include "xdp_queue.h"

#include "net/xdp.h"

#include <poll.h>
#include <stdio.h>

#define QUEUES_MAX    16
#define LOOK_EVERY    16384 /* polls of a ring: some 20 µs; a look takes longer than a poll by far */
#define BUSY_NS       (2 * NS_PER_S)
#define NEIGHBOUR_NS  NS_PER_S
#define NAP_NS        NS_PER_MS
#define FRAME_OF_IPV4 28

struct xdp {
	struct frame_path path;
	unsigned char headers[FRAME_HEADERS];
	struct queue queues[QUEUES_MAX];
	unsigned queues_n;
	uint64_t idle[SEND_N]; /* places that can be sent from */
	unsigned idle_n;
	int map, program, attached;
	pthread_mutex_t sending; /* the pacer and the receiver both send */
};

/* Ways to get frames, the best first. */
static const struct mode {
	const char *name;
	uint16_t bind;
	bool native;
	const char *but; /* drivers of links on which the next one is faster */
} modes[] = {
	{"zero-copy", XDP_ZEROCOPY, true, NULL},
	{"native", XDP_COPY, true, "veth"},
	{"generic", XDP_COPY, false, NULL},
};

/* Sleeps for a moment; false when the engine stops or the deadline has passed. */
static bool nap(const struct flow *f, uint64_t deadline_ns)
{
	uint64_t now = time_now_ns();

	return now < deadline_ns && socket_wait(f->engine->stop_fd, POLLIN, -1, now + NAP_NS) == 0;
}

/* The queue of a link is let go a moment after the process that had it has ended. */
static int queue_bind(const struct flow *f, const struct queue *q, const struct xdp_link *link,
	unsigned queue, uint16_t flags)
{
	struct sockaddr_xdp address = {.sxdp_family = AF_XDP,
		.sxdp_flags = flags | XDP_USE_NEED_WAKEUP,
		.sxdp_ifindex = link->index,
		.sxdp_queue_id = queue};
	uint64_t deadline = time_now_ns() + BUSY_NS;

	while (bind(q->fd, (struct sockaddr *)&address, sizeof(address)))
		if (errno != EBUSY || !nap(f, deadline))
			return -errno;
	return 0;
}

/* --- opening ----------------------------------------------------------------------------------- */

static int ends_of(const struct flow *f, struct xdp_flow *out, struct err *e)
{
	struct sockaddr_in own = {0}, peer = {0};
	socklen_t own_len = sizeof(own), peer_len = sizeof(peer);

	if (getsockname(f->fd, (struct sockaddr *)&own, &own_len) || own.sin_family != AF_INET)
		return err_usage(e, "cannot use driver xdp: it knows IPv4 only");
	/* A server has no peer before the hello. */
	if (getpeername(f->fd, (struct sockaddr *)&peer, &peer_len))
		peer.sin_port = 0;
	*out = (struct xdp_flow){own.sin_addr, peer.sin_addr, own.sin_port, peer.sin_port};
	return 0;
}

/* What can be told before there is a peer. */
static int find_link(const struct flow *f, const struct xdp_flow *ends, struct xdp_link *link, struct err *e)
{
	uint64_t wanted = MAX(f->request_bytes, f->reply_bytes);
	int rc = xdp_link_find(f->fd, ends->local, link, e);

	if (rc < 0)
		return rc;
	if (link->queues > QUEUES_MAX)
		return err_set(e, EOPNOTSUPP,
			"cannot use driver xdp on %s: it has %u receive queues, and at most %d can be watched (try: ethtool -L)",
			link->name, link->queues, QUEUES_MAX);
	if (wanted > FRAME_DATA_MOST || wanted + FRAME_OF_IPV4 > link->mtu)
		return err_usage(e,
			"cannot use driver xdp for datagrams of %llu bytes: link %s takes at most %u in one frame",
			(unsigned long long)wanted, link->name,
			(unsigned)MIN(MAX(link->mtu, (unsigned)FRAME_OF_IPV4) - FRAME_OF_IPV4,
				(unsigned)FRAME_DATA_MOST));
	return 0;
}

static int xdp_check(struct flow *f, struct err *e)
{
	struct xdp_link link;
	struct xdp_flow ends;
	int rc = ends_of(f, &ends, e);

	if (rc == 0)
		rc = xdp_possible(e);
	return rc < 0 ? rc : find_link(f, &ends, &link, e);
}

/* The kernel learns a neighbour's MAC address when it has something to send there: a datagram of one byte,
 * which is no hello. */
static int find_peer(const struct flow *f, const struct xdp_link *link, const struct xdp_flow *ends,
	unsigned char mac[FRAME_MAC], struct err *e)
{
	uint64_t deadline = time_now_ns() + NEIGHBOUR_NS;
	int rc = xdp_neighbour(f->fd, link, ends->peer, mac);

	if (rc == 0)
		send(f->fd, "", 1, MSG_NOSIGNAL | MSG_DONTWAIT);
	while (rc == 0 && nap(f, deadline))
		rc = xdp_neighbour(f->fd, link, ends->peer, mac);
	if (rc > 0)
		return 0;
	err_code(e, rc ? -rc : EHOSTUNREACH, "cannot find the MAC address of the other end on link %s",
		link->name);
	return err_try(e, "driver spin: xdp needs both ends on one network, without a router between");
}

/* Opens the sockets of all queues and puts the program on the link: 0, 1 when that mode cannot be had. */
static int open_mode(struct flow *f, struct xdp *x, const struct xdp_link *link, const struct xdp_flow *ends,
	const struct mode *mode, struct err *e)
{
	int rc = 0;

	for (x->queues_n = 0; rc == 0 && x->queues_n < link->queues;) {
		struct queue *q = &x->queues[x->queues_n];
		x->queues_n++;
		rc = queue_open(q, e);
		if (rc < 0)
			return rc;
		rc = queue_bind(f, q, link, x->queues_n - 1, mode->bind);
		if (rc == -EBUSY)
			return err_set(e, EBUSY,
				"cannot use driver xdp on %s: another process has its queue %u", link->name,
				x->queues_n - 1);
		if (rc < 0 && mode->bind == XDP_COPY)
			return err_code(e, -rc, "cannot bind an AF_XDP socket to link %s", link->name);
	}
	if (rc < 0)
		return 1;
	if ((rc = x->map = xdp_map_create(link->queues, e)) < 0 ||
		(rc = x->program = xdp_program_load(ends, x->map, e)) < 0)
		return rc;
	for (unsigned i = 0; i < x->queues_n; i++)
		if ((rc = xdp_map_set(x->map, i, x->queues[i].fd, e)) < 0)
			return rc;
	uint64_t deadline = time_now_ns() + BUSY_NS;
	struct err why = ERR_INIT;
	do
		rc = x->attached = xdp_attach(x->program, link, mode->native, &why);
	while (rc == -EBUSY && nap(f, deadline));
	if (rc < 0 && mode->native && rc != -EBUSY)
		return 1;
	if (rc < 0)
		*e = why;
	return MIN(rc, 0);
}

static void close_mode(struct xdp *x)
{
	int *const fds[] = {&x->attached, &x->program, &x->map};

	for (size_t i = 0; i < ARRAY_LEN(fds); i++)
		if (*fds[i] >= 0)
			close(steal_fd(fds[i]));
	while (x->queues_n)
		queue_close(&x->queues[--x->queues_n]);
}

static int open_any(struct flow *f, struct xdp *x, const struct xdp_link *link, const struct xdp_flow *ends,
	struct err *e)
{
	int rc = 1;

	for (size_t i = 0; rc == 1 && i < ARRAY_LEN(modes); i++) {
		if (modes[i].but && !strcmp(modes[i].but, link->driver))
			continue;
		close_mode(x);
		rc = open_mode(f, x, link, ends, &modes[i], e);
		str_copy(f->driver_mode, sizeof(f->driver_mode), modes[i].name);
	}
	return rc;
}

static int xdp_open(struct flow *f, struct err *e)
{
	struct xdp *x = memory_aligned(sizeof(*x));
	struct xdp_link link;
	struct xdp_flow ends;

	x->map = x->program = x->attached = -1;
	pthread_mutex_init(&x->sending, NULL);
	f->driver_data = x;
	int rc = ends_of(f, &ends, e);
	if (rc == 0)
		rc = find_link(f, &ends, &link, e);
	if (rc == 0)
		rc = find_peer(f, &link, &ends, x->path.peer_mac, e);
	if (rc == 0)
		rc = open_any(f, x, &link, &ends, e);
	if (rc < 0)
		return rc;
	memcpy(x->path.mac, link.mac, FRAME_MAC);
	x->path.address = ends.local;
	x->path.peer_address = ends.peer;
	x->path.port = ends.local_port;
	x->path.peer_port = ends.peer_port;
	frame_headers(&x->path, x->headers);
	for (uint64_t i = 0; i < SEND_N; i++)
		x->idle[x->idle_n++] = (RECEIVE_N + i) * PLACE_BYTES;
	return 0;
}

static void xdp_close(struct flow *f)
{
	struct xdp *x = f->driver_data;

	if (!x)
		return;
	close_mode(x);
	pthread_mutex_destroy(&x->sending);
	free(x);
	f->driver_data = NULL;
}

/* --- sending ----------------------------------------------------------------------------------- */

/* What went wrong is over in a moment: another try. */
static bool passing(int code)
{
	return code == EAGAIN || code == EBUSY || code == ENOBUFS || code == EINTR;
}

static void take_completed(struct xdp *x, struct queue *q)
{
	while (ring_any(&q->completed)) {
		if (x->idle_n < SEND_N)
			x->idle[x->idle_n++] =
				*ring_place(&q->completed) % MEMORY_BYTES / PLACE_BYTES * PLACE_BYTES;
		ring_taken(&q->completed);
	}
}

/* Makes the kernel send what is in the ring. */
static int kick(const struct queue *q)
{
	if (!ring_asks(&q->send) || sendto(q->fd, NULL, 0, MSG_DONTWAIT, NULL, 0) >= 0)
		return 0;
	return passing(errno) ? 1 : -1;
}

static ssize_t send_frame(struct flow *f, struct xdp *x, const void *data, size_t size)
{
	struct queue *q = &x->queues[0];
	struct spin s;
	int rc;

	spin_begin(&s, f, LOOK_EVERY);
	take_completed(x, q);
	while (!x->idle_n) {
		if ((rc = kick(q)) < 0 || (rc = spin_on(&s, f)) <= 0)
			return rc;
		take_completed(x, q);
	}
	uint64_t place = x->idle[--x->idle_n];
	*ring_frame(&q->send) = (struct xdp_desc){
		.addr = place, .len = (uint32_t)frame_write(x->headers, q->memory + place, data, size)};
	ring_given(&q->send);
	while ((rc = kick(q)) > 0)
		if ((rc = spin_on(&s, f)) <= 0)
			return rc;
	return rc < 0 ? -1 : (ssize_t)size;
}

static ssize_t xdp_send(struct flow *f, const void *data, size_t size)
{
	struct xdp *x = f->driver_data;

	if (__builtin_expect(!f->pacer.created, 1))
		return send_frame(f, x, data, size);
	pthread_mutex_lock(&x->sending);
	ssize_t n = send_frame(f, x, data, size);
	pthread_mutex_unlock(&x->sending);
	return n;
}

/* --- receiving --------------------------------------------------------------------------------- */

/* Takes one frame out of a ring that has some: the size of its datagram; −1: it is not the flow's. */
static ssize_t take(const struct xdp *x, struct queue *q, void *data, size_t room)
{
	const struct xdp_desc frame = *ring_frame(&q->receive);
	size_t size = 0;
	bool inside = frame.addr < MEMORY_BYTES && frame.len <= MEMORY_BYTES - frame.addr;
	const unsigned char *found =
		inside ? frame_read(&x->path, q->memory + frame.addr, frame.len, &size) : NULL;

	if (found)
		memcpy(data, found, MIN(size, room));
	ring_taken(&q->receive);
	*ring_place(&q->fill) = frame.addr % MEMORY_BYTES / PLACE_BYTES * PLACE_BYTES;
	ring_given(&q->fill);
	return found ? (ssize_t)size : -1;
}

/* A driver of hardware may sleep until it is told that there are places again. */
static void wake_drivers(const struct xdp *x)
{
	for (unsigned i = 0; i < x->queues_n; i++)
		if (ring_asks(&x->queues[i].fill))
			recvfrom(x->queues[i].fd, NULL, 0, MSG_DONTWAIT, NULL, NULL);
}

static ssize_t xdp_receive(struct flow *f, void *data, size_t size)
{
	struct xdp *x = f->driver_data;
	struct spin s;

	/* The socket of one queue can be slept on; with several, any of them may get the first frame. */
	if (x->queues_n == 1 && !spin_sleep_first(f, x->queues[0].fd))
		return 0;
	spin_begin(&s, f, LOOK_EVERY);
	for (;;) {
		for (unsigned i = 0; i < x->queues_n; i++) {
			if (!ring_any(&x->queues[i].receive))
				continue;
			ssize_t n = take(x, &x->queues[i], data, size);
			if (n > 0)
				return n;
		}
		int rc = spin_on(&s, f);
		if (rc <= 0)
			return rc;
		if (!s.polls)
			wake_drivers(x);
	}
}

const struct engine_driver driver_xdp = {
	.check = xdp_check, .open = xdp_open, .close = xdp_close, .send = xdp_send, .receive = xdp_receive};
