/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Targets on the real machine: made, started, examined, taken down, and found again after a taut was killed.
 * The agent is the one that $TAUT_AGENT names, or else the one beside the test.  Without root the test
 * becomes root of a user namespace first.  A test that cannot run here is skipped with the reason, or fails
 * when TAUT_MUST names what it needs (netns, oci).
 */
#include "net/net.h"
#include "test_keep.h"
#include "test_need.h"
#include "test_marks.h"
#include "testbed/testbed.h"

#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include <cmocka.h>

#define START_NS (50 * NS_PER_S)
#ifndef KILLS
#define KILLS 10
#endif

struct kind {
	const char *target, *runtime, *attachment;
	bool ipv6;
	uint64_t mtu;
	size_t links;
};

static const struct kind kinds[] = {
	{"native", "", "veth", false, 0, 2},
	{"native", "netns", "bridge", false, 1400, 5},
	{"container", "netns", "bridge", true, 9000, 5},
	{"container", "oci", "veth", true, 0, 2},
	{"container", "oci", "bridge", false, 1400, 5},
	{"native", "", "macvlan", false, 0, 3},
	{"container", "oci", "macvlan", true, 1400, 3},
};

static void settings_make(struct settings *s, const struct kind *k)
{
	settings_init(s);
	s->target = k->target;
	s->runtime = k->runtime;
	s->attachment = k->attachment;
	s->ipv6 = k->ipv6;
	s->mtu = k->mtu;
}

static void plan_resolve(struct trial_plan *plan, const struct settings *s)
{
	struct err e = ERR_INIT;

	if (plan_make(plan, s, &e) < 0 || target_resolve(plan, &e) < 0)
		fail_msg("%s", e.text);
}

static int make_target(struct target **out, const struct settings *s, struct err *e)
{
	struct trial_plan plan;

	plan_resolve(&plan, s);
	return target_create(out, &plan, e);
}

static bool possible(const struct kind *k)
{
	const char *must = getenv("TAUT_MUST"), *what = strcmp(k->runtime, "oci") ? "netns" : "oci";
	char reason[1024];
	bool privilege;
	struct trial_plan plan;
	struct settings s;

	settings_make(&s, k);
	plan_resolve(&plan, &s);
	str_copy(reason, sizeof(reason), namespaces_lacking());
	if (!reason[0] && target_probe(&plan, reason, sizeof(reason), &privilege) == TARGET_YES)
		return true;
	if (must && strstr(must, what))
		fail_msg("%s: %s", what, reason);
	print_message("# skipped: %s/%s/%s: %s\n", k->target, k->runtime, k->attachment, reason);
	return false;
}

/* --- the behaviours ---------------------------------------------------------------------------- */

static void assert_speaks(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	char byte;

	assert_int_equal(poll(&p, 1, 0), 1);
	assert_int_equal(recv(fd, &byte, 1, MSG_PEEK), 1);
}

static void assert_in_namespace(int pid, int ns)
{
	AUTO_FREE char *path = str_format("/proc/%d/ns/net", pid);
	struct stat of_process, of_fd;

	assert_int_equal(stat(path, &of_process), 0);
	assert_int_equal(fstat(ns, &of_fd), 0);
	assert_int_equal(of_process.st_ino, of_fd.st_ino);
}

static void assert_subject(struct target *t, const struct kind *k)
{
	struct subject *s = mem_alloc(sizeof(*s));
	struct err e = ERR_INIT;
	bool roles[2] = {false, false};

	ok(target_subject(t, s, &e));
	assert_int_equal(s->links_n, k->links);
	for (size_t i = 0; i < s->links_n; i++) {
		unsigned mtu = 0;
		ok(net_link_mtu(s->links[i].netns_fd, s->links[i].name, &mtu, &e));
		assert_int_equal(mtu, k->mtu ? k->mtu : 1500);
	}
	assert_int_equal(s->cgroups_n, s->cgroup_root[0] ? 2 : 0);
	for (size_t i = 0; i < s->threads_n; i++) {
		bool server = s->threads[i].role == ROLE_SERVER;
		roles[server] = true;
		for (size_t j = 0; j < s->links_n; j++)
			if (!strcmp(s->links[j].name, server ? "taut-server" : "taut-client"))
				assert_in_namespace(s->threads[i].pid, s->links[j].netns_fd);
	}
	assert_true(roles[0] && roles[1]);
	free(s);
}

