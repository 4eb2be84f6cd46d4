/* SPDX-License-Identifier: GPL-3.0-or-later */
/* taut tune and taut lab: what an earlier taut has left on this machine, and how it is put right. */
#include "cli.h"

#include <stdio.h>

static int say_lines(const struct buf *b, const char *nothing)
{
	AUTO(buf_free) struct buf text = {0};

	buf_add(&text, "%s", b->data && b->len ? b->data : nothing);
	return say_buf(&text);
}

struct tune_verb {
	bool revert;
	const char *forget; /* an ID; NULL: none */
};

static int tune_act(const struct tune_verb *verb, struct err *e)
{
	AUTO_CLOSE int root = root_open("/", e);
	AUTO(buf_free) struct buf said = {0};
	struct undo_host host = UNDO_HOST_NONE;
	int rc = root < 0 ? root : machine_open(&host, root, e);

	if (rc == 0 && verb->forget)
		rc = undo_forget(&host, verb->forget, &said, e);
	else if (rc == 0)
		rc = verb->revert ? undo_revert_leftover(&host, &said, e) : undo_leftover(&host, &said, e);
	undo_close(&host);
	int code = say_lines(&said, rc < 0         ? ""
				    : verb->revert ? "nothing to revert\n"
						   : "no tuning of an earlier taut is in force\n");
	return rc < 0 ? say_error(e) : code;
}

static int lab_clean_act(struct err *e)
{
	AUTO(buf_free) struct buf said = {0};
	const struct undo_sweep_row *rows[SWEEP_ROWS_MAX];
	int rc = undo_sweep(rows, machine_sweep_rows(rows), &said, e);
	int code = say_lines(&said, rc < 0 ? "" : "nothing to clean\n");

	return rc < 0 ? say_error(e) : code;
}

/* Both verbs change the machine, so both take its lock. */
static int locked(int (*act)(const struct tune_verb *verb, struct err *e), const struct tune_verb *verb)
{
	struct err e = ERR_INIT;
	AUTO_CLOSE int lock = lock_take(&e);

	return lock < 0 ? say_error(&e) : act(verb, &e);
}

enum { KEY_FORGET = 1 };

static error_t parse_tune(int key, char *value, void *verb)
{
	if (key != KEY_FORGET)
		return ARGP_ERR_UNKNOWN;
	((struct tune_verb *)verb)->forget = value;
	return 0;
}

int verb_tune(int argc, char **argv)
{
	static const struct argp_option options[] = {
		{"forget", KEY_FORGET, "ID", 0,
			"revert nothing: give up what this ID of status owes, and say what", 1},
		{0}};
	struct common common = {0};
	struct tune_verb verb = {0};
	const struct command_line line = {.args_doc = "status|revert",
		.args_min = 1,
		.args_max = 1,
		.options = options,
		.parse = parse_tune,
		.verb = &verb,
		.stoppable = true,
		.takes = COMMON_QUIET,
		.doc = "status says what tuning of an earlier taut is still in force; "
		       "revert puts it back, and leaves what somebody else has changed since."};
	const char *what = NULL;

	command_line_parse(&line, argc, argv, &common, &what);
	if (!str_in(what, "status|revert"))
		usage_error(argv[0], "cannot tune '%s': it is status or revert", what);
	verb.revert = !strcmp(what, "revert");
	if (verb.forget && !verb.revert)
		usage_error(argv[0], "status takes no --forget");
	return verb.revert ? locked(tune_act, &verb) : tune_act(&verb, &(struct err){0});
}

static int lab_act(const struct tune_verb *verb, struct err *e)
{
	(void)verb;
	return lab_clean_act(e);
}

enum { KEY_BOOT = 1, KEY_CPUS };

static error_t parse_lab(int key, char *value, void *verb)
{
	struct shell_options *shell = verb;
	struct err e = ERR_INIT;
	uint64_t cpus_n;

	switch (key) {
	case KEY_BOOT:
		if (boot_arguments_check("host-boot", value, &e) < 0)
			usage_error("lab", "%s", e.text);
		shell->boot = value;
		return 0;
	case KEY_CPUS:
		if (str_u64(value, &cpus_n) || cpus_n < 1 || cpus_n > SHELL_CPUS_MAX)
			usage_error("lab", "cannot give an emulated host '%s' CPUs: it has 1 to %d", value,
				SHELL_CPUS_MAX);
		shell->cpus = (unsigned)cpus_n;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* The kernel is fetched like that of an experiment. */
static int lab_shell(const struct shell_options *shell, struct common *common)
{
	AUTO_CLOSE int lock = -1;
	AUTO_FREE char *site = str_format("lab:%s", shell->kernel);
	struct settings s;
	struct err e = ERR_INIT;

	settings_init(&s);
	s.site = str_keep(site);
	int rc = site_prepare(&s, 1, say_doing, common, &e), status = 0;
	progress_line(NULL);
	if (rc == 0)
		rc = lock = lock_take(&e);
	if (rc >= 0 && !common->quiet && isatty(STDIN_FILENO))
		say_note("booting an emulated host with kernel %s; exit leaves it, Ctrl-] x ends it at once",
			shell->kernel);
	if (rc >= 0)
		rc = site_shell(shell, &status, &e);
	return rc == 0 ? status : say_end(&e);
}

int verb_lab(int argc, char **argv)
{
	static const struct argp_option options[] = {
		{"host-boot", KEY_BOOT, "ARGUMENTS", 0, "further boot arguments of the emulated host", 1},
		{"cpus", KEY_CPUS, "N", 0, "CPUs of the emulated host, 1 to 8 (2)", 1}, {0}};
	struct common common = {0};
	struct shell_options shell = {.kernel = "stock"};
	const struct command_line line = {.args_doc = "shell [KERNEL]\nclean",
		.args_min = 1,
		.args_max = 2,
		.options = options,
		.parse = parse_lab,
		.verb = &shell,
		.stoppable = true,
		.takes = COMMON_QUIET,
		.doc = "shell boots an emulated host with that kernel (stock) and gives a shell in it, or runs the script on standard input; "
		       "it is gone when that ends, and the exit status is that one's. "
		       "clean removes the processes, containers, cgroups and folders that a killed taut has left behind."};
	const char *args[2] = {NULL, NULL};
	size_t n = command_line_parse(&line, argc, argv, &common, args);

	if (!str_in(args[0], "shell|clean"))
		usage_error(argv[0], "cannot do '%s' with the lab: it is shell or clean", args[0]);
	if (!strcmp(args[0], "clean") && (n > 1 || shell.boot || shell.cpus))
		usage_error(argv[0], "clean takes no kernel, no boot arguments and no CPUs");
	if (n > 1)
		shell.kernel = args[1];
	if (!strcmp(args[0], "shell"))
		return lab_shell(&shell, &common);
	return locked(lab_act, NULL);
}
