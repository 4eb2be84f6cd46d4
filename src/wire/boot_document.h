/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What one boot of a machine is to be.  Whoever starts a machine writes it, the file BOOT_DOCUMENT of the
 * image holds it, and PID 1 of that machine reads it.  Both are of one version, so nothing may be missing and
 * nothing may be there that is not known.
 */
#pragma once

#include "base/base.h"

#include <jansson.h>

#define BOOT_DOCUMENT "/taut/boot.json"

/* What PID 1 does in each role stands in src/agent/pid1.c. */
enum boot_role { BOOT_GUEST, BOOT_HOST, BOOT_EXACT, BOOT_SHELL, BOOT_PROBE, BOOT_ROLES_N };

struct boot_document {
	enum boot_role role;
	char address[64];     /* BOOT_GUEST: of its network device, numeric; "" where it has none */
	char mac[24];         /* of that: by which it is known; "": the first that has a device */
	uint64_t prefix, mtu; /* of that: bits of the prefix; bytes, 0: as it is */
	uint64_t rows, columns;
	char term[64]; /* BOOT_SHELL: the terminal that it is shown on; "" where that is not known */
	char *script;  /* BOOT_SHELL: run instead of a shell; NULL: none; owned */
	json_t *plan;  /* BOOT_EXACT: of the one trial, the body of a FRAME_TRIAL; else NULL; owned */
};

json_t *boot_document_json(const struct boot_document *d);
/* -EINVAL says what is wrong with it, and *d is as it was; boot_document_free() frees what is owned. */
int boot_document_from_json(struct boot_document *d, const json_t *object, struct err *e);
/* The same from a file; also -EINVAL for one that cannot be read. */
int boot_document_load(struct boot_document *d, const char *path, struct err *e);
void boot_document_free(struct boot_document *d); /* what it owns */
