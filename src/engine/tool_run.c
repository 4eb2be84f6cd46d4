/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A standard tool in the place of an end: its program is a child of this process, so it has its namespaces,
 * its cgroup, and what its thread was placed and scheduled with.
 *
 * One thread does it all.  It starts the program of a server at once and waits until that listens, which the
 * kernel tells in /proc/net, whatever the program prints.  The program of a client must not run before all is
 * tuned, but must be there to be tuned: so the thread starts this program again, as `taut-agent tool`, which
 * waits for a byte and then becomes the tool, with the same PID, CPUs and scheduling.  While the tool
 * measures the thread sleeps; it wakes up twice, to read the CPU time that the tool has used.
 *
 * A program that has ended, or is to end, is reaped together with its process group; and it gets SIGKILL when
 * this process dies, whatever it dies of.  What it prints goes to a file in memory of limited size, so that
 * nobody has to wake up for it; a log that is written after measuring comes through a pipe and is read line
 * by line, for it may be long.
 */
#include "tool_run.h"

#include "internal.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>

#define ENDS_ALONE_NS (3 * NS_PER_S) /* a server whose client has gone, and that ends by itself then */

/* --- while it runs ------------------------------------------------------------------------------ */

static uint64_t cpu_time(pid_t pid)
{
	struct timespec ts;
	clockid_t clock;

	if (pid <= 0 || clock_getcpuclockid(pid, &clock) || clock_gettime(clock, &ts) < 0)
		return 0;
	return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

/* The first mark is the end of the warm-up, the second lies in the last part of the measured time. */
static void mark(struct tool_run *t)
{
	t->cpu_ns[t->marks] = cpu_time(t->child.pid);
	t->marked_ns[t->marks++] = time_now_ns();
}

static uint64_t next_mark(const struct tool_run *t)
{
	uint64_t begins = t->go_ns + (t->driver->no_warmup ? 0 : t->job.warmup_ns),
		 length = t->job.duration_ns;

	if (t->child.pid <= 0 || !t->go_ns || t->marks == 2)
		return UINT64_MAX;
	return t->marks ? begins + length - length / 16 : begins;
}

/* What is in the pipe of the log; false at its end, or when nobody wants to know more. */
static bool log_take(struct tool_run *t)
{
	char chunk[16384];
	ssize_t n = read(t->log, chunk, sizeof(chunk));

	for (ssize_t i = 0; i < n && !t->why.code; i++) {
		if (chunk[i] != '\n') {
			if (t->line_n == sizeof(t->line) - 1)
				err_set(&t->why, EPROTO, "its log has a line of more than %zu bytes",
					t->line_n);
			else
				t->line[t->line_n++] = chunk[i];
			continue;
		}
		t->line[t->line_n] = 0;
		t->line_n = 0;
		t->reading.ended_ns = time_now_ns();
		t->driver->line(&t->reading, t->line, &t->why);
	}
	return n > 0 || (n < 0 && errno == EINTR);
}

static void log_close(struct tool_run *t)
{
	if (t->log >= 0)
		close(steal_fd(&t->log));
}

/* Has it ended by then? */
static void take_end(struct tool_run *t, uint64_t deadline_ns)
{
	struct pollfd p = {.fd = t->child.pidfd, .events = POLLIN};
	uint64_t now = time_now_ns();

	if (poll(&p, 1, (int)((MAX(deadline_ns, now) - now) / NS_PER_MS)) <= 0)
		return;
	t->reading.ended_ns = time_now_ns();
	standing_read(&t->after, t->child.pid); /* can be asked until it is reaped */
	tool_end_group(t);
	t->ended = child_wait(&t->child, time_now_ns() + NS_PER_S, &t->status, &t->why) == 1;
}

/* Sleeps until the program has ended, its log is read, or there is something to do: false when all is over.
 */
static bool attend(struct tool_run *t)
{
	struct pollfd p[] = {{.fd = t->child.pid > 0 ? t->child.pidfd : -1, .events = POLLIN},
		{.fd = t->log, .events = POLLIN}, {.fd = t->stop_fd, .events = POLLIN},
		{.fd = t->go_ns ? -1 : t->go_fd, .events = POLLIN}};
	uint64_t now = time_now_ns(), next = next_mark(t);
	int wait_ms = next == UINT64_MAX ? -1 : (int)(next > now ? (next - now) / NS_PER_MS + 1 : 0);

	if (poll(p, ARRAY_LEN(p), wait_ms) < 0 && errno != EINTR)
		return false;
	if (p[2].revents)
		return false;
	if (p[3].revents) {
		t->go_ns = t->reading.started_ns = time_now_ns();
		standing_read(&t->before, t->child.pid);
		if (t->go_pipe >= 0 && write(t->go_pipe, "", 1) != 1)
			err_sys(&t->why, "cannot let it go");
	}
	if (time_now_ns() >= next)
		mark(t);
	if (p[1].revents && !log_take(t))
		log_close(t);
	if (p[0].revents)
		take_end(t, 0);
	return t->child.pid > 0 || t->log >= 0 || t->alone;
}

static void *run_main(void *arg)
{
	struct tool_run *t = arg;

	pthread_setname_np(pthread_self(), "taut-tool");
	prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL); /* as taut's own engine has it; children inherit it */
	t->timer_slack_ns = (uint64_t)prctl(PR_GET_TIMERSLACK, 0UL, 0UL, 0UL, 0UL);
	int rc = t->job.server ? tool_start_server(t, &t->why) : tool_start(t, &t->why);
	t->prepared = rc == 0;
	eventfd_write(t->prepared_fd, 1);
	if (rc < 0) {
		tool_end_all(t);
		return NULL;
	}
	while (attend(t))
		;
	/* Asked to end: what tells something gets time to. */
	if (t->child.pid > 0 && t->driver->read_server && t->job.server)
		take_end(t, time_now_ns() + ENDS_ALONE_NS);
	if (t->alone || t->child.pid > 0)
		standing_read(&t->after, t->child.pid);
	tool_end_all(t);
	log_close(t);
	eventfd_write(t->done_fd, 1);
	return NULL;
}

