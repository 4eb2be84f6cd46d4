/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * tune: knobs, profiles, the CPU partition, and changes that can always be undone.
 *
 * A knob is a row.  Planning expands the rows of a profile on this machine into entries: object, value
 * before, value after, or why it is skipped here.  Applying writes one synced journal record of the whole
 * plan before the first write, then writes, reads back, and marks each entry.  Reverting goes backwards and
 * is three-way: what still holds our value gets the old one back, what holds the old one is left, what holds
 * a third was changed by somebody else and is left and named.
 */
#pragma once

#include "spec/plan.h"
#include "sys/sys.h"

enum tune_stage {
	TUNE_HOST, /* before the target has endpoints: partition, IRQs, workqueues, … */
	TUNE_LIVE, /* on the subject: threads, cgroups, links */
};

/* How a plan entry stands. */
enum tune_status {
	TUNE_PLANNED,
	TUNE_EFFECTIVE, /* written, and read back as meant */
	TUNE_UNCHANGED, /* already as meant: nothing to write */
	TUNE_SKIPPED,   /* not possible or not there; `reason` says why */
	TUNE_FAILED,    /* read back otherwise right after the write, or could not be put back */
	TUNE_CHANGED,   /* took effect; a verification found it no longer as written */
	TUNE_REVERTED,
	TUNE_LEFT, /* at revert: changed by somebody else, left alone */
	TUNE_AWAY, /* in force, and owed: what it belongs to is offline, where nothing may be written */
};

bool tune_status_known(const char *name); /* is it one that tune_plan_json() gives? */

struct tune_calls; /* what changes a machine (private.h): the kernel, or a test in its place */

/* The machine as tuning sees it. */
struct tune_host {
	int root;        /* root fd; borrowed */
	char state[256]; /* state folder: the journal is STATE/journal-PID-N.json */
	bool privileged;
	struct cgroups cgroups;
	cpus online;
	int debugfs; /* a debugfs of our own, mounted nowhere, where the machine has none; -1: not needed or
			not allowed */
	const struct tune_calls *calls;
	void *calls_arg;
};
#define TUNE_HOST_NONE ((struct tune_host){.root = -1, .debugfs = -1})

struct tune_plan; /* entries of one stage */
struct tune;      /* the changes in force that one process has made: a stack of applied plans */

/* --- profiles and the CPU partition ------------------------------------------------------------ */

/* Calls fn for every knob row, for help and documentation. */
void tune_knobs_each(void (*fn)(const char *id, const char *help, void *arg), void *arg);
/*
 * Splits the online CPUs: `isolate` is a list, "" means all but the first core (its SMT siblings with it;
 * where there is only one core, all but its first CPU).  Never takes the last housekeeping CPU: -EINVAL with
 * one CPU, or when the list is all of them, or names one that is not online.
 */
int tune_partition(
	const struct tune_host *host, const char *isolate, cpus *isolated, cpus *housekeeping, struct err *e);
/*
 * May this machine be tuned?  EXIT_REFUSED when others' VMs or containers run on it (and !yes); the process
 * `but` (0: none) is the one to be tuned, and no stranger.
 */
int tune_allowed(const struct tune_host *host, pid_t but, bool yes, struct err *e);

/* --- plan → apply → verify → revert ------------------------------------------------------------ */

/* Makes the state folder too.  `root` is borrowed; tune_host_close() gives back the rest. */
int tune_host_open(struct tune_host *host, int root, struct err *e);
void tune_host_close(struct tune_host *host); /* takes TUNE_HOST_NONE */
/*
 * At TUNE_HOST only cgroup_root of the subject counts, and threads that are there already, which are not
 * moved with the rest (NULL: none); at TUNE_LIVE all of it does, and its netns fds must be open during the
 * call. A profile "stock" gives an empty plan unless the tuning places or
 * schedule the endpoints.  On one CPU there is nothing to isolate: those knobs are skipped.
 */
int tune_plan_make(struct tune_plan **out, const struct tune_host *host, enum tune_stage stage,
	const struct tuning *tuning, const struct subject *subject, struct err *e);
size_t tune_plan_entries(const struct tune_plan *plan);
/* Array of {"id","object","before","value","status","reason","why"}; why is a word of enum knob_why or null.
 */
json_t *tune_plan_json(const struct tune_plan *plan);
void tune_plan_free(struct tune_plan *plan);

/* `host` is borrowed and must live as long. */
int tune_open(struct tune **out, const struct tune_host *host, struct err *e);
/* Applies and keeps the plan (owned by `tune` from here on, also on failure).  When an entry that is not
 * optional fails, everything this call wrote is put back and the error says which. */
int tune_apply(struct tune *tune, struct tune_plan *plan, struct err *e);
/* Reads every effective entry back; *all says whether they all hold. */
int tune_verify(struct tune *tune, bool *all, struct err *e);
/* All plans in force, as one JSON array (new reference). */
json_t *tune_effective_json(const struct tune *tune);
/*
 * Puts everything back, last plan first, and removes the journals.  What somebody else changed meanwhile is
 * left, with a log_warn() that names it. -EIO with EXIT_PARTLY_APPLIED when something could not be put back;
 * its journal stays with what is still owed, and calling again tries again.  So it is with what belongs to a
 * CPU that is offline (TUNE_AWAY): it is put back by a call that finds the CPU online.
 */
int tune_revert(struct tune *tune, struct err *e);
void tune_free(struct tune *tune); /* reverts first */

/* --- after a crash ----------------------------------------------------------------------------- */

/* How many journal entries are in force in STATE whose owner is gone (0: none); describes them into `what`
 * (NULL: do not). */
int tune_leftover(const struct tune_host *host, struct buf *what, struct err *e);
/* Reverts every journal whose owner is dead; a line per entry that was put back or left goes to `said`.
 * Errors as tune_revert(). */
int tune_revert_leftover(const struct tune_host *host, struct buf *said, struct err *e);
/* Gives up what one journal owes, without putting anything back, and says what; `id` as tune_leftover() shows
 * it. EXIT_USAGE: there is no such journal; EXIT_REFUSED: its owner is alive. */
int tune_forget(const struct tune_host *host, const char *id, struct buf *said, struct err *e);
