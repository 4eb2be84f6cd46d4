/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The engine with both ends in one process, over 127.0.0.1, and the recorder alone.  The tests check counts
 * and relations, which hold on any machine.  Times are checked only where the test itself causes a stall that
 * is far longer than any stall of the machine.
 */
#include "test_engine_pair.h"

#include "engine/recorder.h"
#include "test_noise.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <math.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <sys/prctl.h>

static uint64_t windows_count(const struct endpoint_record *r)
{
	uint64_t n = 0;

	for (size_t i = 0; i < r->windows_n; i++)
		n += r->windows[i].count;
	return n;
}

/* What must hold of every record of an RR client. */
static void assert_whole(const struct pair *p)
{
	const struct endpoint_record *r = p->client_record;
	struct err e = ERR_INIT;
	struct endpoint_record *copy = mem_alloc(sizeof(*copy));
	json_t *object = endpoint_record_json(r);

	must(endpoint_record_from_json(copy, object, READ_STREAM, &e), &e);
	json_decref(object);
	free(copy);
	assert_int_equal(r->service.count, r->transactions);
	assert_int_equal(r->response.count, r->transactions);
	assert_int_equal(windows_count(r), r->transactions);
	assert_int_equal(r->worst_n, MIN(r->transactions, (uint64_t)WORST_MAX));
	if (r->worst_n)
		assert_int_equal(r->worst[0].response_ns, r->response.max);
	for (size_t i = 1; i < r->worst_n; i++)
		assert_true(r->worst[i - 1].response_ns >= r->worst[i].response_ns);
	assert_true(r->sent >= r->transactions);
	assert_true(r->ended_ns > r->started_ns);
	assert_int_equal(r->timer_slack_ns, 1);
	assert_true(r->has_service && !r->receiver);
}

/* --- request and reply ------------------------------------------------------------------------- */

static void test_rr_measures_as_many_as_asked(void **state)
{
	static const struct {
		const char *workload;
		uint64_t transactions, flows, burst, request, reply, rate;
	} rows[] = {
		{"tcp_rr", 2000, 1, 1, 1, 1, 0},
		{"tcp_rr", 2001, 4, 1, 64, 128, 0},
		{"tcp_rr", 2000, 1, 16, 1, 1, 0},
		{"tcp_rr", 50, 1, 1, 4 << 20, 3 << 20, 0},
		{"tcp_rr", 2, 4, 1, 1, 1, 0},
		{"tcp_rr", 1000, 1, 1, 1, 1, 5000},
		{"tcp_rr", 1001, 4, 1, 100, 1, 5000},
		{"udp_rr", 2000, 1, 1, 1, 1, 0},
		{"udp_rr", 2001, 4, 1, 40, 40, 0},
		{"udp_rr", 2000, 2, 8, 1, 1, 0},
		{"udp_rr", 500, 1, 1, 60000, 9000, 0},
		{"udp_rr", 1000, 1, 1, 1, 1, 5000},
		{"udp_rr", 1001, 3, 1, 8, 2, 5000},
	};
	struct noise noise = noise_begin();

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct pair p;

		pair_init(&p, rows[i].workload);
		struct endpoint_job *s = &p.server_job;
		s->transactions = rows[i].transactions;
		s->flows = rows[i].flows;
		s->burst = rows[i].burst;
		s->request_bytes = rows[i].request;
		s->reply_bytes = rows[i].reply;
		s->rate = rows[i].rate;
		run(&p);
		/* Datagrams at a rate are lost when the server stands still for longer than its buffer lasts.
		 */
		uint64_t lost = s->rate ? p.client_record->lost : 0;
		if (lost) {
			pair_free(&p);
			noise_judge(&noise, false, "row %zu: %d are lost", i, (int)lost);
		}
		assert_clean(p.client_record);
		assert_clean(p.server_record);
		if (p.client_record->transactions != rows[i].transactions)
			fail_msg("row %zu: %d transactions instead of %d", i,
				(int)p.client_record->transactions, (int)rows[i].transactions);
		assert_false(p.client_record->capped);
		assert_int_equal(p.client_record->has_lateness, rows[i].rate != 0);
		assert_whole(&p);
		assert_int_equal(p.server_record->sent, p.client_record->sent);
		pair_free(&p);
	}
}

