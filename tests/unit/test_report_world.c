/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "test_report_world.h"
#include "test_keep.h"

#include <stdio.h>

struct err problem;

/* --- made-up trials ---------------------------------------------------------------------------- */

struct trial_record *rr_record(const struct settings *s, const struct shape *shape, uint64_t block)
{
	struct trial_record *r = trial_record_new();
	struct endpoint_record *c = &r->ends[END_CLIENT].record;

	r->settings = *s;
	r->attribution = ATTRIBUTION_RULE;
	r->verified = true;
	r->wall_started_ns = 1800000000ull * NS_PER_S + block * NS_PER_S;
	r->duration_ns = NS_PER_S;
	c->started_ns = 1;
	c->ended_ns = 1 + NS_PER_S;
	c->sent = c->transactions = shape->transactions;
	c->has_service = true;
	hist_clear(&c->service);
	hist_clear(&r->ends[END_SERVER].record.service);
	uint64_t drift = shape->base_ns * (block * 37 % 11) / 2000; /* up to 0.5 %, the same in every arm */
	for (uint64_t i = 0; i < shape->transactions; i++) {
		uint64_t ns = shape->base_ns + drift + i * 7919 % 100 * shape->step_ns;
		hist_add(&c->service, i % 1000 == 999 ? ns * shape->tail : ns);
	}
	c->response = c->service;
	c->worst_n = MIN(4, shape->transactions);
	for (uint64_t i = 0; i < c->worst_n; i++) {
		c->worst[i] = (struct worst){i * 1000, c->service.max - i, c->service.max - i};
		str_copy(r->during[i].owner, sizeof(r->during[i].owner), i == 3 ? "unknown" : shape->owner);
		str_copy(r->during[i].evidence, sizeof(r->during[i].evidence), "waited 3 of 4 ms");
	}
	c->window_length_ns = NS_PER_S / 10;
	c->windows_n = 10;
	for (size_t i = 0; i < 10; i++)
		c->windows[i] = (struct window){shape->transactions / 10, 1000, 100, 50, 0};
	return r;
}

struct trial_record *stream_record(const struct settings *s, double bps, uint64_t block)
{
	struct trial_record *r = trial_record_new();

	r->settings = *s;
	r->verified = true;
	r->ends[END_SERVER].record.receiver = true;
	r->ends[END_SERVER].record.ended_ns = NS_PER_S;
	r->mtu = 1500;
	condition_add(&r->conditions, CONDITION_LINE_RATE, "eth2", "10000000000", "10000000000");
	r->ends[END_SERVER].record.window_length_ns = NS_PER_S / 10;
	r->ends[END_SERVER].record.windows_n = 10;
	for (size_t i = 0; i < 10; i++) {
		r->ends[END_SERVER].record.windows[i].bytes =
			(uint64_t)(bps / 80 * (1 + 0.001 * (double)((i + block) % 3)));
		r->ends[END_SERVER].record.bytes += r->ends[END_SERVER].record.windows[i].bytes;
	}
	return r;
}

struct trial_record *open_record(const struct settings *s, const struct shape *shape, uint64_t block)
{
	struct trial_record *r = rr_record(s, shape, block);

	r->ends[END_CLIENT].record.has_lateness = true;
	hist_clear(&r->ends[END_CLIENT].record.response);
	hist_clear(&r->ends[END_CLIENT].record.lateness);
	for (uint64_t i = 0; i < shape->transactions; i++) {
		hist_add(&r->ends[END_CLIENT].record.response, 2 * shape->base_ns + i);
		hist_add(&r->ends[END_CLIENT].record.lateness, 100 + i % 7);
	}
	return r;
}

/* --- a store ----------------------------------------------------------------------------------- */

struct settings settings_of(const char *workload, const char *profile)
{
	struct settings s;

	settings_init(&s);
	CHECK(setting_set(&s, "workload", workload, &problem));
	CHECK(setting_set(&s, "profile", profile, &problem));
	CHECK(setting_set(&s, "target", "container", &problem));
	CHECK(setting_set(&s, "transactions", "20000", &problem));
	CHECK(settings_check(&s, &problem));
	return s;
}

