/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Emulated hosts: booted for groups of trials, for one trial on the exact clock, and for a shell.  The
 * program in such a host is this one, since it is the one that runs: `site` serves as `taut site` does, or
 * lies when a boot argument says so.  Besides, a virtual machine as a target.
 */
#include "site/lab.h"
#include "test_site_world.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#define FEW    "transactions=100,warmup=10ms,max_duration=30s"
#define KERNEL "6.12"
#define HOST   "site=lab:" KERNEL ","

/* --- inside ------------------------------------------------------------------------------------- */

#define CONTROL_FD 3
#define LIE        "taut_lie=" /* a boot argument */

static bool lie_find(char *out, size_t size)
{
	AUTO_CLOSE int root = root_open("/", ERR_IGNORED);
	char line[4096] = "";

	root_read(root, "/proc/cmdline", line, sizeof(line), ERR_IGNORED);
	const char *lie = strstr(line, LIE);
	if (!lie)
		return false;
	snprintf(out, size, "%.*s", (int)strcspn(lie + strlen(LIE), " \n"), lie + strlen(LIE));
	return true;
}

/* The record of a trial that nobody has carried out. */
static json_t *record_invent(const json_t *trial)
{
	AUTO(auto_trial_record) struct trial_record *record = trial_record_new();
	struct trial_plan plan;
	struct settings s;

	if (settings_from_json(&s, json_object_get(trial, "settings"), READ_STREAM, ERR_IGNORED) < 0 ||
		settings_check(&s, ERR_IGNORED) < 0 || plan_make(&plan, &s, ERR_IGNORED) < 0)
		return json_object();
	trial_record_begin(record, &plan);
	record->ends[END_CLIENT].record.transactions = 5; /* with nothing sent */
	return trial_record_json(record);
}

static int serve_lies(const char *lie)
{
	uint64_t deadline = time_now_ns() + 60 * NS_PER_S;
	json_t *trial = NULL;

	int rc = frame_send(CONTROL_FD, FRAME_HELLO, frame_hello(), deadline, ERR_IGNORED);
	if (rc == 0)
		rc = frame_expect(CONTROL_FD, FRAME_TRIAL, &trial, deadline, ERR_IGNORED);
	if (rc < 0 || !strcmp(lie, "leave"))
		return 1;
	frame_send(CONTROL_FD, FRAME_TRIAL_RECORD, record_invent(trial), deadline, ERR_IGNORED);
	json_decref(trial);
	frame_expect(CONTROL_FD, FRAME_TRIAL, &trial, deadline, ERR_IGNORED);
	return 0;
}

/* As src/cli/verb_site.c. */
static int serve(const char *plan)
{
	const struct site_options options = {.yes = true, .exact = plan != NULL};
	struct site *site = NULL;
	struct err e = ERR_INIT;
	struct stat st;
	char lie[64];

	fcntl(CONTROL_FD, F_SETFD, FD_CLOEXEC);
	if (!plan && fstat(CONTROL_FD, &st) == 0 && S_ISCHR(st.st_mode))
		fcntl(CONTROL_FD, F_SETFL, fcntl(CONTROL_FD, F_GETFL) | O_NONBLOCK);
	if (!plan && lie_find(lie, sizeof(lie)))
		return serve_lies(lie);
	int rc = site_open(&site, &options, &e);
	if (rc == 0)
		rc = site_serve(site, CONTROL_FD, plan, &e);
	site_close(site);
	if (rc < 0)
		fprintf(stderr, "%s\n", e.text);
	return rc < 0;
}

/* --- groups -------------------------------------------------------------------------------------- */

static void assert_emulated(const struct trial *t)
{
	const struct kernel_facts *host = &t->record->host;

	assert_string_equal(host->accel, "tcg");
	assert_true(str_starts(host->program, "QEMU "));
	assert_true(str_starts(host->kernel, KERNEL));
	assert_true(host->ready_ns > 0 &&
		    !host->boot_ns == t->plan.exact); /* who waits to the end sees no boot */
	assert_string_equal(t->record->ends[END_SERVER].site, t->plan.settings.site);
}

