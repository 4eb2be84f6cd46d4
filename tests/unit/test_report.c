/* SPDX-License-Identifier: GPL-3.0-or-later */
/* report: a run with known data is stored, and every format shows it as expected. */
#include "test_report_world.h"

#include "report/formats.h"
#include "report/text.h"
#include "wire/base64.h"

#include <math.h>
#include <stdio.h>
#include <zlib.h>

/* --- a run
 * ------------------------------------------------------------------------------------------------------ */

/* tcp_rr: tuned is 20 % faster with a hundredth of the tail; one trial of block 3 failed and tuned's of block
 * 5 was capped. */
static void fill_rr(struct world *w, uint64_t blocks, uint64_t transactions)
{
	struct settings arms[2] = {settings_of("tcp_rr", "stock"), settings_of("tcp_rr", "low-latency")};
	const struct shape shapes[2] = {
		{20000, 40, 500, transactions, "run-queue wait"}, {16000, 10, 5, transactions, "steal"}};
	int64_t cell = cell_add(w, "container/oci/bridge/tcp_rr", arms);

	for (uint64_t b = 0; b < blocks; b++)
		for (int a = 0; a < 2; a++) {
			struct trial_record *r = rr_record(&arms[a], &shapes[a], b);

			if (b == 3 && a) {
				r->outcome = TRIAL_FAILED;
				str_copy(r->reason, sizeof(r->reason), "the server ended, \"early\"");
			}
			r->ends[END_CLIENT].record.capped = b == 5 && a;
			trial_add(w, cell, a ? "tuned" : "stock", b, r);
		}
}

static void fill_stream(struct world *w, uint64_t blocks)
{
	struct settings arms[2] = {
		settings_of("tcp_stream", "stock"), settings_of("tcp_stream", "low-latency")};
	int64_t cell = cell_add(w, "container/oci/bridge/tcp_stream", arms);

	for (uint64_t b = 0; b < blocks; b++)
		for (int a = 0; a < 2; a++)
			trial_add(w, cell, a ? "tuned" : "stock", b,
				stream_record(
					&arms[a], (a ? 9.41e9 : 8.5e9) * (1 + 1e-4 * (double)(b % 4)), b));
}

static void fill_open(struct world *w, uint64_t blocks)
{
	struct settings arms[2] = {settings_of("udp_rr", "stock"), settings_of("udp_rr", "low-latency")};
	const struct shape shape = {30000, 30, 3, 2000, "interrupts"};

	for (int a = 0; a < 2; a++) {
		arms[a].rate = 2000;
		arms[a].pacing = "open";
	}
	int64_t cell = cell_add(w, "container/oci/bridge/udp_rr/open-2000", arms);
	for (uint64_t b = 0; b < blocks; b++)
		for (int a = 0; a < 2; a++) {
			struct trial_record *r = open_record(&arms[a], &shape, b);

			r->rate_missed = b == 2 && a;
			r->ends[END_CLIENT].record.lost = b == 1;
			r->ends[END_CLIENT].record.sent += r->ends[END_CLIENT].record.lost;
			trial_add(w, cell, a ? "tuned" : "stock", b, r);
		}
}

static void add_skipped(struct world *w, const char *name, const char *reason)
{
	struct store_cell cell = {.skipped = true};

	str_copy(cell.name, sizeof(cell.name), name);
	str_copy(cell.reason, sizeof(cell.reason), reason);
	CHECK(store_cell_add(w->store, w->run, &cell, NULL, 0, &problem));
}

static struct report *full_report(struct world *w)
{
	struct report *r = NULL;

	run_begin(w, "quick", 12);
	fill_rr(w, 12, 20000);
	fill_stream(w, 12);
	fill_open(w, 12);
	add_skipped(w, "vm/bridge/vhost/tcp_rr", "no /dev/vhost-net");
	CHECK(store_run_end(w->store, w->run, "done", &problem));
	CHECK(report_load(&r, w->store, w->run, NULL, &problem));
	return r;
}

/* --- the model
 * ------------------------------------------------------------------------------------------------------ */

