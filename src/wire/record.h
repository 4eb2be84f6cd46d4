/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Records: what an endpoint saw, and the record of a trial, which is immutable and complete.
 *
 * Whoever writes one may be a container, a guest or another host, so reading bounds and checks everything.
 */
#pragma once

#include "condition.h"
#include "spec/plan.h"
#include "stat/hist.h"
#include "wire.h"

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

/* What an end may not know of itself: a standard tool tells some figures and not others. */
enum figure {
	FIGURE_SENT,
	FIGURE_TRANSACTIONS,
	FIGURE_LOST,
	FIGURE_TIMEOUTS,
	FIGURE_DISORDER, /* duplicates, late and overtaken replies, and their sum */
	FIGURE_RETRANSMITS,
	FIGURE_CPU,
	FIGURE_SWITCHES,
	FIGURE_JITTER,
	FIGURES_N
};
#define FIGURE(name) (1u << FIGURE_##name)

/* Percentiles of a latency summary, in this order. */
enum summary_quantile {
	SUMMARY_P25,
	SUMMARY_P50,
	SUMMARY_P75,
	SUMMARY_P90,
	SUMMARY_P99,
	SUMMARY_P999,
	SUMMARY_P9999,
	SUMMARY_QUANTILES
};

/* Latencies of which only these figures are known, in ns; NaN: not even that. */
struct latency_summary {
	bool there;
	double min, max, mean, sd, quantile[SUMMARY_QUANTILES];
};
extern const double summary_quantiles[SUMMARY_QUANTILES]; /* 0.25, 0.5 … */
/* All of it NaN. */
void latency_summary_clear(struct latency_summary *s);

struct endpoint_record {
	uint64_t started_ns,
		ended_ns; /* CLOCK_MONOTONIC of the endpoint: the measured stretch, warm-up excluded */
	uint64_t sent, transactions; /* requests sent, replies measured */
	uint64_t bytes;              /* streams: received in the measured stretch */
	/* Datagrams in one direction, at their receiver: how many came, warm-up included and each counted
	 * once; and the interarrival jitter of RFC 3550 §6.4.1, smoothed as there: of the latest datagram of
	 * the measured stretch (the largest of all flows), and its mean over the stretch. */
	uint64_t received, jitter_ns, jitter_mean_ns;
	uint64_t lost, timeouts, dead_flows, retransmits;
	/* The stream beside: messages that its sender sent; and of its receiver the bytes in the stretch that
	 * it had, and of datagrams how many came and were lost.  Nothing else of it is in this record. */
	uint64_t beside_sent, beside_bytes, beside_ns, beside_received, beside_lost;
	/* Datagrams: replies that came twice, after their request was given up, or after that to a later one.
	 * `reordered` is their sum, and all that an older record has (`disorder_unknown`). */
	uint64_t reordered, duplicates, late, overtaken;
	bool disorder_unknown;
	unsigned unknown;               /* FIGURE(…): is 0 and means nothing */
	struct latency_summary summary; /* in place of histograms */
	uint64_t cpu_ns, switches_voluntary, switches_involuntary;
	bool capped;   /* fewer transactions than asked for when max_duration had passed */
	bool receiver; /* streams: this end received, so its figures count */
	bool memory_locked;
	uint64_t busy_poll_us, timer_slack_ns; /* as read back */
	char congestion[16];                   /* as read back, "" for UDP */
	char driver_mode[16]; /* in which of several ways its driver got its packets; "": it has one */
	char mistake[160];    /* "" or what went wrong */
	struct conditions conditions; /* of its threads and sockets */
	uint64_t window_length_ns, windows_n, worst_n;
	struct window windows[WINDOWS_MAX];
	struct worst worst[WORST_MAX]; /* slowest first */
	bool has_service, has_lateness;
	struct hist service, response,
		lateness; /* response is service in a closed loop and is not sent then */
	/* Of a connection for each transaction: the two parts of the service time, until connect() returned
	 * and from there to the reply. */
	bool has_parts;
	struct hist connect, first_reply;
};
static inline bool record_knows(const struct endpoint_record *r, enum figure figure)
{
	return !(r->unknown & 1u << figure);
}
json_t *endpoint_record_json(const struct endpoint_record *r);
/* `r` is cleared first; everything is bounded (see endpoint_record). */
int endpoint_record_from_json(
	struct endpoint_record *r, const json_t *object, enum reading how, struct err *e);
/*
 * Can the record be true of an end with this job, of which `most_ns` is all the time that there was for it?
 * -EINVAL names what cannot.
 */
int endpoint_record_check(
	const struct endpoint_record *r, const struct endpoint_job *job, uint64_t most_ns, struct err *e);
struct trial_record;
/* Can what another host says of its machine be true, of a trial and of the boot of a guest that took at most
 * so long?  -EINVAL names what cannot. */
int trial_machine_check(const struct trial_record *r, uint64_t most_ns, uint64_t boot_most_ns, struct err *e);
/* Can what both ends say be true together?  Each has passed endpoint_record_check(); -EINVAL names what
 * cannot. */
