/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Links, bridges and addresses in namespaces that the test makes and drops.  Without root it becomes root of
 * a user namespace first; where that is forbidden, everything is skipped, or fails when TAUT_MUST names
 * netns.
 */
#include "net/net.h"
#include "test_need.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>

#include <cmocka.h>

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

static void macvlans_of_one_parent_reach_what_is_beyond_it(void **state)
{
	struct err e = ERR_INIT;
	unsigned mtu = 0;

	(void)state;
	need_namespaces();
	AUTO_CLOSE int a = namespace_new();
	AUTO_CLOSE int b = namespace_new();
	AUTO_CLOSE int middle = namespace_new();
	const struct net_parent on = {middle, "parent"};
	ok(net_veth_create(a, "left", middle, "parent", 1400, &e));
	ok(net_macvlan_create(&on, b, "right", 1300, &e));
	ok(net_address_add(a, "left", "10.1.0.1", 24, &e));
	ok(net_address_add(b, "right", "10.1.0.2", 24, &e));
	ok(net_link_mtu(b, "right", &mtu, &e));
	assert_int_equal(mtu, 1300);
	assert_true(passes(a, b, "10.1.0.2", AF_INET));
	assert_true(passes(b, a, "10.1.0.1", AF_INET));
	CHECK(net_macvlan_create(&on, b, "right", 0, &e), -EEXIST,
		"cannot make a macvlan on parent: File exists");
	CHECK(net_macvlan_create(&(struct net_parent){middle, "none"}, b, "more", 0, &e), -ENODEV,
		"cannot find link none: No such device");
}

/* A frame of 60 bytes behind the header of virtio, written into one end and read from the other. */
static bool tap_passes(int from, int to, const char *mac_to)
{
	unsigned char frame[10 + 60] = {0}, got[2048];
	uint64_t end = time_now_ns() + 2 * NS_PER_S;

	assert_int_equal(sscanf(mac_to, "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", &frame[10], &frame[11], &frame[12],
				 &frame[13], &frame[14], &frame[15]),
		6);
	frame[10 + 6] = 2;
	frame[10 + 12] = 0x88;
	frame[10 + 13] = 0xb5; /* of no protocol */
	memcpy(frame + 10 + 14, "taut", 4);
	assert_int_equal(write(from, frame, sizeof(frame)), sizeof(frame));
	while (time_now_ns() < end) {
		struct pollfd p = {.fd = to, .events = POLLIN};
		ssize_t n = poll(&p, 1, 100) == 1 ? read(to, got, sizeof(got)) : 0;
		if (n >= 10 + 18 && !memcmp(got + 10 + 14, "taut", 4))
			return true;
	}
	return false;
}

/* Two namespaces, in which links have the same index: the nodes in /dev have one name, and only the first
 * link has one. */
