/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A standard tool as an end; private to the module.
 *
 * tool_run.c starts the program, watches and ends it; a driver, one for each tool, says with which arguments,
 * and reads what the program has printed into the record of the end.  What is printed is outside input: it is
 * bounded, and what it does not tell is unknown in the record.
 */
#pragma once

#include "recorder.h"

struct tool_run;

/* As the functions of engine.h of the same names. */
int tool_prepare(struct tool_run **out, const struct endpoint_job *job, uint64_t deadline_ns, struct err *e);
const uint16_t *tool_ports(const struct tool_run *t);
int tool_done_fd(const struct tool_run *t);
void tool_go(struct tool_run *t);
void tool_stop(struct tool_run *t);
void tool_collect(struct tool_run *t, struct endpoint_record *record);
void tool_free(struct tool_run *t);

/* --- arguments --------------------------------------------------------------------------------- */

#define TOOL_ARGS_MAX 40

struct tool_args {
	const char *argv[TOOL_ARGS_MAX + 1]; /* NULL-terminated */
	size_t n, used;
	char text[TOOL_COMMAND_MAX * 2];
};
void tool_arg(struct tool_args *a, const char *format, ...) PRINTF(2, 3);
/* An option, and its value as an argument of its own. */
void tool_option(struct tool_args *a, const char *option, const char *format, ...) PRINTF(3, 4);
/* Whole seconds that hold warm-up, measured time and `more_ns`. */
unsigned long long tool_seconds(const struct endpoint_job *job, uint64_t more_ns);
#define TOOL_LOG "/proc/self/fd/4" /* where a driver with .line lets its program write */

/* --- reading ----------------------------------------------------------------------------------- */

#define TOOL_OUTPUT_BYTES (128u << 20) /* the most that a program can print */
#define TOOL_LINE_BYTES   512

/* What is being read, and where it goes. */
struct tool_reading {
	const struct endpoint_job *job;
	uint64_t started_ns, ended_ns; /* when the program was started, and had ended */
	int64_t wall_ns;               /* CLOCK_REALTIME less CLOCK_MONOTONIC */
	struct recorder *recorder;     /* of observations, see tool_observe() */
	struct endpoint_record *record;
	/* of tool_observe() */
	uint64_t from_ns, until_ns, last_ns, observed;
	/* of a driver that reads lines */
	bool table;       /* its head has come, or of one without a head the first line */
	uint64_t base_ns; /* of its times */
	bool unplaced;    /* which is not exact, so that it is not known what happened at them */
	/* The greatest number so far; and of what was observed, the first and one past the last. */
	uint64_t seq_last, seq_first, seq_end;
	uint64_t seq_sent; /* how many were sent in all, 0: not said */
	bool past;         /* one was answered that was sent after the stretch */
};

/*
 * One transaction of the client, by CLOCK_MONOTONIC.  The first one begins the warm-up; what was sent within
 * it, or after the measured time, is left out.  False: it was.
 */
bool tool_observe(struct tool_reading *r, uint64_t sent_ns, uint64_t replied_ns);
/* Once all has been read: what was observed goes to the record. */
void tool_observed(struct tool_reading *r);
/* The measured stretch of which a tool tells only how long it was, and which ended so long before it did;
 * -EPROTO when it did not run so long. */
int tool_stretch(struct tool_reading *r, uint64_t stretch_ns, uint64_t before_end_ns, struct err *e);
/* "12.5" in units of `unit_ns` as ns; the text behind it.  -EINVAL for anything else. */
int tool_decimal(const char *text, uint64_t unit_ns, uint64_t *ns, const char **end);
/* JSON as a tool prints it: bounded, an object.  NULL says in *e why not. */
json_t *tool_json(const char *text, size_t len, struct err *e);
/* Cuts a line of at most TOOL_LINE_BYTES from *text, which moves on; NULL at the end. */
char *tool_line(char **text, size_t *len);

/* --- drivers: a row each ------------------------------------------------------------------------ */

struct tool_driver {
	void (*client)(struct tool_args *a, const struct endpoint_job *job);
	void (*server)(struct tool_args *a, const struct endpoint_job *job); /* NULL: it runs none */
	/* What stays unknown of each end, unless reading finds it: FIGURE(…). */
	unsigned client_unknown, server_unknown;
	/* Of this end, what its process uses while the trial is measured is what the trial costs: it works
	 * from its start, and in no process of its own. */
	bool client_cpu, server_cpu;
	bool no_warmup;    /* what it measures begins with its first request */
	int soft_status;   /* an exit status besides 0 that is no failure; 0: there is none */
	bool tells_errors; /* what it prints says why it failed, so that it is read then too */
	/* One line of what its client has written to TOOL_LOG; NULL: it has no log. */
	int (*line)(struct tool_reading *r, char *line, struct err *e);
	/* All that its client has printed, ended by NUL; and then its server, where that tells something. */
	int (*read)(struct tool_reading *r, char *text, size_t len, struct err *e);
	int (*read_server)(struct tool_reading *r, char *text, size_t len, struct err *e);
};
extern const struct tool_driver tool_netperf, tool_iperf3, tool_sockperf, tool_ping, tool_command;
const struct tool_driver *tool_driver_of(enum tool tool);

/* HdrHistogram's log, of which all histograms are added up.  -EINVAL, -EPROTO. */
int tool_hlog_read(struct hist *h, char *text, size_t len, struct err *e);
