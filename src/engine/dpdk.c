/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The driver dpdk: frames that DPDK moves, with no kernel in between.
 *
 * The process has one device, which dpdk_device.c opened before the trial: a port of DPDK with one queue each
 * way, so there is one flow.  Where its frames go is the device's business: through a packet socket onto a
 * link of the kernel's (af_packet), through memory that is shared with another such process (vhost-user,
 * memif) or with a virtual machine (vhost-user), or to a NIC.
 *
 * Nobody below knows the peer, so this file finds its MAC address by ARP, answers such questions, and sends
 * and takes hellos itself.  Until the hello is over, and in a server until the first request, it naps between
 * looks at the device, which cannot wake it; from then on it never sleeps.
 *
 * A packet socket sees what comes on a link and takes nothing away: the kernel gets these frames as well, and
 * would tell the peer that nobody listens.  So a UDP socket is bound to the port, with a filter that drops
 * all that comes. It also keeps others off the port.
 *
 * Limits: IPv4, one datagram in a frame, the peer on the same network.  A peer whose port is closed is not
 * noticed.
 */
#include "dpdk.h"

#include "frame.h"
#include "internal.h"
#include "neighbour.h"

#include <arpa/inet.h>
#include <linux/filter.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_pause.h>
#include <time.h>

#define LOOK_EVERY 1024 /* polls of a device: some 20 µs */
#define TAKEN_MAX  32
#define NAP_NS     (50 * NS_PER_US)
#define REPEAT_NS  (100 * NS_PER_MS)

struct dpdk {
	struct rte_mempool *pool;
	struct frame_path path; /* a server's peer has the port 0 until it has shown its token */
	unsigned char headers[FRAME_HEADERS];
	bool found;                        /* the MAC address of the peer is known */
	struct frame_path last;            /* the path of the last datagram, from where it came */
	struct rte_mbuf *taken[TAKEN_MAX]; /* from the device, and not read yet: those from `at` on */
	unsigned at, taken_n;
	pthread_mutex_t sending; /* the pacer and the receiver both send */
};

/* --- sending ----------------------------------------------------------------------------------- */

/* Gives a frame to the device, whose it is then, or waits for room there: as engine_driver.send. */
static int transmit(struct flow *f, struct rte_mbuf *m)
{
	struct dpdk *d = f->driver_data;
	struct spin s;
	int rc = 1;

	spin_begin(&s, f, LOOK_EVERY);
	while (rc > 0) {
		if (f->pacer.created)
			pthread_mutex_lock(&d->sending);
		bool sent = rte_eth_tx_burst(DPDK_PORT, 0, &m, 1) == 1;
		if (f->pacer.created)
			pthread_mutex_unlock(&d->sending);
		if (sent)
			return 1;
		rc = spin_on(&s, f);
	}
	rte_pktmbuf_free(m);
	return rc;
}

/* A buffer for a frame of at most FRAME_MOST bytes. */
static struct rte_mbuf *frame_new(const struct dpdk *d, unsigned char **frame)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(d->pool);

	if (m)
		*frame = rte_pktmbuf_mtod(m, unsigned char *);
	else
		errno = ENOBUFS;
	return m;
}

static int frame_send_off(struct flow *f, struct rte_mbuf *m, size_t length)
{
	m->data_len = (uint16_t)length;
	m->pkt_len = (uint32_t)length;
	return transmit(f, m);
}

static ssize_t dpdk_send(struct flow *f, const void *data, size_t size)
{
	const struct dpdk *d = f->driver_data;
	unsigned char *frame = NULL;
	struct rte_mbuf *m = frame_new(d, &frame);

	if (!m)
		return -1;
	int rc = frame_send_off(f, m, frame_write(d->headers, frame, data, size));
	return rc > 0 ? (ssize_t)size : rc;
}

/* --- receiving --------------------------------------------------------------------------------- */

static void neighbour_take(struct flow *f, const unsigned char *frame, size_t length)
{
	struct dpdk *d = f->driver_data;
	unsigned char mac[FRAME_MAC] = {0}, *answer = NULL;
	enum neighbour_says says = neighbour_read(&d->path, frame, length, mac);

	if (says == NEIGHBOUR_ANSWERS && !d->found) {
		memcpy(d->path.peer_mac, mac, FRAME_MAC);
		d->found = true;
	}
	struct rte_mbuf *m = says == NEIGHBOUR_ASKS ? frame_new(d, &answer) : NULL;
	if (m) {
		neighbour_answer(&d->path, frame, answer);
		frame_send_off(f, m, FRAME_LEAST);
	}
}

