/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Request and reply, the client's side, for every transport.
 *
 * Closed loop: `burst` requests are in flight, and each reply lets the next request go.  A transaction costs
 * send(), recv() and one reading of the clock, which is the end of one transaction and the start of the next.
 * When recording took longer than usual, because a window of the recorder ended, the clock is read again, so
 * that this time is in no latency.
 *
 * Open loop: request i of all flows is due at start + i / rate, and flow f of F sends those with i mod F = f.
 * The pacer sleeps until a request is due and sends it, whether replies come or not.  A request that is
 * overdue, because this process could not run or send() blocked, is sent at once, and its due time stays the
 * scheduled one.  Due times are computed from i, so they do not drift.  The receiver matches replies with the
 * stamps in the ring.  Service time runs from the sending, response time from the due time: a stall of the
 * client is in the response time only.
 *
 * A transaction is measured when its request was due (in a closed loop: sent) within the measured stretch.  A
 * request that is unanswered when the stretch ends is waited for, and recorded with its full latency.  Lost,
 * timed out and disordered ones are counted from the first request on, warm-up included.
 *
 * Timeouts.  recv() gives up after the timeout.  TCP cannot lose a request, so the flow goes on waiting,
 * until the end of the stretch plus one timeout.  A datagram without a reply for one timeout is lost; after
 * three timeouts in a row without any reply the flow is dead.
 */
#include "internal.h"

#include <time.h>

#define RING_SLOTS_MAX   (1u << 20)
#define BURST_SLOTS      (1u << 16)
#define SILENT_MAX       3
#define SLEEP_MAX_NS     (100 * NS_PER_MS) /* a sleeping pacer looks this often whether it is to stop */
#define RING_FULL_NAP_NS NS_PER_MS

/* --- schedule ---------------------------------------------------------------------------------- */

static uint64_t mul_div(uint64_t a, uint64_t b, uint64_t divisor, bool up)
{
	unsigned __int128 product = (unsigned __int128)a * b;

	return (uint64_t)((product + (up ? divisor - 1 : 0)) / divisor);
}

uint64_t rr_due(const struct flow *f, uint64_t k)
{
	uint64_t i = k * f->engine->job.flows + f->index, rate = f->engine->job.rate;

	return f->engine->go_ns + i / rate * NS_PER_S + i % rate * NS_PER_S / rate;
}

static uint64_t ring_slots(const struct endpoint_job *job)
{
	const struct endpoint_job *s = job;
	uint64_t wanted = s->burst, slots = 1;

	/* A lost datagram keeps its slot for a timeout, during which the rest of its burst goes on. */
	if (s->burst > 1 && s->workload->datagrams)
		wanted = BURST_SLOTS;
	/* Twice the number of requests in flight when every reply takes a whole timeout. */
	if (s->rate)
		wanted = 2 * mul_div(s->rate, s->timeout_ns, NS_PER_S * s->flows, true) + 2;
	while (slots < wanted && slots < RING_SLOTS_MAX)
		slots *= 2;
	return slots;
}

void rr_init(struct flow *f)
{
	const struct endpoint_job *s = &f->engine->job;

	flow_buffers(f, s->server ? s->reply_bytes : s->request_bytes,
		s->server ? s->request_bytes : s->reply_bytes);
	rr_init_ring(f);
}

void rr_init_ring(struct flow *f)
{
	const struct endpoint_job *s = &f->engine->job;

	if (s->server)
		return;
	uint64_t slots = ring_slots(s);
	f->ring.slots = memory_aligned(slots * sizeof(struct slot));
	f->ring.mask = slots - 1;
	if (s->workload->datagrams)
		f->given_up = memory_aligned(GIVEN_UP_MAX * sizeof(*f->given_up));
}

static void schedule_open(struct flow *f, uint64_t longest_ns)
{
	const struct endpoint_job *s = &f->engine->job;
	uint64_t end =
		mul_div(s->warmup_ns + longest_ns, s->rate, NS_PER_S, true); /* one past the last request */

	if (s->transactions) {
		uint64_t counted = mul_div(s->warmup_ns, s->rate, NS_PER_S, true) + s->transactions;

		f->capped = counted > end;
		end = MIN(end, counted);
		if (!f->capped)
			f->end_ns = f->start_ns + mul_div(s->transactions, NS_PER_S, s->rate, false);
	}
	uint64_t flows = f->engine->job.flows;
	atomic_store(&f->total, end > f->index ? (end - f->index + flows - 1) / flows : 0);
}

