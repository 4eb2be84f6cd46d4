/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The pairs of a mapping with those that it takes over from others (YAML's merge key, <<). */
#pragma once

#include "base/base.h"

#include <yaml.h>

struct merged {
	struct merged_pair {
		yaml_node_t *key, *value;
	} * pairs;
	size_t n;
	size_t looks;             /* so far */
	const yaml_node_t *where; /* of what is wrong */
	const char *why;
};

/*
 * What << names stands in its place: a mapping, or a list of mappings of which an earlier one wins.  A key
 * that the mapping has itself wins over both.  −EINVAL with where and why when something is wrong: a key that
 * is no word or stands there twice, a << that names something else or too much.  `m` begins as zero.
 */
int merged_read(struct merged *m, yaml_document_t *document, const yaml_node_t *map);
void merged_free(struct merged *m);
