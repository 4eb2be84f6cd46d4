/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * taut-relay: stands between a client and a server and does them harm, for tests.
 *
 *   taut-relay udp|tcp LISTEN-ADDRESS PORT TARGET-ADDRESS PORT [OPTION VALUE]...
 *   taut-relay icmp LISTEN-ADDRESS 0 LISTEN-ADDRESS 0 [OPTION VALUE]...
 *
 *   --drop N          udp: the N-th request (1 is the first) is not passed on
 *   --drop-from N     udp: nor is any from the N-th on, nor their replies
 *   --lose-every N    udp: every N-th request is not passed on
 *   --again-every N   udp, icmp: every N-th request is passed on twice
 *   --swap-every N    udp, icmp: every N-th request waits until the next one has been passed on
 *   --twice-every N   udp: every N-th reply is passed on twice
 *   --hold-every N    udp: every N-th reply waits for --delay, and others pass it meanwhile
 *   --delay-every N   every N-th reply waits for --delay; what comes after it waits behind it
 *   --delay TIME      5ms
 *
 * A request is a datagram from the client, a reply a datagram (over TCP: what one read brings) from the
 * server.  With icmp it answers the echo requests that come to the address itself: the network namespace must
 * have net.ipv4.icmp_echo_ignore_all set, or the kernel answers too.  What is passed on is answered.
 * Hellos, which begin with "taut" and are 40 or 48 bytes long, are passed on and not counted.  It serves
 * one client: for UDP whoever sent last, for TCP the first that connects; it ends when that closes. Addresses
 * are IPv4 or IPv6.  When it is ready it prints "ready PORT" (PORT 0 takes any free one).
 */
#include "base/base.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <time.h>

#define BUFFER_BYTES (256u << 10)

#define HELD_MAX  64
#define HELD_SIZE 2048

/* A reply that waits. */
struct held {
	uint64_t due_ns;
	size_t len;
	unsigned char data[HELD_SIZE];
};

struct relay {
	bool datagrams;
	uint64_t drop, drop_from, lose_every, again_every, swap_every, twice_every, hold_every, delay_every,
		delay_ns;
	struct held swapped;        /* a request that the next one passes; len 0: none */
	struct held held[HELD_MAX]; /* in the order in which they came, which is that of their times */
	size_t held_n;
	uint64_t requests, replies;
	struct sockaddr_storage from, to;
	socklen_t from_len, to_len;
	unsigned char buffer[BUFFER_BYTES];
};

static void die(const char *what)
{
	perror(what);
	exit(EXIT_FAILED);
}

static socklen_t parse_address(const char *text, const char *port, struct sockaddr_storage *out)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)out;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)out;

	memset(out, 0, sizeof(*out));
	if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons((uint16_t)atoi(port));
		return sizeof(*v4);
	}
	if (inet_pton(AF_INET6, text, &v6->sin6_addr) == 1) {
		v6->sin6_family = AF_INET6;
		v6->sin6_port = htons((uint16_t)atoi(port));
		return sizeof(*v6);
	}
	errno = EINVAL;
	die(text);
	return 0;
}

static int open_listening(const struct relay *r)
{
	struct sockaddr_storage a;
	socklen_t len = sizeof(a);
	const int on = 1;
	int fd = socket(r->from.ss_family, r->datagrams ? SOCK_DGRAM : SOCK_STREAM, 0);

	if (fd < 0)
		die("socket");
	if (!r->datagrams)
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, (const struct sockaddr *)&r->from, r->from_len) || (!r->datagrams && listen(fd, 4)))
		die("bind");
	getsockname(fd, (struct sockaddr *)&a, &len);
	printf("ready %u\n", ntohs(a.ss_family == AF_INET ? ((struct sockaddr_in *)&a)->sin_port
							  : ((struct sockaddr_in6 *)&a)->sin6_port));
	fflush(stdout);
	return fd;
}

static int open_target(const struct relay *r)
{
	int fd = socket(r->to.ss_family, r->datagrams ? SOCK_DGRAM : SOCK_STREAM, 0);

	if (fd < 0 || connect(fd, (const struct sockaddr *)&r->to, r->to_len))
		die("connect");
	return fd;
}

static bool is_hello(const unsigned char *data, ssize_t n)
{
	return (n == 40 || n == 48) && !memcmp(data, "taut", 4);
}

/* Is this request to be passed on? */
static bool pass_request(struct relay *r)
{
	r->requests++;
	return r->requests != r->drop && (!r->drop_from || r->requests < r->drop_from) &&
	       !(r->lose_every && r->requests % r->lose_every == 0);
}

