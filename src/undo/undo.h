/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * undo: everything that changes the machine and must be undone.
 *
 * A change is an entry: an object, its value before, the value after, and the name of the row (the executor)
 * that reads and writes objects of its kind.  Entries form a list, and the list is in the journal, on disk,
 * before the first of them is written.  So whoever finds the journal of a taut that was killed can put its
 * changes back from the entries alone.
 *
 * Putting back is three-way: what still holds our value gets the old one, what holds the old one is left, and
 * what holds a third was set by somebody else, and is left and named.
 *
 * A module that changes objects of a kind of its own brings a table of rows.  The name of a row stands in
 * journals, so it keeps its meaning for ever.  Every change reaches the machine through struct undo_calls,
 * which is therefore the complete list of what taut does to it by entries, and where tests stand in for the
 * kernel or stop the program.
 */
#pragma once

#include "spec/spec.h"
#include "sys/sys.h"

#include <jansson.h>

/* --- the machine ------------------------------------------------------------------------------- */

/* What changes a machine.  Each returns 0 or -errno. */
struct undo_calls {
	int (*write_file)(void *arg, int root, const char *path, const char *text);
	int (*make_dir)(void *arg, int root, const char *path);
	int (*remove_dir)(void *arg, int root, const char *path);
	int (*set_affinity)(void *arg, pid_t tid, const cpus *set);
	int (*set_sched)(void *arg, pid_t tid, int policy, int priority);
	int (*set_rttime)(void *arg, pid_t pid, uint64_t soft_us); /* UINT64_MAX: unlimited */
	/* Of a link in the namespace `ns`: a property, by its word (net_property_set()), and where it is. */
	int (*set_link)(void *arg, int ns, const char *link, const char *property, const char *value);
	int (*move_link)(void *arg, int ns, const char *link, int to);
	/* A network namespace is kept alive by a file that is made for it, and let go. */
	int (*hold_netns)(void *arg, int ns, const char *path);
	int (*drop_netns)(void *arg, const char *path);
	/* By the shell, with a deadline: exit status, -ETIMEDOUT, or another -errno; *output malloc'd. */
	int (*run)(void *arg, const char *command, char **output);
};
extern const struct undo_calls undo_real_calls;

struct undo_table;

/* The machine, and what can be done to it. */
struct undo_host {
	int root;        /* root fd; borrowed */
	char state[256]; /* state folder: journals are STATE/journal-PID-N.json */
	bool privileged;
	struct cgroups cgroups;
	cpus online;
	cpus withheld; /* of the online ones: taut was started without them (cpus_withheld()) */
	int debugfs; /* a debugfs of our own, mounted nowhere, where the machine has none; −1: not needed or
			not allowed */
	const struct undo_calls *calls;
	void *calls_arg;
	const struct undo_table *const *tables; /* the rows of other modules; borrowed */
	size_t tables_n;
};
#define UNDO_HOST_NONE ((struct undo_host){.root = -1, .debugfs = -1})

/*
 * Makes the state folder too.  `root` and `tables` are borrowed; undo_close() gives back the rest.  The rows
 * of this module are always there; the tables are those of other modules.
 */
int undo_open(struct undo_host *host, int root, const struct undo_table *const *tables, size_t tables_n,
	struct err *e);
void undo_close(struct undo_host *host); /* takes UNDO_HOST_NONE */
/* The CPUs that the measured work may be given: online, and not withheld. */
void undo_cpus(const struct undo_host *host, cpus *out);
/* Now, in the unit of struct task.start. */
uint64_t undo_ticks_now(const struct undo_host *host);
/* The fd below which *path is looked up, and the path below it: debugfs may have one of its own. */
int undo_root_of(const struct undo_host *host, const char **path);

/* --- rows: the executors ----------------------------------------------------------------------- */

/* How the text of a value is to be understood. */
enum undo_format {
	FORMAT_TEXT,
	FORMAT_SELECTOR, /* "always [madvise] never": the marked word */
	FORMAT_MASK,     /* "ff,ffffffff" */
	FORMAT_LIST,     /* "0-3,8" */
	FORMAT_ATLEAST,  /* a number; more is as good */
};

struct undo_entry;

