/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The resolved plan of a trial.
 *
 * Settings are words that a user writes.  They are turned into a plan once, by site_resolve(): words become
 * enums and rows, kernels are found, the accelerator is known, and each end has a job that holds just what
 * that end needs.  Probe, dry run and trial take the plan, and nothing after it interprets a word again.
 *
 * plan_make() does what needs no look at the machine; the modules above add what they have found: the testbed
 * its rows, the site the kernels.
 */
#pragma once

#include "spec.h"

/* --- ends -------------------------------------------------------------------------------------- */

/* How an end moves its packets. */
enum driver { DRIVER_SOCKET, DRIVERS_N };
const char *driver_name(enum driver driver);
int driver_find(const char *name); /* an enum driver, or -EINVAL */

/* The ends of a trial by their number: the client first, then the server.  A trial has two or more. */
enum end_number { END_CLIENT, END_SERVER };
#define ENDS_MAX 2

/* --- the job of one end ------------------------------------------------------------------------ */

/* All that an end is told.  Members are what the settings of the same name say, checked. */
struct endpoint_job {
	bool server;
	bool lock_memory;
	bool nodelay;
	const struct workload_row *workload;
	enum driver driver;
	char congestion[16];       /* "": the default of the machine */
	char address[64];          /* numeric; the one the server binds and the client connects to */
	uint16_t ports[FLOWS_MAX]; /* client: where each flow's server listens; server: ignored */
	char token[33];
	uint64_t flows, burst, rate, transactions, port, busy_poll_us;
	uint64_t request_bytes, reply_bytes, size_bytes;
	uint64_t warmup_ns, duration_ns, max_duration_ns, timeout_ns;
};

/* From settings that have been checked; address, ports and token stay empty.  EXIT_USAGE. */
int job_make(struct endpoint_job *out, const struct settings *s, bool server, struct err *e);
bool job_open_loop(const struct endpoint_job *job); /* rate > 0 */
/* The longest that the measured stretch may take, warm-up included. */
uint64_t job_longest_ns(const struct endpoint_job *job);

/* --- what tuning is asked for ------------------------------------------------------------------ */

/* What shall hold the memory of a virtual machine, in the order of the setting's choices. */
enum backing { BACKING_BY_PROFILE, BACKING_RAM, BACKING_LOCKED, BACKING_HUGEPAGES };

struct tuning {
	enum profile profile;
	bool sched_wanted; /* the user says how both ends are scheduled */
	int policy, priority;
	int64_t client_cpu, server_cpu; /* −1: by the profile */
	const char *isolate;            /* list of CPUs; "": the profile's choice */
	const char *apply, *revert;     /* of the profile that is the user's own commands; else "" */
	uint64_t longest_ns, timeout_ns;
	/* Of the target: */
	bool machine, made; /* it is a virtual machine; taut makes it */
	enum backing backing;
	uint64_t memory_bytes;
};
/* EXIT_USAGE for a profile or a scheduling that is none. */
int tuning_make(struct tuning *out, const struct settings *s, struct err *e);

/* --- the plan ---------------------------------------------------------------------------------- */

/* In the order of the choices of the settings path, accel and noise. */
enum vm_path { VM_PATH_NONE, VM_PATH_VIRTIO, VM_PATH_VHOST };
enum accel_wish { ACCEL_WISH_ANY, ACCEL_WISH_KVM, ACCEL_WISH_TCG };
enum noise_kind { NOISE_KIND_NONE, NOISE_KIND_CPU };

struct kernel;         /* of boot */
struct runtime_row;    /* of the testbed */
struct attachment_row; /* of the testbed */

/* Can a trial be carried out here? */
enum target_answer { TARGET_NO, TARGET_YES, TARGET_UNKNOWN };

/* One end: who it is, on which host, and what it does. */
struct plan_end {
	enum role role; /* ROLE_CLIENT or ROLE_SERVER */
	enum site_kind site;
	struct endpoint_job job;
};

struct trial_plan {
	struct settings settings; /* as asked and checked; figures (MTU, vCPUs, memory …) are read here */
	enum site_kind site;
	enum target_kind target;
	enum vm_path path;
	enum accel_wish accel;
	enum noise_kind noise;
	bool exact;
	const char *domain; /* name of a foreign guest that runs already; NULL: none */
	struct tuning tuning;
	struct plan_end ends[ENDS_MAX]; /* by enum end_number */
	size_t ends_n;
	/* Found on the machine; borrowed from whoever has found them, for as long as the site is open. */
	const struct runtime_row *runtime;
	const struct attachment_row *attachment;
	const struct kernel *host_kernel, *guest_kernel; /* NULL: none, or none was found */
	bool kvm;                                        /* the machine of the target runs with KVM */
};
/* What the settings alone say; EXIT_USAGE. */
int plan_make(struct trial_plan *out, const struct settings *s, struct err *e);
/* The row of the plan's target; and of its host. */
const struct target_row *plan_target(const struct trial_plan *plan);
const struct host_row *plan_host(const struct trial_plan *plan);
