/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Standard tools: what they are started with, and what is read of what they print. */
#include "engine/tool_run.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>

#include "test_keep.h"

static struct endpoint_job job_of(enum tool tool, const char *workload, bool server)
{
	struct endpoint_job job = {.tool = tool,
		.workload = workload_find(workload),
		.server = server,
		.address = "10.87.0.2",
		.program = "/usr/bin/tool",
		.nodelay = true,
		.flows = 1,
		.burst = 1,
		.ports = {4711},
		.request_bytes = 14,
		.reply_bytes = 14,
		.size_bytes = 131072,
		.warmup_ns = 200 * NS_PER_MS,
		.duration_ns = NS_PER_S,
		.max_duration_ns = NS_PER_S,
		.timeout_ns = NS_PER_S};

	assert_non_null(job.workload);
	return job;
}

/* Something that has been read. */
struct trial_reading {
	struct endpoint_job job;
	struct tool_reading r;
	struct endpoint_record record;
	struct err e;
	int rc;
};

static struct trial_reading *reading_of(enum tool tool, const char *workload, bool server)
{
	const struct tool_driver *d = tool_driver_of(tool);
	struct trial_reading *x = mem_alloc(sizeof(*x));

	x->job = job_of(tool, workload, server);
	x->r.job = &x->job;
	x->r.record = &x->record;
	x->r.recorder = recorder_new(false);
	x->r.started_ns = NS_PER_S;
	x->r.ended_ns = 11 * NS_PER_S;
	x->r.wall_ns = (int64_t)(1796021231 * NS_PER_S);
	x->record.unknown = server ? d->server_unknown : d->client_unknown;
	hist_clear(&x->record.service);
	hist_clear(&x->record.response);
	latency_summary_clear(&x->record.summary);
	return x;
}

static void reading_free(struct trial_reading **x)
{
	free((*x)->r.recorder);
	free(*x);
}
#define AUTO_READING AUTO(reading_free)

static void read_text(struct trial_reading *x, const char *said)
{
	const struct tool_driver *d = tool_driver_of(x->job.tool);
	AUTO_FREE char *text = str_dup(said);

	x->rc = (x->job.server ? d->read_server : d->read)(&x->r, text, strlen(text), &x->e);
}

/* What is read makes a record that can be true, and that crosses a stream. */
static void assert_sound(const struct trial_reading *x)
{
	struct endpoint_record *again = mem_alloc(sizeof(*again));
	struct err e = ERR_INIT;
	int rc = endpoint_record_check(&x->record, &x->job, x->r.ended_ns - x->r.started_ns, &e);

	if (rc < 0)
		fail_msg("%s", e.text);
	json_t *json = endpoint_record_json(&x->record);
	rc = endpoint_record_from_json(again, json, READ_STREAM, &e);
	json_decref(json);
	if (rc < 0)
		fail_msg("%s", e.text);
	assert_int_equal(again->unknown, x->record.unknown);
	assert_int_equal(again->summary.there, x->record.summary.there);
	assert_int_equal(again->transactions, x->record.transactions);
	free(again);
}

static char *data(const char *name)
{
	AUTO_CLOSE int root = root_open("/", ERR_IGNORED);
	AUTO_FREE char *path = str_format(TEST_DATA "/tools/%s", name);
	char *text = NULL;

	if (root_read_all(root, path, &text, NULL, ERR_IGNORED) < 0)
		fail_msg("no %s", path);
	return text;
}

static void read_file(struct trial_reading *x, const char *name)
{
	AUTO_FREE char *text = data(name);

	read_text(x, text);
}

static void read_log(struct trial_reading *x, const char *text)
{
	AUTO_FREE char *all = str_dup(text);
	char *at = all, *line;
	size_t len = strlen(all);

	x->rc = 0;
	while (x->rc == 0 && (line = tool_line(&at, &len)))
		x->rc = tool_driver_of(x->job.tool)->line(&x->r, line, &x->e);
}

/* --- sockperf ---------------------------------------------------------------------------------- */

