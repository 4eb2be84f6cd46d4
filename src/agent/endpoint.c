/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * An endpoint: carries the engine's life over the control stream.
 *
 *   agent                       site
 *   HELLO {"version", …} ──►
 *                        ◄──    JOB
 *   READY {"ports"}      ──►    (threads exist now, and can be placed)
 *                        ◄──    TUNE, for each stage, when this machine is a guest
 *   TUNED {"knobs"}      ──►
 *                        ◄──    GO
 *                        ◄──    STOP, if it is to end before it does by itself
 *   RECORD               ──►
 *                        ◄──    VERIFY, at any time but while measuring
 *   VERIFIED {"all", …}  ──►
 *                        ◄──    TUNE {"stage": "revert"}, to hear that it worked; it is done anyway
 *   TUNED {"knobs": []}  ──►
 *                        ◄──    END, where another endpoint follows on the same stream
 *
 * Whatever fails becomes an ERROR frame.  This thread sleeps in poll() all the time, so that it disturbs
 * nothing and sees at once when the stream is closed: the trial is over then, and so is this process,
 * once it has put back what it tuned.
 * Preparing can block (a connection that is not answered), so another thread does it.
 */
#include "agent.h"

#include "engine/engine.h"
#include "net/net.h"
#include "sys/sys.h"
#include "wire/job.h"
#include "wire/record.h"

#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>

#define FRAME_NS          (60 * NS_PER_S) /* a frame may go through a slow serial port */
#define PREPARE_CLIENT_NS (20 * NS_PER_S)
#define PREPARE_SERVER_NS (120 * NS_PER_S) /* its client may have to boot first */

struct agent {
	const char *address; /* of its device; NULL: it has none */
	int control;
	int term; /* readable when SIGTERM has come */
	struct endpoint_job job;
	struct engine *engine;
	struct guest *guest; /* what is tuned here; NULL: nothing, and this is no guest */
	char link[16];       /* the guest's own, as it was before measuring; "": none was found */
	struct net_standing link_before;
	bool gone, memory_locked;
	/* the thread that prepares */
	int prepared_fd;
	int prepare_rc;
	struct err prepare_err;
};

/* --- control stream ---------------------------------------------------------------------------- */

static bool is_stream(int fd)
{
	struct stat st;

	return !fstat(fd, &st) && (S_ISSOCK(st.st_mode) || S_ISCHR(st.st_mode) || S_ISFIFO(st.st_mode));
}

static int open_control(void)
{
	struct stat st;

	if (!is_stream(AGENT_CONTROL_FD) || fcntl(AGENT_CONTROL_FD, F_SETFD, FD_CLOEXEC))
		return -EBADF;
	if (!fstat(AGENT_CONTROL_FD, &st) && !S_ISSOCK(st.st_mode))
		fcntl(AGENT_CONTROL_FD, F_SETFL, fcntl(AGENT_CONTROL_FD, F_GETFL) | O_NONBLOCK);
	return AGENT_CONTROL_FD;
}

static int send_frame(const struct agent *a, enum frame_type type, json_t *body, struct err *e)
{
	return frame_send(a->control, type, body, time_now_ns() + FRAME_NS, e);
}

/* Best effort: when the stream is what failed, nobody hears it. */
static void send_error(const struct agent *a, const struct err *e)
{
	json_t *body = json_pack("{s:s, s:s}", "text", e->text, "advice", e->advice);

	if (body)
		send_frame(a, FRAME_ERROR, body, ERR_IGNORED);
}

/* The trial is over for this end. */
_Noreturn static void leave(struct agent *a, int status)
{
	agent_revert(steal_ptr(&a->guest), ERR_IGNORED);
	_exit(status);
}

/*
 * Sleeps until `fd` is readable (1) or the stream has something (2); the stream's end ends the process, and
 * so does SIGTERM.
 */
static int wait_event(struct agent *a, int fd, short control_events)
{
	struct pollfd p[] = {{.fd = fd, .events = POLLIN}, {.fd = a->control, .events = control_events},
		{.fd = a->term, .events = POLLIN}};

	for (;;) {
		if (poll(p, ARRAY_LEN(p), -1) < 0 && errno != EINTR)
			leave(a, EXIT_FAILED);
		if (p[2].revents)
			leave(a, 128 + SIGTERM);
		if (p[1].revents & POLLIN)
			return 2;
		if (p[1].revents)
			leave(a, EXIT_FAILED);
		if (p[0].revents)
			return 1;
	}
}

/* --- preparation ------------------------------------------------------------------------------- */

/*
 * Once everything is there that measuring needs.  A limit may forbid it, and the trial goes on without: the
 * knob endpoint-memory says so.  With a limit nothing is locked that comes later, such as the record: it
 * would be refused.
 */
