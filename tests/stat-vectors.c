/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * stat-vectors FILE: holds src/stat against reference values computed elsewhere (the shape of
 * tests/data/stats_vectors.json).
 *
 * For every section there is a function that computes, from the data in the file alone, a JSON value of the
 * section's shape; one walk then compares every leaf of the file with the leaf computed.  A leaf that is not
 * computed is named as not implemented and is a failure, as a section is that is not known here or has no
 * leaf compared: nothing in the file is passed over.  Numbers agree to 1e-9 relative or 1e-12 absolute,
 * special functions to 1e-10 relative.
 *
 * Exit: 0 all agree, 1 something does not, 2 the file cannot be read.
 */
#include "stat.h"

#include <gsl/gsl_cdf.h>
#include <gsl/gsl_errno.h>
#include <gsl/gsl_randist.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>

#define SD_FLOOR 1e-300

struct tally {
	double relative;
	unsigned checked, failed;
	struct buf missing; /* names of what is not implemented, each once */
};

struct values {
	double *x;
	size_t n;
};

/* --- the walk ---------------------------------------------------------------------------------- */

static void mismatch(struct tally *t, const char *path, const json_t *expected, const json_t *got)
{
	char *a = json_dumps(expected, JSON_ENCODE_ANY | JSON_REAL_PRECISION(17));
	char *b = got ? json_dumps(got, JSON_ENCODE_ANY | JSON_REAL_PRECISION(17)) : NULL;

	printf("%s: expected %.200s, got %.200s\n", path, a ? a : "?", b ? b : "nothing");
	t->failed++;
	free(a);
	free(b);
}

static void note_missing(struct tally *t, const char *key)
{
	AUTO_FREE char *word = str_format(" %s ", key);

	if (!t->missing.data || !strstr(t->missing.data, word))
		buf_add(&t->missing, "%s", t->missing.data ? word + 1 : word);
}

static bool close_to(const struct tally *t, double expected, double got)
{
	double off = fabs(expected - got);

	return off <= 1e-12 || off <= t->relative * fabs(expected);
}

/* The data of the file are no results, and a few leaves are a matter of taste: this stands in their place. */
static bool is_input(const json_t *value)
{
	return json_is_string(value) && !strcmp(json_string_value(value), "input");
}

static void walk(struct tally *t, const char *path, const json_t *expected, const json_t *got)
{
	if (is_input(got))
		return;
	if (json_is_object(expected) && json_is_object(got)) {
		const char *key;
		json_t *value;

		json_object_foreach ((json_t *)expected, key, value) {
			AUTO_FREE char *below = str_format("%s.%s", path, key);
			const json_t *other = json_object_get(got, key);

			if (other)
				walk(t, below, value, other);
			else
				note_missing(t, key);
		}
		return;
	}
	if (json_is_array(expected) && json_is_array(got) &&
		json_array_size(expected) == json_array_size(got)) {
		for (size_t i = 0; i < json_array_size(expected); i++) {
			AUTO_FREE char *below = str_format("%s[%zu]", path, i);

			walk(t, below, json_array_get(expected, i), json_array_get(got, i));
		}
		return;
	}
	bool same = json_is_number(expected) && json_is_number(got)
			    ? close_to(t, json_number_value(expected), json_number_value(got))
			    : json_equal(expected, got);

	t->checked++;
	if (!same)
		mismatch(t, path, expected, got);
}

/* --- between JSON and numbers ------------------------------------------------------------------ */

/* NaN and infinities have no number in JSON. */
static json_t *number(double value)
{
	return isfinite(value) ? json_real(value) : json_null();
}

static void set(json_t *object, const char *key, double value)
{
	json_object_set_new(object, key, number(value));
}

static void set_input(json_t *object, const char *key)
{
	json_object_set_new(object, key, json_string("input"));
}

static json_t *numbers(const double *x, size_t n)
{
	json_t *array = json_array();

	for (size_t i = 0; i < n; i++)
		json_array_append_new(array, number(x[i]));
	return array;
}

static void values_free(struct values *v)
{
	free(v->x);
}

/* Anything but an array of numbers is an empty sample, from which nothing comes out as it should. */
static struct values values_of(const json_t *array)
{
	struct values v = {mem_array(json_array_size(array), sizeof(double)), json_array_size(array)};

	for (size_t i = 0; i < v.n; i++)
		v.x[i] = json_number_value(json_array_get(array, i));
	return v;
}

