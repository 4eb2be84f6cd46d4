/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * wire: what crosses a stream.  Frames are here; what an endpoint is told is in job.h, and what endpoints and
 * trials send back in record.h.
 *
 * Values travel as JSON objects in length-prefixed frames.  Whoever reads one checks everything: unknown
 * keys, wrong types, numbers out of range and texts too long are errors, since the other end may be a guest
 * or a container that lies.
 */
#pragma once

#include "base/base.h"
#include "spec/spec.h"

#include <jansson.h>

/* --- plain structs as JSON objects: one row a member ------------------------------------------- */

enum field_type {
	FIELD_U64,
	FIELD_I64,
	FIELD_DOUBLE,
	FIELD_BOOL,
	FIELD_TEXT, /* one line */
	FIELD_LINES,
};

struct field {
	const char *key;
	enum field_type type;
	size_t offset, size; /* size: of the char[] of a text */
};
#define FIELD(type_, struct_, member)                                                                        \
	{                                                                                                    \
#member, type_, offsetof(struct_, member), sizeof(((struct_ *)0)->member)                    \
	}

/* Adds the members to `object` (NaN becomes null). */
void fields_to_json(const struct field *fields, size_t n, const void *value, json_t *object);
/*
 * Reads every member.  A wrong type is -EINVAL; a number in a double may be null (NaN).  From a stream so are
 * a missing key, a text that is too long, and a key that no row names, unless it is among `others` ("a|b";
 * NULL: none are).  From the archive what is missing becomes 0, "" or NaN, and a text is cut.
 */
int fields_from_json(const struct field *fields, size_t n, void *value, const json_t *object,
	const char *others, enum reading how, struct err *e);

/* --- frames ------------------------------------------------------------------------------------ */

#define FRAME_MAX_BYTES  (8u << 20)
#define FRAME_MAX_VALUES 100000
#define FRAME_MAX_DEPTH  32

enum frame_type {
	FRAME_HELLO = 1, /* agent → site: {"version", "kernel", "kernel_version", "boot_id", "pid", "cpus",
			    "init_ns", "uptime_ns"} */
	FRAME_JOB,       /* site → agent: the job of an end */
	FRAME_READY,     /* agent → site: {"ports": […]} */
	FRAME_GO,        /* site → agent: {} */
	FRAME_STOP,      /* site → agent: {} : finish and report now */
	FRAME_RECORD,    /* agent → site: an endpoint record */
	FRAME_ERROR,     /* either way: {"text": …, "advice": …} */
	/* site → agent in a guest: {"tuning", "stage"} : plan and apply the guest's half of "host" or
	 * "live"; {"stage": "revert"} : put everything back */
	FRAME_TUNE,
	FRAME_TUNED,        /* agent → site: {"knobs": […]} as tune_effective_json() */
	FRAME_VERIFY,       /* site → agent in a guest: {} */
	FRAME_VERIFIED,     /* agent → site: {"all": bool, "knobs": […]} */
	FRAME_TRIAL,        /* taut → taut site on another host: settings of a trial */
	FRAME_TRIAL_RECORD, /* taut site → taut: the trial record */
	FRAME_END,          /* site → agent: {} : end, a fresh endpoint follows on this stream */
	FRAME_LAST = FRAME_END,
};

/* Sends one frame before the deadline (CLOCK_MONOTONIC ns); steals the reference to body. */
int frame_send(int fd, enum frame_type type, json_t *body, uint64_t deadline_ns, struct err *e);
/*
 * Receives one frame: its type, *body owned by the caller.  -ETIMEDOUT at the deadline, -EPIPE when the other
 * end has closed, -EPROTO for anything malformed or beyond FRAME_MAX_….
 */
int frame_recv(int fd, json_t **body, uint64_t deadline_ns, struct err *e);
/*
 * Takes what is not fit for a terminal (see str_printable(); not tab and line feed) out of JSON text, in
 * place. Of frames frame_recv() has done it; JSON that came from elsewhere by another way wants it too.
 */
void frame_clean(char *text, size_t len);
/* Has JSON text at most FRAME_MAX_VALUES values, FRAME_MAX_DEPTH deep?  -EPROTO. */
int frame_check(const char *text, size_t len, struct err *e);
/*
 * frame_recv() that wants one type; a FRAME_ERROR becomes -EREMOTEIO with its text and, quoted, its advice.
 * Whoever sends it cannot choose how this program ends.
 */
int frame_expect(int fd, enum frame_type type, json_t **body, uint64_t deadline_ns, struct err *e);

/* --- who speaks ------------------------------------------------------------------------------- */

/* A kernel that took part: the host's that carried the trial out, or the guest's of a virtual machine. */
struct kernel_facts {
	char kernel[96], version[192]; /* as uname -r and -v say it there; "" where there is none */
	char boot_id[40];              /* of this boot of it, as /proc/sys/kernel/random/boot_id has it */
	char accel[16];                /* "kvm" or "tcg"; "" for hardware (as far as we can tell) */
	char program[64];              /* "QEMU 7.2.22"; "" for none */
	/*
	 * Of a machine that taut booted: from exec of QEMU to the agent's first word and to the first
	 * transaction, on our clock; and on its own clock, since its kernel began: when PID 1 began, when the
	 * agent spoke.  0 where unknown.
	 */
	uint64_t boot_ns, first_ns, init_ns, ready_ns;
	uint64_t cpus; /* that are online; 0 where unknown */
};

/* Do we run on an emulated host?  Its PID 1 tells all that runs there, by this variable. */
#define HOST_EMULATED "TAUT_EMULATED"
bool host_emulated(void);
/* Of the kernel that we run on: names, and ready_ns as of now (init_ns, and accel, where PID 1 has told us).
 */
void kernel_facts_own(struct kernel_facts *k);
/* The body of FRAME_HELLO; and reading it: -EPROTO for another version.  `k` may be NULL. */
json_t *frame_hello(void);
int frame_hello_read(const json_t *hello, struct kernel_facts *k, struct err *e);
/* The PID that whoever speaks has where it lives; 0: it does not say. */
uint64_t frame_hello_pid(const json_t *hello);