int64_t cell_add(struct world *w, const char *name, struct settings arms[2])
{
	struct store_cell cell = {0};
	struct store_arm made[2] = {{.name = "stock", .baseline = true}, {.name = "tuned"}};

	str_copy(cell.name, sizeof(cell.name), name);
	for (int i = 0; i < 2; i++)
		made[i].settings = settings_json(&arms[i]);
	CHECK(store_cell_add(w->store, w->run, &cell, made, 2, &problem));
	for (int i = 0; i < 2; i++)
		json_decref(made[i].settings);
	return cell.id;
}

void trial_add(struct world *w, int64_t cell, const char *arm, uint64_t block, struct trial_record *r)
{
	struct store_trial t = {.cell = cell, .block = block};

	str_copy(t.arm, sizeof(t.arm), arm);
	CHECK(store_trial_add(w->store, w->run, &t, r, &problem));
	trial_record_free(r);
}

int64_t run_begin(struct world *w, const char *name, uint64_t blocks)
{
	struct store_run run = {
		.seed = UINT64_MAX - 5, .blocks = blocks, .started_ns = 1800000000ull * NS_PER_S};
	json_t *spec = json_pack("{s:s}", "name", name);
	json_t *environment = json_pack("{s:s, s:s, s:i, s:s}", "kernel", "6.1.0-18-amd64", "preempt",
		"voluntary", "cpus", 2, "hypervisor", "kvm");

	str_copy(run.name, sizeof(run.name), name);
	CHECK(store_run_begin(w->store, &run, spec, environment, &problem));
	json_decref(spec);
	json_decref(environment);
	w->run = run.id;
	return run.id;
}

int setup(void **state)
{
	struct world *w = mem_alloc(sizeof(*w));

	str_copy(w->folder, sizeof(w->folder), "/tmp/taut-report-XXXXXX");
	keep_folder(w->folder);
	snprintf(w->file, sizeof(w->file), "%s/runs.db", w->folder);
	CHECK(store_open(&w->store, w->file, &problem));
	*state = w;
	return 0;
}

int teardown(void **state)
{
	struct world *w = *state;
	static const char *const ends[] = {"", "-wal", "-shm"};

	store_close(w->store);
	for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
		AUTO_FREE char *file = str_format("%s%s", w->file, ends[i]);
		unlink(file);
	}
	rmdir(w->folder);
	free(w);
	return 0;
}

/* --- asking ------------------------------------------------------------------------------------ */

const struct stat_effect *effect_of(const struct report_cell *cell, enum stat_metric metric)
{
	for (size_t i = 0; i < cell->pairs[0].n; i++)
		if (cell->pairs[0].effects[i].metric == metric)
			return &cell->pairs[0].effects[i];
	fail_msg("no effect on %s", stat_metrics[metric].name);
	return NULL;
}

void has_keys(const json_t *object, const char *keys)
{
	AUTO_FREE char *copy = str_dup(keys);
	char *rest = copy, *key;

	assert_true(json_is_object(object));
	while ((key = strsep(&rest, " ")))
		if (!json_object_get(object, key))
			fail_msg("'%s' is missing", key);
}

void says(const struct buf *b, const char *text)
{
	if (!strstr(b->data, text))
		fail_msg("'%s' is not in:\n%s", text, b->data);
}

/* The text with every stretch of blanks as one. */
static char *squeezed(const char *text)
{
	struct buf b = {0};

	for (; *text; text++)
		if (!strchr(" \n", *text))
			buf_put(&b, text, 1);
		else if (b.len && b.data[b.len - 1] != ' ')
			buf_put(&b, " ", 1);
	return b.data ? b.data : str_dup("");
}

void reads(const struct buf *b, const char *text)
{
	AUTO_FREE char *all = squeezed(b->data);

	if (!strstr(all, text))
		fail_msg("'%s' is not in:\n%s", text, b->data);
}

void says_not(const struct buf *b, const char *text)
{
	if (strstr(b->data, text))
		fail_msg("'%s' is in:\n%s", text, b->data);
}

size_t widest(const char *text)
{
	size_t most = 0, width = 0;

	for (; *text; text++) {
		width = *text == '\n' ? 0 : width + (((unsigned char)*text & 0xc0) != 0x80);
		most = MAX(most, width);
	}
	return most;
}