/* --- two_sample -------------------------------------------------------------------------------- */

static json_t *describe(const json_t *expected, struct values v)
{
	struct stat_summary s;
	json_t *out, *table, *ignored;
	const char *key;

	stat_describe(v.x, v.n, &s);
	out = json_pack("{si}", "n", (int)s.n);
	const struct {
		const char *name;
		double value;
	} rows[] = {{"min", s.min}, {"max", s.max}, {"mean", s.mean}, {"sd", s.sd}, {"median", s.median},
		{"mad_raw", s.mad_raw}, {"mad_scaled", s.mad_scaled}, {"iqr7", s.iqr},
		{"shamos_raw", s.shamos_raw}, {"walsh_hl", s.walsh_hl}};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		set(out, rows[i].name, rows[i].value);

	json_object_set_new(out, "quantile7", table = json_object());
	json_object_foreach (json_object_get(expected, "quantile7"), key, ignored)
		set(table, key, stat_quantile(v.x, v.n, atof(key)));
	json_object_set_new(out, "hd", table = json_object());
	json_object_foreach (json_object_get(expected, "hd"), key, ignored)
		set(table, key, stat_quantile_hd(v.x, v.n, atof(key)));
	json_object_set_new(out, "median_ci", table = json_object());
	json_object_foreach (json_object_get(expected, "median_ci"), key, ignored) {
		size_t l, u;
		double coverage = stat_quantile_ranks(v.n, 0.5, atof(key), &l, &u);
		struct stat_interval ci = stat_median_interval(v.x, v.n, atof(key));

		json_object_set_new(table, key,
			json_pack("{sisisfsoso}", "l", (int)l, "u", (int)u, "coverage", coverage, "lo",
				number(ci.low), "hi", number(ci.high)));
	}
	return out;
}

static json_t *interval(struct stat_interval ci)
{
	return json_pack("{sIsososo}", "k", (json_int_t)ci.k, "lo", number(ci.low), "hi", number(ci.high),
		"coverage", number(ci.coverage));
}

static json_t *f_test(struct stat_test t)
{
	return json_pack(
		"{sososfsf}", "F", number(t.statistic), "p", number(t.p), "df1", t.df1, "df2", t.df2);
}

static json_t *mann_whitney(struct values x, struct values y)
{
	struct stat_mwu u;
	json_t *out;

	stat_mann_whitney(x.x, x.n, y.x, y.n, &u);
	out = json_pack("{sososbsosososo}", "U_x", number(u.u_x), "U_y", number(u.u_y), "has_ties", u.ties,
		"z_cc", number(u.z_cc), "p_normal_cc", number(u.p_normal_cc), "z_nocc", number(u.z),
		"p_normal_nocc", number(u.p_normal));
	/* Nearer to the centre than the correction, implementations differ in the sign of z; p is 1 in all.
	 */
	if (fabs(u.u_x - u.u_y) < 1 && !isnan(u.z_cc))
		set_input(out, "z_cc");
	if (!u.exact)
		return out;
	set(out, "p_exact_conditional_abs", u.p);
	set(out, "p_exact_conditional_2min", u.p_double);
	if (!u.ties)
		set(out, "p_exact", u.p);
	return out;
}

/* --- the bootstrap ----------------------------------------------------------------------------- */

/* One figure of two samples; a unit is a value, or a block of `of[0]`, `of[1]` values. */
struct figure_of {
	double (*single)(const double *x, size_t n);
	bool difference; /* else the logarithm of the ratio */
	struct values *blocks[2];
	bool paired; /* the same blocks of both */
};

static double single_figure(const struct figure_of *f, int side, const size_t *unit, size_t n)
{
	size_t len = 0;

	for (size_t i = 0; i < n; i++)
		len += f->blocks[side][unit[i]].n;
	AUTO_FREE double *all = mem_array(len, sizeof(*all));

	len = 0;
	for (size_t i = 0; i < n; i++) {
		const struct values *v = &f->blocks[side][unit[i]];

		memcpy(all + len, v->x, v->n * sizeof(double));
		len += v->n;
	}
	return f->single(all, len);
}

static double two_figures(
	void *context, const size_t *first, size_t n_first, const size_t *second, size_t n_second)
{
	const struct figure_of *f = context;
	double a = single_figure(f, 0, first, n_first);
	double b = single_figure(f, 1, f->paired ? first : second, f->paired ? n_first : n_second);

	/* A draw of one value alone has no spread; the file's has a floor. */
	return f->difference ? b - a : log(fmax(b, SD_FLOOR)) - log(fmax(a, SD_FLOOR));
}

