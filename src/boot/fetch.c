/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A kernel of Debian's into the cache.
 *
 * The metapackage of its flavour names, in each version that the release and its backports have, the package
 * of a kernel; the newest one that fits the word is taken.  apt downloads and verifies it, it is unpacked
 * beside its place, read back as a kernel, synced, and only then renamed to CACHE/kernels/RELEASE.  So what
 * stands there is whole, whenever this or the machine dies.
 *
 * Everything happens below CACHE/kernels/.fetch-PID, which is removed at the end, or by the next fetch. There
 * is one at a time, by a lock on CACHE/kernels/.lock that dies with its holder.  A newer build of a release
 * that is there (Debian keeps the name as long as modules fit) is exchanged for it in one step.
 */
#include "apt.h"
#include "kernels.h"
#include "unpack.h"

#include <ctype.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>

static const struct {
	const char *flavour, *package;
} metapackages[] = {
	{"stock", "linux-image-amd64"},
	{"rt", "linux-image-rt-amd64"},
	{"cloud", "linux-image-cloud-amd64"},
};

#define IMAGE "linux-image-"

struct candidate {
	char release[80], version[80]; /* of the kernel, of its package */
};

struct fetch {
	struct apt apt;
	char kernels[300], folder[360]; /* CACHE/kernels, and .fetch-PID in it */
};

static bool stopped(struct err *e)
{
	return stop_flag && err_set(e, EINTR, "interrupted") < 0;
}

/* --- which package ------------------------------------------------------------------------------- */

static bool name_is_plain(const char *text)
{
	for (const char *p = text; *p; p++)
		if (!isalnum((unsigned char)*p) && !strchr(".+~:-_", *p))
			return false;
	return isalnum((unsigned char)text[0]);
}

/* The first package of a kernel among the dependencies of a metapackage. */
static void take_depends(struct candidate *c, const char *list)
{
	const char *at = strstr(list, IMAGE);
	size_t n = at ? strcspn(at, " ,(|") : 0;

	if (n > strlen(IMAGE) && n - strlen(IMAGE) < sizeof(c->release))
		snprintf(
			c->release, sizeof(c->release), "%.*s", (int)(n - strlen(IMAGE)), at + strlen(IMAGE));
}

/* The newest kernel in stanzas of a metapackage that fits; .release "" when none does. */
static struct candidate choose(char *stanzas, const char *version)
{
	struct candidate best = {"", ""}, c = {"", ""};

	for (char *p = stanzas, *end; p; p = end) {
		end = strchr(p, '\n');
		if (end)
			*end++ = 0;
		if (str_starts(p, "Version: "))
			str_copy(c.version, sizeof(c.version), p + 9);
		else if (str_starts(p, "Depends: "))
			take_depends(&c, p + 9);
		if (*p && end)
			continue;
		if (c.release[0] && c.version[0] && name_is_plain(c.release) && name_is_plain(c.version) &&
			(release_begins(c.release, version) || release_begins(c.version, version)) &&
			strverscmp(c.release, best.release) > 0)
			best = c;
		c = (struct candidate){"", ""};
	}
	return best;
}

static int resolve(struct fetch *f, const char *which, struct candidate *out, struct err *e)
{
	struct kernel_word word;
	const char *package = NULL;
	AUTO_FREE char *stanzas = NULL;

	if (kernel_word_parse(&word, which) < 0)
		return err_usage(e, "cannot fetch '%s'", which);
	for (size_t i = 0; i < ARRAY_LEN(metapackages); i++)
		if (!strcmp(metapackages[i].flavour, word.flavour))
			package = metapackages[i].package;
	int rc = package ? apt_show(&f->apt, package, &stanzas, e) : -EINVAL;
	if (rc < 0)
		return rc;
	AUTO_FREE char *copy = str_dup(stanzas);
	*out = choose(copy, word.version);
	if (out->release[0])
		return 0;
	struct candidate newest = choose(stanzas, "");
	err_set(e, ENOENT, "cannot fetch '%s': neither this release nor its backports have such a kernel",
		which);
	return newest.release[0] ? err_try(e, "%s", newest.release) : err_try(e, "look at /etc/apt");
}

/* --- into its place ------------------------------------------------------------------------------ */

/* Is it in the cache, whole, and of that very build? */
static bool is_cached(const struct fetch *f, const struct candidate *c, struct kernel *out)
{
	AUTO_FREE char *path = str_format("%s/%s/vmlinuz", f->kernels, c->release);
	AUTO_FREE char *build = str_format(" %s ", c->version);
	AUTO_FREE char *modules = str_format("%s/%s/modules", f->kernels, c->release);
	struct kernel k;

	if (access(path, F_OK) < 0 ||
		kernel_read(&k, &(struct kernel_places){"", NULL}, path, "cache", ERR_IGNORED) < 0)
		return false;
	if (strcmp(k.release, c->release) != 0 || !strstr(k.version, build) || !k.configured ||
		strcmp(k.modules, modules) != 0)
		return false;
	*out = k;
	return true;
}

/* What was unpacked must be the kernel that was meant, with its modules and its configuration. */
static int check_tree(const char *tree, const struct candidate *c, struct err *e)
{
	AUTO_FREE char *path = str_format("%s/vmlinuz", tree);
	AUTO_FREE char *modules = str_format("%s/modules", tree);
	struct kernel k;
	int rc = kernel_read(&k, &(struct kernel_places){"", NULL}, path, "cache", e);

	if (rc < 0)
		return rc;
	if (strcmp(k.release, c->release) != 0)
		return err_set(e, EBADMSG, "the package holds %s", k.release);
	if (strcmp(k.modules, modules) != 0 || !k.configured)
		return err_set(
			e, EBADMSG, "the package has no %s", k.configured ? "modules" : "configuration");
	return 0;
}

