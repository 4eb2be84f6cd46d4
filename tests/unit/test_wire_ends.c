/* SPDX-License-Identifier: GPL-3.0-or-later */
/* wire: every figure of a record has a bound, both ends must agree, and a frame cannot cost much memory. */
#include "wire/record.h"

#include <setjmp.h>
#include <stdio.h>
#include <sys/socket.h>

#include <cmocka.h>

#define HUGE_COUNT (1ull << 62)
#define MOST_NS    (4 * NS_PER_S)

/* --- one record -------------------------------------------------------------------------------- */

/* Words such as "workload=udp_rr"; transactions, bytes and stretch are in proportion to a second. */
struct world {
	struct trial_plan plan;
	struct trial_record *record;
	struct endpoint_record *client, *server;
};

static void add_latencies(struct endpoint_record *r, bool open)
{
	r->has_service = true;
	r->has_lateness = open;
	hist_clear(&r->service);
	hist_clear(&r->lateness);
	hist_clear(&r->response);
	for (uint64_t i = 1; i <= 100; i++) {
		hist_add(&r->service, i * 1000);
		hist_add(&r->response, i * 1000 + (open ? 7 : 0));
		if (open)
			hist_add(&r->lateness, 7);
	}
	r->sent = 110;
	r->transactions = 100;
	r->worst_n = 1;
	r->worst[0] = (struct worst){.at_ns = NS_PER_S / 2, 100000, open ? 100007 : 100000};
	r->windows_n = 1;
	r->window_length_ns = NS_PER_MS;
	r->windows[0] = (struct window){.count = 100, r->response.sum, r->response.max, 50000, 0};
}

static void add_parts(struct endpoint_record *r)
{
	r->has_parts = true;
	hist_clear(&r->connect);
	hist_clear(&r->first_reply);
	for (uint64_t i = 1; i <= 100; i++) {
		hist_add(&r->connect, i * 400);
		hist_add(&r->first_reply, i * 600);
	}
}

/* A stream of datagrams beside, of which one was lost. */
static void add_beside(const struct world *w, uint64_t bytes)
{
	w->client->beside_sent = 60;
	w->server->beside_received = 59;
	w->server->beside_lost = 1;
	w->server->beside_bytes = 50 * bytes;
	w->server->beside_ns = NS_PER_S;
}

static void world_make(struct world *w, const char *workload, uint64_t rate, uint64_t transactions)
{
	struct settings s;
	bool beside = !strcmp(workload, "beside");

	settings_init(&s);
	s.beside = beside ? "udp_stream" : "";
	workload = beside ? "tcp_rr" : workload;
	s.workload = workload;
	s.rate = rate;
	s.transactions = transactions;
	s.size_bytes = 128 << 10;
	s.warmup_ns = NS_PER_S / 10;
	s.duration_ns = NS_PER_S;
	assert_int_equal(plan_make(&w->plan, &s, ERR_IGNORED), 0);
	w->record = trial_record_new();
	trial_record_begin(w->record, &w->plan);
	w->client = &w->record->ends[END_CLIENT].record;
	w->server = &w->record->ends[END_SERVER].record;
	w->client->started_ns = w->server->started_ns = 5 * NS_PER_S;
	w->client->ended_ns = w->server->ended_ns = 6 * NS_PER_S;
	w->server->sent = 110;
	if (!w->plan.ends[END_CLIENT].job.workload->stream) {
		add_latencies(w->client, rate != 0);
		if (w->plan.ends[END_CLIENT].job.workload->connects)
			add_parts(w->client);
		if (beside)
			add_beside(w, w->plan.ends[END_CLIENT].job.beside_bytes);
		return;
	}
	bool reverse = w->plan.ends[END_CLIENT].job.workload->reverse;
	struct endpoint_record *receiver = reverse ? w->client : w->server;
	receiver->receiver = true;
	receiver->bytes = 100 * s.size_bytes;
	receiver->sent = 0;
	if (w->plan.ends[END_CLIENT].job.workload->datagrams) {
		receiver->received = 108;
		receiver->lost = 2;
		receiver->jitter_ns = receiver->jitter_mean_ns = 5000;
	}
	(reverse ? w->server : w->client)->sent = 110;
}

