/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Scheduling: realtime budgets, and the endpoints.
 *
 * Three mechanisms of the kernel can stop a SCHED_FIFO task: the throttle of sysctl sched_rt_runtime_us
 * (before 6.12, and wherever the kernel has realtime groups); the fair server (since 6.12), which gives
 * normal tasks 50 ms of each second on each CPU; and the realtime budget of a cgroup v1, which is 0 in a new
 * cgroup, and then forbids SCHED_FIFO altogether.
 */
#include "private.h"

#include <stdio.h>
#include <sys/resource.h>

/* --- budgets ----------------------------------------------------------------------------------- */

static enum answer no_throttle(const struct asked *asked, char *out, size_t size)
{
	str_copy(out, size, "-1");
	return tune_fifo_wanted(asked->p) ? ANSWER_VALUE : ANSWER_NONE;
}

static enum answer no_fair_server(const struct asked *asked, char *out, size_t size)
{
	str_copy(out, size, "0");
	return tune_fifo_wanted(asked->p) ? ANSWER_VALUE : ANSWER_NONE;
}

struct budgets {
	const struct planning *p;
	uint64_t taken_us;
};

/* Adds the budget of a top-level cgroup, which stays as it is, unless an endpoint is in that cgroup. */
static int add_foreign_budget(const char *name, void *arg)
{
	struct budgets *budgets = arg;
	const struct subject *subject = budgets->p->subject;
	AUTO_FREE char *prefix = str_format("/%s/", name);
	AUTO_FREE char *path = str_format("%s/%s/cpu.rt_runtime_us", budgets->p->host->cgroups.cpu, name);
	uint64_t us;

	for (size_t i = 0; i < subject->cgroups_n; i++)
		if (str_starts(subject->cgroups[i], prefix) || !strcmp(subject->cgroups[i] + 1, name))
			return 0;
	if (root_read_u64(budgets->p->host->root, path, &us, ERR_IGNORED) == 0)
		budgets->taken_us += us;
	return 0;
}

/*
 * The budget of a cgroup is taken from that of its parent.  So every endpoint gets an equal share of nine
 * tenths of what no other cgroup has of the root's budget, and each cgroup above the endpoints gets the sum
 * of the shares below it.
 */
static enum answer group_budget(const struct asked *asked, char *out, size_t size)
{
	const struct subject *subject = asked->p->subject;
	struct budgets budgets = {.p = asked->p};
	AUTO_FREE char *path = str_format("%s/cpu.rt_runtime_us", asked->p->host->cgroups.cpu);
	AUTO_FREE char *prefix = str_format("%s/", asked->group);
	uint64_t all_us, below = 0;

	if (!tune_fifo_wanted(asked->p))
		return ANSWER_NONE;
	if (root_read_u64(asked->p->host->root, path, &all_us, ERR_IGNORED) < 0)
		all_us = 950000;
	root_each(
		asked->p->host->root, asked->p->host->cgroups.cpu, add_foreign_budget, &budgets, ERR_IGNORED);
	for (size_t i = 0; i < subject->cgroups_n; i++)
		below +=
			str_starts(subject->cgroups[i], prefix) || !strcmp(subject->cgroups[i], asked->group);
	uint64_t free_us = all_us > budgets.taken_us ? (all_us - budgets.taken_us) / 10 * 9 : 0;
	uint64_t share_us = free_us / MAX(subject->cgroups_n, 1);
	if (share_us < 1000) {
		snprintf(out, size, "other cgroups hold %llu of %llu µs of realtime budget",
			(unsigned long long)budgets.taken_us, (unsigned long long)all_us);
		return ANSWER_SKIP;
	}
	snprintf(out, size, "%llu", (unsigned long long)(share_us * below));
	return ANSWER_VALUE;
}

/* --- endpoints --------------------------------------------------------------------------------- */

/*
 * A process that spins at a realtime priority for longer than a trial can last is stuck, and the kernel ends
 * it.  A vCPU gets more time, since it may also be busy while its guest is tuned.  A machine that taut did
 * not start gets no limit: taut must not end it.
 */
static enum answer endpoint_rttime(const struct asked *asked, char *out, size_t size)
{
	const struct tuning *t = asked->p->tuning;
	bool vcpu = asked->thread->role == ROLE_VCPU;
	uint64_t grace_ns = vcpu ? 60 * NS_PER_S + 2 * t->timeout_ns : 5 * NS_PER_S;
	uint64_t most_ns = t->longest_ns + grace_ns, now_us;
	int policy, priority;

	if (!tune_sched_wanted(asked->p, &policy, &priority) || policy != SCHED_FIFO)
		return ANSWER_NONE;
	if (vcpu && t->machine && !t->made) {
		str_copy(out, size, "it is your own machine: the limit would end it");
		return ANSWER_SKIP;
	}
	uint64_t most_us = most_ns / NS_PER_US;
	if (str_u64(asked->before, &now_us) == 0 && now_us <= most_us)
		most_us = now_us; /* a stricter limit stays */
	snprintf(out, size, "%llu", (unsigned long long)most_us);
	return ANSWER_VALUE;
}

static enum answer endpoint_sched(const struct asked *asked, char *out, size_t size)
{
	const struct planning *p = asked->p;

	if (asked->thread->role == ROLE_CLIENT && !p->tuning->sched_wanted && tune_client_starves(p)) {
		str_copy(out, size, "it never waits for who takes its datagrams, and has the same CPU");
		return ANSWER_SKIP;
	}
	return tune_value_sched(asked, 0, out, size);
}

