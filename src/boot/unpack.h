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
 * Where a member of a package is unpacked to, below FOLDER; false when it is left out.  `name` is without a
 * leading "usr/", since the older packages of a system with one /usr have some files without it.
 */
typedef bool unpack_keep(const char *name, bool is_link, char *out, size_t size);
/* Of the package of a kernel: FOLDER/vmlinuz, FOLDER/config and FOLDER/modules, which has the files of
 * /lib/modules/RELEASE. */
unpack_keep unpack_kernel;

/*
 * Unpacks of a Debian package what `keep` names.  Only regular files, folders, and links to files of the same
 * folder are unpacked; a package with names that lead out of its tree is refused.  -EINTR when stop_flag is
 * raised.  FOLDER must exist; a file that is in it already is not overwritten: -EEXIST.
 */
int unpack_package(const char *package, const char *folder, unpack_keep *keep, struct err *e);
