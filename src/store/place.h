/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The file that a database is: whose it is, and whether it is still at the path by which it was opened. */
#pragma once

#include "base/base.h"

#include <sys/stat.h>

struct place {
	int fd;           /* keeps the file, and the locks of runs that are under way; -1: none */
	char *real;       /* the path without links */
	struct stat seen; /* when it was opened */
	bool log;         /* it had a write-ahead log then */
};
#define PLACE_NONE ((struct place){.fd = -1})

/*
 * Opens a regular file that belongs to us; with *reading for reading alone, else it is made if there is none,
 * and *reading is set when it cannot be written.  Root refuses a file that others can write.  A link is
 * followed when it is our own or root's.  What lies beside it under the names of SQLite must be ours as well.
 */
int place_open(struct place *p, const char *path, bool *reading, struct err *e);
void place_close(struct place *p);
/* Is it still the file at this path, with nothing of anybody else beside it? */
int place_holds(const struct place *p, const char *path, struct err *e);
/* Nobody has written it since it was opened without a log. */
int place_unchanged(const struct place *p, const char *path, struct err *e);
bool place_has_log(const struct place *p);
