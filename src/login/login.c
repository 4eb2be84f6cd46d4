/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What both ways into a guest share.
 *
 * A shell there takes the program from the control stream itself, as many bytes as it was told, and becomes
 * it.  Nothing is sent behind the program before it has spoken, so a shell's tools that read too far find
 * nothing.  It goes to a file in a folder whose files can be executed (/run often is mounted so that they
 * cannot), readable by nobody else.  The shell removes that file when the stream breaks off, and the program,
 * once it runs, first of all: whatever ends it then leaves nothing.
 */
#include "private.h"

#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>

#define KERNEL_MAJOR 5
#define KERNEL_MINOR 10

#define PUSH_MS 300

static const struct login_row *const rows[] = {&login_guest_agent, &login_ssh};

static const struct login_row *row_of(const char *way)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (str_starts(way, rows[i]->word))
			return rows[i];
	return rows[0];
}

int login_probe(const struct settings *s, struct err *e)
{
	return row_of(s->login)->probe(s, e);
}

int login_enter(struct login *l, uint64_t deadline_ns, struct err *e)
{
	int rc = row_of(l->way)->enter(l, deadline_ns, e);

	return rc < 0 ? err_wrap(e, "cannot start the server in the guest") : 0;
}

void login_leave(struct login *l)
{
	row_of(l->way)->leave(l);
}

char *login_script(size_t program_bytes, const char *rest)
{
	return str_format(
		"umask 077; f=; trap 'rm -f \"$f\"' EXIT HUP INT TERM; "
		"for d in /tmp /var/tmp /dev/shm \"$HOME\"; "
		"do f=$(mktemp \"$d/taut-agent.XXXXXX\" 2>/dev/null) || continue; "
		"printf '#!/bin/sh\\nexit 0\\n' >\"$f\" && chmod 700 \"$f\" && \"$f\" 2>/dev/null && break; "
		"rm -f \"$f\"; f=; done; [ -n \"$f\" ] || { echo 'no folder there takes a program' >&2; exit 1; "
		"}; head -c %zu >\"$f\"; [ $(wc -c <\"$f\") -eq %zu ] || exit 1; exec \"$f\" %s",
		program_bytes, program_bytes, rest);
}

ssize_t login_push(int control, const char *data, size_t len)
{
	struct pollfd p = {.fd = control, .events = POLLOUT};
	ssize_t n = send(control, data, len, MSG_NOSIGNAL | MSG_DONTWAIT);

	if (n >= 0)
		return n;
	if (errno != EAGAIN && errno != EINTR)
		return -EPIPE;
	poll(&p, 1, PUSH_MS);
	return 0;
}

int login_program(const char *path, char **data, size_t *len, struct err *e)
{
	AUTO_CLOSE int root = root_open("/", e);

	return root < 0 ? root : root_read_all(root, path, data, len, e);
}

int login_kernel_check(const char *machine, const char *release, struct err *e)
{
	unsigned major = 0, minor = 0;

	if (strcmp(machine, "x86_64"))
		return err_set(e, ENOTSUP,
			"the guest is a machine of kind '%.40s': only x86_64 can be measured", machine);
	if (sscanf(release, "%u.%u", &major, &minor) != 2 || major < KERNEL_MAJOR ||
		(major == KERNEL_MAJOR && minor < KERNEL_MINOR))
		return err_set(e, ENOTSUP, "the guest runs kernel '%.60s': it takes at least %d.%d", release,
			KERNEL_MAJOR, KERNEL_MINOR);
	return 0;
}
