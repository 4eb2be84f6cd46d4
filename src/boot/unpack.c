/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * libarchive does the work: its raw format undoes compression alone, and a Debian package is an ar archive
 * with a compressed tar archive in it, which is read through a second reader without being stored first.
 *
 * The names of unpacked files are made here: the name of a member decides whether and where it is unpacked,
 * and a package is refused when such a name is absolute or contains "..".
 */
#include "unpack.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#define BLOCK_BYTES       65536
#define PACKAGE_MAX_BYTES (4ull << 30)
#define MEMBERS_MAX       100000
#define NAME_MAX_BYTES    512

static void reader_free(struct archive **a)
{
	if (*a)
		archive_read_free(*a);
}

static void writer_free(struct archive **a)
{
	if (*a)
		archive_write_free(*a);
}

/* Adds the text of errno to the library's message, which often lacks it, when the system was the cause. */
static int archive_error(struct err *e, struct archive *a, const char *doing, const char *path)
{
	int code = archive_errno(a);
	const char *why = archive_error_string(a) ? archive_error_string(a) : "it is damaged";

	/* The library uses EILSEQ and EINVAL for two errors of its own, a damaged file and misuse. */
	if (code <= 0 || code == EILSEQ || code == EINVAL || !strerrorname_np(code))
		return err_set(e, EBADMSG, "cannot %s %s: %s", doing, path, why);
	if (strstr(why, strerror(code)))
		return err_set(e, code, "cannot %s %s: %s", doing, path, why);
	return err_code(e, code, "cannot %s %s: %s", doing, path, why);
}

/* --- a compressed file -------------------------------------------------------------------------- */

static int open_regular(const char *path, struct err *e)
{
	struct stat st;
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0 || fstat(fd, &st) < 0)
		return err_sys(e, "cannot read %s", path);
	if (!S_ISREG(st.st_mode))
		return err_set(e, EINVAL, "cannot read %s: it is no regular file", path);
	return steal_fd(&fd);
}

int unpack_file(const char *path, size_t max, char **out, size_t *len, struct err *e)
{
	AUTO_CLOSE int fd = open_regular(path, e);
	AUTO(reader_free) struct archive *a = fd < 0 ? NULL : archive_read_new();
	AUTO(buf_free) struct buf b = {0};
	AUTO_FREE char *block = mem_alloc(BLOCK_BYTES);
	struct archive_entry *entry;

	if (fd < 0)
		return fd;
	if (!a)
		return err_code(e, ENOMEM, "cannot read %s", path);
	archive_read_support_filter_xz(a);
	archive_read_support_filter_gzip(a);
	archive_read_support_filter_zstd(a);
	archive_read_support_format_raw(a);
	archive_read_support_format_empty(a);
	if (archive_read_open_fd(a, fd, BLOCK_BYTES) != ARCHIVE_OK)
		return archive_error(e, a, "read", path);
	int rc = archive_read_next_header(a, &entry);
	if (rc != ARCHIVE_OK && rc != ARCHIVE_EOF)
		return archive_error(e, a, "read", path);
	while (rc == ARCHIVE_OK) {
		ssize_t n = archive_read_data(a, block, BLOCK_BYTES);
		if (n == 0)
			break;
		if (n < 0)
			return archive_error(e, a, "read", path);
		if ((size_t)n > max - b.len)
			return err_code(e, EFBIG, "cannot read %s", path);
		buf_put(&b, block, (size_t)n);
	}
	if (!b.data)
		buf_put(&b, "", 0);
	*len = b.len;
	*out = steal_ptr(&b.data);
	return 0;
}

/* --- a Debian package --------------------------------------------------------------------------- */

struct inner {
	struct archive *outer;
	char block[BLOCK_BYTES];
};

static la_ssize_t inner_read(struct archive *a, void *arg, const void **block)
{
	struct inner *inner = arg;
	la_ssize_t n = archive_read_data(inner->outer, inner->block, sizeof(inner->block));

	if (n < 0)
		archive_set_error(a, archive_errno(inner->outer), "%s", archive_error_string(inner->outer));
	*block = inner->block;
	return n;
}

/* Moves the outer archive to the member with the files. */
static int find_data(struct archive *a, const char *package, struct err *e)
{
	struct archive_entry *entry;
	int rc;

	while ((rc = archive_read_next_header(a, &entry)) == ARCHIVE_OK) {
		const char *name = archive_entry_pathname(entry);
		if (name && str_starts(name, "data.tar"))
			return 0;
	}
	return rc == ARCHIVE_EOF ? err_set(e, EBADMSG, "cannot unpack %s: it is no Debian package", package)
				 : archive_error(e, a, "unpack", package);
}

/* Is a name absolute, or has it a component ".."?  A leading "./", as tar writes it, is allowed. */
static bool name_leads_out(const char *name)
{
	if (*name == '/')
		return true;
	for (const char *p = name; p; p = strchr(p, '/')) {
		p += *p == '/';
		if (p[0] == '.' && p[1] == '.' && (p[2] == '/' || !p[2]))
			return true;
	}
	return false;
}

