/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * On which machines a trial was made: kernels, accelerators and boot times as the machines told them, not as
 * somebody asked for.  Records from before there were such facts have none; then the kernel of a local trial
 * is the one that the run's environment names.
 *
 * The clock outside counts a boot from the start of QEMU; it has no place beside the exact clock, whose
 * figures must be the same whatever else this machine does.  The booted machine's own clock does.
 */
#include "model.h"

#include <math.h>
#include <stdio.h>

static const char *const boot_steps[REPORT_BOOT_STEPS] = {
	[REPORT_BOOT_EXEC_TO_READY] = "exec_to_ready",
	[REPORT_BOOT_EXEC_TO_FIRST] = "exec_to_first",
	[REPORT_BOOT_KERNEL_TO_INIT] = "kernel_to_init",
	[REPORT_BOOT_INIT_TO_READY] = "init_to_ready",
};

static double known(uint64_t ns)
{
	return ns ? (double)ns : NAN;
}

static void fill_boot(double *boot_ns, const struct trial_record *r)
{
	const struct kernel_facts *k = target_of(&r->settings)->machine ? &r->guest : &r->host;
	bool outside = !settings_exact(&r->settings);

	boot_ns[REPORT_BOOT_EXEC_TO_READY] = outside ? known(k->boot_ns) : NAN;
	boot_ns[REPORT_BOOT_EXEC_TO_FIRST] = outside ? known(k->first_ns) : NAN;
	boot_ns[REPORT_BOOT_KERNEL_TO_INIT] = known(k->init_ns);
	boot_ns[REPORT_BOOT_INIT_TO_READY] =
		k->init_ns && k->ready_ns >= k->init_ns ? (double)(k->ready_ns - k->init_ns) : NAN;
}

void report_facts_fill(struct report_trial *t, const struct trial_record *r)
{
	const struct kernel_facts *runs = target_of(&r->settings)->machine ? &r->guest : &r->host;

	str_copy(t->facts.host_kernel, sizeof(t->facts.host_kernel), r->host.kernel);
	str_copy(t->facts.host_accel, sizeof(t->facts.host_accel), r->host.accel);
	if (target_of(&r->settings)->machine)
		str_copy(t->facts.guest_kernel, sizeof(t->facts.guest_kernel), r->guest.kernel);
	t->host_cpus = r->host.cpus;
	t->guest_cpus = target_of(&r->settings)->machine ? r->guest.cpus : 0;
	str_copy(t->facts.accel, sizeof(t->facts.accel), runs->accel);
	t->emulated = !strcmp(runs->accel, "tcg") || !strcmp(r->host.accel, "tcg");
	fill_boot(t->boot_ns, r);
	report_limits_fill(t, r);
}

/* Does a usable trial of the arm before the n-th say the same? */
static bool said_before(const struct report_arm *arm, size_t n, const struct report_key *key)
{
	const char *text = report_fact(key, &arm->trials[n].facts);

	for (size_t i = 0; i < n; i++)
		if (arm->trials[i].usable && !strcmp(report_fact(key, &arm->trials[i].facts), text))
			return true;
	return false;
}

/* Adds what the n-th trial says, and nobody has said yet, to what the arm says. */
static void merge(struct report_arm *arm, size_t n)
{
	for (size_t i = 0; i < report_keys_n; i++) {
		const struct report_key *key = &report_keys[i];
		const char *text = key->setting ? "" : report_fact(key, &arm->trials[n].facts);
		char *all = (char *)&arm->facts + key->fact;

		if (!*text || said_before(arm, n, key))
			continue;
		size_t used = strlen(all);
		snprintf(all + used, REPORT_FACT_MAX - used, "%s%s", used ? ", " : "", text);
		arm->mixed |= used > 0;
	}
}

void report_facts_close(struct report_arm *arm, const json_t *environment)
{
	const char *kernel = json_string_value(json_object_get(environment, "kernel"));
	struct report_facts local = {0};
	bool outside = host_of(&arm->settings)->emulated;

	if (kernel && !outside)
		snprintf(local.host_kernel, sizeof(local.host_kernel), "%s", kernel);
	for (size_t i = 0; i < arm->trials_n; i++) {
		struct report_trial *t = &arm->trials[i];

		if (!t->facts.host_kernel[0])
			memcpy(t->facts.host_kernel, local.host_kernel, sizeof(local.host_kernel));
		if (!t->usable)
			continue;
		merge(arm, i);
		arm->host_cpus = t->host_cpus;
		arm->guest_cpus = t->guest_cpus;
		arm->emulated |= t->emulated;
	}
	if (!arm->facts.host_kernel[0])
		memcpy(arm->facts.host_kernel, local.host_kernel, sizeof(local.host_kernel));

	AUTO_FREE double *values = mem_array(arm->trials_n, sizeof(*values));
	for (int step = 0; step < REPORT_BOOT_STEPS; step++) {
		size_t n = 0;

		for (size_t i = 0; i < arm->trials_n; i++)
			if (arm->trials[i].usable && isfinite(arm->trials[i].boot_ns[step]))
				values[n++] = arm->trials[i].boot_ns[step];
		arm->boot_ns[step] = n ? stat_median(values, n) : NAN;
	}
}

json_t *report_boot_json(const double boot_ns[REPORT_BOOT_STEPS])
{
	json_t *o = json_object();
	bool any = false;

	for (int i = 0; i < REPORT_BOOT_STEPS; i++) {
		any |= isfinite(boot_ns[i]);
		json_object_set_new(o, boot_steps[i], report_number(boot_ns[i]));
	}
	if (any)
		return o;
	json_decref(o);
	return json_null();
}
