/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * ping of iputils: a line for each reply, with the time at which it came (-D) and its round trip, of which it
 * shows three or four digits:
 *
 *     [1796018650.123456] 64 bytes from 10.87.0.2: icmp_seq=1 ttl=64 time=0.045 ms
 *
 * A closed loop is -A, which sends when the reply has come; a rate is an interval.  There is no server: the
 * kernel of the other side answers.  Lost is every sequence number of the stretch that nobody answered.
 */
#include "internal.h"
#include "tool.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static void client(struct tool_args *a, const struct endpoint_job *job)
{
	tool_arg(a, "-n");
	tool_arg(a, "-D");
	tool_arg(a,
		"-U"); /* from call to call, as all others measure; else to the kernel's stamp of the reply */
	if (job_open_loop(job)) {
		tool_option(a, "-i", "%.6f", 1.0 / (double)job->rate);
	} else {
		tool_arg(a, "-A");
	}
	if (job->transactions) {
		tool_option(a, "-c", "%" PRIu64, job->transactions);
	}
	tool_option(a, "-w", "%llu",
		job->transactions ? (unsigned long long)((job->max_duration_ns + NS_PER_S - 1) / NS_PER_S)
				  : tool_seconds(job, 0));
	tool_option(a, "-s", "%" PRIu64, job->size_bytes);
	tool_arg(a, "%s", job->address);
}

#define SENT_MOST (1ull << 40)

/* What one line of a reply says. */
struct reply {
	uint64_t came_ns, round_trip_ns; /* CLOCK_REALTIME */
	uint64_t seq;
};

/* False when it is none. */
static bool reply_read(const char *line, struct reply *out)
{
	const char *p, *seq = strstr(line, "icmp_seq="), *time = strstr(line, " time=");
	char *end;

	if (line[0] != '[' || !seq || !time || tool_decimal(line + 1, NS_PER_S, &out->came_ns, &p) < 0 ||
		*p != ']' || tool_decimal(time + strlen(" time="), NS_PER_MS, &out->round_trip_ns, &p) < 0 ||
		!str_starts(p, " ms"))
		return false;
	out->seq = strtoull(seq + strlen("icmp_seq="), &end, 10);
	return end != seq + strlen("icmp_seq=") && out->seq <= UINT16_MAX;
}

static int take(struct tool_reading *r, const struct reply *reply, bool again, struct err *e)
{
	int64_t came = (int64_t)reply->came_ns - r->wall_ns;
	uint64_t sent = (uint64_t)came - reply->round_trip_ns;
	/* The number has 16 bits on the wire; replies come nearly in order. */
	uint64_t seq = r->table ? sequence_restore(r->seq_last, reply->seq, 2) : reply->seq;

	if (came < 0 || reply->round_trip_ns > (uint64_t)came || sent + NS_PER_MS < r->started_ns ||
		(uint64_t)came > r->ended_ns + NS_PER_MS)
		return err_set(e, EPROTO, "it had a reply at a time at which it did not run");
	if (again) {
		r->record->duplicates++;
		return 0;
	}
	r->table = true;
	bool overtaken = seq < r->seq_last;
	r->seq_last = MAX(r->seq_last, seq);
	if (!tool_observe(r, sent, sent + reply->round_trip_ns)) {
		r->past |= sent >= r->until_ns;
		return 0;
	}
	if (r->observed == 1)
		r->seq_first = seq;
	r->record->overtaken += overtaken;
	r->seq_end = r->seq_last + 1;
	return 0;
}

/*
 * Requests after the last that was answered: they belong to the stretch when none after it was answered.  A
 * rate says how many of them can.
 */
static uint64_t unanswered(struct tool_reading *r)
{
	uint64_t end_ns = MIN(r->until_ns, r->ended_ns), n = r->seq_sent - MIN(r->seq_last, r->seq_sent);

	if (r->past || !n)
		return 0;
	if (job_open_loop(r->job)) {
		double room_s = (double)(end_ns - MIN(r->last_ns, end_ns)) / 1e9;
		n = MIN(n, (uint64_t)(room_s * (double)r->job->rate) + 1);
	}
	r->last_ns = MAX(r->last_ns, end_ns);
	return n;
}

static int output_read(struct tool_reading *r, char *text, size_t len, struct err *e)
{
	struct endpoint_record *record = r->record;
	struct reply reply;
	char *line;

	while ((line = tool_line(&text, &len))) {
		if (strstr(line, " packets transmitted"))
			r->seq_sent = MIN(strtoull(line, NULL, 10), SENT_MOST);
		if (reply_read(line, &reply) && take(r, &reply, strstr(line, "(DUP!)") != NULL, e) < 0)
			return -e->code;
	}
	if (!r->observed)
		return err_set(e, EPROTO, "no reply came in the measured time");
	uint64_t silent = unanswered(r);
	tool_observed(r);
	record->reordered = record->duplicates + record->overtaken;
	record->sent = MAX(r->seq_end - MIN(r->seq_first, r->seq_end), r->observed) + silent;
	record->lost = record->sent - r->observed;
	return 0;
}

const struct tool_driver tool_ping = {
	.client = client,
	.client_unknown =
		FIGURE(TIMEOUTS) | FIGURE(RETRANSMITS) | FIGURE(CPU) | FIGURE(SWITCHES) | FIGURE(JITTER),
	.server_unknown = FIGURE(SENT) | FIGURE(TRANSACTIONS) | FIGURE(TIMEOUTS) | FIGURE(RETRANSMITS) |
			  FIGURE(CPU) | FIGURE(SWITCHES) | FIGURE(JITTER),
	.client_cpu = true,
	.soft_status = 1,
	.read = output_read,
};
