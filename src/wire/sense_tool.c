/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Can the record of an end be true in whose place a standard tool was?  The agent read it from what the tool
 * printed, and may itself be in a container or a guest.  A tool counts in its own way and knows less, so less
 * can be held against each other than of taut's own ends (sense.c): what is not known must be 0, and what is
 * known must be possible in the time that there was.
 */
#include "sense.h"

#include <inttypes.h>
#include <math.h>

static int cannot(const char *what, struct err *e)
{
	return err_set(e, EINVAL, "%s is not to be expected of that tool, at this end", what);
}

/* Who measures?  A tool whose server tells nothing has at its client what came in at the server. */
static int check_kind(const struct endpoint_record *r, const struct endpoint_job *job, struct err *e)
{
	const struct tool_row *tool = &tool_rows[job->tool];
	bool stream = job->workload->stream;
	bool receives = stream && (tool->server_ends ? job->server != job->workload->reverse : !job->server);
	bool clocks = !stream && !job->server;

	if (r->mistake[0])
		return 0;
	if (r->receiver != receives)
		return cannot("such a 'receiver'", e);
	if ((r->has_service || r->summary.there) && !clocks)
		return cannot("a latency", e);
	if (r->has_service && r->summary.there)
		return cannot("a summary beside a histogram", e);
	if (r->has_lateness || r->has_parts || r->capped || r->memory_locked || r->driver_mode[0])
		return cannot("'lateness', 'connect', 'capped', 'memory_locked' or 'driver_mode'", e);
	if (r->beside_sent || r->beside_bytes || r->beside_ns || r->beside_received || r->beside_lost)
		return cannot("a stream beside", e);
	if (r->windows_n && !clocks && !receives)
		return cannot("a window", e);
	if (r->worst_n && !r->has_service)
		return cannot("a transaction among 'worst'", e);
	return 0;
}

static int check_counts(
	const struct endpoint_record *r, const struct endpoint_job *job, uint64_t most_ns, struct err *e)
{
	const uint64_t stretch = r->ended_ns - r->started_ns,
		       calls = job->flows * (most_ns / CALL_LEAST_NS + 1);
	const struct {
		const char *key;
		uint64_t value, most;
		bool known;
	} bounds[] = {
		{"measured", stretch, most_ns, true},
		{"sent", r->sent, calls, record_knows(r, FIGURE_SENT)},
		{"transactions", r->transactions, record_knows(r, FIGURE_SENT) ? r->sent : calls,
			record_knows(r, FIGURE_TRANSACTIONS)},
		{"received", r->received, r->receiver ? calls : 0, record_knows(r, FIGURE_SENT)},
		{"jitter_ns", r->jitter_ns, most_ns, record_knows(r, FIGURE_JITTER)},
		{"jitter_mean_ns", r->jitter_mean_ns, most_ns, record_knows(r, FIGURE_JITTER)},
		{"bytes", r->bytes, r->receiver ? LINK_MOST * most_ns : 0, true},
		{"lost", r->lost,
			record_knows(r, FIGURE_SENT) && !r->receiver ? r->sent - MIN(r->transactions, r->sent)
								     : calls,
			record_knows(r, FIGURE_LOST)},
		{"timeouts", r->timeouts, calls, record_knows(r, FIGURE_TIMEOUTS)},
		{"reordered", r->reordered, calls, record_knows(r, FIGURE_DISORDER)},
		{"duplicates", r->duplicates, r->reordered, record_knows(r, FIGURE_DISORDER)},
		{"late", r->late, r->reordered, record_knows(r, FIGURE_DISORDER)},
		{"overtaken", r->overtaken, r->reordered, record_knows(r, FIGURE_DISORDER)},
		{"retransmits", r->retransmits, calls, record_knows(r, FIGURE_RETRANSMITS)},
		{"cpu_ns", r->cpu_ns, (job->flows + 1) * most_ns, record_knows(r, FIGURE_CPU)},
		{"switches_voluntary", r->switches_voluntary, calls, record_knows(r, FIGURE_SWITCHES)},
		{"switches_involuntary", r->switches_involuntary, calls, record_knows(r, FIGURE_SWITCHES)},
		{"dead_flows", r->dead_flows, 0, true},
		{"busy_poll_us", r->busy_poll_us, 0, true},
		{"timer_slack_ns", r->timer_slack_ns, INT32_MAX, true},
	};

	for (size_t i = 0; i < ARRAY_LEN(bounds); i++)
		if (bounds[i].value > (bounds[i].known ? bounds[i].most : 0))
			return err_set(e, EINVAL, "'%s' is %" PRIu64 ", and can be %" PRIu64 " at most",
				bounds[i].key, bounds[i].value, bounds[i].known ? bounds[i].most : 0);
	return 0;
}

