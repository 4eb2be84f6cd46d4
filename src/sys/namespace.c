/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Namespaces are held by fds, never by names: when taut dies, and the last process in a namespace has ended,
 * the kernel removes the namespace with all links in it.  So they leave nothing to clean up.
 */
#include "sys.h"

#include <assert.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdio.h>
#include <sys/syscall.h>

#define SELF_NET "/proc/thread-self/ns/net"

int netns_create(struct err *e)
{
	AUTO_CLOSE int saved = open(SELF_NET, O_RDONLY | O_CLOEXEC);

	if (saved < 0)
		return err_sys(e, "cannot open %s", SELF_NET);
	if (unshare(CLONE_NEWNET) < 0)
		return err_sys(e, "cannot make a network namespace");
	AUTO_CLOSE int made = open(SELF_NET, O_RDONLY | O_CLOEXEC);
	int code = errno;
	int back = setns(saved, CLONE_NEWNET);
	assert(back == 0);
	if (made < 0)
		return err_code(e, code, "cannot open the new network namespace");
	return steal_fd(&made);
}

int netns_enter(int fd, struct err *e)
{
	AUTO_CLOSE int saved = open(SELF_NET, O_RDONLY | O_CLOEXEC);

	if (saved < 0)
		return err_sys(e, "cannot open %s", SELF_NET);
	if (setns(fd, CLONE_NEWNET) < 0)
		return err_sys(e, "cannot enter a network namespace");
	return steal_fd(&saved);
}

void netns_leave(int *saved_fd)
{
	if (*saved_fd < 0)
		return;
	int rc = setns(*saved_fd, CLONE_NEWNET);
	assert(rc == 0);
	close(*saved_fd);
	*saved_fd = -1;
}

static int write_self(const char *path, const char *text, struct err *e)
{
	AUTO_CLOSE int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		return err_sys(e, "cannot write %s", path);
	return 0;
}

int userns_enter(struct err *e)
{
	unsigned uid = geteuid(), gid = getegid();
	char map[64];
	int rc;

	if (unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0) {
		err_sys(e, "cannot make a user namespace");
		e->exit = EXIT_REFUSED;
		return err_try(e, "run as root, or allow unprivileged user namespaces");
	}
	snprintf(map, sizeof(map), "0 %u 1", uid);
	rc = write_self("/proc/self/uid_map", map, e);
	if (rc == 0)
		rc = write_self("/proc/self/setgroups", "deny", e);
	snprintf(map, sizeof(map), "0 %u 1", gid);
	if (rc == 0)
		rc = write_self("/proc/self/gid_map", map, e);
	return rc;
}

bool userns_is_first(void)
{
	AUTO_CLOSE int root = root_open("/", ERR_IGNORED);
	char text[128];
	unsigned inside, outside;
	unsigned long count;

	if (root < 0 || root_read(root, "/proc/self/uid_map", text, sizeof(text), ERR_IGNORED) < 0)
		return false;
	return sscanf(text, "%u %u %lu", &inside, &outside, &count) == 3 && count == 4294967295ul;
}

bool is_privileged(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2];

	if (geteuid() != 0 || !userns_is_first() || syscall(SYS_capget, &header, data) < 0)
		return false;
	return data[CAP_SYS_ADMIN / 32].effective & (1u << (CAP_SYS_ADMIN % 32));
}
