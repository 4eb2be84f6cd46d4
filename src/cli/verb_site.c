/* SPDX-License-Identifier: GPL-3.0-or-later */
/* taut site: what PID 1 of an emulated host starts, with the control stream as file descriptor 3. */
#include "cli.h"

#include <fcntl.h>
#include <sys/stat.h>

#define CONTROL_FD 3

static error_t parse(int key, char *value, void *verb)
{
	if (key != 'p')
		return ARGP_ERR_UNKNOWN;
	*(const char **)verb = value;
	return 0;
}

int verb_site(int argc, char **argv)
{
	static const struct argp_option options[] = {
		{"plan", 'p', "FILE", 0, "carry out the plan in this file, on the exact clock", 1}, {0}};
	const char *plan = NULL;
	struct common common = {0};
	const struct command_line line = {.options = options,
		.parse = parse,
		.verb = &plan,
		.stoppable = true,
		.doc = "For emulated hosts alone."};
	struct site *site = NULL;
	struct err e = ERR_INIT;
	struct stat st;

	command_line_parse(&line, argc, argv, &common, NULL);
	if (fstat(CONTROL_FD, &st) < 0 || !(S_ISCHR(st.st_mode) || S_ISSOCK(st.st_mode)))
		usage_error(argv[0],
			"file descriptor %d is no stream: this verb is started by an emulated host",
			CONTROL_FD);
	fcntl(CONTROL_FD, F_SETFD, FD_CLOEXEC);
	if (!plan && S_ISCHR(st.st_mode))
		fcntl(CONTROL_FD, F_SETFL, fcntl(CONTROL_FD, F_GETFL) | O_NONBLOCK);
	const struct site_options chosen = {.yes = true, .exact = plan != NULL};
	int rc = site_open(&site, &chosen, &e);
	if (rc == 0)
		rc = site_serve(site, CONTROL_FD, plan, &e);
	site_close(site);
	return rc < 0 ? say_error(&e) : EXIT_DONE;
}
