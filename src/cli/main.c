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
		     "More:        taut help VERB, man taut\n");
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

static const struct verb *verb_find(const char *name)
{
	for (size_t i = 0; i < verbs_n; i++)
		if (!strcmp(verbs[i].name, name))
			return &verbs[i];
	return NULL;
}

/* Where the verb stands: options may stand before it.  argc: nowhere. */
static int verb_place(int argc, char **argv)
{
	int i = 1;

	while (i < argc && argv[i][0] == '-')
		i += common_option_takes_value(argv[i]) ? 2 : 1;
	return MIN(i, argc);
}

/* "taut help VERB" is "taut VERB --help". */
static char **help_words(char **argv)
{
	static char *words[4], help[] = "--help";

	words[0] = argv[0];
	words[1] = argv[2];
	words[2] = help;
	return words;
}

static int carry_out(int argc, char **argv)
{
	int at = verb_place(argc, argv);
	const struct verb *verb = at < argc ? verb_find(argv[at]) : NULL;
	static char name[64];

	if (at == argc && str_in(argv[1], "--help|-h|-?")) {
		print_help(stdout);
		return EXIT_DONE;
	}
	if (at == argc && str_in(argv[1], "--version|-V|-v")) {
		printf("taut %s\n", TAUT_VERSION);
		return EXIT_DONE;
	}
	if (at == argc) {
		say_note("a verb is missing (try: taut --help)");
		return EXIT_USAGE;
	}
	if (!verb)
		return unknown_verb(argv[at]);
	/* The options before the verb become the first ones behind it. */
	memmove(argv + 2, argv + 1, (size_t)(at - 1) * sizeof(*argv));
	snprintf(name, sizeof(name), "taut %s", verb->name);
	argv[1] = name;
	return say_finish(verb->main(argc - 1, argv + 1));
}

int main(int argc, char **argv)
{
	standard_fds_open();
	signals_take_over();
	on_exit(stdout_look, NULL);
	argp_err_exit_status = EXIT_USAGE;
	if (argc < 2) {
		print_help(stderr);
		return EXIT_USAGE;
	}
	if (!strcmp(argv[1], "--words")) {
		words_say_verbs();
		return EXIT_DONE;
	}
	if (strcmp(argv[1], "help") != 0)
		return carry_out(argc, argv);
	if (argc > 2)
		return carry_out(3, help_words(argv));
	print_help(stdout);
	return EXIT_DONE;
}
