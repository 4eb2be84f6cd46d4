/* SPDX-License-Identifier: GPL-3.0-or-later */
/* In which order the trials of a block are carried out: from the seed alone. */
#include "run.h"

/* Fisher and Yates, from a generator that depends on seed, block and cell only. */
void run_order(uint64_t seed, uint64_t block, size_t cell, size_t arms_n, size_t *order)
{
	uint64_t state = seed;

	state = rng_next(&state) ^ (block * 0x9e3779b97f4a7c15u);
	state = rng_next(&state) ^ cell;
	rng_next(&state);
	for (size_t i = 0; i < arms_n; i++)
		order[i] = i;
	for (size_t i = arms_n; i > 1; i--) {
		size_t j = rng_below(&state, (uint32_t)i), other = order[j];
		order[j] = order[i - 1];
		order[i - 1] = other;
	}
}

/* Does any of its arms run on an emulated host? */
static bool emulated(const struct experiment *x, size_t c)
{
	for (size_t a = 0; a < x->arms_n; a++)
		if (host_of(&x->cells[c].settings[a])->emulated)
			return true;
	return false;
}

/* The trials of one arm that are on an emulated host, or those of the same cells that are not. */
static size_t arm_steps(const struct experiment *x, size_t arm, bool lab, struct run_step *out)
{
	size_t n = 0;

	for (size_t c = 0; c < x->cells_n; c++)
		if (!x->cells[c].skipped && emulated(x, c) &&
			host_of(&x->cells[c].settings[arm])->emulated == lab) {
			out[n] = (struct run_step){c, arm, lab && n == 0};
			n++;
		}
	return n;
}

/* What is local in an arm comes first: a host that was booted for the rest would be beside it. */
static size_t emulated_steps(const struct experiment *x, const size_t *order, struct run_step *out)
{
	size_t n = 0;

	for (size_t i = 0; i < x->arms_n; i++) {
		n += arm_steps(x, order[i], false, out + n);
		n += arm_steps(x, order[i], true, out + n);
	}
	return n;
}

size_t run_steps(const struct experiment *x, uint64_t seed, uint64_t block, struct run_step *out)
{
	size_t *order = mem_array(x->arms_n, sizeof(*order)), n = 0;

	for (size_t c = 0; c < x->cells_n; c++) {
		if (x->cells[c].skipped || emulated(x, c))
			continue;
		run_order(seed, block, c, x->arms_n, order);
		for (size_t i = 0; i < x->arms_n; i++)
			out[n++] = (struct run_step){c, order[i], false};
	}
	run_order(seed, block, x->cells_n, x->arms_n, order);
	n += emulated_steps(x, order, out + n);
	free(order);
	return n;
}
