/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Trials as their users ask for them, for tests of site on the real machine.  The agent is the one that
 * $TAUT_AGENT names.  What taut keeps (journals, images) goes to a folder of the test's own, which is gone
 * at the end; kernels are those of this machine.
 */
#pragma once

#include "site/site.h"
#include "test_marks.h"
#include "test_need.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* Fails with both texts unless `text` has `part` in it. */
void assert_has(const char *text, const char *part);

/* Makes the folder and a network namespace for the links, becomes root of a user namespace where there is no
 * privilege, and runs the group; for main(). */
int world_run(int (*group)(void));
/* A path in the test's folder, malloc'd. */
char *world_path(const char *name);
/* Says why a test is skipped; fails instead when TAUT_MUST names `need` (netns, oci, qemu, kernels). */
void world_lacks(const char *need, const char *what, const char *reason);
/* Is the agent one that can be PID 1 of a machine?  A build with sanitizers makes none. */
bool world_boots(void);

/* "target=container,runtime=oci": all else by default. */
void words_set(struct settings *s, const char *words);
struct site *site_new(void); /* others' work does not keep it from tuning */

/* One trial, with a site that is open. */
struct trial {
	struct site *site; /* borrowed */
	struct trial_plan plan;
	struct trial_record *record;
	int rc;
	struct err e;
};
/* Checks and resolves the trial; false where this machine cannot carry it out, see world_lacks(). */
bool trial_ask(struct trial *t, struct site *site, const char *words);
/* Carries it out.  A trial that does not boot its host leaves nothing, however it goes. */
void trial_run(struct trial *t);
void trial_end(struct trial *t);
/* It was done, and each end has seen something. */
void assert_done(const struct trial *t);

/* Raises stop_flag after so long, 0: now; and takes that back. */
void stop_after(unsigned ms);
void stop_never(void);