static int world_check(const struct world *w, struct err *e)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < ENDS_MAX; i++)
		rc = endpoint_record_check(&w->record->ends[i].record, &w->plan.ends[i].job, MOST_NS, e);
	return rc < 0 ? rc : trial_ends_check(w->record, &w->plan, e);
}

static const struct {
	const char *workload;
	uint64_t rate, transactions;
} kinds[] = {{"tcp_rr", 0, 0}, {"tcp_rr", 0, 100}, {"udp_rr", 0, 0}, {"udp_rr", 110, 0}, {"tcp_rr", 110, 0},
	{"tcp_stream", 0, 0}, {"tcp_maerts", 0, 0}, {"udp_stream", 0, 0}, {"udp_stream", 110, 0},
	{"tcp_crr", 0, 0}, {"tcp_crr", 110, 0}, {"ping", 0, 0}, {"ping", 110, 0}, {"beside", 0, 0}};

#define COUNT(member)                                                                                        \
	{                                                                                                    \
#member, offsetof(struct endpoint_record, member)                                            \
	}
static const struct {
	const char *name;
	size_t offset;
} counts[] = {COUNT(sent), COUNT(transactions), COUNT(bytes), COUNT(lost), COUNT(timeouts), COUNT(reordered),
	COUNT(duplicates), COUNT(late), COUNT(overtaken), COUNT(dead_flows), COUNT(retransmits),
	COUNT(cpu_ns), COUNT(switches_voluntary), COUNT(switches_involuntary), COUNT(busy_poll_us),
	COUNT(received), COUNT(jitter_ns), COUNT(jitter_mean_ns), COUNT(beside_sent), COUNT(beside_bytes),
	COUNT(beside_ns), COUNT(beside_received), COUNT(beside_lost), COUNT(timer_slack_ns),
	COUNT(window_length_ns), COUNT(ended_ns)};

static void every_figure_of_a_record_has_a_bound(void **state)
{
	(void)state;
	for (size_t k = 0; k < ARRAY_LEN(kinds); k++)
		for (size_t i = 0; i < 2 * ARRAY_LEN(counts) + 1; i++) {
			struct err e = ERR_INIT;
			struct world w;
			world_make(&w, kinds[k].workload, kinds[k].rate, kinds[k].transactions);
			struct endpoint_record *end = i % 2 ? w.server : w.client;
			uint64_t huge = HUGE_COUNT;

			if (i < 2 * ARRAY_LEN(counts))
				memcpy((char *)end + counts[i / 2].offset, &huge, sizeof(huge));
			int rc = world_check(&w, &e);
			if (rc != (i < 2 * ARRAY_LEN(counts) ? -EINVAL : 0))
				fail_msg("%s %d: %s of the %s: %d '%s'", kinds[k].workload,
					(int)kinds[k].rate,
					i < 2 * ARRAY_LEN(counts) ? counts[i / 2].name : "nothing",
					i % 2 ? "server" : "client", rc, e.text);
			trial_record_free(w.record);
		}
}

/* --- figures that contradict one another ------------------------------------------------------- */

