/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Kernels that have been found.  Looking for one reads folders, configurations and images, so a word is
 * looked for once in the life of a process, and whoever asks again gets the same kernel.  A word that named
 * none is looked for again: it may have been fetched meanwhile.
 */
#include "boot.h"

#define KNOWN_MAX 64

int kernel_known(const struct kernel **out, const char *which, struct err *e)
{
	static struct {
		const char *word;
		struct kernel *kernel;
	} known[KNOWN_MAX];
	static size_t n;

	for (size_t i = 0; i < n; i++)
		if (!strcmp(known[i].word, which)) {
			*out = known[i].kernel;
			return 0;
		}
	struct kernel *found = mem_alloc(sizeof(*found));
	int rc = n < KNOWN_MAX ? kernel_find(found, which, e)
			       : err_set(e, E2BIG, "cannot use more than %d kernels", KNOWN_MAX);
	if (rc < 0) {
		free(found);
		return rc;
	}
	known[n].word = str_keep(which);
	known[n++].kernel = found;
	*out = found;
	return 0;
}