void rr_schedule(struct flow *f)
{
	const struct engine *engine = f->engine;
	const struct endpoint_job *s = &engine->job;
	uint64_t longest_ns = s->transactions ? s->max_duration_ns : s->duration_ns;

	if (s->server)
		return;
	f->start_ns = engine->go_ns + s->warmup_ns;
	f->end_ns = f->start_ns + longest_ns;
	f->share = UINT64_MAX;
	if (f->open_loop)
		schedule_open(f, longest_ns);
	else if (s->transactions)
		f->share = s->transactions / s->flows + (f->index < s->transactions % s->flows);
	f->deadline_ns = f->end_ns + s->timeout_ns;
	if (f->recorder)
		recorder_start(f->recorder, f->start_ns);
}

/* --- replies and silence ----------------------------------------------------------------------- */

/* Datagrams: requests that were sent a timeout ago or earlier are lost. */
static bool give_up_old(struct flow *f, uint64_t now)
{
	const uint64_t timeout = f->timeout_ns;
	struct slot *slot;
	bool any = false;

	while ((slot = ring_oldest(&f->ring)) && slot->sent_ns + timeout <= now) {
		uint64_t seq = ring_tail(&f->ring);

		f->given_up[seq % GIVEN_UP_MAX] = seq + 1;
		ring_take(&f->ring, slot);
		f->in_flight--;
		f->lost++;
		f->timeouts++;
		any = true;
	}
	return any;
}

/* A datagram that answers no request in flight: late when that was given up, which counts once. */
static void count_stray(struct flow *f, uint64_t seq)
{
	uint64_t *place = &f->given_up[seq % GIVEN_UP_MAX];

	if (*place != seq + 1) {
		f->duplicates++;
		return;
	}
	*place = 0;
	f->late++;
}

/* A reply that came at `now`; returns the stamp that the next request may use. */
static inline uint64_t reply(struct flow *f, bool datagrams, uint64_t seq, uint64_t now)
{
	struct slot *slot = ring_find(&f->ring, seq);
	bool costly = false;

	if (datagrams && !slot)
		count_stray(f, seq);
	if (!slot)
		return now;
	f->overtaken += datagrams && seq < f->last_seq;
	f->silent = 0;
	f->replied_ns = now;
	f->in_flight--;
	if (slot->due_ns - f->start_ns < f->end_ns - f->start_ns) {
		costly = recorder_add(f->recorder, slot->due_ns, slot->sent_ns, now);
		f->measured++;
		f->ended_ns = now;
	}
	ring_take(&f->ring, slot);
	if (datagrams) {
		f->last_seq = MAX(f->last_seq, seq);
		costly |= give_up_old(f, now);
	}
	return costly ? time_now_ns() : now;
}

static void fail_silent(struct flow *f, uint64_t silence_ns)
{
	char text[32];

	flow_fail(f, "no reply for %s", time_format_ns((double)silence_ns, text, sizeof(text)));
}

/* receive() has returned `rc` in place of a reply; false: the flow ends. */
static bool silence(struct flow *f, bool datagrams, int rc, uint64_t now)
{

	if (engine_stopping(f->engine) || rc == 0) {
		flow_fail(f, "the server closed the connection");
		return false;
	}
	if (rc != -EAGAIN) {
		flow_fail(f, "%s", strerror(-rc));
		return false;
	}
	if (datagrams) {
		f->silent += give_up_old(f, now);
		if (f->silent < SILENT_MAX)
			return true;
		fail_silent(f, SILENT_MAX * f->timeout_ns);
		return false;
	}
	struct slot *oldest = ring_oldest(&f->ring);
	if (oldest)
		f->timeouts++;
	if (now < f->deadline_ns)
		return true;
	if (oldest)
		fail_silent(f, now - oldest->sent_ns);
	return false;
}

/* Counts the requests that are unanswered when the flow ends. */
static void count_unanswered(struct flow *f)
{
	struct slot *slot;

	while (!engine_stopping(f->engine) && (slot = ring_oldest(&f->ring))) {
		ring_take(&f->ring, slot);
		f->lost++;
	}
}

static bool send_failed(struct flow *f, int rc)
{
	if (rc > 0)
		return false;
	flow_fail(f, "%s", rc ? strerror(-rc) : "the server closed the connection");
	return true;
}

/* --- closed loop ------------------------------------------------------------------------------- */

/* Is the closed loop over?  After a timeout the flow goes on past its end, without measuring, until a reply
 * or a third timeout shows whether it is dead. */
static bool finished(const struct flow *f, uint64_t now)
{
	if (f->measured + f->in_flight >= f->share || engine_stopping(f->engine))
		return true;
	return now >= f->end_ns && !f->silent;
}

/* Sends until the burst is complete; `now` is the stamp of the first.  false: the flow ends. */
static inline bool fill(struct flow *f, const struct rr_transport *transport, uint64_t now)
{
	const uint64_t burst = f->burst;

	while (!finished(f, now)) {
		if (__builtin_expect(!f->main.meter.running && now >= f->start_ns, 0)) {
			flow_mark_start(f, &f->main.meter);
			now = time_now_ns();
		}
		uint64_t seq = ring_push(&f->ring, now, now);

		f->in_flight++;
		if (send_failed(f, transport->send(f, seq)))
			return false;
		f->sent++;
		if (f->in_flight >= burst || ring_full(&f->ring))
			break;
		now = time_now_ns();
	}
	return true;
}

