/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The QEMU guest agent, as far as it is needed to get a program into a guest. */
#pragma once

#include "base/base.h"

#include <jansson.h>

/* How its lines travel: over a port of a machine of ours, or through libvirt, which owns that port. */
struct qga {
	int fd;             /* our end of the port; −1: none, then `domain` */
	const char *domain; /* borrowed */
};

/* A program in the guest. */
struct qga_program {
	json_int_t pid;
	bool exited;
	int status;     /* its exit status, 128 + the signal that killed it */
	char said[512]; /* the last line of its stderr, printable; "" for none */
};

/*
 * Waits until the agent answers; `gone` (a pidfd, or −1) ends the waiting.  Needed once, and only on a port
 * of ours.  -ETIMEDOUT, -EINTR when stop_flag is raised, -EPIPE.
 */
int qga_sync(const struct qga *q, int gone, uint64_t deadline_ns, struct err *e);
/* One command; steals `arguments` (NULL: none); *value is its "return", owned. */
int qga_call(const struct qga *q, const char *command, json_t *arguments, json_t **value,
	uint64_t deadline_ns, struct err *e);
/* -ENOTSUP when the guest's agent has not all commands, or they are switched off. */
int qga_able(const struct qga *q, uint64_t deadline_ns, struct err *e);
/* Starts a program; NULL-terminated argv, argv[0] is its path in the guest. */
int qga_start(
	const struct qga *q, const char *const *argv, json_int_t *pid, uint64_t deadline_ns, struct err *e);
/* Has it ended? */
int qga_look(const struct qga *q, struct qga_program *program, uint64_t deadline_ns, struct err *e);

/*
 * One line that an agent sent, without its end: "return" becomes *value, an "error" the error.  Guests lie:
 * -EPROTO for anything else.  `text` is changed.
 */
int qga_reply_read(char *text, size_t len, json_t **value, struct err *e);
