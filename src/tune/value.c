/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Value formulas that several knob families use. */
#include "private.h"

#include <stdio.h>
#include <sys/resource.h>

/*
 * CPUs that may be used, without the isolated ones.  Who kept off them already is left as he is, whatever
 * else he chose; who had nothing but isolated CPUs gets the housekeeping ones.
 */
enum answer tune_value_off_isolated(const struct asked *asked, char *out, size_t size)
{
	bool mask = asked->row->format == FORMAT_MASK;
	cpus now, both;

	if (mask ? cpus_parse_mask(asked->before, &now) : cpus_parse_list(asked->before, &now)) {
		str_copy(out, size, "what it holds is no set of CPUs");
		return ANSWER_SKIP;
	}
	CPU_AND(&both, &now, &asked->p->isolated);
	if (CPU_COUNT(&both) == 0) {
		str_copy(out, size, asked->before);
		return ANSWER_VALUE;
	}
	CPU_XOR(&now, &now, &both);
	CPU_AND(&both, &now, &asked->p->housekeeping);
	if (CPU_COUNT(&both) == 0)
		now = asked->p->housekeeping;
	(mask ? cpus_format_mask : cpus_format_list)(&now, out, size);
	return ANSWER_VALUE;
}

#define FIFO_PRIORITY 50

bool tune_sched_wanted(const struct planning *p, int *policy, int *priority)
{
	if (p->tuning->sched_wanted) {
		*policy = p->tuning->policy;
		*priority = p->tuning->priority;
		return true;
	}
	*policy = SCHED_FIFO;
	*priority = FIFO_PRIORITY;
	return profile_rows[p->profile].realtime && !p->all_polled;
}

bool tune_fifo_wanted(const struct planning *p)
{
	int policy, priority;

	return tune_sched_wanted(p, &policy, &priority) && policy == SCHED_FIFO;
}

/* Without root the profile's wish is one that may stay open; the user's own is tried, and fails when it is
 * not permitted. */
enum answer tune_value_sched(const struct asked *asked, int rank, char *out, size_t size)
{
	const struct planning *p = asked->p;
	struct rlimit limit;
	int policy, priority;

	if (p->all_polled && profile_rows[p->profile].realtime && !p->tuning->sched_wanted) {
		str_copy(out, size,
			"the ends poll on every CPU: nothing else would run beside realtime tasks");
		return ANSWER_SKIP;
	}
	if (!tune_sched_wanted(p, &policy, &priority))
		return ANSWER_NONE;
	if (policy == SCHED_FIFO)
		priority += rank;
	bool allowed = p->host->privileged ||
		       (getrlimit(RLIMIT_RTPRIO, &limit) == 0 && limit.rlim_cur >= (rlim_t)priority);
	if (policy == SCHED_FIFO && priority < 1) {
		str_copy(out, size, "there is no priority below that of the client");
		return ANSWER_SKIP;
	}
	if (!p->tuning->sched_wanted && !allowed) {
		str_copy(out, size, "needs root");
		return ANSWER_SKIP;
	}
	snprintf(out, size, "%s:%d", policy_name(policy), priority);
	return ANSWER_VALUE;
}
