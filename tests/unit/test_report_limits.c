/* SPDX-License-Identifier: GPL-3.0-or-later */
/* report: the line and the interrupt moderation of devices, where they explain a figure. */
#include "test_report_world.h"

static const struct report_style plain = {0};

/* A run of one cell whose trials have such a device in their path; NULL: none. */
static struct report *device_report(
	struct world *w, double value, bool stream, const char *moderation, const char *line_bps)
{
	struct settings arms[2] = {settings_of(stream ? "tcp_stream" : "tcp_rr", "stock")};
	struct report *r = NULL;

	arms[1] = arms[0];
	run_begin(w, "device", 6);
	int64_t cell = cell_add(w, "container/oci/device/x", arms);
	for (uint64_t b = 0; b < 6; b++)
		for (int a = 0; a < 2; a++) {
			struct shape shape = {(uint64_t)(a ? value / 3 : value), 1, 1, 2000, "unknown"};
			struct trial_record *t = stream ? stream_record(&arms[a], a ? value / 3 : value, b)
							: rr_record(&arms[a], &shape, b);
			t->conditions.n = 0;
			if (moderation)
				condition_add(
					&t->conditions, CONDITION_MODERATION, "eth2", moderation, moderation);
			condition_add(&t->conditions, CONDITION_LINE_RATE, "eth2", line_bps, line_bps);
			condition_add(
				&t->conditions, CONDITION_LINE_RATE, "eth3", "40000000000", "40000000000");
			trial_add(w, cell, a ? "tuned" : "stock", b, t);
		}
	CHECK(store_run_end(w->store, w->run, "done", &problem));
	CHECK(report_load(&r, w->store, w->run, NULL, &problem));
	return r;
}

/* 8000 interrupts a second, as in the thesis of 2015, and what only looks like it. */
static void interrupt_moderation_is_named_when_it_explains_a_median(void **state)
{
	static const struct {
		double ns;
		const char *moderation, *text; /* NULL: not named */
	} rows[] = {
		{125000, "rx-usecs=125",
			"stock: the median, 125 µs, is 1 × 125 µs, the period of the interrupt moderation"},
		{249000, "rx-usecs=125 tx-usecs=50", "is 2 × 125 µs"},
		{50100, "tx-usecs=50", "is 1 × 50.0 µs"},
		{130000, "rx-usecs=125", NULL},
		{1250000, "rx-usecs=125", NULL}, /* ten of them */
		{3000, "rx-usecs=3", NULL},      /* too short to tell */
		{125000, "adaptive-rx", NULL},
		{125000, "adaptive-rx=1 rx-usecs=125", NULL},
		{125000, "tx-usecs=125 adaptive-tx=1", NULL},
		{125000, "adaptive-tx=1 rx-usecs=125 tx-usecs=50", "is 1 × 125 µs"},
		{125000, "rx-usecs-irq=125", NULL},
		{125000, "off", NULL},
		{125000, NULL, NULL},
	};
	struct world *w = *state;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		AUTO(auto_report)
		struct report *r = device_report(w, rows[i].ns, false, rows[i].moderation, "10000000000");
		AUTO(buf_free) struct buf b = {0};
		report_terminal(r, &plain, &b);
		if (rows[i].text)
			reads(&b, rows[i].text);
		else
			says_not(&b, "  limit  ");
		says_not(&b, "tuned: the median");
		json_t *o = report_json(r);
		const json_t *cell = json_array_get(json_object_get(o, "cells"), 0);
		const json_t *limits =
			json_object_get(json_object_get(json_object_get(cell, "arms"), "stock"), "limits");
		has_keys(limits, "line_rate_bps moderation_ns moderation_periods");
		assert_int_equal(json_is_null(json_object_get(limits, "moderation_periods")), !rows[i].text);
		json_decref(o);
	}
}

/* Of the slower of two devices, and of what it carries besides headers. */
static void a_throughput_is_at_the_line_rate_from_99_percent_of_what_the_line_carries(void **state)
{
	static const struct {
		double bps;
		const char *line_bps;
		bool flagged;
	} rows[] = {
		{9.413e9, "10000000000", true}, {9.33e9, "10000000000", true}, {9.31e9, "10000000000", false},
		{0.941e9, "1000000000", true},
		{9.41e9, "unknown", false}, /* then it is the other's 40 Gb/s */
	};
	struct world *w = *state;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		AUTO(auto_report)
		struct report *r = device_report(w, rows[i].bps, true, NULL, rows[i].line_bps);
		if (r->cells[0].flag[REPORT_LINE_RATE] != rows[i].flagged)
			fail_msg("%.3g b/s over %s: %d", rows[i].bps, rows[i].line_bps, !rows[i].flagged);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			interrupt_moderation_is_named_when_it_explains_a_median, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_throughput_is_at_the_line_rate_from_99_percent_of_what_the_line_carries, setup,
			teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
