/* SPDX-License-Identifier: GPL-3.0-or-later */
/* image: private to the room. */
#pragma once

#include "boot.h"

#define PATH_BYTES 1024

/* A copy of `image` at `path` (which must not exist) with the document appended as /taut/boot.json. */
int image_append(const char *image, const json_t *document, const char *path, struct err *e);
