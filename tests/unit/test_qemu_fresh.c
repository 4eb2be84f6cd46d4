/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Which QEMU a machine gets, where the machine's own would do but may run outdated code. */
#include "test_boot_world.h"

#include "boot/qemu.h"

#include <sys/stat.h>

/* Says that it is QEMU of that version, and knows every device. */
static void world_program(const char *version, const char *path)
{
	AUTO_FREE char *text = str_format("#!/bin/sh\necho 'QEMU emulator version %s'\n"
					  "for d in virtio-net-pci virtio-serial-pci virtserialport; do\n"
					  "echo \"name \\\"$d\\\"\"; done\n",
		version);
	AUTO_FREE char *whole = str_format("%s%s", world, path);

	world_text(text, "%s", path);
	assert_int_equal(chmod(whole, 0755), 0);
}

static void world_cached(const char *version)
{
	AUTO_FREE char *program = str_format("/cache/qemu/%s/qemu-system-x86_64", version);
	AUTO_FREE char *loader = str_format("/cache/qemu/%s/lib/ld-linux-x86-64.so.2", version);

	world_program(version, program);
	world_program(version, loader);
}

static void several_emulated_cpus_get_one_that_runs_code_as_it_is_now(void **state)
{
	static const struct {
		struct machine_options machine;
		const char *version;
	} cases[] = {
		{{.accel = ACCEL_TCG, .cpus = 2}, "8.2.0"},
		{{.accel = ACCEL_TCG, .cpus = 1}, "7.2.22"},
		{{.accel = ACCEL_TCG, .cpus = 2, .exact = true}, "7.2.22"},
		{{.accel = ACCEL_KVM, .cpus = 2}, "7.2.22"},
	};
	struct err e = ERR_INIT;
	struct qemu q;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		ok(qemu_for_machine(&cases[i].machine, &q, &e));
		assert_string_equal(q.version, "7.2.22");
	}
	world_cached("8.0.5");
	ok(qemu_for_machine(&cases[0].machine, &q, &e));
	assert_string_equal(q.version, "7.2.22");
	assert_true(qemu_may_be_stale(&q, &cases[0].machine));
	world_cached("8.2.0");
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		ok(qemu_for_machine(&cases[i].machine, &q, &e));
		assert_string_equal(q.version, cases[i].version);
		assert_false(qemu_may_be_stale(&q, &cases[i].machine));
	}
}

static int begin(void **state)
{
	int rc = world_begin(state);
	AUTO_FREE char *bin = str_format("%s/bin", world);
	AUTO_FREE char *path = str_format("%s:%s", bin, getenv("PATH"));
	AUTO_FREE char *cache = str_format("%s/cache", world);

	world_program("7.2.22", "/bin/qemu-system-x86_64");
	setenv("PATH", path, 1);
	setenv("TAUT_CACHE", cache, 1);
	return rc;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(several_emulated_cpus_get_one_that_runs_code_as_it_is_now),
	};

	return cmocka_run_group_tests(tests, begin, world_end);
}