/* Passes a request on, by `forward`, as often as it is to be, and behind it one that has waited for it. */
static void pass_on(struct relay *r, size_t n, void (*forward)(void *to, void *data, size_t n), void *to)
{
	bool waits = r->swap_every && r->requests % r->swap_every == 0 && !r->swapped.len && n <= HELD_SIZE;

	if (waits) {
		memcpy(r->swapped.data, r->buffer, n);
		r->swapped.len = n;
		return;
	}
	forward(to, r->buffer, n);
	if (r->again_every && r->requests % r->again_every == 0)
		forward(to, r->buffer, n);
	if (r->swapped.len)
		forward(to, r->swapped.data, r->swapped.len);
	r->swapped.len = 0;
}

static bool is_nth(const struct relay *r, uint64_t every)
{
	return every && r->replies % every == 0;
}

static void delay_reply(struct relay *r)
{
	struct timespec t = {(time_t)(r->delay_ns / NS_PER_S), (long)(r->delay_ns % NS_PER_S)};

	r->replies++;
	if (is_nth(r, r->delay_every))
		nanosleep(&t, NULL);
}

static bool hold(struct relay *r, size_t n)
{
	struct held *h = &r->held[r->held_n];

	if (r->held_n == HELD_MAX || n > HELD_SIZE)
		return false;
	h->due_ns = time_now_ns() + r->delay_ns;
	h->len = n;
	memcpy(h->data, r->buffer, n);
	r->held_n++;
	return true;
}

/* How long poll() may wait for the first reply that is held, in ms. */
static int patience(const struct relay *r)
{
	uint64_t now = time_now_ns();

	if (!r->held_n)
		return -1;
	return r->held[0].due_ns <= now ? 0 : (int)((r->held[0].due_ns - now) / NS_PER_MS + 1);
}

struct near {
	int fd;
	struct sockaddr_storage peer;
	socklen_t len; /* 0: nobody has come yet */
};

static void to_near(const struct near *near, const void *data, size_t len)
{
	sendto(near->fd, data, len, 0, (const struct sockaddr *)&near->peer, near->len);
}

static void release(struct relay *r, const struct near *near)
{
	while (r->held_n && r->held[0].due_ns <= time_now_ns()) {
		to_near(near, r->held[0].data, r->held[0].len);
		memmove(r->held, r->held + 1, --r->held_n * sizeof(r->held[0]));
	}
}

static void pass_reply(struct relay *r, const struct near *near, size_t n)
{
	bool hello = is_hello(r->buffer, (ssize_t)n);

	if (!hello)
		delay_reply(r);
	if (r->drop_from && r->requests >= r->drop_from)
		return;
	if (!hello && is_nth(r, r->hold_every) && hold(r, n))
		return;
	to_near(near, r->buffer, n);
	if (!hello && is_nth(r, r->twice_every))
		to_near(near, r->buffer, n);
}

static void to_far(void *far, void *data, size_t n)
{
	send(*(int *)far, data, n, 0);
}

static void relay_datagrams(struct relay *r)
{
	struct near near = {.fd = open_listening(r)};
	int far = open_target(r);
	struct pollfd p[] = {{.fd = near.fd, .events = POLLIN}, {.fd = far, .events = POLLIN}};

	while (poll(p, 2, patience(r)) >= 0 || errno == EINTR) {
		release(r, &near);
		if (p[0].revents) {
			near.len = sizeof(near.peer);
			ssize_t n = recvfrom(near.fd, r->buffer, BUFFER_BYTES, 0,
				(struct sockaddr *)&near.peer, &near.len);

			if (n >= 0 && is_hello(r->buffer, n))
				to_far(&far, r->buffer, (size_t)n);
			else if (n >= 0 && pass_request(r))
				pass_on(r, (size_t)n, to_far, &far);
		}
		if (p[1].revents) {
			ssize_t n = recv(far, r->buffer, BUFFER_BYTES, 0);

			if (n >= 0 && near.len)
				pass_reply(r, &near, (size_t)n);
		}
	}
}

/* --- echo requests ----------------------------------------------------------------------------- */