static void one_kind_comes_and_goes(const struct kind *k)
{
	struct settings s;
	struct target *t = NULL;
	struct err e = ERR_INIT;
	size_t fds = fds_open();
	char said[256];

	settings_make(&s, k);
	uint64_t begin = time_now_ns();
	ok(make_target(&t, &s, &e));
	uint64_t made = time_now_ns();
	ok(target_start(t, made + START_NS, &e));
	uint64_t started = time_now_ns();
	assert_speaks(target_control(t, false));
	assert_speaks(target_control(t, true));
	assert_subject(t, k);
	target_ended(t, said, sizeof(said));
	assert_string_equal(said, "");
	uint64_t end = time_now_ns();
	ok(target_destroy(t, &e));
	print_message("# %s/%s/%s: create %.1f ms, start %.1f ms, destroy %.1f ms\n", k->target, k->runtime,
		k->attachment, (double)(made - begin) / 1e6, (double)(started - made) / 1e6,
		(double)(time_now_ns() - end) / 1e6);
	assert_nothing_marked(getpid());
	assert_int_equal(fds_open(), fds);
}

static void every_kind_comes_and_leaves_nothing(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		for (int times = 0; times < 3 && possible(&kinds[i]); times++)
			one_kind_comes_and_goes(&kinds[i]);
}

static void a_target_that_never_started_goes_too(void **state)
{
	struct settings s;
	struct target *t = NULL;
	struct err e = ERR_INIT;
	size_t fds = fds_open();

	(void)state;
	if (!possible(&kinds[1]))
		skip();
	settings_make(&s, &kinds[1]);
	ok(make_target(&t, &s, &e));
	ok(target_destroy(t, &e));
	assert_nothing_marked(getpid());
	assert_int_equal(fds_open(), fds);
}

/* Two targets of one taut stand beside each other: their names do not clash. */
static void targets_stand_side_by_side(void **state)
{
	struct settings s;
	struct target *a = NULL, *b = NULL;
	struct err e = ERR_INIT;

	(void)state;
	if (!possible(&kinds[0]))
		skip();
	settings_make(&s, &kinds[0]);
	ok(make_target(&a, &s, &e));
	ok(make_target(&b, &s, &e));
	ok(target_start(b, time_now_ns() + START_NS, &e));
	ok(target_start(a, time_now_ns() + START_NS, &e));
	ok(target_destroy(a, &e));
	assert_speaks(target_control(b, true));
	ok(target_destroy(b, &e));
	assert_nothing_marked(getpid());
}

static void endpoints_inherit_what_tuning_wrote_before(void **state)
{
	AUTO_CLOSE int root = root_open("/", ERR_IGNORED);
	struct subject *subject = mem_alloc(sizeof(*subject));
	struct cgroups where;
	struct settings s;
	struct err e = ERR_INIT;

	(void)state;
	ok(cgroups_find(root, &where, &e));
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		struct target *t = NULL;
		if (!possible(&kinds[i]))
			continue;
		settings_make(&s, &kinds[i]);
		ok(make_target(&t, &s, &e));
		ok(target_subject(t, subject, &e));
		assert_int_equal(subject->threads_n, 0);
		AUTO_FREE char *file = str_format("%s%s/cpuset.cpus", where.cpuset, subject->cgroup_root);
		if (!subject->cgroup_root[0] || root_write(root, file, "0", ERR_IGNORED) < 0) {
			print_message("# skipped: no cpuset can be written here\n");
			ok(target_destroy(t, &e));
			break;
		}
		ok(target_start(t, time_now_ns() + START_NS, &e));
		ok(target_subject(t, subject, &e));
		for (size_t j = 0; j < subject->threads_n; j++) {
			struct task task;
			char list[64];
			ok(task_read(root, subject->threads[j].pid, subject->threads[j].tid, &task, &e));
			assert_string_equal(cpus_format_list(&task.affinity, list, sizeof(list)), "0");
		}
		ok(target_destroy(t, &e));
	}
	free(subject);
}

