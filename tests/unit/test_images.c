/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The contents of images, read back with libarchive; and the leftovers of a killed taut in the cache. */
#include "boot/closure.h"
#include "boot/cpio.h"
#include "boot/image.h"
#include "boot/kvm_answer.h"
#include "test_boot_world.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <sys/stat.h>

/* --- reading back ------------------------------------------------------------------------------ */

/* Every entry as "path mode size→link\n". */
static char *listing(const char *path)
{
	struct archive *a = archive_read_new();
	struct archive_entry *entry;
	AUTO(buf_free) struct buf out = {0};

	archive_read_support_format_cpio(a);
	assert_int_equal(archive_read_open_filename(a, path, 4096), ARCHIVE_OK);
	while (archive_read_next_header(a, &entry) == ARCHIVE_OK) {
		const char *link = archive_entry_symlink(entry);
		buf_add(&out, "%s %o %lld%s%s\n", archive_entry_pathname(entry), archive_entry_mode(entry),
			(long long)archive_entry_size(entry), link ? " → " : "", link ? link : "");
		assert_int_equal(archive_entry_mtime(entry), 0);
		assert_int_equal(archive_entry_uid(entry), 0);
	}
	archive_read_free(a);
	return out.data ? steal_ptr(&out.data) : str_dup("");
}

static char *whole(const char *path, size_t *len)
{
	AUTO_CLOSE int root = root_open("/", ERR_IGNORED);
	char *data = NULL;

	assert_true(root_read_all(root, path, &data, len, ERR_IGNORED) >= 0);
	return data;
}

/* --- cpio -------------------------------------------------------------------------------------- */

static char *write_one(const char *name)
{
	struct err e = ERR_INIT;
	char *path = str_format("%s/%s", world, name);
	AUTO_FREE char *source = str_format("%s/source", world);
	AUTO_CLOSE int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	world_text("what is copied", "/source");
	struct cpio *c = cpio_open(fd);
	cpio_data(c, "/a/b/c", 0644, "abc", 3);
	cpio_copy(c, "/a/copy", 0755, source);
	cpio_link(c, "/a/b/link", "/a/copy");
	cpio_device(c, "/dev/null", 0666, 1, 3);
	cpio_data(c, "/a/b/c", 0600, "again", 5); /* the first stands */
	assert_true(cpio_has(c, "/a/b"));
	assert_false(cpio_has(c, "/b"));
	ok(cpio_close(c, &e));
	return path;
}

static void test_cpio(void **state)
{
	(void)state;
	AUTO_FREE char *path = write_one("one");
	AUTO_FREE char *text = listing(path);
	assert_string_equal(text, "a 40755 0\n"
				  "a/b 40755 0\n"
				  "a/b/c 100644 3\n"
				  "a/copy 100755 14\n"
				  "a/b/link 120777 7 → /a/copy\n"
				  "dev 40755 0\n"
				  "dev/null 20666 0\n");
}

static void test_cpio_repeats(void **state)
{
	size_t n, m;

	(void)state;
	AUTO_FREE char *one = write_one("one");
	AUTO_FREE char *a = whole(one, &n);
	sleep(1); /* a time that came in would show */
	AUTO_FREE char *two = write_one("two");
	AUTO_FREE char *b = whole(two, &m);
	assert_int_equal(n, m);
	assert_memory_equal(a, b, n);
}

static void test_cpio_fails(void **state)
{
	struct err e = ERR_INIT;
	AUTO_FREE char *missing = str_format("%s/missing", world);
	AUTO_CLOSE int full = open("/dev/full", O_RDWR | O_CLOEXEC);
	AUTO_CLOSE int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	AUTO_FREE char *much = mem_alloc(1 << 20);

	(void)state;
	struct cpio *c = cpio_open(null);
	cpio_copy(c, "/x", 0644, missing);
	cpio_data(c, "/y", 0644, "y", 1);
	assert_int_equal(cpio_close(c, &e), -ENOENT);
	assert_has(e.text, missing);
	e = ERR_INIT;
	c = cpio_open(full);
	cpio_data(c, "/much", 0644, much, 1 << 20);
	assert_int_equal(cpio_close(c, &e), -ENOSPC);
	assert_has(e.text, "No space left");
}

