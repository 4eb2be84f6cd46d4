/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A connection for each transaction, echoes that the kernel answers, and a stream beside requests: both ends
 * in one process, over 127.0.0.1 and ::1.
 */
#include "test_engine_pair.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <sys/ioctl.h>

static void assert_possible(const struct pair *p)
{
	struct err e = ERR_INIT;

	assert_string_equal(p->client_record->mistake, "");
	assert_string_equal(p->server_record->mistake, "");
	must(endpoint_record_check(p->client_record, &p->client_job, 60 * NS_PER_S, &e), &e);
	must(endpoint_record_check(p->server_record, &p->server_job, 60 * NS_PER_S, &e), &e);
}

/* --- a connection for each transaction --------------------------------------------------------- */

static void test_connections_are_timed_in_two_parts(void **state)
{
	static const struct {
		uint64_t transactions, flows, request, reply, rate;
		const char *address;
	} rows[] = {
		{300, 1, 1, 1, 0, "127.0.0.1"},
		{301, 3, 100, 3000, 0, "127.0.0.1"},
		{100, 1, 1, 1, 0, "::1"},
		{20, 1, 1 << 20, 1 << 20, 0, "127.0.0.1"},
		{200, 2, 1, 1, 1000, "127.0.0.1"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct pair p;

		pair_init(&p, "tcp_crr");
		struct endpoint_job *s = &p.server_job;
		s->transactions = rows[i].transactions;
		s->flows = rows[i].flows;
		s->request_bytes = rows[i].request;
		s->reply_bytes = rows[i].reply;
		s->rate = rows[i].rate;
		strcpy(s->address, rows[i].address);
		run(&p);
		const struct endpoint_record *r = p.client_record;
		assert_clean(r);
		assert_possible(&p);
		if (!rows[i].rate)
			assert_int_equal(r->transactions, rows[i].transactions);
		assert_true(r->has_parts && r->has_service && r->has_lateness == (rows[i].rate > 0));
		assert_int_equal(r->connect.count, r->transactions);
		assert_int_equal(r->first_reply.count, r->transactions);
		assert_int_equal(r->connect.sum + r->first_reply.sum, r->service.sum);
		assert_true(r->connect.min > 0 && r->first_reply.min > 0);
		assert_int_equal(p.server_record->sent, r->sent);
		assert_false(p.server_record->has_parts);
		pair_free(&p);
	}
}

#define SLOW_NS (3 * NS_PER_MS)

static ssize_t slow_send(struct flow *f, const void *data, size_t size)
{
	nanosleep(&(struct timespec){.tv_nsec = SLOW_NS}, NULL);
	return driver_socket.send(f, data, size);
}

static ssize_t plain_receive(struct flow *f, void *data, size_t size)
{
	return driver_socket.receive(f, data, size);
}

static void test_a_server_that_is_slow_to_reply_is_not_slow_to_connect(void **state)
{
	static const struct engine_driver slow = {.send = slow_send, .receive = plain_receive};
	uint64_t before, after;
	struct err e = ERR_INIT;
	struct pair p;

	(void)state;
	pair_init(&p, "tcp_crr");
	p.server_job.transactions = 50;
	must(kernel_count("Tcp", "RetransSegs", false, &before, &e), &e);
	start_server(&p);
	start_client(&p);
	p.server->flows[0].driver = &slow;
	go(&p);
	finish(&p);
	assert_clean(p.client_record);
	must(kernel_count("Tcp", "RetransSegs", false, &after, &e), &e);
	if (p.client_record->first_reply.min < SLOW_NS)
		fail_msg("a first reply after %d ns", (int)p.client_record->first_reply.min);
	/* All of them that went before are somebody else's. */
	assert_in_range(p.client_record->retransmits, 0, after - before);
	pair_free(&p);
}

static void test_connections_without_the_token_get_nothing(void **state)
{
	char wrong[HELLO_BYTES] = "taut\1\1\0\0ffffffffffffffffffffffffffffffff", byte;
	int fds[8];
	struct pair p;

	(void)state;
	pair_init(&p, "tcp_crr");
	p.server_job.transactions = 200;
	start_server(&p);
	start_client(&p);
	engine_go(p.server);
	for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
		fds[i] = connect_to(engine_ports(p.server)[0]);
		assert_true(fds[i] >= 0);
		/* Silent ones, those that stop within the token, and those with another. */
		if (i % 3)
			assert_true(send(fds[i], wrong, i % 3 == 1 ? 10 : sizeof(wrong), 0) > 0);
		if (i % 3)
			assert_true(recv(fds[i], &byte, 1, 0) <= 0);
	}
	engine_go(p.client);
	finish(&p);
	assert_clean(p.client_record);
	assert_int_equal(p.client_record->transactions, 200);
	assert_int_equal(p.server_record->sent, p.client_record->sent);
	for (size_t i = 0; i < ARRAY_LEN(fds); i++)
		close(fds[i]);
	pair_free(&p);
}