/* It failed for this reason, and nothing of what it saw is kept. */
static void assert_failed(const struct trial *t, const char *reason)
{
	const struct trial_record *r = t->record;

	if (t->rc < 0 || r->outcome != TRIAL_FAILED || !strstr(r->reason, reason))
		fail_msg("%s: %d (%s), outcome %d (%s), not '%s'", t->plan.settings.host_boot, t->rc,
			t->e.text, (int)r->outcome, r->reason, reason);
	assert_false(r->verified);
	assert_int_equal(trial_measured(r)->transactions, 0);
}

static void a_group_of_trials_shares_one_boot(void **state)
{
	static const struct {
		const char *words, *reason; /* NULL: it is done */
		uint64_t use;               /* of its target */
	} rows[] = {
		{HOST FEW, NULL, 1},
		{HOST "profile=low-latency,attachment=bridge," FEW, NULL, 1},
		{HOST "target=container,runtime=netns,noise=cpu,workload=udp_rr,rate=500," FEW, NULL, 1},
		{HOST "share=target,profile=low-latency," FEW, NULL, 1},
		{HOST "share=target,profile=low-latency,workload=udp_rr," FEW, NULL, 2},
		{HOST "server_cpu=7," FEW, "emulated host: cannot pin the server to CPU 7", 0},
	};
	const struct trial_plan *group[ARRAY_LEN(rows)];
	struct trial t[ARRAY_LEN(rows)];
	struct site *site = site_new();
	struct err e = ERR_INIT;
	size_t n = 0;

	(void)state;
	for (; n < ARRAY_LEN(rows) && trial_ask(&t[n], site, rows[n].words); n++)
		group[n] = &t[n].plan;
	if (n == ARRAY_LEN(rows))
		ok(site_group(site, group, n, &e));
	for (size_t i = 0; n == ARRAY_LEN(rows) && i < n; i++) {
		trial_run(&t[i]);
		print_message("# %s: %.1f s, boot %.1f s\n", rows[i].words,
			(double)t[i].record->duration_ns / 1e9, (double)t[i].record->host.boot_ns / 1e9);
		if (rows[i].reason) {
			assert_failed(&t[i], rows[i].reason);
			continue;
		}
		assert_done(&t[i]);
		assert_emulated(&t[i]);
		assert_int_equal(t[i].record->host.boot_ns, t[0].record->host.boot_ns);
		assert_string_equal(t[i].record->host.boot_id, t[0].record->host.boot_id);
		assert_int_equal(t[i].record->target_use, rows[i].use);
	}
	ok(site_group(site, NULL, 0, &e));
	assert_nothing_marked(getpid());
	while (n > 0)
		trial_end(&t[--n]);
	site_close(site);
}

/* A machine of another taut's may run a trial that this one cannot. */
static void what_a_host_cannot_serve_boots_another(void **state)
{
	struct kernel one = {.release = "6.12.1", .version = "#1", .path = "/one"},
		      twin = {.release = "6.12.1", .version = "#1", .path = "/one"},
		      other = {.release = "6.12.1", .version = "#2", .path = "/other"};
	const struct {
		const char *words;
		const struct kernel *host, *guest;
		bool serves;
	} rows[] = {
		{"site=lab", &one, NULL, true},
		{"site=lab", &twin, NULL, true},
		{"site=lab", &other, NULL, false},
		{"site=lab,host_boot=quiet", &one, NULL, false},
		{"site=lab,noise=cpu", &one, NULL, false},
		{"site=lab,clock=exact", &one, NULL, false},
		{"site=lab,target=vm", &one, &one, true},
		{"site=lab,target=vm", &one, &other, false},
	};
	struct lab lab = {.kernel = &one, .boot = "", .parts = IMAGE_VM, .guests = {&one}, .guests_n = 1};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct settings s;
		struct trial_plan plan;
		struct err e = ERR_INIT;
		words_set(&s, rows[i].words);
		ok(settings_check(&s, &e));
		ok(plan_make(&plan, &s, &e));
		plan.host_kernel = rows[i].host;
		plan.guest_kernel = rows[i].guest;
		if (lab_serves(&lab, &plan) != rows[i].serves)
			fail_msg("row %zu: %s", i, rows[i].words);
		lab.doubtful = true;
		assert_false(lab_serves(&lab, &plan));
		lab.doubtful = false;
		assert_false(lab_serves(NULL, &plan));
	}
}

