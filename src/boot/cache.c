/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The cache.  Its kernels are booted, and the programs in its images run as root in guests, so it must be a
 * folder of the user's own. */
#include "image.h"

#include <stdio.h>

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

bool cache_exists(char *out, size_t size)
{
	char path[512];

	if (cache_path(path, sizeof(path)) < 0)
		return false;
	return dir_own(path, "cache", "TAUT_CACHE", out, size, ERR_IGNORED) == 0;
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
	return dir_own(path, "cache", "TAUT_CACHE", out, MIN(size, (size_t)256), e);
}
