/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Fetching a QEMU of Debian into the cache, for machines with devices that the machine's own QEMU lacks.
 *
 * Taken is the newest that the release, Debian's present stable release, or the backports of either have.
 * Such a QEMU needs libraries of its own release, so apt downloads it with all packages that it depends on,
 * as if nothing were installed, and verifies them.  Of these packages the program, the shared libraries and
 * the few files that a machine reads at run time are unpacked:
 *
 *   CACHE/qemu/VERSION/qemu-system-x86_64
 *                      lib/        libraries and the dynamic loader, which starts the program (qemu.c)
 *                      modules/    parts of QEMU that it loads itself
 *                      share/      firmware
 *
 * Nearly all of the libraries belong to other programs of those packages; those that the loader does not
 * name for QEMU are removed again.
 */
#include "closure.h"
#include "fetch.h"
#include "qemu.h"
#include "unpack.h"

#include <stdio.h>
#include <sys/stat.h>

#define PACKAGE  "qemu-system-x86"
#define LIBRARY  "lib/x86_64-linux-gnu/"
#define LIST_NS  (10 * NS_PER_S)
#define MAX_LIBS 512

/* --- what of the packages ------------------------------------------------------------------------ */

static bool in_folder(const char *name, const char *folder, const char *into, const char *const *only,
	char *out, size_t size)
{
	const char *rest = name + strlen(folder);
	bool wanted = !only;

	if (!str_starts(name, folder) || !*rest || strchr(rest, '/'))
		return false;
	for (size_t i = 0; only && only[i]; i++)
		wanted |= !strcmp(rest, only[i]);
	int n = snprintf(out, size, "%s/%s", into, rest);
	return wanted && n > 0 && (size_t)n < size;
}

static bool unpack_qemu(const char *name, bool is_link, char *out, size_t size)
{
	static const char *const modules[] = {"accel-tcg-x86_64.so", NULL};

	if (is_link) /* of a library; of other files a link is another name only */
		return strstr(name, ".so") && in_folder(name, LIBRARY, "lib", NULL, out, size);
	if (!strcmp(name, "bin/" QEMU_PROGRAM))
		return str_copy(out, size, QEMU_PROGRAM) == 0;
	return (strstr(name, ".so") && in_folder(name, LIBRARY, "lib", NULL, out, size)) ||
	       in_folder(name, LIBRARY "qemu/", "modules", modules, out, size) ||
	       in_folder(name, "share/qemu/", "share", qemu_firmware, out, size) ||
	       in_folder(name, "share/seabios/", "share", qemu_firmware, out, size);
}

struct unpacking {
	struct fetch *f;
	const char *packages, *tree;
	struct err *e;
};

static int unpack_one(const char *name, void *arg)
{
	const struct unpacking *u = arg;
	AUTO_FREE char *path = str_format("%s/%s", u->packages, name);
	size_t n = strlen(name);

	if (n < 4 || strcmp(name + n - 4, ".deb") != 0)
		return 0;
	return unpack_package(path, u->tree, unpack_qemu, u->e);
}

/* --- which libraries it needs -------------------------------------------------------------------- */

struct needed {
	char *names[MAX_LIBS];
	size_t n;
	const char *tree, *loader;
};

static void needed_free(struct needed *l)
{
	for (size_t i = 0; i < l->n; i++)
		free(l->names[i]);
}

/* Takes a library that the loader names: the link by whose name it is looked for becomes the file itself. */
static int take_library(const char *path, void *arg, struct err *e)
{
	struct needed *l = arg;
	AUTO_FREE char *real = realpath(path, NULL);

	if (!real || !str_starts(path, l->tree))
		return err_set(e, EBADMSG, "the packages lack %s", path);
	if (l->n == MAX_LIBS)
		return err_set(e, E2BIG, "it needs more than %d libraries", MAX_LIBS);
	if (strcmp(real, path) != 0 && rename(real, path) < 0)
		return err_sys(e, "cannot rename %s", real);
	l->names[l->n++] = str_dup(strrchr(path, '/') + 1);
	return 0;
}

static int remove_unneeded(const char *name, void *arg)
{
	const struct needed *l = arg;
	AUTO_FREE char *path = str_format("%s/lib/%s", l->tree, name);

	for (size_t i = 0; i < l->n; i++)
		if (!strcmp(name, l->names[i]))
			return 0;
	if (strcmp(name, QEMU_LOADER) != 0)
		unlink(path);
	return 0;
}

