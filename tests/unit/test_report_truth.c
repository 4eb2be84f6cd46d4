/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a report claims of its trials beyond their figures: that they had settled, and what was verified. */
#include "test_report_world.h"

#include <stdio.h>

static const struct shape shape = {10000, 10, 10, 20000, "unknown"};

/* Windows in the client's record: `n` of them, from window `from` on by `factor` larger. */
static struct trial_record *record_with(
	const struct settings *s, uint64_t block, size_t n, size_t from, double factor)
{
	struct trial_record *r = rr_record(s, &shape, block);
	struct endpoint_record *c = &r->ends[END_CLIENT].record;

	c->windows_n = n;
	c->window_length_ns = NS_PER_S / n;
	for (size_t i = 0; i < n; i++)
		c->windows[i] = (struct window){.count = 10,
			.sum_ns = 100000,
			.max_ns = 20000,
			.median_ns = (uint64_t)((i >= from ? factor : 1) * 10000) + i * 7919 % 100};
	return r;
}

static json_t *arm_of(const struct report *r, const char *arm)
{
	json_t *all = report_json(r), *cell = json_array_get(json_object_get(all, "cells"), 0);
	json_t *found = json_incref(json_object_get(json_object_get(cell, "arms"), arm));

	json_decref(all);
	return found;
}

static void a_cell_has_settled_where_that_was_judged_and_nowhere_else(void **state)
{
	struct world *w = *state;
	struct settings arms[2] = {settings_of("tcp_rr", "stock"), settings_of("tcp_rr", "low-latency")};
	const struct report_style style = {0};
	struct report *r = NULL;
	struct buf b = {0};

	run_begin(w, "stretches", 4);
	int64_t cell = cell_add(w, "container", arms);
	for (uint64_t i = 0; i < 4; i++) {
		trial_add(w, cell, "stock", i, record_with(&arms[0], i, i < 3 ? 50 : 400, 400, 1));
		/* behind the middle, where no cut at the start would help */
		trial_add(w, cell, "tuned", i, record_with(&arms[1], i, 400, 280, i < 2 ? 1 : 0.7));
	}
	CHECK(report_load(&r, w->store, w->run, NULL, &problem));
	report_terminal(r, &style, &b);
	reads(&b, "settled in 3 of 8, too short to tell in 3");
	reads(&b, "changed in 2 of 8 trials (the level changed inside the trial)");
	says_not(&b, "steady");
	json_t *arm = arm_of(r, "stock"), *n = json_object_get(arm, "stretches");
	assert_int_equal(json_integer_value(json_object_get(n, "too_short")), 3);
	assert_int_equal(json_integer_value(json_object_get(n, "settled")), 1);
	json_decref(arm);
	buf_free(&b);
	report_free(r);
}

static void where_nothing_was_judged_nothing_is_called_settled(void **state)
{
	struct world *w = *state;
	struct settings arms[2] = {settings_of("tcp_rr", "stock"), settings_of("tcp_rr", "low-latency")};
	const struct report_style style = {0};
	struct report *r = NULL;
	struct buf b = {0};

	run_begin(w, "short", 2);
	int64_t cell = cell_add(w, "container", arms);
	for (uint64_t i = 0; i < 2; i++) {
		trial_add(w, cell, "stock", i, rr_record(&arms[0], &shape, i));
		trial_add(w, cell, "tuned", i, rr_record(&arms[1], &shape, i));
	}
	CHECK(report_load(&r, w->store, w->run, NULL, &problem));
	report_terminal(r, &style, &b);
	reads(&b, "whether it had settled: too short to tell in 4 of 4");
	says_not(&b, "settled in");
	says_not(&b, "steady");
	buf_free(&b);
	report_free(r);
}

