/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the files of this module share: sorting, midranks, exact null distributions, effects. */
#pragma once

#include "stat.h"

void sort_values(double *x, size_t n);
double *sorted_copy(const double *x, size_t n); /* malloc'd */
double sorted_quantile(const double *sorted, size_t n, double p);
/*
 * Twice the midrank of every value (so that it is whole) into ranks, which may not be NULL; returns Σ(t³ − t)
 * over the groups of t equal values, 0 without ties.
 */
double double_midranks(const double *x, size_t n, uint32_t *ranks);
/*
 * P(S = s), s = 0..Σranks, where S is the sum of those ranks whose fair coin falls heads: malloc'd, *len
 * entries.
 */
double *signed_rank_distribution(const uint32_t *ranks, size_t n, size_t *len);
/* P(S = s) where S is the sum of k of the n ranks, drawn without replacement: malloc'd, *len entries. */
double *rank_sum_distribution(const uint32_t *ranks, size_t n, size_t k, size_t *len);
/* The largest k ≥ 0 with P(S ≤ k − 1) ≤ (1 − confidence)/2; *below is that probability. */
size_t tail_count(const double *probability, size_t len, double confidence, double *below);

/* effect.c: an effect without any number yet; what its shift must reach to matter. */
struct stat_effect stat_effect_none(enum stat_metric metric);
double stat_effect_threshold(const struct stat_effect *e);
