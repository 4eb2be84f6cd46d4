/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a site says before and around its trials: what makes no sense, what is refused, what tuning would be
 * done, what it costs, what is fetched, what the machine is.  How trials go is in test_site_trial.c.
 */
#include "site/hosts.h"
#include "test_site_world.h"

#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>

/* --- settings ---------------------------------------------------------------------------------- */

static void what_makes_no_sense_here_is_a_usage_error(void **state)
{
	static const struct {
		const char *words, *text;
	} rows[] = {
		{"workload=tcp_rrr", "there is no such workload"},
		{"server_cpu=1000", "cannot pin the server to CPU 1000: the CPUs of this machine are 0"},
		{"client_cpu=1001", "cannot pin the client to CPU 1001"},
		{"profile=low-latency,isolate=1000", "1000"},
		{"target=container,runtime=moon", "cannot use runtime 'moon'"},
		{"target=vm,kernel=/etc/passwd", "/etc/passwd"},
		{"site=lab:/etc/passwd", "/etc/passwd"},
		{"clock=exact", "exact clock on the local host"},
	};
	struct site *site = site_new();

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct settings s;
		struct err e = ERR_INIT;
		words_set(&s, rows[i].words);
		if (site_check(site, &s, &e) != -e.code || e.exit != EXIT_USAGE)
			fail_msg("%s: exit %d (%s)", rows[i].words, (int)e.exit, e.text);
		assert_has(e.text, rows[i].text);
	}
	site_close(site);
}

static void a_check_fills_in_what_follows(void **state)
{
	static const struct {
		const char *words, *key, *value;
	} rows[] = {
		{"", "attachment", "veth"},
		{"rate=100", "pacing", "open"},
		{"target=container", "runtime", "oci"},
		{"target=vm", "kernel", "stock"},
		{"target=vm,kernel=rt", "kernel", "rt"},
		{"target=vm", "path", "virtio"},
		{"target=vm,site=lab,vcpus=0", "vcpus", "1"}, /* of an emulated host's two CPUs */
		{"target=vm,vcpus=3", "vcpus", "3"},
		{"target=container,kernel=", "kernel", ""},
	};
	struct site *site = site_new();

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct settings s;
		struct err e = ERR_INIT;
		char number[SETTING_NUMBER_MAX];
		words_set(&s, rows[i].words);
		ok(site_check(site, &s, &e));
		assert_string_equal(
			setting_text(&s, setting_find(rows[i].key), number, sizeof(number)), rows[i].value);
	}
	site_close(site);
}

static void a_guest_can_have_as_many_vcpus_as_can_be_set_apart(void **state)
{
	struct site *site = site_new();
	struct settings s;
	struct err e = ERR_INIT;
	cpus isolated, rest;
	bool apart = tune_partition(&site->host, "", &isolated, &rest, ERR_IGNORED) == 0;

	(void)state;
	words_set(&s, "target=vm,vcpus=0");
	ok(site_check(site, &s, &e));
	assert_int_equal(s.vcpus, apart ? MIN(CPU_COUNT(&isolated), VCPUS_SCALED_MAX) : 1);
	words_set(&s, "target=vm,vcpus=0,queues=2");
	assert_int_equal(site_check(site, &s, &e), -EINVAL);
	words_set(&s, "vcpus=0"); /* where there is none it stays as it is */
	ok(site_check(site, &s, &e));
	assert_int_equal(s.vcpus, 0);
	site_close(site);
}

static size_t warnings;

static void warn_note(enum log_level level, const char *line)
{
	warnings += level == LOG_WARN;
	print_message("# %s\n", line);
}

/* More vCPUs than any machine has CPUs to isolate for them. */
static void vcpus_that_share_isolated_cpus_are_warned_of_once(void **state)
{
	void (*before)(enum log_level, const char *) = log_sink;
	struct site *site = site_new();
	struct settings s;
	struct err e = ERR_INIT;
	cpus isolated, rest;

	(void)state;
	if (tune_partition(&site->host, "", &isolated, &rest, &e) < 0 || CPU_COUNT(&isolated) < 1 ||
		CPU_COUNT(&isolated) >= 64) {
		print_message("# skipped: no CPU can be isolated here\n");
		site_close(site);
		return;
	}
	log_sink = warn_note;
	warnings = 0;
	for (int times = 0; times < 2; times++) {
		words_set(&s, "target=vm,profile=low-latency,vcpus=64");
		int rc = site_check(site, &s, &e);
		log_sink = rc < 0 ? before : log_sink;
		ok(rc);
	}
	log_sink = before;
	assert_int_equal(warnings, 1);
	site_close(site);
}

