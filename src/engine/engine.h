/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * engine: the two ends of a workload, and the recorder.
 *
 * An engine is one endpoint of one trial.  prepare opens the data sockets (the server binds, the client
 * connects and shows the token) and parks one thread a flow (two in an open loop: a sender and a receiver),
 * so that their placement and scheduling can be set from outside; go lets them run; they finish by themselves
 * at their count or time, the server when the client goes or stop is called; collect merges what the flows
 * recorded.
 */
#pragma once

#include "wire/record.h"

struct engine;

/* Fails with -EADDRINUSE, -ECONNREFUSED, … and a message; nothing is left open then. */
int engine_prepare(struct engine **out, const struct endpoint_job *job, uint64_t deadline_ns, struct err *e);
/* Server: the bound port of every flow (settings.flows of them). */
const uint16_t *engine_ports(const struct engine *engine);
void engine_go(struct engine *engine);
/* An eventfd that is readable once every flow has finished (for good or bad). */
int engine_done_fd(const struct engine *engine);
/* Asks every flow to finish now; returns when they have (they are kicked out of blocking calls). */
void engine_stop(struct engine *engine);
/* After done: fills *record (merged over flows).  A mistake of a flow is in record->mistake, not an error. */
void engine_collect(struct engine *engine, struct endpoint_record *record);
void engine_free(struct engine *engine); /* stops first; takes NULL */