static void sockperf_tells_each_transaction(void **unused)
{
	AUTO_READING struct trial_reading *x = reading_of(TOOL_SOCKPERF, "tcp_rr", false);
	AUTO_FREE char *log = data("sockperf.csv");

	(void)unused;
	x->job.warmup_ns = 0;
	x->r.started_ns = 3467 * NS_PER_S;
	x->r.ended_ns = 3474 * NS_PER_S;
	read_log(x, log);
	assert_int_equal(x->rc, 0);
	read_file(x, "sockperf.out");
	assert_int_equal(x->rc, 0);
	/* The first 40 lines hold 39 transactions of the first second; the last two are after it. */
	uint64_t n = x->record.transactions;
	assert_in_range(n, 35, 45);
	assert_int_equal(x->record.service.count, n);
	assert_int_equal(x->record.service.max, 319456); /* number 6: the whole round trip */
	assert_int_equal(x->record.worst[0].response_ns, 319456);
	assert_int_equal(x->record.started_ns, 3470748040997);
	assert_int_equal(x->record.worst[0].at_ns, 74591);
	assert_int_equal(x->record.sent, n);
	assert_int_equal(x->record.unknown,
		FIGURE(TIMEOUTS) | FIGURE(RETRANSMITS) | FIGURE(CPU) | FIGURE(SWITCHES) | FIGURE(JITTER));
	assert_sound(x);
}

static void sockperf_warm_up_and_rest_are_cut(void **unused)
{
	AUTO_READING struct trial_reading *x = reading_of(TOOL_SOCKPERF, "tcp_rr", false);
	AUTO(buf_free) struct buf log = {0};

	(void)unused;
	buf_add(&log, "packet, txTime(sec), rxTime(sec), latency(usec)\n");
	for (unsigned i = 0; i < 300; i++)
		buf_add(&log, "%u, %u.%09u, %u.%09u, 5.000\n", i, 2 + i / 100, i % 100 * 10000000,
			2 + i / 100, i % 100 * 10000000 + 10000);
	read_log(x, log.data);
	read_text(x, "# dropped messages = 3; # duplicated messages = 0; # out-of-order messages = 0\n");
	assert_int_equal(x->rc, 0);
	assert_int_equal(x->record.transactions, 100);
	assert_int_equal(x->record.started_ns, 2200 * NS_PER_MS);
	assert_int_equal(x->record.windows_n > 0, true);
	/* Lost somewhere in what it measured, which is more than the stretch. */
	assert_false(record_knows(&x->record, FIGURE_LOST));
	assert_false(record_knows(&x->record, FIGURE_SENT));
	assert_true(record_knows(&x->record, FIGURE_DISORDER));
	assert_sound(x);
}

static void sockperf_times_from_its_start_have_no_place(void **unused)
{
	AUTO_READING struct trial_reading *x = reading_of(TOOL_SOCKPERF, "udp_rr", false);

	(void)unused;
	x->job.warmup_ns = 0;
	x->r.started_ns += 1000 * NS_PER_S;
	x->r.ended_ns += 1000 * NS_PER_S;
	read_log(x, "packet, txTime(sec), rxTime(sec), latency(usec)\n"
		    "0, 2.404453398, 2.404473398, 10.000\n1, 2.404553398, 2.404593398, 20.000\n");
	assert_int_equal(x->rc, 0);
	read_text(x, "");
	assert_int_equal(x->rc, 0);
	assert_int_equal(x->record.transactions, 2);
	assert_int_equal(x->record.worst_n, 0);
	assert_int_equal(x->record.service.max, 40000);
	assert_sound(x);
}

/* --- iperf3 ------------------------------------------------------------------------------------ */

static void iperf3_receiver_has_the_bytes(void **unused)
{
	AUTO_READING struct trial_reading *x = reading_of(TOOL_IPERF3, "tcp_stream", true);

	(void)unused;
	x->job.duration_ns = 500 * NS_PER_MS;
	read_file(x, "iperf3-server.json");
	assert_int_equal(x->rc, 0);
	assert_true(x->record.receiver);
	assert_int_equal(x->record.windows_n, 5); /* from 0.2 s to 0.7 s */
	uint64_t sum = 0;
	for (size_t i = 0; i < x->record.windows_n; i++)
		sum += x->record.windows[i].bytes;
	assert_int_equal(sum, x->record.bytes);
	assert_int_equal(x->record.ended_ns - x->record.started_ns, 548135000); /* as its clock ran */
	assert_false(record_knows(&x->record, FIGURE_RETRANSMITS));
	assert_sound(x);
}

