/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * site: one trial on one host, in one order: tune host, create target, start the endpoints, tune the subject,
 * verify, measure, verify again, take down, revert.  It alone puts tune, testbed and engine together.
 *
 * Settings are checked (site_check), turned once into a plan (site_resolve), and the plan is what everything
 * after that takes.
 */
#pragma once

#include "spec/plan.h"
#include "wire/record.h"

struct site;
struct boot_doing; /* a step of fetching a kernel or QEMU, see boot/boot.h */

/* The most kernels that one trial can need: its host's and its guest's. */
#define SITE_KERNELS 2

/* A host that can carry out trials: one row each, in site.c; what its word is stands in spec's host_rows. */
struct site_row {
	/* What of the settings makes no sense on this host; may fill in what follows.  EXIT_USAGE. */
	int (*check)(struct site *site, struct settings *s, struct err *e);
	/* May the trial be carried out, as this host stands now?  EXIT_REFUSED; NULL: it always may. */
	int (*allow)(struct site *site, const struct settings *s, struct err *e);
	/* The words of the kernels that must be there, of a plan that is not resolved; NULL stays for none.
	 */
	void (*kernels)(const struct trial_plan *plan, const char *words[SITE_KERNELS]);
	/* Adds to the plan what the trial needs and is there; an error says why it cannot be carried out. */
	int (*resolve)(struct trial_plan *plan, struct err *e);
	/* Can it be carried out?  As site_resolve(), of a plan that has been resolved; NULL: then it can. */
	enum target_answer (*probe)(
		const struct trial_plan *plan, char *reason, size_t size, bool *privilege);
	/* What tuning would be done, appended to `all`; NULL: that is known when the host runs. */
	int (*tuning)(struct site *site, const struct trial_plan *plan, json_t *all, struct err *e);
	/* About how long a trial takes that measures for `measured_ns`. */
	double (*cost_ns)(const struct settings *s, double measured_ns);
	/* As site_trial(). */
	int (*trial)(
		struct site *site, const struct trial_plan *plan, struct trial_record *record, struct err *e);
	/* Ends what serves the present group of trials; an error as of site_trial().  NULL: nothing does. */
	int (*stop)(struct site *site, struct err *e);
};

struct site_options {
	bool yes;      /* tune although others' VMs or containers run here */
	bool planning; /* nothing will be carried out, so no leave is asked: site_allowed() tells */
	bool exact;    /* this host is on the exact clock: whoever watches would be measured as well */
	const struct site_row *rows; /* in the order of enum site_kind; NULL: the real ones */
};

/* Opens the local host.  Fails when a tuning of a dead taut is still in force (unless planning): `stock`
 * would be a lie. */
int site_open(struct site **out, const struct site_options *options, struct err *e);
/* Stops the noise, and takes down what has served trials: what site_group() could tell of that is a warning
 * here.  Takes NULL. */
void site_close(struct site *site);

/* Fills what follows from the settings and refuses what makes no sense here: EXIT_USAGE, EXIT_REFUSED. */
int site_check(struct site *site, struct settings *settings, struct err *e);
/* Would this trial be refused, planning or not?  EXIT_REFUSED with the reason; another error: that cannot be
 * told.  The settings were checked. */
int site_allowed(struct site *site, const struct settings *settings, struct err *e);
/*
 * Turns checked settings into the plan of their trial, and says whether it can be carried out here: TARGET_NO
 * with the reason, TARGET_UNKNOWN when it could not be told; *privilege when root would help.  The plan is
 * valid as long as the site is open; of one that cannot be carried out only what needs no look at the machine
 * is in it.
 */
enum target_answer site_resolve(struct site *site, const struct settings *settings, struct trial_plan *plan,
	char *reason, size_t size, bool *privilege);
/* What tuning would be done, as undo_list_json() gives it; live knobs are planned on no subject. */
int site_tuning_json(struct site *site, const struct trial_plan *plan, json_t **out, struct err *e);

/*
 * Carries out one trial.  0: `record` says how it went (done, failed or skipped).  An error means that the
 * run must end: -EINTR when stop_flag was raised, EXIT_PARTLY_APPLIED when the machine could not be put back.
 */
int site_trial(struct site *site, const struct trial_plan *plan, struct trial_record *record, struct err *e);

/*
 * The trials (borrowed until the next call) that the next boot of an emulated host shall serve, one after
 * another; an earlier host is shut down, and a target that trials have shared is taken down.  Without it a
 * host serves the trials that it can and is booted anew for others, and so it is with a target.  An error is
 * one of taking down, as of site_trial().
 */
int site_group(struct site *site, const struct trial_plan *const *trials, size_t n, struct err *e);

/* --- before the first trial -------------------------------------------------------------------- */

/* The word of a kernel that a trial with these settings needs, has not got and can have (which <
 * SITE_KERNELS), or NULL. */
const char *site_lacks(const struct settings *s, size_t which);
/* Does such a trial need a QEMU that makes NICs, and there is none? */
bool site_lacks_qemu(const struct settings *s);
bool site_lacks_any(const struct settings *s);
/*
 * Fetches the kernels and the QEMU that trials need, have not got and can have; what cannot be had is said as
 * a warning, and the cell will be skipped.  Not for local trials that ask for KVM: whether that works is seen
 * first. -EINTR when stopped.  `progress` hears BOOT_STEP_KERNEL before each, then the steps.
 */
int site_prepare(const struct settings *trials, size_t n,
	void (*progress)(const struct boot_doing *doing, void *arg), void *arg, struct err *e);
/* Fetches a QEMU when none here can make such NICs; as site_prepare(). */
int site_prepare_nics(enum nic_model model, void (*progress)(const struct boot_doing *doing, void *arg),
	void *arg, struct err *e);
/* An estimate of the time that a trial takes with everything around its `measured_ns`. */
double site_trial_cost_ns(const struct settings *s, double measured_ns);

/* --- emulated hosts ---------------------------------------------------------------------------- */

/*
 * The other side, on an emulated host: carries out the trials that come over `fd` until it ends; with `plan`
 * (a file that holds a boot document) the one that stands there.  Errors go to the other side as well.
 */
int site_serve(struct site *site, int fd, const char *plan, struct err *e);

#define SHELL_CPUS_MAX 8
struct shell_options {
	const char *kernel, *boot; /* boot: further arguments; NULL: none */
	unsigned cpus;             /* 0: the usual number */
	enum nic_model nics;       /* NIC_NONE: without */
};
/*
 * An emulated host with this kernel and a shell on our terminal, until the shell ends; or, when standard
 * input is none, with that as its script.  *status: what it ended with.
 */
int site_shell(const struct shell_options *shell, int *status, struct err *e);

/* The machine as it is: kernel, CPUs, mitigations, clock, governor, cgroups, links, IRQs, sysctls, programs.
 */
json_t *site_environment(void);
