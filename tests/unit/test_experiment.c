/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Experiments as they are read: where from, what is wrong with them and where that is said, what comes out.
 */
#include "run/run.h"
#include "sys/sys.h"
#include "test_keep.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/stat.h>

#include <cmocka.h>

#define HEAD  "name: x\n"
#define ARM   "arms: { a: {} }\n"
#define CELLS "cells: [{ target: native, workload: tcp_rr }]\n"

/* Text, and what the message must hold. */
static const struct {
	const char *text, *where, *what;
} wrong[] = {
	{"a: b: c\n", "test:1", ""},
	{"- a\n", "test:1", "an experiment must be a mapping"},
	{CELLS ARM, "test:1", "'name' is missing"},
	{HEAD ARM, "test:1", "'cells' is missing"},
	{HEAD CELLS, "test:2", "'arms' is missing, here and at the top"},
	{HEAD "cells:\n  - { arms: { a: {} } }\n  - { workload: udp_rr }\n", "test:4", "'arms' is missing"},
	{HEAD "cells: [{ arms: {} }]\n", "test:2", "at least one arm"},
	{HEAD "cells: [{ arms: [a] }]\n" ARM, "test:2", "arms must be a mapping"},
	{HEAD "cells: [{ arms: { a: { nosuch: 1 } } }]\n" ARM, "test:2", "nosuch"},
	{HEAD HEAD CELLS ARM, "test:2", "'name' stands here twice"},
	{HEAD "? [a]\n: 1\n" CELLS ARM, "test:2", "a key must be a word"},
	{"name: last\n" CELLS ARM, "test:1", "neither a number nor 'last'"},
	{"name: 12\n" CELLS ARM, "test:1", "neither a number nor 'last'"},
	{"name: a b\n" CELLS ARM, "test:1", "must be a word"},
	{HEAD "blocks: 0\n" CELLS ARM, "test:2", "from 1 to 1000, not 0"},
	{HEAD "blocks: []\n" CELLS ARM, "test:2", "from 1 to 1000"},
	{HEAD "seed: x\n" CELLS ARM, "test:2", "whole number"},
	{HEAD "trial: 5\n" CELLS ARM, "test:2", "trial must be a mapping"},
	{HEAD "block: 5\n" CELLS ARM, "test:2", "'block' is not known here"},
	{HEAD "zzzzzzzz: 5\n" CELLS ARM, "test:2", "'zzzzzzzz' is not known here"},
	{HEAD "trial: { request: x }\n" CELLS ARM, "test:2", "request"},
	{HEAD "trial:\n  nosuch: 1\n" CELLS ARM, "test:3", "nosuch"},
	{HEAD "request: [1]\n" CELLS ARM, "test:2", "request must be a single value"},
	{HEAD "cells: 5\n" ARM, "test:2", "cells must be a list"},
	{HEAD "cells: []\n" ARM, "test:2", "1 to 500 cells, not 0"},
	{HEAD "cells: [5]\n" ARM, "test:2", "a cell must be a mapping"},
	{HEAD "cells: [{ workload: [] }]\n" ARM, "test:2", "the list of workload is empty"},
	{HEAD "cells:\n  - { workload: tcp_rr }\n  - { workload: tcp_rr }\n" ARM, "test:4", "is there twice"},
	{HEAD "cells: [{ workload: [tcp_rr, nosuch] }]\n" ARM, "test:2", "nosuch"},
	{HEAD CELLS "arms: 5\n", "test:3", "arms must be a mapping"},
	{HEAD CELLS "arms: {}\n", "test:3", "at least one arm"},
	{HEAD CELLS "arms: { a: 5 }\n", "test:3", "an arm must be a mapping"},
	{HEAD CELLS "arms: { a: { nosuch: 1 } }\n", "test:3", "nosuch"},
	{HEAD CELLS "arms: { a: {}, b: { target: moon } }\n", "test:2", "arm b"},
	{HEAD CELLS ARM "---\nname: y\n", "test:4", "a second document"},
	{HEAD CELLS ARM "...\n---\n", "test:5", "a second document"},
	{HEAD CELLS "arms: { a: { boot: \"quiet\\0isolcpus=1\" } }\n", "test:3", "NUL"},
	{HEAD CELLS "arms:\n  \"a\\0b\": {}\n", "test:4", "NUL"},
	{HEAD CELLS "arms:\n  a: {}\n  # caf\xe9\n", "test:5", "UTF-8"},
	{HEAD CELLS "arms:\n  a: {}\n  # bell \a\n", "test:5", "control characters"},
	{HEAD CELLS "arms:\n  \"\\e[2J\": {}\n", "test:4", "cannot be shown"},
};

