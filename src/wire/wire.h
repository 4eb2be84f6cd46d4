/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * wire: what crosses a stream: an endpoint's plan, its record, the record of a trial; and the frames that
 * carry them.
 *
 * Values travel as JSON objects in length-prefixed frames.  Whoever reads one checks everything: unknown
 * keys, wrong types, numbers out of range and texts too long are errors, since the other end may be a guest
 * or a container that lies.
 */
#pragma once

#include "base/base.h"
#include "spec/spec.h"
#include "stat/hist.h"

#include <jansson.h>

/* --- plain structs as JSON objects: one row a member ------------------------------------------- */

enum field_type { FIELD_U64, FIELD_I64, FIELD_DOUBLE, FIELD_BOOL, FIELD_TEXT };

struct field {
	const char *key;
	enum field_type type;
	size_t offset, size; /* size: of the char[] of a FIELD_TEXT */
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

#define FRAME_MAX_BYTES (8u << 20)

enum frame_type {
	FRAME_HELLO = 1, /* agent → site: {"version", "kernel", "kernel_version", "init_ns", "uptime_ns"} */
	FRAME_PLAN,      /* site → agent: an endpoint plan */
	FRAME_READY,     /* agent → site: {"ports": […]} */
	FRAME_GO,        /* site → agent: {} */
	FRAME_STOP,      /* site → agent: {} : finish and report now */
	FRAME_RECORD,    /* agent → site: an endpoint record */
	FRAME_ERROR,     /* either way: {"text": …, "advice": …} */
	/* site → agent in a guest: {"settings", "stage"} : plan and apply the guest's half of "host" or
	 * "live"; {"stage": "revert"} : put everything back */
	FRAME_TUNE,
	FRAME_TUNED,        /* agent → site: {"knobs": […]} as tune_effective_json() */
	FRAME_VERIFY,       /* site → agent in a guest: {} */
	FRAME_VERIFIED,     /* agent → site: {"all": bool, "knobs": […]} */
	FRAME_TRIAL,        /* taut → taut site on another host: settings of a trial */
	FRAME_TRIAL_RECORD, /* taut site → taut: the trial record */
	FRAME_LAST = FRAME_TRIAL_RECORD,
};

/* Sends one frame before the deadline (CLOCK_MONOTONIC ns); steals the reference to body. */
int frame_send(int fd, enum frame_type type, json_t *body, uint64_t deadline_ns, struct err *e);
/*
 * Receives one frame: its type, *body owned by the caller.  -ETIMEDOUT at the deadline, -EPIPE when the other
 * end has closed, -EPROTO for anything malformed or larger than FRAME_MAX_BYTES.
 */
int frame_recv(int fd, json_t **body, uint64_t deadline_ns, struct err *e);
/*
 * Takes the control characters (escape codes of terminals, not tab and line feed) out of JSON text, in place.
 * Of frames frame_recv() has done it; JSON that came from a machine by another way wants it too.
 */
void frame_clean(char *text, size_t len);
/* frame_recv() that wants one type; a FRAME_ERROR becomes that error. */
int frame_expect(int fd, enum frame_type type, json_t **body, uint64_t deadline_ns, struct err *e);

/* --- what an endpoint is told ------------------------------------------------------------------ */

struct endpoint_plan {
	bool server;
	bool lock_memory;
	struct settings settings;
	char address[64];          /* numeric; the one the server binds and the client connects to */
	uint16_t ports[FLOWS_MAX]; /* client: where each flow's server listens; server: ignored */
	char token[33];
};
json_t *endpoint_plan_json(const struct endpoint_plan *p);
int endpoint_plan_from_json(struct endpoint_plan *p, const json_t *object, struct err *e);

/* --- what an endpoint saw ---------------------------------------------------------------------- */

#define WORST_MAX   32
#define WINDOWS_MAX 1024

/* A transaction among the slowest, by response time.  at_ns: when its request was due, from the start of
 * measuring. */
struct worst {
	uint64_t at_ns, service_ns, response_ns;
};

/* What happened in one stretch of time; windows follow one another without gaps, `length_ns` each. */
struct window {
	uint64_t count, sum_ns, max_ns, median_ns; /* RR: response times; median within 6 % */
	uint64_t bytes;                            /* streams: received */
};

struct endpoint_record {
	uint64_t started_ns,
		ended_ns; /* CLOCK_MONOTONIC of the endpoint: the measured stretch, warm-up excluded */
	uint64_t sent, transactions; /* requests sent, replies measured */
	uint64_t bytes;              /* streams: received in the measured stretch */
	uint64_t lost, timeouts, reordered, dead_flows, retransmits;
	uint64_t cpu_ns, switches_voluntary, switches_involuntary;
	bool capped;   /* fewer transactions than asked for when max_duration had passed */
	bool receiver; /* streams: this end received, so its figures count */
	bool memory_locked;
	uint64_t busy_poll_us, timer_slack_ns; /* as read back */
	char congestion[16];                   /* as read back, "" for UDP */
	char mistake[160];                     /* "" or what went wrong */
	uint64_t window_length_ns, windows_n, worst_n;
	struct window windows[WINDOWS_MAX];
	struct worst worst[WORST_MAX]; /* slowest first */
	bool has_service, has_lateness;
	struct hist service, response,
		lateness; /* response is service in a closed loop and is not sent then */
};
json_t *endpoint_record_json(const struct endpoint_record *r);
/* `r` is cleared first; everything is bounded (see endpoint_record). */
int endpoint_record_from_json(
	struct endpoint_record *r, const json_t *object, enum reading how, struct err *e);
/*
 * Can the record be true of a trial with these settings, of which `most_ns` is all the time that there was
 * for it?  -EINVAL names what cannot.
 */
int endpoint_record_check(const struct endpoint_record *r, const struct settings *s, bool server,
	uint64_t most_ns, struct err *e);

/* --- the record of a trial: immutable and complete --------------------------------------------- */

enum trial_outcome { TRIAL_DONE, TRIAL_FAILED, TRIAL_SKIPPED };

/* What the CPUs of both endpoints went through in the samples around one of the worst transactions. */
struct during {
	uint64_t window_ns;         /* from the last sample before it to the first one after it */
	uint64_t steal_ns;          /* taken by the hypervisor (10 ms resolution) */
	uint64_t run_queue_wait_ns; /* endpoints ready to run, but not running */
	uint64_t interrupts, softirqs;
	uint64_t throttled_ns; /* cgroup CPU quota */
	uint64_t involuntary_switches;
	char owner[32];     /* OWNERS below, or "unknown" */
	char evidence[128]; /* the figures that decided, in words */
};

/* A kernel that took part: the host's that carried the trial out, or the guest's of a virtual machine. */
struct kernel_facts {
	char kernel[96], version[192]; /* as uname -r and -v say it there; "" where there is none */
	char accel[16];                /* "kvm" or "tcg"; "" for hardware (as far as we can tell) */
	char program[64];              /* "QEMU 7.2.22"; "" for none */
	/*
	 * Of a machine that taut booted: from exec of QEMU to the agent's first word and to the first
	 * transaction, on our clock; and on its own clock, since its kernel began: when PID 1 began, when the
	 * agent spoke.  0 where unknown.
	 */
	uint64_t boot_ns, first_ns, init_ns, ready_ns;
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

#define CONSOLE_BYTES 16384

struct trial_record {
	struct settings settings;
	enum trial_outcome outcome;
	char reason[512]; /* of a failure or a skip, else "" */
	uint64_t wall_started_ns, duration_ns;
	bool verified;                /* configuration read back and right, before and after measuring */
	bool not_steady, rate_missed; /* flags of the report */
	uint64_t warmup_more;         /* windows that MSER-5 would cut besides the warm-up */
	uint64_t mtu, system_cpu_ns, steal_ns, context_switches, interrupts, softirqs;
	struct kernel_facts host, guest;
	char console[CONSOLE_BYTES]; /* the last lines of the machine's console, printable ASCII; "" */
	struct endpoint_record client, server;
	struct during during[WORST_MAX]; /* of client.worst[] */
	json_t *knobs; /* array of {"id", "object", "before", "value", "status", "reason"}; owned; never NULL
			  in a made record */
};
struct trial_record *trial_record_new(void);
void trial_record_free(struct trial_record *r);
static inline void auto_trial_record(struct trial_record **r)
{
	trial_record_free(*r);
}
/* The end whose figures count: the client for RR, the receiver for streams. */
const struct endpoint_record *trial_measured(const struct trial_record *r);
/* Mean throughput of the measured stretch in bits per second; NaN when it is no stream. */
double trial_throughput_bps(const struct trial_record *r);
/*
 * Transactions in a second; NaN when it is a stream.  An open loop that is late measures only the last of
 * what it sends, since what is measured goes by when it was due: there, all requests that were answered
 * count, and the warm-up's time with them.
 */
double trial_rate_per_s(const struct trial_record *r);
json_t *trial_record_json(const struct trial_record *r);
int trial_record_from_json(struct trial_record *r, const json_t *object, enum reading how, struct err *e);
