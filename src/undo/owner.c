/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Who owns what.  An owner is a process known by PID, start time and PID namespace, so that a PID that was
 * given away does not protect what a dead taut left, and a taut in some container is not taken for a dead one
 * of ours.  What cannot be told is alive: the owner may be in another PID namespace, or hidden from us.
 *
 * The owner record is a folder BASE/PID-N-NS that holds the file "owner"; NS is the inode of the PID
 * namespace, since tauts in several containers may share one cgroup tree and have the same PIDs.  The folder
 * is made before anything that can outlive us and removed after all of it; cgroups and containers carry the
 * same PID-N-NS in their names, and processes the mark itself in their environment.  An older taut wrote no
 * NS: its PID is taken for one of ours.
 *
 * BASE is /run/taut for root, else a folder of the user's own (user_folder()); it must belong to us alone,
 * since what lies there decides what is killed.
 */
#include "private.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>

#define TRIES 1000

/* --- owners ------------------------------------------------------------------------------------ */

#define FIRST_PIDNS 0xeffffffcu /* the inode that the kernel has given to it for ever */

/* 0 when it cannot be told. */
static uint64_t pid_namespace(int root)
{
	struct stat st;

	return fstatat(root, "proc/self/ns/pid", &st, 0) == 0 ? st.st_ino : 0;
}

void undo_owner_self(int root, struct undo_owner *out)
{
	*out = (struct undo_owner){.pid = getpid(), .pidns = pid_namespace(root)};
	task_start_time(root, out->pid, &out->start, ERR_IGNORED);
}

const char *undo_mark(void)
{
	static struct {
		pid_t pid; /* whose it is: a child made by fork() is somebody else */
		char text[80];
	} mark;

	if (mark.pid != getpid()) {
		AUTO_CLOSE int root = root_open("/", ERR_IGNORED);
		struct undo_owner self;
		undo_owner_self(root, &self);
		mark.pid = self.pid;
		snprintf(mark.text, sizeof(mark.text), MARK_NAME "=%d:%llu:%llu", self.pid,
			(unsigned long long)self.start, (unsigned long long)self.pidns);
	}
	return mark.text;
}

static const char *mark_value(void)
{
	return undo_mark() + strlen(MARK_NAME "=");
}

bool undo_owner_parse(const char *text, struct undo_owner *out)
{
	unsigned long long start = 0, pidns = 0;
	int pid = 0, end = 0;

	if (sscanf(text, "%d:%llu:%llu%n", &pid, &start, &pidns, &end) != 3 || text[end] || pid <= 0)
		return false;
	*out = (struct undo_owner){pid, start, pidns};
	return true;
}

/* Of a file that is ours: in a folder of /tmp that somebody else has made there may be anything. */
static bool read_record(const char *base, const char *name, struct undo_owner *out)
{
	AUTO_FREE char *path = str_format("%s/%s/owner", base, name);
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	struct stat st;
	char text[128];
	ssize_t n = fd < 0 || fstat(fd, &st) < 0 || st.st_uid != geteuid() ? -1
									   : read(fd, text, sizeof(text) - 1);

	text[n > 0 ? n : 0] = 0;
	return n > 0 && undo_owner_parse(text, out);
}

bool undo_owner_of_name(const char *base, const char *name, struct undo_owner *out)
{
	unsigned long long pidns = 0;
	int pid = 0, number = 0, end = 0, more = 0;

	if (str_starts(name, "taut-"))
		name += strlen("taut-");
	if (sscanf(name, "%d-%d%n-%llu%n", &pid, &number, &end, &pidns, &more) < 2 ||
		name[more ? more : end] || pid <= 0 || number <= 0)
		return false;
	if (!read_record(base, name, out))
		*out = (struct undo_owner){.pid = pid, .pidns = pidns};
	return true;
}

static bool is_zombie(int root, pid_t pid)
{
	char path[64], text[1024];

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	if (root_read(root, path, text, sizeof(text), ERR_IGNORED) < 0)
		return true;
	const char *paren = strrchr(text, ')');
	return paren && (paren[2] == 'Z' || paren[2] == 'X');
}

bool undo_is_real_root(int root)
{
	struct stat here, real;

	return fstat(root, &here) == 0 && stat("/", &real) == 0 && here.st_dev == real.st_dev &&
	       here.st_ino == real.st_ino;
}

/* A process that /proc does not show, for it is mounted with hidepid. */
static bool is_hidden(int root, pid_t pid)
{
	return undo_is_real_root(root) && (kill(pid, 0) == 0 || errno == EPERM);
}

