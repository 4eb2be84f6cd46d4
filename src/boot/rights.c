/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What QEMU may do, and what it is given.
 *
 * All that a machine consists of reaches QEMU as fds: streams, taps, vhost, kernel and image, or the disk.
 * So it needs no right of root.  When taut is root, QEMU gets a user and a group that nobody else has, no
 * capability but CAP_IPC_LOCK where it locks its memory, and no way to get one.  CPUs and priorities of its
 * threads are set from outside.
 *
 * A QEMU that not everybody may run stays root without any capability, too.
 *
 * What it opens by name.  The socket of path vhost-user, through an fd of it: it is given to QEMU's user,
 * whose folder stays closed.  /dev/kvm is often for root and a group, which QEMU gets then; where it is for
 * root alone, QEMU stays root without any capability, and the record says so.  The group of a device that is
 * lent to the guest is made its own as long as it runs.  And a qcow2 image may name
 * other files, any file of the machine.  These are opened with the rights of the image's owner, and those of
 * an image of root's with the rights of nobody, since they may be another user's and name further ones.
 */
#include "machine.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <pwd.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define KVM "/dev/kvm"
/* Users from here on: beyond those that systems and containers are given, and a number for each taut. */
#define FIRST_UID 2140000000u

/* --- disks ------------------------------------------------------------------------------------- */

static uint64_t big_endian(const unsigned char *at, size_t n)
{
	uint64_t value = 0;

	for (size_t i = 0; i < n; i++)
		value = value << 8 | at[i];
	return value;
}

/* Has the image a backing file, or its data in another file? */
static bool names_files(int fd)
{
	enum { VERSION = 4, BACKING = 8, INCOMPATIBLE = 72, HEADER = 80, DATA_FILE = 1 << 2 };
	unsigned char header[HEADER];

	if (pread(fd, header, sizeof(header), 0) != (ssize_t)sizeof(header))
		return true;
	return big_endian(header + BACKING, 8) ||
	       (big_endian(header + VERSION, 4) >= 3 && big_endian(header + INCOMPATIBLE, 8) & DATA_FILE);
}

/* --- who QEMU is ------------------------------------------------------------------------------- */

static bool may_change_user(void)
{
	return is_privileged() && has_capability(CAP_SETUID) && has_capability(CAP_SETGID);
}

/* Lets QEMU open /dev/kvm, or says that it cannot unless it is root. */
static bool kvm_grant(struct spawn_user *user)
{
	struct stat st;

	if (stat(KVM, &st) < 0 || (st.st_mode & 06) == 06 || st.st_uid == user->uid)
		return true;
	if ((st.st_mode & 060) != 060 || st.st_gid == 0)
		return false;
	user->group = st.st_gid;
	return true;
}

/* May every user run this program: are all folders above it open? */
static bool for_all(const char *program)
{
	AUTO_FREE char *path = str_dup(program);
	struct stat st;

	for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = 0;
		if (stat(path, &st) < 0 || !(st.st_mode & S_IXOTH))
			return false;
		*slash = '/';
	}
	return stat(path, &st) == 0 && (st.st_mode & (S_IXOTH | S_IROTH)) == (S_IXOTH | S_IROTH);
}

/* Why QEMU must be root, or NULL. */
static const char *root_reason(const struct machine_options *o, const struct qemu *q, struct spawn_user *user)
{
	if (o->accel == ACCEL_KVM && !kvm_grant(user))
		return KVM " is for root alone";
	if (!for_all(q->program))
		return "not everybody may run this QEMU";
	return NULL;
}

static int disk_owner(struct machine_files *f, struct spawn_user *user, struct err *e)
{
	struct stat st;

	if (fstat(f->first, &st) < 0)
		return err_sys(e, "cannot look at the disk");
	if (st.st_uid == 0)
		return 0;
	const struct passwd *owner = getpwuid(st.st_uid);
	user->uid = st.st_uid;
	user->gid = user->group = owner ? owner->pw_gid : st.st_uid;
	return 0;
}

/*
 * A device that is lent to the guest is a node of its IOMMU group, which QEMU opens by name.  It is made when
 * the driver vfio-pci takes the first device of the group, for root alone, and goes with the last; so should
 * taut be killed, the node goes when the device is given back.
 */
static int node_lend(struct machine_files *f, const char *device, struct err *e)
{
	AUTO_FREE char *link = str_format("/sys/bus/pci/devices/%s/iommu_group", device);
	struct lent_node lent = {.owner = 0};
	char group[256];
	struct stat st;
	ssize_t n = readlink(link, group, sizeof(group) - 1);

	group[n > 0 ? n : 0] = 0;
	if (n <= 0) {
		err_sys(e, "cannot lend %s to a guest: it has no IOMMU group", device);
		return err_try(e, "boot argument intel_iommu=on or amd_iommu=on");
	}
	snprintf(lent.path, sizeof(lent.path), "/dev/vfio/%.30s", strrchr(group, '/') + 1);
	if (stat(lent.path, &st) < 0)
		return err_sys(e, "cannot lend %s to a guest: no %s", device, lent.path);
	lent.owner = st.st_uid;
	if (!f->changes_user || f->user.uid == st.st_uid || (st.st_mode & 06) == 06)
		return 0;
	if (chown(lent.path, f->user.uid, (gid_t)-1) < 0)
		return err_sys(e, "cannot give %s to QEMU", lent.path);
	f->lent = lent;
	return 0;
}

