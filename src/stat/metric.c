/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The metrics: what each is, which way is better, what matters, and where it is a primary. */
#include "stat.h"

const struct stat_metric_row stat_metrics[STAT_METRICS] = {
	[STAT_LATENCY_MEDIAN] = {.name = "latency_median",
		.latency = "median",
		.label = "median",
		.unit = STAT_NS,
		.help = "median latency of a trial",
		.primary = {[STAT_REQUESTS] = true},
		.emulated = true,
		.binned = true,
		.delta = 0.02},
	[STAT_LATENCY_MEAN] = {.name = "latency_mean",
		.latency = "mean",
		.label = "mean",
		.unit = STAT_NS,
		.help = "mean latency of a trial",
		.delta = 0.02},
	[STAT_LATENCY_SD] = {.name = "latency_sd",
		.latency = "sd",
		.label = "SD",
		.unit = STAT_NS,
		.help = "standard deviation of the latencies of a trial",
		.primary = {[STAT_REQUESTS] = true},
		.emulated = true,
		.delta = 0.10},
	[STAT_LATENCY_IQR] = {.name = "latency_iqr",
		.latency = "iqr",
		.label = "IQR",
		.unit = STAT_NS,
		.help = "interquartile range of the latencies of a trial",
		.binned = true,
		.delta = 0.10},
	[STAT_LATENCY_P90] = {.name = "latency_p90",
		.latency = "p90",
		.label = "p90",
		.unit = STAT_NS,
		.help = "90th percentile of a trial",
		.quantile = 0.90,
		.binned = true,
		.delta = 0.10},
	[STAT_LATENCY_P99] = {.name = "latency_p99",
		.latency = "p99",
		.label = "p99",
		.unit = STAT_NS,
		.help = "99th percentile of a trial",
		.primary = {[STAT_REQUESTS] = true},
		.quantile = 0.99,
		.binned = true,
		.delta = 0.10},
	[STAT_LATENCY_P999] = {.name = "latency_p99.9",
		.latency = "p99.9",
		.label = "p99.9",
		.unit = STAT_NS,
		.help = "99.9th percentile of a trial",
		.primary = {[STAT_REQUESTS] = true},
		.quantile = 0.999,
		.binned = true,
		.delta = 0.15},
	[STAT_LATENCY_P9999] = {.name = "latency_p99.99",
		.latency = "p99.99",
		.label = "p99.99",
		.unit = STAT_NS,
		.help = "99.99th percentile of a trial",
		.quantile = 0.9999,
		.binned = true,
		.delta = 0.15},
	[STAT_THROUGHPUT] = {.name = "throughput",
		.label = "throughput",
		.unit = STAT_BPS,
		.help = "bits per second of a trial",
		.higher_is_better = true,
		.primary = {[STAT_STREAM] = true},
		.emulated = true,
		.delta = 0.02},
	[STAT_THROUGHPUT_SD] = {.name = "throughput_sd",
		.label = "its SD in time",
		.unit = STAT_BPS,
		.help = "standard deviation of the throughput over the windows of a trial",
		.delta = 0.10},
	/* A fraction of what was sent: a tenth of a percent more or less of it, not of the loss. */
	[STAT_LOSS] = {.name = "loss",
		.label = "loss",
		.unit = STAT_FRACTION,
		.help = "lost fraction of what was sent",
		.primary = {[STAT_REQUESTS] = true, [STAT_STREAM] = true},
		.absolute = true,
		.delta = 0.001},
	[STAT_RATE] = {.name = "rate",
		.label = "rate",
		.unit = STAT_PER_S,
		.help = "transactions per second of a trial; in a closed loop 1/mean",
		.higher_is_better = true,
		.delta = 0.02},
	[STAT_JITTER] = {.name = "jitter",
		.label = "jitter",
		.unit = STAT_NS,
		.help = "mean of the smoothed interarrival jitter (RFC 3550) of the datagrams of a trial",
		.delta = 0.10},
	[STAT_CONNECT_MEDIAN] = {.name = "connect_median",
		.label = "connect",
		.unit = STAT_NS,
		.help = "median time to connect, of a trial with a connection for each transaction",
		.part = STAT_CONNECT,
		.binned = true,
		.delta = 0.02},
	[STAT_CONNECT_P99] = {.name = "connect_p99",
		.label = "connect p99",
		.unit = STAT_NS,
		.help = "99th percentile of the time to connect",
		.part = STAT_CONNECT,
		.quantile = 0.99,
		.binned = true,
		.delta = 0.10},
	[STAT_FIRST_REPLY_MEDIAN] = {.name = "first_reply_median",
		.label = "first reply",
		.unit = STAT_NS,
		.help = "median time from there to the first reply",
		.part = STAT_FIRST_REPLY,
		.binned = true,
		.delta = 0.02},
	[STAT_FIRST_REPLY_P99] = {.name = "first_reply_p99",
		.label = "first reply p99",
		.unit = STAT_NS,
		.help = "99th percentile of the time from there to the first reply",
		.part = STAT_FIRST_REPLY,
		.quantile = 0.99,
		.binned = true,
		.delta = 0.10},
	[STAT_BESIDE_THROUGHPUT] = {.name = "beside_throughput",
		.label = "beside",
		.unit = STAT_BPS,
		.help = "bits per second of the stream beside the requests of a trial",
		.higher_is_better = true,
		.delta = 0.02},
};

int stat_metric_find(const char *name, enum stat_metric *out)
{
	for (int i = 0; i < STAT_METRICS; i++) {
		if (strcmp(stat_metrics[i].name, name))
			continue;
		*out = (enum stat_metric)i;
		return 0;
	}
	return -ENOENT;
}

struct stat_deltas stat_deltas_default(void)
{
	struct stat_deltas d;

	for (int i = 0; i < STAT_METRICS; i++)
		d.of[i] = stat_metrics[i].delta;
	return d;
}

const char *stat_verdict_name(enum stat_verdict verdict)
{
	static const char *const names[] = {
		[STAT_NOT_ASSESSED] = "not_assessed",
		[STAT_IMPROVED] = "improved",
		[STAT_REGRESSED] = "regressed",
		[STAT_CHANGED_BELOW_THRESHOLD] = "changed_below_threshold",
		[STAT_EQUIVALENT] = "equivalent",
		[STAT_NO_DIFFERENCE_SHOWN] = "no_difference_shown",
		[STAT_FACT] = "fact",
	};

	return names[verdict];
}
