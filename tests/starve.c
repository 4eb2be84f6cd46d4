/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * How long a realtime task loses its CPU to a normal one: taut-starve [SECONDS [CPU [lift]]].
 *
 * On one CPU a SCHED_FIFO task reads the clock without end beside a normal task that computes without end.
 * The time between two reads is what a read costs, an interrupt, or the time that the kernel gave to the
 * other one; the longest is the realtime throttle or the fair deadline server.  With "lift" both are lifted
 * first, as the knobs sched-rt-runtime and sched-fair-server do.  Prints one line of JSON, in ns.
 *
 * As the first process of a guest (an initramfs with nothing else in it; the kernel passes what stands behind
 * "--" in its arguments) it mounts what it needs and powers off at the end.
 */
#include "base/base.h"
#include "stat/hist.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>

#define PRIORITY    50
#define LONG_NS     NS_PER_MS /* longer than any interrupt */
#define SECONDS     3
#define FAIR_SERVER "/sys/kernel/debug/sched/fair_server/cpu%d/runtime"
#define RT_RUNTIME  "/proc/sys/kernel/sched_rt_runtime_us"

static void write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		fprintf(stderr, "cannot write %s to %s: %s\n", text, path, strerror(errno));
	if (fd >= 0)
		close(fd);
}

static void mount_all(void)
{
	static const char *const mounts[][2] = {
		{"proc", "/proc"}, {"sysfs", "/sys"}, {"debugfs", "/sys/kernel/debug"}};

	for (size_t i = 0; i < ARRAY_LEN(mounts); i++) {
		mkdir(mounts[i][1], 0755);
		if (mount(mounts[i][0], mounts[i][1], mounts[i][0], 0, NULL) < 0)
			fprintf(stderr, "cannot mount %s: %s\n", mounts[i][1], strerror(errno));
	}
}

static volatile bool ended;

static void *compute(void *arg)
{
	volatile uint64_t *count = arg;

	while (!ended)
		++*count;
	return NULL;
}

static void measure(uint64_t length_ns, struct hist *gaps, uint64_t *long_n)
{
	uint64_t begin = time_now_ns(), last = begin;

	while (last - begin < length_ns) {
		uint64_t now = time_now_ns();
		hist_add(gaps, now - last);
		*long_n += now - last >= LONG_NS;
		last = now;
	}
}

int main(int argc, char **argv)
{
	static struct hist gaps;
	static volatile uint64_t count;
	const struct sched_param realtime = {.sched_priority = PRIORITY};
	bool first = getpid() == 1, lift;
	uint64_t seconds = SECONDS, cpu = 0, long_n = 0;
	char path[96];
	pthread_t other;
	cpu_set_t set;

	for (; first && argc > 1 && !strchr("0123456789", *argv[1]); argc--)
		argv++; /* words that the kernel did not know are passed as well */
	if ((argc > 1 && str_u64(argv[1], &seconds)) || (argc > 2 && str_u64(argv[2], &cpu)) ||
		cpu >= CPU_SETSIZE) {
		fprintf(stderr, "Usage: taut-starve [SECONDS [CPU [lift]]]\n");
		return EXIT_USAGE;
	}
	lift = argc > 3 && !strcmp(argv[3], "lift");
	if (first)
		mount_all();
	if (lift) {
		snprintf(path, sizeof(path), FAIR_SERVER, (int)cpu);
		write_text(path, "0");
		write_text(RT_RUNTIME, "-1");
	}
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	/* The other thread is made before, so that it stays a normal one. */
	if (sched_setaffinity(0, sizeof(set), &set) < 0 ||
		pthread_create(&other, NULL, compute, (void *)&count) ||
		sched_setscheduler(0, SCHED_FIFO, &realtime) < 0) {
		perror("taut-starve");
		return EXIT_FAILED;
	}
	hist_clear(&gaps);
	measure(seconds * NS_PER_S, &gaps, &long_n);
	ended = true;
	printf("{\"longest_ns\": %llu, \"median_ns\": %.0f, \"p99_ns\": %.0f, \"p99.99_ns\": %.0f, \"long\": "
	       "%llu, \"reads\": %llu, \"computed\": %llu}\n",
		(unsigned long long)gaps.max, hist_quantile(&gaps, 0.5), hist_quantile(&gaps, 0.99),
		hist_quantile(&gaps, 0.9999), (unsigned long long)long_n, (unsigned long long)gaps.count,
		(unsigned long long)count);
	fflush(stdout);
	if (first)
		reboot(RB_POWER_OFF);
	return EXIT_DONE;
}
