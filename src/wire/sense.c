/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Can a record be true?  An endpoint, or its clock, may be wrong or manipulated: its record must fit the job
 * that it was given, the time that passed while it measured, and itself.  These checks cannot find a small
 * deviation; they keep impossible figures out of the report.
 *
 * Every count has a bound.  It follows from the job (an open loop sends what is due), from other counts (what
 * is lost was sent), or from time: each message costs its flow a system call, and no link carries more than
 * LINK_MOST.  Times are held against the time that there was, and against each other: a flow waits for at
 * most `burst` replies at once, so its service times together fit into the stretch as often.
 *
 * The caller's `most_ns` must allow some slack: the stretch of an open loop ends with its schedule, a little
 * after its last reply, and a guest's clock is not the host's.
 */
#include "sense.h"

#include <inttypes.h>

/* What the checks of one record look at. */
struct view {
	const struct endpoint_record *r;
	const struct endpoint_job *job;
	uint64_t most_ns, stretch_ns;
	bool receives; /* this end of a stream receives */
	bool clocks;   /* this end measures latencies */
	bool open;     /* and keeps a schedule */
	bool counts;   /* this end receives datagrams, and counts them by number */
	bool paced;    /* this end sends on a schedule */
	bool beside_sends, beside_receives, beside_counts; /* the stream beside, and its datagrams */
};

static int too_long(const char *what, uint64_t ns, uint64_t most_ns, struct err *e)
{
	char text[32], most[32];

	return err_set(e, EINVAL, "%s of %s: there were only %s", what,
		time_format_ns((double)ns, text, sizeof(text)),
		time_format_ns((double)most_ns, most, sizeof(most)));
}

static int too_large(const char *key, uint64_t value, uint64_t most, struct err *e)
{
	return err_set(e, EINVAL, "'%s' is %" PRIu64 ", and can be %" PRIu64 " at most", key, value, most);
}

static int check_times(const struct view *v, struct err *e)
{
	const struct endpoint_record *r = v->r;
	const uint64_t most_ns = v->most_ns;
	const struct {
		const char *what;
		uint64_t ns;
	} spans[] = {
		{"a measured stretch", v->stretch_ns},
		{"a service time", r->has_service && r->service.count ? r->service.max : 0},
		{"a response time", r->has_service && r->response.count ? r->response.max : 0},
		{"a connect time", r->has_parts && r->connect.count ? r->connect.max : 0},
		{"a first reply", r->has_parts && r->first_reply.count ? r->first_reply.max : 0},
		{"a lateness", r->has_lateness && r->lateness.count ? r->lateness.max : 0},
		/* Of a window that has not ended. */
		{"windows", r->windows_n > 1 ? 0 : r->window_length_ns / 2},
	};

	for (size_t i = 0; i < ARRAY_LEN(spans); i++)
		if (spans[i].ns > most_ns)
			return too_long(spans[i].what, spans[i].ns, most_ns, e);
	/* The last window may not have ended. */
	if (r->windows_n > 1 && r->window_length_ns > most_ns / (r->windows_n - 1))
		return too_long("windows", r->window_length_ns, most_ns / (r->windows_n - 1), e);
	return 0;
}

static int check_worst(const struct view *v, struct err *e)
{
	const struct endpoint_record *r = v->r;

	if (r->worst_n > r->transactions)
		return err_set(e, EINVAL, "'worst' holds %" PRIu64 " of %" PRIu64 " transactions", r->worst_n,
			r->transactions);
	for (size_t i = 0; i < r->worst_n; i++) {
		const struct worst *w = &r->worst[i];

		if (w->at_ns > v->stretch_ns)
			return too_long("a transaction among 'worst' after", w->at_ns, v->stretch_ns, e);
		if (w->response_ns > r->response.max || w->service_ns > r->service.max ||
			w->service_ns > w->response_ns || (!i && w->response_ns != r->response.max))
			return err_set(e, EINVAL,
				"'worst' holds a transaction of %" PRIu64
				" ns that the histogram does not, whose largest is %" PRIu64 " ns",
				w->response_ns, r->response.max);
		if (i && w->response_ns > w[-1].response_ns)
			return err_set(e, EINVAL, "'worst' is not the slowest first");
	}
	return 0;
}

