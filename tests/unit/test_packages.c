/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What kernels are fetched with: the machine's sources of packages, and Debian's packages unpacked. */
#include "boot/apt.h"
#include "boot/unpack.h"
#include "test_boot_world.h"

#include <archive.h>
#include <archive_entry.h>
#include <sys/stat.h>

/* --- sources ------------------------------------------------------------------------------------- */

#define LIST(origin, codename, component, uri)                                                               \
	"list\t" origin "\t" codename "\t" component "\t" uri "\t" uri " " codename "/" component            \
	" amd64 Packages\n"

static const char shop[] = LIST("Shop", "bookworm", "main", "http://shop/");
static const char debian[] = LIST("Debian", "bookworm", "main", "http://m/debian/");
static const char security[] = LIST("Debian", "bookworm-security", "main", "http://s/");
static const char backports[] = LIST("Debian Backports", "bookworm-backports", "main", "http://b/");

/* What is taken of several answers put together. */
static bool take(struct sources *s, const char *codename, const char *a, const char *b, const char *c)
{
	AUTO_FREE char *text = str_format("%s%s%s", a, b, c);

	sources_free(s);
	str_copy(s->codename, sizeof(s->codename), codename);
	return sources_take(s, text);
}

static const char *lists(const struct sources *s)
{
	return s->lists.len ? s->lists.data : "";
}

static void test_lists(void **state)
{
	static const char *const others[] = {shop, LIST("Debian", "trixie", "main", "http://m/"),
		LIST("Debian", "xbookworm", "main", "http://m/"),
		LIST("Debian", "bookworm", "contrib", "http://m/"),
		LIST("Debian", "bookworm-proposed", "main", "http://m/"), "list\tDebian\tbookworm\tmain\n",
		"liszt\tDebian\tbookworm\tmain\thttp://m\thttp://m bookworm/main amd64 Packages\n",
		"list\tDebian\tbookworm\tmain\thttp://m\tm\tand more\n", "\n\t\t\t\t\t\nrubbish\n", ""};
	AUTO(sources_free) struct sources s = {0};

	(void)state;
	assert_true(take(&s, "bookworm", shop, debian, security));
	assert_string_equal(lists(&s),
		"http://m/debian/ bookworm/main amd64 Packages\nhttp://s/ bookworm-security/main amd64 Packages\n");
	assert_string_equal(s.uri, "http://m/debian/");
	for (size_t i = 0; i < ARRAY_LEN(others); i++) {
		if (take(&s, "bookworm", others[i], "", ""))
			fail_msg("taken: %s", others[i]);
		assert_string_equal(lists(&s), "");
		assert_true(take(&s, "bookworm", others[i], debian, others[i]));
		assert_string_equal(lists(&s), "http://m/debian/ bookworm/main amd64 Packages\n");
	}
	/* The release itself must be there. */
	assert_false(take(&s, "bookworm", security, backports, ""));
	/* Unstable has the codename of the next release. */
	assert_true(take(&s, "forky", LIST("Debian", "sid", "main", "http://m/"), shop, ""));
	assert_true(take(&s, "", LIST("Debian", "sid", "main", "http://m/"), debian, ""));
	assert_string_equal(lists(&s), "http://m/ sid/main amd64 Packages\n");
}

static void test_backports(void **state)
{
	AUTO(sources_free) struct sources s = {0};

	(void)state;
	assert_true(take(&s, "bookworm", shop, debian, security));
	AUTO_FREE char *line = sources_backports(&s);
	assert_non_null(line);
	assert_has(line, "deb [arch=amd64");
	assert_has(line, "] http://m/debian/ bookworm-backports main\n");
	assert_true(take(&s, "bookworm", backports, debian, security));
	assert_null(sources_backports(&s));
	assert_false(take(&s, "bookworm", shop, "", ""));
	assert_null(sources_backports(&s));
}

/* For what comes with all that it needs, Debian's present stable release will do as well. */
static void test_newest(void **state)
{
	AUTO(sources_free) struct sources s = {0};

	(void)state;
	assert_true(take(&s, "bookworm", shop, debian, security));
	AUTO_FREE char *lines = sources_newest(&s);
	assert_has(lines, "] http://m/debian/ bookworm main\n");
	assert_has(lines, "] http://m/debian/ bookworm-backports main\n");
	assert_has(lines, "] http://m/debian/ stable main\n");
	assert_has(lines, "] http://m/debian/ stable-backports main\n");
	assert_null(strstr(lines, "shop"));
	assert_false(take(&s, "bookworm", shop, "", ""));
	assert_null(sources_newest(&s));
}

