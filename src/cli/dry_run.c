/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * --dry-run: what a verb would do, as a document and as text made from it.
 *
 * One trial is an experiment with one cell, one arm and one block, so there is one document, taut.plan/2, for
 * all verbs.  Nobody is asked for leave to carry anything out: where a run would be refused as the machine
 * stands now, the plan says so beside everything else, and the exit status is 0.
 *
 * A run may have millions of trials, so the order is that of its first blocks: as many whole blocks as have
 * ORDER_TRIALS_MAX trials together, and at least one.  The others follow from the seed in the same way.
 */
#include "cli.h"

#include <stdio.h>

#define ORDER_TRIALS_MAX 1000

/* --- the document ------------------------------------------------------------------------------ */

/* Names of processes may stand in a reason, and may be anything. */
static json_t *text_json(const char *text)
{
	AUTO_FREE char *clean = str_printable(str_dup(text));

	return json_string(clean);
}

/* Kernels that would be fetched first, each once. */
static json_t *lacking(const struct experiment *x)
{
	json_t *words = json_array(), *seen = json_object();

	for (size_t c = 0; c < x->cells_n; c++)
		for (size_t i = 0; i < x->arms_n * SITE_KERNELS; i++) {
			const char *word =
				site_lacks(&x->cells[c].settings[i / SITE_KERNELS], i % SITE_KERNELS);
			if (!word || json_object_get(seen, word))
				continue;
			json_object_set_new(seen, word, json_true());
			json_array_append_new(words, json_string(word));
		}
	json_decref(seen);
	return words;
}

static bool lacking_qemu(const struct experiment *x)
{
	for (size_t c = 0; c < x->cells_n; c++)
		for (size_t a = 0; a < x->arms_n; a++)
			if (site_lacks_qemu(&x->cells[c].settings[a]))
				return true;
	return false;
}

/* The cells that are skipped, or the others. */
static json_t *cells_json(const struct experiment *x, bool skipped)
{
	json_t *cells = json_array();

	for (size_t c = 0; c < x->cells_n; c++) {
		const struct cell *cell = &x->cells[c];
		json_t *settings;

		if (cell->skipped != skipped)
			continue;
		settings = json_object();
		for (size_t a = 0; a < x->arms_n; a++)
			if (cell_has(cell, a))
				json_object_set_new(
					settings, x->arms[a].name, settings_json(&cell->settings[a]));
		json_t *o = json_pack("{s:s, s:o}", "cell", cell->name, "settings", settings);
		if (skipped)
			json_object_set_new(o, "reason", text_json(cell->reason));
		json_array_append_new(cells, o);
	}
	return cells;
}

/* Of the first blocks; *blocks says how many these are, *trials how many trials there are in all. */
static json_t *order_json(const struct experiment *x, uint64_t *blocks, uint64_t *trials)
{
	struct run_step *steps = mem_array(x->cells_n * x->arms_n, sizeof(*steps));
	json_t *order = json_array();
	size_t n = run_steps(x, x->seed, 0, steps); /* every block has as many */

	*trials = n * x->blocks;
	*blocks = n ? MIN(x->blocks, MAX(ORDER_TRIALS_MAX / n, 1)) : 0;
	for (uint64_t b = 0; b < *blocks; b++) {
		run_steps(x, x->seed, b, steps);
		for (size_t i = 0; i < n; i++)
			json_array_append_new(
				order, json_pack("[I, s, s]", (json_int_t)b, x->cells[steps[i].cell].name,
					       x->arms[steps[i].arm].name));
	}
	free(steps);
	return order;
}

/* The first cell with this arm that is carried out, or else that is not; NULL: no cell has it. */
static const struct cell *cell_of_arm(const struct experiment *x, size_t arm)
{
	const struct cell *skipped = NULL;

	for (size_t c = 0; c < x->cells_n; c++) {
		if (!cell_has(&x->cells[c], arm))
			continue;
		if (!x->cells[c].skipped)
			return &x->cells[c];
		skipped = skipped ? skipped : &x->cells[c];
	}
	return skipped;
}

/* What tuning every arm would begin with, in its first cell. */
static int tuning_json(const struct experiment *x, struct site *site, json_t *tuning, struct err *e)
{
	for (size_t a = 0; a < x->arms_n; a++) {
		const struct cell *cell = cell_of_arm(x, a);
		json_t *knobs = NULL;
		if (!cell)
			continue;
		int rc = site_tuning_json(site, &cell->plans[a], &knobs, e);
		if (rc < 0)
			return rc;
		json_array_append_new(tuning, json_pack("{s:s, s:s, s:o}", "arm", x->arms[a].name, "cell",
						      cell->name, "knobs", knobs));
	}
	return 0;
}

/* Why it would be refused as a whole, or null. */
static int refusal_json(const struct experiment *x, struct site *site, json_t **out, struct err *e)
{
	char text[1100];

	for (size_t i = 0; i < x->cells_n * x->arms_n; i++) {
		struct err why = ERR_INIT;
		int rc = site_allowed(site, &x->cells[i / x->arms_n].settings[i % x->arms_n], &why);

		if (rc < 0 && why.exit != EXIT_REFUSED) {
			*e = why;
			return rc;
		}
		if (rc < 0) {
			*out = text_json(err_string(&why, text, sizeof(text)));
			return 0;
		}
	}
	*out = json_null();
	return 0;
}