static void iperf3_sender_has_the_retransmits(void **unused)
{
	AUTO_READING struct trial_reading *x = reading_of(TOOL_IPERF3, "tcp_stream", false);

	(void)unused;
	read_file(x, "iperf3-client.json");
	assert_int_equal(x->rc, 0);
	assert_false(x->record.receiver);
	assert_int_equal(x->record.bytes, 0);
	assert_int_equal(x->record.windows_n, 0);
	assert_true(record_knows(&x->record, FIGURE_RETRANSMITS));
	assert_true(x->record.congestion[0]);
	assert_sound(x);
}

static void iperf3_counts_datagrams_at_the_receiver(void **unused)
{
	AUTO_READING struct trial_reading *x = reading_of(TOOL_IPERF3, "udp_stream", true);

	(void)unused;
	x->job.warmup_ns = 0;
	read_text(x,
		"{\"intervals\": ["
		"{\"sum\": {\"start\": 0, \"end\": 0.5, \"bytes\": 7000, \"lost_packets\": 3, \"packets\": 10}},"
		"{\"sum\": {\"start\": 0.5, \"end\": 1, \"bytes\": 9000, \"lost_packets\": 1, \"packets\": 10}}]}");
	assert_int_equal(x->rc, 0);
	assert_int_equal(x->record.received, 16);
	assert_int_equal(x->record.lost, 4);
	assert_int_equal(x->record.transactions, 0);
	assert_false(record_knows(&x->record, FIGURE_JITTER));
	assert_sound(x);
}

static void iperf3_says_why_it_failed(void **unused)
{
	AUTO_READING struct trial_reading *x = reading_of(TOOL_IPERF3, "tcp_stream", false);

	(void)unused;
	read_file(x, "iperf3-error.json");
	assert_int_equal(x->rc, -EREMOTEIO);
	assert_string_equal(x->e.text, "unable to connect to server: Connection refused");
}

/* --- netperf, ping ----------------------------------------------------------------------------- */

static void netperf_tells_percentiles_and_no_more(void **unused)
{
	AUTO_READING struct trial_reading *x = reading_of(TOOL_NETPERF, "tcp_rr", false);

	(void)unused;
	read_file(x, "netperf-rr.out");
	assert_int_equal(x->rc, 0);
	assert_int_equal(x->record.transactions, 108643);
	assert_int_equal(x->record.sent, 108644);
	assert_false(x->record.has_service);
	assert_true(x->record.summary.there);
	assert_float_equal(x->record.summary.quantile[SUMMARY_P50], 17000, 0);
	assert_float_equal(x->record.summary.quantile[SUMMARY_P99], 33000, 0);
	assert_float_equal(x->record.summary.mean, 18320, 1e-6);
	assert_false(x->record.summary.quantile[SUMMARY_P999] > 0); /* unknown */
	assert_int_equal(x->record.ended_ns - x->record.started_ns, 2 * NS_PER_S);
	assert_sound(x);
}

static void netperf_client_tells_what_came_in(void **unused)
{
	AUTO_READING struct trial_reading *x = reading_of(TOOL_NETPERF, "tcp_stream", false);

	(void)unused;
	read_file(x, "netperf-stream.out");
	assert_int_equal(x->rc, 0);
	assert_true(x->record.receiver);
	assert_int_equal(x->record.bytes, 4294967296);
	assert_int_equal(x->record.retransmits, 7);
	assert_false(x->record.summary.there);
	assert_sound(x);
}

static void ping_tells_each_reply(void **unused)
{
	AUTO_READING struct trial_reading *x = reading_of(TOOL_PING, "udp_rr", false);

	(void)unused;
	x->job.warmup_ns = 0;
	read_file(x, "ping.out");
	assert_int_equal(x->rc, 0);
	/* 29 replies, and one of number 29620, which came a second later: all between are not in the file. */
	assert_in_range(x->record.transactions, 29, 31);
	assert_int_equal(x->record.service.max, 23000);
	assert_int_equal(x->record.worst[0].response_ns, 23000);
	assert_int_equal(x->record.started_ns, 5 * NS_PER_S + 40833000 - 23000);
}

