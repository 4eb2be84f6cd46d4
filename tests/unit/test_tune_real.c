/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Tunes the machine that the test runs on, for a moment, and checks that afterwards it is as before: affinity
 * and policy of every task, and every file that a knob may write.  This needs root and a machine without
 * containers of others; otherwise the tests are skipped with the reason (with TAUT_MUST=tune they fail).
 */
#include "tune/private.h"
#include "test_keep.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <cmocka.h>

#define SPINNERS 4

struct machine {
	int root, lock;
	struct undo_host host;
	struct subject subject;
	pid_t ends[2];
	char state[64];
};

/* The lock that every taut of root takes: two that tune one machine would take each other's values for the
 * old ones. */
static int lock_machine(struct err *e)
{
	int rc = dir_make("/var/lib/taut", 0700, e);

	return rc < 0 ? rc : machine_lock("/var/lib/taut", e);
}

/* Returns the lock, or -1 with the reason. */
static int may_tune(char *why, size_t size)
{
	struct undo_host host = UNDO_HOST_NONE;
	struct err e = ERR_INIT;
	AUTO_CLOSE int root = root_open("/", &e);

	str_copy(why, size, "needs root");
	if (!is_privileged())
		return -1;
	host.root = root;
	int rc = cpus_online(root, &host.online, &e);
	str_copy(why, size, "needs two CPUs");
	if (rc == 0 && CPU_COUNT(&host.online) < 2)
		return -1;
	if (rc == 0)
		rc = tune_allowed(&host, 0, false, &e);
	if (rc == 0)
		rc = lock_machine(&e);
	if (rc >= 0)
		return rc;
	err_string(&e, why, size);
	return -1;
}

static int need_machine(void)
{
	const char *wanted = getenv("TAUT_MUST");
	char why[1024];
	int lock = may_tune(why, sizeof(why));

	if (lock >= 0)
		return lock;
	if (wanted && strstr(wanted, "tune"))
		fail_msg("%s", why);
	print_message("# skipped: %s\n", why);
	skip();
	return -1;
}

/* What is in force, so that a test that fails does not leave it so. */
static const struct undo_table *const tables[] = {&tune_table};

static struct tune *in_force;

static void must(int rc, const struct err *e)
{
	if (rc < 0)
		fail_msg("%s (%d)", e->text, rc);
}

/* --- the picture ------------------------------------------------------------------------------- */

static const char *const watched[] = {"/proc/irq/default_smp_affinity",
	"/sys/devices/virtual/workqueue/cpumask", "/sys/devices/virtual/workqueue/writeback/cpumask",
	"/proc/sys/kernel/watchdog_cpumask", "/proc/sys/kernel/sched_rt_runtime_us",
	"/proc/sys/net/core/rps_default_mask", "/proc/sys/net/core/busy_read",
	"/sys/fs/cgroup/cpuset/cpuset.sched_load_balance", "/sys/fs/cgroup/cpuset/cpuset.cpus",
	"/sys/fs/cgroup/cgroup.subtree_control", "/sys/fs/cgroup/cpuset.cpus.isolated"};

struct picture {
	struct task *tasks;
	size_t n;
	struct buf files;
};

struct looking {
	int root;
	struct buf *out;
	const char *format;
};

static void look_file(int root, const char *path, struct buf *out)
{
	char text[4096];

	if (root_read(root, path, text, sizeof(text), ERR_IGNORED) >= 0)
		buf_add(out, "%s: %s\n", path, text);
}

static int look_each(const char *name, void *arg)
{
	struct looking *l = arg;
	char path[160];

	snprintf(path, sizeof(path), l->format, name);
	look_file(l->root, path, l->out);
	return 0;
}

static struct picture picture_take(int root)
{
	struct picture p = {0};
	struct looking irq = {root, &p.files, "/proc/irq/%s/smp_affinity"};
	struct looking cpu = {root, &p.files, "/sys/devices/system/cpu/%s/power/pm_qos_resume_latency_us"};

