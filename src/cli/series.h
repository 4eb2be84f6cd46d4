/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include "cli.h"

struct series;
struct series *series_new(void);
void series_free(struct series *s);
/* Adds the document of a run, which it steals. */
void series_add(struct series *s, json_t *run);
size_t series_n(const struct series *s);
json_t *series_json(const struct series *s); /* taut.runs/1: a new reference */
void series_text(const struct series *s, struct buf *b);
