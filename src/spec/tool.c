/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Tools: a row each, and what their settings mean together.  See tool.h. */
#include "tool.h"

#include <stdio.h>

const struct tool_row tool_rows[TOOLS_N] = {
	[TOOL_TAUT] = {.name = "taut", .help = "taut's own engine"},
	[TOOL_NETPERF] = {.name = "netperf",
		.client = "netperf",
		.server = "netserver",
		.package = "netperf",
		.version = "-V",
		.workloads = "tcp_rr|udp_rr|tcp_crr|tcp_stream|tcp_maerts",
		.follows = "transactions|request|reply|size|nodelay|ipv6",
		.help = "netperf and netserver: percentiles to 99 %, no single transactions"},
	[TOOL_IPERF3] = {.name = "iperf3",
		.client = "iperf3",
		.server = "iperf3",
		.package = "iperf3",
		.version = "--version",
		.workloads = "tcp_stream|tcp_maerts|udp_stream",
		.follows = "size|rate|flows|nodelay|congestion|ipv6",
		.server_ends = true,
		.help = "iperf3: streams, in windows of 0.1 s or more"},
	[TOOL_SOCKPERF] = {.name = "sockperf",
		.client = "sockperf",
		.server = "sockperf",
		.package = "sockperf",
		.version = "--version",
		.workloads = "tcp_rr|udp_rr",
		.follows = "rate|request|reply|nodelay|busy_poll",
		.request_least = 14,
		.echoes = true,
		.why_least = "a header",
		.help = "sockperf: ping-pong, with a rate under-load; every transaction is known"},
	[TOOL_PING] = {.name = "ping",
		.client = "ping",
		.package = "iputils-ping",
		.version = "-V",
		.workloads = "ping",
		.follows = "rate|transactions|size|ipv6",
		.size_least = 16,
		.why_least = "a time stamp",
		.help = "ping of iputils: every reply is known, to the microsecond"},
	[TOOL_COMMAND] = {.name = "command",
		.follows = "rate|transactions|request|reply|size|flows|ipv6",
		.help = "your own program: the shell commands of tool_client and tool_server"},
};

int tool_find(const char *name)
{
	for (int i = 0; i < TOOLS_N; i++)
		if (!strcmp(tool_rows[i].name, name))
			return i;
	return -EINVAL;
}

enum tool tool_of(const struct settings *s)
{
	int found = tool_find(s->tool);

	return found < 0 ? TOOL_TAUT : (enum tool)found;
}

enum tool_output tool_output_of(const struct settings *s)
{
	return (enum tool_output)setting_choice(s, "tool_output");
}

/* --- what a tool cannot do ---------------------------------------------------------------------- */

static int check_commands(const struct settings *s, struct err *e)
{
	const char *const words[] = {s->tool_client, s->tool_server};

	if (tool_of(s) != TOOL_COMMAND)
		return *s->tool_client || *s->tool_server
			       ? err_usage(e,
					 "cannot use tool_client or tool_server with tool %s (try: tool command)",
					 s->tool)
			       : 0;
	if (!*s->tool_client)
		return err_usage(e, "cannot use tool command without tool_client: it is what measures");
	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (strlen(words[i]) >= TOOL_COMMAND_MAX)
			return err_usage(e, "cannot use a command of %zu characters: at most %d fit",
				strlen(words[i]), TOOL_COMMAND_MAX - 1);
	if (host_of(s)->emulated)
		return err_usage(e,
			"cannot use tool command with site %s: your program is not there (try: site local)",
			s->site);
	if (target_of(s)->machine)
		return err_usage(e,
			"cannot use tool command with target %s: your program is not in it (try: target native)",
			s->target);
	return 0;
}

/* What an engine can be told of a trial, and a tool perhaps not. */
static int check_follows(const struct settings *s, const struct tool_row *tool, struct err *e)
{
	static const char *const engine[] = {"rate", "transactions", "request", "reply", "size", "flows",
		"burst", "nodelay", "busy_poll", "congestion", "ipv6", "beside", "driver"};
	struct settings initial;

	settings_init(&initial);
	initial.size_bytes = settings_size(s, workload_find(s->workload)); /* what it has become by now */
	for (size_t i = 0; tool->follows && i < ARRAY_LEN(engine); i++) {
		const struct setting_row *row = setting_find(engine[i]);
		char value[SETTING_NUMBER_MAX], usual[SETTING_NUMBER_MAX];
		if (str_in(row->key, tool->follows) || setting_equal(s, &initial, row))
			continue;
		err_usage(e, "cannot use %s %s with tool %s: it cannot be told", row->key,
			setting_text(s, row, value, sizeof(value)), tool->name);
		return err_try(e, "%s %s", row->key, setting_text(&initial, row, usual, sizeof(usual)));
	}
	return 0;
}

static int check_message(const struct settings *s, const struct tool_row *tool, struct err *e)
{
	uint64_t least = MAX(s->request_bytes, tool->request_least);

	if (s->request_bytes < tool->request_least)
		return err_usage(e,
			"cannot send requests of %llu bytes with tool %s: there is %s in them (try: request %llu, reply %llu)",
			(unsigned long long)s->request_bytes, tool->name, tool->why_least,
			(unsigned long long)least, (unsigned long long)least);
	if (s->size_bytes < tool->size_least)
		return err_usage(e,
			"cannot send messages of %llu bytes with tool %s: there is %s in them (try: size %llu)",
			(unsigned long long)s->size_bytes, tool->name, tool->why_least,
			(unsigned long long)tool->size_least);
	if (tool->echoes && s->request_bytes != s->reply_bytes)
		return err_usage(e,
			"cannot use request %llu and reply %llu with tool %s: its reply is its request (try: reply %llu)",
			(unsigned long long)s->request_bytes, (unsigned long long)s->reply_bytes, tool->name,
			(unsigned long long)least);
	return 0;
}

int tool_settings_check(const struct settings *s, struct err *e)
{
	const struct tool_row *tool = &tool_rows[tool_of(s)];
	int rc = check_commands(s, e);

	if (rc < 0 || tool_of(s) == TOOL_TAUT)
		return rc;
	if (tool->workloads && !str_in(s->workload, tool->workloads))
		return err_usage(e, "cannot run %s with tool %s: it can do %s", s->workload, tool->name,
			tool->workloads);
	if (settings_exact(s))
		return err_usage(
			e, "cannot use tool %s on the exact clock: only taut's own engine can", tool->name);
	if (host_of(s)->emulated && target_of(s)->machine && tool->server)
		return err_usage(e,
			"cannot use tool %s with target %s and site %s: the images of its guests hold no tools",
			tool->name, s->target, s->site);
	if ((rc = check_follows(s, tool, e)) < 0)
		return rc;
	return check_message(s, tool, e);
}
