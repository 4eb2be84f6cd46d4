/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Which QEMU is taken, where the machine has one and the cache has others. */
#include "test_boot_world.h"

#include <sys/stat.h>

/* A program that says it is QEMU of that version, also when it is asked for devices. */
static void world_program(const char *version, const char *path)
{
	AUTO_FREE char *text = str_format("#!/bin/sh\necho 'QEMU emulator version %s'\n", version);
	AUTO_FREE char *whole = str_format("%s%s", world, path);

	world_text(text, "%s", path);
	assert_int_equal(chmod(whole, 0755), 0);
}

/* Started by a loader, which says what the program would. */
static void world_cached(const char *version)
{
	AUTO_FREE char *program = str_format("/cache/qemu/%s/qemu-system-x86_64", version);
	AUTO_FREE char *loader = str_format("/cache/qemu/%s/lib/ld-linux-x86-64.so.2", version);

	world_program(version, program);
	world_program(version, loader);
}

static void one_that_is_too_old_hides_none_and_the_newest_of_the_cache_counts_as_it_is_now(void **state)
{
	struct err e = ERR_INIT;
	struct qemu q;

	(void)state;
	assert_int_equal(qemu_find(&q, &e), -ENOTSUP);
	assert_has(e.text, "QEMU 5.2.0: it is older than 6.0");
	static const char *const fetched[] = {"9.2.0", "10.0.2", "11.1.2"};
	for (size_t i = 0; i < ARRAY_LEN(fetched); i++) {
		world_cached(fetched[i]);
		ok(qemu_find(&q, &e));
		assert_string_equal(q.version, fetched[i]);
	}
}

/* An old one of the machine's own, and an empty cache. */
static void world_path(void)
{
	AUTO_FREE char *bin = str_format("%s/bin", world);
	AUTO_FREE char *path = str_format("%s:%s", bin, getenv("PATH"));
	AUTO_FREE char *cache = str_format("%s/cache", world);

	world_program("5.2.0", "/bin/qemu-system-x86_64");
	setenv("PATH", path, 1);
	setenv("TAUT_CACHE", cache, 1);
}

static int begin(void **state)
{
	int rc = world_begin(state);

	world_path();
	return rc;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			one_that_is_too_old_hides_none_and_the_newest_of_the_cache_counts_as_it_is_now),
	};

	return cmocka_run_group_tests(tests, begin, world_end);
}
