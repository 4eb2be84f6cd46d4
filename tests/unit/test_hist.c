/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the histogram guarantees: exact sums, quantiles within one bucket, and an encoding that is refused
 * when it contradicts itself. */
#include "hist.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdarg.h>
#include <cmocka.h>
#include <math.h>

#define MANY 10000000u

static struct hist *hist_new(void)
{
	struct hist *h = mem_alloc(sizeof(*h));

	hist_clear(h);
	return h;
}

static bool hist_same(const struct hist *a, const struct hist *b)
{
	return a->count == b->count && a->sum == b->sum && a->min == b->min && a->max == b->max &&
	       a->sum_squares == b->sum_squares && !memcmp(a->buckets, b->buckets, sizeof(a->buckets));
}

static void check(bool ok, const char *what, double got, double expected)
{
	if (!ok)
		fail_msg("%s: got %.17g, expected %.17g", what, got, expected);
}

/* Sequences whose value of rank r (from 1) is known without sorting. */
static uint64_t even(uint64_t r)
{
	return 999 + r;
}

static uint64_t heavy_tail(uint64_t r)
{
	return 5000 + 1000000 * r / (MANY + 1 - r);
}

static uint64_t narrow(uint64_t r)
{
	return 17600000 + r / (MANY / 64);
}

static void quantiles_of_ten_million_are_within_one_bucket(void **state)
{
	static uint64_t (*const sequences[])(uint64_t) = {even, heavy_tail, narrow};

	(void)state;
	for (size_t s = 0; s < ARRAY_LEN(sequences); s++) {
		AUTO_FREE struct hist *h = hist_new();
		unsigned __int128 squares = 0;
		uint64_t sum = 0;

		for (uint64_t r = 1; r <= MANY; r++) {
			uint64_t v = sequences[s](r);

			hist_add(h, v);
			sum += v;
			squares += (unsigned __int128)v * v;
		}
		assert_int_equal(h->count, MANY);
		assert_int_equal(h->sum, sum);
		assert_true(h->sum_squares == squares);
		assert_int_equal(h->min, sequences[s](1));
		assert_int_equal(h->max, sequences[s](MANY));
		for (unsigned i = 0; i <= 10000; i++) {
			uint64_t rank = MAX((uint64_t)i * (MANY / 10000), (uint64_t)1);
			uint64_t exact = sequences[s](rank);
			unsigned bucket = hist_bucket(exact);
			double got = hist_quantile(h, i / 10000.0);

			check(got >= (double)hist_bucket_low(bucket) &&
					got <= (double)hist_bucket_high(bucket),
				"quantile", got, (double)exact);
			check(got >= (double)h->min && got <= (double)h->max, "clamped", got, (double)exact);
		}
	}
}

static void small_values_are_exact(void **state)
{
	AUTO_FREE struct hist *h = hist_new();

	(void)state;
	for (uint64_t v = 1; v <= 200; v++)
		hist_add(h, v);
	for (unsigned i = 1; i <= 200; i++)
		check(hist_quantile(h, i / 200.0) == i, "quantile", hist_quantile(h, i / 200.0), i);
	check(hist_quantile(h, 0) == 1, "quantile 0", hist_quantile(h, 0), 1);
}

static void every_value_lies_in_its_bucket_and_buckets_join(void **state)
{
	(void)state;
	for (unsigned i = 0; i + 1 < HIST_BUCKETS; i++) {
		uint64_t low = hist_bucket_low(i), high = hist_bucket_high(i);

		assert_int_equal(hist_bucket(low), i);
		assert_int_equal(hist_bucket(high - 1), i);
		assert_int_equal(hist_bucket_low(i + 1), high);
		if (low >= HIST_SUB)
			assert_true((double)(high - low) / (double)low <= 1.0 / HIST_SUB);
	}
	assert_int_equal(hist_bucket(1ull << 50), HIST_BUCKETS - 1);
	assert_int_equal(hist_bucket(UINT64_MAX), HIST_BUCKETS - 1);
}

