/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Modules with all that they depend on, from the kernel's own tables.
 *
 * Debian's packages have no modules.dep (it is made when they are installed).  So names and paths come from
 * modules.order and modules.builtin, and dependencies from the section .modinfo of each module: "depends=a,b"
 * and "softdep=pre: c d post: e".  Files may be .ko, .ko.xz, .ko.gz or .ko.zst.
 *
 * The order is that of a depth-first walk from the names asked for, in their order: the dependencies of a
 * module come before it, its soft dependencies before those.  A soft dependency that is no module (but an
 * alias) is left out, and one that leads in a circle is ignored; dependencies in a circle are an error.
 *
 * Module files are untrusted: the ELF parser checks every offset, and a file that decompresses to more than
 * MODULE_MAX_BYTES is refused.
 */
#include "kernels.h"
#include "unpack.h"

#include <elf.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>

#define MODULE_MAX_BYTES (128u << 20)
#define DEPTH_MAX        64

/* --- .modinfo ----------------------------------------------------------------------------------- */

static bool within(uint64_t offset, uint64_t size, size_t len)
{
	return offset <= len && size <= len - offset;
}

static int section_at(const char *data, size_t len, const Elf64_Ehdr *h, unsigned i, Elf64_Shdr *s)
{
	uint64_t at = h->e_shoff + (uint64_t)i * sizeof(*s);

	if (h->e_shoff > len || !within(at, sizeof(*s), len))
		return -EINVAL;
	memcpy(s, data + at, sizeof(*s));
	if (s->sh_type != SHT_NOBITS && !within(s->sh_offset, s->sh_size, len))
		return -EINVAL;
	return 0;
}

int module_info(const char *data, size_t len, const char **info, size_t *info_len, struct err *e)
{
	static const char wanted[] = ".modinfo";
	Elf64_Ehdr h;
	Elf64_Shdr names, s;

	if (len < sizeof(h))
		return err_set(e, EINVAL, "it is too short to be a module");
	memcpy(&h, data, sizeof(h));
	if (memcmp(h.e_ident, ELFMAG, SELFMAG) != 0 || h.e_ident[EI_CLASS] != ELFCLASS64 ||
		h.e_ident[EI_DATA] != ELFDATA2LSB || h.e_type != ET_REL || h.e_machine != EM_X86_64)
		return err_set(e, EINVAL, "it is no module for x86-64");
	if (h.e_shentsize != sizeof(s) || h.e_shstrndx >= h.e_shnum ||
		section_at(data, len, &h, h.e_shstrndx, &names) < 0 || names.sh_type != SHT_STRTAB)
		return err_set(e, EINVAL, "its sections have no names");
	for (unsigned i = 0; i < h.e_shnum; i++) {
		if (section_at(data, len, &h, i, &s) < 0)
			return err_set(e, EINVAL, "its section %u lies outside of it", i);
		if (!within(s.sh_name, sizeof(wanted), names.sh_size) ||
			memcmp(data + names.sh_offset + s.sh_name, wanted, sizeof(wanted)) != 0)
			continue;
		if (s.sh_type == SHT_NOBITS || (s.sh_size && data[s.sh_offset + s.sh_size - 1] != 0))
			return err_set(e, EINVAL, "its section .modinfo is no list of texts");
		*info = data + s.sh_offset;
		*info_len = s.sh_size;
		return 0;
	}
	return err_set(e, EINVAL, "it has no section .modinfo");
}

const char *module_info_next(const char *info, size_t len, const char *key, size_t *at)
{
	size_t n = strlen(key);

	while (*at < len) {
		const char *text = info + *at;
		*at += strlen(text) + 1; /* the last byte is NUL */
		if (str_starts(text, key) && text[n] == '=')
			return text + n + 1;
	}
	return NULL;
}

/* --- the table of names ------------------------------------------------------------------------- */

enum state { UNSEEN, BEING_LOADED, LOADED };

struct entry {
	char name[64];    /* with '_' for '-' */
	const char *path; /* below the module tree, without what its compression adds; NULL: built in */
	enum state state;
};

struct table {
	const struct kernel *kernel;
	char *order, *builtin; /* texts of the tables; the entries' paths point into them */
	struct entry *entries;
	size_t n;
	struct module *modules; /* those that have been loaded */
	size_t modules_n;
};