static void ping_counts_what_is_missing(void **unused)
{
	AUTO_READING struct trial_reading *x = reading_of(TOOL_PING, "udp_rr", false);

	(void)unused;
	x->job.warmup_ns = 0;
	read_text(x,
		"PING 10.87.0.2 (10.87.0.2) 16(44) bytes of data.\n"
		"[1796021236.100000] 24 bytes from 10.87.0.2: icmp_seq=65534 ttl=64 time=0.050 ms\n"
		"[1796021236.200000] 24 bytes from 10.87.0.2: icmp_seq=65535 ttl=64 time=0.050 ms\n"
		"[1796021236.200100] 24 bytes from 10.87.0.2: icmp_seq=65535 ttl=64 time=0.150 ms (DUP!)\n"
		"[1796021236.400000] 24 bytes from 10.87.0.2: icmp_seq=2 ttl=64 time=0.050 ms\n"
		"[1796021236.410000] 24 bytes from 10.87.0.2: icmp_seq=1 ttl=64 time=110 ms\n"
		"--- 10.87.0.2 ping statistics ---\n");
	assert_int_equal(x->rc, 0);
	assert_int_equal(x->record.transactions, 4);
	assert_int_equal(x->record.sent, 5); /* 65534, 65535, 0, 1, 2 */
	assert_int_equal(x->record.lost, 1);
	assert_int_equal(x->record.duplicates, 1);
	assert_int_equal(x->record.overtaken, 1);
	assert_sound(x);
}

/* --- a command of the user's -------------------------------------------------------------------- */

static void command_may_tell_all(void **unused)
{
	AUTO_READING struct trial_reading *x = reading_of(TOOL_COMMAND, "tcp_rr", false);

	(void)unused;
	read_text(x, "{\"duration_s\": 1.0, \"latency_ns\": [5000, 7000.5, 6000], \"sent\": 4, \"lost\": 1}");
	assert_int_equal(x->rc, 0);
	assert_int_equal(x->record.service.count, 3);
	assert_int_equal(x->record.service.max, 7000);
	assert_true(record_knows(&x->record, FIGURE_LOST));
	assert_sound(x);
}

static void command_may_tell_some(void **unused)
{
	AUTO_READING struct trial_reading *x = reading_of(TOOL_COMMAND, "tcp_rr", false);

	(void)unused;
	read_text(
		x, "{\"duration_s\": 1.0, \"latency_ns\": {\"count\": 99, \"p50\": 5000, \"p99.9\": 9000}}");
	assert_int_equal(x->rc, 0);
	assert_int_equal(x->record.transactions, 99);
	assert_float_equal(x->record.summary.quantile[SUMMARY_P999], 9000, 0);
	assert_false(x->record.summary.max > 0);
	assert_false(record_knows(&x->record, FIGURE_LOST));
	assert_sound(x);
}

static void command_may_print_a_log_of_hdrhistogram(void **unused)
{
	AUTO_READING struct trial_reading *x = reading_of(TOOL_COMMAND, "tcp_rr", false);

	(void)unused;
	x->job.output = TOOL_OUTPUT_HLOG;
	read_file(x, "hdr.hlog");
	assert_int_equal(x->rc, 0);
	assert_int_equal(x->record.service.count, 107);
	assert_int_equal(x->record.service.min, 0);
	assert_in_range(x->record.service.max, 5000000 - 5000, 5000000 + 5000);
	assert_float_equal(hist_quantile(&x->record.service, 0.5), 50000, 1000);
	assert_sound(x);
}

static void netperf_client_of_maerts_receives(void **unused)
{
	AUTO_READING struct trial_reading *x = reading_of(TOOL_NETPERF, "tcp_maerts", false);

	(void)unused;
	read_text(x, "ELAPSED_TIME=2.0\nTHROUGHPUT=5\nLOCAL_BYTES_RECVD=1000\nREMOTE_BYTES_RECVD=3\n"
		     "LOCAL_TRANSPORT_RETRANS=4\nREMOTE_TRANSPORT_RETRANS=9\n");
	assert_int_equal(x->rc, 0);
	assert_int_equal(x->record.bytes, 1000);
	assert_int_equal(x->record.retransmits, 9); /* the sender's */
}

