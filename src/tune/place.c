/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Placement: on which of the isolated CPUs each thread of the measured work runs.
 *
 * The server runs on threads of its own, or on the vCPUs of a virtual machine.  These threads are called
 * runners here; each gets a CPU of its own, from the first isolated one on.  All other threads are helpers:
 * the client, the threads that move the machine's packets (a vhost worker for each queue, or QEMU's main loop
 * where there is no vhost), and last those threads of QEMU that cannot go to the housekeeping CPUs.  Helpers
 * share the CPUs that the runners leave, in turn.  So client and vhost share a CPU with one another rather
 * than with a vCPU: they are ready one after the other, while a vCPU may be busy at any time.  Where the
 * runners leave no CPU, helpers go to the first isolated one.  It carries the first vCPU, which is the
 * housekeeping CPU inside the guest, so the server of the guest is on another vCPU.
 *
 * A client that sends datagrams as fast as it can never blocks.  Where it shares the CPU of a runner it keeps
 * the normal scheduler, which lets the runner take them; under SCHED_FIFO none would arrive.
 *
 * No thread can run outside of its cpuset.  A cpuset holds for a process as a whole (in cgroup v2 the threads
 * of a process may not be in different domains).  So the threads of QEMU that do no measured work stay in the
 * partition with the vCPUs, and not on the housekeeping CPUs where they would disturb less.
 */
#include "private.h"

#include <stdio.h>

static size_t count_role(const struct planning *p, enum role role)
{
	size_t n = 0;

	for (size_t i = 0; p->subject && i < p->subject->threads_n; i++)
		n += p->subject->threads[i].role == role;
	return n;
}

/* The number of a thread among those of its role, from 0 on. */
static size_t index_of(const struct planning *p, const struct subject_thread *thread)
{
	size_t n = 0;

	for (const struct subject_thread *t = p->subject->threads; t < thread; t++)
		n += t->role == thread->role;
	return n;
}

/* The n-th CPU of a set that is not empty; after the last one the first follows again. */
static int cpu_at(const cpus *set, size_t n)
{
	cpus rest = *set;

	for (n %= (size_t)CPU_COUNT(set); n > 0; n--)
		CPU_CLR((size_t)cpus_first(&rest), &rest);
	return cpus_first(&rest);
}

/* The CPUs of runners; none when nobody says where they run. */
static cpus runners(const struct planning *p)
{
	size_t n = p->subject ? count_role(p, ROLE_VCPU) : p->tuning->machine ? p->tuning->vcpus : 0;
	cpus on;

	CPU_ZERO(&on);
	if (p->server_cpu >= 0)
		CPU_SET((size_t)p->server_cpu, &on);
	for (size_t i = 0; p->server_cpu < 0 && CPU_COUNT(&p->isolated) && i < MAX(n, 1); i++)
		CPU_SET((size_t)cpu_at(&p->isolated, i), &on);
	return on;
}

/* The CPUs for helpers: those that no runner has, or the first isolated one. */
static cpus spare(const struct planning *p)
{
	cpus on = runners(p), left;

	cpus_without(&left, &p->isolated, &on);
	if (CPU_COUNT(&left) == 0)
		CPU_SET((size_t)cpus_first(&p->isolated), &left);
	return left;
}

/* The CPU of the client; −1 when nobody says where it runs. */
static int client_on(const struct planning *p)
{
	if (p->client_cpu >= 0)
		return (int)p->client_cpu;
	if (CPU_COUNT(&p->isolated) == 0)
		return -1;
	cpus left = spare(p);
	return cpus_first(&left);
}

bool tune_client_starves(const struct planning *p)
{
	cpus ours, on = runners(p);
	int cpu = client_on(p);

	undo_cpus(p->host, &ours);
	return p->tuning->floods && tune_fifo_wanted(p) &&
	       (CPU_COUNT(&ours) == 1 || (cpu >= 0 && CPU_ISSET((size_t)cpu, &on)));
}

bool tune_moves_packets(const struct asked *asked)
{
	const struct subject_thread *thread = asked->thread;

	if (thread->role == ROLE_EMULATOR)
		return thread->tid == thread->pid && !count_role(asked->p, ROLE_VHOST) &&
		       count_role(asked->p, ROLE_VCPU);
	return thread->role == ROLE_VHOST;
}

