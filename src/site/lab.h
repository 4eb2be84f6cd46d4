/* SPDX-License-Identifier: GPL-3.0-or-later */
/* An emulated host that runs: booted, asked, thrown away. */
#pragma once

#include "hosts.h"

#define LAB_GUESTS_MAX 8
#define LAB_CPUS       2 /* of an emulated host */

struct lab {
	struct machine *machine;
	int control; /* −1 on the exact clock */
	char folder[256];
	const char *boot;
	const struct kernel *kernel;
	const struct kernel *guests[LAB_GUESTS_MAX];
	size_t guests_n;
	unsigned parts;
	enum nic_model nics;
	struct kernel_facts facts;
	bool doubtful;
};

/* The kernels of the plan, the host's and its guest's; the host must be able to carry such a trial out. */
int lab_kernels_find(struct trial_plan *plan, struct err *e);
/* Can the host that runs (NULL: none does) carry out this trial? */
bool lab_serves(const struct lab *lab, const struct trial_plan *plan);
/* Boots one for this trial and those of its group; it is site->lab, also on failure. */
int lab_boot(struct site *site, const struct trial_plan *plan, struct err *e);
void lab_stop(struct site *site);
/*
 * There `device` names the model of both NICs.  A machine or container of the host is lent the first one or a
 * function of it, the client has the second.  EXIT_USAGE.
 */
int lab_nics_check(const struct settings *s, struct err *e);
/* The model of the NICs that an emulated host has for such a trial. */
enum nic_model lab_nics(const struct settings *s);
/* The settings as the host inside is given them: itself is local there, and kernels have one name. */
void lab_inner(const struct trial_plan *plan, struct settings *inner);
/* One frame of it; an error says how the machine fared.  Deadline 0: as long as it is seen to boot. */
int lab_hear(struct lab *lab, enum frame_type type, json_t **body, uint64_t deadline_ns, struct err *e);
