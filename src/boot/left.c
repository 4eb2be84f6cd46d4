/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Leftovers in the cache: an image that was being written, the folder of a probe of KVM, a kernel or a QEMU
 * that was being fetched.  The taut that makes one of them holds a lock (flock) on it, or on a file that
 * stands for it, as long as it runs; without a lock it is the leftover of a killed taut.  PIDs would not do,
 * since they are used again. The work of another running taut on the same cache is not touched.
 */
#include "image.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>

int half_hold(const char *path, struct err *e)
{
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

	if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0)
		return err_sys(e, "cannot lock %s", path);
	return steal_fd(&fd);
}

static bool held(const char *path)
{
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

	return fd < 0 ? errno != ENOENT : flock(fd, LOCK_EX | LOCK_NB) < 0;
}

/* "…PREFIX123": does a name end in the PID of the taut that made it? */
static bool ends_in_pid(const char *name, const char *prefix)
{
	const char *at = strstr(name, prefix);
	size_t n = at ? strlen(at + strlen(prefix)) : 0;

	return n && strspn(at + strlen(prefix), "0123456789") == n;
}

static const struct kind {
	const char *folder, *prefix;
	const char *lock; /* the file in `folder` that is locked; NULL: the file or folder itself */
} kinds[] = {
	{"images", ".img.", NULL},
	{".", "probe-", NULL},
	{"kernels", ".fetch-", ".lock"},
	{"qemu", ".fetch-", ".lock"},
};

struct look {
	const struct kind *kind;
	const char *folder;
	int (*fn)(const char *path, void *arg);
	void *arg;
};

static int look_at(const char *name, void *arg)
{
	const struct look *l = arg;
	AUTO_FREE char *path = str_format("%s/%s", l->folder, name);
	AUTO_FREE char *lock = str_format("%s/%s", l->folder, l->kind->lock ? l->kind->lock : name);

	return ends_in_pid(name, l->kind->prefix) && !held(lock) ? l->fn(path, l->arg) : 0;
}

static int left_each(const char *base, int (*fn)(const char *path, void *arg), void *arg)
{
	AUTO_CLOSE int root = root_open("/", ERR_IGNORED);
	char cache[256];
	int rc = 0;

	(void)base;
	if (!cache_exists(cache, sizeof(cache)))
		return 0;
	for (size_t i = 0; rc == 0 && i < ARRAY_LEN(kinds); i++) {
		bool below = strcmp(kinds[i].folder, ".") != 0;
		AUTO_FREE char *folder =
			str_format("%s%s%s", cache, below ? "/" : "", below ? kinds[i].folder : "");
		if (root_exists(root, folder))
			rc = root_each(root, folder, look_at, &(struct look){&kinds[i], folder, fn, arg},
				ERR_IGNORED);
	}
	return rc;
}

static int left_remove(const char *base, const char *path, struct err *e)
{
	struct stat st;

	(void)base;
	if (lstat(path, &st) < 0)
		return errno == ENOENT ? 0 : err_sys(e, "cannot look at it");
	if (S_ISDIR(st.st_mode))
		return tree_remove(path, e);
	return unlink(path) < 0 && errno != ENOENT ? err_sys(e, "cannot remove it") : 0;
}

const struct undo_sweep_row boot_left = {"half made", false, left_each, left_remove};
