/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Datagrams in one direction.  Faults of known number are put into what the sender sends, below the engine:
 * the counts of the receiver must be what was injected.
 */
#include "test_engine_pair.h"

#include "test_noise.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include <endian.h>
#include <stdio.h>

/* --- counting by number ------------------------------------------------------------------------ */

struct counts {
	uint64_t received, duplicates, overtaken, late;
};

static struct counts counts_of(const uint64_t *numbers, size_t n)
{
	struct arrivals *a = memory_aligned(sizeof(*a));
	struct counts c;

	for (size_t i = 0; i < n; i++)
		arrivals_add(a, numbers[i]);
	c = (struct counts){a->received, a->duplicates, a->overtaken, a->late};
	free(a);
	return c;
}

static void test_numbers_say_what_became_of_datagrams(void **state)
{
	static const uint64_t span = ARRIVALS_SPAN;
	static const struct {
		uint64_t numbers[8];
		size_t n;
		struct counts wanted;
	} rows[] = {
		{{0, 1, 2, 3}, 4, {4, 0, 0, 0}},
		{{0, 2, 3}, 3, {3, 0, 0, 0}},
		{{0, 1, 1, 2, 0}, 5, {3, 2, 0, 0}},
		{{0, 2, 1, 3}, 4, {4, 0, 1, 0}},
		{{3, 2, 1, 0}, 4, {4, 0, 3, 0}},
		{{0, 2, 1, 1, 2}, 5, {3, 2, 1, 0}},
		/* as far behind as can be told, and one further */
		{{span, 1, 0}, 3, {2, 0, 1, 1}},
		{{1, span, 1, 2}, 4, {3, 1, 1, 0}},
		/* the places of what came long ago are free again */
		{{0, 1, span, span + 1, 2 * span + 1, 2 * span, 5 * span, 5 * span - 1}, 8, {8, 0, 2, 0}},
		{{UINT64_MAX, 0, 1}, 3, {2, 0, 0, 0}},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct counts c = counts_of(rows[i].numbers, rows[i].n), w = rows[i].wanted;

		if (memcmp(&c, &w, sizeof(c)))
			fail_msg("row %zu: %d received, %d twice, %d overtaken, %d late", i, (int)c.received,
				(int)c.duplicates, (int)c.overtaken, (int)c.late);
	}
}

/* The formula of RFC 3550, §6.4.1, in floating point. */
static double jitter_by_formula(const uint64_t (*times)[2], size_t n)
{
	double j = 0;

	for (size_t i = 1; i < n; i++) {
		double d = ((double)times[i][1] - (double)times[i - 1][1]) -
			   ((double)times[i][0] - (double)times[i - 1][0]);

		j += ((d < 0 ? -d : d) - j) / 16;
	}
	return j;
}

static void test_jitter_is_that_of_rfc_3550(void **state)
{
	struct arrivals *a = memory_aligned(sizeof(*a));
	uint64_t times[200][2], seed = 7, j = 0;

	(void)state;
	/* Sent every 20 ms, 5 s apart by the clocks, and always as long under way: no jitter. */
	for (uint64_t i = 0; i < 50; i++)
		assert_int_equal(
			arrivals_jitter(a, 5 * NS_PER_S + i * 20 * NS_PER_MS, i * 20 * NS_PER_MS), 0);
	/* One that is 16 ms late adds 1 ms, and the next, on time again, nearly as much once more. */
	assert_int_equal(arrivals_jitter(a, 5 * NS_PER_S + 1016 * NS_PER_MS, NS_PER_S), NS_PER_MS);
	assert_int_equal(
		arrivals_jitter(a, 5 * NS_PER_S + 1020 * NS_PER_MS, 1020 * NS_PER_MS), NS_PER_MS * 31 / 16);
	memset(a, 0, sizeof(*a));
	for (uint64_t i = 0; i < ARRAY_LEN(times); i++) {
		times[i][0] = 900 * NS_PER_S + i * NS_PER_MS; /* the sender's clock is ahead */
		times[i][1] = i * NS_PER_MS + rng_below(&seed, 800000);
		j = arrivals_jitter(a, times[i][1], times[i][0]);
	}
	double wanted = jitter_by_formula(times, ARRAY_LEN(times));
	if ((double)j < wanted - 2 || (double)j > wanted + 2)
		fail_msg("jitter of %d ns instead of %.1f", (int)j, wanted);
	free(a);
}

/* --- faults of known number -------------------------------------------------------------------- */

/* What becomes of every n-th datagram, by its number on its flow; 0: nothing. */
static struct faults {
	uint64_t lose, twice, swap, lose_from;
	bool behind;   /* each goes out with the next one, the last after the sender has told its end */
	bool lose_end; /* the first time that it tells it */
	size_t more;   /* before that, one that it does not tell of, of so many bytes */
	uint64_t sent, lost, doubled, swapped; /* what was done */
	unsigned char waiting[64];             /* that the next one passes */
	size_t waits;
} faults;

