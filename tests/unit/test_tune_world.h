/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A machine made of plain files, for tests of tune: /proc and /sys in a temporary folder, and the calls that
 * change a machine, answered as the kernel would.  The program can be made to end before or after the n-th of
 * these calls.
 */
#pragma once

#include "tune/private.h"

/* Larger than any PID that a kernel gives, since tests fork. */
#define WORLD_TID 5000000

enum world_kind { WORLD_V1, WORLD_V2, WORLD_NONE };

struct world {
	char path[64]; /* of the tree; the state folder is beside it */
	enum world_kind kind;
	int cpus;
	struct undo_host host;
	struct undo_calls calls;
	int calls_n;    /* so far */
	int die_before; /* this one; 0: none */
	int die_after;
	const char *refuse; /* a write to a path that holds this is refused */
	int refuse_with;
	const char *granted; /* so many huge pages at most; NULL: all */
	int ending;          /* so many moves of a task leave it where it is, as one that is ending */
	int panics;          /* writes so far to files of a CPU that is offline, which may end a machine */
	const char *invalid; /* a write to a path that holds this reads back as "… invalid" */
};

void world_make(struct world *w, enum world_kind kind, int cpus_n);
void world_end(struct world *w);
void world_put(const struct world *w, const char *path, const char *text);
char *world_get(const struct world *w, const char *path);
/* A user task (flags 0) or kernel thread that may run where `mask` says, in the root cgroups. */
void world_task(const struct world *w, int tid, const char *comm, unsigned flags, const char *mask);
void world_task_forget(const struct world *w, int tid);
/* Puts the calling process there too, so that it can own a journal. */
void world_enter(const struct world *w);
/* The cgroup of the target with client (TID 5000501) and server (TID 5000502) in it. */
void world_subject(const struct world *w, struct subject *subject);
/* The same with a machine instead of the server, in the target's cgroup: QEMU (TID 5000600), its disk thread
 * (5000601), vCPUs (from 5000610 on) and vhost workers (from 5000630 on). */
void world_machine(const struct world *w, struct subject *subject, int vcpus, int vhosts);
/* tune_plan_make() of what these settings ask for. */
int world_plan(struct undo_list **out, const struct undo_host *host, enum tune_stage stage,
	const struct settings *s, const struct subject *subject, struct err *e);
/* The whole tree as one text. */
char *world_picture(const struct world *w);