/* apt lists the newest version first. */
static void test_newest_version(void **state)
{
	static const char *const none[] = {"", "\n", "qemu | 1.0", "qemu | 1.0 | http://m\n", "||\n"};
	char answer[] = "qemu | 1:11.1-3~bpo13+1 | http://m/debian stable-backports/main amd64 Packages\n"
			"qemu | 1:10.0-1 | http://m/debian stable/main amd64 Packages\n";
	char version[40], suite[40];

	(void)state;
	assert_true(apt_newest_of(answer, version, sizeof(version), suite, sizeof(suite)));
	assert_string_equal(version, "1:11.1-3~bpo13+1");
	assert_string_equal(suite, "stable-backports");
	for (size_t i = 0; i < ARRAY_LEN(none); i++) {
		AUTO_FREE char *text = str_dup(none[i]);
		if (apt_newest_of(text, version, sizeof(version), suite, sizeof(suite)))
			fail_msg("'%s' was taken: %s of %s", none[i], version, suite);
	}
}

static void test_versions(void **state)
{
	static const char madison[] =
		"linux-image-amd64 | 9.9-1 | http://shop/ bookworm/main amd64 Packages\n"
		"linux-image-amd64 | 6.12-1~bpo12 | http://b/ bookworm-backports/main amd64 Packages\n"
		"linux-image-amd64 |  6.1-1 | http://m/debian/ bookworm/main amd64 Packages\n"
		"linux-image-amd64 |  6.1-1 | http://m/debian/ bookworm/main Sources\n"
		"linux-image-amd64 | 5.1\nlinux-image-amd64\n\n||\n";
	static const char stanzas[] =
		"Package: linux-image-amd64\nVersion: 9.9-1\nDepends: linux-image-9.9\n\n"
		"Package: linux-image-amd64\nVersion: 6.1-1\nDepends: linux-image-6.1\n\n"
		"Package: linux-image-amd64\nDepends: linux-image-0\n\n"
		"Package: linux-image-amd64\nVersion: 6.1\n\n"
		"Package: linux-image-amd64\nVersion: 6.12-1~bpo12\n";
	AUTO(sources_free) struct sources s = {0};

	(void)state;
	assert_true(take(&s, "bookworm", shop, debian, backports));
	AUTO_FREE char *kept = sources_filter(&s, madison, stanzas);
	assert_string_equal(kept, "Package: linux-image-amd64\nVersion: 6.1-1\nDepends: linux-image-6.1\n\n"
				  "Package: linux-image-amd64\nVersion: 6.12-1~bpo12\n");
	AUTO_FREE char *none = sources_filter(&s, "", stanzas);
	assert_string_equal(none, "");
	AUTO_FREE char *nothing = sources_filter(&s, madison, "");
	assert_string_equal(nothing, "");
}

static int release_here(struct sources *s, const char *name, struct err *e)
{
	AUTO_FREE char *root = str_format("%s/%s", world, name);

	return sources_release(s, root, e);
}

static void test_release(void **state)
{
	struct err e = ERR_INIT;
	struct sources s = {0};

	(void)state;
	world_text("NAME=\"Debian\"\nID=debian\nVERSION_CODENAME='bookworm'\n", "/m1/etc/os-release");
	ok(release_here(&s, "m1", &e));
	assert_string_equal(s.codename, "bookworm");
	world_text("ID=\"debian\"\n", "/m2/etc/os-release");
	ok(release_here(&s, "m2", &e));
	assert_string_equal(s.codename, "");
	world_text("ID=fedora\n", "/m4/etc/os-release");
	assert_int_equal(release_here(&s, "m4", &e), -ENOTSUP);
	assert_has(e.text, "fedora");
	world_text("", "/m5/etc/os-release");
	assert_int_equal(release_here(&s, "m5", &e), -ENOTSUP);
}

/* --- packages ------------------------------------------------------------------------------------- */

struct member {
	const char *name;
	mode_t type;
	const char *data; /* or where a link leads */
};

