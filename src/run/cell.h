/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a cell of an experiment is made from. */
#pragma once

#include "run.h"

/* The values, in the order in which they override one another; those of the arm come before the last ones. */
struct layers {
	const struct settings *top;
	const json_t *texts; /* setting → text, of the cell */
	const struct setting_override *overrides;
	size_t overrides_n;
	const json_t *arms; /* of the experiment, by number: those of the cell in its order */
};

/* Adds the cell, without its name; it has an arm. */
int cell_add(struct experiment *x, const struct layers *layers, struct err *e);
/* Names all cells, whose layers these are.  On failure *at is the cell that cannot have its name. */
int cells_name(struct experiment *x, const struct layers *layers, size_t *at, struct err *e);