struct undo_row {
	const char *name;
	enum undo_format format;
	/* The value now, malloc'd; NULL function: cannot be read.  -ENOENT, -ESRCH: the object is not there.
	 */
	int (*read)(const struct undo_host *host, const struct undo_entry *entry, char **out, struct err *e);
	int (*write)(const struct undo_host *host, const struct undo_entry *entry, const char *value,
		struct err *e);
	/* Undoes in its own way instead of the three-way comparison: sets status and reason of the entry. */
	int (*revert)(const struct undo_host *host, struct undo_entry *entry, struct err *e);
};

struct undo_table {
	const struct undo_row *rows;
	size_t n;
};

const struct undo_row *undo_row_find(const struct undo_host *host, const char *name); /* NULL: none */
bool undo_same(enum undo_format format, const char *a, const char *b);

/* --- entries ----------------------------------------------------------------------------------- */

/* How an entry stands. */
enum undo_status {
	UNDO_PLANNED,
	UNDO_UNCHANGED, /* already as meant: nothing to write */
	UNDO_SKIPPED,   /* not possible or not there; `reason` says why */
	/* When it was carried out, or verified later: */
	UNDO_EFFECTIVE, /* written, and read back as meant */
	UNDO_FAILED,    /* read back otherwise right after the write */
	UNDO_CHANGED,   /* took effect; somebody else has changed it since */
	UNDO_DISPLACED, /* took effect; the kernel has changed it since, for a CPU went offline */
	UNDO_AWAY,      /* owed: what it belongs to is offline, where nothing may be written */
	/* When it was put back: */
	UNDO_JOURNALLED, /* read from a journal: how far it got nobody knows */
	UNDO_REVERTED,   /* the value before was written */
	UNDO_GONE,       /* there is no such object any more, and so nothing to put back */
	UNDO_AS_BEFORE,  /* it held the value before already */
	UNDO_LEFT,       /* changed by somebody else, left alone */
	UNDO_STUCK,      /* could not be put back; owed */
};
const char *undo_status_name(enum undo_status status);
bool undo_status_known(const char *name); /* is it one that undo_list_json() gives? */

struct undo_entry {
	const struct undo_row *row; /* NULL: no table has it; only in what was read from a journal */
	char *row_name;             /* of such a row; else NULL */
	char *knob;           /* what the change is for: id of a row of tune, or a word of another module */
	char *object;         /* a path, or "tid 123 start 456" */
	char *before, *after; /* NULL when unknown (skipped) */
	char *detail;         /* what the row needs besides, e.g. the tasks of a bulk move; else NULL */
	char *reason;         /* why it stands as it does; NULL: nothing to say */
	enum knob_why why;    /* the same for programs */
	enum undo_status status;
	bool optional;   /* its failure does not fail the list */
	bool written;    /* may have been written: revert must look at it */
	bool strays;     /* our own write read back otherwise: at revert any value counts as ours */
	cpus away;       /* CPUs of `after` that were seen offline while it was in force */
	unsigned choice; /* 0: always; else one of several ways to the same end, tried from the lowest up */
	int netns_fd;    /* owned; −1: the host's namespace */
};

/* Entries that are journalled together. */
struct undo_list {
	struct undo_entry *entries;
	size_t n, room;
	char *journal; /* path of its journal; NULL when nothing was written */
	uint64_t sequence;
};

/* `row` names a row that is there. */
struct undo_entry *undo_entry_add(const struct undo_host *host, struct undo_list *list, const char *knob,
	const char *row, const char *object);
void undo_entry_clear(struct undo_entry *entry);
void undo_entry_values(struct undo_entry *entry, const char *before, const char *after);
/* Sets status and the reason, which may use what is in the entry already. */
void undo_entry_stand(struct undo_entry *entry, enum undo_status status, const char *format, ...)
	PRINTF(3, 4);
