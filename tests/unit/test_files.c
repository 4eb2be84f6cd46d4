/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Files that a user names are written, and keep their kind, mode and owner. */
#include "sys/sys.h"
#include "test_keep.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <cmocka.h>

struct folder {
	char path[64], file[96], link[96];
};

static int folder_make(void **state)
{
	struct folder *f = mem_alloc(sizeof(*f));

	str_copy(f->path, sizeof(f->path), "/tmp/taut-files-XXXXXX");
	keep_folder(f->path);
	snprintf(f->file, sizeof(f->file), "%s/file", f->path);
	snprintf(f->link, sizeof(f->link), "%s/link", f->path);
	*state = f;
	return 0;
}

static int folder_remove(void **state)
{
	struct folder *f = *state;

	chmod(f->path, 0700);
	assert_int_equal(tree_remove(f->path, ERR_IGNORED), 0);
	free(f);
	return 0;
}

static void put(const char *path, const char *text)
{
	struct err e = ERR_INIT;

	if (file_write_named(path, text, strlen(text), &e) < 0)
		fail_msg("%s", e.text);
}

static void holds(const char *path, const char *text)
{
	AUTO_CLOSE int root = root_open("/", ERR_IGNORED);
	AUTO_FREE char *found = NULL;

	assert_true(root_read_all(root, path, &found, NULL, ERR_IGNORED) >= 0);
	assert_string_equal(found, text);
}

static struct stat of(const char *path)
{
	struct stat st;

	assert_int_equal(lstat(path, &st), 0);
	return st;
}

static void a_file_keeps_mode_and_owner(void **state)
{
	struct folder *f = *state;

	put(f->file, "a long text");
	assert_int_equal(of(f->file).st_mode & 0777 & ~0644, 0);
	assert_int_equal(chmod(f->file, 0600), 0);
	if (geteuid() == 0)
		assert_int_equal(chown(f->file, 12, 34), 0);
	put(f->file, "short");
	holds(f->file, "short");
	assert_int_equal(of(f->file).st_mode, S_IFREG | 0600);
	assert_int_equal(of(f->file).st_uid, geteuid() ? geteuid() : 12);
}

static void a_link_stays_a_link(void **state)
{
	struct folder *f = *state;

	assert_int_equal(symlink("file", f->link), 0);
	put(f->link, "new"); /* it leads nowhere yet */
	holds(f->file, "new");
	put(f->link, "again");
	holds(f->file, "again");
	assert_true(S_ISLNK(of(f->link).st_mode));
}

static void a_file_of_two_names_keeps_both(void **state)
{
	struct folder *f = *state;

	put(f->file, "old");
	assert_int_equal(link(f->file, f->link), 0);
	put(f->file, "new");
	holds(f->link, "new");
}

static void a_device_stays_a_device(void **state)
{
	struct folder *f = *state;

	if (mknod(f->file, S_IFCHR | 0666, makedev(1, 3)) < 0)
		skip();
	put(f->file, "into the void");
	assert_true(S_ISCHR(of(f->file).st_mode));
}

static void a_fifo_is_written_to(void **state)
{
	struct folder *f = *state;
	char text[16] = "";

	assert_int_equal(mkfifo(f->file, 0600), 0);
	AUTO_CLOSE int reader = open(f->file, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	put(f->file, "through");
	assert_int_equal(read(reader, text, sizeof(text)), 7);
	assert_string_equal(text, "through");
	assert_true(S_ISFIFO(of(f->file).st_mode));
}

/* Runs as the user nobody, who cannot write to a folder of mode 0555. */
static void a_file_in_a_closed_folder_is_written_in_place(void **state)
{
	struct folder *f = *state;
	int status;

	put(f->file, "old and longer");
	assert_int_equal(chmod(f->file, 0666), 0);
	assert_int_equal(chmod(f->path, 0555), 0);
	pid_t child = fork();
	if (child == 0) {
		if (geteuid() == 0 && setuid(65534) < 0)
			_exit(2);
		_exit(file_write_named(f->file, "new", 3, ERR_IGNORED) == 0 ? 0 : 1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	holds(f->file, "new");
}

static void what_cannot_be_written_is_named(void **state)
{
	struct folder *f = *state;
	struct err e = ERR_INIT;

	assert_int_equal(file_write_named(f->path, "x", 1, &e), -EISDIR);
	assert_non_null(strstr(e.text, f->path));
}

#define WITH_FOLDER(test) cmocka_unit_test_setup_teardown(test, folder_make, folder_remove)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_FOLDER(a_file_keeps_mode_and_owner),
		WITH_FOLDER(a_link_stays_a_link),
		WITH_FOLDER(a_file_of_two_names_keeps_both),
		WITH_FOLDER(a_device_stays_a_device),
		WITH_FOLDER(a_fifo_is_written_to),
		WITH_FOLDER(a_file_in_a_closed_folder_is_written_in_place),
		WITH_FOLDER(what_cannot_be_written_is_named),
	};

	return cmocka_run_group_tests_name("files", tests, NULL, NULL);
}
