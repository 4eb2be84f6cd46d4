/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cpio.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#define CHUNK_BYTES (256u << 10)

struct cpio {
	struct archive *archive;
	json_t *paths; /* what has been written: path → true */
	struct err why;
};

static void failed(struct cpio *c, const char *path)
{
	const char *text = archive_error_string(c->archive);
	int code = archive_errno(c->archive);

	if (c->why.code)
		return;
	if (code > 0)
		err_code(&c->why, code, "cannot write %s into the image", path);
	else
		err_set(&c->why, EIO, "cannot write %s into the image: %s", path,
			text ? text : "no reason given");
}

struct cpio *cpio_open(int fd)
{
	struct cpio *c = mem_alloc(sizeof(*c));

	c->paths = json_object();
	c->archive = archive_write_new();
	if (!c->archive || archive_write_set_format_cpio_newc(c->archive) != ARCHIVE_OK ||
		archive_write_set_bytes_per_block(c->archive, (int)CHUNK_BYTES) != ARCHIVE_OK ||
		archive_write_set_bytes_in_last_block(c->archive, 512) != ARCHIVE_OK ||
		archive_write_open_fd(c->archive, fd) != ARCHIVE_OK)
		err_set(&c->why, ENOMEM, "cannot begin an image");
	return c;
}

bool cpio_has(const struct cpio *c, const char *path)
{
	return json_object_get(c->paths, path) != NULL;
}

static void parents(struct cpio *c, const char *path)
{
	AUTO_FREE char *part = str_dup(path);

	for (char *slash = strchr(part + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = 0;
		if (!cpio_has(c, part))
			cpio_folder(c, part, 0755);
		*slash = '/';
	}
}

/* Writes the header; false when nothing more is to be written of this path. */
static bool begin(
	struct cpio *c, const char *path, unsigned mode, int64_t size, const char *link, dev_t device)
{
	if (c->why.code || cpio_has(c, path))
		return false;
	parents(c, path);
	struct archive_entry *entry = archive_entry_new();
	archive_entry_set_pathname(entry, path + 1);
	archive_entry_set_mode(entry, (mode_t)mode);
	archive_entry_set_nlink(entry, 1);
	archive_entry_set_size(entry, size);
	archive_entry_set_mtime(entry, 0, 0);
	if (link)
		archive_entry_set_symlink(entry, link);
	if (device)
		archive_entry_set_rdev(entry, device);
	if (archive_write_header(c->archive, entry) != ARCHIVE_OK)
		failed(c, path);
	archive_entry_free(entry);
	json_object_set_new(c->paths, path, json_true());
	return !c->why.code;
}

static void put(struct cpio *c, const char *path, const void *data, size_t len)
{
	if (len && archive_write_data(c->archive, data, len) != (la_ssize_t)len)
		failed(c, path);
}

void cpio_folder(struct cpio *c, const char *path, unsigned mode)
{
	begin(c, path, S_IFDIR | mode, 0, NULL, 0);
}

void cpio_data(struct cpio *c, const char *path, unsigned mode, const void *data, size_t len)
{
	if (begin(c, path, S_IFREG | mode, (int64_t)len, NULL, 0))
		put(c, path, data, len);
}

void cpio_copy(struct cpio *c, const char *path, unsigned mode, const char *source)
{
	AUTO_CLOSE int fd = open(source, O_RDONLY | O_CLOEXEC);
	AUTO_FREE char *chunk = mem_alloc(CHUNK_BYTES);
	struct stat st;

	if (c->why.code)
		return;
	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		err_sys(&c->why, "cannot read %s", source);
		return;
	}
	if (!begin(c, path, S_IFREG | mode, st.st_size, NULL, 0))
		return;
	for (off_t left = st.st_size; left > 0 && !c->why.code;) {
		ssize_t n = read(fd, chunk, MIN((size_t)left, (size_t)CHUNK_BYTES));
		if (n <= 0) {
			err_set(&c->why, EIO, "cannot read %s: it changed meanwhile", source);
			return;
		}
		put(c, path, chunk, (size_t)n);
		left -= n;
	}
}

void cpio_link(struct cpio *c, const char *path, const char *to)
{
	begin(c, path, S_IFLNK | 0777, 0, to, 0);
}

void cpio_device(struct cpio *c, const char *path, unsigned mode, unsigned major, unsigned minor)
{
	begin(c, path, S_IFCHR | mode, 0, NULL, makedev(major, minor));
}

int cpio_close(struct cpio *c, struct err *e)
{
	int rc = 0;

	if (c->archive && archive_write_close(c->archive) != ARCHIVE_OK)
		failed(c, "the end");
	if (c->archive)
		archive_write_free(c->archive);
	json_decref(c->paths);
	if (c->why.code) {
		*e = c->why;
		rc = -c->why.code;
	}
	free(c);
	return rc;
}
