/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The format of a disk image, by its first bytes.  It is given to QEMU, because QEMU's own guess could be
 * changed by what a guest writes to the image.
 */
#include "boot.h"

#include <fcntl.h>
#include <sys/stat.h>

#define SECTOR      512
#define KERNEL_MARK 0x202 /* "HdrS" of the Linux boot protocol */

int disk_check(const char *path, enum disk_format *format, struct err *e)
{
	unsigned char first[2 * SECTOR];
	struct stat st;
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0 || fstat(fd, &st) < 0)
		return err_sys(e, "cannot open the disk %s", path);
	if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
		return err_set(e, EINVAL, "cannot boot from %s: it is neither a file nor a disk", path);
	if (pread(fd, first, sizeof(first), 0) != (ssize_t)sizeof(first))
		return err_set(e, EINVAL, "cannot boot from %s: it is no disk image, it is too short", path);
	if (!memcmp(first, "QFI\xfb", 4)) {
		*format = DISK_QCOW2;
		return 0;
	}
	/* The BIOS requires these two bytes too. */
	if (first[SECTOR - 2] != 0x55 || first[SECTOR - 1] != 0xaa) {
		err_set(e, EINVAL, "cannot boot from %s: it is no disk image, there is no boot sector in it",
			path);
		return err_try(e, "a raw or qcow2 image (qemu-img convert)");
	}
	if (!memcmp(first + KERNEL_MARK, "HdrS", 4)) {
		err_set(e, EINVAL, "cannot boot from %s: it is a kernel, no disk image", path);
		return err_try(e, "kernel %s", path);
	}
	*format = DISK_RAW;
	return 0;
}
