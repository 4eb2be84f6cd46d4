/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Connect, request and reply: a TCP connection for each transaction.
 *
 * A transaction begins with connect(), whose return ends its first part; the second part is the request and
 * the first, and only, reply.  Socket and options are made before it begins, and closing comes after its end,
 * so that neither is in any latency; both are in the rate of a closed loop.
 *
 * Strangers.  A message of its own for the token would cost a round trip.  So each request begins with the
 * 40 bytes of a hello, and is at least as long; what does not begin so within SHOW_TOKEN_NS is closed without
 * a reply.  The server listens with TCP_DEFER_ACCEPT, so that a connection on which nothing is sent does not
 * even reach it.  A connection that shows HELLO_BYE ends it.
 *
 * Ports.  Whoever closes a connection first keeps its pair of ports for a minute (TIME_WAIT), after which
 * 28 000 connections stand in the way of the next.  Here the server closes first, and the client resets what
 * is left (SO_LINGER with no time): then neither end keeps anything, however many there are.
 *
 * An open loop has one connection at a time on each flow.  One that is due while that before it lasts begins
 * late; this is in its response time and its lateness, as ever.  More flows have more connections at once.
 *
 * A connection that fails or brings no reply within the timeout is lost; after three in a row the flow is
 * dead.  Retransmissions are the kernel's count for the whole network namespace: a socket that lives for one
 * transaction would have to be asked in each of them.
 */
#include "internal.h"

#include <netinet/in.h>
#include <netinet/tcp.h>

#define LOST_MAX      3
#define SHOW_TOKEN_NS (100 * NS_PER_MS)
#define BACKLOG       4096
#define DEFER_S       2 /* the kernel keeps a silent connection that long, or a little longer */

/* What a request has at least. */
static uint64_t request_bytes(const struct flow *f)
{
	return MAX(f->request_bytes, (uint64_t)HELLO_BYTES);
}

static void init(struct flow *f)
{
	bool server = f->engine->job.server;

	flow_buffers(
		f, server ? f->reply_bytes : request_bytes(f), server ? request_bytes(f) : f->reply_bytes);
	if (!server)
		hello_prepare(f, HELLO_ASK);
}

static int read_retransmits(struct flow *f, uint64_t *out, struct err *e)
{
	return f->index ? 0 : kernel_count("Tcp", "RetransSegs", false, out, e);
}

/* --- client ------------------------------------------------------------------------------------ */

/* A socket that is ready to be connected; −errno. */
static int make_socket(struct flow *f)
{
	static const struct linger reset = {.l_onoff = 1};
	struct err e = ERR_INIT;
	int fd = socket(f->peer.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0), rc;

	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	socket_set_timeout(fd, f->timeout_ns);
	rc = socket_tune(fd, &f->engine->job, false, &e);
	if (rc)
		close(fd);
	return rc ? rc : fd;
}

/* 1 connected; 0 not within the timeout, or refused with a reset; −errno. */
static int make_connection(struct flow *f)
{
	if (!connect(f->fd, (const struct sockaddr *)&f->peer, f->peer_len))
		return 1;
	return errno == EINPROGRESS || errno == EAGAIN || errno == ETIMEDOUT || errno == ECONNRESET ? 0
												    : -errno;
}

/* 1 the reply has come; 0 it has not, or the connection ended; −errno. */
static int exchange(struct flow *f)
{
	size_t done = 0, got = 0;
	int rc = flow_send_all(f, f->out, request_bytes(f), &done);

	if (rc > 0)
		rc = flow_receive_all(f, f->in, f->reply_bytes, &got);
	return rc == -EAGAIN || rc == -ECONNRESET ? 0 : rc;
}

static void transact_on(struct flow *f, uint64_t due)
{
	uint64_t begun = time_now_ns(), connected = 0, now;
	int rc = make_connection(f);

	f->sent++;
	f->last_sent_ns = begun;
	if (rc > 0) {
		connected = time_now_ns();
		rc = exchange(f);
	}
	now = time_now_ns();
	if (engine_stopping(f->engine))
		return;
	if (rc < 0) {
		flow_fail(f, "%s", strerror(-rc));
		return;
	}
	f->silent = rc ? 0 : f->silent + 1;
	if (!rc) {
		f->lost++;
		f->timeouts += now - begun >= f->timeout_ns;
		if (f->silent >= LOST_MAX)
			flow_fail(f, "%d connections in a row came to nothing", LOST_MAX);
		return;
	}
	due = f->open_loop ? due : begun;
	if (due - f->start_ns >= f->end_ns - f->start_ns)
		return;
	recorder_add(f->recorder, due, begun, now);
	recorder_add_parts(f->recorder, connected - begun, now - connected);
	f->measured++;
	f->ended_ns = now;
}

static void transact(struct flow *f, uint64_t due)
{
	int fd = make_socket(f);

	if (fd < 0) {
		flow_fail(f, "cannot make a socket: %s", strerror(-fd));
		return;
	}
	if (flow_adopt(f, fd))
		transact_on(f, due);
	flow_close(f);
}

/* When transaction k is due, or the time in a closed loop; UINT64_MAX: there is none. */
static uint64_t next_due(const struct flow *f, uint64_t k)
{
	uint64_t now = time_now_ns();

	if (engine_stopping(f->engine) || atomic_load_explicit(&f->failed, memory_order_relaxed))
		return UINT64_MAX;
	if (!f->open_loop)
		return f->measured < f->share && (now < f->end_ns || f->silent) ? now : UINT64_MAX;
	if (k >= atomic_load_explicit(&f->total, memory_order_relaxed) || now >= f->deadline_ns)
		return UINT64_MAX;
	uint64_t due = rr_due(f, k);
	flow_sleep_until(f, due);
	return due;
}

