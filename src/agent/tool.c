/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The place of a client's tool: a process that waits to become it (src/engine/tool_run.c).  A program that
 * has capabilities of its own, such as ping, does not get them here: with them it would not be ended together
 * with the agent.
 */
#include "agent.h"

#include <stdio.h>
#include <sys/prctl.h>

int agent_tool(int argc, char **argv)
{
	char byte;
	ssize_t n;

	if (argc < 2) {
		fprintf(stderr, "taut-agent: tool wants a program\n");
		return EXIT_USAGE;
	}
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	do
		n = read(AGENT_CONTROL_FD, &byte, 1);
	while (n < 0 && errno == EINTR);
	if (n != 1)
		return EXIT_FAILED; /* the agent has gone */
	close(AGENT_CONTROL_FD);
	execv(argv[1], argv + 1);
	fprintf(stderr, "cannot run %s: %s\n", argv[1], strerror(errno));
	return EXIT_FAILED;
}
