/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * apt with the machine's configuration and a private state.  apt reads sources, keyrings, passwords, proxies
 * and pins from the machine, and after them a configuration file that taut writes (-c, which apt reads last).
 * That file puts lists, cache and state into one folder, makes the state of installed packages an empty file,
 * and clears the hooks that run after an update, since they act on the machine (they clean its own cache,
 * wake daemons and so on).  So nothing of the machine's apt is changed, and root is not needed.
 *
 * A command runs in a process group of its own, so that a terminal's Ctrl-C reaches taut alone.  When
 * stop_flag is raised, the whole group is killed, and its end is waited for: when the call returns, no
 * process of it writes any more.
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

/* `sourcelist`: a file in apt's folder to read in place of the machine's sources.list; NULL: that one itself.
 * `alone`: nothing else of the machine's sources and pins counts. */
static int write_configuration(const struct apt *apt, const char *sourcelist, bool alone, struct err *e)
{
	AUTO(buf_free) struct buf b = {0};
	const char *f = apt->folder;

	buf_add(&b, "Dir::State \"%s/state\";\nDir::State::lists \"%s/state/lists\";\n", f, f);
	buf_add(&b, "Dir::State::status \"%s/status\";\nDir::Cache \"%s/cache\";\n", f, f);
	buf_add(&b, "Dir::Cache::archives \"%s/cache/archives\";\n", f);
	buf_add(&b, "Dir::Cache::pkgcache \"\";\nDir::Cache::srcpkgcache \"\";\nDir::Log \"%s\";\n", f);
	if (sourcelist)
		buf_add(&b, "Dir::Etc::sourcelist \"%s/%s\";\n", f, sourcelist);
	if (alone)
		buf_add(&b, "Dir::Etc::sourceparts \"/dev/null\";\nDir::Etc::preferences \"/dev/null\";\n"
			    "Dir::Etc::preferencesparts \"/dev/null\";\n");
	buf_add(&b,
		"APT::Architecture \"amd64\";\n#clear APT::Architectures;\nAPT::Architectures \"amd64\";\n");
	buf_add(&b, "#clear APT::Update::Pre-Invoke;\n#clear APT::Update::Post-Invoke;\n"
		    "#clear APT::Update::Post-Invoke-Success;\n");
	buf_add(&b, "Acquire::Languages \"none\";\n"
		    "Acquire::IndexTargets::deb-src::Sources::DefaultEnabled \"false\";\n");
	/* As root, apt would download as another user, which cannot write to this folder. */
	if (geteuid() == 0)
		buf_add(&b, "APT::Sandbox::User \"root\";\n");
	return write_file(apt, "apt.conf", &b, e);
}

int apt_prepare(struct apt *apt, struct err *e)
{
	static const char *const folders[] = {"state/lists/partial", "cache/archives/partial", "tmp"};
	static const char *const programs[] = {"apt-get", "apt-cache", "env"};
	const struct buf empty = {0};
	char program[4096];
	int rc = 0;

	for (size_t i = 0; i < ARRAY_LEN(programs); i++)
		if (!program_find(programs[i], program, sizeof(program))) {
			err_set(e, ENOENT, "cannot fetch from Debian: there is no %s", programs[i]);
			return err_try(e, "what is installed, or the path of a kernel");
		}
	if (strpbrk(apt->folder, "\"\\\n;{}"))
		return err_usage(e, "cannot fetch into %s: apt does not take that name", apt->folder);
	for (size_t i = 0; i < ARRAY_LEN(folders) && rc == 0; i++) {
		AUTO_FREE char *path = str_format("%s/%s", apt->folder, folders[i]);
		rc = dir_make(path, 0755, e);
	}
	rc = rc < 0 ? rc : write_file(apt, "status", &empty, e);
	rc = rc < 0 ? rc : write_configuration(apt, NULL, false, e);
	return rc < 0 ? rc : sources_release(&apt->sources, "", e);
}

/* --- a command ----------------------------------------------------------------------------------- */

void apt_begin(struct apt *apt, enum boot_step step, const char *object)
{
	apt->doing = (struct boot_doing){.step = step, .object = object, .percent = -1};
	if (apt->progress && step != BOOT_STEP_NONE)
		apt->progress(&apt->doing, apt->arg);
}

/* "dlstatus:1:42.5:Retrieving file 1 of 1" is progress, "E: …" what is wrong. */
static void hear_line(struct apt *apt, const char *line)
{
	double percent;

	if (sscanf(line, "dlstatus:%*d:%lf:", &percent) == 1) { /* NOLINT(cert-err34-c) */
		apt->doing.percent = percent;
		if (apt->progress && apt->doing.step != BOOT_STEP_NONE)
			apt->progress(&apt->doing, apt->arg);
	} else if ((str_starts(line, "E: ") || str_starts(line, "W: Failed to fetch ")) && !apt->error[0]) {
		snprintf(apt->error, sizeof(apt->error), "%.*s", (int)sizeof(apt->error) - 1, line + 3);
	}
}