static int libraries_prune(const char *tree, struct err *e)
{
	AUTO(needed_free) struct needed l = {.tree = tree};
	AUTO_FREE char *loader = str_format("%s/lib/" QEMU_LOADER, tree);
	AUTO_FREE char *libraries = str_format("%s/lib", tree);
	AUTO_FREE char *program = str_format("%s/" QEMU_PROGRAM, tree);
	const char *const argv[] = {loader, "--library-path", libraries, "--list", program, NULL};
	AUTO_FREE char *text = NULL;
	AUTO_CLOSE int root = root_open("/", e);
	int rc = root < 0 ? root : 0;

	if (rc == 0 && (chmod(loader, 0755) < 0 || chmod(program, 0755) < 0))
		rc = err_sys(e, "the packages lack the program or its dynamic loader");
	rc = rc < 0 ? rc : child_run(argv, false, LIST_NS, &text, e);
	if (rc > 0)
		rc = err_set(e, EBADMSG, "its dynamic loader cannot list its libraries");
	rc = rc < 0 ? rc : closure_read(text, program, take_library, &l, e);
	return rc < 0 ? rc : root_each(root, libraries, remove_unneeded, &l, e);
}

/* --- one fetch ----------------------------------------------------------------------------------- */

static int bring(struct fetch *f, const char *version, const char *suite, const char *name, struct err *e)
{
	AUTO_FREE char *tree = str_format("%s/tree", f->folder);
	AUTO_FREE char *packages = NULL;
	AUTO_CLOSE int root = root_open("/", e);
	struct qemu q;
	int rc = root < 0 ? root : dir_make(tree, 0755, e);

	rc = rc < 0 ? rc : apt_download_all(&f->apt, PACKAGE, version, suite, &packages, e);
	if (rc < 0)
		return rc;
	apt_begin(&f->apt, BOOT_STEP_UNPACK, PACKAGE);
	AUTO_FREE char *real = realpath(tree, NULL);
	rc = real ? 0 : err_sys(e, "cannot unpack into %s", tree);
	rc = rc < 0 ? rc
		    : root_each(root, packages, unpack_one, &(struct unpacking){f, packages, real, e}, e);
	rc = rc < 0 ? rc : libraries_prune(real, e);
	rc = rc < 0 ? rc : qemu_at(&q, real, e);
	apt_begin(&f->apt, BOOT_STEP_NONE, NULL);
	return rc < 0 ? rc : fetch_place(f, tree, name, e);
}

static int fetch_within(struct fetch *f, struct qemu *out, struct err *e)
{
	char version[80], suite[80];
	int rc = apt_newest_suites(&f->apt, e);

	rc = rc < 0 ? rc : apt_newest(&f->apt, PACKAGE, version, sizeof(version), suite, sizeof(suite), e);
	if (rc < 0)
		return rc;
	/* The epoch and the signs of a version are nothing that a list of folders could take as its end. */
	const char *name = strchr(version, ':') ? strchr(version, ':') + 1 : version;
	if (!fetch_name_is_plain(version) || !fetch_name_is_plain(name) || !fetch_name_is_plain(suite))
		return err_set(
			e, EBADMSG, "cannot fetch " PACKAGE ": '%s' is no version of a package", version);
	AUTO_FREE char *place = str_format("%s/%s", f->base, name);
	if (qemu_at(out, place, ERR_IGNORED) == 0)
		return 0;
	rc = bring(f, version, suite, name, e);
	rc = rc < 0 ? rc : qemu_at(out, place, e);
	if (rc == -ENOSPC)
		err_try(e, "free some space, or another TAUT_CACHE");
	return rc < 0 ? err_wrap(e, "cannot fetch " PACKAGE " %s", version) : 0;
}

int qemu_fetch(struct qemu *out, boot_progress progress, void *arg, struct err *e)
{
	struct fetch f = {.what = "QEMU", .apt = {.progress = progress, .arg = arg}};
	int rc = fetch_open(&f, "qemu", e);

	rc = rc < 0 ? rc : fetch_within(&f, out, e);
	return fetch_close(&f, rc, e);
}