static void instant(struct world *w)
{
	w->client->ended_ns = w->client->started_ns + 1;
	w->server->ended_ns = w->server->started_ns + 1;
}
static void instant_client(struct world *w)
{
	w->client->ended_ns = w->client->started_ns + 1;
	w->client->worst[0].at_ns = 0;
}
static void short_stretch(struct world *w)
{
	w->client->ended_ns -= NS_PER_MS;
}
static void narrow(struct world *w)
{
	w->client->ended_ns = w->client->started_ns + NS_PER_MS;
}
static void outside(struct world *w)
{
	w->client->worst[0].at_ns = NS_PER_S + 1;
}
static void another_slowest(struct world *w)
{
	w->client->worst[0].response_ns = w->client->worst[0].service_ns = 99000;
}
static void more_worst(struct world *w)
{
	w->client->transactions = 0;
	hist_clear(&w->client->service);
	w->client->response = w->client->service;
	w->client->windows_n = 0;
}
static void window_max(struct world *w)
{
	w->client->windows[0].max_ns = 100001;
}
static void window_sum(struct world *w)
{
	w->client->windows[0].sum_ns++;
}
static void window_median(struct world *w)
{
	w->client->windows[0].median_ns = 200000;
}
static void window_bytes(struct world *w)
{
	w->client->windows[0].bytes = 1;
}
static void lost_too_many(struct world *w)
{
	w->client->lost = 12;
}
static void another_sum(struct world *w)
{
	w->client->reordered = 1;
}
static void capped(struct world *w)
{
	w->client->capped = true;
}
static void early(struct world *w)
{
	hist_add(&w->client->response, 5);
}
static void few(struct world *w)
{
	add_latencies(w->client, false);
	w->client->sent = 100;
	w->client->transactions--;
	w->client->windows_n = 0;
}
static void fewer_replies(struct world *w)
{
	w->server->sent = 109;
}
static void more_replies(struct world *w)
{
	w->server->sent = 112;
}
/* Its sender never let it run. */
static void nothing_came(struct world *w)
{
	struct endpoint_record *r = w->client->receiver ? w->client : w->server;

	r->ended_ns = r->started_ns = 0;
	r->bytes = r->transactions = r->sent = r->lost = r->duplicates = r->reordered = r->overtaken = 0;
	r->windows_n = 0;
}
static void sender_wrote_less(struct world *w)
{
	(w->client->receiver ? w->server : w->client)->sent = 98;
}
static void more_than_a_link(struct world *w)
{
	struct endpoint_record *r = w->client->receiver ? w->client : w->server;

	r->bytes = 126 * NS_PER_S;
}

static void one_more_came(struct world *w)
{
	w->server->received++;
}
static void one_less_lost(struct world *w)
{
	w->server->lost--;
}
static void jitters_for_an_hour(struct world *w)
{
	w->server->jitter_ns = 3600 * NS_PER_S;
}
static void more_overtaken(struct world *w)
{
	w->server->overtaken = w->server->reordered = w->server->received + 1;
}
static void more_bytes_than_came(struct world *w)
{
	w->server->bytes = w->server->received * (128 << 10) + 1;
}
static void without_parts(struct world *w)
{
	w->client->has_parts = false;
}
static void with_parts(struct world *w)
{
	add_parts(w->client);
}
static void another_part(struct world *w)
{
	hist_add(&w->client->connect, 5);
}
static void slow_to_connect(struct world *w)
{
	hist_add(&w->client->connect, HUGE_COUNT);
}
static void beside_one_more(struct world *w)
{
	w->server->beside_received++;
}
static void beside_more_bytes(struct world *w)
{
	w->server->beside_bytes *= 2;
}
static void beside_at_the_sender(struct world *w)
{
	w->client->beside_ns = 1;
}

