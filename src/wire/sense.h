/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the checks of records share; private to the module. */
#pragma once

#include "record.h"

#define CALL_LEAST_NS 100 /* a system call that moves a message takes longer on any machine */
#define LINK_MOST     125 /* bytes in a nanosecond, which is a terabit in a second */

/* As endpoint_record_check(), of an end in whose place a standard tool was. */
int sense_tool(
	const struct endpoint_record *r, const struct endpoint_job *job, uint64_t most_ns, struct err *e);
