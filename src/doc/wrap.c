/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Text in lines of a terminal.  The pieces are laid end to end, each byte with the mark of its piece; lines
 * break at blanks only, but never inside a figure or between a number and its unit.  A word that is wider
 * than the terminal is left whole: the terminal breaks it, and what is copied from there is the word.
 */
#include "doc.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define HELD '\001' /* a blank at which no line may break */

size_t doc_width(const char *text)
{
	size_t n = 0;

	for (; *text; text++)
		n += ((unsigned char)*text & 0xc0) != 0x80;
	return n;
}

void doc_paint(enum doc_mark mark, const char *text, const struct doc_style *style, struct buf *out)
{
	static const char *const codes[DOC_MARKS] = {
		[DOC_STRONG] = "1", [DOC_DIM] = "2", [DOC_GOOD] = "32", [DOC_BAD] = "31"};

	if (style->colour && codes[mark] && *text)
		buf_add(out, "\033[%sm%s\033[0m", codes[mark], text);
	else
		buf_add(out, "%s", text);
}

/* Does a unit begin here, which belongs to the number before it? */
static bool unit_at(const char *text)
{
	static const char *const units[] = {"ns", "µs", "ms", "s", "min", "h", "B", "KiB", "MiB", "GiB",
		"b/s", "kb/s", "Mb/s", "Gb/s", "%"};

	for (size_t i = 0; i < ARRAY_LEN(units); i++) {
		size_t n = strlen(units[i]);
		if (!strncmp(text, units[i], n) && !isalnum((unsigned char)text[n]))
			return true;
	}
	return false;
}

struct flat {
	char *text;
	unsigned char *marks;
	size_t len;
};

static struct flat flatten(const struct doc_text *text)
{
	struct flat f = {0};

	for (size_t i = 0; i < text->n; i++) {
		const struct doc_piece *p = &text->pieces[i];
		AUTO_FREE char *clean = str_printable(str_dup(p->text));
		size_t len = strlen(clean);

		f.text = mem_grow(f.text, f.len + len + 1, 1);
		f.marks = mem_grow(f.marks, f.len + len + 1, 1);
		for (size_t k = 0; k < len; k++) {
			f.text[f.len + k] = clean[k] == ' ' && p->kind == DOC_FIGURE ? HELD : clean[k];
			f.marks[f.len + k] = (unsigned char)p->mark;
		}
		f.len += len;
		f.text[f.len] = 0;
	}
	for (size_t i = 1; i + 1 < f.len; i++)
		if (f.text[i] == ' ' && isdigit((unsigned char)f.text[i - 1]) && unit_at(f.text + i + 1))
			f.text[i] = HELD;
	return f;
}

/* Bytes of a line, painted a run of equal marks at a time. */
static void print(
	const struct flat *f, size_t from, size_t to, const struct doc_style *style, struct buf *out)
{
	while (from < to) {
		size_t end = from + 1;

		while (end < to && f->marks[end] == f->marks[from])
			end++;
		AUTO_FREE char *run = str_format("%.*s", (int)(end - from), f->text + from);
		for (char *c = run; *c; c++)
			*c = *c == HELD ? ' ' : *c;
		doc_paint((enum doc_mark)f->marks[from], run, style, out);
		from = end;
	}
}

static size_t width_of(const char *text, size_t len)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++)
		n += ((unsigned char)text[i] & 0xc0) != 0x80;
	return n;
}

void doc_wrap(const struct doc_text *text, const char *head, const struct doc_style *style, struct buf *out)
{
	struct flat f = flatten(text);
	size_t indent = doc_width(head), most = out->columns ? MIN(out->columns, DOC_WIDTH) : DOC_WIDTH;
	size_t line = 0, end = 0, at = indent; /* the line so far is [line, end) */

	buf_add(out, "%s", head);
	while (end < f.len) {
		size_t blanks = strspn(f.text + end, " "), word = strcspn(f.text + end + blanks, " ");
		size_t width = width_of(f.text + end + blanks, word);

		if (end > line && at + blanks + width > most) {
			print(&f, line, end, style, out);
			buf_add(out, "\n%*s", (int)indent, "");
			line = end + blanks;
			at = indent;
			blanks = 0;
			end = line;
		}
		at += blanks + width;
		end += blanks + word;
	}
	print(&f, line, end, style, out);
	buf_add(out, "\n");
	free(f.text);
	free(f.marks);
}
