/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * How it works.  A sample is a handful of counters: the time the hypervisor took and the time in interrupts
 * on the CPUs that the endpoints may use, their run-queue wait and involuntary switches, their cgroups'
 * throttled time.  Samples lie in one array in order of time, at most SAMPLES_MAX; when it is full every
 * second one goes and the period doubles, so a trial of a day takes no more memory than one of a minute.  A
 * transaction that was due at t and took r is held against the difference of the last sample before t and the
 * first one after t + r.
 *
 * Limits.  Steal and interrupt time have the 10 ms grain of /proc/stat; run-queue wait is exact to the
 * nanosecond
 * (/proc/PID/task/TID/schedstat); a difference covers at least one period, so what is blamed happened around
 * the transaction, not provably inside it.  An owner is named only when its time is at least half of the
 * response time.
 */
#include "witness.h"

#include "stat/stat.h"

#include <sched.h>
#include <ctype.h>
#include <stdio.h>

enum { CAUSE_QUOTA, CAUSE_WAIT, CAUSE_STEAL, CAUSE_INTERRUPTS, CAUSES };

#define SAMPLES_MAX 4096
#define SWITCHES    "\nnonvoluntary_ctxt_switches:"
#define TICK_NS     10000000ull /* USER_HZ is 100 on x86-64 */

struct sample {
	uint64_t at_ns;
	uint64_t steal_ns, irq_ns, busy_ns;               /* of the CPUs involved */
	uint64_t interrupts, softirqs, context_switches;  /* of the whole machine */
	uint64_t run_queue_wait_ns, involuntary_switches; /* of the endpoints' threads */
	uint64_t throttled_ns;
};

struct witness {
	int root;
	struct subject subject;
	struct cgroups cgroups;
	cpus involved;
	bool fifo; /* every endpoint thread that measures is SCHED_FIFO */
	int64_t rt_runtime_us;
	/* What each thread showed last: a thread that has ended keeps its figures. */
	uint64_t waited_ns[SUBJECT_THREADS_MAX], involuntary[SUBJECT_THREADS_MAX];
	size_t n, skip, skipped; /* samples; one of `skip` calls makes one */
	struct sample samples[SAMPLES_MAX];
};

/* --- sampling ---------------------------------------------------------------------------------- */

static void read_stat(struct witness *w, struct sample *s)
{
	AUTO_FREE char *text = NULL;
	unsigned long long user, nice, system, idle, iowait, irq, softirq, steal;
	unsigned cpu;

	if (root_read_all(w->root, "/proc/stat", &text, NULL, ERR_IGNORED) < 0)
		return;
	for (char *line = text; line && *line; line = strchr(line, '\n'), line += line != NULL) {
		/* "cpu  …" is the sum of all, and to %u its first figure would be a CPU. */
		if (isdigit((unsigned char)line[3]) &&
			sscanf(line, "cpu%u %llu %llu %llu %llu %llu %llu %llu %llu", &cpu, &user, &nice,
				&system, &idle, &iowait, &irq, &softirq, &steal) == 9) {
			if (cpu >= CPU_SETSIZE || !CPU_ISSET(cpu, &w->involved))
				continue;
			s->steal_ns += steal * TICK_NS;
			s->irq_ns += (irq + softirq) * TICK_NS;
			s->busy_ns += (user + nice + system + irq + softirq) * TICK_NS;
		} else if (str_starts(line, "intr ")) {
			s->interrupts = strtoull(line + 5, NULL, 10);
		} else if (str_starts(line, "ctxt ")) {
			s->context_switches = strtoull(line + 5, NULL, 10);
		} else if (str_starts(line, "softirq ")) {
			s->softirqs = strtoull(line + 8, NULL, 10);
		}
	}
}

static void read_threads(struct witness *w, struct sample *s)
{
	for (size_t i = 0; i < w->subject.threads_n; i++) {
		const struct subject_thread *t = &w->subject.threads[i];
		char path[80], text[4096];
		unsigned long long ran, waited;

		snprintf(path, sizeof(path), "/proc/%d/task/%d/schedstat", t->pid, t->tid);
		if (root_read(w->root, path, text, sizeof(text), ERR_IGNORED) > 0 &&
			sscanf(text, "%llu %llu", &ran, &waited) == 2)
			w->waited_ns[i] = waited;
		snprintf(path, sizeof(path), "/proc/%d/task/%d/status", t->pid, t->tid);
		const char *line = root_read(w->root, path, text, sizeof(text), ERR_IGNORED) < 0
					   ? NULL
					   : strstr(text, SWITCHES);
		if (line)
			w->involuntary[i] = strtoull(line + strlen(SWITCHES), NULL, 10);
		s->run_queue_wait_ns += w->waited_ns[i];
		s->involuntary_switches += w->involuntary[i];
	}
}