/* --- what goes wrong ------------------------------------------------------------------------------ */

static void a_host_that_lies_or_ends_fails_its_trial(void **state)
{
	static const struct {
		const char *words, *reason;
	} rows[] = {
		{HOST "host_boot=" LIE "leave," FEW, "emulated host: the machine has ended"},
		{HOST "host_boot=" LIE "end," FEW,
			"emulated host: client endpoint: a record that cannot be true"},
	};
	struct site *site = site_new();

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct trial t;
		if (!trial_ask(&t, site, rows[i].words))
			break;
		trial_run(&t);
		assert_failed(&t, rows[i].reason);
		print_message("# %.1f s: %s\n", (double)t.record->duration_ns / 1e9, t.record->reason);
		trial_end(&t);
		assert_nothing_marked(getpid()); /* a host that is in doubt is gone */
	}
	site_close(site);
}

static void a_boot_that_is_stopped_leaves_nothing(void **state)
{
	static const struct {
		const char *words;
		unsigned ms;
	} rows[] = {{HOST FEW, 0}, {HOST FEW, 1500}};
	struct site *site = site_new();

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct trial t;
		if (!trial_ask(&t, site, rows[i].words))
			break;
		stop_after(rows[i].ms);
		trial_run(&t);
		stop_never();
		if (t.rc != -EINTR)
			fail_msg("row %zu: %d (%s), %s", i, t.rc, t.e.text, t.record->reason);
		trial_end(&t);
		assert_nothing_marked(getpid());
	}
	site_close(site);
}

/* --- the exact clock, and a virtual machine -------------------------------------------------------- */

static void a_trial_on_the_exact_clock_is_read_when_its_host_has_ended(void **state)
{
	struct site *site = site_new();
	struct trial t;

	(void)state;
	if (trial_ask(&t, site, HOST "clock=exact," FEW)) {
		trial_run(&t);
		assert_done(&t);
		assert_emulated(&t);
		print_message("# exact: %.1f s\n", (double)t.record->duration_ns / 1e9);
		assert_nothing_marked(getpid());
		trial_end(&t);
	}
	site_close(site);
}

static void a_virtual_machine_is_tuned_measured_and_gone(void **state)
{
	struct site *site = site_new();
	struct trial t;

	(void)state;
	if (trial_ask(&t, site, "target=vm,accel=tcg,kernel=" KERNEL ",profile=low-latency," FEW)) {
		bool inside = false;
		const json_t *knob;
		size_t i;
		trial_run(&t);
		assert_done(&t);
		print_message("# vm: %.1f s\n", (double)t.record->duration_ns / 1e9);
		assert_string_equal(t.record->guest.accel, "tcg");
		assert_true(
			t.record->guest.boot_ns > 0 && t.record->guest.first_ns > t.record->guest.boot_ns);
		json_array_foreach (t.record->knobs, i, knob)
			inside =
				inside || !strcmp(json_string_value(json_object_get(knob, "where")), "guest");
		assert_true(inside);
		trial_end(&t);
	}
	site_close(site);
}

/* --- a shell -------------------------------------------------------------------------------------- */