static void closed_loop(struct flow *f, const struct rr_transport *transport)
{
	const uint64_t burst = f->burst;
	bool alive = fill(f, transport, time_now_ns());
	uint64_t now = time_now_ns(), seq;

	while (alive && ring_tail(&f->ring) != ring_head(&f->ring)) {
		int rc = transport->receive(f, &seq);

		now = time_now_ns();
		if (rc > 0)
			now = reply(f, transport->datagrams, seq, now);
		else
			alive = silence(f, transport->datagrams, rc, now);
		if (alive && f->in_flight < burst && !ring_full(&f->ring))
			alive = fill(f, transport, now);
	}
	flow_mark_end(f, &f->main.meter);
	count_unanswered(f);
	f->capped = f->share != UINT64_MAX && f->measured < f->share;
	f->ended_ns = MAX(f->ended_ns, MIN(now, f->end_ns));
}

/* --- open loop --------------------------------------------------------------------------------- */

/* A schedule may end before the third timeout does.  Then the flow is dead when no reply has come since the
 * last three requests were due. */
static bool ends_in_silence(const struct flow *f)
{
	uint64_t sent = ring_head(&f->ring);

	return sent >= SILENT_MAX && f->replied_ns < rr_due(f, sent - SILENT_MAX);
}

static void receive_replies(struct flow *f, const struct rr_transport *transport)
{
	uint64_t now = time_now_ns(), seq;
	bool alive = true;

	while (alive && ring_tail(&f->ring) < atomic_load_explicit(&f->total, memory_order_relaxed)) {
		int rc = transport->receive(f, &seq);

		now = time_now_ns();
		if (__builtin_expect(!f->main.meter.running && now >= f->start_ns, 0))
			flow_mark_start(f, &f->main.meter);
		if (rc > 0)
			reply(f, transport->datagrams, seq, now);
		else
			alive = silence(f, transport->datagrams, rc, now);
	}
	atomic_store_explicit(&f->over, true, memory_order_relaxed);
	if (alive && f->silent && ends_in_silence(f))
		fail_silent(f, now - f->replied_ns);
	flow_mark_end(f, &f->main.meter);
	count_unanswered(f);
	f->ended_ns = alive && !engine_stopping(f->engine) ? f->end_ns : MIN(now, f->end_ns);
}

void rr_client(struct flow *f, const struct rr_transport *transport)
{
	if (f->open_loop)
		receive_replies(f, transport);
	else
		closed_loop(f, transport);
}

static bool pacer_over(const struct flow *f)
{
	return atomic_load_explicit(&f->over, memory_order_relaxed) || engine_stopping(f->engine);
}

uint64_t flow_sleep_until(const struct flow *f, uint64_t due_ns)
{
	uint64_t now = time_now_ns();

	while (now < due_ns && !pacer_over(f)) {
		uint64_t wake = MIN(due_ns, now + SLEEP_MAX_NS);
		struct timespec t = {(time_t)(wake / NS_PER_S), (long)(wake % NS_PER_S)};

		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
		now = time_now_ns();
	}
	return now;
}

/*
 * The ring is full when more requests are in flight than can be due within two timeouts.  That happens over
 * TCP, where no request is given up.  The next request then waits, and its lateness is recorded once it is
 * sent.
 */
static uint64_t wait_for_room(const struct flow *f, uint64_t now)
{
	while (ring_full(&f->ring) && now < f->deadline_ns && !pacer_over(f))
		now = flow_sleep_until(f, now + RING_FULL_NAP_NS);
	return now;
}

void rr_pace(struct flow *f, const struct rr_transport *transport)
{
	struct meter *meter = &f->pacer.meter;
	uint64_t total, k;

	total = atomic_load_explicit(&f->total, memory_order_relaxed);
	for (k = 0; k < total; k++) {
		uint64_t due = rr_due(f, k), now = flow_sleep_until(f, due);

		now = wait_for_room(f, now);
		if (pacer_over(f) || now >= f->deadline_ns)
			break;
		if (__builtin_expect(!meter->running && due >= f->start_ns, 0)) {
			meter_start(meter);
			now = time_now_ns();
		}
		ring_push(&f->ring, due, now);
		if (send_failed(f, transport->send(f, k))) {
			shutdown(f->fd, SHUT_RDWR); /* wakes the receiver */
			break;
		}
		f->sent++;
		f->last_sent_ns = now;
	}
	meter_stop(meter);
	if (k < total)
		atomic_store(&f->total, k);
}
