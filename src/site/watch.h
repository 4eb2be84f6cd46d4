/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The conditions of a trial that can be seen from the host: threads on it, and links. */
#pragma once

#include "spec/spec.h"
#include "wire/condition.h"

struct watch;

/* Reads them for the first time; the subject's namespaces must stay open.  Never fails: what cannot be read
 * is not there. */
struct watch *watch_begin(int root, const struct subject *subject);
/* Reads them again and adds what both readings came to; frees `watch`. */
void watch_end(struct watch *watch, struct conditions *out);
void watch_free(struct watch *watch); /* takes NULL */
