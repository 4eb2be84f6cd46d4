/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A run as plain structs: what every format writes from.  load.c reads it, values.c turns a record into
 * figures, facts.c says on which machines it was made, judge.c compares the arms, exact.c those of the exact
 * clock, gate.c says what it all comes to.
 */
#pragma once

#include "report.h"

/* Fewer transactions than this have no quartile with ten values beyond it; such a trial is left out, with its
 * block. */
#define REPORT_TRANSACTIONS_LEAST 40
/* A maximum so many times p99.9 was a stall that a closed loop keeps out of its percentiles. */
#define REPORT_STALL_FACTOR 10

#define REPORT_FLAGS(ROW)                                                                                    \
	ROW(LINE_RATE, "line-rate", "at the line rate: a larger gain could not show")                        \
	ROW(BIMODAL, "bimodal", "two groups of values: median and SD both mislead")                          \
	ROW(NOT_STEADY, "not-steady", "still settling when the trial ended")                                 \
	ROW(CHANGED, "changed", "the level changed inside the trial")                                        \
	ROW(CAPPED, "capped", "fewer transactions than asked for when the time was up")                      \
	ROW(RATE_MISSED, "rate-missed", "the schedule was not kept: no verdict")                             \
	ROW(MIXED, "mixed", "a kernel or an accelerator changed within an arm")

#define REPORT_FLAG_ENUM(id, word, help) REPORT_##id,
enum report_flag { REPORT_FLAGS(REPORT_FLAG_ENUM) REPORT_FLAGS_N };

struct report_flag_row {
	const char *name, *help;
};
extern const struct report_flag_row report_flag_rows[REPORT_FLAGS_N];

/*
 * The machines behind a trial or an arm, from what they said themselves; "" where there is none or where
 * nobody said.  Where the trials of an arm disagree, all that was said, with ", " between.
 */
#define REPORT_FACT_MAX 200
struct report_facts {
	char host_kernel[REPORT_FACT_MAX], guest_kernel[REPORT_FACT_MAX];
	char accel[REPORT_FACT_MAX], host_accel[REPORT_FACT_MAX]; /* what runs the target; the host */
};

/* Where the time goes between the start of a machine and its first transaction; NaN where unknown. */
enum report_boot_step {
	REPORT_BOOT_EXEC_TO_READY,
	REPORT_BOOT_EXEC_TO_FIRST,
	REPORT_BOOT_KERNEL_TO_INIT,
	REPORT_BOOT_INIT_TO_READY,
	REPORT_BOOT_STEPS
};

/* The rules, fixed beforehand, by which a trial is left out; none of them looks at a latency. */
enum report_unusable {
	REPORT_USABLE,
	REPORT_FAILED,
	REPORT_SKIPPED,
	REPORT_UNVERIFIED,
	REPORT_FLOWS_DIED,
	REPORT_NOTHING_RECEIVED,
	REPORT_FEW_TRANSACTIONS,
	REPORT_UNUSABLES
};

struct report_trial {
	int64_t id;
	uint64_t block, position;
	enum trial_outcome outcome;
	bool usable; /* its block can be paired: `unusable` is REPORT_USABLE */
	enum report_unusable unusable;
	char reason[512];          /* what the record says of a trial that failed or was skipped */
	bool flag[REPORT_FLAGS_N]; /* but line-rate and bimodal, which are of the cell */
	bool verified;
	enum stat_stretch stretch; /* is what was measured steady, as far as its windows tell? */
	uint64_t started_ns, duration_ns, sent, transactions, bytes;
	uint64_t lost, timeouts, reordered, dead_flows, retransmits;
	uint64_t received, jitter_ns;         /* datagrams in one direction: see struct endpoint_record */
	uint64_t duplicates, late, overtaken; /* of the reordered; only where disorder_known */
	bool disorder_known;
	uint64_t client_cpu_ns, server_cpu_ns, system_cpu_ns, steal_ns, context_switches, mtu;
	double cpu_ns[ENDS_MAX]; /* of each end for a transaction, NaN where there are none */
	unsigned unknown; /* FIGURE(…) that the end that measured does not know; of retransmits: neither */
	bool client_cpu_known, server_cpu_known;
	double stretch_s;           /* measured */
	double sent_per_s;          /* requests of an open loop, else NaN */
	double min_ns, max_ns;      /* NaN without latencies */
	double throughput_iqr;      /* over the windows; NaN when it is no stream */
	double value[STAT_METRICS]; /* NaN where there is none, or too few transactions for it */
	struct report_facts facts;
	double line_bps, moderation_ns; /* of the devices between the ends; 0 where there is none */
	uint64_t host_cpus, guest_cpus; /* 0 where unknown */
	bool emulated;                  /* its target or its host runs under tcg */
	double boot_ns[REPORT_BOOT_STEPS];
	uint64_t digest; /* exact clock: of all that both ends saw */
};

