/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The runs in a store: a table, and taut.list/1. */
#include "figures.h"
#include "text.h"

#include <stdio.h>

struct listing {
	struct text_table table;
	json_t *runs;
	size_t n;
};

static int add_row(const struct store_run *run, uint64_t trials, void *arg)
{
	struct listing *l = arg;
	char text[32];

	if (!l->n++) {
		static const char *const names[] = {
			"id", "name", "started (UTC)", "took", "blocks", "trials", "state"};

		text_row(&l->table);
		for (size_t i = 0; i < ARRAY_LEN(names); i++)
			text_cell(&l->table, i, TEXT_DIM, names[i]);
	}
	text_row(&l->table);
	snprintf(text, sizeof(text), "%lld", (long long)run->id);
	text_cell(&l->table, 0, TEXT_PLAIN, text);
	text_cell(&l->table, 1, TEXT_BOLD, run->name);
	text_cell(&l->table, 2, TEXT_PLAIN, time_iso8601(run->started_ns, text, sizeof(text)));
	if (run->ended_ns > run->started_ns)
		text_cell(&l->table, 3, TEXT_PLAIN,
			text_ns((double)(run->ended_ns - run->started_ns), text, sizeof(text)));
	snprintf(text, sizeof(text), "%llu", (unsigned long long)run->blocks);
	text_cell(&l->table, 4, TEXT_PLAIN, text);
	snprintf(text, sizeof(text), "%llu", (unsigned long long)trials);
	text_cell(&l->table, 5, TEXT_PLAIN, text);
	text_cell(&l->table, 6, TEXT_PLAIN, run->state);
	return 0;
}

int report_list_terminal(
	struct store *store, const struct report_style *style, struct buf *out, struct err *e)
{
	struct listing l = {.table = {.align = "rllrrrl"}};
	int rc = store ? store_runs_each(store, add_row, &l, e) : 0;
	struct buf made = {.columns = out->columns};

	text_table_print(&l.table, 0, style, &made);
	if (rc == 0 && l.n)
		buf_put(out, made.data, made.len);
	else if (rc == 0)
		buf_add(out, "no runs yet (try: taut run quick)\n");
	buf_free(&made);
	return rc;
}

static int add_object(const struct store_run *run, uint64_t trials, void *arg)
{
	struct listing *l = arg;
	json_t *o = report_run_json(run);

	json_object_set_new(o, "trials", json_integer((json_int_t)trials));
	json_array_append_new(l->runs, o);
	return 0;
}

int report_list_json(struct store *store, json_t **out, struct err *e)
{
	struct listing l = {.runs = json_array()};
	int rc = store ? store_runs_each(store, add_object, &l, e) : 0;

	if (rc < 0) {
		json_decref(l.runs);
		return rc;
	}
	json_t *o = json_object();
	json_object_set_new(o, "schema", json_string("taut.list/1"));
	json_object_set_new(o, "runs", l.runs);
	*out = o;
	return 0;
}
