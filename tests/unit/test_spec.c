/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "spec/spec.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

/* Boot arguments and paths are as long as the user's are. */
static void words_have_any_length(void **state)
{
	AUTO_FREE char *text = mem_alloc(100001);
	struct settings s, copy;
	struct err e = ERR_INIT;

	(void)state;
	memset(text, 'x', 100000);
	settings_init(&s);
	assert_int_equal(setting_set(&s, "boot", text, &e), 0);
	assert_string_equal(s.boot, text);
	json_t *object = settings_json(&s);
	settings_init(&copy);
	assert_int_equal(settings_from_json(&copy, object, READ_STREAM, &e), 0);
	json_decref(object);
	assert_string_equal(copy.boot, text);
	assert_true(setting_equal(&s, &copy, setting_find("boot")));
	memset(text, 'y', 1);
	assert_int_equal(setting_set(&copy, "boot", text, &e), 0);
	assert_false(setting_equal(&s, &copy, setting_find("boot")));
	assert_int_equal(s.boot[0], 'x'); /* the other is left alone */
}

/* The kernel would cut them and say nothing. */
static void boot_arguments_are_no_longer_than_the_kernel_takes_them(void **state)
{
	static const char *const keys[] = {"boot", "host_boot"};
	char text[BOOT_ARGUMENTS_MAX + 2] = "";

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(keys); i++)
		for (size_t n = BOOT_ARGUMENTS_MAX; n <= BOOT_ARGUMENTS_MAX + 1; n++) {
			struct settings s;
			struct err e = ERR_INIT;
			settings_init(&s);
			s.target = "vm";
			s.site = i ? "lab" : "local";
			memset(text, 'x', n);
			text[n] = 0;
			assert_int_equal(setting_set(&s, keys[i], text, &e), 0);
			int rc = settings_check(&s, &e);
			if ((rc == 0) != (n <= BOOT_ARGUMENTS_MAX))
				fail_msg("%s of %zu characters: %d, %s", keys[i], n, rc, e.text);
			assert_true(rc == 0 || (e.exit == EXIT_USAGE && strstr(e.text, "2047")));
		}
}

static void what_cannot_be_shown_is_no_value(void **state)
{
	struct settings s;
	struct err e = ERR_INIT;

	(void)state;
	settings_init(&s);
	assert_int_equal(setting_set(&s, "boot", "quiet\033[2J", &e), -EINVAL);
	assert_true(strstr(e.text, "quiet?[2J") && strstr(e.text, "cannot be shown"));
	assert_int_equal(setting_set(&s, "boot", "two\nlines", &e), -EINVAL);
	assert_int_equal(setting_set(&s, "apply", "two\n\tlines", &e), 0);
	assert_string_equal(s.apply, "two\n\tlines");
	json_t *stored = settings_json(&s);
	json_object_set_new(stored, "boot", json_string("quiet\033[2J\n"));
	assert_int_equal(settings_from_json(&s, stored, READ_ARCHIVE, &e), 0);
	assert_string_equal(s.boot, "quiet?[2J?");
	assert_string_equal(s.apply, "two\n\tlines");
	json_decref(stored);
}

static void the_same_word_is_kept_once(void **state)
{
	char a[] = "isolcpus=1", b[] = "isolcpus=1";

	(void)state;
	assert_ptr_equal(str_keep(a), str_keep(b));
	assert_ptr_not_equal(str_keep(a), a);
	assert_string_equal(str_keep(""), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(words_have_any_length),
		cmocka_unit_test(boot_arguments_are_no_longer_than_the_kernel_takes_them),
		cmocka_unit_test(what_cannot_be_shown_is_no_value),
		cmocka_unit_test(the_same_word_is_kept_once),
	};

	return cmocka_run_group_tests_name("spec", tests, NULL, NULL);
}