static void a_macvtap_is_opened_whatever_its_node_is_called(void **state)
{
	struct err e = ERR_INIT;
	char mac[2][NET_MAC];
	int fds[2] = {-1, -1};

	(void)state;
	need_namespaces();
	if (!is_privileged()) {
		print_message("# skipped: a macvtap's device wants root\n");
		skip();
	}
	AUTO_CLOSE int a = namespace_new();
	AUTO_CLOSE int b = namespace_new();
	const int ns[] = {a, b};
	for (size_t i = 0; i < 2; i++) {
		ok(net_veth_create(ns[i], "parent", ns[i], "peer", 0, &e));
		const struct net_parent on = {ns[i], "parent"};
		ok(net_macvtap_create(&on, ns[i], "tap", 1, 0, &fds[i], &e));
		ok(net_link_mac(ns[i], "tap", mac[i], &e));
	}
	for (size_t i = 0; i < 2; i++) {
		int other[2] = {-1, -1};
		const struct net_parent on = {ns[i], "parent"};
		char to[NET_MAC];
		ok(net_macvtap_create(&on, ns[i], "second", 2, 0, other, &e));
		ok(net_link_mac(ns[i], "second", to, &e));
		assert_true(tap_passes(other[0], fds[i], mac[i]));
		/* where IPv6 asks for a neighbour */
		assert_true(tap_passes(other[0], fds[i], "33:33:ff:00:00:02"));
		close(other[0]);
		close(other[1]);
		close(fds[i]);
	}
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

static void what_a_link_is_set_to_is_a_text_that_can_be_set_again(void **state)
{
	static const struct {
		const char *word, *value;
	} rows[] = {
		{"up", "down"},
		{"mac", "02:11:22:33:44:55"},
		{"mtu", "1400"},
		{"name", "other"},
		{"features", "highdma rx-checksum tx-scatter-gather"},
		{"up", "up"},
		{"addresses", "10.2.0.1/16,brd=10.2.255.255,label=other:1 10.2.0.7/16 fd00:2::1/64,nodad"},
		{"addresses", "10.2.0.7/16"},
		{"addresses", ""},
	};
	const struct net_identity id = {.mac = "02:11:22:33:44:55", .kind = "veth"};
	struct err e = ERR_INIT;
	const char *name = "left";
	char found[16];

	(void)state;
	need_namespaces();
	AUTO_CLOSE int a = namespace_new();
	ok(net_veth_create(a, name, a, "right", 0, &e));
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		AUTO_FREE char *now = NULL;
		ok(net_property_set(a, name, rows[i].word, rows[i].value, &e));
		if (!strcmp(rows[i].word, "name"))
			name = rows[i].value;
		ok(net_property_get(a, name, rows[i].word, &now, &e));
		/* Features that cannot be changed stay on. */
		if (!strcmp(rows[i].word, "features"))
			assert_true(strstr(now, "rx-checksum") && !strstr(now, "tx-tcp-segmentation"));
		else
			assert_string_equal(now, rows[i].value);
	}
	CHECK(net_property_set(a, name, "rings", "rx=8 ry=9", &e), -EINVAL,
		"cannot set the rings of link other: 'ry=9' is no figure of it");
	CHECK(net_property_set(a, name, "rss", "key=6d5", &e), -EINVAL,
		"cannot set the RSS of link other to 'key=6d5': Invalid argument");
	CHECK(net_property_set(a, name, "rss", "function=1 key=6d5a table=0,1", &e), -EOPNOTSUPP,
		"cannot set the RSS of link other to 'function=1 key=6d5a table=0,1': Operation not supported");
	ok(net_link_find(a, &id, found, &e));
	assert_string_equal(found, "other");
	CHECK(net_property_set(a, name, "colour", "red", &e), -EINVAL,
		"cannot set 'colour' of a link: there is no such property");
	CHECK(net_property_set(a, name, "coalescing", "rx-usecs=3 colour=1", &e), -EINVAL,
		"cannot set the interrupt moderation of link other: 'colour=1' is no figure of it");
	CHECK(net_link_find(a, &(struct net_identity){.pci = "0000:09:00.0"}, found, &e), -ENODEV,
		"cannot find the link of 0000:09:00.0");
}

static void a_link_moves_with_all_but_its_addresses(void **state)
{
	AUTO_FREE char *mac = NULL, *addresses = NULL;
	struct err e = ERR_INIT;
	unsigned mtu = 0;

	(void)state;
	need_namespaces();
	AUTO_CLOSE int a = namespace_new();
	AUTO_CLOSE int b = namespace_new();
	ok(net_veth_create(a, "left", a, "right", 1400, &e));
	ok(net_property_set(a, "left", "mac", "02:11:22:33:44:55", &e));
	ok(net_address_add(a, "left", "10.1.0.1", 24, &e));
	ok(net_link_move(a, "left", b, &e));
	ok(net_link_mtu(b, "left", &mtu, &e));
	ok(net_property_get(b, "left", "mac", &mac, &e));
	ok(net_property_get(b, "left", "addresses", &addresses, &e));
	assert_int_equal(mtu, 1400);
	assert_string_equal(mac, "02:11:22:33:44:55");
	assert_string_equal(addresses, "");
	CHECK(net_link_mtu(a, "left", &mtu, &e), -ENODEV, "cannot find link left: No such device");
}

