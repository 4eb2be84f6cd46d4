/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A machine is a QEMU process of ours and four streams: its control stream, whose far end it inherits; its
 * console, a pipe; its monitor, a socket pair; and its stderr, a memory file of fixed size.
 *
 * The console is read by each call that asks for the state of the machine, and only its end is kept.  Between
 * such calls the pipe must have room for all output: a kernel whose console does not take a character waits
 * 10 ms for it, in the middle of its work.  (A socket would not do: QEMU writes character by character, and a
 * socket pair holds only 278 such messages.)
 *
 * On the exact clock no input may reach the machine and no output may wait: console and record are memory
 * files that take each byte as it is written, and there is no monitor.
 *
 * A kernel that panics ends QEMU at once (panic=-1 and -no-reboot); how it ended is then told from the last
 * lines of the console.
 */
#include "machine.h"

#include "image.h"
#include "qemu.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>

#define PIPE_ROOM (1u << 20)  /* of the console's pipe: the most that is allowed without root */
#define FILE_ROOM (64u << 20) /* of console and record on the exact clock; QEMU is ended beyond it */
#define DISK_ROOM (1u << 30)  /* for what a guest writes to its disk; QEMU is ended beyond it */
#define SAID_ROOM 65536
#define BOOT_MOST 10  /* see machine_boot_deadline_ns() */
#define LENT_MIB  256 /* what a machine with a lent device keeps in place besides its memory */
#define QMP_NS    (5 * NS_PER_S)
#define END_NS    (5 * NS_PER_S)

struct machine {
	struct child child;
	int status;
	bool ended, exact;
	char stale[48]; /* the version of a QEMU that may keep code which the guest has rewritten; "" */
	int console, qmp, said, record; /* −1 where there is none; console: a pipe, or a memory file */
	bool greeted;
	uint64_t started_ns, heard_ns;
	struct lent_node lent;
	struct ring ring;
};

/* --- start ------------------------------------------------------------------------------------- */

/* A file in memory.  With a size it cannot grow beyond that, so a guest that writes without end gets errors
 * and does not use up the memory of the host. */
static int memory_file(const char *name, size_t size, struct err *e)
{
	AUTO_CLOSE int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0 ||
		(size && (ftruncate(fd, (off_t)size) < 0 ||
				 fcntl(fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) < 0)))
		return err_sys(e, "cannot make a file in memory");
	return steal_fd(&fd);
}

/* A second, write-only fd for a memory file, which QEMU can use as a character device.  The two share the
 * content but no file offset. */
static int twin(int fd, struct err *e)
{
	AUTO_FREE char *path = str_format("/proc/self/fd/%d", fd);
	int made = open(path, O_WRONLY | O_CLOEXEC);

	return made < 0 ? err_sys(e, "cannot open a file in memory again") : made;
}

struct ends {
	int console, control, qmp;
};

static int stream_pair(int *ours, int *theirs, struct err *e)
{
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
		return err_sys(e, "cannot make a stream");
	*ours = ends[0];
	*theirs = ends[1];
	return 0;
}

static int console_pipe(int *ours, int *theirs, struct err *e)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
		return err_sys(e, "cannot make a pipe");
	fcntl(ends[1], F_SETPIPE_SZ, PIPE_ROOM);
	*ours = ends[0];
	*theirs = ends[1];
	return 0;
}

static int streams_open(struct machine *m, const struct machine_options *o, struct ends *ends, struct err *e)
{
	int rc = m->said = memory_file("qemu-stderr", SAID_ROOM, e);

	if (rc >= 0 && !o->exact && (rc = stream_pair(&m->qmp, &ends->qmp, e)) == 0)
		rc = console_pipe(&m->console, &ends->console, e);
	if (rc >= 0 && o->exact)
		rc = m->console = memory_file("console", 0, e);
	if (rc >= 0 && o->exact)
		rc = ends->console = twin(m->console, e);
	if (rc >= 0 && o->exact)
		rc = m->record = memory_file("record", 0, e);
	if (rc >= 0 && o->exact)
		rc = ends->control = twin(m->record, e);
	return rc < 0 ? rc : 0;
}

/* The limit of the size of each file that QEMU writes; guest memory that is a file counts as one. */
static uint64_t file_room(const struct machine_options *o)
{
	return o->exact ? FILE_ROOM : MAX((uint64_t)DISK_ROOM, (uint64_t)o->memory_mib << 20);
}

