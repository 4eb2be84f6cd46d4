/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The settings `driver` and `tool`: what they can be, and what each driver and tool can be asked for. */
#include "spec/plan.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

/* Settings as key, value, …, NULL. */
#define KEYS_MAX 10

static int check_of(const char *const *keys, struct err *e)
{
	struct settings s;

	settings_init(&s);
	for (size_t k = 0; k < KEYS_MAX && keys[k]; k += 2)
		assert_int_equal(setting_set(&s, keys[k], keys[k + 1], e), 0);
	return settings_check(&s, e);
}

static void each_end_has_the_driver_that_the_setting_gives_it(void **state)
{
	static const struct {
		const char *word;
		enum driver client, server;
	} rows[] = {
		{"socket", DRIVER_SOCKET, DRIVER_SOCKET},
		{"spin", DRIVER_SPIN, DRIVER_SPIN},
		{"socket:xdp", DRIVER_SOCKET, DRIVER_XDP},
		{"spin:socket", DRIVER_SPIN, DRIVER_SOCKET},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct endpoint_job client, server;
		struct settings s;
		struct err e = ERR_INIT;

		settings_init(&s);
		s.workload = "udp_rr";
		assert_int_equal(setting_set(&s, "driver", rows[i].word, &e), 0);
		if (settings_check(&s, &e) || job_make(&client, &s, false, &e) ||
			job_make(&server, &s, true, &e))
			fail_msg("%s: %s", rows[i].word, e.text);
		assert_int_equal(client.driver, rows[i].client);
		assert_int_equal(server.driver, rows[i].server);
	}
}

static void what_a_driver_cannot_do_is_refused_beforehand(void **state)
{
	static const struct {
		const char *keys[KEYS_MAX];
		const char *said, *help;
	} rows[] = {
		{{"driver", "spni"}, "cannot use driver 'spni'", "spin"},
		{{"driver", "socket:"}, "cannot use driver ''", "socket, spin, xdp or dpdk"},
		{{"driver", "spin:spin:spin"}, "cannot use driver 'spin:spin'", NULL},
		{{"driver", "xdp", "workload", "tcp_rr"}, "with workload tcp_rr", "spin"},
		{{"driver", "socket:xdp", "workload", "tcp_stream"}, "with workload tcp_stream", NULL},
		{{"driver", "xdp", "workload", "udp_rr", "ipv6", "yes"}, "over IPv6", NULL},
		{{"driver", "xdp", "workload", "udp_rr", "flows", "2"}, "with 2 flows", NULL},
		{{"driver", "spin:socket", "flows", "2"}, "with 2 flows", NULL},
		{{"driver", "xdp", "workload", "udp_rr", "reply", "1473"}, "at most 1472", NULL},
		{{"driver", "xdp", "workload", "udp_rr", "mtu", "9000", "request", "2973"}, "at most 2972",
			NULL},
		{{"driver", "spin", "beside", "tcp_stream"}, "with tcp_stream beside", "driver socket"},
		{{"driver", "spin", "site", "lab", "clock", "exact"}, "on the exact clock", NULL},
		{{"driver", "dpdk", "workload", "tcp_rr"}, "with workload tcp_rr", "spin"},
		{{"driver", "dpdk", "workload", "udp_rr", "ipv6", "yes"}, "over IPv6", NULL},
		{{"attachment", "vhost-user", "driver", "dpdk:spin", "workload", "udp_rr"},
			"with driver spin", "dpdk"},
		{{"attachment", "memif", "driver", "dpdk:spin", "workload", "udp_rr"}, "with driver spin",
			"dpdk"},
		{{"attachment", "memif", "driver", "dpdk", "workload", "udp_rr", "target", "vm"},
			"cannot use attachment 'memif' with target vm", NULL},
		{{"driver", "spin", "client_cpu", "1", "server_cpu", "1"}, "with both ends on CPU 1", NULL},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct err e = ERR_INIT;

		if (check_of(rows[i].keys, &e) >= 0 || e.exit != EXIT_USAGE)
			fail_msg("row %zu is taken (exit %d)", i, e.exit);
		char text[1024];
		err_string(&e, text, sizeof(text));
		if (!strstr(text, rows[i].said) || (rows[i].help && !strstr(text, rows[i].help)))
			fail_msg("row %zu: '%s'", i, text);
	}
}

/* An agent is told by somebody whom it does not know. */
static void an_end_refuses_what_its_driver_cannot_do(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(driver_check(DRIVER_XDP, workload_find("udp_rr"), 1, &e), 0);
	assert_int_equal(driver_check(DRIVER_SOCKET, workload_find("tcp_rr"), FLOWS_MAX, &e), 0);
	assert_true(driver_check(DRIVER_XDP, workload_find("tcp_rr"), 1, &e) < 0);
	assert_true(driver_check(DRIVER_SPIN, workload_find("udp_rr"), 2, &e) < 0);
}

static void a_tool_is_taken_for_what_it_can_do(void **state)
{
	static const struct {
		const char *keys[KEYS_MAX];
		const char *said; /* NULL: it is taken */
	} rows[] = {
		{{"tool", "sockperf", "workload", "udp_rr", "request", "14", "reply", "14"}, NULL},
		{{"tool", "sockperf", "workload", "tcp_rr", "request", "14", "reply", "14", "rate", "1000"},
			NULL},
		{{"tool", "iperf3", "workload", "udp_stream", "rate", "1000"}, NULL},
		{{"tool", "iperf3", "workload", "tcp_stream", "size", "64K"}, NULL},
		{{"tool", "ping", "workload", "ping"}, NULL},
		{{"tool", "netperf", "workload", "tcp_crr"}, NULL},
		{{"tool", "sockperf", "workload", "udp_rr"}, "requests of 1 bytes"},
		{{"tool", "sockperf", "workload", "tcp_stream"}, "it can do tcp_rr|udp_rr"},
		{{"tool", "ping", "workload", "ping", "size", "8"}, "messages of 8 bytes"},
		{{"tool", "netperf", "workload", "tcp_rr", "driver", "spin"}, "driver spin"},
		{{"tool", "netperf", "workload", "tcp_rr", "beside", "tcp_stream"}, "beside tcp_stream"},
		{{"tool", "netperf", "workload", "tcp_rr", "flows", "2"}, "flows 2"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct err e = ERR_INIT;
		int rc = check_of(rows[i].keys, &e);

		if (!rows[i].said && rc < 0)
			fail_msg("row %zu is refused: %s", i, e.text);
		if (rows[i].said && (rc >= 0 || e.exit != EXIT_USAGE || !strstr(e.text, rows[i].said)))
			fail_msg("row %zu: %d, '%s', wanted '%s'", i, rc, e.text, rows[i].said);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_end_has_the_driver_that_the_setting_gives_it),
		cmocka_unit_test(what_a_driver_cannot_do_is_refused_beforehand),
		cmocka_unit_test(an_end_refuses_what_its_driver_cannot_do),
		cmocka_unit_test(a_tool_is_taken_for_what_it_can_do),
	};

	return cmocka_run_group_tests_name("driver-words", tests, NULL, NULL);
}
