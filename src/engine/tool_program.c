/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The program of a tool: started, found to listen, ended.  See tool_run.c. */
#include "tool_run.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>

#define WORDS_BYTES (64u << 10)
#define LOOK_NS     (5 * NS_PER_MS) /* between two looks at who listens */

/* --- the program ------------------------------------------------------------------------------- */

/* A file in memory that holds so many bytes and no more. */
static int output_open(const char *name, off_t bytes, struct err *e)
{
	int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0 || ftruncate(fd, bytes) < 0 ||
		fcntl(fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) < 0) {
		err_sys(e, "cannot make a file for what a tool prints");
		if (fd >= 0)
			close(fd);
		return -e->code;
	}
	return fd;
}

static int pipe_open(int *reader, int *writer, struct err *e)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_sys(e, "cannot make a pipe");
	*reader = ends[0];
	*writer = ends[1];
	return 0;
}

static void arguments(const struct tool_run *t, struct tool_args *a)
{
	if (!t->job.server) {
		tool_arg(a, "/proc/self/exe");
		tool_arg(a, "tool");
	}
	tool_arg(a, "%s", t->job.program);
	if (t->job.server)
		t->driver->server(a, &t->job);
	else
		t->driver->client(a, &t->job);
}

int tool_start(struct tool_run *t, struct err *e)
{
	AUTO_CLOSE int go = -1, log = -1;
	struct tool_args *a = mem_alloc(sizeof(*a));
	struct spawn spawn = SPAWN_INIT;
	int rc = t->output = output_open("tool-output", TOOL_OUTPUT_BYTES, e);

	if (rc >= 0)
		rc = t->words = output_open("tool-words", WORDS_BYTES, e);
	if (rc >= 0 && !t->job.server)
		rc = pipe_open(&go, &t->go_pipe, e);
	if (rc >= 0 && !t->job.server && t->driver->line)
		rc = pipe_open(&t->log, &log, e);
	if (rc >= 0) {
		const int keep[] = {go, log};

		arguments(t, a);
		spawn.argv = a->argv;
		spawn.stdout_fd = t->output;
		spawn.stderr_fd = t->words;
		spawn.keep = keep;
		spawn.keep_n = t->job.server ? 0 : t->driver->line ? 2 : 1;
		spawn.new_group = true;
		rc = child_spawn(&t->child, &spawn, e);
	}
	free(a);
	return rc < 0 ? err_wrap(e, "cannot start %s", tool_rows[t->job.tool].name) : 0;
}

void tool_end_group(const struct tool_run *t)
{
	if (t->child.pid > 0)
		kill(-t->child.pid, SIGKILL);
}

void tool_end_all(struct tool_run *t)
{
	tool_end_group(t);
	child_end(&t->child);
}

void tool_how_it_ended(const struct tool_run *t, int status, char *out, size_t size)
{
	char words[1024], how[64], *last = NULL;
	const int files[] = {t->words, t->output};

	status_string(status, how, sizeof(how));
	for (size_t i = 0; i < ARRAY_LEN(files) && !last; i++) {
		off_t end = lseek(files[i], 0, SEEK_CUR), from = end - MIN(end, (off_t)sizeof(words) - 1);
		ssize_t n = pread(files[i], words, (size_t)(end - from), from);

		words[n > 0 ? n : 0] = 0;
		for (char *save = NULL, *line = strtok_r(words, "\r\n", &save); line;
			line = strtok_r(NULL, "\r\n", &save))
			if (*str_trim(line))
				last = str_trim(line);
	}
	snprintf(out, size, "%s: %s%s%.90s", tool_rows[t->job.tool].name, how, last ? ": " : "",
		last ? str_printable(last) : "");
}

/* --- a server is ready when it listens ---------------------------------------------------------- */

/* A free port of this namespace, which its server gets as an argument. */
static int port_free(const struct endpoint_job *job, uint16_t *out, struct err *e)
{
	struct endpoint_job any = *job;

	any.port = 0;
	AUTO_CLOSE int fd =
		socket_listen(&any, job->workload->datagrams && job->tool != TOOL_IPERF3, 0, out, e);
	return fd < 0 ? fd : 0;
}

bool tool_listens(int root, uint16_t port)
{
	static const struct {
		const char *path, *state;
	} tables[] = {{"/proc/net/tcp", "0A"}, {"/proc/net/tcp6", "0A"}, {"/proc/net/udp", "07"},
		{"/proc/net/udp6", "07"}};

	for (size_t i = 0; i < ARRAY_LEN(tables); i++) {
		AUTO_FREE char *text = NULL;
		if (root_read_all(root, tables[i].path, &text, NULL, ERR_IGNORED) < 0)
			continue;
		for (char *save = NULL, *line = strtok_r(text, "\n", &save); line;
			line = strtok_r(NULL, "\n", &save)) {
			unsigned number;
			char state[3];
			if (sscanf(line, " %*u: %*[0-9A-F]:%4X %*[0-9A-F]:%*X %2s", &number, state) == 2 &&
				number == port && !strcmp(state, tables[i].state))
				return true;
		}
	}
	return false;
}

/* The kernel announces no socket that begins to listen, so it is looked at from time to time. */
static int wait_listening(struct tool_run *t, struct err *e)
{
	AUTO_CLOSE int root = root_open("/", e);
	struct pollfd p = {.fd = t->child.pidfd, .events = POLLIN};
	char how[160];
	int status = 0;

	while (root >= 0 && !tool_listens(root, t->ports[0])) {
		if (poll(&p, 1, LOOK_NS / NS_PER_MS) > 0) {
			tool_end_group(t);
			child_wait(&t->child, time_now_ns() + NS_PER_S, &status, ERR_IGNORED);
			tool_how_it_ended(t, status, how, sizeof(how));
			return err_set(e, ECHILD, "%s", how);
		}
		if (socket_wait(t->stop_fd, POLLIN, -1, 0) > 0)
			return err_set(e, ECANCELED, "stopped");
		if (time_now_ns() >= t->deadline_ns)
			return err_set(e, ETIMEDOUT, "%s does not listen on port %u",
				tool_rows[t->job.tool].name, t->ports[0]);
	}
	return root < 0 ? root : 0;
}

int tool_start_server(struct tool_run *t, struct err *e)
{
	int rc = 0;

	if (t->job.port)
		t->ports[0] = (uint16_t)t->job.port;
	else
		rc = port_free(&t->job, &t->ports[0], e);
	for (size_t i = 0; i < t->job.flows; i++)
		t->ports[i] = (uint16_t)(t->job.port ? t->job.port + i : t->ports[0]);
	memcpy(t->job.ports, t->ports, sizeof(t->job.ports));
	bool command = t->job.tool == TOOL_COMMAND;
	t->alone = !t->driver->server || (command && !t->job.command[0]);
	if (rc == 0 && !t->alone) {
		rc = tool_start(t, e);
		if (rc == 0 && (!command || strstr(t->job.command, "{port}")))
			rc = wait_listening(t, e);
	}
	return rc;
}
