/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The site as its users see it: opened once, asked what can be done, given trials.  Which host carries a
 * trial out is a row, chosen by the settings; nothing else in taut asks which one it is.
 */
#include "hosts.h"

static const struct undo_table *const tables[] = {&tune_table};
static const struct site_row *const rows[SITES_N] = {[SITE_LOCAL] = &site_local, [SITE_LAB] = &site_lab};

const struct site_row *site_row_of(enum site_kind kind)
{
	return rows[kind];
}

static const struct site_row *row_of(const struct site *site, enum site_kind kind)
{
	return site->options.rows ? &site->options.rows[kind] : rows[kind];
}

/* All of them; the first error is told. */
static int stop_all(struct site *site, struct err *e)
{
	int rc = 0;

	for (size_t i = 0; i < SITES_N; i++) {
		const struct site_row *row = row_of(site, (enum site_kind)i);
		int one = row->stop ? row->stop(site, rc < 0 ? ERR_IGNORED : e) : 0;
		rc = rc < 0 ? rc : one;
	}
	return rc;
}

static int refuse_leftover(struct site *site, struct err *e)
{
	int n = undo_leftover(&site->host, NULL, e);

	if (n <= 0)
		return n;
	err_refused(e,
		"cannot measure: "
		"%d changes of an earlier taut are still in force on this machine, so `stock` would be a lie",
		n);
	return err_try(e, "taut clean");
}

int site_open(struct site **out, const struct site_options *options, struct err *e)
{
	struct site *site = mem_alloc(sizeof(*site));
	int rc;

	*site = (struct site){.root = -1,
		.host = UNDO_HOST_NONE,
		.options = *options,
		.inside = host_emulated(),
		.noise = NOISE_NONE};
	rc = site->root = root_open("/", e);
	if (rc >= 0)
		rc = undo_open(&site->host, site->root, tables, ARRAY_LEN(tables), e);
	if (rc >= 0 && !options->planning)
		rc = refuse_leftover(site, e);
	if (rc < 0) {
		site_close(site);
		return rc;
	}
	*out = site;
	return 0;
}

void site_close(struct site *site)
{
	struct err e = ERR_INIT;
	char text[1024];

	if (!site)
		return;
	if (stop_all(site, &e) < 0)
		log_warn("%s", err_string(&e, text, sizeof(text)));
	noise_stop(&site->noise);
	undo_close(&site->host);
	if (site->root >= 0)
		close(site->root);
	free(site);
}

/* A word that can be no kernel.  One that only is not here is a reason to skip, see site_resolve(). */
static int check_kernels(const struct settings *s, struct err *e)
{
	const char *const words[] = {
		settings_lab(s), target_of(s)->machine && s->kernel[0] ? s->kernel : NULL};
	struct err why = ERR_INIT;
	const struct kernel *k;

	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (words[i] && kernel_known(&k, words[i], &why) < 0 && why.exit == EXIT_USAGE) {
			*e = why;
			return -why.code;
		}
	return 0;
}

static int allow(struct site *site, const struct settings *s, struct err *e)
{
	const struct site_row *row = row_of(site, settings_site(s));

	return row->allow ? row->allow(site, s, e) : 0;
}

int site_check(struct site *site, struct settings *s, struct err *e)
{
	int rc = settings_check(s, e);

	if (rc == 0)
		rc = target_check(s, e);
	/* Within an emulated host any kernel will do that it was given, so none is named there. */
	if (rc == 0 && target_of(s)->boots && !s->kernel[0] && !site->inside)
		s->kernel = "stock";
	if (rc == 0)
		rc = check_kernels(s, e);
	if (rc == 0)
		rc = row_of(site, settings_site(s))->check(site, s, e);
	return rc < 0 || site->options.planning ? rc : allow(site, s, e);
}

int site_allowed(struct site *site, const struct settings *settings, struct err *e)
{
	int rc = refuse_leftover(site, e);

	return rc < 0 ? rc : allow(site, settings, e);
}

int site_plan(struct site *site, const struct settings *s, struct trial_plan *plan, struct err *e)
{
	int rc = plan_make(plan, s, e);

	return rc < 0 ? rc : row_of(site, plan->site)->resolve(plan, e);
}

enum target_answer site_resolve(struct site *site, const struct settings *s, struct trial_plan *plan,
	char *reason, size_t size, bool *privilege)
{
	struct err e = ERR_INIT;

	*privilege = false;
	if (site_plan(site, s, plan, &e) == 0) {
		const struct site_row *row = row_of(site, plan->site);
		return row->probe ? row->probe(plan, reason, size, privilege) : TARGET_YES;
	}
	err_string(&e, reason, size);
	*privilege = e.code == EPERM || e.code == EACCES || e.exit == EXIT_REFUSED;
	return TARGET_NO;
}

int site_tuning_json(struct site *site, const struct trial_plan *plan, json_t **out, struct err *e)
{
	const struct site_row *row = row_of(site, plan->site);
	json_t *all = json_array();
	int rc = row->tuning ? row->tuning(site, plan, all, e) : 0;

	if (rc < 0)
		json_decref(all);
	else
		*out = all;
	return rc;
}

double site_trial_cost_ns(const struct settings *s, double measured_ns)
{
	return site_row_of(settings_site(s))->cost_ns(s, measured_ns);
}

int site_group(struct site *site, const struct trial_plan *const *trials, size_t n, struct err *e)
{
	site->group = trials;
	site->group_n = n;
	return stop_all(site, e);
}

int site_trial(struct site *site, const struct trial_plan *plan, struct trial_record *record, struct err *e)
{
	return row_of(site, plan->site)->trial(site, plan, record, e);
}
