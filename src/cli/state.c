/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Where things are kept, with which rights, and what an earlier taut has left behind. */
#include "cli.h"

#include "boot/boot.h"
#include "testbed/testbed.h"
#include "tune/tune.h"

#include <stdio.h>

/* Without root: enters a user namespace, or says why that does not work here and goes on. */
static int privilege_prepare(struct err *e)
{
	struct err none = ERR_INIT;
	char text[1100], folder[256];
	int rc;

	if (is_privileged())
		return 0;
	/* The name of the state folder depends on who we are outside, and only there is it known whose the
	 * folders above it are. */
	rc = state_dir(folder, sizeof(folder), e);
	if (rc < 0)
		return rc;
	setenv("TAUT_STATE", folder, 1);
	if (userns_enter(&none) < 0)
		log_warn("%s", err_string(&none, text, sizeof(text)));
	else
		log_info("without root: measuring in a user namespace, most tuning is skipped");
	return 0;
}

/* The path, malloc'd. */
static int database_path(const struct common *common, char **out, struct err *e)
{
	const char *given = common->db ? common->db : getenv("TAUT_DB");
	char folder[512];

	if (given && str_in(given, "-|:memory:")) {
		err_usage(e, "cannot keep results in '%s': a database is a file", given);
		return err_try(e, "--db ./%s", given);
	}
	if (given && *given) {
		*out = str_dup(given);
		return 0;
	}
	int rc = state_name(folder, sizeof(folder), e);
	if (rc == 0 && access(folder, F_OK) == 0)
		rc = dir_own(folder, "state folder", "TAUT_STATE", folder, sizeof(folder), e);
	else if (rc < 0)
		err_try(e, "--db FILE");
	if (rc < 0)
		return rc;
	*out = str_format("%s/runs.db", folder);
	return 0;
}

int database_open(const struct common *common, struct store **out, struct err *e)
{
	AUTO_FREE char *path = NULL;
	int rc = database_path(common, &path, e);

	return rc < 0 ? rc : store_open(out, path, e);
}

int database_read(const struct common *common, struct store **out, struct err *e)
{
	AUTO_FREE char *path = NULL;
	int rc = database_path(common, &path, e);

	return rc < 0 ? rc : store_open_reading(out, path, e);
}

int reports_load(const struct common *common, const char *const *which, size_t n, struct store **store,
	struct report **reports, struct err *e)
{
	int rc = database_read(common, store, e);

	for (size_t i = 0; rc == 0 && i < n; i++) {
		struct store_run run;
		rc = store_run_find(*store, which[i], &run, e);
		if (rc == 0)
			rc = report_load(&reports[i], *store, run.id, NULL, e);
	}
	return rc == 0 ? store_unchanged(*store, e) : rc;
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

/* Warns about what a killed taut has left on this machine. */
static void leftovers_warn(void)
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

int lock_take(struct err *e)
{
	char state[256];
	int rc = files_enough(e);

	if (rc == 0)
		rc = state_dir(state, sizeof(state), e);

	return rc < 0 ? rc : machine_lock(state, e);
}

/* Noise, machines and runtimes inherit what taut was started with; they are part of what is measured. */
static void scheduling_prepare(void)
{
	char was[64];
	bool ordinary = sched_reset(was, sizeof(was));

	if (*was)
		log_warn("started as %s: %s", was,
			ordinary
				? "set back to other, nice 0, for this measurement"
				: "cannot be set back to other, nice 0; what taut starts inherits it (try: run as root)");
}

int measuring_open(struct measuring *m, struct common *common, const struct experiment *x, struct err *e)
{
	const struct site_options options = {.yes = common->yes, .planning = common->dry_run};
	int rc = files_enough(e);

	/* Before privilege_prepare(), which may leave us in a network namespace without a network. */
	if (rc == 0 && !common->dry_run)
		rc = run_prepare(x, say_doing, common, e);
	progress_line(NULL);
	if (rc < 0)
		return rc;
	if (!common->dry_run)
		scheduling_prepare();
	rc = privilege_prepare(e);
	if (rc < 0)
		return rc;
	if (!common->dry_run && (rc = lock_take(e)) < 0)
		return rc;
	m->lock = common->dry_run ? -1 : rc;
	if (m->lock >= 0)
		crash_restart("crashed", undo_mark(), m->lock);
	leftovers_warn();
	return site_open(&m->site, &options, e);
}

void measuring_close(struct measuring *m)
{
	site_close(m->site);
	if (m->lock >= 0)
		close(m->lock);
	*m = MEASURING_NONE;
}
