/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One trial on this host.  A session holds what the trial has made so far; each step adds to it, and whatever
 * happens the session is taken down in the opposite order: endpoints, target, tuning.  Everything that can go
 * wrong with one trial (an agent that dies, lies or says nothing, a port in use) ends in its record; only
 * what makes the whole run pointless (an interrupt, a machine that cannot be put back) is an error.
 *
 * Nobody listens for control: frames go over the stream that each agent inherited.  Every wait has a
 * deadline.  While the endpoints measure this process sleeps, and wakes every SAMPLER_PERIOD_NS for a sample.
 */
#include "hosts.h"

#include "attribution.h"
#include "guest.h"
#include "watch.h"

#include <poll.h>
#include <stdio.h>

#define HANDSHAKE_NS (10 * NS_PER_S)
#define SLACK_NS     (5 * NS_PER_S)
#define AHEAD_NS     NS_PER_S /* by which the end of a schedule may lie behind its last reply */
#define CLOCK_ERROR  10       /* a guest's clock runs within a tenth of ours */

struct session {
	struct site *site;
	const struct trial_plan *plan;
	struct trial_record *record;
	struct target *target;
	struct tune *tune;
	struct sampler *sampler;
	struct watch *watch;
	uint64_t begun_ns;         /* the trial */
	uint64_t started_ns;       /* of the virtual machine, where there is one */
	uint64_t told_ns, went_ns; /* before the ends were told their jobs, and to measure */
	json_t *guest_knobs;       /* the half of the tuning that is in a guest; NULL: none */
	bool busy;                 /* the server measures, or something that it says has not been taken */
};

/* --- the steps of a trial ---------------------------------------------------------------------- */

/* Plans and applies one stage.  The plan belongs to s->tune afterwards. */
static int tune_stage(struct session *s, enum tune_stage stage, struct err *e)
{
	struct subject *subject = mem_alloc(sizeof(*subject));
	struct undo_list *plan = NULL;
	int rc = target_subject(s->target, subject, e);

	if (rc == 0)
		rc = tune_plan_make(&plan, &s->site->host, stage, &s->plan->tuning, subject, e);
	if (rc == 0)
		rc = tune_apply(s->tune, plan, e);
	if (rc == 0 && stage == TUNE_LIVE)
		rc = sampler_start(&s->sampler, s->site->root, subject, &s->site->host.cgroups, e);
	free(subject);
	return rc;
}

/* An error on a control stream, or with a process that has gone, is worth more together with how it ended. */
static int agent_failed(struct session *s, const char *who, struct err *e)
{
	char ended[256];

	target_ended(s->target, ended, sizeof(ended));
	if (who)
		err_wrap(e, "%s", who);
	if (ended[0] && e->code != EINTR) {
		size_t n = strlen(e->text);
		snprintf(e->text + n, sizeof(e->text) - n, " (%s)", ended);
	}
	return -e->code;
}

/* Our end of the control stream of an end. */
static int control_of(const struct session *s, size_t end)
{
	return target_control(s->target, s->plan->ends[end].role == ROLE_SERVER);
}

/*
 * A step failed that concerns both ends.  When one of them has gone then that is why: what it said last,
 * which nobody has read yet, or else how it ended.
 */
static int an_end_failed(struct session *s, struct err *e)
{
	for (size_t end = 0; end < s->plan->ends_n; end++) {
		struct pollfd p = {.fd = control_of(s, end), .events = POLLIN};
		struct err said = ERR_INIT;
		json_t *body = NULL;

		int rc = poll(&p, 1, 0) > 0
				 ? frame_expect(p.fd, FRAME_READY, &body, time_now_ns() + NS_PER_S, &said)
				 : 0;
		json_decref(body);
		if (rc == -EREMOTEIO)
			*e = said;
		if (rc == -EREMOTEIO || rc == -EPIPE)
			return agent_failed(s, plan_end_name(s->plan, end), e);
	}
	return agent_failed(s, NULL, e);
}

/* The ports on which a server says that it listens: one for each flow, and those that it was told. */
static int ports_read(const struct endpoint_job *job, const json_t *said, uint16_t *ports, struct err *e)
{
	if (json_array_size(said) != job->flows)
		return err_set(e, EPROTO, "the server is ready, but does not say on which ports");
	for (size_t i = 0; i < job->flows; i++) {
		json_int_t port = json_integer_value(json_array_get(said, i));

		if (port < 1 || port > UINT16_MAX)
			return err_set(e, EPROTO, "the server is ready, but does not say on which ports");
		if (job->port && port != (json_int_t)(job->port + i))
			return err_set(e, EPROTO, "the server listens on port %lld, and was told %llu",
				(long long)port, (unsigned long long)(job->port + i));
		ports[i] = (uint16_t)port;
	}
	return 0;
}