/* The server need not wait for whom taut would tell it of. */
static void say_goodbye(struct flow *f)
{
	int fd = make_socket(f);

	if (fd < 0 || !flow_adopt(f, fd)) {
		flow_close(f);
		return;
	}
	options_read(&f->options_after, fd, false);
	if (make_connection(f) > 0) {
		hello_send(f, HELLO_BYE);
		recv(f->fd, f->in, 1, 0); /* until it has read it: a reset may overtake what was sent */
	}
	flow_close(f);
}

static void client(struct flow *f)
{
	struct err e = ERR_INIT;
	uint64_t due, before = f->retransmits, after = before;

	flow_close(f);
	for (uint64_t k = 0; (due = next_due(f, k)) != UINT64_MAX; k++) {
		if (__builtin_expect(!f->main.meter.running && due >= f->start_ns, 0)) {
			meter_start(&f->main.meter);
			if (read_retransmits(f, &before, &e))
				break;
		}
		transact(f, due);
	}
	uint64_t now = time_now_ns();
	bool alive = !atomic_load(&f->failed) && !engine_stopping(f->engine);
	if (!e.code && read_retransmits(f, &after, &e) == 0)
		f->retransmits = after - before;
	if (e.code)
		flow_fail(f, "%s", e.text);
	meter_stop(&f->main.meter);
	f->capped |= !f->open_loop && f->share != UINT64_MAX && f->measured < f->share;
	if (f->open_loop)
		f->ended_ns = alive ? f->end_ns : MIN(now, f->end_ns);
	else
		f->ended_ns = MAX(f->ended_ns, MIN(now, f->end_ns));
	if (alive)
		say_goodbye(f);
}

/* --- server ------------------------------------------------------------------------------------ */

/* The first bytes of a connection: a hello's kind; 0: a stranger's. */
static int take_token(struct flow *f, size_t *got)
{
	uint64_t until = time_now_ns() + SHOW_TOKEN_NS;

	do {
		ssize_t n = f->driver->receive(f, f->in + *got, request_bytes(f) - *got);

		if (n == 0 || (n < 0 && errno != EINTR))
			return 0;
		*got += n > 0 ? (size_t)n : 0;
	} while (*got < HELLO_BYTES && time_now_ns() < until);
	return *got < HELLO_BYTES ? 0 : hello_kind(f, f->in, HELLO_BYTES);
}

/* false: the client says that it ends. */
static bool serve(struct flow *f)
{
	size_t got = 0, done = 0;
	int kind = take_token(f, &got), rc;

	if (kind != HELLO_ASK)
		return kind != HELLO_BYE;
	do
		rc = flow_receive_all(f, f->in, request_bytes(f), &got);
	while (rc == -EAGAIN && !engine_stopping(f->engine));
	if (rc > 0 && flow_send_all(f, f->out, f->reply_bytes, &done) > 0)
		f->sent++;
	return true;
}

static void server(struct flow *f)
{
	bool goes_on = true;

	f->start_ns = time_now_ns();
	meter_start(&f->main.meter);
	while (goes_on && !engine_stopping(f->engine)) {
		int fd = accept4(f->accept_fd, NULL, NULL, SOCK_CLOEXEC);

		if (fd < 0 && (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED))
			continue;
		if (fd < 0) {
			flow_fail(f, "cannot accept a connection: %s", strerror(errno));
			break;
		}
		if (flow_adopt(f, fd))
			goes_on = serve(f);
		flow_close(f);
	}
	meter_stop(&f->main.meter);
	options_read(&f->options_after, f->accept_fd, false);
	f->ended_ns = time_now_ns();
	f->measured = f->sent;
}

/* --- either end -------------------------------------------------------------------------------- */

/* Options of a listening socket are those of the connections that it accepts, time limits included. */
static int open_server(struct flow *f, struct err *e)
{
	const int defer = DEFER_S;
	int rc = flow_open(f, e);

	if (rc)
		return rc;
	f->accept_fd = steal_fd(&f->listen_fd);
	if (listen(f->accept_fd, BACKLOG))
		return err_sys(e, "cannot listen");
	setsockopt(f->accept_fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, &defer, sizeof(defer));
	socket_set_timeout(f->accept_fd, SHOW_TOKEN_NS);
	options_read(&f->options_before, f->accept_fd, false);
	return 0;
}

static int open_client(struct flow *f, struct err *e)
{
	const struct endpoint_job *job = &f->engine->job;
	int rc = socket_address(job->address, job->ports[f->index], &f->peer, &f->peer_len, e);

	if (rc)
		return rc;
	f->fd = make_socket(f); /* whose options are read back */
	if (f->fd < 0)
		return err_code(e, -f->fd, "cannot make a socket");
	socket_read_back(f, false);
	return read_retransmits(f, &f->retransmits, e);
}

static int open_end(struct flow *f, struct err *e)
{
	return f->engine->job.server ? open_server(f, e) : open_client(f, e);
}

/* Clients come one after the other. */
static int accept_all(struct flow *f, struct err *e)
{
	(void)f, (void)e;
	return 0;
}

const struct engine_workload engine_tcp_crr = {.init = init,
	.open = open_end,
	.accept = accept_all,
	.schedule = rr_schedule,
	.client = client,
	.server = server};
