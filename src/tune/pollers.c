/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Ends that poll: they never sleep, so each of them gets a CPU of its own, in every profile, on which no
 * other end is.  Where the profile isolates CPUs, the pollers choose among those first, then the other ends;
 * who finds none left gets a CPU that keeps house.  Siblings of one core are avoided as long as there is
 * another.
 *
 * Where the pollers take every CPU there is nothing to isolate, and they stay in the normal class: under
 * SCHED_FIFO nothing else of the machine would run until they end, not even the kernel threads that bring
 * their packets.
 *
 * The server of a virtual machine polls on the machine's virtual CPUs.  They are placed as ever (place.c),
 * and the client keeps off their CPUs.
 */
#include "private.h"

static unsigned pollers(const struct tuning *t)
{
	return t->client_polls + t->server_polls;
}

/* Inside a machine there is one end, on a host there are two, whichever of them polls. */
int tune_pollers_check(const struct undo_host *host, const struct tuning *t, struct err *e)
{
	char list[256];
	cpus ours;

	undo_cpus(host, &ours);
	if (!pollers(t))
		return 0;
	if (CPU_COUNT(&ours) < 2) {
		err_usage(e,
			"cannot use driver %s for %s: it never sleeps and needs a CPU that no other end has, and %s (%s)",
			t->poller, pollers(t) > 1 ? "both ends" : "one end", tune_one_cpu(host),
			cpus_format_list(&ours, list, sizeof(list)));
		return err_try(e, "driver socket");
	}
	if (pollers(t) < (unsigned)CPU_COUNT(&ours))
		return 0;
	if (t->sched_wanted && t->policy == SCHED_FIFO) {
		err_usage(e,
			"cannot run ends under SCHED_FIFO that poll on every CPU (%s): nothing else would run",
			cpus_format_list(&ours, list, sizeof(list)));
		return err_try(e, "leave out sched");
	}
	if (t->noisy) {
		err_usage(e,
			"cannot make noise beside ends that poll on every CPU (%s): they would wait for it, not for packets",
			cpus_format_list(&ours, list, sizeof(list)));
		return err_try(e, "noise none");
	}
	return 0;
}

/* Takes a CPU out of `left` for an end: an isolated one, if there is, on a core that nobody else has, if
 * there is; −1 when none is left. */
static int64_t choose(const struct planning *p, cpus *left, const cpus *used)
{
	for (int pass = 0; pass < 4; pass++) {
		bool isolated = pass < 2 && CPU_COUNT(&p->isolated), apart = pass % 2 == 0;

		for (int cpu = CPU_SETSIZE - 1; cpu >= 0; cpu--) {
			cpus core;
			if (!CPU_ISSET((size_t)cpu, left) ||
				(isolated && !CPU_ISSET((size_t)cpu, &p->isolated)))
				continue;
			tune_siblings(p->host, cpu, &core);
			CPU_AND(&core, &core, used);
			if (apart && CPU_COUNT(&core))
				continue;
			CPU_CLR((size_t)cpu, left);
			return cpu;
		}
	}
	return -1;
}

/* The CPUs on which the virtual CPUs of a machine will be, as place.c puts them. */
static void vcpus_out(const struct planning *p, cpus *left, cpus *used)
{
	cpus set = p->isolated;

	for (uint64_t i = 0; i < MAX(p->tuning->vcpus, 1u) && CPU_COUNT(&set); i++) {
		int cpu = cpus_first(&set);
		CPU_CLR((size_t)cpu, &set);
		CPU_CLR((size_t)cpu, left);
		CPU_SET((size_t)cpu, used);
	}
}

void tune_pollers_place(struct planning *p)
{
	const struct tuning *t = p->tuning;
	struct {
		bool polls;
		int64_t *cpu;
	} ends[] = {{t->server_polls, &p->server_cpu}, {t->client_polls, &p->client_cpu}};
	cpus left, used;

	undo_cpus(p->host, &left);
	if (!pollers(t) || CPU_COUNT(&left) < 2)
		return;
	CPU_ZERO(&used);
	for (size_t i = 0; i < ARRAY_LEN(ends); i++)
		if (*ends[i].cpu >= 0) {
			CPU_CLR((size_t)*ends[i].cpu, &left);
			CPU_SET((size_t)*ends[i].cpu, &used);
		}
	bool machine = t->machine && p->server_cpu < 0;
	if (machine && CPU_COUNT(&p->isolated))
		vcpus_out(p, &left, &used);
	for (int polls = 1; polls >= 0; polls--)
		for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
			bool spread = machine && ends[i].cpu == &p->server_cpu &&
				      (CPU_COUNT(&p->isolated) || t->vcpus != 1 || !t->made);
			if (*ends[i].cpu >= 0 || ends[i].polls != polls || spread)
				continue;
			*ends[i].cpu = choose(p, &left, &used);
			if (*ends[i].cpu >= 0)
				CPU_SET((size_t)*ends[i].cpu, &used);
		}
}

bool tune_pollers_take_all(const struct planning *p)
{
	cpus ours;

	undo_cpus(p->host, &ours);
	return pollers(p->tuning) && pollers(p->tuning) >= (unsigned)CPU_COUNT(&ours);
}

const char *tune_none_isolated(const struct planning *p)
{
	return p->all_polled ? "the ends poll, and take every CPU" : tune_one_cpu(p->host);
}
