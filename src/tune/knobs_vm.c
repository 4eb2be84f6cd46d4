/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Virtual machines: their memory and the threads of QEMU (see place.c for which CPU each gets).
 *
 * Priorities.  With few CPUs all of these threads share one, and a realtime thread that does not block keeps
 * it.  So whoever may be busy without end stands below whoever it could keep from working:
 *
 *   vhost, or the main loop that does its work  P+1   blocks when the rings are empty
 *   client (endpoint-sched)                     P     blocks in recv; a stream or a late schedule may be
 *                                                     busy, and must not outrun what takes its packets
 *   what else of QEMU cannot leave these CPUs   P     fires a guest's timers when there is no KVM, and holds
 *                                                     QEMU's lock: a vCPU above it would wait for it for ever
 *   vCPU                                        P−1   blocks when the guest halts.  A guest that is busy, or
 *                                                     an emulated one, which computes all the time, does not
 *
 * Each of the upper three waits for events and blocks, so the vCPU gets the CPU whenever there is nothing to
 * pass on; and the guest's reply wakes a vhost worker that takes the CPU at once.  P is 50, or the user's.
 *
 * Several vCPUs on one CPU are left to the normal scheduler: a guest's spinlock would wait for ever for a
 * vCPU that the spinning one does not let run.
 */
#include "private.h"

#include <stdio.h>

/* --- threads ----------------------------------------------------------------------------------- */

/* The housekeeping CPUs that its cpuset leaves it; false: none. */
static bool may_leave(const struct asked *asked, cpus *out)
{
	cpus allowed;

	tune_cpuset_of(asked->p->host, asked->thread->tid, &allowed);
	CPU_AND(out, &allowed, &asked->p->housekeeping);
	return CPU_COUNT(out) > 0;
}

static enum answer emulator_cpu(const struct asked *asked, char *out, size_t size)
{
	cpus keep;

	if (CPU_COUNT(&asked->p->isolated) == 0) {
		str_copy(out, size, "only one CPU is online");
		return ANSWER_SKIP;
	}
	if (tune_moves_packets(asked) || !may_leave(asked, &keep))
		return tune_value_place(asked, out, size);
	cpus_format_list(&keep, out, size);
	return ANSWER_VALUE;
}

static enum answer packets_sched(const struct asked *asked, char *out, size_t size)
{
	return tune_value_sched(asked, 1, out, size);
}

static enum answer emulator_sched(const struct asked *asked, char *out, size_t size)
{
	cpus keep;

	if (tune_moves_packets(asked))
		return packets_sched(asked, out, size);
	if (CPU_COUNT(&asked->p->isolated) == 0 || may_leave(asked, &keep))
		return ANSWER_NONE;
	return tune_value_sched(asked, 0, out, size);
}

static enum answer vcpu_sched(const struct asked *asked, char *out, size_t size)
{
	const struct planning *p = asked->p;

	if (tune_fifo_wanted(p) && tune_vcpus_share(p)) {
		str_copy(out, size, "several vCPUs on one CPU would wait for each other for ever");
		return ANSWER_SKIP;
	}
	if (tune_fifo_wanted(p) && profile_rows[p->profile].realtime && CPU_COUNT(&p->isolated) == 0) {
		str_copy(out, size, "a busy guest would keep the only CPU for itself");
		return ANSWER_SKIP;
	}
	return tune_value_sched(asked, -1, out, size);
}

/* --- memory ------------------------------------------------------------------------------------ */

enum tune_backing tune_wants_backing(const struct tuning *t)
{
	static const enum tune_backing asked[] = {[BACKING_RAM] = TUNE_BACKING_RAM,
		[BACKING_LOCKED] = TUNE_BACKING_LOCKED,
		[BACKING_HUGEPAGES] = TUNE_BACKING_HUGEPAGES};

	if (t->backing != BACKING_BY_PROFILE)
		return asked[t->backing];
	return profile_rows[t->profile].locks_memory ? TUNE_BACKING_BEST : TUNE_BACKING_RAM;
}

/* A line of /proc/meminfo. */
static bool meminfo(const char *text, const char *name, uint64_t *out)
{
	const char *line = strstr(text, name);
	unsigned long long n;

	if (!line || sscanf(line + strlen(name), ": %llu", &n) != 1)
		return false;
	*out = n;
	return true;
}

/*
 * How many pages the pool must have so that the machine's memory fits into what is free of it and promised to
 * nobody; or why not.
 */
static enum answer pool_size(const struct planning *p, const char *before, char *out, size_t size)
{
	const uint64_t page_kib = HUGEPAGES_MIB * 1024, page = page_kib * 1024;
	uint64_t idle_n, available_kib, now_n;
	char text[8192];

	if (root_read(p->host->root, "/proc/meminfo", text, sizeof(text), ERR_IGNORED) < 0 ||
		hugepages_idle(p->host->root, &idle_n, ERR_IGNORED) < 0 ||
		!meminfo(text, "MemAvailable", &available_kib) || str_u64(before, &now_n)) {
		str_copy(out, size, "this machine has no huge pages");
		return ANSWER_SKIP;
	}
	if (p->tuning->memory_bytes % page) {
		str_copy(out, size, "the machine's memory is no whole number of huge pages");
		return ANSWER_SKIP;
	}
	uint64_t needed_n = p->tuning->memory_bytes / page;
	uint64_t lacking_n = needed_n > idle_n ? needed_n - idle_n : 0;
	if (lacking_n * page_kib > available_kib / 4 * 3) {
		snprintf(out, size, "%llu MiB of huge pages do not fit into %llu MiB of available memory",
			(unsigned long long)(lacking_n * page_kib / 1024),
			(unsigned long long)(available_kib / 1024));
		return ANSWER_SKIP;
	}
	snprintf(out, size, "%llu", (unsigned long long)(now_n + lacking_n));
	return ANSWER_VALUE;
}