static void the_end_of_an_agent_is_told(void **state)
{
	struct subject *subject = mem_alloc(sizeof(*subject));
	struct settings s;
	struct target *t = NULL;
	struct err e = ERR_INIT;
	char said[256];

	(void)state;
	if (!possible(&kinds[0]))
		skip();
	settings_make(&s, &kinds[0]);
	ok(make_target(&t, &s, &e));
	ok(target_start(t, time_now_ns() + START_NS, &e));
	ok(target_subject(t, subject, &e));
	for (size_t i = 0; i < subject->threads_n; i++)
		if (subject->threads[i].role == ROLE_SERVER)
			kill(subject->threads[i].pid, SIGKILL);
	struct pollfd p = {.fd = target_control(t, true), .events = POLLRDHUP};
	assert_int_equal(poll(&p, 1, 2000), 1);
	target_ended(t, said, sizeof(said));
	assert_string_equal(said, "taut-server: killed by SIGKILL");
	ok(target_destroy(t, &e));
	free(subject);
}

static void an_agent_that_cannot_start_is_told(void **state)
{
	AUTO_FREE char *before = str_dup(getenv("TAUT_AGENT"));
	static const struct {
		const char *agent, *text;
	} rows[] = {
		{"/bin/false", "cannot start taut-client: exit status 1"},
		{"/nowhere/taut-agent",
			"cannot run the agent /nowhere/taut-agent ($TAUT_AGENT): No such file or directory"},
	};

	(void)state;
	if (!possible(&kinds[0]))
		skip();
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct settings s;
		struct target *t = NULL;
		struct err e = ERR_INIT;
		settings_make(&s, &kinds[0]);
		setenv("TAUT_AGENT", rows[i].agent, 1);
		int rc = make_target(&t, &s, &e);
		if (rc == 0)
			rc = target_start(t, time_now_ns() + START_NS, &e);
		assert_true(rc < 0);
		assert_string_equal(e.text, rows[i].text);
		ok(target_destroy(t, &e));
		assert_nothing_marked(getpid());
	}
	if (before)
		setenv("TAUT_AGENT", before, 1);
	else
		unsetenv("TAUT_AGENT");
}

static void what_this_build_cannot_make_is_named(void **state)
{
	static const struct {
		struct kind kind;
		const char *text;
	} rows[] = {
		{{"unikernel", "", ""},
			"cannot use target 'unikernel': "
			"this build cannot make it, known are native, container, vm, vm:NAME, container:NAME and pid:N"},
		{{"container", "lxc", ""},
			"target container: cannot use runtime 'lxc': this build cannot make it, known are netns, oci"},
		{{"native", "oci", ""},
			"target native: cannot use runtime 'oci': this build cannot make it, known are netns"},
		{{"native", "", "ipvlan"},
			"cannot use attachment 'ipvlan': "
			"this build cannot make it, known are veth, bridge, host, macvlan, device, vf, vhost-user, memif"},
		{{"container", "oci", "host"},
			"cannot use attachment 'host' with runtime oci: it has one of veth|bridge|macvlan|device|vf"},
	}; /* which engines are known is the build's affair, and they come last */

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct settings s;
		struct err e = ERR_INIT;
		settings_make(&s, &rows[i].kind);
		assert_int_equal(target_check(&s, &e), -EINVAL);
		assert_int_equal(e.exit, EXIT_USAGE);
		if (!str_starts(e.text, rows[i].text))
			fail_msg("got '%s', wanted '%s'", e.text, rows[i].text);
	}
}

/* --- after a crash ----------------------------------------------------------------------------- */

#define ROWS_MAX 8

static int look(struct buf *said, struct err *e)
{
	const struct undo_sweep_row *rows[ROWS_MAX];

	return undo_sweep_look(rows, target_sweep_rows(rows, ROWS_MAX), said, e);
}

static int clean(struct buf *said, struct err *e)
{
	const struct undo_sweep_row *rows[ROWS_MAX];

	return undo_sweep(rows, target_sweep_rows(rows, ROWS_MAX), said, e);
}

