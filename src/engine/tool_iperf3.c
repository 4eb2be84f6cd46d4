/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * iperf3 3.12: streams.  Both programs print one JSON object when they have ended, in which "intervals" are
 * what went through window by window; `iperf3 -s -1` ends with its client.  Throughput is that of the end
 * that received, in the intervals between the end of the warm-up and that of the measured time: iperf3 runs
 * for whole seconds, and the rest is left out.
 *
 * "sum" is of all streams.  Its times count from the start of the test, which is told to the second only; so
 * where the stretch lies is known by when the programs ran.
 */
#include "tool.h"

#include <inttypes.h>
#include <math.h>

#define INTERVAL_LEAST_S 0.1
#define VALUES_MOST      60000 /* in all intervals; frame_check() allows a little more in all */
#define VALUES_STREAM    16
#define VALUES_SUM       16

/* The program's shortest, and longer where there would be too many. */
static double interval_s(const struct endpoint_job *job)
{
	double total_s = (double)tool_seconds(job, 0);
	double each = VALUES_SUM + VALUES_STREAM * (double)job->flows;

	return MAX(MAX(INTERVAL_LEAST_S, total_s * each / VALUES_MOST), total_s / (WINDOWS_MAX - 1));
}

static void client(struct tool_args *a, const struct endpoint_job *job)
{
	tool_option(a, "-c", "%s", job->address);
	tool_option(a, "-p", "%u", job->ports[0]);
	tool_arg(a, "-J");
	tool_option(a, "-i", "%.3f", interval_s(job));
	tool_option(a, "-t", "%llu", tool_seconds(job, 0));
	tool_option(a, "-l", "%" PRIu64, job->size_bytes);
	tool_option(a, "-P", "%" PRIu64, job->flows);
	if (job->workload->datagrams) {
		tool_arg(a, "-u");
		/* Bits in a second of each stream; 0: as fast as it can. */
		tool_option(a, "-b", "%.0f",
			(double)job->rate * (double)job->size_bytes * 8 / (double)job->flows);
	} else if (job->nodelay) {
		tool_arg(a, "-N");
	}
	if (job->congestion[0]) {
		tool_option(a, "-C", "%s", job->congestion);
	}
	if (job->workload->reverse)
		tool_arg(a, "-R");
}

static void server(struct tool_args *a, const struct endpoint_job *job)
{
	tool_arg(a, "-s");
	tool_arg(a, "-1");
	tool_option(a, "-B", "%s", job->address);
	tool_option(a, "-p", "%u", job->ports[0]);
	tool_arg(a, "-J");
	tool_option(a, "-i", "%.3f", interval_s(job));
}

/* --- reading ----------------------------------------------------------------------------------- */

static double number(const json_t *object, const char *key)
{
	const json_t *value = json_object_get(object, key);

	return json_is_number(value) ? json_number_value(value) : (double)NAN;
}

/* A count; false when it is not there or is none. */
static bool count(const json_t *object, const char *key, uint64_t *out)
{
	double value = number(object, key);

	if (!(value >= 0) || value > 9e18)
		return false;
	*out = (uint64_t)value;
	return true;
}

/* What lies in the measured time. */
struct kept {
	double start_s, end_s, last_s; /* of what was kept; and where the last interval of all ended */
	uint64_t retransmits, packets, lost;
	bool retransmits_known, packets_known;
};

