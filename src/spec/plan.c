/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Settings become a plan: the part that needs no look at the machine.  See plan.h. */
#include "plan.h"

/* --- ends -------------------------------------------------------------------------------------- */

static const char *const driver_names[DRIVERS_N] = {[DRIVER_SOCKET] = "socket"};

const char *driver_name(enum driver driver)
{
	return driver_names[driver];
}

int driver_find(const char *name)
{
	for (int i = 0; i < DRIVERS_N; i++)
		if (!strcmp(driver_names[i], name))
			return i;
	return -EINVAL;
}

/* --- the job of one end ------------------------------------------------------------------------ */

int job_make(struct endpoint_job *out, const struct settings *s, bool server, struct err *e)
{
	struct endpoint_job job = {.server = server,
		.lock_memory = profile_of(s)->locks_memory,
		.nodelay = s->nodelay,
		.driver = DRIVER_SOCKET,
		.workload = workload_find(s->workload),
		.flows = s->flows,
		.burst = s->burst,
		.rate = s->rate,
		.transactions = s->transactions,
		.port = s->port,
		.busy_poll_us = s->busy_poll_us,
		.request_bytes = s->request_bytes,
		.reply_bytes = s->reply_bytes,
		.size_bytes = s->size_bytes,
		.warmup_ns = s->warmup_ns,
		.duration_ns = s->duration_ns,
		.max_duration_ns = s->max_duration_ns,
		.timeout_ns = s->timeout_ns};

	if (!job.workload)
		return err_usage(e, "cannot run workload '%s': there is no such workload", s->workload);
	if (str_copy(job.congestion, sizeof(job.congestion), s->congestion))
		return err_usage(e, "cannot use congestion '%s': no congestion control has so long a name",
			s->congestion);
	*out = job;
	return 0;
}

bool job_open_loop(const struct endpoint_job *job)
{
	return job->rate > 0;
}

uint64_t job_longest_ns(const struct endpoint_job *job)
{
	return job->warmup_ns + MAX(job->duration_ns, job->max_duration_ns);
}

/* --- tuning ------------------------------------------------------------------------------------ */

int tuning_make(struct tuning *out, const struct settings *s, struct err *e)
{
	int profile = profile_find(s->profile, e);
	struct tuning t = {.sched_wanted = *s->sched != 0,
		.client_cpu = s->client_cpu,
		.server_cpu = s->server_cpu,
		.isolate = s->isolate,
		.apply = s->apply,
		.revert = s->revert,
		.longest_ns = s->warmup_ns + MAX(s->duration_ns, s->max_duration_ns),
		.timeout_ns = s->timeout_ns,
		.machine = target_of(s)->machine,
		.made = target_of(s)->made,
		.backing = (enum backing)setting_choice(s, "backing"),
		.memory_bytes = s->memory_bytes};
	int rc = profile < 0      ? profile
		 : t.sched_wanted ? sched_parse(s->sched, &t.policy, &t.priority, e)
				  : 0;

	if (rc < 0)
		return rc;
	t.profile = (enum profile)profile;
	*out = t;
	return 0;
}

/* --- the plan ---------------------------------------------------------------------------------- */

static int ends_make(struct trial_plan *plan, struct err *e)
{
	static const enum role roles[] = {[END_CLIENT] = ROLE_CLIENT, [END_SERVER] = ROLE_SERVER};
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < ARRAY_LEN(roles); i++) {
		struct plan_end *end = &plan->ends[plan->ends_n++];
		end->role = roles[i];
		end->site = plan->site;
		rc = job_make(&end->job, &plan->settings, roles[i] == ROLE_SERVER, e);
	}
	return rc;
}

int plan_make(struct trial_plan *out, const struct settings *s, struct err *e)
{
	struct trial_plan plan = {.settings = *s,
		.site = settings_site(s),
		.path = (enum vm_path)setting_choice(s, "path"),
		.accel = (enum accel_wish)setting_choice(s, "accel"),
		.noise = (enum noise_kind)setting_choice(s, "noise"),
		.exact = settings_exact(s),
		.domain = settings_domain(s)};
	int rc = settings_target(s, &plan.target, e);

	if (rc == 0)
		rc = tuning_make(&plan.tuning, s, e);
	if (rc == 0)
		rc = ends_make(&plan, e);
	if (rc < 0)
		return rc;
	*out = plan;
	return 0;
}

const struct target_row *plan_target(const struct trial_plan *plan)
{
	return &target_rows[plan->target];
}

const struct host_row *plan_host(const struct trial_plan *plan)
{
	return &host_rows[plan->site];
}
