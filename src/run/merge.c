/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * libyaml resolves aliases: the same node then has several places.  It does not know merge keys.  A small
 * file can name itself, or name a mapping that names another one many times; so there is a limit to the depth
 * and to how much is looked at.
 */
#include "merge.h"

#define DEPTH_MAX 8
#define LOOKS_MAX 20000

static const char *word(const yaml_node_t *node)
{
	return node && node->type == YAML_SCALAR_NODE ? (const char *)node->data.scalar.value : NULL;
}

static int wrong(struct merged *m, const yaml_node_t *where, const char *why)
{
	m->where = where;
	m->why = why;
	return -EINVAL;
}

static bool is_merge(const yaml_node_t *key)
{
	return !strcmp(word(key), "<<") && key->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
}

static bool has(const struct merged *m, const char *key)
{
	for (size_t i = 0; i < m->n; i++)
		if (!strcmp(word(m->pairs[i].key), key))
			return true;
	return false;
}

/* Has the mapping itself the key, in a pair before `end`? */
static bool has_own(
	yaml_document_t *document, const yaml_node_t *map, const yaml_node_pair_t *end, const char *key)
{
	for (yaml_node_pair_t *pair = map->data.mapping.pairs.start; pair < end; pair++) {
		const char *own = word(yaml_document_get_node(document, pair->key));
		if (own && !strcmp(own, key))
			return true;
	}
	return false;
}

static int read_map(struct merged *m, yaml_document_t *document, const yaml_node_t *map, unsigned depth);

/* Takes over what the mapping does not have itself. */
static int take_over(struct merged *m, yaml_document_t *document, const yaml_node_t *map,
	const yaml_node_t *other, unsigned depth)
{
	struct merged from = {.looks = m->looks};

	if (!other || other->type != YAML_MAPPING_NODE)
		return wrong(m, other ? other : map, "<< must name a mapping or a list of mappings");
	if (depth >= DEPTH_MAX)
		return wrong(m, other, "<< is nested too deep, or names itself");
	int rc = read_map(&from, document, other, depth + 1);
	m->looks = from.looks;
	if (rc < 0)
		rc = wrong(m, from.where, from.why);
	for (size_t i = 0; rc == 0 && i < from.n; i++) {
		const char *key = word(from.pairs[i].key);
		if (has(m, key) || has_own(document, map, map->data.mapping.pairs.top, key))
			continue;
		m->pairs = mem_grow(m->pairs, m->n + 1, sizeof(*m->pairs));
		m->pairs[m->n++] = from.pairs[i];
	}
	merged_free(&from);
	return rc;
}

static int take_all(struct merged *m, yaml_document_t *document, const yaml_node_t *map,
	const yaml_node_t *value, unsigned depth)
{
	int rc = 0;

	if (!value || value->type != YAML_SEQUENCE_NODE)
		return take_over(m, document, map, value, depth);
	for (yaml_node_item_t *item = value->data.sequence.items.start;
		rc == 0 && item < value->data.sequence.items.top; item++)
		rc = take_over(m, document, map, yaml_document_get_node(document, *item), depth);
	return rc;
}

static int read_map(struct merged *m, yaml_document_t *document, const yaml_node_t *map, unsigned depth)
{
	int rc = 0;

	for (yaml_node_pair_t *pair = map->data.mapping.pairs.start;
		rc == 0 && pair < map->data.mapping.pairs.top; pair++) {
		yaml_node_t *key = yaml_document_get_node(document, pair->key),
			    *value = yaml_document_get_node(document, pair->value);
		if (++m->looks > LOOKS_MAX)
			return wrong(m, key, "too much is named by <<");
		if (!word(key) || !*word(key))
			return wrong(m, key, "a key must be a word");
		if (has_own(document, map, pair, word(key)))
			return wrong(m, key, "stands here twice");
		if (is_merge(key)) {
			rc = take_all(m, document, map, value, depth);
			continue;
		}
		m->pairs = mem_grow(m->pairs, m->n + 1, sizeof(*m->pairs));
		m->pairs[m->n++] = (struct merged_pair){key, value};
	}
	return rc;
}

int merged_read(struct merged *m, yaml_document_t *document, const yaml_node_t *map)
{
	return read_map(m, document, map, 0);
}

void merged_free(struct merged *m)
{
	free(m->pairs);
	m->pairs = NULL;
	m->n = 0;
}
