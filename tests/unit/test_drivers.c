/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The engine with drivers that poll: spin over 127.0.0.1, xdp over a veth pair between two namespaces, which
 * wants root and AF_XDP and is skipped without.  Counts and relations are checked.
 */
#include "net/xdp.h"

#include "test_engine_pair.h"
#include "test_noise.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>

/* --- spin -------------------------------------------------------------------------------------- */

static void every_workload_can_spin_at_either_end(void **state)
{
	static const char *const drivers[] = {"spin", "socket:spin", "spin:socket"};

	(void)state;
	for (size_t w = 0; w < workload_rows_n; w++)
		for (size_t i = 0; i < ARRAY_LEN(drivers); i++) {
			struct pair p;

			pair_init_driven(&p, workload_rows[w].name, drivers[i]);
			p.server_job.size_bytes = 1024;
			run(&p);
			/* A stream of datagrams that nobody paces may overrun its receiver. */
			if (workload_rows[w].stream && workload_rows[w].datagrams)
				p.client_record->lost = p.server_record->lost = 0;
			assert_clean(p.client_record);
			assert_clean(p.server_record);
			if (workload_rows[w].stream)
				assert_true(p.client_record->bytes + p.server_record->bytes > 0);
			else
				assert_int_equal(p.client_record->transactions, 2000);
			pair_free(&p);
		}
}

static void an_open_loop_keeps_its_schedule_while_it_spins(void **state)
{
	struct noise noise = noise_begin();
	struct pair p;

	(void)state;
	pair_init_driven(&p, "udp_rr", "spin");
	p.server_job.rate = 2000;
	p.server_job.transactions = 0;
	run(&p);
	assert_clean(p.client_record);
	uint64_t n = p.client_record->transactions;
	pair_free(&p);
	noise_judge(&noise, n == 600, "%d transactions of the 600 of 300 ms", (int)n);
}

/* recv() that does not wait does not see that its socket is shut down. */
static void an_end_that_spins_stops_with_the_engine(void **state)
{
	struct pair p;

	(void)state;
	pair_init_driven(&p, "udp_rr", "spin");
	p.server_job.transactions = 0;
	p.server_job.duration_ns = 3600 * NS_PER_S;
	start_server(&p);
	start_client(&p);
	go(&p);
	assert_false(wait_done(p.client, 50));
	engine_stop(p.server); /* the client is in the middle of a transaction, and has no server */
	engine_stop(p.client);
	engine_collect(p.client, p.client_record);
	assert_true(p.client_record->sent > 0);
	pair_free(&p);
}

static void a_server_that_is_gone_is_noticed_by_its_silence(void **state)
{
	static const char *const drivers[] = {"spin", "socket"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(drivers); i++) {
		struct pair p;

		pair_init_driven(&p, "udp_rr", drivers[i]);
		p.server_job.timeout_ns = 50 * NS_PER_MS;
		start_server(&p);
		start_client(&p);
		engine_stop(p.server);
		engine_go(p.client);
		if (!wait_done(p.client, 20000))
			fail_msg("%s waits for ever", drivers[i]);
		engine_collect(p.client, p.client_record);
		assert_int_equal(p.client_record->dead_flows, 1);
		pair_free(&p);
	}
}

/* --- xdp --------------------------------------------------------------------------------------- */

/* A wire between two namespaces: 10.0.0.1 is the server, 10.0.0.2 the client. */
struct wire_pair {
	int server, client;
};

static void skipped(const char *why)
{
	print_message("# skipped: %s\n", why);
	skip();
}

static void wire_make(struct wire_pair *w)
{
	struct err e = ERR_INIT;

	if (xdp_possible(&e) < 0)
		skipped(e.text);
	w->server = net_namespace_create(&e);
	if (w->server < 0)
		skipped(e.text);
	w->client = net_namespace_create(&e);
	must(w->client, &e);
	must(net_veth_create(w->server, "server", w->client, "client", 0, &e), &e);
	must(net_address_add(w->server, "server", "10.0.0.1", 24, &e), &e);
	must(net_address_add(w->client, "client", "10.0.0.2", 24, &e), &e);
}

