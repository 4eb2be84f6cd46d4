/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The first process of a container that serves several trials.  Each trial has an endpoint of its own, a new
 * process with the one control stream that this one has inherited: it begins when the one before has been
 * told to end (FRAME_END).  An endpoint that ends for any other reason is the end of the container.
 */
#include "agent.h"

#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

bool agent_goes_on(int status)
{
	return WIFEXITED(status) && WEXITSTATUS(status) == AGENT_AGAIN;
}

/* Until the endpoint has ended; SIGTERM is passed on.  Whatever else ends here is reaped. */
static int end_of(pid_t endpoint, const sigset_t *set)
{
	for (;;) {
		int number = sigwaitinfo(set, NULL), status;
		pid_t pid;

		if (number == SIGTERM)
			kill(endpoint, SIGTERM);
		while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
			if (pid == endpoint)
				return status;
	}
}

int agent_keep(int argc, char **argv)
{
	sigset_t set, before;
	int status;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, &before);
	do {
		pid_t pid = fork();
		if (pid < 0) {
			fprintf(stderr, "taut-agent: cannot fork: %s\n", strerror(errno));
			return EXIT_FAILED;
		}
		if (pid == 0) {
			sigprocmask(SIG_SETMASK, &before, NULL);
			_exit(agent_endpoint(argc, argv));
		}
		status = end_of(pid, &set);
	} while (agent_goes_on(status));
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
