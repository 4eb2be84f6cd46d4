/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Trials on this machine, from the settings to the record: those that are done, those whose ends die, lie or
 * say nothing (tests/system/faulty_agent.py stands in for the agent), and those that are stopped.  Whatever
 * happens, nothing is left and the machine is as it was.
 */
#include "test_site_world.h"

#include <stdio.h>
#include <sys/stat.h>

#define FEW "transactions=300,warmup=10ms,max_duration=10s"

/* --- what goes well ---------------------------------------------------------------------------- */

static const struct {
	const char *words;
	bool tuned;
} kinds[] = {
	{FEW, false},
	{FEW ",ipv6=yes,attachment=bridge,mtu=1400", false},
	{"target=container,runtime=oci,attachment=bridge," FEW, false},
	{"target=container,runtime=netns,workload=udp_rr,rate=2000," FEW, false},
	{"workload=udp_rr,flows=3,burst=4," FEW, false},
	{"workload=tcp_stream,duration=200ms,warmup=10ms", false},
	{"workload=tcp_maerts,duration=200ms,warmup=10ms", false},
	{"profile=low-latency," FEW, true},
	{"profile=low-latency,target=container,runtime=oci,attachment=bridge," FEW, true},
	{"profile=low-latency,workload=tcp_stream,duration=200ms,warmup=10ms", true},
	{"profile=command,apply=true,revert=true," FEW, true},
};

static void assert_knobs(const struct trial *t, bool tuned)
{
	const json_t *knob;
	size_t i, in_force = 0;

	json_array_foreach (t->record->knobs, i, knob) {
		assert_string_equal(json_string_value(json_object_get(knob, "where")), "host");
		in_force += !strcmp(json_string_value(json_object_get(knob, "status")), "effective");
	}
	if ((in_force > 0) != tuned)
		fail_msg("%s: %zu knobs are in force", t->plan.settings.profile, in_force);
}

static void a_trial_is_measured_and_verified_and_leaves_nothing(void **state)
{
	size_t fds = fds_open();

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		struct site *site = site_new();
		struct settings s;
		struct err e = ERR_INIT;
		struct trial t;
		if (trial_ask(&t, site, kinds[i].words)) {
			trial_run(&t);
			assert_done(&t);
			print_message("# %s: %.0f ms\n", kinds[i].words, (double)t.record->duration_ns / 1e6);
			assert_true(t.record->verified);
			assert_knobs(&t, kinds[i].tuned);
			assert_string_equal(t.record->ends[END_SERVER].site, "local");
			assert_string_equal(t.record->guest.kernel, "");
			assert_true(t.record->host.kernel[0]);
			trial_end(&t);
		}
		words_set(&s, "");
		ok(site_allowed(site, &s, &e)); /* no tuning is in force */
		site_close(site);
		assert_int_equal(fds_open(), fds);
	}
}

/* The journal stays, and a later taut would refuse: it is thrown away with what stands in for the machine. */
static void journals_forget(void)
{
	tree_remove(getenv("TAUT_STATE"), ERR_IGNORED);
}

/* --- one target for several trials --------------------------------------------------------------- */

#define SHARED "share=target,"
#define UDP    "workload=udp_rr,flows=2," FEW
static const char *const grounds[] = {
	SHARED,
	SHARED "profile=low-latency,",
	SHARED "target=container,runtime=netns,attachment=bridge,",
	SHARED "target=container,runtime=oci,attachment=bridge,",
	SHARED "target=container,runtime=oci,attachment=bridge,profile=low-latency,",
	SHARED "target=container,runtime=oci,profile=command,apply=true,revert=true,",
};
static const char *const ends[] = {FEW, UDP, "workload=tcp_stream,duration=200ms,warmup=10ms"};

/* The inode of a namespace tells whether it is the same one. */
static uint64_t netns_of_server(void)
{
	AUTO(buf_free) struct buf there = {0};
	struct stat st;
	const char *at;

	marked(getpid(), &there);
	at = strstr(there.data, "(taut-server)");
	while (at && at > there.data && strncmp(at, "process ", 8))
		at--;
	AUTO_FREE char *path = str_format("/proc/%d/ns/net", at ? atoi(at + strlen("process ")) : 0);
	return stat(path, &st) == 0 ? st.st_ino : 0;
}

