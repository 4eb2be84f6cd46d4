/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a trial depends on, seen to be as it was asked for: the knobs on the host, those in a guest, and the
 * conditions that are read before and after measuring.
 */
#include "session.h"

/* --- the guest's half of tuning ---------------------------------------------------------------- */

/* Both stages at once: inside, there is no time before the target. */
int session_tune_guest(struct session *s, struct err *e)
{
	uint64_t deadline = time_now_ns() + target_patience_ns(s->plan, HANDSHAKE_NS);
	int fd = session_control(s, END_SERVER), rc = 0;

	for (int stage = TUNE_HOST; rc == 0 && plan_target(s->plan)->machine && stage <= TUNE_LIVE; stage++)
		rc = guest_tune(fd, &s->plan->tuning, (enum tune_stage)stage, deadline, &s->guest_knobs, e);
	s->busy |= rc == -EINTR; /* its answer is still to come */
	return rc < 0 ? session_agent_failed(s, plan_end_name(s->plan, END_SERVER), e) : 0;
}

/* Does all that is in force still hold, on both sides? */
int session_verify(struct session *s, bool *all, struct err *e)
{
	uint64_t deadline = time_now_ns() + target_patience_ns(s->plan, HANDSHAKE_NS);
	bool inside = true;
	bool ground = true;
	int rc = tune_verify(s->site->ground->tune, &ground, e);

	if (rc == 0)
		rc = tune_verify(s->tune, all, e);
	if (rc < 0)
		return session_end_failed(s, e);
	*all = *all && ground;
	if (!plan_target(s->plan)->machine)
		return 0;
	rc = guest_verify(session_control(s, END_SERVER), deadline, &inside, &s->guest_knobs, e);
	*all = *all && inside;
	s->busy |= rc == -EINTR;
	return rc < 0 ? session_agent_failed(s, plan_end_name(s->plan, END_SERVER), e) : 0;
}

/* --- conditions -------------------------------------------------------------------------------- */

int session_watch(struct session *s, struct err *e)
{
	AUTO_FREE struct subject *subject = mem_alloc(sizeof(*subject));
	int rc = target_subject(session_target(s), subject, e);

	if (rc < 0)
		return session_end_failed(s, e);
	s->watch = watch_begin(s->site->root, subject);
	return 0;
}

/* An end that does not say how it was scheduled is not verified. */
bool session_conditions_hold(struct session *s)
{
	AUTO_FREE struct conditions *all = mem_alloc(sizeof(*all));
	bool hold = true;

	watch_end(steal_ptr(&s->watch), &s->record->conditions);
	trial_conditions(s->record, all);
	for (size_t i = 0; i < all->n; i++)
		hold &= condition_holds(&s->record->settings, &all->at[i]);
	for (size_t i = 0; i < s->record->ends_n; i++)
		hold &= conditions_find(&s->record->ends[i].record.conditions, CONDITION_SCHED, "") != NULL;
	for (size_t i = 0; i < all->n && !s->record->mtu; i++)
		if (all->at[i].kind == CONDITION_MTU)
			s->record->mtu = strtoull(all->at[i].before, NULL, 10);
	return hold;
}

/* All that is in force: in what the target stands on, on its live parts, and in a guest. */
void session_keep_knobs(struct session *s)
{
	const struct tune *const tunes[] = {s->site->ground->tune, s->tune};
	json_t *all = json_array();

	for (size_t i = 0; i < ARRAY_LEN(tunes); i++) {
		json_t *one = tunes[i] ? tune_effective_json(tunes[i]) : json_array();
		json_array_extend(all, one);
		json_decref(one);
	}
	json_decref(s->record->knobs);
	s->record->knobs = all;
	knobs_mark(all, "host");
	json_array_extend(all, s->guest_knobs);
	json_decref(s->guest_knobs);
}

/*
 * A guest of taut's own that serves no other trial just ends; one that goes on is put back.  An agent that is
 * still measuring hears nothing but the end of its stream, and puts back by itself.  False: it did not work.
 */
bool session_guest_put_back(const struct session *s, bool lasts)
{
	struct err problem = ERR_INIT;
	char text[1024];

	if (!s->guest_knobs || s->busy || (plan_target(s->plan)->made && !lasts))
		return true;
	if (guest_untune(session_control(s, END_SERVER), time_now_ns() + HANDSHAKE_NS, &problem) == 0)
		return true;
	log_warn("%s", err_string(&problem, text, sizeof(text)));
	return false;
}
