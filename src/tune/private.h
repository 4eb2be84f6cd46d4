/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Inside tune: knob rows, the entries they expand to, the executors that carry entries out, and the journal.
 *
 * A row (struct knob) says what could be set; planning expands it on this machine into entries.  An entry is
 * a plain value: it names its executor and its object in words and carries both values, so that the journal
 * can hold it and a later process can undo it without the row.  An executor reads and writes one kind of
 * object.  Every change that reaches the machine goes through struct tune_calls, which is therefore the
 * complete list of what tune can do to a machine, and the seam where tests stand in for the kernel or stop
 * the program.
 */
#pragma once

#include "tune/tune.h"

/* --- entries ----------------------------------------------------------------------------------- */

struct executor;

struct entry {
	const struct executor *executor;
	char *knob;           /* id of the row */
	char *object;         /* a path, or "tid 123 start 456" */
	char *before, *after; /* NULL when unknown (skipped) */
	char *detail;         /* what the executor needs besides, e.g. the tasks of a bulk move; else NULL */
	char *reason;         /* why it stands as it does; NULL: nothing to say */
	enum knob_why why;    /* the same for programs */
	enum tune_status status;
	bool optional;   /* its failure does not fail the plan */
	bool written;    /* may have been written: revert must look at it */
	bool strays;     /* our own write read back otherwise: at revert any value counts as ours */
	unsigned choice; /* 0: always; else one of several ways to the same end, tried from the lowest up */
	int netns_fd;    /* owned; −1: the host's namespace */
};

struct tune_plan {
	struct entry *entries;
	size_t n, room;
	char *journal; /* path of its journal; NULL when nothing was written */
};

struct entry *tune_entry_add(
	struct tune_plan *plan, const char *knob, const char *executor, const char *object);
void tune_entry_clear(struct entry *entry);
void tune_entry_values(struct entry *entry, const char *before, const char *after);
/* Sets status and the reason, which may use what is in the entry already. */
void tune_entry_stand(struct entry *entry, enum tune_status status, const char *format, ...) PRINTF(3, 4);
const char *tune_status_name(enum tune_status status);
/* Entries that are to be written now: planned, of no choice or of `choice`. */
bool tune_entry_due(const struct entry *entry, unsigned choice);

/* --- executors --------------------------------------------------------------------------------- */

/* How the text of a file is to be understood. */
enum format {
	FORMAT_TEXT,
	FORMAT_SELECTOR, /* "always [madvise] never": the marked word */
	FORMAT_MASK,     /* "ff,ffffffff" */
	FORMAT_LIST,     /* "0-3,8" */
	FORMAT_ATLEAST,  /* a number; more is as good */
};

struct executor {
	const char *name;
	enum format format;
	/* The value now, malloc'd; NULL function: cannot be read.  -ENOENT, -ESRCH: the object is not there.
	 */
	int (*read)(const struct tune_host *host, const struct entry *entry, char **out, struct err *e);
	int (*write)(
		const struct tune_host *host, const struct entry *entry, const char *value, struct err *e);
	/* Undoes in its own way instead of the three-way comparison: sets status and reason of the entry. */
	int (*revert)(const struct tune_host *host, struct entry *entry, struct err *e);
};

const struct executor *tune_executor(const char *name); /* NULL when there is none */
bool tune_same(enum format format, const char *a, const char *b);
/* May `value` not be written now, because a CPU is offline?  Then the entry stands so (TUNE_AWAY). */
bool tune_entry_away(const struct tune_host *host, struct entry *entry, const char *value);
/* Writes `after` and reads it back: status EFFECTIVE, FAILED (reads back otherwise; `before` is put back),
 * AWAY (not written) or an error. */
int tune_entry_apply(const struct tune_host *host, struct entry *entry, struct err *e);
/* Three-way, see tune.h: status REVERTED, UNCHANGED, LEFT or AWAY (still owed: `written` stays), reason in
 * words; an error when it cannot be put back. */
