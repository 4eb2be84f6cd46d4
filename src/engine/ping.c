/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * ICMP and ICMPv6 echo: the client asks, and the kernel at the server's address answers.  The server's end is
 * there all the same: it stands where a server would, waits, and counts by its kernel's own figures how many
 * replies went out while the trial ran.
 *
 * The client takes a datagram socket of ICMP, which the kernel gives to the groups of
 * net.ipv4.ping_group_range, and whose identifiers and checksums it writes itself; where that is not allowed,
 * a raw socket, which wants CAP_NET_RAW and a filter that lets through what has the flow's identifier.
 *
 * The echo carries `size` bytes.  The first eight are its number, the next eight the beginning of the trial's
 * token: a reply that does not bring it back is nobody's.  Where there is no room for the number, the 16 bits
 * of the header stand for it.
 */
#include "internal.h"

#include <endian.h>
#include <linux/filter.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <poll.h>
#include <stdio.h>

#define HEAD_BYTES    8  /* of ICMP and ICMPv6 */
#define IP_HEAD_MOST  60 /* that of IPv4, before what a raw socket receives */
#define NUMBER_BYTES  8
#define TOKEN_BYTES   8
#define RAW_FILTER_V4 1 /* ICMP_FILTER of linux/icmp.h, which cannot be included beside netinet's */

/* --- messages ---------------------------------------------------------------------------------- */

struct head {
	uint8_t type, code;
	uint16_t checksum, id, number; /* big endian */
};

/* RFC 1071. */
static uint16_t checksum(const unsigned char *data, size_t n)
{
	uint64_t sum = 0;
	uint16_t word;

	for (; n > 1; n -= 2, data += 2) {
		memcpy(&word, data, 2);
		sum += word;
	}
	if (n) {
		word = 0;
		memcpy(&word, data, 1);
		sum += word;
	}
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

static int send_echo(struct flow *f, uint64_t seq)
{
	const struct endpoint_job *s = &f->engine->job;
	struct head head = {.type = f->echo.v6 ? ICMP6_ECHO_REQUEST : ICMP_ECHO,
		.id = htobe16(f->echo.id),
		.number = htobe16((uint16_t)seq)};
	const uint64_t number = htole64(seq);
	size_t size = HEAD_BYTES + s->size_bytes;

	memcpy(f->out, &head, sizeof(head));
	if (s->size_bytes >= NUMBER_BYTES)
		memcpy(f->out + HEAD_BYTES, &number, NUMBER_BYTES);
	if (f->echo.raw && !f->echo.v6) {
		head.checksum = checksum(f->out, size);
		memcpy(f->out, &head, sizeof(head));
	}
	while (f->driver->send(f, f->out, size) < 0)
		if (errno != EINTR)
			return errno == EPIPE ? 0 : -errno;
	return 1;
}

/* Is this the reply to an echo of this flow?  Then *seq is its number. */
static bool is_reply(const struct flow *f, const unsigned char *data, size_t n, uint64_t *seq)
{
	const uint64_t payload = f->engine->job.size_bytes;
	struct head head;
	uint64_t number;

	if (n != HEAD_BYTES + payload)
		return false;
	memcpy(&head, data, sizeof(head));
	if (head.type != (f->echo.v6 ? ICMP6_ECHO_REPLY : ICMP_ECHOREPLY) || head.code)
		return false;
	if (f->echo.raw && be16toh(head.id) != f->echo.id)
		return false;
	if (payload >= NUMBER_BYTES + TOKEN_BYTES &&
		memcmp(data + HEAD_BYTES + NUMBER_BYTES, f->engine->job.token, TOKEN_BYTES))
		return false;
	if (payload < NUMBER_BYTES) {
		*seq = sequence_restore(MAX(ring_tail(&f->ring), 1u) - 1, be16toh(head.number), 2);
		return true;
	}
	memcpy(&number, data + HEAD_BYTES, NUMBER_BYTES);
	*seq = le64toh(number);
	return (uint16_t)*seq == be16toh(head.number);
}

static int receive_reply(struct flow *f, uint64_t *seq)
{
	for (;;) {
		ssize_t n = f->driver->receive(f, f->in, f->in_bytes);
		size_t head = n > 0 && f->echo.raw && !f->echo.v6 ? (f->in[0] & 15u) * 4 : 0;

		if (n == 0)
			return 0;
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > (ssize_t)head && (size_t)n <= f->in_bytes &&
			is_reply(f, f->in + head, (size_t)n - head, seq))
			return 1;
	}
}

/* --- client ------------------------------------------------------------------------------------ */

static void init(struct flow *f)
{
	const struct endpoint_job *s = &f->engine->job;
	size_t size = HEAD_BYTES + s->size_bytes;

	flow_buffers(f, size, size + IP_HEAD_MOST);
	for (size_t i = 0; s->size_bytes >= NUMBER_BYTES + TOKEN_BYTES && i < TOKEN_BYTES; i++)
		f->out[HEAD_BYTES + NUMBER_BYTES + i] = (unsigned char)s->token[i];
	rr_init_ring(f);
}

