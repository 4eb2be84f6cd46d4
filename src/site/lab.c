/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Emulated hosts.  One runs at a time.  It is booted for a group of trials (the cells of one arm in one
 * block, see site_group) and serves them one after another, so that a boot is a replicate; it ends with its
 * group, or with a trial that needs another kernel, or when one fails in a way that leaves it in doubt.
 *
 * A trial is sent as settings and comes back as a record, which is checked like everything that comes out of
 * a machine.  What the host inside cannot know is added: that it is emulated, by what, how long it booted.
 *
 * On the exact clock each trial is a boot of its own with the plan in the image, and the record is read when
 * the machine has switched itself off.
 */
#include "lab.h"

#include "guest.h"

#include <stdio.h>

#define EXACT_NS (900 * NS_PER_S)
#define TRIAL_NS (2000 * NS_PER_S) /* a guest's boot inside included, which may take long (boot.h) */
#define LATE_NS  (60 * NS_PER_S)   /* how long a trial may take beyond its plan, on the host's own clock */

/* --- what can be done there -------------------------------------------------------------------- */

static int lab_resolve(struct trial_plan *plan, struct err *e)
{
	char agent[4096], reason[512];
	const char *lacks = target_wants_engine(&plan->settings) ? image_engine_lacks() : NULL;
	int rc = lab_kernels_find(plan, e);

	if (rc == 0 && lacks) {
		err_set(e, ENOENT,
			"cannot use runtime %s on an emulated host: it gets the engine of this machine, which has no %s",
			plan->settings.runtime, lacks);
		rc = err_try(e, "apt-get install docker.io iptables");
	}
	if (rc == 0)
		rc = target_agent(agent, sizeof(agent), e);
	if (rc == 0 && plan_uses(plan, DRIVER_DPDK))
		rc = target_agent_dpdk(agent, sizeof(agent), e);
	if (rc == 0 && !noise_possible(plan->noise, reason, sizeof(reason)))
		rc = err_set(e, ENOENT, "%s", reason);
	/* What the emulated host gets is what is here. */
	return rc < 0 ? rc : tool_resolve(plan, e);
}

/* It checks its own CPUs, and nobody else is on it. */
static int lab_check(struct site *site, struct settings *s, struct err *e)
{
	(void)site;
	if (!s->vcpus && target_of(s)->made)
		s->vcpus = LAB_CPUS - 1;
	return lab_nics_check(s, e);
}

static void lab_kernels(const struct trial_plan *plan, const char *words[SITE_KERNELS])
{
	const char *kernel = plan->settings.kernel;

	words[0] = settings_lab(&plan->settings);
	if (plan_target(plan)->boots)
		words[1] = kernel[0] ? kernel : "stock";
}

/* A share of the host's boot, and everything is slower. */
static double lab_cost_ns(const struct settings *s, double measured_ns)
{
	if (settings_exact(s))
		return 20e9;
	return 10e9 + 2 * measured_ns + (target_of(s)->machine ? 12e9 : 0) +
	       (target_wants_engine(s) ? 15e9 : 0);
}

/* --- a trial ----------------------------------------------------------------------------------- */

/* Completes the record by what only this side knows. */
static void lab_sign(const struct lab *lab, const struct trial_plan *plan, struct trial_record *record)
{
	struct kernel_facts *host = &record->host;

	trial_record_begin(record, plan);
	if (record->outcome == TRIAL_FAILED && !record->console[0])
		machine_console(lab->machine, record->console, sizeof(record->console));
	str_copy(host->accel, sizeof(host->accel), lab->facts.accel);
	str_copy(host->program, sizeof(host->program), lab->facts.program);
	host->boot_ns = lab->facts.boot_ns;
	host->init_ns = lab->facts.init_ns;
	host->ready_ns = lab->facts.ready_ns;
}

/*
 * Can it be true?  Knobs are taken over text by text, as those of a guest are; each end of a trial that was
 * done is held against its job.  The clock of the host need not run like ours (on the exact clock it does
 * not at all), so the time that there was is what the plan allows.
 */
static int record_check(struct trial_record *record, const struct trial_plan *plan, struct err *e)
{
	const struct endpoint_job *client = &plan->ends[END_CLIENT].job;
	uint64_t most = job_longest_ns(client) + 2 * client->timeout_ns + LATE_NS;
	int rc = host_knobs_read(&record->knobs, e);

	if (rc < 0) {
		json_decref(record->knobs);
		record->knobs = json_array();
	}
	for (size_t i = 0; i < plan->ends_n; i++) {
		struct endpoint_record *end = &record->ends[i].record;
		struct err why = ERR_INIT;

		if (endpoint_record_check(end, &plan->ends[i].job, most, &why) == 0)
			continue;
		*end = (struct endpoint_record){0}; /* what cannot be true is not kept */
		if (rc == 0 && record->outcome == TRIAL_DONE) {
			err_wrap(&why, "%s endpoint", role_name(plan->ends[i].role));
			rc = -why.code;
			*e = why;
		}
	}
	if (rc == 0)
		rc = trial_machine_check(record, most, TRIAL_NS, e);
	return rc == 0 && record->outcome == TRIAL_DONE ? trial_ends_check(record, plan, e) : rc;
}

