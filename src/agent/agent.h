/* SPDX-License-Identifier: GPL-3.0-or-later */
/* agent: what taut-agent can be. */
#pragma once

#include "base/base.h"

#include <jansson.h>

#define AGENT_CONTROL_FD 3
#define AGENT_AGAIN      75 /* an endpoint that ends so is followed by a fresh one on its stream */

/* Each takes its name and arguments, as main() would, and returns the exit status. */
int agent_endpoint(int argc, char **argv);
int agent_keep(int argc, char **argv);
int agent_guest(int argc, char **argv);
int agent_relay(int argc, char **argv);
int agent_tool(int argc, char **argv);
/* As the first process of a machine: serves it and powers it off. */
_Noreturn void agent_pid1(void);
/* Has an endpoint ended with this status (of waitpid) so that a fresh one takes its place? */
bool agent_goes_on(int status);

/* Where no control stream was inherited: the socket at `path` becomes AGENT_CONTROL_FD, and what it hands
 * over stderr. */
int agent_join(const char *path, struct err *e);

/* The name of the link that has a numeric address; false: none but lo has it. */
bool agent_link(const char *address, char out[16]);

/* What PID 1 of an emulated host switches on in its kernel before anything runs. */
void host_settle(void);

/* --- the guest's half of tuning ---------------------------------------------------------------- */

struct guest; /* what is in force on this machine */

/*
 * Carries out one FRAME_TUNE: `reply` becomes the body of FRAME_TUNED.  *guest is NULL before the first, and
 * stays to be reverted when this fails.  `address` is the numeric one that the server is reached at.
 */
int agent_tune(
	struct guest **guest, const json_t *request, const char *address, json_t **reply, struct err *e);
/* `reply` becomes the body of FRAME_VERIFIED. */
int agent_verify(struct guest *guest, json_t **reply, struct err *e);
/* Puts everything back and frees it; takes NULL. */
int agent_revert(struct guest *guest, struct err *e);
