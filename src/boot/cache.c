/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The cache.  Its kernels are booted, and the programs in its images run as root in guests, so the folder
 * must belong to this user, and no other user may write to it.  For root the same holds for all folders above
 * it: the owner of one of them could put another folder in its place.  (A sticky folder such as /tmp is
 * allowed, since that is not possible there.)
 */
#include "image.h"

#include <stdio.h>
#include <sys/stat.h>

static int cache_path(char *out, size_t size)
{
	const char *given = getenv("TAUT_CACHE"), *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
	int n;

	if (given && *given)
		n = snprintf(out, size, "%s", given);
	else if (is_privileged())
		n = snprintf(out, size, "/var/cache/taut");
	else if (xdg && *xdg == '/')
		n = snprintf(out, size, "%s/taut", xdg);
	else if (home && *home == '/')
		n = snprintf(out, size, "%s/.cache/taut", home);
	else
		return -ENOENT;
	return n > 0 && (size_t)n < size ? 0 : -ENAMETOOLONG;
}

/* `path` is absolute and holds no links. */
static int cache_check(const char *path, struct err *e)
{
	AUTO_FREE char *above = str_dup(path);
	struct stat st;

	if (stat(path, &st) < 0)
		return err_sys(e, "cannot use the cache %s", path);
	if (st.st_uid != geteuid() || st.st_mode & (S_IWGRP | S_IWOTH)) {
		err_refused(e, "cannot use the cache %s: %s", path,
			st.st_uid != geteuid() ? "it belongs to somebody else" : "others can write it");
		return err_try(e, "chown and chmod go-w, or another folder in TAUT_CACHE");
	}
	if (!is_privileged())
		return 0;
	for (char *slash; (slash = strrchr(above, '/'));) {
		*slash = 0;
		if (stat(*above ? above : "/", &st) < 0)
			return err_sys(e, "cannot use the cache %s", path);
		if ((st.st_uid != 0 && st.st_uid != geteuid()) ||
			(st.st_mode & (S_IWGRP | S_IWOTH) && !(st.st_mode & S_ISVTX))) {
			err_refused(e, "cannot use the cache %s: others can replace it through %s", path,
				*above ? above : "/");
			return err_try(e, "a folder of root in TAUT_CACHE");
		}
	}
	return 0;
}

bool cache_exists(char *out, size_t size)
{
	char path[512];

	if (cache_path(path, sizeof(path)) < 0)
		return false;
	AUTO_FREE char *real = realpath(path, NULL);
	return real && strlen(real) < size && cache_check(real, ERR_IGNORED) == 0 &&
	       str_copy(out, size, real) == 0;
}

int boot_cache(char *out, size_t size, struct err *e)
{
	char path[512];
	int rc = cache_path(path, sizeof(path));

	if (rc == -ENOENT) {
		err_set(e, ENOENT, "cannot name the cache: HOME is not set");
		return err_try(e, "TAUT_CACHE=FOLDER");
	}
	if (rc < 0)
		return err_code(e, -rc, "cannot name the cache");
	rc = dir_make(path, 0755, e);
	if (rc < 0)
		return err_try(e, "another folder in TAUT_CACHE");
	AUTO_FREE char *real = realpath(path, NULL);
	if (!real)
		return err_sys(e, "cannot use the cache %s", path);
	if (strlen(real) >= MIN(size, (size_t)256))
		return err_code(e, ENAMETOOLONG, "cannot use the cache %s", real);
	rc = cache_check(real, e);
	if (rc < 0)
		return rc;
	return str_copy(out, size, real);
}
