/* SPDX-License-Identifier: GPL-3.0-or-later */
/* On whose machine taut tunes: the CPUs that it was given, and containers and machines of others. */
#include "test_tune_world.h"
#include "undo/private.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

/* --- CPUs -------------------------------------------------------------------------------------- */

/* Taut may run where `mask` says; the boot argument isolcpus keeps `isolated` free. */
static void started_with(struct world *w, const char *mask, const char *isolated)
{
	AUTO_FREE char *status = str_format("Name:\ttaut\nCpus_allowed:\t%s\n", mask);

	world_make(w, WORLD_V1, 4);
	world_put(w, "/proc/self/status", status);
	world_put(w, "/sys/devices/system/cpu/isolated", isolated);
	cpus_withheld(w->host.root, &w->host.online, &w->host.withheld);
}

static void cpus_come_from_what_taut_was_given(void **state)
{
	static const struct {
		const char *mask, *boot_isolated, *ours, *isolated, *housekeeping;
	} rows[] = {
		{"f", "\n", "0-3", "1-3", "0"},
		{"6", "\n", "1-2", "2", "0-1,3"}, /* CPU 1 is kept of ours; 0 and 3 are others' */
		{"4", "\n", "2", NULL, NULL},
		{"3", "2-3\n", "0-3", "1-3", "0"}, /* in nobody's affinity, and withheld from nobody */
		{"2", "2-3\n", "1", NULL, NULL},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		cpus ours, isolated, housekeeping;
		struct world w;
		char list[64];
		started_with(&w, rows[i].mask, rows[i].boot_isolated);
		undo_cpus(&w.host, &ours);
		assert_string_equal(cpus_format_list(&ours, list, sizeof(list)), rows[i].ours);
		int rc = tune_partition(&w.host, "", &isolated, &housekeeping, ERR_IGNORED);
		assert_int_equal(rc, rows[i].isolated ? 0 : -EINVAL);
		if (rc == 0) {
			assert_string_equal(
				cpus_format_list(&isolated, list, sizeof(list)), rows[i].isolated);
			assert_string_equal(
				cpus_format_list(&housekeeping, list, sizeof(list)), rows[i].housekeeping);
		}
		world_end(&w);
	}
}

static void a_cpu_outside_is_refused_with_the_allotment(void **state)
{
	static const char *const settings[][2] = {
		{"client_cpu", "0"}, {"server_cpu", "3"}, {"isolate", "1,3"}, {"isolate", "0"}};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(settings); i++) {
		struct undo_list *plan = NULL;
		struct err e = ERR_INIT;
		struct settings s;
		struct world w;
		started_with(&w, "6", "\n");
		settings_init(&s);
		s.profile = "low-latency";
		assert_int_equal(setting_set(&s, settings[i][0], settings[i][1], &e), 0);
		assert_int_equal(world_plan(&plan, &w.host, TUNE_HOST, &s, NULL, &e), -EINVAL);
		assert_int_equal(e.exit, EXIT_USAGE);
		assert_non_null(strstr(e.text, "0-3, taut may use 1-2"));
		world_end(&w);
	}
}

/* Moving to another cpuset would give them all its CPUs. */
static void the_cgroups_of_a_trial_hold_the_allotment(void **state)
{
	struct undo_groups g;
	struct world w;

	(void)state;
	started_with(&w, "6", "\n");
	undo_groups_create(&g, &w.host, "taut-7-1", false);
	AUTO_FREE char *list = world_get(&w, "/sys/fs/cgroup/cpuset/taut-7-1/cpuset.cpus");
	assert_string_equal(list, "1-2");
	undo_groups_remove(&g, &w.host, "taut-7-1", time_now_ns(), ERR_IGNORED);
	world_end(&w);
}

static void one_cpu_that_may_be_used_is_the_reason_for_what_is_skipped(void **state)
{
	struct err e = ERR_INIT;
	struct undo_list *plan;
	struct subject subject;
	struct settings s;
	struct world w;
	size_t said = 0;

	(void)state;
	started_with(&w, "4", "\n");
	world_subject(&w, &subject);
	settings_init(&s);
	s.profile = "low-latency";
	assert_int_equal(world_plan(&plan, &w.host, TUNE_LIVE, &s, &subject, &e), 0);
	for (size_t i = 0; i < plan->n; i++)
		if (!strcmp(plan->entries[i].knob, "endpoint-cpu")) {
			assert_string_equal(plan->entries[i].reason,
				"taut may use only one CPU, by its cpuset or affinity");
			said++;
		}
	assert_int_equal(said, 2);
	undo_list_free(plan);
	world_end(&w);
}

