/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Which CPUs the measured work gets: those of the setting `isolate`, else all but those of the first core, of
 * the CPUs that taut may use.  All others keep house, also those that are withheld from taut: they are
 * others'. SMT siblings share the execution units of a core, so both go to the same side of the partition.
 * Only where there is a single core are its siblings split: an isolated sibling is better than no isolated
 * CPU.
 */
#include "private.h"

#include <stdio.h>

void tune_siblings(const struct undo_host *host, int cpu, cpus *out)
{
	char path[96], text[1024];

	snprintf(path, sizeof(path), "/sys/devices/system/cpu/cpu%d/topology/thread_siblings_list", cpu);
	if (root_read(host->root, path, text, sizeof(text), ERR_IGNORED) < 0 || cpus_parse_list(text, out))
		CPU_ZERO(out);
	CPU_SET(cpu, out);
}

int tune_not_ours(const struct undo_host *host, struct err *e, const char *format, ...)
{
	char what[256], online[256], list[256];
	va_list args;
	cpus ours;

	va_start(args, format);
	vsnprintf(what, sizeof(what), format, args);
	va_end(args);
	undo_cpus(host, &ours);
	cpus_format_list(&host->online, online, sizeof(online));
	cpus_format_list(&ours, list, sizeof(list));
	if (CPU_EQUAL(&ours, &host->online))
		return err_usage(e, "%s: the CPUs of this machine are %s", what, online);
	return err_usage(e, "%s: of the CPUs of this machine, %s, taut may use %s, by its cpuset or affinity",
		what, online, list);
}

const char *tune_one_cpu(const struct undo_host *host)
{
	return CPU_COUNT(&host->online) < 2 ? "only one CPU is online"
					    : "taut may use only one CPU, by its cpuset or affinity";
}

int tune_partition(
	const struct undo_host *host, const char *isolate, cpus *isolated, cpus *housekeeping, struct err *e)
{
	char list[256];
	cpus ours, keep, take;

	undo_cpus(host, &ours);
	cpus_format_list(&ours, list, sizeof(list));
	if (CPU_COUNT(&ours) < 2)
		return err_set(e, EINVAL, "cannot isolate a CPU: %s (%s)", tune_one_cpu(host), list);
	if (*isolate) {
		if (cpus_parse_list(isolate, &take) || CPU_COUNT(&take) == 0)
			return err_usage(
				e, "cannot isolate '%s': it is not a CPU list such as 2-3,6", isolate);
		cpus_without(&keep, &take, &ours);
		if (CPU_COUNT(&keep))
			return tune_not_ours(host, e, "cannot isolate '%s'", isolate);
		cpus_without(&keep, &ours, &take);
		if (CPU_COUNT(&keep) == 0)
			return err_usage(e,
				"cannot isolate '%s': none of CPUs %s would be left for the system", isolate,
				list);
	} else {
		tune_siblings(host, cpus_first(&ours), &keep);
		CPU_AND(&keep, &keep, &ours);
		if (CPU_EQUAL(&keep, &ours)) {
			CPU_ZERO(&keep);
			CPU_SET(cpus_first(&ours), &keep);
		}
		cpus_without(&take, &ours, &keep);
	}
	*isolated = take;
	cpus_without(housekeeping, &host->online, &take);
	return 0;
}