/* v1 says throttled_time in ns, v2 throttled_usec. */
static void read_cgroups(struct witness *w, struct sample *s)
{
	for (size_t i = 0; w->cgroups.cpu[0] && i < w->subject.cgroups_n; i++) {
		AUTO_FREE char *path = str_format("%s%s/cpu.stat", w->cgroups.cpu, w->subject.cgroups[i]);
		char text[2048];
		const char *line;

		if (root_read(w->root, path, text, sizeof(text), ERR_IGNORED) < 0)
			continue;
		if ((line = strstr(text, "throttled_time ")))
			s->throttled_ns += strtoull(line + strlen("throttled_time "), NULL, 10);
		else if ((line = strstr(text, "throttled_usec ")))
			s->throttled_ns += strtoull(line + strlen("throttled_usec "), NULL, 10) * NS_PER_US;
	}
}

static void thin_out(struct witness *w)
{
	for (size_t i = 0; i < SAMPLES_MAX / 2; i++)
		w->samples[i] = w->samples[2 * i];
	w->n = SAMPLES_MAX / 2;
	w->skip *= 2;
}

void witness_sample(struct witness *w)
{
	struct sample s = {0};

	if (++w->skipped < w->skip)
		return;
	w->skipped = 0;
	if (w->n == SAMPLES_MAX)
		thin_out(w);
	s.at_ns = time_now_ns();
	read_stat(w, &s);
	read_threads(w, &s);
	read_cgroups(w, &s);
	w->samples[w->n++] = s;
}

int witness_start(struct witness **out, int root, const struct subject *subject,
	const struct cgroups *cgroups, struct err *e)
{
	struct witness *w = mem_alloc(sizeof(*w));
	char text[32];

	*w = (struct witness){
		.root = root, .subject = *subject, .cgroups = *cgroups, .skip = 1, .fifo = true};
	CPU_ZERO(&w->involved);
	for (size_t i = 0; i < subject->threads_n; i++) {
		struct task task;
		const struct subject_thread *t = &subject->threads[i];
		int rc = task_read(root, t->pid, t->tid, &task, e);

		if (rc < 0) {
			free(w);
			return err_wrap(e, "%s endpoint", role_name(t->role));
		}
		CPU_OR(&w->involved, &w->involved, &task.affinity);
		w->fifo = w->fifo && task.policy == SCHED_FIFO;
	}
	w->rt_runtime_us = -1;
	if (root_read(root, "/proc/sys/kernel/sched_rt_runtime_us", text, sizeof(text), ERR_IGNORED) > 0)
		w->rt_runtime_us = strtoll(text, NULL, 10);
	w->skipped = w->skip;
	witness_sample(w);
	*out = w;
	return 0;
}

void witness_free(struct witness *w)
{
	free(w);
}

/* --- testimony --------------------------------------------------------------------------------- */

static const struct sample *last_before(const struct witness *w, uint64_t at_ns)
{
	size_t i = 0;

	while (i + 1 < w->n && w->samples[i + 1].at_ns <= at_ns)
		i++;
	return &w->samples[i];
}

static const struct sample *first_after(const struct witness *w, uint64_t at_ns)
{
	size_t i = 0;

	while (i + 1 < w->n && w->samples[i].at_ns < at_ns)
		i++;
	return &w->samples[i];
}

/*
 * What is usual on this trial: the median over its samples of a counter's rate, ns per ns.  Two endpoints
 * that share a CPU wait for one another all the time, and their packets are softirq time; only what goes
 * beyond the usual can own an extreme.
 */
static double usual_rate(const struct witness *w, size_t counter)
{
	AUTO_FREE double *rates = mem_array(w->n, sizeof(*rates));
	size_t n = 0;

	for (size_t i = 1; i < w->n; i++) {
		uint64_t stretch = w->samples[i].at_ns - w->samples[i - 1].at_ns, a, b;
		memcpy(&a, (const char *)&w->samples[i - 1] + counter, sizeof(a));
		memcpy(&b, (const char *)&w->samples[i] + counter, sizeof(b));
		if (stretch >= WITNESS_PERIOD_NS / 2)
			rates[n++] = (double)(b - a) / (double)stretch;
	}
	return n ? stat_median(rates, n) : 0;
}

struct cause {
	const char *owner;
	size_t counter; /* offset in struct sample */
	double usual;
};

/*
 * Who owned this transaction: the cause with the most time beyond the usual, if that is at least half of the
 * response time.  Where an endpoint waits for a CPU more than half of all the time, that is the owner of
 * whatever is left.  A SCHED_FIFO endpoint that waits a millisecond longer than usual while there is a
 * realtime budget has been throttled by it.
 */