/* Is it to be written now: planned, of no choice or of `choice`? */
bool undo_entry_due(const struct undo_entry *entry, unsigned choice);
/* May `value` not be written now, because a CPU is offline?  Then the entry stands so (UNDO_AWAY). */
bool undo_entry_away(const struct undo_host *host, struct undo_entry *entry, const char *value);
/* The object is not there: because its CPU is offline?  Then the entry stands so (UNDO_AWAY). */
bool undo_entry_unplugged(const struct undo_host *host, struct undo_entry *entry);
/* Takes down which CPUs of `after` are offline now.  Called whenever an entry in force is looked at. */
void undo_entry_look(const struct undo_host *host, struct undo_entry *entry);
/* Is `value` what the kernel made of `after` when CPUs that were looked at went offline? */
bool undo_displaced(const struct undo_host *host, const struct undo_entry *entry, const char *value);
/* The same of the CPUs of one task. */
bool undo_cpus_displaced(
	const struct undo_host *host, const struct undo_entry *entry, const cpus *ours, const cpus *now);
/* Writes `after` and reads it back: status EFFECTIVE, FAILED (reads back otherwise), AWAY (not written) or an
 * error. */
int undo_entry_apply(const struct undo_host *host, struct undo_entry *entry, struct err *e);
/* Three-way, see above: status REVERTED, GONE, AS_BEFORE, LEFT or AWAY (still owed: `written` stays), reason
 * in words; an error when it cannot be put back. */
int undo_entry_revert(const struct undo_host *host, struct undo_entry *entry, struct err *e);
/* The comparison alone, for rows whose revert has more to do. */
int undo_three_way(const struct undo_host *host, struct undo_entry *entry, struct err *e);

/* Undoes every written entry (of `choice`; 0: all) from the last to the first, past errors; the first error
 * is returned. */
int undo_list_undo(const struct undo_host *host, struct undo_list *list, unsigned choice, struct err *e);
/* Array of {"id","object","before","value","status","reason","why"}; why is a word of enum knob_why or null.
 */
json_t *undo_list_json(const struct undo_list *list);
void undo_list_free(struct undo_list *list);

/* --- journal ----------------------------------------------------------------------------------- */

/* Writes the entries that will be written (those of no choice and of `choice`) to a new journal, synced.
 * Nothing may be written before this. */
int undo_journal_begin(const struct undo_host *host, struct undo_list *list, unsigned choice, struct err *e);
/* The same to the journal that the list has, for another choice. */
int undo_journal_write(
	const struct undo_host *host, const struct undo_list *list, unsigned choice, struct err *e);
int undo_journal_remove(struct undo_list *list, struct err *e);
/* After an undo that did not get through: only what is still owed stays in it. */
void undo_journal_shrink(const struct undo_list *list);

/* --- after a crash ----------------------------------------------------------------------------- */

/* How many journal entries are in force in STATE whose owner is gone (0: none); describes them into `what`
 * (NULL: do not).  A journal that cannot be read counts as one. */
int undo_leftover(const struct undo_host *host, struct buf *what, struct err *e);
/*
 * Puts back what every journal holds whose owner is dead; a line per entry that was put back or left goes to
 * `said` (NULL: none).  Each journal and each entry stands for itself: one that cannot be read or undone is
 * named and kept, and the others are put back.  -EIO with EXIT_PARTLY_APPLIED when something stays owed.
 */
int undo_revert_leftover(const struct undo_host *host, struct buf *said, struct err *e);
/* Gives up what one journal owes, without putting anything back, and says what; `id` as undo_leftover() shows
 * it. EXIT_USAGE: there is no such journal; EXIT_REFUSED: its owner is alive. */
int undo_forget(const struct undo_host *host, const char *id, struct buf *said, struct err *e);

/* --- for the rows of other modules ------------------------------------------------------------- */

/* What the entry of a task says besides, malloc'd. */
char *undo_task_detail(const struct undo_host *host, pid_t pid);
/* TIDs of a cgroup v1 directory, PIDs of one of v2, malloc'd, ascending. */
int undo_cgroup_tids(const struct undo_host *host, const char *dir, pid_t **out, size_t *n, struct err *e);
bool undo_tid_in(const pid_t *tids, size_t n, pid_t tid);
/* Moves one task, in v2 its process, to a cgroup. */
int undo_cgroup_move(const struct undo_host *host, const char *dir, pid_t tid);
/* Moves everything from one cgroup to another; returns how many tasks (one that has to be moved again
 * counts again), -EBUSY when tasks stay. */
int undo_cgroup_drain(const struct undo_host *host, const char *from, const char *to, struct err *e);

