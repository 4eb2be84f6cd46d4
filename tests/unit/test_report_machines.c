/* SPDX-License-Identifier: GPL-3.0-or-later */
/* report: which machines a figure comes from, what is judged when they are emulated, and where boots go. */
#include "test_report_world.h"

#include "report/formats.h"

#include <math.h>
#include <stdio.h>

static const struct shape shapes[2] = {{20000, 40, 5, 20000, "steal"}, {16000, 10, 5, 20000, "steal"}};
static const struct report_style plain = {0};

static struct settings vm_of(const char *kernel)
{
	struct settings s = settings_of("tcp_rr", "stock");

	CHECK(setting_set(&s, "runtime", "", &problem));
	CHECK(setting_set(&s, "target", "vm", &problem));
	CHECK(setting_set(&s, "kernel", kernel, &problem));
	CHECK(settings_check(&s, &problem));
	return s;
}

static struct kernel_facts machine(const char *kernel, const char *accel)
{
	struct kernel_facts k = {.boot_ns = 4100 * NS_PER_MS,
		.first_ns = 4600 * NS_PER_MS,
		.init_ns = 2900 * NS_PER_MS,
		.ready_ns = 3100 * NS_PER_MS};

	str_copy(k.kernel, sizeof(k.kernel), kernel);
	str_copy(k.version, sizeof(k.version), "#1 SMP PREEMPT_RT");
	str_copy(k.accel, sizeof(k.accel), accel);
	str_copy(k.program, sizeof(k.program), *accel ? "QEMU 7.2.22" : "");
	return k;
}

/* Two arms, stock and rt kernels of a guest; `accel(block)` of tuned's. */
static struct report *vm_report(struct world *w, const char *host_accel, const char *accel, const char *other)
{
	struct settings arms[2] = {vm_of("stock"), vm_of("rt")};
	struct report *r = NULL;

	run_begin(w, "vm", 10);
	int64_t cell = cell_add(w, "vm/bridge/virtio/tcp_rr", arms);
	for (uint64_t b = 0; b < 10; b++)
		for (int a = 0; a < 2; a++) {
			struct trial_record *t = rr_record(&arms[a], &shapes[a], b);

			t->host = machine("6.1.0-host", host_accel);
			t->guest = machine(a ? "6.1.0-rt" : "6.1.0-stock", a && b % 2 ? other : accel);
			trial_add(w, cell, a ? "tuned" : "stock", b, t);
		}
	CHECK(store_run_end(w->store, w->run, "done", &problem));
	CHECK(report_load(&r, w->store, w->run, NULL, &problem));
	return r;
}

static const json_t *cell_of(const json_t *document)
{
	return json_array_get(json_object_get(document, "cells"), 0);
}

static const json_t *arm_of(const json_t *document, const char *arm)
{
	return json_object_get(json_object_get(cell_of(document), "arms"), arm);
}

static void is_text(const json_t *object, const char *key, const char *wanted)
{
	const json_t *value = json_object_get(object, key);
	const char *got = json_is_string(value) ? json_string_value(value) : NULL;

	if (!value || (wanted ? !got || strcmp(got, wanted) : !json_is_null(value)))
		fail_msg("%s: got %s, expected %s", key, got ? got : "no text", wanted ? wanted : "null");
}

static void keys_come_from_what_the_machines_said(void **state)
{
	AUTO(auto_report) struct report *r = vm_report(*state, "", "kvm", "kvm");
	json_t *j = report_json(r);

	is_text(cell_of(j), "host_kernel", "6.1.0-host");
	is_text(cell_of(j), "guest_kernel", NULL);
	is_text(cell_of(j), "accel", "kvm");
	is_text(cell_of(j), "host_accel", NULL);
	is_text(cell_of(j), "clock", "real");
	is_text(json_object_get(arm_of(j, "stock"), "settings"), "guest_kernel", "6.1.0-stock");
	is_text(json_object_get(arm_of(j, "tuned"), "settings"), "guest_kernel", "6.1.0-rt");
	is_text(json_object_get(arm_of(j, "tuned"), "settings"), "kernel", "rt");
	assert_null(json_object_get(json_object_get(arm_of(j, "tuned"), "settings"), "accel"));
	assert_false(r->cells[0].flag[REPORT_MIXED]);
	json_decref(j);
}

