/* SPDX-License-Identifier: GPL-3.0-or-later */
/* wire: texts from an agent cannot control a terminal, and a record that cannot be true is refused. */
#include "wire/job.h"
#include "wire/record.h"

#include <math.h>
#include <setjmp.h>
#include <stdio.h>
#include <sys/socket.h>

#include <cmocka.h>

static void control_characters_do_not_come_through(void **state)
{
	static const struct {
		const char *sent, *got;
	} rows[] = {
		{"{\"a\": \"plain µ − …\"}", "plain µ − …"},
		{"{\"a\": \"\\u001b[31mred\\u0007\"}", "?[31mred?"},
		{"{\"a\": \"\\u001B[0m\"}", "?[0m"},
		{"{\"a\": \"back\\b form\\f return\\r\"}", "back?? form?? return??"},
		{"{\"a\": \"a tab\\t and a line\\n\"}", "a tab\t and a line\n"},
		{"{\"a\": \"del \x7f c1 \xc2\x9b"
		 "31m nbsp \xc2\xa0\"}",
			"del ? c1 ??31m nbsp \xc2\xa0"},
		{"{\"a\": \"\\u009b31m \\u007f\"}", "?31m ?"},
		/* A backslash that is one: what follows it is text. */
		{"{\"a\": \"C:\\\\u001b \\\\\\\\b\"}", "C:\\u001b \\\\b"},
		{"{\"a\": \"quote \\\" slash \\/\"}", "quote \" slash /"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		AUTO_FREE char *text = str_dup(rows[i].sent);

		frame_clean(text, strlen(text));
		json_t *object = json_loads(text, 0, NULL);
		const char *got = json_string_value(json_object_get(object, "a"));

		if (!got || strcmp(got, rows[i].got))
			fail_msg("%s became %s, which is '%s', not '%s'", rows[i].sent, text, got ? got : "?",
				rows[i].got);
		json_decref(object);
	}
	/* Cut off anywhere: nothing is touched beyond the end. */
	for (size_t n = 0; n <= strlen("\\u001b\xc2\x9b"); n++) {
		char text[] = "\\u001b\xc2\x9b!";
		AUTO_FREE char *cut = mem_alloc(n + 1);

		memcpy(cut, text, n);
		frame_clean(cut, n);
		assert_int_equal(strlen(cut), n);
	}
}

static void an_error_of_an_agent_is_harmless(void **state)
{
	struct err e = ERR_INIT;
	json_t *body = NULL;
	int ends[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	assert_int_equal(frame_send(ends[0], FRAME_ERROR,
				 json_pack("{s:s, s:s}", "text", "\033[2Jgone\r", "advice", "\033[31m"),
				 time_now_ns() + 5 * NS_PER_S, &e),
		0);
	assert_int_equal(
		frame_expect(ends[1], FRAME_READY, &body, time_now_ns() + 5 * NS_PER_S, &e), -EREMOTEIO);
	assert_string_equal(e.text, "?[2Jgone?? (it advises: ?[31m)");
	assert_string_equal(e.advice, "");
	close(ends[0]);
	close(ends[1]);
}

/* --- records ----------------------------------------------------------------------------------- */

static struct endpoint_record *true_record(void)
{
	struct endpoint_record *r = mem_alloc(sizeof(*r));

	r->started_ns = 5 * NS_PER_S;
	r->ended_ns = 7 * NS_PER_S;
	r->sent = 110;
	r->transactions = 100;
	r->has_service = true;
	hist_clear(&r->service);
	for (uint64_t i = 1; i <= 100; i++)
		hist_add(&r->service, i * 1000);
	r->response = r->service;
	hist_clear(&r->lateness);
	r->worst_n = 2;
	r->worst[0] = (struct worst){.at_ns = NS_PER_S, .service_ns = 100000, .response_ns = 100000};
	r->worst[1] = (struct worst){.at_ns = 5, .service_ns = 99000, .response_ns = 99000};
	r->window_length_ns = NS_PER_S;
	r->windows_n = 3;
	r->windows[0].count = 60;
	r->windows[2].count = 40;
	r->timer_slack_ns = 50000;
	return r;
}

static void lie_nothing(struct endpoint_record *r)
{
	(void)r;
}
static void lie_stretch(struct endpoint_record *r)
{
	r->started_ns = 0;
	r->ended_ns = 1ull << 62;
}
static void lie_at(struct endpoint_record *r)
{
	r->worst[1].at_ns = 1ull << 62;
}
static void lie_worst(struct endpoint_record *r)
{
	r->worst[0].response_ns = 100001;
}
static void lie_worst_service(struct endpoint_record *r)
{
	r->worst[0].service_ns = 100001;
}
static void lie_order(struct endpoint_record *r)
{
	r->worst[2] = r->worst[1];
	r->worst[1].response_ns = r->worst[1].service_ns = 5;
	r->worst_n = 3;
}
static void lie_histogram(struct endpoint_record *r)
{
	hist_add(&r->service, 20 * NS_PER_S);
	r->response = r->service;
	r->transactions++;
}
static void lie_windows(struct endpoint_record *r)
{
	r->window_length_ns = 20 * NS_PER_S;
}
static void lie_window_counts(struct endpoint_record *r)
{
	r->windows[1].count = UINT64_MAX;
}
static void lie_no_service(struct endpoint_record *r)
{
	r->has_service = false;
}
static void lie_lateness(struct endpoint_record *r)
{
	r->has_lateness = true;
}
static void lie_receiver(struct endpoint_record *r)
{
	r->receiver = true;
}
static void lie_sent(struct endpoint_record *r)
{
	r->sent = 99;
}
static void true_server(struct endpoint_record *r)
{
	r->has_service = false;
	r->worst_n = r->windows_n = 0;
}

static void what_cannot_be_true_is_refused(void **state)
{
	static const struct {
		void (*lie)(struct endpoint_record *r);
		const char *workload, *transactions;
		bool server;
		const char *says; /* NULL: it is accepted */
	} rows[] = {
		{lie_nothing, "tcp_rr", "100", false, NULL},
		{lie_nothing, "udp_rr", "0", false, NULL},
		{lie_nothing, "tcp_rr", "99", false, "the job has 99"},
		{lie_nothing, "tcp_rr", "0", true, "'service' is not to be expected"},
		{lie_nothing, "tcp_stream", "0", false, "'service' is not to be expected"},
		{true_server, "tcp_rr", "0", true, NULL},
		{true_server, "tcp_maerts", "0", true, NULL},
		{true_server, "tcp_stream", "0", true, "'receiver' is false"},
		{true_server, "tcp_maerts", "0", false, "'receiver' is false"},
		{lie_stretch, "tcp_rr", "0", false,
			"a measured stretch of 4611686018 s: there were only 10.0 s"},
		{lie_at, "tcp_rr", "0", false, "among 'worst'"},
		{lie_worst, "tcp_rr", "0", false, "the histogram does not"},
		{lie_worst_service, "tcp_rr", "0", false, "the histogram does not"},
		{lie_order, "tcp_rr", "0", false, "slowest first"},
		{lie_histogram, "tcp_rr", "0", false, "a service time of 20.0 s"},
		{lie_windows, "tcp_rr", "0", false, "windows of 20.0 s"},
		{lie_window_counts, "tcp_rr", "0", false, "'windows' hold more"},
		{lie_no_service, "tcp_rr", "0", false, "'service' is missing"},
		{lie_lateness, "tcp_rr", "0", false, "'lateness' is not to be expected"},
		{lie_receiver, "tcp_rr", "0", false, "'receiver' is true"},
		{lie_sent, "tcp_rr", "0", false, "100 transactions of 99 requests"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		AUTO_FREE struct endpoint_record *r = true_record();
		struct err e = ERR_INIT;
		struct endpoint_job job;
		struct settings s;

		settings_init(&s);
		assert_int_equal(setting_set(&s, "workload", rows[i].workload, &e), 0);
		assert_int_equal(setting_set(&s, "transactions", rows[i].transactions, &e), 0);
		assert_int_equal(setting_set(&s, "duration", "2s", &e), 0);
		assert_int_equal(job_make(&job, &s, rows[i].server, &e), 0);
		rows[i].lie(r);
		int rc = endpoint_record_check(r, &job, 10 * NS_PER_S, &e);
		if (rc != (rows[i].says ? -EINVAL : 0) || (rows[i].says && !strstr(e.text, rows[i].says)))
			fail_msg("row %zu: %d, '%s', expected '%s'", i, rc, e.text,
				rows[i].says ? rows[i].says : "");
	}
}

static void an_open_loop_has_lateness(void **state)
{
	AUTO_FREE struct endpoint_record *r = true_record();
	struct err e = ERR_INIT;
	struct endpoint_job job;
	struct settings s;

	(void)state;
	settings_init(&s);
	s.rate = 100;
	s.duration_ns = 2 * NS_PER_S;
	assert_int_equal(job_make(&job, &s, false, &e), 0);
	assert_int_equal(endpoint_record_check(r, &job, 10 * NS_PER_S, &e), -EINVAL);
	assert_non_null(strstr(e.text, "'lateness' is missing"));
	r->has_lateness = true;
	for (int i = 0; i < 100; i++)
		hist_add(&r->lateness, 0);
	if (endpoint_record_check(r, &job, 10 * NS_PER_S, &e) < 0)
		fail_msg("%s", e.text);
}

/* Warm-up 1 s, stretch 2 s and 0.5 s more of sending: 700 000 answered in 3.5 s, of which 79 had been due
 * late enough. */
static void the_rate_of_a_late_open_loop_is_what_was_answered(void **state)
{
	AUTO(auto_trial_record) struct trial_record *r = trial_record_new();

	(void)state;
	settings_init(&r->settings);
	r->settings.warmup_ns = NS_PER_S;
	r->ends[END_CLIENT].record.started_ns = 5 * NS_PER_S;
	r->ends[END_CLIENT].record.ended_ns = r->ends[END_CLIENT].record.started_ns + 5 * NS_PER_S / 2;
	r->ends[END_CLIENT].record.transactions = 79;
	r->ends[END_CLIENT].record.sent = 700100;
	r->ends[END_CLIENT].record.lost = 100;
	assert_float_equal(trial_rate_per_s(r), 79 / 2.5, 1e-9);
	r->settings.rate = 2000000;
	assert_float_equal(trial_rate_per_s(r), 200000, 1e-9);
	assert_float_equal(trial_sent_per_s(r), 700100 / 3.5, 1e-9); /* by this the schedule is judged */
	r->ends[END_CLIENT].record.ended_ns = r->ends[END_CLIENT].record.started_ns;
	assert_true(isnan(trial_rate_per_s(r)));
}

/* --- jobs -------------------------------------------------------------------------------------- */

static void job_of(struct endpoint_job *job, bool server)
{
	struct settings s;
	struct err e = ERR_INIT;

	settings_init(&s);
	s.workload = "udp_rr";
	s.rate = 500;
	s.flows = 2;
	s.congestion = "cubic";
	s.profile = "low-latency";
	assert_int_equal(job_make(job, &s, server, &e), 0);
	strcpy(job->address, "10.87.0.2");
	strcpy(job->token, "00112233445566778899aabbccddeeff");
	job->ports[0] = 1;
	job->ports[1] = 65535;
}

static void a_job_comes_back_as_it_was_sent(void **state)
{
	struct endpoint_job job, again;
	struct err e = ERR_INIT;

	(void)state;
	for (int server = 0; server < 2; server++) {
		job_of(&job, server);
		json_t *object = job_json(&job);
		if (job_from_json(&again, object, &e) < 0)
			fail_msg("%s", e.text);
		json_t *written = job_json(&again);
		assert_true(json_equal(object, written));
		assert_true(again.lock_memory);
		assert_ptr_equal(again.workload, workload_find("udp_rr"));
		assert_int_equal(again.ports[1], 65535);
		json_decref(object);
		json_decref(written);
	}
}

static void an_end_is_told_nothing_that_it_does_not_need(void **state)
{
	static const char *const secrets[] = {
		"settings", "apply", "revert", "disk", "login", "kernel", "isolate"};
	struct endpoint_job job;

	(void)state;
	job_of(&job, true);
	json_t *object = job_json(&job);
	for (size_t i = 0; i < ARRAY_LEN(secrets); i++)
		if (json_object_get(object, secrets[i]))
			fail_msg("a job holds '%s'", secrets[i]);
	json_decref(object);
}

static void a_job_out_of_bounds_is_refused(void **state)
{
	static const struct {
		const char *key;
		json_int_t value;
	} rows[] = {{"flows", 0}, {"flows", FLOWS_MAX + 1}, {"burst", 0}, {"request", 0}, {"size", 1 << 30},
		{"port", 65536}, {"timeout", 0}, {"rate", -1}};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct endpoint_job job, again = {0};
		struct err e = ERR_INIT;

		job_of(&job, false);
		json_t *object = job_json(&job);
		json_object_set_new(object, rows[i].key, json_integer(rows[i].value));
		int rc = job_from_json(&again, object, &e);
		if (rc >= 0)
			fail_msg("%s %lld was taken", rows[i].key, (long long)rows[i].value);
		json_object_del(object, rows[i].key);
		assert_true(job_from_json(&again, object, &e) < 0);
		json_decref(object);
	}
}

/* --- ends of a trial --------------------------------------------------------------------------- */

static json_t *vm_record(const char *site)
{
	AUTO(auto_trial_record) struct trial_record *r = trial_record_new();
	struct trial_plan plan;
	struct settings s;

	settings_init(&s);
	s.site = site;
	assert_int_equal(plan_make(&plan, &s, ERR_IGNORED), 0);
	trial_record_begin(r, &plan);
	return trial_record_json(r);
}

static void a_record_says_where_its_ends_were(void **state)
{
	AUTO(auto_trial_record) struct trial_record *r = trial_record_new();
	json_t *object = vm_record("lab:6.12");

	(void)state;
	assert_int_equal(trial_record_from_json(r, object, READ_STREAM, ERR_IGNORED), 0);
	assert_int_equal(r->ends_n, 2);
	assert_int_equal(r->ends[END_CLIENT].role, ROLE_CLIENT);
	assert_int_equal(r->ends[END_SERVER].role, ROLE_SERVER);
	assert_string_equal(r->ends[END_SERVER].site, "lab:6.12");
	assert_int_equal(r->ends[END_SERVER].driver, DRIVER_SOCKET);
	json_decref(object);
}

static void the_site_of_an_end_is_whole_however_long(void **state)
{
	AUTO(auto_trial_record) struct trial_record *r = trial_record_new();
	char site[4 + 4096] = "lab:/";

	(void)state;
	memset(site + 5, 'x', sizeof(site) - 6);
	json_t *object = vm_record(site);
	assert_int_equal(trial_record_from_json(r, object, READ_STREAM, ERR_IGNORED), 0);
	assert_string_equal(r->ends[END_SERVER].site, site);
	json_decref(object);
}

/* As it was written before there was a choice of drivers. */
static void an_old_record_has_two_ends_on_the_host_of_its_settings(void **state)
{
	AUTO(auto_trial_record) struct trial_record *r = trial_record_new();
	json_t *object = vm_record("lab:6.12");

	(void)state;
	json_object_del(object, "ends");
	assert_true(trial_record_from_json(r, object, READ_STREAM, ERR_IGNORED) < 0);
	assert_int_equal(trial_record_from_json(r, object, READ_ARCHIVE, ERR_IGNORED), 0);
	assert_int_equal(r->ends_n, 2);
	assert_string_equal(r->ends[END_CLIENT].site, "lab:6.12");
	json_decref(object);
}

static void ends_that_cannot_be_are_refused(void **state)
{
#define SERVER "{'role': 'server', 'site': 'local', 'driver': 'socket'}"
	static const char *const rows[] = {
		"[]",
		"[1, 2]",
		"[{'role': 'server'}, {'role': 'client'}]",
		"[{'role': 'client', 'site': 'local', 'driver': 'magic'}, " SERVER "]",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		AUTO(auto_trial_record) struct trial_record *r = trial_record_new();
		AUTO_FREE char *text = str_dup(rows[i]);
		json_t *object = vm_record("lab:6.12");
		for (char *c = text; *c; c++)
			*c = *c == '\'' ? '"' : *c;
		json_object_set_new(object, "ends", json_loads(text, 0, NULL));
		if (trial_record_from_json(r, object, READ_STREAM, ERR_IGNORED) >= 0)
			fail_msg("taken: %s", rows[i]);
		json_decref(object);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_record_says_where_its_ends_were),
		cmocka_unit_test(the_site_of_an_end_is_whole_however_long),
		cmocka_unit_test(an_old_record_has_two_ends_on_the_host_of_its_settings),
		cmocka_unit_test(ends_that_cannot_be_are_refused),
		cmocka_unit_test(a_job_comes_back_as_it_was_sent),
		cmocka_unit_test(an_end_is_told_nothing_that_it_does_not_need),
		cmocka_unit_test(a_job_out_of_bounds_is_refused),
		cmocka_unit_test(control_characters_do_not_come_through),
		cmocka_unit_test(an_error_of_an_agent_is_harmless),
		cmocka_unit_test(what_cannot_be_true_is_refused),
		cmocka_unit_test(an_open_loop_has_lateness),
		cmocka_unit_test(the_rate_of_a_late_open_loop_is_what_was_answered),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
