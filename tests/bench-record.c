/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What recording costs: the engine's closed loop against a bare send/recv loop, in turns, on the same kind of
 * socket.
 *
 *   bench-record [ROUNDS [TRANSACTIONS]]
 *
 * Two comparisons.  `self`: a socket connected to itself, so that what is sent is received at once, by the
 * same thread: no scheduling, no second process, and a difference of a few nanoseconds shows.  `peer`: an
 * echo over 127.0.0.1 by another thread, as in earnest; there the noise of the machine is larger than what is
 * looked for, and the bare loop's socket has the same receive timeout as the engine's.  `plain`: the same
 * without that timeout, so that the difference holds what the kernel takes to arm a timer for each recv()
 * that blocks.  For each: the median over rounds of bare and of recorded nanoseconds a transaction, and
 * median and quartiles of the difference within a round.
 */
#include "engine/internal.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>

struct bench {
	const char *workload;
	uint64_t transactions;
	size_t rounds;
	double *bare_ns, *recorded_ns;
};

static void must(bool good, const char *what)
{
	if (!good) {
		perror(what);
		exit(EXIT_FAILED);
	}
}

static struct endpoint_job make_job(const struct bench *b)
{
	struct endpoint_job job;
	struct settings s;

	settings_init(&s);
	s.workload = b->workload;
	s.transactions = b->transactions;
	s.max_duration_ns = 600 * NS_PER_S;
	s.warmup_ns = 0;
	must(job_make(&job, &s, false, ERR_IGNORED) == 0, "job");
	strcpy(job.address, "127.0.0.1");
	strcpy(job.token, "00112233445566778899aabbccddeeff");
	return job;
}

/* ns a transaction of the loop that every such tool has at its heart */
static double bare_loop(int fd, uint64_t transactions)
{
	uint64_t start = time_now_ns();
	char byte = 0;

	for (uint64_t i = 0; i < transactions; i++)
		if (send(fd, &byte, 1, MSG_NOSIGNAL) != 1 || recv(fd, &byte, 1, 0) != 1)
			must(false, "bare loop");
	return (double)(time_now_ns() - start) / (double)transactions;
}

static double record_ns(struct endpoint_record *r)
{
	must(!r->mistake[0], r->mistake);
	return (double)(r->ended_ns - r->started_ns) / (double)r->transactions;
}

/* --- a socket connected to itself -------------------------------------------------------------- */

static int connect_self(bool datagrams)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(a);
	const int on = 1;
	int fd = socket(AF_INET, datagrams ? SOCK_DGRAM : SOCK_STREAM, 0);

	must(fd >= 0 && !bind(fd, (struct sockaddr *)&a, len) &&
			!getsockname(fd, (struct sockaddr *)&a, &len),
		"bind");
	must(!connect(fd, (struct sockaddr *)&a, len), "connect to itself");
	if (!datagrams)
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	return fd;
}

/* An engine's client without a server: the engine's own flow on a socket that is given. */
static double engine_on(const struct bench *b, int fd)
{
	struct engine engine = {.job = make_job(b), .flows_n = 1};
	struct flow *f = memory_aligned(sizeof(*f));
	struct endpoint_record *record = mem_alloc(sizeof(*record));

	flow_init(f, &engine, 0);
	f->fd = fd;
	engine.go_ns = time_now_ns();
	f->workload->schedule(f);
	f->workload->client(f);
	record->started_ns = f->start_ns;
	record->ended_ns = f->ended_ns;
	record->transactions = f->measured;
	double ns = record_ns(record);
	/* udp: the goodbye has come back */
	if (f->row->datagrams)
		recv(fd, f->in, f->in_bytes, MSG_DONTWAIT);
	free(record);
	f->fd = -1; /* it is the caller's */
	flow_clear(f);
	free(f);
	return ns;
}

static void bench_self(struct bench *b)
{
	int fd = connect_self(workload_find(b->workload)->datagrams);

	for (size_t i = 0; i < b->rounds; i++) {
		/* in turns, and each first in turns */
		if (i % 2)
			b->bare_ns[i] = bare_loop(fd, b->transactions);
		b->recorded_ns[i] = engine_on(b, fd);
		if (i % 2 == 0)
			b->bare_ns[i] = bare_loop(fd, b->transactions);
	}
	close(fd);
}

