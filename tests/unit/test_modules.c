/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Modules with what they need, from trees with real (if tiny) ELF files in them. */
#include "boot/kernels.h"
#include "boot/unpack.h"
#include "test_boot_world.h"

#include <archive.h>
#include <archive_entry.h>

static struct kernel kernel;

/* Puts a file through a compressor of libarchive: ".xz", ".gz", ".zst". */
static void compress(const char *ending, const char *data, size_t len, const char *below)
{
	AUTO_FREE char *path = str_format("%s%s%s", world, below, ending);
	struct archive *a = archive_write_new();
	struct archive_entry *entry = archive_entry_new();

	world_text("", "%s%s", below, ending);
	archive_write_set_format_raw(a);
	if (!strcmp(ending, ".xz"))
		archive_write_add_filter_xz(a);
	else if (!strcmp(ending, ".gz"))
		archive_write_add_filter_gzip(a);
	else if (*ending)
		archive_write_add_filter_zstd(a);
	assert_int_equal(archive_write_open_filename(a, path), ARCHIVE_OK);
	archive_entry_set_filetype(entry, AE_IFREG);
	assert_int_equal(archive_write_header(a, entry), ARCHIVE_OK);
	assert_int_equal(archive_write_data(a, data, len), len);
	assert_int_equal(archive_write_close(a), ARCHIVE_OK);
	archive_write_free(a);
	archive_entry_free(entry);
}

/* A tree NAME of modules: "a.ko depends=b" each a file; modules.order and modules.builtin as they are. */
static void tree_make(const char *name, const char *const *files, const char *builtin)
{
	AUTO(buf_free) struct buf order = {0};

	for (; *files; files++) {
		const char *info = strchr(*files, ' ') + 1, *ending = strstr(*files, ".ko") + 3;
		AUTO_FREE char *path = str_format("%.*s", (int)(ending - *files), *files);
		AUTO_FREE char *compression = str_format("%.*s", (int)(info - 1 - ending), ending);
		AUTO_FREE char *below = str_format("/%s/kernel/%s", name, path);
		size_t len;
		AUTO_FREE char *data = module_make(info, &len);
		compress(compression, data, len, below);
		buf_add(&order, "kernel/%s\n", path);
	}
	world_text(order.data, "/%s/modules.order", name);
	world_text(builtin, "/%s/modules.builtin", name);
	kernel = (struct kernel){.release = "6.1.0"};
	snprintf(kernel.modules, sizeof(kernel.modules), "%s/%s", world, name);
}

/* The names of what is loaded for a list of names, "a b c"; or the message. */
static const char *loaded(const char *names, bool optional, int *rc)
{
	static char out[1024];
	const char *list[8];
	struct module *modules;
	struct err e = ERR_INIT;
	size_t n = 0, modules_n;
	AUTO_FREE char *copy = str_dup(names);

	for (char *save = NULL, *word = strtok_r(copy, " ", &save); word; word = strtok_r(NULL, " ", &save))
		list[n++] = word;
	*rc = modules_load(&kernel, list, n, optional, &modules, &modules_n, &e);
	if (*rc < 0) {
		snprintf(out, sizeof(out), "%s", e.text);
		return out;
	}
	out[0] = 0;
	for (size_t i = 0; i < modules_n; i++) {
		const char *info;
		size_t len;
		ok(module_info(modules[i].data, modules[i].len, &info, &len, &e));
		snprintf(out + strlen(out), sizeof(out) - strlen(out), "%s%s", i ? " " : "", modules[i].name);
	}
	modules_free(modules, modules_n);
	return out;
}

static void test_order(void **state)
{
	static const char *const files[] = {"net/virtio-net.ko depends=net-failover,virtio_ring|license=GPL",
		"net/net_failover.ko.xz depends=failover",
		"net/failover.ko.gz depends=", "virtio/virtio_ring.ko.zst depends=virtio",
		"virtio/virtio.ko license=GPL",
		"virtio/virtio_pci.ko.xz depends=virtio,virtio_ring|softdep=pre: early-one nothing sum post: late",
		"early_one.ko depends=core", "late.ko depends=", "sum_generic.ko depends=", NULL};
	static const char *const cases[][2] = {
		{"virtio", "virtio"},
		{"virtio_net", "failover net_failover virtio virtio_ring virtio_net"},
		{"virtio-net", "failover net_failover virtio virtio_ring virtio_net"},
		{"virtio_net virtio virtio_pci",
			"failover net_failover virtio virtio_ring virtio_net early_one sum_generic virtio_pci"},
		{"virtio_pci virtio_pci", "early_one sum_generic virtio virtio_ring virtio_pci"},
		{"core", ""},
		{"core-thing early_one", "early_one"},
		{"", ""},
	};
	int rc;

	(void)state;
	tree_make("order", files, "kernel/lib/core.ko\nkernel/lib/core_thing.ko\n");
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_string_equal(loaded(cases[i][0], false, &rc), cases[i][1]);
		assert_int_equal(rc, 0);
	}
}

static void test_missing(void **state)
{
	static const char *const files[] = {"a.ko depends=b", "b.ko depends=gone", "c.ko depends=", NULL};
	int rc;

	(void)state;
	tree_make("missing", files, "");
	assert_has(loaded("c frob", false, &rc), "frob");
	assert_int_equal(rc, -ENOENT);
	assert_string_equal(loaded("frob c", true, &rc), "c");
	/* The dependencies of a module are never optional. */
	assert_has(loaded("a", true, &rc), "module b: it needs gone");
	assert_int_equal(rc, -ENOENT);
	world_text("kernel/c.ko\nkernel/not_there.ko\n", "/missing/modules.order");
	assert_has(loaded("not_there", true, &rc), "kernel/not_there.ko is missing");
}

