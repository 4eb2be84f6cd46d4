/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Can a target be made here?  The only honest answer is to make it: ground, agents, their first word, and
 * down again (some 30 ms for native, 100 ms for a container).  Answers are kept for the life of the process.
 * A try that was interrupted, or that found no end within the patience of a trial, is no answer.
 */
#include "private.h"

#include <stdio.h>

#define TRIAL_NS    (10 * NS_PER_S)
#define ANSWERS_MAX 16

struct answer {
	const struct runtime_row *runtime;
	const struct attachment_row *attachment;
	const char *network; /* as the setting names it: an attachment may be one of several networks */
	bool ipv6, dpdk, privilege;
	enum target_answer is;
	char reason[1024];
};

/* Devices of the machine have been looked at, and are not borrowed for a try. */
static const struct attachment_row *wire_of(const struct trial_plan *plan)
{
	return plan->settings.device[0] ? &attachment_veth : plan->attachment;
}

static int target_try(const struct trial_plan *plan, struct err *e)
{
	struct target *t = NULL;
	struct trial_plan plain = *plan;
	int rc;

	plain.settings.mtu = 0;
	plain.attachment = wire_of(plan);
	if ((rc = target_create(&t, &plain, e)) < 0)
		return rc;
	rc = target_start(t, time_now_ns() + target_patience_ns(plan, TRIAL_NS), e);
	int down = target_destroy(t, rc < 0 ? ERR_IGNORED : e);
	return rc < 0 ? rc : down;
}

static void answer_find(struct answer *a, const struct trial_plan *plan)
{
	struct err e = ERR_INIT;

	int rc = target_try(plan, &e);
	a->is = rc == 0                                         ? TARGET_YES
		: rc == -EINTR || rc == -ETIMEDOUT || stop_flag ? TARGET_UNKNOWN
								: TARGET_NO;
	err_string(&e, a->reason, sizeof(a->reason));
	/* What is missing or makes no sense stays so for root. */
	a->privilege = a->is == TARGET_NO && !is_privileged() && e.code != ENOENT && e.code != EINVAL;
}

enum target_answer target_probe(const struct trial_plan *plan, char *reason, size_t size, bool *privilege)
{
	static struct {
		struct answer rows[ANSWERS_MAX];
		size_t n;
	} known;
	struct answer asked = {.runtime = plan->runtime,
		.attachment = wire_of(plan),
		.network = plan->settings.attachment,
		.ipv6 = plan->settings.ipv6,
		.dpdk = plan_uses(plan, DRIVER_DPDK)};
	const struct answer *answer = NULL;

	if (plan->runtime->boots || plan->runtime->find)
		return TARGET_YES;
	for (size_t i = 0; i < known.n && !answer; i++)
		if (known.rows[i].runtime == asked.runtime && known.rows[i].attachment == asked.attachment &&
			!strcmp(known.rows[i].network, asked.network) && known.rows[i].ipv6 == asked.ipv6 &&
			known.rows[i].dpdk == asked.dpdk)
			answer = &known.rows[i];
	if (!answer) {
		answer_find(&asked, plan);
		answer = &asked;
		if (known.n < ANSWERS_MAX && asked.is != TARGET_UNKNOWN)
			known.rows[known.n++] = asked;
	}
	snprintf(reason, size, "%s", answer->is == TARGET_YES ? "" : answer->reason);
	*privilege = answer->privilege;
	return answer->is;
}