/* One of the slowest transactions of an arm, and what owned it. */
struct report_worst {
	uint64_t response_ns;
	char owner[32], evidence[128];
	bool old_rule; /* named by a rule that named owners it had not seen, see ATTRIBUTION_RULE */
};

/* In which way CPUs are kept for the measured work. */
enum report_partition {
	REPORT_PARTITION_UNKNOWN, /* nobody tried */
	REPORT_PARTITION_NONE,    /* no way was to be had */
	REPORT_PARTITION_CGROUP2,
	REPORT_PARTITION_CGROUP1,
	REPORT_PARTITION_AFFINITY,
	REPORT_PARTITIONS
};

#define REPORT_SKIP_REASONS_MAX   8
#define REPORT_SKIP_REASONS_SHOWN 3

/* How the knobs of a trial stood; of an arm, in its last usable trial. */
struct report_knobs {
	size_t effective, unchanged, skipped;
	char reason[96]; /* of the first that was skipped */
	struct report_skip {
		size_t count;
		char reason[96];
	} why[REPORT_SKIP_REASONS_MAX]; /* the most frequent first */
	size_t why_n;
	enum report_partition partition;
	bool pinned; /* threads of ends have CPUs of their own */
};

struct report_arm {
	char name[64];
	struct settings settings;
	struct report_trial *trials; /* by block */
	size_t trials_n, usable;
	double *paired[STAT_METRICS]; /* of the complete blocks, in order; NULL where the arm has none */
	double figure[STAT_METRICS];  /* median over the usable trials */
	double throughput_iqr;        /* the same */
	double cpu_ns[ENDS_MAX];      /* for a transaction: the same */
	double min_ns, max_ns;        /* over all usable trials */
	struct hist *service, *response, *lateness; /* merged over usable trials; NULL where there is none */
	struct hist *connect, *first_reply;         /* the same */
	struct report_worst worst[WORST_MAX];       /* slowest first, over all usable trials */
	size_t worst_n;
	bool bimodal; /* the values of the trials, or of all transactions, fall into two groups */
	struct report_knobs knobs;
	struct report_facts facts;
	double line_bps, moderation_ns; /* as of the last usable trial; 0 where there is none */
	double periods; /* how many of the moderation the median is; 0: it is something else */
	uint64_t host_cpus, guest_cpus;    /* of the last usable trial; 0 where unknown */
	bool emulated, mixed;              /* of any usable trial; its usable trials disagree about a fact */
	double boot_ns[REPORT_BOOT_STEPS]; /* medians over the usable trials */
};

/* One arm against the baseline. */
struct report_effects {
	size_t arm;
	bool exact; /* facts of the exact clock */
	struct stat_effect effects[STAT_METRICS];
	size_t n, judged;                  /* judged: with a verdict that was inferred, or primary facts */
	struct stat_run_to_run run_to_run; /* of the medians, or throughputs */
};

struct report_cell {
	struct store_cell cell;
	const struct workload_row *workload; /* NULL for a skipped cell without arms */
	enum stat_kind kind;
	struct report_arm *arms; /* the baseline first */
	size_t arms_n;
	struct report_effects *pairs; /* arms_n − 1 */
	size_t pairs_n;
	size_t blocks_seen, blocks_complete;
	bool exact; /* every arm is on the exact clock */
	bool flag[REPORT_FLAGS_N];
};

struct report {
	struct store_run run;
	struct report_options options;
	json_t *spec, *environment;
	struct report_cell *cells;
	size_t cells_n;
	size_t families; /* pairs of arms in which something was judged */
};

/* values.c */
void report_trial_fill(struct report_trial *out, const struct trial_record *record);
#define REPORT_WHY_MAX 560
/* Why the trial is not usable, "" when it is; returns out. */
char *report_trial_why(const struct report_trial *t, char *out, size_t size);
/* The latencies of an end: response times; NULL when it has none. */
const struct hist *report_latencies(const struct endpoint_record *end);
/* The value of quantile q, NaN where fewer than ten values lie beyond it. */
double report_quantile(const struct hist *h, double q);

/* facts.c: the machine of a trial; the machines of an arm, once all its trials are there. */
void report_facts_fill(struct report_trial *t, const struct trial_record *record);
void report_facts_close(struct report_arm *arm, const json_t *environment);
/* The steps of a boot, as JSON names them: null when nothing is known. */
json_t *report_boot_json(const double boot_ns[REPORT_BOOT_STEPS]);

/* What a transaction costs each end, as JSON names them; null where there are none. */
json_t *report_cpu_json(const double cpu_ns[ENDS_MAX]);