/* Reads one frame: the size of its datagram, −1 for anything else. */
static inline ssize_t frame_take(
	struct flow *f, const unsigned char *frame, size_t length, void *data, size_t room)
{
	struct dpdk *d = f->driver_data;
	size_t size = 0;

	if (__builtin_expect(!d->path.peer_port, 0))
		d->last = neighbour_of(&d->path, frame, length);
	const unsigned char *found =
		frame_read(d->path.peer_port ? &d->path : &d->last, frame, length, &size);
	if (!found || !size) {
		neighbour_take(f, frame, length);
		return -1;
	}
	memcpy(data, found, MIN(size, room));
	return (ssize_t)size;
}

/* Reads what has come, up to a datagram: its size, −1 when there is none. */
static inline ssize_t look(struct flow *f, void *data, size_t room)
{
	struct dpdk *d = f->driver_data;

	for (;;) {
		if (d->at == d->taken_n) {
			d->at = 0;
			d->taken_n = rte_eth_rx_burst(DPDK_PORT, 0, d->taken, TAKEN_MAX);
			if (!d->taken_n)
				return -1;
		}
		struct rte_mbuf *m = d->taken[d->at++];
		ssize_t n = m->nb_segs == 1 ? frame_take(f, rte_pktmbuf_mtod(m, const unsigned char *),
						      rte_pktmbuf_data_len(m), data, room)
					    : -1;
		rte_pktmbuf_free(m);
		if (n >= 0)
			return n;
	}
}

/* Sleeps for a moment; false when the engine stops or the deadline has passed. */
static bool nap(const struct flow *f, uint64_t deadline_ns)
{
	const struct timespec moment = {.tv_nsec = NAP_NS};

	nanosleep(&moment, NULL);
	return !engine_stopping(f->engine) && time_now_ns() < deadline_ns;
}

/* The first message of a server: the time until then is that of setting things up. */
static ssize_t receive_first(struct flow *f, void *data, size_t room)
{
	ssize_t n;

	while ((n = look(f, data, room)) < 0)
		if (!nap(f, UINT64_MAX))
			return 0;
	f->awake = true;
	return n;
}

static ssize_t dpdk_receive(struct flow *f, void *data, size_t room)
{
	struct spin s;

	if (__builtin_expect(!f->awake && f->engine->job.server, 0))
		return receive_first(f, data, room);
	spin_begin(&s, f, LOOK_EVERY);
	for (;;) {
		ssize_t n = look(f, data, room);
		if (n >= 0)
			return n;
		rte_pause();
		int rc = spin_on(&s, f);
		if (rc <= 0)
			return rc;
	}
}

/* --- the beginning ----------------------------------------------------------------------------- */

/* A port of the kernel's, on which everything is dropped: see above. */
static int port_hold(struct flow *f, uint16_t wanted, uint16_t *port, struct err *e)
{
	static struct sock_filter nothing[] = {BPF_STMT(BPF_RET | BPF_K, 0)};
	const struct sock_fprog program = {ARRAY_LEN(nothing), nothing};
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(wanted)};
	socklen_t len = sizeof(a);
	AUTO_CLOSE int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) < 0)
		return err_sys(e, "cannot open a UDP socket that drops everything");
	if (bind(fd, (struct sockaddr *)&a, len) < 0 || getsockname(fd, (struct sockaddr *)&a, &len) < 0)
		return err_sys(e, "cannot bind port %u", wanted);
	*port = ntohs(a.sin_port);
	f->fd = steal_fd(&fd);
	return 0;
}

static int address_read(const char *text, struct in_addr *out, struct err *e)
{
	if (inet_pton(AF_INET, text, out) == 1)
		return 0;
	return err_usage(e, "cannot use address '%s' with driver dpdk: it is no IPv4 address", text);
}

