/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * taut-agent: the second program of taut, static, for the inside of containers and guests.  It is started by
 * taut, with a control stream as file descriptor 3, and does one thing, named by its first argument.
 */
#include "agent.h"

#include "sys/sys.h"

#include <stdio.h>

static const struct verb {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *arguments, *help;
} verbs[] = {
	{"endpoint", agent_endpoint, "taut-client|taut-server [SOCKET | DEVICE ADDRESS]",
		"one end of a trial, under that process name; SOCKET: where no stream was inherited; "
		"DEVICE: of its own, with that address"},
	{"keep", agent_keep, "taut-server",
		"one endpoint after another, until one ends that is not followed"},
	{"guest", agent_guest, "[MAC ADDRESS PREFIX MTU]",
		"the server's end in a guest, whose network device gets that address"},
	{"relay", agent_relay, "", "the server's end in a guest, over standard input and output"},
	{"tool", agent_tool, "PROGRAM ARGUMENT…", "becomes that program when told over file descriptor 3"},
};

static void print_help(void)
{
	printf("Usage: taut-agent VERB [ARGUMENT]\n\n"
	       "The part of taut that runs inside containers and virtual machines.  taut starts it and talks\n"
	       "to it over file descriptor 3; there is no use for it by hand.\n\nVerbs:\n");
	for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
		printf("  %s %s\n      %s\n", verbs[i].name, verbs[i].arguments, verbs[i].help);
	printf("\nOptions:\n  --help, --version\n");
}

int main(int argc, char **argv)
{
	const char *word = argc > 1 ? argv[1] : "--help";

	standard_fds_open();
	signals_take_over();
	if (getpid() == 1 && argc < 2)
		agent_pid1();
	if (!strcmp(word, "--help")) {
		print_help();
		return argc > 1 ? EXIT_DONE : EXIT_USAGE;
	}
	if (!strcmp(word, "--version")) {
		printf("taut-agent %s\n", TAUT_VERSION);
		return EXIT_DONE;
	}
	for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
		if (!strcmp(word, verbs[i].name))
			return verbs[i].run(argc - 1, argv + 1);
	/* The kernel hands the boot arguments that it does not know to its first process. */
	if (getpid() == 1)
		agent_pid1();
	fprintf(stderr, "taut-agent: unknown verb '%s' (try: taut-agent --help)\n", word);
	return EXIT_USAGE;
}
