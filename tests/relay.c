/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * taut-relay: stands between a client and a server and does them harm, for tests.
 *
 *   taut-relay udp|tcp LISTEN-ADDRESS PORT TARGET-ADDRESS PORT [OPTION VALUE]...
 *
 *   --drop N          udp: the N-th request (1 is the first) is not passed on
 *   --drop-from N     udp: nor is any from the N-th on, nor their replies
 *   --delay-every N   every N-th reply waits for --delay; what comes after it waits behind it
 *   --delay TIME      5ms
 *
 * A request is a datagram from the client, a reply a datagram (over TCP: what one read brings) from the
 * server.  Hellos, which are 40 bytes long and begin with "taut", are passed on and not counted.  It serves
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

struct relay {
	bool datagrams;
	uint64_t drop, drop_from, delay_every, delay_ns;
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
	return n == 40 && !memcmp(data, "taut", 4);
}

/* Is this request to be passed on? */
static bool pass_request(struct relay *r)
{
	r->requests++;
	return r->requests != r->drop && (!r->drop_from || r->requests < r->drop_from);
}

static void hold_reply(struct relay *r)
{
	struct timespec t = {(time_t)(r->delay_ns / NS_PER_S), (long)(r->delay_ns % NS_PER_S)};

	if (r->delay_every && ++r->replies % r->delay_every == 0)
		nanosleep(&t, NULL);
}

static void relay_datagrams(struct relay *r)
{
	int near = open_listening(r), far = open_target(r);
	struct pollfd p[] = {{.fd = near, .events = POLLIN}, {.fd = far, .events = POLLIN}};
	struct sockaddr_storage peer;
	socklen_t peer_len = 0;

	while (poll(p, 2, -1) >= 0 || errno == EINTR) {
		if (p[0].revents) {
			peer_len = sizeof(peer);
			ssize_t n = recvfrom(
				near, r->buffer, BUFFER_BYTES, 0, (struct sockaddr *)&peer, &peer_len);

			if (n >= 0 && (is_hello(r->buffer, n) || pass_request(r)))
				send(far, r->buffer, (size_t)n, 0);
		}
		if (p[1].revents) {
			ssize_t n = recv(far, r->buffer, BUFFER_BYTES, 0);

			if (n < 0 || !peer_len)
				continue;
			if (!is_hello(r->buffer, n))
				hold_reply(r);
			if (!r->drop_from || r->requests < r->drop_from)
				sendto(near, r->buffer, (size_t)n, 0, (struct sockaddr *)&peer, peer_len);
		}
	}
}

/* Passes on what one read brings; false at the end of the stream. */
static bool pass_bytes(struct relay *r, int in, int out, bool reply)
{
	ssize_t n = recv(in, r->buffer, BUFFER_BYTES, 0);

	if (n <= 0)
		return false;
	if (reply && !is_hello(r->buffer, n))
		hold_reply(r);
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
	} counts[] = {
		{"--drop", &r->drop}, {"--drop-from", &r->drop_from}, {"--delay-every", &r->delay_every}};
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

	if (argc < 6 || argc % 2 || !str_in(argv[1], "udp|tcp")) {
		fprintf(stderr,
			"usage: taut-relay udp|tcp LISTEN-ADDRESS PORT TARGET-ADDRESS PORT [OPTION VALUE]...\n");
		return EXIT_USAGE;
	}
	r->datagrams = !strcmp(argv[1], "udp");
	r->delay_ns = 5 * NS_PER_MS;
	r->from_len = parse_address(argv[2], argv[3], &r->from);
	r->to_len = parse_address(argv[4], argv[5], &r->to);
	for (int i = 6; i + 1 < argc; i += 2)
		parse_option(r, argv[i], argv[i + 1]);
	signal(SIGPIPE, SIG_IGN);
	if (r->datagrams)
		relay_datagrams(r);
	else
		relay_stream(r);
	free(r);
	return EXIT_DONE;
}
