/* SPDX-License-Identifier: GPL-3.0-or-later */
/* tcp_stream the other way round: the server sends. */
#include "internal.h"

const struct engine_workload engine_tcp_maerts = {
	.init = stream_init, .client = stream_receive, .server = stream_send};