	assert_int_equal(tasks_list(root, 0, &p.tasks, &p.n, ERR_IGNORED), 0);
	for (size_t i = 0; i < ARRAY_LEN(watched); i++)
		look_file(root, watched[i], &p.files);
	root_each(root, "/proc/irq", look_each, &irq, ERR_IGNORED);
	root_each(root, "/sys/devices/system/cpu", look_each, &cpu, ERR_IGNORED);
	return p;
}

static void picture_free(struct picture *p)
{
	free(p->tasks);
	buf_free(&p->files);
}

static void picture_compare(const struct picture *was, const struct picture *is)
{
	size_t both = 0;

	assert_string_equal(was->files.data, is->files.data);
	for (size_t i = 0; i < was->n; i++) {
		for (size_t j = 0; j < is->n; j++) {
			const struct task *a = &was->tasks[i], *b = &is->tasks[j];
			if (a->tid != b->tid || a->start != b->start)
				continue;
			both++;
			if (!CPU_EQUAL(&a->affinity, &b->affinity) || a->policy != b->policy ||
				a->priority != b->priority)
				fail_msg("task %d (%s) is not as before", a->tid, a->comm);
		}
	}
	assert_true(both > 10);
	assert_false(access("/sys/fs/cgroup/cpuset/taut-housekeeping", F_OK) == 0);
}

/* --- a target ---------------------------------------------------------------------------------- */

static void each_hierarchy(struct machine *m, void (*fn)(struct machine *m, const char *mount))
{
	if (*m->host.cgroups.cpuset)
		fn(m, m->host.cgroups.cpuset);
	if (*m->host.cgroups.cpu && strcmp(m->host.cgroups.cpuset, m->host.cgroups.cpu))
		fn(m, m->host.cgroups.cpu);
}

static void write_at(const char *dir, const char *name, int number)
{
	AUTO_FREE char *path = str_format("%s/%s", dir, name), *text = str_format("%d", number);
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	assert_true(fd >= 0 && write(fd, text, strlen(text)) > 0);
	close(fd);
}

/* As testbed does it: in cgroup v1 a cpuset needs cpus and mems before tasks can enter. */
static void copy_down(struct machine *m, const char *dir)
{
	static const char *const files[] = {"cpuset.cpus", "cpuset.mems"};

	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		AUTO_FREE char *parent = str_dup(dir);
		*strrchr(parent, '/') = 0;
		AUTO_FREE char *from = str_format("%s/%s", parent, files[i]),
			       *to = str_format("%s/%s", dir, files[i]);
		char text[1024];
		if (root_read(m->root, from, text, sizeof(text), ERR_IGNORED) > 0)
			assert_int_equal(root_write(m->root, to, text, ERR_IGNORED), 0);
	}
}

static void make_group(struct machine *m, const char *mount, const char *name)
{
	AUTO_FREE char *dir = str_format("%s%s%s", mount, m->subject.cgroup_root, name);

	assert_int_equal(mkdir(dir, 0755), 0);
	if (m->host.cgroups.version == CGROUP_V1)
		copy_down(m, dir);
}

static void make_top(struct machine *m, const char *mount)
{
	make_group(m, mount, "");
}

static void put_in(struct machine *m, const char *mount)
{
	static const char *const names[] = {"/client", "/server"};

	for (int i = 0; i < 2; i++) {
		make_group(m, mount, names[i]);
		AUTO_FREE char *dir = str_format("%s%s%s", mount, m->subject.cgroup_root, names[i]);
		write_at(dir, "cgroup.procs", m->ends[i]);
	}
}

static void remove_groups(struct machine *m, const char *mount)
{
	static const char *const names[] = {"/client", "/server", ""};

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		AUTO_FREE char *dir = str_format("%s%s%s", mount, m->subject.cgroup_root, names[i]);
		rmdir(dir);
	}
}

