/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "sys.h"

#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/resource.h>

int boot_id(int root, char out[40], struct err *e)
{
	int rc = root_read(root, "/proc/sys/kernel/random/boot_id", out, 40, e);

	return rc < 0 ? rc : 0;
}

/* From the file alone: what other services know of users cannot be asked by a static program. */
static bool home_in_passwd(char *out, size_t size)
{
	FILE *file = fopen("/etc/passwd", "re");
	struct passwd *user = NULL;
	bool found = false;

	while (file && !found && (user = fgetpwent(file)))
		found = user->pw_uid == geteuid() && user->pw_dir[0] == '/' &&
			str_copy(out, size, user->pw_dir) == 0;
	if (file)
		fclose(file);
	return found;
}

static int state_path(char *out, size_t size)
{
	const char *given = getenv("TAUT_STATE"), *xdg = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
	char listed[512];
	int n;

	if (given && *given)
		n = snprintf(out, size, "%s", given);
	else if (is_privileged())
		n = snprintf(out, size, "/var/lib/taut");
	else if (xdg && *xdg == '/')
		n = snprintf(out, size, "%s/taut", xdg);
	else if (home && *home == '/')
		n = snprintf(out, size, "%s/.local/state/taut", home);
	else if (home_in_passwd(listed, sizeof(listed)))
		n = snprintf(out, size, "%s/.local/state/taut", listed);
	else
		return -ENOENT;
	return n > 0 && (size_t)n < size ? 0 : -ENAMETOOLONG;
}

/* Is it, or can it be made, a folder that we can write?  Only looks. */
static bool can_hold(const char *path)
{
	AUTO_FREE char *above = str_dup(path);

	for (char *slash; access(above, F_OK) < 0 && errno == ENOENT && (slash = strrchr(above, '/'));)
		slash[slash == above] = 0;
	return access(above, W_OK | X_OK) == 0;
}

/* `homeless`: a user without a home that can be written, as services have, keeps it in the folder for what
 * does not outlast a reboot. */
static int state_find(char *out, size_t size, bool *homeless, struct err *e)
{
	const char *given = getenv("TAUT_STATE");
	char path[1024], folder[160];
	int rc = state_path(path, sizeof(path));

	if (rc == -ENOENT) {
		err_refused(e, "cannot name the state folder: HOME is not set");
		return err_try(e, "TAUT_STATE=FOLDER");
	}
	*homeless = rc == 0 && !is_privileged() && !(given && *given) && !can_hold(path);
	if (*homeless) {
		user_folder(folder, sizeof(folder));
		snprintf(path, sizeof(path), "%s/state", folder);
	}
	return rc < 0 || str_copy(out, size, path) < 0
		       ? err_code(e, ENAMETOOLONG, "cannot name the state folder")
		       : 0;
}

int state_name(char *out, size_t size, struct err *e)
{
	bool homeless;

	return state_find(out, size, &homeless, e);
}

/* It is known by its owner; only here is it made. */
static int state_without_home(char *out, size_t size, struct err *e)
{
	static bool said;
	char folder[160];
	int rc = user_folder_make(folder, sizeof(folder), e);

	if (rc < 0)
		return rc;
	snprintf(out, size, "%s/state", folder);
	if (!said)
		log_warn(
			"your home cannot be written; using %s, which does not outlast a reboot (try: TAUT_STATE=FOLDER)",
			out);
	said = true;
	return 0;
}

int state_dir(char *out, size_t size, struct err *e)
{
	bool homeless = false;
	char path[1024];
	int rc = state_find(path, sizeof(path), &homeless, e);

	if (rc == 0 && homeless)
		rc = state_without_home(path, sizeof(path), e);
	if (rc < 0)
		return rc;
	if (dir_make(path, 0700, e) < 0)
		return err_try(e, "another folder in TAUT_STATE");
	return dir_own(path, "state folder", "TAUT_STATE", out, size, e);
}

#define FILES_LEAST  64 /* namespaces, control streams, taps and QEMU's sockets */
#define FILES_WANTED 1024

int files_enough(struct err *e)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= FILES_WANTED)
		return 0;
	limit.rlim_cur = MIN(limit.rlim_max, FILES_WANTED);
	if (setrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur >= FILES_LEAST)
		return 0;
	err_set(e, EMFILE, "cannot start: at most %llu files may be open at a time, and a trial needs %d",
		(unsigned long long)limit.rlim_cur, FILES_LEAST);
	return err_try(e, "ulimit -n %d", FILES_LEAST);
}

int lock_open(const char *path, bool *held, struct err *e)
{
	AUTO_CLOSE int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0)
		return err_sys(e, "cannot open %s", path);
	bool locked = flock(fd, LOCK_EX | LOCK_NB) == 0;
	if (!locked && errno != EWOULDBLOCK)
		return err_sys(e, "cannot lock %s", path);
	*held = !locked;
	return steal_fd(&fd);
}

int machine_lock(const char *state, struct err *e)
{
	AUTO_FREE char *path = is_privileged() ? str_dup("/run/taut.lock") : str_format("%s/lock", state);
	char holder[32] = "";
	bool held;
	AUTO_CLOSE int fd = lock_open(path, &held, e);

	if (fd < 0)
		return fd;
	if (held) {
		ssize_t n = pread(fd, holder, sizeof(holder) - 1, 0);
		holder[n > 0 ? n : 0] = 0;
		err_set(e, EBUSY, "cannot start: another taut (process %s) is at work on this machine",
			str_trim(holder));
		return err_try(e, "wait for it, or stop it");
	}
	AUTO_FREE char *pid = str_format("%d\n", getpid());
	if (ftruncate(fd, 0) < 0 || pwrite(fd, pid, strlen(pid), 0) < 0)
		return err_sys(e, "cannot write %s", path);
	return steal_fd(&fd);
}

int hugepages_idle(int root, uint64_t *out, struct err *e)
{
	uint64_t free_n, reserved_n;
	int rc = root_read_u64(root, HUGEPAGES "/free_hugepages", &free_n, e);

	if (rc == 0)
		rc = root_read_u64(root, HUGEPAGES "/resv_hugepages", &reserved_n, e);
	if (rc == 0)
		*out = free_n > reserved_n ? free_n - reserved_n : 0;
	return rc;
}
