/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Words and numbers as people type them. */
#include "base/base.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static const char *const words[] = {
	"run", "boot", "blocks", "clock", "transactions", "measure", "max-duration", "quick"};

static void a_suggestion_is_near_what_was_typed(void **state)
{
	static const struct {
		const char *typed, *wanted; /* NULL: none */
	} rows[] = {
		{"foo", NULL},
		{"xyz", NULL},
		{"rum", "run"},
		{"block", "blocks"},
		{"blokcs", "blocks"}, /* two that changed places are one mistake */
		{"transactoins", "transactions"},
		{"trans", "transactions"}, /* begun */
		{"max-", "max-duration"},
		{"quik", "quick"},
		{"mesure", "measure"},
		{"measuring", "measure"},
		{"", NULL},
		{"b", NULL},
		{"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", NULL},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const char *got = str_closest(rows[i].typed, words, ARRAY_LEN(words));
		if (!got != !rows[i].wanted || (got && strcmp(got, rows[i].wanted) != 0))
			fail_msg("'%s' gives '%s', wanted '%s'", rows[i].typed, got ? got : "nothing",
				rows[i].wanted ? rows[i].wanted : "nothing");
	}
}

static void a_count_may_have_a_unit(void **state)
{
	static const struct {
		const char *text;
		int rc;
		uint64_t n;
	} rows[] = {
		{"0", 0, 0},
		{"2000", 0, 2000},
		{"2k", 0, 2000},
		{"2K", 0, 2000},
		{"1.5k", 0, 1500},
		{"0.1k", 0, 100},
		{"1e5", 0, 100000},
		{"1E5", 0, 100000},
		{"3M", 0, 3000000},
		{"1G", 0, 1000000000},
		{"18446744073709551615", 0, UINT64_MAX},
		{"2.5", -EINVAL, 0},
		{"2kk", -EINVAL, 0},
		{"2T", -EINVAL, 0},
		{"k", -EINVAL, 0},
		{"-1", -EINVAL, 0},
		{" 1", -EINVAL, 0},
		{"0x10", -EINVAL, 0},
		{"nan", -EINVAL, 0},
		{"inf", -EINVAL, 0},
		{"", -EINVAL, 0},
		{"1e", -EINVAL, 0},
		{"1e-9", -EINVAL, 0},
		{"1e99", -ERANGE, 0},
		{"99999999999999999999", -ERANGE, 0},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		uint64_t n = 77;
		int rc = str_count(rows[i].text, &n);
		if (rc != rows[i].rc || n != (rc ? 77 : rows[i].n))
			fail_msg("'%s' gives %d and %llu", rows[i].text, rc, (unsigned long long)n);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_suggestion_is_near_what_was_typed),
		cmocka_unit_test(a_count_may_have_a_unit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