/* --- the closure of a program ------------------------------------------------------------------ */

static void test_closure(void **state)
{
	struct err e = ERR_INIT;
	AUTO_FREE char *path = str_format("%s/closure", world);
	AUTO_CLOSE int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	struct cpio *c = cpio_open(fd);
	char self[1024] = "";

	(void)state;
	assert_true(readlink("/proc/self/exe", self, sizeof(self) - 1) > 0);
	ok(closure_add_as(c, self, "/usr/bin/me", &e));
	assert_true(cpio_has(c, "/usr/bin/me"));
	ok(cpio_close(c, &e));
	AUTO_FREE char *text = listing(path);
	assert_has(text, "usr/bin/me 100755");
	assert_has(text, "libjansson.so");
	assert_has(text, "libc.so.6");
	assert_has(text, "lib64/ld-linux-x86-64.so.2");
}

static void test_closure_static(void **state)
{
	const char *agent = getenv("TAUT_AGENT");
	struct err e = ERR_INIT;
	AUTO_CLOSE int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	(void)state;
	if (!agent || access(agent, X_OK) < 0)
		skip();
	struct cpio *c = cpio_open(null);
	ok(closure_add(c, agent, &e));
	assert_true(cpio_has(c, agent));
	ok(cpio_close(c, &e));
}

static void hash_of(const char *program, char hex[33])
{
	struct hash h = hash_new();
	struct err e = ERR_INIT;

	ok(closure_hash(&h, program, &e));
	hash_hex(&h, hex);
}

static void test_closure_hash(void **state)
{
	AUTO_FREE char *path = str_format("%s/program", world);
	char one[33], again[33], changed[33];

	(void)state;
	world_text("#!/bin/sh\n", "/program");
	hash_of(path, one);
	hash_of(path, again);
	assert_string_equal(one, again);
	world_text("#!/bin/sh\nexit 1\n", "/program");
	hash_of(path, changed);
	assert_string_not_equal(one, changed);
}

/* --- an emulated host ---------------------------------------------------------------------------- */

static char *host_listing(const struct kernel *k, unsigned parts)
{
	AUTO_FREE char *agent = str_format("%s/agent", world);
	const struct host_content content = {.parts = parts};
	struct err e = ERR_INIT;
	char path[PATH_BYTES];

	ok(image_host(k, agent, &content, path, sizeof(path), &e));
	return listing(path);
}

/* Programs, what they load by themselves, and modules, which nothing loads there when they are wanted. */
static void test_engine(void **state)
{
	static const char *const wanted[] = {"usr/bin/dockerd", "usr/bin/containerd",
		"usr/bin/containerd-shim-runc-v2", "usr/bin/docker-proxy", "usr/bin/runc", "usr/bin/iptables",
		"/xtables/libxt_addrtype.so", "/libcurl.so.4", "taut/overlay.ko"};
	AUTO_FREE char *cache = str_format("%s/cache", world);
	struct kernel k = {.release = "6.1-own", .version = "#1 SMP"};
	size_t len;
	AUTO_FREE char *overlay = module_make("vermagic=6.1-own SMP|license=GPL", &len);

	(void)state;
	if (image_engine_lacks())
		skip();
	setenv("TAUT_CACHE", cache, 1);
	world_text("agent", "/agent");
	world_text("kernel/fs/overlay.ko\n", "/modules/modules.order");
	world_text("kernel/virtio_pci.ko\nkernel/virtio_console.ko\nkernel/veth.ko\nkernel/bridge.ko\n"
		   "kernel/macvlan.ko\n",
		"/modules/modules.builtin");
	world_write(overlay, len, "/modules/kernel/fs/overlay.ko");
	snprintf(k.modules, sizeof(k.modules), "%s/modules", world);
	AUTO_FREE char *with = host_listing(&k, IMAGE_ENGINE);
	AUTO_FREE char *without = host_listing(&k, 0);
	for (size_t i = 0; i < ARRAY_LEN(wanted); i++)
		assert_has(with, wanted[i]);
	assert_null(strstr(without, "dockerd"));
	assert_null(strstr(without, "overlay.ko"));
}