static void target_make(struct machine *m)
{
	m->subject = (struct subject){0};
	if (m->host.cgroups.version == CGROUP_NONE)
		return;
	snprintf(m->subject.cgroup_root, sizeof(m->subject.cgroup_root), "/taut-%d-1", getpid());
	each_hierarchy(m, make_top);
}

/* A child that cannot outlive a test that fails. */
static pid_t child_of_test(void)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0)
		prctl(PR_SET_PDEATHSIG, SIGKILL);
	return pid;
}

static void target_start(struct machine *m)
{
	static const char *const names[] = {"client", "server"};

	for (int i = 0; i < 2; i++) {
		struct subject_thread *thread = &m->subject.threads[i];
		m->ends[i] = child_of_test();
		if (m->ends[i] == 0) {
			pause();
			_exit(0);
		}
		*thread = (struct subject_thread){i ? ROLE_SERVER : ROLE_CLIENT, m->ends[i], m->ends[i], 0};
		assert_int_equal(task_start_time(m->root, m->ends[i], &thread->start, ERR_IGNORED), 0);
		if (*m->subject.cgroup_root)
			snprintf(m->subject.cgroups[i], sizeof(m->subject.cgroups[i]), "/taut-%d-1/%s",
				getpid(), names[i]);
	}
	m->subject.threads_n = 2;
	m->subject.cgroups_n = *m->subject.cgroup_root ? 2 : 0;
	if (m->subject.cgroups_n)
		each_hierarchy(m, put_in);
}

static void target_end(struct machine *m)
{
	for (int i = 0; i < 2; i++)
		if (m->ends[i] > 0) {
			kill(m->ends[i], SIGKILL);
			waitpid(m->ends[i], NULL, 0);
			m->ends[i] = 0;
		}
	if (*m->subject.cgroup_root)
		each_hierarchy(m, remove_groups);
}

/* `bare`: as if the machine had no cgroups, so that only affinity is left. */
static void machine_open(struct machine *m, bool bare)
{
	struct err e = ERR_INIT;
	int lock = need_machine();

	*m = (struct machine){.host = UNDO_HOST_NONE, .lock = lock};
	str_copy(m->state, sizeof(m->state), "/tmp/taut-real-XXXXXX");
	keep_real(m->state);
	setenv("TAUT_STATE", m->state, 1);
	m->root = root_open("/", &e);
	must(undo_open(&m->host, m->root, tables, ARRAY_LEN(tables), &e), &e);
	if (bare)
		m->host.cgroups = (struct cgroups){.version = CGROUP_NONE};
}

static void machine_close(struct machine *m)
{
	undo_close(&m->host);
	close(m->root);
	close(m->lock);
	tree_remove(m->state, ERR_IGNORED);
}

/* --- the tests --------------------------------------------------------------------------------- */

static int plan_of(struct undo_list **out, const struct undo_host *host, enum tune_stage stage,
	const struct settings *s, const struct subject *subject, struct err *e)
{
	struct tuning tuning;
	int rc = tuning_make(&tuning, s, e);

	return rc < 0 ? rc : tune_plan_make(out, host, stage, &tuning, subject, e);
}

static void apply_stage(struct machine *m, struct tune *tune, enum tune_stage stage)
{
	struct err e = ERR_INIT;
	struct undo_list *plan;
	struct settings s;

	settings_init(&s);
	s.profile = "low-latency";
	must(plan_of(&plan, &m->host, stage, &s, &m->subject, &e), &e);
	must(tune_apply(tune, plan, &e), &e);
}

static void say_standing(const struct tune *tune, bool all_hold)
{
	json_t *all = tune_effective_json(tune), *entry;
	size_t i;

	if (all_hold && !getenv("TAUT_VERBOSE")) {
		json_decref(all);
		return;
	}
	json_array_foreach (all, i, entry) {
		AUTO_FREE char *line = json_dumps(entry, JSON_COMPACT);
		print_message("# %s\n", line);
	}
	json_decref(all);
}