/* Of records from before "why" was written the sentence tells; of others it does not. */
static void a_knob_that_was_not_needed_is_not_counted_as_skipped(void **state)
{
	static const struct {
		const char *knobs;
		size_t skipped;
		const char *reason;
	} rows[] = {
		{"[{\"status\":\"skipped\",\"reason\":\"not needed: another way holds\"}]", 0, ""},
		{"[{\"status\":\"skipped\",\"reason\":\"needs root\"}]", 1, "needs root"},
		{"[{\"status\":\"skipped\",\"reason\":\"x\",\"why\":\"other-way\"}]", 0, ""},
		{"[{\"status\":\"skipped\",\"reason\":\"not needed here\",\"why\":null}]", 1,
			"not needed here"},
		{"[{\"status\":\"skipped\",\"reason\":\"x\",\"why\":\"of a later version\"}]", 1, "x"},
	};
	struct settings s = settings_of("tcp_rr", "low-latency");
	const struct shape shape = {20000, 40, 5, 2000, "steal"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		AUTO(auto_trial_record) struct trial_record *r = rr_record(&s, &shape, 0);
		struct report_arm arm = {.name = "tuned", .settings = s};

		json_decref(r->knobs);
		r->knobs = json_loads(rows[i].knobs, 0, NULL);
		report_arm_add(&arm, &(struct store_trial){.block = 0}, r);
		if (arm.knobs.skipped != rows[i].skipped || strcmp(arm.knobs.reason, rows[i].reason))
			fail_msg("%s: %zu skipped (%s), expected %zu (%s)", rows[i].knobs, arm.knobs.skipped,
				arm.knobs.reason, rows[i].skipped, rows[i].reason);
		report_arm_clear(&arm);
	}
}

static void known_data_gives_known_verdicts(void **state)
{
	AUTO(auto_report) struct report *r = full_report(*state);
	const struct report_cell *rr = &r->cells[0], *stream = &r->cells[1], *open = &r->cells[2];

	assert_int_equal(r->cells_n, 4);
	const struct stat_effect *median = effect_of(rr, STAT_LATENCY_MEDIAN);
	assert_int_equal(median->verdict, STAT_IMPROVED);
	if (fabs(median->change + 0.252) > 0.01)
		fail_msg("change of the median: %g", median->change);
	assert_int_equal(effect_of(rr, STAT_LATENCY_SD)->verdict, STAT_IMPROVED);
	assert_int_equal(effect_of(rr, STAT_LATENCY_MEAN)->verdict, STAT_NOT_ASSESSED);
	assert_int_equal(effect_of(stream, STAT_THROUGHPUT)->verdict, STAT_IMPROVED);
	/* A missed rate leaves the whole cell without verdicts. */
	for (size_t i = 0; i < open->pairs[0].n; i++) {
		assert_int_equal(open->pairs[0].effects[i].verdict, STAT_NOT_ASSESSED);
		assert_int_equal(open->pairs[0].effects[i].reason, STAT_REASON_RATE_MISSED);
	}
	assert_int_equal(r->families, 2);
}

static void an_incomplete_block_is_left_out_whole(void **state)
{
	AUTO(auto_report) struct report *r = full_report(*state);
	const struct report_cell *rr = &r->cells[0];

	assert_int_equal(rr->blocks_seen, 12);
	assert_int_equal(rr->blocks_complete, 11);
	assert_int_equal(effect_of(rr, STAT_LATENCY_MEDIAN)->n_blocks, 11);
	/* The other arm's figure of that block still counts for the arm itself. */
	assert_int_equal(rr->arms[0].usable, 12);
	assert_int_equal(rr->arms[1].usable, 11);
}

static void flags_are_raised(void **state)
{
	AUTO(auto_report) struct report *r = full_report(*state);

	assert_true(r->cells[0].flag[REPORT_CAPPED]);
	assert_false(r->cells[0].flag[REPORT_RATE_MISSED]);
	assert_true(r->cells[1].flag[REPORT_LINE_RATE]);
	assert_false(r->cells[1].flag[REPORT_CAPPED]);
	assert_true(r->cells[2].flag[REPORT_RATE_MISSED]);
	assert_int_equal(report_exit_code(r, false), EXIT_DONE);
	assert_int_equal(report_exit_code(r, true), EXIT_NOT_ASSESSED);
}

static void open_loop_latency_is_response_time(void **state)
{
	AUTO(auto_report) struct report *r = full_report(*state);
	const struct report_arm *arm = &r->cells[2].arms[0];

	if (fabs(arm->figure[STAT_LATENCY_MEDIAN] / 61000 - 1) > 0.01)
		fail_msg("median %g", arm->figure[STAT_LATENCY_MEDIAN]);
	assert_non_null(arm->lateness);
	/* 0 lost in most trials, 1 in block 1. */
	assert_true(arm->figure[STAT_LOSS] == 0);
	assert_int_equal(arm->trials[1].lost, 1);
}

static void a_tail_needs_transactions(void **state)
{
	struct world *w = *state;
	AUTO(auto_report) struct report *r = NULL;

	run_begin(w, "small", 8);
	fill_rr(w, 8, 9000);
	CHECK(report_load(&r, w->store, w->run, NULL, &problem));
	assert_true(isnan(r->cells[0].arms[0].figure[STAT_LATENCY_P999]));
	assert_true(isfinite(r->cells[0].arms[0].figure[STAT_LATENCY_P99]));
	json_t *j = report_json(r);
	const json_t *arm = json_object_get(
		json_object_get(json_array_get(json_object_get(j, "cells"), 0), "arms"), "stock");
	assert_true(json_is_null(json_object_get(json_object_get(arm, "latency_ns"), "p99.9")));
	assert_true(json_is_number(json_object_get(json_object_get(arm, "latency_ns"), "p99")));
	assert_null(json_object_get(json_object_get(arm, "trial_values"), "latency_p99.9"));
	json_decref(j);
}