static void send_waiting(struct flow *f)
{
	if (faults.waits)
		driver_socket.send(f, faults.waiting, faults.waits);
	faults.waits = 0;
}

static ssize_t keep_waiting(const void *data, size_t size)
{
	memcpy(faults.waiting, data, size);
	faults.waits = size;
	return (ssize_t)size;
}

static ssize_t faulty_tell(struct flow *f, const void *data, size_t size)
{
	if (faults.lose_end) {
		faults.lose_end = false;
		return (ssize_t)size;
	}
	if (faults.more) {
		unsigned char one[64] = {0};
		const uint64_t number = htole64(f->sent);

		memcpy(one, &number, sizeof(number));
		driver_socket.send(f, one, faults.more);
		faults.more = 0;
	}
	ssize_t n = driver_socket.send(f, data, size);
	send_waiting(f);
	return n;
}

static ssize_t faulty_send(struct flow *f, const void *data, size_t size)
{
	uint64_t number;

	if (!memcmp(data, "taut", 4))
		return faulty_tell(f, data, size);
	memcpy(&number, data, sizeof(number));
	number = le64toh(number);
	faults.sent++;
	if ((faults.lose && number % faults.lose == 3) || (faults.lose_from && number >= faults.lose_from)) {
		faults.lost++;
		return (ssize_t)size;
	}
	if (faults.behind) {
		send_waiting(f);
		return keep_waiting(data, size);
	}
	if (faults.swap && number % faults.swap == 5 && !faults.waits)
		return keep_waiting(data, size);
	ssize_t n = driver_socket.send(f, data, size);
	faults.swapped += faults.waits > 0;
	send_waiting(f);
	if (faults.twice && number % faults.twice == 1) {
		driver_socket.send(f, data, size);
		faults.doubled++;
	}
	return n;
}

static ssize_t plain_receive(struct flow *f, void *data, size_t size)
{
	return driver_socket.receive(f, data, size);
}

static const struct engine_driver faulty = {.send = faulty_send, .receive = plain_receive};

/* With a rate of 1000 all of a trial fits into this buffer, so that nothing is lost besides, whatever the
 * machine does. */
#define BUFFER_BYTES (1 << 20) /* twice net.core.rmem_max is what there is of it */

static void stream(struct pair *p, uint64_t size, uint64_t rate, uint64_t flows)
{
	pair_init(p, "udp_stream");
	p->server_job.size_bytes = size;
	p->server_job.rate = rate;
	p->server_job.flows = flows;
	p->server_job.timeout_ns = 200 * NS_PER_MS;
	start_server(p);
	start_client(p);
	for (size_t i = 0; i < flows; i++)
		setsockopt(p->server->flows[i].fd, SOL_SOCKET, SO_RCVBUF, &(int){BUFFER_BYTES}, sizeof(int));
	p->client->flows[0].driver = &faulty;
	go(p);
	finish(p);
}

/* What must hold of both records. */
static void assert_counted(const struct pair *p)
{
	const struct endpoint_record *r = p->server_record, *s = p->client_record;
	struct err e = ERR_INIT;
	uint64_t bytes = 0, measured = 0;

	assert_string_equal(r->mistake, "");
	assert_string_equal(s->mistake, "");
	must(endpoint_record_check(r, &p->server_job, 10 * NS_PER_S, &e), &e);
	must(endpoint_record_check(s, &p->client_job, 10 * NS_PER_S, &e), &e);
	assert_true(r->receiver && !s->receiver && !r->has_service);
	assert_int_equal(r->received + r->lost, s->sent);
	assert_int_equal(r->reordered, r->duplicates + r->overtaken + r->late);
	for (size_t w = 0; w < r->windows_n; w++)
		bytes += r->windows[w].bytes;
	assert_int_equal(bytes, r->bytes);
	/* The jitter is a mean over what came within the stretch, as the bytes are. */
	for (size_t i = 0; i < p->server_job.flows; i++)
		measured += p->server->flows[i].measured;
	assert_int_equal(r->bytes, measured * p->server_job.size_bytes);
	assert_true(r->ended_ns > r->started_ns && r->ended_ns - r->started_ns <= 300 * NS_PER_MS);
}