static int lock_memory(struct agent *a, struct err *e)
{
	char status[8192];
	unsigned long locked_kib = 0;
	struct rlimit limit = {0};

	getrlimit(RLIMIT_MEMLOCK, &limit);
	bool unlimited = is_privileged() || limit.rlim_cur >= (rlim_t)1 << 62; /* as in containers */
	if (mlockall(MCL_CURRENT | (unlimited ? MCL_FUTURE : 0)))
		return 0;
	AUTO_CLOSE int root = root_open("/", e);
	if (root < 0 || root_read(root, "/proc/self/status", status, sizeof(status), e) < 0)
		return -e->code;
	const char *line = strstr(status, "\nVmLck:");
	a->memory_locked = line && sscanf(line, " VmLck: %lu", &locked_kib) == 1 && locked_kib > 0;
	return 0;
}

static int receive_job(struct agent *a, struct err *e)
{
	json_t *body = NULL;
	int rc = frame_expect(a->control, FRAME_JOB, &body, time_now_ns() + FRAME_NS, e);

	if (rc)
		return rc;
	rc = job_from_json(&a->job, body, e);
	json_decref(body);
	if (rc == 0 && a->address && str_copy(a->job.own_address, sizeof(a->job.own_address), a->address))
		rc = err_usage(e, "cannot use address '%s': it is too long", a->address);
	return rc;
}

static void *prepare_main(void *arg)
{
	struct agent *a = arg;
	uint64_t patience_ns = a->job.server ? PREPARE_SERVER_NS : PREPARE_CLIENT_NS;

	a->prepare_rc = engine_prepare(&a->engine, &a->job, time_now_ns() + patience_ns, &a->prepare_err);
	eventfd_write(a->prepared_fd, 1);
	return NULL;
}

static int prepare(struct agent *a, struct err *e)
{
	pthread_t thread;
	pthread_attr_t attr;
	int rc;

	mallopt(M_ARENA_MAX, 1); /* each further one takes 64 MiB of what may be locked */
	a->prepared_fd = eventfd(0, EFD_CLOEXEC);
	if (a->prepared_fd < 0)
		return err_sys(e, "cannot create an eventfd");
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 256 << 10); /* it is locked in memory */
	rc = pthread_create(&thread, &attr, prepare_main, a);
	pthread_attr_destroy(&attr);
	if (rc)
		return err_code(e, rc, "cannot start a thread");
	/* Frames that come now can wait; the end of the stream cannot. */
	wait_event(a, a->prepared_fd, POLLRDHUP);
	pthread_join(thread, NULL);
	*e = a->prepare_err;
	return a->prepare_rc < 0 || !a->job.lock_memory ? a->prepare_rc : lock_memory(a, e);
}

static int send_ready(const struct agent *a, struct err *e)
{
	json_t *ports = json_array();

	for (size_t i = 0; i < job_flows(&a->job); i++)
		json_array_append_new(ports, json_integer(engine_ports(a->engine)[i]));
	return send_frame(a, FRAME_READY, json_pack("{s:o}", "ports", ports), e);
}

/* --- the trial --------------------------------------------------------------------------------- */

/* Only from inside can the link of a guest be read; all others are watched from the host. */
static void link_read(const struct agent *a, struct net_standing *out)
{
	AUTO_CLOSE int own = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);

	net_standing_read(own, a->link, out);
}

static void add_link(const struct agent *a, struct conditions *c)
{
	struct net_standing after;

	if (!a->link_before.there)
		return;
	link_read(a, &after);
	condition_add_link(c, a->link, a->link_before.text, after.there ? after.text : NULL);
}

static int send_record(const struct agent *a, struct err *e)
{
	AUTO_FREE struct endpoint_record *record = mem_alloc(sizeof(*record));

	engine_collect(a->engine, record);
	add_link(a, &record->conditions);
	record->memory_locked = a->memory_locked && a->job.tool == TOOL_TAUT; /* a tool's is its own */
	if (!a->gone && record->mistake[0])
		return err_set(e, EPROTO, "%s", record->mistake);
	return send_frame(a, FRAME_RECORD, endpoint_record_json(record), e);
}

/* Answers TUNE and VERIFY. */
static int answer(struct agent *a, int type, const json_t *request, struct err *e)
{
	json_t *reply = NULL;
	int rc = type == FRAME_TUNE ? agent_tune(&a->guest, request, a->job.address, &reply, e)
				    : agent_verify(a->guest, &reply, e);

	if (type == FRAME_VERIFY && a->guest && !a->gone && agent_link(a->job.address, a->link))
		link_read(a, &a->link_before);
	return rc < 0 ? rc : send_frame(a, type == FRAME_TUNE ? FRAME_TUNED : FRAME_VERIFIED, reply, e);
}