static void trials_that_differ_in_their_ends_share_a_target_with_fresh_agents(void **state)
{
	size_t fds = fds_open();
	struct err e = ERR_INIT;

	(void)state;
	for (size_t g = 0; g < ARRAY_LEN(grounds); g++) {
		struct site *site = site_new();
		uint64_t netns = 0, clients[ARRAY_LEN(ends)], servers[ARRAY_LEN(ends)];
		for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
			AUTO_FREE char *words = str_format("%s%s", grounds[g], ends[i]);
			struct trial t;
			if (!trial_ask(&t, site, words))
				break;
			trial_run(&t);
			assert_done(&t);
			print_message("# %s: %.0f ms\n", words, (double)t.record->duration_ns / 1e6);
			assert_true(t.record->verified);
			assert_int_equal(t.record->target_use, i + 1);
			assert_knobs(&t, t.plan.tuning.profile != PROFILE_STOCK);
			clients[i] = t.record->ends[END_CLIENT].pid;
			servers[i] = t.record->ends[END_SERVER].pid;
			assert_true(clients[i] > 0 && servers[i] > 0);
			for (size_t before = 0; before < i; before++)
				assert_true(clients[before] != clients[i] && servers[before] != servers[i]);
			netns = i ? netns : netns_of_server();
			assert_true(netns > 0);
			assert_int_equal(netns_of_server(), netns);
			trial_end(&t);
		}
		ok(site_group(site, NULL, 0, &e));
		assert_nothing_marked(getpid());
		site_close(site);
		assert_int_equal(fds_open(), fds);
	}
}

/* Another link, another profile, a trial that shares nothing: each has a target of its own. */
static void a_target_serves_none_but_trials_that_want_the_same(void **state)
{
	static const struct {
		const char *words;
		uint64_t use;
	} rows[] = {
		{SHARED FEW, 1},
		{SHARED "workload=udp_rr," FEW, 2},
		{SHARED "mtu=1400," FEW, 1},
		{SHARED "profile=low-latency," FEW, 1},
		{FEW, 1},
		{SHARED FEW, 1},
		{SHARED "congestion=moon," FEW, 1}, /* fails */
		{SHARED FEW, 1},
		{SHARED FEW, 2},
	};
	struct site *site = site_new();
	struct err e = ERR_INIT;
	struct trial t;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows) && trial_ask(&t, site, rows[i].words); i++) {
		trial_run(&t);
		if (t.rc < 0 || t.record->target_use != rows[i].use)
			fail_msg("%s: %d (%s), use %llu, not %llu (%s)", rows[i].words, t.rc, t.e.text,
				(unsigned long long)t.record->target_use, (unsigned long long)rows[i].use,
				t.record->reason);
		trial_end(&t);
	}
	ok(site_group(site, NULL, 0, &e));
	assert_nothing_marked(getpid());
	site_close(site);
}

/* What tuning was done before the target started is undone when the group ends, and that can fail. */
static void the_end_of_a_group_puts_the_machine_back_or_says_that_it_cannot(void **state)
{
	struct site *site = site_new();
	struct err e = ERR_INIT;
	struct trial t;

	(void)state;
	if (trial_ask(&t, site, SHARED "profile=command,apply=true,revert=false," FEW)) {
		trial_run(&t);
		assert_done(&t);
		trial_end(&t);
		assert_true(site_group(site, NULL, 0, &e) < 0);
		assert_int_equal(e.exit, EXIT_PARTLY_APPLIED);
		assert_has(e.text, "cannot put everything back");
		assert_nothing_marked(getpid());
	}
	site_close(site);
	journals_forget();
}

/* Ten million requests a second are more than any machine sends. */
static void a_rate_that_is_not_met_is_told(void **state)
{
	struct site *site = site_new();
	struct trial t;

	(void)state;
	if (trial_ask(&t, site, "workload=udp_rr,rate=10000000,warmup=10ms,duration=100ms,timeout=100ms")) {
		trial_run(&t);
		if (t.rc < 0 || !t.record->rate_missed)
			fail_msg("%d (%s), %s", t.rc, t.e.text, t.record->reason);
		if (t.record->outcome == TRIAL_FAILED)
			assert_has(t.record->reason, "asked for 10000000 /s");
		trial_end(&t);
	}
	site_close(site);
}