/* --- what was seen ------------------------------------------------------------------------------ */

static void read_output(struct tool_run *t, struct endpoint_record *record, struct err *e)
{
	int (*read_it)(struct tool_reading *, char *, size_t, struct err *) =
		t->job.server ? t->driver->read_server : t->driver->read;
	off_t end = lseek(t->output, 0, SEEK_CUR); /* the program has moved it */

	if (!read_it)
		return;
	/* The last line of what was cut off may be missing. */
	if (end < 0 || end > (off_t)(TOOL_OUTPUT_BYTES - TOOL_LINE_BYTES)) {
		err_set(e, EFBIG, "%s printed more than %u MiB: the trial is too long for it",
			tool_rows[t->job.tool].name, TOOL_OUTPUT_BYTES >> 20);
		return;
	}
	char *text = mem_alloc((size_t)end + 1);
	ssize_t n = pread(t->output, text, (size_t)end, 0);
	t->reading.record = record;
	if (read_it(&t->reading, text, n > 0 ? (size_t)n : 0, e) < 0)
		err_wrap(e, "cannot read what %s printed", tool_rows[t->job.tool].name);
	free(text);
}

static bool ended_softly(const struct tool_run *t)
{
	return t->driver->soft_status && WIFEXITED(t->status) &&
	       WEXITSTATUS(t->status) == t->driver->soft_status;
}

static void collect_process(const struct tool_run *t, struct endpoint_record *record)
{
	conditions_add_standing(&t->before, &t->after, &record->conditions);
	if (t->marks < 2 || !(t->job.server ? t->driver->server_cpu : t->driver->client_cpu) ||
		t->job.transactions || t->cpu_ns[1] < t->cpu_ns[0])
		return;
	/* The marks hold most of the stretch; what it used in them, for the whole of it. */
	double share = (double)t->job.duration_ns / (double)(t->marked_ns[1] - t->marked_ns[0]);
	record->unknown &= ~FIGURE(CPU);
	record->cpu_ns = (uint64_t)((double)(t->cpu_ns[1] - t->cpu_ns[0]) * share);
}