static void table_free(struct table *t)
{
	free(t->order);
	free(t->builtin);
	free(t->entries);
	modules_free(t->modules, t->modules_n);
}

static int name_normal(char out[64], const char *text, size_t len)
{
	if (len == 0 || len >= 64)
		return -EINVAL;
	for (size_t i = 0; i < len; i++)
		out[i] = (char)(text[i] == '-' ? '_' : text[i]);
	out[len] = 0;
	return 0;
}

/* Adds a line "kernel/drivers/net/virtio_net.ko"; other lines are passed over. */
static void table_add(struct table *t, char *line, bool builtin)
{
	struct entry entry = {.path = builtin ? NULL : line};
	char *slash = strrchr(line, '/'), *base = slash ? slash + 1 : line, *end = strstr(base, ".ko");

	if (!end || line[0] == '/' || strstr(line, "..") ||
		name_normal(entry.name, base, (size_t)(end - base)))
		return;
	end[3] = 0;
	t->entries = mem_grow(t->entries, t->n + 1, sizeof(*t->entries));
	t->entries[t->n++] = entry;
}

static int table_read(struct table *t, const char *name, char **text, struct err *e)
{
	AUTO_FREE char *path = str_format("%s/%s", t->kernel->modules, name);
	AUTO_CLOSE int root = root_open("/", e);
	int rc = root < 0 ? root : root_read_all(root, path, text, NULL, e);

	if (rc < 0)
		return rc;
	for (char *save = NULL, *line = strtok_r(*text, "\n", &save); line;
		line = strtok_r(NULL, "\n", &save))
		table_add(t, str_trim(line), text == &t->builtin);
	return 0;
}

/* By name; a built-in module before a file of the same name. */
static int compare(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;
	int by = strcmp(x->name, y->name);

	return by                     ? by
	       : !x->path || !y->path ? (x->path != NULL) - (y->path != NULL)
				      : strcmp(x->path, y->path);
}

static struct entry *table_find(const struct table *t, const char *name)
{
	size_t low = 0, high = t->n;

