/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Reads an experiment.  The file is YAML, read with libyaml's document API, since arms have names of the
 * user's own; yaml_check() has looked at it before.  Whatever is wrong is said with file:line.
 *
 * Values are layered: defaults, then the top (`trial:` and any setting), then the cell, then the arm, then
 * --set.  In a cell any setting may be a list; the cell then stands for every combination.  Setting values
 * are texts until setting_set() has seen them, so the file and the command line follow the same rules.
 *
 * The arms of an experiment are those of its top and those that cells have in their place; arms of the same
 * name and the same overrides are one.
 */
#include "cell.h"
#include "yaml_check.h"

#include <stdio.h>
#include <yaml.h>

#define BLOCKS_MAX 1000
#define CELLS_MAX  500

struct reader {
	const char *origin;
	yaml_document_t document;
	struct experiment *x;
	struct settings top;
	json_t *cells; /* as read: an array of {"line": n, "cell": {setting: text}, "arms": [numbers]} */
	json_t *arms;  /* the numbers of those of the top */
	const struct setting_override *overrides;
	size_t overrides_n;
};

/* The keys of the top that are not settings; `cells` and `arms` wait until the settings of the top are known.
 */
enum top_key { TOP_NAME, TOP_BLOCKS, TOP_SEED, TOP_REFERENCE, TOP_TRIAL, TOP_CELLS, TOP_ARMS };
static const char *const top_keys[] = {"name", "blocks", "seed", "reference", "trial", "cells", "arms"};

/* --- messages ---------------------------------------------------------------------------------- */

static int bad(const struct reader *r, const yaml_node_t *node, struct err *e, const char *format, ...)
	PRINTF(4, 5);

static int bad(const struct reader *r, const yaml_node_t *node, struct err *e, const char *format, ...)
{
	char text[512];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	return err_usage(e, "%s:%zu: %s", r->origin, node ? node->start_mark.line + 1 : 1, text);
}

static int at_line(const struct reader *r, size_t line, struct err *e)
{
	return err_wrap(e, "%s:%zu", r->origin, line);
}

/* --- nodes ------------------------------------------------------------------------------------- */

static yaml_node_t *node_at(struct reader *r, int index)
{
	return yaml_document_get_node(&r->document, index);
}

static const char *scalar(const yaml_node_t *node)
{
	return node && node->type == YAML_SCALAR_NODE ? (const char *)node->data.scalar.value : NULL;
}

/* Calls fn for every key of a mapping; keys must be scalars and may stand only once. */
static int each_pair(struct reader *r, yaml_node_t *map, struct err *e,
	int (*fn)(struct reader *r, const yaml_node_t *key, yaml_node_t *value, void *arg, struct err *e),
	void *arg)
{
	yaml_node_pair_t *first = map->data.mapping.pairs.start, *end = map->data.mapping.pairs.top;

	for (yaml_node_pair_t *pair = first; pair < end; pair++) {
		yaml_node_t *key = node_at(r, pair->key), *value = node_at(r, pair->value);
		if (!scalar(key) || !*scalar(key))
			return bad(r, key, e, "a key must be a word");
		for (yaml_node_pair_t *before = first; before < pair; before++)
			if (!strcmp(scalar(node_at(r, before->key)), scalar(key)))
				return bad(r, key, e, "'%s' stands here twice", scalar(key));
		int rc = fn(r, key, value, arg, e);
		if (rc < 0)
			return rc;
	}
	return 0;
}

static int want(
	struct reader *r, const yaml_node_t *node, yaml_node_type_t type, const char *what, struct err *e)
{
	if (node && node->type == type)
		return 0;
	bad(r, node, e, "%s must be %s", what,
		type == YAML_MAPPING_NODE    ? "a mapping (key: value)"
		: type == YAML_SEQUENCE_NODE ? "a list (- …)"
					     : "a single value");
	return -EINVAL;
}

/* --- settings in the file ---------------------------------------------------------------------- */

