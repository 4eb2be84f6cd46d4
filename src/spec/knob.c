/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "spec.h"

static const char *const names[KNOB_WHYS] = {
	[KNOB_OTHER_WAY] = "other-way",
};

const char *knob_why_name(enum knob_why why)
{
	return names[why];
}

int knob_why_find(const char *name, enum knob_why *out)
{
	for (int i = 0; i < KNOB_WHYS; i++)
		if (names[i] && name ? !strcmp(names[i], name) : names[i] == name) {
			*out = (enum knob_why)i;
			return 0;
		}
	return -ENOENT;
}
