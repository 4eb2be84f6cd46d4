/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Into a guest by ssh, in one session, whose standard input and output are the control stream.
 *
 * ssh is the user's: their keys, their configuration (names and jumps included), their known hosts, and
 * never a question.  The address under test is the one that ssh would connect to.
 *
 * The session is the guest's half of the trial: when it ends, for whatever reason, the program there puts
 * back what it tuned and ends.
 */
#include "private.h"

#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>

#define PROBE_NS (20 * NS_PER_S)
#define LEAVE_NS (15 * NS_PER_S)
#define LOOK_MS  300
#define SENTINEL "taut-is-here"

/* Never a question, a forwarding, or a packet that nobody asked for; and nothing that is shared. */
#define SSH_OPTIONS                                                                                          \
	"ssh", "-T", "-x", "-a", "-o", "BatchMode=yes", "-o", "ConnectTimeout=10", "-o",                     \
		"ServerAliveInterval=0", "-o", "ControlMaster=no", "-o", "ControlPath=none", "-o",           \
		"LogLevel=ERROR"

static const char *destination(const char *way)
{
	return way + strlen(login_ssh.word);
}

/* --- where it is ------------------------------------------------------------------------------- */

bool ssh_host_read(const char *said, char *host, size_t size)
{
	const char *line = strstr(said, "\nhostname ");
	size_t len;

	if (!line)
		return false;
	line += strlen("\nhostname ");
	len = strcspn(line, "\n");
	if (!len || len >= size)
		return false;
	memcpy(host, line, len);
	host[len] = 0;
	return true;
}

/* What ssh makes of the name: an alias of its configuration may stand for a host. */
static int ssh_host(const char *way, char *host, size_t size, struct err *e)
{
	const char *const argv[] = {"ssh", "-G", "--", destination(way), NULL};
	AUTO_FREE char *said = NULL;
	int rc = child_run(argv, true, PROBE_NS, &said, e);

	if (rc < 0)
		return rc;
	if (rc > 0 || !ssh_host_read(said, host, size))
		return err_usage(e, "cannot log in by ssh: ssh does not understand '%s'", destination(way));
	return 0;
}

static int address_find(const char *way, bool ipv6, char *out, size_t size, struct err *e)
{
	const struct addrinfo hints = {.ai_family = ipv6 ? AF_INET6 : AF_INET,
		.ai_socktype = SOCK_STREAM,
		.ai_flags = AI_ADDRCONFIG};
	struct addrinfo *found = NULL;
	char host[256];
	int rc = ssh_host(way, host, sizeof(host), e);

	if (rc < 0)
		return rc;
	rc = getaddrinfo(host, NULL, &hints, &found);
	if (rc)
		return err_set(e, EADDRNOTAVAIL, "no IPv%c address of '%s': %s", ipv6 ? '6' : '4', host,
			gai_strerror(rc));
	rc = getnameinfo(found->ai_addr, found->ai_addrlen, out, (socklen_t)size, NULL, 0, NI_NUMERICHOST);
	freeaddrinfo(found);
	return rc ? err_set(e, EADDRNOTAVAIL, "no address of '%s': %s", host, gai_strerror(rc)) : 0;
}

/* --- does it answer ---------------------------------------------------------------------------- */

static const char *last_line(char *text)
{
	char *line = str_trim(text), *feed = strrchr(line, '\n');

	return str_printable(feed ? feed + 1 : line);
}

static const char ask[] = "echo; echo " SENTINEL "; uname -m && uname -r";

int ssh_answer_read(const char *said, struct err *e)
{
	const char *answer = strstr(said, "\n" SENTINEL "\n");
	char machine[64] = "?", release[128] = "?";

	if (answer)
		sscanf(answer + strlen("\n" SENTINEL "\n"), "%63s %127s", machine, release);
	return login_kernel_check(str_printable(machine), str_printable(release), e);
}

