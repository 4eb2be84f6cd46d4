/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Settings become a plan: the part that needs no look at the machine.  See plan.h. */
#include "plan.h"

/* --- the job of one end ------------------------------------------------------------------------ */

int job_make(struct endpoint_job *out, const struct settings *s, bool server, struct err *e)
{
	struct endpoint_job job = {.server = server,
		.lock_memory = profile_of(s)->locks_memory,
		.nodelay = s->nodelay,
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
		.timeout_ns = s->timeout_ns,
		.tool = tool_of(s),
		.output = tool_output_of(s)};
	enum driver drivers[ENDS_MAX];
	int rc = settings_drivers(s, drivers, e);

	if (rc < 0)
		return rc;
	job.driver = drivers[server ? END_SERVER : END_CLIENT];
	if (!job.workload)
		return err_usage(e, "cannot run workload '%s': there is no such workload", s->workload);
	if (str_copy(job.congestion, sizeof(job.congestion), s->congestion))
		return err_usage(e, "cannot use congestion '%s': no congestion control has so long a name",
			s->congestion);
	job.beside = s->beside[0] ? workload_find(s->beside) : NULL;
	job.beside_bytes = job.beside ? settings_size(s, job.beside) : 0;
	if (str_copy(job.command, sizeof(job.command), server ? s->tool_server : s->tool_client))
		return err_usage(e, "cannot use a command of that length");
	*out = job;
	return 0;
}

uint64_t job_flows(const struct endpoint_job *job)
{
	return job->flows + (job->beside ? 1 : 0);
}

bool job_open_loop(const struct endpoint_job *job)
{
	return job->rate > 0;
}

uint64_t job_stretch_ns(const struct endpoint_job *job)
{
	return !job->workload->stream && job->transactions ? job->max_duration_ns : job->duration_ns;
}

uint64_t tool_longer_ns(const struct endpoint_job *job)
{
	return job->tool == TOOL_TAUT ? 0 : TOOL_LONGER_NS;
}

uint64_t job_longest_ns(const struct endpoint_job *job)
{
	return job->warmup_ns + MAX(job->duration_ns, job->max_duration_ns);
}

/* --- tuning ------------------------------------------------------------------------------------ */

static int pollers_make(struct tuning *t, const struct settings *s, struct err *e)
{
	bool *const polls[ENDS_MAX] = {[END_CLIENT] = &t->client_polls, [END_SERVER] = &t->server_polls};
	const struct workload_row *w = workload_find(s->workload);
	enum driver drivers[ENDS_MAX];
	int rc = settings_drivers(s, drivers, e);

	for (size_t i = 0; rc == 0 && i < ENDS_MAX; i++) {
		*polls[i] = driver_rows[drivers[i]].polls && !(w && w->kernel_answers && i == END_SERVER);
		if (*polls[i])
			t->poller = driver_rows[drivers[i]].name;
	}
	return rc;
}

/* A datagram is sent whether the receiver gets a CPU or not.  The client's stream beside requests lets
 * threads of its own priority run, so it is in the way of those of a machine only, which have another one. */
static bool client_floods(const struct settings *s)
{
	const struct workload_row *w = workload_find(s->workload);

	if (s->beside[0])
		w = target_of(s)->machine ? workload_find(s->beside) : NULL;
	return w && w->stream && w->datagrams && !w->reverse;
}

int tuning_make(struct tuning *out, const struct settings *s, struct err *e)
{
	int profile = profile_find(s->profile, e);
	struct tuning t = {.sched_wanted = *s->sched != 0,
		.client_cpu = s->client_cpu,
		.server_cpu = s->server_cpu,
		.tool = tool_of(s),
		.isolate = s->isolate,
		.apply = s->apply,
		.revert = s->revert,
		.longest_ns = s->warmup_ns + MAX(s->duration_ns, s->max_duration_ns),
		.timeout_ns = s->timeout_ns,
		.machine = target_of(s)->machine,
		.made = target_of(s)->made,
		.backing = (enum backing)setting_choice(s, "backing"),
		.memory_bytes = s->memory_bytes,
		.vcpus = s->vcpus,
		.noisy = setting_choice(s, "noise") != 0,
		.floods = client_floods(s)};
	int rc = profile < 0      ? profile
		 : t.sched_wanted ? sched_parse(s->sched, &t.policy, &t.priority, e)
				  : 0;

	if (rc < 0)
		return rc;
	t.profile = (enum profile)profile;
	rc = pollers_make(&t, s, e);
	if (rc < 0)
		return rc;
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

bool plan_uses(const struct trial_plan *plan, enum driver driver)
{
	for (size_t i = 0; i < plan->ends_n; i++)
		if (plan->ends[i].job.driver == driver)
			return true;
	return false;
}

const struct target_row *plan_target(const struct trial_plan *plan)
{
	return &target_rows[plan->target];
}

const struct host_row *plan_host(const struct trial_plan *plan)
{
	return &host_rows[plan->site];
}

static const char *const nic_models[NIC_MODELS_N] = {
	[NIC_NONE] = "", [NIC_IGB] = "igb", [NIC_VIRTIO] = "virtio"};

const char *nic_model_name(enum nic_model model)
{
	return nic_models[model];
}

enum nic_model nic_model_find(const char *name)
{
	for (size_t i = NIC_NONE + 1; i < NIC_MODELS_N; i++)
		if (!strcmp(name, nic_models[i]))
			return (enum nic_model)i;
	return NIC_NONE;
}
