/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Where kernels are, and which one a kernel selector names.
 *
 *   installed   /boot/vmlinuz-*, modules in /lib/modules/RELEASE, configuration in /boot/config-RELEASE
 *   cache       CACHE/kernels/RELEASE/{vmlinuz,config,modules}; a name that begins with a dot is no kernel
 * yet path        any bzImage in DIR: modules in DIR/../lib/modules/RELEASE, DIR/lib/modules/RELEASE,
 * DIR/modules or the machine's; configuration in DIR/config-RELEASE, DIR/config, the machine's /boot or
 * MODULES/config
 *
 * RELEASE is read from the kernel image, so that a renamed or linked file is recognised.  Files that are no
 * kernels, or cannot be read, are passed over in a search; such a file is an error when its path was given.
 */
#include "kernels.h"

#include <dirent.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/utsname.h>

#define CONFIG_MAX_BYTES (8u << 20)

/* --- one kernel --------------------------------------------------------------------------------- */

static bool is_file(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

/* The first of the folders that contains a table of modules. */
static void find_modules(struct kernel *k, const char *root, const char *dir)
{
	const struct {
		const char *base, *below;
		bool of_release;
	} places[] = {
		{dir, "../lib/modules/", true},
		{dir, "lib/modules/", true},
		{dir, "modules", false},
		{root, "lib/modules/", true},
		{root, "usr/lib/modules/", true},
	};

	for (size_t i = 0; i < ARRAY_LEN(places); i++) {
		AUTO_FREE char *folder = str_format(
			"%s/%s%s", places[i].base, places[i].below, places[i].of_release ? k->release : "");
		AUTO_FREE char *table = str_format("%s/modules.order", folder);
		AUTO_FREE char *real = is_file(table) ? realpath(folder, NULL) : NULL;
		if (real && str_copy(k->modules, sizeof(k->modules), real) == 0)
			return;
	}
	k->modules[0] = 0;
}

/* The text of the configuration, malloc'd, or NULL. */
static char *find_config(const struct kernel *k, const char *root, const char *dir)
{
	AUTO_FREE char *beside = str_format("%s/config-%s", dir, k->release);
	AUTO_FREE char *plain = str_format("%s/config", dir);
	AUTO_FREE char *boot = str_format("%s/boot/config-%s", root, k->release);
	AUTO_FREE char *within = str_format("%s/config", k->modules);
	const char *const all[] = {beside, plain, boot, k->modules[0] ? within : NULL};

	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		AUTO_CLOSE int fd = all[i] && is_file(all[i]) ? root_open("/", ERR_IGNORED) : -1;
		AUTO_FREE char *text = NULL;
		size_t len;
		if (fd >= 0 && root_read_all(fd, all[i], &text, &len, ERR_IGNORED) == 0 &&
			len <= CONFIG_MAX_BYTES && !memchr(text, 0, len) && strstr(text, "CONFIG_"))
			return steal_ptr(&text);
	}
	return NULL;
}

int kernel_read(struct kernel *k, const struct kernel_places *places, const char *path, const char *origin,
	struct err *e)
{
	AUTO_FREE char *real = realpath(path, NULL);
	struct kernel found = {0};
	struct utsname running;

	if (!real)
		return err_sys(e, "cannot read the kernel %s", path);
	if (str_copy(found.path, sizeof(found.path), real) < 0)
		return err_code(e, ENAMETOOLONG, "cannot read the kernel %s", real);
	int rc = bzimage_read(&found, real, e);
	if (rc < 0)
		return rc;
	*strrchr(real, '/') = 0;
	find_modules(&found, places->root, real);
	AUTO_FREE char *config = find_config(&found, places->root, real);
	kernel_judge(&found, config);
	bool same = !strcmp(origin, "installed") && uname(&running) == 0 &&
		    !strcmp(running.release, found.release) && !strcmp(running.version, found.version);
	str_copy(found.origin, sizeof(found.origin), same ? "running" : origin);
	*k = found;
	return 0;
}

int kernel_at(struct kernel *out, const char *path, struct err *e)
{
	int rc = kernel_read(out, &(struct kernel_places){"", NULL}, path, "path", e);

	if (rc < 0 && e->exit == EXIT_FAILED)
		e->exit = EXIT_USAGE; /* the user gave this path */
	return rc;
}

/* --- all of them -------------------------------------------------------------------------------- */

struct listing {
	const struct kernel_places *places;
	struct kernel *list;
	size_t n;
};

static void listing_add(struct listing *l, const char *path, const char *origin)
{
	struct err e = ERR_INIT;
	struct kernel k;

	if (kernel_read(&k, l->places, path, origin, &e) < 0) {
		log_info("%s", e.text);
		return;
	}
	l->list = mem_grow(l->list, l->n + 1, sizeof(*l->list));
	l->list[l->n++] = k;
}

