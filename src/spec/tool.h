/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Tools: whose program exchanges the packets of a trial.  TOOL_TAUT is taut's own engine; the others are
 * standard tools, which an end starts in its own place, and a command of the user's.
 *
 * A row says what a tool can do and needs.  How it is called and what its output means is in src/engine/.
 */
#pragma once

#include "spec.h"

/* In the order of the choices of the setting `tool`. */
enum tool { TOOL_TAUT, TOOL_NETPERF, TOOL_IPERF3, TOOL_SOCKPERF, TOOL_PING, TOOL_COMMAND, TOOLS_N };

/* In the order of the choices of the setting `tool_output`. */
enum tool_output { TOOL_OUTPUT_JSON, TOOL_OUTPUT_HLOG };

#define TOOL_PROGRAM_MAX 256  /* bytes of a program's path */
#define TOOL_COMMAND_MAX 2048 /* bytes of a command of the user's */

struct tool_row {
	const char *name;
	const char *client, *server; /* their programs; NULL: that end runs none, or what the user says */
	const char *package;         /* that has them */
	const char *version;         /* option by which the client's program tells its version */
	const char *workloads;       /* "tcp_rr|udp_rr": those that it can do; NULL: any */
	const char *follows;         /* the settings of an engine that it can be told; NULL: any */
	uint64_t request_least;      /* its shortest request */
	bool echoes;                 /* its reply is its request, so that both have one size */
	uint64_t size_least;         /* its shortest message, where those have one size */
	const char *why_least;       /* what it has in each of its messages */
	/* The program of a server ends by itself when its client has gone, and tells what it saw. */
	bool server_ends;
	const char *help;
};
extern const struct tool_row tool_rows[TOOLS_N];
int tool_find(const char *name); /* an enum tool, or -EINVAL */
enum tool tool_of(const struct settings *s);
enum tool_output tool_output_of(const struct settings *s);
/* A tool runs for whole seconds, some of which it does not measure, and then writes down what it saw. */
#define TOOL_LONGER_NS (30 * NS_PER_S)
/* EXIT_USAGE for what the tool of the settings cannot do, or settings that belong to another tool. */
int tool_settings_check(const struct settings *s, struct err *e);
