/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Links, bridges and addresses in namespaces that the test makes and drops.  Without root it becomes root of
 * a user namespace first; where that is forbidden, everything is skipped, or fails when TAUT_MUST names
 * netns.
 */
#include "net/net.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>

#include <cmocka.h>

static char skip_reason[1024];

static void need_namespaces(void)
{
	const char *must = getenv("TAUT_MUST");

	if (!skip_reason[0])
		return;
	if (must && strstr(must, "netns"))
		fail_msg("%s", skip_reason);
	print_message("# skipped: %s\n", skip_reason);
	skip();
}

#define ok(call)                                                                                             \
	do {                                                                                                 \
		if ((call) < 0)                                                                              \
			fail_msg("%s: %s", #call, e.text);                                                   \
	} while (0)

#define CHECK(call, code, text_)                                                                             \
	do {                                                                                                 \
		e = ERR_INIT;                                                                                \
		assert_int_equal(call, code);                                                                \
		assert_string_equal(e.text, text_);                                                          \
	} while (0)

static int namespace_new(void)
{
	struct err e = ERR_INIT;
	int ns = net_namespace_create(&e);

	if (ns < 0)
		fail_msg("%s", e.text);
	return ns;
}

/* --- what is there ----------------------------------------------------------------------------- */

static void add_link(const char *name, unsigned flags, unsigned mtu, const char *kind, void *arg)
{
	buf_add(arg, "%s %s %u%s;", name, kind, mtu, flags & IFF_UP ? " up" : "");
}

static void add_address(const char *link, const char *address, void *arg)
{
	if (strcmp(link, "lo") != 0 && !str_starts(address, "fe80"))
		buf_add(arg, "%s %s;", link, address);
}

static void assert_links(int ns, const char *want)
{
	AUTO(buf_free) struct buf got = {0};
	struct err e = ERR_INIT;

	ok(net_links_each(ns, add_link, &got, &e));
	assert_string_equal(got.data, want);
}

/* Can a datagram go from one namespace to the other? */
static bool passes(int from, int to, const char *address, int family)
{
	struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = htons(9)};
	struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons(9)};
	struct sockaddr *where = family == AF_INET ? (struct sockaddr *)&four : (struct sockaddr *)&six;
	socklen_t len = family == AF_INET ? sizeof(four) : sizeof(six);
	char got = 0;

	assert_int_equal(inet_pton(family, address,
				 family == AF_INET ? (void *)&four.sin_addr : (void *)&six.sin6_addr),
		1);
	int saved = netns_enter(to, ERR_IGNORED);
	AUTO_CLOSE int server = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(server, where, len), 0);
	netns_leave(&saved);
	saved = netns_enter(from, ERR_IGNORED);
	AUTO_CLOSE int client = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	netns_leave(&saved);
	assert_int_equal(sendto(client, "x", 1, 0, where, len), 1);
	struct pollfd p = {.fd = server, .events = POLLIN};
	return poll(&p, 1, 2000) == 1 && recv(server, &got, 1, 0) == 1 && got == 'x';
}

/* --- the behaviours ---------------------------------------------------------------------------- */

static void a_new_namespace_has_lo_up_and_nothing_else(void **state)
{
	(void)state;
	need_namespaces();
	AUTO_CLOSE int ns = namespace_new();
	assert_links(ns, "lo  65536 up;");
}

static void a_new_namespace_filters_no_bridge(void **state)
{
	AUTO_CLOSE int root = root_open("/", ERR_IGNORED);
	uint64_t value = 0;

	(void)state;
	need_namespaces();
	AUTO_CLOSE int ns = namespace_new();
	int saved = netns_enter(ns, ERR_IGNORED);
	bool there = root_exists(root, "/proc/sys/net/bridge/bridge-nf-call-iptables");
	if (there)
		root_read_u64(root, "/proc/sys/net/bridge/bridge-nf-call-iptables", &value, ERR_IGNORED);
	netns_leave(&saved);
	assert_int_equal(value, 0);
}

static void a_veth_pair_joins_two_namespaces(void **state)
{
	AUTO(buf_free) struct buf addresses = {0};
	struct err e = ERR_INIT;

	(void)state;
	need_namespaces();
	AUTO_CLOSE int a = namespace_new();
	AUTO_CLOSE int b = namespace_new();
	ok(net_veth_create(a, "left", b, "right", 1400, &e));
	assert_links(a, "lo  65536 up;left veth 1400 up;");
	assert_links(b, "lo  65536 up;right veth 1400 up;");
	ok(net_address_add(a, "left", "10.1.0.1", 24, &e));
	ok(net_address_add(b, "right", "10.1.0.2", 24, &e));
	ok(net_address_add(a, "left", "fd01::1", 64, &e));
	ok(net_address_add(b, "right", "fd01::2", 64, &e));
	ok(net_addresses_each(b, add_address, &addresses, &e));
	assert_string_equal(addresses.data, "right 10.1.0.2/24;right fd01::2/64;");
	assert_true(passes(a, b, "10.1.0.2", AF_INET));
	assert_true(passes(a, b, "fd01::2", AF_INET6));
	ok(net_link_delete(b, "right", &e));
	assert_links(a, "lo  65536 up;");
	assert_links(b, "lo  65536 up;");
}

