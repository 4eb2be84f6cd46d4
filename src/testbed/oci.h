/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The OCI bundle of a target; private to the oci runtime. */
#pragma once

#include "private.h"

/* "runc version 1.1.5" → "runc 1.1.5" */
void oci_version_read(const char *program, const char *said, char *out, size_t size);
/* Writes config.json and the empty root file system into the target's folder. */
int oci_bundle_write(const struct target *t, struct err *e);
