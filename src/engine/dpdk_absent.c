/* SPDX-License-Identifier: GPL-3.0-or-later */
/* In programs without DPDK: the driver is known, and not there.  taut-agent-dpdk has dpdk.c in this place. */
#include "internal.h"

const struct engine_driver driver_dpdk = {0};
