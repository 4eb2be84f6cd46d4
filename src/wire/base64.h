/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Base 64 (RFC 4648, with padding), for bytes that travel in JSON. */
#pragma once

#include "base/base.h"

char *base64_encode(const void *data, size_t len); /* malloc'd text */
/* malloc'd bytes and their number; NULL for anything that is not exactly such a text. */
unsigned char *base64_decode(const char *text, size_t *len);