/* Each member into a .tar.xz in memory, and that into an ar archive. */
static void package_make(const char *below, const char *data_name, const struct member *members, size_t n)
{
	static char tar[1 << 20];
	AUTO_FREE char *path = str_format("%s%s", world, below);
	struct archive *a = archive_write_new();
	size_t used = 0;

	archive_write_set_format_gnutar(a);
	archive_write_add_filter_xz(a);
	archive_write_set_bytes_in_last_block(a, 1);
	assert_int_equal(archive_write_open_memory(a, tar, sizeof(tar), &used), ARCHIVE_OK);
	for (size_t i = 0; i < n; i++) {
		struct archive_entry *entry = archive_entry_new();
		size_t len = members[i].type == AE_IFREG ? strlen(members[i].data) : 0;
		archive_entry_set_pathname(entry, members[i].name);
		archive_entry_set_filetype(entry, members[i].type);
		archive_entry_set_perm(entry, 04777);
		archive_entry_set_size(entry, (la_int64_t)len);
		if (members[i].type == AE_IFLNK)
			archive_entry_set_symlink(entry, members[i].data);
		if (members[i].type == 0) { /* a hard link */
			archive_entry_set_filetype(entry, AE_IFREG);
			archive_entry_set_hardlink(entry, members[i].data);
		}
		assert_int_equal(archive_write_header(a, entry), ARCHIVE_OK);
		assert_int_equal(archive_write_data(a, members[i].data, len), len);
		archive_entry_free(entry);
	}
	archive_write_close(a);
	archive_write_free(a);

	world_text("", "%s", below);
	a = archive_write_new();
	archive_write_set_format_ar_svr4(a);
	assert_int_equal(archive_write_open_filename(a, path), ARCHIVE_OK);
	const struct member parts[] = {{"debian-binary", AE_IFREG, "2.0\n"}, {data_name, AE_IFREG, tar}};
	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		struct archive_entry *entry = archive_entry_new();
		size_t len = i ? used : strlen(parts[i].data);
		archive_entry_set_pathname(entry, parts[i].name);
		archive_entry_set_filetype(entry, AE_IFREG);
		archive_entry_set_size(entry, (la_int64_t)len);
		assert_int_equal(archive_write_header(a, entry), ARCHIVE_OK);
		assert_int_equal(archive_write_data(a, parts[i].data, len), len);
		archive_entry_free(entry);
	}
	archive_write_close(a);
	archive_write_free(a);
}

static const struct member good[] = {
	{"./", AE_IFDIR, ""},
	{"./boot/", AE_IFDIR, ""},
	{"./boot/vmlinuz-6.1.0", AE_IFREG, "image"},
	{"./boot/config-6.1.0", AE_IFREG, "CONFIG_A=y\n"},
	{"./boot/System.map-6.1.0", AE_IFREG, "map"},
	{"./lib/modules/6.1.0/", AE_IFDIR, ""},
	{"./lib/modules/6.1.0/kernel/a.ko", AE_IFREG, "module a"},
	{"./lib/modules/6.1.0/build", AE_IFLNK, "/usr/src"},
	{"./lib/modules/6.1.0/hard", 0, "./boot/config-6.1.0"},
	{"./usr/lib/modules/6.1.0/modules.order", AE_IFREG, "kernel/a.ko\n"},
	{"./usr/share/doc/x", AE_IFREG, "doc"},
	{"./etc/passwd", AE_IFREG, "root"},
};

static int add_found(const char *name, void *arg)
{
	buf_add(arg, "%s ", name);
	return 0;
}

/* What is in a folder below the world, in the order that the folder has it. */
static size_t names_in(const char *below, char *out, size_t size)
{
	AUTO_FREE char *path = str_format("%s%s", world, below);
	AUTO_CLOSE int root = root_open("/", ERR_IGNORED);
	AUTO(buf_free) struct buf b = {0};

	root_each(root, path, add_found, &b, ERR_IGNORED);
	snprintf(out, size, "%s", b.data ? b.data : "");
	return b.len;
}

static int unpack_here(const char *package, const char *folder, struct err *e)
{
	AUTO_FREE char *from = str_format("%s%s", world, package);
	AUTO_FREE char *to = str_format("%s%s", world, folder);

	*e = ERR_INIT;
	assert_int_equal(dir_make(to, 0755, e), 0);
	return unpack_package(from, to, unpack_kernel, e);
}

