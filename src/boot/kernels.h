/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the files of boot that deal with kernels share. */
#pragma once

#include "boot.h"

/* --- kernel_read.c: what a bzImage and a configuration say -------------------------------------- */

#define BZIMAGE_HEAD_BYTES (0x200 + 0x10000 + 512) /* the name of a kernel lies within so many bytes */

/*
 * Release and version out of the beginning of a file (`len` bytes of it, BZIMAGE_HEAD_BYTES are enough) that
 * is `file_bytes` long.  -EINVAL, with the reason alone as text, for anything but a whole bzImage for x86-64.
 */
int bzimage_parse(struct kernel *k, const void *head, size_t len, uint64_t file_bytes, struct err *e);
/* The same from a file. */
int bzimage_read(struct kernel *k, const char *path, struct err *e);
/* Flavour, preemption and abilities; `config` is the text of a configuration, or NULL. */
void kernel_judge(struct kernel *k, const char *config);

/* --- kernel.c: where kernels are ---------------------------------------------------------------- */

/* Where kernels are looked for.  `root` is put in front of /boot and /lib/modules: "" for this machine, a
 * folder for tests. */
struct kernel_places {
	const char *root, *cache; /* cache: NULL for none */
};

/* All kernels, newest first; malloc'd. */
int kernels_list(const struct kernel_places *places, struct kernel **out, size_t *n, struct err *e);
/* Image, modules and configuration of the kernel at a path. */
int kernel_read(struct kernel *k, const struct kernel_places *places, const char *path, const char *origin,
	struct err *e);
/* kernel_find() among those of a list. */
int kernels_pick(struct kernel *out, const struct kernel *list, size_t n, const char *which, struct err *e);

/* --- word.c: what a word means ------------------------------------------------------------------ */

struct kernel_word {
	char version[80]; /* the beginning of a release; "" for every release */
	char flavour[16];
	bool said; /* the selector names a flavour; otherwise stock is meant */
};

/* A kernel selector: "", "rt", "6.1", "6.12-rt", "6.12.95+deb12-rt-amd64"; -EINVAL for another form. */
int kernel_word_parse(struct kernel_word *word, const char *which);
/* Is `version` the beginning of `release`, up to the end of a number or word?  "" is that of every release.
 */
bool release_begins(const char *release, const char *version);

/* --- module.c ----------------------------------------------------------------------------------- */

/* The section .modinfo of a module, "key=value" each ended by NUL; -EINVAL when the bytes are no module. */
int module_info(const char *data, size_t len, const char **info, size_t *info_len, struct err *e);
/* The first value of a key at or after *at, which moves behind it; NULL when there is no further one. */
const char *module_info_next(const char *info, size_t len, const char *key, size_t *at);
