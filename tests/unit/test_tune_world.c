/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "test_tune_world.h"
#include "test_keep.h"

#include <assert.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#define DIED 42

static char *full(const struct world *w, const char *path)
{
	return str_format("%s/%s", w->path, path);
}

void world_put(const struct world *w, const char *path, const char *text)
{
	AUTO_FREE char *whole = full(w, path);
	AUTO_FREE char *dir = str_dup(whole);

	*strrchr(dir, '/') = 0;
	assert(dir_make(dir, 0755, ERR_IGNORED) == 0);
	FILE *f = fopen(whole, "w");
	assert(f);
	fputs(text, f);
	fclose(f);
}

char *world_get(const struct world *w, const char *path)
{
	AUTO_FREE char *text = NULL;
	int rc = root_read_all(w->host.root, path, &text, NULL, ERR_IGNORED);

	return str_dup(rc < 0 ? "absent" : str_trim(text));
}

/* --- tasks ------------------------------------------------------------------------------------- */

struct fields {
	char comm[32];
	unsigned flags, policy, priority;
	unsigned long long start;
};

static void put_stat(const struct world *w, int tid, const struct fields *f)
{
	char path[64], text[512];

	snprintf(text, sizeof(text),
		"%d (%s) S 1 1 1 0 -1 %u 0 0 0 0 0 0 0 0 20 0 1 0 %llu 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 %u %u 0 0 0\n",
		tid, f->comm, f->flags, f->start, f->priority, f->policy);
	snprintf(path, sizeof(path), "/proc/%d/stat", tid);
	world_put(w, path, text);
	snprintf(path, sizeof(path), "/proc/%d/task/%d/stat", tid, tid);
	world_put(w, path, text);
}

static void put_mask(const struct world *w, int tid, const char *mask)
{
	char path[64], text[512];

	snprintf(text, sizeof(text), "Name:\tx\nPPid:\t1\nCpus_allowed:\t%s\nCpus_allowed_list:\t?\n", mask);
	snprintf(path, sizeof(path), "/proc/%d/task/%d/status", tid, tid);
	world_put(w, path, text);
	snprintf(path, sizeof(path), "/proc/%d/status", tid);
	world_put(w, path, text);
}

static void put_limit(const struct world *w, int tid, const char *soft)
{
	char path[64], text[256];

	snprintf(text, sizeof(text),
		"Limit   Soft Limit   Hard Limit   Units\nMax realtime timeout      %s    unlimited  us\n",
		soft);
	snprintf(path, sizeof(path), "/proc/%d/limits", tid);
	world_put(w, path, text);
}

void world_task(const struct world *w, int tid, const char *comm, unsigned flags, const char *mask)
{
	struct fields f = {.flags = flags, .start = 1000u + (unsigned)(tid - WORLD_TID)};
	char path[64];

	str_copy(f.comm, sizeof(f.comm), comm);
	put_stat(w, tid, &f);
	put_mask(w, tid, mask);
	put_limit(w, tid, "unlimited");
	snprintf(path, sizeof(path), "/proc/%d/comm", tid);
	world_put(w, path, comm);
	snprintf(path, sizeof(path), "/proc/%d/cgroup", tid);
	world_put(w, path, "0::/\n");
	if (w->kind == WORLD_V1) {
		AUTO_FREE char *file = full(w, "sys/fs/cgroup/cpuset/tasks");
		FILE *f2 = fopen(file, "a");
		assert(f2);
		fprintf(f2, "%d\n", tid);
		fclose(f2);
	}
}

void world_task_forget(const struct world *w, int tid)
{
	char path[160];

	snprintf(path, sizeof(path), "%s/proc/%d", w->path, tid);
	assert(tree_remove(path, ERR_IGNORED) == 0);
}

void world_enter(const struct world *w)
{
	struct fields f = {"taut", 0, 0, 0, 77};

	put_stat(w, getpid(), &f);
	put_mask(w, getpid(), "1"); /* pinned, so tuning leaves it alone */
}

/* --- the kernel's side ------------------------------------------------------------------------- */

static void before_call(struct world *w)
{
	if (++w->calls_n == w->die_before)
		_exit(DIED);
}

static int after_call(struct world *w, int rc)
{
	if (w->calls_n == w->die_after)
		_exit(DIED);
	return rc;
}