/* exact.c: what lies between two arms of the exact clock.  `old` and `new` are what they are called. */
void report_exact_compare(const struct report_arm *old, const struct report_arm *new, enum stat_kind kind,
	const struct stat_deltas *deltas, struct report_effects *out);
/* Do all usable trials agree in this metric? */
bool report_exact_repeats(const struct report_arm *arm, enum stat_metric metric);
/* Are all usable trials of both (or of one, `b` NULL) the same to the last bit? */
bool report_exact_identical(const struct report_arm *a, const struct report_arm *b);

/* limits.c: of a trial, of an arm once its figures are there; the lines of a cell. */
void report_limits_fill(struct report_trial *t, const struct trial_record *record);
void report_limits_close(struct report_arm *arm);
json_t *report_limits_json(const struct report_arm *arm);
/* Of how many periods a time is, where these explain it; 0: they do not. */
double report_periods(double ns, double period_ns);

/* judge.c.  What a link of that speed can carry of payload. */
double report_ceiling_bps(double line_bps, double mtu, bool ipv6, bool datagrams);
void report_cell_judge(const struct report *report, struct report_cell *cell);
/* No verdict on anything, for this reason. */
void report_effects_refuse(struct report_effects *pair, enum stat_reason reason);
size_t report_effects_judged(const struct report_effects *pair);

/* archive.c: why a knob of a record stands as it does, also of a record from before that was written. */
enum knob_why report_knob_why(const json_t *entry);

/* knobs.c */
void report_knobs_count(struct report_knobs *knobs, const json_t *entries);
json_t *report_knobs_json(const struct report_knobs *knobs);
/* conditions.c: what was read back, and the sentences that say what of it did not hold, `head` before the
 * first. */
json_t *report_conditions_json(const struct trial_record *r);
void report_unverified(const struct trial_record *r, const char *head, struct buf *out);

/* arm.c: what a trial adds to its arm; and what the arm's trials come to. */
void report_arm_add(
	struct report_arm *arm, const struct store_trial *place, const struct trial_record *record);
void report_arm_close(struct report_arm *arm, enum stat_kind kind);
void report_arm_clear(struct report_arm *arm);
/* The arm's usable trials' values of one metric, in order of block, malloc'd; missing ones are left out. */
double *report_arm_values(const struct report_arm *arm, enum stat_metric metric, size_t *n);

/* Counts over the trials of an arm. */
struct report_counts {
	size_t trials, usable, verified, failed;
	uint64_t transactions, sent, lost, timeouts, reordered, dead_flows, retransmits;
	uint64_t duplicates, late, overtaken;
	bool disorder_known; /* of every trial */
	unsigned unknown;    /* FIGURE(…): of any trial */
	size_t flag[REPORT_FLAGS_N];
	size_t stretch[STAT_STRETCHES]; /* of the usable trials */
};
void report_arm_count(const struct report_arm *arm, struct report_counts *out);

/* Who owned how many of the arm's worst transactions, most first; returns how many owners. */
struct report_owner {
	char name[32];
	size_t count;
	uint64_t worst_ns;
	const char *evidence; /* of the worst */
	bool old_rule;        /* as in struct report_worst */
};
size_t report_arm_owners(const struct report_arm *arm, struct report_owner owners[WORST_MAX]);

/* shape.c: the keys of a cell in JSON and CSV, by arm. */
struct report_key {
	const char *setting; /* whose row it is made from and which names it; NULL: a fact */
	const char *name;    /* of a fact */
	json_t *(*value)(const struct settings *s);
	size_t fact; /* its place in struct report_facts */
};
extern const struct report_key report_keys[];
extern const size_t report_keys_n;
/* New references. */
json_t *report_key_value(const struct report_key *key, const struct report_arm *arm);
json_t *report_fact_value(const struct report_key *key, const struct report_facts *facts);
static inline const char *report_fact(const struct report_key *key, const struct report_facts *facts)
{
	return (const char *)facts + key->fact;
}
/* Is this key, or setting, the same in every arm of the cell? */
bool report_key_common(const struct report_cell *cell, const struct report_key *key);
bool report_setting_common(const struct report_cell *cell, const struct setting_row *row);
/* gate.c.  Is this cell skipped, and why: as such, or because every one of its trials was. */
const char *report_cell_skipped(const struct report_cell *cell);

/* Is anything in this report inferred, or are all its comparisons facts? */
bool report_inferred(const struct report *report);

/* numbers in JSON: null where there is none */
json_t *report_number(double value);
json_t *report_count(bool known, uint64_t value);
/* summary.c: of latencies of which only some figures are known: {"mean", "median", …}; and for the reader. */
json_t *report_summary_json(const struct latency_summary *s);
void report_summary_fill(struct report_trial *t, const struct latency_summary *s);
void report_summary_text(const struct latency_summary *s, const struct report_style *style, struct buf *out);
