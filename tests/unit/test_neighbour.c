/* SPDX-License-Identifier: GPL-3.0-or-later */
/* How an end without a kernel finds its peer: ARP, and who sent a frame. */
#include "engine/neighbour.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const struct frame_path client = {.mac = {2, 0, 0, 0, 0, 1},
	.peer_mac = {2, 0, 0, 0, 0, 2},
	.address = {0x0100570a},
	.peer_address = {0x0200570a}, /* 10.87.0.1, 10.87.0.2 */
	.port = 0x1234,
	.peer_port = 0x5678};

static struct frame_path turned(const struct frame_path *path)
{
	struct frame_path out = {.address = path->peer_address,
		.peer_address = path->address,
		.port = path->peer_port,
		.peer_port = path->port};

	memcpy(out.mac, path->peer_mac, FRAME_MAC);
	memcpy(out.peer_mac, path->mac, FRAME_MAC);
	return out;
}

static void a_question_is_answered_and_both_know_each_other(void **state)
{
	const struct frame_path server = turned(&client);
	unsigned char question[FRAME_LEAST], answer[FRAME_LEAST], mac[FRAME_MAC] = {0};

	(void)state;
	neighbour_ask(&client, question);
	assert_memory_equal(question, "\xff\xff\xff\xff\xff\xff\2\0\0\0\0\1\x08\x06\0\1\x08\0\6\4\0\1", 22);
	assert_memory_equal(question + 22, "\2\0\0\0\0\1\x0a\x57\0\1\0\0\0\0\0\0\x0a\x57\0\2", 20);
	assert_int_equal(neighbour_read(&server, question, sizeof(question), mac), NEIGHBOUR_ASKS);
	assert_memory_equal(mac, client.mac, FRAME_MAC);
	neighbour_answer(&server, question, answer);
	assert_memory_equal(answer, "\2\0\0\0\0\1\2\0\0\0\0\2\x08\x06\0\1\x08\0\6\4\0\2", 22);
	assert_int_equal(neighbour_read(&client, answer, sizeof(answer), mac), NEIGHBOUR_ANSWERS);
	assert_memory_equal(mac, server.mac, FRAME_MAC);
}

static void what_is_meant_for_others_says_nothing(void **state)
{
	const struct frame_path server = turned(&client);
	static const struct {
		size_t at;
		unsigned char byte;
	} changes[] = {{13, 0}, {15, 6}, {17, 1}, {18, 8}, {19, 16}, {20, 1}, {21, 3}, {31, 9}, {41, 9}};
	unsigned char question[FRAME_LEAST], answer[FRAME_LEAST], mac[FRAME_MAC] = {0}, none[FRAME_MAC] = {0};

	(void)state;
	neighbour_ask(&client, question);
	neighbour_answer(&server, question, answer);
	for (size_t i = 0; i < ARRAY_LEN(changes); i++) {
		unsigned char changed[FRAME_LEAST];

		memcpy(changed, answer, sizeof(changed));
		changed[changes[i].at] = changes[i].byte;
		if (neighbour_read(&client, changed, sizeof(changed), mac) != NEIGHBOUR_NOTHING)
			fail_msg("an answer with byte %zu changed was taken", changes[i].at);
	}
	for (size_t length = 0; length < 42; length++)
		assert_int_equal(neighbour_read(&client, answer, length, mac), NEIGHBOUR_NOTHING);
	assert_int_equal(neighbour_read(&client, question, sizeof(question), mac), NEIGHBOUR_NOTHING);
	assert_memory_equal(mac, none, FRAME_MAC);
}

static void a_stranger_is_answered_and_not_taken_for_the_peer(void **state)
{
	const struct frame_path server = turned(&client);
	struct frame_path stranger = client;
	unsigned char question[FRAME_LEAST], mac[FRAME_MAC] = {0}, none[FRAME_MAC] = {0};

	(void)state;
	stranger.address.s_addr = 0x0900570a;
	neighbour_ask(&stranger, question);
	assert_int_equal(neighbour_read(&server, question, sizeof(question), mac), NEIGHBOUR_ASKS);
	assert_memory_equal(mac, none, FRAME_MAC);
}

static void who_sent_a_datagram_is_read_from_its_frame(void **state)
{
	struct frame_path server = turned(&client), found;
	unsigned char headers[FRAME_HEADERS], frame[FRAME_MOST];
	size_t size = 0;

	(void)state;
	memset(server.peer_mac, 0, FRAME_MAC);
	server.peer_address.s_addr = server.peer_port = 0;
	frame_headers(&client, headers);
	size_t length = frame_write(headers, frame, "abc", 3);
	found = neighbour_of(&server, frame, length);
	assert_memory_equal(found.peer_mac, client.mac, FRAME_MAC);
	assert_int_equal(found.peer_address.s_addr, client.address.s_addr);
	assert_int_equal(found.peer_port, client.port);
	assert_int_equal(found.port, server.port);
	const unsigned char *data = frame_read(&found, frame, length, &size);
	assert_non_null(data);
	assert_int_equal(size, 3);
	assert_memory_equal(data, "abc", 3);
	found = neighbour_of(&server, frame, FRAME_HEADERS - 1);
	assert_int_equal(found.peer_port, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_question_is_answered_and_both_know_each_other),
		cmocka_unit_test(what_is_meant_for_others_says_nothing),
		cmocka_unit_test(a_stranger_is_answered_and_not_taken_for_the_peer),
		cmocka_unit_test(who_sent_a_datagram_is_read_from_its_frame),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