static void reset_conditions(struct trial_record *r)
{
	for (size_t i = 0; i < r->ends_n; i++)
		r->ends[i].record.conditions = (struct conditions){
			3, {{CONDITION_SCHED, "", "other", "other"}, {CONDITION_NICE, "", "0", "0"},
				   {CONDITION_CPUS, "", "0-1", "0-1"}}};
}

static void what_was_not_verified_is_named_with_both_values(void **state)
{
	struct settings s = settings_of("tcp_rr", "low-latency");
	AUTO(auto_trial_record) struct trial_record *r = rr_record(&s, &shape, 0);
	const struct report_style style = {0};
	struct report_trial t;
	char why[REPORT_WHY_MAX];
	struct buf b = {0};

	(void)state;
	r->verified = false;
	reset_conditions(r);
	str_copy(r->ends[END_CLIENT].record.conditions.at[0].after, CONDITION_TEXT, "fifo:10");
	r->conditions = (struct conditions){1, {{CONDITION_MTU, "taut-client", "1500", "1400"}}};
	json_decref(r->knobs);
	r->knobs = json_loads("[{\"id\":\"x\",\"object\":\"/sys/x\",\"value\":\"1\",\"status\":\"changed\","
			      "\"reason\":\"reads back '2'\"}]",
		0, NULL);
	report_trial_terminal(r, &style, &b);
	reads(&b,
		"configuration NOT VERIFIED: client: scheduling was other before and fifo:10 after measuring; "
		"taut-client: MTU was 1500 before and 1400 after measuring; "
		"/sys/x was set to '1', reads back '2'");
	reads(&b,
		"client on any CPU of 0-1, sched other, then fifo:10, server on any CPU of 0-1, sched other,");
	says_not(&b, "by the profile");
	report_trial_fill(&t, r);
	report_trial_why(&t, why, sizeof(why));
	assert_non_null(strstr(why, "configuration not verified: client: scheduling was other before"));
	json_t *json = report_trial_json(r), *first = json_array_get(json_object_get(json, "conditions"), 0);
	assert_true(json_is_false(json_object_get(first, "holds")));
	assert_non_null(strstr(json_string_value(json_object_get(json, "not_verified")), "fifo:10"));
	json_decref(json);
	buf_free(&b);
}

static void the_link_of_a_guest_is_told_with_the_guest(void **state)
{
	struct settings s = settings_of("tcp_rr", "stock");
	AUTO(auto_trial_record) struct trial_record *r = rr_record(&s, &shape, 0);
	const struct report_style style = {0};
	struct condition *own = r->ends[END_SERVER].record.conditions.at;
	struct buf b = {0};

	(void)state;
	reset_conditions(r);
	r->conditions =
		(struct conditions){2, {{CONDITION_MTU, "taut-tap", "1500", "1500"},
					       {CONDITION_QDISC, "taut-tap", "fq_codel", "fq_codel"}}};
	own[3] = (struct condition){CONDITION_MTU, "eth0", "1500", "1500"};
	own[4] = (struct condition){CONDITION_DRIVER, "eth0", "virtio_net", "virtio_net"};
	own[5] = (struct condition){CONDITION_MODERATION, "eth0", "off", "adaptive-rx"};
	r->ends[END_SERVER].record.conditions.n = 6;
	report_trial_terminal(r, &style, &b);
	reads(&b, "MTU 1500, queueing discipline fq_codel, in the guest MTU 1500, device driver virtio_net, "
		  "interrupt moderation off, then adaptive-rx,");
	json_t *json = report_trial_json(r), *list = json_object_get(json, "conditions"), *one;
	size_t i, found = 0;
	json_array_foreach (list, i, one)
		found += !strcmp(json_string_value(json_object_get(one, "object")), "server eth0");
	assert_int_equal(found, 3);
	json_decref(json);
	buf_free(&b);
}

