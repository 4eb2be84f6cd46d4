/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Published figures that an experiment names (`reference:`), beside those of a run.  The data are files of
 * data/, which become const tables when taut is built.
 */
#pragma once

#include "model.h"

enum reference_quantity {
	REFERENCE_THROUGHPUT, /* of a trial, b/s */
	REFERENCE_MEAN,       /* round trip of a trial, ns */
	REFERENCE_SINGLE,     /* single round trips, ns */
	REFERENCE_QUANTITIES
};

struct reference_box {
	double min, q1, median, q3, max; /* NaN where nothing was measured */
};

struct reference_row {
	const char *workload, *target, *attachment, *arm; /* as settings and arms of the experiment */
	enum reference_quantity quantity;
	struct reference_box box;
};

struct reference {
	const char *name, *title, *setting, *boxes; /* boxes: what they are boxes of */
	double line_rate_bps, mtu, moderation_ns;   /* of the NICs */
	const struct reference_row *rows;           /* those of a cell stand together, the old arm first */
	size_t rows_n;
};
extern const struct reference reference_sets[];
extern const size_t reference_sets_n;

enum reference_direction { REFERENCE_UNKNOWN, REFERENCE_DOWN, REFERENCE_SAME, REFERENCE_UP };
enum reference_agreement { REFERENCE_OPEN, REFERENCE_AGREES, REFERENCE_DIFFERS, REFERENCE_UNCLEAR };
extern const char *const reference_directions[], *const reference_agreements[];

/* Two arms and what lies between their medians, published or measured. */
struct reference_pair {
	const char *old_name, *new_name; /* arms */
	struct reference_box old, new;
	double change, change_of_new; /* NaN where an arm has none */
	enum reference_direction direction;
};

/* The published pair of one cell. */
struct reference_cell {
	const struct reference_row *row; /* of the old arm */
	struct reference_pair published;
	bool clipped[2], bimodal[2]; /* old and new */
	double moderation_of[2];     /* how many periods of the interrupt moderation the median is; 0: none */
};
/* The next cell of the set from row *at on; false: there is none. */
bool reference_next(const struct reference *set, size_t *at, struct reference_cell *out);

/* What a cell of the run has beside it; false: the cell is another one, or has neither arm. */
struct reference_match {
	const struct report_cell *cell;
	struct reference_pair measured;
	size_t trials;      /* usable, of both arms */
	bool lab, emulated; /* on an emulated host; there, or in an emulated guest of this machine */
	enum reference_agreement agreement;
};
bool reference_match(
	const struct reference_cell *published, const struct report_cell *cell, struct reference_match *out);

/* The set that the run's experiment names; NULL: none, or one that this taut has not got. */
const struct reference *report_reference(const struct report *r);
json_t *report_reference_json(const struct report *r); /* null where there is none */
void report_reference_terminal(const struct report *r, const struct report_style *style, struct buf *out);