/* 1: the trial goes on, 0: it is to end, −errno. */
static int obey(struct agent *a, struct err *e)
{
	json_t *body = NULL;
	int type = frame_recv(a->control, &body, time_now_ns() + FRAME_NS, e), rc = 1;

	if (type < 0)
		return type;
	if (type == FRAME_STOP) {
		engine_stop(a->engine);
		rc = 0;
	} else if (type == FRAME_GO && !a->gone) {
		a->gone = true;
		engine_go(a->engine);
	} else if ((type == FRAME_TUNE || type == FRAME_VERIFY) && !a->gone) {
		rc = answer(a, type, body, e);
		rc = rc < 0 ? rc : 1;
	} else {
		rc = err_set(
			e, EPROTO, "the control stream brought frame %d, which makes no sense now", type);
	}
	json_decref(body);
	return rc;
}

static int carry_out(struct agent *a, struct err *e)
{
	int rc = send_frame(a, FRAME_HELLO, frame_hello(), e);

	if (!rc) {
		wait_event(a, -1, POLLIN); /* as long as it takes: others may have to boot */
		rc = receive_job(a, e);
	}
	if (!rc)
		rc = prepare(a, e);
	if (!rc)
		rc = send_ready(a, e);
	while (!rc && wait_event(a, engine_done_fd(a->engine), POLLIN) == 2) {
		int goes_on = obey(a, e);

		if (goes_on < 0)
			rc = goes_on;
		if (goes_on == 0)
			break;
	}
	return rc ? rc : send_record(a, e);
}

/* The record is delivered: stays, so that what is in force on this process and its machine can be verified,
 * until the stream ends. */
_Noreturn static void linger(struct agent *a)
{
	for (;;) {
		struct err e = ERR_INIT;
		json_t *body = NULL;

		wait_event(a, -1, POLLIN);
		int type = frame_recv(a->control, &body, time_now_ns() + FRAME_NS, ERR_IGNORED);
		if (type < 0)
			leave(a, EXIT_DONE);
		if (type == FRAME_END)
			leave(a, AGENT_AGAIN);
		if ((type == FRAME_TUNE || type == FRAME_VERIFY) && answer(a, type, body, &e) < 0)
			send_error(a, &e);
		json_decref(body);
	}
}

/* In the thread that spins: at a realtime priority no other may get to run. */
static void out_of_time(int number)
{
	_exit(128 + number);
}

/*
 * A signal that is blocked waits to be read, in the first process of a container as well, which ignores those
 * that it does not handle.  Threads and programs that this one starts are ended with it.
 */
static int term_open(void)
{
	sigset_t set;

	signal(SIGXCPU, out_of_time);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return -1;
	return signalfd(-1, &set, SFD_CLOEXEC);
}

/* On stderr: nobody listens to the stream before HELLO. */
static int refuse(const struct err *e)
{
	char text[1100];

	fprintf(stderr, "%s\n", err_string(e, text, sizeof(text)));
	return e->exit;
}

int agent_endpoint(int argc, char **argv)
{
	struct agent a = {.prepared_fd = -1, .term = -1};
	struct err e = ERR_INIT;
	char was[64];

	if (argc < 2 || argc > 4 || !str_in(argv[1], "taut-client|taut-server")) {
		fprintf(stderr, "taut-agent: endpoint wants a name: taut-client or taut-server\n");
		return EXIT_USAGE;
	}
	if (argc == 3 && agent_join(argv[2], &e) < 0) {
		fprintf(stderr, "taut-agent: %s\n", e.text);
		return EXIT_FAILED;
	}
	a.address = argc == 4 ? argv[3] : NULL;
	a.control = open_control();
	if (a.control < 0) {
		fprintf(stderr,
			"taut-agent: cannot find the control stream: file descriptor %d is no stream; "
			"this program is started by taut (try: taut measure tcp_rr)\n",
			AGENT_CONTROL_FD);
		return EXIT_USAGE;
	}
	prctl(PR_SET_NAME, argv[1]);
	/* What cannot be put right is told with the record.  CPUs are inherited on purpose. */
	sched_reset(was, sizeof(was));
	/* What a terminal sends is for taut, which then asks for the record. */
	signal(SIGHUP, SIG_IGN);
	signal(SIGINT, SIG_IGN);
	signal(SIGQUIT, SIG_IGN);
	a.term = term_open();
	/* Before HELLO, for the other end may need the device to start. */
	if (a.address && engine_device_open(argv[2], &e) < 0)
		return refuse(&e);
	int rc = carry_out(&a, &e);
	/* Not engine_free(): a flow may not be stoppable soon, and the process ends anyway. */
	if (!rc)
		linger(&a);
	send_error(&a, &e);
	leave(&a, EXIT_FAILED);
}
