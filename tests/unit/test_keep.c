/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "test_keep.h"

#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static void keeper_be(int stream, int list)
{
	const char *agent = getenv("TAUT_AGENT");
	char taut[4096] = "";
	int nothing = open("/dev/null", O_WRONLY | O_CLOEXEC);

	if (agent && strlen(agent) > strlen("-agent") && strlen(agent) < sizeof(taut))
		memcpy(taut, agent, strlen(agent) - strlen("-agent"));
	setsid();
	if (fork()) /* no child of the test's, which counts its children */
		_exit(0);
	dup2(stream, 0);
	dup2(nothing, 1);
	dup2(nothing, 2);
	dup2(list, 3);
	fcntl(3, F_SETFD, 0); /* it may have been number 3 already */
	execl("/bin/sh", "sh", TEST_DATA "/../keeper.sh", taut, (char *)NULL);
	_exit(127);
}

/* Returns the file for the paths.  The other end of the keeper's stream is closed when this process has
 * ended. */
static int keeper_start(void)
{
	int ends[2], list = memfd_create("kept", MFD_CLOEXEC);

	assert(list >= 0 && fcntl(list, F_SETFL, O_APPEND) == 0 &&
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
	pid_t pid = fork();
	assert(pid >= 0);
	if (pid == 0)
		keeper_be(ends[1], list);
	waitpid(pid, NULL, 0);
	close(ends[1]);
	return list;
}

static void tell(const char *sign, const char *path)
{
	static int list = -1;

	if (list < 0)
		list = keeper_start();
	assert(dprintf(list, "%s%s\n", sign, path) > 0);
}

void keep(const char *path)
{
	tell("", path);
}

char *keep_folder(char *template)
{
	assert(mkdtemp(template));
	tell("", template);
	return template;
}

char *keep_real(char *template)
{
	assert(mkdtemp(template));
	tell("+", template);
	return template;
}

int keep_file(char *template)
{
	int fd = mkstemp(template);

	assert(fd >= 0);
	tell("", template);
	return fd;
}
