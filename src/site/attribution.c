/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * How it works.  A transaction that was due at t and took r is held against the difference of the last sample
 * before t and the first one after t + r.
 *
 * Limits.  A difference covers at least one period of the sampler, so what is blamed happened around the
 * transaction, not provably inside it.  So nothing is said of a transaction that is short beside the samples
 * around it (WINDOW_MOST): others that were as slow may have been what the counters show.  Otherwise an owner
 * is named when its time, beyond what is usual in this trial, is at least half of the response time.  What no
 * counter shows, such as an end that was stopped by a signal, is unknown.
 */
#include "attribution.h"

#include "stat/stat.h"

#include <stdio.h>

enum { CAUSE_QUOTA, CAUSE_WAIT, CAUSE_STEAL, CAUSE_INTERRUPTS, CAUSES };

#define TICK_NS     10000000ull /* the grain of /proc/stat: USER_HZ is 100 on x86-64 */
#define WINDOW_MOST 4           /* of the time between the samples, in response times */

static const struct sample *last_before(const struct samples *samples, uint64_t at_ns)
{
	size_t i = 0;

	while (i + 1 < samples->n && samples->at[i + 1].at_ns <= at_ns)
		i++;
	return &samples->at[i];
}

static const struct sample *first_after(const struct samples *samples, uint64_t at_ns)
{
	size_t i = 0;

	while (i + 1 < samples->n && samples->at[i].at_ns < at_ns)
		i++;
	return &samples->at[i];
}

/* A counter can go backwards: a file could not be read once, a CPU went away and came back. */
static uint64_t grown(uint64_t from, uint64_t to)
{
	return to > from ? to - from : 0;
}

/*
 * What is usual on this trial: the median over its samples of a counter's rate, ns per ns.  Two endpoints
 * that share a CPU wait for one another all the time, and their packets are softirq time; only what goes
 * beyond the usual can own an extreme.
 */
static double usual_rate(const struct samples *samples, size_t counter)
{
	AUTO_FREE double *rates = mem_array(samples->n, sizeof(*rates));
	size_t n = 0;

	for (size_t i = 1; i < samples->n; i++) {
		uint64_t stretch = samples->at[i].at_ns - samples->at[i - 1].at_ns, a, b;
		memcpy(&a, (const char *)&samples->at[i - 1] + counter, sizeof(a));
		memcpy(&b, (const char *)&samples->at[i] + counter, sizeof(b));
		if (stretch >= SAMPLER_PERIOD_NS / 2)
			rates[n++] = (double)grown(a, b) / (double)stretch;
	}
	return n ? stat_median(rates, n) : 0;
}

struct cause {
	const char *owner;
	size_t counter; /* offset in struct sample */
	double usual;
};

static void unknown(struct during *d, const char *why)
{
	str_copy(d->owner, sizeof(d->owner), "unknown");
	snprintf(d->evidence, sizeof(d->evidence), "%s", why);
}

/*
 * Who owned this transaction: the cause with the most time beyond the usual, if that is at least half of the
 * response time.  SCHED_FIFO endpoints that wait while there is a realtime budget have been throttled by it.
 */
static void name_owner(const struct samples *samples, const struct cause *causes, const double *ns,
	uint64_t response_ns, struct during *d)
{
	char time[32], window[32];
	/* Of the window; none where it does not cover the transaction, at the edges of the samples. */
	double around_ns = MAX((double)d->window_ns - (double)response_ns, 0.0), most = 0;
	size_t best = 0;

	if (d->window_ns > WINDOW_MOST * response_ns) {
		unknown(d, "too short to tell");
		return;
	}
	for (size_t i = 0; i < CAUSES; i++) {
		double beyond = ns[i] - causes[i].usual * around_ns;
		if (beyond > most && beyond >= (double)response_ns / 2 &&
			beyond >= causes[i].usual * (double)d->window_ns / 4) {
			most = beyond;
			best = i;
		}
	}
	if (most <= 0) {
		unknown(d, "no counter explains half of it");
		return;
	}
	time_format_ns(MIN(ns[best], (double)d->window_ns), time, sizeof(time));
	time_format_ns((double)d->window_ns, window, sizeof(window));
	if (best == CAUSE_WAIT && samples->fifo && samples->rt_runtime_us >= 0) {
		str_copy(d->owner, sizeof(d->owner), "realtime throttle");
		snprintf(d->evidence, sizeof(d->evidence),
			"SCHED_FIFO waited %s in %s, sched_rt_runtime_us %lld", time, window,
			(long long)samples->rt_runtime_us);
		return;
	}
	str_copy(d->owner, sizeof(d->owner), causes[best].owner);
	snprintf(d->evidence, sizeof(d->evidence), "%s in %s", time, window);
}