static void noise_runs_as_long_as_trials_want_it(void **state)
{
	static const struct {
		const char *words;
		bool noisy;
	} rows[] = {
		{"noise=cpu," FEW, true}, {"noise=cpu," FEW, true}, {FEW, false}, {"noise=cpu," FEW, true}};
	struct site *site = site_new();
	struct trial t;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows) && trial_ask(&t, site, rows[i].words); i++) {
		AUTO(buf_free) struct buf there = {0};
		trial_run(&t);
		assert_done(&t);
		trial_end(&t);
		marked(getpid(), &there);
		if (!strstr(there.data, "stress-ng") == rows[i].noisy)
			fail_msg("row %zu: '%s'", i, there.data);
	}
	site_close(site);
	assert_nothing_marked(getpid());
}

/* --- what goes wrong --------------------------------------------------------------------------- */

struct fault {
	const char *role, *what; /* JSON without its braces: what the agent does in that role */
	const char *reason;      /* part of it */
	const char *words;       /* besides */
};

#define HELLO  "1"
#define READY  "3"
#define RECORD "6"
#define ERROR  "7"

static const struct fault faults[] = {
	{"taut-server", "'do':'exit','code':3", "taut-server", ""},
	{"taut-client", "'do':'bytes','hex':'ffffffff00'", "client endpoint", ""},
	{"taut-server", "'do':'frame','type':" HELLO ",'body':{'version':'moon'}", "server endpoint", ""},
	{"taut-server", "'do':'frame','type':" RECORD ",'body':{}",
		"server endpoint: the control stream brought", ""},
	{"taut-server", "'do':'frame','type':" ERROR ",'body':{'text':'not today'}",
		"server endpoint: not today", ""},
	{"taut-server", "'do':'rewrite','type':" READY ",'set':{'ports':[0]}", "does not say on which ports",
		""},
	{"taut-client", "'do':'rewrite','type':" RECORD ",'set':{'transactions':-1}", "client endpoint", ""},
	{"taut-client", "'do':'rewrite','type':" RECORD ",'set':{'ended_ns':9000000000000000000}",
		"client endpoint", ""},
	{"taut-server", "'do':'rewrite','type':" RECORD ",'drop':['mistake']", "server endpoint", ""},
	{"taut-client", "'do':'rewrite','type':" RECORD ",'set':{'mistake':'a reply of yesterday'}",
		"client endpoint: a reply of yesterday", ""},
	{"taut-client", "'do':'die','type':" READY ",'after_ms':0", "killed by SIGKILL",
		"profile=low-latency"},
	{"taut-server", "'do':'die','type':" READY ",'after_ms':300", "killed by SIGKILL",
		"transactions=0,duration=2s"},
	{"taut-server", "'do':'occupy','port':4711", "4711", "port=4711"},
};

/* The agent is tests/system/faulty_agent.py, which does as TAUT_TEST_FAULT says. */
static void faulty_agent(const struct fault *f)
{
	AUTO_FREE char *fault = str_format("{'role':'%s',%s}", f->role, f->what);

	for (char *c = fault; *c; c++)
		*c = *c == '\'' ? '"' : *c;
	setenv("TAUT_TEST_FAULT", fault, 1);
}

/* $TAUT_AGENT as it was; NULL: there is no python for the faulty one. */
static char *faulty_begin(void)
{
	AUTO_FREE char *wrapper = world_path("taut-agent");
	AUTO_FREE char *text =
		str_format("#!/bin/sh\nexec python3 -I -B -c 'import sys; "
			   "sys.path.insert(0, \"%s/../system\"); import faulty_agent' \"$@\"\n",
			TEST_DATA);
	char *real = str_dup(getenv("TAUT_AGENT")), path[512];
	struct err e = ERR_INIT;

	if (!real || !program_find("python3", path, sizeof(path))) {
		print_message("# skipped: no python3, or no $TAUT_AGENT\n");
		free(real);
		return NULL;
	}
	ok(file_write_synced(wrapper, text, strlen(text), 0755, &e));
	setenv("TAUT_TEST_AGENT", real, 1);
	setenv("TAUT_AGENT", wrapper, 1);
	return real;
}

