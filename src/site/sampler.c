/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * How it works.  A sample is a handful of counters: the time the hypervisor took and the time in interrupts
 * on the CPUs that the endpoints may use, their run-queue wait and involuntary switches, their cgroups'
 * throttled time.  Samples lie in one array in order of time, at most SAMPLES_MAX; when it is full every
 * second one goes and the period doubles, so a trial of a day takes no more memory than one of a minute.
 *
 * Limits.  Steal and interrupt time have the 10 ms grain of /proc/stat; run-queue wait is exact to the
 * nanosecond (/proc/PID/task/TID/schedstat), and counted when it is over.
 */
#include "sampler.h"

#include <ctype.h>
#include <sched.h>
#include <stdio.h>

#define SAMPLES_MAX 4096
#define SWITCHES    "\nnonvoluntary_ctxt_switches:"
#define TICK_NS     10000000ull /* USER_HZ is 100 on x86-64 */

struct sampler {
	int root;
	struct subject subject;
	struct cgroups cgroups;
	cpus involved;
	bool fifo; /* every endpoint thread that measures is SCHED_FIFO */
	int64_t rt_runtime_us;
	/* What each thread and cgroup showed last: one that has ended keeps its figures. */
	uint64_t waited_ns[SUBJECT_THREADS_MAX], involuntary[SUBJECT_THREADS_MAX];
	uint64_t waited_at_ns[SUBJECT_THREADS_MAX]; /* when its wait was last seen to grow */
	uint64_t throttled_ns[SUBJECT_CGROUPS_MAX];
	uint64_t read_ns,
		wait_ns;         /* when threads were read last; what they have waited since the first time */
	size_t n, skip, skipped; /* samples; one of `skip` calls makes one */
	struct sample samples[SAMPLES_MAX];
};

/* --- reading ----------------------------------------------------------------------------------- */