static void what_is_wrong_is_said_with_its_line(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		struct experiment x = {.blocks = 77};
		struct err e = ERR_INIT;
		int rc = experiment_parse(&x, "test", wrong[i].text, strlen(wrong[i].text), NULL, 0, &e);
		if (rc != -EINVAL || e.exit != EXIT_USAGE || !str_starts(e.text, wrong[i].where) ||
			!strstr(e.text, wrong[i].what))
			fail_msg("%s\ngives %d, '%s'; wanted '%s' and '%s'", wrong[i].text, rc, e.text,
				wrong[i].where, wrong[i].what);
		assert_int_equal(x.blocks, 77); /* left as it was */
	}
}

/* Arms of the same name and the same overrides are one, wherever they stand; the baseline is the first that
 * the cell names. */
static void a_cell_may_have_arms_of_its_own(void **state)
{
	static const char text[] =
		HEAD "cells:\n"
		     "  - { workload: [tcp_rr, udp_rr] }\n"
		     "  - { workload: tcp_rr, request: 9, arms: &own { b: { mtu: 1400 }, c: {} } }\n"
		     "  - { workload: udp_rr, request: 9, arms: *own }\n"
		     "arms: { a: {}, b: { mtu: 1300 }, c: {} }\n";
	static const struct {
		uint64_t mtu[4]; /* a, b, c, and the other b */
		size_t arms[3], arms_n;
	} cells[] = {
		{{0, 1300, 0, 0}, {0, 1, 2}, 3},
		{{0, 1300, 0, 0}, {0, 1, 2}, 3},
		{{0, 0, 0, 1400}, {3, 2}, 2},
		{{0, 0, 0, 1400}, {3, 2}, 2},
	};
	struct experiment x;
	struct err e = ERR_INIT;

	(void)state;
	if (experiment_parse(&x, "test", text, strlen(text), NULL, 0, &e) < 0)
		fail_msg("%s", e.text);
	assert_int_equal(x.arms_n, 4);
	assert_int_equal(x.cells_n, ARRAY_LEN(cells));
	for (size_t c = 0; c < x.cells_n; c++) {
		assert_int_equal(x.cells[c].arms_n, cells[c].arms_n);
		size_t has = 0;
		for (size_t a = 0; a < x.arms_n; a++)
			has += cell_has(&x.cells[c], a);
		assert_int_equal(has, cells[c].arms_n);
		for (size_t i = 0; i < cells[c].arms_n; i++) {
			size_t a = cells[c].arms[i];
			assert_int_equal(x.cells[c].arms[i], a);
			assert_int_equal(x.cells[c].settings[a].mtu, cells[c].mtu[a]);
		}
	}
	json_t *spec = experiment_json(&x);
	const json_t *all = json_object_get(spec, "cells");
	assert_int_equal(json_array_size(json_object_get(json_array_get(all, 0), "settings")), 3);
	assert_int_equal(json_array_size(json_object_get(json_array_get(all, 2), "settings")), 2);
	assert_int_equal(
		json_integer_value(json_array_get(json_object_get(json_array_get(all, 2), "arms"), 0)), 3);
	json_decref(spec);
	experiment_free(&x);
}