static void exit_codes_of_empty_runs(void **state)
{
	struct world *w = *state;
	struct store_cell cell = {.name = "a", .skipped = true, .reason = "must be root", .privilege = true};

	for (int privilege = 0; privilege < 2; privilege++) {
		AUTO(auto_report) struct report *r = NULL;

		run_begin(w, "none", 8);
		add_skipped(w, "vm/bridge/vhost/tcp_rr", "no /dev/vhost-net");
		if (privilege)
			CHECK(store_cell_add(w->store, w->run, &cell, NULL, 0, &problem));
		CHECK(report_load(&r, w->store, w->run, NULL, &problem));
		assert_int_equal(report_exit_code(r, false), privilege ? EXIT_REFUSED : EXIT_FAILED);
	}
	AUTO(auto_report) struct report *r = NULL;
	run_begin(w, "failed", 8);
	fill_rr(w, 2, 10); /* too few transactions in every trial */
	CHECK(report_load(&r, w->store, w->run, NULL, &problem));
	assert_int_equal(report_exit_code(r, false), EXIT_FAILED);
	assert_int_equal(report_load(&r, w->store, 4711, NULL, &problem), -ENOENT);
}

/* --- JSON
 * ------------------------------------------------------------------------------------------------------------
 */

static void run_json_has_every_key_of_the_contract(void **state)
{
	AUTO(auto_report) struct report *r = full_report(*state);
	json_t *j = report_json(r);
	size_t i;
	json_t *cell, *arm;
	const char *name;

	has_keys(j, "schema run machine cells skipped");
	assert_string_equal(json_string_value(json_object_get(j, "schema")), "taut.run/1");
	has_keys(json_object_get(j, "run"), "id name seed blocks started duration_s");
	has_keys(json_object_get(j, "machine"), "kernel preempt cpus hypervisor");
	assert_int_equal(json_array_size(json_object_get(j, "cells")), 3);
	json_array_foreach (json_object_get(j, "cells"), i, cell) {
		has_keys(cell,
			"id target runtime attachment path workload pacing rate_per_s request_bytes reply_bytes size_bytes flows site host_kernel guest_kernel accel clock noise arms effects flags");
		json_object_foreach (json_object_get(cell, "arms"), name, arm) {
			has_keys(arm,
				"settings trials transactions lost verified latency_ns throughput_bps rate_per_s trial_values");
			has_keys(json_object_get(arm, "settings"), "profile");
			has_keys(json_object_get(arm, "latency_ns"),
				"mean median sd iqr p90 p99 p99.9 p99.99 min max");
			has_keys(json_object_get(arm, "throughput_bps"), "median sd iqr");
		}
		has_keys(json_array_get(json_object_get(cell, "effects"), 0),
			"metric baseline arm primary n_blocks ratio ci95 ci90 coverage p p_holm verdict reason change change_of_new mde");
	}
	const json_t *skipped = json_array_get(json_object_get(j, "skipped"), 0);
	assert_string_equal(json_string_value(json_object_get(skipped, "cell")), "vm/bridge/vhost/tcp_rr");
	assert_string_equal(json_string_value(json_object_get(skipped, "reason")), "no /dev/vhost-net");
	json_decref(j);
}

static void a_key_that_differs_is_null_in_the_cell(void **state)
{
	struct world *w = *state;
	struct settings arms[2] = {settings_of("tcp_rr", "stock"), settings_of("tcp_rr", "stock")};
	const struct shape shape = {20000, 40, 2, 200, "steal"};
	AUTO(auto_report) struct report *r = NULL;

	arms[1].request_bytes = 64;
	run_begin(w, "sizes", 6);
	int64_t cell = cell_add(w, "container/oci/bridge/tcp_rr", arms);
	for (int a = 0; a < 2; a++)
		trial_add(w, cell, a ? "tuned" : "stock", 0, rr_record(&arms[a], &shape, 0));
	CHECK(report_load(&r, w->store, w->run, NULL, &problem));
	json_t *j = report_json(r);
	const json_t *c = json_array_get(json_object_get(j, "cells"), 0);
	const json_t *tuned = json_object_get(json_object_get(c, "arms"), "tuned");
	assert_true(json_is_null(json_object_get(c, "request_bytes")));
	assert_int_equal(
		json_integer_value(json_object_get(json_object_get(tuned, "settings"), "request_bytes")), 64);
	assert_int_equal(json_integer_value(json_object_get(c, "reply_bytes")), 1);
	json_decref(j);
}