static void test_rr_ends_by_time(void **state)
{
	static const struct {
		const char *workload;
		uint64_t transactions, rate;
		bool capped;
	} rows[] = {
		{"tcp_rr", 0, 0, false},
		{"udp_rr", 0, 0, false},
		{"tcp_rr", 1000000000, 0, true},
		{"tcp_rr", 0, 1000, false},
		{"udp_rr", 1000000000, 1000, true},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct pair p;

		pair_init(&p, rows[i].workload);
		p.server_job.transactions = rows[i].transactions;
		p.server_job.rate = rows[i].rate;
		p.server_job.max_duration_ns = 200 * NS_PER_MS;
		p.server_job.duration_ns = 200 * NS_PER_MS;
		run(&p);
		const struct endpoint_record *r = p.client_record;
		assert_clean(r);
		assert_whole(&p);
		assert_int_equal(r->capped, rows[i].capped);
		assert_true(r->ended_ns - r->started_ns >= 200 * NS_PER_MS);
		if (rows[i].rate)
			assert_int_equal(r->transactions, rows[i].rate / 5);
		pair_free(&p);
	}
}

static void nap(uint64_t ns)
{
	struct timespec t = {(time_t)(ns / NS_PER_S), (long)(ns % NS_PER_S)};

	nanosleep(&t, NULL);
}

/* A server that stalls: a socket of the test's, which does not answer for a while. */
struct slow_server {
	int fd;
	uint64_t after, stall_ns, stalled_ns;
	struct pair *pair;
};

static void read_whole(int fd, void *data, size_t size)
{
	assert_int_equal(recv(fd, data, size, MSG_WAITALL), size);
}

static void *slow_server_main(void *arg)
{
	struct slow_server *s = arg;
	unsigned char hello[HELLO_BYTES], byte;
	int fd = accept(s->fd, NULL, NULL);
	uint64_t n = 0;

	read_whole(fd, hello, sizeof(hello));
	hello[5] = HELLO_ACK;
	if (send(fd, hello, sizeof(hello), 0) != HELLO_BYTES)
		return NULL;
	while (recv(fd, &byte, 1, 0) == 1) {
		if (++n == s->after) {
			uint64_t before = time_now_ns();

			nap(s->stall_ns);
			s->stalled_ns = time_now_ns() - before;
		}
		if (send(fd, &byte, 1, MSG_NOSIGNAL) != 1)
			break;
	}
	close(fd);
	return NULL;
}

static int listen_anywhere(uint16_t *port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(fd, 4), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
	*port = ntohs(a.sin_port);
	return fd;
}

/* 1 s at 2000/s with the server standing still for 300 ms: quantile q of the response time is 300 ms − (1 −
 * q) · 1 s. */
static void test_open_loop_shows_a_stall(void **state)
{
	struct slow_server server = {.after = 500, .stall_ns = 300 * NS_PER_MS};
	struct noise noise = noise_begin();
	struct pair p;
	pthread_t thread;

	(void)state;
	pair_init(&p, "tcp_rr");
	p.client_job = p.server_job;
	p.client_job.server = false;
	p.client_job.transactions = 0;
	p.client_job.rate = 2000;
	p.client_job.duration_ns = NS_PER_S;
	p.client_job.warmup_ns = 0;
	server.fd = listen_anywhere(&p.client_job.ports[0]);
	assert_int_equal(pthread_create(&thread, NULL, slow_server_main, &server), 0);
	start_client(&p);
	engine_go(p.client);
	assert_true(wait_done(p.client, 50000));
	engine_collect(p.client, p.client_record);
	pthread_join(thread, NULL);
	close(server.fd);

	const struct endpoint_record *r = p.client_record;
	double stall_ms = (double)server.stalled_ns / 1e6, p80 = hist_quantile(&r->response, 0.8) / 1e6;
	double late_ms = hist_quantile(&r->lateness, 0.9) / 1e6;
	assert_clean(r);
	assert_whole(&p);
	assert_int_equal(r->transactions, 2000);
	bool whole = r->response.max >= server.stalled_ns - 2 * NS_PER_MS;
	pair_free(&p);
	noise_judge(&noise, fabs(p80 - (stall_ms - 200)) <= 20,
		"p80 is %.1f ms after a stall of %.1f ms, not %.1f ms", p80, stall_ms, stall_ms - 200);
	noise_judge(&noise, whole, "the longest response time is less than the stall");
	noise_judge(&noise, late_ms < 100, "p90 of lateness is %.1f ms", late_ms);
}

