/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Hosts that measure nothing, and a store, for tests of run: a trial goes as the test says, and what was
 * asked for is noted.
 */
#pragma once

#include "run/run.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define TRIALS_MAX 64

/* Three blocks of two cells and two arms, on this host. */
extern const char plain[];
/* Two blocks of a cell on this host and two on an emulated one, with two arms. */
extern const char mixed[];

enum how_it_goes { DONE, FAILS, SKIPS, IS_STOPPED, THEN_STOPS, ENDS_THE_RUN };

/* Two blocks of two cells, of which the second has arms of its own. */
extern const char own_arms[];
/* Two blocks of four cells, of which all but the second share targets. */
extern const char shared[];

/* The hosts and what has been seen on them; a row has no argument of its own. */
struct fake {
	size_t special; /* of which trial, counted from 1, `how` is true */
	enum how_it_goes how;
	const char *lacking; /* a target that cannot be made; "" : any */
	bool privilege;      /* and root could */
	bool refuses;        /* the settings */
	size_t trials, stops, stops_local;
	size_t stop_fails; /* which stop of this host fails, from 1 */
	struct {
		const char *workload, *target, *site;
		uint64_t request, mtu;
		bool emulated;
		size_t group_n;
		bool in_group;
	} seen[TRIALS_MAX];
};
extern struct fake fake;

struct world {
	char folder[64];
	struct store *store;
	struct site *site;
	struct experiment x;
	struct store_run run;
	size_t starts, skips, begins, trials;
	uint64_t total, first_done, last_left_ns;
	char reason[512];
};

/* What the store has of the run. */
struct stored {
	size_t trials, of_outcome[TRIAL_SKIPPED + 1];
	char order[1024];
};

void must(int rc, const struct err *e); /* fails the test with the message */
int world_setup(void **state);
int world_teardown(void **state);
void world_load(struct world *w, const char *text);
/* Probes first, where that has not been done. */
int world_execute(struct world *w, bool resume, struct err *e);
struct stored world_stored(const struct world *w);
void world_state_is(const struct world *w, const char *wanted);

#define WORLD_TEST(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)
