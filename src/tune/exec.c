/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The executors, by the name that stands in the journal; a name, once used, keeps its meaning. */
#include "private.h"

static const struct executor executors[] = {
	{"file", FORMAT_TEXT, tune_file_read, tune_file_write, NULL},
	{"file-selector", FORMAT_SELECTOR, tune_file_read, tune_file_write, NULL},
	{"file-mask", FORMAT_MASK, tune_file_read, tune_file_write, NULL},
	{"file-list", FORMAT_LIST, tune_file_read, tune_file_write, NULL},
	{"file-atleast", FORMAT_ATLEAST, tune_file_read, tune_file_write, NULL},
	{"file-pool", FORMAT_ATLEAST, tune_file_read, tune_file_write, tune_pool_revert},
	{"netns-file", FORMAT_TEXT, tune_netns_read, tune_netns_write, tune_netns_revert},
	{"netns-file-mask", FORMAT_MASK, tune_netns_read, tune_netns_write, tune_netns_revert},
	{"task-affinity", FORMAT_LIST, tune_affinity_read, tune_affinity_write, tune_affinity_revert},
	{"task-sched", FORMAT_TEXT, tune_sched_read, tune_sched_write, tune_sched_revert},
	{"process-rttime", FORMAT_TEXT, tune_rttime_read, tune_rttime_write, NULL},
	{"tasks-affinity", FORMAT_TEXT, tune_crowd_read, tune_crowd_write, tune_crowd_revert},
	{"cgroup-controller", FORMAT_TEXT, tune_controller_read, tune_file_write, NULL},
	{"cgroup-dir", FORMAT_TEXT, tune_group_read, tune_group_write, tune_group_revert},
	{"cgroup-join", FORMAT_TEXT, tune_join_read, tune_join_write, tune_join_revert},
	{"command", FORMAT_TEXT, NULL, tune_command_write, tune_command_revert},
};

const struct executor *tune_executor(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(executors); i++)
		if (!strcmp(executors[i].name, name))
			return &executors[i];
	return NULL;
}
