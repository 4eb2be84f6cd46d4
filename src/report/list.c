/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The runs in a store: a table, and taut.list/1. */
#include "figures.h"
#include "text.h"

#include <stdio.h>

struct listing {
	struct doc_table *table;
	json_t *runs;
	size_t n;
};

static int add_row(const struct store_run *run, uint64_t trials, void *arg)
{
	struct listing *l = arg;
	char text[32];

	l->n++;
	doc_row_add(l->table);
	snprintf(text, sizeof(text), "%lld", (long long)run->id);
	doc_field(l->table, 0, DOC_PLAIN, text);
	doc_field(l->table, 1, DOC_STRONG, run->name);
	doc_field(l->table, 2, DOC_PLAIN, time_iso8601(run->started_ns, text, sizeof(text)));
	if (run->ended_ns > run->started_ns)
		doc_field(l->table, 3, DOC_PLAIN,
			text_ns((double)(run->ended_ns - run->started_ns), text, sizeof(text)));
	snprintf(text, sizeof(text), "%llu", (unsigned long long)run->blocks);
	doc_field(l->table, 4, DOC_PLAIN, text);
	snprintf(text, sizeof(text), "%llu", (unsigned long long)trials);
	doc_field(l->table, 5, DOC_PLAIN, text);
	doc_field(l->table, 6, DOC_PLAIN, run->state);
	return 0;
}

int report_list_terminal(
	struct store *store, const struct report_style *style, struct buf *out, struct err *e)
{
	static const char *const names[] = {
		"id", "name", "started (UTC)", "took", "blocks", "trials", "state"};
	AUTO(auto_doc) struct doc_node *root = doc_new();
	struct listing l = {.table = doc_add_table(root, ARRAY_LEN(names))->table};
	doc_columns(l.table, "rllrrrl", "0003210", names);
	int rc = store ? store_runs_each(store, add_row, &l, e) : 0;

	if (rc == 0 && l.n)
		report_write(root, style, out);
	else if (rc == 0)
		buf_add(out, "no runs yet (try: taut run quick)\n");
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