static void kvm_on_an_emulated_host_is_told_apart(void **state)
{
	AUTO(auto_report) struct report *r = vm_report(*state, "tcg", "kvm", "kvm");
	json_t *j = report_json(r);

	is_text(cell_of(j), "accel", "kvm");
	is_text(cell_of(j), "host_accel", "tcg");
	assert_true(r->cells[0].arms[0].emulated);
	json_decref(j);
}

static void records_from_before_have_the_kernel_of_the_environment(void **state)
{
	struct world *w = *state;
	struct settings arms[2] = {settings_of("tcp_rr", "stock"), settings_of("tcp_rr", "stock")};
	AUTO(auto_report) struct report *r = NULL;
	struct buf b = {0};

	run_begin(w, "old", 6);
	int64_t cell = cell_add(w, "container/oci/bridge/tcp_rr", arms);
	for (int a = 0; a < 2; a++)
		trial_add(w, cell, a ? "tuned" : "stock", 0, rr_record(&arms[a], &shapes[a], 0));
	CHECK(report_load(&r, w->store, w->run, NULL, &problem));
	json_t *j = report_json(r);
	is_text(cell_of(j), "host_kernel", "6.1.0-18-amd64");
	is_text(cell_of(j), "guest_kernel", NULL);
	is_text(cell_of(j), "accel", NULL);
	assert_true(json_is_null(json_object_get(arm_of(j, "stock"), "boot_ns")));
	json_decref(j);
	/* Plain hardware needs no words about machines. */
	report_terminal(r, &plain, &b);
	says_not(&b, "machine  ");
	says_not(&b, "emulat");
	says_not(&b, "boot  ");
	buf_free(&b);
}

static void an_arm_whose_trials_disagree_is_flagged(void **state)
{
	AUTO(auto_report) struct report *r = vm_report(*state, "", "kvm", "tcg");
	json_t *j = report_json(r);
	struct buf b = {0};

	assert_true(r->cells[0].flag[REPORT_MIXED]);
	assert_true(r->cells[0].arms[1].mixed && r->cells[0].arms[1].emulated);
	assert_false(r->cells[0].arms[0].mixed || r->cells[0].arms[0].emulated);
	is_text(cell_of(j), "accel", NULL);
	is_text(json_object_get(arm_of(j, "stock"), "settings"), "accel", "kvm");
	is_text(json_object_get(arm_of(j, "tuned"), "settings"), "accel", "kvm, tcg");
	json_decref(j);
	report_terminal(r, &plain, &b);
	reads(&b, "mixed (a kernel or an accelerator changed within an arm)");
	says(&b, "tuned: kernel rt, guest 6.1.0-rt, kvm, tcg");
	buf_free(&b);
}

/* --- what is judged ---------------------------------------------------------------------------- */

static void under_tcg_only_median_and_sd_are_judged(void **state)
{
	static const struct {
		const char *host, *accel;
		bool all;
	} rows[] = {{"", "kvm", true}, {"", "tcg", false}, {"tcg", "kvm", false}};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		AUTO(auto_report)
		struct report *r = vm_report(*state, rows[i].host, rows[i].accel, rows[i].accel);
		const struct report_cell *cell = &r->cells[0];
		const struct stat_effect *p99 = effect_of(cell, STAT_LATENCY_P99);
		char reason[STAT_REASON_MAX];

		assert_int_equal(effect_of(cell, STAT_LATENCY_MEDIAN)->verdict, STAT_IMPROVED);
		assert_int_equal(effect_of(cell, STAT_LATENCY_SD)->verdict, STAT_IMPROVED);
		assert_int_equal(cell->pairs[0].judged, rows[i].all ? 3 : 2);
		assert_int_equal(p99->verdict, rows[i].all ? STAT_IMPROVED : STAT_NOT_ASSESSED);
		if (rows[i].all)
			continue;
		assert_string_equal(stat_effect_reason(p99, reason, sizeof(reason)),
			"emulated: only median and SD are judged");
		assert_true(
			p99->primary && isfinite(p99->ratio) && isfinite(p99->ci95[0]) && isnan(p99->p_holm));
		assert_int_equal(effect_of(cell, STAT_LATENCY_P999)->reason, STAT_REASON_EMULATED);
		assert_int_equal(report_exit_code(r, true), EXIT_DONE);
	}
}