void tool_collect(struct tool_run *t, struct endpoint_record *record)
{
	char how[128];

	tool_stop(t);
	memset(record, 0, sizeof(*record));
	hist_clear(&record->service);
	hist_clear(&record->response);
	hist_clear(&record->lateness);
	latency_summary_clear(&record->summary);
	record->unknown = t->job.server ? t->driver->server_unknown : t->driver->client_unknown;
	record->started_ns = record->ended_ns = t->go_ns;
	record->timer_slack_ns = t->timer_slack_ns;
	/* A server that was asked to end did not end by itself. */
	bool failed = t->ended && t->status && !ended_softly(t);
	if (!t->why.code && t->output >= 0 && (!failed || t->driver->tells_errors))
		read_output(t, record, &t->why);
	if (!t->why.code && (failed || (t->ended && t->job.server && !t->driver->read_server))) {
		tool_how_it_ended(t, t->status, how, sizeof(how));
		err_set(&t->why, ECHILD, "%s", how);
	}
	if (t->why.code)
		snprintf(record->mistake, sizeof(record->mistake), "%.*s", (int)sizeof(record->mistake) - 1,
			t->why.text);
	collect_process(t, record);
}

/* --- its life ----------------------------------------------------------------------------------- */

const uint16_t *tool_ports(const struct tool_run *t)
{
	return t->ports;
}

int tool_done_fd(const struct tool_run *t)
{
	return t->done_fd;
}

void tool_go(struct tool_run *t)
{
	eventfd_write(t->go_fd, 1);
}

void tool_stop(struct tool_run *t)
{
	if (!t->created)
		return;
	eventfd_write(t->stop_fd, 1);
	pthread_join(t->thread, NULL);
	t->created = false;
}

void tool_free(struct tool_run *t)
{
	if (!t)
		return;
	tool_stop(t);
	const int fds[] = {
		t->done_fd, t->stop_fd, t->go_fd, t->prepared_fd, t->go_pipe, t->log, t->output, t->words};
	for (size_t i = 0; i < ARRAY_LEN(fds); i++)
		if (fds[i] >= 0)
			close(fds[i]);
	free(t->reading.recorder);
	free(t);
}

static int fill(struct tool_run *t, struct err *e)
{
	int *const events[] = {&t->done_fd, &t->stop_fd, &t->go_fd, &t->prepared_fd};
	struct timespec wall;

	for (size_t i = 0; i < ARRAY_LEN(events); i++)
		if ((*events[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) < 0)
			return err_sys(e, "cannot create an eventfd");
	clock_gettime(CLOCK_REALTIME, &wall);
	t->reading.job = &t->job;
	t->reading.wall_ns = (int64_t)wall.tv_sec * (int64_t)NS_PER_S + wall.tv_nsec - (int64_t)time_now_ns();
	t->reading.recorder = recorder_new(false);
	int code = pthread_create(&t->thread, NULL, run_main, t);
	if (code)
		return err_code(e, code, "cannot start a thread");
	t->created = true;
	while (socket_wait(t->prepared_fd, POLLIN, -1, UINT64_MAX) < 0)
		;
	if (t->prepared)
		return 0;
	tool_stop(t);
	*e = t->why;
	return -e->code;
}

int tool_prepare(struct tool_run **out, const struct endpoint_job *job, uint64_t deadline_ns, struct err *e)
{
	struct tool_run *t = mem_alloc(sizeof(*t));

	*t = (struct tool_run){.job = *job,
		.driver = tool_driver_of(job->tool),
		.deadline_ns = deadline_ns,
		.child = CHILD_NONE,
		.done_fd = -1,
		.stop_fd = -1,
		.go_fd = -1,
		.prepared_fd = -1,
		.go_pipe = -1,
		.log = -1,
		.output = -1,
		.words = -1};
	int rc = fill(t, e);
	if (rc < 0) {
		tool_free(t);
		return rc;
	}
	*out = t;
	return 0;
}
