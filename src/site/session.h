/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What one trial on this host has made so far, and its steps that stand in files of their own. */
#pragma once

#include "ground.h"
#include "guest.h"
#include "watch.h"

#define HANDSHAKE_NS (10 * NS_PER_S)

struct session {
	struct site *site;
	const struct trial_plan *plan;
	struct trial_record *record;
	struct tune *tune; /* the live stage */
	struct sampler *sampler;
	struct watch *watch;
	uint64_t begun_ns;         /* the trial */
	uint64_t started_ns;       /* of the virtual machine, where there is one */
	uint64_t told_ns, went_ns; /* before the ends were told their jobs, and to measure */
	json_t *guest_knobs;       /* the half of the tuning that is in a guest; NULL: none */
	bool fresh;                /* the target was made for this trial */
	bool busy;                 /* the server measures, or something that it says has not been taken */
};

/* trial.c: the target that it stands on; as the functions of ends.c on it. */
struct target *session_target(const struct session *s);
int session_control(const struct session *s, size_t end);
/* An error on a control stream, or with a process that has gone, is worth more together with how it ended. */
int session_agent_failed(struct session *s, const char *who, struct err *e);
/* A step failed that concerns both ends: says which of them has gone, and how. */
int session_end_failed(struct session *s, struct err *e);

/* verify.c: the guest's half of tuning; does all that is in force still hold, on both sides? */
int session_tune_guest(struct session *s, struct err *e);
int session_verify(struct session *s, bool *all, struct err *e);
/* Conditions, before and after measuring.  An end that does not say how it was scheduled is not verified. */
int session_watch(struct session *s, struct err *e);
bool session_conditions_hold(struct session *s);
/* All that is in force becomes part of the record. */
void session_keep_knobs(struct session *s);
/* Puts the guest's half back where the guest goes on; false: it did not work.  `lasts`: for another trial. */
bool session_guest_put_back(const struct session *s, bool lasts);
