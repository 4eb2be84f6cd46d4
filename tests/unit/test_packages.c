/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What kernels are fetched with: the machine's sources of packages, and Debian's packages unpacked. */
#include "boot/apt.h"
#include "boot/unpack.h"
#include "test_boot_world.h"

#include <archive.h>
#include <archive_entry.h>
#include <sys/stat.h>

/* --- sources ------------------------------------------------------------------------------------- */

/* "uris suite", one a line, and options behind '|'. */
static const char *summary(const struct sources *s)
{
	static char out[2048];

	out[0] = 0;
	for (size_t i = 0; i < s->n; i++) {
		size_t at = strlen(out);
		snprintf(out + at, sizeof(out) - at, "%s %s|%s", s->list[i].uris, s->list[i].suite,
			s->list[i].options);
		for (char *p = out + at; *p; p++)
			*p = (char)(*p == '\n' ? ';' : *p);
		snprintf(out + strlen(out), sizeof(out) - strlen(out), "\n");
	}
	return out;
}

static void test_parse(void **state)
{
	static const struct {
		bool deb822;
		const char *text, *wanted;
	} cases[] = {
		{false, "deb http://m/debian bookworm main\n", "http://m/debian bookworm|\n"},
		{false, "deb\thttp://m/debian  bookworm-updates\tcontrib main # why\n",
			"http://m/debian bookworm-updates|\n"},
		{false, "  deb [arch=amd64 signed-by=/a.gpg,/b.gpg trusted=yes lang=de] https://m bookworm main",
			"https://m bookworm|Signed-By: /a.gpg /b.gpg;Trusted: yes;\n"},
		{false, "deb [ check-valid-until=no ] file:/srv/m bookworm-security main\n",
			"file:/srv/m bookworm-security|Check-Valid-Until: no;\n"},
		{false,
			"#deb http://m bookworm main\ndeb-src http://m bookworm main\ndeb http://m bookworm contrib\n"
			"deb http://m bookworm-proposed main\ndeb http://m trixie main\ndeb http://m bookworm/ main\n"
			"deb http://m xbookworm main\ndeb http://m bookworm mainly\ndeb http://m bookworm\n"
			"deb http://m\ndeb\ndeb \ndeb [signed-by=/a http://m bookworm main\nrubbish\n"
			"deb cdrom:[Debian]/ bookworm main\ndeb http://m # bookworm main\n",
			""},
		{false, "deb http://m bookworm main\ndeb http://m bookworm main contrib\ndeb http://n bookworm main\n",
			"http://m bookworm|\nhttp://n bookworm|\n"},
		{true,
			"Types: deb\nURIs: http://m/debian\nSuites: bookworm bookworm-updates\nComponents: main\n"
			"Signed-By: /k.gpg\n",
			"http://m/debian bookworm|Signed-By: /k.gpg;\nhttp://m/debian bookworm-updates|Signed-By: "
			"/k.gpg;\n"},
		{true,
			"# a comment\n\n\ntypes: deb-src deb\nUris: "
			"http://m\n  https://n\nSUITES:\n bookworm-backports\n"
			"Components:\n contrib\n main\nArchitectures: i386\nEnabled: yes\n",
			"http://m https://n bookworm-backports|\n"},
		{true,
			"Types: deb\nURIs: http://m\nSuites: bookworm\nComponents: main\nSigned-By:\n -----BEGIN\n .\n"
			" abc\n# said in between\n -----END\nTargets: Packages\n Contents\n",
			"http://m bookworm|Signed-By:; -----BEGIN; .; abc; -----END;\n"},
		{true,
			"Types: deb\nURIs: http://m\nSuites: bookworm\nComponents: main\nEnabled: no\n\n"
			"Types: deb-src\nURIs: http://m\nSuites: bookworm\nComponents: main\n\n"
			"Types: deb\nURIs: cdrom:[x]/\nSuites: bookworm\nComponents: main\n\n"
			"Types: deb\nSuites: bookworm\nComponents: main\n\n"
			"Types: deb\nURIs: http://m\nComponents: main\n\n Types: deb\n:\n: x\nrubbish\n",
			""},
		{true, "", ""},
		{false, "", ""},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		AUTO(sources_free) struct sources s = {0};
		sources_parse(&s, "bookworm", cases[i].text, cases[i].deb822);
		if (strcmp(summary(&s), cases[i].wanted) != 0)
			fail_msg("%s\ngave\n%s\nwanted\n%s", cases[i].text, summary(&s), cases[i].wanted);
	}
}

static int read_here(struct sources *s, const char *name, struct err *e)
{
	AUTO_FREE char *root = str_format("%s/%s", world, name);

	return sources_read(s, root, e);
}

