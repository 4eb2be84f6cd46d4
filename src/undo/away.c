/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * CPUs that go offline while something is in force.
 *
 * Nothing is written that belongs to a CPU that is offline: a write to the fair server of such a CPU divides
 * by zero in the kernel and ends the machine (seen with Linux 6.12).  So each write is preceded by a look at
 * which CPUs are online at that moment.  A CPU that goes offline between the look and the write cannot be
 * told from user space; the two system calls stand as close together as they can.
 *
 * Sets of CPUs need a look as well.  The kernel refuses an interrupt or a task that would have no CPU.  Some
 * objects accept a set and forget its CPUs that are offline: there a part of the old value would be lost, so
 * they are written when all of its CPUs are there.
 *
 * And when a CPU leaves, the kernel itself changes sets that name it: a task whose CPUs are all gone may use
 * all that are left; an interrupt too, or it gets a mask that it had earlier, where the kernel had put off
 * its move; a cpuset (v1) loses the CPU; a partition (v2) without CPUs is marked as invalid.  Such a value is
 * not that of somebody else, and the old one is put back.  It is known by the CPUs that were seen offline
 * while our value was in force, which the journal keeps.  A CPU that was away between two looks was not seen;
 * what the kernel changed then counts as somebody else's, and is left and named.
 */
#include "private.h"

#include <stdio.h>

#define CPUSET_FIRST "cpuset.cpus=" /* of a cgroup that is made with settings, which begin so */

/* The CPU that an object belongs to; -1: none. */
static int cpu_of(const char *object)
{
	static const char *const folders[] = {
		"/sys/devices/system/cpu/cpu", "/sys/kernel/debug/sched/fair_server/cpu"};
	int cpu;

	for (size_t i = 0; i < ARRAY_LEN(folders); i++)
		if (str_starts(object, folders[i]) && sscanf(object + strlen(folders[i]), "%d/", &cpu) == 1 &&
			cpu >= 0 && cpu < CPU_SETSIZE)
			return cpu;
	return -1;
}

/* Does the object forget those CPUs of a set that are offline when it is written, or refuse them? */
static bool forgets(const struct undo_host *host, const char *object)
{
	return str_ends(object, "/rps_cpus") || str_ends(object, "/xps_cpus") ||
	       (host->cgroups.version == CGROUP_V1 && str_ends(object, "/cpuset.cpus"));
}

/* The kernel moves these on when they have no CPU left; other sets just stand there. */
static bool is_interrupt(const char *object)
{
	int irq;

	return sscanf(object, "/proc/irq/%d/", &irq) == 1;
}

static bool set_of(const struct undo_entry *entry, const char *value, cpus *out)
{
	enum undo_format format = entry->row->format;

	CPU_ZERO(out);
	if (str_starts(value, CPUSET_FIRST)) {
		AUTO_FREE char *list = str_dup(value + strlen(CPUSET_FIRST));
		list[strcspn(list, " ")] = 0;
		return cpus_parse_list(list, out) == 0;
	}
	if (format == FORMAT_MASK)
		return cpus_parse_mask(value, out) == 0;
	return format == FORMAT_LIST && cpus_parse_list(value, out) == 0;
}

static bool within(const cpus *a, const cpus *b)
{
	cpus rest;

	cpus_without(&rest, a, b);
	return CPU_COUNT(&rest) == 0;
}

static cpus online_now(const struct undo_host *host)
{
	cpus online;

	if (cpus_online(host->root, &online, ERR_IGNORED) < 0)
		CPU_ZERO(&online); /* what cannot be told is not written to */
	return online;
}

bool undo_entry_away(const struct undo_host *host, struct undo_entry *entry, const char *value)
{
	cpus needed, missing, online = online_now(host);
	int cpu = cpu_of(entry->object);
	char list[256];

	if (cpu >= 0) {
		CPU_ZERO(&needed);
		CPU_SET((size_t)cpu, &needed);
	} else if (!set_of(entry, value, &needed)) {
		return false;
	}
	cpus_without(&missing, &needed, &online);
	bool all = CPU_COUNT(&missing) == CPU_COUNT(&needed);
	if (CPU_COUNT(&missing) == 0 || (!all && !forgets(host, entry->object)))
		return false;
	undo_entry_stand(
		entry, UNDO_AWAY, "CPU %s is offline", cpus_format_list(&missing, list, sizeof(list)));
	return true;
}

/* The kernel takes some files of a CPU away while that is offline, as those of frequencies and sleep states,
 * but not its folder; without a folder the CPU itself has gone, with all that was set in it. */
bool undo_entry_unplugged(const struct undo_host *host, struct undo_entry *entry)
{
	AUTO_FREE char *folder = str_format("/sys/devices/system/cpu/cpu%d", cpu_of(entry->object));

	return cpu_of(entry->object) >= 0 && root_exists(host->root, folder) &&
	       undo_entry_away(host, entry, entry->before);
}

void undo_entry_look(const struct undo_host *host, struct undo_entry *entry)
{
	cpus ours, missing, online = online_now(host);

	if (!entry->after || !set_of(entry, entry->after, &ours) || CPU_COUNT(&online) == 0)
		return;
	cpus_without(&missing, &ours, &online);
	CPU_OR(&entry->away, &entry->away, &missing);
}

bool undo_cpus_displaced(
	const struct undo_host *host, const struct undo_entry *entry, const cpus *ours, const cpus *now)
{
	cpus gone, stayed, online = online_now(host);

	if (CPU_EQUAL(now, ours) || CPU_COUNT(&entry->away) == 0)
		return false;
	cpus_without(&gone, ours, now);
	if (within(now, ours) && within(&gone, &entry->away)) /* has lost CPUs that were away */
		return true;
	cpus_without(&stayed, &online, &entry->away);
	return within(ours, &entry->away) && within(&stayed, now); /* had none, and may use all others */
}

/* A cpuset of v1, by its path or as the entry that makes it, shrinks for good. */
static bool shrinks(const struct undo_host *host, const struct undo_entry *entry)
{
	return host->cgroups.version == CGROUP_V1 &&
	       (str_ends(entry->object, "/cpuset.cpus") || str_starts(entry->after, CPUSET_FIRST));
}

bool undo_displaced(const struct undo_host *host, const struct undo_entry *entry, const char *value)
{
	cpus ours, now;
	size_t n = entry->after ? strlen(entry->after) : 0;

	if (!n)
		return false;
	if (!strncmp(value, entry->after, n) && str_starts(value + n, " invalid")) /* of a partition */
		return true;
	if (!set_of(entry, entry->after, &ours) || !set_of(entry, value, &now))
		return false;
	if (is_interrupt(entry->object))
		return CPU_COUNT(&ours) && within(&ours, &entry->away);
	return (str_starts(entry->object, "tid ") || shrinks(host, entry)) &&
	       undo_cpus_displaced(host, entry, &ours, &now);
}