/* Its histogram has steps of up to 1 ms. */
static void netperf_percentiles_lie_between_least_and_most(void **unused)
{
	AUTO_READING struct trial_reading *x = reading_of(TOOL_NETPERF, "tcp_rr", false);

	(void)unused;
	read_text(x, "ELAPSED_TIME=2.0\nTHROUGHPUT=50\nMIN_LATENCY=14\nP50_LATENCY=13\nP99_LATENCY=2000\n"
		     "MEAN_LATENCY=15\nMAX_LATENCY=1500\n");
	assert_int_equal(x->rc, 0);
	assert_float_equal(x->record.summary.quantile[SUMMARY_P50], 14000, 0);
	assert_float_equal(x->record.summary.quantile[SUMMARY_P99], 1500000, 0);
	assert_sound(x);
}

/* --- rubbish ------------------------------------------------------------------------------------ */

#define SOCKPERF_HEAD "packet, txTime(sec), rxTime(sec), latency(usec)\n"

static const struct {
	enum tool tool;
	const char *workload;
	bool server;
	enum tool_output output;
	void (*read)(struct trial_reading *x, const char *text);
	const char *texts[11];
} rubbish[] = {
	{TOOL_SOCKPERF, "tcp_rr", .read = read_log,
		.texts = {SOCKPERF_HEAD "0, 2.4, 2.3, 1.0\n", SOCKPERF_HEAD "x\n",
			SOCKPERF_HEAD "0 2.4 2.5 1\n", SOCKPERF_HEAD "0, 2.4, 99.0, 1.0\n",
			SOCKPERF_HEAD "0, 2.4\n", SOCKPERF_HEAD "0, , 2.5, 1.0\n",
			SOCKPERF_HEAD "0, 99999999999999999999, 2.5, 1.0\n"}},
	{TOOL_SOCKPERF, "tcp_rr", .read = read_text, .texts = {"sockperf: No valid observations found.\n"}},
	{TOOL_IPERF3, "tcp_stream", .server = true, .read = read_text,
		.texts = {"", "{", "[]", "{}", "null", "{\"intervals\": 3}",
			"{\"intervals\": [{\"sum\": {\"start\": 0.2, \"end\": 0.3}}]}",
			"{\"intervals\": [{\"sum\": {\"start\": 0.2, \"end\": 0.3, \"bytes\": -1}}]}",
			"{\"intervals\": [{\"sum\": {\"start\": 0.2, \"end\": 1e300, \"bytes\": 1}}]}",
			"{\"intervals\": [{\"sum\": {\"start\": 0.3, \"end\": 0.2, \"bytes\": 1}}]}"}},
	{TOOL_NETPERF, "udp_rr", .read = read_text,
		.texts = {"", "=\n=\n", "ELAPSED_TIME=2.0\n", "ELAPSED_TIME=nan\nTHROUGHPUT=5\n",
			"ELAPSED_TIME=-1\nTHROUGHPUT=5\n", "ELAPSED_TIME=2.0\nTHROUGHPUT=0\n",
			"ELAPSED_TIME=200.0\nTHROUGHPUT=100\n"}},
	{TOOL_PING, "udp_rr", .read = read_text,
		.texts = {"", "--- 10.87.0.2 ping statistics ---\n",
			"[1796021236.1] 24 bytes from 10.87.0.2: icmp_seq=70000 ttl=64 time=0.1 ms\n",
			"[1096021236.1] 24 bytes from 10.87.0.2: icmp_seq=1 ttl=64 time=0.1 ms\n",
			"[1796021236.1] 24 bytes from 10.87.0.2: icmp_seq=1 ttl=64 "
			"time=18446744073709551615 ms\n"}},
	{TOOL_COMMAND, "tcp_rr", .read = read_text,
		.texts = {"", "hello", "{}", "{\"duration_s\": 0}", "{\"duration_s\": 1}",
			"{\"duration_s\": 100, \"latency_ns\": [1]}",
			"{\"duration_s\": 1, \"latency_ns\": []}",
			"{\"duration_s\": 1, \"latency_ns\": [\"1\"]}",
			"{\"duration_s\": 1, \"latency_ns\": [-1]}",
			"{\"duration_s\": 1, \"latency_ns\": {\"p50\": 1}}",
			"{\"duration_s\": 1, \"latency_ns\": [1], \"lost\": \"x\"}"}},
	{TOOL_COMMAND, "tcp_rr", .output = TOOL_OUTPUT_HLOG, .read = read_text,
		.texts = {"", "#\n", "0,1,2,AAAA\n", "0,1,2,HISTFAAAAAB42g==\n", "x\n"}},
};

