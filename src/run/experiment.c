/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Where experiments come from, built-in ones and files, and what is told and stored of one. */
#include "builtin.h"
#include "run.h"

#include "sys/sys.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#define FILE_MAX (1u << 20)

/*
 * An experiment may hold commands to be run as root.  So as root a file counts only if root or the user
 * behind sudo owns it and nobody else can write it.
 */
static int check_owner(int fd, const char *path, struct err *e)
{
	const char *sudo = getenv("SUDO_UID");
	uint64_t uid = 0;
	struct stat st;

	if (fstat(fd, &st) < 0)
		return err_sys(e, "cannot read %s", path);
	if (!S_ISREG(st.st_mode))
		return err_usage(e, "cannot read %s: it is not a file", path);
	if (geteuid() != 0 || !is_privileged())
		return 0;
	if (st.st_uid != 0 && !(sudo && str_u64(sudo, &uid) == 0 && uid == st.st_uid)) {
		err_refused(e, "cannot use %s as root: it belongs to user %u", path, st.st_uid);
		return err_try(e, "chown root %s", path);
	}
	if (st.st_mode & (S_IWGRP | S_IWOTH)) {
		err_refused(e, "cannot use %s as root: others can write it", path);
		return err_try(e, "chmod go-w %s", path);
	}
	return 0;
}

static int load_file(struct experiment *x, const char *path, const struct setting_override *overrides,
	size_t overrides_n, struct err *e)
{
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	AUTO_FREE char *text = mem_alloc(FILE_MAX + 1);
	size_t len = 0;
	ssize_t n;
	int rc;

	if (fd < 0) {
		rc = err_sys(e, "cannot read %s", path);
		e->exit = EXIT_USAGE;
		return rc;
	}
	if ((rc = check_owner(fd, path, e)) < 0)
		return rc;
	while (len <= FILE_MAX && (n = read(fd, text + len, FILE_MAX + 1 - len)) > 0)
		len += (size_t)n;
	if (len > FILE_MAX)
		return err_usage(e, "cannot read %s: it is larger than %u bytes", path, FILE_MAX);
	return experiment_parse(x, path, text, len, overrides, overrides_n, e);
}

/* What is wrong with an override by itself is no mistake of a line in the file. */
static int check_overrides(const struct setting_override *overrides, size_t n, struct err *e)
{
	struct settings s;
	int rc = 0;

	settings_init(&s);
	for (size_t i = 0; rc == 0 && i < n; i++)
		rc = setting_set(&s, overrides[i].key, overrides[i].value, e);
	return rc;
}

int experiment_load(struct experiment *x, const char *which, const struct setting_override *overrides,
	size_t overrides_n, struct err *e)
{
	const char *names[16];
	size_t n = 0;
	int rc = check_overrides(overrides, overrides_n, e);

	if (rc < 0)
		return rc;
	for (const struct builtin *b = builtins; b->name; b++) {
		if (!strcmp(b->name, which))
			return experiment_parse(
				x, which, b->text, strlen(b->text), overrides, overrides_n, e);
		if (n < ARRAY_LEN(names))
			names[n++] = b->name;
	}
	if (strchr(which, '/') || str_ends(which, ".yaml") || str_ends(which, ".yml"))
		return load_file(x, which, overrides, overrides_n, e);
	const char *near = str_closest(which, names, n);
	err_usage(e,
		"cannot run '%s': no built-in experiment has this name, and a file has a '/' or ends in .yaml",
		which);
	return near ? err_try(e, "taut run %s", near) : err_try(e, "taut list experiments");
}

void experiments_each(void (*fn)(const char *name, const char *help, void *arg), void *arg)
{
	for (const struct builtin *b = builtins; b->name; b++)
		fn(b->name, b->help, arg);
}

void experiment_free(struct experiment *x)
{
	for (size_t i = 0; i < x->arms_n; i++)
		json_decref(x->arms[i].overrides);
	for (size_t i = 0; i < x->cells_n; i++) {
		free(x->cells[i].settings);
		free(x->cells[i].plans);
	}
	free(x->arms);
	free(x->cells);
	*x = (struct experiment){0};
}

json_t *experiment_json(const struct experiment *x)
{
	json_t *cells = json_array(), *arms = json_array();

	for (size_t i = 0; i < x->arms_n; i++)
		json_array_append_new(arms,
			json_pack("{s:s, s:O}", "name", x->arms[i].name, "overrides", x->arms[i].overrides));
	for (size_t i = 0; i < x->cells_n; i++) {
		const struct cell *cell = &x->cells[i];
		json_t *settings = json_array(), *own = json_array();
		bool all = cell->arms_n == x->arms_n;
		for (size_t a = 0; a < cell->arms_n; a++) {
			json_array_append_new(settings, settings_json(&cell->settings[cell->arms[a]]));
			json_array_append_new(own, json_integer(cell->arms[a]));
			all &= cell->arms[a] == a;
		}
		/* A cell that has all arms as the experiment has them does not say so. */
		json_array_append_new(cells, json_pack("{s:s, s:o, s:o*}", "name", cell->name, "settings",
						     settings, "arms", all ? NULL : own));
		if (all)
			json_decref(own);
	}
	return json_pack("{s:s, s:I, s:o, s:o, s:s*}", "name", x->name, "blocks", (json_int_t)x->blocks,
		"arms", arms, "cells", cells, "reference", *x->reference ? x->reference : NULL);
}
