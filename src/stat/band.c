/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Bands around a curve that each block has one of: its quantiles, or the ratio of two arms at each of them.
 *
 * The curve is the median over the blocks, point by point.  The band comes from the bootstrap with the block
 * as its unit (see resample.c): the same blocks are drawn for all points, and for both arms of a ratio, since
 * the points of one block belong together.  Each point has the percentile interval of its own: the band holds
 * point by point and not for the whole curve at once, and with ten blocks it covers some 89 % where 95 % are
 * asked for. A ratio is taken inside the block and on the log scale, so that drift of the machine cancels.
 */
#include "exact.h"

#include <math.h>

/* Blocks without a value at this point (NaN) do not count for it. */
static double middle(
	const double *curves, size_t points, size_t at, const size_t *block, size_t n, double *room)
{
	size_t kept = 0;

	for (size_t i = 0; i < n; i++)
		if (isfinite(curves[block[i] * points + at]))
			room[kept++] = curves[block[i] * points + at];
	sort_values(room, kept);
	return kept ? (room[(kept - 1) / 2] + room[kept / 2]) / 2 : NAN;
}

static struct stat_band band_of(double estimate, double *replicates, size_t rounds, double confidence)
{
	size_t kept = 0;

	for (size_t i = 0; i < rounds; i++)
		if (isfinite(replicates[i]))
			replicates[kept++] = replicates[i];
	sort_values(replicates, kept);
	return (struct stat_band){estimate, sorted_quantile(replicates, kept, (1 - confidence) / 2),
		sorted_quantile(replicates, kept, (1 + confidence) / 2)};
}

void stat_bands(const double *curves, size_t blocks, size_t points, const struct stat_banding *how,
	struct stat_band *out)
{
	AUTO_FREE size_t *drawn = mem_array(blocks, sizeof(*drawn));
	AUTO_FREE double *room = mem_array(blocks, sizeof(*room));
	AUTO_FREE double *replicates = mem_array(points * how->rounds, sizeof(*replicates));
	uint64_t seed = how->seed;

	for (size_t i = 0; i < how->rounds; i++) {
		for (size_t b = 0; b < blocks; b++)
			drawn[b] = rng_below(&seed, (uint32_t)blocks);
		for (size_t p = 0; p < points; p++)
			replicates[p * how->rounds + i] = middle(curves, points, p, drawn, blocks, room);
	}
	for (size_t b = 0; b < blocks; b++)
		drawn[b] = b;
	for (size_t p = 0; p < points; p++)
		out[p] = band_of(middle(curves, points, p, drawn, blocks, room), replicates + p * how->rounds,
			how->rounds, how->confidence);
}

void stat_bands_ratio(const double *a, const double *b, size_t blocks, size_t points,
	const struct stat_banding *how, struct stat_band *out)
{
	AUTO_FREE double *logs = mem_array(blocks * points, sizeof(*logs));

	for (size_t i = 0; i < blocks * points; i++)
		logs[i] = a[i] > 0 && b[i] > 0 ? log(b[i] / a[i]) : NAN;
	stat_bands(logs, blocks, points, how, out);
	for (size_t p = 0; p < points; p++)
		out[p] = (struct stat_band){exp(out[p].middle), exp(out[p].low), exp(out[p].high)};
}
