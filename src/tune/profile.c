/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Profiles, and the order of the knob tables. */
#include "private.h"

static const struct {
	const char *name, *help;
} profiles[PROFILES] = {
	[PROFILE_STOCK] = {"stock",
		"the machine as found: nothing is written, but where you place an end yourself"},
	[PROFILE_LOW_LATENCY] = {"low-latency",
		"short and even latency: "
		"CPUs of its own for the measured work, interrupts and kernel work elsewhere, realtime scheduling, no sleep states"},
	[PROFILE_COMMAND] = {"command", "your own tuning: the shell commands of apply and revert"},
};

/* Applied from the first to the last, undone backwards. */
static const struct knob_table *const tables[] = {&tune_knobs_command, &tune_knobs_partition, &tune_knobs_irq,
	&tune_knobs_cpu, &tune_knobs_net, &tune_knobs_sched, &tune_knobs_vm};

int tune_profile_find(const char *name)
{
	for (int i = 0; i < PROFILES; i++)
		if (!strcmp(profiles[i].name, name))
			return i;
	return -EINVAL;
}

bool tune_profile_known(const char *name)
{
	return tune_profile_find(name) >= 0;
}

void tune_profiles_each(void (*fn)(const char *name, const char *help, void *arg), void *arg)
{
	for (size_t i = 0; i < ARRAY_LEN(profiles); i++)
		fn(profiles[i].name, profiles[i].help, arg);
}

int tune_rows_each(int (*fn)(const struct knob *knob, void *arg), void *arg)
{
	for (size_t i = 0; i < ARRAY_LEN(tables); i++)
		for (size_t j = 0; j < tables[i]->n; j++) {
			int rc = fn(&tables[i]->rows[j], arg);
			if (rc)
				return rc;
		}
	return 0;
}

struct telling {
	void (*fn)(const char *id, const char *help, void *arg);
	void *arg;
};

static int tell(const struct knob *knob, void *arg)
{
	const struct telling *telling = arg;
	AUTO_FREE char *help =
		knob->risk ? str_format("%s (risk: %s)", knob->help, knob->risk) : str_dup(knob->help);

	telling->fn(knob->id, help, telling->arg);
	return 0;
}

void tune_knobs_each(void (*fn)(const char *id, const char *help, void *arg), void *arg)
{
	struct telling telling = {fn, arg};

	tune_rows_each(tell, &telling);
}

bool tune_wants_memory_lock(const struct settings *settings)
{
	return !strcmp(settings->profile, profiles[PROFILE_LOW_LATENCY].name);
}