bool unpack_kernel(const char *name, bool is_link, char *out, size_t size)
{
	const char *rest;
	int n = -1;

	if (is_link)
		return false;
	if (str_starts(name, "boot/vmlinuz-"))
		n = snprintf(out, size, "vmlinuz");
	else if (str_starts(name, "boot/config-"))
		n = snprintf(out, size, "config");
	else if (str_starts(name, "lib/modules/") && (rest = strchr(name + 12, '/')) && rest[1])
		n = snprintf(out, size, "modules%s", rest);
	return n > 0 && (size_t)n < size;
}

/* The name below FOLDER under which a member is unpacked; false when it is not to be unpacked. */
static bool kept_name(unpack_keep *keep, struct archive_entry *entry, char *out, size_t size)
{
	const char *name = archive_entry_pathname(entry);

	if (str_starts(name, "./"))
		name += 2;
	if (str_starts(name, "usr/"))
		name += 4;
	return keep(name, archive_entry_filetype(entry) == AE_IFLNK, out, size);
}

/* A link is unpacked only when it leads to a file of its own folder. */
static bool kept_type(struct archive_entry *entry)
{
	mode_t type = archive_entry_filetype(entry);
	const char *to = type == AE_IFLNK ? archive_entry_symlink(entry) : NULL;

	if (archive_entry_hardlink(entry))
		return false;
	return type == AE_IFREG || type == AE_IFDIR || (to && *to && *to != '.' && !strchr(to, '/'));
}

static int copy_member(
	struct archive *in, struct archive *disk, struct archive_entry *entry, uint64_t *left, struct err *e)
{
	const char *path = archive_entry_pathname(entry);
	const void *block;
	size_t len;
	la_int64_t at;
	int rc;

	if (archive_write_header(disk, entry) != ARCHIVE_OK)
		return archive_error(e, disk, "write", path);
	while ((rc = archive_read_data_block(in, &block, &len, &at)) == ARCHIVE_OK) {
		if (stop_flag)
			return err_set(e, EINTR, "cannot write %s: interrupted", path);
		if (len > *left)
			return err_code(e, EFBIG, "cannot write %s", path);
		*left -= len;
		if (archive_write_data_block(disk, block, len, at) < ARCHIVE_OK)
			return archive_error(e, disk, "write", path);
	}
	if (rc != ARCHIVE_EOF)
		return archive_error(e, in, "unpack", path);
	if (archive_write_finish_entry(disk) != ARCHIVE_OK)
		return archive_error(e, disk, "write", path);
	return 0;
}

static int copy_members(struct archive *in, struct archive *disk, const char *package, const char *folder,
	unpack_keep *keep, struct err *e)
{
	uint64_t left = PACKAGE_MAX_BYTES;
	struct archive_entry *entry;
	char kept[NAME_MAX_BYTES];
	int rc;

	for (size_t members = 0; (rc = archive_read_next_header(in, &entry)) == ARCHIVE_OK; members++) {
		const char *name = archive_entry_pathname(entry);
		bool folded = archive_entry_filetype(entry) == AE_IFDIR;
		if (stop_flag)
			return err_set(e, EINTR, "cannot unpack %s: interrupted", package);
		if (!name || name_leads_out(name) || members >= MEMBERS_MAX)
			return err_set(e, EBADMSG, "cannot unpack %s: member '%.100s' has no place in it",
				package, name ? name : "");
		if (!kept_type(entry) || !kept_name(keep, entry, kept, sizeof(kept)))
			continue;
		AUTO_FREE char *path = str_format("%s/%s", folder, kept);
		archive_entry_set_pathname(entry, path);
		archive_entry_set_perm(entry, folded ? 0755 : 0644);
		rc = copy_member(in, disk, entry, &left, e);
		if (rc < 0)
			return rc;
	}
	return rc == ARCHIVE_EOF ? 0 : archive_error(e, in, "unpack", package);
}

int unpack_package(const char *package, const char *folder, unpack_keep *keep, struct err *e)
{
	AUTO(reader_free) struct archive *outer = archive_read_new();
	AUTO(reader_free) struct archive *in = archive_read_new();
	AUTO(writer_free) struct archive *disk = archive_write_disk_new();
	AUTO_FREE struct inner *inner = mem_alloc(sizeof(*inner));
	/* The library refuses links in any component of a path, so the path of the folder must have none. */
	AUTO_FREE char *real = realpath(folder, NULL);
	int rc;

	if (!outer || !in || !disk)
		return err_code(e, ENOMEM, "cannot unpack %s", package);
	if (!real)
		return err_sys(e, "cannot unpack into %s", folder);
	archive_read_support_format_ar(outer);
	if (archive_read_open_filename(outer, package, BLOCK_BYTES) != ARCHIVE_OK)
		return archive_error(e, outer, "unpack", package);
	rc = find_data(outer, package, e);
	if (rc < 0)
		return rc;
	/* The formats that dpkg knows; for others the library would start programs. */
	archive_read_support_filter_xz(in);
	archive_read_support_filter_gzip(in);
	archive_read_support_filter_zstd(in);
	archive_read_support_format_tar(in);
	archive_write_disk_set_options(disk, ARCHIVE_EXTRACT_SECURE_SYMLINKS |
						     ARCHIVE_EXTRACT_SECURE_NODOTDOT |
						     ARCHIVE_EXTRACT_NO_OVERWRITE);
	inner->outer = outer;
	if (archive_read_open(in, inner, NULL, inner_read, NULL) != ARCHIVE_OK)
		return archive_error(e, in, "unpack", package);
	return copy_members(in, disk, package, real, keep, e);
}
