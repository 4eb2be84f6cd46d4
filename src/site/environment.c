/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The machine as it is when a run starts, as one JSON object: rows of files, folders of files, links, and the
 * versions of the programs involved.  What is not there is left out; nothing here fails.
 */
#include "site.h"

#include "net/net.h"
#include "sys/sys.h"

#include <stdio.h>
#include <cpuid.h>
#include <fcntl.h>
#include <sys/utsname.h>

static const struct {
	const char *key, *path;
} files[] = {
	{"cmdline", "/proc/cmdline"},
	{"clocksource", "/sys/devices/system/clocksource/clocksource0/current_clocksource"},
	{"governor", "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"},
	{"idle_driver", "/sys/devices/system/cpu/cpuidle/current_driver"},
	{"turbo_off", "/sys/devices/system/cpu/intel_pstate/no_turbo"},
	{"smt", "/sys/devices/system/cpu/smt/control"},
	{"online", "/sys/devices/system/cpu/online"},
	{"isolated", "/sys/devices/system/cpu/isolated"},
	{"nohz_full", "/sys/devices/system/cpu/nohz_full"},
	{"realtime", "/sys/kernel/realtime"},
	{"preempt_debugfs", "/sys/kernel/debug/sched/preempt"},
	{"lockdown", "/sys/kernel/security/lockdown"},
	{"transparent_hugepage", "/sys/kernel/mm/transparent_hugepage/enabled"},
	{"irq_default_affinity", "/proc/irq/default_smp_affinity"},
	{"workqueue_cpumask", "/sys/devices/virtual/workqueue/cpumask"},
	{"product", "/sys/class/dmi/id/product_name"},
};

static const char *const sysctls[] = {"kernel.sched_rt_runtime_us", "kernel.sched_rt_period_us",
	"kernel.sched_autogroup_enabled", "kernel.timer_migration", "kernel.watchdog",
	"kernel.watchdog_cpumask", "kernel.nmi_watchdog", "kernel.numa_balancing", "net.core.busy_poll",
	"net.core.busy_read", "net.core.default_qdisc", "net.core.netdev_budget",
	"net.core.netdev_max_backlog", "net.core.rmem_max", "net.core.wmem_max", "net.core.rps_default_mask",
	"net.ipv4.tcp_congestion_control", "net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem",
	"net.bridge.bridge-nf-call-iptables", "vm.stat_interval", "vm.swappiness"};

static const char *const programs[][3] = {{"runc", "--version"}, {"crun", "--version"},
	{"dockerd", "--version"}, {"podman", "--version"}, {"stress-ng", "--version"},
	{"sockperf", "--version"}, {"iperf3", "--version"}, {"ping", "-V"}, {"netperf", "-V"}};

static void put_text(json_t *object, const char *key, const char *text)
{
	json_t *value = json_string(text);

	if (value)
		json_object_set_new(object, key, value);
}

static void put_file(json_t *object, int root, const char *key, const char *path)
{
	char text[4096];

	if (root_read(root, path, text, sizeof(text), ERR_IGNORED) >= 0)
		put_text(object, key, text);
}

static void put_sysctls(json_t *object, int root)
{
	json_t *all = json_object();

	for (size_t i = 0; i < ARRAY_LEN(sysctls); i++) {
		AUTO_FREE char *path = str_format("/proc/sys/%s", sysctls[i]);
		for (char *p = path; *p; p++)
			if (*p == '.')
				*p = '/';
		put_file(all, root, sysctls[i], path);
	}
	json_object_set_new(object, "sysctls", all);
}

struct folder {
	int root;
	const char *path, *leaf;
	json_t *object;
};

static int put_entry(const char *name, void *arg)
{
	struct folder *f = arg;
	AUTO_FREE char *path = str_format("%s/%s%s", f->path, name, f->leaf);

	put_file(f->object, f->root, name, path);
	return 0;
}

/* Every file of a folder (or the same file in each of its folders), by name. */
static void put_folder(json_t *object, int root, const char *key, const char *path, const char *leaf)
{
	struct folder f = {root, path, leaf, json_object()};

	root_each(root, path, put_entry, &f, ERR_IGNORED);
	json_object_set_new(object, key, f.object);
}

static void put_cpu(json_t *object, int root)
{
	static const struct {
		const char *key, *label;
	} lines[] = {{"cpu", "model name"}, {"microcode", "microcode"}};
	AUTO_FREE char *text = NULL;

	if (root_read_all(root, "/proc/cpuinfo", &text, NULL, ERR_IGNORED) < 0)
		return;
	for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
		char *line = strstr(text, lines[i].label), *colon = line ? strchr(line, ':') : NULL;
		if (!colon)
			continue;
		AUTO_FREE char *value = str_dup(colon + 1);
		value[strcspn(value, "\n")] = 0;
		put_text(object, lines[i].key, str_trim(value));
	}
}

/* PREEMPT_RT, PREEMPT_DYNAMIC (with the choice, where debugfs shows it), PREEMPT or nothing, from the version
 * of the kernel. */
