/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Exact null distributions of rank statistics, by dynamic programming over the ranks.
 *
 * Under the null hypothesis each |difference| is as likely to be positive as negative, and each choice of k
 * out of n pooled values is as likely to be the first sample as any other.  Both give the whole distribution
 * of the rank sum by adding one rank at a time; nothing but positive numbers is ever added, so the
 * probabilities are good to the last few bits.  Ties are no obstacle: the midranks at hand are used, twice,
 * so that they are whole numbers, and the result is the distribution given those ties.
 */
#include "exact.h"

#include <math.h>

static int compare_values(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

void sort_values(double *x, size_t n)
{
	qsort(x, n, sizeof(*x), compare_values);
}

double *sorted_copy(const double *x, size_t n)
{
	double *copy = mem_array(n, sizeof(*copy));

	if (n)
		memcpy(copy, x, n * sizeof(*copy));
	sort_values(copy, n);
	return copy;
}

double double_midranks(const double *x, size_t n, uint32_t *ranks)
{
	AUTO_FREE double *sorted = sorted_copy(x, n);
	double ties = 0;

	for (size_t i = 0; i < n; i++) {
		uint32_t below = 0, equal = 0;

		for (size_t j = 0; j < n && sorted[j] <= x[i]; j++) {
			below += sorted[j] < x[i];
			equal += sorted[j] == x[i];
		}
		ranks[i] = 2 * below + equal + 1;
		/* Each of t values adds t² − 1, together t³ − t. */
		ties += (double)equal * equal - 1;
	}
	return ties;
}

double *signed_rank_distribution(const uint32_t *ranks, size_t n, size_t *len)
{
	size_t top = 0;

	for (size_t i = 0; i < n; i++)
		top += ranks[i];
	double *p = mem_array(top + 1, sizeof(*p));

	p[0] = 1;
	top = 0;
	for (size_t i = 0; i < n; i++) {
		top += ranks[i];
		for (size_t s = top + 1; s-- > ranks[i];)
			p[s] = (p[s] + p[s - ranks[i]]) / 2;
		for (size_t s = 0; s < ranks[i]; s++)
			p[s] /= 2;
	}
	*len = top + 1;
	return p;
}

double *rank_sum_distribution(const uint32_t *ranks, size_t n, size_t k, size_t *len)
{
	size_t width = 1;

	for (size_t i = 0; i < n; i++)
		width += ranks[i];
	/*
	 * p[j·width + s]: the probability that the first i ranks gave j of the k, with sum s.  The next one
	 * is drawn with probability (k − j)/(n − i).
	 */
	AUTO_FREE double *p = mem_array((k + 1) * width, sizeof(*p));
	size_t top = 0;

	p[0] = 1;
	for (size_t i = 0; i < n; i++) {
		top += ranks[i];
		for (size_t j = MIN(i + 1, k) + 1; j-- > 0;) {
			double stay = (double)(n - i) - (double)(k - j), left = (double)(n - i);
			double draw = (double)(k - j + 1);
			double *to = p + j * width;
			const double *from = j ? p + (j - 1) * width : NULL;

			stay = stay > 0 ? stay / left : 0;
			for (size_t s = top + 1; s-- > 0;) {
				to[s] *= stay;
				if (from && s >= ranks[i])
					to[s] += from[s - ranks[i]] * (draw / left);
			}
		}
	}
	double *out = mem_array(width, sizeof(*out));

	memcpy(out, p + k * width, width * sizeof(*out));
	*len = width;
	return out;
}

size_t tail_count(const double *probability, size_t len, double confidence, double *below)
{
	/* 2⁻ⁿ tails may be just (1 − confidence)/2: the factor keeps rounding out of that. */
	double limit = (1 - confidence) / 2 * (1 + 1e-12), sum = 0;
	size_t k = 0;

	while (k < len && sum + probability[k] <= limit)
		sum += probability[k++];
	*below = sum;
	return k;
}
