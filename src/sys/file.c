/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Files under a root fd.  Paths are absolute and looked up with openat() below the fd, so that a test can
 * show the program another machine, made of plain files.  Links in such a tree are followed, also out of it.
 */
#include "sys.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#define FILE_MAX_BYTES (64u << 20)

int root_open(const char *path, struct err *e)
{
	int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);

	return fd >= 0 ? fd : err_sys(e, "cannot open %s", path);
}

static int open_below(int root, const char *path, int flags)
{
	while (*path == '/')
		path++;
	return openat(root, *path ? path : ".", flags | O_CLOEXEC);
}

int root_read(int root, const char *path, char *out, size_t size, struct err *e)
{
	AUTO_CLOSE int fd = open_below(root, path, O_RDONLY);
	size_t len = 0;

	if (fd < 0)
		return err_sys(e, "cannot read %s", path);
	while (len < size) {
		ssize_t n = read(fd, out + len, size - len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(e, "cannot read %s", path);
		if (n == 0)
			break;
		len += (size_t)n;
	}
	if (len == size)
		return err_code(e, EFBIG, "cannot read %s", path);
	while (len > 0 && strchr(" \t\n", out[len - 1]))
		len--;
	out[len] = 0;
	return (int)len;
}

int root_read_all(int root, const char *path, char **out, size_t *len, struct err *e)
{
	AUTO_CLOSE int fd = open_below(root, path, O_RDONLY);
	AUTO(buf_free) struct buf b = {0};
	char chunk[16384];

	if (fd < 0)
		return err_sys(e, "cannot read %s", path);
	for (;;) {
		ssize_t n = read(fd, chunk, sizeof(chunk));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(e, "cannot read %s", path);
		if (n == 0)
			break;
		if (b.len + (size_t)n > FILE_MAX_BYTES)
			return err_code(e, EFBIG, "cannot read %s", path);
		buf_put(&b, chunk, (size_t)n);
	}
	if (!b.data)
		buf_put(&b, "", 0);
	if (len)
		*len = b.len;
	*out = steal_ptr(&b.data);
	return 0;
}

int root_read_u64(int root, const char *path, uint64_t *out, struct err *e)
{
	char text[64];
	int rc = root_read(root, path, text, sizeof(text), e);

	if (rc < 0)
		return rc;
	if (str_u64(text, out))
		return err_set(e, EINVAL, "cannot read %s: '%s' is not a number", path, text);
	return 0;
}

int root_write(int root, const char *path, const char *text, struct err *e)
{
	AUTO_CLOSE int fd = open_below(root, path, O_WRONLY);
	size_t len = strlen(text);
	ssize_t n;

	if (fd < 0)
		return err_sys(e, "cannot write %s", path);
	do
		n = write(fd, text, len);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return err_sys(e, "cannot write '%s' to %s", text, path);
	if ((size_t)n != len)
		return err_code(e, EIO, "cannot write '%s' to %s", text, path);
	return 0;
}

bool root_exists(int root, const char *path)
{
	while (*path == '/')
		path++;
	return faccessat(root, *path ? path : ".", F_OK, 0) == 0;
}

static void dir_close(DIR **dir)
{
	if (*dir)
		closedir(*dir);
}

int root_each(int root, const char *path, int (*fn)(const char *name, void *arg), void *arg, struct err *e)
{
	int fd = open_below(root, path, O_RDONLY | O_DIRECTORY);

	if (fd < 0)
		return err_sys(e, "cannot list %s", path);
	AUTO(dir_close) DIR *dir = fdopendir(fd);
	if (!dir) {
		close(fd);
		return err_sys(e, "cannot list %s", path);
	}
	for (struct dirent *entry; (entry = readdir(dir));) {
		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
			continue;
		int rc = fn(entry->d_name, arg);
		if (rc)
			return rc;
	}
	return 0;
}

static int write_all(int fd, const void *data, size_t len)
{
	const char *p = data;

	while (len) {
		ssize_t n = write(fd, p, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

int file_write_synced(const char *path, const void *data, size_t len, mode_t mode, struct err *e)
{
	AUTO_FREE char *temporary = str_format("%s.new", path);
	AUTO_FREE char *folder = str_dup(path);
	char *slash = strrchr(folder, '/');
	int rc;

	AUTO_CLOSE int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode);
	if (fd < 0)
		return err_sys(e, "cannot write %s", temporary);
	rc = write_all(fd, data, len);
	if (rc == 0 && fsync(fd) < 0)
		rc = -errno;
	if (rc == 0 && rename(temporary, path) < 0)
		rc = -errno;
	if (rc < 0) {
		unlink(temporary);
		return err_code(e, -rc, "cannot write %s", path);
	}
	if (slash)
		*slash = 0;
	AUTO_CLOSE int dir = open(slash ? (*folder ? folder : "/") : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0 || fsync(dir) < 0)
		return err_sys(e, "cannot sync the folder of %s", path);
	return 0;
}

/* Writes into the file that is there, or into a new one, which goes when it cannot be written whole. */
static int write_into(const char *path, const void *data, size_t len, struct err *e)
{
	static const int flags = O_WRONLY | O_TRUNC | O_NOCTTY | O_CLOEXEC;
	AUTO_CLOSE int fd =
		open(path, flags); /* with O_CREAT, kernels refuse others' files in /tmp even to root */
	bool made = fd < 0 && errno == ENOENT;
	struct stat st;

	if (made)
		fd = open(path, flags | O_CREAT, 0644);
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_sys(e, "cannot write %s", path);
	int rc = write_all(fd, data, len);
	if (rc == 0 && S_ISREG(st.st_mode) && fsync(fd) < 0)
		rc = -errno;
	if (rc == 0)
		return 0;
	AUTO_FREE char *real = made ? realpath(path, NULL) : NULL; /* not the link that named it */
	if (real)
		unlink(real);
	return err_code(e, -rc, "cannot write %s", path);
}

int file_write_named(const char *path, const void *data, size_t len, struct err *e)
{
	AUTO_FREE char *real = realpath(path, NULL);
	struct stat st;

	if (!real || stat(real, &st) < 0 || !S_ISREG(st.st_mode) || st.st_nlink > 1 || access(real, W_OK) < 0)
		return write_into(path, data, len, e);
	AUTO_FREE char *temporary = str_format("%s.XXXXXX", real);
	AUTO_CLOSE int fd = mkostemp(temporary, O_CLOEXEC);
	if (fd < 0)
		return write_into(path, data, len, e);
	int rc = write_all(fd, data, len);
	/* A new file that cannot be given the owner of the old one is dropped, and the old one written in
	 * place. */
	bool alike = fchown(fd, st.st_uid, st.st_gid) == 0 && fchmod(fd, st.st_mode & 07777) == 0;
	if (rc == 0 && alike && (fsync(fd) < 0 || rename(temporary, real) < 0))
		rc = -errno;
	if (rc < 0 || !alike)
		unlink(temporary);
	if (rc < 0)
		return err_code(e, -rc, "cannot write %s", path);
	return alike ? 0 : write_into(path, data, len, e);
}

int dir_make(const char *path, mode_t mode, struct err *e)
{
	AUTO_FREE char *part = str_dup(path);

	for (char *p = part + 1; *p; p++) {
		if (*p != '/')
			continue;
		*p = 0;
		if (mkdir(part, 0755) < 0 && errno != EEXIST)
			return err_sys(e, "cannot make folder %s", part);
		*p = '/';
	}
	if (mkdir(part, mode) < 0 && errno != EEXIST)
		return err_sys(e, "cannot make folder %s", path);
	return 0;
}

static int tree_remove_at(int parent, const char *name, dev_t device)
{
	struct stat st;

	if (fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISDIR(st.st_mode))
		return unlinkat(parent, name, 0) < 0 ? -errno : 0;
	if (device && st.st_dev != device)
		return -EXDEV;
	int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	AUTO(dir_close) DIR *dir = fdopendir(fd);
	if (!dir) {
		close(fd);
		return -errno;
	}
	for (struct dirent *entry; (entry = readdir(dir));) {
		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
			continue;
		int rc = tree_remove_at(dirfd(dir), entry->d_name, st.st_dev);
		if (rc < 0)
			return rc;
	}
	return unlinkat(parent, name, AT_REMOVEDIR) < 0 ? -errno : 0;
}

int tree_remove(const char *path, struct err *e)
{
	int rc = tree_remove_at(AT_FDCWD, path, 0);

	return rc < 0 ? err_code(e, -rc, "cannot remove %s", path) : 0;
}
