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
		cmocka_unit_test(the_same_word_is_kept_once),
	};

	return cmocka_run_group_tests_name("spec", tests, NULL, NULL);
}