static void test_circles(void **state)
{
	static const char *const files[] = {"a.ko depends=b", "b.ko depends=c", "c.ko depends=a",
		"self.ko depends=self", "s.ko depends=|softdep=pre: t", "t.ko depends=|softdep=pre: s", NULL};
	int rc;

	(void)state;
	tree_make("circles", files, "");
	assert_has(loaded("a", false, &rc), "cannot load module c: it needs a, which needs it");
	assert_int_equal(rc, -ELOOP);
	loaded("self", false, &rc);
	assert_int_equal(rc, -ELOOP);
	assert_string_equal(loaded("s", false, &rc), "t s");
	assert_int_equal(rc, 0);
}

static void test_long_chain(void **state)
{
	char *files[201];
	int rc;

	(void)state;
	for (int i = 0; i < 200; i++)
		files[i] = str_format("m%d.ko depends=m%d", i, i + 1);
	files[200] = NULL;
	tree_make("chain", (const char *const *)files, "kernel/m200.ko\n");
	assert_has(loaded("m0", false, &rc), "need one another");
	assert_true(strlen(loaded("m180", false, &rc)) > 0);
	assert_int_equal(rc, 0);
	for (int i = 0; i < 200; i++)
		free(files[i]);
}

static void test_other_kernel(void **state)
{
	static const char *const files[] = {"same.ko vermagic=6.1.0 SMP mod_unload |depends=",
		"other.ko vermagic=6.1.0-rt SMP mod_unload |depends=", NULL};
	int rc;

	(void)state;
	tree_make("vermagic", files, "");
	assert_string_equal(loaded("same", false, &rc), "same");
	assert_has(loaded("other", false, &rc), "built for 6.1.0-rt");
}

static void test_tables(void **state)
{
	static const char *const files[] = {"a.ko depends=", NULL};
	int rc;

	(void)state;
	tree_make("tables", files, "");
	world_text(
		"\n\n/etc/abs.ko\nkernel/../../../etc/out.ko\nkernel/.ko\nreadme\n  kernel/a.ko  \nkernel/0123456789012345678901234567890123456789012345678901234567890123456789.ko\n",
		"/tables/modules.order");
	assert_string_equal(loaded("a abs out readme", true, &rc), "a");
	tree_make("tables", files, "");
	AUTO_FREE char *builtin = str_format("%s/modules.builtin", kernel.modules);
	unlink(builtin);
	assert_has(loaded("a", true, &rc), "modules.builtin");
	kernel.modules[0] = 0;
	assert_has(loaded("a", true, &rc), "there are none");
	assert_int_equal(rc, -ENOENT);
}

static void test_damaged_files(void **state)
{
	static const char *const files[] = {"a.ko.xz depends=", "b.ko depends=", NULL};
	AUTO_FREE char *path = str_format("%s/damaged/kernel/a.ko.xz", world);
	AUTO_FREE char *data = NULL;
	struct err e = ERR_INIT;
	size_t len, plain_len;
	int rc;

	(void)state;
	tree_make("damaged", files, "");
	AUTO_CLOSE int root = root_open("/", &e);
	ok(root_read_all(root, path, &data, &len, &e));
	for (size_t cut = 1; cut < len; cut += 7) {
		world_write(data, cut, "/damaged/kernel/a.ko.xz");
		assert_has(loaded("a", false, &rc), "cannot load module a");
		assert_true(rc < 0);
	}
	world_text("no module at all, but long enough to be looked at as the header of one, surely",
		"/damaged/kernel/b.ko");
	assert_has(loaded("b", false, &rc), "no module for x86-64");
	world_text("", "/damaged/kernel/b.ko");
	assert_has(loaded("b", false, &rc), "too short");
	/* More than is allowed. */
	AUTO_FREE char *plain = NULL;
	world_write(data, len, "/damaged/kernel/a.ko.xz");
	assert_int_equal(unpack_file(path, 64, &plain, &plain_len, &e), -EFBIG);
}

/* Every cut, and every byte of headers and tables changed: refused or read, never out of bounds. */
static void test_broken_elf(void **state)
{
	size_t len, info_len, taken = 0;
	AUTO_FREE char *whole = module_make("depends=a,b|license=GPL", &len);
	const char *info;

	(void)state;
	for (size_t n = 0; n < len; n++) {
		AUTO_FREE char *part = malloc(n);
		memcpy(part, whole, n);
		assert_true(module_info(part, n, &info, &info_len, ERR_IGNORED) < 0);
	}
	for (size_t at = 0; at < len; at++)
		for (int value = 0; value < 256; value += 15) {
			AUTO_FREE char *copy = malloc(len);
			memcpy(copy, whole, len);
			copy[at] = (char)value;
			if (module_info(copy, len, &info, &info_len, ERR_IGNORED) < 0)
				continue;
			size_t from = 0;
			while (module_info_next(info, info_len, "depends", &from))
				taken++;
		}
	assert_true(taken > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		{"what a module needs comes before it, each once", test_order, NULL, NULL, NULL},
		{"a module that is missing is named, unless it is optional", test_missing, NULL, NULL, NULL},
		{"modules that need one another are refused, softdeps cut", test_circles, NULL, NULL, NULL},
		{"a chain without end is refused", test_long_chain, NULL, NULL, NULL},
		{"a module of another kernel is refused", test_other_kernel, NULL, NULL, NULL},
		{"lines of the tables that lead elsewhere are passed over", test_tables, NULL, NULL, NULL},
		{"a module file that is damaged is named", test_damaged_files, NULL, NULL, NULL},
		{"no broken ELF file is read beyond its end", test_broken_elf, NULL, NULL, NULL},
	};

	return cmocka_run_group_tests(tests, world_begin, world_end);
}
