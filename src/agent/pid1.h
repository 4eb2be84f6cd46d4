/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the files of PID 1 share. */
#pragma once

#include "agent.h"

#include "sys/sys.h"
#include "wire/boot_document.h"

#define DEVICE_NS    (30 * NS_PER_S)
#define SERIAL_SHELL "/dev/ttyS0"

struct boot {
	struct boot_document document;
	int uevents;
	uint64_t init_ns;
	int control; /* where the end of a shell is told; −1 */
	int stream;  /* of a guest's endpoints, one after another; −1 */
};

/* --- devices: each is waited for, DEVICE_NS at the most ---------------------------------------- */

struct search {
	const char *folder, *prefix;
	const char *has;  /* what must be in a folder of that name, or NULL */
	const char *file; /* a file in it that must hold `line`, or NULL */
	const char *line;
	char found[64];
};
/* Opens the socket of the kernel's announcements; later than this nothing is missed. */
int uevents_open(void);
/* Until the folder has a name that begins so, which is `found` then. */
int device_wait(struct boot *b, struct search *s, struct err *e);
/* The control port, with somebody on its other side.  Returns an fd. */
int port_open(struct boot *b, struct err *e);
/* A serial port that takes bytes as they are.  Returns an fd. */
int serial_open(const char *path, struct err *e);

/* --- the role that is a shell ------------------------------------------------------------------ */

int be_shell(struct boot *b, struct child *child, struct err *e);
/* Tells the other side what the shell ended with (a status of waitpid); of any other role nothing is told. */
void shell_tell_end(const struct boot *b, int status);