/* Removes the line `tid` from a tasks file. */
static void take_tid(const struct world *w, const char *path, const char *tid)
{
	AUTO_FREE char *text = world_get(w, path);
	struct buf rest = {0};

	if (!strcmp(text, "absent"))
		return;
	buf_add(&rest, "%s", "");
	for (char *save = NULL, *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		if (strcmp(line, tid))
			buf_add(&rest, "%s\n", line);
	world_put(w, path, rest.data);
	buf_free(&rest);
}

/* Adds a TID in ascending order, as the kernel shows them. */
static void add_tid(const struct world *w, const char *path, int tid)
{
	AUTO_FREE char *text = world_get(w, path);
	struct buf all = {0};
	bool done = false;

	for (char *save = NULL, *line = strtok_r(text, "\n", &save); line;
		line = strtok_r(NULL, "\n", &save)) {
		if (!done && atoi(line) > tid) {
			buf_add(&all, "%d\n", tid);
			done = true;
		}
		buf_add(&all, "%s\n", line);
	}
	if (!done)
		buf_add(&all, "%d\n", tid);
	world_put(w, path, all.data);
	buf_free(&all);
}

#define CPUSET "/sys/fs/cgroup/cpuset"

static int move(struct world *w, const char *path, const char *tid)
{
	AUTO_FREE char *proc = str_format("/proc/%s/stat", tid);

	if (!root_exists(w->host.root, path))
		return -ENOENT;
	if (!root_exists(w->host.root, proc))
		return -ESRCH;
	if (w->ending > 0) {
		w->ending--;
		return 0;
	}
	take_tid(w, CPUSET "/tasks", tid);
	take_tid(w, CPUSET "/taut-housekeeping/tasks", tid);
	add_tid(w, path, atoi(tid));
	return 0;
}

/* Linux 6.12 divides by the number of online CPUs around the one whose fair server is written; of other files
 * nobody promises anything. */
static bool panics(const struct world *w, const char *path)
{
	static const char *const folders[] = {"fair_server/cpu", "/system/cpu/cpu"};
	cpus online;

	for (size_t i = 0; i < ARRAY_LEN(folders); i++) {
		const char *of = strstr(path, folders[i]);
		if (of && cpus_online(w->host.root, &online, ERR_IGNORED) == 0 &&
			!CPU_ISSET((size_t)atoi(of + strlen(folders[i])), &online))
			return true;
	}
	return false;
}

/* An interrupt must have an online CPU. */
static bool masks_all(const struct world *w, const char *path, const char *text)
{
	cpus mask, online, both;

	if (!strstr(path, "/proc/irq/") || cpus_parse_mask(text, &mask) ||
		cpus_online(w->host.root, &online, ERR_IGNORED) < 0)
		return false;
	CPU_AND(&both, &mask, &online);
	return !CPU_COUNT(&both);
}

static int fake_write(void *arg, int root, const char *path, const char *text)
{
	struct world *w = arg;
	size_t len = strlen(path);

	before_call(w);
	w->panics += panics(w, path);
	if (masks_all(w, path, text))
		return after_call(w, -EINVAL);
	if (w->refuse && strstr(path, w->refuse))
		return after_call(w, -w->refuse_with);
	if (len > 6 && !strcmp(path + len - 6, "/tasks"))
		return after_call(w, move(w, path, text));
	if (strstr(path,
		    "cgroup.subtree_control")) { /* +x and -x become a list, and the files of the child */
		world_put(w, path, text[0] == '+' ? "memory cpuset\n" : "memory\n");
		if (text[0] == '+' && !root_exists(root, "/sys/fs/cgroup/taut-1/cpuset.cpus")) {
			world_put(w, "/sys/fs/cgroup/taut-1/cpuset.cpus", "\n");
			world_put(w, "/sys/fs/cgroup/taut-1/cpuset.cpus.partition", "member\n");
		} else if (text[0] == '-') {
			AUTO_FREE char *a = full(w, "/sys/fs/cgroup/taut-1/cpuset.cpus");
			AUTO_FREE char *b = full(w, "/sys/fs/cgroup/taut-1/cpuset.cpus.partition");
			unlink(a);
			unlink(b);
		}
		return after_call(w, 0);
	}
	if (w->invalid && strstr(path, w->invalid) && strcmp(text, "member")) {
		world_put(w, path, "isolated invalid (Cpu list in cpuset.cpus not exclusive)\n");
		return after_call(w, 0);
	}
	if (!root_exists(root, path))
		return after_call(w, -ENOENT);
	if (w->granted && strstr(path, "nr_hugepages") && atoi(text) > atoi(w->granted))
		text = w->granted;
	AUTO_FREE char *line = str_format("%s\n", text);
	world_put(w, path, line);
	return after_call(w, 0);
}

static int fake_mkdir(void *arg, int root, const char *path)
{
	struct world *w = arg;
	AUTO_FREE char *whole = full(w, path);
	const char *const files[] = {"tasks", "cgroup.procs", "cpuset.cpus", "cpuset.mems"};

	(void)root;
	before_call(w);
	if (mkdir(whole, 0755) < 0)
		return after_call(w, -errno);
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		AUTO_FREE char *file = str_format("%s/%s", path, files[i]);
		world_put(w, file, "");
	}
	return after_call(w, 0);
}