/* A request outstanding when the stretch ends is recorded with its whole latency. */
static void test_closed_loop_waits_for_the_last_reply(void **state)
{
	struct slow_server server = {.after = 100, .stall_ns = 400 * NS_PER_MS};
	struct pair p;
	pthread_t thread;

	(void)state;
	pair_init(&p, "tcp_rr");
	p.client_job = p.server_job;
	p.client_job.server = false;
	p.client_job.transactions = 0;
	p.client_job.warmup_ns = 0;
	p.client_job.duration_ns = 200 * NS_PER_MS;
	p.client_job.timeout_ns = 30 * NS_PER_S;
	server.fd = listen_anywhere(&p.client_job.ports[0]);
	assert_int_equal(pthread_create(&thread, NULL, slow_server_main, &server), 0);
	start_client(&p);
	engine_go(p.client);
	assert_true(wait_done(p.client, 50000));
	engine_collect(p.client, p.client_record);
	pthread_join(thread, NULL);
	close(server.fd);
	assert_clean(p.client_record);
	assert_true(p.client_record->service.max >= server.stalled_ns);
	assert_true(p.client_record->ended_ns - p.client_record->started_ns >= 300 * NS_PER_MS);
	pair_free(&p);
}

/* A server that never answers after its 100th reply. */
static void test_tcp_flow_dies_at_its_deadline(void **state)
{
	struct slow_server server = {.after = 100, .stall_ns = 1500 * NS_PER_MS};
	struct noise noise = noise_begin();
	struct pair p;
	pthread_t thread;

	(void)state;
	pair_init(&p, "tcp_rr");
	p.client_job = p.server_job;
	p.client_job.server = false;
	p.client_job.transactions = 0;
	p.client_job.duration_ns = 100 * NS_PER_MS;
	p.client_job.timeout_ns = 200 * NS_PER_MS;
	server.fd = listen_anywhere(&p.client_job.ports[0]);
	assert_int_equal(pthread_create(&thread, NULL, slow_server_main, &server), 0);
	start_client(&p);
	engine_go(p.client);
	bool dead_first = wait_done(p.client, 1200); /* and not when the server goes on */
	assert_true(dead_first || wait_done(p.client, 50000));
	engine_collect(p.client, p.client_record);
	pthread_join(thread, NULL);
	close(server.fd);
	if (dead_first) {
		assert_int_equal(p.client_record->dead_flows, 1);
		assert_int_equal(p.client_record->lost, 1);
		assert_true(p.client_record->timeouts >= 1);
		assert_non_null(strstr(p.client_record->mistake, "flow 0 is dead: no reply for"));
	}
	pair_free(&p);
	noise_judge(&noise, dead_first, "a flow without replies for 200 ms is not dead after 1200 ms");
}

/* --- datagrams that get lost ------------------------------------------------------------------- */

/* A datagram server that does not answer some requests. */
struct lossy_server {
	int fd;
	uint64_t from, to; /* requests first … last are not answered, counted from 1 */
	bool late;         /* the last of these is answered after the next one */
};

static void *lossy_server_main(void *arg)
{
	struct lossy_server *s = arg;
	unsigned char data[HELLO_BYTES], kept[HELLO_BYTES];
	uint64_t n = 0;

	for (;;) {
		struct sockaddr_in peer;
		socklen_t len = sizeof(peer);
		ssize_t size = recvfrom(s->fd, data, sizeof(data), 0, (struct sockaddr *)&peer, &len);

		if (size <= 0)
			return NULL;
		if (size == HELLO_BYTES && data[5] == HELLO_BYE)
			return NULL;
		if (size == HELLO_BYTES)
			data[5] = data[5] >= HELLO_MARK ? (unsigned char)(data[5] + 64) : HELLO_ACK;
		else
			n++;
		bool swallow = size != HELLO_BYTES && n >= s->from && n <= s->to;
		if (swallow)
			memcpy(kept, data, (size_t)size);
		else
			sendto(s->fd, data, (size_t)size, 0, (struct sockaddr *)&peer, len);
		if (s->late && size != HELLO_BYTES && n == s->to + 1)
			sendto(s->fd, kept, (size_t)size, 0, (struct sockaddr *)&peer, len);
	}
}