int tune_entry_revert(const struct tune_host *host, struct entry *entry, struct err *e);
/* The comparison alone, for executors whose revert has more to do. */
int tune_three_way(const struct tune_host *host, struct entry *entry, struct err *e);
/* Undoes every written entry (of `choice`; 0: all) from the last to the first, past errors; the first error
 * is returned. */
int tune_plan_undo(const struct tune_host *host, struct tune_plan *plan, unsigned choice, struct err *e);

/* The executors, one file a family. */
int tune_file_read(const struct tune_host *host, const struct entry *entry, char **out, struct err *e);
int tune_file_write(
	const struct tune_host *host, const struct entry *entry, const char *value, struct err *e);
int tune_pool_revert(const struct tune_host *host, struct entry *entry, struct err *e);
int tune_netns_read(const struct tune_host *host, const struct entry *entry, char **out, struct err *e);
int tune_netns_write(
	const struct tune_host *host, const struct entry *entry, const char *value, struct err *e);
int tune_netns_revert(const struct tune_host *host, struct entry *entry, struct err *e);
int tune_affinity_read(const struct tune_host *host, const struct entry *entry, char **out, struct err *e);
int tune_affinity_write(
	const struct tune_host *host, const struct entry *entry, const char *value, struct err *e);
int tune_affinity_revert(const struct tune_host *host, struct entry *entry, struct err *e);
int tune_sched_revert(const struct tune_host *host, struct entry *entry, struct err *e);
/* What the entry of a task says besides, malloc'd. */
char *tune_task_detail(const struct tune_host *host, pid_t pid);
int tune_sched_read(const struct tune_host *host, const struct entry *entry, char **out, struct err *e);
int tune_sched_write(
	const struct tune_host *host, const struct entry *entry, const char *value, struct err *e);
int tune_rttime_read(const struct tune_host *host, const struct entry *entry, char **out, struct err *e);
int tune_rttime_write(
	const struct tune_host *host, const struct entry *entry, const char *value, struct err *e);
int tune_crowd_read(const struct tune_host *host, const struct entry *entry, char **out, struct err *e);
int tune_crowd_write(
	const struct tune_host *host, const struct entry *entry, const char *value, struct err *e);
int tune_crowd_revert(const struct tune_host *host, struct entry *entry, struct err *e);
int tune_controller_read(const struct tune_host *host, const struct entry *entry, char **out, struct err *e);
int tune_group_read(const struct tune_host *host, const struct entry *entry, char **out, struct err *e);
int tune_group_write(
	const struct tune_host *host, const struct entry *entry, const char *value, struct err *e);
int tune_group_revert(const struct tune_host *host, struct entry *entry, struct err *e);
int tune_join_read(const struct tune_host *host, const struct entry *entry, char **out, struct err *e);
int tune_join_write(
	const struct tune_host *host, const struct entry *entry, const char *value, struct err *e);
int tune_join_revert(const struct tune_host *host, struct entry *entry, struct err *e);
int tune_command_write(
	const struct tune_host *host, const struct entry *entry, const char *value, struct err *e);
int tune_command_revert(const struct tune_host *host, struct entry *entry, struct err *e);

/* --- many tasks in one entry ------------------------------------------------------------------- */

struct member {
	pid_t tid;
	uint64_t start;
	cpus mask; /* before */
};

/* Alive, SCHED_OTHER, BATCH or IDLE, allowed on every online CPU, and the kernel lets it be moved. */
bool tune_task_unpinned(const struct tune_host *host, const struct task *task);
/* The `detail` of an entry: "since=TICKS tid:start:mask …"; since 0: these have no children that inherit. */
void tune_members_add(struct buf *detail, const struct task *task);
int tune_members_parse(const char *detail, uint64_t *since, struct member **out, size_t *n, struct err *e);
uint64_t tune_ticks_now(const struct tune_host *host); /* in the unit of struct task.start */