static int ssh_probe(const struct settings *s, struct err *e)
{
	const char *way = s->login;
	const char *const argv[] = {SSH_OPTIONS, "--", destination(way), ask, NULL};
	AUTO_FREE char *said = NULL;
	char program[4096], address[64];

	if (!program_find("ssh", program, sizeof(program))) {
		err_set(e, ENOENT, "no ssh on PATH");
		return err_try(e, "apt-get install openssh-client");
	}
	int rc = address_find(way, s->ipv6, address, sizeof(address), e);
	if (rc == 0)
		rc = child_run(argv, true, PROBE_NS, &said, e);
	if (rc < 0)
		return rc;
	if (rc > 0) {
		err_set(e, EREMOTEIO, "cannot log in by ssh: %.300s", last_line(said));
		return err_try(e, "ssh %s true, which must work without a question", destination(way));
	}
	return ssh_answer_read(said, e);
}

/* --- in and out -------------------------------------------------------------------------------- */

/* One word of a shell; the user's login shell there may be any. */
static char *quoted(const char *text)
{
	struct buf out = {0};

	buf_add(&out, "'");
	for (const char *c = text; *c; c++)
		buf_add(&out, *c == '\'' ? "'\\''" : "%c", *c);
	buf_add(&out, "'");
	return out.data;
}

static int session_start(struct login *l, size_t program_bytes, struct err *e)
{
	AUTO_FREE char *script = login_script(program_bytes, "relay");
	AUTO_FREE char *word = quoted(script);
	AUTO_FREE char *command = str_format("exec /bin/sh -c %s", word);
	const char *const argv[] = {SSH_OPTIONS, "--", destination(l->way), command, NULL};
	const char *const environment[] = {l->mark, NULL};
	struct spawn spawn = SPAWN_INIT;

	spawn.argv = argv;
	spawn.setenv = environment;
	spawn.stdin_fd = spawn.stdout_fd = *l->theirs;
	spawn.stderr_fd = l->said;
	spawn.new_group = true;
	l->through = "ssh";
	int rc = child_spawn(l->child, &spawn, e);
	close(steal_fd(l->theirs));
	return rc < 0 ? err_wrap(e, "cannot start taut-server") : 0;
}

/* A session that ends meanwhile is no error here: endpoint_wait() sees it and has its last words. */
static int program_send(int control, const char *data, size_t len, uint64_t deadline_ns, struct err *e)
{
	while (len) {
		ssize_t n = login_push(control, data, len);
		if (n < 0)
			return 0;
		if (stop_flag || time_now_ns() >= deadline_ns)
			return err_set(e, stop_flag ? EINTR : ETIMEDOUT, "%s",
				stop_flag ? "interrupted" : "the session takes the program too slowly");
		data += n;
		len -= (size_t)n;
	}
	return 0;
}

static int ssh_enter(struct login *l, uint64_t deadline_ns, struct err *e)
{
	AUTO_FREE char *data = NULL;
	size_t len = 0;
	int rc = login_program(l->program, &data, &len, e);

	if (rc == 0)
		rc = address_find(l->way, l->ipv6, l->address, sizeof(l->address), e);
	if (rc == 0)
		rc = session_start(l, len, e);
	return rc < 0 ? rc : program_send(*l->control, data, len, deadline_ns, e);
}

/* What has ended is reaped by the owner of the child, who says how it ended. */
static void ssh_leave(struct login *l)
{
	struct pollfd p = {.fd = l->child->pidfd, .events = POLLIN};
	uint64_t deadline = time_now_ns() + LEAVE_NS;

	if (l->child->pid <= 0)
		return;
	shutdown(*l->control, SHUT_WR);
	while (poll(&p, 1, LOOK_MS) <= 0)
		if (time_now_ns() >= deadline) {
			log_warn("taut-server does not end in the guest; its session is cut");
			return;
		}
}

const struct login_row login_ssh = {
	.word = "ssh:",
	.probe = ssh_probe,
	.enter = ssh_enter,
	.leave = ssh_leave,
};
