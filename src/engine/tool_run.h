/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A tool that runs; private to the module. */
#pragma once

#include "internal.h"
#include "sys/sys.h"
#include "tool.h"

struct tool_run {
	struct endpoint_job job;
	const struct tool_driver *driver;
	uint64_t deadline_ns;
	uint16_t ports[PORTS_MAX];
	int done_fd, stop_fd, go_fd, prepared_fd; /* eventfds */
	pthread_t thread;
	bool created, prepared;
	/* The thread's own, until it was joined: */
	struct child child;
	bool alone;  /* a server that needs no program */
	int go_pipe; /* a byte in it lets the client's program begin */
	int log;     /* what it writes there can be read here; −1: none, or all is read */
	int output, words;
	bool ended; /* by itself, with `status` */
	int status;
	uint64_t go_ns, timer_slack_ns;
	unsigned marks;
	uint64_t cpu_ns[2], marked_ns[2];
	struct standing before, after;
	char line[TOOL_LINE_BYTES];
	size_t line_n;
	struct tool_reading reading;
	struct err why; /* what went wrong */
};

/* Starts the program of this end; that of a client waits. */
int tool_start(struct tool_run *t, struct err *e);
/* Chooses the port, starts the program of a server where there is one, and waits until it listens. */
int tool_start_server(struct tool_run *t, struct err *e);
/* Ends what the program has started, while its number, which is theirs, is still taken: before it is reaped.
 */
void tool_end_group(const struct tool_run *t);
void tool_end_all(struct tool_run *t); /* it as well */
/* How the program ended, with its last words. */
void tool_how_it_ended(const struct tool_run *t, int status, char *out, size_t size);
/* Is there a TCP socket that listens on the port, or a UDP socket bound to it and to no peer? */
bool tool_listens(int root, uint16_t port);
