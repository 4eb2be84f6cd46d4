/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "text.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>

#define NOTHING "–"
#define MINUS   "−"

char *text_ns(double ns, char *out, size_t size)
{
	if (isfinite(ns))
		return time_format_ns(ns, out, size);
	snprintf(out, size, NOTHING);
	return out;
}

char *text_exact_ns(double ns, char *out, size_t size)
{
	double most = fabs(ns);

	if (!isfinite(ns))
		snprintf(out, size, NOTHING);
	else if (most < 1)
		snprintf(out, size, "%.3g ns", ns);
	else if (most < 999.5)
		snprintf(out, size, "%.0f ns", ns);
	else if (most < 1e6 - 0.5)
		snprintf(out, size, "%.3f µs", ns / 1e3);
	else if (most < 1e9 - 0.5)
		snprintf(out, size, "%.6f ms", ns / 1e6);
	else
		snprintf(out, size, "%.9f s", ns / 1e9);
	return out;
}

char *text_bps(double bps, char *out, size_t size)
{
	static const struct {
		double bps;
		const char *unit;
	} scales[] = {{1e9, "Gb/s"}, {1e6, "Mb/s"}, {1e3, "kb/s"}, {1, "b/s"}};
	size_t i = 0;

	if (!isfinite(bps)) {
		snprintf(out, size, NOTHING);
		return out;
	}
	while (i + 1 < ARRAY_LEN(scales) && fabs(bps) < scales[i].bps * 0.9995)
		i++;
	double value = bps / scales[i].bps;
	int digits = fabs(value) >= 99.95 ? 0 : fabs(value) >= 9.995 ? 1 : 2;
	snprintf(out, size, "%.*f %s", digits, value, scales[i].unit);
	return out;
}

char *text_count(uint64_t n, char *out, size_t size)
{
	char digits[24];
	size_t len = (size_t)snprintf(digits, sizeof(digits), "%llu", (unsigned long long)n), at = 0;

	/* Groups of three from five digits on. */
	for (size_t i = 0; i < len && at + 2 < size; i++) {
		if (len > 4 && i && (len - i) % 3 == 0)
			out[at++] = ' ';
		out[at++] = digits[i];
	}
	out[at] = 0;
	return out;
}

char *text_bytes(uint64_t n, char *out, size_t size)
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB"};
	size_t i = 0;

	while (i + 1 < ARRAY_LEN(units) && n >= 1024 && n % 1024 == 0) {
		n /= 1024;
		i++;
	}
	snprintf(out, size, "%llu %s", (unsigned long long)n, units[i]);
	return out;
}

char *text_value(enum stat_metric metric, double value, char *out, size_t size)
{
	if (!isfinite(value)) {
		snprintf(out, size, NOTHING);
		return out;
	}
	switch (stat_metrics[metric].unit) {
	case STAT_NS:
		return text_ns(value, out, size);
	case STAT_BPS:
		return text_bps(value, out, size);
	case STAT_PER_S:
		snprintf(out, size, "%.0f /s", value);
		break;
	case STAT_FRACTION:
		snprintf(out, size, "%.3g %%", value * 100);
		break;
	}
	return out;
}

char *text_exact(enum stat_metric metric, double value, char *out, size_t size)
{
	return stat_metrics[metric].unit == STAT_NS ? text_exact_ns(value, out, size)
						    : text_value(metric, value, out, size);
}

char *text_exact_difference(enum stat_metric metric, double value, char *out, size_t size)
{
	char number[48];

	if (stat_metrics[metric].unit != STAT_NS || !isfinite(value))
		return text_difference(metric, value, out, size);
	snprintf(out, size, "%s%s",
		value < 0   ? MINUS
		: value > 0 ? "+"
			    : "",
		text_exact_ns(fabs(value), number, sizeof(number)));
	return out;
}

/* Is this change told in per cent, or as so many times the old value, or the new one? */
static bool in_percent(double change)
{
	return isfinite(change) && change < 9 && change > -10;
}

