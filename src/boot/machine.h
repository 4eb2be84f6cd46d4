/* SPDX-License-Identifier: GPL-3.0-or-later */
/* machine: what its files share; private to boot. */
#pragma once

#include "boot.h"

/* The numbers that QEMU inherits its fds as. */
enum { FD_CONSOLE = 3, FD_CONTROL, FD_QMP, FD_AGENT, FD_FIRST_FILE, FD_SECOND_FILE, FD_FIRST_TAP };

/* --- what QEMU is given, and as whom it runs (rights.c) ---------------------------------------- */

struct machine_files {
	int first, second; /* kernel and image, or the disk and a folder for what is written to it */
	bool by_name;      /* the disk names other files, so QEMU opens it by its name */
	bool changes_user; /* `user` counts */
	struct spawn_user user;
	struct lent_node {
		char path[48]; /* /dev/vfio/GROUP, which belongs to QEMU as long as it runs; "": none */
		uid_t owner;   /* before */
	} lent;
};
#define MACHINE_FILES_NONE ((struct machine_files){.first = -1, .second = -1})

int machine_files_open(struct machine_files *f, const struct machine_options *o, const struct qemu *q,
	const char *initrd, struct err *e);
void machine_files_close(struct machine_files *f);
void lent_node_return(struct lent_node *lent);

/* --- the command line -------------------------------------------------------------------------- */

/* NULL-terminated; words_free() frees it. */
char **machine_command(const struct qemu *q, const struct machine_options *o, bool disk_by_name);

/* Takes out of what QEMU has said the lines in which it warns of what it goes on with: none of them says why
 * it ended.  Returns `said`, trimmed. */
char *without_warnings(char *said);

/* Sends one QMP command; sets the monitor up first when that has not been done.  *reply is the "return"
 * value, a new reference.  -EPROTO, -ETIMEDOUT. */
int qmp_command(
	int fd, bool *greeted, const char *command, json_t **reply, uint64_t deadline_ns, struct err *e);

/* A ring with the last bytes of a console's output. */
#define RING_BYTES 65536
struct ring {
	char bytes[RING_BYTES];
	size_t total; /* bytes that were ever put in */
};
void ring_put(struct ring *r, const char *data, size_t len);
/* The last whole lines that fit, made printable: control characters and what is no ASCII become '?'. */
void ring_text(const struct ring *r, char *out, size_t size);
