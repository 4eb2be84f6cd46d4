/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the two files of the DPDK driver share; they are in the program taut-agent-dpdk alone. */
#pragma once

#include "base/base.h"

/* The one port of a process, and the name of the pool that its buffers come from. */
#define DPDK_PORT 0
#define DPDK_POOL "taut"

/* Starts DPDK with this one device, for engine_device_open(). */
int dpdk_device_open(const char *device, struct err *e);
