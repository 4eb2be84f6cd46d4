/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Two questions to a series in time.
 *
 * Where does the warm-up end?  MSER-5 takes means of five values and cuts as many of them from the start as
 * minimise the squared standard error of the mean of the rest: cutting a transient makes the rest narrower,
 * cutting more only makes it shorter.  At most half may be cut; that the best cut
 * lies there says that the series had not settled.  Noise alone does that, too, when the series is short: in
 * simulations in 40 % of the series of 4 means, 10 % of 10, 3 to 5 % of 20 and at most 2 % of 40, so that
 * nothing is said below 20.
 *
 * Does the level change?  MSER-5 sees what has not settled at the start, and nothing of what happens later.
 * Pettitt's test (1979, Applied Statistics 28, 126-135) asks for one change at a place that is not known:
 * U(t) counts, over all pairs of a value up to t and one behind it, which of them is larger; K is the largest
 * |U(t)|, and under no change P(K >= k) is about 2 exp(-6k²/(m³ + m²)).  It works on ranks, so a few extreme
 * values do not matter.  It takes the values for independent, and windows that follow one another are not
 * quite: so what is ranked are the medians of groups, CHANGE_GROUPS_MAX at most and of five windows at
 * least, and the limit stands far out.  The simulation in tests/unit/test_steady.c holds how often it finds a
 * change where there is none.  A change is one of the median by CHANGE_LEAST or more; a smaller one is not
 * worth a word.  Of a trial in which the level goes to and fro only the largest step counts.
 */
#include "exact.h"

#include <math.h>

#define BATCH          5
#define JUDGED_BATCHES 20

#define CHANGE_GROUPS_MAX 40
#define CHANGE_LIMIT      5.3  /* 2 exp(-5.3) is 1 % */
#define CHANGE_LEAST      1.05 /* or 1/1.05 */

struct stat_warmup stat_mser5(const double *x, size_t n)
{
	struct stat_warmup best = {.statistic = NAN};
	size_t m = n / BATCH;
	AUTO_FREE double *means = mem_array(m, sizeof(*means));

	for (size_t i = 0; i < m; i++)
		means[i] = stat_mean(x + i * BATCH, BATCH);
	for (size_t cut = 0; m && cut <= m / 2; cut++) {
		size_t rest = m - cut;
		double mean = stat_mean(means + cut, rest), squares = 0;

		for (size_t i = cut; i < m; i++)
			squares += (means[i] - mean) * (means[i] - mean);
		double error = squares / ((double)rest * (double)rest);

		if (!cut || error < best.statistic)
			best = (struct stat_warmup){.batches = cut, .cut = cut * BATCH, .statistic = error};
	}
	best.judged = m >= JUDGED_BATCHES;
	best.steady = best.judged && best.batches < m / 2;
	return best;
}

/* The place of the largest |U(t)|, in groups, and that maximum. */
static size_t largest_step(const double *x, size_t n, double *k)
{
	double u = 0;
	size_t at = 0;

	*k = 0;
	for (size_t t = 0; t + 1 < n; t++) {
		/* U(t) = U(t - 1) + sum over all j of sign(x[t] - x[j]) */
		for (size_t j = 0; j < n; j++)
			u += (double)(x[t] > x[j]) - (double)(x[t] < x[j]);
		if (fabs(u) > *k) {
			*k = fabs(u);
			at = t + 1;
		}
	}
	return at;
}

struct stat_change stat_change(const double *x, size_t n)
{
	size_t size = MAX((size_t)BATCH, (n + CHANGE_GROUPS_MAX - 1) / CHANGE_GROUPS_MAX), groups = n / size;
	struct stat_change change = {.ratio = NAN, .statistic = NAN, .judged = n >= BATCH * JUDGED_BATCHES};
	double medians[CHANGE_GROUPS_MAX], k, m = (double)groups;

	if (!change.judged)
		return change;
	for (size_t i = 0; i < groups; i++)
		medians[i] = stat_median(x + i * size, size);
	size_t at = largest_step(medians, groups, &k);
	if (!at) /* all the same */
		return change;
	change.at = at * size;
	change.statistic = 6 * k * k / (m * m * m + m * m);
	change.ratio = stat_median(medians + at, groups - at) / stat_median(medians, at);
	change.changed = change.statistic >= CHANGE_LIMIT &&
			 (change.ratio >= CHANGE_LEAST || change.ratio <= 1 / CHANGE_LEAST);
	return change;
}

enum stat_stretch stat_stretch(const double *x, size_t n)
{
	struct stat_warmup warmup = stat_mser5(x, n);

	if (!warmup.judged)
		return STAT_STRETCH_SHORT;
	if (!warmup.steady)
		return STAT_STRETCH_SETTLING;
	return stat_change(x, n).changed ? STAT_STRETCH_CHANGED : STAT_STRETCH_SETTLED;
}

const char *stat_stretch_name(enum stat_stretch stretch)
{
	static const char *const names[STAT_STRETCHES] = {
		[STAT_STRETCH_SHORT] = "too_short",
		[STAT_STRETCH_SETTLED] = "settled",
		[STAT_STRETCH_SETTLING] = "settling",
		[STAT_STRETCH_CHANGED] = "changed",
	};

	return names[stretch];
}
