/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the files of the engine share.
 *
 * An engine has one flow for each connection.  A flow has a thread that receives (or serves) and, in an open
 * loop, a second thread, the pacer, that sends.  Each field of a flow has one writer: the receiver, or the
 * pacer where the field says so.  Other threads read a field only after the writer was joined, except for
 * fields that are atomic or guarded by engine.lock.
 */
#pragma once

#include "engine.h"
#include "recorder.h"
#include "ring.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/socket.h>

/* --- workloads: one row of WORKLOADS, one of these, one file each ------------------------------ */

struct flow;

struct engine_workload {
	void (*client)(struct flow *flow);
	void (*server)(struct flow *flow);
	void (*pace)(struct flow *flow); /* the sender of an open loop; NULL: there is none */
};

#define ENGINE_WORKLOAD(name, ...) extern const struct engine_workload engine_##name;
WORKLOADS(ENGINE_WORKLOAD)
#undef ENGINE_WORKLOAD

/* --- threads ----------------------------------------------------------------------------------- */

/* CPU time and context switches of a thread over the measured stretch: at its start the counters' readings,
 * at its end the difference. */
struct meter {
	bool running;
	uint64_t cpu_ns, voluntary, involuntary;
};
void meter_start(struct meter *m);
void meter_stop(struct meter *m);

/* How a thread was scheduled, as the kernel says. */
struct standing {
	bool known;
	int policy, priority, nice;
	cpu_set_t affinity;
};
void standing_read(struct standing *s, pid_t tid); /* 0: the caller */

enum { OPTION_NODELAY, OPTION_BUSY_POLL, OPTION_PRIORITY, OPTION_SNDBUF, OPTION_RCVBUF, OPTIONS_N };

/* What a socket was set to. */
struct options {
	bool known[OPTIONS_N];
	int value[OPTIONS_N];
};
void options_read(struct options *o, int fd, bool datagrams);

struct thread {
	struct flow *flow;
	void (*run)(struct flow *flow);
	const char *name;
	bool created;
	pthread_t id;
	pid_t tid; /* 0 until it has settled; under engine.lock */
	struct standing before, after;
	uint64_t timer_slack_ns; /* as read back */
	struct meter meter;
};

int thread_create(struct thread *t, struct err *e);
/* Writes to every page, so that no page fault is left for later. */
void memory_touch(void *memory, size_t size);
/* Zeroed, touched, and on a cache line of its own; ends the program when there is no memory. */
void *memory_aligned(size_t size);

/* --- messages that are no data: the first of every flow, and some of datagrams ----------------- */

#define HELLO_BYTES 40
#define HELLO_MARKS 32

enum hello_kind {
	HELLO_ASK = 1,
	HELLO_ACK,
	HELLO_BYE,          /* datagrams: the client ends */
	HELLO_MARK = 64,    /* datagrams: HELLO_MARK + n is mark n, see udp_rr.c */
	HELLO_MARKED = 128, /* HELLO_MARKED + n: the server returns mark n */
};

/* --- flows (flow.c) --------------------------------------------------------------------------- */

struct flow {
	struct engine *engine;
	struct recorder *recorder; /* of the end that measures, else NULL */
	int fd;          /* data; −1 before and after; engine.lock guards changes while threads run */
	unsigned silent; /* waits in a row that brought no reply though one was due */
	unsigned char *out, *in; /* what is sent, what is received */
	size_t in_bytes;
	size_t got; /* bytes of the reply that is being received */

	/* copied from the settings, to lie in the same cache lines as the other fields */
	uint64_t request_bytes, reply_bytes, burst, timeout_ns;

	/* schedule, set once the engine goes: transactions that are due in [start, end) are measured */
	uint64_t start_ns, end_ns, deadline_ns;
	uint64_t share; /* closed loop: transactions to measure; UINT64_MAX: by time */

	/* counts and times of what has happened */
	uint64_t measured, ended_ns, replied_ns, in_flight; /* closed loop only */
	uint64_t last_seq; /* datagrams: the latest request that was answered */
	uint64_t next_seq; /* datagrams: the request whose reply is expected next */
	uint64_t bytes, lost, timeouts, retransmits;
	uint64_t duplicates, late, overtaken; /* datagrams: replies */
	uint64_t *given_up; /* datagrams: one more than each request that was given up, by its number */
	bool capped;
	struct ring ring; /* RR client */

	alignas(64) uint64_t sent; /* written by the pacer, in a closed loop by the receiver */
	uint64_t last_sent_ns;     /* written by the pacer */

	alignas(64) _Atomic uint64_t total; /* open loop: requests to send, warm-up included */
	atomic_bool over;                   /* nothing is to be sent any more */
	atomic_bool failed;                 /* dead; the thread that sets this first writes `mistake` */
	char mistake[160];
	unsigned index;
	int listen_fd; /* TCP server, until its client has come; −1 then */
	struct thread main, pacer;
	struct options options_before, options_after;
	unsigned running; /* threads of this flow that have not finished; under engine.lock */
	char congestion[16];
	uint64_t busy_poll_us;
	/* datagrams: the number of requests sent before each mark, and when the latest mark was sent */
	uint64_t marks[HELLO_MARKS], marked_ns;
	unsigned mark;
};

