/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "place.h"

#include <fcntl.h>
#include <stdio.h>

/* mkdir -p of the folder that the file is in; folders that taut makes are private. */
static int folder_make(const char *path, struct err *e)
{
	AUTO_FREE char *folder = str_dup(path);

	for (char *slash = strchr(folder + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = 0;
		if (mkdir(folder, 0700) < 0 && errno != EEXIST && errno != EROFS)
			return err_sys(e, "cannot make folder '%s'", folder);
		*slash = '/';
	}
	return 0;
}

/* Ours, or of the user who called sudo. */
static bool is_mine(uid_t uid)
{
	const char *sudo = getenv("SUDO_UID");
	uint64_t caller = 0;

	return uid == geteuid() || (!geteuid() && sudo && !str_u64(sudo, &caller) && uid == caller);
}

static int owner_check(const char *path, const struct stat *st, struct err *e)
{
	bool mine = is_mine(st->st_uid);

	if (!S_ISREG(st->st_mode))
		return err_set(e, EINVAL, "cannot open '%s': it is not a regular file", path);
	if (!mine || (!geteuid() && (st->st_mode & 022))) {
		err_refused(e, "cannot open '%s': %s", path,
			mine ? "others may write to it" : "it belongs to another user");
		return err_try(e, mine ? "chmod go-w on it" : "a copy of your own: cp it and give --db");
	}
	return 0;
}

/* A stranger's link would choose the file that we write. */
static int link_check(const char *path, bool *is_link, struct err *e)
{
	struct stat st;

	*is_link = lstat(path, &st) == 0 && S_ISLNK(st.st_mode);
	if (!*is_link || is_mine(st.st_uid) || !st.st_uid)
		return 0;
	err_refused(e, "cannot open '%s': it is a link of another user", path);
	return err_try(e, "--db with the file itself");
}

/* SQLite takes what it finds under these names for a part of the database. */
static int beside_check(const struct place *p, const char *path, struct err *e)
{
	static const char *const ends[] = {"-wal", "-shm", "-journal"};

	for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
		AUTO_FREE char *beside = str_format("%s%s", p->real, ends[i]);
		struct stat st;
		if (lstat(beside, &st) < 0 || (S_ISREG(st.st_mode) && is_mine(st.st_uid)))
			continue;
		err_refused(e, "cannot open '%s': '%s' beside it %s", path, beside,
			S_ISREG(st.st_mode) ? "belongs to another user" : "is not a regular file");
		return err_try(e, "--db with a file in a folder of your own");
	}
	return 0;
}

static int no_file(const char *path, struct err *e)
{
	err_set(e, ENOENT, "cannot read results: there is no database at '%s'", path);
	return err_try(e, "taut run quick, or --db with another file");
}

/* The file descriptor; a pipe does not block, and no terminal becomes ours. */
static int file_open(const char *path, bool *reading, struct err *e)
{
	static const int flags = O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
	bool is_link = false;
	struct stat st;
	int rc = link_check(path, &is_link, e);

	if (rc < 0)
		return rc;
	int follow = is_link ? 0 : O_NOFOLLOW, fd = -1;
	if (!*reading)
		fd = open(path, O_RDWR | flags | follow);
	if (fd < 0 && !*reading && errno == ENOENT) {
		if ((rc = folder_make(path, e)) < 0)
			return rc;
		/* Made here and not by SQLite, so that no other user can read it at any moment. */
		fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
		if (fd < 0 && errno == EEXIST) /* another taut has just made it */
			fd = open(path, O_RDWR | flags | O_NOFOLLOW);
		return fd < 0 ? err_sys(e, "cannot make '%s'", path) : fd;
	}
	if (fd < 0) {
		fd = open(path, O_RDONLY | flags | follow);
		*reading = true;
	}
	if (fd >= 0)
		return fd;
	int code = errno;
	if (stat(path, &st) == 0 && (rc = owner_check(path, &st, e)) < 0)
		return rc;
	return code == ENOENT ? no_file(path, e) : err_code(e, code, "cannot open '%s'", path);
}

static bool log_there(const struct place *p)
{
	AUTO_FREE char *log = str_format("%s-wal", p->real);
	struct stat st;

	return lstat(log, &st) == 0;
}

int place_open(struct place *p, const char *path, bool *reading, struct err *e)
{
	int rc = p->fd = file_open(path, reading, e);

	if (rc >= 0 && fstat(p->fd, &p->seen) < 0)
		rc = err_sys(e, "cannot open '%s'", path);
	if (rc >= 0)
		rc = owner_check(path, &p->seen, e);
	if (rc >= 0 && !(p->real = realpath(path, NULL)))
		rc = err_sys(e, "cannot open '%s'", path);
	if (rc >= 0)
		rc = beside_check(p, path, e);
	if (rc < 0) {
		place_close(p);
		return rc;
	}
	p->log = log_there(p);
	return 0;
}

void place_close(struct place *p)
{
	if (p->fd >= 0)
		close(p->fd);
	free(p->real);
	*p = PLACE_NONE;
}

int place_holds(const struct place *p, const char *path, struct err *e)
{
	struct stat now;

	if (stat(path, &now) < 0 || now.st_dev != p->seen.st_dev || now.st_ino != p->seen.st_ino) {
		err_set(e, ESTALE, "'%s' has been removed, moved or replaced since it was opened", path);
		return err_try(e, "again, and leave the file where it is");
	}
	return beside_check(p, path, e);
}

int place_unchanged(const struct place *p, const char *path, struct err *e)
{
	struct stat now;

	if (p->log || (fstat(p->fd, &now) == 0 && now.st_size == p->seen.st_size &&
			      now.st_mtim.tv_sec == p->seen.st_mtim.tv_sec &&
			      now.st_mtim.tv_nsec == p->seen.st_mtim.tv_nsec))
		return 0;
	err_set(e, EBUSY, "cannot read '%s': it was written meanwhile", path);
	return err_try(e, "again");
}

bool place_has_log(const struct place *p)
{
	return p->log;
}
