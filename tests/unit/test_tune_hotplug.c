/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * CPUs that go offline while a machine is tuned, for every row of every kind of machine, at every moment:
 * what the kernel changes by itself then is not taken for somebody else's, nothing of such a CPU is written,
 * and when it is there again everything is as before.
 *
 * The kernel's side is that of Linux 6.12: an interrupt or a task that has lost its last CPU may use all that
 * are left, a cpuset (v1) loses the CPU for good and accepts no CPU that is offline, an isolated partition
 * (v2) without CPUs is invalid until one comes back, and RPS forgets CPUs that are offline when it is
 * written.
 */
#include "test_tune_world.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/wait.h>
#include <cmocka.h>

#define CPUS   4
#define ONLINE "/sys/devices/system/cpu/online"
#define V1     "/sys/fs/cgroup/cpuset"
#define V2     "/sys/fs/cgroup/taut-1"
#define DIED   42

#define assert_text(got_, want_)                                                                             \
	do {                                                                                                 \
		AUTO_FREE char *got = (got_);                                                                \
		assert_string_equal(got, want_);                                                             \
	} while (0)

/* --- the kernel's side ------------------------------------------------------------------------- */

static cpus online_of(const struct world *w)
{
	cpus online;

	assert_int_equal(cpus_online(w->host.root, &online, ERR_IGNORED), 0);
	return online;
}

/* A file with a set of CPUs; false: there is none, or it names no CPU. */
static bool set_get(const struct world *w, const char *path, bool mask, cpus *out)
{
	AUTO_FREE char *text = world_get(w, path);

	return (mask ? cpus_parse_mask(text, out) : cpus_parse_list(text, out)) == 0 && CPU_COUNT(out);
}

static void set_put(const struct world *w, const char *path, bool mask, const cpus *set)
{
	char text[256];

	(mask ? cpus_format_mask : cpus_format_list)(set, text, sizeof(text) - 1);
	strcat(text, "\n");
	world_put(w, path, text);
}

static int (*plain_write)(void *arg, int root, const char *path, const char *text);

/* Of the sets that are written, what the kernel makes of their CPUs that are offline. */
static int write_of_hotplug(void *arg, int root, const char *path, const char *text)
{
	struct world *w = arg;
	cpus set, both, online = online_of(w);
	char kept[256];

	if (str_ends(path, "/rps_cpus") && cpus_parse_mask(text, &set) == 0) {
		CPU_AND(&both, &set, &online);
		return plain_write(arg, root, path, cpus_format_mask(&both, kept, sizeof(kept)));
	}
	if (w->kind == WORLD_V1 && str_ends(path, "/cpuset.cpus") && cpus_parse_list(text, &set) == 0) {
		CPU_AND(&both, &set, &online);
		if (!CPU_EQUAL(&both, &set))
			return -EINVAL;
	}
	return plain_write(arg, root, path, text);
}

struct gone {
	struct world *w;
	cpus online; /* after it */
};

static int interrupt_loses(const char *name, void *arg)
{
	const struct gone *g = arg;
	AUTO_FREE char *path = str_format("/proc/irq/%s/smp_affinity", name);
	cpus set, both;

	if (!set_get(g->w, path, true, &set))
		return 0;
	CPU_AND(&both, &set, &g->online);
	if (!CPU_COUNT(&both))
		set_put(g->w, path, true, &g->online);
	return 0;
}

static int task_loses(const char *name, void *arg)
{
	const struct gone *g = arg;
	struct task task;
	cpus both, all;
	int tid = atoi(name);

	if (tid < WORLD_TID || task_read(g->w->host.root, tid, tid, &task, ERR_IGNORED) < 0)
		return 0;
	CPU_AND(&both, &task.affinity, &g->online);
	assert_int_equal(cpus_parse_list("0-3", &all), 0);
	if (!CPU_COUNT(&both))
		g->w->calls.set_affinity(g->w, tid, &all);
	return 0;
}

