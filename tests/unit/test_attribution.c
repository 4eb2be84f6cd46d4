/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Attribution: the rule that names the owners of the slowest transactions, on made-up samples. */
#include "site/attribution.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define SAMPLES  101
#define FIRST_NS (5 * NS_PER_S)
#define PERIOD   SAMPLER_PERIOD_NS

/* --- the rule ---------------------------------------------------------------------------------- */

struct sampled {
	struct sample at[SAMPLES];
	struct samples samples;
};

/* Two seconds in which nothing happens, from FIRST_NS on. */
static struct sampled *quiet(void)
{
	struct sampled *made = mem_alloc(sizeof(*made));

	*made = (struct sampled){.samples = {.at = made->at, .n = SAMPLES, .rt_runtime_us = -1}};
	for (size_t i = 0; i < SAMPLES; i++) {
		made->at[i] = (struct sample){.at_ns = FIRST_NS + i * PERIOD,
			.steal_ns = 1000,
			.irq_ns = 2000,
			.run_queue_wait_ns = 3000,
			.throttled_ns = 4000,
			.interrupts = i * 10,
			.softirqs = i * 20};
	}
	return made;
}

/* From sample `from` on, the counter at this offset is higher by `much`. */
static void grows(struct sampled *made, size_t from, size_t counter, uint64_t much)
{
	for (size_t i = from; i < SAMPLES; i++)
		*(uint64_t *)(void *)((char *)&made->at[i] + counter) += much;
}

/* Every period the counter grows by so much. */
static void runs(struct sampled *made, size_t counter, uint64_t each)
{
	for (size_t i = 1; i < SAMPLES; i++)
		grows(made, i, counter, each);
}

#define GROWS(made, from, counter, much) grows(made, from, offsetof(struct sample, counter), much)
#define RUNS(made, counter, each)        runs(made, offsetof(struct sample, counter), each)

/* The worst transaction was due in the middle of period `period`, and took so long. */
static struct during judge(const struct sampled *made, size_t period, uint64_t response_ns)
{
	const struct worst worst = {.at_ns = period * PERIOD + PERIOD / 2, .response_ns = response_ns};
	struct during d = {0};

	attribute_worst(&made->samples, FIRST_NS, &worst, 1, &d);
	return d;
}

static void owner_is(const struct during *d, const char *owner, const char *evidence)
{
	assert_string_equal(d->owner, owner);
	assert_string_equal(d->evidence, evidence);
}

