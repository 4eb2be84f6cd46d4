/* SPDX-License-Identifier: GPL-3.0-or-later */
/* taut kernel: the kernels that virtual machines and emulated hosts can be booted with, and more of them. */
#include "cli.h"

#include <stdio.h>

#define WORDS_MAX 16

/* --- as JSON ------------------------------------------------------------------------------------- */

static json_t *text_or_null(const char *text)
{
	return *text ? json_string(text) : json_null();
}

static json_t *can_json(const struct kernel *k)
{
	json_t *can = k->configured ? json_array() : json_null();

	for (size_t i = 0; k->configured && i < KERNEL_ABILITIES_N; i++)
		if (k->can[i])
			json_array_append_new(can, json_string(kernel_ability_rows[i].name));
	return can;
}

static int add_json(const struct kernel *k, void *arg)
{
	json_t *o = json_object();

	json_object_set_new(o, "release", json_string(k->release));
	json_object_set_new(o, "version", json_string(k->version));
	json_object_set_new(o, "flavour", json_string(k->flavour));
	json_object_set_new(o, "preempt", json_string(k->preempt));
	json_object_set_new(o, "origin", json_string(k->origin));
	json_object_set_new(o, "path", json_string(k->path));
	json_object_set_new(o, "modules", text_or_null(k->modules));
	json_object_set_new(o, "can", can_json(k));
	json_array_append_new(arg, o);
	return 0;
}

static int say_kernels_json(json_t *kernels)
{
	json_t *document = json_object();

	json_object_set_new(document, "schema", json_string("taut.kernels/1"));
	json_object_set_new(document, "kernels", kernels);
	return say_json(document);
}

/* --- as a table ---------------------------------------------------------------------------------- */

enum { COLUMNS = 5 };

struct table {
	char **cells; /* COLUMNS a row; the first row is the head */
	size_t rows;
};

static void table_free(struct table *t)
{
	for (size_t i = 0; i < t->rows * COLUMNS; i++)
		free(t->cells[i]);
	free(t->cells);
}

static void table_row(struct table *t, const char *const cells[COLUMNS])
{
	t->cells = mem_grow(t->cells, (t->rows + 1) * COLUMNS, sizeof(*t->cells));
	for (size_t i = 0; i < COLUMNS; i++)
		t->cells[t->rows * COLUMNS + i] = str_dup(cells[i]);
	t->rows++;
}

static void table_print(const struct table *t, struct buf *out)
{
	size_t width[COLUMNS] = {0};

	for (size_t i = 0; i < t->rows * COLUMNS; i++)
		width[i % COLUMNS] = MAX(width[i % COLUMNS], strlen(t->cells[i]));
	for (size_t i = 0; i < t->rows * COLUMNS; i++) {
		bool last = i % COLUMNS == COLUMNS - 1;
		buf_add(out, "%-*s%s", last ? 0 : (int)width[i % COLUMNS], t->cells[i], last ? "\n" : "  ");
	}
}

/* The shorter of what it can do and what it cannot. */
static void can_text(const struct kernel *k, struct buf *out)
{
	size_t n = 0;

	for (size_t i = 0; i < KERNEL_ABILITIES_N; i++)
		n += k->can[i];
	bool without = n > KERNEL_ABILITIES_N / 2;
	if (!k->configured)
		buf_add(out, "not known: no configuration");
	else if (n == KERNEL_ABILITIES_N || n == 0)
		buf_add(out, n ? "everything" : "nothing");
	else if (without)
		buf_add(out, "all but");
	for (size_t i = 0; k->configured && n < KERNEL_ABILITIES_N && i < KERNEL_ABILITIES_N; i++)
		if (k->can[i] != without)
			buf_add(out, "%s%s", out->len ? " " : "", kernel_ability_rows[i].name);
	if (!k->modules[0])
		buf_add(out, "; it has no modules");
}