/* Checks by the job which end measures what. */
static int check_kind(const struct view *v, struct err *e)
{
	const struct endpoint_record *r = v->r;
	const char *name = v->job->workload->name;

	if (r->receiver != v->receives)
		return err_set(e, EINVAL, "'receiver' is %s for this end of %s",
			r->receiver ? "true" : "false", name);
	if (r->has_service != v->clocks)
		return err_set(e, EINVAL, "'service' is %s, at this end of %s",
			v->clocks ? "missing" : "not to be expected", name);
	if (r->has_parts != (v->clocks && v->job->workload->connects))
		return err_set(e, EINVAL, "'connect' is %s, at this end of %s",
			r->has_parts ? "not to be expected" : "missing", name);
	if (r->has_lateness != v->open)
		return err_set(e, EINVAL, "'lateness' is %s", v->open ? "missing" : "not to be expected");
	if (r->worst_n && !v->clocks)
		return err_set(e, EINVAL, "'worst' is not to be expected, at this end of %s", name);
	if (r->windows_n && !v->clocks && !v->receives)
		return err_set(e, EINVAL, "'windows' are not to be expected, at this end of %s", name);
	if (r->capped && !(v->clocks && v->job->transactions))
		return err_set(e, EINVAL, "'capped' is true, and the job has no number of transactions");
	return 0;
}

/* How many requests all flows of an open loop can have sent in that time. */
static uint64_t due_in(const struct endpoint_job *job, uint64_t ns)
{
	return (uint64_t)((unsigned __int128)job->rate * ns / NS_PER_S) + job->flows + 1;
}

static int check_bounds(const struct view *v, struct err *e)
{
	const struct endpoint_record *r = v->r;
	const struct endpoint_job *job = v->job;
	const bool datagrams = job->workload->datagrams, matches = v->clocks && datagrams;
	const uint64_t threads = job->flows * (v->open ? 2 : 1);
	const uint64_t calls = v->most_ns / CALL_LEAST_NS + 1, all_calls = job->flows * calls;
	const uint64_t room = LINK_MOST * v->stretch_ns + job->flows * job->size_bytes;
	const uint64_t unanswered = r->sent - MIN(r->transactions, r->sent) + job->flows;
	const struct {
		const char *key;
		uint64_t value, most;
	} bounds[] = {
		{"sent", r->sent, v->paced ? due_in(job, job_longest_ns(job)) : all_calls},
		{"received", r->received, v->counts ? all_calls : 0},
		{"bytes", r->bytes,
			v->counts     ? MIN(room, r->received * job->size_bytes)
			: v->receives ? room
				      : 0},
		{"lost", r->lost,
			v->counts   ? all_calls - MIN(r->received, all_calls)
			: v->clocks ? unanswered
				    : 0},
		{"timeouts", r->timeouts,
			matches ? r->lost : job->flows * (v->most_ns / job->timeout_ns + 1)},
		{"duplicates", r->duplicates, matches || v->counts ? all_calls : 0},
		{"late", r->late,
			v->counts ? all_calls
			: matches ? r->timeouts
				  : 0},
		{"overtaken", r->overtaken,
			v->counts ? r->received
			: matches ? r->sent
				  : 0},
		{"jitter_ns", r->jitter_ns, v->counts ? v->most_ns : 0},
		{"jitter_mean_ns", r->jitter_mean_ns, v->counts ? v->most_ns : 0},
		{"dead_flows", r->dead_flows, job_flows(job)},
		{"beside_sent", r->beside_sent, v->beside_sends ? calls : 0},
		{"beside_received", r->beside_received, v->beside_counts ? calls : 0},
		{"beside_lost", r->beside_lost,
			v->beside_counts ? calls - MIN(r->beside_received, calls) : 0},
		{"beside_ns", r->beside_ns, v->beside_receives ? v->most_ns : 0},
		{"beside_bytes", r->beside_bytes,
			v->beside_receives ? LINK_MOST * r->beside_ns + job->beside_bytes : 0},
		{"retransmits", r->retransmits, datagrams ? 0 : all_calls},
		{"cpu_ns", r->cpu_ns, threads * v->most_ns},
		{"switches_voluntary", r->switches_voluntary, threads * calls},
		{"switches_involuntary", r->switches_involuntary, threads * calls},
		{"busy_poll_us", r->busy_poll_us, INT32_MAX},
		{"timer_slack_ns", r->timer_slack_ns, INT32_MAX},
	};

	for (size_t i = 0; i < ARRAY_LEN(bounds); i++)
		if (bounds[i].value > bounds[i].most)
			return too_large(bounds[i].key, bounds[i].value, bounds[i].most, e);
	if (r->reordered != r->duplicates + r->late + r->overtaken)
		return err_set(e, EINVAL,
			"'reordered' is %" PRIu64 ", and not the sum of %" PRIu64 " duplicates, %" PRIu64
			" late and %" PRIu64 " overtaken replies",
			r->reordered, r->duplicates, r->late, r->overtaken);
	return 0;
}

