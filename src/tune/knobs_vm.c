/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Virtual machines: their memory and the threads of QEMU (see place.c for which CPU each gets).
 *
 * Priorities.  With few CPUs all of these threads share one, and a realtime thread that does not block keeps
 * it.  So a thread that may be busy without end has a lower priority than the threads that it could block:
 *
 *   vhost, or QEMU's main loop in its place     P+1   blocks when the rings are empty
 *   client (endpoint-sched)                     P     blocks in recv; with a stream or a late schedule it may
 *                                                     be busy, and must not block the thread that takes its
 *                                                     packets
 *   other threads of QEMU on these CPUs         P     fire the guest's timers when there is no KVM, and hold
 *                                                     QEMU's lock: a vCPU of a higher priority would wait for
 *                                                     that lock for ever
 *   vCPU                                        P−1   blocks when the guest halts, but not while the guest is
 *                                                     busy, and never when it is emulated
 *
 * The first three wait for events and block, so a vCPU gets the CPU whenever there is no packet to pass on;
 * and the guest's reply wakes a vhost worker, which takes the CPU at once.  P is 50, or that of the setting
 * `sched`.
 *
 * Several vCPUs on one CPU keep the normal scheduler.  Under SCHED_FIFO a vCPU that spins for a lock of the
 * guest would never let the vCPU run that holds the lock.
 */
#include "private.h"

#include <stdio.h>

/* --- threads ----------------------------------------------------------------------------------- */

/* The housekeeping CPUs that the thread's cpuset allows; false when it allows none of them. */
static bool may_leave(const struct asked *asked, cpus *out)
{
	cpus allowed;

	tune_cpuset_of(asked->p->host, asked->thread->tid, &allowed);
	CPU_AND(out, &allowed, &asked->p->housekeeping);
	cpus_without(out, out, &asked->p->host->withheld);
	return CPU_COUNT(out) > 0;
}

static enum answer emulator_cpu(const struct asked *asked, char *out, size_t size)
{
	cpus keep;

	if (CPU_COUNT(&asked->p->isolated) == 0) {
		str_copy(out, size, tune_none_isolated(asked->p));
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

/* The number in a line of /proc/meminfo, in KiB. */
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
 * How many huge pages the pool must have so that the machine's memory fits into those that are free and not
 * reserved; or the reason why it cannot have them.
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

/* Only for a machine that taut is going to start; for any other target the plan does not mention this knob.
 */
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

/* Applied in this order and undone backwards, so a vCPU is the last thread to become realtime and the first
 * that is put back. */
static const struct knob rows[] = {
	{.id = "hugepages",
		.help = "A virtual machine's memory lies on huge pages: there are fewer TLB misses, which cost twice as much in a guest.",
		.risk = "other programs cannot use this memory; where memory is fragmented, only a part is granted",
		.expand = EXPAND_OWN,
		.object = HUGEPAGES "/nr_hugepages",
		.executor = "file-pool",
		LOW_LATENCY_TEXT(""),
		.plan = plan_hugepages},
	{.id = "vhost-cpu",
		.help = "The kernel threads that move a virtual machine's packets (vhost) run on an isolated CPU, "
			"apart from the vCPUs where there are enough CPUs.",
		.stage = TUNE_LIVE,
		.expand = EXPAND_THREAD,
		.roles = ROLE_BIT(ROLE_VHOST),
		.executor = "task-affinity",
		LOW_LATENCY(tune_value_place),
		.anyone = true},
	{.id = "iothread-cpu",
		.help = "The disk threads of QEMU run on the housekeeping CPUs, or on an isolated one where a cpuset keeps them with the vCPUs.",
		.stage = TUNE_LIVE,
		.expand = EXPAND_THREAD,
		.roles = ROLE_BIT(ROLE_IOTHREAD),
		.executor = "task-affinity",
		LOW_LATENCY(emulator_cpu),
		.anyone = true},
	{.id = "emulator-cpu",
		.help = "The other threads of QEMU run on the housekeeping CPUs. Where a cpuset keeps them with the vCPUs, or "
			"QEMU's main loop moves the packets, they run on an isolated CPU, apart from the vCPUs where there are enough.",
		.stage = TUNE_LIVE,
		.expand = EXPAND_THREAD,
		.roles = ROLE_BIT(ROLE_EMULATOR),
		.executor = "task-affinity",
		LOW_LATENCY(emulator_cpu),
		.anyone = true},
	{.id = "vcpu-cpu",
		.help = "Each vCPU runs on an isolated CPU of its own, as long as there are enough of them.",
		.stage = TUNE_LIVE,
		.expand = EXPAND_THREAD,
		.roles = ROLE_BIT(ROLE_VCPU),
		.executor = "task-affinity",
		EVERY_PROFILE(tune_value_place),
		.mandatory = true,
		.anyone = true},
	{.id = "vhost-sched",
		.help = "vhost threads run under SCHED_FIFO, one priority above the client, so that a packet is passed on at once.",
		.risk = "see sched-rt-runtime",
		.stage = TUNE_LIVE,
		.expand = EXPAND_THREAD,
		.roles = ROLE_BIT(ROLE_VHOST),
		.executor = "task-sched",
		LOW_LATENCY(packets_sched),
		.anyone = true},
	{.id = "emulator-sched",
		.help = "Threads of QEMU on the isolated CPUs run under SCHED_FIFO above the vCPUs, which have to wait for them; "
			"QEMU's main loop has the priority of vhost where it moves the packets.",
		.risk = "see sched-rt-runtime",
		.stage = TUNE_LIVE,
		.expand = EXPAND_THREAD,
		.roles = ROLE_BIT(ROLE_EMULATOR) | ROLE_BIT(ROLE_IOTHREAD),
		.executor = "task-sched",
		LOW_LATENCY(emulator_sched),
		.anyone = true},
	{.id = "vcpu-sched",
		.help = "vCPUs run under SCHED_FIFO, one priority below the client, so that a busy guest stops no thread it waits for.",
		.risk = "a guest that never halts keeps its CPU from normal tasks",
		.stage = TUNE_LIVE,
		.expand = EXPAND_THREAD,
		.roles = ROLE_BIT(ROLE_VCPU),
		.executor = "task-sched",
		EVERY_PROFILE(vcpu_sched),
		.mandatory = true,
		.anyone = true},
};

const struct knob_table tune_knobs_vm = {rows, ARRAY_LEN(rows)};