static void trial_json_has_every_key_of_the_contract(void **state)
{
	struct settings s = settings_of("tcp_rr", "stock");
	const struct shape shape = {20000, 40, 500, 20000, "steal"};
	AUTO(auto_trial_record) struct trial_record *r = rr_record(&s, &shape, 0);
	json_t *j = report_trial_json(r);

	(void)state;
	has_keys(j,
		"schema pacing offered_per_s sent_per_s achieved_per_s service_ns response_ns lateness_ns lost timeouts reordered duplicates late overtaken dead_flows retransmits cpu_ns steal_ns context_switches worst windows effective_knobs settings");
	has_keys(json_object_get(j, "cpu_ns"), "client server system");
	const json_t *worst = json_array_get(json_object_get(j, "worst"), 0);
	has_keys(worst, "at_ns service_ns response_ns during");
	has_keys(json_object_get(worst, "during"),
		"steal_ns run_queue_wait_ns interrupts softirqs throttled_ns owner");
	assert_true(json_is_null(json_object_get(j, "lateness_ns")));
	assert_true(json_is_number(json_object_get(json_object_get(j, "service_ns"), "p99.9")));
	assert_true(json_is_null(json_object_get(json_object_get(j, "service_ns"), "p99.99")));
	json_decref(j);
	assert_int_equal(report_trial_exit_code(r), EXIT_DONE);
	r->rate_missed = true;
	assert_int_equal(report_trial_exit_code(r), EXIT_FAILED);
}

/* Every other trial of tuned takes twice as long. */
static void of_two_groups_the_arm_is_named(void **state)
{
	struct world *w = *state;
	struct settings arms[2] = {settings_of("tcp_rr", "stock"), settings_of("tcp_rr", "low-latency")};
	const struct report_style plain = {0};
	struct report *r = NULL;
	struct buf b = {0};

	run_begin(w, "groups", 12);
	int64_t cell = cell_add(w, "container/oci/bridge/tcp_rr", arms);
	for (uint64_t block = 0; block < 12; block++)
		for (uint64_t a = 0; a < 2; a++) {
			const struct shape shape = {20000 * (1 + (a & block)), 40, 50, 20000, "steal"};
			trial_add(w, cell, a ? "tuned" : "stock", block, rr_record(&arms[a], &shape, block));
		}
	CHECK(store_run_end(w->store, w->run, "done", &problem));
	CHECK(report_load(&r, w->store, w->run, NULL, &problem));
	assert_false(r->cells[0].arms[0].bimodal);
	assert_true(r->cells[0].arms[1].bimodal);
	report_terminal(r, &plain, &b);
	says(&b, "in tuned (two groups of values");
	buf_free(&b);
	report_free(r);
}

/* --- the terminal
 * -------------------------------------------------------------------------------------------------------- */

/* Cells that are skipped for one reason are one line, and each is named. */
static void a_reason_for_skipping_is_said_once(void **state)
{
	struct world *w = *state;
	AUTO(auto_report) struct report *r = NULL;
	const struct report_style plain = {0};
	AUTO(buf_free) struct buf b = {0};

	run_begin(w, "skipping", 10);
	add_skipped(w, "a", "no cable");
	add_skipped(w, "b", "no KVM");
	add_skipped(w, "c", "no cable");
	CHECK(store_run_end(w->store, w->run, "done", &problem));
	CHECK(report_load(&r, w->store, w->run, NULL, &problem));
	report_terminal(r, &plain, &b);
	says(&b, "\nskipped\n  2 cells: no cable\n    a, c\n  b: no KVM\n");
}

static void terminal_says_what_happened(void **state)
{
	AUTO(auto_report) struct report *r = full_report(*state);
	const struct report_style plain = {0}, coloured = {.colour = true};
	struct buf b = {0};

	report_terminal(r, &plain, &b);
	if (getenv("SHOW"))
		fprintf(stderr, "%s", b.data);
	says(&b, "container/oci/bridge/tcp_rr");
	says(&b, "improved");
	says(&b, "−25.");
	says(&b, "run-queue wait 24 of 32");
	says(&b, "11 of 12 blocks complete (1 left out as a whole)");
	says(&b, "block 4, tuned: failed: the server ended");
	says(&b, "capped in 1 of");
	says(&b, "rate-missed");
	says(&b, "no verdict: the rate asked for was missed");
	says(&b, "no /dev/vhost-net");
	says(&b, "False claims");
	says_not(&b, "!");
	says_not(&b, "\033");
	says_not(&b, "nan");
	if (widest(b.data) > 100)
		fail_msg("a line of %zu columns:\n%s", widest(b.data), b.data);
	b.len = 0;
	report_terminal(r, &coloured, &b);
	says(&b, "\033[32mimproved\033[0m");
	buf_free(&b);
}

