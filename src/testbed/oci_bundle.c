/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The OCI bundle: config.json, and a root file system that holds nothing.  The agent is bound into it
 * read-only from where it is installed: nothing is copied, the container cannot change the program, and it
 * runs though /run may be mounted noexec. The network namespace is the one that the attachment has linked,
 * named by our own fd; the others are new.
 *
 * Its root is the machine's root, since files and limits of the host are set for it.  So it may do nothing
 * that an endpoint does not need: it has no capability, unless a socket option, locked memory or the driver
 * of the trial requires one, it gains none by exec, and the parts of /proc that change the machine or tell
 * about it are read-only or covered, as the OCI specification and other runtimes have it.  There is no
 * seccomp filter: it would be run at every system call that is measured, and all that such filters refuse
 * needs capabilities.
 */
#include "oci.h"

#include "boot/boot.h"

#include <linux/capability.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define AGENT_INSIDE "/taut-agent"
#define PERIOD_US    100000 /* of the CPU quota; what engines take */

/* Polling a socket, and congestion controls that not everybody may choose. */
static bool needs_net_admin(const struct settings *s)
{
	return s->busy_poll_us || *s->congestion;
}

json_t *server_capabilities(const struct trial_plan *plan)
{
	uint64_t needed = driver_rows[plan->ends[END_SERVER].job.driver].capabilities;
	json_t *names = json_array();

	if (needs_net_admin(&plan->settings))
		needed |= CAPABILITY_BIT(CAP_NET_ADMIN);
	if (profile_rows[plan->tuning.profile].locks_memory)
		needed |= CAPABILITY_BIT(CAP_IPC_LOCK);
	for (size_t i = 0; i < CAPABILITIES_N; i++)
		if (needed & CAPABILITY_BIT(capability_rows[i].number) &&
			has_capability(capability_rows[i].number))
			json_array_append_new(names, json_string(capability_rows[i].name));
	return names;
}

static json_t *capability_sets(const struct trial_plan *plan)
{
	static const char *const sets[] = {"bounding", "permitted", "effective"};
	json_t *names = server_capabilities(plan), *out = json_object();

	for (size_t i = 0; i < ARRAY_LEN(sets); i++)
		json_object_set(out, sets[i], names);
	json_decref(names);
	return out;
}

/* OCI has no word for "unlimited" but a large number. */
static json_t *memlock_limit(void)
{
	struct rlimit own = {0};

	getrlimit(RLIMIT_MEMLOCK, &own);
	rlim_t limit = is_privileged() && has_capability(CAP_SYS_RESOURCE) ? RLIM_INFINITY : own.rlim_max;
	/* jansson has signed integers; 2^62 limits nothing either */
	json_int_t value = (json_int_t)MIN(limit, (rlim_t)1 << 62);
	return json_pack("[{s:s, s:I, s:I}]", "type", "RLIMIT_MEMLOCK", "soft", value, "hard", value);
}

/* A container that serves several trials has a first process that goes on. */
static json_t *process_part(const struct target *t)
{
	const char *verb = t->plan.settings.share[0] ? "keep" : "endpoint";

	return json_pack("{s:b, s:{s:i, s:i}, s:[s, s, s], s:[s], s:s, s:o, s:o, s:b}", "terminal", 0, "user",
		"uid", 0, "gid", 0, "args", AGENT_INSIDE, verb, t->server.name, "env", undo_mark(), "cwd",
		"/", "capabilities", capability_sets(&t->plan), "rlimits", memlock_limit(), "noNewPrivileges",
		1);
}

static json_t *words(const char *const *list, size_t n)
{
	json_t *out = json_array();

	for (size_t i = 0; i < n; i++)
		json_array_append_new(out, json_string(list[i]));
	return out;
}