/* Connections of the port that neither end has closed or that the kernel still keeps, of any state. */
static size_t left_of(uint16_t port)
{
	char line[512], wanted[16];
	size_t n = 0;
	FILE *file = fopen("/proc/net/tcp", "re");

	assert_non_null(file);
	snprintf(wanted, sizeof(wanted), ":%04X ", port);
	while (fgets(line, sizeof(line), file))
		n += strstr(line, wanted) != NULL;
	fclose(file);
	return n;
}

static void test_connections_leave_nothing_behind(void **state)
{
	struct pair p;

	(void)state;
	pair_init(&p, "tcp_crr");
	p.server_job.transactions = 1000;
	start_server(&p);
	start_client(&p);
	uint16_t port = engine_ports(p.server)[0];
	go(&p);
	finish(&p);
	assert_clean(p.client_record);
	/* The goodbye is the one connection that may still be on its way. */
	if (left_of(port) > 2)
		fail_msg("%zu connections of port %u are left", left_of(port), port);
	pair_free(&p);
}

static void test_connections_that_come_to_nothing_are_lost(void **state)
{
	struct pair p;

	(void)state;
	pair_init(&p, "tcp_crr");
	p.server_job.transactions = 100000000;
	p.server_job.timeout_ns = 50 * NS_PER_MS;
	start_server(&p);
	start_client(&p);
	go(&p);
	assert_false(wait_done(p.client, 100));
	engine_stop(p.server); /* its port stays open, and nobody accepts */
	assert_true(wait_done(p.client, 20000));
	engine_collect(p.client, p.client_record);
	assert_int_equal(p.client_record->dead_flows, 1);
	if (p.client_record->lost != 3 && !strstr(p.client_record->mistake, "refused"))
		fail_msg("lost %d, %s", (int)p.client_record->lost, p.client_record->mistake);
	pair_free(&p);
}

/* --- echoes ------------------------------------------------------------------------------------ */

/* A network namespace of our own, in which the groups of a range may open ICMP sockets. */
static bool own_network(const char *range)
{
	struct ifreq lo = {.ifr_name = "lo", .ifr_flags = IFF_UP};
	bool done;

	if (unshare(CLONE_NEWNET))
		return false;
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	done = ioctl(fd, SIOCSIFFLAGS, &lo) == 0;
	close(fd);
	fd = open("/proc/sys/net/ipv4/ping_group_range", O_WRONLY | O_CLOEXEC);
	done = done && fd >= 0 && write(fd, range, strlen(range)) == (ssize_t)strlen(range);
	if (fd >= 0)
		close(fd);
	return done;
}

static void ping_once(const char *address, uint64_t size, uint64_t rate, uint64_t flows, bool raw)
{
	struct pair p;

	pair_init(&p, "ping");
	p.server_job.transactions = 200;
	p.server_job.size_bytes = size;
	p.server_job.rate = rate;
	p.server_job.flows = flows;
	strcpy(p.server_job.address, address);
	start_server(&p);
	start_client(&p);
	assert_int_equal(p.client->flows[0].echo.raw, raw);
	go(&p);
	finish(&p);
	if (p.client_record->lost)
		fail_msg("%s: %d bytes, %d /s, %d flows%s: lost %d of %d", address, (int)size, (int)rate,
			(int)flows, raw ? ", raw" : "", (int)p.client_record->lost,
			(int)p.client_record->sent);
	assert_clean(p.client_record);
	assert_possible(&p);
	if (!rate)
		assert_int_equal(p.client_record->transactions, 200);
	assert_true(p.client_record->has_service && !p.client_record->has_parts);
	/* Nobody else is in this namespace. */
	assert_int_equal(p.server_record->sent, p.client_record->sent);
	pair_free(&p);
}

static void test_the_kernel_answers_echoes(void **state)
{
	static const struct {
		const char *address;
		uint64_t size, rate, flows;
	} rows[] = {{"127.0.0.1", 56, 0, 1}, {"::1", 56, 0, 1}, {"127.0.0.1", 1, 0, 3}, {"::1", 7, 0, 2},
		{"127.0.0.1", 8, 2000, 1}, {"::1", 8, 2000, 3}, {"127.0.0.1", 4000, 0, 2},
		{"::1", 60001, 0, 1}};

	(void)state;
	for (int raw = 0; raw < 2; raw++) {
		if (!own_network(raw ? "1 0" : "0 2147483647")) {
			print_message("not tried: no network namespace of our own\n");
			skip();
		}
		for (size_t i = 0; i < ARRAY_LEN(rows); i++)
			ping_once(rows[i].address, rows[i].size, rows[i].rate, rows[i].flows, raw);
	}
}

