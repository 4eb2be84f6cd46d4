/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * stat: the histogram; estimators and tests on trial values.
 *
 * The replicate is the trial, never the transaction: every array here holds one figure per trial (or per
 * block), and no function takes transactions.  Transactions of one process and one connection resemble each
 * other, and a test that counts each as a witness finds differences between a machine and itself.
 *
 * Everything here is arithmetic on plain values: no I/O, no state.  Nothing fails; what is not defined is NaN
 * (an empty sample, a spread of one value, an interval that does not exist).  Arrays hold finite numbers
 * except where NaN is said to mean "missing".  Memory is only taken for working space and given back.  Sizes
 * are numbers of trials: tens, at most a few hundred.
 *
 * x, A, old are the baseline; y, B, new the other arm.  A shift is y − x, a ratio y / x.
 */
#pragma once

#include "base.h"
#include "hist.h"

/* --- one sample (describe.c, order.c) ---------------------------------------------------------- */

struct stat_summary {
	size_t n;
	double min, max, mean;
	double sd; /* n − 1 */
	double median;
	double mad_raw;    /* median |x − median| */
	double mad_scaled; /* divided by the 0.75 quantile of the normal: estimates its σ */
	double iqr;        /* type 7 */
	double shamos_raw; /* median of |xᵢ − xⱼ|, i < j (Shamos 1976) */
	double walsh_hl; /* median of the Walsh averages (xᵢ + xⱼ)/2, i ≤ j (Hodges and Lehmann 1963) */
};

void stat_describe(const double *x, size_t n, struct stat_summary *out);
double stat_mean(const double *x, size_t n);
double stat_sd(const double *x, size_t n);
double stat_median(const double *x, size_t n);
/* Hyndman and Fan's (1996) type 7: linear between order statistics at (n − 1)p; p in [0, 1]. */
double stat_quantile(const double *x, size_t n, double p);
/* Harrell and Davis (1982): order statistics, weighted by a Beta((n + 1)p, (n + 1)(1 − p)); p in (0, 1). */
double stat_quantile_hd(const double *x, size_t n, double p);

struct stat_interval {
	double low, high;
	double coverage; /* attained, which is at least what was asked for unless it says less; NaN without an
			    interval */
	size_t k; /* counted from each end of the sorted values it was taken from; 0 without an interval */
};

/*
 * The order statistics l and u (from 1) of n that enclose the quantile p with at least `confidence`, from the
 * binomial distribution; l = 0 or u = n + 1 means that there is none on that side.  Returns the attained
 * coverage.
 */
double stat_quantile_ranks(size_t n, double p, double confidence, size_t *l, size_t *u);
/* The same for the median of x, as values. */
struct stat_interval stat_median_interval(const double *x, size_t n, double confidence);
/* Clopper and Pearson's (1934) interval for a proportion, of k hits in n; for a loss, say. */
struct stat_interval stat_proportion_interval(size_t k, size_t n, double confidence);

/* Is the quantile p of a trial of n transactions worth printing (10 expected beyond it), and judging (90)? */
bool stat_quantile_printable(double p, uint64_t n);
bool stat_quantile_judgeable(double p, uint64_t n);
/* 90 and not the 100 that experiments ask for: a trial that was cut short by a little does not cost the
 * verdict. */
#define STAT_PRINTABLE_BEYOND 10
#define STAT_JUDGED_BEYOND    90
/* The fewest transactions of which so many are expected beyond the quantile p: ⌈beyond/(1 − p)⌉. */
uint64_t stat_quantile_least(double p, unsigned beyond);

/* --- paired: one difference per block (paired.c) ----------------------------------------------- */

struct stat_paired {
	size_t n, n_nonzero;
	double estimate; /* median of the n(n + 1)/2 Walsh averages */
	double sd;       /* of the differences, n − 1 */
	struct stat_interval ci95,
		ci90;  /* Walsh order statistics; k is never below 1: look at the coverage */
	double w_plus; /* signed-rank sum of the positive differences, midranks, zeros dropped */
	double p; /* exact, two-sided, given the ties (Wilcoxon 1945, Pratt and Gibbons 1981); 1 when all are
		     0 */
};

void stat_paired_estimate(const double *d, size_t n, struct stat_paired *out);
/* d = ln(b/a): as it is written, since y/x of equal fractions is equal to the last bit, and so are their
 * ranks. */