static json_t *linux_part(const struct target *t)
{
	static const char *const masked[] = {"/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys",
		"/proc/latency_stats", "/proc/sched_debug", "/proc/scsi", "/proc/timer_list",
		"/proc/timer_stats", "/sys/firmware"};
	static const char *const read_only[] = {
		"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"};
	char netns[64], cgroup[96];

	snprintf(netns, sizeof(netns), "/proc/%d/fd/%d", getpid(), t->server.netns);
	json_t *part = json_pack("{s:[{s:s, s:s}, {s:s}, {s:s}, {s:s}, {s:s}], s:o, s:o}", "namespaces",
		"type", "network", "path", netns, "type", "pid", "type", "mount", "type", "ipc", "type",
		"uts", "maskedPaths", words(masked, ARRAY_LEN(masked)), "readonlyPaths",
		words(read_only, ARRAY_LEN(read_only)));
	if (t->plan.settings.cpu_quota) {
		json_int_t quota_us = (json_int_t)(t->plan.settings.cpu_quota * PERIOD_US / 100);
		json_object_set_new(part, "resources",
			json_pack("{s:{s:I, s:i}}", "cpu", "quota", quota_us, "period", PERIOD_US));
	}
	if (t->groups.root[0]) {
		snprintf(cgroup, sizeof(cgroup), "%s/server", t->groups.root);
		json_object_set_new(part, "cgroupsPath", json_string(cgroup));
	}
	return part;
}

#define OPTIONS_MAX 4

/* nosuid and nodev on the agent: in a user namespace a mount that has them may not be remounted without. */
static json_t *mounts_part(const char *agent)
{
	const struct {
		const char *destination, *type, *source, *options[OPTIONS_MAX];
	} rows[] = {
		{"/proc", "proc", "proc", {"nosuid", "nodev", "noexec"}},
		{"/dev", "tmpfs", "tmpfs", {"nosuid", "mode=755", "size=64k"}},
		{AGENT_INSIDE, "bind", agent, {"bind", "ro", "nosuid", "nodev"}},
	};
	json_t *out = json_array();

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		json_t *options = json_array();
		for (size_t j = 0; j < OPTIONS_MAX && rows[i].options[j]; j++)
			json_array_append_new(options, json_string(rows[i].options[j]));
		json_array_append_new(
			out, json_pack("{s:s, s:s, s:s, s:o}", "destination", rows[i].destination, "type",
				     rows[i].type, "source", rows[i].source, "options", options));
	}
	return out;
}

/* A file of this machine, at its own path. */
static int mount_file(const char *path, void *mounts, struct err *e)
{
	(void)e;
	json_array_append_new(
		mounts, json_pack("{s:s, s:s, s:s, s:[s, s, s, s]}", "destination", path, "type", "bind",
				"source", path, "options", "bind", "ro", "nosuid", "nodev"));
	return 0;
}

/* The tool that serves in place of the agent: its program, what that needs to be loaded, and a folder for
 * what it writes. */
static int mount_tool(const char *program, json_t *mounts, struct err *e)
{
	if (!*program)
		return 0;
	json_array_append_new(
		mounts, json_pack("{s:s, s:s, s:s, s:[s, s, s, s]}", "destination", "/tmp", "type", "tmpfs",
				"source", "tmpfs", "options", "nosuid", "nodev", "mode=700", "size=64m"));
	mount_file(program, mounts, e);
	if (access(CLOSURE_LOADER_CACHE, R_OK) == 0)
		mount_file(CLOSURE_LOADER_CACHE, mounts, e);
	return program_libraries_each(program, mount_file, mounts, e);
}

static json_t *config_make(const struct target *t, json_t *mounts)
{
	return json_pack("{s:s, s:o, s:{s:s, s:b}, s:s, s:o, s:o}", "ociVersion", "1.0.2", "process",
		process_part(t), "root", "path", "rootfs", "readonly", 1, "hostname", "taut", "mounts",
		mounts, "linux", linux_part(t));
}

int oci_bundle_write(const struct target *t, struct err *e)
{
	AUTO_FREE char *rootfs = str_format("%s/rootfs", t->owner.folder);
	AUTO_FREE char *path = str_format("%s/config.json", t->owner.folder);
	int rc = 0;

	if (mkdir(rootfs, 0755) < 0)
		return err_sys(e, "cannot make %s", rootfs);
	json_t *mounts = mounts_part(t->agent);
	rc = mount_tool(t->plan.ends[END_SERVER].job.program, mounts, e);
	json_t *config = config_make(t, mounts);
	if (rc == 0 && (!config || json_dump_file(config, path, JSON_COMPACT) < 0))
		rc = err_sys(e, "cannot write %s", path);
	json_decref(config);
	return rc;
}