/*
 * Has the file system been full for a while?  apt can wait for ever when it could not write its lists, and a
 * kernel would not fit into the space that is left.
 */
static bool space_is_gone(const struct apt *apt, uint64_t *there_ns)
{
	struct statvfs fs;

	if (statvfs(apt->folder, &fs) < 0 || (uint64_t)fs.f_bavail * fs.f_frsize >= SPACE_MIN)
		*there_ns = time_now_ns();
	return time_now_ns() > *there_ns + FULL_NS;
}

/* Reads the output of a command until every process that could write to it has ended; stops earlier at the
 * deadline or when stop_flag is raised. */
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

/* Kills the process group and waits until no process of it has the pipe open. */
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

/* `arguments`: the command, to which this adds what taut sets for it; `folder`: its working folder. */
static int command_run(struct apt *apt, const char *folder, const char *const *arguments, uint64_t timeout_ns,
	struct buf *said, struct err *e)
{
	AUTO_FREE char *configuration = str_format("%s/apt.conf", apt->folder);
	AUTO_FREE char *temporary =
		str_format("TMPDIR=%s/tmp", apt->folder); /* removed with the folder, also after a kill */
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

static const char *update_advice(const struct err *e)
{
	return e->code == ENOSPC || strstr(e->text, "No space")
		       ? "free some space, or another TAUT_CACHE"
		       : "look at the network, the proxy, and /etc/apt";
}

/*
 * Runs one update and finds out which lists it brought.  The folder was empty, so all lists in it are new.  A
 * source that fails causes a warning only, when Debian's own list has come.
 */
static int update_once(struct apt *apt, struct err *e)
{
	static const char *const update[] = {"apt-get", "-o", "APT::Status-Fd=1", "update", NULL};
	static const char *const targets[] = {
		"apt-get", "indextargets", "--format", SOURCES_FORMAT, "Created-By: Packages", NULL};
	AUTO(buf_free) struct buf said = {0};
	struct err why = ERR_INIT;
	int rc = command_run(apt, apt->folder, update, UPDATE_NS, NULL, &why);
	AUTO_FREE char *failed = str_dup(apt->error);

	if (rc < 0 && rc != -EIO) {
		*e = why;
		return rc;
	}
	rc = command_run(apt, apt->folder, targets, SHOW_NS, &said, e);
	if (rc < 0)
		return rc;
	if (!sources_take(&apt->sources, said.data ? said.data : ""))
		return err_set(e, ENOENT, "no list of Debian %s with main came%s%s",
			*apt->sources.codename ? apt->sources.codename : "of this release",
			*failed ? ": " : "", failed);
	if (*failed && strcmp(failed, apt->left_out) != 0)
		log_warn("a source of packages is left out: %s", failed);
	str_copy(apt->left_out, sizeof(apt->left_out), failed);
	return 0;
}

/* Updates again with the backports.  Not every release has them at all times; without them there are fewer
 * kernels to choose from. */
static int add_backports(struct apt *apt, const char *line, struct err *e)
{
	AUTO_CLOSE int root = root_open("/", e);
	AUTO_FREE char *own = NULL;
	AUTO(buf_free) struct buf text = {0};

	if (root < 0)
		return root;
	if (root_read_all(root, "/etc/apt/sources.list", &own, NULL, ERR_IGNORED) == 0)
		buf_add(&text, "%s\n", own);
	buf_add(&text, "%s", line);
	int rc = write_file(apt, "sources.list", &text, e);
	rc = rc < 0 ? rc : write_configuration(apt, "sources.list", false, e);
	if (rc < 0)
		return rc;
	AUTO(sources_free) struct sources before = apt->sources;
	apt->sources = (struct sources){0};
	str_copy(apt->sources.codename, sizeof(apt->sources.codename), before.codename);
	return update_once(apt, e);
}

int apt_update(struct apt *apt, struct err *e)
{
	struct err why = ERR_INIT;

	apt_begin(apt, BOOT_STEP_LISTS, NULL);
	int rc = update_once(apt, &why);
	AUTO_FREE char *line = rc < 0 ? NULL : sources_backports(&apt->sources);
	if (line)
		rc = add_backports(apt, line, &why);
	if (rc == 0)
		return 0;
	if (rc != -EINTR)
		err_try(&why, "%s", update_advice(&why));
	*e = why;
	return err_wrap(e, "cannot read Debian's lists of packages");
}

int apt_newest_suites(struct apt *apt, struct err *e)
{
	static const char *const update[] = {"apt-get", "-o", "APT::Status-Fd=1", "update", NULL};
	AUTO_FREE char *lines = sources_newest(&apt->sources);
	AUTO(buf_free) struct buf text = {0};

	if (!lines)
		return err_set(e, ENOTSUP, "cannot read Debian's lists of packages: its mirror is not known");
	buf_add(&text, "%s", lines);
	int rc = write_file(apt, "sources.list", &text, e);
	rc = rc < 0 ? rc : write_configuration(apt, "sources.list", true, e);
	rc = rc < 0 ? rc : command_run(apt, apt->folder, update, UPDATE_NS, NULL, e);
	if (rc < 0 && rc != -EIO)
		return err_wrap(e, "cannot read Debian's lists of packages");
	*e = ERR_INIT; /* not every mirror has all of these suites at all times */
	return 0;
}

static int look_up(struct apt *apt, const char *verb, const char *package, struct buf *said, struct err *e)
{
	const char *const argv[] = {"apt-cache", verb, package, NULL};
	int rc = command_run(apt, apt->folder, argv, SHOW_NS, said, e);

	/* apt exits with an error for a package that it does not know; here that is an answer. */
	if (rc < 0 && (rc == -EINTR || !strstr(apt->error, "No packages found")))
		return err_wrap(e, "cannot look up %s", package);
	if (rc < 0)
		said->len = 0;
	*e = ERR_INIT;
	buf_add(said, "%s", "");
	return 0;
}

int apt_show(struct apt *apt, const char *package, char **out, struct err *e)
{
	AUTO(buf_free) struct buf stanzas = {0};
	AUTO(buf_free) struct buf madison = {0};
	int rc = look_up(apt, "show", package, &stanzas, e);

	rc = rc < 0 ? rc : look_up(apt, "madison", package, &madison, e);
	if (rc < 0)
		return rc;
	*out = sources_filter(
		&apt->sources, madison.len ? madison.data : "", stanzas.len ? stanzas.data : "");
	return 0;
}

static int add_package(const char *name, void *arg)
{
	size_t n = strlen(name);

	if (n > 4 && !strcmp(name + n - 4, ".deb"))
		buf_add(arg, "%s", name);
	return 0;
}

/* The suite of a list as apt-cache madison names it: "http://mirror/debian stable-backports/main amd64
 * Packages". */
static bool suite_of(const char *list, char *out, size_t size)
{
	const char *at = strchr(list, ' ');
	size_t n = at ? strcspn(at + 1, "/ ") : 0;

	if (!n || n >= size)
		return false;
	snprintf(out, size, "%.*s", (int)n, at + 1);
	return true;
}

bool apt_newest_of(char *madison, char *version, size_t version_size, char *suite, size_t suite_size)
{
	for (char *save = NULL, *line = strtok_r(madison, "\n", &save); line;
		line = strtok_r(NULL, "\n", &save)) {
		strsep(&line, "|");
		char *found = line ? strsep(&line, "|") : NULL;
		if (line && str_copy(version, version_size, str_trim(found)) == 0 &&
			suite_of(str_trim(line), suite, suite_size))
			return true;
	}
	return false;
}

int apt_newest(struct apt *apt, const char *package, char *version, size_t version_size, char *suite,
	size_t suite_size, struct err *e)
{
	AUTO(buf_free) struct buf madison = {0};
	int rc = look_up(apt, "madison", package, &madison, e);

	if (rc == 0 && !apt_newest_of(madison.data, version, version_size, suite, suite_size)) {
		err_set(e, ENOENT, "cannot fetch %s: Debian's lists have none", package);
		rc = err_try(e, "look at the network, the proxy, and /etc/apt");
	}
	return rc;
}

int apt_download_all(struct apt *apt, const char *package, const char *version, const char *suite,
	char **folder, struct err *e)
{
	AUTO_FREE char *what = str_format("%s=%s", package, version);
	const char *const argv[] = {"apt-get", "-o", "APT::Status-Fd=1", "-y", "--download-only",
		"--no-install-recommends", "-t", suite, "install", what, NULL};

	apt_begin(apt, BOOT_STEP_FETCH, package);
	int rc = command_run(apt, apt->folder, argv, DOWNLOAD_NS, NULL, e);
	apt_begin(apt, BOOT_STEP_NONE, NULL);
	if (rc < 0)
		return err_wrap(e, "cannot fetch %s and what it depends on", what);
	*folder = str_format("%s/cache/archives", apt->folder);
	return 0;
}

int apt_download(struct apt *apt, const char *package, const char *version, const char *folder, char **path,
	struct err *e)
{
	AUTO_FREE char *what = str_format("%s=%s", package, version);
	const char *const argv[] = {"apt-get", "-o", "APT::Status-Fd=1", "download", what, NULL};
	AUTO(buf_free) struct buf name = {0};
	AUTO_CLOSE int root = root_open("/", e);

	apt_begin(apt, BOOT_STEP_FETCH, package);
	int rc = root < 0 ? root : command_run(apt, folder, argv, DOWNLOAD_NS, NULL, e);
	apt_begin(apt, BOOT_STEP_NONE, NULL);
	if (rc == 0)
		rc = root_each(root, folder, add_package, &name, e);
	if (rc == 0 && !name.len)
		rc = err_set(e, ENOENT, "apt-get said that it had, but there is no package");
	if (rc < 0)
		return err_wrap(e, "cannot fetch %s", what);
	*path = str_format("%s/%s", folder, name.data);
	return 0;
}