/* --- others' work ------------------------------------------------------------------------------ */

static void put_link(const struct world *w, const char *path, const char *target)
{
	AUTO_FREE char *whole = str_format("%s%s", w->path, path);
	AUTO_FREE char *dir = str_dup(whole);

	*strrchr(dir, '/') = 0;
	assert_int_equal(dir_make(dir, 0755, ERR_IGNORED), 0);
	assert_int_equal(symlink(target, whole), 0);
}

static void containers_and_machines_are_known_whatever_they_are_called(void **state)
{
	static const struct {
		const char *cgroup, *link, *target, *words; /* NULL: nobody is disturbed */
		const char *mount;                          /* its mount namespace; NULL: ours */
	} rows[] = {
		{"0::/default/web1\n", "/proc/5000300/ns/pid", "pid:[2]", "container by its namespaces",
			"mnt:[2]"},
		{"0::/user.slice\n", "/proc/5000300/ns/pid", "pid:[2]", NULL}, /* a browser's sandbox */
		{"0::/system.slice\n", "/proc/5000300/ns/pid", "pid:[1]", NULL, "mnt:[2]"}, /* a service */
		{"0::/default/web1\n", "/proc/5000300/ns/cgroup", "cgroup:[2]",
			"container by its namespaces"},
		{"0::/default/web1\n", "/proc/5000300/ns/cgroup", "cgroup:[9]",
			NULL}, /* as the first process */
		{"0::/k8s.io/4f2a\n", "/proc/5000300/ns/pid", "pid:[1]", "container by its cgroups"},
		{"0::/system.slice/x.service\n", "/proc/5000300/ns/pid", "pid:[1]", NULL},
		{"0::/taut-7-1-1/server\n", "/proc/5000300/ns/pid", "pid:[2]", NULL, "mnt:[2]"},
		{"0::/\n", "/proc/5000300/fd/7", "anon_inode:kvm-vm", "virtual machine by its files of KVM"},
		{"0::/\n", "/proc/5000300/fd/7", "/dev/kvm", "virtual machine by its files of KVM"},
		{"0::/\n", "/proc/5000300/fd/7", "/dev/null", NULL},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct err e = ERR_INIT;
		struct world w;
		world_make(&w, WORLD_V2, 2);
		put_link(&w, "/proc/self/ns/pid", "pid:[1]");
		put_link(&w, "/proc/self/ns/cgroup", "cgroup:[1]");
		put_link(&w, "/proc/self/ns/mnt", "mnt:[1]");
		put_link(&w, "/proc/1/ns/cgroup", "cgroup:[9]");
		put_link(&w, "/proc/5000300/ns/mnt", rows[i].mount ? rows[i].mount : "mnt:[1]");
		world_put(&w, "/proc/5000300/comm", "lkvm");
		world_put(&w, "/proc/5000300/cgroup", rows[i].cgroup);
		put_link(&w, rows[i].link, rows[i].target);
		int rc = tune_allowed(&w.host, 0, false, &e);
		if (rc != (rows[i].words ? -EPERM : 0) || (rc && !strstr(e.text, rows[i].words)))
			fail_msg("%s → %s in %s: %d, '%s'", rows[i].link, rows[i].target, rows[i].cgroup, rc,
				e.text);
		world_end(&w);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cpus_come_from_what_taut_was_given),
		cmocka_unit_test(a_cpu_outside_is_refused_with_the_allotment),
		cmocka_unit_test(the_cgroups_of_a_trial_hold_the_allotment),
		cmocka_unit_test(one_cpu_that_may_be_used_is_the_reason_for_what_is_skipped),
		cmocka_unit_test(containers_and_machines_are_known_whatever_they_are_called),
	};

	return cmocka_run_group_tests_name("tune_ground", tests, NULL, NULL);
}