static int cpuset_loses(const char *name, void *arg)
{
	const struct gone *g = arg;
	AUTO_FREE char *path = str_format(V1 "/%s/cpuset.cpus", name);
	AUTO_FREE char *tasks = str_format(V1 "/%s/tasks", name);
	AUTO_FREE char *inside = world_get(g->w, tasks);
	cpus set, both;

	if (!set_get(g->w, path, false, &set))
		return 0;
	CPU_AND(&both, &set, &g->online);
	set_put(g->w, path, false, &both);
	for (char *save = NULL, *tid = strtok_r(inside, "\n", &save); tid && !CPU_COUNT(&both) && atoi(tid);
		tid = strtok_r(NULL, "\n", &save))
		plain_write(g->w, g->w->host.root, V1 "/tasks", tid);
	return 0;
}

/* From now on these CPUs are online. */
static void cpus_are(struct world *w, const char *list)
{
	struct gone g = {.w = w};
	AUTO_FREE char *line = str_format("%s\n", list);
	AUTO_FREE char *partition = world_get(w, V2 "/cpuset.cpus.partition");
	cpus own, both;

	world_put(w, ONLINE, line);
	g.online = online_of(w);
	root_each(w->host.root, "/proc/irq", interrupt_loses, &g, ERR_IGNORED);
	root_each(w->host.root, "/proc", task_loses, &g, ERR_IGNORED);
	if (w->kind == WORLD_V1) {
		root_each(w->host.root, V1, cpuset_loses, &g, ERR_IGNORED);
		set_put(w, V1 "/cpuset.cpus", false, &g.online);
	}
	if (!str_starts(partition, "isolated") || !set_get(w, V2 "/cpuset.cpus", false, &own))
		return;
	CPU_AND(&both, &own, &g.online);
	world_put(w, V2 "/cpuset.cpus.partition",
		CPU_COUNT(&both) ? "isolated\n" : "isolated invalid (no CPU of it is online)\n");
}

/* --- one life ---------------------------------------------------------------------------------- */

enum moment { BETWEEN_STAGES, IN_FORCE, VERIFIED, KILLED, MOMENTS_N };

static const char *const moments[] = {"between the stages", "in force", "verified before", "killed"};

static const struct {
	const char *what, *isolate, *online; /* those that stay */
} cases[] = {
	{"one isolated CPU", "", "0-2"},
	{"all isolated CPUs", "", "0"},
	{"the housekeeping CPU", "0,2-3", "0,2-3"},
	{"one of the housekeeping CPUs", "3", "0,2-3"},
	{"a housekeeping CPU and an isolated one", "2-3", "0,2"},
};

static void make(struct world *w, enum world_kind kind, struct subject *subject)
{
	world_make(w, kind, CPUS);
	/* These two are on CPU 1 alone, which the kernel would not give back to them without taut either. */
	world_task_forget(w, WORLD_TID + 14);
	world_task_forget(w, WORLD_TID + 301);
	if (kind == WORLD_V1)
		world_put(w, V1 "/tasks", "5000001\n5000002\n5000300\n");
	world_put(w, "/proc/irq/26/smp_affinity", "8\n");
	world_subject(w, subject);
	plain_write = w->calls.write_file;
	w->calls.write_file = write_of_hotplug;
}

static int apply(struct world *w, struct tune *tune, enum tune_stage stage, const char *isolate,
	const struct subject *subject)
{
	struct undo_list *plan;
	struct settings s;

	settings_init(&s);
	s.profile = "low-latency";
	s.isolate = isolate;
	int rc = world_plan(&plan, &w->host, stage, &s, subject, ERR_IGNORED);
	return rc < 0 ? rc : tune_apply(tune, plan, ERR_IGNORED);
}

