/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * spec: what a trial is asked to be.  Settings are the words that a user writes, one row each; workloads are
 * rows as well; the subject is what tuning has to know of a target that stands.
 *
 * Plain values, open to every module.  Nothing here looks at the machine.
 */
#pragma once

#include "base/base.h"

#include <jansson.h>

/* --- workloads: the rows that everybody sees; engine/ holds one file for each ------------------ */

/* Name, help, and the members of struct workload_row that are not zero. */
#define WORKLOADS(ROW)                                                                                       \
	ROW(tcp_rr, "TCP request and reply on one connection", .paced = true,                                \
		.calls = "one send and one receive a transaction")                                           \
	ROW(udp_rr, "UDP request and reply, losses counted", .datagrams = true, .paced = true,               \
		.calls = "one send and one receive a transaction")                                           \
	ROW(tcp_stream, "TCP bulk data, client to server", .stream = true, .message = "writes",              \
		.size_bytes = 128 << 10)                                                                     \
	ROW(tcp_maerts, "TCP bulk data, server to client", .stream = true, .message = "writes",              \
		.size_bytes = 128 << 10, .reverse = true)                                                    \
	ROW(tcp_crr, "TCP connection, request and reply: a connection for each transaction", .paced = true,  \
		.connects = true,                                                                            \
		.calls = "one connect, send, receive and close a transaction, a request has at least "       \
			 "the 40 bytes that carry the token")                                                \
	ROW(udp_stream, "UDP datagrams, client to server: loss, order, jitter", .stream = true,              \
		.datagrams = true, .paced = true, .message = "datagrams", .size_least = 16)                  \
	ROW(ping, "ICMP echo, answered by the kernel at the server's address", .datagrams = true,            \
		.paced = true, .message = "echo requests", .size_bytes = 56, .kernel_answers = true,         \
		.calls = "one send and one receive a transaction")

/* All that is to be known of a workload outside of the engine, which has its hooks (engine_NAME). */
struct workload_row {
	const char *name, *help;
	bool stream;         /* bytes in one direction, in messages of `size`, which the receiver counts; else
				transactions, each of which the client times */
	bool datagrams;      /* messages that can get lost, come twice or in another order */
	bool reverse;        /* of a stream: the server sends, the client receives and measures */
	const char *message; /* what has `size` bytes, in words; NULL: messages are `request` and `reply` */
	uint64_t size_bytes; /* of a message where none is given; 0: as much as fits into one packet */
	uint64_t size_least; /* 0: 1 */
	bool kernel_answers; /* no server: what the client sends is answered by a kernel, which has no ports
			      */
	bool connects;       /* a connection for each transaction, whose making is timed apart */
	bool paced;          /* can follow a schedule, the setting `rate` */
	const char *calls;   /* what a transaction costs an end, in words; NULL: nothing to say */
};
extern const struct workload_row workload_rows[];
extern const size_t workload_rows_n;
#define WORKLOADS_MAX 32                                    /* rows */
const struct workload_row *workload_find(const char *name); /* NULL when there is none */
/* Is this the end whose figures count: the client, of a stream the receiver? */
bool workload_measures(const struct workload_row *row, bool server);
/* Is this the end of a stream that receives? */
bool workload_receives(const struct workload_row *row, bool server);

#define FLOWS_MAX 64
#define PORTS_MAX (FLOWS_MAX + 1) /* those of the flows, and of the stream beside them */

/* --- settings: everything a trial depends on --------------------------------------------------- */

enum setting_type {
	SETTING_WORD,     /* const char *, one of `choices` when they are given */
	SETTING_COUNT,    /* uint64_t */
	SETTING_BYTES,    /* uint64_t, "64K" */
	SETTING_DURATION, /* uint64_t ns, "200ms" */
	SETTING_BOOL,     /* bool */
	SETTING_CPU,      /* int64_t, −1: wherever the scheduler likes */
};

/* One row: the name of the field, the flag and the key; type; default; limits; choices; unit or form; help.
 */
struct setting_row {
	const char *key; /* YAML and --set key; the flag of `measure` is "--" with '-' for '_' */
	enum setting_type type;
	size_t offset;
	const char *initial;
	uint64_t min, max;
	const char *choices;
	const char *form; /* for help: "N", "TIME", "BYTES" */
	const char *help;
	bool lines; /* a word that may have several lines and tabs */
	bool ends;  /* it concerns the ends alone: trials that differ in it can share a target */
};

/*
 * A plain value: copy it as you like.  Words are never NULL and of any length; they are kept by str_keep(),
 * so that nobody owns them.
 */