void stat_log_ratios(const double *a, const double *b, size_t n, double *d);
/* Holm (1979): adjusts the m p-values of a family in place. */
void stat_holm(double *p, size_t m);
/* Blocks for 80 % power against an effect of `ratio` (1.02), m primaries, σ_d of the log ratios; what can
 * pass at least. */
size_t stat_blocks_needed(double sd, double ratio, size_t m);
/* The effect that n blocks find with 80 % power, in the unit of sd; NaN when no p-value of n blocks passes
 * Holm over m. */
double stat_detectable(double sd, size_t n, size_t m);

/* --- two independent samples (twosample.c) ----------------------------------------------------- */

struct stat_mwu {
	double u_x, u_y; /* pairs with x > y (ties half), and with y > x */
	bool ties, exact;
	double p; /* two-sided, exact given the ties; above 200 values together p_normal_cc, and exact is
		     false */
	double p_double;          /* the smaller tail doubled: the same as p unless there are ties */
	double z, p_normal;       /* without and */
	double z_cc, p_normal_cc; /* with a correction for continuity; z is NaN when all values are equal */
};

void stat_mann_whitney(const double *x, size_t nx, const double *y, size_t ny, struct stat_mwu *out);

struct stat_shift {
	double estimate; /* Hodges-Lehmann: the median of all yⱼ − xᵢ */
	struct stat_interval
		ci; /* of the same differences (Moses; Hollander and Wolfe 1973); k is never below 1 */
};

struct stat_shift stat_shift(const double *x, size_t nx, const double *y, size_t ny, double confidence);
/* exp of the shift of the logarithms; NaN unless all values are positive. */
struct stat_shift stat_shift_ratio(const double *x, size_t nx, const double *y, size_t ny, double confidence);
/* P(y > x) + P(y = x)/2 (Vargha and Delaney 2000), and 2A − 1 (Cliff 1993). */
double stat_vargha_delaney(const double *x, size_t nx, const double *y, size_t ny);
double stat_cliff_delta(const double *x, size_t nx, const double *y, size_t ny);

/* --- spread (spread.c) ------------------------------------------------------------------------- */

struct stat_test {
	double statistic, p, df1, df2; /* NaN where not defined */
};

/* Brown and Forsythe (1974): F of the absolute deviations from each sample's median. */
struct stat_test stat_brown_forsythe(const double *x, size_t nx, const double *y, size_t ny);

/* Run-to-run determinism: the SD over the trials of a figure that each trial has one of (say, its median). */
struct stat_run_to_run {
	double sd_a, sd_b, ratio;
	struct stat_test
		test; /* Brown-Forsythe on the logarithms, or on the values when one is not positive */
	bool judged;  /* at least 20 trials on both sides; otherwise these are numbers only */
	bool differs; /* judged, p < 0.05 and the ratio at least 10 % away from 1 */
};

struct stat_run_to_run stat_run_to_run(const double *a, size_t na, const double *b, size_t nb);

/* --- classic tests, as second opinions (classic.c) --------------------------------------------- */

double stat_sign_test(const double *d, size_t n); /* exact two-sided p; zeros dropped */
/* Exact p of the mean under all 2ⁿ signs (Fisher 1935); NaN above 20 differences. */
double stat_sign_flip(const double *d, size_t n);
struct stat_test stat_student_paired(const double *d, size_t n);                     /* df2 = n − 1 */
struct stat_test stat_welch(const double *x, size_t nx, const double *y, size_t ny); /* of x − y */
struct stat_test stat_fligner_killeen(
	const double *x, size_t nx, const double *y, size_t ny); /* χ², df1 = 1 */
struct stat_test stat_kolmogorov_smirnov(
	const double *x, size_t nx, const double *y, size_t ny); /* exact p, no ties assumed */

/* --- a series in time (series.c) --------------------------------------------------------------- */

struct stat_warmup {
	size_t batches; /* of five values, cut from the start */
	size_t cut;     /* the same in values */
	double statistic;
	bool judged; /* from 100 values on; a shorter series cannot tell noise from a transient */
	bool steady; /* judged, and the best cut is not at half of the series */
};

/* MSER-5 (White, Cobb and Spratt 2000) on, say, the medians of a trial's windows. */
struct stat_warmup stat_mser5(const double *x, size_t n);