/* --- which are kept ---------------------------------------------------------------------------- */

static char *guest_path_of(const struct kernel *k)
{
	AUTO_FREE char *agent = str_format("%s/agent", world);
	struct err e = ERR_INIT;
	char path[PATH_BYTES];

	if (image_guest_path(k, agent, "", path, sizeof(path), &e) < 0)
		fail_msg("%s", e.text);
	return str_dup(path);
}

static void test_modules_again(void **state)
{
	AUTO_FREE char *cache = str_format("%s/cache", world);
	struct kernel k = {.release = "6.1-own", .version = "#1 SMP"}, bare = k;

	(void)state;
	setenv("TAUT_CACHE", cache, 1);
	world_text("agent", "/agent");
	world_text("a.ko\n", "/modules/modules.order");
	snprintf(k.modules, sizeof(k.modules), "%s/modules", world);
	AUTO_FREE char *one = guest_path_of(&k);
	AUTO_FREE char *same = guest_path_of(&k);
	assert_string_equal(one, same);
	world_text("a.ko\nb.ko\n", "/modules/modules.order");
	AUTO_FREE char *other = guest_path_of(&k);
	assert_string_not_equal(one, other);
	AUTO_FREE char *inside = guest_path_of(&bare);
	assert_string_not_equal(other, inside);
}

static int fill_nothing(struct cpio *c, const struct image_content *content, struct err *e)
{
	(void)content;
	(void)e;
	cpio_folder(c, "/dev", 0755);
	return 0;
}

