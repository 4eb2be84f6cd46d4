/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * When has an experiment measured enough?
 *
 * It may stop when the 95 % interval of the estimate (paired.c) is as narrow as was asked for: its ends no
 * further from the estimate than ln(1 + precision) on the log scale.  Where the interval lies is not looked
 * at: who stops as soon as 0 is outside finds a difference sooner or later where there is none.  The width
 * says nothing about on which side of 0 the estimate is, so the claims stay what they were, but intervals
 * that were looked at again and again are a little too narrow when the run stops; the least number of blocks
 * and looking only after every second one keep that small.
 */
#include "exact.h"

#include <math.h>

#define LEAST 10

bool stat_precise(const double *log_ratios, size_t n, double precision)
{
	struct stat_paired s;

	if (n < LEAST || n % 2)
		return false;
	stat_paired_estimate(log_ratios, n, &s);
	if (s.ci95.coverage < 0.95)
		return false;
	return MAX(s.ci95.high - s.estimate, s.estimate - s.ci95.low) <= log1p(precision);
}