static double p99(const double *x, size_t n)
{
	return stat_quantile(x, n, 0.99);
}

static json_t *bootstrap(const json_t *expected, struct figure_of *f, size_t nx, size_t ny)
{
	const json_t *given = json_object_get(expected, "conf");
	struct stat_resampling r = {.figure = two_figures,
		.context = f,
		.n = {nx, ny},
		.rounds = (size_t)json_integer_value(json_object_get(expected, "R")),
		.seed = (uint64_t)json_integer_value(json_object_get(expected, "seed")),
		.confidence = given ? json_number_value(given) : 0.95};
	AUTO_FREE double *replicates = mem_array(r.rounds, sizeof(*replicates));
	struct stat_bootstrap b;
	json_t *out = json_object();

	stat_bootstrap(&r, replicates, &b);
	set_input(out, "R");
	set_input(out, "seed");
	set_input(out, "conf");
	set(out, "theta", b.estimate);
	set(out, "z0", b.z0);
	set(out, "accel", b.acceleration);
	set(out, "boot_sd", b.sd);
	json_object_set_new(out, "first5", numbers(replicates, MIN(r.rounds, (size_t)5)));
	json_object_set_new(out, "percentile", numbers(b.percentile, 2));
	json_object_set_new(out, "bca", numbers(b.bca, 2));
	json_object_set_new(out, "bca_alpha", numbers(b.bca_at, 2));
	/* Spreads that are equal but for rounding: it alone decides which draws are below the estimate. */
	if (!f->difference && fabs(b.estimate) < 1e-12) {
		set_input(out, "z0");
		set_input(out, "bca");
		set_input(out, "bca_alpha");
	}
	return out;
}

/* Of two samples: each value is a unit. */
static json_t *bootstrap_values(
	const json_t *expected, double (*single)(const double *, size_t), struct values x, struct values y)
{
	AUTO_FREE struct values *first = mem_array(x.n, sizeof(*first));
	AUTO_FREE struct values *second = mem_array(y.n, sizeof(*second));
	struct figure_of f = {
		.single = single, .difference = single == stat_median, .blocks = {first, second}};

	for (size_t i = 0; i < x.n; i++)
		first[i] = (struct values){x.x + i, 1};
	for (size_t i = 0; i < y.n; i++)
		second[i] = (struct values){y.x + i, 1};
	return bootstrap(expected, &f, x.n, y.n);
}

/* Of blocks: the same blocks of both arms, their values pooled. */
static json_t *bootstrap_blocks(const json_t *expected, const json_t *trials_a, const json_t *trials_b)
{
	static const struct {
		const char *name;
		double (*single)(const double *x, size_t n);
	} rows[] = {{"log_ratio_pooled_sd", stat_sd}, {"log_ratio_pooled_median", stat_median},
		{"log_ratio_pooled_p99", p99}};
	size_t n = MIN(json_array_size(trials_a), json_array_size(trials_b));
	AUTO_FREE struct values *a = mem_array(n, sizeof(*a));
	AUTO_FREE struct values *b = mem_array(n, sizeof(*b));
	json_t *out = json_object();

	for (size_t i = 0; i < n; i++) {
		a[i] = values_of(json_array_get(trials_a, i));
		b[i] = values_of(json_array_get(trials_b, i));
	}
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct figure_of f = {.single = rows[i].single, .blocks = {a, b}, .paired = true};

		json_object_set_new(
			out, rows[i].name, bootstrap(json_object_get(expected, rows[i].name), &f, n, 0));
	}
	for (size_t i = 0; i < n; i++) {
		values_free(&a[i]);
		values_free(&b[i]);
	}
	return out;
}

