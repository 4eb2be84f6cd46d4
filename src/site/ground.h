/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The ground of trials on this host: the target, and the tuning that was done before it started. */
#pragma once

#include "hosts.h"

struct ground {
	struct target *target;
	struct tune *tune; /* the host's stage */
	uint64_t uses;     /* trials, the present one included */
	struct err owed;   /* what of the machine a target that was taken down has not given back */
	/* Of the trial that has used it last: what another one must agree with in all but its ends. */
	struct trial_plan plan;
};

/* Ends the ground that stands when it cannot serve such a trial.  An error means that the machine could not
 * be put back. */
int ground_make_way(struct site *site, const struct settings *s, struct err *e);
/*
 * The plan of another trial on the ground that stands: what was found on the machine for it is found.  To
 * look again would find that somebody has it, a device for one.
 */
int ground_plan(const struct ground *g, const struct settings *s, struct trial_plan *plan, struct err *e);
/*
 * Before a trial: ends the ground that stands when it cannot serve it, and makes an empty one when there is
 * none.  An error means that the machine could not be put back.
 */
int ground_take(struct site *site, const struct settings *s, struct err *e);
/* Makes what is not there yet: target and host's tuning, or fresh agents in what stands.  Both agents have
 * begun to say HELLO then. */
int ground_start(struct site *site, const struct trial_plan *plan, uint64_t deadline_ns, struct err *e);
/* Would it serve another trial of these settings, once theirs is over? */
bool ground_lasts(const struct ground *g, const struct settings *s);
/* Ends what runs on it; its links stay, so that what the live stage has set of them can be put back. */
void ground_stop(struct ground *g);
/* Takes the target down.  What resists is a warning, for taut clean finds it; what is the machine's is owed.
 * Takes NULL. */
void ground_clear(struct ground *g);
/* The rest, after ground_clear(): puts the host's tuning back and forgets the ground.  An error, as that of
 * tune_revert(), says what could not be put back. */
int ground_end(struct site *site, struct err *e);
/* Plans and applies one stage for the subject as it is now. */
int ground_tune(struct site *site, struct tune *tune, const struct trial_plan *plan, enum tune_stage stage,
	struct subject *subject, struct err *e);