/* Tells one end its job and waits until it is ready; `ports` become those of a server. */
static int prepare_endpoint(struct session *s, const struct endpoint_job *job, uint16_t *ports, struct err *e)
{
	uint64_t deadline = time_now_ns() + boot_patience_ns(HANDSHAKE_NS);
	int fd = target_control(s->target, job->server);
	struct kernel_facts *guest = &s->record->guest;
	json_t *body = NULL;
	int rc = control_expect(fd, FRAME_HELLO, &body, deadline, e);

	if (rc < 0)
		return rc;
	bool booted = job->server && target_guest(s->target, guest, &s->started_ns);
	rc = frame_hello_read(body, booted ? guest : NULL, e);
	if (booted && s->started_ns) {
		guest->boot_ns = time_now_ns() - s->started_ns;
		/* Its clock may be wrong: then when it was ready is unknown. */
		if (guest->ready_ns > guest->boot_ns + guest->boot_ns / CLOCK_ERROR + AHEAD_NS)
			guest->init_ns = guest->ready_ns = 0;
	} else if (booted) /* long ago, and not by us */
		guest->init_ns = guest->ready_ns = 0;
	json_decref(body);
	if (rc == 0)
		rc = frame_send(fd, FRAME_JOB, job_json(job), deadline, e);
	if (rc == 0)
		rc = control_expect(fd, FRAME_READY, &body, deadline, e);
	if (rc < 0 || !job->server) {
		if (rc == 0)
			json_decref(body);
		return rc;
	}
	rc = ports_read(job, json_object_get(body, "ports"), ports, e);
	json_decref(body);
	return rc;
}

static int prepare_endpoints(struct session *s, struct err *e)
{
	struct endpoint_job server = s->plan->ends[END_SERVER].job, client = s->plan->ends[END_CLIENT].job;

	s->told_ns = time_now_ns();
	int rc = rng_token(server.token, e);

	if (rc == 0 && str_copy(server.address, sizeof(server.address), target_address(s->target)))
		rc = err_set(e, EINVAL, "cannot use an address of that length");
	memcpy(client.token, server.token, sizeof(client.token));
	memcpy(client.address, server.address, sizeof(client.address));
	if (rc == 0 && (rc = prepare_endpoint(s, &server, client.ports, e)) < 0)
		rc = agent_failed(s, plan_end_name(s->plan, END_SERVER), e);
	if (rc == 0 && (rc = prepare_endpoint(s, &client, NULL, e)) < 0)
		rc = agent_failed(s, plan_end_name(s->plan, END_CLIENT), e);
	return rc;
}

/* Sleeps until the fd can be read, taking samples; -EINTR when the user wants to stop. */
static int watch(struct session *s, int fd, uint64_t deadline, struct err *e)
{
	while (!stop_flag) {
		struct pollfd p = {.fd = fd, .events = POLLIN};
		int n = poll(
			&p, 1, (int)((s->site->options.exact ? NS_PER_S : SAMPLER_PERIOD_NS) / NS_PER_MS));
		sampler_sample(s->sampler);
		if (n > 0)
			return 0;
		if (n < 0 && errno != EINTR)
			return err_sys(e, "cannot watch the control stream");
		if (time_now_ns() >= deadline)
			return err_set(e, ETIMEDOUT, "it did not finish in time");
	}
	return err_set(e, EINTR, "interrupted");
}

/* Is the record true as far as the job and our clock tell?  An end of this kernel has that clock too. */
static int check_record(const struct session *s, size_t end, struct err *e)
{
	const struct endpoint_record *r = &s->record->ends[end].record;
	bool inside = s->plan->ends[end].role == ROLE_SERVER && plan_target(s->plan)->machine;
	/* A server serves from when it is ready. */
	bool serves = s->plan->ends[end].role == ROLE_SERVER && !r->receiver;
	uint64_t since = serves ? s->told_ns : s->went_ns, passed = time_now_ns() - since;
	uint64_t most = passed + (inside ? passed / CLOCK_ERROR : 0) + AHEAD_NS;

	if (!inside && r->started_ns && r->started_ns < since)
		return err_set(e, EINVAL,
			"a record that cannot be true: it began at %llu ns, and was told to at %llu ns",
			(unsigned long long)r->started_ns, (unsigned long long)since);
	if (!inside && r->ended_ns > since + most)
		return err_set(e, EINVAL,
			"a record that cannot be true: it ended at %llu ns, and the clock is at %llu ns",
			(unsigned long long)r->ended_ns, (unsigned long long)(since + passed));
	return endpoint_record_check(r, &s->plan->ends[end].job, most, e);
}