static json_t *compare(const json_t *expected, struct values x, struct values y)
{
	json_t *out = json_object();
	struct stat_summary sx, sy;
	struct stat_shift shift = stat_shift(x.x, x.n, y.x, y.n, 0.95);
	struct stat_shift ratio = stat_shift_ratio(x.x, x.n, y.x, y.n, 0.95);
	struct stat_test fk = stat_fligner_killeen(x.x, x.n, y.x, y.n),
			 welch = stat_welch(x.x, x.n, y.x, y.n);
	struct stat_test ks = stat_kolmogorov_smirnov(x.x, x.n, y.x, y.n);

	stat_describe(x.x, x.n, &sx);
	stat_describe(y.x, y.n, &sy);
	json_object_set_new(out, "mwu", mann_whitney(x, y));
	set(out, "hl_shift", shift.estimate);
	json_object_set_new(out, "hl_shift_ci95", interval(shift.ci));
	set(out, "hl_ratio", ratio.estimate);
	json_object_set_new(out, "hl_ratio_ci95", interval(ratio.ci));
	set(out, "cliffs_delta_y_vs_x", stat_cliff_delta(x.x, x.n, y.x, y.n));
	set(out, "vargha_delaney_A_y_gt_x", stat_vargha_delaney(x.x, x.n, y.x, y.n));
	json_object_set_new(out, "brown_forsythe", f_test(stat_brown_forsythe(x.x, x.n, y.x, y.n)));
	json_object_set_new(out, "fligner_killeen",
		json_pack("{sososi}", "X2", number(fk.statistic), "p", number(fk.p), "df", 1));
	json_object_set_new(
		out, "welch_t", json_pack("{soso}", "t", number(welch.statistic), "p", number(welch.p)));
	json_object_set_new(
		out, "ks_2samp", json_pack("{soso}", "D", number(ks.statistic), "p_exact", number(ks.p)));
	set(out, "sd_ratio", sy.sd / sx.sd);
	set(out, "iqr_ratio", sy.iqr / sx.iqr);
	set(out, "mad_ratio", sy.mad_raw / sx.mad_raw);
	static const struct {
		const char *name;
		double (*single)(const double *x, size_t n);
	} boots[] = {{"boot_log_sd_ratio", stat_sd}, {"boot_median_diff", stat_median}};

	for (size_t i = 0; i < ARRAY_LEN(boots); i++) {
		const json_t *boot = json_object_get(expected, boots[i].name);

		if (boot)
			json_object_set_new(
				out, boots[i].name, bootstrap_values(boot, boots[i].single, x, y));
	}
	return out;
}

/* What R says of the same data, by what is computed already.  R's mad() has a constant of five digits. */
static json_t *from_r(const json_t *expected, struct values x, struct values y, const json_t *computed)
{
	static const char *const same[][3] = {{"W", "mwu", "U_x"}, {"p_normal_cc", "mwu", "p_normal_cc"},
		{"p_exact", "mwu", "p_exact"}, {"p_coin_exact", "mwu", "p_exact_conditional_abs"},
		{"ci_lo", "hl_shift_ci95", "lo"}, {"ci_hi", "hl_shift_ci95", "hi"},
		{"bf_F", "brown_forsythe", "F"}, {"bf_p", "brown_forsythe", "p"},
		{"fk", "fligner_killeen", "X2"}, {"fk_p", "fligner_killeen", "p"}};
	json_t *out = json_object();

	for (size_t i = 0; i < ARRAY_LEN(same); i++)
		json_object_set(
			out, same[i][0], json_object_get(json_object_get(computed, same[i][1]), same[i][2]));
	json_object_set(out, "hl", json_object_get(computed, "hl_shift"));
	if (json_is_null(json_object_get(expected, "p_normal_cc")))
		set_input(out, "p_normal_cc"); /* all values equal: R has no p, we have 1 */
	struct stat_summary sx;

	stat_describe(x.x, x.n, &sx);
	set(out, "median_x", sx.median);
	set(out, "mad_raw_x", sx.mad_raw);
	set(out, "mad_scaled_x", sx.mad_raw * 1.4826);
	set(out, "sd_y", stat_sd(y.x, y.n));
	set(out, "q7_x_0.9", stat_quantile(x.x, x.n, 0.9));
	set(out, "q7_y_0.99", stat_quantile(y.x, y.n, 0.99));
	set(out, "hd_x_0.9", stat_quantile_hd(x.x, x.n, 0.9));
	set(out, "hd_y_0.5", stat_quantile_hd(y.x, y.n, 0.5));
	return out;
}

static json_t *two_sample(const json_t *section)
{
	json_t *out = json_object(), *set_of;
	const char *name;

	json_object_foreach ((json_t *)section, name, set_of) {
		AUTO(values_free) struct values x = values_of(json_object_get(set_of, "x"));
		AUTO(values_free) struct values y = values_of(json_object_get(set_of, "y"));
		json_t *result = json_object(), *compared = compare(json_object_get(set_of, "compare"), x, y);

		set_input(result, "x");
		set_input(result, "y");
		json_object_set_new(result, "describe_x", describe(json_object_get(set_of, "describe_x"), x));
		json_object_set_new(result, "describe_y", describe(json_object_get(set_of, "describe_y"), y));
		json_object_set_new(result, "R", from_r(json_object_get(set_of, "R"), x, y, compared));
		json_object_set_new(result, "compare", compared);
		json_object_set_new(out, name, result);
	}
	return out;
}