static void test_counts_are_what_was_injected(void **state)
{
	static const struct faults rows[] = {{.lose = 0}, {.lose = 10}, {.twice = 10}, {.swap = 10},
		{.lose = 10, .twice = 7, .swap = 9}, {.lose_from = 250}, {.behind = true},
		{.lose_end = true}};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct pair p;

		faults = rows[i];
		stream(&p, i % 2 ? 16 : 48, 1000, 1);
		assert_counted(&p);
		const struct endpoint_record *r = p.server_record;
		/* On a busy machine fewer than the 320 that are due go out in time. */
		if (p.client_record->sent > 320 || r->lost != faults.lost ||
			r->duplicates != faults.doubled || r->overtaken != faults.swapped || r->late)
			fail_msg(
				"row %zu: of %d lost %d instead of %d, twice %d instead of %d, overtaken %d instead of %d",
				i, (int)p.client_record->sent, (int)r->lost, (int)faults.lost,
				(int)r->duplicates, (int)faults.doubled, (int)r->overtaken,
				(int)faults.swapped);
		assert_int_equal(faults.lost > 0, rows[i].lose || rows[i].lose_from);
		assert_int_equal(faults.doubled > 0, rows[i].twice > 0);
		assert_int_equal(faults.swapped > 0, rows[i].swap > 0);
		pair_free(&p);
	}
}

static void test_flows_share_the_rate(void **state)
{
	struct noise noise = noise_begin();
	struct pair p;

	(void)state;
	faults = (struct faults){.lose = 0};
	stream(&p, 100, 1000, 3);
	assert_counted(&p);
	assert_int_equal(faults.lost, 0);
	assert_true(p.client_record->sent <= 320 && p.client_record->sent > 3);
	assert_int_equal(p.server_record->received, p.client_record->sent);
	uint64_t bytes = p.server_record->bytes;
	assert_true(bytes > 0 && p.server_record->jitter_mean_ns > 0);
	pair_free(&p);
	/* What is due before the stretch and goes out late is within it. */
	noise_judge(&noise, bytes <= 300 * 100, "%d bytes in 300 ms", (int)bytes);
}

/* Much is lost, and all of it is known: the sender is faster than the receiver. */
static void test_without_a_rate_it_goes_as_fast_as_it_can(void **state)
{
	static const uint64_t sizes[] = {16, 1472, 60000};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		struct pair p;

		faults = (struct faults){.lose = 0};
		stream(&p, sizes[i], 0, 2);
		assert_counted(&p);
		assert_true(p.client_record->sent > 1000 && p.server_record->bytes > 0);
		assert_int_equal(p.server_record->duplicates + p.server_record->overtaken, 0);
		pair_free(&p);
	}
}

static void test_a_stream_of_which_nothing_comes_is_dead(void **state)
{
	struct pair p;

	(void)state;
	faults = (struct faults){.lose = 1};
	pair_init(&p, "udp_stream");
	p.server_job.rate = 1000;
	p.server_job.timeout_ns = 100 * NS_PER_MS;
	start_server(&p);
	start_client(&p);
	faults = (struct faults){.lose_from = 1};
	p.client->flows[0].driver = &faulty;
	p.client->flows[0].sent = 1; /* so that its first is lost too */
	go(&p);
	finish(&p);
	assert_string_equal(p.server_record->mistake, "flow 0 is dead: no data came");
	assert_int_equal(p.server_record->dead_flows, 1);
	pair_free(&p);
}

static void test_more_than_the_sender_tells_of_is_a_mistake(void **state)
{
	struct pair p;

	(void)state;
	faults = (struct faults){.more = 16};
	stream(&p, 16, 1000, 1);
	assert_string_equal(
		p.server_record->mistake, "flow 0 is dead: its sender has sent more than it says");
	pair_free(&p);
	faults = (struct faults){.more = 17}; /* it is none of the stream's */
	stream(&p, 16, 1000, 1);
	assert_counted(&p);
	pair_free(&p);
}

static void test_a_receiver_that_is_stopped_early_says_so(void **state)
{
	struct pair p;

	(void)state;
	faults = (struct faults){.lose = 0};
	pair_init(&p, "udp_stream");
	p.server_job.rate = 1000;
	p.server_job.timeout_ns = 100 * NS_PER_MS;
	start_server(&p);
	start_client(&p);
	go(&p);
	assert_false(wait_done(p.server, 100));
	engine_stop(p.server);
	engine_collect(p.server, p.server_record);
	assert_string_equal(p.server_record->mistake, "flow 0 is dead: its sender ended too early");
	assert_true(wait_done(p.client, 5000));
	engine_collect(p.client, p.client_record);
	assert_non_null(strstr(p.client_record->mistake, "flow 0 is dead: the receiver has gone"));
	pair_free(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_numbers_say_what_became_of_datagrams),
		cmocka_unit_test(test_jitter_is_that_of_rfc_3550),
		cmocka_unit_test(test_counts_are_what_was_injected),
		cmocka_unit_test(test_flows_share_the_rate),
		cmocka_unit_test(test_without_a_rate_it_goes_as_fast_as_it_can),
		cmocka_unit_test(test_a_stream_of_which_nothing_comes_is_dead),
		cmocka_unit_test(test_more_than_the_sender_tells_of_is_a_mistake),
		cmocka_unit_test(test_a_receiver_that_is_stopped_early_says_so),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