/* The driver that a PCI function has, by its name; "" for none. */
void undo_pci_driver(const struct undo_host *host, const char *pci, char *out, size_t size);
/* The network namespace that a file holds (row netns-hold), or −1. */
int undo_netns_held(const char *path);
/* How the row link-home calls the namespace in which taut runs. */
#define UNDO_HOME "the machine's"

/* --- who owns what ----------------------------------------------------------------------------- */

/*
 * A taut that made something, known by more than its PID, which is given away again.  What cannot be told is
 * alive.
 */
struct undo_owner {
	pid_t pid;
	uint64_t start; /* clock ticks; 0: not known */
	uint64_t pidns; /* inode of its PID namespace; 0: not known */
};

/* This process. */
void undo_owner_self(int root, struct undo_owner *out);
bool undo_owner_alive(int root, const struct undo_owner *owner);
/* "TAUT_MARK=pid:start:pidns" of this process, for the environment of everything that it starts. */
const char *undo_mark(void);

/* The owner record: a folder of our own, in which a file says whose it is. */
struct undo_record {
	char base[160];   /* "/run/taut" */
	char folder[224]; /* "/run/taut/123-1-4026531836"; "" when there is none */
	char id[48];      /* "taut-123-1-4026531836": for the names of what belongs to it */
};
/* Made before anything else that can outlive us, and removed after all of it. */
int undo_record_make(struct undo_record *record, struct err *e);
int undo_record_remove(struct undo_record *record, struct err *e); /* takes one without a folder */
/* The same where only the folder is wanted. */
int undo_folder_make(char *out, size_t size, struct err *e);
int undo_folder_remove(const char *folder, struct err *e);

/* --- the cgroups of a trial -------------------------------------------------------------------- */

#define UNDO_GROUPS_MAX 2

struct undo_groups {
	char root[64]; /* "/taut-123-1-4026531836"; "" when this machine or user has none */
	char mounts[UNDO_GROUPS_MAX][128]; /* the hierarchies: cpu and cpuset, or the one of v2 */
	bool cpuset_v1[UNDO_GROUPS_MAX];   /* children start empty there */
	bool enter[UNDO_GROUPS_MAX];       /* native endpoints go in: it is the hierarchy of cpusets */
	size_t n;
	struct undo_list *controllers; /* v2: what was switched on in the parent, journalled; NULL: nothing */
};

/*
 * Best effort: without permission there are no cgroups, which is an answer.  `others`: what is started in
 * them may switch on further controllers of the parent, as container runtimes do; these are journalled too.
 */
void undo_groups_create(struct undo_groups *g, const struct undo_host *host, const char *id, bool others);
/* Makes ROOT/name with the CPUs and memory nodes that ROOT has now, and moves a process into it. */
int undo_groups_enter(const struct undo_groups *g, const struct undo_host *host, const char *name, pid_t pid,
	struct err *e);
/* Removes the cgroups `id` of every hierarchy, whoever made them; waits for what still lives in them up to
 * the deadline. */
int undo_groups_remove(struct undo_groups *g, const struct undo_host *host, const char *id,
	uint64_t deadline_ns, struct err *e);

/* --- sweep: what dead tauts left, but for the journal ------------------------------------------ */

/*
 * A kind of things that outlive a killed taut and that only another module knows.  (Processes, cgroups and
 * owner records are known here.)
 */
struct undo_sweep_row {
	const char *kind; /* "container": for messages */
	/* Are the names those of owner records?  Then the owner is judged here; else each()
	 * gives only what nobody holds any more. */
	bool named;
	/* Calls fn with each; stops at the first non-zero and returns it.  `base`: the folder of all owner
	 * records. */
	int (*each)(const char *base, int (*fn)(const char *name, void *arg), void *arg);
	int (*remove)(const char *base, const char *name, struct err *e);
};

/* What things of dead tauts there are: a line each into `said`; returns how many. */
int undo_sweep_look(const struct undo_sweep_row *const *rows, size_t n, struct buf *said, struct err *e);
/* Removes them; a line each into `said`; returns how many were removed, -EIO when something stays. */
int undo_sweep(const struct undo_sweep_row *const *rows, size_t n, struct buf *said, struct err *e);
