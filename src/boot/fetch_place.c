/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The folder of the cache that something is fetched into.
 *
 * All work is done below BASE/.fetch-PID, which is removed at the end, or by the next fetch.  A lock on
 * BASE/.lock, which the kernel releases when its holder ends, lets only one fetch run at a time.  What has
 * been fetched and checked is synced, and only then renamed to BASE/NAME.  So a folder of that name is always
 * complete, even when taut or the machine is stopped at any moment.
 */
#include "fetch.h"

#include <ctype.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

bool fetch_name_is_plain(const char *text)
{
	for (const char *p = text; *p; p++)
		if (!isalnum((unsigned char)*p) && !strchr(".+~:-_", *p))
			return false;
	return isalnum((unsigned char)text[0]);
}

static int folder_sync(const char *path, bool all, struct err *e)
{
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 || (all ? syncfs(fd) : fsync(fd)) < 0)
		return err_sys(e, "cannot sync %s", path);
	return 0;
}

/* Network file systems support neither flag; there an older one of that name must be removed first. */
static int rename_over(const char *tree, const char *place)
{
	if (renameat2(AT_FDCWD, tree, AT_FDCWD, place, RENAME_NOREPLACE) == 0)
		return 0;
	if (errno == EEXIST)
		return renameat2(AT_FDCWD, tree, AT_FDCWD, place, RENAME_EXCHANGE);
	return errno == EINVAL ? rename(tree, place) : -1;
}

int fetch_place(const struct fetch *f, const char *tree, const char *name, struct err *e)
{
	AUTO_FREE char *place = str_format("%s/%s", f->base, name);
	int rc = stop_flag ? err_set(e, EINTR, "interrupted") : folder_sync(tree, true, e);

	if (rc < 0)
		return rc;
	if (rename_over(tree, place) < 0) {
		err_sys(e, "cannot put it to %s", place);
		return err_try(e, "rm -r %s", place);
	}
	return folder_sync(f->base, false, e);
}

static int remove_leftover(const char *name, void *arg)
{
	AUTO_FREE char *path = str_format("%s/%s", (const char *)arg, name);
	struct err e = ERR_INIT;

	if (str_starts(name, ".fetch-") && tree_remove(path, &e) < 0)
		log_warn("%s", e.text);
	return 0;
}

static int fetch_lock(const struct fetch *f, struct err *e)
{
	AUTO_FREE char *path = str_format("%s/.lock", f->base);
	bool held;
	AUTO_CLOSE int fd = lock_open(path, &held, e);

	if (fd < 0)
		return fd;
	if (held) {
		err_set(e, EBUSY, "cannot fetch %s: another taut fetches into %s", f->what, f->base);
		return err_try(e, "wait for it");
	}
	return steal_fd(&fd);
}

static int fetch_begin(struct fetch *f, struct err *e)
{
	AUTO_FREE char *folder = str_format("%s/apt", f->folder);
	AUTO_CLOSE int root = root_open("/", e);
	int rc = root < 0 ? root : root_each(root, f->base, remove_leftover, f->base, ERR_IGNORED);

	rc = root < 0 ? root : dir_make(f->folder, 0700, e);
	rc = rc < 0 ? rc : dir_make(folder, 0755, e);
	rc = rc < 0 ? rc : str_copy(f->apt.folder, sizeof(f->apt.folder), folder);
	rc = rc < 0 ? rc : apt_prepare(&f->apt, e);
	return rc < 0 ? rc : apt_update(&f->apt, e);
}

int fetch_open(struct fetch *f, const char *kind, struct err *e)
{
	char cache[256];
	int rc = boot_cache(cache, sizeof(cache), e);

	f->lock = -1;
	if (rc < 0)
		return rc;
	snprintf(f->base, sizeof(f->base), "%s/%s", cache, kind);
	snprintf(f->folder, sizeof(f->folder), "%s/.fetch-%d", f->base, (int)getpid());
	rc = dir_make(f->base, 0755, e);
	if (rc < 0 || (rc = f->lock = fetch_lock(f, e)) < 0)
		return rc;
	return fetch_begin(f, e);
}

int fetch_close(struct fetch *f, int rc, struct err *e)
{
	sources_free(&f->apt.sources);
	if (f->lock >= 0) {
		if (tree_remove(f->folder, ERR_IGNORED) < 0)
			log_warn("cannot remove %s", f->folder);
		close(f->lock);
	}
	if (rc == -EINTR)
		e->exit = EXIT_INTERRUPTED;
	return rc;
}