static void wire_free(struct wire_pair *w)
{
	close(w->server);
	close(w->client);
}

static void pair_on(struct pair *p, const struct wire_pair *w, const char *drivers)
{
	pair_init_driven(p, "udp_rr", drivers);
	strcpy(p->server_job.address, "10.0.0.1");
	p->server_ns = w->server;
	p->client_ns = w->client;
}

static void xdp_exchanges_with_itself_and_with_sockets(void **state)
{
	static const char *const drivers[] = {"xdp", "socket:xdp", "xdp:socket", "spin:xdp"};
	struct wire_pair w;

	(void)state;
	wire_make(&w);
	for (size_t i = 0; i < ARRAY_LEN(drivers); i++) {
		struct pair p;

		pair_on(&p, &w, drivers[i]);
		run(&p);
		assert_clean(p.client_record);
		assert_clean(p.server_record);
		assert_int_equal(p.client_record->transactions, 2000);
		assert_string_equal(
			p.server_record->driver_mode, p.server_job.driver == DRIVER_XDP ? "generic" : "");
		pair_free(&p);
	}
	wire_free(&w);
}

static void datagrams_of_every_size_fit(void **state)
{
	static const uint64_t sizes[][2] = {{1, 1472}, {1472, 1}, {40, 40}, {18, 17}};
	struct wire_pair w;

	(void)state;
	wire_make(&w);
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		struct pair p;

		pair_on(&p, &w, "xdp");
		p.server_job.request_bytes = sizes[i][0];
		p.server_job.reply_bytes = sizes[i][1];
		run(&p);
		assert_clean(p.client_record);
		assert_int_equal(p.client_record->transactions, 2000);
		pair_free(&p);
	}
	wire_free(&w);
}

/* Two threads send: the pacer and, marks and the farewell, the receiver. */
static void xdp_keeps_an_open_loop(void **state)
{
	struct wire_pair w;
	struct pair p;

	(void)state;
	wire_make(&w);
	struct noise noise = noise_begin();
	pair_on(&p, &w, "xdp");
	p.server_job.rate = 1500; /* fewer than the ring has places */
	p.server_job.transactions = 0;
	run(&p);
	assert_clean(p.client_record);
	uint64_t n = p.client_record->transactions;
	pair_free(&p);
	wire_free(&w);
	noise_judge(&noise, n == 450, "%d transactions of the 450 of 300 ms", (int)n);
}

