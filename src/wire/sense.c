/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Can a record be true?  An endpoint, or its clock, may be wrong or manipulated: its record must fit the job
 * that it was given and the time that passed while it measured.  These checks cannot find a small deviation;
 * they keep impossible figures out of the report.
 *
 * The caller's `most_ns` must allow some slack: the stretch of an open loop ends with its schedule, a little
 * after its last reply, a datagram server starts before its client does, and a guest's clock is not the
 * host's.
 */
#include "record.h"

static int too_long(const char *what, uint64_t ns, uint64_t most_ns, struct err *e)
{
	char text[32], most[32];

	return err_set(e, EINVAL, "%s of %s: there were only %s", what,
		time_format_ns((double)ns, text, sizeof(text)),
		time_format_ns((double)most_ns, most, sizeof(most)));
}

static int check_times(const struct endpoint_record *r, uint64_t most_ns, struct err *e)
{
	const struct {
		const char *what;
		uint64_t ns;
	} spans[] = {
		{"a measured stretch", r->ended_ns - r->started_ns},
		{"a service time", r->has_service && r->service.count ? r->service.max : 0},
		{"a response time", r->has_service && r->response.count ? r->response.max : 0},
		{"a lateness", r->has_lateness && r->lateness.count ? r->lateness.max : 0},
	};

	for (size_t i = 0; i < ARRAY_LEN(spans); i++)
		if (spans[i].ns > most_ns)
			return too_long(spans[i].what, spans[i].ns, most_ns, e);
	/* The last window may not have ended. */
	if (r->windows_n > 1 && r->window_length_ns > most_ns / (r->windows_n - 1))
		return too_long("windows", r->window_length_ns, most_ns / (r->windows_n - 1), e);
	return 0;
}

static int check_worst(const struct endpoint_record *r, uint64_t most_ns, struct err *e)
{
	for (size_t i = 0; i < r->worst_n; i++) {
		const struct worst *w = &r->worst[i];

		if (w->at_ns > most_ns)
			return too_long("a transaction among 'worst' after", w->at_ns, most_ns, e);
		if (w->response_ns > r->response.max || w->service_ns > w->response_ns)
			return err_set(e, EINVAL, "'worst' holds a transaction that the histogram does not");
		if (i && w->response_ns > w[-1].response_ns)
			return err_set(e, EINVAL, "'worst' is not the slowest first");
	}
	return 0;
}

/* Checks by the job which end measures what. */
static int check_kind(const struct endpoint_record *r, const struct endpoint_job *job, struct err *e)
{
	const struct workload_row *w = job->workload;
	bool stream = w->kind == WORKLOAD_STREAM, receives = stream && job->server != w->reverse;
	bool clocks = !stream && !job->server, open = clocks && job_open_loop(job);

	if (r->receiver != receives)
		return err_set(e, EINVAL, "'receiver' is %s for this end of %s",
			r->receiver ? "true" : "false", w->name);
	if (r->has_service != clocks)
		return err_set(e, EINVAL, "'service' is %s, at this end of %s",
			clocks ? "missing" : "not to be expected", w->name);
	if (r->has_lateness != open)
		return err_set(e, EINVAL, "'lateness' is %s", open ? "missing" : "not to be expected");
	if (r->worst_n && !clocks)
		return err_set(e, EINVAL, "'worst' is not to be expected, at this end of %s", w->name);
	return 0;
}

static int check_counts(const struct endpoint_record *r, const struct endpoint_job *job, struct err *e)
{
	uint64_t in_windows = 0;

	if (!r->has_service)
		return 0;
	if (r->transactions > r->sent)
		return err_set(e, EINVAL, "%llu transactions of %llu requests",
			(unsigned long long)r->transactions, (unsigned long long)r->sent);
	if (job->transactions && r->transactions > job->transactions)
		return err_set(e, EINVAL, "%llu transactions, and the job has %llu",
			(unsigned long long)r->transactions, (unsigned long long)job->transactions);
	for (size_t i = 0; i < r->windows_n; i++) {
		if (r->windows[i].count > r->transactions - in_windows)
			return err_set(e, EINVAL, "'windows' hold more than the %llu transactions",
				(unsigned long long)r->transactions);
		in_windows += r->windows[i].count;
	}
	return 0;
}

int endpoint_record_check(
	const struct endpoint_record *r, const struct endpoint_job *job, uint64_t most_ns, struct err *e)
{
	int rc = check_kind(r, job, e);

	if (rc == 0)
		rc = check_times(r, most_ns, e);
	if (rc == 0)
		rc = check_worst(r, most_ns, e);
	if (rc == 0)
		rc = check_counts(r, job, e);
	return rc < 0 ? err_wrap(e, "a record that cannot be true") : 0;
}