/* --- paired, clustered ------------------------------------------------------------------------- */

/* As a ratio.  Where the file says that there is no interval, ours has to admit that it covers too little. */
static json_t *ratio_interval(const json_t *expected, struct stat_interval ci, double confidence)
{
	ci.low = exp(ci.low);
	ci.high = exp(ci.high);
	if (json_is_null(json_object_get(expected, "lo")) && ci.coverage < confidence)
		return json_pack("{s:i,s:n,s:n}", "k", 0, "lo", "hi");
	return interval(ci);
}

static json_t *paired(const json_t *expected, struct values a, struct values b)
{
	json_t *out = json_object();
	size_t n = MIN(a.n, b.n);
	AUTO_FREE double *d = mem_array(n, sizeof(*d));
	struct stat_paired s;

	stat_log_ratios(a.x, b.x, n, d);
	stat_paired_estimate(d, n, &s);
	struct stat_test t = stat_student_paired(d, n);

	set_input(out, "x");
	set_input(out, "y");
	json_object_set_new(out, "log_ratio", numbers(d, n));
	set(out, "n_nonzero", (double)s.n_nonzero);
	set(out, "W_plus", s.w_plus);
	set(out, "p_signed_rank_exact", s.p);
	set(out, "hl_log_ratio", s.estimate);
	set(out, "hl_ratio", exp(s.estimate));
	json_object_set_new(out, "ci95", ratio_interval(json_object_get(expected, "ci95"), s.ci95, 0.95));
	json_object_set_new(out, "ci90", ratio_interval(json_object_get(expected, "ci90"), s.ci90, 0.90));
	set(out, "p_sign_test", stat_sign_test(d, n));
	if (n <= 20)
		set(out, "p_sign_flip_mean_exact", stat_sign_flip(d, n));
	set(out, "t", t.statistic);
	set(out, "p_t", t.p);
	set(out, "median_log_ratio", stat_median(d, n));
	return out;
}

static json_t *paired_sets(const json_t *section)
{
	json_t *out = json_object(), *set_of;
	const char *name;

	json_object_foreach ((json_t *)section, name, set_of) {
		AUTO(values_free) struct values x = values_of(json_object_get(set_of, "x"));
		AUTO(values_free) struct values y = values_of(json_object_get(set_of, "y"));

		json_object_set_new(out, name, paired(set_of, x, y));
	}
	return out;
}

/* "median", "mean", "sd", "iqr", "p99", "p99.9" of one trial. */
static double trial_figure(const char *name, struct values v)
{
	struct stat_summary s;

	stat_describe(v.x, v.n, &s);
	if (!strcmp(name, "median"))
		return s.median;
	if (!strcmp(name, "mean"))
		return s.mean;
	if (!strcmp(name, "sd"))
		return s.sd;
	if (!strcmp(name, "iqr"))
		return s.iqr;
	return name[0] == 'p' ? stat_quantile(v.x, v.n, atof(name + 1) / 100) : NAN;
}

static struct values trial_figures(const char *name, const json_t *trials)
{
	struct values out = {mem_array(json_array_size(trials), sizeof(double)), json_array_size(trials)};

	for (size_t i = 0; i < out.n; i++) {
		AUTO(values_free) struct values trial = values_of(json_array_get(trials, i));

		out.x[i] = trial_figure(name, trial);
	}
	return out;
}