static int check_transactions(const struct view *v, struct err *e)
{
	const struct endpoint_record *r = v->r;
	const struct endpoint_job *job = v->job;
	uint64_t most =
		v->open ? due_in(job, v->stretch_ns) : job->flows * (v->stretch_ns / CALL_LEAST_NS + 1);
	bool all = v->clocks && !v->open && job->transactions && !r->capped && !r->mistake[0];

	if (r->transactions > r->sent)
		return err_set(e, EINVAL, "%" PRIu64 " transactions of %" PRIu64 " requests", r->transactions,
			r->sent);
	if (!v->clocks)
		return 0;
	if (job->transactions &&
		(all ? r->transactions != job->transactions : r->transactions > job->transactions))
		return err_set(e, EINVAL, "%" PRIu64 " transactions, and the job has %" PRIu64,
			r->transactions, job->transactions);
	if (r->transactions > most)
		return err_set(e, EINVAL,
			"%" PRIu64 " transactions in a stretch of %" PRIu64
			" ns, which has room for %" PRIu64,
			r->transactions, v->stretch_ns, most);
	return 0;
}

/* The stretch against the job, and the latencies against the stretch and one another. */
static int check_stretch(const struct view *v, struct err *e)
{
	const struct endpoint_record *r = v->r;
	const struct endpoint_job *job = v->job;
	/* A receiver may be stopped early, when its sender has given up; where nothing came nothing began. */
	uint64_t least = v->receives                       ? (r->bytes ? job->duration_ns / 2 : 0)
			 : v->clocks && !job->transactions ? job->duration_ns
							   : 0;
	unsigned __int128 room = (unsigned __int128)v->stretch_ns * job->flows * job->burst;

	if (v->stretch_ns < least && !r->mistake[0])
		return err_set(e, EINVAL, "a measured stretch of %" PRIu64 " ns: the job has %" PRIu64 " ns",
			v->stretch_ns, job->duration_ns);
	if (v->clocks && !v->open && r->service.sum > room)
		return err_set(e, EINVAL,
			"service times of %" PRIu64 " ns in all: a stretch of %" PRIu64
			" ns has no room for them",
			r->service.sum, v->stretch_ns);
	if (r->has_parts && r->service.sum != r->connect.sum + r->first_reply.sum)
		return err_set(e, EINVAL,
			"service times of %" PRIu64 " ns in all, connecting %" PRIu64
			" ns and first replies %" PRIu64 " ns",
			r->service.sum, r->connect.sum, r->first_reply.sum);
	if (v->open && r->lateness.count != r->transactions)
		return err_set(e, EINVAL, "'lateness' has %" PRIu64 " values for %" PRIu64 " transactions",
			r->lateness.count, r->transactions);
	if (v->open && r->response.sum != r->service.sum + r->lateness.sum)
		return err_set(e, EINVAL,
			"response times of %" PRIu64 " ns in all, service times of %" PRIu64
			" ns and lateness of %" PRIu64 " ns",
			r->response.sum, r->service.sum, r->lateness.sum);
	return 0;
}

