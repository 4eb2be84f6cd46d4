/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * testbed: the target, which is the virtual system that holds the server endpoint, and the client beside it.
 *
 * create makes the ground: the trial's cgroups, namespaces and links; start brings up the two endpoints
 * (taut-client and taut-server, the same static agent) with a control stream each.  Namespaces are held by
 * fds and die with taut; what can outlive it (cgroups, container state and bundles, processes) bears the
 * mark "taut-" and is found and removed by undo_sweep().
 *
 * Endpoints get SIGKILL when the thread that called target_start() ends.  Without root the caller must have
 * gone through userns_enter() and be in a network namespace of its own.
 */
#pragma once

#include "spec/plan.h"
#include "undo/undo.h"
#include "wire/wire.h"

struct target;

/*
 * Adds to the plan what the target needs and this machine has: runtime, attachment, the guest's kernel, the
 * accelerator.  An error says why it cannot be made here; EXIT_USAGE when it cannot be made anywhere.
 */
int target_resolve(struct trial_plan *plan, struct err *e);
/*
 * Can this target be made here?  Tried for real, once per process: made, started, taken down; but what takes
 * a boot is possible when it could be resolved.  TARGET_NO with the reason in words; `privilege` is set when
 * more privilege would help.  TARGET_UNKNOWN when it was interrupted or took longer than a trial may.
 */
enum target_answer target_probe(const struct trial_plan *plan, char *reason, size_t size, bool *privilege);
/* Can virtual machines be made here at all, whatever their kernel? */
bool target_makes_machines(const struct trial_plan *plan);
/* Are target, runtime and attachment known to this build, and do they go together?  EXIT_USAGE. */
int target_check(const struct settings *s, struct err *e);
/*
 * Of a target that runs already: its process, and what of the settings it decides (path) is filled in where
 * it is empty.  0: there is none, or the target is taut's to make.
 */
pid_t target_running(struct settings *s);
/* Does a container engine make the target, so that an emulated host must have one? */
bool target_wants_engine(const struct settings *s);
/* On an emulated host, before its first trial: starts the engines that it has and that do not run.  On any
 * other host it does nothing. */
int target_host_start(struct err *e);
void target_runtimes_each(void (*fn)(const char *name, const char *help, void *arg), void *arg);
void target_attachments_each(void (*fn)(const char *name, const char *help, void *arg), void *arg);

/* Of a plan that has been resolved. */
int target_create(struct target **out, const struct trial_plan *plan, struct err *e);
/* Cgroup root ("/taut-…" or "") and links; threads and cgroups only once it has started, but for the threads
 * of what runs already. */
int target_subject(struct target *t, struct subject *subject, struct err *e);
/* Starts both agents; returns when both have begun to say HELLO, which is still to be read. */
int target_start(struct target *t, uint64_t deadline_ns, struct err *e);
/* Can the target serve another trial, once this one is over? */
bool target_lasts(const struct target *t);
/*
 * Gives a target that lasts to another trial, whose settings differ in what concerns the ends alone: ends
 * both agents and starts fresh ones, each a new process.  Returns as target_start() does.
 */
int target_next(struct target *t, const struct trial_plan *plan, uint64_t deadline_ns, struct err *e);
int target_control(const struct target *t, bool server); /* borrowed fd */
/* Tells the ends the server's data address, as it binds it and as the client reaches it, and the server its
 * first port, where the wire decides it. */
int target_reach(
	const struct target *t, struct endpoint_job *server, struct endpoint_job *client, struct err *e);
/* What the agents said on stderr or how they ended, for messages: "" or "taut-server: killed by SIGKILL". */
void target_ended(struct target *t, char *out, size_t size);
/* Ends both agents and what holds the server.  Links are where they were, those of borrowed devices too, so
 * that what was set of them can be put back.  NULL is allowed. */
void target_stop(struct target *t);
/* Everything is taken down and freed, in whatever state; problems are reported together.  NULL is allowed. */
int target_destroy(struct target *t, struct err *e);
/* A deadline for starting such a target: at least `ns`, longer where something must boot. */
uint64_t target_patience_ns(const struct trial_plan *plan, uint64_t ns);
/* Of a server in a virtual machine: accelerator, program, and when it was started (0: not by us); false: it
 * is in none. */
bool target_guest(struct target *t, struct kernel_facts *facts, uint64_t *started_ns);
/* The last lines of its console, "" for none. */
void target_console(struct target *t, char *out, size_t size);
/* Which runtime was chosen ("runc 1.1.5"), "" for none. */
const char *target_runtime_version(const struct target *t);

/* The agent beside this program, or $TAUT_AGENT, or the installed one. */
int target_agent(char *out, size_t size, struct err *e);
/* The agent that has the driver dpdk, found in the same way; $TAUT_AGENT_DPDK. */
int target_agent_dpdk(char *out, size_t size, struct err *e);

/* --- after a crash ----------------------------------------------------------------------------- */

/* What runtimes leave when taut is killed, for undo_sweep(): a row each, at most `room`; returns how many. */
size_t target_sweep_rows(const struct undo_sweep_row **out, size_t room);