int trial_ends_check(const struct trial_record *r, const struct trial_plan *plan, struct err *e);

/* --- the record of a trial: immutable and complete --------------------------------------------- */

enum trial_outcome { TRIAL_DONE, TRIAL_FAILED, TRIAL_SKIPPED };

/* What the CPUs of both endpoints went through in the samples around one of the worst transactions. */
struct during {
	uint64_t window_ns;         /* from the last sample before it to the first one after it */
	uint64_t steal_ns;          /* taken by the hypervisor (10 ms resolution) */
	uint64_t run_queue_wait_ns; /* endpoints ready to run, but not running: the thread that waited longest
				     */
	uint64_t interrupts, softirqs;
	uint64_t throttled_ns; /* cgroup CPU quota */
	uint64_t involuntary_switches;
	char owner[32];     /* a cause of src/site/attribution.c, or "unknown" */
	char evidence[128]; /* the figures that decided, in words */
};

#define CONSOLE_BYTES 16384

/* One end of a trial, and what it saw. */
struct trial_end {
	enum role role;
	char site[4104]; /* the host that it was on, as the settings call it: "local", "lab:6.12" */
	enum driver driver;
	uint64_t pid; /* of its process, as it has it where it lives; 0: not known */
	struct endpoint_record record;
};

/*
 * The rule that names owners.  1 took what an end waits for all the time as the owner of whatever was left,
 * and counted what had happened in windows much longer than the transaction (records of that time do not say
 * which rule it was); 2 is that of src/site/attribution.c.
 */
#define ATTRIBUTION_RULE 2

struct trial_record {
	struct settings settings;
	enum trial_outcome outcome;
	char reason[512]; /* of a failure or a skip, else "" */
	uint64_t wall_started_ns, duration_ns;
	uint64_t target_use; /* which trial of its target it was, from 1; 0: not known */
	bool verified;       /* knobs and conditions read back and right, before and after measuring */
	bool not_steady, rate_missed; /* flags of the report */
	uint64_t warmup_more;         /* windows that MSER-5 would cut besides the warm-up */
	uint64_t mtu, system_cpu_ns, steal_ns, context_switches, interrupts, softirqs;
	struct kernel_facts host, guest;
	struct conditions conditions;    /* seen from the host: threads on it, links */
	char console[CONSOLE_BYTES];     /* the last lines of the machine's console, printable ASCII; "" */
	struct trial_end ends[ENDS_MAX]; /* by enum end_number */
	size_t ends_n;
	char tool[64];        /* the standard tool and its version, "sockperf 3.7"; "" for taut's engine */
	uint64_t attribution; /* the rule by which owners were named: ATTRIBUTION_RULE; 0: an older one */
	struct during during[WORST_MAX]; /* of the client's worst[] */
	json_t *knobs; /* array of {"id", "object", "before", "value", "status", "reason"}; owned; never NULL
			  in a made record */
};
struct trial_record *trial_record_new(void);
/* Settings, and the ends that they ask for, of the record of a trial that begins. */
void trial_record_begin(struct trial_record *r, const struct trial_plan *plan);
/* Throws away what the ends saw, not who they are. */
void trial_record_forget(struct trial_record *r);
void trial_record_free(struct trial_record *r);
static inline void auto_trial_record(struct trial_record **r)
{
	trial_record_free(*r);
}
/* The end whose figures count: the client for RR, the receiver for streams. */
const struct endpoint_record *trial_measured(const struct trial_record *r);
/*
 * All conditions of a trial, those of the ends under the name of their role.  Where host and end tell of the
 * same, that which does not hold stands for both.
 */
void trial_conditions(const struct trial_record *r, struct conditions *out);
/* What it saw window by window: the median response time, of a stream the bytes received; windows in which
 * nothing was measured are left out.  malloc'd. */
double *trial_windows(const struct trial_record *r, size_t *n);
/* Mean throughput of the measured stretch in bits per second; NaN when it is no stream. */
double trial_throughput_bps(const struct trial_record *r);
/* Throughput of the stream beside in bits per second; NaN where there is none. */
double trial_beside_bps(const struct trial_record *r);
/* The end that received it. */
const struct endpoint_record *trial_beside(const struct trial_record *r);
/* Requests or datagrams that were sent, whoever counts. */
uint64_t trial_sent(const struct trial_record *r);
/* The same in a second, warm-up included, by which a schedule is judged; NaN where there is none. */
double trial_sent_per_s(const struct trial_record *r);
/*
 * Transactions in a second; NaN when it is a stream.  An open loop that is late measures only the last of
 * what it sends, since what is measured goes by when it was due: there, all requests that were answered
 * count, and the warm-up's time with them.
 */
double trial_rate_per_s(const struct trial_record *r);
json_t *during_json(const struct during *d);
json_t *kernel_facts_json(const struct kernel_facts *k);
json_t *trial_record_json(const struct trial_record *r);
int trial_record_from_json(struct trial_record *r, const json_t *object, enum reading how, struct err *e);