/* Where a cell names all arms in another order, its baseline is another one, and the document says so. */
static void a_cell_may_begin_with_another_arm(void **state)
{
	static const char text[] = HEAD "cells:\n"
					"  - { workload: tcp_rr }\n"
					"  - { workload: udp_rr, arms: { b: { mtu: 1300 }, a: {} } }\n"
					"arms: { a: {}, b: { mtu: 1300 } }\n";
	struct experiment x;
	struct err e = ERR_INIT;

	(void)state;
	if (experiment_parse(&x, "test", text, strlen(text), NULL, 0, &e) < 0)
		fail_msg("%s", e.text);
	assert_int_equal(x.arms_n, 2);
	assert_int_equal(x.cells[0].arms[0], 0);
	assert_int_equal(x.cells[1].arms[0], 1);
	json_t *spec = experiment_json(&x);
	const json_t *all = json_object_get(spec, "cells"), *second = json_array_get(all, 1);
	assert_null(json_object_get(json_array_get(all, 0), "arms"));
	assert_int_equal(json_integer_value(json_array_get(json_object_get(second, "arms"), 0)), 1);
	const json_t *first = json_array_get(json_object_get(second, "settings"), 0);
	assert_int_equal(json_integer_value(json_object_get(first, "mtu")), 1300);
	json_decref(spec);
	experiment_free(&x);
}

/* Of a setting with one value only, as the devices of taut run. */
static void an_override_may_be_meant_for_one_value(void **state)
{
	static const char text[] = HEAD
		"cells:\n"
		"  - { target: container, attachment: bridge, workload: tcp_rr }\n"
		"  - { target: container, attachment: device, device: spare, client_device: spare, workload: tcp_rr }\n"
		"  - { target: container, site: lab, attachment: device, device: igb, workload: tcp_rr }\n" ARM;
	static const struct setting_override overrides[] = {
		{"device", "eth2", DEVICE_SPARE}, {"client_device", "eth3", DEVICE_SPARE}};
	static const char *const devices[][2] = {{"", ""}, {"eth2", "eth3"}, {"igb", "igb"}};
	struct experiment x;
	struct err e = ERR_INIT;

	(void)state;
	if (experiment_parse(&x, "test", text, strlen(text), overrides, ARRAY_LEN(overrides), &e) < 0)
		fail_msg("%s", e.text);
	for (size_t c = 0; c < x.cells_n; c++) {
		assert_string_equal(x.cells[c].settings[0].device, devices[c][0]);
		assert_string_equal(x.cells[c].settings[0].client_device, devices[c][1]);
	}
	experiment_free(&x);
}

static void there_may_be_just_so_many_arms_and_cells(void **state)
{
	AUTO(buf_free) struct buf arms = {0}, cells = {0};
	struct experiment x;
	struct err e = ERR_INIT;

	(void)state;
	buf_add(&arms, "%s%sarms:\n", HEAD, CELLS);
	for (int i = 0; i < 17; i++)
		buf_add(&arms, "  a%d: {}\n", i);
	assert_int_equal(experiment_parse(&x, "test", arms.data, arms.len, NULL, 0, &e), -EINVAL);
	assert_string_equal(e.text, "test:20: more than 16 arms");
	AUTO(buf_free) struct buf shared = {0};
	buf_add(&shared, HEAD "cells:\n  - { workload: tcp_rr, arms: &all {");
	for (int i = 0; i < 16; i++)
		buf_add(&shared, "%s a%d: {}", i ? "," : "", i);
	buf_add(&shared, " } }\n  - { workload: udp_rr, arms: *all }\n");
	if (experiment_parse(&x, "test", shared.data, shared.len, NULL, 0, &e) < 0)
		fail_msg("%s", e.text);
	assert_int_equal(x.arms_n, 16);
	experiment_free(&x);
	buf_add(&cells, "%s%scells: [{ workload: tcp_rr, mtu: [", HEAD, ARM);
	for (int i = 0; i < 501; i++)
		buf_add(&cells, "%s%d", i ? ", " : "", 1000 + i);
	buf_add(&cells, "] }]\n");
	assert_int_equal(experiment_parse(&x, "test", cells.data, cells.len, NULL, 0, &e), -EINVAL);
	assert_string_equal(e.text, "test:3: more than 500 cells");
	AUTO_FREE char *name = str_format("%s%sarms: { %080d: {} }\n", HEAD, CELLS, 7);
	assert_int_equal(experiment_parse(&x, "test", name, strlen(name), NULL, 0, &e), -EINVAL);
	assert_string_equal(e.text, "test:3: the name of an arm has at most 63 characters");
}

