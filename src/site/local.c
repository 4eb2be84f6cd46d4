/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * This machine as a host of trials: what makes no sense or cannot be done on it, and what its tuning would
 * be.  How a trial goes is in trial.c.
 */
#include "ground.h"

#include "net/xdp.h"

static int check_cpu(const struct site *site, const char *what, int64_t cpu, struct err *e)
{
	cpus ours;

	undo_cpus(&site->host, &ours);
	if (cpu < 0 || CPU_ISSET((size_t)cpu, &ours))
		return 0;
	return tune_not_ours(&site->host, e, "cannot pin the %s to CPU %lld", what, (long long)cpu);
}

/* Stock and tuned guests have the same: as many as a profile would give CPUs of their own. */
static void scale_vcpus(const struct site *site, struct settings *s)
{
	cpus isolated, housekeeping;
	bool apart = tune_partition(&site->host, s->isolate, &isolated, &housekeeping, ERR_IGNORED) == 0;

	if (!s->vcpus && target_of(s)->made)
		s->vcpus = apart ? MIN((uint64_t)CPU_COUNT(&isolated), (uint64_t)VCPUS_SCALED_MAX) : 1;
}

/* Once a process: whoever asks for it may know, but will hardly guess how much it costs. */
static void warn_of_sharing(struct site *site, const struct settings *s)
{
	cpus isolated, housekeeping;

	if (site->warned || !target_of(s)->machine || !target_of(s)->made || !profile_of(s)->isolates ||
		tune_partition(&site->host, s->isolate, &isolated, &housekeeping, ERR_IGNORED) < 0 ||
		!CPU_COUNT(&isolated) || s->vcpus <= (uint64_t)CPU_COUNT(&isolated))
		return;
	site->warned = true;
	log_warn("%llu vCPUs have %d isolated CPU%s between them, and wait for each other: "
		 "profile low-latency can make that machine slower (try: fewer vcpus, or isolate)",
		(unsigned long long)s->vcpus, CPU_COUNT(&isolated), CPU_COUNT(&isolated) == 1 ? "" : "s");
}

static int local_check(struct site *site, struct settings *s, struct err *e)
{
	cpus isolated, housekeeping;
	struct tuning tuning;
	int rc = check_cpu(site, "client", s->client_cpu, e);

	if (rc == 0)
		rc = check_cpu(site, "server", s->server_cpu, e);
	if (rc == 0 && s->isolate[0] &&
		(rc = tune_partition(&site->host, s->isolate, &isolated, &housekeeping, e)) < 0)
		e->exit = EXIT_USAGE;
	if (rc == 0 && (rc = tuning_make(&tuning, s, e)) == 0)
		rc = tune_pollers_check(&site->host, &tuning, e);
	target_running(s); /* it decides what is empty */
	scale_vcpus(site, s);
	if (rc == 0 && (!s->rate || s->beside[0])) { /* the rate is that of the requests */
		tuning.vcpus = s->vcpus;
		rc = tune_flood_check(&site->host, &tuning, e);
	}
	if (rc == 0)
		warn_of_sharing(site, s);
	return rc;
}

/* The option of a socket that the kernel keeps for those who may administer networks, outside of any user
 * namespace.  The end would be refused in each of its trials. */
static int allow_polling(const struct settings *s, struct err *e)
{
	if (!s->busy_poll_us || is_privileged())
		return 0;
	err_refused(e, "cannot poll sockets for %llu µs without CAP_NET_ADMIN",
		(unsigned long long)s->busy_poll_us);
	return err_try(e, "run as root, or leave out busy_poll");
}

static int local_allow(struct site *site, const struct settings *s, struct err *e)
{
	struct settings asked = *s; /* what a running target decides was filled in by the check */

	if (allow_polling(s, e) < 0)
		return -e->code;
	if (!profile_of(s)->writes)
		return 0;
	/* Asked for each arm of each cell in turn; an answer costs a look at every process. */
	pid_t but = target_running(&asked);
	if (site->allowed_ns && but == site->allowed_but && time_now_ns() - site->allowed_ns < NS_PER_S)
		return 0;
	int rc = tune_allowed(&site->host, but, site->options.yes, e);
	site->allowed_ns = rc < 0 ? 0 : time_now_ns();
	site->allowed_but = but;
	return rc;
}

/* Of the ends that are on this kernel.  A machine has one of its own, and says it itself. */
static int drivers_possible(const struct trial_plan *plan, struct err *e)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < plan->ends_n; i++)
		if (plan->ends[i].job.driver == DRIVER_XDP &&
			(plan->ends[i].role == ROLE_CLIENT || !plan_target(plan)->machine))
			rc = xdp_possible(e);
	return rc;
}

static int local_resolve(struct trial_plan *plan, struct err *e)
{
	char reason[512];
	int rc = drivers_possible(plan, e);

	if (rc == 0 && !strcmp(plan->settings.device, DEVICE_SPARE)) {
		err_set(e, ENODEV, "no device of this machine is named for it");
		rc = err_try(e, "taut run --device=SERVER,CLIENT with two NICs that a cable connects");
	}
	if (rc == 0 && !noise_possible(plan->noise, reason, sizeof(reason)))
		rc = err_set(e, ENOENT, "%s", reason);
	if (rc == 0)
		rc = tool_resolve(plan, e);
	return rc < 0 ? rc : target_resolve(plan, e);
}

static int local_tuning(struct site *site, const struct trial_plan *plan, json_t *all, struct err *e)
{
	static const struct subject nobody;

	for (int stage = TUNE_HOST; stage <= TUNE_LIVE; stage++) {
		struct undo_list *made = NULL;
		int rc =
			tune_plan_make(&made, &site->host, (enum tune_stage)stage, &plan->tuning, &nobody, e);
		if (rc < 0)
			return rc;
		json_t *part = undo_list_json(made);
		json_array_extend(all, part);
		json_decref(part);
		undo_list_free(made);
	}
	return 0;
}

/* Whether KVM works is seen before a kernel is fetched for it, and none for machines that cannot be made. */
static void local_kernels(const struct trial_plan *plan, const char *words[SITE_KERNELS])
{
	const char *kernel = plan->settings.kernel;

	if (plan_target(plan)->boots && plan->accel != ACCEL_WISH_KVM && target_makes_machines(plan))
		words[1] = kernel[0] ? kernel : "stock";
}

static double local_cost_ns(const struct settings *s, double measured_ns)
{
	return measured_ns + (double)s->warmup_ns + (target_of(s)->machine ? 6e9 : 150e6);
}

int local_stop(struct site *site, struct err *e)
{
	ground_clear(site->ground);
	return ground_end(site, e);
}

const struct site_row site_local = {
	.check = local_check,
	.allow = local_allow,
	.kernels = local_kernels,
	.resolve = local_resolve,
	.probe = target_probe,
	.tuning = local_tuning,
	.cost_ns = local_cost_ns,
	.trial = site_trial_local,
	.stop = local_stop,
};