static void figures_that_contradict_one_another_are_refused(void **state)
{
	static const struct {
		void (*lie)(struct world *w);
		const char *workload;
		uint64_t rate, transactions;
		const char *says; /* NULL: it is accepted */
	} rows[] = {
		{instant, "tcp_stream", 0, 0, "'bytes' is 13107200, and can be 131197 at most"},
		{short_stretch, "tcp_rr", 0, 0,
			"a measured stretch of 999000000 ns: the job has 1000000000 ns"},
		{short_stretch, "tcp_maerts", 0, 0, NULL},
		{nothing_came, "tcp_stream", 0, 0, NULL},
		{instant_client, "tcp_rr", 0, 100, "100 transactions in a stretch of 1 ns"},
		{narrow, "tcp_rr", 0, 100, "service times of 5050000 ns in all: a stretch of 1000000 ns"},
		{outside, "udp_rr", 0, 0, "among 'worst'"},
		{another_slowest, "tcp_rr", 0, 0,
			"99000 ns that the histogram does not, whose largest is 100000"},
		{more_worst, "tcp_rr", 0, 0, "'worst' holds 1 of 0"},
		{window_max, "tcp_rr", 0, 0, "'windows' hold a latency of 100001 ns"},
		{window_sum, "tcp_rr", 0, 0, "'windows' hold a latency"},
		{window_median, "udp_rr", 0, 0, "'windows' hold a latency of 200000 ns"},
		{window_bytes, "udp_rr", 0, 0, "'windows' hold more than the 0 bytes"},
		{lost_too_many, "udp_rr", 0, 0, "'lost' is 12, and can be 11 at most"},
		{another_sum, "udp_rr", 0, 0, "'reordered' is 1, and not the sum"},
		{capped, "tcp_rr", 0, 0, "'capped'"},
		{capped, "tcp_rr", 0, 200, NULL},
		{early, "udp_rr", 110, 0, "response times of 5050705 ns in all, service times of 5050000 ns"},
		{few, "tcp_rr", 0, 100, "99 transactions, and the job has 100"},
		{fewer_replies, "tcp_rr", 0, 0, "the client got 110 replies, and the server sent 109"},
		{fewer_replies, "udp_rr", 110, 0, "the client got 110 replies, and the server sent 109"},
		{more_replies, "tcp_rr", 0, 0, "the server answered 112 requests, and the client sent 110"},
		{more_replies, "udp_rr", 0, 0, NULL},
		{sender_wrote_less, "tcp_stream", 0, 0,
			"the receiver got 13107200 bytes, and the sender wrote 98"},
		{sender_wrote_less, "tcp_maerts", 0, 0, "and the sender wrote 98 times 131072"},
		{one_more_came, "udp_stream", 0, 0,
			"the receiver got 109 datagrams and lost 2, and the sender sent 110"},
		{one_less_lost, "udp_stream", 110, 0,
			"the receiver got 108 datagrams and lost 1, and the sender sent 110"},
		{jitters_for_an_hour, "udp_stream", 0, 0, "'jitter_ns' is 3600000000000"},
		{more_overtaken, "udp_stream", 0, 0, "'overtaken' is 109, and can be 108 at most"},
		{more_bytes_than_came, "udp_stream", 0, 0, "'bytes' is 14155777, and can be 14155776"},
		{sender_wrote_less, "udp_stream", 0, 0, "and the sender wrote 98"},
		{without_parts, "tcp_crr", 0, 0, "'connect' is missing, at this end of tcp_crr"},
		{with_parts, "tcp_rr", 0, 0, "'connect' is not to be expected, at this end of tcp_rr"},
		{another_part, "tcp_crr", 110, 0,
			"service times of 5050000 ns in all, connecting 2020005 ns and first replies 3030000 ns"},
		{slow_to_connect, "tcp_crr", 0, 0, "a connect time of"},
		{fewer_replies, "ping", 0, 0, "the client got 110 replies, and the server sent 109"},
		{more_replies, "ping", 0, 0, NULL},
		{beside_one_more, "beside", 0, 0,
			"the receiver beside got 60 datagrams and lost 1, and the sender sent 60"},
		{beside_more_bytes, "beside", 0, 0,
			"the receiver beside got 147200 bytes, and the sender wrote 60"},
		{beside_at_the_sender, "beside", 0, 0, "'beside_ns' is 1, and can be 0 at most"},
		{more_than_a_link, "tcp_maerts", 0, 0, "'bytes' is 126000000000, and can be 125000131072"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct err e = ERR_INIT;
		struct world w;

		world_make(&w, rows[i].workload, rows[i].rate, rows[i].transactions);
		rows[i].lie(&w);
		int rc = world_check(&w, &e);
		if (rc != (rows[i].says ? -EINVAL : 0) || (rows[i].says && !strstr(e.text, rows[i].says)))
			fail_msg("row %zu: %d, '%s', expected '%s'", i, rc, e.text,
				rows[i].says ? rows[i].says : "");
		trial_record_free(w.record);
	}
}

/* What a network loses, delays and doubles is nothing that an end makes up. */
static void losses_and_disorder_of_a_network_can_be_true(void **state)
{
	struct err e = ERR_INIT;
	struct world w;

	(void)state;
	world_make(&w, "udp_rr", 110, 0);
	*w.client = (struct endpoint_record){.started_ns = 5 * NS_PER_S, .ended_ns = 6 * NS_PER_S};
	add_latencies(w.client, true);
	w.client->lost = w.client->timeouts = 8;
	w.client->late = 3;
	w.client->overtaken = 4;
	w.client->duplicates = 100;
	w.client->reordered = 107;
	w.server->sent = 102;
	if (world_check(&w, &e) < 0)
		fail_msg("%s", e.text);
	w.client->mistake[0] = 'x'; /* what an end broke off need not fit */
	w.server->sent = 0;
	assert_int_equal(world_check(&w, &e), 0);
	trial_record_free(w.record);
}

/* --- the machine of another host --------------------------------------------------------------- */

#define MACHINE(member)                                                                                      \
	{                                                                                                    \
#member, offsetof(struct trial_record, member)                                               \
	}

static void every_figure_of_a_machine_has_a_bound(void **state)
{
	static const struct {
		const char *name;
		size_t offset;
	} rows[] = {MACHINE(mtu), MACHINE(warmup_more), MACHINE(system_cpu_ns), MACHINE(steal_ns),
		MACHINE(context_switches), MACHINE(interrupts), MACHINE(softirqs), MACHINE(guest.boot_ns),
		MACHINE(guest.first_ns), MACHINE(guest.init_ns), MACHINE(guest.ready_ns),
		MACHINE(during[0].window_ns), MACHINE(during[0].steal_ns), MACHINE(during[0].throttled_ns),
		MACHINE(during[0].run_queue_wait_ns), MACHINE(during[0].interrupts),
		MACHINE(during[0].softirqs), MACHINE(during[0].involuntary_switches)};

	(void)state;
	for (size_t i = 0; i <= ARRAY_LEN(rows); i++) {
		struct err e = ERR_INIT;
		uint64_t huge = HUGE_COUNT;
		struct world w;

		world_make(&w, "tcp_rr", 0, 0);
		w.record->mtu = 1500;
		w.record->guest.ready_ns = 20 * NS_PER_S;
		if (i < ARRAY_LEN(rows))
			memcpy((char *)w.record + rows[i].offset, &huge, sizeof(huge));
		int rc = trial_machine_check(w.record, MOST_NS, 60 * NS_PER_S, &e);
		if (rc != (i < ARRAY_LEN(rows) ? -EINVAL : 0) ||
			(rc && !strstr(e.text, "4611686018427387904")))
			fail_msg("%s: %d '%s'", i < ARRAY_LEN(rows) ? rows[i].name : "nothing", rc, e.text);
		trial_record_free(w.record);
	}
}

static void a_guest_is_not_up_for_centuries(void **state)
{
	static const struct {
		uint64_t init_ns, uptime_ns;
		int rc;
	} rows[] = {{5, 6, 0}, {HUGE_COUNT, HUGE_COUNT, -EPROTO}, {0, HUGE_COUNT, -EPROTO}, {7, 6, -EPROTO}};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct kernel_facts k = {.kernel = ""};
		struct err e = ERR_INIT;
		json_t *hello = frame_hello();

		json_object_set_new(hello, "init_ns", json_integer((json_int_t)rows[i].init_ns));
		json_object_set_new(hello, "uptime_ns", json_integer((json_int_t)rows[i].uptime_ns));
		int rc = frame_hello_read(hello, &k, &e);
		if (rc != rows[i].rc)
			fail_msg("row %zu: %d '%s'", i, rc, e.text);
		json_decref(hello);
	}
}

