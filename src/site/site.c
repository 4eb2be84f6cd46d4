/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The site as its users see it: opened once, asked what can be done, given trials, which go to this host or
 * to an emulated one.
 */
#include "hosts.h"

static int refuse_leftover(struct site *site, struct err *e)
{
	int n = tune_leftover(&site->host, NULL, e);

	if (n <= 0)
		return n;
	err_refused(e,
		"cannot measure: "
		"%d changes of an earlier taut are still in force on this machine, so `stock` would be a lie",
		n);
	return err_try(e, "taut tune revert");
}

int site_open(struct site **out, const struct site_options *options, struct err *e)
{
	struct site *site = mem_alloc(sizeof(*site));
	int rc;

	*site = (struct site){.root = -1, .host = TUNE_HOST_NONE, .options = *options, .noise = NOISE_NONE};
	rc = site->root = root_open("/", e);
	if (rc >= 0)
		rc = tune_host_open(&site->host, site->root, e);
	if (rc >= 0)
		rc = refuse_leftover(site, e);
	if (rc < 0) {
		site_close(site);
		return rc;
	}
	*out = site;
	return 0;
}

void site_close(struct site *site)
{
	if (!site)
		return;
	lab_stop(&site->lab);
	noise_stop(&site->noise);
	tune_host_close(&site->host);
	if (site->root >= 0)
		close(site->root);
	free(site);
}

static int check_cpu(const struct site *site, const char *what, int64_t cpu, struct err *e)
{
	char list[256];

	if (cpu < 0 || CPU_ISSET((size_t)cpu, &site->host.online))
		return 0;
	return err_usage(e, "cannot pin the %s to CPU %lld: the CPUs of this machine are %s", what,
		(long long)cpu, cpus_format_list(&site->host.online, list, sizeof(list)));
}

/* A word that can be no kernel.  One that only is not here is a reason to skip, see site_probe(). */
static int check_kernels(const struct settings *s, struct err *e)
{
	const char *const words[] = {
		settings_lab(s), target_of(s)->machine && s->kernel[0] ? s->kernel : NULL};
	struct err why = ERR_INIT;
	struct kernel k;

	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (words[i] && kernel_find(&k, words[i], &why) < 0 && why.exit == EXIT_USAGE) {
			*e = why;
			return -why.code;
		}
	return 0;
}

/* Once a process: whoever asks for it may know, but will hardly guess how much it costs. */
static void warn_of_sharing(struct site *site, const struct settings *s)
{
	cpus isolated, housekeeping;

	if (site->warned || !target_of(s)->machine || !target_of(s)->made || !profile_of(s)->isolates ||
		tune_partition(&site->host, s->isolate, &isolated, &housekeeping, NULL) < 0 ||
		!CPU_COUNT(&isolated) || s->vcpus <= (uint64_t)CPU_COUNT(&isolated))
		return;
	site->warned = true;
	log_warn("%llu vCPUs have %d isolated CPU%s between them, and wait for each other: "
		 "profile low-latency can make that machine slower (try: fewer vcpus, or isolate)",
		(unsigned long long)s->vcpus, CPU_COUNT(&isolated), CPU_COUNT(&isolated) == 1 ? "" : "s");
}

int site_check(struct site *site, struct settings *s, struct err *e)
{
	cpus isolated, housekeeping;
	pid_t running;
	int rc = settings_check(s, e);

	if (rc == 0)
		rc = target_check(s, e);
	/* Within an emulated host any kernel will do that it was given, so none is named there. */
	if (rc == 0 && target_of(s)->boots && !s->kernel[0] && !host_emulated())
		s->kernel = "stock";
	if (rc == 0)
		rc = check_kernels(s, e);
	if (rc == 0 && profile_find(s->profile) < 0) {
		err_usage(e, "cannot use profile '%s': there is no such profile", s->profile);
		return err_try(e, "stock, low-latency or command");
	}
	if (rc < 0 || settings_lab(s)) /* an emulated host checks its own CPUs, and nobody else is on it */
		return rc;
	running = target_running(s);
	if (rc == 0)
		rc = check_cpu(site, "client", s->client_cpu, e);
	if (rc == 0)
		rc = check_cpu(site, "server", s->server_cpu, e);
	if (rc == 0 && s->isolate[0] &&
		(rc = tune_partition(&site->host, s->isolate, &isolated, &housekeeping, e)) < 0)
		e->exit = EXIT_USAGE;
	if (rc == 0 && profile_of(s)->writes)
		rc = tune_allowed(&site->host, running, site->options.yes, e);
	if (rc == 0)
		warn_of_sharing(site, s);
	return rc;
}

enum target_answer site_probe(
	struct site *site, const struct settings *s, char *reason, size_t size, bool *privilege)
{
	struct err e = ERR_INIT;

	(void)site;
	*privilege = false;
	if (settings_lab(s)) {
		if (lab_possible(s, &e) == 0)
			return TARGET_YES;
		err_string(&e, reason, size);
		return TARGET_NO;
	}
	if (!noise_possible(s->noise, reason, size))
		return TARGET_NO;
	return target_probe(s, reason, size, privilege);
}

int site_plan_json(struct site *site, const struct settings *settings, json_t **out, struct err *e)
{
	static const struct subject nobody;
	json_t *all = json_array();
	int rc = 0;

	/* What an emulated host offers is known when it runs. */
	for (int stage = TUNE_HOST; rc == 0 && !settings_lab(settings) && stage <= TUNE_LIVE; stage++) {
		struct tune_plan *plan = NULL;
		rc = tune_plan_make(&plan, &site->host, (enum tune_stage)stage, settings, &nobody, e);
		if (rc < 0)
			break;
		json_t *part = tune_plan_json(plan);
		json_array_extend(all, part);
		json_decref(part);
		tune_plan_free(plan);
	}
	if (rc < 0)
		json_decref(all);
	else
		*out = all;
	return rc;
}

void site_group(struct site *site, const struct settings *const *trials, size_t n)
{
	lab_stop(&site->lab);
	site->group = trials;
	site->group_n = n;
}

int site_trial(struct site *site, const struct settings *settings, struct trial_record *record, struct err *e)
{
	if (!settings_lab(settings))
		return site_trial_local(site, settings, record, e);
	noise_stop(&site->noise);
	return lab_trial(site, settings, record, e);
}