static void a_virtual_link_is_no_device(void **state)
{
	struct err e = ERR_INIT;
	struct net_standing standing;
	struct net_facts facts;
	struct net_device device;

	(void)state;
	need_namespaces();
	AUTO_CLOSE int a = namespace_new();
	ok(net_veth_create(a, "left", a, "right", 0, &e));
	ok(net_link_facts(a, "left", &facts, &e));
	assert_false(facts.device);
	assert_int_equal(facts.line_rate_bps, 0);
	assert_true(facts.rx_queues >= 1 && facts.tx_queues >= 1);
	assert_string_equal(facts.moderation, "none");
	assert_non_null(strstr(facts.offloads, "tso"));
	ok(net_device_read(a, "left", &device, &e));
	assert_string_equal(device.driver, "veth");
	assert_string_equal(device.pci, "");
	ok(net_link_facts(a, "lo", &facts, &e));
	assert_false(facts.device);
	net_standing_read(a, "left", &standing);
	assert_true(standing.there);
	assert_string_equal(standing.text[NET_TEXT_MTU], "1500");
	assert_string_equal(standing.text[NET_TEXT_QDISC], "noqueue");
	for (int i = NET_TEXT_DRIVER; i < NET_TEXTS; i++)
		assert_string_equal(standing.text[i], "");
	net_standing_read(a, "middle", &standing);
	assert_false(standing.there);
}

static void the_kernel_at_the_other_end_answers(void **state)
{
	static const char *const ends[][2] = {{"10.0.0.1", "10.0.0.2"}, {"fd00::1", "fd00::2"}};
	struct err e = ERR_INIT;

	(void)state;
	need_namespaces();
	for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
		AUTO_CLOSE int a = namespace_new(), b = namespace_new();
		unsigned prefix = i ? 64 : 24;
		assert_int_equal(net_answers(a, ends[i][1], 50, &e), 0); /* no way leads there */
		ok(net_veth_create(a, "left", b, "right", 0, &e));
		ok(net_address_add(a, "left", ends[i][0], prefix, &e));
		assert_int_equal(net_answers(a, ends[i][1], 50, &e), 0); /* nobody has the address */
		ok(net_address_add(b, "right", ends[i][1], prefix, &e));
		int answers = 0;
		for (int go = 0; go < 50 && !answers; go++)
			answers = net_answers(a, ends[i][1], 100, &e);
		assert_int_equal(answers, 1);
	}
}

static void a_bare_link_gets_no_address_by_itself(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	need_namespaces();
	AUTO_CLOSE int a = namespace_new(), b = namespace_new();
	ok(net_veth_create(a, "left", b, "right", 0, &e));
	ok(net_property_set(a, "left", "up", "down", &e));
	ok(net_link_bare(a, "left", &e));
	ok(net_link_up(a, "left", &e));
	AUTO_FREE char *addresses = NULL;
	ok(net_property_get(a, "left", "addresses", &addresses, &e));
	assert_null(strstr(addresses, "fe80"));
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
		cmocka_unit_test(macvlans_of_one_parent_reach_what_is_beyond_it),
		cmocka_unit_test(a_macvtap_is_opened_whatever_its_node_is_called),
		cmocka_unit_test(features_are_sorted_names),
		cmocka_unit_test(what_a_link_is_set_to_is_a_text_that_can_be_set_again),
		cmocka_unit_test(a_link_moves_with_all_but_its_addresses),
		cmocka_unit_test(a_virtual_link_is_no_device),
		cmocka_unit_test(the_kernel_at_the_other_end_answers),
		cmocka_unit_test(a_bare_link_gets_no_address_by_itself),
		cmocka_unit_test(errors_name_the_object_and_the_reason),
	};

	namespaces_enter();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