/* Of those replies the socket takes none but its own flow's: those of the others would fill its buffer. */
static int filter_flow(int fd, const struct flow *f, struct err *e)
{
	/* A raw socket of IPv4 begins with the IP header, whose length is in X then. */
	struct sock_filter code[] = {
		BPF_STMT(BPF_LDX | BPF_B | BPF_MSH, 0),
		BPF_STMT(BPF_LD | BPF_H | (f->echo.v6 ? BPF_ABS : BPF_IND), offsetof(struct head, id)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, f->echo.id, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};
	const struct sock_fprog program = {ARRAY_LEN(code), code};

	if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)))
		return err_sys(e, "cannot filter a raw socket");
	return 0;
}

/* The kernel hands a raw socket nothing but replies. */
static int filter_replies(int fd, bool v6, struct err *e)
{
	const uint32_t v4_blocked = ~(1u << ICMP_ECHOREPLY);
	struct icmp6_filter v6_filter;

	ICMP6_FILTER_SETBLOCKALL(&v6_filter);
	ICMP6_FILTER_SETPASS(ICMP6_ECHO_REPLY, &v6_filter);
	if (v6 ? setsockopt(fd, IPPROTO_ICMPV6, ICMP6_FILTER, &v6_filter, sizeof(v6_filter))
	       : setsockopt(fd, SOL_RAW, RAW_FILTER_V4, &v4_blocked, sizeof(v4_blocked)))
		return err_sys(e, "cannot filter a raw socket");
	return 0;
}

static int open_socket(struct flow *f, int family, struct err *e)
{
	const int protocol = family == AF_INET6 ? (int)IPPROTO_ICMPV6 : (int)IPPROTO_ICMP;
	int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, protocol);

	if (fd < 0 && (errno == EACCES || errno == EPERM || errno == EPROTONOSUPPORT)) {
		fd = socket(family, SOCK_RAW | SOCK_CLOEXEC, protocol);
		f->echo.raw = fd >= 0;
	}
	if (fd < 0 && (errno == EACCES || errno == EPERM)) {
		err_refused(e,
			"cannot open an ICMP socket: it needs CAP_NET_RAW, or this process's group in net.ipv4.ping_group_range");
		return err_try(e, "run as root");
	}
	return fd < 0 ? err_sys(e, "cannot open an ICMP socket") : fd;
}

static int open_client(struct flow *f, struct err *e)
{
	const struct endpoint_job *job = &f->engine->job;
	struct sockaddr_storage address;
	socklen_t len;
	unsigned tag = 0;
	int rc = socket_address(job->address, 0, &address, &len, e);

	if (rc)
		return rc;
	AUTO_CLOSE int fd = open_socket(f, address.ss_family, e);
	if (fd < 0)
		return fd;
	f->echo.v6 = address.ss_family == AF_INET6;
	/* Of a datagram socket the kernel writes its own. */
	sscanf(job->token, "%4x", &tag);
	f->echo.id = (uint16_t)(tag + f->index);
	if (f->echo.raw && ((rc = filter_replies(fd, f->echo.v6, e)) || (rc = filter_flow(fd, f, e))))
		return rc;
	if (connect(fd, (struct sockaddr *)&address, len))
		return err_sys(e, "cannot reach %s", job->address);
	rc = socket_tune(fd, job, true, e);
	if (rc)
		return rc;
	f->fd = steal_fd(&fd);
	socket_set_timeout(f->fd, job->timeout_ns);
	socket_read_back(f, true);
	return f->driver->open ? f->driver->open(f, e) : 0;
}

static const struct rr_transport icmp = {.datagrams = true, .send = send_echo, .receive = receive_reply};

static void client(struct flow *f)
{
	rr_client(f, &icmp);
}

static void pace(struct flow *f)
{
	rr_pace(f, &icmp);
}

/* --- server ------------------------------------------------------------------------------------ */

/* How many echo replies the kernel has sent. */
static int replies_sent(const struct flow *f, uint64_t *out, struct err *e)
{
	return kernel_count(f->echo.v6 ? "Icmp6" : "Icmp", f->echo.v6 ? "OutEchoReplies" : "OutEchoReps",
		f->echo.v6, out, e);
}

static int open_server(struct flow *f, struct err *e)
{
	f->echo.v6 = strchr(f->engine->job.address, ':') != NULL;
	return f->index ? 0 : replies_sent(f, &f->echo.replies, e);
}

static int accept_nobody(struct flow *f, struct err *e)
{
	(void)f, (void)e;
	return 0;
}

/* Waits until the trial is over.  The kernel does not tell flows apart, so the first counts for all. */
static void server(struct flow *f)
{
	struct err e = ERR_INIT;
	uint64_t replies;

	f->start_ns = time_now_ns();
	flow_mark_start(f, &f->main.meter);
	while (!engine_stopping(f->engine)) {
		struct pollfd p = {.fd = f->engine->stop_fd, .events = POLLIN};

		poll(&p, 1, -1);
	}
	flow_mark_end(f, &f->main.meter);
	f->ended_ns = time_now_ns();
	if (f->index)
		return;
	if (replies_sent(f, &replies, &e))
		flow_fail_late(f, e.text);
	else
		f->sent = f->measured = replies - f->echo.replies;
}

/* --- either end -------------------------------------------------------------------------------- */

static int open_end(struct flow *f, struct err *e)
{
	return f->engine->job.server ? open_server(f, e) : open_client(f, e);
}

const struct engine_workload engine_ping = {.init = init,
	.open = open_end,
	.accept = accept_nobody,
	.schedule = rr_schedule,
	.client = client,
	.server = server,
	.pace = pace};
