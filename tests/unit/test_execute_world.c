/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "test_execute_world.h"

#include "site/hosts.h"
#include "test_keep.h"

#include <stdio.h>

#define TRIAL_NS (250 * NS_PER_MS)

const char plain[] = "name: plain\nblocks: 3\nseed: 5\n"
		     "cells: [{ target: native, workload: [tcp_rr, udp_rr] }]\n"
		     "arms: { a: {}, b: { request: 2 } }\n";
const char mixed[] = "name: mixed\nblocks: 2\nseed: 7\n"
		     "cells:\n"
		     "  - { target: native, workload: tcp_rr }\n"
		     "  - { target: container, site: lab, workload: [tcp_rr, udp_rr] }\n"
		     "arms: { a: {}, b: { request: 2 } }\n";

const char shared[] = "name: shared\nblocks: 2\nseed: 3\nshare: target\n"
		      "cells:\n"
		      "  - { target: native, workload: tcp_rr }\n"
		      "  - { target: container, workload: tcp_rr }\n"
		      "  - { target: native, workload: [udp_rr, tcp_stream] }\n"
		      "arms: { a: {}, b: { mtu: 1400 }, c: { mtu: 1300 } }\n";

const char own_arms[] = "name: own\nblocks: 2\nseed: 3\n"
			"cells:\n"
			"  - { workload: tcp_rr }\n"
			"  - { workload: udp_rr, arms: { b: { request: 7 }, c: { request: 8 } } }\n"
			"arms: { a: {}, b: { request: 2 } }\n";

/* --- hosts that measure nothing ---------------------------------------------------------------- */

struct fake fake;

static int fake_check(struct site *site, struct settings *s, struct err *e)
{
	(void)site;
	(void)s;
	return fake.refuses ? err_usage(e, "cannot do that on this host") : 0;
}

static int fake_resolve(struct trial_plan *plan, struct err *e)
{
	(void)plan;
	(void)e;
	return 0;
}

static enum target_answer fake_probe(
	const struct trial_plan *plan, char *reason, size_t size, bool *privilege)
{
	if (!fake.lacking || (*fake.lacking && strcmp(plan->settings.target, fake.lacking)))
		return TARGET_YES;
	snprintf(reason, size, "no %s here", plan->settings.target);
	*privilege = fake.privilege;
	return TARGET_NO;
}

static void note(const struct site *site, const struct trial_plan *plan)
{
	size_t i = fake.trials++;

	assert_true(i < TRIALS_MAX);
	fake.seen[i].workload = plan->settings.workload;
	fake.seen[i].site = plan->settings.site;
	fake.seen[i].target = plan->settings.target;
	fake.seen[i].request = plan->settings.request_bytes;
	fake.seen[i].mtu = plan->settings.mtu;
	fake.seen[i].emulated = plan_host(plan)->emulated;
	fake.seen[i].group_n = site->group_n;
	for (size_t g = 0; g < site->group_n; g++)
		fake.seen[i].in_group |= site->group[g] == plan;
}

static void measured(struct trial_record *record)
{
	struct endpoint_record *c = &record->ends[END_CLIENT].record;

	c->ended_ns = NS_PER_MS;
	c->sent = c->transactions = 100;
	c->has_service = true;
	hist_clear(&c->service);
	hist_clear(&c->response);
	hist_clear(&c->lateness);
	for (uint64_t i = 0; i < 100; i++)
		hist_add(&c->service, 10000 + 100 * i);
	c->response = c->service;
	record->verified = true;
}

static int fake_trial(
	struct site *site, const struct trial_plan *plan, struct trial_record *record, struct err *e)
{
	note(site, plan);
	enum how_it_goes how = fake.trials == fake.special ? fake.how : DONE;
	record->settings = plan->settings;
	record->duration_ns = TRIAL_NS;
	record->wall_started_ns = time_wall_ns();
	if (how == IS_STOPPED || how == THEN_STOPS)
		stop_flag = 1;
	if (how == IS_STOPPED)
		return err_set(e, EINTR, "interrupted");
	if (how == ENDS_THE_RUN) {
		err_set(e, EIO, "cannot put the machine back");
		e->exit = EXIT_PARTLY_APPLIED;
		return -EIO;
	}
	record->outcome = how == FAILS ? TRIAL_FAILED : how == SKIPS ? TRIAL_SKIPPED : TRIAL_DONE;
	if (how == FAILS || how == SKIPS)
		str_copy(record->reason, sizeof(record->reason), "nothing came through");
	else
		measured(record);
	return 0;
}