struct lost_seen {
	uint64_t lost, reordered, dead, transactions;
	double slow_ns;
};

static struct lost_seen lost_seen(const struct endpoint_record *r, uint64_t doubtful)
{
	return (struct lost_seen){r->lost, r->reordered, r->dead_flows, r->transactions,
		hist_quantile(&r->service, doubtful ? 0.99 : 1)};
}

static void test_lost_datagrams_are_counted(void **state)
{
	static const struct {
		uint64_t request, rate, burst, from, to, lost, reordered, dead;
		bool late;
		uint64_t timeout_ms, doubtful; /* 0: 300; replies that may not be told apart */
	} rows[] = {
		{1, 0, 1, 0, 0, 0, 0, 0, false},
		{1, 0, 1, 500, 500, 1, 0, 0, false},
		{2, 0, 1, 500, 501, 2, 0, 0, false},
		{8, 0, 1, 500, 500, 1, 1, 0, true}, /* the late one comes after its timeout */
		{1, 0, 8, 500, 500, 1, 0, 0, false},
		{1, 2000, 1, 500, 500, 1, 0, 0, false},
		{1, 2000, 1, 500, 510, 11, 0, 0, false},
		{2, 2000, 1, 500, 500, 0, 1, 0, true}, /* overtaken, but not lost */
		{1, 0, 1, 500, 1 << 30, 3, 0, 1, false},
		{2, 2000, 1, 500, 1 << 30, 501, 0, 1, false},
		/* more lost than one byte can count: what follows must not be shifted by 256 */
		{1, 2000, 1, 500, 899, 400, 0, 0, false, 1000, 40},
		{1, 2000, 1, 500, 755, 256, 0, 0, false, 1000, 40},
		{2, 2000, 1, 500, 899, 400, 0, 0, false, 1000, 0},
	};
	struct noise noise = noise_begin();

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct lossy_server server = {.from = rows[i].from, .to = rows[i].to, .late = rows[i].late};
		struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
		socklen_t len = sizeof(a);
		struct pair p;
		pthread_t thread;

		pair_init(&p, "udp_rr");
		p.client_job = p.server_job;
		p.client_job.server = false;
		struct endpoint_job *s = &p.client_job;
		s->warmup_ns = 0;
		s->transactions = 1000;
		s->request_bytes = s->reply_bytes = rows[i].request;
		s->rate = rows[i].rate;
		s->burst = rows[i].burst;
		uint64_t timeout_ns = (rows[i].timeout_ms ? rows[i].timeout_ms : 300) * NS_PER_MS;
		s->timeout_ns = timeout_ns;
		server.fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
		assert_int_equal(bind(server.fd, (struct sockaddr *)&a, sizeof(a)), 0);
		assert_int_equal(getsockname(server.fd, (struct sockaddr *)&a, &len), 0);
		p.client_job.ports[0] = ntohs(a.sin_port);
		assert_int_equal(pthread_create(&thread, NULL, lossy_server_main, &server), 0);
		start_client(&p);
		engine_go(p.client);
		assert_true(wait_done(p.client, 100000));
		engine_collect(p.client, p.client_record);
		pthread_join(thread, NULL);
		close(server.fd);
		assert_whole(&p);
		const struct lost_seen seen = lost_seen(p.client_record, rows[i].doubtful);
		pair_free(&p);
		noise_judge(&noise,
			seen.lost >= rows[i].lost && seen.lost <= rows[i].lost + rows[i].doubtful &&
				seen.reordered == rows[i].reordered && seen.dead == rows[i].dead,
			"row %zu: lost %d not %d, reordered %d not %d, dead %d not %d", i, (int)seen.lost,
			(int)rows[i].lost, (int)seen.reordered, (int)rows[i].reordered, (int)seen.dead,
			(int)rows[i].dead);
		uint64_t wanted = rows[i].dead ? 499 : rows[i].rate ? 1000 - seen.lost : 1000;
		noise_judge(&noise, seen.transactions == wanted, "row %zu: %d transactions not %d", i,
			(int)seen.transactions, (int)wanted);
		/* No timeout is in any latency, and no reply was taken for that of another request. */
		noise_judge(&noise, seen.slow_ns <= (rows[i].doubtful ? 110e6 : (double)timeout_ns),
			"row %zu: service time of %.0f ms", i, seen.slow_ns / 1e6);
	}
}

