/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Archives and compressed files, read with libarchive, whose own header is archive.h. */
#pragma once

#include "base/base.h"

/*
 * A whole regular file, uncompressed if it is xz, gzip or zstd, else as it is; malloc'd.  -EFBIG when it is
 * or becomes longer than `max` bytes, -EBADMSG when it is damaged.
 */
int unpack_file(const char *path, size_t max, char **out, size_t *len, struct err *e);

/*
 * Unpacks a Debian package of a kernel into FOLDER/vmlinuz, FOLDER/config and FOLDER/modules, which has the
 * files of /lib/modules/RELEASE.  Only regular files and folders are unpacked; a package with names that lead
 * out of its tree is refused.  -EINTR when stop_flag is raised.  FOLDER must exist and be empty.
 */
int unpack_kernel_package(const char *package, const char *folder, struct err *e);
