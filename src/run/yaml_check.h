/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What is looked at in a YAML text before a document is made of it. */
#pragma once

#include "base/base.h"

/*
 * Is it one document of YAML that is not nested deeper than an experiment can be, and whose words end where
 * they seem to?  EXIT_USAGE with origin:line for what is wrong; -EINTR when stop_flag is raised.
 */
int yaml_check(const char *origin, const char *text, size_t len, struct err *e);