static int spawn_qemu(struct machine *m, const struct machine_options *o, const struct qemu *q,
	const struct ends *ends, const struct machine_files *files, char **command, struct err *e)
{
	/* Where QEMU makes the file for what is written to a disk. */
	AUTO_FREE char *temporary = o->disk ? str_format("TMPDIR=/proc/self/fd/%d", FD_SECOND_FILE)
					    : str_format("TMPDIR=%s", o->folder);
	AUTO_FREE char *modules = qemu_environment(q);
	const char *const environment[] = {temporary, o->mark, modules, NULL};
	struct spawn spawn = SPAWN_INIT;
	int keep[SPAWN_KEEP_MAX] = {ends->console, o->exact ? ends->control : o->control, ends->qmp,
		o->guest_agent > 0 ? o->guest_agent : -1, files->first, files->second};
	size_t n = FD_FIRST_TAP - FD_CONSOLE;

	/* The numbers of the fds are fixed, so a stream that does not exist gets a placeholder. */
	for (size_t i = 0; i < n; i++)
		keep[i] = keep[i] >= 0 ? keep[i] : m->said;
	for (unsigned i = 0; i < o->queues; i++)
		keep[n++] = o->vhost_user > 0 ? o->vhost_user : o->taps[i];
	for (unsigned i = 0; o->vhost && i < o->queues; i++)
		keep[n++] = o->vhosts[i];
	spawn.argv = (const char *const *)(uintptr_t)command;
	spawn.setenv = environment;
	spawn.stdin_fd = o->terminal ? STDIN_FILENO : -1;
	spawn.stdout_fd = o->terminal ? STDOUT_FILENO : m->said;
	spawn.stderr_fd = m->said;
	spawn.keep = keep;
	spawn.keep_n = n;
	spawn.new_group = !o->terminal;
	spawn.user = files->changes_user ? &files->user : NULL;
	spawn.memlock_bytes = o->vfio[0] && has_capability(CAP_SYS_RESOURCE)
				      ? ((uint64_t)o->memory_mib + LENT_MIB) << 20
				      : 0;
	m->started_ns = m->heard_ns = time_now_ns();
	int rc = child_spawn(&m->child, &spawn, e);
	if (rc == 0 && (o->exact || o->disk)) {
		const struct rlimit room = {file_room(o), file_room(o)};
		prlimit(m->child.pid, RLIMIT_FSIZE, &room, NULL);
	}
	return rc;
}

static int start(struct machine *m, const struct machine_options *o, struct err *e)
{
	AUTO_FREE char *initrd = str_format("%s/initrd", o->folder);
	struct machine_files files = MACHINE_FILES_NONE;
	struct ends ends = {-1, -1, -1};
	struct qemu qemu;
	int rc = qemu_for_machine(o, &qemu, e);

	if (rc == 0 && !o->disk)
		rc = image_append(o->image, o->document, initrd, e);
	if (rc == 0)
		rc = machine_files_open(&files, o, &qemu, initrd, e);
	if (rc == 0)
		rc = streams_open(m, o, &ends, e);
	if (rc == 0 && qemu_may_be_stale(&qemu, o))
		str_copy(m->stale, sizeof(m->stale), qemu.version);
	if (rc == 0) {
		char **command = machine_command(&qemu, o, files.by_name);
		rc = spawn_qemu(m, o, &qemu, &ends, &files, command, e);
		words_free(command);
	}
	if (rc == 0) {
		m->lent = files.lent;
		files.lent.path[0] = 0;
	}
	machine_files_close(&files);
	for (size_t i = 0; i < 3; i++) {
		int fd = (const int[]){ends.console, ends.control, ends.qmp}[i];
		if (fd >= 0)
			close(fd);
	}
	return rc < 0 ? err_wrap(e, "cannot start a machine") : 0;
}

int machine_start(struct machine **out, const struct machine_options *options, struct err *e)
{
	struct machine *m = mem_alloc(sizeof(*m));

	m->child = CHILD_NONE;
	m->console = m->qmp = m->said = m->record = -1;
	m->exact = options->exact;
	int rc = start(m, options, e);
	if (rc < 0) {
		machine_stop(m);
		return rc;
	}
	*out = m;
	return 0;
}

pid_t machine_pid(const struct machine *m)
{
	return m->child.pid;
}

int machine_pidfd(const struct machine *m)
{
	return m->child.pidfd;
}

uint64_t machine_started_ns(const struct machine *m)
{
	return m->started_ns;
}

/* --- what it says ------------------------------------------------------------------------------ */

static void drain(struct machine *m)
{
	char chunk[4096];
	ssize_t n;

	if (m->console < 0)
		return;
	if (m->exact) { /* a file: read what was written since the last call */
		while ((n = pread(m->console, chunk, sizeof(chunk), (off_t)m->ring.total)) > 0)
			ring_put(&m->ring, chunk, (size_t)n);
		return;
	}
	for (int i = 0; i < 1024 && (n = read(m->console, chunk, sizeof(chunk))) > 0; i++) {
		ring_put(&m->ring, chunk, (size_t)n);
		m->heard_ns = time_now_ns();
	}
}

uint64_t machine_heard_ns(const struct machine *m)
{
	return m->heard_ns;
}

uint64_t machine_boot_deadline_ns(struct machine *m, uint64_t silent_ns)
{
	drain(m);
	return MIN(m->heard_ns + silent_ns, m->started_ns + BOOT_MOST * silent_ns);
}

void machine_console(struct machine *m, char *out, size_t size)
{
	drain(m);
	ring_text(&m->ring, out, size);
}

