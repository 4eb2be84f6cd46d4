/* SPDX-License-Identifier: GPL-3.0-or-later */
/* taut lab: emulated hosts for people, what they are made with, and what a killed taut has left. */
#include "cli.h"

#include <stdio.h>

/* --- clean --------------------------------------------------------------------------------------- */

static int lab_clean(void)
{
	AUTO(buf_free) struct buf said = {0};
	const struct undo_sweep_row *rows[SWEEP_ROWS_MAX];
	struct err e = ERR_INIT;
	AUTO_CLOSE int lock = lock_take(&e);
	int rc = lock < 0 ? lock : undo_sweep(rows, machine_sweep_rows(rows), &said, &e);
	int code = rc < 0 && !said.len ? EXIT_DONE : say_buf_or(&said, "nothing to clean\n");

	return rc < 0 ? say_error(&e) : code;
}

/* --- fetch --------------------------------------------------------------------------------------- */

static int lab_fetch(struct common *common)
{
	AUTO(buf_free) struct buf line = {0};
	struct err e = ERR_INIT;
	struct qemu q;
	int rc = qemu_fetch(&q, say_doing, common, &e);

	progress_line(NULL);
	if (rc < 0)
		return say_error(&e);
	buf_add(&line, "QEMU %s  %s\n", q.version, q.folder);
	return say_buf(&line);
}

/* --- shell --------------------------------------------------------------------------------------- */

enum { KEY_BOOT = 1, KEY_CPUS, KEY_DEVICE };

static error_t parse_lab(int key, char *value, void *verb)
{
	struct shell_options *shell = verb;
	struct err e = ERR_INIT;
	uint64_t cpus_n;

	switch (key) {
	case KEY_BOOT:
		if (boot_arguments_check("host-boot", value, &e) < 0)
			usage_error("taut lab", "%s", e.text);
		shell->boot = value;
		return 0;
	case KEY_CPUS:
		if (str_u64(value, &cpus_n) || cpus_n < 1 || cpus_n > SHELL_CPUS_MAX)
			usage_error("taut lab", "cannot give an emulated host '%s' CPUs: it has 1 to %d",
				value, SHELL_CPUS_MAX);
		shell->cpus = (unsigned)cpus_n;
		return 0;
	case KEY_DEVICE:
		shell->nics = nic_model_find(value);
		if (!shell->nics)
			usage_error("taut lab",
				"cannot give an emulated host NICs '%s': they are igb or virtio", value);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* The kernel, and a QEMU that can make the NICs, are fetched like those of an experiment. */
static int lab_shell(const struct shell_options *shell, struct common *common)
{
	AUTO_CLOSE int lock = -1;
	AUTO_FREE char *site = str_format("lab:%s", shell->kernel);
	struct settings s;
	struct err e = ERR_INIT;

	settings_init(&s);
	s.site = str_keep(site);
	int rc = site_prepare(&s, 1, say_doing, common, &e), status = 0;
	if (rc == 0)
		rc = site_prepare_nics(shell->nics, say_doing, common, &e);
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

/* What is for a shell has no place beside another word. */
static void refuse_shell_words(const struct shell_options *shell, size_t n)
{
	if (n > 1 || shell->boot || shell->cpus || shell->nics)
		usage_error("taut lab", "clean and fetch take no kernel and no options of a shell");
}

int verb_lab(int argc, char **argv)
{
	static const struct argp_option options[] = {
		{"host-boot", KEY_BOOT, "ARGUMENTS", 0, "further boot arguments of the emulated host", 1},
		{"cpus", KEY_CPUS, "N", 0, "CPUs of the emulated host, 1 to 8 (2)", 1},
		{"device", KEY_DEVICE, "MODEL", 0,
			"two NICs on one cable, with virtual functions, behind an IOMMU: igb or virtio", 1},
		{0}};
	struct common common = {0};
	struct shell_options shell = {.kernel = "stock"};
	const struct command_line line = {.args_doc = "shell [KERNEL]\nfetch\nclean",
		.args_min = 1,
		.args_max = 2,
		.options = options,
		.parse = parse_lab,
		.verb = &shell,
		.stoppable = true,
		.takes = COMMON_QUIET,
		.doc = "shell boots an emulated host with that kernel (stock) and gives a shell in it, or runs the script on standard input; "
		       "it is gone when that ends, and the exit status is that one's. "
		       "fetch gets Debian's newest QEMU into the cache, for NICs that the QEMU of this machine cannot make; it installs nothing. "
		       "clean removes the processes, containers, cgroups and folders that a killed taut has left behind."};
	const char *args[2] = {NULL, NULL};
	size_t n = command_line_parse(&line, argc, argv, &common, args);

	if (!str_in(args[0], "shell|fetch|clean"))
		usage_error(argv[0], "cannot do '%s' with the lab: it is shell, fetch or clean", args[0]);
	if (strcmp(args[0], "shell") != 0) {
		refuse_shell_words(&shell, n);
		return !strcmp(args[0], "clean") ? lab_clean() : lab_fetch(&common);
	}
	if (n > 1)
		shell.kernel = args[1];
	return lab_shell(&shell, &common);
}