	while (low < high) { /* the first of its name */
		size_t middle = low + (high - low) / 2;
		if (strcmp(t->entries[middle].name, name) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low < t->n && !strcmp(t->entries[low].name, name) ? &t->entries[low] : NULL;
}

static int table_open(struct table *t, const struct kernel *k, struct err *e)
{
	*t = (struct table){.kernel = k};
	if (!k->modules[0]) {
		err_set(e, ENOENT, "cannot load modules of %s: there are none beside %s", k->release,
			k->path);
		return err_try(e, "a folder lib/modules/%s or modules beside it", k->release);
	}
	int rc = table_read(t, "modules.order", &t->order, e);
	if (rc == 0)
		rc = table_read(t, "modules.builtin", &t->builtin, e);
	if (rc < 0)
		return err_wrap(e, "cannot load modules of %s", k->release);
	if (t->n)
		qsort(t->entries, t->n, sizeof(*t->entries), compare);
	return 0;
}

/* --- loading ------------------------------------------------------------------------------------ */

static int entry_load(struct table *t, struct entry *entry, unsigned depth, struct err *e);

static int read_module(
	const struct table *t, const struct entry *entry, char **data, size_t *len, struct err *e)
{
	static const char *const endings[] = {"", ".xz", ".zst", ".gz"};
	struct stat st;

	for (size_t i = 0; i < ARRAY_LEN(endings); i++) {
		AUTO_FREE char *path = str_format("%s/%s%s", t->kernel->modules, entry->path, endings[i]);
		if (stat(path, &st) == 0)
			return unpack_file(path, MODULE_MAX_BYTES, data, len, e);
	}
	return err_set(e, ENOENT, "%s/%s is missing", t->kernel->modules, entry->path);
}

/* Loads the module `text`, on which `of` depends. */
static int load_needed(struct table *t, const struct entry *of, const char *text, size_t len, bool soft,
	unsigned depth, struct err *e)
{
	char name[64] = "";
	struct entry *entry = name_normal(name, text, len) < 0 ? NULL : table_find(t, name);

	if (!entry && soft) {
		AUTO_FREE char *generic = str_format("%s_generic", name);
		entry = table_find(t, generic);
	}
	if (!entry && soft)
		return 0;
	if (!entry)
		return err_set(e, ENOENT, "cannot load module %s: it needs %.*s, which this kernel has not",
			of->name, (int)MIN(len, (size_t)100), text);
	if (entry->state == BEING_LOADED) {
		if (soft)
			return 0;
		return err_set(
			e, ELOOP, "cannot load module %s: it needs %s, which needs it", of->name, name);
	}
	return entry_load(t, entry, depth + 1, e);
}

/* Loads each module of a list, up to a word that ends with ':' (the "post:" in "pre: a b post: c"). */
static int load_list(
	struct table *t, const struct entry *of, const char *list, bool soft, unsigned depth, struct err *e)
{
	const char *gaps = soft ? " \t" : ",";
	int rc = 0;

	for (const char *p = list; rc == 0;) {
		p += strspn(p, gaps);
		size_t n = strcspn(p, gaps);
		if (!n || (soft && p[n - 1] == ':'))
			break;
		rc = load_needed(t, of, p, n, soft, depth, e);
		p += n;
	}
	return rc;
}

static int load_needs(struct table *t, const struct entry *entry, const char *info, size_t len,
	unsigned depth, struct err *e)
{
	const char *value;
	int rc = 0;

	for (size_t at = 0; rc == 0 && (value = module_info_next(info, len, "softdep", &at));) {
		const char *pre = strstr(value, "pre:");
		if (pre)
			rc = load_list(t, entry, pre + 4, true, depth, e);
	}
	for (size_t at = 0; rc == 0 && (value = module_info_next(info, len, "depends", &at));)
		rc = load_list(t, entry, value, false, depth, e);
	return rc;
}

/* Compares "6.12.95+deb12-amd64 SMP preempt …" with the kernel: the guest would refuse a module of another
 * one. */
static int check_vermagic(const struct table *t, const char *info, size_t len, struct err *e)
{
	size_t at = 0, n = strlen(t->kernel->release);
	const char *magic = module_info_next(info, len, "vermagic", &at);

	if (magic && (strncmp(magic, t->kernel->release, n) != 0 || (magic[n] && magic[n] != ' ')))
		return err_set(e, EINVAL, "it was built for %.*s", (int)strcspn(magic, " "), magic);
	return 0;
}

static int entry_load(struct table *t, struct entry *entry, unsigned depth, struct err *e)
{
	AUTO_FREE char *data = NULL;
	const char *info = NULL;
	size_t len = 0, info_len = 0;
	int rc;

	if (entry->state == LOADED || !entry->path)
		return 0;
	if (depth > DEPTH_MAX)
		return err_set(e, ELOOP, "cannot load module %s: %d modules need one another", entry->name,
			DEPTH_MAX);
	rc = read_module(t, entry, &data, &len, e);
	if (rc == 0)
		rc = module_info(data, len, &info, &info_len, e);
	if (rc == 0)
		rc = check_vermagic(t, info, info_len, e);
	if (rc < 0)
		return err_wrap(e, "cannot load module %s of %s", entry->name, t->kernel->release);
	entry->state = BEING_LOADED;
	rc = load_needs(t, entry, info, info_len, depth, e);
	if (rc < 0)
		return rc;
	entry->state = LOADED;
	t->modules = mem_grow(t->modules, t->modules_n + 1, sizeof(*t->modules));
	struct module *module = &t->modules[t->modules_n++];
	*module = (struct module){.data = steal_ptr(&data), .len = len};
	return str_copy(module->name, sizeof(module->name), entry->name);
}

int modules_load(const struct kernel *k, const char *const *names, size_t n, bool optional,
	struct module **out, size_t *out_n, struct err *e)
{
	AUTO(table_free) struct table t;
	int rc = table_open(&t, k, e);

	for (size_t i = 0; i < n && rc == 0; i++) {
		char name[64];
		struct entry *entry =
			name_normal(name, names[i], strlen(names[i])) < 0 ? NULL : table_find(&t, name);
		if (entry)
			rc = entry_load(&t, entry, 0, e);
		else if (!optional)
			rc = err_set(e, ENOENT, "cannot load module %s: kernel %s has none of that name",
				names[i], k->release);
	}
	if (rc < 0)
		return rc;
	*out_n = t.modules_n;
	*out = steal_ptr(&t.modules);
	t.modules_n = 0;
	return 0;
}

void modules_free(struct module *modules, size_t n)
{
	for (size_t i = 0; modules && i < n; i++)
		free(modules[i].data);
	free(modules);
}