/* A change in per cent, without the unit. */
static char *percent_text(double change, char *out, size_t size)
{
	double percent = fabs(change) * 100;
	const char *sign = percent < 0.05 ? "" : change < 0 ? MINUS : "+";

	snprintf(out, size, "%s%.*f", sign, percent >= 99.95 ? 0 : 1, percent < 0.05 ? 0.0 : percent);
	return out;
}

char *text_change(double change, char *out, size_t size)
{
	char number[32];

	if (in_percent(change))
		snprintf(out, size, "%s %%", percent_text(change, number, sizeof(number)));
	else if (!isfinite(change))
		snprintf(out, size, NOTHING);
	else if (change > 0)
		snprintf(out, size, "×%.*f", change >= 99 ? 0 : 1, change + 1);
	else /* of the new value, when little is left of the old one */
		snprintf(out, size, MINUS "%.0f×", -change);
	return out;
}

char *text_changes(double low, double high, char *out, size_t size)
{
	char a[32], b[32];

	if (in_percent(low) && in_percent(high))
		percent_text(low, a, sizeof(a));
	else
		text_change(low, a, sizeof(a));
	snprintf(out, size, "%s … %s", a, text_change(high, b, sizeof(b)));
	return out;
}

char *text_difference(enum stat_metric metric, double value, char *out, size_t size)
{
	char number[48];

	if (!isfinite(value)) {
		snprintf(out, size, NOTHING);
		return out;
	}
	if (stat_metrics[metric].unit == STAT_FRACTION)
		snprintf(number, sizeof(number), "%.3g pp", fabs(value) * 100);
	else
		text_value(metric, fabs(value), number, sizeof(number));
	snprintf(out, size, "%s%s", value < 0 ? MINUS : value > 0 ? "+" : "", number);
	return out;
}

char *text_p(double p, char *out, size_t size)
{
	if (!isfinite(p))
		snprintf(out, size, NOTHING);
	else if (p < 0.0001)
		snprintf(out, size, "<0.0001");
	else
		snprintf(out, size, "%.*f", p < 0.1 ? 4 : 2, p);
	return out;
}

size_t text_width(const char *text)
{
	size_t n = 0;

	for (; *text; text++)
		n += ((unsigned char)*text & 0xc0) != 0x80;
	return n;
}

void text_paint(struct buf *out, const struct report_style *style, enum text_colour colour, const char *text)
{
	static const char *const codes[TEXT_COLOURS] = {
		[TEXT_BOLD] = "1", [TEXT_DIM] = "2", [TEXT_GOOD] = "32", [TEXT_BAD] = "31"};

	AUTO_FREE char *clean = str_printable(str_dup(text));

	if (style->colour && codes[colour] && *clean)
		buf_add(out, "\033[%sm%s\033[0m", codes[colour], clean);
	else
		buf_add(out, "%s", clean);
}

/* Of what is not to be parted: a word, or a number with its unit. */
static size_t piece_len(const char *text)
{
	static const char *const units[] = {"ns", "µs", "ms", "s", "min", "h", "B", "KiB", "MiB", "GiB", "%"};
	size_t len = strcspn(text, " ");
	const char *next = text + len + (text[len] == ' ');

	if (!len || !isdigit((unsigned char)text[len - 1]))
		return len;
	for (size_t i = 0; i < ARRAY_LEN(units); i++) {
		size_t n = strlen(units[i]);
		if (!strncmp(next, units[i], n) && !isalnum((unsigned char)next[n]))
			return len + 1 + strcspn(next, " ");
	}
	return len;
}

void text_wrap(struct buf *out, const char *head, const char *text)
{
	AUTO_FREE char *clean = str_printable(str_dup(text));
	size_t indent = text_width(head), at = indent;
	size_t most = out->columns ? MIN(out->columns, TEXT_WIDTH) : TEXT_WIDTH;
	size_t blanks = 0; /* before the word, which are left out at the beginning of a line */

	buf_add(out, "%s", head);
	for (text = clean; *text;) {
		size_t len = piece_len(text);
		AUTO_FREE char *word = str_format("%.*s", (int)len, text);
		size_t width = text_width(word);

		if (blanks && at + blanks + width > most) {
			buf_add(out, "\n%*s", (int)indent, "");
			at = indent;
			blanks = 0;
		}
		buf_add(out, "%*s%s", (int)blanks, "", word);
		at += blanks + width;
		text += len;
		blanks = strspn(text, " ");
		text += blanks;
	}
	buf_add(out, "\n");
}