static int udp_at(int ns, const char *address, uint16_t *port)
{
	struct sockaddr_in a = {
		.sin_family = AF_INET, .sin_addr.s_addr = inet_addr(address), .sin_port = htons(*port)};
	socklen_t len = sizeof(a);
	struct err e = ERR_INIT;
	int saved = netns_enter(ns, &e);

	must(saved, &e);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	netns_leave(&saved);
	assert_true(fd >= 0 && bind(fd, (struct sockaddr *)&a, sizeof(a)) == 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
	*port = ntohs(a.sin_port);
	return fd;
}

static void send_to(int fd, const char *address, uint16_t port)
{
	struct sockaddr_in a = {
		.sin_family = AF_INET, .sin_addr.s_addr = inet_addr(address), .sin_port = htons(port)};

	assert_int_equal(sendto(fd, "x", 1, 0, (struct sockaddr *)&a, sizeof(a)), 1);
}

/* Other connections of the link go on, and a stranger's datagrams to the flow's port are none of the flow's.
 */
static void what_is_not_of_the_flow_goes_to_the_kernel(void **state)
{
	struct wire_pair w;
	struct pair p;
	uint16_t port = 0, other = 0;
	char byte;

	(void)state;
	wire_make(&w);
	pair_on(&p, &w, "xdp");
	p.server_job.transactions = 0;
	p.server_job.duration_ns = 400 * NS_PER_MS;
	start_server(&p);
	start_client(&p);
	go(&p);
	int here = udp_at(w.server, "10.0.0.1", &port), there = udp_at(w.client, "10.0.0.2", &other);
	for (unsigned i = 0; i < 200; i++) {
		struct pollfd wait = {.fd = here, .events = POLLIN};

		send_to(there, "10.0.0.1", port);
		send_to(there, "10.0.0.1", engine_ports(p.server)[0]);
		if (poll(&wait, 1, 5000) != 1 || recv(here, &byte, 1, 0) != 1)
			fail_msg("datagram %u of another connection does not arrive", i);
	}
	if (!wait_done(p.client, 20000))
		fail_msg("the client does not finish");
	engine_collect(p.client, p.client_record);
	assert_clean(p.client_record);
	assert_true(p.client_record->transactions > 0);
	engine_stop(p.server);
	engine_collect(p.server, p.server_record);
	/* It answers its client alone. */
	assert_true(p.server_record->sent <= p.client_record->sent);
	close(here);
	close(there);
	pair_free(&p);
	wire_free(&w);
}

/* Two programs on one link: the second end is told so, and its client does not wait in vain. */
static void a_link_that_is_taken_is_said_at_once(void **state)
{
	struct err said = ERR_INIT;
	struct wire_pair w;
	struct pair first, second;

	(void)state;
	wire_make(&w);
	pair_on(&first, &w, "socket:xdp");
	pair_on(&second, &w, "socket:xdp");
	start_server(&first);
	start_client(&first);
	start_server(&second);
	uint64_t begin = time_now_ns();
	assert_int_equal(prepare(&second.client, &second.client_job, w.client, &said), -ECONNREFUSED);
	assert_true(time_now_ns() - begin < 30 * NS_PER_S);
	if (!wait_done(second.server, 10000))
		fail_msg("the server does not end");
	engine_collect(second.server, second.server_record);
	if (!strstr(second.server_record->mistake, "another process has its queue 0"))
		fail_msg("'%s'", second.server_record->mistake);
	pair_free(&second);
	pair_free(&first);
	wire_free(&w);
}

static void what_cannot_be_is_said_before_a_client_comes(void **state)
{
	struct err e = ERR_INIT;
	struct wire_pair w;
	struct pair p;

	(void)state;
	wire_make(&w);
	pair_on(&p, &w, "xdp");
	strcpy(p.server_job.address, "127.0.0.1");
	assert_true(prepare(&p.server, &p.server_job, w.server, &e) < 0);
	if (!strstr(e.text, "on lo, which holds 127.0.0.1: it is no Ethernet link"))
		fail_msg("'%s'", e.text);
	strcpy(p.server_job.address, "10.0.0.1");
	p.server_job.request_bytes = 1473;
	assert_true(prepare(&p.server, &p.server_job, w.server, &e) < 0);
	if (!strstr(e.text, "link server takes at most 1472 in one frame"))
		fail_msg("'%s'", e.text);
	pair_free(&p);
	wire_free(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_workload_can_spin_at_either_end),
		cmocka_unit_test(an_open_loop_keeps_its_schedule_while_it_spins),
		cmocka_unit_test(an_end_that_spins_stops_with_the_engine),
		cmocka_unit_test(a_server_that_is_gone_is_noticed_by_its_silence),
		cmocka_unit_test(xdp_exchanges_with_itself_and_with_sockets),
		cmocka_unit_test(datagrams_of_every_size_fit),
		cmocka_unit_test(xdp_keeps_an_open_loop),
		cmocka_unit_test(what_is_not_of_the_flow_goes_to_the_kernel),
		cmocka_unit_test(a_link_that_is_taken_is_said_at_once),
		cmocka_unit_test(what_cannot_be_is_said_before_a_client_comes),
	};

	return cmocka_run_group_tests_name("drivers", tests, NULL, NULL);
}