/* --- another thread answers -------------------------------------------------------------------- */

static double with_peer(const struct bench *b, bool recorded, bool timeout)
{
	struct endpoint_job server_job = make_job(b), client_job = server_job;
	struct endpoint_record *record = mem_alloc(sizeof(*record));
	struct engine *server = NULL, *client = NULL;
	uint64_t deadline = time_now_ns() + 10 * NS_PER_S;
	struct err e = ERR_INIT;
	double ns;

	server_job.server = true;
	must(!engine_prepare(&server, &server_job, deadline, &e), e.text);
	memcpy(client_job.ports, engine_ports(server), sizeof(client_job.ports));
	engine_go(server);
	if (recorded) {
		must(!engine_prepare(&client, &client_job, deadline, &e), e.text);
		struct pollfd p = {.fd = engine_done_fd(client), .events = POLLIN};

		engine_go(client);
		poll(&p, 1, -1);
		engine_collect(client, record);
		ns = record_ns(record);
	} else {
		bool datagrams = workload_find(b->workload)->datagrams;
		int fd = socket_connect(&client_job, datagrams, client_job.ports[0], deadline, &e);

		must(fd >= 0 && !hello_ask(&client_job, fd, datagrams, 0, deadline, &e), e.text);
		if (timeout)
			socket_set_timeout(fd, client_job.timeout_ns);
		ns = bare_loop(fd, b->transactions);
		close(fd);
	}
	engine_free(client);
	engine_free(server);
	free(record);
	return ns;
}

static void bench_peer(struct bench *b, bool timeout)
{
	for (size_t i = 0; i < b->rounds; i++) {
		double first = with_peer(b, i % 2, timeout), second = with_peer(b, !(i % 2), timeout);

		b->recorded_ns[i] = i % 2 ? first : second;
		b->bare_ns[i] = i % 2 ? second : first;
	}
}

/* --- figures ----------------------------------------------------------------------------------- */

static int up(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static double quantile(double *values, size_t n, double q)
{
	qsort(values, n, sizeof(*values), up);
	return values[(size_t)(q * (double)(n - 1) + 0.5)];
}

static void report(struct bench *b, const char *kind)
{
	double *difference = mem_array(b->rounds, sizeof(double)),
	       *ratio = mem_array(b->rounds, sizeof(double));

	for (size_t i = 0; i < b->rounds; i++) {
		difference[i] = b->recorded_ns[i] - b->bare_ns[i];
		ratio[i] = b->recorded_ns[i] / b->bare_ns[i];
	}
	printf("%-6s %-5s  bare %7.0f ns  recorded %7.0f ns  difference %+6.0f ns (quartiles %+.0f .. "
	       "%+.0f)  ratio %.3f\n",
		b->workload, kind, quantile(b->bare_ns, b->rounds, 0.5),
		quantile(b->recorded_ns, b->rounds, 0.5), quantile(difference, b->rounds, 0.5),
		quantile(difference, b->rounds, 0.25), quantile(difference, b->rounds, 0.75),
		quantile(ratio, b->rounds, 0.5));
	fflush(stdout);
	free(difference);
	free(ratio);
}

int main(int argc, char **argv)
{
	static const char *const workloads[] = {"tcp_rr", "udp_rr"};
	uint64_t rounds = 40, transactions = 20000;

	if (argc > 1)
		must(!str_u64(argv[1], &rounds) && rounds, "ROUNDS");
	if (argc > 2)
		must(!str_u64(argv[2], &transactions) && transactions, "TRANSACTIONS");
	for (size_t i = 0; i < ARRAY_LEN(workloads); i++) {
		struct bench b = {.workload = workloads[i], .transactions = transactions, .rounds = rounds};

		b.bare_ns = mem_array(rounds, sizeof(double));
		b.recorded_ns = mem_array(rounds, sizeof(double));
		bench_self(&b);
		report(&b, "self");
		bench_peer(&b, true);
		report(&b, "peer");
		bench_peer(&b, false);
		report(&b, "plain");
		free(b.bare_ns);
		free(b.recorded_ns);
	}
	return EXIT_DONE;
}