static int check_windows(const struct view *v, struct err *e)
{
	const struct endpoint_record *r = v->r;
	uint64_t left = v->clocks ? r->transactions : 0, bytes = r->bytes;
	uint64_t sum = v->clocks ? r->response.sum : 0,
		 max = v->clocks && r->transactions ? r->response.max : 0;
	/* The sum of a histogram begins anew at 2^64. */
	bool whole = (unsigned __int128)max * r->transactions <= UINT64_MAX;

	for (size_t i = 0; i < r->windows_n; i++) {
		const struct window *w = &r->windows[i];

		if (w->count > left)
			return err_set(e, EINVAL, "'windows' hold more than the %" PRIu64 " transactions",
				r->transactions);
		if (w->bytes > bytes)
			return err_set(e, EINVAL, "'windows' hold more than the %" PRIu64 " bytes", r->bytes);
		/* The median of a window is that of a bin, which is up to a sixteenth or a microsecond wide.
		 */
		if ((whole && w->sum_ns > sum) || w->max_ns > max ||
			w->median_ns > max + max / 16 + NS_PER_US)
			return err_set(e, EINVAL,
				"'windows' hold a latency of %" PRIu64
				" ns that the histogram does not, whose largest is %" PRIu64 " ns",
				MAX(w->max_ns, w->median_ns), max);
		left -= w->count;
		bytes -= w->bytes;
		sum -= w->sum_ns;
	}
	return 0;
}

/* taut's own engine knows all that it can be asked. */
static int check_known(const struct endpoint_record *r, struct err *e)
{
	return r->unknown || r->summary.there
		       ? err_set(e, EINVAL, "'unknown' or 'summary' is not to be expected of taut's engine")
		       : 0;
}

int endpoint_record_check(
	const struct endpoint_record *r, const struct endpoint_job *job, uint64_t most_ns, struct err *e)
{
	static int (*const checks[])(const struct view *v, struct err *e) = {check_kind, check_times,
		check_transactions, check_bounds, check_stretch, check_windows, check_worst};
	const struct workload_row *w = job->workload, *beside = job->beside;
	const bool clocks = !w->stream && workload_measures(w, job->server);
	const struct view v = {.r = r,
		.job = job,
		.most_ns = most_ns,
		.stretch_ns = r->ended_ns - r->started_ns,
		.receives = workload_receives(w, job->server),
		.clocks = clocks,
		.counts = w->datagrams && workload_receives(w, job->server),
		.paced = job_open_loop(job) && !job->server,
		.beside_sends = beside && !workload_receives(beside, job->server),
		.beside_receives = beside && workload_receives(beside, job->server),
		.beside_counts = beside && beside->datagrams && workload_receives(beside, job->server),
		.open = clocks && job_open_loop(job)};
	int rc = job->tool == TOOL_TAUT ? check_known(r, e) : sense_tool(r, job, most_ns, e);

	for (size_t i = 0; rc == 0 && job->tool == TOOL_TAUT && i < ARRAY_LEN(checks); i++)
		rc = checks[i](&v, e);
	return rc < 0 ? err_wrap(e, "a record that cannot be true") : 0;
}

/* --- the machine ------------------------------------------------------------------------------- */

#define CPUS_MOST 8192

int trial_machine_check(const struct trial_record *r, uint64_t most_ns, uint64_t boot_most_ns, struct err *e)
{
	const uint64_t times = CPUS_MOST * most_ns, events = CPUS_MOST * (most_ns / CALL_LEAST_NS + 1);
	const struct {
		const char *key;
		uint64_t value, most;
	} bounds[] = {
		{"mtu", r->mtu, 1u << 20},
		{"warmup_more", r->warmup_more, WINDOWS_MAX},
		{"system_cpu_ns", r->system_cpu_ns, times},
		{"steal_ns", r->steal_ns, times},
		{"context_switches", r->context_switches, events},
		{"interrupts", r->interrupts, events},
		{"softirqs", r->softirqs, events},
		{"boot_ns", r->guest.boot_ns, boot_most_ns},
		{"first_ns", r->guest.first_ns, boot_most_ns + most_ns},
		{"init_ns", r->guest.init_ns, boot_most_ns},
		{"ready_ns", r->guest.ready_ns, boot_most_ns},
	};

	for (size_t i = 0; i < ARRAY_LEN(bounds); i++)
		if (bounds[i].value > bounds[i].most)
			return too_large(bounds[i].key, bounds[i].value, bounds[i].most, e);
	for (size_t i = 0; i < r->ends[END_CLIENT].record.worst_n; i++) {
		const struct during *d = &r->during[i];
		uint64_t most =
			MAX(MAX(d->window_ns, d->steal_ns), MAX(d->run_queue_wait_ns, d->throttled_ns));
		uint64_t count = MAX(MAX(d->interrupts, d->softirqs), d->involuntary_switches);

		if (most > times || count > events)
			return too_large("during", MAX(most, count), most > times ? times : events, e);
	}
	return 0;
}