/* Is this program one that crash_restart() has put in the place of the owner?  Its environment says so. */
static bool is_successor(const struct undo_owner *owner)
{
	const char *before = getenv(MARK_NAME);
	struct undo_owner crashed;

	return owner->pid == getpid() && before && !strcmp(before, mark_value()) &&
	       undo_owner_parse(before, &crashed) && (!owner->start || owner->start == crashed.start);
}

static int is_in(const char *pid, void *arg)
{
	const struct undo_owner *owner = arg;
	AUTO_FREE char *path = str_format("/proc/%s/ns/pid", pid);
	struct stat st;

	return stat(path, &st) == 0 && st.st_ino == owner->pidns;
}

/* Is no process left in the PID namespace of the owner?  The first one, and root there, sees all of them. */
static bool is_deserted(int root, struct undo_owner owner)
{
	return is_privileged() && undo_is_real_root(root) && pid_namespace(root) == FIRST_PIDNS &&
	       root_each(root, "/proc", is_in, &owner, ERR_IGNORED) == 0;
}

bool undo_owner_alive(int root, const struct undo_owner *owner)
{
	uint64_t start = 0;

	if (is_successor(owner))
		return false;
	if (owner->pidns && owner->pidns != pid_namespace(root))
		return !is_deserted(root, *owner); /* more is not ours to judge */
	if (task_start_time(root, owner->pid, &start, ERR_IGNORED) < 0)
		return is_hidden(root, owner->pid);
	return (!owner->start || owner->start == start) && !is_zombie(root, owner->pid);
}

/* --- owner records ----------------------------------------------------------------------------- */

void undo_base(char *out, size_t size)
{
	if (is_privileged())
		snprintf(out, size, "/run/taut");
	else
		user_folder(out, size);
}

static int base_make(char *out, size_t size, struct err *e)
{
	struct stat st;

	if (!is_privileged())
		return user_folder_make(out, size, e);
	undo_base(out, size);
	if (dir_make(out, 0700, e) < 0)
		return -e->code;
	if (lstat(out, &st) < 0)
		return err_sys(e, "cannot look at %s", out);
	if (!S_ISDIR(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 022))
		return err_refused(e, "cannot use %s: it is not a folder that only we can write", out);
	return 0;
}

/* The first free number; the folder may lose its base to another taut that ends just now, hence the tries. */
static int folder_make(struct undo_record *record, struct err *e)
{
	AUTO_CLOSE int root = root_open("/", e);
	unsigned long long pidns = root < 0 ? 0 : pid_namespace(root);

	for (int number = 1, tries = 0; root >= 0 && tries < TRIES; tries++) {
		char name[40];
		int rc = base_make(record->base, sizeof(record->base), e);
		if (rc < 0)
			return rc;
		int n = snprintf(name, sizeof(name), "%d-%d", getpid(), number);
		if (pidns)
			snprintf(name + n, sizeof(name) - (size_t)n, "-%llu", pidns);
		snprintf(record->id, sizeof(record->id), "taut-%s", name);
		snprintf(record->folder, sizeof(record->folder), "%s/%s", record->base, name);
		if (mkdir(record->folder, 0700) == 0)
			return 0;
		if (errno == EEXIST)
			number++;
		else if (errno != ENOENT)
			break;
	}
	if (root < 0)
		return root;
	err_sys(e, "cannot make %s", record->folder);
	record->folder[0] = 0;
	return -e->code;
}

int undo_record_make(struct undo_record *record, struct err *e)
{
	int rc = folder_make(record, e);

	if (rc < 0)
		return rc;
	AUTO_FREE char *path = str_format("%s/owner", record->folder);
	AUTO_CLOSE int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0 || write(fd, mark_value(), strlen(mark_value())) < 0) {
		err_sys(e, "cannot write %s", path);
		undo_record_remove(record, ERR_IGNORED);
		return -e->code;
	}
	return 0;
}

void undo_base_remove(const char *base)
{
	AUTO_FREE char *oci = str_format("%s/oci", base);

	rmdir(oci); /* both only when they are empty */
	rmdir(base);
}

int undo_record_remove(struct undo_record *record, struct err *e)
{
	int rc = record->folder[0] ? tree_remove(record->folder, e) : 0;

	if (rc == 0 && record->folder[0]) {
		undo_base_remove(record->base);
		record->folder[0] = 0;
	}
	return rc;
}

int undo_folder_make(char *out, size_t size, struct err *e)
{
	struct undo_record record = {0};
	int rc = undo_record_make(&record, e);

	return rc < 0 ? rc : str_copy(out, size, record.folder);
}

int undo_folder_remove(const char *folder, struct err *e)
{
	struct undo_record record = {0};

	snprintf(record.base, sizeof(record.base), "%.*s", (int)(strrchr(folder, '/') - folder), folder);
	str_copy(record.folder, sizeof(record.folder), folder);
	return undo_record_remove(&record, e);
}
