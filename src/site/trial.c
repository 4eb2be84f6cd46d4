/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One trial on this host.  It has a ground (ground.c), which is the target and the host's stage of tuning and
 * may serve further trials, and a session, which holds what the trial has made so far on it.  Each step adds
 * to them, and whatever happens they are taken down in the opposite order: endpoints, the live stage of
 * tuning (while the devices that the machine lends are still where it was set), target, the host's stage.  A
 * ground that goes on keeps its target and the host's tuning, and all else is put back.  Everything that can
 * go wrong with one trial (an agent that dies, lies or says nothing, a port in use) ends in its record; only
 * what makes the whole run pointless (an interrupt, a machine that cannot be put back) is an error.
 *
 * Nobody listens for control: frames go over the stream that each agent inherited.  Every wait has a
 * deadline.  While the endpoints measure this process sleeps, and wakes every SAMPLER_PERIOD_NS for a sample.
 */
#include "session.h"

#include "attribution.h"

#include <poll.h>
#include <stdio.h>

#define SLACK_NS    (5 * NS_PER_S)
#define AHEAD_NS    NS_PER_S /* by which the end of a schedule may lie behind its last reply */
#define CLOCK_ERROR 10       /* a guest's clock runs within a tenth of ours */

/* --- the steps of a trial ---------------------------------------------------------------------- */

struct target *session_target(const struct session *s)
{
	return s->site->ground->target;
}

static int tune_live(struct session *s, struct err *e)
{
	AUTO_FREE struct subject *subject = mem_alloc(sizeof(*subject));
	int rc = ground_tune(s->site, s->tune, s->plan, TUNE_LIVE, subject, e);

	return rc < 0 ? rc : sampler_start(&s->sampler, s->site->root, subject, &s->site->host.cgroups, e);
}

int session_agent_failed(struct session *s, const char *who, struct err *e)
{
	return ends_wrap(session_target(s), who, e);
}

int session_control(const struct session *s, size_t end)
{
	return ends_control(session_target(s), s->plan, end);
}

int session_end_failed(struct session *s, struct err *e)
{
	return ends_failed(session_target(s), s->plan, e);
}

/* The ports on which a server says that it listens: one for each flow, and those that it was told.  A kernel
 * that answers by itself has none: 0. */
static int ports_read(const struct endpoint_job *job, const json_t *said, uint16_t *ports, struct err *e)
{
	if (json_array_size(said) != job_flows(job))
		return err_set(e, EPROTO, "the server is ready, but does not say on which ports");
	for (size_t i = 0; i < job_flows(job); i++) {
		json_int_t port = json_integer_value(json_array_get(said, i));

		if (port < !job->workload->kernel_answers || port > UINT16_MAX)
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
	int fd = target_control(session_target(s), job->server);
	struct kernel_facts *guest = &s->record->guest;
	json_t *body = NULL;
	int rc = control_expect(fd, FRAME_HELLO, &body, deadline, e);

	if (rc < 0)
		return rc;
	bool booted = job->server && target_guest(session_target(s), guest, &s->started_ns);
	rc = frame_hello_read(body, booted ? guest : NULL, e);
	s->started_ns = s->fresh ? s->started_ns : 0;
	if (booted && s->started_ns) {
		guest->boot_ns = time_now_ns() - s->started_ns;
		/* Its clock may be wrong: then when it was ready is unknown. */
		if (guest->ready_ns > guest->boot_ns + guest->boot_ns / CLOCK_ERROR + AHEAD_NS)
			guest->init_ns = guest->ready_ns = 0;
	} else if (booted) /* long ago: for another trial, or not by us */
		guest->init_ns = guest->ready_ns = 0;
	s->record->ends[job->server ? END_SERVER : END_CLIENT].pid = frame_hello_pid(body);
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

	memcpy(client.token, server.token, sizeof(client.token));
	if (rc == 0)
		rc = target_reach(session_target(s), &server, &client, e);
	if (rc == 0 && (rc = prepare_endpoint(s, &server, client.ports, e)) < 0)
		rc = session_agent_failed(s, plan_end_name(s->plan, END_SERVER), e);
	if (rc == 0 && (rc = prepare_endpoint(s, &client, NULL, e)) < 0)
		rc = ends_client_failed(session_target(s), s->plan, e);
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
	int fd = session_control(s, end);
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
		session_agent_failed(s, plan_end_name(s->plan, end), e);
	}
	return rc;
}

