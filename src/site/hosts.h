/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the files of site share. */
#pragma once

#include "site.h"

#include "boot/boot.h"
#include "noise.h"

struct lab; /* an emulated host that runs */

struct site {
	int root;
	struct undo_host host;
	struct site_options options;
	struct noise noise;
	bool warned;
	struct lab *lab; /* NULL: none runs */
	/* What the next emulated host must be able to do: the trials that it shall serve. */
	const struct settings *const *group;
	size_t group_n;
};

extern const struct site_row site_local, site_lab;
/* The real row of a host. */
const struct site_row *site_row_of(const struct settings *s);

/* The sequence of one trial on this host, see site_trial(). */
int site_trial_local(
	struct site *site, const struct settings *settings, struct trial_record *record, struct err *e);
