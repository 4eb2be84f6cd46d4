/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * engine: the two ends of a workload, and the recorder.
 *
 * An engine is one endpoint of one trial.  A flow is one connection of it.  engine_prepare() opens the data
 * sockets (the server binds, the client connects and shows the trial's token) and parks one thread for each
 * flow (two in an open loop: a sender and a receiver), so that their placement and scheduling can be set from
 * outside.  engine_go() lets the threads run.  A client's threads finish at their count or time, a server's
 * when the client ends or engine_stop() is called.  engine_collect() merges what the flows recorded.
 */
#pragma once

#include "wire/record.h"

struct engine;

/*
 * Takes the one device through which this process moves packets past the kernel: before its trial, from the
 * main thread, once.  `device` is the driver's own way to name it.  EXIT_USAGE in a program that has no such
 * driver.
 */
int engine_device_open(const char *device, struct err *e);
/* Fails with -EADDRINUSE, -ECONNREFUSED and the like, and a message; then nothing is left open. */
int engine_prepare(struct engine **out, const struct endpoint_job *job, uint64_t deadline_ns, struct err *e);
/* Server: the bound port of every flow (settings.flows of them). */
const uint16_t *engine_ports(const struct engine *engine);
void engine_go(struct engine *engine);
/* An eventfd that is readable once every flow has finished, also when some have failed. */
int engine_done_fd(const struct engine *engine);
/* Makes every flow finish now, also out of a blocking call, and returns when all have finished. */
void engine_stop(struct engine *engine);
/* To be called when all flows have finished: fills *record, merged over flows.  When a flow has failed,
 * record->mistake says why; that is no error here. */
void engine_collect(struct engine *engine, struct endpoint_record *record);
void engine_free(struct engine *engine); /* stops first; takes NULL */
