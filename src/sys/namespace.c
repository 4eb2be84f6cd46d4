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
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define SELF_NET     "/proc/thread-self/ns/net"
#define FIRST_USERNS 0xeffffffdu /* PROC_USER_INIT_INO */

/* The kernel says "no space left on device" where a limit of namespaces is reached. */
static int unshare_failed(struct err *e, const char *what, const char *limit)
{
	if (errno != ENOSPC)
		return err_sys(e, "cannot make a %s namespace", what);
	return err_set(e, ENOSPC, "cannot make a %s namespace: the limit in /proc/sys/user/%s is reached",
		what, limit);
}

int netns_create(struct err *e)
{
	AUTO_CLOSE int saved = open(SELF_NET, O_RDONLY | O_CLOEXEC);

	if (saved < 0)
		return err_sys(e, "cannot open %s", SELF_NET);
	if (unshare(CLONE_NEWNET) < 0)
		return unshare_failed(e, "network", "max_net_namespaces");
	AUTO_CLOSE int made = open(SELF_NET, O_RDONLY | O_CLOEXEC);
	int code = errno;
	int back = setns(saved, CLONE_NEWNET);
	assert(back == 0);
	if (made < 0)
		return err_code(e, code, "cannot open the new network namespace");
	return steal_fd(&made);
}

int netns_own(struct err *e)
{
	if (unshare(CLONE_NEWNET) == 0)
		return 0;
	unshare_failed(e, "network", "max_net_namespaces");
	e->exit = EXIT_REFUSED;
	return err_try(e, "run as root");
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

int netns_sysfs(struct err *e)
{
	AUTO_CLOSE int fs = fsopen("sysfs", FSOPEN_CLOEXEC);

	if (fs < 0 || fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return err_sys(e, "cannot mount a sysfs for the namespace");
	int fd = fsmount(fs, FSMOUNT_CLOEXEC, 0);
	return fd >= 0 ? fd : err_sys(e, "cannot mount a sysfs for the namespace");
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

	if (unshare(CLONE_NEWUSER) < 0) {
		unshare_failed(e, "user", "max_user_namespaces");
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
	return rc == 0 ? netns_own(e) : rc;
}

/* By the inode that the kernel has given to it for ever.  No fd is needed for that: where there are none
 * left, root stays root. */
bool userns_is_first(void)
{
	struct stat st;

	return stat("/proc/self/ns/user", &st) == 0 && st.st_ino == FIRST_USERNS;
}

bool has_capability(unsigned capability)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2];

	return syscall(SYS_capget, &header, data) == 0 &&
	       data[capability / 32].effective & 1u << capability % 32;
}

bool is_privileged(void)
{
	return geteuid() == 0 && userns_is_first() && has_capability(CAP_SYS_ADMIN);
}
