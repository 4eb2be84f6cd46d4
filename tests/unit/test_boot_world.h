/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A machine made of files for the tests of boot: kernels, configurations, modules. */
#pragma once

#include "boot/boot.h"
#include "test_need.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

/* A folder of its own for each test program, removed at its end. */
extern char world[64];
int world_begin(void **state);
int world_end(void **state);

/* Writes a file below the world, with the folders above it; `format` makes its path. */
void world_write(const void *data, size_t len, const char *format, ...) PRINTF(3, 4);
void world_text(const char *text, const char *format, ...) PRINTF(2, 3);

#define BZIMAGE_BYTES 4096
#define BZIMAGE_NAME  0x300 /* where its name stands */
/* A bzImage with that name ("6.1.0 (who@where) #1 SMP"), BZIMAGE_BYTES long. */
void bzimage_make(unsigned char out[BZIMAGE_BYTES], const char *name);
/* One in a file, with the usual "(who@where)" between. */
void world_kernel(const char *release, const char *version, const char *format, ...) PRINTF(3, 4);

/* A module with those texts ("depends=a,b|softdep=pre: c") in .modinfo; malloc'd. */
char *module_make(const char *info, size_t *len);

#define assert_has(text, part)                                                                               \
	do {                                                                                                 \
		if (!strstr(text, part))                                                                     \
			fail_msg("wanted '%s' in '%s'", part, text);                                         \
	} while (0)
