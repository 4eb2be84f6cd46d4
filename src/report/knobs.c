/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What became of the knobs of a trial: how many took effect, why others did not, how CPUs are kept apart. */
#include "figures.h"
#include "text.h"

#include <stdio.h>

static const struct {
	const char *id; /* of the knob that keeps the CPUs apart in this way */
	const char *name, *text;
} partitions[REPORT_PARTITIONS] = {
	[REPORT_PARTITION_NONE] = {.name = "none"},
	[REPORT_PARTITION_CGROUP2] = {"partition-cgroup2", "cgroup2", "a cgroup v2 partition"},
	[REPORT_PARTITION_CGROUP1] = {"partition-cgroup1", "cgroup1", "a cpuset of cgroup v1"},
	[REPORT_PARTITION_AFFINITY] = {"partition-affinity", "affinity",
		"affinity alone, which other tasks can leave"},
};

#define PINNED "endpoint-cpu"

static const char *text_of(const json_t *entry, const char *key)
{
	const char *text = json_string_value(json_object_get(entry, key));

	return text ? text : "";
}

static void add_reason(struct report_knobs *knobs, const char *reason)
{
	size_t i = 0;

	while (i < knobs->why_n &&
		strncmp(knobs->why[i].reason, reason, sizeof(knobs->why[i].reason) - 1) != 0)
		i++;
	if (i == REPORT_SKIP_REASONS_MAX)
		return;
	if (i == knobs->why_n)
		snprintf(knobs->why[knobs->why_n++].reason, sizeof(knobs->why[i].reason), "%s", reason);
	knobs->why[i].count++;
	for (; i && knobs->why[i].count > knobs->why[i - 1].count; i--) {
		struct report_skip less = knobs->why[i - 1];
		knobs->why[i - 1] = knobs->why[i];
		knobs->why[i] = less;
	}
}

/* The partition of this machine; a guest has one of its own. */
static void add_partition(struct report_knobs *knobs, const json_t *entry, bool holds)
{
	const char *id = text_of(entry, "id");

	if (!strcmp(text_of(entry, "where"), "guest"))
		return;
	knobs->pinned |= holds && !strcmp(id, PINNED);
	for (int p = 0; p < REPORT_PARTITIONS; p++) {
		if (!partitions[p].id || strcmp(id, partitions[p].id) != 0)
			continue;
		if (holds)
			knobs->partition = (enum report_partition)p;
		else if (knobs->partition == REPORT_PARTITION_UNKNOWN)
			knobs->partition = REPORT_PARTITION_NONE;
	}
}

void report_knobs_count(struct report_knobs *knobs, const json_t *entries)
{
	const json_t *entry;
	size_t i;

	*knobs = (struct report_knobs){0};
	json_array_foreach ((json_t *)(uintptr_t)entries, i, entry) {
		const char *status = text_of(entry, "status"), *reason = text_of(entry, "reason");
		bool effective = !strcmp(status, "effective"), unchanged = !strcmp(status, "unchanged");

		knobs->effective += effective;
		knobs->unchanged += unchanged;
		add_partition(knobs, entry, effective || unchanged);
		/* One of several ways that was not needed is no loss. */
		if (strcmp(status, "skipped") != 0 || report_knob_why(entry) == KNOB_OTHER_WAY)
			continue;
		knobs->skipped++;
		if (!knobs->reason[0])
			snprintf(knobs->reason, sizeof(knobs->reason), "%s", reason);
		if (*reason)
			add_reason(knobs, reason);
	}
}

void report_knobs_text(const struct report_knobs *k, struct buf *line)
{
	buf_add(line, "%zu knob%s effective, %zu as found", k->effective, k->effective == 1 ? "" : "s",
		k->unchanged);
	if (k->skipped)
		buf_add(line, ", %zu skipped", k->skipped);
	for (size_t i = 0; i < k->why_n && i < REPORT_SKIP_REASONS_SHOWN; i++)
		buf_add(line, "%s%zu: %s", i ? "; " : " (", k->why[i].count, k->why[i].reason);
	if (k->why_n)
		buf_add(line, "%s)", k->why_n > REPORT_SKIP_REASONS_SHOWN ? "; …" : "");
	if (partitions[k->partition].text)
		buf_add(line, "; CPUs kept apart by %s", partitions[k->partition].text);
	else if (k->partition == REPORT_PARTITION_NONE)
		buf_add(line, "; CPUs not kept apart%s",
			k->pinned ? ": the ends are pinned, but other tasks may run beside them" : "");
}

json_t *report_knobs_json(const struct report_knobs *k)
{
	json_t *o = json_object(), *reasons = json_array();
	const char *partition = partitions[k->partition].name;

	json_object_set_new(o, "effective", json_integer((json_int_t)k->effective));
	json_object_set_new(o, "unchanged", json_integer((json_int_t)k->unchanged));
	json_object_set_new(o, "skipped", json_integer((json_int_t)k->skipped));
	json_object_set_new(o, "reason", k->reason[0] ? report_text(k->reason) : json_null());
	for (size_t i = 0; i < k->why_n; i++) {
		json_t *one = json_object();

		json_object_set_new(one, "count", json_integer((json_int_t)k->why[i].count));
		json_object_set_new(one, "text", report_text(k->why[i].reason));
		json_array_append_new(reasons, one);
	}
	json_object_set_new(o, "skip_reasons", reasons);
	json_object_set_new(o, "partition", partition ? json_string(partition) : json_null());
	return o;
}