static void faulty_end(char *real)
{
	setenv("TAUT_AGENT", real, 1);
	free(real);
}

static void an_end_that_dies_or_lies_fails_its_trial_and_says_which(void **state)
{
	char *real = faulty_begin();
	struct site *site = site_new();
	size_t fds = fds_open();

	(void)state;
	for (size_t i = 0; real && i < ARRAY_LEN(faults); i++) {
		const struct fault *f = &faults[i];
		AUTO_FREE char *words = str_format(FEW "%s%s", f->words[0] ? "," : "", f->words);
		struct trial t;
		setenv("TAUT_AGENT", real, 1);
		if (!trial_ask(&t, site, words))
			break;
		AUTO_FREE char *wrapper = world_path("taut-agent");
		setenv("TAUT_AGENT", wrapper, 1);
		faulty_agent(f);
		trial_run(&t);
		if (t.rc < 0 || t.record->outcome != TRIAL_FAILED || !strstr(t.record->reason, f->reason))
			fail_msg("%s %s: %d (%s), outcome %d (%s)", f->role, f->what, t.rc, t.e.text,
				(int)t.record->outcome, t.record->reason);
		print_message("# %s\n", t.record->reason);
		trial_end(&t);
		assert_int_equal(fds_open(), fds);
	}
	site_close(site);
	if (real)
		faulty_end(real);
}

/* --- the machine cannot be put back -------------------------------------------------------------- */

static void a_machine_that_cannot_be_put_back_ends_the_run(void **state)
{
	static const struct {
		const char *words;
		const char *text;
	} rows[] = {
		{"profile=command,apply=true,revert=false," FEW, "cannot put everything back"},
		{"profile=command,apply=true,revert=false,congestion=moon," FEW, "and then"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct site *site = site_new();
		struct trial t;
		if (trial_ask(&t, site, rows[i].words)) {
			trial_run(&t);
			if (t.rc >= 0 || t.e.exit != EXIT_PARTLY_APPLIED || !strstr(t.e.text, rows[i].text))
				fail_msg(
					"%s: %d, exit %d (%s)", rows[i].words, t.rc, (int)t.e.exit, t.e.text);
			trial_end(&t);
		}
		site_close(site);
		journals_forget();
	}
}

/* --- Ctrl-C ------------------------------------------------------------------------------------- */

static void a_trial_that_is_stopped_is_put_back_at_once(void **state)
{
	static const unsigned moments_ms[] = {0, 5, 30, 80, 600};
	AUTO_FREE char *file = world_path("tuned");
	AUTO_FREE char *words =
		str_format("profile=command,apply=touch %s,revert=rm %s,duration=30s", file, file);
	size_t fds = fds_open();

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(moments_ms); i++) {
		struct site *site = site_new();
		struct trial t;
		if (trial_ask(&t, site, words)) {
			uint64_t begin = time_now_ns();
			stop_after(moments_ms[i]);
			trial_run(&t);
			stop_never();
			if (t.rc != -EINTR)
				fail_msg("after %u ms: %d (%s), outcome %d (%s)", moments_ms[i], t.rc,
					t.e.text, (int)t.record->outcome, t.record->reason);
			assert_true(time_now_ns() - begin < 25 * NS_PER_S); /* of 30 */
			assert_int_equal(access(file, F_OK), -1);
			trial_end(&t);
		}
		site_close(site);
		assert_int_equal(fds_open(), fds);
	}
}

static int group(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_trial_is_measured_and_verified_and_leaves_nothing),
		cmocka_unit_test(trials_that_differ_in_their_ends_share_a_target_with_fresh_agents),
		cmocka_unit_test(a_target_serves_none_but_trials_that_want_the_same),
		cmocka_unit_test(the_end_of_a_group_puts_the_machine_back_or_says_that_it_cannot),
		cmocka_unit_test(a_rate_that_is_not_met_is_told),
		cmocka_unit_test(noise_runs_as_long_as_trials_want_it),
		cmocka_unit_test(an_end_that_dies_or_lies_fails_its_trial_and_says_which),
		cmocka_unit_test(a_machine_that_cannot_be_put_back_ends_the_run),
		cmocka_unit_test(a_trial_that_is_stopped_is_put_back_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
	return world_run(group);
}