static int add_row(const struct kernel *k, void *arg)
{
	static const char *const head[COLUMNS] = {"kernel", "flavour", "preemption", "from", "can"};
	AUTO(buf_free) struct buf can = {0};
	struct table *t = arg;

	if (!t->rows)
		table_row(t, head);
	can_text(k, &can);
	table_row(t, (const char *const[COLUMNS]){k->release, k->flavour, k->preempt, k->origin, can.data});
	return 0;
}

static int list_table(bool brief, struct err *e)
{
	AUTO(table_free) struct table t = {0};
	AUTO(buf_free) struct buf out = {0};

	if (kernels_each(add_row, &t, e) < 0)
		return say_error(e);
	table_print(&t, &out);
	if (!t.rows)
		buf_add(&out, "no kernels here (try: taut kernel fetch)\n");
	else if (!brief) {
		buf_add(&out, "\n");
		for (size_t i = 0; i < KERNEL_ABILITIES_N; i++)
			buf_add(&out, "  %-13s%s\n", kernel_ability_rows[i].name,
				kernel_ability_rows[i].help);
	}
	return say_buf(&out);
}

static int list(const struct common *common)
{
	struct err e = ERR_INIT;

	if (!common->json)
		return list_table(common->quiet, &e);
	json_t *kernels = json_array();
	if (kernels_each(add_json, kernels, &e) == 0)
		return say_kernels_json(kernels);
	json_decref(kernels);
	return say_error(&e);
}

/* --- fetching ------------------------------------------------------------------------------------ */

static int say_fetched(const struct kernel *k)
{
	AUTO(buf_free) struct buf line = {0};

	buf_add(&line, "%s  %s  %s  %s\n", k->release, k->flavour, k->preempt, k->path);
	return say_buf(&line);
}

/* What has been fetched stays, whatever becomes of the others. */
static int fetch(struct common *common, const char *const *words, size_t n)
{
	json_t *kernels = json_array();
	int code = EXIT_DONE;

	for (size_t i = 0; i < n && code != EXIT_INTERRUPTED; i++) {
		struct err e = ERR_INIT;
		struct kernel k;
		int rc = kernel_fetch(&k, words[i], say_doing, common, &e);
		progress_line(NULL);
		int one = rc < 0 ? say_error(&e) : EXIT_DONE;
		if (rc == 0 && common->json)
			add_json(&k, kernels);
		else if (rc == 0)
			one = say_fetched(&k);
		code = one == EXIT_INTERRUPTED || code == EXIT_DONE ? one : code;
	}
	if (!common->json) {
		json_decref(kernels);
		return code;
	}
	int said = say_kernels_json(kernels);
	return code == EXIT_DONE ? said : code;
}

int verb_kernel(int argc, char **argv)
{
	static const char *const usual[] = {"stock", "rt"};
	struct common common = {0};
	const struct command_line line = {.args_doc = "list|fetch [KERNEL...]",
		.args_min = 1,
		.args_max = WORDS_MAX + 1,
		.takes = COMMON_JSON | COMMON_QUIET,
		.stoppable = true,
		.doc = "list shows the kernels that virtual machines and emulated hosts can be booted with: "
		       "those installed and those fetched.  "
		       "fetch gets Debian's kernels into the cache and installs nothing: "
		       "stock, rt, cloud, a version such as 6.1, or both, as in 6.1-rt.  Without KERNEL: stock and rt."};
	const char *args[WORDS_MAX + 1] = {NULL};
	size_t n = command_line_parse(&line, argc, argv, &common, args);

	if (!strcmp(args[0], "list")) {
		if (n > 1)
			usage_error(argv[0], "cannot list '%s': list takes no kernel", args[1]);
		return list(&common);
	}
	if (strcmp(args[0], "fetch") != 0)
		usage_error(argv[0], "cannot do '%s' with kernels: it is list or fetch", args[0]);
	for (size_t i = 1; i < n; i++)
		if (!kernel_fetchable(args[i]))
			usage_error(argv[0],
				"cannot fetch '%s': it is no flavour and no version (try: stock, rt, cloud, 6.1-rt)",
				args[i]);
	return n > 1 ? fetch(&common, args + 1, n - 1) : fetch(&common, usual, ARRAY_LEN(usual));
}
