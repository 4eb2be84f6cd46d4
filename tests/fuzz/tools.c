/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What standard tools print, and the user's own command. */
#include "fuzz.h"

#include "engine/internal.h"
#include "engine/tool.h"

#define RUN_NS (10 * NS_PER_S)

/* The first byte says which end of which workload, the others are what was printed or logged. */
static struct endpoint_job job_make_up(enum tool tool, uint8_t choice)
{
	static const char *const workloads[] = {
		"tcp_rr", "udp_rr", "tcp_stream", "tcp_maerts", "udp_stream", "ping", "tcp_crr", "tcp_rr"};
	struct endpoint_job job = {.tool = tool,
		.server = choice & 64,
		.transactions = choice & 32 ? 3 : 0,
		.flows = 1,
		.burst = 1,
		.size_bytes = 1024,
		.request_bytes = 16,
		.reply_bytes = 16,
		.warmup_ns = choice & 8 ? 200 * NS_PER_MS : 0,
		.duration_ns = NS_PER_S,
		.max_duration_ns = NS_PER_S,
		.timeout_ns = NS_PER_S};

	job.output = choice & 16 ? TOOL_OUTPUT_HLOG : TOOL_OUTPUT_JSON;
	job.workload = workload_find(workloads[choice & 7]);
	return job;
}

/* What was accepted is a record that travels; whether it can be true is another question. */
static void record_travels(const struct endpoint_record *record, const struct endpoint_job *job)
{
	static struct endpoint_record again;
	json_t *json = endpoint_record_json(record);
	int rc = endpoint_record_from_json(&again, json, READ_STREAM, ERR_IGNORED);

	json_decref(json);
	assert(rc == 0 && again.transactions == record->transactions && again.unknown == record->unknown);
	endpoint_record_check(record, job, RUN_NS, ERR_IGNORED);
}

static __attribute__((unused)) void read_all(enum tool tool, const uint8_t *data, size_t size)
{
	static struct endpoint_record record;
	static struct recorder *recorder;
	struct endpoint_job job = job_make_up(tool, size ? data[0] : 0);
	const struct tool_driver *driver = tool_driver_of(tool);

	/* Those that have read no observation have left it as it was. */
	if (recorder && recorder->service.count) {
		free(recorder);
		recorder = NULL;
	}
	if (!recorder)
		recorder = recorder_new(false);
	struct tool_reading r = {.job = &job,
		.record = &record,
		.started_ns = NS_PER_S,
		.ended_ns = NS_PER_S + RUN_NS,
		.wall_ns = (int64_t)(1796021230 * NS_PER_S),
		.recorder = recorder};
	int rc = 0;

	memset(&record, 0, sizeof(record));
	hist_clear(&record.service);
	hist_clear(&record.response);
	latency_summary_clear(&record.summary);
	AUTO_FREE char *log = fuzz_text(data + (size ? 1 : 0), size ? size - 1 : 0);
	char *at = log;
	AUTO_FREE char *text = fuzz_text(data + (size ? 1 : 0), size ? size - 1 : 0);
	size_t left = size ? size - 1 : 0;
	for (char *line; rc == 0 && driver->line && (line = tool_line(&at, &left));)
		rc = driver->line(&r, line, ERR_IGNORED);
	int (*read_it)(struct tool_reading *, char *, size_t, struct err *) =
		job.server ? driver->read_server : driver->read;
	if (rc == 0 && read_it && read_it(&r, text, size ? size - 1 : 0, ERR_IGNORED) == 0)
		record_travels(&record, &job);
}

FUZZ_TARGET(sockperf)
{
	read_all(TOOL_SOCKPERF, data, size);
}

FUZZ_TARGET(iperf3)
{
	read_all(TOOL_IPERF3, data, size);
}

FUZZ_TARGET(netperf)
{
	read_all(TOOL_NETPERF, data, size);
}

FUZZ_TARGET(ping)
{
	read_all(TOOL_PING, data, size);
}

FUZZ_TARGET(command)
{
	read_all(TOOL_COMMAND, data, size);
}

FUZZ_MAIN
