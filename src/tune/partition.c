/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Which CPUs the measured work gets: those of the setting `isolate`, else all but those of the first core.
 * SMT siblings share the execution units of a core, so both go to the same side of the partition.  Only where
 * there is a single core are its siblings split: an isolated sibling is better than no isolated CPU.
 */
#include "private.h"

#include <stdio.h>

static void siblings_of(const struct undo_host *host, int cpu, cpus *out)
{
	char path[96], text[1024];

	snprintf(path, sizeof(path), "/sys/devices/system/cpu/cpu%d/topology/thread_siblings_list", cpu);
	if (root_read(host->root, path, text, sizeof(text), ERR_IGNORED) < 0 || cpus_parse_list(text, out))
		CPU_ZERO(out);
	CPU_SET(cpu, out);
}

static void without(cpus *out, const cpus *all, const cpus *less)
{
	cpus both;

	CPU_AND(&both, all, less);
	CPU_XOR(out, all, &both);
}

int tune_partition(
	const struct undo_host *host, const char *isolate, cpus *isolated, cpus *housekeeping, struct err *e)
{
	char online[256];
	cpus keep, take;

	cpus_format_list(&host->online, online, sizeof(online));
	if (CPU_COUNT(&host->online) < 2)
		return err_set(e, EINVAL, "cannot isolate a CPU: only CPU %s is online", online);
	if (*isolate) {
		if (cpus_parse_list(isolate, &take) || CPU_COUNT(&take) == 0)
			return err_usage(
				e, "cannot isolate '%s': it is not a CPU list such as 2-3,6", isolate);
		without(&keep, &take, &host->online);
		if (CPU_COUNT(&keep))
			return err_usage(e, "cannot isolate '%s': online are CPUs %s", isolate, online);
		without(&keep, &host->online, &take);
		if (CPU_COUNT(&keep) == 0)
			return err_usage(e,
				"cannot isolate '%s': none of CPUs %s would be left for the system", isolate,
				online);
	} else {
		siblings_of(host, cpus_first(&host->online), &keep);
		CPU_AND(&keep, &keep, &host->online);
		if (CPU_EQUAL(&keep, &host->online)) {
			CPU_ZERO(&keep);
			CPU_SET(cpus_first(&host->online), &keep);
		}
		without(&take, &host->online, &keep);
	}
	*isolated = take;
	*housekeeping = keep;
	return 0;
}