/* What a taut does in whose trial the CPUs go.  A stage may fail then, but nothing may be lost. */
static void live(struct world *w, enum moment moment, size_t i, const struct subject *subject)
{
	struct tune *tune;
	bool all;

	world_enter(w);
	assert_int_equal(tune_open(&tune, &w->host, ERR_IGNORED), 0);
	assert_int_equal(apply(w, tune, TUNE_HOST, cases[i].isolate, subject), 0);
	if (moment == BETWEEN_STAGES)
		cpus_are(w, cases[i].online);
	apply(w, tune, TUNE_LIVE, cases[i].isolate, subject);
	if (moment == KILLED)
		return;
	if (moment == VERIFIED) {
		assert_int_equal(tune_verify(tune, &all, ERR_IGNORED), 0);
		assert_true(all);
	}
	cpus_are(w, cases[i].online);
	for (int n = 0; n < 2 && moment == VERIFIED; n++)
		assert_int_equal(tune_verify(tune, &all, ERR_IGNORED), 0);
	int rc = tune_revert(tune, ERR_IGNORED);
	assert_true(rc == 0 || rc == -EIO);
	tune_free(tune);
	world_task_forget(w, getpid());
}

static void in_a_child(struct world *w, enum moment moment, size_t i, const struct subject *subject)
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		live(w, moment, i, subject);
		_exit(w->panics ? 1 : DIED);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != DIED)
		fail_msg("machine %d, %s goes %s: ended with %x", w->kind, cases[i].what, moments[moment],
			(unsigned)status);
	if (moment == KILLED)
		world_task_forget(w, pid);
}

/* From the line where the second departs from the first. */
static const char *difference(const char *was, const char *is)
{
	static char text[400];
	size_t same = 0;

	while (was[same] && was[same] == is[same])
		same++;
	while (same > 0 && is[same - 1] != '\n')
		same--;
	snprintf(text, sizeof(text), "\nwas: %.150s\nis: %.150s", was + same, is + same);
	return text;
}

static void go(enum world_kind kind, enum moment moment, size_t i)
{
	AUTO(buf_free) struct buf said = {0};
	struct err e = ERR_INIT;
	struct subject subject;
	struct world w;

	make(&w, kind, &subject);
	AUTO_FREE char *before = world_picture(&w);
	in_a_child(&w, moment, i, &subject);
	cpus_are(&w, cases[i].online);
	w.host.online = online_of(&w); /* a later taut opens the machine as it is */
	for (int n = 0; n < 2; n++)
		undo_revert_leftover(&w.host, &said, ERR_IGNORED);
	cpus_are(&w, "0-3");
	w.host.online = online_of(&w);
	if (undo_revert_leftover(&w.host, &said, &e) < 0)
		fail_msg("machine %d, %s goes %s: %s", kind, cases[i].what, moments[moment], e.text);
	AUTO_FREE char *after = world_picture(&w);
	if (strcmp(before, after))
		fail_msg("machine %d, %s goes %s: %s\n%s", kind, cases[i].what, moments[moment],
			difference(before, after), said.data);
	assert_int_equal(w.panics, 0);
	if (said.data && strstr(said.data, "somebody else"))
		fail_msg("machine %d, %s goes %s: %s", kind, cases[i].what, moments[moment], said.data);
	assert_int_equal(undo_leftover(&w.host, NULL, ERR_IGNORED), 0);
	world_end(&w);
}

static void every_row_is_put_back_when_the_cpu_is_there_again(void **state)
{
	(void)state;
	for (int kind = WORLD_V1; kind <= WORLD_NONE; kind++)
		for (int moment = 0; moment < MOMENTS_N; moment++)
			for (size_t i = 0; i < ARRAY_LEN(cases); i++)
				go((enum world_kind)kind, (enum moment)moment, i);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_row_is_put_back_when_the_cpu_is_there_again),
	};

	return cmocka_run_group_tests_name("tune_hotplug", tests, NULL, NULL);
}