static void under_tcg_of_a_stream_only_the_throughput_is_judged(void **state)
{
	double a[10], b[10], loss_a[10] = {0}, loss_b[10];
	struct stat_cell cell = {
		.kind = STAT_STREAM, .emulated = true, .transactions = 1000, .n_a = 10, .n_b = 10};
	struct stat_effect effects[STAT_METRICS];
	char reason[STAT_REASON_MAX];

	(void)state;
	for (size_t i = 0; i < 10; i++) {
		a[i] = 1e9 + (double)i;
		b[i] = 2e9 + 3 * (double)i;
		loss_b[i] = 0.1 + 0.01 * (double)i;
	}
	cell.a[STAT_THROUGHPUT] = a;
	cell.b[STAT_THROUGHPUT] = b;
	cell.a[STAT_LOSS] = loss_a;
	cell.b[STAT_LOSS] = loss_b;
	assert_int_equal(stat_cell_compare(&cell, NULL, effects), 2);
	assert_int_equal(effects[0].verdict, STAT_IMPROVED);
	assert_int_equal(effects[1].verdict, STAT_NOT_ASSESSED);
	assert_string_equal(stat_effect_reason(&effects[1], reason, sizeof(reason)),
		"emulated: only the throughput is judged");
	/* Alone in its family. */
	assert_true(effects[0].p_holm == effects[0].p);
}

/* --- words ------------------------------------------------------------------------------------- */

static void every_output_says_tcg(void **state)
{
	struct world *w = *state;
	AUTO(auto_report) struct report *r = vm_report(w, "", "tcg", "tcg");
	AUTO(auto_trial_record)
	struct trial_record *t = rr_record(&r->cells[0].arms[0].settings, &shapes[0], 0);
	struct buf b = {0};

	report_terminal(r, &plain, &b);
	if (getenv("SHOW"))
		fprintf(stderr, "%s", b.data);
	says(&b, "  machine   host 6.1.0-host · guest by arm, emulated (tcg)\n");
	says(&b, "arms      stock: kernel stock, guest 6.1.0-stock · tuned: kernel rt, guest 6.1.0-rt\n");
	reads(&b, "only median and SD are judged");
	reads(&b, "The times of emulated machines are the emulation's");
	assert_true(widest(b.data) <= 100);
	b.len = 0;
	t->host = machine("6.1.0-host", "");
	t->guest = machine("6.1.0-rt", "tcg");
	report_trial_line(t, &(struct report_place){1, 2, "c", "a"}, &b);
	says(&b, "verified  emulated (tcg)");
	b.len = 0;
	report_trial_terminal(t, &plain, &b);
	if (getenv("SHOW"))
		fprintf(stderr, "%s", b.data);
	says(&b, "guest     6.1.0-rt #1 SMP PREEMPT_RT, emulated (tcg), QEMU 7.2.22");
	b.len = 0;
	CHECK(report_csv(r, w->store, &plain, &b, &problem));
	says(&b, ",host_kernel,guest_kernel,accel,host_accel\r\n");
	says(&b, ",accel_asked,");
	says(&b, ",6.1.0-host,6.1.0-rt,tcg,\r\n");
	buf_free(&b);
	json_t *j = report_json(r);
	is_text(cell_of(j), "accel", "tcg");
	json_decref(j);
}

static void a_host_kernel_by_arm_reads_well(void **state)
{
	struct world *w = *state;
	struct settings arms[2] = {settings_of("tcp_rr", "stock"), settings_of("tcp_rr", "stock")};
	AUTO(auto_report) struct report *r = NULL;
	struct buf b = {0};

	CHECK(setting_set(&arms[0], "site", "lab:stock", &problem));
	CHECK(setting_set(&arms[1], "site", "lab:rt", &problem));
	CHECK(setting_set(&arms[1], "host_boot", "preempt=full quiet", &problem));
	run_begin(w, "kernels", 2);
	int64_t cell = cell_add(w, "container/oci/bridge/tcp_rr", arms);
	for (int a = 0; a < 2; a++) {
		struct trial_record *t = rr_record(&arms[a], &shapes[a], 0);

		t->host = machine(a ? "6.12-rt" : "6.12", "tcg");
		trial_add(w, cell, a ? "tuned" : "stock", 0, t);
	}
	CHECK(report_load(&r, w->store, w->run, NULL, &problem));
	report_terminal(r, &plain, &b);
	if (getenv("SHOW"))
		fprintf(stderr, "%s", b.data);
	says(&b, "machine   host by arm, emulated (tcg)\n");
	reads(&b, "arms stock: site lab:stock, host 6.12 · tuned: "
		  "site lab:rt, host_boot \"preempt=full quiet\", host 6.12-rt");
	reads(&b, "only comparisons among them, inside this run, mean");
	buf_free(&b);
}