static void a_bridge_forwards_at_once(void **state)
{
	struct err e = ERR_INIT;
	unsigned mtu = 0;

	(void)state;
	need_namespaces();
	AUTO_CLOSE int a = namespace_new();
	AUTO_CLOSE int b = namespace_new();
	AUTO_CLOSE int middle = namespace_new();
	ok(net_bridge_create(middle, "bridge", 9000, &e));
	ok(net_veth_create(a, "left", middle, "port-a", 9000, &e));
	ok(net_veth_create(b, "right", middle, "port-b", 9000, &e));
	ok(net_bridge_add(middle, "bridge", "port-a", &e));
	ok(net_bridge_add(middle, "bridge", "port-b", &e));
	ok(net_address_add(a, "left", "10.1.0.1", 24, &e));
	ok(net_address_add(b, "right", "10.1.0.2", 24, &e));
	ok(net_link_mtu(middle, "bridge", &mtu, &e));
	assert_int_equal(mtu, 9000);
	ok(net_link_mtu(b, "right", &mtu, &e));
	assert_int_equal(mtu, 9000);
	assert_true(passes(a, b, "10.1.0.2", AF_INET));
	ok(net_link_delete(middle, "bridge", &e));
	ok(net_link_delete(middle, "port-a", &e));
	assert_links(a, "lo  65536 up;");
}

static void features_are_sorted_names(void **state)
{
	struct err e = ERR_INIT;
	char text[8192], small[4] = "old";

	(void)state;
	need_namespaces();
	AUTO_CLOSE int a = namespace_new();
	ok(net_veth_create(a, "left", a, "right", 0, &e));
	ok(net_features(a, "left", text, sizeof(text), &e));
	assert_non_null(strstr(text, "tx-checksum-ip-generic"));
	assert_int_equal(net_features(a, "left", small, sizeof(small), &e), -ENOSPC);
	assert_string_equal(small, "old");
	for (char *save = NULL, *last = strtok_r(text, " ", &save), *next; last; last = next) {
		next = strtok_r(NULL, " ", &save);
		if (next)
			assert_true(strcmp(last, next) < 0);
	}
}

static void errors_name_the_object_and_the_reason(void **state)
{
	unsigned mtu;
	struct err e = ERR_INIT;

	(void)state;
	need_namespaces();
	AUTO_CLOSE int a = namespace_new();
	ok(net_veth_create(a, "left", a, "right", 0, &e));
	CHECK(net_veth_create(a, "left", a, "other", 0, &e), -EEXIST,
		"cannot make veth pair left and other: File exists");
	CHECK(net_bridge_create(a, "left", 0, &e), -EEXIST, "cannot make bridge left: File exists");
	CHECK(net_link_up(a, "none", &e), -ENODEV, "cannot find link none: No such device");
	CHECK(net_link_mtu(a, "none", &mtu, &e), -ENODEV, "cannot find link none: No such device");
	CHECK(net_address_add(a, "left", "host.name", 24, &e), -EINVAL,
		"cannot give link left the address 'host.name': it is not numeric");
	CHECK(net_address_add(a, "left", "10.0.0.1", 33, &e), -EINVAL,
		"cannot give link left the address 10.0.0.1/33: the prefix is too long");
	CHECK(net_bridge_create(a, "sixteen_letters_", 0, &e), -EINVAL,
		"cannot name a link 'sixteen_letters_': 1 to 15 characters without space, '/' and ':'");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_new_namespace_has_lo_up_and_nothing_else),
		cmocka_unit_test(a_new_namespace_filters_no_bridge),
		cmocka_unit_test(a_veth_pair_joins_two_namespaces),
		cmocka_unit_test(a_bridge_forwards_at_once),
		cmocka_unit_test(features_are_sorted_names),
		cmocka_unit_test(errors_name_the_object_and_the_reason),
	};
	struct err e = ERR_INIT;

	if (!is_privileged() && (userns_enter(&e) < 0 || unshare(CLONE_NEWNET) < 0))
		snprintf(skip_reason, sizeof(skip_reason), "%s", e.code ? e.text : "no network namespaces");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
