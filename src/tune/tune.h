/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * tune: knobs, profiles, the CPU partition, and the plans that are in force.
 *
 * A knob is a row.  Planning expands the rows of a profile on this machine into the entries of an undo_list:
 * object, value before, value after, or why it is skipped here.  Applying writes the journal of the whole
 * plan before the first write, then writes, reads back, and marks each entry.  How changes are undone, also
 * after a crash, is the matter of src/undo/.
 */
#pragma once

#include "spec/plan.h"
#include "sys/sys.h"
#include "undo/undo.h"

enum tune_stage {
	TUNE_HOST, /* before the target has endpoints: partition, IRQs, workqueues, … */
	TUNE_LIVE, /* on the subject: threads, cgroups, links */
};

/* What undo must know to undo the bulk moves of tune: for undo_open(). */
extern const struct undo_table tune_table;

struct tune; /* the changes in force that one process has made: a stack of applied plans */

/* --- profiles and the CPU partition ------------------------------------------------------------ */

/* Calls fn for every knob row, for help and documentation. */
void tune_knobs_each(void (*fn)(const char *id, const char *help, void *arg), void *arg);
/*
 * Splits the online CPUs: `isolate` is a list, "" means all but the first core (its SMT siblings with it;
 * where there is only one core, all but its first CPU) of those that taut may use.  Never takes the last of
 * these: -EINVAL with one CPU, or when the list is all of them, or names another one.
 */
int tune_partition(
	const struct undo_host *host, const char *isolate, cpus *isolated, cpus *housekeeping, struct err *e);
/* Are there enough CPUs for ends that poll?  EXIT_USAGE with the reason. */
int tune_pollers_check(const struct undo_host *host, const struct tuning *tuning, struct err *e);
/* Would a client that sends datagrams as fast as it can leave their receiver a CPU, with the scheduling that
 * the user wants?  EXIT_USAGE if not. */
int tune_flood_check(const struct undo_host *host, const struct tuning *tuning, struct err *e);
/* EXIT_USAGE: "WHAT: the CPUs of this machine are 0-3", or which of them taut may use. */
int tune_not_ours(const struct undo_host *host, struct err *e, const char *format, ...) PRINTF(3, 4);
/*
 * May this machine be tuned?  EXIT_REFUSED when others' VMs or containers run on it (and !yes); the process
 * `but` (0: none) is the one to be tuned, and no stranger.
 */
int tune_allowed(const struct undo_host *host, pid_t but, bool yes, struct err *e);

/* --- plan → apply → verify → revert ------------------------------------------------------------ */

/*
 * At TUNE_HOST only cgroup_root of the subject counts, and threads that are there already, which are not
 * moved with the rest (NULL: none); at TUNE_LIVE all of it does, and its netns fds must be open during the
 * call. A profile "stock" gives an empty plan unless the tuning places or
 * schedule the endpoints.  On one CPU there is nothing to isolate: those knobs are skipped.
 */
int tune_plan_make(struct undo_list **out, const struct undo_host *host, enum tune_stage stage,
	const struct tuning *tuning, const struct subject *subject, struct err *e);

/* `host` is borrowed and must live as long. */
int tune_open(struct tune **out, const struct undo_host *host, struct err *e);
/* Applies and keeps the plan (owned by `tune` from here on, also on failure).  When an entry that is not
 * optional fails, everything this call wrote is put back and the error says which. */
int tune_apply(struct tune *tune, struct undo_list *plan, struct err *e);
/* Reads every entry in force back, each time anew; *all says whether they all hold. */
int tune_verify(struct tune *tune, bool *all, struct err *e);
/* All plans in force, as one JSON array (new reference). */
json_t *tune_effective_json(const struct tune *tune);
/*
 * Puts everything back, last plan first, and removes the journals.  What somebody else changed meanwhile is
 * left, with a log_warn() that names it. -EIO with EXIT_PARTLY_APPLIED when something could not be put back;
 * its journal stays with what is still owed, and calling again tries again.  So it is with what belongs to a
 * CPU that is offline (UNDO_AWAY): it is put back by a call that finds the CPU online.
 */
int tune_revert(struct tune *tune, struct err *e);
void tune_free(struct tune *tune); /* reverts first */