bool tune_vcpus_share(const struct planning *p)
{
	size_t vcpus = count_role(p, ROLE_VCPU);
	cpus set = p->isolated;

	if (CPU_COUNT(&set) == 0)
		undo_cpus(p->host, &set);
	return vcpus > 1 && (p->server_cpu >= 0 || vcpus > (size_t)CPU_COUNT(&set));
}

/* The CPU that the settings or the profile want for a thread; −1 when no CPU is isolated. */
static int wanted(const struct asked *asked)
{
	const struct planning *p = asked->p;
	enum role role = asked->thread->role;
	bool runner = role == ROLE_SERVER || role == ROLE_VCPU;
	size_t turn = 0;

	if (runner && p->server_cpu >= 0)
		return (int)p->server_cpu;
	if (role == ROLE_CLIENT)
		return client_on(p);
	if (CPU_COUNT(&p->isolated) == 0)
		return -1;
	if (runner)
		return cpu_at(&p->isolated, role == ROLE_VCPU ? index_of(p, asked->thread) : 0);
	if (role == ROLE_VHOST)
		turn = 1 + index_of(p, asked->thread);
	else
		turn = 1 + count_role(p, ROLE_VHOST);
	cpus left = spare(p);
	return cpu_at(&left, turn);
}

enum answer tune_value_place(const struct asked *asked, char *out, size_t size)
{
	const struct planning *p = asked->p;
	bool placed = asked->thread->role == ROLE_CLIENT ? p->client_cpu >= 0 : p->server_cpu >= 0;
	bool endpoint = ROLE_BIT(asked->thread->role) & ENDPOINTS;
	int cpu = wanted(asked);
	char list[1024];
	cpus allowed;

	if (!placed && !profile_rows[p->profile].isolates)
		return ANSWER_NONE;
	if (cpu < 0) {
		str_copy(out, size, tune_none_isolated(p));
		return ANSWER_SKIP;
	}
	if (!endpoint)
		tune_cpuset_of(p->host, asked->thread->tid, &allowed);
	if (!endpoint && !CPU_ISSET((size_t)cpu, &allowed)) {
		snprintf(out, size, "CPU %d is wanted, its cpuset holds CPUs %s", cpu,
			cpus_format_list(&allowed, list, sizeof(list)));
		return ANSWER_SKIP;
	}
	snprintf(out, size, "%d", cpu);
	return ANSWER_VALUE;
}

/* --- cpusets ----------------------------------------------------------------------------------- */

/* The path of a task's cpuset, from a line "4:cpu,cpuset:/a/b", or "0::/a/b" in cgroup v2. */
static bool cpuset_path(const struct undo_host *host, pid_t tid, char *out, size_t size)
{
	bool v2 = host->cgroups.version == CGROUP_V2;
	char path[64], text[8192];

	snprintf(path, sizeof(path), "/proc/%d/cgroup", tid);
	if (root_read(host->root, path, text, sizeof(text), ERR_IGNORED) < 0)
		return false;
	for (char *save = NULL, *line = strtok_r(text, "\n", &save); line;
		line = strtok_r(NULL, "\n", &save)) {
		char *names = strchr(line, ':'), *group = names ? strchr(names + 1, ':') : NULL;
		if (!group)
			continue;
		*group++ = 0;
		if (v2 ? !strcmp(line, "0:") : strstr(names, "cpuset") != NULL)
			return str_copy(out, size, strcmp(group, "/") ? group : "") == 0;
	}
	return false;
}

void tune_cpuset_of(const struct undo_host *host, pid_t tid, cpus *out)
{
	static const char *const names[] = {"cpuset.cpus.effective", "cpuset.effective_cpus", "cpuset.cpus"};
	char group[512], text[4096];

	*out = host->online;
	if (!host->cgroups.cpuset[0] || !cpuset_path(host, tid, group, sizeof(group)))
		return;
	for (;;) { /* a cgroup without the controller has no such file; then its parent's counts */
		for (size_t i = 0; i < ARRAY_LEN(names); i++) {
			AUTO_FREE char *path = str_format("%s%s/%s", host->cgroups.cpuset, group, names[i]);
			cpus found;
			if (root_read(host->root, path, text, sizeof(text), ERR_IGNORED) > 0 &&
				cpus_parse_list(str_trim(text), &found) == 0 && CPU_COUNT(&found)) {
				*out = found;
				return;
			}
		}
		char *slash = strrchr(group, '/');
		if (!slash)
			return;
		*slash = 0;
	}
}
