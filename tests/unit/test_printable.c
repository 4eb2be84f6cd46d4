/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What of a text reaches a terminal. */
#include "base/base.h"

/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
/* clang-format on */

static void what_drives_or_misleads_a_terminal_is_a_question_mark(void **state)
{
	static const struct {
		const char *text, *line, *lines;
	} rows[] = {
		{"", "", ""},
		{"p99 17.6 µs → 9 µs …", "p99 17.6 µs → 9 µs …", "p99 17.6 µs → 9 µs …"},
		{"\033[2Ja\007", "?[2Ja?", "?[2Ja?"},
		{"a\nb\tc\rd", "a?b?c?d", "a\nb\tc?d"},
		{"del \177 c1 \xc2\x9b", "del ? c1 ?", "del ? c1 ?"},
		{"nbsp \xc2\xa0.", "nbsp \xc2\xa0.", "nbsp \xc2\xa0."},
		/* marks of direction, and what takes no room */
		{"\xe2\x80\xae"
		 "abc\xe2\x80\x8b\xef\xbb\xbf",
			"?abc??", "?abc??"},
		{"\xe2\x80\xa8x\xd8\x9c", "?x?", "?x?"},
		/* no UTF-8: a byte alone, one too few, too long a form, a surrogate, too large a number */
		{"\xff \xc3", "? ?", "? ?"},
		{"\xe2\x82 \xc0\x9b", "?? ??", "?? ??"},
		{"\xed\xa0\x80", "???", "???"},
		{"\xf4\x90\x80\x80", "????", "????"},
		{"\xf0\x9f\x98\x80", "\xf0\x9f\x98\x80", "\xf0\x9f\x98\x80"},
		/* a tag character */
		{"\xf3\xa0\x81\x81", "?", "?"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		AUTO_FREE char *line = str_dup(rows[i].text);
		AUTO_FREE char *lines = str_dup(rows[i].text);
		assert_string_equal(str_printable(line), rows[i].line);
		assert_string_equal(str_printable_lines(lines), rows[i].lines);
	}
}

static void what_is_shown_ends_before_the_first_other_character(void **state)
{
	size_t skip;

	(void)state;
	assert_int_equal(str_shown("abc\033d", 5, &skip), 3);
	assert_int_equal(skip, 1);
	assert_int_equal(str_shown("a\xe2\x80\xae", 4, &skip), 1);
	assert_int_equal(skip, 3);
	assert_int_equal(str_shown("a\xe2\x80\xae", 3, &skip), 1); /* cut off */
	assert_int_equal(skip, 1);
	assert_int_equal(str_shown("abc", 3, &skip), 3);
	assert_int_equal(skip, 0);
	assert_int_equal(str_shown("a\0b", 3, &skip), 1);
	assert_int_equal(skip, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_drives_or_misleads_a_terminal_is_a_question_mark),
		cmocka_unit_test(what_is_shown_ends_before_the_first_other_character),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