/* Made or used long ago. */
static void ensure(const char *hash, const struct image_content *content, time_t when)
{
	AUTO_FREE char *path = str_format("%s/cache/images/kind-6.1-own-%s.img", world, hash);
	const struct timespec times[] = {{.tv_sec = when}, {.tv_sec = when}};
	struct err e = ERR_INIT;

	if (image_ensure(path, "kind", content, fill_nothing, &e) < 0)
		fail_msg("%s", e.text);
	if (when)
		assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

static void test_kept(void **state)
{
	static const char *const hashes[] = {"00000000000000000000000000000001",
		"00000000000000000000000000000002", "00000000000000000000000000000003",
		"00000000000000000000000000000004"};
	const struct kernel k = {.release = "6.1-own"};
	const struct image_content content = {.kernel = &k};

	(void)state;
	world_text("", "/cache/images/kind-6.1-own-rt-00000000000000000000000000000001.img");
	for (size_t i = 0; i < 3; i++)
		ensure(hashes[i], &content, 1000 + (time_t)i);
	ensure(hashes[0], &content, 0); /* used again */
	ensure(hashes[3], &content, 0);
	for (size_t i = 0; i < ARRAY_LEN(hashes); i++) {
		AUTO_FREE char *path = str_format("%s/cache/images/kind-6.1-own-%s.img", world, hashes[i]);
		assert_int_equal(access(path, R_OK), i == 1 ? -1 : 0);
	}
	AUTO_FREE char *other =
		str_format("%s/cache/images/kind-6.1-own-rt-00000000000000000000000000000001.img", world);
	assert_int_equal(access(other, R_OK), 0); /* of another kernel */
	AUTO_FREE char *images = str_format("%s/cache/images", world);
	assert_int_equal(tree_remove(images, ERR_IGNORED), 0);
}

/* --- what is half made ------------------------------------------------------------------------- */

static int note(const char *path, void *arg)
{
	buf_add(arg, "%s\n", path + strlen(world));
	return 0;
}

static char *left(void)
{
	AUTO(buf_free) struct buf out = {0};

	assert_int_equal(boot_left.each("", note, &out), 0);
	return out.data ? steal_ptr(&out.data) : str_dup("");
}

static void test_half_made(void **state)
{
	struct err e = ERR_INIT;
	AUTO_FREE char *image = str_format("%s/cache/images/guest-6.1-00ff.img.12", world);
	AUTO_FREE char *cache = str_format("%s/cache", world);

	(void)state;
	setenv("TAUT_CACHE", cache, 1);
	AUTO_FREE char *none = left();
	assert_string_equal(none, "");
	world_text("", "/cache/images/guest-6.1-00ff.img");
	world_text("", "/cache/images/guest-6.1-00ff.img.12");
	world_text("", "/cache/probe-13/initrd");
	world_text("", "/cache/probe-me/initrd");
	world_text("", "/cache/kvm.json");
	chmod(cache, 0755);
	AUTO_FREE char *both = left();
	assert_string_equal(both, "/cache/images/guest-6.1-00ff.img.12\n/cache/probe-13\n");
	int hold = half_hold(image, &e);
	assert_true(hold >= 0);
	assert_true(half_hold(image, ERR_IGNORED) < 0);
	AUTO_FREE char *one = left();
	assert_string_equal(one, "/cache/probe-13\n");
	close(hold);
	AUTO_FREE char *again = left();
	assert_string_equal(again, both);
	chmod(cache, 0777); /* others may have put it there */
	AUTO_FREE char *foreign = left();
	assert_string_equal(foreign, "");
}

/* --- what is known of KVM ---------------------------------------------------------------------- */

static void test_answers(void **state)
{
	AUTO_FREE char *path = str_format("%s/answers.json", world);
	char why[64];

	(void)state;
	assert_int_equal(kvm_answer(path, "today", "stock", why, sizeof(why)), -ENOENT);
	kvm_answer_keep(path, "today", "stock", false, "no word");
	assert_int_equal(kvm_answer(path, "today", "rt", why, sizeof(why)), -ENOENT);
	kvm_answer_keep(path, "today", "rt", false, "a panic");
	/* The answer for one kernel does not remove that for another. */
	assert_int_equal(kvm_answer(path, "today", "stock", why, sizeof(why)), 0);
	assert_string_equal(why, "no word");
	assert_int_equal(kvm_answer(path, "today", "rt", why, sizeof(why)), 0);
	assert_string_equal(why, "a panic");
	/* KVM that has worked with one kernel works with all, until the next boot. */
	kvm_answer_keep(path, "today", "rt", true, "");
	assert_int_equal(kvm_answer(path, "today", "stock", why, sizeof(why)), 1);
	assert_string_equal(why, "");
	assert_int_equal(kvm_answer(path, "tomorrow", "rt", why, sizeof(why)), -ENOENT);
	kvm_answer_keep(path, "tomorrow", "stock", false, "no word");
	assert_int_equal(kvm_answer(path, "tomorrow", "rt", why, sizeof(why)), -ENOENT);
	world_text("{\"boot_id\": \"today\", \"answers\": [1]}", "/answers.json");
	assert_int_equal(kvm_answer(path, "today", "stock", why, sizeof(why)), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		{"an initramfs has folders above what is in it, each path once", test_cpio, NULL, NULL, NULL},
		{"the same calls give the same bytes", test_cpio_repeats, NULL, NULL, NULL},
		{"the first thing that fails is what is said", test_cpio_fails, NULL, NULL, NULL},
		{"a program comes with its libraries and its loader", test_closure, NULL, NULL, NULL},
		{"a static program comes alone", test_closure_static, NULL, NULL, NULL},
		{"another program has another hash", test_closure_hash, NULL, NULL, NULL},
		{"modules that were installed again make another image", test_modules_again, NULL, NULL,
			NULL},
		{"a host with a container engine has its programs, what they load, and its modules",
			test_engine, NULL, NULL, NULL},
		{"the images that were used last stay, the others go", test_kept, NULL, NULL, NULL},
		{"what KVM did is known for each kernel, until the host boots", test_answers, NULL, NULL,
			NULL},
		{"what nobody holds is left over, in a cache of ours", test_half_made, NULL, NULL, NULL},
	};

	return cmocka_run_group_tests(tests, world_begin, world_end);
}