/* --- three kinds of disorder ------------------------------------------------------------------- */

static void an_older_record_has_only_the_sum_of_disorder(void **state)
{
	static const char *const keys[] = {"duplicates", "late", "overtaken"};
	AUTO_FREE struct endpoint_record *again = mem_alloc(sizeof(*again));
	struct err e = ERR_INIT;
	struct world w;

	(void)state;
	world_make(&w, "udp_rr", 0, 0);
	w.client->duplicates = 1;
	w.client->late = 2;
	w.client->overtaken = 3;
	w.client->reordered = 6;
	json_t *object = endpoint_record_json(w.client);
	assert_int_equal(endpoint_record_from_json(again, object, READ_ARCHIVE, &e), 0);
	assert_false(again->disorder_unknown);
	assert_int_equal(again->overtaken, 3);
	for (size_t i = 0; i < ARRAY_LEN(keys); i++)
		json_object_del(object, keys[i]);
	assert_int_equal(endpoint_record_from_json(again, object, READ_ARCHIVE, &e), 0);
	assert_true(again->disorder_unknown);
	assert_int_equal(again->reordered, 6);
	json_t *old = endpoint_record_json(again);
	assert_true(json_equal(old, object)); /* it stays what it was */
	assert_true(endpoint_record_from_json(again, object, READ_STREAM, &e) < 0);
	json_decref(old);
	json_decref(object);
	trial_record_free(w.record);
}