/* Tries the value on a scratch copy, so that what is wrong is said where it stands. */
static int check_value(struct reader *r, const yaml_node_t *key, const yaml_node_t *value, struct err *e)
{
	struct settings scratch = r->top;

	if (!setting_find(scalar(key))) {
		setting_set(&scratch, scalar(key), "", e);
		return at_line(r, key->start_mark.line + 1, e);
	}
	if (!scalar(value))
		return bad(r, value, e, "%s must be a single value", scalar(key));
	if (setting_set(&scratch, scalar(key), scalar(value), e) < 0)
		return at_line(r, value->start_mark.line + 1, e);
	return 0;
}

static int take_top(struct reader *r, const yaml_node_t *key, yaml_node_t *value, void *arg, struct err *e)
{
	int rc = check_value(r, key, value, e);

	(void)arg;
	return rc < 0 ? rc : setting_set(&r->top, scalar(key), scalar(value), e);
}

static int take_arm_value(
	struct reader *r, const yaml_node_t *key, yaml_node_t *value, void *arg, struct err *e)
{
	int rc = check_value(r, key, value, e);

	if (rc == 0)
		json_object_set_new(arg, scalar(key), json_string(scalar(value)));
	return rc;
}

/* The arm that is last becomes one with its like before it; returns its number. */
static size_t arm_merge(struct experiment *x)
{
	struct arm *last = &x->arms[x->arms_n - 1];

	for (size_t i = 0; i + 1 < x->arms_n; i++)
		if (!strcmp(x->arms[i].name, last->name) &&
			json_equal(x->arms[i].overrides, last->overrides)) {
			json_decref(last->overrides);
			x->arms_n--;
			return i;
		}
	return x->arms_n - 1;
}

/* `arg`: the numbers of the arms, as they are named. */
static int take_arm(struct reader *r, const yaml_node_t *key, yaml_node_t *value, void *arg, struct err *e)
{
	struct experiment *x = r->x;
	struct arm *arm;
	int rc = 0;

	x->arms = mem_grow(x->arms, x->arms_n + 1, sizeof(*x->arms));
	arm = &x->arms[x->arms_n++];
	*arm = (struct arm){.overrides = json_object()};
	if (str_copy(arm->name, sizeof(arm->name), scalar(key)))
		return bad(r, key, e, "the name of an arm has at most %zu characters", sizeof(arm->name) - 1);
	AUTO_FREE char *shown = str_printable(str_dup(arm->name));
	if (strcmp(shown, arm->name) != 0)
		return bad(r, key, e, "the name of an arm, '%s', holds what cannot be shown", shown);
	if (!scalar(value) || !str_in(scalar(value), "|~|null"))
		rc = want(r, value, YAML_MAPPING_NODE, "an arm", e);
	if (rc == 0 && value->type == YAML_MAPPING_NODE)
		rc = each_pair(r, value, e, take_arm_value, arm->overrides);
	if (rc < 0)
		return rc;
	json_array_append_new(arg, json_integer((json_int_t)arm_merge(x)));
	return x->arms_n > ARMS_MAX ? bad(r, key, e, "more than %d arms", ARMS_MAX) : 0;
}

static int take_arms(struct reader *r, yaml_node_t *map, json_t *arms, struct err *e)
{
	int rc = want(r, map, YAML_MAPPING_NODE, "arms", e);

	if (rc == 0)
		rc = each_pair(r, map, e, take_arm, arms);
	if (rc == 0 && !json_array_size(arms))
		rc = bad(r, map, e, "an experiment needs at least one arm");
	return rc;
}

/* --- cells: lists multiply --------------------------------------------------------------------- */

/* For every cell that is there so far, one copy with each of the values. */
static void multiply(json_t *variants, const char *key, json_t *values)
{
	json_t *made = json_array();
	size_t i, j;
	json_t *variant, *value;

	json_array_foreach (variants, i, variant)
		json_array_foreach (values, j, value) {
			json_t *copy = json_copy(variant);
			json_object_set(copy, key, value);
			json_array_append_new(made, copy);
		}
	json_array_clear(variants);
	json_array_extend(variants, made);
	json_decref(made);
}

struct cell_read {
	json_t *variants, *arms;
};

static int take_cell_value(
	struct reader *r, const yaml_node_t *key, yaml_node_t *value, void *arg, struct err *e)
{
	struct cell_read *cell = arg;
	json_t *variants = cell->variants;
	int rc = 0;