/* The same characters in the same order, whatever blanks and ends of lines are between them. */
static void same_but_for_blanks(const char *a, const char *b)
{
	for (;; a++, b++) {
		a += strspn(a, " \n");
		b += strspn(b, " \n");
		if (*a != *b)
			fail_msg("the texts part at '%.40s' and '%.40s'", a, b);
		if (!*a)
			return;
	}
}

static void no_line_is_wider_than_the_terminal(void **state)
{
	AUTO(auto_report) struct report *r = full_report(*state);
	const struct report_style plain = {0};
	AUTO(buf_free) struct buf file = {0};

	report_terminal(r, &plain, &file);
	assert_true(widest(file.data) > 90);
	for (size_t columns = 80; columns <= 120; columns += 10) {
		AUTO(buf_free) struct buf shown = {.columns = columns};
		report_terminal(r, &plain, &shown);
		if (widest(shown.data) > MIN(columns, 100))
			fail_msg(
				"of %zu columns a line of %zu:\n%s", columns, widest(shown.data), shown.data);
		same_but_for_blanks(shown.data, file.data);
	}
}

static void few_blocks_are_numbers_only(void **state)
{
	struct world *w = *state;
	const struct report_style plain = {0};

	for (uint64_t blocks = 3; blocks <= 7; blocks += 4) {
		AUTO(auto_report) struct report *r = NULL;
		struct buf b = {0};

		run_begin(w, "short", 10);
		fill_rr(w, blocks, 20000); /* 7 blocks: 6 complete */
		CHECK(store_run_end(w->store, w->run, "interrupted", &problem));
		CHECK(report_load(&r, w->store, w->run, NULL, &problem));
		report_terminal(r, &plain, &b);
		says(&b, "interrupted");
		says(&b, blocks == 3 ? "3 of 10 blocks" : "6 of 10 blocks");
		says(&b, "no verdict:");
		says_not(&b, "improved");
		if (blocks == 3)
			says_not(&b, " … ");
		else
			says(&b, " … ");
		/* All closed loops, and a maximum far above p99.9. */
		buf_free(&b);
	}
}

static void a_closed_loop_says_what_it_hides(void **state)
{
	struct world *w = *state;
	struct settings arms[2] = {settings_of("tcp_rr", "stock"), settings_of("tcp_rr", "low-latency")};
	const struct shape shape = {20000, 40, 1, 20000, "unknown"};
	const struct report_style plain = {0};
	AUTO(auto_report) struct report *r = NULL;
	struct buf b = {0};

	run_begin(w, "stall", 6);
	int64_t cell = cell_add(w, "container/oci/bridge/tcp_rr", arms);
	for (int a = 0; a < 2; a++) {
		struct trial_record *t = rr_record(&arms[a], &shape, 0);

		hist_add(&t->ends[END_CLIENT].record.service, 300 * NS_PER_MS);
		t->ends[END_CLIENT].record.response = t->ends[END_CLIENT].record.service;
		t->ends[END_CLIENT].record.transactions++;
		trial_add(w, cell, a ? "tuned" : "stock", 0, t);
	}
	CHECK(report_load(&r, w->store, w->run, NULL, &problem));
	report_terminal(r, &plain, &b);
	says(&b, "a closed loop cannot show a stall in its percentiles");
	says(&b, "300 ms");
	buf_free(&b);
}

static void a_trial_has_one_line(void **state)
{
	struct settings s = settings_of("tcp_rr", "stock");
	const struct shape shape = {17000, 10, 70, 20000, "steal"};
	AUTO(auto_trial_record) struct trial_record *r = rr_record(&s, &shape, 0);
	struct buf b = {0};

	(void)state;
	report_trial_line(r, &(struct report_place){7, 120, "container/oci/bridge/tcp_rr", "tuned"}, &b);
	if (getenv("SHOW"))
		fprintf(stderr, "%s\n", b.data);
	says(&b, "[  7/120] container/oci/bridge/tcp_rr  tuned  median 17.5 µs");
	says(&b, "20 000 transactions  verified");
	says_not(&b, "\n");
	b.len = 0;
	r->outcome = TRIAL_FAILED;
	str_copy(r->reason, sizeof(r->reason), "no route");
	report_trial_line(r, &(struct report_place){7, 120, "c", "tuned"}, &b);
	says(&b, "failed: no route");
	buf_free(&b);
}

static void measure_shows_service_beside_response(void **state)
{
	struct settings s = settings_of("udp_rr", "stock");
	const struct shape shape = {17000, 10, 70, 20000, "steal"};
	const struct report_style plain = {0};
	struct buf b = {0};

	(void)state;
	s.rate = 2000;
	s.warmup_ns = 0;
	AUTO(auto_trial_record) struct trial_record *r = open_record(&s, &shape, 0);
	report_trial_terminal(r, &plain, &b);
	if (getenv("SHOW"))
		fprintf(stderr, "%s\n", b.data);
	says(&b, "service");
	says(&b, "response");
	says(&b, "sent late by");
	says(&b, "asked for 2000 /s, sent 20000 /s, answered 20000 /s");
	says(&b, "request 1 B, reply 1 B");
	says(&b, "lost 0 of 20 000 sent");
	assert_true(widest(b.data) <= 100);
	buf_free(&b);
}

