/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The engine of an emulated host.  Nobody else starts one there, so taut does, before the first trial: all
 * trials of a boot are then measured beside it.  It has its data in memory, is otherwise as it is without
 * any configuration, and ends with the host.
 *
 * The host has the program of an engine when a trial of its group wants that engine.
 */
#include "engine.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/mman.h>

#define START_NS (60 * NS_PER_S)
#define LOOK_MS  100
#define WORDS    4096

/* The last of what it has said, for one line of a terminal. */
static void last_words(int said, char *out, size_t size)
{
	char text[WORDS + 1];
	off_t end = lseek(said, 0, SEEK_END);
	ssize_t n = pread(said, text, WORDS, MAX(end - WORDS, 0));

	text[n > 0 ? n : 0] = 0;
	char *line = strrchr(str_trim(text), '\n');
	snprintf(out, size, "%s", str_printable(line ? line + 1 : str_trim(text)));
}

static int answers(struct child *child, int said, const char *socket, struct err *e)
{
	uint64_t deadline = time_now_ns() + boot_patience_ns(START_NS);
	struct engine engine;
	struct err why = ERR_INIT;
	char how[64], words[400];
	int status = 0;

	while (access(socket, F_OK) < 0 || engine_open_at(&engine, socket, &why) < 0) {
		if (stop_flag)
			return err_set(e, EINTR, "interrupted");
		bool late = time_now_ns() >= deadline;
		int rc = child_wait(child, time_now_ns() + LOOK_MS * NS_PER_MS, &status, e);
		if (rc < 0)
			return rc;
		if (!rc && !late)
			continue;
		last_words(said, words, sizeof(words));
		return err_set(e, rc ? ECHILD : ETIMEDOUT, "%s%s%s",
			rc ? status_string(status, how, sizeof(how)) : "it does not answer in time",
			*words ? ": " : "", words);
	}
	return 0;
}

static int start(const struct engine_row *row, struct err *e)
{
	AUTO_CHILD struct child child = CHILD_NONE;
	AUTO_CLOSE int said = memfd_create(row->title, MFD_CLOEXEC);
	struct spawn spawn = SPAWN_INIT;

	if (said < 0 || fcntl(said, F_SETFL, O_APPEND) < 0)
		return err_sys(e, "cannot keep what %s says", row->title);
	spawn.argv = row->daemon;
	spawn.stdout_fd = spawn.stderr_fd = said;
	spawn.outlives_parent = true;
	int rc = child_spawn(&child, &spawn, e);
	if (rc == 0)
		rc = answers(&child, said, row->sockets[0], e);
	if (rc < 0)
		return err_wrap(e, "cannot start %s", row->title);
	close(child.pidfd); /* it is the host's from now on */
	child = CHILD_NONE;
	return 0;
}

int engine_host_start(const struct engine_row *row, struct err *e)
{
	char path[4096];

	if (access(row->sockets[0], F_OK) == 0 || !program_find(row->daemon[0], path, sizeof(path)))
		return 0;
	return start(row, e);
}
