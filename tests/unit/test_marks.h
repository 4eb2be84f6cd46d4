/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a taut has left on the machine, by the mark that everything bears which it makes. */
#pragma once

#include "sys/sys.h"

/* Appends everything that bears the mark of one taut: "" when there is nothing. */
void marked(pid_t owner, struct buf *out);
void assert_nothing_marked(pid_t owner);
size_t fds_open(void); /* file descriptors of this process */
