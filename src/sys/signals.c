/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Signals, and the standard file descriptors.  A program inherits which signals are blocked and ignored, and
 * may be started with closed descriptors 0 to 2; both programs of taut begin by making these what they rely
 * on, so that it does not matter who started them.
 *
 * Every signal that would end the process, and is no sign of a crash, raises the stop flag instead, because
 * a process that ends by a signal leaves the machine tuned.  What nohup and shells ignore for a reason (HUP,
 * INT, QUIT) stays ignored, here and in children.
 *
 * A crash (a failed assertion, a bad address, no memory) cannot be gone on from: the memory of the process is
 * not to be trusted.  So the handler executes the program anew in the same process, which puts the machine
 * back by the journal.  All that the new program needs has been prepared by crash_restart() before.
 */
#include "sys.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>

#define STACK_BYTES 65536

static const int of_terminal[] = {SIGHUP, SIGINT, SIGQUIT};
static const int told_by_errno[] = {SIGPIPE, SIGXFSZ}; /* ignored: the write fails with EPIPE, EFBIG */
static const int crashes[] = {SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGSEGV, SIGSYS, SIGTRAP};
static const int harmless[] = {/* these stop a process, continue it or do nothing; or cannot be caught */
	SIGCHLD, SIGCONT, SIGURG, SIGWINCH, SIGTSTP, SIGTTIN, SIGTTOU, SIGKILL, SIGSTOP};

#define IN(n, list) is_in(n, list, ARRAY_LEN(list))

static bool is_in(int number, const int *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (list[i] == number)
			return true;
	return false;
}

static bool is_ignored(int number)
{
	struct sigaction now;

	return sigaction(number, NULL, &now) == 0 && !(now.sa_flags & SA_SIGINFO) &&
	       now.sa_handler == SIG_IGN;
}

void standard_fds_open(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR); /* a standard descriptor is for children too */
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		close(fd);
}

/* Calls no function that is not safe between fork() and exec. */
void signals_reset(void)
{
	sigset_t none;

	for (int n = 1; n <= SIGRTMAX; n++)
		if (!(IN(n, of_terminal) && is_ignored(n)))
			signal(n, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

void signals_take_over(void)
{
	signals_reset();
	for (size_t i = 0; i < ARRAY_LEN(told_by_errno); i++)
		signal(told_by_errno[i], SIG_IGN);
}

static void raise_stop(int number)
{
	(void)number;
	__atomic_add_fetch(&stop_flag, 1, __ATOMIC_SEQ_CST); /* two threads may be interrupted at once */
}

void signals_stop(void)
{
	struct sigaction action = {.sa_handler = raise_stop};

	for (int n = 1; n <= SIGRTMAX; n++)
		if (!IN(n, harmless) && !IN(n, crashes) && !is_ignored(n))
			sigaction(n, &action, NULL); /* fails for those that the C library keeps for itself */
}

/* --- after a crash ------------------------------------------------------------------------------- */

/* What the handler needs; a handler has no other place for it. */
static struct {
	const char *argv[5];
	char **environment;
	char number[8], kept[16];
	int keep;
} restart;

/* A limit that has been lowered may leave no room for the program. */
static void limits_lift(void)
{
	static const int limits[] = {RLIMIT_AS, RLIMIT_DATA};
	struct rlimit r;

	for (size_t i = 0; i < ARRAY_LEN(limits); i++)
		if (getrlimit(limits[i], &r) == 0) {
			r.rlim_cur = r.rlim_max;
			setrlimit(limits[i], &r);
		}
}

static void begin_anew(int number)
{
	restart.number[0] = (char)('0' + number / 10);
	restart.number[1] = (char)('0' + number % 10);
	fcntl(restart.keep, F_SETFD, 0);
	limits_lift();
	execve("/proc/self/exe", (char *const *)(uintptr_t)restart.argv, restart.environment);
	signal(number, SIG_DFL);
	raise(number);
}

void crash_restart(const char *verb, const char *mark, int keep)
{
	const char *const more[] = {mark, NULL};
	struct sigaction action = {.sa_handler = begin_anew, .sa_flags = SA_ONSTACK};
	const stack_t stack = {.ss_sp = mem_alloc(STACK_BYTES), .ss_size = STACK_BYTES};

	restart.argv[0] = "taut";
	restart.argv[1] = verb;
	restart.argv[2] = restart.number;
	restart.argv[3] = restart.kept;
	restart.keep = keep;
	snprintf(restart.kept, sizeof(restart.kept), "%d", keep);
	restart.environment = environment_with(more);
	sigaltstack(&stack, NULL);
	for (size_t i = 0; i < ARRAY_LEN(crashes); i++)
		sigaction(crashes[i], &action, NULL);
}