static int check_hist(const struct endpoint_record *r, uint64_t most_ns, struct err *e)
{
	if (!r->has_service)
		return 0;
	if (r->service.count && r->service.max > most_ns)
		return err_set(e, EINVAL, "a service time of %" PRIu64 " ns: there were only %" PRIu64,
			r->service.max, most_ns);
	for (size_t i = 0; i < r->worst_n; i++) {
		const struct worst *w = &r->worst[i];
		if (w->at_ns > r->ended_ns - r->started_ns || w->response_ns > r->service.max ||
			w->service_ns > w->response_ns || (i && w->response_ns > w[-1].response_ns))
			return err_set(e, EINVAL, "'worst' holds a transaction that the histogram does not");
	}
	return r->worst_n > r->transactions ? err_set(e, EINVAL, "'worst' holds more than all transactions")
					    : 0;
}

/* In the order of their size, as far as they are known. */
static int check_summary(const struct latency_summary *s, uint64_t most_ns, struct err *e)
{
	double last = 0;

	if (!s->there)
		return 0;
	for (int i = -1; i <= SUMMARY_QUANTILES; i++) {
		double value = i < 0 ? s->min : i == SUMMARY_QUANTILES ? s->max : s->quantile[i];
		if (isnan(value))
			continue;
		if (value < last || value > (double)most_ns)
			return err_set(e, EINVAL, "'summary' has percentiles that cannot be together");
		last = value;
	}
	if (s->mean < 0 || s->mean > (double)most_ns || s->sd < 0 || s->sd > (double)most_ns)
		return err_set(e, EINVAL, "'summary' has a mean or SD that cannot be");
	return 0;
}

static int check_windows(const struct endpoint_record *r, uint64_t most_ns, struct err *e)
{
	uint64_t left = r->transactions, bytes = r->bytes, max = r->has_service ? r->service.max : 0;

	if (r->windows_n > 1 && r->window_length_ns > most_ns / (r->windows_n - 1))
		return err_set(e, EINVAL, "windows of %" PRIu64 " ns: there was no time for them",
			r->window_length_ns);
	for (size_t i = 0; i < r->windows_n; i++) {
		const struct window *w = &r->windows[i];
		if (w->count > (r->has_service ? left : 0) || w->bytes > bytes || w->max_ns > max ||
			w->median_ns > max + max / 16 + NS_PER_US)
			return err_set(e, EINVAL, "'windows' hold more than there was");
		left -= w->count;
		bytes -= w->bytes;
	}
	return 0;
}

int sense_tool(
	const struct endpoint_record *r, const struct endpoint_job *job, uint64_t most_ns, struct err *e)
{
	int rc = check_kind(r, job, e);

	if (rc == 0)
		rc = check_counts(r, job, most_ns, e);
	if (rc == 0)
		rc = check_hist(r, most_ns, e);
	if (rc == 0)
		rc = check_summary(&r->summary, most_ns, e);
	return rc < 0 ? rc : check_windows(r, most_ns, e);
}