	if (!strcmp(scalar(key), top_keys[TOP_ARMS]))
		return take_arms(r, value, cell->arms, e);
	json_t *values = json_array();
	if (value->type == YAML_SEQUENCE_NODE && setting_find(scalar(key))) {
		yaml_node_item_t *item = value->data.sequence.items.start,
				 *end = value->data.sequence.items.top;
		if (item == end)
			rc = bad(r, value, e, "the list of %s is empty", scalar(key));
		for (; rc == 0 && item < end; item++)
			if ((rc = check_value(r, key, node_at(r, *item), e)) == 0)
				json_array_append_new(values, json_string(scalar(node_at(r, *item))));
	} else if ((rc = check_value(r, key, value, e)) == 0) {
		json_array_append_new(values, json_string(scalar(value)));
	}
	if (rc == 0 && json_array_size(variants) * json_array_size(values) > CELLS_MAX)
		rc = bad(r, key, e, "more than %d cells", CELLS_MAX);
	if (rc == 0)
		multiply(variants, scalar(key), values);
	json_decref(values);
	return rc;
}

static int take_cells(struct reader *r, yaml_node_t *list, struct err *e)
{
	int rc = want(r, list, YAML_SEQUENCE_NODE, "cells", e);

	if (rc < 0)
		return rc;
	yaml_node_item_t *item = list->data.sequence.items.start, *end = list->data.sequence.items.top;
	for (; item < end; item++) {
		yaml_node_t *node = node_at(r, *item);
		struct cell_read cell = {.variants = json_pack("[{}]"), .arms = json_array()};
		json_t *variant;
		size_t i;

		rc = want(r, node, YAML_MAPPING_NODE, "a cell", e);
		if (rc == 0)
			rc = each_pair(r, node, e, take_cell_value, &cell);
		json_t *arms = json_array_size(cell.arms) ? cell.arms : r->arms;
		if (rc == 0 && !json_array_size(arms))
			rc = bad(r, node, e, "'arms' is missing, here and at the top");
		json_array_foreach (cell.variants, i, variant)
			json_array_append_new(r->cells,
				json_pack("{s:I, s:O, s:O}", "line", (json_int_t)node->start_mark.line + 1,
					"cell", variant, "arms", arms));
		json_decref(cell.variants);
		json_decref(cell.arms);
		if (rc < 0)
			return rc;
	}
	if (json_array_size(r->cells) == 0 || json_array_size(r->cells) > CELLS_MAX)
		return bad(r, list, e, "an experiment has 1 to %d cells, not %zu", CELLS_MAX,
			json_array_size(r->cells));
	return 0;
}

/* --- the top ----------------------------------------------------------------------------------- */

static int take_number(struct reader *r, const yaml_node_t *key, yaml_node_t *value, uint64_t max,
	uint64_t *out, struct err *e)
{
	uint64_t n;

	if (!scalar(value) || str_u64(scalar(value), &n) || n < 1 || n > max)
		return bad(r, value, e, "%s must be a whole number from 1 to %llu%s%s", scalar(key),
			(unsigned long long)max, scalar(value) ? ", not " : "",
			scalar(value) ? scalar(value) : "");
	*out = n;
	return 0;
}

static int take_name(struct reader *r, yaml_node_t *value, struct err *e)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";
	const char *name = scalar(value);

	if (!name || !*name || strlen(name) >= sizeof(r->x->name) || name[strspn(name, allowed)] ||
		name[strspn(name, "0123456789")] == 0 || !strcmp(name, "last"))
		return bad(r, value, e,
			"name must be a word of letters, digits, '_', '.' and '-', not longer than %zu, neither a number nor 'last'",
			sizeof(r->x->name) - 1);
	return str_copy(r->x->name, sizeof(r->x->name), name);
}

