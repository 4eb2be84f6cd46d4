/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * taut-agent, but an endpoint in a guest misbehaves as a boot argument says, "fault=NAME": PID 1 gets the
 * ones that the kernel does not know as environment, and hands them down.  Elsewhere, and without one, it is
 * the agent itself; TAUT_AGENT names it to taut.
 */
#include "agent/agent.h"

#include "sys/sys.h"
#include "wire/wire.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>

static void say(const void *data, size_t len)
{
	struct pollfd p = {.fd = AGENT_CONTROL_FD, .events = POLLOUT};

	for (const char *at = data; len;) {
		ssize_t n = write(AGENT_CONTROL_FD, at, len);
		if (n < 0)
			poll(&p, 1, 1000);
		else
			at += n, len -= (size_t)n;
	}
}

static void stay(void)
{
	for (;;)
		pause();
}

static void silent(void)
{
}

/* Its end is the machine's, in good order. */
static void leave(void)
{
	fprintf(stderr, "taut-agent: I would rather not\n");
	_exit(EXIT_FAILED);
}

/* After a good beginning. */
static void flood(void)
{
	static const char line[] =
		"\x1b[31mbla bla bla bla bla bla bla bla bla bla bla bla bla bla bla bla\n";

	frame_send(AGENT_CONTROL_FD, FRAME_HELLO, frame_hello(), time_now_ns() + NS_PER_S, ERR_IGNORED);
	for (;;)
		fputs(line, stderr);
}

static void garbage(void)
{
	static const char zeros[64];

	say(zeros, sizeof(zeros));
}

static void oversized(void)
{
	say("\xff\xff\xff\xff\x01", 5);
}

static void version(void)
{
	json_t *hello = frame_hello();

	json_object_set_new(hello, "version", json_string("9.9.9"));
	frame_send(AGENT_CONTROL_FD, FRAME_HELLO, hello, time_now_ns() + NS_PER_S, ERR_IGNORED);
}

static void error(void)
{
	json_t *body = json_pack("{s:s, s:s}", "text", "\x1b[31mred\x07", "advice", "\x1b[2Jnone");

	frame_send(AGENT_CONTROL_FD, FRAME_ERROR, body, time_now_ns() + NS_PER_S, ERR_IGNORED);
}

/* A frame of which each second brings one byte more. */
static void endless(void)
{
	say("\x00\x00\x40\x00\x01{", 6);
	for (;;) {
		say(" ", 1);
		poll(NULL, 0, 1000);
	}
}

/* Good frames and no end of them, none of which was asked for. */
static void chatter(void)
{
	for (;;)
		frame_send(
			AGENT_CONTROL_FD, FRAME_HELLO, frame_hello(), time_now_ns() + NS_PER_S, ERR_IGNORED);
}

static void panic(void)
{
	AUTO_CLOSE int fd = open("/proc/sysrq-trigger", O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, "c", 1) < 0)
		perror("sysrq");
}

static const struct {
	const char *name;
	void (*misbehave)(void);
} faults[] = {
	{"silent", silent},
	{"leave", leave},
	{"flood", flood},
	{"garbage", garbage},
	{"oversized", oversized},
	{"version", version},
	{"error", error},
	{"endless", endless},
	{"chatter", chatter},
	{"panic", panic},
};

int main(int argc, char **argv)
{
	const char *fault = getenv("fault");
	bool endpoint = argc > 1 && !strcmp(argv[1], "endpoint");

	if (getpid() == 1)
		agent_pid1();
	for (size_t i = 0; endpoint && fault && i < ARRAY_LEN(faults); i++)
		if (!strcmp(fault, faults[i].name)) {
			fcntl(AGENT_CONTROL_FD, F_SETFL, O_RDWR | O_NONBLOCK);
			faults[i].misbehave();
			stay();
		}
	return endpoint ? agent_endpoint(argc - 1, argv + 1) : EXIT_USAGE;
}