static void test_sequence_is_restored_in_its_window(void **state)
{
	static const struct {
		uint64_t reference, real;
		unsigned width;
	} rows[] = {{0, 0, 1}, {0, 191, 1}, {1000, 936, 1}, {1000, 1191, 1}, {255, 256, 1}, {70000, 70001, 2},
		{70000, 60000, 2}, {1ull << 40, (1ull << 40) + 5, 4}, {5, 1ull << 60, 8}};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		uint64_t mask = rows[i].width < 8 ? (1ull << (8 * rows[i].width)) - 1 : UINT64_MAX;

		assert_int_equal(sequence_restore(rows[i].reference, rows[i].real & mask, rows[i].width),
			rows[i].real);
	}
	assert_int_equal(sequence_restore(1000, (1000 - 65) & 255, 1), 1000 - 65 + 256);
}

/* --- streams ----------------------------------------------------------------------------------- */

static void test_streams_are_measured_by_their_receiver(void **state)
{
	static const struct {
		const char *workload;
		uint64_t flows, size;
	} rows[] = {{"tcp_stream", 1, 128 << 10}, {"tcp_stream", 4, 16 << 10}, {"tcp_stream", 1, 8 << 20},
		{"tcp_maerts", 1, 128 << 10}, {"tcp_maerts", 2, 1000}};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct pair p;

		pair_init(&p, rows[i].workload);
		p.server_job.flows = rows[i].flows;
		p.server_job.size_bytes = rows[i].size;
		run(&p);
		bool reverse = p.server->flows[0].row->reverse;
		const struct endpoint_record *r = reverse ? p.client_record : p.server_record;
		const struct endpoint_record *sender = reverse ? p.server_record : p.client_record;
		uint64_t bytes = 0;
		assert_clean(p.client_record);
		assert_clean(p.server_record);
		assert_true(r->receiver && !sender->receiver && !r->has_service);
		assert_int_equal(sender->bytes, 0);
		assert_int_equal(r->ended_ns - r->started_ns, 300 * NS_PER_MS);
		for (size_t w = 0; w < r->windows_n; w++)
			bytes += r->windows[w].bytes;
		assert_int_equal(bytes, r->bytes);
		assert_true(r->bytes > 1 << 20 && sender->sent > 0 && sender->cpu_ns > 0);
		assert_true(r->windows_n <= 300);
		pair_free(&p);
	}
}

/* --- who may talk, what can go wrong ----------------------------------------------------------- */

static void test_tcp_strangers_get_nothing(void **state)
{
	char wrong[HELLO_BYTES] = "taut\1\1\0\0ffffffffffffffffffffffffffffffff", byte;
	struct pair p;

	(void)state;
	pair_init(&p, "tcp_rr");
	start_server(&p);
	uint16_t port = engine_ports(p.server)[0];
	int silent = connect_to(port), liar = connect_to(port), partial = connect_to(port);
	assert_true(silent >= 0 && liar >= 0 && partial >= 0);
	assert_int_equal(send(liar, wrong, sizeof(wrong), 0), sizeof(wrong));
	assert_int_equal(send(partial, wrong, 10, 0), 10);
	assert_true(recv(liar, &byte, 1, 0) <= 0);
	start_client(&p);
	assert_true(recv(silent, &byte, 1, 0) <= 0);
	assert_true(recv(partial, &byte, 1, 0) <= 0);
	assert_int_equal(connect_to(port), -1);
	go(&p);
	finish(&p);
	assert_clean(p.client_record);
	assert_int_equal(p.client_record->transactions, 2000);
	close(silent);
	close(liar);
	close(partial);
	pair_free(&p);
}