/* Defaults, the top, the cell, the arm, --set: the later one counts. */
/* libyaml alone takes a minute for this, and hears no signal. */
static void deep_nesting_ends_at_once(void **state)
{
	AUTO(buf_free) struct buf text = {0};
	struct experiment x;
	struct err e = ERR_INIT;
	uint64_t begin = time_now_ns();

	(void)state;
	buf_add(&text, HEAD "cells:\n  ");
	for (int i = 0; i < 100000; i++)
		buf_put(&text, "[", 1);
	assert_int_equal(experiment_parse(&x, "test", text.data, text.len, NULL, 0, &e), -EINVAL);
	if (!strstr(e.text, "test:3: nested more than 64 deep"))
		fail_msg("'%s'", e.text);
	uint64_t took = time_now_ns() - begin;
	if (took > 10 * NS_PER_S)
		fail_msg("it took %llu ms", (unsigned long long)(took / NS_PER_MS));
}

static void cells_with_long_values_have_names_of_their_own(void **state)
{
	AUTO(buf_free) struct buf text = {0};
	AUTO(experiment_free) struct experiment x = {0};
	struct err e = ERR_INIT;

	(void)state;
	buf_add(&text, HEAD ARM "cells: [{ target: vm, boot: [");
	for (int i = 0; i < 2; i++) {
		for (int k = 0; k < 100; k++)
			buf_add(&text, "µ%d", k);
		buf_add(&text, "%s", i ? "b]}]\n" : "a, ");
	}
	if (experiment_parse(&x, "test", text.data, text.len, NULL, 0, &e) < 0)
		fail_msg("%s", e.text);
	assert_int_equal(x.cells_n, 2);
	for (int i = 0; i < 2; i++) {
		AUTO_FREE char *shown = str_printable(str_dup(x.cells[i].name));
		assert_string_equal(shown, x.cells[i].name); /* no half character */
		if (!strstr(shown, "/tcp_rr/boot=µ0µ1") || !strstr(shown, "…#") || strlen(shown) < 180)
			fail_msg("'%s'", shown);
	}
	assert_string_not_equal(x.cells[0].name, x.cells[1].name);
}

