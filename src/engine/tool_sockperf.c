/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * sockperf 3.7: ping-pong in a closed loop, under-load with a reply to each message in an open one.
 *
 * Its log has the times of each message that was answered, in seconds, when it has ended:
 *
 *     packet, txTime(sec), rxTime(sec), latency(usec)
 *     0, 924.760245705, 924.760257242, 5.768
 *
 * What it calls latency is half of a round trip; a transaction here is the whole one, rxTime − txTime.
 *
 * In a closed loop it gets --no-rdtsc, by which the times are those of CLOCK_MONOTONIC, so that slow ones can
 * be held against what the machine went through.  It then takes the frequency of the TSC for that of its
 * clock wherever it waits: the first 400 ms and the last 50 ms, which it leaves out, become longer by that
 * factor, which LEFT_OUT_NS allows for, and the interval of an open loop would too.  So an open loop has the
 * TSC, whose times count from some moment about a tenth of a second after the program's start; where its slow
 * ones lie on our clock is not known, and `worst` stays empty.  Nor is its schedule in the log, only when
 * each message was sent: its latencies are service times.
 */
#include "tool.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define LEFT_OUT_NS (2500 * NS_PER_MS)

static void client(struct tool_args *a, const struct endpoint_job *job)
{
	bool open = job_open_loop(job);

	tool_arg(a, "%s", open ? "under-load" : "ping-pong");
	if (!job->workload->datagrams)
		tool_arg(a, "--tcp");
	tool_option(a, "-i", "%s", job->address);
	tool_option(a, "-p", "%u", job->ports[0]);
	tool_option(a, "-m", "%" PRIu64, job->request_bytes);
	tool_option(a, "-t", "%llu", tool_seconds(job, LEFT_OUT_NS));
	if (open) {
		tool_option(a, "--mps", "%" PRIu64, job->rate);
		tool_option(a, "--reply-every", "1");
	} else {
		tool_arg(a, "--no-rdtsc");
	}
	if (job->busy_poll_us) {
		tool_option(a, "--lls", "%" PRIu64, job->busy_poll_us);
	}
	if (!job->nodelay && !job->workload->datagrams)
		tool_arg(a, "--tcp-avoid-nodelay");
	tool_option(a, "--full-log", TOOL_LOG);
}

static void server(struct tool_args *a, const struct endpoint_job *job)
{
	tool_arg(a, "server");
	if (!job->workload->datagrams)
		tool_arg(a, "--tcp");
	tool_option(a, "-i", "%s", job->address);
	tool_option(a, "-p", "%u", job->ports[0]);
	if (!job->nodelay && !job->workload->datagrams)
		tool_arg(a, "--tcp-avoid-nodelay");
	if (job->busy_poll_us) {
		tool_option(a, "--lls", "%" PRIu64, job->busy_poll_us);
	}
}

static int bad_line(char *line, struct err *e)
{
	return err_set(e, EPROTO, "its log has the line '%.60s'", str_printable(line));
}

static int line_read(struct tool_reading *r, char *line, struct err *e)
{
	uint64_t sent, replied;
	const char *p;
	char *number_end;

	if (!r->table) {
		r->table = str_starts(line, "packet, txTime(sec), rxTime(sec)");
		return 0;
	}
	if (str_starts(line, "-----") || !*line)
		return 0;
	strtoull(line, &number_end, 10);
	if (number_end == line || !str_starts(number_end, ", ") ||
		tool_decimal(number_end + 2, NS_PER_S, &sent, &p) < 0 || !str_starts(p, ", ") ||
		tool_decimal(p + 2, NS_PER_S, &replied, &p) < 0 || *p != ',' || replied < sent)
		return bad_line(line, e);
	if (!r->from_ns && sent < r->started_ns) {
		r->base_ns = r->started_ns;
		r->unplaced = true;
	}
	if (sent + r->base_ns < r->started_ns || replied + r->base_ns > r->ended_ns)
		return bad_line(line, e);
	tool_observe(r, sent + r->base_ns, replied + r->base_ns);
	return 0;
}

/* "sockperf: # dropped messages = 0; # duplicated messages = 0; # out-of-order messages = 0": of all that it
 * has measured, of which the stretch is a part.  So 0 is known of the stretch, and more is not. */
static int read_output(struct tool_reading *r, char *text, size_t len, struct err *e)
{
	struct endpoint_record *record = r->record;
	unsigned long long dropped, doubled, disordered;

	(void)len;
	if (!r->observed)
		return err_set(e, EPROTO, "its log has no transaction of the measured time");
	tool_observed(r);
	const char *counts = strstr(text, "# dropped messages = ");
	if (!counts || sscanf(counts,
			       "# dropped messages = %llu; # duplicated messages = %llu; "
			       "# out-of-order messages = %llu",
			       &dropped, &doubled, &disordered) != 3)
		return 0;
	if (!dropped) {
		record->unknown &= ~(FIGURE(LOST) | FIGURE(SENT));
		record->sent = record->transactions;
	}
	if (!doubled && !disordered)
		record->unknown &= ~FIGURE(DISORDER);
	return 0;
}

#define UNKNOWN (FIGURE(TIMEOUTS) | FIGURE(RETRANSMITS) | FIGURE(CPU) | FIGURE(SWITCHES) | FIGURE(JITTER))

const struct tool_driver tool_sockperf = {
	.client = client,
	.server = server,
	.client_unknown = UNKNOWN | FIGURE(SENT) | FIGURE(LOST) | FIGURE(DISORDER),
	.server_unknown = UNKNOWN | FIGURE(SENT) | FIGURE(TRANSACTIONS),
	.line = line_read,
	.read = read_output,
};