static uint16_t checksum(const unsigned char *data, size_t n)
{
	uint32_t sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += i % 2 ? data[i] : (uint32_t)data[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

/* Makes a reply of a request, without a look at whether it is one already, and sends it back. */
static void answer(void *near, void *data, size_t n)
{
	unsigned char *echo = data;

	echo[0] = echo[2] = echo[3] = 0;
	uint16_t sum = checksum(echo, n);
	echo[2] = (unsigned char)(sum >> 8);
	echo[3] = (unsigned char)sum;
	to_near(near, echo, n);
}

static void answer_echoes(struct relay *r)
{
	struct near near = {.fd = socket(AF_INET, SOCK_RAW, IPPROTO_ICMP)};

	if (near.fd < 0 || bind(near.fd, (const struct sockaddr *)&r->from, r->from_len))
		die("socket");
	printf("ready 0\n");
	fflush(stdout);
	for (;;) {
		near.len = sizeof(near.peer);
		ssize_t n = recvfrom(
			near.fd, r->buffer, BUFFER_BYTES, 0, (struct sockaddr *)&near.peer, &near.len);
		size_t head = n > 0 ? (r->buffer[0] & 15u) * 4 : 0;

		if (n < (ssize_t)head + 8 || r->buffer[head] != 8)
			continue;
		memmove(r->buffer, r->buffer + head, (size_t)n - head);
		if (pass_request(r))
			pass_on(r, (size_t)n - head, answer, &near);
	}
}

/* --- streams ----------------------------------------------------------------------------------- */

/* Passes on what one read brings; false at the end of the stream. */
static bool pass_bytes(struct relay *r, int in, int out, bool reply)
{
	ssize_t n = recv(in, r->buffer, BUFFER_BYTES, 0);

	if (n <= 0)
		return false;
	if (reply && !is_hello(r->buffer, n))
		delay_reply(r);
	for (ssize_t done = 0; done < n;) {
		ssize_t m = send(out, r->buffer + done, (size_t)(n - done), 0);

		if (m <= 0)
			return false;
		done += m;
	}
	return true;
}

static void relay_stream(struct relay *r)
{
	const int on = 1;
	int listening = open_listening(r), near = accept(listening, NULL, NULL), far;

	if (near < 0)
		die("accept");
	close(listening);
	far = open_target(r);
	setsockopt(near, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(far, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	struct pollfd p[] = {{.fd = near, .events = POLLIN}, {.fd = far, .events = POLLIN}};
	while (poll(p, 2, -1) >= 0 || errno == EINTR) {
		if (p[0].revents && !pass_bytes(r, near, far, false))
			return;
		if (p[1].revents && !pass_bytes(r, far, near, true))
			return;
	}
}

static void parse_option(struct relay *r, const char *name, const char *value)
{
	const struct {
		const char *name;
		uint64_t *value;
	} counts[] = {{"--drop", &r->drop}, {"--drop-from", &r->drop_from}, {"--lose-every", &r->lose_every},
		{"--again-every", &r->again_every}, {"--swap-every", &r->swap_every},
		{"--twice-every", &r->twice_every}, {"--hold-every", &r->hold_every},
		{"--delay-every", &r->delay_every}};
	struct err e = ERR_INIT;

	for (size_t i = 0; i < ARRAY_LEN(counts); i++)
		if (!strcmp(name, counts[i].name) && !str_u64(value, counts[i].value))
			return;
	if (!strcmp(name, "--delay") && !time_parse_ns(value, &r->delay_ns, &e))
		return;
	fprintf(stderr, "taut-relay: cannot use %s %s\n", name, value);
	exit(EXIT_USAGE);
}

int main(int argc, char **argv)
{
	struct relay *r = mem_alloc(sizeof(*r));

	if (argc < 6 || argc % 2 || !str_in(argv[1], "udp|tcp|icmp")) {
		fprintf(stderr,
			"usage: taut-relay udp|tcp|icmp LISTEN-ADDRESS PORT TARGET-ADDRESS PORT [OPTION VALUE]...\n");
		return EXIT_USAGE;
	}
	r->datagrams = !strcmp(argv[1], "udp");
	r->delay_ns = 5 * NS_PER_MS;
	r->from_len = parse_address(argv[2], argv[3], &r->from);
	r->to_len = parse_address(argv[4], argv[5], &r->to);
	for (int i = 6; i + 1 < argc; i += 2)
		parse_option(r, argv[i], argv[i + 1]);
	signal(SIGPIPE, SIG_IGN);
	if (!strcmp(argv[1], "icmp"))
		answer_echoes(r);
	else if (r->datagrams)
		relay_datagrams(r);
	else
		relay_stream(r);
	free(r);
	return EXIT_DONE;
}
