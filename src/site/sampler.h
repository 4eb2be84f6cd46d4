/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The sampler watches a trial from outside: every few milliseconds it notes what the CPUs of both endpoints
 * go through.  What it has noted is plain values, which attribution.h holds the worst transactions against.
 */
#pragma once

#include "spec/spec.h"
#include "sys/sys.h"

#define SAMPLER_PERIOD_NS (20 * NS_PER_MS)

/* Counters as they stood at one time; each begins anywhere and only its differences mean something. */
struct sample {
	uint64_t at_ns;                                  /* CLOCK_MONOTONIC */
	uint64_t steal_ns, irq_ns, busy_ns;              /* of the CPUs involved */
	uint64_t interrupts, softirqs, context_switches; /* of the whole machine */
	uint64_t run_queue_wait_ns;    /* of the endpoints: the thread of each role that waits longest */
	uint64_t involuntary_switches; /* of the endpoints' threads */
	uint64_t throttled_ns;         /* of their cgroups, by the CPU quota */
};

/* The samples of a trial in order of time, at least one, and what else was seen of its endpoints. */
struct samples {
	const struct sample *at;
	size_t n;
	bool fifo;             /* every endpoint thread that measures is SCHED_FIFO */
	int64_t rt_runtime_us; /* of the realtime budget; negative: there is none */
};

struct sampler;

/* Takes the first sample.  An error when a thread of the subject cannot be read. */
int sampler_start(struct sampler **out, int root, const struct subject *subject,
	const struct cgroups *cgroups, struct err *e);
void sampler_sample(struct sampler *sampler); /* call every SAMPLER_PERIOD_NS, and once after the end */
/* Borrowed from the sampler until its next sample. */
struct samples sampler_samples(const struct sampler *sampler);
void sampler_free(struct sampler *sampler); /* takes NULL */
