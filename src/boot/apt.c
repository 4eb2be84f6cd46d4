/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * apt in a private world.  The machine's configuration stays in force (proxies, certificates, timeouts), and
 * behind it comes a file of ours (-c, which apt reads last): sources, lists, cache and state lie in one
 * folder, the state of installed packages is an empty file, and the hooks that others have put behind an
 * update (they clean the machine's own cache, wake daemons, …) are cleared.  So nothing of the machine's apt
 * is touched, and no root is needed.  Signatures and hashes are apt's business, with the machine's keyrings.
 *
 * A command runs in a process group of its own, so that a terminal's Ctrl-C reaches taut alone; when
 * stop_flag is raised the whole group is killed, and its end waited for: nobody writes any more when this
 * returns.
 */
#include "apt.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>

#define UPDATE_NS     (600 * NS_PER_S)
#define SHOW_NS       (120 * NS_PER_S)
#define DOWNLOAD_NS   (7200 * NS_PER_S)
#define POLL_MS       100
#define KILL_MS       5000
#define FULL_NS       (3 * NS_PER_S)
#define SPACE_MIN     (8u << 20)
#define SAID_MAX      (16u << 20)
#define ARGUMENTS_MAX 16

/* --- the world ----------------------------------------------------------------------------------- */

static int write_file(const struct apt *apt, const char *name, const struct buf *b, struct err *e)
{
	AUTO_FREE char *path = str_format("%s/%s", apt->folder, name);

	return file_write_synced(path, b->data ? b->data : "", b->len, 0644, e);
}

static int write_sources(const struct apt *apt, bool backports, struct err *e)
{
	AUTO(sources_free) struct sources s = {0};
	AUTO(buf_free) struct buf text = {0};
	int rc = sources_read(&s, "", e);

	if (rc < 0)
		return rc;
	sources_write(&s, backports, &text);
	rc = write_file(apt, "taut.sources", &text, e);
	return rc < 0 ? rc : !sources_have_backports(&s);
}

static int write_configuration(const struct apt *apt, struct err *e)
{
	AUTO(buf_free) struct buf b = {0};
	const char *f = apt->folder;

	buf_add(&b, "Dir::State \"%s/state\";\nDir::State::lists \"%s/state/lists\";\n", f, f);
	buf_add(&b, "Dir::State::status \"%s/status\";\nDir::Cache \"%s/cache\";\n", f, f);
	buf_add(&b, "Dir::Cache::archives \"%s/cache/archives\";\n", f);
	buf_add(&b, "Dir::Cache::pkgcache \"\";\nDir::Cache::srcpkgcache \"\";\nDir::Log \"%s\";\n", f);
	buf_add(&b, "Dir::Etc::sourcelist \"%s/taut.sources\";\nDir::Etc::sourceparts \"/dev/null\";\n", f);
	buf_add(&b, "Dir::Etc::preferences \"/dev/null\";\nDir::Etc::preferencesparts \"/dev/null\";\n");
	buf_add(&b,
		"APT::Architecture \"amd64\";\n#clear APT::Architectures;\nAPT::Architectures \"amd64\";\n");
	buf_add(&b, "#clear APT::Update::Pre-Invoke;\n#clear APT::Update::Post-Invoke;\n"
		    "#clear APT::Update::Post-Invoke-Success;\n");
	/* An index that could not be fetched is an error, not old news. */
	buf_add(&b, "APT::Update::Error-Mode \"any\";\nAcquire::Languages \"none\";\n");
	/* The user that root's apt becomes cannot write here. */
	if (geteuid() == 0)
		buf_add(&b, "APT::Sandbox::User \"root\";\n");
	return write_file(apt, "apt.conf", &b, e);
}

int apt_prepare(struct apt *apt, struct err *e)
{
	static const char *const folders[] = {"state/lists/partial", "cache/archives/partial", "tmp"};
	static const char *const programs[] = {"apt-get", "apt-cache", "env"};
	const struct buf empty = {0};
	char program[512];
	int rc = 0;

	for (size_t i = 0; i < ARRAY_LEN(programs); i++)
		if (!program_find(programs[i], program, sizeof(program))) {
			err_set(e, ENOENT, "cannot fetch kernels: there is no %s", programs[i]);
			return err_try(e, "the path of a kernel instead");
		}
	if (strpbrk(apt->folder, "\"\\\n;{}"))
		return err_usage(e, "cannot fetch kernels into %s: apt does not take that name", apt->folder);
	for (size_t i = 0; i < ARRAY_LEN(folders) && rc == 0; i++) {
		AUTO_FREE char *path = str_format("%s/%s", apt->folder, folders[i]);
		rc = dir_make(path, 0755, e);
	}
	rc = rc < 0 ? rc : write_file(apt, "status", &empty, e);
	rc = rc < 0 ? rc : write_configuration(apt, e);
	rc = rc < 0 ? rc : write_sources(apt, true, e);
	return rc < 0 ? rc : 0;
}

/* --- a command ----------------------------------------------------------------------------------- */

/* "dlstatus:1:42.5:Retrieving file 1 of 1" is progress, "E: …" what is wrong. */
static void hear_line(struct apt *apt, const char *line)
{
	double percent;
	char text[256];

	if (sscanf(line, "dlstatus:%*d:%lf:", &percent) == 1) { /* NOLINT(cert-err34-c) */
		snprintf(text, sizeof(text), "%s: %.0f %%", apt->doing, percent);
		if (apt->progress && apt->doing)
			apt->progress(text, apt->arg);
	} else if (str_starts(line, "E: ") && !apt->error[0]) {
		snprintf(apt->error, sizeof(apt->error), "%.*s", (int)sizeof(apt->error) - 1, line + 3);
	}
}

/*
 * Has there been no space for a while?  apt can wait for ever where it could not write its lists; and where
 * so little is left no kernel fits.
 */
static bool space_is_gone(const struct apt *apt, uint64_t *there_ns)
{
	struct statvfs fs;

	if (statvfs(apt->folder, &fs) < 0 || (uint64_t)fs.f_bavail * fs.f_frsize >= SPACE_MIN)
		*there_ns = time_now_ns();
	return time_now_ns() > *there_ns + FULL_NS;
}

/* Hears what is said until everybody who could say something has gone, the deadline, or stop_flag. */
static int hear(struct apt *apt, int fd, uint64_t deadline_ns, struct buf *said, struct err *e)
{
	uint64_t space_ns = time_now_ns();
	char line[1024];
	size_t n = 0;

	for (;;) {
		struct pollfd p = {.fd = fd, .events = POLLIN};
		char chunk[16384];
		if (stop_flag)
			return err_set(e, EINTR, "interrupted");
		if (time_now_ns() > deadline_ns)
			return err_set(e, ETIMEDOUT, "it did not end in time");
		if (space_is_gone(apt, &space_ns))
			return err_code(e, ENOSPC, "too little is free in %s", apt->folder);
		if (poll(&p, 1, POLL_MS) <= 0)
			continue;
		ssize_t got = read(fd, chunk, sizeof(chunk));
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return 0;
		if (said && said->len + (size_t)got <= SAID_MAX)
			buf_put(said, chunk, (size_t)got);
		for (ssize_t i = 0; i < got; i++) {
			if (chunk[i] != '\n' && n < sizeof(line) - 1)
				line[n++] = chunk[i];
			if (chunk[i] != '\n')
				continue;
			line[n] = 0;
			hear_line(apt, line);
			n = 0;
		}
	}
}

/* Kills the group and waits until none of it holds the pipe. */
static void group_kill(struct child *child, int fd)
{
	uint64_t deadline = time_now_ns() + KILL_MS * NS_PER_MS;
	char chunk[4096];

	kill(-child->pid, SIGKILL);
	child_end(child);
	while (time_now_ns() < deadline) {
		struct pollfd p = {.fd = fd, .events = POLLIN};
		if (poll(&p, 1, POLL_MS) > 0 && read(fd, chunk, sizeof(chunk)) <= 0)
			return;
	}
}

static int command_ended(const struct apt *apt, const char *program, int status, struct err *e)
{
	char how[64];

	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	return err_set(e, EIO, "%s: %s", program,
		apt->error[0] ? apt->error : status_string(status, how, sizeof(how)));
}

/* argv without program and options of ours; `folder`: where it works. */
static int command_run(struct apt *apt, const char *folder, const char *const *arguments, uint64_t timeout_ns,
	struct buf *said, struct err *e)
{
	AUTO_FREE char *configuration = str_format("%s/apt.conf", apt->folder);
	AUTO_FREE char *temporary =
		str_format("TMPDIR=%s/tmp", apt->folder); /* what a kill leaves goes too */
	const char *argv[ARGUMENTS_MAX + 9] = {
		"env", "-C", folder, "LC_ALL=C.UTF-8", temporary, arguments[0], "-q", "-c", configuration};
	struct child child = CHILD_NONE;
	struct spawn spawn = SPAWN_INIT;
	int ends[2], status = 0;

	for (size_t i = 1, n = 9; arguments[i] && n < ARRAY_LEN(argv) - 1; i++)
		argv[n++] = arguments[i];
	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_sys(e, "cannot make a pipe");
	AUTO_CLOSE int reader = ends[0];
	spawn.argv = argv;
	spawn.new_group = true;
	spawn.stdout_fd = spawn.stderr_fd = ends[1];
	apt->error[0] = 0;
	int rc = child_spawn(&child, &spawn, e);
	close(ends[1]);
	if (rc < 0)
		return rc;
	uint64_t deadline = time_now_ns() + timeout_ns;
	rc = hear(apt, reader, deadline, said, e);
	if (rc == 0 && child_wait(&child, deadline, &status, e) == 1)
		return command_ended(apt, arguments[0], status, e);
	group_kill(&child, reader);
	return rc < 0 ? err_wrap(e, "%s", arguments[0])
		      : err_set(e, ETIMEDOUT, "%s did not end", arguments[0]);
}

/* --- what is asked of it ------------------------------------------------------------------------- */

/* "E: The repository 'http://… x-backports Release' does not have a Release file." */
static bool backports_are_missing(const struct apt *apt)
{
	return strstr(apt->error, "-backports") &&
	       (strstr(apt->error, "Release file") || strstr(apt->error, "404"));
}

static const char *update_advice(const struct err *e)
{
	return e->code == ENOSPC || strstr(e->text, "No space")
		       ? "free some space, or another TAUT_CACHE"
		       : "look at the network, the proxy, and /etc/apt";
}

int apt_update(struct apt *apt, struct err *e)
{
	static const char *const argv[] = {"apt-get", "-o", "APT::Status-Fd=1", "update", NULL};
	struct err why = ERR_INIT;

	apt->doing = "reading Debian's lists of packages";
	if (apt->progress)
		apt->progress(apt->doing, apt->arg);
	int rc = command_run(apt, apt->folder, argv, UPDATE_NS, NULL, &why);
	/* Not every release has backports, and not for ever; any other mistake must not hide them. */
	if (rc < 0 && backports_are_missing(apt) && write_sources(apt, false, NULL) == 1) {
		log_warn("no backports of this release: %s", apt->error);
		why = ERR_INIT;
		rc = command_run(apt, apt->folder, argv, UPDATE_NS, NULL, &why);
	}
	if (rc == 0)
		return 0;
	if (rc != -EINTR)
		err_try(&why, "%s", update_advice(&why));
	if (e)
		*e = why;
	return err_wrap(e, "cannot read Debian's lists of packages");
}

int apt_show(struct apt *apt, const char *package, char **out, struct err *e)
{
	const char *const argv[] = {"apt-cache", "show", package, NULL};
	AUTO(buf_free) struct buf said = {0};
	int rc = command_run(apt, apt->folder, argv, SHOW_NS, &said, e);

	/* A package that it does not know is an error to it, and an answer to us. */
	if (rc < 0 && (rc == -EINTR || !strstr(apt->error, "No packages found")))
		return err_wrap(e, "cannot look up %s", package);
	if (e)
		*e = ERR_INIT;
	*out = rc < 0 || !said.data ? str_dup("") : steal_ptr(&said.data);
	return 0;
}

static int add_package(const char *name, void *arg)
{
	size_t n = strlen(name);

	if (n > 4 && !strcmp(name + n - 4, ".deb"))
		buf_add(arg, "%s", name);
	return 0;
}

int apt_download(struct apt *apt, const char *package, const char *version, const char *folder, char **path,
	struct err *e)
{
	AUTO_FREE char *what = str_format("%s=%s", package, version);
	AUTO_FREE char *doing = str_format("fetching %s", package);
	const char *const argv[] = {"apt-get", "-o", "APT::Status-Fd=1", "download", what, NULL};
	AUTO(buf_free) struct buf name = {0};
	AUTO_CLOSE int root = root_open("/", e);

	apt->doing = doing;
	if (apt->progress)
		apt->progress(doing, apt->arg);
	int rc = root < 0 ? root : command_run(apt, folder, argv, DOWNLOAD_NS, NULL, e);
	apt->doing = NULL;
	if (rc == 0)
		rc = root_each(root, folder, add_package, &name, e);
	if (rc == 0 && !name.len)
		rc = err_set(e, ENOENT, "apt-get said that it had, but there is no package");
	if (rc < 0)
		return err_wrap(e, "cannot fetch %s", what);
	*path = str_format("%s/%s", folder, name.data);
	return 0;
}