static void test_machine(void **state)
{
	struct err e = ERR_INIT;
	AUTO(sources_free) struct sources s = {0};
	AUTO(buf_free) struct buf out = {0};

	(void)state;
	world_text("NAME=\"Debian\"\nID=debian\nVERSION_CODENAME='bookworm'\n", "/m1/etc/os-release");
	world_text("deb [signed-by=/k] http://m bookworm main\ndeb http://m testing main\n",
		"/m1/etc/apt/sources.list");
	world_text("deb http://s bookworm-security main\n", "/m1/etc/apt/sources.list.d/s.list");
	world_text("deb http://x bookworm main\n", "/m1/etc/apt/sources.list.d/x.list.save");
	ok(read_here(&s, "m1", &e));
	assert_string_equal(summary(&s), "http://m bookworm|Signed-By: /k;\nhttp://s bookworm-security|\n");
	/* Backports come from where the release comes, under the same keys. */
	assert_false(sources_have_backports(&s));
	sources_write(&s, true, &out);
	assert_string_equal(out.data,
		"Types: deb\nURIs: http://m\nSuites: bookworm\nComponents: main\nArchitectures: amd64\n"
		"Signed-By: /k\n\n"
		"Types: deb\nURIs: http://m\nSuites: bookworm-backports\nComponents: main\nArchitectures: amd64\n"
		"Signed-By: /k\n\n"
		"Types: deb\nURIs: http://s\nSuites: bookworm-security\nComponents: main\nArchitectures: amd64\n\n");
	out.len = 0;
	sources_write(&s, false, &out);
	assert_null(strstr(out.data, "backports"));
}

static void test_own_backports(void **state)
{
	struct err e = ERR_INIT;
	AUTO(sources_free) struct sources s = {0};
	AUTO(buf_free) struct buf out = {0};

	(void)state;
	world_text("ID=\"debian\"\nVERSION_CODENAME=bookworm", "/m2/etc/os-release");
	world_text(
		"Types: deb\nURIs: http://m\nSuites: bookworm\nComponents: main\n\nTypes: deb\nURIs: http://b\n"
		"Suites: bookworm-backports\nComponents: main\n",
		"/m2/etc/apt/sources.list.d/debian.sources");
	ok(read_here(&s, "m2", &e));
	assert_true(sources_have_backports(&s));
	sources_write(&s, true, &out);
	assert_null(strstr(out.data, "http://m\nSuites: bookworm-backports"));
	assert_has(out.data, "http://b\nSuites: bookworm-backports");
}

static void test_machine_without(void **state)
{
	struct err e = ERR_INIT;
	AUTO(sources_free) struct sources s = {0};

	(void)state;
	world_text("ID=debian\nVERSION_CODENAME=bookworm\n", "/m3/etc/os-release");
	world_text("deb http://m stable main\ndeb http://m stable-updates main\ndeb http://m sid main\n",
		"/m3/etc/apt/sources.list");
	ok(read_here(&s, "m3", &e));
	assert_string_equal(s.base, "stable");
	assert_string_equal(summary(&s), "http://m stable|\nhttp://m stable-updates|\n");
	world_text("deb http://m bookworm-updates main\n", "/m3/etc/apt/sources.list");
	assert_int_equal(read_here(&s, "m3", &e), -ENOENT);
	assert_has(e.text, "bookworm");
	world_text("ID=fedora\n", "/m4/etc/os-release");
	assert_int_equal(read_here(&s, "m4", &e), -ENOTSUP);
	assert_has(e.text, "fedora");
	world_text("", "/m5/etc/os-release");
	assert_int_equal(read_here(&s, "m5", &e), -ENOTSUP);
	world_text("ID=debian\n", "/m6/etc/os-release");
	assert_int_equal(read_here(&s, "m6", &e), -ENOENT);
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
	AUTO_CLOSE int root = root_open("/", NULL);
	AUTO(buf_free) struct buf b = {0};

	root_each(root, path, add_found, &b, NULL);
	snprintf(out, size, "%s", b.data ? b.data : "");
	return b.len;
}

static int unpack_here(const char *package, const char *folder, struct err *e)
{
	AUTO_FREE char *from = str_format("%s%s", world, package);
	AUTO_FREE char *to = str_format("%s%s", world, folder);

	*e = ERR_INIT;
	assert_int_equal(dir_make(to, 0755, e), 0);
	return unpack_kernel_package(from, to, e);
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
		{"sources of the release with main are kept, with what is about trust", test_parse, NULL,
			NULL, NULL},
		{"a machine's sources get backports from the same mirror", test_machine, NULL, NULL, NULL},
		{"backports that a machine has are used", test_own_backports, NULL, NULL, NULL},
		{"a machine without sources, or without Debian, is told so", test_machine_without, NULL, NULL,
			NULL},
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
