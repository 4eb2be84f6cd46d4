/* SPDX-License-Identifier: GPL-3.0-or-later */
/* How the server endpoint gets into a guest that is not of taut's making; private to the room. */
#pragma once

#include "private.h"

struct login_row {
	const char *word; /* of the setting: "agent", "ssh:" (an address follows) */
	/* Would it work on this running domain?  Cheap. */
	int (*probe)(const struct settings *s, struct err *e);
	/*
	 * Puts the agent into the guest and starts it with the server's control stream; for a domain, the
	 * guest's address is found out.  endpoint_wait() follows.
	 */
	int (*enter)(struct target *t, uint64_t deadline_ns, struct err *e);
	/* Ends the agent and waits until the guest is as it was; what stays is warned of. */
	void (*leave)(struct target *t);
};
extern const struct login_row login_agent, login_ssh;

/* The row of settings.login, which settings_check() has filled. */
const struct login_row *login_find(const struct settings *s);
/* The same as hooks of a runtime. */
int login_enter(struct target *t, uint64_t deadline_ns, struct err *e);
void login_leave(struct target *t);

/* The agent's program, whole; malloc'd. */
int login_program(const char *path, char **data, size_t *len, struct err *e);
/*
 * What a shell in the guest shall do: take so many bytes of program from its standard input into a file, and
 * become that, with `rest` as its arguments.  malloc'd.
 */
char *login_script(size_t program_bytes, const char *rest);
/* Sends what fits into the stream, and waits a moment when nothing does; how much, 0 for none, -EPIPE. */
ssize_t login_push(int control, const char *data, size_t len);
/* -ENOTSUP for a machine ("x86_64") or a kernel ("6.1.0-18-amd64") that the agent does not run on. */
int login_kernel_check(const char *machine, const char *release, struct err *e);