/* --- lists and comparisons
 * -------------------------------------------------------------------------------------------------- */

static void list_names_runs(void **state)
{
	struct world *w = *state;
	const struct report_style plain = {0};
	struct buf b = {0};
	json_t *j;

	CHECK(report_list_terminal(w->store, &plain, &b, &problem));
	says(&b, "no runs yet");
	run_begin(w, "first", 8);
	run_begin(w, "second", 8);
	fill_rr(w, 1, 100);
	b.len = 0;
	CHECK(report_list_terminal(w->store, &plain, &b, &problem));
	assert_true(strstr(b.data, "second") < strstr(b.data, "first"));
	CHECK(report_list_json(w->store, &j, &problem));
	const json_t *newest = json_array_get(json_object_get(j, "runs"), 0);
	assert_string_equal(json_string_value(json_object_get(newest, "name")), "second");
	assert_int_equal(json_integer_value(json_object_get(newest, "trials")), 2);
	json_decref(j);
	buf_free(&b);
}

static void two_runs_are_compared_unpaired(void **state)
{
	struct world *w = *state;
	const struct report_style plain = {0};
	AUTO(auto_report) struct report *old = NULL;
	AUTO(auto_report) struct report *new = NULL;
	struct buf b = {0};
	json_t *j;

	run_begin(w, "a", 10);
	fill_rr(w, 10, 20000);
	CHECK(report_load(&old, w->store, w->run, NULL, &problem));
	run_begin(w, "b", 8);
	fill_rr(w, 8, 20000);
	CHECK(report_load(&new, w->store, w->run, NULL, &problem));
	CHECK(report_compare_terminal(old, new, &plain, &b, &problem));
	if (getenv("SHOW"))
		fprintf(stderr, "%s\n", b.data);
	says(&b, "NOT INTERLEAVED");
	says_not(&b, "improved");
	AUTO(buf_free) struct buf narrow = {.columns = 80};
	CHECK(report_compare_terminal(old, new, &plain, &narrow, &problem));
	assert_in_range(widest(narrow.data), 60, 80);
	same_but_for_blanks(narrow.data, b.data);
	CHECK(report_compare_json(old, new, &j, &problem));
	has_keys(j, "schema interleaved old new cells");
	assert_int_equal(json_array_size(json_object_get(j, "cells")), 2);
	json_decref(j);
	assert_int_not_equal(report_compare_exit_code(old, new), EXIT_GATE);

	AUTO(auto_report) struct report *empty = NULL;
	run_begin(w, "c", 8);
	CHECK(report_load(&empty, w->store, w->run, NULL, &problem));
	assert_int_equal(report_compare_terminal(old, empty, &plain, &b, &problem), -ENOENT);
	buf_free(&b);
}

/* Three blocks of a cell with requests of so many bytes. */
static void fill_requests(struct world *w, const char *name, uint64_t bytes)
{
	struct settings arms[2] = {settings_of("tcp_rr", "stock"), settings_of("tcp_rr", "low-latency")};
	const struct shape shape = {20000, 40, 500, 2000, "steal"};

	for (int a = 0; a < 2; a++)
		arms[a].request_bytes = bytes;
	int64_t cell = cell_add(w, name, arms);
	for (uint64_t b = 0; b < 3; b++)
		for (int a = 0; a < 2; a++)
			trial_add(w, cell, a ? "tuned" : "stock", b, rr_record(&arms[a], &shape, b));
}

/* A name tells a cell from the others of its run only, so it can be another one in another run. */
static void cells_of_two_runs_meet_by_their_settings(void **state)
{
	static const struct {
		const char *old, *new[2];
		uint64_t bytes[2];
		const char *met;
	} rows[] = {
		{"rr/request=64", {"rr"}, {64}, "rr"},
		{"rr", {"rr", "rr/request=64"}, {1, 64}, "rr/request=64"},
		{"rr", {"other", "rr"}, {1, 32}, "rr"}, /* changed, and called as before */
	};
	struct world *w = *state;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		AUTO(auto_report) struct report *old = NULL;
		AUTO(auto_report) struct report *new = NULL;
		json_t *j = NULL;

		run_begin(w, "a", 3);
		fill_requests(w, rows[i].old, 64);
		CHECK(report_load(&old, w->store, w->run, NULL, &problem));
		run_begin(w, "b", 3);
		for (size_t c = 0; c < 2 && rows[i].new[c]; c++)
			fill_requests(w, rows[i].new[c], rows[i].bytes[c]);
		CHECK(report_load(&new, w->store, w->run, NULL, &problem));
		CHECK(report_compare_json(old, new, &j, &problem));
		const json_t *cells = json_object_get(j, "cells");
		assert_int_equal(json_array_size(cells), 2); /* one for each arm */
		for (size_t a = 0; a < 2; a++)
			assert_string_equal(
				json_string_value(json_object_get(json_array_get(cells, a), "new_cell")),
				rows[i].met);
		json_decref(j);
	}
}

