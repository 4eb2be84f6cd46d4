/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Two groups instead of one spread: a median between two modes describes nothing that happens, and a ratio of
 * medians is then a matter of which mode won.  These are flags, not tests: they send the reader to the
 * picture.
 *
 * Trial values: the widest gap in the sorted logarithms, between groups of at least two (a fifth), measured
 * in SDs inside the groups.  The bar was set by simulation (20 000 samples of each size): normal, lognormal,
 * exponential, uniform, t(3) and Pareto(1.5) values pass it in at most about 1 % of the samples of 6 to 30.
 * It is max(4, 68/n): a few values leave wide gaps.  A gap under 5 % is not worth a flag whatever its SDs.
 *
 * A histogram: a valley with a peak on either side at least twice as dense, five standard errors of counting
 * apart, and 5 % of all values beyond the valley on both sides.  Density is counts per ns over three
 * sixteenths of an octave (13 to 25 %), and not looked at below 576 ns, where that gets narrower than two
 * ticks of a coarse clock: ticks would look like modes.  Modes closer than such a window merge into one.
 */
#include "exact.h"

#include <math.h>

#define TRIALS_LEAST 6
#define GAP_LEAST    0.04879016416943205 /* ln 1.05 */

#define VALUES_LEAST 1000
#define PER_BIN      8 /* buckets: 1/16 octave */
#define BINS         (HIST_BUCKETS / PER_BIN)
#define FIRST_BIN    50 /* hist_bucket(576) / PER_BIN */
#define MASS_LEAST   0.05
#define DEPTH_LEAST  2
#define ERRORS_LEAST 5

static double squares(const double *x, size_t n)
{
	double sd = stat_sd(x, n);

	return sd * sd * (double)(n - 1);
}

bool stat_trials_bimodal(const double *x, size_t n)
{
	AUTO_FREE double *sorted = sorted_copy(x, n);
	size_t least = MAX(n / 5, (size_t)2);
	double bar = MAX(4.0, 68.0 / (double)n);

	if (n < TRIALS_LEAST || !(sorted[0] > 0))
		return false;
	for (size_t i = 0; i < n; i++)
		sorted[i] = log(sorted[i]);
	for (size_t i = least; i + least <= n; i++) {
		double gap = sorted[i] - sorted[i - 1];
		double inside = squares(sorted, i) + squares(sorted + i, n - i);

		if (gap >= GAP_LEAST && gap >= bar * sqrt(inside / (double)(n - 2)))
			return true;
	}
	return false;
}

struct bin {
	double count, width; /* of this bin and its neighbours */
	double below;        /* values before the middle of this bin */
};

static void fill_bins(const struct hist *h, struct bin *bins)
{
	double below = 0;

	for (unsigned i = 0; i < BINS; i++) {
		unsigned from = i ? (i - 1) * PER_BIN : 0, to = MIN((i + 2) * PER_BIN, HIST_BUCKETS - 1);
		double own = 0;

		bins[i].count = 0;
		for (unsigned b = from; b < to; b++) {
			bins[i].count += (double)h->buckets[b];
			own += b / PER_BIN == i ? (double)h->buckets[b] : 0;
		}
		bins[i].width = (double)(hist_bucket_low(to) - hist_bucket_low(from));
		bins[i].below = below + own / 2;
		below += own;
	}
}

static bool towers_over(const struct bin *peak, const struct bin *valley)
{
	double high = peak->count / peak->width, low = valley->count / valley->width;

	if (high < DEPTH_LEAST * low)
		return false;
	/* One more count for the valley, whose true rate is not 0 because nothing was seen. */
	double error = sqrt(peak->count / (peak->width * peak->width) +
			    (valley->count + 1) / (valley->width * valley->width));

	return high - low >= ERRORS_LEAST * error;
}

bool stat_hist_bimodal(const struct hist *h)
{
	AUTO_FREE struct bin *bins = mem_array(BINS, sizeof(*bins));
	double n = (double)h->count;

	if (h->count < VALUES_LEAST)
		return false;
	fill_bins(h, bins);
	for (unsigned valley = FIRST_BIN + 1; valley + 1 < BINS; valley++) {
		bool before = false, after = false;

		if (bins[valley].below < MASS_LEAST * n || bins[valley].below > (1 - MASS_LEAST) * n)
			continue;
		for (unsigned i = FIRST_BIN; i < valley && !before; i++)
			before = towers_over(&bins[i], &bins[valley]);
		for (unsigned i = valley + 1; i < BINS && before && !after; i++)
			after = towers_over(&bins[i], &bins[valley]);
		if (after)
			return true;
	}
	return false;
}