/* A name holds what the cell says of itself, as far as it tells it from another one of this head. */
static void names_hold_what_tells_cells_apart(void **state)
{
	static const struct setting_override same = {"mtu", "1400"};
	static const struct {
		const char *text;
		const struct setting_override *override;
		const char *names[3];
	} rows[] = {
		{"cells: [{ workload: [tcp_rr, udp_rr], mtu: 1400 }]\n" ARM, NULL,
			{"native/veth/tcp_rr", "native/veth/udp_rr"}},
		{"cells: [{ mtu: [1300, 1400], request: 9 }, { workload: udp_rr, mtu: 1300 }]\n" ARM, NULL,
			{"native/veth/tcp_rr/mtu=1300", "native/veth/tcp_rr/mtu=1400", "native/veth/udp_rr"}},
		{"cells: [{ workload: tcp_rr }, { workload: tcp_rr, request: 9 }]\n" ARM, NULL,
			{"native/veth/tcp_rr", "native/veth/tcp_rr/request=9"}},
		/* An arm that sets the same does not make the cells one. */
		{"cells: [{ arms: { a: { mtu: 1400 } } }, { mtu: 1400, arms: { a: {} } }]\n", NULL,
			{"native/veth/tcp_rr", "native/veth/tcp_rr/mtu=1400"}},
		{"cells: [{ workload: [tcp_rr, udp_rr], mtu: 1300 }]\n" ARM, &same,
			{"native/veth/tcp_rr", "native/veth/udp_rr"}},
		{"cells: [{ attachment: veth }, { attachment: bridge, arms: { a: { attachment: veth }, b: {} } }]\n" ARM,
			NULL, {"native/veth/tcp_rr", "native/bridge/tcp_rr"}},
		/* The rate of an arm is not the cell's. */
		{"cells: [{ arms: { slow: { rate: 1000 }, fast: { rate: 2000 } } }, { rate: 1000, arms: { a: {} } }]\n",
			NULL, {"native/veth/tcp_rr", "native/veth/tcp_rr@1000"}},
		{"cells: [{ target: vm, arms: { a: { path: vhost }, b: {} } }]\n", NULL,
			{"vm/bridge/vhost/tcp_rr"}},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		AUTO(experiment_free) struct experiment x = {0};
		struct err e = ERR_INIT;
		AUTO_FREE char *text = str_format(HEAD "%s", rows[i].text);
		if (experiment_parse(&x, "test", text, strlen(text), rows[i].override,
			    rows[i].override ? 1 : 0, &e) < 0)
			fail_msg("%s: %s", rows[i].text, e.text);
		for (size_t c = 0; c < x.cells_n; c++)
			assert_string_equal(x.cells[c].name, rows[i].names[c]);
		assert_true(x.cells_n == ARRAY_LEN(rows[i].names) || !rows[i].names[x.cells_n]);
	}
}

static void reading_ends_when_it_is_told_to_stop(void **state)
{
	struct experiment x;
	struct err e = ERR_INIT;

	(void)state;
	stop_flag = 1;
	int rc = experiment_parse(&x, "test", HEAD CELLS ARM, strlen(HEAD CELLS ARM), NULL, 0, &e);
	stop_flag = 0;
	assert_int_equal(rc, -EINTR);
}

static void values_are_layered(void **state)
{
	static const char text[] =
		"name: layers\nrequest: 2\nreply: 2\ntrial: { size: 4K }\n"
		"cells: [{ target: native, workload: udp_rr, reply: 3, rate: 50, mtu: 1400 }]\n"
		"arms: { a: ~, b: { mtu: 1300, nodelay: no } }\n";
	const struct setting_override set = {"port", "7000"}, bad = {"port", "x"};
	struct experiment x;
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(experiment_parse(&x, "test", text, strlen(text), &bad, 1, &e), -EINVAL);
	if (experiment_parse(&x, "test", text, strlen(text), &set, 1, &e) < 0)
		fail_msg("%s", e.text);
	assert_int_equal(x.cells_n, 1);
	assert_int_equal(x.arms_n, 2);
	assert_string_equal(x.cells[0].name, "native/veth/udp_rr@50");
	const struct settings *a = &x.cells[0].settings[0], *b = &x.cells[0].settings[1];
	assert_int_equal(a->request_bytes, 2);
	assert_int_equal(a->reply_bytes, 3);
	assert_int_equal(a->size_bytes, 4096);
	assert_int_equal(a->mtu, 1400);
	assert_int_equal(b->mtu, 1300);
	assert_int_equal(a->port, 7000);
	assert_int_equal(b->port, 7000);
	json_t *document = experiment_json(&x);
	assert_int_equal(json_array_size(json_object_get(document, "cells")), 1);
	assert_int_equal(json_array_size(json_object_get(document, "arms")), 2);
	json_decref(document);
	experiment_free(&x);
}

/* --- where they come from ---------------------------------------------------------------------- */

