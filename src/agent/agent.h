/* SPDX-License-Identifier: GPL-3.0-or-later */
/* agent: what taut-agent can be. */
#pragma once

#include "base/base.h"

#define AGENT_CONTROL_FD 3

/* Each takes its name and arguments, as main() would, and returns the exit status. */
int agent_endpoint(int argc, char **argv);
/* As the first process of a machine: serves it and powers it off. */
_Noreturn void agent_pid1(void);
