/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the files of site share. */
#pragma once

#include "site.h"

#include "boot/boot.h"
#include "noise.h"
#include "sys/sys.h"
#include "testbed/testbed.h"
#include "tune/tune.h"

struct lab;    /* an emulated host that runs */
struct ground; /* what a trial on this host stands on, see ground.h */

struct site {
	int root;
	struct undo_host host;
	struct site_options options;
	struct noise noise;
	bool warned;
	uint64_t allowed_ns; /* when its tuning was last found to be allowed, beside `allowed_but` */
	pid_t allowed_but;
	bool inside;           /* this is an emulated host: any kernel will do that it was given */
	struct ground *ground; /* of the trial that runs, or waits for the next one; NULL: there is none */
	struct lab *lab;       /* NULL: none runs */
	/* What the next emulated host must be able to do: the trials that it shall serve. */
	const struct trial_plan *const *group;
	size_t group_n;
};

extern const struct site_row site_local, site_lab;
/* The real row of a host. */
const struct site_row *site_row_of(enum site_kind kind);
/* As site_resolve(), but whether it really can be carried out is seen when it is. */
int site_plan(struct site *site, const struct settings *s, struct trial_plan *plan, struct err *e);

/* The sequence of one trial on this host, see site_trial(). */
int site_trial_local(
	struct site *site, const struct trial_plan *plan, struct trial_record *record, struct err *e);
/* Takes down the target that trials on this host have shared; an error as of tune_revert(). */
int local_stop(struct site *site, struct err *e);
/* Finds the programs of the plan's tool and its version.  -ENOENT with advice when they are not here. */
int tool_resolve(struct trial_plan *plan, struct err *e);
/* What people call an end in messages: "server endpoint". */
const char *plan_end_name(const struct trial_plan *plan, size_t end);
/* Our end of the control stream of an end. */
int ends_control(struct target *t, const struct trial_plan *plan, size_t end);
/* An error on a control stream, or with a process that has gone, is worth more together with how it ended. */
int ends_wrap(struct target *t, const char *who, struct err *e);
/* A step failed that concerns both ends.  When one of them has gone then that is why: what it said last,
 * which nobody has read yet, or else how it ended. */
int ends_failed(struct target *t, const struct trial_plan *plan, struct err *e);
/* The client could not prepare.  A server that cannot take it tells it first, and a moment later us why. */
int ends_client_failed(struct target *t, const struct trial_plan *plan, struct err *e);
/* Judges a trial whose ends have told their records: outcome, reason, rate_missed, steadiness. */
void outcome_judge(const struct trial_plan *plan, struct trial_record *record);