static json_t *clustered(const json_t *section)
{
	json_t *out = json_object(), *per_trial = json_object(), *pairs = json_object(), *ignored;
	const json_t *trials_a = json_object_get(section, "A"), *trials_b = json_object_get(section, "B");
	const char *name;

	set_input(out, "A");
	set_input(out, "B");
	set(out, "blocks", (double)json_array_size(trials_a));
	json_object_set_new(out, "per_trial", per_trial);
	json_object_set_new(out, "paired", pairs);
	json_object_foreach (json_object_get(section, "per_trial"), name, ignored) {
		AUTO(values_free) struct values a = trial_figures(name, trials_a);
		AUTO(values_free) struct values b = trial_figures(name, trials_b);

		json_object_set_new(
			per_trial, name, json_pack("{soso}", "A", numbers(a.x, a.n), "B", numbers(b.x, b.n)));
	}
	json_object_foreach (json_object_get(section, "paired"), name, ignored) {
		AUTO(values_free) struct values a = trial_figures(name, trials_a);
		AUTO(values_free) struct values b = trial_figures(name, trials_b);

		json_object_set_new(pairs, name, paired(ignored, a, b));
	}
	AUTO(values_free) struct values a = trial_figures("median", trials_a);
	AUTO(values_free) struct values b = trial_figures("median", trials_b);

	json_object_set_new(out, "between_trial_brown_forsythe_log_median",
		f_test(stat_run_to_run(a.x, a.n, b.x, b.n).test));
	json_object_set_new(out, "block_bootstrap",
		bootstrap_blocks(json_object_get(section, "block_bootstrap"), trials_a, trials_b));
	/* What a test of transactions would say; no function here takes them, see stat.h. */
	set_input(out, "pseudo_replicated_mwu_p_DO_NOT_USE");
	return out;
}

/* --- the smaller sections ---------------------------------------------------------------------- */

static json_t *holm(const json_t *section)
{
	json_t *out = json_array();

	for (size_t i = 0; i < json_array_size(section); i++) {
		AUTO(values_free)
		struct values p = values_of(json_object_get(json_array_get(section, i), "p"));

		stat_holm(p.x, p.n);
		json_array_append_new(out, json_pack("{ssso}", "p", "input", "adjusted", numbers(p.x, p.n)));
	}
	return out;
}

/* The pooled t of the two parts, which the file sets beside the split: by its formula, from means and SDs. */
static void two_parts(json_t *out, struct values v, size_t at)
{
	double n = (double)at, m = (double)(v.n - at), a = stat_sd(v.x, at), b = stat_sd(v.x + at, v.n - at);
	double pooled = sqrt(((n - 1) * a * a + (m - 1) * b * b) / (n + m - 2));
	double t = (stat_mean(v.x, at) - stat_mean(v.x + at, v.n - at)) / (pooled * sqrt(1 / n + 1 / m));

	set(out, "student_t", t);
	set(out, "p", 2 * gsl_cdf_tdist_Q(fabs(t), n + m - 2));
}

static json_t *single_split(struct values v)
{
	const struct stat_changing how = {.seed = 1, .rounds = 199, .alpha = 0.05};
	struct stat_split split = {0};
	json_t *out = json_object();

	stat_changes(v.x, v.n, &how, &split, 1);
	set(out, "tau", (double)split.at);
	set(out, "Q", split.q);
	set(out, "Q_at_10", stat_energy_at(v.x, v.n, 10));
	set(out, "Q_at_20", stat_energy_at(v.x, v.n, 20));
	if (split.at)
		two_parts(out, v, split.at);
	return out;
}

static json_t *mser5(struct values v)
{
	struct stat_warmup w = stat_mser5(v.x, v.n);
	json_t *out = json_object();

	set(out, "d_batches", (double)w.batches);
	set(out, "cut_samples", (double)w.cut);
	set(out, "best", w.statistic);
	set_input(out, "first6"); /* the steps on the way to `best` */
	return out;
}

static json_t *series(const json_t *section)
{
	json_t *out = json_object(), *set_of;
	const char *name;

	json_object_foreach ((json_t *)section, name, set_of) {
		AUTO(values_free) struct values v = values_of(json_object_get(set_of, "x"));
		size_t lags = json_array_size(json_object_get(set_of, "acf"));
		AUTO_FREE double *rho = mem_array(lags, sizeof(*rho));
		struct stat_worth worth = stat_effective_size(v.x, v.n);
		struct stat_trend t = stat_mann_kendall(v.x, v.n);
		struct stat_test box = stat_ljung_box(v.x, v.n, 10);
		json_t *one = json_object();

		stat_autocorrelation(v.x, v.n, rho, lags);
		set_input(one, "x");
		json_object_set_new(one, "acf", numbers(rho, lags));
		json_object_set_new(one, "ljung_box",
			json_pack(
				"{sfsoso}", "lags", box.df1, "Q", number(box.statistic), "p", number(box.p)));
		set(one, "tau_int_geyer", worth.tau);
		set(one, "geyer_pairs", (double)worth.pairs);
		set(one, "n_eff", worth.n_eff);
		json_object_set_new(one, "mser5", mser5(v));
		json_object_set_new(one, "mann_kendall",
			json_pack("{sfsfsoso}", "S", t.s, "var", t.variance, "z", number(t.z), "p",
				number(t.p)));
		if (json_object_get(set_of, "e_divisive_single_split"))
			json_object_set_new(one, "e_divisive_single_split", single_split(v));
		json_object_set_new(out, name, one);
	}
	return out;
}

