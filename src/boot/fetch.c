/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Fetching a kernel of Debian into the cache.
 *
 * The metapackage of a flavour depends on the package of a kernel, in each version that the release and its
 * backports have; the newest kernel that fits the kernel selector is taken.  apt downloads and verifies its
 * package.  The package is unpacked, read back as a kernel, and put to CACHE/kernels/RELEASE (fetch_place.c).
 * A newer build of the same release (Debian keeps the name as long as modules fit) replaces the older one in
 * one step.
 */
#include "fetch.h"
#include "kernels.h"
#include "unpack.h"

#include <stdio.h>

static const struct {
	const char *flavour, *package;
} metapackages[] = {
	{"stock", "linux-image-amd64"},
	{"rt", "linux-image-rt-amd64"},
	{"cloud", "linux-image-cloud-amd64"},
};

#define IMAGE "linux-image-"

struct candidate {
	char release[80], version[80]; /* release of the kernel, version of its package */
};

/* --- which package ------------------------------------------------------------------------------- */

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
		if (c.release[0] && c.version[0] && fetch_name_is_plain(c.release) &&
			fetch_name_is_plain(c.version) &&
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

/* Is exactly this build in the cache? */
static bool is_cached(const struct fetch *f, const struct candidate *c, struct kernel *out)
{
	AUTO_FREE char *path = str_format("%s/%s/vmlinuz", f->base, c->release);
	AUTO_FREE char *build = str_format(" %s ", c->version);
	AUTO_FREE char *modules = str_format("%s/%s/modules", f->base, c->release);
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

/* Checks that the unpacked kernel is the one that was chosen, and has its modules and its configuration. */
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
	rc = unpack_package(path, tree, unpack_kernel, e);
	apt_begin(&f->apt, BOOT_STEP_NONE, NULL);
	rc = rc < 0 ? rc : check_tree(tree, c, e);
	rc = rc < 0 ? rc : fetch_place(f, tree, c->release, e);
	if (rc == -ENOSPC)
		err_try(e, "free some space, or another TAUT_CACHE");
	return rc < 0 ? err_wrap(e, "cannot fetch %s", package) : 0;
}

/* --- one fetch ----------------------------------------------------------------------------------- */

static int fetch_within(struct fetch *f, const char *which, struct kernel *out, struct err *e)
{
	struct candidate c;
	struct kernel k;
	int rc = resolve(f, which, &c, e);

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
	struct fetch f = {.what = "a kernel", .apt = {.progress = progress, .arg = arg}};

	if (!kernel_fetchable(which)) {
		err_usage(e, "cannot fetch '%s': it is no flavour and no version of one", which);
		return err_try(e, "stock, rt, cloud, 6.1-rt");
	}
	int rc = fetch_open(&f, "kernels", e);
	rc = rc < 0 ? rc : fetch_within(&f, which, out, e);
	return fetch_close(&f, rc, e);
}