/* Where a task ran last: field 39 of its stat. */
static int last_cpu(int root, pid_t pid)
{
	char path[64], text[2048];
	int cpu = -1;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	if (root_read(root, path, text, sizeof(text), ERR_IGNORED) < 0)
		return -1;
	char *p = strrchr(text, ')');
	for (int field = 2; p && field < 39; field++)
		p = strchr(p + 1, ' ');
	return p && sscanf(p, " %d", &cpu) == 1 ? cpu : -1;
}

static void spinners_start(pid_t *spinners)
{
	for (int i = 0; i < SPINNERS; i++) {
		spinners[i] = child_of_test();
		if (spinners[i] == 0)
			for (volatile unsigned long n = 0;; n++)
				;
	}
}

static void spinners_end(const pid_t *spinners)
{
	for (int i = 0; i < SPINNERS; i++) {
		kill(spinners[i], SIGKILL);
		waitpid(spinners[i], NULL, 0);
	}
}

static void expect_kept_off(const struct machine *m, const pid_t *spinners, uint64_t time_ns)
{
	cpus isolated, housekeeping;
	uint64_t end = time_now_ns() + time_ns;

	assert_int_equal(tune_partition(&m->host, "", &isolated, &housekeeping, ERR_IGNORED), 0);
	while (time_now_ns() < end)
		for (int i = 0; i < SPINNERS; i++) {
			int cpu = last_cpu(m->root, spinners[i]);
			if (cpu >= 0 && CPU_ISSET((size_t)cpu, &isolated))
				fail_msg("an unpinned task runs on the isolated CPU %d", cpu);
		}
}

static void a_trial(struct machine *m, const pid_t *spinners, bool teardown_first)
{
	struct err e = ERR_INIT;
	struct tune *tune;
	bool all = false;
	uint64_t t[6];

	target_make(m);
	must(tune_open(&tune, &m->host, &e), &e);
	in_force = tune;
	t[0] = time_now_ns();
	apply_stage(m, tune, TUNE_HOST);
	t[1] = time_now_ns();
	target_start(m);
	t[2] = time_now_ns();
	apply_stage(m, tune, TUNE_LIVE);
	must(tune_verify(tune, &all, &e), &e);
	t[3] = time_now_ns();
	say_standing(tune, all);
	assert_true(all);
	expect_kept_off(m, spinners, 100 * NS_PER_MS);
	if (teardown_first)
		target_end(m);
	t[4] = time_now_ns();
	must(tune_revert(tune, &e), &e);
	t[5] = time_now_ns();
	target_end(m);
	print_message("# host %.1f ms, live and verify %.1f ms, revert %.1f ms; together %.1f ms\n",
		(double)(t[1] - t[0]) / 1e6, (double)(t[3] - t[2]) / 1e6, (double)(t[5] - t[4]) / 1e6,
		(double)(t[1] - t[0] + t[3] - t[2] + t[5] - t[4]) / 1e6);
	in_force = NULL;
	tune_free(tune);
}

static void trials(bool bare, int n)
{
	pid_t spinners[SPINNERS];
	static struct machine m; /* outlives a test that fails, as in_force needs it */

	machine_open(&m, bare);
	spinners_start(spinners);
	struct picture was = picture_take(m.root);
	for (int i = 0; i < n; i++)
		a_trial(&m, spinners, i % 2);
	struct picture is = picture_take(m.root);
	spinners_end(spinners);
	picture_compare(&was, &is);
	picture_free(&was);
	picture_free(&is);
	machine_close(&m);
}

static void a_loaded_machine_is_tuned_and_as_before(void **state)
{
	(void)state;
	trials(false, 4);
}

static void without_cgroups_it_is_as_before_too(void **state)
{
	(void)state;
	trials(true, 2);
}