static void load_builtin(const char *name, const char *help, void *arg)
{
	struct experiment x;
	struct err e = ERR_INIT;

	assert_true(*help);
	if (experiment_load(&x, name, NULL, 0, &e) < 0)
		fail_msg("%s: %s", name, e.text);
	assert_true(x.cells_n > 0 && x.arms_n > 0);
	assert_string_equal(x.name, name);
	experiment_free(&x);
	++*(size_t *)arg;
}

static void every_built_in_experiment_can_be_read(void **state)
{
	size_t n = 0;

	(void)state;
	experiments_each(load_builtin, &n);
	assert_true(n >= 5);
}

static void a_name_that_is_none_is_answered_with_the_closest(void **state)
{
	struct experiment x;
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(experiment_load(&x, "quik", NULL, 0, &e), -EINVAL);
	assert_int_equal(e.exit, EXIT_USAGE);
	assert_string_equal(e.advice, "taut run quick");
	e = (struct err)ERR_INIT;
	assert_int_equal(experiment_load(&x, "xylophone", NULL, 0, &e), -EINVAL);
	assert_string_equal(e.advice, "taut list experiments");
}

static void a_file_is_read_when_it_is_one_and_nobody_else_can_write_it(void **state)
{
	static const char text[] = HEAD CELLS ARM;
	char path[] = "/tmp/taut-experiment-XXXXXX";
	struct experiment x;
	struct err e = ERR_INIT;
	int fd = keep_file(path);

	(void)state;
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	if (experiment_load(&x, path, NULL, 0, &e) < 0)
		fail_msg("%s", e.text);
	assert_string_equal(x.name, "x");
	experiment_free(&x);
	assert_int_equal(fchmod(fd, 0666), 0);
	int rc = experiment_load(&x, path, NULL, 0, &e);
	if (is_privileged()) {
		assert_int_equal(rc, -EPERM);
		assert_int_equal(e.exit, EXIT_REFUSED);
		assert_non_null(strstr(e.text, "others can write it"));
	} else {
		assert_int_equal(rc, 0);
		experiment_free(&x);
	}
	assert_int_equal(fchmod(fd, 0600), 0);
	assert_int_equal(ftruncate(fd, (1 << 20) + 1), 0);
	assert_int_equal(experiment_load(&x, path, NULL, 0, &e), -EINVAL);
	assert_non_null(strstr(e.text, "larger than"));
	if (is_privileged()) {
		assert_int_equal(fchown(fd, 12345, 12345), 0);
		assert_int_equal(experiment_load(&x, path, NULL, 0, &e), -EPERM);
		assert_non_null(strstr(e.text, "belongs to user 12345"));
	}
	close(fd);
	unlink(path);
	assert_int_equal(experiment_load(&x, path, NULL, 0, &e), -ENOENT);
	assert_int_equal(e.exit, EXIT_USAGE);
	assert_int_equal(experiment_load(&x, "/tmp/", NULL, 0, &e), -EINVAL);
	assert_non_null(strstr(e.text, "it is not a file"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_wrong_is_said_with_its_line),
		cmocka_unit_test(a_cell_may_have_arms_of_its_own),
		cmocka_unit_test(a_cell_may_begin_with_another_arm),
		cmocka_unit_test(an_override_may_be_meant_for_one_value),
		cmocka_unit_test(there_may_be_just_so_many_arms_and_cells),
		cmocka_unit_test(deep_nesting_ends_at_once),
		cmocka_unit_test(cells_with_long_values_have_names_of_their_own),
		cmocka_unit_test(names_hold_what_tells_cells_apart),
		cmocka_unit_test(reading_ends_when_it_is_told_to_stop),
		cmocka_unit_test(values_are_layered),
		cmocka_unit_test(every_built_in_experiment_can_be_read),
		cmocka_unit_test(a_name_that_is_none_is_answered_with_the_closest),
		cmocka_unit_test(a_file_is_read_when_it_is_one_and_nobody_else_can_write_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