static int fake_stop_local(struct site *site, struct err *e)
{
	(void)site;
	if (++fake.stops_local != fake.stop_fails)
		return 0;
	err_set(e, EIO, "cannot put the machine back");
	e->exit = EXIT_PARTLY_APPLIED;
	return -EIO;
}

static int fake_stop(struct site *site, struct err *e)
{
	(void)site;
	(void)e;
	fake.stops++;
	return 0;
}

/* --- a world ----------------------------------------------------------------------------------- */

void must(int rc, const struct err *e)
{
	if (rc < 0)
		fail_msg("%s", e->text);
}

int world_setup(void **state)
{
	static const struct site_row rows[SITES_N] = {
		[SITE_LOCAL] = {.check = fake_check,
			.resolve = fake_resolve,
			.probe = fake_probe,
			.trial = fake_trial,
			.stop = fake_stop_local},
		[SITE_LAB] = {.check = fake_check,
			.resolve = fake_resolve,
			.probe = fake_probe,
			.trial = fake_trial,
			.stop = fake_stop},
	};
	const struct site_options options = {.rows = rows};
	struct world *w = mem_alloc(sizeof(*w));
	struct err e = ERR_INIT;

	*w = (struct world){.folder = "/tmp/taut-execute-XXXXXX"};
	keep_folder(w->folder);
	setenv("TAUT_STATE", w->folder, 1);
	AUTO_FREE char *file = str_format("%s/runs.db", w->folder);
	must(store_open(&w->store, file, &e), &e);
	must(site_open(&w->site, &options, &e), &e);
	fake = (struct fake){0};
	stop_flag = 0;
	*state = w;
	return 0;
}

int world_teardown(void **state)
{
	struct world *w = *state;

	experiment_free(&w->x);
	site_close(w->site);
	store_close(w->store);
	assert_int_equal(tree_remove(w->folder, ERR_IGNORED), 0);
	stop_flag = 0;
	free(w);
	return 0;
}

void world_load(struct world *w, const char *text)
{
	struct err e = ERR_INIT;

	experiment_free(&w->x);
	stop_flag = 0; /* which a test before may have raised, and a reader of experiments hears */
	must(experiment_parse(&w->x, "test", text, strlen(text), NULL, 0, &e), &e);
}

static void on_start(const struct store_run *run, uint64_t trials, void *arg)
{
	struct world *w = arg;

	assert_true(run->id > 0);
	w->starts++;
	w->total = trials;
	for (size_t c = 0; c < w->x.cells_n; c++)
		if (w->x.cells[c].skipped) {
			w->skips++;
			str_copy(w->reason, sizeof(w->reason), w->x.cells[c].reason);
		}
}

static void on_begin(const struct run_trial *trial, void *arg)
{
	struct world *w = arg;

	if (!w->begins++)
		w->first_done = trial->done;
	assert_int_equal(trial->total, w->total);
}

static void on_trial(const struct run_trial *trial, const struct trial_record *record, void *arg)
{
	struct world *w = arg;

	w->trials++;
	w->last_left_ns = trial->left_ns;
	assert_int_equal(record->duration_ns, TRIAL_NS);
}

int world_execute(struct world *w, bool resume, struct err *e)
{
	const struct run_options options = {
		.resume = resume, .on_start = on_start, .on_begin = on_begin, .on_trial = on_trial, .arg = w};

	if (!w->x.cells[0].plans)
		must(run_probe(&w->x, w->site, false, e), e);
	w->starts = w->skips = w->begins = w->trials = 0;
	return run_execute(&w->x, w->store, w->site, &options, &w->run, e);
}

static int add_stored(const struct store_trial *trial, const struct trial_record *record, void *arg)
{
	struct stored *s = arg;
	size_t n = strlen(s->order);

	s->trials++;
	s->of_outcome[record->outcome]++;
	snprintf(s->order + n, sizeof(s->order) - n, "%llu:%s/%s ", (unsigned long long)trial->block,
		record->settings.workload, trial->arm);
	return 0;
}

struct stored world_stored(const struct world *w)
{
	struct stored found = {0};
	struct err e = ERR_INIT;

	must(store_trials_each(w->store, w->run.id, 0, add_stored, &found, &e), &e);
	return found;
}

void world_state_is(const struct world *w, const char *wanted)
{
	AUTO_FREE char *id = str_format("%lld", (long long)w->run.id);
	struct store_run found;
	struct err e = ERR_INIT;

	must(store_run_find(w->store, id, &found, &e), &e);
	assert_string_equal(found.state, wanted);
}
