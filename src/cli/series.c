/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Several runs of one experiment in a row (taut run --repeat): what each came to, and how often each verdict
 * was given.  Each run is stored by itself and has a seed of its own, which follows from the first one's.
 */
#include "series.h"

#include <stdio.h>

struct series {
	json_t *runs; /* their taut.run/1 documents */
};

struct series *series_new(void)
{
	struct series *s = mem_alloc(sizeof(*s));

	s->runs = json_array();
	return s;
}

void series_free(struct series *s)
{
	json_decref(s->runs);
	free(s);
}

void series_add(struct series *s, json_t *run)
{
	json_array_append_new(s->runs, run);
}

size_t series_n(const struct series *s)
{
	return json_array_size(s->runs);
}

json_t *series_json(const struct series *s)
{
	return json_pack("{s:s, s:O}", "schema", "taut.runs/1", "runs", s->runs);
}

/* Adds the verdicts on the primary metrics of a run: verdict → how many. */
static void count(const json_t *run, json_t *counts)
{
	const json_t *cells = json_object_get(run, "cells"), *cell, *effect;
	size_t c, i;

	json_array_foreach ((json_t *)(uintptr_t)cells, c, cell)
		json_array_foreach (json_object_get(cell, "effects"), i, effect) {
			const char *verdict = json_string_value(json_object_get(effect, "verdict"));
			if (!verdict || !json_is_true(json_object_get(effect, "primary")))
				continue;
			json_object_set_new(counts, verdict,
				json_integer(json_integer_value(json_object_get(counts, verdict)) + 1));
		}
}

static void add_counts(const json_t *counts, struct buf *b)
{
	const char *verdict, *separator = "";
	json_t *n;

	if (!json_object_size(counts))
		buf_add(b, "nothing compared");
	json_object_foreach ((json_t *)(uintptr_t)counts, verdict, n) {
		AUTO_FREE char *words = str_dup(verdict);
		for (char *c = words; *c; c++)
			*c = *c == '_' ? ' ' : *c;
		buf_add(b, "%s%s %lld", separator, words, (long long)json_integer_value(n));
		separator = ", ";
	}
	buf_add(b, "\n");
}

void series_text(const struct series *s, struct buf *b)
{
	json_t *all = json_object(), *run;
	size_t i;

	buf_add(b, "\n%zu runs; verdicts on primary metrics:\n", json_array_size(s->runs));
	json_array_foreach (s->runs, i, run) {
		const json_t *about = json_object_get(run, "run");
		json_t *counts = json_object();
		count(run, counts);
		count(run, all);
		buf_add(b, "  run %lld, seed %lld: ", json_integer_value(json_object_get(about, "id")),
			json_integer_value(json_object_get(about, "seed")));
		add_counts(counts, b);
		json_decref(counts);
	}
	buf_add(b, "  all: ");
	add_counts(all, b);
	json_decref(all);
}