static void kill_and_undo(bool bare)
{
	AUTO(buf_free) struct buf said = {0};
	struct err e = ERR_INIT;
	struct machine m;
	int status;

	machine_open(&m, bare);
	target_make(&m);
	target_start(&m);
	struct picture was = picture_take(m.root);
	pid_t pid = fork();
	if (pid == 0) {
		struct tune *tune;
		tune_open(&tune, &m.host, ERR_IGNORED);
		apply_stage(&m, tune, TUNE_HOST);
		pid_t heir = fork(); /* started while all is in force; outlives the taut that started it */
		if (heir == 0) {
			close(m.lock);
			alarm(20);
			pause();
			_exit(0);
		}
		kill(getpid(), SIGKILL);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	assert_true(undo_leftover(&m.host, NULL, &e) > 3);
	must(undo_revert_leftover(&m.host, &said, &e), &e);
	struct picture is = picture_take(m.root);
	picture_compare(&was, &is);
	size_t heirs = 0;
	for (size_t i = 0; i < is.n; i++)
		if (!strncmp(is.tasks[i].comm, program_invocation_short_name, 15) &&
			is.tasks[i].pid != getpid() && is.tasks[i].pid != m.ends[0] &&
			is.tasks[i].pid != m.ends[1] && is.tasks[i].pid > pid) {
			heirs++;
			assert_true(tune_task_unpinned(&m.host, &is.tasks[i]));
			kill(is.tasks[i].pid, SIGKILL);
		}
	assert_int_equal(heirs, 1);
	target_end(&m);
	picture_free(&was);
	picture_free(&is);
	machine_close(&m);
}

static void a_killed_taut_is_undone_by_another(void **state)
{
	(void)state;
	kill_and_undo(false);
}

static void without_cgroups_a_killed_one_is_undone_too(void **state)
{
	(void)state;
	kill_and_undo(true);
}

/* Every namespace has an lo, and that has a queue. */
static void a_link_in_a_namespace_is_reached(void **state)
{
	struct err e = ERR_INIT;
	char object[] = "/sys/class/net/lo/queues/rx-0/rps_cpus";
	struct undo_list *plan;
	struct settings s;
	struct tune *tune;
	struct machine m;
	bool all = false;

	(void)state;
	machine_open(&m, false);
	AUTO_CLOSE int netns = netns_create(&e);
	must(netns, &e);
	struct undo_entry lo = {
		.row = undo_row_find(&m.host, "netns-file-mask"), .object = object, .netns_fd = netns};
	must(lo.row->write(&m.host, &lo, "3", &e), &e);
	m.subject.links[0] = (struct subject_link){"lo", netns};
	m.subject.links_n = 1;
	settings_init(&s);
	s.profile = "low-latency";
	s.isolate = "1";
	must(tune_open(&tune, &m.host, &e), &e);
	must(plan_of(&plan, &m.host, TUNE_LIVE, &s, &m.subject, &e), &e);
	must(tune_apply(tune, plan, &e), &e);
	must(tune_verify(tune, &all, &e), &e);
	assert_true(all);
	char *now = NULL;
	must(lo.row->read(&m.host, &lo, &now, &e), &e);
	assert_true(undo_same(FORMAT_MASK, now, "1"));
	free(now);
	must(tune_revert(tune, &e), &e);
	must(lo.row->read(&m.host, &lo, &now, &e), &e);
	assert_true(undo_same(FORMAT_MASK, now, "3"));
	free(now);
	tune_free(tune);
	machine_close(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_loaded_machine_is_tuned_and_as_before),
		cmocka_unit_test(without_cgroups_it_is_as_before_too),
		cmocka_unit_test(a_killed_taut_is_undone_by_another),
		cmocka_unit_test(without_cgroups_a_killed_one_is_undone_too),
		cmocka_unit_test(a_link_in_a_namespace_is_reached),
	};

	int failed = cmocka_run_group_tests_name("tune_real", tests, NULL, NULL);
	tune_free(in_force);
	return failed;
}
