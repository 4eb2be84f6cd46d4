/* SPDX-License-Identifier: GPL-3.0-or-later */
/* JSON in lines over a socket, as QEMU's monitor and the guest agent speak it. */
#pragma once

#include "base/base.h"

#include <jansson.h>

struct json_lines {
	int fd;           /* a stream socket; borrowed */
	int gone;         /* a pidfd that ends the waiting for a line; -1: none */
	size_t max_bytes; /* of a line that comes */
	const char *peer; /* for errors: "the guest agent" */
};

/* Sends all of it.  -ETIMEDOUT, -EINTR when stop_flag is raised, -EPIPE and the like. */
int lines_put(const struct json_lines *l, const char *data, size_t len, uint64_t deadline_ns, struct err *e);
/*
 * The next line, without its end.  The byte 0xff throws away what came before it; *delimited (may be NULL)
 * says that there was one.  -EPROTO for a line that is too long, otherwise as lines_put().
 */
int lines_get(
	const struct json_lines *l, struct buf *line, bool *delimited, uint64_t deadline_ns, struct err *e);
/* Text of a line as an object, without control characters; NULL for anything else.  `text` is changed. */
json_t *lines_object(char *text, size_t len);