static void name_owner(const struct witness *w, const struct cause *causes, size_t causes_n, const double *ns,
	uint64_t response_ns, struct during *d)
{
	char time[32], window[32];
	double most = 0;
	size_t best = 0;

	for (size_t i = 0; i < causes_n; i++) {
		double beyond = ns[i] - causes[i].usual * ((double)d->window_ns - (double)response_ns);
		if (beyond > most && beyond >= (double)response_ns / 2 &&
			beyond >= causes[i].usual * (double)d->window_ns / 4) {
			most = beyond;
			best = i;
		}
	}
	time_format_ns(most > 0 ? ns[best] : 0, time, sizeof(time));
	time_format_ns((double)d->window_ns, window, sizeof(window));
	bool wait = causes[best].counter == offsetof(struct sample, run_queue_wait_ns);
	if (most > 0 && wait && w->fifo && most >= (double)NS_PER_MS && w->rt_runtime_us >= 0) {
		str_copy(d->owner, sizeof(d->owner), "realtime throttle");
		snprintf(d->evidence, sizeof(d->evidence),
			"SCHED_FIFO waited %s in %s, sched_rt_runtime_us %lld", time, window,
			(long long)w->rt_runtime_us);
	} else if (most > 0) {
		str_copy(d->owner, sizeof(d->owner), causes[best].owner);
		snprintf(d->evidence, sizeof(d->evidence), "%s in %s", time, window);
	} else if (causes[CAUSE_WAIT].usual >= 0.5) {
		str_copy(d->owner, sizeof(d->owner), causes[CAUSE_WAIT].owner);
		snprintf(d->evidence, sizeof(d->evidence), "endpoints wait for a CPU all the time");
	} else {
		str_copy(d->owner, sizeof(d->owner), "unknown");
		snprintf(d->evidence, sizeof(d->evidence), "no counter explains half of it");
	}
}

static void testify_one(const struct witness *w, const struct cause *causes, uint64_t due_ns,
	uint64_t response_ns, struct during *d)
{
	const struct sample *a = last_before(w, due_ns), *b = first_after(w, due_ns + response_ns);
	/* In the order of the causes.  The 10 ms grain of interrupt time says nothing of a shorter
	 * transaction. */
	const double ns[CAUSES] = {(double)(b->throttled_ns - a->throttled_ns),
		(double)(b->run_queue_wait_ns - a->run_queue_wait_ns), (double)(b->steal_ns - a->steal_ns),
		response_ns >= 2 * TICK_NS ? (double)(b->irq_ns - a->irq_ns) : 0};

	d->window_ns = b->at_ns - a->at_ns;
	d->steal_ns = b->steal_ns - a->steal_ns;
	d->run_queue_wait_ns = b->run_queue_wait_ns - a->run_queue_wait_ns;
	d->interrupts = b->interrupts - a->interrupts;
	d->softirqs = b->softirqs - a->softirqs;
	d->throttled_ns = b->throttled_ns - a->throttled_ns;
	d->involuntary_switches = b->involuntary_switches - a->involuntary_switches;
	name_owner(w, causes, CAUSES, ns, response_ns, d);
}

void witness_testify(const struct witness *w, struct trial_record *record)
{
	/* A guest's clock is its own; the client's is that of the samples. */
	const struct endpoint_record *m =
		target_of(&record->settings)->machine ? &record->client : trial_measured(record);
	const struct sample *a = last_before(w, m->started_ns), *b = first_after(w, m->ended_ns);
	struct cause causes[CAUSES] = {
		{"cpu quota", offsetof(struct sample, throttled_ns), 0},
		[CAUSE_WAIT] = {"run-queue wait", offsetof(struct sample, run_queue_wait_ns), 0},
		{"steal", offsetof(struct sample, steal_ns), 0},
		{"interrupts", offsetof(struct sample, irq_ns), 0},
	};

	for (size_t i = 0; i < CAUSES; i++)
		causes[i].usual = usual_rate(w, causes[i].counter);
	record->system_cpu_ns = b->busy_ns - a->busy_ns;
	record->steal_ns = b->steal_ns - a->steal_ns;
	record->context_switches = b->context_switches - a->context_switches;
	record->interrupts = b->interrupts - a->interrupts;
	record->softirqs = b->softirqs - a->softirqs;
	for (size_t i = 0; i < record->client.worst_n; i++)
		testify_one(w, causes, record->client.started_ns + record->client.worst[i].at_ns,
			record->client.worst[i].response_ns, &record->during[i]);
}
