/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A ground is made for one trial and ends with it, unless the settings share the target (share: target). Then
 * it stays until a trial comes that it cannot serve, a trial on it has failed, or the group of trials ends
 * (site_group).  What is done for one trial alone, the live stage of tuning and the guest's half, is put back
 * between two trials; the host's stage stays in force, and is verified before and after each of them.
 */
#include "ground.h"

#include <stdio.h>

bool ground_lasts(const struct ground *g, const struct settings *s)
{
	return g && settings_share(s, s) && target_lasts(g->target);
}

static bool serves(const struct ground *g, const struct settings *s)
{
	return ground_lasts(g, s) && settings_share(&g->plan.settings, s);
}

int ground_make_way(struct site *site, const struct settings *s, struct err *e)
{
	struct ground *g = site->ground;

	if (!g || serves(g, s))
		return 0;
	ground_clear(g);
	return ground_end(site, e);
}

int ground_take(struct site *site, const struct settings *s, struct err *e)
{
	int rc = ground_make_way(site, s, e);

	if (rc == 0 && !site->ground)
		site->ground = mem_alloc(sizeof(*site->ground));
	return rc;
}

int ground_plan(const struct ground *g, const struct settings *s, struct trial_plan *plan, struct err *e)
{
	int rc = plan_make(plan, s, e);

	if (rc < 0)
		return rc;
	plan->runtime = g->plan.runtime;
	plan->attachment = g->plan.attachment;
	plan->host_kernel = g->plan.host_kernel;
	plan->guest_kernel = g->plan.guest_kernel;
	plan->kvm = g->plan.kvm;
	return tool_resolve(plan, e);
}

int ground_tune(struct site *site, struct tune *tune, const struct trial_plan *plan, enum tune_stage stage,
	struct subject *subject, struct err *e)
{
	struct undo_list *list = NULL;
	int rc = target_subject(site->ground->target, subject, e);

	if (rc == 0)
		rc = tune_plan_make(&list, &site->host, stage, &plan->tuning, subject, e);
	return rc < 0 ? rc : tune_apply(tune, list, e);
}

static int make(struct site *site, const struct trial_plan *plan, uint64_t deadline_ns, struct err *e)
{
	AUTO_FREE struct subject *subject = mem_alloc(sizeof(*subject));
	struct ground *g = site->ground;
	int rc = tune_open(&g->tune, &site->host, e);

	if (rc == 0)
		rc = target_create(&g->target, plan, e);
	if (rc == 0)
		rc = ground_tune(site, g->tune, plan, TUNE_HOST, subject, e);
	return rc < 0 ? rc : target_start(g->target, deadline_ns, e);
}

int ground_start(struct site *site, const struct trial_plan *plan, uint64_t deadline_ns, struct err *e)
{
	struct ground *g = site->ground;

	g->plan = *plan;
	return g->uses++ ? target_next(g->target, plan, deadline_ns, e) : make(site, plan, deadline_ns, e);
}

void ground_stop(struct ground *g)
{
	target_stop(g->target);
}

void ground_clear(struct ground *g)
{
	struct err problem = ERR_INIT;
	char text[1024];

	if (!g || !g->target || target_destroy(steal_ptr(&g->target), &problem) == 0)
		return;
	log_warn("%s", err_string(&problem, text, sizeof(text)));
	if (problem.exit == EXIT_PARTLY_APPLIED)
		g->owed = problem;
}

int ground_end(struct site *site, struct err *e)
{
	struct ground *g = steal_ptr(&site->ground);
	int rc = g && g->tune ? tune_revert(g->tune, e) : 0;

	if (rc == 0 && g && g->owed.code) {
		*e = g->owed;
		rc = -e->code;
	}
	if (g)
		tune_free(g->tune);
	free(g);
	return rc;
}