struct settings {
	const char *target, *runtime, *attachment, *path, *site;
	const char *device, *client_device;
	const char *workload, *beside, *pacing, *congestion, *sched, *noise, *driver;
	const char *clock, *kernel, *boot, *host_boot, *accel, *cpu_model;
	const char *backing, *disk, *login, *share;
	const char *profile, *apply, *revert, *isolate;
	const char *tool, *tool_client, *tool_server, *tool_output;
	uint64_t rate, transactions, flows, burst, busy_poll_us, mtu, port;
	uint64_t request_bytes, reply_bytes, size_bytes;
	uint64_t vcpus, queues, memory_bytes, cpu_quota;
	uint64_t duration_ns, max_duration_ns, warmup_ns, timeout_ns;
	bool nodelay, ipv6;
	int64_t client_cpu, server_cpu;
};

extern const struct setting_row setting_rows[];
extern const size_t setting_rows_n;

void settings_init(struct settings *s); /* all defaults */
const struct setting_row *setting_find(const char *key);
/* Parses, checks type and range; EXIT_USAGE with key, value and what would be right. */
int setting_set(struct settings *s, const char *key, const char *value, struct err *e);
/* The value as a user would write it: a word itself, else in `out`. */
const char *setting_text(const struct settings *s, const struct setting_row *row, char *out, size_t size)
	__attribute__((warn_unused_result));
#define SETTING_NUMBER_MAX 32 /* bytes of a value that is no word */
/* Of a setting with choices: which of them its value is, from 0; choices that begin with '|' have "" first.
 */
unsigned setting_choice(const struct settings *s, const char *key);
bool setting_equal(const struct settings *a, const struct settings *b, const struct setting_row *row);
#define VCPUS_SCALED_MAX 4 /* of a VM that has as many virtual CPUs as its host can set apart (vcpus 0) */
/* Fills what follows from the rest (runtime and attachment of a target) and refuses combinations that make no
 * sense. */
int settings_check(struct settings *s, struct err *e);
/* The part of it that is about drivers. */
int settings_drivers_check(const struct settings *s, const struct workload_row *workload, struct err *e);
/* The size of a message of that workload where none is given. */
uint64_t settings_size(const struct settings *s, const struct workload_row *workload);
/* What a kernel on x86 takes on its command line, without what taut itself says there (boot/command.c). */
#define BOOT_ARGUMENTS_MAX (2047 - 127)
/* EXIT_USAGE when boot arguments are longer than that: the kernel would cut them and say nothing. */
int boot_arguments_check(const char *key, const char *arguments, struct err *e);
/* "other" → SCHED_OTHER 0; "fifo:N" → SCHED_FIFO N. */
int sched_parse(const char *text, int *policy, int *priority, struct err *e);
bool settings_open_loop(const struct settings *s); /* rate > 0 */
/* What a target names that runs already: NAME of vm:NAME or container:NAME, N of pid:N; NULL: it names none.
 */
const char *settings_target_name(const struct settings *s);
/* NAME of the target vm:NAME, a domain that runs already; NULL for any other target. */
const char *settings_domain(const struct settings *s);
bool settings_exact(const struct settings *s); /* on the exact clock */
/* Do both ask for a target that serves several trials, and can one target serve these two?  None does with a
 * tool in place of taut's own ends. */
bool settings_share(const struct settings *a, const struct settings *b);
/* The kernel of an emulated host ("stock" for a bare "lab"); NULL for the local site. */
const char *settings_lab(const struct settings *s);
json_t *settings_json(const struct settings *s);

/*
 * The two ways in which a stored or sent value is read.  From a stream (an agent, an emulated host) it must
 * be exactly what this version writes.  From the archive it may be of an older or a newer version: what it
 * lacks has its default, what is not known here is left out, and a value that could not be asked for today
 * stays as it is.  A value of another type is an error in both.
 */
enum reading { READ_STREAM, READ_ARCHIVE };
int settings_from_json(struct settings *s, const json_t *object, enum reading how, struct err *e);

/* In place of a device in an experiment: the one that `taut run --device` names; without it the cell is
 * skipped.
 */
#define DEVICE_SPARE "spare"

/* What an attachment does with devices of the machine, where that is not "nothing". */
struct lending_row {
	const char *attachment;
	bool needs;  /* cannot be without `device` and `client_device` */
	bool passes; /* a virtual machine gets the device itself: its path is vfio */
};
extern const struct lending_row lending_rows[];
extern const size_t lending_rows_n;
const struct lending_row *lending_of(const struct settings *s); /* NULL: it takes no devices */

/* --- targets and profiles: rows ---------------------------------------------------------------- */

