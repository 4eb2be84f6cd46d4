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

#include "tool.h"

/* --- ends -------------------------------------------------------------------------------------- */

/* The ends of a trial by their number: the client first, then the server.  A trial has two or more. */
enum end_number { END_CLIENT, END_SERVER };
#define ENDS_MAX 2

/* How an end moves its packets. */
enum driver { DRIVER_SOCKET, DRIVER_SPIN, DRIVER_XDP, DRIVER_DPDK, DRIVERS_N };

struct driver_row {
	const char *name, *help;
	bool polls;            /* its threads never sleep, so each needs a CPU of its own */
	bool frames;           /* makes Ethernet frames itself: IPv4, one datagram a frame */
	const char *workloads; /* "udp_rr": those that it can do; NULL: all */
	uint64_t capabilities; /* that its process must have, CAPABILITY_BIT() each */
};

/* Capabilities that an end may need, as OCI names them. */
#define CAPABILITIES_N             4
#define CAPABILITY_BIT(capability) (1ull << (capability))
struct capability_row {
	const char *name;
	unsigned number; /* CAP_… */
};
extern const struct capability_row capability_rows[CAPABILITIES_N];

extern const struct driver_row driver_rows[DRIVERS_N];
const char *driver_name(enum driver driver);
int driver_find(const char *name); /* an enum driver, or -EINVAL */
/* Can an end with this driver do that?  EXIT_USAGE. */
int driver_check(enum driver driver, const struct workload_row *workload, uint64_t flows, struct err *e);
/* What the setting driver=CLIENT[:SERVER] says, by enum end_number; EXIT_USAGE for a word that is none. */
int settings_drivers(const struct settings *s, enum driver out[ENDS_MAX], struct err *e);

/* --- the job of one end ------------------------------------------------------------------------ */

/* All that an end is told.  Members are what the settings of the same name say, checked. */
struct endpoint_job {
	bool server;
	bool lock_memory;
	bool nodelay;
	const struct workload_row *workload;
	const struct workload_row *beside; /* a stream beside it, by sockets; NULL: none */
	enum driver driver;
	char congestion[16];       /* "": the default of the machine */
	char address[64];          /* numeric; the one the server binds and the client connects to */
	char own_address[64];      /* of a device of its own, which a program is started with; not sent */
	uint16_t ports[PORTS_MAX]; /* client: where each flow's server listens; server: ignored */
	char token[33];
	uint64_t flows, burst, rate, transactions, port, busy_poll_us;
	uint64_t request_bytes, reply_bytes, size_bytes;
	uint64_t beside_bytes; /* of a message of the stream beside; 0 without one */
	uint64_t warmup_ns, duration_ns, max_duration_ns, timeout_ns;
	enum tool tool;
	enum tool_output output;        /* of TOOL_COMMAND */
	char program[TOOL_PROGRAM_MAX]; /* path of the tool's program for this end; "": it runs none */
	char command[TOOL_COMMAND_MAX]; /* of TOOL_COMMAND: this end's; "": it runs none */
};

/* From settings that have been checked; address, ports and token stay empty.  EXIT_USAGE. */
int job_make(struct endpoint_job *out, const struct settings *s, bool server, struct err *e);
/* All flows, that of the stream beside included, which is the last. */
uint64_t job_flows(const struct endpoint_job *job);
bool job_open_loop(const struct endpoint_job *job); /* rate > 0 */
/* How long the measured stretch shall be, or, of a number of transactions, may be at most. */
uint64_t job_stretch_ns(const struct endpoint_job *job);
/* How much longer than the measured stretch an end may take with its tool. */
uint64_t tool_longer_ns(const struct endpoint_job *job);
/* The longest that the measured stretch may take, warm-up included. */
uint64_t job_longest_ns(const struct endpoint_job *job);

/* --- what tuning is asked for ------------------------------------------------------------------ */

/* What shall hold the memory of a virtual machine, in the order of the setting's choices. */
enum backing { BACKING_BY_PROFILE, BACKING_RAM, BACKING_LOCKED, BACKING_HUGEPAGES };

struct tuning {
	enum profile profile;
	bool sched_wanted; /* the user says how both ends are scheduled */
	int policy, priority;
	int64_t client_cpu, server_cpu;  /* −1: by the profile */
	bool client_polls, server_polls; /* their threads never sleep */
	const char *poller;              /* the driver of one that does; NULL: none does */
	enum tool tool;                  /* which the ends run; TOOL_TAUT: none */
	bool noisy;                      /* load is made beside the measured work */
	bool floods;                     /* the client sends datagrams and never waits for who takes them */
	const char *isolate;             /* list of CPUs; "": the profile's choice */
	const char *apply, *revert;      /* of the profile that is the user's own commands; else "" */
	uint64_t longest_ns, timeout_ns;
	/* Of the target: */
	bool machine, made; /* it is a virtual machine; taut makes it */
	enum backing backing;
	uint64_t memory_bytes, vcpus;
};
/* EXIT_USAGE for a profile or a scheduling that is none. */
int tuning_make(struct tuning *out, const struct settings *s, struct err *e);

/*
 * Network cards that an emulated host can be given: two of them on one cable, each with virtual functions,
 * behind an IOMMU, so that they can be lent to containers and virtual machines of that host.
 */
enum nic_model {
	NIC_NONE,
	NIC_IGB,    /* Intel 82576, from QEMU 8.1 on */
	NIC_VIRTIO, /* virtio with virtual functions, from QEMU 11 on */
	NIC_MODELS_N
};
const char *nic_model_name(enum nic_model model); /* "igb"; "" for none */
/* NIC_NONE when there is no such model. */
enum nic_model nic_model_find(const char *name);

/* --- the plan ---------------------------------------------------------------------------------- */

/* In the order of the choices of the settings path, accel and noise. */
enum vm_path { VM_PATH_NONE, VM_PATH_VIRTIO, VM_PATH_VHOST, VM_PATH_VFIO, VM_PATH_VHOST_USER };
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
	char tool_version[64];                           /* as the tool calls itself; "" for taut's engine */
};
/* What the settings alone say; EXIT_USAGE. */
int plan_make(struct trial_plan *out, const struct settings *s, struct err *e);
/* Is it the driver of one of its ends? */
bool plan_uses(const struct trial_plan *plan, enum driver driver);
/* The row of the plan's target; and of its host. */
const struct target_row *plan_target(const struct trial_plan *plan);
const struct host_row *plan_host(const struct trial_plan *plan);