static void test_unpack(void **state)
{
	AUTO_FREE char *file = str_format("%s/good/modules/kernel/a.ko", world);
	AUTO_FREE char *data = NULL;
	struct err e;
	struct stat st;
	char names[256];
	size_t len;

	(void)state;
	package_make("/good.deb", "data.tar.xz", good, ARRAY_LEN(good));
	ok(unpack_here("/good.deb", "/good", &e));
	assert_int_equal(names_in("/good", names, sizeof(names)), strlen("vmlinuz config modules "));
	assert_int_equal(names_in("/good/modules", names, sizeof(names)), strlen("kernel modules.order "));
	ok(unpack_file(file, 100, &data, &len, &e));
	assert_int_equal(len, 8);
	assert_memory_equal(data, "module a", 8);
	assert_int_equal(stat(file, &st), 0);
	assert_int_equal(st.st_mode & 07777 & ~022, 0644); /* no setuid bit, nothing others can write */
	assert_int_equal(st.st_mode & 07022, 0);
}

static void test_names_that_lead_out(void **state)
{
	static const char *const names[] = {"./lib/modules/6.1.0/../../../../../out", "../out", "/out",
		"./boot/vmlinuz-/../../out", "./boot/..", "lib/modules/x/.."};
	char found[256];
	struct err e;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		const struct member bad[] = {{names[i], AE_IFREG, "out"}};
		package_make("/bad.deb", "data.tar.xz", bad, 1);
		assert_int_equal(unpack_here("/bad.deb", "/bad", &e), -EBADMSG);
		assert_has(e.text, names[i]);
		assert_int_equal(names_in("/bad", found, sizeof(found)), 0);
	}
}

static void test_twice(void **state)
{
	static const struct member twice[] = {
		{"./boot/vmlinuz-a", AE_IFREG, "1"}, {"./boot/vmlinuz-b", AE_IFREG, "2"}};
	struct err e;

	(void)state;
	package_make("/twice.deb", "data.tar.xz", twice, ARRAY_LEN(twice));
	assert_true(unpack_here("/twice.deb", "/twice", &e) < 0);
	assert_has(e.text, "vmlinuz");
}

static void test_damaged_packages(void **state)
{
	AUTO_FREE char *path = str_format("%s/whole.deb", world);
	AUTO_FREE char *data = NULL;
	struct err e = ERR_INIT;
	size_t len, refused = 0, n = 0;

	(void)state;
	package_make("/whole.deb", "data.tar.xz", good, ARRAY_LEN(good));
	AUTO_CLOSE int root = root_open("/", &e);
	ok(root_read_all(root, path, &data, &len, &e));
	for (size_t cut = 0; cut < len - 40; cut += 11, n++) {
		AUTO_FREE char *folder = str_format("/cut-%zu", cut);
		world_write(data, cut, "/cut.deb");
		refused += unpack_here("/cut.deb", folder, &e) < 0;
	}
	assert_int_equal(refused, n);
	package_make("/other.deb", "control.tar.xz", good, ARRAY_LEN(good));
	assert_int_equal(unpack_here("/other.deb", "/other", &e), -EBADMSG);
	assert_has(e.text, "no Debian package");
	assert_true(unpack_here("/nothing.deb", "/other", &e) < 0);
	assert_has(e.text, "nothing.deb");
}

static void test_interrupted(void **state)
{
	struct err e;

	(void)state;
	package_make("/stop.deb", "data.tar.xz", good, ARRAY_LEN(good));
	stop_flag = 1;
	assert_int_equal(unpack_here("/stop.deb", "/stop", &e), -EINTR);
	stop_flag = 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		{"lists of Debian's for this release are taken, others not", test_lists, NULL, NULL, NULL},
		{"backports come from the same mirror, unless they are there", test_backports, NULL, NULL,
			NULL},
		{"for QEMU the lists are the release's, the stable release's, and the backports of both",
			test_newest, NULL, NULL, NULL},
		{"of an answer of apt the newest version is taken, with its suite", test_newest_version, NULL,
			NULL, NULL},
		{"a version that only others have is no kernel of Debian's", test_versions, NULL, NULL, NULL},
		{"a machine without Debian is told so", test_release, NULL, NULL, NULL},
		{"of a package only image, configuration and modules are unpacked", test_unpack, NULL, NULL,
			NULL},
		{"a package with names that lead out of it is refused", test_names_that_lead_out, NULL, NULL,
			NULL},
		{"nothing is unpacked over what is there", test_twice, NULL, NULL, NULL},
		{"a package that is damaged is refused", test_damaged_packages, NULL, NULL, NULL},
		{"unpacking ends when it is interrupted", test_interrupted, NULL, NULL, NULL},
	};

	return cmocka_run_group_tests(tests, world_begin, world_end);
}
