/* SPDX-License-Identifier: GPL-3.0-or-later */
/* apt with a private state: it reads the machine's own sources and writes below one folder only. */
#pragma once

#include "boot.h"

/* --- sources.c: which lists are Debian's ----------------------------------------------------------- */

/* The format for apt-get indextargets --format whose output sources_take() reads. */
#define SOURCES_FORMAT "list\t$(ORIGIN)\t$(CODENAME)\t$(COMPONENT)\t$(REPO_URI)\t$(DESCRIPTION)"

struct sources {
	char codename[40]; /* of this release, from os-release; "" when it has none */
	char *uri;         /* the mirror of the release itself; NULL: its list has not been fetched */
	bool backports;    /* the list of the backports has been fetched */
	struct buf lists;  /* Debian's lists, as apt-cache madison names them, one on each line */
};

void sources_free(struct sources *s);
/* Which release this is (below `root`); -ENOTSUP when it is not Debian. */
int sources_release(struct sources *s, const char *root, struct err *e);
/* Takes Debian's lists from an output in SOURCES_FORMAT; returns whether that of the release is among them.
 */
bool sources_take(struct sources *s, const char *targets);
/* A line of sources.list for the backports, malloc'd; NULL when the machine has them among its sources. */
char *sources_backports(const struct sources *s);
/* Lines of sources.list for the release, Debian's present stable release, and the backports of both;
 * malloc'd; NULL when the mirror is not known. */
char *sources_newest(const struct sources *s);
/* Those of the stanzas whose version is in one of Debian's lists; malloc'd. */
char *sources_filter(const struct sources *s, const char *madison, const char *stanzas);

/* --- apt.c --------------------------------------------------------------------------------------- */

struct apt {
	char folder[512]; /* for all files of apt, private to one fetch */
	boot_progress progress;
	void *arg;
	struct boot_doing doing; /* what the running command does, for progress */
	char error[300];         /* its first error message */
	char left_out[300];      /* the failed source that the last warning named */
	struct sources sources;
};

/* A step begins; `object` must live until the next one. */
void apt_begin(struct apt *apt, enum boot_step step, const char *object);
/* The folder must exist and be empty. */
int apt_prepare(struct apt *apt, struct err *e);
/* Fetches the lists of packages.  Only that of Debian's release must come; others and the backports may fail.
 */
int apt_update(struct apt *apt, struct err *e);
/* The stanzas of a package in Debian's lists, of all versions; malloc'd, "" for none. */
int apt_show(struct apt *apt, const char *package, char **out, struct err *e);
/* Downloads one package, which apt verifies, into an empty folder; *path is malloc'd. */
int apt_download(struct apt *apt, const char *package, const char *version, const char *folder, char **path,
	struct err *e);

/*
 * After apt_update(): reads the lists of sources_newest() in place of the machine's sources, so that nothing
 * but Debian's own packages is taken.  Lists that the mirror does not have are left out.
 */
int apt_newest_suites(struct apt *apt, struct err *e);
/* The newest version of a package and the suite that has it.  -ENOENT when no list has the package. */
int apt_newest(struct apt *apt, const char *package, char *version, size_t version_size, char *suite,
	size_t suite_size, struct err *e);
/* The same from an answer of apt-cache madison, which is changed; false when it names none. */
bool apt_newest_of(char *madison, char *version, size_t version_size, char *suite, size_t suite_size);
/* Downloads a package with all that it depends on, as if nothing were installed; apt verifies each package.
 * *folder, where they are, is malloc'd. */
int apt_download_all(struct apt *apt, const char *package, const char *version, const char *suite,
	char **folder, struct err *e);