static int folder_sync(const char *path, bool all, struct err *e)
{
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 || (all ? syncfs(fd) : fsync(fd)) < 0)
		return err_sys(e, "cannot sync %s", path);
	return 0;
}

/* Network file systems know neither flag; there a kernel of that name must first be removed. */
static int rename_over(const char *tree, const char *place)
{
	if (renameat2(AT_FDCWD, tree, AT_FDCWD, place, RENAME_NOREPLACE) == 0)
		return 0;
	if (errno == EEXIST)
		return renameat2(AT_FDCWD, tree, AT_FDCWD, place, RENAME_EXCHANGE);
	return errno == EINVAL ? rename(tree, place) : -1;
}

static int put_in_place(const struct fetch *f, const char *tree, const struct candidate *c, struct err *e)
{
	AUTO_FREE char *place = str_format("%s/%s", f->kernels, c->release);
	int rc = folder_sync(tree, true, e);

	if (rc < 0)
		return rc;
	if (rename_over(tree, place) < 0) {
		err_sys(e, "cannot put the kernel to %s", place);
		return err_try(e, "rm -r %s", place);
	}
	return folder_sync(f->kernels, false, e);
}

static int bring(struct fetch *f, const struct candidate *c, struct err *e)
{
	AUTO_FREE char *package = str_format(IMAGE "%s", c->release);
	AUTO_FREE char *tree = str_format("%s/tree", f->folder);
	AUTO_FREE char *packages = str_format("%s/package", f->folder);
	AUTO_FREE char *path = NULL;
	int rc = dir_make(tree, 0755, e);

	rc = rc < 0 ? rc : dir_make(packages, 0755, e);
	rc = rc < 0 ? rc : apt_download(&f->apt, package, c->version, packages, &path, e);
	if (rc < 0)
		return rc;
	apt_begin(&f->apt, BOOT_STEP_UNPACK, package);
	rc = unpack_kernel_package(path, tree, e);
	apt_begin(&f->apt, BOOT_STEP_NONE, NULL);
	rc = rc < 0 ? rc : check_tree(tree, c, e);
	if (rc == 0 && stopped(e))
		rc = -EINTR;
	rc = rc < 0 ? rc : put_in_place(f, tree, c, e);
	if (rc == -ENOSPC)
		err_try(e, "free some space, or another TAUT_CACHE");
	return rc < 0 ? err_wrap(e, "cannot fetch %s", package) : 0;
}

/* --- one fetch ----------------------------------------------------------------------------------- */

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
	AUTO_FREE char *path = str_format("%s/.lock", f->kernels);
	AUTO_CLOSE int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0)
		return err_sys(e, "cannot open %s", path);
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno != EWOULDBLOCK)
			return err_sys(e, "cannot lock %s", path);
		err_set(e, EBUSY, "cannot fetch a kernel: another taut fetches one into %s", f->kernels);
		return err_try(e, "wait for it");
	}
	return steal_fd(&fd);
}

static int fetch_within(struct fetch *f, const char *which, struct kernel *out, struct err *e)
{
	AUTO_FREE char *folder = str_format("%s/apt", f->folder);
	struct candidate c;
	struct kernel k;
	int rc = dir_make(folder, 0755, e);

	rc = rc < 0 ? rc : str_copy(f->apt.folder, sizeof(f->apt.folder), folder);
	rc = rc < 0 ? rc : apt_prepare(&f->apt, e);
	rc = rc < 0 ? rc : apt_update(&f->apt, e);
	rc = rc < 0 ? rc : resolve(f, which, &c, e);
	if (rc < 0 || is_cached(f, &c, out))
		return rc;
	rc = bring(f, &c, e);
	if (rc < 0)
		return rc;
	if (!is_cached(f, &c, &k))
		return err_set(e, EBADMSG, "cannot fetch %s: what came is another build than %s", c.release,
			c.version);
	*out = k;
	return 0;
}

int kernel_fetch(struct kernel *out, const char *which, boot_progress progress, void *arg, struct err *e)
{
	struct fetch f = {.apt = {.progress = progress, .arg = arg}};
	AUTO_CLOSE int lock = -1;
	AUTO_CLOSE int root = -1;
	char cache[256];
	int rc;

	if (!kernel_fetchable(which)) {
		err_usage(e, "cannot fetch '%s': it is no flavour and no version of one", which);
		return err_try(e, "stock, rt, cloud, 6.1-rt");
	}
	rc = boot_cache(cache, sizeof(cache), e);
	if (rc < 0)
		return rc;
	snprintf(f.kernels, sizeof(f.kernels), "%s/kernels", cache);
	snprintf(f.folder, sizeof(f.folder), "%s/.fetch-%d", f.kernels, (int)getpid());
	rc = dir_make(f.kernels, 0755, e);
	if (rc < 0 || (rc = lock = fetch_lock(&f, e)) < 0 || (rc = root = root_open("/", e)) < 0)
		return rc;
	root_each(root, f.kernels, remove_leftover, f.kernels, ERR_IGNORED);
	rc = dir_make(f.folder, 0700, e);
	rc = rc < 0 ? rc : fetch_within(&f, which, out, e);
	sources_free(&f.apt.sources);
	if (tree_remove(f.folder, ERR_IGNORED) < 0)
		log_warn("cannot remove %s", f.folder);
	if (rc == -EINTR && e)
		e->exit = EXIT_INTERRUPTED;
	return rc;
}