/* --- tables ------------------------------------------------------------------------------------ */

void text_row(struct text_table *t)
{
	t->rows = mem_grow(t->rows, t->rows_n + 1, sizeof(*t->rows));
	t->colours = mem_grow(t->colours, t->rows_n + 1, sizeof(*t->colours));
	memset(t->rows[t->rows_n], 0, sizeof(*t->rows));
	memset(t->colours[t->rows_n], 0, sizeof(*t->colours));
	t->rows_n++;
}

void text_cell(struct text_table *t, size_t column, enum text_colour colour, const char *text)
{
	free(t->rows[t->rows_n - 1][column]);
	t->rows[t->rows_n - 1][column] = str_printable(str_dup(text));
	t->colours[t->rows_n - 1][column] = colour;
}

static const char *cell_text(const struct text_table *t, size_t row, size_t column)
{
	return t->rows[row][column] ? t->rows[row][column] : "";
}

struct layout {
	size_t indent, gap, n; /* blanks before the first column and between two; columns side by side */
	size_t widths[TEXT_COLUMNS_MAX];
};

/* Nothing where all its columns are empty. */
static void print_row(const struct text_table *t, size_t row, const struct layout *l,
	const struct report_style *style, struct buf *out)
{
	size_t owed = l->indent, before = out->len;

	for (size_t c = 0, printed = 0; c < l->n; c++) {
		const char *text = cell_text(t, row, c);
		size_t pad = l->widths[c] - text_width(text);

		if (!l->widths[c])
			continue;
		owed += printed++ ? l->gap : 0;
		if (!*text) { /* blanks at the end of a line are never written */
			owed += pad;
			continue;
		}
		owed += t->align[c] == 'r' ? pad : 0;
		buf_add(out, "%*s", (int)owed, "");
		text_paint(out, style, t->colours[row][c], text);
		owed = t->align[c] == 'l' ? pad : 0;
	}
	if (out->len > before)
		buf_add(out, "\n");
}

static size_t layout_width(const struct layout *l)
{
	size_t width = l->indent, printed = 0;

	for (size_t c = 0; c < l->n; c++)
		width += l->widths[c] ? l->widths[c] + (printed++ ? l->gap : 0) : 0;
	return width;
}

/* On a terminal that is too narrow a last column of words goes below the others, and these draw together. */
static struct layout layout_make(const struct text_table *t, size_t indent, size_t columns)
{
	struct layout l = {.indent = indent, .gap = 2, .n = strlen(t->align)};

	for (size_t r = 0; r < t->rows_n; r++)
		for (size_t c = 0; c < l.n; c++)
			l.widths[c] = MAX(l.widths[c], text_width(cell_text(t, r, c)));
	if (columns && layout_width(&l) > columns && l.n > 2 && t->align[l.n - 1] == 'l')
		l.n--;
	if (columns && layout_width(&l) > columns)
		l.gap = 1;
	return l;
}

void text_table_print(struct text_table *t, size_t indent, const struct report_style *style, struct buf *out)
{
	size_t n = strlen(t->align);
	struct layout l = layout_make(t, indent, out->columns);

	for (size_t r = 0; r < t->rows_n; r++) {
		print_row(t, r, &l, style, out);
		if (l.n < n && *cell_text(t, r, l.n)) {
			buf_add(out, "%*s", (int)(indent + l.widths[0] + 2), "");
			text_paint(out, style, t->colours[r][l.n], cell_text(t, r, l.n));
			buf_add(out, "\n");
		}
		for (size_t c = 0; c < n; c++)
			free(t->rows[r][c]);
	}
	free(t->rows);
	free(t->colours);
	*t = (struct text_table){.align = t->align};
}
