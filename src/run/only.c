/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Which cells of an experiment are measured: those whose names a pattern means. */
#include "run.h"

#include <fnmatch.h>

#define NAMED_MAX 6 /* names that a message holds */

static bool is_meant(const struct cell *cell, const char *const *patterns, size_t n)
{
	/* A '/' is a character like others, so that a '*' stands for any number of words. */
	for (size_t i = 0; i < n; i++)
		if (fnmatch(patterns[i], cell->name, 0) == 0)
			return true;
	return false;
}

static bool means_any(const struct experiment *x, const char *pattern)
{
	for (size_t c = 0; c < x->cells_n; c++)
		if (is_meant(&x->cells[c], &pattern, 1))
			return true;
	return false;
}

static int no_such_cell(const struct experiment *x, const char *pattern, struct err *e)
{
	AUTO(buf_free) struct buf names = {0};
	size_t n = MIN(x->cells_n, (size_t)NAMED_MAX);

	for (size_t c = 0; c < n; c++)
		buf_add(&names, "%s%s", c ? ", " : "", x->cells[c].name);
	if (x->cells_n > n)
		buf_add(&names, " and %zu more, which --dry-run shows", x->cells_n - n);
	return err_usage(e, "cannot use --only '%s': no cell of %s has such a name; there %s %s", pattern,
		x->name, x->cells_n == 1 ? "is" : "are", names.data);
}

int experiment_only(struct experiment *x, const char *const *patterns, size_t n, struct err *e)
{
	size_t kept = 0;

	for (size_t i = 0; i < n; i++)
		if (!means_any(x, patterns[i]))
			return no_such_cell(x, patterns[i], e);
	for (size_t c = 0; n && c < x->cells_n; c++) {
		if (is_meant(&x->cells[c], patterns, n)) {
			x->cells[kept++] = x->cells[c];
			continue;
		}
		free(x->cells[c].settings);
		free(x->cells[c].plans);
	}
	if (n)
		x->cells_n = kept;
	return 0;
}

uint64_t run_seed_of(uint64_t first, uint64_t number)
{
	uint64_t state = first, seed = first;

	for (uint64_t i = 0; i < number; i++)
		seed = rng_next(&state) % 1000000000u + 1;
	return seed;
}