/* TIDs of a cgroup v1 directory, ascending. */
int tune_group_tids(const struct tune_host *host, const char *dir, pid_t **out, size_t *n, struct err *e);
bool tune_tid_in(const pid_t *tids, size_t n, pid_t tid);

/* --- what changes a machine -------------------------------------------------------------------- */

/* Each returns 0 or -errno. */
struct tune_calls {
	int (*write_file)(void *arg, int root, const char *path, const char *text);
	int (*make_dir)(void *arg, int root, const char *path);
	int (*remove_dir)(void *arg, int root, const char *path);
	int (*set_affinity)(void *arg, pid_t tid, const cpus *set);
	int (*set_sched)(void *arg, pid_t tid, int policy, int priority);
	int (*set_rttime)(void *arg, pid_t pid, uint64_t soft_us); /* UINT64_MAX: unlimited */
	/* Runs /bin/sh -c; its output malloc'd; the exit status, 128+N, or -errno. */
	int (*run)(void *arg, const char *command, char **output);
};
extern const struct tune_calls tune_real_calls;
/* Where a path is to be looked up: the root, or the private debugfs mount (and then *path is moved on). */
int tune_root_of(const struct tune_host *host, const char **path);

/* --- planning ---------------------------------------------------------------------------------- */

struct planning {
	const struct tune_host *host;
	const struct tuning *tuning;
	const struct subject *subject; /* NULL: none yet */
	enum tune_stage stage;
	enum profile profile;
	cpus isolated, housekeeping; /* isolated is empty on one CPU */
	struct task *tasks;          /* all of the machine; read when first asked for */
	size_t tasks_n;
	bool tasks_read;
	struct tune_plan *plan;
};
int tune_planning_tasks(struct planning *p, struct err *e);

/* One object of one row, for which a value is wanted. */
struct asked {
	const struct planning *p;
	const struct executor *executor;
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
bool tune_vcpus_share(const struct planning *p); /* has a CPU to carry more than one vCPU? */
/* The CPUs that a task's cpuset allows; the online ones when that cannot be told. */
void tune_cpuset_of(const struct tune_host *host, pid_t tid, cpus *out);

/* What shall hold the memory of a virtual machine? */
enum tune_backing {
	TUNE_BACKING_RAM,
	TUNE_BACKING_LOCKED,
	TUNE_BACKING_HUGEPAGES, /* the user wants them: without enough of them there is no machine */
	TUNE_BACKING_BEST,      /* huge pages if enough are free once TUNE_HOST is applied, else locked */
};
enum tune_backing tune_wants_backing(const struct tuning *tuning);

/* Does the process live in somebody's container? */
bool tune_is_contained(const struct tune_host *host, pid_t pid);

/* --- journal ----------------------------------------------------------------------------------- */

struct journal {
	char *path;
	char id[40]; /* for the user: PID-N */
	char boot[40];
	pid_t pid;
	uint64_t start; /* of the owner */
	uint64_t sequence;
	struct tune_plan *plan;
};

/* Writes the entries that will be written (those of no choice and of `choice`) to plan->journal, synced. */
int tune_journal_write(const struct tune_host *host, const struct tune_plan *plan, uint64_t sequence,
	unsigned choice, struct err *e);
int tune_journal_remove(struct tune_plan *plan, struct err *e);
/* After an undo that did not get through: only what is still owed stays in it. */
void tune_journal_shrink(const struct tune_plan *plan);
char *tune_journal_path(const struct tune_host *host, pid_t pid, uint64_t sequence);
/* Every journal of the state folder, the newest of each owner first. */
int tune_journals_load(const struct tune_host *host, struct journal **out, size_t *n, struct err *e);
void tune_journals_free(struct journal *journals, size_t n);
/* Removes journals that a taut was killed over: they are not complete, so nothing was written after them. */
void tune_journals_sweep(const struct tune_host *host);
