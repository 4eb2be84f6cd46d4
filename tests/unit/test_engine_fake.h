/* SPDX-License-Identifier: GPL-3.0-or-later */
/* An engine at the other end of a socket, which says what the test tells it to. */
#pragma once

#include "base/base.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/types.h>

#include <cmocka.h>

#define OK(body) "200 OK", body
#define HANGS    NULL
#define ID       "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

/* One answer; `status` HANGS: none ever, "": it hangs up.  `mebibytes`: so much more, without an end. */
struct answer {
	const char *status, *body;
	unsigned mebibytes;
};

struct fake {
	char folder[32], socket[64];
	pid_t pid;
};

/* A process that takes n connections one after another. */
struct fake fake_start(const struct answer *answers, size_t n);
void fake_end(struct fake *fake);