/* This end with its port; a client knows the address of its peer as well. */
static int dpdk_begin(struct flow *f, uint16_t *port, struct err *e)
{
	const struct endpoint_job *job = &f->engine->job;
	struct dpdk *d = memory_aligned(sizeof(*d));
	struct rte_ether_addr mac;
	struct rte_eth_dev_info info;
	int rc = 0;

	pthread_mutex_init(&d->sending, NULL);
	f->driver_data = d;
	d->pool = rte_mempool_lookup(DPDK_POOL);
	if (f->index > 0 || !d->pool || rte_eth_macaddr_get(DPDK_PORT, &mac) < 0 ||
		rte_eth_dev_info_get(DPDK_PORT, &info) < 0)
		return err_set(e, ENODEV, "cannot open flow %u by DPDK: there is no device for it", f->index);
	memcpy(d->path.mac, &mac, FRAME_MAC);
	/* All names begin so. */
	const char *mode = str_starts(info.driver_name, "net_") ? info.driver_name + 4 : info.driver_name;
	str_copy(f->driver_mode, sizeof(f->driver_mode), mode);
	rc = address_read(job->server ? job->address : job->own_address, &d->path.address, e);
	if (rc == 0 && !job->server)
		rc = address_read(job->address, &d->path.peer_address, e);
	if (rc == 0)
		rc = port_hold(f, job->server ? (uint16_t)job->port : 0, port, e);
	if (rc < 0)
		return rc;
	d->path.port = htons(*port);
	if (!job->server)
		socket_set_timeout(f->fd, job->timeout_ns); /* which polling keeps, see spin.c */
	return 0;
}

/* Waits for a hello until then: its kind, or 0. */
static int hello_await(struct flow *f, uint64_t until_ns)
{
	unsigned char data[HELLO_BYTES];

	do {
		ssize_t n;

		while ((n = look(f, data, sizeof(data))) >= 0) {
			int kind = n == HELLO_BYTES ? hello_kind(f, data, sizeof(data)) : 0;

			if (kind)
				return kind;
		}
	} while (nap(f, until_ns));
	return 0;
}

static void ask_for_peer(struct flow *f)
{
	const struct dpdk *d = f->driver_data;
	unsigned char *frame = NULL;
	struct rte_mbuf *m = frame_new(d, &frame);

	if (!m)
		return;
	neighbour_ask(&d->path, frame);
	frame_send_off(f, m, FRAME_LEAST);
}

static int dpdk_connect(struct flow *f, struct err *e)
{
	const struct engine *engine = f->engine;
	uint64_t deadline_ns = engine->prepare_deadline_ns, now;
	uint16_t port = 0;
	int rc = dpdk_begin(f, &port, e), kind = 0;
	struct dpdk *d = f->driver_data;

	if (rc < 0)
		return rc;
	d->path.peer_port = htons(engine->ports[f->index]);
	while (!kind && !engine_stopping(engine) && (now = time_now_ns()) < deadline_ns) {
		if (d->found) {
			frame_headers(&d->path, d->headers);
			hello_send(f, HELLO_ASK);
		} else {
			ask_for_peer(f);
		}
		kind = hello_await(f, MIN(now + (d->found ? REPEAT_NS : REPEAT_NS / 10), deadline_ns));
	}
	if (kind == HELLO_ACK)
		return 0;
	if (kind)
		return err_set(
			e, ECONNREFUSED, "cannot start flow %u: the server closed the connection", f->index);
	return err_set(e, ETIMEDOUT, "cannot start flow %u: no answer from the server%s", f->index,
		d->found ? "" : ", nor from anybody with its address");
}

static int dpdk_listen(struct flow *f, struct err *e)
{
	return dpdk_begin(f, &f->engine->ports[f->index], e);
}

static int dpdk_accept(struct flow *f, struct err *e)
{
	struct dpdk *d = f->driver_data;
	uint64_t deadline_ns = f->engine->prepare_deadline_ns;

	while (!engine_stopping(f->engine) && time_now_ns() < deadline_ns)
		if (hello_await(f, deadline_ns) == HELLO_ASK) {
			d->path = d->last;
			frame_headers(&d->path, d->headers);
			hello_send(f, HELLO_ACK);
			return 0;
		}
	return err_set(e, ETIMEDOUT, "no client has shown the token");
}

static void dpdk_close(struct flow *f)
{
	struct dpdk *d = f->driver_data;

	if (!d)
		return;
	while (d->at < d->taken_n)
		rte_pktmbuf_free(d->taken[d->at++]);
	pthread_mutex_destroy(&d->sending);
	free(d);
	f->driver_data = NULL;
}

const struct engine_driver driver_dpdk = {
	.device_open = dpdk_device_open,
	.connect = dpdk_connect,
	.listen = dpdk_listen,
	.accept = dpdk_accept,
	.close = dpdk_close,
	.send = dpdk_send,
	.receive = dpdk_receive,
};