static int fake_rmdir(void *arg, int root, const char *path)
{
	struct world *w = arg;
	AUTO_FREE char *tasks = str_format("%s/tasks", path);
	AUTO_FREE char *inside = world_get(w, tasks);
	AUTO_FREE char *whole = full(w, path);

	(void)root;
	before_call(w);
	if (*inside)
		return after_call(w, -EBUSY);
	return after_call(w, tree_remove(whole, ERR_IGNORED));
}

static int fake_affinity(void *arg, pid_t tid, const cpus *set)
{
	struct world *w = arg;
	struct task task;
	char mask[64];

	before_call(w);
	if (task_read(w->host.root, tid, tid, &task, ERR_IGNORED) < 0)
		return after_call(w, -ESRCH);
	put_mask(w, tid, cpus_format_mask(set, mask, sizeof(mask)));
	return after_call(w, 0);
}

static int fake_sched(void *arg, pid_t tid, int policy, int priority)
{
	struct world *w = arg;
	struct task task;
	struct fields f;

	before_call(w);
	if (w->refuse && !strcmp(w->refuse, "sched"))
		return after_call(w, -w->refuse_with);
	if (task_read(w->host.root, tid, tid, &task, ERR_IGNORED) < 0)
		return after_call(w, -ESRCH);
	f = (struct fields){"", task.flags, (unsigned)policy, (unsigned)priority, task.start};
	str_copy(f.comm, sizeof(f.comm), task.comm);
	put_stat(w, tid, &f);
	return after_call(w, 0);
}

static int fake_rttime(void *arg, pid_t pid, uint64_t soft_us)
{
	struct world *w = arg;
	char text[32] = "unlimited";

	before_call(w);
	if (soft_us != UINT64_MAX)
		snprintf(text, sizeof(text), "%llu", (unsigned long long)soft_us);
	put_limit(w, pid, text);
	return after_call(w, 0);
}

static int real_run(void *arg, const char *command, char **output)
{
	struct world *w = arg;

	before_call(w);
	return after_call(w, undo_real_calls.run(NULL, command, output));
}

/* --- the machine ------------------------------------------------------------------------------- */

