/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The control stream where nobody can hand it over: a container engine starts the agent and passes no file
 * descriptors.  Then a socket of taut's is in the file system of the container, under a path that is the last
 * argument of the agent.  The agent connects to it, and the connection takes the place of the inherited
 * stream.  taut sends one byte with a file descriptor first, which becomes stderr, so that what the agent
 * says there goes where it would have gone without an engine.
 */
#include "agent.h"

#include "sys/sys.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>

/* The fd that comes with the first byte. */
static int take_fd(int control)
{
	union {
		char room[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} space = {0};
	char byte;
	struct iovec v = {&byte, 1};
	struct msghdr m = {
		.msg_iov = &v, .msg_iovlen = 1, .msg_control = &space, .msg_controllen = sizeof(space)};
	int fd;

	if (recvmsg(control, &m, MSG_CMSG_CLOEXEC) != 1)
		return -EPROTO;
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	if (!c || c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS ||
		c->cmsg_len != CMSG_LEN(sizeof(fd)))
		return -EPROTO;
	memcpy(&fd, CMSG_DATA(c), sizeof(fd));
	return fd;
}

int agent_join(const char *path, struct err *e)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};

	if (str_copy(to.sun_path, sizeof(to.sun_path), path))
		return err_set(e, ENAMETOOLONG, "cannot connect to %s: the path is too long", path);
	AUTO_CLOSE int control = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (control < 0 || connect(control, (const struct sockaddr *)&to, sizeof(to)) < 0)
		return err_sys(e, "cannot connect to %s", path);
	AUTO_CLOSE int said = take_fd(control);
	if (said < 0)
		return err_set(e, EPROTO, "cannot take over from %s: it sends no file for stderr", path);
	if (dup2(said, STDERR_FILENO) < 0)
		return err_sys(e, "cannot write to the stderr of taut");
	if (control == AGENT_CONTROL_FD)
		(void)steal_fd(&control);
	else if (dup2(control, AGENT_CONTROL_FD) < 0)
		return err_sys(e, "cannot use the connection to %s", path);
	return 0;
}
