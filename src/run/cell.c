/* SPDX-License-Identifier: GPL-3.0-or-later */
/* From the values of an experiment file to cells: a name, and settings for each of its arms. */
#include "cell.h"

#include <stdio.h>

static int override_all(struct settings *s, const json_t *texts, struct err *e)
{
	const char *key;
	json_t *value;

	json_object_foreach ((json_t *)(uintptr_t)texts, key, value) {
		int rc = setting_set(s, key, json_string_value(value), e);
		if (rc < 0)
			return rc;
	}
	return 0;
}

void cell_name_add(struct buf *out, const struct settings *s)
{
	buf_add(out, "%s%s%s/%s%s%s/%s", s->target, s->runtime[0] ? "/" : "", s->runtime, s->attachment,
		s->path[0] ? "/" : "", s->path, s->workload);
	if (s->rate)
		buf_add(out, "@%llu", (unsigned long long)s->rate);
}

void cell_name_set(struct cell *cell, char *name)
{
	size_t room = sizeof(cell->name), cut = room - sizeof("…#12345678");
	struct hash h = hash_new();
	char hex[33];

	/* A command may have lines. */
	if (str_copy(cell->name, room, str_printable(name)) == 0)
		return;
	while (((unsigned char)name[cut] & 0xc0) == 0x80) /* not inside a character */
		cut--;
	hash_text(&h, name);
	snprintf(cell->name, room, "%.*s…#%.8s", (int)cut, name, hash_hex(&h, hex));
}

bool cell_has(const struct cell *cell, size_t arm)
{
	for (size_t i = 0; i < cell->arms_n; i++)
		if (cell->arms[i] == arm)
			return true;
	return false;
}

int cell_arm(const struct experiment *x, const struct cell *cell, const char *name)
{
	for (size_t i = 0; i < cell->arms_n; i++)
		if (!strcmp(x->arms[cell->arms[i]].name, name))
			return cell->arms[i];
	return -1;
}

static bool is_meant(const struct settings *s, const struct setting_override *o)
{
	const struct setting_row *row = setting_find(o->key);
	char number[SETTING_NUMBER_MAX];

	return !o->instead || (row && !strcmp(setting_text(s, row, number, sizeof(number)), o->instead));
}

/* What the cell itself says, and the overrides over it. */
static int lay_over(struct settings *s, const struct layers *layers, const struct arm *arm, struct err *e)
{
	int rc = override_all(s, layers->texts, e);

	if (rc == 0 && arm)
		rc = override_all(s, arm->overrides, e);
	for (size_t i = 0; rc == 0 && i < layers->overrides_n; i++)
		if (is_meant(s, &layers->overrides[i]))
			rc = setting_set(s, layers->overrides[i].key, layers->overrides[i].value, e);
	return rc;
}

static int make_settings(
	struct settings *s, const struct layers *layers, const struct arm *arm, struct err *e)
{
	*s = *layers->top;
	int rc = lay_over(s, layers, arm, e);
	if (rc == 0)
		rc = settings_check(s, e);
	return rc < 0 ? err_wrap(e, "arm %s", arm->name) : 0;
}

int cell_add(struct experiment *x, const struct layers *layers, struct err *e)
{
	struct cell *cell;
	json_t *number;
	size_t i;
	int rc = 0;

	x->cells = mem_grow(x->cells, x->cells_n + 1, sizeof(*x->cells));
	cell = &x->cells[x->cells_n++];
	*cell = (struct cell){.settings = mem_array(x->arms_n, sizeof(struct settings))};
	json_array_foreach ((json_t *)(uintptr_t)layers->arms, i, number)
		cell->arms[cell->arms_n++] = (uint8_t)json_integer_value(number);
	for (size_t a = 0; rc == 0 && a < x->arms_n; a++)
		if (cell_has(cell, a))
			rc = make_settings(&cell->settings[a], layers, &x->arms[a], e);
	if (rc < 0)
		return rc;
	/* Nobody measures in an arm that it lacks, but who looks at all of them finds settings. */
	for (size_t a = 0; a < x->arms_n; a++)
		if (!cell_has(cell, a))
			cell->settings[a] = cell->settings[cell->arms[0]];
	return 0;
}

/* --- names ------------------------------------------------------------------------------------- */

struct naming {
	struct settings own; /* without what arms set, and without defaults that depend on other settings */
	char *head;
};

/*
 * The head is of what the cell itself says, whatever its arms say instead; where it says nothing, of the
 * baseline.
 */
static struct naming naming_begin(const struct cell *cell, const struct layers *layers)
{
	struct settings said = cell->settings[cell->arms[0]];
	struct naming made = {.own = *layers->top};
	AUTO(buf_free) struct buf head = {0};

	/* Each value is known to be a good one. */
	lay_over(&said, layers, NULL, ERR_IGNORED);
	lay_over(&made.own, layers, NULL, ERR_IGNORED);
	said.rate = made.own.rate; /* an arm's is no part of the name */
	cell_name_add(&head, &said);
	made.head = steal_ptr(&head.data);
	return made;
}

/* Is there a cell with the head of this one and another value of the setting? */
static bool tells_apart(const struct naming *all, size_t n, size_t c, const struct setting_row *row)
{
	for (size_t other = 0; other < n; other++)
		if (!strcmp(all[other].head, all[c].head) &&
			!setting_equal(&all[other].own, &all[c].own, row))
			return true;
	return false;
}

int cells_name(struct experiment *x, const struct layers *layers, size_t *at, struct err *e)
{
	struct naming *all = mem_array(x->cells_n, sizeof(*all));
	int rc = 0;

	for (size_t c = 0; c < x->cells_n; c++)
		all[c] = naming_begin(&x->cells[c], &layers[c]);
	for (size_t c = 0; rc == 0 && c < x->cells_n; c++) {
		AUTO(buf_free) struct buf b = {0};
		const char *key;
		json_t *value;

		buf_add(&b, "%s", all[c].head);
		json_object_foreach ((json_t *)(uintptr_t)layers[c].texts, key, value)
			if (!str_in(key, "target|runtime|attachment|path|workload|pacing|rate") &&
				tells_apart(all, x->cells_n, c, setting_find(key)))
				buf_add(&b, "/%s=%s", key, json_string_value(value));
		cell_name_set(&x->cells[c], b.data);
		for (size_t i = 0; rc == 0 && i < c; i++)
			if (!strcmp(x->cells[i].name, x->cells[c].name))
				rc = err_usage(e, "the cell %s is there twice", x->cells[ *at = c].name);
	}
	for (size_t c = 0; c < x->cells_n; c++)
		free(all[c].head);
	free(all);
	return rc;
}