/* --- CSV and hlog
 * --------------------------------------------------------------------------------------------------------------
 */

/* One field of RFC 4180 into out; returns what follows it. */
static const char *csv_field(const char *at, char *out)
{
	if (*at == '"')
		for (at++; *at && (*at != '"' || at[1] == '"'); at++) {
			at += *at == '"';
			*out++ = *at;
		}
	else
		while (*at && *at != ',' && *at != '\r')
			*out++ = *at++;
	*out = 0;
	at += *at == '"';
	return at;
}

/* A setting whose usual name is taken by what came out has one of its own, see names.c. */
static void no_two_columns_of_csv_have_one_name(void **state)
{
	AUTO(auto_report) struct report *r = full_report(*state);
	char names[160][64], text[1024];
	struct buf b = {0};
	size_t n = 0;

	CHECK(report_format_find("csv")->write(
		r, ((struct world *)*state)->store, &(struct report_style){0}, &b, &problem));
	for (const char *at = b.data; n < ARRAY_LEN(names); at++) {
		at = csv_field(at, text);
		str_copy(names[n], sizeof(names[n]), text);
		for (size_t i = 0; i < n; i++)
			if (!strcmp(names[i], names[n]))
				fail_msg("columns %zu and %zu are both %s", i, n, names[n]);
		n++;
		if (*at != ',')
			break;
	}
	assert_true(n > setting_rows_n + STAT_METRICS && n < ARRAY_LEN(names));
	buf_free(&b);
}

static void every_metric_has_a_label_and_a_unit(void **state)
{
	static const char *const wanted[] = {[STAT_NS] = "1.00 ms",
		[STAT_BPS] = "1.00 Mb/s",
		[STAT_PER_S] = "1000000 /s",
		[STAT_FRACTION] = "1e+08 %"};
	char text[48];

	(void)state;
	for (int m = 0; m < STAT_METRICS; m++) {
		assert_non_null(stat_metrics[m].label);
		assert_string_equal(text_value((enum stat_metric)m, 1e6, text, sizeof(text)),
			wanted[stat_metrics[m].unit]);
	}
}

static void csv_reads_back(void **state)
{
	AUTO(auto_report) struct report *r = full_report(*state);
	struct buf b = {0};
	const char *at;
	char text[1024], reason[1024] = "";
	size_t columns = 0, rows = 0, why = 0;

	CHECK(report_format_find("csv")->write(
		r, ((struct world *)*state)->store, &(struct report_style){0}, &b, &problem));
	at = b.data;
	while (*at) {
		size_t n = 0;

		for (;; at++, n++) {
			at = csv_field(at, text);
			if (!rows && !strcmp(text, "why_not"))
				why = n;
			if (n == why && strstr(text, "failed"))
				str_copy(reason, sizeof(reason), text);
			if (*at != ',')
				break;
		}
		assert_int_equal(strncmp(at, "\r\n", 2), 0);
		at += 2;
		if (!rows)
			columns = n;
		assert_int_equal(n, columns);
		rows++;
	}
	assert_int_equal(rows, 1 + 3 * 24);
	assert_string_equal(reason, "failed: the server ended, \"early\"");
	buf_free(&b);
}

static uint64_t be(const unsigned char *p, size_t n)
{
	uint64_t v = 0;

	while (n--)
		v = v << 8 | *p++;
	return v;
}

static int64_t zigzag(const unsigned char **p)
{
	uint64_t v = 0;

	for (unsigned i = 0; i < 9; i++) {
		unsigned char byte = *(*p)++;

		v |= (uint64_t)(i == 8 ? byte : byte & 0x7f) << (7 * i);
		if (i == 8 || !(byte & 0x80))
			break;
	}
	return (int64_t)(v >> 1) ^ -(int64_t)(v & 1);
}

/* The smallest value of index i, by the other formula: sub-bucket × 2^bucket. */
static uint64_t hdr_value(int64_t i)
{
	int64_t bucket = (i >> 10) - 1, sub = (i & 1023) + 1024;

	if (bucket < 0) {
		sub -= 1024;
		bucket = 0;
	}
	return (uint64_t)sub << bucket;
}

