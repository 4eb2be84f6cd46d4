/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Where things are kept, with which rights, and what an earlier taut has left behind. */
#include "boot/boot.h"
#include "cli.h"

#include <stdio.h>

void privilege_prepare(void)
{
	struct err e = ERR_INIT;
	char text[1100], folder[512];

	if (is_privileged())
		return;
	/* The state folder's name depends on who we are outside. */
	if (!getenv("TAUT_STATE") && state_dir(folder, sizeof(folder), ERR_IGNORED) == 0)
		setenv("TAUT_STATE", folder, 1);
	if (userns_enter(&e) < 0)
		log_warn("%s", err_string(&e, text, sizeof(text)));
	else
		log_info("without root: measuring in a user namespace, most tuning is skipped");
}

int database_open(const struct common *common, struct store **out, struct err *e)
{
	const char *given = common->db ? common->db : getenv("TAUT_DB");
	char folder[512];
	int rc;

	if (given && *given)
		return store_open(out, given, e);
	rc = state_dir(folder, sizeof(folder), e);
	if (rc < 0)
		return err_try(e, "--db FILE");
	AUTO_FREE char *path = str_format("%s/runs.db", folder);
	return store_open(out, path, e);
}

static void warn_lines(const char *text, const char *advice)
{
	AUTO_FREE char *copy = str_dup(text);
	size_t n = 0;

	for (char *save = NULL, *line = strtok_r(copy, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		if (n++ < 8)
			log_warn("left over from an earlier taut: %s", line);
	if (n > 8)
		log_warn("… and %zu more", n - 8);
	if (n)
		log_warn("put it right with: %s", advice);
}

int machine_open(struct undo_host *host, int root, struct err *e)
{
	static const struct undo_table *const tables[] = {&tune_table};

	return undo_open(host, root, tables, ARRAY_LEN(tables), e);
}

size_t machine_sweep_rows(const struct undo_sweep_row *rows[SWEEP_ROWS_MAX])
{
	size_t n = target_sweep_rows(rows, SWEEP_ROWS_MAX - 1);

	rows[n] = &boot_left;
	return n + 1;
}

void leftovers_warn(void)
{
	AUTO_CLOSE int root = root_open("/", ERR_IGNORED);
	struct undo_host host = UNDO_HOST_NONE;
	AUTO(buf_free) struct buf tuned = {0};
	AUTO(buf_free) struct buf left = {0};
	const struct undo_sweep_row *rows[SWEEP_ROWS_MAX];

	if (root < 0)
		return;
	if (machine_open(&host, root, ERR_IGNORED) == 0) {
		if (undo_leftover(&host, &tuned, ERR_IGNORED) > 0 && tuned.data)
			warn_lines(tuned.data, "taut clean");
		undo_close(&host);
	}
	if (undo_sweep_look(rows, machine_sweep_rows(rows), &left, ERR_IGNORED) > 0 && left.data)
		warn_lines(left.data, "taut clean");
}