/* Without root, or on one CPU, hardly anything of the profile is done; then that is what is said. */
static void knobs_that_were_skipped_are_counted_with_reasons(void **state)
{
	struct settings s = settings_of("tcp_rr", "low-latency");
	AUTO(auto_trial_record) struct trial_record *r = rr_record(&s, &shape, 0);
	const struct report_style style = {0};
	struct buf b = {0};

	(void)state;
	reset_conditions(r);
	json_decref(r->knobs);
	r->knobs =
		json_loads("[{\"id\":\"net-busy-read\",\"status\":\"skipped\",\"reason\":\"not here\"},"
			   "{\"id\":\"partition-cgroup2\",\"status\":\"skipped\",\"reason\":\"needs root\"},"
			   "{\"id\":\"partition-affinity\",\"status\":\"skipped\",\"reason\":\"needs root\"},"
			   "{\"id\":\"endpoint-cpu\",\"status\":\"effective\",\"reason\":null}]",
			0, NULL);
	report_trial_terminal(r, &style, &b);
	reads(&b, "1 knob effective, 0 as found, 3 skipped (2: needs root; 1: not here); "
		  "CPUs not kept apart: the ends are pinned, but other tasks may run beside them");
	json_t *json = report_trial_json(r), *knobs = json_object_get(json, "knobs");
	assert_string_equal(json_string_value(json_object_get(knobs, "partition")), "none");
	assert_int_equal(json_array_size(json_object_get(knobs, "skip_reasons")), 2);
	json_decref(json);
	buf_free(&b);
}

/* A tool may not tell the CPU time of its process, nor how many transactions it saw: then there is none. */
static void cpu_time_of_a_transaction_that_nobody_told_is_null(void **state)
{
	static const struct {
		unsigned client, server; /* FIGURE(…) that they do not know */
	} rows[] = {{0, 0}, {FIGURE(CPU), 0}, {0, FIGURE(TRANSACTIONS)}, {FIGURE(CPU), FIGURE(CPU)}};
	struct world *w = *state;
	struct settings arms[2] = {settings_of("tcp_rr", "stock"), settings_of("tcp_rr", "low-latency")};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		AUTO(auto_report) struct report *r = NULL;
		run_begin(w, "cpu", 2);
		int64_t cell = cell_add(w, "container", arms);
		for (uint64_t b = 0; b < 4; b++) {
			struct trial_record *t = rr_record(&arms[b % 2], &shape, b / 2);
			for (size_t end = 0; end < ENDS_MAX; end++) {
				struct endpoint_record *record = &t->ends[end].record;
				record->unknown |= end == END_CLIENT ? rows[i].client : rows[i].server;
				record->transactions = 20000;
				record->cpu_ns = record->unknown & FIGURE(CPU) ? 0 : 40000000;
			}
			trial_add(w, cell, b % 2 ? "tuned" : "stock", b / 2, t);
		}
		CHECK(report_load(&r, w->store, w->run, NULL, &problem));
		json_t *arm = arm_of(r, "stock"), *cpu = json_object_get(arm, "cpu_per_transaction_ns");
		const json_t *client = json_object_get(cpu, "client"),
			     *server = json_object_get(cpu, "server");
		assert_int_equal(json_is_null(client), rows[i].client != 0);
		assert_int_equal(json_is_null(server), rows[i].server != 0);
		if (!rows[i].client)
			assert_int_equal((int)json_number_value(client), 2000);
		if (!rows[i].server)
			assert_int_equal((int)json_number_value(server), 2000);
		json_decref(arm);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			a_cell_has_settled_where_that_was_judged_and_nowhere_else, setup, teardown),
		cmocka_unit_test_setup_teardown(
			where_nothing_was_judged_nothing_is_called_settled, setup, teardown),
		cmocka_unit_test(what_was_not_verified_is_named_with_both_values),
		cmocka_unit_test(the_link_of_a_guest_is_told_with_the_guest),
		cmocka_unit_test(knobs_that_were_skipped_are_counted_with_reasons),
		cmocka_unit_test_setup_teardown(
			cpu_time_of_a_transaction_that_nobody_told_is_null, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
