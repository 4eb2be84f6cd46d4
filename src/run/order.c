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

/* Can one target serve these two cells, in every arm? */
static bool together(const struct experiment *x, size_t a, size_t b)
{
	for (size_t i = 0; i < x->arms_n; i++)
		if (cell_has(&x->cells[a], i) != cell_has(&x->cells[b], i) ||
			!settings_share(&x->cells[a].settings[i], &x->cells[b].settings[i]))
			return false;
	return true;
}

/*
 * The cells that are not skipped, those that share targets beside the first of them, and otherwise as the
 * experiment has them.  head[i]: with cells[i] begins a group that shares.  Returns how many.
 */
static size_t cells_grouped(const struct experiment *x, size_t *cells, bool *head)
{
	bool *placed = mem_array(x->cells_n, sizeof(*placed));
	size_t n = 0;

	for (size_t c = 0; c < x->cells_n; c++) {
		if (x->cells[c].skipped || placed[c])
			continue;
		for (size_t other = c; other < x->cells_n; other++) {
			if (x->cells[other].skipped || placed[other] ||
				(other != c && !together(x, c, other)))
				continue;
			placed[other] = true;
			head[n] = other == c;
			cells[n++] = other;
		}
	}
	free(placed);
	return n;
}

struct ordering {
	const struct experiment *x;
	size_t *cells; /* grouped */
	bool *head;
	size_t cells_n;
	size_t *arms; /* in random order */
	struct run_step *steps;
	size_t n;
};

static void step_add(struct ordering *o, size_t cell, size_t arm, bool boot)
{
	o->steps[o->n++] = (struct run_step){cell, arm, boot};
}

/* Of the cells from `first` that share a target: arm by arm, and in each arm one cell after the other. */
static void group_steps(struct ordering *o, size_t first)
{
	for (size_t a = 0; a < o->x->arms_n; a++)
		for (size_t i = first; i < o->cells_n && (i == first || !o->head[i]); i++)
			if (cell_has(&o->x->cells[o->cells[i]], o->arms[a]))
				step_add(o, o->cells[i], o->arms[a], false);
}

/* The trials of the arms of one name that are on an emulated host, or those of the same cells that are not.
 */
static void arm_steps(struct ordering *o, const char *name, bool lab)
{
	bool boot = lab;

	for (size_t i = 0; i < o->cells_n; i++) {
		const struct cell *cell = &o->x->cells[o->cells[i]];
		int arm = cell_arm(o->x, cell, name);
		if (arm < 0 || !emulated(o->x, o->cells[i]) || host_of(&cell->settings[arm])->emulated != lab)
			continue;
		step_add(o, o->cells[i], (size_t)arm, boot);
		boot = false;
	}
}

/* Does an arm of this name come earlier in the order? */
static bool name_placed(const struct ordering *o, size_t a)
{
	for (size_t i = 0; i < a; i++)
		if (!strcmp(o->x->arms[o->arms[i]].name, o->x->arms[o->arms[a]].name))
			return true;
	return false;
}

size_t run_steps(const struct experiment *x, uint64_t seed, uint64_t block, struct run_step *out)
{
	struct ordering o = {.x = x,
		.cells = mem_array(x->cells_n, sizeof(*o.cells)),
		.head = mem_array(x->cells_n, sizeof(*o.head)),
		.arms = mem_array(x->arms_n, sizeof(*o.arms)),
		.steps = out};

	o.cells_n = cells_grouped(x, o.cells, o.head);
	for (size_t i = 0; i < o.cells_n; i++) {
		if (!o.head[i] || emulated(x, o.cells[i]))
			continue;
		run_order(seed, block, o.cells[i], x->arms_n, o.arms);
		group_steps(&o, i);
	}
	run_order(seed, block, x->cells_n, x->arms_n, o.arms);
	/* What is local in an arm comes first: a host that was booted for the rest would be beside it. */
	for (size_t a = 0; a < x->arms_n; a++) {
		const char *name = x->arms[o.arms[a]].name;
		if (name_placed(&o, a))
			continue;
		arm_steps(&o, name, false);
		arm_steps(&o, name, true);
	}
	free(o.cells);
	free(o.head);
	free(o.arms);
	return o.n;
}
