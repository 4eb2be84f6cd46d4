/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * cli: the verbs, one file each; the only module that prints or exits.
 *
 * stdout is data, stderr is messages and progress; progress is shown only where stderr is a terminal.
 */
#pragma once

#include "boot/boot.h"
#include "report/report.h"
#include "run/run.h"
#include "undo/undo.h"
#include "sys/sys.h"

#include <argp.h>

/* --- verbs ------------------------------------------------------------------------------------- */

struct verb {
	const char *name;
	const char *help;                   /* NULL: not for people */
	int (*main)(int argc, char **argv); /* argv[0] is "taut VERB"; returns an exit code */
};
extern const struct verb verbs[];
extern const size_t verbs_n;

int verb_run(int argc, char **argv);
int verb_measure(int argc, char **argv);
int verb_report(int argc, char **argv);
int verb_compare(int argc, char **argv);
int verb_export(int argc, char **argv);
int verb_list(int argc, char **argv);
int verb_tune(int argc, char **argv);
int verb_clean(int argc, char **argv);
int verb_crashed(int argc, char **argv);
int verb_kernel(int argc, char **argv);
int verb_lab(int argc, char **argv);
int verb_site(int argc, char **argv);

/* --- options that several verbs share ---------------------------------------------------------- */

struct common {
	bool json, quiet, yes, dry_run, verbose, gate;
	const char *db, *output;
	uint64_t seed, blocks; /* 0: not given */
	struct setting_override *overrides;
	size_t overrides_n;
};

/* Which of them a verb takes. */
enum common_option {
	COMMON_JSON = 1,
	COMMON_DB = 2,
	COMMON_QUIET = 4,
	COMMON_YES = 8,
	COMMON_PLAN = 16,   /* --set --dry-run */
	COMMON_BLOCKS = 64, /* --seed --blocks */
	COMMON_GATE = 32,
};

/* Parses; leftover arguments (at most `max`) go to args, their number is returned.  Exits with EXIT_USAGE on
 * a mistake, and after --help. */
struct command_line {
	const char *doc, *args_doc;                         /* for --help */
	const struct argp_option *options;                  /* the verb's own, or NULL */
	error_t (*parse)(int key, char *value, void *verb); /* of its own options: 0, or ARGP_ERR_UNKNOWN */
	void *verb;
	unsigned takes; /* enum common_option */
	size_t args_min, args_max;
	bool stoppable; /* signals raise stop_flag from here on */
};
size_t command_line_parse(
	const struct command_line *line, int argc, char **argv, struct common *common, const char **args);
void common_free(struct common *common);
_Noreturn void usage_error(const char *verb, const char *format, ...) PRINTF(2, 3);

/* words.c: what can follow on a command line, for the shells' completions. */
void words_say(const char *args_doc, const struct argp_option *options);
void words_say_verbs(void);

/* --- talking ----------------------------------------------------------------------------------- */

/* One line on stderr; whatever in it is not fit for a terminal is shown as '?'. */
void say_line(const char *head, const char *format, va_list args);
void say_note(const char *format, ...) PRINTF(1, 2);
/* Says an error on stderr; returns its exit code. */
int say_error(const struct err *e);
/* The same, but nothing is said of an interrupt: whoever raised it knows. */
int say_end(const struct err *e);
void say_setup(const struct common *common); /* log level and sink */
/* Columns of the terminal that stdout is; 0: it is none. */
size_t say_columns(void);
struct report_style say_style(const struct common *common);
/* Writes data to stdout; a reader that has gone is no error but raises stop_flag; a full disk is an error. */
int say_data(const char *data, size_t len);
int say_buf(const struct buf *b);
int say_buf_or(const struct buf *b, const char *nothing); /* `nothing` where it is empty */
int say_json(
	json_t *document); /* steals it; pretty on a terminal or not, always one document and a newline */
/* The one line of progress on a terminal: replaced by the next, gone with NULL. */
void progress_line(const char *text);
/* The same with a step of fetching a kernel, unless common->quiet; where there is no terminal only what
 * takes long is said. */
void say_doing(const struct boot_doing *doing, void *common);

/* "2 h 03 min", "1 min 12 s", "7 s"; returns out. */
char *say_left(uint64_t ns, char *out, size_t size);
/* One line, but for a terminal that is narrower, where what follows the head is wrapped. */
void say_row(struct buf *b, const char *head, const char *text);
/* "skipped NAME, NAME: reason": a line for each reason, with the first cells that have it. */
void say_skipped(const struct experiment *x, struct buf *b);

/* --- dry_run.c: what would be done, for every verb that does something -------------------------- */

/*
 * Says the plan of an experiment that has been probed on a site that was opened for planning: as text or as
 * taut.plan/2.  A seed of 0 becomes the one that is shown; a name of "" (a single trial) becomes null.
 */
int dry_run(struct experiment *x, struct site *site, bool json);

/* --- state ------------------------------------------------------------------------------------- */

int database_open(const struct common *common, struct store **out, struct err *e);
/* The same for a verb that only reads: nothing is made or changed. */
int database_read(const struct common *common, struct store **out, struct err *e);
/* Opens the database and loads the runs that `which` name; both are the caller's to close, also on failure.
 */
int reports_load(const struct common *common, const char *const *which, size_t n, struct store **store,
	struct report **reports, struct err *e);
/* The lock of everything that changes the machine; -EBUSY when another taut has it.  A file descriptor. */
int lock_take(struct err *e);

/* How every verb that measures begins, and ends. */
struct measuring {
	int lock; /* −1: none, of a dry run */
	struct site *site;
};
#define MEASURING_NONE ((struct measuring){.lock = -1})
/*
 * Fetches the kernels that the experiment needs, enters a user namespace where there is no root, takes the
 * lock, says what a killed taut has left, and opens the site.  A dry run only plans: it fetches and locks
 * nothing.  -EINTR when stopped.
 */
int measuring_open(struct measuring *m, struct common *common, const struct experiment *x, struct err *e);
void measuring_close(struct measuring *m);
/* The machine with all that this program can undo on it, as undo_open(). */
int machine_open(struct undo_host *host, int root, struct err *e);
#define SWEEP_ROWS_MAX 16
/* What other modules leave when taut is killed, for undo_sweep(); returns how many. */
size_t machine_sweep_rows(const struct undo_sweep_row *rows[SWEEP_ROWS_MAX]);