static void test_udp_strangers_get_nothing(void **state)
{
	char wrong[HELLO_BYTES] = "taut\1\1\0\0ffffffffffffffffffffffffffffffff", byte = 0;
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct pair p;

	(void)state;
	pair_init(&p, "udp_rr");
	start_server(&p);
	a.sin_port = htons(engine_ports(p.server)[0]);
	int stranger = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	for (int i = 0; i < 3; i++) {
		sendto(stranger, wrong, sizeof(wrong), 0, (struct sockaddr *)&a, sizeof(a));
		sendto(stranger, &byte, 1, 0, (struct sockaddr *)&a, sizeof(a));
	}
	start_client(&p);
	sendto(stranger, &byte, 1, 0, (struct sockaddr *)&a, sizeof(a));
	go(&p);
	finish(&p);
	assert_clean(p.client_record);
	assert_int_equal(p.client_record->transactions, 2000);
	assert_int_equal(p.server_record->sent, p.client_record->sent);
	assert_int_equal(recv(stranger, &byte, 1, MSG_DONTWAIT), -1);
	close(stranger);
	pair_free(&p);
}

/* A hello whose answer was lost is answered again, also once the server serves, and is no request. */
static void test_udp_hello_is_answered_again(void **state)
{
	struct err e = ERR_INIT;
	struct pair p;

	(void)state;
	pair_init(&p, "udp_rr");
	p.server_job.request_bytes = HELLO_BYTES;
	start_server(&p);
	start_client(&p);
	for (int i = 0; i < 3; i++)
		must(hello_ask(
			     &p.client_job, p.client->flows[0].fd, true, 0, time_now_ns() + DEADLINE_NS, &e),
			&e);
	hello_send(&p.client->flows[0], HELLO_ASK); /* its answer comes among the replies */
	go(&p);
	finish(&p);
	assert_clean(p.client_record);
	assert_int_equal(p.client_record->transactions, 2000);
	assert_int_equal(p.server_record->sent, p.client_record->sent);
	pair_free(&p);
}

static void test_errors_name_what_is_wrong(void **state)
{
	struct err e = ERR_INIT;
	struct engine *engine;
	struct pair p;

	(void)state;
	pair_init(&p, "tcp_rr");
	int taken = listen_anywhere(&p.client_job.ports[0]);
	p.server_job.port = p.client_job.ports[0];
	assert_int_equal(
		engine_prepare(&engine, &p.server_job, time_now_ns() + DEADLINE_NS, &e), -EADDRINUSE);
	assert_non_null(strstr(e.text, "cannot bind 127.0.0.1 port"));
	close(taken);

	p.server_job.port = 0;
	strcpy(p.server_job.congestion, "nonesuch");
	assert_int_equal(engine_prepare(&engine, &p.server_job, time_now_ns() + DEADLINE_NS, &e), -ENOENT);
	assert_non_null(strstr(e.text, "'nonesuch'"));
	assert_non_null(strstr(e.advice, "cubic"));

	p.server_job.congestion[0] = 0;
	strcpy(p.server_job.address, "localhost");
	assert_int_equal(engine_prepare(&engine, &p.server_job, time_now_ns() + DEADLINE_NS, &e), -EINVAL);

	strcpy(p.server_job.address, "127.0.0.1");
	p.server_job.server = false;
	p.server_job.ports[0] = p.client_job.ports[0]; /* closed again */
	assert_int_equal(
		engine_prepare(&engine, &p.server_job, time_now_ns() + DEADLINE_NS, &e), -ECONNREFUSED);
	pair_free(&p);
}

static void test_server_without_client_ends_at_its_deadline(void **state)
{
	struct err e = ERR_INIT;
	static const char *const workloads[] = {"tcp_rr", "udp_rr"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(workloads); i++) {
		struct pair p;

		pair_init(&p, workloads[i]);
		must(engine_prepare(&p.server, &p.server_job, time_now_ns() + 100 * NS_PER_MS, &e), &e);
		assert_true(wait_done(p.server, 25000));
		engine_collect(p.server, p.server_record);
		assert_int_equal(p.server_record->dead_flows, 1);
		assert_non_null(strstr(p.server_record->mistake, "token"));
		pair_free(&p);
	}
}

