/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The job of an end as it crosses the control stream, and what a guest is told of tuning. */
#pragma once

#include "spec/plan.h"
#include "wire.h"

json_t *job_json(const struct endpoint_job *job);
/* Strict: every key, each value within the limits of the setting of its name; -EINVAL, -EPROTO. */
int job_from_json(struct endpoint_job *job, const json_t *object, struct err *e);

/*
 * The part of a tuning that means the same in a guest as outside: the profile, how the endpoint is scheduled,
 * and how long a trial can last.  Which CPUs an end is pinned to, what the machine is made of, and the user's
 * own commands are the host's business; in a guest they are as if nobody had asked for them.
 */
json_t *guest_tuning_json(const struct tuning *t);
int guest_tuning_from_json(struct tuning *t, const json_t *object, struct err *e);
