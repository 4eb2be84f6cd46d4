/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The OCI bundle of a target; private to the oci runtime. */
#pragma once

#include "private.h"

/* Writes config.json and the empty root file system into the target's folder. */
int oci_bundle_write(const struct target *t, struct err *e);
