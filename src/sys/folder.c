/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Folders whose content is trusted: journals are carried out, kernels are booted.  Such a folder must belong
 * to this user, and no other user may be able to write to it or to put another one in its place, which the
 * owner of a folder above it can do, and everybody who can write to one.  (A sticky folder such as /tmp is
 * allowed above it, since there only the owner of a folder can replace it.)
 *
 * The folders are looked at from the top down, each by an fd that was opened in the one before and follows no
 * link: what has been found right cannot be exchanged any more when the next one is opened.
 */
#include "sys.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#define OPEN_FLAGS (O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)

/* In a user namespace the owners that it does not map, root of the machine among them, are all shown as one.
 */
static bool is_trusted(uid_t owner)
{
	AUTO_CLOSE int root = root_open("/", ERR_IGNORED);
	uint64_t unmapped;

	if (owner == 0 || owner == geteuid())
		return true;
	return !userns_is_first() &&
	       root_read_u64(root, "/proc/sys/kernel/overflowuid", &unmapped, ERR_IGNORED) == 0 &&
	       owner == unmapped;
}

/* Many systems give each user a group of the same number, in which there is nobody else.  In a user namespace
 * of taut's own both are 0. */
static bool others_write(const struct stat *st)
{
	bool own_group = !is_privileged() && st->st_uid == geteuid() && st->st_gid == getegid() &&
			 getegid() == geteuid();

	return st->st_mode & S_IWOTH || (st->st_mode & S_IWGRP && !own_group);
}

static bool can_be_replaced(int above)
{
	struct stat st;

	return fstat(above, &st) < 0 || !is_trusted(st.st_uid) ||
	       (others_write(&st) && !(st.st_mode & S_ISVTX));
}

static const char *fault_of(int fd)
{
	struct stat st;

	if (fstat(fd, &st) < 0 || st.st_uid != geteuid())
		return "it belongs to somebody else";
	return st.st_mode & (S_IWGRP | S_IWOTH) ? "others can write it" : NULL;
}

/* `path` is absolute and holds no links.  Returns an fd of its folder. */
static int walk(const char *path, const char *what, struct err *e)
{
	AUTO_CLOSE int fd = open("/", OPEN_FLAGS);
	AUTO_FREE char *parts = str_dup(path);

	for (char *save = NULL, *name = strtok_r(parts, "/", &save); name;
		name = strtok_r(NULL, "/", &save)) {
		if (fd >= 0 && can_be_replaced(fd))
			return err_refused(e, "cannot use the %s %s: others can replace it through %.*s",
				what, path, name == parts + 1 ? 1 : (int)(name - parts) - 1, path);
		int below = fd < 0 ? -1 : openat(fd, name, OPEN_FLAGS);
		if (below < 0)
			return err_sys(e, "cannot use the %s %s", what, path);
		close(fd);
		fd = below;
	}
	const char *fault = fault_of(fd);
	if (fault)
		return err_refused(e, "cannot use the %s %s: %s", what, path, fault);
	return steal_fd(&fd);
}

int dir_own(const char *path, const char *what, const char *variable, char *out, size_t size, struct err *e)
{
	AUTO_FREE char *real = realpath(path, NULL);

	if (!real)
		return err_sys(e, "cannot use the %s %s", what, path);
	if (strlen(real) >= size)
		return err_code(e, ENAMETOOLONG, "cannot use the %s %s", what, real);
	AUTO_CLOSE int fd = walk(real, what, e);
	if (fd < 0)
		return err_try(e, "%sanother folder in %s",
			e->exit == EXIT_REFUSED ? "chown and chmod go-w, or " : "", variable);
	return str_copy(out, size, real);
}
