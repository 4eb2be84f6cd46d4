/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cli.h"

#include <stdio.h>

const struct verb verbs[] = {
	{"run", "run an experiment: arms compared in blocks, then the table", verb_run},
	{"measure", "measure one workload once", verb_measure},
	{"report", "show a stored run again", verb_report},
	{"compare", "compare two stored runs", verb_compare},
	{"export", "write a run's trials for other programs", verb_export},
	{"list", "list stored runs, or what this build knows", verb_list},
	{"tune", "say what tuning is in force, and put it back", verb_tune},
	{"clean", "put everything right after a taut that was killed", verb_clean},
	{"kernel", "list the kernels for virtual machines, and fetch more", verb_kernel},
	{"lab", "a shell on an emulated host; fetch QEMU; remove what a killed taut has left", verb_lab},
	{"site", NULL, verb_site},
	{"crashed", NULL, verb_crashed},
};
const size_t verbs_n = ARRAY_LEN(verbs);

static void print_help(FILE *out)
{
	fprintf(out, "Usage: taut VERB [OPTION...]\n"
		     "Measure, tune and compare the network latency of containers and virtual machines.\n\n");
	for (size_t i = 0; i < verbs_n; i++)
		if (verbs[i].help)
			fprintf(out, "  %-9s %s\n", verbs[i].name, verbs[i].help);
	fprintf(out, "\nStart with:  sudo taut run quick\n"
		     "More:        taut VERB --help, man taut\n");
}

static int unknown_verb(const char *typed)
{
	const char *names[ARRAY_LEN(verbs)];

	for (size_t i = 0; i < verbs_n; i++)
		names[i] = verbs[i].name;
	const char *near = str_closest(typed, names, verbs_n);
	if (near)
		say_note("there is no verb '%s' (try: taut %s)", typed, near);
	else
		say_note("there is no verb '%s' (try: taut --help)", typed);
	return EXIT_USAGE;
}

/* Help and the like, whose writing nobody has looked at; a reader that has gone is no error. */
static void stdout_look(int code, void *arg)
{
	(void)arg;
	errno = 0;
	if ((fflush(stdout) == 0 && !ferror(stdout)) || errno == EPIPE || code != EXIT_DONE)
		return;
	fprintf(stderr, "taut: cannot write to stdout%s%s\n", errno ? ": " : "",
		errno ? strerror(errno) : "");
	_exit(EXIT_FAILED);
}

int main(int argc, char **argv)
{
	char name[64];

	standard_fds_open();
	signals_take_over();
	on_exit(stdout_look, NULL);
	argp_err_exit_status = EXIT_USAGE;
	if (argc < 2) {
		print_help(stderr);
		return EXIT_USAGE;
	}
	if (str_in(argv[1], "--help|-h|-?|help")) {
		print_help(stdout);
		return EXIT_DONE;
	}
	if (!strcmp(argv[1], "--words")) {
		words_say_verbs();
		return EXIT_DONE;
	}
	if (str_in(argv[1], "--version|-V")) {
		printf("taut %s\n", TAUT_VERSION);
		return EXIT_DONE;
	}
	for (size_t i = 0; i < verbs_n; i++) {
		if (strcmp(verbs[i].name, argv[1]))
			continue;
		snprintf(name, sizeof(name), "taut %s", verbs[i].name);
		argv[1] = name;
		return verbs[i].main(argc - 1, argv + 1);
	}
	return unknown_verb(argv[1]);
}