static void what_took_half_of_the_time_is_the_owner(void **state)
{
	static const struct {
		size_t counter;
		const char *owner;
	} rows[] = {
		{offsetof(struct sample, throttled_ns), "cpu quota"},
		{offsetof(struct sample, run_queue_wait_ns), "run-queue wait"},
		{offsetof(struct sample, steal_ns), "steal"},
		{offsetof(struct sample, irq_ns), "interrupts"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		AUTO_FREE struct sampled *made = quiet();
		grows(made, 42, rows[i].counter, 30 * NS_PER_MS);
		struct during d = judge(made, 41, 40 * NS_PER_MS);
		owner_is(&d, rows[i].owner, "30.0 ms in 60.0 ms");
	}
}

static void what_took_less_than_half_of_the_time_is_not(void **state)
{
	AUTO_FREE struct sampled *made = quiet();

	(void)state;
	GROWS(made, 42, steal_ns, 19 * NS_PER_MS);
	GROWS(made, 42, throttled_ns, 19 * NS_PER_MS);
	struct during d = judge(made, 41, 40 * NS_PER_MS);
	owner_is(&d, "unknown", "no counter explains half of it");
	assert_int_equal(d.steal_ns, 19 * NS_PER_MS);
	assert_int_equal(d.throttled_ns, 19 * NS_PER_MS);
}

static void of_two_the_one_with_more_time_is_the_owner(void **state)
{
	AUTO_FREE struct sampled *made = quiet();

	(void)state;
	GROWS(made, 42, steal_ns, 25 * NS_PER_MS);
	GROWS(made, 42, run_queue_wait_ns, 35 * NS_PER_MS);
	struct during d = judge(made, 41, 40 * NS_PER_MS);
	owner_is(&d, "run-queue wait", "35.0 ms in 60.0 ms");
}

static void what_happened_before_or_after_is_not_the_owner(void **state)
{
	AUTO_FREE struct sampled *made = quiet();

	(void)state;
	GROWS(made, 41, steal_ns, 100 * NS_PER_MS); /* there already when it was due */
	GROWS(made, 45, throttled_ns, 100 * NS_PER_MS);
	struct during d = judge(made, 41, 40 * NS_PER_MS);
	owner_is(&d, "unknown", "no counter explains half of it");
	assert_int_equal(d.window_ns, 3 * PERIOD);
	assert_int_equal(d.steal_ns, 0);
	assert_int_equal(d.throttled_ns, 0);
}

static void what_goes_on_all_the_time_owns_no_extreme(void **state)
{
	AUTO_FREE struct sampled *made = quiet();

	(void)state;
	RUNS(made, run_queue_wait_ns, PERIOD * 2 / 5);
	struct during d = judge(made, 41, PERIOD);
	owner_is(&d, "unknown", "no counter explains half of it");
	assert_int_equal(d.run_queue_wait_ns, 2 * PERIOD * 2 / 5);
	GROWS(made, 42, run_queue_wait_ns, PERIOD / 2); /* and now beyond it */
	d = judge(made, 41, PERIOD);
	owner_is(&d, "run-queue wait", "26.0 ms in 40.0 ms");
}

/* Ends that share a CPU wait for one another all the time; while one is stopped by a signal, nobody waits. */
static void an_end_that_is_stopped_was_not_waiting(void **state)
{
	AUTO_FREE struct sampled *made = quiet();

	(void)state;
	for (size_t i = 1; i < SAMPLES; i++)
		if (i < 42 || i > 45)
			GROWS(made, i, run_queue_wait_ns, PERIOD * 3 / 5);
	struct during d = judge(made, 41, 4 * PERIOD);
	owner_is(&d, "unknown", "no counter explains half of it");
}

/* Between samples 20 ms apart, transactions of a millisecond may have been twenty. */
static void the_owner_of_a_transaction_that_is_short_beside_the_samples_is_not_told(void **state)
{
	AUTO_FREE struct sampled *made = quiet();

	(void)state;
	GROWS(made, 42, run_queue_wait_ns, PERIOD);
	struct during d = judge(made, 41, PERIOD / 4 - 1);
	owner_is(&d, "unknown", "too short to tell");
	assert_int_equal(d.run_queue_wait_ns, PERIOD);
	d = judge(made, 41, PERIOD / 4);
	owner_is(&d, "run-queue wait", "20.0 ms in 20.0 ms");
}

/* In a long trial the samples are seconds apart. */
static void nor_where_the_samples_are_far_apart(void **state)
{
	AUTO_FREE struct sampled *made = quiet();

	(void)state;
	for (size_t i = 43; i < SAMPLES; i++)
		made->at[i].at_ns += 7 * NS_PER_S;
	GROWS(made, 43, throttled_ns, 50 * NS_PER_MS);
	struct during d = judge(made, 42, 60 * NS_PER_MS);
	owner_is(&d, "unknown", "too short to tell");
}

/* The kernel counts a throttled thread as one that waits for a CPU. */
static void a_wait_for_quota_is_no_wait_in_the_run_queue(void **state)
{
	AUTO_FREE struct sampled *made = quiet();

	(void)state;
	GROWS(made, 46, throttled_ns, 84 * NS_PER_MS);
	GROWS(made, 46, run_queue_wait_ns, 87 * NS_PER_MS);
	struct during d = judge(made, 42, 95 * NS_PER_MS);
	owner_is(&d, "cpu quota", "84.0 ms in 120 ms");
	assert_int_equal(d.run_queue_wait_ns, 87 * NS_PER_MS);
}

static void a_realtime_endpoint_that_waits_was_throttled_by_its_budget(void **state)
{
	AUTO_FREE struct sampled *made = quiet();

	(void)state;
	GROWS(made, 42, run_queue_wait_ns, 30 * NS_PER_MS);
	made->samples.fifo = true;
	struct during d = judge(made, 41, 40 * NS_PER_MS);
	owner_is(&d, "run-queue wait", "30.0 ms in 60.0 ms"); /* there is no budget */
	made->samples.rt_runtime_us = 950000;
	d = judge(made, 41, 40 * NS_PER_MS);
	owner_is(&d, "realtime throttle", "SCHED_FIFO waited 30.0 ms in 60.0 ms, sched_rt_runtime_us 950000");
	made->samples.fifo = false;
	d = judge(made, 41, 40 * NS_PER_MS);
	owner_is(&d, "run-queue wait", "30.0 ms in 60.0 ms");
}

/* The grain of steal and interrupt time is 10 ms: a tick says nothing of a transaction of less than two. */
static void ticks_are_not_held_against_short_transactions(void **state)
{
	static const struct {
		size_t counter;
		const char *owner;
	} rows[] = {
		{offsetof(struct sample, irq_ns), "interrupts"},
		{offsetof(struct sample, steal_ns), "steal"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		AUTO_FREE struct sampled *made = quiet();
		grows(made, 42, rows[i].counter, 10 * NS_PER_MS);
		struct during d = judge(made, 41, 19 * NS_PER_MS);
		owner_is(&d, "unknown", "no counter explains half of it");
		d = judge(made, 41, 20 * NS_PER_MS);
		owner_is(&d, rows[i].owner, "10.0 ms in 40.0 ms");
	}
}

static void the_counts_of_the_window_are_told(void **state)
{
	AUTO_FREE struct sampled *made = quiet();

	(void)state;
	GROWS(made, 42, involuntary_switches, 7);
	struct during d = judge(made, 41, 50 * NS_PER_MS);
	assert_int_equal(d.window_ns, 3 * PERIOD);
	assert_int_equal(d.interrupts, 30);
	assert_int_equal(d.softirqs, 60);
	assert_int_equal(d.involuntary_switches, 7);
	owner_is(&d, "unknown", "no counter explains half of it"); /* they are no time */
}

/* --- edges ------------------------------------------------------------------------------------- */

static void a_transaction_that_begins_and_ends_with_samples_has_just_their_window(void **state)
{
	AUTO_FREE struct sampled *made = quiet();
	const struct worst worst = {.at_ns = 10 * PERIOD, .response_ns = 2 * PERIOD};
	struct during d = {0};

	(void)state;
	attribute_worst(&made->samples, FIRST_NS, &worst, 1, &d);
	assert_int_equal(d.window_ns, 2 * PERIOD);
}

/* Two windows that have no length, and two that have: over the first and over the last sample. */
static void what_lies_outside_of_the_samples_is_unknown(void **state)
{
	static const struct {
		uint64_t started_ns, at_ns, response_ns, window_ns;
		const char *owner, *evidence;
	} rows[] = {
		{FIRST_NS - NS_PER_S, 0, NS_PER_MS, 0, "unknown", "no counter explains half of it"},
		{FIRST_NS - PERIOD / 2, 0, PERIOD, PERIOD, "steal", "16.0 ms in 20.0 ms"},
		{FIRST_NS, (SAMPLES - 1) * PERIOD - PERIOD / 2, PERIOD, PERIOD, "steal",
			"16.0 ms in 20.0 ms"},
		{FIRST_NS, (SAMPLES + 9) * PERIOD, NS_PER_MS, 0, "unknown", "no counter explains half of it"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		AUTO_FREE struct sampled *made = quiet();
		const struct worst worst = {.at_ns = rows[i].at_ns, .response_ns = rows[i].response_ns};
		struct during d = {0};

		RUNS(made, steal_ns, PERIOD * 4 / 5);
		attribute_worst(&made->samples, rows[i].started_ns, &worst, 1, &d);
		owner_is(&d, rows[i].owner, rows[i].evidence);
		assert_int_equal(d.window_ns, rows[i].window_ns);
	}
}

static void one_sample_is_enough_to_say_nothing(void **state)
{
	AUTO_FREE struct sampled *made = quiet();

	(void)state;
	made->samples.n = 1;
	struct during d = judge(made, 3, NS_PER_MS);
	owner_is(&d, "unknown", "no counter explains half of it");
	assert_int_equal(d.window_ns, 0);
	assert_int_equal(d.interrupts, 0);
}

/* A file that could not be read once, or a CPU that came back: never a number near 2^64. */
static void a_counter_that_goes_backwards_is_nothing(void **state)
{
	AUTO_FREE struct sampled *made = quiet();

	(void)state;
	made->at[42].throttled_ns = made->at[42].run_queue_wait_ns = 0;
	made->at[42].steal_ns = made->at[42].irq_ns = 0;
	made->at[42].interrupts = made->at[42].softirqs = 0;
	struct during d = judge(made, 41, 15 * NS_PER_MS);
	owner_is(&d, "unknown", "no counter explains half of it");
	assert_int_equal(d.window_ns, 2 * PERIOD);
	d = judge(made, 41, PERIOD / 4);
	owner_is(&d, "unknown", "no counter explains half of it");
	assert_int_equal(d.throttled_ns, 0);
	assert_int_equal(d.run_queue_wait_ns, 0);
	assert_int_equal(d.steal_ns, 0);
	assert_int_equal(d.interrupts, 0);
	assert_int_equal(d.softirqs, 0);
}

/* A call that came late, right after a wait: its rate is no measure of what is usual. */
static void samples_close_together_do_not_count_for_what_is_usual(void **state)
{
	AUTO_FREE struct sampled *made = quiet();

	(void)state;
	for (size_t i = 1; i < SAMPLES; i += 2) {
		made->at[i].at_ns = made->at[i - 1].at_ns + PERIOD / 20;
		GROWS(made, i, run_queue_wait_ns, PERIOD / 20);
	}
	struct during d = judge(made, 40, PERIOD / 2);
	owner_is(&d, "unknown", "no counter explains half of it");
}

/* --- a trial ----------------------------------------------------------------------------------- */

static void a_trial_is_told_what_its_machine_did_while_it_measured(void **state)
{
	AUTO_FREE struct sampled *made = quiet();
	AUTO(auto_trial_record) struct trial_record *r = trial_record_new();

	(void)state;
	GROWS(made, 20, busy_ns, NS_PER_S);
	GROWS(made, 21, steal_ns, 30 * NS_PER_MS);
	GROWS(made, 90, busy_ns, NS_PER_S); /* afterwards */
	RUNS(made, context_switches, 3);
	r->ends[END_CLIENT].record.started_ns = FIRST_NS + 10 * PERIOD;
	r->ends[END_CLIENT].record.ended_ns = FIRST_NS + 50 * PERIOD;
	r->ends[END_CLIENT].record.worst_n = 2;
	r->ends[END_CLIENT].record.worst[0] = (struct worst){.at_ns = 10 * PERIOD + 1, .response_ns = PERIOD};
	r->ends[END_CLIENT].record.worst[1] = (struct worst){.at_ns = 30 * PERIOD, .response_ns = PERIOD};
	attribute_trial(&made->samples, r);
	assert_int_equal(r->system_cpu_ns, NS_PER_S);
	assert_int_equal(r->steal_ns, 30 * NS_PER_MS);
	assert_int_equal(r->context_switches, 40 * 3);
	assert_int_equal(r->interrupts, 40 * 10);
	assert_int_equal(r->softirqs, 40 * 20);
	owner_is(&r->during[0], "steal", "30.0 ms in 40.0 ms");
	owner_is(&r->during[1], "unknown", "no counter explains half of it");
	assert_string_equal(r->during[2].owner, "");
	assert_int_equal(r->attribution, ATTRIBUTION_RULE);
}

/* The receiver of a stream measures; but in a guest it has a clock of its own. */
static void a_guests_clock_is_not_held_against_the_samples(void **state)
{
	AUTO_FREE struct sampled *made = quiet();
	AUTO(auto_trial_record) struct trial_record *r = trial_record_new();

	(void)state;
	r->ends[END_CLIENT].record.started_ns = FIRST_NS;
	r->ends[END_CLIENT].record.ended_ns = FIRST_NS + 10 * PERIOD;
	r->ends[END_SERVER].record.receiver = true;
	r->ends[END_SERVER].record.started_ns = FIRST_NS + 10 * PERIOD;
	r->ends[END_SERVER].record.ended_ns = FIRST_NS + 40 * PERIOD;
	attribute_trial(&made->samples, r);
	assert_int_equal(r->interrupts, 30 * 10);
	r->settings.target = "vm";
	attribute_trial(&made->samples, r);
	assert_int_equal(r->interrupts, 10 * 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_took_half_of_the_time_is_the_owner),
		cmocka_unit_test(what_took_less_than_half_of_the_time_is_not),
		cmocka_unit_test(of_two_the_one_with_more_time_is_the_owner),
		cmocka_unit_test(what_happened_before_or_after_is_not_the_owner),
		cmocka_unit_test(what_goes_on_all_the_time_owns_no_extreme),
		cmocka_unit_test(an_end_that_is_stopped_was_not_waiting),
		cmocka_unit_test(a_wait_for_quota_is_no_wait_in_the_run_queue),
		cmocka_unit_test(a_realtime_endpoint_that_waits_was_throttled_by_its_budget),
		cmocka_unit_test(the_owner_of_a_transaction_that_is_short_beside_the_samples_is_not_told),
		cmocka_unit_test(nor_where_the_samples_are_far_apart),
		cmocka_unit_test(ticks_are_not_held_against_short_transactions),
		cmocka_unit_test(the_counts_of_the_window_are_told),
		cmocka_unit_test(a_transaction_that_begins_and_ends_with_samples_has_just_their_window),
		cmocka_unit_test(what_lies_outside_of_the_samples_is_unknown),
		cmocka_unit_test(one_sample_is_enough_to_say_nothing),
		cmocka_unit_test(a_counter_that_goes_backwards_is_nothing),
		cmocka_unit_test(samples_close_together_do_not_count_for_what_is_usual),
		cmocka_unit_test(a_trial_is_told_what_its_machine_did_while_it_measured),
		cmocka_unit_test(a_guests_clock_is_not_held_against_the_samples),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
