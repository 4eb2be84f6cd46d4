/* SPDX-License-Identifier: GPL-3.0-or-later */
/* apt in a private world: it asks the machine's own sources and writes below one folder only. */
#pragma once

#include "boot.h"

/* --- sources.c: where packages come from --------------------------------------------------------- */

struct source {
	char *uris;    /* one or more */
	char *options; /* fields of deb822, each ended by a newline */
	char suite[64];
};

struct sources {
	char base[40]; /* the suite of the release itself */
	struct source *list;
	size_t n;
};

void sources_free(struct sources *s);
/* Adds those of a file's text that are of the release `base`: one-line format, or deb822. */
void sources_parse(struct sources *s, const char *base, const char *text, bool deb822);
/*
 * Those of the machine (below `root`) for its release: by codename, else by "stable" and the like.  -ENOENT
 * when there are none, -ENOTSUP when it is not Debian.
 */
int sources_read(struct sources *s, const char *root, struct err *e);
bool sources_have_backports(const struct sources *s);
/* As one file in deb822; with `backports`, those as well, from where the release itself comes. */
void sources_write(const struct sources *s, bool backports, struct buf *out);

/* --- apt.c --------------------------------------------------------------------------------------- */

struct apt {
	char folder[512]; /* where it lives, private to one fetch */
	boot_progress progress;
	void *arg;
	const char *doing; /* of the command that runs, for progress */
	char error[300];   /* what it said was wrong */
};

/* The folder must exist and be empty. */
int apt_prepare(struct apt *apt, struct err *e);
/* Fetches the lists of packages; backports that do not exist are done without. */
int apt_update(struct apt *apt, struct err *e);
/* What is known of a package, all versions: malloc'd stanzas, "" for none. */
int apt_show(struct apt *apt, const char *package, char **out, struct err *e);
/* One package, verified by apt, into an empty folder; *path is malloc'd. */
int apt_download(struct apt *apt, const char *package, const char *version, const char *folder, char **path,
	struct err *e);