static void what_cannot_be_carried_out_says_why(void **state)
{
	static const struct {
		const char *words, *variable, *value;
		const char *text; /* NULL: whether there is QEMU decides what it is */
	} rows[] = {
		{"ipv6=yes", "TAUT_AGENT", "/nowhere/taut-agent", "/nowhere/taut-agent"},
		{"noise=cpu", "PATH", "/nowhere", "stress-ng, which is not on PATH"},
		{"site=lab,noise=cpu", "PATH", "/nowhere", NULL},
		{"site=lab:9.99", "", "", NULL},
	};
	struct site *site = site_new();

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const char *now = getenv(rows[i].variable);
		AUTO_FREE char *before = str_dup(now ? now : "");
		struct settings s;
		struct trial_plan plan;
		struct err e = ERR_INIT;
		char reason[1024] = "";
		bool privilege = true;
		words_set(&s, rows[i].words);
		ok(site_check(site, &s, &e));
		if (rows[i].variable[0])
			setenv(rows[i].variable, rows[i].value, 1);
		enum target_answer answer = site_resolve(site, &s, &plan, reason, sizeof(reason), &privilege);
		if (rows[i].variable[0])
			setenv(rows[i].variable, before, 1);
		if (answer != TARGET_NO || !reason[0] || privilege)
			fail_msg("%s: %d, '%s'", rows[i].words, (int)answer, reason);
		if (rows[i].text)
			assert_has(reason, rows[i].text);
	}
	site_close(site);
}

static void a_trial_costs_what_its_host_and_its_target_make_of_it(void **state)
{
	static const char *const rising[] = {"warmup=0", "target=vm", "site=lab", "site=lab,clock=exact"};
	double last = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rising); i++) {
		struct settings s;
		struct err e = ERR_INIT;
		words_set(&s, rising[i]);
		ok(settings_check(&s, &e));
		double cost = site_trial_cost_ns(&s, 1e9);
		if (!isfinite(cost) || cost <= last)
			fail_msg("%s: %.0f ns, after %.0f ns", rising[i], cost, last);
		last = cost;
	}
}

static void the_tuning_of_a_trial_is_known_before_it(void **state)
{
	static const struct {
		const char *words;
		bool any;
	} rows[] = {
		{"profile=stock", false}, {"profile=low-latency", true},
		{"profile=command,apply=true,revert=true", true},
		{"site=lab,profile=low-latency", false}, /* the host inside knows */
	};
	struct site *site = site_new();

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct settings s;
		struct trial_plan plan;
		struct err e = ERR_INIT;
		json_t *all = NULL;
		words_set(&s, rows[i].words);
		ok(site_check(site, &s, &e));
		ok(plan_make(&plan, &s, &e));
		ok(site_tuning_json(site, &plan, &all, &e));
		if ((json_array_size(all) > 0) != rows[i].any)
			fail_msg("%s: %zu entries", rows[i].words, json_array_size(all));
		json_decref(all);
	}
	site_close(site);
}

/* --- leave ------------------------------------------------------------------------------------- */

/* A process of somebody else's that has the name of a machine monitor; it ends when `hold` is closed. */
static void other_machine_start(int *hold)
{
	int ends[2], there[2];
	char byte = 0;

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	assert_int_equal(pipe2(there, O_CLOEXEC), 0);
	pid_t pid = fork();
	if (pid == 0) {
		if (fork() > 0)
			_exit(0);
		close(ends[1]);
		prctl(PR_SET_NAME, "qemu-system-x");
		if (write(there[1], &byte, 1) == 1 && read(ends[0], &byte, 1) == 0)
			_exit(0);
		_exit(1);
	}
	assert_int_equal(waitpid(pid, NULL, 0), pid); /* now it is no descendant of ours */
	assert_int_equal(read(there[0], &byte, 1), 1);
	close(ends[0]);
	close(there[0]);
	close(there[1]);
	*hold = ends[1];
}

