/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Where does the warm-up end?  MSER-5 takes means of five values and cuts as many of them from the start as
 * minimise the squared standard error of the mean of the rest: cutting a transient makes the rest narrower,
 * cutting more only makes it shorter.  At most half may be cut; that the best cut
 * lies there says that the series had not settled.  Noise alone does that, too, when the series is short: in
 * simulations in 40 % of the series of 4 means, 10 % of 10, 3 to 5 % of 20 and at most 2 % of 40, so that
 * nothing is said below 20.
 */
#include "exact.h"

#include <math.h>

#define BATCH          5
#define JUDGED_BATCHES 20

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
	best.steady = !best.judged || best.batches < m / 2;
	return best;
}