/* A new reference; NULL with an error. */
static json_t *document_make(const struct experiment *x, struct site *site, struct err *e)
{
	json_t *tuning = json_array(), *refused = NULL, *arms = json_array(), *order;
	uint64_t blocks, trials;

	if (tuning_json(x, site, tuning, e) < 0 || refusal_json(x, site, &refused, e) < 0) {
		json_decref(arms);
		json_decref(tuning);
		return NULL;
	}
	for (size_t a = 0; a < x->arms_n; a++)
		json_array_append_new(arms, json_string(x->arms[a].name));
	order = order_json(x, &blocks, &trials);
	return json_pack("{s:s, s:s?, s:o, s:o, s:o, s:o, s:I, s:I, s:I, s:f, s:o, s:I, s:o, s:o, s:b}",
		"schema", "taut.plan/2", "name", *x->name ? x->name : NULL, "refused", refused, "cells",
		cells_json(x, false), "skipped", cells_json(x, true), "arms", arms, "seed",
		(json_int_t)x->seed, "blocks", (json_int_t)x->blocks, "trials", (json_int_t)trials,
		"duration_s", (double)run_estimate_ns(x) / 1e9, "order", order, "order_blocks",
		(json_int_t)blocks, "tuning", tuning, "fetched_first", lacking(x), "qemu_fetched_first",
		lacking_qemu(x));
}

/* --- as text ----------------------------------------------------------------------------------- */

static const char *text_of(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key));
}

static void add_knob(const json_t *knob, struct buf *b)
{
	const char *reason = text_of(knob, "reason"), *before = text_of(knob, "before"),
		   *value = text_of(knob, "value");

	buf_add(b, "  %-26s %s", text_of(knob, "id"), text_of(knob, "object"));
	if (reason && *reason)
		buf_add(b, ": %s (%s)\n", text_of(knob, "status"), reason);
	else if (before && value && !strcmp(before, value))
		buf_add(b, ": %s, as it is\n", value);
	else
		buf_add(b, ": %s → %s\n", before ? before : "-", value ? value : "-");
}

static void add_tuning(const json_t *tuning, struct buf *b)
{
	json_t *arm, *knob;
	size_t i, k;

	json_array_foreach ((json_t *)(uintptr_t)tuning, i, arm) {
		json_t *knobs = json_object_get(arm, "knobs");

		buf_add(b, "\narm %s, in %s: writes %s\n", text_of(arm, "arm"), text_of(arm, "cell"),
			json_array_size(knobs) ? "this, where it is not skipped"
					       : "nothing before its target exists");
		json_array_foreach (knobs, k, knob)
			add_knob(knob, b);
	}
	buf_add(b,
		"\nHow the CPUs are set apart (cgroup v2 partition, v1 cpuset, affinity) is chosen when the target's\n"
		"cgroup exists.  Placement and scheduling of the ends, and what concerns their links, follow when these\n"
		"exist.  An arm is shown in its first cell that is carried out; another cell may have another plan.\n");
}

static void add_order(const json_t *document, struct buf *b)
{
	const json_t *order = json_object_get(document, "order");
	json_int_t more = json_integer_value(json_object_get(document, "blocks")) -
			  json_integer_value(json_object_get(document, "order_blocks"));
	const json_t *trial;
	size_t i;
	json_int_t block = -1;
	const char *cell = "";

	json_array_foreach ((json_t *)(uintptr_t)order, i, trial) {
		json_int_t this_block = json_integer_value(json_array_get(trial, 0));
		const char *this_cell = json_string_value(json_array_get(trial, 1));
		if (this_block != block)
			buf_add(b, "\nblock %lld:", (long long)this_block + 1);
		if (this_block != block || strcmp(cell, this_cell))
			buf_add(b, "\n  %-34s", this_cell);
		buf_add(b, " %s", json_string_value(json_array_get(trial, 2)));
		block = this_block;
		cell = this_cell;
	}
	buf_add(b, "\n");
	if (more > 0 && json_array_size(order))
		buf_add(b, "\n… and %lld more blocks of the same trials, each in an order of its own.\n",
			(long long)more);
}

static int say_text(const struct experiment *x, bool drawn, const json_t *document)
{
	AUTO(buf_free) struct buf b = {0};
	const json_t *item;
	char left[48];
	size_t i;

	buf_add(&b, "%s: %lld trials in %llu blocks, about %s\n", x->name,
		(long long)json_integer_value(json_object_get(document, "trials")),
		(unsigned long long)x->blocks, say_left(run_estimate_ns(x), left, sizeof(left)));
	if (text_of(document, "refused"))
		buf_add(&b, "would be refused: %s\n", text_of(document, "refused"));
	say_skipped(x, &b);
	json_array_foreach (json_object_get(document, "fetched_first"), i, item)
		buf_add(&b, "fetched first: kernel %s\n", json_string_value(item));
	if (json_is_true(json_object_get(document, "qemu_fetched_first")))
		buf_add(&b, "fetched first: QEMU, for NICs of emulated hosts\n");
	add_tuning(json_object_get(document, "tuning"), &b);
	buf_add(&b, "\nOrder of the trials%s:\n",
		drawn ? " with seed 1 (without --seed the run draws one)" : "");
	add_order(document, &b);
	return say_buf(&b);
}

int dry_run(struct experiment *x, struct site *site, bool json)
{
	struct err e = ERR_INIT;
	bool drawn = !x->seed;

	if (drawn)
		x->seed = 1;
	json_t *document = document_make(x, site, &e);
	if (!document)
		return say_error(&e);
	if (json)
		return say_json(document);
	int code = say_text(x, drawn, document);
	json_decref(document);
	return code;
}