static void a_machine_on_which_others_work_is_not_tuned_unasked(void **state)
{
	static const struct {
		const char *words;
		bool yes, planning, refused, would_be;
	} rows[] = {
		{"profile=low-latency", false, false, true, true},
		{"profile=low-latency", false, true, false, true},
		{"profile=low-latency", true, false, false, false},
		{"profile=stock", false, false, false, false},
		{"profile=low-latency,site=lab", false, false, false, false}, /* nobody else is on that one */
	};
	int hold = -1;

	(void)state;
	other_machine_start(&hold);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct site_options options = {.yes = rows[i].yes, .planning = rows[i].planning};
		struct site *site = NULL;
		struct settings s;
		struct err e = ERR_INIT, would = ERR_INIT;
		ok(site_open(&site, &options, &e));
		words_set(&s, rows[i].words);
		int rc = site_check(site, &s, &e);
		if (rc != (rows[i].refused ? -EPERM : 0) || (rc < 0 && e.exit != EXIT_REFUSED))
			fail_msg("row %zu: %d (%s)", i, rc, e.text);
		rc = site_allowed(site, &s, &would);
		if (rc != (rows[i].would_be ? -EPERM : 0) || (rc < 0 && would.exit != EXIT_REFUSED))
			fail_msg("row %zu, allowed: %d (%s)", i, rc, would.text);
		site_close(site);
	}
	close(hold);
}

/* A taut that is killed while its trial is on. */
static void killed_while_tuned(const char *words, const char *file)
{
	pid_t pid = fork();

	if (pid == 0) {
		struct trial t;
		if (trial_ask(&t, site_new(), words))
			site_trial(t.site, &t.plan, t.record, &t.e);
		_exit(1);
	}
	for (int i = 0; i < 5000 && access(file, F_OK) < 0; i++)
		poll(NULL, 0, 10);
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_int_equal(access(file, F_OK), 0);

	const struct undo_sweep_row *rows[8];
	AUTO(buf_free) struct buf said = {0};
	struct err e = ERR_INIT;
	ok(undo_sweep(rows, target_sweep_rows(rows, ARRAY_LEN(rows)), &said, &e));
	assert_nothing_marked(pid);
}

static void with_the_tuning_of_a_killed_taut_in_force_nothing_is_measured(void **state)
{
	AUTO_FREE char *file = world_path("tuned");
	AUTO_FREE char *words =
		str_format("profile=command,apply=touch %s,revert=rm %s,duration=20s", file, file);
	const struct site_options real = {.yes = true}, planning = {.planning = true};
	struct site *site = site_new();
	struct trial t;
	struct settings s;
	struct err e = ERR_INIT;

	(void)state;
	bool can = trial_ask(&t, site, words);
	trial_end(&t);
	site_close(site);
	site = NULL;
	if (!can)
		return;
	killed_while_tuned(words, file);
	assert_true(site_open(&site, &real, &e) < 0);
	assert_null(site);
	assert_int_equal(e.exit, EXIT_REFUSED);
	assert_has(e.text, "of an earlier taut are still in force");
	assert_string_equal(e.advice, "taut clean");
	e = ERR_INIT;
	ok(site_open(&site, &planning, &e));
	words_set(&s, "profile=stock");
	ok(site_check(site, &s, &e));
	assert_true(site_allowed(site, &s, &e) < 0);
	assert_int_equal(e.exit, EXIT_REFUSED);
	e = ERR_INIT;
	ok(undo_revert_leftover(&site->host, NULL, &e));
	assert_int_equal(access(file, F_OK), -1);
	ok(site_allowed(site, &s, &e));
	site_close(site);
}

/* --- kernels ----------------------------------------------------------------------------------- */

static void on_doing(const struct boot_doing *doing, void *arg)
{
	size_t *begun = arg;

	*begun += doing->step == BOOT_STEP_KERNEL;
}

