/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Kernels: what is read of a bzImage and a configuration, where they are found, and which one a kernel
 * selector names. */
#include "boot/kernels.h"
#include "test_boot_world.h"

#include <sys/stat.h>

#define STOCK  "#1 SMP PREEMPT_DYNAMIC Debian 6.12.95-1 (2026-07-05)"
#define RT     "#1 SMP PREEMPT_RT Debian 6.12.95-1 (2026-07-05)"
#define OLD    "#1 SMP PREEMPT_DYNAMIC Debian 6.1.176-1 (2026-07-02)"
#define OLD_RT "#1 SMP PREEMPT_RT Debian 6.1.176-1 (2026-07-02)"

/* --- the image --------------------------------------------------------------------------------- */

static void test_names(void **state)
{
	static const struct {
		const char *name, *release, *version;
	} cases[] = {
		{"6.1.0-50-amd64 (debian-kernel@lists.debian.org) " OLD, "6.1.0-50-amd64", OLD},
		{"6.18.44 (root@host (x) 1) #1 SMP", "6.18.44", "#1 SMP"},
		{"6.18.44 #2 SMP", "6.18.44", "#2 SMP"},
		{"6.18.44 (a@b)", "6.18.44", "(a@b)"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		unsigned char image[BZIMAGE_BYTES];
		struct err e = ERR_INIT;
		struct kernel k;
		bzimage_make(image, cases[i].name);
		ok(bzimage_parse(&k, image, sizeof(image), sizeof(image), &e));
		assert_string_equal(k.release, cases[i].release);
		assert_string_equal(k.version, cases[i].version);
	}
}

static void test_garbage(void **state)
{
	static const struct {
		size_t at;
		unsigned char byte;
		const char *why;
	} cases[] = {
		{0x1fe, 0, "no bzImage"}, {0x202, 'h', "no bzImage"}, {0x211, 0, "x86-64"}, /* a zImage */
		{0x206, 0x0b, "x86-64"},                             /* a protocol that cannot say */
		{0x236, 0, "x86-64"},                                /* 32 bits */
		{0x1f5, 0x80, "cut off"},                            /* longer than the file */
		{0x1f1, 60, "cut off"}, {0x20f, 0xff, "no release"}, /* its name lies behind the setup */
		{0x20f, 0x06, "no release"},                         /* where there is nothing */
		{BZIMAGE_NAME, ' ', "no release"}, {BZIMAGE_NAME, '.', "no name"}, /* it becomes a folder */
		{BZIMAGE_NAME + 2, '/', "no name"}, {BZIMAGE_NAME + 2, '\n', "no release"},
		{BZIMAGE_NAME + 2, 0xff, "no release"},
		{BZIMAGE_NAME + 3, 0, "no release"}, /* no space, no version */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		unsigned char image[BZIMAGE_BYTES];
		struct err e = ERR_INIT;
		struct kernel k = {.release = "untouched"};
		bzimage_make(image, "6.1.0 (a@b) " OLD);
		image[cases[i].at] = cases[i].byte;
		assert_int_equal(bzimage_parse(&k, image, sizeof(image), sizeof(image), &e), -EINVAL);
		assert_has(e.text, cases[i].why);
		assert_string_equal(k.release, "untouched");
	}
}

static void test_text_without_end(void **state)
{
	unsigned char image[BZIMAGE_BYTES];
	struct err e = ERR_INIT;
	struct kernel k;

	(void)state;
	bzimage_make(image, "6.1.0 (a@b) #1");
	memset(image + BZIMAGE_NAME + 14, 'x', sizeof(image) - BZIMAGE_NAME - 14);
	assert_int_equal(bzimage_parse(&k, image, sizeof(image), sizeof(image), &e), -EINVAL);
	assert_has(e.text, "no release");
	/* It ends, and is longer than any version. */
	image[2047] = 0;
	assert_int_equal(bzimage_parse(&k, image, sizeof(image), sizeof(image), &e), -EINVAL);
	assert_has(e.text, "too long");
}

static void test_truncated(void **state)
{
	unsigned char image[BZIMAGE_BYTES];
	struct kernel k;

	(void)state;
	bzimage_make(image, "6.1.0 (a@b) " OLD);
	for (size_t len = 0; len < sizeof(image); len++) {
		AUTO_FREE unsigned char *part = mem_alloc(len + 1); /* so that a sanitizer sees its end */
		memcpy(part, image, len);
		if (bzimage_parse(&k, part, len, len, ERR_IGNORED) != -EINVAL)
			fail_msg("taken with %zu of %zu bytes", len, sizeof(image));
	}
}

/* --- what it is -------------------------------------------------------------------------------- */

static void test_flavours(void **state)
{
	static const struct {
		const char *release, *version, *config, *flavour, *preempt;
	} cases[] = {
		{"6.1.0-50-amd64", OLD, NULL, "stock", "PREEMPT_DYNAMIC"},
		{"6.1.0-50-amd64", OLD, "CONFIG_PREEMPT_VOLUNTARY=y\nCONFIG_PREEMPT_DYNAMIC=y\n", "stock",
			"PREEMPT_DYNAMIC (voluntary)"},
		{"6.1.0-50-amd64", "#1 SMP Debian", "CONFIG_PREEMPT=y\nCONFIG_PREEMPT_DYNAMIC=y\n", "stock",
			"PREEMPT_DYNAMIC (full)"},
		{"6.1.0-50-rt-amd64", OLD_RT, "CONFIG_PREEMPT_RT=y\n", "rt", "PREEMPT_RT"},
		{"6.1.0-50-rt-amd64", OLD_RT, "CONFIG_PREEMPT_LAZY=y\nCONFIG_PREEMPT_RT=y\n", "rt",
			"PREEMPT_RT (lazy)"},
		{"6.1.0-50-cloud-amd64", OLD, NULL, "cloud", "PREEMPT_DYNAMIC"},
		{"6.8.0-40-generic", "#40 SMP PREEMPT_DYNAMIC", NULL, "stock", "PREEMPT_DYNAMIC"},
		{"6.12.3", "#1 SMP PREEMPT Mon", NULL, "stock", "full"},
		{"6.12.3", "#1 SMP Mon", "# CONFIG_PREEMPT is not set\nCONFIG_PREEMPT_NONE=y\n", "stock",
			"none"},
		{"6.12.3", "#1 SMP Mon", "CONFIG_PREEMPT_LAZY=y\n", "stock", "lazy"},
		{"6.12.3-mine", "#1 SMP Mon", NULL, "other", "none or voluntary"},
		{"6.12.3-mine", "#1 SMP PREEMPT_RT Mon", NULL, "rt", "PREEMPT_RT"},
		/* "rt" in the name does not make a realtime kernel. */
		{"6.12.3-rt-amd64", "#1 SMP Mon", NULL, "stock", "none or voluntary"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct kernel k = {0};
		str_copy(k.release, sizeof(k.release), cases[i].release);
		str_copy(k.version, sizeof(k.version), cases[i].version);
		kernel_judge(&k, cases[i].config);
		assert_string_equal(k.flavour, cases[i].flavour);
		assert_string_equal(k.preempt, cases[i].preempt);
		assert_int_equal(k.configured, cases[i].config != NULL);
	}
}

static void test_abilities(void **state)
{
	static const struct {
		const char *release, *config;
		enum kernel_ability what;
		bool can;
	} cases[] = {
		{"6.12.1",
			"CONFIG_VIRTIO=y\nCONFIG_VIRTIO_PCI=m\nCONFIG_VIRTIO_NET=m\nCONFIG_VIRTIO_CONSOLE=y\n",
			KERNEL_VIRTIO, true},
		{"6.12.1", "CONFIG_VIRTIO=y\nCONFIG_VIRTIO_PCI=m\nCONFIG_VIRTIO_CONSOLE=y\n", KERNEL_VIRTIO,
			false},
		{"6.12.1", "CONFIG_KVM=m\nCONFIG_KVM_AMD=m\n", KERNEL_KVM, true},
		{"6.12.1", "CONFIG_KVM=m\nCONFIG_KVM_INTEL=m\n", KERNEL_KVM, true},
		{"6.12.1", "CONFIG_KVM=m\n", KERNEL_KVM, false},
		{"6.12.1", "CONFIG_KVM_AMD=m\n# CONFIG_KVM is not set\n", KERNEL_KVM, false},
		{"6.12.1", "CONFIG_KVM_GUEST=y\nCONFIG_KVM=n\nCONFIG_KVM_AMD=m\n", KERNEL_KVM, false},
		{"6.12.1", "", KERNEL_FAIR_SERVER, true},
		{"6.11.9", "", KERNEL_FAIR_SERVER, false},
		{"7.0.1", "", KERNEL_FAIR_SERVER, true},
		{"6.1.0", "CONFIG_CGROUPS=y\nCONFIG_CPUSETS=y\n", KERNEL_PARTITION, true},
		{"5.10.0", "CONFIG_CGROUPS=y\nCONFIG_CPUSETS=y\n", KERNEL_PARTITION, false},
		{"6.12.1", "#CONFIG_RCU_NOCB_CPU=y\nX_CONFIG_RCU_NOCB_CPU=y\n", KERNEL_NOCB, false},
		{"6.12.1", NULL, KERNEL_FAIR_SERVER, false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct kernel k = {0};
		str_copy(k.release, sizeof(k.release), cases[i].release);
		kernel_judge(&k, cases[i].config);
		if (k.can[cases[i].what] != cases[i].can)
			fail_msg("case %zu: %s is %d, wanted %d", i, kernel_ability_rows[cases[i].what].name,
				k.can[cases[i].what], cases[i].can);
	}
}

/* --- where they are ---------------------------------------------------------------------------- */

static void places_make(void)
{
	struct err e = ERR_INIT;
	AUTO_FREE char *folder = str_format("%s/boot/vmlinuz-folder", world);
	AUTO_FREE char *fifo = str_format("%s/boot/vmlinuz-fifo", world);

	world_kernel("6.1.0-50-amd64", OLD, "/boot/vmlinuz-6.1.0-50-amd64");
	world_text("", "/lib/modules/6.1.0-50-amd64/modules.order");
	world_text("CONFIG_PREEMPT_NONE=y\n", "/boot/config-6.1.0-50-amd64");
	world_kernel("6.1.0-50-rt-amd64", OLD_RT, "/boot/vmlinuz-stock"); /* the name of the file is wrong */
	world_kernel("6.12.95+deb12-amd64", STOCK, "/cache/kernels/6.12.95+deb12-amd64/vmlinuz");
	world_text("", "/cache/kernels/6.12.95+deb12-amd64/modules/modules.order");
	world_text("CONFIG_PREEMPT=y\n", "/cache/kernels/6.12.95+deb12-amd64/config");
	world_kernel("6.12.95+deb12-rt-amd64", RT, "/cache/kernels/6.12.95+deb12-rt-amd64/vmlinuz");
	world_kernel("6.1.0-50-amd64", OLD, "/cache/kernels/6.1.0-50-amd64/vmlinuz");
	world_kernel("6.18.2-mine", "#1 SMP", "/cache/kernels/6.18.2-mine/vmlinuz");
	/* No kernels. */
	world_kernel("7.0.0-amd64", STOCK, "/cache/kernels/.fetch-1/vmlinuz");
	world_kernel("7.0.0-amd64", STOCK, "/boot/bzImage");
	world_text("rubbish", "/boot/vmlinuz-rubbish");
	world_text("", "/boot/vmlinuz-empty");
	ok(dir_make(folder, 0755, &e));
	mkfifo(fifo, 0644);
}

static struct kernel *listed(size_t *n)
{
	AUTO_FREE char *cache = str_format("%s/cache", world);
	struct err e = ERR_INIT;
	struct kernel *list;

	places_make();
	ok(kernels_list(&(struct kernel_places){world, cache}, &list, n, &e));
	return list;
}

static void test_list(void **state)
{
	static const char *const wanted[][3] = {
		{"6.18.2-mine", "cache", ""},
		{"6.12.95+deb12-rt-amd64", "cache", ""},
		{"6.12.95+deb12-amd64", "cache", "/cache/kernels/6.12.95+deb12-amd64/modules"},
		{"6.1.0-50-rt-amd64", "installed", ""},
		{"6.1.0-50-amd64", "installed", "/lib/modules/6.1.0-50-amd64"},
		{"6.1.0-50-amd64", "cache", "/lib/modules/6.1.0-50-amd64"},
	};
	size_t n;
	AUTO_FREE struct kernel *list = listed(&n);

	(void)state;
	assert_int_equal(n, ARRAY_LEN(wanted));
	for (size_t i = 0; i < n; i++) {
		assert_string_equal(list[i].release, wanted[i][0]);
		assert_string_equal(list[i].origin, wanted[i][1]);
		assert_string_equal(list[i].modules + (*wanted[i][2] ? strlen(world) : 0), wanted[i][2]);
	}
	assert_string_equal(list[2].preempt, "PREEMPT_DYNAMIC (full)");
	assert_string_equal(list[4].preempt, "PREEMPT_DYNAMIC (none)");
	assert_false(list[3].configured);
}

static void test_nothing_there(void **state)
{
	struct kernel *list = NULL;
	struct err e = ERR_INIT;
	size_t n = 9;

	(void)state;
	ok(kernels_list(&(struct kernel_places){"/nonexistent", "/nonexistent"}, &list, &n, &e));
	assert_int_equal(n, 0);
	free(list);
}

static void test_words(void **state)
{
	static const struct {
		const char *word, *release; /* or what the message and its advice hold */
		int rc;
	} cases[] = {
		{"", "6.12.95+deb12-amd64", 0},
		{"stock", "6.12.95+deb12-amd64", 0},
		{"rt", "6.12.95+deb12-rt-amd64", 0},
		{"rt-amd64", "6.12.95+deb12-rt-amd64", 0},
		{"6.1", "6.1.0-50-amd64", 0}, /* and not 6.12 */
		{"6.1-rt", "6.1.0-50-rt-amd64", 0},
		{"6.1.0", "6.1.0-50-amd64", 0},
		{"6.1.0-50", "6.1.0-50-amd64", 0},
		{"6.1.0-50-amd64", "6.1.0-50-amd64", 0},
		{"6.1.0-50-rt-amd64", "6.1.0-50-rt-amd64", 0},
		{"6.12", "6.12.95+deb12-amd64", 0},
		{"6.12.95", "6.12.95+deb12-amd64", 0},
		{"6.12.95+deb12-rt", "6.12.95+deb12-rt-amd64", 0},
		{"6", "6.12.95+deb12-amd64", 0},
		{"other", "6.18.2-mine", 0},
		{"6.18", "6.18.2-mine", 0}, /* nothing else has that version */
		{"6.18-mine", "'6.18-mine'", -ENOENT},
		{"6.18-stock", "taut kernel fetch 6.18-stock", -ENOENT},
		{"cloud", "taut kernel fetch cloud", -ENOENT},
		{"6.1-cloud", "taut kernel fetch 6.1-cloud", -ENOENT},
		{"6.1.", "none of the 6", -ENOENT},
		{"6.1.0-5", "'6.1.0-5'", -ENOENT},
		{"6.9-other", "taut kernel list", -ENOENT},
		{"frob", "no flavour, no release and no path", -EINVAL},
		{"-rt", "'-rt'", -EINVAL},
		{"6.1 rt", "'6.1 rt'", -EINVAL},
		{"rt6", "./rt6", -EINVAL},
		{"amd64", "'amd64'", -EINVAL},
	};
	size_t n;
	AUTO_FREE struct kernel *list = listed(&n);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct err e = ERR_INIT;
		struct kernel k;
		char text[1100];
		int rc = kernels_pick(&k, list, n, cases[i].word, &e);
		err_string(&e, text, sizeof(text));
		if (rc != cases[i].rc || (rc == 0 && strcmp(k.release, cases[i].release) != 0) ||
			(rc < 0 && !strstr(text, cases[i].release)))
			fail_msg("'%s': %d %s %s, wanted %d %s", cases[i].word, rc, rc ? "" : k.release, text,
				cases[i].rc, cases[i].release);
		assert_int_equal(e.exit, rc == -EINVAL ? EXIT_USAGE : rc ? EXIT_FAILED : EXIT_DONE);
	}
}

static void test_fetchable(void **state)
{
	(void)state;
	assert_true(kernel_fetchable(""));
	assert_true(kernel_fetchable("cloud"));
	assert_true(kernel_fetchable("6.1-rt"));
	assert_true(kernel_fetchable("6.12.95+deb12-rt-amd64"));
	assert_false(kernel_fetchable("other"));
	assert_false(kernel_fetchable("./6.1"));
	assert_false(kernel_fetchable("6.1;reboot"));
	assert_false(kernel_fetchable("6.1/../.."));
}

/* --- one at a path ------------------------------------------------------------------------------ */

static void test_path(void **state)
{
	static const char *const folders[] = {"/p1/lib/modules/6.9.1", "/p2/boot/lib/modules/6.9.1",
		"/p3/boot/modules", "/lib/modules/6.9.1"};
	static const char *const configs[] = {
		"/p1/boot/config-6.9.1", "/p2/boot/config", "/p3/boot/modules/config", "/boot/config-6.9.1"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(folders); i++) {
		struct err e = ERR_INIT;
		struct kernel k;
		AUTO_FREE char *path = str_format("%s/p%zu/boot/bzImage", world, i + 1);
		AUTO_FREE char *modules = str_format("%s%s", world, folders[i]);
		world_kernel("6.9.1", "#1 SMP", "/p%zu/boot/bzImage", i + 1);
		world_text("", "%s/modules.order", folders[i]);
		world_text("CONFIG_PREEMPT_NONE=y\n", "%s", configs[i]);
		ok(kernel_read(&k, &(struct kernel_places){world, NULL}, path, "path", &e));
		assert_string_equal(k.modules, modules);
		assert_string_equal(k.path, path);
		assert_true(k.configured);
		assert_string_equal(k.preempt, "none");
	}
}

static void test_bad_path(void **state)
{
	static const char *const cases[][2] = {{"/nonexistent", "No such file"},
		{"/dev/null", "no regular file"}, {"/", "no regular file"}, {"/etc/passwd", "no bzImage"}};
	struct kernel k;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct err e = ERR_INIT;
		assert_true(kernel_find(&k, cases[i][0], &e) < 0);
		assert_int_equal(e.exit, EXIT_USAGE);
		assert_has(e.text, cases[i][0]);
		assert_has(e.text, cases[i][1]);
	}
}

/* --- the cache ---------------------------------------------------------------------------------- */

static void test_cache(void **state)
{
	AUTO_FREE char *folder = str_format("%s/a/b/cache", world);
	struct err e = ERR_INIT;
	struct stat st;
	char path[256];

	(void)state;
	setenv("TAUT_CACHE", folder, 1);
	ok(boot_cache(path, sizeof(path), &e));
	assert_string_equal(path, folder);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0755);
	chmod(folder, 0775);
	assert_true(boot_cache(path, sizeof(path), &e) < 0);
	assert_int_equal(e.exit, EXIT_REFUSED);
	assert_has(e.text, "others can write it");
	chmod(folder, 0755);
	if (is_privileged()) {
		AUTO_FREE char *above = str_format("%s/a", world);
		e = ERR_INIT;
		assert_int_equal(chown(above, 12345, 0), 0);
		assert_true(boot_cache(path, sizeof(path), &e) < 0);
		assert_int_equal(e.exit, EXIT_REFUSED);
		assert_has(e.text, above);
		assert_int_equal(chown(above, 0, 0), 0);
		e = ERR_INIT;
		assert_int_equal(chown(folder, 12345, 0), 0);
		assert_true(boot_cache(path, sizeof(path), &e) < 0);
		assert_has(e.text, "belongs to somebody else");
		/* Kernels in such a cache are not listed either. */
		assert_true(kernels_each(NULL, NULL, &e) < 0);
		assert_int_equal(chown(folder, 0, 0), 0);
	}
	unsetenv("TAUT_CACHE");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		{"release and version are what the header says", test_names, NULL, NULL, NULL},
		{"an image that is none is refused with the reason", test_garbage, NULL, NULL, NULL},
		{"a name without an end is refused", test_text_without_end, NULL, NULL, NULL},
		{"an image that is cut off anywhere is refused", test_truncated, NULL, NULL, NULL},
		{"flavour and preemption follow from version and configuration", test_flavours, NULL, NULL,
			NULL},
		{"a kernel can do what its configuration says", test_abilities, NULL, NULL, NULL},
		{"kernels are listed newest first, by what they say themselves", test_list, NULL, NULL, NULL},
		{"a machine without kernels has none", test_nothing_there, NULL, NULL, NULL},
		{"a word means the newest kernel that fits, and no other version", test_words, NULL, NULL,
			NULL},
		{"what can be fetched is a flavour, a version, or both", test_fetchable, NULL, NULL, NULL},
		{"a kernel at a path has its modules and configuration beside it", test_path, NULL, NULL,
			NULL},
		{"a path that is no kernel is a mistake of the caller", test_bad_path, NULL, NULL, NULL},
		{"a cache that others can write is refused", test_cache, NULL, NULL, NULL},
	};

	return cmocka_run_group_tests(tests, world_begin, world_end);
}