static void put_cgroups(const struct world *w, const char *list)
{
	if (w->kind == WORLD_V1) {
		world_put(w, "proc/self/mountinfo",
			"30 20 0:1 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n"
			"31 20 0:2 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset\n");
		world_put(w, "sys/fs/cgroup/cpu/cpu.rt_runtime_us", "950000\n");
		world_put(w, "sys/fs/cgroup/cpu/docker/cpu.rt_runtime_us", "50000\n");
		world_put(w, "sys/fs/cgroup/cpuset/cpuset.cpus", list);
		world_put(w, "sys/fs/cgroup/cpuset/cpuset.mems", "0\n");
		world_put(w, "sys/fs/cgroup/cpuset/cpuset.sched_load_balance", "1\n");
		world_put(w, "sys/fs/cgroup/cpuset/tasks", "");
	} else if (w->kind == WORLD_V2) {
		world_put(w, "proc/self/mountinfo", "30 20 0:1 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
		world_put(w, "sys/fs/cgroup/cgroup.controllers", "cpuset cpu memory\n");
		world_put(w, "sys/fs/cgroup/cgroup.subtree_control", "memory\n");
	} else {
		world_put(w, "proc/self/mountinfo", "20 1 0:1 / /proc rw - proc proc rw\n");
	}
}

static void put_files(const struct world *w, const char *list, const char *mask)
{
	for (int i = 0; i < w->cpus; i++) {
		char path[96], text[16];
		snprintf(
			path, sizeof(path), "sys/devices/system/cpu/cpu%d/power/pm_qos_resume_latency_us", i);
		world_put(w, path, "0\n");
		snprintf(path, sizeof(path), "sys/kernel/debug/sched/fair_server/cpu%d/runtime", i);
		world_put(w, path, "50000000\n");
		snprintf(path, sizeof(path), "sys/devices/system/cpu/cpu%d/topology/thread_siblings_list", i);
		snprintf(text, sizeof(text), "%d\n", i);
		world_put(w, path, text);
	}
	world_put(w, "sys/devices/system/cpu/online", list);
	world_put(w, "sys/devices/system/cpu/isolated", "\n");
	world_put(w, "sys/devices/virtual/workqueue/cpumask", mask);
	world_put(w, "sys/devices/virtual/workqueue/writeback/cpumask", mask);
	world_put(w, "proc/irq/default_smp_affinity", mask);
	world_put(w, "proc/irq/24/smp_affinity", mask);
	world_put(w, "proc/irq/25/smp_affinity", "1\n");
	world_put(w, "proc/irq/26/smp_affinity", w->cpus > 1 ? "2\n" : "1\n");
	world_put(w, "proc/sys/kernel/watchdog_cpumask", list);
	world_put(w, "proc/sys/kernel/sched_rt_runtime_us", "950000\n");
	world_put(w, "proc/sys/kernel/random/boot_id", "11111111-2222-3333-4444-555555555555\n");
	world_put(w, "proc/sys/net/core/rps_default_mask", "0\n");
	world_put(w, "proc/sys/net/core/busy_read", "0\n");
	world_put(w, "proc/self/cgroup", "0::/\n");
	world_put(w, "proc/uptime", "50.00 10.00\n");
	world_put(w, "sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages", "10\n");
	world_put(w, "sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "8\n");
	world_put(w, "sys/kernel/mm/hugepages/hugepages-2048kB/resv_hugepages", "2\n");
	world_put(w, "proc/meminfo", "MemTotal: 9000000 kB\nMemAvailable: 4000000 kB\n");
	world_put(w, "sys/class/net/veth0/queues/rx-0/rps_cpus", "0\n");
	world_put(w, "sys/class/net/veth0/queues/rx-1/rps_cpus", mask);
}

static const struct undo_table *const tables[] = {&tune_table};

void world_make(struct world *w, enum world_kind kind, int cpus_n)
{
	char list[16], mask[16];

	*w = (struct world){.kind = kind, .cpus = cpus_n, .host = UNDO_HOST_NONE};
	/* In memory where that is possible, for worlds are made, written and synced by the thousand. */
	snprintf(w->path, sizeof(w->path), "%s/taut-world-XXXXXX",
		access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm");
	keep_folder(w->path);
	snprintf(list, sizeof(list), cpus_n > 1 ? "0-%d\n" : "0\n", cpus_n - 1);
	snprintf(mask, sizeof(mask), "%x\n", (1u << cpus_n) - 1);
	put_files(w, list, mask);
	put_cgroups(w, list);
	w->calls = (struct undo_calls){.write_file = fake_write,
		.make_dir = fake_mkdir,
		.remove_dir = fake_rmdir,
		.set_affinity = fake_affinity,
		.set_sched = fake_sched,
		.set_rttime = fake_rttime,
		.run = real_run};
	w->host.root = root_open(w->path, ERR_IGNORED);
	assert(w->host.root >= 0 && cgroups_find(w->host.root, &w->host.cgroups, ERR_IGNORED) == 0 &&
		cpus_online(w->host.root, &w->host.online, ERR_IGNORED) == 0);
	snprintf(w->host.state, sizeof(w->host.state), "%s.state", w->path);
	keep(w->host.state);
	assert(dir_make(w->host.state, 0700, ERR_IGNORED) == 0);
	w->host.privileged = true;
	w->host.tables = tables;
	w->host.tables_n = ARRAY_LEN(tables);
	w->host.calls = &w->calls;
	w->host.calls_arg = w;
	mask[strcspn(mask, "\n")] = 0;
	world_task(w, WORLD_TID + 1, "init", 0, mask);
	world_task(w, WORLD_TID + 2, "kthreadd", TASK_KTHREAD, mask);
	world_task(w, WORLD_TID + 14, "cpuhp/1", TASK_KTHREAD | TASK_NO_SETAFFINITY, cpus_n > 1 ? "2" : "1");
	world_task(w, WORLD_TID + 300, "a ) strange (name", 0, mask);
	world_task(w, WORLD_TID + 301, "pinned", 0, cpus_n > 1 ? "2" : "1");
}

void world_end(struct world *w)
{
	close(w->host.root);
	assert(tree_remove(w->path, ERR_IGNORED) == 0 && tree_remove(w->host.state, ERR_IGNORED) == 0);
}

void world_subject(const struct world *w, struct subject *subject)
{
	static const char *const ends[] = {"client", "server"};

	*subject = (struct subject){0};
	if (w->kind != WORLD_NONE)
		str_copy(subject->cgroup_root, sizeof(subject->cgroup_root), "/taut-1");
	if (w->kind == WORLD_V1) {
		AUTO_FREE char *list = world_get(w, "/sys/devices/system/cpu/online");
		world_put(w, "sys/fs/cgroup/cpuset/taut-1/cpuset.cpus", list);
		world_put(w, "sys/fs/cgroup/cpu/taut-1/cpu.rt_runtime_us", "0\n");
	} else if (w->kind == WORLD_V2) {
		world_put(w, "sys/fs/cgroup/taut-1/cgroup.procs", "");
	}
	for (int i = 0; i < 2; i++) {
		char path[96], mask[16];
		snprintf(mask, sizeof(mask), "%x", (1u << w->cpus) - 1);
		world_task(w, WORLD_TID + 501 + i, "taut-agent", 0, mask);
		if (w->kind == WORLD_V1)
			take_tid(w, CPUSET "/tasks", i ? "5000502" : "5000501");
		subject->threads[i] = (struct subject_thread){i ? ROLE_SERVER : ROLE_CLIENT,
			WORLD_TID + 501 + i, WORLD_TID + 501 + i, 1501u + (unsigned)i};
		subject->threads_n = 2;
		if (w->kind == WORLD_NONE)
			continue;
		snprintf(subject->cgroups[i], sizeof(subject->cgroups[i]), "/taut-1/%s", ends[i]);
		subject->cgroups_n = 2;
		snprintf(path, sizeof(path), "sys/fs/cgroup/cpu/taut-1/%s/cpu.rt_runtime_us", ends[i]);
		if (w->kind == WORLD_V1)
			world_put(w, path, "0\n");
	}
	subject->links[0] = (struct subject_link){"veth0", -1};
	subject->links_n = 1;
}

static void add_thread(const struct world *w, struct subject *subject, enum role role, int number)
{
	static const char *const comms[] = {[ROLE_VCPU] = "CPU 0/KVM",
		[ROLE_EMULATOR] = "qemu-system-x86",
		[ROLE_IOTHREAD] = "IO io0",
		[ROLE_VHOST] = "vhost-1"};
	char path[64], mask[16];

	snprintf(mask, sizeof(mask), "%x", (1u << w->cpus) - 1);
	world_task(w, WORLD_TID + number, comms[role], 0, mask);
	snprintf(path, sizeof(path), "/proc/%d/cgroup", WORLD_TID + number);
	world_put(w, path, "1:name=systemd:/\n2:cpu:/\n3:cpuset:/taut-1/server\n0::/taut-1/server\n");
	subject->threads[subject->threads_n++] =
		(struct subject_thread){role, WORLD_TID + 600, WORLD_TID + number, 1000u + (unsigned)number};
}

void world_machine(const struct world *w, struct subject *subject, int vcpus, int vhosts)
{
	world_subject(w, subject);
	world_task_forget(w, WORLD_TID + 502);
	subject->threads_n = 1;
	for (int i = 0; i < vcpus; i++)
		add_thread(w, subject, ROLE_VCPU, 610 + i);
	for (int i = 0; i < vhosts; i++)
		add_thread(w, subject, ROLE_VHOST, 630 + i);
	add_thread(w, subject, ROLE_IOTHREAD, 601);
	add_thread(w, subject, ROLE_EMULATOR, 600);
}

static void picture(const struct world *w, const char *dir, struct buf *out)
{
	AUTO_FREE char *whole = full(w, dir);
	struct dirent **names;
	int n = scandir(whole, &names, NULL, alphasort);

	for (int i = 0; i < n; i++) {
		AUTO_FREE char *path = str_format("%s/%s", dir, names[i]->d_name);
		if (names[i]->d_name[0] == '.') {
			free(names[i]);
			continue;
		}
		if (names[i]->d_type == DT_DIR) {
			buf_add(out, "%s/\n", path);
			picture(w, path, out);
		} else {
			AUTO_FREE char *text = world_get(w, path);
			buf_add(out, "%s: %s\n", path, text);
		}
		free(names[i]);
	}
	if (n >= 0)
		free(names);
}

char *world_picture(const struct world *w)
{
	struct buf out = {0};

	picture(w, "", &out);
	return out.data;
}

int world_plan(struct undo_list **out, const struct undo_host *host, enum tune_stage stage,
	const struct settings *s, const struct subject *subject, struct err *e)
{
	struct tuning tuning;
	int rc = tuning_make(&tuning, s, e);

	return rc < 0 ? rc : tune_plan_make(out, host, stage, &tuning, subject, e);
}
