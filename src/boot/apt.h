/* SPDX-License-Identifier: GPL-3.0-or-later */
/* apt in a private world: it asks the machine's own sources and writes below one folder only. */
#pragma once

#include "boot.h"

/* --- sources.c: which lists are Debian's ----------------------------------------------------------- */

/* What separates the fields that sources_take() reads, for apt-get indextargets --format. */
#define SOURCES_FORMAT "list\t$(ORIGIN)\t$(CODENAME)\t$(COMPONENT)\t$(REPO_URI)\t$(DESCRIPTION)"

struct sources {
	char codename[40]; /* of this release, from os-release; "" when it has none */
	char *uri;         /* where the release itself comes from; NULL: its list has not come */
	bool backports;    /* their list has come */
	struct buf lists;  /* Debian's, as apt-cache madison names them, one a line */
};

void sources_free(struct sources *s);
/* Which release this is (below `root`); -ENOTSUP when it is not Debian. */
int sources_release(struct sources *s, const char *root, struct err *e);
/* Takes those lists of an answer to SOURCES_FORMAT that are Debian's; has the release's own come? */
bool sources_take(struct sources *s, const char *targets);
/* A line of sources.list for the backports that this machine does not name; malloc'd, NULL: it has them. */
char *sources_backports(const struct sources *s);
/* The stanzas of versions that are in Debian's lists; malloc'd. */
char *sources_filter(const struct sources *s, const char *madison, const char *stanzas);

/* --- apt.c --------------------------------------------------------------------------------------- */

struct apt {
	char folder[512]; /* where it lives, private to one fetch */
	boot_progress progress;
	void *arg;
	struct boot_doing doing; /* of the command that runs, for progress */
	char error[300];         /* what it said was wrong */
	char left_out[300];      /* what an update failed of, and was said */
	struct sources sources;
};

/* A step begins; `object` must live until the next one. */
void apt_begin(struct apt *apt, enum boot_step step, const char *object);
/* The folder must exist and be empty. */
int apt_prepare(struct apt *apt, struct err *e);
/* Fetches the lists of packages; what others than Debian do not give, and backports, are done without. */
int apt_update(struct apt *apt, struct err *e);
/* What Debian's lists say of a package, all versions: malloc'd stanzas, "" for none. */
int apt_show(struct apt *apt, const char *package, char **out, struct err *e);
/* One package, verified by apt, into an empty folder; *path is malloc'd. */
int apt_download(struct apt *apt, const char *package, const char *version, const char *folder, char **path,
	struct err *e);
