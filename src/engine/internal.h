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

#include "arrivals.h"
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
	/* Allocates what a flow of it needs besides its recorder. */
	void (*init)(struct flow *flow);
	/* By the engine's deadline: lets a server listen, or makes a client ready to go.  NULL: flow_open().
	 */
	int (*open)(struct flow *flow, struct err *e);
	/* In the server's thread, before it is ready to go.  NULL: hello_accept(). */
	int (*accept)(struct flow *flow, struct err *e);
	/* The engine goes: sets the flow's schedule, before its threads run.  NULL: it has none. */
	void (*schedule)(struct flow *flow);
	void (*client)(struct flow *flow);
	void (*server)(struct flow *flow);
	void (*pace)(struct flow *flow); /* the sender of an open loop; NULL: there is none */
};

#define ENGINE_WORKLOAD(name, ...) extern const struct engine_workload engine_##name;
WORKLOADS(ENGINE_WORKLOAD)
#undef ENGINE_WORKLOAD
const struct engine_workload *engine_workload(const char *name); /* NULL when there is none */

/* --- drivers: one for each enum driver, one file each ------------------------------------------ */

/*
 * How a flow moves its messages once its hello is over, which goes over its socket, or over the driver where
 * that begins the flow itself.  send and receive behave as send(2) and recv(2) on a socket that has the
 * flow's timeout: they return a number of bytes (of a datagram its whole size, also where `size` is less), 0
 * at the end of a stream or when the engine stops, or −1 with errno, which is EAGAIN once the timeout has
 * passed.
 */
struct engine_driver {
	/* In place of sockets, hello included; NULL: by sockets.  listen sets the flow's port, accept waits
	 * for the client in the flow's thread. */
	int (*connect)(struct flow *flow, struct err *e);
	int (*listen)(struct flow *flow, struct err *e);
	int (*accept)(struct flow *flow, struct err *e);
	/* See engine_device_open(); NULL: it has no device. */
	int (*device_open)(const char *device, struct err *e);
	int (*check)(
		struct flow *flow, struct err *e); /* server: can it be opened, before a client has come? */
	int (*open)(struct flow *flow, struct err *e); /* takes over from the socket; NULL: nothing to do */
	void (*close)(struct flow *flow);              /* also of a flow that was not opened; NULL */
	ssize_t (*send)(struct flow *flow, const void *data, size_t size);
	ssize_t (*receive)(struct flow *flow, void *data, size_t size);
};
extern const struct engine_driver driver_socket, driver_spin, driver_xdp;
extern const struct engine_driver driver_dpdk; /* empty in programs without it */
/* NULL: this program does not have it. */
const struct engine_driver *engine_driver(enum driver driver);

/* What a driver that polls does between two polls; one for each message that it waits for. */
struct spin {
	unsigned polls, every; /* polls in a row that brought nothing; so many of them between two looks */
	uint64_t until_ns;     /* 0 until the first look */
};
void spin_begin(struct spin *s, const struct flow *flow, unsigned look_every);
int spin_look(struct spin *s, const struct flow *flow);
/* After a poll that brought nothing: 1 poll again, 0 the engine stops, −1 with EAGAIN: the time is up. */
static inline int spin_on(struct spin *s, const struct flow *flow)
{
	return ++s->polls < s->every ? 1 : spin_look(s, flow);
}
/* A server sleeps until its first message has come to `fd`; false when the engine stops. */
bool spin_sleep_first(struct flow *flow, int fd);

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

enum {
	OPTION_NODELAY,
	OPTION_BUSY_POLL,
	OPTION_PRIORITY,
	OPTION_SNDBUF,
	OPTION_RCVBUF,
	OPTION_DOMAIN,
	OPTIONS_N
};

