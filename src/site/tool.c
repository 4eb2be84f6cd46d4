/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The tool of a trial on this machine: its programs are found here, for the server's may have to be carried
 * into the target, and it says which version it is.
 */
#include "hosts.h"

#include <stdio.h>

#define VERSION_NS (5 * NS_PER_S)
#define SHELL      "/bin/sh"

static int program(const struct tool_row *tool, const char *name, char out[TOOL_PROGRAM_MAX], struct err *e)
{
	char path[4096];

	if (!name || (program_find(name, path, sizeof(path)) && str_copy(out, TOOL_PROGRAM_MAX, path) == 0))
		return 0;
	err_set(e, ENOENT, "cannot use tool %s: %s is not installed", tool->name,
		strcmp(name, tool->name) ? name : "it");
	return err_try(e, "apt install %s", tool->package);
}

/* The first number with a dot in the first lines that it prints: "sockperf, version 3.7-no.git". */
static void version_read(const char *name, const char *said, char *out, size_t size)
{
	for (const char *p = said; p[0]; p++) {
		size_t n = strspn(p, "0123456789");
		if (!n || (p > said && (p[-1] == '.' || p[-1] == '-'))) {
			p += n ? n - 1 : 0;
			continue;
		}
		/* iputils has the date of its version. */
		if (n == 8 || (p[n] == '.' && strspn(p + n + 1, "0123456789"))) {
			snprintf(out, size, "%s %.*s", name, (int)MIN(strspn(p, "0123456789."), 24u), p);
			return;
		}
		p += n - 1;
	}
	snprintf(out, size, "%s of unknown version", name);
}

static void version_find(const struct tool_row *tool, const char *path, char *out, size_t size)
{
	const char *const argv[] = {path, tool->version, NULL};
	AUTO_FREE char *text = NULL;

	/* Some say it with a status that means nothing. */
	child_run(argv, true, VERSION_NS, &text, ERR_IGNORED);
	version_read(tool->name, text ? text : "", out, size);
}

int tool_resolve(struct trial_plan *plan, struct err *e)
{
	struct endpoint_job *client = &plan->ends[END_CLIENT].job, *server = &plan->ends[END_SERVER].job;
	const struct tool_row *tool = &tool_rows[client->tool];
	int rc;

	if (client->tool == TOOL_TAUT)
		return 0;
	if (client->tool == TOOL_COMMAND) {
		str_copy(client->program, sizeof(client->program), SHELL);
		str_copy(server->program, sizeof(server->program), SHELL);
		return str_copy(plan->tool_version, sizeof(plan->tool_version), "command");
	}
	if ((rc = program(tool, tool->client, client->program, e)) < 0 ||
		(rc = program(tool, tool->server, server->program, e)) < 0)
		return rc;
	version_find(tool, client->program, plan->tool_version, sizeof(plan->tool_version));
	return 0;
}
