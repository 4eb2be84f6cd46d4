/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Inside tune: knob rows, the entries they expand to, and moves of many tasks at once.
 *
 * A row (struct knob) says what could be set; planning expands it on this machine into entries (see undo.h).
 * An entry names its executor, a row of undo or of bulk.c, in words, so that the journal can hold it and a
 * later process can undo it without the knob.
 */
#pragma once

#include "tune/tune.h"

/* --- bulk: many tasks in one entry ------------------------------------------------------------- */

struct member {
	pid_t tid;
	uint64_t start;
	cpus mask; /* before */
};

/* Alive, SCHED_OTHER, BATCH or IDLE, allowed on every online CPU, and the kernel lets it be moved. */
bool tune_task_unpinned(const struct undo_host *host, const struct task *task);
/* The `detail` of an entry: "since=TICKS tid:start:mask …"; since 0: these have no children that inherit. */
void tune_members_add(struct buf *detail, const struct task *task);
int tune_members_parse(const char *detail, uint64_t *since, struct member **out, size_t *n, struct err *e);

int tune_join_read(const struct undo_host *host, const struct undo_entry *entry, char **out, struct err *e);
int tune_join_write(
	const struct undo_host *host, const struct undo_entry *entry, const char *value, struct err *e);
int tune_join_revert(const struct undo_host *host, struct undo_entry *entry, struct err *e);

/* --- planning ---------------------------------------------------------------------------------- */

struct planning {
	const struct undo_host *host;
	const struct tuning *tuning;
	const struct subject *subject; /* NULL: none yet */
	enum tune_stage stage;
	enum profile profile;
	cpus isolated, housekeeping; /* isolated is empty on one CPU, and where pollers take all */
	bool all_polled;             /* they do */
	int64_t client_cpu,
		server_cpu; /* as the settings, or the ends' polling, want it; −1: by the profile */
	struct task *tasks; /* all of the machine; read when first asked for */
	size_t tasks_n;
	bool tasks_read;
	struct undo_list *plan;
};
int tune_planning_tasks(struct planning *p, struct err *e);

/* One object of one row, for which a value is wanted. */
struct asked {
	const struct planning *p;
	const struct undo_row *row;
	const char *before; /* the value now */
	int number;         /* CPU or IRQ */
	const struct subject_thread *thread;
	const struct subject_link *link;
	const char *group; /* "/taut-1/client" */
};

enum answer {
	ANSWER_VALUE, /* out is the value */
	ANSWER_SKIP,  /* out is the reason why not */
	ANSWER_NONE,  /* this profile has no wish here: no entry */
};

struct value {
	const char *text; /* the value itself, or */
	enum answer (*formula)(const struct asked *asked, char *out, size_t size);
};

/* What one row becomes on a machine.  In `object` a # stands for the CPU, the IRQ, the queue or the cgroup.
 */
enum expand {
	EXPAND_ONE,
	EXPAND_CPU,     /* every isolated CPU */
	EXPAND_IRQ,     /* every folder of /proc/irq */
	EXPAND_QUEUE,   /* every receive queue of the subject's links */
	EXPAND_GROUP,   /* every cgroup v1 between the hierarchy's root and an endpoint, from the top down */
	EXPAND_THREAD,  /* every thread of `roles` */
	EXPAND_PROCESS, /* every process of `roles` */
	EXPAND_OWN,     /* by `plan` of the row */
};

#define ROLE_BIT(role) (1u << (role))
#define ENDPOINTS      (ROLE_BIT(ROLE_CLIENT) | ROLE_BIT(ROLE_SERVER))

struct knob {
	const char *id, *help, *risk; /* help: what it does and why; risk: what it may cost, or NULL */
	enum tune_stage stage;
	enum expand expand;
	unsigned roles;
	const char *object;
	const char *executor;
	struct value value[PROFILES_N]; /* an empty one: this profile leaves it alone */
	bool mandatory;                 /* its failure fails the plan */
	bool anyone;                    /* needs no root */
	int (*plan)(struct planning *p, const struct knob *knob, struct err *e);
};

/* The members of a row that say which profile wants what. */
#define LOW_LATENCY_TEXT(text_) .value[PROFILE_LOW_LATENCY] = {.text = (text_)}
#define LOW_LATENCY(formula_)   .value[PROFILE_LOW_LATENCY] = {.formula = (formula_)}
#define EVERY_PROFILE(formula_)                                                                              \
	.value[PROFILE_STOCK] = {.formula = (formula_)}, .value[PROFILE_COMMAND] = {.formula = (formula_)},  \
	LOW_LATENCY(formula_)

struct knob_table {
	const struct knob *rows;
	size_t n;
};
/* Tables in the order in which their entries are applied. */
extern const struct knob_table tune_knobs_command, tune_knobs_partition, tune_knobs_cpu, tune_knobs_irq,
	tune_knobs_net, tune_knobs_sched, tune_knobs_vm;

/* Calls fn for every row in the order of applying; stops at the first non-zero and returns it. */
int tune_rows_each(int (*fn)(const struct knob *knob, void *arg), void *arg);
/* Expands one row. */
int tune_knob_expand(struct planning *p, const struct knob *knob, struct err *e);

/* Formulas that several families use. */
enum answer tune_value_off_isolated(
	const struct asked *asked, char *out, size_t size); /* CPU masks and lists */
/* The CPU of a thread of the measured work. */
enum answer tune_value_place(const struct asked *asked, char *out, size_t size);
/* The endpoints' scheduling, where it is SCHED_FIFO `rank` priorities above theirs. */
enum answer tune_value_sched(const struct asked *asked, int rank, char *out, size_t size);
/* Scheduling that the endpoints shall have; false: as they are. */
bool tune_sched_wanted(const struct planning *p, int *policy, int *priority);
bool tune_fifo_wanted(const struct planning *p);
/* Is it a thread that a machine's packets go through: vhost, or QEMU's main loop where there is none? */
bool tune_moves_packets(const struct asked *asked);
/* Would the client, under SCHED_FIFO, keep those who take its datagrams from ever running? */
bool tune_client_starves(const struct planning *p);
bool tune_vcpus_share(const struct planning *p);          /* has a CPU to carry more than one vCPU? */
const char *tune_one_cpu(const struct undo_host *host);   /* why nothing can be isolated */
const char *tune_none_isolated(const struct planning *p); /* why nothing is */
/* All CPUs of the core that this one is of. */
void tune_siblings(const struct undo_host *host, int cpu, cpus *out);
/* Ends that poll: do they take all CPUs; gives them CPUs of their own, once `isolated` is known. */
bool tune_pollers_take_all(const struct planning *p);
void tune_pollers_place(struct planning *p);
/* The CPUs that a task's cpuset allows; the online ones when that cannot be told. */
void tune_cpuset_of(const struct undo_host *host, pid_t tid, cpus *out);

/* What shall hold the memory of a virtual machine? */
enum tune_backing {
	TUNE_BACKING_RAM,
	TUNE_BACKING_LOCKED,
	TUNE_BACKING_HUGEPAGES, /* the user wants them: without enough of them there is no machine */
	TUNE_BACKING_BEST,      /* huge pages if enough are free once TUNE_HOST is applied, else locked */
};
enum tune_backing tune_wants_backing(const struct tuning *tuning);

/* Does the process live in somebody's container? */
bool tune_is_contained(const struct undo_host *host, pid_t pid);