/* --- frames ------------------------------------------------------------------------------------ */

/* `n` times `part`, between brackets. */
static char *repeated(const char *part, size_t n, const char *head, const char *tail)
{
	struct buf b = {0};

	buf_add(&b, "%s", head);
	for (size_t i = 0; i < n; i++)
		buf_put(&b, part, strlen(part));
	buf_add(&b, "%s", tail);
	return b.data;
}

static void a_frame_has_a_limited_number_of_values_and_depth(void **state)
{
	static const struct {
		const char *part;
		size_t n;
		const char *head, *tail;
		int rc;
	} rows[] = {
		{"0,", 90000, "{\"a\": [", "0]}", 0},
		{"0,", FRAME_MAX_VALUES, "{\"a\": [", "0]}", -EPROTO},
		{"{},", 60000, "{\"a\": [", "0]}", -EPROTO},
		{"{}", 60000, "", "", 0}, /* no JSON, which whoever parses it finds out */
		{"{}", FRAME_MAX_VALUES, "", "", -EPROTO},
		{"[", FRAME_MAX_DEPTH, "", "", 0},
		{"[", FRAME_MAX_DEPTH + 1, "", "", -EPROTO},
		{"[]", 1000, "", "", 0},
		{",[{", FRAME_MAX_VALUES, "{\"a\": \"", "\"}", 0}, /* text */
		{"\\\"[", FRAME_MAX_VALUES, "{\"a\": \"", "\"}", 0},
		{"]", 1000, "", "", 0},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		AUTO_FREE char *text = repeated(rows[i].part, rows[i].n, rows[i].head, rows[i].tail);
		struct err e = ERR_INIT;
		int rc = frame_check(text, strlen(text), &e);

		if (rc != rows[i].rc)
			fail_msg("row %zu: %d '%s', not %d", i, rc, e.text, rows[i].rc);
	}
}

/* The exit code of this program, and what it advises, are its own. */
static void an_end_cannot_say_how_the_run_ends(void **state)
{
	struct err e = ERR_INIT;
	json_t *body = NULL;
	int ends[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	assert_int_equal(frame_send(ends[0], FRAME_ERROR,
				 json_pack("{s:s, s:s, s:i}", "text", "I refuse", "advice", "run rm -rf /",
					 "exit", (int)EXIT_REFUSED),
				 time_now_ns() + NS_PER_S, &e),
		0);
	assert_int_equal(frame_expect(ends[1], FRAME_READY, &body, time_now_ns() + NS_PER_S, &e), -EREMOTEIO);
	assert_int_equal(e.exit, EXIT_FAILED);
	assert_string_equal(e.advice, "");
	assert_string_equal(e.text, "I refuse (it advises: run rm -rf /)");
	close(ends[0]);
	close(ends[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_figure_of_a_record_has_a_bound),
		cmocka_unit_test(figures_that_contradict_one_another_are_refused),
		cmocka_unit_test(losses_and_disorder_of_a_network_can_be_true),
		cmocka_unit_test(every_figure_of_a_machine_has_a_bound),
		cmocka_unit_test(a_guest_is_not_up_for_centuries),
		cmocka_unit_test(an_older_record_has_only_the_sum_of_disorder),
		cmocka_unit_test(a_frame_has_a_limited_number_of_values_and_depth),
		cmocka_unit_test(an_end_cannot_say_how_the_run_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
