/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Scheduling: realtime budgets, and the endpoints.
 *
 * Three throttles can stop a FIFO task.  The sysctl's (before 6.12, and wherever the kernel has realtime
 * groups); the fair deadline server's (since 6.12), which gives normal tasks 50 ms of each second on each
 * CPU; and the budget of a cgroup v1, which is 0 for a new one and then forbids FIFO altogether.
 */
#include "private.h"

#include <stdio.h>

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

/* A cgroup at the top that no endpoint is in keeps what it has. */
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
 * A child's budget counts against its parent's, so every endpoint gets an equal share of nine tenths of what
 * is free at the top, and each cgroup above it the sum of the shares below.
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
 * A process that spins at a realtime priority for longer than a trial can last is stuck; the kernel ends it
 * then.  A vCPU may be busy while its guest is being tuned as well.  A machine that taut has not made is not
 * taut's to end.
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
	return tune_value_sched(asked, 0, out, size);
}

static const struct knob rows[] = {
	{.id = "sched-rt-runtime",
		.help = "Realtime tasks are not stopped for 50 ms of every second.",
		.risk = "a realtime task that spins can keep its CPU for ever",
		.object = "/proc/sys/kernel/sched_rt_runtime_us",
		.executor = "file",
		LOW_LATENCY(no_throttle)},
	{.id = "sched-fair-server",
		.help = "From Linux 6.12: normal tasks do not get 50 ms of every second of an isolated CPU.",
		.risk = "normal tasks on that CPU starve while a realtime task spins",
		.expand = EXPAND_CPU,
		.object = "/sys/kernel/debug/sched/fair_server/cpu#/runtime",
		.executor = "file",
		LOW_LATENCY(no_fair_server)},
	{.id = "cgroup-rt-runtime",
		.help = "A cgroup v1 may run realtime tasks: without a budget it may not.",
		.stage = TUNE_LIVE,
		.expand = EXPAND_GROUP,
		.object = "cpu.rt_runtime_us",
		.executor = "file-atleast",
		EVERY_PROFILE(group_budget)},
	{.id = "endpoint-cpu",
		.help = "Each end runs on one CPU, by default on an isolated one.",
		.stage = TUNE_LIVE,
		.expand = EXPAND_THREAD,
		.roles = ENDPOINTS,
		.executor = "task-affinity",
		EVERY_PROFILE(tune_value_place),
		.mandatory = true,
		.anyone = true},
	{.id = "endpoint-rttime",
		.help = "An end, or the QEMU of its machine, that spins at a realtime priority for longer than a trial is ended.",
		.stage = TUNE_LIVE,
		.expand = EXPAND_PROCESS,
		.roles = ENDPOINTS | ROLE_BIT(ROLE_VCPU),
		.executor = "process-rttime",
		EVERY_PROFILE(endpoint_rttime),
		.anyone = true},
	{.id = "endpoint-sched",
		.help = "Both ends run under SCHED_FIFO and are not preempted by normal tasks.",
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
