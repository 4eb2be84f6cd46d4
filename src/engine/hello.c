/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The first message of every flow.
 *
 * The client sends a hello with the trial's token, and the server answers with the same message marked as an
 * answer.  A TCP server lets several connections wait at once, so that a connection on which nothing is sent
 * does not keep the client out.  A connection that shows no token in time, or a wrong one, is closed without
 * an answer.  When the client has shown the token, its connection is the only one left, and the listening
 * socket is closed.
 *
 * A datagram server connects its socket to the address from which the token came.  Datagrams that lie in the
 * socket by then may come from elsewhere and are thrown away before the answer is sent; the client sends
 * nothing but hellos until it has the answer.  Datagrams get lost, so the client repeats its hello, and the
 * server answers each one, also after the trial has begun (hello_kind()).
 *
 *   0   4 bytes   "taut"
 *   4   1 byte    version of this message
 *   5   1 byte    enum hello_kind
 *   6   2 bytes   flow, big endian
 *   8  32 bytes   token
 *
 * HELLO_END has 8 bytes more: how many datagrams were sent, little endian.
 */
#include "internal.h"

#include <endian.h>
#include <poll.h>

#define HELLO_VERSION 1
#define TOKEN_BYTES   32
#define REPEAT_NS     (100 * NS_PER_MS)
#define SHOW_TOKEN_NS (2 * NS_PER_S) /* the time in which a connection must show the token */
#define WAITING_MAX   16

static void hello_write(unsigned char out[HELLO_BYTES], const char *token, unsigned flow, unsigned kind)
{
	memcpy(out, "taut", 4);
	out[4] = HELLO_VERSION;
	out[5] = (unsigned char)kind;
	out[6] = (unsigned char)(flow >> 8);
	out[7] = (unsigned char)flow;
	memcpy(out + 8, token, TOKEN_BYTES);
}

/* Takes the same time wherever the token differs, so that it cannot be guessed byte by byte. */
static int hello_read(const char *token, unsigned flow, const unsigned char *data, size_t size)
{
	unsigned char wanted[HELLO_BYTES], difference = 0;

	if (size != HELLO_BYTES)
		return 0;
	hello_write(wanted, token, flow, data[5]);
	for (size_t i = 0; i < HELLO_BYTES; i++)
		difference |= (unsigned char)(wanted[i] ^ data[i]);
	return difference ? 0 : data[5];
}

int hello_kind(const struct flow *f, const unsigned char *data, size_t size)
{
	return hello_read(f->engine->job.token, f->index, data, size);
}

void hello_send(struct flow *f, unsigned kind)
{
	unsigned char message[HELLO_BYTES];

	hello_write(message, f->engine->job.token, f->index, kind);
	while (f->driver->send(f, message, sizeof(message)) < 0 && errno == EINTR)
		;
}

void hello_prepare(struct flow *f, unsigned kind)
{
	hello_write(f->out, f->engine->job.token, f->index, kind);
}

void hello_send_end(struct flow *f, uint64_t sent)
{
	unsigned char message[HELLO_END_BYTES];
	const uint64_t number = htole64(sent);

	hello_write(message, f->engine->job.token, f->index, HELLO_END);
	memcpy(message + HELLO_BYTES, &number, sizeof(number));
	while (f->driver->send(f, message, sizeof(message)) < 0 && errno == EINTR)
		;
}

bool hello_end(const struct flow *f, const unsigned char *data, uint64_t *sent)
{
	uint64_t number;

	memcpy(&number, data + HELLO_BYTES, sizeof(number));
	*sent = le64toh(number);
	return hello_kind(f, data, HELLO_BYTES) == HELLO_END;
}

/* --- client ------------------------------------------------------------------------------------ */

/* Reads an answer, or the part of it that has come: 1 when it is complete, 0 when not yet, −errno. */
static int read_answer(
	const struct endpoint_job *job, int fd, unsigned flow, unsigned char *data, size_t *done)
{
	ssize_t n = recv(fd, data + *done, HELLO_BYTES - *done, MSG_DONTWAIT);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	if (n == 0)
		return -ECONNRESET;
	*done += (size_t)n;
	if (*done < HELLO_BYTES)
		return 0;
	*done = 0;
	int kind = hello_read(job->token, flow, data, HELLO_BYTES);
	return kind == HELLO_ACK ? 1 : kind == HELLO_BYE ? -ECONNRESET : -EPROTO;
}

int hello_ask(const struct endpoint_job *job, int fd, bool datagrams, unsigned flow, uint64_t deadline_ns,
	struct err *e)
{
	unsigned char ask[HELLO_BYTES], answer[HELLO_BYTES];
	uint64_t repeat_ns = 0, now;
	size_t done = 0;
	int rc = 0;

	hello_write(ask, job->token, flow, HELLO_ASK);
	while (!rc && (now = time_now_ns()) < deadline_ns) {
		if (now >= repeat_ns) {
			if (send(fd, ask, sizeof(ask), MSG_NOSIGNAL) < 0)
				rc = -errno;
			repeat_ns = datagrams ? now + REPEAT_NS : UINT64_MAX;
		}
		if (!rc && socket_wait(fd, POLLIN, -1, MIN(repeat_ns, deadline_ns)) > 0)
			rc = read_answer(job, fd, flow, answer, &done);
		if (datagrams)
			done = 0;
		if (datagrams && rc == -EPROTO)
			rc = 0;
	}
	if (rc == -ECONNRESET)
		return err_set(
			e, ECONNREFUSED, "cannot start flow %u: the server closed the connection", flow);
	if (rc <= 0)
		return err_code(
			e, rc ? -rc : ETIMEDOUT, "cannot start flow %u: no answer from the server", flow);
	return 0;
}

