/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What of an experiment can be carried out here, before its first trial.
 *
 * An arm that cannot be is no reason to leave the others of its cell out, unless it is the baseline.  It
 * becomes a cell of its own, "CELL arm NAME", which is skipped with its reason; so every output that names
 * skipped cells names it.
 */
#include "run.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>

struct answer {
	enum target_answer answer;
	bool privilege;
	char reason[sizeof(((struct cell *)NULL)->reason)];
};

/* Tried on this process, for a moment: neither root nor the limit of realtime priorities decides alone. */
static void ask_scheduling(const struct settings *s, struct answer *out)
{
	struct sched_param wanted = {0}, before = {0};
	int policy = SCHED_OTHER, was = sched_getscheduler(0);

	if (host_of(s)->emulated || !s->sched[0] ||
		sched_parse(s->sched, &policy, &wanted.sched_priority, ERR_IGNORED) < 0 ||
		policy == SCHED_OTHER)
		return;
	sched_getparam(0, &before);
	if (sched_setscheduler(0, policy | SCHED_RESET_ON_FORK, &wanted) == 0) {
		sched_setscheduler(0, was, &before);
		return;
	}
	out->answer = TARGET_NO;
	out->privilege = errno == EPERM;
	snprintf(out->reason, sizeof(out->reason), "sched %s cannot be used here: %s (try: run as root)",
		s->sched, strerror(errno));
}

static struct answer ask(const struct settings *s, struct trial_plan *plan, struct site *site, bool planning)
{
	struct answer a = {.answer = TARGET_YES};

	a.answer = site_resolve(site, s, plan, a.reason, sizeof(a.reason), &a.privilege);
	if (a.answer == TARGET_YES)
		ask_scheduling(s, &a);
	else if (planning && site_lacks_any(s))
		a.answer = TARGET_YES;
	return a;
}

static void skip(struct cell *cell, const struct answer *why)
{
	cell->skipped = why->answer == TARGET_NO;
	cell->privilege = why->privilege;
	str_copy(cell->reason, sizeof(cell->reason), why->reason);
}

static void ask_all(const struct experiment *x, struct cell *cell, struct site *site, bool planning,
	struct answer *answers)
{
	cell->plans = mem_grow(cell->plans, x->arms_n, sizeof(*cell->plans));
	for (size_t a = 0; a < x->arms_n; a++)
		answers[a] = ask(&cell->settings[a], &cell->plans[a], site, planning);
}

enum target_answer run_probe_cell(
	const struct experiment *x, struct cell *cell, struct site *site, bool planning)
{
	struct answer *answers = mem_array(x->arms_n, sizeof(*answers));
	enum target_answer all = TARGET_YES;

	ask_all(x, cell, site, planning, answers);
	for (size_t a = 0; a < x->arms_n; a++)
		if (answers[a].answer != TARGET_YES && !cell->skipped) {
			all = answers[a].answer;
			skip(cell, &answers[a]);
		}
	free(answers);
	return all;
}

/* The arm leaves the cell c for one of its own. */
static void set_apart(struct experiment *x, size_t c, size_t arm, const struct answer *why)
{
	struct cell *cell, *apart;

	x->cells = mem_grow(x->cells, x->cells_n + 1, sizeof(*x->cells));
	cell = &x->cells[c];
	apart = &x->cells[x->cells_n++];
	*apart = (struct cell){.settings = mem_array(x->arms_n, sizeof(*apart->settings)),
		.arms = {(uint8_t)arm},
		.arms_n = 1};
	for (size_t a = 0; a < x->arms_n; a++)
		apart->settings[a] = cell->settings[arm];
	AUTO_FREE char *name = str_format("%s arm %s", cell->name, x->arms[arm].name);
	cell_name_set(apart, name);
	skip(apart, why);
	size_t kept = 0;
	for (size_t i = 0; i < cell->arms_n; i++)
		if (cell->arms[i] != arm)
			cell->arms[kept++] = cell->arms[i];
	cell->arms_n = kept;
	/* Who looks at all arms finds settings, and a plan, of the baseline. */
	cell->settings[arm] = cell->settings[cell->arms[0]];
	cell->plans[arm] = cell->plans[cell->arms[0]];
}

static void probe_cell(struct experiment *x, size_t c, struct site *site, bool planning)
{
	struct answer *answers = mem_array(x->arms_n, sizeof(*answers));

	ask_all(x, &x->cells[c], site, planning, answers);
	const struct answer *baseline = &answers[x->cells[c].arms[0]];
	if (baseline->answer != TARGET_YES)
		skip(&x->cells[c], baseline);
	for (size_t a = 0; a < x->arms_n && !x->cells[c].skipped; a++)
		if (answers[a].answer == TARGET_NO && cell_has(&x->cells[c], a))
			set_apart(x, c, a, &answers[a]);
	free(answers);
}

int run_probe(struct experiment *x, struct site *site, bool planning, struct err *e)
{
	size_t cells_n = x->cells_n; /* without those that are made on the way */

	for (size_t c = 0; c < cells_n; c++) {
		const struct cell *cell = &x->cells[c];
		for (size_t a = 0; a < x->arms_n; a++)
			if (site_check(site, &cell->settings[a], e) < 0)
				return err_wrap(e, "cell %s, arm %s", cell->name, x->arms[a].name);
		probe_cell(x, c, site, planning);
		if (stop_flag)
			return err_set(e, EINTR, "interrupted");
	}
	return 0;
}
