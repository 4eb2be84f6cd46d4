/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Noise is: how late short sleeps end, how long a spinning loop stands still, which share of a CPU it gets,
 * and how much CPU time others than this process and its children used in between, so that a burst is seen as
 * well.
 */
#include "test_noise.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define SAMPLE_NS 100000000u
#define LATE_MS   5.0 /* a sleep or a loop that is later than this is noise */
#define SHARE     0.9
#define OTHERS    0.1 /* CPUs */

static uint64_t now_ns(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static double larger(double a, double b)
{
	return a > b ? a : b;
}

static void sample(struct noise *n)
{
	const struct timespec ms = {.tv_nsec = 1000000};
	uint64_t begin = now_ns(CLOCK_MONOTONIC), used = now_ns(CLOCK_PROCESS_CPUTIME_ID), last = begin;

	while (last - begin < SAMPLE_NS) {
		uint64_t now = now_ns(CLOCK_MONOTONIC);
		n->gap_ms = larger(n->gap_ms, (double)(now - last) / 1e6);
		last = now;
	}
	double share = (double)(now_ns(CLOCK_PROCESS_CPUTIME_ID) - used) / (double)(last - begin);
	if (share < n->share)
		n->share = share;
	while (last - begin < 2 * SAMPLE_NS) {
		nanosleep(&ms, NULL);
		uint64_t now = now_ns(CLOCK_MONOTONIC);
		n->late_ms = larger(n->late_ms, (double)(now - last) / 1e6 - 1);
		last = now;
	}
}

/* CPU time of all tasks and what a host took, less that of this process and the children that it waited for.
 */
static double others_s(void)
{
	unsigned long long user = 0, nice = 0, system = 0, steal = 0;
	double own = 0;
	FILE *f = fopen("/proc/stat", "re");

	if (f && fscanf(f, "cpu %llu %llu %llu %*u %*u %*u %*u %llu", &user, &nice, &system, &steal) != 4)
		steal = 0;
	if (f)
		fclose(f);
	for (int i = 0; i < 2; i++) {
		struct rusage u;
		getrusage(i ? RUSAGE_CHILDREN : RUSAGE_SELF, &u);
		own += (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
		       (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
	}
	return (double)(user + nice + system + steal) / (double)sysconf(_SC_CLK_TCK) - own;
}

struct noise noise_begin(void)
{
	struct noise n = {.share = 1};

	sample(&n);
	n.before_s = others_s();
	n.begin_ns = now_ns(CLOCK_MONOTONIC);
	return n;
}

void noise_judge(struct noise *n, bool kept, const char *format, ...)
{
	char missed[300];
	va_list args;

	if (kept)
		return;
	va_start(args, format);
	vsnprintf(missed, sizeof(missed), format, args);
	va_end(args);
	double others = (others_s() - n->before_s) / ((double)(now_ns(CLOCK_MONOTONIC) - n->begin_ns) / 1e9);
	sample(n);
	if (n->late_ms <= LATE_MS && n->gap_ms <= LATE_MS && n->share >= SHARE && others <= OTHERS)
		fail_msg("%s", missed);
	print_message(
		"# skipped: the machine is too busy to judge: a sleep of 1 ms ended up to %.1f ms late, a loop "
		"stood still for up to %.1f ms and got %.0f %% of a CPU, others used %.2f CPUs meanwhile; %s\n",
		n->late_ms, n->gap_ms, 100 * n->share, others, missed);
	skip();
}
