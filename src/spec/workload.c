/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Workloads: the rows that everybody sees.  What an end does in one of them is in src/engine/. */
#include "spec.h"

#define WORKLOAD_ROW(name_, help_, ...) {.name = #name_, .help = help_, __VA_ARGS__},
const struct workload_row workload_rows[] = {WORKLOADS(WORKLOAD_ROW)};
const size_t workload_rows_n = ARRAY_LEN(workload_rows);

const struct workload_row *workload_find(const char *name)
{
	for (size_t i = 0; i < workload_rows_n; i++)
		if (!strcmp(workload_rows[i].name, name))
			return &workload_rows[i];
	return NULL;
}

bool workload_measures(const struct workload_row *row, bool server)
{
	return server == (row->stream && !row->reverse);
}

bool workload_receives(const struct workload_row *row, bool server)
{
	return row->stream && workload_measures(row, server);
}