/* What a socket was set to. */
struct options {
	bool known[OPTIONS_N];
	int value[OPTIONS_N];
	char congestion[16]; /* "": none */
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
/* HELLO_END carries a number behind the token. */
#define HELLO_END_BYTES (HELLO_BYTES + 8)

enum hello_kind {
	HELLO_ASK = 1,
	HELLO_ACK,
	HELLO_BYE,          /* datagrams: the client ends */
	HELLO_END,          /* datagrams in one direction: the sender has sent so many, see udp_stream.c */
	HELLO_ENDED,        /* the receiver knows */
	HELLO_MARK = 64,    /* datagrams: HELLO_MARK + n is mark n, see udp_rr.c */
	HELLO_MARKED = 128, /* HELLO_MARKED + n: the server returns mark n */
};

/* --- flows (flow.c) --------------------------------------------------------------------------- */

struct flow {
	struct engine *engine;
	const struct workload_row *row;
	const struct engine_workload *workload;
	const struct engine_driver *driver;
	int receive_flags;         /* of recv(2) */
	bool open_loop;            /* transactions on a schedule */
	bool awake;                /* a server that polls: its first message has come */
	bool beside;               /* the stream beside: it lasts as long as the other flows of the client */
	bool realtime;             /* beside: its thread is, and makes way for those of the same priority */
	uint64_t rate;             /* of all flows together; 0 beside */
	uint64_t size_bytes;       /* of a message of a stream */
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
	struct {
		uint16_t id;
		bool raw, v6;         /* which kind of socket; which ICMP */
		uint64_t replies;     /* server: that the kernel had sent before */
	} echo;                       /* ping */
	int accept_fd;                /* tcp_crr server: listens throughout; −1 */
	struct sockaddr_storage peer; /* tcp_crr client */
	socklen_t peer_len;
	struct arrivals *arrivals;                   /* datagrams in one direction, receiver; NULL */
	uint64_t received, jitter_ns, jitter_sum_ns; /* the latest jitter, and the sum over `measured` */

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
	void *driver_data;
	char driver_mode[16]; /* in which way its driver gets its packets, once it is open */
	/* datagrams: the number of requests sent before each mark, and when the latest mark was sent */
	uint64_t marks[HELLO_MARKS], marked_ns;
	unsigned mark;
};

/* Buffers for what the flow sends and receives, hellos included. */
void flow_buffers(struct flow *f, size_t sent, size_t received);
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
/* Adds how a thread was scheduled before and after; nothing where either is unknown. */
void conditions_add_standing(
	const struct standing *before, const struct standing *after, struct conditions *c);
/* The flow is dead, for this reason.  Only the first reason is kept, and none after engine_stop(). */
void flow_fail(struct flow *f, const char *format, ...) PRINTF(2, 3);
/* The flow was not whole, which may be why the engine was stopped. */
void flow_fail_late(struct flow *f, const char *why);
/* What send and receive wait for at most, from now on. */
void flow_set_timeout(struct flow *f, uint64_t timeout_ns);
/* Sleeps until `due_ns`, in pieces, and wakes early when the flow is over; returns the time. */
uint64_t flow_sleep_until(const struct flow *f, uint64_t due_ns);
/* Hands the flow its data socket; false when the engine stops. */
bool flow_adopt(struct flow *f, int fd);
void flow_close(struct flow *f);
/* The stream beside at the client: are the other flows over? */
static inline bool flow_over(const struct flow *f);
/* The stream beside: how its thread is scheduled decides whether it has to make way. */
void flow_look_at_class(struct flow *f);
/* A realtime thread would keep those of its priority from running, for as long as it does not block. */
static inline void flow_make_way(const struct flow *f)
{
	if (f->realtime)
		sched_yield();
}
/* Sends or receives a whole message of a stream: 1, 0 at the end of the stream, or −errno.  *done counts its
 * bytes, so that a call after EAGAIN goes on where the last one stopped. */
int flow_send_all(struct flow *f, const void *data, size_t size, size_t *done);
int flow_receive_all(struct flow *f, void *data, size_t size, size_t *done);
/* The measured stretch begins or ends for the thread that runs: its meter and the connection's
 * retransmissions. */
void flow_mark_start(struct flow *f, struct meter *m);
void flow_mark_end(struct flow *f, struct meter *m);

/* --- the engine -------------------------------------------------------------------------------- */

struct tool_run;

struct engine {
	struct tool_run *tool; /* in place of all that follows; NULL: taut's own engine */
	struct endpoint_job job;
	uint64_t prepare_deadline_ns;
	int done_fd, stop_fd; /* eventfds; stop_fd stays readable once set */
	uint16_t ports[PORTS_MAX];
	_Atomic unsigned measuring; /* threads of the flows that are not beside, while they run */
	atomic_bool stop;
	_Atomic uint64_t first_byte_ns; /* streams: of all flows; 0: none yet */

