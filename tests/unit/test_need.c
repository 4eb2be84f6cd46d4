/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "test_need.h"

#include "sys/sys.h"

#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static char lacking[1024];

static void need(const char *why)
{
	const char *must = getenv("TAUT_MUST");

	if (must && strstr(must, "netns"))
		fail_msg("%s", why);
	print_message("# skipped: %s\n", why);
	skip();
}

void need_root(void)
{
	if (!is_privileged())
		need("that needs root");
}

void namespaces_enter(void)
{
	struct err e = ERR_INIT;

	if (!is_privileged() && (userns_enter(&e) < 0 || unshare(CLONE_NEWNET) < 0))
		snprintf(lacking, sizeof(lacking), "%s", e.code ? e.text : "no network namespaces");
}

const char *namespaces_lacking(void)
{
	return lacking;
}

void need_namespaces(void)
{
	if (lacking[0])
		need(lacking);
}