/* --- boots ------------------------------------------------------------------------------------- */

static void it_is_shown_where_the_boot_time_goes(void **state)
{
	AUTO(auto_report) struct report *r = vm_report(*state, "", "tcg", "tcg");
	json_t *j = report_json(r);
	const json_t *boot = json_object_get(arm_of(j, "tuned"), "boot_ns");
	struct buf b = {0};

	assert_true(json_real_value(json_object_get(boot, "exec_to_ready")) == 4.1e9);
	assert_true(json_real_value(json_object_get(boot, "exec_to_first")) == 4.6e9);
	assert_true(json_real_value(json_object_get(boot, "kernel_to_init")) == 2.9e9);
	assert_true(json_real_value(json_object_get(boot, "init_to_ready")) == 0.2e9);
	json_decref(j);
	report_terminal(r, &plain, &b);
	reads(&b,
		"boot stock: 4.10 s from exec to the agent's first word (QEMU and firmware 1.00 s, kernel 2.90");
	reads(&b, "PID 1 200 ms), first transaction at 4.60 s");
	buf_free(&b);
}

static void what_is_not_known_of_a_boot_is_null(void **state)
{
	struct settings s = vm_of("rt");
	AUTO(auto_trial_record) struct trial_record *t = rr_record(&s, &shapes[0], 0);
	struct buf b = {0};

	(void)state;
	t->guest = machine("6.12-rt", "kvm");
	t->guest.init_ns = t->guest.first_ns = 0;
	json_t *j = report_trial_json(t);
	const json_t *boot = json_object_get(j, "boot_ns");

	assert_true(json_is_number(json_object_get(boot, "exec_to_ready")));
	assert_true(json_is_null(json_object_get(boot, "exec_to_first")));
	assert_true(json_is_null(json_object_get(boot, "kernel_to_init")));
	assert_true(json_is_null(json_object_get(boot, "init_to_ready")));
	assert_true(json_is_null(json_object_get(json_object_get(j, "guest"), "init_ns")));
	assert_true(json_is_null(json_object_get(j, "host")));
	assert_true(json_is_null(json_object_get(j, "console")));
	is_text(json_object_get(j, "guest"), "kernel", "6.12-rt");
	is_text(json_object_get(j, "guest"), "program", "QEMU 7.2.22");
	json_decref(j);
	report_trial_terminal(t, &plain, &b);
	says(&b, "  boot      4.10 s from exec to the agent's first word\n");
	buf_free(&b);
}

static void a_failure_shows_the_end_of_the_console(void **state)
{
	struct settings s = vm_of("rt");
	AUTO(auto_trial_record) struct trial_record *t = trial_record_new();
	struct buf b = {0};

	(void)state;
	t->settings = s;
	t->outcome = TRIAL_FAILED;
	str_copy(t->reason, sizeof(t->reason), "the guest panicked");
	for (int i = 0; i < 30; i++) {
		size_t n = strlen(t->console);
		snprintf(t->console + n, sizeof(t->console) - n, "line %d\n", i);
	}
	report_trial_terminal(t, &plain, &b);
	says(&b, "failed: the guest panicked\n  console, its last lines:\n    line 18\n");
	says(&b, "    line 29\n");
	says_not(&b, "line 17");
	json_t *j = report_trial_json(t);
	is_text(j, "console", t->console);
	json_decref(j);
	/* One without an end of line, and none at all. */
	str_copy(t->console, sizeof(t->console), "panic");
	b.len = 0;
	report_trial_terminal(t, &plain, &b);
	says(&b, "its last lines:\n    panic\n");
	str_copy(t->console, sizeof(t->console), "\n\n");
	b.len = 0;
	report_trial_terminal(t, &plain, &b);
	says_not(&b, "console");
	buf_free(&b);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(keys_come_from_what_the_machines_said),
		TEST(kvm_on_an_emulated_host_is_told_apart),
		TEST(records_from_before_have_the_kernel_of_the_environment),
		TEST(an_arm_whose_trials_disagree_is_flagged),
		TEST(under_tcg_only_median_and_sd_are_judged),
		cmocka_unit_test(under_tcg_of_a_stream_only_the_throughput_is_judged),
		TEST(every_output_says_tcg),
		TEST(a_host_kernel_by_arm_reads_well),
		TEST(it_is_shown_where_the_boot_time_goes),
		cmocka_unit_test(what_is_not_known_of_a_boot_is_null),
		cmocka_unit_test(a_failure_shows_the_end_of_the_console),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