static int lab_ask(struct lab *lab, const struct trial_plan *plan, struct trial_record *record, struct err *e)
{
	struct settings inner;
	json_t *body = NULL;
	uint64_t deadline = time_now_ns() + job_longest_ns(&plan->ends[END_CLIENT].job) + TRIAL_NS;

	lab_inner(plan, &inner);
	int rc = frame_send(lab->control, FRAME_TRIAL, json_pack("{s:o}", "settings", settings_json(&inner)),
		deadline, e);
	if (rc == 0)
		rc = lab_hear(lab, FRAME_TRIAL_RECORD, &body, deadline, e);
	if (rc == 0)
		rc = trial_record_from_json(record, body, READ_STREAM, e);
	if (rc == 0)
		rc = record_check(record, plan, e);
	json_decref(body);
	return rc < 0 ? err_wrap(e, "emulated host") : 0;
}

/* The machine runs by itself to its end; the record is what it left. */
static int lab_reap(
	struct lab *lab, const struct trial_plan *plan, struct trial_record *record, struct err *e)
{
	json_t *hello = NULL, *body = NULL;
	char how[512];
	int rc = machine_wait(lab->machine, time_now_ns() + EXACT_NS, e);

	if (rc == 0)
		rc = err_set(e, ETIMEDOUT, "it did not end in time");
	if (rc < 0)
		return rc;
	int fd = machine_record(lab->machine);
	uint64_t soon = time_now_ns() + NS_PER_S;
	rc = frame_expect(fd, FRAME_HELLO, &hello, soon, e);
	if (rc == 0)
		rc = frame_hello_read(hello, &lab->facts, e);
	if (rc == 0)
		rc = frame_expect(fd, FRAME_TRIAL_RECORD, &body, soon, e);
	if (rc == 0)
		rc = trial_record_from_json(record, body, READ_STREAM, e);
	if (rc == 0)
		rc = record_check(record, plan, e);
	json_decref(hello);
	json_decref(body);
	if (rc == -EPIPE && machine_ended(lab->machine, true, how, sizeof(how)))
		err_set(e, ECHILD, "it left no record: %s", how);
	return rc < 0 ? err_wrap(e, "exact clock") : 0;
}

static int carry_out(
	struct site *site, const struct trial_plan *plan, struct trial_record *record, struct err *e)
{
	int rc = 0;

	if (!lab_serves(site->lab, plan)) {
		lab_stop(site);
		rc = lab_boot(site, plan, e);
	}
	if (rc == 0)
		rc = plan->exact ? lab_reap(site->lab, plan, record, e) : lab_ask(site->lab, plan, record, e);
	if (rc == 0)
		lab_sign(site->lab, plan, record);
	return rc;
}

static int lab_trial(
	struct site *site, const struct trial_plan *plan, struct trial_record *record, struct err *e)
{
	struct err why = ERR_INIT;
	char text[1024];
	uint64_t begin = time_now_ns(), wall = time_wall_ns();

	int rc = local_stop(site, e);
	if (rc < 0)
		return rc;
	noise_stop(&site->noise); /* that host has its own */
	rc = carry_out(site, plan, record, &why);
	record->wall_started_ns = wall;
	record->duration_ns = time_now_ns() - begin;
	if (rc < 0) {
		trial_record_begin(record, plan);
		trial_record_forget(record);
		record->outcome = TRIAL_FAILED;
		record->verified = false; /* what was read before it went wrong is nothing to go by */
		snprintf(record->reason, sizeof(record->reason), "%s", err_string(&why, text, sizeof(text)));
		if (site->lab && site->lab->machine)
			machine_console(site->lab->machine, record->console, sizeof(record->console));
		log_debug("console of the emulated host: %s", record->console);
		if (site->lab)
			site->lab->doubtful = true;
	}
	if (plan->exact || (site->lab && site->lab->doubtful))
		lab_stop(site);
	if (rc == -EINTR || stop_flag)
		return err_set(e, EINTR, "interrupted");
	if (rc < 0 && (why.exit == EXIT_USAGE || why.code == ENOSPC)) {
		*e = why;
		return rc;
	}
	return 0;
}

static int stop(struct site *site, struct err *e)
{
	(void)e;
	lab_stop(site);
	return 0;
}

const struct site_row site_lab = {
	.check = lab_check,
	.kernels = lab_kernels,
	.resolve = lab_resolve,
	.cost_ns = lab_cost_ns,
	.trial = lab_trial,
	.stop = stop,
};