/* --- both ends --------------------------------------------------------------------------------- */

static int check_replies(const struct endpoint_record *client, const struct endpoint_record *server,
	const struct endpoint_job *job, struct err *e)
{
	uint64_t answered = client->sent - MIN(client->lost, client->sent);

	if (server->sent < answered)
		return err_set(e, EINVAL, "the client got %" PRIu64 " replies, and the server sent %" PRIu64,
			answered, server->sent);
	/* A network may bring a datagram twice; a stream brings each request once. */
	if (!job->workload->datagrams && server->sent > client->sent + job->flows)
		return err_set(e, EINVAL,
			"the server answered %" PRIu64 " requests, and the client sent %" PRIu64,
			server->sent, client->sent);
	return 0;
}

/* What the sender of datagrams says that it sent is what came and what was lost. */
static int check_arrivals(
	const struct endpoint_record *sender, const struct endpoint_record *receiver, struct err *e)
{
	if (receiver->received + receiver->lost == sender->sent)
		return 0;
	return err_set(e, EINVAL,
		"the receiver got %" PRIu64 " datagrams and lost %" PRIu64 ", and the sender sent %" PRIu64,
		receiver->received, receiver->lost, sender->sent);
}

static int check_beside(const struct endpoint_record *client, const struct endpoint_record *server,
	const struct endpoint_job *job, struct err *e)
{
	bool at_server = workload_receives(job->beside, true);
	const struct endpoint_record *sender = at_server ? client : server,
				     *receiver = at_server ? server : client;

	if (receiver->beside_bytes > ((unsigned __int128)sender->beside_sent + 1) * job->beside_bytes)
		return err_set(e, EINVAL,
			"the receiver beside got %" PRIu64 " bytes, and the sender wrote %" PRIu64
			" times %" PRIu64,
			receiver->beside_bytes, sender->beside_sent, job->beside_bytes);
	if (job->beside->datagrams &&
		receiver->beside_received + receiver->beside_lost != sender->beside_sent)
		return err_set(e, EINVAL,
			"the receiver beside got %" PRIu64 " datagrams and lost %" PRIu64
			", and the sender sent %" PRIu64,
			receiver->beside_received, receiver->beside_lost, sender->beside_sent);
	return 0;
}

int trial_ends_check(const struct trial_record *r, const struct trial_plan *plan, struct err *e)
{
	const struct endpoint_record *client = &r->ends[END_CLIENT].record,
				     *server = &r->ends[END_SERVER].record;
	const struct endpoint_job *job = &plan->ends[END_CLIENT].job;
	const struct endpoint_record *sender = client->receiver ? server : client;
	uint64_t bytes = trial_measured(r)->bytes;
	unsigned __int128 most = ((unsigned __int128)sender->sent + job->flows) * job->size_bytes;
	int rc = 0;

	/* The ends of a tool count what they like, and each in its own time. */
	if (client->mistake[0] || server->mistake[0] || job->tool != TOOL_TAUT)
		return 0;
	if (!job->workload->stream)
		rc = check_replies(client, server, job, e);
	else if (bytes > most)
		rc = err_set(e, EINVAL,
			"the receiver got %" PRIu64 " bytes, and the sender wrote %" PRIu64 " times %" PRIu64,
			bytes, sender->sent, job->size_bytes);
	else if (job->workload->datagrams)
		rc = check_arrivals(sender, trial_measured(r), e);
	if (rc == 0 && job->beside)
		rc = check_beside(client, server, job, e);
	return rc < 0 ? err_wrap(e, "the ends contradict each other") : 0;
}
