/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * site: one trial on one host, in one order: tune host, create target, start the endpoints, tune the subject,
 * verify, measure, verify again, take down, revert.  It alone knows the tune, target and wire rooms together.
 */
#pragma once

#include "sys/sys.h"
#include "target/target.h"
#include "tune/tune.h"
#include "wire/wire.h"

struct site;

struct site_options {
	bool yes;   /* tune although others' VMs or containers run here */
	bool exact; /* this host is on the exact clock: whoever watches would be measured as well */
};

/* Opens the local host.  Fails when a tuning of a dead taut is still in force: `stock` would be a lie. */
int site_open(struct site **out, const struct site_options *options, struct err *e);
/* Stops the noise; takes NULL. */
void site_close(struct site *site);

/*
 * Can this trial be carried out here?  TARGET_NO with the reason; *privilege when root would help. EXIT_USAGE
 * errors of the settings (an unknown runtime, a CPU that is not there) are errors.
 */
int site_check(struct site *site, struct settings *settings, struct err *e);
enum target_answer site_probe(
	struct site *site, const struct settings *settings, char *reason, size_t size, bool *privilege);
/* What tuning would be done for these settings, as tune_plan_json() gives it; live knobs are planned on no
 * subject. */
int site_plan_json(struct site *site, const struct settings *settings, json_t **out, struct err *e);

/*
 * Carries out one trial.  0: `record` says how it went (done, failed or skipped).  An error means that the
 * run must end: -EINTR when stop_flag was raised, EXIT_PARTLY_APPLIED when the machine could not be put back.
 */
int site_trial(
	struct site *site, const struct settings *settings, struct trial_record *record, struct err *e);

/*
 * The trials (borrowed until the next call) that the next boot of an emulated host shall serve, one after
 * another; an earlier host is shut down.  Without it a host serves the trials that it can and is booted anew
 * for others.
 */
void site_group(struct site *site, const struct settings *const *trials, size_t n);

/*
 * The other side, on an emulated host: carries out the trials that come over `fd` until it ends; with `plan`
 * (a file that holds "plan") the one that stands there.  Errors go to the other side as well.
 */
int site_serve(struct site *site, int fd, const char *plan, struct err *e);

/*
 * An emulated host with this kernel and a shell on our terminal, until the shell ends; or, when standard
 * input is none, with that as its script.  *status: what it ended with.
 */
int site_shell(const char *kernel, const char *boot, int *status, struct err *e);

/* The machine as it is: kernel, CPUs, mitigations, clock, governor, cgroups, links, IRQs, sysctls, programs.
 */
json_t *site_environment(void);