/* Of a machine that is going to be made, and only there: its absence is no news elsewhere. */
static int plan_hugepages(struct planning *p, const struct knob *knob, struct err *e)
{
	enum tune_backing backing = tune_wants_backing(p->tuning);
	AUTO_FREE char *before = NULL;
	char text[256];

	(void)e;
	if (!p->tuning->machine || !p->tuning->made ||
		(backing != TUNE_BACKING_BEST && backing != TUNE_BACKING_HUGEPAGES))
		return 0;
	struct undo_entry *entry = undo_entry_add(p->host, p->plan, knob->id, knob->executor, knob->object);
	entry->optional = true;
	if (entry->row->read(p->host, entry, &before, ERR_IGNORED) < 0) {
		undo_entry_stand(entry, UNDO_SKIPPED, "this machine does not have it");
		return 0;
	}
	if (pool_size(p, before, text, sizeof(text)) == ANSWER_SKIP) {
		undo_entry_stand(entry, UNDO_SKIPPED, "%s", text);
		return 0;
	}
	undo_entry_values(entry, before, text);
	if (undo_same(entry->row->format, before, text))
		undo_entry_stand(entry, UNDO_UNCHANGED, NULL);
	else if (!p->host->privileged)
		undo_entry_stand(entry, UNDO_SKIPPED, "needs root");
	return 0;
}

/* Applied in this order, undone backwards: a vCPU is the last to become realtime and the first to stop. */
static const struct knob rows[] = {
	{.id = "hugepages",
		.help = "The memory of a virtual machine lies on huge pages: fewer TLB misses, which cost twice there.",
		.risk = "the memory is taken from everybody else; a fragmented machine grants only a part",
		.expand = EXPAND_OWN,
		.object = HUGEPAGES "/nr_hugepages",
		.executor = "file-pool",
		LOW_LATENCY_TEXT(""),
		.plan = plan_hugepages},
	{.id = "vhost-cpu",
		.help = "The threads that move a machine's packets (vhost) run on an isolated CPU, not on a vCPU's where there is another.",
		.stage = TUNE_LIVE,
		.expand = EXPAND_THREAD,
		.roles = ROLE_BIT(ROLE_VHOST),
		.executor = "task-affinity",
		LOW_LATENCY(tune_value_place),
		.anyone = true},
	{.id = "iothread-cpu",
		.help = "A machine's disk threads run on the housekeeping CPUs, as emulator-cpu.",
		.stage = TUNE_LIVE,
		.expand = EXPAND_THREAD,
		.roles = ROLE_BIT(ROLE_IOTHREAD),
		.executor = "task-affinity",
		LOW_LATENCY(emulator_cpu),
		.anyone = true},
	{.id = "emulator-cpu",
		.help = "The rest of QEMU runs on the housekeeping CPUs; "
			"where a cpuset keeps it with the vCPUs, or its main loop moves the packets, on an isolated one, apart from vCPUs where it can.",
		.stage = TUNE_LIVE,
		.expand = EXPAND_THREAD,
		.roles = ROLE_BIT(ROLE_EMULATOR),
		.executor = "task-affinity",
		LOW_LATENCY(emulator_cpu),
		.anyone = true},
	{.id = "vcpu-cpu",
		.help = "Each vCPU runs on an isolated CPU of its own, as far as there are some.",
		.stage = TUNE_LIVE,
		.expand = EXPAND_THREAD,
		.roles = ROLE_BIT(ROLE_VCPU),
		.executor = "task-affinity",
		EVERY_PROFILE(tune_value_place),
		.mandatory = true,
		.anyone = true},
	{.id = "vhost-sched",
		.help = "vhost threads run under SCHED_FIFO, one above the client: a packet is passed on at once.",
		.risk = "see sched-rt-runtime",
		.stage = TUNE_LIVE,
		.expand = EXPAND_THREAD,
		.roles = ROLE_BIT(ROLE_VHOST),
		.executor = "task-sched",
		LOW_LATENCY(packets_sched),
		.anyone = true},
	{.id = "emulator-sched",
		.help = "What of QEMU shares the isolated CPUs runs under SCHED_FIFO above the vCPUs, which wait for it; "
			"its main loop as vhost where it moves the packets.",
		.risk = "see sched-rt-runtime",
		.stage = TUNE_LIVE,
		.expand = EXPAND_THREAD,
		.roles = ROLE_BIT(ROLE_EMULATOR) | ROLE_BIT(ROLE_IOTHREAD),
		.executor = "task-sched",
		LOW_LATENCY(emulator_sched),
		.anyone = true},
	{.id = "vcpu-sched",
		.help = "vCPUs run under SCHED_FIFO, one below the client: a busy guest stops nothing that it waits for.",
		.risk = "a guest that never halts keeps its CPU",
		.stage = TUNE_LIVE,
		.expand = EXPAND_THREAD,
		.roles = ROLE_BIT(ROLE_VCPU),
		.executor = "task-sched",
		EVERY_PROFILE(vcpu_sched),
		.mandatory = true,
		.anyone = true},
};

const struct knob_table tune_knobs_vm = {rows, ARRAY_LEN(rows)};
