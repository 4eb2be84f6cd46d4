/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The server endpoint in a guest that was not made for it: a user's own.  The program has come there as a
 * file that is its own copy, by ssh or by the QEMU guest agent, and removes that file first of all, so that
 * it leaves nothing whatever ends it.
 *
 *   guest   the control stream is a virtio port that it inherits; the network device with the MAC, if one
 *           is given, gets the trial's address
 *   relay   the control stream is standard input and output, as ssh offers them: they may be two pipes, while
 *           an endpoint wants one stream that tells of its end.  So a process of its own passes bytes on; it
 *           sleeps while nobody speaks, which is all the time that is measured.
 */
#include "agent.h"

#include "net/net.h"
#include "sys/sys.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/wait.h>

#define COPY "/taut-agent." /* what the file of a copy is called, whatever stands behind */

static void remove_copy(void)
{
	char path[4096] = "";
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);
	const char *slash = n > 0 ? strrchr(path, '/') : NULL;

	if (slash && str_starts(slash, COPY))
		unlink(path);
}

static int complain(const struct err *e)
{
	char text[1100];

	fprintf(stderr, "taut-agent: %s\n", err_string(e, text, sizeof(text)));
	return EXIT_FAILED;
}

/* The endpoint, in this process, with `control` as its stream. */
static int serve(int control)
{
	char *argv[] = {(char *)(uintptr_t) "endpoint", (char *)(uintptr_t) "taut-server", NULL};

	if (control != AGENT_CONTROL_FD) {
		dup2(control, AGENT_CONTROL_FD);
		close(control);
	}
	return agent_endpoint(2, argv);
}

/* --- guest ------------------------------------------------------------------------------------- */

struct search {
	const char *mac;
	char found[64];
};

static int is_nic(const char *name, void *arg)
{
	AUTO_CLOSE int root = root_open("/", ERR_IGNORED);
	AUTO_FREE char *path = str_format("/sys/class/net/%s/address", name);
	struct search *s = arg;
	char text[128];

	if (root_read(root, path, text, sizeof(text), ERR_IGNORED) < 0 || strcasecmp(text, s->mac))
		return 0;
	return str_copy(s->found, sizeof(s->found), name) == 0;
}

static int address_set(
	const char *mac, const char *address, const char *prefix, const char *mtu, struct err *e)
{
	AUTO_CLOSE int root = root_open("/", e), ns = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	struct search nic = {.mac = mac};
	uint64_t bits, bytes;
	int rc;

	if (str_u64(prefix, &bits) || bits > 128 || str_u64(mtu, &bytes) || bytes > 65535)
		return err_usage(e, "cannot use prefix '%s' and MTU '%s'", prefix, mtu);
	if (root_each(root, "/sys/class/net", is_nic, &nic, ERR_IGNORED) != 1)
		return err_set(e, ENODEV, "this machine has no network device %s", mac);
	rc = bytes ? net_link_set_mtu(ns, nic.found, (unsigned)bytes, e) : 0;
	if (rc == 0)
		rc = net_link_up(ns, nic.found, e);
	return rc < 0 ? rc : net_address_add(ns, nic.found, address, (unsigned)bits, e);
}

int agent_guest(int argc, char **argv)
{
	struct err e = ERR_INIT;

	remove_copy();
	if (argc != 1 && argc != 5) {
		fprintf(stderr, "taut-agent: guest wants nothing, or MAC, address, prefix and MTU\n");
		return EXIT_USAGE;
	}
	if (argc == 5 && address_set(argv[1], argv[2], argv[3], argv[4], &e) < 0)
		return complain(&e);
	return serve(AGENT_CONTROL_FD);
}

/* --- relay ------------------------------------------------------------------------------------- */

/* Passes on what is there; false: nothing more will come, or nobody takes it. */
static bool pass(int from, int to)
{
	char chunk[16384];
	ssize_t n = read(from, chunk, sizeof(chunk));

	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	for (ssize_t done = 0; done < n;) {
		struct pollfd p = {.fd = to, .events = POLLOUT};
		ssize_t put = write(to, chunk + done, (size_t)(n - done));
		if (put < 0 && errno == EAGAIN)
			poll(&p, 1, -1);
		else if (put < 0 && errno != EINTR)
			return false;
		done += MAX(put, 0);
	}
	return n > 0;
}

/* Until the endpoint has ended.  The end of the session is told to it, and then its end is waited for. */
static void shuttle(int stream)
{
	bool session = true;

	for (bool alive = true; alive;) {
		struct pollfd p[] = {{.fd = stream, .events = POLLIN},
			{.fd = session ? STDIN_FILENO : -1, .events = POLLIN},
			/* Nothing is waited for here but that nobody reads any more. */
			{.fd = session ? STDOUT_FILENO : -1, .events = 0}};
		if (poll(p, ARRAY_LEN(p), -1) < 0 && errno != EINTR)
			break;
		bool over = (p[1].revents && !pass(STDIN_FILENO, stream)) || (p[2].revents & POLLERR);
		if (session && over) {
			shutdown(stream, SHUT_WR);
			session = false;
		}
		if (p[0].revents)
			alive = pass(stream, STDOUT_FILENO);
	}
}

int agent_relay(int argc, char **argv)
{
	int ends[2], status = 0;
	struct err e = ERR_INIT;

	(void)argc;
	(void)argv;
	remove_copy();
	/* The end of a session is no reason to leave things as they are; see shuttle(). */
	signal(SIGHUP, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0) {
		err_sys(&e, "cannot make a control stream");
		return complain(&e);
	}
	pid_t pid = fork();
	if (pid < 0) {
		err_sys(&e, "cannot fork");
		return complain(&e);
	}
	if (pid == 0) {
		int null = open("/dev/null", O_RDWR | O_CLOEXEC);
		close(ends[0]);
		dup2(null, STDIN_FILENO);
		dup2(null, STDOUT_FILENO);
		_exit(serve(ends[1]));
	}
	close(ends[1]);
	shuttle(ends[0]);
	close(ends[0]);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