static int add_installed(const char *name, void *arg)
{
	struct listing *l = arg;
	AUTO_FREE char *path = str_format("%s/boot/%s", l->places->root, name);

	if (str_starts(name, "vmlinuz-") && is_file(path))
		listing_add(l, path, "installed");
	return 0;
}

static int add_cached(const char *name, void *arg)
{
	struct listing *l = arg;
	AUTO_FREE char *path = str_format("%s/kernels/%s/vmlinuz", l->places->cache, name);

	if (name[0] != '.' && is_file(path))
		listing_add(l, path, "cache");
	return 0;
}

/* The newest release first; of equal releases the installed kernel before a fetched one. */
static int compare(const void *a, const void *b)
{
	static const char *const order[] = {"running", "installed", "cache", "path"};
	const struct kernel *x = a, *y = b;
	int by = strverscmp(y->release, x->release), at[2] = {0, 0};

	for (int i = 0; i < (int)ARRAY_LEN(order); i++) {
		at[0] = strcmp(x->origin, order[i]) ? at[0] : i;
		at[1] = strcmp(y->origin, order[i]) ? at[1] : i;
	}
	return by ? by : at[0] != at[1] ? at[0] - at[1] : strcmp(x->path, y->path);
}

int kernels_list(const struct kernel_places *places, struct kernel **out, size_t *n, struct err *e)
{
	struct listing l = {places, NULL, 0};
	AUTO_CLOSE int root = root_open("/", e);
	AUTO_FREE char *boot = str_format("%s/boot", places->root);
	AUTO_FREE char *cached = str_format("%s/kernels", places->cache ? places->cache : "");

	if (root < 0)
		return root;
	if (root_exists(root, boot) && root_each(root, boot, add_installed, &l, e) < 0)
		log_info("%s", e->text);
	if (places->cache && root_exists(root, cached) && root_each(root, cached, add_cached, &l, e) < 0)
		log_info("%s", e->text);
	*e = ERR_INIT;
	if (l.n)
		qsort(l.list, l.n, sizeof(*l.list), compare);
	*out = l.list;
	*n = l.n;
	return 0;
}

/* When the cache cannot be made, installed kernels are still found; a cache that cannot be trusted is an
 * error. */
static int list_here(struct kernel **out, size_t *n, struct err *e)
{
	char cache[256];
	struct err why = ERR_INIT;
	int rc = boot_cache(cache, sizeof(cache), &why);

	if (rc < 0 && why.exit == EXIT_REFUSED) {
		*e = why;
		return rc;
	}
	if (rc < 0)
		log_warn("%s", why.text);
	return kernels_list(&(struct kernel_places){"", rc < 0 ? NULL : cache}, out, n, e);
}

int kernels_each(int (*fn)(const struct kernel *k, void *arg), void *arg, struct err *e)
{
	AUTO_FREE struct kernel *list = NULL;
	size_t n = 0;
	int rc = list_here(&list, &n, e);

	for (size_t i = 0; i < n && rc == 0; i++)
		rc = fn(&list[i], arg);
	return rc;
}

/* --- the one that is meant ---------------------------------------------------------------------- */

static const struct kernel *pick(
	const struct kernel *list, size_t n, const char *version, const char *flavour)
{
	for (size_t i = 0; i < n; i++)
		if (!strcmp(list[i].flavour, flavour) && release_begins(list[i].release, version))
			return &list[i];
	return NULL;
}

static int none_found(const char *which, size_t n, struct err *e)
{
	err_set(e, ENOENT, "cannot find a kernel '%s': none of the %zu kernels here is one", which, n);
	return kernel_fetchable(which) ? err_try(e, "taut kernel fetch %s", which)
				       : err_try(e, "taut kernel list");
}

int kernels_pick(struct kernel *out, const struct kernel *list, size_t n, const char *which, struct err *e)
{
	const struct kernel *found = NULL;
	struct kernel_word word;

	for (size_t i = 0; i < n && !found; i++)
		if (!strcmp(list[i].release, which))
			found = &list[i];
	if (!found && kernel_word_parse(&word, which) < 0) {
		err_usage(e, "cannot use '%s' as a kernel: it is no flavour, no release and no path", which);
		return err_try(e, "stock, rt, cloud, a release, or ./%s", which);
	}
	if (!found)
		found = pick(list, n, word.version, word.flavour);
	/* A version without a flavour also names a kernel of flavour "other", when there is no stock one. */
	if (!found && !word.said && word.version[0])
		found = pick(list, n, word.version, "other");
	/* An emulated host has only the kernels that its image was made with; the newest is taken. */
	if (!found && !*which && n && host_emulated())
		found = list;
	if (!found)
		return none_found(*which ? which : "stock", n, e);
	*out = *found;
	return 0;
}

int kernel_find(struct kernel *out, const char *which, struct err *e)
{
	AUTO_FREE struct kernel *list = NULL;
	size_t n = 0;

	if (strchr(which, '/'))
		return kernel_at(out, which, e);
	int rc = list_here(&list, &n, e);
	return rc < 0 ? rc : kernels_pick(out, list, n, which, e);
}