static void test_stop_ends_everything_at_once(void **state)
{
	static const struct {
		const char *workload;
		uint64_t rate;
		bool gone;
	} rows[] = {{"tcp_rr", 0, true}, {"udp_rr", 0, true}, {"tcp_rr", 2, true}, {"udp_rr", 1000, true},
		{"tcp_stream", 0, true}, {"tcp_maerts", 0, true}, {"tcp_rr", 0, false},
		{"udp_rr", 100, false}};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct pair p;

		pair_init(&p, rows[i].workload);
		p.server_job.transactions = 0;
		p.server_job.duration_ns = 100 * NS_PER_S;
		p.server_job.rate = rows[i].rate;
		start_server(&p);
		start_client(&p);
		if (rows[i].gone)
			go(&p);
		nap(50 * NS_PER_MS);
		uint64_t before = time_now_ns();
		engine_stop(p.client);
		engine_stop(p.server);
		uint64_t took_ms = (time_now_ns() - before) / NS_PER_MS;
		if (took_ms > 5000)
			fail_msg("row %zu: stopping took %d ms", i, (int)took_ms);
		assert_true(wait_done(p.client, 0) && wait_done(p.server, 0));
		engine_collect(p.client, p.client_record);
		engine_collect(p.server, p.server_record);
		assert_clean(p.client_record); /* its end may be what the server saw before its own stop */
		pair_free(&p);
	}
}

static void test_settings_are_read_back(void **state)
{
	char comm[16];
	struct pair p;

	(void)state;
	pair_init(&p, "tcp_rr");
	strcpy(p.server_job.congestion, "reno");
	p.server_job.transactions = 100;
	p.server_job.rate = 1000;
	run(&p);
	assert_string_equal(p.client_record->congestion, "reno");
	assert_string_equal(p.server_record->congestion, "reno");
	assert_int_equal(p.client_record->timer_slack_ns, 1);
	assert_int_equal(p.server_record->timer_slack_ns, 1);
	assert_true(p.client_record->cpu_ns > 0 && p.client_record->switches_voluntary > 0);
	prctl(PR_GET_NAME, comm);
	assert_string_not_equal(comm, "taut-flow");
	pair_free(&p);
}

/* --- the recorder ------------------------------------------------------------------------------ */

