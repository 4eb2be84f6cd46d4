/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The guest's half of tuning, as the site asks for it; see src/agent/guest_tune.c. */
#pragma once

#include "tune/tune.h"
#include "wire/job.h"

/* As frame_expect(), but until the frame begins the user can stop it: -EINTR. */
int control_expect(int fd, enum frame_type type, json_t **body, uint64_t deadline_ns, struct err *e);

/*
 * Has the agent in a guest plan and apply one stage; what of the tuning concerns the host is left out.
 * *knobs, NULL or from before, is replaced by all that is in force in the guest by now, each entry marked
 * "where": "guest"; on failure it stays.
 */
int guest_tune(int control_fd, const struct tuning *tuning, enum tune_stage stage, uint64_t deadline_ns,
	json_t **knobs, struct err *e);
/* Does everything in the guest still hold?  *knobs as above. */
int guest_verify(int control_fd, uint64_t deadline_ns, bool *all, json_t **knobs, struct err *e);
/* Puts everything in the guest back, and hears that it worked. */
int guest_untune(int control_fd, uint64_t deadline_ns, struct err *e);
/* The body of TUNED or VERIFIED, as a guest sent it, replaces *knobs; -EPROTO when it is not as it must be.
 */
int guest_knobs_read(const json_t *body, json_t **knobs, struct err *e);
/* The same for those of a record that an emulated host has sent: both halves, which say where they are. */
int host_knobs_read(json_t **knobs, struct err *e);

/* Sets "where" in every entry. */
void knobs_mark(json_t *knobs, const char *where);