enum target_kind {
	TARGET_NATIVE,
	TARGET_CONTAINER,
	TARGET_VM,
	TARGET_DISK,
	TARGET_DOMAIN,
	TARGET_RUNNING,
	TARGET_PID,
	TARGETS_N
};

/* What holds the server, and what goes with it.  Combinations and defaults stand here and nowhere else. */
struct target_row {
	const char *name;    /* as a message calls it */
	const char *word;    /* of the setting; NULL: it has more to say, or follows from another setting */
	const char *runtime; /* when none is named */
	const char *attachment;  /* when none is named */
	const char *attachments; /* "veth|bridge": those that it can have */
	const char *prefix;      /* of a setting that names one: "vm:"; NULL: it names none */
	bool runtime_written;    /* the runtime by default becomes part of the settings */
	bool machine;            /* the server is in a virtual machine */
	bool made;               /* taut makes it, and may end it; else it runs already and is somebody's */
	bool boots;              /* taut chooses the kernel that it boots */
};
extern const struct target_row target_rows[TARGETS_N];
/* EXIT_USAGE for a word that is none. */
int settings_target(const struct settings *s, enum target_kind *out, struct err *e);
/* The same of settings that have been checked. */
const struct target_row *target_of(const struct settings *s);

enum site_kind { SITE_LOCAL, SITE_LAB, SITES_N };

/* A host that carries out trials. */
struct host_row {
	const char *name;     /* as help calls it: "lab:KERNEL" */
	const char *word;     /* of the setting, alone or before a colon */
	const char *argument; /* behind the colon, where none is given; NULL: the word stands alone */
	const char *help;
	bool emulated; /* taut boots it for the trials of one arm in one block: the boot is the replicate */
};
extern const struct host_row host_rows[SITES_N];
/* False for a site that is none. */
bool settings_site_find(const struct settings *s, enum site_kind *out);
/* The same of settings that have been checked. */
enum site_kind settings_site(const struct settings *s);
const struct host_row *host_of(const struct settings *s);

enum profile { PROFILE_STOCK, PROFILE_LOW_LATENCY, PROFILE_COMMAND, PROFILES_N };

/* What a profile means beyond the values that knobs have for it. */
struct profile_row {
	const char *name, *help;
	bool writes;       /* the machine is changed */
	bool isolates;     /* CPUs are set apart for the measured work, and ends are placed there */
	bool realtime;     /* ends are realtime tasks */
	bool locks_memory; /* of the ends; and a machine's memory is held by huge pages or locked */
	bool commands;     /* is the user's own two commands, which are the host's business alone */
};
extern const struct profile_row profile_rows[PROFILES_N];
/* An enum profile; EXIT_USAGE for a name that is none. */
int profile_find(const char *name, struct err *e);
/* Of settings that have been checked. */
const struct profile_row *profile_of(const struct settings *s);

/* --- knobs in a record -------------------------------------------------------------------------- */

/* Why a knob stands as it does, for programs: the key "why" beside the sentence "reason". */
enum knob_why {
	KNOB_WHY_NONE,  /* null: nothing that a program would have to tell apart */
	KNOB_OTHER_WAY, /* skipped: another way to the same end was taken, so nothing is lost */
	KNOB_WHYS
};
const char *knob_why_name(enum knob_why why); /* NULL for KNOB_WHY_NONE */
/* KNOB_WHY_NONE for NULL; -ENOENT for a word that is none. */
int knob_why_find(const char *name, enum knob_why *out);

/* --- the subject: what tuning needs to know of a target ---------------------------------------- */

enum role { ROLE_CLIENT, ROLE_SERVER, ROLE_VCPU, ROLE_EMULATOR, ROLE_IOTHREAD, ROLE_VHOST, ROLES_N };
const char *role_name(enum role role);

#define SUBJECT_THREADS_MAX 256
#define SUBJECT_CGROUPS_MAX 8
#define SUBJECT_LINKS_MAX   8

struct subject_thread {
	enum role role;
	int pid, tid; /* as the host sees them */
	uint64_t start;
};

struct subject_link {
	char name[16];
	int netns_fd;   /* borrowed; −1: the host's namespace */
	char held[256]; /* what holds that namespace when taut is killed, for a device is in it; "": nothing
			 */
};

struct subject {
	struct subject_thread threads[SUBJECT_THREADS_MAX];
	size_t threads_n;
	/* cgroups that endpoints live in, relative to the mount of each hierarchy: "/taut-123/client" */
	char cgroups[SUBJECT_CGROUPS_MAX][160];
	size_t cgroups_n;
	char cgroup_root[160]; /* the one above them all: "/taut-123"; "" where there is none */
	struct subject_link links[SUBJECT_LINKS_MAX];
	size_t links_n;
};
