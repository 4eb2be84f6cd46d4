/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the records of both ends mean for the trial: whether it has failed although both have told one,
 * whether its rate was missed, and whether its stretch was steady.
 */
#include "hosts.h"

#include "stat/stat.h"

#include <stdio.h>

#define RATE_LEAST 0.98 /* of the offered rate; when less is sent, the rate counts as missed */

const char *plan_end_name(const struct trial_plan *plan, size_t end)
{
	return plan->ends[end].role == ROLE_SERVER ? "server endpoint" : "client endpoint";
}

static void judge_steadiness(struct trial_record *r)
{
	size_t n;
	AUTO_FREE double *x = trial_windows(r, &n);
	struct stat_warmup warmup = stat_mser5(x, n);

	r->warmup_more = warmup.cut;
	r->not_steady = warmup.judged && !warmup.steady;
}

void outcome_judge(const struct trial_plan *plan, struct trial_record *r)
{
	const struct endpoint_record *m = trial_measured(r);
	const struct endpoint_job *job = &plan->ends[END_CLIENT].job;

	for (size_t i = 0; i < r->ends_n; i++)
		if (r->ends[i].record.mistake[0] && !r->reason[0]) {
			r->outcome = TRIAL_FAILED;
			snprintf(r->reason, sizeof(r->reason), "%s: %s", plan_end_name(plan, i),
				r->ends[i].record.mistake);
		}
	/* Replies that did not come are losses, and not a rate that was missed. */
	if (job_open_loop(job))
		r->rate_missed = trial_sent_per_s(r) < RATE_LEAST * (double)job->rate;
	if (r->outcome == TRIAL_DONE && !m->transactions && !m->bytes && r->rate_missed) {
		r->outcome = TRIAL_FAILED;
		snprintf(r->reason, sizeof(r->reason),
			"asked for %llu /s, sent %.0f /s: so late that no request of the measured time went out",
			(unsigned long long)job->rate, trial_sent_per_s(r));
	} else if (r->outcome == TRIAL_DONE && !m->transactions && !m->bytes) {
		r->outcome = TRIAL_FAILED;
		str_copy(r->reason, sizeof(r->reason), "nothing came through");
	}
	judge_steadiness(r);
}
