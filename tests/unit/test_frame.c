/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Ethernet frames that carry a datagram: what is written, and what is taken of what comes. */
#include "engine/frame.h"

#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>

#include <arpa/inet.h>

/* From 10.0.0.2:4000 to 10.0.0.1:5000, as the end at 10.0.0.1 sees it. */
static struct frame_path here(void)
{
	return (struct frame_path){.mac = {2, 0, 0, 0, 0, 1},
		.peer_mac = {2, 0, 0, 0, 0, 2},
		.address.s_addr = inet_addr("10.0.0.1"),
		.peer_address.s_addr = inet_addr("10.0.0.2"),
		.port = htons(5000),
		.peer_port = htons(4000)};
}

static struct frame_path there(void)
{
	struct frame_path p = here(), out = p;

	memcpy(out.mac, p.peer_mac, sizeof(out.mac));
	memcpy(out.peer_mac, p.mac, sizeof(out.peer_mac));
	out.address = p.peer_address;
	out.peer_address = p.address;
	out.port = p.peer_port;
	out.peer_port = p.port;
	return out;
}

static size_t written(unsigned char frame[FRAME_MOST], const void *data, size_t size)
{
	struct frame_path from = there();
	unsigned char headers[FRAME_HEADERS];

	frame_headers(&from, headers);
	return frame_write(headers, frame, data, size);
}

/* Byte by byte, with a checksum that was computed by hand. */
static void a_frame_is_as_the_network_has_it(void **state)
{
	static const unsigned char wanted[FRAME_LEAST] = {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45, 0,
		0, 31, 0, 0, 0x40, 0, 64, 17, 0x26, 0xcc, 10, 0, 0, 2, 10, 0, 0, 1, 0x0f, 0xa0, 0x13, 0x88, 0,
		11, 0, 0, 'a', 'b', 'c'};
	unsigned char frame[FRAME_MOST];

	(void)state;
	assert_int_equal(written(frame, "abc", 3), FRAME_LEAST);
	assert_memory_equal(frame, wanted, sizeof(wanted));
}

static void what_is_written_is_read(void **state)
{
	static const size_t sizes[] = {0, 1, 17, 18, 19, 1472, FRAME_DATA_MOST};
	unsigned char frame[FRAME_MOST], data[FRAME_DATA_MOST];
	const struct frame_path path = here();

	(void)state;
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (unsigned char)(i * 7);
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		size_t length = written(frame, data, sizes[i]), size = 99;
		const unsigned char *found = frame_read(&path, frame, length, &size);

		if (length != MAX(FRAME_HEADERS + sizes[i], (size_t)FRAME_LEAST) || !found ||
			size != sizes[i])
			fail_msg("%zu bytes: a frame of %zu, read as %zu", sizes[i], length,
				found ? size : 99);
		assert_memory_equal(found, data, size);
	}
}

/* One byte is changed; the checksum of IPv4 is made right again where that is what is meant. */
static void what_is_not_of_the_flow_is_not_taken(void **state)
{
	static const struct {
		const char *what;
		size_t at;
		unsigned char value;
		bool summed;
	} rows[] = {
		{"ARP", 13, 0x06, false},
		{"IPv6", 14, 0x65, true},
		{"a header of four words", 14, 0x44, true},
		{"a header that is longer than the packet", 14, 0x4f, true},
		{"longer than the frame", 17, 200, true},
		{"too short for UDP", 17, 27, true},
		{"the first of several fragments", 20, 0x20, true},
		{"a later fragment", 21, 1, true},
		{"TCP", 23, 6, true},
		{"a wrong checksum", 24, 0, false},
		{"another sender", 29, 3, true},
		{"another receiver", 33, 9, true},
		{"another port of the sender", 35, 0, false},
		{"another port of the receiver", 37, 0, false},
		{"a datagram shorter than its header", 39, 7, false},
		{"a datagram longer than its packet", 39, 12, false},
	};
	const struct frame_path path = here();

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		unsigned char frame[FRAME_MOST];
		size_t length = written(frame, "abc", 3), size;

		frame[rows[i].at] = rows[i].value;
		if (rows[i].summed) {
			memset(frame + 24, 0, 2);
			uint16_t sum = frame_checksum(frame + 14, 20);
			memcpy(frame + 24, &sum, sizeof(sum));
		}
		if (frame_read(&path, frame, length, &size))
			fail_msg("taken: %s", rows[i].what);
	}
}

/* Every length that a frame can be cut to: nothing behind its end is looked at, which ASan sees. */
static void a_frame_that_was_cut_is_not_taken(void **state)
{
	unsigned char frame[FRAME_MOST];
	const unsigned char data[100] = {0};
	const struct frame_path path = here();
	size_t whole = FRAME_HEADERS + sizeof(data), size;

	(void)state;
	assert_int_equal(written(frame, data, sizeof(data)), whole);
	for (size_t length = 0; length < whole; length++) {
		AUTO_FREE unsigned char *cut = mem_alloc(length + 1);
		memcpy(cut, frame, length);
		if (frame_read(&path, cut, length, &size))
			fail_msg("taken: %zu of %zu bytes", length, whole);
	}
}

/* The kernel hands a header with options to the stack, and another driver may not. */
static void a_header_with_options_is_read(void **state)
{
	unsigned char frame[FRAME_MOST], longer[FRAME_MOST];
	const struct frame_path path = here();
	size_t length = written(frame, "abc", 3), size;

	(void)state;
	memcpy(longer, frame, 34);
	memset(longer + 34, 1, 4); /* no operation */
	memcpy(longer + 38, frame + 34, length - 34);
	longer[14] = 0x46;
	longer[17] = 35;
	memset(longer + 24, 0, 2);
	uint16_t sum = frame_checksum(longer + 14, 24);
	memcpy(longer + 24, &sum, sizeof(sum));
	const unsigned char *found = frame_read(&path, longer, length + 4, &size);
	assert_non_null(found);
	assert_int_equal(size, 3);
	assert_memory_equal(found, "abc", 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_frame_is_as_the_network_has_it),
		cmocka_unit_test(what_is_written_is_read),
		cmocka_unit_test(what_is_not_of_the_flow_is_not_taken),
		cmocka_unit_test(a_frame_that_was_cut_is_not_taken),
		cmocka_unit_test(a_header_with_options_is_read),
	};

	return cmocka_run_group_tests_name("frame", tests, NULL, NULL);
}