/* --- server ------------------------------------------------------------------------------------ */

/* The driver takes over before the client knows: its first request follows the answer.  A client that hears
 * HELLO_BYE need not wait for an answer. */
static int acknowledge(struct flow *f, struct err *e)
{
	unsigned char message[HELLO_BYTES];
	int rc = f->driver->open ? f->driver->open(f, e) : 0;

	hello_write(message, f->engine->job.token, f->index, rc < 0 ? HELLO_BYE : HELLO_ACK);
	while (send(f->fd, message, sizeof(message), MSG_NOSIGNAL) < 0 && errno == EINTR)
		;
	return MIN(rc, 0);
}

/* --- server, TCP ------------------------------------------------------------------------------- */

/* A connection that has not shown the token yet. */
struct waiting {
	int fd;
	uint64_t until_ns;
	size_t got;
	unsigned char data[HELLO_BYTES];
};

/* 1: this connection is the client's; 0: its hello is not complete yet; −1: it is not the client's. */
static int look_at(const struct flow *f, struct waiting *w)
{
	ssize_t n = recv(w->fd, w->data + w->got, HELLO_BYTES - w->got, MSG_DONTWAIT);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -1;
	w->got += (size_t)n;
	if (n == 0)
		return -1;
	if (w->got < HELLO_BYTES)
		return 0;
	return hello_kind(f, w->data, HELLO_BYTES) == HELLO_ASK ? 1 : -1;
}

/* Accepts a new connection; when too many are waiting, the oldest is closed. */
static void take_in(const struct flow *f, struct waiting *list, size_t *n)
{
	int fd = accept4(f->listen_fd, NULL, NULL, SOCK_CLOEXEC);

	if (fd < 0)
		return;
	if (*n == WAITING_MAX) {
		close(list[0].fd);
		memmove(list, list + 1, --*n * sizeof(*list));
	}
	list[(*n)++] = (struct waiting){.fd = fd, .until_ns = time_now_ns() + SHOW_TOKEN_NS};
}

/* Looks at all waiting connections and closes those whose time is up; returns the fd of the client's, or −1.
 */
static int find_client(const struct flow *f, struct waiting *list, size_t *n)
{
	int client = -1;
	size_t kept = 0;

	for (size_t i = 0; i < *n; i++) {
		int verdict = client < 0 ? look_at(f, &list[i]) : 0;

		if (verdict > 0)
			client = list[i].fd;
		else if (verdict < 0 || time_now_ns() >= list[i].until_ns)
			close(list[i].fd);
		else
			list[kept++] = list[i];
	}
	*n = kept;
	return client;
}

static int accept_connection(struct flow *f, struct err *e)
{
	const struct engine *engine = f->engine;
	struct waiting list[WAITING_MAX];
	size_t n = 0;
	int client = -1, rc = 0;

	while (client < 0 && !engine_stopping(engine)) {
		struct pollfd p[2 + WAITING_MAX] = {
			{.fd = engine->stop_fd, .events = POLLIN}, {.fd = f->listen_fd, .events = POLLIN}};
		uint64_t now = time_now_ns(), deadline = engine->prepare_deadline_ns;

		if (now >= deadline)
			break;
		for (size_t i = 0; i < n; i++)
			p[2 + i] = (struct pollfd){.fd = list[i].fd, .events = POLLIN};
		uint64_t left_ms = (deadline - now) / NS_PER_MS + 1;
		if (poll(p, (nfds_t)(2 + n), (int)MIN(left_ms, n ? 200u : 60000u)) < 0 && errno != EINTR)
			break;
		if (p[1].revents)
			take_in(f, list, &n);
		client = find_client(f, list, &n);
	}
	for (size_t i = 0; i < n; i++)
		close(list[i].fd);
	close(f->listen_fd);
	f->listen_fd = -1;
	if (client < 0)
		return err_set(e, ETIMEDOUT, "no client has shown the token");
	if (!flow_adopt(f, client))
		return err_set(e, ECANCELED, "stopped");
	rc = socket_tune(client, &engine->job, false, e);
	return rc ? rc : acknowledge(f, e);
}

/* --- server, UDP ------------------------------------------------------------------------------- */

static int accept_datagrams(struct flow *f, struct err *e)
{
	const struct engine *engine = f->engine;
	unsigned char data[HELLO_BYTES + 1];

	while (socket_wait(f->fd, POLLIN, engine->stop_fd, engine->prepare_deadline_ns) > 0) {
		struct sockaddr_storage peer;
		socklen_t len = sizeof(peer);
		ssize_t n = recvfrom(f->fd, data, sizeof(data), MSG_DONTWAIT, (struct sockaddr *)&peer, &len);

		if (n < 0 || hello_kind(f, data, (size_t)n) != HELLO_ASK)
			continue;
		if (connect(f->fd, (struct sockaddr *)&peer, len))
			return err_sys(e, "cannot connect to the client");
		while (recv(f->fd, data, sizeof(data), MSG_DONTWAIT) >= 0)
			;
		return acknowledge(f, e);
	}
	return err_set(e, ETIMEDOUT, "no client has shown the token");
}

int hello_accept(struct flow *f, struct err *e)
{
	bool datagrams = f->row->datagrams;

	if (f->driver->accept)
		return f->driver->accept(f, e);
	int rc = datagrams ? accept_datagrams(f, e) : accept_connection(f, e);

	if (!rc)
		socket_read_back(f, datagrams);
	return rc;
}