static int interval_read(struct tool_reading *r, const json_t *sum, struct kept *k, struct err *e)
{
	const struct endpoint_job *job = r->job;
	double start = number(sum, "start"), end = number(sum, "end");
	double from = (double)job->warmup_ns / 1e9, length = (double)job->duration_ns / 1e9;
	double half = interval_s(job) / 2;
	uint64_t bytes, retransmits = 0, packets = 0, lost = 0;

	if (!(start >= 0) || !(end >= start) || end > 1e6 || !count(sum, "bytes", &bytes) ||
		start < k->last_s - half)
		return err_set(e, EPROTO, "an interval is none");
	k->last_s = end;
	if (start < from - half / 2 || end > from + length + half || end - start < half ||
		r->record->windows_n == WINDOWS_MAX)
		return 0;
	if (!r->record->windows_n)
		k->start_s = start;
	k->end_s = end;
	k->retransmits_known &= count(sum, "retransmits", &retransmits);
	k->packets_known &= count(sum, "packets", &packets);
	if (k->packets_known)
		count(sum, "lost_packets", &lost);
	k->retransmits += retransmits;
	k->packets += packets;
	k->lost += lost;
	r->record->windows[r->record->windows_n++].bytes = bytes;
	r->record->bytes += bytes;
	return 0;
}

static void sender(struct endpoint_record *record, const struct kept *k)
{
	record->bytes = record->windows_n = record->window_length_ns = 0;
	memset(record->windows, 0, sizeof(record->windows));
	if (k->retransmits_known) {
		record->retransmits = k->retransmits;
		record->unknown &= ~FIGURE(RETRANSMITS);
	}
}

static void receiver(struct endpoint_record *record, const struct kept *k)
{
	record->receiver = true;
	if (!k->packets_known)
		return;
	record->received = k->packets - MIN(k->lost, k->packets);
	record->lost = k->lost;
	record->unknown &= ~(FIGURE(SENT) | FIGURE(LOST));
}

static int whole_read(struct tool_reading *r, const json_t *object, bool receives, struct err *e)
{
	struct endpoint_record *record = r->record;
	struct kept k = {.retransmits_known = true, .packets_known = true};
	const json_t *intervals = json_object_get(object, "intervals"), *interval;
	const char *said = json_string_value(json_object_get(object, "error"));
	size_t i;

	if (said) {
		AUTO_FREE char *words = str_printable(str_dup(said));
		return err_set(e, EREMOTEIO, "%.120s", words);
	}
	json_array_foreach (intervals, i, interval)
		if (interval_read(r, json_object_get(interval, "sum"), &k, e) < 0)
			return -e->code;
	if (!record->windows_n || !record->bytes)
		return err_set(e, EPROTO, "no interval lies in the measured time");
	uint64_t stretch_ns = (uint64_t)((k.end_s - k.start_s) * 1e9);
	if (tool_stretch(r, stretch_ns, (uint64_t)(MAX(k.last_s - k.end_s, 0.0) * 1e9), e) < 0)
		return -e->code;
	record->window_length_ns = (record->ended_ns - record->started_ns) / record->windows_n;
	const char *congestion = json_string_value(json_object_get(json_object_get(object, "end"),
		receives ? "receiver_tcp_congestion" : "sender_tcp_congestion"));
	if (congestion && str_copy(record->congestion, sizeof(record->congestion), congestion) == 0)
		str_printable(record->congestion);
	if (receives)
		receiver(record, &k);
	else
		sender(record, &k);
	return 0;
}

static int read_any(struct tool_reading *r, char *text, size_t len, struct err *e)
{
	json_t *object = tool_json(text, len, e);
	bool receives = r->job->server != r->job->workload->reverse;
	int rc = object ? whole_read(r, object, receives, e) : -e->code;

	json_decref(object);
	return rc;
}

#define UNKNOWN                                                                                              \
	(FIGURE(SENT) | FIGURE(TRANSACTIONS) | FIGURE(LOST) | FIGURE(TIMEOUTS) | FIGURE(DISORDER) |          \
		FIGURE(RETRANSMITS) | FIGURE(CPU) | FIGURE(SWITCHES) | FIGURE(JITTER))

const struct tool_driver tool_iperf3 = {
	.client = client,
	.server = server,
	.client_unknown = UNKNOWN,
	.server_unknown = UNKNOWN,
	.client_cpu = true,
	.server_cpu = true,
	.tells_errors = true,
	.read = read_any,
	.read_server = read_any,
};