static int take_key(struct reader *r, const yaml_node_t *key, yaml_node_t *value, void *arg, struct err *e)
{
	yaml_node_t **later = arg;
	size_t which = 0;
	int rc;

	while (which < ARRAY_LEN(top_keys) && strcmp(top_keys[which], scalar(key)))
		which++;
	switch (which) {
	case TOP_NAME:
		return take_name(r, value, e);
	case TOP_BLOCKS:
		return take_number(r, key, value, BLOCKS_MAX, &r->x->blocks, e);
	case TOP_SEED:
		return take_number(r, key, value, INT64_MAX, &r->x->seed, e);
	case TOP_REFERENCE:
		if (!scalar(value) || str_copy(r->x->reference, sizeof(r->x->reference), scalar(value)))
			return bad(r, value, e, "reference must be a word");
		return 0;
	case TOP_TRIAL:
		rc = want(r, value, YAML_MAPPING_NODE, "trial", e);
		return rc < 0 ? rc : each_pair(r, value, e, take_top, NULL);
	case TOP_CELLS:
	case TOP_ARMS:
		later[which - TOP_CELLS] = value;
		return 0;
	default:
		if (setting_find(scalar(key)))
			return take_top(r, key, value, NULL, e);
		const char *near = str_closest(scalar(key), top_keys, ARRAY_LEN(top_keys));
		bad(r, key, e, "'%s' is not known here", scalar(key));
		return near ? err_try(e, "%s", near) : err_try(e, "taut-experiment(5) lists the keys");
	}
}

/* --- the whole ---------------------------------------------------------------------------------- */

static int make_cells(struct reader *r, struct err *e)
{
	struct layers *layers = mem_array(json_array_size(r->cells), sizeof(*layers));
	size_t i, bad_one = 0;
	json_t *item;
	int rc = 0;

	json_array_foreach (r->cells, i, item) {
		layers[i] = (struct layers){.top = &r->top,
			.texts = json_object_get(item, "cell"),
			.overrides = r->overrides,
			.overrides_n = r->overrides_n,
			.arms = json_object_get(item, "arms")};
		bad_one = i;
		rc = cell_add(r->x, &layers[i], e);
		if (rc < 0)
			break;
	}
	if (rc == 0)
		rc = cells_name(r->x, layers, &bad_one, e);
	free(layers);
	item = json_array_get(r->cells, bad_one);
	return rc < 0 ? at_line(r, (size_t)json_integer_value(json_object_get(item, "line")), e) : 0;
}

static int resolve(struct reader *r, yaml_node_t *root, struct err *e)
{
	yaml_node_t *later[2] = {NULL, NULL};
	int rc = want(r, root, YAML_MAPPING_NODE, "an experiment", e);

	if (rc == 0)
		rc = each_pair(r, root, e, take_key, later);
	if (rc == 0 && (!r->x->name[0] || !later[0]))
		rc = bad(r, root, e, "'%s' is missing", !r->x->name[0] ? "name" : "cells");
	if (rc == 0 && later[1])
		rc = take_arms(r, later[1], r->arms, e);
	if (rc == 0)
		rc = take_cells(r, later[0], e);
	return rc < 0 ? rc : make_cells(r, e);
}

int experiment_parse(struct experiment *x, const char *origin, const char *text, size_t len,
	const struct setting_override *overrides, size_t overrides_n, struct err *e)
{
	struct experiment made = {.blocks = 10};
	struct reader r = {.origin = origin, .x = &made, .overrides = overrides, .overrides_n = overrides_n};
	yaml_parser_t parser;
	int rc = yaml_check(origin, text, len, e);

	if (rc < 0)
		return rc;
	if (!yaml_parser_initialize(&parser))
		return err_code(e, ENOMEM, "cannot read %s", origin);
	yaml_parser_set_input_string(&parser, (const unsigned char *)text, len);
	if (!yaml_parser_load(&parser, &r.document)) {
		rc = err_usage(e, "%s:%zu: %s", origin, parser.problem_mark.line + 1,
			parser.problem ? parser.problem : "not YAML");
		yaml_parser_delete(&parser);
		return rc;
	}
	settings_init(&r.top);
	r.cells = json_array();
	r.arms = json_array();
	rc = resolve(&r, yaml_document_get_root_node(&r.document), e);
	json_decref(r.cells);
	json_decref(r.arms);
	yaml_document_delete(&r.document);
	yaml_parser_delete(&parser);
	if (rc < 0)
		experiment_free(&made);
	else
		*x = made;
	return rc;
}
