/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The rows of this module, by the name that stands in the journal; a name, once used, keeps its meaning. */
#include "private.h"

static const struct undo_row rows[] = {
	{"file", FORMAT_TEXT, undo_file_read, undo_file_write, NULL},
	{"file-selector", FORMAT_SELECTOR, undo_file_read, undo_file_write, NULL},
	{"file-mask", FORMAT_MASK, undo_file_read, undo_file_write, NULL},
	{"file-list", FORMAT_LIST, undo_file_read, undo_file_write, NULL},
	{"file-atleast", FORMAT_ATLEAST, undo_file_read, undo_file_write, NULL},
	{"file-pool", FORMAT_ATLEAST, undo_file_read, undo_file_write, undo_pool_revert},
	{"netns-file", FORMAT_TEXT, undo_netns_read, undo_netns_write, undo_netns_revert},
	{"netns-file-mask", FORMAT_MASK, undo_netns_read, undo_netns_write, undo_netns_revert},
	{"task-affinity", FORMAT_LIST, undo_affinity_read, undo_affinity_write, undo_affinity_revert},
	{"task-sched", FORMAT_TEXT, undo_sched_read, undo_sched_write, undo_sched_revert},
	{"process-rttime", FORMAT_TEXT, undo_rttime_read, undo_rttime_write, NULL},
	{"process-memory", FORMAT_TEXT, undo_memory_read, undo_memory_write, NULL},
	{"cgroup-controller", FORMAT_TEXT, undo_controller_read, undo_file_write, undo_controller_revert},
	{"cgroup-dir", FORMAT_TEXT, undo_group_read, undo_group_write, undo_group_revert},
	{"link-addresses", FORMAT_TEXT, undo_link_read, undo_link_write, undo_link_revert},
	{"link-up", FORMAT_TEXT, undo_link_read, undo_link_write, undo_link_revert},
	{"link-coalescing", FORMAT_TEXT, undo_link_read, undo_link_write, undo_link_revert},
	{"link-channels", FORMAT_TEXT, undo_link_read, undo_link_write, undo_link_revert},
	{"link-rings", FORMAT_TEXT, undo_link_read, undo_link_write, undo_link_revert},
	{"link-rss", FORMAT_TEXT, undo_link_read, undo_link_write, undo_link_revert},
	{"link-pause", FORMAT_TEXT, undo_link_read, undo_link_write, undo_link_revert},
	{"link-eee", FORMAT_TEXT, undo_link_read, undo_link_write, undo_link_revert},
	{"link-wake", FORMAT_TEXT, undo_link_read, undo_link_write, undo_link_revert},
	{"link-private-flags", FORMAT_TEXT, undo_link_read, undo_link_write, undo_link_revert},
	{"link-queue-length", FORMAT_TEXT, undo_link_read, undo_link_write, undo_link_revert},
	{"link-features", FORMAT_TEXT, undo_link_read, undo_link_write, undo_link_revert},
	{"link-mtu", FORMAT_TEXT, undo_link_read, undo_link_write, undo_link_revert},
	{"link-mac", FORMAT_TEXT, undo_link_read, undo_link_write, undo_link_revert},
	{"link-name", FORMAT_TEXT, undo_link_read, undo_link_write, undo_link_revert},
	{"link-home", FORMAT_TEXT, undo_home_read, undo_home_write, undo_link_revert},
	{"netns-hold", FORMAT_TEXT, undo_hold_read, undo_hold_write, undo_hold_revert},
	{"pci-driver", FORMAT_TEXT, undo_pci_read, undo_pci_write, undo_pci_revert},
	{"command", FORMAT_TEXT, NULL, undo_command_write, undo_command_revert},
};

static const struct undo_row *find_in(const struct undo_row *table, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (!strcmp(table[i].name, name))
			return &table[i];
	return NULL;
}

const struct undo_row *undo_row_find(const struct undo_host *host, const char *name)
{
	const struct undo_row *row = find_in(rows, ARRAY_LEN(rows), name);

	for (size_t i = 0; !row && i < host->tables_n; i++)
		row = find_in(host->tables[i]->rows, host->tables[i]->n, name);
	return row;
}