/* --- memory ------------------------------------------------------------------------------------ */

#define MEMORY_LEAST (4ull << 20) /* of an end with one flow */

/* Why an end does not lock its memory: it is another program, or may lock so much only. */
static void memory_reason(const struct planning *p, const char *limit, char *out, size_t size)
{
	if (p->tuning->tool != TOOL_TAUT)
		snprintf(out, size, "the program of the tool %s decides itself whether it locks its memory",
			tool_rows[p->tuning->tool].name);
	else
		snprintf(out, size, "it may lock %s bytes of memory only (ulimit -l)", limit);
}

/* An end locks its memory itself, once it has all that it needs; what became of it is read here. */
static enum answer endpoint_memory(const struct asked *asked, char *out, size_t size)
{
	char path[64], text[4096], soft[32] = "";

	snprintf(path, sizeof(path), "/proc/%d/limits", asked->thread->pid);
	const char *line = root_read(asked->p->host->root, path, text, sizeof(text), ERR_IGNORED) < 0
				   ? NULL
				   : strstr(text, "Max locked memory");
	if (line)
		sscanf(line, "Max locked memory %31s", soft);
	str_copy(out, size, "locked");
	if (!strcmp(asked->before, "locked"))
		return ANSWER_VALUE;
	memory_reason(asked->p, soft[0] ? soft : "too few", out, size);
	return ANSWER_SKIP;
}

/* Before there are ends, only a limit that suffices for none can be told, and that they are a tool's. */
static int plan_memory(struct planning *p, const struct knob *knob, struct err *e)
{
	struct knob each = *knob;
	char soft[24], reason[128];
	struct rlimit limit;

	each.expand = EXPAND_PROCESS;
	if (p->subject && p->subject->threads_n)
		return tune_knob_expand(p, &each, e);
	if (getrlimit(RLIMIT_MEMLOCK, &limit) < 0)
		return 0;
	if (p->tuning->tool == TOOL_TAUT && (p->host->privileged || limit.rlim_cur >= MEMORY_LEAST))
		return 0;
	snprintf(soft, sizeof(soft), "%llu", (unsigned long long)limit.rlim_cur);
	memory_reason(p, soft, reason, sizeof(reason));
	undo_entry_stand(undo_entry_add(p->host, p->plan, knob->id, knob->executor, "memory of the ends"),
		UNDO_SKIPPED, "%s", reason);
	return 0;
}

static const struct knob rows[] = {
	{.id = "sched-rt-runtime",
		.help = "Realtime tasks are not stopped for 50 ms of every second (the realtime throttle).",
		.risk = "a realtime task that spins can keep its CPU for ever",
		.object = "/proc/sys/kernel/sched_rt_runtime_us",
		.executor = "file",
		LOW_LATENCY(no_throttle)},
	{.id = "sched-fair-server",
		.help = "From Linux 6.12 on: normal tasks are not given 50 ms of every second on an isolated CPU (the fair server).",
		.risk = "normal tasks on that CPU do not run while a realtime task spins",
		.expand = EXPAND_CPU,
		.object = "/sys/kernel/debug/sched/fair_server/cpu#/runtime",
		.executor = "file",
		LOW_LATENCY(no_fair_server)},
	{.id = "cgroup-rt-runtime",
		.help = "Gives the cgroups of both ends (cgroup v1) a realtime budget; without one, none of their tasks may be realtime.",
		.stage = TUNE_LIVE,
		.expand = EXPAND_GROUP,
		.object = "cpu.rt_runtime_us",
		.executor = "file-atleast",
		EVERY_PROFILE(group_budget)},
	{.id = "endpoint-cpu",
		.help = "Each end is pinned to one CPU, by default to an isolated one.",
		.stage = TUNE_LIVE,
		.expand = EXPAND_THREAD,
		.roles = ENDPOINTS,
		.executor = "task-affinity",
		EVERY_PROFILE(tune_value_place),
		.mandatory = true,
		.anyone = true},
	{.id = "endpoint-memory",
		.help = "Both ends lock their memory (mlockall), so that none of it has to be fetched while they measure.",
		.stage = TUNE_LIVE,
		.expand = EXPAND_OWN,
		.roles = ENDPOINTS,
		.executor = "process-memory",
		LOW_LATENCY(endpoint_memory),
		.plan = plan_memory,
		.anyone = true},
	{.id = "endpoint-rttime",
		.help = "The kernel ends a client, a server or a QEMU that spins at a realtime priority for longer than a trial can last.",
		.stage = TUNE_LIVE,
		.expand = EXPAND_PROCESS,
		.roles = ENDPOINTS | ROLE_BIT(ROLE_VCPU),
		.executor = "process-rttime",
		EVERY_PROFILE(endpoint_rttime),
		.anyone = true},
	{.id = "endpoint-sched",
		.help = "Both ends run under SCHED_FIFO, so that no normal task preempts them.",
		.risk = "see sched-rt-runtime",
		.stage = TUNE_LIVE,
		.expand = EXPAND_THREAD,
		.roles = ENDPOINTS,
		.executor = "task-sched",
		EVERY_PROFILE(endpoint_sched),
		.mandatory = true,
		.anyone = true},
};

const struct knob_table tune_knobs_sched = {rows, ARRAY_LEN(rows)};