/* Starts a taut that makes a target, reports that it is made, and waits to be killed. */
static pid_t holder_start(const struct kind *k)
{
	int ends[2];
	char byte = 0;

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	pid_t pid = fork();
	if (pid == 0) {
		struct settings s;
		struct target *t = NULL;
		struct err e = ERR_INIT;
		settings_make(&s, k);
		if (make_target(&t, &s, &e) == 0 && target_start(t, time_now_ns() + START_NS, &e) == 0)
			byte = 'y';
		else
			fprintf(stderr, "%s\n", e.text);
		if (write(ends[1], &byte, 1) == 1)
			pause();
		_exit(1);
	}
	close(ends[1]);
	assert_int_equal(read(ends[0], &byte, 1), 1);
	close(ends[0]);
	assert_int_equal(byte, 'y');
	return pid;
}

static void a_killed_taut_leaves_nothing_behind_a_sweep(void **state)
{
	struct settings s;
	struct err e = ERR_INIT;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		AUTO(buf_free) struct buf before = {0}, after = {0}, said = {0}, again = {0};
		struct target *mine = NULL;
		if (!possible(&kinds[i]))
			continue;
		settings_make(&s, &kinds[i]);
		ok(make_target(&mine, &s, &e));
		ok(target_start(mine, time_now_ns() + START_NS, &e));
		pid_t holder = holder_start(&kinds[i]);
		marked(getpid(), &before);
		assert_int_equal(kill(holder, SIGKILL), 0);
		assert_int_equal(waitpid(holder, NULL, 0), holder);
		assert_true(look(&said, &e) > 0);
		ok(clean(&said, &e));
		assert_nothing_marked(holder);
		marked(getpid(), &after);
		assert_string_equal(after.data, before.data); /* nothing of a running taut is removed */
		assert_speaks(target_control(mine, true));
		ok(target_destroy(mine, &e));
		look(&again, &e);
		AUTO_FREE char *id = str_format("%d-", holder);
		assert_null(again.data ? strstr(again.data, id) : NULL);
	}
}

/* taut is killed at any moment: while it makes links or a bundle, while a runtime starts or cleans up. */
static void a_taut_killed_at_any_moment_leaves_nothing_behind_a_sweep(void **state)
{
	uint64_t seed = 1;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		struct err e = ERR_INIT;
		for (int times = 0; times < KILLS && possible(&kinds[i]); times++) {
			AUTO(buf_free) struct buf said = {0};
			struct timespec wait = {0, (long)rng_below(&seed, 40000000)};
			pid_t pid = fork();
			if (pid == 0) {
				for (;;) {
					struct settings s;
					struct target *t = NULL;
					settings_make(&s, &kinds[i]);
					if (make_target(&t, &s, ERR_IGNORED) == 0)
						target_start(t, time_now_ns() + START_NS, ERR_IGNORED);
					target_destroy(t, ERR_IGNORED);
				}
			}
			nanosleep(&wait, NULL);
			kill(pid, SIGKILL);
			assert_int_equal(waitpid(pid, NULL, 0), pid);
			ok(clean(&said, &e));
			assert_nothing_marked(pid);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_this_build_cannot_make_is_named),
		cmocka_unit_test(every_kind_comes_and_leaves_nothing),
		cmocka_unit_test(a_target_that_never_started_goes_too),
		cmocka_unit_test(targets_stand_side_by_side),
		cmocka_unit_test(endpoints_inherit_what_tuning_wrote_before),
		cmocka_unit_test(the_end_of_an_agent_is_told),
		cmocka_unit_test(an_agent_that_cannot_start_is_told),
		cmocka_unit_test(a_killed_taut_leaves_nothing_behind_a_sweep),
		cmocka_unit_test(a_taut_killed_at_any_moment_leaves_nothing_behind_a_sweep),
	};
	char state[] = "/tmp/taut-testbed-XXXXXX";

	keep_real(state);
	setenv("TAUT_STATE", state, 1);
	namespaces_enter();
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	tree_remove(state, ERR_IGNORED);
	return failed;
}