struct stat_change {
	size_t at;        /* the first value of the second part */
	double ratio;     /* of the medians of the parts, second by first */
	double statistic; /* 6K²/(m³ + m²), see series.c */
	bool judged;      /* from 100 values on */
	bool changed;
};

/* Does the level of a series of positive values change at one point (Pettitt 1979)? */
struct stat_change stat_change(const double *x, size_t n);

/* What both say of the stretch that was measured. */
enum stat_stretch {
	STAT_STRETCH_SHORT, /* too short to tell */
	STAT_STRETCH_SETTLED,
	STAT_STRETCH_SETTLING, /* by MSER-5 */
	STAT_STRETCH_CHANGED,  /* settled by MSER-5, but the level changes */
	STAT_STRETCHES
};

enum stat_stretch stat_stretch(const double *x, size_t n);
/* As in JSON: "too_short", … */
const char *stat_stretch_name(enum stat_stretch stretch);

/* Mann and Kendall: a drift over the trials (trend.c).  z and p are NaN when all values are equal. */
struct stat_trend {
	double s, variance, z, p;
};

struct stat_trend stat_mann_kendall(const double *x, size_t n);
/* ρ(0) … ρ(lags − 1), NaN of a constant (autocorrelation.c); Ljung and Box over lags 1 … lags, df1 = lags. */
void stat_autocorrelation(const double *x, size_t n, double *out, size_t lags);
struct stat_test stat_ljung_box(const double *x, size_t n, size_t lags);

/* Geyer's initial positive sequence: n_eff independent values are worth as much as these n. */
struct stat_worth {
	double tau, n_eff;
	size_t pairs;
};

struct stat_worth stat_effective_size(const double *x, size_t n);

/* E-divisive change points (changes.c): the first value behind each, its Q, and the p of its permutations. */
struct stat_split {
	size_t at;
	double q, p;
};

struct stat_changing {
	uint64_t seed;
	size_t rounds;
	double alpha;
};

/* At most `most`, in the order of the series; none of fewer than 8 values. */
size_t stat_changes(
	const double *x, size_t n, const struct stat_changing *how, struct stat_split *out, size_t most);
/* Q of the split before x[t]. */
double stat_energy_at(const double *x, size_t n, size_t t);

/* --- resampling (resample.c, band.c), stopping (precision.c) ----------------------------------- */

/* A figure of the units that were drawn, of one sample (n[1] = 0) or two. */
struct stat_resampling {
	double (*figure)(
		void *context, const size_t *first, size_t n_first, const size_t *second, size_t n_second);
	void *context;
	size_t n[2], rounds;
	uint64_t seed;
	double confidence;
};

struct stat_bootstrap {
	double estimate, sd, percentile[2], bca[2];
	double z0, acceleration, bca_at[2]; /* the quantiles at which bca lies */
};

/* replicates, in the order drawn, may be NULL. */
void stat_bootstrap(const struct stat_resampling *r, double *replicates, struct stat_bootstrap *out);

struct stat_band {
	double middle, low, high;
};

struct stat_banding {
	uint64_t seed;
	size_t rounds;
	double confidence;
};

/* curves[block · points + point], NaN where missing; out for each point; the ratio: b/a inside each block. */
void stat_bands(const double *curves, size_t blocks, size_t points, const struct stat_banding *how,
	struct stat_band *out);
void stat_bands_ratio(const double *a, const double *b, size_t blocks, size_t points,
	const struct stat_banding *how, struct stat_band *out);
/* Are these log ratios, one a block, enough for an estimate to within `precision` (0.02)?  Looks at no p. */
bool stat_precise(const double *log_ratios, size_t n, double precision);

/* --- modality (modality.c) --------------------------------------------------------------------- */

/* Do the values of ≥ 6 trials fall into two groups? */
bool stat_trials_bimodal(const double *x, size_t n);
/* Has the distribution two peaks about a quarter of an octave (19 %) apart or more, with 5 % of ≥ 1000 values
 * on either side? */
bool stat_hist_bimodal(const struct hist *h);

/* --- metrics and verdicts (metric.c, effect.c, cell.c, reason.c) ------------------------------- */

