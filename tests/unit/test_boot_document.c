/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a machine is told of its boot: what is written is read, and nothing else is. */
#include "wire/boot_document.h"
#include "test_keep.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

static void equal(const struct boot_document *a, const struct boot_document *b)
{
	assert_int_equal(a->role, b->role);
	assert_string_equal(a->address, b->address);
	assert_int_equal(a->prefix, b->prefix);
	assert_int_equal(a->mtu, b->mtu);
	assert_int_equal(a->rows, b->rows);
	assert_int_equal(a->columns, b->columns);
	assert_string_equal(a->term, b->term);
	assert_string_equal(a->script ? a->script : "(none)", b->script ? b->script : "(none)");
	assert_int_equal(!a->plan, !b->plan);
	assert_true(!a->plan || json_equal(a->plan, b->plan));
}

static void every_role_comes_back_as_it_was_written(void **state)
{
	AUTO_FREE char *script = str_dup("echo \"µ\"\nexit 3\n");
	json_t *plan = json_pack("{s:{s:s}}", "settings", "target", "native");
	const struct boot_document documents[] = {
		{.role = BOOT_GUEST, .address = "192.0.2.2", .prefix = 30, .mtu = 9000},
		{.role = BOOT_GUEST, .address = "2001:db8::1", .prefix = 128},
		{.role = BOOT_GUEST},
		{.role = BOOT_HOST},
		{.role = BOOT_EXACT, .plan = plan},
		{.role = BOOT_SHELL, .rows = 50, .columns = 132, .term = "xterm-256color"},
		{.role = BOOT_SHELL, .script = script},
		{.role = BOOT_PROBE},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(documents); i++) {
		AUTO(boot_document_free) struct boot_document back = {0};
		struct err e = ERR_INIT;
		json_t *object = boot_document_json(&documents[i]);
		int rc = boot_document_from_json(&back, object, &e);

		json_decref(object);
		if (rc < 0)
			fail_msg("%zu: %s", i, e.text);
		equal(&back, &documents[i]);
	}
	json_decref(plan);
}

/* A document with one key of another value, or without it (NULL). */
static json_t *changed(enum boot_role role, const char *key, json_t *value)
{
	const struct boot_document d = {.role = role};
	json_t *object = boot_document_json(&d);

	if (role == BOOT_EXACT)
		json_object_set_new(object, "plan", json_object());
	if (value)
		json_object_set_new(object, key, value);
	else
		json_object_del(object, key);
	return object;
}

static void whatever_differs_from_what_is_written_is_refused(void **state)
{
	const struct {
		json_t *object;
		const char *says;
	} rows[] = {
		{json_array(), "not an object"},
		{json_object(), "'address' is missing"},
		{changed(BOOT_GUEST, "role", NULL), "names no role"},
		{changed(BOOT_GUEST, "role", json_string("king")), "names no role"},
		{changed(BOOT_GUEST, "role", json_integer(0)), "names no role"},
		{changed(BOOT_GUEST, "mtu", NULL), "'mtu' is missing"},
		{changed(BOOT_GUEST, "mtu", json_string("1500")), "'mtu' is of the wrong type"},
		{changed(BOOT_GUEST, "mtu", json_integer(65536)), "out of range"},
		{changed(BOOT_GUEST, "prefix", json_integer(129)), "out of range"},
		{changed(BOOT_SHELL, "rows", json_integer(1 << 20)), "out of range"},
		{changed(BOOT_SHELL, "columns", json_integer(-1)), "'columns' is of the wrong type"},
		{changed(BOOT_GUEST, "address", json_sprintf("%070d", 1)), "'address' is of the wrong type"},
		{changed(BOOT_GUEST, "altitude", json_integer(1)), "'altitude' is not known"},
		{changed(BOOT_SHELL, "script", json_integer(1)), "'script'"},
		{changed(BOOT_SHELL, "script", json_stringn("a\0b", 3)), "'script'"},
		{changed(BOOT_HOST, "script", json_string("ls")), "'script'"},
		{changed(BOOT_EXACT, "plan", NULL), "'plan' is missing"},
		{changed(BOOT_EXACT, "plan", json_array()), "'plan'"},
		{changed(BOOT_HOST, "plan", json_object()), "'plan'"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct boot_document d = {.role = BOOT_SHELL, .mtu = 7};
		struct err e = ERR_INIT;
		int rc = boot_document_from_json(&d, rows[i].object, &e);

		json_decref(rows[i].object);
		if (rc != -EINVAL || !strstr(e.text, rows[i].says))
			fail_msg("%zu: %d, '%s', not '%s'", i, rc, e.text, rows[i].says);
		assert_true(d.role == BOOT_SHELL && d.mtu == 7 && !d.script && !d.plan);
	}
}

static void a_file_is_read_or_named(void **state)
{
	char path[] = "/tmp/taut-document-XXXXXX";
	const struct boot_document host = {.role = BOOT_HOST};
	struct boot_document d = {0};
	struct err e = ERR_INIT;
	int fd = keep_file(path);

	(void)state;
	assert_int_equal(boot_document_load(&d, path, &e), -EINVAL); /* it is empty */
	assert_non_null(strstr(e.text, path));
	json_t *object = boot_document_json(&host);
	assert_int_equal(json_dumpfd(object, fd, JSON_COMPACT), 0);
	json_decref(object);
	assert_int_equal(boot_document_load(&d, path, &e), 0);
	equal(&d, &host);
	boot_document_free(&d);
	close(fd);
	unlink(path);
	assert_int_equal(boot_document_load(&d, path, &e), -EINVAL);
	assert_non_null(strstr(e.text, path));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_role_comes_back_as_it_was_written),
		cmocka_unit_test(whatever_differs_from_what_is_written_is_refused),
		cmocka_unit_test(a_file_is_read_or_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