static void attribute_one(const struct samples *samples, const struct cause *causes, uint64_t due_ns,
	uint64_t response_ns, struct during *d)
{
	const struct sample *a = last_before(samples, due_ns),
			    *b = first_after(samples, due_ns + response_ns);
	/* In the order of the causes.  The 10 ms grain of steal and interrupt time says nothing of a shorter
	 * transaction. */
	bool ticks = response_ns >= 2 * TICK_NS;
	d->window_ns = b->at_ns - a->at_ns;
	d->throttled_ns = grown(a->throttled_ns, b->throttled_ns);
	/* One that began before the window is counted in it when it ended there. */
	d->run_queue_wait_ns = MIN(grown(a->run_queue_wait_ns, b->run_queue_wait_ns), d->window_ns);
	/* Of a thread that is throttled the kernel says that it waits; that is the quota's time. */
	const double ns[CAUSES] = {(double)d->throttled_ns,
		(double)grown(d->throttled_ns, d->run_queue_wait_ns),
		ticks ? (double)grown(a->steal_ns, b->steal_ns) : 0,
		ticks ? (double)grown(a->irq_ns, b->irq_ns) : 0};

	d->steal_ns = grown(a->steal_ns, b->steal_ns);
	d->interrupts = grown(a->interrupts, b->interrupts);
	d->softirqs = grown(a->softirqs, b->softirqs);
	d->involuntary_switches = grown(a->involuntary_switches, b->involuntary_switches);
	name_owner(samples, causes, ns, response_ns, d);
}

void attribute_worst(const struct samples *samples, uint64_t started_ns, const struct worst *worst, size_t n,
	struct during *out)
{
	struct cause causes[CAUSES] = {
		[CAUSE_QUOTA] = {"cpu quota", offsetof(struct sample, throttled_ns), 0},
		[CAUSE_WAIT] = {"run-queue wait", offsetof(struct sample, run_queue_wait_ns), 0},
		[CAUSE_STEAL] = {"steal", offsetof(struct sample, steal_ns), 0},
		[CAUSE_INTERRUPTS] = {"interrupts", offsetof(struct sample, irq_ns), 0},
	};

	for (size_t i = 0; i < CAUSES; i++)
		causes[i].usual = usual_rate(samples, causes[i].counter);
	for (size_t i = 0; i < n; i++)
		attribute_one(samples, causes, started_ns + worst[i].at_ns, worst[i].response_ns, &out[i]);
}

void attribute_trial(const struct samples *samples, struct trial_record *record)
{
	const struct endpoint_record *client = &record->ends[END_CLIENT].record, *m = trial_measured(record);

	if (target_of(&record->settings)->machine)
		m = client; /* a guest's clock is its own; the client's is that of the samples */
	const struct sample *a = last_before(samples, m->started_ns), *b = first_after(samples, m->ended_ns);

	record->system_cpu_ns = grown(a->busy_ns, b->busy_ns);
	record->steal_ns = grown(a->steal_ns, b->steal_ns);
	record->context_switches = grown(a->context_switches, b->context_switches);
	record->interrupts = grown(a->interrupts, b->interrupts);
	record->softirqs = grown(a->softirqs, b->softirqs);
	record->attribution = ATTRIBUTION_RULE;
	attribute_worst(samples, client->started_ns, client->worst, client->worst_n, record->during);
}