static void kernels_that_are_not_here_and_can_be_had_are_lacking(void **state)
{
	static const struct {
		const char *words, *host, *guest;
	} rows[] = {
		{"", NULL, NULL}, {"target=vm", NULL, NULL}, {"site=lab:9.99-rt", "9.99-rt", NULL},
		{"site=lab:9.99-rt,target=vm,kernel=9.98", "9.99-rt", "9.98"},
		{"site=lab:/nowhere/bzImage", NULL, NULL},
		{"target=vm,kernel=9.98,accel=kvm", NULL, NULL}, /* whether KVM works is seen first */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct settings s;
		struct err e = ERR_INIT;
		words_set(&s, rows[i].words);
		ok(settings_check(&s, &e));
		const char *host = site_lacks(&s, 0), *guest = site_lacks(&s, 1);
		if (!rows[i].host != !host || (host && strcmp(host, rows[i].host) != 0))
			fail_msg("%s: host %s", rows[i].words, host ? host : "none");
		if (i != 1 && (!rows[i].guest != !guest || (guest && strcmp(guest, rows[i].guest) != 0)))
			fail_msg("%s: guest %s", rows[i].words, guest ? guest : "none");
		assert_int_equal(site_lacks_any(&s), host || guest);
	}
}

/* Without a network; each is tried once, and what cannot be had is for the cell to say. */
static void a_kernel_that_cannot_be_fetched_is_a_warning(void **state)
{
	AUTO_FREE char *path = str_dup(getenv("PATH"));
	void (*before)(enum log_level, const char *) = log_sink;
	struct settings s[3];
	struct err e = ERR_INIT;
	size_t begun = 0;

	(void)state;
	words_set(&s[0], "site=lab:9.99-rt");
	words_set(&s[1], "site=lab:9.99-rt,target=vm,kernel=9.98");
	words_set(&s[2], "target=native");
	setenv("PATH", "/nowhere", 1);
	log_sink = warn_note;
	warnings = 0;
	int rc = site_prepare(s, ARRAY_LEN(s), on_doing, &begun, &e);
	log_sink = before;
	setenv("PATH", path, 1);
	ok(rc);
	assert_int_equal(begun, 2);
	assert_int_equal(warnings, 2);
	begun = 0;
	ok(site_prepare(&s[2], 1, on_doing, &begun, &e));
	assert_int_equal(begun, 0);
}

/* --- the machine ------------------------------------------------------------------------------- */

static void the_machine_is_described(void **state)
{
	static const char *const texts[] = {
		"kernel", "kernel_version", "host", "cmdline", "online", "preempt", "cgroups", "hypervisor"};
	static const char *const objects[] = {"mitigations", "irqs", "sysctls", "programs"};

	(void)state;
	for (int emulated = 0; emulated < 2; emulated++) {
		if (emulated)
			setenv(HOST_EMULATED, "1", 1);
		json_t *about = site_environment();
		unsetenv(HOST_EMULATED);
		for (size_t i = 0; i < ARRAY_LEN(texts); i++)
			if (!json_string_value(json_object_get(about, texts[i])))
				fail_msg("'%s' is missing", texts[i]);
		for (size_t i = 0; i < ARRAY_LEN(objects); i++)
			if (!json_is_object(json_object_get(about, objects[i])))
				fail_msg("'%s' is missing", objects[i]);
		assert_true(json_integer_value(json_object_get(about, "cpus")) > 0);
		const json_t *programs = json_object_get(about, "programs");
		assert_string_equal(json_string_value(json_object_get(programs, "taut")), TAUT_VERSION);
		assert_true(json_array_size(json_object_get(about, "links")) > 0); /* lo */
		const char *over = json_string_value(json_object_get(about, "hypervisor"));
		assert_int_equal(!strcmp(over, "QEMU, emulated"), emulated);
		json_decref(about);
	}
}

static int group(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_makes_no_sense_here_is_a_usage_error),
		cmocka_unit_test(a_check_fills_in_what_follows),
		cmocka_unit_test(a_guest_can_have_as_many_vcpus_as_can_be_set_apart),
		cmocka_unit_test(vcpus_that_share_isolated_cpus_are_warned_of_once),
		cmocka_unit_test(a_trial_costs_what_its_host_and_its_target_make_of_it),
		cmocka_unit_test(the_tuning_of_a_trial_is_known_before_it),
		cmocka_unit_test(a_machine_on_which_others_work_is_not_tuned_unasked),
		cmocka_unit_test(with_the_tuning_of_a_killed_taut_in_force_nothing_is_measured),
		cmocka_unit_test(kernels_that_are_not_here_and_can_be_had_are_lacking),
		cmocka_unit_test(a_kernel_that_cannot_be_fetched_is_a_warning),
		cmocka_unit_test(the_machine_is_described),
		/* The last: what a probe has found is remembered. */
		cmocka_unit_test(what_cannot_be_carried_out_says_why),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
	return world_run(group);
}
