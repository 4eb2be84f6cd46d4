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

enum workload_kind { WORKLOAD_RR, WORKLOAD_STREAM };

#define WORKLOADS(ROW)                                                                                       \
	/*  name        kind             datagrams  reverse  help */                                         \
	ROW(tcp_rr, WORKLOAD_RR, false, false, "TCP request and reply on one connection")                    \
	ROW(udp_rr, WORKLOAD_RR, true, false, "UDP request and reply, losses counted")                       \
	ROW(tcp_stream, WORKLOAD_STREAM, false, false, "TCP bulk data, client to server")                    \
	ROW(tcp_maerts, WORKLOAD_STREAM, false, true, "TCP bulk data, server to client")

struct workload_row {
	const char *name;
	enum workload_kind kind;
	bool datagrams; /* UDP */
	bool reverse;   /* the server sends, the client receives and measures */
	const char *help;
};
extern const struct workload_row workload_rows[];
extern const size_t workload_rows_n;
#define WORKLOADS_MAX 32                                    /* rows */
const struct workload_row *workload_find(const char *name); /* NULL when there is none */

#define FLOWS_MAX 64

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
};

/*
 * A plain value: copy it as you like.  Words are never NULL and of any length; they are kept by str_keep(),
 * so that nobody owns them.
 */
struct settings {
	const char *target, *runtime, *attachment, *path, *site;
	const char *workload, *pacing, *congestion, *sched, *noise;
	const char *clock, *kernel, *boot, *host_boot, *accel, *cpu_model;
	const char *backing, *disk, *login;
	const char *profile, *apply, *revert, *isolate;
	uint64_t rate, transactions, flows, burst, busy_poll_us, mtu, port;
	uint64_t request_bytes, reply_bytes, size_bytes;
	uint64_t vcpus, queues, memory_bytes;
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
/* Fills what follows from the rest (runtime and attachment of a target) and refuses combinations that make no
 * sense. */
int settings_check(struct settings *s, struct err *e);
/* What a kernel on x86 takes on its command line, without what taut itself says there (boot/command.c). */
#define BOOT_ARGUMENTS_MAX (2047 - 127)
/* EXIT_USAGE when boot arguments are longer than that: the kernel would cut them and say nothing. */
int boot_arguments_check(const char *key, const char *arguments, struct err *e);
/* "other" → SCHED_OTHER 0; "fifo:N" → SCHED_FIFO N. */
int sched_parse(const char *text, int *policy, int *priority, struct err *e);
bool settings_open_loop(const struct settings *s); /* rate > 0 */
/* NAME of the target vm:NAME, a domain that runs already; NULL for any other target. */
const char *settings_domain(const struct settings *s);
bool settings_exact(const struct settings *s); /* on the exact clock */
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

/* --- targets and profiles: rows ---------------------------------------------------------------- */

enum target_kind { TARGET_NATIVE, TARGET_CONTAINER, TARGET_VM, TARGET_DISK, TARGET_DOMAIN, TARGETS_N };

/* What holds the server, and what goes with it.  Combinations and defaults stand here and nowhere else. */
struct target_row {
	const char *name;        /* as a message calls it */
	const char *word;        /* of the setting; NULL: it follows from another setting */
	const char *runtime;     /* when none is named */
	const char *attachment;  /* when none is named */
	const char *attachments; /* "veth|bridge": those that it can have */
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
	int netns_fd; /* borrowed; −1: the host's namespace */
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