static void hdr_decodes_to_what_went_in(void **state)
{
	static const uint64_t values[] = {
		0, 1, 5, 1023, 1024, 2047, 2048, 2049, 20000, 20001, 1234567, 300000000, 1ull << 41};
	struct hist h;
	size_t len;

	(void)state;
	hist_clear(&h);
	for (size_t i = 0; i < ARRAY_LEN(values); i++)
		for (size_t k = 0; k <= i * 30; k++)
			hist_add(&h, values[i]);
	AUTO_FREE char *text = report_hdr_text(&h);
	AUTO_FREE unsigned char *packed = base64_decode(text, &len);
	assert_non_null(packed);
	assert_int_equal(strncmp(text, "HISTFAAA", 8), 0);
	assert_int_equal(be(packed, 4), 0x1c849314);
	assert_int_equal(be(packed + 4, 4), len - 8);
	unsigned char plain[65536];
	uLongf plain_len = sizeof(plain);
	assert_int_equal(uncompress(plain, &plain_len, packed + 8, len - 8), Z_OK);
	assert_int_equal(be(plain, 4), 0x1c849313);
	assert_int_equal(be(plain + 4, 4), plain_len - 40);
	assert_int_equal(be(plain + 12, 4), 3);
	assert_int_equal(be(plain + 16, 8), 1);
	assert_true(be(plain + 24, 8) >= 1ull << 41);
	assert_int_equal(be(plain + 32, 8), 0x3ff0000000000000);

	uint64_t total = 0, last = 0;
	int64_t index = 0;
	size_t at = 0;
	for (const unsigned char *p = plain + 40; p < plain + plain_len;) {
		int64_t n = zigzag(&p);

		if (n <= 0) {
			index += n ? -n : 1;
			continue;
		}
		/* Every value is read back within its bin (0.4 % in taut, 0.1 % in HdrHistogram), in order.
		 */
		last = hdr_value(index++);
		for (total += (uint64_t)n; n > 0; at++) {
			int64_t count = (int64_t)at * 30 + 1;
			double error_ratio =
				fabs((double)last - (double)values[at]) / (double)MAX(values[at], 1);

			/* 2048 and 2049 (20000 and 20001) share a bin in taut. */
			if (error_ratio > 0.006)
				fail_msg("%llu came back as %llu", (unsigned long long)values[at],
					(unsigned long long)last);
			n -= count;
		}
	}
	assert_int_equal(total, h.count);
	if (last > values[ARRAY_LEN(values) - 1] ||
		(double)last < (double)values[ARRAY_LEN(values) - 1] * 0.999)
		fail_msg("max came back as %llu", (unsigned long long)last);
}

static void hlog_has_a_line_for_every_usable_trial_with_latencies(void **state)
{
	struct world *w = *state;
	AUTO(auto_report) struct report *r = full_report(w);
	struct buf b = {0};
	size_t lines = 0;

	CHECK(report_format_find("hlog")->write(r, w->store, &(struct report_style){0}, &b, &problem));
	says(&b, "#[Histogram log format version 1.3]\n");
	says(&b,
		"\"StartTimestamp\",\"Interval_Length\",\"Interval_Max\",\"Interval_Compressed_Histogram\"\n");
	for (const char *at = b.data; (at = strstr(at, "\nTag=container/oci/bridge/")); at++)
		lines++;
	assert_int_equal(lines, 23 + 24);
	assert_null(report_format_find("pdf"));
	buf_free(&b);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(known_data_gives_known_verdicts),
		cmocka_unit_test(a_knob_that_was_not_needed_is_not_counted_as_skipped),
		TEST(an_incomplete_block_is_left_out_whole),
		TEST(flags_are_raised),
		TEST(of_two_groups_the_arm_is_named),
		TEST(open_loop_latency_is_response_time),
		TEST(a_tail_needs_transactions),
		TEST(exit_codes_of_empty_runs),
		TEST(run_json_has_every_key_of_the_contract),
		TEST(a_key_that_differs_is_null_in_the_cell),
		cmocka_unit_test(trial_json_has_every_key_of_the_contract),
		TEST(a_reason_for_skipping_is_said_once),
		TEST(terminal_says_what_happened),
		TEST(no_line_is_wider_than_the_terminal),
		TEST(few_blocks_are_numbers_only),
		TEST(a_closed_loop_says_what_it_hides),
		cmocka_unit_test(a_trial_has_one_line),
		cmocka_unit_test(measure_shows_service_beside_response),
		TEST(list_names_runs),
		TEST(two_runs_are_compared_unpaired),
		TEST(cells_of_two_runs_meet_by_their_settings),
		TEST(csv_reads_back),
		TEST(no_two_columns_of_csv_have_one_name),
		cmocka_unit_test(every_metric_has_a_label_and_a_unit),
		cmocka_unit_test(hdr_decodes_to_what_went_in),
		TEST(hlog_has_a_line_for_every_usable_trial_with_latencies),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