static int up(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static void test_recorder_keeps_the_worst(void **state)
{
	struct recorder *r = recorder_new(true);
	struct endpoint_record *record = mem_alloc(sizeof(*record));
	uint64_t seed = 7, values[5000];

	(void)state;
	hist_clear(&record->service);
	hist_clear(&record->response);
	hist_clear(&record->lateness);
	recorder_start(r, 1000);
	for (size_t i = 0; i < ARRAY_LEN(values); i++) {
		values[i] = 10000 + rng_below(&seed, 1000000);
		uint64_t due = 1000 + i * 50000;
		recorder_add(r, due, due + 7, due + values[i]);
	}
	recorder_merge(r, record);
	qsort(values, ARRAY_LEN(values), sizeof(*values), up);
	assert_int_equal(record->worst_n, WORST_MAX);
	for (size_t i = 0; i < WORST_MAX; i++) {
		assert_int_equal(record->worst[i].response_ns, values[ARRAY_LEN(values) - 1 - i]);
		assert_int_equal(record->worst[i].service_ns, record->worst[i].response_ns - 7);
		assert_int_equal(record->worst[i].at_ns % 50000, 0);
	}
	assert_int_equal(record->lateness.max, 7);
	free(record);
	free(r);
}

/* However long a trial is, no window is missing or counted twice, and each has the transactions of its time.
 */
static void test_windows_merge_in_pairs(void **state)
{
	static const uint64_t lengths_ms[] = {
		1, 5, 1023, 1024, 1025, 1026, 1500, 2047, 2048, 2049, 3000, 5000, 8191, 8192, 100001};

	(void)state;
	for (size_t k = 0; k < ARRAY_LEN(lengths_ms); k++) {
		struct recorder *r = recorder_new(false);
		struct endpoint_record *record = mem_alloc(sizeof(*record));
		struct series series;

		recorder_start(r, 0);
		for (uint64_t i = 0; i < lengths_ms[k]; i++)
			for (uint64_t j = 0; j < 3; j++) {
				uint64_t at = i * NS_PER_MS + j * 1000;
				recorder_add(r, at, at, at + 5000 + i);
			}
		series_init(&series);
		series_add(&series, r);
		series_out(&series, record);
		uint64_t length_ms = record->window_length_ns / NS_PER_MS;
		assert_true(record->windows_n <= WINDOWS_MAX);
		assert_int_equal(record->windows_n, (lengths_ms[k] + length_ms - 1) / length_ms);
		assert_true(lengths_ms[k] < 1024 || record->windows_n >= WINDOWS_MAX / 2);
		for (uint64_t w = 0; w < record->windows_n; w++) {
			uint64_t last = MIN((w + 1) * length_ms, lengths_ms[k]) - 1;

			assert_int_equal(record->windows[w].count, (last - w * length_ms + 1) * 3);
			assert_int_equal(record->windows[w].max_ns, 5000 + last);
			double median = 5000 + ((double)(w * length_ms) + (double)last) / 2;
			if (fabs((double)record->windows[w].median_ns - median) > 0.06 * median)
				fail_msg("length %d, window %d: median %d not %.0f", (int)lengths_ms[k],
					(int)w, (int)record->windows[w].median_ns, median);
		}
		series_free(&series);
		free(record);
		free(r);
	}
}

static void test_windows_of_flows_are_aligned(void **state)
{
	struct recorder *longer = recorder_new(false), *shorter = recorder_new(false);
	struct endpoint_record *record = mem_alloc(sizeof(*record));
	struct series series;

	(void)state;
	recorder_start(longer, 0);
	recorder_start(shorter, 0);
	for (uint64_t i = 0; i < 3000; i++)
		recorder_add(longer, i * NS_PER_MS, i * NS_PER_MS, i * NS_PER_MS + 10000);
	for (uint64_t i = 0; i < 500; i++)
		recorder_add(shorter, i * NS_PER_MS, i * NS_PER_MS, i * NS_PER_MS + 20000);
	series_init(&series);
	series_add(&series, shorter);
	series_add(&series, longer);
	series_out(&series, record);
	assert_int_equal(record->window_length_ns, 4 * NS_PER_MS);
	assert_int_equal(record->windows_n, 750);
	for (uint64_t w = 0; w < 750; w++) {
		assert_int_equal(record->windows[w].count, w < 125 ? 8 : 4);
		assert_int_equal(record->windows[w].max_ns, w < 125 ? 20000 : 10000);
	}
	series_free(&series);
	free(record);
	free(longer);
	free(shorter);
}

static void test_window_medians_are_within_6_percent(void **state)
{
	struct tally *t = mem_alloc(sizeof(*t));
	uint64_t seed = 3, values[999];

	(void)state;
	for (unsigned round = 0; round < 200; round++) {
		uint64_t scale = 2000ull << (round % 20);

		memset(t, 0, sizeof(*t));
		for (size_t i = 0; i < ARRAY_LEN(values); i++) {
			uint64_t v = values[i] =
				scale + rng_below(&seed, (uint32_t)MIN(scale / (1 + round / 20), 1u << 31));

			t->count++;
			t->max_ns = MAX(t->max_ns, v);
			t->bins[tally_bin(v)]++;
		}
		qsort(values, ARRAY_LEN(values), sizeof(*values), up);
		double median = (double)values[ARRAY_LEN(values) / 2], got = (double)tally_median(t);
		if (fabs(got - median) > 0.06 * median)
			fail_msg("round %u: %.0f instead of %.0f", round, got, median);
	}
	free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_recorder_keeps_the_worst),
		cmocka_unit_test(test_windows_merge_in_pairs),
		cmocka_unit_test(test_windows_of_flows_are_aligned),
		cmocka_unit_test(test_window_medians_are_within_6_percent),
		cmocka_unit_test(test_sequence_is_restored_in_its_window),
		cmocka_unit_test(test_rr_measures_as_many_as_asked),
		cmocka_unit_test(test_rr_ends_by_time),
		cmocka_unit_test(test_open_loop_shows_a_stall),
		cmocka_unit_test(test_closed_loop_waits_for_the_last_reply),
		cmocka_unit_test(test_tcp_flow_dies_at_its_deadline),
		cmocka_unit_test(test_lost_datagrams_are_counted),
		cmocka_unit_test(test_streams_are_measured_by_their_receiver),
		cmocka_unit_test(test_tcp_strangers_get_nothing),
		cmocka_unit_test(test_udp_strangers_get_nothing),
		cmocka_unit_test(test_udp_hello_is_answered_again),
		cmocka_unit_test(test_errors_name_what_is_wrong),
		cmocka_unit_test(test_server_without_client_ends_at_its_deadline),
		cmocka_unit_test(test_stop_ends_everything_at_once),
		cmocka_unit_test(test_settings_are_read_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