enum stat_metric {
	STAT_LATENCY_MEDIAN,
	STAT_LATENCY_MEAN,
	STAT_LATENCY_SD,
	STAT_LATENCY_IQR,
	STAT_LATENCY_P90,
	STAT_LATENCY_P99,
	STAT_LATENCY_P999,
	STAT_LATENCY_P9999,
	STAT_THROUGHPUT,
	STAT_THROUGHPUT_SD,
	STAT_LOSS,
	STAT_RATE,
	STAT_JITTER,
	STAT_CONNECT_MEDIAN,
	STAT_CONNECT_P99,
	STAT_FIRST_REPLY_MEDIAN,
	STAT_FIRST_REPLY_P99,
	STAT_BESIDE_THROUGHPUT,
	STAT_METRICS
};

enum stat_kind { STAT_REQUESTS, STAT_STREAM }; /* RR, CRR and ping; streams */

enum stat_unit { STAT_NS, STAT_BPS, STAT_PER_S, STAT_FRACTION };

/* What of a transaction: all of it, or a part of its service time where that has parts. */
enum stat_part { STAT_WHOLE, STAT_CONNECT, STAT_FIRST_REPLY };

struct stat_metric_row {
	const char *name;    /* as in JSON */
	const char *latency; /* of a latency: its key among the latencies of an arm in JSON; else NULL */
	const char *label;   /* in a table for people */
	const char *help;
	enum stat_unit unit; /* of its values */
	bool higher_is_better;
	bool primary[2]; /* by enum stat_kind */
	enum stat_part part;
	double quantile; /* of a tail, bound to stat_quantile_printable(); 0 otherwise */
	bool emulated;   /* judged on emulated machines, whose tails are the emulation's */
	bool binned;     /* read from the buckets of a histogram; the others come from exact sums */
	bool absolute;   /* its effect is a difference, and delta is one; otherwise a ratio, and delta a
			    fraction */
	double delta;    /* the least effect that is worth a verdict, unless the user says otherwise */
};

extern const struct stat_metric_row stat_metrics[STAT_METRICS];
/* -ENOENT for a name that is none. */
int stat_metric_find(const char *name, enum stat_metric *out);

#define STAT_ALPHA           0.05
#define STAT_INTERVAL_BLOCKS 6 /* below: numbers only */
#define STAT_VERDICT_BLOCKS  8 /* below: no verdict */

struct stat_deltas {
	double of[STAT_METRICS];
};

struct stat_deltas stat_deltas_default(void);

enum stat_verdict {
	STAT_NOT_ASSESSED,
	STAT_IMPROVED,
	STAT_REGRESSED,
	STAT_CHANGED_BELOW_THRESHOLD,
	STAT_EQUIVALENT,
	STAT_NO_DIFFERENCE_SHOWN,
	STAT_FACT, /* of the exact clock: nothing was inferred */
};

/* As in JSON: "not_assessed", … */
const char *stat_verdict_name(enum stat_verdict verdict);

/* Why there is no verdict. */
enum stat_reason {
	STAT_REASON_NONE,             /* there is one */
	STAT_REASON_FEW_FOR_INTERVAL, /* n_blocks is below STAT_INTERVAL_BLOCKS */
	STAT_REASON_FEW_FOR_VERDICT,  /* n_blocks is below STAT_VERDICT_BLOCKS */
	STAT_REASON_EXPLORATORY,      /* not in the family that is judged */
	STAT_REASON_SD_UNCONFIRMED,   /* nothing is known of the bulk that could confirm it */
	STAT_REASON_RARE_EXTREMES,    /* the bulk did not move as the SD did */
	STAT_REASON_FEW_TRANSACTIONS, /* too few `transactions` for a tail */
	STAT_REASON_EMULATED,         /* this metric is not judged on emulated machines; depends on `kind` */
	STAT_REASON_NO_VALUE,         /* of a fact: one of the values is missing */
	STAT_REASON_NOT_REPEATABLE,   /* of a fact: the trials of one arm differ */
	STAT_REASON_ARM_EXACT,        /* one of two arms is on the exact clock, the other is not */
	STAT_REASON_RUN_EXACT,        /* the same of two runs */
	STAT_REASON_RATE_MISSED,      /* the schedule was not kept: something else was measured */
	STAT_REASONS
};

/*
 * One metric of one arm against the baseline.  On a ratio scale (not `absolute`) estimate and intervals are
 * ratios and δ counts on the log scale, from 1/(1 + δ) to 1 + δ, so that to swap the arms turns every verdict
 * around; on a difference scale they are differences, ratio is NaN, and ±delta is in the metric's unit.  A
 * metric whose effect is a ratio falls back to differences when one of its values is 0, with δ as a fraction
 * of the baseline's median.
 */
