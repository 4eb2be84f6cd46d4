/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * cpio: writes an initramfs ("newc") in the order of the calls.  No times, no owners, no inode numbers: the
 * same calls give the same bytes.  The first error sticks and comes out of cpio_close(), so callers need not
 * look at each call.
 */
#pragma once

#include "boot.h"

struct cpio;

/* Appends to `fd`, which stays the caller's. */
struct cpio *cpio_open(int fd);
/* Folders above a path are made by themselves.  Paths are absolute. */
void cpio_folder(struct cpio *c, const char *path, unsigned mode);
void cpio_data(struct cpio *c, const char *path, unsigned mode, const void *data, size_t len);
void cpio_copy(struct cpio *c, const char *path, unsigned mode, const char *source);
void cpio_link(struct cpio *c, const char *path, const char *to);
void cpio_device(struct cpio *c, const char *path, unsigned mode, unsigned major, unsigned minor);
/* Has this path been written? */
bool cpio_has(const struct cpio *c, const char *path);
int cpio_close(struct cpio *c, struct err *e);