/* Puts an answer to the first echo of a raw flow there that does not bring the token back. */
static void forge_reply(const struct flow *f)
{
	const struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	/* Type, code, checksum, identifier, number; then the number once more. */
	uint16_t echo[4 + 56 / 2] = {[2] = htons(f->echo.id)};
	int fd = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMP);

	echo[1] = (uint16_t)~echo[2];
	assert_int_equal(
		sendto(fd, echo, sizeof(echo), 0, (const struct sockaddr *)&to, sizeof(to)), sizeof(echo));
	close(fd);
}

static void test_a_reply_without_the_token_is_nobodys(void **state)
{
	struct pair p;

	(void)state;
	if (!own_network("1 0")) {
		print_message("not tried: no network namespace of our own\n");
		skip();
	}
	pair_init(&p, "ping");
	p.server_job.transactions = 50;
	p.server_job.size_bytes = 56;
	start_server(&p);
	start_client(&p);
	assert_true(p.client->flows[0].echo.raw);
	forge_reply(&p.client->flows[0]);
	go(&p);
	finish(&p);
	assert_clean(p.client_record); /* else the true reply comes twice */
	assert_int_equal(p.client_record->transactions, 50);
	pair_free(&p);
}

/* --- a stream beside --------------------------------------------------------------------------- */

static void test_a_stream_beside_has_figures_of_its_own(void **state)
{
	static const struct {
		const char *workload, *beside;
		bool at_server; /* it is received there */
	} rows[] = {{"tcp_rr", "tcp_stream", true}, {"tcp_rr", "tcp_maerts", false},
		{"udp_rr", "udp_stream", true}, {"tcp_crr", "tcp_stream", true}};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct pair p;

		pair_init(&p, rows[i].workload);
		p.server_job.transactions = 0;
		p.server_job.duration_ns = 400 * NS_PER_MS;
		p.server_job.flows = 2;
		p.server_job.beside = workload_find(rows[i].beside);
		p.server_job.beside_bytes = 1400;
		run(&p);
		const struct endpoint_record *receiver =
						     rows[i].at_server ? p.server_record : p.client_record,
					     *sender = rows[i].at_server ? p.client_record : p.server_record;
		assert_possible(&p);
		assert_true(p.client_record->transactions > 0 && p.client_record->has_service);
		assert_int_equal(p.client_record->bytes, 0);
		assert_int_equal(p.client_record->service.count, p.client_record->transactions);
		assert_true(receiver->beside_bytes > 0 && receiver->beside_ns > 0);
		assert_true(sender->beside_sent > 0 && !sender->beside_ns && !receiver->beside_sent);
		assert_true(receiver->beside_bytes <= (sender->beside_sent + 1) * 1400);
		if (p.server_job.beside->datagrams)
			assert_int_equal(
				receiver->beside_received + receiver->beside_lost, sender->beside_sent);
		for (size_t w = 0; w < receiver->windows_n; w++)
			assert_int_equal(receiver->windows[w].bytes, 0);
		pair_free(&p);
	}
}

static void test_a_stream_beside_lasts_as_long_as_the_requests(void **state)
{
	struct pair p;

	(void)state;
	pair_init(&p, "tcp_rr");
	p.server_job.rate = 500;
	p.server_job.transactions = 400; /* 0.8 s, and the duration is 0.3 s */
	p.server_job.beside = workload_find("tcp_stream");
	p.server_job.beside_bytes = 1000;
	run(&p);
	assert_possible(&p);
	assert_true(p.server_record->beside_ns > 700 * NS_PER_MS);
	pair_free(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_connections_are_timed_in_two_parts),
		cmocka_unit_test(test_a_server_that_is_slow_to_reply_is_not_slow_to_connect),
		cmocka_unit_test(test_connections_without_the_token_get_nothing),
		cmocka_unit_test(test_connections_leave_nothing_behind),
		cmocka_unit_test(test_connections_that_come_to_nothing_are_lost),
		cmocka_unit_test(test_a_stream_beside_has_figures_of_its_own),
		cmocka_unit_test(test_a_stream_beside_lasts_as_long_as_the_requests),
		/* The last: they change the namespace. */
		cmocka_unit_test(test_the_kernel_answers_echoes),
		cmocka_unit_test(test_a_reply_without_the_token_is_nobodys),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