struct stat_effect {
	enum stat_metric metric;
	bool primary;
	bool absolute;
	size_t n_blocks;          /* complete pairs; unpaired: the smaller number of trials */
	double ratio, difference; /* one of them, the other is NaN; of a fact both */
	double change;            /* (new − old)/old */
	double change_of_new;     /* (new − old)/new */
	double ci95[2], ci90[2];  /* NaN below STAT_INTERVAL_BLOCKS */
	double coverage;          /* attained by ci95 */
	double p;      /* exact; NaN below STAT_INTERVAL_BLOCKS.  Not for printing without the rest */
	double p_holm; /* NaN unless the metric belongs to the family that was judged */
	double mde;    /* found with 80 % power: a fraction, or a difference when absolute; NaN: none */
	double delta;  /* what the verdict was held against */
	enum stat_verdict verdict;
	enum stat_reason reason;         /* of STAT_NOT_ASSESSED, else STAT_REASON_NONE */
	enum stat_kind kind;             /* for the reason: of the cell; */
	uint64_t transactions;           /* the fewest of its trials */
	double shift, shift_ci90[2], sd; /* on the scale of the test: logarithms or differences */
};

/*
 * The trial values of one cell for two arms.  Paired: a[m][i] and b[m][i] are of block i, NaN where missing
 * (then that block does not count for m).  A metric that the cell has not got is NULL.
 */
struct stat_cell {
	enum stat_kind kind;
	bool unpaired;         /* from two files: exact Mann-Whitney and the Hodges-Lehmann ratio instead */
	bool emulated;         /* a machine of either arm was emulated: few metrics are judged then */
	uint64_t transactions; /* the fewest of any trial; bounds the tails */
	size_t n_a, n_b;       /* trials; equal when paired */
	const double *a[STAT_METRICS], *b[STAT_METRICS];
};

/*
 * Every metric the cell has, in the order of the table, with Holm over the primaries that can be judged and
 * the rule about SDs.  Returns how many.  deltas NULL means the table's.
 */
size_t stat_cell_compare(const struct stat_cell *cell, const struct stat_deltas *deltas,
	struct stat_effect effects[STAT_METRICS]);
/*
 * The false claims to be expected at most from so many families (cells × pairs of arms in which anything was
 * judged): Holm holds each of them to STAT_ALPHA, and nothing is adjusted across them.
 */
double stat_false_claims_expected(size_t families);
/* How many of these were judged, i.e. are in the Holm family: a family with none expects no false claim. */
size_t stat_effects_judged(const struct stat_effect *effects, size_t n);

/* The steps of stat_cell_compare(), for one metric: the numbers; then the verdict in a family of m, p_holm
 * being set. */
void stat_effect_measure(
	enum stat_metric metric, const double *a, const double *b, size_t n, struct stat_effect *out);
void stat_effect_measure_unpaired(
	enum stat_metric metric, const struct stat_cell *cell, struct stat_effect *out);
void stat_effect_judge(struct stat_effect *effect, size_t m);

#define STAT_REASON_MAX 128 /* bytes, as large as any of these sentences */
/* The reason as a sentence, "" for STAT_REASON_NONE; returns out. */
char *stat_effect_reason(const struct stat_effect *effect, char *out, size_t size);
/* The same, shorter, where what is left out stands above the table or below it. */
char *stat_effect_reason_note(const struct stat_effect *effect, char *out, size_t size);
/* Would both give the same sentence (of one cell)?  Tails of different quantiles are taken for the same. */
bool stat_effect_reason_same(const struct stat_effect *a, const struct stat_effect *b);

/* --- facts (fact.c) ---------------------------------------------------------------------------- */

/*
 * On a clock without noise one trial is the answer.  The effect of two values: ratio, difference and both
 * changes, verdict STAT_FACT, and nothing that would be inferred.  NaN where a value is missing: then it is
 * not assessed.
 */
void stat_effect_fact(enum stat_metric metric, double a, double b, const struct stat_deltas *deltas,
	struct stat_effect *out);
/* Is this a change to the worse that matters: judged so, or a fact of at least δ? */
bool stat_effect_worse(const struct stat_effect *effect);