/* Standard input is the script, and what the host writes goes to a file. */
static int shell_run(const char *kernel, const char *script, size_t len, int *status, struct err *e)
{
	AUTO_FREE char *in = world_path("script"), *out = world_path("output");
	const struct shell_options options = {.kernel = kernel};
	int stdio[2] = {fcntl(0, F_DUPFD_CLOEXEC, 10), fcntl(1, F_DUPFD_CLOEXEC, 10)};

	assert_int_equal(file_write_synced(in, script, len, 0600, e), 0);
	AUTO_CLOSE int from = open(in, O_RDONLY | O_CLOEXEC);
	AUTO_CLOSE int to = open(out, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	fflush(stdout);
	dup2(from, 0);
	dup2(to, 1);
	int rc = site_shell(&options, status, e);
	fflush(stdout);
	dup2(stdio[0], 0);
	dup2(stdio[1], 1);
	close(stdio[0]);
	close(stdio[1]);
	return rc;
}

static bool can_boot(void)
{
	struct site *site = site_new();
	struct trial t;
	bool can = trial_ask(&t, site, HOST FEW);

	trial_end(&t);
	site_close(site);
	return can;
}

static void a_script_runs_on_an_emulated_host_and_its_status_comes_back(void **state)
{
	AUTO_FREE char *output = world_path("output"), *text = NULL;
	AUTO_CLOSE int root = root_open("/", ERR_IGNORED);
	static const char script[] = "echo the kernel is $(uname -r)\nexit 3\n";
	struct err e = ERR_INIT;
	int status = -1;

	(void)state;
	if (!can_boot())
		return;
	ok(shell_run(KERNEL, script, strlen(script), &status, &e));
	assert_int_equal(status, 3);
	ok(root_read_all(root, output, &text, NULL, &e));
	assert_has(text, "the kernel is " KERNEL);
	assert_nothing_marked(getpid());
}

static void a_shell_that_cannot_be_says_why(void **state)
{
	static char large[(1u << 20) + 5000];
	const struct {
		const char *kernel, *script;
		size_t len;
		int rc;
	} rows[] = {
		{"9.99", "", 0, -ENOENT},
		{KERNEL, large, sizeof(large), -EFBIG},
		{KERNEL, "echo \xff\xfe\n", 8, -EINVAL},
		{KERNEL, "echo \0\n", 7, -EINVAL},
	};

	(void)state;
	if (!can_boot())
		return;
	memset(large, '\n', sizeof(large));
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct err e = ERR_INIT;
		int status = -1, rc = shell_run(rows[i].kernel, rows[i].script, rows[i].len, &status, &e);
		if (rc != rows[i].rc)
			fail_msg("row %zu: %d (%s), not %d", i, rc, e.text, rows[i].rc);
		assert_int_equal(status, -1);
		assert_nothing_marked(getpid());
	}
	struct err e = ERR_INIT;
	int status = -1;
	stop_after(0);
	int rc = shell_run(KERNEL, "", 0, &status, &e);
	stop_never();
	assert_int_equal(rc, -EINTR);
	assert_nothing_marked(getpid());
}

static int group(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_a_host_cannot_serve_boots_another),
		cmocka_unit_test(a_group_of_trials_shares_one_boot),
		cmocka_unit_test(a_host_that_lies_or_ends_fails_its_trial),
		cmocka_unit_test(a_boot_that_is_stopped_leaves_nothing),
		cmocka_unit_test(a_trial_on_the_exact_clock_is_read_when_its_host_has_ended),
		cmocka_unit_test(a_virtual_machine_is_tuned_measured_and_gone),
		cmocka_unit_test(a_script_runs_on_an_emulated_host_and_its_status_comes_back),
		cmocka_unit_test(a_shell_that_cannot_be_says_why),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(int argc, char **argv)
{
	if (argc > 1 && !strcmp(argv[1], "site"))
		return serve(argc > 3 ? argv[3] : NULL);
	return world_run(group);
}