static int take_record(struct session *s, size_t end, uint64_t deadline, struct err *e)
{
	struct endpoint_record *record = &s->record->ends[end].record;
	int fd = control_of(s, end);
	json_t *body = NULL;
	int rc = watch(s, fd, deadline, e);

	if (rc == 0)
		rc = frame_expect(fd, FRAME_RECORD, &body, deadline, e);
	if (rc == 0) {
		rc = endpoint_record_from_json(record, body, READ_STREAM, e);
		json_decref(body);
	}
	if (rc == 0)
		rc = check_record(s, end, e);
	if (rc < 0 && rc != -EINTR) {
		*record = (struct endpoint_record){0}; /* what cannot be true is not kept */
		agent_failed(s, plan_end_name(s->plan, end), e);
	}
	return rc;
}

static int measure(struct session *s, struct err *e)
{
	const struct endpoint_job *job = &s->plan->ends[END_CLIENT].job;
	bool counted = job->workload->kind == WORKLOAD_RR && job->transactions;
	uint64_t begin = time_now_ns(), grace = begin + HANDSHAKE_NS, slack = boot_patience_ns(SLACK_NS);
	uint64_t deadline = begin + job->warmup_ns + (counted ? job->max_duration_ns : job->duration_ns) +
			    2 * job->timeout_ns + slack;
	s->went_ns = begin;
	int rc = frame_send(control_of(s, END_SERVER), FRAME_GO, json_object(), grace, e);

	if (rc == 0)
		rc = frame_send(control_of(s, END_CLIENT), FRAME_GO, json_object(), grace, e);
	if (rc < 0)
		rc = an_end_failed(s, e);
	s->busy = true;
	if (s->started_ns)
		s->record->guest.first_ns = time_now_ns() - s->started_ns;
	if (rc == 0)
		rc = take_record(s, END_CLIENT, deadline, e);
	/* The server ends by itself when the client has gone; STOP makes sure.  It may have gone before STOP
	 * arrives. */
	if (rc == 0)
		frame_send(control_of(s, END_SERVER), FRAME_STOP, json_object(), deadline, ERR_IGNORED);
	if (rc == 0)
		rc = take_record(s, END_SERVER, time_now_ns() + job->timeout_ns + slack, e);
	s->busy = rc < 0;
	if (rc == 0 && (rc = trial_ends_check(s->record, s->plan, e)) < 0)
		trial_record_forget(s->record);
	sampler_sample(s->sampler);
	return rc;
}

/* --- the guest's half of tuning ---------------------------------------------------------------- */

/* Both stages at once: inside, there is no time before the target. */
static int tune_guest(struct session *s, struct err *e)
{
	uint64_t deadline = time_now_ns() + target_patience_ns(s->plan, HANDSHAKE_NS);
	int fd = control_of(s, END_SERVER), rc = 0;

	for (int stage = TUNE_HOST; rc == 0 && plan_target(s->plan)->machine && stage <= TUNE_LIVE; stage++)
		rc = guest_tune(fd, &s->plan->tuning, (enum tune_stage)stage, deadline, &s->guest_knobs, e);
	s->busy |= rc == -EINTR; /* its answer is still to come */
	return rc < 0 ? agent_failed(s, plan_end_name(s->plan, END_SERVER), e) : 0;
}

/* Does all that is in force still hold, on both sides? */
static int verify(struct session *s, bool *all, struct err *e)
{
	uint64_t deadline = time_now_ns() + target_patience_ns(s->plan, HANDSHAKE_NS);
	bool inside = true;
	int rc = tune_verify(s->tune, all, e);

	if (rc < 0)
		return an_end_failed(s, e);
	if (!plan_target(s->plan)->machine)
		return 0;
	rc = guest_verify(control_of(s, END_SERVER), deadline, &inside, &s->guest_knobs, e);
	*all = *all && inside;
	s->busy |= rc == -EINTR;
	return rc < 0 ? agent_failed(s, plan_end_name(s->plan, END_SERVER), e) : 0;
}

/* --- conditions -------------------------------------------------------------------------------- */

static int watch_conditions(struct session *s, struct err *e)
{
	AUTO_FREE struct subject *subject = mem_alloc(sizeof(*subject));
	int rc = target_subject(s->target, subject, e);

	if (rc < 0)
		return an_end_failed(s, e);
	s->watch = watch_begin(s->site->root, subject);
	return 0;
}