static void put_preempt(json_t *object, const char *version)
{
	static const char *const models[] = {"PREEMPT_RT", "PREEMPT_DYNAMIC", "PREEMPT"};
	const char *choice = json_string_value(json_object_get(object, "preempt_debugfs"));

	for (size_t i = 0; i < ARRAY_LEN(models); i++)
		if (strstr(version, models[i])) {
			AUTO_FREE char *text =
				choice ? str_format("%s %s", models[i], choice) : str_dup(models[i]);
			put_text(object, "preempt", text);
			return;
		}
	put_text(object, "preempt", "none");
}

static void put_programs(json_t *object)
{
	json_t *all = json_object();

	put_text(all, "taut", TAUT_VERSION);
	for (size_t i = 0; i < ARRAY_LEN(programs); i++) {
		const char *argv[] = {programs[i][0], programs[i][1], NULL};
		AUTO_FREE char *text = NULL;
		if (child_run(argv, false, 5 * NS_PER_S, &text, ERR_IGNORED) < 0 || !text)
			continue;
		text[strcspn(text, "\n")] = 0;
		put_text(all, programs[i][0], text);
	}
	json_object_set_new(object, "programs", all);
}

/*
 * The twelve letters with which a hypervisor signs (CPUID 0x40000000), or "none".  An emulated host hides
 * that it is one, but its PID 1 says so.
 */
static void put_hypervisor(json_t *object)
{
	unsigned a, b, c, d;
	char name[13] = "none";

	__cpuid(1, a, b, c, d);
	if (c >> 31) {
		__cpuid(0x40000000, a, b, c, d);
		memcpy(name, &b, 4);
		memcpy(name + 4, &c, 4);
		memcpy(name + 8, &d, 4);
	}
	const char *shown = name[0] ? name : "unnamed";
	put_text(object, "hypervisor", host_emulated() ? "QEMU, emulated" : shown);
}

struct links {
	int ns;
	json_t *array;
};

/* What the driver of a device tells; nothing of a virtual link. */
static void put_facts(json_t *link, int ns, const char *name)
{
	struct net_facts f = {0};
	struct net_device d;

	if (net_link_facts(ns, name, &f, ERR_IGNORED) < 0 || !f.device ||
		net_device_read(ns, name, &d, ERR_IGNORED) < 0)
		return;
	put_text(link, "driver", d.driver);
	put_text(link, "pci", d.pci);
	put_text(link, "moderation", f.moderation);
	json_object_set_new(link, "line_rate_bps",
		f.line_rate_bps ? json_integer((json_int_t)f.line_rate_bps) : json_null());
	json_object_set_new(link, "rx_queues", json_integer(f.rx_queues));
	json_object_set_new(link, "tx_queues", json_integer(f.tx_queues));
}

static void put_link(const char *name, unsigned flags, unsigned mtu, const char *kind, void *arg)
{
	struct links *links = arg;
	char features[4096];
	json_t *link = json_object();

	put_text(link, "name", name);
	json_object_set_new(link, "flags", json_integer(flags));
	json_object_set_new(link, "mtu", json_integer(mtu));
	put_text(link, "kind", kind ? kind : "");
	if (net_features(links->ns, name, features, sizeof(features), ERR_IGNORED) == 0)
		put_text(link, "features", features);
	put_facts(link, links->ns, name);
	json_array_append_new(links->array, link);
}

static void put_links(json_t *object)
{
	AUTO_CLOSE int ns = root_open("/", ERR_IGNORED);
	struct links links = {-1, json_array()};

	AUTO_CLOSE int own = ns < 0 ? -1 : openat(ns, "proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	links.ns = own;
	if (own >= 0)
		net_links_each(own, put_link, &links, ERR_IGNORED);
	json_object_set_new(object, "links", links.array);
}

json_t *site_environment(void)
{
	AUTO_CLOSE int root = root_open("/", ERR_IGNORED);
	json_t *object = json_object();
	struct cgroups cgroups;
	struct utsname name;

	uname(&name);
	put_text(object, "kernel", name.release);
	put_text(object, "kernel_version", name.version);
	put_text(object, "host", name.nodename);
	json_object_set_new(object, "cpus", json_integer(sysconf(_SC_NPROCESSORS_ONLN)));
	for (size_t i = 0; i < ARRAY_LEN(files); i++)
		put_file(object, root, files[i].key, files[i].path);
	put_preempt(object, name.version);
	put_cpu(object, root);
	put_folder(object, root, "mitigations", "/sys/devices/system/cpu/vulnerabilities", "");
	put_folder(object, root, "irqs", "/proc/irq", "/smp_affinity_list");
	put_sysctls(object, root);
	put_links(object);
	put_programs(object);
	if (cgroups_find(root, &cgroups, ERR_IGNORED) == 0)
		put_text(object, "cgroups",
			cgroups.version == CGROUP_V2   ? "v2"
			: cgroups.hybrid               ? "v1 and v2 (hybrid)"
			: cgroups.version == CGROUP_V1 ? "v1"
						       : "none");
	put_hypervisor(object);
	return object;
}