static void mean_and_sd_are_exact_for_a_narrow_spread_far_from_zero(void **state)
{
	AUTO_FREE struct hist *h = hist_new();

	(void)state;
	check(isnan(hist_mean(h)) && isnan(hist_sd(h)) && isnan(hist_quantile(h, 0.5)), "empty", hist_mean(h),
		NAN);
	/* 10⁶ values, half of them 10¹¹, half 10¹¹ + 2: SD √(10⁶/(10⁶ − 1)). */
	for (unsigned i = 0; i < 1000000; i++)
		hist_add(h, 100000000000ull + 2 * (i & 1));
	check(hist_mean(h) == 100000000001.0, "mean", hist_mean(h), 100000000001.0);
	double sd = sqrt(1e6 / (1e6 - 1));

	check(fabs(hist_sd(h) - sd) < 1e-12, "sd", hist_sd(h), sd);
}

static void merging_is_adding_the_values_of_both(void **state)
{
	AUTO_FREE struct hist *a = hist_new();
	AUTO_FREE struct hist *b = hist_new();
	AUTO_FREE struct hist *both = hist_new();
	uint64_t seed = 7;

	(void)state;
	for (unsigned i = 0; i < 10000; i++) {
		uint64_t v = rng_next(&seed) >> (24 + i % 40);

		hist_add(i % 3 ? a : b, v);
		hist_add(both, v);
	}
	hist_merge(a, b);
	assert_true(hist_same(a, both));
}

/* Histograms of every kind, by number. */
static struct hist *example(unsigned which)
{
	struct hist *h = hist_new();
	uint64_t seed = which;

	if (which == 1)
		hist_add(h, 0);
	if (which == 2)
		hist_add(h, UINT64_MAX);
	for (unsigned i = 0; which == 3 && i < HIST_BUCKETS; i++)
		hist_add(h, hist_bucket_low(i));
	for (unsigned i = 0; which > 3 && i < 300 * which; i++)
		hist_add(h, 20000 + rng_below(&seed, 5000) + (i % 97 ? 0 : rng_next(&seed) >> 40));
	if (which == 5) { /* sums wrapped around, as they would after centuries */
		hist_add(h, UINT64_MAX);
		hist_add(h, UINT64_MAX - 1);
	}
	return h;
}

#define EXAMPLES 6

static void decoding_gives_back_what_was_encoded(void **state)
{
	(void)state;
	for (unsigned i = 0; i < EXAMPLES; i++) {
		AUTO_FREE struct hist *h = example(i);
		AUTO_FREE struct hist *back = mem_alloc(sizeof(*back));
		struct err e = ERR_INIT;
		size_t len;
		AUTO_FREE unsigned char *data = hist_encode(h, &len);

		if (hist_decode(back, data, len, &e))
			fail_msg("example %u: %s", i, e.text);
		assert_true(hist_same(h, back));
	}
}

static void truncated_bytes_are_rejected_and_touch_nothing(void **state)
{
	(void)state;
	for (unsigned i = 0; i < EXAMPLES; i++) {
		AUTO_FREE struct hist *h = example(i);
		AUTO_FREE struct hist *out = example(4);
		AUTO_FREE struct hist *before = example(4);
		size_t len;
		AUTO_FREE unsigned char *data = hist_encode(h, &len);

		for (size_t cut = 0; cut < len; cut++) {
			/* A copy of just that length, so that a sanitizer sees a read beyond it. */
			AUTO_FREE unsigned char *part = mem_array(cut, 1);
			struct err e = ERR_INIT;

			memcpy(part, data, cut);
			if (hist_decode(out, part, cut, &e) != -EINVAL || !e.text[0])
				fail_msg("example %u: %zu of %zu bytes accepted", i, cut, len);
		}
		assert_true(hist_same(out, before));
	}
}

