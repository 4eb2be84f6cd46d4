/* SPDX-License-Identifier: GPL-3.0-or-later */
/* doc: a tree fits every terminal from 40 columns on, and means nothing but itself in Markdown. */
#include "doc/doc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define VERDICT "changed below threshold"

static struct doc_node *sample(void)
{
	struct doc_node *root = doc_new();

	doc_say(&root->title, "quick, run 1");
	struct doc_node *s = doc_add_section(root, "container/oci/bridge/tcp_rr");
	doc_add_line(
		s, "merged", "stock: p99.9 4.17 ms, max 12.5 ms, and more that needs a second line of text");
	struct doc_table *t = doc_add_table(s, 7)->table;
	doc_columns(t, "lrrrrrl", "0001230",
		(const char *const[]){
			"", "stock", "tuned", "change", "95 % interval", "p (Holm)", "verdict"});
	doc_row_add(t);
	for (size_t c = 0; c < 6; c++)
		doc_field(t, c, DOC_PLAIN, c == 4 ? "−13.1 … −11.8 %" : "median 1");
	doc_field(t, 6, DOC_GOOD, VERDICT);
	doc_field_note(t, 6, "(of 2.0 %)");
	return root;
}

static size_t widest(const char *text)
{
	size_t most = 0;

	while (*text) {
		AUTO_FREE char *line = str_format("%.*s", (int)strcspn(text, "\n"), text);
		most = doc_width(line) > most ? doc_width(line) : most;
		text += strcspn(text, "\n");
		text += *text == '\n';
	}
	return most;
}

static void no_width_breaks_a_verdict_or_a_number(void **state)
{
	AUTO(auto_doc) struct doc_node *root = sample();
	const struct doc_style style = {.depth = DOC_USUAL};

	(void)state;
	for (size_t columns = 40; columns <= 200; columns++) {
		AUTO(buf_free) struct buf b = {.columns = columns};

		doc_terminal(root, &style, &b);
		if (widest(b.data) > columns)
			fail_msg("%zu columns, a line of %zu:\n%s", columns, widest(b.data), b.data);
		if (!strstr(b.data, VERDICT) || !strstr(b.data, "4.17 ms") || !strstr(b.data, "12.5 ms"))
			fail_msg("broken at %zu columns:\n%s", columns, b.data);
	}
}

static void a_column_that_gives_way_is_named(void **state)
{
	AUTO(auto_doc) struct doc_node *root = sample();
	const struct doc_style style = {.depth = DOC_USUAL};
	AUTO(buf_free) struct buf b = {.columns = 40};
	AUTO(buf_free) struct buf wide = {.columns = 120};

	(void)state;
	doc_terminal(root, &style, &b);
	if (!strstr(b.data, "too narrow for:") || !strstr(b.data, "p (Holm)"))
		fail_msg("%s", b.data);
	doc_terminal(root, &style, &wide);
	if (strstr(wide.data, "too narrow for:"))
		fail_msg("%s", wide.data);
}

static void foreign_text_is_text_in_markdown(void **state)
{
	static const char *const bad[] = {"<script>", "[x]", " | a", "http://", "www.", "\033", "\n# "};
	AUTO(auto_doc) struct doc_node *root = doc_new();
	AUTO(buf_free) struct buf b = {0};
	const struct doc_style style = {.depth = DOC_USUAL};

	(void)state;
	struct doc_node *p = doc_add(root, DOC_PARAGRAPH);
	doc_piece(&p->text, DOC_PLAIN, DOC_FOREIGN, "<script>[x](http://y) | a www.y.z \033[1m\n# title");
	doc_markdown(root, &style, &b);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		if (strstr(b.data + 2, bad[i]))
			fail_msg("'%s' in: %s", bad[i], b.data);
}

static void what_is_deeper_than_asked_for_is_left_out(void **state)
{
	AUTO(auto_doc) struct doc_node *root = doc_new();
	AUTO(buf_free) struct buf b = {0};

	(void)state;
	doc_add_paragraph(root, "shown");
	doc_add_paragraph(root, "hidden");
	root->last->depth = DOC_USUAL;
	doc_terminal(root, &(struct doc_style){.depth = DOC_BRIEF}, &b);
	assert_string_equal(b.data, "shown\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_width_breaks_a_verdict_or_a_number),
		cmocka_unit_test(a_column_that_gives_way_is_named),
		cmocka_unit_test(foreign_text_is_text_in_markdown),
		cmocka_unit_test(what_is_deeper_than_asked_for_is_left_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
