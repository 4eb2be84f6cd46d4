/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The ways into a guest, a row each, and what they share. */
#pragma once

#include "login.h"

struct login_row {
	const char *word; /* of the setting: "agent", "ssh:" (an address follows) */
	int (*probe)(const struct settings *s, struct err *e);
	int (*enter)(struct login *l, uint64_t deadline_ns, struct err *e);
	void (*leave)(struct login *l);
};
extern const struct login_row login_guest_agent, login_ssh;

/* The agent's program, whole; malloc'd. */
int login_program(const char *path, char **data, size_t *len, struct err *e);
/*
 * What a shell in the guest shall do: take so many bytes of program from its standard input into a file, and
 * become that, with `rest` as its arguments.  malloc'd.
 */
char *login_script(size_t program_bytes, const char *rest);
/* Sends what fits into the stream, and waits a moment when nothing does; how much, 0 for none, -EPIPE. */
ssize_t login_push(int control, const char *data, size_t len);
/* The host in what "ssh -G" prints; false: there is none, or it does not fit. */
bool ssh_host_read(const char *said, char *host, size_t size);
/* What the guest said to the probe; a login shell may have had something to say before. */
int ssh_answer_read(const char *said, struct err *e);
/* -ENOTSUP for a machine ("x86_64") or a kernel ("6.1.0-18-amd64") that the agent does not run on. */
int login_kernel_check(const char *machine, const char *release, struct err *e);