/* GSL's quantile of t stops at ten digits; one step of Newton's method doubles them. */
static double t_quantile(double p, double df)
{
	double t = gsl_cdf_tdist_Pinv(p, df);

	return t - (gsl_cdf_tdist_P(t, df) - p) / gsl_ran_tdist_pdf(t, df);
}

static json_t *special_function(const char *name, const double *v)
{
	if (!strcmp(name, "betainc_reg"))
		return number(gsl_cdf_beta_P(v[2], v[0], v[1]));
	if (!strcmp(name, "norm_ppf"))
		return number(gsl_cdf_ugaussian_Pinv(v[0]));
	if (!strcmp(name, "norm_sf"))
		return number(gsl_cdf_ugaussian_Q(v[0]));
	if (!strcmp(name, "f_sf"))
		return number(gsl_cdf_fdist_Q(v[0], v[1], v[2]));
	if (!strcmp(name, "chi2_sf"))
		return number(gsl_cdf_chisq_Q(v[0], v[1]));
	if (!strcmp(name, "t_ppf"))
		return number(t_quantile(v[0], v[1]));
	if (!strcmp(name, "binom_cdf"))
		return number(gsl_cdf_binomial_P((unsigned)v[0], v[2], (unsigned)v[1]));
	if (!strcmp(name, "clopper_pearson")) {
		struct stat_interval ci = stat_proportion_interval((size_t)v[0], (size_t)v[1], v[2]);

		return json_pack("[oo]", number(ci.low), number(ci.high));
	}
	return NULL;
}

/* Rows of [name, arguments, value]. */
static json_t *special_functions(const json_t *section)
{
	json_t *out = json_array();

	for (size_t i = 0; i < json_array_size(section); i++) {
		const json_t *row = json_array_get(section, i);
		const char *name = json_string_value(json_array_get(row, 0));
		AUTO(values_free) struct values v = values_of(json_array_get(row, 1));
		double arguments[3] = {0};

		memcpy(arguments, v.x, MIN(v.n, ARRAY_LEN(arguments)) * sizeof(double));
		json_t *value = name ? special_function(name, arguments) : NULL;

		json_array_append_new(
			out, json_pack("[sso]", "input", "input", value ? value : json_string("unknown")));
	}
	return out;
}

/* The least p that n blocks, or n trials against n, can give: everything on one side. */
static json_t *least_p(const json_t *expected, bool two_samples)
{
	json_t *out = json_object(), *ignored;
	const char *key;

	json_object_foreach ((json_t *)expected, key, ignored) {
		size_t n = (size_t)atol(key);
		AUTO_FREE double *x = mem_array(2 * n, sizeof(*x));
		struct stat_paired s;
		struct stat_mwu u;

		for (size_t i = 0; i < 2 * n; i++)
			x[i] = (double)i + 1;
		stat_paired_estimate(x, n, &s);
		stat_mann_whitney(x, n, x + n, n, &u);
		set(out, key, two_samples ? u.p : s.p);
	}
	return out;
}

static double at(const json_t *row, const char *key)
{
	return json_number_value(json_object_get(row, key));
}

/* The fewest values for which the 95 % interval of the quantile p has an upper end, by halving. */
static size_t least_for_upper_end(double p)
{
	size_t low = 1, high = 100000000;

	while (low < high) {
		size_t n = low + (high - low) / 2, l, u;

		stat_quantile_ranks(n, p, 0.95, &l, &u);
		if (u <= n)
			high = n;
		else
			low = n + 1;
	}
	return low;
}

