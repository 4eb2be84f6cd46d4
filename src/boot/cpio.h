/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * cpio: writes an initramfs ("newc") in the order of the calls.  It has no times, owners or inode numbers, so
 * the same calls give the same bytes.  The first error is kept and returned by cpio_close(), so callers need
 * not check each call.
 */
#pragma once

#include "boot.h"

struct cpio;

/* Appends to `fd`, which the caller still owns. */
struct cpio *cpio_open(int fd);
/* Paths are absolute; the folders above a path are added where they are missing. */
void cpio_folder(struct cpio *c, const char *path, unsigned mode);
void cpio_data(struct cpio *c, const char *path, unsigned mode, const void *data, size_t len);
void cpio_copy(struct cpio *c, const char *path, unsigned mode, const char *source);
void cpio_link(struct cpio *c, const char *path, const char *to);
void cpio_device(struct cpio *c, const char *path, unsigned mode, unsigned major, unsigned minor);
/* Has this path been written? */
bool cpio_has(const struct cpio *c, const char *path);
int cpio_close(struct cpio *c, struct err *e);
