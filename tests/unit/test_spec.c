/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "spec/spec.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

/* "key value" pairs; NULL ends them. */
static int settings_of(struct settings *s, const char *const *words, struct err *e)
{
	int rc = 0;

	settings_init(s);
	for (; rc == 0 && words[0]; words += 2)
		rc = setting_set(s, words[0], words[1], e);
	return rc < 0 ? rc : settings_check(s, e);
}

static void devices_go_with_their_attachments(void **state)
{
	static const struct {
		const char *words[14];
		const char *path, *text; /* the path that follows; NULL: it is refused so */
	} rows[] = {
		{{"attachment", "device", "device", "eth2", "client_device", "eth3"}, "", NULL},
		{{"attachment", "macvlan", "device", "eth2"}, "", NULL},
		{{"attachment", "macvlan"}, "", NULL},
		{{"target", "vm", "attachment", "macvlan"}, "virtio", NULL},
		{{"target", "vm", "attachment", "vf", "device", "eth2", "client_device", "eth3"}, "vfio",
			NULL},
		{{"target", "vm", "attachment", "vf", "device", "eth2", "client_device", "eth3", "path",
			 "vfio"},
			"vfio", NULL},
		{{"site", "lab", "attachment", "vf", "device", "igb"}, "", NULL},
		{{"target", "vm", "attachment", "vf", "device", "eth2", "client_device", "eth3", "path",
			 "vhost"},
			NULL, "cannot use path vhost with attachment vf: the machine has the device itself"},
		{{"target", "vm", "path", "vfio"}, NULL,
			"cannot use path vfio with attachment bridge: no device is passed to a machine"},
		{{"attachment", "device"}, NULL,
			"cannot use attachment device without a device (try: device eth2)"},
		{{"attachment", "vf", "device", "eth2"}, NULL,
			"cannot use attachment vf without client_device: "
			"the client needs the device at the other end of the cable"},
		{{"attachment", "macvlan", "client_device", "eth3"}, NULL,
			"cannot use client_device 'eth3' without device"},
		{{"device", "eth2"}, NULL,
			"cannot use device 'eth2' with attachment veth: it takes none (try: attachment device)"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct err e = ERR_INIT;
		struct settings s;
		int rc = settings_of(&s, rows[i].words, &e);
		if (rows[i].text) {
			assert_true(rc < 0);
			assert_string_equal(e.text, rows[i].text);
			assert_int_equal(e.exit, EXIT_USAGE);
			continue;
		}
		if (rc < 0)
			fail_msg("row %zu: %s", i, e.text);
		assert_string_equal(s.path, rows[i].path);
		/* On an emulated host both are of the model that is named. */
		if (settings_lab(&s))
			assert_string_equal(s.client_device, s.device);
	}
}

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

static void settings_make(struct settings *s, const char *key, const char *value)
{
	struct err e = ERR_INIT;

	settings_init(s);
	assert_int_equal(setting_set(s, "share", "target", &e), 0);
	assert_int_equal(setting_set(s, key, value, &e), 0);
}

/* What the target, its links, its capabilities or the tuning are made from must be the same. */
static void a_target_is_shared_by_what_differs_in_its_ends_alone(void **state)
{
	static const struct {
		const char *key, *value;
		bool shares;
	} rows[] = {
		{"workload", "udp_rr", true},
		{"rate", "100", true},
		{"pacing", "open", true},
		{"transactions", "7", true},
		{"duration", "7s", true},
		{"warmup", "7ms", true},
		{"request", "7", true},
		{"size", "7", true},
		{"flows", "7", true},
		{"burst", "7", true},
		{"nodelay", "no", true},
		{"port", "7", true},
		{"timeout", "7s", true},
		{"target", "vm", false},
		{"kernel", "rt", false},
		{"mtu", "700", false},
		{"ipv6", "yes", false},
		{"busy_poll", "7", false},
		{"congestion", "reno", false},
		{"profile", "low-latency", false},
		{"client_cpu", "1", false},
		{"sched", "fifo:7", false},
		{"noise", "cpu", false},
		{"site", "lab", false},
	};
	struct settings s, other;

	(void)state;
	settings_make(&s, "share", "target");
	assert_true(settings_share(&s, &s));
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		settings_make(&other, rows[i].key, rows[i].value);
		if (settings_share(&s, &other) != rows[i].shares)
			fail_msg("%s: %d", rows[i].key, !rows[i].shares);
	}
	settings_make(&other, "tool", "iperf3");
	assert_false(settings_share(&other, &other));
	settings_init(&other);
	assert_false(settings_share(&s, &other)); /* which does not ask for it */
	assert_false(settings_share(&other, &other));
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
		cmocka_unit_test(devices_go_with_their_attachments),
		cmocka_unit_test(words_have_any_length),
		cmocka_unit_test(boot_arguments_are_no_longer_than_the_kernel_takes_them),
		cmocka_unit_test(a_target_is_shared_by_what_differs_in_its_ends_alone),
		cmocka_unit_test(what_cannot_be_shown_is_no_value),
		cmocka_unit_test(the_same_word_is_kept_once),
	};

	return cmocka_run_group_tests_name("spec", tests, NULL, NULL);
}