static void read_stat(struct sampler *sampler, struct sample *s)
{
	AUTO_FREE char *text = NULL;
	unsigned long long user, nice, system, idle, iowait, irq, softirq, steal;
	unsigned cpu;

	if (root_read_all(sampler->root, "/proc/stat", &text, NULL, ERR_IGNORED) < 0)
		return;
	for (char *line = text; line && *line; line = strchr(line, '\n'), line += line != NULL) {
		/* "cpu  …" is the sum of all, and to %u its first figure would be a CPU. */
		if (str_starts(line, "cpu") && isdigit((unsigned char)line[3]) &&
			sscanf(line, "cpu%u %llu %llu %llu %llu %llu %llu %llu %llu", &cpu, &user, &nice,
				&system, &idle, &iowait, &irq, &softirq, &steal) == 9) {
			if (cpu >= CPU_SETSIZE || !CPU_ISSET(cpu, &sampler->involved))
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

/*
 * How long the ends have waited for a CPU.  Threads of one end wait side by side, and those of both ends may;
 * a transaction goes through one thread after another.  So of each step from sample to sample counts, for
 * each role, the thread that waited longest, and together they have waited no longer than the step took.
 *
 * The kernel counts a wait when it is over.  One that lasted for several steps comes in one piece, which may
 * be longer than the step in which it ended, though not longer than since the thread's wait last grew.
 */
static void add_waits(struct sampler *sampler, const uint64_t *longest, size_t roles, uint64_t now_ns)
{
	uint64_t step = 0, most = sampler->read_ns ? now_ns - sampler->read_ns : 0;

	for (size_t i = 0; i < roles; i++) {
		step += longest[i];
		most = MAX(most, longest[i]);
	}
	sampler->wait_ns += MIN(step, most);
	sampler->read_ns = now_ns;
}

/* What a thread has waited since it was read last. */
static uint64_t waited_more(struct sampler *sampler, size_t i, uint64_t waited_ns, uint64_t now_ns)
{
	uint64_t before = sampler->waited_ns[i], since = sampler->waited_at_ns[i];

	if (waited_ns != before || !since)
		sampler->waited_at_ns[i] = now_ns;
	sampler->waited_ns[i] = waited_ns;
	return since && waited_ns > before ? MIN(waited_ns - before, now_ns - since) : 0;
}

static void read_threads(struct sampler *sampler, struct sample *s)
{
	uint64_t longest[ROLES_N] = {0};

	for (size_t i = 0; i < sampler->subject.threads_n; i++) {
		const struct subject_thread *t = &sampler->subject.threads[i];
		char path[80], text[4096];
		unsigned long long ran, waited;

		snprintf(path, sizeof(path), "/proc/%d/task/%d/schedstat", t->pid, t->tid);
		if (root_read(sampler->root, path, text, sizeof(text), ERR_IGNORED) > 0 &&
			sscanf(text, "%llu %llu", &ran, &waited) == 2) {
			uint64_t more = waited_more(sampler, i, waited, s->at_ns);
			longest[t->role] = MAX(longest[t->role], more);
		}
		snprintf(path, sizeof(path), "/proc/%d/task/%d/status", t->pid, t->tid);
		const char *line = root_read(sampler->root, path, text, sizeof(text), ERR_IGNORED) < 0
					   ? NULL
					   : strstr(text, SWITCHES);
		if (line)
			sampler->involuntary[i] = strtoull(line + strlen(SWITCHES), NULL, 10);
		s->involuntary_switches += sampler->involuntary[i];
	}
	add_waits(sampler, longest, ARRAY_LEN(longest), s->at_ns);
	s->run_queue_wait_ns = sampler->wait_ns;
}

/* v1 says throttled_time in ns, v2 throttled_usec. */
static void read_cgroups(struct sampler *sampler, struct sample *s)
{
	for (size_t i = 0; sampler->cgroups.cpu[0] && i < sampler->subject.cgroups_n; i++) {
		AUTO_FREE char *path =
			str_format("%s%s/cpu.stat", sampler->cgroups.cpu, sampler->subject.cgroups[i]);
		char text[2048];
		const char *line;

		if (root_read(sampler->root, path, text, sizeof(text), ERR_IGNORED) < 0)
			text[0] = 0;
		if ((line = strstr(text, "throttled_time ")))
			sampler->throttled_ns[i] = strtoull(line + strlen("throttled_time "), NULL, 10);
		else if ((line = strstr(text, "throttled_usec ")))
			sampler->throttled_ns[i] =
				strtoull(line + strlen("throttled_usec "), NULL, 10) * NS_PER_US;
		s->throttled_ns += sampler->throttled_ns[i];
	}
}

static void thin_out(struct sampler *sampler)
{
	for (size_t i = 0; i < SAMPLES_MAX / 2; i++)
		sampler->samples[i] = sampler->samples[2 * i];
	sampler->n = SAMPLES_MAX / 2;
	sampler->skip *= 2;
}

/* --- sampling ---------------------------------------------------------------------------------- */

void sampler_sample(struct sampler *sampler)
{
	struct sample s = {0};

	if (++sampler->skipped < sampler->skip)
		return;
	sampler->skipped = 0;
	if (sampler->n == SAMPLES_MAX)
		thin_out(sampler);
	s.at_ns = time_now_ns();
	read_stat(sampler, &s);
	read_threads(sampler, &s);
	read_cgroups(sampler, &s);
	sampler->samples[sampler->n++] = s;
}

int sampler_start(struct sampler **out, int root, const struct subject *subject,
	const struct cgroups *cgroups, struct err *e)
{
	struct sampler *sampler = mem_alloc(sizeof(*sampler));
	char text[32];

	*sampler = (struct sampler){
		.root = root, .subject = *subject, .cgroups = *cgroups, .skip = 1, .fifo = true};
	CPU_ZERO(&sampler->involved);
	for (size_t i = 0; i < subject->threads_n; i++) {
		struct task task;
		const struct subject_thread *t = &subject->threads[i];
		int rc = task_read(root, t->pid, t->tid, &task, e);

		if (rc < 0) {
			free(sampler);
			return err_wrap(e, "%s endpoint", role_name(t->role));
		}
		CPU_OR(&sampler->involved, &sampler->involved, &task.affinity);
		sampler->fifo = sampler->fifo && task.policy == SCHED_FIFO;
	}
	sampler->rt_runtime_us = -1;
	if (root_read(root, "/proc/sys/kernel/sched_rt_runtime_us", text, sizeof(text), ERR_IGNORED) > 0)
		sampler->rt_runtime_us = strtoll(text, NULL, 10);
	sampler->skipped = sampler->skip;
	sampler_sample(sampler);
	*out = sampler;
	return 0;
}

struct samples sampler_samples(const struct sampler *sampler)
{
	return (struct samples){.at = sampler->samples,
		.n = sampler->n,
		.fifo = sampler->fifo,
		.rt_runtime_us = sampler->rt_runtime_us};
}

void sampler_free(struct sampler *sampler)
{
	free(sampler);
}