/* An end that does not say how it was scheduled is not verified. */
static bool conditions_hold(struct session *s)
{
	AUTO_FREE struct conditions *all = mem_alloc(sizeof(*all));
	bool hold = true;

	watch_end(steal_ptr(&s->watch), &s->record->conditions);
	trial_conditions(s->record, all);
	for (size_t i = 0; i < all->n; i++)
		hold &= condition_holds(&s->record->settings, &all->at[i]);
	for (size_t i = 0; i < s->record->ends_n; i++)
		hold &= conditions_find(&s->record->ends[i].record.conditions, CONDITION_SCHED, "") != NULL;
	for (size_t i = 0; i < all->n && !s->record->mtu; i++)
		if (all->at[i].kind == CONDITION_MTU)
			s->record->mtu = strtoull(all->at[i].before, NULL, 10);
	return hold;
}

/* --- one trial --------------------------------------------------------------------------------- */

static int carry_out(struct session *s, struct err *e)
{
	bool before = false, after = false;
	int rc = noise_ensure(&s->site->noise, s->plan->noise, e);

	if (rc == 0)
		rc = target_create(&s->target, s->plan, e);
	if (rc == 0)
		rc = tune_stage(s, TUNE_HOST, e);
	if (rc == 0)
		rc = target_start(s->target, time_now_ns() + target_patience_ns(s->plan, HANDSHAKE_NS), e);
	if (rc == 0)
		rc = prepare_endpoints(s, e);
	if (rc == 0 && (rc = tune_stage(s, TUNE_LIVE, e)) < 0)
		an_end_failed(s, e);
	if (rc == 0)
		rc = tune_guest(s, e);
	if (rc == 0)
		rc = verify(s, &before, e);
	if (rc == 0)
		rc = watch_conditions(s, e);
	if (rc == 0)
		rc = measure(s, e);
	if (rc == 0)
		rc = verify(s, &after, e);
	if (rc < 0)
		return rc;
	s->record->verified = conditions_hold(s) && before && after;
	const struct samples samples = sampler_samples(s->sampler);
	attribute_trial(&samples, s->record);
	outcome_judge(s->plan, s->record);
	return 0;
}

/* Only what concerns the machine is an error here; a target that resists is worth a warning, and
 * taut clean finds it. */
static int take_down(struct session *s, struct err *e)
{
	struct err problem = ERR_INIT;
	char text[1024];
	int rc;

	/* A guest of taut's own just ends; a user's goes on.  An agent that is still measuring hears nothing
	 * but the end of its stream, and puts back by itself. */
	if (s->guest_knobs && !s->busy && !plan_target(s->plan)->made &&
		guest_untune(control_of(s, END_SERVER), time_now_ns() + HANDSHAKE_NS, &problem) < 0)
		log_warn("%s", err_string(&problem, text, sizeof(text)));
	if (s->tune) {
		json_decref(s->record->knobs);
		s->record->knobs = tune_effective_json(s->tune);
		knobs_mark(s->record->knobs, "host");
		json_array_extend(s->record->knobs, s->guest_knobs);
		json_decref(s->guest_knobs);
	}
	target_console(s->target, s->record->console, sizeof(s->record->console));
	if (s->target && target_destroy(s->target, &problem) < 0)
		log_warn("%s", err_string(&problem, text, sizeof(text)));
	s->target = NULL;
	sampler_free(s->sampler);
	watch_free(s->watch);
	rc = s->tune ? tune_revert(s->tune, e) : 0;
	tune_free(s->tune);
	return rc;
}

int site_trial_local(
	struct site *site, const struct trial_plan *plan, struct trial_record *record, struct err *e)
{
	struct session s = {.site = site, .plan = plan, .record = record, .begun_ns = time_now_ns()};
	struct err why = ERR_INIT;
	char text[1024];

	trial_record_begin(record, plan);
	record->outcome = TRIAL_DONE;
	record->wall_started_ns = time_wall_ns();
	kernel_facts_own(&record->host);
	record->host.ready_ns = record->host.init_ns = 0;
	int rc = tune_open(&s.tune, &site->host, &why);
	if (rc == 0)
		rc = carry_out(&s, &why);
	int down = take_down(&s, e);
	record->duration_ns = time_now_ns() - s.begun_ns;
	if (down < 0) {
		if (why.exit ==
			EXIT_PARTLY_APPLIED) /* it says what could not be undone, and why it had to be */
			*e = why;
		else if (why.code)
			err_wrap(e, "%s; and then", why.text);
		return down;
	}
	if (rc == -EINTR || stop_flag)
		return err_set(e, EINTR, "interrupted");
	if (rc < 0) {
		record->outcome = TRIAL_FAILED;
		snprintf(record->reason, sizeof(record->reason), "%s", err_string(&why, text, sizeof(text)));
		if (why.exit == EXIT_USAGE || why.exit == EXIT_REFUSED || why.code == ENOSPC) {
			*e = why;
			return rc;
		}
	}
	return 0;
}
