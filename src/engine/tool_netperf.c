/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * netperf 2.6 and 2.7.  Its "omni" output selectors (netperf's manual, "Omni Output Selection") with -k are
 * lines KEY=VALUE, and nothing else is read.  Latencies are µs: least, mean, SD, 50th, 90th and 99th
 * percentile, greatest; single transactions and other percentiles stay unknown.  What it cannot tell is "-1"
 * or left out.
 *
 * It knows no warm-up: its figures are of all its time, which is the measured time as asked, in whole
 * seconds.  netserver tells nothing: the client's netperf has its figures, so this end's record is that of
 * the receiver too.
 */
#include "tool.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#define SELECTORS                                                                                                                  \
	"THROUGHPUT,THROUGHPUT_UNITS,ELAPSED_TIME,LOCAL_SEND_CALLS,LOCAL_RECV_CALLS,LOCAL_BYTES_RECVD,"                            \
	"REMOTE_BYTES_RECVD,LOCAL_TRANSPORT_RETRANS,REMOTE_TRANSPORT_RETRANS,MIN_LATENCY,MEAN_LATENCY,STDDEV_LATENCY,P50_LATENCY," \
	"P90_LATENCY,P99_LATENCY,MAX_LATENCY"

static const struct {
	const char *workload, *test;
} tests[] = {{"tcp_rr", "TCP_RR"}, {"udp_rr", "UDP_RR"}, {"tcp_crr", "TCP_CRR"}, {"tcp_stream", "TCP_STREAM"},
	{"tcp_maerts", "TCP_MAERTS"}};

static void client(struct tool_args *a, const struct endpoint_job *job)
{
	const char *test = "TCP_RR";

	for (size_t i = 0; i < ARRAY_LEN(tests); i++)
		if (!strcmp(tests[i].workload, job->workload->name))
			test = tests[i].test;
	tool_option(a, "-H", "%s", job->address);
	tool_option(a, "-p", "%u", job->ports[0]);
	tool_option(a, "-t", "%s", test);
	tool_option(a, "-P", "0");
	if (job->transactions)
		tool_option(a, "-l", "-%" PRIu64, job->transactions);
	else
		tool_option(
			a, "-l", "%llu", (unsigned long long)((job->duration_ns + NS_PER_S - 1) / NS_PER_S));
	tool_arg(a, "--");
	if (job->workload->stream) {
		/* Behind the comma is what the other end sends. */
		tool_option(a, "-m", "%s%" PRIu64, job->workload->reverse ? "," : "", job->size_bytes);
	} else {
		tool_option(a, "-r", "%" PRIu64 ",%" PRIu64, job->request_bytes, job->reply_bytes);
	}
	if (job->nodelay && !job->workload->datagrams)
		tool_arg(a, "-D");
	tool_option(a, "-k", SELECTORS);
}

static void server(struct tool_args *a, const struct endpoint_job *job)
{
	tool_arg(a, "-D"); /* stay in the foreground */
	tool_option(a, "-L", "%s", job->address);
	tool_option(a, "-p", "%u", job->ports[0]);
}

/* --- reading ----------------------------------------------------------------------------------- */

struct said {
	double throughput, elapsed_s, sends, receives, received, remote_received, retransmits,
		remote_retransmits;
	struct latency_summary us;
};

/* A line KEY=VALUE of a selector that is a number. */
static void line_read(struct said *s, char *line)
{
	const struct {
		const char *key;
		double *value;
	} keys[] = {
		{"THROUGHPUT", &s->throughput},
		{"ELAPSED_TIME", &s->elapsed_s},
		{"LOCAL_SEND_CALLS", &s->sends},
		{"LOCAL_RECV_CALLS", &s->receives},
		{"LOCAL_BYTES_RECVD", &s->received},
		{"REMOTE_BYTES_RECVD", &s->remote_received},
		{"LOCAL_TRANSPORT_RETRANS", &s->retransmits},
		{"REMOTE_TRANSPORT_RETRANS", &s->remote_retransmits},
		{"MIN_LATENCY", &s->us.min},
		{"MEAN_LATENCY", &s->us.mean},
		{"STDDEV_LATENCY", &s->us.sd},
		{"P50_LATENCY", &s->us.quantile[SUMMARY_P50]},
		{"P90_LATENCY", &s->us.quantile[SUMMARY_P90]},
		{"P99_LATENCY", &s->us.quantile[SUMMARY_P99]},
		{"MAX_LATENCY", &s->us.max},
	};
	char *equals = strchr(line, '=');
	double value;

	if (!equals)
		return;
	*equals = 0;
	for (size_t i = 0; i < ARRAY_LEN(keys); i++)
		if (!strcmp(line, keys[i].key) && str_double(str_trim(equals + 1), &value) == 0 &&
			value >= 0 && value < 1e15)
			*keys[i].value = value;
}

static void summary(struct latency_summary *out, const struct latency_summary *us)
{
	*out = *us;
	double *const figures[] = {&out->min, &out->max, &out->mean, &out->sd};

	for (size_t i = 0; i < ARRAY_LEN(figures); i++)
		*figures[i] *= 1e3;
	for (size_t i = 0; i < SUMMARY_QUANTILES; i++)
		/* It counts in steps of up to 1 ms, least and most exactly. */
		if (!isnan(us->quantile[i]))
			out->quantile[i] = fmin(fmax(us->quantile[i] * 1e3, out->min), out->max);
	out->there = !isnan(us->quantile[SUMMARY_P50]) || !isnan(us->mean);
}

static int rr_read(struct tool_reading *r, const struct said *s, struct err *e)
{
	struct endpoint_record *record = r->record;

	if (isnan(s->throughput) || !(s->throughput * s->elapsed_s >= 1))
		return err_set(e, EPROTO, "it does not say how many transactions there were");
	record->transactions = (uint64_t)(s->throughput * s->elapsed_s + 0.5);
	summary(&record->summary, &s->us);
	/* One more than were answered when it stopped, and over UDP what was lost. */
	if (!isnan(s->sends)) {
		record->sent = MAX((uint64_t)s->sends, record->transactions);
		record->unknown &= ~FIGURE(SENT);
	}
	return 0;
}

static int stream_read(struct tool_reading *r, const struct said *s, struct err *e)
{
	double bytes = r->job->workload->reverse ? s->received : s->remote_received;

	if (!(bytes >= 1))
		return err_set(e, EPROTO, "it does not say how much came through");
	r->record->receiver = true;
	r->record->bytes = (uint64_t)bytes;
	return 0;
}

static int output_read(struct tool_reading *r, char *text, size_t len, struct err *e)
{
	struct said s = {.throughput = NAN,
		.elapsed_s = NAN,
		.sends = NAN,
		.receives = NAN,
		.received = NAN,
		.remote_received = NAN,
		.retransmits = NAN,
		.remote_retransmits = NAN};
	char *line;

	latency_summary_clear(&s.us);
	while ((line = tool_line(&text, &len)))
		line_read(&s, line);
	if (!(s.elapsed_s > 0) || s.elapsed_s > 1e6)
		return err_set(e, EPROTO, "it does not say how long it ran (ELAPSED_TIME)");
	if (tool_stretch(r, (uint64_t)(s.elapsed_s * 1e9), 0, e) < 0)
		return -e->code;
	double again = r->job->workload->reverse ? s.remote_retransmits : s.retransmits; /* the sender's */
	if (!isnan(again)) {
		r->record->retransmits = (uint64_t)again;
		r->record->unknown &= ~FIGURE(RETRANSMITS);
	}
	return r->job->workload->stream ? stream_read(r, &s, e) : rr_read(r, &s, e);
}

#define UNKNOWN                                                                                              \
	(FIGURE(SENT) | FIGURE(LOST) | FIGURE(TIMEOUTS) | FIGURE(DISORDER) | FIGURE(RETRANSMITS) |           \
		FIGURE(CPU) | FIGURE(SWITCHES) | FIGURE(JITTER))

/* netserver starts a process for each test, whose CPU time is not its own. */
const struct tool_driver tool_netperf = {
	.client = client,
	.server = server,
	.client_unknown = UNKNOWN,
	.server_unknown = UNKNOWN | FIGURE(TRANSACTIONS),
	.client_cpu = true,
	.no_warmup = true,
	.read = output_read,
};
