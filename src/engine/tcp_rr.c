/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Request and reply over one TCP connection for each flow.  A stream keeps its order, so replies come in the
 * order of the requests, and the contents of the messages do not matter.
 */
#include "internal.h"

static int send_request(struct flow *f, uint64_t seq)
{
	size_t done = 0;
	int rc;

	(void)seq;
	while ((rc = flow_send_all(f, f->out, f->request_bytes, &done)) == -EAGAIN)
		if (time_now_ns() >= f->deadline_ns || engine_stopping(f->engine))
			return -ETIMEDOUT;
	return rc;
}

static int receive_reply(struct flow *f, uint64_t *seq)
{
	int rc = flow_receive_all(f, f->in, f->reply_bytes, &f->got);

	if (rc > 0) {
		f->got = 0;
		*seq = ring_tail(&f->ring);
	}
	return rc;
}

static const struct rr_transport tcp = {.send = send_request, .receive = receive_reply};

static void client(struct flow *f)
{
	rr_client(f, &tcp);
}

static void pace(struct flow *f)
{
	rr_pace(f, &tcp);
}

/* Serves until the client closes the connection. */
static void server(struct flow *f)
{
	int rc;

	f->start_ns = time_now_ns();
	flow_mark_start(f, &f->main.meter);
	for (;;) {
		size_t got = 0, done = 0;

		rc = flow_receive_all(f, f->in, f->request_bytes, &got);
		if (rc <= 0)
			break;
		rc = flow_send_all(f, f->out, f->reply_bytes, &done);
		if (rc <= 0)
			break;
		f->sent++;
	}
	flow_mark_end(f, &f->main.meter);
	f->ended_ns = time_now_ns();
	f->measured = f->sent;
	if (rc < 0 && rc != -ECONNRESET)
		flow_fail(f, "%s", strerror(-rc));
}

const struct engine_workload engine_tcp_rr = {
	.init = rr_init, .schedule = rr_schedule, .client = client, .server = server, .pace = pace};
