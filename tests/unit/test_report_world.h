/* SPDX-License-Identifier: GPL-3.0-or-later */
/* For tests of report: a store in a temporary folder, made-up trials to put into it, and questions. */
#pragma once

#include "report/model.h"

#include <setjmp.h>

#include <cmocka.h>

#define CHECK(call)                                                                                          \
	do {                                                                                                 \
		if ((call) < 0) {                                                                            \
			print_error("%s: %s\n", #call, problem.text);                                        \
			fail();                                                                              \
		}                                                                                            \
	} while (0)

extern struct err problem;

struct world {
	char folder[64], file[96];
	struct store *store;
	int64_t run; /* the one that was begun last */
};

/* Of cmocka: *state is a struct world with an empty store. */
int setup(void **state);
int teardown(void **state);

/* Latencies: base + (i·7919 mod 100)·step, the slowest thousandth × tail. */
struct shape {
	uint64_t base_ns, step_ns;
	uint64_t tail, transactions;
	const char *owner;
};

struct trial_record *rr_record(const struct settings *s, const struct shape *shape, uint64_t block);
struct trial_record *open_record(const struct settings *s, const struct shape *shape, uint64_t block);
struct trial_record *stream_record(const struct settings *s, double bps, uint64_t block);

/* Of a container, 20000 transactions. */
struct settings settings_of(const char *workload, const char *profile);
int64_t run_begin(struct world *w, const char *name, uint64_t blocks);
/* With the arms stock and tuned. */
int64_t cell_add(struct world *w, const char *name, struct settings arms[2]);
/* Frees the record. */
void trial_add(struct world *w, int64_t cell, const char *arm, uint64_t block, struct trial_record *r);

/* On the first pair of arms. */
const struct stat_effect *effect_of(const struct report_cell *cell, enum stat_metric metric);
/* Are all these keys ("a b c") in the object? */
void has_keys(const json_t *object, const char *keys);
void says(const struct buf *b, const char *text);
void reads(const struct buf *b, const char *text); /* wherever lines are broken */
void says_not(const struct buf *b, const char *text);
size_t widest(const char *text);
