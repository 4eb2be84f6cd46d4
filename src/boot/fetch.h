/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What fetching a kernel and fetching QEMU have in common: apt's lists, and a place in the cache. */
#pragma once

#include "apt.h"

struct fetch {
	struct apt apt;              /* its progress and arg are given */
	const char *what;            /* "a kernel", for messages */
	char base[300], folder[360]; /* CACHE/KIND, and .fetch-PID in it */
	int lock;
};

/* Takes the lock of CACHE/KIND, makes the folder, and reads the lists of packages.  -EBUSY while another taut
 * fetches such a thing; fetch_close() is called in any case. */
int fetch_open(struct fetch *f, const char *kind, struct err *e);
/* Removes the folder and gives the lock back; returns rc. */
int fetch_close(struct fetch *f, int rc, struct err *e);
/* Syncs the folder `tree` and puts it to BASE/NAME in one step.  -EINTR when stop_flag is raised. */
int fetch_place(const struct fetch *f, const char *tree, const char *name, struct err *e);
/* Is this the version of a package, or a name like one, so that it can be the name of a folder? */
bool fetch_name_is_plain(const char *text);