static void rubbish_is_refused(void **unused)
{
	(void)unused;
	for (size_t i = 0; i < ARRAY_LEN(rubbish); i++)
		for (size_t k = 0; k < ARRAY_LEN(rubbish[i].texts) && rubbish[i].texts[k]; k++) {
			AUTO_READING struct trial_reading *x =
				reading_of(rubbish[i].tool, rubbish[i].workload, rubbish[i].server);

			x->job.warmup_ns = 0;
			x->job.output = rubbish[i].output;
			rubbish[i].read(x, rubbish[i].texts[k]);
			if (x->rc >= 0)
				fail_msg("row %zu: '%s' was accepted", i, rubbish[i].texts[k]);
		}
}

/* --- arguments, records, readiness -------------------------------------------------------------- */

static char *line_of(const struct endpoint_job *job)
{
	const struct tool_driver *d = tool_driver_of(job->tool);
	struct tool_args *a = mem_alloc(sizeof(*a));
	struct buf line = {0};

	(job->server ? d->server : d->client)(a, job);
	for (size_t i = 0; i < a->n; i++)
		buf_add(&line, "%s%s", i ? " " : "", a->argv[i]);
	assert_null(a->argv[a->n]);
	free(a);
	return line.data;
}

static void tools_are_started_as_documented(void **unused)
{
	static const struct {
		enum tool tool;
		const char *workload;
		bool server;
		const char *line, *command, *congestion;
		uint64_t rate, transactions, flows, busy_poll_us;
		bool delay;
	} rows[] = {
		{TOOL_SOCKPERF, "tcp_rr", false,
			"ping-pong --tcp -i 10.87.0.2 -p 4711 -m 14 -t 4 --no-rdtsc --full-log " TOOL_LOG},
		{TOOL_SOCKPERF, "udp_rr", false,
			"under-load -i 10.87.0.2 -p 4711 -m 14 -t 4 --mps 500 --reply-every 1 --lls 50 --full-log " TOOL_LOG,
			.rate = 500, .busy_poll_us = 50},
		{TOOL_SOCKPERF, "udp_rr", true, "server -i 10.87.0.2 -p 4711"},
		{TOOL_SOCKPERF, "tcp_rr", true,
			"server --tcp -i 10.87.0.2 -p 4711 --tcp-avoid-nodelay --lls 50", .delay = true,
			.busy_poll_us = 50},
		{TOOL_IPERF3, "tcp_maerts", false,
			"-c 10.87.0.2 -p 4711 -J -i 0.100 -t 2 -l 131072 -P 1 -N -R"},
		{TOOL_IPERF3, "tcp_stream", false,
			"-c 10.87.0.2 -p 4711 -J -i 0.100 -t 2 -l 131072 -P 4 -C reno", .flows = 4,
			.delay = true, .congestion = "reno"},
		/* 1000 datagrams of 131072 bytes a second, by two streams. */
		{TOOL_IPERF3, "udp_stream", false,
			"-c 10.87.0.2 -p 4711 -J -i 0.100 -t 2 -l 131072 -P 2 -u -b 524288000", .rate = 1000,
			.flows = 2},
		{TOOL_IPERF3, "tcp_stream", true, "-s -1 -B 10.87.0.2 -p 4711 -J -i 0.100"},
		{TOOL_PING, "ping", false, "-n -D -U -A -w 2 -s 131072 10.87.0.2"},
		{TOOL_PING, "ping", false, "-n -D -U -i 0.020000 -c 100 -w 1 -s 131072 10.87.0.2", .rate = 50,
			.transactions = 100},
		{TOOL_NETPERF, "tcp_stream", true, "-D -L 10.87.0.2 -p 4711"},
		{TOOL_COMMAND, "tcp_rr", false, "-c x 10.87.0.2 4711 1.000 ${HOME} 14 {",
			.command = "x {address} {port} {duration} ${HOME} {request} {"},
	};

	(void)unused;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct endpoint_job job = job_of(rows[i].tool, rows[i].workload, rows[i].server);

		job.rate = rows[i].rate;
		job.transactions = rows[i].transactions;
		job.flows = MAX(rows[i].flows, 1u);
		job.busy_poll_us = rows[i].busy_poll_us;
		job.nodelay = !rows[i].delay;
		str_copy(job.command, sizeof(job.command), rows[i].command ? rows[i].command : "");
		str_copy(
			job.congestion, sizeof(job.congestion), rows[i].congestion ? rows[i].congestion : "");
		AUTO_FREE char *line = line_of(&job);
		assert_string_equal(line, rows[i].line);
	}
}