void lent_node_return(struct lent_node *lent)
{
	if (lent->path[0] && chown(lent->path, lent->owner, (gid_t)-1) < 0 && errno != ENOENT)
		log_warn("cannot give %s back to its owner: %s", lent->path, strerror(errno));
	lent->path[0] = 0;
}

static int user_choose(
	struct machine_files *f, const struct machine_options *o, const struct qemu *q, struct err *e)
{
	const uid_t id = FIRST_UID + (uid_t)getpid();
	struct spawn_user user = {.uid = id,
		.gid = id,
		.group = id,
		/* A lent device keeps all memory in place; the limit need not be ours to raise. */
		.locks_memory = (o->lock_memory || (o->vfio[0] && !has_capability(CAP_SYS_RESOURCE))) &&
				has_capability(CAP_IPC_LOCK)};
	int rc = f->by_name ? disk_owner(f, &user, e) : 0;

	f->changes_user = may_change_user();
	if (rc == 0 && f->by_name && is_privileged() && !f->changes_user)
		return err_refused(e,
			"cannot boot from %s: it names other files, and taut may not become another user to open them",
			o->disk);
	if (rc < 0 || !f->changes_user)
		return rc;
	const char *why = root_reason(o, q, &user);
	if (why) {
		if (f->by_name) {
			err_refused(e,
				"cannot boot from %s: %s, and files that the image names are not opened as root",
				o->disk, why);
			return err_try(e, "an image that names none (qemu-img convert)");
		}
		user.uid = 0;
	}
	f->user = user;
	return 0;
}

bool machine_keeps_root(const struct machine_options *o)
{
	struct spawn_user user = {.uid = FIRST_UID};
	struct qemu q;

	if (!is_privileged())
		return false;
	return !may_change_user() || qemu_for_machine(o, &q, ERR_IGNORED) < 0 || root_reason(o, &q, &user);
}

/* --- its files --------------------------------------------------------------------------------- */

/* QEMU opens it once more through /proc/self/fd, which the mode of the file must allow: what only root may
 * read is copied. */
static int open_for_all(const char *path, struct err *e)
{
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return err_sys(e, "cannot open %s", path);
	if (st.st_mode & S_IROTH || !is_privileged())
		return steal_fd(&fd);
	AUTO_CLOSE int copy = memfd_create("copy", MFD_CLOEXEC);
	off_t left = st.st_size;
	while (copy >= 0 && left > 0) {
		ssize_t n = sendfile(copy, fd, NULL, (size_t)left);
		if (n <= 0)
			return err_sys(e, "cannot copy %s", path);
		left -= n;
	}
	return copy < 0 ? err_sys(e, "cannot copy %s", path) : steal_fd(&copy);
}

/* What the guest writes goes to a file that QEMU makes in this folder. */
static int scratch_open(const struct machine_files *f, const char *folder, struct err *e)
{
	AUTO_FREE char *path = str_format("%s/disk", folder);
	AUTO_CLOSE int fd = -1;

	if (mkdir(path, 0700) < 0 || (fd = open(path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)) < 0)
		return err_sys(e, "cannot make the folder %s", path);
	if (f->changes_user && fchownat(fd, "", f->user.uid, f->user.gid, AT_EMPTY_PATH) < 0)
		return err_sys(e, "cannot give the folder %s to QEMU", path);
	return steal_fd(&fd);
}

int machine_files_open(struct machine_files *f, const struct machine_options *o, const struct qemu *q,
	const char *initrd, struct err *e)
{
	int rc = f->first = o->disk ? open(o->disk, O_RDONLY | O_CLOEXEC) : open_for_all(o->kernel->path, e);

	if (o->disk && rc < 0)
		return err_sys(e, "cannot open the disk %s", o->disk);
	if (rc < 0)
		return rc;
	f->by_name = o->disk && o->disk_format == DISK_QCOW2 && names_files(f->first);
	rc = user_choose(f, o, q, e);
	if (rc == 0 && o->vfio[0])
		rc = node_lend(f, o->vfio, e);
	if (rc < 0)
		return rc;
	if (o->vhost_user > 0 && f->changes_user &&
		fchownat(o->vhost_user, "", f->user.uid, f->user.gid, AT_EMPTY_PATH) < 0)
		return err_sys(e, "cannot give the socket of vhost-user to QEMU");
	rc = f->second = o->disk ? scratch_open(f, o->folder, e) : open_for_all(initrd, e);
	return rc < 0 ? rc : 0;
}

void machine_files_close(struct machine_files *f)
{
	lent_node_return(&f->lent);
	if (f->first >= 0)
		close(f->first);
	if (f->second >= 0)
		close(f->second);
	*f = MACHINE_FILES_NONE;
}