/* Allocates the flow's memory; its threads do not run yet.  flow_clear() releases all that the flow owns. */
void flow_init(struct flow *f, struct engine *engine, unsigned index);
void flow_clear(struct flow *f);
/* Lets a server listen, or connects a client and shows its token, by the engine's deadline. */
int flow_open(struct flow *f, struct err *e);
/* Adds the figures of the flow to the record of its end; to be called after its threads were joined. */
void flow_collect(const struct flow *f, struct endpoint_record *record);
/* Reads the conditions under which the flow begins; under engine.lock. */
void conditions_begin(struct flow *f);
/* Adds the flow's; to be called after its threads were joined. */
void conditions_collect(const struct flow *f, struct conditions *c);
/* The flow is dead, for this reason.  Only the first reason is kept, and none after engine_stop(). */
void flow_fail(struct flow *f, const char *format, ...) PRINTF(2, 3);
/* Hands the flow its data socket; false when the engine stops. */
bool flow_adopt(struct flow *f, int fd);
void flow_close(struct flow *f);
/* The measured stretch begins or ends for the thread that runs: its meter and the connection's
 * retransmissions. */
void flow_mark_start(struct flow *f, struct meter *m);
void flow_mark_end(struct flow *f, struct meter *m);

/* --- the engine -------------------------------------------------------------------------------- */

struct engine {
	struct endpoint_job job;
	const struct workload_row *row;
	const struct engine_workload *workload;
	bool open_loop;
	uint64_t prepare_deadline_ns;
	int done_fd, stop_fd; /* eventfds; stop_fd stays readable once set */
	uint16_t ports[FLOWS_MAX];
	atomic_bool stop;
	_Atomic uint64_t first_byte_ns; /* streams: of all flows; 0: none yet */

	pthread_mutex_t lock; /* guards what follows and flow.fd */
	pthread_cond_t changed;
	unsigned settled; /* threads that are ready to be placed */
	unsigned running; /* threads that have not finished */
	bool gone;        /* engine_go() was called, at go_ns */
	uint64_t go_ns;
	bool joined;

	size_t flows_n;
	struct flow *flows;
};

static inline bool engine_stopping(const struct engine *engine)
{
	return atomic_load_explicit(&engine->stop, memory_order_relaxed);
}

/* Is this the end whose figures count: the client, of a stream the receiver? */
static inline bool engine_measures(const struct engine *engine)
{
	bool stream = engine->row->kind == WORKLOAD_STREAM;

	return engine->job.server == (stream && !engine->row->reverse);
}

/* --- sockets: numeric addresses, what the job says of them, deadlines --------------------------- */

/* Server: a bound (and for TCP listening) socket; *port is the port it got. */
int socket_listen(
	const struct endpoint_job *job, bool datagrams, unsigned flow, uint16_t *port, struct err *e);
/* Client: a connected socket. */
int socket_connect(
	const struct endpoint_job *job, bool datagrams, uint16_t port, uint64_t deadline_ns, struct err *e);
/* Applies nodelay, congestion control and busy polling. */
int socket_tune(int fd, const struct endpoint_job *job, bool datagrams, struct err *e);
void socket_read_back(struct flow *f, bool datagrams);
/* Makes recv() and send() return EAGAIN when they have waited for that long, and not earlier. */
void socket_set_timeout(int fd, uint64_t timeout_ns);
uint64_t socket_retransmits(int fd);
/* Sends or receives a whole message: 1, 0 at the end of the stream, or −errno.  *done counts its bytes, so
 * that a call after EAGAIN goes on where the last one stopped. */
int socket_send_all(int fd, const void *data, size_t size, size_t *done);
int socket_recv_all(int fd, void *data, size_t size, size_t *done);
/* Waits for poll(2)'s events on fd until the deadline: 1, 0 at the deadline, −ECANCELED when stop_fd (−1:
 * none) becomes readable. */
int socket_wait(int fd, short events, int stop_fd, uint64_t deadline_ns);

/* --- hello: the first message of every flow ---------------------------------------------------- */

/* Client: shows the token and waits for the answer. */
int hello_ask(const struct endpoint_job *job, int fd, bool datagrams, unsigned flow, uint64_t deadline_ns,
	struct err *e);
/* Server: waits until a client shows the token; then the flow has its data socket. */
int hello_accept(struct flow *f, struct err *e);
/* The kind of a message that is a hello of this trial and flow, else 0. */
int hello_kind(const struct flow *f, const unsigned char *data, size_t size);
/* Datagrams: sends one hello; that it is sent is not checked. */
void hello_send(const struct flow *f, int fd, unsigned kind);

/* --- request and reply: what TCP and UDP do differently ---------------------------------------- */

struct rr_transport {
	bool datagrams;
	/* 1 sent; 0 connection closed; −errno */
	int (*send)(struct flow *f, uint64_t seq);
	/* 1 a reply, to request *seq; 0 connection closed; −EAGAIN nothing came within the timeout; −errno */
	int (*receive)(struct flow *f, uint64_t *seq);
};

void rr_client(struct flow *f, const struct rr_transport *transport);
void rr_pace(struct flow *f, const struct rr_transport *transport);
/* Places in flow.given_up; a request takes the place of the one that was given up so many before it. */
#define GIVEN_UP_MAX 4096
/* Slots that the ring of a flow needs. */
uint64_t rr_ring_slots(const struct endpoint_job *job);
/* Open loop: when request k of this flow is due. */
uint64_t rr_due(const struct flow *f, uint64_t k);
/* Sets start, end, deadline, share and total; before the threads run. */
void rr_schedule(struct flow *f);

/* Datagrams: the sequence number whose low `width` bytes are these, closest to `reference` (from −1/4 to +3/4
 * of the range). */
uint64_t sequence_restore(uint64_t reference, uint64_t low, unsigned width);

/* --- streams: the two halves ------------------------------------------------------------------- */

void stream_send(struct flow *f);
void stream_receive(struct flow *f);