static void netperf_is_asked_for_what_a_workload_is(void **unused)
{
	static const struct {
		const char *workload;
		uint64_t transactions;
		const char *line;
	} rows[] = {
		{"tcp_rr", 0, "-H 10.87.0.2 -p 4711 -t TCP_RR -P 0 -l 1 -- -r 14,14 -D -k "},
		{"udp_rr", 77, "-H 10.87.0.2 -p 4711 -t UDP_RR -P 0 -l -77 -- -r 14,14 -k "},
		{"tcp_maerts", 0, "-H 10.87.0.2 -p 4711 -t TCP_MAERTS -P 0 -l 1 -- -m ,131072 -D -k "},
	};

	(void)unused;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct endpoint_job job = job_of(TOOL_NETPERF, rows[i].workload, false);

		job.transactions = rows[i].transactions;
		AUTO_FREE char *line = line_of(&job);
		if (!str_starts(line, rows[i].line))
			fail_msg("'%s', wanted '%s'", line, rows[i].line);
	}
}

static void a_record_that_a_tool_cannot_have_is_refused(void **unused)
{
	AUTO_READING struct trial_reading *x = reading_of(TOOL_NETPERF, "tcp_rr", false);

	(void)unused;
	read_file(x, "netperf-rr.out");
	assert_sound(x);
	struct endpoint_record *good = mem_alloc(sizeof(*good)), *r = &x->record;
	*good = *r;
#define REFUSED(change)                                                                                      \
	do {                                                                                                 \
		*r = *good;                                                                                  \
		change;                                                                                      \
		if (endpoint_record_check(r, &x->job, 10 * NS_PER_S, ERR_IGNORED) == 0)                      \
			fail_msg("accepted: %s", #change);                                                   \
	} while (0)
	REFUSED(r->retransmits = UINT64_MAX / 2);
	REFUSED(r->cpu_ns = 1); /* unknown, and yet not 0 */
	REFUSED(r->transactions = r->sent + 1);
	REFUSED(r->summary.quantile[SUMMARY_P50] = 1);
	REFUSED(r->summary.max = 11e9);
	REFUSED(r->bytes = 1);
	REFUSED(r->receiver = true);
	REFUSED(r->ended_ns = r->started_ns + 11 * NS_PER_S);
	REFUSED(r->has_service = true);
	REFUSED(r->windows_n = 2; r->window_length_ns = 11 * NS_PER_S);
	REFUSED(r->lost = 2);
	*r = *good;
	x->job.tool = TOOL_TAUT; /* whose own ends know all of it */
	assert_true(endpoint_record_check(r, &x->job, 10 * NS_PER_S, ERR_IGNORED) < 0);
	free(good);
}

static void a_server_is_ready_when_it_listens(void **unused)
{
	char folder[] = "/tmp/taut-tools-XXXXXX";
	assert_non_null(keep_folder(folder));
	AUTO_FREE char *net = str_format("%s/proc/net", folder), *tcp = str_format("%s/tcp", net),
		       *udp = str_format("%s/udp6", net);
	AUTO_CLOSE int root = root_open(folder, ERR_IGNORED);
	static const char
		head[] = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when\n",
		listens[] = "   0: 0200570A:1267 00000000:0000 0A 00000000:00000000 00:00000000 0 0 0\n",
		talks[] = "   1: 0200570A:1268 0100570A:9C40 01 00000000:00000000 00:00000000 0 0 0\n",
		bound[] = "  5: 00000000000000000000000000000000:1269 "
			  "00000000000000000000000000000000:0000 07 00000000:00000000 0\n";
	AUTO_FREE char *text = str_format("%s%s%s", head, listens, talks);
	AUTO_FREE char *other = str_format("%s%s", head, bound);

	(void)unused;
	assert_false(tool_listens(root, 4711));
	assert_int_equal(dir_make(net, 0755, ERR_IGNORED), 0);
	assert_int_equal(file_write_synced(tcp, text, strlen(text), 0644, ERR_IGNORED), 0);
	assert_int_equal(file_write_synced(udp, other, strlen(other), 0644, ERR_IGNORED), 0);
	assert_true(tool_listens(root, 0x1267));
	assert_false(tool_listens(root, 0x1268));
	assert_true(tool_listens(root, 0x1269));
}

/* The two marks stand for the whole stretch. */
static void cpu_time_is_that_of_the_stretch(void **unused)
{
	struct tool_run *t = mem_alloc(sizeof(*t));
	struct endpoint_record *r = mem_alloc(sizeof(*r));

	(void)unused;
	t->job = job_of(TOOL_NETPERF, "tcp_rr", false);
	t->driver = tool_driver_of(TOOL_NETPERF);
	t->output = -1;
	t->marks = 2;
	t->marked_ns[1] = t->job.duration_ns / 2;
	t->cpu_ns[1] = 1000;
	tool_collect(t, r);
	assert_true(record_knows(r, FIGURE_CPU));
	assert_int_equal(r->cpu_ns, 2000);
	free(r);
	free(t);
}

/* Who holds the other end of the pipe is what the command has started. */
static void what_a_tool_has_started_ends_with_it(void **unused)
{
	struct endpoint_job job = job_of(TOOL_COMMAND, "tcp_rr", true);
	struct tool_run *t = NULL;
	struct err e = ERR_INIT;
	char folder[] = "/tmp/taut-tools-XXXXXX", byte;
	AUTO_FREE char *pipe = str_format("%s/pipe", keep_folder(folder));
	AUTO_FREE char *command = str_format("(echo; exec sleep 1000) > %s & exec sleep 1000", pipe);

	(void)unused;
	assert_int_equal(mkfifo(pipe, 0600), 0);
	str_copy(job.address, sizeof(job.address), "127.0.0.1");
	str_copy(job.program, sizeof(job.program), "/bin/sh");
	str_copy(job.command, sizeof(job.command), command);
	if (tool_prepare(&t, &job, time_now_ns() + 60 * NS_PER_S, &e) < 0)
		fail_msg("%s", e.text);
	AUTO_CLOSE int fd = open(pipe, O_RDONLY | O_CLOEXEC);
	assert_int_equal(read(fd, &byte, 1), 1);
	tool_free(t);
	struct pollfd p = {.fd = fd, .events = POLLIN};
	if (poll(&p, 1, 20000) != 1 || read(fd, &byte, 1) != 0)
		fail_msg("a child of the tool is still there");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sockperf_tells_each_transaction),
		cmocka_unit_test(sockperf_warm_up_and_rest_are_cut),
		cmocka_unit_test(sockperf_times_from_its_start_have_no_place),
		cmocka_unit_test(iperf3_receiver_has_the_bytes),
		cmocka_unit_test(iperf3_sender_has_the_retransmits),
		cmocka_unit_test(iperf3_counts_datagrams_at_the_receiver),
		cmocka_unit_test(iperf3_says_why_it_failed),
		cmocka_unit_test(netperf_tells_percentiles_and_no_more),
		cmocka_unit_test(netperf_client_tells_what_came_in),
		cmocka_unit_test(ping_tells_each_reply),
		cmocka_unit_test(ping_counts_what_is_missing),
		cmocka_unit_test(command_may_tell_all),
		cmocka_unit_test(command_may_tell_some),
		cmocka_unit_test(command_may_print_a_log_of_hdrhistogram),
		cmocka_unit_test(netperf_client_of_maerts_receives),
		cmocka_unit_test(netperf_percentiles_lie_between_least_and_most),
		cmocka_unit_test(rubbish_is_refused),
		cmocka_unit_test(tools_are_started_as_documented),
		cmocka_unit_test(netperf_is_asked_for_what_a_workload_is),
		cmocka_unit_test(a_record_that_a_tool_cannot_have_is_refused),
		cmocka_unit_test(a_server_is_ready_when_it_listens),
		cmocka_unit_test(cpu_time_is_that_of_the_stretch),
		cmocka_unit_test(what_a_tool_has_started_ends_with_it),
	};

	return cmocka_run_group_tests_name("tools", tests, NULL, NULL);
}