int machine_wait(struct machine *m, uint64_t deadline_ns, struct err *e)
{
	bool talks = !m->exact;

	while (!m->ended) {
		struct pollfd p[] = {{.fd = m->child.pidfd, .events = POLLIN},
			{.fd = talks ? m->console : -1, .events = POLLIN}};
		uint64_t now = time_now_ns();
		if (stop_flag)
			return err_set(e, EINTR, "interrupted");
		if (now >= deadline_ns)
			return 0;
		poll(p, ARRAY_LEN(p), (int)MIN((deadline_ns - now) / NS_PER_MS + 1, 1000u));
		if (p[1].revents & POLLIN)
			drain(m);
		else if (p[1].revents)
			talks = false;
		int rc = child_wait(&m->child, time_now_ns(), &m->status, e);
		if (rc < 0)
			return rc;
		m->ended = rc == 1;
	}
	return 1;
}

/* The line of a console that says why a kernel panicked; NULL when there is none. */
static const char *fatal_line(char *text)
{
	static const char *const signs[] = {"Kernel panic - ", "BUG: ", "Oops: ", "general protection fault",
		"Unable to mount root", "taut-agent: "};

	for (size_t i = 0; i < ARRAY_LEN(signs); i++) {
		char *at = strstr(text, signs[i]);
		if (at) {
			at[strcspn(at, "\n")] = 0;
			return at;
		}
	}
	return NULL;
}

static bool stream_closed(const struct machine *m)
{
	struct pollfd p = {.fd = m->exact ? -1 : m->console, .events = POLLRDHUP};

	return poll(&p, 1, 0) > 0 && (p.revents & (POLLRDHUP | POLLHUP | POLLERR));
}

char *without_warnings(char *said)
{
	char *end = said;

	for (char *line = said; *line;) {
		size_t len = strcspn(line, "\n") + 1;
		bool last = !line[len - 1];
		char *next = last ? line + len - 1 : line + len;
		const char *warning = strstr(line, "warning: ");

		if (!warning || warning >= next) {
			memmove(end, line, (size_t)(next - line));
			end += next - line;
		}
		line = next;
	}
	*end = 0;
	return str_trim(said);
}

/* The most telling line of the machine's console and QEMU's stderr. */
static const char *last_words(const struct machine *m, char *console, char *said)
{
	const char *fatal = fatal_line(console), *last = strrchr(console, '\n');

	if (fatal || (*said && m->ended))
		return fatal ? fatal : said;
	if (!*console && m->ended && !m->status)
		return "without a word, as it happens when a kernel has too little memory to unpack itself (try: "
		       "more memory)";
	return last ? last + 1 : console;
}

bool machine_ended(struct machine *m, bool closing, char *out, size_t size)
{
	char console[8192], said[1024] = "", how[64] = "", advice[160] = "";
	struct err e = ERR_INIT;

	/* The streams of a machine that ends close one after the other, a moment before QEMU has ended. */
	machine_wait(m, closing || stream_closed(m) ? time_now_ns() + END_NS : 0, &e);
	machine_console(m, console, sizeof(console));
	ssize_t n = m->said >= 0 ? pread(m->said, said, sizeof(said) - 1, 0) : 0;
	said[n > 0 ? n : 0] = 0;
	if (m->ended && m->status)
		status_string(m->status, how, sizeof(how));
	if (m->stale[0] && strstr(console, "Oops: int3: "))
		snprintf(advice, sizeof(advice),
			", over code that it had rewritten, as QEMU %s can emulate it (try: QEMU 8.1 or newer)",
			m->stale);
	const char *words = last_words(m, console, without_warnings(said));
	snprintf(out, size, "%s%s%s%s%.300s%s", m->ended ? "the machine has ended" : "",
		*how ? ", QEMU " : "", how, *words ? (m->ended ? ": " : "its console says: ") : "", words,
		advice);
	for (char *c = out; *c; c++)
		if ((unsigned char)*c < ' ' || *c == 127)
			*c = ' ';
	return m->ended;
}

bool machine_failed(const struct machine *m)
{
	return m->ended && m->status;
}

int machine_record(const struct machine *m)
{
	return m->record;
}

/* --- its threads ------------------------------------------------------------------------------- */

int machine_vcpus(struct machine *m, pid_t *tids, size_t max, struct err *e)
{
	json_t *reply = NULL, *cpu;
	size_t i, n = 0;

	if (m->qmp < 0)
		return 0;
	int rc = qmp_command(m->qmp, &m->greeted, "query-cpus-fast", &reply, time_now_ns() + QMP_NS, e);
	if (rc < 0)
		return rc;
	json_array_foreach (reply, i, cpu) {
		json_int_t tid = json_integer_value(json_object_get(cpu, "thread-id"));
		if (tid > 0 && n < max)
			tids[n++] = (pid_t)tid;
	}
	json_decref(reply);
	return (int)n;
}

/* --- end --------------------------------------------------------------------------------------- */

void machine_stop(struct machine *m)
{
	if (!m)
		return;
	child_end(&m->child);
	lent_node_return(&m->lent);
	const int fds[] = {m->console, m->qmp, m->said, m->record};
	for (size_t i = 0; i < ARRAY_LEN(fds); i++)
		if (fds[i] >= 0)
			close(fds[i]);
	free(m);
}