/* One row of a table that holds its own inputs. */
static json_t *table_row(const char *table, const json_t *row)
{
	static const char *const inputs[] = {
		"holm_m", "sd_log_ratio", "mde_ratio", "p", "conf", "expected_exceedances"};
	json_t *out = json_object();
	double p = at(row, "p");

	for (size_t i = 0; i < ARRAY_LEN(inputs); i++)
		set_input(out, inputs[i]);
	if (!strcmp(table, "blocks_needed_signed_rank")) {
		set(out, "blocks",
			(double)stat_blocks_needed(
				at(row, "sd_log_ratio"), at(row, "mde_ratio"), (size_t)at(row, "holm_m")));
	} else if (!strcmp(table, "order_stat_ci")) {
		size_t l, u;

		set_input(out, "n");
		set(out, "coverage", stat_quantile_ranks((size_t)at(row, "n"), p, at(row, "conf"), &l, &u));
		set(out, "l", (double)l);
		set(out, "u", (double)u);
	} else if (json_object_get(row, "finite_upper_ci95_n")) {
		set(out, "finite_upper_ci95_n", (double)least_for_upper_end(p));
	} else if (json_object_get(row, "expected_exceedances")) {
		set(out, "n", (double)stat_quantile_least(p, (unsigned)at(row, "expected_exceedances")));
	}
	return out;
}

static json_t *tables(const json_t *section)
{
	static const char *const names[] = {"blocks_needed_signed_rank", "order_stat_ci", "quantile_min_n"};
	const json_t *least = json_object_get(section, "min_p");
	json_t *out = json_object();

	json_object_set_new(out, "min_p",
		json_pack("{soso}", "signed_rank", least_p(json_object_get(least, "signed_rank"), false),
			"mwu", least_p(json_object_get(least, "mwu"), true)));
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		const json_t *rows = json_object_get(section, names[i]);
		json_t *computed = json_array();

		for (size_t j = 0; j < json_array_size(rows); j++)
			json_array_append_new(computed, table_row(names[i], json_array_get(rows, j)));
		json_object_set_new(out, names[i], computed);
	}
	return out;
}

/* What the file says of itself; its random numbers are ours. */
static json_t *meta(const json_t *section)
{
	static const char *const words[] = {"python", "numpy", "scipy", "R", "install", "conventions"};
	json_t *out = json_object(), *first = json_array();
	uint64_t seed = 12345;

	(void)section;
	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		set_input(out, words[i]);
	for (int i = 0; i < 3; i++) {
		AUTO_FREE char *word = str_format("%ju", (uintmax_t)rng_next(&seed));

		json_array_append_new(first, json_string(word));
	}
	json_object_set_new(out, "splitmix64_seed_12345_first3", first);
	return out;
}

/* --- sections ---------------------------------------------------------------------------------- */

static const struct {
	const char *name;
	json_t *(*compute)(const json_t *section);
	double relative;
} sections[] = {
	{"meta", meta, 0},
	{"two_sample", two_sample, 1e-9},
	{"paired", paired_sets, 1e-9},
	{"clustered", clustered, 1e-9},
	{"holm", holm, 1e-9},
	{"series", series, 1e-9},
	{"special_functions", special_functions, 1e-10},
	{"tables", tables, 1e-9},
};

static bool check_section(const char *name, const json_t *expected)
{
	for (size_t i = 0; i < ARRAY_LEN(sections); i++) {
		if (strcmp(sections[i].name, name))
			continue;
		struct tally t = {.relative = sections[i].relative};
		json_t *got = sections[i].compute(expected);

		walk(&t, name, expected, got);
		json_decref(got);
		printf("%s: %u checked, %u failed%s\n", name, t.checked, t.failed,
			t.checked ? "" : " (nothing to check: that is a failure)");
		if (t.missing.data)
			printf("%s: not implemented:%s\n", name, t.missing.data);
		bool whole = !t.missing.data;

		buf_free(&t.missing);
		return t.checked && !t.failed && whole;
	}
	printf("%s: not known: that is a failure\n", name);
	return false;
}

int main(int argc, char **argv)
{
	json_error_t error;
	const char *name;
	json_t *section;
	bool good = true, any = false;

	if (argc != 2) {
		fprintf(stderr, "usage: stat-vectors FILE\n");
		return 2;
	}
	gsl_set_error_handler_off(); /* nonsense in the file becomes NaN, not an abort */
	json_t *file = json_load_file(argv[1], 0, &error);

	if (!json_is_object(file)) {
		fprintf(stderr, "cannot read %s: %s (line %d)\n", argv[1],
			file ? "not an object" : error.text, error.line);
		json_decref(file);
		return 2;
	}
	json_object_foreach (file, name, section) {
		good &= check_section(name, section);
		for (size_t i = 0; i < ARRAY_LEN(sections); i++)
			any |= !strcmp(sections[i].name, name);
	}
	json_decref(file);
	if (!any)
		printf("no section that is implemented: that is a failure\n");
	return good && any ? 0 : 1;
}