static int measure(struct session *s, struct err *e)
{
	const struct endpoint_job *job = &s->plan->ends[END_CLIENT].job;
	uint64_t begin = time_now_ns(), grace = begin + HANDSHAKE_NS, slack = boot_patience_ns(SLACK_NS);
	uint64_t deadline = begin + job->warmup_ns + job_stretch_ns(job) + 2 * job->timeout_ns + slack +
			    tool_longer_ns(job);
	s->went_ns = begin;
	int rc = frame_send(session_control(s, END_SERVER), FRAME_GO, json_object(), grace, e);

	if (rc == 0)
		rc = frame_send(session_control(s, END_CLIENT), FRAME_GO, json_object(), grace, e);
	if (rc < 0)
		rc = session_end_failed(s, e);
	s->busy = true;
	if (s->started_ns)
		s->record->guest.first_ns = time_now_ns() - s->started_ns;
	if (rc == 0)
		rc = take_record(s, END_CLIENT, deadline, e);
	/* The server ends by itself when the client has gone; STOP makes sure.  It may have gone before STOP
	 * arrives. */
	if (rc == 0)
		frame_send(session_control(s, END_SERVER), FRAME_STOP, json_object(), deadline, ERR_IGNORED);
	if (rc == 0)
		rc = take_record(
			s, END_SERVER, time_now_ns() + job->timeout_ns + slack + tool_longer_ns(job), e);
	s->busy = rc < 0;
	if (rc == 0 && (rc = trial_ends_check(s->record, s->plan, e)) < 0)
		trial_record_forget(s->record);
	sampler_sample(s->sampler);
	return rc;
}

/* --- one trial --------------------------------------------------------------------------------- */

static int carry_out(struct session *s, struct err *e)
{
	bool before = false, after = false;
	int rc = noise_ensure(&s->site->noise, s->plan->noise, e);

	if (rc == 0)
		rc = ground_start(
			s->site, s->plan, time_now_ns() + target_patience_ns(s->plan, HANDSHAKE_NS), e);
	s->record->target_use = s->site->ground->uses;
	if (rc == 0)
		rc = prepare_endpoints(s, e);
	if (rc == 0 && (rc = tune_live(s, e)) < 0)
		session_end_failed(s, e);
	if (rc == 0)
		rc = session_tune_guest(s, e);
	if (rc == 0)
		rc = session_verify(s, &before, e);
	if (rc == 0)
		rc = session_watch(s, e);
	if (rc == 0)
		rc = measure(s, e);
	if (rc == 0)
		rc = session_verify(s, &after, e);
	if (rc < 0)
		return rc;
	s->record->verified = session_conditions_hold(s) && before && after;
	const struct samples samples = sampler_samples(s->sampler);
	attribute_trial(&samples, s->record);
	outcome_judge(s->plan, s->record);
	return 0;
}

/* Only what concerns the machine is an error here.  `lasts`: the ground may serve another trial. */
static int take_down(struct session *s, bool lasts, struct err *e)
{
	struct ground *ground = s->site->ground;

	lasts = session_guest_put_back(s, lasts) && lasts;
	session_keep_knobs(s);
	target_console(ground->target, s->record->console, sizeof(s->record->console));
	if (!lasts)
		ground_stop(ground);
	sampler_free(s->sampler);
	watch_free(s->watch);
	int rc = s->tune ? tune_revert(s->tune, e) : 0;
	tune_free(s->tune);
	if (lasts && rc == 0)
		return 0;
	ground_clear(ground);
	int ended = ground_end(s->site, rc < 0 ? ERR_IGNORED : e);
	return rc < 0 ? rc : ended;
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
	int rc = ground_take(site, &plan->settings, e);
	if (rc < 0)
		return rc;
	s.fresh = !site->ground->uses;
	rc = tune_open(&s.tune, &site->host, &why);
	if (rc == 0)
		rc = carry_out(&s, &why);
	int down = take_down(&s, rc == 0 && !stop_flag && ground_lasts(site->ground, &plan->settings), e);
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
