/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a test needs of the machine.  Where that is missing the test is skipped, or fails if $TAUT_MUST has
 * "netns" in it. */
#pragma once

#include "base/base.h"

/* Of what is expected to work; `e` is its error. */
#define ok(call)                                                                                             \
	do {                                                                                                 \
		if ((call) < 0)                                                                              \
			fail_msg("%s: %s", #call, e.text);                                                   \
	} while (0)

void need_root(void);
/* Network namespaces; who is not root gets a user namespace first, before the tests begin. */
void namespaces_enter(void);
const char *namespaces_lacking(void); /* why there are none, or "" */
void need_namespaces(void);