	pthread_mutex_t lock; /* guards what follows and flow.fd */
	pthread_cond_t changed;
	unsigned settled; /* threads that are ready to be placed */
	unsigned running; /* threads that have not finished */
	bool gone;        /* engine_go() was called, at go_ns */
	uint64_t go_ns;
	bool joined;

	size_t flows_n; /* that beside included, which is the last */
	struct flow *flows;
};

static inline bool engine_stopping(const struct engine *engine)
{
	return atomic_load_explicit(&engine->stop, memory_order_relaxed);
}

static inline bool flow_over(const struct flow *f)
{
	return f->beside && !f->engine->job.server &&
	       !atomic_load_explicit(&f->engine->measuring, memory_order_relaxed);
}

/* Is this the end whose figures count? */
static inline bool flow_measures(const struct flow *f)
{
	return workload_measures(f->row, f->engine->job.server);
}

/* --- sockets: numeric addresses, what the job says of them, deadlines --------------------------- */

/* A numeric address with a port. */
int socket_address(
	const char *text, uint16_t port, struct sockaddr_storage *out, socklen_t *len, struct err *e);
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
/* Datagrams: sends one hello by the flow's driver; that it is sent is not checked. */
void hello_send(struct flow *f, unsigned kind);
/* The same of HELLO_END with its number; and does a message of HELLO_END_BYTES say it? */
void hello_send_end(struct flow *f, uint64_t sent);
bool hello_end(const struct flow *f, const unsigned char *data, uint64_t *sent);

/* Writes a hello of the flow where its next message begins. */
void hello_prepare(struct flow *f, unsigned kind);

/* --- what the kernel counts of the whole network namespace (counters.c) ------------------------- */

/* "Tcp", "RetransSegs"; those of IPv6 are called "Icmp6", "OutEchoReplies". */
int kernel_count(const char *table, const char *name, bool v6, uint64_t *out, struct err *e);

/* --- request and reply: what TCP and UDP do differently ---------------------------------------- */

struct rr_transport {
	bool datagrams;
	/* 1 sent; 0 connection closed; −errno */
	int (*send)(struct flow *f, uint64_t seq);
	/* 1 a reply, to request *seq; 0 connection closed; −EAGAIN nothing came within the timeout; −errno */
	int (*receive)(struct flow *f, uint64_t *seq);
};

/* Buffers, and the ring of requests; or the ring alone, of a client. */
void rr_init(struct flow *f);
void rr_init_ring(struct flow *f);
void rr_client(struct flow *f, const struct rr_transport *transport);
void rr_pace(struct flow *f, const struct rr_transport *transport);
/* Places in flow.given_up; a request takes the place of the one that was given up so many before it. */
#define GIVEN_UP_MAX 4096
/* Open loop: when request k of this flow is due. */
uint64_t rr_due(const struct flow *f, uint64_t k);
/* Client: sets start, end, deadline, share and total; before the threads run. */
void rr_schedule(struct flow *f);

/* Datagrams: the sequence number whose low `width` bytes are these, closest to `reference` (from −1/4 to +3/4
 * of the range). */
uint64_t sequence_restore(uint64_t reference, uint64_t low, unsigned width);

/* --- streams: the two halves ------------------------------------------------------------------- */

void stream_init(struct flow *f);
void stream_send(struct flow *f);
void stream_receive(struct flow *f);
/* The receiver got n bytes: the first of any flow begin the stretch, and those within it count. */
void stream_take(struct flow *f, uint64_t now, size_t n);
