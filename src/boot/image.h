/* SPDX-License-Identifier: GPL-3.0-or-later */
/* image: private to the room. */
#pragma once

#include "boot.h"

#define PATH_BYTES 1024

/*
 * Locks what is being made, so that it is not taken for what a dead taut has left (left.c); returns the fd
 * that holds it.
 */
int half_hold(const char *path, struct err *e);
/* The cache, when it is there and to be trusted; it is not made. */
bool cache_exists(char *out, size_t size);

/* A copy of `image` at `path` (which must not exist) with the document appended as /taut/boot.json. */
int image_append(const char *image, const json_t *document, const char *path, struct err *e);
