/* SPDX-License-Identifier: GPL-3.0-or-later */
/* How a QEMU is started; private to boot. */
#pragma once

#include "boot.h"

#define QEMU_PROGRAM "qemu-system-x86_64"
#define QEMU_LOADER  "ld-linux-x86-64.so.2" /* in the folder lib of a QEMU in the cache */

/* Names of the files that a machine reads at run time, NULL-terminated. */
extern const char *const qemu_firmware[];

/* The QEMU in a folder of the cache.  -ENOENT when there is none, -ENOTSUP when it cannot be used. */
int qemu_at(struct qemu *out, const char *folder, struct err *e);
/* May it run code of this machine's guest that the guest has rewritten meanwhile? */
bool qemu_may_be_stale(const struct qemu *q, const struct machine_options *o);
/*
 * The words that start it, NULL-terminated, malloc'd like each of them: one of the cache by its own dynamic
 * loader with its own libraries, so that nothing of the machine's counts.
 */
char **qemu_words(const struct qemu *q, const char *const *arguments);
void words_free(char **words);
/* "NAME=value" for its environment, malloc'd: where it looks for parts of itself; NULL: nothing is needed. */
char *qemu_environment(const struct qemu *q);