/* Bytes of which one was changed either are refused or are the one encoding of another valid histogram. */
static void corrupted_bytes_are_rejected_or_mean_something_consistent(void **state)
{
	unsigned rejected = 0, tried = 0;

	(void)state;
	for (unsigned i = 0; i < 5; i++) {
		AUTO_FREE struct hist *h = example(i);
		AUTO_FREE struct hist *out = mem_alloc(sizeof(*out));
		size_t len, again_len;
		AUTO_FREE unsigned char *data = hist_encode(h, &len);

		for (size_t at = 0; at < MIN(len, (size_t)400); at++) {
			for (unsigned bit = 0; bit < 8; bit++, tried++) {
				struct err e = ERR_INIT;

				data[at] ^= (unsigned char)(1u << bit);
				if (hist_decode(out, data, len, &e) == -EINVAL) {
					rejected++;
				} else {
					AUTO_FREE unsigned char *again = hist_encode(out, &again_len);

					assert_int_equal(again_len, len);
					assert_memory_equal(again, data, len);
				}
				data[at] ^= (unsigned char)(1u << bit);
			}
		}
	}
	check(rejected > tried * 8 / 10, "rejected", rejected, tried);
}

static void contradicting_figures_are_rejected(void **state)
{
	static const struct {
		const char *what;
		unsigned char data[20];
		size_t len;
	} rows[] = {
		/* version, count, sum, min, max, squares low, high, then gap and count of buckets */
		{"another version", {2, 0, 0, 0, 0, 0, 0}, 7},
		{"an empty one with a minimum", {1, 0, 0, 3, 0, 0, 0}, 7},
		{"a count without buckets", {1, 1, 3, 3, 3, 9, 0}, 7},
		{"more in the buckets than the count", {1, 1, 3, 3, 3, 9, 0, 3, 2}, 9},
		{"an empty bucket", {1, 1, 3, 3, 3, 9, 0, 2, 0, 0, 1}, 11},
		{"a bucket beyond the last", {1, 1, 3, 3, 3, 9, 0, 0x80, 0x22, 1}, 10},
		{"a minimum above the maximum", {1, 2, 7, 4, 3, 25, 0, 3, 1, 0, 1}, 11},
		{"a minimum in an empty bucket", {1, 2, 7, 2, 4, 25, 0, 3, 1, 0, 1}, 11},
		{"a sum its buckets cannot have", {1, 2, 9, 3, 4, 25, 0, 3, 1, 0, 1}, 11},
		{"squares its buckets cannot have", {1, 2, 7, 3, 4, 24, 0, 3, 1, 0, 1}, 11},
		{"bytes after the end", {1, 2, 7, 3, 4, 25, 0, 3, 1, 0, 1, 0}, 12},
		{"a padded number", {1, 2, 7, 3, 4, 25, 0x80, 0, 3, 1, 0, 1}, 12},
		{"a number beyond 64 bits", {1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2}, 11},
	};
	static const unsigned char good[] = {1, 2, 7, 3, 4, 25, 0, 3, 1, 0, 1};
	AUTO_FREE struct hist *h = hist_new();

	(void)state;
	assert_int_equal(hist_decode(h, good, sizeof(good), ERR_IGNORED), 0);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (hist_decode(h, rows[i].data, rows[i].len, ERR_IGNORED) != -EINVAL)
			fail_msg("accepted: %s", rows[i].what);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(quantiles_of_ten_million_are_within_one_bucket),
		cmocka_unit_test(small_values_are_exact),
		cmocka_unit_test(every_value_lies_in_its_bucket_and_buckets_join),
		cmocka_unit_test(mean_and_sd_are_exact_for_a_narrow_spread_far_from_zero),
		cmocka_unit_test(merging_is_adding_the_values_of_both),
		cmocka_unit_test(decoding_gives_back_what_was_encoded),
		cmocka_unit_test(truncated_bytes_are_rejected_and_touch_nothing),
		cmocka_unit_test(corrupted_bytes_are_rejected_or_mean_something_consistent),
		cmocka_unit_test(contradicting_figures_are_rejected),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
